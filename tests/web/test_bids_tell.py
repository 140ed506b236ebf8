"""POST /v1/openrtb: what a bid tells of its person outside a person's place is asked about like all else, and does not
leave to whom the verdict does not give it.
"""

import json
import re
from datetime import UTC, datetime

import pytest
from support import inside
from support.people import gaid

pytestmark = pytest.mark.anyio
POINT = re.compile(r"45\.523064|122\.676483")
NORTH, EAST = 45.523064, -122.676483  # in Portland, Oregon
JANE = "jane.roe@example.com"


def bid(**more) -> dict:
    device = {"os": "Android", "ifa": gaid(1), "geo": {"country": "USA", "region": "NY"}}
    return {"id": "1", "imp": [{"id": "1", "banner": {"w": 300}}], "device": device} | more


def slot(**extension) -> dict:
    return {"imp": [{"id": "1", "banner": {"w": 300}, "ext": extension}]}


def with_parameters(name: str, bag: dict) -> dict:
    return slot(prebid={"bidder": {name: bag}})


async def ask(calling, body: dict, query: str = "recipient=advertisers"):
    return await calling.post(
        f"/v1/openrtb?{query}", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )


EXACT = {
    "a bidder's parameters": with_parameters("pubmatic", {"publisherId": "1", "lat": NORTH, "lon": EAST}),
    "a slot's data": slot(data={"pbadslot": "/a", "geo": {"lat": NORTH, "lon": EAST}}),
    "a page's query": {"site": {"page": f"https://w.example/?lat={NORTH}&lon={EAST}"}},
    "a user's data": {"user": {"ext": {"data": {"lat": NORTH, "lon": EAST}}}},
    "a passed-through bag": slot(prebid={"passthrough": {"latlong": f"{NORTH},{EAST}"}}),
}


@pytest.mark.parametrize("where", EXACT)
async def test_an_exact_point_outside_its_place_leaves_as_little_as_one_in_it(keyed, where):
    """A recipient that is not registered for one; it lies where exact points are banned."""
    in_its_place = bid()
    in_its_place["device"]["geo"] |= {"lat": NORTH, "lon": EAST}
    control = await ask(keyed, in_its_place)
    answer = await ask(keyed, bid(**EXACT[where]))
    for each in (control, answer):
        assert (each.headers["gateway-verdict"], each.headers["gateway-reason"]) == ("reduced", "banned")
        assert not POINT.search(each.text)
        assert each.json()["device"]["ifa"] == gaid(1)


@pytest.mark.parametrize(
    "more",
    [
        slot(data={"email": JANE}), with_parameters("pubmatic", {"publisherId": "1", "who": JANE}),
        {"site": {"page": f"https://w.example/?e={JANE}"}}, {"user": {"ext": {"data": {"email": JANE}}}},
        {"user": {"ext": {"data": {"phone": "+14155550107"}}}},
    ],
    ids=repr,
)  # fmt: skip
async def test_an_address_or_a_number_leaves_to_nobody_who_may_have_no_contact(keyed, more):
    answer = await ask(keyed, bid(**more))
    assert answer.headers["gateway-verdict"] == "reduced"
    assert JANE not in answer.text
    assert "4155550107" not in answer.text


async def test_where_an_exact_point_may_not_go_it_stands_in_no_other_member_beside_the_coarse_one(keyed):
    request = bid(
        imp=[{"id": "1", "tagid": f"geo:{NORTH}:{EAST}", "ext": {"gpid": "/slot/1"}}],
        site={"id": "s", "page": f"https://w.example/at/{NORTH},{EAST}/today", "ref": "https://w.example/at/home"},
    )
    request["device"]["geo"] |= {"lat": NORTH, "lon": EAST}
    answer = await ask(keyed, request)
    assert answer.headers["gateway-verdict"] == "reduced"
    assert not POINT.search(answer.text)
    out = answer.json()
    assert out["device"]["ifa"] == gaid(1)
    assert out["imp"] == [{"id": "1", "ext": {"gpid": "/slot/1"}}]
    assert out["site"] == {"id": "s", "page": "https://w.example/at/", "ref": "https://w.example/at/home"}


PERSON = {
    "a bidder's parameters": with_parameters("pubmatic", {"publisherId": "1", "yob": 1985, "gender": "F"}),
    "a slot's data": slot(data={"pbadslot": "/a", "age": 34}),
}


@pytest.mark.parametrize("where", PERSON)
async def test_what_is_demographic_leaves_whole_to_whoever_may_have_it_and_to_nobody_else(tmp_path, where):
    path = tmp_path / "config.toml"
    path.write_text(
        '[recipients.plain]\nrole = "third_party"\npurposes = ["targeted_ads"]\ndata = ["ad_id"]\ncontract = "B-1"\n'
        'announced = 2024-01-01\ntransfer_basis = "scc"\n'
    )
    async with (
        inside.application(tmp_path / "data", inside.settings(path)) as app,
        inside.client(app, **inside.DEV) as calling,
    ):
        request = bid(**PERSON[where], device={"os": "Android", "ifa": gaid(1)})
        may = await ask(calling, request, "recipient=advertisers&place=US-NY")
        may_not = await ask(calling, request, "recipient=plain&place=US-NY")
        nothing_told = await ask(calling, bid(device={"os": "Android", "ifa": gaid(1)}), "recipient=plain&place=US-NY")
    assert (may.headers["gateway-verdict"], may.json()["imp"]) == ("allow", request["imp"])
    assert may_not.headers["gateway-verdict"] == "reduced"
    assert "1985" not in may_not.text
    assert '"age"' not in may_not.text
    assert nothing_told.headers["gateway-verdict"] == "allow"


def of_segment(**segment) -> dict:
    return {"user": {"data": [{"id": "d", "segment": [segment]}]}}


BORN = datetime.now(UTC).year - 14  # 13, or 14
YOUNG = {
    "a bidder's year of birth": with_parameters("pubmatic", {"publisherId": "1", "yob": BORN}),
    "a segment": of_segment(id="13-15", name="age_range", value="13-15"),
    "a segment's name": of_segment(id="7", name="Demographic | Age | 13-15"),
    "a user's data": {"user": {"ext": {"data": {"age": 14}}}},
    "beside an older one": {"user": {"yob": 1980, "ext": {"data": {"yob": BORN}}}},
    "a slot's data": slot(data={"age_range": "13-15"}),
}


@pytest.mark.parametrize("where", YOUNG)
async def test_an_age_under_the_floor_counts_wherever_a_bid_says_it(keyed, where):
    answer = await ask(keyed, bid(**YOUNG[where]))
    assert (answer.headers["gateway-verdict"], answer.headers["gateway-reason"]) == ("contextual", "age")
    assert gaid(1) not in answer.text


async def test_of_a_child_nothing_is_sent_wherever_it_is_said(keyed):
    for bag in ({"age": 12}, {"yob": BORN + 10}, {"is_minor": True}):
        answer = await ask(keyed, bid(user={"ext": {"data": bag}}))
        assert (answer.headers["gateway-verdict"], answer.json()) == ("block", {})


def of_user(**members) -> dict:
    return {"user": {"ext": {"data": members}}}


def of_page(**members) -> dict:
    return {"site": {"ext": {"data": members}}}


def of_query(query: str) -> dict:
    return {"site": {"page": f"https://w.example/?{query}"}}


ORDINARY = {
    "as many segments as audiences have": {
        "user": {"data": [{"id": "d", "segment": [{"id": f"{n:05}", "name": f"Interest {n}"} for n in range(300)]}]}
    },
    "a version in parts": {"app": {"ext": {"sdk": {"major": 17, "minor": 1}}}},
    "a part of a version": {"app": {"ext": {"data": {"sdk_minor": "1", "minorVersion": 12}}}},
    "a count over a number": with_parameters("pubmatic", {"publisherId": "1", "bids_over_5": 12}),
    "a household": of_segment(id="7", name="Household Size | 2+"),
    "children": of_segment(id="7", name="Number of Children > 1-2"),
    "a residence": of_segment(id="7", name="Length of residence: 2-5 years"),
    "an income": of_segment(id="7", name="Income: 10-20"),
    "a household by its name": of_segment(name="household_size", value="2+"),
    "an account's age": of_user(account_age=5),
    "a cookie's age": of_user(cookie_age=1800),
    "a membership's age": of_user(membership_age_days=900),
    "a gate": of_user(age_gate="passed"),
    "two times": of_query("start=2026-12-01T00:00:00.000Z&end=2026-12-31T23:59:59.999Z"),
    "two times by their codes": of_query("start=2026-12-01T00%3A00%3A00.000000Z&end=2026-12-31T23%3A59%3A59.999999Z"),
    "two exact times without a zone": of_query("start=10:15:30.123456&end=10:15:31.654321"),
    "two prices": of_page(range="1.250,2.500"),
    "prices in an object": of_page(more='{"bidfloor":1.234,"cpm":2.345}'),
    "prices of a platform": of_page(more="platform=1.234&latency=2.345"),
    "a picture": of_page(icon="https://cdn.example/icon@2x.png"),
    "a script": of_page(script="https://cdn.example/npm/prebid@8.1.0/x@2.min.js"),
    "a build": {"app": {"ver": "2.3.1+20231201"}},
    "a book": of_query("q=isbn+9780306406157"),
    "a language": of_page(lng="en", lon="pt-BR"),
    "a heading": of_page(h1="Title", h3="Heading"),
}


@pytest.mark.parametrize("what", ORDINARY)
async def test_what_has_the_form_alone_takes_nothing_from_an_ordinary_bid(keyed, what):
    answer = await ask(keyed, bid(**ORDINARY[what]))
    assert answer.headers["gateway-verdict"] == "allow"
    assert answer.json()["device"]["ifa"] == gaid(1)
    assert answer.json().get("app", {}).get("ver") == ORDINARY[what].get("app", {}).get("ver")


async def test_what_tells_nothing_of_the_kind_is_let_go_as_it_came(keyed):
    """Control: else every bid would be reduced."""
    request = bid(
        **with_parameters("pubmatic", {"publisherId": "1", "yob": 0, "lat": "", "kadfloor": "0.5"}),
        site={"page": "https://w.example/v/1.2345/?page=2&age=none", "ext": {"amp": 0}},
        user={"yob": 1980, "gender": "F", "ext": {"data": {"interests": ["cars"], "age_group": "25-34"}}},
    )
    answer = await ask(keyed, request)
    assert answer.headers["gateway-verdict"] == "allow"
    assert {name: answer.json()[name] for name in ("imp", "site", "user")} == {
        name: request[name] for name in ("imp", "site", "user")
    }


async def test_keywords_of_first_party_data_leave_as_words_of_the_vocabulary_alone(keyed):
    typed = "jazz, see you at five"
    more = slot(data={"pbadslot": "/a", "keywords": typed}) | {
        "user": {"ext": {"data": {"interests": ["a"], "keywords": typed}}}
    }
    answer = await ask(keyed, bid(**more), "recipient=advertisers&place=US-NY")
    assert answer.headers["gateway-verdict"] in {"allow", "reduced"}
    assert "see you" not in answer.text


@pytest.mark.parametrize("name", ["Vehicle Age | 6-10", "Bedrooms | 3+", "Drive Time > 10-15", "Frequency: 1-3"])
async def test_a_segment_of_a_grown_person_is_no_childs(keyed, name):
    answer = await ask(keyed, bid(user={"data": [{"id": "d", "segment": [{"id": "7", "name": name}]}]}))
    assert answer.headers["gateway-verdict"] != "block"


@pytest.mark.parametrize(
    "said", [{"user_yob": datetime.now(UTC).year - 10}, {"customer_age": 12}, {"userDob": "2019-01-01"}]
)
async def test_a_childs_age_under_a_longer_name_is_heard_outside_the_user_too(keyed, said):
    answer = await ask(keyed, bid(**with_parameters("pubmatic", {"publisherId": "1", **said})))
    assert answer.headers["gateway-reason"] == "age"


@pytest.mark.parametrize("named", [{"lat": str(NORTH), "lon": str(EAST)}, {"geohash": "c20fbr9zx"}, {"zip": "97205"}])
async def test_an_exact_place_in_segments_leaves_with_none_of_them(keyed, named):
    segments = [{"name": name, "value": value} for name, value in named.items()] + [{"name": "likes", "value": "jazz"}]
    answer = await ask(keyed, bid(user={"data": [{"id": "d", "segment": segments}]}))
    assert answer.headers["gateway-verdict"] == "reduced"
    assert not [value for value in named.values() if value in answer.text]
