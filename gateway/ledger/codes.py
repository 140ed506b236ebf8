"""Codes under way, in a table of their own beside the log: a code is no choice, so no entry ever tells of one.

They are kept in the ledger's file, not in memory, because a site may run several processes: the one that reads a code
need not be the one that sent it, and a restart loses nobody's. Jobs of the writer. Never holds an address, a number or
a code, only keyed hashes, and those for an hour.
"""

import hmac
from dataclasses import dataclass

from gateway.ledger.writer import Transaction

MINUTE = 60_000  # milliseconds
GOOD_FOR = 10  # minutes: long enough for slow mail, short for a guess
HOUR = 60  # minutes over which sends are counted
TRIES = 5  # of 10**8 codes: a guess succeeds once in twenty million
AN_ADDRESS = 3  # codes an hour to one mailbox or number, so that nobody can fill it


@dataclass(frozen=True, slots=True)
class Hashed:
    """One code as it is kept: whose browser asked (`ticket`), whom it went to, and what it says."""

    ticket: bytes
    address: bytes
    digest: bytes


def keep(tx: Transaction, code: Hashed, now: int, everybody: int) -> bool:
    """False where enough were sent in the last hour, to this address or to `everybody`: then nothing is sent."""
    tx.db.execute("DELETE FROM code WHERE at < ?", (now - HOUR * MINUTE,))
    to_one = tx.db.execute("SELECT count(*) FROM code WHERE address = ?", (code.address,)).fetchone()[0]
    to_all = tx.db.execute("SELECT count(*) FROM code").fetchone()[0]
    if to_one >= AN_ADDRESS or to_all >= everybody:
        return False
    row = (code.ticket, code.address, now, code.digest)
    tx.db.execute("INSERT INTO code (ticket, address, at, digest) VALUES (?, ?, ?, ?)", row)
    return True


def take_back(tx: Transaction, ticket: bytes) -> None:
    """It could not be sent, so it counts for nothing."""
    tx.db.execute("DELETE FROM code WHERE ticket = ?", (ticket,))


def enter(tx: Transaction, code: Hashed, now: int) -> int | None:
    """None for the right code, which is used up with it; otherwise how many tries are left, 0 where it is over."""
    row = tx.db.execute("SELECT address, digest, tries, at FROM code WHERE ticket = ?", (code.ticket,)).fetchone()
    if row is None or row[1] is None or row[0] != code.address or now - row[3] > GOOD_FOR * MINUTE:
        return 0
    if hmac.compare_digest(row[1], code.digest):
        tx.db.execute("UPDATE code SET digest = NULL WHERE ticket = ?", (code.ticket,))
        return None
    tries: int = row[2] + 1
    left = TRIES - tries
    tx.db.execute(
        "UPDATE code SET tries = ?, digest = iif(?, digest, NULL) WHERE ticket = ?", (tries, left > 0, code.ticket)
    )
    return left
