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
from gateway.ledger import (
    erasure,
    fold,
    live_rows,
    publisher,
    records,
    replay,
    rows_check,
    schema,
    verify,
    verify_connections,
)
from gateway.ledger.erasure import ErasureOrder
from gateway.ledger.fold import Fold
from gateway.ledger.live_rows import NEVER
from gateway.ledger.reading import LedgerReading, blocks
from gateway.ledger.subjects import Choice
from gateway.terms import ChoiceKind, Erasing, Purpose

SIMPLE = [lives_of.ACTS.index(act) for act in ("no", "yes", "hears", "limits", "limits_no_more", "gets")]


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


def simple_life(seed, *, links=True):
    numbers = random.Random(seed)
    acts = SIMPLE if links else SIMPLE[:-1]
    return [(numbers.choice(acts), *(numbers.randrange(200) for _ in range(3))) for _ in range(numbers.randrange(1, 9))]


def by_the_short_way(lives):
    """(keys of the short way, their rows)."""
    reading = LedgerReading(lives.db, people := verify_connections.read(lives.db), Fold(people.families))
    for rows in blocks(lives.db):
        reading.add(rows)
    return reading, rows_check._wanted(reading.fold, [*reading.fold.firsts, *reading.fold.alone, *people.families])


@pytest.mark.parametrize("seed", range(60 * TIMES))
def test_the_short_way_gives_the_rows_that_the_real_rules_give(seed):
    lives = lives_of.lived(simple_life(seed, links=seed % 3 == 0))
    reading, wanted = by_the_short_way(lives)
    keys = sorted({key for rows in wanted.values() for key in rows})
    with contextlib.closing(replay.relived(lives.db, keys, rows_check.FOR_EVER)) as life:
        for table in live_rows.TABLES:
            made = live_rows.of(life, table, keys)
            assert made == {key: rows for key, row in wanted.get(table, {}).items() if (rows := row - {NEVER})}, table
    assert rows_check.doubted(lives.db, reading) == set()
    lives.db.close()


def test_the_short_way_is_taken_by_most_and_the_real_rules_by_a_family_that_opted_in(house_of_many):
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert (report.passed, report.short, report.lived) == (True, 13, 0)
    with composition.open_house(house_of_many, inside.settings(), dev=True) as house:
        subject = house.consent.people.name([named("phone", phone(1))]).subjects[0]
        choice = Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "form", AT)
        house.writer.submit(lambda tx: records.write(tx, subject, choice, b"r" * 16)).result(60)
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert (report.passed, report.short, report.lived) == (True, 11, 23)


def test_a_short_way_that_forgets_an_opt_in_is_looked_at_again_by_the_real_rules(monkeypatch, house_of_many):
    """A fault of the short way costs time and raises no alarm."""
    monkeypatch.setattr(fold.Alone, "opt_in", lambda *_: None)
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert report.passed


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
    assert publisher.store_beside(house_of_many).exists()
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
