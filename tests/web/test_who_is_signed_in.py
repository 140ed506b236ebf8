"""`account=`, `place=` and `scope["state"]`: what the site's own code says of a visitor, and its mistakes."""

import dataclasses

import pytest
import structlog
from support.door import Door
from support.people import named

from gateway.consent.asked import Ask
from gateway.consent.site import SiteAnswer
from gateway.terms import SIGNAL_PURPOSES
from gateway.web.site.shared_caches import PRIVATE

pytestmark = pytest.mark.anyio
GPC = {"Sec-GPC": "1"}
MAY = ", ".join(f"{purpose}=?1" for purpose in SIGNAL_PURPOSES) + ", status=none"
UNKNOWN = ", ".join(f"{purpose}=?0" for purpose in SIGNAL_PURPOSES) + ", status=unknown"


def raising(error):
    def account(_):
        raise error

    return account


async def never_awaited(_):
    return "a1"


MISTAKES = [
    raising(KeyError("session")),
    raising(RuntimeError("anna@example.com")),
    raising(UnicodeDecodeError("x", b"", 0, 1, "")),
    lambda _: b"a1",
    lambda _: 1.5,
    lambda _: True,
    lambda _: False,
    lambda _: ["a1"],
    lambda _: {"id": 1},
    lambda _: "x" * 300,
    lambda _: "\ud800",
    lambda _: "a\x00b",
    lambda _: "\n",
    never_awaited,
    object(),
]


def reason(house, account):
    return (
        house.consent.checks.check(Ask(("teemo",), [named("account", account)], place="US-CA")).verdicts["teemo"].reason
    )


@pytest.mark.parametrize("account", MISTAKES, ids=range(len(MISTAKES)))
async def test_a_sites_mistake_about_who_it_is_never_breaks_a_page_and_never_allows(house, account):
    """Somebody who opted out may be signed in there."""
    door = Door(house, (b"cache-control", b"public, max-age=60"), account=account)
    for way in ({}, {"cookie": "a=b"}, {"cookie": door.sealed(denied=frozenset())}, GPC):
        for _ in range(2):
            answer = await door.get(**way)
            assert answer.status_code == 200
            assert door.site.consent == UNKNOWN
            assert answer.headers["cache-control"] == PRIVATE[1].decode()
            assert door.site.asked[-1]["state"]["gateway"] == SiteAnswer(place="US-CA", gpc=bool(way is GPC))
    assert b'malformed_signals_total{channel="account",reason="site"} 8.0' in door.metrics.text()


async def test_gpc_of_a_browser_is_kept_even_where_the_site_could_not_tell_who_it_is(house):
    door, browser = Door(house, account=raising(KeyError("who"))), bytes([3]) * 16
    await door.get(cookie=door.sealed(denied=frozenset(), browser=browser), **GPC)
    await Door(house).get()
    other = Door(house)
    await other.get(cookie=other.sealed(denied=frozenset(), browser=browser))
    assert other.site.consent.endswith("status=honored")


async def test_a_mistake_is_told_once_and_without_anybodys_name(house):
    door = Door(house, account=raising(ValueError("anna@example.com")))
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            await door.get()
    assert [line["why"] for line in lines if line.get("asked") == "account"] == ["ValueError"]
    assert "anna" not in repr(lines)


@pytest.mark.parametrize(
    "place", [raising(OSError("no database")), lambda _: 7, lambda _: object(), lambda _: ["?"]], ids=range(4)
)
async def test_a_mistake_about_the_place_is_no_place_where_more_may_be_done(house, place):
    door = Door(house)
    door.visits._visitors._place = place
    for _ in range(2):
        assert (await door.get()).status_code == 200
        assert "?1" not in door.site.consent


@pytest.mark.parametrize(("who", "name"), [("a1", "a1"), (7, "7"), ("ünï@example.com", "ünï@example.com")])
async def test_text_or_a_number_says_who_is_signed_in_and_gpc_then_opts_the_account_out(house, who, name):
    door = Door(house, account=lambda _: who)
    await door.get()
    assert door.site.consent == MAY
    await door.get(**GPC)
    assert reason(house, name) == "opted_out"
    await Door(house, account=lambda _: who).get()
    await door.get()
    assert door.site.consent.endswith("status=honored"), "another browser, without the signal"
    assert reason(house, "somebody else") != "opted_out"


@pytest.mark.parametrize("who", [None, ""])
async def test_nobody_signed_in_is_no_mistake(house, who):
    door = Door(house, account=lambda _: who)
    await door.get()
    assert door.site.consent == MAY


async def test_a_middleware_before_the_gateway_may_say_it_in_the_scope(house):
    door, sent = Door(house), []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    for said, consent in (("a4", MAY), (["a4"], UNKNOWN), (None, MAY)):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": {"gateway_account": said}}
        await door.app(scope, receive, send)
        assert door.site.consent == consent


async def test_an_unsigned_account_of_a_client_is_ignored_and_counted_and_never_reaches_the_site(house):
    door = Door(house)
    await door.get(Gateway_Account="v1.a1.9999999999.00", **GPC)
    assert door.site.got("gateway-account") == []
    assert b'malformed_signals_total{channel="account",reason="unsigned"} 1.0' in door.metrics.text()
    assert reason(house, "a1") != "opted_out"


async def test_a_site_without_a_gateway_before_it_may_do_nothing():
    for scope in ({}, {"state": None}, {"state": {}}, {"state": {"gateway": "forged"}}):
        assert SiteAnswer.of(scope) == SiteAnswer()
    assert SiteAnswer().opted_out
    assert True not in dataclasses.astuple(SiteAnswer())


async def test_the_refusal_of_a_websocket_carries_what_any_answer_does(house):
    async def site(scope, receive, send):
        await send({"type": "websocket.http.response.start", "status": 403, "headers": [(b"gateway-consent", b"x")]})

    sent = []

    async def send(message):
        sent.append(message)

    door = Door(house)
    door.app._app = site
    await door.app({"type": "websocket", "path": "/", "headers": [(b"sec-gpc", b"1")]}, None, send)
    names = [name for name, _ in sent[0]["headers"]]
    assert names == [b"vary"]


@pytest.mark.parametrize("state", [{}, {"state": None}, {"state": {}}], ids=repr)
async def test_a_server_that_has_no_state_or_none_is_served(house, state):
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_):
        pass

    door = Door(house)
    for headers in ([], [(b"sec-gpc", b"1")]):
        await door.app({"type": "http", "method": "GET", "path": "/", "headers": headers, **state}, receive, send)
        assert door.site.consent.endswith("status=honored" if headers else "status=none")
