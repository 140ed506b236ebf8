"""The engines of the log as the conformance suite sees them: each gives handles on one log, as many as there are
processes that write it, and lets a test stand at the moment of a commit.
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
import time

import asyncpg

from gateway.ledger import schema
from gateway.ledger.engine import log, sqlite_log
from gateway.ledger.errors import NothingKept, StoreUnavailable
from support import memory_log, postgres_log

EPOCH, NOW = 1, 1_800_000_000_000
LATE = 0.15  # seconds by which the faulty engines commit behind their answer


class Engine:
    """`lost`: what a commit raises whose outcome nobody knows. `processes`: whether another process may open it."""

    lost, processes = ConnectionError("connection lost"), True

    def __init__(self, where):
        self.where, self.name, self._opened = where, os.urandom(16), []

    async def make(self):
        """A new log in the place of the one that was there."""

    async def open(self):
        self._opened.append(self.handle(self.where, self.name))
        return self._opened[-1]

    async def end(self):
        for each in self._opened:
            await each.close()

    def breaks_once(self, handle, *, kept):
        """The next commit breaks off, after it was done or before."""
        fires = iter([True])

        def fire(after):
            if after == kept and next(fires, False):
                raise self.lost

        self.at_commit(handle, lambda: fire(False), lambda: fire(True))

    def held_up(self, handle):
        """(begun, go on): commits wait until they are told to."""
        begun, go_on = threading.Event(), threading.Event()

        def wait():
            begun.set()
            assert go_on.wait(60)

        self.at_commit(handle, wait)
        return begun, go_on


class InMemory(Engine):
    processes = False
    handle = memory_log.MemoryLog

    async def make(self):
        made = memory_log.KeptRecords(self.name, EPOCH)
        if self.where is None:
            self.where = made
        else:
            self.where.become(made)

    def at_commit(self, handle, before=lambda: None, after=lambda: None):
        honest = handle._make_durable

        def commit(draft):
            before()
            honest(draft)
            after()

        handle._make_durable = commit

    def answers_early(self, handle):
        honest = handle._make_durable
        handle._make_durable = lambda draft: threading.Timer(LATE, honest, (draft,)).start()


class OnSqlite(Engine):
    lost = sqlite3.OperationalError("disk I/O error")
    handle = sqlite_log.SqliteLog

    async def idle(self, handle):
        """Once it does nothing behind its answers."""
        while handle._begun:
            await asyncio.wait({*handle._begun})

    async def make(self):
        def make():
            for path in self.where.glob(f"{sqlite_log.FILE}*"):
                path.unlink()
            with schema.held(self.where):
                sqlite_log.make_log(self.where, self.name, EPOCH)

        await asyncio.to_thread(make)

    def at_commit(self, handle, before=lambda: None, after=lambda: None):
        honest = handle._file._make_durable

        def commit(db):
            before()
            honest(db)
            after()

        handle._file._make_durable = commit

    def answers_early(self, handle):
        honest = handle._file._make_durable
        handle._file._make_durable = lambda db: threading.Timer(LATE, honest, (db,)).start()

    async def harm(self, what):
        def harm():
            with contextlib.closing(sqlite3.connect(self.where / sqlite_log.FILE)) as db:
                db.execute(what.replace("log_", ""))

        await asyncio.to_thread(harm)


class OnPostgres(Engine):
    handle = postgres_log.PostgresLog

    async def make(self):
        await postgres_log.make_log(self.where, self.name, EPOCH)

    def at_commit(self, handle, before=lambda: None, after=lambda: None):
        honest = handle._make_durable

        async def commit(call):
            await asyncio.to_thread(before)
            done = await honest(call)
            await asyncio.to_thread(after)
            return done

        handle._make_durable = commit

    def answers_early(self, handle):
        async def commit(call):
            connection = await handle._connected()
            await connection.execute("BEGIN")
            done = await call()
            handle._late = asyncio.create_task(self._later(connection))
            return done

        handle._make_durable = commit

    @staticmethod
    async def _later(connection):
        await asyncio.sleep(LATE)
        await connection.execute("COMMIT")

    async def harm(self, what):
        connection = await asyncpg.connect(**self.where)
        try:
            await connection.execute(what)
        finally:
            await connection.close()


ENGINES = {"memory": InMemory, "sqlite": OnSqlite, "postgres": OnPostgres}
REFUSED_HARM = (sqlite3.IntegrityError, asyncpg.RaiseError)


def record(word, **more):
    return log.LogRecord(word if isinstance(word, bytes) else word.encode(), **more)


def request(*words, key=b"", body=b"body"):
    repeat = log.Repeat(key.ljust(32, b"."), body.ljust(32, b".")) if key else None
    return log.LogRequest([each if isinstance(each, log.LogRecord) else record(each) for each in words], repeat)


def batch(*requests, **more):
    given = {"id": os.urandom(16), "at": NOW, "epoch": EPOCH} | more
    return log.LogBatch(requests=requests, **given)


async def put(handle, *words):
    """One request a word."""
    return await handle.append(batch(*map(request, words)))


async def leaves(handle, after=0):
    return [each.leaf for each in await handle.read(after, log.READ_RECORDS)]


async def append_many(handle, who, count):
    """Batches of one to three records, one after the other; where each stands."""
    places = {}
    for number in range(count):
        words = [f"{who}.{number}.{turn}" for turn in range(number % 3 + 1)]
        ((first, size, fresh),) = await handle.append(batch(request(*words)))
        assert (size, fresh) == (len(words), True)
        places |= {word.encode(): first + turn for turn, word in enumerate(words)}
    return places


def append_in_process(kind, where, name, who, count):
    """In a process of its own."""

    async def append():
        engine = ENGINES[kind](where)
        engine.name = name
        handle = await engine.open()
        try:
            return await append_many(handle, who, count)
        finally:
            await engine.end()

    return asyncio.run(append())


async def seen_within(seconds, look):
    """What a look gives once it gives something, or at the end."""
    end = time.monotonic() + seconds
    while not (found := await look()) and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return found


CANNOT = (NothingKept, StoreUnavailable)
