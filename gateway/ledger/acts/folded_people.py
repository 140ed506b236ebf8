"""Who some people are and what stands of them inside one transaction or reading, by the fold (`gateway.fold`): from the
state of this host where it is at hand, else folded from what was said of some keys and of whoever is connected with
them. For whoever writes and has to know what is news, and for rare work such as a look back, an erasure, a page about
one person. Checks read the state themselves (`gateway.state`).

Whom a key leads to is read of what the ledger was told: the names of one identifier, the spellings of one mailbox,
whoever is or was connected with it, at any time. What reaches whom, by links and names as they stand, is the fold's
(`fold.kin`). Reads only.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.fold import fold, reading
from gateway.fold.record import LinkSaid, NamesLearnt, Record, Released
from gateway.fold.state import FOR_EVER, Get, Place, Slate
from gateway.ledger.log_records import (
    NOBODY,
    LedgerLog,
    SideRow,
    find_ahead,
    records_of,
    side_rows,
    sides_since,
    told_by,
)
from gateway.ledger.side import Mention
from gateway.ledger.subjects import Subject
from gateway.ledger.transaction import StoodBefore, Transaction

Belongings = Mapping[bytes, int]  # key: the first entry that is its present holder's
Ways = defaultdict[bytes, dict[bytes, int]]  # from a key to others, each since which entry
TELLING = frozenset({NamesLearnt, LinkSaid, Released})


class Relations:
    """What was said of keys that have been read (`read`), both ways, each row of the log once: `targets` and `names`,
    `owners` and `looser` forms, `boxes` and `spellings`, `accounts` and `members`; and their releases, by entry.
    `ways`: the last of those that count: up to names, no account's members are read.
    """

    def __init__(self, db: sqlite3.Connection, ways: Mention = Mention.THROUGH) -> None:
        self._db, self._ways = db, ways
        self._read = set[bytes]()
        self.rows = dict[int, SideRow]()  # of the log, by place
        self.targets, self.names = Ways(dict), Ways(dict)
        self.owners, self.looser = Ways(dict), Ways(dict)
        self.boxes, self.spellings = Ways(dict), Ways(dict)
        self.accounts, self.members = Ways(dict), Ways(dict)
        self.releases = defaultdict[bytes, list[int]](list)

    def read(self, keys: Collection[bytes]) -> None:
        fresh = {*keys} - self._read
        self._read |= fresh
        for row in side_rows(self._db, fresh, self._ways) if fresh else ():
            if row.place not in self.rows:
                self.rows[row.place] = row
                for record in row.records(words=TELLING):
                    self._note(record)

    def _note(self, record: Record) -> None:
        key, said = record.key, record.said
        match said:
            case NamesLearnt():
                for ways, back, forms in (
                    (self.names, self.targets, said.same),
                    (self.looser, self.owners, said.looser),
                    (self.boxes, self.spellings, () if said.mailbox is None else (said.mailbox,)),
                ):
                    for form in forms:
                        ways[key].setdefault(form, record.seq)
                        back[form].setdefault(key, record.seq)
            case LinkSaid():
                self.members[said.account].setdefault(key, record.seq)
                self.accounts[key].setdefault(said.account, record.seq)
            case Released():
                self.releases[key].append(record.seq)

    def about(self) -> list[SideRow]:
        """The rows of the log that tell of them, and the voids of screens, in their order."""
        found = {row.place: row for row in (*self.rows.values(), *side_rows(self._db, {NOBODY}, Mention.OF))}
        return [found[place] for place in sorted(found)]

    def with_names(self, keys: Collection[bytes]) -> set[bytes]:
        """Names of names too: one digest may be a name of two identifiers."""
        found, waiting = set[bytes](), {*keys}
        while waiting:
            self.read(waiting)
            found |= waiting
            waiting = _all(waiting, self.targets, self.names) - found
        return found

    def with_spellings(self, keys: Collection[bytes]) -> set[bytes]:
        """Of a mailbox every spelling that was met, with its names."""
        boxes = {*keys}
        for _ in range(2):  # to the plainest one, and from there to all
            self.read(boxes)
            boxes |= _all(boxes, self.boxes, self.spellings)
        return self.with_names(boxes)


def _all(keys: Iterable[bytes], *ways: Ways) -> set[bytes]:
    return {other for key in keys for each in ways for other in each[key]}


def canonicals(db: sqlite3.Connection, key: bytes) -> set[bytes]:
    """The identifiers that a key is a name of; itself where it is none's."""
    told = Relations(db, Mention.NAME)
    told.read([key])
    return {key, *told.targets[key]}


def group(db: sqlite3.Connection, key: bytes) -> set[bytes]:
    """All names of the identifiers that a key is a name of."""
    told, keys = Relations(db, Mention.NAME), canonicals(db, key)
    told.read(keys)
    return keys | _all(keys, told.names)


def with_looser(db: sqlite3.Connection, keys: Iterable[bytes], told: Relations | None = None) -> set[bytes]:
    """The keys and the looser forms of them that are known: a deny reaches these too and goes no further. `told`: what
    was read already.
    """
    told, found = told or Relations(db, Mention.NAME), {*keys}
    told.read(found)
    return found | _all(found, told.looser)


def persons_behind(db: sqlite3.Connection, own: Belongings) -> set[bytes]:
    """Whose keys seal the entries of these."""
    found: set[bytes] = set()
    for key, since in own.items():
        rows = db.execute("SELECT person FROM detail WHERE key = ? AND seq >= ?", (key, since))
        found |= {row[0] for row in rows}
    return found


def connected_people(db: sqlite3.Connection, keys: Iterable[bytes], told: Relations | None = None) -> set[bytes]:
    """The keys and everybody connected to them, at any time. `told`: what was read already, of all ways."""
    told, keys = told or Relations(db), {*keys}
    told.read(keys)
    found = told.with_spellings(told.with_names(keys | _all(keys, told.owners)))
    # By any form of an account's name: whoever stood by an old one belongs to it since that was known (`fold.links`).
    accounts = told.with_names(_all(found, told.accounts) | {key for key in found if told.members[key]})
    return told.with_spellings(told.with_names(found | accounts | _all(accounts, told.members)))


def connected_groups(sides: Iterable[SideRow]) -> Iterable[list[bytes]]:
    """All who hang together with somebody, over the whole ledger. `sides`: all of it."""
    found: dict[bytes, list[bytes]] = {}
    for one, others in _edges(sides):
        ones = found.get(one) or found.setdefault(one, [one])
        for other in others:
            its = found.get(other)
            if its is None:
                ones.append(other)
                found[other] = ones
            elif its is not ones:
                more, ones = (ones, its) if len(ones) < len(its) else (its, ones)
                ones += more
                found.update(dict.fromkeys(more, ones))
    return {id(keys): keys for keys in found.values()}.values()


Group = TypeVar("Group", bound=Sequence[bytes])  # keys that hang together
BATCH = 5_000  # keys that are folded at once


def batches_of(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """Whole groups together, for whoever folds everybody."""
    batch, keys = list[Group](), 0
    for group in groups:
        batch.append(group)
        keys += len(group)
        if keys >= BATCH:
            yield batch
            batch, keys = [], 0
    if batch:
        yield batch


def _edges(sides: Iterable[SideRow]) -> Iterator[tuple[bytes, Iterable[bytes]]]:
    for row in sides:
        for record in row.records(words=TELLING):
            said = record.said
            if isinstance(said, NamesLearnt):
                box = () if said.mailbox in {None, record.key} else (said.mailbox,)
                if others := (*said.same, *said.looser, *box):
                    yield record.key, others
            elif isinstance(said, LinkSaid):
                yield said.account, (record.key,)


def folded_alone(db: sqlite3.Connection, keys: Collection[bytes]) -> dict[Place, Any]:
    """What was said of these keys alone, folded. `FoldedPeople` finds whoever is connected with them
    besides.
    """
    return _folded(records_of(db, keys=keys))


def folded_from(
    db: sqlite3.Connection, rows: Sequence[SideRow], keys: Collection[bytes], now: int = FOR_EVER
) -> dict[Place, Any]:
    """The same from rows that were read already (`Relations.about`), without what is voided by then."""
    return _folded(record for _, record in told_by(db, rows, now, {*keys, NOBODY}))


def _folded(records: Iterable[Record]) -> dict[Place, Any]:
    made = dict[Place, Any]()
    for each in records:
        made.update(fold(each, made.get))
    return made


class StandingPeople:
    """`get` gives a row, an edge or the voided screens, as the fold has them; None where nothing lies."""

    def __init__(self, get: Get) -> None:
        self.get = get

    def slate(self) -> Slate:
        """For whoever follows names and accounts (`gateway.fold.kin`)."""
        return Slate(self.get)

    def standing(self, key: bytes, now: int) -> Standing:
        """As a check reads it; `now` in Unix milliseconds, for what ends by its date."""
        return reading.standing_of(key, self.get, now)

    def grants(self, key: bytes, now: int) -> list[Grant]:
        """What a key allowed one recipient and is not over, the newest first."""
        return reading.grants_of(key, self.get, now)

    def is_news(self, record: Record) -> bool:
        """Whether anything would be another one behind this."""
        return any(self.get(place) != piece for place, piece in fold(record, self.get).items())


class FoldedPeople(StandingPeople):
    """Exact for `keys`; of whoever is but connected with them only what these rest on. `now`: until which moment, in
    Unix milliseconds. What a transaction did itself is in it.
    """

    def __init__(self, db: sqlite3.Connection, keys: Iterable[bytes], now: int = FOR_EVER) -> None:
        told = Relations(db)
        self._db, self._now, self._everybody = db, now, connected_people(db, keys, told)
        self._rows = told.about()
        super().__init__(folded_from(db, self._rows, self._everybody, now).get)

    def with_ahead(self, last: int) -> StandingPeople | None:
        """The same with what a clock that ran ahead dated later. `last`: the last entry of by then. None: none did."""
        ahead = find_ahead(self._db, self._rows, self._now, last)
        if not any(ahead):
            return None
        told = told_by(self._db, self._rows, self._now, {*self._everybody, NOBODY}, ahead)
        return StandingPeople(_folded(record for _, record in told).get)


class PeopleOnward(StandingPeople):
    """From the state that stood when a transaction began, with what it said since."""

    def __init__(self, tx: Transaction, stood: StoodBefore) -> None:
        self._db, self._fresh, self._stood, self._position = tx.db, tx.fresh, stood.get, stood.position
        self._said = dict[Place, Any]()
        super().__init__(self._get)

    def _get(self, place: Place) -> Any:
        return self._said[place] if place in self._said else self._stood(place)

    def go_on(self) -> bool:
        """Folds what was said. Whether it could: what is older may have become another one."""
        head = self._fresh.end
        if head != self._position:
            said = self._said_since(head)
            if said is None:
                return False
            for _, record in said:
                self._said.update(fold(record, self._get))
            self._position = head
        return True

    def _said_since(self, head: int) -> Iterable[tuple[int, Record]] | None:
        """None: something older is told otherwise."""
        if self._fresh.has(self._position, head):
            return self._fresh.after(self._position)
        log = LedgerLog(self._db)
        return None if log.is_rewritten(self._position) else log.read(self._position)


def says_first(tx: Transaction, key: bytes) -> bool:
    """Whether it is seen at once that a key never said anything itself: of most who write nothing is known."""
    return tx.stands is not None and key not in tx.about and tx.stands.get(key) is None


def named_by(subject: Subject) -> set[bytes]:
    """All that an identifier goes by without anything being looked up: the plainest spelling of its mailbox too."""
    return {*subject.keys, *subject.looser, *((subject.mailbox,) if subject.mailbox else ())}


def is_without_row(tx: Transaction, key: bytes) -> bool:
    """Whether it is seen at once that nothing was ever said of a key, nor that it is anybody's name."""
    return says_first(tx, key) and key not in tx.met


def is_unknown(tx: Transaction, subject: Subject) -> bool:
    """Whether it is seen at once that nothing was ever said of an identifier, by none of its names."""
    keys = named_by(subject)
    return tx.stands is not None and tx.met.isdisjoint(keys) and not tx.stands.lies(keys)


def denies_nothing(tx: Transaction, account: Subject) -> bool:
    """Whether it is seen at once that an account has no no to pass on."""
    return tx.stands is not None and tx.is_quiet and not tx.stands.denies(account.key)


def people_of(tx: Transaction, keys: Iterable[bytes]) -> StandingPeople:
    """These as they stand now, with all that the transaction said so far. To be asked for again behind what it says."""
    return people_at_hand(tx) or FoldedPeople(tx.db, keys)


def people_at_hand(tx: Transaction) -> PeopleOnward | None:
    """Everybody as they stand now; None where that is not at hand."""
    if tx.stands is None:
        return None
    people: PeopleOnward = tx.onward or PeopleOnward(tx, tx.stands)
    tx.onward = people
    return people if people.go_on() else None


VOIDED = (
    "SELECT v.by, d.key FROM voided_choice v JOIN detail d ON d.seq = v.seq WHERE v.by >= ?1"
    " UNION ALL SELECT gone, key FROM deletion_key WHERE gone >= ?1"
)


class SaidSince:
    """`first`: the first entry that anybody will ask about."""

    def __init__(self, tx: Transaction, first: int) -> None:
        self._db = tx.db
        [void] = tx.db.execute("SELECT coalesce(max(seq), -1) FROM voided_ui").fetchone()
        self._void: int = void
        said, entries = list[tuple[int, bytes]](), first
        for row in sides_since(tx.db, first):
            seq = row.seq if row.entered else max(row.seq, entries)  # what is learnt may be of an older entry
            entries = max(entries, seq + row.entered)
            said += [(seq, record.key) for record in row.records()]
        said += tx.db.execute(VOIDED, (first,)).fetchall()
        self._last = dict[bytes, int]()
        for seq, key in said:
            self._last[key] = max(seq, self._last.get(key, seq))

    def was_said(self, key: bytes, position: int) -> bool:
        """Whether anything was, from a position on. A void of a screen may have brought back a no of anybody."""
        if self._void >= position or not self._last:
            return self._void >= position
        return any(self._last.get(each, -1) >= position for each in connected_people(self._db, [key]))
