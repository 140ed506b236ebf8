"""What recipients hold from us: taken back where it did not leave, forgotten with the person, and nobody else's (R5,
R18)."""

import json
import os
from datetime import timedelta

import pytest
from support.people import GAID, email, gaid, named, phone

from gateway.consent import people
from gateway.desk import disclosures, outbox, recipient_holdings, recipients_to_tell
from gateway.desk.disclosures import Intended
from gateway.desk.emergency import KeptRequest
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.recipient_holdings import Left
from gateway.desk.recipients_to_tell import ToldWord
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ALL_PURPOSES, ChoiceKind, DataClass, Erasing, Purpose


@pytest.fixture
def leaves(story):
    """A row of these people leaves to a recipient with an identifier in it."""

    def act(recipient, what, *people, outcome="sent", classes=("ad_id",)):
        left = Left(what.kind, what.value, what.key, tuple(each.key for each in people))
        row = Intended(os.urandom(4).hex(), people[0].key if people else what.key, classes, (left,))

        def job(tx):
            batch = disclosures.intend(tx, recipient, [Purpose.SALE], [row], story.at)
            if outcome:
                disclosures.mark(tx, recipient, batch, [row], outcome)

        story.do(job)

    return act


@pytest.fixture
def says(story):
    def act(person, kind="opt_out", *purposes):
        choice = Choice(ChoiceKind(kind), purposes or ALL_PURPOSES, "api", story.at)
        story.do(lambda tx: recipients_to_tell.write_and_tell(tx, person, choice, os.urandom(16)))

    return act


@pytest.fixture
def told(story):
    """What waits for a recipient: (type, its identifiers)."""

    def read(recipient):
        messages = story.do(lambda tx: [json.loads(item.body) for item in outbox.read_messages(tx, recipient)])
        return [(item["type"], [each["value"] for each in item["identifiers"]]) for item in messages]

    return read


def test_what_left_under_the_plainest_spelling_of_a_mailbox_is_told_of_a_no_in_another(who, leaves, says, told):
    """Nothing was ever said of either."""
    plain, dotted = who("email", "janedoe@gmail.com"), who("email", "jane.doe@gmail.com")
    leaves("teemo", plain, plain)
    says(dotted)
    assert told("teemo") == [("opt_out", ["janedoe@gmail.com"])]


def test_what_did_not_leave_is_told_to_nobody(story, who, leaves, says, told):
    leaves("teemo", who("gaid", GAID), outcome="not_sent")
    says(who("gaid", GAID))
    assert told("teemo") == []
    assert story.rows("SELECT count(*) FROM held") == [(0,)]


def test_what_may_have_left_is_told(who, leaves, says, told):
    leaves("teemo", who("gaid", GAID), outcome="unknown")
    leaves("matching", who("gaid", GAID), outcome=None)
    says(who("gaid", GAID))
    assert told("teemo") == told("matching") == [("opt_out", [GAID])]


def test_a_row_that_was_held_back_takes_nothing_from_an_earlier_one(who, leaves, says, told):
    leaves("teemo", who("gaid", GAID))
    leaves("teemo", who("gaid", GAID), outcome="not_sent")
    says(who("gaid", GAID))
    assert told("teemo") == [("opt_out", [GAID])]


def test_data_that_left_again_is_told_of_again(story, who, leaves, says, told):
    leaves("teemo", who("gaid", GAID))
    says(who("gaid", GAID))
    says(who("gaid", GAID))
    assert len(told("teemo")) == 1
    leaves("teemo", who("gaid", GAID))
    says(who("gaid", GAID))
    assert len(told("teemo")) == 2


def test_the_next_holder_of_a_number_tells_nobody_of_the_one_before(story, who, leaves, says, told):
    """R5: the earlier holder's ad id stays theirs. The number itself is the number, whoever has it."""
    number, old_phone = who("phone", phone(1)), who("gaid", GAID)
    leaves("teemo", old_phone, number)
    leaves("matching", number, classes=("phone_hash",))
    story.releases(number)
    says(number)
    assert told("teemo") == []
    assert told("matching") == [("opt_out", [phone(1)])]


def test_one_account_never_tells_of_what_another_has(story, who, leaves, says, told):
    tablet, one, other = who("gaid", GAID), who("account", "a"), who("account", "b")
    theirs = who("gaid", gaid(2))
    story.links(one, tablet)
    story.links(other, tablet, theirs)
    leaves("teemo", theirs)
    says(one)
    assert told("teemo") == []


def test_an_erased_persons_rows_are_gone_and_their_keys_with_them(story, who, leaves):
    person = who("email", email(1))
    leaves("matching", person)
    [(vault,)] = story.rows("SELECT person FROM held")
    order = ErasureOrder(Erasing.DETAILS, [person], story.at)
    written = story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))
    assert story.do(lambda tx: erasure.done(tx, written.seq))
    assert story.rows("SELECT count(*) FROM held") == story.rows("SELECT count(*) FROM held_key") == [(0,)]
    assert story.do(lambda tx: tx.persons.keys(vault)).details is None


def test_what_left_long_ago_is_forgotten(story, who, leaves):
    leaves("teemo", who("gaid", GAID))
    story.at += timedelta(days=800)
    leaves("teemo", who("gaid", gaid(2)))
    story.do(lambda tx: recipient_holdings.prune_held(tx, milliseconds(story.at - timedelta(days=730)), 0, 1_000))
    [(named,)] = story.rows("SELECT named FROM held")
    assert named == who("gaid", gaid(2)).key


SALE, GEO, AD = {"sale"}, {"precise_geo"}, {"ad_id"}


@pytest.mark.parametrize(
    ("said", "purposes", "classes", "word"),
    [
        ({Purpose.SALE}, SALE, AD, ToldWord.OPT_OUT),
        ({Purpose.TARGETED_ADS}, {"profiling"}, AD, ToldWord.OPT_OUT),
        ({Purpose.SALE}, {"service", "security"}, AD, None),
        ({Purpose.SALE}, {"marketing_email"}, {"contact"}, None),
        ({Purpose.MARKETING_EMAIL}, {"marketing_email"}, {"contact"}, ToldWord.OPT_OUT),
        ({Purpose.MARKETING_EMAIL}, SALE, AD, None),
        ({Purpose.SENSITIVE}, SALE, GEO, ToldWord.LIMIT),
        ({Purpose.SENSITIVE}, SALE, AD, None),
        ({Purpose.SENSITIVE}, {"service"}, GEO, None),
        (set(ALL_PURPOSES), SALE, GEO, ToldWord.OPT_OUT),
        ({Purpose.CPNI_DISCLOSURE}, {"cpni_disclosure"}, {"cpni"}, ToldWord.OPT_OUT),
    ],
)
def test_whom_a_choice_is_about(said, purposes, classes, word):
    assert recipients_to_tell.word_for(frozenset(said), frozenset(purposes), frozenset(classes)) == word


def test_a_limit_goes_out_as_an_opt_out_with_its_own_duty(story, who, leaves, says, told):
    leaves("teemo", who("gaid", GAID), classes=("ad_id", DataClass.PRECISE_GEO))
    says(who("gaid", GAID), "limit", Purpose.SENSITIVE)
    assert told("teemo") == [("opt_out", [GAID])]
    [body] = story.do(lambda tx: [item.body for item in outbox.read_messages(tx, "teemo")])
    assert "sensitive" in json.loads(body)["duty"]


def test_an_ad_id_whose_platform_nobody_told_is_found_under_each(house):
    """A row that lists one ad id and carries another: whoever opts out by either is found."""
    known = house.consent.people
    mine = known.name([named("gaid", GAID)]).subjects[0]
    fields = {"ad_id": DataClass.AD_ID}
    [one] = people.left(known, {"ad_id": GAID}, fields, ["gaid"], mine.keys)
    assert (one.kind, one.named) == ("gaid", mine.key)
    [other] = people.left(known, {"ad_id": gaid(2)}, fields, ["gaid"], mine.keys)
    wanted = {known.name([named(kind, gaid(2))]).subjects[0].key for kind in ("gaid", "idfa", "oaid")}
    assert wanted | set(mine.keys) <= set(other.keys)


def test_a_number_that_was_given_back_and_leaves_again_is_its_new_holders(story, who, leaves, says, told):
    number, old, new = who("phone", phone(1)), who("gaid", GAID), who("gaid", gaid(2))
    leaves("teemo", old, number)
    leaves("teemo", new, number)
    story.releases(number)
    leaves("teemo", new, number)
    says(number)
    assert told("teemo") == [("opt_out", [gaid(2)])]


def test_a_no_that_was_kept_beside_the_ledger_is_passed_on_once_it_is_entered(story, who, leaves, told):
    person = who("gaid", GAID)
    leaves("teemo", person)
    kept = KeptRequest(os.urandom(16), (person,), Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", story.at))
    assert story.do(kept.enter_once)
    assert not story.do(kept.enter_once)
    assert told("teemo") == [("opt_out", [GAID])]
