import contextlib
import errno
import os
from pathlib import Path

import pytest

from gateway.keys.epochs import DAY, FILE, Epochs, EpochsAlarm, laid_aside
from gateway.keys.person_keys import Vault

WRAP, LATER = b"w" * 32, b"l" * 32


def opened(folder, *wraps):
    return contextlib.closing(Vault(folder, wraps or (WRAP,)))


def began(folder, number=2, at=1, dies=9 * DAY, wraps=(WRAP,)):
    kept = Epochs(folder, wraps)
    kept.begin(number, at, dies)
    return kept


def test_a_key_is_opened_by_its_epoch_and_by_nothing_that_is_left_without_it(tmp_path):
    with opened(tmp_path) as vault:
        made = vault.new_person()
        vault.epochs.drop(vault.epochs.newest.number)
        assert vault.keys(made.person).details is None
        assert vault.is_lost(made.person)


def test_another_process_hands_out_nothing_of_an_older_epoch_once_a_new_one_began(tmp_path):
    with opened(tmp_path) as vault:
        vault.new_person()
        began(tmp_path)
        assert vault.is_low()
        made = vault.new_person()
        [epoch] = vault._db.execute("SELECT epoch FROM person WHERE id = ?", (made.person,)).fetchone()
        assert epoch == 2
        assert not vault.is_low()


def test_the_file_is_ours_alone_and_holds_no_key_as_it_is(tmp_path):
    kept = began(tmp_path)
    key, content = kept.key(2), (tmp_path / FILE).read_bytes()
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert key.hex().encode() not in content
    assert key not in content


def test_a_key_that_is_dropped_is_overwritten_where_it_lay(tmp_path):
    kept = began(tmp_path)
    os.link(tmp_path / FILE, tmp_path / "where it lay")
    kept.drop(2)
    assert not any((tmp_path / "where it lay").read_bytes())
    assert kept.all == Epochs(tmp_path, (WRAP,)).all == ()


def test_an_epoch_that_ends_before_its_time_dies_that_much_earlier(tmp_path):
    began(tmp_path, 2, at=10**6 * DAY, dies=10**7 * DAY)
    kept = began(tmp_path, 3, at=DAY, dies=16 * DAY)
    assert [each.dies for each in kept.all] == [16 * DAY, 16 * DAY]


def test_a_damaged_file_is_laid_aside_and_opt_outs_go_on_under_a_new_epoch(tmp_path):
    began(tmp_path, 7)
    with opened(tmp_path) as vault:
        before = vault.new_person()
        (tmp_path / FILE).write_bytes(b"{}")
        made = vault.new_person()
        assert vault.keys(made.person) == made
        assert vault.keys(before.person).details is None
        assert [each.number for each in vault.epochs.all] == [8]
    assert [path.read_bytes() for path in tmp_path.glob(f"{FILE}.unread-*")] == [b"{}"]


@contextlib.contextmanager
def unreadable(path):
    """As a process finds it that has no descriptor left, or is not the one whose file it is."""

    def reads(self, *args, **more):
        if self == path:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return READS(self, *args, **more)

    READS = Path.read_text  # noqa: N806
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "read_text", reads)
        yield


def test_a_file_that_cannot_be_read_for_a_moment_is_neither_laid_aside_nor_replaced_and_opens_all_afterwards(tmp_path):
    began(tmp_path, 7)
    with opened(tmp_path) as vault:
        before = vault.new_person()
        Epochs(tmp_path, (WRAP,)).mark([7], copied=True)
        with unreadable(tmp_path / FILE):
            for _ in range(2):
                with pytest.raises(OSError, match="open files"), vault.in_batch():
                    vault.new_person()
            assert str(tmp_path / FILE) in EpochsAlarm(tmp_path).alarms()[0]
        assert vault.new_person()
        assert vault.keys(before.person) == before
        assert [each.number for each in vault.epochs.all] == [7]
    assert not laid_aside(tmp_path)
    assert EpochsAlarm(tmp_path).alarms() == []


@pytest.fixture
def damaged(tmp_path):
    """The file's content of before it was damaged, and somebody whose keys it wrapped."""
    began(tmp_path, 7, dies=20 * DAY)
    with opened(tmp_path) as vault:
        before, content = vault.new_person(), (tmp_path / FILE).read_bytes()
        (tmp_path / FILE).write_bytes(content[:-9])
        vault.new_person()
    return before, content


def test_what_lies_aside_is_an_alarm_and_is_taken_back_once_it_can_be_read(tmp_path, damaged):
    before, content = damaged
    [aside] = laid_aside(tmp_path)
    [alarm] = EpochsAlarm(tmp_path).alarms()
    assert str(aside) in alarm
    aside.write_bytes(content)
    os.link(aside, tmp_path / "where it lay")
    with opened(tmp_path) as vault:
        vault.epochs.try_again(19 * DAY, 9 * DAY)
        assert vault.keys(before.person) == before
        assert [each.number for each in vault.epochs.all] == [7, 8]
    assert EpochsAlarm(tmp_path).alarms() == []
    assert not any((tmp_path / "where it lay").read_bytes())


def test_of_what_can_be_read_again_the_dead_are_not_taken_back(tmp_path, damaged):
    _, content = damaged
    laid_aside(tmp_path)[0].write_bytes(content)
    kept = Epochs(tmp_path, (WRAP,))
    kept.try_again(20 * DAY, 9 * DAY)
    assert [each.number for each in kept.all] == [8]
    assert not laid_aside(tmp_path)


def test_what_lies_aside_and_cannot_be_read_goes_when_the_last_epoch_that_it_may_hold_dies(tmp_path, damaged):
    [aside] = laid_aside(tmp_path)
    os.utime(aside, (2 * DAY // 1000, 2 * DAY // 1000))
    os.link(aside, tmp_path / "where it lay")
    kept = Epochs(tmp_path, (WRAP,))
    for _ in range(2):
        kept.try_again(11 * DAY - 1, 9 * DAY)
        assert laid_aside(tmp_path) == [aside]
    with unreadable(aside):
        kept.try_again(11 * DAY, 9 * DAY)
    assert not laid_aside(tmp_path)
    assert not any((tmp_path / "where it lay").read_bytes())


def test_what_a_kill_left_of_a_file_that_was_written_goes_with_the_next_one(tmp_path):
    kept = began(tmp_path, 7)
    left = tmp_path / f".{FILE}.0a1b2c3d"
    left.write_bytes((tmp_path / FILE).read_bytes())
    os.link(left, tmp_path / "where it lay")
    kept.mark([7], empty=True)
    assert not left.exists()
    assert not any((tmp_path / "where it lay").read_bytes())


def test_whoever_knows_older_secrets_only_leaves_what_newer_ones_sealed_and_begins_an_epoch_for_itself(tmp_path):
    began(tmp_path, 2, wraps=(WRAP, LATER))
    with opened(tmp_path) as older, opened(tmp_path, WRAP, LATER) as newer:
        by_newer = newer.new_person()
        made = older.new_person()
        assert newer.keys(made.person) == made
        assert newer.keys(by_newer.person) == by_newer
    assert [each.number for each in Epochs(tmp_path, (WRAP,)).all] == [2, 3]


def test_after_the_older_secrets_are_gone_every_epoch_opens_by_the_newest(tmp_path):
    with opened(tmp_path) as vault:
        made = vault.new_person()
    with opened(tmp_path, WRAP, LATER) as vault:
        assert vault.rewrap() > 0
    with opened(tmp_path, LATER) as vault:
        assert vault.keys(made.person) == made
        assert vault.both_keys_of([made.person]) == {made.person: (made.details, made.openings)}
    with opened(tmp_path, WRAP) as vault:
        assert vault.keys(made.person).details is None


def test_two_that_open_the_file_for_the_first_time_at_once_begin_one_epoch(tmp_path):
    with opened(tmp_path) as one, opened(tmp_path) as other:
        people = [one.new_person(), other.new_person()]
        assert [each.number for each in Epochs(tmp_path, (WRAP,)).all] == [1]
        assert [one.keys(each.person) for each in people] == people
