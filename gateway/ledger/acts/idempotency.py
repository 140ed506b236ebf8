"""What an Idempotency-Key was answered with, kept 35 days in the transaction of the act itself, and confirm tokens
that were used. Both are jobs of the writer: the second of two equal requests waits in the queue and finds the first.
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.ledger.entry import b64
from gateway.ledger.transaction import Transaction
from gateway.terms import DAY_MS

DAYS = 35
CONFIRM_MINUTES = 15
KNOWN = "SELECT id FROM idempotency WHERE id IN ({marks})"


class Mismatch(Exception):
    """The same key came with another body, of what is no plain no."""


class Used(Exception):
    """The confirm token was used before."""


@dataclass(frozen=True, slots=True)
class RequestName:
    """SHA-256 of a caller's Idempotency-Key, and the hash under that key of the body that it came with: a bare one of a
    body that names somebody could be found by guessing, long after that person was forgotten. `bare`: as it was kept
    before, to know those again.
    """

    name: bytes
    content: bytes
    bare: bytes = b""


def named(key: str, body: bytes) -> RequestName | None:
    """None where the caller sent no key."""
    if not key:
        return None
    content = hmac.digest(key.encode(), body, "sha256")
    return RequestName(hashlib.sha256(key.encode()).digest(), content, hashlib.sha256(body).digest())


def once(
    tx: Transaction, repeat: RequestName | None, now: int, act: Callable[[], bytes], *, no: bool = False
) -> tuple[bytes, bool]:
    """(answer, replayed). `act` runs the first time only. With another body a `no` is another one, and runs too: what
    is remembered stays the first. Raises `Mismatch` of all else.
    """
    if repeat is None:
        return act(), False
    tx.done_once("DELETE FROM idempotency WHERE at < ?", (now - DAYS * DAY_MS,))
    row = None
    if repeat.name in tx.begun or tx.found_among(KNOWN, [repeat.name]):
        row = tx.db.execute("SELECT body, answer FROM idempotency WHERE id = ?", (repeat.name,)).fetchone()
    if row is None:
        answer = act()
        tx.begun[repeat.name] = False
        tx.unwritten.add("INSERT INTO idempotency VALUES (?, ?, ?, ?)", (repeat.name, repeat.content, answer, now))
        return answer, False
    if row[0] not in {repeat.content, repeat.bare}:
        if no:
            return act(), False
        raise Mismatch
    return row[1], True


def is_answered_before(tx: Transaction, repeat: RequestName | None, at: int) -> bool:
    """Whether what is remembered under a key was said before a moment."""
    name = repeat.name if repeat else b""
    return tx.db.execute("SELECT 1 FROM idempotency WHERE id = ? AND at < ?", (name, at)).fetchone() is not None


def forget_answers(tx: Transaction, entries: Iterable[tuple[bytes, int]]) -> None:
    """What was answered with one of these entries, each its event and the time of its choice, which the answer was kept
    under: they stand no more, so that the same request is a new one, and nothing leads to them.
    """
    for event, at in entries:
        rows = tx.db.execute("SELECT id, answer FROM idempotency WHERE at = ?", (at,)).fetchall()
        named = [(name,) for name, answer in rows if b64(event).encode() in answer]
        tx.db.executemany("DELETE FROM idempotency WHERE id = ?", named)


def spend(tx: Transaction, jti: str, act: bytes, now: int) -> bool:
    """Whether an assertion is used for the first time, or for the same act again (`act` empty: none is the same)."""
    said = named(f"assertion\x00{jti}", act or os.urandom(16))
    try:
        once(tx, said, now, lambda: b"")
    except Mismatch:
        return False
    return True


def use_token(tx: Transaction, token: str, now: int) -> None:
    """Marks a confirm token as used. Raises `Used`."""
    tx.db.execute("DELETE FROM confirmed WHERE at < ?", (now - 2 * CONFIRM_MINUTES * 60_000,))
    name = hashlib.sha256(token.encode()).digest()
    if not tx.db.execute("INSERT INTO confirmed VALUES (?, ?) ON CONFLICT DO NOTHING", (name, now)).rowcount:
        raise Used
