"""Fixtures of the ledger's tests: acting inside the writer's transaction, and somebody to act about."""

import pytest
from support.people import named


@pytest.fixture
def do(house):
    """Runs a job in the writer and gives its result."""
    return lambda job: house.writer.submit(job).result(5)


@pytest.fixture
def who(house):
    """The subject of one made-up identifier."""
    return lambda kind, value: house.consent.people.name([named(kind, value)]).subjects[0]
