"""Where the data of people leaves on a stated basis only, and how such places may be written (R28)."""

import pytest

from gateway.choice.place import COUNTRIES, EUROPEAN, may_be_european


@pytest.mark.parametrize("place", ["DE", "FR", "GB", "UK", "EL", "EU", "CH", "IS", "AX", "RE", "GF", "JE", "DE-BE"])
def test_a_person_there_is_in_europe_however_it_is_written(place):
    assert may_be_european(frozenset({place}))
    assert may_be_european(frozenset({place, "US-CA"})), "one known place more hides nobody"


@pytest.mark.parametrize("places", [[], ["unknown"], ["ZZ"], ["XX"], ["US-CA", "ZZ"]])
def test_a_person_of_whom_nobody_knows_where_may_be_there(places):
    assert may_be_european(frozenset(places))


@pytest.mark.parametrize("place", ["US", "US-CA", "US-PR", "CA", "CA-QC", "BR", "JP"])
def test_a_person_elsewhere_is_not(place):
    assert not may_be_european(frozenset({place}))


def test_a_country_is_what_iso_3166_has_assigned_and_nothing_else():
    assert len(COUNTRIES) == 249
    assert {"EL", "EU", "UK"} == EUROPEAN - COUNTRIES, "spellings that callers use"
    assert not COUNTRIES & {"AA", "AP", "EN", "OC", "QM", "XK", "XX", "ZQ", "ZZ"}
