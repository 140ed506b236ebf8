"""The weekly change of what wraps the records' keys: nobody's living key is lost by it, and an erased one dies by it."""

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from support import inside
from support.people import email, named
from support.promises import named_keys

from gateway.app import maintenance
from gateway.app.composition import migrate, open_house, verify_ledger
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.keys import epochs, secret_files
from gateway.keys.epochs import Epochs
from gateway.keys.person_keys import POOL, Vault
from gateway.ledger import erasure_steps, schema
from gateway.ledger.erasure_steps import EpochTurn
from gateway.ledger.errors import LedgerRefused, NothingKept
from gateway.ledger.publisher import checkpoints_beside
from gateway.ledger.subjects import Choice, milliseconds, moment
from gateway.ledger.writer import CHECKPOINT_EVERY
from gateway.terms import ALL_PURPOSES, ChoiceKind, Erasing

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SETTINGS = inside.settings()
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
KEPT = timedelta(days=7)  # config.toml: keys_backup_days
LASTS = WEEK + DAY + KEPT
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def steps(monkeypatch):
    inside.steps_at_once(monkeypatch)


@pytest.fixture
def folder(tmp_path):
    """As an operator makes it: its keys' first week has not begun, unlike in the folder that other tests copy."""
    migrate(tmp_path / "data")
    return tmp_path / "data"


def wraps(folder):
    return secret_files.load_secrets(folder).wraps


def opened(folder, at):
    return open_house(folder, SETTINGS, dev=True, clock=lambda: at)


def people(house, *numbers):
    return house.consent.people.name([named("email", email(number)) for number in numbers]).subjects


def opt_out(folder, at, *numbers):
    with opened(folder, at) as house:
        for one in people(house, *numbers):
            choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", at, details={"page": "settings"})
            asyncio.run(house.consent.choose([one], choice))
        settled(folder, at)


def erase(folder, at, mode, number):
    """Returns the date that it states."""
    with opened(folder, at) as house:
        asyncio.run(house.consent.erase(ErasureOrder(Erasing(mode), people(house, number), at)))
        settled(folder, at)
        return asyncio.run(house.consent.forgotten_by())


def turned(folder, at):
    """Somebody writes at that moment, and goes on until there is nothing left to turn."""
    with opened(folder, at) as house:
        house.writer.submit(lambda tx: tx.size).result(60)
        settled(folder, at)


def settled(folder, at):
    turn, deadline = EpochTurn(folder, wraps(folder), lambda: at, KEPT), time.monotonic() + 30
    while turn.is_due():
        assert time.monotonic() < deadline, "it comes to no end"
        time.sleep(0.02)


def lost(folder):
    report, _ = verify_ledger(folder, SETTINGS, boxes=True)
    return [said for said in report.different if "keys" in said]


def numbers(folder):
    return [each.number for each in Epochs(folder, wraps(folder)).all]


def under(folder):
    """{epoch: how many keys it wraps}."""
    with contextlib.closing(sqlite3.connect(folder / "vault.sqlite3")) as db:
        return dict(db.execute("SELECT epoch, count(*) FROM person GROUP BY epoch"))


def keys_of(folder, seq):
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        [person] = db.execute("SELECT person FROM detail WHERE seq = ?", (seq,)).fetchone()
    with contextlib.closing(Vault(folder, wraps(folder))) as vault:
        return vault.keys(person)


def test_a_week_later_every_key_is_wrapped_anew_and_opens_what_it_opened(folder):
    opt_out(folder, AT, 1, 2, 3)
    before = [keys_of(folder, seq) for seq in range(3)]
    [first] = under(folder)
    turned(folder, AT + WEEK)
    assert set(under(folder)) == {first + 1}
    assert [keys_of(folder, seq) for seq in range(3)] == before
    assert lost(folder) == []


def test_nothing_turns_before_the_week_is_over(folder):
    opt_out(folder, AT, 1)
    before = numbers(folder)
    turned(folder, AT + WEEK - SECOND)
    assert numbers(folder) == before


def test_the_stated_date_is_the_one_on_which_the_epochs_key_dies(folder):
    opt_out(folder, AT, 1, 2)
    [first] = under(folder)
    stated = erase(folder, AT + 3 * DAY, "erase_details", 1)
    assert stated == AT + LASTS
    for week in (1, 2):
        turned(folder, AT + week * WEEK)
    turned(folder, stated - SECOND)
    assert first in numbers(folder), "until then a backup of the keys may be put back"
    turned(folder, stated)
    assert first not in numbers(folder)
    assert lost(folder) == []
    assert keys_of(folder, 1).details


def test_what_is_stated_stays_true_though_backups_are_kept_for_longer_from_now_on(folder):
    opt_out(folder, AT, 1)
    [first] = under(folder)
    stated = erase(folder, AT, "unlink", 1)
    longer = EpochTurn(folder, wraps(folder), lambda: stated, timedelta(days=300))
    with (
        schema.held(folder),
        contextlib.closing(schema.open_to_write(folder)) as db,
        contextlib.closing(Vault(folder, wraps(folder))) as vault,
    ):
        while longer.is_due():
            longer.step(db, vault)
    assert first not in numbers(folder)


def test_a_service_that_was_away_for_a_month_loses_nobody_and_buries_what_is_due(folder):
    opt_out(folder, AT, 1, 2)
    [first] = under(folder)
    turned(folder, AT + 4 * WEEK)
    assert first not in numbers(folder)
    assert lost(folder) == []


def test_a_clock_that_was_years_ahead_for_a_moment_postpones_no_date(folder):
    opt_out(folder, AT + 1500 * DAY, 1)
    stated = erase(folder, AT, "erase_details", 1)
    assert stated == AT + LASTS
    for at in (AT + WEEK, stated):
        turned(folder, at)
    assert all(moment(each.begun) >= AT + WEEK for each in Epochs(folder, wraps(folder)).all)
    assert lost(folder) == []


def test_what_a_killed_run_left_of_its_pool_goes_with_its_epoch_and_that_a_key_was_destroyed_stays(folder):
    opt_out(folder, AT, 1, 2)
    erase(folder, AT, "unlink", 1)
    with contextlib.closing(Vault(folder, wraps(folder))) as killed:
        killed.new_person()
    [first] = under(folder)
    assert sum(under(folder).values()) == 3 + POOL
    turned(folder, AT + WEEK)
    assert under(folder) == {first: 2 + POOL, first + 1: 1}
    turned(folder, AT + LASTS)
    assert under(folder)[first] == 2, "the two entries of the one who was unlinked"


def test_every_key_that_anything_on_record_names_is_found_a_part_at_a_time(story, who, monkeypatch):
    monkeypatch.setattr(erasure_steps, "NAMED", 3)
    for number in range(4):
        story.says(who("email", email(number)))
        story.links(who("account", f"a{number}"), who("phone", f"+1415555010{number}"))

    def walked(tx):
        found, place = [], erasure_steps.NamesPlace()
        while place:
            some, place = erasure_steps.names_after(tx.db, place)
            assert len(some) <= 3
            found += some
        return found, named_keys(tx.db)

    found, named_by_all = story.do(walked)
    assert sorted(found) == sorted(named_by_all)
    assert len(found) > 8


STEPS = (
    (Epochs, "begin"),
    (Vault, "rewrap_some"),
    (Epochs, "mark"),
    (Vault, "sweep"),
    (Epochs, "drop"),
    (Vault, "_fill"),
)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("owner", "step"), STEPS, ids=[name for _, name in STEPS])
def test_a_turn_that_is_cut_off_at_any_step_loses_nobody_and_is_finished_by_the_next_start(
    folder, tmp_path, owner, step, when
):
    opt_out(folder, AT, 1, 2, 3)
    erase(folder, AT, "erase_details", 3)
    [first] = under(folder)
    died, real = tmp_path / "died", getattr(owner, step)

    def copy():
        if not died.exists():
            shutil.copytree(folder, died)
            shutil.copytree(checkpoints_beside(folder), checkpoints_beside(died))

    def dies(*arguments, **more):
        if when == "before":
            copy()
        done = real(*arguments, **more)
        copy()
        return done

    with mock.patch.object(owner, step, dies):
        opt_out(folder, AT + LASTS, 4)
    assert died.exists()
    opt_out(died, AT + LASTS, 5)
    assert first not in numbers(died)
    assert set(under(died)) <= {first, first + 1}
    assert lost(died) == []
    assert [bool(keys_of(died, seq).details) for seq in range(3)] == [True, True, False]
    assert keys_of(died, 2).openings


def test_the_control_an_epoch_that_is_dropped_too_early_takes_living_keys_with_it_and_verify_says_so(
    folder, monkeypatch
):
    opt_out(folder, AT, 1, 2)
    monkeypatch.setattr(Vault, "rewrap_some", lambda *_: (0, True))
    turned(folder, AT + LASTS)
    assert lost(folder) == ["the keys of entry 0 are lost", "the keys of entry 1 are lost"]


def test_a_step_that_fails_holds_up_no_opt_out_and_is_tried_again_later(folder, monkeypatch):
    opt_out(folder, AT, 1)
    [first] = under(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "begin", mock.Mock(side_effect=OSError("the disk is full")))
        with opened(folder, AT + WEEK) as house:
            for number in (2, 3):
                choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", AT)
                asyncio.run(house.consent.choose(people(house, number), choice))
            assert Epochs.begin.call_count == 1
        assert set(under(folder)) == {first}
    turned(folder, AT + WEEK)
    assert lost(folder) == []


def test_a_process_that_does_not_know_the_newest_secrets_buries_nothing_that_they_open(folder):
    opt_out(folder, AT, 1)
    older, newer = wraps(folder), (*wraps(folder), os.urandom(32))
    with contextlib.closing(Vault(folder, newer)) as vault:
        vault.epochs.begin(9, milliseconds(AT + WEEK), milliseconds(AT + WEEK + LASTS))
        person = vault.new_person()
    turn = EpochTurn(folder, older, lambda: AT + 5 * WEEK, KEPT)
    with schema.held(folder), contextlib.closing(schema.open_to_write(folder)) as db:
        db.execute("UPDATE detail SET person = ? WHERE seq = 0", (person.person,))
        with contextlib.closing(Vault(folder, older)) as vault:
            vault.new_person()
            for _ in range(20):
                turn.step(db, vault)
    with contextlib.closing(Vault(folder, newer)) as vault:
        assert vault.keys(person.person) == person


class TestAFileThatCannotBeRead:
    """Nothing of it is lost: it is waited for, or lies aside until it is mended or all of it is dead."""

    def test_for_a_moment_costs_one_answer_and_nothing_else(self, folder):
        opt_out(folder, AT, 1)
        before = keys_of(folder, 0)
        with opened(folder, AT) as house:
            house.writer.submit(lambda tx: tx.size).result(60)
            Epochs(folder, wraps(folder)).mark(numbers(folder), copied=True)  # as the nightly backup does
            with mock.patch.object(epochs, "read_epochs", side_effect=OSError(errno.EMFILE, "Too many open files")):
                time.sleep(1.5 * CHECKPOINT_EVERY)  # meanwhile the writer looks between two batches
                with pytest.raises(NothingKept):
                    house.writer.submit(lambda tx: tx.size).result(60)
            assert house.writer.submit(lambda tx: tx.size).result(60) == 1
        assert not epochs.laid_aside(folder)
        assert keys_of(folder, 0) == before

    def test_when_the_service_starts_lets_it_start_and_keeps_opt_outs_beside(self, folder):
        opt_out(folder, AT, 1)
        with mock.patch.object(epochs, "read_epochs", side_effect=PermissionError(errno.EACCES, "Permission denied")):
            with (
                open_house(folder, SETTINGS, dev=True, clock=lambda: AT, patient=True) as house,
                pytest.raises(NothingKept),
            ):
                house.writer.submit(lambda tx: tx.size).result(60)
            with pytest.raises(PermissionError), opened(folder, AT):
                pass

    def test_and_is_damaged_lies_aside_is_told_in_the_date_and_comes_back_by_a_copy_put_beside(self, folder, tmp_path):
        opt_out(folder, AT, 1)
        before, copies = keys_of(folder, 0), tmp_path / "secrets"
        maintenance.back_up_secrets(folder, copies)
        (folder / epochs.FILE).write_bytes(b"{")
        os.utime(folder / epochs.FILE, times=((AT + DAY).timestamp(),) * 2)
        opt_out(folder, AT + 2 * DAY, 2)
        assert EpochTurn(folder, wraps(folder), lambda: AT + 2 * DAY, KEPT).forgotten_by() == AT + 2 * DAY + LASTS
        with pytest.raises(LedgerRefused, match="stays as it is"):
            maintenance.back_up_secrets(folder, copies, lambda: AT + 2 * DAY)
        assert keys_of(folder, 0).details is None
        shutil.copy(copies / epochs.FILE, folder / f"{epochs.ASIDE}copy")
        turned(folder, AT + 3 * DAY)
        assert keys_of(folder, 0) == before
        maintenance.back_up_secrets(folder, copies, lambda: AT + 3 * DAY)
        assert len(epochs.laid_aside(folder)) == 1, "the damaged one, until the last that it may hold is dead"
        turned(folder, AT + DAY + LASTS)
        assert not epochs.laid_aside(folder)

    def test_that_comes_back_amid_a_turn_has_what_it_wraps_wrapped_anew_before_it_dies(
        self, folder, tmp_path, monkeypatch
    ):
        opt_out(folder, AT, 1)
        before, copies = keys_of(folder, 0), maintenance.back_up_secrets(folder, tmp_path / "secrets").parent
        (folder / epochs.FILE).write_bytes(b"{")
        opt_out(folder, AT + 2 * DAY, 2)
        monkeypatch.setattr(erasure_steps, "NAMED", 1)
        monkeypatch.setattr(erasure_steps, "PASSED", 0.0)
        turn = EpochTurn(folder, wraps(folder), lambda: AT + 2 * DAY + WEEK, KEPT)
        with (
            schema.held(folder),
            contextlib.closing(schema.open_to_write(folder)) as db,
            contextlib.closing(Vault(folder, wraps(folder))) as vault,
        ):
            while turn._place.key != (0,):  # another epoch begins, and a key is passed over that nobody can open
                turn.step(db, vault)
            shutil.copy(copies / epochs.FILE, folder / f"{epochs.ASIDE}copy")
            while turn.is_due():
                turn.step(db, vault)
        assert keys_of(folder, 0) == before
        assert set(under(folder)) == {numbers(folder)[-1]}


class TestABackup:
    @pytest.fixture
    def copies(self, folder, tmp_path):
        """Of everything, before one of the two is erased."""
        opt_out(folder, AT, 1, 2)
        kept = (
            maintenance.back_up_keys(folder, tmp_path / "keys", lambda: AT),
            maintenance.back_up_secrets(folder, tmp_path / "secrets").parent,
            tmp_path / "ledger",
        )
        maintenance.back_up(folder, kept[2])
        return kept

    def test_of_the_keys_opens_with_that_of_the_secrets_until_the_date_and_not_after(self, copies, tmp_path):
        keys, secrets, ledger = copies
        for name, at, opens in (("in time", AT + LASTS - SECOND, True), ("too late", AT + LASTS, False)):
            maintenance.put_back(tmp_path / name, SETTINGS, ledger, keys, secrets, lambda at=at: at)
            assert (keys_of(tmp_path / name, 0).details is not None) == opens
            assert bool(lost(tmp_path / name)) != opens

    def test_that_is_put_back_beside_a_newer_ledger_brings_no_erased_details_back(self, folder, copies, tmp_path):
        keys, secrets, _ = copies
        erase(folder, AT + DAY, "erase_details", 1)
        maintenance.back_up(folder, tmp_path / "newer")
        maintenance.put_back(tmp_path / "again", SETTINGS, tmp_path / "newer", keys, secrets, lambda: AT + DAY)
        assert keys_of(tmp_path / "again", 0).details is None
        assert keys_of(tmp_path / "again", 0).openings
        assert keys_of(tmp_path / "again", 1).details

    def test_of_the_ledger_finds_the_keys_destroyed_where_they_are_not_lost(self, folder, copies):
        _, _, ledger = copies
        erase(folder, AT + DAY, "erase_details", 1)
        maintenance.put_back(folder, SETTINGS, ledger, None, None, lambda: AT + DAY)
        assert keys_of(folder, 0).details is None
        assert keys_of(folder, 1).details
        assert lost(folder) == []

    def test_that_is_put_back_is_turned_again_before_anything_of_it_dies(self, folder, copies, tmp_path):
        keys, _, ledger = copies
        turned(folder, AT + WEEK)
        (folder / "vault.sqlite3").rename(tmp_path / "lost")
        (folder / "vault.sqlite3-wal").unlink(missing_ok=True)
        maintenance.put_back(folder, SETTINGS, ledger, keys, None, lambda: AT + WEEK)
        turned(folder, AT + LASTS)
        assert lost(folder) == []
        assert keys_of(folder, 1).details

    def test_of_the_secrets_holds_the_newest_epochs_alone_and_the_one_of_the_keys_says_if_it_is_missing(
        self, folder, copies
    ):
        _, secrets, _ = copies
        assert maintenance.epochs_are_copied(folder)
        turned(folder, AT + WEEK)
        assert not maintenance.epochs_are_copied(folder)
        before = (secrets / epochs.FILE).read_bytes()
        turned(folder, AT + LASTS)
        maintenance.back_up_secrets(folder, secrets, lambda: AT + LASTS)
        assert maintenance.epochs_are_copied(folder)
        assert (secrets / epochs.FILE).read_bytes() != before
        assert [each.number for each in epochs.read_epochs(secrets / epochs.FILE)] == numbers(folder)

    def test_of_before_they_were_kept_for_fewer_days_is_no_later_one_and_revives_nothing(
        self, folder, tmp_path, monkeypatch
    ):
        before, now = tmp_path / "before", AT + 5 * WEEK
        (tmp_path / "config.toml").write_text("[retention]\nkeys_backup_days = 60\n")
        with monkeypatch.context() as longer:
            longer.setitem(globals(), "KEPT", 60 * DAY)
            longer.setitem(globals(), "SETTINGS", inside.settings(tmp_path / "config.toml"))
            opt_out(folder, AT, 1)
            turned(folder, AT + WEEK)
            maintenance.back_up_secrets(folder, before, lambda: AT + WEEK)
        copied = epochs.read_epochs(before / epochs.FILE)
        for weeks in (2, 3, 4, 5):
            turned(folder, AT + weeks * WEEK)
        assert all(moment(each.dies) > now for each in copied if each.begun), "the control"
        assert {each.number for each in copied}.isdisjoint(numbers(folder)), "the control: they are dead"
        shutil.copy(before / epochs.FILE, folder / f"{epochs.ASIDE}copy")
        maintenance.back_up_secrets(folder, before, lambda: now)
        turned(folder, now)
        assert {each.number for each in copied}.isdisjoint(numbers(folder))
        assert not epochs.laid_aside(folder)
        assert keys_of(folder, 0).details
