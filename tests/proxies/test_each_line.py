"""What each line of Caddy's, Envoy's and HAProxy's recipes is for: without it a promise is broken."""

import pytest
from support import promises_of_proxies as promises
from support.promises_of_proxies import without
from support.proxies import BEFORE_CACHE_CONTROL

from gateway.web.site.shared_caches import HEARD

pytestmark = pytest.mark.slow
TOLD = promises.the_site_reads_what_may_be_done
COOKIE = promises.the_cookie_arrives_and_is_heard_when_it_comes_back
FORGED = promises.nothing_forged_reaches_the_site
SEALED = promises.the_site_never_sees_the_sealed_cookie
SHUT = promises.trackers_are_shut_out_at_delivery_for_whoever_opted_out
PRIVATE = promises.a_page_that_is_one_persons_is_in_no_shared_cache
SPEAKS = promises.nothing_of_the_sites_own_has_the_browser_speak_past_the_policy
ADS = promises.ads_of_the_sites_own_are_refused_to_whoever_opted_out
NAVIGATION = promises.a_picture_or_a_form_that_was_sent_gets_no_cookie
PLACE = promises.the_place_is_of_the_address_that_the_proxy_saw
AWAY = promises.everybody_counts_as_opted_out_and_the_page_stays_up
NONSENSE = promises.an_answer_that_is_none_of_the_gateways_counts_as_none
EARLY = promises.a_site_that_sends_hints_early_opens_nothing
POLICY, COOKIE_LINE = (
    "+Content-Security-Policy {rp.header.Content-Security-Policy}",
    "+Set-Cookie {rp.header.Set-Cookie}",
)
VARY_LINE = f'+Vary "{", ".join(HEARD)}"'
NO_WORD = promises.a_yes_that_says_nothing_counts_as_no_answer
SLOW = promises.nobody_waits_for_a_gateway_that_is_slow
LINES = {
    "caddy": {
        "request_header -Gateway*": FORGED,
        'header_up Cookie "(?:^()': SEALED,
        'header_up Cookie "^; *()': SEALED,
        "rewrite /authz/forward": TOLD,
        "header_up X-Forwarded-Method": NAVIGATION,
        "header_up X-Forwarded-Uri": ADS,
        "request_header Gateway-Consent {rp": TOLD,
        "request_header Gateway-Browser {rp": COOKIE,
        "request_header Gateway-Place {rp": TOLD,
        "request_header Gateway-Request {rp": TOLD,
        "+Set-Cookie -> +X-Else": COOKIE,
        "+Content-Security-Policy {rp -> +X-Else {rp": SHUT,
        "import silently @policy": SPEAKS,
        "-Content-Security-Policy-Report-Only": SPEAKS,
        "-Reporting-Endpoints": SPEAKS,
        "-Speculation-Rules": SPEAKS,
        "NEL `": SPEAKS,
        "Report-To `": SPEAKS,
        "X-DNS-Prefetch-Control": SPEAKS,
        'Link "': SPEAKS,
        'Content-Security-Policy "(?i)': SPEAKS,
        'Cache-Control "private, no-store" -> X-Else "1"': PRIVATE,
        **{f"\t-{name}\n -> \n": PRIVATE for name in BEFORE_CACHE_CONTROL},
        "+Vary -> +X-Else": PRIVATE,
        f"{POLICY}\n\t\t\t\t\t\tdefer -> {POLICY}": EARLY,
        f"{COOKIE_LINE}\n\t\t\t\t\t\tdefer -> {COOKIE_LINE}": EARLY,
        f"{VARY_LINE}\n\t\tdefer -> {VARY_LINE}": EARLY,
        "|preload -> ": EARLY,
        'respond "" 403': ADS,
    },
    "envoy": {
        "headers_with_underscores_action": FORGED,
        "remove_on_match": FORGED,
        "remove: x-envoy-auth": promises.nobody_pretends_that_the_gateway_is_away,
        "upgrade_configs": promises.a_websocket_is_opened_and_heard,
        "{exact: sec-gpc}": TOLD,
        "{exact: cookie}": COOKIE,
        "{exact: sec-fetch-mode}": COOKIE,
        "{exact: accept}": NAVIGATION,
        "{exact: x-forwarded-for}": PLACE,
        "{exact: gateway-consent}": TOLD,
        "{exact: gateway-browser}": COOKIE,
        "{exact: gateway-place}": TOLD,
        "{exact: gateway-request}": TOLD,
        "{exact: set-cookie}": COOKIE,
        "{exact: content-security-policy}\n -> {exact: x-else}\n": SHUT,
        "{exact: cache-control} -> {exact: x-else}": PRIVATE,
        'headers:replace("cache-control", control)': PRIVATE,
        "{exact: content-security-policy}  # -> {exact: x-else}  #": SPEAKS,
        "do headers:remove(name) end": SPEAKS,
        'headers:replace("nel"': SPEAKS,
        'headers:replace("report-to"': SPEAKS,
        'headers:replace("x-dns-prefetch-control"': SPEAKS,
        'headers:remove("link")': SPEAKS,
        'headers:replace("content-security-policy", kept': SPEAKS,
        'name ~= "__Host-gateway" -> true': SEALED,
        'name ~= "__Host-gateway-said" -> true': SEALED,
        'name ~= "__Host-gateway-proof" -> true': SEALED,
        'name ~= "__Host-gateway-code" -> true': SEALED,
    },
    "haproxy": {
        "del-header gateway -m beg": FORGED,
        "set-header X-Forwarded-For": PLACE,
        "lua.gateway_ask if": TOLD,
        "deny_status 403": ADS,
        "lua.gateway_cookies_off unless": SEALED,
        "add-header Set-Cookie": COOKIE,
        "lua.gateway_silence if": SPEAKS,
        "add-header Content-Security-Policy": SHUT,
        "lua.gateway_private if": PRIVATE,
        "add-header Vary": PRIVATE,
        'headers["x-forwarded-method"]': NAVIGATION,
        'headers["x-forwarded-uri"]': ADS,
        '"gateway-consent",  -> ': TOLD,
        '"gateway-browser",  -> ': COOKIE,
        '"gateway-place",  -> ': TOLD,
        ', "gateway-request" -> ': TOLD,
        'set_var("txn.policy"': SHUT,
        'set_var("txn.cookie"': COOKIE,
        'set_var("txn.cache"': PRIVATE,
        'name ~= "__Host-gateway" -> true': SEALED,
        'name ~= "__Host-gateway-said" -> true': SEALED,
        'name ~= "__Host-gateway-proof" -> true': SEALED,
        'name ~= "__Host-gateway-code" -> true': SEALED,
        "http:res_del_header(name) end -> end": SPEAKS,
        'res_set_header("nel"': SPEAKS,
        'res_set_header("report-to"': SPEAKS,
        'res_set_header("x-dns-prefetch-control"': SPEAKS,
        'http:res_del_header("link") end -> end': SPEAKS,
        'res_del_header("content-security-policy")': SPEAKS,
        'res_add_header("content-security-policy"': SPEAKS,
        'not said:find(",no-store,", 1, true) -> true': PRIVATE,
        'res_set_header("cache-control", txn:get_var("txn.cache")) -> res_del_header("x-else")': PRIVATE,
        '"surrogate-control",  -> ': PRIVATE,
        '"cdn-cache-control",  -> ': PRIVATE,
        ', "cloudflare-cdn-cache-control" -> ': PRIVATE,
    },
}
WHILE_AWAY = {
    "caddy": {
        'request_header Gateway-Consent "sale=?0': AWAY,
        "respond 403": AWAY,
        "response_header_timeout": SLOW,
        "error 502": NONSENSE,
        '+Content-Security-Policy "default -> +X-Else "default': AWAY,
        "vars asking yes\n\t\t\treverse_proxy": AWAY,
    },
    "envoy": {
        "failure_mode_allow: true": AWAY,
        'headers:add("content-security-policy"': AWAY,
        'handle:respond({[":status"] = "403"}': AWAY,
    },
    "haproxy": {
        "set-header Gateway-Consent": AWAY,
        "set-var-fmt(txn.policy)": AWAY,
        'set_var("txn.refused", is_ad': AWAY,
        "status ~= 204 or not consent -> status ~= 204": NO_WORD,
        "if status ~= 204": NONSENSE,
        "timeout = 200} -> timeout = 9000}": SLOW,
    },
}


def cases(table: dict) -> list[tuple[str, str]]:
    return [(name, mark) for name, lines in table.items() for mark in lines]


def taken_out(mark: str):
    """A line; of a mark that runs over two, the first; of `what -> else` the words alone, where a line must stand."""
    first, _, rest = mark.partition("\n")
    old, arrow, new = mark.partition(" -> ")
    if arrow or rest:
        return lambda text: text.replace(old if arrow else mark, new or rest)
    return without(first)


@pytest.mark.parametrize(("name", "mark"), cases(LINES))
def test_without_its_line_the_promise_is_broken(started, name, mark):
    broken = started(name, taken_out(mark))
    with pytest.raises((AssertionError, ValueError)):
        LINES[name][mark](broken)


@pytest.mark.parametrize(("name", "mark"), cases(WHILE_AWAY))
def test_without_its_line_the_promise_is_broken_while_the_gateway_is_away(started, gone, name, mark):
    broken = started(name, taken_out(mark), running=gone)
    with pytest.raises((AssertionError, ValueError)):
        WHILE_AWAY[name][mark](broken)


@pytest.mark.parametrize("name", ["caddy", "envoy"])
def test_a_site_that_sends_hints_early_opens_nothing(started, name):
    EARLY(started(name))


def test_caddy_hands_early_hints_on_to_whoever_said_nothing(started):
    """Control: there is something to keep back."""
    early, page = promises.in_turn(started("caddy"), "/early")
    assert (early.status, page.status, promises.FAR in repr(early.headers)) == (103, 200, True)
