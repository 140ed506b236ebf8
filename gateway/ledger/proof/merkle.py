"""The Merkle tree of the log: hashes, proofs and tiles (RFC 6962 2.1, RFC 9162 2.1; C2SP tlog-tiles). Pure; `tree`
keeps the hashes, `log_reader` and `witness` prove by them.

Hashing: leaves, nodes, and the frontier that an append grows. Inclusion and consistency are proved by asking for nodes:
(height, index) is the root of the complete subtree over the leaves [index << height, (index + 1) << height). Checking
needs nothing but the numbers and hashes themselves.

A full tile has 256 hashes. Level 0 holds leaf hashes, level L + 1 the roots of full tiles of level L; entries lie in
bundles of 256, each behind its length as a big-endian uint16.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

HASH = 32  # bytes of SHA-256
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The prefix stops a node from being passed off as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def split_hashes(joined: bytes) -> list[bytes]:
    """Hashes that were joined, one by one."""
    return [joined[start : start + HASH] for start in range(0, len(joined), HASH)]


class Frontier:
    """The roots of the complete subtrees of a tree, the widest first: all that an append needs (O(log n)).

    `packed` is those roots joined. Raises ValueError where there are not as many as the size has one-bits.
    """

    def __init__(self, size: int = 0, packed: bytes = b"") -> None:
        if size < 0 or len(packed) != size.bit_count() * HASH:
            raise ValueError(f"a tree of {size} has another number of subtrees than {len(packed) / HASH:g}")
        self.size = size
        self._roots = split_hashes(packed)

    def append(self, leaf: bytes) -> None:
        size = self.size
        while size & 1:
            leaf = node_hash(self._roots.pop(), leaf)
            size >>= 1
        self._roots.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """MTH(D[n])."""
        if not self._roots:
            return EMPTY_ROOT
        root = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return root

    def pack(self) -> bytes:
        return b"".join(self._roots)


Node = Callable[[int, int], bytes]


class Unproved(Exception):
    """The proof does not show what it claims."""


def subtree(start: int, end: int, node: Node) -> bytes:
    """MTH(D[start:end]) where `start` is a multiple of the largest power of two below the width."""
    width = end - start
    if width & (width - 1) == 0:
        height = width.bit_length() - 1
        return node(height, start >> height)
    split = 1 << ((width - 1).bit_length() - 1)
    return node_hash(subtree(start, start + split, node), subtree(start + split, end, node))


def root_at(size: int, node: Node) -> bytes:
    """The root of the tree as it was at a size."""
    packed, done = b"", 0
    for height in reversed(range(size.bit_length())):
        if size >> height & 1:
            packed += node(height, done >> height)
            done += 1 << height
    return Frontier(size, packed).root()


def inclusion(index: int, size: int, node: Node) -> list[bytes]:
    """The hashes beside the way from a leaf to the root, the leaf's sibling first. Raises ValueError for no leaf."""
    return [subtree(*span, node) for span in beside(index, size)]


def beside(index: int, size: int) -> list[tuple[int, int]]:
    """The same as spans of leaves."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    start, end, path = 0, size, list[tuple[int, int]]()
    while end - start > 1:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        path.append((split, end) if index < split else (start, split))
        start, end = (start, split) if index < split else (split, end)
    return path[::-1]


def consistency(old: int, new: int, node: Node) -> list[bytes]:
    """That the tree of `new` leaves grew out of that of `old`. Raises ValueError unless 0 < old <= new: a proof from
    nothing means nothing.
    """
    if not 0 < old <= new:
        raise ValueError(f"a tree of {new} did not grow out of one of {old}")
    return [subtree(*span, node) for span in _consistency(old, 0, new, whole=True)]


def _consistency(old: int, start: int, end: int, *, whole: bool) -> Iterator[tuple[int, int]]:
    """SUBPROOF of RFC 9162 2.1.4.1 as spans of leaves."""
    if old == end:
        if not whole:
            yield start, end
        return
    split = start + (1 << ((end - start - 1).bit_length() - 1))
    if old <= split:
        yield from _consistency(old, start, split, whole=whole)
        yield split, end
    else:
        yield from _consistency(old, split, end, whole=False)
        yield start, split


def check_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raises `Unproved`."""
    _all_hashes([leaf, *proof])
    if not 0 <= index < size:
        raise Unproved(f"there is no leaf {index} in a tree of {size}")
    found = leaf
    for hash_, left in _turns(index, size - 1, proof):
        found = node_hash(hash_, found) if left else node_hash(found, hash_)
    if found != root:
        raise Unproved("the leaf is not in the tree")


def check_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raises `Unproved`."""
    _all_hashes(proof)  # a root of another length equals none that is made from hashes
    if not 0 < old <= new or (old == new and (proof or old_root != new_root)) or (old < new and not proof):
        raise Unproved(f"this is no proof that a tree of {new} grew out of one of {old}")
    if old == new:
        return
    first, *rest = proof if old & (old - 1) else [old_root, *proof]
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = first
    for hash_, left in _turns(place, last, rest):
        before = node_hash(hash_, before) if left else before
        after = node_hash(hash_, after) if left else node_hash(after, hash_)
    if before != old_root or after != new_root:
        raise Unproved("the newer tree did not grow out of the older")


def _turns(place: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each hash of a proof on the way from a node to the root, and whether it stands on the left."""
    for hash_ in proof:
        if last == 0:
            raise Unproved("the proof is too long")
        left = bool(place & 1) or place == last
        while left and not place & 1 and place:
            place, last = place >> 1, last >> 1
        yield hash_, left
        place, last = place >> 1, last >> 1
    if last:
        raise Unproved("the proof is too short")


def _all_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(hash_) != HASH for hash_ in hashes):
        raise Unproved(f"a hash has {HASH} bytes")


WIDTH = 256
HEIGHT = 8  # of a tile: 2**8 = WIDTH
ENTRIES = -1  # the level of entry bundles
MAX_LEVEL = 63
LENGTH = 2  # bytes before each entry of a bundle
PATH = re.compile(r"(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)
MAX_GROUPS = 7  # of three digits: more than 10**18 tiles

ReadTile = Callable[[int, int, int], bytes]  # (tile level, n, width) -> width hashes


def hashes_at(level: int, size: int) -> int:
    """How many hashes a tree of `size` leaves has on a tile level."""
    return size >> HEIGHT * level


def tile_path(level: int, n: int, width: int = WIDTH) -> str:
    """`0/x001/x234/067`, `1/000.p/17`, `entries/000`."""
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03}")
    name = "entries" if level == ENTRIES else str(level)
    return f"{name}/{'/'.join(groups)}" + ("" if width == WIDTH else f".p/{width}")


def parse_path(text: str) -> tuple[int, int, int]:
    """(level, n, width). Raises ValueError for what is no tile's path, or not its one spelling."""
    found = PATH.fullmatch(text)
    if found is None or found[2].count("/") >= MAX_GROUPS:
        raise ValueError("not the path of a tile")
    level = ENTRIES if found[1] == "entries" else int(found[1])
    n, cut = int(found[2].replace("x", "").replace("/", "")), int(found[3] or WIDTH)
    if level > MAX_LEVEL or cut > WIDTH or tile_path(level, n, cut) != text:
        raise ValueError("not the path of a tile")
    return level, n, cut


def nodes(read: ReadTile, size: int) -> Node:
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
            raise ValueError(f"tile {tile_path(level, n)} has no hash {place}")
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


class TailTree:
    """The end of a growing tree in memory, so that what was just appended is proved without reading anything: the
    leaves from its last tile on, and the roots of what lies before them. `packed` is the frontier at `size`, `leaves`
    are the hashes from `base` on, joined. One thread grows it; proofs of what it was before stay right meanwhile, for
    complete subtrees never change.
    """

    def __init__(self, size: int, packed: bytes, leaves: bytes = b"") -> None:
        self.frontier = Frontier(size, packed)
        self.base = size - size % WIDTH
        self._leaves = split_hashes(leaves)
        if len(self._leaves) != size - self.base:
            raise ValueError(f"the last tile of a tree of {size} has another number of leaves than {len(self._leaves)}")
        heights = [height for height in reversed(range(HEIGHT, size.bit_length())) if size >> height & 1]
        self._known = {
            (height, (size >> height) - 1): packed[at * HASH : (at + 1) * HASH] for at, height in enumerate(heights)
        }

    def append(self, leaf: bytes) -> None:
        self._leaves.append(leaf)
        self.frontier.append(leaf)

    def node(self, height: int, index: int) -> bytes:
        """Raises ValueError for what lies before the leaves and is no root there."""
        found = self._known.get((height, index))
        if found is None and height:
            found = node_hash(self.node(height - 1, 2 * index), self.node(height - 1, 2 * index + 1))
        elif found is None:
            if not 0 <= index - self.base < len(self._leaves):
                raise ValueError(f"leaf {index} is not among those in memory")
            return self._leaves[index - self.base]
        self._known[height, index] = found
        return found

    @property
    def last_tile(self) -> int:
        """Where the tile begins that is being filled."""
        return self.frontier.size - self.frontier.size % WIDTH

    def shortened(self, base: int) -> "TailTree":
        """The same tree without the leaves before `base`, with which a tile begins."""
        heights = [height for height in reversed(range(base.bit_length())) if base >> height & 1]
        packed = b"".join(self.node(height, (base >> height) - 1) for height in heights)
        made = TailTree(base, packed)
        for leaf in self._leaves[base - self.base :]:
            made.append(leaf)
        return made


def bundle(entries: Iterable[bytes]) -> bytes:
    """Raises ValueError for an entry of more than 65,535 bytes."""
    try:
        return b"".join(len(entry).to_bytes(LENGTH, "big") + entry for entry in entries)
    except OverflowError:
        raise ValueError("an entry is too long for a bundle") from None
