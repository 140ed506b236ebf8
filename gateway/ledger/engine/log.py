"""The log: every record that was ever kept, in one order, and the only truth that several processes and hosts share.
Whoever writes hands it batches, whoever folds reads it; an engine (`sqlite_log`, another one in the tests) keeps it.

A record is four pieces of bytes and its number, `seq`: from 0, without a gap, in the order in which batches became
durable. What the bytes say, the tree over the leaves, keys and signatures live above; an engine keeps bytes and looks
into none. A position is how many records come before it.

What this promises of every engine, and one suite asks of each: a batch is kept whole or not at all, and durable before
it is answered or seen; a refused request leaves the others standing; a caller who goes away changes nothing; a batch
that is asked for again, and an Idempotency-Key that comes again, have the places that they were given first.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")
LEAF_BYTES = 65_535  # an entry bundle of the published tiles gives a leaf's length two bytes (C2SP)
SIDE_BYTES = 2**18  # a restating record stands for 2,000 rows of some 100 bytes
BOXES_BYTES = 2**16  # details and openings of one act; documents are kept elsewhere
KEY_BYTES = 32  # the id of a key, not a key
REQUEST_RECORDS = 1024  # one call names at most 1,000 identifiers, each of which may be linked by a record
BATCH_RECORDS = 256  # a batch that has so many takes no more requests: past that a record gets hardly cheaper
READ_RECORDS = 4096  # of one reading: some megabytes, and a tenth of a second of folding
POSITIONS = 2**63  # what both engines count with
ID_BYTES, HASH_BYTES = 16, 32
KEPT_DAYS = 35  # of Idempotency-Keys, as callers were promised; and of batch ids: a line of the emergency file that was
# put down longer ago is entered once more, which is one harmless no too many
EXPIRED_AT_ONCE = 1000  # rows of one table that one call takes away: some milliseconds, for which batches wait
OUTCOME = struct.Struct(">BQI")  # kind, first, size


class LogRecord(NamedTuple):
    """`leaf`: public, and never changed. `side`: what folding needs beside it; may be rewritten. `boxes`: sealed.
    `key`: the id of the key that opens the boxes; empty: there is none.
    """

    leaf: bytes
    side: bytes = b""
    boxes: bytes = b""
    key: bytes = b""


class NumberedRecord(NamedTuple):
    """A record as it is read."""

    seq: int
    leaf: bytes
    side: bytes
    boxes: bytes
    key: bytes


class Repeat(NamedTuple):
    """By which a request is known again: 32 bytes made of the caller's Idempotency-Key, 32 of the body it came with."""

    name: bytes
    content: bytes


class LogRequest(NamedTuple):
    """What one request has to say. Its records get numbers that follow each other."""

    records: Sequence[LogRecord]
    repeat: Repeat | None = None


class LogBatch(NamedTuple):
    """Requests that are kept together. `id`: 16 random bytes, the same however often it is sent. `at`: Unix
    milliseconds. `epoch`: of the peppers that its keys were made with. `only_at`: the position that it was decided on;
    None: it holds wherever it comes to stand.
    """

    id: bytes
    at: int
    epoch: int
    requests: Sequence[LogRequest]
    only_at: int | None = None


class PlacedRequest(NamedTuple):
    """Where a request's records stand, and how many they are. `fresh`: they were written for it, and not for an equal
    one before.
    """

    first: int
    size: int
    fresh: bool


class RequestRefused(IntEnum):
    """Why one request was not kept, while the others of its batch were."""

    MISMATCHED = 2  # its Idempotency-Key came with another body before
    OVERSIZED = 3  # a piece of a record is too long, or there are too many records, or none


RequestOutcome = PlacedRequest | RequestRefused
FRESH, REPEATED = 0, 1  # the kinds of `PlacedRequest` beside those


class LogHead(NamedTuple):
    """`log`: 16 bytes, another one for another log. `size`: how many records there ever were. `kept`: the first that
    was not pruned. `epoch`: of the peppers.
    """

    log: bytes
    size: int
    kept: int
    epoch: int


class Moved(Exception):
    """Nothing of the batch was kept: the head is not where it was decided (`only_at`), or its peppers are not those of
    `epoch`. Fold, ask whether its requests are there by now (`Log.idempotent`: an equal one may have moved the head),
    decide or wrap again, and send it under a new id.
    """

    def __init__(self, head: LogHead) -> None:
        super().__init__(f"the head is at {head.size} under epoch {head.epoch}")
        self.head = head


class LogTransaction(Protocol):
    """The log inside a transaction that holds the head. Its calls are a job's alone, and end with it."""

    @property
    def head(self) -> LogHead:
        """With what the job itself did."""

    def read(self, after: int, limit: int) -> list[NumberedRecord]: ...

    def append(self, requests: Sequence[LogRequest]) -> tuple[RequestOutcome, ...]: ...

    def rewrite(self, seqs: Sequence[int], sides: Sequence[bytes]) -> None:
        """Sides, and nothing else. Raises ValueError for a side that is too long or a number that has no record."""

    def prune(self, below: int) -> None:
        """What these records said is gone; their numbers stay used. Raises ValueError past the head."""

    def rekey(self, epoch: int) -> None:
        """From now on batches of another epoch are refused (`Moved`)."""


class Log(Protocol):
    """Every call may be cancelled: what was begun goes on to its end. All raise `StoreUnavailable` where the log cannot
    be used; those that write `NothingKept`: the batch is not in the log, or not so that it may be answered for. Its id
    says later which it was (`batch_outcome`).
    """

    async def append(self, batch: LogBatch) -> tuple[RequestOutcome, ...]:
        """One outcome a request, once all of it is durable. A batch whose id is there is not written again and nothing
        of it is compared: its requests are told as repeats. Raises `Moved`, and ValueError for a batch that no caller
        may make.
        """

    async def read(self, after: int, limit: int) -> list[NumberedRecord]:
        """Up to `limit` records from a position on, in order; what was pruned is passed over. Raises ValueError for a
        limit above `READ_RECORDS`.
        """

    async def head(self) -> LogHead: ...

    async def transaction(self, job: Callable[[LogTransaction], T], at: int) -> T:
        """Runs rare work under the head's lock, in a thread: nobody else writes meanwhile. Whatever it raises is raised
        here, and then nothing of it was kept. `at`: Unix milliseconds.
        """

    async def rewrite(self, seqs: Sequence[int], sides: Sequence[bytes], at: int) -> None:
        """See `LogTransaction.rewrite`."""
        await self.transaction(lambda tx: tx.rewrite(seqs, sides), at)

    async def prune(self, below: int, at: int) -> None:
        """See `LogTransaction.prune`."""
        await self.transaction(lambda tx: tx.prune(below), at)

    async def idempotent(self, repeat: Repeat) -> RequestOutcome | None:
        """What a request under this key was told, or would be; None: it is not known."""

    async def batch_outcome(self, batch: bytes) -> tuple[RequestOutcome, ...] | None:
        """What became of a batch; None: it was not kept, or longer ago than `KEPT_DAYS`."""

    async def expire(self, now: int) -> bool:
        """Takes away Idempotency-Keys and batch ids older than `KEPT_DAYS`, some of each; whether there are more."""

    async def close(self) -> None:
        """Finishes what was begun."""


class KnownRepeat(NamedTuple):
    """An Idempotency-Key that was kept, with its request's place."""

    content: bytes
    first: int
    size: int

    def outcome(self, content: bytes) -> RequestOutcome:
        """For a request under the same key."""
        return (
            PlacedRequest(self.first, self.size, fresh=False) if content == self.content else RequestRefused.MISMATCHED
        )


class Placement(NamedTuple):
    """What a batch comes to: an outcome a request; what is to be written."""

    outcomes: tuple[RequestOutcome, ...]
    records: list[NumberedRecord]
    repeats: dict[bytes, KnownRepeat]


def place_requests(requests: Iterable[LogRequest], size: int, known: Mapping[bytes, KnownRepeat]) -> Placement:
    """Numbers from the head on, for one request after the other: the second of two under one key finds the first.
    `known`: keys that were kept before, by name.
    """
    outcomes, records, repeats = list[RequestOutcome](), list[NumberedRecord](), dict[bytes, KnownRepeat]()
    for request in requests:
        outcome = _without_writing(request, known, repeats)
        if outcome is None:
            outcome = PlacedRequest(size + len(records), len(request.records), fresh=True)
            records += [NumberedRecord(seq, *each) for seq, each in enumerate(request.records, outcome.first)]
            if request.repeat:
                repeats[request.repeat.name] = KnownRepeat(request.repeat.content, outcome.first, outcome.size)
        outcomes.append(outcome)
    return Placement(tuple(outcomes), records, repeats)


def _without_writing(request: LogRequest, *known: Mapping[bytes, KnownRepeat]) -> RequestOutcome | None:
    if is_oversized(request):
        return RequestRefused.OVERSIZED
    if request.repeat is None:
        return None
    name, content = request.repeat
    return next((each[name].outcome(content) for each in known if name in each), None)


def is_oversized(request: LogRequest) -> bool:
    """Whether it must be refused, before anything of it is stored."""
    if not 0 < len(request.records) <= REQUEST_RECORDS:
        return True
    return any(
        len(leaf) > LEAF_BYTES or len(side) > SIDE_BYTES or len(boxes) > BOXES_BYTES or len(key) > KEY_BYTES
        for leaf, side, boxes, key in request.records
    )


def prove_batch(batch: LogBatch) -> None:
    """Raises ValueError for what only a fault of ours makes."""
    if len(batch.id) != ID_BYTES:
        raise ValueError(f"a batch's id has {ID_BYTES} bytes, not {len(batch.id)}")
    before = sum(len(request.records) for request in batch.requests[:-1] if len(request.records) <= REQUEST_RECORDS)
    if before >= BATCH_RECORDS or len(batch.requests) > BATCH_RECORDS:
        raise ValueError(f"a batch that has {BATCH_RECORDS} records takes no more requests")
    for request in batch.requests:
        prove_request(request)


def prove_request(request: LogRequest) -> None:
    """Raises ValueError for what only a fault of ours makes; what is oversized is the log's to refuse."""
    if request.repeat and {*map(len, request.repeat)} != {HASH_BYTES}:
        raise ValueError(f"the name and the content of a repeat have {HASH_BYTES} bytes each")


def prove_sides(seqs: Sequence[int], sides: Sequence[bytes]) -> None:
    """Raises ValueError for sides that may not be put. That there are such records, the engine sees."""
    if len(seqs) != len(sides) or len({*seqs}) != len(seqs):
        raise ValueError("one side for each number, and each number once")
    if any(len(side) > SIDE_BYTES for side in sides):
        raise ValueError(f"a side has at most {SIDE_BYTES} bytes")


def prove_reading(after: int, limit: int) -> None:
    """Raises ValueError for what nobody reads."""
    if not 0 <= after < POSITIONS or not 0 < limit <= READ_RECORDS:
        raise ValueError(f"up to {READ_RECORDS} records from a position on, not {limit} from {after}")


def moved_from(batch: LogBatch, head: LogHead) -> bool:
    """Whether the batch was decided on another head than this."""
    return batch.epoch != head.epoch or batch.only_at not in {None, head.size}


def pack_outcomes(outcomes: Iterable[RequestOutcome]) -> bytes:
    """13 bytes a request, as an engine keeps them under a batch's id."""
    packed = []
    for each in outcomes:
        kind = each if isinstance(each, RequestRefused) else FRESH if each.fresh else REPEATED
        packed.append(OUTCOME.pack(kind, *(each[:2] if isinstance(each, PlacedRequest) else (0, 0))))
    return b"".join(packed)


def unpack_outcomes(packed: bytes) -> tuple[RequestOutcome, ...]:
    return tuple(outcome_of(*each) for each in OUTCOME.iter_unpack(packed))


def as_repeats(outcomes: Iterable[RequestOutcome]) -> tuple[RequestOutcome, ...]:
    """Of a batch that is sent again: what is in the log may be another making of the same, with other secrets."""
    return tuple(each._replace(fresh=False) if isinstance(each, PlacedRequest) else each for each in outcomes)


def outcome_of(kind: int, first: int, size: int) -> RequestOutcome:
    """From how an engine keeps it."""
    return PlacedRequest(first, size, kind == FRESH) if kind in {FRESH, REPEATED} else RequestRefused(kind)
