"""`gateway law`: what holds in a place on a day, for a person and for a program; and whether the tables are in
order."""

import json
from datetime import UTC, datetime
from importlib import resources

import pytest
from click.testing import CliRunner

from gateway.cli import law
from gateway.cli.root import group
from gateway.terms import CHOOSABLE

TABLES = resources.files("gateway.choice") / "tables"
ROW = '[[row]]\nplace = "US-WY"\nsubjects = ["profiling"]\nrule = "opt_out"\nfrom = 2026-01-01\n'
CITED = ROW + 'citation = "one"\nconfidence = "P"\n'


def run(*words):
    return CliRunner().invoke(group, ["law", *map(str, words)], catch_exceptions=False)


def shown(*words):
    return json.loads(run("show", *words, "--json").stdout)


def held(found):
    return {row["subject"]: row["rule"] for row in found["rows"] if row["strictest"]}


@pytest.fixture
def table(tmp_path):
    def write(text, name="more.toml"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return write


# --- show ----------------------------------------------------------------------------------------------------------


def test_a_program_reads_what_holds_in_connecticut_on_the_day_of_its_ban():
    found = shown("--place", "US-CT", "--on", "2026-10-01")
    assert (found["places"], found["on"], found["age"]) == (["US-CT"], "2026-10-01", "adult")
    assert set(held(found)) == {*CHOOSABLE, "precise_geo"}
    assert held(found)["precise_geo"] == "banned"
    assert [
        (row["place"], row["rule"], row["from"], row["until"], row["confidence"], row["in_band"])
        for row in found["rows"]
        if row["subject"] == "precise_geo"
    ] == [
        ("US-CT", "banned", "2026-10-01", None, "?", False),
        ("US", "opt_in", "2024-01-09", None, "S", False),
    ]
    assert [duty["from"] for duty in found["signal_duty"]] == ["2025-01-01"]
    assert found["changes"] == []


def test_the_day_before_the_ban_it_stands_among_the_next_changes():
    found = shown("--place", "US-CT", "--on", "2026-09-30")
    assert held(found)["precise_geo"] == "opt_in"
    (change,) = found["changes"]
    assert (change["on"], change["subject"], change["rule"], change["was"]) == (
        "2026-10-01",
        "precise_geo",
        "banned",
        "opt_in",
    )
    assert "  2026-10-01 precise_geo: banned (US-CT Conn. Public Act 26-64 (SB 4)); was opt_in (US-CT" in (
        run("show", "--place", "US-CT", "--on", "2026-09-30").stdout
    )


@pytest.mark.parametrize(("age", "was"), [("16_17", "opt_out"), ("under_13", "opt_in")])
def test_the_next_changes_are_those_of_that_age(age, was):
    changes = shown("--place", "US-CT", "--on", "2026-06-30", "--age", age)["changes"]
    assert [(each["on"], each["rule"], each["was"]) for each in changes if each["subject"] == "sale"] == [
        ("2026-07-01", "banned", was),
    ]


@pytest.mark.parametrize(("age", "sale"), [("under_13", "banned"), ("16_17", "banned"), ("adult", "opt_out")])
def test_the_young_are_shown_their_own_rules(age, sale):
    assert held(shown("--place", "US-CT", "--on", "2026-10-01", "--age", age))["sale"] == sale
    assert f"US-CT on 2026-10-01, {age};" in run("show", "--place", "US-CT", "--on", "2026-10-01", "--age", age).stdout


def test_a_traveller_is_shown_the_rows_of_both_places_and_the_strictest_marked():
    found = shown("--place", "US-OR", "--place", "us-ny", "--on", "2026-11-24")
    rows = [(row["place"], row["rule"], row["strictest"]) for row in found["rows"] if row["subject"] == "precise_geo"]
    assert rows == [("US-OR", "banned", True), ("US", "opt_in", False)]  # the federal row is both's, and stands once


def test_where_no_row_speaks_the_default_of_the_regime_is_shown():
    found = shown("--place", "US-WY", "--on", "2026-11-24")
    (sale,) = [row for row in found["rows"] if row["subject"] == "sale"]
    assert (sale["rule"], sale["citation"], sale["from"], sale["strictest"]) == (
        "opt_out",
        "no law on file",
        None,
        True,
    )
    assert "signal: none on file (heard here in any case)" in run("show", "--place", "US-WY").stdout


@pytest.mark.parametrize("place", ["unknown", "US", "nowhere", "XX"])
def test_for_a_place_that_tells_nothing_the_strictest_of_all_is_shown_alone(place):
    found = shown("--place", place, "--on", "2026-11-24")
    assert found["places"] == [place if place == "US" else "unknown"]
    assert len(found["rows"]) == len(CHOOSABLE) + 1
    assert (held(found)["sale"], held(found)["precise_geo"]) == ("opt_in", "banned")


def test_in_europe_a_consent_in_the_request_is_shown_to_count():
    lines = run("show", "--place", "DE", "--on", "2026-11-24").stdout.splitlines()
    (sale,) = [line.split() for line in lines if line.startswith("* sale ")]
    assert sale[:6] == ["*", "sale", "opt_in", "yes", "2018-05-25", "P"]
    assert "next changes: none on file" in lines
    assert any(line.startswith("  DE Directive 2002/58/EC Art. 13: As each state wrote it") for line in lines)


def test_a_person_reads_columns_under_their_headings():
    lines = run("show", "--place", "US-MD", "--on", "2026-11-24").stdout.splitlines()
    heading, sale = lines[1], next(line for line in lines if line.startswith("* sale "))
    for word, value in (("rule", "opt_out"), ("from", "2025-10-01"), ("citation", "US-MD Md. Code, Com. Law 14-4705")):
        assert sale[heading.index(word) :].startswith(value)


def test_without_a_day_it_is_today(monkeypatch):
    monkeypatch.setattr(law, "now", lambda: datetime(2027, 1, 1, 3, tzinfo=UTC))
    assert shown("--place", "US-OK")["on"] == "2027-01-01"
    assert held(shown("--place", "US-OK"))["sensitive"] == "opt_in"
    assert held(shown("--place", "US-OK", "--on", "2026-12-31"))["sensitive"] == "opt_out"  # control


@pytest.mark.parametrize(
    "words",
    [[], ["--place", "DE", "--on", "tomorrow"], ["--place", "DE", "--age", "17"]],
    ids=["no place", "a day in words", "an age in years"],
)
def test_a_slip_of_the_operator_is_explained(words):
    slipped = run("show", *words)
    assert slipped.exit_code == 2
    assert "Error: " in slipped.output


# --- check ---------------------------------------------------------------------------------------------------------


def test_the_shipped_tables_are_in_order():
    checked = run("check")
    assert (checked.exit_code, checked.stdout) == (0, "5 tables are in order\n")


def test_a_new_table_is_looked_at_beside_the_shipped_ones(table):
    assert run("check", table(CITED)).stdout == "6 tables are in order\n"
    doubled = run("check", table(CITED.replace("US-WY", "US-CA")))
    assert doubled.exit_code == 1
    assert "more.toml row 1 (US-CA profiling): can never matter from 2027-01-01" in doubled.stdout
    assert "us_signal_states.toml law 1 row 4 is opt_out for the same" in doubled.stdout, "the new one is to blame"


def test_a_changed_table_stands_in_for_the_shipped_one_of_its_name(table):
    text = (TABLES / "us_other_states.toml").read_text()
    assert run("check", table(text, "us_other_states.toml")).exit_code == 0
    cut = text.replace(
        'subjects = ["precise_geo"], rule = "opt_in", until = 2026-06-30', 'subjects = ["precise_geo"], rule = "opt_in"'
    )
    checked = run("check", table(cut, "us_other_states.toml"))
    assert checked.exit_code == 1
    assert "(US-VA precise_geo): can never matter from 2026-07-01" in checked.stdout


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (ROW, "more.toml row 1: wants a first day (from) and a citation"),
        (CITED.replace("opt_out", "maybe"), "more.toml row 1: 'maybe' is no rule"),
        (CITED.replace('"P"', '"B"'), "more.toml row 1 (US-WY profiling): confidence B wants a note"),
        (CITED + "until = 2026-02-01\n", "more.toml row 1 (US-WY profiling): ends on 2026-02-01, and nothing follows"),
        (
            CITED.replace("profiling", "sale"),
            "more.toml row 1 (US-WY sale): a law for US-WY without a rule for sharing",
        ),
        ("[[row]\n", "more.toml: "),
        (b"\xff", "more.toml: "),
    ],
    ids=["no citation", "no rule", "no note", "a gap", "a purpose left out", "no TOML", "no text"],
)
def test_each_finding_names_its_file_and_row_and_the_check_fails(table, text, what):
    checked = run("check", table(text))
    assert checked.exit_code == 1
    assert what in checked.stdout.partition("\n")[0], "of the file as it was named"


def test_a_file_that_is_not_there_is_explained():
    assert run("check", "nowhere.toml").exit_code == 2
