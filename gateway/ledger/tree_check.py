"""The tree made again from every entry's bytes and compared with what is stored: tiles, frontier, last checkpoint.

Bodies that were pruned are not there to be hashed: for those the stored hashes count, which the root above them proves.
Reads only.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct

from gateway.ledger import tree
from gateway.ledger.merkle import HASH, WIDTH, Frontier
from gateway.ledger.note import Checkpoint

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
            stored = self._tile(0, n)
            if len(stored) != WIDTH * HASH:
                self.found.append(f"tile 0/{n} is not whole, and its entries are pruned")
                stored = stored.ljust(WIDTH * HASH, b"\x00")[: WIDTH * HASH]
            self._roots.append(root_of([stored[at : at + HASH] for at in range(0, WIDTH * HASH, HASH)]))
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
            if self._tile(0, n) != b"".join(tile):
                self.found.append(self._where(n, tile))
            self._roots.append(root_of(tile))

    def _where(self, n: int, hashes: Sequence[bytes]) -> str:
        stored = self._tile(0, n)
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
            self.found.append("it was signed, and its last checkpoint is gone from its store: it may be an older copy")

    def _level(self, level: int, hashes: Sequence[bytes]) -> list[bytes]:
        above: list[bytes] = []
        for n in range(-(-len(hashes) // WIDTH)):
            part = hashes[n * WIDTH : (n + 1) * WIDTH]
            if self._tile(level, n) != b"".join(part):
                self.found.append(f"tile {level}/{n} is not what the tiles below give")
            if len(part) == WIDTH:
                above.append(root_of(part))
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
            self.found.append(f"the last checkpoint is of {last.size} entries of {last.origin}: an older copy")
            return
        try:
            root = tree.root_at(self.db, last.size)
        except tree.TreeBroken as broken:
            self.found.append(str(broken))
            return
        if root != last.root:
            self.found.append(f"the last checkpoint has another root at {last.size} entries")

    def _tile(self, level: int, n: int) -> bytes:
        row = self.db.execute("SELECT hashes FROM tile WHERE level = ? AND n = ?", (level, n)).fetchone()
        return row[0] if row else b""


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over as many hashes as a power of two."""
    level = b"".join(hashes)
    while len(level) > HASH:
        level = b"".join([sha256(b"\x01" + pair).digest() for (pair,) in PAIRS.iter_unpack(level)])
    return level
