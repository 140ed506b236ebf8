"""What recipients acknowledged of deletions: the signed tokens, sealed, and that none is taken twice."""

from gateway.keys import seals
from gateway.ledger.writer import Transaction

LABEL = b"acknowledged/1"


def keep(tx: Transaction, message: bytes, recipient: str, jti: str, token: str, now: int) -> bool:
    """Whether this is the first acknowledgement of that id from this recipient; then it is kept."""
    if tx.db.execute("SELECT 1 FROM acknowledged WHERE recipient = ? AND jti = ?", (recipient, jti)).fetchone():
        return False
    person = tx.persons.new_person()
    assert person.details
    sealed = seals.seal_box(person.details, LABEL + message, token.encode())
    tx.db.execute(
        "INSERT INTO acknowledged VALUES (?, ?, ?, ?, ?, ?)", (message, recipient, jti, now, person.person, sealed)
    )
    return True


def tokens(tx: Transaction, message: bytes) -> list[str]:
    """Those of one message, oldest first."""
    rows = tx.db.execute("SELECT person, sealed FROM acknowledged WHERE message = ? ORDER BY at", (message,)).fetchall()
    keys = [(tx.persons.keys(person).details, sealed) for person, sealed in rows]
    return [seals.open_seal([key], LABEL + message, sealed).decode() for key, sealed in keys if key and sealed]


def prune(tx: Transaction, before: int) -> int:
    """Tokens of before a moment in Unix milliseconds go; that there was one stays."""
    return tx.db.execute(
        "UPDATE acknowledged SET sealed = NULL WHERE at < ? AND sealed IS NOT NULL", (before,)
    ).rowcount
