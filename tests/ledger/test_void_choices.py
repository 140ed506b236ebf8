"""A mass forgery can be undone, and nothing is deleted (R34)."""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import sqlite3
from datetime import timedelta
from itertools import pairwise

import pytest
from support import any_life, inside
from support.any_life import ACTS, KEYS, SUBJECTS
from support.everybody import AT, fill
from support.examples import TIMES
from support.people import email, named, phone
from support.tampering import tamper
from support.verified import VerifiedLife

from gateway.app import composition
from gateway.choice.standing import Standing
from gateway.cli import root
from gateway.consent.leases import Leases
from gateway.desk import history
from gateway.ledger import schema
from gateway.ledger.acts import office_acts, records
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.acts.office_acts import Belief, NotVoided
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import CALLERS_CHOICES, SIGNAL_PURPOSES, ChoiceKind, Purpose

BELIEF = Belief(hashlib.sha256(b"every number of one exchange, in order").digest(), ("Ada Park", "Ben Cole"))
MAIL = 3  # the purpose of a choice in any_life
PLAIN = [ACTS.index(act) for act in ("no", "yes", "gets", "gives_up", "limits", "hears")]


def choices_of(lives):
    rows = lives.db.execute("SELECT seq, body FROM entry ORDER BY seq").fetchall()
    return [seq for seq, body in rows if json.loads(body)["e"] in CALLERS_CHOICES]


def voided(lives, seqs):
    lives.now()
    return office_acts.void_choices(lives.tx, seqs, BELIEF, lives.at)


def what_stands(lives, at):
    """For everybody; not by which entry."""
    folded, now = FoldedPeople(lives.db, KEYS), milliseconds(at)
    return {key: folded.standing(key, now) for key in KEYS}


@pytest.mark.parametrize("seed", range(40 * TIMES))
def test_after_a_void_everybody_stands_as_if_the_forged_choices_had_never_been_made(seed):
    numbers = random.Random(seed)
    acts = [(numbers.choice(PLAIN[:5]), *(numbers.randrange(200) for _ in range(3))) for _ in range(12)]
    forged = [act[0] == ACTS.index("no") and numbers.random() < 0.5 for act in acts]
    whole, without, seqs = any_life.Lives(), any_life.Lives(), []
    for each in range(len(SUBJECTS)):  # that a digest is of an id is known once the id was named, and stays known
        for lives in (whole, without):
            lives.no(each, 0, MAIL)
    for act, is_forged in zip(acts, forged, strict=True):
        size = whole.tx.size
        whole.do(*act)
        if is_forged:
            seqs += range(size, whole.tx.size)
            without.now()
        else:
            without.do(*act)
    if seqs:
        voided(whole, seqs)
    assert what_stands(whole, without.at) == what_stands(without, without.at)
    whole.db.close()
    without.db.close()


@pytest.mark.parametrize("seed", range(25 * TIMES))
def test_whatever_is_voided_the_state_is_what_the_entries_give_and_stays_so(seed):
    numbers = random.Random(seed)
    lives = any_life.lived([tuple(numbers.randrange(200) for _ in range(4)) for _ in range(16)])
    kept = VerifiedLife(lives)
    for _ in range(2):
        if chosen := choices_of(lives):
            voided(lives, numbers.sample(chosen, numbers.randrange(1, len(chosen) + 1)))
        assert kept.report().different == []
        for _ in range(6):
            lives.do(*(numbers.randrange(200) for _ in range(4)))
    assert kept.report().different == []
    kept.close()


def test_a_look_at_an_earlier_moment_still_counts_what_was_voided_later():
    lives = any_life.lived([(ACTS.index("no"), 2, 0, 0)])
    key, before = lives.subjects["phone"].key, milliseconds(lives.at)
    voided(lives, [0])
    after = milliseconds(lives.at)
    assert [standing.denies(Purpose.SALE) for standing in history.rebuild(lives.db, [key], before).standings] == [True]
    assert next(iter(history.rebuild(lives.db, [key], after).standings), Standing()) == Standing()
    assert history.position_at(lives.db, after) == 2
    lives.db.close()


def test_an_opt_out_that_stood_before_the_forged_one_still_stands():
    lives = any_life.lived([(ACTS.index("no"), 2, 0, 0), (ACTS.index("no"), 2, 0, 0)])
    voided(lives, [1])
    assert lives.denies("phone", Purpose.SALE)
    voided(lives, [0])
    assert not lives.denies("phone", Purpose.SALE)
    lives.db.close()


def test_an_opt_out_of_another_source_or_repeated_later_stands():
    lives = any_life.lived([(ACTS.index("no"), 2, 0, 0), (ACTS.index("hears"), 2, 0, 0)])
    voided(lives, [0])
    assert not lives.denies("phone", Purpose.SALE), "the signal was no news then, so no entry tells of it"
    lives.do(ACTS.index("hears"), 2, 0, 0)
    assert lives.denies("phone", Purpose.SALE), "it is heard the next time"
    lives.db.close()


def test_a_void_that_is_cut_off_between_its_parts_opens_nobody_whom_all_of_it_would_not(monkeypatch):
    """A forged yes had lifted what the phone's holder said, and only a forged no of the account still denied."""
    monkeypatch.setattr(office_acts, "CHOICES", 1)
    acts = (("no", 2, 0), ("gets", 0, 0), ("no", 0, 0), ("yes", 2, 0))
    lives = any_life.lived([(ACTS.index(act), who, other, 0) for act, who, other in acts])
    forged = choices_of(lives)[1:]
    assert lives.denies("phone", Purpose.SALE)
    lives.now()
    for job in office_acts.void_jobs(forged, BELIEF, lives.at):
        job(lives.tx)
        assert lives.denies("phone", Purpose.SALE)
    assert lives.db.execute("SELECT count(*) FROM voided_choice").fetchone() == (len(forged),) == (2,)
    lives.db.close()


@pytest.mark.parametrize("officers", [(), ("Ada Park",), ("Ada Park", " ada  PARK "), ("Ada Park", "")])
def test_one_officer_is_not_enough(officers):
    lives = any_life.lived([(ACTS.index("no"), 2, 0, 0)])
    with pytest.raises(NotVoided, match="two different officers"):
        office_acts.void_choices(lives.tx, [0], Belief(b"h" * 32, officers), lives.at)
    assert lives.denies("phone", Purpose.SALE)
    lives.db.close()


def test_what_is_no_choice_of_a_person_is_not_voided():
    lives = any_life.lived([(ACTS.index("no"), 2, 0, 0), (ACTS.index("gets"), 0, 0, 1)])
    for seqs in ([1], [0, 1], [99], [-1]):
        with pytest.raises(NotVoided, match="is no choice of a person"):
            office_acts.void_choices(lives.tx, seqs, BELIEF, lives.at)
    with pytest.raises(NotVoided, match="no entry is named"):
        list(office_acts.void_jobs([], BELIEF, lives.at))
    assert lives.denies("phone", Purpose.SALE)
    lives.db.close()


def test_the_leaf_names_entries_and_no_officer():
    lives = any_life.lived([(ACTS.index("no"), number, 0, 0) for number in (2, 4, 5, 6)])
    voided(lives, [0, 1, 3])
    assert voided(lives, [1, 3]).entries == 0, "once is enough"
    assert voided(lives, [1, 2]).entries == 1
    first, second = (json.loads(body) for (body,) in lives.db.execute("SELECT body FROM entry WHERE seq > 3"))
    assert (first["e"], first["of"], second["of"]) == ("void", [[0, 1], [3, 3]], [[2, 2]])
    assert set(first) == {"v", "i", "e", "of", "h", "d", "t"}
    assert not any(name.encode() in lives.db.serialize() for name in BELIEF.officers)
    lives.db.close()


@pytest.mark.parametrize("seqs", [[], [0], [0, 1, 2], [1, 3, 4, 9], [5, 3, 5, 4]])
def test_ranges_are_the_numbers(seqs):
    spans = office_acts.ranges(seqs)
    assert [seq for first, last in spans for seq in range(first, last + 1)] == sorted(set(seqs))
    assert all(one[1] + 1 < other[0] for one, other in pairwise(spans))


class TestTheOffice:
    @pytest.fixture
    def forged(self, folder, tmp_path):
        """300 browsers by a script, one phone and one address by the form, of which the phone's was forged too."""
        (tmp_path / "belief.txt").write_text("every number of one exchange, in order")
        with composition.open_house(folder, inside.settings(), dev=True) as house:
            fill(house, 300)
            self.says(house, "phone", phone(1))
            self.says(house, "email", email(1))
        return folder

    def says(self, house, kind, value):
        choice = Choice(ChoiceKind.OPT_OUT, SIGNAL_PURPOSES, "form", AT)
        subject = house.consent.people.name([named(kind, value)]).subjects[0]
        return house.writer.submit(lambda tx: records.write_choice(tx, subject, choice, os.urandom(16))).result(60)

    @pytest.fixture
    def runs(self, capsys, forged, tmp_path):
        def run(*more, code=0, belief=True):
            held = ["--note", str(tmp_path / "belief.txt")] if belief else []
            with pytest.raises(SystemExit) as ended:
                root.main(["void", "--data", str(forged), *held, *more])
            assert ended.value.code == code
            said = capsys.readouterr()
            return said.out if code == 0 else said.err

        return run

    OFFICERS = ("--officer", "Ada Park", "--officer", "Ben Cole")

    def sales(self, folder):
        with composition.open_house(folder, inside.settings(), dev=True) as house:
            people = house.consent.people
            subjects = [
                people.browser(f"{5:032x}"),
                *people.name([named("phone", phone(1)), named("email", email(1))]).subjects,
            ]
            return [house.consent.checks.read_back([subject], [Purpose.SALE])["sale"] for subject in subjects]

    @pytest.mark.slow
    def test_lists_reads_rehearses_and_voids(self, forged, runs, tmp_path, monkeypatch):
        waited = []
        monkeypatch.setattr(Leases, "all_of_now", lambda _: asyncio.sleep(0, waited.append(None)))
        listed = runs("--list", "--source", "gpc", "--from", "2026-11-24", "--to", "2026-11-25")
        assert listed.startswith("0  2026-11-24T12:00Z  opt_out sale,sharing,targeted_ads  browser\n")
        (tmp_path / "seqs").write_text("# by a script\n" + listed + "300 and the phone\n")
        who = tmp_path / "accounts.ndjson"
        lines = [json.dumps(named("phone", phone(1))), json.dumps(named("email", email(1))), ""]
        who.write_text("\n".join([*lines, "no json"]))
        asked = ("--seqs", str(tmp_path / "seqs"), *self.OFFICERS, "--who", str(who))
        assert "accounts.ndjson: line 4 is no usable" in runs(*asked, code=2), "or somebody would not be told"
        who.write_text("\n".join(lines))
        told = runs("--seqs", str(tmp_path / "seqs"), *self.OFFICERS, "--dry-run")
        assert told == "301 choices would be voided; 310 standings change\n"
        assert not waited  # for machines that have nothing to hear of
        assert self.sales(forged) == ["opted_out"] * 3
        told = runs("--seqs", str(tmp_path / "seqs"), *self.OFFICERS, "--who", str(who))
        assert told == f"301 choices were voided; 310 standings change\n{lines[0]}\n"
        assert len(waited) == 1
        assert self.sales(forged) == ["none", "none", "opted_out"]
        told = runs("--seqs", str(tmp_path / "seqs"), *self.OFFICERS, "--who", str(who))
        assert told == f"0 choices were voided; 0 standings change\n{lines[0]}\n"
        assert composition.verify_ledger(forged, inside.settings(), boxes=True)[0].different == []

    @pytest.mark.slow
    def test_is_refused_without_names_belief_or_a_second_officer(self, forged, runs, tmp_path):
        (tmp_path / "seqs").write_text("300\n")
        (tmp_path / "odd").write_text("300-301\n")
        seqs = ("--seqs", str(tmp_path / "seqs"))
        assert "two different officers" in runs(*seqs, "--officer", "Ada Park", code=2)
        assert "name the entries" in runs(*self.OFFICERS, code=2)
        assert "name the entries" in runs(*seqs, *self.OFFICERS, code=2, belief=False)
        assert "--list needs" in runs("--list", "--source", "gpc", code=2)
        assert "not the number of an entry" in runs("--seqs", str(tmp_path / "odd"), *self.OFFICERS, code=2)
        assert self.sales(forged) == ["opted_out"] * 3

    @pytest.mark.slow
    def test_voids_nothing_where_one_of_many_cannot_be_voided(self, forged, runs, tmp_path):
        """The first part is not written before the last one was checked."""
        (tmp_path / "seqs").write_text("\n".join(map(str, [*range(301), 9999])))
        assert "entry 9999 is no choice" in runs("--seqs", str(tmp_path / "seqs"), *self.OFFICERS, code=2)
        assert self.sales(forged) == ["opted_out"] * 3

    @pytest.mark.slow
    def test_cannot_void_what_was_pruned(self, forged, runs, tmp_path):
        composition.prune_ledger(forged, inside.settings(), dry_run=False, clock=lambda: AT + timedelta(days=1500))
        (tmp_path / "seqs").write_text("0\n")
        assert "is not kept any more" in runs("--seqs", str(tmp_path / "seqs"), *self.OFFICERS, code=2)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "forgery",
        [
            "INSERT INTO voided_choice VALUES (301, 302, 1795521600000)",
            "DELETE FROM voided_choice WHERE seq = 5",
            "UPDATE void_act SET sealed = zeroblob(80)",
            "INSERT INTO voided_ui VALUES ('fair', 1, 1795521600000)",
        ],
    )
    def test_finds_a_void_that_no_entry_says(self, forged, runs, tmp_path, forgery):
        (tmp_path / "seqs").write_text("5\n6\n")
        runs("--seqs", str(tmp_path / "seqs"), *self.OFFICERS)
        assert composition.verify_ledger(forged, inside.settings(), boxes=True)[0].different == []
        tamper(forged, forgery)
        assert not composition.verify_ledger(forged, inside.settings(), boxes=True)[0].passed

    def test_keeps_the_officers_sealed(self, forged, runs, tmp_path):
        (tmp_path / "seqs").write_text("5\n")
        runs("--seqs", str(tmp_path / "seqs"), *self.OFFICERS)
        for file in (each for each in forged.rglob("*") if each.is_file()):
            assert b"Ada Park" not in file.read_bytes(), file.name
        with contextlib.closing(sqlite3.connect(forged / schema.FILE)) as db:
            assert db.execute("SELECT count(sealed) FROM void_act").fetchone() == (1,)
