"""A destroyed key is in the vault's file no more, wherever SQLite moved its row before."""

import contextlib
import random
import sqlite3

import pytest
from support.moved_rows import box_of, left_of

from gateway.keys.person_keys import BOX, FILE, FORM_VERSION, ONE_LEAF, Vault
from gateway.keys.secret_files import PersonKeys

WRAP = b"w" * 32
LEAF = 10  # the first byte of such a page, where rows lie (sqlite.org/fileformat2.html, 1.6)


def test_control_keys_that_are_deleted_as_rows_are_can_be_found_in_the_file(copies):
    assert copies[1]


@pytest.mark.parametrize("seed", range(3))
def test_no_piece_of_a_destroyed_key_is_in_the_file(tmp_path, seed):
    luck, people, gone = random.Random(seed), [], []
    with contextlib.closing(Vault(tmp_path, (WRAP,))) as vault:
        db = vault._db
        for _ in range(150):
            people += [vault.new_person().person for _ in range(luck.choice((1, 1, 3, 20)))]
            if luck.random() < 0.3:
                vault.end_run()
            some, whole = ({*luck.sample(people, min(len(people), luck.choice((0, 1, 5))))} for _ in range(2))
            boxes = [box_of(db, "wrapped", each) for each in some | whole]
            gone += [box for box in boxes + [box_of(db, "openings", each) for each in whole] if any(box)]
            vault.destroy(some, whole)
        assert vault.cut()
        assert all(vault.keys(each).details is None for each in some | whole)
    content = (tmp_path / FILE).read_bytes()
    assert len(gone) > 500
    assert left_of(gone, content) == []


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
        assert vault.cut()
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
