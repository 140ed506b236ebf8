"""Evidence that it was working: what was counted, what failed and what was in force in a stretch of time, as an entry
(R31); what a rehearsal found, as another (L45); and what each day counted and what was in force at an earlier moment,
read back from them.

Counts only: a cell of fewer than ten is merged with its neighbours, so that no entry tells of one person. The youngest
rehearsal says whether somebody has to look. What a verdict of an earlier moment rested on, for `gateway explain` at a
date, are the recipients, the settings that decide and the law tables that the last evidence before it names; the rules
themselves are this program's.
"""

import contextlib
import json
import sqlite3
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

import msgspec

from gateway.choice import law
from gateway.choice.question import Gap, Notices, Office
from gateway.choice.recipient import Recipient
from gateway.desk import documents
from gateway.desk.documents import DESPITE_SIGNAL, EVIDENCE, NOTICE, SCREEN, Document
from gateway.keys import seals
from gateway.ledger import entry
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.store import Store, asked_of, ledger_snapshot
from gateway.ledger.subjects import milliseconds, moment
from gateway.ledger.transaction import Transaction

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
# The entries, each with its body and, where very many counts stand in one, that document's; see `content_of`.
ENTRIES = "FROM evidence v JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq"
NEWEST = f"SELECT e.body, d.body {ENTRIES} WHERE v.kind != '{REHEARSAL}' ORDER BY v.seq DESC LIMIT ?"
RUNS = 1_000  # far more than there are between a crash and the start after it
OPERATORS = f"""
SELECT kind, version, language, body FROM document WHERE {OWN} AND seq <= coalesce(?, seq)
ORDER BY seq DESC LIMIT {SHOWN}
"""  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which something was off. `end` None: it still was."""

    what: str
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of one run of the service. `event`: the id of its entry, the same however often it is tried. `desk`:
    how many lines the desk's log had then, and the head after the last (`gateway.desk.office.desk_log`). `shown`: the
    last entry that had logged a text of the operator's own when it began; None: all that are there.
    """

    event: bytes
    run: str
    kind: str
    start: datetime
    until: datetime
    counts: Counts = field(default_factory=dict)
    spells: tuple[Spell, ...] = ()
    desk: tuple[int, str] | None = None
    shown: int | None = None


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


def note_period(tx: Transaction, period: Period, in_force: Sequence[Document] | None, at: datetime) -> int | None:
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
        named = _named([*in_force, *(Document(*row) for row in tx.db.execute(OPERATORS, (period.shown,)))])
    content = {
        "docs": [list(item) for item in named],
        "changed": _changed(tx, {(kind, sha256) for kind, _, _, sha256 in named}),
        "counts": merged(period.counts),
        "spells": [
            [item.what, entry.second(item.start), entry.second(item.end) if item.end else ""] for item in period.spells
        ],
        **({"desk": list(period.desk)} if period.desk else {}),
    }
    return _append(tx, period, content, at)


def _named(shown: Sequence[Document]) -> list[tuple[str, str, str, str]]:
    return sorted({(item.kind, item.version, item.language, entry.b64(item.sha256)) for item in shown})


def content_of(body: bytes | None, more: bytes | None) -> dict[str, Any]:
    """What an entry says; of one whose body went by retention nothing. `more`: the document in which very many counts
    stand.
    """
    return {**json.loads(body or b"{}"), **json.loads(more or b"{}")}


def named_in(body: bytes, more: bytes | None) -> list[tuple[str, str, str, str]]:
    """The documents that an entry names as in force: kind, version, language and hash as a leaf has it."""
    return [
        (kind, version, language, sha256) for kind, version, language, sha256 in content_of(body, more).get("docs", [])
    ]


def _named_by(tx: Transaction, run: str) -> list[tuple[str, str, str, str]]:
    """What the last entry of that run names; nothing where none of it was ever written."""
    for body, more in tx.db.execute(NEWEST, (RUNS,)):
        if json.loads(body)["run"] == run:
            return named_in(body, more)
    return []


def last_shown(tx: Transaction) -> int:
    """The last entry that logged a text of the operator's own; -1 where there is none."""
    return int(tx.db.execute(f"SELECT coalesce(max(seq), -1) FROM document WHERE {OWN}").fetchone()[0])  # noqa: S608 - ours


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
        documents.keep_document(tx, document, seq)
    row = (seq, period.event, period.kind, milliseconds(period.start), milliseconds(period.until))
    tx.db.execute("INSERT INTO evidence VALUES (?, ?, ?, ?, ?)", row)
    return seq


def _changed(tx: Transaction, named: set[tuple[str, str]]) -> list[str]:
    """The kinds of documents that are not those of the last entry; none at the very first."""
    row = tx.db.execute(NEWEST, (1,)).fetchone()
    if row is None:
        return []
    before = {(kind, sha256) for kind, _, _, sha256 in named_in(*row)}
    return sorted({kind for kind, _ in before ^ named})


LAST_REHEARSAL = f"""
SELECT v.seq, v.until, e.body, d.body {ENTRIES} WHERE v.kind = '{REHEARSAL}' ORDER BY v.seq DESC LIMIT 1
"""
FIRST_START = f"SELECT min(start) FROM evidence WHERE kind != '{REHEARSAL}'"  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """`event`: the id of its entry. `content`: as `gateway.rehearsal.__main__.told_to_recipients` makes it."""

    event: bytes
    start: datetime
    until: datetime
    content: Mapping[str, Any]


class RehearsalTold(NamedTuple):
    """What the youngest rehearsal's entry says. `event`: as its leaf has it; `told`: as `Rehearsal.content`."""

    seq: int
    event: str
    until: datetime
    told: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        return bool(self.told.get("passed"))

    @property
    def failures(self) -> int:
        return int(self.told.get("failures", 0))


def note_rehearsal(tx: Transaction, rehearsal: Rehearsal, in_force: Sequence[Document], at: datetime) -> int:
    """The entry, with the documents that it was rehearsed by, each logged once; its number (L45)."""
    for document in in_force:
        documents.log(tx, document, at)
    content = {"docs": [list(item) for item in _named(in_force)], "told": rehearsal.content}
    run = entry.b64(rehearsal.event)
    return _append(tx, Period(rehearsal.event, run, REHEARSAL, rehearsal.start, rehearsal.until), content, at)


def last_rehearsal(db: sqlite3.Connection) -> RehearsalTold | None:
    """The youngest that was entered."""
    row = db.execute(LAST_REHEARSAL).fetchone()
    if row is None:
        return None
    seq, until, *bodies = row
    leaf = content_of(*bodies)
    return RehearsalTold(seq, leaf["i"], moment(until), leaf["told"])


def rehearsal_owed_since(db: sqlite3.Connection) -> datetime | None:
    """When this installation first served: from then on a rehearsal is due."""
    (start,) = db.execute(FIRST_START).fetchone()
    return None if start is None else moment(start)


def failed_rehearsal(event: bytes, start: datetime, until: datetime, why: str) -> Rehearsal:
    """One that did not come to its end."""
    return Rehearsal(event, start, until, {"passed": False, "failures": 1, "failed": [["", "", "", "", why]]})


class DeskHead(NamedTuple):
    """What an entry says of the desk's log: how many lines it had at a moment, and the head after the last."""

    seq: int
    until: datetime
    lines: int
    head: str


def desk_heads(store: Store) -> list[DeskHead]:
    """All of them, the oldest first. Raises `LedgerRefused`, `sqlite3.Error`."""
    with contextlib.closing(store.open_to_read()) as db:
        rows = db.execute(f"SELECT v.seq, e.body, d.body {ENTRIES} ORDER BY v.seq").fetchall()
    told = [(seq, content_of(*bodies)) for seq, *bodies in rows]
    return [DeskHead(seq, datetime.fromisoformat(it["until"]), *it["desk"]) for seq, it in told if it.get("desk")]


LAST_OF_KIND = """
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
    with ledger_snapshot(store) as db:
        row = db.execute(LAST_OF_KIND, (milliseconds(moment),)).fetchone()
        if row is None or row[1] is None:
            return None
        texts = _texts_then(db, named_in(row[1], row[2]))
    try:
        [registry], [settings] = texts[documents.RECIPIENTS], texts[documents.SETTINGS]
        laws = law.parse_law(tomllib.loads(text.decode()) for text in texts[documents.LAW])
        office = _office_then(json.loads(settings), laws, moment.date())
        return HeldThen(row[0], office, _recipients_then(json.loads(registry)))
    except (KeyError, TypeError, ValueError):  # msgspec's and TOML's errors are ValueErrors
        return None


def _texts_then(db: sqlite3.Connection, named: Iterable[tuple[str, str, str, str]]) -> dict[str, list[bytes]]:
    """The documents that decide, by kind; none at all where one of them is not there: half the laws are other laws."""
    found: dict[str, list[bytes]] = {}
    for kind, _, _, sha256 in named:
        if kind not in DECIDING:
            continue
        document = documents.read_document(db, seals.unb64(sha256))
        if document is None:
            return {}
        found.setdefault(kind, []).append(document.body)
    return found


def _office_then(settings: Mapping[str, Any], laws: law.LawTable, on: date) -> Office:
    notice = settings["notice"]
    gaps = tuple(
        Gap(date.fromisoformat(gap["from"]), date.fromisoformat(gap["until"]), gap["surface"]) for gap in notice["gaps"]
    )
    notices = Notices(date.fromisoformat(notice["told_everyone"]), gaps, notice["wait_days"])
    return Office(
        laws, on, settings["age"]["floor"], notices, settings["aggregate"]["least"], settings["cpni"]["module"]
    )


def _recipients_then(registry: Mapping[str, Mapping[str, Any]]) -> dict[str, Recipient]:
    """As configured then; of an upload it is only known that there was one."""
    plain = {name: {**item, "upload": []} for name, item in registry.items()}
    return msgspec.convert(plain, dict[str, Recipient])


COUNTED = f"SELECT v.start, e.body, d.body {ENTRIES} WHERE v.start >= ? AND v.start < ? ORDER BY v.seq"
# A request that names several identifiers is one.
OPT_OUTS = f"""
SELECT d.at / 86400000, coalesce(json_extract(CAST({BODY} AS TEXT), '$.src'), ''), count(DISTINCT d.request)
FROM detail d{JOINED} WHERE d.at >= ? AND d.at < ? AND {BODY} IS NOT NULL
AND json_extract(CAST({BODY} AS TEXT), '$.e') = 'opt_out' GROUP BY 1, 2
"""  # noqa: S608 - ours
EPOCH = date(1970, 1, 1)


@dataclass(slots=True)
class CountedDay:
    """One day (UTC), by table and the words of a cell. `few`: tables in which fewer than ten more were counted, nobody
    can say of what.
    """

    cells: dict[str, Counter[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(Counter))
    few: set[str] = field(default_factory=set)

    def add(self, table: str, cell: str, count: object) -> None:
        """One cell of one entry."""
        if isinstance(count, int):
            self.cells[table][tuple(cell.split(" "))] += count
        else:
            self.few.add(table)


def counted_days(store: Store, first: date, last: date) -> Mapping[date, CountedDay]:
    """Those from `first` to `last` of which an entry tells; a stretch is of the day on which it began. Raises
    `StoreUnavailable`.
    """
    rows = asked_of(store, lambda db: db.execute(COUNTED, _span(first, last)).fetchall())
    found: dict[date, CountedDay] = defaultdict(CountedDay)
    for start, *bodies in rows:
        content = content_of(*bodies)
        if "counts" not in content:  # a rehearsal's, or the body went by retention
            continue
        day = found[moment(start).date()]
        for table, cells in content["counts"].items():
            for cell, count in cells.items():
                day.add(table, cell, count)
    return found


def opt_outs_by_day(store: Store, first: date, last: date) -> dict[str, dict[date, int]]:
    """How many requests to opt out were entered on each day from `first` to `last`, by source; days without one are
    absent, and so is what went by retention. Raises `StoreUnavailable`.
    """
    found: dict[str, dict[date, int]] = {}
    for day, source, count in asked_of(store, lambda db: db.execute(OPT_OUTS, _span(first, last)).fetchall()):
        found.setdefault(source, {})[EPOCH + timedelta(days=day)] = count
    return found


def _span(first: date, last: date) -> tuple[int, int]:
    start, end = (datetime.combine(day, time(), UTC) for day in (first, last + timedelta(days=1)))
    return milliseconds(start), milliseconds(end)
