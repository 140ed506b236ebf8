"""Each signal that a call may carry has its places in a bid request too, and counts there as it does in a call."""

import pytest
from support.adchoices import write_adchoices

from gateway.choice.openrtb import reading
from gateway.signals import device
from gateway.signals.hear import STRINGS, from_call
from gateway.terms import SIGNAL_PURPOSES, Purpose

NO: dict[str, object] = {
    "us_privacy": "1YYN", "gpp": "DBABLA~BVVVVVVVVmA.QA", "tc": "CPwAAAAPwAAAAAGABCENAdEgAAAAAAAAAAAAAAAAAAAA", "ac": "1~",
    "adchoices": write_adchoices(1_764_000_000, preference=0),
    "gpc": "1", "lmt": 1, "dnt": 1, "att": 2,
}  # fmt: skip
BESIDE = {"gdpr", "gpp_sid"}  # say nothing by themselves
NOT_OF_SEVEN = "DBABTA~1YNN"  # has section 6 alone
PLACES = [(name, path, member) for name, places in reading.SIGNALS.items() for path, member in places]
OF_LISTS = "consented_providers_settings"


def bid(path: tuple[str, ...], member: str, value: object) -> dict:
    whole: dict = {"id": "1"}
    holder = whole
    for step in path:
        holder = holder.setdefault(step, {})
    holder[member] = value
    return whole


def heard(path, member, value):
    return [from_call(signals) for signals in reading.said_in_bid(bid(path, member, value)).signals]


def denied(found) -> frozenset[Purpose]:
    return frozenset().union(*(each.denied for each in found))


def test_each_string_and_flag_of_a_call_has_its_places():
    assert reading.SIGNALS.keys() == {*STRINGS, *device.FLAGS, *BESIDE, "gpc"} == {*NO, *BESIDE}


@pytest.mark.parametrize(("name", "path", "member"), [each for each in PLACES if each[0] not in BESIDE], ids=repr)
def test_a_no_is_heard_in_each_place_as_in_a_call(name, path, member):
    there, in_a_call = heard(path, member, NO[name]), from_call({name: NO[name]})
    assert denied(there) == in_a_call.denied != frozenset()
    assert {each.source for one in there for each in one.said} == {each.source for each in in_a_call.said}


@pytest.mark.parametrize("value", [{}, {"no": 1}, 1.5, True, ["1~"], [1, None]], ids=repr)
@pytest.mark.parametrize(("name", "path", "member"), [each for each in PLACES if each[0] in STRINGS], ids=repr)
def test_what_is_no_string_denies_and_is_counted(name, path, member, value):
    found = heard(path, member, value)
    assert denied(found) >= frozenset(SIGNAL_PURPOSES)
    assert any(item.channel == name for each in found for item in each.malformed)


def test_providers_of_consent_may_be_a_list_where_they_are_one():
    """Prebid writes Google's string as the numbers in it; nobody consented to in either is a no."""
    place = (("user", "ext", OF_LISTS), "consented_providers")
    assert denied(heard(*place, [])) == from_call({"ac": "1~"}).denied
    assert not any(each.denied or each.malformed for each in heard(*place, [1, 43, 311]))
    for odd in ([0], [-1], [True], [10**6000], ["1"], [1.0]):
        assert denied(heard(*place, odd)) >= frozenset(SIGNAL_PURPOSES)
    as_a_text = (("user", "ext", "ConsentedProvidersSettings"), "consented_providers")
    assert any(each.malformed for each in heard(*as_a_text, []))


def test_of_two_bags_of_providers_the_stricter_counts():
    one, other = ({"consented_providers": text} for text in ("1~7", "1~"))
    for bags in ((one, other), (other, one)):
        request = {"user": {"ext": dict(zip(("ConsentedProvidersSettings", OF_LISTS), bags, strict=True))}}
        found = [from_call(each) for each in reading.said_in_bid(request).signals]
        assert denied(found) == from_call({"ac": "1~"}).denied


SPLIT_SECTIONS = {
    "the string in 2.6, its sections in 2.5": {"gpp": NOT_OF_SEVEN, "ext": {"gpp_sid": [7]}},
    "the string in 2.5, its sections in 2.6": {"gpp_sid": [7], "ext": {"gpp": NOT_OF_SEVEN}},
    "an empty list beside the string": {"gpp": NOT_OF_SEVEN, "gpp_sid": [], "ext": {"gpp_sid": [7]}},
}


@pytest.mark.parametrize("how", SPLIT_SECTIONS)
def test_the_sections_of_one_versions_place_belong_to_the_string_of_the_others(how):
    """What applies is section 7, of which the string says nothing: that is no yes."""
    together = from_call({"gpp": NOT_OF_SEVEN, "gpp_sid": [7]})
    found = [from_call(each) for each in reading.said_in_bid({"id": "1", "regs": SPLIT_SECTIONS[how]}).signals]
    assert denied(found) == together.denied != frozenset()
    assert not from_call({"gpp": NOT_OF_SEVEN}).denied


def test_a_string_with_sections_of_its_own_keeps_them():
    regs = {"gpp": NOT_OF_SEVEN, "gpp_sid": [6], "ext": {"gpp_sid": [7], "gpp": "x"}}
    ours, others = reading.said_in_bid({"id": "1", "regs": regs}).signals
    assert (ours["gpp_sid"], others["gpp_sid"]) == ([6], [7])
