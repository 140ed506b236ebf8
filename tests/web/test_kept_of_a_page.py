"""A page's no that the ledger could not take: it is kept beside it, and holds wherever its browser is asked about (R17)."""

import asyncio
import time
from dataclasses import replace

import pytest
from support import inside
from support.door import Door
from support.people import named

from gateway.consent.asked import Ask
from gateway.desk import emergency
from gateway.ledger.entry import Notice
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice
from gateway.terms import ChoiceKind, Purpose

pytestmark = pytest.mark.anyio
GPC = {"Sec-GPC": "1"}
PLACE = "US-TX"  # nobody need be asked there
YES = Notice(b"n" * 32, "en", "1")


async def refuses(*_, **__):
    raise StoreUnavailable("read-only")


def verdict(house, token):
    asked = Ask(("advertisers",), [named("browser", token)], "targeted_ads", ("ad_id",), place=PLACE)
    return house.consent.checks.check(asked).verdicts["advertisers"]


async def token_of(door, cookie) -> str:
    await door.get(cookie=cookie)
    (token,) = door.site.got("gateway-browser")
    return token


async def consented(door, house) -> str:
    """The cookie of a browser that once said yes."""
    cookie = door.sealed(denied=frozenset())
    browser = house.consent.people.name([named("browser", await token_of(door, cookie))]).subjects
    yes = Choice(ChoiceKind.OPT_IN, (Purpose.TARGETED_ADS,), "api", house.consent.clock(), PLACE, YES, ui="1")
    await house.consent.choose(browser, yes)
    return cookie


async def lines(house):
    return (await asyncio.to_thread(house.consent.emergency.read)).requests


async def until(true) -> None:
    deadline = time.monotonic() + 30
    while not true() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert true()


async def test_a_no_that_cannot_be_written_stands_above_an_earlier_yes_for_checks_by_the_token(house, monkeypatch):
    door = Door(house, place=PLACE)
    cookie = await consented(door, house)
    token = await token_of(door, cookie)
    assert verdict(house, token).allowed
    before = door.entries
    with monkeypatch.context() as away:
        away.setattr(house.writer, "commit", refuses)
        await door.get(cookie=cookie, **GPC)
        assert not verdict(house, token).allowed
    await until(lambda: verdict(house, token).reason == "opted_out")
    assert door.entries > before
    assert b'gateway_choices_kept_total{kind="signal"} 1.0' in door.metrics.text()


async def test_of_an_outage_each_browsers_no_lies_there_once_however_often_it_says_it(house, monkeypatch):
    monkeypatch.setattr(emergency.Intake, "once", lambda _: False)
    door = Door(house, place=PLACE)
    browsers = [door.sealed(denied=frozenset()) for _ in range(2)]
    monkeypatch.setattr(house.writer, "commit", refuses)
    await door.get(
        cookie=door.sealed(denied=frozenset()), **GPC
    )  # of another one: from here on no proof finds it empty
    for cookie in browsers * 3:
        await door.get(cookie=cookie, **GPC)
    assert len(await lines(house)) == 1 + len(browsers)
    await door.get(cookie=f"{browsers[0]}; usprivacy=1YYN")  # the same no, by other words
    assert len(await lines(house)) == 1 + len(browsers)


@pytest.mark.parametrize("another_first", [False, True])
async def test_a_no_of_the_next_outage_is_kept_again(house, monkeypatch, another_first):
    """Also where somebody else's, of whom another door heard, lies there before it."""
    elsewhere = Door(house, place=PLACE)
    door = Door(house, place=PLACE)
    cookie = await consented(door, house)
    token = await token_of(door, cookie)
    for _ in range(2):
        with monkeypatch.context() as away:
            away.setattr(house.writer, "commit", refuses)
            if another_first:
                await elsewhere.get(cookie=elsewhere.sealed(denied=frozenset()), **GPC)
            await door.get(cookie=cookie, **GPC)
        await until(lambda: verdict(house, token).reason == "opted_out")
        browser = house.consent.people.name([named("browser", token)]).subjects
        yes = Choice(ChoiceKind.OPT_IN, (Purpose.TARGETED_ADS,), "api", house.consent.clock(), PLACE, YES, ui="1")
        await house.consent.choose(browser, yes)
        await until(lambda: verdict(house, token).allowed)


async def test_a_no_is_kept_again_where_its_line_was_entered_and_anothers_lies_there_still(house, monkeypatch):
    """Of somebody of whom a row is damaged: theirs waits, and all others go in."""
    monkeypatch.setattr(emergency.Intake, "once", lambda _: False)
    door, kept = Door(house, place=PLACE), house.consent.emergency
    cookies = [await consented(door, house), door.sealed(denied=frozenset())]
    monkeypatch.setattr(house.writer, "commit", refuses)
    for cookie in cookies:
        await door.get(cookie=cookie, **GPC)
    lie = await asyncio.to_thread(kept.read)
    turned = kept.turned()
    await asyncio.to_thread(kept.clear, replace(lie, requests=lie.requests[:1]))
    await until(lambda: kept.turned() > turned)
    await door.get(cookie=cookies[0], **GPC)
    assert len(await lines(house)) == 2


async def test_where_nothing_can_be_kept_either_the_page_is_answered_and_it_is_counted(house, monkeypatch):
    door = Door(house, place=PLACE)
    monkeypatch.setattr(house.writer, "commit", refuses)
    monkeypatch.setattr(house.consent.emergency, "keep_beside", refuses)
    assert (await door.get(cookie=door.sealed(denied=frozenset()), **GPC)).status_code == 200
    assert b'gateway_forms_refused_total{why="signal_not_kept"} 1.0' in door.metrics.text()


async def test_what_only_our_cookie_says_is_not_kept_for_a_later_yes_stands_above_it(house, folder, monkeypatch):
    monkeypatch.setattr(emergency.Intake, "once", lambda _: False)
    door = Door(house, place=PLACE)
    with inside.ledger_away(folder):
        await until(lambda: door.entries is None)
        await door.get(cookie=door.sealed())
    assert await lines(house) == ()
