import contextlib
import os
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import everybody, inside
from support.everybody import AT
from support.people import email, named
from support.tampering import laid_open

from gateway.app import composition
from gateway.app.composition import open_house
from gateway.desk import notices
from gateway.disk import locked
from gateway.fold.record import KeptNotice, NoticeGiven, Record
from gateway.keys import secret_files
from gateway.keys.epochs import FILE as EPOCHS
from gateway.keys.epochs import FIRST, Epochs
from gateway.keys.person_keys import Vault
from gateway.ledger import schema
from gateway.ledger.audit import verify
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.log_records import all_sides
from gateway.ledger.side import all_mentions, led_by
from gateway.ledger.subjects import milliseconds
from gateway.state.packed_rows import FOLD
from gateway.terms import NoticeKind, Told


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


def test_no_two_versions_have_one_number_and_none_is_left_out():
    numbers = [number for number, _ in schema.migrations()]
    assert numbers == list(range(schema.FIRST, schema.FIRST + len(numbers)))


@pytest.mark.parametrize("before", [1, 27])
def test_a_ledger_of_before_the_first_release_is_refused_and_left_as_it_is(folder, file, before):
    """Every file of the folder: nobody who is in it may be lost to a gateway that cannot read it."""
    with raw(file) as db:
        db.execute(f"PRAGMA user_version = {before}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = {path: path.read_bytes() for path in folder.iterdir() if path.suffix in {".sqlite3", ".json"}}
    says = f"has version {before}, of before the first release.* begin a new folder with gateway migrate --data NEW;"
    for refuses in (schema.open_to_read, schema.open_to_write, composition.migrate):
        with pytest.raises(LedgerRefused, match=says):
            refuses(folder)
    assert {path: path.read_bytes() for path in kept} == kept
    assert len(kept) == 4, "ledger, keys, their epochs, secrets"


def test_two_that_make_one_installation_at_once_make_one(tmp_path):
    with ThreadPoolExecutor(4) as threads:
        made = [threads.submit(composition.migrate, tmp_path / "new", f"{n}.example.com/log") for n in range(4)]
        assert {each.result() for each in made} == {schema.version_wanted()}
    with contextlib.closing(schema.open_to_write(tmp_path / "new")) as db:
        schema.prove_mark(db, tmp_path, secret_files.load_secrets(tmp_path / "new").marks)
        assert db.execute("SELECT count(*) FROM head WHERE origin LIKE '_.example.com/log'").fetchone() == (1,)


def test_a_creation_that_is_cut_off_is_made_again_as_if_it_had_not_begun(tmp_path, monkeypatch):
    """However far it came: the file is there, its settings are, half of its tables were."""
    known, new = schema.migrations(), tmp_path / "new"
    cut = [(schema.FIRST, known[0][1] + "INSERT INTO nowhere VALUES (1);\n")]
    with monkeypatch.context() as patched, pytest.raises(LedgerRefused, match="Nothing half made is used"):
        patched.setattr(schema, "migrations", lambda: cut)
        composition.migrate(new)
    with pytest.raises(LedgerRefused, match="it is empty"):
        schema.open_to_read(new)
    assert composition.migrate(new) == schema.version_wanted()
    schema.open_to_write(new).close()


def test_a_creation_that_was_killed_while_its_file_was_written_is_finished(tmp_path):
    """What it had begun lies beside the file, and is taken back by whoever opens it to write."""
    new, begun = tmp_path / "new", tmp_path / "begun"
    with contextlib.closing(sqlite3.connect(begun, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("VACUUM")
        db.execute("BEGIN")
        db.execute("CREATE TABLE half (made)")
        new.mkdir()
        for suffix in ("", "-journal"):
            shutil.copyfile(f"{begun}{suffix}", new / f"{schema.FILE}{suffix}")
    secret_files.create(new)
    assert composition.migrate(new) == schema.version_wanted()
    schema.open_to_write(new).close()


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


def without_a_way_back(forth, back):
    return {number for number, _ in forth if number > schema.FIRST} - set(back)


# By number of the fold the version that came with it. Machines of two releases answer from one ledger while one is brought
# up after the other, and those of the older version stop (`postgres.connection.MIGRATED`): a fold that came without a
# version of its own would have them answer by two.
FOLDS = {3: 36, 4: 37, 5: 38, 6: 39, 7: 40, 8: 41}


def test_the_fold_is_changed_with_a_version_of_the_ledger():
    assert max(FOLDS) == FOLD, "a changed fold needs a migration, if an empty one, and its line here"
    assert FOLDS[FOLD] <= schema.version_wanted()
    assert len(set(FOLDS.values())) == len(FOLDS)


def test_no_migration_goes_without_its_way_back():
    assert without_a_way_back(schema.migrations(), schema.ways_back()) == set()


def test_the_control_a_migration_without_its_way_back_is_found():
    later = [*schema.migrations(), (schema.version_wanted() + 1, "CREATE TABLE second (x);")]
    assert without_a_way_back(later, schema.ways_back()) == {schema.version_wanted() + 1}


@pytest.fixture
def later(folder, monkeypatch):
    """Two versions later; what way back there is may be said."""
    before = schema.version_wanted()
    forth = [
        *schema.migrations(),
        (before + 1, "CREATE TABLE second (x);\n"),
        (before + 2, "CREATE TABLE third (x);\n"),
    ]
    monkeypatch.setattr(schema, "migrations", lambda: forth)
    schema.migrate(folder, 1)
    return lambda **back: monkeypatch.setattr(
        schema, "ways_back", lambda: {before + {"second": 1, "third": 2}[name]: sql for name, sql in back.items()}
    )


def tables(file):
    with raw(file) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_schema")} & {"second", "third"}


def test_a_ledger_is_taken_back_by_the_ways_of_each_version_and_then_again_forth(folder, file, later):
    later(second="DROP TABLE second;\n", third="DROP TABLE third;\n")
    assert schema.take_back(folder, schema.version_wanted() - 2) == schema.version_wanted() - 2
    assert tables(file) == set()
    assert schema.migrate(folder, 1) == schema.version_wanted()
    assert tables(file) == {"second", "third"}


@pytest.mark.parametrize("back", [{"third": "DROP TABLE third;\n"}, {"second": "DROP TABLE second;\n"}, {}])
def test_a_ledger_whose_way_back_is_closed_somewhere_is_left_as_it_is(folder, file, later, back):
    later(**back)
    with pytest.raises(LedgerRefused, match="has no way back, and nothing was changed"):
        schema.take_back(folder, schema.version_wanted() - 2)
    assert tables(file) == {"second", "third"}
    schema.open_to_write(folder).close()


def test_an_older_release_reads_no_notice_that_came_back_and_nothing_leads_to_one(folder):
    """It knows no such word, and a day that is none stops it; a day of long ago tells nobody more than none."""
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        [jane] = house.consent.people.name([named("account", "jane")]).subjects

        def job(tx):
            for outcome in (Told.SENT, Told.BOUNCED):
                notices.note_told(tx, jane, NoticeKind.CPNI, AT.date(), outcome, AT, os.urandom(16))
            tx.say([Record(tx.size, milliseconds(AT), b"k" * 16, KeptNotice(NoticeKind.CPNI, 0))], milliseconds(AT))

        house.writer.submit(job).result(60)
    schema.take_back(folder, schema.BOUNCES - 1)
    with laid_open(folder) as db:
        rows = [*all_sides(db)]
        said = [record.said for row in rows for record in row.records()]
        assert said == [NoticeGiven(NoticeKind.CPNI, AT.toordinal()), KeptNotice(NoticeKind.CPNI, 1)]
        assert {*all_mentions(db)} == set().union(*(led_by(row.place, row.records()) for row in rows))
        assert verify.examine(db, lambda _: None, None).different == []


def test_who_is_cut_off_on_the_way_back_has_gone_no_step_of_it_and_goes_it_again(folder, file, later):
    later(second="DROP TABLE second;\nINSERT INTO nowhere VALUES (1);\n", third="DROP TABLE third;\n")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        schema.take_back(folder, schema.version_wanted() - 2)
    assert tables(file) == {"second", "third"}
    schema.open_to_write(folder).close()
    later(second="DROP TABLE second;\n", third="DROP TABLE third;\n")
    for _ in range(2):  # who does not know whether it was done does it again
        assert schema.take_back(folder, schema.version_wanted() - 2) == schema.version_wanted() - 2
    assert tables(file) == set()


@pytest.mark.parametrize("to", [-(10**12), schema.FIRST - 1, schema.version_wanted() + 1])
def test_a_ledger_is_taken_back_to_no_version_that_it_never_had(folder, to):
    with pytest.raises(LedgerRefused, match=f"not to {to}"):
        schema.take_back(folder, to)


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
        told = rf"version 99.*pip install --upgrade gateway\).* migrate --back-to {schema.version_wanted()} "
        with pytest.raises(LedgerRefused, match=told):
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


def leaves_a_checkpoint(folder, file):
    with open_house(folder, inside.settings()) as house:
        everybody.says_no(house, "email", email(1))
    (folder / "vault.sqlite3").unlink()
    (folder / EPOCHS).unlink()


def leaves_what_wraps_the_keys(folder, file):
    """As its first start leaves it."""
    leaves_a_checkpoint(folder, file)
    shutil.rmtree(f"{folder}.checkpoints")
    Epochs(folder, secret_files.load_secrets(folder).wraps).begin(FIRST + 1, 0, 0)


@pytest.mark.parametrize("served", [leaves_a_checkpoint, leaves_what_wraps_the_keys])
def test_an_empty_ledger_is_never_made_beside_secrets_that_had_one(folder, file, served):
    """Ledger and vault may be lost together: a database lies elsewhere."""
    served(folder, file)
    file.unlink()
    with pytest.raises(LedgerRefused, match="its people are not"):
        composition.migrate(folder)
    assert not file.exists()


def test_a_checkpoint_that_is_kept_elsewhere_is_looked_for_there(folder, file, tmp_path):
    leaves_a_checkpoint(folder, file)
    file.unlink()
    shutil.move(f"{folder}.checkpoints", tmp_path / "elsewhere")
    with pytest.raises(LedgerRefused, match="its people are not"):
        composition.migrate(folder, checkpoints=tmp_path / "elsewhere")
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
