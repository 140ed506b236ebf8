"""A service is stopped, or begins, whose commits wait for a machine that does not come, as where the disks of all others
are full, or after a power cut the leader is back alone: it goes and comes in its time, and what it was told of meanwhile
is kept beside the ledger and entered by the next.
"""

import asyncio
import contextlib
import threading
import time

import psycopg
import pytest
from support import example, inside, postgres_server
from support.people import gaid, named
from support.ports import free_port
from support.service import Service
from support.together import until
from support.wire import call

from gateway.app.composition import migrate

pytestmark = pytest.mark.slow
CONFIG = '[recipients.teemo]\nunlinked = "allow"\n'
WAITS = 13.0  # seconds: behind ten of them nobody waits for a commit any more, and what is said is kept beside
PAUSE = 0.05  # seconds between what one person's app says and the next: hundreds are said meanwhile, not thousands
COMES = 20.0  # seconds; with two waits of five, and a machine that does much else
STOPS = 40.0  # seconds; an init system kills whoever takes 90


def names_standby(at, name):
    """Of which commits wait for one."""
    with psycopg.connect(postgres_server.url_of(at), autocommit=True) as db:
        db.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        db.execute("SELECT pg_reload_conf()")


@pytest.fixture
def server():
    with postgres_server.running(postgres_server.programs()) as at:
        yield at


def says_no(running, number):
    return call(f"{running.url}/v1/choices", {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"})[0]


def allowed(running, numbers):
    """Which of them."""
    asked = [{"identifiers": [named("gaid", gaid(number))]} for number in numbers]
    same = {"recipient": "teemo", "place": "US-CA", "data": ["ad_id"]}
    status, answers = call(f"{running.url}/v1/checks", {"defaults": same, "checks": asked})
    assert status == 200, answers
    return [number for number, answer in zip(numbers, answers, strict=True) if answer["allowed"]]


def test_it_stops_within_its_time_and_nothing_is_lost(server, tmp_path, monkeypatch, figure):
    monkeypatch.setenv("GATEWAY_STORE__URL", postgres_server.fresh_url(server))
    config = tmp_path / "config.toml"
    config.write_text(example.over(CONFIG))
    running = Service(free_port(), tmp_path / "data", tmp_path / "log", ("--config", str(config))).start()
    assert says_no(running, 1) == 201
    said, over = [1], threading.Event()

    def goes_on(number):
        with contextlib.suppress(OSError):  # it stopped
            while not over.is_set():
                number += 1
                if says_no(running, number) in {201, 202}:
                    said.append(number)
                time.sleep(PAUSE)

    threads = [threading.Thread(target=goes_on, args=(1000 * each,)) for each in (1, 2, 3)]
    names_standby(server, "nobody")
    for each in threads:
        each.start()
    time.sleep(WAITS)
    asked = time.monotonic()
    running.process.terminate()
    try:
        running.process.wait(timeout=STOPS)
    finally:
        over.set()
        running.kill()
        for each in threads:
            each.join(60)
    figure("stopped while commits wait", f"{time.monotonic() - asked:.1f} s, {len(said)} opt-outs taken")
    names_standby(server, "")
    running.start()
    assert len(said) > 100
    until(lambda: allowed(running, [0]), "somebody who said nothing is denied too")
    assert allowed(running, said) == []
    running.stop()


async def said_and_asked(calling, number):
    """How a no is answered, and whether a check of the same is allowed behind it."""
    named_so = {"identifiers": [named("gaid", gaid(number))]}
    said = await calling.post("/v1/choices", json=named_so | {"choice": "opt_out"})
    asked = {"recipient": "teemo", "place": "US-NY", "data": ["ad_id"]}
    checked = await calling.post("/v1/check", json=named_so | asked)
    return said.status_code, checked.json()["allowed"]


async def effective(calling, number):
    """Until a no is answered as effective, and what waited before it has been entered."""
    deadline = time.monotonic() + 60
    while (told := await said_and_asked(calling, number)) != (201, False):
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.3)


@pytest.mark.anyio
async def test_it_begins_within_its_time_though_the_leader_is_back_alone_and_what_is_said_is_kept_beside(
    server, tmp_path, figure
):
    url, data = postgres_server.fresh_url(server), tmp_path / "data"
    migrate(data, url=url)
    (config := tmp_path / "config.toml").write_text(example.over(CONFIG))
    settings, by_port = inside.settings(config, store__url=url), inside.Addresses({8080: inside.EVERYWHERE})
    back = threading.Timer(60, names_standby, (server, ""))  # else whoever waits without end does so here too
    names_standby(server, "nobody")
    back.start()
    try:
        for turn in (1, 2):  # at the second start a line waits to be entered
            began = time.monotonic()
            app = inside.build(data, settings, by_port, dev=True)
            async with inside.lifespan(app), inside.client(app, **inside.DEV) as calling:
                took = time.monotonic() - began
                figure(f"begins while commits wait, start {turn}", f"{took:.1f} s")
                assert took < COMES
                assert await said_and_asked(calling, turn) == (202, False)
                if turn == 2:
                    back.cancel()
                    names_standby(server, "")
                    await effective(calling, 3)
                    assert [(await said_and_asked(calling, each))[1] for each in (1, 2)] == [False, False]
    finally:
        back.cancel()
        names_standby(server, "")
