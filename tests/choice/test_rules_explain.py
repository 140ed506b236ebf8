"""The chain of rules that a person is shown is the one that decided (POST /v1/explain)."""

import itertools
import re
from importlib import resources

import pytest
from support.verdicts import decide, office, people, question, rows

from gateway.choice import verdict
from gateway.choice.verdict import ORDER, STRICTNESS, explain
from gateway.terms import Reason

ROWS = rows()
BY_HAND = [row for row in ROWS if not row.get("generated")]


def pairs(asking, asked_of):
    """The steps of each (purpose, class) pair, in the order of the question's classes."""
    steps = explain(asking, asked_of)
    of_a_pair = itertools.groupby(steps, key=lambda step: (step.data_class, step.purpose))
    return [(pair, list(tried)) for pair, tried in of_a_pair]


def is_the_chain_that_decided(asking, asked_of):
    tried = pairs(asking, asked_of)
    assert [pair for pair, _ in tried] == list(itertools.product(asking.data, asking.purposes))
    for _, steps in tried:
        assert [step.rule for step in steps] == list(verdict.ORDER[: len(steps)])
        assert [step.ruling for step in steps[:-1]] == [None] * (len(steps) - 1)
        assert steps[-1].ruling is not None
    decided = decide(asking, asked_of)
    last = [steps[-1].ruling for _, steps in tried]
    strictest = max(last, key=lambda ruling: STRICTNESS[ruling.answer])  # the first among equals
    assert (decided.reason, decided.rule, decided.seq, decided.by) == strictest[1:]
    for data_class, answer in decided.data.items():
        of_class = [steps[-1].ruling.answer for (named, _), steps in tried if named == data_class]
        assert STRICTNESS[answer] == max(STRICTNESS[each] for each in of_class)


@pytest.mark.slow
def test_whoever_is_on_file_is_shown_the_chain_that_decided():
    for row in ROWS:
        is_the_chain_that_decided(question(row["ask"]), office(row["ask"]))


@pytest.mark.slow
def test_anybody_is_shown_the_chain_that_decided():
    for asking, asked_of in people():
        is_the_chain_that_decided(asking, asked_of)


def test_every_rule_decides_for_somebody_on_file():
    last = {steps[-1].rule.name for row in BY_HAND for _, steps in pairs(question(row["ask"]), office(row["ask"]))}
    assert last == {rule.name for rule in verdict.ORDER}


def test_each_rule_has_a_name_of_its_own_and_asks_a_question():
    names = [rule.name for rule in verdict.ORDER]
    assert len(set(names)) == len(names)
    assert all(rule.asks[0].isupper() and rule.asks.endswith("?") for rule in verdict.ORDER)


def test_a_chain_that_leaves_a_rule_out_is_found(monkeypatch):
    """Explained by one order, decided by another."""
    opted_out = next(row for row in BY_HAND if row["answer"]["reason"] == "opted_out")
    asking, asked_of = question(opted_out["ask"]), office(opted_out["ask"])
    is_the_chain_that_decided(asking, asked_of)
    shorter = tuple(rule for rule in verdict.ORDER if rule.name != "opted_out")
    monkeypatch.setattr(verdict, "_of_pair", lambda case: next(filter(None, (rule.apply(case) for rule in shorter))))
    with pytest.raises(AssertionError):
        is_the_chain_that_decided(asking, asked_of)


def test_the_manual_lists_every_reason_and_every_rule_in_their_order():
    text = (resources.files("gateway") / "manual" / "verdict.md").read_text()
    assert [reason for reason in Reason if f"`{reason}`" not in text] == []
    rows_told = re.findall(r"^\| ([a-z_, ]+) \|", text.split("## Reasons")[0], re.MULTILINE)
    told = re.findall(r"[a-z_]+", " ".join(rows_told))
    assert [name for name in told if name != "rule"] == [rule.name for rule in ORDER]
