"""Everybody of the grid: each place, purpose, age, record and signal with each other, for whoever is outside.

The people are those that tests/vectors/generate.py samples. All of them on today; on each day of the law when slow.
"""

from datetime import date, timedelta

import pytest
from support.verdicts import LAW, SAID, TIMES, TODAY, allowing, buyer, decide, grant, plant, standing, without
from vectors.generate import EVERYWHERE, RECORDS, recorded

from gateway.choice.law import AGES, LawRule
from gateway.choice.question import NOTHING, Office, Question
from gateway.choice.verdict import STRICTNESS
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Answer, DataClass, Role

AD_ID, POINT = DataClass.AD_ID, DataClass.PRECISE_GEO
UNKNOWN = frozenset()
PLACES = [*map(frozenset, EVERYWHERE)]
NAMED = [place for place in PLACES if place and not place & {"US", "ZZ"}]
SIGNALS = {"none": NOTHING, "gpc": SAID["gpc"]}
BUYERS = {role: buyer(role) for role in (Role.THIRD_PARTY, Role.AFFILIATE)}
AT_ONCE = len(PLACES) * len(AGES) * len(SIGNALS) * len(BUYERS)


def everybody(purpose, record, office):
    """(place, band, signal, role, answers for ad_id and precise_geo) of one purpose and record."""
    said = recorded(record, purpose)
    standings = tuple(map(standing, said.get("standings", ())))
    grants = tuple(map(grant, said.get("grants", ())))
    for role, receiver in BUYERS.items():
        for signal, heard in SIGNALS.items():
            for band in AGES:
                asking = Question(receiver, (purpose,), (AD_ID, POINT), UNKNOWN, band, heard, standings, grants)
                for place in PLACES:
                    yield place, band, signal, role, decide(asking._replace(places=place), office).data


def holds_for_everybody(purpose, record, office):
    """The invariants. Returns how many people were met."""
    answers = {}
    for place, band, signal, role, data in everybody(purpose, record, office):
        who = (sorted(place), band, signal, role, purpose, record)
        answers[place, band, signal, role] = data
        row = office.law.strictest(place, purpose, office.on, band)
        closed = record == "opted_out" or signal == "gpc"  # R3; outside everything is a sale underneath
        silent = row.rule >= LawRule.OPT_IN and (record != "opted_in" or band == AGES[0])  # a child's own yes is none
        if closed or silent or row.rule is LawRule.BANNED:
            assert set(data.values()) == {Answer.DENY}, who
        point = office.law.strictest(place, POINT, office.on, band)
        if record != "opted_in" or band == AGES[0] or point.rule is LawRule.BANNED:
            assert data[POINT] in {Answer.DENY, Answer.COARSEN}, who
        if record == "limited":
            assert data[POINT] is Answer.DENY, who
    for (place, band, signal, role), named in answers.items():
        if place in NAMED:
            hidden = answers[UNKNOWN, band, signal, role]
            assert all(STRICTNESS[hidden[each]] >= STRICTNESS[named[each]] for each in named), (place, band, purpose)
    return len(answers)


CELLS = [(purpose, record) for purpose in CHOOSABLE for record in RECORDS]
IDS = [f"{purpose}-{record}" for purpose, record in CELLS]


@pytest.mark.parametrize(("purpose", "record"), CELLS, ids=IDS)
def test_of_everybody_nobody_is_allowed_whom_the_law_or_the_person_closed(purpose, record):
    assert holds_for_everybody(purpose, record, Office(LAW, TODAY)) == AT_ONCE


@pytest.mark.parametrize("record", RECORDS)
def test_of_everybody_some_are_allowed(record):
    """A verdict that denies always would hold, too."""
    said = [data for *_, data in everybody(SIGNAL_PURPOSES[0], record, Office(LAW, TODAY))]
    assert (Answer.ALLOW in {data[AD_ID] for data in said}) == (record != "opted_out")
    assert (Answer.ALLOW in {data[POINT] for data in said}) == (record == "opted_in")


@pytest.mark.parametrize(
    ("rule", "record"),
    [("opted_out", "opted_out"), ("signal", "opted_in"), ("banned", "opted_in"), ("precise", "none")],
)
def test_a_verdict_without_the_rule_is_found(monkeypatch, rule, record):
    without(monkeypatch, rule)
    with pytest.raises(AssertionError):
        holds_for_everybody(SIGNAL_PURPOSES[0], record, Office(LAW, TODAY))


@pytest.mark.parametrize(
    "fault",
    [
        lambda case: case.question.places == UNKNOWN and case.opted_in(case.purpose),
        lambda case: not case.question.heard.said and not case.question.standings,
    ],
    ids=["an unknown place is free", "no signal is a yes"],
)
def test_a_verdict_with_a_fault_is_found(monkeypatch, fault):
    plant(monkeypatch, allowing(fault))
    with pytest.raises(AssertionError):
        for record in RECORDS:
            holds_for_everybody(SIGNAL_PURPOSES[0], record, Office(LAW, TODAY))


@pytest.mark.slow
@pytest.mark.parametrize(("purpose", "record"), CELLS, ids=IDS)
def test_on_every_day_of_the_law_too(purpose, record, figure):
    """And under SOAK on the days between, five times as many."""
    first = date(2023, 1, 1)
    days = [day for day in LAW.days() if day >= first]
    between = [
        first + timedelta(days=number * 2192 // (len(days) * TIMES)) for number in range(len(days) * (TIMES - 1))
    ]
    for on in (*days, *between):
        holds_for_everybody(purpose, record, Office(LAW, on))
