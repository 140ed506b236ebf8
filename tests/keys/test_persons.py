import contextlib
import os
import sqlite3

from gateway import disk
from gateway.keys.person_keys import FILE, Vault, anybody

WRAP, LATER = b"w" * 32, b"l" * 32


def opened(folder, *wraps):
    return contextlib.closing(Vault(folder, wraps or (WRAP,)))


def made(vault):
    """A new person and the key of their details."""
    keys = vault.new_person()
    return keys.person, keys.details


def test_a_persons_key_is_there_after_the_commit_and_a_restart(tmp_path):
    with opened(tmp_path) as vault:
        person, key = made(vault)
        vault.commit()
    with opened(tmp_path) as vault:
        assert vault.keys(person).details == key
    assert (len(person), len(key)) == (16, 32)


def test_every_person_has_a_key_of_their_own(tmp_path):
    with opened(tmp_path) as vault:
        people = [made(vault) for _ in range(20)]
        vault.commit()
        assert [vault.keys(person).details for person, _ in people] == [key for _, key in people]
    assert len({key for _, key in people}) == len({person for person, _ in people}) == 20


def test_a_key_that_was_rolled_back_never_was(tmp_path):
    with opened(tmp_path) as vault:
        person, _ = made(vault)
        vault.rollback()
        vault.commit()
        assert vault.keys(person).details is None


def test_nobody_else_sees_a_key_before_the_commit(tmp_path):
    with opened(tmp_path) as vault, opened(tmp_path) as other:
        person, key = made(vault)
        assert other.keys(person).details is None
        vault.commit()
        assert other.keys(person).details == key


def test_a_destroyed_key_is_none_and_not_an_error(tmp_path):
    with opened(tmp_path) as vault:
        person, _ = made(vault)
        vault.commit()
        vault._db.execute("DELETE FROM person")
        assert vault.keys(person).details is None
        assert vault.keys(os.urandom(16)).details is None


def test_the_file_holds_no_key_as_it_is(tmp_path):
    with opened(tmp_path) as vault:
        _, key = made(vault)
        vault.commit()
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key not in files
    assert WRAP not in files


def test_a_wrapped_key_moved_to_another_person_does_not_open(tmp_path):
    with opened(tmp_path) as vault:
        first, second = made(vault)[0], made(vault)[0]
        vault.commit()
        vault._db.execute("UPDATE person SET wrapped = (SELECT wrapped FROM person WHERE id = ?)", (first,))
        assert vault.keys(first).details
        assert vault.keys(second).details is None


def test_a_newer_wrapping_key_opens_what_an_older_one_made(tmp_path):
    with opened(tmp_path, WRAP) as vault:
        person, key = made(vault)
        vault.commit()
    with opened(tmp_path, WRAP, LATER) as vault:
        assert vault.keys(person).details == key
        newer, fresh = made(vault)
        vault.commit()
    with opened(tmp_path, LATER) as vault:
        assert vault.keys(newer).details == fresh


def test_a_key_is_durable_and_its_destruction_leaves_no_page_behind(tmp_path):
    with opened(tmp_path) as vault:
        read = {name: vault._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "secure_delete")}
        assert read == {"synchronous": 2, "secure_delete": 1}
        person, _ = made(vault)
        vault.commit()
        [wrapped] = vault._db.execute("SELECT wrapped FROM person").fetchone()
        vault._db.execute("DELETE FROM person WHERE id = ?", (person,))
        vault._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT count(*) FROM person").fetchone() == (0,)
    assert wrapped not in (tmp_path / FILE).read_bytes()


def test_a_long_log_of_the_vault_is_emptied_by_a_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "LONG", 20)
    with opened(tmp_path) as vault:
        sizes = []
        for _ in range(40):
            made(vault)
            vault.commit()
            sizes.append((tmp_path / f"{FILE}-wal").stat().st_size)
    assert 1 <= sizes.count(0) < 20, "emptied now and then, and not at each commit"
    assert max(sizes) <= 20 * disk.FRAME


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
        vault.commit()
    assert anybody(tmp_path)
    (tmp_path / FILE).write_bytes(b"not a database" * 1000)
    assert anybody(tmp_path)


def test_many_persons_keys_at_once_are_those_of_each_and_of_nobody_whose_keys_are_not_whole(tmp_path):
    with opened(tmp_path) as vault:
        people = [vault.new_person() for _ in range(1200)]
        vault.commit()
        assert vault.both_keys_of(each.person for each in people) == {
            each.person: (each.details, each.openings) for each in people
        }
        first, second, third = (each.person for each in people[:3])
        vault.destroy([first], [second])
    with opened(tmp_path, LATER, WRAP) as vault:
        assert list(vault.both_keys_of([first, second, third, os.urandom(16)])) == [third]
    with opened(tmp_path, LATER) as vault:
        assert vault.both_keys_of([third]) == {}
