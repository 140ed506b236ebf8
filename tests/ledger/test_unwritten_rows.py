"""A batch's rows wait in memory: whoever reads reads them all the same, and what a job said that was refused goes alone."""

import contextlib

import pytest
from support.lives import Ledger

from gateway.ledger.acts import idempotency
from gateway.ledger.log_records import LedgerLog
from gateway.ledger.proof.merkle import Frontier, leaf_hash


class Refused(Exception):
    pass


BODIES = "SELECT body FROM entry ORDER BY seq"


@pytest.fixture
def tx():
    ledger = Ledger({})
    with contextlib.closing(ledger.db):
        yield ledger.tx


def root(*bodies):
    frontier = Frontier()
    for body in bodies:
        frontier.append(leaf_hash(body))
    return frontier.pack()


def refused(tx, *bodies, reads):
    """A job that says some things and raises. `reads`: it uses the connection in between, or it does not."""
    with pytest.raises(Refused), tx.savepoint():
        for body in bodies:
            tx.append(body)
            if reads:
                assert (body,) in tx.db.execute(BODIES).fetchall()
        raise Refused


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("first_reads", [False, True])
def test_what_a_refused_job_said_goes_and_nothing_else_does(tx, reads, first_reads):
    with tx.savepoint():
        tx.append(b"one")
        if first_reads:
            assert tx.db.execute(BODIES).fetchall() == [(b"one",)]
    refused(tx, b"lost", b"lost too", reads=reads)
    with tx.savepoint():
        assert tx.append(b"two") == 1
        refused(tx, b"within", reads=reads)  # in a savepoint of a job's own
        assert tx.append(b"three") == 2
    tx.finish()
    assert tx.db.execute(BODIES).fetchall() == [(b"one",), (b"two",), (b"three",)]
    assert tx.db.execute("SELECT size, frontier FROM head").fetchone() == (3, root(b"one", b"two", b"three"))
    assert tx.added.bodies == [b"one", b"two", b"three"]
    assert [*tx.added.hashes] == [leaf_hash(each) for each in (b"one", b"two", b"three")]


def test_what_was_asked_for_the_batch_is_asked_anew_once_a_job_wrote(tx):
    asks = "SELECT id FROM idempotency WHERE id IN ({marks})"
    tx._asks = {asks: {b"a", b"b"}}
    assert tx.found_among(asks, [b"a"]) == set()
    tx.db.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?)", (b"a", b"", b"", 0))
    assert tx.found_among(asks, [b"a"]) == {b"a"}
    assert tx.found_among(asks, [b"c"]) == set()  # nobody said so before


def test_what_is_done_once_a_batch_is_done_again_behind_a_job_that_was_refused(tx):
    def sweep():
        tx.done_once("DELETE FROM idempotency WHERE at < ?", (5,))

    tx.db.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?)", (b"old", b"", b"", 4))
    with pytest.raises(Refused), tx.savepoint():
        tx.db.execute("SELECT 1")  # so the engine takes a savepoint, and what is done behind it goes back
        sweep()
        raise Refused
    with tx.savepoint():
        sweep()
    assert tx.db.execute("SELECT count(*) FROM idempotency").fetchone() == (0,)


def test_a_job_that_only_speaks_has_the_engine_take_no_savepoint(tx):
    said = []
    tx._engine.set_trace_callback(said.append)
    with tx.savepoint():
        tx.append(b"one")
    assert said == []
    with tx.savepoint():
        tx.db.execute("SELECT 1")
    assert [each.split()[0] for each in said] == ["INSERT", "INSERT", "SAVEPOINT", "SELECT", "RELEASE"]


def test_a_kind_that_was_told_by_a_refused_job_or_before_something_was_rewritten_is_asked_of_the_ledger(tx):
    def kinds():
        return LedgerLog(tx.db, tx.fresh).kinds([b"key"])

    with pytest.raises(Refused), tx.savepoint():
        tx.fresh.kinds[b"key"] = "phone"
        assert kinds() == {(b"key", "phone")}
        raise Refused
    assert kinds() == set()
    tx.fresh.kinds[b"key"] = "phone"
    tx.tell_anew([0])
    assert kinds() == set()


@pytest.mark.parametrize("asked", [False, True])
def test_one_idempotency_key_several_times_in_a_batch_is_one_act_of_whoever_was_not_refused(tx, asked):
    repeat, done = idempotency.named("key", b"body"), []
    tx._asks = {idempotency.KNOWN: {repeat.name, b"other"}} if asked else {}

    def once(body, fault=None):
        with tx.savepoint():
            found = idempotency.once(tx, repeat, 0, lambda: done.append(body) or body)
            if fault:
                raise fault
            return found

    with pytest.raises(Refused):
        once(b"refused", Refused())
    assert once(b"first") == (b"first", False)
    assert once(b"again") == (b"first", True)
    assert done == [b"refused", b"first"]
