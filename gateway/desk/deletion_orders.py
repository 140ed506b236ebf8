"""What becomes of each request of a state's deletion list that stands: whom it means here, who is told to delete, what
the state is answered. `gateway drop` calls it; the no was said when the list was taken (`ledger.acts.deletion_lists`).

Everybody whom the digest means is looked for in each cycle, by what is known by then. Whoever has an account is the
officer's to decide on, and recipients that have something of them are told of the no. Of whoever has none everything is
deleted that is kept of what left, and each recipient of it is told to delete; only once all have taken that is the
answer `deleted`, never for our own erasure alone. An identifier that several accounts have is nobody's alone: all are
opted out. Whoever merely said no before is nobody: what is kept of that is what a no needs.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from gateway.choice.deletion_list import DeletionStatus
from gateway.choice.deletion_periods import Fetched
from gateway.desk import recipient_holdings, suppression
from gateway.desk.forgetting.erasure import ErasureOrder, erase
from gateway.desk.recipient_holdings import Held
from gateway.desk.recipients_to_tell import LEFT, got_under, pass_on
from gateway.fold.kin import edges_of, family, roads
from gateway.fold.state import Slate
from gateway.ledger.acts.folded_people import people_of
from gateway.ledger.acts.releases import released_since
from gateway.ledger.schema import rows_of
from gateway.ledger.subjects import Choice, Subject, milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import ALL_PURPOSES, ChoiceKind, Erasing, Source


class Matched(StrEnum):
    """Whom a request means here."""

    NOBODY = ""
    ACCOUNT = "account"
    SEVERAL = "several"  # accounts
    ORDERED = "ordered"  # no account: everything is to be deleted, and whoever got any of it was told


PAGE = 500  # digests that are looked at in one transaction's turn
DIGEST = "digest"  # the kind of an identifier that is known by its key alone
# Of most digests nothing is known but the request itself, which one place of the log mentions.
CANDIDATES = """
SELECT DISTINCT r.key FROM deletion_row r WHERE r.key > ? AND r.gone IS NULL AND r.decided IS NULL
AND r.matched <> 'ordered' AND (
  r.matched <> '' OR (SELECT count(*) FROM (SELECT 1 FROM about a WHERE a.key = r.key LIMIT 2) AS two) > 1
  OR EXISTS (SELECT 1 FROM held_key h WHERE h.key = r.key)
  OR EXISTS (SELECT 1 FROM disclosure d WHERE d.key = r.key) OR EXISTS (SELECT 1 FROM disclosed d WHERE d.key = r.key))
ORDER BY r.key LIMIT ?
"""
OF_KEY = "SELECT id, matched FROM deletion_row WHERE key = ? AND gone IS NULL"
# What is ordered for one stays so, whoever is found later.
MATCH = (
    "UPDATE deletion_row SET matched = ? WHERE key = ? AND gone IS NULL AND decided IS NULL AND matched <> 'ordered'"
)
ASKS = "INSERT OR IGNORE INTO deletion_message VALUES (?, ?)"
ASKED = "SELECT message FROM deletion_message WHERE id IN ({marks})"
TOLD = "SELECT recipient FROM outbox WHERE id IN ({marks})"
# None: it is open.
STATUS = """
CASE WHEN r.decided IS NOT NULL THEN r.decided WHEN r.matched = '' THEN 5 WHEN r.matched = 'several' THEN 4
WHEN r.matched = 'ordered' AND EXISTS (SELECT 1 FROM deletion_message m WHERE m.id = r.id) AND NOT EXISTS (
  SELECT 1 FROM deletion_message m LEFT JOIN outbox o ON o.id = m.message
  WHERE m.id = r.id AND coalesce(o.state, '') <> 'delivered') THEN 3 END
"""
# Which requests: what was never answered, what is answered otherwise now, the last answer once more, what is open.
FRESH, AMENDED = "r.answered IS NULL", "r.answered <> status"
AGAIN, STILL_OPEN = "r.answered_at = (SELECT max(answered_at) FROM deletion_row)", "status IS NULL"
ROWS = f"""
SELECT b.file, r.id, {STATUS} AS status, r.answered, r.matched, b.received, b.place
FROM deletion_row r JOIN deletion_batch b ON b.seq = r.seq WHERE r.gone IS NULL AND {{which}}
ORDER BY b.file, r.id
"""  # noqa: S608 - ours
FETCHED = """
SELECT b.place, b.received, coalesce(sum(o.open), 0) FROM deletion_batch b LEFT JOIN (
  SELECT seq, count(*) AS open FROM deletion_row WHERE gone IS NULL AND answered IS NULL GROUP BY seq
) o ON o.seq = b.seq GROUP BY b.place, b.received
"""
COUNTS = f"""
SELECT b.place, b.kind, count(*), count(r.answered), count(CASE WHEN {STATUS} IS NULL THEN 1 END)
FROM deletion_row r JOIN deletion_batch b ON b.seq = r.seq WHERE r.gone IS NULL GROUP BY b.place, b.kind
"""  # noqa: S608 - ours


class AnswerRow(NamedTuple):
    """One request. `status` None: it is open, and `matched` says for whom."""

    file: str
    id: str
    status: int | None
    matched: Matched
    received: date
    place: str


class ListCount(NamedTuple):
    """Of one kind of one state's lists how many requests stand, are answered, are open."""

    place: str
    kind: str
    standing: int
    answered: int
    open: int


class NotDecided(Exception):
    """An officer's word that cannot be taken. The text says why."""


def candidates(db: sqlite3.Connection, after: bytes = b"") -> list[bytes]:
    """The next digests behind one of which more is known than that a list has them."""
    return [key for (key,) in db.execute(CANDIDATES, (after, PAGE))]


def look_all(tx: Transaction, keys: Sequence[bytes], at: datetime) -> list[Matched]:
    """As `look`, of several."""
    return [look(tx, key, at) for key in keys]


def look(tx: Transaction, key: bytes, at: datetime) -> Matched:
    """Whom a digest means now, for all requests of it; and whoever has to be told is told, once."""
    found = tx.db.execute(OF_KEY, (key,)).fetchall()
    slate = people_of(tx, [key]).slate()
    names = family(slate, key)
    if _is_linked(slate, names) or _left_with_accounts(tx, names):
        matched = Matched.SEVERAL if len(roads(slate, names)) > 1 else Matched.ACCOUNT
        choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, Source.DROP, at)
        pass_on(tx, Subject(DIGEST, "", (key,)), choice, unknown=False)
    elif any(before == Matched.ORDERED for _, before in found) or [*rows_of(tx.db, LEFT, names)]:
        matched = Matched.ORDERED
        _order(tx, key, [id_ for id_, _ in found], at)
    else:
        matched = Matched.NOBODY
    tx.db.execute(MATCH, (matched, key))
    return matched


def _is_linked(slate: Slate, names: Iterable[bytes]) -> bool:
    return any(edge.lives() for *_, edge in edges_of(slate, names))


def _left_with_accounts(tx: Transaction, names: Iterable[bytes]) -> bool:
    """Whether an account has what left under these names: whoever is told to delete would delete theirs."""
    others = {each.named for each in _held(tx, names)}.difference(names)
    slate = people_of(tx, others).slate() if others else None
    return slate is not None and _is_linked(slate, set[bytes]().union(*(family(slate, each) for each in others)))


def _held(tx: Transaction, names: Iterable[bytes]) -> list[Held]:
    return [each for name in names for each in recipient_holdings.under(tx, name, released_since(tx.db, name))]


def _order(tx: Transaction, key: bytes, ids: Sequence[str], at: datetime) -> None:
    """Everything that is kept of what left is forgotten, and whoever got it told to delete it; what is asked for one
    request of a digest is asked for all.
    """
    known, got = len(tx.queued), set[str]()
    if left := [each for (each,) in rows_of(tx.db, LEFT, family(people_of(tx, [key]).slate(), key))]:
        got = {each.recipient for name in left for each in got_under(tx, name, released_since(tx.db, name))}
        for held in _held(tx, left):
            for kind, value in recipient_holdings.open_held(tx, held.recipient, held.person, held.sealed).items():
                suppression.keep_suppression(tx, Subject(kind, value, (held.named,)))
        erase(tx, ErasureOrder(Erasing.DETAILS, [Subject(DIGEST, "", (key,))], at), os.urandom(16))
    messages = {*tx.queued[known:], *(message for (message,) in rows_of(tx.db, ASKED, ids))}
    if got.difference(recipient for (recipient,) in rows_of(tx.db, TOLD, messages)):
        messages.add(os.urandom(16))  # of a message that nobody can send: it stays open
    tx.db.executemany(ASKS, [(message, id_) for message in sorted(messages) for id_ in ids])


def decide(tx: Transaction, id_: str, status: DeletionStatus, at: datetime) -> None:
    """The officer's word on a request that means somebody. `deleted` is an order, and becomes the answer by those who
    carry it out. Raises `NotDecided`.
    """
    row = tx.db.execute("SELECT key, matched FROM deletion_row WHERE id = ? AND gone IS NULL", (id_,)).fetchone()
    if row is None:
        raise NotDecided("no such request stands")
    key, matched = row
    if matched == Matched.NOBODY:
        raise NotDecided("nobody is meant by it here, and there is nothing to decide")
    if status is not DeletionStatus.DELETED:
        tx.db.execute("UPDATE deletion_row SET decided = ? WHERE id = ? AND gone IS NULL", (status, id_))
        return
    if look(tx, key, at) is Matched.SEVERAL:
        raise NotDecided("several accounts have it, and it is not for one of them to delete: 4")
    _order(tx, key, [id_], at)
    if not tx.db.execute("SELECT 1 FROM deletion_message WHERE id = ?", (id_,)).fetchone():
        raise NotDecided("3 wants somebody who was told to delete and did; no recipient has anything of it")
    sql = "UPDATE deletion_row SET matched = ?, decided = NULL WHERE id = ? AND gone IS NULL"
    tx.db.execute(sql, (Matched.ORDERED, id_))


def answer_rows(db: sqlite3.Connection, which: str = FRESH) -> Iterator[AnswerRow]:
    """In the order of their files. What is told once more is what was told."""
    for file, id_, status, answered, matched, received, place in db.execute(ROWS.format(which=which)):
        told = answered if which == AGAIN else status
        yield AnswerRow(file, id_, told, Matched(matched), date.fromordinal(received), place)


def mark_answered(tx: Transaction, rows: Iterable[tuple[str, int]], at: datetime) -> None:
    """What the state is told of these from now on: (id, status)."""
    sql = "UPDATE deletion_row SET answered = ?, answered_at = ? WHERE id = ? AND gone IS NULL"
    tx.db.executemany(sql, [(status, milliseconds(at), id_) for id_, status in rows])


def downloads(db: sqlite3.Connection) -> list[Fetched]:
    """Each day's, with what of it is not answered."""
    return [Fetched(place, date.fromordinal(received), count) for place, received, count in db.execute(FETCHED)]


def counts(db: sqlite3.Connection) -> list[ListCount]:
    """What stands, by state and kind of list."""
    return [ListCount(*row) for row in db.execute(COUNTS)]
