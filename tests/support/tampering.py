"""Changing a ledger's file behind its back, as somebody who has it would."""

import contextlib
import sqlite3

import lmdb

from gateway.ledger import schema
from gateway.state import environment


def tamper(folder, *statements):
    """Statements, each a text, a text with values or a call that gives how much it changed, past the triggers that stop
    accidents.
    """
    with contextlib.closing(sqlite3.connect(folder / schema.FILE, isolation_level=None)) as db:
        triggers = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert done(db, statement), f"changes nothing: {statement}"
        for _, sql in triggers:
            db.execute(sql)


def done(db, statement):
    """How much a step of `tamper` changes."""
    if callable(statement):
        return statement(db)
    sql, values = statement if isinstance(statement, tuple) else (statement, ())
    return db.execute(sql, values).rowcount


@contextlib.contextmanager
def laid_open(folder):
    """A ledger whose triggers are gone for good, and of which nobody keeps a last checkpoint."""
    with contextlib.closing(sqlite3.connect(folder / schema.FILE, isolation_level=None)) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE head SET signed = 0")
        yield db


def tamper_state(folder, places):
    """What lies in the state of a host is changed, by where it lies; None: it goes."""
    made = environment.folder_in_force(folder)
    with lmdb.open(str(made), map_size=2**30, sync=False) as env, env.begin(write=True) as txn:
        for place, packed in places.items():
            assert txn.delete(place) if packed is None else txn.put(place, packed)
