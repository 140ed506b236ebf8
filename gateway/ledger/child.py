"""A child was found: no to everything and the youngest age, for good (R14). Owns what the entry changes, once it is
there; what is forgotten is erasure.py's.
"""

from gateway.ledger import ages, travel
from gateway.ledger.reach import group, targets_of, whole_of
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import Subject
from gateway.ledger.writer import Transaction
from gateway.terms import CHOOSABLE


def deny(tx: Transaction, subject: Subject, seq: int, now: int) -> None:
    """On an identifier, its other names and all that an account has now; for good, but for what only an app's word ties
    to it, which is as young as the account while it does.
    """
    travel.opt_out(tx, subject.key, CHOOSABLE, seq, now, account=subject.is_account, looser=subject.looser)
    keys = whole_of(tx, subject.key, now) if subject.is_account else group(tx, subject.key)
    ages.fix(tx, sorted(keys), seq)
    recompute(tx, keys | (targets_of(tx, subject.key, now) if subject.is_account else set()), now)
