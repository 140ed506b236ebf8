"""The one promise of every reading: what is not valid never allows, and the opt-out that could be read still counts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signals.heard import UNKNOWN as NOTHING_SAID
from gateway.signals.heard import Reading, stated, strictest, without_allows
from gateway.terms import SIGNAL_PURPOSES, Purpose, Stated

OUT, ALLOWED, UNKNOWN = Stated.OPTED_OUT, Stated.ALLOWED, Stated.UNKNOWN
SALE, SHARING, ADS = SIGNAL_PURPOSES
CHOICES = st.fixed_dictionaries(dict.fromkeys(SIGNAL_PURPOSES, st.sampled_from(Stated)))
SUBSETS = st.frozensets(st.sampled_from(SIGNAL_PURPOSES))


@given(CHOICES, st.sampled_from(["truncated", "reserved", "size"]))
def test_a_reading_with_an_error_allows_nothing_and_keeps_every_opt_out(choices, error):
    reading = Reading(choices, error=error)
    assert ALLOWED not in reading.choices.values()
    assert reading.opted_out == {purpose for purpose, word in choices.items() if word is OUT}
    assert not reading.ok


@given(CHOICES)
def test_a_valid_reading_says_what_it_was_given(choices):
    reading = Reading(choices)
    assert reading.ok
    assert reading.choices == choices


@given(CHOICES)
def test_without_allows_is_the_same_but_for_the_allows(choices):
    weaker = without_allows(choices)
    assert weaker.keys() == choices.keys()
    assert all(weaker[each] is (UNKNOWN if choices[each] is ALLOWED else choices[each]) for each in choices)


@given(SUBSETS, SUBSETS)
def test_an_opt_out_wins_over_an_allow_of_the_same_purpose(opted_out, allowed):
    choices = stated(opted_out, allowed)
    assert set(choices) == set(SIGNAL_PURPOSES)
    for purpose, word in choices.items():
        assert word is (OUT if purpose in opted_out else ALLOWED if purpose in allowed else UNKNOWN)


def test_a_signal_sets_nothing_beyond_what_signals_may_set():
    assert set(stated(opted_out=Purpose)) == set(SIGNAL_PURPOSES)
    assert set(stated(allowed=[Purpose.MARKETING_EMAIL])) == set(SIGNAL_PURPOSES)


@pytest.mark.parametrize(
    ("words", "together"),
    [
        ((), UNKNOWN),
        ((UNKNOWN,), UNKNOWN),
        ((ALLOWED,), ALLOWED),
        ((ALLOWED, UNKNOWN), ALLOWED),
        ((UNKNOWN, OUT), OUT),
        ((ALLOWED, OUT), OUT),
        ((OUT, ALLOWED, ALLOWED), OUT),
    ],
)
def test_of_several_statements_the_strictest_holds(words, together):
    assert strictest(stated() | {SALE: word} for word in words) == stated() | {SALE: together}


@given(st.lists(CHOICES, max_size=4), CHOICES)
def test_one_more_statement_never_takes_an_opt_out_back(readings, more):
    before, after = strictest(readings), strictest([more, *readings])
    assert all(after[purpose] is OUT for purpose, word in before.items() if word is OUT)


def test_an_empty_reading_says_nothing_of_every_purpose():
    assert Reading().choices == NOTHING_SAID == dict.fromkeys(SIGNAL_PURPOSES, UNKNOWN)
    assert Reading().opted_out == frozenset()


def test_what_a_valid_string_says_is_printed_with_what_was_absent():
    reading = Reading(stated([SALE], [ADS]), {"usca": {"Version": 1}}, ("usca.Gpc",))
    assert json.loads(json.dumps(reading.as_json())) == {
        "ok": True,
        "sections": {"usca": {"Version": 1}},
        "choices": {"sale": "opted_out", "sharing": "unknown", "targeted_ads": "allowed"},
        "absent": ["usca.Gpc"],
    }


def test_what_a_broken_string_says_is_printed_with_its_error_and_what_could_be_read():
    printed = Reading(stated([SALE], [ADS]), {"usca": {"Version": 9}}, error="version").as_json()
    choices = {"sale": "opted_out", "sharing": "unknown", "targeted_ads": "unknown"}
    assert printed == {"ok": False, "error": "version", "sections": {"usca": {"Version": 9}}, "choices": choices}
    assert "sections" not in Reading(error="header").as_json()
