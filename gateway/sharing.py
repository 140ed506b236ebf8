"""Sharing rows: check, write as intended, check again, send, mark (design flow e, decision 12).

The second check runs after the intention is durable and right before the bytes leave; a send that could not start
within the send window of it is checked once more. So an opt-out's `effective_at` is its `accepted_at` plus the window.
At most one effect a row at a receiver that honours ids: a row that is known to have left is `duplicate` for 35 days, a
row of which that is not known goes again.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.check import Ask, Checks
from gateway.choice import rows as rows_of
from gateway.choice.law import country_of
from gateway.choice.recipient import Recipient
from gateway.choice.verdict import Verdict
from gateway.delivery.forward import Forwarder, Outcome
from gateway.ledger import disclosures
from gateway.ledger.disclosures import Intended
from gateway.ledger.records import milliseconds
from gateway.ledger.writer import StoreUnavailable, Transaction, Writer
from gateway.people import People
from gateway.terms import Answer, Reason


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it came. `problem`: why it cannot be read; it is then refused as malformed."""

    id: str
    identifiers: Sequence[Mapping[str, object]] = ()
    data: Mapping[str, object] = field(default_factory=dict)
    place: object = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Shared:
    """What became of one row: sent, returned, refused, duplicate or unknown."""

    id: str
    outcome: str
    reason: str
    data: Mapping[str, Answer] = field(default_factory=dict)
    row: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class _Ready:
    """A row that may go: how it was asked for, what would leave, and the record of it."""

    row: Row
    ask: Ask
    verdict: Verdict
    out: dict[str, object]
    intended: Intended


class Sharing:
    """The outbound door. One instance; calls run side by side, chunks of one call one after the other."""

    def __init__(
        self, *, checks: Checks, people: People, writer: Writer, forwarder: Forwarder,
        clock: Callable[[], datetime], send_window: timedelta,
    ) -> None:  # fmt: skip
        self._checks = checks
        self._people = people
        self._writer = writer
        self._forwarder = forwarder
        self._clock = clock
        self._window = send_window.total_seconds()

    async def close(self) -> None:
        await self._forwarder.close()

    async def share(self, recipient: Recipient, rows: Sequence[Row]) -> list[Shared]:
        """The outcome of every row, in order. Raises `StoreUnavailable` when an intention could not be kept: what
        was sent before that answers `duplicate` when the rows are posted again.
        """
        done: dict[int, Shared] = {}
        for start in range(0, len(rows), disclosures.CHUNK):
            await self._chunk(recipient, dict(enumerate(rows[start : start + disclosures.CHUNK], start)), done)
        return [done[index] for index in range(len(rows))]

    async def _chunk(self, recipient: Recipient, rows: Mapping[int, Row], done: dict[int, Shared]) -> None:
        ready: dict[int, _Ready] = {}
        seen: set[str] = set()
        for index, row in rows.items():
            if row.id in seen and not row.problem:
                done[index] = Shared(row.id, "duplicate", "duplicate")
                continue
            seen.add(row.id)
            result = self._decide(recipient, row)
            if isinstance(result, Shared):
                done[index] = result
            else:
                ready[index] = result
        left = await self._intend(recipient, list(ready.values()))
        for index in [index for index, item in ready.items() if item.row.id in left]:
            done[index] = Shared(ready.pop(index).row.id, "duplicate", "duplicate")
        await self._send(recipient, ready, done)

    def _decide(self, recipient: Recipient, row: Row) -> _Ready | Shared:
        """The first check."""
        if row.problem:
            return Shared(row.id, "refused", Reason.MALFORMED)
        classes = rows_of.classes_of(row.data, recipient.fields)
        latitude, longitude = rows_of.coordinates(row.data, recipient.fields)
        ask = Ask(
            (recipient.name,), row.identifiers, data=classes, place=row.place,
            geo={"lat": latitude, "lon": longitude}, row=True,
            beside=rows_of.identifiers_in(row.data, recipient.fields),
        )  # fmt: skip
        verdict = self._checks.check(ask).verdicts[recipient.name]
        if verdict.reason in {Reason.STALE, Reason.STORE_UNAVAILABLE}:
            raise StoreUnavailable("no row can be decided at this moment; post them again")
        out, leaving = rows_of.shape(row.data, recipient.fields, verdict.data)
        if not out:
            return Shared(row.id, "refused", verdict.reason, verdict.data)
        key = self._people.name(row.identifiers, country_of(row.place)).subjects[0].key
        return _Ready(row, ask, verdict, out, Intended(row.id, key, leaving))

    async def _intend(self, recipient: Recipient, ready: Sequence[_Ready]) -> set[str]:
        """Writes what is about to leave; answers the ids of rows that left before."""
        at = self._clock()
        wanted = [item.intended for item in ready]

        def job(tx: Transaction) -> set[str]:
            left = disclosures.already_left(tx, recipient.name, wanted, milliseconds(at))
            fresh = [row for row in wanted if row.row_id not in left]
            if fresh:
                disclosures.intend(tx, recipient.name, recipient.purposes, fresh, at)
            return left

        return await self._writer.commit(job) if wanted else set()

    async def _send(self, recipient: Recipient, ready: dict[int, _Ready], done: dict[int, Shared]) -> None:
        stopped = [item.intended for item in self._check_again(recipient, ready, done)]
        outcome = await self._leave(recipient, ready)
        records = [item.intended for item in ready.values()]
        marked = "unknown" if outcome == "unknown" else "sent"

        def job(tx: Transaction) -> None:
            disclosures.mark(tx, recipient.name, records, marked)
            disclosures.mark(tx, recipient.name, stopped, "not_sent")

        if records or stopped:
            await self._writer.commit(job)
        for index, item in ready.items():
            row = item.out if outcome == "returned" else None
            done[index] = Shared(item.row.id, outcome, item.verdict.reason, item.verdict.data, row)

    async def _leave(self, recipient: Recipient, ready: Mapping[int, _Ready]) -> str:
        """The bytes leave now, or are handed back. A receiver that refused may have taken some: not known."""
        if recipient.mode == "return" or not ready:
            return "returned"
        batch = [{"id": item.row.id, **item.out} for item in ready.values()]
        answer = await self._forwarder.send(recipient.endpoint, secrets.token_hex(16), batch)
        return "sent" if answer.outcome is Outcome.SENT else "unknown"

    def _check_again(self, recipient: Recipient, ready: dict[int, _Ready], done: dict[int, Shared]) -> list[_Ready]:
        """The second check: whoever opted out since the first one is taken out and listed. It is repeated while it
        took longer than the window, so that the send starts within it.
        """
        stopped: list[_Ready] = []
        while ready:
            began = time.monotonic()
            for index, item in list(ready.items()):
                again = self._checks.check(item.ask).verdicts[recipient.name]
                if again.data != item.verdict.data:
                    done[index] = Shared(item.row.id, "refused", again.reason, again.data)
                    stopped.append(ready.pop(index))
            if time.monotonic() - began < self._window:
                break
        return stopped
