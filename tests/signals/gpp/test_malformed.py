"""Damaged strings of the differential set: none allows, none takes long, and a valid one is told from a broken one.

What is valid is written down here a second time, from the specification's tables and nothing of ours: every part has
exactly the length of its layout in one of three paddings, zeros behind it, no reserved value, a known version and the
right type of subsection.
"""

import json
import tracemalloc
from functools import partial

import pytest
from support.times import quickest

from gateway.signals import gpp
from gateway.signals.gpp import header, us
from gateway.signals.gpp.layouts import BY_NAME
from gateway.terms import Stated

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LIMIT_MS = 50  # generous: the figure shows what it takes
KEPT_BYTES = 64 * 1024


@pytest.fixture(scope="module")
def tables(vectors):
    """By section: the layouts that its core may have, with their versions, and that of its subsection, if any."""
    found = {}
    for name, section in json.loads((vectors / "layouts.json").read_text())["sections"].items():
        parts = section["subsections"]
        cores = [(parts["core"], {1, 2} if "core_v1" in parts else {1})]
        if "core_v1" in parts:
            cores.append((parts["core_v1"], {1}))
        found[name] = cores, [parts[kind] for kind in ("gpc", "sensitive_data_consents") if kind in parts]
    return found


@pytest.fixture(scope="module")
def rows(vectors):
    return [json.loads(line) for line in (vectors / "gpp" / "generated_malformed.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def section_rows(rows):
    return [row for row in rows if row["level"] == "section"]


def characters(bits):
    """Padded to 6; to 8, then 6; to 24."""
    return {-(-bits // 6), -(-(bits + -bits % 8) // 6), 4 * -(-bits // 24)}


def values(field, bits):
    """The numbers of one field: items of two bits in a list, otherwise one."""
    piece = bits[field["offset"] : field["offset"] + field["bits"]]
    width = 2 if field["type"].startswith("N-Bitfield") else field["bits"]
    return {int(piece[at : at + width], 2) for at in range(0, len(piece), width)}


def fits(text, layout, versions=frozenset()):
    size = sum(field["bits"] for field in layout)
    if len(text) not in characters(size) or not set(text) <= set(ALPHABET):
        return False
    bits = "".join(f"{ALPHABET.index(letter):06b}" for letter in text)
    found = {field["field"]: values(field, bits) for field in layout}
    two_bits = set().union(*(found[field["field"]] for field in layout if field["type"] != "Int(6)"))
    return (
        "1" not in bits[size:]
        and 3 not in two_bits
        and found.get("MspaCoveredTransaction") != {0}
        and found.get("SubsectionType", {1}) == {1}
        and (found.get("Version") or found.get("MspaVersion", set())) <= versions
    )


def valid(text, table):
    cores, behind = table
    core, *subsections = text.split(".")
    return (
        any(fits(core, layout, versions) for layout, versions in cores)
        and len(subsections) <= len(behind)
        and all(fits(part, layout) for part, layout in zip(subsections, behind, strict=False))
    )


@pytest.mark.slow
def test_a_damaged_section_is_valid_exactly_by_the_specification_and_allows_only_then(tables, section_rows, figure):
    good = 0
    for row in section_rows:
        section, expected = BY_NAME[row["section"]], valid(row["input"], tables[row["section"]])
        for reading in (
            us.read_us_section(section, row["input"]),
            gpp.read_gpp_string(f"{header([section.id])}~{row['input']}"),
        ):
            assert reading.ok is expected, (row["section"], row["why"], row["input"], reading.error)
            assert expected or Stated.ALLOWED not in reading.choices.values(), row["input"]
        good += expected
    refused = sum("error" in row for row in section_rows)
    figure("GPP, damaged sections", f"{len(section_rows)} read, {good} valid; the reference reads all but {refused}")
    assert (len(section_rows), good) == (2945, 324)


@pytest.mark.slow
def test_the_second_definition_takes_every_undamaged_string_of_the_reference(tables, vectors):
    """Control: it can say yes, and to all of them."""
    for name, table in tables.items():
        for line in (vectors / "gpp" / f"generated_{name}.jsonl").read_text().splitlines():
            assert valid(json.loads(line)["section_string"], table), line


def test_the_second_definition_notices_each_kind_of_damage(tables):
    """Control: it can say no, for each of its reasons."""
    assert valid("BUlJZVI", tables["usva"])
    for text in ("BUlJZV", "BUlJZVIAA", "BUlJZVJ", "B_lJZVI", "CUlJZVI", "BUlJZVI.YA", "BUlJZV*", "BUlJZUI"):
        assert not valid(text, tables["usva"]), text
    assert valid("BpKCpWGI.QA", tables["usca"])
    assert not valid("BpKCpWGI.gA", tables["usca"])


def test_a_whole_string_that_is_damaged_never_allows(rows):
    handmade = [row for row in rows if row["level"] == "gpp"]
    assert len(handmade) == 55
    for row in handmade:
        reading = gpp.read_gpp_string(row["input"])
        assert reading.ok or Stated.ALLOWED not in reading.choices.values(), row["input"]
        assert not reading.ok or "ok" in row, row["input"]  # nothing is valid that the reference refuses


def read_all(rows):
    for row in rows:
        us.read_us_section(BY_NAME[row["section"]], row["input"])


def test_no_damage_makes_a_visitor_wait(section_rows, figure):
    reads = [partial(us.read_us_section, BY_NAME[row["section"]], row["input"]) for row in section_rows]
    longest = max(map(quickest, reads)) * 1000
    figure("GPP, damaged sections", f"longest single read {longest:.2f} ms")
    assert longest < LIMIT_MS


@pytest.mark.slow
def test_reading_damaged_strings_keeps_nothing(section_rows):
    read_all(section_rows)  # whatever is made once, is made
    tracemalloc.start()
    try:
        read_all(section_rows)
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        read_all(section_rows)
        kept_then, peak_then = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_then - kept < KEPT_BYTES
    assert peak_then - peak < KEPT_BYTES
