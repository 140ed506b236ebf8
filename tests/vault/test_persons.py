import contextlib
import os
import sqlite3

from gateway.vault.persons import FILE, Vault

WRAP, LATER = b"w" * 32, b"l" * 32


def opened(folder, *wraps):
    return contextlib.closing(Vault(folder, wraps or (WRAP,)))


def test_a_persons_key_is_there_after_the_commit_and_a_restart(tmp_path):
    with opened(tmp_path) as vault:
        person, key = vault.new_person()
        vault.commit()
    with opened(tmp_path) as vault:
        assert vault.key(person) == key
    assert (len(person), len(key)) == (16, 32)


def test_every_person_has_a_key_of_their_own(tmp_path):
    with opened(tmp_path) as vault:
        made = [vault.new_person() for _ in range(20)]
        vault.commit()
        assert [vault.key(person) for person, _ in made] == [key for _, key in made]
    assert len({key for _, key in made}) == len({person for person, _ in made}) == 20


def test_a_key_that_was_rolled_back_never_was(tmp_path):
    with opened(tmp_path) as vault:
        person, _ = vault.new_person()
        vault.rollback()
        vault.commit()
        assert vault.key(person) is None


def test_nobody_else_sees_a_key_before_the_commit(tmp_path):
    with opened(tmp_path) as vault, opened(tmp_path) as other:
        person, key = vault.new_person()
        assert other.key(person) is None
        vault.commit()
        assert other.key(person) == key


def test_a_destroyed_key_is_none_and_not_an_error(tmp_path):
    with opened(tmp_path) as vault:
        person, _ = vault.new_person()
        vault.commit()
        vault._db.execute("DELETE FROM person")
        assert vault.key(person) is None
        assert vault.key(os.urandom(16)) is None


def test_the_file_holds_no_key_as_it_is(tmp_path):
    with opened(tmp_path) as vault:
        _, key = vault.new_person()
        vault.commit()
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key not in files
    assert WRAP not in files


def test_a_wrapped_key_moved_to_another_person_does_not_open(tmp_path):
    with opened(tmp_path) as vault:
        first, second = vault.new_person()[0], vault.new_person()[0]
        vault.commit()
        vault._db.execute("UPDATE person SET wrapped = (SELECT wrapped FROM person WHERE id = ?)", (first,))
        assert vault.key(first)
        assert vault.key(second) is None


def test_a_newer_wrapping_key_opens_what_an_older_one_made(tmp_path):
    with opened(tmp_path, WRAP) as vault:
        person, key = vault.new_person()
        vault.commit()
    with opened(tmp_path, WRAP, LATER) as vault:
        assert vault.key(person) == key
        newer, fresh = vault.new_person()
        vault.commit()
    with opened(tmp_path, LATER) as vault:
        assert vault.key(newer) == fresh


def test_a_key_is_durable_and_its_destruction_leaves_no_page_behind(tmp_path):
    with opened(tmp_path) as vault:
        read = {name: vault._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "secure_delete")}
        assert read == {"synchronous": 2, "secure_delete": 1}
        person, _ = vault.new_person()
        vault.commit()
        [wrapped] = vault._db.execute("SELECT wrapped FROM person").fetchone()
        vault._db.execute("DELETE FROM person WHERE id = ?", (person,))
        vault._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT count(*) FROM person").fetchone() == (0,)
    assert wrapped not in (tmp_path / FILE).read_bytes()
