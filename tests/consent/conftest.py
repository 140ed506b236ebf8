"""One installation's consent, who is named there and what they say, for tests that call it without a door; each file has a
`house` of its own.
"""

import pytest
from support.installation import Clock
from support.people import named

from gateway.ledger.subjects import Choice
from gateway.terms import ChoiceKind, Purpose, Source


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def consent(house):
    return house.consent


@pytest.fixture
def who(consent):
    return lambda kind, value: consent.people.name([named(kind, value)]).subjects[0]


@pytest.fixture
def said(clock):
    return lambda kind="opt_out", purposes=(Purpose.SALE,), **more: Choice(
        ChoiceKind(kind), tuple(purposes), Source.FORM, clock(), **more
    )
