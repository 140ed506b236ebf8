"""One no, told alike through every door that tells a GPP string, in the sections that the operator chose (gateway help
sections).
"""

import json

import pytest
from support import inside
from support.people import gaid, named

from gateway.choice.downstream import GppSections, Outcome, strings
from gateway.signals import gpp
from gateway.terms import SIGNAL_PURPOSES

pytestmark = pytest.mark.anyio
ONE = named("gaid", gaid(1))
ASKED = {"identifiers": [ONE], "recipient": "advertisers", "data": ["ad_id"]}
BID = {"id": "1", "imp": [{"id": "1", "banner": {}}], "device": {"os": "Android", "ifa": gaid(1)}}
PLACES = ("US-CA", "US-UT", "US-TX", "US-FL", "US-MD", "US-WY")


@pytest.fixture(params=[word.value for word in GppSections])
async def in_sections(request, tmp_path):
    """Calls with the development key, and the word of the operator whose gateway answers."""
    configured = inside.settings(signals__gpp_sections=request.param)
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app, **inside.DEV) as calling:
        yield calling, GppSections(request.param)


def told_by_a_store(body, member="store"):
    kept = body[member]
    return kept["IABGPP_HDR_GppString"], [int(number) for number in kept["IABGPP_GppSID"].split("_")]


def pair(body):
    return body["gpp"], body["gpp_sid"]


async def everything_told(calling, place):
    """What each door says of a person in a place, by the door's name: (the string, the sections that apply)."""
    said = {"place": place}
    check = (await calling.post("/v1/check", json=ASKED | said)).json()
    several = await calling.post(
        "/v1/check", json={**ASKED, **said, "recipient": None, "recipients": ["advertisers", "teemo"]}
    )
    lines = await calling.post("/v1/checks", json={"defaults": said, "checks": [ASKED]})
    headers = {"Content-Type": "application/json"}
    bid = await calling.post(
        f"/v1/openrtb?recipient=advertisers&place={place}", content=json.dumps(BID), headers=headers
    )
    again = await calling.post("/v1/choices", json={"identifiers": [ONE], "choice": "opt_out", **said})
    seen = await calling.post("/v1/observe", json={"identifiers": [ONE], **said})
    stands = await calling.post("/v1/standing", json={"identifiers": [ONE], **said})
    regs = bid.json()["regs"]
    return {
        "check": pair(check["downstream"]),
        **{f"several: {name}": pair(each["downstream"]) for name, each in several.json()["verdicts"].items()},
        "checks": pair(lines.json()[0]["downstream"]),
        "openrtb": pair({**regs.get("ext", {}), **regs}),
        "choices": told_by_a_store(again.json()),
        "choices, once opted out": told_by_a_store(again.json(), "store_opted_out"),
        "observe": told_by_a_store(seen.json()),
        "standing": told_by_a_store(stands.json()),
    }


@pytest.mark.parametrize("place", PLACES)
async def test_somebody_who_opted_out_is_spoken_of_alike_through_every_door(in_sections, place):
    calling, word = in_sections
    answer = await calling.post("/v1/choices", json={"identifiers": [ONE], "choice": "opt_out"})
    assert answer.status_code == 201
    expected = strings(Outcome(frozenset(SIGNAL_PURPOSES), frozenset({place}), said_in=word))
    for door, told in (await everything_told(calling, place)).items():
        assert told == (expected.gpp, expected.gpp_sid), door
    assert gpp.read_gpp_string(expected.gpp, expected.gpp_sid).opted_out == frozenset(SIGNAL_PURPOSES)


@pytest.mark.parametrize("place", PLACES)
async def test_a_page_is_told_the_same_by_its_status_and_by_what_its_script_saw(in_sections, monkeypatch, place):
    calling, word = in_sections
    monkeypatch.setattr("gateway.app.service.DEMO_PLACE", place)
    expected = strings(Outcome(frozenset(SIGNAL_PURPOSES), frozenset({place}), gpc=True, said_in=word))
    said = {"headers": {"Origin": "http://127.0.0.1:8080"}, "json": {"gpc": True}}
    for answer in (
        await calling.get("/privacy-choices/status", headers={"Sec-GPC": "1"}),
        await calling.post("/privacy-choices/observe", **said),
    ):
        told = answer.json()["strings"]
        assert pair(told) == (expected.gpp, expected.gpp_sid)
        assert told["parsed"] == expected.parsed


@pytest.mark.parametrize("place", PLACES)
async def test_somebody_who_said_nothing_is_spoken_of_in_one_section(in_sections, place):
    calling, word = in_sections
    told = (await calling.post("/v1/check", json=ASKED | {"place": place})).json()["downstream"]
    expected = strings(Outcome(frozenset(), frozenset({place}), said_in=word))
    assert len(told["gpp_sid"]) == 1
    if told["us_privacy"] == "1YNN":
        assert pair(told) == (expected.gpp, expected.gpp_sid)
