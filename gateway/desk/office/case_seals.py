"""What the desk keeps sealed of a case, each seal bound to the case's number: what was written in one is never read as
another's, whoever changes places in the file. Cases and the mailbox seal and open by it.
"""

import contextlib
import sqlite3
from collections.abc import Sequence

from gateway.keys import seals

SAID, PERMISSION, ORIGINAL = b"case/2", b"permission/2", b"mail/2"
# What was sealed before without a number: the label now and then, table, column.
BEFORE = (
    (SAID, b"case/1", "request", "sealed"),
    (PERMISSION, b"permission/1", "request", "permission"),
    (ORIGINAL, b"mail/1", "mail", "original"),
)


def seal_case(key: bytes, label: bytes, number: int, content: bytes) -> bytes:
    """What a case of this number holds under a label."""
    return seals.seal_box(key, _bound(label, number), content)


def open_case_seal(keys: Sequence[bytes], label: bytes, number: int, box: bytes) -> bytes:
    """The content under any of the keys. Raises `OpeningFailed` for another case's, and for a key that was retired."""
    return seals.open_seal(keys, _bound(label, number), box)


def bind_case_seals(db: sqlite3.Connection, keys: Sequence[bytes]) -> None:
    """Seals anew, once, what a file of before holds without numbers; afterwards that opens nowhere."""
    if db.execute("SELECT 1 FROM bound").fetchone():
        return
    for label, before, table, column in BEFORE:
        rows = f"SELECT number, {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608 - ours
        for number, box in db.execute(rows).fetchall():
            with contextlib.suppress(seals.OpeningFailed):  # its key was retired: it is as forgotten
                fresh = seal_case(keys[-1], label, number, seals.open_seal(keys, before, box))
                change = f"UPDATE {table} SET {column} = ? WHERE number = ?"  # noqa: S608 - ours
                db.execute(change, (fresh, number))
    db.execute("INSERT INTO bound VALUES (1)")


def _bound(label: bytes, number: int) -> bytes:
    return label + b"\x00" + number.to_bytes(8, signed=True)
