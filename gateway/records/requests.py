"""Requests as 11 CCR 7101 wants them kept, and appeals against their answers. `gateway export`, `gateway appeal` and
the year's report call it (gateway/records/year_report.py).

Of a request: date, nature, manner, date and nature of the answer, basis of a denial, and whether there was an appeal
and what came of it (L82, L83). Each word of an appeal is an entry about nobody that names the request's event. Nobody
is named: a successor finds its people by the suppression list. Requests of which no entry tells, as counts by day, are
listed with the others (gateway/desk/answered_requests.py).
"""

import contextlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from gateway.desk import answered_requests
from gateway.desk.answered_requests import ERASURES, AnsweredRequest
from gateway.ledger import entry, subjects
from gateway.ledger.entry import b64
from gateway.ledger.folder_store import store_in
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.subjects import day_begins, milliseconds, second_of
from gateway.ledger.transaction import Transaction
from gateway.records.consent_records import CHOICES, PersonOf
from gateway.terms import DAY_MS, ChoiceKind, Source

APPEAL_MADE, APPEAL_GRANTED, APPEAL_REFUSED = "made", "granted", "refused"
APPEAL_OUTCOMES = (APPEAL_MADE, APPEAL_GRANTED, APPEAL_REFUSED)


def note_appeal(tx: Transaction, event: bytes, outcome: str, at: datetime) -> int | None:
    """One entry. None where no request has this event. Raises ValueError for a word that is none."""
    if outcome not in APPEAL_OUTCOMES:
        raise ValueError(f"an appeal is {', '.join(APPEAL_OUTCOMES)}")
    if tx.db.execute("SELECT 1 FROM detail WHERE event = ?", (event,)).fetchone() is None:
        return None
    seq = tx.append(entry.appeal(event=os.urandom(16), of=event, outcome=outcome, at=at))
    tx.db.execute("INSERT INTO appeal VALUES (?, ?, ?, ?)", (seq, event, milliseconds(at), outcome))
    return seq


def last_appeal(db: sqlite3.Connection, event: bytes) -> tuple[int, str] | None:
    """(Unix milliseconds, outcome) of the last word on an appeal; None where there was none."""
    found: tuple[int, str] | None = db.execute(
        "SELECT at, outcome FROM appeal WHERE event = ? ORDER BY seq DESC LIMIT 1", (event,)
    ).fetchone()
    return found


STATES = frozenset({ChoiceKind.STATE_BEGAN, ChoiceKind.STATE_ENDED})  # a device's own, nobody's request
ASKED = frozenset({*CHOICES, *ERASURES}) - STATES
# Where a person speaks; what else there is, is a signal of their software.
PEOPLE = frozenset(
    {Source.FORM, Source.SDK, Source.API, Source.EMAIL, Source.PHONE, Source.LETTER, Source.AGENT, Source.SMS,
     Source.IMPORT}
)  # fmt: skip
# A request came before it was answered, so the index on `at` finds where to begin.
IN_TIME = "d.at >= :start AND coalesce(d.received, d.at) >= :start AND coalesce(d.received, d.at) < :end"
BETWEEN = f"""
SELECT d.request, d.event, d.kind, d.at, coalesce(d.received, d.at), d.person, d.sealed, {BODY}
FROM detail d{JOINED} WHERE {IN_TIME} AND {BODY} IS NOT NULL ORDER BY d.seq
"""  # noqa: S608 - the pieces are ours
GONE = f"SELECT count(*) FROM detail d{JOINED} WHERE {IN_TIME} AND {BODY} IS NULL"  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for at once, about one or several identifiers of which only the kinds are told. Times are
    Unix milliseconds. `denied`: the basis of the denial, or empty where it was complied with. `count`: so many
    equal ones of which no entry tells, and then there is no event, and the times are days.
    """

    event: bytes
    nature: str
    purposes: tuple[str, ...]
    manner: str
    source: str
    place: str
    kinds: tuple[str, ...]
    received: int
    answered: int
    denied: str
    notice: str
    appeal: tuple[int, str] | None
    details: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    count: int = 1

    @property
    def days(self) -> float:
        return (self.answered - self.received) / DAY_MS

    @property
    def is_signal(self) -> bool:
        return bool(self.source) and self.source not in PEOPLE

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "event": b64(self.event) or None,
            "nature": self.nature,
            "purposes": list(self.purposes),
            "manner": self.manner,
            "source": self.source,
            "place": self.place,
            "identifier_kinds": list(self.kinds),
            "received": second_of(self.received),
            "answered": second_of(self.answered),
            "answer": "denied" if self.denied else "complied",
            "denial_basis": self.denied or None,
            "notice": self.notice or None,
            "appeal": {"made": self.appeal is not None, "outcome": _outcome(self.appeal)},
        }
        counted = {} if self.event else {"count": self.count}
        return told | counted | ({"details": list(self.details)} if self.details else {})


def between(folder: Path, start: date, end: date, keys_of: PersonOf | None = None) -> Iterator[Request]:
    """The requests received on the days from `start` to before `end` (UTC), oldest answer first, behind them those that
    were only counted. `keys_of` opens details. Raises `LedgerRefused`, `sqlite3.Error`.
    """
    days = {"start": day_begins(start), "end": day_begins(end)}
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        rows = db.execute(BETWEEN, days)
        for _, group in itertools.groupby(rows, key=lambda row: row[0]):
            yield from _requests(db, list(group), keys_of)
        for asked, count in answered_requests.answered_between(db, start, end):
            yield _of_count(asked, count)


def gone(folder: Path, start: date, end: date) -> int:
    """How many entries about people of these days have no body any more, by retention: what they said is not known, and
    a request among them is in no export. Raises `LedgerRefused`, `sqlite3.Error`.
    """
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        return int(db.execute(GONE, {"start": day_begins(start), "end": day_begins(end)}).fetchone()[0])


def _requests(db: sqlite3.Connection, rows: list[Any], keys_of: PersonOf | None) -> Iterator[Request]:
    """One a nature of what was said at once."""
    by_nature: dict[str, list[tuple[Any, dict[str, Any]]]] = {}
    for row in rows:
        leaf = json.loads(row[-1])
        if leaf["e"] in ASKED:
            by_nature.setdefault(leaf["e"], []).append((row, leaf))
    for nature, said in by_nature.items():
        yield _request(db, nature, said, keys_of)


def _request(
    db: sqlite3.Connection, nature: str, said: list[tuple[Any, dict[str, Any]]], keys_of: PersonOf | None
) -> Request:
    (_, event, _, _, received, *_), leaf = said[0]
    _, _, denied = str(leaf.get("r", "")).partition("denied:")
    return Request(
        event,
        nature,
        tuple(leaf.get("p", ())),
        leaf.get("m", "") or leaf.get("src", ""),
        leaf.get("src", ""),
        leaf.get("j", ""),
        tuple(sorted({row[2] for row, _ in said})),
        received,
        max(row[3] for row, _ in said),
        denied,
        leaf.get("n", ""),
        last_appeal(db, event),
        tuple(_details(row, keys_of) for row, _ in said) if keys_of else (),
    )


def _of_count(asked: AnsweredRequest, count: int) -> Request:
    days = day_begins(asked.received), day_begins(asked.answered)
    manner = asked.manner or asked.source
    return Request(
        b"", asked.nature, (), manner, asked.source, asked.place, (), *days, asked.denied, "", None, count=count
    )


def _details(row: Any, keys_of: PersonOf) -> dict[str, Any]:
    """Sealed details, opened; empty where they were erased."""
    opened = subjects.open_boxes(keys_of(row[5]), row[1], row[6], None)
    told: dict[str, Any] = json.loads(opened.details) if opened.details else {}
    return told


def _outcome(appeal: tuple[int, str] | None) -> str | None:
    return appeal[1] if appeal else None
