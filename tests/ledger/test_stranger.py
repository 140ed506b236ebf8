"""A receipt in the hands of a stranger, who has openssl, thirty lines of Python and none of the project's code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.people import email

from gateway.ledger import entry, merkle, note, proofs
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.ed25519 import Ed25519Signer
from gateway.ledger.merkle import Frontier
from gateway.ledger.receipt import Opening, Receipt

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
    proof = proofs.inclusion(4, 7, lambda height, index: levels[height][index])
    return Receipt(4, tuple(proof), signed(7, frontier.root()), BODY)


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
