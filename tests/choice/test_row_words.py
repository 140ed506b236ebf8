"""What a row's own data says of its person's age, places and address."""

import pytest

from gateway.choice.law import AGES
from gateway.choice.recipient import Holds
from gateway.choice.row_words import addresses_said, age_said, places_said
from gateway.terms import DataClass

YEAR = 2026
AGE, REGION, IP = DataClass.DEMOGRAPHICS, DataClass.COARSE_GEO, DataClass.IP


def age(value, name="age_range", data_class=AGE, listed=()):
    return age_said({name: value}, {name: data_class} if data_class else {}, YEAR, held=lists(**{name: listed}))


def lists(**values):
    return {name: Holds(values={each.casefold(): each for each in some}) for name, some in values.items()}


def places(stated, listed=(), **data):
    told = places_said(data, dict.fromkeys(data, REGION), stated, lists(**dict.fromkeys(data, listed)))
    return {"-".join(filter(None, (each["country"], each.get("region")))) for each in told}


@pytest.mark.parametrize(("value", "band"), [
    ("under_13", "under_13"), ("8-12", "under_13"), ("13-15", "13_15"), ("13_15", "13_15"), ("13\u201315", "13_15"), (9, "under_13"),
    ("9", "under_13"), (15.0, "13_15"), ("15.0", "13_15"), ("16_17", "16_17"), ("13 to 17", "13_15"), ("0-120", "under_13"), ("17-25", "16_17"),
    (2015, "under_13"), ("2015", "under_13"), (2012, "13_15"), (2008, "16_17"), (2007, "adult"), (1900, "adult"),
    ("2015-03-04", "under_13"), ("20150304", "under_13"), ("03/04/2015", "under_13"), ("2014-01-01T00:00:00Z", "under_13"), ("1990-2015", "under_13"),
    (2031, "under_13"), ("Jun 1, 2015", "under_13"), ("1-Jun-15", "under_13"), ("15 September 2012", "13_15"), ("01/02/15", "under_13"), ("12-06-02", "13_15"),
], ids=repr)  # fmt: skip
def test_an_age_is_the_youngest_that_its_value_can_hold(value, band):
    assert age(value) == band


@pytest.mark.parametrize("value", [
    "25-34", "18-24", "25_34", "25 - 34", "25 to 34", "Age 25-34", "aged 25-34 years", "65+", "18 and over", "over 21", ">=18", "34", 34, 34.0, "adult",
    "34 years old", "1988", 1988, "1988-03-04", "19880304", "04.03.1988", 99, "01/02/85", "85-06-12", "Jun 1, 1985", "1 June 1985", "1-Jun-85", "SEPT 1985",
], ids=repr)  # fmt: skip
def test_a_grown_ups_age_is_read_as_it_is_written(value):
    assert age(value) == "adult"


@pytest.mark.parametrize(
    "value",
    [
        "under 18",
        "<18",
        "-17",
        "up to 17",
        "18-",
        "teens",
        "K-12",
        "?",
        700,
        631152000,
        [34],
        {"a": 1},
        "34;9",
        "85-34-85",
        "1 Brumaire 85",
    ],
)
def test_an_age_that_cannot_be_read_is_a_childs(value):
    assert age(value) == AGES[0]


@pytest.mark.parametrize(
    "value", ["", " ", "unknown", "Prefer not to say", "n/a", "NA", "NaN", "-", "-1", -1.0, None, True, False]
)
def test_an_age_that_was_not_said_is_none(value):
    assert age(value) is None


@pytest.mark.parametrize(
    "name",
    [
        "age",
        "AgeRange",
        "user.age_band",
        "age-group",
        "YOB",
        "birth_year",
        "dateOfBirth",
        "home.dob",
        "birth",
        "customer_birthdate",
        "min_age",
    ],
)
def test_a_field_is_an_ages_by_its_name(name):
    assert age("who knows", name) == AGES[0]


@pytest.mark.parametrize(("name", "value", "band"), [
    ("gender", "female", None), ("demo", 9, None), ("demo", "13-15", "13_15"), ("demo", 2015, None), ("demo", "9", None),
    ("demo", "under_13", "under_13"), ("demo", "8 to 12", "under_13"), ("demo", "65+", "adult"), ("gender", 2, None), ("gender", 9, None), ("gender", "9", None),
    ("marital_status", 3, None), ("dependents", 2, None), ("dependents", "1-2", None), ("loyalty_tier", 3, None), ("customer_since", 2015, None),
    ("customer_since", "2015-03-04", None),
    ("married", 1, None), ("married", 0, None), ("married", "yes", None), ("household_size", 3, None), ("kids", 2, None), ("package", "large", None),
    ("segment", "class of 2019", None), ("income", 50000, None), ("demo", 50000, None),
], ids=repr)  # fmt: skip
def test_another_field_of_demographics_tells_an_age_by_its_value(name, value, band):
    assert age(value, name) == band


@pytest.mark.parametrize(("name", "value", "band"), [
    ("birth_month", 7, None), ("birth_day", "12", None), ("birthplace", "Texas", None), ("birth_country", "US", None), ("birthMonth", "2015-07-01", "under_13"),
    ("birth_day", "Jun 1, 2015", "under_13"), ("birthyr", 2015, "under_13"), ("born_in", "Texas", None), ("born", "who knows", "under_13"),
    ("birth_year", 2015, "under_13"), ("yob", 2015, "under_13"), ("yob", 20, "under_13"), ("yob", "85", "adult"),
], ids=repr)  # fmt: skip
def test_of_a_birth_counts_when_it_was(name, value, band):
    assert age(value, name) == band


@pytest.mark.parametrize(("name", "value", "band"), [
    ("age_verified", "yes", None), ("age_verified", 1, None), ("age_verified", 0, None), ("verified_age", 15, "13_15"), ("age_source", "survey", None),
    ("age_over_18", 1, None), ("age_over_18", True, None), ("age_over_18", "", None), ("age_over_18", 0, "under_13"), ("age_over_18", "No", "under_13"),
    ("age_over_18", False, "under_13"), ("age_over_18", 0.0, "under_13"), ("age_over_18", "0.0", "under_13"), ("age_over_18", "off", "under_13"), ("age_over_18", 1.0, None),
    ("age_over_18", "under 18", "under_13"), ("age_over_13", "8-12", "under_13"), ("age_under_18", 0.0, None), ("under_13", "true", "under_13"), ("is_minor", "yes", "under_13"),
    ("is_minor", 0, None), ("is_over_18", False, "under_13"), ("coppa", 1, "under_13"), ("over_50", "no", None), ("verified_age", "minor", "under_13"), ("age_verified", "teen", "under_13"),
    ("age_confirmed", "under18", "under_13"), ("age_verified_at", "2025-01-02", None), ("userage", 12, "under_13"), ("years_old", 12, "under_13"), ("agegrp", "8-12", "under_13"),
    ("byear", 2015, "under_13"), ("birth_timestamp", 1462060800, "under_13"), ("segment", "under 18", "under_13"), ("segment", "under 35", None), ("age_under_18", 0, None), ("age_under_18", False, None), ("age_under_18", True, "under_13"), ("under_age", "yes", "under_13"),
], ids=repr)  # fmt: skip
def test_that_an_age_is_known_is_no_age_and_a_limit_is_one_where_it_tells_a_child(name, value, band):
    assert age(value, name) == band


@pytest.mark.parametrize(("value", "band"), [
    ("Senior", None), ("young adult", None), ("baby boomers", None), ("25-34", "adult"), ("8-12", "under_13"), ("under 18", "under_13"), ("teens", "under_13"),
    ("Gen Z", "under_13"), ("13_15", "13_15"),
], ids=repr)  # fmt: skip
def test_a_word_that_the_operator_lists_tells_no_age_unless_it_names_the_young(value, band):
    assert age(value, "age_group", listed=(value,)) == band
    assert age(value, "age_group", listed=("other",)) == (band or "under_13")


def test_a_field_that_no_map_names_tells_it_where_it_can_be_read():
    assert age(9, "age", None) == age("8-12", "age_range", None) == age(2015, "yob", None) == "under_13"
    assert age(90000, "age", None) is age(9, "message_age", None) is age("soon", "age", None) is None
    assert age(12, "birth_day", None) is age(-1, "age", None) is None
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
    ("US-TX", 276, {"ZZ"}), ("US-TX", "276", {"ZZ"}), ("US-TX", 6, {"ZZ"}), ("US-TX", "-", set()), ("US-TX", "U.S.", set()), ("US-TX", "NA", {"NA"}),
], ids=repr)  # fmt: skip
def test_a_region_adds_each_place_that_it_may_be(stated, region, added):
    assert places(stated, region=region) == added


@pytest.mark.parametrize(("stated", "data", "added"), [
    ("US-TX", {"country": "DEU"}, {"DE"}), ("US-TX", {"country": "USA"}, set()), ("US-TX", {"country": "United States"}, set()), (None, {"country": "US"}, {"US"}),
    (None, {"country": "USA", "region": "CA"}, {"US-CA"}), ("US-TX", {"country": "DE", "region": "BE"}, {"DE-BE"}), ("US-TX", {"countryCode": "JPN", "state": "13"}, {"ZZ-13"}),
    ("US-TX", {"country": "DE", "region": "Maryland"}, {"DE", "US-MD"}), ("US-TX", {"home_state": "OR"}, {"US-OR"}),
    ("US-TX", {"country": 276}, {"ZZ"}), ("US-TX", {"country": "276"}, {"ZZ"}), ("US-TX", {"country": "124"}, {"ZZ"}), ("US-TX", {"homeCountry": 826}, {"ZZ"}),
    ("US-TX", {"country_code": "826"}, {"ZZ"}), ("US-TX", {"iso": 616}, {"ZZ"}), ("US-TX", {"country": 840}, set()), ("US-TX", {"country": "840"}, set()),
    (None, {"country": 840, "region": "CA"}, {"US-CA"}), ("US-TX", {"country": "U.S."}, set()), ("US-TX", {"country": "U.S.A."}, set()), ("US-TX", {"country": "-"}, set()),
    ("US-TX", {"state": 6}, {"ZZ"}), ("US-TX", {"state": "501"}, {"ZZ"}), ("US-TX", {"state_fips": 6}, {"US-CA"}), ("US-TX", {"state_fips": "48"}, set()),
    ("US-TX", {"stateFips": "03"}, {"ZZ"}), ("US-TX", {"state_fips": "048"}, {"ZZ"}), ("US-TX", {"fips": "48453"}, set()), ("US-TX", {"fips": 6037}, {"US-CA"}),
    ("US-TX", {"county_fips": "24031"}, {"US-MD"}), ("US-TX", {"county_fips": 453}, set()), ("US-TX", {"fips": "TX"}, set()),
    ("US-TX", {"census_region": "South", "locality": "Austin", "time_zone": "America/Chicago", "timeZone": "CST", "home_zip": "73301"}, set()),
    ("US-TX", {"zip4": "1234", "utcoffset": -300, "utc_offset": "-300", "msa": 12420, "neighbourhood": "Hyde Park", "postal_code5": "73301"}, set()),
    ("US-TX", {"postal_state": "OR"}, {"US-OR"}), ("US-TX", {"zip_country": "DE"}, {"DE"}),
    ("US-TX", {"city": "Portland", "metro": "501", "timezone": "CET", "lat": 1.0, "zip": "10115"}, set()),
], ids=repr)  # fmt: skip
def test_countries_and_regions_are_read_together(stated, data, added):
    assert places(stated, **data) == added


@pytest.mark.parametrize(("name", "value", "added"), [
    ("sales_region", "Midwest", set()), ("sales_region", "midwest ", set()), ("territory", "T12", set()), ("region", "DE-BE", {"DE-BE"}), ("region", "Maryland", {"US-MD"}),
    ("country", "Germany", {"ZZ"}), ("country", "276", {"ZZ"}), ("home_state", "Bavaria", {"ZZ"}), ("region", "NE", {"US-NE", "NE"}),
    ("region", "Bayern", {"ZZ"}), ("region", "Quebec", {"ZZ"}), ("region", "Germany", {"ZZ"}), ("market", "SWE", {"ZZ"}), ("region", "Maryland, US", {"ZZ"}), ("area", "Zone 4", set()),
    ("postal_region", "MD", {"US-MD", "MD"}), ("postal_area", "DE-BE", {"DE-BE"}), ("locality_region", "DE-BE", {"DE-BE"}), ("region", "New England", set()),
], ids=repr)  # fmt: skip
def test_a_word_that_the_operator_lists_for_a_region_tells_a_place_where_it_is_ones_name(name, value, added):
    """A country's or a state's is one even if it cannot be read."""
    assert places("US-TX", (value.strip().capitalize(), value), **{name: value}) == added


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
