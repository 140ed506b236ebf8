"""The log on PostgreSQL while its connection or its standby goes: what is not known to be kept is asked for again, and
what is committed on one machine alone is not answered for.
"""

import asyncio
import time

import asyncpg
import pytest
from support import postgres_log
from support.log_engines import NOW, OnPostgres, batch, leaves, put, request

from gateway.ledger.errors import NothingKept

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
WAITS = "SELECT pid FROM pg_stat_activity WHERE wait_event = $1 AND pid <> pg_backend_pid()"


class Desk:
    """Whoever looks after the server."""

    def __init__(self, connection, where):
        self.connection, self.where = connection, where

    async def standby(self, *, there):
        """Without it each commit waits for one that never comes."""
        await self.connection.execute(
            "ALTER SYSTEM "
            + ("RESET" if there else "SET")
            + " synchronous_standby_names"
            + ("" if there else " = 'away'")
        )
        await self.connection.execute("SELECT pg_reload_conf()")
        shown = "" if there else "away"
        await self.until(lambda: self._shows(shown))
        if not there:
            await self.until(self._waits)

    async def _shows(self, name):
        return await self.connection.fetchval("SHOW synchronous_standby_names") == name

    async def _waits(self):
        """Whether commits do by now: the checkpointer tells them so, some time after this connection has read it."""
        probe = await asyncpg.connect(**self.where)
        commit = asyncio.create_task(probe.execute("SELECT pg_logical_emit_message(true, 'probe', 'one commit')"))
        await asyncio.wait({commit}, timeout=0.2)
        found = not commit.done() and await self.connection.fetchval(
            f"{WAITS} AND pid = $2", "SyncRep", probe.get_server_pid()
        )
        probe.terminate()
        if found:
            await self.connection.execute("SELECT pg_terminate_backend($1)", found)
            await self.until(lambda: self._is_gone(found))
        await asyncio.gather(commit, return_exceptions=True)
        return found

    async def _is_gone(self, backend):
        return not await self.connection.fetchval("SELECT 1 FROM pg_stat_activity WHERE pid = $1", backend)

    async def waiting(self, event):
        """The process of a backend that waits for this."""
        return await self.until(lambda: self.connection.fetchval(WAITS, event))

    @staticmethod
    async def until(look):
        end = time.monotonic() + 60
        while not (found := await look()):
            assert time.monotonic() < end
            await asyncio.sleep(0.01)
        return found


@pytest.fixture
async def engine(postgres):
    made = OnPostgres(postgres)
    await made.make()
    yield made
    await made.end()


@pytest.fixture
async def desk(postgres, engine):
    connection = await asyncpg.connect(**postgres)
    made = Desk(connection, postgres)
    yield made
    await made.standby(there=True)
    await connection.close()


async def cancelled_while_it_waits_for_the_standby(desk, handle, one):
    """The append, going on; its commit is on this machine, and was reported as if it were on both."""
    await put(handle, "before")
    await desk.standby(there=False)
    task = asyncio.create_task(handle.append(one))
    backend = await desk.waiting("SyncRep")
    await desk.connection.execute("SELECT pg_cancel_backend($1)", backend)
    return task, backend


async def test_a_commit_that_no_longer_waited_for_the_standby_is_not_answered_before_another_one_did(desk, engine):
    handle, one = await engine.open(), batch(request("a"))
    task, backend = await cancelled_while_it_waits_for_the_standby(desk, handle, one)

    async def another():
        return await desk.connection.fetchval(f"{WAITS} AND pid <> $2", "SyncRep", backend)

    await desk.until(another)
    assert not task.done()
    await desk.standby(there=True)
    assert await task == ((1, 1, True),)
    assert await leaves(handle) == [b"before", b"a"]


async def test_where_the_standby_stays_away_nothing_is_answered_for_and_the_batch_is_found_later(
    desk, engine, monkeypatch
):
    monkeypatch.setattr(postgres_log, "PATIENCE", 0.2)
    handle, one = await engine.open(), batch(request("a"))
    task, _ = await cancelled_while_it_waits_for_the_standby(desk, handle, one)
    with pytest.raises(NothingKept):
        await task
    await desk.standby(there=True)
    assert await handle.append(one) == ((1, 1, False),)
    assert (await put(handle, "b"))[0].first == 2


async def test_the_control_an_engine_that_hears_no_notice_answers_for_a_commit_on_one_machine(
    desk, engine, monkeypatch
):
    monkeypatch.setattr(postgres_log.PostgresLog, "_noticed", lambda *_: None)
    task, _ = await cancelled_while_it_waits_for_the_standby(desk, await engine.open(), batch(request("a")))
    assert await task == ((1, 1, True),)


@pytest.mark.parametrize("what", ["a batch", "a transaction"])
async def test_a_connection_that_goes_before_anything_was_done_keeps_nothing(desk, engine, what):
    handle, one = await engine.open(), batch(request("b"))
    await put(handle, "a")
    async with desk.connection.transaction():
        await desk.connection.execute("SELECT * FROM log_head FOR UPDATE")
        job = handle.append(one) if what == "a batch" else handle.transaction(lambda tx: tx.append(one.requests), NOW)
        task = asyncio.create_task(job)
        await desk.connection.execute("SELECT pg_terminate_backend($1)", await desk.waiting("transactionid"))
        await asyncio.sleep(0.05)
        assert not task.done(), "whoever asks waits for whoever may still write"
    with pytest.raises(NothingKept):
        await task
    assert await handle.batch_outcome(one.id) is None
    assert await handle.append(one) == ((1, 1, True),)


async def test_a_server_that_is_away_keeps_nothing_and_reading_says_so(engine):
    handle = await engine.open()
    handle._at = {**engine.where, "port": 9}
    for call in (put(handle, "a"), handle.transaction(lambda tx: tx.head, NOW)):
        with pytest.raises(NothingKept):
            await call
    with pytest.raises(postgres_log.StoreUnavailable):
        await handle.head()
    handle._at = engine.where
    assert (await put(handle, "a"))[0].first == 0
