"""Recipients: who is a third party, and whose contract holds today (L42, R28)."""

from datetime import date

import pytest

from gateway.choice.recipient import Recipient
from gateway.terms import DataClass, Purpose, Role

TODAY = date(2026, 11, 24)


def recipient(role=Role.THIRD_PARTY, **changes):
    return Recipient("buyer", role, (Purpose.SALE,), (DataClass.AD_ID,), **changes)


@pytest.mark.parametrize("role", [Role.THIRD_PARTY, Role.AFFILIATE, Role.SUCCESSOR, Role.CONSUMER_DIRECTED])
def test_whoever_is_not_a_provider_or_the_law_is_a_third_party(role):
    assert recipient(role).third


@pytest.mark.parametrize("role", [Role.SERVICE_PROVIDER, Role.LEGAL])
def test_a_service_provider_and_the_law_are_no_third_parties(role):
    assert not recipient(role).third


def test_a_recipient_is_without_a_contract_until_one_is_written_in():
    assert not recipient().contracted(TODAY)
    assert not recipient(contract_until=date(2030, 1, 1)).contracted(TODAY)
    assert recipient(contract="MSA-7").contracted(TODAY)


def test_a_contract_holds_to_its_last_day_and_not_longer():
    ending = recipient(contract="MSA-7", contract_until=TODAY)
    assert ending.contracted(TODAY)
    assert not ending.contracted(date(2026, 11, 25))


def test_two_recipients_do_not_share_a_field_map():
    one, other = recipient(), recipient()
    one.fields["lat"] = DataClass.PRECISE_GEO
    assert other.fields == {}
