"""Appends to the log with one fault: a batch is answered for, and committed with a later one."""

import asyncio
import contextlib
import sys
from itertools import count
from pathlib import Path

from gateway.ledger.engine.sqlite_log import LogFile, SqliteTransaction
from support import appends_to_log

EVERY = 4  # batches
turns = count(1)


@contextlib.contextmanager
def begun(file, at):
    db = file.opened().db
    if not db.in_transaction:
        db.execute("BEGIN IMMEDIATE")
    tx = SqliteTransaction(db, file._proof.prove(db), at)
    yield tx
    file._written = tx.last


LogFile._begun = begun
LogFile._make_durable = staticmethod(lambda db: db.execute("COMMIT") if next(turns) % EVERY == 0 else None)

if __name__ == "__main__":
    asyncio.run(appends_to_log.appending(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), sys.argv[3]))
