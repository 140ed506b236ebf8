"""Silence is never consent: no signal, no record and no answer say yes to nothing."""

from dataclasses import replace

import pytest
from support.signals import ADCHOICES_ALLOWED, GPP_ALLOWED
from support.verdicts import (
    LAW,
    allowing,
    decide,
    not_looser,
    people,
    plant,
)

from gateway.choice.law import AGES, LawRule
from gateway.choice.question import NOTHING, Ruling
from gateway.choice.rules import permission
from gateway.choice.rules.case import NOT_CHOOSABLE, NOT_PERSONAL
from gateway.choice.standing import OUT_BITS
from gateway.signals.hear import from_call
from gateway.terms import Answer, Purpose, Reason, Role

QUIET = {  # every signal is there, and none of them says no
    "gpc": "0", "us_privacy": "1YNN", "gpp": GPP_ALLOWED, "ac": "1~7", "adchoices": ADCHOICES_ALLOWED, "dnt": 0,
    "cookies": "usprivacy=1YNN; OptanonConsent=groups=C0004:1&interactionCount=1", "att": 3, "lmt": 0,
}  # fmt: skip
NEUTRAL = {name: from_call({name: said}) for name, said in QUIET.items()} | {"all of them": from_call(QUIET)}


def no_signal_says_no_more_than_neutral_ones(name):
    for number, (asking, office) in enumerate(people()):
        silent, quiet = asking._replace(heard=NOTHING), asking._replace(heard=NEUTRAL[name])
        assert not_looser(decide(silent, office), decide(quiet, office)), (number, silent)


@pytest.mark.parametrize("name", NEUTRAL)
def test_the_signals_here_say_neither_no_nor_yes(name):
    assert (NEUTRAL[name].said, NEUTRAL[name].malformed, NEUTRAL[name].vendors) == ((), (), frozenset())


@pytest.mark.parametrize("name", NEUTRAL)
def test_who_sends_no_signal_is_no_freer_than_who_sends_neutral_ones(name):
    no_signal_says_no_more_than_neutral_ones(name)


def test_a_verdict_that_takes_a_missing_signal_for_a_yes_is_found(monkeypatch):
    plant(monkeypatch, allowing(lambda case: case.question.heard is NOTHING))
    with pytest.raises(AssertionError):
        no_signal_says_no_more_than_neutral_ones("all of them")


def unasked(asking):
    """The same person, who said yes to nothing, by no door."""
    standings = tuple(replace(each, own=each.own & OUT_BITS, informed=0, parental=0) for each in asking.standings)
    return asking._replace(standings=standings, grants=(), heard=replace(asking.heard, vendors=frozenset()))


def nobody_is_allowed_who_was_not_asked():
    """One purpose and one class at a time. Returns how many people the law wanted to be asked."""
    met = 0
    for number, (somebody, office) in enumerate(people()):
        asking = unasked(somebody)._replace(purposes=somebody.purposes[:1], data=somebody.data[:1])
        (purpose,), (data_class,) = asking.purposes, asking.data
        served = asking.recipient.role is Role.LEGAL or purpose in {*NOT_CHOOSABLE, Purpose.TRANSFER}
        if served or data_class in NOT_PERSONAL:
            continue
        said = [asking.age, *(each.age_band for each in asking.standings)]
        band = min((AGES.index(each) if each in AGES else 0 for each in said if each), default=len(AGES) - 1)
        if LAW.strictest(asking.places, purpose, office.on, AGES[band]).rule >= LawRule.OPT_IN:
            met += 1
            assert decide(asking, office).data[data_class] is Answer.DENY, (number, asking)
    return met


def test_where_the_law_wants_a_yes_a_person_who_gave_none_is_never_allowed():
    assert nobody_is_allowed_who_was_not_asked() > len(people()) / 4


def test_a_verdict_that_takes_no_answer_for_a_yes_is_found(monkeypatch):
    monkeypatch.setattr(
        permission, "by_default", lambda case, purpose: Ruling(Answer.ALLOW, Reason.NO_CHOICE, "a fault")
    )
    with pytest.raises(AssertionError):
        nobody_is_allowed_who_was_not_asked()
