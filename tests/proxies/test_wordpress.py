"""A person signed in to WordPress behind nginx (R10, I1): what they say in one browser holds for all that is theirs.

Real nginx, real php-fpm, the recipe and the plugin as they are printed; WordPress's own functions are a stand-in's.
"""

import base64
import contextlib
import hashlib
import json
from http.server import BaseHTTPRequestHandler

import pytest
from support.people import email, gaid, named, phone
from support.proxies import CALIFORNIA, Other, Slow, ask, gateway, somebody_else
from support.wire import call
from support.wordpress import Browser, until_key_answers, wordpress

from gateway.keys import api_keys

pytestmark = pytest.mark.slow
CONTRACTS = {"recipients__teemo__contract": "C-1", "recipients__teemo__mode": "return"}
YES, NO = (
    dict.fromkeys(("sale", "sharing", "targeted_ads"), True),
    dict.fromkeys(("sale", "sharing", "targeted_ads"), False),
)
MINE = [named("phone", phone(1)), named("email", email(1)), named("gaid", gaid(1))]
EVERYTHING = [*MINE, named("account", "wp-7"), named("email_sha256", hashlib.sha256(email(1).encode()).hexdigest())]


class Desk:
    """The operator's own systems, with a key for everything."""

    def __init__(self, running):
        self.url = f"http://{running.internal}"
        self.key = api_keys.add_api_key(running.folder / "data", "desk", api_keys.SCOPES, publishable=False)

    def post(self, path, body):
        status, answer = call(f"{self.url}{path}", body, key=self.key)
        assert status in {200, 201}, answer
        return answer

    def link(self, account="wp-7"):
        self.post("/v1/links", {"account": account, "identifiers": MINE})

    def reason(self, identifier) -> str:
        return self.post("/v1/check", {"identifiers": [identifier], "recipient": "teemo", "place": "US-NY"})["reason"]

    def denied(self, identifier) -> bool:
        return self.reason(identifier) == "opted_out"

    @property
    def entries(self) -> int:
        return call(f"{self.url}/readyz")[1]["ledger"]["entries"]


@pytest.fixture
def running(tmp_path):
    with gateway(tmp_path, **CONTRACTS) as started:
        yield started


@pytest.fixture
def desk(running):
    return Desk(running)


@pytest.fixture
def site(running, tool, tmp_path):
    """Starts the site; its keyword arguments are those of `wordpress`."""
    return lambda **how: wordpress(tool, running, tmp_path / "wp", **how)


def told(page: dict) -> dict:
    """What the plugin tells the site, without the status."""
    return {name: page["consent"][name] for name in YES}


def observed(page: dict) -> list[dict]:
    return [call["body"] for call in page["asked"] if call["path"] == "/v1/observe"]


# --- the signed-in person ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account_key", [True, False], ids=["signed cookie", "without it"])
def test_gpc_of_a_signed_in_person_holds_for_all_that_is_theirs(site, desk, account_key):
    desk.link()
    with site(account_key=account_key) as wp:
        first, second, stranger = Browser(wp.url, gpc=True), Browser(wp.url), Browser(wp.url)
        assert not any(desk.denied(identifier) for identifier in EVERYTHING)
        first.sign_in(7)
        assert told(first.page()) == NO
        for identifier in EVERYTHING:
            assert desk.denied(identifier), identifier
        assert told(second.page()) == YES  # nobody knows yet who this is
        second.sign_in(7)
        assert told(second.page()) == NO  # the first page: the plugin has asked
        again = second.page()
        assert (told(again), again["header"][-7:]) == (NO, "honored")  # from the second on nginx is told by itself
        assert told(stranger.page()) == YES
        stranger.sign_in(8)
        assert [told(stranger.page()) for _ in range(3)] == [YES] * 3
        assert not desk.denied(named("account", "wp-8"))


def test_without_the_plugin_nobody_says_who_it_is_and_the_account_is_not_denied(site, desk):
    desk.link()
    with site(plugin=False) as wp:
        first, second = Browser(wp.url, gpc=True), Browser(wp.url)
        for browser in (first, second):
            browser.sign_in(7)
        assert first.page()["header"].endswith("honored")
        assert [second.page()["header"][-4:] for _ in range(3)] == ["none"] * 3
        assert not any(desk.denied(identifier) for identifier in EVERYTHING)


@pytest.mark.parametrize("account_key", [True, False], ids=["signed cookie", "without it"])
def test_who_opted_out_by_phone_is_denied_in_every_browser_they_sign_in_to(site, desk, account_key):
    desk.link()
    desk.post("/v1/choices", {"identifiers": [MINE[0]], "choice": "opt_out", "place": "US-NY"})
    with site(account_key=account_key) as wp:
        browser = Browser(wp.url)
        browser.sign_in(7)
        pages = [browser.page() for _ in range(3)]
        assert [told(page) for page in pages] == [NO] * 3
        assert [page["header"][-7:] for page in pages[1:]] == ["honored"] * 2


def test_a_browser_stays_the_persons_own_after_the_session_ended(site, desk):
    with site() as wp:
        browser, elsewhere = Browser(wp.url), Browser(wp.url, gpc=True)
        browser.sign_in(7)
        browser.page()
        elsewhere.sign_in(7)
        elsewhere.page()
        browser.sign_out()
        assert not {"Gateway-Account", "gateway-told"} & set(browser.cookies)
        assert told(browser.page()) == NO


def test_a_session_that_ends_by_itself_takes_the_account_with_it(site):
    with site() as wp:
        browser = Browser(wp.url)
        browser.sign_in(7)
        browser.page()
        assert browser.cookies["Gateway-Account"].startswith("v1.wp-7.")
        del browser.cookies["wordpress_logged_in_test"]
        browser.page()
        assert not {"Gateway-Account", "gateway-told"} & set(browser.cookies)


def test_another_person_in_the_same_browser_is_said_to_be_another(site, desk):
    with site() as wp:
        browser = Browser(wp.url)
        for user in (7, 8):
            browser.sign_in(user)
            browser.page()
            assert browser.cookies["Gateway-Account"].startswith(f"v1.wp-{user}.")
        desk.post("/v1/choices", {"identifiers": [named("account", "wp-7")], "choice": "opt_out", "place": "US-NY"})
        assert not desk.denied(named("account", "wp-8"))


def without_browser(page: dict) -> bool:
    (body,) = observed(page)
    return [item["type"] for item in body["identifiers"]] == ["account"]


def test_a_browser_that_nginx_learnt_nothing_of_is_given_no_cookie_over_the_one_that_it_may_have(site, running):
    with site(change=without("auth_request /_consent")) as wp:
        browser = Browser(wp.url, cookies={"__Host-gateway": "what a form had set"})
        browser.sign_in(7)
        assert without_browser(browser.page())
        assert browser.cookies["__Host-gateway"] == "what a form had set"


def test_an_account_cookie_that_is_not_ours_hides_no_opt_out(site, desk):
    desk.link()
    desk.post("/v1/choices", {"identifiers": [MINE[0]], "choice": "opt_out", "place": "US-NY"})
    with site(ssl=False) as wp:  # no browser of ours says it as well
        browser = Browser(wp.url)
        browser.sign_in(7)
        for _ in range(3):
            browser.cookies["Gateway-Account"] = f"v1.wp-7.9999999999.{64 * '0'}"  # set again by a script of the page
            assert told(browser.page()) == NO


def test_cookies_that_php_makes_lists_of_cost_no_page_and_no_sign_in(site):
    with site() as wp:
        browser = Browser(wp.url, cookies={"Gateway-Account[]": "x", "gateway-told[]": "y"})
        browser.sign_in(7)
        assert [told(browser.page()) for _ in range(2)] == [YES] * 2


class Doubts(BaseHTTPRequestHandler):
    """A gateway that told nginx that nothing stands, and cannot tell a moment later."""

    word = "unknown"

    def do_POST(self):
        self.do_GET()

    def do_GET(self):
        told = {"cookie_names": []} if self.path == "/v1/self" else {"standing": dict.fromkeys(YES, self.word)}
        body = json.dumps(told).encode() if self.path.startswith("/v1/") else b""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200 if body else 204)
        self.send_header("Gateway-Consent", "sale=?1, sharing=?1, targeted_ads=?1, status=none")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize(("word", "may"), [("unknown", NO), ("a later one", NO), ("none", YES)])
def test_what_nobody_knows_of_an_account_is_no_yes_and_is_asked_again(site, running, word, may):
    with site() as wp:
        browser = Browser(wp.url)
        browser.sign_in(7)
        running.stop()
        with somebody_else(type("Doubting", (Doubts,), {"word": word}), running.internal):
            assert told(browser.page()) == may
        assert ("gateway-told" in browser.cookies) is (word == "none")


# --- what it costs -------------------------------------------------------------------------------------------------


def test_a_page_is_one_question_and_a_file_none(site, running):
    with site() as wp:
        browser, before = Browser(wp.url), running.asked()
        for path in ("/", "/a-post/", "/a-post/?page=2", "/index.php", "/wp-login.php"):
            assert browser.get(path).status == 200
            assert running.asked() == (before := before + 1), path
        assert browser.get("/style.css").body == b"body { color: black }"
        assert browser.get("/stand-in.php/x.css").status in {200, 404}
        before = running.asked()
        for _ in range(5):
            browser.get("/style.css")
        assert running.asked() == before


def test_a_signed_in_person_is_told_of_twice_and_a_hundred_pages_later_nothing_more(site, desk):
    with site() as wp:
        browser = Browser(wp.url, gpc=True)
        browser.sign_in(7)
        calls = sum(len(observed(browser.page())) for _ in range(5))
        assert calls <= 2
        before = desk.entries
        assert sum(len(browser.page()["asked"]) for _ in range(50)) == 0
        assert desk.entries == before


def test_a_browser_that_keeps_no_cookie_is_not_given_one_with_each_page(site, desk):
    with site() as wp:
        browser = Browser(wp.url)
        browser.sign_in(7)
        for _ in range(3):
            browser.page()
            browser.cookies.pop("__Host-gateway", None)
        assert [body["identifiers"][1:] for body in observed(browser.page())] == []
        del browser.cookies["Gateway-Account"]  # ten minutes later
        assert [body["identifiers"][1:] for body in observed(browser.page())] == [[]]


def test_a_site_without_tls_asks_for_no_browser_that_could_not_be_kept(site):
    with site(ssl=False) as wp:
        browser = Browser(wp.url)
        browser.sign_in(7)
        assert [[item["type"] for item in body["identifiers"]] for body in observed(browser.page())] == [["account"]]


# --- what nginx lets through ---------------------------------------------------------------------------------------

FORGED = [("Gateway-Consent", "sale=?1, sharing=?1, targeted_ads=?1, status=none"), ("Gateway-Browser", "forged"),
          ("Gateway-Place", "forged"), ("Gateway-Request", "forged"), ("Gateway-Account", "forged")]  # fmt: skip
FORGED += [(name.replace("-", "_"), value) for name, value in FORGED]


def test_what_a_client_forges_never_arrives_and_the_cookie_does(site):
    with site() as wp:
        answer = Browser(wp.url, gpc=True).get("/a-post/", *FORGED)
        page = json.loads(answer.body)
        assert "forged" not in json.dumps(page["gateway"])
        assert (told(page), page["consent"]["status"]) == (NO, "honored")
        (cookie,) = [value for value in answer.all("Set-Cookie") if value.startswith("__Host-gateway=")]
        assert cookie.endswith("SameSite=Lax; Max-Age=34560000")
        assert {"Sec-GPC", "Cookie"} <= {name.strip() for name in answer.one("Vary").split(",")}
        browser = Browser(wp.url, cookies={"__Host-gateway": cookie.split("=", 1)[1].split(";")[0], "other": "1"})
        page = browser.page("/another-post/")
        assert (told(page), page["cookies"]) == (NO, ["other"])  # remembered, and the site never sees by what (R9)


def without(*lines: str):
    """nginx's part without the lines that have these beginnings."""

    def change(text: str) -> str:
        kept = [line for line in text.splitlines() if not line.strip().startswith(lines)]
        assert len(kept) < len(text.splitlines())
        return "\n".join(kept)

    return change


@pytest.mark.parametrize("name", ["CONSENT", "BROWSER", "PLACE", "REQUEST", "ACCOUNT"])
def test_without_its_line_a_forged_header_arrives(site, name):
    with site(change=without(f"fastcgi_param HTTP_GATEWAY_{name}")) as wp:
        page = Browser(wp.url, gpc=True).page("/a-post/", *FORGED)
        assert page["gateway"][f"HTTP_GATEWAY_{name}"] in {value for _, value in FORGED}


def test_without_the_question_nobody_is_heard_and_nothing_may_be_done(site):
    with site(change=without("auth_request /_consent")) as wp:
        for gpc in (True, False):
            page = Browser(wp.url, gpc=gpc).page("/a-post/", *FORGED)
            assert (told(page), page["consent"]["status"]) == (NO, "unknown")


def test_without_its_line_the_cookie_does_not_arrive(site):
    with site(change=without("add_header Set-Cookie")) as wp:
        assert Browser(wp.url, gpc=True).get("/a-post/").all("Set-Cookie") == []


def test_asked_in_the_location_of_files_the_answer_is_lost(site):
    """Why the recipe asks where PHP is run: WordPress's try_files leads away from `location /`."""

    def moved(text: str) -> str:
        names = ("auth_request", "add_header")
        lines = dict.fromkeys(line for line in text.splitlines() if line.strip().startswith(names))
        rest = without(*names)(text)
        assert "    try_files $uri $uri/" in rest
        return rest.replace("    try_files $uri $uri/", "\n".join(lines) + "\n try_files $uri $uri/")

    with site(change=moved) as wp:
        answer = Browser(wp.url, gpc=True).get("/a-post/")
        assert (answer.all("Set-Cookie"), answer.all("Vary")) == ([], [])


def opted_out_person_on_a_kept_page(wp, desk) -> dict:
    """A page that a stranger's visit put into the cache, as somebody sees it who is known to the plugin alone."""
    desk.post("/v1/choices", {"identifiers": [named("account", "wp-7")], "choice": "opt_out", "place": "US-NY"})
    assert told(Browser(wp.url).page("/kept/")) == YES
    person = Browser(wp.url)
    person.sign_in(7)
    return person.page("/kept/")


def test_a_signed_in_persons_page_comes_out_of_no_cache_and_goes_into_none(site, desk):
    with site(account_key=False) as wp:
        assert told(opted_out_person_on_a_kept_page(wp, desk)) == NO
        person = Browser(wp.url)
        person.sign_in(7)
        assert told(person.page("/new/")) == NO
        assert told(Browser(wp.url).page("/new/")) == YES


def test_without_the_lines_that_keep_it_out_a_signed_in_person_is_shown_a_strangers_page(site, desk):
    with site(account_key=False, change=without("fastcgi_cache_bypass", "fastcgi_no_cache")) as wp:
        assert told(opted_out_person_on_a_kept_page(wp, desk)) == YES


# --- files, where the site enforces --------------------------------------------------------------------------------

ADS = [
    "/ads/tag.js",
    "/pixel.gif",
    "/ads/serve.php",
    "/ads/123",
    "//ads/tag.js",
    "/%61ds/tag.js",
    "/x/../ads/tag.js",
    "/ads;v=1/x",
]
GPC = ("Sec-GPC", "1")


@pytest.fixture
def enforcing(tool, tmp_path):
    """A site with ads of its own among its files, and the gateway beside it; `change` as in `wordpress`."""

    @contextlib.contextmanager
    def start(**how):
        chosen = {"site__enforce": "true", "site__ad_paths": "/ads/,/pixel.gif", "site__place_in_key": "same"}
        with (
            gateway(tmp_path, **chosen | how.pop("configured", {})) as running,
            wordpress(tool, running, tmp_path / "wp", **how) as wp,
        ):
            (wp.root / "ads").mkdir()
            for name in ("ads/tag.js", "pixel.gif", "ads/serve.php", "worker.js"):
                (wp.root / name).write_text("x")
            yield wp

    return start


def served(wp, path: str, *headers) -> int:
    return ask(wp.url, path, *headers).status


def has_policy(wp, path: str, *headers) -> bool:
    answer = ask(wp.url, path, *headers)
    assert answer.status == 200, path
    return any(policy.startswith("default-src 'self'") for policy in answer.all("Content-Security-Policy"))


def test_ads_of_the_sites_own_are_refused_to_whoever_opted_out_be_they_files_pages_or_programs(enforcing):
    with enforcing() as wp:
        for path in ADS:
            assert (served(wp, path, GPC), served(wp, path)) == (403, 200), path
        for path in ("/worker.js", "/style.css", "/no-such-file.png"):
            assert (has_policy(wp, path, GPC), has_policy(wp, path)) == (True, False), path
        before = wp.gateway.asked()
        for path in ("/a-post/", "/style.css"):
            served(wp, path)
        assert wp.gateway.asked() == before + 2, "one question a page, and one a file"
        wp.gateway.stop()
        for path in ADS[:-1]:
            assert served(wp, path) == 403, path
        assert has_policy(wp, "/worker.js")
        assert has_policy(wp, "/a-post/")


def test_a_site_that_does_not_enforce_asks_about_no_file(enforcing):
    with enforcing(configured={"site__enforce": "false"}) as wp:
        before = wp.gateway.asked()
        assert [served(wp, path, GPC) for path in ("/ads/tag.js", "/style.css")] == [200, 200]
        assert wp.gateway.asked() == before
        assert not has_policy(wp, "/style.css", GPC)


def test_without_the_question_about_files_ads_and_workers_are_handed_out(enforcing):
    """Control."""
    with enforcing(change=without("if (-f")) as wp:
        assert (served(wp, "/ads/tag.js", GPC), has_policy(wp, "/worker.js", GPC)) == (200, False)


def test_without_the_gateways_own_no_an_ad_that_is_spelled_otherwise_is_handed_out(enforcing):
    """Control."""
    with enforcing(change=without("if ($upstream_http_gateway_consent)")) as wp:
        assert served(wp, "/ads;v=1/x", GPC) == 200


def test_without_its_line_ads_are_handed_out_while_the_gateway_is_away(enforcing):
    """Control."""
    with enforcing(change=without("if ($ad)")) as wp:
        wp.gateway.stop()
        assert served(wp, "/ads/tag.js") == 200


def test_whatever_else_answers_where_the_gateway_was_is_no_answer(enforcing):
    with enforcing() as wp:
        wp.gateway.stop()
        for status in (302, 404, 503):
            with somebody_else(type("Other", (Other,), {"status": status}), wp.gateway.internal):
                assert has_policy(wp, "/a-post/"), status
                assert has_policy(wp, "/style.css"), status


# --- what leaves the site ------------------------------------------------------------------------------------------


def test_of_the_cookies_only_those_that_the_gateway_reads_leave_the_site(site, desk):
    with site() as wp:
        mine = {"PHPSESSID": "secret", "usprivacy": "1YYN", "OPT_OUT": "1", "odd": "caf\xe9\xff"}
        browser = Browser(wp.url, cookies=mine)
        browser.sign_in(7)
        (body,) = observed(browser.page())
        sent = base64.b64decode(body["signals"]["cookies"]["b64"])
        assert b"usprivacy=1YYN" in sent
        for never in (b"secret", b"wordpress", b"Gateway-Account", b"__Host", b"odd"):
            assert never not in sent
        assert desk.denied(named("account", "wp-7"))


def test_a_byte_that_is_no_json_costs_no_opt_out(site, desk):
    with site(account_key=False) as wp:
        browser = Browser(wp.url, cookies={"OptanonConsent": "isGpcEnabled=1&x=\xe9\xff&groups=SPD_BG:0"})
        browser.sign_in(7)
        (body,) = observed(browser.page())
        assert "b64" in body["signals"]["cookies"]
        assert desk.denied(named("account", "wp-7"))


# --- other plugins -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpc", "said", "marketing"), [(True, "allow", False), (False, "allow", True), (False, "deny", False)]
)
def test_other_plugins_are_told_no_and_never_yes_against_what_was_said_to_them(site, gpc, said, marketing):
    with site() as wp:
        page = Browser(wp.url, gpc=gpc).page(f"/?say={said}")
        assert page["marketing"] is marketing
        assert page["functional"] is (said == "allow")


# --- without an answer ---------------------------------------------------------------------------------------------


def test_with_the_gateway_gone_the_page_stays_up_and_nothing_may_be_done(site, running):
    with site() as wp:
        browser = Browser(wp.url, by=CALIFORNIA)
        browser.sign_in(7)
        running.stop()
        pages = [browser.page() for _ in range(4)]
        assert {page["consent"]["status"] for page in pages} == {"unknown"}
        assert [told(page) for page in pages] == [NO] * 4
        assert sum(len(page["asked"]) for page in pages) <= 1  # it rests after the first
        running.start()
        assert told(Browser(wp.url).page("/fresh")) == YES


def test_a_gateway_that_takes_a_second_is_not_waited_for(site, running):
    with site(waits=False) as wp:
        browser = Browser(wp.url)
        browser.sign_in(7)
        running.stop()
        with somebody_else(Slow, running.internal):
            pages = [browser.page() for _ in range(2)]
        assert [told(page) for page in pages] == [NO] * 2
        assert sum(len(page["asked"]) for page in pages) <= 1


def test_a_key_that_is_no_good_is_told_of_in_the_log_and_costs_no_page(site, running, desk):
    with site(account_key=False) as wp:
        api_keys.revoke(running.folder / "data", "wordpress")
        until_key_answers(f"http://{running.internal}", wp.key, 401)
        browser = Browser(wp.url, gpc=True)
        browser.sign_in(7)
        pages = [browser.page() for _ in range(3)]
        assert [told(page) for page in pages] == [NO] * 3  # nginx's own answer still holds
        assert [item["status"] for page in pages for item in page["asked"]] == [401]
        assert wp.php_log.count("consent gateway: /v1/self answered 401") == 1


def test_an_account_that_nobody_could_ask_about_counts_as_opted_out(site, running, desk):
    desk.post("/v1/choices", {"identifiers": [named("account", "wp-7")], "choice": "opt_out", "place": "US-NY"})
    with site(account_key=False) as wp:
        api_keys.revoke(running.folder / "data", "wordpress")
        until_key_answers(f"http://{running.internal}", wp.key, 401)
        browser = Browser(wp.url)
        browser.sign_in(7)
        assert [told(browser.page()) for _ in range(2)] == [NO] * 2  # asked in vain, and while it rests
        assert told(Browser(wp.url).page()) == YES


def test_what_was_not_taken_is_said_again(site, running, desk):
    with site(account_key=False) as wp:
        browser = Browser(wp.url, gpc=True)
        ledger = running.folder / "data" / "ledger.sqlite3"
        browser.sign_in(7)
        ledger.rename(ledger.with_suffix(".away"))
        try:
            assert [item["status"] for item in browser.page()["asked"]] == [200, 202]
            assert "gateway-told" not in browser.cookies
        finally:
            ledger.with_suffix(".away").rename(ledger)
        (wp.root / "transients" / "gateway_rests").unlink()  # ten seconds later
        assert told(browser.page()) == NO
        assert "gateway-told" in browser.cookies
