"""`[site] cached`: pages of a cache that passes over Vary are the same for everybody (I32)."""

import pytest
from support import inside
from support.door import Door
from support.people import named

from gateway.check import Ask
from gateway.settings import SettingsRefused
from gateway.site_answer import SiteAnswer
from gateway.terms import SIGNAL_PURPOSES

pytestmark = pytest.mark.anyio
GPC = {"Sec-GPC": "1"}
NAVIGATE = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
SAME = ", ".join(f"{purpose}=?0" for purpose in SIGNAL_PURPOSES) + ", status=unknown"
PAGE = ((b"content-type", b"text/html"), (b"cache-control", b"public, max-age=600"))


def ways(door):
    known = door.sealed(denied=frozenset())
    return [
        {}, GPC, {"cookie": "usprivacy=1YYN"}, {"cookie": door.sealed()}, {"cookie": known}, {"cookie": known, **GPC},
        {"DNT": "1"}, {"cookie": "cookieyes-consent=consent:no,action:,necessary:yes,advertisement:no"},
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("account", [None, "a1"])
async def test_a_page_and_what_the_site_is_told_for_it_are_the_same_whoever_asks(house, method, account):
    door, pages, told = Door(house, *PAGE, cached=True, add_gpc=True, account=lambda _: account), set(), set()
    for way in ways(door):
        answer = await door.get(method=method, **way, **NAVIGATE)
        assert door.site.consent == SAME
        pages.add(tuple(sorted((n, v) for n, v in answer.headers.items() if n != "date")))
        told.add(tuple((n, v) for n, v in door.site.asked[-1]["headers"] if n.startswith(b"gateway")))
        assert door.site.asked[-1]["state"]["gateway"] == SiteAnswer()
        assert "__Host-gateway" not in repr(door.site.asked[-1]["headers"])
    assert len(pages) == len(told) == 1
    (page,) = pages
    assert dict(page)["cache-control"] == "public, max-age=600"
    assert not {"vary", "set-cookie", "content-security-policy"} & dict(page).keys()
    assert len(next(iter(told))) == 4, "every key always"


async def test_without_that_the_same_pages_differ(house):
    """Control."""
    door, told = Door(house, *PAGE), set()
    for way in ways(door):
        answer = await door.get(**way, **NAVIGATE)
        told.add(door.site.consent)
        assert "vary" in answer.headers
    assert len(told) == 2


async def test_whoever_asks_with_the_signal_is_heard_all_the_same(house):
    door, browser = Door(house, *PAGE, cached=True), bytes([5]) * 16
    known = door.sealed(denied=frozenset(), browser=browser)
    await door.get(cookie=known, **GPC)
    other = Door(house)
    await other.get(cookie=known)
    assert other.site.consent.endswith("status=honored")


async def test_what_no_cache_keeps_is_told_the_truth(house):
    door = Door(house, *PAGE, cached=True)
    answer = await door.get(method="POST", content=b"x", **GPC)
    assert door.site.consent.endswith("status=honored")
    assert "Sec-GPC" in answer.headers["vary"]


async def test_a_signed_in_person_with_gpc_is_out_by_a_page_that_is_everybodys(house):
    door = Door(house, *PAGE, cached=True, account=lambda _: "a1")
    await door.get(**GPC)
    asked = Ask(("teemo",), [named("account", "a1")], place="US-CA")
    assert house.consent.check(asked).verdicts["teemo"].reason == "opted_out"


async def test_a_proxy_that_asks_is_told_the_same_of_everybody(tmp_path):
    configured = inside.settings(site__cached="true")
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        answers = [
            await client.get("/authz/nginx", headers=way | NAVIGATE) for way in ({}, GPC, {"Cookie": "usprivacy=1YYN"})
        ]
        status = (await client.get("/privacy-choices/status", headers=GPC)).json()
    told = [
        {n: v for n, v in answer.headers.items() if n not in {"gateway-request", "date", "cookie"}}
        for answer in answers
    ]
    assert told[0] == told[1] == told[2]
    assert told[0]["gateway-consent"] == SAME
    assert not {"vary", "set-cookie"} & told[0].keys()
    assert status["status"] == "opted_out"


def test_a_policy_of_delivery_on_pages_that_are_everybodys_is_refused_with_what_helps():
    with pytest.raises(SettingsRefused, match=r"site.cached: .*gateway help proxies"):
        inside.settings(site__cached="true", site__enforce="true")
