"""Signals as callers send them, by member: what opts out, and what allows, says nothing or cannot be read."""

import tomllib
from importlib import resources
from random import Random

from hypothesis import strategies as st

from gateway.signals import gpp, industry_cookies, tcf
from gateway.signals.gpp.layouts import BY_NAME
from gateway.signals.hear import SHIPPED, from_web
from support import strings
from support.adchoices import write_adchoices

WHEN = "2026-11-24T12:00:00.000Z"
SECONDS = 1_795_521_600  # the same
ALLOWS = {"SaleOptOut": 2, "SharingOptOut": 2, "TargetedAdvertisingOptOut": 2}

INDUSTRY = industry_cookies.table(
    tomllib.loads((resources.files("gateway.signals") / "industry_cookies.toml").read_text())
)
# Cookies that make other parsers give up on the rest of the header.
BROKEN = b'cmapi_cookie_privacy=permit 1,2,3; prefs={"ads":[1,2],"of":"x"}; [x]=]y[; \xff\xfe=\x80; =; ;; "'


def gpp_fields(name: str, **said: object) -> dict[str, object]:
    """A section's fields in which a person was told and opted out of nothing, but for what is said."""
    section = BY_NAME[name]
    fields = {field.name: [0] * field.count if field.count else 0 for field in section.newest.fields}
    fixed = {"Version": max(section.cores), "MspaVersion": 1, "MspaCoveredTransaction": 2}
    fixed = {name: word for name, word in fixed.items() if name in fields}
    told = {name: 1 for name in fields if name.endswith("Notice")}
    return fields | fixed | told | {name: word for name, word in ALLOWS.items() if name in fields} | said


def gpp_string(name: str, **said: object) -> str:
    return gpp.write_gpp_string({name: gpp_fields(name, **said)})


def tc_string(**changes: object) -> str:
    """A TC string of today with consent to every purpose and special feature and to vendors 2 and 5, but for the
    changes.
    """
    consented = {
        "PolicyVersion": 5,
        "Created": WHEN,
        "LastUpdated": WHEN,
        "PurposeConsents": [True] * strings.PURPOSES,
        "SpecialFeatureOptins": [True] * strings.SPECIAL_FEATURES,
        "VendorConsents": [2, 5],
        "VendorsDisclosed": [2, 5],
        "PublisherRestrictions": [],
    }
    return tcf.write_eu(strings.eu_fields(Random(1)) | consented | changes)


NO_CONSENT = {
    "PurposeConsents": [False] * strings.PURPOSES, "SpecialFeatureOptins": [False] * strings.SPECIAL_FEATURES,
    "VendorConsents": [], "PublisherConsents": [False] * strings.PURPOSES, "NumCustomPurposes": 0,
    "PublisherCustomConsents": [], "PublisherCustomLegitimateInterests": [],
}  # fmt: skip
TC_CONSENT, TC_WITHOUT_ANY = tc_string(), tc_string(**NO_CONSENT)
TC_SOME = tc_string(PurposeConsents=[True] + [False] * (strings.PURPOSES - 1))  # somebody ticked one box
TC_NOT_PRECISE = tc_string(SpecialFeatureOptins=[False] + [True] * (strings.SPECIAL_FEATURES - 1))
GPP_OUT, GPP_ALLOWED = gpp_string("usnat", SaleOptOut=1), gpp_string("usnat")
GPP_GPC = gpp_string("usca", Gpc=True)
GPP_GPC_OF_INDIANA = gpp_string("usin") + ".YA"  # a subsection that Indiana does not have
ADCHOICES_OUT, ADCHOICES_ALLOWED = write_adchoices(SECONDS, 0), write_adchoices(SECONDS, 1)

OPT_OUTS: dict[str, list[object]] = {
    "gpc": ["1", 1, True],
    "us_privacy": ["1YYN", "1yyn", "1-Y-", "2YYN"],
    "gpp": [
        GPP_OUT,
        GPP_GPC,
        gpp.write_gpp_string({"uspv1": "1YYN"}),
        gpp.write_gpp_string({"tcfeuv2": TC_SOME}),
        GPP_OUT + "AAA",
        GPP_OUT + "=",
        GPP_GPC_OF_INDIANA,
    ],
    "tc": [TC_SOME, TC_WITHOUT_ANY],
    "ac": ["1~", "2~~dv.7"],
    "adchoices": [ADCHOICES_OUT],
    "cookies": [
        "usprivacy=1YYN",
        "OptanonConsent=groups=SPD_BG:0",
        "OptanonConsent=groups=C0004:0",
        "cmplz_marketing=deny; cmplz_banner-status=dismissed",
        "OptanonConsent=groups=C0004%3A0&interactionCount=0",
        f"IABGPP_HDR_GppString={GPP_OUT}; IABGPP_GppSID=8",
    ],
    "att": [0, 1, 2],
    "lmt": [1],
    "dnt": ["1"],
    "stored": [
        {"IABUSPrivacy_String": "1YYN"},
        {"gad_rdp": 1},
        {"IABGPP_HDR_GppString": GPP_OUT},
        {"IABGPP_7_String": GPP_OUT.partition("~")[2]},
    ],
}
OTHERS: dict[str, list[object]] = {
    "gpc": [None, "0", "yes"],
    "us_privacy": ["1YNN", "1---", "junk", 7],
    "gpp": [GPP_ALLOWED, "DBAA", "junk", gpp.write_gpp_string({"tcfeuv2": TC_CONSENT})],
    "gpp_sid": [[7], [-1], "8,9", "", {}, True],
    "tc": [TC_CONSENT, TC_NOT_PRECISE, "junk", []],
    "gdpr": [0, 1, "0"],
    "ac": ["1~7", "2~7~dv.9", "junk"],
    "adchoices": [ADCHOICES_ALLOWED, "junk"],
    "cookies": [
        "", "a=1", "usprivacy=1YNN", "usprivacy=junk", "OptanonConsent=groups=C0004:1&interactionCount=1", 7,
        "euconsent-v2=" + TC_CONSENT, "cmplz_marketing=allow; cmplz_banner-status=dismissed", "a=" + "x" * 20_000,
    ],
    "att": [3, 9],
    "lmt": [0],
    "dnt": [0],
    "stored": [{}, {"IABUSPrivacy_String": "1YNN"}, {"IABGPP_GppSID": "7_8"}, "junk"],
    "zzz": [1],
}  # fmt: skip


def web(*headers, hearing=SHIPPED, query=b""):
    """What a browser's request says: headers in text, values in text or bytes."""
    pairs = [(name.encode(), value if isinstance(value, bytes) else value.encode("latin-1")) for name, value in headers]
    return from_web(pairs, hearing, query)


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


def mixes(words):
    """Any of the members, each with one of its words: a strategy of what one call says."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(each) for name, each in words.items()})
