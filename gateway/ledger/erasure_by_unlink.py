"""Unlink: nothing leads from a person to an entry any more, nor from an entry to anything but its own receipt.

Deletes every row that was said of the person's keys. What others had got from them stays with those, as from nobody who
is known: what everybody near them reads is folded before and after, what they would lose is said anew (`kept_rows`),
and then folded once more, to see that they stand as before. Rows of before a number was given back are another person's
and stay.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from gateway.fold.record import KeptAge, KeptEnd, KeptNo, KeptNotice, KeptRevoked
from gateway.ledger import idempotency, suppression
from gateway.ledger.folded_people import folded_alone
from gateway.ledger.kept_rows import FoldedOn, ForgottenPeople, Stays
from gateway.ledger.log_records import End
from gateway.ledger.people_near import NoRow, PeopleNear
from gateway.ledger.reach import Belongings, connected_people, looser, with_looser
from gateway.ledger.schema import rows_of
from gateway.ledger.subjects import Subject
from gateway.ledger.writer import Transaction
from gateway.terms import Purpose

DATED = (  # table, column with a key; each has a `seq` of its own
    ("act_used", "key"),
    ("act_claim", "key"),
    ("link_event", "account"),
    ("link_event", "identifier"),
    ("kept_deny", "key"),
    ("kept_end", "key"),
    ("kept_revoked", "key"),
    ("kept_age", "key"),
    ("kept_told", "key"),
)
NAMES = (("name", "alias"), ("name", "canonical"), ("looser_name", "canonical"), ("mailbox_name", "spelling"))
OF_ENTRIES = ("given", "told_event", "age_event", "acted")  # keyed by an entry's number
OTHERS = (
    "SELECT 1 FROM detail WHERE key = ?",
    "SELECT 1 FROM link_event WHERE identifier = ?",
    "SELECT 1 FROM name WHERE ?1 IN (alias, canonical)",
)
KEPT = "SELECT key, purpose, origin, via, seq FROM kept_deny WHERE key IN ({marks})"
LOSE = "DELETE FROM kept_deny WHERE key = ? AND purpose = ? AND origin = ? AND via = ?"


def unlink(tx: Transaction, subjects: Sequence[Subject], own: Belongings, seq: int, now: int) -> None:
    """Everything but what opens at recipients' doors: that was told before. `seq`: the erasure's first entry."""
    near = with_looser(tx, connected_people(tx.db, own)).union(*(each.looser for each in subjects)) - own.keys()
    everybody = connected_people(tx.db, near | own.keys())
    before = PeopleNear(folded_alone(tx.db, everybody).get)
    forgotten = ForgottenPeople(own, sorted(near - _free_forms(tx, own)), before)
    _forget(tx, own)
    _forget_named(tx, own, near)
    _forget_lifted(tx, near, before, everybody)
    log = FoldedOn(folded_alone(tx.db, everybody).get, seq, now)
    _write(tx, _keep(forgotten, log), seq, now)


def _forget(tx: Transaction, own: Belongings) -> None:
    _forget_entries(tx, own)
    for table, column in DATED:
        tx.db.executemany(f"DELETE FROM {table} WHERE {column} = ? AND seq >= ?", list(own.items()))  # noqa: S608 - ours
    never_released = [(key,) for key, since in own.items() if not since]
    for table, column in NAMES:
        tx.db.executemany(f"DELETE FROM {table} WHERE {column} = ?", never_released)  # noqa: S608 - names are ours
    for key in own:
        suppression.drop_suppression(tx, key)
        tx.db.execute("DELETE FROM erased WHERE identifier = ?", (key,))


def _forget_entries(tx: Transaction, own: Mapping[bytes, int]) -> None:
    """The rows that open entries go, and what was answered with them; an entry's receipt is found by its event."""
    for key, since in own.items():
        rows = tx.db.execute("SELECT seq, event, at FROM detail WHERE key = ? AND seq >= ?", (key, since)).fetchall()
        idempotency.forget(tx, [(event, at) for _, event, at in rows])
        tx.db.executemany("INSERT INTO unlinked_event VALUES (?, ?)", [(event, seq) for seq, event, _ in rows])
        for table in ("detail", *OF_ENTRIES):
            tx.db.executemany(f"DELETE FROM {table} WHERE seq = ?", [(seq,) for seq, *_ in rows])  # noqa: S608 - ours


def _free_forms(tx: Transaction, own: Belongings) -> set[bytes]:
    """The forms that only others hash and that are nobody's any more: what they deny they have from these alone."""
    forms = {form for key in own for form in looser(tx, key, tx.size)} - own.keys()
    return {form for form in forms if not _is_others(tx, form, own)}


def _is_others(tx: Transaction, form: bytes, own: Belongings) -> bool:
    owners = {row[0] for row in tx.db.execute("SELECT canonical FROM looser_name WHERE alias = ?", (form,))}
    return bool(owners - own.keys()) or any(tx.db.execute(sql, (form,)).fetchone() for sql in OTHERS)


def _forget_named(tx: Transaction, own: Belongings, near: set[bytes]) -> None:
    """What stayed of somebody who was unlinked before, and names one of these: what is lost with it is said anew."""
    found = ((row[:4], row[4]) for row in rows_of(tx.db, KEPT, near))
    tx.db.executemany(LOSE, [row for row, seq in found if any(seq >= own[each] for each in row[2:] if each in own)])


def _forget_lifted(tx: Transaction, near: set[bytes], before: PeopleNear, everybody: set[bytes]) -> None:
    """A no that stayed of somebody who was unlinked before, and that a yes of these lifted, is forgotten with that yes:
    without it, it would be there again.
    """
    kept = (NoRow(key, Purpose(of), origin, via) for key, of, origin, via, _ in rows_of(tx.db, KEPT, near))
    lifted = [row for row in kept if not before.reads(row.key, row.purpose, row.origin)]
    if lifted:
        after = PeopleNear(folded_alone(tx.db, everybody).get)
        tx.db.executemany(LOSE, [row for row in lifted if after.reads(row.key, row.purpose, row.origin)])


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


def _write(tx: Transaction, kept: Iterable[Stays], seq: int, now: int) -> None:
    rows = defaultdict[str, list[tuple[object, ...]]](list)
    for key, said in kept:
        table, values = _row_of(said)
        rows[table].append((seq, now, key, *values))
    for table, its in rows.items():
        tx.db.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * len(its[0]))})", its)  # noqa: S608


def _row_of(said: KeptNo | KeptEnd | KeptRevoked | KeptAge | KeptNotice) -> tuple[str, tuple[object, ...]]:
    """Its table, and what stands there behind the key."""
    match said:
        case KeptNo():
            return "kept_deny", (said.purpose, said.origin, said.via)
        case KeptEnd():
            return "kept_end", (said.purpose, End.BOTH if said.no else End.YES, said.screen)
        case KeptRevoked():
            grant = said.grant
            return "kept_revoked", (grant.recipient, grant.purpose, grant.data_class or "", grant.kind)
        case KeptAge():
            return "kept_age", (said.age.band, said.age.youngest, said.age.fixed)
        case KeptNotice():
            return "kept_told", (said.notice, said.day)
