"""Very many standings of nobody who is asked about, put where they are read without the doors: ten million in minutes.

`IDENTIFIERS` says how many the benches mean by many: a million unless it is set.
"""

import contextlib
import os
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from support import inside

from gateway.app.composition import open_house
from gateway.choice.standing import Standing, out_bits
from gateway.fold.state import Bit, KeyRow
from gateway.mirror.row import MirrorRow
from gateway.state.environment import StateMap, folder_in_force
from gateway.state.packed_rows import pack_front, pack_tail
from gateway.terms import SIGNAL_PURPOSES

FEW, MANY = 10_000, int(os.environ.get("IDENTIFIERS", "1000000"))
OUT = out_bits(SIGNAL_PURPOSES)
KEY = struct.Struct(">QQ")
CHUNK = 100_000  # of one transaction
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
    """Into a ledger's table, which replicas are told from, and into the state that its checks read."""
    with contextlib.closing(sqlite3.connect(data / "ledger.sqlite3", isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        (made,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'standing_made'").fetchone()
        db.execute("DROP TRIGGER standing_made")  # a trigger a row would cost more than the row
        told = ((key, OUT, index) for index, key in enumerate(keys(number)))
        db.executemany("INSERT OR IGNORE INTO standing (key, own, seq) VALUES (?, ?, ?)", told)
        db.execute(made)
        db.execute("COMMIT")
    into_state(data, keys(number))


def into_state(data: Path, opted_out: Iterable[bytes]) -> None:
    """Of a house that nobody has open: each said no once, and has nobody else."""
    with open_house(data, inside.settings(), dev=True):
        pass  # now there is one
    bit = Bit(b"", 1, 1, "api", "")
    row = pack_front(1, 1, Standing(own=OUT), 0, 0) + pack_tail(KeyRow(own=dict.fromkeys(SIGNAL_PURPOSES, bit)))
    left = iter(opted_out)
    with contextlib.closing(StateMap(folder_in_force(data))) as held:
        while some := list(islice(left, CHUNK)):
            with held.begin_writing() as txn:
                for key in some:
                    txn.put(key, row)
        held.sync()
