"""What a person allowed: grants to one recipient or one programme, and of every opt-in how it was given and what
proves it. `records`, `links`, `travel` and `consent.share` call it.

A grant is theirs alone, never travels and opens nothing else. `opted_in` is one purpose and class (R7); `programme` is
what a financial-incentive programme needs, a row a purpose; an opt-out of the purpose ends both. `directed` is one
transfer that the person asked for, within ten minutes (R28): an opt-out does not end it, its one disclosure does. Two
acts before that disclosure are one.

How an opt-in was given (on which screen, with a live signal in sight, 11 CCR 7025(c)(3), by a parent, L71) is kept
beside the identifier's own choice until any later one. What proves it to whoever gets data on it names nobody: the
receipt's id, the time, the text (R7, L69).
"""

import json
from collections.abc import Iterable, Sequence

from gateway.choice.standing import IN, OUT
from gateway.ledger.entry import b64
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import ACT
from gateway.ledger.writer import Transaction
from gateway.terms import DataClass, GrantKind, Purpose


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


OPTED_IN = f"SELECT d.event, {BODY} FROM detail d {JOINED} WHERE d.seq = ?"  # noqa: S608 - the pieces are ours


def proof_of_opt_in(tx: Transaction, seq: int, purpose: str) -> dict[str, str] | None:
    """`receipt` (the id that /v1/receipts takes), `purpose`, `at` (to the minute, UTC), `notice` (the text's SHA-256 in
    base64url) and its `version`; None where the ledger no longer has it, and then it proves nothing.
    """
    row = tx.db.execute(OPTED_IN, (seq,)).fetchone()
    if row is None or row[1] is None:
        return None
    leaf = json.loads(row[1])
    return {
        "receipt": b64(row[0]),
        "purpose": purpose,
        "at": leaf["t"],
        "notice": leaf.get("n", ""),
        "version": leaf.get("nv", ""),
    }


def keep_circumstances(
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


def note_circumstances(tx: Transaction, seq: int, *, informed: bool, parental: bool) -> None:
    """What an entry's public part does not tell, so that a standing can be made again from the log."""
    if informed or parental:
        tx.db.execute("INSERT INTO given VALUES (?, ?, ?)", (seq, informed, parental))


def is_answered(tx: Transaction, key: bytes, purposes: Iterable[Purpose]) -> bool:
    """Whether a signal of these purposes is no news: each is opted out by the identifier itself already, or was opted
    in to with such a signal in sight, which then does not undo it again and again.
    """
    rows = tx.db.execute(
        "SELECT purpose FROM own_choice WHERE key = ? AND (state = ? OR (state = ? AND informed))", (key, OUT, IN)
    )
    return set(purposes) <= {Purpose(row[0]) for row in rows}
