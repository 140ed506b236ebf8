"""Nothing that stands in one line reaches into another, and each line comes out once."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signals import lines
from gateway.signals.lines import ANY, LF, MARK, Columns, Cutter, Empty, Line, ListRow, NoHeader, RefusedLine

COLUMNS = Columns(("type", "value", "note"), ("type", "value"))
HEADER = b"type,value,note\n"
AMY, BEN = b"email,amy@example.com,\n", b"email,ben@example.com,\n"
WITHOUT_ENDS = st.binary(max_size=60).map(lambda found: re.sub(rb"[\r\n]", b"", found))
PIECES = st.lists(
    st.one_of(st.sampled_from([b'"', b",", b"\n", b"\r", b"\r\n", b"\x00", MARK, b"\xff"]), st.binary(max_size=9))
)
TEXT = PIECES.map(b"".join)


def table(content: bytes, columns: Columns = COLUMNS) -> list[ListRow | RefusedLine | Empty]:
    return list(columns.rows(lines.of_text(io.BytesIO(content))))


def values(content: bytes) -> list[str]:
    return [row.cells["value"] for row in table(content) if isinstance(row, ListRow)]


@given(TEXT)
def test_each_line_behind_the_header_comes_out_once_and_by_its_number(body):
    count = len(re.split(rb"\r\n?|\n", body)) - (re.search(rb"(\A|[\r\n])\Z", body) is not None)
    assert [each.number for each in table(HEADER + body)] == list(range(2, count + 2))


@given(WITHOUT_ENDS)
def test_whatever_stands_in_a_line_the_people_before_and_behind_it_are_read(fault):
    first, _, last = table(HEADER + AMY + fault + b"\n" + BEN)
    assert isinstance(first, ListRow)
    assert isinstance(last, ListRow)
    assert [first.cells["value"], last.cells["value"]] == ["amy@example.com", "ben@example.com"]


def test_control_a_reader_whose_cells_may_hold_line_ends_swallows_who_stands_behind_a_quote():
    content = HEADER + AMY + b'email,"x@example.com,\n' + BEN
    assert len(list(csv.DictReader(io.StringIO(content.decode())))) == 2, "Ben is in the second"
    assert values(content) == ["amy@example.com", "ben@example.com"]


@given(TEXT, st.integers(1, 9), st.sampled_from([LF, ANY]))
def test_lines_are_the_same_in_pieces_of_any_size(body, size, ends):
    cutter = Cutter(len(body) + 1, ends)
    found = [line for at in range(0, len(body), size) for line in cutter.lines(body[at : at + size])]
    assert [*found, *cutter.rest()] == list(lines.of_body(body, ends))


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_whole(size):
    cutter, body = Cutter(4, ANY), b"123456\r1234\r\nab"
    found = [line for at in range(0, len(body), size) for line in cutter.lines(body[at : at + size])]
    assert [*found, *cutter.rest()] == [
        Line(1, b"1234", cut=True),
        Line(2, b"1234"),
        Line(3, b"ab", ended=False),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_rows_are_read_whatever_ends_their_lines_and_marks_are_none_of_them(end):
    content = b"".join(MARK + line.strip() + end for line in (HEADER, AMY, BEN)) + MARK
    assert values(content) == ["amy@example.com", "ben@example.com"]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", [""]), ("a", ["a"]), ("a,", ["a", ""]), (",", ["", ""]), ('"a,b",c', ["a,b", "c"]), ('""', [""]),
        ('"say ""so""",b', ['say "so"', "b"]), (" a , b", [" a ", " b"]), ('"",""', ["", ""]),
    ],
)  # fmt: skip
def test_cells_are_those_of_rfc_4180(text, cells):
    assert lines.cells_of(text) == cells
    assert (next(csv.reader([text])) or [""]) == cells


@pytest.mark.parametrize("text", ['"a', 'a"', 'a"b', '"a"b', '"a" ,b', 'a,"', '"""', 'a,b"c"', ' "a"'])
def test_a_quote_that_does_not_belong_where_it_is_refuses_the_line(text):
    with pytest.raises(ValueError, match="quote"):
        lines.cells_of(text)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"", "lacks type, value"), (b"\n \n", "lacks type, value"), (b"type;value;note\n", "with commas between"),
        (b"type,note\n", "lacks value"), (b"type,value,type\n", "column 3 is there twice"),
        (b"type,value,Note,note \n", "column 4 is there twice"), (b"type,value,ana@example.com\n", "column 3 is none of"),
        (b"type,,value\n", "column 2 is none of"), ("type,value\n".encode("utf-16"), "not UTF-8"),
        (b"t\x00y\x00p\x00e\x00,\x00\n", "control character"), (b'"type,value\n', "quote"),
        (b"type,value," + b"x" * 2**17 + b"\n", "longer"),
    ],
)  # fmt: skip
def test_a_table_without_a_header_that_can_be_read_is_not_begun_and_nobody_is_quoted(header, why):
    with pytest.raises(NoHeader, match=why) as refused:
        table(header + AMY)
    assert "example.com" not in str(refused.value)


@pytest.mark.parametrize(
    "header", [b"\n\n value, Type ,NOTE\n", MARK + b'"VALUE","type","note"\n', b"value,type,note,,\n", b"value,type\n"]
)
def test_a_header_in_another_order_and_spelling_is_one(header):
    (row,) = table(header + b"amy@example.com,email\n")
    assert (row.cells["type"], row.cells["value"]) == ("email", "amy@example.com")


def test_other_columns_are_passed_over_where_they_may_be_there():
    columns = Columns(("lat", "lon"), ("lat", "lon"), others=True)
    (row,) = table(b"name,lat,name,lon\nA,1,B,2\n", columns)
    assert (row.cells["lat"], row.cells["lon"]) == ("1", "2")


@pytest.mark.parametrize(
    ("line", "unsure", "why"),
    [
        (b"email,amy@example.com,x\n", set(), ()),
        (b"email,amy@example.com,x,\n", set(), ()),
        (b"email,amy@example.com,x,y\n", {"type", "value", "note"}, (lines.MORE,)),
        (b"email,amy@example.com\n", {"value", "note"}, (lines.FEWER,)),
        (b"email,amy@example.com,x", {"note"}, (lines.UNENDED,)),
        (b"email,amy@examp", {"value", "note"}, (lines.FEWER, lines.UNENDED)),
    ],
)
def test_a_row_says_which_of_its_cells_may_not_be_what_was_meant(line, unsure, why):
    (row,) = table(HEADER + line)
    assert (row.unsure, row.why) == (unsure, why)
