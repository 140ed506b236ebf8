"""Reading what happened: the entries about one identifier, for the desk and the command line. Reads only."""

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiosqlite

from gateway import seals
from gateway.ledger import entry, schema
from gateway.ledger.writer import StoreUnavailable
from gateway.terms import CHOOSABLE, Purpose

PersonKey = Callable[[bytes], bytes | None]
SALT = 32


@dataclass(frozen=True, slots=True)
class Event:
    """One entry as its owner or the desk sees it. `proved`: the commitments open to what is shown; None where the
    person's key was destroyed.
    """

    seq: int
    event: bytes
    at: datetime
    body: dict[str, Any]
    details: dict[str, Any]
    proved: bool | None


@contextlib.asynccontextmanager
async def _reader(folder: Path) -> AsyncIterator[aiosqlite.Connection]:
    uri = f"{(folder / schema.FILE).absolute().as_uri()}?mode=ro"
    try:
        async with aiosqlite.connect(uri, uri=True, isolation_level=None) as db:
            yield db
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the ledger cannot be read: {type(error).__name__}") from error


async def events(folder: Path, key: bytes, person_key: PersonKey, subject: tuple[str, str]) -> list[Event]:
    """Every entry about a key, oldest first. `subject` is the (kind, value) that the commitments must open to."""
    async with _reader(folder) as db:
        rows = await db.execute_fetchall(
            "SELECT d.seq, d.event, d.at, e.body, d.person, d.sealed FROM detail d JOIN entry e ON e.seq = d.seq"
            " WHERE d.key = ? ORDER BY d.seq",
            (key,),
        )
    return [_event(tuple(row), person_key, subject) for row in rows]


def _event(row: tuple[Any, ...], person_key: PersonKey, subject: tuple[str, str]) -> Event:
    seq, event, at, body, person, sealed = row
    members = json.loads(body)
    secret = person_key(person)
    if secret is None or sealed is None:
        return Event(seq, event, _moment(at), members, {}, None)
    try:
        content = seals.open_seal([secret], event, sealed)
    except seals.Opening:
        return Event(seq, event, _moment(at), members, {}, proved=False)
    rs, rd, details = content[:SALT], content[SALT : 2 * SALT], content[2 * SALT :]
    proved = members.get("d") == entry.b64(entry.details_commitment(rd, details))
    proved = proved and members.get("s") == entry.b64(entry.subject_commitment(rs, *subject))
    return Event(seq, event, _moment(at), members, json.loads(details), proved)


async def of_request(folder: Path, request: bytes) -> list[tuple[str, bytes, datetime, list[Purpose]]]:
    """(kind, key, at, purposes) of everything that was said in one request."""
    async with _reader(folder) as db:
        rows = await db.execute_fetchall(
            "SELECT d.kind, d.key, d.at, e.body FROM detail d JOIN entry e ON e.seq = d.seq"
            " WHERE d.request = ? ORDER BY d.seq",
            (request,),
        )
    return [(kind, key, _moment(at), _purposes(body)) for kind, key, at, body in rows]


def _purposes(body: bytes) -> list[Purpose]:
    said = json.loads(body).get("p", [])
    return [purpose for purpose in CHOOSABLE if purpose in said]


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
