import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.people import email, named

from gateway.app import maintenance
from gateway.app.composition import migrate, open_house, publisher_of, verify_ledger
from gateway.desk.forgetting.erasure import ErasureOrder, erase
from gateway.desk.office.cases import Cases
from gateway.desk.office.desk_file import DESK_FILE
from gateway.desk.office.desk_log import DeskLog
from gateway.desk.office.officers import DeskRole, Officers
from gateway.desk.office.request_law import RequestKind
from gateway.keys import secret_files
from gateway.keys.epochs import FILE as EPOCHS
from gateway.keys.person_keys import FILE as VAULT
from gateway.keys.person_keys import Vault
from gateway.ledger import schema
from gateway.ledger.audit import backup
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.proof import note
from gateway.ledger.proof.ed25519 import Ed25519Signer
from gateway.ledger.proof.mldsa import MldsaSigner
from gateway.ledger.proof.verifier_keys import log_key
from gateway.ledger.publisher import RolledBack, StoreBroken
from gateway.ledger.subjects import Choice
from gateway.terms import ChoiceKind, Erasing, Purpose

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SETTINGS = inside.settings()


def opened(folder):
    return open_house(folder, SETTINGS, dev=True)


def opt_out(house, *people):
    for person in people:
        subjects = house.consent.people.name([named("email", email(person))]).subjects
        asyncio.run(house.consent.choose(subjects, Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", AT)))


def says(house, person):
    subjects = house.consent.people.name([named("email", email(person))]).subjects
    return house.consent.checks.read_back(subjects, [Purpose.SALE])["sale"]


def last(folder):
    with opened(folder) as house:
        return note.parse_checkpoint(note.text_of(house.consent.log_reader.checkpoint()))


@pytest.fixture
def lived_in(folder, tmp_path):
    """Two opt-outs, a backup, and a third one after it."""
    with opened(folder) as house:
        opt_out(house, 1, 2)
    maintenance.back_up(folder, tmp_path / "backup")
    with opened(folder) as house:
        opt_out(house, 3)
    return folder


def test_a_backup_in_a_new_folder_denies_whom_it_knew(folder, tmp_path):
    with opened(folder) as house:
        opt_out(house, 1, 2)
    told = maintenance.back_up(folder, tmp_path / "ledger")
    vault = maintenance.back_up_keys(folder, tmp_path / "keys", lambda: AT)
    maintenance.back_up_secrets(folder, tmp_path / "secrets")
    assert vault.name == "vault-20261124T120000Z.sqlite3"
    shutil.rmtree(folder)
    done = maintenance.put_back(folder, SETTINGS, tmp_path / "ledger", vault, tmp_path / "secrets")
    assert (done.checkpoint, done.aside, done.why) == (told, None, "")
    with opened(folder) as house:
        assert [says(house, person) for person in (1, 2, 3)] == ["opted_out", "opted_out", "none"]
        opt_out(house, 3)
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert db.execute("SELECT count(*) FROM detail WHERE sealed IS NOT NULL").fetchone() == (3,)


def test_a_backup_under_load_is_of_one_moment_and_stops_nobody(folder, tmp_path, figure):
    with opened(folder) as house:
        over, written = threading.Event(), []

        def write() -> None:
            while not over.is_set():
                written.append(house.writer.submit(lambda tx: tx.append(b"%d" % tx.size)).result(60))

        thread = threading.Thread(target=write)
        thread.start()
        copies = []
        while len(copies) < 5 or (len(written) <= 5 and len(copies) < 200):  # a busy machine writes none for a while
            copies.append(maintenance.back_up(folder, tmp_path / f"copy{len(copies)}"))
        over.set()
        thread.join()
        assert len(written) > 5
        sizes = [copy.size for copy in copies]
        assert sizes == sorted(sizes)
        for number, size in enumerate(sizes):
            with contextlib.closing(sqlite3.connect(tmp_path / f"copy{number}" / schema.FILE)) as db:
                assert db.execute("SELECT count(*), max(seq) + 1 FROM entry").fetchone() == (size, size or None)
        figure(
            "backup under load",
            f"{len(copies)} copies while {len(written)} entries were written, each whole and of one moment",
        )


def test_ledger_keys_and_secrets_never_lie_in_one_backup(tmp_path):
    folder = tmp_path / "data"
    migrate(folder)
    with opened(folder):
        pass
    maintenance.back_up(folder, tmp_path / "ledger")
    maintenance.back_up_keys(folder, tmp_path / "keys", lambda: AT)
    maintenance.back_up_secrets(folder, tmp_path / "secrets")
    assert {path.name for path in (tmp_path / "ledger").iterdir()} <= {schema.FILE, "api_keys.json"}
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["vault-20261124T120000Z.sqlite3"]
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == [secret_files.SECRETS], "nobody has keys"


def test_the_desks_people_cases_and_log_come_back_with_the_ledger_and_no_session_does(folder, tmp_path):
    sitting = Officers(folder, lambda: AT)
    sitting.register_passkey(sitting.invite("ada", DeskRole.OFFICER), b"id", b"key", 0)
    token, invited = sitting.begin_session("ada", "passkey"), sitting.invite("ben", DeskRole.READER)
    cases = Cases(folder, inside.secrets().desk, lambda: AT)
    number = cases.open_case(AT, RequestKind.KNOW, "US-CA", "letter", {"lines": email(1)})
    DeskLog(folder, inside.secrets().desk).note(AT, {"who": "ada"})
    with opened(folder):
        pass
    maintenance.back_up(folder, tmp_path / "ledger")
    maintenance.back_up_secrets(folder, tmp_path / "secrets")
    shutil.rmtree(folder)
    maintenance.put_back(folder, SETTINGS, tmp_path / "ledger", None, tmp_path / "secrets")
    assert cases.read_case(number).said == {"lines": email(1)}
    assert [each.name for each in sitting.people()] == ["ada", "ben"]
    assert sitting.passkey(b"id").name == "ada"
    assert (sitting.read_session(token), sitting.invited(invited)) == (None, None)
    assert DeskLog(folder, inside.secrets().desk).head_of_line(1)
    sitting.end_person("ada")
    maintenance.put_back(folder, SETTINGS, tmp_path / "ledger", None, None)
    assert [each.name for each in sitting.people()] == ["ben"], "a desk that is there is not put back to before"


class Killed(BaseException):
    """A restore that is cut off."""


def killed(*_):
    raise Killed


def test_a_restore_that_is_cut_off_brings_no_key_back_that_the_ledger_says_is_gone(folder, tmp_path, monkeypatch):
    with opened(folder) as house:
        opt_out(house, 1)
    vault = maintenance.back_up_keys(folder, tmp_path / "keys", lambda: AT)
    with opened(folder) as house:
        subjects = house.consent.people.name([named("email", email(1))]).subjects
        house.writer.submit(lambda tx: erase(tx, ErasureOrder(Erasing.DETAILS, subjects, AT), os.urandom(16))).result(
            60
        )
    maintenance.back_up(folder, tmp_path / "ledger")
    maintenance.back_up_secrets(folder, tmp_path / "secrets")
    with contextlib.closing(schema.open_to_read(tmp_path / "ledger")) as db:
        forgotten = [person for (person,) in db.execute("SELECT person FROM detail WHERE sealed IS NULL")]
    shutil.rmtree(folder)
    with monkeypatch.context() as cut:
        cut.setattr(backup, "put_back", killed)
        with pytest.raises(Killed):
            maintenance.put_back(folder, SETTINGS, tmp_path / "ledger", vault, tmp_path / "secrets")
    with contextlib.closing(Vault(folder, secret_files.load_secrets(folder).wraps)) as keys:
        assert forgotten
        assert all(keys.keys(person).details is None for person in forgotten)


def test_a_restore_that_is_cut_off_leaves_no_way_in_to_the_desk(folder, tmp_path, monkeypatch):
    sitting = Officers(folder, lambda: AT)
    sitting.register_passkey(sitting.invite("ada", DeskRole.OFFICER), b"id", b"key", 0)
    token = sitting.begin_session("ada", "passkey")
    with opened(folder):
        pass
    maintenance.back_up(folder, tmp_path / "ledger")
    maintenance.back_up_secrets(folder, tmp_path / "secrets")
    shutil.rmtree(folder)
    with monkeypatch.context() as cut:
        cut.setattr(maintenance, "end_ways_in", killed)
        with pytest.raises(Killed):
            maintenance.put_back(folder, SETTINGS, tmp_path / "ledger", None, tmp_path / "secrets")
    maintenance.put_back(folder, SETTINGS, tmp_path / "ledger", None, tmp_path / "secrets")
    assert (sitting.passkey(b"id").name, sitting.read_session(token)) == ("ada", None)
    assert sorted(each.name for each in folder.iterdir() if "desk" in each.name) == [DESK_FILE]


KILLED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
db.executemany("INSERT INTO lookup VALUES (?, 0)", [("x" * 200,)] * 20_000)
os._exit(9)
"""


def test_a_desks_file_whose_writer_was_killed_is_backed_up_as_it_was_before(folder, tmp_path):
    Officers(folder, lambda: AT).invite("ada", DeskRole.OFFICER)
    with opened(folder):
        pass
    subprocess.run([sys.executable, "-c", KILLED, str(folder / DESK_FILE)], check=False)
    assert (folder / f"{DESK_FILE}-journal").stat().st_size > 0
    maintenance.back_up(folder, tmp_path / "ledger")
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger" / DESK_FILE)) as db:
        assert db.execute("SELECT (SELECT count(*) FROM person), (SELECT count(*) FROM lookup)").fetchone() == (1, 0)


def test_nothing_is_overwritten(folder, tmp_path):
    with opened(folder):
        pass
    for make in (
        maintenance.back_up,
        maintenance.back_up_secrets,
        lambda f, to: maintenance.back_up_keys(f, to, lambda: AT),
    ):
        place = tmp_path / str(make)
        make(folder, place)
        if (place / secret_files.SECRETS).exists():
            (place / secret_files.SECRETS).write_bytes(b"another installation's")
        before = {path: path.read_bytes() for path in place.iterdir()}
        with pytest.raises(LedgerRefused, match="nothing is overwritten"):
            make(folder, place)
        assert {path: path.read_bytes() for path in place.iterdir()} == before


def test_only_copies_of_keys_that_are_too_old_are_deleted(folder, tmp_path):
    with opened(folder):
        pass
    place = tmp_path / "keys"
    old, young = (maintenance.back_up_keys(folder, place, lambda ago=ago: AT - timedelta(days=ago)) for ago in (8, 6))
    (place / "vault-notes.txt").write_text("somebody's")
    assert maintenance.prune_ledger_of(place, 7, lambda: AT) == [old]
    assert sorted(path.name for path in place.iterdir()) == [young.name, "vault-notes.txt"]


def test_an_older_copy_is_put_back_and_not_answered_from(lived_in, tmp_path):
    done = maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, None)
    assert f"gateway restore --new-log --data {lived_in}" in done.why
    assert (done.aside / schema.FILE).exists()
    with pytest.raises(RolledBack), opened(lived_in):
        raise AssertionError("it must not open")


def test_the_newer_one_that_is_put_back_again_goes_on_as_if_nothing_had_been(lived_in, tmp_path):
    aside = maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, None).aside
    assert maintenance.put_back(lived_in, SETTINGS, aside, None, None).why == ""
    with opened(lived_in) as house:
        assert says(house, 3) == "opted_out"


def test_an_older_copy_goes_on_as_a_new_log_that_names_the_old_ones_end(lived_in, tmp_path):
    old = last(lived_in)
    maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, None)
    begun = maintenance.go_on(lived_in, SETTINGS, lambda: AT)
    assert (begun.origin, begun.last) == (f"{old.origin}.2", old)
    with contextlib.closing(schema.open_to_read(lived_in)) as db:
        leaf = json.loads(db.execute("SELECT body FROM entry WHERE seq = ?", (begun.size,)).fetchone()[0])
    assert (leaf["e"], leaf["from"], leaf["size"]) == ("restored", old.origin, old.size)
    assert verify_ledger(lived_in, SETTINGS, boxes=False)[0].different == []
    with opened(lived_in) as house:
        assert [says(house, person) for person in (1, 2, 3)] == ["opted_out", "opted_out", "none"]
        opt_out(house, 3)
        signed = note.parse_checkpoint(note.text_of(house.consent.log_reader.checkpoint()))
    assert signed.origin == begun.origin
    [evidence] = (lived_in.with_name("data.checkpoints")).glob("*.ended")
    assert note.parse_checkpoint(evidence.read_text()) == old
    report, _ = verify_ledger(lived_in, SETTINGS, boxes=True)
    assert report.passed, report.different


def test_receipts_of_the_old_log_still_verify_with_its_own_name(lived_in, tmp_path):
    with opened(lived_in) as house:
        before = house.consent.log_reader.checkpoint()
    maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, None)
    maintenance.go_on(lived_in, SETTINGS, lambda: AT)
    origin, [seed] = note.parse_checkpoint(note.text_of(before)).origin, secret_files.load_secrets(lived_in).signing
    signer = Ed25519Signer(origin, seed)
    assert before.startswith(note.sign(note.text_of(before), [signer]))
    assert note.open_note(before, [log_key(MldsaSigner(origin, seed).vkey)]).verified
    assert Ed25519Signer(f"{origin}.2", seed).key_id != signer.key_id


def test_a_second_restore_of_the_same_copy_gets_a_name_that_was_never_used(lived_in, tmp_path):
    for expected in ("2", "3", "4"):
        maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, None)
        assert maintenance.go_on(lived_in, SETTINGS, lambda: AT).origin.endswith(f".{expected}")


def test_a_new_log_that_was_cut_off_before_its_store_is_finished_by_running_it_again(lived_in, tmp_path, monkeypatch):
    maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, None)

    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as crash, pytest.raises(KeyboardInterrupt):
        crash.setattr(backup.CheckpointStore, "swap", cut)
        maintenance.go_on(lived_in, SETTINGS, lambda: AT)
    begun = maintenance.go_on(lived_in, SETTINGS, lambda: AT)
    assert begun.origin.endswith(".2")
    with contextlib.closing(schema.open_to_read(lived_in)) as db:
        bodies = [body for (body,) in db.execute("SELECT body FROM entry")]
    assert sum(b'"restored"' in body for body in bodies) == 1
    assert last(lived_in).origin == begun.origin


def test_a_store_that_is_lost_is_noticed_and_its_new_log_takes_no_name_that_may_be_used(lived_in):
    shutil.rmtree(lived_in.with_name("data.checkpoints"))
    with pytest.raises(RolledBack, match="last checkpoint is gone"), opened(lived_in):
        raise AssertionError("it must not open")
    begun = maintenance.go_on(lived_in, SETTINGS, lambda: AT)
    assert begun.last is None
    assert begun.origin.endswith(".20261124120000")
    assert last(lived_in).origin == begun.origin


def test_a_log_that_is_well_needs_no_new_one(folder):
    with opened(folder) as house:
        house.writer.submit(lambda tx: tx.append(b"one")).result(60)
    with pytest.raises(LedgerRefused, match="needs no new one"):
        maintenance.go_on(folder, SETTINGS, lambda: AT)


def test_nothing_is_put_back_under_a_running_service(lived_in, tmp_path):
    with opened(lived_in):
        for act in (
            lambda: maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, None),
            lambda: maintenance.go_on(lived_in, SETTINGS),
        ):
            with pytest.raises(LedgerRefused, match="stop the service first"):
                act()


def test_a_damaged_backup_is_refused_and_what_is_there_stays(lived_in, tmp_path):
    file = tmp_path / "backup" / schema.FILE
    content = bytearray(file.read_bytes())
    content[8192:12288] = bytes(4096)
    file.write_bytes(bytes(content))
    before = last(lived_in)
    with pytest.raises(LedgerRefused):
        maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, None)
    assert last(lived_in) == before


def test_keys_and_secrets_that_are_there_are_never_put_back_to_before(lived_in, tmp_path):
    old_keys = maintenance.back_up_keys(lived_in, tmp_path / "keys", lambda: AT)
    maintenance.back_up_secrets(lived_in, tmp_path / "secrets")
    secrets = secret_files.add_pepper(lived_in)
    before, ledger = (lived_in / VAULT).stat().st_ino, (lived_in / schema.FILE).stat().st_ino
    for kept, says in (
        ((old_keys, None), VAULT),
        ((None, tmp_path / "secrets"), secret_files.SECRETS),
        ((old_keys, tmp_path / "secrets"), f"{VAULT} and .*{secret_files.SECRETS}"),
    ):
        with pytest.raises(LedgerRefused, match=f"{says}: there already"):
            maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", *kept)
        assert (lived_in / schema.FILE).stat().st_ino == ledger
    maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, None)
    assert secret_files.load_secrets(lived_in) == secrets
    assert (lived_in / VAULT).stat().st_ino == before


def test_epochs_that_were_begun_beside_those_that_are_kept_are_told_and_not_passed_over(lived_in, tmp_path):
    maintenance.back_up_secrets(lived_in, tmp_path / "secrets")
    (lived_in / EPOCHS).unlink()
    with opened(lived_in) as house:
        opt_out(house, 4)
    with pytest.raises(LedgerRefused, match=f"{EPOCHS}: there already"):
        maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, tmp_path / "secrets")


def test_a_look_at_a_ledger_without_keys_makes_no_vault_in_whose_place_none_is_put_back(lived_in, tmp_path):
    keys = maintenance.back_up_keys(lived_in, tmp_path / "keys", lambda: AT)
    maintenance.back_up_secrets(lived_in, tmp_path / "secrets")
    new = tmp_path / "new"
    maintenance.put_back(new, SETTINGS, tmp_path / "backup", None, tmp_path / "secrets")
    with pytest.raises(LedgerRefused, match=f"{VAULT} is not there"):
        verify_ledger(new, SETTINGS, boxes=True)
    assert not (new / VAULT).exists()
    migrate(new)
    assert (new / VAULT).exists(), "an empty one"
    assert maintenance.put_back(new, SETTINGS, tmp_path / "backup", keys, None).keys
    maintenance.go_on(new, SETTINGS)
    report, _ = verify_ledger(new, SETTINGS, boxes=True)
    assert (report.different, bool(report.opened)) == ([], True)


def test_the_control_folder_and_store_put_back_together_are_not_found_out_here(lived_in, tmp_path):
    """Nothing on the machine can tell: that takes a witness (gateway help restore)."""
    store = lived_in.with_name("data.checkpoints")
    shutil.copytree(lived_in, tmp_path / "an hour ago")
    shutil.copytree(store, tmp_path / "its store")
    with opened(lived_in) as house:
        opt_out(house, 4)
    for there, copy in ((lived_in, "an hour ago"), (store, "its store")):
        shutil.rmtree(there)
        shutil.copytree(tmp_path / copy, there)
    with opened(lived_in) as house:
        assert says(house, 4) == "none"


@pytest.mark.parametrize(
    ("known", "after"),
    [
        (["consent.example.com/log/2026"], "consent.example.com/log/2026.2"),
        (["a.example/log", "a.example/log.4", "a.example/log.2"], "a.example/log.5"),
        (["a.example/log.4", "a.example/log.2"], "a.example/log.5"),
        (["a.example/log.2", "a.example/log.10", "b.example/log.77"], "a.example/log.11"),
    ],
)
def test_the_next_name_has_the_next_number(known, after):
    assert backup.next_log_name(known) == after


def test_a_witness_that_disagrees_stops_everything_until_it_is_settled(folder):
    publisher = publisher_of(folder, SETTINGS, secret_files.load_secrets(folder))
    with opened(folder) as house:
        house.writer.submit(lambda tx: tx.append(b"one")).result(60)
    with contextlib.closing(schema.open_to_read(folder)) as db:
        publisher.refuse(db, {"auditor": "witness.example saw another log: gateway help restore"})
        anew = publisher_of(folder, SETTINGS, secret_files.load_secrets(folder))
        for each in (publisher, anew):
            for asks in (each.prove, each.publish, each.latest):
                with pytest.raises(RolledBack, match=r"witness\.example"):
                    asks(db)
        anew.refuse(db, {"press": ""})
        with pytest.raises(RolledBack, match=r"witness\.example"):
            anew.prove(db)
        publisher.refuse(db, {"auditor": ""})
        assert publisher.prove(db)
        assert anew.prove(db)


def test_a_log_that_a_witness_stopped_goes_on_as_a_new_one_and_no_restart_takes_it_for_settled(folder):
    with opened(folder) as house:
        opt_out(house, 1)
        house.consent.log_reader.refuse({"auditor": "a witness has seen another log"})
    for _ in range(2):
        with pytest.raises(RolledBack, match="another log"), opened(folder):
            pass
    begun = maintenance.go_on(folder, SETTINGS)
    assert begun.origin.endswith(".2")
    with opened(folder) as house:
        assert says(house, 1) == "opted_out"
        assert house.writer.submit(lambda tx: tx.log).result(60) == begun.origin


def test_what_a_witness_said_that_cannot_be_kept_holds_while_the_process_lives_and_what_cannot_be_read_stops_all(
    folder,
):
    publisher = publisher_of(folder, SETTINGS, secret_files.load_secrets(folder))
    with opened(folder) as house:
        house.writer.submit(lambda tx: tx.append(b"one")).result(60)
    with contextlib.closing(schema.open_to_read(folder)) as db:
        store = publisher.store(db)
        publisher.refuse(db, {"auditor": "another log"})
        (kept,) = store.path.parent.glob("*.witness-stopped")
        kept.write_bytes(b"{")
        with pytest.raises(StoreBroken, match="cannot be read"):
            publisher.prove(db)
        kept.unlink()
        kept.mkdir()  # nothing can be put in its place
        with pytest.raises(StoreBroken, match="cannot be written"):
            publisher.refuse(db, {"auditor": "another log still"})
        kept.rmdir()
        with pytest.raises(RolledBack, match="another log still"):
            publisher.prove(db)


def test_a_ledger_is_never_put_back_to_other_secrets_for_they_find_nobody_in_it(lived_in, tmp_path):
    """Whom nobody finds may be sold: this is what `gateway migrate` and then `gateway restore` came to."""
    maintenance.back_up_secrets(lived_in, tmp_path / "own")
    maintenance.back_up(lived_in, tmp_path / "copy")
    other = tmp_path / "other"
    migrate(other)
    before = (other / schema.FILE).read_bytes()
    with pytest.raises(LedgerRefused, match="other secrets"):
        maintenance.put_back(other, SETTINGS, tmp_path / "copy", None, None)
    assert (other / schema.FILE).read_bytes() == before
    new = tmp_path / "new"
    with pytest.raises(LedgerRefused, match="other secrets"):
        maintenance.put_back(new, SETTINGS, tmp_path / "copy", None, other)
    assert not (new / secret_files.SECRETS).exists(), "the right ones could not be put there any more"
    done = maintenance.put_back(new, SETTINGS, tmp_path / "copy", None, tmp_path / "own")
    assert not done.keys
    maintenance.go_on(new, SETTINGS)
    with opened(new) as house:
        assert [says(house, person) for person in (1, 2, 3)] == ["opted_out"] * 3


def test_a_restore_without_secrets_does_not_say_to_make_new_ones(lived_in, tmp_path):
    with pytest.raises(secret_files.SecretsMissing) as refused:
        maintenance.put_back(tmp_path / "new", SETTINGS, tmp_path / "backup", None, None)
    assert "--secrets FOLDER" in str(refused.value)
    assert "migrate" not in str(refused.value)


@pytest.mark.parametrize("looked", [True, False])
def test_a_service_with_other_secrets_answers_nobody(lived_in, tmp_path, monkeypatch, looked):
    """Control: where nobody looks at the mark, whoever said no is not found."""
    other = tmp_path / "other"
    migrate(other)
    for name in (secret_files.SECRETS, VAULT):
        shutil.copyfile(other / name, lived_in / name)
    if not looked:
        (lived_in / EPOCHS).unlink()
        monkeypatch.setattr(schema, "prove_mark", lambda db, *_: schema.peppers_in(db))
        with opened(lived_in) as house:
            assert says(house, 1) == "none"
        return
    with pytest.raises(LedgerRefused, match="other secrets"), opened(lived_in):
        pass
    with open_house(lived_in, SETTINGS, dev=True, patient=True) as house:
        assert not house.fresh()
    with pytest.raises(LedgerRefused, match="other secrets"):
        verify_ledger(lived_in, SETTINGS, boxes=False)


def test_secrets_of_before_the_persons_keys_were_wrapped_by_newer_ones_are_refused(lived_in):
    """Their mark is the same; what they would wrap, the newer ones could not open."""
    before = (lived_in / secret_files.SECRETS).read_bytes()
    maintenance.replace_key(lived_in, SETTINGS, maintenance.RekeyKind.KEY_ENCRYPTION)
    maintenance.retire(lived_in, SETTINGS, maintenance.RekeyKind.KEY_ENCRYPTION)
    newer = (lived_in / secret_files.SECRETS).read_bytes()
    (lived_in / secret_files.SECRETS).write_bytes(before)
    with pytest.raises(LedgerRefused, match="other secrets"), opened(lived_in):
        pass
    (lived_in / secret_files.SECRETS).write_bytes(newer)
    with opened(lived_in) as house:
        assert says(house, 1) == "opted_out"


def test_a_new_pepper_leaves_its_mark(lived_in):
    maintenance.pepper(lived_in, SETTINGS)
    first, both = secret_files.load_secrets(lived_in).marks
    with contextlib.closing(sqlite3.connect(lived_in / schema.FILE)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (both,) != (first,)
    with opened(lived_in) as house:
        assert says(house, 1) == "opted_out"


def test_a_ledger_whose_store_was_lost_does_not_pass_as_one_that_was_never_signed(lived_in):
    shutil.rmtree(lived_in.with_name(lived_in.name + ".checkpoints"))
    report, _ = verify_ledger(lived_in, SETTINGS, boxes=False)
    assert not report.passed
    assert any("gone from its store" in text for text in report.different)


@pytest.mark.parametrize("spoilt", ["cut off", "empty", "not there", "of another version"])
def test_a_backup_that_cannot_be_put_back_is_said_to_be_that_and_nobody_is_told_to_change_it(
    lived_in, tmp_path, spoilt
):
    ledger = tmp_path / "backup" / schema.FILE
    if spoilt == "cut off":  # a backup that was killed, or a disk that filled up
        ledger.write_bytes(ledger.read_bytes()[:100_000])
    elif spoilt == "empty":
        ledger.write_bytes(b"")
    elif spoilt == "not there":
        ledger.unlink()
    else:
        with contextlib.closing(sqlite3.connect(ledger)) as db:
            db.execute(f"PRAGMA user_version = {schema.version_wanted() - 1:d}")
    before = (lived_in / schema.FILE).read_bytes()
    with pytest.raises(LedgerRefused, match="this backup is not put back") as refused:
        maintenance.put_back(lived_in, SETTINGS, tmp_path / "backup", None, None)
    assert (lived_in / schema.FILE).read_bytes() == before
    assert f"--data {tmp_path / 'backup'}" not in str(refused.value)
    assert not list(lived_in.glob("before-restore-*"))
