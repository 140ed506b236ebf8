"""Reading what happened: the entries about one identifier, with the texts that were shown, and the opening of one of
them. The desk, the pages and the command line call it. Reads only.

`events` is all of it, for the desk and the command line. `since_release` is what somebody may be shown who proved
control of a number or a mailbox: nothing from before it was last given back or changed hands, which is another
person's (R5), nothing from before it was last erased (R19), and nothing of which account has had it, which is more than
was proved (R12). Nor is anything else opened once more: the value comes from whoever proved that it is theirs, rs from
its sealed box.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiosqlite

from gateway.desk.documents import Document
from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys
from gateway.ledger import entry, subjects
from gateway.ledger.acts.holders import own_outs_at, shown_since
from gateway.ledger.folder_store import store_in
from gateway.ledger.proof.receipt import Opening
from gateway.ledger.schema import BODY, JOINED, OF_REQUEST
from gateway.ledger.store import ledger_needed, ledger_snapshot
from gateway.ledger.subjects import Subject, milliseconds
from gateway.ledger.subjects import moment as _moment
from gateway.terms import CHOOSABLE, ChoiceKind, Purpose

PersonOf = Callable[[bytes], PersonKeys]
PART = 64  # rows that the thread hands over at once
HOLDERS = f"""
SELECT d.seq FROM detail d {JOINED}
WHERE d.key = :key AND json_extract(CAST({BODY} AS TEXT), '$.e') NOT IN ('linked', 'unlinked', 'number_released')
AND coalesce(json_extract(CAST({BODY} AS TEXT), '$.src'), '') <> 'reading'
"""  # noqa: S608 - the pieces are ours
ABOUT = f"""
SELECT d.seq, d.event, d.at, {BODY}, d.person, d.sealed, d.opening FROM detail d {JOINED}
WHERE d.key = :key AND {BODY} IS NOT NULL
AND d.at <= coalesce(:until, d.at) AND (:since = 0 OR d.seq IN ({HOLDERS})) ORDER BY d.seq
"""  # noqa: S608 - the inner statement is ours


@dataclass(frozen=True, slots=True)
class Event:
    """One entry as its owner or the desk sees it. `proved`: the commitments open to what is shown; None where the
    person's key was destroyed. `shown`: the notice that was shown with it, as it was logged.
    """

    seq: int
    event: bytes
    at: datetime
    body: dict[str, Any]
    details: dict[str, Any]
    proved: bool | None
    shown: Document | None = None


@contextlib.asynccontextmanager
async def _reader(folder: Path) -> AsyncIterator[aiosqlite.Connection]:
    with ledger_needed():
        async with aiosqlite.Connection(lambda: store_in(folder).open_to_read(), PART) as db:
            yield db


async def events(
    folder: Path, key: bytes, keys_of: PersonOf, subject: tuple[str, str], *, until: datetime | None = None
) -> list[Event]:
    """Every entry about a key, oldest first, up to a moment. `subject` is the (kind, value) that the commitments must
    open to.
    """
    return await _events(folder, key, keys_of, subject, until)


async def since_release(
    folder: Path, key: bytes, keys_of: PersonOf, subject: tuple[str, str], now: datetime, *,
    until: datetime | None = None,
) -> list[Event]:  # fmt: skip
    """What whoever holds the number or mailbox now may see of it, by proof of control alone."""
    return await _events(folder, key, keys_of, subject, until, now)


def shown_to_holder(db: sqlite3.Connection, key: bytes, now: datetime) -> list[int]:
    """The numbers of the entries that `since_release` shows."""
    since = shown_since(db, key, milliseconds(now))
    return [seq for (seq,) in db.execute(HOLDERS, {"key": key}) if seq >= since]


async def _events(
    folder: Path, key: bytes, keys_of: PersonOf, subject: tuple[str, str], until: datetime | None,
    now: datetime | None = None,
) -> list[Event]:  # fmt: skip
    values = {"key": key, "until": milliseconds(until) if until else None, "since": now is not None}
    async with _reader(folder) as db:
        rows = [(tuple(row), json.loads(row[3])) for row in await db.execute_fetchall(ABOUT, values)]
        texts = await _texts(db, {leaf["n"] for _, leaf in rows if "n" in leaf})
    if now is not None:  # behind the entries: whoever gave it back meanwhile is shown no more by it
        first = await asyncio.to_thread(_shown_since, folder, key, now)
        rows = [each for each in rows if each[0][0] >= first]
    return [_event(row, leaf, keys_of, subject, texts.get(leaf.get("n", ""))) for row, leaf in rows]


def _shown_since(folder: Path, key: bytes, now: datetime) -> int:
    with ledger_snapshot(store_in(folder)) as db:
        return shown_since(db, key, milliseconds(now))


async def _texts(db: aiosqlite.Connection, hashes: set[str]) -> dict[str, Document]:
    """Logged documents by their hash as a leaf has it."""
    marks = ",".join("?" * len(hashes))
    found = await db.execute_fetchall(
        f"SELECT sha256, kind, version, language, body FROM document WHERE sha256 IN ({marks})",  # noqa: S608 - ours
        [seals.unb64(text) for text in hashes],
    )
    return {entry.b64(sha256): Document(*document) for sha256, *document in found}


def _event(
    row: tuple[Any, ...], leaf: dict[str, Any], keys_of: PersonOf, subject: tuple[str, str], shown: Document | None
) -> Event:
    seq, event, at, _, person, sealed, opening = row
    opened = subjects.open_boxes(keys_of(person), event, sealed, opening)
    if opened.broken:
        return Event(seq, event, _moment(at), leaf, {}, proved=False, shown=shown)
    proofs = []
    if opened.rs is not None:
        proofs.append(leaf.get("s") == entry.b64(entry.subject_commitment(opened.rs, *subject)))
    if opened.rd is not None and opened.details is not None:
        proofs.append(leaf.get("d") == entry.b64(entry.details_commitment(opened.rd, opened.details)))
    details = json.loads(opened.details) if opened.details else {}
    return Event(seq, event, _moment(at), leaf, details, all(proofs) if proofs else None, shown)


async def of_request(folder: Path, request: bytes) -> list[tuple[str, bytes, datetime, list[Purpose]]]:
    """(kind, key, at, purposes) of everything that was said in one request."""
    async with _reader(folder) as db:
        rows = await db.execute_fetchall(
            f"SELECT d.kind, d.key, d.at, {BODY} FROM detail d {JOINED}"  # noqa: S608 - the pieces are ours
            f" WHERE {OF_REQUEST} AND {BODY} IS NOT NULL ORDER BY d.seq",
            (request,),
        )
    return [(kind, key, _moment(at), _purposes(body)) for kind, key, at, body in rows]


@dataclass(frozen=True, slots=True)
class OptedIn:
    """What one confirmed opt-in was of. `recipient`: empty but for the precise location."""

    kind: str
    key: bytes
    at: datetime
    purpose: Purpose
    recipient: str


async def opted_in(folder: Path, event: bytes) -> OptedIn | None:
    """The opt-in of an event; None where the event is none."""
    async with _reader(folder) as db:
        rows = await db.execute_fetchall(
            f"SELECT d.kind, d.key, d.at, {BODY} FROM detail d {JOINED}"  # noqa: S608 - the pieces are ours
            f" WHERE d.event = ? AND {BODY} IS NOT NULL",
            (event,),
        )
    for kind, key, at, body in rows:
        leaf = json.loads(body)
        if leaf.get("e") == ChoiceKind.OPT_IN:
            return OptedIn(kind, key, _moment(at), Purpose(leaf["p"][0]), leaf.get("to", ""))
    return None


async def last_out_at(folder: Path, keys: Sequence[bytes]) -> dict[Purpose, int]:
    """When each purpose was last opted out by any of these identifiers itself, in Unix milliseconds. Raises
    `StoreUnavailable`.
    """
    return await asyncio.to_thread(_last_out_at, folder, keys)


def _last_out_at(folder: Path, keys: Sequence[bytes]) -> dict[Purpose, int]:
    with ledger_snapshot(store_in(folder)) as db:
        return own_outs_at(db, keys)


def _purposes(body: bytes) -> list[Purpose]:
    said = json.loads(body).get("p", [])
    return [purpose for purpose in CHOOSABLE if purpose in said]


BOX = "SELECT seq, person, opening FROM detail WHERE event = ? AND key = ?"


def opening_of(folder: Path, event: bytes, subject: Subject, keys_of: PersonOf, now: datetime) -> Opening | None:
    """None where the entry is not about the subject, not theirs to see, or forgotten. Raises `StoreUnavailable`."""
    with ledger_snapshot(store_in(folder)) as db:
        row = db.execute(BOX, (event, subject.key)).fetchone()
        if row is None or row[0] not in shown_to_holder(db, subject.key, now):
            return None
    rs = subjects.open_boxes(keys_of(row[1]), event, None, row[2]).rs
    return Opening(subject.kind, subject.value, rs) if rs else None
