"""Documents, logged once by their hash: what people were shown (notices), so that "what were they shown" has an answer
that nobody's label decides (R24), and what decided verdicts, so that they can be made again.
"""

import hashlib
import json
import os
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from gateway.ledger import entry
from gateway.ledger.transaction import Transaction

# Kinds that the operator logs. A screen has its name, the `ui` of a choice, as its version; a yes on a notice of the
# second kind is good in the face of a signal (11 CCR 7025(c)(3)).
NOTICE, DESPITE_SIGNAL, SCREEN = "notice", "notice_despite_signal", "screen"
# What decides verdicts, and what the operator says to everybody, as they were in force (R31).
RECIPIENTS, SETTINGS, LAW, SIGNAL_TABLE = "recipients", "settings", "law", "signal_table"
POLICY, RETENTION = "privacy_policy", "retention_policy"
EVIDENCE = "evidence"  # counts that are too many for a leaf


@dataclass(frozen=True, slots=True)
class Document:
    kind: str
    version: str
    language: str
    body: bytes

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.body).digest()

    @property
    def notice(self) -> entry.Notice:
        return entry.Notice(self.sha256, self.version, self.language)


def log(tx: Transaction, document: Document, at: datetime) -> None:
    """An entry the first time, nothing after that."""
    if find_notice(tx, document.sha256):
        return
    body = entry.document(event=os.urandom(16), kind=document.kind, notice=document.notice, at=at)
    keep_document(tx, document, tx.append(body))


def keep_document(tx: Transaction, document: Document, seq: int) -> None:
    """The bytes of a document that an entry names by hash."""
    tx.db.execute(
        "INSERT INTO document VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (document.sha256, document.kind, document.version, document.language, document.body, seq),
    )


def read_document(db: sqlite3.Connection, sha256: bytes) -> Document | None:
    """The document of a hash. Raises `sqlite3.Error`."""
    row = db.execute("SELECT kind, version, language, body FROM document WHERE sha256 = ?", (sha256,)).fetchone()
    return Document(*row) if row else None


def recipients_named(tx: Transaction) -> list[str]:
    """The names in every registry that was ever in force here."""
    found = tx.db.execute("SELECT body FROM document WHERE kind = ?", (RECIPIENTS,)).fetchall()
    return sorted({name for (body,) in found for name in json.loads(body)})


def find_notice(tx: Transaction, sha256: bytes) -> entry.Notice | None:
    row = tx.db.execute("SELECT version, language FROM document WHERE sha256 = ?", (sha256,)).fetchone()
    return entry.Notice(sha256, row[0], row[1]) if row else None


def is_kind(tx: Transaction, sha256: bytes, kind: str) -> bool:
    """Whether a document of this hash was logged as one of this kind."""
    return tx.db.execute("SELECT 1 FROM document WHERE sha256 = ? AND kind = ?", (sha256, kind)).fetchone() is not None


def is_screen(tx: Transaction, name: str) -> bool:
    """Whether the copy of a screen of this name was logged."""
    row = tx.db.execute("SELECT 1 FROM document WHERE kind = ? AND version = ? LIMIT 1", (SCREEN, name)).fetchone()
    return row is not None
