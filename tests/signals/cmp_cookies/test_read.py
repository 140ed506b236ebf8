"""The one door: outside rows, whole headers, hostile jars, and what one cookie can never do to another."""

import base64
import gzip
import json
import zlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.times import quickest, within

from gateway.signals import cmp_cookies, cookies
from gateway.signals.cmp_cookies import MAX_OF_A_BEGINNING, MAX_OF_A_NAME, NAMES
from gateway.signals.cmp_cookies.values import ToolShown, ToolState
from gateway.terms import SIGNAL_PURPOSES, Malformed


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:50]


QUICKLY = examples(300)
HEARD_AS_REFUSED = {
    # GPC was on when the person clicked "accept all": the stricter of the two holds.
    ("OptanonConsent", False, "CONFLICT: GPC on, yet C0004:1 (iType=1 accept all)"),
}


@pytest.fixture
def rows(vectors):
    return json.loads((vectors / "cmp_cookies.json").read_text())["rows"]


def denied(found):
    return frozenset(purpose for state in found for purpose in getattr(state, "denied", ()))


def test_every_cookie_seen_in_the_field_says_what_it_is_known_to_say(rows, figure):
    differ, undecided = set(), Counter()
    for row in rows:
        found = cmp_cookies.read_tool([(row["name"], row["value"])])
        known, off = row["sale_or_ads_opt_out"], bool(denied(found))
        assert not any(isinstance(state, Malformed) for state in found), row
        if known is None:
            undecided["denied" if off else "nothing denied"] += 1
        elif known != off:
            differ.add((row["name"], known, row.get("note", "")))
    assert differ == HEARD_AS_REFUSED
    decided = len(rows) - undecided.total()
    figure("consent-tool cookies, decided rows that agree", f"{decided - len(differ)} of {decided}")
    figure("consent-tool cookies, rows that cannot be told", f"{dict(undecided)}")
    assert decided >= 52


def test_no_cookie_seen_in_the_field_is_unknown_but_storage_that_browsers_never_send(rows):
    silent = {row["name"] for row in rows if not cmp_cookies.read_tool([(row["name"], row["value"])])}
    assert {name for name in silent if not name.startswith("cmplz_")} == {
        "notice_behavior",  # a companion
        "_sp_user_consent_<propertyId>",  # localStorage
    }


ODD_HEADER = (
    b'cmapi_cookie_privacy=permit 1,2,3; cc_cookie={"level":["necessary","ads"],"revision":0}; name[with]brackets=1; '
    b'\xff\xfe=\x80\xff; name with blanks=; =; open="never closed; OptanonConsent=groups=C0001%3A1%2CSPD_BG%3A0'
)


def test_a_refused_sale_is_heard_behind_broken_cookies():
    jar, _ = cookies.parse_cookies([ODD_HEADER])
    found = cmp_cookies.read_tool(jar)
    assert [state.tool for state in found] == ["trustarc", "vanilla_cookieconsent", "onetrust"]
    assert found[-1].act
    assert denied(found) == frozenset(SIGNAL_PURPOSES)


def test_a_value_with_bytes_that_are_no_text_hides_no_refusal():
    jar, _ = cookies.parse_cookies(
        [b'klaro={"caf\xe9":true,"marketing":false}; cookieyes-consent=\xff,advertisement:no']
    )
    assert [state.shown for state in cmp_cookies.read_tool(jar)] == [ToolShown.OPTED_OUT, ToolShown.OPTED_OUT]


def test_an_unreadable_cookie_hides_no_other():
    jar = [("klaro", "{"), ("didomi_token", "%"), ("gpcsignal", "true"), ("klaro", "{")]
    found = cmp_cookies.read_tool(jar)
    assert found[:2] == [Malformed("cmp_cookie", "format")] * 2
    assert denied(found) == frozenset(SIGNAL_PURPOSES)


def test_every_duplicate_is_heard_so_that_any_refusal_counts():
    jar = [("gpcsignal", "false"), ("gpcsignal", "true"), ("gpcsignal", "false")]
    assert denied(cmp_cookies.read_tool(jar)) == frozenset(SIGNAL_PURPOSES)


COUNTED = Malformed("cmp_cookie", "count")


def flood(name, count=2 * MAX_OF_A_NAME):
    """More cookies of one name than any browser sends, none of them a refusal."""
    return [(name, f"1YN{chr(65 + number % 26)}{number}") for number in range(count)]


@pytest.mark.parametrize("place", [0, MAX_OF_A_NAME - 1], ids=brief)
def test_a_refusal_among_the_first_of_a_flood_is_heard_and_the_flood_is_counted(place):
    few, many = (flood("gpcsignal", count) for count in (MAX_OF_A_NAME - 1, 2 * MAX_OF_A_NAME))
    for jar in (few, many):
        found = cmp_cookies.read_tool([*jar[:place], ("gpcsignal", "true"), *jar[place:]])
        assert denied(found) == frozenset(SIGNAL_PURPOSES)
        assert (found.count(COUNTED), found[-1] == COUNTED) == ((1, True) if jar == many else (0, False))


@pytest.mark.parametrize("flooding", ["klaro", "usprivacy", "OTGPPConsent", "cmplz_banner-status"], ids=brief)
def test_a_refusal_under_another_name_behind_a_flood_is_heard(flooding):
    behind = [("gpcsignal", "true"), ("us_privacy", "1YYN"), ("cookieyes-consent", "action:yes,advertisement:no")]
    found = cmp_cookies.read_tool([*flood(flooding), *behind, *flood(flooding, 100)])
    assert {state.cookie for state in found if isinstance(state, ToolState)} >= {name for name, _ in behind}
    assert (denied(found), found[-1]) == (frozenset(SIGNAL_PURPOSES), COUNTED)


@pytest.mark.parametrize("begins", ["fides_consent", "cmplz_", "_iub_cs-"], ids=brief)
def test_names_that_begin_alike_are_a_flood_too_and_a_refusal_under_another_is_heard(begins):
    """A stranger makes them up, and one of 8 kB would take as long as many requests."""
    jar = [(f"{begins}{number}", "x") for number in range(MAX_OF_A_BEGINNING)]
    assert COUNTED not in cmp_cookies.read_tool(jar)
    found = cmp_cookies.read_tool(
        [*jar, *[(f"{begins}{number}z", "x") for number in range(900)], ("gpcsignal", "true")]
    )
    assert (denied(found), found.count(COUNTED)) == (frozenset(SIGNAL_PURPOSES), 1)
    assert len(found) <= MAX_OF_A_BEGINNING + 2


def test_one_cookie_sent_often_is_no_flood():
    found = cmp_cookies.read_tool([("gpcsignal", "false")] * 500 + [("gpcsignal", "true")])
    assert (denied(found), COUNTED in found) == (frozenset(SIGNAL_PURPOSES), False)


def test_a_value_longer_than_any_header_is_malformed():
    assert cmp_cookies.read_tool([("klaro", "x" * (cookies.MAX_BYTES + 1))]) == [Malformed("cmp_cookie", "size")]


def test_the_names_to_forward_cover_every_cookie_that_is_read(rows):
    exact = {name for name in NAMES if not name.endswith("*")}
    starts = tuple(name[:-1] for name in NAMES if name.endswith("*"))
    seen = {row["name"] for row in rows if row["storage"] == "cookie"}
    assert {name for name in seen if name not in exact and not name.startswith(starts)} == set()
    assert {"gpp_sid", "notice_behavior", "OptanonAlertBoxClosed", "uc_user_interaction"} <= exact
    assert "cmplz_banner-status".startswith(starts)
    assert "OTGPPConsent1".startswith(starts)


def zipped(data):
    return "gzip:" + base64.urlsafe_b64encode(data).decode()


BOMB = gzip.compress(b"[" * 10_000_000, mtime=0)
HOSTILE = [
    "[" * 16_000,
    '{"a":' * 3_000,
    '{"consent":' + "[" * 900 + "]" * 900 + "}",
    '{"fides_string":' + "[" * 900 + "]" * 900 + ',"services":' + "[" * 900 + "]" * 900 + "}",
    '{"services":[{"id":' + "[" * 900 + "]" * 900 + ',"status":false}]}',
    '{"reg":[],"lim":[],"con":{"CMP":[]},"purposes":[]}',
    '{"purposes":{"disabled":[[],{}],"enabled":7}}',
    '{"confirmed":' + "9" * 5_000 + "}",
    "NaN",
    "1e999",
    "%25" * 5_000,
    "%" * 16_000,
    zipped(BOMB)[:16_000],
    zipped(gzip.compress(b'{"consent":' + b" " * 60_000 + b"{}}", mtime=0)),
    zipped(b"\x1f\x8b" + b"\x00" * 40),
    zipped(zlib.compress(b"{}")),
    base64.b64encode(b"[" * 12_000).decode(),
    base64.b64encode(b"\xff" * 12_000).decode(),
    "permit " + ",".join("1" * 8_000),
    "0" + ",0" * 8_000,
    "3" + "AMPS" * 4_000,
    "!" * 16_000,
    "|:" * 8_000,
    "٣:",
    "\ud800",
    "",
]
SUFFIXES = ["", "1", "x36865", "_shop", "marketing", "1234-uspr"]
KNOWN = sorted({name.removesuffix("*") + suffix for name in NAMES for suffix in (SUFFIXES if "*" in name else [""])})


@pytest.mark.parametrize("value", HOSTILE, ids=brief)
def test_no_hostile_value_under_any_known_name_raises_or_holds_the_next_visitor_up(value):
    states = within(1.5, lambda: [state for name in KNOWN for state in cmp_cookies.read_tool([(name, value)])])
    assert all(isinstance(state, ToolState | Malformed) for state in states)


@pytest.mark.parametrize(
    "one",
    [
        "gpp=DBAA; gpp_sid=7;",
        "OTGPPConsent=D; OptanonConsent=groups=C0004:0&gppSid=7;",
        "cmplz_marketing=deny;",
        "usprivacy=1YYN;",
        f"fides_consent={zipped(gzip.compress(b'[' * 64_000, mtime=0))};",
    ],
    ids=brief,
)
def test_a_header_full_of_one_tool_does_not_hold_the_next_visitor_up(one):
    parts = [part for part in one.split(";") if part]
    header = ";".join(f"{part}{number}" for number in range(2_000) for part in parts).encode()
    jar, _ = cookies.parse_cookies([header])
    within(0.5, lambda: cmp_cookies.read_tool(jar))


def test_nine_hundred_strings_beside_a_long_list_of_sections_hold_nobody_up(figure):
    """Each string looks at the sections beside it, so both are bounded."""
    strings = "; ".join(f"gpp={number}" for number in range(900))
    longest = 0.0
    for section_ids in ("7," * 3_900, "7," * 2_000):  # longer than any cookie, and as long as one may be
        jar, cut = cookies.parse_cookies([f"gpp_sid={section_ids}; {strings}".encode()])
        found = cmp_cookies.read_tool(jar)
        longest = max(longest, quickest(lambda jar=jar: cmp_cookies.read_tool(jar)))
        assert (len(found), found[-1], cut) == (MAX_OF_A_NAME + 1, COUNTED, False)
    figure("consent tools, 900 strings and 7.8 kB of sections", f"{longest * 1000:.1f} ms")
    assert longest < 0.1


def test_a_bomb_is_not_unpacked():
    small = gzip.compress(json.dumps({"consent": {"data_sales": False}, "pad": "x" * 60_000}).encode(), mtime=0)
    assert cmp_cookies.read_tool([("fides_consent", zipped(small))]) == [Malformed("cmp_cookie", "format")]
    large = gzip.compress(json.dumps({"consent": {"data_sales": False}, "ids": [*range(2_000)]}).encode(), mtime=0)
    assert denied(cmp_cookies.read_tool([("fides_consent", zipped(large))])) == frozenset(SIGNAL_PURPOSES)
    cut = zipped(large[:-9])
    assert cmp_cookies.read_tool([("fides_consent", cut)]) == [Malformed("cmp_cookie", "format")]


def test_a_jar_without_tools_costs_next_to_nothing(figure):
    jar = [(f"cookie_{number}", "value") for number in range(40)]
    assert cmp_cookies.read_tool(jar) == []
    each = quickest(lambda: [cmp_cookies.read_tool(jar) for _ in range(1_000)]) * 1_000
    figure("consent tools, a jar of 40 cookies without any", f"{each:.1f} us")
    assert each < 100


WORDS = st.sampled_from(
    [
        '{"purposes":{"5":false}}',
        '{"level":["necessary"]}',
        '{"marketing":false}',
        "marketing:false",
        "consent:false",
        "groups=C0004:0",
        "isGpcEnabled=1",
        "interactionCount=0",
        "true",
        "false",
        "deny",
        "allow",
        "0",
        "-1",
        "permit 1",
        "0::implied,us",
        "expressed,eu",
        "dismissed",
        "optout",
        "3s.AMP_USCA_f_t_A",
        "1YYN",
        "DBAA",
        "7",
        "!",
        "=",
        "&",
        ",",
        "%7B",
        "{",
        "}",
        "[",
        "]",
        '"',
        ":",
        "|",
        "\x00",
        "é",
    ]
)
VALUES = st.one_of(st.text(max_size=30), st.lists(WORDS, max_size=5).map("".join))
PAIRS = st.tuples(st.sampled_from(KNOWN), VALUES)
JARS = st.lists(PAIRS, max_size=6)


@QUICKLY
@given(JARS)
def test_any_jar_is_answered_and_denies_signal_purposes_only(jar):
    for state in cmp_cookies.read_tool(jar):
        if isinstance(state, Malformed):
            assert state.channel == "cmp_cookie"
            continue
        assert state.denied <= set(SIGNAL_PURPOSES)
        assert state.denied or not state.act
        assert state.shown is not ToolShown.ALLOWED or not state.denied
        assert state.shown is ToolShown.OPTED_OUT or not state.act
        assert state.cookie in dict(jar)


@QUICKLY
@given(JARS, PAIRS, st.integers(0, 6))
def test_one_more_cookie_never_takes_a_denial_away(jar, another, place):
    more = [*jar[:place], another, *jar[place:]]
    assert denied(cmp_cookies.read_tool(jar)) <= denied(cmp_cookies.read_tool(more))


@QUICKLY
@given(JARS, PAIRS)
def test_the_order_of_cookies_changes_no_denial(jar, another):
    assert denied(cmp_cookies.read_tool([another, *jar])) == denied(cmp_cookies.read_tool([*jar, another]))


@QUICKLY
@given(st.sampled_from(NAMES), st.binary(max_size=200))
def test_any_bytes_in_a_header_are_answered(name, value):
    jar, _ = cookies.parse_cookies([name.encode() + b"=" + value + b";gpcsignal=true"])
    assert denied(cmp_cookies.read_tool(jar)) == frozenset(SIGNAL_PURPOSES)
