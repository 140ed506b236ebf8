"""Behind each batch of the log that is durable, and before its answer: the tree, the checkpoint and the state of the host
have it, whoever wrote it; and nothing has what is not durable.
"""

import asyncio
import contextlib
import json
import os
import shutil
from itertools import count, groupby

import pytest
from support.folding import key
from support.states import records_of_universe, wrongs

from gateway import disk
from gateway.app import log_follower
from gateway.app.log_follower import LogFollower, sign_empty
from gateway.fold.record import Record, SaidOut
from gateway.keys import seals
from gateway.ledger.checkpoint_store import CheckpointStore
from gateway.ledger.engine.log import LogBatch, LogRecord, LogRequest, Repeat
from gateway.ledger.engine.sqlite_log import SqliteLog, make_log
from gateway.ledger.errors import LedgerRefused, NothingKept
from gateway.ledger.proof import entry, note, receipt
from gateway.ledger.proof.ed25519 import Ed25519Signer, Ed25519Verifier
from gateway.ledger.publisher import RolledBack
from gateway.ledger.side import pack_side
from gateway.state import environment
from gateway.state.environment import StateUnmarked
from gateway.state.upkeep import HostState
from gateway.terms import Purpose

pytestmark = pytest.mark.anyio
LOG, ORIGIN, AT, EPOCH = b"this very log...", "example.com/log", 1_800_000_000_000, 1
SIGNER = Ed25519Signer(ORIGIN, b"g" * 32)
LATER = 10**13
numbers = count(1)


def leaf(seq):
    return entry.canonical({"e": "opt_out", "i": entry.b64(b"event %010d" % seq)})


def as_requests(records):
    """A record of the log for each number that they have, without those that have none."""
    return [
        LogRequest([LogRecord(leaf(seq), pack_side(said, 0, EPOCH))])
        for seq, said in enumerate(list(group) for _, group in groupby(records, key=lambda each: each.seq))
    ]


def no(name, seq=0):
    return LogRequest(
        [LogRecord(leaf(seq), pack_side([Record(0, AT, key(name), SaidOut((Purpose.SALE,), "api"))], AT, EPOCH))]
    )


def batch_of(*requests):
    return LogBatch(os.urandom(16), AT, EPOCH, requests)


class Host:
    """One process beside a log's file; several may share a folder."""

    def __init__(self, folder, name=LOG):
        self.data, self.log = folder / "data", SqliteLog(folder / "data", name)
        self.state = HostState(self.data, EPOCH)
        self.store = CheckpointStore(folder / "store", name)

    async def __aenter__(self):
        self.follower = await LogFollower.open(self.data, self.log, self.store, ORIGIN, [SIGNER], self.state)
        return self

    async def __aexit__(self, *_):
        self.follower.close()
        self.state.close()
        await self.log.close()

    async def append(self, *requests):
        return await self.follower.append(batch_of(*requests))

    async def denies(self, name):
        return await asyncio.to_thread(self._denies, name)

    async def signed(self):
        """How many records."""
        return (await asyncio.to_thread(self.store.last)).size

    def _denies(self, name):
        with self.state.moment() as moment:
            standing = moment.standing(key(name), LATER)
        return standing is not None and standing.denies(Purpose.SALE)

    def receipt(self, seq, told):
        """The receipt of an event, verified by nothing but the key."""
        found = self.follower.receipt(seq, entry.b64(b"event %010d" % told))
        if found is None:
            return None
        signed = receipt.verify_receipt(found, [Ed25519Verifier(ORIGIN, SIGNER.public)])
        assert receipt.parse_receipt(found.text()).index == seq
        return signed


def begin_log(folder, name):
    make_log(folder / "data", name, EPOCH)
    sign_empty(CheckpointStore(folder / "store", name), ORIGIN)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    begin_log(tmp_path, LOG)
    return tmp_path


async def test_whoever_was_told_of_a_no_is_denied_and_has_its_receipt_from_the_same_moment(folder):
    async with Host(folder) as host:
        assert not await host.denies("ann")
        (placed,) = await host.append(no("ann", 7))
        assert await host.denies("ann")
        assert (host.receipt(placed.first, 7).size, await host.signed()) == (1, 1)
        assert host.receipt(placed.first, 8) is None
        assert host.receipt(5, 7) is None


@pytest.mark.parametrize("seed", range(3))
async def test_the_state_is_the_fold_of_the_log_whatever_it_says_and_in_whatever_batches(folder, seed):
    records = await asyncio.to_thread(records_of_universe, seed, 120)
    requests, sizes = as_requests(records), count(1)
    said = [
        Record(seq, each.at, each.key, each.said, each.account)
        for seq, group in enumerate(list(group) for _, group in groupby(records, key=lambda each: each.seq))
        for each in group
    ]
    async with Host(folder) as host:
        while requests:
            some, requests = requests[: (size := next(sizes))], requests[size:]
            await host.append(*some)
            await host.follower.index_on()
        assert await asyncio.to_thread(wrongs, host.state, said, LATER, len(said)) == []
    async with Host(folder) as again:
        assert await asyncio.to_thread(wrongs, again.state, said, LATER, len(said)) == []


async def test_two_processes_write_in_turn_and_each_answers_for_what_the_other_wrote(folder):
    async with Host(folder) as one, Host(folder) as other:
        for number in range(30):
            host, beside = (one, other) if number % 2 else (other, one)
            (placed,) = await host.append(no(f"{number} 0", number))
            assert await host.denies(f"{number} 0")
            assert await beside.denies(f"{number} 0")
            assert host.receipt(placed.first, number).size == placed.first + 1
        assert await one.signed() == 30


async def test_both_may_write_at_once(folder):
    async with Host(folder) as one, Host(folder) as other:

        async def write(host, who):
            for number in range(25):
                await host.append(no(f"{who} {number}"))
                assert await one.denies(f"{who} {number}")
                assert await other.denies(f"{who} {number}")

        await asyncio.gather(write(one, "a"), write(other, "b"), write(one, "c"))
        assert await one.signed() == (await one.log.head()).size == 75


async def test_what_was_durable_when_its_process_was_killed_is_followed_by_the_next(folder):
    async with Host(folder) as host:
        await host.append(no("ann"))
        await host.log.append(batch_of(no("bob"), no("cat")))  # and then it was killed
        assert not await host.denies("bob")
    async with Host(folder) as host:
        assert await host.denies("ann")
        assert await host.denies("bob")
        assert await host.denies("cat")
        assert await host.signed() == 3


async def test_a_batch_that_is_made_anew_and_sent_again_is_followed_as_the_log_has_it(folder):
    async with Host(folder) as host:
        first = batch_of(no("ann", 1))
        await host.log.append(first)  # and its process was killed before it answered
        assert await host.follower.append(first._replace(requests=[no("ann", 2)])) == ((0, 1, False),)
        assert (host.receipt(0, 1).size, host.receipt(0, 2)) == (1, None)
    async with Host(folder) as host:
        assert await host.denies("ann")


@pytest.mark.parametrize("ask", ["by its key", "by its batch"])
async def test_what_became_of_a_request_whose_caller_went_away_is_told_once_it_is_in_effect(folder, ask):
    repeat = Repeat(b"k" * 32, b"c" * 32)
    async with Host(folder) as host:
        batch = batch_of(no("ann")._replace(repeat=repeat))
        task = asyncio.create_task(host.follower.append(batch))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        while not await host.log.batch_outcome(batch.id):
            await asyncio.sleep(0)
        if ask == "by its key":
            assert (await host.follower.idempotent(repeat)).first == 0
        else:
            assert await host.follower.batch_outcome(batch.id) == ((0, 1, True),)
        assert await host.denies("ann")


async def test_nothing_is_followed_that_is_not_durable(folder, monkeypatch):
    async with Host(folder) as host:
        await host.append(no("ann"))
        monkeypatch.setattr(host.log._file, "commit", fails)
        with pytest.raises(NothingKept):
            await host.append(no("bob"))
        monkeypatch.undo()
        assert not await host.denies("bob")
        assert await host.signed() == 1


def fails(_):
    raise NothingKept("the disk is away")


async def test_the_control_a_batch_that_is_answered_before_it_is_followed_is_not_in_effect(folder):
    async with Host(folder) as host:
        (placed,) = await host.log.append(batch_of(no("ann", 7)))
        assert not await host.denies("ann")
        assert host.receipt(placed.first, 7) is None


async def test_a_state_that_is_lost_is_made_from_the_log(folder):
    async with Host(folder) as host:
        for number in range(40):
            await host.append(no(str(number)))
    shutil.rmtree(folder / "data" / environment.STATE)
    async with Host(folder) as host:
        assert [await host.denies(str(number)) for number in range(40)] == [True] * 40


async def test_an_index_that_is_lost_is_made_from_the_log(folder):
    async with Host(folder) as host:
        for number in range(300):
            await host.append(no(str(number), number))
        while not await host.follower.index_on():
            pass
    for path in (folder / "data").glob("index.sqlite3*"):
        path.unlink()
    async with Host(folder) as host:
        assert host.receipt(*[(await host.append(no("later", 999)))[0].first, 999]).size == 301


async def test_a_state_of_another_log_is_made_anew_and_stops_no_new_one(folder):
    async with Host(folder) as host:
        await host.append(no("ann"), no("bob"))
    for path in (folder / "data").glob("log.sqlite3*"):
        path.unlink()
    other = b"another log now."
    await asyncio.to_thread(begin_log, folder, other)
    async with Host(folder, other) as host:
        await host.append(no("cat"))
        assert [await host.denies(name) for name in ("ann", "cat")] == [False, True]


async def test_a_log_that_was_put_back_is_followed_no_further(folder):
    log = folder / "data" / "log.sqlite3"
    async with Host(folder) as host:
        await host.append(no("ann"))
    older = log.read_bytes()
    async with Host(folder) as host:
        await host.append(no("bob"))
    log.write_bytes(older)
    with pytest.raises(LedgerRefused, match="older copy"):
        async with Host(folder):
            pass


async def test_a_log_that_went_another_way_than_it_was_signed_is_refused(folder):
    async with Host(folder) as host:
        await host.append(no("ann"), no("bob"))
        last = await asyncio.to_thread(host.store.last)
        await asyncio.to_thread(host.store.swap, last, note.Checkpoint(ORIGIN, 1, b"another root".ljust(32)))
    with pytest.raises(RolledBack, match="did not grow out of"):
        async with Host(folder):
            pass


async def test_a_log_without_its_store_is_refused(folder):
    async with Host(folder) as host:
        await host.append(no("ann"))
        host.store.path.unlink()
    with pytest.raises(RolledBack, match="no checkpoint in its store"):
        async with Host(folder):
            pass


async def test_where_checks_cannot_be_shown_that_they_lack_it_it_is_not_answered(folder, monkeypatch):
    async with Host(folder) as host:
        monkeypatch.setattr(host.state, "catch_up", unmarked)
        with pytest.raises(NothingKept, match="without it"):
            await host.append(no("ann"))
        assert host.follower.why


def unmarked(_):
    raise StateUnmarked("the mark cannot be written")


async def test_a_state_that_cannot_follow_denies_and_the_no_stands(folder, monkeypatch):
    async with Host(folder) as host:
        monkeypatch.setattr("gateway.state.upkeep.fold_slice", full)
        await host.append(no("ann"))
        assert host.follower.why
        assert await asyncio.to_thread(host.state.denies)
        monkeypatch.undo()
        await host.append(no("bob"))
        assert (await host.denies("ann"), await host.denies("bob"), host.follower.why) == (True, True, "")


def full(*_, **__):
    raise log_follower.StateRefused("the state is full")


async def test_whoever_hangs_up_stops_nothing(folder):
    async with Host(folder) as host:
        for number in range(10):
            task = asyncio.create_task(host.append(no(str(number), number)))
            await asyncio.sleep(0.001 * (number % 4))
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await host.append(no("10", 10))
        kept = await host.log.read(0, 100)
        events = [seals.unb64(json.loads(each.leaf)["i"]) for each in kept]
        assert len(kept) == await host.signed()
        assert [await host.denies(str(int(event.split()[1]))) for event in events] == [True] * len(kept)


def older_copy(path):
    """What puts it back."""
    older = path.read_bytes()

    def put_back():
        path.write_bytes(older)
        for beside in path.parent.glob(f"{path.name}-*"):
            beside.unlink()

    return put_back


async def test_a_log_that_was_put_back_beside_a_newer_index_is_followed_no_further(folder):
    """The tree that the index has is the signed one: what is there of the log must be asked of the log itself."""
    async with Host(folder) as host:
        await host.append(no("ann"))
    put_back = older_copy(folder / "data" / "log.sqlite3")
    async with Host(folder) as host:
        await host.append(no("bob"), no("cat"))
        await host.follower.index_on()
    put_back()
    with pytest.raises(LedgerRefused, match="older copy"):
        async with Host(folder) as host:
            await host.append(no("eve"))
            assert await host.denies("eve")


async def test_a_log_that_went_on_otherwise_beside_its_index_is_followed_no_further(folder):
    async with Host(folder) as host:
        await host.append(no("ann"))
    put_back = older_copy(folder / "data" / "log.sqlite3")
    async with Host(folder) as host:
        await host.append(no("bob", 1), no("cat", 2))
        await host.follower.index_on()
    put_back()
    log = SqliteLog(folder / "data", LOG)
    await log.append(batch_of(no("dan", 3), no("eve", 4)))
    await log.close()
    with pytest.raises(LedgerRefused, match="older copy"):
        async with Host(folder) as host:
            assert await host.denies("eve")


async def test_a_start_without_an_index_holds_no_more_of_the_tree_than_the_index_lacks(folder, monkeypatch):
    log = SqliteLog(folder / "data", LOG)
    for first in range(0, 2560, 256):
        await log.append(batch_of(*(no(str(seq), seq) for seq in range(first, first + 256))))
    await log.close()
    monkeypatch.setattr(log_follower, "READ_RECORDS", 300)
    async with Host(folder) as host:
        assert await asyncio.to_thread(lambda: host.follower._index.position) >= 2100
        assert host.follower._tree.size - host.follower._tree.end.base < 1024
        assert (await host.signed(), await host.denies("7"), await host.denies("2559")) == (2560, True, True)


async def test_who_has_to_wait_too_long_for_another_follower_is_told_that_nothing_may_be_answered(folder, monkeypatch):
    monkeypatch.setattr(disk, "LOCK_SECONDS", 0.05)
    async with Host(folder) as host:
        with contextlib.ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, disk.locked(folder / "data" / log_follower.LOCK))
            with pytest.raises(NothingKept, match="follows"):
                await host.append(no("ann"))
        await host.append(no("bob"))
        assert await host.denies("ann")
