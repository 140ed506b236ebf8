"""The Merkle tree of one ledger file: what an append changes, and how hashes are read back.

Full tiles of leaf hashes are rows; the hashes of the last, partial tile are made from the entries' bytes when somebody
asks, so an append writes nothing but its entry and the head (C2SP tlog-tiles, RFC 9162 2.1). Never signs anything.
"""

import sqlite3
from functools import partial

from gateway.ledger import merkle
from gateway.ledger.merkle import WIDTH, Frontier, Node


class TreeBroken(Exception):
    """Head and tiles do not belong together."""


class Tree:
    """The tree inside an open transaction. `frontier` is the head row's, grown by what is appended."""

    def __init__(self, db: sqlite3.Connection, frontier: Frontier) -> None:
        self._db = db
        self.frontier = frontier

    def append(self, body: bytes) -> None:
        """After the entry's row is there."""
        self.frontier.append(merkle.leaf_hash(body))
        if self.frontier.size % WIDTH == 0:
            self._fill(self.frontier.size // WIDTH - 1)

    def _fill(self, n: int) -> None:
        """A tile of leaf hashes is full: its root goes into the tile above, and so on up."""
        hashes, level = _leaves(self._db, n * WIDTH, WIDTH), 0
        self._db.execute("INSERT INTO tile VALUES (0, ?, ?)", (n, hashes))
        while True:
            root = _root_of_full(hashes)
            level, place, n = level + 1, n, n // WIDTH
            row = self._db.execute("SELECT hashes FROM tile WHERE level = ? AND n = ?", (level, n)).fetchone()
            hashes = (row[0] if row else b"") + root
            self._db.execute("INSERT OR REPLACE INTO tile VALUES (?, ?, ?)", (level, n, hashes))
            if (place + 1) % WIDTH:
                return


def _root_of_full(hashes: bytes) -> bytes:
    """The root over a full tile's hashes."""
    frontier = Frontier()
    for start in range(0, len(hashes), merkle.HASH):
        frontier.append(hashes[start : start + merkle.HASH])
    return frontier.root()


def _leaves(db: sqlite3.Connection, start: int, count: int) -> bytes:
    rows = db.execute("SELECT body FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq", (start, start + count))
    return b"".join(merkle.leaf_hash(row[0]) for row in rows)


def read_tile(db: sqlite3.Connection, level: int, n: int, width: int) -> bytes:
    """`width` hashes of a tile. Raises `TreeBroken` where there are not as many."""
    row = db.execute("SELECT hashes FROM tile WHERE level = ? AND n = ?", (level, n)).fetchone()
    found: bytes = row[0] if row else b"" if level else _leaves(db, n * WIDTH, width)
    if len(found) < width * merkle.HASH:
        raise TreeBroken(f"tile {level}/{n} has {len(found) // merkle.HASH} hashes of {width}")
    return found[: width * merkle.HASH]


def leaf_at(db: sqlite3.Connection, seq: int) -> bytes:
    """The hash of one entry. Raises `TreeBroken`."""
    n, place = divmod(seq, WIDTH)
    return read_tile(db, 0, n, place + 1)[place * merkle.HASH :]


def nodes(db: sqlite3.Connection, size: int) -> Node:
    """The nodes of the tree as it was at a size."""
    return merkle.nodes(partial(read_tile, db), size)


def root_at(db: sqlite3.Connection, size: int) -> bytes:
    """The root of the tree as it was at a size, from its tiles."""
    node, packed, done = nodes(db, size), b"", 0
    for height in reversed(range(size.bit_length())):
        if size >> height & 1:
            packed += node(height, done >> height)
            done += 1 << height
    return Frontier(size, packed).root()


def prove(db: sqlite3.Connection) -> None:
    """That the head's root is that of the tiles and the last entries. Raises `TreeBroken`."""
    size, packed = db.execute("SELECT size, frontier FROM head").fetchone()
    try:
        root = Frontier(size, packed).root()
    except ValueError as error:
        raise TreeBroken(f"the head's frontier does not fit its size: {error}") from error
    if root != root_at(db, size):
        raise TreeBroken(f"the head's root at {size} entries is not that of the tiles")
