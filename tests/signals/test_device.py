"""What a phone's or a browser's setting says: it denies now, and it never consents."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.signals.device import limits
from gateway.terms import Malformed


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = settings(max_examples=150, deadline=1000)
FLAGS = ("att", "lmt", "dnt")


@pytest.mark.parametrize("state", [0, 1, 2, "0", "1", "2", " 2\n"], ids=brief)
def test_an_iphone_owner_who_has_not_authorised_tracking_is_limited(state):
    assert limits("att", state) is True


@pytest.mark.parametrize("state", [3, "3"], ids=brief)
def test_an_authorised_iphone_says_nothing(state):
    assert limits("att", state) is False


@pytest.mark.parametrize("flag", ["lmt", "dnt"], ids=brief)
def test_a_person_who_switched_limiting_on_is_limited_and_off_says_nothing(flag):
    for on in (1, "1", True, " 1 "):
        assert limits(flag, on) is True
    for off in (0, "0", False):
        assert limits(flag, off) is False


@pytest.mark.parametrize("flag", FLAGS, ids=brief)
def test_an_absent_flag_says_nothing(flag):
    assert limits(flag, None) is False


@pytest.mark.parametrize("flag", FLAGS, ids=brief)
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
    st.sampled_from(FLAGS),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.just("1"))),
)
def test_any_value_is_answered_and_silence_is_rare(flag, value):
    """Only the few values that mean "not limited" say nothing; all else denies or is malformed."""
    answer = limits(flag, value)
    if answer is False:
        assert value is None or int(value) == (3 if flag == "att" else 0)
    else:
        assert answer is True or answer == Malformed(flag, "value")
