"""A clock that is behind its own log answers nobody, and tells; one that was ahead costs nobody the site."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.everybody import says_no
from support.people import GAID, gaid, named, phone

from gateway.app.composition import open_house

pytestmark = pytest.mark.anyio
NOW = datetime.now(UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AHEAD = NOW + 300 * DAY
ASK = {"identifiers": [named("gaid", GAID)], "recipient": "advertisers", "data": ["ad_id"], "place": "US-NY"}


def said(folder, *moments):
    with open_house(folder, inside.settings(), dev=True) as house:
        for number, at in enumerate(moments):
            says_no(house, "phone", phone(number), at)


@contextlib.asynccontextmanager
async def serving(folder, clock, **configured):
    async with (
        inside.application(folder, inside.settings(**configured), clock=clock) as app,
        inside.client(app, **inside.DEV) as client,
    ):
        yield client


async def answered(client, reason):
    """What a check is answered, and /readyz, once that is the reason."""
    async with asyncio.timeout(10):
        while (found := (await client.post("/v1/check", json=ASK)).json())["reason"] != reason:
            await asyncio.sleep(0.05)
    return found["allowed"], await client.get("/readyz")


async def test_a_clock_that_is_behind_the_log_answers_nobody_and_takes_every_no_until_it_is_set(folder):
    await asyncio.to_thread(said, folder, NOW - 2 * HOUR, NOW)
    clock = [NOW - 3 * DAY]
    async with serving(folder, lambda: clock[0]) as client:
        allowed, ready = await answered(client, "stale")
        assert (allowed, ready.status_code) == (False, 503)
        for at in (clock[0], NOW - 2 * HOUR):
            assert f"{at:%Y-%m-%d %H:%M} (UTC)" in ready.text
        kept = await client.post("/v1/choices", json={"identifiers": [named("gaid", gaid(7))], "choice": "opt_out"})
        assert kept.status_code == 201
        clock[0] = NOW
        allowed, ready = await answered(client, "no_choice")
        assert (allowed, ready.status_code) == (True, 200)


@pytest.mark.parametrize(
    ("moments", "more", "reason"),
    [
        ((NOW - 2 * HOUR, NOW, AHEAD, AHEAD + 10 * MINUTE), {}, "no_choice"),
        ((NOW - 2 * HOUR, NOW, AHEAD, AHEAD + 2 * HOUR), {}, "stale"),
        (
            (NOW - 2 * HOUR, NOW, AHEAD, AHEAD + 2 * HOUR),
            {"ledger__clock_was_ahead_until": AHEAD.date().isoformat()},
            "no_choice",
        ),
        (
            (NOW - 2 * HOUR, NOW, AHEAD + 40 * DAY, AHEAD + 41 * DAY),
            {"ledger__clock_was_ahead_until": AHEAD.date().isoformat()},
            "stale",
        ),
    ],
    ids=["for minutes", "for hours", "for hours, and an officer says so", "and once more after that"],
)
async def test_a_clock_that_was_ahead_is_held_against_the_right_one_only_until_an_officer_says_so(
    folder, moments, more, reason
):
    await asyncio.to_thread(said, folder, *moments)
    async with serving(folder, lambda: NOW, **more) as client:
        await answered(client, reason)


async def test_a_clock_that_is_behind_by_less_than_a_day_answers(folder):
    await asyncio.to_thread(said, folder, NOW - 2 * HOUR, NOW)
    async with serving(folder, lambda: NOW - 25 * HOUR) as client:
        await answered(client, "no_choice")
