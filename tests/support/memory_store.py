"""A second store, in memory: the same interface with a weaker promise. What passes on it and on the file owes nothing
to files.
"""

import contextlib
import os
import sqlite3
import threading

from gateway.ledger import schema, tree
from gateway.ledger.errors import LedgerRefused


class MemoryStore:
    """Lives as long as it is kept. Readers get a copy of what is committed."""

    is_server = False

    def __init__(self, origin="log.example.com/memory"):
        self._lock = threading.RLock()
        self._name = f"file:{os.urandom(8).hex()}?mode=memory&cache=shared"
        self._kept = self._connect()
        for _, sql in schema.migrations():
            for statement in schema.statements(sql):
                self._kept.execute(statement)
        self._kept.execute(
            "INSERT INTO head (one, size, ledger, peppers, origin) VALUES (1, 0, ?, 1, ?)", (os.urandom(16), origin)
        )

    def _connect(self):
        return sqlite3.connect(self._name, uri=True, isolation_level=None, check_same_thread=False)

    @contextlib.contextmanager
    def held(self):
        with self._lock:
            yield

    def open_to_write(self):
        db = self._connect()
        self._proved(db)
        return db

    def open_to_read(self):
        reader = Reader(self)
        self._proved(reader)
        return reader

    def copy(self):
        """What is committed now, in a database of its own."""
        made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        with self._lock:
            self._kept.backup(made)
        return made

    def _proved(self, db):
        size, last = db.execute(schema.ENDS).fetchone()
        try:
            tree.prove(db)
        except tree.TreeBroken as broken:
            raise LedgerRefused(str(broken)) from broken
        if size != last:
            raise LedgerRefused(f"head says {size}, entries end at {last}")

    def tidy(self, db, *, idle):
        pass

    def zero(self, db, at):
        return None

    def close(self):
        self._kept.close()


class Reader:
    """A copy a statement; within BEGIN one copy for all."""

    def __init__(self, store):
        self._store, self._db, self.in_transaction = store, store.copy(), False

    def execute(self, sql, values=()):
        if not self.in_transaction:
            self._db.close()
            self._db = self._store.copy()
        self.in_transaction |= sql == "BEGIN"
        return self._db.execute(sql, values)

    def close(self):
        self._db.close()


class AlwaysFresh:
    """A watch over what no other process can move."""

    adopted = generation = 0
    peppers = 1

    def prove_file(self):
        pass

    def prove_peppers(self, db):
        assert db.execute("SELECT peppers FROM head").fetchone() == (1,)

    def failed(self):
        pass

    def fresh(self):
        return True
