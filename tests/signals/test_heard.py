"""What was heard, taken together: what is written, what is kept as a state, what two doors heard of one person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from gateway.signals.heard import Heard, KeptFor, Said
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Malformed, Purpose, Source

QUICKLY = examples(150)
FULL, ADS = frozenset(SIGNAL_PURPOSES), frozenset(AD_CHOICE_PURPOSES)
SALE, PRECISE = frozenset({Purpose.SALE}), frozenset({Purpose.SENSITIVE})
GPC = Said(Source.GPC, FULL)
LIMITED = Said(Source.DEVICE, FULL, KeptFor.STATE)
DO_NOT_TRACK = Said("dnt", FULL, KeptFor.MOMENT)
TOOL_ADS = "cmp_cookie:onetrust:ads"
SAID = st.builds(
    Said,
    st.sampled_from([Source.GPC, Source.TCF, Source.CMP_COOKIE, TOOL_ADS, Source.DEVICE, "dnt"]),
    st.frozensets(st.sampled_from([*SIGNAL_PURPOSES, Purpose.SENSITIVE]), min_size=1),
    st.sampled_from(KeptFor),
)
HEARD = st.builds(
    Heard,
    st.lists(SAID, max_size=4).map(tuple),
    ended=st.frozensets(st.sampled_from([Source.TCF, TOOL_ADS, Source.DEVICE])),
)


@pytest.mark.parametrize(
    ("choices", "written"),
    [
        ([Said(Source.US_PRIVACY, ADS), Said(Source.CMP_COOKIE, SALE), GPC], GPC),
        ([Said(Source.US_PRIVACY, FULL), GPC], Said(Source.US_PRIVACY, FULL)),
        ([GPC, Said(Source.US_PRIVACY, FULL)], GPC),
        ([Said(Source.GPP, SALE), Said(Source.AD_CHOICES, ADS)], Said(Source.AD_CHOICES, ADS)),
    ],
    ids=["the last says most", "the first of equals", "the other first", "neither says all"],
)
def test_of_several_choices_the_one_that_says_most_is_written_under_its_own_name(choices, written):
    """A no to one of its purposes denies all of them at a third party (R25), so the others would add nothing."""
    heard = Heard((DO_NOT_TRACK, LIMITED, *choices))
    assert heard.to_remember() == written
    assert heard.remembered == frozenset().union(*(said.purposes for said in choices))


def test_a_default_or_a_devices_state_adds_nothing_to_what_a_person_chose():
    heard = Heard((Said(Source.AD_CHOICES, ADS), DO_NOT_TRACK, LIMITED))
    assert heard.to_remember() == Said(Source.AD_CHOICES, ADS)
    assert heard.denied == FULL


@pytest.mark.parametrize("said", [(), (DO_NOT_TRACK,), (LIMITED,)], ids=["nothing", "a moment", "a state"])
def test_without_a_choice_nothing_is_written_as_one(said):
    assert Heard(said).to_remember() is None
    assert Heard(said).remembered == frozenset()


def test_a_refused_precise_point_is_never_written_as_a_limit():
    """L64: no signal says `limit`."""
    assert Heard((Said(Source.GPP, FULL | PRECISE),)).to_remember() == Said(Source.GPP, FULL)


def test_each_source_keeps_one_state_with_all_that_it_denies():
    twice = [Said(Source.GPP, purposes, KeptFor.STATE) for purposes in (ADS, SALE)]
    heard = Heard((twice[0], GPC, LIMITED, twice[1], DO_NOT_TRACK))
    assert heard.states() == [Said(Source.GPP, FULL, KeptFor.STATE), LIMITED]


def test_what_a_tool_says_of_ads_and_of_sale_are_two_states():
    tool = [Said("cmp_cookie:ketch:ads", ADS, KeptFor.STATE), Said("cmp_cookie:ketch:sale", FULL, KeptFor.STATE)]
    assert Heard((tool[0], GPC, tool[1])).states() == tool


@pytest.mark.parametrize(
    ("heard", "keeps"),
    [
        (Heard(), False),
        (Heard((DO_NOT_TRACK,), (Malformed("gpp", "size"),)), False),
        (Heard((DO_NOT_TRACK, LIMITED)), True),
        (Heard((GPC,)), True),
        (Heard(ended=frozenset({Source.DEVICE})), True),
    ],
    ids=["nothing", "what holds now", "a state", "a choice", "the end of a state"],
)
def test_the_ledger_is_asked_only_where_there_is_something_to_write(heard, keeps):
    assert heard.keeps is keeps


def test_only_gpc_is_gpc():
    assert Heard((LIMITED, GPC)).gpc
    assert not Heard((LIMITED, DO_NOT_TRACK, Said(Source.GPP, FULL))).gpc


def test_a_person_whose_call_and_page_differ_is_heard_by_both():
    page = Heard((GPC,), (Malformed("gpc", "value"),))
    call = Heard((LIMITED,), (Malformed("gpp", "size"),))
    both = page.beside(call)
    assert set(both.said) == {GPC, LIMITED}
    assert {item.channel for item in both.malformed} == {"gpc", "gpp"}


def test_what_one_door_says_has_ended_the_other_may_still_deny():
    lifted = Heard(ended=frozenset({Source.DEVICE, Source.TCF}))
    limited = Heard((LIMITED, Said(Source.TCF, FULL, KeptFor.MOMENT)))
    for both in (lifted.beside(limited), limited.beside(lifted)):
        assert both.ended == {Source.TCF}
        assert both.states() == [LIMITED]


@QUICKLY
@given(HEARD, HEARD)
def test_hearing_by_two_doors_never_loses_a_denial(one, other):
    both = one.beside(other)
    assert both.denied == one.denied | other.denied
    assert both.remembered == one.remembered | other.remembered
    assert {state.source for state in both.states()} == {s.source for s in (*one.states(), *other.states())}
    assert both.ended <= one.ended | other.ended
    assert both.gpc == (one.gpc or other.gpc)


@QUICKLY
@given(HEARD)
def test_states_choices_and_moments_are_told_apart_in_anything_heard(heard):
    states = heard.states()
    assert len({state.source for state in states}) == len(states)
    assert all(state.kept is KeptFor.STATE and state.purposes <= FULL for state in states)
    kept = {said.kept for said in heard.said}
    assert bool(states) == (KeptFor.STATE in kept)
    assert (heard.to_remember() is not None) == (KeptFor.CHOICE in kept)
    assert heard.remembered <= heard.denied & FULL
