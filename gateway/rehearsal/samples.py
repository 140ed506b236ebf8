"""What a no looks like: one of each kind of signal, as tools, browsers and phones write it.

Made-up values in the tools' own forms (signals.md 6). Owns texts and nothing else; which of them count is for
`gateway.signals` to say, and a kind that it knows and that has no sample here fails a test.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from gateway.choice.downstream import Outcome, strings
from gateway.signals import adchoices
from gateway.terms import SIGNAL_PURPOSES, Source

TC = "CPzvOIAPzvOIAAAAAAENBdCAAAAAAAAAAAAAAAAAAAAA.IAAA"  # consents to nothing
AC = "1~"  # to nobody
US_PRIVACY = "1YYN"
GPP = strings(Outcome(frozenset(SIGNAL_PURPOSES), frozenset({"US-CA"}))).gpp
ADCHOICES = adchoices.write(1_764_000_000, preference=0)  # no to all participants


def _json(value: object) -> str:
    return quote(json.dumps(value, separators=(",", ":")))


class Sample(NamedTuple):
    """A Cookie field. `act`: a person did it, so that it is the person's no and not the browser's state alone (R26)."""

    cookie: str
    source: Source
    act: bool = True


TOOLS: Mapping[str, Sample] = {
    "iab": Sample(f"usprivacy={US_PRIVACY}", Source.US_PRIVACY),
    "onetrust": Sample("OptanonConsent=isGpcEnabled=0&groups=C0001%3A1%2CSPD_BG%3A0", Source.CMP_COOKIE),
    "trustarc": Sample("notice_preferences=0:; notice_behavior=implied,us", Source.CMP_COOKIE),
    "cookiebot": Sample("CookieConsent={necessary:true%2Cmarketing:false%2Cmethod:%27explicit%27}", Source.CMP_COOKIE),
    "cookieyes": Sample(
        "cookieyes-consent=consent:no,action:yes,necessary:yes,advertisement:no", Source.CMP_COOKIE
    ),
    "complianz": Sample("cmplz_marketing=deny; cmplz_banner-status=dismissed", Source.CMP_COOKIE),
    "didomi": Sample("didomi_token=eyJwdXJwb3NlcyI6IHsiZGlzYWJsZWQiOiBbImFkdmVydGlzaW5nIl19fQ==", Source.CMP_COOKIE),
    "usercentrics": Sample(
        f"uc_settings={_json({'services': [{'id': 'marketing', 'status': False}]})}; uc_user_interaction=true",
        Source.CMP_COOKIE,
    ),
    "fides": Sample(
        f"fides_consent="
        f"{_json({'consent': {'data_sales_and_sharing': False}, 'fides_meta': {'consentMethod': 'reject'}})}",
        Source.CMP_COOKIE,
    ),
    "c15t": Sample("c15t=c.necessary:1,c.functionality:1,i.t:1764000000000", Source.CMP_COOKIE),
    "klaro": Sample(f"klaro={_json({'session': True, 'marketing': False})}", Source.CMP_COOKIE),
    "vanilla_cookieconsent": Sample(
        f"cc_cookie={_json({'categories': ['necessary'], 'services': {'necessary': [], 'ads': []}})}", Source.CMP_COOKIE
    ),
    "ketch": Sample("gpcsignal=true", Source.CMP_COOKIE),
    "transcend": Sample(f"tcm={_json({'purposes': {'SaleOfInfo': False}, 'confirmed': True})}", Source.CMP_COOKIE),
    "iubenda": Sample(f"_iub_cs-1234-uspr={_json({'s': False, 'sh': True, 'adv': True})}", Source.CMP_COOKIE),
    "tarteaucitron": Sample("tarteaucitron=!gtag=true!facebookpixel=false", Source.CMP_COOKIE),
    "shopify": Sample("_tracking_consent=3s.AMP_USCA_f_t_AAAA", Source.CMP_COOKIE),
    "typo3": Sample("omCookieConsent=rehearsal.1,dismiss", Source.CMP_COOKIE),
    "tealium": Sample("CONSENTMGR=c1:0|c3:0|ts:1721686992938|consent:true", Source.CMP_COOKIE, act=False),
    "cookiefirst": Sample(
        f"cookiefirst-consent={_json({'necessary': True, 'advertising': False})}", Source.CMP_COOKIE, act=False
    ),
    "yahoo": Sample(f"gpp={GPP}; gpp_sid=8", Source.GPP),
    "trusted_server": Sample(f"__gpp={quote(GPP, safe='')}", Source.GPP),
    "consentmanager": Sample(f"__cmpconsentx36865={TC}", Source.TCF, act=False),
    "funding_choices": Sample(
        f"FCCDCF={_json([None, None, None, [TC, AC, 'an-id'], None])}", Source.TCF, act=False
    ),
}  # fmt: skip
UNREADABLE_TOOLS = frozenset({"osano", "sourcepoint", "inmobi"})  # ids and ciphertexts, which say nothing to anybody
NAMED_BY_THE_SITE = frozenset({"typo3"})  # its groups are numbers until [consent_tools] says what they are

# The `signals` member of a call: a no of each of its members. `lasting`: it is kept (R26).
CALLS: Mapping[str, tuple[Mapping[str, object], Source]] = {
    "gpc": ({"gpc": "1"}, Source.GPC),
    "gpp": ({"gpp": GPP, "gpp_sid": [8]}, Source.GPP),
    "us_privacy": ({"us_privacy": US_PRIVACY}, Source.US_PRIVACY),
    "tc": ({"tc": TC}, Source.TCF),  # without `gdpr`, which names a place that is denied, too
    "ac": ({"ac": AC}, Source.ADDITIONAL_CONSENT),
    "adchoices": ({"adchoices": ADCHOICES}, Source.AD_CHOICES),
    "cookies": ({"cookies": "optout=1"}, Source.AD_CHOICES),
    "stored": ({"stored": {"IABUSPrivacy_String": US_PRIVACY}}, Source.US_PRIVACY),
    "lmt": ({"lmt": 1}, Source.DEVICE),
    "att": ({"att": 2}, Source.DEVICE),
    "dnt": ({"dnt": "1"}, Source.DEVICE),
}
# No to ads and not to a sale (R25): Google's string; and an industry opt-out, which [ad_choices] purposes may widen.
OF_GOOGLE = frozenset({"ac", "addtl_consent"})
OF_ADS = frozenset({"adchoices", "adchoices_signal", "cookies"})
MOMENTARY = frozenset({"dnt"})  # holds in the answer and is on no record
STATES = frozenset({"tc", "ac"})  # a tool may have written them by itself: of this device alone
DEVICES = frozenset({"lmt", "att"})  # the device's own, unless [signals] device_limit_travels

# What a browser's header says.
HEADERS: Mapping[str, tuple[Mapping[str, str], Source]] = {
    "Sec-GPC": ({"Sec-GPC": "1"}, Source.GPC),
    "X-AdChoices": ({"X-AdChoices": ADCHOICES}, Source.AD_CHOICES),
    "Cookie2": ({"Cookie2": ADCHOICES}, Source.AD_CHOICES),
    "opt-out cookie": ({"Cookie": "optout=1"}, Source.AD_CHOICES),
}
# What an ad call's address says: it was said elsewhere, so it holds for that request.
ADDRESSES: Mapping[str, str] = {
    "us_privacy": US_PRIVACY, "gpp": quote(GPP), "gdpr_consent": TC, "addtl_consent": quote(AC),
    "adchoices_signal": ADCHOICES,
}  # fmt: skip
ADDRESSED: Mapping[str, Source] = {
    "us_privacy": Source.US_PRIVACY, "gpp": Source.GPP, "gdpr_consent": Source.TCF,
    "addtl_consent": Source.ADDITIONAL_CONSENT, "adchoices_signal": Source.AD_CHOICES,
}  # fmt: skip
