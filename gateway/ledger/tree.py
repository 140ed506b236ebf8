"""The Merkle tree of one ledger file: what an append changes, how hashes are read back, and the check that makes it
again from every entry's bytes and compares. The writer, `log_reader` and `verify` call it.

Full tiles of leaf hashes are rows; the hashes of the last, partial tile are made from the entries' bytes when somebody
asks, so an append writes nothing but its entry and the head (C2SP tlog-tiles, RFC 9162 2.1). Never signs anything.

Bodies that were pruned are not there to be hashed again: for those the stored hashes count, which the root above them
proves.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from struct import Struct

from gateway.ledger.proof import merkle
from gateway.ledger.proof.merkle import HASH, WIDTH, Frontier, Node, TailTree
from gateway.ledger.proof.note import Checkpoint

# What is said of a ledger that was put back: all of it fits, and the store of checkpoints has none of it, or a newer
# one.
UNSIGNED = "it was signed, and its last checkpoint is gone from its store: it may be an older copy"
OLDER = ": an older copy"


class TreeBroken(Exception):
    """Head and tiles do not belong together."""


class Tree:
    """The tree inside an open transaction. `frontier` is the head row's, grown by what is appended; `hashes` are the
    leaves of that.
    """

    def __init__(self, db: sqlite3.Connection, frontier: Frontier) -> None:
        self._db = db
        self.frontier = frontier
        self.hashes: list[bytes] = []

    def append(self, body: bytes) -> None:
        """After the entry's row is there."""
        self.hashes.append(merkle.leaf_hash(body))
        self.frontier.append(self.hashes[-1])
        if self.frontier.size % WIDTH == 0:
            n = self.frontier.size // WIDTH - 1
            put_full_tile(self._db, n, _leaves(self._db, n * WIDTH, WIDTH))


def put_full_tile(db: sqlite3.Connection, n: int, hashes: bytes) -> None:
    """A tile of leaf hashes is full: its root goes into the tile above, and so on up."""
    db.execute("INSERT INTO tile VALUES (0, ?, ?)", (n, hashes))
    level = 0
    while True:
        root = root_of_hashes(hashes[: WIDTH * merkle.HASH])  # of a longer one, which is damaged, `verify` tells
        level, place, n = level + 1, n, n // WIDTH
        hashes = _stored(db, level, n) + root
        db.execute(
            "INSERT INTO tile VALUES (?, ?, ?) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes",
            (level, n, hashes),
        )
        if (place + 1) % WIDTH:
            return


def _stored(db: sqlite3.Connection, level: int, n: int) -> bytes:
    """The hashes of a tile, as far as there are rows of them."""
    row = db.execute("SELECT hashes FROM tile WHERE level = ? AND n = ?", (level, n)).fetchone()
    return row[0] if row else b""


def _leaves(db: sqlite3.Connection, start: int, count: int) -> bytes:
    rows = db.execute("SELECT body FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq", (start, start + count))
    return b"".join(merkle.leaf_hash(row[0]) for row in rows)


def tail(db: sqlite3.Connection, size: int, packed: bytes) -> TailTree:
    """The end of the tree as it was at a size, whose frontier is `packed`. Raises ValueError where the entries of its
    last tile are not all there.
    """
    return TailTree(size, packed, _leaves(db, size - size % WIDTH, size % WIDTH))


def read_tile(db: sqlite3.Connection, level: int, n: int, width: int) -> bytes:
    """`width` hashes of a tile. Raises `TreeBroken` where there are not as many."""
    stored = _stored(db, level, n)
    found = stored if stored or level else _leaves(db, n * WIDTH, width)
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
    return merkle.root_at(size, nodes(db, size))


def prove(db: sqlite3.Connection) -> None:
    """That the head's root is that of the tiles and the last entries. Raises `TreeBroken`."""
    size, packed = db.execute("SELECT size, frontier FROM head").fetchone()
    try:
        root = Frontier(size, packed).root()
    except ValueError as error:
        raise TreeBroken(f"the head's frontier does not fit its size: {error}") from error
    if root != root_at(db, size):
        raise TreeBroken(f"the head's root at {size} entries is not that of the tiles")


PAIRS = Struct(f"{2 * HASH}s")


@dataclass(slots=True)
class TreeCheck:
    """Takes the bodies in order, some times `WIDTH` at once, and says in `found` what is not as it should be."""

    db: sqlite3.Connection
    found: list[str] = field(default_factory=list)
    size: int = 0
    _roots: list[bytes] = field(default_factory=list)  # of full tiles of leaf hashes
    _tail: list[bytes] = field(default_factory=list)

    def start(self) -> None:
        """The tiles whose bodies are gone."""
        [pruned] = self.db.execute("SELECT pruned FROM head").fetchone()
        for n in range(pruned // WIDTH):
            stored = _stored(self.db, 0, n)
            if len(stored) != WIDTH * HASH:
                self.found.append(f"tile 0/{n} is not whole, and its entries are pruned")
                stored = stored.ljust(WIDTH * HASH, b"\x00")[: WIDTH * HASH]
            self._roots.append(root_of_hashes(stored))
        self.size = pruned

    def add(self, bodies: Sequence[bytes]) -> None:
        """The next bodies: those of some full tiles, or up to the last ones."""
        hashes = [sha256(b"\x00" + body).digest() for body in bodies]
        self.size += len(hashes)
        for start in range(0, len(hashes), WIDTH):
            tile = hashes[start : start + WIDTH]
            if len(tile) < WIDTH:
                self._tail = tile
                return
            n = len(self._roots)
            if _stored(self.db, 0, n) != (joined := b"".join(tile)):
                self.found.append(self._where(n, tile))
            self._roots.append(root_of_hashes(joined))

    def _where(self, n: int, hashes: Sequence[bytes]) -> str:
        stored = _stored(self.db, 0, n)
        wrong = [at for at, hash_ in enumerate(hashes) if stored[at * HASH : (at + 1) * HASH] != hash_]
        if not stored:
            return f"tile 0/{n} is missing"
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return (
            f"tile 0/{n}: the hash of entry {n * WIDTH + wrong[0]}{more} is not that of its bytes"
            if wrong
            else (f"tile 0/{n} has another length")
        )

    def finish(self, last: Checkpoint | None) -> None:
        """The tiles above, the frontier and the checkpoint."""
        level, hashes, tiles = 1, self._roots, len(self._roots)
        while hashes:
            tiles += -(-len(hashes) // WIDTH)
            hashes = self._level(level, hashes)
            level += 1
        if self.db.execute("SELECT count(*) FROM tile").fetchone()[0] != tiles:
            self.found.append("there are more tiles than the entries fill")
        size, packed, origin, signed = self.db.execute("SELECT size, frontier, origin, signed FROM head").fetchone()
        if (size, packed) != (self.size, self._frontier()):
            self.found.append(f"the head's frontier at {size} is not that of the {self.size} entries")
        elif last is not None:
            self._checkpoint(last, size, origin)
        elif signed:
            self.found.append(UNSIGNED)

    def _level(self, level: int, hashes: Sequence[bytes]) -> list[bytes]:
        above: list[bytes] = []
        for n in range(-(-len(hashes) // WIDTH)):
            part = hashes[n * WIDTH : (n + 1) * WIDTH]
            if _stored(self.db, level, n) != (joined := b"".join(part)):
                self.found.append(f"tile {level}/{n} is not what the tiles below give")
            if len(part) == WIDTH:
                above.append(root_of_hashes(joined))
        return above

    def _frontier(self) -> bytes:
        """The subtrees of whole tiles, then those of the last entries: the size's upper and lower bits."""
        packed = b""
        for hashes in (self._roots, self._tail):
            frontier = Frontier()
            for each in hashes:
                frontier.append(each)
            packed += frontier.pack()
        return packed

    def _checkpoint(self, last: Checkpoint, size: int, origin: str) -> None:
        if last.origin != origin or last.size > size:
            self.found.append(f"the last checkpoint is of {last.size} entries of {last.origin}{OLDER}")
            return
        try:
            root = root_at(self.db, last.size)
        except TreeBroken as broken:
            self.found.append(str(broken))
            return
        if root != last.root:
            self.found.append(f"the last checkpoint has another root at {last.size} entries")


def root_of_hashes(level: bytes) -> bytes:
    """The root over as many hashes, joined, as a power of two."""
    while len(level) > HASH:
        level = b"".join([sha256(b"\x01" + pair).digest() for (pair,) in PAIRS.iter_unpack(level)])
    return level
