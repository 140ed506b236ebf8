"""The headers of every answer: each route with each method, and what is refused before a route is found."""

import pytest
from support import inside

from gateway.settings.load import SettingsRefused
from gateway.web.shell.page import HEADERS

pytestmark = pytest.mark.anyio
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
YEAR = "max-age=31536000; includeSubDomains"
OPEN = ("/ledger", "/.well-known", "/adchoices", "/privacy-choices/consent.js", "/privacy-choices/choices.css")


@pytest.fixture
async def app(tmp_path):
    async with inside.application(tmp_path / "data", inside.settings(ad_choices__participant="7"), dev=False) as built:
        yield built


def paths(app):
    """One of each route, and some that are none."""
    there = {route.path for route in inside.routes(app) if not route.path.startswith("/authz/")}  # the site's answers
    made = {
        path.replace("{path:path}", "0/000").replace("{recipient}", "teemo").replace("{year}", "2026") for path in there
    }
    made = {path.partition("{")[0] + "AAAA" * path.count("{") for path in made}
    return sorted({*made, "/", "/nowhere", "/v1/nowhere", "/privacy-choices/", "/privacy-choices/../v1/self"})


async def answers(app, **headers):
    async with inside.client(app, **headers) as client:
        for path in paths(app):
            for method in METHODS:
                yield method, path, await client.request(method, path)


@pytest.mark.parametrize("key", [{}, {"Authorization": "Bearer dev.dev"}])
async def test_every_answer_of_every_route_with_every_method_says_what_browsers_must_not_do(app, key):
    seen = 0
    async for method, path, answer in answers(app, **HTTPS, **key):
        where, said = (method, path, answer.status_code), answer.headers
        policy = said["content-security-policy"]
        assert "default-src 'none'" in policy, where
        assert "base-uri 'none'" in policy, where
        assert "frame-ancestors 'none'" in policy or "frame-ancestors 'self'" in policy, where
        assert "form-action 'none'" in policy or "form-action 'self'" in policy, where
        assert "unsafe" not in policy, where
        assert said["x-content-type-options"] == "nosniff", where
        assert said["referrer-policy"] in {"no-referrer", "same-origin"}, where
        assert said["cross-origin-opener-policy"] == "same-origin", where
        assert said["cross-origin-resource-policy"] == ("cross-origin" if path.startswith(OPEN) else "same-origin"), (
            where
        )
        assert said["strict-transport-security"] == YEAR, where
        assert "server" not in said, where
        for name in set(said):
            if name not in {"set-cookie", "vary", "allow"}:
                assert len(said.get_list(name)) == 1, (where, name)
        seen += 1
    assert seen > 200


@pytest.mark.slow
async def test_every_answer_but_a_file_or_the_public_log_is_kept_by_no_cache(app):
    async for method, path, answer in answers(app, **HTTPS):
        if answer.status_code == 200 and (
            path.startswith(("/.well-known", "/ledger")) or path.endswith((".js", ".css", ".svg"))
        ):
            continue
        assert answer.headers.get("cache-control") == "no-store", (method, path, answer.status_code)


async def test_a_page_that_a_signal_changes_says_so(app):
    async with inside.client(app) as client:
        for path in ("/privacy-choices", "/privacy-choices/status", "/privacy-choices/data"):
            vary = {name.strip() for name in ", ".join((await client.get(path)).headers.get_list("vary")).split(",")}
            assert {"Sec-GPC", "Cookie"} <= vary, path


async def test_an_answer_that_depends_on_who_sent_the_form_says_so(app):
    async with inside.client(app) as client:
        for path in ("/privacy-choices", "/privacy-choices/observe", "/privacy-choices/data", "/privacy-choices/proof"):
            for site in ("cross-site", "same-origin"):
                answer = await client.post(path, data={"action": "opt_out"}, headers={"Sec-Fetch-Site": site})
                vary = {name.strip() for name in ", ".join(answer.headers.get_list("vary")).split(",")}
                assert {"Sec-Fetch-Site", "Origin"} <= vary, (path, site)


@pytest.mark.parametrize(
    ("headers", "sent"),
    [({}, False), ({"X-Forwarded-Proto": "http"}, False), (HTTPS, True), ({"X-Forwarded-Proto": "https, http"}, False)],
)
async def test_a_browser_is_bound_to_https_only_by_an_answer_that_went_out_over_https(app, headers, sent):
    async with inside.client(app, **headers) as client:
        assert ("strict-transport-security" in (await client.get("/privacy-choices")).headers) is sent


async def test_this_machines_loopback_is_never_bound_to_https(tmp_path):
    async with inside.application(tmp_path / "data") as app, inside.client(app) as client:
        client.base_url = "https://127.0.0.1:8080"
        answer = await client.get("/privacy-choices")
        assert answer.status_code == 200
        assert "strict-transport-security" not in answer.headers


async def test_an_operator_whose_proxy_says_it_can_turn_it_off(tmp_path):
    configured = inside.settings(site__hsts="")
    async with (
        inside.application(tmp_path / "data", configured, dev=False) as app,
        inside.client(app, **HTTPS) as client,
    ):
        assert "strict-transport-security" not in (await client.get("/privacy-choices")).headers


@pytest.mark.parametrize("value", ["max-age=x", "yes", "max-age=1\r\nX: y", "max-age=1; includesubdomains"])
def test_a_value_that_browsers_would_not_read_does_not_start(value):
    with pytest.raises(SettingsRefused, match="GATEWAY_SITE__HSTS: "):
        inside.settings(site__hsts=value)


async def test_the_site_behind_us_keeps_its_own_headers(tmp_path):
    """The demo site's answers are the site's, not ours."""
    async with inside.application(tmp_path / "data") as app, inside.client(app) as client:
        answer = await client.get("/demo")
        assert "cross-origin-opener-policy" not in answer.headers
        assert "default-src 'none'" not in answer.headers.get("content-security-policy", "")


# --- in a frame -----------------------------------------------------------------------------------------------------


FRAMING = "https://www.example.com"


async def test_nobody_frames_the_choices_page_unless_the_operator_says_so(app):
    async with inside.client(app) as client:
        assert (
            "frame-ancestors 'self';" in (await client.get("/privacy-choices")).headers["content-security-policy"] + ";"
        )
    assert "frame-ancestors 'self'" in HEADERS["Content-Security-Policy"]


async def test_the_operators_other_site_may_frame_it_and_its_cookies_are_a_jar_of_that_site(tmp_path):
    configured = inside.settings(browser__embedded="true", site__origins=FRAMING)
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        page = await client.get("/privacy-choices")
        assert f"frame-ancestors 'self' {FRAMING}" in page.headers["content-security-policy"]
        done = await client.post("/privacy-choices", data={"action": "opt_out", "email": "person1@example.com"})
        cookies = done.headers.get_list("set-cookie")
        assert len(cookies) == 3
        for cookie in cookies:
            attributes = {part.strip() for part in cookie.split(";")[1:]}
            assert {"SameSite=None", "Partitioned", "Secure", "HttpOnly", "Path=/"} <= attributes
            assert not {"SameSite=Lax", "SameSite=Strict"} & attributes
        problem = await client.get("/privacy-choices/done/AAAA")
        assert "frame-ancestors 'none'" in problem.headers["content-security-policy"]


async def test_a_form_in_a_frame_of_the_operators_other_site_opts_out(tmp_path):
    configured = inside.settings(browser__embedded="true", site__origins=FRAMING)
    framed = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "iframe", "Origin": "http://127.0.0.1:8080"}
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app, **framed) as client:
        assert (await client.post("/privacy-choices", data={"action": "opt_out"})).status_code == 303


@pytest.mark.parametrize("origin", ["*", "www.example.com", "https://www.example.com/", "http://www.example.com",
                                    "https://www.example.com/x", "https://*.example.com; script-src *", "null"])  # fmt: skip
def test_an_origin_that_is_not_exact_does_not_start(origin):
    with pytest.raises(SettingsRefused, match="GATEWAY_SITE__ORIGINS: "):
        inside.settings(site__origins=origin)
