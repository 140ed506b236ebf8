"""What the desk keeps sealed of a case, each seal bound to the case's number: what was written in one is never read as
another's, whoever changes places in the file. Cases and the mailbox seal and open by it.
"""

import contextlib
import hmac
import sqlite3
from collections.abc import Sequence

from gateway.keys import seals

SAID, PERMISSION, ORIGINAL = b"case/2", b"permission/2", b"mail/2"
MARK = b"case seals are bound"
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
    """Seals anew, once, what a file of before holds without numbers; afterwards that opens nowhere. Whoever came with
    other secrets opened nothing and shut nothing: with the right ones it is done.
    """
    mark = int.from_bytes(hmac.digest(keys[-1], MARK, "sha256")[:6])
    if db.execute("SELECT 1 FROM bound WHERE one = ?", (mark,)).fetchone():
        return
    for label, before, table, column in BEFORE:
        found = db.execute(f"SELECT rowid, number FROM {table} WHERE {column} IS NOT NULL").fetchall()  # noqa: S608 - ours
        for row, number in found:  # of the seals one at a time, for mails are large
            (box,) = db.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchone()  # noqa: S608 - ours
            with contextlib.suppress(seals.OpeningFailed):  # bound already, or not by these secrets
                fresh = seal_case(keys[-1], label, number, seals.open_seal(keys, before, box))
                db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (fresh, row))  # noqa: S608 - ours
    db.execute("INSERT INTO bound VALUES (?)", (mark,))


def _bound(label: bytes, number: int) -> bytes:
    return label + b"\x00" + number.to_bytes(8, signed=True)
