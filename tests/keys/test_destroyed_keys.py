"""A destroyed key is overwritten; a file of before there were epochs is rewritten, for SQLite left copies in it."""

import contextlib
import sqlite3

import pytest
from support.moved_rows import left_of

from gateway import disk
from gateway.keys.person_keys import BOX, FILE, FORM_VERSION, ONE_LEAF, Vault
from gateway.keys.secret_files import PersonKeys

WRAP = b"w" * 32
LEAF = 10  # the first byte of such a page, where rows lie (sqlite.org/fileformat2.html, 1.6)


def test_control_keys_that_are_deleted_as_rows_are_can_be_found_in_the_file(copies):
    assert copies[1]


def test_a_destroyed_key_is_overwritten_and_its_row_stays_of_the_same_length(tmp_path):
    with contextlib.closing(Vault(tmp_path, (WRAP,))) as vault:
        first, second = vault.new_person(), vault.new_person()
        vault.destroy([first.person], [second.person])
        rows = {row[0]: row[1:] for row in vault._db.execute("SELECT id, wrapped, openings FROM person")}
        assert rows[first.person][0] == bytes(BOX)
        assert any(rows[first.person][1])
        assert rows[second.person] == (bytes(BOX), bytes(BOX))
        assert vault.keys(first.person).openings == first.openings
        assert vault.keys(second.person) == PersonKeys(second.person, None, None)
        vault.end_run()
        assert vault.rewrap() == 1, "of the second there is nothing to wrap"


def test_a_file_in_which_rows_were_deleted_is_rewritten_once_at_its_opening(tmp_path, copies):
    content, left = copies
    (tmp_path / FILE).write_bytes(content)
    with contextlib.closing(Vault(tmp_path, (WRAP,))) as vault:
        assert vault._db.execute("PRAGMA user_version").fetchone() == (FORM_VERSION,)
        assert vault._db.execute("SELECT count(*) FROM person WHERE wrapped IS NULL").fetchone() == (0,)
    assert left_of(left, (tmp_path / FILE).read_bytes()) == []


def test_a_file_that_somebody_reads_is_rewritten_by_a_later_opening(tmp_path, copies):
    content, left = copies
    (tmp_path / FILE).write_bytes(content)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as reader:
        reader.execute("PRAGMA journal_mode=WAL")
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM person").fetchone()
        with contextlib.closing(Vault(tmp_path, (WRAP,))) as vault:
            assert vault._db.execute("PRAGMA user_version").fetchone() == (0,)
            vault.new_person()
    with contextlib.closing(Vault(tmp_path, (WRAP,))) as vault:
        assert vault._db.execute("PRAGMA user_version").fetchone() == (FORM_VERSION,)
    assert left_of(left, (tmp_path / FILE).read_bytes()) == []


def test_a_new_file_needs_no_rewriting(tmp_path):
    with contextlib.closing(Vault(tmp_path, (WRAP,))) as vault:
        assert vault._db.execute("PRAGMA page_count").fetchone()[0] <= ONE_LEAF
        assert vault._db.execute("PRAGMA user_version").fetchone() == (FORM_VERSION,)


def test_a_page_that_is_damaged_stops_nobody_whose_keys_lie_elsewhere(tmp_path):
    with contextlib.closing(Vault(tmp_path, (WRAP,))) as vault:
        people = sorted(vault.new_person().person for _ in range(200))
        vault._db.execute("PRAGMA user_version = 0")
        disk.bring_over(vault._db, empty=True)
    content = bytearray((tmp_path / FILE).read_bytes())
    leaves = [at for at in range(0, len(content), 4096) if content[at] == LEAF]
    at = next(at for at in leaves if people[0] not in content[at : at + 4096])
    content[at : at + 4096] = b"\xff" * 4096
    (tmp_path / FILE).write_bytes(content)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db, pytest.raises(sqlite3.DatabaseError):
        db.execute("VACUUM")  # control
    with contextlib.closing(Vault(tmp_path, (WRAP,))) as vault:
        assert vault.keys(people[0]).details
        assert vault._db.execute("PRAGMA user_version").fetchone() == (0,)
