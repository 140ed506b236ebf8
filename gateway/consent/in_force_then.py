"""What a verdict of an earlier moment rested on, for `gateway explain` at a date: the recipients, the settings that
decide and the law tables that the last evidence before it names (R31). Read from the ledger; the rules themselves are
this program's.
"""

import contextlib
import json
import sqlite3
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from gateway.choice import law
from gateway.choice.question import Gap, Notices, Office
from gateway.choice.recipient import Recipient
from gateway.keys import seals
from gateway.ledger import documents, evidence
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.store import Store
from gateway.ledger.subjects import milliseconds

LAST = """
SELECT v.seq, e.body, d.body FROM evidence v LEFT JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq
WHERE v.start <= ? AND v.kind != 'rehearsal' ORDER BY v.start DESC, v.seq DESC LIMIT 1
"""
DECIDING = frozenset({documents.RECIPIENTS, documents.SETTINGS, documents.LAW})


class HeldThen(NamedTuple):
    """What was in force at a moment. `by`: the entry that names it."""

    by: int
    office: Office
    recipients: Mapping[str, Recipient]


def read_held_then(store: Store, moment: datetime) -> HeldThen | None:
    """None where no entry tells, or its documents are not kept, or say what this program cannot read. Raises
    `StoreUnavailable`.
    """
    try:
        with contextlib.closing(store.open_to_read()) as db:
            row = db.execute(LAST, (milliseconds(moment),)).fetchone()
            if row is None or row[1] is None:
                return None
            texts = _texts(db, evidence.named_in(row[1], row[2]))
    except (sqlite3.Error, LedgerRefused) as error:
        raise StoreUnavailable(f"the ledger cannot be read: {type(error).__name__}") from error
    try:
        [registry], [settings] = texts[documents.RECIPIENTS], texts[documents.SETTINGS]
        laws = law.parse_law(tomllib.loads(text.decode()) for text in texts[documents.LAW])
        office = _office(json.loads(settings), laws, moment.date())
        return HeldThen(row[0], office, _recipients(json.loads(registry)))
    except (KeyError, TypeError, ValueError):  # msgspec's and TOML's errors are ValueErrors
        return None


def _texts(db: sqlite3.Connection, named: Iterable[tuple[str, str, str, str]]) -> dict[str, list[bytes]]:
    """The documents that decide, by kind; none at all where one of them is not there: half the laws are other laws."""
    found: dict[str, list[bytes]] = {}
    for kind, _, _, sha256 in named:
        if kind not in DECIDING:
            continue
        document = documents.read(db, seals.unb64(sha256))
        if document is None:
            return {}
        found.setdefault(kind, []).append(document.body)
    return found


def _office(settings: Mapping[str, Any], laws: law.LawTable, on: date) -> Office:
    notice = settings["notice"]
    gaps = tuple(
        Gap(date.fromisoformat(gap["from"]), date.fromisoformat(gap["until"]), gap["surface"]) for gap in notice["gaps"]
    )
    notices = Notices(date.fromisoformat(notice["told_everyone"]), gaps, notice["wait_days"])
    return Office(
        laws, on, settings["age"]["floor"], notices, settings["aggregate"]["least"], settings["cpni"]["module"]
    )


def _recipients(registry: Mapping[str, Mapping[str, Any]]) -> dict[str, Recipient]:
    """As configured then; of an upload it is only known that there was one."""
    plain = {name: {**item, "upload": []} for name, item in registry.items()}
    return msgspec.convert(plain, dict[str, Recipient])
