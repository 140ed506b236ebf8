import hashlib

import pytest

from gateway.ledger.acts import idempotency
from gateway.ledger.acts.idempotency import DAYS, Mismatch, Used
from gateway.terms import DAY_MS

NOW = 1_800_000_000_000


@pytest.fixture
def acts(do):
    """Asks once and counts how often the act ran."""
    done = []

    def ask(key="k1", body=b"{}", now=NOW):
        def act():
            done.append(key)
            return b"answer %d" % len(done)

        return do(lambda tx: idempotency.once(tx, idempotency.named(key, body), now, act))

    ask.done = done
    return ask


def test_who_asks_twice_with_one_key_is_heard_once_and_answered_the_same(acts):
    assert [acts(), acts(), acts()] == [(b"answer 1", False), (b"answer 1", True), (b"answer 1", True)]
    assert acts.done == ["k1"]


def test_two_keys_are_two_choices(acts):
    assert [acts("k1"), acts("k2")] == [(b"answer 1", False), (b"answer 2", False)]


def test_one_key_with_another_body_is_refused_and_nothing_is_done(acts):
    acts()
    with pytest.raises(Mismatch):
        acts(body=b"{ }")
    assert acts.done == ["k1"]
    assert acts() == (b"answer 1", True)


def test_a_no_with_another_body_is_done_too_and_what_is_remembered_stays_the_first(do, acts):
    acts()
    other = idempotency.named("k1", b"{ }")
    for _ in range(2):
        assert do(lambda tx: idempotency.once(tx, other, NOW, lambda: b"another", no=True)) == (b"another", False)
    assert acts() == (b"answer 1", True)


def test_a_key_is_remembered_for_35_days_and_then_is_a_new_one(acts):
    acts()
    assert acts(now=NOW + DAYS * DAY_MS) == (b"answer 1", True)
    assert acts(body=b"other", now=NOW + DAYS * DAY_MS + 1) == (b"answer 2", False)


def test_an_act_that_failed_may_be_tried_again_with_its_key(do, acts):
    def fails():
        raise LookupError("not this time")

    with pytest.raises(LookupError):
        do(lambda tx: idempotency.once(tx, idempotency.named("k1", b"{}"), NOW, fails))
    assert acts() == (b"answer 1", False)


def test_keys_and_bodies_are_kept_as_hashes(do, acts):
    acts("customer@example.com", b'{"phone":"+14155550101"}')
    row = do(lambda tx: tx.db.execute("SELECT id, body FROM idempotency").fetchone())
    assert [len(column) for column in row] == [32, 32]
    assert b"example" not in row[0] + row[1]


def test_a_body_that_names_somebody_is_not_found_by_guessing_it(do, acts):
    body = b'{"phone":"+14155550101"}'
    acts("k1", body)
    (kept,) = do(lambda tx: tx.db.execute("SELECT body FROM idempotency").fetchone())
    assert kept != hashlib.sha256(body).digest()


def test_a_key_that_an_earlier_version_kept_is_still_the_same_one(do, acts):
    acts("k1", b"{}")
    bare = hashlib.sha256(b"{}").digest()
    do(lambda tx: tx.db.execute("UPDATE idempotency SET body = ?", (bare,)))
    assert acts("k1", b"{}") == (b"answer 1", True)


def test_old_keys_leave_with_the_next_one_and_young_ones_stay(do, acts):
    acts("old", now=NOW - DAYS * DAY_MS - 1)
    acts("young", now=NOW - DAYS * DAY_MS)
    acts("new")
    assert do(lambda tx: tx.db.execute("SELECT count(*) FROM idempotency").fetchone()) == (2,)
    assert acts("young") == (b"answer 2", True)


class TestAConfirmToken:
    def test_works_once(self, do):
        do(lambda tx: idempotency.use_token(tx, "t1", NOW))
        for later in (0, 1, idempotency.CONFIRM_MINUTES * 60_000):
            with pytest.raises(Used):
                do(lambda tx, later=later: idempotency.use_token(tx, "t1", NOW + later))
        do(lambda tx: idempotency.use_token(tx, "t2", NOW))

    def test_whose_act_was_refused_is_not_used_up(self, do):
        def refused(tx):
            idempotency.use_token(tx, "t1", NOW)
            raise LookupError

        with pytest.raises(LookupError):
            do(refused)
        do(lambda tx: idempotency.use_token(tx, "t1", NOW))

    def test_is_remembered_for_longer_than_it_is_good_for(self, do):
        do(lambda tx: idempotency.use_token(tx, "t1", NOW))
        with pytest.raises(Used):
            do(lambda tx: idempotency.use_token(tx, "t1", NOW + 2 * idempotency.CONFIRM_MINUTES * 60_000))
