"""An installation that is moved between its folder and a PostgreSQL: every row that it has, in whichever of the two."""

import contextlib
from functools import cache

from gateway.app.moving import InstallationMove
from gateway.keys import person_keys
from gateway.ledger.folder_store import store_in
from gateway.ledger.moving.places import FolderPlace, ServerPlace
from gateway.ledger.moving.tables import ledger_tables, vault_tables
from support import inside

FILES = ("ledger.sqlite3", "vault.sqlite3")
NEVER = "what no day brings: \u2028 \U0001f512 '\"\\"
VALUES = {"INTEGER": (-(2**63), 2**63 - 1), "TEXT": ("", NEVER), "BLOB": (b"", b"\x00\xff\\x41\n" + bytes(range(256)))}


def nothing(what, rows):
    """Who is told what is done, and does nothing about it."""


def wait_for_nobody(monkeypatch):
    """A move waits until no service answers any more on what it has proved of the source: here there is none."""
    for place in (FolderPlace, ServerPlace):
        monkeypatch.setattr(place, "proved_for", 0)


def move(source, target, tell=nothing):
    return InstallationMove(str(source), str(target), inside.settings()).move_all(tell)


def content(folder):
    """By table all rows, of the ledger and the vault; but for a pool that nobody has taken a key from."""
    found = {}
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        db.execute("BEGIN")
        for table in ledger_tables():
            found[table.name] = sorted(table.rows_between(db, ()), key=repr)
    with contextlib.closing(person_keys._connected(folder)) as db:
        for table in vault_tables():
            found[f"vault {table.name}"] = sorted(table.rows_between(db, ()), key=repr)
    return found


def fill_every_table(db):
    """Two rows that no life brings in each table that has none: the smallest and the largest of what its columns take.
    Whoever holds the lock; the ledger is fit for being moved then, and for nothing else.
    """
    for table in ledger_tables():
        if not db.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]:
            for end in (0, 1):
                row = [VALUES[kind][end] for kind in table.kinds]
                db.execute(f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(row))})", row)


def delete_what_was_moved(folder):
    """As an operator does, once the service is on the other one."""
    for name in FILES:
        for ending in ("", "-wal", "-shm"):
            (folder / f"{name}{ending}").unlink(missing_ok=True)


@cache
def unkeyed():
    return [table.name for table in ledger_tables() if not table.key]
