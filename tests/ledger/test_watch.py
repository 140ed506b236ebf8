import contextlib
import threading
from types import SimpleNamespace

import pytest

from gateway.ledger import schema, watch
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.store import SqliteStore
from gateway.ledger.watch import TERM_OF_A_FILE, FileMoved, FileWatch, HostWatch


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(watch, "PERIOD", 0.01)
    return Clock()


@pytest.fixture
def watching(folder, clock):
    made = FileWatch(SqliteStore(folder), 1, clock)
    made.start()
    yield made
    made.stop()


def soon(condition):
    """Whether it becomes true within the watch's next rounds."""
    import time

    for _ in range(300):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_answers_are_fresh_from_the_first_proof(watching):
    assert watching.fresh()
    assert (watching.generation, watching.healthy) == (1, True)


def test_a_proof_is_good_for_its_term_and_not_longer(folder, clock):
    made = FileWatch(SqliteStore(folder), 1, clock)
    made._prove()
    clock.now += TERM_OF_A_FILE - 0.001
    assert made.fresh()
    clock.now += 0.002
    assert not made.fresh()
    made.stop()


def test_a_proof_that_was_under_way_when_the_writer_failed_proves_nothing(folder, clock):
    """The file went away behind its last look: only the writer knows."""
    made = FileWatch(SqliteStore(folder), 1, clock, judge=lambda _: failing.pop()())
    failing = [lambda: False, made.failed, lambda: False]
    made.prove()
    assert made.fresh()
    made.prove()
    assert (made.fresh(), made.healthy) == (False, False)
    made.prove()
    assert (made.fresh(), made.generation) == (True, 2)
    made.stop()


def test_the_term_counts_from_before_the_proof_not_from_its_end(folder, clock):
    def ticking():
        clock.now += 0.4
        return clock.now

    made = FileWatch(SqliteStore(folder), 1, ticking)
    made._prove()
    assert made.fresh_until == pytest.approx(1000.4 + TERM_OF_A_FILE)
    made.stop()


def test_proofs_follow_each_other_while_the_file_is_there(watching, clock):
    clock.now += 100
    assert soon(watching.fresh)
    assert watching.generation == 1


def test_a_renamed_file_makes_every_answer_stale_and_its_return_makes_readers_open_it_anew(folder, watching):
    file = folder / schema.FILE
    file.rename(folder / "away")
    assert soon(lambda: not watching.fresh())
    with pytest.raises(OSError, match="No such file"):
        watching.prove_file()
    (folder / "away").rename(file)
    assert soon(watching.fresh)
    assert watching.generation == 2


def test_another_file_under_the_same_name_is_not_the_ledger(folder, watching):
    file = folder / schema.FILE
    file.rename(folder / "away")
    file.write_bytes((folder / "away").read_bytes())
    assert soon(lambda: not watching.fresh())
    with pytest.raises(FileMoved):
        watching.prove_file()


def test_an_overwritten_header_makes_every_answer_stale(folder, watching):
    file = folder / schema.FILE
    with file.open("r+b") as out:
        good = out.read(16)
        out.seek(0)
        out.write(b"\0" * 16)
    assert soon(lambda: not watching.fresh())
    with file.open("r+b") as out:
        out.write(good)
    assert soon(watching.fresh)
    assert watching.generation == 2


def test_keys_under_other_peppers_find_nobody_so_nothing_is_fresh(folder, watching):
    with contextlib.closing(schema.open_to_write(folder)) as db:
        db.execute("UPDATE head SET peppers = 2")
        assert soon(lambda: not watching.fresh())
        with pytest.raises(FileMoved, match="wrapped by 2 peppers, this process has 1: restart it"):
            watching.prove_peppers(db)


def test_a_process_with_the_wrong_pepper_count_does_not_start(folder, clock):
    made = FileWatch(SqliteStore(folder), 2, clock)
    with pytest.raises(FileMoved, match="restart it"):
        made.start()
    assert not made.fresh()
    made.stop()


def test_a_missing_ledger_does_not_start(tmp_path, clock):
    with pytest.raises(FileNotFoundError):
        FileWatch(SqliteStore(tmp_path), 1, clock).start()


def test_after_a_failed_commit_nothing_is_fresh_until_the_next_proof(folder, clock):
    made = FileWatch(SqliteStore(folder), 1, clock)
    made._prove()
    made.failed()
    assert not made.fresh()
    made._prove()
    assert (made.fresh(), made.generation) == (True, 2)
    made.stop()


@pytest.mark.parametrize("fault", [OSError(27, "File too large"), ValueError("closed"), RuntimeError("anything")])
def test_a_doubt_that_cannot_be_told_does_not_end_the_watch(folder, clock, fault):
    """A full disk may hold the log as well."""

    def told(_):
        raise fault

    made = FileWatch(SqliteStore(folder), 1, clock, tell=told)
    made.start()
    (folder / "ledger.sqlite3").rename(folder / "away")
    assert soon(lambda: made.why)
    (folder / "away").rename(folder / "ledger.sqlite3")
    assert soon(lambda: made.healthy)
    made.stop()


def test_a_judge_that_fails_in_a_way_nobody_foresaw_ends_no_watch(folder, clock):
    failing = [False, True, True]
    made = FileWatch(
        SqliteStore(folder), 1, clock, judge=lambda _: 1 // (not failing.pop(0) if failing else 1), tell=str
    )
    made.start()
    assert soon(lambda: made.why == "ZeroDivisionError: integer division or modulo by zero")
    assert soon(lambda: made.fresh() and not made.why)
    made.stop()


class TestWithAJudge:
    """Another file may become the ledger only where it has everything that was signed."""

    @pytest.fixture
    def said(self):
        return {"grown": True, "told": []}

    @pytest.fixture
    def judged(self, folder, clock, said):
        made = FileWatch(SqliteStore(folder), 1, clock, judge=lambda _: said["grown"], tell=said["told"].append)
        made.start()
        yield made
        made.stop()

    def put_another(self, folder):
        """At no moment there is none."""
        file, another = folder / schema.FILE, folder / "another"
        another.write_bytes(file.read_bytes())
        another.replace(file)

    def test_a_file_that_grew_out_of_what_was_signed_is_taken_and_readers_and_writer_open_it_anew(self, folder, judged):
        (folder / schema.FILE).rename(folder / "gone")
        assert soon(lambda: not judged.fresh())
        (folder / "gone").rename(folder / schema.FILE)
        assert soon(judged.fresh)
        before = judged.generation
        self.put_another(folder)
        assert soon(lambda: judged.adopted == 1)
        assert soon(judged.fresh)
        judged.prove_file()
        assert judged.generation >= before

    def test_readers_open_it_anew_also_where_no_proof_failed_meanwhile(self, folder, clock):
        made, file = FileWatch(SqliteStore(folder), 1, clock, judge=lambda _: True), folder / schema.FILE
        made._prove()
        (folder / "other").write_bytes(file.read_bytes())
        (folder / "other").replace(file)
        made._prove()
        assert (made.adopted, made.generation, made.fresh()) == (1, 2, True)
        made.stop()

    def test_one_that_nobody_can_vouch_for_is_not(self, folder, judged, said):
        said["grown"] = False
        self.put_another(folder)
        assert soon(lambda: not judged.fresh())
        assert judged.adopted == 0
        assert "another file" in judged.why

    def test_a_patient_watch_starts_with_a_refused_file_says_why_once_and_heals(self, folder, clock):
        told, refusing = [], [True]

        def judge(_):
            if refusing[0]:
                raise LedgerRefused("an older copy: gateway restore --new-log")
            return True

        made = FileWatch(SqliteStore(folder), 1, clock, judge=judge, tell=told.append)
        made.start(patient=True)
        assert not made.fresh()
        assert made.why == "an older copy: gateway restore --new-log"
        refusing[0] = False
        assert soon(made.fresh)
        assert (made.why, told) == ("", ["an older copy: gateway restore --new-log"])
        made.stop()

    def test_a_sound_file_is_not_answered_from_while_something_waits(self, folder, clock):
        waits = ["requests wait"]
        made = FileWatch(SqliteStore(folder), 1, clock, waits=lambda: waits[0], tell=lambda _: None)
        made.start()
        assert (made.healthy, made.fresh(), made.why) == (True, False, "requests wait")
        made.prove_file()
        waits[0] = ""
        assert soon(made.fresh)
        made.stop()


def test_a_stop_waits_no_longer_for_a_disk_that_says_nothing_and_takes_nothing_from_under_it(
    folder, clock, monkeypatch
):
    monkeypatch.setattr(watch, "ENDS_WITHIN", 0.01)
    stands, says, still = threading.Event(), threading.Event(), []
    made = FileWatch(SqliteStore(folder), 1, clock, judge=lambda _: bool(still and (stands.set(), says.wait(60))))
    made.start()
    still.append(True)
    assert stands.wait(30)
    try:
        made.stop()
        made.prove_file()
    finally:
        says.set()
    made._thread.join(60)
    made.stop()
    assert not made._seen


def test_where_the_writer_does_not_end_its_file_stays_open_and_its_locks_are_kept(folder, clock):
    """Whoever closes any descriptor of a file drops all locks that the process has on it."""
    made = FileWatch(SqliteStore(folder), 1, clock)
    made.start()
    made.leave()
    made.stop()
    made.prove_file()
    made._left = False
    made.stop()


def test_what_other_machines_are_told_that_this_one_has_is_what_it_answers_by_from_then_on():
    watch, told = HostWatch(None, 1, state=SimpleNamespace(applied=lambda: 7)), []
    watch._db = SimpleNamespace(acknowledge=lambda applied: told.append((applied, watch.reaches)))
    watch._acknowledge()
    assert told == [(7, 7)]
