"""What every proxy with a recipe of ours promises, as functions that fail where it does not hold.

Each is asked of a proxy as it is printed, and of one with a line taken out, where it must fail.
"""

import contextlib
import secrets
import time
from dataclasses import dataclass

from gateway.keys import api_keys, secret_files
from gateway.web.shell.edge import FROM_APPS
from gateway.web.site import header_fields as sealed_cookies
from support.proxies import (
    BEFORE_CACHE_CONTROL,
    CALIFORNIA,
    GERMANY,
    NEW_YORK,
    Answer,
    Gateway,
    Other,
    Slow,
    answers_in_turn,
    ask,
    open_websocket,
    somebody_else,
)

ALL_NO = "sale=?0, sharing=?0, targeted_ads=?0"
ALL_YES = "sale=?1, sharing=?1, targeted_ads=?1"
GPC = ("Sec-GPC", "1")
NAVIGATE = ("Sec-Fetch-Mode", "navigate")
OURS = ("gateway-consent", "gateway-browser", "gateway-place", "gateway-request")
FORGED = [
    (spelling(name), "FORGED, sale=?1")
    for name in (*OURS, "gateway-account")
    for spelling in (str.title, str.lower, lambda name: name.replace("-", "_"), lambda name: name.upper())
]


@dataclass
class Proxied:
    """A proxy before a site, and the gateway beside it."""

    url: str
    gateway: Gateway

    def ask(self, path="/page", *headers, **more):
        return ask(self.url, path, *headers, **more)


@contextlib.contextmanager
def stopped(gateway: Gateway):
    gateway.stop()
    try:
        yield
    finally:
        gateway.start()


def without(mark: str):
    """The recipe with the one line that has the mark taken out; of an upstream its keepalive alone, and a variable that
    the rest reads stays, empty.
    """

    def change(text: str) -> str:
        (hit,) = [line for line in text.splitlines() if mark in line]
        if mark.startswith("keepalive"):
            return text.replace(hit, hit.replace("keepalive 32;", ""))
        return text.replace(hit, f'{mark} "";' if mark.startswith("auth_request_set") else "")

    return change


def remembered(at: Proxied) -> tuple[str, str]:
    """The Cookie header of a browser that said GPC once."""
    (cookie,) = at.ask("/page", GPC, NAVIGATE).all("set-cookie")
    return "Cookie", f"first=1; {cookie.partition(';')[0]}; last=2"


def signed_in(at: Proxied, account: str) -> tuple[str, str]:
    """The Cookie header of a person whom the site's server says is signed in."""
    secret = secret_files.load_secrets(at.gateway.folder / "data").accounts[0]
    return "Cookie", f"gateway-account={api_keys.assert_account(secret, account, int(time.time()) + 600)}"


# --- while the gateway answers ---


def the_site_reads_what_may_be_done(at: Proxied) -> None:
    said_nothing, said_no = at.ask(), at.ask("/page", GPC)
    assert said_nothing.consent == f"{ALL_YES}, status=none"
    assert said_no.consent == f"{ALL_NO}, status=honored"
    assert said_no.site_got("sec-gpc") == ["1"]
    assert said_nothing.site_got("gateway-place") == ["US-NY"]
    assert len("".join(said_nothing.site_got("gateway-request"))) == 16


def the_cookie_arrives_and_is_heard_when_it_comes_back(at: Proxied) -> None:
    answer = at.ask("/page", remembered(at))
    assert answer.consent == f"{ALL_NO}, status=honored"
    assert len("".join(answer.site_got("gateway-browser"))) > 40


def a_picture_or_a_form_that_was_sent_gets_no_cookie(at: Proxied) -> None:
    html = ("Accept", "text/html")
    assert len(at.ask("/page", GPC, html).all("set-cookie")) == 1
    assert at.ask("/page", GPC, html, method="POST", body=b"").all("set-cookie") == []
    assert at.ask("/page", GPC, html, ("Sec-Fetch-Mode", "no-cors")).all("set-cookie") == []


OTHER_SEALED = [name.decode() for name in sealed_cookies.COOKIES if name != sealed_cookies.BEGIN]


def the_site_never_sees_the_sealed_cookie(at: Proxied) -> None:
    _, ours = remembered(at)
    sealed = ours.split("; ")[1]
    for sent in (
        ours,
        f"{sealed}; first=1; last=2",
        f"first=1; last=2; {sealed}",
        *(f"{name}=x; first=1; {sealed}; last=2" for name in OTHER_SEALED),
        *(f"first=1;{sealed}; {name}=x; last=2" for name in OTHER_SEALED),
    ):
        for path in ("/page", "/picture.png"):
            assert at.ask(path, ("Cookie", sent)).site_got("cookie") == ["first=1; last=2"], sent
    assert "".join(at.ask("/page", ("Cookie", sealed)).site_got("cookie")) == ""


def a_signed_in_person_is_known_on_another_browser(at: Proxied) -> None:
    who = signed_in(at, secrets.token_hex(4))
    assert at.ask("/page", who).consent == f"{ALL_YES}, status=none"
    assert at.ask("/page", who, GPC).consent == f"{ALL_NO}, status=honored"
    assert at.ask("/page", who).consent == f"{ALL_NO}, status=honored"
    assert at.ask().consent == f"{ALL_YES}, status=none"


def one_question_a_request_for_whatever_may_be_a_page(at: Proxied) -> None:
    """Where [site] enforce: a 404 page, a worker's script, a page of PHP with a path behind it."""
    before = at.gateway.asked()
    for path in ("/page?a=1.css", "/", "/index.php?x=1", "/theme/style.css", "/404.PNG", "/index.php/x.css"):
        at.ask(path)
    assert at.gateway.asked() == before + 6
    for path in ("/privacy-choices", "/.well-known/gpc.json"):
        at.ask(path)
    assert at.gateway.asked() == before + 6


def nothing_forged_reaches_the_site(at: Proxied) -> None:
    for header in FORGED:
        for path in ("/page", "/picture.png"):
            answer = at.ask(path, header, GPC)
            assert answer.status == 200
            assert "FORGED" not in repr(answer.told["headers"]), (path, header)
            assert len(answer.site_got("gateway-consent")) == 1


def the_place_is_of_the_address_that_the_proxy_saw(at: Proxied) -> None:
    for address, place, may in ((NEW_YORK, "US-NY", ALL_YES), (CALIFORNIA, "US-CA", ALL_YES), (GERMANY, "DE", ALL_NO)):
        answer = at.ask(by=address)
        assert (answer.site_got("gateway-place"), answer.consent) == ([place], f"{may}, status=none")
    forged = at.ask("/page", ("X-Forwarded-For", NEW_YORK), by=GERMANY)
    assert forged.site_got("gateway-place") == ["DE"]


def shut(answer: Answer) -> bool:
    return (answer.one("content-security-policy") or "").startswith("default-src 'self'")


def trackers_are_shut_out_at_delivery_for_whoever_opted_out(at: Proxied) -> None:
    for headers in ([GPC], [remembered(at)], [("Cookie", "usprivacy=1YYN")]):
        for path in ("/page", "/status=404", "/404.png", "/index.php/x.css", "/worker.js", "/page.TXT?a=1"):
            assert shut(at.ask(path, *headers)), headers
    assert at.ask().one("content-security-policy") is None


FAR = "far.example.net"
SPEAKS = [  # what a site may say of its own accord
    ("Content-Security-Policy", f"img-src 'self'; report-uri https://{FAR}/r; report-to far; font-src 'self'"),
    ("Content-Security-Policy", f"Report-URI https://{FAR}/r , media-src 'self';report-uri https://{FAR}/r"),
    ("Content-Security-Policy-Report-Only", f"img-src 'none'; report-uri https://{FAR}/r"),
    ("Reporting-Endpoints", f'default="https://{FAR}/r"'),
    ("Report-To", f'{{"group":"far","max_age":9,"endpoints":[{{"url":"https://{FAR}/r"}}]}}'),
    ("NEL", '{"report_to":"far","max_age":9}'),
    ("Speculation-Rules", f'"https://{FAR}/rules"'),
    ("Link", f"<https://{FAR}>; rel=PreConnect"),
    ("X-DNS-Prefetch-Control", "on"),
]  # fmt: skip


HINTS = [  # 103 Early Hints, and what a page has too
    ("Link", "<https://{far}/a.js>; rel=preload; as=script"),
    ("Link", "<https://{far}>; rel=preconnect"),
    ("Content-Security-Policy", "img-src 'self'"),
    ("Vary", "Accept"),
    ("Set-Cookie", "a=b"),
    ("Cache-Control", "public"),
]


def in_turn(at: Proxied, path: str, *headers) -> list[Answer]:
    return answers_in_turn(at.url, path, NAVIGATE, *headers)


def a_site_that_sends_hints_early_opens_nothing(at: Proxied) -> None:
    *early, page = in_turn(at, "/early", GPC)
    assert FAR not in repr(early)
    assert any(policy.startswith("default-src 'self'") for policy in page.all("content-security-policy"))
    assert any(cookie.startswith("__Host-gateway=") for cookie in page.all("set-cookie"))
    assert "private" in ", ".join(page.all("cache-control"))
    *_, free = in_turn(at, "/early")
    assert not free.all("content-security-policy")
    for answer in (page, free):
        assert "Sec-GPC" in ", ".join(answer.all("vary"))


def nothing_of_the_sites_own_has_the_browser_speak_past_the_policy(at: Proxied) -> None:
    named = {name.lower() for name, _ in SPEAKS}

    def said(answer: Answer) -> dict[str, str]:
        return {name: ", ".join(answer.all(name)).strip(", ") for name in named if answer.all(name)}

    free, out = said(at.ask("/speaks")), said(at.ask("/speaks", GPC))
    assert set(free) == named
    assert free["x-dns-prefetch-control"] == "on"
    assert sum(FAR in value for value in free.values()) == 6
    assert FAR not in repr(out)
    assert "report-" not in out["content-security-policy"].lower()
    for kept in ("img-src 'self'", "font-src 'self'", "media-src 'self'", "default-src 'self'"):
        assert kept in out["content-security-policy"]
    assert (out.get("nel"), out.get("x-dns-prefetch-control")) == ('{"max_age":0}', "off")
    assert '"max_age":0' in out.get("report-to", "")
    assert not {"content-security-policy-report-only", "reporting-endpoints", "speculation-rules"} & set(out)
    assert not out.get("link")
    assert at.ask("/canonical", GPC).all("link") == ["</x>; rel=canonical"]


def a_page_that_is_one_persons_is_in_no_shared_cache(at: Proxied) -> None:
    public, person = "/control=public,_max-age=600", remembered(at)
    control = at.ask(public, person).all("cache-control")
    assert "private" in ", ".join(control)
    assert "public" not in ", ".join(control)
    assert "no-store" in ", ".join(at.ask("/control=no-store", person).all("cache-control"))
    assert "private" in ", ".join(at.ask("/control=x-no-store=0", person).all("cache-control"))
    everybodys, theirs = at.ask(public), at.ask(public, person)
    assert everybodys.all("cache-control") == ["public, max-age=600"]
    for header in BEFORE_CACHE_CONTROL:
        assert (everybodys.all(header), theirs.all(header)) == (["max-age=600"], []), header
    for headers in ([GPC], []):
        assert "Sec-GPC" in ", ".join(at.ask("/page", *headers).all("vary"))


def what_a_person_posts_arrives_whole(at: Proxied) -> None:
    for size in (0, 10, 900_000):
        told = at.ask("/form", GPC, method="POST", body=b"x" * size).told
        assert (told["method"], told["body"], told["uri"]) == ("POST", size, "/form")


ADS = [
    "/ads/1?x=2",
    "/ads/tag.js",
    "/ads/pixel.gif",
    "//ads/x",
    "/%61ds/x",
    "/x/../ads/y",
    "/./ads/y",
    "/ads//y",
    "/ADS/x",
    "/x/%2e%2e/ads/y.png",
    "/pixel.gif?u=1",
    "/pixel.gif/",
]


# As some server behind would read it: the gateway's own no.
OTHERWISE = ["/ads;v=1/x", "/%2561ds/x", "/ads./x", "/ads", "/x/..;/ads/x", "/ads/..;/x"]


def ads_of_the_sites_own_are_refused_to_whoever_opted_out(at: Proxied) -> None:
    for path in (*ADS, *OTHERWISE):
        assert at.ask(path, GPC).status == 403, path
        assert at.ask(path).status == 200, path
    for path in ("/about/ads/1", "/adsense", "/picture.gif"):
        assert at.ask(path, GPC).status == 200, path


def the_gateways_own_pages_are_on_the_sites_own_host(at: Proxied) -> None:
    assert b"Privacy" in at.ask("/privacy-choices").body
    assert at.ask("/.well-known/gpc.json").told["gpc"] is True
    for inside in ("/v1/check", "/authz/nginx", "/metrics", "/v1/self"):
        answer = at.ask(inside)
        assert answer.told["uri"] == inside, "the site's own page of that name, and not the gateway"
    for of_apps in sorted(FROM_APPS):
        kind = ("Content-Type", "application/json")
        answer = at.ask(of_apps, kind, method="POST", body=b"{}")
        assert (answer.status, b"unauthorized" in answer.body) == (401, True), of_apps


def a_form_on_the_gateways_own_page_opts_out(at: Proxied) -> None:
    origin = ("Origin", at.url)  # an old browser: no Fetch Metadata
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    done = at.ask("/privacy-choices", origin, kind, method="POST", body=b"action=opt_out")
    assert done.status == 303, done.body[:300]
    (cookie,) = [cookie for cookie in done.all("set-cookie") if cookie.startswith("__Host-gateway=")]
    assert at.ask("/page", ("Cookie", cookie.partition(";")[0])).consent == f"{ALL_NO}, status=honored"


def a_websocket_is_opened_and_heard(at: Proxied) -> None:
    for headers, consent in (([], f"{ALL_YES}, status=none"), ([GPC], f"{ALL_NO}, status=honored")):
        opened = open_websocket(at.url, *headers)
        assert (opened.status, opened.consent) == (101, consent)


def nobody_pretends_that_the_gateway_is_away(at: Proxied) -> None:
    for name in ("X-Envoy-Auth-Failure-Mode-Allowed", "X-Original-URI", "X-Forwarded-Uri", "X-Forwarded-Method"):
        answer = at.ask("/page", (name, "/ads/1"))
        assert (answer.consent, shut(answer)) == (f"{ALL_YES}, status=none", False)


def odd_requests_get_their_page(at: Proxied) -> None:
    odd = [
        "=;=;,;;" * 50,
        "__Host-gateway=rubbish",
        "gateway-account=v1.a.1.rubbish",
        "a=\xff\xfe",
        "usprivacy=rubbish",
    ]
    for cookie in odd:
        assert at.ask("/page", ("Cookie", cookie), GPC).consent == f"{ALL_NO}, status=honored"
    for path in ("/page?gpp=%FF%00&us_privacy=1YY", "/page?" + "q=1&" * 500, "/%e2%82", "//[", "/a%2f..%2fb"):
        assert at.ask(path).status == 200, path
    for name, value in (("Sec-GPC", "rubbish"), ("Sec-Fetch-Mode", "\xff"), ("Accept", ""), ("X-Original-Method", "(")):
        assert at.ask("/page", (name, value)).consent == f"{ALL_YES}, status=none", name


WHILE_IT_ANSWERS = [
    the_site_reads_what_may_be_done,
    the_cookie_arrives_and_is_heard_when_it_comes_back,
    a_picture_or_a_form_that_was_sent_gets_no_cookie,
    the_site_never_sees_the_sealed_cookie,
    a_signed_in_person_is_known_on_another_browser,
    one_question_a_request_for_whatever_may_be_a_page,
    nothing_forged_reaches_the_site,
    the_place_is_of_the_address_that_the_proxy_saw,
    trackers_are_shut_out_at_delivery_for_whoever_opted_out,
    nothing_of_the_sites_own_has_the_browser_speak_past_the_policy,
    a_page_that_is_one_persons_is_in_no_shared_cache,
    what_a_person_posts_arrives_whole,
    ads_of_the_sites_own_are_refused_to_whoever_opted_out,
    the_gateways_own_pages_are_on_the_sites_own_host,
    a_form_on_the_gateways_own_page_opts_out,
    a_websocket_is_opened_and_heard,
    nobody_pretends_that_the_gateway_is_away,
    odd_requests_get_their_page,
]


# --- while it does not ---


def everybody_counts_as_opted_out_and_the_page_stays_up(at: Proxied, *kinds: list[tuple[str, str]]) -> None:
    for headers in kinds or ([], [GPC], [("Cookie", "a=1")], *([header] for header in FORGED)):
        answer = at.ask("/page", *headers)
        assert (answer.status, answer.consent) == (200, f"{ALL_NO}, status=unknown"), headers
        assert "FORGED" not in repr(answer.told["headers"])
        assert shut(answer)
    assert at.ask("/form", method="POST", body=b"x" * 900_000).told["body"] == 900_000
    for path in ADS:
        assert at.ask(path).status == 403, path
    assert at.ask("/picture.png").status == 200


def an_answer_that_is_none_of_the_gateways_counts_as_none(at: Proxied, statuses=(302, 400, 404, 500, 503)) -> None:
    for status in statuses:
        with somebody_else(type("Other", (Other,), {"status": status}), at.gateway.internal):
            everybody_counts_as_opted_out_and_the_page_stays_up(at, [], [GPC])


def a_yes_that_says_nothing_counts_as_no_answer(at: Proxied) -> None:
    an_answer_that_is_none_of_the_gateways_counts_as_none(at, (204,))


def a_fault_of_the_gateways_counts_as_no_answer(at: Proxied) -> None:
    """All that Envoy can be told: it hands a 4xx on."""
    an_answer_that_is_none_of_the_gateways_counts_as_none(at, (500, 503))


def nobody_waits_for_a_gateway_that_is_slow(at: Proxied) -> None:
    """The proxy gives up after 200 ms; the stand-in would say yes after seconds, and nobody hears it."""
    with somebody_else(Slow, at.gateway.internal):
        everybody_counts_as_opted_out_and_the_page_stays_up(at, [], [GPC])


WHILE_IT_DOES_NOT = [
    everybody_counts_as_opted_out_and_the_page_stays_up,
    nobody_waits_for_a_gateway_that_is_slow,
    a_fault_of_the_gateways_counts_as_no_answer,
]  # fmt: skip
