"""An officer's commands: a day's evidence that can be checked, a record, the requests of a time, an appeal."""

import asyncio
import contextlib
import hashlib
import json
import re
import sqlite3
import subprocess
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from support import inside
from support.days import today
from support.people import phone

from gateway.app.composition import open_house
from gateway.app.in_force import in_force
from gateway.cli.root import group
from gateway.desk.documents import Document
from gateway.evidence.keeper import Evidence
from gateway.keys import secret_files
from gateway.ledger.proof import receipt
from gateway.ledger.proof.ed25519 import Ed25519Signer, Ed25519Verifier
from gateway.ledger.schema import FILE

pytestmark = pytest.mark.usefixtures("noon")


@pytest.fixture
def run(folder):
    return lambda *words: CliRunner().invoke(group, [*words, "--data", str(folder)])


@pytest.fixture
def ran(folder):
    """A service that ran today and heard GPC 40 times."""
    counts = [{}, {"signals": {"web gpc": 40, "web usprivacy": 2}}]
    with open_house(folder, inside.settings()) as house:
        kept = Evidence(
            folder,
            house.writer,
            in_force(inside.settings()),
            lambda: datetime.now(UTC),
            counted=lambda: counts[0],
            off={"enforcement_off": lambda: True},
        )
        kept.start()
        counts.pop(0)
        kept.stop()


def test_a_day_is_printed_with_its_counts_its_spells_and_what_was_in_force(run, ran):
    done = run("evidence", "--on", str(today()))
    assert done.exit_code == 0
    assert "          40  web gpc" in done.output
    assert "fewer than 10  merged" in done.output
    assert "enforcement_off from" in done.output
    assert "law us_signal_states" in done.output


def test_an_officer_checks_the_receipt_of_a_days_evidence_without_the_gateway(run, ran, folder, tmp_path):
    done = run("evidence", "--on", str(today()), "--json", "--receipts", str(tmp_path / "receipts"))
    entries = json.loads(done.output)["entries"]
    assert [entry["k"] for entry in entries] == ["start", "stop"]
    origin = receipt.parse_receipt(entries[0]["receipt"]).note.partition("\n")[0]
    signer = Ed25519Signer(origin, secret_files.load_secrets(folder).signing[-1])
    for entry in entries:
        found = receipt.parse_receipt((tmp_path / "receipts" / f"{entry['seq']}.receipt").read_text())
        receipt.verify_receipt(found, [Ed25519Verifier.from_vkey(signer.vkey)])
        assert json.loads(found.entry)["i"] == entry["i"]
    first = next((tmp_path / "receipts").iterdir())
    checked = CliRunner().invoke(group, ["receipt", "verify", str(first), "--log", signer.vkey])
    assert checked.exit_code == 0, checked.output


@pytest.fixture
def changed(folder, tmp_path):
    """A day on which the service was started three times: with other recipients, then with another floor of age; and a
    notice was logged while it ran the second time.
    """
    config = tmp_path / "config.toml"
    config.write_text('[recipients.teemo]\ncontract = "T-2"\n')
    runs = [
        (inside.settings(), []),
        (inside.settings(config), [Document("notice", "spring", "en", b"What we do")]),
        (inside.settings(config, age__floor="13"), []),
    ]
    for settings, shown in runs:
        with open_house(folder, settings) as house:
            kept = Evidence(folder, house.writer, in_force(settings), lambda: datetime.now(UTC), counted=dict, off={})
            kept.start()
            if shown:
                asyncio.run(house.consent.log(shown))
                kept._retry()
            kept.stop()
    return [in_force(settings) for settings, _ in runs]


def of(documents, kind):
    return next(hashlib.sha256(item.body).hexdigest() for item in documents if item.kind == kind)


def test_an_auditor_reads_which_tables_held_at_which_hour_of_a_day_and_gets_their_texts(run, changed, tmp_path):
    done = run("evidence", "--on", str(today()), "--documents", str(tmp_path / "texts"))
    assert done.exit_code == 0, done.output
    first, second, third = changed
    _, _, told = done.output.partition("in force, as entry")
    named, *turns = told.split("\nthen, by entry ")
    assert f"{of(first, 'recipients')}  recipients" in named
    assert f"- {of(first, 'recipients')}" in turns[0]
    assert f"+ {of(second, 'recipients')}" in turns[0]
    assert f"+ {hashlib.sha256(b'What we do').hexdigest()}  notice spring en" in turns[1]
    assert f"- {of(second, 'settings')}" in turns[2]
    assert f"+ {of(third, 'settings')}" in turns[2]
    assert "law" not in "".join(turns)
    checked = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=tmp_path / "texts", capture_output=True)
    assert checked.returncode == 0, checked.stdout
    there = {path.name for path in (tmp_path / "texts").iterdir()}
    for documents in changed:
        assert {f"{item.kind}-{hashlib.sha256(item.body).hexdigest()}" for item in documents} <= there


def test_a_document_that_is_another_one_than_its_hash_is_not_handed_out(run, changed, folder, tmp_path):
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db, db:
        db.execute("UPDATE document SET body = CAST('forged' AS BLOB) WHERE version = 'spring'")
    done = run("evidence", "--on", str(today()), "--documents", str(tmp_path / "texts"))
    assert done.exit_code == 1
    assert "not what its hash says: notice spring en" in done.output
    assert not [path for path in (tmp_path / "texts").iterdir() if path.read_bytes() == b"forged"]


def test_a_day_on_which_the_service_was_off_is_not_said_to_have_had_documents_in_force(run, changed):
    done = run("evidence", "--on", "2999-01-01")
    assert done.exit_code == 1
    assert done.output.startswith("nothing tells of 2999-01-01; the last entry before it was stop")


def test_a_day_of_which_nothing_is_on_record_says_so(run):
    done = run("evidence", "--on", "2020-01-01")
    assert (done.exit_code, done.output) == (1, "nothing is on record for 2020-01-01\n")


def chosen(run):
    assert run("choose", "opt_out", "--phone", phone(7)).exit_code == 0
    done = run("export", "requests", "--from", str(today()), "--to", str(today()))
    return json.loads(done.output.splitlines()[0])


def test_a_record_is_exported_and_tells_what_is_missing(run, ran):
    done = run("record", chosen(run)["event"], "--format", "27560")
    assert done.exit_code == 1
    assert "party_name" in json.loads(done.output)["missing"]
    assert phone(7) not in done.output


@pytest.mark.parametrize("several", [False, True])
def test_where_there_are_several_sites_a_record_names_no_policy_that_may_be_anothers(tmp_path, folder, several):
    """Nobody kept which of them was shown; of the only one it is known."""
    cafe = '[sites.cafe]\nname = "Café"\nhosts = ["cafe.example"]\npolicy_url = "https://cafe.example/privacy"\n'
    file = tmp_path / "mine.toml"
    file.write_text(f'[site]\npolicy_url = "https://shop.example/privacy"\n{cafe if several else ""}')

    async def opted_out():
        async with inside.application(folder, inside.settings(file)) as app, inside.client(app) as client:
            page = (await client.get("/privacy-choices")).text
            said = {"action": "opt_out", "token": re.search('name="token" value="([^"]+)"', page).group(1)}
            return await client.post("/privacy-choices", data=said, headers={"Sec-Fetch-Site": "same-origin"})

    event = asyncio.run(opted_out()).headers["location"].rpartition("/")[2]
    words = ["record", event, "--format", "27560", "--data", str(folder), "--config", str(file)]
    notice = json.loads(CliRunner().invoke(group, words).output)["dpv:hasNotice"]
    assert notice.get("dct:source") == (None if several else "https://shop.example/privacy")


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
    done = run("export", "requests", "--from", str(today()), "--to", str(today()), "--details")
    (row,) = map(json.loads, done.output.splitlines())
    assert row["appeal"] == {"made": True, "outcome": "made"}
    assert row["details"][0]["at"].startswith(str(today()))
    assert run("appeal", "AAAAAAAAAAAAAAAAAAAAAA", "--outcome", "made").exit_code == 2


def test_the_years_numbers_are_printed(run):
    chosen(run)
    assert json.loads(run("export", "report", str(today().year)).output)["opt_out"]["received"] == 1
