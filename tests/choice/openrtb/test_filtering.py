"""A bid request that may be sent holds nothing that was not allowed, whatever a stranger put into it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bids import cut_down

from gateway.choice.downstream import Outcome, strings
from gateway.choice.keywords import vocabulary
from gateway.choice.openrtb import reading
from gateway.choice.openrtb.filtering import Leave
from gateway.choice.openrtb.members import DEVICE, GEO, USER
from gateway.terms import SIGNAL_PURPOSES, Answer, DataClass

CALIFORNIA = frozenset({"US-CA"})
OUT = strings(Outcome(frozenset(SIGNAL_PURPOSES), CALIFORNIA, gpc=True))
FREE = strings(Outcome(frozenset(), CALIFORNIA))
NOTHING_GOES = Leave({}, OUT, gpc=True)
EVERYTHING_GOES = Leave(dict.fromkeys(DataClass, Answer.ALLOW), FREE, words=vocabulary(["news"], []))
MARK = "marker-of-a-person"

WHOLE = {
    "id": "request-1",
    "imp": [
        {
            "id": "1",
            "banner": {"w": 300, "h": 250, "ext": {"x": MARK}},
            "ext": {"tid": MARK, "gpid": "/slot", "prebid": {"tid": MARK}, "unknown": {"a": MARK}},
        }
    ],
    "site": {
        "page": "https://news.example.com/a?email=" + MARK + "#" + MARK,
        "search": MARK,
        "ext": {"data": MARK},
        "content": {"keywords": "sports", "ext": {"id": MARK}},
    },
    "device": {
        "ua": "Mozilla/5.0",
        "os": "iOS",
        "ifa": MARK,
        "didsha1": MARK,
        "ip": "203.0.113.77",
        "ipv6": "2001:db8:85a3:1234::7334",
        "geo": {
            "lat": 37.774929,
            "lon": -122.419416,
            "country": "USA",
            "region": "CA",
            "city": MARK,
            "zip": MARK,
            "metro": MARK,
            "accuracy": 5,
            "ext": {"w": MARK},
        },
        "ext": {"ifv": MARK, "atts": 3, "x": MARK},
        "unknown": MARK,
    },
    "user": {
        "id": MARK,
        "buyeruid": MARK,
        "yob": 1980,
        "gender": "F",
        "keywords": MARK,
        "customdata": MARK,
        "unknown": MARK,
        "data": [{"id": MARK}],
        "consent": MARK,
        "eids": [{"source": "a.example", "uids": [{"id": MARK}]}],
        "ext": {"eids": [{"source": MARK}], "data": {"k": MARK}, "consent": MARK, "x": MARK},
    },
    "source": {"tid": MARK, "ext": {"tidSource": MARK, "schain": {"ver": "1.0"}, "x": MARK}},
    "regs": {"us_privacy": "1YNN", "gpp": "DBAA", "ext": {"us_privacy": "1YYN", "gdpr": 0, "x": MARK}},
    "ext": {"prebid": {"data": MARK}},
    "unknown": MARK,
}


def lawful(leave: Leave = NOTHING_GOES, request: dict = WHOLE) -> dict:
    return cut_down(request, leave)


def test_a_contextual_request_keeps_the_page_the_slot_and_the_region_and_nobody():
    out = lawful()
    assert MARK not in json.dumps(out)
    assert out["site"]["page"] == "https://news.example.com/a"
    assert out["site"]["content"] == {}  # keywords are text: only those of the operator's vocabulary stay
    assert out["imp"][0]["ext"] == {"gpid": "/slot", "prebid": {}}
    assert "user" not in out
    assert out["device"]["geo"] == {"country": "USA", "region": "CA"}
    assert (out["device"]["ip"], out["device"]["ipv6"]) == ("203.0.113.0", "2001:db8:85a3::")
    assert out["device"]["lmt"] == 1
    assert out["source"]["ext"] == {"schain": {"ver": "1.0"}}


def test_the_request_that_was_handed_in_is_left_as_it_is():
    before = json.dumps(WHOLE)
    lawful()
    assert json.dumps(WHOLE) == before


def test_no_truncated_address_and_no_region_stand_beside_an_id():
    """A row of region and id is the region of a person."""
    out = lawful(Leave({DataClass.AD_ID: Answer.ALLOW}, FREE))
    assert out["device"]["ifa"] == MARK
    assert "ip" not in out["device"]
    assert "ipv6" not in out["device"]
    assert out["device"]["geo"] == {}


def test_of_a_child_not_even_the_network_goes():
    out = lawful(Leave({}, OUT, young=True))
    assert "ip" not in out["device"]
    assert out["device"]["geo"] == {}


def test_what_is_allowed_goes_as_it_stands_but_an_address_and_what_nobody_named():
    out = lawful(EVERYTHING_GOES)
    assert out["user"]["eids"] == WHOLE["user"]["eids"]
    assert out["user"]["id"] == MARK
    assert out["device"]["geo"]["lat"] == 37.774929
    assert out["source"]["tid"] == MARK
    assert out["site"]["page"] == WHOLE["site"]["page"]
    assert out["device"]["ip"] == "203.0.113.0"
    for holder in (out, out["user"], out["device"]):
        assert "unknown" not in holder
    assert "keywords" not in out["user"]  # not of the operator's vocabulary (R20)


def test_keywords_of_a_page_and_an_app_leave_as_words_of_the_vocabulary_whatever_the_verdict():
    """A page's or an app's words may be what somebody wrote (R20)."""
    said = {"keywords": "news,see you at 5 on Elm street", "kwarray": ["News", "call me, Jane"]}
    request = {"id": "1", "imp": [{"id": "1"}], "device": {"os": "ios"}}
    for name in ("site", "app"):
        for bag in (said, {"content": said}):
            out = lawful(EVERYTHING_GOES, request | {name: {**bag}})[name]
            assert out.get("content", out) == {"keywords": "news", "kwarray": ["news"]}
            bare = lawful(Leave(EVERYTHING_GOES.answers, FREE), request | {name: {**bag}})[name]
            assert bare.get("content", bare) == {}
    screen = lawful(EVERYTHING_GOES, request | {"dooh": {"keywords": said["keywords"]}})["dooh"]
    assert screen == {"keywords": "news"}


def test_of_ids_that_may_go_nothing_goes_that_was_not_looked_up():
    """What is read of `eids` is `uids[].id` by its source: in another member an opted-out person's id would pass."""
    eids = [
        {
            "source": "a.example",
            "id": MARK,
            "matcher": "m.example",
            "inserter": {"id": MARK},
            "x": MARK,
            "ext": {"x": MARK},
            "uids": [{"id": "known", "atype": 1, "x": MARK, "ext": {"also": MARK}}, MARK],
        },
        MARK,
    ]
    for user in ({"eids": eids}, {"ext": {"eids": eids}}):
        out = lawful(EVERYTHING_GOES, {"user": user})["user"]
        assert out.get("ext", out)["eids"] == [
            {"source": "a.example", "matcher": "m.example", "uids": [{"id": "known", "atype": 1}]}
        ]
    for unread in (MARK, {"uids": [{"id": MARK}]}, [MARK], [{"source": "a.example", "uids": {"id": MARK}}]):
        assert MARK not in json.dumps(lawful(EVERYTHING_GOES, {"user": {"eids": unread, "ext": {"eids": unread}}}))


def test_of_segments_that_may_go_no_unknown_extension_does():
    segments = [{"id": "d", "segment": [{"id": "s", "ext": {"x": MARK}}], "ext": {"segtax": 4, "x": MARK}}]
    out = lawful(EVERYTHING_GOES, {"user": {"data": segments}})
    assert out["user"]["data"] == [{"id": "d", "segment": [{"id": "s"}], "ext": {"segtax": 4}}]
    listed = Leave(EVERYTHING_GOES.answers, FREE, extensions=frozenset({"user.data.ext.x"}))
    assert lawful(listed, {"user": {"data": segments}})["user"]["data"][0]["ext"] == {"segtax": 4, "x": MARK}


def test_a_point_that_is_to_be_coarse_is_rounded_and_its_exactness_goes():
    out = lawful(Leave({DataClass.PRECISE_GEO: Answer.COARSEN}, FREE))
    assert out["device"]["geo"] == {"country": "USA", "region": "CA", "lat": 37.8, "lon": -122.4}


def test_the_operators_list_lets_an_extension_stand_where_everything_may_go():
    listed = Leave(EVERYTHING_GOES.answers, FREE, extensions=frozenset({"imp.ext.unknown", "ext.prebid"}))
    out = lawful(listed)
    assert out["imp"][0]["ext"]["unknown"] == {"a": MARK}
    assert out["ext"] == {"prebid": {"data": MARK}}


@pytest.mark.parametrize("answers", [{}, {DataClass.AD_ID: Answer.ALLOW, DataClass.PRECISE_GEO: Answer.DENY}])
def test_where_anything_is_denied_the_operators_list_lets_numbers_and_codes_stand_that_it_names_by_their_whole_path(
    answers,
):
    paths = {
        "imp.ext.mine",
        "imp.ext.mine.slot",
        "imp.ext.mine.size",
        "imp.ext.mine.deep.x",
        "imp.ext.mine.note",
        "imp.ext.mine.mail",
    }
    mine = {
        "slot": "top-1",
        "size": 7,
        "deep": {"x": 1, "y": 2},
        "note": "for Jane Roe",
        "mail": "jane@example.com",
        "id": "u-1",
    }
    out = lawful(Leave(answers, OUT, extensions=frozenset(paths)), {"imp": [{"id": "1", "ext": {"mine": mine}}]})
    assert out["imp"][0]["ext"] == {"mine": {"slot": "top-1", "size": 7, "deep": {"x": 1}}}


class TestRegs:
    def test_say_what_holds_in_one_place_and_no_longer_in_two(self):
        regs = lawful()["regs"]
        assert regs == {"gpp": OUT.gpp, "gpp_sid": OUT.gpp_sid, "us_privacy": "1YYN", "gdpr": 0, "ext": {"gpc": "1"}}

    def test_stand_in_the_extension_of_a_request_of_version_2_5(self):
        regs = lawful(request={"regs": {"coppa": 0, "ext": {"us_privacy": "1YNN"}}})["regs"]
        assert regs == {"coppa": 0, "ext": {"gpc": "1", "gpp": OUT.gpp, "gpp_sid": OUT.gpp_sid, "us_privacy": "1YYN"}}

    def test_where_two_places_disagree_on_the_gdpr_it_applies(self):
        assert lawful(request={"regs": {"gdpr": 0, "ext": {"gdpr": 1}}})["regs"]["gdpr"] == 1

    def test_no_tc_string_claims_a_consent_that_does_not_hold(self):
        request = {
            "user": {
                "consent": "CPc",
                "ext": {"consent": "CPc", "ConsentedProvidersSettings": {"consented_providers": "2~1"}},
            }
        }
        assert "user" not in lawful(request=request)
        reduced = lawful(Leave({DataClass.AD_ID: Answer.ALLOW, DataClass.IP: Answer.DENY}, OUT), request)
        assert reduced["user"] == {}
        assert lawful(EVERYTHING_GOES, request)["user"] == request["user"]


PLACES = (
    [("device", n) for n in DEVICE]
    + [("user", n) for n in USER]
    + [("device.geo", n) for n in GEO]
    + [("user.geo", n) for n in GEO]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(MARK),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["ext", "id", "geo", "uids", "ip", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["device", "user", "source", "regs", "ext", "x"]), anything, max_size=5),
    st.lists(st.tuples(st.sampled_from(PLACES), anything), max_size=6),
)
def test_whatever_a_stranger_puts_into_a_request_nothing_of_a_person_comes_out(request_, planted):
    for (holder, name), value in planted:
        place = request_
        for step in holder.split("."):
            if not isinstance(place.get(step), dict):
                place[step] = {}
            place = place[step]
        place[name] = value
    out = cut_down(request_, NOTHING_GOES)
    device, user = out.get("device", {}), out.get("user", {})
    assert MARK not in json.dumps({k: v for k, v in user.items() if k != "geo"})
    assert not DEVICE.keys() & device.keys() - {"ip", "ipv6"}
    assert not USER.keys() & user.keys()
    for geo in (device.get("geo", {}), user.get("geo", {})):
        assert not GEO.keys() & geo.keys()


def test_a_difference_makes_the_one_request_out_of_the_other():
    before, after = WHOLE, lawful()
    found = reading.difference(before, after)
    assert {"/user", "/device/ifa"} <= {*found.remove}
    assert found.replace["/device/ip"] == "203.0.113.0"
    assert found.replace["/device/lmt"] == 1
    assert _patched(before, found) == after


@given(anything, anything)
def test_any_difference_does(before, after):
    before, after = {"a": before}, {"a": after}
    assert _patched(before, reading.difference(before, after)) == after


def _patched(before: dict, found: reading.Difference) -> dict:
    out = json.loads(json.dumps(before))
    for pointer in found.remove:
        holder, last = _holder(out, pointer)
        del holder[last]
    for pointer, value in found.replace.items():
        holder, last = _holder(out, pointer)
        holder[last] = value
    return out


def _holder(out, pointer):
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    for step in steps[:-1]:
        out = out[int(step) if isinstance(out, list) else step]
    last = steps[-1]
    return out, int(last) if isinstance(out, list) else last


def test_a_request_nested_deeper_than_anybodys_is_refused():
    deep: dict = {}
    for _ in range(60):
        deep = {"a": [deep]}
    with pytest.raises(reading.BidTooDeep):
        reading.check_depth(deep)
    reading.check_depth(WHOLE)
