"""Telling recipients: what waits in the outbox is posted, signed, and tried again until it is taken (R18).

Runs beside the service. A message to a recipient without an endpoint waits for the desk. A receiver may get a message
twice, under one id; it never gets one that is not in the outbox. Knows nobody's identifiers: it hands on bodies.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from functools import partial

from gateway.delivery import post
from gateway.delivery.beside import beside
from gateway.delivery.post import Courier
from gateway.keys import Secrets
from gateway.ledger import outbox, schema
from gateway.ledger.entry import b64
from gateway.ledger.outbox import Message, Waiting
from gateway.ledger.records import milliseconds
from gateway.ledger.writer import StoreUnavailable, Transaction, Writer

PERIOD = 5.0  # seconds between two looks; a recipient has days (11 CCR 7022: 45)
AT_ONCE = 50  # messages of one recipient between two looks at the outbox


class Telling:
    """`endpoints`: where messages go, by recipient."""

    def __init__(
        self, writer: Writer, endpoints: Mapping[str, str], secrets: Secrets, clock: Callable[[], datetime]
    ) -> None:
        self._writer = writer
        self._endpoints = dict(endpoints)
        self._secrets = secrets
        self._clock = clock
        self._courier = Courier()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Delivers until it is left; what is under way then is delivered after the next start."""
        try:
            async with beside(self._run, wanted=bool(self._endpoints)):
                yield
        finally:
            await self._courier.close()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable):  # what was posted and not marked is posted again
                await self.deliver()
            await asyncio.sleep(PERIOD)

    async def deliver(self) -> int:
        """Posts what is due. Returns how many messages were taken. Raises `StoreUnavailable`."""
        due = await asyncio.to_thread(self._next_due)
        if due is None or due > milliseconds(self._clock()):
            return 0
        return sum([await self._deliver_to(recipient, endpoint) for recipient, endpoint in self._endpoints.items()])

    async def _deliver_to(self, recipient: str, endpoint: str) -> int:
        now = milliseconds(self._clock())
        messages = await self._writer.commit(lambda tx: outbox.read(tx, recipient, now, AT_ONCE))
        secret, done = post.secret_of(self._secrets, recipient), 0
        for message in messages:
            took = message.body is None or await self._courier.post(
                endpoint, secret, name_of(message), self._clock(), message.body
            )
            mark = partial(outbox.taken if took else outbox.failed, name=message.id, now=milliseconds(self._clock()))
            await self._writer.commit(mark)
            done += took
        return done

    def _next_due(self) -> int | None:
        try:
            with contextlib.closing(self._writer.store.open_to_read()) as db:
                return outbox.next_due(db, frozenset(self._endpoints))
        except (sqlite3.Error, schema.LedgerRefused):
            return None

    async def waiting(self) -> list[Waiting]:
        """What waits, with an endpoint or without."""
        return await self._writer.commit(outbox.waiting)

    async def take(self, recipient: str, hand: Callable[[Message], None]) -> int:
        """Hands every waiting message of a recipient to the desk, then marks it. Returns how many."""
        messages = await self._writer.commit(lambda tx: outbox.read(tx, recipient))
        for message in messages:
            hand(message)

        def job(tx: Transaction) -> None:
            for message in messages:
                outbox.taken(tx, message.id, milliseconds(self._clock()))

        await self._writer.commit(job)
        return len(messages)

    def secret(self, recipient: str) -> str:
        """What a recipient checks signatures with."""
        return post.printed(post.secret_of(self._secrets, recipient))


def name_of(message: Message) -> str:
    """The message's id on the wire."""
    return "msg_" + b64(message.id)
