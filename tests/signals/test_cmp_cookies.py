"""OneTrust's cookie: what a consent tool's site visitor has refused, and whether a person did it (R25)."""

import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.signals.cmp_cookies import ONETRUST, ToolState, read_onetrust
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Malformed, Purpose


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = settings(max_examples=150, deadline=1000)
EVERYTHING = frozenset(SIGNAL_PURPOSES)
ADS = frozenset(AD_CHOICE_PURPOSES)


@pytest.fixture
def seen(vectors):
    """OneTrust cookies that were seen in the field, with what each is known to say."""
    rows = json.loads((vectors / "cmp_cookies.json").read_text())["rows"]
    return [row for row in rows if row["cmp"] == "OneTrust" and row["name"] == ONETRUST]


def test_every_onetrust_cookie_that_shows_an_opt_out_denies_something(seen):
    rows = [row for row in seen if row["sale_or_ads_opt_out"] is True]
    assert len(rows) >= 10
    for row in rows:
        state = read_onetrust(row["value"])
        assert isinstance(state, ToolState), row
        assert state.denied >= ADS, row


def test_no_onetrust_cookie_that_shows_an_allow_denies_anything(seen):
    rows = [row for row in seen if row["sale_or_ads_opt_out"] is False and "CONFLICT" not in row.get("note", "")]
    assert len(rows) >= 8
    for row in rows:
        assert read_onetrust(row["value"]) == ToolState(frozenset(), act=False), row


def test_a_person_with_gpc_who_clicked_accept_all_stays_opted_out(seen):
    """The one conflict seen in the field: GPC on, ads group on. The stricter of the two holds."""
    rows = [row for row in seen if "CONFLICT" in row.get("note", "")]
    assert rows
    for row in rows:
        assert read_onetrust(row["value"]) == ToolState(EVERYTHING, act=True)


@pytest.mark.parametrize("group", ["SPD_BG", "OSSTA_BG"], ids=brief)
def test_a_person_who_refused_the_sale_group_is_remembered(group):
    assert read_onetrust(f"groups=C0001%3A1%2C{group}%3A0") == ToolState(EVERYTHING, act=True)


@pytest.mark.parametrize("group", ["C0004", "4"], ids=brief)
def test_an_ads_group_that_is_off_denies_now_and_is_not_taken_for_an_act(group):
    assert read_onetrust(f"groups=C0001%3A1%2C{group}%3A0") == ToolState(ADS, act=False)


def test_a_recorded_gpc_denies_sale_sharing_and_ads():
    assert read_onetrust("isGpcEnabled=1&browserGpcFlag=1") == ToolState(EVERYTHING, act=True)
    assert read_onetrust("isGpcEnabled=0&browserGpcFlag=1") == ToolState(frozenset(), act=False)


@pytest.mark.parametrize("encoded", [0, 1, 2], ids=brief)
def test_groups_are_read_however_often_the_site_encoded_them(encoded):
    groups = "C0001:1,SPD_BG:0"
    for _ in range(encoded):
        groups = quote(groups)
    assert read_onetrust(f"version=1&groups={groups}").denied == EVERYTHING


def test_a_site_that_names_its_own_groups_gives_its_own_mapping():
    value = "groups=ads%3A0%2CSPD_BG%3A0"
    assert read_onetrust(value, {"ads": (Purpose.TARGETED_ADS,)}).denied == {Purpose.TARGETED_ADS}


@pytest.mark.parametrize(
    "groups",
    ["C0004:1,C0002:0", "C0004:", "C0004", ":0", "C0004:00", "C0004:-0", "c0004x:0", "", ",,,"],
    ids=brief,
)
def test_nothing_but_a_plain_zero_of_an_ads_group_denies(groups):
    assert read_onetrust(f"groups={quote(groups)}") == ToolState(frozenset(), act=False)


@pytest.mark.parametrize(
    "groups", [" SPD_BG:0", "SPD_BG: 0 ", "C1:1, SPD_BG:0", "C1:1,,SPD_BG:0", "SPD_BG:1,SPD_BG:0"], ids=brief
)
def test_blanks_empty_pairs_and_repeats_do_not_hide_a_refusal(groups):
    assert read_onetrust(f"groups={quote(groups)}").denied == EVERYTHING


@pytest.mark.parametrize(
    "value",
    [
        "",
        "&",
        "=",
        "true",
        "undefined",
        "version=1&hosts=",
        "{}",
        "%",
        "\x00",
        "�",
        "isgpcenabled=1",
        "[object Object]",
    ],
    ids=brief,
)
def test_a_value_of_another_shape_is_malformed(value):
    assert read_onetrust(value) == Malformed("cmp_cookie", "format")


def test_an_opt_out_in_front_of_a_thousand_fields_is_heard():
    assert read_onetrust("isGpcEnabled=1" + "&a=1" * 1000) == ToolState(frozenset(SIGNAL_PURPOSES), act=True)


@pytest.mark.parametrize(
    "value",
    [
        '"isGpcEnabled=1&groups=C0004:0"',
        "groups%3DSPD_BG%253A0",
        "groups=SPD_BG%3A0&groups=SPD_BG%3A1",
        "isGpcEnabled=1&isGpcEnabled=0",
        "groups=SPD_BG :0",
    ],
)
def test_a_do_not_sell_in_an_odd_spelling_is_heard(value):
    state = read_onetrust(value)
    assert state.denied >= set(SIGNAL_PURPOSES)
    assert state.act


@pytest.mark.parametrize(
    "value",
    ["groups=" + "%25" * 300_000, "groups=" + "C0004:0," * 100_000, "&" * 1_000_000, "groups=" + ":" * 1_000_000],
    ids=brief,
)
def test_a_hostile_value_does_not_hold_the_next_visitor_up(value):
    start = time.perf_counter()
    assert isinstance(read_onetrust(value), ToolState | Malformed)
    assert time.perf_counter() - start < 1


FRAGMENTS = st.sampled_from(
    ["groups=", "isGpcEnabled=1", "&", "C0004:0", "%3A", "%", ",", "SPD_BG", ":", "0", "\x00", "é"]
)


@QUICKLY
@given(st.one_of(st.text(), st.lists(FRAGMENTS, max_size=12).map("".join)))
def test_any_text_is_answered_and_denies_signal_purposes_only(value):
    state = read_onetrust(value)
    if isinstance(state, ToolState):
        assert state.denied <= EVERYTHING
        assert state.denied or not state.act
    else:
        assert state.channel == "cmp_cookie"
