"""Unlink: nothing leads from a person to an entry any more, nor from an entry to anything but its own receipt.

Deletes every row that was said of the person's keys. What others had got from them stays with those, as from nobody who
is known: what everybody near them reads is folded before and after, what they would lose is said anew (`kept_rows`),
and then folded once more, to see that they stand as before. Rows of before a number was given back are another person's
and stay.
"""

from collections.abc import Collection, Mapping, Sequence

from gateway.desk import suppression
from gateway.desk.answered_requests import BeforeUnlink
from gateway.desk.forgetting.kept_rows import FoldedOn, ForgottenPeople, Stays
from gateway.desk.forgetting.people_near import NoRow, PeopleNear
from gateway.fold.record import KeptNo, LinkSaid, NamesLearnt, Record, SaidOut
from gateway.ledger.acts import idempotency
from gateway.ledger.acts.folded_people import folded_alone
from gateway.ledger.acts.reach import Belongings, Relations, connected_people, with_looser
from gateway.ledger.acts.records import look_at_dates
from gateway.ledger.log_records import SideRow, rewrite_sides, side_rows
from gateway.ledger.side import Mention
from gateway.ledger.subjects import Subject
from gateway.ledger.transaction import Transaction
from gateway.terms import Source

SPOKE = "SELECT 1 FROM detail WHERE key = ?"
DATED = (("act_claim", "key"), ("link_event", "account"), ("link_event", "identifier"))  # table, column with a key


def unlink(tx: Transaction, subjects: Sequence[Subject], own: Belongings, seq: int, now: int) -> None:
    """Everything but what opens at recipients' doors: that was told before. `seq`: the erasure's first entry."""
    near = with_looser(tx.db, connected_people(tx.db, own)).union(*(each.looser for each in subjects)) - own.keys()
    everybody = connected_people(tx.db, near | own.keys())
    before = PeopleNear(folded_alone(tx.db, everybody).get)
    forgotten = ForgottenPeople(own, sorted(near - _free_forms(tx, own)), before)
    _forget(tx, own, near)
    _forget_lifted(tx, near, before, everybody)
    log = FoldedOn(folded_alone(tx.db, everybody).get, seq, now)
    if kept := _keep(forgotten, log):
        tx.say([Record(seq, now, *each) for each in kept], now)


def _forget(tx: Transaction, own: Belongings, near: set[bytes]) -> None:
    _forget_entries(tx, own)
    for table, column in DATED:
        tx.db.executemany(f"DELETE FROM {table} WHERE {column} = ? AND seq >= ?", list(own.items()))  # noqa: S608 - ours
    look_at_dates(tx)
    for key in own:
        suppression.drop_suppression(tx, key)
        tx.db.execute("DELETE FROM erased WHERE identifier = ?", (key,))
    tx.tell_forgotten(set().union(*rewrite_sides(tx.db, side_rows(tx.db, own), Forgetting(own, near))))


class Forgetting:
    """What is left of what was said: nothing of the forgotten from their first entry on, and none of their names. Of
    what stayed of somebody who was unlinked before, nothing that names one of these: what is lost with it is said anew.
    """

    def __init__(self, own: Belongings, near: Collection[bytes]) -> None:
        self._own, self._near = own, near
        self._named = {key for key, since in own.items() if not since}  # its names are no earlier holder's

    def __call__(self, row: SideRow, record: Record) -> Record | None:
        said = record.said
        match said:
            case NamesLearnt():
                same = tuple(each for each in said.same if each not in self._named)
                left = said._replace(same=same)
                return record._replace(said=left) if any(left) and record.key not in self._named else None
            case LinkSaid():
                whose = {record.key, said.account}
            case SaidOut(source=Source.DROP):
                return record  # it stands until the state takes it back, whoever is forgotten
            case KeptNo() if record.key in self._near:
                whose = {record.key, said.origin, said.via}
            case _:
                whose = {record.key}
        return None if any(row.seq >= self._own[each] for each in whose & self._own.keys()) else record


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


def _free_forms(tx: Transaction, own: Belongings) -> set[bytes]:
    """The forms that only others hash and that are nobody's any more: what they deny they have from these alone."""
    told = Relations(tx.db)
    told.read(own)
    forms = {form for key in own for form in told.looser[key]} - own.keys()
    told.read(forms)
    return {form for form in forms if not told.owners[form].keys() - own.keys() and not _is_others(tx, told, form)}


def _is_others(tx: Transaction, told: Relations, form: bytes) -> bool:
    """Whether anything was said of a form itself, or it is somebody's exact name."""
    ways = (told.targets, told.names, told.accounts)
    return any(each[form] for each in ways) or tx.db.execute(SPOKE, (form,)).fetchone() is not None


def _forget_lifted(tx: Transaction, near: set[bytes], before: PeopleNear, everybody: set[bytes]) -> None:
    """A no that stayed of somebody who was unlinked before, and that a yes of these lifted, is forgotten with that yes:
    without it, it would be there again.
    """
    rows = side_rows(tx.db, near, Mention.OF)
    kept = {_kept_no(record) for row in rows for record in row.records(near, {KeptNo})}
    lifted = {row for row in kept if not before.reads(row.key, row.purpose, row.origin)}
    if lifted:
        after = PeopleNear(folded_alone(tx.db, everybody).get)
        back = {row for row in lifted if after.reads(row.key, row.purpose, row.origin)}
        changed = rewrite_sides(tx.db, rows, lambda _, record: None if _is_kept_in(record, back) else record)
        tx.tell_forgotten(set().union(*changed))


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
