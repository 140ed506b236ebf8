"""All that one request says, heard together: any opt-out wins, and what cannot be read denies a call."""

import base64
import json
from http.cookies import SimpleCookie  # noqa: TID251 - as what others write with, never to read

import pytest
from support.adchoices import write_adchoices
from support.signals import (
    ADCHOICES_ALLOWED,
    ADCHOICES_OUT,
    BROKEN,
    GPP_ALLOWED,
    GPP_GPC,
    GPP_OUT,
    INDUSTRY,
    OPT_OUTS,
    SECONDS,
    TC_SOME,
    TC_WITHOUT_ANY,
    brief,
    tc_string,
    web,
)

from gateway.signals import gpp
from gateway.signals.cmp_cookies import values
from gateway.signals.gpp.layouts import SECTIONS
from gateway.signals.hear import KNOWN, Hearing, cleaned, from_call, from_script
from gateway.signals.heard import Heard, KeptFor, Said
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Malformed, Purpose, Source

FULL, ADS = frozenset(SIGNAL_PURPOSES), frozenset(AD_CHOICE_PURPOSES)
SALE, PRECISE = frozenset({Purpose.SALE}), frozenset({Purpose.SENSITIVE})
NATIONAL_OUT = GPP_OUT.partition("~")[2]
GPC = Said(Source.GPC, FULL)
DO_NOT_SELL = Said(Source.US_PRIVACY, FULL)
LIMITED = Said(Source.DEVICE, FULL, KeptFor.STATE)


SAYS = {
    "gpc": ({"gpc": "1"}, GPC),
    "do not sell": ({"us_privacy": "1YYN"}, DO_NOT_SELL),
    "gpp sale": ({"gpp": GPP_OUT}, Said(Source.GPP, SALE)),
    "gpp gpc": ({"gpp": GPP_GPC}, Said(Source.GPP, FULL)),
    "do not sell inside gpp": ({"gpp": gpp.write_gpp_string({"uspv1": "1YYN"})}, Said(Source.GPP, FULL)),
    "tc with one box ticked": ({"tc": TC_SOME}, Said(Source.TCF, FULL)),
    "tc without any consent": ({"tc": TC_WITHOUT_ANY}, Said(Source.TCF, FULL, KeptFor.STATE)),
    "tc without any inside gpp": (
        {"gpp": gpp.write_gpp_string({"tcfeuv2": TC_WITHOUT_ANY})}, Said(Source.GPP, FULL, KeptFor.STATE)
    ),
    "no provider consented to": ({"ac": "2~~dv.7"}, Said(Source.ADDITIONAL_CONSENT, ADS, KeptFor.STATE)),
    "adchoices": ({"adchoices": ADCHOICES_OUT}, Said(Source.AD_CHOICES, ADS)),
    "do not sell cookie": ({"cookies": "usprivacy=1YYN"}, DO_NOT_SELL),
    "a tool whose sale group is off": (
        {"cookies": "OptanonConsent=groups=SPD_BG:0"}, Said(Source.CMP_COOKIE, FULL)
    ),
    "a tool that counts the person's act": (
        {"cookies": "OptanonConsent=interactionCount=1&groups=C0004:0"}, Said(Source.CMP_COOKIE, ADS)
    ),
    "a tool of which nobody can tell": (
        {"cookies": "OptanonConsent=groups=C0004:0"}, Said("cmp_cookie:onetrust:ads", ADS, KeptFor.STATE)
    ),
    "a tool whose sale is off and nobody can tell": (
        {"cookies": "_ketch_consent_v1_=eyJkYXRhX3NhbGVzIjoiZGVuaWVkIn0"},
        Said("cmp_cookie:ketch:sale", FULL, KeptFor.STATE),
    ),
    "a tool whose sale or sharing group is off": (
        {"cookies": "OptanonConsent=groups=SSPD_BG:0"}, Said(Source.CMP_COOKIE, FULL)
    ),
    "a tool that noted gpc": (
        {"cookies": "OptanonConsent=groups=C0001:1&browserGpcFlag=1"}, Said(Source.CMP_COOKIE, FULL)
    ),
    "a tool with a refused purpose by its usual name": (
        {"cookies": "didomi_token=eyJwdXJwb3NlcyI6eyJkaXNhYmxlZCI6WyJhZHZlcnRpc2luZyJdfX0"},
        Said(Source.CMP_COOKIE, ADS),
    ),
    "gpp in a cookie": (
        {"cookies": f"IABGPP_HDR_GppString={GPP_OUT}; IABGPP_GppSID=7"}, Said(Source.GPP, SALE)
    ),
    "a tool that says it was nobody": (
        {"cookies": "OptanonConsent=interactionCount=0&groups=C0004:0"}, Said(Source.CMP_COOKIE, ADS, KeptFor.MOMENT)
    ),
    "an iphone that has not asked": ({"att": 0}, Said("att", FULL, KeptFor.MOMENT)),
    "an iphone that may not ask": ({"att": 1}, Said("att", FULL, KeptFor.MOMENT)),
    "an iphone told not to track": ({"att": 2}, LIMITED),
    "limit ad tracking": ({"lmt": 1}, LIMITED),
    "do not track": ({"dnt": "1"}, Said("dnt", FULL, KeptFor.MOMENT)),
    "google's restricted processing": ({"stored": {"gad_rdp": "1"}}, Said("gad_rdp", FULL, KeptFor.MOMENT)),
    "do not sell on the phone": ({"stored": {"IABUSPrivacy_String": "1YYN"}}, DO_NOT_SELL),
    "a field of do not sell on the phone": (
        {"stored": {"IABGPP_USP1_OptOut": "Y"}}, Said("stored", FULL, KeptFor.MOMENT)
    ),
    "consents by purpose on the phone without those for ads": (
        {"stored": {"IABTCF_PurposeConsents": "0000"}}, Said("stored", FULL, KeptFor.MOMENT)
    ),
    "a field of a section on the phone": (
        {"stored": {"IABGPP_HDR_GppString": "DBAA", "IABGPP_USNAT_SaleOptOut": 1}},
        Said("stored", FULL, KeptFor.MOMENT),
    ),
    "one section on the phone": (
        {"stored": {"IABGPP_7_String": NATIONAL_OUT, "IABGPP_GppSID": "7"}}, Said(Source.GPP, SALE)
    ),
    "one section on the phone that does not apply": (
        {"stored": {"IABGPP_7_String": NATIONAL_OUT, "IABGPP_GppSID": "8_9"}}, Said(Source.GPP, SALE)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAYS)
def test_a_refusal_is_heard_for_what_it_is_and_kept_for_as_long_as_that_holds(case):
    """R25, R26: a tool's default is never taken for a person's act."""
    signals, said = SAYS[case]
    assert from_call(signals) == Heard((said,))


def test_a_visitor_with_gpc_is_heard_and_remembered():
    heard = web(("host", "example.com"), ("sec-gpc", "1"))
    assert heard.said == (GPC,)
    assert heard.gpc
    assert heard.to_remember() == GPC


def test_a_visitor_whose_proxy_sends_two_headers_is_heard():
    assert web(("sec-gpc", "0"), ("sec-gpc", "1")).gpc
    assert web(("sec-gpc", "1"), ("sec-gpc", "0")).gpc


@pytest.mark.parametrize("value", ["1, 1", "0, 1", "1 ", "\t1"], ids=repr)
def test_a_visitor_whose_value_was_folded_or_has_blanks_around_it_is_heard(value):
    assert web(("sec-gpc", value)).said == (GPC,)
    assert web(("dnt", value)).denied == FULL


def test_a_visitor_who_says_nothing_is_heard_as_nothing():
    heard = web(("host", "example.com"), ("cookie", "session=1"), ("sec-gpc", "0"), ("dnt", "0"), query=b"page=2")
    assert heard == Heard()


@pytest.mark.parametrize("name", ["session", "OptanonConsent", "OptanonAlertBoxClosed"])
def test_nothing_of_a_cookie_is_kept_beside_what_it_says(name):
    assert "person1" not in repr(vars(web(("sec-gpc", "1"), ("cookie", f"{name}=person1"))))


def test_do_not_track_denies_now_and_is_neither_gpc_nor_kept():
    heard = web(("dnt", "1"))
    assert heard.denied == FULL
    assert not heard.gpc
    assert not heard.keeps


@pytest.mark.parametrize("name", ["usprivacy", "us_privacy", "us-privacy"])
@pytest.mark.parametrize("value", ["1YYN", "1yyn", '"1YYN"', "1YY%4E"], ids=brief)
def test_a_do_not_sell_cookie_stops_sale_sharing_and_ads(name, value):
    assert web(("cookie", f"a=1; {name}={value}; b=2")).said == (DO_NOT_SELL,)


@pytest.mark.parametrize("order", [["1YYN", "1YNN"], ["1YNN", "1YYN"]], ids=["no first", "no last"])
def test_of_two_cookies_of_one_name_the_opt_out_wins(order):
    one, two = order
    for heard in (
        web(("cookie", f"usprivacy={one}; usprivacy={two}")),
        web(("cookie", f"usprivacy={one}"), ("cookie", f"usprivacy={two}")),
    ):
        assert (heard.said, heard.ended) == ((DO_NOT_SELL,), frozenset())


@pytest.mark.parametrize("opt_out", [case for case in OPT_OUTS["cookies"] if "OptanonConsent=groups=C" not in case])
def test_an_opt_out_behind_broken_cookies_is_found_by_the_page_and_in_both_forms_of_a_call(opt_out):
    header = BROKEN + b"; " + opt_out.encode()
    alone = web(("cookie", opt_out)).said
    assert alone
    assert web(("cookie", header)).said == alone
    for passed_on in (header.decode("latin-1"), {"b64": base64.b64encode(header).decode()}):
        heard = from_call({"cookies": passed_on})
        assert heard.said == alone
        assert heard.malformed == ()


PADDED = "YT3__uO5vz47IHVzcHJpdmFjeT0xWVlO"  # a=\xff\xfe...; usprivacy=1YYN in the alphabet of addresses


@pytest.mark.parametrize(
    "text", ["dXNwcml2YWN5PTFZWU4=", "dXNwcml2YWN5PTFZWU4", PADDED, PADDED.replace("_", "/")], ids=brief
)
def test_a_jar_passed_on_in_base64_is_read_in_both_alphabets_with_and_without_padding(text):
    assert from_call({"cookies": {"b64": text}}).said == (DO_NOT_SELL,)


PYTHON_WROTE = {
    "cookieyes-consent": ("consent:no,action:yes,advertisement:no", ADS),
    "klaro": ('{"adtracker":false}', ADS),
    "cc_cookie": ('{"categories":["necessary"],"services":{"ads":[]}}', ADS),
    "OptanonConsent": ("groups=C0001:1,SPD_BG:0&isGpcEnabled=0", FULL),
    "usprivacy": ("1YYN", FULL),
}


@pytest.mark.parametrize("name", PYTHON_WROTE)
def test_a_refusal_that_a_python_server_wrote_is_heard(name):
    value, purposes = PYTHON_WROTE[name]
    written = SimpleCookie({name: value})[name].OutputString()
    assert web(("cookie", f"a=1; {written}; b=2")).denied == purposes


def test_every_opt_out_cookie_seen_in_the_field_is_heard_behind_broken_ones(vectors):
    rows = json.loads((vectors / "cmp_cookies.json").read_text())["rows"]
    refusing = [row for row in rows if row["sale_or_ads_opt_out"] and row["storage"] == "cookie"]
    assert len(refusing) >= 25
    for row in refusing:
        cookie = f"{row['name']}={row['value']}".encode()
        alone, behind = (web(("cookie", header)).denied for header in (cookie, BROKEN + b"; " + cookie))
        assert ADS <= alone <= behind, row["name"]


def test_a_cookie_that_cannot_be_read_is_counted_and_hides_no_other():
    heard = web(("cookie", "usprivacy=junk; OptanonConsent=junk; usprivacy=1YYN"))
    assert heard.said == (DO_NOT_SELL,)
    assert heard.malformed == (Malformed("us_privacy", "reserved"), Malformed("cmp_cookie", "format"))


def test_a_header_that_was_cut_off_is_counted():
    assert DO_NOT_SELL in web(("cookie", "usprivacy=1YYN; a=" + "x" * 20_000)).said
    assert web(("cookie", "a=" + "x" * 20_000)).malformed == (Malformed("cookies", "size"),)


def test_an_ad_networks_own_server_hears_the_industrys_opt_out_cookies():
    """R25: targeted ads and sharing; what says do-not-sell stops sale, too; an operator may widen it."""
    on_their_domain, widened = Hearing(industry=INDUSTRY), Hearing(industry=INDUSTRY, ad_choice_purposes=FULL)
    assert web(("cookie", "optout=1"), hearing=on_their_domain).said == (Said(Source.AD_CHOICES, ADS),)
    assert web(("cookie", "ccpa_optout=1"), hearing=on_their_domain).denied == FULL
    assert web(("cookie", "optout=1"), hearing=widened).denied == FULL
    assert web(("cookie", "optout=1")).said == ()


def test_an_operators_own_names_for_ads_are_heard():
    own = Hearing(categories=values.merge(values.CATEGORIES, {"onetrust": {"X1": "sale"}}))
    cookie = ("cookie", "OptanonConsent=groups=X1:0")
    assert web(cookie, hearing=own).denied == FULL
    assert web(cookie).denied == frozenset()


@pytest.mark.parametrize("header", ["x-adchoices", "cookie2"])
def test_the_adchoices_extension_is_heard_in_each_browser(header):
    assert web((header, ADCHOICES_OUT)).said == (Said(Source.AD_CHOICES, ADS),)
    assert web((header, ADCHOICES_ALLOWED), (header, ADCHOICES_OUT)).denied == ADS
    assert web((header, '$Version="1"')) == Heard(malformed=(Malformed("adchoices", "alphabet"),))


@pytest.mark.parametrize("header", ["x-adchoices", "cookie2"])
def test_of_two_adchoices_fields_that_somebody_on_the_way_put_into_one_line_the_opt_out_is_heard(header):
    for folded in (f"{ADCHOICES_ALLOWED}, {ADCHOICES_OUT}", f"{ADCHOICES_OUT},{ADCHOICES_ALLOWED}"):
        assert web((header, folded)).said == (Said(Source.AD_CHOICES, ADS),)
    flood = web((header, ",".join(f"A{number}" for number in range(9))))
    assert flood.denied == FULL
    assert not flood.keeps


@pytest.mark.parametrize("header", ["x-adchoices", "cookie2"])
@pytest.mark.parametrize("behind", ["==", "AAAB", "%3D", " x"], ids=brief)
def test_a_header_that_others_use_too_is_a_persons_choice_only_where_it_is_whole(header, behind):
    broken = web((header, ADCHOICES_OUT + behind))
    assert (broken.said, len(broken.malformed)) == ((Said(Source.AD_CHOICES, ADS, KeptFor.MOMENT),), 1)
    assert not broken.keeps


def test_an_opt_out_from_one_participant_counts_only_for_that_one():
    named = ("x-adchoices", write_adchoices(SECONDS, 2, [(7, 0), (8, 1)]))
    assert web(named, hearing=Hearing(participant=7)).denied == ADS
    assert web(named, hearing=Hearing(participant=7, ad_choice_purposes=FULL)).denied == FULL
    assert web(named, hearing=Hearing(participant=8)).denied == frozenset()
    assert web(named).denied == frozenset()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (" 1YYN\n", "1YYN"), ('"1YYN"', "1YYN"), ("1YY%4E", "1YYN"), ("%221YYN%22", "1YYN"), ('"%201YYN "', "1YYN"), ("DBAA%7E1YYN", "DBAA~1YYN"), ("", ""), (" ", ""),
        ("${US_PRIVACY}", ""), ("%%GPP%%", ""), ("[GPP]", ""), ("%24%7BGPP_STRING_7%7D", ""), ("1%257E", "1%7E"),
    ],
    ids=brief,
)  # fmt: skip
def test_a_string_is_unwrapped_once_and_a_macro_that_nobody_replaced_is_none(raw, text):
    assert cleaned(raw) == text


@pytest.mark.parametrize(
    "signals", [{"gpc": 1}, {"gpc": True}, {"gpc": "1", "us_privacy": "1YNN", "att": 3}], ids=brief
)
def test_a_caller_that_passes_gpc_on_is_heard(signals):
    assert from_call(signals).said == (GPC,)


def test_a_section_that_does_not_apply_can_still_deny_and_never_by_a_default():
    assert from_call({"gpp": GPP_OUT, "gpp_sid": [-1]}).denied == SALE
    assert from_call({"gpp": gpp.write_gpp_string({"tcfeuv2": TC_WITHOUT_ANY}), "gpp_sid": [6]}) == Heard()


@pytest.mark.parametrize("gdpr", [0, "0", " 0 "], ids=brief)
def test_where_the_gdpr_does_not_apply_a_string_without_consent_says_nothing_and_a_refusal_is_one(gdpr):
    assert from_call({"tc": TC_WITHOUT_ANY, "gdpr": gdpr}) == Heard()
    assert from_call({"tc": TC_SOME, "gdpr": gdpr}).said == (Said(Source.TCF, FULL),)


def test_an_operator_may_take_a_phones_limit_for_the_persons_opt_out():
    travels = Hearing(device_limit_travels=True)
    assert from_call({"lmt": 1}, travels).to_remember() == Said(Source.DEVICE, FULL)
    assert from_call({"att": 0}, travels).to_remember() is None


def test_an_app_passes_on_what_it_found_on_the_phone():
    stored = {
        "IABGPP_HDR_GppString": GPP_OUT,
        "IABGPP_GppSID": "7_6",
        "IABTCF_TCString": TC_WITHOUT_ANY,
        "IABTCF_gdprApplies": 0,
        "IABTCF_AddtlConsent": "1~7",
        "IABTCF_CmpSdkID": 31,
    }
    assert from_call({"stored": stored}).said == (Said(Source.GPP, SALE),)
    applying = {"IABGPP_HDR_GppString": gpp.write_gpp_string({"tcfeuv2": TC_WITHOUT_ANY}), "IABGPP_GppSID": "2_6"}
    assert from_call({"stored": applying}).denied == FULL
    assert from_call({"stored": {"IABGPP_HDR_GppString": GPP_ALLOWED}, "gpp": GPP_OUT}).denied == SALE
    assert from_call({"stored": {"IABGPP_HDR_GppString": 7}}).malformed == (Malformed("gpp", "type"),)


@pytest.mark.parametrize("field", ["SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut", "Gpc"])
@pytest.mark.parametrize("prefix", sorted({section.name.upper() for section in SECTIONS}))
def test_a_section_of_which_an_app_kept_the_fields_is_heard(prefix, field):
    key = f"IABGPP_{prefix}_{field}"
    for value in (1, "1", " 1\n", True):
        assert from_call({"stored": {"IABGPP_HDR_GppString": "DBAA", key: value}}).denied == FULL
    for value in (0, 2, "0", " 2", False, "", None):
        assert from_call({"stored": {key: value}}) == Heard()


def test_fields_of_the_us_privacy_string_are_heard_however_an_app_wrote_them():
    for value in ("Y", "y", "Y ", 1, "1", " 1"):
        assert from_call({"stored": {"IABGPP_USP1_OptOut": value}}).denied == FULL
    for value in ("N", "-", "", 0, 2, "2", None):
        assert from_call({"stored": {"IABGPP_USP1_OptOut": value}}) == Heard()


@pytest.mark.parametrize("name", ["IABGPP_TCFEU2_PurposesConsent", "IABGPP_TCFEU2_PurposeConsents"])
def test_consents_by_purpose_are_read_as_bits_and_as_a_list(name):
    for refused in ("2_7", "1_3", "10", "7", 7, "110", "0"):
        assert from_call({"stored": {name: refused}}).denied == FULL
        assert from_call({"stored": {name: refused, "IABGPP_TCFEU2_gdprApplies": 1}}).denied == FULL
        assert from_call({"stored": {name: refused, "IABGPP_TCFEU2_gdprApplies": 0}}) == Heard()
        both = {"IABTCF_gdprApplies": 0, "IABGPP_TCFEU2_gdprApplies": "1"}
        assert from_call({"stored": {name: refused} | both}).denied == FULL
    for given in ("1_3_4", "1_2_3_4_10", "1011", "1111111111"):
        assert from_call({"stored": {name: given}}) == Heard()
    for odd in ("1,3,4", "all", "1_", ["1"]):
        assert from_call({"stored": {name: odd}}).malformed == (Malformed("stored", "value"),)


def test_an_app_that_kept_the_sections_apart_is_heard_whatever_stands_in_the_whole_string():
    refused = {"IABGPP_7_String": NATIONAL_OUT, "IABGPP_GppSID": "7"}
    for whole in (GPP_ALLOWED, "DBAA", "junk", 7):
        assert from_call({"stored": refused | {"IABGPP_HDR_GppString": whole}}).remembered >= SALE
    assert from_call({"stored": {"IABGPP_7_String": "junk"}}).malformed[0].channel == "gpp"
    unanswered = {"IABGPP_2_String": TC_WITHOUT_ANY}
    assert from_call({"stored": unanswered | {"IABGPP_GppSID": "7_8"}}) == Heard()
    assert from_call({"stored": unanswered | {"IABGPP_GppSID": "2_7"}}).denied == FULL


@pytest.mark.parametrize(
    "signals",
    [{}, dict.fromkeys(sorted(KNOWN)), {"gpc": "0", "us_privacy": "1---", "dnt": 0}, {"gpp_sid": [7], "gdpr": 1},
     {"gpp": "${GPP_STRING}", "tc": " ", "adchoices": ""}, {"cookies": ""}, {"stored": {}}],
    ids=brief,
)  # fmt: skip
def test_a_call_that_says_no_opt_out_denies_and_ends_nothing(signals):
    assert from_call(signals) == Heard()


@pytest.mark.parametrize(
    ("signals", "malformed"),
    [
        ({"gpc": "yes"}, Malformed("gpc", "value")),
        ({"gpc": {"value": "1"}}, Malformed("gpc", "type")),
        ({"us_privacy": "1XXX"}, Malformed("us_privacy", "reserved")),
        ({"us_privacy": ["1YNN"]}, Malformed("us_privacy", "type")),
        ({"cookies": 7}, Malformed("cookies", "type")),
        ({"cookies": {"b64": "***"}}, Malformed("cookies", "type")),
        ({"cookies": {"b64": "a"}}, Malformed("cookies", "type")),
        ({"cookies": {"b64": "é"}}, Malformed("cookies", "type")),
        ({"cookies": {"b64": None}}, Malformed("cookies", "type")),
        ({"cookies": "usprivacy=junk"}, Malformed("us_privacy", "reserved")),
        ({"cookies": "a=" + "x" * 20_000}, Malformed("cookies", "size")),
        ({"att": 9}, Malformed("att", "value")),
        ({"lmt": "on"}, Malformed("lmt", "value")),
        ({"dnt": []}, Malformed("dnt", "value")),
        ({"gpp": 5}, Malformed("gpp", "type")),
        ({"gpp": "DBAA~x"}, Malformed("gpp", "section_count")),
        ({"tc": {}}, Malformed("tc", "type")),
        ({"ac": "3~1"}, Malformed("ac", "version")),
        ({"adchoices": "AA"}, Malformed("adchoices", "truncated")),
        ({"gpp_sid": "seven"}, Malformed("gpp_sid", "type")),
        ({"gpp_sid": [None]}, Malformed("gpp_sid", "type")),
        ({"gpp_sid": True}, Malformed("gpp_sid", "type")),
        ({"gpp_sid": [7, True]}, Malformed("gpp_sid", "type")),
        ({"stored": "x"}, Malformed("stored", "type")),
        ({"stored": {"IABGPP_7_String": 7}}, Malformed("stored", "value")),
        ({"stored": {"gad_rdp": "maybe"}}, Malformed("stored", "value")),
        ({"stored": {"IABGPP_USNAT_SaleOptOut": "Y"}}, Malformed("stored", "value")),
        ({"stored": {"IABGPP_USCA_Gpc": [1]}}, Malformed("stored", "value")),
        ({"stored": {"IABGPP_USP1_OptOut": "no"}}, Malformed("stored", "value")),
        ({"stored": {"IABGPP_TCFEU2_gdprApplies": "no"}}, Malformed("stored", "value")),
        ({"gdpr": False}, Malformed("gdpr", "value")),
        ({"gdpr": "no"}, Malformed("gdpr", "value")),
        ({"stored": {"IABTCF_gdprApplies": "no"}}, Malformed("gdpr", "value")),
    ],
    ids=brief,
)
def test_a_signal_that_cannot_be_read_denies_a_call_and_is_not_kept(signals, malformed):
    heard = from_call(signals)
    assert heard.malformed == (malformed,)
    assert set(heard.said) == {Said("malformed", FULL, KeptFor.MOMENT)}
    assert not heard.keeps


def test_a_malformed_signal_beside_gpc_does_not_hide_it():
    heard = from_call({"us_privacy": "junk", "gpc": "1"})
    assert heard.said[0] == heard.to_remember() == GPC


def test_an_opt_out_in_a_damaged_string_is_the_persons_all_the_same():
    assert from_call({"us_privacy": "1yyn"}).to_remember() == DO_NOT_SELL
    for behind in ("AAA", "=", "+", " ", "."):
        assert from_call({"gpp": GPP_OUT + behind}).to_remember() == Said(Source.GPP, SALE)
    assert from_call({"gpp": "DBABLA~BVVVVVVVVVU=.YA="}).to_remember() == Said(Source.GPP, FULL)
    assert from_call({"gpp": "DBABUYA~BlWg.YA"}).to_remember() == Said(Source.GPP, FULL)


def test_what_a_pages_script_sees_tightens_and_its_slips_deny_nothing():
    assert from_script({"gpc": True, "gpp": GPP_OUT}).to_remember() == Said(Source.GPC, FULL)
    assert from_script({"gpc": "yes", "us_privacy": 7}) == Heard(
        malformed=(Malformed("gpc", "value"), Malformed("us_privacy", "type"))
    )


@pytest.mark.parametrize("changes", [{"PolicyVersion": 3}, {"VendorConsents": []}, {"Version": 2}], ids=brief)
def test_a_tc_string_that_is_not_a_whole_consent_of_today_denies_or_is_one(changes):
    denied = from_call({"tc": tc_string(**changes)}).denied
    assert denied == (frozenset() if changes == {"Version": 2} else FULL)
