"""A no that a void brings back is told to whoever got data under the yes that never was (11 CCR 7026(f)(2), R34)."""

import os
from datetime import timedelta

import pytest
from cli.test_drop import ANA, NOW, act, link, verified
from click.testing import CliRunner
from support.people import GAID

from gateway.cli.root import group
from gateway.desk import recipient_holdings
from gateway.desk.recipient_holdings import Left
from gateway.ledger.acts import records
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Purpose

BO = "bo@example.com"


@pytest.fixture
def run(folder):
    def command(*words):
        done = CliRunner().invoke(group, [*map(str, words), "--data", str(folder)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return command


def says(folder, who, kind, at, **more):
    """Returns the entry's number."""
    purposes = SIGNAL_PURPOSES if kind is ChoiceKind.OPT_OUT else (Purpose.SALE,)
    choice = Choice(kind, purposes, "form", at, **more)
    return act(folder, lambda tx, name: records.write_choice(tx, name(*who), choice, os.urandom(16)).seq)


def leaves(folder, kind, value):
    def job(tx, who):
        key = who(kind, value).key
        recipient_holdings.note_held(
            tx, "teemo", [Left(kind, value, key, (key,))], ["sale"], ["ad_id"], tx.size, milliseconds(NOW)
        )

    act(folder, job)


@pytest.mark.parametrize("forged", [False, True])
@pytest.mark.parametrize("linked", [False, True])
def test_who_got_data_under_a_yes_that_is_void_is_told_of_the_no_that_came_back(run, folder, tmp_path, forged, linked):
    (tmp_path / "why.txt").write_text("nobody could read the question")
    whom = ("email", ANA) if linked else ("gaid", GAID)
    link(folder, *([("ana", "email", ANA), ("ana", "gaid", GAID)] if linked else []))
    says(folder, whom, ChoiceKind.OPT_OUT, NOW)
    seq = says(folder, whom, ChoiceKind.OPT_IN, NOW + timedelta(minutes=1), ui="dark")
    other = says(folder, ("email", BO), ChoiceKind.OPT_IN, NOW + timedelta(minutes=1), ui="dark")
    leaves(folder, "gaid", GAID)
    leaves(folder, "email", BO)
    if forged:
        (tmp_path / "seqs").write_text(f"{seq}\n{other}\n")
        officers = ("--officer", "Ada Park", "--officer", "Ben Cole")
        void = ("void", "--seqs", tmp_path / "seqs", "--note", tmp_path / "why.txt", *officers)
        run(*void, "--dry-run")
    else:
        void = ("void-consents", tmp_path / "why.txt", "--name", "dark")
    run(*void)
    told = run("deliveries", "--take", "teemo")
    assert ('"opt_out"' in told, GAID in told, BO in told) == (True, True, False)
    verified(folder)
