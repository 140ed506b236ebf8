"""What `gateway verify` sees of many at once is seen by nothing else: with that look blind, its fault passes."""

import contextlib
import shutil
import sqlite3

import pytest
from support import inside
from support.everybody import fill, story
from support.tampering import tamper, tamper_state

from gateway.app import composition
from gateway.choice.standing import Standing
from gateway.fold.state import KeyRow
from gateway.keys import seals, secret_files
from gateway.keys.person_keys import Vault
from gateway.ledger import publisher, schema, subjects
from gateway.ledger.audit import reading
from gateway.state.comparison import StateComparison
from gateway.state.packed_rows import pack_front, pack_tail

MANY, ONE = 1300, 1150  # more than are read at once; one among the last
MINUTE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    composition.migrate(folder)
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        fill(house, MANY)
    return folder


@pytest.fixture
def many(made, tmp_path):
    shutil.copytree(publisher.checkpoints_beside(made), publisher.checkpoints_beside(tmp_path / "copy"))
    return shutil.copytree(made, tmp_path / "copy")


def found(folder):
    return composition.verify_ledger(folder, inside.settings(), boxes=True)[0].different


def sealed_anew(folder, column, content):
    """With the right key. `content`: of what the boxes held."""
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        [person, event, sealed, opening] = db.execute(
            "SELECT person, event, sealed, opening FROM detail WHERE seq = ?", (ONE,)
        ).fetchone()
    with contextlib.closing(Vault(folder, secret_files.load_secrets(folder).wraps)) as vault:
        both = vault.keys(person)
    opened = subjects.open_boxes(both, event, sealed, opening)
    label, key = (subjects.OPENING + event, both.openings) if column == "opening" else (event, both.details)
    tamper(
        folder, (f"UPDATE detail SET {column} = ? WHERE seq = ?", (seals.seal_box(key, label, content(opened)), ONE))
    )


FAULTS = {
    (reading, "_belong"): lambda folder: tamper(
        folder,
        f"UPDATE detail SET event = randomblob(16), sealed = NULL, opening = NULL WHERE seq = {ONE}",
    ),
    (reading, "_same"): lambda folder: sealed_anew(folder, "sealed", lambda was: b"r" * 32 + was.details),
}


@pytest.mark.parametrize("seq", [2, 14])
def test_a_no_that_is_gone_from_the_state_is_found_and_passes_where_that_look_is_blind(monkeypatch, folder, seq):
    """Of a browser that said one thing, which is looked at as it goes by, and of the phone of an account."""
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        story(house)
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        [key] = db.execute("SELECT key FROM detail WHERE seq = ?", (seq,)).fetchone()
    tamper_state(folder, {key: pack_front(1, 1, Standing(), 0, 0) + pack_tail(KeyRow())})
    [said] = found(folder)
    assert said.startswith(f"the state of this host has not of key {key.hex()[:8]}…")
    if seq == 2:
        monkeypatch.setattr(StateComparison, "is_lone", lambda *_: True)
    else:
        monkeypatch.setattr(StateComparison, "differing", lambda *_: ())
    monkeypatch.setattr(StateComparison, "is_full", lambda _: True)
    assert found(folder) == []


@pytest.mark.parametrize("look", FAULTS, ids=lambda look: look[1])
def test_a_fault_that_only_a_look_at_many_can_see_is_found_and_passes_where_that_is_blind(monkeypatch, many, look):
    assert found(many) == []
    FAULTS[look](many)
    [said] = found(many)
    assert f"entry {ONE} " in said
    monkeypatch.setattr(*look, lambda *_: True)
    assert found(many) == []


OTHERWISE = {
    "an opening that is too short": ("opening", lambda was: was.rs[:16]),
    "another year": ("sealed", lambda was: was.rd + was.details.replace(b"2026", b"2025")),
    "half a secret and no details": ("sealed", lambda was: was.rd[:31]),
    "nothing": ("sealed", lambda _: b""),
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_a_box_that_opens_to_something_else_is_found_among_many(many, what):
    sealed_anew(many, *OTHERWISE[what])
    assert found(many) == [f"the boxes of entry {ONE} do not open to what it commits to"]
