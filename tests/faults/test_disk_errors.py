"""The disk fails under the running service, in every way at every call: an opt-out is kept or refused, never lost, and
the service goes on once the disk does, or says why it does not.
"""

import contextlib
import sqlite3
import subprocess
import sys
import time

import pytest
from support import disk_errors
from support.examples import SOAK
from support.people import gaid, named
from support.ports import free_port
from support.service import service
from support.wire import call, reasons

from gateway.ledger import tree

pytestmark = pytest.mark.slow
EVERY = range(1, 21) if SOAK else (1, 2, 3, 8, 20)
ACTS = 24  # each has a write and a sync of every file: the twentieth comes
MORE = 2  # acts that follow a failure
KEPT, REFUSED = {201, 202}, {503}


class Tally:
    """Who was acknowledged over the life of one installation, and who was refused."""

    def __init__(self):
        self.person, self.acknowledged, self.statuses = 0, [], []

    def opt_out(self, url, key=""):
        self.person += 1
        body = {"identifiers": [named("gaid", gaid(self.person))], "choice": "opt_out"}
        status, answer = call(f"{url}/v1/choices", body, headers={"Idempotency-Key": key} if key else {})
        assert status in KEPT | REFUSED, answer
        self.statuses.append(status)
        if status in KEPT:
            self.acknowledged.append(self.person)
        return status

    def told(self):
        return f"{len(self.acknowledged)} acknowledged, {self.statuses.count(503)} refused, 0 lost"

    def lost(self, running):
        found = reasons(running.port, [named("gaid", gaid(person)) for person in self.acknowledged])
        return len(found) - found.count("opted_out")


def heals(running, within=60):
    deadline = time.monotonic() + within
    while call(f"{running.url}/readyz", key="")[0] != 200:
        assert time.monotonic() < deadline, call(f"{running.url}/readyz", key="")
        time.sleep(0.05)


def whole(running):
    """Entries, head and tree belong together."""
    with contextlib.closing(sqlite3.connect(f"file:{running.data}/ledger.sqlite3?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (size,), (entries,) = (
            db.execute(f"SELECT {what}").fetchone() for what in ("size FROM head", "count(*) FROM entry")
        )
        tree.prove(db)
    assert size == entries


def proved(running, tally):
    """Nothing acknowledged is lost, now and after a restart; an opt-out is taken again."""
    for again in (False, True):
        if again:
            running.start()
        heals(running)
        assert tally.opt_out(running.url) == 201
        assert tally.lost(running) == 0
        running.stop()
        whole(running)


def every_file(_):
    return ()


def last_checkpoint(running):
    """The file of its slots, which the first act has laid out."""
    return tuple(running.data.with_name("data.checkpoints").glob("*.checkpoint"))


FILES = {"every file": every_file, "the last checkpoint": last_checkpoint}


@pytest.mark.parametrize("files", FILES)
def test_a_sync_that_fails_at_any_place_loses_nothing_acknowledged(tmp_path, tool, files, figure):
    tally = Tally()
    with service(tmp_path) as running:
        assert tally.opt_out(running.url) == 201
        injected = fails_at_every_place(tally, running, tool("strace"), ("fdatasync", "EIO", FILES[files](running)))
        proved(running, tally)
    figure(f"EIO of fdatasync, {files}", f"{injected} failed, {tally.told()}")
    assert injected >= len(EVERY)


@pytest.mark.parametrize("files", FILES)
def test_a_write_that_finds_no_room_at_any_place_loses_nothing_acknowledged(tmp_path, tool, files, figure):
    tally = Tally()
    with service(tmp_path) as running:
        assert tally.opt_out(running.url) == 201
        injected = fails_at_every_place(tally, running, tool("strace"), ("pwrite64", "ENOSPC", FILES[files](running)))
        proved(running, tally)
    figure(f"ENOSPC of pwrite64, {files}", f"{injected} failed, {tally.told()}")
    assert injected >= len(EVERY)


def fails_at_every_place(tally, running, strace, fault):
    """How often it did: the first call of a kind, the second and so on, while people opt out."""
    (call_, error, only), injected = fault, 0
    for nth in EVERY:
        log = running.data.with_name(f"{call_}{nth}")
        with disk_errors.failing(strace, running.process.pid, call_, f"error={error}:when={nth}", log, only):
            for _ in range(ACTS):
                tally.opt_out(running.url)
                if "INJECTED" in log.read_text():
                    break
            for _ in range(MORE):
                tally.opt_out(running.url)
        injected += log.read_text().count("INJECTED")
        heals(running)
    return injected


def test_a_repetition_after_a_failed_sync_is_the_same_choice(tmp_path, tool):
    """Refused or acknowledged, the caller asks again with the same key: one entry a person in the end."""
    tally = Tally()
    with service(tmp_path) as running:
        for nth in (1, 2, 3):
            log = tmp_path / f"fsync{nth}"
            with disk_errors.failing(
                tool("strace"), running.process.pid, "fsync,fdatasync", f"error=EIO:when={nth}", log
            ):
                tally.opt_out(running.url, key=f"key{nth}")
            heals(running)
            tally.person -= 1
            body = {"identifiers": [named("gaid", gaid(tally.person + 1))], "choice": "opt_out"}
            tally.person += 1
            headers = {"Idempotency-Key": f"key{nth}"}
            assert call(f"{running.url}/v1/choices", body, headers=headers)[0] in {200, 201}
        proved(running, tally)
        with contextlib.closing(sqlite3.connect(f"file:{running.data}/ledger.sqlite3?mode=ro", uri=True)) as db:
            assert db.execute("SELECT max(n) FROM (SELECT count(*) n FROM detail GROUP BY key)").fetchone() == (1,)


def test_a_disk_that_is_really_full_refuses_plainly_and_takes_opt_outs_again_when_there_is_room(tmp_path, figure):
    tally = Tally()
    with disk_errors.own_disk(tmp_path / "disk", 16) as disk, service(disk) as running:
        for _ in range(5):
            assert tally.opt_out(running.url) == 201
        with disk_errors.filled(disk):
            during = [tally.opt_out(running.url) for _ in range(20)]
            ready = call(f"{running.url}/readyz", key="")[0]
        proved(running, tally)
        running.stop()
    figure("a full disk", f"{during.count(503)} of {len(during)} refused with 503, 0 acknowledged ones lost")
    assert during[-1] == 503
    assert ready == 503


def test_a_disk_that_was_full_at_the_start_says_so_and_starts_once_there_is_room(tmp_path):
    with disk_errors.own_disk(tmp_path / "disk", 4) as disk:
        with disk_errors.filled(disk):
            said = started(disk / "data")
        assert "cannot be written to" in said
        assert "Traceback" not in said
        with service(disk) as running:
            assert Tally().opt_out(running.url) == 201


def test_a_read_only_disk_is_refused_with_the_reason_and_nothing_on_it_is_touched(tmp_path):
    tally = Tally()
    with disk_errors.own_disk(tmp_path / "disk", 16) as disk:
        with service(disk) as running:
            assert tally.opt_out(running.url) == 201
        before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
        disk_errors.read_only(disk)
        said = started(disk / "data")
        assert "Read-only file system" in said
        assert "Traceback" not in said
        assert {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()} == before


def test_a_disk_that_turns_read_only_under_the_service_refuses_and_heals(tmp_path, tool):
    tally, calls = Tally(), "pwrite64,ftruncate,mkdir,rename,unlink,fsync,fdatasync"
    with service(tmp_path) as running:
        assert tally.opt_out(running.url) == 201
        pid, log = running.process.pid, tmp_path / "log"
        with disk_errors.failing(tool("strace"), pid, calls, "error=EROFS", log):
            assert {tally.opt_out(running.url) for _ in range(3)} == {503}
        proved(running, tally)


def test_a_file_that_may_not_grow_breaks_off_in_the_middle_of_a_write_and_loses_nothing(tmp_path, figure):
    tally = Tally()
    with service(tmp_path) as running:
        for size in (100, 5_000, 40_000, 100_000, 200_000):
            with disk_errors.may_not_grow(running.process.pid, size):
                for _ in range(3):
                    tally.opt_out(running.url)
            heals(running)
        proved(running, tally)
    refused = tally.statuses.count(503)
    figure("a file that may not grow", f"{refused} of {len(tally.statuses)} refused with 503, 0 acknowledged ones lost")
    assert refused


def test_the_control_a_writer_that_shrugs_at_errors_loses_what_a_full_disk_did_not_take(tmp_path):
    tally, module = Tally(), "support.faulty.shrugs_at_errors"
    with disk_errors.own_disk(tmp_path / "disk", 16) as disk, service(disk, module=module) as running:
        for _ in range(6):
            running.stop()
            running.start()  # a clean stop leaves a log without room; what it has grew before may hold the first few
            with disk_errors.filled(disk):
                for _ in range(3):
                    tally.opt_out(running.url)
            try:
                heals(running, within=20)
            except AssertionError:  # such a one may also wait for ever for what it took to be written
                running.kill()
                continue
            if tally.lost(running):
                break
        assert tally.lost(running) > 0


def started(data):
    """What a start says that must end by itself."""
    command = [sys.executable, "-m", "gateway", "serve", "--dev", "--port", str(free_port()), "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3, done.stderr
    return done.stdout + done.stderr
