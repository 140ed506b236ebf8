"""Evidence that it was working: what was counted, what failed and what was in force in a stretch of time, as an entry
(R31). Counts only: a cell of fewer than ten is merged with its neighbours, so that no entry tells of one person.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.ledger import documents, entry
from gateway.ledger.documents import DESPITE_SIGNAL, EVIDENCE, NOTICE, SCREEN, Document
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Transaction

Counts = Mapping[str, Mapping[str, int]]  # by table, then by labels

# Why an entry was written. CUT_OFF: told by the next start about a run that never said that it stopped.
START, STOP, DAILY, CHANGE, CUT_OFF = "start", "stop", "daily", "change", "cut_off"
REHEARSAL = "rehearsal"  # no stretch of a run: what it names was rehearsed, and need not have been in force
# What may have been off for a spell.
CHECKS_FAILED, FORMS_FAILED, ENFORCEMENT_OFF = "checks_failed_closed", "forms_failed", "enforcement_off"
DISCLOSURES_LOST = "disclosures_lost"  # counts of what was sent could not be kept (R22)
REHEARSAL_ALARM = "rehearsal_alarm"  # the last rehearsal failed, or is overdue (L45)
LEAST = 10
FEWER, MERGED = "fewer than 10", "merged"
INLINE = 16_384  # bytes of content in a leaf; an entry bundle has 256 leaves, and a leaf may have 64 kB
SHOWN = 200  # of the operator's own notices and screens, the newest that are named
OWN = f"kind IN ('{NOTICE}', '{DESPITE_SIGNAL}', '{SCREEN}')"
# Of runs, the newest first; far more than there are between a crash and the start after it.
NEWEST = (
    "SELECT e.body, d.body FROM evidence v JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq"
    " WHERE v.kind != ? ORDER BY v.seq DESC LIMIT 1000"
)
OPERATORS = f"SELECT kind, version, language, body FROM document WHERE {OWN} ORDER BY seq DESC LIMIT {SHOWN}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which something was off. `end` None: it still was."""

    what: str
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of one run of the service. `event`: the id of its entry, the same however often it is tried."""

    event: bytes
    run: str
    kind: str
    start: datetime
    until: datetime
    counts: Counts = field(default_factory=dict)
    spells: tuple[Spell, ...] = ()


def merged(counts: Counts) -> dict[str, dict[str, object]]:
    """Counts as they may be written: cells of fewer than `LEAST` in one, and that one without its number if it is as
    small. Tables and cells of nothing are left out.
    """
    told: dict[str, dict[str, object]] = {}
    for table, cells in counts.items():
        kept: dict[str, object] = {name: count for name, count in cells.items() if count >= LEAST}
        small = sum(count for count in cells.values() if 0 < count < LEAST)
        if small:
            kept[MERGED] = small if small >= LEAST else FEWER
        if kept:
            told[table] = kept
    return told


def note(tx: Transaction, period: Period, in_force: Sequence[Document] | None, at: datetime) -> int | None:
    """The documents, each once, and the entry. None where this very entry was written before. `in_force` None: of a run
    before this one, which had what its own entries name, and perhaps not what is in force now.
    """
    if tx.db.execute("SELECT 1 FROM evidence WHERE event = ?", (period.event,)).fetchone():
        return None
    for document in in_force or ():
        documents.log(tx, document, at)
    if in_force is None:
        named = _named_by(tx, period.run)
    else:
        named = _named([*in_force, *(Document(*row) for row in tx.db.execute(OPERATORS))])
    content = {
        "docs": [list(item) for item in named],
        "changed": _changed(tx, {(kind, sha256) for kind, _, _, sha256 in named}),
        "counts": merged(period.counts),
        "spells": [
            [item.what, entry.second(item.start), entry.second(item.end) if item.end else ""] for item in period.spells
        ],
    }
    return _append(tx, period, content, at)


def rehearsed(
    tx: Transaction,
    event: bytes,
    span: tuple[datetime, datetime],
    told: Mapping[str, object],
    in_force: Sequence[Document],
    at: datetime,
) -> int:
    """The entry of a rehearsal of these documents (L45); each of them is logged once, as in `note`."""
    for document in in_force:
        documents.log(tx, document, at)
    content = {"docs": [list(item) for item in _named(in_force)], "told": told}
    return _append(tx, Period(event, entry.b64(event), REHEARSAL, *span), content, at)


def _named(shown: Sequence[Document]) -> list[tuple[str, str, str, str]]:
    return sorted({(item.kind, item.version, item.language, entry.b64(item.sha256)) for item in shown})


def named_in(body: bytes, more: bytes | None) -> list[tuple[str, str, str, str]]:
    """The documents that an entry names as in force: kind, version, language and hash as a leaf has it. `more`: the
    document in which very many counts stand, which has the names too.
    """
    named = json.loads(more or body).get("docs", [])
    return [(kind, version, language, sha256) for kind, version, language, sha256 in named]


def _named_by(tx: Transaction, run: str) -> list[tuple[str, str, str, str]]:
    """What the last entry of that run names; nothing where none of it was ever written."""
    for body, more in tx.db.execute(NEWEST, (REHEARSAL,)):
        if json.loads(body)["run"] == run:
            return named_in(body, more)
    return []


def last_shown(tx: Transaction) -> int:
    """The last entry that logged a text of the operator's own; -1 where there is none."""
    return int(tx.db.execute(f"SELECT coalesce(max(seq), -1) FROM document WHERE {OWN}").fetchone()[0])  # noqa: S608


def _append(tx: Transaction, period: Period, content: Mapping[str, object], at: datetime) -> int:
    document = Document(EVIDENCE, period.kind, "", json.dumps(content, sort_keys=True).encode())
    large = len(document.body) > INLINE
    body = entry.evidence(
        event=period.event,
        kind=period.kind,
        run=period.run,
        start=period.start,
        until=period.until,
        at=at,
        content={} if large else content,
        sha256=document.sha256 if large else None,
    )
    seq = tx.append(body)
    if large:
        documents.keep(tx, document, seq)
    row = (seq, period.event, period.kind, milliseconds(period.start), milliseconds(period.until))
    tx.db.execute("INSERT INTO evidence VALUES (?, ?, ?, ?, ?)", row)
    return seq


def _changed(tx: Transaction, named: set[tuple[str, str]]) -> list[str]:
    """The kinds of documents that are not those of the last entry; none at the very first."""
    row = tx.db.execute(
        "SELECT e.body, d.body FROM evidence v JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq"
        " WHERE v.kind != ? ORDER BY v.seq DESC LIMIT 1",
        (REHEARSAL,),
    ).fetchone()
    if row is None:
        return []
    before = {(kind, sha256) for kind, _, _, sha256 in named_in(*row)}
    return sorted({kind for kind, _ in before ^ named})
