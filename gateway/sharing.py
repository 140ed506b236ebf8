"""Sharing rows: check, write as intended, check again, send, mark (design flow e, decision 12).

The second check runs after the intention is durable and right before the bytes leave, or before rows are handed
back; a send that could not start within the send window of it sends nothing and is checked once more. So an opt-out's
`effective_at` is its `accepted_at` plus the window.
At most one effect a row at a receiver that honours ids: a row that is known to have left is `duplicate` for 35 days, a
row of which that is not known goes again.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

import orjson

from gateway.check import Ask, Checks
from gateway.choice import proof
from gateway.choice import rows as rows_of
from gateway.choice.keywords import Vocabulary
from gateway.choice.question import Grant, Verdict
from gateway.choice.recipient import Recipient
from gateway.delivery.forward import Forwarder, Outcome
from gateway.leaving import left
from gateway.ledger import consent_proof, disclosures, grants, received
from gateway.ledger.disclosures import Intended
from gateway.ledger.records import milliseconds
from gateway.ledger.writer import StoreUnavailable, Transaction, Writer
from gateway.people import People
from gateway.terms import Answer, DataClass, Reason, Role
from gateway.turns import Turn

DENY = Answer.DENY
ATTEMPTS = 3  # sends of one chunk whose connection came too late; by the third the pool holds one
GROUP = 50  # rows whose people are looked at together; a row has about ten keys


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it came. `problem`: why it cannot be read; it is then refused as malformed. `count`, `collected`,
    `during_call`: as in a question.
    """

    id: str
    identifiers: Sequence[Mapping[str, object]] = ()
    data: Mapping[str, object] = field(default_factory=dict)
    place: object = None
    count: int | None = None
    collected: date | None = None
    during_call: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Shared:
    """What became of one row: sent, returned, refused, duplicate or unknown. `dropped`: how many of its values were
    held back, by why (`rows.Shaped`). `until`: of one that was handed back, until when a send of it may start.
    """

    id: str
    outcome: str
    reason: str
    data: Mapping[str, Answer] = field(default_factory=dict)
    row: Mapping[str, object] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Ready:
    """A row that may go: how it was asked for, what it was answered from, what would leave, and the record of it.
    `relied_on`: the opt-ins that a precise point in it leaves on.
    """

    row: Row
    ask: Ask
    verdict: Verdict
    keys: tuple[bytes, ...]
    own: tuple[bytes, ...]
    position: int | None
    out: dict[str, object]
    dropped: Mapping[str, int]
    intended: Intended
    relied_on: tuple[Grant, ...] = ()


class _Claimed(NamedTuple):
    """The batch's number; ids of rows that left before; of rows that want something that is not there, by what."""

    batch: int
    gone: set[str]
    without: dict[str, Reason]


class Taken(NamedTuple):
    """Rows as lines of a file; each of them by its hash and its entry's number; what became of every row."""

    lines: list[bytes]
    marks: list[tuple[bytes, int]]
    shared: list[Shared]


Chunk = dict[int, _Ready]  # by the row's place in the call


class Sharing:
    """The outbound door. One instance; calls run side by side, chunks of one call one after the other."""

    def __init__(
        self, *, checks: Checks, people: People, writer: Writer, forwarder: Forwarder,
        clock: Callable[[], datetime], send_window: timedelta, words: Vocabulary,
    ) -> None:  # fmt: skip
        self._checks = checks
        self._people = people
        self._writer = writer
        self._forwarder = forwarder
        self._clock = clock
        self.window = send_window
        self._words = words

    async def close(self) -> None:
        await self._forwarder.close()

    async def share(self, recipient: Recipient, rows: Sequence[Row]) -> list[Shared]:
        """The outcome of every row, in order. Raises `StoreUnavailable` when something could not be kept: then the
        same rows are posted again, those whose sending was recorded answer `duplicate`, and the others go once more.
        """
        done: dict[int, Shared] = {}
        returned: list[tuple[int, Chunk]] = []
        for start in range(0, len(rows), disclosures.CHUNK):
            some = dict(enumerate(rows[start : start + disclosures.CHUNK], start))
            ready = await self._decide_all(recipient, some, done)
            batch, gone, without = await self._intend(recipient, list(ready.values()))
            self._take_out(ready, done, gone, without)
            if recipient.mode == "forward":
                await self._forward(recipient, batch, ready, done)
            elif ready:
                await self._mark(recipient, batch, ready, "sent")
                returned.append((batch, ready))
        await self._hand_back(recipient, returned, done)
        return [done[index] for index in range(len(rows))]

    @staticmethod
    def _take_out(ready: Chunk, done: dict[int, Shared], gone: set[str], without: Mapping[str, Reason]) -> None:
        """Answers, and takes out, what left before and what wants something that is not there."""
        for index in [index for index, item in ready.items() if item.row.id in gone]:
            done[index] = Shared(ready.pop(index).row.id, "duplicate", "duplicate")
        for index in [index for index, item in ready.items() if item.row.id in without]:
            item = ready.pop(index)
            done[index] = Shared(item.row.id, "refused", without[item.row.id], dict.fromkeys(item.verdict.data, DENY))

    async def would_share(self, recipient: Recipient, rows: Sequence[Row]) -> list[Shared]:
        """What `share` would answer, without the rows: nothing leaves, nothing is on record, no act is used up. Of one
        that goes at a person's wish it is not told whether another row would have had the wish.
        """
        if recipient.mode == "files":
            return await self.try_out(recipient, rows)
        done: dict[int, Shared] = {}
        word, now = "sent" if recipient.mode == "forward" else "returned", milliseconds(self._clock())
        for start in range(0, len(rows), disclosures.CHUNK):
            some = dict(enumerate(rows[start : start + disclosures.CHUNK], start))
            ready = await self._decide_all(recipient, some, done)
            wanted = [item.intended for item in ready.values()]

            def job(tx: Transaction, wanted: Sequence[Intended] = wanted) -> set[str]:
                return disclosures.already_left(tx, recipient.name, wanted, now)

            gone = await self._writer.commit(job)
            for index, item in ready.items():
                again, told = item.row.id in gone, (item.verdict.reason, item.verdict.data)
                done[index] = (
                    Shared(item.row.id, "duplicate", "duplicate") if again
                    else Shared(item.row.id, word, *told, dropped=item.dropped)
                )  # fmt: skip
        return [done[index] for index in range(len(rows))]

    async def _decide_all(self, recipient: Recipient, rows: Mapping[int, Row], done: dict[int, Shared]) -> Chunk:
        """The first check of a chunk. A second row of one id is a duplicate, if the first may go. Others have their
        turn meanwhile: the check right before the bytes leave is another one.
        """
        ready: Chunk = {}
        seen: set[str] = set()
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

    def _decide(self, recipient: Recipient, row: Row) -> _Ready | Shared:
        if row.problem:
            return Shared(row.id, "refused", Reason.MALFORMED)
        classes = rows_of.classes_of(row.data, recipient.fields)
        ask = Ask(
            (recipient.name,), row.identifiers, data=classes, place=row.place,
            geo=rows_of.spots(row.data, recipient.fields), count=row.count, collected=row.collected,
            during_call=row.during_call, row=True,
            beside=rows_of.identifiers_in(row.data, recipient.fields, recipient.held),
        )  # fmt: skip
        checked = self._checks.check(ask)
        verdict = checked.verdicts[recipient.name]
        if verdict.reason in {Reason.STALE, Reason.STORE_UNAVAILABLE}:
            raise StoreUnavailable("no row can be decided at this moment; post them again")
        out, leaving, dropped = rows_of.shape(row.data, recipient.fields, verdict.data, self._words, recipient.held)
        if not out:
            unread = rows_of.UNREADABLE in dropped and any(each is not DENY for each in verdict.data.values())
            reason = Reason.MALFORMED if unread else verdict.reason
            return Shared(row.id, "refused", reason, verdict.data, dropped=dropped)
        relied_on = proof.relied_on(recipient, checked.grants) if DataClass.PRECISE_GEO in leaving else ()
        if relied_on is None:
            return Shared(row.id, "refused", Reason.OPT_IN_REQUIRED, dict.fromkeys(verdict.data, DENY))
        kinds = [item.get("type") for item in row.identifiers]
        names = left(self._people, out, recipient.fields, kinds, checked.own, checked.said, recipient.held)
        intended = Intended(row.id, checked.keys[0], leaving, names)
        return _Ready(row, ask, verdict, checked.keys, checked.own, checked.position, out, dropped, intended, relied_on)

    async def try_out(self, recipient: Recipient, rows: Sequence[Row]) -> list[Shared]:
        """The first check alone: which rows may wait to become files (`spooled`). Nothing is written."""
        done: dict[int, Shared] = {}
        ready = await self._decide_all(recipient, dict(enumerate(rows)), done)
        for index, item in ready.items():
            done[index] = Shared(item.row.id, "spooled", item.verdict.reason, item.verdict.data, dropped=item.dropped)
        return [done[index] for index in range(len(rows))]

    async def take(self, recipient: Recipient, rows: Sequence[Row], since: int) -> Taken:
        """The check right before rows stand in a file, at most `CHUNK` of them; they are intended from then on. A row
        that an entry from `since` on intends already is a duplicate.
        """
        done: dict[int, Shared] = {}
        ready = await self._decide_all(recipient, dict(enumerate(rows)), done)
        batch, gone, without = await self._intend(recipient, list(ready.values()), since)
        self._take_out(ready, done, gone, without)
        stopped = self._check_again(recipient, ready, done)
        await self._mark(recipient, batch, stopped, "not_sent")
        out = [orjson.dumps({"id": item.row.id, **item.out}) for item in ready.values()]
        for index, item in ready.items():
            done[index] = Shared(item.row.id, "sealed", item.verdict.reason, item.verdict.data, dropped=item.dropped)
        marks = [(item.intended.row, batch) for item in ready.values()]
        return Taken(out, marks, [done[index] for index in sorted(done)])

    async def settle(self, recipient: Recipient, marks: Sequence[tuple[bytes, int]], outcome: str) -> None:
        """What became of rows in files."""
        await self._writer.commit(lambda tx: disclosures.settle(tx, recipient.name, marks, outcome))

    async def size(self) -> int:
        """How many entries there are: what is intended from now on has a later number."""
        return await self._writer.commit(lambda tx: tx.size)

    async def _intend(self, recipient: Recipient, ready: Sequence[_Ready], since: int | None = None) -> _Claimed:
        """Writes what is about to leave. What goes at a person's wish claims the wish: one act, one transfer (R28). A
        precise point gets the proof of its opt-in, and without one does not go (R7).
        """
        at = self._clock()
        wanted = [item.intended for item in ready]

        def job(tx: Transaction) -> _Claimed:
            gone = disclosures.already_left(tx, recipient.name, wanted, milliseconds(at), since)
            fresh = [item for item in ready if item.row.id not in gone]
            without = {item.row.id: Reason.OPT_IN_REQUIRED for item in fresh if not _proved(tx, item)}
            if recipient.role is Role.CONSUMER_DIRECTED:
                without |= {
                    item.row.id: Reason.NO_ACT for item in fresh if item.row.id not in without
                    and not grants.claim(tx, item.own, recipient.name, item.intended.row, milliseconds(at))
                }  # fmt: skip
            going = [item.intended for item in fresh if item.row.id not in without]
            batch = disclosures.intend(tx, recipient.name, recipient.purposes, going, at) if going else -1
            return _Claimed(batch, gone, without)

        return await self._writer.commit(job) if wanted else _Claimed(-1, set(), {})

    async def _forward(self, recipient: Recipient, batch: int, ready: Chunk, done: dict[int, Shared]) -> None:
        """Checks again and sends; whoever opted out meanwhile is taken out. A connection that took longer than the
        window sends nothing, and all is checked once more.
        """
        stopped: Chunk = {}
        outcome = "unknown"
        for _ in range(ATTEMPTS):
            deadline = time.monotonic() + self.window.total_seconds()  # from before the check
            stopped |= self._check_again(recipient, ready, done)
            if not ready:
                break
            rows = [{"id": item.row.id, **item.out} for item in ready.values()]
            answer = await self._forwarder.send(recipient.endpoint, secrets.token_hex(16), rows, deadline)
            outcome = "sent" if answer.outcome is Outcome.SENT else "unknown"
            if answer.outcome is not Outcome.LATE:
                break
        await self._mark(recipient, batch, ready, outcome)
        await self._mark(recipient, batch, stopped, "not_sent")
        for index, item in ready.items():
            done[index] = Shared(item.row.id, outcome, item.verdict.reason, item.verdict.data, dropped=item.dropped)

    async def _hand_back(
        self, recipient: Recipient, returned: Sequence[tuple[int, Chunk]], done: dict[int, Shared]
    ) -> None:
        """The last check of rows that are handed back, right before the answer: a call of many rows takes longer than
        the window. It is repeated until nothing had to be taken out, for taking out waits for the ledger. The window
        counts from before it: another process may acknowledge an opt-out while it goes on.
        """
        moved, until = True, self._clock()
        while moved:
            moved, until = False, self._clock() + self.window
            for batch, ready in returned:
                stopped = self._check_again(recipient, ready, done)
                moved = moved or bool(stopped)
                await self._mark(recipient, batch, stopped, "not_sent")
        for _, ready in returned:
            for index, item in ready.items():
                done[index] = Shared(
                    item.row.id, "returned", item.verdict.reason, item.verdict.data, item.out, item.dropped, until
                )

    def _check_again(self, recipient: Recipient, ready: Chunk, done: dict[int, Shared]) -> Chunk:
        """Takes out, and answers, the rows whose verdict is not what it was. Only those are asked about again of whom
        something was written since.
        """
        stopped: Chunk = {}
        items = list(ready.items())
        for start in range(0, len(items), GROUP):
            group = items[start : start + GROUP]
            keys = [key for _, item in group for key in item.keys]
            oldest = min((item.position or 0 for _, item in group), default=0)
            for index, item in group if self._checks.moved(keys, oldest) else ():
                checked = self._checks.check(replace(item.ask, claimed=True))
                again = checked.verdicts[recipient.name]
                proved = not item.relied_on or proof.relied_on(recipient, checked.grants) == item.relied_on
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
            if outcome != "not_sent":
                received.take_back(tx, recipient.name, gone, at)
            for item in items.values() if directed else ():
                if outcome == "sent":
                    grants.use(tx, item.own, recipient.name, now)
                elif outcome == "not_sent":
                    grants.let_go(tx, item.own, recipient.name, item.intended.row)

        await self._writer.commit(job)


def _proved(tx: Transaction, item: _Ready) -> bool:
    """Puts the proofs of the opt-ins that it relies on into a row; whether each is there."""
    found = [consent_proof.of(tx, grant.seq, grant.purpose) for grant in item.relied_on]
    if found:
        item.out["consent"] = found
    return None not in found
