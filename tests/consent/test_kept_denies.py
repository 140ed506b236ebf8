"""A no that is kept beside the ledger denies in every process of its host from before it is answered until it is entered,
without any proof between: none comes here unless a test asks for it.
"""

import asyncio
import contextlib
import errno
import os
import random
import shutil
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from support import inside
from support.people import email, named

from gateway.app.composition import kept_beside, open_house
from gateway.desk import emergency
from gateway.desk.emergency import Intake
from gateway.desk.kept_request import KeptRequest
from gateway.keys import secret_files
from gateway.ledger import watch
from gateway.ledger.subjects import Choice
from gateway.ledger.writer import Writer
from gateway.state.upkeep import Making
from gateway.terms import ChoiceKind, Purpose

LONG = 3600.0
ANSWERED, DENIED, OUT = {"sale": "none"}, {"sale": "unknown"}, {"sale": "opted_out"}


def opened(folder):
    return open_house(folder, inside.settings(), dev=True)


@pytest.fixture
def seldom(monkeypatch):
    """Of proofs there is the first; nothing is taken in by itself."""
    monkeypatch.setattr(watch, "TERM_OF_A_FILE", LONG)
    monkeypatch.setattr(watch.FileWatch, "term", LONG)
    monkeypatch.setattr(watch, "PERIOD", LONG)
    monkeypatch.setattr(emergency, "PERIOD", LONG)


@pytest.fixture
def workers(folder, seldom):
    """Two processes' worth of one host, both answering; a third one keeps."""
    with opened(folder) as first:
        first.writer.submit(lambda tx: None).result(60)
        file, later = kept_beside(folder, inside.settings(), secret_files.load_secrets(folder))
        file.path.parent.mkdir(exist_ok=True)
        for each in (file, later):
            each.path.touch(0o600)
        with opened(folder) as second:
            prove(first)
            yield SimpleNamespace(first=first, second=second, both=(first, second), file=file, later=later)


def prove(house):
    house.consent.checks._lookup._vouches.prove()


def request_of(house, person=1):
    subjects = house.consent.people.name([named("email", email(person))]).subjects
    return KeptRequest(os.urandom(16), subjects, Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", datetime.now(UTC)))


def told(workers, kept):
    return [house.consent.checks.read_back(kept.subjects, [Purpose.SALE]) for house in workers.both]


def taken_in(workers, house=None):
    house = house or workers.first
    return Intake(workers.file, house.writer, SimpleNamespace(prove=lambda: None), workers.later).once()


def in_the_data_folder(workers):
    return workers.file._instead


@pytest.mark.parametrize("where", [lambda workers: workers.file, in_the_data_folder], ids=["beside", "data folder"])
def test_it_denies_in_every_process_at_once_and_until_it_is_entered(workers, where):
    kept = request_of(workers.first)
    assert told(workers, kept) == [ANSWERED, ANSWERED]
    where(workers).keep(kept)
    assert told(workers, kept) == [DENIED, DENIED]
    assert taken_in(workers)
    assert told(workers, kept) == [OUT, OUT]


def test_a_choice_that_is_answered_as_kept_is_followed_by_no_allow(workers, monkeypatch):
    kept = request_of(workers.first)
    monkeypatch.setattr(Writer, "hangs", lambda _: True)
    chosen = asyncio.run(workers.first.consent.choose(kept.subjects, kept.choice))
    assert chosen.effective_at is None
    assert told(workers, kept) == [DENIED, DENIED]


def test_another_workers_commit_lets_nobody_be_answered_again(workers):
    kept = request_of(workers.first)
    workers.file.keep(kept)
    workers.second.writer.submit(lambda tx: None).result(60)
    assert told(workers, kept) == [DENIED, DENIED]


def test_a_state_that_is_made_anew_meanwhile_answers_nobody_either(workers):
    kept, keeper = request_of(workers.first), workers.first.keeper
    workers.file.keep(kept)
    before = keeper.state._held.folder
    with keeper._log_in_force() as log:
        keeper.state.prepare(log, Making.ANEW)
    workers.first.writer.submit(lambda tx: None).result(60)
    assert keeper.state._held.folder != before
    assert told(workers, kept) == [DENIED, DENIED]
    assert taken_in(workers)
    assert told(workers, kept) == [OUT, OUT]


def test_between_the_last_entry_and_the_clearing_nobody_is_answered(workers, monkeypatch):
    kept = request_of(workers.first)
    workers.file.keep(kept)
    with monkeypatch.context() as killed:
        killed.setattr(type(workers.file), "clear", lambda *_: False)
        assert not taken_in(workers)
    assert told(workers, kept) == [DENIED, DENIED]
    assert taken_in(workers, workers.second)
    assert told(workers, kept) == [OUT, OUT]


def test_who_reads_while_it_is_entered_and_taken_out_is_told_of_it(workers, monkeypatch):
    """Looked at behind the reading, the file would be empty, and what was read of before the entry."""
    kept, lookup = request_of(workers.first), workers.second.consent.checks._lookup
    workers.file.keep(kept)
    honest = lookup._opened

    @contextlib.contextmanager
    def paused():
        with honest() as moment:
            taken_in(workers)
            yield moment

    monkeypatch.setattr(lookup, "_opened", paused)
    assert told(workers, kept)[1] == DENIED


def test_half_a_line_that_a_killed_process_left_denies_until_it_is_cleared_away(workers):
    kept = request_of(workers.first)
    workers.file.path.write_bytes(b"half a line")
    assert told(workers, kept) == [DENIED, DENIED]
    assert taken_in(workers)
    assert told(workers, kept) == [ANSWERED, ANSWERED]


def test_what_is_left_in_a_file_that_was_written_anew_denies(workers):
    ours, others = request_of(workers.first), request_of(workers.first, 2)
    workers.file.keep(ours)
    before = workers.file.read()
    workers.file.keep(others)
    workers.file.clear(before)
    assert told(workers, others) == [DENIED, DENIED]
    prove(workers.second)
    assert told(workers, others) == [DENIED, DENIED]
    assert taken_in(workers)
    prove(workers.second)
    assert told(workers, others) == [DENIED, OUT]
    prove(workers.first)
    assert told(workers, others) == [OUT, OUT]


def test_in_a_file_that_cannot_be_opened_something_may_lie(workers, monkeypatch):
    """Another one took its place, and this process has no descriptor left."""
    path = workers.file.path
    shutil.copy(path, path.with_name("other")).replace(path)
    monkeypatch.setattr(emergency.os, "open", lambda *_: (_ for _ in ()).throw(OSError(errno.EMFILE, "too many")))
    assert emergency.what_waits(workers.file) == emergency.WAITS


@pytest.mark.parametrize("mended", ["emptied", "taken away", "another one"])
def test_where_somebody_mends_the_file_by_hand_it_denies_no_longer_than_until_the_next_proof(workers, mended):
    kept, path = request_of(workers.first), workers.file.path
    workers.file.keep(kept)
    if mended == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()
    if mended == "another one":
        path.touch(0o600)
    for house in workers.both:
        prove(house)
    assert told(workers, kept) == [ANSWERED, ANSWERED]
    path.touch(0o600)
    for house in workers.both:
        prove(house)
    workers.file.keep(kept)
    assert told(workers, kept) == [DENIED, DENIED]


@pytest.mark.parametrize("seed", range(4))
def test_in_any_order_nobody_is_answered_while_something_waits(workers, monkeypatch, seed):
    """An allow beside a line that waits, or once it is entered, ends it."""
    chance, waits, entered = random.Random(seed), [], []
    people = iter(range(10, 10_000))

    def keep():
        waits.append(request_of(workers.first, next(people)))
        chance.choice([workers.file, in_the_data_folder(workers)]).keep(waits[-1])

    def enter(*, cut=False):
        with monkeypatch.context() as killed:
            if cut:
                killed.setattr(type(workers.file), "clear", lambda *_: False)
            if taken_in(workers, chance.choice(workers.both)) and not cut:
                entered.extend(waits)
                waits.clear()

    def anew():
        keeper = chance.choice(workers.both).keeper
        with contextlib.suppress(Exception), keeper._log_in_force() as log:
            keeper.state.prepare(log, chance.choice([Making.ANEW, Making.COMPACT]))

    def commit():
        chance.choice(workers.both).writer.submit(lambda tx: None).result(60)

    steps = [keep, enter, lambda: enter(cut=True), anew, commit, lambda: prove(chance.choice(workers.both))]
    for _ in range(40):
        chance.choice(steps)()
        for kept in waits:
            assert told(workers, kept) == [DENIED, DENIED]
        for kept in entered:
            assert ANSWERED not in told(workers, kept)
    commit()
    enter()
    for house in workers.both:
        prove(house)
    assert not waits
    assert told(workers, request_of(workers.first, next(people))) == [ANSWERED, ANSWERED]
