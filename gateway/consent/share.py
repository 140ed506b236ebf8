"""Sharing rows, for the share doors: check, write as intended, check again, send, mark.

The second check runs after the intention is durable and right before the bytes leave, or right before a few rows are
handed back; a send that could not start within the send window of it sends nothing and is checked once more. So an
opt-out's `effective_at` is its `accepted_at` plus the window.

At most one effect a row at a receiver that honours ids: a row that is known to have left is `duplicate` for 35 days, a
row of which that is not known goes again. What was handed back is known to have left once its caller says so. A
caller's row id never leaves: the recipient has the row under a handle, a keyed hash of the id.

`Turn` lets others have theirs during long work in the event loop: an ad server gives up a check after 10 ms, and a
night's share has thousands of rows.
"""

import asyncio
import contextlib
import hmac
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import orjson

from gateway.choice import row_shape as rows_of
from gateway.choice import row_words
from gateway.choice.keywords import Vocabulary
from gateway.choice.question import Grant, Verdict
from gateway.choice.recipient import Recipient
from gateway.consent.asked import Ask, Basis, Met
from gateway.consent.check import Checks
from gateway.consent.people import People, left, names_left
from gateway.delivery.forwarding import Forwarder, ForwardOutcome
from gateway.desk import disclosures, late_sends, recipients_to_tell
from gateway.desk.disclosures import FIRST, NOT_SENT, POSSIBLE, Acknowledged, Intended, Mark
from gateway.disk import boot_seconds
from gateway.keys.seals import OpeningFailed, Sealed
from gateway.keys.secret_files import KEY_BYTES, Secrets
from gateway.ledger.acts import records
from gateway.ledger.entry import b64
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from gateway.terms import Answer, DataClass, Reason, Role

SECONDS = 0.002  # of work between two looks at other callers


class Turn:
    """Gives others a turn during one caller's long work, which begins now."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def is_over(self) -> bool:
        """Whether this one went on for long enough."""
        return time.perf_counter() - self._began >= SECONDS

    async def offered(self) -> None:
        """Everybody else who is ready goes first, if this turn is over."""
        if self.is_over:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


DENY = Answer.DENY
TAKES = 5.0  # seconds that a thread waits for the writer
ATTEMPTS = 3  # sends of one chunk whose connection came too late; by the third the pool holds one
GROUP = 50  # rows whose people are looked at together, and that are handed back together; a row has about ten keys
LABEL = b"row/1\x00"
HANDED_BACK = Sealed(b"handed back/1", int)  # the entry of a hand-back
HANDLE = "row"  # the member of a row that leaves which tells it from others


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One row as it came. `problem`: why it cannot be read; it is then refused as malformed. `count`, `collected`,
    `age`, `during_call`: as in a question. `handle`: what its caller was told that its recipient will have it under.
    `line`: where it stood in its call.
    """

    id: str
    identifiers: Sequence[Mapping[str, object]] = ()
    data: Mapping[str, object] = field(default_factory=dict)
    place: object = None
    count: int | None = None
    collected: date | None = None
    age: str | None = None
    during_call: bool = False
    problem: str = ""
    handle: bytes | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Shared:
    """What became of one row: sent, returned, refused, duplicate or unknown. `dropped`: how many of its values were
    held back, by why (`rows.Shaped`). `row`: what is handed back; of one that leaves otherwise, its handle alone.
    `until`: of one that was handed back, until when a send of it may start; `again`: it was handed back before, and
    nobody said what became of it; `mark`: which hand-back this is, sealed. `line`: of a row that cannot be read, for it
    may have no id. `place`: the verdict's.
    """

    id: str
    outcome: str
    reason: str
    data: Mapping[str, Answer] = field(default_factory=dict)
    row: Mapping[str, object] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    until: datetime | None = None
    again: bool = False
    mark: str = ""
    line: int = 0
    place: str = ""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A row that may go: how it was asked for, what it was answered from, what would leave, and the record of it.
    `relied_on`: the opt-ins that a precise point in it leaves on.
    """

    row: ShareRow
    ask: Ask
    verdict: Verdict
    met: Met
    basis: Basis
    out: dict[str, object]
    dropped: Mapping[str, int]
    intended: Intended
    relied_on: tuple[Grant, ...] = ()

    def told(self, outcome: str, **more: Any) -> Shared:
        """What became of it, by its verdict."""
        why, data, place = self.verdict.reason, self.verdict.data, self.verdict.place
        return Shared(self.row.id, outcome, why, data, dropped=self.dropped, place=place, **more)


class _Claimed(NamedTuple):
    """The batch's number; ids of rows that left before; of rows that want something that is not there, by what; ids of
    rows that were handed back before; what the recipient has each under.
    """

    batch: int
    gone: set[str]
    without: dict[str, Reason]
    again: set[str]
    handles: Mapping[str, bytes]


class Taken(NamedTuple):
    """Rows as lines of a file; each of them by its hash and its entry's number; what became of every row."""

    lines: list[bytes]
    marks: list[Mark]
    shared: list[Shared]


Chunk = dict[int, _Ready]  # by the row's place in the call


class Sharing:
    """The outbound door. One instance; calls run side by side, chunks of one call one after the other."""

    def __init__(
        self,
        *,
        checks: Checks,
        people: People,
        writer: Writer,
        forwarder: Forwarder,
        clock: Callable[[], datetime],
        send_window: timedelta,
        words: Vocabulary,
        keys: Secrets,
    ) -> None:
        self._checks = checks
        self._people = people
        self._writer = writer
        self._forwarder = forwarder
        self._clock = clock
        self.window = send_window
        self._words = words
        self._keys = keys

    async def close(self) -> None:
        await self._forwarder.close()

    async def answers(
        self, recipient: Recipient, rows: Sequence[ShareRow], job: str = ""
    ) -> AsyncGenerator[list[Shared]]:
        """The outcome of every row, in order, some at a time. What is handed back is decided when it is asked for: a
        caller that writes it at once, and asks for no more before, hands out nothing that is older. Close it where the
        rest is not wanted: that was not sent.
        Raises `StoreUnavailable` when something could not be kept: then the same rows are posted again, those whose
        sending was recorded answer `duplicate`, and the others go once more.
        """
        seen = set[str]()
        for start in range(0, len(rows), disclosures.CHUNK):
            done: dict[int, Shared] = {}
            some = dict(enumerate(rows[start : start + disclosures.CHUNK], start))
            back = recipient.mode == "return"
            # A second row of an id in a later chunk: of one that is sent the record tells, of one that is handed back
            # nothing does before its caller says what became of it.
            ready = await self._decide_all(recipient, some, done, seen if back else set())
            going = list(ready.values())
            if back:
                posted = [row.id for index, row in some.items() if index in ready or done[index].outcome == "refused"]
                claimed = await self._intend(recipient, going, job=job, posted=posted)
            else:
                claimed = await self._intend(recipient, going)
            self._take_out(ready, done, claimed)
            if back:
                async with contextlib.aclosing(self._hand_back(recipient, claimed, list(some), ready, done)) as parts:
                    async for part in parts:
                        yield part
            else:
                await self._forward(recipient, claimed.batch, ready, done)
                yield [done[index] for index in some]

    @staticmethod
    def _take_out(ready: Chunk, done: dict[int, Shared], claimed: _Claimed) -> None:
        """Answers, and takes out, what left before and what wants something that is not there."""
        for index in [index for index, item in ready.items() if item.row.id in claimed.gone]:
            row_id = ready.pop(index).row.id
            handle = claimed.handles.get(row_id)
            done[index] = Shared(row_id, "duplicate", "duplicate", row=_alone(handle) if handle else None)
        for index in [index for index, item in ready.items() if item.row.id in claimed.without]:
            item = ready.pop(index)
            why = claimed.without[item.row.id]
            done[index] = Shared(item.row.id, "refused", why, dict.fromkeys(item.verdict.data, DENY))

    async def would_share(self, recipient: Recipient, rows: Sequence[ShareRow]) -> list[Shared]:
        """What `answers` would say, without the rows: nothing leaves, nothing is on record, no act is used up. Of one
        that goes at a person's wish it is not told whether another row would have had the wish.
        """
        if recipient.mode == "files":
            return await self.try_out(recipient, rows)
        done: dict[int, Shared] = {}
        gone = set[str]()  # forwarded, a row has left when the next chunk's turn comes
        word, now = "sent" if recipient.mode == "forward" else "returned", milliseconds(self._clock())
        for start in range(0, len(rows), disclosures.CHUNK):
            some = dict(enumerate(rows[start : start + disclosures.CHUNK], start))
            ready = await self._decide_all(recipient, some, done, gone if recipient.mode == "forward" else set())
            ids = [item.row.id for item in ready.values()]

            def job(tx: Transaction, ids: Sequence[str] = ids) -> disclosures.Before:
                return disclosures.posted_before(tx, recipient.name, ids, now)

            before = await self._writer.commit(job)
            for index, item in ready.items():
                row = item.row.id
                may = item.told(word, again=row in before.handed_back)
                done[index] = Shared(row, "duplicate", "duplicate") if row in before.left else may
        return [done[index] for index in range(len(rows))]

    async def _decide_all(
        self, recipient: Recipient, rows: Mapping[int, ShareRow], done: dict[int, Shared], seen: set[str]
    ) -> Chunk:
        """The first check of a chunk. A second row of one id is a duplicate, if the first may go. Others have their
        turn meanwhile: the check right before the bytes leave is another one.
        """
        ready: Chunk = {}
        turn = Turn()
        for index, row in rows.items():
            await turn.offered()
            if row.id in seen and not row.problem:
                done[index] = Shared(row.id, "duplicate", "duplicate")
                continue
            result = self._decide(recipient, row)
            if isinstance(result, Shared):
                done[index] = result
            else:
                seen.add(row.id)
                ready[index] = result
        return ready

    def _ask(self, recipient: Recipient, row: ShareRow) -> Ask:
        """The question of a row: all that it says of its person counts, in members of its own and in its data."""
        data, fields, held = row.data, recipient.fields, recipient.held
        return Ask(
            (recipient.name,),
            row.identifiers,
            data=rows_of.classes_of(data, fields),
            place=row.place,
            geo=(*rows_of.spots(data, fields), *row_words.places_said(data, fields, row.place, held)),
            ip=row_words.addresses_said(data, fields) or None,
            age=row_words.age_said(data, fields, self._clock().year, row.age, held),
            count=row.count,
            collected=row.collected,
            during_call=row.during_call,
            row=True,
            beside=rows_of.identifiers_in(data, fields, held),
        )

    def _decide(self, recipient: Recipient, row: ShareRow) -> _Ready | Shared:
        if row.problem:
            return Shared(row.id, "refused", Reason.MALFORMED, line=row.line)
        ask = self._ask(recipient, row)
        basis, met = self._checks.basis(), self._checks.meet(ask, ask.identifiers)
        verdict = self._checks.verdict(recipient.name, ask, met, basis.in_force.office)
        if verdict.reason in {Reason.STALE, Reason.STORE_UNAVAILABLE}:
            raise StoreUnavailable("no row can be decided at this moment; post them again")
        fields, held, own = recipient.fields, recipient.held, [str(item.get("value")) for item in row.identifiers]
        out, leaving, dropped = rows_of.shape(row.data, fields, verdict.data, self._words, held, own)
        if not out:
            unread = rows_of.UNREADABLE in dropped and any(each is not DENY for each in verdict.data.values())
            reason = Reason.MALFORMED if unread else verdict.reason
            return Shared(row.id, "refused", reason, verdict.data, dropped=dropped, place=verdict.place)
        relied_on = rows_of.relied_on(recipient, met.grants) if DataClass.PRECISE_GEO in leaving else ()
        if relied_on is None:
            denied = dict.fromkeys(verdict.data, DENY)
            return Shared(row.id, "refused", Reason.OPT_IN_REQUIRED, denied, place=verdict.place)
        kinds = [item.get("type") for item in row.identifiers]
        names = left(self._people, out, recipient.fields, kinds, met.own, met.said, recipient.held)
        intended = Intended(row.id, met.keys[0], leaving, names)
        return _Ready(row, ask, verdict, met, basis, out, dropped, intended, relied_on)

    async def try_out(
        self, recipient: Recipient, rows: Sequence[ShareRow], seen: set[str] | None = None
    ) -> list[Shared]:
        """The first check alone: which rows may wait to become files (`spooled`). Nothing is written. `seen`: the ids
        of those before that may.
        """
        done: dict[int, Shared] = {}
        ready = await self._decide_all(recipient, dict(enumerate(rows)), done, set() if seen is None else seen)
        for index, item in ready.items():
            done[index] = item.told("spooled")
        return [done[index] for index in range(len(rows))]

    async def take(self, recipient: Recipient, rows: Sequence[ShareRow], since: int) -> Taken:
        """The check right before rows stand in a file, at most `CHUNK` of them; they are intended from then on. A row
        that an entry from `since` on intends already is a duplicate.
        """
        done: dict[int, Shared] = {}
        ready = await self._decide_all(recipient, dict(enumerate(rows)), done, set())
        claimed = await self._intend(recipient, list(ready.values()), since)
        self._take_out(ready, done, claimed)
        stopped = self._check_again(recipient, ready, done)
        await self._mark(recipient, claimed.batch, stopped, NOT_SENT)
        out = [orjson.dumps(item.out) for item in ready.values()]
        for index, item in ready.items():
            done[index] = item.told("sealed")
        marks = [(item.intended.row, claimed.batch) for item in ready.values()]
        return Taken(out, marks, [done[index] for index in sorted(done)])

    async def settle(self, recipient: Recipient, marks: Sequence[Mark], outcome: str) -> list[Mark]:
        """Writes down what became of rows in files. Returns those whose people were erased meanwhile."""
        return await self._writer.commit(lambda tx: disclosures.settle(tx, recipient.name, marks, outcome))

    async def gone_of(self, recipient: Recipient, marks: Sequence[Mark]) -> list[Mark]:
        """Rows in files whose people were erased since."""
        return await self._writer.commit(lambda tx: disclosures.gone_of(tx, recipient.name, marks))

    async def take_back(self, recipient: Recipient, lines: Iterable[bytes]) -> None:
        """Lines of a file that may have left behind the erasure of their people: its recipient is told once more."""
        at, fields, held = self._clock(), recipient.fields, recipient.held
        named = set[tuple[str, str]]().union(
            *(names_left(self._people, orjson.loads(line), fields, held) for line in lines)
        )
        await self._writer.commit(lambda tx: recipients_to_tell.take_back(tx, recipient.name, named, at))

    def take_out(self, recipient: str, rows: Sequence[bytes], since: int) -> None:
        """Of a file that was never whole nothing left: rows that entries from one on intend for it, by their hashes.
        For threads. Raises `StoreUnavailable`.
        """
        for start in range(0, len(rows), disclosures.CHUNK):
            some = rows[start : start + disclosures.CHUNK]
            job = partial(disclosures.take_out, recipient=recipient, rows=some, since=since)
            try:
                self._writer.submit(job).result(TAKES)
            except TimeoutError:
                raise StoreUnavailable("the writer says nothing") from None

    def good_for(self, name: str) -> timedelta:
        """For how long the files of a recipient of this name are good, by what is configured now; one that takes none
        (any more) has none that may go.
        """
        found = self._checks.recipients.get(name)
        return timedelta(minutes=found.valid_minutes) if found and found.mode == "files" else timedelta(0)

    async def size(self) -> int:
        """How many entries there are: what is intended from now on has a later number."""
        return await self._writer.commit(lambda tx: tx.size)

    async def handles(self, recipient: Recipient, row_ids: Sequence[str]) -> dict[str, bytes]:
        """What the recipient will have rows under, and still has them under whose key is another one since."""
        now = milliseconds(self._clock())

        def job(tx: Transaction) -> dict[str, bytes]:
            return disclosures.posted_before(tx, recipient.name, row_ids, now).handles

        known = await self._writer.commit(job) if row_ids else {}
        return {row_id: known.get(row_id) or self._handle(recipient, row_id) for row_id in row_ids}

    def _handle(self, recipient: Recipient, row_id: str) -> bytes:
        """Another one at each recipient, so that two of them cannot join what they have by it."""
        key = hmac.digest(self._keys.seals[-1], LABEL + recipient.name.encode(), "sha256")
        return hmac.digest(key, row_id.encode(), "sha256")[:KEY_BYTES]

    async def _intend(
        self,
        recipient: Recipient,
        ready: Sequence[_Ready],
        since: int | None = None,
        job: str | None = None,
        posted: Sequence[str] = (),
    ) -> _Claimed:
        """Writes what is about to leave. What goes at a person's wish claims the wish: one act, one transfer (R28). A
        precise point gets the proof of its opt-in, and without one does not go (R7). `job`: of what is handed back;
        `posted`: the ids of all rows that came for it.
        """
        at = self._clock()
        hashed = None if job is None else disclosures.hash_of(job) if job else b""

        def write(tx: Transaction) -> _Claimed:
            ids = [item.row.id for item in ready]
            disclosures.let_be(tx, recipient.name, posted)
            before = disclosures.posted_before(tx, recipient.name, ids, milliseconds(at), since)
            fresh = [item for item in ready if item.row.id not in before.left]
            without = {item.row.id: Reason.OPT_IN_REQUIRED for item in fresh if not _proved(tx, item)}
            if recipient.role is Role.CONSUMER_DIRECTED:
                records.free_acts(tx, (key for item in fresh for key in item.met.own), recipient.name)
                without |= {
                    item.row.id: Reason.NO_ACT
                    for item in fresh
                    if item.row.id not in without
                    and not records.claim_act(tx, item.met.own, recipient.name, item.intended.row, milliseconds(at))
                }
            going = [self._under_handle(recipient, item, before) for item in fresh if item.row.id not in without]
            batch = disclosures.intend(tx, recipient.name, recipient.purposes, going, at, job=hashed) if going else -1
            return _Claimed(batch, before.left, without, before.handed_back, before.handles)

        return await self._writer.commit(write) if ready or posted else _Claimed(-1, set(), {}, set(), {})

    def _under_handle(self, recipient: Recipient, item: _Ready, before: disclosures.Before) -> Intended:
        """What goes on record of a row, which has its handle from here on."""
        row = item.row
        handle = row.handle or before.handles.get(row.id) or self._handle(recipient, row.id)
        item.out.update(_alone(handle))
        return replace(item.intended, handle=handle)

    async def _forward(self, recipient: Recipient, batch: int, ready: Chunk, done: dict[int, Shared]) -> None:
        """Checks again and sends; whoever opted out meanwhile is taken out. A connection that took longer than the
        window sends nothing, and all is checked once more.
        """
        stopped: Chunk = {}
        outcome = "unknown"
        for _ in range(ATTEMPTS):
            deadline = boot_seconds() + self.window.total_seconds()  # from before the check
            stopped |= self._check_again(recipient, ready, done)
            if not ready:
                break
            rows = [item.out for item in ready.values()]
            key = secrets.token_hex(16)
            became = await self._forwarder.send(recipient.endpoint, key, rows, deadline, to=recipient.name)
            outcome = "sent" if became is ForwardOutcome.SENT else "unknown"
            if became is not ForwardOutcome.LATE:
                break
        await self._mark(recipient, batch, ready, outcome)
        await self._mark(recipient, batch, stopped, NOT_SENT)
        for index, item in ready.items():
            done[index] = item.told(outcome, row={HANDLE: item.out[HANDLE]})

    async def _hand_back(
        self, recipient: Recipient, claimed: _Claimed, order: Sequence[int], ready: Chunk, done: dict[int, Shared]
    ) -> AsyncGenerator[list[Shared]]:
        """A chunk's rows, a few at a time, each few checked when they are asked for: whoever reads slowly has nothing
        decided ahead. The window counts from before that check: another process may acknowledge an opt-out while it
        goes on. What became of them is on record when the last few were taken, or nobody wants more of them.
        """
        written: Chunk = {}
        stopped: Chunk = {}
        turn = Turn()
        mark = HANDED_BACK.seal(self._keys.seals, claimed.batch)
        try:
            for start in range(0, len(order), GROUP):
                await turn.offered()
                some, until = order[start : start + GROUP], self._clock() + self.window
                going = {index: ready.pop(index) for index in some if index in ready}
                stopped |= self._check_again(recipient, going, done)
                written |= going
                for index, item in going.items():
                    again = item.row.id in claimed.again
                    done[index] = item.told("returned", row=item.out, until=until, again=again, mark=mark)
                yield [done[index] for index in some]
        finally:
            await self._mark(recipient, claimed.batch, written, POSSIBLE)
            await self._mark(recipient, claimed.batch, stopped | ready, NOT_SENT)

    def _check_again(self, recipient: Recipient, ready: Chunk, done: dict[int, Shared]) -> Chunk:
        """Takes out, and answers, the rows whose verdict is not what it was. Only those are looked at again that
        may not rest (`Checks.may_rest`); and of these those are asked about again of whom something else stands on
        record, or that another law, day or configuration is in force for.
        """
        stopped: Chunk = {}
        in_force = self._checks.in_force()
        items = list(ready.items())
        for start in range(0, len(items), GROUP):
            group = items[start : start + GROUP]
            keys = [key for _, item in group for key in item.met.keys]
            bases, answered = [item.basis for _, item in group], [item.met.reached for _, item in group]
            for index, item in () if self._checks.may_rest(bases, keys, answered) else group:
                if item.basis.in_force == in_force and self._checks.is_as_met(item.ask, item.met):
                    continue
                checked = self._checks.check(item.ask)
                again = checked.verdicts[recipient.name]
                proved = not item.relied_on or rows_of.relied_on(recipient, checked.grants) == item.relied_on
                if again.data != item.verdict.data or not proved:
                    why = again.reason if proved else Reason.OPT_IN_REQUIRED
                    done[index] = Shared(item.row.id, "refused", why, again.data)
                    stopped[index] = ready.pop(index)
        return stopped

    async def _mark(self, recipient: Recipient, batch: int, items: Chunk, outcome: str) -> None:
        """What became of rows; of the acts that they went on, too."""
        if not items:
            return
        at, directed = self._clock(), recipient.role is Role.CONSUMER_DIRECTED
        now = milliseconds(at)

        def job(tx: Transaction) -> None:
            gone = disclosures.mark(tx, recipient.name, batch, [item.intended for item in items.values()], outcome)
            if outcome != NOT_SENT:
                identifiers = {(each.kind, each.value) for row in gone for each in row.left}
                recipients_to_tell.take_back(tx, recipient.name, identifiers, at)
            for item in items.values() if directed and outcome == "sent" else ():
                records.use_acts(tx, item.met.own, recipient.name, now)

        await self._writer.commit(job)

    async def acknowledge(self, said: Sequence[Acknowledged]) -> list[tuple[str, int]]:
        """What a caller says became of rows that were handed back to it, in order: `recorded` and of how many rows,
        `repeated` where that much was known, `unknown` where nothing like it was handed back. Durable once this
        returns. Raises `StoreUnavailable`: then the same is said again.
        """
        results = list[tuple[str, int]]()
        for some in _apart([self._marked(each) for each in said]):
            counts, after = [0] * len(some), FIRST
            while True:
                steps = await self._writer.commit(partial(_acknowledge, said=some, at=self._clock(), after=after))
                counts = [count + step.moved for count, step in zip(counts, steps, strict=True)]
                if steps[0].last is None:
                    break
                after = steps[0].last  # a whole job is a transaction for each so many rows of it
            results += [
                ("recorded" if count else "repeated" if step.known else "unknown", count)
                for count, step in zip(counts, steps, strict=True)
            ]
        return results

    def _marked(self, said: Acknowledged) -> Acknowledged:
        """With the hand-back that its mark is of; of a mark that is not ours there is none."""
        try:
            return said._replace(batch=HANDED_BACK.open(self._keys.seals, said.mark)) if said.mark else said
        except OpeningFailed:
            return said._replace(batch=-1)


def _acknowledge(
    tx: Transaction, said: Sequence[Acknowledged], at: datetime, after: disclosures.Place
) -> list[disclosures.DisclosureStep]:
    """Whoever said no while it was said that it had not left, is told of now."""
    steps = disclosures.acknowledge(tx, said, at, after)
    late_sends.tell_late(tx, [late_sends.LateSend(each) for step in steps for each in step.late], at)
    return steps


def _apart(said: Sequence[Acknowledged]) -> Iterator[Sequence[Acknowledged]]:
    """Single rows together, a job by itself: it may have a million."""
    rows = list[Acknowledged]()
    for each in said:
        if not each.row_id or len(rows) == GROUP:
            yield from [rows] if rows else []
            rows = []
        if each.row_id:
            rows.append(each)
        else:
            yield [each]
    if rows:
        yield rows


def _alone(handle: bytes) -> dict[str, object]:
    """What a caller is told of a row that leaves otherwise than through its hands."""
    return {HANDLE: b64(handle)}


def _proved(tx: Transaction, item: _Ready) -> bool:
    """Puts the proofs of the opt-ins that it relies on into a row; whether each is there."""
    found = [records.proof_of_opt_in(tx, grant.seq, grant.purpose) for grant in item.relied_on]
    if found:
        item.out["consent"] = found
    return None not in found
