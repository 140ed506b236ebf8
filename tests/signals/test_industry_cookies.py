"""Opt-out cookies of ad networks: heard on a network's own domain, and a site's own cookies left alone (R25)."""

import json
import tomllib
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.times import within

from gateway.signals import cookies, industry_cookies
from gateway.signals.industry_cookies import OptOut, Table, read_industry_cookies
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Purpose

ADS = frozenset(AD_CHOICE_PURPOSES)
EVERYTHING = frozenset(SIGNAL_PURPOSES)
SHIPPED = tomllib.loads((resources.files("gateway.signals") / "industry_cookies.toml").read_text())
TABLE = industry_cookies.table(SHIPPED)


def heard(header):
    return read_industry_cookies(cookies.parse_cookies([header.encode("latin-1")])[0], TABLE)


# --- the outside list ----------------------------------------------------------------------------------------------


@pytest.fixture
def records(vectors):
    return json.loads((vectors / "optout_cookies.json").read_text())["records"]


def told(record):
    return bool(read_industry_cookies([(record["name"], record["value"])], TABLE))


def test_three_of_four_cookies_of_the_public_lists_are_known(records, figure):
    """The rest are load balancers, statistics and sessions that were recorded beside them, ids of zero, empty values,
    and single letters with a digit: names and values that any site may have.
    """
    usable = [record for record in records if not record["noise"]]
    known = [record for record in usable if told(record)]
    figure("industry opt-out cookies", f"{len(known)} of {len(usable)} usable records")
    assert (len(known), len(usable)) == (362, 486)


def test_a_cookie_that_names_an_opt_out_with_a_yes_is_missed_nowhere(records):
    missed = [
        (record["name"], record["value"])
        for record in records
        if "optout" in record["name"].lower().replace("_", "").replace("-", "")
        and record["value"].lower() in {"1", "true", "yes", "optout", "opt-out", "opt_out"}
        and not told(record)
    ]
    assert missed == []


def test_no_cookie_that_the_lists_call_noise_is_taken_for_an_opt_out(records):
    noise = [record for record in records if record["noise"]]
    assert noise
    assert not [record for record in noise if told(record)]


def test_the_ccpa_tools_own_cookies_stop_sale_and_no_others_do(records):
    stopping = {
        record["name"]
        for record in records
        for opt_out in read_industry_cookies([(record["name"], record["value"])], TABLE)
        if Purpose.SALE in opt_out.purposes
    }
    assert stopping == {"_ccpa_optout", "ccpa_optout", "ccpa", "opt-out-type", "TTDOptOutOfDataSale"}


# --- what counts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "optout=1",
        "OptOut=true",
        "opt-out=OPT_OUT",
        "opt_out=yes",
        "network.optout=1",
        "ebOptOut=TRUE",
        "norton_optout=1",
        "showheroesOptOut=1",
        "anything_opted_out=1",
        "id=OPT_OUT",
        "uuid=optout",
        'optout="1"',
        "optout=opt%2Dout",
        "optout=Opted+Out+of+Example+Cookies",
        "uuid2=-1",
        "notrack=true",
        "demdex=NOTARGET",
        "AO=o=1",
    ],
)
def test_a_person_who_opted_out_at_a_network_is_heard(header):
    assert [opt_out.purposes for opt_out in heard(header)] == [ADS]


@pytest.mark.parametrize(
    "header",
    [
        "_ccpa_optout=true",
        "CCPA_OptOut=1",
        "ccpa=1",
        "opt-out-type=ccpa",
        "TTDOptOutOfDataSale=1",
        "OneTrustWPCCPAGoogleOptOut=true",
    ],
)
def test_a_person_who_said_do_not_sell_is_heard_for_sale_too(header):
    assert [opt_out.purposes for opt_out in heard(header)] == [EVERYTHING]


@pytest.mark.parametrize(
    "header",
    [
        "optout=0",
        "optout=false",
        "optout=no",
        "optout=",
        "optout",
        "optout=in",
        "optout=pending",
        "optout=-1",
        "optout=10",
        "opt_out=undefined",
        "ccpa_optout=false",
        "ccpa=0",
        "ccpa=US-CA",
        "OneTrustWPCCPAGoogleOptOut=false",
        "id=123",
        "id=1",
        "id=true",
        "id=out",
        "uid=0",
        "uid=-1",
        "uuid=00000000-0000-0000-0000-000000000000",
        "uuid2=4711",
        "_ga=GA1.2.1.2",
        "sess=1",
        "opt=1",
        "x=1",
        "a=b",
        "C=3",
        "email_optout=1",
        "emailoptout=1",
        "user_email_marketing_optout=1",
        "USER_EMAIL_OPTOUT=1",
        "newsletterOptOut=true",
        "sms-opt-out=1",
        "push_notifications_optout=1",
        "show_optout=1",
        "optout_banner_seen=1",
        "no_optout=1",
        "textOptOut=1",
        "call_opt_out=1",
        "optimizelyOptOut=true",
        "_hjOptOut=true",
        "ga_optout=1",
        "GoogleAnalyticsOptOut=true",
        "analytics-opt-out=1",
        "mtm_optout=1",
        "matomoOptOut=1",
        "mp_optout=true",
        "theme=optout",
        "optout_url=1",
        "=1",
        "é=1",
    ],
)
def test_a_sites_own_cookie_and_another_answer_say_nothing(header):
    assert heard(header) == []


def test_an_opt_out_behind_others_and_beside_its_contrary_is_heard_by_its_own_name():
    assert heard('a=b; optout=0; c={[,"; OptOut=1; id=OPT_OUT; x') == [OptOut("OptOut", ADS), OptOut("id", ADS)]


def test_an_operator_may_let_an_industry_opt_out_stop_sale_and_never_less_than_targeting():
    jar = [("optout", "1")]
    assert read_industry_cookies(jar, TABLE, EVERYTHING)[0].purposes == EVERYTHING
    assert read_industry_cookies(jar, TABLE, frozenset())[0].purposes == ADS


def test_without_a_table_no_cookie_is_known():
    assert read_industry_cookies([("optout", "1")], Table()) == []


@given(st.lists(st.tuples(st.text(), st.text()), max_size=8))
def test_any_cookies_are_answered_with_signal_purposes_only(jar):
    assert all(ADS <= opt_out.purposes <= EVERYTHING for opt_out in read_industry_cookies(jar, TABLE))


def test_a_hostile_header_does_not_hold_the_next_visitor_up():
    jar, _ = cookies.parse_cookies(
        [b"optout=" + b"%25" * 5400, b"; ".join([b"x_optout=0"] * 2000), b"o" * 16_000 + b"optout=1"]
    )
    within(
        1.0,
        lambda: read_industry_cookies([*jar, ("o" * 1_000_000 + "optout", "1"), ("optout", "1" * 1_000_000)], TABLE),
    )


# --- the file ------------------------------------------------------------------------------------------------------

RULE = {"names": ["a"], "values": ["1"]}
BAD_FILES = {
    "a misspelt part": ({"rules": []}, "file"),
    "a rule of text": ({"rule": ["optout"]}, "rule 1"),
    "rules that are no list": ({"rule": {"names": []}}, "file"),
    "a misspelt member": ({"rule": [RULE, {**RULE, "name": ["b"]}]}, "rule 2"),
    "a text for a list": ({"rule": [{**RULE, "names": "a"}]}, "rule 1"),
    "a number for a text": ({"rule": [{**RULE, "values": [1]}]}, "rule 1, values"),
    "an upper-case value": ({"rule": [{**RULE, "values": ["OPT_OUT"]}]}, "rule 1, values"),
    "an empty value": ({"rule": [{**RULE, "values": [""]}]}, "rule 1, values"),
    "a beginning of every value": ({"rule": [{**RULE, "beginnings": [""]}]}, "rule 1, beginnings"),
    "an ending of every name": ({"rule": [{"endings": [""], "values": ["1"]}]}, "rule 1, endings"),
    "a name that none has": ({"rule": [{**RULE, "names": ["opt-out"]}]}, "rule 1, names"),
    "words that are not there": ({"rule": [{"names": ["a"], "says": ["yes"]}]}, "rule 1, says"),
    "no value": ({"rule": [{"names": ["a"]}]}, "rule 1"),
    "no name": ({"rule": [{"values": ["1"]}]}, "rule 1"),
    "a yes for a flag": ({"rule": [{**RULE, "sale": "yes"}]}, "rule 1"),
    "words of another type": ({"words": {"yes": "1"}}, "words, yes"),
    "unless of another type": ({"unless": ["Email"]}, "file, unless"),
}


@pytest.mark.parametrize(("parsed", "where"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_slip_in_the_file_is_refused_and_says_where(parsed, where):
    with pytest.raises(ValueError, match=rf"^{where}\b"):
        industry_cookies.table(parsed)


def test_a_rule_of_the_operators_own_is_read_as_it_stands():
    mine = industry_cookies.table({"words": {"yes": ["1"]}, "rule": [{"names": ["a"], "says": ["yes"], "sale": True}]})
    assert read_industry_cookies([("A", "1"), ("a", "2"), ("b", "1")], mine) == [OptOut("A", EVERYTHING)]
