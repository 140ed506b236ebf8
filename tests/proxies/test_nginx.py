"""nginx alone: its cache of pages, its connections to the gateway, and what each line of the recipe is for."""

import re

import pytest
from support import promises_of_proxies as promises
from support.promises_of_proxies import ALL_NO, ALL_YES, GPC, Proxied, remembered, stopped, without
from support.proxies import BEFORE_CACHE_CONTROL, Counting, somebody_else

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def proxied(started):
    return started("nginx")


def a_cached_page_is_for_those_alone_of_whom_the_same_holds(at: Proxied) -> None:
    page = "/cached/control=public,_max-age=600"
    first, again = at.ask(page), at.ask(page)
    assert (first.told["count"], again.told["count"]) == (1, 1), "the second came out of the cache"
    for headers in ([GPC], [remembered(at)]):
        assert at.ask(page, *headers).consent == f"{ALL_NO}, status=honored"
    assert at.ask(page).consent == f"{ALL_YES}, status=none"


def a_page_out_of_the_cache_shuts_trackers_out(at: Proxied) -> None:
    page = "/shut/control=public,_max-age=600"
    assert at.ask(page, GPC).one("content-security-policy")
    cached = at.ask(page, remembered(at))
    assert cached.told["count"] == 1
    assert promises.shut(cached)
    assert cached.one("cache-control") == "private, no-cache"
    assert at.ask(page).one("content-security-policy") is None


def a_page_that_was_cached_is_shut_while_the_gateway_is_away(at: Proxied) -> None:
    page = "/away/control=public,_max-age=600"
    at.ask(page)
    with stopped(at.gateway):
        away = at.ask(page)
        assert away.consent == f"{ALL_NO}, status=unknown"
        assert promises.shut(away)


def pages_share_connections_to_the_gateway(at: Proxied) -> None:
    counting = type("Counting", (Counting,), {"connections": 0})
    with stopped(at.gateway), somebody_else(counting, at.gateway.internal):
        for _ in range(20):
            at.ask()
    assert counting.connections <= 2


def a_page_that_was_made_for_credentials_is_nobody_elses(at: Proxied) -> None:
    page = "/mine/control=public,_max-age=600"
    mine = ("Authorization", "Basic amFuZTpzZWNyZXQ=")
    assert at.ask(page, mine).site_got("authorization") == ["Basic amFuZTpzZWNyZXQ="]
    assert at.ask(page).site_got("authorization") == [], "made for whoever asked"
    assert at.ask(page, mine).site_got("authorization"), "and mine is not out of the cache"


def a_page_that_the_site_makes_for_one_person_is_nobody_elses(at: Proxied) -> None:
    page = "/own/control=public,_max-age=600"
    for mine in (("Cookie", "a=b; gateway-account=v1.a.1.0"), ("Gateway-Account", "v1.a.1.0")):
        at.ask(page)
        first, again = at.ask(page, mine), at.ask(page, mine)
        assert first.told["count"] < again.told["count"], "neither came out of the cache"
        assert at.ask(page).told["count"] == 1, "nor went into it"


OWN = [
    a_page_that_the_site_makes_for_one_person_is_nobody_elses, a_page_that_was_made_for_credentials_is_nobody_elses,
    a_cached_page_is_for_those_alone_of_whom_the_same_holds, a_page_out_of_the_cache_shuts_trackers_out,
    a_page_that_was_cached_is_shut_while_the_gateway_is_away, pages_share_connections_to_the_gateway,
]  # fmt: skip


@pytest.mark.parametrize("promise", OWN, ids=lambda promise: promise.__name__)
def test_behind_nginx(proxied, promise):
    promise(proxied)


SPEAKS = promises.nothing_of_the_sites_own_has_the_browser_speak_past_the_policy
# What each line is for: a pattern that one line of the recipe has, and the promise that fails without it.
LINES = {
    "auth_request /_consent;": promises.the_site_reads_what_may_be_done,
    "auth_request_set $gw_consent": promises.the_site_reads_what_may_be_done,
    "auth_request_set $gw_browser": promises.the_cookie_arrives_and_is_heard_when_it_comes_back,
    "auth_request_set $gw_place": promises.the_site_reads_what_may_be_done,
    "auth_request_set $gw_request": promises.the_site_reads_what_may_be_done,
    "auth_request_set $gw_cookie": promises.the_cookie_arrives_and_is_heard_when_it_comes_back,
    "auth_request_set $gw_policy": promises.trackers_are_shut_out_at_delivery_for_whoever_opted_out,
    "auth_request_set $gw_cache": promises.a_page_that_is_one_persons_is_in_no_shared_cache,
    "add_header Set-Cookie $gw_cookie": promises.the_cookie_arrives_and_is_heard_when_it_comes_back,
    "add_header Content-Security-Policy $policy": promises.trackers_are_shut_out_at_delivery_for_whoever_opted_out,
    "add_header Vary": promises.a_page_that_is_one_persons_is_in_no_shared_cache,
    "add_header Cache-Control": promises.a_page_that_is_one_persons_is_in_no_shared_cache,
    "proxy_hide_header Cache-Control": promises.a_page_that_is_one_persons_is_in_no_shared_cache,
    **dict.fromkeys(
        (f"{what}_header {name}" for what in ("add", "proxy_hide") for name in BEFORE_CACHE_CONTROL),
        promises.a_page_that_is_one_persons_is_in_no_shared_cache,
    ),
    "no-store\\s*": promises.a_page_that_is_one_persons_is_in_no_shared_cache,
    '"~^__Host-gateway=': promises.the_site_never_sees_the_sealed_cookie,
    '"~^(.*?); *__Host-gateway=': promises.the_site_never_sees_the_sealed_cookie,
    '"~^__Host-gateway-said=': promises.the_site_never_sees_the_sealed_cookie,
    '"~^(.*?); *__Host-gateway-said=': promises.the_site_never_sees_the_sealed_cookie,
    '"~^__Host-gateway-proof=': promises.the_site_never_sees_the_sealed_cookie,
    '"~^(.*?); *__Host-gateway-proof=': promises.the_site_never_sees_the_sealed_cookie,
    '"~^__Host-gateway-code=': promises.the_site_never_sees_the_sealed_cookie,
    '"~^(.*?); *__Host-gateway-code=': promises.the_site_never_sees_the_sealed_cookie,
    "proxy_set_header Cookie $site_cookie": promises.the_site_never_sees_the_sealed_cookie,
    "proxy_set_header Gateway-Consent": promises.nothing_forged_reaches_the_site,
    "proxy_set_header Gateway-Browser": promises.nothing_forged_reaches_the_site,
    "proxy_set_header Gateway-Place": promises.nothing_forged_reaches_the_site,
    "proxy_set_header Gateway-Request": promises.nothing_forged_reaches_the_site,
    "proxy_set_header Gateway-Account": promises.nothing_forged_reaches_the_site,
    "proxy_set_header X-Original-Method": promises.a_picture_or_a_form_that_was_sent_gets_no_cookie,
    "proxy_set_header X-Original-URI": promises.ads_of_the_sites_own_are_refused_to_whoever_opted_out,
    "if ($upstream_http_gateway_consent)": promises.ads_of_the_sites_own_are_refused_to_whoever_opted_out,
    "add_header Content-Security-Policy $own_policy": SPEAKS,
    "add_header Content-Security-Policy-Report-Only": SPEAKS,
    "add_header Reporting-Endpoints": SPEAKS,
    "add_header Report-To": SPEAKS,
    "add_header NEL": SPEAKS,
    "add_header Speculation-Rules": SPEAKS,
    "add_header Link": SPEAKS,
    "add_header X-DNS-Prefetch-Control": SPEAKS,
    "proxy_hide_header Content-Security-Policy;": SPEAKS,
    "proxy_hide_header Content-Security-Policy-Report-Only": SPEAKS,
    "proxy_hide_header Reporting-Endpoints": SPEAKS,
    "proxy_hide_header Report-To": SPEAKS,
    "proxy_hide_header NEL": SPEAKS,
    "proxy_hide_header Speculation-Rules": SPEAKS,
    "proxy_hide_header Link": SPEAKS,
    "proxy_hide_header X-DNS-Prefetch-Control": SPEAKS,
    "proxy_cache_bypass": a_page_that_was_made_for_credentials_is_nobody_elses,
    "proxy_no_cache": a_page_that_was_made_for_credentials_is_nobody_elses,
    "proxy_cache_key": a_cached_page_is_for_those_alone_of_whom_the_same_holds,
    '"~*(?:^|;) *(?:gateway\\-account': a_page_that_the_site_makes_for_one_person_is_nobody_elses,
    "keepalive 32; }  #": pages_share_connections_to_the_gateway,
}
AWAY = {
    '"~*^(?:/ads/|/pixel': promises.everybody_counts_as_opted_out_and_the_page_stays_up,
    "if ($ad)": promises.everybody_counts_as_opted_out_and_the_page_stays_up,
    "proxy_read_timeout": promises.nobody_waits_for_a_gateway_that_is_slow,
    "error_page": promises.an_answer_that_is_none_of_the_gateways_counts_as_none,
    "return 204;": promises.everybody_counts_as_opted_out_and_the_page_stays_up,
    'status=unknown";': promises.everybody_counts_as_opted_out_and_the_page_stays_up,
    "\"default-src 'self'": promises.everybody_counts_as_opted_out_and_the_page_stays_up,
}


@pytest.mark.parametrize("mark", LINES)
def test_without_its_line_the_promise_is_broken(started, mark):
    broken = started("nginx", without(mark))
    with pytest.raises((AssertionError, ValueError)):
        LINES[mark](broken)


@pytest.mark.parametrize("mark", AWAY)
def test_without_its_line_the_page_is_not_there_while_the_gateway_is_away(started, gone, mark):
    broken = started("nginx", without(mark), running=gone)
    with pytest.raises((AssertionError, ValueError)):
        AWAY[mark](broken)


def test_every_line_that_hands_something_on_has_its_control(gateway):
    from support.proxies import nginx_text

    text = nginx_text(gateway, "127.0.0.1:9")
    handing = re.findall(r"^ +(auth_request\w* .*|add_header .*|proxy_set_header Gateway.*);", text, re.MULTILINE)
    assert len(handing) == 28
    assert [line for line in handing if not any(mark.rstrip(";") in line for mark in LINES)] == []


def test_a_large_upload_is_not_refused_because_somebody_is_asked_first(started):
    def larger(text: str) -> str:
        return text.replace("location / {", "location / {\n client_max_body_size 8m;")

    large = {"method": "POST", "body": b"x" * 3_000_000}
    assert started("nginx", larger).ask("/form", **large).told["body"] == 3_000_000
    broken = started("nginx", lambda text: without("client_max_body_size 0;")(larger(text)))
    assert broken.ask("/form", **large).consent == f"{ALL_NO}, status=unknown"
