import contextlib
import os

from gateway.keys.epochs import DAY, FILE, Epochs
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
