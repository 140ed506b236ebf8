"""`gateway verify` finds nothing in any honest life, and finds each forgery."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import sqlite3
from datetime import timedelta

import pytest
from hypothesis import given
from support import any_life as lives_of
from support import inside
from support.everybody import AT, fill, story
from support.examples import TIMES, examples
from support.people import GAID, email, named, phone
from support.tampering import tamper

from gateway.app import composition
from gateway.cli import root
from gateway.keys import seals
from gateway.ledger import checkpoint_store, erasure, schema, verify
from gateway.ledger.erasure import ErasureOrder
from gateway.terms import Erasing


def examined(lives, *, boxes=True):
    lives.tx.write_head()
    return verify.examine(lives.db, lambda _: None, lives.tx.persons if boxes else None)


@pytest.mark.slow
@examples(40)
@given(lives_of.LIFE)
def test_any_honest_life_passes(life):
    lives = lives_of.lived(life)
    report = examined(lives)
    assert report.different == []
    assert report.opened == 2 * lives.db.execute("SELECT count(*) FROM detail").fetchone()[0]
    lives.db.close()


def test_of_people_who_are_alike_one_is_made_again(house_of_many):
    """Ten browsers with GPC, an address, and an account with what it has."""
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert (report.passed, report.looked_at, report.replayed) == (True, 36, 26)


@pytest.fixture
def house_of_many(folder):
    """Ten browsers with GPC, one address that changed its mind, and a family of account, phone and device."""
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        story(house)
    return folder


FORGERIES = {
    "a changed body": ["UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'gpc', 'gpx') AS BLOB) WHERE seq = 3"],
    "a body put in the place of another": [
        "UPDATE entry SET body = (SELECT body FROM entry WHERE seq = 4) WHERE seq = 5"
    ],
    "an entry that is cut out": ["DELETE FROM entry WHERE seq = 4"],
    "the last entry cut off": [
        "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)",
        "UPDATE head SET size = size - 1",
    ],
    "a changed bit of a standing": [
        "UPDATE standing SET own = own | 2 WHERE key IN (SELECT key FROM detail WHERE seq = 2)"
    ],
    "an opt-out lifted in its standing": [
        "UPDATE standing SET own = 0 WHERE key IN (SELECT key FROM detail WHERE seq = 2)"
    ],
    "a standing that is gone": ["DELETE FROM standing WHERE key IN (SELECT key FROM detail WHERE seq = 2)"],
    "an own choice that is gone": [
        "DELETE FROM own_choice WHERE key IN (SELECT key FROM detail WHERE seq = 2) AND purpose = 'sale'"
    ],
    "an own choice of another time": ["UPDATE own_choice SET out_at = out_at + 1 WHERE seq = 2 AND purpose = 'sale'"],
    "own choices of somebody who said nothing": [
        "INSERT INTO own_choice (key, purpose, state, seq) VALUES (randomblob(16), 'sale', 2, 3)",
    ],
    "a standing of somebody who said nothing": ["INSERT INTO standing (key, own) VALUES (randomblob(16), 2)"],
    "a travelled row that is gone": ["DELETE FROM travelled_choice WHERE rowid_of = 1"],
    "a travelled row of an address's digest that is gone": [
        "DELETE FROM travelled_choice WHERE via = (SELECT key FROM detail WHERE seq = 10) AND purpose = 'sharing'",
    ],
    "a link that is gone": ["DELETE FROM link"],
    "a link of another date": ["UPDATE link_event SET start = start - 60000"],
    "a choice hung on somebody else": ["UPDATE detail SET key = randomblob(16) WHERE seq = 2"],
    "a side row that is gone": ["DELETE FROM detail WHERE seq = 2"],
    "a time that is another": ["UPDATE detail SET at = at - 60000 WHERE seq = 2"],
    "a link that began as another's": ["UPDATE link_event SET account = randomblob(16) WHERE seq = 12"],
    "a name that nobody gave": [
        "INSERT INTO name (alias, canonical) SELECT randomblob(16), key FROM detail WHERE seq = 2"
    ],
    "a head that is another": ["UPDATE head SET frontier = zeroblob(length(frontier))"],
}
FORGERIES["a travelled row that is gone"] = [
    "DELETE FROM travelled_choice WHERE purpose = 'sale' AND via = (SELECT account FROM link LIMIT 1)"
]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_found(house_of_many, forgery):
    assert composition.verify_ledger(house_of_many, inside.settings(), boxes=True)[0].different == []
    tamper(house_of_many, *FORGERIES[forgery])
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert not report.passed, forgery


@pytest.mark.parametrize("seq", [2, 10, 14])
@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[]", b'{"e":["x"]}', b'{"e":"none"}', b'{"e":"opt_out","p":5,"src":[]}']
)
def test_an_entry_that_says_nothing_is_told_and_ends_nothing(house_of_many, seq, body):
    tamper(
        house_of_many, ("UPDATE entry SET body = ? WHERE seq = ?", (body, seq)), "DELETE FROM own_choice WHERE seq = 3"
    )
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert any("entry" in text or "tile" in text or "frontier" in text for text in report.different)
    assert any("own_choice of key" in text or "no row was looked at" in text for text in report.different)


def person(folder, seq):
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        return db.execute("SELECT person, event, key FROM detail WHERE seq = ?", (seq,)).fetchone()


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE link_event SET start = start - 60000",
        "INSERT INTO given VALUES (11, 1, 0)",
    ],
)
def test_a_side_row_that_says_other_than_the_details_is_found_where_the_vault_is_asked(house_of_many, forgery):
    tamper(house_of_many, forgery)
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=True)
    assert any("boxes of entry" in text for text in report.different)


@pytest.mark.parametrize("column", ["sealed", "opening"])
def test_a_forged_box_is_found_where_the_vault_is_asked(house_of_many, column):
    tamper(house_of_many, f"UPDATE detail SET {column} = (SELECT {column} FROM detail WHERE seq = 3) WHERE seq = 2")
    assert composition.verify_ledger(house_of_many, inside.settings(), boxes=False)[0].passed
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=True)
    assert report.different == ["the boxes of entry 2 do not open to what it commits to"]


def test_details_that_were_sealed_anew_with_the_right_key_are_found(house_of_many):
    """Whoever has the vault too cannot change what the entry commits to."""
    who, event, _ = person(house_of_many, 2)
    with (
        composition.open_house(house_of_many, inside.settings(), dev=True) as house,
        contextlib.closing(house.vault()) as vault,
    ):
        box = seals.seal_box(vault.keys(who).details, event, b"r" * 32 + b'{"at":"2026-11-24T12:00:00.000+00:00"}')
    tamper(house_of_many, ("UPDATE detail SET sealed = ? WHERE seq = 2", (box,)))
    assert not composition.verify_ledger(house_of_many, inside.settings(), boxes=True)[0].passed


def test_what_was_forgotten_is_no_forgery(house_of_many):
    tamper(house_of_many, "UPDATE detail SET sealed = NULL, opening = NULL WHERE seq = 2")
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=True)
    assert (report.passed, report.opened) == (True, 28)


def test_an_older_copy_of_the_folder_is_found(house_of_many, tmp_path):
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(house_of_many / schema.FILE, copy)
    with composition.open_house(house_of_many, inside.settings(), dev=True) as house:
        story(house)
    for beside in house_of_many.glob(schema.FILE + "-*"):
        beside.unlink()
    shutil.copy(copy, house_of_many / schema.FILE)
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert checkpoint_store.store_beside(house_of_many).exists()
    assert [text for text in report.different if "an older copy" in text]


class TestALongLog:
    """More entries than one tile holds."""

    @pytest.fixture
    def long(self, folder):
        with composition.open_house(folder, inside.settings(), dev=True) as house:
            fill(house, 700)
        return folder

    @pytest.mark.slow
    def test_passes(self, long):
        assert composition.verify_ledger(long, inside.settings(), boxes=False)[0].different == []

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("UPDATE tile SET n = 1 - n WHERE level = 0 AND n < 2", "tile 0/0"),
            ("UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE level = 1", "tile 1/0"),
            ("DELETE FROM tile WHERE level = 0 AND n = 1", "tile 0/1 is missing"),
            ("INSERT INTO tile VALUES (3, 0, zeroblob(32))", "more tiles"),
            (
                "UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'gpc', 'gpx') AS BLOB) WHERE seq = 300",
                "entry 300",
            ),
        ],
    )
    def test_a_tile_that_is_not_the_entries_is_found(self, long, change, said):
        swap = change.startswith("UPDATE tile SET n")
        tamper(
            long,
            *(
                [
                    "UPDATE tile SET n = n - 9 WHERE level = 0 AND n < 2",
                    "UPDATE tile SET n = -8 - n WHERE level = 0 AND n < 0",
                ]
                if swap
                else [change]
            ),
        )
        report, _ = composition.verify_ledger(long, inside.settings(), boxes=False)
        assert any(said in text for text in report.different), report.different


class TestTheOffice:
    def says(self, capsys, folder, *more):
        with pytest.raises(SystemExit) as ended:
            root.main(["verify", "--data", str(folder), *more])
        return ended.value.code, capsys.readouterr().out

    def test_reads_in_words_that_all_is_well_and_which_key_signed(self, capsys, house_of_many):
        code, out = self.says(capsys, house_of_many, "--vault")
        assert code == 0
        assert out.startswith("15 entries\nlast checkpoint: 15 entries of ")
        assert "signed by: " in out
        assert out.endswith("passed\n")

    def test_reads_what_differs_and_no_person(self, capsys, house_of_many):
        tamper(house_of_many, "UPDATE standing SET own = 0")
        code, out = self.says(capsys, house_of_many)
        assert code == 1
        assert out.count("DIFFERENT: standing of key ") == 12
        assert phone(1) not in out
        code, out = self.says(capsys, house_of_many, "--json")
        told = json.loads(out)
        assert (code, told["passed"], len(told["different"])) == (1, False, 12)


@pytest.mark.slow
@pytest.mark.parametrize("mode", Erasing)
@pytest.mark.parametrize("whom", [("phone", phone(1)), ("email", email(1)), ("account", "ann"), ("gaid", GAID)])
def test_what_was_erased_passes_and_so_does_what_is_said_and_pruned_after_it(house_of_many, mode, whom):
    with composition.open_house(house_of_many, inside.settings(), dev=True) as house:
        subjects = house.consent.people.name([named(*whom)]).subjects
        asyncio.run(house.consent.erase(ErasureOrder(mode, subjects, AT)))
    assert composition.verify_ledger(house_of_many, inside.settings(), boxes=True)[0].different == []
    with composition.open_house(house_of_many, inside.settings(), dev=True) as house:
        story(house)
        fill(house, 300)
    assert composition.verify_ledger(house_of_many, inside.settings(), boxes=True)[0].different == []
    composition.prune_ledger(house_of_many, inside.settings(), dry_run=False, clock=lambda: AT + timedelta(days=1500))
    assert composition.verify_ledger(house_of_many, inside.settings(), boxes=True)[0].different == []


@pytest.mark.parametrize("seed", range(40 * TIMES))
def test_any_life_in_which_details_are_erased_and_children_found_passes(seed):
    numbers = random.Random(seed)
    lives = lives_of.Lives()
    for _ in range(24):
        if numbers.random() < 0.15:
            lives.now()
            order = ErasureOrder(
                numbers.choice([Erasing.DETAILS, Erasing.CHILD]), (lives.anybody(numbers.randrange(200)),), lives.at
            )
            erasure.erase(lives.tx, order, os.urandom(16))
        else:
            lives.do(*(numbers.randrange(200) for _ in range(4)))
    assert examined(lives).different == []
    lives.db.close()
