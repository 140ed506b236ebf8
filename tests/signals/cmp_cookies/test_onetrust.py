"""OneTrust's cookies: what a visitor has refused, and whether the visitor, the browser or the tool did it (R25)."""

from urllib.parse import quote

import pytest
from support.times import within

from gateway.signals import cmp_cookies
from gateway.signals.cmp_cookies.values import CATEGORIES, Carried, merge
from gateway.terms import Malformed


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:50]


CLOSED = "OptanonAlertBoxClosed=2025-11-24T07:10:02.201Z"


@pytest.mark.parametrize("group", ["SPD_BG", "SSPD_BG", "OSSTA_BG"], ids=brief)
def test_a_person_who_refused_the_sale_group_is_remembered(told, group):
    assert told(f"OptanonConsent=groups=C0001%3A1%2C{group}%3A0") == "sale by act"


@pytest.mark.parametrize("group", ["C0004", "4"], ids=brief)
def test_an_ads_group_that_is_off_denies_and_is_not_taken_for_an_act(told, group):
    assert told(f"OptanonConsent=groups=C0001%3A1%2C{group}%3A0") == "ads"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("interactionCount=1&groups=C0004:0", "ads by act"),
        ("interactionCount=12&groups=C0004:0", "ads by act"),
        ("interactionCount=0&groups=C0004:0", "ads by default"),
        ("interactionCount=0&groups=SPD_BG:0", "sale by default"),
        ("interactionCount=&groups=C0004:0", "ads"),
        ("interactionCount=x&groups=C0004:0", "ads"),
        ("interactionCount=0&browserGpcFlag=1&groups=OSSTA_BG:0", "sale by act"),
        ("interactionCount=0&isGpcEnabled=1&groups=C0004:1", "sale by act"),
        ("interactionCount=0&groups=C0004:1", "nothing"),
        ("interactionCount=2&groups=C0004:1", "allowed"),
        ("interactionCount=2&groups=C0001:1", "nothing"),
        ("interactionCount=2&groups=C0004:1,SPD_BG:0", "sale by act"),
        ("interactionCount=2&interactionCount=0&groups=C0004:0", "ads by act"),
    ],
    ids=brief,
)
def test_the_cookies_own_counter_tells_a_person_from_the_tool(told, value, says):
    assert told(f"OptanonConsent={value}") == says


@pytest.mark.parametrize("header", ["OptanonConsent=groups=C0004:0; {}", "{}; OptanonConsent=groups=C0004:0"])
def test_a_closed_banner_beside_it_is_a_persons_act(told, header):
    assert told(header.format(CLOSED)) == "ads by act"
    assert told(header.format("OptanonAlertBoxClosed=")) == "ads"


def test_a_closed_banner_alone_says_nothing(told):
    assert told(CLOSED) == ""


def test_a_recorded_gpc_denies_sale_sharing_and_ads(told):
    assert told("OptanonConsent=isGpcEnabled=1&browserGpcFlag=1") == "sale by act"
    assert told("OptanonConsent=isGpcEnabled=0&browserGpcFlag=1") == "sale by act"
    assert told("OptanonConsent=groups=C0001:1&browserGpcFlag=1") == "sale by act"
    assert told("OptanonConsent=isGpcEnabled=0&browserGpcFlag=0") == "nothing"


@pytest.mark.parametrize(("value", "says"), [("true", "sale by act"), ("false", "nothing"), ("maybe", "malformed")])
def test_the_do_not_sell_mark_for_google_is_a_refused_sale(told, value, says):
    assert told(f"OneTrustWPCCPAGoogleOptOut={value}") == says


@pytest.mark.parametrize("encoded", [0, 1, 2], ids=brief)
def test_groups_are_read_however_often_the_site_encoded_them(told, encoded):
    groups = "C0001:1,SPD_BG:0"
    for _ in range(encoded):
        groups = quote(groups)
    assert told(f"OptanonConsent=version=1&groups={groups}") == "sale by act"


def test_a_site_that_names_its_own_groups_gives_its_own_mapping(told):
    own = merge(CATEGORIES, {"onetrust": {"SSPD": "ads", "C0002": "sale"}})
    assert told("OptanonConsent=groups=SSPD%3A0", own) == "ads"
    assert told("OptanonConsent=groups=C0002%3A0", own) == "sale by act"
    assert told("OptanonConsent=groups=C0004%3A0", own) == "ads"


@pytest.mark.parametrize(
    "groups",
    ["C0004:1,C0002:0", "C0004:", "C0004", ":0", "C0004:00", "C0004:-0", "c0004x:0", "", ",,,"],
    ids=brief,
)
def test_nothing_but_a_plain_zero_of_an_ads_group_denies(told, groups):
    assert told(f"OptanonConsent=groups={quote(groups)}") == "nothing"


@pytest.mark.parametrize(
    "groups",
    [" SPD_BG:0", "SPD_BG: 0 ", "C1:1, SPD_BG:0", "C1:1,,SPD_BG:0", "SPD_BG:1,SPD_BG:0", "SPD_BG:0,SPD_BG:1"],
    ids=brief,
)
def test_blanks_empty_pairs_and_repeats_do_not_hide_a_refusal(told, groups):
    assert told(f"OptanonConsent=groups={quote(groups)}") == "sale by act"


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
    assert cmp_cookies.read_tool([("OptanonConsent", value)]) == [Malformed("cmp_cookie", "format")]


def test_an_opt_out_in_front_of_a_thousand_fields_is_heard(told):
    assert told("OptanonConsent=isGpcEnabled=1" + "&a=1" * 1000) == "sale by act"


@pytest.mark.parametrize(
    "value",
    [
        '"isGpcEnabled=1&groups=C0004:0"',
        "groups%3DSPD_BG%253A0",
        "groups=SPD_BG%3A0&groups=SPD_BG%3A1",
        "isGpcEnabled=1&isGpcEnabled=0",
        "isGpcEnabled=0&isGpcEnabled=1",
        "isGpcEnabled=true",
        "groups=SPD_BG :0",
    ],
    ids=brief,
)
def test_a_do_not_sell_in_an_odd_spelling_is_heard(told, value):
    assert told(f"OptanonConsent={value}") == "sale by act"


@pytest.mark.parametrize(
    "value",
    ["groups=" + "%25" * 5_000, "groups=" + "C0004:0," * 2_000, "&" * 16_000, "groups=" + ":" * 16_000],
    ids=brief,
)
def test_a_hostile_value_does_not_hold_the_next_visitor_up(value):
    assert len(within(0.5, lambda: cmp_cookies.read_tool([("OptanonConsent", value)]))) == 1


GPP = "OTGPPConsent=DBABLA~BVQVAAAABgA.YA"


def carried(states):
    return [each for state in states for each in state.carried]


@pytest.mark.parametrize(
    ("beside", "section_ids"),
    [
        ("", None),
        ("OptanonConsent=groups=C0001:1&GPPCookiesCount=1&gppSid=7", (7,)),
        ("OptanonConsent=groups=C0001:1&gppSid=8%2C7", (7, 8)),
        ("OptanonConsent=groups=C0001:1&gppSid=", None),
        ("OptanonConsent=groups=C0001:1&gppSid=junk", None),
    ],
    ids=brief,
)
def test_the_gpp_string_is_carried_with_the_sections_that_the_tool_says_apply(states, beside, section_ids):
    expected = [Carried("gpp", "DBABLA~BVQVAAAABgA.YA", section_ids)]
    assert carried(states(f"{GPP}; {beside}")) == expected
    assert carried(states(f"{beside}; {GPP}")) == expected


@pytest.mark.parametrize(
    "pieces",
    [
        "OTGPPConsent=DBABLA~BVQ; OTGPPConsent1=VAAAA; OTGPPConsent2=BgA.YA",
        "OTGPPConsent2=BgA.YA; OTGPPConsent=DBABLA~BVQ; OTGPPConsent1=VAAAA",
        "OptanonConsent=groups=&GPPCookiesCount=2; OTGPPConsent=DBABLA~BVQV; OTGPPConsent0=AAAABgA.YA",
        "OptanonConsent=groups=&GPPCookiesCount=1; OTGPPConsent=DBABLA~BVQVAAAABgA; OTGPPConsent1=.YA",
        "OTGPPConsent=DBABLA%7EBVQVAAAABgA.YA",
    ],
    ids=brief,
)
def test_a_gpp_string_that_was_cut_into_pieces_is_carried_whole(states, pieces):
    assert carried(states(pieces)) == [Carried("gpp", "DBABLA~BVQVAAAABgA.YA")]


def test_two_gpp_cookies_of_one_name_are_both_carried(states):
    texts = [each.text for each in carried(states("OTGPPConsent=DBABLA~A; OTGPPConsent=DBABLA~B"))]
    assert texts == ["DBABLA~A", "DBABLA~B"]


@pytest.mark.parametrize(
    "jar",
    [
        "OTGPPConsent=A; OTGPPConsent0=1; OTGPPConsent=B; OTGPPConsent0=2",
        "OTGPPConsent=A; OTGPPConsent0=1; OTGPPConsent0=2; OTGPPConsent=B",
    ],
    ids=brief,
)
def test_of_pieces_of_one_name_each_is_tried(states, jar):
    assert {each.text for each in carried(states(jar))} >= {"A1", "B2"}


def test_pieces_of_one_name_are_tried_a_few_times_those_of_equal_places_first(states):
    pieces = "; ".join(f"OTGPPConsent{number}={letter}" for letter in "AB" for number in range(8))
    texts = [each.text for each in carried(states(f"OTGPPConsent=_; {pieces}"))]
    assert texts[:2] == ["_AAAAAAAA", "_BBBBBBBB"]
    assert len(texts) == 16
