"""What a migration does that SQL cannot: older ledgers get their tree, and their openings a box of their own; what a
voided screen had not brought back comes back.

Runs inside the migration's own transaction. Never changes an entry.
"""

import sqlite3
from typing import Protocol

from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys
from gateway.ledger import openings, replay, voiding
from gateway.ledger.merkle import Frontier
from gateway.ledger.tree import Tree
from gateway.ledger.writer import Persons, Transaction

UNNAMED = "gateway.invalid/log/"  # a name that can never be a host (RFC 2606), followed by the ledger's own random id


class Keepers(Persons, Protocol):
    """What the vault offers to a migration."""

    def add_openings(self, person: bytes) -> bytes: ...


def prove(db: sqlite3.Connection, vault: Keepers, origin: str) -> None:
    """Version 4: names the log, grows the tree over every entry, and splits each box of details in two."""
    name = origin or UNNAMED + db.execute("SELECT hex(ledger) FROM head").fetchone()[0].lower()
    tree = Tree(db, Frontier())
    for (body,) in db.execute("SELECT body FROM entry ORDER BY seq").fetchall():
        tree.append(body)
    db.execute("UPDATE head SET frontier = ?, origin = ?", (tree.frontier.pack(), name))
    rows = db.execute("SELECT seq, event, person, sealed FROM detail WHERE sealed IS NOT NULL").fetchall()
    for seq, event, person, sealed in rows:
        boxes = _split(vault, event, person, sealed)
        db.execute("UPDATE detail SET sealed = ?, opening = ? WHERE seq = ?", (*boxes, seq))
    vault.commit()  # keys first: a key without an entry is harmless


def void_again(db: sqlite3.Connection) -> None:
    """Version 22: an earlier gateway brought back less than what consents on a voided screen had lifted."""
    screens = [ui for (ui,) in db.execute("SELECT ui FROM voided_ui ORDER BY seq")]
    voiding.stand_without(Transaction(db, replay.NOBODY), screens)


def _split(vault: Keepers, event: bytes, person: bytes, sealed: bytes) -> tuple[bytes | None, bytes | None]:
    known = vault.keys(person)
    if known.details is None:
        return None, None  # forgotten already
    content = seals.open_seal([known.details], event, sealed)
    rs, rd, details = (
        content[: openings.SALT],
        content[openings.SALT : 2 * openings.SALT],
        content[2 * openings.SALT :],
    )
    keys = PersonKeys(person, known.details, vault.add_openings(person))
    return openings.seal(keys, event, rs, rd, details)
