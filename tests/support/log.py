"""The log's public key, as an outsider would be given it."""

import contextlib
import sqlite3
from pathlib import Path

from gateway.keys import secret_files
from gateway.ledger.proof.ed25519 import Ed25519Signer, Ed25519Verifier
from gateway.ledger.schema import FILE


def verifiers(folder: Path) -> list[Ed25519Verifier]:
    """One a signing key. Reads files: from a test of a running loop through `asyncio.to_thread`."""
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
        origin = db.execute("SELECT origin FROM head").fetchone()[0]
    signing = secret_files.load_secrets(folder).signing
    return [Ed25519Verifier.from_vkey(Ed25519Signer(origin, seed).vkey) for seed in signing]
