"""What is remembered of an answer is what would be answered anew, whoever asks, and on whichever day."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from support import inside

from gateway.app.composition import open_house
from gateway.choice.standing import IN, OUT, SHIFT, Standing
from gateway.consent import check
from gateway.consent.asked import Around, Ask, Likeness
from gateway.consent.people import Named
from gateway.terms import Purpose

NAMES = ("advertisers", "teemo", "flurry", "matching", "payments", "nobody of ours")
STANDINGS = (
    (), *((Standing(word << SHIFT[purpose]),) for word in (IN, OUT) for purpose in (Purpose.SALE, Purpose.SENSITIVE)),
    (Standing(age_band="13_15"),), (Standing(told=date(2020, 1, 1)), Standing(OUT << SHIFT[Purpose.TARGETED_ADS])),
)  # fmt: skip
LEFT_OUT = ("recipients", "purpose", "data", "age", "places", "alike", "limited", "naming", "office")
ASKED = ("recipients", "purpose", "data", "age", "count", "collected", "during_call")


class Clock:
    now = datetime(2025, 6, 1, 12, tzinfo=UTC)  # before the law of Indiana (1 January 2026)

    def __call__(self):
        return self.now


def questions(number):
    """Much alike, so that each is asked several times among others."""
    rng, some = random.Random(number), lambda *values: rng.choice(values)
    for _ in range(6000):
        yield Ask(
            tuple(rng.sample(NAMES, rng.randint(1, 2))),
            purpose=some(None, None, "sale", "service", "sensitive", "made up"),
            data=some(None, None, ("ad_id",), ("ad_id", "precise_geo"), ("account", "made up"), ("aggregate",)),
            place=some(None, "US-NY", "US-IN", "US-CA", "DE"),
            geo=some(None, None, {"country": "USA", "region": "TX"}),
            age=some(None, None, "under_13", "13_15"),
            count=some(None, None, 3, 5000),
            signals=some({}, {}, {}, {"gpc": 1}),
            during_call=some(False, True),
            row=some(False, False, True),
            named=some(Named(limited=True), Named(malformed=True), Named()),
            instead=some(*STANDINGS),
        )


def remembered_is_fresh(folder, *, careless=None):
    """`careless`: takes something off a question before it is looked up by."""
    clock = Clock()
    with open_house(folder, inside.settings(), dev=True, clock=clock) as house:
        checks = house.consent.checks
        if careless:
            checks._remembered = Careless(careless)
        for day in range(3):
            for ask in questions(1):
                found, fresh = checks.check(ask), checks.check(ask._replace(numbered=True))
                for name, verdict in fresh.verdicts.items():
                    assert found.verdicts[name]._replace(seq=None, by=None) == verdict._replace(seq=None, by=None), ask
                assert (found.outcome, found.age) == (fresh.outcome, fresh.age), ask
            clock.now += timedelta(days=400 * (day + 1))
        return len(checks._remembered)


class Careless(dict):
    def __init__(self, less):
        super().__init__()
        self.less = less

    def get(self, question):
        return super().get(self.less(*question))

    def __setitem__(self, question, answer):
        super().__setitem__(self.less(*question), answer)


def test_what_is_remembered_is_what_would_be_answered_anew(folder):
    assert remembered_is_fresh(folder) > 100


@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_the_control_that_remembers_by_less_than_all_of_a_question_is_caught(folder, left_out):
    def less(asked, around, likeness, office):
        names = (*ASKED, *Around._fields, *Likeness._fields, "office")
        named = zip(names, (*asked, *around, *likeness, office), strict=True)
        return tuple(word for name, word in named if name != left_out)

    with pytest.raises((AssertionError, KeyError)):
        remembered_is_fresh(folder, careless=less)


def test_whoever_asks_nothing_twice_takes_no_more_memory(folder, monkeypatch):
    monkeypatch.setattr(check, "REMEMBERED", 50)
    assert remembered_is_fresh(folder) <= 50
