"""From which entry on a number or mailbox is its present prover's, however it came to them: control of it proves
nothing about the time before (R5). For whoever shows or forgets what is on record by such proof: reports, history,
openings, erasures, what own systems were asked. And when a no was said: of those that somebody said themselves, after
which they are not asked again for a year (R4), for the banner and for the answers to choices. Reads only. What denies
never looks at it: a no stays where it was said.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from gateway.fold import reading
from gateway.fold.state import EMPTY, NO_RECORD, Bit, Slate
from gateway.ledger.acts.folded_people import Relations, StandingPeople, Ways, folded_alone, group, people_at_hand
from gateway.ledger.acts.links import Span
from gateway.ledger.side import Mention
from gateway.ledger.transaction import Transaction
from gateway.terms import Purpose

NEVER_MIND = 2**62  # as `before`: until now
ENDED = "SELECT seq FROM link_event WHERE identifier = ? AND released"


def released_since(db: sqlite3.Connection, key: bytes, before: int = NEVER_MIND) -> int:
    """The entry from which on what is said of a key is its present holder's; 0: it never went back. `before`: of
    whoever had it at that entry.
    """
    return max((seq + 1 for seq in _releases(db, key) if seq < before), default=0)


def _releases(db: sqlite3.Connection, key: bytes) -> list[int]:
    """The entries by which it was given back, whether an account had it or not."""
    ended = [seq for (seq,) in db.execute(ENDED, (key,))]
    for form, since in _forms(told := Relations(db, Mention.NAME), key).items():
        ended += [seq for seq in told.releases[form] if seq >= since]
    return ended


def since_when(tx: Transaction) -> Callable[[bytes], int]:
    """The same up to now of any key, for whoever writes: as the state has it, where that is at hand. To be asked for
    again behind what the transaction says.
    """
    people = people_at_hand(tx)
    if people is None:
        return partial(released_since, tx.db)
    get = people.get
    return lambda key: (get(key) or EMPTY).since


def _forms(told: Relations, key: bytes) -> dict[bytes, int]:
    """Whoever gives back one form of it gives back all that were known by then: names, and the other spellings of a
    mailbox. Each since which entry.
    """
    told.read([key])
    found = {key: 0, **told.targets[key]}
    for ways in (told.boxes, told.spellings, told.names):
        told.read(found)
        found = _onward(found, ways)
    told.read(found)
    return found


def _onward(forms: Mapping[bytes, int], ways: Ways) -> dict[bytes, int]:
    """With those that they lead to."""
    found = dict(forms)
    for form, since in forms.items():
        for other, told in ways[form].items():
            later = max(since, told)
            found[other] = min(later, found.get(other, later))
    return found


AT = "SELECT at FROM detail WHERE seq = ?"


def last_outs_at(db: sqlite3.Connection, people: StandingPeople, keys: Iterable[bytes]) -> dict[Purpose, int]:
    """Of the present holders of any of these keys, in Unix milliseconds; `people`: who are folded, these among them."""
    return _latest(db, (reading.last_outs(key, people.get) for key in keys))


def own_outs_at(db: sqlite3.Connection, keys: Iterable[bytes]) -> dict[Purpose, int]:
    """The same from what was said of each key alone: for pages, whose account may have a thousand browsers."""
    own = ((Slate(folded_alone(db, {key}).get).row(key), released_since(db, key)) for key in keys)
    return _latest(db, (reading.outs_since(row, since) for row, since in own))


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


PASSED_ON = ("phone", "email")  # kinds that other people get later, and the digests of them
EVENTS = (
    "SELECT seq, account, identifier, start, until, released, at FROM link_event"
    " WHERE {column} = ? AND NOT claimed ORDER BY turn"
)
KIND = "SELECT kind FROM detail WHERE key = ? LIMIT 1"
LAST_BEFORE = "SELECT seq FROM detail WHERE at < ? AND seq < ? ORDER BY at DESC, seq DESC LIMIT 1"
FIRST_BEHIND = "SELECT coalesce(min(seq), (SELECT size FROM head)) FROM detail WHERE seq > ?"
NEAR = 1_000  # entries beside one that are looked at
# The next one to each side of an entry that is no older than a moment.
LATER_AHEAD = f"""
SELECT seq, at FROM (SELECT seq, at FROM detail WHERE seq < ? ORDER BY seq DESC LIMIT {NEAR}) AS near
WHERE at >= ? ORDER BY seq DESC LIMIT 1
"""  # noqa: S608 - ours
LATER_BEHIND = f"""
SELECT at FROM (SELECT seq, at FROM detail WHERE seq > ? ORDER BY seq LIMIT {NEAR}) AS near
WHERE at >= ? ORDER BY seq LIMIT 1
"""  # noqa: S608 - ours
NO_EARLIER = "SELECT at FROM detail WHERE seq >= ? ORDER BY seq LIMIT 1"  # the release's own may be forgotten
SPOKEN = "SELECT 1 FROM detail WHERE key = ? AND seq BETWEEN ? AND ? LIMIT 1"
ERASED = "SELECT seq FROM erased WHERE identifier = ?"


@dataclass(frozen=True, slots=True)
class Had:
    """An identifier that an account had. `seq`: the entry that began the link, `at`: its time; `ended`: an entry
    says that it is over.
    """

    account: bytes
    key: bytes
    span: Span
    seq: int
    at: int
    ended: bool = False

    def shown(self) -> "Had":
        """Counted from the later of its start and its entry: a start is somebody's word (R5)."""
        return replace(self, span=Span(max(self.span.start, self.at), self.span.until))

    def changed(self, now: int) -> int:
        """When it last changed hands by this, in Unix milliseconds."""
        span = self.shown().span
        return span.until if span.until is not None and span.over(now) else span.start


def held_since(db: sqlite3.Connection, key: bytes, now: int) -> int:
    """The entry from which on what is said of a key is of whoever proves it now: since it was last given back, came to
    its present account or left its last one. 0: always.
    """
    return _last(db, key, ((had.changed(now), had) for had in _passed(db, group(db, key))), now)


def forgotten_since(db: sqlite3.Connection, key: bytes, now: int, proved: Collection[bytes]) -> int:
    """The same where they have it forgotten and `proved` are accounts of theirs: it is nobody else's but since another
    account had it. Their own account takes it from nobody, and nor does the first one that ever has it.
    """
    return _last(db, key, _taken(_passed(db, group(db, key)), now, proved), now)


def passed_since(db: sqlite3.Connection, key: bytes, now: int) -> int:
    """How many entries there have to be by a moment for nobody else to have had it by then, as far as is on record.
    The first account that ever has it takes it from nobody; of several that have it now nobody knows whose it is.
    """
    found = _passed(db, group(db, key))
    theirs = {had.account for had in found if not had.span.over(now)}
    return _last(db, key, _taken(found, now, theirs if len(theirs) == 1 else ()), now, behind=1)


def passed_at(db: sqlite3.Connection, key: bytes, now: int, proved: Collection[bytes]) -> int:
    """When somebody else had it last by what `forgotten_since` looks at, in Unix milliseconds; 0: never. For what waits
    for its holder and is no entry.
    """
    released, times = max(_releases(db, key), default=None), [0]
    if released is not None:
        times += db.execute(NO_EARLIER, (released,)).fetchone() or [now]
    return max(*times, *(at for at, _ in _taken(_passed(db, group(db, key)), now, proved)), 0)


def linked_since(db: sqlite3.Connection, key: bytes, now: int, accounts: Collection[bytes]) -> int:
    """The same of what these accounts have, where nobody proved that they are theirs: of a device too."""
    had = [each for name in group(db, key) for each in spans_of(db, "identifier", name)]
    return _last(db, key, _taken(had, now, accounts), now)


def shown_since(db: sqlite3.Connection, key: bytes, now: int) -> int:
    """What `held_since` says, of what is shown of it: nothing from before it was last erased (R19)."""
    row = db.execute(ERASED, (key,)).fetchone()
    return max(held_since(db, key, now), row[0] if row else 0)


def changed_hands(db: sqlite3.Connection, names: Iterable[bytes], now: int) -> int:
    """When links last had it change hands, in Unix milliseconds; 0 for what no account had, or what does not pass on.
    `names`: what one identifier goes by. For what is counted by its time.
    """
    return max((had.changed(now) for had in _passed(db, names)), default=0)


def spans_of(db: sqlite3.Connection, column: str, key: bytes, without: bytes = b"") -> list[Had]:
    """The times of links, made again from every change of them, as `links.put` made them."""
    found: dict[tuple[bytes, bytes], list[Had]] = {}
    for seq, account, identifier, start, until, released, said in db.execute(EVENTS.format(column=column), (key,)):
        if account == without:
            continue
        times = found.setdefault((account, identifier), [])
        told = Span(start, until)
        if times and not times[-1].ended and (released or not times[-1].span.over(said)):
            span = Span(times[-1].span.start, until) if released else times[-1].span.told_again(told, said)
            times[-1] = replace(times[-1], span=span, ended=bool(released) or span.over(said))
        elif not released:
            times.append(Had(account, identifier, told, seq, said, told.over(said)))
    return [each for times in found.values() for each in times]


def kind_of(db: sqlite3.Connection, key: bytes) -> str:
    """The kind of identifier; empty where no entry tells it."""
    row = db.execute(KIND, (key,)).fetchone()
    return row[0] if row else ""


def _passed(db: sqlite3.Connection, names: Iterable[bytes]) -> list[Had]:
    """Whoever had a number or mailbox; what no entry tells the kind of may be one."""
    had = (each for name in names for each in spans_of(db, "identifier", name))
    return [each for each in had if (kind_of(db, each.key) or PASSED_ON[0]).startswith(PASSED_ON)]


def _taken(found: Collection[Had], now: int, proved: Collection[bytes]) -> Iterator[tuple[int, Had]]:
    """When others left it, or it came to somebody behind others, in Unix milliseconds, and by which link."""
    for had in found:
        before = {each.account for each in found if each.seq < had.seq}.difference(proved, {had.account})
        if had.account not in proved and had.span.over(now):
            yield had.changed(now), had
        elif before:
            yield had.shown().span.start, had


def _last(db: sqlite3.Connection, key: bytes, changes: Iterable[tuple[int, Had]], now: int, behind: int = 0) -> int:
    """The entry of the last change, or so many behind it, or the one behind the last time that it was given back."""
    entries = (behind + (had.seq if at == had.at else _entry_at(db, key, at, now)) for at, had in changes)
    return max(released_since(db, key), *entries, 0)


def _entry_at(db: sqlite3.Connection, key: bytes, at: int, now: int) -> int:
    """The first entry behind what was said before a moment; in doubt a later one. What was said late of the key itself
    is of whoever had it before.
    """
    last = last_before(db, at, now, lambda first, end: not db.execute(SPOKEN, (key, first, end)).fetchone())
    return int(db.execute(FIRST_BEHIND, (last,)).fetchone()[0])


def last_before(
    db: sqlite3.Connection, at: int, now: int = 0, may_be_late: Callable[[int, int], bool] = lambda *_: True
) -> int:
    """The last entry of before a moment; -1: there is none. Not the one before the first with a later time, for a clock
    may have been ahead; nor one that waited until others were made (`desk.emergency`). `now`: when it is asked, where
    something may have waited that is the last; `may_be_late`: whether such a run of entries may be passed over.
    """
    behind = NEVER_MIND
    while (row := db.execute(LAST_BEFORE, (at, behind)).fetchone()) is not None:
        late = _first_of_late(db, row[0], at, now)
        if late is None or not may_be_late(late, row[0]):
            return int(row[0])
        behind = late
    return -1


def _first_of_late(db: sqlite3.Connection, seq: int, at: int, now: int) -> int | None:
    """Of a run of entries of before a moment that waited: on both sides of it are later ones, which are in their order.
    Behind one of a clock that was ahead come earlier ones.
    """
    ahead = db.execute(LATER_AHEAD, (seq, at)).fetchone()
    if ahead is None:
        return None
    behind = db.execute(LATER_BEHIND, (seq, at)).fetchone()
    return ahead[0] + 1 if (behind[0] if behind else now) >= ahead[1] else None
