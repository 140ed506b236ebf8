"""Hashing of the log: leaves, nodes, and the frontier that an append grows (RFC 6962 2.1, RFC 9162 2.1.1). Pure."""

import hashlib

HASH = 32  # bytes of SHA-256
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The prefix stops a node from being passed off as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the complete subtrees of a tree, the widest first: all that an append needs (O(log n)).

    `packed` is those roots joined. Raises ValueError where there are not as many as the size has one-bits.
    """

    def __init__(self, size: int = 0, packed: bytes = b"") -> None:
        if size < 0 or len(packed) != size.bit_count() * HASH:
            raise ValueError(f"a tree of {size} has another number of subtrees than {len(packed) / HASH:g}")
        self.size = size
        self._roots = [packed[start : start + HASH] for start in range(0, len(packed), HASH)]

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
