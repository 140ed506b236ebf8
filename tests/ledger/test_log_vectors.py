"""Every group of the published vectors: hashing, proofs, notes, tiles, checkpoints, receipts (see their `origin`)."""

import base64
import hashlib
import json

import pytest

from gateway.ledger import checkpoint, merkle, note, proofs, receipt, tiles
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.ed25519 import CosignatureVerifier, Ed25519Signer, Ed25519Verifier
from gateway.ledger.merkle import Frontier
from gateway.ledger.note import NoteRefused
from gateway.ledger.proofs import Unproved


@pytest.fixture(scope="module")
def groups(vectors):
    return json.loads((vectors / "ledger_vectors.json").read_text())["groups"]


def test_every_group_has_its_test_here(groups):
    tested = {name.removeprefix("test_group_") for name in globals() if name.startswith("test_group_")}
    assert tested == set(groups)


def nodes_of(entries):
    hashes = [merkle.leaf_hash(each) for each in entries]
    return lambda height, index: root_of(hashes[index << height : (index + 1) << height])


def root_of(hashes):
    frontier = Frontier()
    for each in hashes:
        frontier.append(each)
    return frontier.root()


def unhex(texts):
    return [bytes.fromhex(text) for text in texts]


def unbase64(texts):
    return [base64.b64decode(text) for text in texts or []]


def test_group_rfc6962_hasher(groups):
    group = groups["rfc6962_hasher"]
    assert merkle.EMPTY_ROOT.hex() == Frontier().root().hex() == group["empty_root"]
    for leaf in group["leaf"]:
        assert merkle.leaf_hash(leaf["data"].encode()).hex() == leaf["hash"] or (
            merkle.leaf_hash(bytes.fromhex(leaf["data"])).hex() == leaf["hash"]
        )
    for each in group["node"]:
        assert merkle.node_hash(bytes.fromhex(each["left"]), bytes.fromhex(each["right"])).hex() == each["hash"]


def test_group_ct_reference_tree_8(groups):
    group = groups["ct_reference_tree_8"]
    entries = unhex(group["leaf_inputs"])
    node = nodes_of(entries)
    hashes = [merkle.leaf_hash(each) for each in entries]
    assert [root_of(hashes[:size]).hex() for size in range(1, 9)] == group["roots_by_size_1_to_8"]
    for height, level in enumerate(group["node_hashes_by_level"]):
        assert [node(height, index).hex() for index in range(len(level))] == level
    for each in group["inclusion_0based"]:
        made = proofs.inclusion(each["index"], each["size"], node)
        assert [hash_.hex() for hash_ in made] == each["proof"]
        proofs.check_inclusion(
            each["index"], each["size"], hashes[each["index"]], made, root_of(hashes[: each["size"]])
        )
    for each in group["consistency"]:
        old, new = each["size1"], each["size2"]
        made = proofs.consistency(old, new, node)
        assert [hash_.hex() for hash_ in made] == each["proof"]
        proofs.check_consistency(old, new, made, root_of(hashes[:old]), root_of(hashes[:new]))


def test_group_ct_real_log_inclusion(groups):
    group = groups["ct_real_log_inclusion"]
    leaf = merkle.leaf_hash(bytes.fromhex(group["leaf_data"]))
    assert leaf.hex() == group["leaf_hash"]
    proof, root = unhex(group["proof"]), bytes.fromhex(group["root"])
    proofs.check_inclusion(group["index"], group["size"], leaf, proof, root)
    with pytest.raises(Unproved):
        proofs.check_inclusion(group["index"] + 1, group["size"], leaf, proof, root)


def refused(check, *values):
    try:
        check(*values)
    except Unproved:
        return True
    return False


def test_group_merkle_probes(groups):
    group = groups["merkle_probes"]
    wrong = []
    for probe in group["inclusion"]:
        [root, leaf] = unbase64([probe["root"], probe["leafHash"]])
        values = (probe["leafIdx"], probe["treeSize"], leaf, unbase64(probe["proof"]), root)
        if refused(proofs.check_inclusion, *values) != probe["wantErr"]:
            wrong.append(probe["file"])
    for probe in group["consistency"]:
        values = (probe["size1"], probe["size2"], unbase64(probe["proof"]), *unbase64([probe["root1"], probe["root2"]]))
        if refused(proofs.check_consistency, *values) != probe["wantErr"]:
            wrong.append(probe["file"])
    assert wrong == []
    must_fail = [probe for kind in ("inclusion", "consistency") for probe in group[kind] if probe["wantErr"]]
    assert len(must_fail) == 184


def test_group_mtc_draft_accumulated(groups):
    """One rolling hash over every subtree of the trees of up to 130 leaves, and over every proof in them."""
    group = groups["mtc_draft_accumulated"]
    hashes = [merkle.leaf_hash(bytes([number])) for number in range(130)]
    subtrees, inclusions = hashlib.sha256(), hashlib.sha256()
    for end in range(131):
        for start in range(end + 1):
            width = end - start
            if width and start % (1 << (width - 1).bit_length()):
                continue
            subtrees.update(f"[{start}, {end}) {root_of(hashes[start:end]).hex()}\n".encode())
            part = nodes_from(hashes[start:end])
            for index in range(start, end):
                made = proofs.inclusion(index - start, width, part)
                inclusions.update(f"{index} [{start}, {end})".encode())
                inclusions.update("".join(f" {hash_.hex()}" for hash_ in made).encode() + b"\n")
    assert subtrees.hexdigest() == group["subtree_hash"]["sha256"]
    assert inclusions.hexdigest() == group["subtree_inclusion"]["sha256"]


def nodes_from(hashes):
    known = {}

    def node(height, index):
        if height == 0:
            return hashes[index]
        if (height, index) not in known:
            known[height, index] = merkle.node_hash(node(height - 1, 2 * index), node(height - 1, 2 * index + 1))
        return known[height, index]

    return node


def signer(skey):
    """Of `PRIVATE+KEY+name+id+base64(kind || seed)`."""
    name, _, coded = skey.removeprefix("PRIVATE+KEY+").split("+", 2)
    return Ed25519Signer(name, base64.b64decode(coded)[1:])


def test_group_signed_note(groups):
    group = groups["signed_note"]
    for each in group["valid"]:
        opened = note.open_note(each["note"], [Ed25519Verifier.from_vkey(vkey) for vkey in each["vkeys"]])
        assert [found.name for found in opened.verified] == each["verified"]
    for each in group["sign"]:
        assert note.sign(each["text"], [signer(each["skey"])]) == each["note"]
    keys = group["keys"]
    assert signer(keys["PeterNeumann_skey"]).vkey == keys["PeterNeumann_vkey"]
    assert Ed25519Signer("EnochRoot", bytes.fromhex(keys["EnochRoot_seed"])).vkey == keys["EnochRoot_vkey"]
    for each in group["must_fail_note"]:
        with pytest.raises(NoteRefused):
            note.open_note(each["note"], [Ed25519Verifier.from_vkey(vkey) for vkey in each["vkeys"]])
    for text in group["must_fail_note_bytes_hex"]:
        with pytest.raises(NoteRefused):
            note.open_note(bytes.fromhex(text), [Ed25519Verifier.from_vkey(keys["PeterNeumann_vkey"])])
    for text in group["must_fail_vkey"]:
        with pytest.raises(ValueError):
            Ed25519Verifier.from_vkey(text)


def test_group_tlog_format(groups):
    """Go's forms are near: its tree has a fixed first line, its tiles' paths name their height (C2SP drops it)."""
    group = groups["tlog_format"]
    tree = group["format_tree"]
    root = merkle.leaf_hash(tree["root_of_record_text"].encode())
    assert Checkpoint("go.sum database tree", tree["size"], root).text() == tree["text"]
    assert checkpoint.parse(tree["text"]).size == tree["size"]
    for each in group["go_tile_paths_with_height_element"]:
        whole = each["path"].removeprefix(f"tile/{each['H']}/")
        cut = tiles.WIDTH if each["W"] == 1 << each["H"] else each["W"]
        assert tiles.parse(whole) == (each["L"], each["N"], cut)
        assert tiles.path(each["L"], each["N"], cut) == whole
    for text in group["go_tile_paths_invalid"]:
        with pytest.raises(ValueError):
            tiles.parse(text.removeprefix("tile/3/"))


def test_group_c2sp_tiles_spec(groups):
    group = groups["c2sp_tiles_spec"]
    for number, text in group["index_path"].items():
        assert tiles.path(0, int(number)) == f"0/{text}"
        assert tiles.parse(f"0/{text}") == (0, int(number), 256)
    shapes = {
        "size_70000": [(0, 273, 112), (1, 1, 17), (2, 0, 1), (3, 0, 0)],
        "size_256": [(0, 1, 0), (1, 0, 1), (2, 0, 0)],
    }
    for name, wanted in shapes.items():
        size = int(name.removeprefix("size_"))
        assert [(level, tiles.full_tiles(level, size), tiles.width(level, size)) for level, _, _ in wanted] == wanted
    assert group["size_70000"] == {
        "level0_full": 273, "level0_partial_width": 112, "level1_full": 1, "level1_partial_width": 17,
        "level2_partial_width": 1,
    }  # fmt: skip


def test_group_tessera_testdata_log(groups):
    group = groups["tessera_testdata_log"]
    entries = [text.encode() for text in group["entries_utf8"]]
    hashes = [merkle.leaf_hash(each) for each in entries]
    key = signer(group["skey_public_test_key"])
    assert key.vkey == group["vkey"]
    for size, published in group["checkpoints_by_size"].items():
        made = note.sign(Checkpoint(key.name, int(size), root_of(hashes[: int(size)])).text(), [key])
        assert made == published, size
    assert b"".join(hashes).hex() == group["tile_0_000_p_15"]
    bundle = bytes.fromhex(group["tile_entries_000_p_15"])
    assert tiles.bundle(entries) == bundle
    assert tiles.unbundle(bundle) == entries


def test_group_sunlight_mirror_log_300(groups):
    group = groups["sunlight_mirror_log_300"]
    hashes = [merkle.leaf_hash(b"record %d" % number) for number in range(300)]
    assert hashlib.sha256(b"".join(hashes[:256])).hexdigest() == group["tile_0_000_sha256"]
    assert hashlib.sha256(b"".join(hashes[256:])).hexdigest() == group["tile_0_001_p_44_sha256"]
    assert root_of(hashes[:256]).hex() == group["tile_1_000_p_1"]
    cosigner = CosignatureVerifier.from_vkey(group["cosigner_vkey_type_0x04"])
    opened = note.open_note(group["checkpoint_cosigned"], [cosigner])
    assert checkpoint.parse(opened.text).root == root_of(hashes)
    assert cosigner.time_of(opened.verified[0].signature) == 1767139200
    witness = CosignatureVerifier.from_vkey(group["witness_vkey_type_0x04"])
    assert note.open_note(group["witness_checkpoint"], [witness]).verified[0].name == witness.name
    with pytest.raises(NoteRefused):
        note.open_note(group["witness_checkpoint"].replace("300", "301"), [witness])


def test_group_derived_tlog_proof(groups):
    group = groups["derived_tlog_proof"]
    read = receipt.parse(group["tlog_proof"])
    assert read.text() == group["tlog_proof"]
    key = Ed25519Verifier.from_vkey(group["vkey"])
    whole = receipt.Receipt(read.index, read.proof, read.note, group["entry_utf8"].encode())
    assert receipt.verify(whole, [key]).size == 15
    assert receipt.parse(whole.text()) == whole
    other = receipt.Receipt(read.index, read.proof, read.note, b"six")
    with pytest.raises(Unproved):
        receipt.verify(other, [key])
    log = groups["tessera_testdata_log"]
    hashes = [merkle.leaf_hash(text.encode()) for text in log["entries_utf8"]]
    made = proofs.consistency(5, 15, nodes_from(hashes))
    assert [hash_.hex() for hash_ in made] == group["consistency_5_to_15"]
