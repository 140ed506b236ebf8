"""`[site] cached`: pages of a cache that passes over Vary are the same for everybody (I32)."""

import pytest
import structlog
from support import inside
from support.crossing import OF_NO_VISITOR, ways
from support.door import Door
from support.people import named

from gateway.consent.asked import Ask
from gateway.consent.site import SiteAnswer
from gateway.keys import api_keys
from gateway.settings.load import SettingsRefused
from gateway.terms import SIGNAL_PURPOSES
from gateway.web.shell import header_names
from gateway.web.site import shared_caches

pytestmark = pytest.mark.anyio
GPC = {"Sec-GPC": "1"}
NAVIGATE = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
SAME = ", ".join(f"{purpose}=?0" for purpose in SIGNAL_PURPOSES) + ", status=unknown"
PAGE = ((b"content-type", b"text/html"), (b"cache-control", b"public, max-age=600"))


def browsers(door):
    known = door.sealed(denied=frozenset())
    return [
        {},
        GPC,
        {"cookie": "usprivacy=1YYN"},
        {"cookie": door.sealed()},
        {"cookie": known},
        {"cookie": known, **GPC},
        {"DNT": "1"},
        {"cookie": "cookieyes-consent=consent:no,action:,necessary:yes,advertisement:no"},
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("account", [None, "a1"])
async def test_a_page_and_what_the_site_is_told_for_it_are_the_same_whoever_asks(house, method, account):
    door, pages, told = Door(house, *PAGE, cached=True, add_gpc=True, account=lambda _: account), set(), set()
    for way in browsers(door):
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
    for way in browsers(door):
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
    assert house.consent.checks.check(asked).verdicts["teemo"].reason == "opted_out"


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
    with pytest.raises(SettingsRefused, match=r"GATEWAY_SITE__CACHED: .*gateway help proxies"):
        inside.settings(site__cached="true", site__enforce="true")


# --- the table by which an answer is somebody's ----------------------------------------------------------------------


def everybody(house, door) -> dict[str, list[dict[str, str]]]:
    """Visitors of each row."""
    accounts = [api_keys.assert_account(house.consent.secrets.accounts[-1], name, 4_000_000_000) for name in "ab"]
    return ways([door.sealed(denied=frozenset()).partition("=")[2]], accounts)


def test_every_row_has_its_visitors_and_every_header_of_it_is_sent_by_one():
    told = ways(["x"], ["a", "b"])
    assert told.keys() | OF_NO_VISITOR == {mark.name for mark in shared_caches.MARKS}
    for mark in shared_caches.MARKS:
        assert {name for way in told.get(mark.name, []) for name in way} - {"Sec-Fetch-Mode"} == set(mark.headers)


def test_all_that_is_read_of_a_request_is_in_the_table_and_so_in_vary():
    assert {name.lower().encode() for name in shared_caches.HEARD} == header_names.READ


async def test_an_answer_is_private_where_a_row_of_the_table_says_that_it_is_one_persons(house):
    door = Door(house, *PAGE, visitors={"site_ids": ["uid"]})
    assert shared(await door.get())
    for kind, visitors in everybody(house, door).items():
        for way in visitors:
            answer = await door.send([*way.items()])
            assert shared(answer) == (kind == "gpc"), way
            assert answer.headers["vary"] == ", ".join(shared_caches.HEARD)


async def test_without_its_row_the_answer_is_everybodys(house, monkeypatch):
    """Control: it is the table that decides."""
    for kind, visitors in everybody(house, Door(house)).items():
        marks = tuple(mark for mark in shared_caches.MARKS if mark.name != kind)
        monkeypatch.setattr(shared_caches, "MARKS", marks)
        door = Door(house, *PAGE, visitors={"site_ids": ["uid"]})
        assert all([shared(await door.send([*way.items()])) for way in visitors]), kind


@pytest.mark.parametrize("cookie", ["gateway-account=v1.a1.1.00", "Gateway-Account=x", "uid=7"])
async def test_a_page_of_somebody_whose_assertion_ran_out_or_whose_id_is_none_is_theirs_too(house, cookie):
    """The site may know them all the same."""
    door = Door(house, *PAGE, visitors={"site_ids": ["uid"]})
    assert not shared(await door.get(cookie=cookie))
    assert shared(await door.get(cookie="uidd=7"))


# --- what some cache obeys before Cache-Control ----------------------------------------------------------------------

OUTRANKING = {
    "X-Accel-Expires": "600", "Expires": "Fri, 31 Dec 2100 23:59:59 GMT", "Surrogate-Control": "max-age=600",
    "CDN-Cache-Control": "max-age=600", "Cloudflare-CDN-Cache-Control": "max-age=600", "Edge-Control": "max-age=10m",
    "Vercel-CDN-Cache-Control": "max-age=600", "X-LiteSpeed-Cache-Control": "public,max-age=600",
}  # fmt: skip


@pytest.mark.parametrize("control", ["public, max-age=600", "private", "no-store", None])
async def test_a_page_made_for_one_person_has_no_header_by_which_a_cache_would_keep_it_all_the_same(house, control):
    site = [(name.encode(), value.encode()) for name, value in OUTRANKING.items()]
    door = Door(house, *site, *([(b"cache-control", control.encode())] if control else []))
    told = await door.get(cookie=door.sealed())
    assert not {name.lower() for name in OUTRANKING} & {*told.headers}
    assert told.headers["cache-control"] in {"private", "no-store", "private, no-cache"}
    everybodys = await door.get()
    assert {name.lower() for name in OUTRANKING} <= {*everybodys.headers}  # control: the site's own word stands


@pytest.mark.parametrize(
    "said",
    ['private="set-cookie", max-age=600', "max-age=600, private=set-cookie", "max-age=600, x-no-store=0",
     'max-age=600, ext="private"', 'ext="a, private, b"', 'ext="a, no-store', "no-store=0, max-age=99", "not-private-at-all",
     "private, public", 'private, private="x"', "private, s-maxage=600", r'ext="\", no-store, "'],
)  # fmt: skip
def test_what_only_looks_like_private_keeps_no_cache_off_a_page(said):
    assert shared_caches.privately([(b"Cache-Control", said.encode())]) == [shared_caches.PRIVATE]


@pytest.mark.parametrize(
    "said", ["private", "Private , max-age=60", "no-store", "public, NO-STORE", 'ext="a,b", private', "private,,x=1"]
)
def test_what_the_site_says_of_its_own_accord_stands(said):
    headers = [(b"Cache-Control", said.encode()), (b"etag", b"x")]
    assert shared_caches.privately(headers) == headers


# --- pages that differ by place --------------------------------------------------------------------------------------


def shared(answer) -> bool:
    """Whether a shared cache that heeds Vary may keep it for the next visitor, who has no cookie either."""
    return "private" not in answer.headers.get("cache-control", "")


async def test_a_page_made_for_one_place_is_not_handed_to_a_visitor_from_another(house):
    """In New York silence is a yes, in Germany a no; neither request has a header that tells."""
    told = {}
    for place in ("US-NY", "DE"):
        door = Door(house, *PAGE, place=place, place_in_key="")
        answer = await door.get(**NAVIGATE)
        told[place] = door.site.consent, shared(answer), answer.headers["vary"]
    assert told["US-NY"][0] != told["DE"][0]  # control: the site is told another thing, and makes another page
    assert told["US-NY"][2] == told["DE"][2]
    assert not told["US-NY"][1]
    assert not told["DE"][1]


async def test_a_page_that_was_made_for_no_known_place_may_be_kept_for_it_allows_nothing(house):
    door = Door(house, *PAGE, place=None, place_in_key="")
    assert shared(await door.get(**NAVIGATE))
    assert door.site.consent.startswith("sale=?0, sharing=?0, targeted_ads=?0")


async def test_a_cache_that_has_the_place_in_its_key_keeps_a_page_for_each(house):
    door = Door(house, *PAGE, place="US-NY", place_in_key="CF-IPCountry")
    answer = await door.get(**NAVIGATE)
    assert shared(answer)
    assert "CF-IPCountry" in answer.headers["vary"]
    assert not shared(await door.get(cookie=door.sealed(), **NAVIGATE))  # one person's all the same


@pytest.mark.parametrize(
    ("settings", "rule"),
    [({}, "known place are private"), ({"site__place_in_key": "CF-IPCountry"}, "CF-IPCountry"),
     ({"site__place_in_key": "same"}, "may be kept"), ({"site__cached": "true"}, "the same for everybody")],
    ids=repr,
)  # fmt: skip
async def test_the_start_names_the_pages_cache_rule(tmp_path, settings, rule):
    with structlog.testing.capture_logs() as lines:
        async with inside.application(tmp_path / "data", inside.settings(**settings), dev=False):
            pass
    (line,) = [line for line in lines if line["event"] == "pages"]
    assert rule in line["rule"]


def test_a_header_that_no_cache_knows_refuses_the_start():
    with pytest.raises(SettingsRefused, match="GATEWAY_SITE__PLACE_IN_KEY: "):
        inside.settings(site__place_in_key="CF IPCountry\r\n")
