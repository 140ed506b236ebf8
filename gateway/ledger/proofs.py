"""Inclusion and consistency proofs, made and checked (RFC 9162 2.1.3 and 2.1.4). Pure.

Making asks for nodes: (height, index) is the root of the complete subtree over the leaves [index << height,
(index + 1) << height). Checking needs nothing but the numbers and hashes themselves.
"""

from collections.abc import Callable, Iterator, Sequence

from gateway.ledger.merkle import HASH, node_hash

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


def inclusion(index: int, size: int, node: Node) -> list[bytes]:
    """The hashes beside the way from a leaf to the root, the leaf's sibling first. Raises ValueError for no leaf."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    start, end, path = 0, size, list[tuple[int, int]]()
    while end - start > 1:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        path.append((split, end) if index < split else (start, split))
        start, end = (start, split) if index < split else (split, end)
    return [subtree(*span, node) for span in reversed(path)]


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
