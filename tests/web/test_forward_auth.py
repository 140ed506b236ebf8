import time

import anyio
import pytest
import structlog
from support import inside, proxies

from gateway.keys import api_keys, secret_files
from gateway.web.site.shared_caches import VARY

pytestmark = pytest.mark.anyio
ALL_NO = "sale=?0, sharing=?0, targeted_ads=?0"
ALL_YES = "sale=?1, sharing=?1, targeted_ads=?1"
NAVIGATE = {"Sec-Fetch-Mode": "navigate"}
GPC = {"Sec-GPC": "1"}
HERE = {"X-Forwarded-For": proxies.NEW_YORK}
DOORS = {"/authz/nginx": 204, "/authz/forward": 204, "/authz/envoy/page": 200}


@pytest.fixture
def folder(tmp_path):
    return inside.install(tmp_path / "data")


@pytest.fixture
def signed(folder):
    """An assertion of the site's server of who is signed in."""
    secret = secret_files.load_secrets(folder).accounts[0]
    return api_keys.assert_account(secret, "a1", int(time.time()) + 60)


@pytest.fixture
async def proxy(folder, tmp_path):
    """A proxy on the internal address of a gateway in production mode that enforces at delivery."""
    configured = inside.settings(
        site__enforce="true",
        site__ad_paths="/ads/,/pixel.gif",
        places__database=proxies.addresses(tmp_path),
        site__place_in_key="same",
    )
    async with inside.application(folder, configured, dev=False) as app, inside.client(app) as client:
        client.app = app
        yield client


def about(door: str, method: str, uri: str) -> tuple[str, dict[str, str]]:
    """How each proxy says which page it asks about: the address it asks, and its headers."""
    if door == "/authz/nginx":
        return door, {"X-Original-Method": method, "X-Original-URI": uri}
    if door == "/authz/forward":
        return door, {"X-Forwarded-Method": method, "X-Forwarded-Uri": uri}
    return f"/authz/envoy{uri}", {}


async def ask(proxy, door, uri="/page", *, method="GET", **headers):
    """A proxy's question; Envoy asks with the page's own method, the others by GET."""
    path, said = about(door, method, uri)
    asked_by = method if path.startswith("/authz/envoy") else "GET"
    named_ = {name.replace("_", "-"): value for name, value in headers.items()}
    return await proxy.request(asked_by, path, headers={**HERE, **said, **named_})


@pytest.mark.parametrize(("door", "status"), DOORS.items())
async def test_a_proxy_is_told_all_four_facts_in_every_answer(proxy, door, status):
    for headers in ({}, GPC, {"Cookie": "usprivacy=1YYN"}, {"Gateway-Consent": "FORGED", "Gateway_Place": "FORGED"}):
        answer = await proxy.get(door, headers=headers)
        assert answer.status_code == status
        for name in ("consent", "browser", "place", "request"):
            assert len(answer.headers.get_list(f"gateway-{name}")) == 1, name
        assert "FORGED" not in repr(answer.headers)
        assert answer.content == b""


@pytest.mark.parametrize("door", DOORS)
async def test_a_visitor_is_heard_and_one_who_said_nothing_may_be_shown_ads(proxy, door):
    assert (await ask(proxy, door)).headers["gateway-consent"] == f"{ALL_YES}, status=none"
    heard = await ask(proxy, door, **GPC)
    assert heard.headers["gateway-consent"] == f"{ALL_NO}, status=honored"
    assert heard.headers["vary"] == VARY[1].decode()  # all that is heard: the cookie decides too (R33)
    carried = await ask(proxy, door, "/page?us_privacy=1YYN")
    assert carried.headers["gateway-consent"] == f"{ALL_NO}, status=honored"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("GET", {"Sec-Fetch-Mode": "navigate"}, True),
        ("GET", {"Accept": "text/html,*/*;q=0.8"}, True),
        ("POST", {"Sec-Fetch-Mode": "navigate"}, True),
        ("POST", {"Accept": "text/html"}, False),
        ("HEAD", {"Accept": "text/html"}, False),
        ("GET", {"Sec-Fetch-Mode": "no-cors", "Accept": "text/html"}, False),
        ("GET", {"Accept": "image/avif,*/*"}, False),
    ],
)
async def test_a_cookie_is_set_when_the_page_itself_is_a_navigation(proxy, door, method, headers, expected):
    """Whatever the proxy asks by: Caddy asks by GET about a POST."""
    answer = await ask(proxy, door, method=method, **GPC, **headers)
    assert len(answer.headers.get_list("set-cookie")) == int(expected)
    assert answer.headers["gateway-consent"].startswith(ALL_NO)


@pytest.mark.parametrize("door", DOORS)
async def test_a_browser_that_comes_back_without_the_signal_is_still_opted_out(proxy, door):
    first = await ask(proxy, door, **GPC, **NAVIGATE)
    cookie = first.headers["set-cookie"].partition(";")[0]
    again = await ask(proxy, door, Cookie=f"a=1; {cookie}; b=2")
    assert again.headers["gateway-consent"] == f"{ALL_NO}, status=honored"
    assert again.headers["gateway-browser"]
    assert again.headers["cookie"] == "a=1; b=2"  # what the site is to be given
    assert "set-cookie" not in again.headers
    assert (await ask(proxy, door, Cookie=cookie)).headers.get("cookie") is None


@pytest.mark.parametrize("door", DOORS)
async def test_a_person_who_is_signed_in_is_heard_for_the_account(proxy, signed, door):
    await ask(proxy, door, Cookie=f"gateway-account={signed}", **GPC)
    elsewhere = await ask(proxy, door, Gateway_Account=signed)
    assert elsewhere.headers["gateway-consent"] == f"{ALL_NO}, status=honored"
    assert elsewhere.headers["cache-control"] == "private, no-cache"
    unsigned = await ask(proxy, door, Gateway_Account=signed[:-1] + "x")
    assert unsigned.headers["gateway-consent"] == f"{ALL_YES}, status=none"


@pytest.mark.parametrize("door", DOORS)
async def test_an_answer_is_private_where_more_than_the_header_had_a_part_in_it(proxy, door):
    for headers, private in (
        ({}, False),
        (GPC, False),
        ({**GPC, **NAVIGATE}, True),
        ({"Cookie": "usprivacy=1YYN"}, True),
        ({"DNT": "1"}, True),
    ):
        answer = await ask(proxy, door, **headers)
        assert (answer.headers.get("cache-control") == "private, no-cache") is private, headers


@pytest.mark.parametrize("door", DOORS)
async def test_the_policy_of_delivery_is_for_whoever_must_not_be_tracked(proxy, door):
    for headers in (GPC, {"Cookie": "usprivacy=1YYN"}, {"X-Forwarded-For": proxies.GERMANY}, {"X-Forwarded-For": ""}):
        assert (await ask(proxy, door, **headers)).headers["content-security-policy"].startswith("default-src 'self'")
    assert "content-security-policy" not in (await ask(proxy, door)).headers


@pytest.mark.parametrize("door", DOORS)
async def test_the_place_is_of_the_address_that_the_own_proxy_saw(proxy, door):
    for said, place in (
        (proxies.CALIFORNIA, "US-CA"),
        (f"{proxies.NEW_YORK}, {proxies.GERMANY}", "DE"),
        (f"{proxies.GERMANY}:4711", "DE"),
        ("rubbish", "unknown"),
        ("192.0.2.1", "unknown"),
        ("", "unknown"),
    ):
        answer = await ask(proxy, door, X_Forwarded_For=said)
        assert answer.headers["gateway-place"] == place, said


@pytest.mark.parametrize("door", DOORS)
async def test_ads_of_the_sites_own_are_refused_to_whoever_must_not_be_tracked_and_nothing_else_is(proxy, door):
    status = DOORS[door]
    for uri in (
        "/ads/",
        "/ads/1?x=/page",
        "/pixel.gif?u=1",
        "/%61ds/1",
        "/ads/tag.js",
        "//ads/x",
        "/x/../ads/y",
        "/./ads/",
        "/Ads/",
        "/ads;v=1/x",
        "/x/..;/ads/y",
        "/ads/..;/y",
        "/%2561ds/x",
        "/x/%2e%2e/ads/",
        "/ads/../ads/x",
        "/ads./x",
        "/ads",
        "/pixel.gif/x",
        "/x\\..\\ads\\y",
        "/x%3f/..%2fads/y",
        "/x%23/..%2fads/y",
        "/ads/tag.js#/../../x",
    ):
        assert (await ask(proxy, door, uri, **GPC)).status_code == 403, uri
        assert (await ask(proxy, door, uri)).status_code == status, uri
    for uri in ("/", "/page?ads/", "/about/ads/", "/adsense", "/ads/../page", "/picture.gif"):
        assert (await ask(proxy, door, uri, **GPC)).status_code == status, uri


@pytest.mark.parametrize("door", ["/authz/nginx", "/authz/forward"])
@pytest.mark.parametrize(
    "uri", ["", "*", "//[", "http://[x", "http://www.example.com/ads/1", "\xff\xfe", "/%ff%00", "?", "/" + "a" * 9000]
)
async def test_an_address_that_cannot_be_read_refuses_no_page(proxy, door, uri):
    _, said = about(door, "GET", uri)
    answer = await proxy.get(door, headers={**HERE, **{k: v.encode("latin-1") for k, v in said.items()}})
    assert answer.status_code == DOORS[door]
    assert answer.headers["gateway-consent"] == f"{ALL_YES}, status=none"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "("])
async def test_a_proxy_may_ask_with_any_method(proxy, door, method):
    answer = await proxy.request(method, door, headers={**HERE, "X-Forwarded-Method": method, **GPC})
    assert answer.status_code == DOORS[door]
    assert answer.headers["gateway-consent"] == f"{ALL_NO}, status=honored"


async def test_what_a_proxy_puts_first_of_several_counts(proxy):
    said = [("X-Original-URI", "/ads/1"), ("X-Original-URI", "/page"), *HERE.items(), *GPC.items()]
    assert (await proxy.get("/authz/nginx", headers=said)).status_code == 403


async def test_traefik_asks_in_its_own_names(proxy):
    """What Traefik's ForwardAuth sends, by its documentation: every header of the client, and these."""
    answer = await proxy.get(
        "/authz/forward",
        headers={
            "X-Forwarded-Method": "GET",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "www.example.com",
            "X-Forwarded-Uri": "/page?a=1",
            "X-Forwarded-For": proxies.CALIFORNIA,
            "User-Agent": "x",
            "Accept": "text/html",
            "Accept-Encoding": "gzip",
            "Cookie": "a=1",
            **GPC,
            **NAVIGATE,
        },
    )
    assert answer.status_code == 204
    assert answer.headers["gateway-consent"] == f"{ALL_NO}, status=honored"
    assert answer.headers["gateway-place"] == "US-CA"
    assert answer.headers["set-cookie"].startswith("__Host-gateway=")
    assert answer.headers["cookie"] == "a=1"


async def test_while_the_ledger_is_away_everybody_counts_as_opted_out_and_the_proxy_gets_its_answer(proxy, folder):
    path = folder / "ledger.sqlite3"
    path.rename(path.with_suffix(".away"))
    ends = time.monotonic() + 60
    while (await ask(proxy, next(iter(DOORS)))).headers["gateway-consent"] != f"{ALL_NO}, status=unknown":
        assert time.monotonic() < ends  # the last proof is good for a second
        await anyio.sleep(0.05)
    for door, status in DOORS.items():
        answer = await ask(proxy, door)
        assert (answer.status_code, answer.headers["gateway-consent"]) == (status, f"{ALL_NO}, status=unknown")
        assert answer.headers["content-security-policy"]
    path.with_suffix(".away").rename(path)


async def test_a_question_of_a_proxy_is_counted_and_leaves_no_line(proxy):
    with structlog.testing.capture_logs() as lines:
        for door in DOORS:
            await ask(proxy, door, "/secret?phone=1", **GPC)
    assert lines == []
    counted = (await proxy.get("/metrics")).text
    for route in ("/authz/nginx", "/authz/forward", "/authz/envoy/{path:path}"):
        assert f'route="{route}"' in counted
    assert "secret" not in counted


async def test_a_site_that_does_not_enforce_is_told_and_nothing_is_refused(tmp_path):
    configured = inside.settings(site__ad_paths="/ads/")
    async with inside.application(tmp_path / "data", configured, dev=False) as app, inside.client(app) as client:
        for door, status in DOORS.items():
            answer = await ask(client, door, "/ads/1", **GPC)
            assert answer.status_code == status
            assert answer.headers["gateway-consent"] == f"{ALL_NO}, status=honored"
            assert "content-security-policy" not in answer.headers
