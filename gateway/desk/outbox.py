"""Messages to recipients that wait to be delivered (R18): written in the transaction of the act that they tell of.
Beside them what is known of recipients' endpoints (which generation of its secret signs, whether its owner gave it up)
and the signed tokens by which recipients acknowledged deletions, sealed, none taken twice.

A message's body is sealed with a key of its own in the vault and goes once it was taken. Never decides who is told
what, and never sends: gateway/desk/recipients_to_tell.py and gateway/consent/telling.py do.
"""

import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

from gateway.ledger.subjects import milliseconds, moment
from gateway.ledger.transaction import Transaction
from gateway.terms import DAY_MS

LABEL = b"outbox/1"
LISTED = (
    "SELECT id, recipient, word, state, tries, answer, at, coalesce(received, at), due, tried, taken, last FROM outbox"
    " LEFT JOIN system_order ON message = id"
)

ASKED_BY = "INSERT INTO deletion_message SELECT ?, id FROM deletion_message WHERE message = ?"  # of a state's list
FARTHEST = 2 * DAY_MS  # no pause is as long: what is due later was dated by a clock that was ahead
DUE = ("due <= ?", "due > ?")  # the two ends of one index, each looked up by itself


class State(StrEnum):
    """What became of a message."""

    PENDING = "pending"
    DELIVERED = "delivered"  # taken by the recipient, or by the desk for it
    FAILED = "failed"  # given up: the officer's


class OutboxKind(Enum):
    """Which messages go by a way; the value is the end of a condition."""

    ANY = ""
    DELETES = " AND word = 'delete'"
    OTHERS = " AND word <> 'delete'"


@dataclass(frozen=True, slots=True)
class Message:
    """`body` None: its key is gone, and with it what it said. `tries`: how many failed so far."""

    id: bytes
    recipient: str
    word: str
    tries: int
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """A message without what it says. Times are Unix milliseconds: written, received (the request), due, last tried,
    taken, and the last moment where the request has one of its own. `answer`: what came of the last try.
    """

    id: bytes
    recipient: str
    word: str
    state: State
    tries: int
    answer: str
    at: int
    received: int
    due: int
    tried: int | None
    taken: int | None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many messages of one kind are open for one recipient whose requests came on one day, and since when (Unix
    milliseconds). `last`: see `Listed`.
    """

    recipient: str
    word: str
    state: State
    received: int
    count: int
    last: int | None = None


def queue(
    tx: Transaction,
    recipient: str,
    content: Mapping[str, object],
    now: int,
    *,
    received: int | None = None,
    word: str = "",
    last: datetime | None = None,
) -> None:
    """One message, due at once. `received`: when the request came, where that was earlier. `word`: what it asks for,
    where it does not say so itself. `last`: the last moment, where the request has one of its own.
    """
    person, name = tx.persons.new_person(), os.urandom(16)
    body = json.dumps(content, separators=(",", ":")).encode()
    sealed = person.seal(LABEL + name, body)
    tx.db.execute(
        "INSERT INTO outbox (id, recipient, at, person, body, due, word, received) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (name, recipient, now, person.person, sealed, now, word or content["type"], received),
    )
    if last:
        tx.db.execute("INSERT INTO system_order VALUES (?, NULL, ?)", (name, milliseconds(last)))
    tx.queued.append(name)


def is_due(db: sqlite3.Connection, recipient: str, now: int, kind: OutboxKind = OutboxKind.ANY) -> bool:
    """Whether a message is due at a moment in Unix milliseconds."""
    return db.execute(f"{_either_end('1', kind)} LIMIT 1", _ends(recipient, now)).fetchone() is not None


def read_messages(
    tx: Transaction, recipient: str, until: int | None = None, most: int = -1, kind: OutboxKind = OutboxKind.ANY
) -> list[Message]:
    """What is pending for a recipient, oldest first; due by a moment, or all that is open, given up or not."""
    what = "id, person, body, word, tries, at"
    if until is None:
        sql = f"SELECT {what} FROM outbox WHERE recipient = ? AND state <> 'delivered'{kind.value}"  # noqa: S608 - ours
        values: tuple[str | int, ...] = (recipient,)
    else:
        sql, values = _either_end(what, kind), _ends(recipient, until)
    rows = tx.db.execute(f"{sql} ORDER BY at LIMIT ?", (*values, most)).fetchall()
    return [
        Message(name, recipient, word, tries, tx.persons.keys(person).open(LABEL + name, sealed))
        for name, person, sealed, word, tries, _ in rows
    ]


def _either_end(what: str, kind: OutboxKind) -> str:
    """What is due by a moment, and what is dated farther ahead than any pause."""
    each = "SELECT {what} FROM outbox WHERE recipient = ? AND state = 'pending' AND {due}{kind}"
    return " UNION ALL ".join(each.format(what=what, due=due, kind=kind.value) for due in DUE)


def _ends(recipient: str, moment: int) -> tuple[str | int, ...]:
    return (recipient, moment, recipient, moment + FARTHEST)


def read_body(tx: Transaction, name: bytes) -> bytes | None:
    """What one message says; None: nobody can read it any more."""
    person, sealed = tx.db.execute("SELECT person, body FROM outbox WHERE id = ?", (name,)).fetchone()
    return tx.persons.keys(person).open(LABEL + name, sealed)


def taken(tx: Transaction, name: bytes, now: int, answer: str = "") -> None:
    """Delivered: what it said is forgotten, that there was one is not."""
    tx.db.execute(
        "UPDATE outbox SET body = NULL, person = NULL, state = 'delivered', taken = ?1, tried = ?1, answer = ?2,"
        " tries = tries + 1 WHERE id = ?3",
        (now, answer, name),
    )


def failed(tx: Transaction, name: bytes, now: int, due: int | None, answer: str) -> None:
    """Tried in vain: to be tried again when it is due, or given up."""
    state = State.FAILED if due is None else State.PENDING
    tx.db.execute(
        "UPDATE outbox SET tries = tries + 1, tried = ?, state = ?, due = ?, answer = ? WHERE id = ? AND"
        " state <> 'delivered'",
        (now, state, now if due is None else due, answer, name),
    )


def put_off(tx: Transaction, recipient: str, until: int, kind: OutboxKind = OutboxKind.ANY) -> None:
    """A receiver that asked for a pause, or is away, gets none of what else is due before it."""
    sql = f"UPDATE outbox SET due = ? WHERE recipient = ? AND state = 'pending'{kind.value}"  # noqa: S608 - ours
    tx.db.execute(f"{sql} AND {DUE[0]}", (until, recipient, until))
    tx.db.execute(f"{sql} AND {DUE[1]}", (until, recipient, until + FARTHEST))


def give_up(tx: Transaction, recipient: str, answer: str, kind: OutboxKind = OutboxKind.ANY) -> int:
    """All that is pending for a recipient becomes the officer's. Returns how many."""
    sql = f"UPDATE outbox SET state = 'failed', answer = ? WHERE recipient = ? AND state = 'pending'{kind.value}"  # noqa: S608 - ours
    return tx.db.execute(sql, (answer, recipient)).rowcount


SAID = "SELECT o.at, o.received, s.last FROM outbox o LEFT JOIN system_order s ON s.message = o.id WHERE o.id = ?"


def split_deletions(tx: Transaction, recipient: str, now: int) -> None:
    """Deletions of several identifiers become one for each: some ways take one at a time."""
    for message in read_messages(tx, recipient, now, kind=OutboxKind.DELETES):
        content = json.loads(message.body or b"{}")
        listed = content.get("identifiers", [])
        if len(listed) > 1:
            at, received, stated = tx.db.execute(SAID, (message.id,)).fetchone()
            last = None if stated is None else moment(stated)
            for each in listed:
                queue(tx, recipient, {**content, "identifiers": [each]}, at, received=received, last=last)
                tx.db.execute(ASKED_BY, (tx.queued[-1], message.id))
            tx.db.execute("DELETE FROM deletion_message WHERE message = ?", (message.id,))
            tx.db.execute("DELETE FROM system_order WHERE message = ?", (message.id,))
            tx.db.execute("DELETE FROM outbox WHERE id = ?", (message.id,))


def again(tx: Transaction, now: int, *, recipient: str = "", name: bytes = b"") -> int:
    """Whatever is open of a recipient, or one message, is due at once, as if it were new. Returns how many."""
    return tx.db.execute(
        "UPDATE outbox SET state = 'pending', due = ?, tries = 0 WHERE state <> 'delivered'"
        " AND (recipient = ? OR id = ?)",
        (now, recipient, name),
    ).rowcount


def waiting(db: sqlite3.Connection) -> list[Waiting]:
    """What is open, by recipient, word, state and the day (UTC) on which the request came."""
    rows = db.execute(
        "SELECT recipient, word, state, min(coalesce(received, at)), count(*), last FROM outbox"
        " LEFT JOIN system_order ON message = id WHERE state <> 'delivered'"
        " GROUP BY recipient, word, state, coalesce(received, at) / 86400000, last ORDER BY 1, 2, 3, 4"
    )
    return [Waiting(recipient, word, State(state), *more) for recipient, word, state, *more in rows]


def listed(db: sqlite3.Connection, state: State, most: int) -> list[Listed]:
    """Messages of one state, the oldest request first; of delivered ones the newest."""
    order = "taken DESC" if state is State.DELIVERED else "coalesce(received, at), at"
    rows = db.execute(f"{LISTED} WHERE state = ? ORDER BY {order} LIMIT ?", (state, most))
    return [Listed(name, to, word, State(now), *more) for name, to, word, now, *more in rows]


TOKEN_LABEL = b"acknowledged/1"


def keep_deletion_token(tx: Transaction, message: bytes, recipient: str, jti: str, token: str, now: int) -> bool:
    """Whether this is the first acknowledgement of that id from this recipient; then it is kept."""
    if tx.db.execute("SELECT 1 FROM acknowledged WHERE recipient = ? AND jti = ?", (recipient, jti)).fetchone():
        return False
    person = tx.persons.new_person()
    sealed = person.seal(TOKEN_LABEL + message, token.encode())
    tx.db.execute(
        "INSERT INTO acknowledged VALUES (?, ?, ?, ?, ?, ?)", (message, recipient, jti, now, person.person, sealed)
    )
    return True


def deletion_tokens(tx: Transaction, message: bytes) -> list[str]:
    """Those of one message, oldest first."""
    rows = tx.db.execute("SELECT person, sealed FROM acknowledged WHERE message = ? ORDER BY at", (message,)).fetchall()
    found = [tx.persons.keys(person).open(TOKEN_LABEL + message, sealed) for person, sealed in rows]
    return [token.decode() for token in found if token is not None]


OLD_TOKENS = """
UPDATE acknowledged SET sealed = NULL WHERE (recipient, jti) IN (
  SELECT recipient, jti FROM acknowledged WHERE at < ? AND sealed IS NOT NULL LIMIT ?)
"""


def prune_deletion_tokens(tx: Transaction, before: int, most: int) -> int:
    """Tokens of before a moment in Unix milliseconds go; that there was one stays. Returns how many, of so many."""
    return tx.db.execute(OLD_TOKENS, (before, most)).rowcount


OVERLAP_DAYS = 14  # an older secret signs beside the newer one for so long


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`generations` of the secret that sign now, the newest first. `gone`: the address that answered 410."""

    generations: tuple[int, ...] = (0,)
    gone: str = ""


def read_endpoint(tx: Transaction, recipient: str, now: int) -> Endpoint:
    """As of a moment in Unix milliseconds."""
    row = tx.db.execute("SELECT generation, rotated, gone FROM endpoint WHERE recipient = ?", (recipient,)).fetchone()
    if row is None:
        return Endpoint()
    generation, rotated, gone = row
    both = rotated is not None and now < rotated + OVERLAP_DAYS * DAY_MS
    return Endpoint((generation, generation - 1) if both else (generation,), gone or "")


def rotate_secret(tx: Transaction, recipient: str, now: int) -> int:
    """A newer secret signs, the one before it beside it for the overlap. Returns its generation."""
    tx.db.execute(
        "INSERT INTO endpoint (recipient, generation, rotated) VALUES (?1, 1, ?2) ON CONFLICT (recipient) DO UPDATE SET"
        " generation = endpoint.generation + 1, rotated = ?2",
        (recipient, now),
    )
    return read_endpoint(tx, recipient, now).generations[0]


def note_endpoint_gone(tx: Transaction, recipient: str, endpoint: str, now: int) -> None:
    """The endpoint answered 410: nothing is posted to that address any more."""
    tx.db.execute(
        "INSERT INTO endpoint (recipient, gone, gone_at) VALUES (?1, ?2, ?3) ON CONFLICT (recipient) DO UPDATE SET"
        " gone = ?2,"
        " gone_at = ?3",
        (recipient, endpoint, now),
    )


def take_endpoint_back(tx: Transaction, recipient: str) -> None:
    """It is tried again: the officer said so, or the configuration names another address."""
    tx.db.execute("UPDATE endpoint SET gone = NULL, gone_at = NULL WHERE recipient = ?", (recipient,))


def endpoints_gone(db: sqlite3.Connection) -> dict[str, str]:
    """The addresses that were given up, by recipient."""
    return dict(db.execute("SELECT recipient, gone FROM endpoint WHERE gone IS NOT NULL").fetchall())
