"""How an opt-in was given: on which screen, with a live signal in sight (11 CCR 7025(c)(3)), by a parent (L71).

Kept beside the identifier's own choice until any later one. Never changes what was chosen.
"""

from collections.abc import Iterable

from gateway.choice.standing import IN, OUT
from gateway.ledger.standing_rows import recompute
from gateway.ledger.writer import Transaction
from gateway.terms import Purpose


def keep(
    tx: Transaction,
    key: bytes,
    purposes: Iterable[Purpose],
    seq: int,
    now: int,
    *,
    ui: str,
    informed: bool,
    parental: bool,
) -> None:
    """Beside opt-ins that were written just now."""
    tx.db.executemany(
        "UPDATE own_choice SET ui = ?, informed = ?, parental = ? WHERE key = ? AND purpose = ? AND seq = ?",
        [(ui, informed, parental, key, purpose, seq) for purpose in purposes],
    )
    recompute(tx, [key], now)


def note(tx: Transaction, seq: int, *, informed: bool, parental: bool) -> None:
    """What an entry's public part does not tell, so that a standing can be made again from the log."""
    if informed or parental:
        tx.db.execute("INSERT INTO given VALUES (?, ?, ?)", (seq, informed, parental))


def answered(tx: Transaction, key: bytes, purposes: Iterable[Purpose]) -> bool:
    """Whether a signal of these purposes is no news: each is opted out by the identifier itself already, or was opted
    in to with such a signal in sight, which then does not undo it again and again.
    """
    rows = tx.db.execute(
        "SELECT purpose FROM own_choice WHERE key = ? AND (state = ? OR (state = ? AND informed))", (key, OUT, IN)
    )
    return set(purposes) <= {Purpose(row[0]) for row in rows}
