"""What stands of some people inside one transaction or reading, from the fold (`gateway.fold`): from the state of this
host where it is at hand, else folded from what was said of some keys and of whoever is connected with them. For whoever
writes and has to know what is news, and for rare work such as a look back, an erasure, a page about one person. Checks
read the state themselves (`gateway.state`).
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.fold import fold, reading
from gateway.fold.record import Record
from gateway.fold.state import FOR_EVER, Get, Place, Slate
from gateway.ledger.acts.reach import Relations, connected_people
from gateway.ledger.ledger_log import LedgerLog
from gateway.ledger.log_records import NOBODY, SideRow, records_of, told_by
from gateway.ledger.subjects import Subject
from gateway.ledger.transaction import StoodBefore, Transaction


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
        everybody = connected_people(db, keys, told)
        super().__init__(folded_from(db, told.about(), everybody, now).get)


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
