"""Processes that keep opt-outs beside the ledger and such as take them in, on one file, each killed at any moment: what
was acknowledged was taken in or is still there.
"""

import random
import subprocess
import sys
import time

import pytest

from gateway.desk.emergency import Emergency
from gateway.keys import secret_files

pytestmark = pytest.mark.slow
LIVES, BESIDE, MIB = 12, 3, 2**20
BEGINS = """
import contextlib, os, sys
from datetime import UTC, datetime
from pathlib import Path
from gateway.desk.emergency import Emergency
from gateway.desk.kept_request import KeptRequest
from gateway.keys import secret_files
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice, Subject
from gateway.terms import ChoiceKind, Purpose

secrets = secret_files.load_secrets(Path(sys.argv[1]))
file, said = Emergency(Path(sys.argv[2]), secrets, 2**20), open(sys.argv[3], "a", buffering=1)
"""
KEEPS = f"""{BEGINS}
choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", datetime(2026, 11, 24, tzinfo=UTC))
while True:
    kept = KeptRequest(os.urandom(16), (Subject("account", "a1", (bytes(16),)),), choice)
    with contextlib.suppress(StoreUnavailable):  # another one has it for long
        file.keep(kept)
        said.write(kept.request.hex() + "\\n")
"""
TAKES_IN = f"""{BEGINS}
while True:
    with contextlib.suppress(OSError):
        read = file.read()
        said.write("".join(kept.request.hex() + "\\n" for _, kept in read.requests))
        file.clear(read)
"""


def test_what_was_acknowledged_was_taken_in_or_is_still_there(tmp_path, folder, figure):
    store, kept, taken = tmp_path / "store", tmp_path / "kept", tmp_path / "taken"
    store.mkdir()
    file = Emergency(store, secret_files.load_secrets(folder), MIB)
    file.path.touch(0o600)
    chance = random.Random(1)

    def begun(what, said):
        return subprocess.Popen([sys.executable, "-c", what, folder, store, said])

    for _ in range(LIVES // BESIDE):
        beside = [begun(what, said) for what, said in ((KEEPS, kept), (TAKES_IN, taken)) for _ in range(BESIDE)]
        before = len(ids(kept))
        while len(ids(kept)) < before + 20:
            assert all(one.poll() is None for one in beside)
            time.sleep(0.02)
        for one in chance.sample(beside, len(beside)):
            time.sleep(chance.random() / 20)
            one.kill()
            assert one.wait(20) == -9
    left = file.read()
    assert not left.unread
    still_there = {request.request.hex() for _, request in left.requests}
    assert not set(ids(kept)) - set(ids(taken)) - still_there
    figure("killed over the emergency file", f"{len(ids(kept))} opt-outs, none lost, {LIVES * 2} processes killed")
    file.clear(left)
    assert [found.name for found in store.iterdir()] == [file.path.name]


def ids(file):
    return file.read_text().splitlines() if file.exists() else []
