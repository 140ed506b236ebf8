"""The command line as a whole: what the system refuses is said with what helps, and no answer is given of nothing."""

import os
import pty
import resource
import sqlite3
import subprocess
import sys

import pytest
from support import inside
from support.people import email, gaid
from support.service import command

from gateway.app.composition import open_house
from gateway.ledger import schema

COMMAND = [sys.executable, "-m", "gateway"]


@pytest.mark.parametrize(
    "words",
    [["keys", "list"], ["keys", "add", "--scope", "check", "--name", "ads"], ["keys", "revoke", "ads"], ["hosts"],
     ["report", "denies", "--from", "2026-01-01"], ["explain", "--request", "5f2a"]],
)  # fmt: skip
def test_of_a_folder_that_is_none_of_a_gateways_nothing_is_said_and_nothing_is_made(tmp_path, outer, words):
    code, out, err = outer(*words, "--data", tmp_path / "nothing")
    assert code in {2, 3}
    assert out == ""
    assert str(tmp_path / "nothing") in err
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("into", ["--secrets", "--keys", None])
def test_a_backup_of_nothing_says_what_is_not_there(tmp_path, outer, into):
    code, _, err = outer("backup", *filter(None, [into]), tmp_path / "copy", "--data", tmp_path / "nothing")
    assert code == 3
    assert "is not there" in err


def test_a_file_that_cannot_be_written_is_named_and_the_code_is_not_that_of_a_no(folder, tmp_path, outer):
    out = tmp_path / "no such folder" / "list.csv"
    code, _, err = outer("suppression", "teemo", "--out", out, "--data", folder)
    assert code == 3
    assert err.startswith("gateway: ")
    assert "no such folder" in err
    assert "do the same again" in err


def limited(folder, *words):
    """A command whose files may not grow: as on a full disk."""

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    return subprocess.run([*COMMAND, *words, "--data", str(folder)], preexec_fn=full, capture_output=True, text=True)


@pytest.mark.slow
def test_a_full_disk_is_never_taken_for_a_damaged_ledger(folder):
    done = limited(folder, "choose", "opt_out", "--gaid", gaid(1))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "gateway restore" not in done.stderr
    assert command("verify", "--data", folder)[0] == 0


@pytest.mark.parametrize(
    ("code", "restores"),
    [(sqlite3.SQLITE_IOERR | 4 << 8, False), (sqlite3.SQLITE_BUSY, False), (sqlite3.SQLITE_CANTOPEN, False),
     (sqlite3.SQLITE_CORRUPT, True), (sqlite3.SQLITE_NOTADB, True)],
)  # fmt: skip
def test_a_backup_is_put_back_for_wrong_bytes_and_not_for_a_lock_or_a_disk(tmp_path, code, restores):
    error = sqlite3.DatabaseError("what SQLite says")
    error.sqlite_errorcode = code
    assert ("gateway restore" in schema.damaged(tmp_path / schema.FILE, error)) == restores
    assert "gateway restore" in schema.damaged(tmp_path / schema.FILE, "head says 7, entries end at 9")


LATIN = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "latin-1"}


def test_a_terminal_without_utf_8_gets_the_whole_text(tmp_path):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "help", "proofs"], stdout=theirs, stderr=subprocess.STDOUT, env=os.environ | LATIN
    ) as shown:
        os.close(theirs)
        text = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:  # the other side was closed
                break
            text += read
    os.close(ours)
    assert shown.returncode == 0
    assert b"Traceback" not in text
    assert b'print("about"' in text


@pytest.mark.slow
def test_into_a_file_goes_utf_8_whatever_the_locale(folder):
    plain = subprocess.run([*COMMAND, "help", "proofs"], capture_output=True).stdout
    assert "\N{EM DASH}".encode() in plain
    assert subprocess.run([*COMMAND, "help", "proofs"], capture_output=True, env=os.environ | LATIN).stdout == plain
    kept = subprocess.run(
        [*COMMAND, "choose", "opt_out", "--email", email(1), "--data", str(folder)],
        capture_output=True,
        env=os.environ | LATIN,
    )
    assert kept.returncode == 0, kept.stderr  # the last checkpoint, which bears an em dash, was read and written
    assert command("verify", "--data", folder)[0] == 0


def test_half_an_answer_is_no_traceback_when_the_reader_goes(folder):
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([*COMMAND, "help", "decisions_answers"], stdout=write, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["deliveries", "--secret", "temo"], "no recipient 'temo'"),
        (["deliveries", "--new-secret", "temo"], "no recipient 'temo'"),
        (["deliveries", "--take", "temo"], "no recipient 'temo'"),
        (["deliveries", "--retry", "temo"], "no recipient 'temo'"),
        (["deliveries", "--state", "pending", "--take", "teemo"], "at a time"),
        (["export", "requests", "--from", "2026-02-01", "--to", "2026-01-01"], "--to lies before"),
        (["export", "network-information", "--from", "2026-02-01", "--to", "2026-01-01"], "--to lies before"),
        (["export", "requests", "--from", "2026-01-01", "--to", "9999-12-31"], "no day comes after"),
        (["export", "network-information", "--from", "2026-01-01", "--to", "9999-12-31"], "no day comes after"),
        (["evidence", "--on", "9999-12-31"], "no day comes after"),
        (["rehearse", "--show", "--on", "9999-12-31"], "no day comes after"),
        (["export", "requests", "--from", "2027-02-29", "--to", "2027-03-01"], "2027-02-29"),
        (["disclosures", "received", "--gaid", gaid(1), "--class", "precise_geoo"], "--class"),
        (["void", "--list", "--source", "fom", "--from", "2026-01-01", "--to", "2026-01-02"], "--source"),
        (["void", "--list", "--source", "form", "--from", "2026-01-02", "--to", "2026-01-01"], "--to is not after"),
        (["void", "--list", "--source", "form", "--from", "2026-01-02"], "--from and --to"),
        (["disclosures", "sent_after_opt_out", "--gaid", gaid(1)], "is of everybody"),
        (["disclosures", "network_information", "--class", "cpni"], "is of everybody"),
        (["backup", "--keys", "one place", "--secrets", "one place"], "places of their own"),
        (["rekey", "pepper", "--retire"], "never retired"),
        (["rekey", "signing", "--early"], "are of --retire"),
        (["rekey", "cookie", "--lose-browsers"], "are of --retire"),
        (["rekey", "cookie", "--retire", "--early"], "--lose-browsers"),
        (["rekey", "signing", "--retire", "--lose-browsers"], "--early"),
        (["suppression", "teemo", "--out", "never", "--since", "99"], "without --since"),
    ],
)
def test_a_slip_of_the_officer_is_refused_and_not_answered_with_nothing(folder, outer, words, why):
    code, out, err = outer(*words, "--data", folder)
    assert (code, out) == (2, "")
    assert why in err


@pytest.mark.slow
def test_a_new_pepper_is_not_made_under_a_running_service_for_it_would_deny_everything(folder, outer):
    with open_house(folder, inside.settings()):
        held = subprocess.run([*COMMAND, "rekey", "pepper", "--data", str(folder)], capture_output=True, text=True)
    assert held.returncode == 3
    assert "stop the service first" in held.stderr
    code, out, _ = outer("rekey", "pepper", "--data", folder)
    assert (code, "wrapped by 2 peppers" in out) == (0, True)


def test_a_backup_does_not_go_into_the_folder_that_it_is_of(folder, outer):
    code, _, err = outer("backup", folder / "backups" / "monday", "--data", folder)
    assert (code, "lost with it" in err) == (2, True)
    assert not (folder / "backups").exists()


def test_taking_back_the_consents_of_a_screen_that_is_misspelt_is_not_said_to_be_done(folder, tmp_path, outer):
    reason = tmp_path / "reason.txt"
    reason.write_text("The refusal was hidden.")
    code, out, err = outer("void-consents", reason, "--name", "settngs", "--data", folder)
    assert (code, out) == (1, "0 opt-ins voided\n")
    assert "'settngs'" in err
