"""Whoever has the ledger read again each night is told by the service itself when it differs, and when nobody read it."""

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from support import inside
from support.people import gaid, named
from support.tampering import tamper

from gateway.cli.root import group
from gateway.ledger import schema
from gateway.ledger.audit import verify
from gateway.ledger.errors import LedgerRefused
from gateway.terms import Unusable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def data(tmp_path):
    """A folder with one opt-out."""
    async with inside.application(tmp_path / "data") as app, inside.client(app, **inside.DEV) as client:
        said = {"identifiers": [named("gaid", gaid(1))], "choice": "opt_out"}
        assert (await client.post("/v1/choices", json=said)).status_code == 201
    return tmp_path / "data"


def verified(data, *words):
    return CliRunner().invoke(group, ["verify", *words, "--data", str(data)], catch_exceptions=False).exit_code


async def told(data, *, later=timedelta()):
    """(what the service says of it to whoever looks, its number)"""
    clock = lambda: datetime.now(UTC) + later  # noqa: E731
    async with inside.application(data, clock=clock) as app, inside.client(app, **inside.DEV) as client:
        alarms = (await client.get("/readyz?strict")).json()["alarms"]
        numbers = (await client.get("/metrics")).text
    [number] = [line.split()[1] for line in numbers.splitlines() if line.startswith("gateway_verify_alarm ")]
    return [text for text in alarms if "verif" in text], float(number)


async def test_a_ledger_that_differs_is_an_alarm_until_it_is_read_again_and_whole(data):
    assert verified(data, "--keep") == 0
    assert await told(data) == ([], 0.0)
    tamper(data, "UPDATE entry SET body = CAST(body || x'20' AS BLOB) WHERE seq = 0")
    assert verified(data) == 1
    assert await told(data) == ([], 0.0), "who only looks changes no alarm"
    assert verified(data, "--keep") == 1
    [text], number = await told(data)
    assert "the ledger was found different" in text
    assert number == 1.0
    tamper(data, "UPDATE entry SET body = substr(body, 1, length(body) - 1) WHERE seq = 0")
    assert verified(data, "--keep") == 0
    assert await told(data) == ([], 0.0)


@pytest.mark.parametrize("page_of", ["entry", "restated", "side"])
async def test_a_ledger_that_cannot_be_read_to_its_end_is_an_alarm_and_leaves_no_pass_behind(data, page_of):
    assert verified(data, "--keep") == 0
    with contextlib.closing(sqlite3.connect(data / schema.FILE)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (page_of,))
        ((size,),) = db.execute("PRAGMA page_size")
    with (data / schema.FILE).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(LedgerRefused, match="is damaged"):
        verified(data, "--keep")
    [text] = verify.NightlyVerify(data, lambda: datetime.now(UTC)).alarms()
    assert "unreadable" in text


def test_a_folder_without_a_ledger_gets_no_file(tmp_path):
    with pytest.raises(Unusable):
        verified(tmp_path, "--keep")
    assert list(tmp_path.iterdir()) == []


async def test_a_night_without_is_missed_by_whoever_had_one_and_by_nobody_else(data):
    assert await told(data, later=timedelta(days=9)) == ([], 0.0)
    assert verified(data, "--keep") == 0
    assert await told(data, later=verify.VERIFY_LATE - timedelta(hours=1)) == ([], 0.0)
    [text], number = await told(data, later=verify.VERIFY_LATE + timedelta(hours=1))
    assert "nobody has verified the ledger since" in text
    assert number == 1.0
    [text], _ = await told(data, later=-verify.VERIFY_LATE - timedelta(hours=1))
    assert "nobody has verified" in text, "kept while a clock was ahead"


@pytest.mark.parametrize("text", ["", "{}", '{"at": "2026-11-29T03:20:00", "passed": true}', '{"at": 1, "passed": 1}'])
async def test_a_result_that_cannot_be_read_is_an_alarm_and_no_pass(data, text):
    (data / verify.LAST_VERIFY).write_text(text)
    [said], number = await told(data)
    assert "cannot be read" in said
    assert number == 1.0
