"""Programs that others wrote judge what we sign, prove and witness: nothing of ours is believed for our own sake."""

import asyncio
import hashlib
import subprocess

import pymerkle
import pytest
from click.testing import CliRunner
from support import example, inside
from support.foreign_witnesses import LITEWITNESS_LOG, litewitness, sigsum_witness, write_public
from support.people import email, named
from support.witnessed import Log, witness

from gateway.app.composition import migrate, open_house
from gateway.cli.root import group
from gateway.consent import witnesses
from gateway.consent.witnesses import KnownWitness, WitnessDisagrees, WitnessUnavailable, submit
from gateway.keys import seals, secret_files
from gateway.ledger.audit.witness import Submission
from gateway.ledger.proof import merkle, note, receipt
from gateway.ledger.proof.ed25519 import Cosigner, Ed25519Signer, time_of
from gateway.ledger.proof.mldsa import MldsaSigner
from gateway.ledger.proof.verifier_keys import log_key, witness_key
from gateway.ledger.subjects import Choice, moment
from gateway.terms import ChoiceKind, Purpose

pytestmark = pytest.mark.slow
LOG, FORK = Log(), Log(fork=3)
LASTING = MldsaSigner(LOG.signer.name, LOG.signer.seed)
KEEPS = "Witness).persistTreeHead"  # what litewitness calls its last step before it signs
NOBODY = "http://127.0.0.1:9"  # discard: nobody listens there


def run(*words):
    return CliRunner().invoke(group, [str(word) for word in words], catch_exceptions=False)


def signed(log, size):
    return log.signed(size, log.signer, MldsaSigner(log.signer.name, log.signer.seed))


def asked(log, size, url, vkey, known=0):
    """The checkpoint with a witness's line, as our client gets it."""
    address = KnownWitness(url, witness_key(vkey))
    return witnesses.cosigned(signed(log, size), address, lambda old: log.proof(old, size), submit, known)


# --- foreign witnesses of a log of ours ------------------------------------------------------------------------------


def test_a_receipt_is_proved_by_two_of_three_witnesses_of_whom_one_is_debians(tmp_path, tool):
    """The whole way: the service's own configuration, its client, its receipt, the policy that it prints."""
    tool("sigsum-witness")
    folder, public = sigsums_name(tmp_path / "data")
    key = run("ledger", "key", "--data", folder).stdout.strip()
    with sigsum_witness(tmp_path / "sigsum", public) as theirs, witness(tmp_path / "own", key) as ours:
        third = Cosigner("away.example.com/w3", b"3" * 32, lambda: 1)
        config = tmp_path / "gateway.toml"
        config.write_text(
            example.over(
                f'[witnesses]\ntheirs = {{ url = "{theirs[0]}", key = "{theirs[1]}" }}\n'
                f'ours = {{ url = "{ours[0]}", key = "{ours[1]}" }}\naway = {{ url = "{NOBODY}", key = "{third.vkey}" }}\n'
            )
        )
        with open_house(folder, inside.settings(config), dev=True) as house:
            kept = [opted_out(house, number) for number in range(3)]
            house.witnessing.ask()
            kept += [opted_out(house, number) for number in range(3, 5)]
            house.witnessing.ask()  # from a size that they know, with a proof
            made = [each.text() for each in house.consent.log_reader.receipts(kept)]
    it, policy = tmp_path / "it.tlog-proof", tmp_path / "policy"
    for text in made:
        it.write_text(text)
        for quorum, expected in ((2, 0), (3, 1)):
            policy.write_text(run("ledger", "policy", "--quorum", quorum, "--data", folder, "--config", config).stdout)
            told = run("receipt", "verify", it, "--policy", policy)
            assert told.exit_code == expected, told.output
        assert "asks for 3 of theirs, ours, away" in told.output
        assert "there signed: theirs, ours" in told.output


def sigsums_name(folder):
    """(folder, public key) of an installation whose log bears the only name that Sigsum's witness knows it by."""
    folder.mkdir()
    public = Ed25519Signer("", secret_files.create(folder).signing[0]).public
    migrate(folder, f"sigsum.org/v1/tree/{sha(public).hex()}")
    return folder, public


def opted_out(house, number):
    subjects = house.consent.people.name([named("email", email(number))]).subjects
    choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", moment(0))
    return seals.unb64(asyncio.run(house.consent.choose(subjects, choice)).events[0]["event"])


def test_debians_litewitness_names_the_faults_of_a_log_of_ours_and_finds_none_in_one_that_grew(tmp_path, tool):
    """Wrong origin, old size, equivocation, a line of another key: each by the status that names it."""
    for name in ("litewitness", "witnessctl", "ssh-agent"):
        tool(name)
    with litewitness(tmp_path, LOG.vkey, last=LOG.checkpoint(31)) as (url, vkey):
        assert statuses(url) == FAULTS | {"wrong origin": 403}  # it looks for keys before it looks for the log
        assert KEEPS not in (tmp_path / LITEWITNESS_LOG).read_text()
        try:
            text = asked(LOG, 40, url, vkey, 31)
        except WitnessUnavailable:  # Debian's build (0.4.3-3) breaks off where it keeps what it has found no fault in
            assert KEEPS in (tmp_path / LITEWITNESS_LOG).read_text()
        else:
            assert len(note.open_note(text, [log_key(LOG.vkey), witness_key(vkey)]).verified) == 2


def statuses(url):
    """Of each fault, once a witness has signed 31 entries."""
    other = LOG.signed(40, Ed25519Signer(LOG.signer.name, b"x" * 32))
    sent = {
        "wrong origin": Log("other.example.com/log").submission(0, 40),
        "old size": LOG.submission(20, 40),
        "equivocation": FORK.submission(31, 40),
        "a line of another key": Submission(31, LOG.proof(31, 40), other).body(),
    }
    return {fault: submit(f"{url}/add-checkpoint", body)[0] for fault, body in sent.items()}


FAULTS = {"wrong origin": 404, "old size": 409, "equivocation": 422, "a line of another key": 403}


def test_our_witness_names_the_same_faults_by_the_same_statuses(tmp_path):
    with witness(tmp_path / "state", LOG.vkey, LASTING.vkey) as (url, vkey, _):
        asked(LOG, 31, url, vkey)
        assert statuses(url) == FAULTS


def test_sigsums_witness_signs_a_log_of_ours_under_a_name_of_its_own_kind(tmp_path, tool):
    tool("sigsum-witness")
    public = LOG.signer.public
    log = Log(f"sigsum.org/v1/tree/{sha(public).hex()}")
    with sigsum_witness(tmp_path / "sigsum", public) as (url, vkey):
        for known, size in ((0, 7), (7, 20), (0, 31)):
            text = asked(log, size, url, vkey, known)
            assert len(note.open_note(text, [log_key(log.vkey), witness_key(vkey)]).verified) == 2
        with pytest.raises(WitnessDisagrees):
            asked(Log(log.signer.name, fork=3), 40, url, vkey, 31)


# --- our witness of foreign logs, and foreign readers of what we sign ------------------------------------------------


def test_our_witness_signs_a_log_that_debians_tool_writes(tmp_path, tool):
    spicy = tool("spicy-litetlog")
    (tmp_path / "assets").mkdir()

    def log(*words):
        command = [spicy, "-assets", "assets", *words]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)

    told = log("-key", "key", "-init", "foreign.example.com/spicy").stderr
    vkey = next(line.split(": ")[1] for line in told.splitlines() if "Public key" in line)
    entries = []
    with witness(tmp_path / "state", vkey) as (url, own, _):
        for number in range(5):
            (tmp_path / f"file{number}").write_text(f"entry {number}")
            log("-key", "key", f"file{number}")
            entries.append(merkle.leaf_hash(f"entry {number}".encode()))
            text = (tmp_path / f"file{number}.spicy").read_text().partition("\n\n")[2]
            proof = tuple(merkle.consistency(number, number + 1, node_of(entries))) if number else ()
            status, _, lines = submit(f"{url}/add-checkpoint", Submission(number, proof, text).body())
            assert status == 200, lines
            assert len(note.open_note(text + lines.decode(), [log_key(vkey), witness_key(own)]).verified) == 2


def node_of(leaves):
    def node(height, index):
        if not height:
            return leaves[index]
        return merkle.node_hash(node(height - 1, 2 * index), node(height - 1, 2 * index + 1))

    return node


@pytest.mark.parametrize(("index", "size"), [(0, 1), (5, 20), (39, 40), (32, 33)])
def test_debians_reader_of_proofs_accepts_ours_and_not_what_was_altered(tmp_path, tool, index, size):
    """It reads what came before tlog-proof: the same lines without the first and the entry, which is the file."""
    spicy = tool("spicy-litetlog")
    made = receipt.Receipt(index, tuple(merkle.inclusion(index, size, LOG.tree.node)), signed(LOG, size), None)
    text = made.text().removeprefix(f"{receipt.HEADER}\n")

    def accepts(entry, proof=text):
        (tmp_path / "entry").write_bytes(entry)
        (tmp_path / "entry.spicy").write_text(proof)
        return subprocess.run([spicy, "-verify", LOG.vkey, "entry"], cwd=tmp_path, capture_output=True).returncode == 0

    assert accepts(b"entry %d" % index)
    assert not accepts(b"entry 41")
    assert not accepts(b"entry %d" % index, text.replace(f"\n{size}\n", f"\n{size + 1}\n"))


def test_sigsums_reader_takes_our_witness_for_one_and_not_at_another_time(tmp_path, tool):
    verify = tool("sigsum-verify")
    submitter, own = Ed25519Signer("submitter", b"s" * 32), Cosigner("w.example.com", b"w" * 32, lambda: 1_795_000_000)
    public = LOG.signer.public
    signer = Ed25519Signer(f"sigsum.org/v1/tree/{sha(public).hex()}", LOG.signer.seed)
    checksum = sha(sha(b"a message"))
    by_submitter = submitter.sign(b"sigsum.org/v1/tree-leaf\0" + checksum)
    root = merkle.leaf_hash(checksum + by_submitter + sha(submitter.public))
    text = note.Checkpoint(signer.name, 1, root).text().encode()
    line = own.sign(text)
    proof = "\n".join(
        [
            "version=2",
            f"log={sha(public).hex()}",
            f"leaf={sha(submitter.public).hex()} {by_submitter.hex()}",
            "",
            "size=1",
            f"root_hash={root.hex()}",
            f"signature={signer.sign(text).hex()}",
            f"cosignature={sha(own.public).hex()} {time_of(line)} {line[8:].hex()}",
            "",
        ]
    )
    (tmp_path / "policy").write_text(f"log {public.hex()}\nwitness W {own.public.hex()}\nquorum W\n")
    write_public(tmp_path / "submitter", submitter.public)
    command = [verify, "-k", "submitter", "-p", "policy", "proof"]
    for shown, expected in ((proof, True), (proof.replace(" 1795000000 ", " 1795000001 "), False)):
        (tmp_path / "proof").write_text(shown)
        done = subprocess.run(command, cwd=tmp_path, input=b"a message", capture_output=True)
        assert (done.returncode == 0) == expected, done.stderr


def sha(content):
    return hashlib.sha256(content).digest()


# --- another library's tree ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 20, 31, 33, 40])
def test_another_librarys_tree_has_our_roots_and_its_proofs_are_ours(size):
    theirs = pymerkle.InmemoryTree(algorithm="sha256")
    for number in range(size):
        theirs.append_entry(b"entry %d" % number)
    assert theirs.get_root() == LOG.checkpoint(size).root
    for index in range(size):
        ours = merkle.inclusion(index, size, LOG.tree.node)
        shown = theirs.prove_inclusion(index + 1, size)
        assert {*ours, LOG.tree.leaves[index]} == {*shown.path}
        pymerkle.verify_inclusion(LOG.tree.leaves[index], LOG.checkpoint(size).root, shown)
    for old in range(1, size):
        shown = theirs.prove_consistency(old, size)
        pymerkle.verify_consistency(LOG.checkpoint(old).root, LOG.checkpoint(size).root, shown)
        with pytest.raises(pymerkle.InvalidProof):
            pymerkle.verify_consistency(FORK.checkpoint(old).root if old > 3 else bytes(32), theirs.get_root(), shown)
