"""Unlink: nothing leads from a person to an entry any more, nor from an entry to anything but its own receipt.

Deletes every row that was said of the person's keys. What others had got from them stays with those, as from nobody who
is known: what that is was found before (`unlink_plan`). Rows of before a number was given back are another person's and
stay.
"""

from collections.abc import Mapping, Sequence

from gateway.desk import suppression
from gateway.desk.answered_requests import BeforeUnlink
from gateway.desk.forgetting.unlink_plan import UnlinkPlan, plan_unlink
from gateway.fold.record import Record
from gateway.ledger.acts import idempotency
from gateway.ledger.acts.folded_people import Belongings
from gateway.ledger.acts.records import look_at_dates
from gateway.ledger.log_records import RewrittenSide, put_rewritten
from gateway.ledger.subjects import Subject
from gateway.ledger.transaction import Transaction

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
