"""A made-up log that asks for witnesses, and a witness as a process of its own."""

import contextlib
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from gateway.ledger.audit.witness import Submission
from gateway.ledger.proof import note
from gateway.ledger.proof.ed25519 import Ed25519Signer
from gateway.ledger.proof.merkle import consistency
from gateway.ledger.proof.note import Checkpoint
from support import forked
from support.ports import free_port
from support.service import HERE
from support.trees import Tree, root_of

ORIGIN = "consent.example.com/log"
START = 60.0  # seconds, on a machine that does much else; a process that ended is seen at once


class Log:
    """`fork`: from which entry on it differs from the log of the same name without one."""

    def __init__(self, origin=ORIGIN, *, entries=40, fork=None):
        bodies = [b"other" if fork is not None and at >= fork else b"entry %d" % at for at in range(entries)]
        self.signer = Ed25519Signer(origin, bytes(32))
        self.tree = Tree(entries, bodies)

    @property
    def vkey(self):
        return self.signer.vkey

    def checkpoint(self, size):
        root = root_of(self.tree.leaves[:size]) if size else bytes.fromhex(EMPTY)
        return Checkpoint(self.signer.name, size, root)

    def signed(self, size, *signers):
        return note.sign(self.checkpoint(size).text(), signers or [self.signer])

    def proof(self, old, size):
        return tuple(consistency(old, size, self.tree.node)) if old else ()

    def submission(self, old, size):
        return Submission(old, self.proof(old, size), self.signed(size)).body()


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@contextlib.contextmanager
def witness(state: Path, *vkeys: str, name: str = "witness.example.com/w1"):
    """(url, verifier key of Ed25519, process) of `gateway witness`; stopped at the end, by its own pid."""
    port = free_port()
    log = state.with_name(f"{state.name}-{port}.log")
    command = [sys.executable, "-m", "gateway", "witness", "--state", str(state), "--port", str(port), "--name", name]
    for vkey in vkeys:
        command += ["--log", vkey]
    process = forked.start(command, log, {"PYTHONPATH": HERE})
    try:
        _wait(f"http://127.0.0.1:{port}", process, log)
        printed = next(line for line in log.read_text().splitlines() if line.startswith(f"{name}+"))
        yield f"http://127.0.0.1:{port}", printed, process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(url, process, log):
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=10).close()
        except urllib.error.HTTPError as answered:
            answered.close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()[-2000:]
            time.sleep(0.05)
    raise AssertionError("no answer")
