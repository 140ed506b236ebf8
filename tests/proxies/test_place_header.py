"""Real proxies with a CDN before them that says where visitors are: its word arrives at the gateway, and a
stranger's under the same names does not.
"""

import re

import pytest
from support import proxies
from support.proxies import ask
from support.wordpress import wordpress

pytestmark = pytest.mark.slow
CDN, STRANGER = proxies.GERMANY, proxies.CALIFORNIA  # whom the database knows elsewhere
NAMED = "203.0.113.4/32"  # the CDN as it is configured; in the tests it is at an address of this machine
KINDS = ("nginx", "caddy", "envoy", "haproxy", "traefik")
COOKIE = ("Cookie", "__Host-gateway=x")  # which a recipe may have a rule of its own for
SAYS = (("CF-IPCountry", "US"), ("CF-Region-Code", "NY"))
# What takes a stranger's word away, in each recipe, and the same without it.
OPEN = {
    "nginx": (r'^map \$by_cdn (\$told_\w+) \{ 1 (\S+); default ""; \}', r"map $by_cdn \1 { default \2; }"),
    "caddy": (r"^\s*request_header @stranger .*$", ""),
    "envoy": (r'\["shadow_engine_result"\] ~= "allowed"', '["shadow_engine_result"] == "no"'),
    "haproxy": (r"^.* del-header CF-.* unless by_cdn$", ""),
    "traefik": (r'\{ CF-IPCountry: "", CF-Region-Code: "" \}', '{ X-Else: "" }'),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A gateway that is told places by the CDN's headers."""
    configured = {
        "places__header": "CF-IPCountry",
        "places__region_header": "CF-Region-Code",
        "listen__trusted_proxies": f"127.0.0.1,{NAMED}",
    }
    with proxies.gateway(tmp_path_factory.mktemp("told"), **configured) as running:
        yield running


def here(text: str) -> str:
    """A recipe whose CDN is at an address of this machine; Envoy has the address and its length apart."""
    assert "203.0.113.4" in text
    return text.replace("203.0.113.4", CDN)


def place(at, *headers, by):
    (found,) = ask(at.url, "/page", *headers, by=by).site_got("gateway-place")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_place_that_a_cdn_says_arrives_and_a_strangers_does_not(started, told, kind):
    at = started(kind, here, told)
    assert place(at, *SAYS, by=CDN) == "US-NY"
    assert place(at, *SAYS, by=STRANGER) == "unknown"
    assert place(at, ("CF-IPCountry", "XX"), by=CDN) == "unknown"
    assert place(at, *SAYS, ("CF-IPCountry", "DE"), by=CDN) == "unknown"
    assert place(at, by=CDN) == "unknown", "and no database is asked"
    assert place(at, *SAYS, COOKIE, by=CDN) == "US-NY"
    assert place(at, *SAYS, COOKIE, by=STRANGER) == "unknown"
    for by, seen in ((CDN, "US-NY"), (STRANGER, "unknown")):  # the gateway's own pages too
        assert ask(at.url, "/privacy-choices/status", *SAYS, by=by).told["place"] == seen


def test_wordpress_is_told_the_place_that_a_cdn_says_and_no_strangers(tool, told, tmp_path):
    with wordpress(tool, told, tmp_path, change=here) as wp:
        seen = [ask(wp.url, "/hello", *SAYS, by=by).told["gateway"]["HTTP_GATEWAY_PLACE"] for by in (CDN, STRANGER)]
        status = [ask(wp.url, "/privacy-choices/status", *SAYS, by=by).told["place"] for by in (CDN, STRANGER)]
    assert seen == status == ["US-NY", "unknown"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_control_without_those_lines_a_stranger_is_believed(started, told, kind):
    def opened(text):
        changed, times = re.subn(*OPEN[kind], here(text), flags=re.MULTILINE)
        assert times
        return changed

    assert place(started(kind, opened, told), *SAYS, by=STRANGER) == "US-NY"


@pytest.mark.parametrize("kind", KINDS)
def test_where_no_cdn_is_named_nobody_says_where_he_is(started, told, kind, monkeypatch):
    """Then every header of that name is a stranger's."""
    import msgspec

    listen = msgspec.structs.replace(told.settings.listen, trusted_proxies=("127.0.0.1",))
    monkeypatch.setattr(told, "settings", msgspec.structs.replace(told.settings, listen=listen))
    at = started(kind, running=told)
    assert {place(at, *SAYS, by=by) for by in (CDN, STRANGER)} == {"unknown"}


@pytest.mark.parametrize("kind", ["nginx", "caddy", "envoy", "haproxy"])
def test_behind_a_cdn_the_address_that_is_looked_up_is_the_visitors(started, tmp_path_factory, kind):
    with proxies.gateway(
        tmp_path_factory.mktemp("looked"), listen__trusted_proxies=f"127.0.0.1,{CDN},{NAMED}"
    ) as running:
        at = started(kind, here, running) if kind != "envoy" else started(kind, running=running)
        assert place(at, ("X-Forwarded-For", proxies.NEW_YORK), by=CDN) == "US-NY"
        assert place(at, ("X-Forwarded-For", proxies.NEW_YORK), by=STRANGER) == "US-CA", "a stranger is where he is"
