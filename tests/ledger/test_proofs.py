import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import SOAK
from support.trees import Tree, grown_from, holds, path_of, root_of, sides, tree

from gateway.ledger.proof.merkle import (
    EMPTY_ROOT,
    Unproved,
    check_consistency,
    check_inclusion,
    consistency,
    inclusion,
    leaf_hash,
    node_hash,
    subtree,
)

SIZE = 200  # of the trees that properties are drawn from
FAST, ALL = 130, 1024


def flipped(raw, bit):
    """The bytes with one bit turned."""
    bit %= len(raw) * 8
    return bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(raw))


def root(size):
    return subtree(0, size, tree(ALL).node)


def unhex(hashes):
    return [bytes.fromhex(text) for text in hashes]


# --- what others published -------------------------------------------------------------------------------------------


def test_the_proofs_of_the_reference_tree_come_out_and_hold(published):
    rows = published("ct_reference_tree_8")
    roots = dict(enumerate(unhex(rows["roots_by_size_1_to_8"]), start=1))
    made = Tree(8, [bytes.fromhex(text) for text in rows["leaf_inputs"]])
    assert [[node.hex() for node in level] for level in made.levels] == rows["node_hashes_by_level"]
    for row in rows["inclusion_0based"]:
        proof = inclusion(row["index"], row["size"], made.node)
        assert proof == unhex(row["proof"])
        check_inclusion(row["index"], row["size"], made.leaves[row["index"]], proof, roots[row["size"]])
    for row in rows["consistency"]:
        proof = consistency(row["size1"], row["size2"], made.node)
        assert proof == unhex(row["proof"])
        check_consistency(row["size1"], row["size2"], proof, roots[row["size1"]], roots[row["size2"]])


def test_a_certificate_is_proved_in_a_real_log_of_millions(published):
    row = published("ct_real_log_inclusion")
    leaf = leaf_hash(bytes.fromhex(row["leaf_data"]))
    assert leaf.hex() == row["leaf_hash"]
    claim = row["index"], row["size"], leaf, unhex(row["proof"]), bytes.fromhex(row["root"])
    check_inclusion(*claim)
    assert not holds(check_inclusion, row["index"] + 1, *claim[1:])


def probes(rows):
    """(check, claim, whether it must fail) of every probe, by its file."""
    for row in rows["inclusion"]:
        leaf, whole, *proof = decoded(row["leafHash"], row["root"], *(row["proof"] or []))
        yield row["file"], check_inclusion, (row["leafIdx"], row["treeSize"], leaf, proof, whole), row["wantErr"]
    for row in rows["consistency"]:
        old, new, *proof = decoded(row["root1"], row["root2"], *(row["proof"] or []))
        yield row["file"], check_consistency, (row["size1"], row["size2"], proof, old, new), row["wantErr"]


def decoded(*texts):
    return [base64.b64decode(text) for text in texts]


def test_every_forged_proof_that_others_collected_is_refused_and_every_good_one_holds(published):
    refused, held = 0, 0
    for file, check, claim, must_fail in probes(published("merkle_probes")):
        passes = holds(check, *claim)
        assert passes is not must_fail, file
        refused, held = refused + must_fail, held + passes
    assert (refused, held) == (184, 12)


def spans(limit):
    """Every subtree that the draft of Merkle Tree Certificates calls valid, in its order."""
    for end in range(limit + 1):
        for start in range(end + 1):
            width = end - start
            if not width or start % (1 << (width - 1).bit_length()) == 0:
                yield start, end


def test_every_subtree_and_its_proofs_are_those_of_merkle_tree_certificates(published):
    rows, made = published("mtc_draft_accumulated"), Tree(130, [bytes([number]) for number in range(130)])
    hashes, proofs = hashlib.sha256(), hashlib.sha256()
    for start, end in spans(130):
        found = subtree(start, end, made.node) if start < end else EMPTY_ROOT
        hashes.update(b"[%d, %d) %s\n" % (start, end, found.hex().encode()))
        for index in range(start, end):
            proof = inclusion(index - start, end - start, lambda h, i, start=start: made.node(h, i + (start >> h)))
            proofs.update(b"%d [%d, %d)" % (index, start, end))
            proofs.update(b"".join(b" " + one.hex().encode() for one in proof) + b"\n")
    assert hashes.hexdigest() == rows["subtree_hash"]["sha256"]
    assert proofs.hexdigest() == rows["subtree_inclusion"]["sha256"]


def test_the_proof_that_the_log_of_five_grew_to_fifteen_is_the_published_one(published):
    made = Tree(15, [text.encode() for text in published("tessera_testdata_log")["entries_utf8"]])
    assert consistency(5, 15, made.node) == unhex(published("derived_tlog_proof")["consistency_5_to_15"])


# --- every proof of every small tree ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_proofs_are_those_of_the_definition():
    for size in range(1, 66):
        leaves = tree(ALL).leaves[:size]
        assert root(size) == root_of(leaves)
        for index in range(size):
            assert inclusion(index, size, tree(ALL).node) == path_of(index, leaves)
            assert consistency(index + 1, size, tree(ALL).node) == grown_from(index + 1, leaves)


def every_proof_holds(sizes):
    """How many proofs were made and checked: every leaf of every size, every growth to every size."""
    made, node, count = tree(ALL), tree(ALL).node, 0
    roots = {size: root(size) for size in range(1, ALL + 1)}
    for size in sizes:
        for index in range(size):
            check_inclusion(index, size, made.leaves[index], inclusion(index, size, node), roots[size])
            old = index + 1
            check_consistency(old, size, consistency(old, size, node), roots[old], roots[size])
        count += 2 * size
    return count


@pytest.mark.slow
def test_every_leaf_and_every_growth_of_trees_up_to_130_is_proved():
    assert every_proof_holds(range(1, FAST + 1)) == FAST * (FAST + 1)


@pytest.mark.slow
def test_every_leaf_and_every_growth_of_trees_up_to_1024_is_proved(figure):
    """Of every size in `make soak`; else of each seventeenth, and of those around the powers of two."""
    around = {size for power in (256, 512, 1024) for size in (power - 1, power, power + 1)}
    sizes = [size for size in range(FAST + 1, ALL + 1) if SOAK or size % 17 == 0 or size in around]
    count = every_proof_holds(sizes)
    assert count == 2 * sum(sizes)
    figure("proofs up to 1,024", f"{count:,} made and checked")


# --- what was changed is found ---------------------------------------------------------------------------------------


@st.composite
def included(draw):
    """The claim that a leaf is in a tree: index, size, leaf, proof, root."""
    size = draw(st.integers(1, SIZE))
    index = draw(st.integers(0, size - 1))
    made = tree(ALL)
    return index, size, made.leaves[index], inclusion(index, size, made.node), root(size)


@st.composite
def grew(draw):
    """The claim that a tree grew: old, new, proof, old root, new root."""
    new = draw(st.integers(2, SIZE))
    old = draw(st.integers(1, new - 1))
    return old, new, consistency(old, new, tree(ALL).node), root(old), root(new)


@given(included(), st.integers(0, 2**16))
def test_a_leaf_is_proved_and_no_bit_of_leaf_proof_or_root_can_be_turned(claim, bit):
    index, size, leaf, proof, whole = claim
    check_inclusion(*claim)
    assert not holds(check_inclusion, index, size, flipped(leaf, bit), proof, whole)
    assert not holds(check_inclusion, index, size, leaf, proof, flipped(whole, bit))
    for at, one in enumerate(proof):
        assert not holds(check_inclusion, index, size, leaf, [*proof[:at], flipped(one, bit), *proof[at + 1 :]], whole)


@given(included(), st.data())
def test_a_leaf_is_proved_at_its_own_place_alone(claim, data):
    index, *rest = claim
    other = data.draw(st.integers(-2, SIZE + 2) | st.integers(0, 63).map(lambda bit: index ^ 1 << bit))
    assert holds(check_inclusion, other, *rest) is (other == index)


@given(included(), st.data())
def test_a_proof_holds_for_another_size_only_where_its_hashes_would_stand_on_the_same_sides(claim, data):
    """Hashes alone cannot tell 3 entries from 4 for the first one; the size is signed with the root, in a receipt."""
    index, size, *rest = claim
    other = data.draw(st.integers(-2, 2 * SIZE) | st.integers(0, 12).map(lambda bit: size ^ 1 << bit))
    alike = 0 <= index < other and sides(index, other) == sides(index, size)
    assert holds(check_inclusion, index, other, *rest) is alike


@given(grew(), st.integers(0, 2**16))
def test_a_growth_is_proved_and_no_bit_of_proof_or_roots_can_be_turned(claim, bit):
    old, new, proof, before, after = claim
    check_consistency(*claim)
    assert not holds(check_consistency, old, new, proof, flipped(before, bit), after)
    assert not holds(check_consistency, old, new, proof, before, flipped(after, bit))
    for at, one in enumerate(proof):
        turned = [*proof[:at], flipped(one, bit), *proof[at + 1 :]]
        assert not holds(check_consistency, old, new, turned, before, after)


@given(included(), grew(), st.data())
def test_a_proof_with_a_hash_too_few_too_many_or_out_of_place_shows_nothing(leaf, growth, data):
    for check, before, proof, after in (
        (check_inclusion, leaf[:3], leaf[3], leaf[4:]),
        (check_consistency, growth[:2], growth[2], growth[3:]),
    ):
        at = data.draw(st.integers(0, len(proof)))
        extra = data.draw(st.sampled_from([bytes(32), *tree(ALL).leaves[:5], *proof]))
        assert not holds(check, *before, [*proof[:at], extra, *proof[at:]], *after)
        if proof:
            drop = data.draw(st.integers(0, len(proof) - 1))
            assert not holds(check, *before, [*proof[:drop], *proof[drop + 1 :]], *after)
        if len(proof) > 1 and proof[0] != proof[-1]:
            assert not holds(check, *before, [proof[-1], *proof[1:-1], proof[0]], *after)


def test_a_path_longer_than_the_tree_is_high_shows_nothing_even_to_a_root_that_was_made_to_fit_it():
    made = tree(ALL)
    above = node_hash(made.leaves[9], root(8))
    assert not holds(check_inclusion, 0, 8, made.leaves[0], [*inclusion(0, 8, made.node), made.leaves[9]], above)
    grown = [*consistency(3, 8, made.node), made.leaves[9]]
    assert not holds(check_consistency, 3, 8, grown, node_hash(made.leaves[9], root(3)), above)


@given(st.integers(1, SIZE), st.data())
def test_a_log_that_changed_an_old_entry_cannot_show_that_it_grew(old, data):
    new = data.draw(st.integers(old + 1, SIZE + 1))
    changed = data.draw(st.integers(0, old - 1))
    bodies = [b"other" if at == changed else b"entry %d" % at for at in range(new)]
    other = Tree(new, bodies)
    proof = consistency(old, new, other.node)
    assert not holds(check_consistency, old, new, proof, root(old), subtree(0, new, other.node))


def test_a_size_that_both_ends_of_a_growth_share_needs_equal_roots_and_no_proof():
    check_consistency(7, 7, [], root(7), root(7))
    assert not holds(check_consistency, 7, 7, [root(7)], root(7), root(7))
    assert not holds(check_consistency, 7, 7, [], root(7), root(6))


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (-1, 5), (6, 5)])
def test_a_growth_from_nothing_or_backwards_means_nothing(old, new):
    with pytest.raises(ValueError, match="did not grow"):
        consistency(old, new, tree(ALL).node)
    for proof in ([], [root(5)], [EMPTY_ROOT, root(5)]):
        assert not holds(check_consistency, old, new, proof, EMPTY_ROOT, root(5))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (0, -1)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index, size):
    with pytest.raises(ValueError, match="no leaf"):
        inclusion(index, size, tree(ALL).node)
    assert not holds(check_inclusion, index, size, leaf_hash(b""), [], leaf_hash(b""))


def test_an_inner_node_is_no_leaf():
    """A shorter path from two joined hashes must not pass for an entry (RFC 6962's prefixes, seen from the proof)."""
    made = tree(ALL)
    entry = made.leaves[0] + made.leaves[1]
    proof = inclusion(0, 8, made.node)[1:]
    assert not holds(check_inclusion, 0, 4, leaf_hash(entry), proof, root(8))
    check_inclusion(0, 4, node_hash(*made.leaves[:2]), proof, root(8))  # control: the hash itself would


@given(
    st.integers(-(2**70), 2**70),
    st.integers(-(2**70), 2**70),
    st.lists(st.binary(max_size=40) | st.binary(min_size=32, max_size=32), max_size=140),
    st.binary(max_size=40) | st.sampled_from([EMPTY_ROOT, root(5)]),
    st.sampled_from([EMPTY_ROOT, root(5)]),
)
def test_whatever_a_stranger_claims_is_unproved_and_nothing_worse(first, second, proof, one, other):
    for check, claim in (
        (check_inclusion, (first, second, one, proof, other)),
        (check_consistency, (first, second, proof, one, other)),
    ):
        assert holds(check, *claim) is False or (first == second and not proof and one == other)


def test_a_hash_of_another_length_is_refused_even_where_it_would_not_be_used():
    with pytest.raises(Unproved, match="32 bytes"):
        check_inclusion(0, 1, b"short", [], b"short")
    with pytest.raises(Unproved, match="32 bytes"):
        check_consistency(5, 6, [b"short"], b"", b"")
