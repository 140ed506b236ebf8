import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import merkle, proofs
from gateway.ledger.merkle import Frontier
from gateway.ledger.proofs import Unproved

LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(1024)]


def mth(leaves):
    """RFC 9162 2.1.1, word for word."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return merkle.node_hash(mth(leaves[:split]), mth(leaves[split:]))


LEVELS = [LEAVES]
while len(LEVELS[-1]) > 1:
    below = LEVELS[-1]
    LEVELS.append([merkle.node_hash(*below[at : at + 2]) for at in range(0, len(below), 2)])


def node(height, index):
    return LEVELS[height][index]


@pytest.fixture(scope="module")
def roots():
    frontier, found = Frontier(), [merkle.EMPTY_ROOT]
    for leaf in LEAVES:
        frontier.append(leaf)
        found.append(frontier.root())
    return found


def test_the_frontier_has_the_root_of_the_definition_at_every_size(roots):
    assert roots[:200] == [mth(LEAVES[:size]) for size in range(200)]
    assert roots[1024] == mth(LEAVES)


def test_a_frontier_is_the_same_after_it_was_packed(roots):
    frontier = Frontier()
    for size, leaf in enumerate(LEAVES[:300], start=1):
        frontier.append(leaf)
        frontier = Frontier(size, frontier.pack())
        assert frontier.root() == roots[size]


@pytest.mark.parametrize(("size", "packed"), [(1, b""), (3, b"x" * 32), (0, b"x" * 32), (1, b"x" * 31), (-1, b"")])
def test_a_frontier_that_does_not_fit_its_size_is_refused(size, packed):
    with pytest.raises(ValueError):
        Frontier(size, packed)


def every(step):
    """All sizes up to 1,024, or each `step`th and those beside the powers of two."""
    near = {edge + beside for edge in (1 << bit for bit in range(11)) for beside in (-1, 0, 1)}
    return [size for size in range(1, 1025) if size % step == 0 or size in near]


def proves_inclusion(sizes, roots):
    count = 0
    for size in sizes:
        for index in range(size):
            proofs.check_inclusion(index, size, LEAVES[index], proofs.inclusion(index, size, node), roots[size])
            count += 1
    return count


def proves_consistency(sizes, roots):
    for new in sizes:
        for old in range(1, new + 1):
            proofs.check_consistency(old, new, proofs.consistency(old, new, node), roots[old], roots[new])


def test_every_leaf_of_many_trees_is_proved_and_every_tree_grew_out_of_each_before(roots):
    assert proves_inclusion(every(64), roots) > 11_000
    proves_consistency(every(64), roots)


@pytest.mark.slow
def test_every_leaf_of_every_tree_of_up_to_1024_is_proved(roots, figure):
    count = proves_inclusion(range(1, 1025), roots)
    proves_consistency(range(1, 1025), roots)
    figure("proofs", f"{count} inclusion and as many consistency proofs, every (i, n) up to 1,024")
    assert count == 1024 * 1025 // 2


@given(st.integers(1, 1024), st.randoms(use_true_random=False))
def test_a_proof_with_one_bit_changed_proves_nothing(roots, size, luck):
    index = luck.randrange(size)
    proof = proofs.inclusion(index, size, node)
    parts = [LEAVES[index], roots[size], *proof]
    which = luck.randrange(len(parts))
    changed = flip(parts[which], luck)
    parts[which] = changed
    with pytest.raises(Unproved):
        proofs.check_inclusion(index, size, parts[0], parts[2:], parts[1])


@given(st.integers(1, 1024), st.integers(1, 1024), st.randoms(use_true_random=False))
def test_a_history_with_one_bit_changed_is_not_believed(roots, one, other, luck):
    old, new = sorted((one, other))
    parts = [roots[old], roots[new], *proofs.consistency(old, new, node)]
    which = luck.randrange(len(parts))
    parts[which] = flip(parts[which], luck)
    with pytest.raises(Unproved):
        proofs.check_consistency(old, new, parts[2:], parts[0], parts[1])


def flip(hash_, luck):
    at = luck.randrange(32)
    return hash_[:at] + bytes([hash_[at] ^ 1 << luck.randrange(8)]) + hash_[at + 1 :]


@given(st.integers(1, 1024), st.randoms(use_true_random=False))
def test_a_proof_is_for_one_place_in_one_tree(roots, size, luck):
    """A proof tells the place, as far as the shape of the tree does: another leaf, root or place of another path fails."""
    index = luck.randrange(size)
    proof = proofs.inclusion(index, size, node)
    other = luck.randrange(size)
    if other != index:
        with pytest.raises(Unproved):
            proofs.check_inclusion(other, size, LEAVES[index], proof, roots[size])
    for wrong in (proof[:-1], [*proof, os.urandom(32)], [b"short", *proof[1:]]):
        if wrong != proof:
            with pytest.raises(Unproved):
                proofs.check_inclusion(index, size, LEAVES[index], wrong, roots[size])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 5), (5, 5)])
def test_there_is_no_proof_of_what_is_not_there(index, size):
    with pytest.raises(ValueError):
        proofs.inclusion(index, size, node)
    with pytest.raises(Unproved):
        proofs.check_inclusion(index, size, LEAVES[0], [], LEAVES[0])


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (6, 5), (-1, 3)])
def test_nothing_grows_out_of_nothing_or_backwards(roots, old, new):
    with pytest.raises(ValueError):
        proofs.consistency(old, new, node)
    with pytest.raises(Unproved):
        proofs.check_consistency(old, new, [], roots[max(old, 0)], roots[new])


def test_a_node_passed_off_as_a_leaf_is_refused(roots):
    """The prefix bytes are what stops it (RFC 9162 2.1.1)."""
    luck = random.Random(1)
    inner = node(1, 0)
    forged = b"".join(LEAVES[:2])
    assert merkle.leaf_hash(forged) != inner
    for _ in range(20):
        index = luck.randrange(512)
        with pytest.raises(Unproved):
            proofs.check_inclusion(
                index, 1024, merkle.leaf_hash(forged), proofs.inclusion(index, 1024, node), roots[1024]
            )
