"""A state's deletion list in the ledger: each request in it is a no to everything under the key of its digest, from the
part in which it came until the list takes it back. `gateway drop take` calls it, part by part.

A part is one entry, which says whose list it is and how many requests it has. Their noes are told beside it as those of
anybody are, so that they reach the accounts and the devices that the digest has or gets later, and a person's own yes
lifts them. A request that is there already is not said again, so that a file may be taken twice.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from gateway.fold.record import Record, SaidOut
from gateway.ledger.proof import entry
from gateway.ledger.schema import rows_of
from gateway.ledger.subjects import milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import ALL_PURPOSES, Source

PART = 2_000  # requests of one entry: their fold takes 0.2 s, in which nobody is answered and an opt-out waits
ORDER = SaidOut(ALL_PURPOSES, Source.DROP)
LIVE = "SELECT id, seq, key FROM deletion_row WHERE id IN ({marks}) AND gone IS NULL"
PUT = "INSERT INTO deletion_row (id, seq, key) VALUES (?, ?, ?)"
END = "UPDATE deletion_row SET gone = ?, gone_at = ? WHERE id = ? AND seq = ?"


@dataclass(frozen=True, slots=True)
class ListPart:
    """Which file a part is of, and when. `place`: whose list (ISO 3166-2); `kind`: of its identifiers; `received`: the
    day of the download.
    """

    place: str
    file: str
    kind: str
    received: date
    at: datetime


class ListedRequest(NamedTuple):
    """`id`: the state's own number of it. `key`: of its digest."""

    id: str
    key: bytes


@dataclass(slots=True)
class PartTaken:
    """How many requests of a part are new, or are over now; how many were so `before`. Of what a list takes back:
    `unknown`: never taken, or with another digest than the one that was.
    """

    done: int = 0
    before: int = 0
    unknown: tuple[str, ...] = ()

    def add(self, other: "PartTaken") -> None:
        self.done += other.done
        self.before += other.before
        self.unknown += other.unknown


def take_part(tx: Transaction, part: ListPart, requests: Sequence[ListedRequest]) -> PartTaken:
    """Every request that is not live yet, and the entry of all of them; none where there is nothing new."""
    live = {(id_, key) for id_, _, key in rows_of(tx.db, LIVE, [each.id for each in requests])}
    new = [*{each.id: each for each in requests if each not in live}.values()]
    if new:
        now = milliseconds(part.at)
        tx.say([Record(tx.size, now, each.key, ORDER) for each in new], now)
        seq = _append(tx, part, entry.DELETION_LIST, len(new))
        tx.db.executemany(PUT, [(each.id, seq, each.key) for each in new])
    return PartTaken(len(new), len(requests) - len(new))


def end_part(tx: Transaction, part: ListPart, requests: Sequence[ListedRequest]) -> PartTaken:
    """Every live request among these is over, by one entry; what else says no of anybody stays. In doubt about whom one
    means it stays, too.
    """
    live = {id_: (seq, key) for id_, seq, key in rows_of(tx.db, LIVE, [each.id for each in requests])}
    ended = {each.id: live[each.id][0] for each in requests if each.id in live and live[each.id][1] == each.key}
    others = [each.id for each in requests if each.id not in ended]
    gone = {id_ for (id_,) in rows_of(tx.db, "SELECT id FROM deletion_row WHERE id IN ({marks})", others)} - live.keys()
    if ended:
        seq, now = _append(tx, part, entry.TAKEN_BACK, len(ended)), milliseconds(part.at)
        tx.db.executemany(END, [(seq, now, id_, said_by) for id_, said_by in ended.items()])
        tx.tell_anew({*ended.values()})
    return PartTaken(len(ended), len(gone), tuple(each for each in others if each not in gone))


def _append(tx: Transaction, part: ListPart, kind: str, count: int) -> int:
    body = entry.deletion_list(
        event=os.urandom(16), kind=kind, place=part.place, listed=part.kind, count=count, at=part.at
    )
    seq = tx.append(body, (), milliseconds(part.at))
    row = (seq, milliseconds(part.at), part.place, part.file, part.kind, part.received.toordinal(), count)
    tx.db.execute("INSERT INTO deletion_batch VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return seq
