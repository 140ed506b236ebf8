"""A sync that failed is not made good by a later one that succeeds: Linux forgets what it could not write, and the page
cache shows it all the same until the power goes. What is acknowledged afterwards must not rest on it.
"""

import contextlib
import random
import shutil
import sqlite3
import time

import pytest
from support import power_cut, recording
from support.disk import STYLES, Disk, written
from support.people import gaid, named
from support.promises import Image, promises
from support.workload import Client, Promise, Promises

pytestmark = pytest.mark.slow
SETTLES = 1.6  # seconds: the database's own checkpoint comes once a second


@contextlib.contextmanager
def lived(recorder, world):
    """A recorded service with one client; afterwards `images` of it."""
    promised: Promises = {}
    with recording.recorded(recorder, world) as running:
        client = Client(running.port, 1, promised, random.Random(1))
        yield running, client, promised
        client.hang_up()


def broken(world, promised, scratch, moments=lambda log: [len(log)] * 8) -> dict[int, list[str]]:
    """What is broken in images of some moments, the end if nothing else is said; each loses other sectors of what the
    failed syncs had to write, and of what was not synced.
    """
    recorded, found = power_cut.read(world, promised), {}
    for seed, moment in enumerate(moments(recorded.log)):
        disk, chance = Disk(seed), random.Random(seed)
        for event in recorded.log[:moment]:
            disk.apply(event)
        image = written(disk.image(chance.choice(STYLES), chance.choice(STYLES), chance), scratch / "image")
        said = promises(Image(image, [told for told in recorded.told if told.at <= moment]))
        shutil.rmtree(image)
        if said:
            found[moment] = said
    return found


def while_it_started_again(log) -> list[int]:
    """Forty moments of the second process before it answered anybody."""
    processes = [event.handle >> 32 for event in log]
    second = [at for at, process in enumerate(processes) if process and process != processes[1]]
    answered = next(at for at in second if log[at].op == "A")
    return random.Random(1).sample(range(second[0], answered), 40)


def opt_outs(client, count):
    before = client.done
    for _ in range(count):
        client.opt_out()
    return client.done - before


def many(client, count):
    """One choice of so many, so that the database has pages that hardly anybody else touches."""
    whose = tuple(named("gaid", gaid(client.person())) for _ in range(count))
    return client.ask("/v1/choices", {"identifiers": whose, "choice": "opt_out"}, Promise(whose))


def test_a_commit_whose_sync_failed_is_not_found_again_by_the_next_start(tmp_path, recorder):
    world = tmp_path / "world"
    with lived(recorder, world) as (running, client, promised):
        assert opt_outs(client, 5) == 5
        with recording.every_sync_fails(world, "ledger.sqlite3-wal"):
            opt_outs(client, 1)
            running.kill()
        client.hang_up()
        running.start()
        assert opt_outs(client, 5) == 5
        running.kill()
    assert broken(world, promised, tmp_path) == {}
    assert broken(world, promised, tmp_path, while_it_started_again) == {}


def test_a_checkpoint_whose_sync_failed_is_not_finished_by_one_that_succeeds(tmp_path, recorder):
    """What was brought over before, while a reader stood in the way, was to be synced with the rest."""
    world = tmp_path / "world"
    with lived(recorder, world) as (running, client, promised):
        assert many(client, 700)
        with contextlib.closing(sqlite3.connect(f"file:{running.data}/ledger.sqlite3?mode=ro", uri=True)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT size FROM head").fetchone()
            assert opt_outs(client, 1) == 1
            time.sleep(SETTLES)
        with recording.every_sync_fails(world, "ledger.sqlite3"):
            time.sleep(SETTLES)
        time.sleep(SETTLES)
        assert opt_outs(client, 2) == 2
        running.kill()
    assert broken(world, promised, tmp_path) == {}
