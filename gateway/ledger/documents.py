"""Documents that people were shown (notices), logged once by their hash, so that "what were they shown" has an answer
that nobody's label decides (R24).
"""

import os
from dataclasses import dataclass
from datetime import datetime

from gateway.ledger import entry
from gateway.ledger.writer import Transaction


@dataclass(frozen=True, slots=True)
class Document:
    kind: str
    version: str
    language: str
    body: bytes

    @property
    def sha256(self) -> bytes:
        return entry.sha256(self.body)

    @property
    def notice(self) -> entry.Notice:
        return entry.Notice(self.sha256, self.version, self.language)


def log(tx: Transaction, document: Document, at: datetime) -> None:
    """An entry the first time, nothing after that."""
    if find(tx, document.sha256):
        return
    body = entry.document(
        event=os.urandom(16), kind=document.kind, sha256=document.sha256, version=document.version,
        language=document.language, at=at,
    )  # fmt: skip
    seq = tx.append(body)
    tx.db.execute(
        "INSERT INTO document VALUES (?, ?, ?, ?, ?, ?)",
        (document.sha256, document.kind, document.version, document.language, document.body, seq),
    )


def find(tx: Transaction, sha256: bytes) -> entry.Notice | None:
    row = tx.db.execute("SELECT version, language FROM document WHERE sha256 = ?", (sha256,)).fetchone()
    return entry.Notice(sha256, row[0], row[1]) if row else None
