"""Codes under way, in a table of their own beside the log: a code is no choice, so no entry ever tells of one.

They are kept in the ledger's file, not in memory, because a site may run several processes: the one that reads a code
need not be the one that sent it, and a restart loses nobody's. Jobs of the writer. Never holds an address, a number or
a code, only keyed hashes, and those for an hour.
"""

import hmac
from dataclasses import dataclass
from enum import Enum

from gateway.ledger.writer import Transaction

MINUTE = 60_000  # milliseconds
GOOD_FOR = 10  # minutes: long enough for slow mail, short for a guess
HOUR = 60  # minutes over which sends are counted
TRIES = 5  # of 10**8 codes: a guess succeeds once in twenty million
AN_ADDRESS = 3  # codes an hour to one mailbox or number for one use; then only where none that it has is good any more
STAYS_GOOD = 8  # minutes: an older code than that has too little of its ten left to stand in for a new one
NONE_OF_ITS_OWN = b""


@dataclass(frozen=True, slots=True)
class Hashed:
    """One code as it is kept: whose browser asked (`ticket`), whom it went to and for which use (`address`), and what
    it says.
    """

    ticket: bytes
    address: bytes
    digest: bytes


class CodeKept(Enum):
    """What is to be done for whoever asked."""

    SEND = "send"
    OLDER = "older"  # enough were sent to this address, and one of them is good: with this ticket, too
    FULL = "full"  # enough were sent to everybody


def keep(tx: Transaction, code: Hashed, now: int, everybody: int) -> CodeKept:
    """Who asks when an address was sent enough gets a ticket all the same, and enters a code that lies there: strangers
    who ask for somebody's codes keep nobody out, fill no mailbox, and see no difference.
    """
    tx.db.execute("DELETE FROM code WHERE at < ?", (now - HOUR * MINUTE,))
    if tx.db.execute("SELECT count(*) FROM code").fetchone()[0] >= everybody:
        return CodeKept.FULL
    sql = "SELECT count(*), max(iif(digest IS NOT NULL, at, 0)) FROM code WHERE address = ? AND digest IS NOT ?"
    sent, newest = tx.db.execute(sql, (code.address, NONE_OF_ITS_OWN)).fetchone()
    older = sent >= AN_ADDRESS and newest >= now - STAYS_GOOD * MINUTE
    row = (code.ticket, code.address, now, NONE_OF_ITS_OWN if older else code.digest)
    tx.db.execute("INSERT INTO code (ticket, address, at, digest) VALUES (?, ?, ?, ?)", row)
    return CodeKept.OLDER if older else CodeKept.SEND


def take_back(tx: Transaction, ticket: bytes) -> None:
    """It could not be sent, so it counts for nothing."""
    tx.db.execute("DELETE FROM code WHERE ticket = ?", (ticket,))


def enter(tx: Transaction, code: Hashed, now: int) -> int | None:
    """None for a code that was sent to this address for this use and was not used, whoever had asked for it, which is
    used up with it; otherwise how many tries are left with this ticket, 0 where it is over.
    """
    row = tx.db.execute("SELECT address, digest, tries, at FROM code WHERE ticket = ?", (code.ticket,)).fetchone()
    since = now - GOOD_FOR * MINUTE
    if row is None or row[1] is None or row[0] != code.address or row[3] < since:
        return 0
    sql = "SELECT ticket, digest FROM code WHERE address = ? AND at >= ? AND digest <> ?"
    there = tx.db.execute(sql, (code.address, since, NONE_OF_ITS_OWN)).fetchall()
    right = [ticket for ticket, digest in there if hmac.compare_digest(digest, code.digest)]
    if right:
        used = [(ticket,) for ticket in {code.ticket, *right}]
        tx.db.executemany("UPDATE code SET digest = NULL WHERE ticket = ?", used)
        return None
    tries: int = row[2] + 1
    left = TRIES - tries
    tx.db.execute(
        "UPDATE code SET tries = ?, digest = iif(?, digest, NULL) WHERE ticket = ?", (tries, left > 0, code.ticket)
    )
    return left
