"""The decisions on file: whom they show, that every rule is needed for one of them, and that the generator wrote
its."""

import itertools
import json
import re
from collections import Counter

import pytest
from support.verdicts import (
    FILE,
    decide,
    office,
    question,
    rows,
)
from vectors import generate

from gateway.choice import verdict
from gateway.terms import CHOOSABLE, Reason, Role

TEXT = FILE.read_text()
ABOUT = json.loads(TEXT)["about"]
ROWS = rows()
BY_HAND = [row for row in ROWS if not row.get("generated")]
GENERATED = [row for row in ROWS if row.get("generated")]
# Reasons that are found before a rule is asked: by the doors, or for a recipient or purpose that nobody configured.
OF_THE_DOORS = {
    Reason.UNKNOWN_RECIPIENT, Reason.UNKNOWN_PURPOSE, Reason.STALE, Reason.STORE_UNAVAILABLE,
}  # fmt: skip
DECISIONS = {"R3", "R4", "R5", "R6", "R7", "R12", "R13", "R14", "R15", "R20", "R21", *(f"R{n}" for n in range(25, 30))}
FACTS = {
    "L41", "L42", "L46", "L52", "L53", "L54", "L55", "L60", "L61", "L62", "L63", "L64", "L65", "L66",
    "L71", "L72", "L73", "L74", "L75", "L76", "L77", "L78", "L79", "L90",
}  # fmt: skip


def test_there_are_enough_decisions_and_each_is_about_a_person_of_its_own():
    assert (len(BY_HAND) >= 170, len(GENERATED) >= 450, len(ROWS) >= 650) == (True, True, True)
    assert len({row["because"] for row in ROWS}) == len(ROWS)
    assert len({json.dumps(row["ask"], sort_keys=True) for row in ROWS}) == len(ROWS)
    assert all(row["rule"] for row in ROWS)


def test_the_decisions_by_hand_cover_every_role_and_every_reason_that_rules_give():
    assert {row["ask"].get("role", "third_party") for row in BY_HAND} == set(Role)
    assert {row["answer"]["reason"] for row in BY_HAND} == set(Reason) - OF_THE_DOORS


def test_the_decisions_by_hand_show_every_rule_that_is_the_verdicts():
    assert set(re.findall(r"\b[RL]\d+\b", " ".join(row["rule"] for row in BY_HAND))) >= DECISIONS | FACTS


def test_a_reader_in_another_language_is_told_every_member_and_its_default():
    used = {name for row in ROWS for name in row["ask"]}
    assert used == set(ABOUT["ask"])
    assert {name for row in ROWS for name in row} == {*ABOUT["row"], "generated"}
    assert [name for name, text in ABOUT["ask"].items() if "default" not in text] == []
    for member in ("standings", "grants"):
        said = {name for row in ROWS for each in row["ask"].get(member, ()) for name in each}
        assert [name for name in said if name not in ABOUT["ask"][member]] == [], member


def test_whoever_reads_a_difference_reads_one_line_a_decision():
    assert sum(line.startswith('  {"') for line in TEXT.splitlines()) == len(ROWS)


def test_the_generator_would_write_the_file_as_it_is():
    """If not: a rule or a table changed. See whom it meets: python tests/vectors/generate.py, and read the diff."""
    assert generate.written(json.loads(TEXT)) == TEXT


def test_the_generated_people_are_of_every_kind_equally_often():
    sampled = list(generate.sample())
    assert len(sampled) == len(GENERATED)
    places, purposes, ages, records, signals = zip(*sampled, strict=True)
    assert set(Counter(map(tuple, places)).values()) == {8}
    assert {*purposes} == set(CHOOSABLE)
    for one, other in itertools.combinations((purposes, ages, records, signals), 2):
        pairs = Counter(zip(one, other, strict=True))
        assert len(pairs) == len({*one}) * len({*other})
        assert max(pairs.values()) - min(pairs.values()) <= 4


ASKED = [(question(row["ask"]), office(row["ask"]), row["answer"]["data"]) for row in ROWS]


@pytest.mark.parametrize("name", [rule.name for rule in verdict.ORDER])
def test_every_rule_is_needed_without_it_somebody_on_file_gets_another_answer(monkeypatch, name):
    kept = tuple(rule for rule in verdict.ORDER if rule.name != name)
    monkeypatch.setattr(verdict, "ORDER", kept)
    monkeypatch.setattr(verdict, "_of_pair", lambda case: next(filter(None, (rule.apply(case) for rule in kept)), NO))
    changed = [asked for asked, asked_of, data in ASKED if decide(asked, asked_of).data != data]
    assert changed


NO = verdict.deny(Reason.MALFORMED, "no rule had an opinion")
