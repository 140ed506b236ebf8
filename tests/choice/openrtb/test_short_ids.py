"""An opted-out person's id of few characters is asked about wherever it stands in a bid that may go otherwise: what has a
sign of an id is one list, for requests that are cut and those that are not.
"""

import base64
import uuid

import pytest

from gateway.choice.openrtb import reading

GAID, UDID = "38400000-8cf0-11bd-b23e-100000000001", "00008030-001a2b3c4d5e6f70"
PHONE, ADDRESS = "+14155550107", "jane.roe@example.com"


def in_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


SHORT = {
    in_base64(uuid.UUID(GAID).bytes): ("gaid", GAID),
    in_base64(uuid.UUID(GAID).bytes).rstrip("="): ("gaid", GAID),
    UDID: ("udid", UDID),
    UDID.replace("-", ""): ("udid", UDID.replace("-", "")),
    in_base64(PHONE.encode()): ("phone", PHONE),
    in_base64(PHONE[1:].encode()): ("phone", PHONE[1:]),
    in_base64(ADDRESS.encode()): ("email", ADDRESS),
    "j.roe (at) example.com": ("email", "j.roe@example.com"),
    in_base64(bytes(range(16))): ("email_md5", in_base64(bytes(range(16)))),
    "idfa=4155550107": ("phone", "4155550107"),
}
PLACES = {
    "a bidder's parameter": lambda value: {
        "imp": [{"id": "1", "ext": {"prebid": {"bidder": {"appnexus": {"user": {"id": value}}}}}}]
    },
    "a hardware version": lambda value: {"device": {"hwv": value}},
    "a segment": lambda value: {"user": {"data": [{"segment": [{"id": value}]}]}},
    "a member's name": lambda value: {"imp": [{"id": "1", "ext": {"data": {value: 1}}}]},
}


def asked(request):
    said = reading.said_in_bid({"id": "1"} | request)
    return {*said.names, *((each["type"], each["value"]) for each in said.beside)}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("written", "name"), SHORT.items(), ids=repr)
def test_a_short_id_is_asked_about_wherever_it_stands(place, written, name):
    assert name in asked(place(written)), asked(place(written))


def test_words_of_a_request_are_asked_about_as_nothing():
    words = [
        "Pixel 7 Pro",
        "banner_top_left",
        "advertiser-17.example",
        "IAB19-18",
        "1.2.3",
        "300x250",
        "en-US",
        "Homepage Top",
    ]
    assert asked({"badv": words, "device": {"model": "SM-G991U1", "osv": "17.5.1"}}) == set()
