import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.desk import disclosures
from gateway.desk.disclosures import CHUNK, DAYS, Intended
from gateway.ledger.subjects import milliseconds
from gateway.terms import DAY_MS, Purpose

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOW = milliseconds(AT)
ROWS = [Intended(f"row-{number}", bytes([number]) * 16, ("ad_id", "coarse_geo")) for number in range(3)]


@pytest.fixture
def intend(do):
    return lambda rows=ROWS, to="teemo", at=AT: do(lambda tx: disclosures.intend(tx, to, [Purpose.SALE], rows, at))


@pytest.fixture
def mark(do):
    """Marks the rows of a recipient's latest batch."""

    def act(outcome, rows=ROWS, to="teemo"):
        sql = "SELECT max(batch) FROM disclosure WHERE recipient = ?"
        batch = do(lambda tx: tx.db.execute(sql, (to,)).fetchone()[0])
        do(lambda tx: disclosures.mark(tx, to, batch, rows, outcome))

    return act


@pytest.fixture
def left(do):
    def asked(rows=ROWS, to="teemo", now=NOW):
        return do(lambda tx: disclosures.posted_before(tx, to, [row.row_id for row in rows], now)).left

    return asked


def test_a_row_that_was_sent_is_a_duplicate_and_one_that_was_only_intended_is_not(intend, mark, left):
    intend()
    assert left() == set()
    mark("sent", ROWS[:1])
    assert left() == {"row-0"}


@pytest.mark.parametrize("outcome", ["unknown", "not_sent"])
def test_a_row_that_is_not_known_to_have_left_may_go_again(intend, mark, left, outcome):
    intend()
    mark(outcome)
    assert left() == set()
    intend()
    mark("sent")
    assert left() == {"row-0", "row-1", "row-2"}


def test_a_row_is_a_duplicate_for_35_days_at_the_same_recipient_only(intend, mark, left):
    intend()
    mark("sent")
    assert len(left(now=NOW + DAYS * DAY_MS - 1)) == 3
    assert left(now=NOW + DAYS * DAY_MS) == set()
    assert left(to="matching") == set()


def test_marking_one_recipients_rows_says_nothing_of_anothers(intend, mark, left):
    intend()
    intend(to="matching")
    mark("sent", to="matching")
    assert left() == set()


def test_a_chunk_is_one_entry_that_names_nobody(do, intend):
    seq = intend()
    [(body,)] = do(lambda tx: tx.db.execute("SELECT body FROM entry").fetchall())
    leaf = json.loads(body)
    assert (leaf["e"], leaf["to"], leaf["p"], leaf["c"], leaf["count"]) == (
        "disclosure",
        "teemo",
        ["sale"],
        ["ad_id", "coarse_geo"],
        3,
    )
    for row in ROWS:
        assert row.key.hex().encode() not in body
        assert row.row_id.encode() not in body
    assert seq == 0


def test_every_chunk_has_an_entry_of_its_own(do, intend):
    assert [intend(), intend(), intend(to="matching")] == [0, 1, 2]


def test_the_hash_of_a_chunk_is_keyed_so_that_nobody_can_guess_its_rows(do, intend):
    intend()
    intend()
    first, second = (
        json.loads(body)["h"] for (body,) in do(lambda tx: tx.db.execute("SELECT body FROM entry").fetchall())
    )
    assert first != second


def test_each_row_says_who_what_when_and_at_which_position_it_was_checked(do, intend):
    do(lambda tx: tx.append(b"{}"))
    intend()
    sql = "SELECT key, purpose, classes, at, position, batch, outcome FROM disclosure"
    rows = do(lambda tx: tx.db.execute(sql).fetchall())
    assert sorted(rows) == [(row.key, "sale", "ad_id,coarse_geo", NOW, 1, 1, "intended") for row in ROWS]


def test_a_callers_row_id_is_never_stored_as_it_came(do, intend):
    intend([Intended("person1@example.com", b"k" * 16, ("ad_id",))])
    dump = do(lambda tx: "\n".join(tx.db.iterdump()))
    assert "example" not in dump
    assert b"person1@example.com".hex() not in dump.lower()


def test_a_row_intended_again_counts_from_its_last_time(intend, mark, left):
    intend()
    intend(at=AT + timedelta(days=10))
    mark("sent")
    assert len(left(now=NOW + 40 * DAY_MS)) == 3


@pytest.mark.parametrize("count", [0, CHUNK + 1])
def test_a_chunk_is_never_empty_and_never_too_long(intend, count):
    with pytest.raises(AssertionError):
        intend([Intended(str(number), b"k" * 16, ("ip",)) for number in range(count)])


def test_a_row_in_a_traceback_does_not_show_the_person():
    shown = repr(Intended("person1@example.com", b"k" * 16, ("ip",)))
    assert "person1" not in shown
    assert "kkkk" not in shown


def test_which_rows_of_a_file_are_on_record_still_is_one_question_for_all(do, intend):
    batches = [intend(), intend(ROWS[:1])]
    intend(to="matching")
    rows = [(row.row, batches[0]) for row in ROWS] + [(ROWS[0].row, batches[1]), (ROWS[1].row, batches[1])]

    def asked(tx):
        said = list[str]()
        tx.db.execute("DELETE FROM disclosure WHERE row = ? AND recipient = 'teemo'", (ROWS[2].row,))
        tx.db.set_trace_callback(said.append)
        gone = disclosures.gone_of(tx, "teemo", rows)
        tx.db.set_trace_callback(None)
        return gone, len(said)

    assert do(asked) == ([rows[2], rows[4]], 1)
