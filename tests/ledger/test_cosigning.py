import pytest
from support.witnessed import ORIGIN, Log

from gateway.consent import witnesses
from gateway.consent.witnesses import SIZE_TYPE, WitnessDisagrees, WitnessUnavailable, cosigned
from gateway.ledger.audit.witness import Witness, WitnessSeen
from gateway.ledger.proof import note, receipt
from gateway.ledger.proof.ed25519 import CosignatureVerifier, Cosigner, Ed25519Verifier
from gateway.ledger.proof.merkle import Unproved, inclusion

NAME, URL = "witness.example.com/w1", "https://witness.example.com/w1"
LOG, FORK = Log(), Log(fork=3)
OWN = Cosigner(NAME, b"w" * 32, lambda: 1_700_000_000)
KEY = CosignatureVerifier(NAME, OWN.public)
ADDRESS = witnesses.KnownWitness(URL, KEY)
TRUSTED = [Ed25519Verifier(ORIGIN, LOG.signer.public), KEY]
TEXT = "text/plain; charset=utf-8"


@pytest.fixture
def post(tmp_path):
    """A witness behind a made-up wire, which notes what was asked."""
    witness = Witness(tmp_path, [OWN], TRUSTED[:1])

    def asked(url, body):
        asked.urls.append(url)
        asked.olds.append(int(body.split(b"\n")[0].removeprefix(b"old ")))
        try:
            return 200, TEXT, witness.add_checkpoint(body).encode()
        except WitnessSeen as seen:
            return 409, SIZE_TYPE, f"{seen.size}\n".encode()
        except Unproved:
            return 422, TEXT, b""

    asked.urls, asked.olds = [], []
    return asked


def ask(log, size, post, known=0, address=ADDRESS):
    return cosigned(log.signed(size), address, lambda old: log.proof(old, size), post, known)


def answering(status, media_type, body):
    return lambda *_: (status, media_type, body)


def names(text):
    return [each.name for each in note.open_note(text, TRUSTED).verified]


def test_a_checkpoint_comes_back_with_the_witness_under_it(post):
    text = ask(LOG, 7, post)
    assert text.startswith(LOG.signed(7))
    assert names(text) == [ORIGIN, NAME]
    assert post.urls == [f"{URL}/add-checkpoint"]


def test_a_slash_at_the_end_of_the_address_changes_nothing(post):
    ask(LOG, 7, post, address=witnesses.KnownWitness(f"{URL}/", KEY))
    assert post.urls == [f"{URL}/add-checkpoint"]


def test_the_size_that_the_witness_knows_is_learned_and_then_no_longer_asked_for(post):
    ask(LOG, 7, post)
    assert names(ask(LOG, 20, post)) == [ORIGIN, NAME]
    assert post.olds == [0, 0, 7]
    ask(LOG, 31, post, known=20)
    assert post.olds == [0, 0, 7, 20]
    assert names(ask(LOG, 31, post, known=20)) == [ORIGIN, NAME]  # another process of ours was first


def test_a_log_that_was_put_back_hears_that_the_witness_saw_more(post):
    ask(LOG, 20, post)
    for known in (0, 7, 15, 20, 40):
        with pytest.raises(WitnessDisagrees, match=r"has 15 entries, but a witness signed 20") as said:
            ask(LOG, 15, post, known)
        assert said.value.size == 20


def test_a_log_that_was_put_back_and_grew_again_hears_that_the_witness_saw_another_past(post):
    ask(LOG, 20, post)
    for size in (20, 21, 40):
        with pytest.raises(WitnessDisagrees, match="another tree at 20") as said:
            ask(FORK, size, post)
        assert said.value.size == 20
    assert names(ask(LOG, 40, post)) == [ORIGIN, NAME]  # the true one goes on


def test_an_empty_log_is_signed(post):
    assert names(ask(LOG, 0, post)) == [ORIGIN, NAME]


def test_the_cosigned_checkpoint_makes_a_receipt_that_a_reader_of_either_key_accepts(post):
    made = receipt.Receipt(5, tuple(inclusion(5, 20, LOG.tree.node)), ask(LOG, 20, post), b"entry 5")
    read = receipt.parse_receipt(made.text())
    for keys in (TRUSTED, TRUSTED[:1]):
        assert receipt.verify_receipt(read, keys) == LOG.checkpoint(20)
    with pytest.raises(note.NoteRefused, match=f"of {ORIGIN}, and no key"):
        receipt.verify_receipt(read, [KEY])


@pytest.mark.parametrize("status", [100, 301, 400, 403, 404, 405, 413, 429, 500, 503])
def test_a_witness_that_does_not_sign_is_not_there_today_and_no_alarm(status):
    with pytest.raises(WitnessUnavailable, match=str(status)):
        ask(LOG, 7, answering(status, TEXT, b"7\n"))


def test_a_witness_that_is_not_reached_is_no_alarm():
    def unreachable(*_):
        raise OSError("ConnectError")

    with pytest.raises(WitnessUnavailable, match="ConnectError"):
        ask(LOG, 7, unreachable)


@pytest.mark.parametrize(
    ("media_type", "body"),
    [(TEXT, b"20\n"), ("", b"20\n"), (SIZE_TYPE, b""), (SIZE_TYPE, b"many\n"), (SIZE_TYPE, b"-1\n"), (SIZE_TYPE, b"020\n"),
     (SIZE_TYPE, b"20\n\n"), (SIZE_TYPE, b"\xff"), (SIZE_TYPE, b"9223372036854775808\n"), (SIZE_TYPE, b"<html>")],
)  # fmt: skip
def test_a_conflict_that_names_no_size_is_no_alarm(media_type, body):
    with pytest.raises(WitnessUnavailable):
        ask(LOG, 7, answering(409, media_type, body))


def test_a_witness_that_names_sizes_for_ever_is_left_alone():
    sizes = iter(range(1, 100))
    asked = []

    def post(_, body):
        asked.append(body)
        return 409, f"{SIZE_TYPE}; charset=utf-8", b"%d\n" % next(sizes)

    with pytest.raises(WitnessUnavailable, match="another size"):
        ask(LOG, 40, post)
    assert len(asked) == witnesses.TRIES


def line(signer, text):
    return note.line(note.Signature(signer.name, signer.key_id, signer.sign(text.encode()))).encode()


TEXT_OF_7 = LOG.checkpoint(7).text()
STRANGER = Cosigner("stranger.example.com", b"s" * 32, lambda: 7)


@pytest.mark.parametrize(
    "body",
    [b"", b"\n", b"hello\n", b"\xff\n", line(STRANGER, TEXT_OF_7), line(OWN, LOG.checkpoint(8).text()),
     line(OWN, TEXT_OF_7)[:-1], line(OWN, TEXT_OF_7) + b"hello\n", LOG.signed(7).encode(), b"x\n" + line(OWN, TEXT_OF_7),
     line(LOG.signer, TEXT_OF_7),
     b"more\n\n" + line(OWN, f"{TEXT_OF_7}\nmore\n")],
)  # fmt: skip
def test_an_answer_without_a_signature_that_holds_under_this_checkpoint_is_none(body):
    """The last one: a true signature of the witness, over another text that begins with ours."""
    with pytest.raises(WitnessUnavailable):
        ask(LOG, 7, answering(200, TEXT, body))


def test_lines_of_other_keys_in_the_answer_are_left_away():
    body = line(STRANGER, TEXT_OF_7) + line(OWN, TEXT_OF_7)
    assert ask(LOG, 7, answering(200, TEXT, body)) == LOG.signed(7) + line(OWN, TEXT_OF_7).decode()
