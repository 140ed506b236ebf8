"""Standings made again from the entries alone, by the same rules in the same order: what happened to everybody
connected to the keys, replayed into a database in memory. Writes to the ledger in `stand_again` alone.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import groupby
from typing import Any

from gateway.keys.secret_files import PersonKeys
from gateway.ledger import grants, happenings, links, reach, schema, standing_rows
from gateway.ledger.happenings import ENTRIES, Happening, LinkHappening, VoidHappening
from gateway.ledger.writer import Transaction

LOOSER = "SELECT alias, canonical, seq FROM looser_name WHERE canonical IN ({marks})"
FORMS = "SELECT alias FROM looser_name WHERE canonical IN ({marks})"


def relived(db: sqlite3.Connection, keys: Sequence[bytes], now: int) -> sqlite3.Connection:
    """A ledger in memory into which all that happened to everybody connected to the keys is replayed, until a
    moment.
    """
    everybody = reach.connected_people(db, keys)
    return live_again(db, everybody, happenings.of(db, everybody, now))


def live_again(
    db: sqlite3.Connection, everybody: Iterable[bytes], happened: Iterable[Happening], *, settle_last: bool = False
) -> sqlite3.Connection:
    """A ledger in memory in which all this happened to everybody, in its order. `settle_last`: the standing rows are
    made once, at the end, each as of its own last change.
    """
    everybody, happened = list(everybody), list(happened)
    life = _empty()
    life.executemany("INSERT INTO looser_name VALUES (?, ?, ?)", happenings.rows_of(db, LOOSER, everybody))
    tx = Transaction(life, NOBODY)
    if settle_last:
        tx.unsettled = {}
    for together, group in groupby(enumerate(happened), key=lambda numbered: _together(numbered[1])):
        if together is not None:
            _link_together(tx, [each for _, each in group])
            continue
        for number, each in group:
            tx.size = each.seq + (each.phase == ENTRIES)
            if isinstance(each.act, VoidHappening):
                _void_screen(tx, each.act.ui, each.at, partial(_lived_without, db, everybody, happened[:number]))
            else:
                assert not isinstance(each.act, LinkHappening)
                each.act(tx)
    standing_rows.settle(tx)
    return life


def _void_screen(tx: Transaction, ui: str, now: int, lived: Callable[[str], sqlite3.Connection | None]) -> None:
    """What was chosen is what would be had nobody consented on it. A no that comes back so ends grants, as any does."""
    changed = grants.void(tx, ui)
    if life := lived(ui):
        with contextlib.closing(life):
            for key, purposes in standing_rows.choose_again(tx.db, life).items():
                grants.drop(tx, [key], purposes)
                changed.add(key)
    standing_rows.recompute(tx, changed, now)


def _lived_without(
    db: sqlite3.Connection, everybody: list[bytes], before: list[Happening], ui: str
) -> sqlite3.Connection | None:
    """None where nobody had consented on that screen. Those that were voided before it count for nothing either."""
    if not any(each.consent and each.consent.screen == ui for each in before):
        return None
    voided = {ui, *(each.act.ui for each in before if isinstance(each.act, VoidHappening))}
    return live_again(db, everybody, happenings.without_consents(before, voided), settle_last=True)


def stand_again(tx: Transaction, keys: Iterable[bytes]) -> set[bytes]:
    """Writes the rows of these keys, of everybody whom their choices reached, and of nobody else, as the log has them
    now: something in it was voided. Returns whose changed.
    """
    touched = reach.connected_people(tx.db, keys)
    touched |= {row[0] for row in happenings.rows_of(tx.db, FORMS, touched)}
    # Of a looser form all owners, for its row is made from all of them.
    everybody = reach.connected_people(tx.db, touched)
    happened = happenings.of(tx.db, everybody, standing_rows.FOR_EVER)
    with contextlib.closing(live_again(tx.db, everybody, happened)) as life:
        return standing_rows.replace_rows(tx.db, life, sorted(touched), tx.size)


def _together(each: Happening) -> tuple[bytes, bytes] | None:
    return (each.act.request, each.act.account) if isinstance(each.act, LinkHappening) else None


def _link_together(tx: Transaction, group: list[Happening]) -> None:
    """As `links.link` does it: every row first, then what they carry."""
    changed: list[links.Changed] = []
    for each in group:
        assert isinstance(each.act, LinkHappening)
        tx.size = each.seq
        act = each.act
        outcome = links.put(tx, act.account, act.identifier, act.span, each.at, claimed=act.claimed)
        changed.append((act.identifier, act.span, outcome))
    last = group[-1]
    assert isinstance(last.act, LinkHappening)
    tx.size = last.seq + 1
    links.carry(tx, last.act.account, changed, last.at)


class _Nobody:
    """Persons' keys are for what is sealed, and nothing is sealed in a replay."""

    def new_person(self) -> PersonKeys:
        raise AssertionError("nothing is written here")

    def keys(self, person: bytes) -> PersonKeys:
        return PersonKeys(person, None, None)

    def _nothing(self) -> None: ...

    commit = rollback = close = _nothing


NOBODY: Any = _Nobody()


@cache
def _template() -> bytes:
    """An empty ledger as a file: copying it takes a tenth of the time that its statements do."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for _, sql in schema.migrations():
            for statement in schema.statements(sql):
                db.execute(statement)
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")  # nobody follows it
        db.execute("INSERT INTO head (one, size, ledger, peppers) VALUES (1, 0, x'00', 0)")
        return db.serialize()


def _empty() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.deserialize(_template())
    db.execute("BEGIN")
    return db
