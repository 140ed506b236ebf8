"""What stayed with others of somebody who was unlinked, put back when a life is lived again (see unlinking.py)."""

from collections.abc import Sequence
from typing import Any

from gateway.ledger.standing_rows import recompute
from gateway.ledger.writer import Transaction


def stay(tx: Transaction, deny: Sequence[Any], seq: int) -> None:
    """A deny that stays with others of somebody who is unlinked; also where one of them has it by themselves, as who
    only looks like them, or has another spelling of the mailbox. `deny`: key, purpose, origin, via.
    """
    tx.db.execute(
        "INSERT INTO travelled_choice VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq", (*deny, seq)
    )


def deny_again(tx: Transaction, deny: Sequence[Any], seq: int, now: int) -> None:
    """A deny that stayed, when a life is lived again."""
    stay(tx, deny, seq)
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
