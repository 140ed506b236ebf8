"""Rows of the law as they are written: what is read, and what refuses a table before a rule is lost."""

from datetime import date, datetime

import pytest

from gateway.choice.law import LawRule, entries, read_law
from gateway.choice.place import country_of, is_named, is_state

FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)
ROW = {"place": "US-CA", "subjects": ["sale"], "rule": "opt_out", "from": FIRST, "citation": "a citation"}


def rows(**changes):
    return list(read_law({key: value for key, value in (ROW | changes).items() if value is not ...}))


# --- a row ---------------------------------------------------------------------------------------------------------


def test_a_row_is_read_as_it_stands_and_what_it_leaves_out_is_the_cautious_thing():
    (row,) = rows()
    assert (row.place, row.subject, row.rule, row.start) == ("US-CA", "sale", LawRule.OPT_OUT, FIRST)
    assert (row.citation, str(row)) == ("a citation", "US-CA a citation")
    assert (row.until, row.ages, row.in_band, row.confidence, row.note) == (None, (), False, "?", "")


def test_everything_that_can_be_said_is_read():
    said = {"until": LAST, "ages": ["under_13"], "rule": "opt_in", "in_band": True, "confidence": "B", "note": "why"}
    (row,) = rows(**said)
    assert (row.until, row.ages, row.in_band, row.confidence, row.note) == (LAST, ("under_13",), True, "B", "why")


def test_a_law_of_many_places_and_subjects_is_a_row_for_each():
    found = rows(place=..., places=["DE", "FR"], subjects=["sale", "precise_geo", "universal_opt_out"])
    assert [(row.place, row.subject) for row in found] == [
        (place, subject) for place in ("DE", "FR") for subject in ("sale", "precise_geo", "universal_opt_out")
    ]


@pytest.mark.parametrize("word", ["allowed", "opt_out", "limit", "opt_in", "banned"])
def test_every_rule_has_its_word(word):
    assert rows(rule=word)[0].rule is LawRule[word.upper()]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param(changes, complaint, id=name)
        for name, changes, complaint in [
            ("a rule with a hyphen", {"rule": "opt-out"}, "'opt-out' is no rule: allowed, banned"),
            ("a rule in capitals", {"rule": "OPT_OUT"}, "is no rule"),
            ("no rule", {"rule": ...}, "'' is no rule"),
            ("a number for a rule", {"rule": 1}, "rule is a text"),
            ("a place in words", {"place": "California"}, "ISO 3166 places"),
            ("a place in small letters", {"place": "us-ca"}, "ISO 3166 places"),
            ("a state that there is not", {"place": "US-ZZ"}, "ISO 3166 places"),
            ("a place that nobody has", {"place": "ZZ"}, "ISO 3166 places"),
            ("no place", {"place": ...}, "wants a place"),
            ("an empty place", {"place": ""}, "ISO 3166 places"),
            ("a place and places", {"places": ["DE"]}, "wants a place, or a list"),
            ("places that are none", {"place": ..., "places": []}, "ISO 3166 places"),
            ("places that are no list", {"place": ..., "places": "DE"}, "places is a list"),
            ("a wrong one among places", {"place": ..., "places": ["DE", "XX"]}, r"there is \['XX'\]"),
            ("subjects that are no list", {"subjects": "sale"}, "subjects is a list"),
            ("no subjects", {"subjects": ...}, "wants subjects"),
            ("no subject in the list", {"subjects": []}, "wants subjects"),
            ("a subject that there is not", {"subjects": ["sale", "sell"]}, "'sell' is no subject"),
            ("a number for a subject", {"subjects": [1]}, "subjects is a list of words"),
            ("an age in years", {"ages": ["17"]}, "'17' is no age band"),
            ("ages that are no list", {"ages": "under_13"}, "ages is a list"),
            ("a first day in quotes", {"from": "2026-01-01"}, "from is a day"),
            ("a first moment", {"from": datetime(2026, 1, 1, 12)}, "from is a day"),
            ("no first day", {"from": ...}, "wants a first day"),
            ("a last day in words", {"until": "2027"}, "until is a day"),
            ("a last day before the first", {"until": date(2025, 12, 31)}, "ends on 2025-12-31"),
            ("the last day of all", {"until": date.max}, "ends on 9999-12-31"),
            ("an empty citation", {"citation": ""}, "a citation"),
            ("no citation", {"citation": ...}, "a citation"),
            ("a confidence of its own", {"confidence": "X"}, "'X' is no confidence"),
            ("a note that is no text", {"note": 1}, "note is a text"),
            ("in_band in words", {"rule": "opt_in", "in_band": "yes"}, "in_band is true or false"),
            ("in_band on an opt-out", {"in_band": True}, "in_band is for opt_in"),
            ("in_band on a ban", {"rule": "banned", "in_band": True}, "changes banned"),
            ("in_band on a limit", {"rule": "limit", "in_band": True}, "changes limit"),
            ("a misspelt key", {"unti1": LAST}, "'unti1' is no key"),
        ]
    ],
)
def test_a_row_that_is_wrong_is_refused_and_told_why(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        rows(**changes)


def test_a_row_of_one_day_is_a_row():
    assert rows(until=FIRST)[0].holds(FIRST)


# --- a table -------------------------------------------------------------------------------------------------------


def test_rows_of_a_law_share_what_it_says_and_may_say_it_otherwise():
    shared = {"place": "US-CA", "from": FIRST, "citation": "shared", "note": "shared"}
    own = [{"subjects": ["sale"], "rule": "opt_out"}, {"subjects": ["sale"], "rule": "banned", "citation": "own"}]
    assert list(entries({})) == []
    found = dict(entries({"law": [shared | {"row": own}], "row": [ROW]}))
    assert list(found) == [("law", 0, "row", 0), ("law", 0, "row", 1), ("row", 0)]
    assert found["law", 0, "row", 0] == shared | own[0]
    assert found["law", 0, "row", 1] == shared | own[1] | {"citation": "own"}
    assert found["row", 0] == ROW


@pytest.mark.parametrize(
    "table",
    [{"row": ROW}, {"row": [1]}, {"law": ROW}, {"law": [ROW | {"row": ROW}]}, {"rows": [ROW]}, {"row": "text"}],
    ids=["one row", "a number", "one law", "a law of one row", "a misspelt key", "a text"],
)
def test_a_table_of_another_shape_is_refused(table):
    with pytest.raises(ValueError, match=r"\[\[law\]\] and \[\[row\]\]|is no key"):
        list(entries(table))


# --- names of places -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "named", "state", "country"),
    [
        ("US-CA", True, True, "US"),
        ("US-PR", True, True, "US"),
        ("US", False, False, "US"),
        ("US-ZZ", False, False, "US"),
        ("DE", True, False, "DE"),
        ("FR-75", True, False, "FR"),
        ("CA-QC", True, False, "CA"),
        ("ZZ", False, False, "ZZ"),
        ("XX", False, False, "XX"),
        ("AA", False, False, "AA"),
        ("QM", False, False, "QM"),
        ("QA", True, False, "QA"),
        ("US-CALI", False, False, ""),
        ("unknown", False, False, ""),
        ("", False, False, ""),
        ("DE\n", False, False, "DE"),
    ],
    ids=repr,
)
def test_a_name_tells_of_a_place_or_of_none(place, named, state, country):
    assert (is_named(place), is_state(place), country_of(place)) == (named, state, country)


@pytest.mark.parametrize(
    ("said", "country"), [(" de ", "DE"), (["us-ca", "DE"], "US"), ([], ""), (None, ""), (7, ""), ([7], "")], ids=repr
)
def test_a_country_is_read_from_whatever_a_caller_says(said, country):
    assert country_of(said) == country
