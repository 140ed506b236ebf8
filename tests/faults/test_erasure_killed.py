"""A process killed at each step of an erasure: it was not acknowledged, and the next start completes it. And what is
left in the files when one is done, read as another process reads them.
"""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest
from support import forked, inside
from support.erases import STEPS
from support.people import email, named

from gateway.app.composition import open_house
from gateway.consent.asked import Ask
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.keys import seals
from gateway.ledger.proof import receipt
from gateway.ledger.proof.ed25519 import Ed25519Signer, Ed25519Verifier
from gateway.ledger.subjects import Choice
from gateway.terms import ALL_PURPOSES, ChoiceKind, Erasing

pytestmark = pytest.mark.slow
MODES = ("erase_details", "unlink", "child_found")


def named_people(house, *numbers):
    return house.consent.people.name([named("email", email(number)) for number in numbers]).subjects


def opted_out(house, *numbers):
    choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", house.consent.clock(), details={"page": "settings"})
    return [asyncio.run(house.consent.choose([one], choice)) for one in named_people(house, *numbers)]


def boxes(folder, query):
    """Sealed boxes as they lie in the ledger's file. What the vault's may still hold of their keys dies with an epoch
    (test_erased_read_raw.py).
    """
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        people = db.execute(f"SELECT sealed, opening FROM detail {query}").fetchall()
    return [sealed for sealed, _ in people], [opening for _, opening in people]


def known_keys(house, query):
    """(of details, of openings) that the vault opens, each as whether it does."""
    people = house.writer.submit(lambda tx: tx.db.execute(f"SELECT person FROM detail {query}").fetchall()).result(60)
    with contextlib.closing(house.vault()) as vault:
        known = [vault.keys(person) for (person,) in people]
    return [(each.details is not None, each.openings is not None) for each in known]


def found(folder, marks):
    """How many of the marks another process finds in both files. `cat` has none of this process's locks to drop."""
    files = [folder / name for name in ("ledger.sqlite3", "ledger.sqlite3-wal")]
    there = [name for name in files if name.exists()]
    content = subprocess.run(["cat", *there], capture_output=True, check=True).stdout if there else b""
    return sum(mark in content for mark in marks)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("when", "step"), [("after", "erase"), *(("before", step) for step in STEPS), ("after", STEPS[-1])]
)
def test_an_erasure_that_is_cut_off_is_completed_by_the_next_start(folder, tmp_path, when, step, mode):
    with open_house(folder, inside.settings(), dev=True) as house:
        opted_out(house, 1, 2)
    details, openings = boxes(folder, "WHERE seq = 0")
    marks = details + (openings if mode == "unlink" else [])
    others = boxes(folder, "WHERE seq = 1")[0]
    assert found(folder, marks) == len(marks)
    command = [sys.executable, "-m", "support.erases", str(folder), when, step, mode]
    killed, log = forked.start(command, tmp_path / "log", dict(os.environ)), tmp_path / "log"
    assert (killed.wait(60), log.read_text()) == (9, "")
    with open_house(folder, inside.settings(), dev=True) as house:
        began = house.writer.submit(lambda tx: tx.db.execute("SELECT done FROM erasure").fetchall()).result(60)
        if step == "erase":  # killed before its commit: it never was
            assert began == []
            return
        assert began == [(1,)]
        assert found(folder, marks) == 0
        assert found(folder, others) == len(others)
        if mode != "unlink":  # of which no row is left that names them
            assert known_keys(house, "WHERE seq = 0") == [(False, True)]
        assert known_keys(house, "WHERE seq = 1") == [(True, True)]
        waits = house.writer.submit(lambda tx: tx.db.execute("SELECT * FROM erasure_person").fetchall()).result(60)
        assert waits == []


@pytest.mark.parametrize("mode", MODES)
def test_of_fifty_people_thirty_one_are_erased_and_no_file_of_the_ledger_holds_anything_of_them(folder, mode, figure):
    with open_house(folder, inside.settings(), dev=True) as house:
        chosen = opted_out(house, *range(50))
        details, openings = boxes(folder, "WHERE seq < 31")
        marks = details + (openings if mode == "unlink" else [])
        kept = [box for group in boxes(folder, "WHERE seq >= 31") for box in group]
        assert found(folder, marks) == len(marks), "the control: they are there before"
        events = [seals.unb64(one.events[0]["event"]) for one in chosen]
        older = [each.text() for each in house.consent.log_reader.receipts(events)]
        for one in named_people(house, *range(31)):
            asyncio.run(house.consent.erase(ErasureOrder(Erasing(mode), [one], house.consent.clock())))
        left = found(folder, marks)
        figure(f"erased 31 of 50, {mode}", f"{left} of {len(marks)} boxes left; {len(kept)} of the others' kept")
        assert left == 0
        assert found(folder, kept) == len(kept)
        signs = Ed25519Signer(house.consent.checks.log(), house.secrets.signing[-1])
        newer = [each.text() for each in house.consent.log_reader.receipts(events)]
        for text in (*older, *newer):
            receipt.verify_receipt(receipt.parse_receipt(text), [Ed25519Verifier(signs.name, signs.public)])
        if mode != "unlink":
            assert all(denied(house, number) for number in range(50))


def denied(house, number):
    ask = Ask(("teemo",), [named("email", email(number))], place="US-NY")
    return house.consent.checks.check(ask).verdicts["teemo"].reason in {"opted_out", "age"}
