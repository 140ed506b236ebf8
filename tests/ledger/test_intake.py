import asyncio
import contextlib
import errno
import json
import os
import sqlite3
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import SimpleNamespace

import lmdb
import pytest
from support import inside
from support.people import email, named
from support.spellings import until

from gateway.app import maintenance, state_keeper
from gateway.app.composition import kept_beside, open_house
from gateway.desk import emergency
from gateway.desk.kept_request import KeptRequest
from gateway.keys import secret_files
from gateway.ledger import schema
from gateway.ledger import writer as writing
from gateway.ledger.acts import idempotency
from gateway.ledger.audit import examination
from gateway.ledger.errors import EntryUnread, LedgerRefused, StoreUnavailable
from gateway.ledger.subjects import Choice
from gateway.state.lookup import StateMoment
from gateway.state.upkeep import HostState
from gateway.terms import ChoiceKind, Purpose

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def waiting(folder):
    """Requests that were kept while the ledger was away; whoever opens the installation takes them in."""
    with opened(folder) as house:
        people = house.consent.people
    file, later = kept_beside(folder, inside.settings(), secret_files.load_secrets(folder))
    file.path.parent.mkdir(exist_ok=True)
    for each in (file, later):  # as they are once something was signed
        each.path.touch(0o600)

    def keep(
        person: int, *, key: str = "", request: bytes | None = None, signal: bool = False, file=file, after: int = 0
    ) -> KeptRequest:
        subjects = people.name([named("email", email(person))]).subjects
        choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "gpc" if signal else "api", AT + timedelta(seconds=after))
        repeat = idempotency.named(key, b"{}")
        kept = KeptRequest(request or os.urandom(16), subjects, choice, repeat, signal=signal)
        file.keep(kept)
        return kept

    keep.file = file
    return keep


def opened(folder):
    return open_house(folder, inside.settings(), dev=True)


def opt_outs(folder):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM entry ORDER BY seq")]
    return [body for body in bodies if body["e"] == "opt_out"]


def test_what_waits_is_entered_before_anybody_is_answered_and_denies(folder, waiting):
    kept = waiting(1)
    with opened(folder) as house:
        assert house.consent.checks.read_back(kept.subjects, [Purpose.SALE]) == {"sale": "opted_out"}
        assert house.consent.refused == ""
    assert not waiting.file.waiting()


def test_an_entry_has_the_time_at_which_it_was_accepted_and_the_id_that_was_told(folder, waiting):
    kept = waiting(1)
    with opened(folder) as house:
        [receipt] = house.consent.log_reader.receipts([kept.request])
        assert receipt is not None
    assert [body["t"] for body in opt_outs(folder)] == ["2026-11-24T12:00Z"]


def test_a_crash_between_entering_and_emptying_enters_nobody_twice(folder, waiting, monkeypatch):
    for person in range(5):
        waiting(person)
    with monkeypatch.context() as crash:
        crash.setattr(type(waiting.file), "clear", lambda *_: False)
        with opened(folder):
            assert waiting.file.waiting()
    assert len(opt_outs(folder)) == 5
    with opened(folder):
        assert not waiting.file.waiting()
    assert len(opt_outs(folder)) == 5


def test_while_something_waits_no_check_is_answered(folder, waiting, monkeypatch):
    kept = waiting(1)
    monkeypatch.setattr(type(waiting.file), "clear", lambda *_: False)
    with opened(folder) as house:
        assert house.consent.checks.position() is None
        assert house.consent.checks.read_back(kept.subjects, [Purpose.SALE]) == {"sale": "unknown"}
        assert house.consent.refused == emergency.WAITS


def test_an_opt_out_that_a_service_keeps_under_a_cookie_key_that_is_retired_meanwhile_is_entered(folder, waiting):
    """It goes on with the keys that it started with, as a machine does that is cut off from the others."""
    maintenance.replace_key(folder, inside.settings(), maintenance.RekeyKind.COOKIE)
    maintenance.retire(folder, inside.settings(), maintenance.RekeyKind.COOKIE, early=True)
    kept = waiting(1)
    with opened(folder) as house:
        assert house.consent.checks.read_back(kept.subjects, [Purpose.SALE]) == {"sale": "opted_out"}
    assert (waiting.file.waiting(), waiting.file.unread()) == (False, False)


def test_the_same_idempotency_key_sent_twice_is_one_entry_and_answers_a_third_the_same(folder, waiting):
    waiting(1, key="k1")
    waiting(1, key="k1")
    with opened(folder) as house:
        name = idempotency.named("k1", b"{}")
        answer, replayed = house.writer.submit(lambda tx: idempotency.once(tx, name, 0, lambda: b"new")).result(60)
        assert replayed
        assert len(json.loads(answer)) == 1
    assert len(opt_outs(folder)) == 1


@pytest.mark.parametrize("behind", [0, 30], ids=["clocks alike", "one behind"])
@pytest.mark.parametrize("says_yes", [True, False])
def test_a_no_that_was_sent_again_to_another_machine_stands_behind_a_yes_whatever_the_clocks_say(
    folder, waiting, behind, says_yes
):
    with opened(folder) as house:
        subjects = house.consent.people.name([named("email", email(1))]).subjects

        def say(kind, after, **more):
            choice = Choice(kind, (Purpose.SALE,), "api", AT + timedelta(seconds=after))
            asyncio.run(house.consent.choose(subjects, choice, **more))

        say(ChoiceKind.OPT_OUT, 0, key="k1", body=b"{}")
        if says_yes:
            say(ChoiceKind.OPT_IN, 10)
    waiting(1, key="k1", after=20 - behind)
    with opened(folder) as house:
        assert house.consent.checks.read_back(subjects, [Purpose.SALE]) == {"sale": "opted_out"}
    assert len(opt_outs(folder)) == (2 if says_yes or not behind else 1)


def test_a_key_that_was_used_for_something_else_costs_nobody_their_opt_out(folder, waiting):
    with opened(folder) as house:
        other = idempotency.named("k1", b"another body")
        house.writer.submit(lambda tx: idempotency.once(tx, other, int(AT.timestamp() * 1000), lambda: b"[]")).result(
            60
        )
    waiting(1, key="k1")
    with opened(folder):
        assert len(opt_outs(folder)) == 1


def test_a_signal_that_is_no_news_is_not_entered_again(folder, waiting):
    waiting(1, signal=True)
    waiting(1, signal=True)
    with opened(folder):
        assert len(opt_outs(folder)) == 1


def test_many_are_entered_in_several_transactions_each_once(folder, waiting, monkeypatch):
    monkeypatch.setattr(emergency, "AT_ONCE", 3)
    for person in range(10):
        waiting(person)
    with opened(folder):
        assert len(opt_outs(folder)) == 10


def test_one_that_the_ledger_refuses_is_laid_aside_and_keeps_nobody_else_out(folder, waiting, monkeypatch):
    bad = waiting(1)
    waiting(2)
    enter = KeptRequest.enter

    def refuses(self, tx, **late):
        if self.request == bad.request:
            raise ValueError("an entry too long")
        return enter(self, tx, **late)

    monkeypatch.setattr(KeptRequest, "enter", refuses)
    with opened(folder):
        assert not waiting.file.waiting()
        assert waiting.file.unread()
    assert len(opt_outs(folder)) == 1


@pytest.mark.parametrize("ahead", [True, False], ids=["ahead", "behind"])
def test_one_near_whom_a_row_is_damaged_waits_until_it_is_mended_and_keeps_nobody_else_out(
    folder, waiting, monkeypatch, ahead
):
    """In the meantime nobody is allowed; laid aside it would be entered by nobody, and its person allowed."""
    enter, damaged, first, told = KeptRequest.enter, [True], [], "what was said by entry 3 cannot be read"

    def meets_it(self, tx, **late):
        if damaged and self.request in (first or first.append(self.request) or first):
            raise EntryUnread(told)
        return enter(self, tx, **late)

    monkeypatch.setattr(KeptRequest, "enter", meets_it)
    with opened(folder) as house:
        file = house.consent.emergency if ahead else house.consent.later
        waiting(1, file=file)
        waiting(2, file=file)
        until(lambda: len(opt_outs(folder)) == 1, 30)
        until(lambda: file.unentered == told, 30)
        until(lambda: len(file.read().requests) == 1, 30)
        if ahead:
            until(lambda: told in house.consent.refused, 30)
            assert house.consent.checks.position() is None
        damaged.clear()
        until(lambda: not file.waiting(), 30)
        until(lambda: house.consent.refused == "", 30)
        assert (len(opt_outs(folder)), file.unread()) == (2, False)


def test_a_line_that_stays_is_not_written_anew_at_each_try(folder, waiting, monkeypatch):
    def meets_it(*_, **late):
        raise EntryUnread("what was said by entry 3 cannot be read")

    waiting(1)
    monkeypatch.setattr(KeptRequest, "enter", meets_it)
    with opened(folder):
        lies = waiting.file.path.stat()
        tried = []
        monkeypatch.setattr(KeptRequest, "enter", lambda *_, **__: tried.append(1) or meets_it())
        until(lambda: len(tried) > 1, 30)
        now = waiting.file.path.stat()
    assert (now.st_ino, now.st_mtime_ns) == (lies.st_ino, lies.st_mtime_ns)


def laid_aside(file):
    """As an older release lays aside what it cannot open."""
    file.path.rename(file.path.with_suffix(".unread"))


def test_what_an_older_release_laid_aside_is_entered_before_anybody_is_answered_and_once(folder, waiting, monkeypatch):
    kept = waiting(1)
    laid_aside(waiting.file)
    with monkeypatch.context() as crash:
        crash.setattr(type(waiting.file), "clear", lambda *_: False)
        with opened(folder) as house:
            assert house.consent.checks.position() is None
    with opened(folder) as house:
        assert house.consent.checks.read_back(kept.subjects, [Purpose.SALE]) == {"sale": "opted_out"}
        assert house.consent.refused == ""
    assert (waiting.file.waiting(), waiting.file.unread(), len(opt_outs(folder))) == (False, False, 1)


@pytest.mark.parametrize("ahead", [False, True], ids=["behind", "ahead"])
def test_what_a_worker_of_an_older_release_lays_aside_meanwhile_is_entered(folder, waiting, ahead):
    with opened(folder) as house:
        file = house.consent.emergency if ahead else house.consent.later
        waiting(1, file=file)
        with contextlib.suppress(FileNotFoundError):  # it may be entered by now
            laid_aside(file)
        until(lambda: len(opt_outs(folder)) == 1, 30)
        until(lambda: not file.waiting() and not file.unread(), 30)


@pytest.mark.parametrize("torn", [lmdb.CorruptedError("a page is of another kind"), struct.error("too short")])
def test_a_state_that_cannot_be_read_keeps_nothing_out_of_the_ledger(folder, waiting, monkeypatch, torn):
    """What stood is folded from what was said, then: the ledger itself can be read and written."""

    def fails(*_):
        raise torn

    with opened(folder):
        monkeypatch.setattr(StateMoment, "get", fails)
        waiting(1, signal=True)
        waiting(2)
        until(lambda: not waiting.file.waiting(), 30)
        assert not waiting.file.unread()
        assert len(opt_outs(folder)) == 2


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), LedgerRefused("restart it")])
def test_what_the_disk_refuses_waits_until_it_is_taken(folder, waiting, monkeypatch, failure):
    enter, failed = KeptRequest.enter, []

    def fails_twice(self, tx, **late):
        if len(failed) < 2:
            failed.append(1)
            raise failure
        return enter(self, tx, **late)

    monkeypatch.setattr(KeptRequest, "enter", fails_twice)
    waiting(1)
    with opened(folder):
        until(lambda: not waiting.file.waiting(), 30)
        assert not waiting.file.unread()
        assert len(opt_outs(folder)) == 1


def test_a_turn_that_fails_in_a_way_nobody_foresaw_is_not_the_last(folder, waiting, monkeypatch):
    honest, failed = emergency.Intake.once, []

    def once(intake):
        if len(failed) == 1:
            failed.append(True)
            raise RuntimeError("nobody foresaw it")
        return honest(intake)

    monkeypatch.setattr(emergency.Intake, "once", once)
    with opened(folder):
        failed.append(True)
        until(lambda: len(failed) == 2)
        waiting(1)
        until(lambda: not waiting.file.waiting())
    assert len(opt_outs(folder)) == 1


@pytest.fixture
def behind(folder, waiting, monkeypatch):
    """The file of what is entered behind everything else, and an intake that takes it in when it is told to."""
    file, later = kept_beside(folder, inside.settings(), secret_files.load_secrets(folder))
    monkeypatch.setattr(emergency.Intake, "_turn", lambda _: None)
    with opened(folder) as house:
        yield later, emergency.Intake(file, house.writer, SimpleNamespace(prove=lambda: None), later)


@pytest.mark.parametrize("ahead", [False, True], ids=["behind", "ahead"])
def test_a_process_of_before_a_newer_pepper_lays_nothing_aside(folder, waiting, behind, ahead):
    """It cannot read what those that were started since have kept, and may write nothing until it is restarted."""
    later, intake = behind
    file = waiting.file if ahead else later
    waiting(1, file=file)
    kept = file.path.read_bytes()
    file.path.write_bytes(kept[1:])
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        db.execute("UPDATE head SET peppers = 2")
        db.commit()
    assert not (intake.once() if ahead else intake.enter_later())
    assert (file.path.read_bytes(), file.unread()) == (kept[1:], False)


@pytest.fixture
def looked_at(monkeypatch):
    """The requests that were looked at, in their order; what is set in `meanwhile` is called at each."""
    found, honest = [], KeptRequest.enter_once

    def enter_once(kept, tx):
        looked_at.meanwhile()
        found.append(kept.request)
        return honest(kept, tx)

    def looked_at():
        return found

    looked_at.meanwhile = lambda: None
    monkeypatch.setattr(KeptRequest, "enter_once", enter_once)
    return looked_at


def test_what_comes_without_end_is_looked_at_once_each_and_its_file_does_not_grow(folder, waiting, behind, looked_at):
    later, intake = behind
    more, sizes = iter(range(100, 120)), []
    looked_at.meanwhile = lambda: [waiting(person, file=later) for person in islice(more, 1)]
    for person in range(4):
        waiting(person, file=later)
    while not intake.enter_later():
        sizes.append(len(later.read().requests))
    assert max(sizes) <= 4
    assert len(looked_at()) == len(set(looked_at())) == len(opt_outs(folder)) == 24


@pytest.mark.parametrize("ahead", [False, True], ids=["behind", "ahead"])
def test_a_pass_that_is_cut_off_has_come_further_than_the_one_before(
    folder, waiting, behind, looked_at, monkeypatch, ahead
):
    later, intake = behind
    file = waiting.file if ahead else later
    monkeypatch.setattr(emergency, "AT_ONCE", 2)
    for person in range(8):
        waiting(person, file=file)

    def breaks():
        if len(looked_at()) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")

    looked_at.meanwhile = breaks
    assert not (intake.once() if ahead else intake.enter_later())
    assert len(file.read().requests) == 4
    looked_at.meanwhile = lambda: None
    assert intake.once()
    assert intake.enter_later()
    assert len(opt_outs(folder)) == 8


@pytest.mark.parametrize("ahead", [False, True], ids=["behind", "ahead"])
def test_on_a_full_disk_everything_is_entered_all_the_same(folder, waiting, behind, monkeypatch, ahead):
    """It has no room for a second file with what is left; once nothing is left it needs none."""
    later, intake = behind
    file = waiting.file if ahead else later
    monkeypatch.setattr(emergency, "AT_ONCE", 2)
    for person in range(7):
        waiting(person, file=file)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(emergency, "write_durably", full)
    assert intake.once() if ahead else intake.enter_later()
    assert len(opt_outs(folder)) == 7
    assert not file.waiting()


def test_an_end_does_not_wait_for_a_disk_that_says_nothing(folder, waiting, monkeypatch):
    says, stands = threading.Event(), threading.Event()
    monkeypatch.setattr(emergency, "ENDS_WITHIN", 0.2)
    with opened(folder):
        monkeypatch.setattr(emergency.Emergency, "read", lambda _: stands.set() or (says.wait(60) and None))
        waiting(1)
        assert stands.wait(30)
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert waiting.file.waiting()
    says.set()


def test_a_writer_that_does_not_end_leaves_the_stop_in_doubt_and_the_state_open(folder, monkeypatch):
    """It may be in both, and goes on in them; the next start reads every page."""
    says, stands = threading.Event(), threading.Event()
    monkeypatch.setattr(writing, "ENDS_WITHIN", 0.2)
    with opened(folder) as house:
        acts = house.writer.submit(lambda _: stands.set() or says.wait(60))
        assert stands.wait(30)
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert isinstance(acts.exception(0), StoreUnavailable)
    assert (folder / examination.NAME).read_bytes() == examination.MARK
    says.set()
    house.writer._thread.join(60)
    assert house.writer.close()
    monkeypatch.setattr(house.keeper.state, "_left", False)
    house.keeper.state.close()


def test_a_copy_of_the_state_that_takes_long_holds_up_no_stop_and_leaves_none_in_doubt(folder, monkeypatch):
    goes_on, begun = threading.Event(), threading.Event()
    monkeypatch.setattr(state_keeper, "COPY_AFTER", -1.0)
    monkeypatch.setattr(state_keeper, "BESIDE_ENDS", 0.2)
    monkeypatch.setattr(HostState, "copy", lambda _: begun.set() or goes_on.wait(60))
    with opened(folder) as house:
        assert begun.wait(30)
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert (folder / examination.NAME).read_bytes() == b""
    goes_on.set()
    monkeypatch.setattr(house.keeper.state, "_left", False)
    house.keeper.state.close()
