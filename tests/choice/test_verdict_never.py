"""No consent unlocks what the law bans (L60, L72): every yes that there is, of the person, a parent or the request."""

import itertools
from dataclasses import replace
from datetime import date, timedelta

import pytest
from support.verdicts import (
    CONSENTS,
    IN_FOR_ALL,
    LAW,
    PERSONAL,
    SAID,
    THIRD,
    VENDOR,
    buyer,
    decide,
    without,
)

from gateway.choice.law import AGES, LawRule
from gateway.choice.question import Grant, Office, Question
from gateway.choice.standing import Standing
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Answer, DataClass, GrantKind, Purpose

POINT = DataClass.PRECISE_GEO
ONE_DAY = timedelta(days=1)
FAR = date(2035, 1, 1)
POINTS = {  # where and from when no precise point is sold, written a second time
    "US-MD": date(2025, 10, 1), "US-OR": date(2026, 1, 1), "US-VA": date(2026, 7, 1), "US-CT": date(2026, 10, 1),
    "US-WA": date(2024, 3, 31), "US-NV": date(2024, 3, 31),
}  # fmt: skip
YOUNG = {  # where, from when and up to which age nobody young is sold
    "US-MD": (date(2025, 10, 1), "16_17"), "US-CT": (date(2026, 7, 1), "16_17"), "US-OR": (date(2026, 1, 1), "13_15"),
}  # fmt: skip
OWN_YES = Standing(own=IN_FOR_ALL, informed=IN_FOR_ALL, granted=True)
EVERY_YES = (OWN_YES, replace(OWN_YES, parental=IN_FOR_ALL))
HEARD = (CONSENTS, replace(SAID["gpc"], vendors=CONSENTS.vendors))  # without a signal, and with one that was answered


def consenting(place, purpose, data_class, role, heard, age=None):
    """Somebody who said yes to everything, by every door."""
    grants = [
        Grant(name, purpose, granted, 9, kind)
        for name, granted, kind in itertools.product(("buyer", "club"), (data_class, None), GrantKind)
    ]
    receiver = buyer(role, tcf_vendor=VENDOR, programme="club")
    return Question(
        receiver, (purpose,), (data_class,), frozenset({place}), age, heard, EVERY_YES, tuple(grants), count=1000
    )


def no_point_is_sold(place, on):
    for purpose, role, heard in itertools.product(CHOOSABLE, THIRD, HEARD):
        asking = consenting(place, purpose, POINT, role, heard)
        assert decide(asking, Office(LAW, on)).data[POINT] in {Answer.DENY, Answer.COARSEN}, asking


def nobody_young_is_sold(place, age, on):
    for purpose, role, data_class, heard in itertools.product(SIGNAL_PURPOSES, THIRD, PERSONAL, HEARD):
        asking = consenting(place, purpose, data_class, role, heard, age)
        recorded = tuple(replace(each, age_band=age) for each in EVERY_YES)
        for each in (asking, asking._replace(age=None, standings=recorded)):
            assert set(decide(each, Office(LAW, on)).data.values()) == {Answer.DENY}, each


@pytest.mark.parametrize("place", POINTS)
def test_no_yes_sells_a_persons_precise_point_where_that_is_banned(place):
    first = POINTS[place]
    for on in (first, first + ONE_DAY, *(day for day in LAW.days() if day > first), FAR):
        no_point_is_sold(place, on)


def test_the_day_before_a_ban_and_in_other_places_a_yes_still_sells_it():
    """Only the ban stands in the way above."""
    for place, on in [*((place, first - ONE_DAY) for place, first in POINTS.items()), ("US-WY", FAR), ("DE", FAR)]:
        asking = consenting(place, Purpose.SALE, POINT, THIRD[0], CONSENTS)
        assert decide(asking, Office(LAW, on)).allowed, place


@pytest.mark.parametrize(
    ("place", "age"),
    [(place, age) for place, (_, oldest) in YOUNG.items() for age in AGES[: AGES.index(oldest) + 1]],
)
def test_no_yes_sells_somebody_young_where_that_is_banned(place, age):
    first = YOUNG[place][0]
    for on in (first, *(day for day in LAW.days() if day > first), FAR):
        nobody_young_is_sold(place, age, on)


def test_older_ones_and_the_day_before_are_sold_with_a_yes():
    for place, (first, oldest) in YOUNG.items():
        older = AGES[AGES.index(oldest) + 1]
        for on, age in ((first, older), (first - ONE_DAY, oldest)):
            asking = consenting(place, Purpose.SALE, DataClass.AD_ID, THIRD[0], CONSENTS, age)
            assert decide(asking, Office(LAW, on)).allowed, (place, age)


def test_the_tables_ban_nothing_else_from_the_young_and_no_other_point():
    banned = {(row.place, row.subject, row.ages[-1:]) for row in LAW.rows if row.rule is LawRule.BANNED}
    points = {(place, POINT, ()) for place in POINTS} | {("US-CT", POINT, ("16_17",))}
    young = {(place, purpose, (oldest,)) for place, (_, oldest) in YOUNG.items() for purpose in SIGNAL_PURPOSES}
    assert banned == points | young | {("US-MD", Purpose.SENSITIVE, ())}


def test_without_the_rule_on_bans_somebody_young_is_sold(monkeypatch):
    without(monkeypatch, "banned")
    for place, (first, oldest) in YOUNG.items():
        with pytest.raises(AssertionError):
            nobody_young_is_sold(place, oldest, first)


def test_without_the_rule_on_precise_points_one_is_sold(monkeypatch):
    without(monkeypatch, "precise")
    for place, first in POINTS.items():
        with pytest.raises(AssertionError):
            no_point_is_sold(place, first)
