"""Disclosures: of a share's rows and of announced sends a row each, written as intended before the bytes leave and
marked after; a chunk is one entry. Of answers to checks and bid requests counts, a day at a time; a batch is one entry
(R22).

A row that was handed back to its caller may have been sent until the caller says what became of it: posted again before
that it is decided anew. A report "not sent" can arrive before the answer itself was counted (counting is batched), so a
count can be -1 for a moment. Readers therefore ignore counts of 0 and below.
"""

import hmac
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

from gateway.desk import recipient_holdings
from gateway.desk.recipient_holdings import PUT_OFF, Left
from gateway.ledger import entry
from gateway.ledger.acts import records
from gateway.ledger.acts.holders import released_since, since_when
from gateway.ledger.schema import rows_of
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import DAY_MS, Purpose

# sent; it may have been; it is not known whether it arrived; it was sent although the answer was no
SENT, POSSIBLE, UNKNOWN, DESPITE_NO = "sent", "possible", "unknown", "despite_no"
# The last entry but a release that told whose a key is, as of a position.
HANDS = (
    "SELECT identifier, max(seq) FROM erased WHERE identifier IN ({marks}) AND seq <= ? GROUP BY identifier",
    (
        "SELECT identifier, max(seq) FROM link_event WHERE identifier IN ({marks}) AND seq <= ? AND NOT claimed"
        " GROUP BY identifier"
    ),
)
FORGOTTEN = (  # when somebody was erased last; the entry that says so is the last before they began anew
    "SELECT r.identifier, (SELECT e.at FROM erasure e WHERE e.seq < r.seq ORDER BY e.seq DESC LIMIT 1) FROM erased r"
    " WHERE r.identifier IN ({marks})"
)
COUNTED = (
    "INSERT INTO disclosed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT"
    " (key, recipient, purpose, classes, day, outcome, since) DO UPDATE SET"
    " first = min(disclosed.first, excluded.first),"
    " last = max(disclosed.last, excluded.last), count = disclosed.count + excluded.count"
)
SHOWN = (
    "SELECT recipient, purpose, classes, outcome, first, last, count, batch FROM disclosed"
    " WHERE key = ? AND batch >= ? AND count > 0"
)


@dataclass(frozen=True, slots=True)
class Counted:
    """One more, or one less, of a person at a recipient. `at`: Unix milliseconds."""

    key: bytes = field(repr=False)
    recipient: str
    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    outcome: str
    at: int
    count: int = 1

    @property
    def cell(self) -> tuple[bytes, str, str, str, int, str]:
        return (
            self.key,
            self.recipient,
            ",".join(self.purposes),
            ",".join(self.classes),
            self.at // DAY_MS,
            self.outcome,
        )


def count_disclosures(
    tx: Transaction,
    counted: Sequence[Counted],
    at: datetime,
    *,
    position: int | None = None,
    of_nobody: Sequence[Counted] = (),
) -> int | None:
    """One entry for all of them, where anything is more, and their counts. Returns the entry's seq. What was answered
    about somebody before they were erased is not written down after that (R19). `position`: of what is written late,
    where in the log it belongs: what came behind it tells of others. `of_nobody`: is in the entry and on nobody's
    record.
    """
    counted = list(_but_of_erased(tx, counted))
    more = [each for each in (*counted, *of_nobody) if each.count > 0]
    seq = _append(tx, more, at) if more else None
    batch = tx.size if seq is None else seq
    batch = batch if position is None else min(batch, position)
    since = _told_whose(tx, {each.key for each in counted}, batch)
    rows = [(*each.cell, since[each.key], each.at, each.at, each.count, batch) for each in counted]
    tx.db.executemany(COUNTED, rows)
    return seq


def _told_whose(tx: Transaction, keys: set[bytes], batch: int) -> dict[bytes, int]:
    """Of each the last entry that told whose it is, as of a batch."""
    since, given_back = dict[bytes, int](), since_when(tx)
    for key in keys:
        released = given_back(key)  # nearly always never, and then it was not then either
        since[key] = released if released <= batch else released_since(tx.db, key, batch)
    for sql in HANDS:
        for key, seq in rows_of(tx.db, sql, keys, batch):
            since[key] = max(since[key], seq)
    return since


def _but_of_erased(tx: Transaction, counted: Sequence[Counted]) -> Iterator[Counted]:
    forgotten = dict(rows_of(tx.db, FORGOTTEN, {each.key for each in counted}))
    return (each for each in counted if each.at >= (forgotten.get(each.key) or 0))


def _append(tx: Transaction, more: Sequence[Counted], at: datetime) -> int:
    """The entry: who got what kinds of data for what, how much, and the keyed hash of what was counted."""
    cells: Counter[tuple[object, ...]] = Counter()
    for each in more:
        cells[each.cell[1:]] += each.count  # no keys: a new pepper rewrites those
    body = partial(
        entry.disclosure,
        event=os.urandom(16),
        to=sorted({each.recipient for each in more}),
        purposes={word for each in more for word in each.purposes},
        classes={word for each in more for word in each.classes},
        count=sum(each.count for each in more),
        at=at,
    )
    return _append_hashed(tx, [[*cell, number] for cell, number in sorted(cells.items())], body)


def _append_hashed(tx: Transaction, listed: Sequence[object], body: Callable[..., bytes]) -> int:
    """An entry with the hash of what is listed, under a key of its own that is kept beside it."""
    secret = os.urandom(32)
    seq = tx.append(body(hashed=hmac.digest(secret, json.dumps(listed, separators=(",", ":")).encode(), "sha256")))
    tx.db.execute("INSERT INTO disclosure_batch VALUES (?, ?)", (seq, secret))
    return seq


def outcome_said(tx: Transaction, decision: bytes) -> str | None:
    """What was said of a decision before."""
    row = tx.db.execute("SELECT outcome FROM reported WHERE decision = ?", (decision,)).fetchone()
    return row[0] if row else None


def say_outcome(tx: Transaction, decision: bytes, outcome: str, at: datetime) -> None:
    row = (decision, outcome, milliseconds(at))
    tx.db.execute(
        "INSERT INTO reported VALUES (?, ?, ?) ON CONFLICT (decision) DO UPDATE SET outcome = excluded.outcome,"
        " at = excluded.at",
        row,
    )


WHAT_LEFT = "SELECT recipient, row, batch, outcome, purpose, classes FROM disclosure d"


def mark_outcome(tx: Transaction, recipient: str, row: bytes, outcome: str, at: datetime) -> Sequence[Counted]:
    """What a caller says became of a send that was announced; what is known to have been sent stays so. Each has a
    batch of its own. Returns what left after all, as a `DisclosureStep` has it.
    """
    found = tx.db.execute(f"{WHAT_LEFT} WHERE recipient = ? AND row = ? AND outcome NOT IN ('sent', ?)", (
        recipient, row, outcome,
    )).fetchall()  # fmt: skip
    return _become(tx, found, outcome, milliseconds(at))


def forget_outcomes(tx: Transaction, at: datetime) -> None:
    """What was said so long ago that no other word of it can come: of an answer, and of what a row did not take along,
    of which no word came since that it did.
    """
    before = recipient_holdings.put_off_since(at)
    tx.db.execute("DELETE FROM reported WHERE at < ? AND length(decision) <> ?", (before, PUT_OFF.size))
    recipient_holdings.take_back_put_off(tx, before, AT_ONCE)


# Within it a word comes: of an answer, which stays as it was counted later; of a hand-back, also behind the next one.
REPORTED_WITHIN = timedelta(hours=1)
WITHIN_MS = int(REPORTED_WITHIN.total_seconds() * 1000)
CHUNK = 250  # rows of one entry, 1,000 at most; the second check holds the loop for so many at once
DAYS = 35  # a row id that left is a duplicate for so long
HASH, POSTED_AGAIN = 16, b"\x01"  # bytes of a hash; what stands behind a job's where a row of it was posted again
AT_ONCE = 1_000  # rows that one transaction acknowledges
NOT_SENT = "not_sent"
OF_ONE = "WHERE recipient = ? AND row = ? AND batch = ?"
BECAME = f"UPDATE disclosure SET outcome = ? {OF_ONE}"  # noqa: S608 - ours
NEVER_LEFT = f"UPDATE disclosure SET outcome = ?, job = NULL {OF_ONE}"  # noqa: S608 - ours; nor was it handed back
INTENDED = (
    "UPDATE disclosure SET outcome = ? WHERE recipient = ? AND row = ? AND batch >= ? AND outcome = 'intended'"
    " AND job IS NULL RETURNING batch"
)
BEFORE = (  # in the database: a row that was posted again and again has many
    "SELECT row, max(outcome = 'sent'), max(CASE WHEN outcome = 'intended' THEN batch ELSE -1 END),"
    " max(job IS NOT NULL AND outcome IN ('intended', 'possible')), max(handle) FROM disclosure"
    " WHERE row IN ({marks}) AND recipient = ? AND at > ? GROUP BY row"
)
THERE = "SELECT row, batch, held FROM disclosure WHERE row IN ({marks}) AND recipient = ? AND batch BETWEEN ? AND ?"
Place = tuple[str, bytes, int]  # of a row: recipient, row, batch
FIRST: Place = ("", b"", -1)
OPEN = "d.outcome IN ('intended', 'possible')"
MAY_HAVE = (
    "SELECT d.row, d.batch, d.job FROM disclosure d"  # noqa: S608 - ours
    f" WHERE d.row IN ({{marks}}) AND d.recipient = ? AND length(d.job) = ? AND {OPEN}"
)
OTHER = "NOT EXISTS (SELECT 1 FROM disclosure l WHERE l.recipient = d.recipient AND l.row = d.row AND l.job IS NOT NULL"
# Of a row that was handed back several times the last one is the one that its caller has.
LAST = f"{OTHER} AND l.batch > d.batch AND l.outcome <> 'not_sent')"
ALONE = f"{OTHER} AND l.batch < d.batch AND l.at > d.at - {WITHIN_MS})"
TAKEN_BACK = f"d.outcome = 'not_sent' AND {OTHER} AND (l.batch > d.batch OR l.outcome <> 'not_sent'))"


@dataclass(frozen=True, slots=True)
class Intended:
    """One row that is about to leave. `left`: the identifiers in it, as the recipient gets them; `handle`: what it has
    the row under, instead of the caller's id.
    """

    row_id: str = field(repr=False)
    key: bytes = field(repr=False)
    classes: tuple[str, ...]
    left: tuple[Left, ...] = field(default=(), repr=False)
    handle: bytes | None = None

    @property
    def row(self) -> bytes:
        """A caller's row id is stored as its hash: it may hold anything."""
        return hash_of(self.row_id)


def hash_of(named: str) -> bytes:
    """Of a row's id, and of a job's name."""
    return sha256(named.encode()).digest()[:HASH]


class Before(NamedTuple):
    """What is on record of row ids that were posted within `DAYS`: those that left, those that may have been sent by
    their caller, and what the recipient has each under.
    """

    left: set[str]
    handed_back: set[str]
    handles: dict[str, bytes]


def posted_before(
    tx: Transaction, recipient: str, row_ids: Iterable[str], now: int, since: int | None = None
) -> Before:
    """A row that is only intended may be sent again, unless an entry from `since` on intends it: it stands in the same
    file.
    """
    found, ids = Before(set(), set(), {}), {hash_of(row_id): row_id for row_id in row_ids}
    for row, sent, batch, handed_back, handle in rows_of(tx.db, BEFORE, ids, recipient, now - DAYS * DAY_MS):
        row_id = ids[row]
        if sent or (since is not None and batch >= since):
            found.left.add(row_id)
        elif handed_back:
            found.handed_back.add(row_id)
        if handle is not None:
            found.handles[row_id] = handle
    return found


def let_be(tx: Transaction, recipient: str, row_ids: Iterable[str]) -> None:
    """Rows that were handed back and are posted again: whether they go now or not, a word about the whole job is about
    what comes of that, and what was handed back before stays as what may have been sent.
    """
    found = list(rows_of(tx.db, MAY_HAVE, {*map(hash_of, row_ids)}, recipient, HASH))
    tx.db.executemany(
        "UPDATE disclosure SET job = ? WHERE recipient = ? AND row = ? AND batch = ?",
        [(job + POSTED_AGAIN, recipient, row, batch) for row, batch, job in found],
    )


def intend(
    tx: Transaction,
    recipient: str,
    purposes: Sequence[Purpose],
    rows: Sequence[Intended],
    at: datetime,
    *,
    position: int | None = None,
    job: bytes | None = None,
) -> int:
    """One entry and its rows, as intended. Returns the entry's seq. At most `CHUNK` rows. `position`: of what a replica
    answered at that time, how many entries it knew of. `job`: of rows that are handed back, its hash, or nothing in it.
    """
    assert 0 < len(rows) <= CHUNK
    now = milliseconds(at)
    position = tx.size if position is None else min(position, tx.size)
    listed = [[row.row.hex(), *row.classes] for row in rows]  # no keys: a new pepper rewrites those
    classes = sorted({name for row in rows for name in row.classes})
    body = partial(
        entry.disclosure, event=os.urandom(16), to=recipient, purposes=purposes, classes=classes, count=len(rows),
        at=at,
    )  # fmt: skip
    seq = _append_hashed(tx, listed, body)
    left, numbers = defaultdict[tuple[str, ...], list[Left]](list), dict[bytes, int]()
    for row in rows:
        left[row.classes] += row.left
    for each, some in left.items():
        numbers |= recipient_holdings.note_held(tx, recipient, some, purposes, each, seq, now)
    which, whole = (now, position, seq), ",".join(purposes)
    tx.db.executemany(
        "INSERT INTO disclosure VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'intended', ?, ?, ?)",
        [
            (
                recipient, row.row, row.key, whole, ",".join(row.classes), *which, row.handle, job,
                recipient_holdings.listed(row.left, numbers),
            )
            for row in rows
        ],
    )  # fmt: skip
    return seq


def mark(tx: Transaction, recipient: str, batch: int, rows: Iterable[Intended], outcome: str) -> list[Intended]:
    """`sent` or `unknown`, once the recipient answered or did not; `possible` for what was handed back, unless its
    caller was quicker to say more; `not_sent` for what the second check took out. Returns those of which nothing is on
    record any more: their people were erased meanwhile.
    """
    rows = list(rows)
    became = {POSSIBLE: f"{BECAME} AND outcome = 'intended'", NOT_SENT: NEVER_LEFT}.get(outcome, BECAME)
    marked = tx.db.executemany(became, [(outcome, recipient, row.row, batch) for row in rows])
    marks = [(row.row, batch) for row in rows]
    gone = {*(gone_of(tx, recipient, marks) if marked.rowcount != len(rows) else ())}
    for row in rows if outcome == NOT_SENT else ():
        recipient_holdings.not_sent(tx, recipient, row.row, batch)
    return [row for row in rows if (row.row, batch) in gone]


Mark = tuple[bytes, int]  # a row of a file, by its hash and its entry's number


def settle(tx: Transaction, recipient: str, rows: Sequence[Mark], outcome: str) -> list[Mark]:
    """What became of rows of files. Returns those of which nothing is on record any more, as `mark` does."""
    tx.db.executemany(BECAME, [(outcome, recipient, row, batch) for row, batch in rows])
    return gone_of(tx, recipient, rows)


def gone_of(tx: Transaction, recipient: str, rows: Sequence[Mark]) -> list[Mark]:
    """Those of whose people one was erased since they were intended: the first, under whom the row is on record, or
    another, of whom nothing is kept any more.
    """
    batches = [batch for _, batch in rows]
    within = (min(batches, default=0), max(batches, default=0))
    found = rows_of(tx.db, THERE, {row for row, _ in rows}, recipient, *within)
    there = {(row, batch): recipient_holdings.read_listed(held or "").keys() for row, batch, held in found}
    kept = recipient_holdings.kept_since(tx, {number for numbers in there.values() for number in numbers})
    return [
        each
        for each in rows
        if each not in there or any(kept.get(number, recipient_holdings.NEVER) > each[1] for number in there[each])
    ]


def take_out(tx: Transaction, recipient: str, rows: Iterable[bytes], since: int) -> None:
    """Rows of a file that was never whole, which entries from one on intend: none of them left."""
    for row in rows:
        for (batch,) in tx.db.execute(INTENDED, (NOT_SENT, recipient, row, since)).fetchall():
            recipient_holdings.not_sent(tx, recipient, row, batch)


class Acknowledged(NamedTuple):
    """What a caller says of rows that were handed back: of a job all of them, as they were handed back last, or one row
    by its id. `recipient` empty: whoever the job was for. `mark`: what stood in the row's line, and `batch` what it was
    sealed of: that hand-back is meant and no other one.
    """

    outcome: str
    job: str = ""
    row_id: str = ""
    recipient: str = ""
    mark: str = ""
    batch: int | None = None


class DisclosureStep(NamedTuple):
    """`moved`: of how many rows something is known now that was not; `known`: such rows were handed back at some time;
    `last`: there may be more behind this one; `late`: what left after all, once for each of its people, who may have
    said no since it was said not to have.
    """

    moved: int
    known: bool
    last: Place | None
    late: Sequence[Counted]


def acknowledge(
    tx: Transaction, said: Sequence[Acknowledged], at: datetime, after: Place = FIRST
) -> list[DisclosureStep]:
    """The next rows of each, `AT_ONCE` at most, of which nothing was said yet are what their caller says. A row that
    was sent went once, however often it was handed back: what nobody said of the times before stays as what may have
    been.
    """
    forget_outcomes(tx, at)
    return [_acknowledge(tx, each, milliseconds(at), after) for each in said]


def _acknowledge(tx: Transaction, said: Acknowledged, now: int, after: Place) -> DisclosureStep:
    (named, values), which = _named(said), _meant(said)
    found = tx.db.execute(
        f"{WHAT_LEFT} WHERE {named} AND {which}"
        f" AND (recipient, row, batch) > (?, ?, ?) ORDER BY recipient, row, batch LIMIT {AT_ONCE}",
        [*values, *after],
    ).fetchall()
    late = _become(tx, found, said.outcome, now)
    sql = f"SELECT 1 FROM disclosure d WHERE {named} LIMIT 1"  # noqa: S608 - ours
    known = bool(found) or tx.db.execute(sql, values).fetchone() is not None
    return DisclosureStep(len(found), known, found[-1][:3] if len(found) == AT_ONCE else None, late)


def _become(tx: Transaction, found: Iterable[Sequence[Any]], outcome: str, now: int) -> list[Counted]:
    """What somebody says of rows as `WHAT_LEFT` gives them. Returns what left after all, once for each of its people:
    whose act such a row went on was another's to have since, and is used up.
    """
    late = list[Counted]()
    for recipient, row, batch, was, *what in found:
        tx.db.execute(BECAME, (outcome, recipient, row, batch))
        if was == NOT_SENT:
            purposes, classes = (tuple(words.split(",")) for words in what)
            people = recipient_holdings.people_of_row(tx, recipient, row, batch)
            late += [Counted(each, recipient, purposes, classes, outcome, now) for each in people]
            records.use_acts(tx, people, recipient, now)
        if outcome == SENT:
            records.use_claimed(tx, recipient, row, now)
        elif outcome == NOT_SENT:
            recipient_holdings.not_sent(tx, recipient, row, batch, now)
    return late


def _meant(said: Acknowledged) -> str:
    """Which of the hand-backs of a row. Without a mark nobody can tell of two that followed one another which of them
    did not leave: both may have. That one left counts over a word before that it did not.
    """
    taken_back = " OR d.outcome = 'not_sent'"
    if said.batch is not None:
        return f"({OPEN}{'' if said.outcome == NOT_SENT else taken_back})"
    if said.outcome == NOT_SENT:
        return f"{OPEN} AND {LAST} AND {ALONE}"
    return f"({OPEN} AND {LAST}{f' OR {TAKEN_BACK}' if said.row_id else ''})"


def _named(said: Acknowledged) -> tuple[str, list[object]]:
    """Which rows are spoken of; never one that was not handed back: what became of others is ours to say."""
    words, values = ["d.job IS NOT NULL"], list[object]()
    if said.job:
        job = hash_of(said.job)
        words, values = ["d.job <> x'' AND d.job IN (?, ?)"], [job, job + POSTED_AGAIN if said.row_id else job]
    if said.recipient:
        words, values = [*words, "d.recipient = ?"], [*values, said.recipient]
    if said.row_id:
        words, values = [*words, "d.row = ?"], [*values, hash_of(said.row_id)]
    if said.batch is not None:
        words, values = [*words, "d.batch = ?"], [*values, said.batch]
    return " AND ".join(words), values
