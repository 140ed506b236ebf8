"""The writer keeps the state of its host behind each commit and before its answer, from the records of today's ledger:
it reads on from where it was, others' records first, and folds again who is told otherwise, and nobody else. That it is
what all entries make is looked at behind every test of this folder.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import threading
import time
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import inside, states
from support.people import email, phone
from support.spellings import until

from gateway.app import maintenance, state_keeper
from gateway.app.composition import open_house
from gateway.app.state_keeper import StateKeeper
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.fold.record import ActUsed, LinkSaid, Record
from gateway.ledger import log_records, schema
from gateway.ledger.acts import office_acts
from gateway.ledger.errors import NothingKept
from gateway.ledger.log_records import PLACES, LedgerLog, all_sides
from gateway.state import environment, upkeep
from gateway.state.environment import StateRefused
from gateway.state.transactions import StateWrite
from gateway.state.upkeep import HostState, Making, fold_again
from gateway.terms import Erasing, Purpose

DAY = 86_400_000  # milliseconds: a link outlives its date by as much, for clocks may be wrong


@pytest.fixture
def state(house):
    """What the house's writer keeps."""
    return house.keeper.state


@pytest.fixture
def made(house, monkeypatch):
    """How often it was made from nothing since it was there."""
    house.writer.submit(lambda _: None).result(60)
    found, honest = [], HostState._from_nothing
    monkeypatch.setattr(HostState, "_from_nothing", lambda its, log: found.append(log) or honest(its, log))
    return found


@pytest.fixture
def steps(monkeypatch):
    inside.steps_at_once(monkeypatch)


@pytest.fixture
def looks(steps, monkeypatch):
    """The keeper, too, looks all the time."""
    monkeypatch.setattr(state_keeper, "LOOKS_EVERY", 0.02)


class KeepsNone:
    """In place of a keeper: a writer without a state."""

    watch = keep = close = begin = wants = staticmethod(lambda *_: False)
    standing = staticmethod(lambda *_: contextlib.nullcontext())


def denies(state, subject):
    with state.moment() as moment:
        standing = moment.standing(subject.key, 10**13)
    return standing is not None and standing.denies(Purpose.SALE)


def test_what_was_acknowledged_stands_in_the_state_already(story, who, state):
    person = who("email", email(1))
    story.says(person)
    assert denies(state, person)


def test_what_an_account_says_is_read_by_all_that_it_has_one_commit_later(story, who, state):
    ann, number = who("account", "ann"), who("phone", phone(1))
    story.links(ann, number)
    story.says(ann)
    assert denies(state, number)


def test_what_a_commit_said_is_not_read_back(story, who, state, made, monkeypatch):
    story.says(who("phone", phone(1)))
    read, honest = [], log_records.sides_from
    monkeypatch.setattr(log_records, "sides_from", lambda *asked: read.append(asked) or honest(*asked))
    for number in range(2, 6):
        story.says(who("phone", phone(number)))
        assert denies(state, who("phone", phone(number)))
    assert (read, made) == ([], [])


def test_what_another_process_wrote_is_folded_first(story, who, state, house):
    mine, theirs, mine_again = (who("phone", phone(number)) for number in (1, 2, 3))
    story.says(mine)
    keeper, house.writer._state = house.writer._state, KeepsNone()
    story.says(theirs)
    assert not denies(state, theirs)
    house.writer._state = keeper
    story.says(mine_again)
    assert denies(state, theirs)
    assert denies(state, mine_again)


@pytest.mark.usefixtures("steps")
def test_what_another_process_wrote_and_did_not_fold_is_folded_though_nobody_writes(story, who, state, house):
    story.says(who("phone", phone(2)))
    keeper, house.writer._state = house.writer._state, KeepsNone()
    story.says(who("phone", phone(1)))
    behind = state.position()
    house.writer._state = keeper
    with contextlib.closing(schema.open_to_read(house.writer.store.folder)) as db:
        keeper._looks_at = 0.0
        until(lambda: state.position() != behind)
        assert state.position() == LedgerLog(db).head
    assert denies(state, who("phone", phone(1)))


def test_a_link_that_is_over_by_its_date_ends_in_the_state_with_a_later_commit(story, who, state, made):
    ann, number = who("account", "ann"), who("phone", phone(1))
    story.links(ann, number, until=story.now + 1000)
    story.says(who("email", email(1)))
    is_a_day_later(story, who)
    story.says(who("email", email(2)))
    story.says(ann)
    assert not denies(state, number)
    assert len(said_again(story)) == 1
    assert made == []


def test_a_no_of_a_name_that_is_met_with_the_entry_by_which_a_link_is_over_reaches_its_account(story, who, state):
    """By that name somebody had said no while the account had it."""
    ann, number = who("account", "ann"), who("phone", phone(1))
    bare = replace(number, keys=number.keys[:1], looser=(), further=())
    story.links(ann, bare, until=story.now + 1000)
    story.says(replace(bare, keys=number.keys[1:2]))
    is_a_day_later(story, who)
    story.says(number, "limit", Purpose.SENSITIVE)
    assert len(said_again(story)) == 1
    assert denies(state, ann)


def test_a_number_that_went_back_before_its_links_date_has_nothing_of_the_account_at_that_date(story, who, state, made):
    ann, number = who("account", "ann"), who("phone", phone(1))
    story.links(ann, number, until=story.now + 1000)
    story.releases(number)
    story.says(who("email", email(1)))
    is_a_day_later(story, who)
    story.says(who("email", email(2)))
    assert said_again(story) == []
    assert made == []


def is_a_day_later(story, who):
    """As the log knows it: another one confirms the entry that says so."""
    story.at += timedelta(milliseconds=DAY + 2000)
    for _ in range(2):
        story.says(who("email", email(3)))
        story.at += timedelta(hours=1)


def said_again(story):
    """The links that are over by their date."""
    return story.do(
        lambda tx: [each for row in all_sides(tx.db) if not row.entered for each in row.records(words={LinkSaid})]
    )


def told_otherwise(story, who, house, do):
    """Each act that changes what was told before, by its name."""
    ann, number = who("account", "ann"), who("phone", phone(1))
    story.links(ann, number)
    forged = story.says(who("email", email(1))).seq
    story.says(number)
    story.says(who("phone", phone(9)))
    belief = office_acts.Belief(bytes(32), ("Ada Park", "Bo Lind"))
    at = story.at
    return {
        "a void of a choice": lambda: do(lambda tx: office_acts.void_choices(tx, [forged], belief, at)),
        "an unlink": lambda: asyncio.run(house.consent.erase(ErasureOrder(Erasing.UNLINK, [number], at))),
        "an erasure of details": lambda: asyncio.run(house.consent.erase(ErasureOrder(Erasing.DETAILS, [number], at))),
    }


ACTS = "a void of a choice", "an unlink", "an erasure of details"


@pytest.mark.parametrize("act", ACTS)
def test_who_is_told_otherwise_is_folded_again_and_nobody_else(story, who, house, do, state, made, monkeypatch, act):
    acts, again = told_otherwise(story, who, house, do), []

    def folded(keys, get, records_about):
        again.extend(records_about(keys))
        return fold_again(keys, get, records_about)

    monkeypatch.setattr(upkeep, "fold_again", folded)
    acts[act]()
    assert made == []
    assert who("phone", phone(9)).key not in {record.key for record in again}, "a stranger's records are not read"
    assert denies(state, who("phone", phone(9)))
    assert denies(state, who("email", email(1))) == (act != "a void of a choice")
    assert denies(state, who("phone", phone(1))) == (act != "an unlink")
    assert denies(state, who("account", "ann")), "what stays with others of somebody who is forgotten"


def test_who_was_forgotten_lies_in_no_file_of_the_state_once_the_next_process_has_begun(story, who, house, folder, do):
    acts = told_otherwise(story, who, house, do)
    key = who("phone", phone(1)).key
    acts["an unlink"]()
    house.writer.close()
    assert lies_in(folder, key), "the control: LMDB leaves it in pages"
    with open_house(folder, inside.settings(), dev=True) as again:
        again.writer.submit(lambda _: None).result(60)
        until(lambda: not again.keeper.state.unswept)  # the old one is swept away beside
        assert not lies_in(folder, key)
        assert denies(again.keeper.state, who("account", "ann"))


def lies_in(folder, key):
    try:
        there = [*(folder / environment.STATE).rglob("*")]
    except FileNotFoundError:  # a folder was swept away under the look: it begins again
        return lies_in(folder, key)
    for each in there:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # one that is swept away
            if key in each.read_bytes():
                return True
    return False


def test_who_was_forgotten_by_a_process_that_ended_before_it_folded_is_forgotten_too(story, who, house, do, folder):
    acts = told_otherwise(story, who, house, do)
    house.writer._state = KeepsNone()
    acts["an unlink"]()
    house.writer.close()
    with open_house(folder, inside.settings(), dev=True) as again:
        again.writer.submit(lambda _: None).result(60)
        assert not denies(again.keeper.state, who("phone", phone(1)))
        assert denies(again.keeper.state, who("account", "ann"))


def test_a_commit_whose_records_could_not_be_folded_stands_and_nobody_is_answered_from_then_on(
    story, who, state, house, monkeypatch
):
    story.says(who("phone", phone(1)))
    with monkeypatch.context() as broken:
        broken.setattr(LedgerLog, "read", lambda *_: 1 / 0)
        assert story.says(who("phone", phone(2))).seq == 1
        with pytest.raises(StateRefused):
            denies(state, who("phone", phone(1)))
        assert "ZeroDivisionError" in house.keeper.alarms()[0]
    story.says(who("phone", phone(3)))
    assert denies(state, who("phone", phone(2)))
    assert house.keeper.alarms() == []


def test_a_commit_of_which_nothing_can_be_read_stands_and_nobody_is_answered_from_then_on(
    story, who, state, house, monkeypatch
):
    story.says(who("phone", phone(1)))
    with monkeypatch.context() as broken:
        broken.setattr(state_keeper, "LedgerLog", unreadable)
        story.says(who("phone", phone(2)))
        with pytest.raises(StateRefused):
            denies(state, who("phone", phone(1)))
    story.says(who("phone", phone(3)))
    assert denies(state, who("phone", phone(2)))


def unreadable(*_):
    raise sqlite3.OperationalError("disk I/O error")


def test_whether_one_that_waits_is_held_back_keeps_no_commit_from_the_one_in_force(story, who, state, monkeypatch):
    story.says(who("phone", phone(1)))
    monkeypatch.setattr(HostState, "hold_back", refuses)
    story.says(who("phone", phone(2)))
    assert denies(state, who("phone", phone(2)))


def test_what_a_process_left_that_ended_before_it_had_swept_goes_with_the_next_one(story, who, house, folder):
    story.says(who("phone", phone(1)))
    house.writer.close()
    left = folder / environment.STATE / "left"
    left.mkdir()
    with open_house(folder, inside.settings(), dev=True) as again:
        again.writer.submit(lambda _: None).result(60)
        until(lambda: not left.exists())


def test_a_commit_that_others_could_answer_against_is_not_acknowledged(story, who, house, folder, monkeypatch):
    story.says(who("phone", phone(1)))
    with monkeypatch.context() as broken:
        broken.setattr(LedgerLog, "read", lambda *_: 1 / 0)
        broken.setattr(os, "pwrite", refuses)
        with pytest.raises(NothingKept):
            story.says(who("phone", phone(2)))


def refuses(*_):
    raise OSError(5, "Input/output error")


def test_a_state_that_is_made_while_somebody_is_forgotten_is_made_once(story, who, house, do, state, made, monkeypatch):
    """Whoever writes remembers of whom they have told nothing yet; that some of those went before it began is no doubt."""
    acts = told_otherwise(story, who, house, do)
    monkeypatch.setattr(state_keeper, "LOOKS_EVERY", 10**6)
    house.keeper._looks_at = float("inf")
    with monkeypatch.context() as broken:
        broken.setattr(LedgerLog, "read", lambda *_: 1 / 0)
        acts["an unlink"]()
    folder = house.writer.store.folder
    (folder / environment.STATE / environment.CURRENT).unlink()
    with contextlib.closing(schema.open_to_read(folder)) as db:
        db.execute("BEGIN")
        state.prepare(LedgerLog(db), Making.ANEW)
    asyncio.run(house.consent.erase(ErasureOrder(Erasing.UNLINK, [who("email", email(1))], story.at)))
    assert len(made) == 1
    assert not state.denies()
    assert not denies(state, who("phone", phone(1)))
    assert not denies(state, who("email", email(1)))
    assert denies(state, who("account", "ann"))


def test_an_operator_is_told_that_half_of_the_room_is_taken(house, monkeypatch):
    assert house.keeper.alarms() == []
    house.keeper.used = 0.6
    [alarm] = house.keeper.alarms()
    assert (
        alarm == "the state takes more than half of what its disk has room for: give DATA more (gateway help replica)"
    )


def test_a_copy_is_made_where_the_rest_would_take_too_long_and_not_again_within_the_hour(
    story, who, house, monkeypatch
):
    monkeypatch.setattr(state_keeper, "COPY_AFTER", 0.0)
    keeper, copies = StateKeeper(house.writer.store, house.keeper.state, print), []
    monkeypatch.setattr(StateKeeper, "_in_a_thread", lambda its, job: its is keeper and copies.append(job))
    story.says(who("phone", phone(1)))
    keeper._copy_or_tidy(keeper._copies_at)
    assert copies == [keeper._copied]
    keeper._copy_or_tidy(keeper._copies_at - 1)
    assert len(copies) == 1
    keeper.state.copy()
    keeper._copy_or_tidy(keeper._copies_at)
    assert len(copies) == 1, "nothing came since"
    story.says(who("phone", phone(2)))
    keeper._copy_or_tidy(keeper._copies_at)
    assert len(copies) == 2


@pytest.mark.usefixtures("steps")
def test_a_copy_that_cannot_be_made_ends_neither_the_writer_nor_an_answer_and_says_what_helps(
    story, who, house, state, monkeypatch
):
    told, keeper = [], house.keeper
    monkeypatch.setattr(keeper, "_tell", told.append)
    monkeypatch.setattr(state_keeper, "COPY_AFTER", -1.0)
    with monkeypatch.context() as broken:
        broken.setattr(environment, "make_copy", refuses)
        keeper._looks_at = keeper._copies_at = 0.0
        until(lambda: told)
    with monkeypatch.context() as broken:
        broken.setattr(HostState, "copied", lambda _: 1 / 0)
        keeper._looks_at = keeper._copies_at = 0.0
        until(lambda: len(told) > 1)
        story.says(who("phone", phone(1)))
    assert [each.partition(": ")[0] for each in told] == [
        "no copy of the state could be made (Input/output error)",
        "no copy of the state could be made (division by zero)",
    ]
    assert keeper.alarms() == told[1:]
    assert denies(state, who("phone", phone(1)))
    story.says(who("phone", phone(2)))
    keeper._looks_at = keeper._copies_at = 0.0
    until(lambda: not keeper.alarms())


@pytest.mark.usefixtures("steps")
def test_that_who_was_forgotten_lies_in_its_files_still_is_told_until_it_is_made_anew(
    story, who, house, do, folder, monkeypatch
):
    acts, key, told, keeper = told_otherwise(story, who, house, do), who("phone", phone(1)).key, [], house.keeper
    monkeypatch.setattr(keeper, "_tell", told.append)
    with monkeypatch.context() as broken:
        broken.setattr(environment, "make_compact", refuses)
        acts["an unlink"]()
        keeper._tidies_at = keeper._looks_at = 0.0
        until(lambda: told)
    assert [each.partition(", for")[0] for each in told] == ["who was forgotten lies in the state's files still"]
    assert keeper.alarms() == told
    assert lies_in(folder, key)
    keeper._tidies_at = keeper._looks_at = 0.0
    until(lambda: not keeper.alarms())
    until(lambda: not lies_in(folder, key))


@pytest.mark.usefixtures("steps")
def test_of_one_that_another_process_makes_meanwhile_nobody_is_told(story, who, house, do, folder, monkeypatch):
    acts, told, keeper = told_otherwise(story, who, house, do), [], house.keeper
    monkeypatch.setattr(keeper, "_tell", told.append)
    with environment.making(folder):
        acts["an unlink"]()
        keeper._tidies_at = keeper._looks_at = 0.0
        until(lambda: keeper._tidies_at > 0 and keeper._busy is None)
        assert keeper.state.left()
    assert told == keeper.alarms() == []
    keeper._tidies_at = keeper._looks_at = 0.0
    until(lambda: not keeper.state.left())
    assert told == []


def test_whoever_stops_waits_for_no_copy_and_nobody_is_told_of_one_that_was_given_up(
    story, who, house, folder, monkeypatch
):
    """Whoever closed an environment in which a thread reads would end the process."""
    told, keeper, copying = [], house.keeper, threading.Event()
    story.says(who("phone", phone(1)))
    monkeypatch.setattr(keeper, "_tell", told.append)
    monkeypatch.setattr(environment, "COPIED", 1)
    monkeypatch.setattr(state_keeper, "COPY_AFTER", -1.0)
    with environment.making(folder):  # nothing is swept away meanwhile
        before = sorted((folder / environment.STATE).iterdir())

    def of_millions(rows, most):
        copying.set()
        assert keeper._stop.wait(40)
        return islice(rows, most)

    monkeypatch.setattr(environment, "itertools", SimpleNamespace(islice=of_millions))
    keeper._looks_at = keeper._copies_at = 0.0
    assert copying.wait(40)
    house.writer.close()
    until(lambda: not keeper._busy)
    assert told == []
    assert sorted((folder / environment.STATE).iterdir()) == before


@pytest.mark.usefixtures("steps")
def test_who_was_forgotten_while_a_copy_was_made_is_in_none(story, who, house, do, folder, state, monkeypatch):
    acts, key = told_otherwise(story, who, house, do), who("phone", phone(1)).key
    honest = environment.make_copy

    def copied_before(*asked):
        made = honest(*asked)
        acts["an unlink"]()
        return made

    state.copy()
    assert (folder / environment.STATE / environment.COPY).exists()
    monkeypatch.setattr(environment, "make_copy", copied_before)
    state.copy()
    assert not (folder / environment.STATE / environment.COPY).exists()
    assert not denies(state, who("phone", phone(1)))
    house.keeper._tidies_at = house.keeper._looks_at = 0.0
    until(lambda: not lies_in(folder, key))
    assert denies(state, who("account", "ann"))


def test_whether_one_has_to_be_made_is_looked_at_while_nobody_commits(story, who, house, state, monkeypatch):
    """A commit of another process in between is no other log's."""
    story.says(who("phone", phone(1)))
    second, honest, commits = StateKeeper(house.writer.store, state, print), HostState.wanted, []

    def meanwhile(its, log):
        commits.append(house.writer.submit(lambda tx: tx.say([Record(tx.size, 0, b"k" * 16, ActUsed("acme"))], 0)))
        with pytest.raises(TimeoutError):
            commits[0].result(0.3)
        return honest(its, log)

    monkeypatch.setattr(HostState, "wanted", meanwhile)
    second._make()
    commits[0].result(60)
    assert not state.waits
    assert not state.denies()


@pytest.mark.usefixtures("steps")
def test_a_state_that_another_process_left_marked_is_followed_though_nobody_writes(story, who, house, state, folder):
    story.says(who("phone", phone(1)))
    environment.set_behind(folder)
    assert state.denies()
    house.keeper._looks_at = 0.0
    until(lambda: not state.denies())
    assert denies(state, who("phone", phone(1)))


def test_a_new_pepper_leaves_nothing_of_a_state_under_the_older_ones(story, who, house, folder):
    key = who("phone", phone(1))
    story.says(key)
    house.writer.close()
    house.keeper.state.close()
    assert lies_in(folder, key.key)
    maintenance.pepper(folder, inside.settings())
    assert not (folder / environment.STATE).exists()


def test_a_clean_stop_is_gone_on_from_after_a_boot(story, who, house, folder, made, monkeypatch):
    story.says(who("phone", phone(1)))
    house.writer.close()
    house.keeper.state.close()
    monkeypatch.setattr(environment, "boot_id", lambda: b"another boot ...")
    with contextlib.closing(HostState(folder, 1)) as state:
        assert denies(state, who("phone", phone(1)))


def test_a_position_is_that_of_a_record_and_of_what_it_tells(story, who, do, state):
    story.says(who("phone", phone(1)))
    position = state.position()

    def asked(tx):
        log = LedgerLog(tx.db)
        return [log.root(each) for each in (0, position, position + PLACES, position + 1)], list(log.read(position))

    (begin, there, beyond, far), left = do(asked)
    assert begin != there
    assert None not in {begin, there}
    assert (beyond, far, left) == (None, None, [])


@pytest.mark.parametrize(
    "planted",
    [
        (log_records, "CHANGES", "SELECT place, anew FROM side WHERE place >= ? AND false"),
        (LedgerLog, "read", lambda *_: iter(())),
    ],
)
def test_the_control_a_state_that_does_not_follow_is_found_at_the_end_of_a_test(
    story, who, do, house, folder, monkeypatch, planted
):
    event = story.says(who("phone", phone(1))).seq
    with monkeypatch.context() as wrong:
        wrong.setattr(*planted)
        story.says(who("phone", phone(2)))
        do(lambda tx: tx.db.execute("INSERT INTO voided_choice VALUES (?, ?, ?)", (event, event, 0)))
        house.writer.close()
    with contextlib.closing(schema.open_to_write(folder)) as db:
        assert states.wrongs_of(house.keeper.state, db) != []
        db.execute("DELETE FROM voided_choice")
        log_records.watch_deletes(db)
    shut(house, folder)


def shut(house, folder):
    """Away with the state that the fault left."""
    house.keeper.state.close()
    (folder / environment.STATE / environment.CURRENT).unlink()


@contextlib.contextmanager
def answered(house, seconds=30.0):
    """Ends once checks are."""
    yield
    ends = time.monotonic() + seconds
    while house.consent.checks.position() is None:
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("looks")
def test_a_writer_that_waited_in_vain_for_the_lock_looks_again_though_nobody_writes(
    story, who, house, folder, monkeypatch
):
    """Another process folded for long under the lock, could not follow, and ended."""
    monkeypatch.setattr(schema, "LOCK_SECONDS", 0.3)
    story.says(who("phone", phone(1)))
    with answered(house), schema.held(folder):
        environment.set_behind(folder)
        time.sleep(1.5)


@pytest.mark.slow
@pytest.mark.usefixtures("looks")
def test_where_the_state_cannot_lie_opt_outs_are_kept_and_it_comes_back_by_itself(folder):
    (folder / "state").write_text("what somebody put there")
    with open_house(folder, inside.settings(), dev=True, patient=True) as house:
        assert house.writer.submit(lambda tx: tx.size).result(60) == 0, "the ledger takes them"
        assert house.consent.checks.position() is None
        assert house.consent.refused
        with answered(house):
            (folder / "state").unlink()


@pytest.mark.slow
@pytest.mark.usefixtures("looks")
def test_a_state_that_was_taken_away_is_made_anew(story, who, house, folder):
    story.says(who("phone", phone(1)))
    with answered(house):
        shutil.rmtree(folder / "state")
        story.says(who("phone", phone(2)))


@pytest.mark.usefixtures("steps")
def test_one_with_a_torn_page_that_a_check_meets_denies_and_is_made_anew_though_nobody_writes(story, who, house, state):
    one, other = who("phone", phone(1)), who("phone", phone(2))
    story.says(one)
    story.says(other)
    torn = state._current()
    with torn.begin_writing() as txn:
        txn.put(one.key, b"torn")
    with pytest.raises(StateRefused):
        denies(state, one)
    house.keeper._looks_at = 0.0
    until(lambda: state._current() is not torn and not state.denies())
    assert denies(state, one)
    assert denies(state, other)


def test_while_the_state_answers_nobody_the_evidence_does_not_say_that_checks_were_answered(house, folder):
    assert house.fresh()
    environment.set_behind(folder)
    assert not house.fresh()


def test_a_copy_of_a_folder_in_use_is_not_answered_from(story, who, house, folder, tmp_path):
    story.says(who("phone", phone(1)))
    copied = shutil.copytree(folder, tmp_path / "copied", ignore=shutil.ignore_patterns(".*"))  # what is being written
    with (
        contextlib.closing(HostState(copied, len(house.secrets.peppers))) as state,
        pytest.raises(StateRefused, match="it is a copy"),
    ):
        state.moment()


def test_what_root_makes_of_a_state_belongs_to_the_folders_owner(folder):
    if os.geteuid():
        pytest.skip("only root can make what belongs to others")
    os.chown(folder, 65_534, 65_534)
    with open_house(folder, inside.settings(), dev=True):
        pass
    made = [folder / "state", *(folder / "state").rglob("*")]
    assert {each.stat().st_uid for each in made} == {65_534}


def copied(state):
    """As soon as nobody else makes one: the keeper does by itself, and sweeps."""
    while True:
        with contextlib.suppress(BlockingIOError):
            return state.copy()
        time.sleep(0.05)


def test_one_that_does_not_fit_leaves_no_half_of_it(story, who, house, folder, monkeypatch):
    story.says(who("phone", phone(1)))
    before = sorted((folder / "state").iterdir())

    def breaks_off(_, path, **__):
        (Path(path) / "data.mdb").write_bytes(bytes(4096))
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(environment, "_put_mark", lambda folder, **_: breaks_off(None, folder))
    with pytest.raises(StateRefused, match="no room"):
        copied(house.keeper.state)
    assert sorted(each for each in (folder / "state").iterdir() if each.name != "making") == [
        each for each in before if each.name != "making"
    ]


def test_none_is_begun_on_a_disk_that_has_no_room_left_for_opt_outs(story, who, house, monkeypatch):
    story.says(who("phone", phone(1)))
    usage = shutil.disk_usage(house.keeper.state._data)._replace(free=environment.FLOOR)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StateRefused, match="no room"):
        copied(house.keeper.state)


def test_a_backlog_is_folded_in_parts_and_nobody_is_answered_before_its_end(story, who, house, monkeypatch):
    monkeypatch.setattr(upkeep, "SLICE", 2)
    keeper, house.writer._state = house.writer._state, KeepsNone()
    for number in range(9):
        story.says(who("phone", phone(number)))
    house.writer._state = keeper
    keeper._slices = 2
    story.says(who("phone", phone(20)))
    assert house.consent.checks.position() is None
    while keeper.state.denies():
        house.writer.submit(lambda _: None).result(60)
    assert house.consent.checks.position() == 10


def test_a_process_without_the_newest_pepper_leaves_the_state_to_those_who_have_it(story, who, house, folder):
    story.says(who("phone", phone(1)))
    house.keeper.state.epoch += 1  # as if the ledger's were fewer
    house.writer.submit(lambda _: None).result(60)
    assert "newest pepper" in house.keeper.alarms()[0]
    house.keeper.state.epoch -= 1
    with house.keeper.state.moment() as moment:
        assert moment.head.entries == 1, "it was not made anew, and not marked as behind"


@pytest.mark.slow
def test_one_of_another_ledger_that_is_as_long_is_made_anew_though_nobody_writes(story, who, house, do):
    story.says(who("phone", phone(1)))
    state = house.keeper.state
    with StateWrite(state._current()) as write:
        write.finish(bytes(32), write.head.position, write.head.entries)
    until(lambda: house.consent.checks.position() is None)
    until(lambda: house.consent.checks.position() == 1)
