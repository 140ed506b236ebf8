"""What is known of recipients' endpoints: which generation of its secret signs, and whether its owner gave it up."""

import sqlite3
from dataclasses import dataclass

from gateway.ledger.writer import Transaction

OVERLAP_DAYS = 14  # an older secret signs beside the newer one for so long
DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`generations` of the secret that sign now, the newest first. `gone`: the address that answered 410, and when."""

    generations: tuple[int, ...] = (0,)
    gone: str = ""
    gone_at: int | None = None


def read(tx: Transaction, recipient: str, now: int) -> Endpoint:
    """As of a moment in Unix milliseconds."""
    row = tx.db.execute(
        "SELECT generation, rotated, gone, gone_at FROM endpoint WHERE recipient = ?", (recipient,)
    ).fetchone()
    if row is None:
        return Endpoint()
    generation, rotated, gone, gone_at = row
    both = rotated is not None and now < rotated + OVERLAP_DAYS * DAY
    return Endpoint((generation, generation - 1) if both else (generation,), gone or "", gone_at)


def rotate(tx: Transaction, recipient: str, now: int) -> int:
    """A newer secret signs, the one before it beside it for the overlap. Returns its generation."""
    tx.db.execute(
        "INSERT INTO endpoint (recipient, generation, rotated) VALUES (?1, 1, ?2) ON CONFLICT DO UPDATE SET"
        " generation = generation + 1, rotated = ?2",
        (recipient, now),
    )
    return read(tx, recipient, now).generations[0]


def gave_up(tx: Transaction, recipient: str, endpoint: str, now: int) -> None:
    """The endpoint answered 410: nothing is posted to that address any more."""
    tx.db.execute(
        "INSERT INTO endpoint (recipient, gone, gone_at) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET gone = ?2,"
        " gone_at = ?3",
        (recipient, endpoint, now),
    )


def back(tx: Transaction, recipient: str) -> None:
    """It is tried again: the officer said so, or the configuration names another address."""
    tx.db.execute("UPDATE endpoint SET gone = NULL, gone_at = NULL WHERE recipient = ?", (recipient,))


def gone(db: sqlite3.Connection) -> dict[str, str]:
    """The addresses that were given up, by recipient."""
    return dict(db.execute("SELECT recipient, gone FROM endpoint WHERE gone IS NOT NULL").fetchall())
