"""The log's file while its disk fails and its process is killed: what was acknowledged is there, once, where it was said
to be, and no number is left out.
"""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import disk_errors
from support.examples import SOAK

from gateway.ledger import schema
from gateway.ledger.engine import sqlite_log

pytestmark = pytest.mark.slow
EVERY = range(1, 21) if SOAK else (1, 2, 3, 5, 8)
KILLS, EACH = (50, 1000) if SOAK else (5, 200)
TURNS = 5  # of the control
MORE = 40  # acknowledged records between two faults
MOST = 5  # records of one batch, and so of one sync
PATIENCE = 60.0
NAME = bytes(range(16))


class AppendingProcess:
    """`runs`: of which each says other words."""

    def __init__(self, folder, module="support.appends_to_log"):
        self.folder, self.module, self.runs = folder, module, 0
        with schema.held(folder):
            sqlite_log.make_log(folder, NAME, 1)
        self.told = folder / "told"
        self.said = folder / "said"

    def start(self):
        self.runs += 1
        command = [sys.executable, "-m", self.module, str(self.folder), NAME.hex(), str(self.runs)]
        with self.told.open("ab") as told, self.said.open("ab") as said:
            self.process = subprocess.Popen(command, stdout=told, stderr=said, cwd=Path(__file__).parent.parent)
        return self.process

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def acknowledged(self):
        """Word and number of each, a line that a kill cut off left out."""
        lines = self.told.read_bytes().splitlines(keepends=True)
        pairs = [line.split() for line in lines if line.endswith(b"\n") and line.count(b" ") == 1]
        return {word: int(seq) for word, seq in pairs}

    def goes_on(self, more=MORE):
        enough, end = self.told.read_bytes().count(b"\n") + more, time.monotonic() + PATIENCE
        while self.told.read_bytes().count(b"\n") < enough:
            assert self.process.poll() is None, self.said.read_text()[-2000:]
            assert time.monotonic() < end, self.said.read_text()[-2000:]
            time.sleep(0.01)


def wrongs_in(folder, acknowledged):
    with contextlib.closing(sqlite3.connect(folder / sqlite_log.FILE)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = db.execute("SELECT seq, leaf FROM record ORDER BY seq").fetchall()
        (size,) = db.execute("SELECT size FROM head").fetchone()
    there = {leaf: seq for seq, leaf in found}
    return {
        "numbers left out": [seq for seq, _ in found] != list(range(size)),
        "doubled": len(found) - len(there),
        "lost": len([word for word in acknowledged if word not in there]),
        "elsewhere": len([word for word, seq in acknowledged.items() if there.get(word, seq) != seq]),
    }


NOTHING = {"numbers left out": False, "doubled": 0, "lost": 0, "elsewhere": 0}


@pytest.mark.parametrize(
    ("calls", "fault"),
    [("fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO")],
    ids=["a sync fails", "no room for a write", "a write fails"],
)
def test_a_disk_that_fails_at_any_call_loses_nothing_and_doubles_nothing(tmp_path, tool, calls, fault, figure):
    appending, injected = AppendingProcess(tmp_path), 0
    files = [tmp_path / f"{sqlite_log.FILE}{end}" for end in ("", "-wal")]
    process = appending.start()
    try:
        appending.goes_on()
        for nth in EVERY:
            log = tmp_path / f"strace{nth}"
            with disk_errors.failing(tool("strace"), process.pid, calls, f"error={fault}:when={nth}", log, files):
                appending.goes_on(MORE + nth * MOST)
            injected += log.read_text().count("INJECTED")
            appending.goes_on()
    finally:
        appending.kill()
    acknowledged, refused = appending.acknowledged(), appending.said.read_text().count("nothing was kept")
    figure(
        f"log, {fault} of {calls}", f"{injected} failed, {len(acknowledged)} acknowledged, {refused} refused, 0 lost"
    )
    assert injected >= len(EVERY)
    assert wrongs_in(tmp_path, acknowledged) == NOTHING


def killed_again_and_again(appending):
    for _ in range(KILLS):
        appending.start()
        try:
            appending.goes_on(EACH)
        finally:
            appending.kill()
    return appending.acknowledged()


def test_a_process_that_is_killed_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path, figure):
    acknowledged = killed_again_and_again(AppendingProcess(tmp_path))
    figure("log, SIGKILL", f"{KILLS} kills, {len(acknowledged)} acknowledged, 0 lost")
    assert len(acknowledged) >= KILLS * EACH
    assert wrongs_in(tmp_path, acknowledged) == NOTHING


def test_the_control_a_log_that_answers_before_its_commit_loses_what_it_acknowledged(tmp_path, figure):
    """A kill falls between answer and commit by luck: until one did."""
    for turn in range(TURNS):
        (folder := tmp_path / str(turn)).mkdir()
        acknowledged = killed_again_and_again(AppendingProcess(folder, "support.faulty.appends_before_commit"))
        lost = wrongs_in(folder, acknowledged)["lost"]
        figure(f"log, SIGKILL, control {turn}", f"{KILLS} kills, {len(acknowledged)} acknowledged, {lost} lost")
        if lost:
            return
    pytest.fail("it lost nothing")
