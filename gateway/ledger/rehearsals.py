"""Rehearsals on record: each is an entry of evidence that tells of nobody (R31, L45), and the youngest says whether
somebody has to look.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.ledger import evidence
from gateway.ledger.documents import Document
from gateway.ledger.subjects import moment
from gateway.ledger.writer import Transaction

KIND = evidence.REHEARSAL
LAST = """
SELECT v.seq, v.until, e.body, d.body FROM evidence v JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq
WHERE v.kind = ? ORDER BY v.seq DESC LIMIT 1
"""
FIRST = "SELECT min(start) FROM evidence WHERE kind != ?"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """`event`: the id of its entry. `content`: as `gateway.rehearsal.__main__.told_to_recipients` makes it."""

    event: bytes
    start: datetime
    until: datetime
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Last:
    """The youngest on record: where, when it ended, whether it passed, how much had failed."""

    seq: int
    until: datetime
    passed: bool
    failures: int


def note(tx: Transaction, rehearsal: Rehearsal, in_force: Sequence[Document], at: datetime) -> int:
    """The entry, with the documents that it was rehearsed by; its number."""
    return evidence.rehearsed(tx, rehearsal.event, (rehearsal.start, rehearsal.until), rehearsal.content, in_force, at)


def last(db: sqlite3.Connection) -> Last | None:
    """The youngest that was entered."""
    row = db.execute(LAST, (KIND,)).fetchone()
    if row is None:
        return None
    seq, until, body, more = row
    content = {**json.loads(body), **json.loads(more or b"{}")}["told"]
    return Last(seq, moment(until), bool(content.get("passed")), int(content.get("failures", 0)))


def owed_since(db: sqlite3.Connection) -> datetime | None:
    """When this installation first served: from then on a rehearsal is due."""
    (start,) = db.execute(FIRST, (KIND,)).fetchone()
    return None if start is None else moment(start)


def failed(event: bytes, start: datetime, until: datetime, why: str) -> Rehearsal:
    """One that did not come to its end."""
    return Rehearsal(event, start, until, {"passed": False, "failures": 1, "failed": [["", "", "", "", why]]})
