"""Receipts, openings, notes, tiles and checkpoints as strangers send them."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.people import email

from gateway.ledger import checkpoint, entry, merkle, note, proofs, receipt, tiles
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.ed25519 import CosignatureSigner, CosignatureVerifier, Ed25519Signer, Ed25519Verifier
from gateway.ledger.merkle import Frontier
from gateway.ledger.note import NoteRefused
from gateway.ledger.proofs import Unproved
from gateway.ledger.receipt import Opening, Receipt

LOG = Ed25519Signer("consent.example.com/log/2026", b"l" * 32)
KEY = Ed25519Verifier(LOG.name, LOG.public)
FORGER = Ed25519Signer(LOG.name, b"x" * 32)
RS = b"r" * 32
BODY = json.dumps({"e": "opt_out", "s": entry.b64(entry.subject_commitment(RS, "email", email(1)))}).encode()
OTHERS = [b"another %d" % number for number in range(6)]


def signed(size, root, signers=(LOG,)):
    return note.sign(Checkpoint(LOG.name, size, root).text(), signers)


@pytest.fixture
def made():
    """A receipt of the fifth of seven entries."""
    bodies = [*OTHERS[:4], BODY, *OTHERS[4:]]
    frontier = Frontier()
    for body in bodies:
        frontier.append(merkle.leaf_hash(body))
    levels = [[merkle.leaf_hash(body) for body in bodies]]
    while len(levels[-1]) > 1:
        levels.append([merkle.node_hash(*levels[-1][at : at + 2]) for at in range(0, len(levels[-1]) - 1, 2)])
    proof = proofs.inclusion(4, 7, lambda height, index: levels[height][index])
    return Receipt(4, tuple(proof), signed(7, frontier.root()), BODY)


def test_a_receipt_shows_that_the_entry_is_in_the_log(made):
    assert receipt.parse(made.text()) == made
    assert receipt.verify(made, [KEY]) == checkpoint.parse(note.text_of(made.note))


def test_receipt_and_opening_show_whose_it_is_and_nobody_else_can_claim_it(made):
    opening = Opening("email", email(1), RS)
    assert receipt.is_about(made, receipt.opening(json.loads(json.dumps(opening.to_json()))))
    for other in (
        Opening("email", email(2), RS),
        Opening("phone", email(1), RS),
        Opening("email", email(1), b"x" * 32),
    ):
        assert not receipt.is_about(made, other)
    assert email(1) not in made.text()


def test_a_receipt_alone_cannot_be_tried_against_an_address(made):
    """Without rs nobody can: the commitment is keyed, so a list of all addresses tells nothing."""
    leaf = json.loads(made.entry)
    guesses = [entry.subject_commitment(key, "email", email(1)) for key in (b"", b"\x00" * 32, made.proof[0])]
    assert leaf["s"] not in {entry.b64(guess) for guess in guesses}


ALTERED = {
    "another place": lambda r: Receipt(r.index + 1, r.proof, r.note, r.entry),
    "a shorter proof": lambda r: Receipt(r.index, r.proof[:-1], r.note, r.entry),
    "another entry": lambda r: Receipt(r.index, r.proof, r.note, r.entry.replace(b"opt_out", b"opt_in")),
    "no entry": lambda r: Receipt(r.index, r.proof, r.note, None),
    "another size": lambda r: Receipt(r.index, r.proof, r.note.replace("\n7\n", "\n8\n"), r.entry),
    "another root": lambda r: Receipt(r.index, r.proof, signed(7, b"x" * 32), r.entry),
    "another key": lambda r: Receipt(r.index, r.proof, note.sign(note.text_of(r.note), [FORGER]), r.entry),
}


@pytest.mark.parametrize("change", ALTERED)
def test_a_receipt_that_somebody_altered_proves_nothing(made, change):
    with pytest.raises((Unproved, NoteRefused)):
        receipt.verify(ALTERED[change](made), [KEY])


def test_a_witness_alone_does_not_stand_for_the_log(made):
    witness = CosignatureSigner("witness.example.org", b"w" * 32, 1_700_000_000)
    alone = note.sign(note.text_of(made.note), [witness])
    seen = CosignatureVerifier(witness.name, witness.public)
    assert note.open_note(alone, [seen]).verified
    with pytest.raises(NoteRefused, match="the log itself"):
        receipt.verify(Receipt(made.index, made.proof, alone, made.entry), [KEY, seen])


def test_two_signatures_under_one_checkpoint_are_both_read(made):
    later = Ed25519Signer(LOG.name, b"n" * 32)
    both = note.sign(note.text_of(made.note), [LOG, later])
    keys = [KEY, Ed25519Verifier(later.name, later.public)]
    assert len(note.open_note(both, keys).verified) == 2
    for one in keys:
        assert receipt.verify(Receipt(made.index, made.proof, both, made.entry), [one]).size == 7


@given(st.binary(max_size=400))
def test_whatever_a_stranger_sends_is_refused_in_one_of_three_ways(raw):
    text = raw.decode(errors="replace")
    for read in (receipt.parse, checkpoint.parse, tiles.parse, note.read_vkey, checkpoint.hash_of):
        try:
            read(text)
        except ValueError:
            continue
    with contextlib.suppress(NoteRefused):
        note.open_note(raw, [KEY])
    with contextlib.suppress(ValueError):
        assert tiles.bundle(tiles.unbundle(raw)) == raw


@given(st.data())
def test_a_receipt_with_anything_changed_is_never_more_than_refused(data):
    whole = Receipt(0, (), signed(1, merkle.leaf_hash(BODY)), BODY).text()
    at = data.draw(st.integers(0, len(whole) - 1))
    put = data.draw(st.text(max_size=3))
    changed = whole[:at] + put + whole[at + data.draw(st.integers(0, 3)) :]
    try:
        read = receipt.parse(changed)
        receipt.verify(read, [KEY])
    except (ValueError, Unproved, NoteRefused):
        return
    assert (read.entry, read.index) == (BODY, 0), "what verifies is the same entry in the same place"


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "0/1", "0/0001", "0/000/000", "0/x000/001", "00/001", "0/001.p/0", "0/001.p/256", "0/001.p/01", "64/000",
        "entries/-01", "0/001.p/", "entries", "-1/000", "0/x001/x002", "0/" + "x001/" * 9 + "001", "0/٠٠١", "0/001\n",
    ],
)  # fmt: skip
def test_a_tile_has_one_spelling(text):
    with pytest.raises(ValueError):
        tiles.parse(text)


@given(st.integers(-1, 63), st.integers(0, 10**18), st.integers(1, 256))
def test_a_tiles_path_is_read_as_it_is_written(level, n, width):
    assert tiles.parse(tiles.path(level, n, width)) == (level, n, width)


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_a_bundle_gives_its_entries_back(entries):
    assert tiles.unbundle(tiles.bundle(entries)) == entries


def test_an_entry_too_long_for_a_bundle_is_not_cut():
    with pytest.raises(OverflowError):
        tiles.bundle([b"x" * 65_536])


@pytest.mark.parametrize("text", ["no newline", "bell \a\n", ""])
def test_only_a_clean_text_is_signed(text):
    with pytest.raises(ValueError):
        note.sign(text, [LOG])


NO_OPENINGS = [
    None, [], {}, {"kind": "email", "value": 1, "rs": ""}, {"kind": "email", "value": "x", "rs": "\u00e9"},
    {"kind": "email", "value": "x", "rs": "AAAA"},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(NO_OPENINGS)))
def test_what_is_no_opening_is_refused(number):
    with pytest.raises(ValueError):
        receipt.opening(NO_OPENINGS[number])


STRANGER = Path(__file__).parent.parent / "support" / "verify_receipt.py"


def stranger(folder, made, opening=None, key=LOG.vkey):
    """A verifier of thirty lines that shares no code with the project; openssl checks the signature."""
    (folder / "receipt.tlog-proof").write_text(made.text())
    arguments = [sys.executable, "-I", str(STRANGER), str(folder / "receipt.tlog-proof"), key]
    if opening:
        (folder / "opening.json").write_text(json.dumps(opening.to_json()))
        arguments.append(str(folder / "opening.json"))
    return subprocess.run(arguments, capture_output=True, text=True)


def test_a_stranger_checks_a_receipt_with_openssl_and_thirty_lines(tmp_path, made, tool):
    tool("openssl")
    assert "gateway" not in STRANGER.read_text()
    assert len([line for line in STRANGER.read_text().splitlines() if line.strip()]) <= 45
    alone = stranger(tmp_path, made)
    assert (alone.returncode, "about" in alone.stdout) == (0, False), alone.stderr
    told = stranger(tmp_path, made, Opening("email", email(1), RS))
    assert told.returncode == 0
    assert f"about email {email(1)}" in told.stdout


def test_the_stranger_refuses_what_was_altered(tmp_path, made, tool):
    tool("openssl")
    other = Ed25519Signer(LOG.name, b"x" * 32)
    for changed in (
        Receipt(made.index, made.proof, made.note, made.entry.replace(b"opt_out", b"opt_in")),
        Receipt(made.index + 1, made.proof, made.note, made.entry),
        Receipt(made.index, made.proof, made.note.replace("\n7\n", "\n9\n"), made.entry),
    ):
        assert stranger(tmp_path, changed).returncode != 0
    assert stranger(tmp_path, made, key=other.vkey).returncode != 0
    assert stranger(tmp_path, made, Opening("email", email(2), RS)).returncode != 0
