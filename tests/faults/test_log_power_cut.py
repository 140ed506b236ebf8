"""The power is cut at any moment while the log's file is written, also after syncs that failed: what was acknowledged
until then is there, where it was said to be, and no number is left out.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from support import power_cut, recording
from support.disk import STYLES, Disk
from support.examples import SOAK

from gateway.ledger import schema
from gateway.ledger.engine.sqlite_log import DOUBTS, FILE, LogFile, LogProof

pytestmark = pytest.mark.slow
IMAGES = 1000 if SOAK else 50  # of each life
NAME = bytes(range(16))
HERE = Path(__file__).parent.parent
LIVES = {
    "all is well": (("quiet",),),
    "syncs fail": (("failing",),),
    "syncs fail while it is brought over": (("bringing",), ("after",)),
    "a sync fails and the process dies": (("dying",), ("after",)),
}


def lived(recorder, world, runs, *more):
    """The calls of processes that appended, one after the other."""
    (world / "data").mkdir(parents=True)
    fails = Path(f"{recording.log_of(world)}.fails")
    for number, run in enumerate(runs):
        command = [sys.executable, "-m", "support.log_under_recorder", world / "data", NAME.hex(), str(number), fails]
        environment = {
            **os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}", "LD_PRELOAD": str(recorder),
            "RECORDER_ROOT": str(world), "RECORDER_LOG": str(recording.log_of(world)),
        }  # fmt: skip
        done = subprocess.run([*command, *run, *more], env=environment, capture_output=True, text=True)
        assert done.returncode == ("dying" in run), done.stderr[-3000:]
        fails.unlink(missing_ok=True)
    log = [recording.Event("M", 0, 0, "data", b""), *recording.events(world)]
    assert recording.missed(world, log) == []
    return log


def told_until(log):
    """(moment, what had been acknowledged by then), by each call that told."""
    told, handles, found = {}, set(), []
    for moment, event in enumerate(log, 1):
        if event.op == "O":
            (handles.add if event.path.endswith("told") else handles.discard)(event.handle)
        elif event.op == "W" and event.handle in handles:
            told |= {word: int(seq) for word, seq in map(bytes.split, event.data.splitlines())}
            found.append((moment, dict(told)))
    return found


def wrongs_in(folder, told):
    """Of a log that the next start opens."""
    try:
        with schema.held(folder):
            file = LogFile(folder, LogProof(NAME))
            db = file.opened().db
            whole = db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            kept, size = db.execute("SELECT kept, size FROM head").fetchone()
            there = dict(db.execute("SELECT leaf, seq FROM record"))
            file.let_go()
    except DOUBTS as doubt:
        return [f"not opened: {doubt}"]
    wrongs = [] if whole else ["not whole"]
    wrongs += ["a gap"] if sorted(there.values()) != list(range(kept, size)) else []
    return wrongs + [f"lost: {word}" for word, seq in told.items() if seq >= kept and there.get(word) != seq]


def cut(log, images):
    """What was wrong, by moment."""
    chance, told, broken = random.Random(7), told_until(log), {}
    first, last = told[0][0], len(log)
    moments = [chance.choice((chance.randint(first, last), chance.choice(told)[0])) for _ in range(images)]
    for seed, moment in enumerate(sorted(moments)):
        disk = Disk(seed)  # each loses other parts of what failed syncs had to write
        disk.apply(log[0])
        disk.root.kept.update(disk.root.seen)  # the data folder was there long before
        disk.root.pending.clear()
        for event in log[1:moment]:
            disk.apply(event)
        until = max((each for each in told if each[0] <= moment), key=lambda each: each[0])[1]
        with power_cut.image_of(disk.image(chance.choice(STYLES), chance.choice(STYLES), chance)) as image:
            if wrong := wrongs_in(image / "data", until):
                broken[moment] = wrong[:3]
    return broken


@pytest.mark.parametrize("life", LIVES)
def test_what_was_acknowledged_outlives_a_power_cut(recorder, tmp_path, life, figure):
    log = lived(recorder, tmp_path / "world", LIVES[life])
    broken = cut(log, IMAGES)
    failed = sum(event.op == "F" for event in log)
    figure(
        f"log, power cut, {life}", f"{IMAGES} images of {len(log)} calls, {failed} failed syncs, {len(broken)} wrong"
    )
    assert broken == {}
    assert bool(failed) == ("fail" in life)


def test_the_control_a_log_that_trusts_what_a_failed_sync_left_is_caught(recorder, tmp_path, figure):
    log = lived(recorder, tmp_path / "world", LIVES["a sync fails and the process dies"], "trusting")
    broken = cut(log, IMAGES)
    figure("log, power cut, control", f"{IMAGES} images, {len(broken)} wrong")
    assert broken


def test_the_control_a_log_that_is_not_synced_at_each_commit_is_caught(recorder, tmp_path, monkeypatch):
    """As with synchronous=NORMAL."""
    log = lived(recorder, tmp_path / "world", LIVES["all is well"])
    names = {event.handle: event.path for event in log if event.op == "O"}
    unsynced = [each for each in log if not (each.op == "S" and names.get(each.handle, "").endswith(f"{FILE}-wal"))]
    assert len(unsynced) < len(log)
    assert cut(unsynced, IMAGES)
