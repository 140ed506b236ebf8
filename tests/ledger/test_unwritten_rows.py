"""A batch's rows wait in memory: whoever reads reads them all the same, and what a job said that was refused goes alone."""

import contextlib

import pytest
from support.lives import Ledger

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


def test_a_job_that_only_speaks_has_the_engine_take_no_savepoint(tx):
    said = []
    tx._engine.set_trace_callback(said.append)
    with tx.savepoint():
        tx.append(b"one")
    assert said == []
    with tx.savepoint():
        tx.db.execute("SELECT 1")
    assert [each.split()[0] for each in said] == ["INSERT", "INSERT", "SAVEPOINT", "SELECT", "RELEASE"]
