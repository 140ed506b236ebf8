"""`gateway witness` as a process of its own, asked over HTTP as a log asks it."""

import stat
import subprocess

import pytest
from support import typed
from support.witnessed import ORIGIN, Log, witness

from gateway.consent import witnesses
from gateway.consent.witnesses import WitnessDisagrees, WitnessUnavailable, submit
from gateway.ledger.proof import note
from gateway.ledger.proof.ed25519 import CosignatureVerifier, Ed25519Verifier

pytestmark = pytest.mark.slow
LOG, FORK, OTHER = Log(), Log(fork=3), Log("other.example.com/log")
NAME = "witness.example.com/w1"


def ask(log, size, url, vkey, known=0):
    address = witnesses.KnownWitness(url, CosignatureVerifier.from_vkey(vkey))
    return witnesses.cosigned(log.signed(size), address, lambda old: log.proof(old, size), submit, known)


def test_a_real_witness_signs_what_grew_and_finds_out_what_was_put_back(tmp_path):
    with witness(tmp_path / "state", LOG.vkey, name=NAME) as (url, vkey, _):
        keys = [Ed25519Verifier.from_vkey(LOG.vkey), CosignatureVerifier.from_vkey(vkey)]
        for size in (7, 20):
            opened = note.open_note(ask(LOG, size, url, vkey), keys)
            assert [each.name for each in opened.verified] == [ORIGIN, NAME]
        with pytest.raises(WitnessDisagrees, match="signed 20 entries"):
            ask(LOG, 15, url, vkey)
        with pytest.raises(WitnessDisagrees, match="another tree at 20"):
            ask(FORK, 40, url, vkey)
        with pytest.raises(WitnessUnavailable, match="404"):
            ask(OTHER, 7, url, vkey)


def test_a_witness_that_is_killed_forgets_nothing_and_keeps_its_key(tmp_path):
    state = tmp_path / "state"
    with witness(state, LOG.vkey) as (url, vkey, process):
        ask(LOG, 20, url, vkey)
        process.kill()
        process.wait()
    with witness(state, LOG.vkey) as (url, again, _):
        assert again == vkey
        with pytest.raises(WitnessDisagrees, match="signed 20 entries"):
            ask(LOG, 15, url, vkey)
        assert ask(LOG, 21, url, vkey)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.glob("*.key")} == {"witness.key": 0o600}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def refused(state, *arguments):
    command = [typed.program(), "witness", "--state", str(state), "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={}, timeout=60)
    assert done.returncode
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_witness_that_cannot_be_one_says_what_helps(tmp_path):
    state = tmp_path / "state"
    with witness(state, LOG.vkey, name=NAME) as (_, vkey, _):
        assert "another process" in refused(state, "--log", LOG.vkey, "--name", NAME)
    assert f"--name {NAME}" in refused(state, "--log", LOG.vkey, "--name", "witness.example.com/w2")
    assert "Ed25519" in refused(state, "--log", vkey, "--name", NAME)
    assert "--log" in refused(state, "--log", "nonsense", "--name", NAME)
    assert "--name" in refused(tmp_path / "new", "--log", LOG.vkey, "--name", "a b")
    assert "--log" in refused(state, "--name", NAME)
    (tmp_path / "file").write_text("")
    assert "file" in refused(tmp_path / "file", "--log", LOG.vkey, "--name", NAME)
