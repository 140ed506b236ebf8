"""The law as data: which row holds for a person, over every place that they may be in, at every age."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from gateway.choice import law
from gateway.choice.law import AGES, LawRow, LawRule, LawTable
from gateway.choice.place import STATES, UNKNOWN_PLACE
from gateway.terms import Purpose

TODAY = date(2026, 11, 24)
FIRST, LAST = date(2020, 1, 1), date(2026, 12, 31)
YOUNG = list(AGES[:3])
ROW = {"place": "US-CA", "subjects": ["sale"], "rule": "opt_out", "from": FIRST, "citation": "a citation"}
EMPTY = LawTable(())


def parse(*rows):
    return law.parse_law([{"row": [ROW | row for row in rows]}])


def holding(table, *places, on=TODAY, age=None, subject=Purpose.SALE):
    return table.strictest(frozenset(places), subject, on, age)


def rule(table, *places, **asked):
    return holding(table, *places, **asked).rule


# --- where no row speaks -------------------------------------------------------------------------------------------


def test_a_person_in_a_state_without_a_row_may_opt_out_and_no_law_is_named():
    for state in STATES:
        row = holding(EMPTY, f"US-{state}")
        assert (row.rule, str(row)) == (LawRule.OPT_OUT, f"US-{state} no law on file")


@pytest.mark.parametrize(
    "place",
    ["unknown", "", "BR", "BR-SP", "PR", "US", "US-ZZ", "ZZ", "XX", "us-ca", "US-", "US-CALIFORNIA", "T1", "\x00"],
    ids=repr,
)
def test_a_person_anywhere_else_must_opt_in_and_nothing_in_the_request_replaces_that(place):
    row = holding(EMPTY, place)
    assert (row.rule, row.in_band, row.place) == (LawRule.OPT_IN, False, place)
    assert row.citation.startswith("opt-in regime")


def test_no_place_at_all_is_an_unknown_place():
    assert holding(EMPTY) == holding(EMPTY, UNKNOWN_PLACE)


@pytest.mark.parametrize("place", ["unknown", "", "US", "US-ZZ", "ZZ", "XX", "QM", "us-ca", "nonsense", "T1"], ids=repr)
def test_a_person_who_could_be_anywhere_is_under_the_strictest_law_of_all(place):
    table = parse({"place": "US-MD", "rule": "banned"}, {})
    assert str(holding(table, place)) == "US-MD a citation"
    assert rule(table, place) is LawRule.BANNED
    assert rule(parse({}), place) is LawRule.OPT_IN  # control: by itself it is the opt-in regime
    assert rule(parse({"place": "BR", "rule": "banned"}), place) is LawRule.BANNED  # any country's, too


@pytest.mark.parametrize("place", ["BR", "BR-SP", "PR"])
def test_a_person_in_a_named_country_is_not_under_the_bans_of_a_state(place):
    assert rule(parse({"place": "US-MD", "rule": "banned"}), place) is LawRule.OPT_IN


# --- where a row speaks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "banned"),
    [(FIRST - timedelta(days=1), False), (FIRST, True), (LAST, True), (LAST + timedelta(days=1), False)],
    ids=["the day before", "the first day", "the last day", "the day after"],
)
def test_a_row_holds_from_its_first_to_its_last_day(day, banned):
    assert (rule(parse({"rule": "banned", "until": LAST}), "US-CA", on=day) is LawRule.BANNED) == banned


def test_a_federal_row_holds_in_every_state_and_nowhere_else():
    table = parse({"place": "US", "rule": "banned"})
    assert {rule(table, f"US-{state}") for state in STATES} == {LawRule.BANNED}
    assert rule(table, "US") is rule(table, "unknown") is LawRule.BANNED
    assert rule(table, "DE") is rule(table, "PR") is LawRule.OPT_IN


def test_a_persons_province_has_its_countrys_rows_too_and_its_own_is_named_first():
    table = parse({"place": "CA", "rule": "opt_in"}, {"place": "CA-QC", "rule": "opt_in", "citation": "Quebec's"})
    assert str(holding(table, "CA-ON")) == "CA a citation"
    assert str(holding(table, "CA-QC")) == "CA-QC Quebec's"
    assert [row.place for row in table.applying("CA-QC", "sale", TODAY)] == ["CA-QC", "CA"]


@pytest.mark.parametrize(
    ("place", "is_quebecs"),
    [
        ("CA-QC", True),
        ("CA", True),
        ("CA-QUE", True),
        ("CA-ON", False),
        ("CA-YT", False),
        ("US-NY", False),
        ("DE", False),
    ],
)
def test_a_country_alone_or_with_a_part_that_nobody_knows_has_the_rows_of_all_its_parts(place, is_quebecs):
    table = parse({"place": "CA"}, {"place": "CA-QC", "rule": "banned"}, {"place": "US-NY"}, {"place": "DE"})
    assert (rule(table, place) is LawRule.BANNED) == is_quebecs


@pytest.mark.parametrize("place", ["DE", "DE-HH", "DE-BER"])
def test_a_row_of_an_operators_own_for_one_part_holds_where_the_part_is_not_told_or_is_none_that_it_knows(place):
    table = parse({"place": "DE"}, {"place": "DE-BE", "rule": "banned"}, {"place": "DE-BY"})
    assert (rule(table, place), rule(table, "DE-BY")) == (LawRule.BANNED, LawRule.OPT_OUT)


def test_another_spelling_of_a_country_has_its_rows_and_no_others():
    table = parse({"place": "GB"}, {"place": "GR", "rule": "limit"}, {"place": "FR", "rule": "banned"})
    asked = ("UK", "UK-ENG", "EL", "GB")
    assert [rule(table, place) for place in asked] == [*[LawRule.OPT_OUT] * 2, LawRule.LIMIT, LawRule.OPT_OUT]
    assert rule(table, "RE") is rule(table, "EU") is LawRule.BANNED
    assert rule(parse({"place": "US-MD", "rule": "banned"}), "EU") is LawRule.OPT_IN


def test_a_state_may_be_looser_or_stricter_than_the_federation_and_the_stricter_holds():
    table = parse({"place": "US", "rule": "opt_in"}, {"rule": "limit"}, {"place": "US-MD", "rule": "banned"})
    assert [rule(table, place) for place in ("US-CA", "US-MD", "US-WY")] == [
        LawRule.OPT_IN,
        LawRule.BANNED,
        LawRule.OPT_IN,
    ]


def test_a_row_says_nothing_of_another_state_or_of_another_subject():
    table = parse({"rule": "banned"})
    assert rule(table, "US-NV") is LawRule.OPT_OUT
    assert rule(table, "US-CA", subject=Purpose.PROFILING) is LawRule.OPT_OUT
    assert rule(table, "US-CA") is LawRule.BANNED  # control


def test_a_country_whose_law_allows_is_looser_than_the_regime_of_strangers():
    assert rule(parse({"place": "NZ", "rule": "allowed"}), "NZ") is LawRule.ALLOWED
    assert rule(parse({"place": "NZ", "rule": "allowed"}), "NZ", "unknown") is LawRule.OPT_IN


@pytest.mark.parametrize("places", [("US-OR", "US-NY"), ("US-NY", "US-OR"), ("US-CA", "US-OR", "US-WY")], ids="-".join)
def test_a_traveller_is_under_the_strictest_law_of_all_their_places(places):
    table = parse({"place": "US-OR", "rule": "banned"}, {})
    assert str(holding(table, *places)) == "US-OR a citation"


# --- the young -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ages", "banned"),
    [
        (["under_13"], ["under_13"]),
        (["under_13", "13_15"], ["under_13", "13_15"]),
        (["13_15"], ["under_13", "13_15"]),
        (YOUNG, YOUNG),
        (["16_17"], YOUNG),
        (["adult"], list(AGES)),
        ([], list(AGES)),
    ],
    ids=lambda bands: "+".join(bands) or "all",
)
def test_what_holds_for_a_child_holds_for_a_younger_one_and_not_for_an_older(ages, banned):
    table = parse({"rule": "banned", "ages": ages})
    assert [age for age in AGES if rule(table, "US-CA", age=age) is LawRule.BANNED] == banned


@pytest.mark.parametrize(("place", "default"), [("US-CA", LawRule.OPT_OUT), ("NZ", LawRule.OPT_IN)])
def test_a_row_for_the_young_alone_never_gives_them_less_than_adults_have(place, default):
    table = parse({"place": place, "rule": "allowed", "ages": YOUNG})
    assert {rule(table, place, age=age) for age in AGES} == {default}


@pytest.mark.parametrize("word", ["", "child", "17", "ADULT"], ids=repr)
def test_a_person_of_no_known_age_is_an_adult_and_of_an_unreadable_one_the_youngest(word):
    table = parse({"rule": "banned", "ages": ["under_13"]})
    assert rule(table, "US-CA", age=None) is rule(table, "US-CA", age="adult") is LawRule.OPT_OUT
    assert rule(table, "US-CA", age=word) is LawRule.BANNED


def test_a_child_who_could_be_anywhere_is_under_the_strictest_law_for_children():
    table = parse({"place": "US-CT", "rule": "banned", "ages": YOUNG})
    assert [rule(table, "unknown", age=age) for age in AGES] == [LawRule.BANNED] * 3 + [LawRule.OPT_IN]


# --- consent in the request itself ---------------------------------------------------------------------------------

IN_BAND = {"place": "DE", "rule": "opt_in", "in_band": True}


@pytest.mark.parametrize(
    ("places", "may"),
    [
        (["DE"], True),
        (["DE", "US-CA"], True),
        (["DE", "CA"], False),
        (["DE", "BR"], False),
        (["DE", "unknown"], False),
        (["unknown"], False),
        (["US"], False),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_a_consent_in_the_request_may_allow_only_where_every_place_takes_it(places, may):
    table = parse(IN_BAND, {"place": "CA", "rule": "opt_in"}, {})
    assert holding(table, *places).in_band is may


def test_a_childs_row_without_it_outweighs_the_one_with_it():
    table = parse(IN_BAND, {"place": "DE", "rule": "opt_in", "ages": ["under_13", "13_15"]})
    assert [holding(table, "DE", age=age).in_band for age in AGES] == [False, False, True, True]


# --- what a table tells of itself ----------------------------------------------------------------------------------


def test_the_days_of_a_table_are_first_days_and_the_days_after_last_ones():
    table = parse({"until": LAST}, {"place": "US-MD"}, {"from": date(2030, 2, 28)})
    assert table.days() == [FIRST, date(2027, 1, 1), date(2030, 2, 28)]
    assert EMPTY.days() == []


def test_rows_are_listed_with_the_strictest_first_and_the_regime_where_there_is_none():
    table = parse({}, {"rule": "banned", "ages": YOUNG}, {"place": "US", "rule": "limit"})
    shown = [row.rule for row in table.applying("US-CA", "sale", TODAY, "13_15")]
    assert shown == [LawRule.BANNED, LawRule.LIMIT, LawRule.OPT_OUT]
    assert [str(row) for row in table.applying("US-CA", "profiling", TODAY)] == ["US-CA no law on file"]
    assert table.on_file("US-CA", "profiling", TODAY) == []
    assert [row.rule for row in table.on_file("US", "sale", TODAY)] == [LawRule.LIMIT]


def test_a_table_with_a_wrong_row_is_refused_with_its_number_and_place():
    with pytest.raises(ValueError, match=r"law row 2 \(US-MD\): 'forbidden' is no rule"):
        parse({}, {"place": "US-MD", "rule": "forbidden"})


# --- properties of any tables --------------------------------------------------------------------------------------

NAMED = ["US-CA", "US-MD", "US-WY", "US", "DE", "CA", "CA-QC"]
PLACES = st.sampled_from([*NAMED, "unknown", "ZZ", "US-ZZ", "BR", "", "nonsense"])
DAYS = st.dates(date(2019, 12, 25), date(2020, 1, 5))
SUBJECTS = st.sampled_from(["sale", "profiling"])
ROWS = st.builds(
    lambda place, subject, rule, start, until, ages, in_band: LawRow(
        place, subject, rule, "a citation", start, until, ages=tuple(ages), in_band=in_band and rule is LawRule.OPT_IN
    ),
    st.sampled_from(NAMED), SUBJECTS, st.sampled_from(LawRule), DAYS, st.none() | DAYS,
    st.lists(st.sampled_from(AGES), max_size=2), st.booleans(),
)  # fmt: skip
TABLES = st.lists(ROWS, max_size=8).map(LawTable)
AGE = st.sampled_from([*AGES, None])
QUICKLY = examples(60)


@QUICKLY
@given(TABLES, st.sets(PLACES, min_size=1, max_size=3), PLACES, SUBJECTS, DAYS, AGE)
def test_one_more_place_never_loosens_the_law(table, places, more, subject, day, age):
    before = holding(table, *places, on=day, age=age, subject=subject)
    assert holding(table, *places, more, on=day, age=age, subject=subject).strictness >= before.strictness


@QUICKLY
@given(TABLES, st.sets(PLACES, max_size=3), SUBJECTS, DAYS)
def test_a_younger_age_never_loosens_the_law(table, places, subject, day):
    found = [holding(table, *places, on=day, age=age, subject=subject).strictness for age in AGES]
    assert found == sorted(found, reverse=True)
    assert holding(table, *places, on=day, subject=subject).strictness == found[-1]


@QUICKLY
@given(TABLES, st.sets(PLACES, min_size=1, max_size=3), SUBJECTS, DAYS, AGE)
def test_nobody_gains_by_hiding_where_they_are(table, places, subject, day, age):
    known = holding(table, *places, on=day, age=age, subject=subject)
    for hidden in ((), ("unknown",), ("ZZ",), ("nonsense",), ("US",)):
        assert holding(table, *hidden, on=day, age=age, subject=subject).strictness >= known.strictness


@QUICKLY
@given(TABLES, ROWS, st.sets(PLACES, max_size=3), SUBJECTS, DAYS, AGE)
def test_one_more_row_never_loosens_the_law_where_there_was_one(table, row, places, subject, day, age):
    grown = LawTable([*table.rows, row])
    before = holding(table, *places, on=day, age=age, subject=subject)
    if before in table.rows:  # a first row may take the place of the regime's default
        assert holding(grown, *places, on=day, age=age, subject=subject).strictness >= before.strictness


@QUICKLY
@given(TABLES, st.sets(PLACES, max_size=3), SUBJECTS, DAYS, AGE)
def test_the_law_changes_only_on_days_of_the_table(table, places, subject, day, age):
    if day not in table.days():
        yesterday = holding(table, *places, on=day - timedelta(days=1), age=age, subject=subject)
        assert holding(table, *places, on=day, age=age, subject=subject) == yesterday
