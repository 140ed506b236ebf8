"""A remembered answer is found at once, however many people are alike but for the day that they were told on, or for
whom their TC string lets advertise: questions of one hash are compared one after the other.
"""

from datetime import date, timedelta
from random import Random

import pytest
from support.verdicts import OFFICE, any_question

from gateway.choice import verdict
from gateway.choice.standing import Standing, unnumbered
from gateway.signals.heard import Heard

MANY = 500


def told_on_many_days(asking):
    days = (date(2024, 1, 1) + timedelta(number) for number in range(MANY))
    return [asking._replace(standings=(unnumbered(Standing(told=day)),)) for day in days]


def of_many_bands_and_notices(asking):
    days = [date(2024, 1, 1) + timedelta(number) for number in range(MANY // 2)]
    rows = (Standing(cpni_told=day, age_band=band) for day in days for band in ("adult", "16_17"))
    return [asking._replace(standings=(unnumbered(row),)) for row in rows]


def with_vendors_of_their_own(asking):
    return [asking._replace(heard=Heard(vendors=frozenset(range(number, number + 40)))) for number in range(MANY)]


EVERYBODY = {
    "day": (told_on_many_days, Standing), "band": (of_many_bands_and_notices, Standing),
    "vendors": (with_vendors_of_their_own, Heard),
}  # fmt: skip


def comparisons(monkeypatch, made, of):
    """How often two of them are compared while each question is asked once more, by question."""
    asked, compared, equal = made(any_question(Random(1))._replace(grants=())), [], of.__eq__
    verdict.decide.cache_clear()
    for question in asked:
        verdict.decide(question, OFFICE)
    monkeypatch.setattr(of, "__eq__", lambda one, other: compared.append(1) or equal(one, other))
    for question in made(asked[0]):
        verdict.decide(question, OFFICE)
    assert verdict.decide.cache_info().misses == MANY
    return len(compared) / MANY


@pytest.mark.parametrize("alike", EVERYBODY)
def test_a_remembered_answer_is_found_without_going_through_all_that_are_alike(monkeypatch, alike):
    assert comparisons(monkeypatch, *EVERYBODY[alike]) < 3


@pytest.mark.parametrize("alike", EVERYBODY)
def test_control_with_one_hash_for_all_who_are_alike_it_is_not(monkeypatch, alike):
    made, of = EVERYBODY[alike]
    monkeypatch.setattr(of, "__hash__", lambda self: hash(self.own if of is Standing else self.said))
    assert comparisons(monkeypatch, made, of) > 50
