"""Merkle trees made the slow way: straight from the definitions of RFC 9162, with nothing of the project's but hashing.

The project's proofs and tiles are held against these.
"""

from functools import cache

from gateway.ledger.proof.merkle import WIDTH, Unproved, hashes_at, leaf_hash, node_hash


def entries(count):
    """As many different entries."""
    return [b"entry %d" % number for number in range(count)]


def root_of(hashes):
    """MTH of RFC 9162 2.1.1, over leaf hashes; at least one."""
    if len(hashes) == 1:
        return hashes[0]
    split = largest_below(len(hashes))
    return node_hash(root_of(hashes[:split]), root_of(hashes[split:]))


def largest_below(count):
    """The largest power of two smaller than the count."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def path_of(index, hashes):
    """PATH of RFC 9162 2.1.3.1."""
    if len(hashes) == 1:
        return []
    split = largest_below(len(hashes))
    if index < split:
        return [*path_of(index, hashes[:split]), root_of(hashes[split:])]
    return [*path_of(index - split, hashes[split:]), root_of(hashes[:split])]


def grown_from(old, hashes, whole=True):
    """SUBPROOF of RFC 9162 2.1.4.1."""
    if old == len(hashes):
        return [] if whole else [root_of(hashes)]
    split = largest_below(len(hashes))
    if old <= split:
        return [*grown_from(old, hashes[:split], whole), root_of(hashes[split:])]
    return [*grown_from(old - split, hashes[split:], False), root_of(hashes[:split])]


def sides(index, size):
    """On which side each hash of a leaf's path stands, from the leaf up."""
    if size == 1:
        return ""
    split = largest_below(size)
    return sides(index, split) + "r" if index < split else sides(index - split, size - split) + "l"


class Tree:
    """Leaf hashes with every complete subtree above them, kept: nodes for proofs of any size up to theirs."""

    def __init__(self, count, bodies=None):
        self.leaves = [leaf_hash(body) for body in (bodies or entries(count))]
        self.levels = [self.leaves]
        while len(below := self.levels[-1]) > 1:
            self.levels.append([node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])

    def node(self, height, index):
        return self.levels[height][index]

    def tile(self, level, n, width):
        """As a log serves it."""
        return b"".join(self.levels[8 * level][n * 256 : n * 256 + width])


@cache
def tree(count):
    return Tree(count)


def counts(level, size):
    """How many full tiles a level has, and how many hashes its last, partial one."""
    return divmod(hashes_at(level, size), WIDTH)


def unbundle(raw):
    """The entries of a bundle, each behind its length (C2SP tlog-tiles). Raises ValueError where the lengths do not add
    up.
    """
    entries, start = [], 0
    while start < len(raw):
        end = start + 2 + int.from_bytes(raw[start : start + 2])
        if len(raw) < end:
            raise ValueError("an entry is cut off")
        entries.append(raw[start + 2 : end])
        start = end
    return entries


def holds(check, *claim):
    """Whether a check of a proof passes; anything but `Unproved` goes through to the test."""
    try:
        check(*claim)
    except Unproved:
        return False
    return True
