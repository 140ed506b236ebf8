"""A standing row: two bits a purpose of one's own, two for what has travelled; deny travels, allow does not."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.choice.standing import IN, NONE, NOT_ASKED, OUT, SHIFT, Standing, out_bits, state, with_state
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Purpose

PURPOSES = st.sampled_from(CHOOSABLE)
STATES = st.sampled_from([NONE, OUT, IN])
ROWS = st.dictionaries(PURPOSES, STATES)


def bits(states):
    row = 0
    for purpose, value in states.items():
        row = with_state(row, purpose, value)
    return row


def test_the_bits_of_rows_already_written_never_move():
    """The vocabulary may grow at its end only; a moved bit would read one person's refusal as another's."""
    assert [purpose.value for purpose in CHOOSABLE[:13]] == [
        "sale",
        "sharing",
        "targeted_ads",
        "profiling",
        "sensitive",
        "marketing_email",
        "marketing_mail",
        "marketing_text",
        "marketing_call",
        "third_party_marketing",
        "cpni_marketing",
        "cpni_disclosure",
        "call_location",
    ]
    assert [SHIFT[purpose] for purpose in CHOOSABLE] == list(range(0, 2 * len(CHOOSABLE), 2))


@given(ROWS, PURPOSES, STATES)
def test_setting_one_purpose_is_read_back_and_touches_no_other(states, purpose, value):
    row = with_state(bits(states), purpose, value)
    assert {each: state(row, each) for each in CHOOSABLE} == dict.fromkeys(CHOOSABLE, NONE) | states | {purpose: value}


@given(st.lists(PURPOSES))
def test_opting_out_of_some_purposes_sets_exactly_those_however_often_named(purposes):
    row = out_bits(purposes)
    assert {purpose for purpose in CHOOSABLE if state(row, purpose) == OUT} == set(purposes)
    assert Standing(own=row).states() == Standing(travelled=row).states()


@given(ROWS, ROWS, PURPOSES)
def test_a_refusal_denies_whether_it_is_ones_own_or_travelled(own, travelled, purpose):
    standing = Standing(own=bits(own), travelled=bits(travelled))
    assert standing.denies(purpose) == (OUT in (own.get(purpose), travelled.get(purpose)))
    assert standing.own_denies(purpose) == (own.get(purpose) == OUT)


@given(ROWS, ROWS, PURPOSES)
def test_an_opt_in_that_came_from_elsewhere_opens_nothing(own, travelled, purpose):
    standing = Standing(own=bits(own), travelled=bits(travelled))
    assert standing.opted_in(purpose) == (own.get(purpose) == IN)


@pytest.mark.parametrize(
    ("own", "travelled", "word"),
    [
        (NONE, NONE, "none"),
        (OUT, NONE, "opted_out"),
        (NONE, OUT, "opted_out"),
        (IN, NONE, "opted_in"),
        (IN, OUT, "opted_out"),
    ],
)
def test_a_person_is_shown_what_enforcement_does(own, travelled, word):
    purpose = Purpose.SALE
    standing = Standing(own=with_state(0, purpose, own), travelled=with_state(0, purpose, travelled))
    assert standing.states()["sale"] == word
    assert standing.denies(purpose) == (word == "opted_out")


def test_a_person_who_never_chose_has_no_refusal():
    assert set(Standing().states().values()) == {"none"}
    assert not any(Standing().denies(purpose) for purpose in SIGNAL_PURPOSES)


@given(ROWS, ROWS, PURPOSES)
def test_what_is_left_without_opt_ins_denies_the_same_and_allows_nothing(own, travelled, purpose):
    whole = Standing(bits(own), out_bits(travelled), "adult", 7, linked=True, granted=True, held=True)
    left = whole.denies_only()
    assert (left.denies(purpose), left.opted_in(purpose)) == (whole.denies(purpose), False)
    assert (left.age_band, left.seq, left.granted) == ("adult", 7, False)


def test_that_a_state_is_held_tells_where_a_denial_comes_from_and_is_none_itself():
    assert not any(Standing(held=True).denies(purpose) for purpose in CHOOSABLE)
    assert Standing(travelled=out_bits([Purpose.SALE]), held=True).denies(Purpose.SALE)
    assert not Standing(travelled=out_bits([Purpose.SALE]), held=True).own_denies(Purpose.SALE)


def test_a_record_that_may_be_somebody_elses_has_no_say_in_what_this_person_was_told():
    """A looser form of an address may be another's: it denies, and neither approves nor unsays anything."""
    beside = Standing(own=bits({Purpose.SALE: OUT}), told=date(2020, 1, 1), cpni_told=date(2020, 1, 1)).denies_only()
    assert (beside.told, beside.cpni_told) == (NOT_ASKED, NOT_ASKED)
    assert beside.denies(Purpose.SALE)
