"""The access report: what is held about somebody, and who received what and when (R5, R12; 1798.110, 1798.115).

Reads only, in two steps: `read` takes the rows that the proved identifiers open, `unseal` opens their details with
keys that the writer's thread has. Nothing in it tells of anybody else, nor which account has a number.

`windows` says what may be shown to somebody who proved some identifiers: which keys, and of which time. Of an
identifier itself: everything, but of a number or a mailbox nothing from before it was last given back, came to its
present account or left its last one: that may be another person's. Of a proved account: also what it had, while it had
it and no other account did; what only an app's word ties to it is not among that. From nothing else does a way lead on:
a number's holder does not learn which account has it, and on a shared tablet one account's report never shows
another's.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from gateway.desk import disclosures, documents, recipient_holdings
from gateway.desk.documents import Document
from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys
from gateway.ledger.acts.folded_people import Relations
from gateway.ledger.acts.holders import (
    ERASED,
    Had,
    changed_hands,
    kind_of,
    last_before,
    released_since,
    shown_since,
    spans_of,
)
from gateway.ledger.acts.links import Span
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.side import Mention
from gateway.ledger.store import Store, ledger_snapshot
from gateway.ledger.subjects import Subject, milliseconds, moment, open_boxes
from gateway.terms import ChoiceKind, Source


@dataclass(frozen=True, slots=True)
class Window:
    """A key, from an entry's number on and for a time, but for the times when others had it too."""

    key: bytes
    since: int
    span: Span
    others: tuple[Span, ...] = ()

    def shows(self, seq: int, at: int) -> bool:
        """Whether what happened at a moment, in Unix milliseconds, may be shown."""
        return seq >= self.since and self.span.live(at) and not any(span.live(at) for span in self.others)


def windows(db: sqlite3.Connection, subject: Subject, now: int) -> list[Window]:
    """Everything that proof of one identifier opens."""
    names = _names(db, subject.keys)
    start = changed_hands(db, names, now)
    own = [Window(name, shown_since(db, name, now), Span(start)) for name in names]
    if not subject.is_account:
        return own
    return own + [
        window for had in things_of(db, subject.key, now) for window in _through(db, subject.key, had.shown(), now)
    ]


def _erased(db: sqlite3.Connection, key: bytes) -> int:
    """The entry from which on a key shows anything, after an erasure (R19)."""
    row = db.execute(ERASED, (key,)).fetchone()
    return row[0] if row else 0


def things_of(db: sqlite3.Connection, account: bytes, now: int) -> list[Had]:
    """What an account has or had, each time that it did."""
    return [had for had in spans_of(db, "account", account) if had.span.start <= now]


def _through(db: sqlite3.Connection, account: bytes, had: Had, now: int) -> list[Window]:
    """A link may be told to have begun before its number was given back by somebody else: nothing crosses that."""
    names = _names(db, [had.key])
    others = [each for name in names for each in spans_of(db, "identifier", name, without=account)]
    start = max(released_since(db, name, had.seq) for name in names)
    gone = max(_erased(db, account), *(_erased_of(db, name, had, others, now) for name in names))
    return [Window(name, max(start, gone), had.span, tuple(each.span for each in others)) for name in names]


def _erased_of(db: sqlite3.Connection, name: bytes, had: Had, others: Iterable[Had], now: int) -> int:
    """The same of who had it: what somebody else forgot, since they had it too, takes nothing from who had it before.
    Told by places in the log: a clock may have been ahead. Only what waited is passed over, which no erasure ever does.
    """
    gone = _erased(db, name)

    def place(at: int) -> int:
        return last_before(db, at, now, lambda first, end: not first < gone <= end + 1) + 1

    begun = [(each.shown().span.start, each) for each in others] if gone else []
    since = [each.seq if at == each.at else place(at) for at, each in begun if at > had.span.start]
    if gone and had.span.until is not None and had.span.until > had.span.start:
        since.append(place(had.span.until))
    return gone if gone <= min(since, default=gone) else 0


def _names(db: sqlite3.Connection, keys: Sequence[bytes]) -> list[bytes]:
    """An identifier's key and those of its digests. A looser form may be somebody else's and is left out."""
    told = Relations(db, Mention.NAME)
    told.read(keys[:1])
    return list(dict.fromkeys([*keys, *told.names[keys[0]]]))


# Which account has what is not shown by the identifier, but by the account's own list of what it has.
NOT_SHOWN = frozenset({ChoiceKind.LINKED, ChoiceKind.UNLINKED, ChoiceKind.NUMBER_RELEASED})
ENTRIES = f"""
SELECT d.seq, d.at, d.event, d.kind, d.person, d.sealed, d.received, {BODY}
FROM detail d{JOINED} WHERE d.key = ? AND d.seq >= ?
AND ({BODY} IS NOT NULL OR NOT EXISTS (SELECT 1 FROM link_event l WHERE l.seq = d.seq)) ORDER BY d.seq
"""  # noqa: S608 - the pieces are ours
DISCLOSED = (
    "SELECT recipient, row, batch, purpose, classes, at, outcome FROM disclosure"
    " WHERE key = ? AND batch >= ? AND outcome <> 'not_sent'"
)
# An identifier that left with a row which is kept under another name of that row (desk/recipient_holdings.py); the
# last time of it.
LEFT_BESIDE = (
    "SELECT h.recipient, h.id, k.first, k.batch, k.purposes, k.classes, k.at"
    " FROM held_key k JOIN held h ON h.id = k.held WHERE k.key = ? AND h.named = k.key AND k.batch >= ?"
)

INFORMED = f"""{recipient_holdings.EACH_INFORMED}
SELECT at, recipient, word, size FROM each_one CROSS JOIN informed ON recipient = name WHERE named = ? AND at <= ?
  AND word <> '{recipient_holdings.KEPT}'
"""  # noqa: S608 - ours

AS_THEY_ARE = frozenset({disclosures.SENT, disclosures.POSSIBLE})


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry about the person. `kind` of identifier; `details` are empty where they were forgotten."""

    seq: int
    event: bytes
    at: datetime
    kind: str
    leaf: Mapping[str, Any]
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Received:
    """What one recipient got on one day (UTC). `outcome`: sent; unknown where nobody can tell whether it arrived; or
    possible: it was allowed, and nobody said whether it was sent (R22).
    """

    recipient: str
    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    outcome: str
    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Linked:
    """Something that a proved account has or had."""

    kind: str
    start: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class RecipientTold:
    """A recipient that was to be told of what somebody said: the word, and when last."""

    recipient: str
    word: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AccessReport:
    """`texts`: the documents that the entries name, by their hash as entries have it."""

    entries: tuple[Entry, ...]
    received: tuple[Received, ...]
    linked: tuple[Linked, ...]
    texts: Mapping[str, Document]

    @property
    def sources(self) -> list[str]:
        """Where what is known was said."""
        return sorted({str(entry.leaf["src"]) for entry in self.entries if entry.leaf.get("src")})

    @property
    def age_band(self) -> str | None:
        """The last one that was said of this person."""
        said = [entry.details.get("band") for entry in self.entries if entry.leaf.get("e") == ChoiceKind.AGE]
        return next((str(band) for band in reversed(said) if band), None)

    def as_of(self, until: datetime) -> "AccessReport":
        """Without what came after the end of a day."""
        entries = tuple(entry for entry in self.entries if entry.at <= until)
        ended = (
            replace(each, until=each.until if each.until and each.until <= until else None) for each in self.linked
        )
        named = {entry.leaf.get("n") for entry in entries}
        return AccessReport(
            entries,
            tuple(each for each in self.received if each.first <= until),
            tuple(each for each in ended if each.start <= until),
            {name: text for name, text in self.texts.items() if name in named},
        )


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """What `read` found: the rows of the entries, and the report without those."""

    rows: tuple[tuple[Any, ...], ...] = field(repr=False)
    report: AccessReport

    @property
    def persons(self) -> set[bytes]:
        return {row[4] for row in self.rows}


def read_access(store: Store, subjects: Sequence[Subject], now: datetime) -> SealedEntry:
    """Raises `StoreUnavailable` where the ledger cannot be read."""
    at = milliseconds(now)
    with ledger_snapshot(store) as db:
        opened = [window for subject in subjects for window in windows(db, subject, at)]
        rows = _rows(db, opened)
        texts = _texts(db, {json.loads(row[7]).get("n") for row in rows})
        return SealedEntry(rows, AccessReport((), _received(db, opened), _linked(db, subjects, at), texts))


def read_told(store: Store, subjects: Sequence[Subject], now: datetime, until: datetime) -> tuple[RecipientTold, ...]:
    """Whom a message was written for until a moment, of what these identifiers said or was said for them, the oldest
    first. Of several messages of one word the last alone is on record: whoever was told again since is not among these.
    Raises `StoreUnavailable`.
    """
    found = set[tuple[int, str, str]]()
    with ledger_snapshot(store) as db:
        for window in (each for subject in subjects for each in windows(db, subject, milliseconds(now))):
            rows = db.execute(INFORMED, (window.key, milliseconds(until)))
            found |= {(at, recipient, word) for at, recipient, word, size in rows if window.shows(size, at)}
    return tuple(RecipientTold(recipient, word, moment(at)) for at, recipient, word in sorted(found))


def unseal_access(found: SealedEntry, keys: Mapping[bytes, PersonKeys]) -> AccessReport:
    """The report, with the details that can still be opened."""
    entries = (_entry(row, keys[row[4]]) for row in found.rows)
    own = tuple(entry for entry in entries if "said" not in entry.details)  # the mark of a reading, in a pruned one
    return replace(found.report, entries=own)


def _rows(db: sqlite3.Connection, windows: Iterable[Window]) -> tuple[tuple[Any, ...], ...]:
    """Each entry once, oldest first. One whose body is no longer kept shows its identifier, time and details."""
    found: dict[int, tuple[Any, ...]] = {}
    for window in windows:
        for *row, body in db.execute(ENTRIES, (window.key, window.since)):
            shown = window.shows(row[0], row[1])
            if shown and not _hidden(json.loads(body or b"{}")):
                found[row[0]] = (*row, body or b"{}")
    return tuple(found[seq] for seq in sorted(found))


def _hidden(leaf: Mapping[str, Any]) -> bool:
    """Of links, and of what was said of a number that may be this one too: that is another person's, or nobody's."""
    return leaf.get("e") in NOT_SHOWN or leaf.get("src") == Source.READING


def _entry(row: tuple[Any, ...], person: PersonKeys) -> Entry:
    seq, at, event, kind, _, sealed, received, body = row
    details = json.loads(open_boxes(person, event, sealed, None).details or b"{}")
    if received is not None:
        details.setdefault("received", moment(received).isoformat())
    return Entry(seq, event, moment(at), kind, json.loads(body), details)


def _texts(db: sqlite3.Connection, hashes: set[str | None]) -> dict[str, Document]:
    found = {name: documents.read_document(db, seals.unb64(name)) for name in sorted(filter(None, hashes))}
    return {name: document for name, document in found.items() if document}


def _received(db: sqlite3.Connection, windows: Sequence[Window]) -> tuple[Received, ...]:
    found: dict[tuple[Any, ...], Received] = {}
    for one in (*_one_by_one(db, windows), *_counted(db, windows)):
        cell = (one.first.date(), one.recipient, one.purposes, one.classes, one.outcome)
        before = found.get(cell)
        found[cell] = (
            one
            if before is None
            else replace(
                one, first=min(before.first, one.first), last=max(before.last, one.last), count=before.count + one.count
            )
        )
    return tuple(found[cell] for cell in sorted(found))


def _one_by_one(db: sqlite3.Connection, windows: Sequence[Window]) -> Iterator[Received]:
    """Rows of shares and announced sends, each once however many of its names were proved. A row is kept under the
    first name that it had: of the others it is known that they left with it, and nothing of what became of it.
    """
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for window in windows:
        for row in db.execute(DISCLOSED, (window.key, window.since)):
            if window.shows(row[2], row[5]):
                rows[row[:3]] = row[3:]
    for (recipient, _, _), (purpose, classes, at, outcome) in rows.items():
        known = outcome if outcome in AS_THEY_ARE else disclosures.UNKNOWN  # intended and never marked likewise
        yield Received(recipient, split_words(purpose), split_words(classes), known, moment(at), moment(at), 1)
    told = {(recipient, batch) for recipient, _, batch in rows}
    for (recipient, batch), (purposes, classes, at) in _beside(db, windows):
        if (recipient, batch) not in told:
            told.add((recipient, batch))
            when = moment(at)
            yield Received(recipient, split_words(purposes), split_words(classes), disclosures.UNKNOWN, when, when, 1)


def _beside(
    db: sqlite3.Connection, windows: Sequence[Window]
) -> Iterator[tuple[tuple[str, int], tuple[str, str, int]]]:
    """What left under another name: recipient and batch, and purposes, classes, when."""
    for window in windows:
        found = db.execute(LEFT_BESIDE, (window.key, window.since)).fetchall()
        for recipient, number, first, batch, purposes, classes, at in found:
            if window.shows(batch, at) and recipient_holdings.may_have_left(db, recipient, number, first):
                yield (recipient, batch), (purposes, classes, at)


def _counted(db: sqlite3.Connection, windows: Iterable[Window]) -> Iterator[Received]:
    """Days of checks and bid requests; one that reaches over a window's edge is shown on neither side of it."""
    rows: set[tuple[Any, ...]] = set()
    for window in windows:
        for row in db.execute(disclosures.SHOWN, (window.key, window.since)):
            if window.shows(row[-1], row[4]) and window.shows(row[-1], row[5]):
                rows.add((window.key, *row))
    for _, recipient, purpose, classes, outcome, first, last, count, _ in rows:
        known = disclosures.SENT if outcome == disclosures.DESPITE_NO else outcome
        yield Received(recipient, split_words(purpose), split_words(classes), known, moment(first), moment(last), count)


def split_words(joined: str) -> tuple[str, ...]:
    """The words of a column that holds several, with commas between."""
    return tuple(filter(None, joined.split(",")))


def _linked(db: sqlite3.Connection, subjects: Sequence[Subject], now: int) -> tuple[Linked, ...]:
    accounts = [subject for subject in subjects if subject.is_account]
    return tuple(
        Linked(kind_of(db, had.key), moment(had.span.start), moment(had.span.until) if had.span.until else None)
        for account in accounts
        for had in things_of(db, account.key, now)
    )
