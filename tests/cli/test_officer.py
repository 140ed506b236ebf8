"""An officer's commands: a day's evidence that can be checked, a record, the requests of a time, an appeal."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from support import inside
from support.people import phone

from gateway import keys
from gateway.app import open_house
from gateway.cli.root import group
from gateway.evidence import Evidence
from gateway.in_force import in_force
from gateway.ledger import receipt
from gateway.ledger.ed25519 import Ed25519Signer, Ed25519Verifier

TODAY = datetime.now(UTC).strftime("%Y-%m-%d")


@pytest.fixture(autouse=True)
def never_blocked():
    """A command serves nobody else: its own loop may wait for the disk."""


@pytest.fixture
def run(folder):
    return lambda *words: CliRunner().invoke(group, [*words, "--data", str(folder)])


@pytest.fixture
def ran(folder):
    """A service that ran today and heard GPC 40 times."""
    counts = [{}, {"signals": {"web gpc": 40, "web usprivacy": 2}}]
    with open_house(folder, inside.settings()) as house:
        kept = Evidence(folder, house.writer, in_force(inside.settings()), lambda: datetime.now(UTC),
                        counted=lambda: counts[0], off={"enforcement_off": lambda: True})  # fmt: skip
        kept.start()
        counts.pop(0)
        kept.stop()


def test_a_day_is_printed_with_its_counts_its_spells_and_what_was_in_force(run, ran):
    done = run("evidence", "--on", TODAY)
    assert done.exit_code == 0
    assert "          40  web gpc" in done.output
    assert "fewer than 10  merged" in done.output
    assert "enforcement_off from" in done.output
    assert "law us_signal_states" in done.output


def test_an_officer_checks_the_receipt_of_a_days_evidence_without_the_gateway(run, ran, folder, tmp_path):
    done = run("evidence", "--on", TODAY, "--json", "--receipts", str(tmp_path / "receipts"))
    entries = json.loads(done.output)["entries"]
    assert [entry["k"] for entry in entries] == ["start", "stop"]
    origin = receipt.parse(entries[0]["receipt"]).note.partition("\n")[0]
    signer = Ed25519Signer(origin, keys.load(folder).signing[-1])
    for entry in entries:
        found = receipt.parse((tmp_path / "receipts" / f"{entry['seq']}.receipt").read_text())
        receipt.verify(found, [Ed25519Verifier.from_vkey(signer.vkey)])
        assert json.loads(found.entry)["i"] == entry["i"]
    first = next((tmp_path / "receipts").iterdir())
    checked = CliRunner().invoke(group, ["receipt", "verify", str(first), "--key", signer.vkey])
    assert checked.exit_code == 0, checked.output


def test_a_day_of_which_nothing_is_on_record_says_so(run):
    done = run("evidence", "--on", "2020-01-01")
    assert (done.exit_code, done.output) == (1, "nothing is on record for 2020-01-01\n")


def chosen(run):
    assert run("choose", "opt_out", "--phone", phone(7)).exit_code == 0
    done = run("export", "requests", "--from", TODAY, "--to", TODAY)
    return json.loads(done.output.splitlines()[0])


def test_a_record_is_exported_and_tells_what_is_missing(run, ran):
    done = run("record", chosen(run)["event"], "--format", "27560")
    assert done.exit_code == 1
    assert "party_name" in json.loads(done.output)["missing"]
    assert phone(7) not in done.output


def test_a_kantara_receipt_of_a_refusal_is_refused_and_so_is_an_event_of_nobody(run):
    refused = run("record", chosen(run)["event"], "--format", "kantara")
    assert (refused.exit_code, "no consent" in refused.output) == (2, True)
    assert run("record", "AAAAAAAAAAAAAAAAAAAAAA", "--format", "27560").exit_code == 2
    assert run("record", "not an event!", "--format", "27560").exit_code == 2


@pytest.mark.parametrize("event", ["-AAAAAAAAAAAAAAAAAAAAA", "--AAAAAAAAAAAAAAAAAAAA"])
@pytest.mark.parametrize(
    "words", [("appeal", "--outcome", "made"), ("record", "--format", "27560"), ("receipt", "show")], ids=" ".join
)
def test_an_event_that_begins_with_a_hyphen_is_an_event(run, words, event):
    """One in 64 does; nobody has these."""
    done = run(*words, event)
    assert done.exit_code != 0
    assert "No such option" not in done.output
    assert "event" in done.output


def test_an_appeal_is_recorded_by_command(run):
    event = chosen(run)["event"]
    assert run("appeal", event, "--outcome", "made").exit_code == 0
    done = run("export", "requests", "--from", TODAY, "--to", TODAY, "--details")
    (row,) = map(json.loads, done.output.splitlines())
    assert row["appeal"] == {"made": True, "outcome": "made"}
    assert row["details"][0]["at"].startswith(TODAY)
    assert run("appeal", "AAAAAAAAAAAAAAAAAAAAAA", "--outcome", "made").exit_code == 2


def test_the_years_numbers_are_printed(run):
    chosen(run)
    assert json.loads(run("export", "report", TODAY[:4]).output)["opt_out"]["received"] == 1
