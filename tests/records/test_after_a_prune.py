"""What an officer is told once bodies went by retention: the numbers as they were, or that they are too small (R19)."""

import asyncio
import json
import shutil
from datetime import UTC, datetime, time, timedelta

import pytest
import time_machine
from click.testing import CliRunner
from support import inside
from support.days import today
from support.people import gaid, named, phone

from gateway.app import composition
from gateway.app.composition import open_house
from gateway.app.in_force import in_force
from gateway.cli.root import group
from gateway.evidence.keeper import Evidence
from gateway.ledger import publisher
from gateway.ledger.subjects import Choice
from gateway.terms import ALL_PURPOSES, ChoiceKind

PEOPLE = 260  # more than a tile of 256, of which only whole ones are pruned


@pytest.fixture(autouse=True)
def never_blocked():
    """A command serves nobody else: its own loop may wait for the disk."""


@pytest.fixture
def run(lived_in):
    return lambda *words: CliRunner().invoke(group, [*words, "--data", str(lived_in)])


@pytest.fixture(scope="module", autouse=True)
def noon():
    """One day for all of them."""
    with time_machine.travel(datetime.combine(today(), time(12), UTC), tick=True):
        yield


@pytest.fixture(scope="module")
def told_once(noon, tmp_path_factory):
    """A run of the service in which somebody asked by letter twice, and a tile full of others once: to be copied."""
    folder = inside.install(tmp_path_factory.mktemp("told") / "data")
    with open_house(folder, inside.settings()) as house:
        kept = Evidence(
            folder, house.writer, in_force(inside.settings()), lambda: datetime.now(UTC), counted=dict, off={}
        )
        kept.start()

        async def all_of_them():
            who = [("phone", phone(1)), ("phone", phone(1)), *(("gaid", gaid(number)) for number in range(PEOPLE))]
            for kind, value in who:
                subjects = house.consent.people.name([named(kind, value)]).subjects
                said = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "letter", datetime.now(UTC), "US-CA", manner="letter")
                await house.consent.choose(subjects, said)

        asyncio.run(all_of_them())
        kept.stop()
    return folder


@pytest.fixture
def lived_in(told_once, tmp_path):
    for made in (told_once, publisher.checkpoints_beside(told_once)):
        shutil.copytree(made, tmp_path / made.name)
    return tmp_path / told_once.name


@pytest.fixture
def pruned(lived_in, run):
    """(event of the first letter, its receipt's text) of before; bodies are gone after it."""
    first = json.loads(run("export", "requests", "--from", str(today()), "--to", str(today())).output.splitlines()[0])
    later = datetime.now(UTC) + timedelta(days=1200)
    assert composition.prune_ledger(lived_in, inside.settings(), dry_run=False, clock=lambda: later).bodies == 256
    return first["event"]


@pytest.mark.slow
def test_a_years_numbers_stay_and_what_is_missing_is_told_beside_them(pruned, run):
    done = run("export", "report", str(today().year))
    told = json.loads(done.stdout)
    assert told["opt_out"]["received"] == PEOPLE + 1, (
        "of who said it twice the first letter is gone, and not said again"
    )
    assert told["bodies_gone"] == 1
    assert done.exit_code == 1
    listed = run("export", "requests", "--from", str(today()), "--to", str(today()))
    assert (len(listed.stdout.splitlines()), listed.exit_code) == (PEOPLE + 1, 1)
    assert "1 entries of that time have no body" in listed.stderr


def test_before_a_prune_nothing_is_missing(lived_in, run):
    done = run("export", "report", str(today().year))
    assert done.exit_code == 0
    assert json.loads(done.stdout)["opt_out"]["received"] == PEOPLE + 2
    assert "bodies_gone" not in json.loads(done.stdout)


def test_a_record_of_a_choice_that_still_holds_is_written_and_of_one_that_is_gone_its_receipt_is_named(pruned, run):
    gone = run("record", pruned, "--format", "27560")
    assert gone.exit_code == 1
    assert "went by retention" in gone.stderr
    listed = run("export", "requests", "--from", str(today()), "--to", str(today())).stdout.splitlines()
    kept = run("record", json.loads(listed[0])["event"], "--format", "27560")
    assert json.loads(kept.stdout)["dct:identifier"] == json.loads(listed[0])["event"]


def test_a_day_whose_entry_is_gone_is_named_with_its_receipt_and_is_not_the_whole_of_it(pruned, run, tmp_path):
    done = run("evidence", "--on", str(today()), "--receipts", str(tmp_path))
    assert done.exit_code == 1
    first, *_ = done.output.splitlines()
    assert first.split()[2] == "start"
    assert first.endswith("its body went by retention")
    assert len(list(tmp_path.iterdir())) >= 2
    assert run("rehearse", "--show", "--on", str(today())).exit_code == 1


def test_the_person_reads_what_was_said_also_where_its_entry_was_restated(pruned, run):
    assert "opt_out profiling" in run("access", "--gaid", gaid(1)).output
    assert "an entry whose body went by retention" in run("access", "--phone", phone(1)).output
