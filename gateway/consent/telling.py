"""Telling recipients: what waits in the outbox is posted, signed, and tried again until it is taken (R18). The service
runs it beside its doors; of several processes of a folder one does, and where that ends the next one. Of several
machines one does.

One recipient beside the other, so that a slow one holds up nobody. A message to a recipient without an endpoint waits
for the desk. A receiver may get a message twice, under one id; it never gets one that is not in the outbox. It knows
nobody's identifiers: it hands on bodies.
"""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import structlog

from gateway.delivery import webhook
from gateway.delivery.background import beside
from gateway.delivery.deadlines import Calendar
from gateway.delivery.webhook import Carrier, Parcel, PostOutcome, Tried
from gateway.desk import outbox
from gateway.desk.outbox import Listed, Message, OutboxKind, State, Waiting
from gateway.desk.own_systems import is_system
from gateway.disk import took
from gateway.keys.secret_files import Secrets
from gateway.ledger.entry import b64
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.store import asked_or, ledger_snapshot
from gateway.ledger.subjects import milliseconds, moment
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer

PERIOD = 5.0  # seconds between two looks; a recipient has days
AT_ONCE = 50  # messages of one recipient between two looks at the outbox
LOCK = "telling.lock"
RESTS = 5 * webhook.MINUTE  # after a failure, the longest until another message is tried at that receiver
REPEATED = "its acknowledgement was given before"
GAVE_UP = "gave its endpoint up (410)"
log = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class Open:
    """What is open for one recipient: pending, given up, past their deadline; and whether it gave its endpoint up."""

    recipient: str
    pending: int
    failed: int
    overdue: int
    oldest: datetime
    gone: bool


@dataclass(frozen=True, slots=True, eq=False)
class DeliveryWay:
    """How messages of a kind reach a recipient. `one_at_a_time`: one identifier a message."""

    recipient: str
    endpoint: str
    carrier: Carrier
    kind: OutboxKind = OutboxKind.ANY
    one_at_a_time: bool = False


class Telling:
    """`ways`: where messages go, and how; two of one recipient have different kinds of message. `tried` is told of each
    try: the recipient, and what became of it.
    """

    def __init__(
        self,
        folder: Path,
        writer: Writer,
        ways: Sequence[DeliveryWay],
        secrets: Secrets,
        clock: Callable[[], datetime],
        calendar: Calendar,
        tried: Callable[[str, str], None],
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._ways = tuple(ways)
        self._secrets = secrets
        self._clock = clock
        self.calendar = calendar
        self._busy = set[DeliveryWay]()
        self._tried = tried

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Delivers until it is left; what is under way then is delivered after the next start."""
        try:
            async with beside(self._run, wanted=bool(self._ways)):
                yield
        finally:
            await self.close()

    async def close(self) -> None:
        for way in self._ways:
            await way.carrier.close()

    async def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            while not await asyncio.to_thread(self._is_mine, stack):  # noqa: ASYNC110 - another process tells nobody when it ends
                await asyncio.sleep(PERIOD)
            await self._tell()

    def _is_mine(self, stack: contextlib.ExitStack) -> bool:
        """Whether no other process tells, none of which does from now on."""
        with contextlib.suppress(OSError):  # a disk that takes no file, and no entry either
            return took(stack, self._folder / LOCK)
        return False

    async def _tell(self) -> None:
        is_ours = self._writer.store.claim(LOCK)
        async with anyio.create_task_group() as tasks:
            while True:
                due = await asyncio.to_thread(lambda: self._due() if is_ours() else [])
                for way in set(due) - self._busy:
                    self._busy.add(way)
                    tasks.start_soon(self._beside_others, way)
                await asyncio.sleep(PERIOD)

    async def _beside_others(self, way: DeliveryWay) -> None:
        try:
            await self._deliver(way)
        except StoreUnavailable:
            """What was posted and not marked is posted again."""
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this one, the others are to be told
            log.warning("telling", recipient=way.recipient, why=type(error).__name__)
        finally:
            self._busy.discard(way)

    async def deliver(self) -> int:
        """Posts what is due. Returns how many messages were taken. Raises `StoreUnavailable`."""
        due = await asyncio.to_thread(self._due)
        return sum(await asyncio.gather(*map(self._deliver, due)))

    def _due(self) -> list[DeliveryWay]:
        """The ways that have something due."""
        now = milliseconds(self._clock())

        def due(db: sqlite3.Connection) -> list[DeliveryWay]:
            return [way for way in self._ways if outbox.is_due(db, way.recipient, now, way.kind)]

        return asked_or(self._writer.store, due, [])

    async def _deliver(self, way: DeliveryWay) -> int:
        recipient, now, done = way.recipient, milliseconds(self._clock()), 0

        def job(tx: Transaction) -> tuple[list[Message], Sequence[int]]:
            known = outbox.read_endpoint(tx, recipient, now)
            if known.gone == way.endpoint:
                outbox.give_up(tx, recipient, GAVE_UP, way.kind)
            elif known.gone and not self._is_configured(known.gone):
                outbox.take_endpoint_back(tx, recipient)
            if way.one_at_a_time:
                outbox.split_deletions(tx, recipient, now)
            return outbox.read_messages(tx, recipient, now, AT_ONCE, way.kind), known.generations

        messages, generations = await self._writer.commit(job)
        keys = webhook.secrets_of(self._secrets, recipient, generations)
        for message in messages:
            tried = await self._try(message, way, keys)
            self._tried(recipient, tried.outcome)
            await self._mark(message, way, tried)
            done += tried.taken
            if _is_about_the_receiver(tried):
                break
        return done

    def _is_configured(self, endpoint: str) -> bool:
        return any(way.endpoint == endpoint for way in self._ways)

    async def _try(self, message: Message, way: DeliveryWay, keys: Sequence[bytes]) -> Tried:
        if message.body is None:  # nobody was told: the officer's to find out of whom
            return Tried(PostOutcome.REFUSED, "its key is gone")
        parcel = Parcel(name_of(message.id), message.body, way.endpoint, keys)
        try:
            return await way.carrier.carry(parcel, self._clock())
        except Exception as error:  # noqa: BLE001 - what a receiver answers must not keep its messages from being counted
            return Tried(PostOutcome.FAILED, type(error).__name__)

    async def _mark(self, message: Message, way: DeliveryWay, tried: Tried) -> None:
        now, recipient = milliseconds(self._clock()), message.recipient

        def job(tx: Transaction) -> None:
            if tried.taken and _is_first(tx, message, tried, now):
                outbox.taken(tx, message.id, now, tried.answer)
                return
            pause = None if tried.outcome is PostOutcome.REFUSED else webhook.pause(message.tries + 1)
            due = None if pause is None else now + max(pause, tried.wait)
            outbox.failed(tx, message.id, now, due, REPEATED if tried.taken else tried.answer)
            if tried.outcome is PostOutcome.GONE:
                outbox.note_endpoint_gone(tx, recipient, way.endpoint, now)
                outbox.give_up(tx, recipient, GAVE_UP, way.kind)
            elif _is_about_the_receiver(tried):
                outbox.put_off(tx, recipient, now + (tried.wait or min(pause or RESTS, RESTS)), way.kind)

        await self._writer.commit(job)

    async def open(self) -> list[Open]:
        """What is open, by recipient. Raises `StoreUnavailable`."""
        return await asyncio.to_thread(self._open)

    def _read(self) -> tuple[list[Waiting], dict[str, str]]:
        """What is open, and which addresses were given up. Raises `StoreUnavailable`."""
        with ledger_snapshot(self._writer.store) as db:
            return outbox.waiting(db), outbox.endpoints_gone(db)

    def _open(self) -> list[Open]:
        now = self._clock()
        waiting, gone = self._read()
        counts: dict[str, Counter[str]] = {}
        oldest: dict[str, int] = {}
        for each in waiting:
            counted = counts.setdefault(each.recipient, Counter())
            counted[each.state] += each.count
            late = self._deadline(each) < now
            counted["overdue"] += each.count if late else 0
            oldest[each.recipient] = min(oldest.get(each.recipient, each.received), each.received)
        return [
            Open(
                name,
                found[State.PENDING],
                found[State.FAILED],
                found["overdue"],
                moment(oldest[name]),
                self._is_configured(gone.get(name, "")),
            )
            for name, found in counts.items()
        ]

    async def waiting(self) -> list[tuple[Waiting, datetime]]:
        """What is open by recipient, word, state and day, each with its deadline. Raises `StoreUnavailable`."""
        found, _ = await asyncio.to_thread(self._read)
        return [(each, self._deadline(each)) for each in found]

    def _deadline(self, each: Waiting | Listed) -> datetime:
        """By the request's own clock, where it has one. What came later than now was dated by a clock that was ahead:
        nobody knows when it came, and it is late.
        """
        now = self._clock()
        if each.received > milliseconds(now) + outbox.FARTHEST:
            return now - timedelta(milliseconds=outbox.FARTHEST)
        return moment(each.last) if each.last else self.calendar.deadline(each.word, moment(each.received))

    async def listed(self, state: State, most: int) -> list[tuple[Listed, datetime]]:
        """Messages of one state, each with its deadline. Raises `StoreUnavailable`."""
        found = await self._writer.commit(lambda tx: outbox.listed(tx.db, state, most))
        return [(each, self._deadline(each)) for each in found]

    async def again(self, *, recipient: str = "", name: bytes = b"") -> int:
        """Whatever is open of a recipient, or one message, is tried again from the first try on. Returns how many."""
        now = milliseconds(self._clock())

        def job(tx: Transaction) -> int:
            if recipient:
                outbox.take_endpoint_back(tx, recipient)
            return outbox.again(tx, now, recipient=recipient, name=name)

        return await self._writer.commit(job)

    async def take(self, recipient: str, hand: Callable[[Message], None]) -> int:
        """Hands every open message of a recipient to the desk, then marks it; but deletions in a system of our own,
        which are over by the word of who looked there alone. Returns how many.
        """
        kind = OutboxKind.OTHERS if is_system(recipient) else OutboxKind.ANY
        messages = await self._writer.commit(lambda tx: outbox.read_messages(tx, recipient, kind=kind))
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
            return (
                outbox.rotate_secret(tx, recipient, now)
                if renew
                else outbox.read_endpoint(tx, recipient, now).generations[0]
            )

        return webhook.printed(webhook.secret_of(self._secrets, recipient, await self._writer.commit(job)))


def _is_first(tx: Transaction, message: Message, tried: Tried, now: int) -> bool:
    """Whether what the recipient signed about it, where it signs, was not said before."""
    return not tried.proof or outbox.keep_deletion_token(
        tx, message.id, message.recipient, tried.proof_name, tried.proof, now
    )


def _is_about_the_receiver(tried: Tried) -> bool:
    """Whether the next message would fare no better: not what a 4xx says of one message."""
    refused = tried.answer.startswith("4") and tried.answer not in {"408", "410", "429"}
    return not (tried.taken or refused or tried.outcome in {PostOutcome.REFUSED, PostOutcome.LATER})


def name_of(message: bytes) -> str:
    """The message's id on the wire."""
    return "msg_" + b64(message)
