"""The power is cut at any moment while a state is kept: after the next start it is what the fold makes of the log, and
what it answers before it has caught up is so too. Shown to fail where the mark beside it is not heeded.
"""

import contextlib
import os
import pickle
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support import power_cut, recording
from support.disk import STYLES, Disk
from support.examples import SOAK
from support.state_processes import Told
from support.states import ListedLog, records_of_universe, wrongs

from gateway.state import environment
from gateway.state.environment import StateMark, StateRefused
from gateway.state.upkeep import HostState

pytestmark = pytest.mark.slow
IMAGES = 300 if SOAK else 100
LATER = 10**13
HERE = Path(__file__).parent.parent


@pytest.fixture
def recorded(recorder, tmp_path):
    """(records, the calls of a process that kept a state of them)."""
    records, world = records_of_universe(5, 120), tmp_path / "world"
    (tmp_path / "records").write_bytes(pickle.dumps(records))
    (world / "data").mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "support.state_under_recorder", world / "data", tmp_path / "records"],
        env={
            **os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}", "LD_PRELOAD": str(recorder),
            "RECORDER_ROOT": str(world), "RECORDER_LOG": str(recording.log_of(world)),
        },
        check=True,
    )  # fmt: skip
    log = [recording.Event("M", 0, 0, "data", b""), *recording.events(world)]
    assert {each for each in recording.missed(world, log) if not each.endswith("lock.mdb")} == set(), "which is mapped"
    return records, log


def starts(pipe, records, heeds_mark):
    """Opens images after a boot; what was wrong with each, and how it began."""
    environment.boot_id = lambda: b"the next boot .."
    if not heeds_mark:
        StateMark.is_whole = lambda *_: True
    with contextlib.suppress(EOFError):
        while True:
            (folder,) = pipe.recv()
            pipe.send(started(Path(folder), ListedLog(records)))


def started(folder, log):
    state, began, wrong = HostState(folder / "data"), "anew", []
    try:
        wrong += wrongs(state, log.records, LATER)
        with state.moment() as moment:
            began = "where it was" if moment.head.position else "empty"
    except StateRefused:
        pass
    honest, read = log.read, []
    log.read = lambda after: read.append(after) or honest(after)
    state.catch_up(log)
    wrong += wrongs(state, log.records, LATER)
    state.close()
    return wrong, "from its copy" if began == "anew" and read[:1] != [0] else began


def cut(recorded, images, behind, heeds_mark=True):
    """(how many images were not right, how they began). Half of them are cut right behind calls of a kind, one after
    the other. Who does not heed the mark is stopped at the first that is not right.
    """
    records, log = recorded
    chance, broken, began = random.Random(19), 0, Counter()
    disk, done, starting = Disk(), 0, Told(starts, records, heeds_mark)
    calls = [at for at, event in enumerate(log, 1) if event.op == behind]
    assert len(calls) <= images // 2, "each is met"
    anywhere = [chance.randint(1, len(log)) for _ in range(images - images // 2)]
    for moment in sorted([*anywhere, *(calls[at % len(calls)] for at in range(images // 2))]):
        for event in log[done:moment]:
            disk.apply(event)
        done = moment
        image = disk.image(chance.choice(STYLES), chance.choice(STYLES), chance)
        with power_cut.image_of({"data": None, **image}) as world:
            try:
                wrong, how = starting(world)
            except EOFError:  # it read what is no page, and was killed
                starting.end()
                wrong, how, starting = ["killed"], "killed", Told(starts, records, heeds_mark)
        broken += bool(wrong)
        began[how] += 1
        if broken and not heeds_mark:
            break
    starting.end()
    return broken, began


def test_after_a_power_cut_the_state_is_what_the_fold_makes_of_the_log(recorded, figure):
    broken, began = cut(recorded, IMAGES, behind="S")
    figure("state, power cut", f"{IMAGES} images of {len(recorded[1])} calls: {dict(began)}, {broken} wrong")
    assert broken == 0
    assert {"anew", "from its copy", "where it was"} <= began.keys()


def test_the_control_without_its_mark_a_torn_state_is_answered_from(recorded):
    assert cut(recorded, 1000, behind="W", heeds_mark=False)[0] > 0
