"""The law as data: dated rows, and the strictest of them over every place that a person may be in."""

import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.choice import law
from gateway.choice.law import STATES, Rule
from gateway.terms import DataClass, Purpose

TODAY = date(2026, 11, 24)
SHIPPED = law.parse(tomllib.loads(file.read_text()) for file in (Path(law.__file__).parent / "tables").glob("*.toml"))
ROW = {"place": "US-CA", "subjects": ["sale"], "rule": "opt_out", "from": date(2020, 1, 1), "citation": "a citation"}
OPT_OUTS = [Purpose.SALE, Purpose.SHARING, Purpose.TARGETED_ADS]


def rule(*places, subject=Purpose.SALE, on=TODAY, table=SHIPPED):
    return table.strictest(frozenset(places), subject, on).rule


def parse(**changes):
    return law.parse([{"row": [{key: value for key, value in (ROW | changes).items() if value is not ...}]}])


@pytest.mark.parametrize("place", ["US-CA", "US-CO", "US-MD", "US-OR", "US-WY", "US-PR", "US-DC"])
@pytest.mark.parametrize("purpose", OPT_OUTS)
def test_a_person_in_any_state_may_opt_out_and_need_not_opt_in(place, purpose):
    assert rule(place, subject=purpose) is Rule.OPT_OUT


@pytest.mark.parametrize(
    "place", ["unknown", "", "DE", "CA", "FR-75", "US", "US-ZZ", "us-ca", "US-", "US-CALIFORNIA", "\x00"]
)
@pytest.mark.parametrize("purpose", OPT_OUTS)
def test_a_person_whose_place_is_unknown_foreign_or_no_state_must_opt_in(place, purpose):
    assert rule(place, subject=purpose) is Rule.OPT_IN


def test_no_place_at_all_is_an_unknown_place():
    row = SHIPPED.strictest(frozenset(), Purpose.SALE, TODAY)
    assert (row.place, row.rule) == ("unknown", Rule.OPT_IN)


def test_a_state_without_a_row_says_that_no_law_is_on_file():
    assert str(SHIPPED.strictest(frozenset({"US-WY"}), Purpose.SALE, TODAY)) == "US-WY no law on file"
    assert str(SHIPPED.strictest(frozenset({"US-CA"}), Purpose.SALE, TODAY)).startswith("US-CA Cal. Civ. Code 1798.120")


@pytest.mark.parametrize("state", sorted(STATES))
def test_a_precise_point_needs_an_opt_in_or_is_banned_in_every_state(state):
    assert rule(f"US-{state}", subject=DataClass.PRECISE_GEO) >= Rule.OPT_IN


@pytest.mark.parametrize(
    ("place", "day", "before"),
    [("US-MD", date(2025, 10, 1), date(2025, 9, 30)), ("US-OR", date(2026, 1, 1), date(2025, 12, 31))],
)
def test_the_states_that_ban_the_sale_of_precise_points_do_so_from_their_day(place, day, before):
    assert rule(place, subject=DataClass.PRECISE_GEO, on=day) is Rule.BANNED
    assert rule(place, subject=DataClass.PRECISE_GEO, on=before) is Rule.OPT_IN


@pytest.mark.parametrize(
    ("place", "sensitive"), [("US-CA", Rule.LIMIT), ("US-CO", Rule.OPT_IN), ("US-MD", Rule.BANNED)]
)
def test_sensitive_data_is_limited_opted_in_or_banned_by_state(place, sensitive):
    assert rule(place, subject=Purpose.SENSITIVE) is sensitive


@pytest.mark.parametrize("places", [("US-OR", "US-NY"), ("US-NY", "US-OR"), ("US-CA", "US-MD", "US-WY")])
def test_a_traveller_keeps_the_strictest_of_all_places(places):
    assert rule(*places, subject=DataClass.PRECISE_GEO) is Rule.BANNED
    assert rule("US-NY", subject=DataClass.PRECISE_GEO) is Rule.OPT_IN  # control: one of them alone is looser


PLACES = st.sampled_from(["US-CA", "US-CO", "US-MD", "US-OR", "US-WY", "US", "DE", "unknown", "US-ZZ", "nonsense"])
SUBJECTS = st.sampled_from([*Purpose, *DataClass])


@given(st.sets(PLACES, min_size=1), PLACES, SUBJECTS)
def test_one_more_place_never_loosens_the_law(places, more, subject):
    assert rule(*places, more, subject=subject) >= rule(*places, subject=subject)


@given(st.sets(PLACES), SUBJECTS, st.dates())
def test_there_is_a_rule_for_every_place_subject_and_day(places, subject, day):
    row = SHIPPED.strictest(frozenset(places), subject, day)
    assert row.citation
    assert row.rule >= Rule.OPT_OUT or row.confidence


def test_a_row_holds_from_its_first_to_its_last_day():
    table = parse(rule="banned", until=date(2026, 12, 31))
    for day, banned in (
        (date(2019, 12, 31), False),
        (date(2020, 1, 1), True),
        (date(2026, 12, 31), True),
        (date(2027, 1, 1), False),
    ):
        assert (rule("US-CA", on=day, table=table) is Rule.BANNED) == banned, day


def test_a_federal_row_stands_in_every_state_and_nowhere_else():
    table = parse(place="US", rule="banned")
    assert rule("US-WY", table=table) is rule("US-CA", table=table) is rule("US", table=table) is Rule.BANNED
    assert rule("DE", table=table) is Rule.OPT_IN


def test_a_row_of_one_state_says_nothing_of_another_or_of_another_subject():
    table = parse(rule="banned")
    assert rule("US-CA", table=table) is Rule.BANNED
    assert rule("US-NV", table=table) is rule("US-CA", subject=Purpose.PROFILING, table=table) is Rule.OPT_OUT


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": "opt-out"},
        {"rule": "forbidden"},
        {"rule": ...},
        {"place": "California"},
        {"place": "us-ca"},
        {"place": ...},
        {"subjects": "sale"},
        {"subjects": ...},
        {"from": "2020-01-01"},
        {"from": ...},
        {"until": "2027"},
        {"citation": ""},
        {"citation": ...},
    ],
    ids=str,
)
def test_a_row_that_is_wrong_is_refused_with_its_number(changes):
    with pytest.raises(ValueError, match="law row 1"):
        parse(**changes)


def test_a_table_that_is_no_list_is_refused():
    with pytest.raises(ValueError, match=r"\[\[row\]\]"):
        law.parse([{"row": {"place": "US-CA"}}])


def test_every_shipped_row_names_known_subjects_a_law_and_how_sure_we_are():
    known = {*Purpose, *DataClass}
    for file in (Path(law.__file__).parent / "tables").glob("*.toml"):
        for row in tomllib.loads(file.read_text())["row"]:
            assert set(row["subjects"]) <= known, row
            assert row["citation"], row
            assert row["confidence"] in {"P", "S", "B"}, row
