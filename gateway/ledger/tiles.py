"""Tiles of the log: how hashes and entries are cut up, named and read back (C2SP tlog-tiles). Pure.

A full tile has 256 hashes. Level 0 holds leaf hashes, level L + 1 the roots of full tiles of level L; entries lie in
bundles of 256, each behind its length as a big-endian uint16.
"""

import re
from collections.abc import Callable, Iterable

from gateway.ledger.merkle import HASH, node_hash
from gateway.ledger.proofs import Node

WIDTH = 256
HEIGHT = 8  # of a tile: 2**8 = WIDTH
ENTRIES = -1  # the level of entry bundles
MAX_LEVEL = 63
LENGTH = 2  # bytes before each entry of a bundle
PATH = re.compile(r"(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)
MAX_GROUPS = 7  # of three digits: more than 10**18 tiles

Read = Callable[[int, int, int], bytes]  # (tile level, n, width) -> width hashes


def hashes_at(level: int, size: int) -> int:
    """How many hashes a tree of `size` leaves has on a tile level."""
    return size >> HEIGHT * level


def width(level: int, size: int) -> int:
    """How many hashes the last, partial tile of a level has; 0: there is none."""
    return hashes_at(level, size) % WIDTH


def full_tiles(level: int, size: int) -> int:
    return hashes_at(level, size) // WIDTH


def path(level: int, n: int, width: int = WIDTH) -> str:
    """`0/x001/x234/067`, `1/000.p/17`, `entries/000`."""
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03}")
    name = "entries" if level == ENTRIES else str(level)
    return f"{name}/{'/'.join(groups)}" + ("" if width == WIDTH else f".p/{width}")


def parse(text: str) -> tuple[int, int, int]:
    """(level, n, width). Raises ValueError for what is no tile's path, or not its one spelling."""
    found = PATH.fullmatch(text)
    if found is None or found[2].count("/") >= MAX_GROUPS:
        raise ValueError("not the path of a tile")
    level = ENTRIES if found[1] == "entries" else int(found[1])
    n, cut = int(found[2].replace("x", "").replace("/", "")), int(found[3] or WIDTH)
    if level > MAX_LEVEL or cut > WIDTH or path(level, n, cut) != text:
        raise ValueError("not the path of a tile")
    return level, n, cut


def nodes(read: Read, size: int) -> Node:
    """The nodes of a tree of `size` leaves, by their height and index, from its tiles; each tile is read once. A node
    that the tree does not have raises ValueError before anything is read.
    """
    kept: dict[tuple[int, int], bytes] = {}

    def hash_of(level: int, index: int) -> bytes:
        n, place = divmod(index, WIDTH)
        if (level, n) not in kept:
            kept[level, n] = read(level, n, min(WIDTH, hashes_at(level, size) - n * WIDTH))
        found = kept[level, n][place * HASH : (place + 1) * HASH]
        if len(found) != HASH:
            raise ValueError(f"tile {path(level, n)} has no hash {place}")
        return found

    def made(height: int, index: int) -> bytes:
        if height % HEIGHT == 0:
            return hash_of(height // HEIGHT, index)
        return node_hash(made(height - 1, 2 * index), made(height - 1, 2 * index + 1))

    def node(height: int, index: int) -> bytes:
        if height < 0 or not 0 <= index < size >> height:
            raise ValueError(f"a tree of {size} has no complete subtree {index} of height {height}")
        return made(height, index)

    return node


def bundle(entries: Iterable[bytes]) -> bytes:
    """Raises ValueError for an entry of more than 65,535 bytes."""
    try:
        return b"".join(len(entry).to_bytes(LENGTH, "big") + entry for entry in entries)
    except OverflowError:
        raise ValueError("an entry is too long for a bundle") from None


def unbundle(raw: bytes) -> list[bytes]:
    """Raises ValueError where the lengths do not add up."""
    entries, start = list[bytes](), 0
    while start < len(raw):
        end = start + LENGTH + int.from_bytes(raw[start : start + LENGTH], "big")
        if len(raw) < start + LENGTH or len(raw) < end:
            raise ValueError("an entry is cut off")
        entries.append(raw[start + LENGTH : end])
        start = end
    return entries
