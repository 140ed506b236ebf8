"""What stood on record at another moment, folded from the log alone (L85): for `explain --at`, `history --at` and their
calls (`consent.verbs`). Never looks at what a host keeps of it.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.desk.entry_facts import last_began
from gateway.fold.kin import Alike, alike, family
from gateway.fold.reading import read_noes
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.store import Store, ledger_snapshot
from gateway.ledger.subjects import milliseconds

NOTHING = Standing()
LAST = """
SELECT max(seq) FROM (
  SELECT max(seq) AS seq FROM detail WHERE at = (SELECT max(at) FROM detail WHERE at <= :now)
  UNION ALL SELECT max(seq) FROM voided_ui WHERE at <= :now
  UNION ALL SELECT max(by) FROM voided_choice WHERE at <= :now
  UNION ALL SELECT max(seq) FROM deletion_batch WHERE at <= :now
) AS ends
"""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`position`: how many entries there were, counted up to the last one about a person. `standings`: those of the
    keys of which anything stood; `grants`: what was allowed and not over, the newest first.
    """

    position: int
    standings: tuple[Standing, ...]
    grants: tuple[Grant, ...]


def standings_at(store: Store, keys: Sequence[bytes], moment: datetime) -> Rebuilt:
    """Raises `StoreUnavailable` where the ledger cannot be read."""
    with ledger_snapshot(store) as db:
        return rebuild(db, keys, milliseconds(moment))


def position_at(db: sqlite3.Connection, now: int) -> int:
    """How many entries there were at a moment in Unix milliseconds, up to the last one whose time is kept exactly."""
    found = db.execute(LAST, {"now": now}).fetchone()[0]
    return 0 if found is None else int(found) + 1


def rebuild(db: sqlite3.Connection, keys: Sequence[bytes], now: int) -> Rebuilt:
    """The standings of keys at a moment, in Unix milliseconds."""
    position = position_at(db, now)
    if not keys:
        return Rebuilt(position, (), ())
    people = FoldedPeople(db, keys, now)
    slate, once = people.slate(), dict[Alike | bytes, Standing]()  # of the names of one identifier it is read once
    read_as = [(key, alike(slate.row(key)) or key) for key in keys]
    found = [once.get(those) or once.setdefault(those, _numbered(db, people, key, now)) for key, those in read_as]
    grants = sorted((grant for key in keys for grant in people.grants(key, now)), key=lambda grant: -grant.seq)
    return Rebuilt(position, tuple(each for each in found if each != NOTHING), tuple(grants))


def _numbered(db: sqlite3.Connection, people: FoldedPeople, key: bytes, now: int) -> Standing:
    """With the entry of the last no that stood, as a check tells it: else of the state that did."""
    slate, standing = people.slate(), people.standing(key, now)
    last = max((no.bit.seq for no in read_noes(slate, key) if no.holds(slate.voids)), default=-1)
    return replace(standing, seq=last if last >= 0 else last_began(db, family(slate, key), standing.held, now))
