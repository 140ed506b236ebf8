import hashlib
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.witnessed import ORIGIN, Log

from gateway.ledger.audit import witness
from gateway.ledger.audit.witness import InUse, KeyRefused, NotSigned, Submission, UnknownLog, Witness, WitnessSeen
from gateway.ledger.proof import note
from gateway.ledger.proof.ed25519 import CosignatureVerifier, Cosigner, Ed25519Signer, Ed25519Verifier, time_of
from gateway.ledger.proof.merkle import Unproved
from gateway.ledger.proof.mldsa import MldsaSigner
from gateway.ledger.proof.verifier_keys import log_key, witness_key
from gateway.ledger.publisher import StoreBroken

NAME = "witness.example.com/w1"
LOG = Log()
FORK = Log(fork=3)  # the same key, another past from the fourth entry on
OTHER = Log("other.example.com/log")
NOW = 1_700_000_000
OWN = Cosigner(NAME, b"w" * 32, lambda: NOW)
TRUSTED = [CosignatureVerifier(NAME, OWN.public)]


def watching(folder, *logs, signers=(OWN,)):
    folder.mkdir(exist_ok=True)
    keys = [Ed25519Verifier.from_vkey(log.vkey) for log in (logs or (LOG,))]
    return Witness(folder, signers, keys)


@pytest.fixture
def watcher(tmp_path):
    return watching(tmp_path / "state")


def holds(log, size, lines, verifiers=TRUSTED):
    """The witness's signatures under a checkpoint."""
    return note.open_note(log.signed(size) + lines, verifiers).verified


def grow(watcher, log, *sizes):
    """Every step from nothing."""
    old = 0
    for size in sizes:
        watcher.add_checkpoint(log.submission(old, size))
        old = size


def test_a_log_that_only_grew_is_signed_at_every_step(watcher):
    old = 0
    for size in (1, 2, 3, 7, 8, 31, 40):
        lines = watcher.add_checkpoint(LOG.submission(old, size))
        (found,) = holds(LOG, size, lines)
        assert (found.name, time_of(found.signature)) == (NAME, NOW)
        old = size


def test_the_same_checkpoint_is_signed_again_with_the_later_time(tmp_path):
    times = iter([NOW, NOW + 60])
    watcher = watching(tmp_path, signers=(Cosigner(NAME, OWN.seed, lambda: next(times)),))
    grow(watcher, LOG, 7)
    (found,) = holds(LOG, 7, watcher.add_checkpoint(LOG.submission(7, 7)))
    assert time_of(found.signature) == NOW + 60


def test_an_empty_log_is_signed_and_grows_from_there(watcher):
    grow(watcher, LOG, 0)
    assert holds(LOG, 0, watcher.add_checkpoint(LOG.submission(0, 0)))
    assert holds(LOG, 5, watcher.add_checkpoint(LOG.submission(0, 5)))


def test_an_empty_log_with_a_root_of_something_is_not_signed(watcher):
    sent = note.sign(note.Checkpoint(ORIGIN, 0, bytes(32)).text(), [LOG.signer])
    with pytest.raises(Unproved, match="the root of nothing"):
        watcher.add_checkpoint(Submission(0, (), sent).body())
    assert holds(LOG, 0, watcher.add_checkpoint(LOG.submission(0, 0)))
    with pytest.raises(Unproved):
        watcher.add_checkpoint(Submission(0, (), sent).body())


@pytest.mark.parametrize("old", [0, 1, 6, 8, 20])
def test_a_log_that_begins_at_another_size_than_the_last_is_told_it(watcher, old):
    grow(watcher, LOG, 7)
    with pytest.raises(WitnessSeen) as seen:
        watcher.add_checkpoint(LOG.submission(old, 20))
    assert seen.value.size == 7


def test_a_log_that_was_rolled_back_is_never_signed_again_below_its_last_size(watcher):
    grow(watcher, LOG, 7, 20)
    for old, size in ((0, 7), (7, 7), (0, 19), (7, 19)):
        with pytest.raises(WitnessSeen) as seen:
            watcher.add_checkpoint(LOG.submission(old, size))
        assert seen.value.size == 20


def test_another_past_is_not_signed_whatever_its_proof(watcher):
    grow(watcher, LOG, 7)
    with pytest.raises(Unproved):
        watcher.add_checkpoint(FORK.submission(7, 20))
    with pytest.raises(Unproved):
        watcher.add_checkpoint(Submission(7, LOG.proof(7, 20), FORK.signed(20)).body())
    with pytest.raises(Unproved):
        watcher.add_checkpoint(FORK.submission(7, 7))
    assert holds(LOG, 20, watcher.add_checkpoint(LOG.submission(7, 20)))  # and what was refused changed nothing


def test_a_fork_after_the_last_size_is_the_logs_own_business_once(watcher):
    """Control of the test above: whoever comes first with a tree that grew is signed, and the other never."""
    grow(watcher, LOG, 3)
    assert holds(FORK, 20, watcher.add_checkpoint(FORK.submission(3, 20)))
    for old, size in ((3, 20), (20, 20), (20, 40)):
        with pytest.raises((WitnessSeen, Unproved)):
            watcher.add_checkpoint(LOG.submission(old, size))


@pytest.mark.parametrize(
    "proof", [(), (bytes(32),), LOG.proof(6, 20), LOG.proof(7, 20)[:-1], (*LOG.proof(7, 20), bytes(32))]
)
def test_a_wrong_proof_is_refused(watcher, proof):
    grow(watcher, LOG, 7)
    with pytest.raises(Unproved):
        watcher.add_checkpoint(Submission(7, proof, LOG.signed(20)).body())


def test_a_proof_from_nothing_or_to_the_same_size_must_be_empty(watcher):
    with pytest.raises(Unproved):
        watcher.add_checkpoint(Submission(0, (bytes(32),), LOG.signed(7)).body())
    grow(watcher, LOG, 7)
    with pytest.raises(Unproved):
        watcher.add_checkpoint(Submission(7, (bytes(32),), LOG.signed(7)).body())


def test_a_log_that_is_not_watched_is_unknown_even_with_a_watched_logs_signature(watcher):
    with pytest.raises(UnknownLog):
        watcher.add_checkpoint(OTHER.submission(0, 7))
    text = OTHER.checkpoint(7).text()
    with pytest.raises(UnknownLog):
        watcher.add_checkpoint(Submission(0, (), note.sign(text, [LOG.signer])).body())


@pytest.mark.parametrize("seed", [b"x" * 32, b"w" * 32])
def test_a_checkpoint_that_another_key_signed_is_not_signed(watcher, seed):
    for signer in (Ed25519Signer(ORIGIN, seed), Cosigner(ORIGIN, seed, lambda: 0), OTHER.signer):
        with pytest.raises(NotSigned):
            watcher.add_checkpoint(Submission(0, (), LOG.signed(7, signer)).body())


def test_signatures_of_strangers_beside_the_logs_are_passed_over(watcher):
    sent = Submission(0, (), LOG.signed(7, OTHER.signer, LOG.signer, OWN)).body()
    assert holds(LOG, 7, watcher.add_checkpoint(sent))


def test_a_log_may_have_two_keys_while_one_is_replaced(tmp_path):
    new = Ed25519Signer(ORIGIN, b"n" * 32)
    keys = [Ed25519Verifier(ORIGIN, each.public) for each in (LOG.signer, new)]
    watcher = Witness(tmp_path, [OWN], keys)
    for old, size, signer in ((0, 3, LOG.signer), (3, 7, new)):
        watcher.add_checkpoint(Submission(old, LOG.proof(old, size), LOG.signed(size, signer)).body())
    assert holds(LOG, 7, watcher.add_checkpoint(LOG.submission(7, 7)))


def test_two_logs_are_watched_apart(tmp_path):
    watcher = watching(tmp_path, LOG, OTHER)
    grow(watcher, LOG, 7)
    grow(watcher, OTHER, 3, 20)
    with pytest.raises(WitnessSeen) as seen:
        watcher.add_checkpoint(LOG.submission(3, 20))
    assert seen.value.size == 7


def test_a_witness_with_two_keys_signs_with_both(tmp_path):
    second = Cosigner("witness.example.com/w2", b"2" * 32, lambda: NOW)
    watcher = watching(tmp_path, signers=(OWN, second))
    lines = watcher.add_checkpoint(LOG.submission(0, 7))
    both = [*TRUSTED, CosignatureVerifier(second.name, second.public)]
    assert [each.name for each in holds(LOG, 7, lines, both)] == [NAME, second.name]


def test_lines_that_a_log_adds_are_signed_as_they_stand(watcher):
    sent = note.sign(LOG.checkpoint(7).text() + "extension\n", [LOG.signer])
    lines = watcher.add_checkpoint(Submission(0, (), sent).body())
    assert note.open_note(sent + lines, TRUSTED).text.endswith("extension\n")
    assert holds(LOG, 20, watcher.add_checkpoint(LOG.submission(7, 20)))


def test_a_witness_that_is_started_again_goes_on_where_it_was(tmp_path):
    grow(watching(tmp_path), LOG, 7)
    again = watching(tmp_path)
    with pytest.raises(WitnessSeen):
        again.add_checkpoint(LOG.submission(0, 20))
    with pytest.raises(Unproved):
        again.add_checkpoint(FORK.submission(7, 20))
    assert holds(LOG, 20, again.add_checkpoint(LOG.submission(7, 20)))


def test_a_witness_keeps_a_size_a_root_and_who_signed_them_and_nothing_else(tmp_path):
    grow(watching(tmp_path), LOG, 7)
    state, shown = (state_of(tmp_path, kind) for kind in ("checkpoint", "cosigned"))
    assert {*tmp_path.iterdir()} == {state, shown}
    kept = state.read_bytes().replace(b"\0", b"")
    assert LOG.checkpoint(7).text().encode() in kept
    assert len(kept) < 600  # that text, and of each slot its format, its counter and a checksum
    assert {line[:20] for line in shown.read_text().removeprefix(LOG.checkpoint(7).text()).splitlines()} == {
        "",
        f"— {ORIGIN}"[:20],
        f"— {NAME}"[:20],
    }
    for file in (state, shown):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def state_of(folder, kind):
    return folder / f"{hash_of(LOG)}.{kind}"


def hash_of(log):
    return hashlib.sha256(log.signer.name.encode()).hexdigest()


def test_a_monitor_gets_what_was_signed_last_with_the_logs_line_and_the_witnesss(tmp_path):
    watcher = watching(tmp_path, LOG, OTHER)
    assert watcher.checkpoint(hash_of(LOG)) is None
    old = 0
    for size in (7, 7, 20):
        lines = watcher.add_checkpoint(LOG.submission(old, size))
        assert watcher.checkpoint(hash_of(LOG)) == LOG.signed(size) + lines
        old = size
    with pytest.raises(Unproved):
        watcher.add_checkpoint(FORK.submission(20, 31))
    assert watcher.checkpoint(hash_of(LOG)) == LOG.signed(20) + lines
    assert watching(tmp_path).checkpoint(hash_of(LOG)) == LOG.signed(20) + lines  # also when it was started again
    assert watcher.checkpoint(hash_of(OTHER)) is None


def test_a_monitor_is_shown_no_line_of_a_stranger(watcher):
    sent = Submission(0, (), LOG.signed(7, OTHER.signer, LOG.signer, Cosigner(NAME, b"x" * 32, lambda: 7))).body()
    lines = watcher.add_checkpoint(sent)
    assert watcher.checkpoint(hash_of(LOG)) == LOG.signed(7) + lines


@pytest.mark.parametrize("name", ["", "..", "../witness", "A" * 64, "0" * 63, "0" * 64, "0" * 64 + "\n", "٣" * 64])
def test_what_is_no_hash_of_a_watched_log_opens_no_file(watcher, name):
    grow(watcher, LOG, 7)
    assert watcher.checkpoint(name) is None


def test_a_log_is_known_by_either_of_its_keys_and_a_failed_line_of_one_spoils_it(tmp_path):
    """C2SP tlog-witness: also where another key's line holds."""
    lasting = MldsaSigner(ORIGIN, LOG.signer.seed)
    watcher = Witness(tmp_path, [OWN], [log_key(LOG.vkey), log_key(lasting.vkey)])
    for old, size, signers in ((0, 3, [LOG.signer]), (3, 7, [lasting]), (7, 8, [LOG.signer, lasting])):
        body = Submission(old, LOG.proof(old, size), LOG.signed(size, *signers)).body()
        assert holds(LOG, size, watcher.add_checkpoint(body))
    failed = LOG.signed(7, lasting).splitlines(keepends=True)[-1]
    with pytest.raises(NotSigned, match="does not hold"):
        watcher.add_checkpoint(Submission(8, LOG.proof(8, 20), LOG.signed(20) + failed).body())
    assert holds(LOG, 20, watcher.add_checkpoint(LOG.submission(8, 20)))


def test_lines_that_a_stranger_adds_are_not_signed_for_a_log_that_has_a_key_that_covers_them(tmp_path):
    """ML-DSA-44 signs origin, size and root: its line holds under any further lines, and may not carry them along."""
    lasting = MldsaSigner(ORIGIN, LOG.signer.seed)
    watcher = Witness(tmp_path / "both", [OWN], [log_key(LOG.vkey), log_key(lasting.vkey)])
    line = LOG.signed(7, lasting).splitlines(keepends=True)[-1]
    sent = Submission(0, (), LOG.checkpoint(7).text() + "a stranger's\n\n" + line).body()
    with pytest.raises(NotSigned):
        watcher.add_checkpoint(sent)
    assert watcher.checkpoint(hashlib.sha256(ORIGIN.encode()).hexdigest()) is None
    assert Witness(tmp_path / "one", [OWN], [log_key(lasting.vkey)]).add_checkpoint(sent)  # it has no other key


def test_a_witness_signs_by_ml_dsa_too_with_the_time_in_it(tmp_path):
    lasting = MldsaSigner(NAME, OWN.seed, OWN.clock)
    watcher = watching(tmp_path, signers=(OWN, lasting))
    lines = watcher.add_checkpoint(LOG.submission(0, 7))
    for vkey in (OWN.vkey, lasting.vkey):
        (found,) = holds(LOG, 7, lines, [witness_key(vkey)])
        assert time_of(found.signature) == NOW


def test_nothing_is_signed_that_cannot_be_kept(tmp_path, monkeypatch):
    watcher = watching(tmp_path)
    grow(watcher, LOG, 7)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdatasync", full)
    with pytest.raises(StoreBroken):
        watcher.add_checkpoint(LOG.submission(7, 20))
    monkeypatch.undo()
    assert holds(LOG, 8, watcher.add_checkpoint(LOG.submission(7, 8)))


@pytest.mark.parametrize("content", ["", "torn", f"{ORIGIN}\n7\n"])
def test_a_state_that_cannot_be_read_signs_nothing(tmp_path, content):
    watcher = watching(tmp_path)
    grow(watcher, LOG, 7)
    state_of(tmp_path, "checkpoint").write_text(content)
    for old in (0, 7):
        with pytest.raises(StoreBroken):
            watcher.add_checkpoint(LOG.submission(old, 20))


@pytest.mark.slow
def test_of_two_pasts_that_come_at_once_one_is_signed(tmp_path):
    """The specification's race: reading the last size and writing the next must be one step."""
    for round_ in range(20):
        watcher = watching(tmp_path / str(round_))
        grow(watcher, LOG, 3)
        together = threading.Barrier(8)

        def submit(log, watcher=watcher, together=together):
            together.wait()
            try:
                return bool(holds(log, 20, watcher.add_checkpoint(log.submission(3, 20))))
            except WitnessSeen:
                return False

        with ThreadPoolExecutor(8) as pool:
            signed = list(pool.map(submit, [LOG, FORK] * 4))
        assert sum(signed) == 1


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_a_submission_is_what_the_specification_shows():
    body = LOG.submission(7, 20)
    head, _, signed = body.decode().partition("\n\n")
    assert head.split("\n")[0] == "old 7"
    assert [len(line) for line in head.split("\n")[1:]] == [44] * len(LOG.proof(7, 20))
    assert signed == LOG.signed(20)
    assert witness.parse_submission(body) == Submission(7, LOG.proof(7, 20), LOG.signed(20))


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"old 7", b"old 07"), (b"old 7", b"old  7"), (b"old 7", b"old -7"), (b"old 7", b"old"), (b"old 7", b"Old 7"),
     (b"old 7", b"7"), (b"old 7", b"old 7 "), (b"old 7", b"old 7\r"), (b"old 7", b"old 9223372036854775808"),
     (b"old 7\n", b""), (b"old 7\n", b"old 7\n\n"), (b"=\n", b"\n"), (b"=\n", b"=\nAAAA\n"), (b"\n\n", b"\n"),
     (b"\n\n", b"\n" + b"\n".join([b"A" * 43 + b"="] * 63) + b"\n\n"), (b"old", b"\xff"), (b"\n20\n", b"\n020\n"), (b"\n20\n", b"\n")],
)  # fmt: skip
def test_what_is_no_submission_is_refused_before_anything_is_read(watcher, old, new):
    body = LOG.submission(7, 20)
    assert old in body
    with pytest.raises(ValueError, match=r"not |32 bytes|decode"):
        watcher.add_checkpoint(body.replace(old, new, 1))


def test_an_old_size_beyond_the_checkpoints_is_a_mistake_and_no_disagreement(watcher):
    grow(watcher, LOG, 7)
    with pytest.raises(ValueError, match="larger"):
        watcher.add_checkpoint(Submission(7, (), LOG.signed(6)).body())


@pytest.mark.parametrize("body", [b"", b"\n\n", b"old 0\n\n", b"old 0\n\nhello\n", b"old 0\n\nhello\n\nworld\n"])
def test_an_empty_or_a_foolish_body_is_refused(watcher, body):
    with pytest.raises(ValueError, match=r"not a"):
        watcher.add_checkpoint(body)


GOOD = LOG.submission(7, 20)
PIECES = st.sampled_from([b"old ", b"7", b"\n", b"\n\n", *GOOD.splitlines(keepends=True)]) | st.binary(max_size=4)


@given(st.lists(PIECES, max_size=12).map(b"".join) | st.binary(max_size=200))
def test_whatever_a_stranger_sends_is_refused_in_one_of_the_five_ways(tmp_path_factory, body):
    watcher = watching(tmp_path_factory.mktemp("state"))
    grow(watcher, LOG, 7)
    try:
        lines = watcher.add_checkpoint(body)
    except (ValueError, UnknownLog, NotSigned, WitnessSeen, Unproved):
        return
    assert holds(LOG, 20, lines)


@given(st.integers(0, 10**6))
def test_no_bit_of_a_submission_can_be_turned(tmp_path_factory, bit):
    watcher, raw = watching(tmp_path_factory.mktemp("state")), bytearray(GOOD)
    grow(watcher, LOG, 7)
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    with pytest.raises((ValueError, UnknownLog, NotSigned, WitnessSeen, Unproved)):
        watcher.add_checkpoint(bytes(raw))


# --- its folder and key ----------------------------------------------------------------------------------------------


def test_a_key_is_made_once_for_its_owner_alone_and_stays(tmp_path):
    made = witness.load_or_make_key(tmp_path, NAME, lambda: 7)
    assert witness.load_or_make_key(tmp_path, NAME, lambda: 7).seed == made.seed
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert CosignatureVerifier.from_vkey(made.vkey) == CosignatureVerifier(NAME, made.public)
    assert (
        len({witness.load_or_make_key(folder(tmp_path, n), NAME, lambda: 7).seed for n in range(3)} | {made.seed}) == 4
    )


def folder(tmp_path, number):
    made = tmp_path / str(number)
    made.mkdir()
    return made


def test_a_key_serves_one_name(tmp_path):
    """The signed message does not hold the name (C2SP tlog-cosignature)."""
    witness.load_or_make_key(tmp_path, NAME, lambda: 7)
    with pytest.raises(KeyRefused, match=f"--name {NAME}"):
        witness.load_or_make_key(tmp_path, "witness.example.com/w2", lambda: 7)


@pytest.mark.parametrize("name", ["", "a b", "a+b"])
def test_a_name_that_no_key_may_have_makes_none(tmp_path, name):
    with pytest.raises(ValueError, match="name"):
        witness.load_or_make_key(tmp_path, name, lambda: 7)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_was_damaged_is_not_replaced(tmp_path):
    """A new key in its place would be another witness, which nobody knows."""
    witness.load_or_make_key(tmp_path, NAME, lambda: 7)
    path = tmp_path / witness.KEY_FILE
    whole = path.read_text()
    for content in (
        "",
        "x",
        whole[:-5],
        whole.replace("+", "-"),
        whole.replace(NAME, "witness.example.com/w3"),
        "\ud800",
    ):
        path.write_bytes(content.encode(errors="surrogatepass"))
        with pytest.raises(KeyRefused, match="backup"):
            witness.load_or_make_key(tmp_path, NAME, lambda: 7)
        assert path.exists()


def test_a_folder_has_one_witness_at_a_time(tmp_path):
    with witness.held(tmp_path / "new"), pytest.raises(InUse, match="fuser"), witness.held(tmp_path / "new"):
        pass
    with witness.held(tmp_path / "new"):
        pass
