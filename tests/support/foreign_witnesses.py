"""Witnesses that others wrote, as processes of their own: Debian's `litewitness` and `sigsum-witness`."""

import base64
import contextlib
import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from gateway.ledger.proof import note
from gateway.ledger.proof.ed25519 import COSIGNATURE_KIND
from support.ports import free_port

LITEWITNESS_LOG = "litewitness.log"  # in its folder
START = 60.0  # seconds, on a machine that does much else; a process that ended is seen at once
# Debian's builds take their own routes, "POST /add-checkpoint", for mere paths unless they are told that they are of today.
OF_TODAY = {**os.environ, "GODEBUG": "httpmuxgo121=0"}


def ssh_public(line):
    """The 32 bytes of an Ed25519 key as OpenSSH writes it."""
    return base64.b64decode(line.split(" ")[1])[-32:]


@contextlib.contextmanager
def process(command, listens, **more):
    """A server until the end; `listens`: a port, or the path of a socket. Stopped by its own pid."""
    running = subprocess.Popen(command, **more)
    try:
        deadline = time.monotonic() + START
        while not answers(listens):
            assert running.poll() is None, f"{command[0]} ended"
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.05)
        yield
    finally:
        running.terminate()
        running.wait(timeout=60)


def answers(listens):
    by_path = isinstance(listens, Path)
    with contextlib.closing(socket.socket(socket.AF_UNIX if by_path else socket.AF_INET)) as tried:
        return tried.connect_ex(str(listens) if by_path else ("127.0.0.1", listens)) == 0


@contextlib.contextmanager
def litewitness(folder, vkey, last, name="litewitness.example.com/w1"):
    """(url, verifier key) of a witness of the log with this verifier key, of which it signed the checkpoint `last`. Its
    key lies in an agent of its own, whose socket wants a short path.
    """
    short = Path(tempfile.mkdtemp(prefix="lw"))
    agent, key, db, port = short / "agent", folder / "key", folder / "db", free_port()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    printed = subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], check=True, capture_output=True, text=True).stdout
    try:
        with process(["ssh-agent", "-D", "-a", agent], agent, stdout=subprocess.DEVNULL):
            subprocess.run(["ssh-add", "-q", key], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(agent)})
            for words in (["add-log"], ["add-key", "-key", vkey]):
                known = ["witnessctl", *words, "-db", db, "-origin", last.origin]
                subprocess.run(known, check=True, capture_output=True)
            with contextlib.closing(sqlite3.connect(db)) as stored:
                stored.execute("UPDATE log SET tree_size = ?, tree_hash = ?", (last.size, note.hash_line(last.root)))
                stored.commit()
            command = ["litewitness", "-db", db, "-name", name, "-key", printed.split(" ")[1]]
            command += ["-ssh-agent", agent, "-listen", f"127.0.0.1:{port}"]
            with (folder / LITEWITNESS_LOG).open("wb") as log, process(command, port, env=OF_TODAY, stderr=log):
                public = ssh_public(Path(f"{key}.pub").read_text())
                yield f"http://127.0.0.1:{port}", note.vkey(name, COSIGNATURE_KIND, public)
    finally:
        shutil.rmtree(short, ignore_errors=True)


@contextlib.contextmanager
def sigsum_witness(folder, log_public):
    """(url, verifier key) of a witness of the one log with this public key, which names itself and its log by their
    keys.
    """
    folder.mkdir()
    port = free_port()
    subprocess.run(["sigsum-key", "generate", "-o", folder / "key"], check=True)
    write_public(folder / "log.pub", log_public)
    command = ["sigsum-witness", "-k", folder / "key", "--log-key", folder / "log.pub"]
    command += ["--state-file", folder / "state", "--url-prefix", "w", f"127.0.0.1:{port}"]
    with process(command, port, env=OF_TODAY, stderr=subprocess.DEVNULL):
        public = ssh_public((folder / "key.pub").read_text())
        name = f"sigsum.org/v1/witness/{hashlib.sha256(public).hexdigest()}"
        yield f"http://127.0.0.1:{port}/w", note.vkey(name, COSIGNATURE_KIND, public)


def write_public(path, public):
    """A public key as sigsum's tools read one."""
    subprocess.run(["sigsum-key", "from-hex", "-o", path], input=public.hex(), text=True, check=True)
