"""Rows of some keys against a replay of the rules that wrote them, for tests of these; and whole groups of people,
some at a time, for a prune.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from gateway.ledger import happenings, replay, standing_rows
from gateway.ledger.likeness import PeopleGroup

BATCH = 5_000  # keys that are replayed in one database
FOR_EVER = 2**62  # milliseconds
Different = set[tuple[str, bytes]]


def of_keys(db: sqlite3.Connection, keys: Sequence[bytes], everybody: Iterable[bytes]) -> Different:
    """By a replay. `everybody`: whom the keys are connected with."""
    everybody = list(everybody)
    happened = happenings.of(db, everybody, FOR_EVER)
    for settle_last in (True, False):  # the second only where the first differs: it is the truth, at twice the time
        with contextlib.closing(replay.live_again(db, everybody, happened, settle_last=settle_last)) as life:
            found = standing_rows.row_differences(db, life, keys)
        if not found:
            return found
        keys = sorted({key for _, key in found})
    return found


def batches(groups: Iterable[PeopleGroup], size: int) -> Iterator[list[PeopleGroup]]:
    """Whole groups together, about `size` keys at a time."""
    batch, keys = list[PeopleGroup](), 0
    for group in groups:
        batch.append(group)
        keys += len(group.keys)
        if keys >= size:
            yield batch
            batch, keys = [], 0
    if batch:
        yield batch
