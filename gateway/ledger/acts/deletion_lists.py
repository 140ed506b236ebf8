"""A state's deletion list in the ledger: each request in it is a no to everything under the key of its digest, from the
part in which it came until the list takes it back. `gateway drop take` calls it, part by part.

A part is one entry, which says whose list it is and how many requests it has. Their noes are told beside it as those of
anybody are, so that they reach the accounts and the devices that the digest has or gets later, and a person's own yes
lifts them. A request that is there already is not said again, so that a file may be taken twice.

Ten digits are an American's whole number, and the last of somebody's number abroad. Under the key of their digest that
is an American name the no is the American's; it is said again under a second key, which denies numbers from abroad that
end in these digits and goes no further: neither holder's own words are the other's.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from gateway.fold.record import NamesLearnt, Record, SaidOut
from gateway.ledger.acts.reach import Relations
from gateway.ledger.proof import entry
from gateway.ledger.schema import rows_of
from gateway.ledger.side import Mention
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import ALL_PURPOSES, Source

PART = 250  # requests of one entry: while it is folded nobody is answered, and each that is known takes 2 ms
# Its mark tells it from what anybody said by the same digest: a signal beside it is news, and outlives it.
ORDER = SaidOut(ALL_PURPOSES, Source.DROP, mark=Source.DROP)
ORDER_ABROAD = ORDER._replace(mark="")  # by its second key: nobody else speaks by that
LIVE = "SELECT id, key, seq FROM deletion_row WHERE id IN ({marks}) AND gone IS NULL"
ENDED = "SELECT id, key FROM deletion_row WHERE id IN ({marks}) AND gone IS NOT NULL"
# By the same file also what is over: whoever changed their mind since is not asked about again.
SAID = """
SELECT r.id, r.key FROM deletion_row r JOIN deletion_batch b ON b.seq = r.seq
WHERE r.id IN ({marks}) AND (r.gone IS NULL OR b.file = ?)
"""
UNTOLD = """
SELECT r.seq, r.key FROM deletion_row r LEFT JOIN deletion_abroad a ON a.key = r.key AND a.seq = r.seq
WHERE r.key IN ({marks}) AND r.gone IS NULL AND a.key IS NULL
"""
PUT_ABROAD = "INSERT OR IGNORE INTO deletion_abroad VALUES (?, ?, ?)"
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
    `unknown`: never taken, or with another digest than the one that was, by their numbers.
    """

    done: int = 0
    before: int = 0
    unknown: tuple[str, ...] = ()

    def add(self, other: "PartTaken") -> None:
        """`unknown` is each part's own."""
        self.done += other.done
        self.before += other.before


def take_part(
    tx: Transaction, part: ListPart, requests: Sequence[ListedRequest], abroad: Mapping[bytes, bytes]
) -> PartTaken:
    """Every request that is not live yet, nor was taken from this file, and the entry of all of them; none where there
    is nothing new. One number with two digests is two requests, in an entry each. `abroad`: the second keys, by the
    first; of numbers alone.
    """
    said = {*rows_of(tx.db, SAID, [each.id for each in requests], part.file)}
    fresh = {each: None for each in requests if each not in said}
    new = [*{each.id: each for each in reversed(fresh)}.values()]
    now = milliseconds(part.at)
    tx.say([Record(tx.size, now, each.key, ORDER) for each in new], now)
    tx.db.executemany(PUT, [(each.id, tx.size, each.key) for each in new])
    _say_abroad(tx, abroad, now)
    if new:
        _append(tx, part, entry.DELETION_LIST, len(new))
    taken = PartTaken(len(new), len(requests) - len(fresh))
    once = {*new}
    if more := [each for each in fresh if each not in once]:
        taken.add(take_part(tx, part, more, abroad))
    return taken


def _say_abroad(tx: Transaction, abroad: Mapping[bytes, bytes], now: int) -> None:
    """Every live request of these digests by its second key, beside the entry that it came with: also those that were
    taken by a gateway that knew no second keys.
    """
    untold = sorted(rows_of(tx.db, UNTOLD, abroad.keys()))
    for seq, of in groupby(untold, key=itemgetter(0)):
        tx.say([Record(seq, now, abroad[key], ORDER_ABROAD) for _, key in of], now)
    tx.db.executemany(PUT_ABROAD, [(key, seq, abroad[key]) for seq, key in untold])


def end_part(tx: Transaction, part: ListPart, requests: Sequence[ListedRequest]) -> PartTaken:
    """Every live request among these is over, by one entry; what else says no of anybody stays. In doubt about whom one
    means it stays, too.
    """
    ids = [each.id for each in requests]
    live = {ListedRequest(id_, key): seq for id_, key, seq in rows_of(tx.db, LIVE, ids)}
    ended = {each: live[each] for each in requests if each in live}
    gone = {*rows_of(tx.db, ENDED, ids)} - ended.keys()
    if ended:
        seq, now = _append(tx, part, entry.TAKEN_BACK, len(ended)), milliseconds(part.at)
        tx.db.executemany(END, [(seq, now, each.id, said_by) for each, said_by in ended.items()])
        tx.tell_anew({*ended.values()})
    unknown = tuple(each.id for each in requests if each not in ended and each not in gone)
    return PartTaken(len(ended), sum(each in gone for each in requests), unknown)


def know_numbers(tx: Transaction, names: Mapping[bytes, bytes], at: datetime) -> None:
    """American numbers that were known before they had a name in lists have it from now on. `names`: that name, by the
    looser form that each such number always had.
    """
    told = Relations(tx.db, Mention.NAME)
    told.read(names.keys())
    owners = {owner: name for form, name in names.items() for owner in told.owners[form]}
    told.read(owners.keys())
    now, new = milliseconds(at), [each for each in owners.items() if each[1] not in told.names[each[0]]]
    tx.say([Record(tx.size, now, owner, NamesLearnt((name,))) for owner, name in new], now)


def _append(tx: Transaction, part: ListPart, kind: str, count: int) -> int:
    body = entry.deletion_list(
        event=os.urandom(16), kind=kind, place=part.place, listed=part.kind, count=count, at=part.at
    )
    seq = tx.append(body, (), milliseconds(part.at))
    row = (seq, milliseconds(part.at), part.place, part.file, part.kind, part.received.toordinal(), count)
    tx.db.execute("INSERT INTO deletion_batch VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return seq
