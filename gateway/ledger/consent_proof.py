"""What proves an opt-in to whoever gets data on it: its receipt's id, when it was given, on which text (R7, L69).

Nothing of it tells who it was: the receipt names nobody. Reads only.
"""

import json

from gateway.ledger.entry import b64
from gateway.ledger.leaves import BODY, JOINED
from gateway.ledger.writer import Transaction

OPTED_IN = f"SELECT d.event, {BODY} FROM detail d {JOINED} WHERE d.seq = ?"  # noqa: S608 - the pieces are ours


def of(tx: Transaction, seq: int, purpose: str) -> dict[str, str] | None:
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
