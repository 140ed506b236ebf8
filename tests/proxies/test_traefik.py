"""A real Traefik with the recipe that `gateway recipe traefik` prints: what it keeps, what each line is for, and what it
cannot do. No [site] enforce here: Traefik hands on no header of an answer but cookies.
"""

import pytest
from support import promises_of_proxies as promises
from support import proxies
from support.promises_of_proxies import ALL_NO, FORGED, GPC, Proxied, remembered, stopped, without
from support.proxies import BEFORE_CACHE_CONTROL, Other, somebody_else

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with proxies.gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(scope="module")
def proxied(started):
    return started("traefik")


def one_question_a_page_and_none_a_file(at: Proxied) -> None:
    before = at.gateway.asked()
    for path in ("/page?a=1.css", "/", "/index.php?x=1"):
        at.ask(path)
    for path in ("/theme/style.css", "/photo.JPG?w=300", "/privacy-choices"):
        at.ask(path)
    assert at.gateway.asked() == before + 3


def a_file_is_told_that_nothing_may_be_done(at: Proxied) -> None:
    assert at.ask("/picture.png").consent == f"{ALL_NO}, status=unknown"


def a_page_is_in_no_cache(at: Proxied) -> None:
    for headers in ([], [remembered(at)]):
        page = at.ask("/control=public,_max-age=600", *headers)
        assert page.one("cache-control") == "private, no-store"
        assert [page.all(name) for name in BEFORE_CACHE_CONTROL] == [[], [], []]
        assert "Sec-GPC" in ", ".join(page.all("vary"))


TOLD = promises.the_site_reads_what_may_be_done
COOKIE = promises.the_cookie_arrives_and_is_heard_when_it_comes_back
SEALED = promises.the_site_never_sees_the_sealed_cookie
NOTHING_FORGED = promises.nothing_forged_reaches_the_site
KEPT = [
    TOLD,
    COOKIE,
    SEALED,
    NOTHING_FORGED,
    promises.a_picture_or_a_form_that_was_sent_gets_no_cookie,
    promises.a_signed_in_person_is_known_on_another_browser,
    promises.the_place_is_of_the_address_that_the_proxy_saw,
    promises.what_a_person_posts_arrives_whole,
    promises.the_gateways_own_pages_are_on_the_sites_own_host,
    promises.a_form_on_the_gateways_own_page_opts_out,
    promises.a_websocket_is_opened_and_heard,
    promises.nobody_pretends_that_the_gateway_is_away,
    promises.odd_requests_get_their_page,
    one_question_a_page_and_none_a_file,
    a_file_is_told_that_nothing_may_be_done,
    a_page_is_in_no_cache,
]


@pytest.mark.parametrize("promise", KEPT, ids=lambda promise: promise.__name__)
def test_behind_traefik(proxied, promise):
    promise(proxied)


LINES = {
    "/authz/forward -> /livez": TOLD,
    "authResponseHeadersRegex": NOTHING_FORGED,
    "^gateway[-_] -> ^gateway-": NOTHING_FORGED,
    "authResponseHeaders: [Cookie]": SEALED,
    "addAuthCookiesToResponse": COOKIE,
    "priority: 250 -> priority: 1": SEALED,
    'Gateway-Consent: "sale=?0': a_file_is_told_that_nothing_may_be_done,
    **{f'Gateway-{name}: "': NOTHING_FORGED for name in ("Browser", "Request", "Account")},
    "Gateway-Place: unknown": NOTHING_FORGED,
    **{f'Gateway_{name}: "': NOTHING_FORGED for name in ("consent", "browser", "place", "request", "account")},
    'Cache-Control: "private, no-store"': a_page_is_in_no_cache,
    **{f' {name}: ""\n -> \n': a_page_is_in_no_cache for name in BEFORE_CACHE_CONTROL},
    "Vary: ": a_page_is_in_no_cache,
}


@pytest.mark.parametrize("mark", LINES)
def test_without_its_line_the_promise_is_broken(started, mark):
    old, arrow, new = mark.partition(" -> ")
    broken = started("traefik", (lambda text: text.replace(old, new)) if arrow else without(mark))
    with pytest.raises((AssertionError, ValueError)):
        LINES[mark](broken)


def test_while_the_gateway_is_away_no_page_goes_out_and_whatever_is_no_page_stays_up(proxied):
    """What the manual says of it: nobody is shared by mistake, and nobody sees the page."""
    with stopped(proxied.gateway):
        for headers in ([], [GPC], *([header] for header in FORGED)):
            assert proxied.ask("/page", *headers).status == 500
            picture = proxied.ask("/picture.png", *headers)
            assert (picture.status, picture.consent) == (200, f"{ALL_NO}, status=unknown")
    person = remembered(proxied)
    assert proxied.ask("/page", person).consent == f"{ALL_NO}, status=honored"


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_whatever_else_answers_where_the_gateway_was_opens_no_page(proxied, status):
    with stopped(proxied.gateway), somebody_else(type("Other", (Other,), {"status": status}), proxied.gateway.internal):
        assert proxied.ask("/page").status == status


def test_what_says_yes_where_the_gateway_was_tells_the_site_nothing(proxied):
    """No word is no permission (gateway help mount), and a visitor's own word goes all the same."""
    with stopped(proxied.gateway), somebody_else(type("Other", (Other,), {"status": 200}), proxied.gateway.internal):
        for header in FORGED:
            page = proxied.ask("/page", header)
            assert (page.status, page.site_got("gateway-consent"), "FORGED" in repr(page.told)) == (200, [], False)


def test_a_site_that_is_broken_is_said_to_be(started):
    assert started("traefik", site="127.0.0.1:1").ask().status == 502
