"""People whose older records are others now: whoever hangs together with them is folded again from their records, and
nobody else is. `upkeep` puts what comes out.

Whom a row hears, and who hears it, stands in it for ever, so a walk from one key over the rows finds all whom anything
that was told of it can have reached.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from gateway.fold import fold
from gateway.fold.record import Record
from gateway.fold.state import HEAD, Get, KeyRow, Place


def fold_again(
    keys: Iterable[bytes], get: Get, records_about: Callable[[Collection[bytes]], Iterable[Record]]
) -> dict[Place, Any]:
    """What is different then, by place; None where nothing is any more. `get`: the state with every record folded."""
    whole = component_of(keys, get)
    while True:
        made: dict[Place, Any] = {}
        for record in records_about(whole):
            made.update(fold(record, made.get))
        named = {place for place in made if isinstance(place, bytes) and place != HEAD}
        if named <= whole:
            break
        whole |= component_of(named, get)
    made.pop(HEAD, None)  # voids of screens are nobody's
    return {place: made.get(place) for place in made.keys() | _places(whole, get) if made.get(place) != get(place)}


def component_of(keys: Iterable[bytes], get: Get) -> set[bytes]:
    """All who hang together with some keys."""
    found, waiting = set[bytes](), [*keys]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += _neighbours(get(key) or KeyRow())
    return found


def _neighbours(row: KeyRow) -> set[bytes]:
    found = {*row.targets, *row.names, *row.owners, *row.looser, *row.spellings, *row.accounts, *row.members}
    found.update(place[1] for place in row.kept)
    found.update(place[2] for place in row.kept)
    return found if row.box is None else {*found, row.box}


def _places(keys: Iterable[bytes], get: Get) -> set[Place]:
    """Where something lies of these."""
    found = set[Place]()
    for key in keys:
        row = get(key)
        if row is not None:
            found |= {key, *((key, member) for member in row.members)}
    return found
