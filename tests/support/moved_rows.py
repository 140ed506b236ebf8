"""A file in which SQLite left copies of deleted rows: it moved them between pages before. What lies in a file is looked
for in pieces, for later rows overwrite such copies in part.
"""

import contextlib
import random
import sqlite3

import pytest

from gateway.keys.person_keys import BOX

PIECE = 12  # bytes: none is in a file by chance


def left_of(boxes, content):
    """Those of which a piece is there."""
    return [box for box in boxes if any(box[at : at + PIECE] in content for at in range(0, BOX, PIECE))]


def box_of(db, column, person):
    return db.execute(f"SELECT {column} FROM person WHERE id = ?", (person,)).fetchone()[0]


def deleted_rows(path, luck, steps=400):
    """A life of the vault as it once was: keys became NULL, and rows were deleted. Returns the boxes of destroyed
    keys."""
    gone, people = [], {}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=MEMORY")
        db.execute("PRAGMA secure_delete=ON")
        db.execute("CREATE TABLE person (id BLOB PRIMARY KEY, wrapped BLOB, openings BLOB) STRICT, WITHOUT ROWID")
        for _ in range(steps):
            if luck.random() < 0.6 or not people:
                for _ in range(luck.choice((1, 1, 1, 3, 20))):
                    person, people[person] = (luck.randbytes(16),) * 2
                    db.execute(
                        "INSERT INTO person VALUES (?, ?, ?)", (person, luck.randbytes(BOX), luck.randbytes(BOX))
                    )
            for person in [luck.choice([*people]) for _ in range(luck.choice((0, 0, 1, 5, 20))) if people]:
                if not (box := people.get(person) and box_of(db, "wrapped", person)):
                    continue
                gone.append(box)
                if luck.random() < 0.6:
                    db.execute("UPDATE person SET wrapped = NULL WHERE id = ?", (person,))
                else:
                    gone.append(box_of(db, "openings", person))
                    db.execute("DELETE FROM person WHERE id = ?", (person,))
                    del people[person]
    return gone


def with_copies(folder):
    """(file's bytes, boxes left in it) of the first such life that leaves any."""
    for seed in range(200):
        gone = deleted_rows(folder / str(seed), random.Random(seed))
        content = (folder / str(seed)).read_bytes()
        if found := left_of(gone, content):
            return content, found
    pytest.skip("this SQLite leaves no copies of rows that it moved")
    return None
