import contextlib
import os
import sqlite3
from unittest import mock

import pytest

from gateway import disk
from gateway.keys.person_keys import FILE, POOL, Vault, anybody

WRAP, LATER = b"w" * 32, b"l" * 32


def opened(folder, *wraps):
    return contextlib.closing(Vault(folder, wraps or (WRAP,)))


def made(vault):
    """A new person and the key of their details."""
    keys = vault.new_person()
    return keys.person, keys.details


def test_a_key_is_durable_before_it_is_handed_out(tmp_path):
    with opened(tmp_path) as vault, opened(tmp_path) as other:
        person, key = made(vault)
        assert other.keys(person).details == key
    assert (len(person), len(key)) == (16, 32)


def test_no_two_records_get_one_key_or_one_id_in_any_run_of_any_process(tmp_path):
    taken = []
    with opened(tmp_path) as vault, opened(tmp_path) as other:
        for _ in range(POOL):
            taken += [vault.new_person(), other.new_person(), vault.new_person()]
    with opened(tmp_path) as vault:
        taken += [vault.new_person() for _ in range(POOL + 1)]
        assert all(vault.keys(each.person) == each for each in taken)
    assert len({each.person for each in taken}) == len(taken)
    assert len({key for each in taken for key in (each.details, each.openings)}) == 2 * len(taken)


def test_a_run_that_was_killed_leaves_keys_that_nobody_takes(tmp_path):
    with opened(tmp_path) as killed:
        first, left = killed.new_person(), {each.person for each in killed._pool}
    assert len(left) == POOL - 1
    with opened(tmp_path) as vault:
        assert left.isdisjoint(vault.new_person().person for _ in range(2 * POOL))
        assert vault.keys(first.person) == first


def test_a_run_that_ends_takes_what_is_left_of_its_pool_away_and_nothing_else(tmp_path):
    with opened(tmp_path) as vault, opened(tmp_path) as other:
        taken, others = [vault.new_person() for _ in range(3)], other.new_person()
        vault.end_run()
        assert vault._db.execute("SELECT count(*) FROM person").fetchone() == (3 + POOL,)
        assert all(vault.keys(each.person) == each for each in (*taken, others, *other._pool))
        assert vault.keys(vault.new_person().person).details, "it may go on: with a new pool"


def test_the_pool_is_filled_once_half_of_it_is_gone_and_with_one_commit(tmp_path):
    with opened(tmp_path) as vault:
        assert vault.is_low()
        for rest in range(POOL - 1, POOL // 2 - 2, -1):
            vault.new_person()
            assert vault.is_low() == (rest < POOL // 2)
        with mock.patch.object(Vault, "commit", autospec=True, side_effect=Vault.commit) as committed:
            vault.refill()
            assert committed.call_count == 1
        assert len(vault._pool) == POOL
        assert not vault.is_low()


def test_of_a_filling_that_fails_nothing_is_handed_out(tmp_path):
    with opened(tmp_path) as vault:
        vault._db.execute("CREATE TRIGGER full BEFORE INSERT ON person BEGIN SELECT RAISE(ABORT, 'full'); END")
        with pytest.raises(sqlite3.Error):
            vault.new_person()
        vault._db.execute("DROP TRIGGER full")
        assert vault._db.execute("SELECT count(*) FROM person").fetchone() == (0,)
        assert vault.keys(vault.new_person().person).details


def test_a_destroyed_key_is_none_and_not_an_error(tmp_path):
    with opened(tmp_path) as vault:
        person, _ = made(vault)
        vault._db.execute("DELETE FROM person")
        assert vault.keys(person).details is None
        assert vault.keys(os.urandom(16)).details is None


def test_the_file_holds_no_key_as_it_is(tmp_path):
    with opened(tmp_path) as vault:
        _, key = made(vault)
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key not in files
    assert WRAP not in files


def test_a_wrapped_key_moved_to_another_person_does_not_open(tmp_path):
    with opened(tmp_path) as vault:
        first, second = made(vault)[0], made(vault)[0]
        vault._db.execute("UPDATE person SET wrapped = (SELECT wrapped FROM person WHERE id = ?)", (first,))
        assert vault.keys(first).details
        assert vault.keys(second).details is None


def test_a_newer_wrapping_key_opens_what_an_older_one_made(tmp_path):
    with opened(tmp_path, WRAP) as vault:
        person, key = made(vault)
    with opened(tmp_path, WRAP, LATER) as vault:
        assert vault.keys(person).details == key
        newer, fresh = made(vault)
        vault.rewrap()
    with opened(tmp_path, LATER) as vault:
        assert (vault.keys(person).details, vault.keys(newer).details) == (key, fresh)


def test_a_key_is_durable_and_its_destruction_leaves_no_page_behind(tmp_path):
    with opened(tmp_path) as vault:
        read = {name: vault._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "secure_delete")}
        assert read == {"synchronous": 2, "secure_delete": 1}
        person, _ = made(vault)
        [wrapped] = vault._db.execute("SELECT wrapped FROM person WHERE id = ?", (person,)).fetchone()
        vault._db.execute("DELETE FROM person")
        vault._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT count(*) FROM person").fetchone() == (0,)
    assert wrapped not in (tmp_path / FILE).read_bytes()


def test_a_long_log_of_the_vault_is_emptied_by_a_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "LONG", 60)
    with opened(tmp_path) as vault:
        sizes = []
        for _ in range(40):
            vault._pool.clear()
            made(vault)
            sizes.append((tmp_path / f"{FILE}-wal").stat().st_size)
    assert 1 <= sizes.count(0) < 20, "emptied now and then, and not at each commit"
    assert max(sizes) <= (60 + 30) * disk.FRAME, "that long before the last filling"


def test_a_vault_that_was_cut_off_while_it_was_made_keeps_nobody(tmp_path):
    assert not anybody(tmp_path)
    (tmp_path / FILE).touch()
    assert not anybody(tmp_path)
    with opened(tmp_path):
        pass
    assert not anybody(tmp_path)


def test_a_vault_with_people_is_known_to_have_them_and_an_unreadable_one_is_taken_to(tmp_path):
    with opened(tmp_path) as vault:
        made(vault)
    assert anybody(tmp_path)
    (tmp_path / FILE).write_bytes(b"not a database" * 1000)
    assert anybody(tmp_path)


def test_many_persons_keys_at_once_are_those_of_each_and_of_nobody_whose_keys_are_not_whole(tmp_path):
    with opened(tmp_path) as vault:
        people = [vault.new_person() for _ in range(1200)]
        assert vault.both_keys_of(each.person for each in people) == {
            each.person: (each.details, each.openings) for each in people
        }
        first, second, third = (each.person for each in people[:3])
        vault.destroy([first], [second])
    with opened(tmp_path, LATER, WRAP) as vault:
        assert list(vault.both_keys_of([first, second, third, os.urandom(16)])) == [third]
    with opened(tmp_path, LATER) as vault:
        assert vault.both_keys_of([third]) == {}
