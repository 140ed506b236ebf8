"""What a row's own data says of its person's age, places and address."""

import pytest

from gateway.choice.law import AGES
from gateway.choice.row_words import addresses_said, age_said, places_said
from gateway.terms import DataClass

YEAR = 2026
AGE, REGION, IP = DataClass.DEMOGRAPHICS, DataClass.COARSE_GEO, DataClass.IP


def age(value, name="age_range", data_class=AGE):
    return age_said({name: value}, {name: data_class} if data_class else {}, YEAR)


def places(stated, **data):
    told = places_said(data, dict.fromkeys(data, REGION), stated)
    return {"-".join(filter(None, (each["country"], each.get("region")))) for each in told}


@pytest.mark.parametrize(("value", "band"), [
    ("under_13", "under_13"), ("8-12", "under_13"), ("13-15", "13_15"), ("13_15", "13_15"), ("13\u201315", "13_15"), (9, "under_13"),
    ("9", "under_13"), (15.0, "13_15"), ("15.0", "13_15"), ("16_17", "16_17"), ("13 to 17", "13_15"), ("0-120", "under_13"), ("17-25", "16_17"),
    (2015, "under_13"), ("2015", "under_13"), (2012, "13_15"), (2008, "16_17"), (2007, "adult"), (1900, "adult"),
    ("2015-03-04", "under_13"), ("20150304", "under_13"), ("03/04/2015", "under_13"), ("2014-01-01T00:00:00Z", "under_13"), ("1990-2015", "under_13"),
    (2031, "under_13"),
], ids=repr)  # fmt: skip
def test_an_age_is_the_youngest_that_its_value_can_hold(value, band):
    assert age(value) == band


@pytest.mark.parametrize("value", [
    "25-34", "18-24", "25_34", "25 - 34", "25 to 34", "Age 25-34", "aged 25-34 years", "65+", "18 and over", "over 21", ">=18", "34", 34, 34.0, "adult",
    "34 years old", "1988", 1988, "1988-03-04", "19880304", "04.03.1988", 99,
], ids=repr)  # fmt: skip
def test_a_grown_ups_age_is_read_as_it_is_written(value):
    assert age(value) == "adult"


@pytest.mark.parametrize(
    "value",
    ["under 18", "<18", "-17", "up to 17", "18-", "teens", "K-12", "?", -1, 700, 631152000, [34], {"a": 1}, "34;9"],
)
def test_an_age_that_cannot_be_read_is_a_childs(value):
    assert age(value) == AGES[0]


@pytest.mark.parametrize("value", ["", " ", "unknown", "Prefer not to say", "n/a", None, True, False])
def test_an_age_that_was_not_said_is_none(value):
    assert age(value) is None


@pytest.mark.parametrize(
    "name", ["age", "AgeRange", "user.age_band", "age-group", "YOB", "birth_year", "dateOfBirth", "home.dob"]
)
def test_a_field_is_an_ages_by_its_name(name):
    assert age("who knows", name) == AGES[0]


@pytest.mark.parametrize(("name", "value", "band"), [
    ("gender", "female", None), ("demo", 9, "under_13"), ("demo", "13-15", "13_15"), ("demo", 2015, "under_13"), ("demo", "9", "under_13"),
    ("married", 1, None), ("married", 0, None), ("married", "yes", None), ("household_size", 3, None), ("kids", 2, None), ("package", "large", None),
    ("segment", "class of 2019", None), ("income", 50000, None), ("demo", 50000, None),
], ids=repr)  # fmt: skip
def test_another_field_of_demographics_tells_an_age_by_its_value(name, value, band):
    assert age(value, name) == band


def test_a_field_that_no_map_names_tells_it_where_it_can_be_read():
    assert age(9, "age", None) == age("8-12", "age_range", None) == age(2015, "yob", None) == "under_13"
    assert age(90000, "age", None) is age(9, "message_age", None) is age("soon", "age", None) is None
    assert age(9, "age", DataClass.AGGREGATE) is None, "of many people"


def test_of_all_that_is_said_the_youngest_counts():
    data, fields = {"age": 34, "yob": 2012}, {"age": AGE, "yob": AGE}
    assert age_said(data, fields, YEAR) == "13_15"
    assert age_said(data, fields, YEAR, "under_13") == "under_13"
    assert age_said({"age": 34}, fields, YEAR, "16_17") == "16_17"
    assert age_said({}, fields, YEAR, "adult") == "adult"
    assert age_said({}, fields, YEAR) is None


@pytest.mark.parametrize(("stated", "region", "added"), [
    ("US-TX", "DE-BE", {"DE-BE"}), ("US-TX", "CA-QC", {"CA-QC"}), ("US-TX", "FRA", {"FR"}), ("US-TX", "Maryland", {"US-MD"}), ("US-TX", "US-MD", {"US-MD"}),
    ("US-TX", "TX", set()), ("US-TX", "Texas", set()), ("US-TX", "us-tx", set()), ("US-TX", "OR", {"US-OR"}), ("US-CA", "CA", set()),
    ("US-TX", "CA", {"US-CA", "CA"}), ("US-TX", "Georgia", {"US-GA", "GE"}), ("US-GA", "Georgia", set()), ("US-TX", "Washington", {"US-WA", "US-DC"}),
    (None, "CA", {"US-CA", "CA"}), ("US", "CA", {"US-CA"}), ("DE", "BE", {"DE-BE", "BE"}), ("DE", "MD", {"US-MD", "MD", "DE-MD"}), ("CA-ON", "ON", set()), ("CA", "ON", {"CA-ON"}),
    (["US-TX", "US-NY"], "ny", set()), ("US-TX", "USA", set()), ("US-TX", "JPN", {"ZZ"}), ("US-TX", "Bavaria", {"ZZ"}), ("US-TX", "ON", {"ZZ"}),
    ("US-TX", "Baden-W\u00fcrttemberg", {"ZZ"}), ("US-TX", ["DE-BE"], {"ZZ"}), ("US-TX", 98101, {"ZZ"}), ("US-TX", "", set()), ("US-TX", "unknown", set()),
    ("US-TX", None, set()), ("US-TX", 501, set()), ("US-TX", "501", set()),
], ids=repr)  # fmt: skip
def test_a_region_adds_each_place_that_it_may_be(stated, region, added):
    assert places(stated, region=region) == added


@pytest.mark.parametrize(("stated", "data", "added"), [
    ("US-TX", {"country": "DEU"}, {"DE"}), ("US-TX", {"country": "USA"}, set()), ("US-TX", {"country": "United States"}, set()), (None, {"country": "US"}, {"US"}),
    (None, {"country": "USA", "region": "CA"}, {"US-CA"}), ("US-TX", {"country": "DE", "region": "BE"}, {"DE-BE"}), ("US-TX", {"countryCode": "JPN", "state": "13"}, {"ZZ-13"}),
    ("US-TX", {"country": "DE", "region": "Maryland"}, {"DE", "US-MD"}), ("US-TX", {"home_state": "OR"}, {"US-OR"}),
    ("US-TX", {"city": "Portland", "metro": "501", "timezone": "CET", "lat": 1.0, "zip": "10115"}, set()),
], ids=repr)  # fmt: skip
def test_countries_and_regions_are_read_together(stated, data, added):
    assert places(stated, **data) == added


def test_a_region_of_another_class_is_no_region():
    assert (
        places_said({"region": "DE-BE"}, {"region": DataClass.KEYWORDS}) == places_said({"region": "DE-BE"}, {}) == ()
    )


def test_an_address_is_read_without_its_port():
    data = {
        "ip": "198.51.100.7:443",
        "ipv6": "[2001:db8::1]:80",
        "note": "198.51.100.9",
        "other": "nonsense",
        "more": 5,
        "none": None,
    }
    assert addresses_said(data, {**dict.fromkeys(data, IP), "note": DataClass.KEYWORDS}) == (
        "198.51.100.7",
        "2001:db8::1",
    )
