"""Telling recipients: what waits in the outbox is posted, signed, and tried again until it is taken (R18).

Runs beside the service, one recipient beside the other, so that a slow one holds up nobody. A message to a recipient
without an endpoint waits for the desk. A receiver may get a message twice, under one id; it never gets one that is not
in the outbox. Knows nobody's identifiers: it hands on bodies.
"""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import anyio

from gateway.delivery import post, schedule
from gateway.delivery.beside import beside
from gateway.delivery.carrier import Carrier, Parcel
from gateway.delivery.deadlines import Calendar
from gateway.delivery.post import Outcome, Tried
from gateway.keys import Secrets
from gateway.ledger import endpoints, outbox, schema
from gateway.ledger.entry import b64
from gateway.ledger.outbox import Listed, Message, State
from gateway.ledger.records import milliseconds, moment
from gateway.ledger.writer import StoreUnavailable, Transaction, Writer

PERIOD = 5.0  # seconds between two looks; a recipient has days
AT_ONCE = 50  # messages of one recipient between two looks at the outbox
RESTS = 5 * schedule.MINUTE  # after a failure, the longest until another message is tried at that receiver
GAVE_UP = "gave its endpoint up (410)"


@dataclass(frozen=True, slots=True)
class Open:
    """What is open for one recipient: pending, given up, past their deadline; and whether it gave its endpoint up."""

    recipient: str
    pending: int
    failed: int
    overdue: int
    oldest: datetime
    gone: bool


class Telling:
    """`endpoints`: where messages go, by recipient. `carriers`: how, where that is not by post."""

    def __init__(
        self, writer: Writer, endpoints: Mapping[str, str], secrets: Secrets, clock: Callable[[], datetime],
        carriers: Mapping[str, Carrier], calendar: Calendar,
    ) -> None:  # fmt: skip
        self._writer = writer
        self._endpoints = dict(endpoints)
        self._secrets = secrets
        self._clock = clock
        self._carriers = dict(carriers)
        self.calendar = calendar
        self._busy = set[str]()
        self.tried: Callable[[str, str], None] = lambda *_: None  # told of each try: recipient, outcome

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Delivers until it is left; what is under way then is delivered after the next start."""
        try:
            async with beside(self._run, wanted=bool(self._endpoints)):
                yield
        finally:
            await self.close()

    async def close(self) -> None:
        for carrier in dict.fromkeys(self._carriers.values()):
            await carrier.close()

    async def _run(self) -> None:
        async with anyio.create_task_group() as tasks:
            while True:
                for recipient in set(await asyncio.to_thread(self._due)) - self._busy:
                    self._busy.add(recipient)
                    tasks.start_soon(self._beside_others, recipient)
                await asyncio.sleep(PERIOD)

    async def _beside_others(self, recipient: str) -> None:
        try:
            await self._deliver_to(recipient)
        except StoreUnavailable:
            """What was posted and not marked is posted again."""
        finally:
            self._busy.discard(recipient)

    async def deliver(self) -> int:
        """Posts what is due. Returns how many messages were taken. Raises `StoreUnavailable`."""
        due = await asyncio.to_thread(self._due)
        return sum(await asyncio.gather(*map(self._deliver_to, due)))

    def _due(self) -> list[str]:
        """The recipients that something is due for."""
        now = milliseconds(self._clock())
        try:
            with contextlib.closing(self._writer.store.open_to_read()) as db:
                return [name for name, due in outbox.next_due(db, self._endpoints).items() if due <= now]
        except (sqlite3.Error, schema.LedgerRefused):
            return []

    async def _deliver_to(self, recipient: str) -> int:
        endpoint, now, done = self._endpoints[recipient], milliseconds(self._clock()), 0

        def job(tx: Transaction) -> tuple[list[Message], Sequence[int]]:
            known = endpoints.read(tx, recipient, now)
            if known.gone == endpoint:
                outbox.give_up(tx, recipient, GAVE_UP)
            elif known.gone:
                endpoints.back(tx, recipient)
            return outbox.read(tx, recipient, now, AT_ONCE), known.generations

        messages, generations = await self._writer.commit(job)
        keys = [post.secret_of(self._secrets, recipient, generation) for generation in generations]
        for message in messages:
            tried = await self._try(message, endpoint, keys)
            self.tried(recipient, tried.outcome)
            await self._mark(message, endpoint, tried)
            done += tried.taken
            if _is_about_the_receiver(tried):
                break
        return done

    async def _try(self, message: Message, endpoint: str, keys: Sequence[bytes]) -> Tried:
        if message.body is None:
            return Tried(Outcome.TAKEN, "its key is gone")
        parcel = Parcel(name_of(message.id), message.body, endpoint, keys)
        return await self._carriers[message.recipient].carry(parcel, self._clock())

    async def _mark(self, message: Message, endpoint: str, tried: Tried) -> None:
        now, recipient = milliseconds(self._clock()), message.recipient

        def job(tx: Transaction) -> None:
            if tried.taken:
                outbox.taken(tx, message.id, now, tried.answer)
                return
            pause = schedule.pause(message.tries + 1)
            due = None if pause is None else now + max(pause, tried.wait)
            outbox.failed(tx, message.id, now, due, tried.answer)
            if tried.outcome is Outcome.GONE:
                endpoints.gave_up(tx, recipient, endpoint, now)
                outbox.give_up(tx, recipient, GAVE_UP)
            elif _is_about_the_receiver(tried):
                outbox.put_off(tx, recipient, now + (tried.wait or min(pause or RESTS, RESTS)))

        await self._writer.commit(job)

    async def open(self) -> list[Open]:
        """What is open, by recipient. Raises `StoreUnavailable`."""
        return await asyncio.to_thread(self._open)

    def _open(self) -> list[Open]:
        now = self._clock()
        try:
            with contextlib.closing(self._writer.store.open_to_read()) as db:
                waiting, gone = outbox.waiting(db), endpoints.gone(db)
        except (sqlite3.Error, schema.LedgerRefused) as error:
            raise StoreUnavailable(f"the ledger cannot be read: {type(error).__name__}") from error
        counts: dict[str, Counter[str]] = {}
        oldest: dict[str, int] = {}
        for each in waiting:
            counted = counts.setdefault(each.recipient, Counter())
            counted[each.state] += each.count
            late = self.calendar.deadline(each.word, moment(each.received)) < now
            counted["overdue"] += each.count if late else 0
            oldest[each.recipient] = min(oldest.get(each.recipient, each.received), each.received)
        return [
            Open(name, found[State.PENDING], found[State.FAILED], found["overdue"], moment(oldest[name]),
                 gone.get(name) == self._endpoints.get(name, ""))
            for name, found in counts.items()
        ]  # fmt: skip

    async def listed(self, state: State, most: int) -> list[tuple[Listed, datetime]]:
        """Messages of one state, each with its deadline. Raises `StoreUnavailable`."""
        found = await self._writer.commit(lambda tx: outbox.listed(tx.db, state, most))
        return [(each, self.calendar.deadline(each.word, moment(each.received))) for each in found]

    async def again(self, *, recipient: str = "", name: bytes = b"") -> int:
        """Whatever is open of a recipient, or one message, is tried again as if anew. Returns how many."""
        now = milliseconds(self._clock())

        def job(tx: Transaction) -> int:
            if recipient:
                endpoints.back(tx, recipient)
            return outbox.again(tx, now, recipient=recipient, name=name)

        return await self._writer.commit(job)

    async def take(self, recipient: str, hand: Callable[[Message], None]) -> int:
        """Hands every open message of a recipient to the desk, then marks it. Returns how many."""
        messages = await self._writer.commit(lambda tx: outbox.read(tx, recipient))
        for message in messages:
            hand(message)

        def job(tx: Transaction) -> None:
            for message in messages:
                outbox.taken(tx, message.id, milliseconds(self._clock()), "by the desk")

        await self._writer.commit(job)
        return len(messages)

    async def secret(self, recipient: str, *, renew: bool = False) -> str:
        """What a recipient checks signatures with. `renew`: a new one; the one before it signs beside it."""
        now = milliseconds(self._clock())

        def job(tx: Transaction) -> int:
            return endpoints.rotate(tx, recipient, now) if renew else endpoints.read(tx, recipient, now).generations[0]

        return post.printed(post.secret_of(self._secrets, recipient, await self._writer.commit(job)))


def _is_about_the_receiver(tried: Tried) -> bool:
    """Whether the next message would fare no better: not what a 4xx says of one message."""
    refused = tried.answer.startswith("4") and tried.answer not in {"408", "410", "429"}
    return not tried.taken and not refused


def name_of(message: bytes) -> str:
    """The message's id on the wire."""
    return "msg_" + b64(message)
