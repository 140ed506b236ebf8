"""What stayed with others of somebody who was unlinked, put back when a life is lived again (see unlinking.py)."""

from collections.abc import Sequence
from typing import Any

from gateway.ledger.standing_rows import recompute
from gateway.ledger.writer import Transaction


def deny_again(tx: Transaction, deny: Sequence[Any], seq: int, now: int) -> None:
    """A deny that stayed, when a life is lived again. `deny`: key, purpose, origin, via."""
    tx.db.execute("INSERT OR IGNORE INTO travelled_choice VALUES (?, ?, ?, ?, ?)", (*deny, seq))
    recompute(tx, [deny[0]], now)


def young_again(tx: Transaction, key: bytes, age: Sequence[Any], seq: int, now: int) -> None:
    """An age that stayed. `age`: band, youngest, fixed."""
    tx.db.execute(
        "INSERT OR REPLACE INTO age (key, band, youngest, seq, fixed) VALUES (?1, ?2, ?3, ?5, ?4)", (key, *age, seq)
    )
    recompute(tx, [key], now)


def told_again(tx: Transaction, notice: Sequence[Any], seq: int, now: int) -> None:
    """What somebody had been told. `notice`: key, notice, day."""
    tx.db.execute("INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)", (*notice, seq))
    recompute(tx, [notice[0]], now)
