"""The suppression record: what an erased identifier is called at recipients, kept so that they can still be told of a
later opt-out (R18, L89). Digests only, sealed with a key of their own; read for nothing else and by no door.
"""

import json

from gateway.choice import identity
from gateway.choice.identity import AD_IDS, DIGESTS, NormalIdentifier
from gateway.choice.identity.kinds import digest
from gateway.ledger.subjects import Subject
from gateway.ledger.writer import Transaction

LABEL = b"suppression/1"


def digests(subject: Subject) -> dict[str, str]:
    """The digests that recipients key an identifier by; none for kinds of which there are none."""
    if subject.kind in DIGESTS:
        return {subject.kind: subject.value}
    if subject.kind in AD_IDS:
        return {"ad_id_sha256": digest("sha256", subject.value)}
    read = identity.read_identifier(subject.kind, subject.value)
    names = read.names[: read.exact] if isinstance(read, NormalIdentifier) else ()
    return {kind: value for kind, value in names if kind in DIGESTS}


def keep(tx: Transaction, subject: Subject) -> None:
    """Written with the erasure, or with a prune of what recipients hold; an older record gets what it has not yet."""
    before, known = read(tx, subject.key), digests(subject)
    if known.keys() <= before.keys():
        return
    drop(tx, subject.key)
    person = tx.persons.new_person()
    sealed = person.seal(LABEL, json.dumps(before | known).encode())
    tx.db.execute("INSERT INTO suppression VALUES (?, ?, ?)", (subject.key, person.person, sealed))


def read(tx: Transaction, key: bytes) -> dict[str, str]:
    """For the outbox alone."""
    row = tx.db.execute("SELECT person, sealed FROM suppression WHERE key = ?", (key,)).fetchone()
    opened = tx.persons.keys(row[0]).open(LABEL, row[1]) if row else None
    content: dict[str, str] = json.loads(opened) if opened else {}
    return content


def persons(tx: Transaction, key: bytes) -> set[bytes]:
    """Whose key seals the record of a key."""
    return {row[0] for row in tx.db.execute("SELECT person FROM suppression WHERE key = ?", (key,))}


def drop(tx: Transaction, key: bytes) -> None:
    tx.db.execute("DELETE FROM suppression WHERE key = ?", (key,))
