"""What is registered, announced and lawful is asked of the class that leaves, not of the one that was asked for (R15)."""

from dataclasses import replace
from datetime import date

import pytest
from support.verdicts import OFFICE, THIRD, buyer, decide

from gateway.choice.question import Grant, Notices, Question
from gateway.choice.standing import Standing
from gateway.terms import Answer, DataClass, Purpose, Reason, Role

FIRST, LATER = date(2024, 6, 25), date(2026, 11, 1)
AD_ID, EXACT, COARSE = DataClass.AD_ID, DataClass.PRECISE_GEO, DataClass.COARSE_GEO
CONTACT, EMAIL, PHONE = DataClass.CONTACT, DataClass.EMAIL_HASH, DataClass.PHONE_HASH
TOLD_FIRST = replace(OFFICE, notices=Notices(told_everyone=FIRST))
YES = Grant("buyer", Purpose.SALE, EXACT, 9)


def answered(asked, registered, later=(), *, grants=(), role=THIRD[0], purpose=Purpose.SALE):
    """The answer for one class in a state without a law, everybody having been told of what was announced first."""
    receiver = buyer(role, data=registered, announced=FIRST, announced_later=dict.fromkeys(later, LATER))
    question = Question(
        receiver, (purpose,), (asked,), frozenset({"US-NY"}), standings=(Standing(told=FIRST),), grants=grants
    )
    found = decide(question, TOLD_FIRST)
    return found.data[asked], found.reason


REFUSED = (Answer.DENY, Reason.NOT_NOTIFIED)
UNREGISTERED = (Answer.DENY, Reason.CLASS_NOT_REGISTERED)


@pytest.mark.parametrize(
    ("asked", "registered", "later", "expected"),
    [
        (EXACT, (AD_ID, COARSE), (), (Answer.COARSEN, Reason.COARSENED)),
        (EXACT, (AD_ID, COARSE), (COARSE,), REFUSED),
        (EXACT, (EXACT, COARSE), (COARSE,), REFUSED),
        (EXACT, (EXACT,), (), (Answer.COARSEN, Reason.COARSENED)),
        (EXACT, (EXACT,), (EXACT,), REFUSED),
        (EXACT, (EXACT,), (COARSE,), REFUSED),
        (EXACT, (AD_ID,), (), UNREGISTERED),
        (CONTACT, (EMAIL, PHONE), (), (Answer.HASH, Reason.HASHED)),
        (CONTACT, (EMAIL, PHONE), (EMAIL,), REFUSED),
        (CONTACT, (EMAIL, PHONE), (PHONE,), REFUSED),
        (CONTACT, (EMAIL,), (), UNREGISTERED),
        (CONTACT, (PHONE,), (), UNREGISTERED),
        (CONTACT, (CONTACT, EMAIL), (EMAIL,), (Answer.ALLOW, Reason.NO_CHOICE)),
        (CONTACT, (CONTACT, EMAIL), (CONTACT,), REFUSED),
    ],
)
def test_nobody_gets_in_another_form_what_it_is_not_to_get(asked, registered, later, expected):
    assert answered(asked, registered, later) == expected
    if expected == REFUSED and asked is EXACT and COARSE in registered:
        assert answered(COARSE, registered, later) == REFUSED


def test_what_a_person_allowed_exact_is_asked_about_as_the_exact_point():
    assert answered(EXACT, (EXACT, COARSE), (COARSE,), grants=(YES,)) == (Answer.ALLOW, Reason.OPTED_IN)
    assert answered(EXACT, (EXACT, COARSE), (EXACT,), grants=(YES,)) == REFUSED


@pytest.mark.parametrize(("asked", "registered"), [(EXACT, (COARSE,)), (CONTACT, (EMAIL, PHONE))])
@pytest.mark.parametrize(
    ("role", "purpose"), [(Role.SERVICE_PROVIDER, Purpose.SERVICE), (Role.LEGAL, Purpose.LEGAL)], ids=str
)
def test_whoever_serves_gets_nothing_more_exact_than_it_is_registered_for(role, purpose, asked, registered):
    assert answered(asked, registered, role=role, purpose=purpose) == UNREGISTERED
    allowed, _ = answered(asked, (asked, *registered), role=role, purpose=purpose)
    assert allowed is Answer.ALLOW
