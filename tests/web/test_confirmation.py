"""The confirmation: "received" until no send on an older answer may start any more, "honored" from then on (R17)."""

import asyncio
import time
from datetime import timedelta

import pytest
import time_machine
from support import inside
from support.people import phone

from gateway.choice.place import STATE_NAMES, STATES
from gateway.consent.leases import Leases
from gateway.web.pages import confirmation

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"


@pytest.mark.parametrize(("waits", "title"), [(1.0, "Opt-Out Request Honored"), (0.0, "Your request was received")])
async def test_a_person_reads_honored_only_once_it_is_effective(client, monkeypatch, waits, title):
    monkeypatch.setattr(confirmation, "MOST_WAITING", timedelta(seconds=waits))
    with time_machine.travel(1_790_000_000, tick=False):  # the send window of a quarter of a second does not pass
        answer = await client.post(PATH, data={"action": "opt_out"})
        shown = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert f"<h1>{title}</h1>" in shown.text
    assert "<strong>Opted out</strong>" in shown.text  # it denies from the first moment on


async def test_the_window_is_counted_from_when_nobody_answers_from_before(client, monkeypatch):
    """A copy that gave its last yes a moment before it had the no lets sends start for a whole window from there."""
    settled = list[float]()

    async def settles(*_):
        await asyncio.sleep(0.5)  # longer than the window lasts from when it was said
        settled.append(time.monotonic())
        return True

    monkeypatch.setattr(Leases, "settles", settles)
    answer = await client.post(PATH, data={"action": "opt_out"})
    shown = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert "<h1>Opt-Out Request Honored</h1>" in shown.text
    assert time.monotonic() - settled[0] >= 0.25


async def test_a_confirmation_that_is_opened_later_waits_for_no_more_than_a_send_window(client, monkeypatch):
    monkeypatch.setattr(confirmation, "MOST_WAITING", timedelta(0))
    with time_machine.travel(1_790_000_000, tick=False) as clock:
        answer = await client.post(PATH, data={"action": "opt_out"})
        clock.shift(1)
        shown = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert "<h1>Opt-Out Request Honored</h1>" in shown.text


async def test_what_cannot_be_read_back_denies_and_is_not_called_honored(client, monkeypatch):
    answer = await client.post(PATH, data={"action": "opt_out"})
    monkeypatch.setattr("gateway.consent.check.Checks.site", lambda checks, *_, **__: checks.unknown_site())
    shown = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert "<h1>Your request was received</h1>" in shown.text
    assert "<strong>Counted as opted out</strong>" in shown.text


async def test_the_longest_send_window_that_may_be_set_keeps_nobody_waiting_two_seconds(tmp_path):
    configured = inside.settings(share__send_window_ms="2000")
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        answer = await client.post(PATH, data={"action": "opt_out"})
        shown = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert "<h1>Your request was received</h1>" in shown.text


FORGETS = "This browser will not be remembered"


async def status_of(client, headers):
    return (await client.get(f"{PATH}/status", headers=headers)).json()["status"]


async def test_a_browser_that_keeps_no_cookies_is_told_that_nothing_holds_for_it(client):
    answer = await client.post(PATH, data={"action": "opt_out"})
    shown = await client.get(answer.headers["location"])
    assert "<h1>Your request was received</h1>" in shown.text
    assert "Honored" not in shown.text
    assert FORGETS in shown.text
    assert "this browser, until its cookies are cleared" not in shown.text
    assert await status_of(client, {}) == "not_opted_out", "the control: what the page would have promised"


async def test_a_browser_that_keeps_its_cookie_is_told_that_it_holds(client):
    answer = await client.post(PATH, data={"action": "opt_out"})
    shown = await client.get(answer.headers["location"], headers=inside.kept(answer))
    assert FORGETS not in shown.text
    assert "this browser, until its cookies are cleared" in shown.text
    assert await status_of(client, inside.kept(answer)) == "opted_out"


async def test_what_was_typed_holds_though_the_browser_keeps_no_cookies(client):
    answer = await client.post(PATH, data={"action": "opt_out", "phone": phone(1)})
    shown = await client.get(answer.headers["location"])
    assert "<strong>Opted out</strong> – the phone number that you gave" in shown.text
    assert FORGETS in shown.text


async def test_whoever_is_sent_the_address_of_a_confirmation_is_not_told_that_it_is_about_their_browser(client):
    mine = await client.post(PATH, data={"action": "opt_out"})
    theirs = await client.post(PATH, data={"action": "limit"})
    shown = await client.get(mine.headers["location"], headers=inside.kept(theirs))
    assert FORGETS in shown.text
    assert "the browser that sent the form" in shown.text


async def test_whoever_presses_in_two_windows_at_once_is_not_told_that_one_was_forgotten(client):
    """Each is a browser of its own until a cookie is there; the last cookie stays, and says the same."""
    first, last = [await client.post(PATH, data={"action": "opt_out"}) for _ in range(2)]
    shown = await client.get(first.headers["location"], headers=inside.kept(last))
    assert FORGETS not in shown.text
    assert await status_of(client, inside.kept(last)) == "opted_out"


async def test_a_limit_without_cookies_is_not_called_done_by_a_signal_that_says_less(client):
    answer = await client.post(PATH, data={"action": "limit"}, headers={"Sec-GPC": "1"})
    assert FORGETS in (await client.get(answer.headers["location"], headers={"Sec-GPC": "1"})).text


async def test_a_browser_without_cookies_reads_what_its_signal_says_each_time_and_what_it_does_not(client):
    answer = await client.post(PATH, data={"action": "opt_out"}, headers={"Sec-GPC": "1"})
    with_signal = await client.get(answer.headers["location"], headers={"Sec-GPC": "1"})
    assert FORGETS in with_signal.text
    assert "Its privacy signal says no to sale" in with_signal.text
    assert "Its privacy signal" not in (await client.get(answer.headers["location"])).text


async def test_a_browser_whose_signal_says_the_same_each_time_needs_no_cookie(client):
    sale = {"action": "ticked", "purpose": "sale"}
    answer = await client.post(PATH, data=sale, headers={"Sec-GPC": "1"})
    shown = await client.get(answer.headers["location"], headers={"Sec-GPC": "1"})
    assert FORGETS not in shown.text
    assert "Opt-Out Request Honored" in shown.text


def test_every_state_has_its_name():
    assert set(STATE_NAMES) == STATES
    assert len(set(STATE_NAMES.values())) == len(STATES)


@pytest.mark.parametrize("enforces", [True, False])
async def test_only_where_the_site_enforces_the_confirmation_has_a_script_which_tells_the_other_tabs(
    tmp_path, enforces
):
    configured = inside.settings(site__enforce=str(enforces).lower())
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        answer = await client.post(PATH, data={"action": "opt_out"})
        shown = await client.get(answer.headers["location"], headers=inside.kept(answer))
    policy = shown.headers["content-security-policy"]
    assert ('src="/privacy-choices/consent.js"' in shown.text) is enforces
    assert ("script-src 'self'; connect-src 'self'" in policy) is enforces
    assert policy.startswith("default-src 'none'")
    assert shown.headers["clear-site-data"] == '"prefetchCache", "prerenderCache"'
