"""A verdict of a day that is past is made again with what was in force on it, from the ledger alone (R31)."""

import contextlib
import sqlite3
from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner
from support import inside
from support.people import gaid

from gateway.app.composition import open_house
from gateway.app.in_force import in_force
from gateway.choice.law import LawRule
from gateway.cli.root import group
from gateway.desk import evidence
from gateway.evidence.keeper import Evidence
from gateway.ledger.schema import FILE
from gateway.ledger.store import SqliteStore

FIRST = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
FIELDS = 'fields = {ad_id = {class = "ad_id", kind = "gaid"}}'
TEEMO = '[recipients.teemo]\ncontract = "{}"\nannounced = 2024-06-25\n'
NEW = f'[recipients.newcomer]\nrole = "third_party"\npurposes = ["targeted_ads"]\ndata = ["ad_id"]\n{FIELDS}\n'
LATER_LAW = b"""
[[row]]
place = "US-WY"
subjects = ["targeted_ads"]
rule = "banned"
from = 2020-01-01
citation = "Wyo. Stat. 40-32-101"
confidence = "P"
"""


@pytest.fixture(autouse=True)
def never_blocked():
    """A command serves nobody else: its own loop may wait for the disk."""


def configured(tmp_path, name, text, **more):
    file = tmp_path / name
    file.write_text(text)
    return inside.settings(file, **more)


@pytest.fixture
def lived_in(folder, tmp_path):
    """Three runs, a day each: without a contract; with one, a lower floor and another recipient; with a law of one's own."""
    one = configured(tmp_path, "one.toml", TEEMO.format(""))
    two = configured(
        tmp_path, "two.toml", TEEMO.format("T-1") + NEW + 'contract = "N-1"\nannounced = 2024-06-25\n', age__floor="13"
    )
    (tmp_path / "new.toml").write_bytes(LATER_LAW)
    own = f'[law]\ntables = ["{tmp_path / "new.toml"}"]\n'
    three = configured(tmp_path, "three.toml", (tmp_path / "two.toml").read_text() + own, age__floor="13")
    runs = [in_force(one), in_force(two), in_force(three)]
    for day, documents in enumerate(runs):
        with open_house(folder, one) as house:
            at = FIRST + timedelta(days=day)
            kept = Evidence(folder, house.writer, documents, lambda at=at: at, counted=dict, off={})
            kept.start()
            kept.stop()
    return folder


def at(folder, day, hours=1):
    return evidence.read_held_then(SqliteStore(folder), FIRST + timedelta(days=day, hours=hours))


def test_each_day_has_its_own_recipients_settings_and_laws(lived_in):
    first, second, third = (at(lived_in, day) for day in range(3))
    assert (first.recipients["teemo"].contract, second.recipients["teemo"].contract) == ("", "T-1")
    assert ("newcomer" in first.recipients, "newcomer" in second.recipients) == (False, True)
    assert (first.office.age_floor, second.office.age_floor) == (16, 13)
    assert second.office.on == (FIRST + timedelta(days=1, hours=1)).date()
    assert second.office.notices.told_everyone == date(2024, 6, 25)
    wyoming = [
        held.office.law.strictest(frozenset({"US-WY"}), "targeted_ads", FIRST.date(), None).rule
        for held in (second, third)
    ]
    assert (wyoming[0] is LawRule.BANNED, wyoming[1]) == (False, LawRule.BANNED)


def test_of_a_recipient_everything_that_decides_comes_back_as_it_was(lived_in, tmp_path):
    then = at(lived_in, 1).recipients
    for name, recipient in inside.settings(tmp_path / "two.toml", age__floor="13").registry().items():
        for member in recipient.__dataclass_fields__:
            if member not in {"endpoint", "upload"}:  # of which the host alone, and that there is one, are logged
                assert getattr(then[name], member) == getattr(recipient, member), (name, member)


@pytest.mark.parametrize(
    "gone", ["kind = 'law' AND version = 'us'", "version = 'new'", "kind = 'recipients'", "kind = 'settings'"]
)
def test_before_the_first_run_and_without_a_document_nothing_is_made_up(lived_in, gone):
    assert at(lived_in, -1, hours=0) is None
    with contextlib.closing(sqlite3.connect(lived_in / FILE)) as db, db:
        assert db.execute(f"DELETE FROM document WHERE {gone}").rowcount
    assert at(lived_in, 2) is None


def test_an_auditor_reads_why_it_was_a_yes_on_one_day_and_a_no_on_another(lived_in, tmp_path):
    def explained(day):
        moment = (FIRST + timedelta(days=day, hours=1)).strftime("%Y-%m-%dT%H:%M")
        done = CliRunner().invoke(
            group,
            ["explain", "newcomer", "--gaid", gaid(1), "--place", "US-TX", "--at", moment, "--data", str(lived_in)],
        )
        return done.exit_code, done.output.splitlines()[0], done.output

    assert explained(0)[:2] == (1, "denied: unknown_recipient")
    code, verdict, told = explained(1)
    assert (code, verdict) == (0, "allowed: no_choice")
    assert "recipients, settings and law tables as entry" in told
    assert "not on record" in explained(-1)[2]
