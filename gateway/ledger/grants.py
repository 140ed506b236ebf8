"""What a person allowed one recipient or one programme: it is theirs alone, never travels and opens nothing else.

`opted_in` is one purpose and class (R7); `programme` is what a financial-incentive programme needs, a row a purpose; an
opt-out of the purpose ends both. `directed` is one transfer that the person asked for, within ten minutes (R28): an
opt-out does not end it, its one disclosure does. Two acts before that disclosure are one.
"""

from collections.abc import Iterable, Sequence

from gateway.ledger.standing_rows import recompute
from gateway.ledger.writer import Transaction
from gateway.terms import DataClass, GrantKind, Purpose

ACT = 10 * 60_000  # milliseconds that a directed act is good for (R28)


def give(
    tx: Transaction,
    key: bytes,
    kind: GrantKind,
    recipient: str,
    purposes: Iterable[Purpose],
    data_class: str,
    seq: int,
    now: int,
    ui: str = "",
) -> None:
    """`data_class` empty: every class. An act is always of the purpose `service`, whatever was named."""
    directed = kind is GrantKind.DIRECTED
    until = now + ACT if directed else None
    tx.db.executemany(
        "INSERT INTO grant_choice (key, recipient, purpose, data_class, kind, seq, until, ui)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq,"
        " until = excluded.until, ui = excluded.ui, claimed = NULL",
        [
            (key, recipient, purpose, data_class, kind, seq, until, ui)
            for purpose in ([Purpose.SERVICE] if directed else purposes)
        ],
    )
    recompute(tx, [key], now)


def drop(tx: Transaction, keys: Iterable[bytes], purposes: Iterable[Purpose]) -> None:
    """An opt-out ends what was granted for its purpose; a limit ends every precise-point grant. Not an act: that was
    asked for by itself.
    """
    purposes = list(purposes)
    for key in keys:
        if not tx.db.execute("SELECT 1 FROM grant_choice WHERE key = ? LIMIT 1", (key,)).fetchone():
            continue
        tx.db.executemany(
            "DELETE FROM grant_choice WHERE key = ? AND purpose = ? AND kind <> ?",
            [(key, purpose, GrantKind.DIRECTED) for purpose in purposes],
        )
        if Purpose.SENSITIVE in purposes:
            tx.db.execute(
                "DELETE FROM grant_choice WHERE key = ? AND data_class = ? AND kind <> ?",
                (key, DataClass.PRECISE_GEO, GrantKind.DIRECTED),
            )


def forget(tx: Transaction, keys: Iterable[bytes]) -> None:
    """A released number or mailbox: whatever its holder allowed, its next one did not (R5)."""
    tx.db.executemany("DELETE FROM grant_choice WHERE key = ?", [(key,) for key in keys])


def claim(tx: Transaction, keys: Sequence[bytes], recipient: str, row: bytes, now: int) -> bool:
    """Whether an act of these keys is there, in time, and for this row: the first row that asks has it until it left or
    the act is over, and has it still when it is posted again. Runs in the transaction that writes the row as intended.
    """
    marks = ",".join("?" * len(keys))
    claimed = tx.db.execute(
        f"UPDATE grant_choice SET claimed = ? WHERE key IN ({marks}) AND recipient = ? AND kind = ?"  # noqa: S608
        " AND until > ? AND (claimed IS NULL OR claimed = ?)",
        (row, *keys, recipient, GrantKind.DIRECTED, now, row),
    )
    return claimed.rowcount > 0


def let_go(tx: Transaction, keys: Sequence[bytes], recipient: str, row: bytes) -> None:
    """A row that did not leave after all: the act is another's to have."""
    tx.db.executemany(
        "UPDATE grant_choice SET claimed = NULL WHERE key = ? AND recipient = ? AND claimed = ?",
        [(key, recipient, row) for key in keys],
    )


def use(tx: Transaction, keys: Sequence[bytes], recipient: str, now: int) -> bool:
    """Uses up the acts that direct data of these keys to a recipient; whether one was there and in time. Runs in the
    transaction that marks the row as sent. `now` is in Unix milliseconds.
    """
    used = [key for key in dict.fromkeys(keys) if use_one(tx, key, recipient, now)]
    tx.db.executemany(
        "INSERT INTO act_used (seq, key, recipient, at) VALUES (?, ?, ?, ?)",
        [(tx.size, key, recipient, now) for key in used],
    )
    return bool(used)


def use_claimed(tx: Transaction, recipient: str, row: bytes, now: int) -> None:
    """Uses up the act that a row has, which was sent as its caller says. One that is over meanwhile is over."""
    sql = "SELECT key FROM grant_choice WHERE recipient = ? AND claimed = ? AND kind = ?"
    found = tx.db.execute(sql, (recipient, row, GrantKind.DIRECTED)).fetchall()
    if found:
        use(tx, [key for (key,) in found], recipient, now)


def let_go_of(tx: Transaction, recipient: str, row: bytes) -> None:
    """A row that did not leave after all, as its caller says: whatever act it has is another's to have."""
    sql = "UPDATE grant_choice SET claimed = NULL WHERE recipient = ? AND claimed = ?"
    tx.db.execute(sql, (recipient, row))


def use_one(tx: Transaction, key: bytes, recipient: str, now: int) -> bool:
    gone = tx.db.execute(
        "DELETE FROM grant_choice WHERE key = ? AND recipient = ? AND kind = ? AND until > ?",
        (key, recipient, GrantKind.DIRECTED, now),
    ).rowcount
    if gone:
        recompute(tx, [key], now)
    return bool(gone)


def void(tx: Transaction, ui: str) -> set[bytes]:
    """Takes back what was granted on a screen that counts for nothing. Returns whose."""
    keys = {row[0] for row in tx.db.execute("SELECT key FROM grant_choice WHERE ui = ? AND ui <> ''", (ui,))}
    tx.db.execute("DELETE FROM grant_choice WHERE ui = ? AND ui <> ''", (ui,))
    return keys
