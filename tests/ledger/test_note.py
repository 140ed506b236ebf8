import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.proof import note
from gateway.ledger.proof.ed25519 import CosignatureVerifier, Cosigner, Ed25519Signer, Ed25519Verifier, time_of
from gateway.ledger.proof.note import NoteRefused, Signature
from gateway.ledger.proof.verifier_keys import log_key, witness_key

LOG, WITNESS = "consent.example.com/log", "witness.example.com/w1"
TEXT = "consent.example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
MADE_AT = 1_700_000_000
signer = Ed25519Signer(LOG, bytes(32))
other = Ed25519Signer("other.example.com", b"o" * 32)
cosigner = Cosigner(WITNESS, b"w" * 32, lambda: MADE_AT)
trusted = Ed25519Verifier(LOG, signer.public)
witness = CosignatureVerifier(WITNESS, cosigner.public)


def seed_of(skey):
    """(name, seed) of the private key text of Go's note package."""
    *_, name, _, coded = skey.split("+", 4)
    return name, base64.b64decode(coded)[1:]


def refused(text, verifiers=(trusted,)):
    with pytest.raises(NoteRefused) as why:
        note.open_note(text, verifiers)
    return str(why.value)


# --- what others published -------------------------------------------------------------------------------------------


def test_every_note_that_others_signed_opens_with_their_keys(published):
    for row in published("signed_note")["valid"]:
        opened = note.open_note(row["note"], [Ed25519Verifier.from_vkey(text) for text in row["vkeys"]])
        assert [each.name for each in opened.verified] == row["verified"]
        assert row["note"].startswith(opened.text + "\n")


def test_every_note_that_others_refuse_is_refused(published):
    rows = published("signed_note")
    for row in rows["must_fail_note"]:
        refused(row["note"], [Ed25519Verifier.from_vkey(text) for text in row["vkeys"]])
    keys = [Ed25519Verifier.from_vkey(rows["keys"]["PeterNeumann_vkey"])]
    for text in rows["must_fail_note_bytes_hex"]:
        assert "UTF-8" in refused(bytes.fromhex(text), keys)
    assert len(rows["must_fail_note"]) == 8


def test_a_key_whose_id_or_kind_is_wrong_is_no_key(published):
    for text in published("signed_note")["must_fail_vkey"]:
        with pytest.raises(ValueError, match=r"base64|key id|Ed25519"):
            log_key(text)
        with pytest.raises(ValueError, match=r"base64|key id|Ed25519"):
            witness_key(text)


def test_the_same_text_signed_with_the_same_key_gives_the_published_bytes(published):
    rows = published("signed_note")
    for row in rows["sign"]:
        assert note.sign(row["text"], [Ed25519Signer(*seed_of(row["skey"]))]) == row["note"]
    assert Ed25519Signer(*seed_of(rows["keys"]["PeterNeumann_skey"])).vkey == rows["keys"]["PeterNeumann_vkey"]
    seed = bytes.fromhex(rows["keys"]["EnochRoot_seed"])
    assert Ed25519Signer("EnochRoot", seed).vkey == rows["keys"]["EnochRoot_vkey"]


def test_every_checkpoint_that_tessera_published_is_signed_again_byte_for_byte(published):
    rows = published("tessera_testdata_log")
    key = Ed25519Signer(*seed_of(rows["skey_public_test_key"]))
    assert key.vkey == rows["vkey"]
    for text in rows["checkpoints_by_size"].values():
        opened = note.open_note(text, [Ed25519Verifier.from_vkey(rows["vkey"])])
        assert note.sign(opened.text, [key]) == text
        assert note.parse_checkpoint(opened.text).text() == opened.text
    assert len(rows["checkpoints_by_size"]) == 16


def test_the_cosignatures_that_sunlight_published_hold(published):
    rows = published("sunlight_mirror_log_300")
    for key, text in (
        ("cosigner_vkey_type_0x04", "checkpoint_cosigned"),
        ("witness_vkey_type_0x04", "witness_checkpoint"),
    ):
        known = CosignatureVerifier.from_vkey(rows[key])
        (found,) = note.open_note(rows[text], [known]).verified
        assert (found.name, found.key_id) == (known.name, known.key_id)
        assert time_of(found.signature) == 1_767_139_200
        refused(rows[text].replace("\n300\n", "\n301\n"), [known])


# --- opening ---------------------------------------------------------------------------------------------------------


def test_a_note_says_who_of_those_we_trust_signed_it():
    made = note.sign(TEXT, [signer, other, cosigner])
    opened = note.open_note(made, [trusted, witness])
    assert opened.text == TEXT
    assert [each.name for each in opened.verified] == [LOG, WITNESS]
    assert note.open_note(made.encode(), [trusted]).verified == opened.verified[:1]
    assert "no known key" in refused(note.sign(TEXT, [other]))


def test_one_bad_signature_of_a_known_key_spoils_the_note_whoever_else_signed():
    made = note.sign(TEXT, [other, Liar()])
    assert f"signature of {LOG}" in refused(made, [trusted, Ed25519Verifier(other.name, other.public)])
    note.open_note(made, [Ed25519Verifier(other.name, other.public)])  # control: to whom the liar is a stranger


class Liar:
    """Has the log's name and key id, and not its key."""

    name, key_id = LOG, signer.key_id

    def sign(self, text):
        return bytes(64)


def test_a_key_that_shares_the_name_or_the_id_but_not_both_is_a_stranger():
    same_name = Ed25519Signer(LOG, b"x" * 32)
    made = note.sign(TEXT, [same_name])
    assert "no known key" in refused(made)
    renamed = note.add_signatures(TEXT + "\n", [Signature("else.example", signer.key_id, bytes(64))])
    assert "no known key" in refused(renamed)


def test_a_witness_key_never_passes_for_the_logs_and_the_other_way_round():
    """The kind is part of the key id: one key, two kinds, two ids."""
    both = Cosigner(LOG, bytes(32), lambda: MADE_AT)
    assert both.public == signer.public
    assert "no known key" in refused(note.sign(TEXT, [both]))
    assert "no known key" in refused(note.sign(TEXT, [signer]), [CosignatureVerifier(LOG, signer.public)])


@pytest.mark.parametrize("time", [0, 1, MADE_AT, 2**63 - 1])
def test_a_cosignature_holds_for_its_own_time_alone(time):
    made = Cosigner(WITNESS, b"w" * 32, lambda: time).sign(TEXT.encode())
    assert (time_of(made), len(made)) == (time, 72)
    assert witness.verify(TEXT.encode(), made)
    for wrong in (time + 1, 2**63, 2**64 - 1):
        assert not witness.verify(TEXT.encode(), wrong.to_bytes(8, "big") + made[8:])


def test_a_cosignature_of_a_time_that_the_specification_forbids_is_refused():
    made = Cosigner(WITNESS, b"w" * 32, lambda: 2**63).sign(TEXT.encode())
    assert not witness.verify(TEXT.encode(), made)


@pytest.mark.parametrize("signature", [b"", b"x", bytes(8), bytes(63), bytes(64), bytes(71), bytes(72), bytes(2428)])
def test_a_signature_of_any_length_is_just_wrong(signature):
    assert not trusted.verify(TEXT.encode(), signature)
    assert not witness.verify(TEXT.encode(), signature)


def test_kinds_that_we_do_not_know_are_passed_over():
    """ML-DSA-44 beside Ed25519 (kind 0x06, 2,420 bytes and a time): a reader of today still opens the note."""
    new = Signature(LOG, note.key_id(LOG, 0x06, bytes(1312)), bytes(2428))
    made = note.add_signatures(note.sign(TEXT, [signer]), [new])
    assert [each.key_id for each in note.open_note(made, [trusted]).verified] == [signer.key_id]


def test_sixteen_signatures_of_five_thousand_bytes_are_read_and_a_flood_is_not():
    big = [Signature(f"witness.example/{number}", bytes(4), bytes(5000)) for number in range(16)]
    made = note.add_signatures(note.sign(TEXT, [signer]), big)
    assert note.open_note(made, [trusted]).text == TEXT
    many = [Signature(f"w{number}.example", bytes(4), bytes(64)) for number in range(100)]
    assert "too many" in refused(note.add_signatures(note.sign(TEXT, [signer]), many))
    assert "too long" in refused(note.add_signatures(note.sign(TEXT, [signer]), big * 3))


def test_a_repeated_signature_counts_once():
    made = note.sign(TEXT, [signer, signer])
    assert len(note.open_note(made, [trusted]).verified) == 1


def test_a_text_with_empty_lines_and_lines_like_signatures_is_still_the_text():
    text = f"one\n\n{note.DASH}{LOG} AAAAAAAAAAAA\n\ntwo\n\n"
    made = note.sign(text, [signer])
    assert note.open_note(made, [trusted]).text == note.text_of(made) == text


@pytest.mark.parametrize(
    "line",
    ["", "x", "— ", f"— {LOG}", f"— {LOG} ", f"- {LOG} AAAAAAAA", f"—{LOG} AAAAAAAA", f"— {LOG} AAAA", f"— {LOG} AAAAAA=",
     f"— {LOG} AAAAAAA", f"— {LOG} AAAAAAAA ", f"—  {LOG} AAAAAAAA", "—  AAAAAAAA", "— a+b AAAAAAAA", f"— {LOG} AAAA\nAAAA",
     "— a\u2003b AAAAAAAA", "— a\x85b AAAAAAAA", f"— {LOG} AAAAAA_-", f"— {LOG} ÄÖAAAAAA", f"— {LOG} AAAAAAB="],
)  # fmt: skip
def test_what_is_no_signature_line_spoils_the_note(line):
    made = note.sign(TEXT, [signer])
    note.open_note(made, [trusted])
    refused(f"{made}{line}\n")


@pytest.mark.parametrize("control", ["\x00", "\t", "\r", "\x1b", "\x1f"])
def test_control_characters_are_in_no_note(control):
    assert "control" in refused(note.sign(TEXT, [signer]).replace("log\n0", f"log{control}\n0"))
    with pytest.raises(ValueError, match="control"):
        note.sign(f"a{control}\n", [signer])


def test_what_is_no_text_of_a_note_is_not_signed():
    for text in ("", "no newline"):
        with pytest.raises(ValueError, match="newline"):
            note.sign(text, [signer])
    with pytest.raises(ValueError, match="surrogates"):
        note.sign("\ud800\n", [signer])
    assert "UTF-8" in refused(note.sign(TEXT, [signer]).replace("log", "l\ud800g"))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\x00b", "a\u00a0b"])
def test_a_name_that_no_key_may_have_makes_neither_key_nor_line(name):
    with pytest.raises(ValueError, match="name"):
        note.vkey(name, 1, bytes(32))
    with pytest.raises(ValueError, match="name"):
        note.sign(TEXT, [Ed25519Signer(name, bytes(32))])


# --- keys as text ----------------------------------------------------------------------------------------------------


@given(
    st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters="+"), min_size=1),
    st.binary(min_size=32, max_size=32),
)
def test_a_verifier_key_is_read_back_as_the_same_key(name, seed):
    log, cosigning = Ed25519Signer(name, seed), Cosigner(name, seed, lambda: 0)
    assert log_key(log.vkey) == Ed25519Verifier(name, log.public)
    assert witness_key(cosigning.vkey) == CosignatureVerifier(name, log.public)
    for text, read in ((log.vkey, witness_key), (cosigning.vkey, log_key)):
        with pytest.raises(ValueError, match="not"):
            read(text)


@given(st.text() | st.tuples(st.text(), st.text(), st.text()).map("+".join))
def test_any_other_text_is_no_verifier_key(text):
    with pytest.raises(ValueError, match=r"name|base64|key id"):
        note.read_vkey(text)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33), bytes(1311), bytes(1313)])
def test_a_key_of_another_length_is_refused(public):
    for kind, read in ((0x01, log_key), (0x04, witness_key), (0x06, log_key), (0x06, witness_key)):
        with pytest.raises(ValueError, match=r"not|key id"):
            read(note.vkey(LOG, kind, public))


@pytest.mark.parametrize("kind", [0x00, 0x02, 0x05, 0xFF])
def test_a_key_of_a_kind_that_we_do_not_know_is_refused(kind):
    for read in (log_key, witness_key):
        with pytest.raises(ValueError, match="Ed25519"):
            read(note.vkey(LOG, kind, bytes(32)))


def test_a_key_never_shows_its_seed():
    assert "seed" not in repr(signer) + repr(cosigner)
    assert repr(b"w" * 32) not in repr(cosigner)


# --- whatever comes --------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6))
def test_no_bit_of_a_signed_note_can_be_turned(bit):
    raw = bytearray(note.sign(TEXT, [signer]).encode())
    bit %= len(raw) * 8
    raw[bit // 8] ^= 1 << bit % 8
    refused(bytes(raw))


PIECE = (
    st.sampled_from([TEXT, "\n", "\n\n", note.DASH, LOG, " ", "AAAAAAAAAAAA", note.sign(TEXT, [signer])]) | st.text()
)


@given(st.lists(PIECE, max_size=8).map("".join) | st.binary())
def test_any_input_is_a_note_or_refused(made):
    try:
        opened = note.open_note(made, [trusted, witness])
    except NoteRefused:
        return
    assert opened.verified
    assert opened.text.endswith(TEXT)
