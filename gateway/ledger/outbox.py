"""Messages to recipients that wait to be delivered (R18): written in the transaction of the act that they tell of.

A message's body is sealed with a key of its own in the vault and goes once it was taken. Never decides who is told
what, and never sends: gateway/ledger/received.py and gateway/telling.py do.
"""

import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway import seals
from gateway.ledger.writer import Transaction

LABEL = b"outbox/1"
FIRST_PAUSE, LONGEST_PAUSE = 1_000, 3_600_000  # milliseconds: 1 s doubling to 1 h, as our own callers do (api.md)
DOUBLINGS = 12  # 2 ** 12 s are more than an hour


@dataclass(frozen=True, slots=True)
class Message:
    """`body` None: its key is gone, and with it what it said."""

    id: bytes
    recipient: str
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many messages wait for one recipient, and since when (Unix milliseconds)."""

    recipient: str
    count: int
    oldest: int


def queue(tx: Transaction, recipient: str, content: Mapping[str, object], now: int) -> None:
    """One message, due at once."""
    person, name = tx.persons.new_person(), os.urandom(16)
    assert person.details
    body = json.dumps(content, separators=(",", ":")).encode()
    sealed = seals.seal(person.details, LABEL + name, body)
    tx.db.execute(
        "INSERT INTO outbox (id, recipient, at, person, body, due) VALUES (?, ?, ?, ?, ?, ?)",
        (name, recipient, now, person.person, sealed, now),
    )


def next_due(db: sqlite3.Connection, recipients: frozenset[str]) -> int | None:
    """When the next message to one of these is due, in Unix milliseconds; None: none waits."""
    rows = db.execute("SELECT recipient, min(due) FROM outbox WHERE taken IS NULL GROUP BY recipient").fetchall()
    return min((due for recipient, due in rows if recipient in recipients), default=None)


def read(tx: Transaction, recipient: str, until: int | None = None, most: int = -1) -> list[Message]:
    """What waits for a recipient, oldest first; due by a moment, or all of it."""
    rows = tx.db.execute(
        "SELECT id, person, body FROM outbox WHERE recipient = ?1 AND taken IS NULL AND (?2 IS NULL OR due <= ?2)"
        " ORDER BY at LIMIT ?3",
        (recipient, until, most),
    ).fetchall()
    return [Message(name, recipient, _open(tx, name, person, body)) for name, person, body in rows]


def _open(tx: Transaction, name: bytes, person: bytes, sealed: bytes) -> bytes | None:
    key = tx.persons.keys(person).details
    try:
        return seals.open_seal([key], LABEL + name, sealed) if key else None
    except seals.Opening:
        return None


def taken(tx: Transaction, name: bytes, now: int) -> None:
    """Delivered: what it said is forgotten, that there was one is not."""
    tx.db.execute("UPDATE outbox SET body = NULL, person = NULL, taken = ? WHERE id = ?", (now, name))


def failed(tx: Transaction, name: bytes, now: int) -> None:
    """To be tried again, later each time."""
    (tries,) = tx.db.execute("SELECT tries FROM outbox WHERE id = ?", (name,)).fetchone()
    pause = min(FIRST_PAUSE * 2 ** min(tries, DOUBLINGS), LONGEST_PAUSE)
    tx.db.execute("UPDATE outbox SET tries = tries + 1, due = ? WHERE id = ?", (now + pause, name))


def waiting(tx: Transaction) -> list[Waiting]:
    """By recipient."""
    rows = tx.db.execute(
        "SELECT recipient, count(*), min(at) FROM outbox WHERE taken IS NULL GROUP BY recipient ORDER BY recipient"
    )
    return [Waiting(*row) for row in rows]
