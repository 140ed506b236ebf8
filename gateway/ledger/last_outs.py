"""When a no was said: of those that somebody said themselves, after which they are not asked again for a year (R4), and
of any. For the banner, for the answers to choices, and for whoever compares a no with a later yes.
"""

import sqlite3
from collections.abc import Iterable

from gateway.fold import reading
from gateway.fold.state import NO_RECORD, Bit
from gateway.ledger.folded_people import StandingPeople
from gateway.terms import Purpose

AT = "SELECT at FROM detail WHERE seq = ?"


def last_outs_at(db: sqlite3.Connection, people: StandingPeople, keys: Iterable[bytes]) -> dict[Purpose, int]:
    """Of the present holders of any of these keys, in Unix milliseconds; `people`: who are folded, these among them."""
    last: dict[Purpose, int] = {}
    for key in keys:
        for purpose, seq in reading.last_outs(key, people.get).items():
            last[purpose] = max(seq, last.get(purpose, seq))
    return {purpose: db.execute(AT, (seq,)).fetchone()[0] for purpose, seq in last.items()}


def last_said(bit: Bit) -> int:
    """The record by which a no was said last; of somebody who is forgotten the one since which it lies here."""
    return bit.came if bit.seq == NO_RECORD else bit.seq
