"""What comes between a batch of the log that is durable and its answers, on one host: others' records first, the tree,
the checkpoint in its store, the state that every check reads. Whoever appends hands over what it wrote.

Under a lock of the host's own, so that it is the same for every engine of the log. A log that is shorter than what was
signed, or did not grow out of it, is followed no further, and nothing is answered for on it. What is durable stands
whether the state could follow or not: from then on checks deny, which is shown to all processes of the host before the
batch is answered; where that cannot be shown it is not answered.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from gateway.disk import locked
from gateway.ledger.checkpoint_store import CheckpointStore, Overtaken
from gateway.ledger.engine.log import (
    READ_RECORDS,
    Log,
    LogBatch,
    LogHead,
    NumberedRecord,
    PlacedRequest,
    Repeat,
    RequestOutcome,
)
from gateway.ledger.engine.log_index import LogIndex
from gateway.ledger.engine.log_view import PARTS, LogTree, LogView
from gateway.ledger.errors import LedgerRefused, NothingKept, StoreUnavailable
from gateway.ledger.proof import merkle
from gateway.ledger.proof.merkle import EMPTY_ROOT
from gateway.ledger.proof.note import Checkpoint, Signer
from gateway.ledger.proof.receipt import Receipt, ReceiptsAtHand, SignedBatch
from gateway.ledger.publisher import RolledBack
from gateway.state.environment import StateRefused, StateUnmarked
from gateway.state.upkeep import HostState

LOCK = "log.followed"
INDEXED = 512  # records that the index goes on by at once: it holds the interpreter for some milliseconds


class LogFollower:
    """One process's. `origin` is the log's name on its checkpoints, `signers` are its keys. `why`: why the state does
    not follow; empty while it does.
    """

    def __init__(
        self,
        data: Path,
        log: Log,
        head: LogHead,
        store: CheckpointStore,
        origin: str,
        signers: Sequence[Signer],
        state: HostState,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._lock, self._log, self._head = data / LOCK, log, head
        self._store, self._origin, self._signers, self._state = store, origin, signers, state
        self._index, self._indexing = LogIndex(data, head.log), LogIndex(data, head.log)  # a connection a thread
        self._tree = LogTree(self._index)
        self._signed: Checkpoint | None = None
        self._hand = ReceiptsAtHand()
        self._turn = asyncio.Lock()
        self._loop = loop
        self.why = ""

    @classmethod
    async def open(
        cls, data: Path, log: Log, store: CheckpointStore, origin: str, signers: Sequence[Signer], state: HostState
    ) -> Self:
        """With everything that the log has. Raises `RolledBack` and `LedgerRefused` where it must not be used."""
        loop, head = asyncio.get_running_loop(), await log.head()
        made = await asyncio.to_thread(lambda: cls(data, log, head, store, origin, signers, state, loop))
        await made.follow()
        return made

    async def append(self, batch: LogBatch) -> tuple[RequestOutcome, ...]:
        """As `Log.append`, and in effect on this host when it returns: every check that begins then knows of it."""
        outcomes = await self._log.append(batch)
        await self.follow(_written(batch, outcomes))
        return outcomes

    async def idempotent(self, repeat: Repeat) -> RequestOutcome | None:
        """As `Log.idempotent`, and in effect as `append` has it: whoever wrote it may have gone away before."""
        if found := await self._log.idempotent(repeat):
            await self.follow()
        return found

    async def batch_outcome(self, batch: bytes) -> tuple[RequestOutcome, ...] | None:
        """As `Log.batch_outcome`, and in effect as `append` has it."""
        if found := await self._log.batch_outcome(batch):
            await self.follow()
        return found

    async def follow(self, written: Sequence[NumberedRecord] = ()) -> None:
        """At least as far as what was written; without that, as far as the log goes. Raises `LedgerRefused`, and
        `NothingKept` where checks may go on without it.
        """
        async with self._turn:
            head = self._head if written else await self._log.head()
            await asyncio.to_thread(self._follow, head, written)

    async def index_on(self) -> bool:
        """Brings the index on by a piece, beside the answers. Whether it has everything that was followed."""
        after = await asyncio.to_thread(lambda: self._indexing.position)
        left = self._tree.size - after
        if left > 0:
            records = await self._log.read(after, min(left, INDEXED))
            await asyncio.to_thread(self._indexing.follow, records)
        return left <= INDEXED

    def receipt(self, seq: int, event: str) -> Receipt | None:
        """See `ReceiptsAtHand.receipt`."""
        return self._hand.receipt(seq, event)

    def close(self) -> None:
        self._index.close()
        self._indexing.close()

    def _follow(self, head: LogHead, written: Sequence[NumberedRecord]) -> None:
        with self._alone():
            first = self._tree.size
            self._prove_end(head, written)
            recent = self._grow(max(self._known(), written[-1].seq + 1 if written else head.size), written)
            self._head = LogHead(head.log, self._tree.size, head.kept, head.epoch)
            self._sign(first, recent)
            self._fold(LogView(self._head, self._tree, self._index, recent, self._read))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self._lock))
            except OSError as error:
                raise NothingKept(f"another process follows the log for too long: {error}") from error
            yield

    def _known(self) -> int:
        """How long the log is for sure: what was signed, and what the state has."""
        last = self._store.last()
        try:
            position = self._state.position_in(self._head.log.hex())
        except Exception:  # noqa: BLE001 - whatever it is, it is made anew
            position = 0
        return max(last.size if last else 0, -(-position // PARTS))

    def _prove_end(self, head: LogHead, written: Sequence[NumberedRecord]) -> None:
        """That the log has what the tree is of. The index, from which it began, may be newer than a log that was put
        back: what came after that would be taken for what was followed long ago.
        """
        size = self._tree.size
        known = [each for each in written if each.seq < size]
        if not written and size > head.kept:
            known = [*self._read(size - 1, 1)]
            if not known or known[0].seq != size - 1:
                raise _older_copy(size - 1, size)
        for each in known:
            if self._tree.node(0, each.seq) != merkle.leaf_hash(each.leaf):
                raise _older_copy(each.seq, size)

    def _grow(self, size: int, written: Sequence[NumberedRecord]) -> list[NumberedRecord]:
        recent = list[NumberedRecord]()
        while (after := self._tree.size) < size:
            records = [each for each in written if each.seq >= after]
            if not records or records[0].seq != after:
                records = self._read(after, min(READ_RECORDS, (written[0].seq if records else size) - after))
            if not records or records[0].seq != after:
                raise _older_copy(after, size)
            self._tree.grow([each.leaf for each in records])
            if len(records) == READ_RECORDS and self._index.position >= after:  # far behind: else all is in memory
                with contextlib.suppress(StoreUnavailable):
                    self._index.follow(records)
            recent = [*recent, *records][-READ_RECORDS:]
        return recent

    def _sign(self, first: int, recent: Sequence[NumberedRecord]) -> None:
        new = Checkpoint(self._origin, self._tree.size, self._tree.root())
        try:
            if self._signed is None:
                self._signed = self._proved()
            self._store.swap(self._signed, new)
        except Overtaken:  # another process signed since
            self._store.swap(self._proved(), new)
        self._signed = new
        bodies = [each.leaf for each in recent]
        if bodies and new.size == first + len(bodies):
            self._hand.take(SignedBatch(first, bodies, self._tree.end, new.text(), self._signers))

    def _proved(self) -> Checkpoint:
        """What was signed last, which the log is shown to have grown out of. Whoever makes a log signs it while it is
        empty, so that a store that is gone is not taken for one that never was.
        """
        last = self._store.last()
        if last is None:
            raise RolledBack("the log has no checkpoint in its store; put its folder back (gateway help restore)")
        if last.origin != self._origin or self._tree.root_at(last.size) != last.root:
            raise RolledBack(
                f"the log was signed as {last.origin} at {last.size} records, which it did not grow out of"
            )
        return last

    def _fold(self, view: LogView) -> None:
        try:
            self._state.catch_up(view)
        except StateUnmarked as error:
            self.why = str(error)
            raise NothingKept(f"checks of this host may go on without it: {error}") from error
        except StateRefused as error:
            self.why = str(error)
        else:
            self.why = ""

    def _read(self, after: int, limit: int) -> list[NumberedRecord]:
        """From the thread that follows."""
        return asyncio.run_coroutine_threadsafe(self._log.read(after, limit), self._loop).result()


def _older_copy(seq: int, size: int) -> LedgerRefused:
    return LedgerRefused(
        f"the log does not have record {seq} of {size} that were signed or folded: an older copy; put the newest one"
        " back"
    )


def sign_empty(store: CheckpointStore, origin: str) -> None:
    """With a log that was made just now."""
    store.swap(None, Checkpoint(origin, 0, EMPTY_ROOT))


def _written(batch: LogBatch, outcomes: Sequence[RequestOutcome]) -> list[NumberedRecord]:
    """What a batch wrote, in its order. Of one that was there before, nothing new."""
    return [
        NumberedRecord(seq, *record)
        for request, outcome in zip(batch.requests, outcomes, strict=True)
        if isinstance(outcome, PlacedRequest) and outcome.fresh
        for seq, record in enumerate(request.records, outcome.first)
    ]
