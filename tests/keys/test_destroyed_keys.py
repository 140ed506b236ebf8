"""A destroyed key is overwritten where it lies, for of rows that are deleted SQLite leaves copies in the file."""

import contextlib
import sqlite3

import pytest

from gateway import disk
from gateway.keys.person_keys import BOX, FILE, FORM_VERSION, Vault, VaultRefused
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


@pytest.mark.parametrize("version", [0, 1, 2, FORM_VERSION + 1])
def test_a_file_of_another_version_is_refused_and_left_as_it_is(tmp_path, copies, version):
    (tmp_path / FILE).write_bytes(copies[0])
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(VaultRefused, match=f"has version {version}, .*begin a new folder with gateway migrate"):
        Vault(tmp_path, (WRAP,))
    assert (tmp_path / FILE).read_bytes() == before


def test_a_page_that_is_damaged_stops_nobody_whose_keys_lie_elsewhere(tmp_path):
    with contextlib.closing(Vault(tmp_path, (WRAP,))) as vault:
        people = sorted(vault.new_person().person for _ in range(200))
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
