"""The id of an answered check: sealed, of one length, no two alike, read again by the installation that made it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.handed import made

from gateway.consent.decisions import NOBODY, SEALED, Decision, Decisions, NotOurs, Stands
from gateway.keys import secret_files
from gateway.keys.secret_files import Secrets
from gateway.terms import DataClass, Purpose

KEY = bytes(range(16))
SECRETS = Secrets(*((bytes([number]) * 32,) for number in range(6)))
NAMES = ("teemo", "advertisers")
MADE = Decision(KEY, "teemo", ("sale", "sharing"), ("ad_id", "ip"), 1_795_699_091, Stands.POSSIBLE, denied=False)


@pytest.fixture
def decisions():
    return Decisions(SECRETS, NAMES)


DECISIONS = st.builds(
    Decision,
    key=st.binary(min_size=16, max_size=16),
    recipient=st.sampled_from(NAMES),
    purposes=st.sets(st.sampled_from(Purpose)).map(
        lambda found: tuple(word.value for word in Purpose if word in found)
    ),
    classes=st.sets(st.sampled_from(DataClass)).map(
        lambda found: tuple(word.value for word in DataClass if word in found)
    ),
    at=st.integers(0, 2**32 - 1),
    stands=st.sampled_from(Stands),
    denied=st.booleans(),
)


@given(decision=DECISIONS)
def test_whatever_was_decided_is_read_again_from_64_characters(decision):
    text = made(Decisions(SECRETS, NAMES), decision)
    assert len(text) == 64
    assert Decisions(SECRETS, NAMES).read(text) == decision


def test_two_answers_about_one_person_in_one_second_have_two_ids(decisions):
    assert len({made(decisions, MADE) for _ in range(1000)}) == 1000


def test_an_id_shows_nothing_of_the_person(decisions):
    text = made(decisions, MADE)
    assert KEY.hex() not in repr(MADE)
    assert {made(decisions, MADE)[:8] for _ in range(50)} != {text[:8]}


@pytest.mark.parametrize("index", range(64))
def test_an_id_that_was_changed_anywhere_is_not_ours(decisions, index):
    text = made(decisions, MADE)
    other = "B" if text[index] == "A" else "A"
    with pytest.raises(NotOurs):
        decisions.read(text[:index] + other + text[index + 1 :])


@pytest.mark.parametrize("text", ["", "A", "A" * 64, "A" * 63, "é" * 64, "…", "A" * 10_000, "=" * 64])
def test_what_somebody_made_up_is_not_ours(decisions, text):
    with pytest.raises(NotOurs):
        decisions.read(text)


def test_an_id_of_another_installation_is_not_ours(decisions):
    theirs = Decisions(replace(SECRETS, seals=(b"x" * 32,)), NAMES)
    with pytest.raises(NotOurs):
        decisions.read(made(theirs, MADE))


def test_an_older_id_is_read_under_new_keys_and_names_the_person_as_the_ledger_does_now(decisions):
    text = made(decisions, MADE)
    newer = replace(SECRETS, seals=(*SECRETS.seals, b"s" * 32), peppers=(*SECRETS.peppers, b"p" * 32))
    found = Decisions(newer, NAMES).read(text)
    assert found == replace(MADE, key=secret_files.wrap(KEY, [b"p" * 32]))
    assert Decisions(newer, NAMES).read(made(Decisions(newer, NAMES), MADE)) == MADE


def test_nobody_stays_nobody_under_a_new_pepper(decisions):
    newer = replace(SECRETS, peppers=(*SECRETS.peppers, b"p" * 32))
    assert Decisions(newer, NAMES).read(made(decisions, replace(MADE, key=NOBODY))).key == NOBODY


def test_a_recipient_that_is_configured_no_longer_is_read_by_the_name_that_somebody_knows(decisions):
    later, text = Decisions(SECRETS, ("advertisers",)), made(decisions, MADE)
    assert later.read(text, ["another", "teemo"]) == MADE
    with pytest.raises(NotOurs):
        later.read(text, ["another"])


def test_a_name_that_nobody_had_configured_is_none(decisions):
    text = made(decisions, replace(MADE, recipient="nobody", denied=True))
    assert decisions.read(text, ["nobody"]).recipient == ""
    assert SEALED == 48
