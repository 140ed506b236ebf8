"""When a no was said: of those that somebody said themselves, after which they are not asked again for a year (R4), and
of any. For the banner, for the answers to choices, and for whoever compares a no with a later yes.
"""

import sqlite3
from collections.abc import Iterable, Mapping

from gateway.fold import reading
from gateway.fold.state import NO_RECORD, Bit, Slate
from gateway.ledger.acts.folded_people import StandingPeople, folded_alone
from gateway.ledger.acts.releases import released_since
from gateway.terms import Purpose

AT = "SELECT at FROM detail WHERE seq = ?"


def last_outs_at(db: sqlite3.Connection, people: StandingPeople, keys: Iterable[bytes]) -> dict[Purpose, int]:
    """Of the present holders of any of these keys, in Unix milliseconds; `people`: who are folded, these among them."""
    return _latest(db, (reading.last_outs(key, people.get) for key in keys))


def own_outs_at(db: sqlite3.Connection, keys: Iterable[bytes]) -> dict[Purpose, int]:
    """The same from what was said of each key alone: for pages, whose account may have a thousand browsers."""
    return _latest(db, (_own_outs(db, key) for key in keys))


def _own_outs(db: sqlite3.Connection, key: bytes) -> dict[Purpose, int]:
    """As `reading.last_outs`."""
    own, since = Slate(folded_alone(db, {key}).get).row(key).own, released_since(db, key)
    return {purpose: bit.dated for purpose, bit in own.items() if bit.dated >= since}


def _latest(db: sqlite3.Connection, outs: Iterable[Mapping[Purpose, int]]) -> dict[Purpose, int]:
    last: dict[Purpose, int] = {}
    for each in outs:
        for purpose, seq in each.items():
            last[purpose] = max(seq, last.get(purpose, seq))
    at = {seq: db.execute(AT, (seq,)).fetchone()[0] for seq in {*last.values()}}
    return {purpose: at[seq] for purpose, seq in last.items()}


def last_said(bit: Bit) -> int:
    """The record by which a no was said last; of somebody who is forgotten the one since which it lies here."""
    return bit.came if bit.seq == NO_RECORD else bit.seq
