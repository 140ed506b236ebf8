"""Every question has one answer a class and one reason, whatever else is asked beside it."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.signals import OPT_OUTS, OTHERS, mixes
from support.verdicts import (
    OFFICE,
    buyer,
    decide,
    not_looser,
    people,
)

from gateway.choice.question import Question
from gateway.choice.rules.case import NOT_PERSONAL
from gateway.choice.verdict import STRICTNESS, deny_all
from gateway.signals.hear import from_call
from gateway.terms import Answer, DataClass, GrantKind, Purpose, Reason, Role

QUICKLY = examples(150)
SOMEBODY = st.integers(0, 999).map(lambda number: people()[number])
COMPANY = {*NOT_PERSONAL, DataClass.KEYWORDS}  # these mind what they stand beside (R20, R28)


def test_every_question_has_one_answer_a_class_and_one_reason():
    for asking, office in people():
        decided = decide(asking, office)
        assert list(decided.data) == list(asking.data)
        assert decided.allowed == all(answer is Answer.ALLOW for answer in decided.data.values())
        assert not (decided.allowed and decided.partly)
        assert decided.rule
        again = asking._replace(recipient=replace(asking.recipient))  # another object: nothing remembered helps
        assert decide(again, office) == decided


@pytest.mark.slow
def test_a_class_is_answered_the_same_alone_and_beside_others():
    for number, (asking, office) in enumerate(people()):
        beside = [data_class for data_class in DataClass if data_class not in COMPANY]
        data = Random(number).sample(beside, 3)
        together = decide(asking._replace(data=tuple(data)), office).data
        for data_class in data:
            assert decide(asking._replace(data=(data_class,)), office).data == {data_class: together[data_class]}


@pytest.mark.slow
def test_several_purposes_are_as_strict_as_the_strictest_of_them():
    for asking, office in people():
        alone = [decide(asking._replace(purposes=(purpose,)), office).data for purpose in asking.purposes]
        for name, answer in decide(asking, office).data.items():
            assert STRICTNESS[answer] == max(STRICTNESS[each[name]] for each in alone)


def test_no_third_party_has_a_precise_point_without_an_opt_in_that_names_it():
    """R7, in every place; and without a contract it has nothing."""
    allowed = 0
    for asking, office in people():
        third = asking._replace(recipient=replace(asking.recipient, role=Role.THIRD_PARTY))
        if decide(third._replace(data=(DataClass.PRECISE_GEO,)), office).allowed:
            named = {
                (grant.recipient, grant.purpose, grant.data_class)
                for grant in asking.grants
                if grant.kind is GrantKind.OPTED_IN
            }
            assert {("buyer", purpose, DataClass.PRECISE_GEO) for purpose in asking.purposes} <= named
            assert third.recipient.contract
            allowed += 1
    assert allowed


@pytest.mark.slow
@QUICKLY
@given(SOMEBODY, mixes(OTHERS), mixes(OPT_OUTS))
def test_one_more_opt_out_among_any_signals_of_a_call_never_opens_anything(somebody, said, added):
    """Whoever asks, for whatever purpose."""
    asking, office = somebody
    more = {**added, **said}
    before, after = (decide(asking._replace(heard=from_call(signals)), office) for signals in (said, more))
    assert not_looser(after, before)


@QUICKLY
@given(SOMEBODY, mixes(OTHERS), st.sampled_from(OPT_OUTS["cookies"]))
def test_one_more_refusing_cookie_in_a_call_never_opens_anything(somebody, said, cookie):
    asking, office = somebody
    jar = said.get("cookies", "")
    more = {**said, "cookies": f"{jar}; {cookie}" if isinstance(jar, str) else jar}
    before, after = (decide(asking._replace(heard=from_call(signals)), office) for signals in (said, more))
    assert not_looser(after, before)


def test_a_verdict_on_nothing_allows_nothing():
    decided = decide(Question(buyer(), (Purpose.SALE,), (), frozenset({"US-CA"})), OFFICE)
    assert (decided.data, decided.allowed, decided.partly, decided.reason) == ({}, False, False, Reason.MALFORMED)


def test_a_verdict_for_no_purpose_allows_nothing():
    decided = decide(Question(buyer(), (), (DataClass.AD_ID,), frozenset({"US-CA"})), OFFICE)
    assert (decided.data, decided.reason) == ({"ad_id": "deny"}, Reason.UNKNOWN_PURPOSE)


def test_a_refusal_without_rules_denies_every_class_that_was_named():
    refused = deny_all(["ad_id", "zzz"], Reason.STORE_UNAVAILABLE)
    assert refused.data == {"ad_id": "deny", "zzz": "deny"}
    assert (refused.allowed, refused.partly, refused.place) == (False, False, "unknown")
