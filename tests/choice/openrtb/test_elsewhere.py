"""An id that stands where nobody's does is asked about, whatever the member is called, in whatever writing: the person
whose it is may have said no, and the request be of somebody who did not.
"""

import hashlib
import json
from collections.abc import Callable

import pytest

from gateway.choice.openrtb import reading, signs

GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"
JANE, PHONE = "jane.roe@example.com", "+14155550107"
HERS = {"ad id": GAID, "address": JANE, "digest": hashlib.sha256(JANE.encode()).hexdigest()}
LIKE_IDS = (
    "ifa", "eids", "tid", "tidSource", "buyeruid", "didsha1", "dpidmd5", "ifv", "idfv", "app_set_id", "appsetid",
    "consent", "ConsentedProvidersSettings", "consented_providers_settings", "id", "regs",
)  # fmt: skip


def slot(**extension) -> dict:
    return {"imp": [{"id": "1", "ext": extension}]}


def with_parameters(bag: object) -> dict:
    return slot(prebid={"bidder": {"appnexus": bag}})


def with_eid(**more) -> dict:
    return {"user": {"eids": [{"source": "partner.example", "uids": [{"id": "abc"}]} | more]}}


PLACES: dict[str, Callable[[object], dict]] = {
    **{f"a parameter {name}": lambda value, name=name: with_parameters({name: value}) for name in LIKE_IDS},
    "eids of a bidder": lambda value: with_parameters({"eids": [{"source": "x", "uids": [{"id": value}]}]}),
    "data of a slot": lambda value: slot(data={"ifa": value}),
    "the transaction in Prebid's bag": lambda value: slot(prebid={"tid": value}),
    "where a transaction is from": lambda value: {"source": {"tidSource": value}},
    "a source of an eid": lambda value: with_eid(source=value),
    "an inserter": lambda value: with_eid(inserter=value),
    "a matcher": lambda value: with_eid(matcher=value),
    "a way to match": lambda value: with_eid(mm=value),
    "a kind of agent": lambda value: with_eid(uids=[{"id": "abc", "atype": value}]),
    "an id in the hundredth eid's stead": lambda value: {"user": {"eids": [{"uids": []}] * 101 + [{"mm": value}]}},
    "consent in a bag": lambda value: {"user": {"ext": {"ConsentedProvidersSettings": {"consented_providers": value}}}},
    "more in that bag": lambda value: {"user": {"ext": {"ConsentedProvidersSettings": {"more": value}}}},
    "more in the other": lambda value: {"user": {"ext": {"consented_providers_settings": {"more": [value]}}}},
    "who is told of an ad": lambda value: {"regs": {"ext": {"dsa": {"transparency": [{"domain": value}]}}}},
    "sources in a list": lambda value: {"source": [{"tid": value}]},
    "a parameter's name": lambda value: with_parameters({value: 1}),
    "a name in a slot's data": lambda value: slot(data={value: 1}),
    "a bidder's name": lambda value: slot(prebid={"bidder": {value: {"a": 1}}}),
    "a name in a bag of consent": lambda value: {"user": {"ext": {"ConsentedProvidersSettings": {value: 1}}}},
}
WRITTEN: dict[str, tuple[object, ...]] = {
    JANE: (
        "jane.roe%40example.com",
        "jane.roe%2540example.com",
        "jane.roe&#64;example.com",
        "jane.roe＠example.com",
        "jane.roe\\u0040example.com",
    ),
    PHONE: ("%2B14155550107", "＋14155550107", "&#43;14155550107", '{"e":"\\u002b14155550107"}'),
    "14155550107": ("14155550107", 14155550107, 14155550107.0, "１４１５５５５０１０７"),
}
SHORT_TEXTS = {
    "a tag": lambda value: {"imp": [{"id": "1", "tagid": value}]},
    "a parameter": lambda value: with_parameters({"inv_code": value}),
    "a title": lambda value: {"site": {"content": {"title": value}}},
}
OF_THE_AUCTION = {
    "the request's id": lambda value: {"id": value},
    "a slot's id": lambda value: {"imp": [{"id": value}]},
    "a transaction": lambda value: {"source": {"tid": value}},
}


def asked(request: dict) -> set[object]:
    said = reading.said_in_bid({"id": "1", **request})
    return {*(each["value"] for each in said.beside), *(value for _, value in said.names)}


@pytest.mark.parametrize("what", HERS)
@pytest.mark.parametrize("place", PLACES)
def test_an_id_is_asked_about_in_a_member_that_is_called_like_one_and_as_a_name(place, what):
    assert HERS[what] in asked(PLACES[place](HERS[what]))


@pytest.mark.parametrize("place", SHORT_TEXTS)
@pytest.mark.parametrize(
    ("read", "written"), [(read, each) for read, several in WRITTEN.items() for each in several], ids=repr
)
def test_an_address_or_a_number_is_asked_about_in_any_writing(place, read, written):
    assert read in asked(SHORT_TEXTS[place](written))


@pytest.mark.parametrize("place", OF_THE_AUCTION)
@pytest.mark.parametrize(
    ("read", "written"), [(read, each) for read in (JANE, PHONE) for each in (read, *WRITTEN[read])]
)
def test_an_address_or_a_number_is_asked_about_in_an_id_of_the_auction_too(place, read, written):
    assert read in asked(OF_THE_AUCTION[place](written))


def test_a_number_that_is_dialled_at_home_is_asked_about():
    assert "(415) 555-0107" in asked(SHORT_TEXTS["a tag"]("(415) 555-0107"))


def test_what_is_read_in_its_own_place_is_not_asked_about_twice_and_a_transaction_is_the_auctions():
    uuid = "0b2a6f5e-4d4b-4d3a-9c55-1f7d6f2f3a10"
    device = {"ifa": uuid, "os": "ios", "didsha1": "a" * 40, "ext": {"ifv": uuid}}
    user = {"buyeruid": uuid, "eids": [{"source": "partner.example", "uids": [{"id": uuid}]}]}
    request = {"id": uuid, "device": device, "user": user, "source": {"tid": uuid, "ext": {"tid": uuid}}}
    request["imp"] = [{"id": uuid, "ext": {"tid": uuid}}]
    beside, names = [], {}
    met = reading._gather(request, reading._read_elsewhere(request))
    assert reading._put_elsewhere(met, reading.BidForms(), beside, names)
    assert not beside
    assert not names


@pytest.mark.parametrize(
    "of", [1, 300, 25.5, 999_999_999, -5, True, 1e300, "300x250", "203.0.113.77", "2026-11-27", "a&b", "50%", "Señal"]
)
def test_what_has_no_form_of_an_id_is_not_asked_about(of):
    assert not asked(SHORT_TEXTS["a parameter"](of))


@pytest.mark.parametrize(
    "value", ["x", 7, None, [[JANE]], {"\ud800": "\ud800%"}, "%" * 400, "&#x110000;", "\\ud800", 10**400, float("nan")]
)
def test_no_value_of_a_stranger_stops_the_reading(value):
    for request in (*(make(value) for make in SHORT_TEXTS.values()), {"regs": {"ext": {"dsa": value}}}):
        reading.said_in_bid({"id": "1", **request})


def test_the_names_that_are_the_lists_hold_none_of_an_id():
    assert not [name for name in reading.KNOWN if signs.DIALLED.fullmatch(name) or not set("@+%").isdisjoint(name)]
    assert json.dumps(sorted(reading.KNOWN)).isascii()
