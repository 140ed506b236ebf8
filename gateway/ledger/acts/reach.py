"""Whom a key leads to, by what the ledger was told: the names of one identifier, the spellings of one mailbox, whoever
is or was connected with it, at any time; and what of it belongs to one person. For whoever folds some people from the
log, or forgets one. Reads only. What reaches whom, by links and names as they stand, is the fold's (`fold.kin`).
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from gateway.fold.record import LinkSaid, NamesLearnt, Record, Released
from gateway.ledger.log_records import NOBODY, SideRow, side_rows
from gateway.ledger.side import Mention

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
