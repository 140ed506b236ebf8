"""Unlink: nothing leads from a person to an entry any more, nor from an entry to anything but its own receipt.

Deletes every row that was said of the person's keys. What others had got from them stays with those, as from nobody who
is known. Rows of before a number was given back are another person's and stay.

What it takes away and leaves is found by reading alone: before the writer is asked, so that opt-outs do not wait for it
(an account with 300 browsers takes a tenth of a second), and within its transaction where anything was said meanwhile
of anybody near. What everybody near the forgotten reads is folded before and after, what they would lose is to be said
anew (`kept_rows`), and then folded once more, to see that they stand as before.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.desk import suppression
from gateway.desk.answered_requests import BeforeUnlink
from gateway.desk.forgetting.kept_rows import FoldedOn, ForgottenPeople, Stays
from gateway.desk.forgetting.people_near import NoRow, PeopleNear
from gateway.fold.record import KeptNo, LinkSaid, NamesLearnt, Record, SaidOut
from gateway.fold.state import Place
from gateway.ledger.acts import idempotency
from gateway.ledger.acts.folded_people import Belongings, Relations, connected_people, folded_from, with_looser
from gateway.ledger.acts.records import look_at_dates
from gateway.ledger.log_records import NOBODY, Change, LedgerLog, RewrittenSide, SideRow, mentioned_since, put_rewritten
from gateway.ledger.subjects import Subject
from gateway.ledger.transaction import Transaction
from gateway.terms import Source

SPOKE = "SELECT 1 FROM detail WHERE key = ? AND seq < ? LIMIT 1"
EVER = 2**62
SAID_MEANWHILE = 2_000  # rows of the log: beyond so many all is read anew


@dataclass(frozen=True, slots=True)
class UnlinkPlan:
    """`own`: whose it is; `log` and `position`: as of when; `everybody`: whoever it rests on. `gone` and `lifted`: what
    is said otherwise from now on; `free`: forms that were nobody's; `kept`: what is said anew.
    """

    own: Belongings
    log: str
    position: int
    everybody: frozenset[bytes]
    free: frozenset[bytes]
    gone: Sequence[RewrittenSide]
    lifted: Sequence[RewrittenSide]
    kept: Sequence[Stays]

    def holds(self, db: sqlite3.Connection, own: Belongings) -> bool:
        """Whether nothing was said since of anybody whom it rests on, and nothing older is told otherwise."""
        log = LedgerLog(db)
        if self.own != own or self.log != _name(log) or log.is_rewritten(self.position):
            return False
        met = mentioned_since(db, log.place_behind(self.position), SAID_MEANWHILE)
        return met is not None and self.everybody.isdisjoint(met) and not any(_spoke(db, each) for each in self.free)


def plan_unlink(
    db: sqlite3.Connection, subjects: Iterable[Subject], own: Belongings, seq: int, now: int
) -> UnlinkPlan:  # fmt: skip
    """Of one moment of a connection. `seq`: an entry behind all that are there, `now`: when it is made."""
    told, log = Relations(db), LedgerLog(db)
    near = with_looser(db, connected_people(db, own, told), told).union(*(each.looser for each in subjects))
    near -= own.keys()
    everybody = connected_people(db, near | own.keys(), told)
    sides = _SidesNear(db, told.about(), everybody)
    before, free = PeopleNear(sides.folded().get), _free_forms(db, told, own)
    forgotten = ForgottenPeople(own, sorted(near - free), before)
    gone = sides.change(Forgetting(own, near, _nobodys_before(db, told, own)))
    lifted = _forget_lifted(sides, near, before)
    kept = _keep(forgotten, FoldedOn(sides.folded().get, seq, now))
    return UnlinkPlan(own, _name(log), log.head, frozenset({*everybody, NOBODY}), free, gone, lifted, kept)


def _name(log: LedgerLog) -> str:
    return f"{log.name} {log.peppers}"


class _SidesNear:
    """What was said of some people, with what is changed of it, none of which is written."""

    def __init__(self, db: sqlite3.Connection, rows: Iterable[SideRow], keys: Collection[bytes]) -> None:
        self._db, self._keys = db, keys
        self.rows = {row.place: row for row in rows}

    def folded(self) -> dict[Place, Any]:
        return folded_from(self._db, [*self.rows.values()], self._keys)

    def change(self, change: Change) -> list[RewrittenSide]:
        """What is another one by it."""
        changed = [each for row in self.rows.values() if (each := row.changed(change)) is not None]
        self.rows.update((each.row.place, each.row) for each in changed)
        return changed


class Forgetting:
    """What is left of what was said: nothing of the forgotten from their first entry on, and none of their names. Of
    what stayed of somebody who was unlinked before, nothing that names one of these: what is lost with it is said anew.
    What stayed by an entry that was made late (`desk.late_noes`) is of whoever had the key before.
    """

    def __init__(self, own: Belongings, near: Collection[bytes], named: Collection[bytes]) -> None:
        """`named`: those of them whose names go; those of an earlier holder stay."""
        self._own, self._near, self._named = own, near, named

    def __call__(self, row: SideRow, record: Record) -> Record | None:
        said, seq = record.said, row.seq
        match said:
            case NamesLearnt():
                same = tuple(each for each in said.same if each not in self._named)
                left = said._replace(same=same)
                return record._replace(said=left) if any(left) and record.key not in self._named else None
            case LinkSaid():
                whose = {record.key, said.account}
            case SaidOut(source=Source.DROP):
                return record  # it stands until the state takes it back, whoever is forgotten
            case KeptNo():
                whose = {record.key, said.origin, said.via} if record.key in self._near else {record.key}
                seq = 0 if row.entered else row.seq
            case _:
                whose = {record.key}
        return None if any(seq >= self._own[each] for each in whose & self._own.keys()) else record


def _nobodys_before(db: sqlite3.Connection, told: Relations, own: Belongings) -> set[bytes]:
    """Those of whom, by any of their names, nothing was said before they were whose they are now."""
    heard = {key for key, since in own.items() if since and _spoke(db, key, since)}
    return {key for key in own if not heard.intersection((key, *told.targets[key], *told.names[key]))}


def _free_forms(db: sqlite3.Connection, told: Relations, own: Belongings) -> frozenset[bytes]:
    """The forms that only others hash and that are nobody's any more: what they deny they have from these alone."""
    forms = {form for key in own for form in told.looser[key]} - own.keys()
    told.read(forms)
    return frozenset(
        form for form in forms if not told.owners[form].keys() - own.keys() and not _is_others(db, told, form)
    )


def _is_others(db: sqlite3.Connection, told: Relations, form: bytes) -> bool:
    """Whether anything was said of a form itself, or it is somebody's exact name."""
    return any(each[form] for each in (told.targets, told.names, told.accounts)) or _spoke(db, form)


def _spoke(db: sqlite3.Connection, key: bytes, before: int = EVER) -> bool:
    return db.execute(SPOKE, (key, before)).fetchone() is not None


def _forget_lifted(sides: _SidesNear, near: set[bytes], before: PeopleNear) -> list[RewrittenSide]:
    """A no that stayed of somebody who was unlinked before, and that a yes of these lifted, is forgotten with that yes:
    without it, it would be there again.
    """
    kept = {_kept_no(record) for row in sides.rows.values() for record in row.records(near, {KeptNo})}
    lifted = {row for row in kept if not before.reads(row.key, row.purpose, row.origin)}
    if not lifted:
        return []
    after = PeopleNear(sides.folded().get)
    back = {row for row in lifted if after.reads(row.key, row.purpose, row.origin)}
    return sides.change(lambda _, record: None if _is_kept_in(record, back) else record)


def _kept_no(record: Record) -> NoRow:
    assert isinstance(record.said, KeptNo)
    return NoRow(record.key, record.said.purpose, record.said.origin, record.said.via)


def _is_kept_in(record: Record, rows: Collection[NoRow]) -> bool:
    return isinstance(record.said, KeptNo) and _kept_no(record) in rows


def _keep(forgotten: ForgottenPeople, log: FoldedOn) -> list[Stays]:
    """What is to be said anew; what is over comes before what stays, as the log has it."""
    kept = log.say(forgotten.ended(PeopleNear(log.get)))
    noes = sorted(forgotten.noes(PeopleNear(log.get)), key=lambda row: (row.via != row.key, row))
    kept += log.say((row.key, row.said()) for row in noes)
    kept += log.say(forgotten.revoked(PeopleNear(log.get)))
    kept += log.say(forgotten.told(PeopleNear(log.get)))
    kept += log.say(forgotten.ages(PeopleNear(log.get)))
    after = PeopleNear(log.get)
    kept += log.say([*forgotten.in_doubt(after), *forgotten.revoked(after)])
    return kept


DATED = (("act_claim", "key"), ("link_event", "account"), ("link_event", "identifier"))  # table, column with a key


def unlink(
    tx: Transaction, subjects: Sequence[Subject], own: Belongings, seq: int, now: int, plan: UnlinkPlan | None = None
) -> None:
    """Everything but what opens at recipients' doors: that was told before. `seq`: the erasure's first entry. `plan`:
    what is left, where it was found before the transaction; used if nothing was said since of anybody near.
    """
    if plan is None or not plan.holds(tx.db, own):
        plan = plan_unlink(tx.db, subjects, own, seq, now)
    _forget_entries(tx, own)
    for table, column in DATED:
        tx.db.executemany(f"DELETE FROM {table} WHERE {column} = ? AND seq >= ?", list(own.items()))  # noqa: S608 - ours
    look_at_dates(tx)
    for key in own:
        suppression.drop_suppression(tx, key)
        tx.db.execute("DELETE FROM erased WHERE identifier = ?", (key,))
    _rewrite(tx, plan.gone)
    if plan.lifted:
        _rewrite(tx, plan.lifted)
    if plan.kept:
        tx.say([Record(seq, now, *each) for each in plan.kept], now)


def _rewrite(tx: Transaction, sides: Sequence[RewrittenSide]) -> None:
    put_rewritten(tx.db, sides)
    tx.tell_forgotten(set().union(*(each.mentioned for each in sides)))


def _forget_entries(tx: Transaction, own: Mapping[bytes, int]) -> None:
    """The rows that open entries go, and what was answered with them; an entry's receipt is found by its event. That
    somebody asked is still counted.
    """
    told = BeforeUnlink(tx.db, own)
    for key, since in own.items():
        rows = tx.db.execute("SELECT seq, event, at FROM detail WHERE key = ? AND seq >= ?", (key, since)).fetchall()
        idempotency.forget_answers(tx, [(event, at) for _, event, at in rows])
        tx.db.executemany("INSERT INTO unlinked_event VALUES (?, ?)", [(event, seq) for seq, event, _ in rows])
        for table in ("detail", "told_event"):
            tx.db.executemany(f"DELETE FROM {table} WHERE seq = ?", [(seq,) for seq, *_ in rows])  # noqa: S608 - ours
    told.count()
