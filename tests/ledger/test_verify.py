"""`gateway verify` finds nothing in any honest life, and finds each forgery."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from support import any_life as lives_of
from support import inside
from support.everybody import AT, fill, story
from support.examples import TIMES, examples
from support.led import leads_elsewhere, leads_nowhere
from support.people import GAID, email, named, phone
from support.planted_sides import said_otherwise, said_too, swapped, told_again, told_at
from support.tampering import tamper, tamper_state
from support.verified import VerifiedLife

from gateway.app import composition, state_check
from gateway.cli import root
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.fold.record import LinkSaid, NamesLearnt, SaidIn, SaidOut
from gateway.keys import seals
from gateway.ledger import publisher, schema
from gateway.ledger.side import pack_side
from gateway.terms import Erasing, Purpose

PATIENCE = 300.0  # seconds for what takes some, on a machine that does much else


@pytest.mark.slow
@examples(40)
@given(lives_of.LIFE)
def test_any_honest_life_passes_and_so_does_the_state_that_followed_it(life):
    lives = lives_of.Lives()
    kept = VerifiedLife(lives)
    for number, act in enumerate(life):
        lives.do(*act)
        if number % 3 == 0:
            kept.follow()
    report = kept.report()
    assert report.different == []
    assert report.opened == 2 * lives.db.execute("SELECT count(*) FROM detail").fetchone()[0]
    kept.close()


def test_each_row_and_edge_of_the_state_is_compared(house_of_many):
    """Ten browsers with GPC, an address and its forms, and an account with what it has."""
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert (report.passed, report.compared, report.uncompared) == (True, 37 + 2, "")


def test_where_there_is_no_state_that_is_said_and_all_else_is_looked_at(house_of_many):
    shutil.rmtree(house_of_many / "state")
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert (report.passed, report.entries, report.compared) == (True, 15, None)
    assert report.uncompared == "there is none to be compared: there is none"


def test_a_state_that_is_behind_is_no_fault_and_is_not_compared(house_of_many, monkeypatch):
    monkeypatch.setattr(state_check, "CATCHES_UP", 0.0)
    with contextlib.closing(schema.open_to_write(house_of_many)) as db:
        db.execute("INSERT INTO side (seq, entered, packed) VALUES (15, 0, ?)", (pack_side((), 0, 1),))
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert (report.passed, report.compared) == (True, None)
    assert report.uncompared == "it has not folded all of the log yet, so it was not compared"


def test_the_state_of_another_log_is_not_compared(house_of_many):
    tamper(house_of_many, "UPDATE side SET mark = mark + 1")
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert (report.passed, report.compared) == (True, None)
    assert "another root" in report.uncompared


@pytest.mark.slow
def test_while_a_gateway_writes_its_state_is_compared_at_one_moment_with_the_log(house_of_many):
    """As often as it takes until the gateway has written between them: a busy machine lets it come to nothing for
    long, or the state is behind.
    """
    rounds, reports, over = [], [], threading.Event()
    with composition.open_house(house_of_many, inside.settings(), dev=True) as house:

        def write():
            while not over.is_set():
                fill(house, 5, first=100 + 5 * len(rounds))
                rounds.append(len(reports))  # how many were before it

        def enough():
            return len(reports) >= 5 and len(set(rounds)) >= 3 and any(report.compared for report in reports)

        with ThreadPoolExecutor() as pool:
            writing, ends = pool.submit(write), time.monotonic() + PATIENCE
            try:
                while not enough() and not writing.done():
                    assert time.monotonic() < ends, f"{rounds} of {len(reports)}"
                    reports.append(composition.verify_ledger(house_of_many, inside.settings(), boxes=False)[0])
            finally:
                over.set()
            writing.result(PATIENCE)
    assert [report.different for report in reports] == [[]] * len(reports)


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
    "a link of another date": ["UPDATE link_event SET start = start - 60000"],
    "a choice hung on somebody else": ["UPDATE detail SET key = randomblob(16) WHERE seq = 2"],
    "a side row that is gone": ["DELETE FROM detail WHERE seq = 2"],
    "a time that is another": ["UPDATE detail SET at = at - 60000 WHERE seq = 2"],
    "a link that began as another's": ["UPDATE link_event SET account = randomblob(16) WHERE seq = 12"],
    "a name that nobody gave": [said_too(2, NamesLearnt((b"a name of nobody",)))],
    "a yes in the place of a no": [said_otherwise(SaidOut, 2, purposes=())],
    "a yes beside a no": [said_too(2, SaidIn((Purpose.SALE,)))],
    "two words in the other order": [swapped(10, 11)],
    "an older word once more": [told_again(10)],
    "a word of no entry": [told_again(10, 15)],
    "a word that is told long after": [told_at(2, 2**63)],
    "a word that is told years after": [told_at(2, 1_900_000_000_000)],
    "a key that leads nowhere": [leads_nowhere(2)],
    "a key that leads elsewhere": [leads_elsewhere(2)],
    "a side that is none": ["UPDATE side SET packed = x'7b' WHERE seq = 2 AND entered"],
    "a side of words that nobody knows": [said_otherwise(SaidOut, 2, purposes=("nothing",))],
    "a side that is gone": ["DELETE FROM side WHERE seq = 2 AND entered"],
    "a yes between two entries": ["UPDATE side SET entered = 0 WHERE seq = 10"],
    "a head that is another": ["UPDATE head SET frontier = zeroblob(length(frontier))"],
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_found(house_of_many, forgery):
    assert composition.verify_ledger(house_of_many, inside.settings(), boxes=True)[0].different == []
    tamper(house_of_many, *FORGERIES[forgery])
    for boxes in (False, True):
        report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=boxes)
        assert not report.passed, forgery


@pytest.mark.parametrize("seq", [2, 10, 14])
@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[]", b'{"e":["x"]}', b'{"e":"none"}', b'{"e":"opt_out","p":5,"src":[]}']
)
def test_an_entry_that_says_nothing_is_told_and_ends_nothing(house_of_many, seq, body):
    tamper(house_of_many, ("UPDATE entry SET body = ? WHERE seq = ?", (body, seq)))
    key = person(house_of_many, 3)[2]
    tamper_state(house_of_many, {key: None})
    report, _ = composition.verify_ledger(house_of_many, inside.settings(), boxes=False)
    assert any("entry" in text or "tile" in text or "frontier" in text for text in report.different)
    assert f"the state of this host has not of key {key.hex()[:8]}… what the log folds to" in report.different


def person(folder, seq):
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        return db.execute("SELECT person, event, key FROM detail WHERE seq = ?", (seq,)).fetchone()


@pytest.mark.parametrize(
    "forgery",
    [
        said_otherwise(LinkSaid, 12, start=60_000),
        said_otherwise(SaidIn, 11, informed=True),
        said_otherwise(SaidOut, 2, mark="a"),
    ],
    ids=["link", "yes", "no"],
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
    assert publisher.checkpoints_beside(house_of_many).exists()
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
        tamper_state(house_of_many, {person(house_of_many, seq)[2]: None for seq in range(12)})
        code, out = self.says(capsys, house_of_many)
        assert code == 1
        assert out.count("DIFFERENT: the state of this host has not of key ") == 11
        assert phone(1) not in out
        code, out = self.says(capsys, house_of_many, "--json")
        told = json.loads(out)
        assert (code, told["passed"], len(told["different"])) == (1, False, 11)


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
def test_any_life_in_which_people_are_erased_and_children_found_passes(seed):
    numbers = random.Random(seed)
    lives = lives_of.Lives()
    kept = VerifiedLife(lives)
    for _ in range(24):
        if numbers.random() < 0.3:
            kept.follow()
        if numbers.random() < 0.15:
            lives.now()
            order = ErasureOrder(numbers.choice([*Erasing]), (lives.anybody(numbers.randrange(200)),), lives.at)
            erasure.erase(lives.tx, order, os.urandom(16))
        else:
            lives.do(*(numbers.randrange(200) for _ in range(4)))
    assert kept.report().different == []
    kept.close()
