"""What a person allowed one recipient or one programme, as far as whoever shares has to prove or use it.
`consent.share` and `disclosures` call it; what stands of a grant is the fold's (`gateway.fold`).

`directed` is one transfer that the person asked for, within ten minutes (R28): the first row that asks has the act, its
one disclosure uses it up, and all acts that were asked before it. What proves an opt-in to whoever gets data on it
names nobody: the receipt's id, the time, the text (R7, L69).
"""

import json
from collections.abc import Sequence

from gateway.fold.record import ActUsed, Record
from gateway.ledger.acts.folded_people import people_of
from gateway.ledger.proof.entry import b64
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.transaction import Transaction
from gateway.terms import GrantKind

CLAIM = (
    "INSERT INTO act_claim VALUES (?, ?, ?, ?) ON CONFLICT (key, recipient) DO UPDATE SET"
    " seq = max(act_claim.seq, excluded.seq), row = excluded.row"
    " WHERE act_claim.seq < excluded.seq OR act_claim.row = excluded.row"
)


def claim(tx: Transaction, keys: Sequence[bytes], recipient: str, row: bytes, now: int) -> bool:
    """Whether an act of these keys is there, in time, and for this row: the first row that asks has it until it left or
    the act is over, and has it still when it is posted again. Runs in the transaction that writes the row as intended.
    """
    acts = _acts(tx, keys, recipient, now)
    return sum(tx.db.execute(CLAIM, (key, recipient, seq, row)).rowcount for key, seq in acts) > 0


def let_go(tx: Transaction, keys: Sequence[bytes], recipient: str, row: bytes) -> None:
    """A row that did not leave after all: the act is another's to have."""
    tx.db.executemany(
        "DELETE FROM act_claim WHERE key = ? AND recipient = ? AND row = ?", [(key, recipient, row) for key in keys]
    )


def use_acts(tx: Transaction, keys: Sequence[bytes], recipient: str, now: int) -> bool:
    """Uses up the acts that direct data of these keys to a recipient; whether one was there and in time. Runs in the
    transaction that marks the row as sent. `now` is in Unix milliseconds.
    """
    used = [key for key, _ in _acts(tx, keys, recipient, now)]
    tx.say([Record(tx.size, now, key, ActUsed(recipient)) for key in used], now)
    tx.db.executemany("DELETE FROM act_claim WHERE key = ? AND recipient = ?", [(key, recipient) for key in used])
    return bool(used)


def use_claimed(tx: Transaction, recipient: str, row: bytes, now: int) -> None:
    """Uses up the act that a row has, which was sent as its caller says. One that is over meanwhile is over."""
    found = tx.db.execute("SELECT key FROM act_claim WHERE recipient = ? AND row = ?", (recipient, row)).fetchall()
    if found:
        use_acts(tx, [key for (key,) in found], recipient, now)


def let_go_of(tx: Transaction, recipient: str, row: bytes) -> None:
    """A row that did not leave after all, as its caller says: whatever act it has is another's to have."""
    tx.db.execute("DELETE FROM act_claim WHERE recipient = ? AND row = ?", (recipient, row))


def _acts(tx: Transaction, keys: Sequence[bytes], recipient: str, now: int) -> list[tuple[bytes, int]]:
    """(key, entry) of the acts that are there and in time."""
    people = people_of(tx, keys)
    return [
        (key, grant.seq)
        for key in dict.fromkeys(keys)
        for grant in people.grants(key, now)
        if grant.kind is GrantKind.DIRECTED and grant.recipient == recipient
    ]


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
