"""A day's evidence, read back for `gateway evidence`: each entry that tells of it, with its receipt, so that an officer
can check it.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from gateway.desk import documents
from gateway.desk.documents import EVIDENCE
from gateway.desk.evidence import REHEARSAL
from gateway.keys import seals
from gateway.ledger import entry
from gateway.ledger.audit.log_reader import LogReader
from gateway.ledger.folder_store import store_in
from gateway.ledger.subjects import day_begins, moment

# Those that tell of the day, and the one before: what it names was in force when the day began.
TELLING = """
SELECT v.seq, v.event, v.kind, v.start, v.until, e.body, d.body
FROM evidence v LEFT JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq
WHERE (v.until >= :start AND v.start < :end)
OR v.seq = (SELECT max(seq) FROM evidence WHERE until < :start AND kind != 'rehearsal') ORDER BY v.seq
"""


class DayNamed(NamedTuple):
    """A document as entries name it. `sha256`: hexadecimal, as sha256sum prints it."""

    kind: str
    version: str
    language: str
    sha256: str


@dataclass(frozen=True, slots=True)
class DayTold:
    """One entry: its leaf with what it counted, and its receipt (a tlog-proof); None while the log cannot be read."""

    seq: int
    content: dict[str, Any]
    receipt: str | None

    def of(self, day: date) -> bool:
        """Whether it tells of the day itself."""
        return bool(self.content["from"][:10] <= day.isoformat() <= self.content["until"][:10])

    @property
    def in_force(self) -> tuple[DayNamed, ...] | None:
        """The documents that it names as in force; None of a rehearsal, whose documents need not have been, and of one
        whose body is gone.
        """
        if self.content["k"] == REHEARSAL or self.content.get("gone"):
            return None
        return tuple(_named(*words) for words in self.content.get("docs", []))


def _named(kind: str, version: str, language: str, sha256: str) -> DayNamed:
    return DayNamed(kind, version, language, seals.unb64(sha256).hex())


def texts(folder: Path, found: Sequence[DayTold]) -> dict[DayNamed, bytes | None]:
    """Every document that these entries name, in order, with its bytes; None for one that is not there, or is another
    one than its hash says. Raises `LedgerRefused`, sqlite3.Error.
    """
    named = dict.fromkeys(each for item in found for each in (*(item.in_force or ()), *_counts(item)))
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        kept = {each: documents.read_document(db, bytes.fromhex(each.sha256)) for each in named}
    return {each: one.body if one and one.sha256.hex() == each.sha256 else None for each, one in kept.items()}


def _counts(item: DayTold) -> Iterator[DayNamed]:
    """The document in which very many counts of an entry stand."""
    if item.content.get("n"):
        yield _named(EVIDENCE, str(item.content["k"]), "", item.content["n"])


def told_that_day(folder: Path, log: LogReader, day: date) -> list[DayTold]:
    """The entries that tell of a day, the oldest first. Raises `LedgerRefused`, `StoreUnavailable`."""
    span = {"start": day_begins(day), "end": day_begins(day + timedelta(days=1))}
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        rows = db.execute(TELLING, span).fetchall()
    receipts = log.receipts([row[1] for row in rows])
    return [
        DayTold(row[0], _content(*row[1:]), receipt.text() if receipt else None)
        for row, receipt in zip(rows, receipts, strict=True)
    ]


def _content(event: bytes, kind: str, start: int, until: int, body: bytes | None, more: bytes | None) -> dict[str, Any]:
    """What the entry says; of one whose body went by retention, `gone`, what kind it was and of which time."""
    if body is not None:
        return {**json.loads(body), **json.loads(more or b"{}")}
    times = {"from": entry.second(moment(start)), "until": entry.second(moment(until))}
    return {"i": entry.b64(event), "k": kind, "run": "", **times, "gone": True}
