"""Where the systems we looked at lost opt-outs: many writers at once, on either engine."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support import postgres_server
from support.people import email, gaid, named
from support.service import service
from support.wire import call, denied, post_form

pytestmark = pytest.mark.slow
MANY = 200


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        if request.param == "postgresql":
            where = postgres_server.fresh_url(request.getfixturevalue("postgres"))
            environment.setenv("GATEWAY_STORE__URL", where)
        with service(tmp_path_factory.mktemp("crowd")) as running:
            yield running.url


def entries(url: str) -> int:
    return call(f"{url}/readyz")[1]["ledger"]["entries"]


def at_once(number: int, act, workers: int = 20) -> list:
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(act, range(number)))


def opt_out(url: str, person: int) -> int:
    return call(f"{url}/v1/choices", {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out"})[0]


def test_two_hundred_people_opt_out_fifty_at_a_time(url, figure):
    before = entries(url)
    assert set(at_once(MANY, lambda n: opt_out(url, n), workers=50)) == {201}
    assert all(denied(url, "gaid", gaid(n)) for n in range(MANY))
    assert entries(url) == before + MANY
    figure("200 people, 50 at a time", "each answered 201, each denies, an entry each")


def test_one_person_opts_out_two_hundred_times_and_every_request_is_its_own_entry(url):
    before = entries(url)
    assert set(at_once(MANY, lambda _: opt_out(url, 5000), workers=50)) == {201}
    assert denied(url, "gaid", gaid(5000))
    assert entries(url) == before + MANY


def test_one_new_email_in_eight_tabs(url):
    before = entries(url)
    answers = at_once(8, lambda _: post_form(url, action="opt_out", email=email(77)), workers=8)
    assert {status for status, _ in answers} == {303}
    assert len({place for _, place in answers}) == 8
    assert denied(url, "email", email(77))
    assert entries(url) == before + 16  # a browser and an e-mail each


def test_four_tabs_of_which_one_opts_out_by_a_digest(url):
    """The case that Fides lost: a new identity from several requests at once, one of them the opt-out."""
    import hashlib

    digest = hashlib.sha256(email(88).encode()).hexdigest()

    def act(tab: int):
        if tab == 2:
            body = {"identifiers": [named("email_sha256", digest)], "choice": "opt_out"}
            return call(f"{url}/v1/choices", body)[0]
        return call(f"{url}/v1/links", {"account": f"tab{tab}", "identifiers": [named("email", email(88))]})[0]

    assert set(at_once(4, act, workers=4)) == {201}
    assert denied(url, "email", email(88))
    assert all(denied(url, "account", f"tab{tab}") for tab in (0, 1, 3))


def test_a_thousand_visits_with_gpc_are_one_entry_and_without_cookies_none(url):
    import http.client

    port = int(url.rsplit(":", 1)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def visit(cookie: str = ""):
        headers = {"Sec-GPC": "1", "Sec-Fetch-Mode": "navigate", **({"Cookie": cookie} if cookie else {})}
        connection.request("GET", "/demo", headers=headers)
        response = connection.getresponse()
        assert "Opt-Out Request Honored" in response.read().decode()
        return response.headers.get("Set-Cookie", "").partition(";")[0]

    before = entries(url)
    for _ in range(1000):
        cookie = visit()
    assert entries(url) == before
    for _ in range(1000):
        visit(cookie)
    assert entries(url) == before + 1
    connection.close()
    assert denied(url, "browser", cookie.partition("=")[2])
