"""When a person is erased completely, opt-outs, ages and notices that had spread from them to others stay with those.

These functions put them back when standings are rebuilt from the log (replay.py); erasure_by_unlink.py wrote them down.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from gateway.choice.standing import NONE, OUT
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
    """A deny that stayed, in a replay."""
    stay(tx, deny, seq)
    recompute(tx, [deny[0]], now)


class End(StrEnum):
    """What one spelling of a mailbox said, by what another one did that is erased."""

    YES = "yes"  # a no: whatever yes there was is over
    BOTH = "both"  # a yes: whatever was said is over, and so is what that had sent
    BACK = "back"  # a yes whose screen was voided: the no that it had ended is there again, since then


def end(tx: Transaction, ended: Sequence[Any], seq: int, now: int) -> set[bytes]:
    """What another spelling ended. `ended`: key, purpose, `End`, the screen kept. Returns whose rows changed."""
    key, purpose, what, ui = ended
    if what == End.BACK:
        tx.db.execute(
            "UPDATE own_choice SET seq = ? WHERE key = ? AND purpose = ? AND state = ?", (seq, key, purpose, OUT)
        )
    else:
        tx.db.execute(
            "UPDATE own_choice SET state = ?, seq = ?, in_at = ?, ui = ? WHERE key = ? AND purpose = ?"
            " AND (state <> ? OR ? = ?)",
            (NONE, seq, now, ui, key, purpose, OUT, what, End.BOTH),
        )
    if what == End.YES:
        return {key}
    sent = "travelled_choice WHERE origin = ? AND purpose = ?"  # what of it stays is said anew behind this
    reached = {row[0] for row in tx.db.execute(f"SELECT key FROM {sent}", (key, purpose))}  # noqa: S608 - ours
    tx.db.execute(f"DELETE FROM {sent}", (key, purpose))  # noqa: S608 - ours
    return {key} | reached


def end_again(tx: Transaction, ended: Sequence[Any], seq: int, now: int) -> None:
    """The same, in a replay."""
    recompute(tx, sorted(end(tx, ended, seq, now)), now)


def revoke_again(tx: Transaction, grant: Sequence[Any], now: int) -> None:
    """What somebody had allowed a recipient is over. `grant`: key, recipient, purpose, data_class, kind."""
    tx.db.execute(
        "DELETE FROM grant_choice WHERE key = ? AND recipient = ? AND purpose = ? AND data_class = ? AND kind = ?",
        grant,
    )
    recompute(tx, [grant[0]], now)


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
