import contextlib
import json
import sqlite3
import threading
import time

import pytest
from support import inside

from gateway.app import composition, maintenance
from gateway.disk import locked
from gateway.keys import secret_files
from gateway.keys.person_keys import Vault
from gateway.ledger import schema
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folded_people import FoldedPeople
from gateway.terms import Purpose


@pytest.fixture
def file(folder):
    return folder / schema.FILE


def raw(file):
    return contextlib.closing(sqlite3.connect(file, isolation_level=None))


class Interrupted:
    """A connection after each of whose statements somebody else commits an entry."""

    def __init__(self, db, other):
        self.db, self.other, self.close = db, other, db.close

    def execute(self, *statement):
        cursor = self.db.execute(*statement)
        self.other.execute("BEGIN")
        self.other.execute("INSERT INTO entry SELECT size, x'00' FROM head")
        self.other.execute("UPDATE head SET size = size + 1")
        self.other.execute("COMMIT")
        return cursor


def test_a_fresh_installation_has_an_empty_ledger_of_the_newest_version(folder, file):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert schema.version(db, file) == schema.version_wanted()
        size, ledger, peppers = db.execute("SELECT size, ledger, peppers FROM head").fetchone()
    assert (size, len(ledger), peppers) == (0, 16, 1)


def test_a_ledger_that_another_process_writes_to_at_that_very_moment_is_not_damaged(folder, file, monkeypatch):
    with raw(file) as other:
        connect = schema.connect_file
        monkeypatch.setattr(schema, "connect_file", lambda *to: Interrupted(connect(*to), other))
        schema.open_to_read(folder).close()
        assert other.execute("SELECT size FROM head").fetchone()[0] > 1


def test_no_two_migrations_have_one_number_and_none_is_left_out():
    numbers = [number for number, _ in schema.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_migrating_again_changes_nothing(folder, file):
    def all_of_it():
        with raw(file) as db:
            return list(db.iterdump())

    before = all_of_it()
    assert composition.migrate(folder) == schema.version_wanted()
    assert all_of_it() == before


def test_a_later_migration_is_applied_once_and_keeps_what_is_there(folder, monkeypatch):
    with raw(folder / schema.FILE) as db:
        ledger = db.execute("SELECT ledger FROM head").fetchone()
    later = schema.version_wanted() + 1
    steps = [*schema.migrations(), (later, "CREATE TABLE second (x);\nINSERT INTO second VALUES (1);\n")]
    monkeypatch.setattr(schema, "migrations", lambda: steps)
    assert schema.migrate(folder, 1) == later
    assert schema.migrate(folder, 1) == later
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert db.execute("SELECT count(*) FROM second").fetchone() == (1,)
        assert db.execute("SELECT ledger FROM head").fetchone() == ledger


def test_a_migration_that_fails_half_way_leaves_the_version_before_it(folder, file, monkeypatch):
    known, before = schema.migrations(), schema.version_wanted()
    broken = [*known, (before + 1, "CREATE TABLE half (x);\nINSERT INTO nowhere VALUES (1);\n")]
    monkeypatch.setattr(schema, "migrations", lambda: broken)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        schema.migrate(folder, 1)
    monkeypatch.setattr(schema, "migrations", lambda: known)
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert schema.version(db, file) == before
        assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)


@pytest.fixture
def first(tmp_path, monkeypatch):
    """A ledger as the first version left it, with one person who opted out of the sale."""
    with monkeypatch.context() as earlier:
        steps = schema.migrations()[:1]
        earlier.setattr(schema, "migrations", lambda: steps)
        assert composition.migrate(tmp_path / "first") == 1
    with raw(tmp_path / "first" / schema.FILE) as db:
        enter(db, 0, "opt_out", key("k"), 7)
    return tmp_path / "first"


def test_a_ledger_of_the_first_version_asks_for_its_migration_and_is_left_alone(first):
    before = (first / schema.FILE).read_bytes()
    for open_ in (schema.open_to_read, schema.open_to_write):
        with pytest.raises(LedgerRefused, match=f"has version 1 of .*gateway migrate --data {first}"):
            open_(first)
    assert (first / schema.FILE).read_bytes() == before


def enter(db, seq, word, who, at, kind="device"):
    """An entry as the first version wrote it."""
    leaf = json.dumps({"e": word, "p": ["sale"], "src": "form"})
    db.execute("INSERT INTO entry VALUES (?, ?)", (seq, leaf.encode()))
    db.execute("UPDATE head SET size = ?", (seq + 1,))
    event = seq.to_bytes(16, "big")
    db.execute("INSERT INTO detail VALUES (?, ?, ?, ?, ?, x'02', ?, NULL, NULL)", (seq, event, event, who, kind, at))


def test_a_ledger_of_the_first_version_keeps_every_opt_out_and_has_no_states_yet(first):
    assert composition.migrate(first) == schema.version_wanted() >= 2
    with contextlib.closing(schema.open_to_read(first)) as db:
        standing = FoldedPeople(db, [key("k")]).standing(key("k"), 9)
    assert standing.own_denies(Purpose.SALE)
    assert (standing.held, standing.linked) == (frozenset(), False)


@pytest.fixture
def second(tmp_path, monkeypatch):
    """A ledger as the version before links were entries left it: an account that opted out with a phone, one number
    that was given back, a grant, a digest and a looser form.
    """
    with monkeypatch.context() as earlier:
        steps = schema.migrations()[:2]
        earlier.setattr(schema, "migrations", lambda: steps)
        composition.migrate(tmp_path / "second")
    with raw(tmp_path / "second" / schema.FILE) as db:
        enter(db, 0, "opt_out", key("a"), 5000, "account")
        db.execute("INSERT INTO link VALUES (?, ?, 1000, NULL, 0)", (key("a"), key("p")))
        db.execute("INSERT INTO link VALUES (?, ?, 1000, 2000, 0)", (key("a"), key("g")))
        db.execute("INSERT INTO release VALUES (?, 0)", (key("g"),))
        db.execute("INSERT INTO name VALUES (?, ?)", (key("h"), key("m")))
        for to, origin in (("p", "a"), ("h", "m"), ("l", "m")):
            db.execute("INSERT INTO travelled_choice VALUES (?, 'sale', ?, ?, 0)", (key(to), key(origin), key(origin)))
        db.execute("INSERT INTO grant_choice VALUES (?, 'teemo', 'sale', 'precise_geo', 0)", (key("x"),))
    return tmp_path / "second"


def key(letter):
    return letter.encode() * 16


def test_an_older_ledger_keeps_its_names_and_links_and_has_where_they_came_from(second):
    assert composition.migrate(second) == schema.version_wanted() >= 3
    with contextlib.closing(schema.open_to_read(second)) as db:
        assert db.execute("SELECT alias, canonical, seq FROM name").fetchall() == [(key("h"), key("m"), 0)]
        assert db.execute("SELECT account, identifier, until, released, at FROM link_event").fetchall() == [
            (key("a"), key("g"), 2000, 0, None),
            (None, key("g"), None, 1, None),
            (key("a"), key("p"), None, 0, None),
        ]


def test_a_yes_that_an_older_ledger_left_on_a_released_number_is_gone(second):
    """R5: the number's next holder inherits its denies and no yes."""
    with raw(second / schema.FILE) as db:
        enter(db, 1, "opt_in", key("n"), 6000)
        enter(db, 2, "opt_out", key("o"), 6000)
        db.executemany("INSERT INTO release VALUES (?, 3)", [(key("n"),), (key("o"),)])
    composition.migrate(second)
    with contextlib.closing(schema.open_to_read(second)) as db:
        had = [FoldedPeople(db, [key(who)]).standing(key(who), 9000) for who in ("n", "o")]
    assert [each.own_denies(Purpose.SALE) for each in had] == [False, True]
    assert had[0].own == 0


def test_an_older_ledgers_looser_forms_are_known_by_what_they_got(second):
    composition.migrate(second)
    with contextlib.closing(schema.open_to_read(second)) as db:
        assert db.execute("SELECT alias, canonical FROM looser_name").fetchall() == [(key("l"), key("m"))]


def test_what_stood_in_an_older_ledger_can_be_made_again_from_its_last_links(second):
    composition.migrate(second)
    for now, number, old in ((4999, False, False), (5000, True, False)):
        with contextlib.closing(schema.open_to_read(second)) as db:
            read = [
                FoldedPeople(db, [key(who)], now).standing(key(who), now).denies(Purpose.SALE) for who in ("p", "g")
            ]
        assert read == [number, old]


def test_keys_of_an_older_release_can_still_be_wrapped(second):
    composition.migrate(second)
    with raw(second / schema.FILE) as db:
        db.execute("UPDATE head SET peppers = 1")
    maintenance.pepper(second, inside.settings())
    with contextlib.closing(schema.open_to_read(second)) as db:
        assert db.execute("SELECT count(*) FROM link_event WHERE account IS NULL").fetchone() == (1,)


def test_a_trigger_with_semicolons_is_one_statement():
    trigger = "CREATE TRIGGER t BEFORE DELETE ON x BEGIN\n SELECT 1;\n SELECT 2;\nEND;\n"
    assert list(schema.statements(f"CREATE TABLE x (y);\n{trigger}")) == ["CREATE TABLE x (y);\n", trigger]


@pytest.mark.parametrize("open_", [schema.open_to_read, schema.open_to_write])
class TestWhatTheOperatorIsTold:
    def test_where_there_is_no_ledger_the_command_that_makes_one(self, tmp_path, open_):
        with pytest.raises(LedgerRefused, match=f"is not there.*gateway migrate --data {tmp_path}"):
            open_(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_newer_ledger_wants_a_newer_gateway(self, folder, file, open_):
        with raw(file) as db:
            db.execute("PRAGMA user_version = 99")
        with pytest.raises(LedgerRefused, match=r"version 99.*pip install --upgrade gateway"):
            open_(folder)

    def test_a_ledger_without_a_version_is_damaged_and_no_migration_empties_it(self, folder, file, open_):
        with raw(file) as db:
            db.execute("PRAGMA user_version = 0")
        with pytest.raises(LedgerRefused, match=r"is damaged .it is empty.*put back the last backup"):
            open_(folder)

    def test_a_file_whose_header_was_overwritten_is_damaged_and_left_alone(self, folder, file, open_):
        with file.open("r+b") as out:
            out.write(b"not a database, not at all")
        before = file.read_bytes()
        with pytest.raises(LedgerRefused, match=r"is damaged.*integrity_check.*last backup"):
            open_(folder)
        assert file.read_bytes() == before

    def test_a_ledger_that_lost_its_last_entry_is_damaged(self, folder, file, open_):
        with raw(file) as db:
            db.execute("UPDATE head SET size = 1")
        with pytest.raises(LedgerRefused, match=r"is damaged \(head says 1, entries end at 0\)"):
            open_(folder)

    def test_a_ledger_without_a_head_is_damaged(self, folder, file, open_):
        with raw(file) as db:
            db.execute("DELETE FROM head")
        with pytest.raises(LedgerRefused, match="is damaged"):
            open_(folder)


def test_migrating_a_damaged_file_refuses_too(folder, file):
    file.write_bytes(b"x" * 8192)
    with pytest.raises(LedgerRefused, match="is damaged"):
        composition.migrate(folder)
    assert file.read_bytes() == b"x" * 8192


def test_new_secrets_are_never_made_beside_an_old_ledger(folder):
    (folder / secret_files.SECRETS).unlink()
    with pytest.raises(secret_files.SecretsMissing):
        composition.migrate(folder)
    assert not (folder / secret_files.SECRETS).exists()


def test_an_empty_ledger_is_never_made_beside_a_vault_with_people(folder, file):
    with contextlib.closing(Vault(folder, secret_files.load_secrets(folder).wraps)) as vault:
        vault.new_person()
    file.unlink()
    with pytest.raises(LedgerRefused, match="its people are not"):
        composition.migrate(folder)
    assert not file.exists()


def test_an_installation_that_was_cut_off_before_its_ledger_was_made_is_finished(folder, file):
    file.unlink()
    assert composition.migrate(folder) == schema.version_wanted()
    assert file.exists()


def test_every_setting_that_durability_rests_on_reads_back(folder):
    with contextlib.closing(schema.open_to_write(folder)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        read = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in schema.SETTINGS}
    assert read == schema.SETTINGS
    assert (read["synchronous"], read["wal_autocheckpoint"], read["secure_delete"]) == (2, 0, 1)


def test_a_build_that_ignores_a_setting_is_not_trusted(folder, monkeypatch):
    monkeypatch.setitem(schema.SETTINGS, "synchronous", 7)
    with pytest.raises(LedgerRefused, match="PRAGMA synchronous reads back as"):
        schema.open_to_write(folder)


def test_a_reader_cannot_write(folder):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert db.execute("PRAGMA mmap_size").fetchone()[0] == 0
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("UPDATE head SET size = 5")


@pytest.mark.parametrize("sql", ["UPDATE entry SET body = x'00'", "DELETE FROM entry", "DELETE FROM entry WHERE seq=0"])
def test_nobody_edits_or_removes_an_entry_even_with_plain_sql(folder, file, sql):
    with raw(file) as db:
        db.execute("INSERT INTO entry VALUES (0, x'7b7d')")
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(sql)
        assert db.execute("SELECT * FROM entry").fetchall() == [(0, b"{}")]


def test_whoever_waits_for_the_writers_lock_is_next(folder):
    """However fast the one that has it asks for it again: what a flood did to another process's one opt-out."""
    order, waits = [], threading.Thread(target=lambda: take(folder, order, "who waited"))
    with schema.held(folder):
        waits.start()
        while is_free(folder / f"{schema.FILE}.next"):
            time.sleep(0.001)
    take(folder, order, "who had it")
    waits.join()
    assert order == ["who waited", "who had it"]


def take(folder, order, name):
    with schema.held(folder):
        order.append(name)


def is_free(path):
    try:
        with locked(path, wait=False):
            return True
    except BlockingIOError:
        return False
