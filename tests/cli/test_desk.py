"""`gateway desk`: who sits at the desk, and its log compared with the ledger."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from support import inside
from support.at_the_desk import officers

from gateway.app.composition import open_house
from gateway.app.in_force import in_force
from gateway.cli.root import group
from gateway.desk.office.desk_file import desk_file
from gateway.desk.office.desk_log import DeskLog
from gateway.evidence.keeper import Evidence
from gateway.ledger.audit.verify import read_last_verify

ANY_DAY = ("--from", "2020-01-01", "--to", "2199-01-01")


@pytest.fixture
def run(folder):
    return lambda *words, **env: CliRunner().invoke(group, [*words, "--data", str(folder)], env=env)


@pytest.fixture
def looked(folder):
    """Three looks, of which the day's evidence took in the head."""
    for number in range(3):
        DeskLog(folder, inside.secrets().desk).note(datetime.now(UTC), {"who": "ada", "what": f"page {number}"})
    with open_house(folder, inside.settings()) as house:
        deciding = in_force(inside.settings())
        kept = Evidence(folder, house.writer, deciding, lambda: datetime.now(UTC), counted=dict, off={})
        kept.start()
        kept.stop()
    return folder


def test_the_first_one_is_invited_by_a_link_whose_code_stands_behind_the_hash(run, folder):
    assert "[desk] url" in run("desk", "invite", "ada", "--role", "admin").output
    said = run("desk", "invite", "Ada", "--role", "admin", GATEWAY_DESK__URL="https://desk.example.com")
    link, _, code = said.output.strip().partition("#")
    assert link == "https://desk.example.com/desk/invitation"
    assert officers(folder).invited(code) == "ada"
    assert run("desk", "people").output.startswith("ada  admin  0 passkeys")
    assert run("desk", "end", "ada").exit_code == 0
    assert officers(folder).invited(code) is None
    assert run("desk", "end", "ada").exit_code == 2
    noted = [json.loads(line) for line in run("desk", "log", *ANY_DAY).output.splitlines()]
    assert [(each["what"], each["whom"], each.get("made")) for each in noted] == [
        ("invited", "ada", "admin"), ("took off the desk", "ada", None)
    ]  # fmt: skip


def test_the_log_is_read_and_agrees_with_the_ledger(run, looked):
    said = run("desk", "log", *ANY_DAY)
    assert said.exit_code == 0, said.output
    assert [json.loads(line)["what"] for line in said.output.splitlines()] == ["page 0", "page 1", "page 2"]


@pytest.mark.parametrize(
    "act",
    ["DELETE FROM looked WHERE number = 3", "UPDATE looked SET sealed = x'00' WHERE number = 1", "DELETE FROM looked"],
)
def test_a_line_that_was_changed_or_taken_out_is_told(run, looked, act):
    with desk_file(looked) as db:
        db.execute(act)
    said = run("desk", "log", *ANY_DAY)
    assert said.exit_code == 1
    assert "DIFFERENT" in said.output


def test_lines_that_were_emptied_and_dated_back_are_told_by_the_entry_that_is_older_than_they_are(run, looked):
    for day in range(3):
        DeskLog(looked, inside.secrets().desk).note(datetime.now(UTC) + timedelta(days=day), {"who": "ada"})
    assert run("desk", "log", *ANY_DAY).exit_code == 0
    with desk_file(looked) as db:
        db.execute("UPDATE looked SET sealed = NULL, at = at - 86400000 * 800 WHERE number < 5")
    said = run("desk", "log", *ANY_DAY)
    assert said.exit_code == 1
    assert "DIFFERENT: line 4 of the desk's log is younger than entry" in said.output


def test_the_days_evidence_tells_of_the_desks_log(run, looked):
    said = run("evidence", "--on", datetime.now(UTC).date().isoformat())
    assert "desk's log: 3 lines, the head after them " in said.output


def test_the_desk_knows_when_the_log_was_verified(run, folder):
    assert read_last_verify(folder) is None
    run("verify", "--keep")
    assert read_last_verify(folder).passed
