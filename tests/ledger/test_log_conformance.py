"""What the log promises of every engine (`gateway.ledger.engine.log`), asked of each: in memory, SQLite and PostgreSQL. And the
controls: an engine that breaks a promise is caught by the case that is about it.
"""

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest
from support import log_engines, postgres_log
from support.log_engines import (
    CANNOT,
    ENGINES,
    EPOCH,
    NOW,
    REFUSED_HARM,
    append_in_process,
    append_many,
    batch,
    leaves,
    put,
    record,
    request,
    seen_within,
)

from gateway.ledger.engine import log, sqlite_log
from gateway.ledger.engine.log import LogHead, Moved, PlacedRequest, RequestRefused
from gateway.ledger.errors import NothingKept, StoreUnavailable
from gateway.terms import DAY_MS

pytestmark = pytest.mark.anyio
MISMATCHED, OVERSIZED = RequestRefused.MISMATCHED, RequestRefused.OVERSIZED


@pytest.fixture(params=ENGINES)
async def engine(request, tmp_path):
    """A new log. The server is started for the first test that asks for it."""
    where = {
        "memory": lambda: None,
        "sqlite": lambda: tmp_path,
        "postgres": lambda: request.getfixturevalue("postgres"),
    }
    made = ENGINES[request.param](where[request.param]())
    await made.make()
    yield made
    await made.end()


@pytest.fixture
async def handle(engine):
    return await engine.open()


# --- order and numbers ---


async def test_records_stand_in_the_order_of_their_batch_from_zero_on(handle):
    assert await put(handle, "a", "b", "c") == tuple(PlacedRequest(seq, 1, fresh=True) for seq in range(3))
    assert await leaves(handle) == [b"a", b"b", b"c"]
    assert [each.seq for each in await handle.read(0, 10)] == [0, 1, 2]


async def test_a_batch_goes_on_where_the_last_one_ended(engine, handle):
    await put(handle, "a", "b")
    assert (await put(handle, "c"))[0].first == 2
    assert (await handle.head()) == LogHead(engine.name, 3, 0, EPOCH)


async def test_a_requests_records_follow_each_other(handle):
    places = await handle.append(batch(request("a", "b"), request("c"), request("d", "e", "f")))
    assert places == (PlacedRequest(0, 2, True), PlacedRequest(2, 1, True), PlacedRequest(3, 3, True))
    assert await leaves(handle) == [b"a", b"b", b"c", b"d", b"e", b"f"]


async def test_a_record_is_read_as_it_was_written_to_the_last_byte(handle):
    any_byte = bytes(range(256))
    full = log.LogRecord(any_byte, any_byte[::-1], any_byte * 2, any_byte[:32])
    largest = log.LogRecord(*(bytes(most) for most in (log.LEAF_BYTES, log.SIDE_BYTES, log.BOXES_BYTES, log.KEY_BYTES)))
    await handle.append(batch(request(full), request(record(b"")), request(largest)))
    assert await handle.read(0, 3) == [(0, *full), (1, b"", b"", b"", b""), (2, *largest)]


async def test_appenders_of_one_process_leave_no_gap(handle):
    done = await asyncio.gather(*(put(handle, f"{number}") for number in range(64)))
    assert sorted(places[0].first for places in done) == list(range(64))
    assert {int(leaf) for leaf in await leaves(handle)} == set(range(64))


async def test_appenders_of_several_processes_leave_no_gap_and_each_is_told_its_own_places(engine):
    handles = [await engine.open() for _ in range(4)]
    places = await asyncio.gather(*(append_many(each, who, 15) for who, each in enumerate(handles)))
    told = {leaf: seq for each in places for leaf, seq in each.items()}
    found = await handles[0].read(0, 1000)
    assert {each.leaf: each.seq for each in found} == told
    assert [each.seq for each in found] == list(range(4 * 30))
    assert (await handles[1].head()).size == 120


@pytest.mark.slow
async def test_real_processes_that_append_at_once_leave_no_gap_either(engine, handle):
    if not engine.processes:
        pytest.skip("this engine is of one process alone")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        kind, loop = next(name for name, each in ENGINES.items() if type(engine) is each), asyncio.get_running_loop()
        work = [
            loop.run_in_executor(pool, append_in_process, kind, engine.where, engine.name, who, 60)
            for who in ("first", "second")
        ]
        places = [*await asyncio.gather(*work), await append_many(handle, "third", 60)]
    told = {leaf: seq for each in places for leaf, seq in each.items()}
    assert {each.leaf: each.seq for each in await handle.read(0, 1000)} == told
    assert sorted(told.values()) == list(range(3 * 120))


# --- what was decided on a head ---


async def test_what_was_decided_on_the_head_is_kept_there(handle):
    await put(handle, "a")
    assert (await handle.append(batch(request("b"), only_at=1)))[0].first == 1


@pytest.mark.parametrize("position", [0, 2])
async def test_what_was_decided_elsewhere_is_refused_with_the_head_and_nothing_of_it_is_kept(handle, position):
    await put(handle, "a")
    late = batch(request("b", key=b"k"), request("c"), only_at=position)
    with pytest.raises(Moved) as moved:
        await handle.append(late)
    assert moved.value.head == await handle.head()
    assert await leaves(handle) == [b"a"]
    assert await handle.batch_outcome(late.id) is None
    assert await handle.idempotent(late.requests[0].repeat) is None
    assert (await put(handle, "d"))[0].first == 1


async def test_of_many_decided_on_one_head_one_is_kept(engine):
    handles = [await engine.open() for _ in range(3)]
    offers = [each.append(batch(request(f"{number}"), only_at=0)) for number, each in enumerate(handles)]
    done = await asyncio.gather(*offers, return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["Moved", "Moved", "tuple"]
    assert (await handles[0].head()).size == 1


async def test_keys_of_older_peppers_are_refused_and_those_of_the_new_ones_kept(engine, handle):
    await handle.transaction(lambda tx: tx.rekey(EPOCH + 1), NOW)
    with pytest.raises(Moved) as moved:
        await put(handle, "old")
    assert moved.value.head == LogHead(engine.name, 0, 0, EPOCH + 1)
    assert await handle.append(batch(request("new"), epoch=EPOCH + 1)) == ((0, 1, True),)
    assert await leaves(handle) == [b"new"]


# --- requests that come again ---


async def test_a_request_that_comes_again_has_its_first_place_and_is_not_written(engine, handle):
    again = request("a", "b", key=b"k")
    await put(handle, "before")
    assert await handle.append(batch(again)) == ((1, 2, True),)
    assert await handle.append(batch(again)) == ((1, 2, False),)
    assert await (await engine.open()).append(batch(request("other words", key=b"k"))) == ((1, 2, False),)
    assert await leaves(handle) == [b"before", b"a", b"b"]


async def test_a_key_with_another_body_is_refused_alone(handle):
    await handle.append(batch(request("a", key=b"k")))
    outcomes = await handle.append(batch(request("b"), request("c", key=b"k", body=b"other"), request("d")))
    assert outcomes == ((1, 1, True), MISMATCHED, (2, 1, True))
    assert await leaves(handle) == [b"a", b"b", b"d"]


async def test_equal_keys_in_one_batch_are_one_request(handle):
    twice = request("a", "b", key=b"k")
    assert await handle.append(batch(twice, request("c"), twice)) == ((0, 2, True), (2, 1, True), (0, 2, False))
    assert await leaves(handle) == [b"a", b"b", b"c"]
    assert await handle.append(batch(twice)) == ((0, 2, False),)


async def test_equal_keys_in_one_batch_with_other_bodies_are_the_firsts(handle):
    first, second = request("a", key=b"k"), request("b", key=b"k", body=b"other")
    assert await handle.append(batch(first, second)) == ((0, 1, True), MISMATCHED)
    assert await handle.append(batch(second, first)) == (MISMATCHED, (0, 1, False))
    assert await leaves(handle) == [b"a"]


async def test_equal_keys_at_once_in_several_processes_are_one_request(engine):
    handles = [await engine.open() for _ in range(4)]
    done = await asyncio.gather(*(each.append(batch(request("a", key=b"k"))) for each in handles * 3))
    assert {places[0][:2] for places in done} == {(0, 1)}
    assert sum(places[0].fresh for places in done) == 1
    assert await leaves(handles[0]) == [b"a"]


async def test_it_can_be_asked_what_a_key_was_answered_with(handle):
    first, other = request("a", key=b"k"), request("a", key=b"k", body=b"other")
    assert await handle.idempotent(first.repeat) is None
    await handle.append(batch(first))
    assert await handle.idempotent(first.repeat) == (0, 1, False)
    assert await handle.idempotent(other.repeat) is MISMATCHED


# --- batches that come again, and those whose outcome is not known ---


async def test_a_batch_that_is_sent_again_has_the_places_it_was_given_first(engine, handle):
    one = batch(request("a"), request("b", key=b"k"))
    assert await handle.append(one) == ((0, 1, True), (1, 1, True))
    await put(handle, "c")
    again = one._replace(requests=[request("made anew"), *one.requests[1:]])
    assert await handle.append(again) == ((0, 1, False), (1, 1, False))
    assert await (await engine.open()).append(one._replace(only_at=0)) == ((0, 1, False), (1, 1, False))
    assert await leaves(handle) == [b"a", b"b", b"c"]


async def test_a_batch_that_is_sent_twice_at_once_is_kept_once(engine):
    one, handles = batch(request("a"), request("b")), [await engine.open() for _ in range(3)]
    done = await asyncio.gather(*(each.append(one) for each in handles * 2))
    assert [place[:2] for places in done for place in places] == [(0, 1), (1, 1)] * 6
    assert sum(places[0].fresh for places in done) == 1
    assert await leaves(handles[0]) == [b"a", b"b"]


async def test_it_can_be_asked_what_became_of_each_request_of_a_batch(engine, handle):
    await handle.append(batch(request("a", key=b"k")))
    mixed = batch(request("b"), request("c", key=b"k", body=b"other"), request(), request("a", key=b"k"))
    outcomes = await handle.append(mixed)
    assert outcomes == ((1, 1, True), MISMATCHED, OVERSIZED, (0, 1, False))
    assert await (await engine.open()).batch_outcome(mixed.id) == outcomes
    assert await handle.batch_outcome(os.urandom(16)) is None


async def test_a_commit_that_broke_off_after_it_was_done_is_answered_with_its_places(engine, handle):
    await put(handle, "a")
    engine.breaks_once(handle, kept=True)
    assert await put(handle, "b", "c") == ((1, 1, True), (2, 1, True))
    assert await leaves(handle) == [b"a", b"b", b"c"]
    assert (await put(handle, "d"))[0].first == 3


async def test_a_commit_that_broke_off_before_it_was_done_kept_nothing_and_leaves_no_gap(engine, handle):
    await put(handle, "a")
    engine.breaks_once(handle, kept=False)
    lost = batch(request("b", key=b"k"), request("c"))
    with pytest.raises(NothingKept):
        await handle.append(lost)
    assert await handle.batch_outcome(lost.id) is None
    assert await leaves(handle) == [b"a"]
    assert (await put(handle, "d"))[0].first == 1
    assert await handle.append(lost) == ((2, 1, True), (3, 1, True))


# --- reading ---


async def test_it_is_read_from_any_position_in_slices(handle):
    await put(handle, *map(str, range(10)))
    assert [each.seq for each in await handle.read(3, 4)] == [3, 4, 5, 6]
    assert [each.seq for each in await handle.read(9, 4)] == [9]
    assert await handle.read(10, 4) == []
    assert await handle.read(10**12, 4) == []


@pytest.mark.parametrize(("after", "limit"), [(-1, 1), (0, 0), (0, -1), (0, log.READ_RECORDS + 1), (2**63, 1)])
async def test_a_reading_that_nobody_makes_is_refused(handle, after, limit):
    with pytest.raises(ValueError, match="records from a position"):
        await handle.read(after, limit)
    with pytest.raises(ValueError, match="records from a position"):
        await handle.transaction(lambda tx: tx.read(after, limit), NOW)


# --- what is taken away, and what is changed ---


async def test_what_was_pruned_is_gone_and_its_numbers_stay_used(engine, handle):
    await put(handle, *map(str, range(5)))
    await handle.prune(3, NOW)
    assert [each.seq for each in await handle.read(0, 10)] == [3, 4]
    assert await handle.head() == LogHead(engine.name, 5, 3, EPOCH)
    await handle.prune(5, NOW)
    assert await leaves(handle) == []
    assert (await put(handle, "next"))[0].first == 5
    assert await leaves(await engine.open()) == [b"next"]


@pytest.mark.parametrize("below", [-1, 1, 4])
async def test_nothing_is_pruned_that_is_not_there(handle, below):
    await put(handle, *map(str, range(3)))
    await handle.prune(2, NOW)
    with pytest.raises(ValueError, match="below"):
        await handle.prune(below, NOW)
    assert await leaves(handle) == [b"2"]
    assert (await handle.head()).kept == 2


async def test_a_request_whose_records_were_pruned_still_has_its_place(handle):
    again = request("a", key=b"k")
    await handle.append(batch(again))
    await handle.prune(1, NOW)
    assert await handle.append(batch(again)) == ((0, 1, False),)


async def test_a_side_is_rewritten_and_nothing_else(handle):
    whole = record("a", side=b"s", boxes=b"b", key=b"k")
    await handle.append(batch(request(whole, whole, whole)))
    await handle.rewrite([0, 2], [b"new", b""], NOW)
    assert await handle.read(0, 10) == [
        (0, b"a", b"new", b"b", b"k"),
        (1, b"a", b"s", b"b", b"k"),
        (2, b"a", b"", b"b", b"k"),
    ]


@pytest.mark.parametrize(
    ("seqs", "sides"),
    [([0, 7], [b"x", b"x"]), ([0], []), ([0, 0], [b"x", b"y"]), ([0], [bytes(log.SIDE_BYTES + 1)])],
    ids=["no such record", "no side", "twice", "too long"],
)
async def test_a_rewriting_that_cannot_be_done_changes_nothing(handle, seqs, sides):
    await handle.append(batch(request(record("a", side=b"s"))))
    with pytest.raises(ValueError, match=r"side|number"):
        await handle.rewrite(seqs, sides, NOW)
    assert (await handle.read(0, 1))[0].side == b"s"


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE log_record SET leaf = leaf || leaf",
        "UPDATE log_record SET boxes = leaf",
        "UPDATE log_record SET key = leaf",
        "UPDATE log_record SET seq = seq + 10",
        "DELETE FROM log_record WHERE seq = 1",
        "UPDATE log_head SET size = 2",
        "UPDATE log_head SET size = 9",
        "UPDATE log_head SET kept = 9",
        "UPDATE log_head SET log = (SELECT leaf FROM log_record WHERE seq = 0)",
        "DELETE FROM log_head",
    ],
)
async def test_what_was_said_is_neither_changed_nor_taken_away(engine, handle, harm):
    if not engine.processes:
        pytest.skip("nobody else reaches into this engine")
    await put(handle, "a", "b", "c")
    with pytest.raises(REFUSED_HARM):
        await engine.harm(harm)
    assert await leaves(handle) == [b"a", b"b", b"c"]
    assert await handle.head() == LogHead(engine.name, 3, 0, EPOCH)


# --- what is too large, or nothing ---


@pytest.mark.parametrize(
    "large",
    [
        record(bytes(log.LEAF_BYTES + 1)),
        record("a", side=bytes(log.SIDE_BYTES + 1)),
        record("a", boxes=bytes(log.BOXES_BYTES + 1)),
        record("a", key=bytes(log.KEY_BYTES + 1)),
    ],
    ids=["leaf", "side", "boxes", "key"],
)
async def test_what_is_too_long_is_refused_alone(handle, large):
    outcomes = await handle.append(batch(request("a"), request("b", large, key=b"k"), request("c")))
    assert outcomes == ((0, 1, True), OVERSIZED, (1, 1, True))
    assert await leaves(handle) == [b"a", b"c"]
    assert await handle.append(batch(request("d", key=b"k"))) == ((2, 1, True),), "its key is as if it never came"


async def test_a_request_of_nothing_or_of_too_much_is_refused_alone(handle):
    many = [record("x")] * (log.REQUEST_RECORDS + 1)
    outcomes = await handle.append(batch(request("a"), request(), request(*many), request(*many[1:])))
    assert outcomes == ((0, 1, True), OVERSIZED, OVERSIZED, (1, log.REQUEST_RECORDS, True))
    assert (await handle.head()).size == 1 + log.REQUEST_RECORDS


async def test_a_batch_of_nothing_is_kept_as_that(handle):
    await put(handle, "a")
    nothing = batch()
    assert await handle.append(nothing) == ()
    assert await handle.batch_outcome(nothing.id) == ()
    assert (await handle.head()).size == 1


@pytest.mark.parametrize(
    "wrong",
    [
        batch(request("a"), id=b"short"),
        batch(*[request("a")] * (log.BATCH_RECORDS + 1)),
        batch(request(*"a" * log.BATCH_RECORDS), request("b")),
        batch(log.LogRequest([record("a")], log.Repeat(b"short", bytes(32)))),
    ],
    ids=["id", "requests", "records", "repeat"],
)
async def test_a_batch_that_only_a_fault_of_ours_makes_is_refused_whole(handle, wrong):
    with pytest.raises(ValueError, match=r"batch|repeat"):
        await handle.append(wrong)
    assert (await handle.head()).size == 0


async def test_a_full_batch_is_kept(handle):
    requests = [request(f"{number}") for number in range(log.BATCH_RECORDS)]
    assert [places.first for places in await handle.append(batch(*requests))] == list(range(log.BATCH_RECORDS))


# --- callers who go away ---


async def test_a_caller_who_goes_away_during_the_commit_changes_nothing(engine, handle):
    begun, go_on = engine.held_up(handle)
    one = batch(request("a"), request("b"))
    task = asyncio.create_task(handle.append(one))
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    assert (await put(handle, "c"))[0].first == 2
    assert await handle.batch_outcome(one.id) == ((0, 1, True), (1, 1, True))


async def test_callers_who_go_away_at_any_moment_leave_whole_batches_and_no_lock(handle):
    tasks = []
    for number in range(30):
        tasks.append(asyncio.create_task(handle.append(batch(request(f"{number}a", f"{number}b")))))
        await asyncio.sleep(0.0004 * (number % 7))
        tasks[number // 2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await put(handle, "last")
    found = [leaf.decode() for leaf in await leaves(handle)]
    assert found[-1] == "last"
    assert [one[:-1] for one in found[:-1:2]] == [other[:-1] for other in found[1::2]]
    kept = {int(each[:-1]) for each in found[:-1]}
    assert kept >= {number for number, task in enumerate(tasks) if not task.cancelled()}


async def test_a_log_that_is_closed_finishes_what_was_begun_and_refuses_what_comes_then(engine, handle):
    begun, go_on = engine.held_up(handle)
    task = asyncio.create_task(put(handle, "a"))
    await asyncio.to_thread(begun.wait, 60)
    closing = asyncio.create_task(handle.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    go_on.set()
    await closing
    assert await task == ((0, 1, True),)
    for call in (put(handle, "b"), handle.read(0, 1), handle.transaction(lambda tx: tx.head, NOW)):
        with pytest.raises(StoreUnavailable):
            await call
    assert await leaves(await engine.open()) == [b"a"]


# --- transactions ---


async def test_a_transaction_sees_what_it_does_and_is_kept_whole(engine, handle):
    await put(handle, "a", "b")

    def job(tx):
        before = tx.head.size
        outcomes = tx.append([request("c", key=b"k"), request("d"), request("c", key=b"k")])
        tx.rewrite([1, 2], [b"new", b"newer"])
        tx.prune(1)
        return before, outcomes, tx.head, [(each.seq, each.side) for each in tx.read(0, 10)]

    before, outcomes, head, seen = await handle.transaction(job, NOW)
    assert (before, outcomes) == (2, ((2, 1, True), (3, 1, True), (2, 1, False)))
    assert head == LogHead(engine.name, 4, 1, EPOCH) == await (await engine.open()).head()
    assert seen == [(1, b"new"), (2, b"newer"), (3, b"")]
    assert await handle.idempotent(request(key=b"k").repeat) == (2, 1, False)


@pytest.mark.parametrize("error", [ValueError, OSError, StoreUnavailable], ids=lambda each: each.__name__)
async def test_a_transaction_that_raises_is_rolled_back_whole_and_its_error_is_the_callers(engine, handle, error):
    await handle.append(batch(request(record("a", side=b"s"))))
    before = await handle.head()

    def job(tx):
        tx.append([request("b", key=b"k")])
        tx.rewrite([0], [b"new"])
        tx.rekey(9)
        tx.prune(1)
        raise error("changed my mind")

    with pytest.raises(error, match="changed my mind"):
        await handle.transaction(job, NOW)
    assert await handle.head() == before
    assert await handle.read(0, 10) == [(0, b"a", b"s", b"", b"")]
    assert await handle.idempotent(request(key=b"k").repeat) is None
    assert (await put(handle, "c"))[0].first == 1


@pytest.mark.parametrize("kept", [True, False])
async def test_a_transaction_whose_commit_broke_off_is_answered_as_what_became_of_it(engine, handle, kept):
    engine.breaks_once(handle, kept=kept)
    work = handle.transaction(lambda tx: tx.append([request("a")]), NOW)
    if kept:
        assert await work == ((0, 1, True),)
    else:
        with pytest.raises(NothingKept):
            await work
    assert await leaves(handle) == [b"a"] * kept
    assert (await put(handle, "b"))[0].first == kept


async def test_nobody_writes_while_a_transaction_runs(engine, handle):
    other = await engine.open()
    assert await leaves(other) == []
    begun, go_on = log_engines.threading.Event(), log_engines.threading.Event()

    def job(tx):
        first = tx.head.size
        begun.set()
        assert go_on.wait(60)
        tx.append([request("mine")])
        return first, [each.leaf for each in tx.read(0, 10)]

    running = asyncio.create_task(handle.transaction(job, NOW))
    await asyncio.to_thread(begun.wait, 60)
    beside = [asyncio.create_task(put(each, "beside")) for each in (handle, other)]
    await asyncio.sleep(0.05)
    assert not any(each.done() for each in beside)
    assert await leaves(other) == []
    go_on.set()
    assert await running == (0, [b"mine"])
    assert sorted([places[0].first for places in await asyncio.gather(*beside)]) == [1, 2]


# --- durable, and the same log afterwards ---


async def test_what_was_answered_is_seen_from_elsewhere_at_once(engine, handle):
    other = await engine.open()
    assert (await other.head()).size == 0
    for number in range(5):
        await put(handle, f"{number}")
        assert (await other.head()).size == number + 1
        assert (await leaves(other))[-1] == b"%d" % number


async def test_nothing_is_seen_before_it_is_durable(engine, handle):
    other = await engine.open()
    assert (await other.head()).size == 0
    begun, go_on = engine.held_up(handle)
    one = batch(request("a", key=b"k"))
    task = asyncio.create_task(handle.append(one))
    await asyncio.to_thread(begun.wait, 60)
    for each in (handle, other):
        assert (await each.head()).size == 0
        assert await leaves(each) == []
        assert await each.batch_outcome(one.id) is None
        assert await each.idempotent(one.requests[0].repeat) is None
    assert not task.done()
    go_on.set()
    await task
    assert await leaves(other) == [b"a"]


async def test_a_log_that_was_closed_goes_on_where_it_was(engine, handle):
    one = batch(request("a", key=b"k"), request("b"))
    await handle.append(one)
    await handle.prune(1, NOW)
    await handle.close()
    again = await engine.open()
    assert await again.head() == LogHead(engine.name, 2, 1, EPOCH)
    assert await again.append(one) == ((0, 1, False), (1, 1, False))
    assert await again.append(batch(request("a", key=b"k"), request("c"))) == ((0, 1, False), (2, 1, True))
    assert await leaves(again) == [b"b", b"c"]


async def test_another_log_in_its_place_is_found(engine, handle):
    await put(handle, "a")
    mine, engine.name = engine.name, os.urandom(16)
    await engine.make()
    for call in (put(handle, "b"), handle.head(), handle.read(0, 1)):
        with pytest.raises(CANNOT):
            await call
    assert await leaves(await engine.open()) == []
    engine.name = mine
    with pytest.raises(CANNOT):
        await put(await engine.open(), "c")


# --- what need not be remembered for ever ---


async def test_keys_and_batch_ids_are_kept_for_thirty_five_days_and_no_longer(handle):
    end = NOW + log.KEPT_DAYS * DAY_MS
    old, young = (batch(request(word, key=word.encode()), at=at) for word, at in (("old", NOW), ("young", NOW + 1)))
    await handle.append(old)
    await handle.append(young)
    assert not await handle.expire(end)
    assert await handle.batch_outcome(old.id) == ((0, 1, True),)
    assert not await handle.expire(end + 1)
    assert (await handle.batch_outcome(old.id), await handle.idempotent(old.requests[0].repeat)) == (None, None)
    assert await handle.batch_outcome(young.id) == ((1, 1, True),)
    assert await handle.append(batch(*old.requests, *young.requests, at=end)) == ((2, 1, True), (1, 1, False))


async def test_much_that_is_old_goes_in_parts(handle):
    count, ahead = log.EXPIRED_AT_ONCE + 200, request("ahead", key=b"ahead")
    await handle.append(batch(ahead, at=NOW + 365 * DAY_MS))  # by a clock that is wrong; it holds up nothing
    for first in range(0, count, 200):
        keyed = [request("a", key=b"%d" % number) for number in range(first, first + 200)]
        await handle.append(batch(*keyed))
    later, parts = NOW + (log.KEPT_DAYS + 1) * DAY_MS, 1
    while await handle.expire(later):
        parts += 1
    assert parts <= 3
    for number in (0, 199, count - 1):
        assert await handle.idempotent(request(key=b"%d" % number).repeat) is None
    assert await handle.idempotent(ahead.repeat) == (0, 1, False)
    assert (await handle.head()).size == count + 1


# --- controls: a planted fault, and the case that catches it ---


def plant(monkeypatch, name, made):
    """Into what the engines in Python share."""
    for module in (log, sqlite_log):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, made)


def plant_sql(monkeypatch, honest, faulty):
    assert honest in postgres_log.TABLES
    monkeypatch.setattr(postgres_log, "TABLES", postgres_log.TABLES.replace(honest, faulty))


async def test_the_control_an_engine_that_answers_before_its_commit_is_caught(engine, handle):
    engine.answers_early(handle)
    with pytest.raises(AssertionError):
        await test_what_was_answered_is_seen_from_elsewhere_at_once(engine, handle)

    async def kept():
        return await leaves(await engine.open())

    assert await seen_within(10, kept) == [b"0"], "and by nothing but its being early"


async def test_the_control_equal_keys_in_one_batch_that_are_both_written_are_caught(monkeypatch, engine):
    honest = log.place_requests

    def each_alone(requests, size, known):
        outcomes, records, repeats = (), [], {}
        for each in requests:
            placed = honest([each], size + len(records), known)
            outcomes += placed.outcomes
            records += placed.records
            repeats |= placed.repeats
        return log.Placement(outcomes, records, repeats)

    plant(monkeypatch, "place_requests", each_alone)
    plant_sql(monkeypatch, "WHERE r.name = names[i];", "WHERE r.name = names[i] AND r.first < head.size;")
    plant_sql(monkeypatch, "next, n, now);", "next, n, now) ON CONFLICT (name) DO NOTHING;")
    await engine.make()
    with pytest.raises(AssertionError):
        await test_equal_keys_in_one_batch_are_one_request(await engine.open())


async def test_the_control_an_engine_that_looks_at_no_head_is_caught(monkeypatch, engine):
    plant(monkeypatch, "moved_from", lambda *_: False)
    plant_sql(monkeypatch, "IF made <> head.epoch OR only_at <> head.size THEN", "IF false THEN")
    await engine.make()
    handle = await engine.open()
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await test_what_was_decided_elsewhere_is_refused_with_the_head_and_nothing_of_it_is_kept(handle, 0)
    with pytest.raises(AssertionError):
        await test_of_many_decided_on_one_head_one_is_kept(engine)


async def test_the_control_numbers_with_a_gap_are_caught(monkeypatch, engine):
    """Two databases refuse them themselves."""
    honest = log.place_requests
    plant(monkeypatch, "place_requests", lambda requests, size, known: honest(requests, size + (size > 0), known))
    plant_sql(monkeypatch, "next := head.size;", "next := head.size + (head.size > 0)::int;")
    await engine.make()
    with pytest.raises((AssertionError, NothingKept)):
        await test_a_batch_goes_on_where_the_last_one_ended(engine, await engine.open())
