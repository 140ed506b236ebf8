import contextlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.people import email, phone
from support.trees import Tree, root_of

from gateway.ledger import entry
from gateway.ledger.proof import note, receipt
from gateway.ledger.proof.ed25519 import Ed25519Signer, Ed25519Verifier
from gateway.ledger.proof.merkle import Unproved, inclusion, leaf_hash
from gateway.ledger.proof.note import Checkpoint, NoteRefused
from gateway.ledger.proof.receipt import Opening, Receipt
from gateway.ledger.subjects import Choice, LeafSecrets, Subject, public_leaf

ORIGIN, RS = "consent.example.com/log", b"r" * 32
AT = datetime(2026, 11, 24, 12, 34, tzinfo=UTC)
signer = Ed25519Signer(ORIGIN, bytes(32))
TRUSTED = [Ed25519Verifier(ORIGIN, signer.public)]
MINE = Opening("email", email(1), RS)


def body(number):
    secrets = LeafSecrets(bytes([number]) * 16, RS if number == 5 else bytes(32), bytes(32))
    return public_leaf(Subject("email", email(1), ()), Choice("opt_out", ("sale",), "form", AT), secrets, b"")


BODIES = [body(number) for number in range(11)]
LOG = Tree(11, BODIES)


def signed(by=signer, size=11, origin=ORIGIN):
    return note.sign(Checkpoint(origin, size, root_of(LOG.leaves[:size])).text(), [by])


def made(index=5, size=11):
    return Receipt(index, tuple(inclusion(index, size, LOG.node)), signed(size=size), BODIES[index])


def test_the_receipt_of_a_published_log_is_read_verified_and_written_again(published):
    row = published("derived_tlog_proof")
    read = receipt.parse_receipt(row["tlog_proof"])
    assert (read.index, read.entry, read.text()) == (4, None, row["tlog_proof"])
    keys = [Ed25519Verifier.from_vkey(row["vkey"])]
    found = receipt.verify_receipt(replace(read, entry=row["entry_utf8"].encode()), keys)
    assert found == Checkpoint("example.com/log/testdata", 15, found.root)
    with pytest.raises(Unproved):
        receipt.verify_receipt(replace(read, entry=b"six"), keys)
    with pytest.raises(Unproved, match="no entry"):
        receipt.verify_receipt(read, keys)


def test_every_group_of_the_published_vectors_is_held_against_the_project(vectors):
    """A group that is added to the file fails here until a test asks for it."""
    groups = json.loads((vectors / "ledger_vectors.json").read_text())["groups"]
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert set(re.findall(r'published\("(\w+)"\)', here)) == set(groups)
    assert len(groups) == 11


@pytest.mark.parametrize("size", range(1, 12))
def test_every_receipt_proves_its_entry_to_whoever_has_the_logs_key(size):
    for index in range(size):
        read = receipt.parse_receipt(made(index, size).text())
        assert read == made(index, size)
        assert receipt.verify_receipt(read, TRUSTED) == Checkpoint(ORIGIN, size, root_of(LOG.leaves[:size]))


def test_a_receipt_is_one_text_with_the_entry_inside():
    text = made().text()
    head, _, rest = text.partition("\n\n")
    assert head.split("\n")[0] == "c2sp.org/tlog-proof@v1"
    assert [line.split(" ")[0] for line in head.split("\n")[1:3]] == ["extra", "index"]
    assert rest == signed()


@given(st.integers(0, 10), st.integers(0, 10**6))
def test_no_bit_of_a_receipt_can_be_turned(index, bit):
    """Size and index too: the size is under the signature, and a leaf has one place in a tree."""
    raw = bytearray(made(index).text().encode())
    bit %= len(raw) * 8
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises((ValueError, Unproved, NoteRefused)):
        receipt.verify_receipt(receipt.parse_receipt(raw.decode()), TRUSTED)


@given(st.integers(0, 10), st.integers(0, 10), st.integers(1, 11))
def test_a_receipt_for_another_entry_place_or_size_proves_nothing(index, other, size):
    good = made(index)
    for changed in (
        replace(good, index=other),
        replace(good, entry=BODIES[other]),
        replace(good, note=signed(size=size)),
        replace(good, proof=made(other).proof),
    ):
        if changed == good:
            receipt.verify_receipt(changed, TRUSTED)
        else:
            with pytest.raises(Unproved):
                receipt.verify_receipt(changed, TRUSTED)


def test_only_the_log_itself_can_vouch_for_its_tree():
    """A trusted witness, or another trusted log, that signed the text alone is not enough."""
    other = Ed25519Signer("other.example.com", b"o" * 32)
    both = [*TRUSTED, Ed25519Verifier(other.name, other.public)]
    with pytest.raises(NoteRefused, match="only others"):
        receipt.verify_receipt(replace(made(), note=signed(by=other)), both)
    with pytest.raises(NoteRefused, match="no key that is believed is of that log"):
        receipt.verify_receipt(replace(made(), note=signed(origin="other.example.com/log")), both)
    with pytest.raises(NoteRefused, match="no key that is believed is of that log"):
        receipt.verify_receipt(made(), [])


def test_a_signed_text_that_is_no_checkpoint_is_refused():
    with pytest.raises(ValueError, match="checkpoint"):
        receipt.verify_receipt(replace(made(), note=note.sign("hello\n", [signer])), TRUSTED)


@pytest.mark.parametrize(
    ("old", "new"),
    [("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"), ("c2sp.org/tlog-proof@v1\n", ""), ("index 5", "index 05"),
     ("index 5", "index -1"), ("index 5", "index "), ("index 5", "Index 5"), ("index 5", "index 5 "), ("index 5\n", ""),
     ("index 5", f"index {2**63}"), ("index 5", "index ٥"), ("index 5", "index 5\nindex 5"), ("extra ", "extra  "),
     ("extra ", "extra ="), ("extra ", "extra Ä"), ("extra ", "Extra "), ("extra ", "extra AAAA\nextra "),
     ("\n\n", "\n"), ("\n\n", "\nAAAA\n\n"), ("\n\n", "\r\n\r\n"), ("\nindex", "\n\nindex")],
)  # fmt: skip
def test_what_is_no_receipt_is_refused(old, new):
    text = made().text()
    assert old in text
    with pytest.raises((ValueError, NoteRefused)):
        receipt.verify_receipt(receipt.parse_receipt(text.replace(old, new, 1)), TRUSTED)


def test_a_receipt_with_more_hashes_than_any_tree_has_levels_is_refused():
    line = made().text().split("\n")[3]
    for count, readable in ((63, True), (64, False)):
        text = "\n".join(["c2sp.org/tlog-proof@v1", "index 0", *[line] * count]) + "\n\n" + signed()
        with contextlib.nullcontext() if readable else pytest.raises(ValueError, match="not a tlog-proof"):
            receipt.parse_receipt(text)


PIECE = st.sampled_from(["c2sp.org/tlog-proof@v1\n", "extra ", "index ", "5", "\n", "AAAA", *made().text().split("\n")])


@given(st.text() | st.lists(PIECE | st.text(max_size=3), max_size=12).map("".join))
def test_any_text_is_a_receipt_that_proves_nothing_or_is_refused(text):
    with pytest.raises((ValueError, Unproved, NoteRefused)):
        receipt.verify_receipt(receipt.parse_receipt("c2sp.org/tlog-proof@v1\n" + text), TRUSTED)


# --- openings --------------------------------------------------------------------------------------------------------


def test_receipt_and_opening_together_show_that_the_entry_is_about_oneself():
    assert receipt.is_about(made(), MINE)
    assert not receipt.is_about(made(6), MINE)
    for other in (
        Opening("email", email(2), RS),
        Opening("phone", email(1), RS),
        Opening("email", email(1), b"s" * 32),
        Opening("phone", phone(1), RS),
    ):
        assert not receipt.is_about(made(), other)


def test_the_receipt_alone_names_nobody():
    text = made().text() + BODIES[5].decode()
    assert email(1) not in text
    assert entry.b64(RS) not in text
    assert email(1) not in repr(MINE)


def test_an_opening_is_read_back_from_its_json():
    members = json.loads(json.dumps(MINE.to_json()))
    assert members == {"kind": "email", "value": email(1), "rs": entry.b64(RS)}
    assert receipt.opening(members) == MINE


GOOD = MINE.to_json()


@pytest.mark.parametrize(
    "members",
    [None, [], "text", 7, {}, {**GOOD, "rs": ""}, {**GOOD, "rs": 7}, {**GOOD, "rs": GOOD["rs"] + "="}, {**GOOD, "rs": "A" * 42},
     {**GOOD, "rs": "A" * 44}, {**GOOD, "rs": GOOD["rs"][:-1] + "!"}, {**GOOD, "rs": " " + GOOD["rs"]}, {**GOOD, "rs": "Ä" * 43},
     {**GOOD, "rs": "A" * 42 + "B"}, {**GOOD, "rs": "A" * 41}, {**GOOD, "kind": None}, {**GOOD, "kind": "email\x00a"},
     {**GOOD, "value": "\ud800"}, {**GOOD, "kind": "\ud800"}, {"kind": "email", "value": email(1)}],
)  # fmt: skip
def test_what_is_no_opening_is_refused(members):
    with pytest.raises(ValueError, match=r"opening|rs has|zero byte"):
        receipt.opening(members)


@pytest.mark.parametrize(
    "leaf", [b"", b"null", b"[]", b"7", b"{", b'{"s":7}', b"\xff", b"[" * 60_000, b'{"s":' * 9000, b"9" * 5000, b"{}"]
)
def test_an_entry_that_is_not_ours_is_about_nobody(leaf):
    assert not receipt.is_about(replace(made(), entry=leaf), MINE)
    assert not receipt.is_about(replace(made(), entry=None), MINE)


def test_an_entry_whose_bytes_are_no_longer_kept_still_has_its_proof():
    bare = receipt.parse_receipt(replace(made(), entry=None).text())
    assert (bare.entry, bare.proof) == (None, made().proof)
    assert receipt.verify_receipt(replace(bare, entry=BODIES[5]), TRUSTED).size == 11
    assert leaf_hash(BODIES[5]) == LOG.leaves[5]
