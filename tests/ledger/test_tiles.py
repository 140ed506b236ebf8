import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import Tree, counts, root_of, tree, unbundle

from gateway.ledger.proof import merkle
from gateway.ledger.proof.merkle import (
    ENTRIES,
    HASH,
    WIDTH,
    TailTree,
    check_consistency,
    check_inclusion,
    consistency,
    inclusion,
    leaf_hash,
    subtree,
)

BILLION = 10**9


# --- what others published -------------------------------------------------------------------------------------------


def test_tiles_are_counted_and_named_as_the_specification_does(published):
    spec = published("c2sp_tiles_spec")
    ((index, path),) = spec["index_path"].items()
    assert merkle.tile_path(0, int(index)) == f"0/{path}"
    for size, stated in ((70_000, spec["size_70000"]), (256, spec["size_256"])):
        for name, count in stated.items():
            level, what = int(name[5]), name[7:]
            assert counts(level, size)[what != "full"] == count, name
    assert [counts(level, 70_000)[0] for level in range(4)] == [273, 1, 0, 0]
    assert counts(0, 256) == (1, 0)  # and no empty tile


def test_the_tile_names_of_go_are_read_without_their_height(published):
    rows = published("tlog_format")
    for row in rows["go_tile_paths_with_height_element"]:
        path = row["path"].removeprefix(f"tile/{row['H']}/")
        width = row["W"] if ".p/" in path else WIDTH
        assert merkle.parse_path(path) == (row["L"], row["N"], width)
        assert merkle.tile_path(row["L"], row["N"], width) == path
    for path in rows["go_tile_paths_invalid"]:
        with pytest.raises(ValueError, match="not the path"):
            merkle.parse_path(path.removeprefix("tile/3/"))


def test_the_tile_and_the_bundle_that_tessera_published_come_out(published):
    rows = published("tessera_testdata_log")
    bodies = [text.encode() for text in rows["entries_utf8"]]
    raw = bytes.fromhex(rows["tile_entries_000_p_15"])
    assert merkle.bundle(bodies) == raw
    assert unbundle(raw) == bodies
    assert b"".join(leaf_hash(body) for body in bodies).hex() == rows["tile_0_000_p_15"]


def test_the_tiles_of_a_mirrored_log_of_three_hundred_come_out(published):
    rows = published("sunlight_mirror_log_300")
    made = Tree(300, [b"record %d" % number for number in range(300)])
    assert hashlib.sha256(made.tile(0, 0, 256)).hexdigest() == rows["tile_0_000_sha256"]
    assert hashlib.sha256(made.tile(0, 1, 44)).hexdigest() == rows["tile_0_001_p_44_sha256"]
    assert made.tile(1, 0, 1).hex() == rows["tile_1_000_p_1"]
    from_tiles = merkle.nodes(made.tile, 300)
    assert subtree(0, 300, from_tiles) == root_of(made.leaves)


# --- names -----------------------------------------------------------------------------------------------------------


@given(st.sampled_from([ENTRIES, 0, 1, 63]), st.integers(0, 10**20), st.integers(1, WIDTH))
def test_a_tiles_name_is_read_back_as_the_same_tile(level, n, width):
    path = merkle.tile_path(level, n, width)
    assert merkle.parse_path(path) == (level, n, width)


@pytest.mark.parametrize(
    ("n", "path"),
    [(0, "000"), (999, "999"), (1000, "x001/000"), (999_999, "x999/999"), (10**6, "x001/x000/000"), (5, "005")],
)
def test_a_tiles_number_is_cut_into_threes(n, path):
    assert merkle.tile_path(2, n) == f"2/{path}"
    assert merkle.tile_path(ENTRIES, n, 7) == f"entries/{path}.p/7"


@pytest.mark.parametrize(
    "path",
    ["", "0", "0/", "/0/000", "0/000/", "00/000", "64/000", "-1/000", "0/0", "0/0000", "0/x000", "0/x000/001", "0/000/001",
     "0/x01/001", "0/000.p/0", "0/000.p/00", "0/000.p/01", "0/000.p/256", "0/000.p/257", "0/000.p/999", "0/000.p/",
     "0/000.p/1000", "0/000.p", "0/000\n", "0/000.p/1\n", "0/٠٠٠", "٣/000", "Entries/000", "entries/x000/000",
     "0/../000", "0/%30%30%30", "0/" + "x001/" * 7 + "000", "0/" + "x001/" * 5000 + "000", "checkpoint"],
)  # fmt: skip
def test_what_names_no_tile_or_not_in_its_one_spelling_is_refused(path):
    with pytest.raises(ValueError, match="not the path of a tile"):
        merkle.parse_path(path)


@given(st.text() | st.from_regex(r"\A(entries|[0-9]{1,2})/(x?[0-9]{3}/?){1,4}(\.p/[0-9]{1,3})?\Z"))
def test_a_strangers_path_is_a_tile_in_its_one_spelling_or_refused(text):
    try:
        level, n, width = merkle.parse_path(text)
    except ValueError:
        return
    assert merkle.tile_path(level, n, width) == text
    assert ENTRIES <= level <= 63
    assert 1 <= width <= WIDTH


# --- nodes out of tiles ----------------------------------------------------------------------------------------------


@given(st.integers(1, 1024), st.data())
def test_proofs_made_from_tiles_are_those_of_the_tree(size, data):
    index = data.draw(st.integers(0, size - 1))
    made = tree(1024)
    from_tiles = merkle.nodes(made.tile, size)
    assert inclusion(index, size, from_tiles) == inclusion(index, size, made.node)
    assert consistency(index + 1, size, from_tiles) == consistency(index + 1, size, made.node)


@given(st.integers(0, 1000), st.lists(st.integers(1, 300), min_size=1, max_size=4), st.data())
def test_proofs_of_what_was_just_appended_are_made_from_memory_alone(size, batches, data):
    made = tree(2200)
    packed = b"".join(
        made.node(height, (size >> height) - 1) for height in reversed(range(size.bit_length())) if size >> height & 1
    )
    end = TailTree(size, packed, b"".join(made.leaves[size - size % WIDTH : size]))
    for batch in batches:
        for leaf in made.leaves[size : size + batch]:
            end.append(leaf)
        index, size = data.draw(st.integers(end.base, size + batch - 1)), size + batch
        assert inclusion(index, size, end.node) == inclusion(index, size, made.node)
        bases = range(end.base, end.last_tile + 1, WIDTH)
        end = data.draw(st.sampled_from([end, *map(end.shortened, bases)]))
        assert end.frontier.root() == merkle.root_at(size, made.node)


def test_the_end_of_a_tree_does_not_guess_what_lies_before_it():
    end = TailTree(512, tree(1024).node(9, 0))
    with pytest.raises(ValueError, match="not among those in memory"):
        end.node(8, 0)
    with pytest.raises(ValueError, match="another number of leaves"):
        TailTree(3, tree(1024).node(1, 0) + tree(1024).leaves[2])


@pytest.mark.slow
def test_a_tree_of_seventy_thousand_is_proved_from_three_levels_of_tiles():
    made, size = Tree(70_000), 70_000
    read = []

    def noted(level, n, width):
        read.append((level, n, width))
        return made.tile(level, n, width)

    root = subtree(0, size, merkle.nodes(noted, size))
    assert set(read) == {(2, 0, 1), (1, 1, 17), (0, 273, 112)}
    for index in (0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999):
        node = merkle.nodes(made.tile, size)
        check_inclusion(index, size, made.leaves[index], inclusion(index, size, node), root)
        old = subtree(0, index + 1, merkle.nodes(made.tile, index + 1))
        check_consistency(index + 1, size, consistency(index + 1, size, node), old, root)


@given(st.integers(0, BILLION - 1))
def test_a_proof_among_a_thousand_million_asks_for_each_tile_once_and_for_few(index):
    """At most four tiles beside those on the tree's ragged right edge."""
    read = []

    def blank(level, n, width):
        read.append((level, n))
        assert width == WIDTH or (n, width) == counts(level, BILLION)
        return bytes(width * HASH)

    assert len(inclusion(index, BILLION, merkle.nodes(blank, BILLION))) <= 30
    assert len(read) == len(set(read))
    edge = {(level, counts(level, BILLION)[0]) for level in range(4)}
    assert len(set(read) - edge) <= 4


@pytest.mark.parametrize(
    ("height", "index"), [(0, 300), (0, -1), (8, 1), (9, 0), (16, 0), (1, 150), (-1, 0), (3, 37), (64, 0), (10**6, 0)]
)
def test_a_node_that_the_tree_does_not_have_is_refused_and_nothing_is_read(height, index):
    def never(level, n, width):
        raise AssertionError((level, n, width))

    with pytest.raises(ValueError, match="no complete subtree"):
        merkle.nodes(never, 300)(height, index)


@pytest.mark.parametrize("held", [b"", bytes(31), bytes(43 * HASH), bytes(44 * HASH - 1)])
def test_a_tile_that_is_cut_off_is_refused(held):
    with pytest.raises(ValueError, match="has no hash 43"):
        merkle.nodes(lambda *_: held, 300)(0, 299)


def test_an_entry_that_was_changed_under_its_tile_shows_in_the_root():
    made = tree(1024)
    changed = bytearray(made.tile(0, 1, 44))
    changed[100] ^= 1
    read = lambda level, n, width: bytes(changed) if (level, n) == (0, 1) else made.tile(level, n, width)  # noqa: E731
    assert subtree(0, 300, merkle.nodes(read, 300)) != subtree(0, 300, merkle.nodes(made.tile, 300))


# --- bundles ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_gives_its_entries_back(bodies):
    assert unbundle(merkle.bundle(bodies)) == bodies


def test_an_entry_of_any_length_that_a_leaf_may_have_fits():
    bodies = [b"", b"x" * 65_535, b""]
    assert unbundle(merkle.bundle(bodies)) == bodies
    with pytest.raises(ValueError, match="too long"):
        merkle.bundle([b"x" * 65_536])
