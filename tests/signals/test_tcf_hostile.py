"""Damaged and hostile TC strings: never an exception, never a yes, never a long wait; a readable no still counts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.times import quickest, within

from gateway.signals import tcf
from gateway.signals.bits import ALPHABET, MAX_CHARACTERS, fibonacci_range_bits, number_bits, text_of
from gateway.signals.heard import UNKNOWN, Reading
from gateway.signals.tcf import tc_string
from gateway.terms import SIGNAL_PURPOSES, Stated


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(300)
OPTED_OUT = dict.fromkeys(SIGNAL_PURPOSES, Stated.OPTED_OUT)
ALLOWED = dict.fromkeys(SIGNAL_PURPOSES, Stated.ALLOWED)
READERS = [tcf.read_eu, tcf.read_ca, tcf.read_v1]
WRITERS = {
    "tcfeuv2": tcf.write_eu,
    "tcfcav1": tcf.write_ca,
    "tcfeuv1": lambda fields: tc_string.encode(fields, tc_string.V1),
}

EMPTY_LIST = "0" * 17
HEAD = number_bits(2, 6) + number_bits(17_800_000_000, 36) * 2 + "0" * 12 + "0" * 12 + "0" * 6 + "0" * 24
LANGUAGE = 6 + 36 + 36 + 12 + 12 + 6
YES, NO = "101100000000000000000000", "001000000000000000000000"


def core(purposes=YES, consents=None, interests=EMPTY_LIST, restrictions="0" * 12, tail=""):
    """A core of section 2 made by hand: policy 5, service specific, created in 2026-05, all else zero."""
    policy = number_bits(5, 6) + "10"
    vendors = consents or number_bits(2, 16) + "0" + "01"
    return HEAD + policy + "0" * 12 + purposes + "0" * 24 + "0" + "0" * 12 + vendors + interests + restrictions + tail


DISCLOSED = text_of("001" + number_bits(2, 16) + "0" + "01")


def string(bits, *others):
    return ".".join([text_of(bits, 24), *others])


def ranges(*spans, most=65_535):
    entries = "".join(
        f"0{number_bits(first, 16)}" if last is None else f"1{number_bits(first, 16)}{number_bits(last, 16)}"
        for first, last in spans
    )
    return number_bits(most, 16) + "1" + number_bits(len(spans), 12) + entries


def restriction(purpose, kind, *spans):
    return number_bits(purpose, 6) + number_bits(kind, 2) + ranges(*spans)[17:]


def test_the_string_of_these_tests_allows_before_it_is_damaged():
    assert tcf.read_eu(string(core(), DISCLOSED)).choices == ALLOWED
    assert tcf.read_eu(string(core(NO), DISCLOSED)).choices == OPTED_OUT


STRUCTURE = {
    "a vendor over the maximum": (core(consents=ranges((5, None), most=4)), "range"),
    "a range that ends over the maximum": (core(consents=ranges((2, 5), most=4)), "range"),
    "a range that ends before it starts": (core(consents=ranges((14, 7))), "range"),
    "vendor 0": (core(consents=ranges((0, None))), "range"),
    "a range from 0": (core(consents=ranges((0, 3))), "range"),
    "ranges that fall": (core(consents=ranges((5, None), (2, None))), "range"),
    "ranges that overlap": (core(consents=ranges((2, 5), (5, 9))), "range"),
    "a vendor named twice": (core(consents=ranges((2, None), (2, None))), "range"),
    "more entries than there are": (core(consents=number_bits(9, 16) + "1" + number_bits(9, 12)), "range"),
    "a bitfield longer than the string": (core(consents=number_bits(9_999, 16) + "0"), "truncated"),
    "a reserved type of restriction": (
        core(restrictions=number_bits(1, 12) + restriction(1, 3, (2, None))),
        "restriction",
    ),
    "a restriction on purpose 0": (core(restrictions=number_bits(1, 12) + restriction(0, 0, (2, None))), "restriction"),
    "a restriction on purpose 25": (
        core(restrictions=number_bits(1, 12) + restriction(25, 0, (2, None))),
        "restriction",
    ),
    "73 restrictions": (core(restrictions=number_bits(73, 12) + restriction(1, 0) * 73), "restriction"),
    "a restriction of falling ids": (core(restrictions=number_bits(1, 12) + restriction(1, 0, (3, 2))), "range"),
    "a one behind the end": (core(tail="0" * 24 + "1"), "padding"),
    "version 3": (number_bits(3, 6) + core()[6:], "version"),
    "version 1": (number_bits(1, 6) + core()[6:], "version"),
    "a language that is no letters": (core()[:LANGUAGE] + "1" * 12 + core()[LANGUAGE + 12 :], "letters"),
}


@pytest.mark.parametrize("damage", STRUCTURE, ids=brief)
def test_a_string_with_damaged_structure_is_not_valid_and_never_allows(damage):
    bits, error = STRUCTURE[damage]
    reading = tcf.read_eu(string(bits, DISCLOSED))
    assert (reading.error, reading.sections) == (error, {})
    assert Stated.ALLOWED not in reading.choices.values()


@pytest.mark.parametrize(
    "damage", [name for name, (_, error) in STRUCTURE.items() if error not in {"version", "letters"}]
)
def test_a_person_who_refused_is_heard_behind_damage_to_the_vendors(damage):
    bits, error = STRUCTURE[damage]
    at = len(HEAD) + 8 + 12
    assert bits[at : at + 24] == YES
    assert tcf.read_eu(string(bits, DISCLOSED)).choices == UNKNOWN
    refused = tcf.read_eu(string(bits[:at] + NO + bits[at + 24 :], DISCLOSED))
    assert (refused.error, refused.choices) == (error, OPTED_OUT)


@pytest.mark.parametrize("end", ["in the purposes", "in the vendors", "in front of the restrictions"])
def test_a_core_that_ends_too_early_is_not_filled_up_with_zeros(end):
    """cmpapi takes missing restrictions for none; but that is also how a string looks that was cut off."""
    ends = {"in the purposes": 160, "in the vendors": 240, "in front of the restrictions": len(core(restrictions=""))}
    reading = tcf.read_eu(f"{text_of(core()[: ends[end]], 6)}.{DISCLOSED}")
    assert (reading.error, reading.choices) == ("truncated", UNKNOWN)


def test_a_person_who_refused_every_vendor_is_heard_behind_damage():
    reading = tcf.read_eu(string(core(consents=EMPTY_LIST, tail="1"), DISCLOSED))
    assert (reading.error, reading.choices) == ("padding", OPTED_OUT)


@pytest.mark.parametrize(
    ("others", "error"),
    [
        ([DISCLOSED, DISCLOSED], "segment"),
        ([DISCLOSED, "YAAAAAAAAAA", "YAAAAAAAAAA"], "segment"),
        ([DISCLOSED, "gAAA"], "segment"),  # type 4
        ([DISCLOSED, "4AAA"], "segment"),  # type 7
        ([DISCLOSED, "CAAA"], "segment"),  # a second core
        ([DISCLOSED, ""], "segment"),
        ([DISCLOSED, "*"], "segment"),
        ([DISCLOSED, "Y*"], "alphabet"),
        ([DISCLOSED, "Y"], "truncated"),
        ([DISCLOSED, "IAA="], "segment"),
        ([DISCLOSED + "="], "alphabet"),
        ([DISCLOSED + "B"], "padding"),
        (["IAAgB"], "padding"),
        (["I"], "truncated"),
        (["", DISCLOSED], "segment"),
        ([""] * 9000, "segment"),
    ],
    ids=brief,
)
def test_a_string_with_a_damaged_segment_shows_its_core_and_never_allows(others, error):
    reading = tcf.read_eu(string(core(), *others))
    assert (reading.error, reading.choices) == (error, UNKNOWN)
    assert reading.sections["tcfeuv2"]["VendorConsents"] == [2]
    assert tcf.read_eu(string(core(NO), *others)).choices == OPTED_OUT


@pytest.mark.parametrize("reader", READERS, ids=["eu", "ca", "v1"])
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "truncated"),
        (" ", "truncated"),
        (".", "truncated"),
        ("*", "alphabet"),
        ("é", "alphabet"),
        ("\x00", "alphabet"),
        ("A", "version"),
        ("_" * 400, "version"),
        ("A" * (MAX_CHARACTERS + 1), "size"),
        ("." * (MAX_CHARACTERS + 1), "size"),
        ("💥" * 10_000_000, "size"),
    ],
    ids=brief,
)
def test_what_is_no_tc_string_says_nothing(reader, text, error):
    assert reader(text) == Reading(error=error)


@pytest.mark.parametrize("reader", READERS[:2], ids=["eu", "ca"])
def test_blanks_around_a_string_are_not_part_of_it(reader):
    plain = string(core(), DISCLOSED)
    assert reader(f" {plain}\r\n") == reader(plain)


ONE_TO_ALL = restriction(1, 0, (1, 65_535))
BOMBS = {
    "every vendor in each of 72 restrictions": core(restrictions=number_bits(72, 12) + ONE_TO_ALL * 72),
    "every vendor twice": core(consents=ranges((1, 65_535)), interests=ranges((1, 65_535))),
    "every vendor, then one": core(
        consents=ranges((1, 65_535)), restrictions=number_bits(1, 12) + restriction(1, 0, (1, None))
    ),
}


@pytest.mark.parametrize("bomb", BOMBS, ids=brief)
def test_a_string_that_asks_for_too_many_vendors_ends_at_once(bomb):
    text = string(BOMBS[bomb], DISCLOSED)
    reading = within(0.1, lambda: tcf.read_eu(text))
    assert reading.error == "range"


def test_vendors_are_counted_over_all_segments_of_a_string():
    every = text_of("001" + ranges((1, 65_535)))
    alone = string(core(consents=EMPTY_LIST))
    assert tcf.read_eu(f"{alone}.{every}").ok
    assert tcf.read_eu(string(core(consents=ranges((1, None)), restrictions="0" * 12), every)).error == "range"


CANADIAN = number_bits(1, 6) + HEAD[6:] + number_bits(2, 6) + "0" + "0" * 12 + YES + "0" * 24


def canadian_list(first, last):
    """One Fibonacci range, as section 5 has it."""
    return number_bits(last, 16) + "1" + fibonacci_range_bits(range(first, last + 1))


def canadian(express, implied=EMPTY_LIST, *others):
    core = CANADIAN + express + implied + "0" * 12
    return ".".join([text_of(core), *(text_of("001" + other) for other in others)])


def test_vendors_are_counted_over_all_lists_of_a_canadian_string():
    some, many = canadian_list(1, 20_000), canadian_list(1, 40_000)
    assert tcf.read_ca(canadian(many, some)).choices == ALLOWED
    assert tcf.read_ca(canadian(many, EMPTY_LIST, some)).choices == ALLOWED
    for bomb in (canadian(many, many), canadian(many, EMPTY_LIST, many), canadian(some, some, many)):
        reading = within(0.1, lambda bomb=bomb: tcf.read_ca(bomb))
        assert (reading.error, reading.choices) == ("range", UNKNOWN)


def test_a_v1_string_that_allows_all_but_a_few_is_counted_too():
    opening = number_bits(1, 6) + HEAD[6:] + "1" * 24
    listed = number_bits(65_535, 16) + "1" + "1" + number_bits(1, 12) + "1" + number_bits(1, 16) + number_bits(9, 16)
    assert tcf.read_v1(text_of(opening + listed)).error == "range"
    one = number_bits(65_535, 16) + "1" + "1" + number_bits(0, 12)
    assert len(tcf.read_v1(text_of(opening + one)).sections["tcfeuv1"]["VendorConsents"]) == 65_535


def is_valid(text, name, reading):
    """Whether the fields shown, written anew, are read alike: nothing was made up or lost."""
    fields = reading.sections[name]
    again = WRITERS[name](fields | {"VendorsAllowed": []} if name == "tcfeuv2" else fields)
    return READERS[list(WRITERS).index(name)](again).choices == reading.choices


def answers(text):
    """Every reader answers, and what is not valid never allows."""
    for reader, name in zip(READERS, WRITERS, strict=True):
        reading = reader(text)
        assert isinstance(reading, Reading)
        if Stated.ALLOWED in reading.choices.values():
            assert reading.ok
            assert tcf.purposes_consented(reading.sections[name]) >= {3, 4}
            assert is_valid(text, name, reading)


@pytest.fixture(scope="module")
def strings(vectors):
    """The differential set, those that allow in front."""
    rows = [json.loads(line)["tc"] for line in (vectors / "gpp" / "generated_tcfeuv2.jsonl").read_text().splitlines()]
    return sorted(rows, key=lambda text: Stated.ALLOWED not in tcf.read_eu(text).choices.values())


def flipped(text, place, bit):
    """One bit of one character turned over."""
    if text[place] == ".":
        return text
    return text[:place] + ALPHABET[ALPHABET.index(text[place]) ^ (1 << bit)] + text[place + 1 :]


@QUICKLY
@given(data=st.data())
def test_a_string_with_bits_turned_over_never_allows_unless_it_is_valid_again(strings, data):
    text = data.draw(st.sampled_from(strings[:60]))
    for _ in range(data.draw(st.integers(1, 8))):
        text = flipped(text, data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 5)))
    answers(text)


@pytest.mark.slow
def test_no_string_that_is_cut_off_anywhere_raises_or_allows_without_being_valid(strings, figure):
    cuts = allowed = 0
    for text in strings[:25]:
        for end in range(len(text)):
            answers(text[:end])
            cuts += 1
            allowed += Stated.ALLOWED in tcf.read_eu(text[:end]).choices.values()
    figure("tcfeuv2, cut off", f"{cuts} cuts, {allowed} still valid and allowing")
    assert cuts > 1000
    assert allowed < cuts / 10  # a cut through the publisher's segment or padding only


@QUICKLY
@given(
    st.text(ALPHABET + ".", max_size=300), st.sampled_from(["", "B", "C", "CP", string(core()), string(core()) + "."])
)
def test_any_text_is_answered(text, front):
    answers(front + text)


@QUICKLY
@given(st.text(max_size=60))
def test_any_text_of_any_alphabet_is_answered(text):
    answers(text)


def test_typical_damaged_strings_are_answered_within_two_milliseconds(strings, vectors, figure):
    rows = [text[: len(text) * 2 // 3] for text in strings]
    rows += [row["tc"] for row in json.loads((vectors / "tcf_strings.json").read_text())["vectors"]]
    worst = max(quickest(lambda text=text: tcf.read_eu(text), tries=5) for text in rows)
    figure("TC string, worst decode", f"{worst * 1e3:.2f} ms of {len(rows)} strings")
    assert worst < 0.002
