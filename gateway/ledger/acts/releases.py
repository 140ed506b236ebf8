"""When a number or mailbox last went back to the pool (R5): from which entry on what is said of a key is its present
holder's. For whoever shows or tells somebody what is on record. Reads what the log was told; the fold has the same
number as `KeyRow.since`.
"""

import sqlite3
from collections.abc import Callable, Mapping
from functools import partial

from gateway.fold.state import EMPTY
from gateway.ledger.acts.folded_people import people_at_hand
from gateway.ledger.acts.reach import Relations, Ways
from gateway.ledger.side import Mention
from gateway.ledger.transaction import Transaction

NEVER_MIND = 2**62  # as `before`: until now
ENDED = "SELECT seq FROM link_event WHERE identifier = ? AND released"


def released_since(db: sqlite3.Connection, key: bytes, before: int = NEVER_MIND) -> int:
    """The entry from which on what is said of a key is its present holder's; 0: it never went back. `before`: of
    whoever had it at that entry.
    """
    ended = [seq for (seq,) in db.execute(ENDED, (key,))]
    for form, since in _forms(told := Relations(db, Mention.NAME), key).items():
        ended += [seq for seq in told.releases[form] if seq >= since]
    return max((seq + 1 for seq in ended if seq < before), default=0)


def since_when(tx: Transaction) -> Callable[[bytes], int]:
    """The same up to now of any key, for whoever writes: as the state has it, where that is at hand. To be asked for
    again behind what the transaction says.
    """
    people = people_at_hand(tx)
    if people is None:
        return partial(released_since, tx.db)
    get = people.get
    return lambda key: (get(key) or EMPTY).since


def had_since(tx: Transaction, key: bytes) -> int:
    """The same of one."""
    return since_when(tx)(key)


def _forms(told: Relations, key: bytes) -> dict[bytes, int]:
    """Whoever gives back one form of it gives back all that were known by then: names, and the other spellings of a
    mailbox. Each since which entry.
    """
    told.read([key])
    found = {key: 0, **told.targets[key]}
    for ways in (told.boxes, told.spellings, told.names):
        told.read(found)
        found = _onward(found, ways)
    told.read(found)
    return found


def _onward(forms: Mapping[bytes, int], ways: Ways) -> dict[bytes, int]:
    """With those that they lead to."""
    found = dict(forms)
    for form, since in forms.items():
        for other, told in ways[form].items():
            later = max(since, told)
            found[other] = min(later, found.get(other, later))
    return found
