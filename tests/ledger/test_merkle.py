import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import entries, root_of

from gateway.ledger.proof import merkle, note
from gateway.ledger.proof.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash


def grown(leaves, start=None):
    frontier = start or Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier


def test_leaves_and_nodes_are_hashed_as_every_other_log_does(published):
    rows = published("rfc6962_hasher")
    assert EMPTY_ROOT.hex() == rows["empty_root"]
    for row in rows["leaf"]:
        assert leaf_hash(bytes.fromhex(row["data"])).hex() == row["hash"]
    for row in rows["node"]:
        assert node_hash(bytes.fromhex(row["left"]), bytes.fromhex(row["right"])).hex() == row["hash"]


def test_the_reference_tree_of_certificate_transparency_comes_out(published):
    rows = published("ct_reference_tree_8")
    leaves = [leaf_hash(bytes.fromhex(text)) for text in rows["leaf_inputs"]]
    assert [leaf.hex() for leaf in leaves] == rows["node_hashes_by_level"][0]
    roots = [grown(leaves[:size]).root().hex() for size in range(1, len(leaves) + 1)]
    assert roots == rows["roots_by_size_1_to_8"]


def test_a_log_that_others_published_grows_to_the_roots_that_they_signed(published):
    rows = published("tessera_testdata_log")
    frontier = Frontier()
    for size, text in sorted((int(size), text) for size, text in rows["checkpoints_by_size"].items()):
        assert (frontier.size, frontier.root()) == (size, note.parse_checkpoint(note.text_of(text)).root)
        if size < len(rows["entries_utf8"]):
            frontier.append(leaf_hash(rows["entries_utf8"][size].encode()))
    assert frontier.size == len(rows["entries_utf8"]) == 15


def test_the_root_is_the_one_of_the_definition_at_every_size():
    leaves, frontier = [leaf_hash(entry) for entry in entries(260)], Frontier()
    assert frontier.root() == hashlib.sha256(b"").digest()
    for size, leaf in enumerate(leaves, start=1):
        frontier.append(leaf)
        assert (frontier.size, frontier.root()) == (size, root_of(leaves[:size]))


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_log_that_is_stopped_and_started_anywhere_goes_on_as_if_it_had_not_been(before, after):
    leaves = [leaf_hash(entry) for entry in entries(before + after)]
    stopped = grown(leaves[:before])
    packed = stopped.pack()
    assert len(packed) == before.bit_count() * merkle.HASH
    again = Frontier(before, packed)
    assert again.root() == stopped.root()
    assert grown(leaves[before:], again).pack() == grown(leaves).pack()


@pytest.mark.parametrize(
    ("size", "packed"),
    [
        (0, b"x" * 32),
        (1, b""),
        (1, b"x" * 31),
        (1, b"x" * 33),
        (3, b"x" * 32),
        (2, b"x" * 64),
        (-1, b"x" * 32),
        (-1, b""),
    ],
)
def test_a_stored_frontier_that_does_not_fit_its_size_is_refused(size, packed):
    with pytest.raises(ValueError, match="number of subtrees"):
        Frontier(size, packed)


def test_two_leaves_cannot_be_passed_off_as_one():
    """The prefixes of RFC 6962: without them an entry made of two hashes would have their node's hash."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)
    assert hashlib.sha256(b"\x01" + left + right).digest() == node_hash(left, right)  # control: the prefix is all


@given(st.integers(1, 80), st.data())
def test_a_changed_entry_changes_the_root(size, data):
    index = data.draw(st.integers(0, size - 1))
    leaves = [leaf_hash(entry) for entry in entries(size)]
    other = [*leaves[:index], leaf_hash(b"another"), *leaves[index + 1 :]]
    assert grown(other).root() != grown(leaves).root()


@given(st.integers(2, 80), st.data())
def test_entries_that_change_places_change_the_root(size, data):
    first, second = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    leaves = [leaf_hash(entry) for entry in entries(size)]
    swapped = list(leaves)
    swapped[first], swapped[second] = leaves[second], leaves[first]
    assert grown(swapped).root() != grown(leaves).root()
