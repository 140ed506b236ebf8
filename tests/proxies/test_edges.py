"""Edges that ask the gateway before a page: each runs the recipe that `gateway recipe` prints, before a real door, a real
gateway and the little site, and keeps what proxies on one's own machine keep.
"""

import contextlib

import pytest
from support import promises_of_proxies as promises
from support import proxies
from support.edges import KEY, RUN, Edged, Tools, edge, edge_text
from support.promises_of_proxies import ALL_NO, ALL_YES, GPC, remembered, stopped
from support.proxies import BEFORE_CACHE_CONTROL, CALIFORNIA, GERMANY, NEW_YORK, Other, somebody_else

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tools(request, programs):
    from conftest import missing

    if programs["nginx"] is None:
        missing("nginx")
    return Tools(programs["nginx"], request.config.cache)


@pytest.fixture(scope="module")
def edged(tools, tmp_path_factory, gateway, behind):
    """An edge with its recipe, or with another text; one of each, for to start one is what takes time."""
    started = {}
    with contextlib.ExitStack() as stack:

        def start(name: str, change=lambda text: text, running=gateway, site=behind):
            text = change(edge_text(name, running, site))
            if running.process:
                text = proxies.patient(text)
            if (name, text) not in started:
                url, door = stack.enter_context(edge(name, tools, tmp_path_factory.mktemp(name), text))
                started[name, text] = Edged(url, running, door, name)
            return started[name, text]

        yield start


@pytest.fixture(scope="module", params=RUN)
def at(request, edged):
    return edged(request.param)


@pytest.fixture(scope="module", params=RUN)
def alone(request, edged, gone):
    return edged(request.param, running=gone)


class Refusing(Other):
    """Stands where the gateway stood, and says its no to an ad path."""

    status = 403

    def end_headers(self):
        self.send_header("Gateway-Consent", f"{ALL_NO}, status=honored")
        super().end_headers()


def nothing_of_the_doors_reaches_the_site(at: Edged) -> None:
    """Its key, and what a visitor says under its names: he asks no question, and nobody answers for the gateway."""
    answer = "eyJwb2xpY3kiOiJGT1JHRUQiLCJzaXRlIjpbXX0="
    said = [("Edge-Key", "FORGED"), ("Edge-Address", GERMANY), ("Edge-Asks", "1"), ("Edge-Answer", answer)]
    for path in ("/page", "/picture.png"):
        page = at.ask(path, *said)
        assert (page.status, page.told["uri"]) == (200, path)
        assert [name for name, _ in page.told["headers"] if name.startswith("edge")] == []
        assert KEY not in repr(page.told)
        assert (page.site_got("gateway-place"), page.all("content-security-policy")) == (["US-NY"], [])


def the_gateways_own_pages_know_the_browser_and_the_place(at: Edged) -> None:
    status = "/privacy-choices/status"
    for by, place in ((NEW_YORK, "US-NY"), (CALIFORNIA, "US-CA")):
        assert at.ask(status, by=by).told["place"] == place
    assert at.ask(status, remembered(at)).told != at.ask(status).told


def no_way_round_goes_by_the_gateways_own_paths(at: Edged) -> None:
    for path in (
        "/ledger/..%2fads/1",
        "/privacy-choices/%2e%2e/ads/1",
        "/privacy-choices/../ads/1",
        "/ledger/..\\ads/1",
    ):
        assert at.ask(path, GPC).status == 403, path
    for path in ("/ledger/..%2fpage", "/privacy-choices/../page"):
        assert promises.shut(at.ask(path, GPC)), path


def cookies_in_several_fields_are_heard_and_ours_taken_out(at: Edged) -> None:
    """As HTTP/2 has them: an edge that joins them by a comma would hide ours from the gateway, or hand it to the site."""
    _, ours = remembered(at)
    first, sealed, last = ours.split("; ")
    for sent in (
        (first, sealed, last),
        (sealed, f"{first}; {last}"),
        (first, last, sealed),
        (f"{first}, {sealed}, {last}",),
    ):
        page = at.ask("/page", *(("Cookie", field) for field in sent))
        assert page.consent == f"{ALL_NO}, status=honored", sent
        assert page.site_got("cookie") == ["first=1; last=2"], sent
    assert at.ask("/page", ("Cookie", 'a="1, 2"; b=3, 4')).site_got("cookie") == ['a="1, 2"; b=3, 4']


def a_get_with_a_body_gets_its_page(at: Edged) -> None:
    assert at.ask("/page", GPC, body=b"abc").consent == f"{ALL_NO}, status=honored"


def a_page_is_asked_for_past_every_cache_of_the_edge(at: Edged) -> None:
    """workerd says so by Cache-Control to whoever it asks, and so does our stand-in for Fastly."""
    assert at.ask("/page").site_got("cache-control") == ["no-cache"]


def a_gateway_that_knows_of_more_ads_than_the_recipe_is_obeyed(at: Edged) -> None:
    with somebody_else(Refusing, at.gateway.internal):
        assert at.ask("/new-ads/1").status == 403


WAY_ROUND, ITS_NO, ITS_DOOR, ITS_PAGES, PAST_CACHES, FIELDS, GET_BODY = (
    no_way_round_goes_by_the_gateways_own_paths,
    a_gateway_that_knows_of_more_ads_than_the_recipe_is_obeyed,
    nothing_of_the_doors_reaches_the_site,
    the_gateways_own_pages_know_the_browser_and_the_place,
    a_page_is_asked_for_past_every_cache_of_the_edge,
    cookies_in_several_fields_are_heard_and_ours_taken_out,
    a_get_with_a_body_gets_its_page,
)
KEPT = [*promises.WHILE_IT_ANSWERS, ITS_DOOR, ITS_PAGES, WAY_ROUND, FIELDS, GET_BODY]
KEPT_WHILE_AWAY = [
    *promises.WHILE_IT_DOES_NOT,
    promises.an_answer_that_is_none_of_the_gateways_counts_as_none,
    promises.a_yes_that_says_nothing_counts_as_no_answer,
    ITS_NO,
]


@pytest.mark.parametrize("promise", KEPT, ids=lambda promise: promise.__name__)
def test_while_the_gateway_answers(at, promise):
    if (at.name, promise) != ("fastly", SOCKET):  # Fastly hands a WebSocket on past a program
        promise(at)


@pytest.mark.parametrize("promise", KEPT_WHILE_AWAY, ids=lambda promise: promise.__name__)
def test_while_the_gateway_is_away_or_slow(alone, promise):
    promise(alone)


def test_ads_are_refused_while_the_gateway_is_away_however_they_are_spelled(alone):
    for path in promises.OTHERWISE:
        assert alone.ask(path).status == 403, path
    for path in ("/about/ads/1", "/adsense"):
        assert alone.ask(path).status == 200, path


def test_a_person_is_heard_again_as_soon_as_the_gateway_is_back(at):
    person = remembered(at)
    with stopped(at.gateway):
        assert at.ask("/page", person).consent == f"{ALL_NO}, status=unknown"
    assert at.ask("/page", person).consent == f"{ALL_NO}, status=honored"


def test_a_tracker_of_the_sites_own_gets_nothing_but_an_empty_refusal(at):
    refused = at.ask("/pixel.gif?u=1", GPC)
    assert (refused.status, refused.body, refused.one("cache-control")) == (403, b"", "no-store")


@pytest.mark.parametrize("name", ["cloudflare", "fastly"])
def test_the_edges_cache_is_passed_over(edged, name):
    PAST_CACHES(edged(name))


def test_a_page_of_a_fault_that_cloudfront_may_keep_is_nobodys(edged):
    said = edged("cloudfront").ask("/status=404", GPC, promises.NAVIGATE)
    nothing = edged("cloudfront").ask("/status=404", promises.NAVIGATE)
    assert [page.all("set-cookie") for page in (said, nothing)] == [[], []]
    assert promises.shut(said)
    assert promises.shut(nothing)


@pytest.mark.parametrize("name", RUN)
def test_an_operator_who_does_not_enforce_is_asked_about_pages_alone_and_adds_no_policy(edged, tmp_path, name):
    with proxies.gateway(tmp_path) as running:
        at = edged(name, running=running)
        before = running.asked()
        assert at.ask("/picture.png", GPC).consent == f"{ALL_NO}, status=unknown"
        assert running.asked() == before
        assert at.ask("/page", GPC).one("content-security-policy") is None
        assert at.ask("/ads/1", GPC).status == 200
        running.stop()
        away = at.ask("/ads/1")
        assert (away.status, away.consent) == (200, f"{ALL_NO}, status=unknown")
        assert away.one("content-security-policy") is None


@pytest.mark.parametrize("name", RUN)
def test_a_site_that_is_broken_is_said_to_be(edged, name):
    assert edged(name, site="127.0.0.1:1").ask().status == 502


# --- where a visitor is, and who may say it ---

WAYS_TO_SAY_IT = {
    "one": {"places__header": "X-Place"},
    "two": {"places__header": "CF-IPCountry", "places__region_header": "CF-Region-Code"},
    "amazons": {
        "places__header": "CloudFront-Viewer-Country",
        "places__region_header": "CloudFront-Viewer-Country-Region",
    },
}


@pytest.fixture(scope="module", params=WAYS_TO_SAY_IT)
def told(request, tmp_path_factory):
    """A gateway that is told places by a header; where there is one, its database is not asked."""
    said = WAYS_TO_SAY_IT[request.param]
    with proxies.gateway(tmp_path_factory.mktemp("told"), listen__trusted_proxies="127.0.0.1", **said) as running:
        yield running


def place(at, *headers, by, path="/page"):
    (found,) = at.ask(path, *headers, by=by).site_got("gateway-place")
    return found


def forged_places(running) -> list[tuple[str, str]]:
    return [
        (name, "DE" if name == running.settings.places.header else "BE") for name in running.settings.places.headers()
    ]


# All have the same text for it: every way at the one that is started soonest, and at each other the way that tells most.
SAID_BY = [*(("cloudflare", way) for way in WAYS_TO_SAY_IT), ("fastly", "two"), ("cloudfront", "amazons")]


@pytest.mark.parametrize(("name", "told"), SAID_BY, indirect=["told"])
def test_the_edge_says_where_a_visitor_is_and_he_himself_does_not(edged, told, name):
    at = edged(name, running=told)
    forged = [*forged_places(told), ("X-Forwarded-For", GERMANY), ("CF-Connecting-IP", GERMANY)]
    for headers in ((), forged):
        assert place(at, *headers, by=NEW_YORK) == "US-NY"
        assert place(at, *headers, by=CALIFORNIA) == "US-CA"
        assert place(at, *headers, by="127.0.0.9") == "unknown", "and no database is asked"
        status = at.ask("/privacy-choices/status", *headers, by=NEW_YORK)  # the gateway's own pages, too
        assert status.told["place"] == "US-NY"
    assert at.ask("/page", by=NEW_YORK).consent == f"{ALL_YES}, status=none"
    assert at.ask("/page", by=GERMANY).consent == f"{ALL_NO}, status=none"


def test_the_control_without_those_lines_a_stranger_is_believed(edged, told):
    at = edged("cloudflare", lambda text: text.replace("(PLACE_HEADER)", "(0)").replace("(REGION_HEADER)", "(0)"), told)
    assert place(at, *forged_places(told), by=NEW_YORK).startswith("DE")


KEYS = [("Edge-Key", "x"), ("Edge-Key", ""), ("edge_key", KEY), ("Edge-Key", KEY[:-1]), ("Edge-Key", KEY.upper() + "0")]
ROUND_IT = [("Edge-Address", NEW_YORK), ("Edge-Scheme", "http"), ("Gateway-Consent", ALL_YES)]


def strangers_are_shut_out(door: str) -> None:
    for path in ("/page", "/privacy-choices", "/authz/forward", "/picture.png"):
        for key in ([], *([each] for each in KEYS)):
            for asks in ([], [("Edge-Asks", "1"), ("X-Forwarded-Uri", "/page")]):
                refused = proxies.ask(door, path, *ROUND_IT, *key, *asks)
                assert (refused.status, refused.all("gateway-consent")) == (403, [])


def test_whoever_goes_round_the_edge_finds_the_door_shut(edged):
    at = edged("cloudflare")
    strangers_are_shut_out(at.door)
    assert proxies.ask(at.door, "/page", ("Edge-Key", KEY)).status == 200, "the edge's own key"


def test_the_control_a_door_without_its_lock_lets_strangers_in(edged):
    at = edged("cloudflare", lambda text: text.replace("if ($from_edge = 0) { return 403; }", ""))
    with pytest.raises(AssertionError):
        strangers_are_shut_out(at.door)


# --- what each line is for ---

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
FILES = promises.one_question_a_request_for_whatever_may_be_a_page
SOCKET = promises.a_websocket_is_opened_and_heard
AWAY = promises.everybody_counts_as_opted_out_and_the_page_stays_up
NONSENSE = promises.an_answer_that_is_none_of_the_gateways_counts_as_none
NO_WORD = promises.a_yes_that_says_nothing_counts_as_no_answer
SLOW = promises.nobody_waits_for_a_gateway_that_is_slow

# What every edge does, seen at one of them; `what -> else`.
LINES = {
    "cloudflare": {
        "/^(gateway|edge[-_])/i.test(name) -> false": FORGED,
        "(gateway|edge[-_]) -> (gateway)": ITS_DOOR,
        '"; ")); -> ", "));': FIELDS,
        'method === "GET" || -> ': GET_BODY,
        '"edge-address" -> "x-else"': PLACE,
        "!isGateways(path) &&  -> ": FILES,
        "GATEWAYS.test(path) && ! -> GATEWAYS.test(path) && 1 | ": WAY_ROUND,
        "if (!gateways) toSite -> toSite": ITS_PAGES,
        '"edge-asks" -> "x-else"': TOLD,
        '"x-forwarded-method" -> "x-else"': NAVIGATION,
        '"x-forwarded-uri" -> "x-else"': ADS,
        '["gateway-consent", "gateway-b -> ["gateway-b': TOLD,
        '"gateway-browser", -> ': COOKIE,
        '"gateway-place", "gateway-request"] -> "gateway-request"]': TOLD,
        ', "gateway-request"] -> ]': TOLD,
        'policy: headers.get("content-security-policy") -> policy: null': SHUT,
        'cookie: headers.get("set-cookie") -> cookie: null': COOKIE,
        'cache: headers.get("cache-control") -> cache: null': PRIVATE,
        "each && ! -> each || !": SEALED,
        "-proof| -> ": SEALED,
        "|-code -> ": SEALED,
        'append("vary" -> append("x-else"': PRIVATE,
        'append("set-cookie" -> append("x-else"': COOKIE,
        '.split(" ")) headers.delete(name) -> .split(" ")) name': SPEAKS,
        'headers.set("nel" -> headers.set("x-else"': SPEAKS,
        'headers.set("report-to" -> headers.set("x-else"': SPEAKS,
        'headers.set("x-dns-prefetch-control" -> headers.set("x-else"': SPEAKS,
        'headers.delete("link") -> 0': SPEAKS,
        "report-(?:uri|to) -> nothing": SPEAKS,
        ": policy + kept -> : policy": SPEAKS,
        '!said.includes("no-store") -> true': PRIVATE,
        'headers.set("cache-control", answer.cache) -> 0': PRIVATE,
        **{f'"{name.lower()}" -> "x-else"': PRIVATE for name in BEFORE_CACHE_CONTROL},
        "toBrowser(shown.headers, answer) -> 0": SHUT,
        '"cf-connecting-ip" -> "x-else"': PLACE,
        'cache: "no-store" -> cache: undefined': PAST_CACHES,
        "Host $http_host -> Host else": promises.a_form_on_the_gateways_own_page_opts_out,
        "X-Forwarded-For $http_edge_address -> X-Else 1": PLACE,
        'Edge-Key "" -> X-Else ""': ITS_DOOR,
        'Edge-Address "" -> X-Else ""': ITS_DOOR,
        'Edge-Scheme "" -> X-Else ""': ITS_DOOR,
        "Upgrade $http_upgrade -> X-Else 1": SOCKET,
        "http_edge_asks -> http_x_else": TOLD,
    },
    "fastly": {
        "plaintext() -> toString()": TOLD,
        "address: client.address -> address: ''": PLACE,
        'new CacheOverride("pass") -> new CacheOverride("none")': PAST_CACHES,
    },
    "cloudfront": {
        "address: request.clientIp -> address: ''": PLACE,
        "if (!isGateways(request.uri)) -> if (true)": ITS_PAGES,
        "    toSite(headers, answer); -> ": TOLD,
        "answer.refused -> false": ADS,
        'headers.set("edge-answer" -> headers.set("x-else"': SHUT,
        "toBrowser(headers, Number -> (0, Number": SHUT,
        'about.set("edge-key" -> about.set("x-else"': TOLD,
        'Edge-Answer "" -> X-Else ""': ITS_DOOR,
    },
}
LINES_WHILE_AWAY = {
    "cloudflare": {
        "isAd(path) || -> ": AWAY,
        "|| (status === 403 && Boolean(consent)) -> ": ITS_NO,
        'policy: "default-src -> policy: "x': AWAY,
        '"gateway-consent", "sale -> "x-else", "sale': AWAY,
        "status === 204 && consent -> status === 204": NO_WORD,
        "status === 204 && consent -> status !== 403": NONSENSE,
        "WAIT = 500 -> WAIT = 9000": SLOW,
    },
    "cloudfront": {"WAIT = 500 -> WAIT = 9000": SLOW},
}


BROKEN = (AssertionError, ValueError, OSError)  # the last: no answer


def cases(table: dict) -> list[tuple[str, str]]:
    return [(name, mark) for name, lines in table.items() for mark in lines]


def changed(mark: str):
    old, _, new = mark.partition(" -> ")

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


@pytest.mark.parametrize(("name", "mark"), cases(LINES))
def test_without_its_line_the_promise_is_broken(edged, name, mark):
    broken = edged(name, changed(mark))
    with pytest.raises(BROKEN):
        LINES[name][mark](broken)


@pytest.mark.parametrize(("name", "mark"), cases(LINES_WHILE_AWAY))
def test_without_its_line_the_promise_is_broken_while_the_gateway_is_away(edged, gone, name, mark):
    broken = edged(name, changed(mark), running=gone)
    with pytest.raises(BROKEN):
        LINES_WHILE_AWAY[name][mark](broken)


@pytest.mark.parametrize("name", RUN)
def test_the_control_without_the_question_an_edge_lets_the_tracker_through(edged, name):
    at = edged(name, changed("(path) => !isGateways(path) && !FILES.test(path) -> () => false"))
    assert (at.ask("/pixel.gif", GPC).status, at.ask("/page", GPC).all("content-security-policy")) == (200, [])
