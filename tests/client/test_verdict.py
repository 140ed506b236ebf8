"""Reading an answer: what is not understood is a no, and so is what is over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.connection import boot_seconds
from gateway.client.verdict import LONGEST, VerdictUnreadable, read_verdict

YES = {"allowed": True, "partly": False, "data": {"ad_id": "allow"}, "reason": "no_choice", "valid_for_ms": 250,
       "rule": "r", "place": "US-NY", "decision": "d", "downstream": {}, "ref": "1"}  # fmt: skip
PARTLY = YES | {"allowed": False, "partly": True, "data": {"ad_id": "allow", "precise_geo": "coarsen"}}
NO = YES | {"allowed": False, "data": {"ad_id": "deny"}, "reason": "opted_out"}


def now(stated, asked=("ad_id",)):
    return read_verdict(stated, asked, boot_seconds(), "1")


def test_a_yes_a_part_and_a_no_are_read_as_they_were_meant():
    assert now(YES).allowed
    assert not now(PARTLY).allowed
    assert now(PARTLY).partly
    found = now(NO)
    assert (found.allowed, found.partly, found.reason, dict(found.data)) == (
        False,
        False,
        "opted_out",
        {"ad_id": "deny"},
    )


@pytest.mark.parametrize(
    "change",
    [{"allowed": 1}, {"allowed": "true"}, {"partly": None}, {"data": {}}, {"data": []}, {"data": {"ad_id": "permit"}},
     {"data": {"ad_id": ["allow"]}}, {"data": {"ad_id": None}}, {"reason": "because"}, {"reason": None}, {"reason": ["gpc"]},
     {"valid_for_ms": None}, {"valid_for_ms": 0}, {"valid_for_ms": -1}, {"valid_for_ms": True}, {"valid_for_ms": "250"},
     {"data": {"ad_id": "deny"}}, {"data": {"ad_id": "coarsen"}}, {"data": {"ad_id": "allow", "ip": "deny"}},
     {"data": {"ip": "allow"}}, {"ref": "2"}, {"ref": None}, {"allowed": False, "partly": True, "data": {"ad_id": "deny"}}],
)  # fmt: skip
def test_a_yes_that_is_not_understood_or_contradicts_itself_is_none(change):
    with pytest.raises(VerdictUnreadable):
        now(YES | change)


@pytest.mark.parametrize("member", ["allowed", "partly", "data", "reason", "valid_for_ms", "ref"])
def test_a_yes_from_which_a_member_is_missing_is_none(member):
    with pytest.raises(VerdictUnreadable):
        now({name: value for name, value in YES.items() if name != member})


def test_what_a_later_version_adds_beside_disturbs_nothing():
    assert now(YES | {"new": {"member": 1}}).allowed


def test_an_answer_is_over_on_our_own_clock_counted_from_before_the_question():
    stale = read_verdict(YES, ["ad_id"], boot_seconds() - 0.26, "1")
    assert (stale.allowed, stale.partly, dict(stale.data)) == (False, False, {"ad_id": "deny"})
    for_a_year = read_verdict(YES | {"valid_for_ms": 31_536_000_000}, ["ad_id"], boot_seconds() - LONGEST, "1")
    assert not for_a_year.allowed


def test_an_answer_is_over_behind_a_suspended_machine(monkeypatch):
    """Whose monotonic clock stands still meanwhile."""
    found = now(YES)
    assert found.allowed
    monkeypatch.setattr("gateway.client.verdict.boot_seconds", lambda: boot_seconds() + 3600, raising=False)
    assert (found.allowed, found.reason) == (False, "expired")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["allow", "deny", "gpc", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*YES, "ad_id"]), inner, max_size=6),
)


@given(stated=JSON, name=st.sampled_from(list(YES)))
def test_whatever_comes_is_read_or_refused_and_never_allows_by_accident(stated, name):
    for each in (stated, YES | {name: stated}):
        try:
            found = now(each)
        except VerdictUnreadable:
            continue
        assert not found.allowed or (each["allowed"] is True and set(each["data"].values()) == {"allow"})
