"""Day by day: a person's answer changes only on a day of the law, or on one that their own question names."""

from datetime import date, timedelta
from functools import lru_cache

import pytest
from support.verdicts import (
    LAW,
    allowing,
    buyer,
    decide,
    plant,
)

from gateway.choice.question import Gap, Grant, Notices, Office, Question
from gateway.choice.standing import IN, OUT, Standing, with_state
from gateway.terms import DataClass, GrantKind, Purpose, Role

FIRST, LAST = date(2023, 1, 1), date(2028, 12, 31)
DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
ONE_DAY = timedelta(days=1)
POINT, AD_ID, CPNI, CONTACT = DataClass.PRECISE_GEO, DataClass.AD_ID, DataClass.CPNI, DataClass.CONTACT
SALE = Purpose.SALE


def person(places, purpose=SALE, data=(AD_ID,), recipient=None, standings=(), **more):
    where = frozenset(places.split())
    return Question(recipient or buyer(), (purpose,), data, where, standings=standings, **more)


def yes(purpose, **more):
    return Standing(own=with_state(0, purpose, IN), **more)


ACT = Grant("buyer", Purpose.SERVICE, None, 1, GrantKind.DIRECTED)
PEOPLE = {  # (question, what the operator announced, the days that follow from both)
    "silent in Oregon": (person("US-OR", data=(AD_ID, POINT)), Notices(), []),
    "of 16 in Maryland and Colorado": (person("US-CO US-MD", age="16_17", standings=(yes(SALE),)), Notices(), []),
    "with a point in Virginia": (
        person("US-VA", data=(POINT,), grants=(Grant("buyer", SALE, POINT, 1),)), Notices(), []
    ),
    "with a point in Connecticut": (
        person("US-CT", data=(POINT,), age="13_15", grants=(Grant("buyer", SALE, POINT, 1),)), Notices(), []
    ),
    "nobody knows where": (person("", age="16_17", standings=(yes(SALE),)), Notices(), []),
    "opted out": (
        person("US-WY", standings=(Standing(own=with_state(0, SALE, OUT), told=date(2025, 2, 3)),)), Notices(), []
    ),
    "of 17 in Vermont": (person("US-VT", age="16_17"), Notices(), []),
    "sensitive in Oklahoma": (person("US-OK", Purpose.SENSITIVE, (DataClass.DEMOGRAPHICS,)), Notices(), []),
    "whose recipient's contract ends": (
        person("US-WY", recipient=buyer(contract_until=date(2026, 5, 6))), Notices(), [date(2026, 5, 7)]
    ),
    "told of a recipient and later of a class": (
        person("US-WY", data=(AD_ID, DataClass.IP),
               recipient=buyer(announced=date(2024, 2, 2), announced_later={"ip": date(2025, 3, 3)}),
               standings=(Standing(told=date(2025, 4, 4)),), collected=date(2024, 3, 3)),
        Notices(date(2024, 1, 1), (Gap(date(2025, 1, 1), date(2025, 6, 1)),)),
        [date(2025, 4, 4)],  # before they were told nothing of theirs went, whatever had been announced
    ),
    "silent about network information": (
        person("US-WY", Purpose.CPNI_MARKETING, (CPNI, CONTACT), buyer(Role.SERVICE_PROVIDER),
               (Standing(cpni_told=date(2024, 2, 29)),)),
        Notices(), [date(2024, 3, 31), date(2026, 3, 1)],
    ),
    "with two records of network information": (
        person("US-CA", Purpose.CPNI_MARKETING, (CONTACT,), buyer(Role.SERVICE_PROVIDER),
               (Standing(cpni_told=date(2025, 1, 31)), Standing(cpni_told=date(2026, 6, 30)))),
        Notices(), [date(2026, 7, 31), date(2027, 2, 1)],
    ),
    "who sends data somewhere": (
        person("US-CA", Purpose.SERVICE, (CONTACT,), buyer(Role.CONSUMER_DIRECTED, contract_until=date(2027, 12, 31)),
               (Standing(own=with_state(0, SALE, OUT)),), grants=(ACT,)),
        Notices(), [date(2028, 1, 1)],
    ),
}  # fmt: skip


@lru_cache
def changed(name):
    asking, notices, _ = PEOPLE[name]
    return set(changes(asking, notices))


def changes(asking, notices):
    """The days on which the answer is another than the day before."""
    answers = [decide(asking, Office(LAW, on, notices=notices)).data for on in (FIRST - ONE_DAY, *DAYS)]
    return [on for on, was, now in zip(DAYS, answers, answers[1:], strict=False) if was != now]


@pytest.mark.slow
def test_all_but_a_few_of_these_peoples_answers_do_change():
    """Else the clock would show nothing."""
    assert {name for name in PEOPLE if not changed(name)} == {"silent in Oregon", "opted out"}


@pytest.mark.parametrize("name", PEOPLE)
def test_a_persons_answer_changes_on_no_other_day_than_the_laws_and_their_own(name):
    own = PEOPLE[name][2]
    assert changed(name) <= {*LAW.days(), *own}
    assert {*own} <= changed(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("opted out", lambda case: case.out and case.office.on > date(2026, 2, 3)),  # an opt-out that ends
        ("silent in Oregon", lambda case: case.office.on.day == 31),
    ],
    ids=["an opt-out that ends", "a day of every month"],
)
def test_a_verdict_that_changes_by_itself_is_found(monkeypatch, name, fault):
    asking, notices, own = PEOPLE[name]
    denied = asking._replace(limited=True)
    assert set(changes(denied, notices)) <= {*LAW.days(), *own}
    plant(monkeypatch, allowing(fault))
    assert not set(changes(denied, notices)) <= {*LAW.days(), *own}
