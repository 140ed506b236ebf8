"""The state of this host, from which checks are answered, against the log that it follows (`gateway verify`): every
row, every edge and the head are what the fold makes of the log today, with none missing and none too many.

Whoever said exactly one no, and hangs together with nobody, is compared as the entries go by, with a row that is made
once for each form of such an entry. Everybody else is folded again, group by group, and nothing of them is kept. Reads
only, a moment of the state that is at the very position of the log that is read.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from gateway.app.state_keeper import CATCHES_UP, PAUSE
from gateway.fold.record import SaidOut
from gateway.fold.state import HEAD, NOTHING, Place
from gateway.ledger.acts.folded_people import batches_of, connected_groups, folded_alone
from gateway.ledger.audit.reading import Entry, Sides
from gateway.ledger.audit.verify import Look
from gateway.ledger.errors import EntryUnread
from gateway.ledger.log_records import NOBODY, LedgerLog, SideRow, readable_sides
from gateway.ledger.side import mentions_of, often_mentioned
from gateway.state.comparison import LoneNo, StateComparison
from gateway.state.environment import StateRefused
from gateway.state.lookup import StateMoment
from gateway.state.upkeep import HostState, prove_follows

NONE = "there is none to be compared"
# Of pruned entries those that are said again go by as others do.
AGAIN = "SELECT of FROM restated WHERE of < (SELECT pruned FROM head)"
# Besides whom more than one row mentions: whoever said something that was voided, and whom a deletion list names.
SEVERAL = """
SELECT d.key FROM voided_choice v JOIN detail d ON d.seq = v.seq
UNION SELECT key FROM deletion_key
"""
Group = Sequence[bytes]  # keys that hang together


@dataclass(frozen=True, slots=True)
class FollowingState:
    """What there is to compare with the log that is read. `why`: there is nothing, or not at its position."""

    moment: StateMoment | None
    why: str = ""

    def look(self, db: sqlite3.Connection) -> Look | None:
        """For `examine`, in the transaction that it follows."""
        return partial(StateCheck, db, self.moment) if self.moment else None


@contextlib.contextmanager
def following(db: sqlite3.Connection, state: HostState) -> Iterator[FollowingState]:
    """The state as it follows the log of a transaction that is open."""
    with contextlib.ExitStack() as stack:
        yield _following(stack, LedgerLog(db), state)


def _following(stack: contextlib.ExitStack, log: LedgerLog, state: HostState) -> FollowingState:
    try:
        moment = stack.enter_context(state.moment())
        prove_follows(moment.head, log, state.epoch)
    except StateRefused as refused:
        return FollowingState(None, f"{NONE}: {refused}")
    if moment.head.position != log.head:
        return FollowingState(None, "it has not folded all of the log yet, so it was not compared")
    return FollowingState(moment)


@contextlib.contextmanager
def snapshot(db: sqlite3.Connection, state: HostState) -> Iterator[FollowingState]:
    """A transaction of the log, and the state at the same moment, as soon as a writer that is at work leaves one."""
    until = time.monotonic() + CATCHES_UP
    while True:
        db.execute("BEGIN")
        try:
            with following(db, state) as found:
                if found.moment or time.monotonic() > until:
                    yield found
                    return
        finally:
            db.execute("ROLLBACK")
        time.sleep(PAUSE)


class StateCheck:
    """Takes the entries as they go by. `found`: places that are not what the log folds to, in words."""

    def __init__(self, db: sqlite3.Connection, moment: StateMoment) -> None:
        self.found = list[str]()
        self._db, self._head, self._kept = db, moment.head, StateComparison(moment)
        apart = set[bytes]()
        self._groups = [*connected_groups(_with_apart(db, apart))]
        self._together = set(chain.from_iterable(self._groups))
        several = often_mentioned(db).union(apart, (key for (key,) in db.execute(SEVERAL)))
        self._groups += [[key] for key in several - self._together]
        self._together |= several
        self._lone = _LoneNoes()
        self._unread = False

    @property
    def compared(self) -> int:
        """Rows and edges."""
        return self._kept.rows + self._kept.edges

    def add(self, rows: Sequence[Entry], sides: Sides) -> None:
        """The next entries, with what is told beside them."""
        for seq, _, key, *_ in rows:
            if key is not None and key not in self._together:
                no = self._lone.of(sides.get(seq))
                if no is None or not self._kept.is_lone(key, seq, no):
                    self._groups.append([key])

    def finish(self) -> None:
        """Once all were added: everybody else, and that nothing is too many."""
        for groups in batches_of(self._groups):
            self._compare(groups)
        self._prove_head()
        if not self._unread and not self._kept.is_full():
            self._tell_too_many()

    def _compare(self, groups: Sequence[Group]) -> None:
        try:
            state = self._folded(groups)
        except (AttributeError, EntryUnread, KeyError, TypeError, ValueError):  # whatever their rows are instead
            if len(groups) > 1:
                for group in groups:
                    self._compare([group])
            else:
                self._unread = True
                self.found.append(f"what entries say of {_named(groups[0][0])} cannot be read")
            return
        for group in groups:
            for place in {*self._kept.differing(group, state.get)}:
                self.found.append(f"the state of this host has not of {_named(place)} what the log folds to")

    def _folded(self, groups: Iterable[Group]) -> dict[Place, Any]:
        return folded_alone(self._db, {*chain.from_iterable(groups)})

    def _prove_head(self) -> None:
        log, voids = LedgerLog(self._db), self._folded(()).get(HEAD, NOTHING)
        ought = self._head._replace(voids=voids, entries=log.entries(self._head.position))
        if ought != self._head or self._kept.head() != self._head.pack():
            self.found.append("the head of this host's state is not what the log folds to")

    def _tell_too_many(self) -> None:
        """What lies there and is nothing that the log folds to: all is folded once more to know which that is."""
        known = set[Place]()
        for groups in batches_of(self._groups):
            known.update(self._folded(groups))
        for place in self._kept.places():
            if place not in known and (isinstance(place, tuple) or place in self._together or not self._spoke(place)):
                self.found.append(f"the state of this host has something of {_named(place)}, and the log nothing")

    def _spoke(self, key: bytes) -> bool:
        return bool(mentions_of(self._db, [key]))


class _LoneNoes:
    """What a state has of one no, by what is said."""

    def __init__(self) -> None:
        self._made = dict[SaidOut, LoneNo]()

    def of(self, side: SideRow | None) -> LoneNo | None:
        """None: it is no such no, or more is told with it."""
        records = side.records() if side else ()
        said = records[0].said if len(records) == 1 else None
        if not isinstance(said, SaidOut) or not (said.purposes and said.dated) or said.mark or said.signal:
            return None
        if said not in self._made:
            self._made[said] = LoneNo(said)
        return self._made[said]


def _with_apart(db: sqlite3.Connection, apart: set[bytes]) -> Iterator[SideRow]:
    """All rows. Of whom one tells that goes by with no entry is put `apart`: nothing else would lead to them."""
    [pruned], again = db.execute("SELECT pruned FROM head").fetchone(), {of for (of,) in db.execute(AGAIN)}
    for row in readable_sides(db):
        if not row.entered or (row.seq < pruned and row.seq not in again):
            apart |= {each.key for each in row.records()} - {NOBODY}
        yield row


def _named(place: Place) -> str:
    keys = (place,) if isinstance(place, bytes) else place
    return "key " + " and key ".join(f"{key.hex()[:8]}…" for key in keys)
