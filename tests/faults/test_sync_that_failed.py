"""A sync that failed is not made good by a later one that succeeds: Linux forgets what it could not write, and the page
cache shows it all the same until the power goes. What is acknowledged afterwards must not rest on it.
"""

import contextlib
import random
import sqlite3
import time
from collections.abc import Iterator

import pytest
from support import power_cut, recording
from support.disk import STYLES, Disk
from support.examples import SOAK
from support.people import gaid, named
from support.promises import LATER, Image, promises
from support.states import Readings
from support.together import until
from support.workload import Client, Promise, Promises

pytestmark = pytest.mark.slow
AT_ONCE = 50
EACH = 1  # image of a moment
STEP = 4 if SOAK else 12  # of the moments of a start, of which there are hundreds
DATABASE = "ledger.sqlite3"  # its own checkpoint comes once a second


@contextlib.contextmanager
def lived(recorder, world, module):
    """A recorded service with one client; afterwards `images` of it."""
    promised: Promises = {}
    with recording.recorded(recorder, world, module=module) as running:
        client = Client(running.port, 1, promised, random.Random(1))
        try:
            yield running, client, promised
        finally:
            client.hang_up()


def broken(world, promised, moments, each=EACH) -> Iterator[list[str]]:
    """What is broken in each image: `each` of a moment loses other sectors of what the failed syncs had to write, and
    of what was not synced.
    """
    recorded, readings = power_cut.read(world, promised), Readings(LATER)
    cut_at = [moment for moment in moments(recorded.log) for _ in range(each)]
    for seed, moment in enumerate(cut_at):
        disk, chance = Disk(seed), random.Random(seed)
        for event in recorded.log[:moment]:
            disk.apply(event)
        with power_cut.image_of(disk.image(chance.choice(STYLES), chance.choice(STYLES), chance)) as image:
            yield promises(Image(image, [told for told in recorded.told if told.at <= moment], readings))


def after_the_old_log_was_removed(log) -> list[int]:
    """Moments of the second start, until it answered somebody."""
    processes = [event.handle >> 32 for event in log]
    second = next(at for at, process in enumerate(processes) if process and process != processes[1])
    removed = next(at for at in range(second, len(log)) if log[at].op == "U" and "ledger" in log[at].path)
    answered = next(at for at in range(second, len(log)) if log[at].op == "A")
    return [*range(removed, answered, STEP), answered - 1]


def opt_outs(client, count):
    before = client.done
    for _ in range(count):
        client.opt_out()
    return client.done - before


def many(client, count):
    """So many people, so that the database has pages that hardly anybody else touches; a few at a time, for a slow
    machine gives up on a choice of hundreds.
    """
    for _ in range(0, count, AT_ONCE):
        whose = tuple(named("gaid", gaid(client.person())) for _ in range(AT_ONCE))
        if not client.ask("/v1/choices", {"identifiers": whose, "choice": "opt_out"}, Promise(whose)):
            return False
    return True


def killed_in_a_failed_commit(recorder, world, module="gateway"):
    """Its entries are in memory, where the next start finds them. What it changed is on pages of which the log has no
    older ones: those would stand in the place of what is lost.
    """
    with lived(recorder, world, module) as (running, client, promised):
        assert many(client, 700)
        until(running.checkpointed, "nothing was brought over")
        assert opt_outs(client, 2) == 2
        with recording.every_sync_fails(world, "ledger.sqlite3-wal"):
            opt_outs(client, 1)
            running.kill()
        client.hang_up()
        running.start()
        assert opt_outs(client, 5) == 5
        running.kill()
    return promised


@contextlib.contextmanager
def reading(running):
    """Somebody who keeps the database from bringing over what comes after now."""
    with contextlib.closing(sqlite3.connect(f"file:{running.data}/{DATABASE}?mode=ro", uri=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT size FROM head").fetchone()
        yield


def failed_in_a_checkpoint(recorder, world, module="gateway"):
    """What was brought over before, while a reader stood in the way, was to be synced with the rest."""

    def happened(op):  # reads the whole log
        return recording.happened(world, op, DATABASE)

    with lived(recorder, world, module) as (running, client, promised):
        with reading(running):  # so that none of it is brought over before the second reader stands in the way
            assert many(client, 700)
            second = contextlib.ExitStack()
            second.enter_context(reading(running))
            written = happened("W")
        with second:
            assert opt_outs(client, 1) == 1
            until(lambda: happened("W") > written, "nothing was brought over")
        with recording.every_sync_fails(world, DATABASE):
            until(lambda: happened("F"), "no sync failed")
            synced = happened("S")
        if module == "gateway":
            time.sleep(1.6)  # itself it syncs the database no more: the time of more than one checkpoint
        else:
            until(lambda: happened("S") > synced, "no second sync")
        assert opt_outs(client, 2) == 2
        running.stop()  # a clean stop brings nothing over either
        client.hang_up()
        running.start()
        assert opt_outs(client, 2) == 2
        running.kill()
    return promised


def just_before_the_stop(log) -> list[int]:
    """And a few moments on."""
    processes = [event.handle >> 32 for event in log]
    second = next(at for at, process in enumerate(processes) if process and process != processes[1])
    return [second - 2, second - 1, second, second + 60, len(log) - 1, len(log)]


WAYS = {
    "a commit, and the process was killed": (killed_in_a_failed_commit, after_the_old_log_was_removed),
    "a checkpoint": (failed_in_a_checkpoint, just_before_the_stop),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_acknowledged_after_a_sync_that_failed_outlives_a_power_cut(tmp_path, recorder, way, figure):
    live, moments = WAYS[way]
    for life in range(3):  # one that was killed between a write and its record is no recording
        world = tmp_path / str(life) / "world"
        world.parent.mkdir()
        promised = live(recorder, world)
        if not [each for each in recording.missed(world, recording.events(world)) if not each.endswith("lock.mdb")]:
            break
    found = list(broken(world, promised, moments))
    lost = [each for each in found if each]
    figure(f"failed sync of {way}", f"{len(found)} images, {len(lost)} with a loss")
    assert found
    assert lost == []


@pytest.mark.parametrize("way", WAYS)
def test_the_control_a_gateway_that_trusts_the_second_sync_loses_what_it_acknowledged(tmp_path, recorder, way, figure):
    live, moments = WAYS[way]
    for life in range(3):  # a machine that is busy elsewhere may bring nothing over in the time that it is given
        folder = tmp_path / str(life)
        folder.mkdir()
        promised = live(recorder, folder / "world", "support.faulty.trusts_a_second_sync")
        lost = next(filter(None, broken(folder / "world", promised, moments, each=2)), None)
        if lost:
            break
    figure(f"failed sync of {way}, control", f"an image of life {life + 1} has a loss")
    assert lost
