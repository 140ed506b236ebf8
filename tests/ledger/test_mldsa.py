"""The signature that is to outlive Ed25519: what is signed, byte for byte, and who is believed."""

import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from support.witnessed import ORIGIN, Log

from gateway.ledger.proof import mldsa, note
from gateway.ledger.proof.ed25519 import Ed25519Verifier, time_of
from gateway.ledger.proof.mldsa import MldsaSigner, MldsaVerifier, cosigned_message
from gateway.ledger.proof.note import NoteRefused
from gateway.ledger.proof.verifier_keys import log_key, witness_key

LOG = Log()
OWN = MldsaSigner(ORIGIN, LOG.signer.seed)
NOW = 1_795_000_000
WITNESS = MldsaSigner("witness.example.com/w2", b"w" * 32, lambda: NOW)
TEXT = LOG.checkpoint(20).text().encode()


def opened(text, *keys):
    return [(each.name, each.key_id) for each in note.open_note(text, keys).verified]


def test_what_is_signed_is_the_structure_of_the_specification_to_the_byte():
    made = cosigned_message("w", NOW, TEXT)
    assert made == (
        b"subtree/v1\n\0\x01w"
        + struct.pack(">Q", NOW)
        + bytes([len(ORIGIN)])
        + ORIGIN.encode()
        + struct.pack(">QQ", 0, 20)
        + LOG.checkpoint(20).root
    )
    assert len(made) == 12 + 2 + 8 + 1 + len(ORIGIN) + 16 + 32


def test_a_logs_signature_says_nothing_of_the_time_and_a_witnesses_says_when():
    assert time_of(OWN.sign(TEXT)) == 0
    signature = WITNESS.sign(TEXT)
    assert (time_of(signature), len(signature)) == (NOW, 8 + 2420)
    MLDSA44PublicKey.from_public_bytes(WITNESS.public).verify(signature[8:], cosigned_message(WITNESS.name, NOW, TEXT))


def test_a_checkpoint_with_both_kinds_opens_with_either_key_alone_and_one_line_is_added():
    bare, both = LOG.signed(20), LOG.signed(20, LOG.signer, OWN)
    assert both.startswith(bare)
    assert both.removeprefix(bare).count("\n") == 1
    assert opened(both, log_key(LOG.vkey)) == [(ORIGIN, LOG.signer.key_id)]
    assert opened(both, log_key(OWN.vkey)) == [(ORIGIN, OWN.key_id)]
    assert len(opened(both, log_key(LOG.vkey), log_key(OWN.vkey))) == 2
    with pytest.raises(NoteRefused):
        opened(bare, log_key(OWN.vkey))


def test_the_keys_of_one_seed_are_one_pair_and_the_second_is_not_the_firsts_seed():
    """Restarts, backups and an older version in between change nothing: the seed alone makes the key."""
    assert MldsaSigner(ORIGIN, LOG.signer.seed).vkey == OWN.vkey
    assert MldsaSigner(ORIGIN, b"x" * 32).public != OWN.public
    assert MLDSA44PrivateKey.from_seed_bytes(LOG.signer.seed).public_key().public_bytes_raw() != OWN.public


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("\n20\n", "\n21\n"),
        lambda text: text.replace(ORIGIN, "other.example.com/log"),
        lambda text: LOG.signed(21, LOG.signer) + text.splitlines(keepends=True)[-1],
        lambda text: Log(fork=3).signed(20, LOG.signer) + text.splitlines(keepends=True)[-1],
        lambda text: LOG.signed(20, MldsaSigner(ORIGIN, b"x" * 32)),
        lambda text: LOG.signed(20, MldsaSigner("other.example.com/log", LOG.signer.seed)),
    ],
    ids=["another size", "another log", "line of an older size", "equivocation", "another key", "another name"],
)
def test_a_line_that_was_made_for_something_else_is_not_believed(spoil):
    both = LOG.signed(20, LOG.signer, OWN)
    assert opened(both, log_key(OWN.vkey))
    with pytest.raises(NoteRefused):
        opened(spoil(both), log_key(OWN.vkey))


def test_a_witness_that_leaves_the_time_out_is_not_believed_and_a_log_may():
    silent = MldsaSigner(WITNESS.name, WITNESS.seed)
    text = LOG.signed(20, LOG.signer, silent)
    with pytest.raises(NoteRefused, match="does not hold"):
        opened(text, witness_key(WITNESS.vkey))
    assert opened(text, MldsaVerifier.from_vkey(WITNESS.vkey))
    assert opened(LOG.signed(20, LOG.signer, WITNESS), witness_key(WITNESS.vkey))


def test_of_a_text_that_is_no_checkpoint_nothing_is_signed_and_nothing_believed():
    for text in (b"", b"a letter\n", b"\xff\n1\n"):
        with pytest.raises(ValueError, match=r"checkpoint|size|utf-8"):
            OWN.sign(text)
        assert not MldsaVerifier(OWN.name, OWN.public).verify(text, OWN.sign(TEXT))
    for signature in (b"", bytes(7), bytes(8), bytes(2428), b"\xff" * 2428):
        assert not MldsaVerifier(OWN.name, OWN.public).verify(TEXT, signature)


def test_a_name_that_has_no_room_in_the_structure_signs_nothing():
    """`composition` leaves the second signature out for such a log, which goes on with the first."""
    long = "l" * 256
    with pytest.raises(ValueError, match="255"):
        MldsaSigner(long, bytes(32)).sign(note.Checkpoint(long, 1, bytes(32)).text().encode())
    fits = "l" * mldsa.LONGEST
    assert MldsaSigner(fits, bytes(32)).sign(note.Checkpoint(fits, 1, bytes(32)).text().encode())


def test_keys_of_both_kinds_are_told_apart_and_never_show_their_seed():
    assert isinstance(log_key(LOG.vkey), Ed25519Verifier)
    assert log_key(OWN.vkey) == MldsaVerifier(ORIGIN, OWN.public)
    assert witness_key(OWN.vkey) == MldsaVerifier(ORIGIN, OWN.public, timed=True)
    with pytest.raises(ValueError, match="ML-DSA-44"):
        MldsaVerifier.from_vkey(LOG.vkey)
    assert "seed" not in repr(OWN)
