"""The AdChoices signal: a person's word in the DAA's tools, carried by their browser's extension."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.adchoices import write_adchoices
from support.times import within

from gateway.signals import adchoices, bits
from gateway.signals.adchoices import LISTS, SECTION, read_adchoices
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Purpose, Stated

OURS = 7
NOW = 1_800_000_000
ADS = frozenset(AD_CHOICE_PURPOSES)
LIMIT, ALLOW, NO_PREFERENCE = 0, 1, 2
OUT, ALLOWED, UNKNOWN = Stated.OPTED_OUT, Stated.ALLOWED, Stated.UNKNOWN


def word(text, **more):
    """The one word that a signal says of targeted ads."""
    return read_adchoices(text, **more).choices[Purpose.TARGETED_ADS]


def raw(version=1, preference=NO_PREFERENCE, participants=(), categories=(), after=""):
    """A string that `write` would refuse to make."""
    numbers = [(version, 6), (NOW, 32), (preference, 4)]
    for records in (participants, categories):
        numbers.append((len(records), 12))
        numbers += [field for number, status in records for field in ((number, 12), (status, 4))]
    return bits.text_of("".join(bits.number_bits(*field) for field in numbers) + after)


# --- the outside strings -------------------------------------------------------------------------------------------


@pytest.fixture
def rows(vectors):
    """Examples of the specification, and strings that the DAA's own decoder agrees with."""
    found = json.loads((vectors / "adchoices_signal.json").read_text())
    return found["spec_examples"] + found["generated"]


def test_every_known_string_is_read_as_the_daa_reads_it_and_written_back_the_same(rows, figure):
    agreeing = 0
    for row in rows:
        reading = read_adchoices(row["encoded"])
        records = [[tuple(record) for record in row[name.lower()]] for name in LISTS]
        assert reading.ok, row
        assert reading.sections[SECTION] == {
            "Version": row["version"],
            "Timestamp": row["timestamp"],
            "GlobalPreference": row["global"],
            "Participants": row["participants"],
            "Categories": row["categories"],
        }
        assert write_adchoices(row["timestamp"], row["global"], *records) == row["encoded"]
        agreeing += 1
    figure("AdChoices signals", f"{agreeing} of {len(rows)} read and written alike")
    assert agreeing == 406


def test_the_outside_strings_opt_out_those_whose_global_word_is_zero(rows):
    for row in rows:
        expected = {LIMIT: OUT, ALLOW: ALLOWED, NO_PREFERENCE: UNKNOWN}[row["global"]]
        assert word(row["encoded"]) is expected, row


# --- what it says --------------------------------------------------------------------------------------------------


def test_a_person_who_limits_everybody_is_opted_out_of_ads_and_sharing_and_sale_is_not_spoken_of():
    reading = read_adchoices(write_adchoices(NOW, LIMIT))
    assert reading.ok
    assert reading.opted_out == ADS
    assert reading.choices[Purpose.SALE] is UNKNOWN


def test_an_operator_may_let_the_signal_stop_sale_too():
    reading = read_adchoices(write_adchoices(NOW, LIMIT), purposes=frozenset(SIGNAL_PURPOSES))
    assert reading.opted_out == set(SIGNAL_PURPOSES)


@pytest.mark.parametrize(
    ("preference", "status", "said"),
    [
        (LIMIT, ALLOW, OUT),
        (LIMIT, NO_PREFERENCE, OUT),
        (LIMIT, LIMIT, OUT),
        (ALLOW, LIMIT, OUT),
        (ALLOW, NO_PREFERENCE, UNKNOWN),
        (ALLOW, ALLOW, ALLOWED),
        (NO_PREFERENCE, LIMIT, OUT),
        (NO_PREFERENCE, NO_PREFERENCE, UNKNOWN),
        (NO_PREFERENCE, ALLOW, UNKNOWN),
    ],
)
def test_what_a_person_said_of_us_counts_where_it_is_stricter_than_what_they_said_of_all(preference, status, said):
    signal = write_adchoices(NOW, preference, [(3, ALLOW), (OURS, status), (9, LIMIT)])
    assert word(signal, participant=OURS) is said


def test_of_two_records_about_us_the_stricter_holds():
    for records in ([(OURS, ALLOW), (OURS, LIMIT)], [(OURS, LIMIT), (OURS, ALLOW)]):
        assert word(write_adchoices(NOW, ALLOW, records), participant=OURS) is OUT


def test_what_a_person_said_of_other_companies_says_nothing_of_us():
    signal = write_adchoices(NOW, NO_PREFERENCE, [(3, LIMIT), (9, ALLOW)], [(25, LIMIT)])
    assert word(signal, participant=OURS) is UNKNOWN
    assert word(signal) is UNKNOWN


def test_without_a_number_of_our_own_no_record_is_taken_for_ours():
    assert word(write_adchoices(NOW, ALLOW, [(0, LIMIT)])) is ALLOWED


def test_the_categories_that_a_person_limits_are_told_even_from_a_broken_string():
    categories = [(25, LIMIT), (4, ALLOW), (9, LIMIT), (1, NO_PREFERENCE)]
    assert adchoices.limited_categories(read_adchoices(write_adchoices(NOW, ALLOW, [(25, LIMIT)], categories))) == [
        25,
        9,
    ]
    assert adchoices.limited_categories(read_adchoices(raw(version=2, categories=categories))) == [25, 9]
    assert adchoices.limited_categories(read_adchoices("")) == []


def test_a_category_with_our_number_is_not_taken_for_us():
    assert word(write_adchoices(NOW, ALLOW, [], [(OURS, LIMIT)]), participant=OURS) is ALLOWED


# --- strings that are not valid ------------------------------------------------------------------------------------


INVALID = {
    "version 0": (raw(version=0, preference=ALLOW), "version"),
    "version 2": (raw(version=2, preference=ALLOW), "version"),
    "global": (raw(preference=3), "value"),
    "participant": (raw(preference=ALLOW, participants=[(3, 4)]), "value"),
    "category": (raw(preference=ALLOW, categories=[(3, 15)]), "value"),
    "one bit more": (raw(preference=ALLOW, after="1"), "trailing"),
    "a bit far behind": (raw(preference=ALLOW, after="0" * 40 + "1"), "trailing"),
    "no lists": (raw(preference=ALLOW)[:-3], "truncated"),
    "no global": (raw(preference=ALLOW)[:6], "truncated"),
    "empty": ("", "truncated"),
    "padded": (raw(preference=ALLOW) + "==", "alphabet"),
    "macro": ("${ADCHOICES_SIGNAL}", "alphabet"),
    "rfc 2965": ('$Version="1"', "alphabet"),
    "half a letter": ("\ud800", "alphabet"),
    "long": (raw(preference=ALLOW) + "A" * bits.MAX_CHARACTERS, "size"),
}


@pytest.mark.parametrize(("string", "error"), INVALID.values(), ids=INVALID)
def test_a_string_that_is_not_valid_says_why_and_never_allows(string, error):
    reading = read_adchoices(string, participant=OURS)
    assert reading.error == error
    assert set(reading.choices.values()) == {UNKNOWN}


BROKEN_OPT_OUTS = {
    "version": raw(version=2, preference=LIMIT),
    "value": raw(preference=LIMIT, participants=[(3, 9)]),
    "trailing": raw(preference=LIMIT, after="1"),
    "truncated": raw(preference=LIMIT)[:8],
    "padded": raw(preference=LIMIT) + "==",
    "encoded": raw(preference=LIMIT, participants=[(3, ALLOW)])[:-4] + "%3D",
    "size": raw(preference=LIMIT) + "A" * bits.MAX_CHARACTERS,
    "ours beside an unknown global": raw(preference=7, participants=[(OURS, LIMIT)]),
    "ours before the break": raw(preference=ALLOW, participants=[(OURS, LIMIT), (3, ALLOW)])[:-4],
}


@pytest.mark.parametrize("string", BROKEN_OPT_OUTS.values(), ids=BROKEN_OPT_OUTS)
def test_an_opt_out_in_a_broken_string_is_still_heard(string):
    reading = read_adchoices(string, participant=OURS)
    assert not reading.ok
    assert reading.opted_out == ADS


def test_a_broken_string_shows_the_fields_before_the_break():
    whole = raw(participants=[(3, ALLOW), (4, ALLOW)])
    fields = read_adchoices(whole[:-5]).sections[SECTION]
    assert fields["Participants"] == [[3, ALLOW]]
    assert "Categories" not in fields


def test_zeros_at_the_end_are_padding_and_blanks_around_are_nobodys_fault():
    assert word(write_adchoices(NOW, ALLOW) + "AAAA") is ALLOWED
    assert word(f"  {write_adchoices(NOW, LIMIT)}\t") is OUT
    assert read_adchoices(f" {write_adchoices(NOW, LIMIT)} ").ok


@given(st.text(max_size=60) | st.text(alphabet=bits.ALPHABET, max_size=60), st.integers(0, 4095))
def test_any_text_is_answered_and_only_a_valid_one_allows(text, participant):
    reading = read_adchoices(text, participant=participant)
    assert set(reading.choices) == set(SIGNAL_PURPOSES)
    assert reading.ok or ALLOWED not in reading.choices.values()


def test_a_string_that_asks_for_thousands_of_records_does_not_hold_the_next_visitor_up():
    longest = raw(preference=ALLOW, participants=[(number, ALLOW) for number in range(4095)])
    within(
        1.0, lambda: [read_adchoices(string, participant=OURS) for string in (longest, longest * 2, "_" * 1_000_000)]
    )
    assert word(longest) is ALLOWED


# --- writing -------------------------------------------------------------------------------------------------------

STATUSES = st.sampled_from([LIMIT, ALLOW, NO_PREFERENCE])
RECORDS = st.lists(st.tuples(st.integers(0, 4095), STATUSES), max_size=30)


@given(st.integers(0, 2**32 - 1), STATUSES, RECORDS, RECORDS)
def test_whatever_is_written_is_read_back(timestamp, preference, participants, categories):
    reading = read_adchoices(write_adchoices(timestamp, preference, participants, categories))
    assert reading.ok
    assert reading.sections[SECTION] == {
        "Version": 1,
        "Timestamp": timestamp,
        "GlobalPreference": preference,
        "Participants": [list(record) for record in participants],
        "Categories": [list(record) for record in categories],
    }


def test_the_carriers_are_called_as_in_the_specification():
    assert adchoices.HEADERS == (b"x-adchoices", b"cookie2")
    assert adchoices.PARAMETER == "adchoices_signal"
