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


def test_an_affiliate_is_a_third_party_to_a_person_unless_it_has_the_same_brand():
    assert recipient(Role.AFFILIATE).third
    assert not recipient(Role.AFFILIATE, same_brand=True).third


def test_nobody_else_becomes_the_operator_by_saying_that_the_brand_is_the_same():
    assert recipient(Role.THIRD_PARTY, same_brand=True).third


FIRST, LATER, LAST = date(2026, 1, 1), date(2026, 5, 1), date(2026, 9, 1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"announced": None}, None),
        ({"announced": None, "announced_later": {"sale": LATER}}, None),
        ({"announced": FIRST}, FIRST),
        ({"announced": FIRST, "announced_later": {"sharing": LATER, "ip": LAST}}, FIRST),
        ({"announced": FIRST, "announced_later": {"sale": LATER}}, LATER),
        ({"announced": FIRST, "announced_later": {"sale": LATER, "ad_id": LAST}}, LAST),
        ({"announced": LAST, "announced_later": {"sale": FIRST}}, LAST),
    ],
    ids=["never", "never-and-a-purpose", "once", "others", "the-purpose", "the-class", "older-than-itself"],
)
def test_a_person_was_told_of_a_sale_of_the_ad_id_by_the_notice_that_named_all_of_it(changes, named):
    """R15: the recipient, the purpose and the class."""
    assert recipient(**changes).announced_on(Purpose.SALE, DataClass.AD_ID) == named


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
