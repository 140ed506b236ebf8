"""The shipped tables: what a person may expect on the day before a law, and on the day."""

import itertools
import tomllib
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import SOAK

from gateway.choice import law
from gateway.choice.law import AGES, UNIVERSAL_OPT_OUT, LawRule
from gateway.choice.place import EUROPEAN, STATES
from gateway.cli.law import findings
from gateway.terms import CHOOSABLE, DataClass, Purpose

FILES = {file.name: tomllib.loads(file.read_text()) for file in (Path(law.__file__).parent / "tables").glob("*.toml")}
SHIPPED = law.parse_law(FILES.values())
MANUAL = Path(law.__file__).parent.parent / "manual" / "law.md"
ONE_DAY = timedelta(days=1)
TODAY = date(2026, 11, 24)
FAR = date(2029, 1, 1)  # every law that is known of is in force
SALES = ("sale", "sharing", "targeted_ads")
ALL_ADS = (*SALES, "profiling")
PLACES = sorted({row.place for row in SHIPPED.rows} - {"US"})
ABROAD = [place for place in PLACES if not place.startswith("US")]
ASKED = (*CHOOSABLE, DataClass.PRECISE_GEO)


def day(text):
    return date.fromisoformat(text)


def holding(place, subject, on, age=None):
    return SHIPPED.strictest(frozenset({place}), subject, on, age)


def rule(place, subject, on=TODAY, age=None):
    return holding(place, subject, on, age).rule


# --- the facts, written a second time ------------------------------------------------------------------------------

# The first day of a general law; of a duty to hear a signal; both from sections 3.1 and 3.2 of the facts.
GENERAL = {
    "CA": "2020-01-01", "CO": "2023-07-01", "CT": "2023-07-01", "TX": "2024-07-01", "NE": "2025-01-01",
    "MT": "2024-10-01", "NH": "2025-01-01", "NJ": "2025-01-15", "OR": "2024-07-01", "DE": "2025-01-01",
    "MN": "2025-07-31", "MD": "2025-10-01", "VT": "2028-01-01", "VA": "2023-01-01", "UT": "2023-12-31",
    "IA": "2025-01-01", "IN": "2026-01-01", "TN": "2025-07-01", "KY": "2026-01-01", "RI": "2026-01-01",
    "FL": "2024-07-01", "NV": "2021-10-01", "OK": "2027-01-01", "LA": "2027-01-01", "AL": "2027-05-01",
}  # fmt: skip
SIGNAL = {
    "CA": "2023-03-29", "CO": "2024-07-01", "CT": "2025-01-01", "TX": "2025-01-01", "NE": "2025-01-01",
    "MT": "2025-01-01", "NH": "2025-01-01", "NJ": "2025-07-15", "OR": "2026-01-01", "DE": "2026-01-01",
    "MN": "2025-07-31", "MD": "2025-10-01", "VT": "2028-01-01", "LA": "2027-01-01", "AL": "2027-05-01",
}  # fmt: skip
# What sensitive data needs from the first day on, where it is not an opt-in from the general law's first day.
SENSITIVE = {
    "CA": ("2023-01-01", LawRule.LIMIT), "MD": ("2025-10-01", LawRule.BANNED), "UT": ("2023-12-31", LawRule.OPT_OUT),
    "IA": ("2025-01-01", LawRule.OPT_OUT), "NV": ("2024-03-31", LawRule.OPT_IN), "WA": ("2024-03-31", LawRule.OPT_IN),
}  # fmt: skip
BANS = {
    "MD": "2025-10-01", "OR": "2026-01-01", "VA": "2026-07-01", "CT": "2026-10-01", "WA": "2024-03-31",
    "NV": "2024-03-31",
}  # fmt: skip
# (place, first day, subjects, the oldest band, rule)
YOUNG = [
    ("US-CA", "2020-01-01", ("sale",), "13_15", LawRule.OPT_IN),
    ("US-CA", "2023-01-01", ("sharing", "targeted_ads"), "13_15", LawRule.OPT_IN),
    ("US-CO", "2025-10-01", ALL_ADS, "16_17", LawRule.OPT_IN),
    ("US-CT", "2026-07-01", SALES, "16_17", LawRule.BANNED),
    ("US-CT", "2026-07-01", ("profiling",), "16_17", LawRule.OPT_IN),
    ("US-CT", "2026-07-01", ("precise_geo",), "16_17", LawRule.BANNED),
    ("US-MT", "2025-10-01", ALL_ADS, "16_17", LawRule.OPT_IN),
    ("US-NH", "2025-01-01", SALES, "13_15", LawRule.OPT_IN),
    ("US-NJ", "2025-01-15", ALL_ADS, "16_17", LawRule.OPT_IN),
    ("US-OR", "2026-01-01", SALES, "13_15", LawRule.BANNED),
    ("US-DE", "2025-01-01", SALES, "16_17", LawRule.OPT_IN),
    ("US-MN", "2025-07-31", SALES, "16_17", LawRule.OPT_IN),
    ("US-MD", "2025-10-01", SALES, "16_17", LawRule.BANNED),
    ("US-VT", "2028-01-01", ALL_ADS, "16_17", LawRule.OPT_IN),
    ("US-NY", "2025-06-20", (*ALL_ADS, "sensitive", "third_party_marketing"), "16_17", LawRule.OPT_IN),
    ("US-WY", "2013-07-01", (*ALL_ADS, "sensitive", "third_party_marketing"), "under_13", LawRule.OPT_IN),  # COPPA
]
FEDERAL = [
    ("precise_geo", "2024-01-09", LawRule.OPT_IN),
    ("marketing_text", "2013-10-16", LawRule.OPT_IN),
    ("marketing_call", "2013-10-16", LawRule.OPT_IN),
    ("marketing_email", "2004-01-01", LawRule.OPT_OUT),
    ("marketing_mail", "2004-01-01", LawRule.OPT_OUT),
    ("third_party_marketing", "2004-01-01", LawRule.OPT_OUT),
    ("cpni_marketing", "2007-12-08", LawRule.OPT_OUT),
    ("cpni_disclosure", "2007-12-08", LawRule.OPT_IN),
    ("call_location", "2007-12-08", LawRule.OPT_IN),
]
MEMBERS = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
EEA = {*MEMBERS.split()}


@pytest.mark.parametrize("state", sorted(GENERAL))
def test_a_persons_right_to_opt_out_begins_on_its_day(state):
    place, first = f"US-{state}", day(GENERAL[state])
    assert holding(place, Purpose.SALE, first - ONE_DAY).citation == "no law on file"
    assert holding(place, Purpose.SALE, first).citation != "no law on file"
    assert {rule(place, subject, FAR) for subject in ALL_ADS} == {LawRule.OPT_OUT}


def test_a_person_in_any_other_state_may_opt_out_without_a_law_of_its_own():
    rows = [holding(f"US-{state}", Purpose.SALE, FAR) for state in STATES - set(GENERAL)]
    assert {(row.rule, row.citation) for row in rows} == {(LawRule.OPT_OUT, "no law on file")}


@pytest.mark.parametrize("state", sorted(STATES))
def test_the_duty_to_hear_a_signal_begins_on_its_day_where_there_is_one(state):
    first = day(SIGNAL[state]) if state in SIGNAL else FAR
    for on in (*SHIPPED.days(), first - ONE_DAY, first, FAR):
        assert bool(SHIPPED.on_file(f"US-{state}", UNIVERSAL_OPT_OUT, on)) == (state in SIGNAL and on >= first), on


@pytest.mark.parametrize("state", sorted({*GENERAL, *SENSITIVE}))
def test_sensitive_data_has_its_rule_from_its_day(state):
    text, expected = SENSITIVE.get(state, (GENERAL.get(state), LawRule.OPT_IN))
    place, first = f"US-{state}", day(text)
    assert rule(place, Purpose.SENSITIVE, first) is expected
    assert rule(place, Purpose.SENSITIVE, FAR) is expected
    assert holding(place, Purpose.SENSITIVE, first - ONE_DAY).citation == "no law on file"


@pytest.mark.parametrize("state", sorted(set(GENERAL) - {"NV"}))
def test_a_precise_point_has_the_states_own_rule_beside_the_federal_one(state):
    text, expected = SENSITIVE.get(state, (GENERAL[state], LawRule.OPT_IN))
    first = day("2025-01-01" if state == "CO" else text)
    own = {
        on: [row.rule for row in SHIPPED.on_file(f"US-{state}", DataClass.PRECISE_GEO, on) if row.place != "US"]
        for on in (first - ONE_DAY, first)
    }
    assert list(own.values()) == [[], [expected]]


@pytest.mark.parametrize("state", sorted(STATES))
def test_a_precise_point_is_never_sold_where_that_is_banned_and_elsewhere_needs_an_opt_in(state):
    place = f"US-{state}"
    assert rule(place, DataClass.PRECISE_GEO, FAR) is (LawRule.BANNED if state in BANS else LawRule.OPT_IN)
    if state in BANS:
        first = day(BANS[state])
        assert rule(place, DataClass.PRECISE_GEO, first - ONE_DAY) is LawRule.OPT_IN
        assert {rule(place, DataClass.PRECISE_GEO, first, age) for age in AGES} == {LawRule.BANNED}


@pytest.mark.parametrize(
    ("place", "first", "subject", "oldest", "expected"),
    [
        pytest.param(place, day(first), subject, oldest, expected, id=f"{place} {subject} {first}")
        for place, first, subjects, oldest, expected in YOUNG
        for subject in subjects
    ],
)
def test_the_young_have_their_rule_from_its_day_and_who_is_older_has_the_adults(
    place, first, subject, oldest, expected
):
    reach = AGES.index(oldest) + 1
    assert {rule(place, subject, first, age) for age in AGES[:reach]} == {expected}
    own = [row for row in SHIPPED.on_file(place, subject, first - ONE_DAY, oldest) if row.place == place]
    assert all(row.rule < expected for row in own)
    assert {rule(place, subject, first, age) for age in AGES[reach:]} == {rule(place, subject, first)}
    assert rule(place, subject, first) < expected


@pytest.mark.parametrize("subject", [*SALES, "profiling", "sensitive"])
def test_a_child_below_13_is_under_the_federal_law_in_every_state(subject):
    assert all(rule(f"US-{state}", subject, TODAY, "under_13") >= LawRule.OPT_IN for state in STATES)


@pytest.mark.parametrize(("subject", "first", "expected"), FEDERAL, ids=[row[0] for row in FEDERAL])
def test_a_federal_rule_begins_on_its_day_in_a_state_without_a_law(subject, first, expected):
    assert holding("US-WY", subject, day(first) - ONE_DAY).citation == "no law on file"
    row = holding("US-WY", subject, day(first))
    assert (row.place, row.rule) == ("US", expected)


def test_only_for_marketing_by_network_information_silence_approves_and_only_after_a_notice():
    """47 CFR 64.2008(d): 30 days after it and for two years, wherever in the United States (L78)."""
    noticed = [row for row in SHIPPED.rows if row.notice_days]
    assert [(row.place, row.subject, row.notice_days, row.notice_years) for row in noticed] == [
        ("US", "cpni_marketing", 30, 2)
    ]
    assert {holding(f"US-{state}", "cpni_marketing", TODAY) for state in STATES} == {*noticed}


# --- abroad --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("country", sorted([*EEA, "GB", "CH"]))
def test_a_person_in_europe_opts_in_and_a_string_may_say_so_but_not_for_a_child_or_a_precise_point(country):
    by_mail = LawRule.OPT_IN if country == "CH" else LawRule.OPT_OUT
    for subject in ASKED:
        row = holding(country, subject, TODAY)
        assert row.rule is (by_mail if subject == "marketing_mail" else LawRule.OPT_IN), subject
        assert (row.in_band, row.place) == (subject in ALL_ADS, country), subject
        assert [holding(country, subject, TODAY, age).in_band for age in AGES] == [False, False, *[row.in_band] * 2]


def test_thirty_states_have_the_law_of_the_economic_area_and_each_block_names_them_all():
    blocks = [item["places"] for kind in ("law", "row") for item in FILES["eu.toml"][kind] if "places" in item]
    assert len(EEA) == 30
    assert [set(block) for block in blocks] == [EEA] * len(blocks)


@pytest.mark.parametrize("place", ["CA", "CA-ON", "CA-QC"])
def test_a_person_in_canada_opts_in_to_everything_and_no_string_says_so(place):
    rows = [holding(place, subject, TODAY) for subject in ASKED]
    assert {(row.rule, row.in_band) for row in rows} == {(LawRule.OPT_IN, False)}
    assert all(row.place.startswith("CA") and row.start < TODAY for row in rows)


def test_in_quebec_what_locates_or_profiles_is_off_and_a_child_needs_a_parent():
    for subject in (DataClass.PRECISE_GEO, Purpose.PROFILING):
        assert "8.1" in holding("CA-QC", subject, day("2023-09-22")).citation
        assert holding("CA-QC", subject, day("2023-09-21")).place == "CA"
    assert "s. 12" in holding("CA-QC", Purpose.SENSITIVE, TODAY).citation
    assert "4.1" in holding("CA-QC", Purpose.SALE, TODAY, "13_15").citation
    assert holding("CA-QC", Purpose.SALE, TODAY, "16_17").place == "CA"


@pytest.mark.parametrize("place", ["CA", "CA-QUE", *sorted(EUROPEAN - {"CH"})])
def test_a_child_who_may_be_where_a_parent_says_yes_needs_one_by_whatever_name_the_place_comes(place):
    """Switzerland's law has no such row."""
    for subject in ALL_ADS:
        assert rule(place, subject, age="13_15") is LawRule.PARENTAL
    assert rule("CA-ON", "sale", age="13_15") is LawRule.OPT_IN


@pytest.mark.parametrize("place", ABROAD)
def test_abroad_too_a_law_begins_on_its_day(place):
    days = {"CH": ["2023-09-01"], "CA": ["2008-09-30", "2014-07-01", "2019-01-01"], "CA-QC": ["2023-09-22"]}
    assert {row.start for row in SHIPPED.rows if row.place == place} == {
        day(text) for text in days.get(place, ["2018-05-25"])
    }


def test_no_string_is_a_consent_in_any_state():
    assert {row.place for row in SHIPPED.rows if row.in_band} == {*EEA, "GB", "CH"}


# --- the tables as a whole -----------------------------------------------------------------------------------------


def test_the_shipped_tables_are_in_order(figure):
    assert findings(FILES) == []
    states = {row.place for row in SHIPPED.rows if row.place.startswith("US-")}
    figure("law tables", f"{len(FILES)} files, {len(SHIPPED.rows)} rows, {len(states)} states, {len(ABROAD)} abroad")


def test_no_row_allows_without_a_choice_and_an_uncertain_one_says_which_reading_was_taken():
    assert LawRule.ALLOWED not in {row.rule for row in SHIPPED.rows}
    assert all(row.note for row in SHIPPED.rows if row.confidence in {"B", "?"})
    assert {row.confidence for row in SHIPPED.rows} == {"P", "S", "B", "?"}


def spells():
    """(first, last) day of each stretch without a day of the tables in it, from the files alone."""
    found = set()
    for table in FILES.values():
        for block in [*table.get("law", []), *table.get("row", [])]:
            for row in (block, *block.get("row", [])):
                found |= {row["from"]} if "from" in row else set()
                found |= {row["until"] + ONE_DAY} if "until" in row else set()
    edges = [day("2023-01-01"), *sorted(each for each in found if day("2023-01-01") < each < FAR), FAR]
    return [(first, after - ONE_DAY) for first, after in itertools.pairwise(edges)]


@pytest.mark.slow
def test_between_the_days_of_the_tables_nothing_changes_for_anybody():
    assert len(spells()) > 20
    for (first, last), place, subject in itertools.product(spells(), [*PLACES, "US-WY"], ASKED):
        assert holding(place, subject, first, "13_15") == holding(place, subject, last, "13_15")


def looked_at(starts):
    """Each day of the tables and the one before, and of the others each fourth week's first, for what changed in
    between stays changed; in `make soak` each week's."""
    every = [day("2023-01-01") + number * ONE_DAY for number in range((FAR - day("2023-01-01")).days)]
    return [
        each
        for number, each in enumerate(every)
        if number % (7 if SOAK else 28) == 0 or {each, each + ONE_DAY} & starts
    ]


@pytest.mark.slow
def test_day_by_day_the_law_changes_only_on_the_days_of_the_tables(figure):
    starts = {first for first, _ in spells()}
    changes, days = 0, looked_at(starts)
    for place, subject, age in itertools.product([*PLACES, "US-WY", "BR"], [*ASKED, UNIVERSAL_OPT_OUT], AGES):
        rows = [holding(place, subject, today, age) for today in days]
        for today, (was, row) in zip(days[1:], itertools.pairwise(rows), strict=True):
            assert row == was or today in starts, (place, subject, age, today)
            changes += row != was
    figure("law, day by day", f"2023-01-01 to 2028-12-31, {changes} changes, none on another day than the tables'")


@pytest.mark.slow
@pytest.mark.parametrize("age", AGES)
def test_an_unknown_place_is_never_looser_than_any_place_of_the_tables(age):
    days = [each for each in SHIPPED.days() if each > day("2023-01-01")]
    for on, subject in itertools.product(days, ASKED):
        hidden = [holding(place, subject, on, age).strictness for place in ("unknown", "US", "ZZ")]
        strictest = max(holding(place, subject, on, age).strictness for place in PLACES)
        assert min(hidden) >= max(strictest, (LawRule.OPT_IN, False, True))


ANY_PLACE = st.sampled_from([*PLACES, "US", "US-WY", "BR", "unknown", "nonsense"])
ANY_DAY = st.sampled_from(SHIPPED.days()) | st.dates(date(2003, 1, 1), FAR)


@given(st.sets(ANY_PLACE, max_size=4), ANY_PLACE, st.sampled_from(ASKED), ANY_DAY, st.sampled_from(AGES))
def test_the_shipped_law_has_a_rule_for_everybody_that_more_places_and_fewer_years_only_tighten(
    places, more, subject, on, age
):
    row = SHIPPED.strictest(frozenset(places), subject, on, age)
    assert row.citation
    assert row.rule >= LawRule.OPT_OUT
    assert not places or SHIPPED.strictest(frozenset({*places, more}), subject, on, age).strictness >= row.strictness
    younger = AGES[max(AGES.index(age) - 1, 0)]
    assert SHIPPED.strictest(frozenset(places), subject, on, younger).strictness >= row.strictness


# --- the manual ----------------------------------------------------------------------------------------------------


def test_next_years_state_is_added_in_under_ten_lines_as_the_manual_shows():
    text = MANUAL.read_text().partition("```toml\n")[2].partition("```")[0]
    assert len(text.splitlines()) < 10
    example = tomllib.loads(text)
    table = law.parse_law([*FILES.values(), example])
    first = example["law"][0]["from"]
    for subject, expected in [*((each, LawRule.OPT_OUT) for each in ALL_ADS), ("sensitive", LawRule.OPT_IN)]:
        before, then = (table.strictest(frozenset({"US-WY"}), subject, each) for each in (first - ONE_DAY, first))
        assert (before.citation, then.rule) == ("no law on file", expected)
        assert then.citation == "Wyo. Stat. 40-32-101 et seq."
    assert findings({**FILES, "example": example}) == []


def test_the_manual_names_every_table_and_every_key():
    text = MANUAL.read_text()
    assert all(f"| {name} |" in text for name in FILES)
    keys = {key for table in FILES.values() for block in [*table.get("law", []), *table["row"]] for key in block} - {
        "row"
    }
    assert all(f"`{key}`" in text for key in keys)
