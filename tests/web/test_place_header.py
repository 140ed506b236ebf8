"""Where a visitor is by the word of the operator's own proxy or CDN: in each one's form, and from nobody else."""

import re
from importlib import resources
from pathlib import Path

import httpx2
import pytest
from support import inside, proxies
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gateway.app.service import in_front_of
from gateway.cli.recipe import filled, offered
from gateway.settings import load as settings_of
from gateway.settings.load import SettingsRefused
from gateway.web.shell.peer import Peers, place_by_header, place_said

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parent.parent.parent
CLOUDFLARE = {"places__header": "CF-IPCountry", "places__region_header": "CF-Region-Code"}
NEW_YORK = {"CF-IPCountry": "US", "CF-Region-Code": "NY"}
GERMANY = {"CF-IPCountry": "DE", "CF-Region-Code": "BE"}
STRANGER = ("192.0.2.7", 1)
ALL_YES = "sale=?1, sharing=?1, targeted_ads=?1, status=none"
ALL_NO = "sale=?0, sharing=?0, targeted_ads=?0, status=none"


@pytest.mark.parametrize(
    ("country", "region", "place"),
    [
        ("US", "CA", "US-CA"),  # Cloudflare, CloudFront
        ("DE", "BE", "DE-BE"),
        ("CA", "QC", "CA-QC"),
        ("us", "ca", "US-CA"),
        ("US-CA", "", "US-CA"),  # nginx, Fastly
        ("US-", "", "US"),
        ("DE-", "", "DE"),
        ("GB-ENG", "", "GB-ENG"),
        ("DE-?", "", "DE"),
        ("AX-NO REGION", "", "AX"),
        ("US,USCA", "", "US-CA"),  # Google
        ("US,", "", "US"),
        ("CA,CAON", "", "CA-ON"),
        ("US", "USCA", "US-CA"),
        ("GB", "GBENG", "GB-ENG"),
        ("US", "US-CA", "US-CA"),
        ("US-CA", "CA", "US-CA"),
        ("US, US", "", "US"),  # two of one value, folded into one
        ("US-NY, US-NY", "", "US-NY"),
        ("US", "", "US"),
        ("US", "ZZ", "US"),  # no such state: any of them
        ("DE", "", "DE"),
    ],
)
def test_a_visitor_is_where_the_proxy_says_in_each_ones_form(country, region, place):
    assert place_said(country, region) == place


@pytest.mark.parametrize(
    ("country", "region"),
    [
        *((each, "") for each in ("", "XX", "T1", "EU", "AP", "A1", "A2", "O1", "ZZ", "EN", "OC", "UK", "ZQ", "AN", "SU", "UK-ENG", "QM", "AA", "**", "**-?", "-", "1")),
        ("USA", ""), ("U", ""), ("United States", ""), ("US-CALIFORNIA", ""), ("US,Mountain View", ""), ("US_CA", ""),
        ("US,CA", ""),  # California, or two countries
        ("US-NY, US", ""), ("US, US-NY", ""), ("US-NY,", ""), ("US-NY, US-CA", ""), ("DE, US", ""),
        ("US,CAON", ""), ("US", "CAON"), ("US-CA", "NY"), ("US-CA-X", ""), ("US", "Kalifornien"), ("DE", "é"),
        ("ß", ""), ("US\x00", ""), ("XX", "CA"), ("", "CA"), ("T1", "T1"),
    ],
)  # fmt: skip
def test_what_names_no_country_or_two_is_no_place(country, region):
    assert place_said(country, region) is None


def reading(*headers, client="127.0.0.1", names=("CF-IPCountry", "CF-Region-Code")):
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "client": client and (client, 1), "headers": fields, "scheme": "http"}
    return place_by_header(names, Peers(["127.0.0.1", "203.0.113.0/24"]))(scope)


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ([("CF-IPCountry", "US"), ("CF-Region-Code", "NY")], "US-NY"),
        ([("cf-ipcountry", " US "), ("CF-IPCountry", "US"), ("CF-Region-Code", "NY")], "US-NY"),
        ([("CF-IPCountry", "US"), ("CF-IPCountry", "DE")], None),  # one of them is not the CDN's
        ([("CF-IPCountry", "US"), ("CF-Region-Code", "NY"), ("CF-Region-Code", "CA")], None),
        ([("CF-Region-Code", "NY")], None),
        ([], None),
    ],
)
def test_of_a_header_that_comes_twice_and_differs_nothing_is_believed(headers, place):
    assert reading(*headers) == place


def test_a_strangers_own_header_counts_for_nothing():
    said = [*NEW_YORK.items()]
    for client in ("127.0.0.1", "203.0.113.9", None):  # the latter: a local socket
        assert reading(*said, client=client) == "US-NY"
    for client in ("192.0.2.7", "203.0.114.1", "2001:db8::1", "testclient", "::1"):
        assert reading(*said, client=client) is None
    assert reading(*said, ("X-Forwarded-For", "203.0.113.9"), client="192.0.2.7") is None


@pytest.mark.parametrize("forged", ["127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "::1", "203.0.113.9 "])
@pytest.mark.parametrize("fields", [1, 2])
async def test_whom_uvicorn_takes_out_of_x_forwarded_for_is_not_believed(forged, fields):
    """Under `--forwarded-allow-ips='*'` the peer of the application is whoever a stranger names; behind it, a real one."""
    found = []
    peers = Peers(["127.0.0.1", "::1", "203.0.113.0/24"])

    async def site(scope, *_):
        found.append((place_by_header(("CF-IPCountry", "CF-Region-Code"), peers)(scope), str(peers.sender(scope))))

    chain = [forged, *(["10.0.0.9"] * 40), "198.51.100.9"]
    forwarded = chain if fields == 2 else [", ".join(chain)]
    said = [*NEW_YORK.items(), *(("X-Forwarded-For", each) for each in forwarded)]
    fields_of = [(name.lower().encode(), value.encode()) for name, value in said]
    for trusted in ("*", "192.0.2.1"):
        scope = {"type": "http", "client": ("127.0.0.1", 40_000), "headers": fields_of, "scheme": "http"}
        await ProxyHeadersMiddleware(site, trusted)(scope, None, None)
    assert found == [(None, "198.51.100.9"), ("US-NY", "198.51.100.9")]


@pytest.fixture
async def started(tmp_path):
    """A gateway that knows places by a header and has a database, which is not asked; called by anybody."""
    configured = inside.settings(**CLOUDFLARE, places__database=proxies.addresses(tmp_path))
    async with inside.application(tmp_path / "data", configured, dev=False) as app:

        def caller(client=("127.0.0.1", 1)):
            transport = httpx2.ASGITransport(app=app, client=client)
            return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")

        yield caller


@pytest.mark.parametrize("door", ["/authz/nginx", "/authz/forward", "/authz/envoy/page"])
async def test_each_door_for_proxies_goes_by_the_header_alone(started, door):
    here = {"X-Forwarded-For": proxies.NEW_YORK}  # whom the database knows
    async with started() as proxy, started(STRANGER) as stranger:
        told = [
            (await proxy.get(door, headers=here | said)).headers
            for said in (NEW_YORK, GERMANY, {}, {"CF-IPCountry": "T1"})
        ]
        forged = (await stranger.get(door, headers=here | NEW_YORK)).headers
    assert [each["gateway-place"] for each in told] == ["US-NY", "DE-BE", "unknown", "unknown"]
    assert [each["gateway-consent"] for each in told] == [ALL_YES, ALL_NO, ALL_NO, ALL_NO]
    assert (forged["gateway-place"], forged["gateway-consent"]) == ("unknown", ALL_NO)


async def test_a_page_of_ours_says_what_holds_where_the_visitor_is(started):
    async with started() as proxy, started(STRANGER) as stranger:
        assert (await proxy.get("/privacy-choices/status", headers=NEW_YORK)).json()["place"] == "US-NY"
        assert (await stranger.get("/privacy-choices/status", headers=NEW_YORK)).json()["place"] == "unknown"
        pages = [(await each.get("/privacy-choices", headers=NEW_YORK)).text for each in (proxy, stranger)]
    assert pages[0] != pages[1]


async def test_a_visit_with_gpc_is_entered_with_the_place_of_the_header(tmp_path, monkeypatch):
    for name, value in CLOUDFLARE.items():
        monkeypatch.setenv(f"GATEWAY_{name.upper()}", value)
    told = []

    async def site(scope, receive, send):
        told.append(scope["state"]["gateway"].place)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = in_front_of(site, inside.install(tmp_path / "data"))
    async with inside.lifespan(app):
        for peer in (("127.0.0.1", 1), STRANGER):
            transport = httpx2.ASGITransport(app=app, client=peer)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                first = await client.get("/", headers=NEW_YORK | {"Sec-GPC": "1", "Sec-Fetch-Mode": "navigate"})
                assert first.headers["set-cookie"].startswith("__Host-gateway=")
    assert told == ["US-NY", "unknown"]


# --- the configuration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["CF-IPCountry", "CloudFront-Viewer-Country", "X-Client-Region", "X-Country-Code"])
def test_a_site_that_may_be_in_the_united_states_is_told_that_its_header_has_no_region(header):
    with pytest.raises(SettingsRefused, match=r"HEADER: .*country alone.*; write .*CF-Region-Code"):
        inside.settings(places__header=header)
    inside.settings(places__header=header, places__region_header="X-Part")


@pytest.mark.parametrize(
    ("jurisdiction", "notices", "taken"),
    [("DE", "", True), ("US-CA", "", False), ("DE", "US-CA", False), ("", "", False)],
)
def test_a_site_abroad_may_know_the_country_alone(tmp_path, jurisdiction, notices, taken):
    file = tmp_path / "mine.toml"
    listed = f'{notices} = "/notice"' if notices else ""
    file.write_text(
        f'[site]\nnotices = {{ {listed} }}\n[controller]\njurisdiction = "{jurisdiction}"\n[places]\nheader = "CF-IPCountry"\n'
    )
    if taken:
        assert settings_of.load_settings(file, {}).places.headers() == ("CF-IPCountry",)
    else:
        with pytest.raises(SettingsRefused, match="country alone"):
            settings_of.load_settings(file, {})


@pytest.mark.parametrize("header", ["X-Place", "X-Client-Geo-Location", "X-Geo"])
def test_a_header_with_both_in_it_needs_no_other(header):
    assert inside.settings(places__header=header).places.headers() == (header,)


@pytest.mark.parametrize(
    ("configured", "why"),
    [
        ({"places__header": "CF-Region-Code"}, "CA would be Canada"),
        ({"places__header": "CloudFront-Viewer-Country-Region"}, "CA would be Canada"),
        ({"places__header": "X-Geo-Province"}, "CA would be Canada"),
        *(
            ({"places__header": name}, "tells no place")
            for name in ("CF-IPContinent", "X-Forwarded-For", "x-forwarded-host", "X-Original-URI", "Forwarded")
        ),
        ({"places__region_header": "CF-Region-Code"}, "is empty beside"),
        ({"places__header": "X-Place", "places__region_header": "x-place"}, "is the country's"),
        ({"places__header": "same"}, "no header's name"),
        ({"places__header": "X-Place", "site__place_in_key": "CF-IPCountry"}, "a cache would mix them up"),
        ({"places__header": "X-Place", "site__place_in_key": "same"}, "a cache would mix them up"),
    ],
)
def test_a_header_that_would_mix_places_up_refuses_the_start(configured, why):
    with pytest.raises(SettingsRefused, match=why):
        inside.settings(**configured)


async def test_a_cache_that_keeps_pages_by_place_is_told_both_headers(tmp_path):
    """A cache that had the country alone in its key would hand New York's page to California."""
    configured = inside.settings(**CLOUDFLARE, site__place_in_key="cf-ipcountry")
    async with inside.application(tmp_path / "data", configured, dev=False) as app, inside.client(app) as proxy:
        told = (await proxy.get("/authz/nginx", headers=NEW_YORK)).headers
    assert told["vary"].endswith("CF-IPCountry, CF-Region-Code")
    assert "private" not in told.get("cache-control", "")


@pytest.mark.parametrize("name", ["nginx", "caddy", "envoy", "traefik", "wordpress"])
def test_a_recipe_has_pages_kept_by_place_by_both_headers(name):
    printed = filled(name, inside.settings(**CLOUDFLARE, site__place_in_key="cf-ipcountry"), host="HOST", site="x:1")
    assert "Authorization, CF-IPCountry, CF-Region-Code" in printed


async def test_a_page_that_a_header_made_for_a_place_is_private_where_no_cache_has_it_in_its_key(started):
    async with started() as proxy:
        assert "private" in (await proxy.get("/authz/nginx", headers=NEW_YORK)).headers["cache-control"]


# --- no example of ours names one place for everybody -----------------------------------------------------------------

PLACE = r"""["'](?:US|CA|DE|GB|[A-Z]{2}-[A-Z0-9]{1,3})(?:-[A-Z]{2,3})?["']"""
CONSTANT = re.compile(
    rf"place\s*[=:]\s*(?:lambda[^:\n]*:|\([^)\n]*\)\s*=>)\s*{PLACE}"  # a function of the request that looks at nothing
    rf"|\bplace\s*=\s*{PLACE}"  # in code
    rf"|(?i:gateway-place|cf-ipcountry|x-place|viewer-country)[\"']?[\s:=,>]+[\"']?(?:US|CA|DE|[A-Z]{{2}}-[A-Z]{{2}})\b"
    r"|default[ =]+[\"']?US\b|GATEWAY_PLACE\s+US"
)
LAW = re.compile(r'^places? = (\[.*|"US-WY".*)$', re.MULTILINE)  # rows of the law's tables, in its page


def examples_of_ours() -> dict[str, str]:
    """Whatever a reader may copy: pages of the manual, recipes with nothing and with all configured, files for pages and
    apps, the configuration.
    """
    manual = resources.files("gateway") / "manual"
    found = {item.name: item.read_text() for item in manual.iterdir() if item.name.endswith(".md")}
    for kind in ({}, {**CLOUDFLARE, "listen__trusted_proxies": "127.0.0.1,203.0.113.0/24"}):
        settings = inside.settings(**kind)
        found |= {
            f"{name} {len(kind)}": filled(name, settings, host="www.example.com", site="127.0.0.1:9")
            for name in offered()
        }
    for path in [ROOT / "README.md", ROOT / "config.toml", *(ROOT / "static").rglob("*")]:
        if path.is_file() and path.suffix in {".md", ".toml", ".ts", ".js", ".html"}:
            found[path.name] = path.read_text()
    return {name: LAW.sub("", text) if name == "law.md" else text for name, text in found.items()}


def test_no_example_of_ours_gives_everybody_one_place():
    found = {name: CONSTANT.search(text) for name, text in examples_of_ours().items()}
    assert {name: hit[0] for name, hit in found.items() if hit} == {}
    assert len(found) > 50


@pytest.mark.parametrize(
    "text",
    [
        'place=lambda scope: "US-CA",', "place: () => 'US-NY'", 'in_front_of(site, place="US-CA")', "Gateway-Place: US-CA",
        "proxy_set_header CF-IPCountry US;", 'request_header X-Place "US-CA"', "$country default=US source=x", "default US;",
    ],
)  # fmt: skip
def test_one_that_did_would_be_found(text):
    """The control."""
    assert CONSTANT.search(text)
