"""What is wrong with law tables is found before it is a person's right that is lost."""

from datetime import date

import pytest

from gateway.cli.law import findings
from gateway.terms import CHOOSABLE

FIRST, LAST, NEXT = date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1)
ROW = {
    "place": "US-CA",
    "subjects": ["profiling"],
    "rule": "opt_out",
    "from": FIRST,
    "citation": "one",
    "confidence": "P",
}
OTHER = ROW | {"citation": "another"}
ENDED, YOUNG = {"until": LAST}, {"ages": ["under_13", "13_15"]}
GENERAL = ROW | {"subjects": [purpose.value for purpose in CHOOSABLE]}


def found(*rows):
    return findings({"us.toml": {"row": list(rows)}})


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(rows, id=name)
        for name, rows in {
            "nothing": [],
            "one row": [ROW],
            "a stricter row for the young": [ROW, OTHER | YOUNG | {"rule": "opt_in"}],
            "a stricter row after another": [ROW | ENDED, OTHER | {"rule": "banned", "from": NEXT}],
            "the same rule by another law": [ROW | ENDED, OTHER | {"from": NEXT}],
            "another place": [ROW, OTHER | {"place": "US-MD"}],
            "another subject": [ROW, OTHER | {"subjects": ["sensitive"]}],
            "a federal row of the same": [ROW, OTHER | {"place": "US"}],
            "a young row that ends in one for all": [ROW, OTHER | YOUNG | ENDED | {"rule": "opt_in"},
                                                     OTHER | {"from": NEXT, "rule": "opt_in", "ages": ["16_17"]}],
            "a state row that ends in a federal one": [ROW | ENDED, OTHER | {"place": "US"}],
            "no in_band for the young": [ROW | {"place": "DE", "rule": "opt_in", "in_band": True},
                                         OTHER | YOUNG | {"place": "DE", "rule": "opt_in"}],
            "an uncertain row with a note": [ROW | {"confidence": "?", "note": "read as opt-out"}],
            "a law with every purpose": [GENERAL],
            "a law whose purposes are federal": [GENERAL | {"place": "US"}, ROW | {"subjects": ["sale"], "citation": "it"}],
        }.items()
    ],
)  # fmt: skip
def test_tables_in_order_are_said_to_be(rows):
    assert found(*rows) == []


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        pytest.param(rows, what, id=name)
        for name, rows, what in [
            (
                "a stricter row beside",
                [ROW, OTHER | {"rule": "banned", "from": NEXT}],
                "row 1 (US-CA profiling): can never matter from 2027-01-01: us.toml row 2 is banned for the same",
            ),
            (
                "the same twice",
                [ROW, OTHER],
                "row 2 (US-CA profiling): can never matter from 2026-01-01: us.toml row 1 is opt_out for the same",
            ),
            (
                "the young where all are",
                [ROW | {"rule": "banned"}, OTHER | YOUNG | {"rule": "opt_in"}],
                "row 2 (US-CA profiling): can never matter from 2026-01-01: us.toml row 1 is banned for the same",
            ),
            (
                "one day too many",
                [ROW | {"until": NEXT}, OTHER | {"rule": "banned", "from": NEXT}],
                "row 1 (US-CA profiling): can never matter from 2027-01-01: us.toml row 2 is banned for the same",
            ),
            (
                "in_band beside none",
                [ROW | {"place": "DE", "rule": "opt_in", "in_band": True}, OTHER | {"place": "DE", "rule": "opt_in"}],
                "row 1 (DE profiling): can never matter from 2026-01-01: us.toml row 2 is opt_in for the same",
            ),
            (
                "one citation twice",
                [ROW | ENDED, ROW | {"from": NEXT}],
                "row 2 (US-CA profiling): says what us.toml row 1 says, by the same citation",
            ),
            (
                "an end",
                [ROW | ENDED],
                "row 1 (US-CA profiling): ends on 2026-12-31, and nothing follows",
            ),
            (
                "an end that only the young are spared",
                [ROW | ENDED, OTHER | YOUNG | {"from": NEXT}],
                "row 1 (US-CA profiling): ends on 2026-12-31, and nothing follows",
            ),
            (
                "a federal end",
                [ROW | ENDED | {"place": "US"}, OTHER | {"from": NEXT}],
                "row 1 (US profiling): ends on 2026-12-31, and nothing follows",
            ),
            (
                "uncertain",
                [ROW | {"confidence": "B"}],
                "row 1 (US-CA profiling): confidence B wants a note that says how it was read",
            ),
            (
                "no confidence",
                [{key: value for key, value in ROW.items() if key != "confidence"}],
                "row 1 (US-CA profiling): confidence ? wants a note that says how it was read",
            ),
            (
                "a purpose left out",
                [GENERAL | {"subjects": [purpose.value for purpose in CHOOSABLE if purpose != "call_location"]}],
                "row 1 (US-CA sale): a law for US-CA without a rule for call_location",
            ),
            ("no citation", [ROW | {"citation": ""}], "row 1: wants a first day (from) and a citation"),
            ("an unknown subject", [ROW | {"subjects": ["sell"]}], "row 1: 'sell' is no subject"),
            ("in_band on a ban", [ROW | {"rule": "banned", "in_band": True}], "row 1: in_band is for opt_in"),
            ("days out of order", [ROW | {"until": date(2025, 1, 1)}], "row 1: ends on 2025-01-01"),
        ]
    ],
)
def test_each_thing_that_is_wrong_is_told_with_its_file_and_row(rows, what):
    (finding,) = found(*rows)
    assert finding.startswith(f"us.toml {what}")


def test_one_wrong_row_hides_no_other_and_no_other_file():
    told = findings(
        {"a.toml": {"row": [ROW | {"rule": "?"}, ROW | ENDED]}, "b.toml": {"row": 1}, "c.toml": {"row": [{}]}}
    )
    assert [line.partition(":")[0] for line in told] == [
        "a.toml row 1",
        "b.toml",
        "c.toml row 1",
        "a.toml row 2 (US-CA profiling)",
    ]


def test_a_row_of_many_states_is_told_once():
    many = {key: value for key, value in ROW.items() if key != "place"} | ENDED | {"places": ["DE", "FR", "AT"]}
    assert found(many) == ["us.toml row 1 (DE profiling): ends on 2026-12-31, and nothing follows"]


def test_rows_of_two_files_are_seen_together():
    told = findings({"a.toml": {"row": [ROW]}, "b.toml": {"law": [OTHER | {"row": [{}]}]}})
    assert told == [
        "b.toml law 1 row 1 (US-CA profiling): can never matter from 2026-01-01: a.toml row 1 is opt_out for the same"
    ]
