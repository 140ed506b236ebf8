"""What no decision may break: a no ends everything outside, and whatever tightens a question opens nothing (R3,
R13)."""

import itertools
from dataclasses import replace
from datetime import date
from random import Random

import pytest
from support.verdicts import (
    IN_FOR_ALL,
    OFFICE,
    OUT_OF_ALL,
    PARTLY,
    PERSONAL,
    SAID,
    THIRD,
    allowing,
    any_day,
    buyer,
    decide,
    not_looser,
    people,
    plant,
    without,
)

from gateway.choice.law import AGES
from gateway.choice.question import NOTHING, Gap, Grant, Question
from gateway.choice.rules.case import NOT_PERSONAL, youngest
from gateway.choice.standing import OUT, OUT_BITS, Standing, out_bits, with_state
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Answer

PLACES = ("US-CA", "US-CO", "US-MD", "US-OR", "US-WY", "US-PR", "US", "DE", "US-ZZ", "")
RECORDED = {  # where an opt-out that is on record may stand: on which identifier, said there or travelled to it
    "its own": (Standing(own=OUT_OF_ALL),),
    "travelled": (Standing(travelled=OUT_OF_ALL),),
    "travelled to one that opted in": (
        Standing(own=IN_FOR_ALL, travelled=OUT_OF_ALL, informed=IN_FOR_ALL, parental=IN_FOR_ALL),
    ),
    "another identifier": (Standing(own=IN_FOR_ALL, granted=True), Standing(), Standing(own=OUT_OF_ALL)),
}

# --- a no, wherever it was said --------------------------------------------------------------------------------------


def every_opt_out(sources):
    """R3's cases, all of them: place x role x class x purpose x source of the opt-out."""
    for place, role, data_class, purpose in itertools.product(PLACES, THIRD, PERSONAL, SIGNAL_PURPOSES):
        places = frozenset({place} - {""})
        grants = (Grant("buyer", purpose, data_class, 1),)
        asking = Question(buyer(role), (purpose,), (data_class,), places, grants=grants)
        for name, source in sources.items():
            heard = {"heard": source} if name in SAID else {"standings": source}
            yield name, asking._replace(**heard)


def opted_out_means_deny(sources):
    for name, asking in every_opt_out(sources):
        decided = decide(asking, OFFICE)
        assert set(decided.data.values()) == {Answer.DENY}, (name, asking)


@pytest.mark.parametrize("name", RECORDED)
def test_a_person_on_record_as_opted_out_is_denied_to_every_third_party_and_affiliate_everywhere(name):
    opted_out_means_deny({name: RECORDED[name]})


@pytest.mark.parametrize("name", SAID)
def test_a_person_whose_request_says_no_is_denied_to_every_third_party_and_affiliate_everywhere(name):
    opted_out_means_deny({name: SAID[name]})


@pytest.mark.parametrize("name", RECORDED)
def test_without_the_rule_on_recorded_opt_outs_the_property_fails(monkeypatch, name):
    without(monkeypatch, "opted_out")
    with pytest.raises(AssertionError):
        opted_out_means_deny({name: RECORDED[name]})


@pytest.mark.parametrize("name", SAID)
def test_without_the_rule_on_signals_the_property_fails(monkeypatch, name):
    without(monkeypatch, "signal")
    with pytest.raises(AssertionError):
        opted_out_means_deny({name: SAID[name]})


def what_a_person_closed_stays_closed():
    """R3 over people of any kind: nothing about them, the law or the day opens what one of the three closed."""
    for number, (asking, office) in enumerate(people()):
        rng = Random(number)
        said = out_bits([rng.choice(SIGNAL_PURPOSES)])
        more = (*asking.standings, Standing(own=said) if number % 2 else Standing(travelled=said))
        purpose = next(purpose for purpose in SIGNAL_PURPOSES if said & out_bits([purpose]))
        closed = asking._replace(recipient=buyer(rng.choice(THIRD)), purposes=(purpose,), standings=more)
        closed = closed._replace(heard=NOTHING, limited=False)  # only the record stands in the way
        for name, answer in decide(closed, office).data.items():
            assert answer is Answer.DENY or name in NOT_PERSONAL, (number, closed)


@pytest.mark.slow
def test_no_place_age_consent_or_date_opens_what_a_person_has_closed():
    what_a_person_closed_stays_closed()


def test_the_property_over_all_people_fails_without_its_rule(monkeypatch):
    without(monkeypatch, "opted_out")
    with pytest.raises(AssertionError):
        what_a_person_closed_stays_closed()


# --- what tightens never opens ---------------------------------------------------------------------------------------


def says_no_to_more(rng, asking, office):
    """On an identifier that is asked about; its yes to that is over, and what came with it."""
    no = with_state(0, rng.choice(CHOOSABLE), OUT)
    first, *others = asking.standings or (Standing(),)
    kept = [getattr(first, name) & ~_states(no) for name in ("own", "informed", "parental")]
    said = replace(first, own=kept[0] | no, informed=kept[1], parental=kept[2])
    return asking._replace(standings=(said, *others)), office


def _states(no):
    """Both bits of the purposes that `no` names."""
    return no | no << 1


def is_named_beside_a_no(rng, asking, office):
    """One more identifier, or an account that it is linked to."""
    linked = Standing(
        travelled=out_bits(rng.sample(CHOOSABLE, rng.choice([0, 1, 3]))),
        age_band=rng.choice([None, None, *AGES]),
        grown=rng.random() < 0.2,
        told=rng.choice([None, date.max]),  # never, or it is no matter what (a looser form)
    )
    return asking._replace(standings=(*asking.standings, linked)), office


def sends_a_signal(rng, asking, office):
    said = rng.choice([*SAID.values(), *PARTLY.values()])
    return asking._replace(heard=asking.heard.beside(said)), office


def is_younger(rng, asking, office):
    known = AGES.index(youngest(asking.age, asking.standings))
    return asking._replace(age=AGES[rng.randint(0, known)]), office


def is_nobody_knows_where(rng, asking, office):
    places = rng.choice([frozenset(), frozenset({"unknown"}), frozenset({"ZZ"}), asking.places | {"unknown"}])
    return asking._replace(places=places), office


def is_in_one_more_place(rng, asking, office):
    """R13: a VPN, the form or the caller can only add. No place at all is already the strictest regime."""
    more = {rng.choice(["US-CA", "US-MD", "US-WY", "DE", "GB", "CA", "BR", "US"])}
    return asking._replace(places=asking.places | more if asking.places else asking.places), office


def takes_a_yes_back(rng, asking, office):
    standings = [replace(each, own=each.own & OUT_BITS, informed=0, parental=0) for each in asking.standings]
    heard = replace(asking.heard, vendors=frozenset())
    taken = rng.choice([{"standings": tuple(standings)}, {"grants": ()}, {"heard": heard}])
    return asking._replace(**taken), office


def was_told_less(rng, asking, office):
    standings = tuple(replace(each, told=None, cpni_told=None) for each in asking.standings)
    return asking._replace(standings=standings), office


def withholds_an_identifier(rng, asking, office):
    return asking._replace(limited=True), office


def makes_a_call(rng, asking, office):
    return asking._replace(during_call=True), office


def has_an_operator_without_the_module(rng, asking, office):
    return asking, replace(office, cpni=False)


def met_no_notice(rng, asking, office):
    gaps = (*office.notices.gaps, Gap(*sorted((any_day(rng), any_day(rng)))))
    return asking, replace(office, notices=replace(office.notices, gaps=gaps))


def is_counted_among_fewer(rng, asking, office):
    return asking._replace(count=None), office


TIGHTER = {
    says_no_to_more: lambda case: case.out,
    is_named_beside_a_no: lambda case: len(case.question.standings) > 1,
    sends_a_signal: lambda case: case.question.heard.said,
    is_younger: lambda case: case.band != "adult",
    is_nobody_knows_where: lambda case: not case.somewhere,
    is_in_one_more_place: lambda case: len(case.question.places) > 1,
    takes_a_yes_back: lambda case: not case.question.grants,
    was_told_less: lambda case: all(each.told is None for each in case.question.standings),
    withholds_an_identifier: lambda case: case.question.limited,
    makes_a_call: lambda case: case.question.during_call,
    has_an_operator_without_the_module: lambda case: not case.office.cpni,
    met_no_notice: lambda case: case.office.notices.gaps,
    is_counted_among_fewer: lambda case: case.question.count is None,
}
NAMES = [tighten.__name__ for tighten in TIGHTER]


def opens_nothing(tighten):
    for number, (asking, office) in enumerate(people()):
        tighter = tighten(Random(number), asking, office)
        assert not_looser(decide(*tighter), decide(asking, office)), (number, tighter)


@pytest.mark.slow
@pytest.mark.parametrize("tighten", TIGHTER, ids=NAMES)
def test_nothing_opens_for_a_person_who(tighten):
    opens_nothing(tighten)


@pytest.mark.parametrize(("tighten", "fault"), TIGHTER.items(), ids=NAMES)
def test_a_verdict_that_takes_it_for_a_yes_is_found(monkeypatch, tighten, fault):
    plant(monkeypatch, allowing(fault))
    with pytest.raises(AssertionError):
        opens_nothing(tighten)
