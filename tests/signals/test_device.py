"""What a phone's or a browser's setting says: whether it denies now, is kept, or is lifted; it never consents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from gateway.signals.device import FLAGS, Limit, limits
from gateway.terms import Malformed


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(150)
ON, OFF = (1, "1", True, " 1 "), (0, "0", False)


@pytest.mark.parametrize("status", [0, 1, "0", "1", False, True, " 1\n"], ids=brief)
def test_an_iphone_that_has_not_asked_its_owner_or_may_not_is_limited_for_now(status):
    """R26: nobody set this, so it is no state of the device."""
    assert limits("att", status) is Limit.NOW


@pytest.mark.parametrize("status", [2, "2", " 2\n"], ids=brief)
def test_an_iphone_owner_who_tapped_do_not_track_has_set_it(status):
    assert limits("att", status) is Limit.SET


@pytest.mark.parametrize("status", [3, "3"], ids=brief)
def test_an_authorised_iphone_lifts_its_own_limit_and_consents_to_nothing(status):
    assert limits("att", status) is Limit.LIFTED


def test_limit_ad_tracking_is_set_and_lifted_by_the_same_switch():
    assert {limits("lmt", value) for value in ON} == {Limit.SET}
    assert {limits("lmt", value) for value in OFF} == {Limit.LIFTED}


def test_do_not_track_holds_while_it_is_said_and_its_absence_lifts_nothing():
    assert {limits("dnt", value) for value in ON} == {Limit.NOW}
    assert {limits("dnt", value) for value in OFF} == {Limit.NOTHING}


@pytest.mark.parametrize("flag", FLAGS)
def test_an_absent_flag_says_nothing_and_lifts_nothing(flag):
    assert limits(flag, None) is Limit.NOTHING


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize(
    "value",
    ["", "yes", "true", "01", "٢", "²", "1.0", 1.0, float("nan"), -1, 4, 10**30, [], [1], {}, b"1", "1" * 10_000],
    ids=brief,
)
def test_a_flag_that_cannot_be_read_is_malformed_never_consent(flag, value):
    assert limits(flag, value) == Malformed(flag, "value")


@pytest.mark.parametrize("value", [2, 3, "2", "3"], ids=brief)
def test_a_flag_of_two_states_has_no_third(value):
    assert limits("lmt", value) == Malformed("lmt", "value")
    assert limits("dnt", value) == Malformed("dnt", "value")


@QUICKLY
@given(
    st.sampled_from(sorted(FLAGS)),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.just("1"))),
)
def test_any_value_is_answered_and_only_the_flags_own_words_lift_or_say_nothing(flag, value):
    answer = limits(flag, value)
    if answer in (Limit.NOTHING, Limit.LIFTED):
        assert value is None or int(value) == (3 if flag == "att" else 0)
    else:
        assert answer in (Limit.NOW, Limit.SET, Malformed(flag, "value"))
