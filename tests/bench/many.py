"""Very many standings of nobody who is asked about, put where they are read without the doors: ten million in minutes.

`IDENTIFIERS` says how many the benches mean by many: a million unless it is set.
"""

import contextlib
import os
import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

from support import inside

from gateway.app.composition import open_house
from gateway.choice.standing import Standing, out_bits
from gateway.fold.state import Bit, KeyRow
from gateway.ledger.log_records import PLACES
from gateway.state.environment import StateMap, folder_in_force
from gateway.state.packed_rows import key_at, pack_front, pack_tail
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


def into_state(data: Path, opted_out: Collection[bytes]) -> None:
    """Of a house that nobody has open: each said no once, and has nobody else."""
    with open_house(data, inside.settings(), dev=True):
        pass  # now there is one
    with contextlib.closing(StateMap(folder_in_force(data))) as held:
        put_noes(held, opted_out, spread=len(opted_out))
        held.sync()


def fill(data: Path, number: int) -> None:
    """So many, of nobody who is asked about."""
    into_state(data, [*keys(number)])


def put_noes(held: StateMap, opted_out: Iterable[bytes], *, spread: int) -> None:
    """A row each, which changed at a position of its own: so many as are said lie within the first record's."""
    bit = Bit(b"", 1, 1, "api", "")
    tail = pack_tail(KeyRow(own=dict.fromkeys(SIGNAL_PURPOSES, bit)))
    left = enumerate(opted_out)
    while some := list(islice(left, CHUNK)):
        together = defaultdict[int, list[bytes]](list)
        with held.begin_writing() as txn:
            for index, key in some:
                at = 1 + index * (PLACES - 1) // spread
                txn.put(key, pack_front(at, at, Standing(own=OUT), 0, 0) + tail)
                together[at].append(bytes((len(key),)) + key)
            for at, places in together.items():
                txn.put(key_at(at), txn.get(key_at(at), b"") + b"".join(places))
