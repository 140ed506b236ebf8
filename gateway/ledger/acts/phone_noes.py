"""What the ids of one phone have from each other, as one installation of an app sees them (R26, P3), and when that
installation last said no itself. `consent.installations` and `consent.still_out` call it.

A person who opted out is out by their new ad id too: a state of this installation (`device_states`), which ends once
the others are free again. A no is an installation's where it has its mark.
"""

import sqlite3
from collections.abc import Collection, Iterable
from itertools import chain

from gateway.fold.reading import come_back, read_noes
from gateway.fold.record import SaidOut
from gateway.fold.state import Slate, widened
from gateway.ledger.acts.folded_people import people_of
from gateway.ledger.acts.last_outs import last_said
from gateway.ledger.log_records import side_rows
from gateway.ledger.side import mark_key
from gateway.ledger.transaction import Transaction
from gateway.terms import ALL_PURPOSES, Purpose

NOT_BY_TOKEN = frozenset({Purpose.SENSITIVE})  # the precise location is never a token's to open


class PhoneFolded:
    """The phone and its ids. `keys`: of all of them, the phone's own too; `mark`: of the installation."""

    def __init__(self, tx: Transaction, keys: Iterable[bytes], mark: str) -> None:
        self._people = people_of(tx, keys)
        self._mark = mark

    def came_back(self, phone: bytes, ids: Iterable[bytes]) -> frozenset[Purpose]:
        """What the installation opted in to again, where each no on these ids is its own."""
        return come_back(self._mark, phone, ids, self._people.get)

    def owed(self, key: bytes, others: Iterable[bytes], lifted: Collection[Purpose]) -> set[Purpose]:
        """What an id has from the others: what it does not say by itself, and did not allow by itself since. `lifted`:
        what the installation came back from.
        """
        slate = self._people.slate()
        ins = slate.row(key).ins.items()
        allowed = {purpose: yes.seq for purpose, yes in ins if yes.screen not in slate.voids}
        own, said = _last_noes(slate, [key]), _last_noes(slate, others)
        return {
            purpose
            for purpose, seq in said.items()
            if purpose not in own and allowed.get(purpose, -1) < seq and purpose not in lifted
        }


def _last_noes(slate: Slate, keys: Iterable[bytes]) -> dict[Purpose, int]:
    """What was chosen for any of these, by themselves or from afar, and the last entry that says so."""
    found: dict[Purpose, int] = {}
    for key in keys:
        for no in read_noes(slate, key):
            if no.purpose in ALL_PURPOSES and no.holds(slate.voids):
                found[no.purpose] = max(last_said(no.bit), found.get(no.purpose, -1))
    return found


def last_said_no(db: sqlite3.Connection, mark: str, since: int = 0) -> dict[Purpose, int]:
    """When an installation last said no to each purpose, in Unix milliseconds; of entries from a place on."""
    latest: dict[Purpose, int] = {}
    rows = [row for row in side_rows(db, [mark_key(mark)]) if row.seq >= since]
    for record in chain.from_iterable(row.records() for row in rows):
        if isinstance(record.said, SaidOut) and record.said.mark == mark:
            for purpose in widened(record.said.purposes):
                latest[purpose] = max(record.at, latest.get(purpose, 0))
    return latest
