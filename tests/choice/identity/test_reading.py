"""Any identifier of a call is read, normalised or refused, whatever a stranger puts there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.people import GAID, IDFV, ZERO, email, gaid, phone
from support.times import within

from gateway.choice.identity import (
    KINDS,
    PLAIN,
    SOURCED,
    Limited,
    NormalIdentifier,
    Undeclared,
    read_identifier,
)
from gateway.terms import Malformed

QUICKLY = examples(80)
GOOD = {"email": email(1), "phone": phone(1), "gaid": GAID, "idfv": IDFV, "imei": "490154203237518", "eid": "x1"}
HALF_A_PAIR = "\ud83d"
ANYTHING = st.one_of(
    st.text(),
    st.text(alphabet='@.+"\\ xn-–。é\u0301\u200b' + HALF_A_PAIR, max_size=20),
    st.text(alphabet="0-{}aF:", max_size=40),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.binary(),
    st.lists(st.text(max_size=3)),
    st.sampled_from([bytearray(b"x"), memoryview(b"x"), 10**5000, -(10**63), object()]),
)


def test_two_people_have_no_name_in_common():
    one, other = read_identifier("email", email(1)), read_identifier("email", email(2))
    assert not set(one.names) & set(other.names)
    assert not set(read_identifier("gaid", GAID).names) & set(read_identifier("idfv", IDFV).names)
    assert not set(read_identifier("gaid", gaid(1)).names) & set(read_identifier("gaid", gaid(2)).names)


def test_the_same_id_of_two_platforms_is_two_identifiers_that_share_their_digests():
    one, other = read_identifier("gaid", GAID), read_identifier("idfa", GAID)
    assert one.names[0] != other.names[0]
    assert one.names[1:] == other.names[1:]


@pytest.mark.parametrize("kind", PLAIN)
def test_an_opaque_id_keeps_its_case_and_may_be_a_number(kind):
    as_it_came = ((kind, " Ab1 "),) if kind == "account" else ()  # as which a site's door once knew it
    assert read_identifier(kind, " Ab1 ").names == ((kind, "Ab1"), *as_it_came)
    assert read_identifier(kind, 42) == read_identifier(kind, "42")
    assert read_identifier(kind, "jose\u0301") == read_identifier(kind, "jos\u00e9")
    assert read_identifier(kind, "") == Malformed(kind, "empty")


@pytest.mark.parametrize("kind", SOURCED)
def test_a_sourced_id_is_another_id_at_another_source(kind):
    one, other = (read_identifier(kind, "x1", source=source) for source in ("ads.example.com", "other.example.com"))
    assert one.names != other.names
    for missing in (None, "", 7, "h" * 256, HALF_A_PAIR):
        assert read_identifier(kind, "x1", source=missing) == Malformed(kind, "source")
    assert read_identifier(kind, "", source="ads.example.com") == Malformed(kind, "empty")


def test_a_host_has_no_case_and_a_cookies_name_has_one():
    assert read_identifier("eid", "x1", source="Ads.Example.com") == read_identifier(
        "eid", "x1", source="ads.example.com"
    )
    assert read_identifier("cookie", "x1", source="UID") != read_identifier("cookie", "x1", source="uid")


def test_a_partner_id_counts_once_its_kind_is_declared():
    assert read_identifier("id:ramp", "x1", declared=("ramp",)).names == (("id:ramp", "x1"),)
    assert read_identifier("id:ramp", "", declared=("ramp",)) == Malformed("other", "empty")
    assert read_identifier("id:ramp", "x1") == Undeclared("id:")
    assert read_identifier("id:ramp", "x1", declared=("rampart",)) == Undeclared("id:")


@pytest.mark.parametrize("kind", ["ssn", "", "Email", "gaid ", "id", "\x00", pytest.param("x" * 100_000, id="huge")])
def test_a_kind_that_nobody_declared_is_undeclared_and_is_not_echoed(kind):
    assert read_identifier(kind, "x1") == Undeclared("other")


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_is_too_long_or_holds_a_nul_or_half_a_letter_is_malformed(kind):
    for value in ("a" * 1025, "\x00", "a\x00@example.com", HALF_A_PAIR, "9" * 5_000_000):
        assert within(0.5, lambda value=value: read_identifier(kind, value, source="s")) == Malformed(kind, "value")


@pytest.mark.parametrize(
    ("kind", "value"),
    [(None, "x"), ("email", None), ("email", True), ("account", 1.5), ([], {}), ("email", b"a@example.com"),
     ("account", 10**64)],
)  # fmt: skip
def test_a_wrong_type_is_malformed(kind, value):
    assert read_identifier(kind, value) == Malformed("identifier", "type")


@pytest.mark.parametrize("kind", GOOD)
def test_an_identifier_in_a_traceback_shows_no_value(kind):
    assert repr(read_identifier(kind, GOOD[kind], source="s")) == f"Identifier({'eid:s' if kind == 'eid' else kind})"


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_exact_and_what_is_looser_are_all_the_names_there_are(kind):
    found = read_identifier(kind, GOOD[kind], source="s")
    assert found.exact >= 1
    assert (*found.names[: found.exact], *found.looser) == found.names
    assert len(set(found.names)) == len(found.names)


@QUICKLY
@given(st.sampled_from([*KINDS, "id:x", "id:", "zzz"]), ANYTHING, st.sampled_from(["US", "de", "", "nowhere", "\x00"]))
def test_any_value_of_any_kind_in_any_country_is_answered(kind, value, country):
    found = read_identifier(kind, value, source="s", country=country, declared=("x",))
    assert isinstance(found, NormalIdentifier | Limited | Undeclared | Malformed)
    if isinstance(found, NormalIdentifier):
        assert found.names
        with_blanks = read_identifier(kind, f" {value}\n", source="s", country=country, declared=("x",))
        if kind == "account":  # goes by how it came, too
            assert with_blanks.value == found.value
        else:
            assert with_blanks == found


@QUICKLY
@given(st.sampled_from([kind for kind in KINDS if kind not in SOURCED]), ANYTHING | st.sampled_from([*GOOD.values()]))
def test_a_normal_form_is_its_own_normal_form(kind, value):
    found = read_identifier(kind, value)
    if isinstance(found, NormalIdentifier):
        assert read_identifier(kind, found.value) == found


def test_how_many_rows_a_person_costs_the_ledger_is_known(figure):
    counted = {
        "ana@example.com": 3,
        "ana.lopez@example.com": 6,
        "ana.lopez@gmail.com": 6,
        "ana.lopez+news@example.com": 9,
        "ana.lopez+news@gmail.com": 15,
    }
    for address, names in counted.items():
        assert len(read_identifier("email", address).names) == names
        figure(f"names of {address}", str(names))
    others = {kind: len(read_identifier(kind, GOOD[kind]).names) for kind in ("phone", "gaid", "idfv", "imei")}
    assert others == {"phone": 10, "gaid": 13, "idfv": 1, "imei": 1}
    figure("names of a North American phone, an ad id", "9, 13")


def test_a_zero_id_is_nobodys_under_any_kind_that_platforms_withhold():
    for kind in KINDS:
        if kind not in ("email", "phone"):
            assert not isinstance(read_identifier(kind, ZERO, source="s"), NormalIdentifier), kind
