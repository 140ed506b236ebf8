"""Fifty people who said no, of whom some are erased, and what another process finds of them as it reads files raw."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.app.composition import open_house
from gateway.keys import seals, secret_files
from gateway.keys.person_keys import LABEL, OPENINGS, Vault
from gateway.ledger import subjects
from gateway.ledger.erasure_steps import EpochTurn
from gateway.ledger.folder_store import store_in
from gateway.ledger.proof import receipt
from gateway.ledger.proof.ed25519 import Ed25519Signer, Ed25519Verifier
from gateway.ledger.subjects import Choice
from gateway.terms import ALL_PURPOSES, ChoiceKind
from support import inside
from support.people import email, named

TESTS = Path(__file__).parents[1]
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PEOPLE, ERASED, KEPT = 50, 31, timedelta(days=7)
SETTINGS = inside.settings()


def opened(folder, at):
    return open_house(folder, SETTINGS, dev=True, clock=lambda: at)


def page(number):
    return f"what only {number} was told on this page"


def settled(folder, at):
    """Once there is nothing left to turn: somebody has written at that moment."""
    turn, deadline = EpochTurn(folder, secret_files.load_secrets(folder).wraps, lambda: at, KEPT), time.monotonic() + 60
    while turn.is_due():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def people(house, *numbers):
    return house.consent.people.name([named("email", email(number)) for number in numbers]).subjects


def chosen(folder):
    """Everybody said no; returns the events."""
    with opened(folder, AT) as house:
        said = [
            asyncio.run(
                house.consent.choose(
                    [one], Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", AT, details={"page": page(number)})
                )
            )
            for number, one in enumerate(people(house, *range(PEOPLE)))
        ]
        settled(folder, AT)
    return [seals.unb64(each.events[0]["event"]) for each in said]


def wanted(folder, mode):
    """What the reader is to look for: of the first thirty-one."""
    with (
        contextlib.closing(store_in(folder).open_to_read()) as db,
        contextlib.closing(Vault(folder, secret_files.load_secrets(folder).wraps)) as vault,
    ):
        sql = "SELECT event, person, sealed, opening FROM detail WHERE seq < ? ORDER BY seq"
        boxes, markers = [], []
        for number, (event, person, sealed, opening) in enumerate(db.execute(sql, (ERASED,)).fetchall()):
            row = vault._db.execute("SELECT wrapped, openings FROM person WHERE id = ?", (person,)).fetchone()
            keys = vault.keys(person)
            boxes.append((LABEL + person, row[0], event, sealed))
            markers += [page(number).encode(), keys.details]
            if mode == "unlink":
                boxes.append((OPENINGS + person, row[1], subjects.OPENING + event, opening))
                markers += [email(number).encode(), keys.openings]
    return {"boxes": [[part.hex() for part in each] for each in boxes], "markers": [each.hex() for each in markers]}


def read_raw(asked, *folders):
    command = [sys.executable, "-m", "support.raw_reader", *map(str, folders)]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True, cwd=TESTS)
    return json.loads(done.stdout)


def receipts_verify(folder, at, events):
    with opened(folder, at) as house:
        signs = Ed25519Signer(house.consent.checks.log(), house.secrets.signing[-1])
        for each in house.consent.log_reader.receipts(events):
            receipt.verify_receipt(receipt.parse_receipt(each.text()), [Ed25519Verifier(signs.name, signs.public)])
        settled(folder, at)
