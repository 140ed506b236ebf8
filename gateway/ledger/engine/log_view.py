"""The log as the state of a host follows it (`gateway.state.upkeep.FollowedLog`): its records by what their sides say,
and the root of its tree at any position. Whoever keeps a state beside the log makes a view of what it has followed.

A position counts the records before it, and of the next one how much of it was read: that is of one act, and a state
never stops within.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

from gateway.fold.record import Record
from gateway.ledger.engine.log import READ_RECORDS, LogHead, NumberedRecord
from gateway.ledger.engine.log_index import LogIndex
from gateway.ledger.proof import merkle
from gateway.ledger.proof.merkle import WIDTH
from gateway.ledger.side import read_side, records_of_side

PARTS = 2**20  # of one record at most; a restating one stands for 2,000
NOBODY = b""  # the key of what is about nobody, as the void of a screen

Read = Callable[[int, int], Sequence[NumberedRecord]]  # (after, limit), as `log.Log.read`


class LogTree:
    """The tree over the log, as far as this process has followed it: its end in memory, all else in the index. Whoever
    holds the lock of those who follow grows it.
    """

    def __init__(self, index: LogIndex) -> None:
        self._index = index
        self.end = index.end()

    @property
    def size(self) -> int:
        return self.end.frontier.size

    def root(self) -> bytes:
        return self.end.frontier.root()

    def grow(self, leaves: Sequence[bytes]) -> None:
        """By what comes next in the log."""
        if (held := self.size - self.end.base) > 2 * WIDTH:
            base = min(self._index.position, self.size) // WIDTH * WIDTH
            if base - self.end.base > held / 2:  # the rest is hashed anew, so not for every tile
                self.end = self.end.shortened(base)  # receipts at hand keep the longer one
        for leaf in leaves:
            self.end.append(merkle.leaf_hash(leaf))

    def root_at(self, size: int) -> bytes:
        """As the tree was at a size that it has had."""
        return merkle.root_at(size, self.node)

    def node(self, height: int, index: int) -> bytes:
        try:
            return self.end.node(height, index)
        except ValueError:  # before the leaves in memory
            return self._index.nodes(self.end.base)(height, index)


class LogView:
    """At one moment, under the lock of those who follow. `recent`: the last records, so that they are not read again;
    `read`: all others.
    """

    def __init__(
        self, head: LogHead, tree: LogTree, index: LogIndex, recent: Sequence[NumberedRecord], read: Read
    ) -> None:
        self._size, self._tree, self._index = head.size, tree, index
        self._recent, self._read = recent, read
        self.name, self.peppers = head.log.hex(), head.epoch

    @property
    def head(self) -> int:
        return self._size * PARTS

    def root(self, position: int) -> bytes | None:
        size = -(-position // PARTS)
        return self._tree.root_at(size) if size <= self._size else None

    def kinds(self, _: Collection[bytes]) -> tuple[()]:
        """Its records do not tell."""
        return ()

    def entries(self, position: int) -> int:
        return position // PARTS

    def read(self, after: int) -> Iterator[tuple[int, Record]]:
        first, skip = divmod(after, PARTS)
        for record in self._records(first):
            said = records_of_side(record.seq, record.side)
            for number, each in enumerate(said, 1):
                behind = record.seq * PARTS + number if number < len(said) else (record.seq + 1) * PARTS
                if record.seq > first or number > skip:
                    yield behind, each

    def times(self, positions: Collection[int]) -> dict[int, int]:
        """When the record before each position was made, in Unix milliseconds."""
        found = {}
        for position in positions:
            for record in self._read_one(max(0, -(-position // PARTS) - 1)):
                found[position] = read_side(record.side).at
        return found

    def changed(self, after: int) -> frozenset[bytes] | None:  # noqa: ARG002 - of no position
        """Nothing in the log tells anything of before otherwise yet."""
        return frozenset()

    def records_about(self, keys: Collection[bytes]) -> list[Record]:
        wanted, found = {*keys, NOBODY}, list[Record]()
        known = min(self._index.position, self._size)
        for seq in self._index.records_about(wanted):
            if seq < known:  # it goes on meanwhile
                found += [each for record in self._read_one(seq) for each in records_of_side(seq, record.side)]
        for record in self._records(known):
            found += records_of_side(record.seq, record.side)
        return [each for each in found if each.key in wanted]

    def _read_one(self, seq: int) -> list[NumberedRecord]:
        """None where it was pruned: the next one would be read in its place."""
        return [each for each in self._read(seq, 1) if each.seq == seq]

    def _records(self, after: int) -> Iterator[NumberedRecord]:
        if self._recent and self._recent[0].seq <= after:
            yield from self._recent[after - self._recent[0].seq :]
            return
        while after < self._size and (records := self._read(after, min(READ_RECORDS, self._size - after))):
            yield from (
                each for each in records if each.seq < self._size
            )  # from behind a gap come more than were meant
            after = records[-1].seq + 1
