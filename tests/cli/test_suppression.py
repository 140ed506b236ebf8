"""The file of people whom a recipient must not sell any more: of its own people only (R18, L40)."""

import asyncio
import contextlib
import csv
import json
import os
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from hashlib import sha1, sha256

import pytest
from click.testing import CliRunner
from support import example, inside
from support.people import email, gaid, named

from gateway.app import composition
from gateway.app.composition import open_house
from gateway.choice import identity
from gateway.cli.root import group
from gateway.desk import disclosures
from gateway.desk.disclosures import Intended
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.recipient_holdings import Left
from gateway.desk.suppression import Suppressed
from gateway.ledger.acts import records
from gateway.ledger.schema import FILE
from gateway.ledger.subjects import Choice
from gateway.records import who_got_what
from gateway.terms import ALL_PURPOSES, ChoiceKind, Erasing, Purpose

DAY = timedelta(days=1)


class Office:
    def __init__(self, folder):
        self.folder, self.runner = folder, CliRunner()

    def run(self, *words, config=None):
        more = ("--config", str(config)) if config else ()
        done = self.runner.invoke(group, [*map(str, words), "--data", str(self.folder), *more])
        assert done.exit_code == 0, done.output
        return done.output

    def share(self, recipient, kind, value, sent=None):
        """As a share does: `sent` is what leaves."""
        with open_house(self.folder, inside.settings(), dev=True) as house:
            subject = house.consent.people.name([named(kind, value)]).subjects[0]
            left = Left(*(sent or (kind, value)), subject.key, (subject.key,))
            row = Intended(f"{recipient} {value}", subject.key, ("ad_id",), (left,))

            def job(tx):
                batch = disclosures.intend(tx, recipient, [Purpose.SALE], [row], house.consent.clock())
                disclosures.mark(tx, recipient, batch, [row], "sent")

            house.writer.submit(job).result()

    def erase(self, kind, value):
        with open_house(self.folder, inside.settings(), dev=True) as house:
            subjects = house.consent.people.name([named(kind, value)]).subjects
            asyncio.run(house.consent.erase(ErasureOrder(Erasing.DETAILS, subjects, house.consent.clock())))

    def file(self, tmp_path, *words, config=None):
        """(what it lists, the position it printed)."""
        out = tmp_path / "file.csv"
        said = self.run("suppression", *words, "--out", out, config=config)
        with out.open() as opened:
            return [(row["type"], row["digest"]) for row in csv.DictReader(opened)], said


@pytest.fixture
def office(folder):
    return Office(folder)


def digest(number):
    return "ad_id", sha256(gaid(number).encode()).hexdigest()


def position(said):
    return said.split("--since ")[1].split()[0]


def test_holds_who_opted_out_of_those_that_the_recipient_got_and_nobody_else(office, tmp_path):
    for number in (1, 2):
        office.share("teemo", "gaid", gaid(number))
    office.share("matching", "gaid", gaid(3))
    for number in (2, 3, 4):
        office.run("choose", "opt_out", "--gaid", gaid(number))
    assert office.file(tmp_path, "teemo")[0] == [digest(2)]
    assert office.file(tmp_path, "matching")[0] == [digest(3)]
    assert office.file(tmp_path, "advertisers")[0] == []


@pytest.mark.slow
def test_a_later_file_holds_what_changed_since_and_none_is_missed(office, tmp_path):
    for number in range(4):
        office.share("teemo", "gaid", gaid(number))
    found, since = set(), ()
    for number in range(4):
        office.run("choose", "opt_out", "--gaid", gaid(number))
        listed, said = office.file(tmp_path, "teemo", *since)
        assert digest(number) in listed
        assert len(listed) <= 2, "the last line of the file before may come twice"
        found |= set(listed)
        since = "--since", position(said)
    assert sorted(found) == office.file(tmp_path, "teemo")[0]
    office.run("choose", "opt_out", "--gaid", gaid(9))  # not one of theirs
    assert office.file(tmp_path, "teemo", "--since", position(office.file(tmp_path, "teemo")[1]))[0] == []
    log, size = since[1].rsplit(":", 1)
    assert office.file(tmp_path, "teemo", "--since", f"{log}:{int(size) + 1}")[0] == []


def test_no_file_goes_on_from_another_log_or_from_a_position_that_names_none(office, tmp_path):
    """Behind a restore without what was last the new log may be longer than the old one: it begins anew."""
    office.share("teemo", "gaid", gaid(1))
    older = shutil.copy(office.folder / FILE, tmp_path / "older")
    office.run("choose", "opt_out", "--gaid", gaid(1))
    before = position(office.file(tmp_path, "teemo")[1])
    assert office.file(tmp_path, "teemo", "--since", before)[0] is not None  # the control: of its own log it goes on
    shutil.copy(older, office.folder / FILE)
    office.run("restore", "--new-log")
    for number in range(1, 6):
        office.run("choose", "opt_out", "--gaid", gaid(number))
    now = position(office.file(tmp_path, "teemo")[1])
    assert now.rsplit(":", 1)[0] != before.rsplit(":", 1)[0]
    assert int(now.rsplit(":", 1)[1]) > int(before.rsplit(":", 1)[1])
    out = tmp_path / "never.csv"
    ahead = f"{now.rsplit(':', 1)[0]}:{int(now.rsplit(':', 1)[1]) + 1}"
    for since in (before, before.rsplit(":", 1)[1], "0", ahead, f"{now}x", now.replace(":", "")):
        words = ("suppression", "teemo", "--out", out, "--since", since, "--data", office.folder)
        done = office.runner.invoke(group, [*map(str, words)])
        assert (done.exit_code, out.exists()) == (2, False), since
        assert "take a whole file, without --since" in done.output


def test_somebody_who_was_erased_is_still_on_it_and_an_unlinked_one_is_not(office, tmp_path):
    office.share("matching", "email", email(1), ("email_sha256", sha256(email(1).encode()).hexdigest()))
    office.run("choose", "opt_out", "--email", email(1))
    before = office.file(tmp_path, "matching")[0]
    assert [kind for kind, _ in before] == ["email"]
    office.erase("email", email(1))
    assert office.file(tmp_path, "matching")[0] == before
    assert office.file(tmp_path, "teemo")[0] == []
    office.run("erase", "unlink", "--email", email(1))
    assert office.file(tmp_path, "matching")[0] == []


def suppressions(folder):
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
        return db.execute("SELECT count(*) FROM suppression").fetchone()[0]


def test_nobody_leaves_the_file_because_the_share_that_led_to_them_was_long_ago(office, tmp_path):
    office.share("matching", "email", email(1), ("email_sha256", sha256(email(1).encode()).hexdigest()))
    office.share("teemo", "gaid", gaid(2))
    office.share("teemo", "gaid", gaid(3))  # who said nothing: of them nothing is kept
    office.run("choose", "opt_out", "--email", email(1), "--gaid", gaid(2))
    before = [office.file(tmp_path, name)[0] for name in ("matching", "teemo")]
    assert list(map(len, before)) == [1, 1]
    composition.prune_ledger(
        office.folder, inside.settings(), dry_run=False, clock=lambda: datetime.now(UTC) + 900 * DAY
    )
    with contextlib.closing(sqlite3.connect(office.folder / FILE)) as db:
        assert db.execute("SELECT count(*) FROM held").fetchone() == (0,), "control: nothing else leads to them"
    assert [office.file(tmp_path, name)[0] for name in ("matching", "teemo")] == before
    assert suppressions(office.folder) == 2
    office.run("erase", "unlink", "--email", email(1))
    assert office.file(tmp_path, "matching")[0] == []


def test_an_erasure_after_it_adds_the_other_digests_of_an_address(office, tmp_path):
    office.share("matching", "email", email(1), ("email_sha256", sha256(email(1).encode()).hexdigest()))
    office.run("choose", "opt_out", "--email", email(1))
    composition.prune_ledger(
        office.folder, inside.settings(), dry_run=False, clock=lambda: datetime.now(UTC) + 900 * DAY
    )
    office.erase("email", email(1))
    config = tmp_path / "config.toml"
    config.write_text(example.over('[recipients.matching]\ndigest = "md5"\n'))
    assert suppressions(office.folder) == 1
    assert len(office.file(tmp_path, "matching", config=config)[0]) == 1


def test_is_in_the_recipients_own_digest_and_what_it_could_not_know_is_counted(office, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(example.over('[recipients.teemo]\ndigest = "sha1"\n'))
    office.share("teemo", "gaid", gaid(1))
    office.share(
        "teemo",
        "email",
        email(2),
        ("email_sha256", dict(identity.read_identifier("email", email(2)).names)["email_sha256"]),
    )
    office.run("choose", "opt_out", "--gaid", gaid(1))
    office.run("choose", "opt_out", "--email", email(2))
    listed, said = office.file(tmp_path, "teemo", config=config)
    assert listed == [("ad_id", sha1(gaid(1).encode()).hexdigest())]
    assert "1 more have no sha1 digest" in said


def test_whoever_opted_in_again_is_on_the_next_file_no_more(office, tmp_path):
    office.share("teemo", "gaid", gaid(1))
    office.run("choose", "opt_out", "--gaid", gaid(1))
    with open_house(office.folder, inside.settings(), dev=True) as house:
        subject = house.consent.people.name([named("gaid", gaid(1))]).subjects[0]
        yes = Choice(ChoiceKind.OPT_IN, ALL_PURPOSES, "api", house.consent.clock())
        house.writer.submit(lambda tx: records.write_choice(tx, subject, yes, os.urandom(16))).result()
    assert office.file(tmp_path, "teemo")[0] == []


def test_a_recipient_that_nobody_configured_gets_no_file(office, tmp_path):
    done = office.runner.invoke(
        group, ["suppression", "stranger", "--out", str(tmp_path / "x"), "--data", str(office.folder)]
    )
    assert done.exit_code == 2
    assert not (tmp_path / "x").exists()


def test_the_uid2_layout_is_that_of_the_services_own_sample(vectors):
    sample = json.loads((vectors / "enforcement" / "uid2_delta_sample.json").read_text())
    entries = sample["entries"]
    people = [Suppressed("email", item["identity_hash"], item["timestamp"] * 1000) for item in entries[1:-1]]
    made = who_got_what.as_uid2(people, entries[0]["timestamp"], entries[-1]["timestamp"])
    expected = bytes.fromhex(sample["file_hex"])
    assert len(made) == len(expected)
    for start in range(0, len(expected), 72):
        one, other = made[start : start + 72], expected[start : start + 72]
        assert (one[:32], one[64:]) == (other[:32], other[64:])
    assert (made[:72], made[-72:]) == (expected[:72], expected[-72:])


def test_a_uid2_file_holds_addresses_and_numbers_alone():
    listed = [
        Suppressed("ad_id", "ab" * 32, None),
        Suppressed("phone", "cd" * 32, None),
        Suppressed("email", "ef" * 16, 0),
    ]
    made = who_got_what.as_uid2(listed, 0, 7)
    assert len(made) == 3 * 72
    assert made[72:104].hex() == "cd" * 32
    assert made[143] == 1
