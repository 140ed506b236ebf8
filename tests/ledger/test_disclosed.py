"""What left on answers to checks and bid requests, counted a day at a time; each batch an entry that names nobody."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from support.people import gaid, phone

from gateway.choice import identity
from gateway.desk import access, disclosures, outbox, recipients_to_tell
from gateway.desk.disclosures import DESPITE_NO, POSSIBLE, SENT, UNKNOWN, Counted, Intended
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.recipient_holdings import Left
from gateway.ledger.audit import verify
from gateway.ledger.subjects import milliseconds, subject_of
from gateway.terms import DAY_MS, Erasing, Purpose

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOW = milliseconds(AT)


@pytest.fixture
def count(do):
    def act(*counted, at=AT):
        return do(lambda tx: disclosures.count_disclosures(tx, counted, at))

    return act


@pytest.fixture
def report(house, do):
    """What somebody is shown who proved an identifier."""

    def read(*subjects, at=AT + timedelta(days=1)):
        return access.read_access(house.writer.store, subjects, at).report.received

    return read


def one(subject, outcome=SENT, at=NOW, number=1, to="advertisers", classes=("ad_id",)):
    return Counted(subject.key, to, ("sharing", "targeted_ads"), classes, outcome, at, number)


def test_a_day_at_a_recipient_is_one_line_with_its_first_and_last_time_and_how_often(count, who, report):
    mine = who("gaid", gaid(1))
    count(one(mine), one(mine, at=NOW + 5000))
    count(one(mine, at=NOW + 9000), one(mine, at=NOW + DAY_MS), one(mine, to="teemo"))
    found = report(mine, at=AT + timedelta(days=2))
    assert [(each.recipient, each.count) for each in found] == [("advertisers", 3), ("teemo", 1), ("advertisers", 1)]
    assert (milliseconds(found[0].first), milliseconds(found[0].last)) == (NOW, NOW + 9000)
    assert (found[0].purposes, found[0].classes, found[0].outcome) == (("sharing", "targeted_ads"), ("ad_id",), "sent")


def test_a_batch_is_one_entry_that_names_recipients_and_nobody(count, do, who):
    seq = count(one(who("gaid", gaid(1))), one(who("gaid", gaid(2)), to="teemo", outcome=POSSIBLE))
    [(body,)] = do(lambda tx: tx.db.execute("SELECT body FROM entry WHERE seq = ?", (seq,)).fetchall())
    leaf = json.loads(body)
    assert (leaf["e"], leaf["to"], leaf["count"], leaf["c"]) == ("disclosed", ["advertisers", "teemo"], 2, ["ad_id"])
    assert who("gaid", gaid(1)).key.hex() not in body.decode()


def test_taking_back_alone_is_no_entry(count, who):
    assert count(one(who("gaid", gaid(1)), POSSIBLE, number=-1)) is None


def test_the_hash_of_a_batch_is_keyed_so_that_nobody_can_guess_it(count, do, who):
    seqs = [count(one(who("gaid", gaid(1)))) for _ in range(2)]
    first, second = (
        json.loads(do(lambda tx, seq=seq: tx.db.execute("SELECT body FROM entry WHERE seq = ?", (seq,)).fetchone()[0]))
        for seq in seqs
    )
    assert first["h"] != second["h"]


@pytest.mark.parametrize("order", [(1, -1), (-1, 1)])
def test_what_was_taken_back_is_not_shown_whichever_came_first(count, who, report, order):
    mine = who("gaid", gaid(1))
    for number in order:
        count(one(mine, POSSIBLE, number=number))
    assert report(mine) == ()


def test_what_may_have_been_sent_is_told_apart_and_what_went_despite_a_no_was_sent(count, who, report):
    mine = who("gaid", gaid(1))
    count(one(mine, POSSIBLE), one(mine, UNKNOWN), one(mine, DESPITE_NO), one(mine))
    assert {each.outcome: each.count for each in report(mine)} == {"possible": 1, "unknown": 1, "sent": 2}


def test_the_next_holder_of_a_number_sees_nothing_of_the_same_days_sends_of_the_one_before(
    count, story, who, do, report
):
    """R5."""
    number, account, later = who("phone", phone(1)), who("account", "a1"), who("account", "a2")
    story.at = AT - timedelta(hours=2)
    story.links(account, number)
    count(one(number, at=milliseconds(AT - timedelta(hours=1))))
    story.at = AT
    story.releases(number)
    story.at = AT + timedelta(hours=1)
    story.links(later, number)
    count(one(number, at=milliseconds(AT + timedelta(hours=2)), to="matching"))
    count(one(number, at=milliseconds(AT + timedelta(hours=3))))
    assert [(each.recipient, each.count) for each in report(later)] == [("advertisers", 1), ("matching", 1)]
    assert [(each.recipient, each.count) for each in report(account)] == [("advertisers", 1)]


def test_who_only_might_have_got_something_is_told_of_nobody(count, do, who):
    """R18: asking shows of nobody that they got it."""
    mine = who("gaid", gaid(1))
    count(one(mine, POSSIBLE), one(mine, SENT, to="teemo"), one(mine, UNKNOWN, to="matching"))
    got = do(lambda tx: recipients_to_tell.got_under(tx, mine.key, 0))
    assert {each.recipient for each in got} == {"teemo", "matching"}


def test_who_is_forgotten_is_counted_no_longer(count, do, who, report):
    mine = who("gaid", gaid(1))
    count(one(mine))
    do(lambda tx: recipients_to_tell.forget_recipients(tx, [mine.key], {mine.key: 0}))
    assert report(mine) == ()


def test_what_no_deletion_can_name_to_whoever_got_it_stays_on_record_until_one_can(count, story, do, who):
    """Cal. Civ. Code 1798.105(c): of the account it is known alone that its ad id went, and no message says which. What
    nobody could ever name, and what was named, goes.
    """
    mine, device = who("account", "a1"), who("gaid", gaid(1))
    count(one(mine), one(mine, to="teemo", classes=("coarse_geo",)), one(mine, POSSIBLE, to="flurry"))
    count(one(mine, to="matching", classes=("account",)), one(device, to="flurry"))
    do(lambda tx: erasure.erase(tx, ErasureOrder(Erasing.DETAILS, [mine, device], AT), b"r" * 16))
    assert story.rows("SELECT recipient, key FROM disclosed") == [("advertisers", mine.key)]
    assert do(lambda tx: len(outbox.read_messages(tx, "matching"))) == 1
    assert do(lambda tx: outbox.read_messages(tx, "advertisers")) == []
    do(lambda tx: erasure.erase(tx, ErasureOrder(Erasing.UNLINK, [mine], AT), b"s" * 16))
    assert story.rows("SELECT 1 FROM disclosed") == []


@pytest.mark.parametrize(
    ("classes", "stays"), [(("ad_id",), False), (("ad_id", "email_hash"), True), (("coarse_geo",), False)]
)
def test_an_accounts_row_goes_where_its_recipient_was_told_of_all_that_left_with_it(
    count, story, do, who, classes, stays
):
    """The row beside it names the ad id to the same recipient, in the same order."""
    mine, device = who("account", "a1"), who("gaid", gaid(1))
    count(one(mine, classes=classes), one(device))
    do(lambda tx: erasure.erase(tx, ErasureOrder(Erasing.DETAILS, [mine, device], AT), b"r" * 16))
    assert do(lambda tx: len(outbox.read_messages(tx, "advertisers"))) == 1
    assert story.rows("SELECT key FROM disclosed") == [(mine.key,)] * stays


def test_the_row_of_an_id_that_may_have_left_itself_stays_beside_another_one_that_was_named(count, story, do, house):
    cookie = subject_of(identity.read_kept("cookie:_ga", "GA1.2.1234567890.1700000000"), house.secrets)
    device = subject_of(identity.read_kept("gaid", gaid(1)), house.secrets)
    count(one(cookie), one(device))
    do(lambda tx: erasure.erase(tx, ErasureOrder(Erasing.DETAILS, [cookie, device], AT), b"r" * 16))
    assert story.rows("SELECT key FROM disclosed") == [(cookie.key,)]


@pytest.mark.parametrize("source", ["ids.example", "ids,example", "%", "a\\", "ids:example:9"])
def test_a_networks_id_is_kept_and_taken_back_whatever_its_source_is_called(story, do, source):
    other, mine = (
        Left(f"eid:{source}", value, value.encode().ljust(16), (value.encode().ljust(16),))
        for value in ("other", "mine")
    )

    def row(name, *left):
        return Intended(name, left[0].named, ("ad_id",), left)

    def job(tx):
        rows = [row("kept", other), row("not sent", mine, other)]
        batch = disclosures.intend(tx, "advertisers", [Purpose.SALE], rows, AT)
        disclosures.mark(tx, "advertisers", batch, rows[:1], "sent")
        disclosures.mark(tx, "advertisers", batch, rows[1:], "not_sent")

    do(job)
    assert story.rows("SELECT named FROM held") == [(other.named,)]


@pytest.mark.parametrize("mode", [Erasing.DETAILS, Erasing.CHILD])
def test_what_was_answered_before_an_erasure_is_not_counted_after_it(count, do, who, report, mode):
    """R19: by a service that did not know yet that another process had somebody erased."""
    mine, other = who("gaid", gaid(1)), who("gaid", gaid(2))
    do(lambda tx: erasure.erase(tx, ErasureOrder(mode, [mine], AT), b"r" * 16))
    assert count(one(mine, at=NOW - 1)) is None, "nothing is left to be an entry"
    count(one(mine, at=NOW - 900), one(other, at=NOW - 900))
    assert report(mine) == ()
    assert [each.count for each in report(other)] == [1]
    do(lambda tx: erasure.erase(tx, ErasureOrder(Erasing.DETAILS, [other], AT + timedelta(hours=1)), b"s" * 16))
    count(one(mine, at=NOW + 1, number=2))
    assert [each.count for each in report(mine)] == [2], "what is answered after it counts, whoever else is erased"


def test_the_look_for_what_was_sent_after_an_opt_out_sorts_keys_and_not_the_rows_that_ever_left(story):
    plan = [row[3] for row in story.rows(f"EXPLAIN QUERY PLAN {verify.RECEIVED}")]
    assert "SCAN disclosure USING INDEX disclosure_key" in plan
    assert [each for each in plan if "TEMP B-TREE" in each] == plan[-1:], "of what both halves made of them"


def test_a_decision_is_remembered_for_as_long_as_it_may_be_said_again(do):
    do(lambda tx: disclosures.say_outcome(tx, b"d" * 16, "sent", AT))
    assert do(lambda tx: disclosures.outcome_said(tx, b"d" * 16)) == "sent"
    do(lambda tx: disclosures.forget_outcomes(tx, AT + timedelta(hours=2, seconds=1)))
    assert do(lambda tx: disclosures.outcome_said(tx, b"d" * 16)) is None


def test_a_person_in_a_traceback_is_not_shown(who):
    mine = who("gaid", gaid(1))
    assert mine.key.hex() not in repr(one(mine))
    assert "b'" not in repr(one(mine))
