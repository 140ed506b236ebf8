"""A night's work beside ad calls: nobody waits for more than a few milliseconds of it."""

import asyncio
import gc
import json
import time

import anyio
import pytest
from support.people import gaid

from gateway.consent import share

pytestmark = pytest.mark.anyio
NDJSON = {"Content-Type": "application/x-ndjson"}
ROWS = 600
TRIES = 5
SHIPPED = share.SECONDS


def shared(number: int) -> dict:
    who = [{"type": "gaid", "value": gaid(number)}]
    return {"id": f"r{number}", "identifiers": who, "place": "US-NY", "data": {"ad_id": gaid(number)}}


def asked(number: int) -> dict:
    return {"identifiers": [{"type": "gaid", "value": gaid(number)}], "recipient": "advertisers", "place": "US-NY"}


CALLS = {
    "a share": ("/v1/shares/matching", shared, NDJSON),
    "checks in lines": ("/v1/checks", asked, NDJSON),
    "checks in an array": ("/v1/checks", asked, {"Content-Type": "application/json"}),
}


async def fresh(keyed):
    """Once answers are trusted: a collection of all that a long run of tests holds keeps the watch from its proof."""
    with anyio.fail_after(60):
        while (await keyed.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)


async def longest_wait(call, ready) -> tuple[float, float]:
    """Seconds of processor time that somebody who is ready waited at most, and that all of it took."""
    waits, ended = [], False

    async def somebody():
        while not ended:
            before = time.thread_time()
            await asyncio.sleep(0)
            waits.append(time.thread_time() - before)

    gc.collect()
    gc.disable()  # one collection of all that a long run of tests holds takes longer than the work
    try:
        await ready
        waiting = asyncio.create_task(somebody())
        await asyncio.sleep(0)
        began = time.thread_time()
        await call()
        ended = True
        await waiting
        return max(waits), time.thread_time() - began
    finally:
        gc.enable()


@pytest.mark.slow
@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("seconds", [SHIPPED, pytest.param(3600, id="control")])
async def test_whoever_asks_meanwhile_waits_for_a_small_part_of_it(keyed, monkeypatch, what, seconds):
    monkeypatch.setattr(share, "SECONDS", seconds)
    path, one, headers = CALLS[what]
    said = [one(number) for number in range(1, ROWS + 1)]
    body = "\n".join(json.dumps(row) for row in said) if headers is NDJSON else json.dumps(said)
    answers = []

    async def call():
        answers.append(await keyed.post(path, content=body, headers=headers))

    for _ in range(TRIES):  # on a busy machine a long turn may be longer than the writer's patience
        answers.clear()
        waited, whole = await longest_wait(call, fresh(keyed))
        if answers[0].status_code != 503 and '"stale"' not in answers[0].text:
            break
    assert answers[0].status_code == 200
    assert answers[0].text.count('"allowed":true' if "checks" in path else '"outcome"') == ROWS
    assert (waited < whole / 6) == (seconds == SHIPPED), (waited, whole)
