"""Google's Additional Consent string: which providers a person said yes to, and what none of them means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.times import within

from gateway.signals import additional_consent
from gateway.signals.additional_consent import read_additional_consent
from gateway.signals.heard import UNKNOWN, Reading
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Purpose, Stated


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(150)
REFUSED = {
    purpose: Stated.OPTED_OUT if purpose in AD_CHOICE_PURPOSES else Stated.UNKNOWN for purpose in SIGNAL_PURPOSES
}
PROVIDERS = st.sets(st.integers(1, 65_535), max_size=40)


def fields(version, consented, disclosed=()):
    return {"ac": {"Version": version, "Consented": [*consented], "Disclosed": [*disclosed]}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1~1.35.41.101", fields(1, [1, 35, 41, 101])),
        ("1~7", fields(1, [7])),
        ("2~1.35.41.101~dv.9.21.81", fields(2, [1, 35, 41, 101], [9, 21, 81])),
        ("2~1~dv.", fields(2, [1])),
        ("2~1~dv", fields(2, [1])),
        ("2~3.1.2~dv.9.8", fields(2, [3, 1, 2], [9, 8])),  # in the order in which they came
        (" 1~7\r\n", fields(1, [7])),
    ],
    ids=brief,
)
def test_a_person_who_said_yes_to_some_providers_allows_nothing_by_that_alone(text, expected):
    """A list of providers is no consent to a purpose."""
    reading = read_additional_consent(text)
    assert (reading.ok, reading.sections, reading.choices) == (True, expected, UNKNOWN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1~", fields(1, [])),
        ("2~~dv.9.21", fields(2, [], [9, 21])),
        ("2~~dv.", fields(2, [])),
        ("2~~dv", fields(2, [])),
    ],
    ids=brief,
)
def test_a_person_who_said_yes_to_no_provider_is_opted_out_of_ads_and_sharing(text, expected):
    reading = read_additional_consent(text)
    assert (reading.ok, reading.sections, reading.choices) == (True, expected, REFUSED)
    assert reading.choices[Purpose.SALE] is Stated.UNKNOWN


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "version"),
        ("~", "version"),
        ("1.2.3", "version"),
        ("0~1", "version"),
        ("3~1~dv.2", "version"),
        ("01~1", "version"),
        ("１~1", "version"),
        ("1~1~dv.2", "format"),
        ("1~1~", "format"),
        ("2~1", "format"),
        ("2~1~2", "format"),
        ("2~1~xx.2", "format"),
        ("2~1~DV.2", "format"),
        ("2~1~dv.2~3", "format"),
        ("1", "format"),
        ("1~1..2", "id"),
        ("1~.1", "id"),
        ("1~1.", "id"),
        ("1~0", "id"),
        ("1~-1", "id"),
        ("1~+1", "id"),
        ("1~1_0", "id"),
        ("1~1 .2", "id"),
        ("1~٣", "id"),
        ("1~²", "id"),
        ("1~65536", "id"),
        ("1~" + "9" * 5000, "id"),
        ("1~a", "id"),
        ("2~1~dv.0", "id"),
        ("2~1~dv..", "id"),
        ("1~" + "1." * 10_000, "size"),
        ("1" * 50_000_000, "size"),
    ],
    ids=brief,
)
def test_a_string_that_cannot_be_read_says_nothing(text, error):
    assert read_additional_consent(text) == Reading(error=error)


@pytest.mark.parametrize(
    ("text", "error"),
    [("2~~xx.2", "format"), ("2~~dv.x", "id"), ("2~", "format"), ("1~~", "format"), ("1~~dv.2", "format")],
    ids=brief,
)
def test_a_person_who_said_no_is_heard_where_the_rest_cannot_be_read(text, error):
    reading = read_additional_consent(text)
    assert (reading.error, reading.choices) == (error, REFUSED)
    assert reading.sections == {}


@QUICKLY
@given(PROVIDERS, PROVIDERS)
def test_what_is_written_is_read_again(consented, disclosed):
    yes, no = (".".join(map(str, sorted(ids))) for ids in (consented, disclosed - consented))
    first = read_additional_consent(f"1~{yes}")
    assert first.sections == fields(1, sorted(consented))
    second = read_additional_consent(f"2~{yes}~dv.{no}")
    assert second.sections == fields(2, sorted(consented), sorted(disclosed - consented))
    assert first.choices == second.choices == (UNKNOWN if consented else REFUSED)


@QUICKLY
@given(st.one_of(st.text(), st.text("12~.dv0359 ", max_size=30)))
def test_any_text_is_answered_and_none_allows(text):
    reading = read_additional_consent(text)
    assert isinstance(reading, Reading)
    assert Stated.ALLOWED not in reading.choices.values()
    if reading.ok:
        found = reading.sections[additional_consent.SECTION]
        assert (reading.choices == REFUSED) == (not found["Consented"])


@pytest.mark.parametrize(
    "text", ["~" * 16_000, "1~" + "1." * 8_000 + "1", "2~" + "." * 16_000, "1" * 16_000], ids=brief
)
def test_a_hostile_string_does_not_hold_the_next_person_up(text):
    within(0.1, lambda: read_additional_consent(text))
