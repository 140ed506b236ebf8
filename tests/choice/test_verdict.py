"""The verdict: decisions as data, and what a few people may expect that a row does not show."""

import itertools
from dataclasses import replace
from datetime import date, timedelta

import pytest
from support.verdicts import (
    IN_FOR_ALL,
    LAW,
    OFFICE,
    OUT_OF_ALL,
    PARTLY,
    THIRD,
    TODAY,
    buyer,
    decide,
    office,
    question,
    rows,
)

from gateway.choice import verdict
from gateway.choice.law import AGES, LawRow, LawRule, LawTable
from gateway.choice.question import Grant, Office, Question
from gateway.choice.standing import IN, Standing, with_state
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Answer, DataClass, GrantKind, Purpose, Reason, Role

ROWS = rows()
CALIFORNIA = frozenset({"US-CA"})


def is_the_one_on_file(row):
    answer = row["answer"]
    decided = decide(question(row["ask"]), office(row["ask"]))
    assert decided.data == answer["data"], row["because"]
    assert decided.reason == answer["reason"], row["because"]
    assert answer.get("cites", "") in decided.rule
    assert decided.seq == answer.get("seq", decided.seq)
    assert decided.allowed == (set(answer["data"].values()) == {"allow"})
    assert decided.partly == (not decided.allowed and set(answer["data"].values()) != {"deny"})
    assert decided.place == (",".join(sorted(row["ask"]["places"])) or "unknown")


@pytest.mark.parametrize("row", [row for row in ROWS if not row.get("generated")], ids=lambda row: row["because"])
def test_a_decision_is_the_one_on_file(row):
    is_the_one_on_file(row)


def test_a_decision_that_was_generated_is_the_one_on_file():
    for row in ROWS:
        is_the_one_on_file(row)


@pytest.mark.parametrize("name", PARTLY)
def test_a_request_that_refuses_one_use_ends_the_others_at_a_third_party_whatever_was_said_yes_to_before(name):
    """R3, R25: underneath, giving it personal data is one of the three."""
    for role, purpose, data_class in itertools.product(
        THIRD, SIGNAL_PURPOSES, (DataClass.AD_ID, DataClass.PRECISE_GEO)
    ):
        grants = (Grant("buyer", purpose, data_class, 1),)
        asking = Question(buyer(role), (purpose,), (data_class,), CALIFORNIA, heard=PARTLY[name])
        for before in ({}, {"standings": (Standing(own=IN_FOR_ALL),)}, {"grants": grants}):
            refused = decide(asking._replace(**before), OFFICE)
            assert (set(refused.data.values()), refused.reason) == ({Answer.DENY}, Reason(name))


@pytest.mark.parametrize("role", THIRD)
def test_a_person_comes_back_to_a_third_party_purpose_by_purpose(role):
    """The ledger records a no to one of the three as a no to all of them; a yes takes that one alone back."""
    for said_yes, purpose in itertools.product(SIGNAL_PURPOSES, CHOOSABLE):
        back = Standing(own=with_state(OUT_OF_ALL, said_yes, IN))
        asking = Question(buyer(role), (purpose,), (DataClass.AD_ID,), CALIFORNIA, standings=(back,))
        assert decide(asking, OFFICE).allowed == (purpose is said_yes)


@pytest.mark.parametrize("name", PARTLY)
def test_a_refusal_of_ads_leaves_a_service_provider_what_it_does_for_the_business(name):
    """Of the three it has nothing anyway (L41)."""
    for purpose in (*SIGNAL_PURPOSES, Purpose.PROFILING, Purpose.MARKETING_EMAIL, Purpose.SERVICE):
        provider = buyer(Role.SERVICE_PROVIDER)
        asking = Question(provider, (purpose,), (DataClass.AD_ID,), CALIFORNIA, heard=PARTLY[name])
        assert decide(asking, OFFICE).allowed == (purpose not in SIGNAL_PURPOSES)


@pytest.mark.parametrize(
    ("place", "age", "standing", "reason"),
    [
        ("US-MD", "16_17", Standing(own=IN_FOR_ALL), Reason.BANNED),  # L72: no consent unlocks it
        ("US-CT", "16_17", Standing(own=IN_FOR_ALL), Reason.BANNED),
        ("US-CA", "13_15", Standing(), Reason.OPT_IN_REQUIRED),  # L71
        ("US-CA", "13_15", Standing(own=IN_FOR_ALL), Reason.OPTED_IN),
        ("US-CA", "under_13", Standing(own=IN_FOR_ALL), Reason.OPT_IN_REQUIRED),
        ("US-CA", "13_15", Standing(own=IN_FOR_ALL, parental=IN_FOR_ALL), Reason.OPT_IN_REQUIRED),
        ("US-CA", "16_17", Standing(), Reason.NO_CHOICE),
        ("US-DE", "16_17", Standing(), Reason.OPT_IN_REQUIRED),  # L73
        ("US-WY", "under_13", Standing(), Reason.OPT_IN_REQUIRED),  # COPPA, where no state has a law
        ("US-WY", "adult", Standing(), Reason.NO_CHOICE),
    ],
)
def test_where_the_operator_has_no_floor_the_law_protects_the_young_by_any_record(place, age, standing, reason):
    asked = Question(buyer(), (Purpose.SALE,), (DataClass.AD_ID,), frozenset({place}), age, standings=(standing,))
    assert decide(asked, Office(LAW, TODAY)).reason is reason
    recorded = asked._replace(age="adult", standings=(replace(standing, age_band=age),))  # the youngest known holds
    assert decide(recorded, Office(LAW, TODAY)).reason is reason


@pytest.mark.parametrize("age", AGES)
def test_a_yes_counts_by_who_may_give_it_at_the_age_on_record(age):
    """Under 13 a parent, from then on the person: neither general yes nor one that names the recipient is the other's."""
    child, places = age == AGES[0], frozenset({"US-WY"})
    own, parents = Standing(own=IN_FOR_ALL, age_band=age), Standing(own=IN_FOR_ALL, parental=IN_FOR_ALL, age_band=age)
    for standing, counts in ((own, not child), (parents, child)):
        asked = Question(
            buyer(), (Purpose.SALE,), (DataClass.AD_ID,), places, standings=(replace(standing, grown=not child),)
        )
        assert (decide(asked, Office(LAW, TODAY)).reason is Reason.OPTED_IN) is counts
    for by_child in (True, False):
        grants = (Grant("buyer", Purpose.SALE, DataClass.PRECISE_GEO, 1, GrantKind.OPTED_IN, by_child),)
        point = Question(
            buyer(), (Purpose.SALE,), (DataClass.PRECISE_GEO,), places, standings=(parents,), grants=grants
        )
        assert (decide(point, Office(LAW, TODAY)).reason is Reason.OPTED_IN) is (child or not by_child)


@pytest.mark.parametrize(
    ("place", "band", "linked", "reason"),
    [
        ("US-WY", "under_13", False, Reason.OPT_IN_REQUIRED),
        ("US-WY", "under_13", True, Reason.OPT_IN_REQUIRED),
        ("DE", "under_13", False, Reason.OPT_IN_REQUIRED),
        ("DE", "13_15", False, Reason.OPT_IN_REQUIRED),  # it may be an app's word of a grown-up
        ("DE", "13_15", True, Reason.OPTED_IN),  # a birthday: of what an account has no app's word counts
        ("DE", "16_17", True, Reason.OPT_IN_REQUIRED),
    ],
)
def test_a_parents_yes_that_has_ended_is_reopened_by_no_unproved_age(place, band, linked, reason):
    """Whoever was younger once, and is called young again, as no desk corrects it: that makes them `grown` no more."""
    standing = Standing(own=IN_FOR_ALL, parental=IN_FOR_ALL, age_band=band, grown=True, linked=linked)
    asked = Question(buyer(), (Purpose.SALE,), (DataClass.AD_ID,), frozenset({place}), standings=(standing,))
    assert decide(asked, Office(LAW, TODAY)).reason is reason


@pytest.mark.parametrize("place", ["DE", "GB", "CH", "CA-QC"])
@pytest.mark.parametrize(
    "purpose", [*SIGNAL_PURPOSES, Purpose.PROFILING, Purpose.THIRD_PARTY_MARKETING, Purpose.SENSITIVE]
)
def test_where_the_law_wants_a_parents_yes_it_wants_one_to_all_of_them(place, purpose):
    own = Standing(own=IN_FOR_ALL, age_band=AGES[1])
    for standing, counts in ((own, False), (replace(own, parental=IN_FOR_ALL), True)):
        asked = Question(buyer(), (purpose,), (DataClass.AD_ID,), frozenset({place}), standings=(standing,))
        assert decide(asked, Office(LAW, TODAY)).allowed is counts


@pytest.mark.parametrize("places", [{"AT", "US-CT"}, {"GB", "US-CT"}, {"AT", "BR"}, {"EU"}, {"CA"}, {"unknown"}, set()])
@pytest.mark.parametrize("parental", [0, IN_FOR_ALL])
def test_where_one_place_wants_a_parents_yes_and_another_their_own_neither_opens_anything(places, parental):
    """Of 13 to 15 Austria, Britain and Quebec want a parent's; Connecticut and whoever has no row their own."""
    standing = Standing(own=IN_FOR_ALL, parental=parental, age_band=AGES[1])
    asked = Question(buyer(), (Purpose.SENSITIVE,), (DataClass.AD_ID,), frozenset(places), standings=(standing,))
    assert not decide(asked, Office(LAW, TODAY)).allowed
    grants = (Grant("buyer", Purpose.SENSITIVE, DataClass.PRECISE_GEO, 1, GrantKind.OPTED_IN, False),)
    point = asked._replace(data=(DataClass.PRECISE_GEO,), grants=grants)
    assert not decide(point, Office(LAW, TODAY)).allowed


@pytest.mark.parametrize(
    ("purpose", "data_class", "more"),
    [
        (Purpose.CPNI_DISCLOSURE, DataClass.CPNI, {}),
        (Purpose.CALL_LOCATION, DataClass.COARSE_GEO, {"during_call": True}),
    ],
)
def test_of_a_call_too_a_parents_yes_is_a_parents(purpose, data_class, more):
    """A table of one's own may want it."""
    wanting = LawRow("US-WY", purpose, LawRule.PARENTAL, "own", date(2026, 1, 1), ages=AGES[:2])
    law, own = LawTable([*LAW.rows, wanting]), Standing(own=IN_FOR_ALL, age_band=AGES[1])
    for standing, counts in ((own, False), (replace(own, parental=IN_FOR_ALL), True)):
        asked = Question(buyer(), (purpose,), (data_class,), frozenset({"US-WY"}), standings=(standing,), **more)
        assert decide(asked, Office(law, TODAY, cpni=True)).allowed is counts


def test_a_sale_of_precise_location_is_banned_from_the_day_that_the_table_says():
    granted = (Grant("buyer", Purpose.SALE, DataClass.PRECISE_GEO, 1),)
    for place, day in (("US-CT", date(2026, 10, 1)), ("US-VA", date(2026, 7, 1)), ("US-OR", date(2026, 1, 1))):
        asked = Question(buyer(), (Purpose.SALE,), (DataClass.PRECISE_GEO,), frozenset({place}), grants=granted)
        assert decide(asked, Office(LAW, day - timedelta(days=1))).allowed
        assert not decide(asked, Office(LAW, day)).allowed


def test_an_answer_that_is_remembered_is_the_one_that_is_worked_out():
    for row in ROWS[:200]:
        asking, asked_of = question(row["ask"]), office(row["ask"])
        assert [verdict.decide(asking, asked_of) for _ in range(2)] == [decide(asking, asked_of)] * 2
