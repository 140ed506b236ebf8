"""A receipt in the hands of a stranger, who has openssl, forty lines of Python and none of the project's code."""

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.people import email
from support.witnessed import Log

from gateway.ledger import entry
from gateway.ledger.proof import merkle, note, receipt
from gateway.ledger.proof.ed25519 import Cosigner, Ed25519Signer
from gateway.ledger.proof.merkle import Frontier
from gateway.ledger.proof.mldsa import MldsaSigner
from gateway.ledger.proof.note import Checkpoint
from gateway.ledger.proof.receipt import Opening, Receipt
from gateway.ledger.proof.verifier_keys import log_key

LOG = Ed25519Signer("consent.example.com/log/2026", b"l" * 32)
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
    proof = merkle.inclusion(4, 7, lambda height, index: levels[height][index])
    return Receipt(4, tuple(proof), signed(7, frontier.root()), BODY)


STRANGER = Path(__file__).parent.parent / "support" / "verify_receipt.py"


def stranger(folder, made, opening=None, key=LOG.vkey):
    """A verifier of forty lines that shares no code with the project; openssl checks the signature."""
    (folder / "receipt.tlog-proof").write_text(made.text())
    arguments = [sys.executable, "-I", str(STRANGER), str(folder / "receipt.tlog-proof"), key]
    if opening:
        (folder / "opening.json").write_text(json.dumps(opening.to_json()))
        arguments.append(str(folder / "opening.json"))
    return subprocess.run(arguments, capture_output=True, text=True)


def test_a_stranger_checks_a_receipt_with_openssl_and_forty_lines(tmp_path, made, tool):
    tool("openssl")
    assert "gateway" not in STRANGER.read_text()
    assert len([line for line in STRANGER.read_text().splitlines() if line.strip()]) <= 40
    alone = stranger(tmp_path, made)
    assert (alone.returncode, "about" in alone.stdout) == (0, False), alone.stderr
    told = stranger(tmp_path, made, Opening("email", email(1), RS))
    assert told.returncode == 0
    assert f"about email {email(1)}" in told.stdout


@pytest.mark.slow
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


# --- receipts of every shape, and both judges ------------------------------------------------------------------------

TALL = Log()
WITNESS = Cosigner("witness.example.com/w1", b"w" * 32, lambda: 1_700_000_000)


def of(index, size, *signers):
    """A receipt of the made-up log of forty entries."""
    proof = tuple(merkle.inclusion(index, size, TALL.tree.node))
    return Receipt(index, proof, TALL.signed(size, *signers), b"entry %d" % index)


def accepted_by_us(made):
    try:
        receipt.verify_receipt(receipt.parse_receipt(made.text()), [log_key(TALL.vkey)])
    except (ValueError, merkle.Unproved, note.NoteRefused):
        return False
    return True


def accepted_elsewhere(folder, made, key=TALL.vkey):
    return stranger(folder, made, key=key).returncode == 0


def test_the_strangers_program_has_the_standard_library_alone():
    tree = ast.parse(STRANGER.read_text())
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert found
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert found <= sys.stdlib_module_names


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 40), (39, 40), (32, 33), (5, 7), (6, 7), (21, 31), (15, 16)])
def test_a_receipt_from_any_side_of_a_tree_of_any_shape_is_accepted_elsewhere(tmp_path, tool, index, size):
    tool("openssl")
    assert accepted_elsewhere(tmp_path, of(index, size))
    assert accepted_by_us(of(index, size))


def test_a_receipt_with_a_witness_under_it_is_accepted_elsewhere(tmp_path, tool):
    tool("openssl")
    assert accepted_elsewhere(tmp_path, of(5, 20, TALL.signer, WITNESS))


WHOLE = of(5, 20)
ALTERED = {
    "another entry": replace(WHOLE, entry=b"entry 6"),
    "another place": replace(WHOLE, index=4),
    "a place beyond the tree": replace(WHOLE, index=20),
    "a hash too few": replace(WHOLE, proof=WHOLE.proof[:-1]),
    "a hash too many": replace(WHOLE, proof=(*WHOLE.proof, bytes(32))),
    "another hash": replace(WHOLE, proof=(bytes(32), *WHOLE.proof[1:])),
    "hashes out of order": replace(WHOLE, proof=WHOLE.proof[::-1]),
    "another size": replace(WHOLE, note=WHOLE.note.replace("\n20\n", "\n21\n")),
    "another tree of the log": replace(WHOLE, note=TALL.signed(21)),
    "another past of the log": replace(WHOLE, note=Log(fork=3).signed(20)),
    "another key of that name": replace(WHOLE, note=TALL.signed(20, Ed25519Signer(TALL.signer.name, b"x" * 32))),
    "a witness alone": replace(WHOLE, note=TALL.signed(20, WITNESS)),
    "a cosignature under the log's name": replace(
        WHOLE, note=TALL.signed(20, Cosigner(TALL.signer.name, bytes(32), lambda: 7))
    ),
    "another name": replace(WHOLE, note=WHOLE.note.replace(TALL.signer.name, "other.example.com/log")),
    "no signature": replace(WHOLE, note=note.text_of(WHOLE.note)),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_was_altered_is_refused_elsewhere_and_by_us(tmp_path, tool, what):
    tool("openssl")
    assert not accepted_elsewhere(tmp_path, ALTERED[what])
    assert not accepted_by_us(ALTERED[what])
    assert accepted_elsewhere(tmp_path, WHOLE)  # control


def test_a_receipt_is_refused_under_the_key_of_another_log(tmp_path, tool):
    tool("openssl")
    assert not accepted_elsewhere(tmp_path, WHOLE, key=Log("other.example.com/log").vkey)


# --- the second kind of signature ------------------------------------------------------------------------------------

LASTING = MldsaSigner(TALL.signer.name, TALL.signer.seed)
BOTH = of(5, 20, TALL.signer, LASTING)


@pytest.mark.parametrize("key", [TALL.vkey, LASTING.vkey], ids=["Ed25519", "ML-DSA-44"])
def test_a_receipt_with_two_signatures_is_accepted_elsewhere_by_either_alone(tmp_path, tool, key):
    """With the first it is what a version does that knows of no other kind: a line of a key that is not known is passed
    over, as signed notes ask for.
    """
    tool("openssl")
    assert accepted_elsewhere(tmp_path, BOTH, key=key)
    for changed in (
        replace(BOTH, entry=b"entry 6"),
        replace(BOTH, note=BOTH.note.replace("\n20\n", "\n21\n")),
        replace(BOTH, note=TALL.signed(20, Ed25519Signer(TALL.signer.name, b"x" * 32))),
        replace(BOTH, note=TALL.signed(20, MldsaSigner(TALL.signer.name, b"x" * 32))),
    ):
        assert not accepted_elsewhere(tmp_path, changed, key=key)


def test_a_receipt_without_the_second_signature_is_not_accepted_by_its_key(tmp_path, tool):
    tool("openssl")
    assert accepted_elsewhere(tmp_path, WHOLE)
    assert not accepted_elsewhere(tmp_path, WHOLE, key=LASTING.vkey)
