"""The log on PostgreSQL, by asyncpg: a batch is one round trip. For tests: it keeps the interface from being SQLite's
shape. What it does not have yet is a pool, several hosts to dial, and a role of its own.
"""

import asyncio
import os
from pathlib import Path

import asyncpg

from gateway.ledger.engine import log
from gateway.ledger.errors import NothingKept, StoreUnavailable
from gateway.terms import DAY_MS

TABLES = Path(__file__).with_suffix(".sql").read_text()
APPEND = (
    "SELECT (head).log, (head).size, (head).kept, (head).epoch, kinds, firsts, sizes"
    " FROM append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
)
READ = "SELECT seq, leaf, side, boxes, key FROM log_record WHERE seq >= $1 ORDER BY seq LIMIT $2"
HEAD = "SELECT log, size, kept, epoch FROM {} h"
PUT_HEAD = "UPDATE log_head SET kept = $1, epoch = $2"
OLD = "DELETE FROM {0} WHERE {1} IN (SELECT {1} FROM {0} WHERE at < $1 LIMIT $2)"
DOUBTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
LOCAL_COMMIT = "01000"  # what comes with a commit that was no longer waited for: it may be on this machine alone
PATIENCE = 5.0  # seconds for the answer what became of a batch


async def make_log(at, name, epoch):
    """A new log, empty; what was there goes."""
    connection = await asyncpg.connect(**at)
    await connection.execute(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {TABLES}")
    await connection.execute("INSERT INTO log_head VALUES (1, $1, 0, 0, $2)", name, epoch)
    await connection.close()


def outcomes_of(row):
    columns = zip(row["kinds"], row["firsts"], row["sizes"], strict=True)
    return tuple(log.outcome_of(*each) for each in columns)


def arguments(name, batch, requests, at, epoch=None, only_at=None):
    """What `append_batch` takes."""
    refused = [log.is_oversized(each) for each in requests]
    pieces = [each for request, no in zip(requests, refused, strict=True) if not no for each in request.records]
    repeats = [request.repeat or (None, None) for request in requests]
    counts = [0 if no else len(request.records) for request, no in zip(requests, refused, strict=True)]
    names, contents = [each[0] for each in repeats], [each[1] for each in repeats]
    return name, batch, at, epoch, only_at, counts, names, contents, *([each[n] for each in pieces] for n in range(4))


class PostgresTransaction(log.LogTransaction):
    """A job's thread waits for the loop's connection."""

    def __init__(self, connection, head, name, at):
        self._connection, self._loop = connection, asyncio.get_running_loop()
        self._head, self._name, self._at = head, name, at

    @property
    def head(self):
        return self._head

    def read(self, after, limit):
        log.prove_reading(after, limit)
        return [log.NumberedRecord(*row) for row in self._wait(self._connection.fetch(READ, after, limit))]

    def append(self, requests):
        given = arguments(self._name, os.urandom(log.ID_BYTES), requests, self._at)
        row = self._wait(self._connection.fetchrow(APPEND, *given))
        self._head = log.LogHead(*row[:4])
        return outcomes_of(row)

    def rewrite(self, seqs, sides):
        log.prove_sides(seqs, sides)
        there = self._wait(self._connection.fetchval("SELECT count(*) FROM log_record WHERE seq = ANY($1)", seqs))
        if there != len(seqs):
            raise ValueError("a number that has no record")
        sql = "UPDATE log_record r SET side = u.s FROM unnest($1::bigint[], $2::bytea[]) u (n, s) WHERE r.seq = u.n"
        self._wait(self._connection.execute(sql, seqs, sides))

    def prune(self, below):
        if not self._head.kept <= below <= self._head.size:
            raise ValueError(f"not below {below}")
        self._put_head(self._head._replace(kept=below))
        self._wait(self._connection.execute("DELETE FROM log_record WHERE seq < $1", below))

    def rekey(self, epoch):
        self._put_head(self._head._replace(epoch=epoch))

    def expire(self, before):
        done = [
            self._wait(self._connection.execute(OLD.format(*table), before, log.EXPIRED_AT_ONCE))
            for table in (("log_repeat", "name"), ("log_batch", "id"))
        ]
        return f"DELETE {log.EXPIRED_AT_ONCE}" in done

    def _put_head(self, head):
        self._head = head
        self._wait(self._connection.execute(PUT_HEAD, head.kept, head.epoch))

    def _wait(self, asked):
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()


class PostgresLog(log.Log):
    """`at`: where the server is, as asyncpg takes it. One connection writes, another one reads."""

    def __init__(self, at, name):
        self._at, self._name = at, name
        self._writing = self._reading = None
        self._turn, self._looking = asyncio.Lock(), asyncio.Lock()
        self._begun, self._closed, self._local = set(), False, False

    async def append(self, batch):
        log.prove_batch(batch)
        return await self._to_its_end(self._append, batch)

    async def transaction(self, job, at):
        return await self._to_its_end(self._transact, job, at)

    async def expire(self, now):
        return await self.transaction(lambda tx: tx.expire(now - log.KEPT_DAYS * DAY_MS), now)

    async def read(self, after, limit):
        log.prove_reading(after, limit)
        return [log.NumberedRecord(*row) for row in await self._look(READ, after, limit)]

    async def head(self):
        return log.LogHead(*(await self._look(HEAD.format("log_head")))[0])

    async def idempotent(self, repeat):
        rows = await self._look("SELECT content, first, size FROM log_repeat WHERE name = $1", repeat.name)
        return log.KnownRepeat(*rows[0]).outcome(repeat.content) if rows else None

    async def batch_outcome(self, batch):
        rows = await self._look("SELECT kinds, firsts, sizes FROM log_batch WHERE id = $1", batch)
        return outcomes_of(rows[0]) if rows else None

    async def close(self):
        self._closed = True
        while self._begun:
            await asyncio.wait({*self._begun})
        for connection in (self._writing, self._reading):
            if connection is not None:
                await connection.close()

    async def _append(self, batch):
        given = arguments(self._name, batch.id, batch.requests, batch.at, batch.epoch, batch.only_at)
        try:
            connection = await self._connected()
            row = await self._make_durable(lambda: connection.fetchrow(APPEND, *given))
        except DOUBTS as doubt:
            return outcomes_of(await self._ask_again(batch.id, doubt))
        if row["kinds"] is None:
            raise log.Moved(log.LogHead(*row[:4]))
        return outcomes_of(row)

    async def _transact(self, job, at):
        batch = os.urandom(log.ID_BYTES)
        try:
            connection = await self._connected()
            await connection.execute("BEGIN")
            head = log.LogHead(*await connection.fetchrow(HEAD.format("lock_head($1)"), self._name))
            tx = PostgresTransaction(connection, head, self._name, at)
            result, raised = await asyncio.to_thread(self._tried, job, tx)
            if raised is None:
                await connection.execute("INSERT INTO log_batch VALUES ($1, '{}', '{}', '{}', $2)", batch, at)
                await self._make_durable(lambda: connection.execute("COMMIT"))
            else:
                await connection.execute("ROLLBACK")
        except DOUBTS as doubt:
            await self._ask_again(batch, doubt)
        if raised is not None:
            raise raised
        return result

    @staticmethod
    def _tried(job, tx):
        try:
            return job(tx), None
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            raise
        except Exception as error:
            return None, error

    async def _make_durable(self, call):
        """Raises ConnectionError where it was done here and may be nowhere else."""
        done = await call()
        if self._local:
            raise ConnectionError("committed on this machine alone")
        return done

    async def _ask_again(self, batch, doubt):
        """What became of it: a second commit, on another connection. Nothing is cancelled at the deadline, for the
        driver would cancel the commit too.
        """
        self._let_go()
        asking = asyncio.create_task(self._ask(batch))
        await asyncio.wait({asking}, timeout=PATIENCE)
        if not asking.done():
            self._let_go()
        try:
            row = await asking
        except DOUBTS as again:
            self._let_go()
            raise NothingKept(f"nothing was kept that may be answered for: {again}") from doubt
        if row is None:
            raise NothingKept(f"nothing was kept: {doubt}") from doubt
        return row

    async def _ask(self, batch):
        connection = await self._connected()
        return await self._make_durable(
            lambda: connection.fetchrow("SELECT * FROM ask_batch($1, $2)", self._name, batch)
        )

    async def _connected(self):
        if self._writing is None or self._writing.is_closed():
            self._local = False
            self._writing = await asyncpg.connect(**self._at)
            self._writing.add_log_listener(self._noticed)
        return self._writing

    def _noticed(self, _, message):
        self._local = self._local or message.sqlstate == LOCAL_COMMIT

    def _let_go(self):
        if self._writing is not None:
            self._writing.terminate()
            self._writing = None

    async def _look(self, sql, *values):
        if self._closed:
            raise StoreUnavailable("the log is closed")
        async with self._looking:
            try:
                if self._reading is None or self._reading.is_closed():
                    self._reading = await asyncpg.connect(**self._at)
                if await self._reading.fetchval("SELECT log FROM log_head") != self._name:
                    raise StoreUnavailable("this is another log")
                return await self._reading.fetch(sql, *values)
            except DOUBTS as doubt:
                raise StoreUnavailable(f"the log cannot be read: {doubt}") from doubt

    async def _to_its_end(self, work, *given):
        if self._closed:
            raise NothingKept("nothing was kept: the log is closed")

        async def turn():
            async with self._turn:
                return await work(*given)

        task = asyncio.create_task(turn())
        self._begun.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task):
        self._begun.discard(task)
        task.exception()
