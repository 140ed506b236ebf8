"""Very many standings of nobody who is asked about, put where they are read without the doors: ten million in minutes.

`IDENTIFIERS` says how many the benches mean by many: a million unless it is set.
"""

import contextlib
import os
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

from gateway.choice.standing import out_bits
from gateway.mirror.row import MirrorRow
from gateway.terms import SIGNAL_PURPOSES

FEW, MANY = 10_000, int(os.environ.get("IDENTIFIERS", "1000000"))
OUT = out_bits(SIGNAL_PURPOSES)
KEY = struct.Struct(">QQ")
SPREAD = 0x9E37_79B9_7F4A_7C15  # odd, so that no two have one ending


def keys(number: int) -> Iterator[bytes]:
    """So many, all over the space of keys, in order: then a table and a map are filled from one end to the other."""
    step = 2**64 // number
    for index in range(number):
        yield KEY.pack(index * step, index * SPREAD % 2**64)


def rows(number: int) -> Iterator[tuple[bytes, bytes]]:
    """As a map has them, each with an entry of its own."""
    return ((key, MirrorRow(own=OUT, seq=index).pack()) for index, key in enumerate(keys(number)))


def fill(data: Path, number: int) -> None:
    """Into a ledger's table. No replica is told of them: a trigger a row would cost more than the row."""
    with contextlib.closing(sqlite3.connect(data / "ledger.sqlite3", isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        (made,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'standing_made'").fetchone()
        db.execute("DROP TRIGGER standing_made")
        told = ((key, OUT, index) for index, key in enumerate(keys(number)))
        db.executemany("INSERT OR IGNORE INTO standing (key, own, seq) VALUES (?, ?, ?)", told)
        db.execute(made)
        db.execute("COMMIT")
