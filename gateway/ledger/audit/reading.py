"""Entries as they go by, each read and bound to its side row. Says in `found` what does not fit. Reads only."""

import binascii
import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

import orjson

from gateway.ledger import tree
from gateway.ledger.proof import entry, merkle
from gateway.ledger.proof.merkle import WIDTH
from gateway.ledger.subjects import moment
from gateway.terms import ChoiceKind

# seq, body, then of its side row: key, at, event; person, sealed, opening where they were asked for; kind
Entry = tuple[Any, ...]
EVERY = 2**62
RESTATED = "SELECT of, seq FROM restated WHERE seq >= ?"
GONE = "SELECT count(*), gone FROM deletion_row WHERE gone >= ? GROUP BY gone"
EVENT, MINUTE = 16, 60_000  # bytes of an event; milliseconds
TILES = 4  # of entries read at once: few enough to stay in a processor's cache, many of each shape
BOXES = ", d.person, d.sealed, d.opening"
PRUNED = """
SELECT x.of, r.body, d.key, d.at, d.event{}, d.kind FROM restated x
LEFT JOIN entry r ON r.seq = x.seq LEFT JOIN detail d ON d.seq = x.of
WHERE x.of < (SELECT pruned FROM head) AND x.of < ? ORDER BY x.of
"""
KEPT = """
SELECT e.seq, e.body, d.key, d.at, d.event{}, d.kind FROM entry e
LEFT JOIN detail d ON d.seq = e.seq WHERE e.seq >= (SELECT pruned FROM head) AND e.seq < ? ORDER BY e.seq
"""
# Bodies that a prune has marked as gone, and was cut off before it took them away.
GOING = """
SELECT e.seq, e.body, d.key, d.at, d.event{}, d.kind FROM entry e LEFT JOIN detail d ON d.seq = e.seq
WHERE e.seq < (SELECT pruned FROM head) AND e.seq NOT IN (SELECT of FROM restated) AND e.seq < ? ORDER BY e.seq
"""


def blocks(db: sqlite3.Connection, below: int = EVERY, *, boxes: bool = False) -> Iterator[list[Entry]]:
    """What is restated of the pruned entries, then the entries, some tiles' worth at a time."""
    for sql in (PRUNED, KEPT):
        yield from _blocks(db, sql, below, boxes=boxes)


def going_blocks(db: sqlite3.Connection, *, boxes: bool = False) -> Iterator[list[Entry]]:
    """The entries that count as pruned and lie there still, unless they are restated."""
    yield from _blocks(db, GOING, EVERY, boxes=boxes)


def _blocks(db: sqlite3.Connection, sql: str, below: int, *, boxes: bool) -> Iterator[list[Entry]]:
    cursor = db.execute(sql.format(BOXES if boxes else ""), (below,))
    while rows := cursor.fetchmany(TILES * WIDTH):
        yield rows


Leaf = dict[str, Any]
URL = bytes.maketrans(b"+/", b"-_")


class LedgerReading:
    """One pass over the log. `found`: entries that cannot be read, or whose side rows are not theirs; and voids."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.found: list[str] = []
        self._unlinked = {row[0] for row in db.execute("SELECT seq FROM unlinked_event")}
        self._voids: set[tuple[int, int, str]] = set()
        self._uis: set[tuple[str, int, str]] = set()
        self._taken_back: set[tuple[int, int]] = set()
        self._restated = dict[int, int]()
        self._db = db
        [self._pruned] = db.execute("SELECT pruned FROM head").fetchone()

    def add(self, rows: Sequence[Entry]) -> Sequence[Leaf]:
        """The next entries, all of them pruned ones or none. Returns what each says."""
        seqs, bodies, keys, ats, events, *_ = zip(*rows, strict=True)
        leaves = self._leaves(seqs, bodies)
        about = [key is not None for key in keys]
        if not _belong(*([*compress(column, about)] for column in (leaves, events, ats))):
            self.found += [
                f"entry {seq} and its side row do not belong together"
                for seq, key, leaf, event, at in zip(seqs, keys, leaves, events, ats, strict=True)
                if key is not None and not _belong([leaf], [event], [at])
            ]
        for seq, key, leaf in zip(seqs, keys, leaves, strict=True):
            if key is None:
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    self._about_nobody(seq, leaf)
        return leaves

    def _about_nobody(self, seq: int, leaf: Leaf) -> None:
        if "s" in leaf and seq not in self._unlinked:
            self.found.append(f"entry {seq} is about somebody, and its side row is gone")
        elif seq < self._pruned and leaf["e"] != ChoiceKind.CONSENT_VOIDED:
            return  # it counts as gone, and what it says is not asked for any more
        elif leaf["e"] == "restated":
            self._restated[leaf["of"]] = seq  # of two the later one: a prune that was cut off may have begun
        elif leaf["e"] == "void":
            self._voids |= {(of, seq, leaf["t"]) for first, last in leaf["of"] for of in range(first, last + 1)}
        elif leaf["e"] == ChoiceKind.CONSENT_VOIDED:
            self._uis.add((leaf["ui"], seq, leaf["t"]))
        elif leaf["e"] == entry.TAKEN_BACK:
            self._taken_back.add((leaf["count"], seq))

    def finish(self) -> None:
        """That what is voided, taken back or said again is what entries say, as far as they are kept; that a screen is,
        each of them says, for a prune says it again.
        """
        for sql, since, said, what in (
            ("SELECT seq, by, at FROM voided_choice WHERE by >= ?", self._pruned, self._voids, "the void of entry {}"),
            ("SELECT ui, seq, at FROM voided_ui WHERE seq >= ?", 0, self._uis, "the void of the screen {}"),
            (RESTATED, self._pruned, {*self._restated.items()}, "that entry {} is restated"),
            (GONE, self._pruned, self._taken_back, "that a deletion list took back {} requests"),
        ):
            rows = {(*row[:2], *map(_minute, row[2:])) for row in self._db.execute(sql, (since,))}
            self.found += [f"{what.format(each)} is not what entry {by} says" for each, by, *_ in sorted(rows ^ said)]
        decided = {seq for (seq,) in self._db.execute("SELECT seq FROM void_act WHERE seq >= ?", (self._pruned,))}
        undecided = sorted(decided ^ {by for _, by, _ in self._voids})
        self.found += [f"who decided on the void of entry {seq} is not what stands beside it" for seq in undecided]

    def _leaves(self, seqs: Sequence[int], bodies: Sequence[bytes]) -> list[Leaf]:
        if seqs[0] >= self._pruned:
            with contextlib.suppress(AttributeError, ValueError):
                leaves = [*map(orjson.loads, bodies)]
                if {*map(type, [leaf.get("e") for leaf in leaves])} == {str}:
                    return leaves
        return [self._leaf(seq, body) for seq, body in zip(seqs, bodies, strict=True)]

    def _said_in(self, seq: int, body: bytes) -> bytes:
        """Of an entry that counts as pruned: its own body, which is still to go, or what another one restates of it.
        Nothing: it is neither.
        """
        kept = tree.leaf_at(self._db, seq)
        return next((each for each in (body, entry.original(body)) if merkle.leaf_hash(each) == kept), b"")

    def _leaf(self, seq: int, body: bytes) -> Leaf:
        """What an entry says; of one that is restated what it said, if the tree has its hash."""
        try:
            leaf = orjson.loads(body if seq >= self._pruned else self._said_in(seq, body or b""))
        except (ValueError, KeyError, TypeError, tree.TreeBroken):
            leaf = None
        if isinstance(leaf, dict) and isinstance(leaf.get("e"), str):
            return leaf
        self.found.append(f"entry {seq} cannot be read, or has, or is restated with, other bytes than the tree")
        return {"e": "unreadable"}  # no kind of entry


def _minute(at: int) -> str:
    """As leaves have it."""
    return entry.minute(moment(at // MINUTE * MINUTE))


def _belong(leaves: Sequence[Leaf], events: Sequence[bytes], ats: Sequence[int]) -> bool:
    """Whether each has the event, as base64url, and the minute of its side row: all at once. Two zero bytes make 16
    into 18, which are 24 letters.
    """
    joined = binascii.b2a_base64(b"\x00\x00".join([*events, b""]), newline=False).translate(URL).decode()
    ids, times = [leaf.get("i") for leaf in leaves], [leaf.get("t") for leaf in leaves]
    return (
        {*map(len, events)} <= {EVENT}
        and {*map(type, ids), *map(type, times)} <= {str}
        and "".join([f"{each}AA" for each in ids]) == joined
        and all(
            time == _minute(minutes * MINUTE)
            for time, minutes in {*zip(times, [at // MINUTE for at in ats], strict=True)}
        )
    )
