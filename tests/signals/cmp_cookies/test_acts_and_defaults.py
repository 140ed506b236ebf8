"""Each tool in the states that a person, the tool or nobody can bring it into: what is denied, and what is an act
(R25).

The rows are of our own making, in the forms that the tools write.
"""

import base64
import gzip
import json
from urllib.parse import quote

import pytest

from gateway.signals.cmp_cookies import values


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:70]


def uri(value):
    return quote(json.dumps(value, separators=(",", ":")))


def raw(value):
    return json.dumps(value, separators=(",", ":"))


def packed(value):
    return base64.b64encode(raw(value).encode()).decode()


def zipped(value):
    return "gzip:" + base64.urlsafe_b64encode(gzip.compress(raw(value).encode(), mtime=0)).decode()


TRUSTARC = [
    ("notice_preferences=0:", "ads"),
    ("notice_preferences=1:", "ads"),
    ("notice_preferences=2:", "nothing"),
    ("notice_preferences=3:", "nothing"),
    ("notice_preferences=0:; notice_behavior=implied,us", "ads by act"),
    ("notice_behavior=implied%2Cus; notice_preferences=1:ab12", "ads by act"),
    ("notice_preferences=0:; notice_behavior=expressed,eu", "ads"),
    ("notice_preferences=0:; notice_behavior=implied,us; notice_behavior=expressed,eu", "ads"),
    ("notice_preferences=2:; notice_behavior=expressed,eu", "allowed"),
    ("notice_preferences=2:; notice_behavior=implied,us", "nothing"),
    ("notice_gdpr_prefs=0:", "ads"),
    ("notice_gdpr_prefs=0|1:", "ads"),
    ("notice_gdpr_prefs=0,1,2:1a8b", "nothing"),
    ("notice_gdpr_prefs=0|1|2:", "nothing"),
    ("notice_gdpr_prefs=0,2:", "nothing"),
    ("notice_gdpr_prefs=0::implied,us", "ads by act"),
    ("notice_gdpr_prefs=0,1,2::implied,us", "nothing"),
    ("notice_gdpr_prefs=0,1,2::expressed,eu", "allowed"),
    ("cmapi_cookie_privacy=permit 1 required", "ads"),
    ("cmapi_cookie_privacy=permit 1,2", "ads"),
    ("cmapi_cookie_privacy=permit%201,2", "ads"),
    ("cmapi_cookie_privacy=permit 1,2,3", "nothing"),
    ("cmapi_cookie_privacy=permit_1|2|3", "nothing"),
    ("cmapi_cookie_privacy=permit 1,2; notice_behavior=implied,us", "ads by act"),
    ("notice_behavior=implied,us", ""),
    ("gpcishonored=true", "sale by act"),
    ("gpcishonored=false", "nothing"),
    ("notice_preferences=all", "malformed"),
    ("notice_preferences=", "malformed"),
    ("notice_gdpr_prefs=none:", "malformed"),
    ("cmapi_cookie_privacy=deny", "malformed"),
]
COOKIEBOT = [
    ("CookieConsent={stamp:%27-%27%2Cnecessary:true%2Cmarketing:false%2Cmethod:%27explicit%27}", "ads by act"),
    ("CookieConsent={necessary:true%2Cmarketing:false%2Cmethod:%27implied%27}", "ads by default"),
    ("CookieConsent={necessary:true%2Cmarketing:false}", "ads"),
    ("CookieConsent={necessary:true,marketing:false,method:'explicit'}", "ads by act"),
    ("CookieConsent=%7Bnecessary%3Atrue%2Cmarketing%3Afalse%2Cmethod%3A%27explicit%27%7D", "ads by act"),
    ("CookieConsent=%257Bnecessary%253Atrue%252Cmarketing%253Afalse%257D", "ads"),
    ("CookieConsent={necessary:true%2Cmarketing:true%2Cmethod:%27explicit%27}", "allowed"),
    ("CookieConsent={necessary:true%2Cmarketing:true%2Cmethod:%27implied%27}", "nothing"),
    ("CookieConsent={necessary:true%2Cmarketing:true%2Cmarketing:false}", "ads"),
    ("CookieConsent={necessary:true%2Cmarketing:false%2Cmarketing:true}", "ads"),
    ("CookieConsent=0", "ads"),
    ("CookieConsent=-1", "nothing"),
    ("CookieConsent=false", "ads"),
    ("CookieConsent=true", "nothing"),
    ("CookieConsent=", "malformed"),
    ("CookieConsent=2", "malformed"),
]
COOKIEYES = [
    ("cookieyes-consent=consent:no,action:yes,necessary:yes,advertisement:no", "ads by act"),
    ("cookieyes-consent=consent:no,action:,necessary:yes,advertisement:no", "ads by default"),
    ("cookieyes-consent=consent:no,action:no,necessary:yes,advertisement:no", "ads by default"),
    ("cookieyes-consent=consent:no,necessary:yes,advertisement:no", "ads"),
    ("cookieyes-consent=consent:yes,action:yes,necessary:yes,advertisement:yes", "allowed"),
    ("cookieyes-consent=consent:yes,action:,necessary:yes,advertisement:yes", "nothing"),
    ("cookieyes-consent=consent:no,action:yes,necessary:yes,advertisement:yes", "sale by act"),
    ("cookieyes-consent=consent:no,action:,necessary:yes,advertisement:yes", "nothing"),
    ("cookieyes-consent=consent%3Ano%2Caction%3Ayes%2Cadvertisement%3Ano", "ads by act"),
    (r'cookieyes-consent="consent:no\054action:yes\054advertisement:no"', "ads by act"),
    ("cookieyes-consent=junk", "malformed"),
]
COMPLIANZ = [
    ("cmplz_marketing=deny", "ads"),
    ("cmplz_marketing=deny; cmplz_banner-status=dismissed", "ads by act"),
    ("cmplz_banner-status=dismissed; cmplz_marketing=deny", "ads by act"),
    ("cmplz_marketing=deny; cmplz_banner-status=show", "ads"),
    ("cmplz_marketing=deny; cmplz_consent_mode=optout", "sale by act"),
    ("cmplz_marketing=allow; cmplz_consent_mode=optout", "nothing"),
    ("cmplz_marketing=allow; cmplz_banner-status=dismissed", "allowed"),
    ("cmplz_marketing=allow", "nothing"),
    ("cmplz_statistics=deny; cmplz_policy_id=14; cmplz_consented_services=", ""),
    ("cmplz_marketing=perhaps", "malformed"),
]
TEALIUM = [
    ("CONSENTMGR=c1:0|c3:0|ts:1721686992938|consent:true", "ads"),
    ("CONSENTMGR=c1:0%7Cc3:1%7Cts:1721686992938%7Cconsent:true", "nothing"),
    ("CONSENTMGR=c10:0|consent:true", "ads"),
    ("CONSENTMGR=ts:1721686992938|consent:false", "ads"),
    ("CONSENTMGR=ts:1721686992938|consent:true", "nothing"),
    ("CONSENTMGR=", "malformed"),
]
FIDES = [
    (f"fides_consent={form({'consent': {name: value}, 'fides_meta': {'consentMethod': method}})}", says)
    for form in (uri, raw, zipped, packed)
    for name, value, method, says in [
        ("data_sales_and_sharing", False, "reject", "sale by act"),
        ("data_sales_and_sharing", "opt_out", "save", "sale by act"),
        ("data_sales_and_sharing", False, "script", "sale by default"),
        ("data_sales_and_sharing", False, "dismiss", "sale by default"),
        ("data_sales_and_sharing", False, None, "sale"),
        ("data_sales_and_sharing", True, "accept", "allowed"),
        ("data_sales_and_sharing", True, "script", "nothing"),
        ("marketing", False, "individual_notice", "ads by act"),
        ("analytics", True, "gpc", "sale by act"),
    ]
]
FIDES += [
    (f"fides_consent_shop={uri({'consent': {'data_sales': False}, 'fides_meta': {}})}", "sale"),
    (f"fides_consent={uri({'data_sales': False, 'analytics': True})}", "sale"),
    (f"fides_consent={uri({'consent': {}, 'fides_string': ',,,' + packed({'data_sales': 0})})}", "sale"),
    (f"fides_consent={uri({'consent': {'data_sales': 0}, 'fides_string': ',,,junk!'})}", "sale"),
    (f"fides_consent={uri({'consent': [], 'fides_meta': [], 'fides_string': [[]]})}", "nothing"),
    ("fides_consent=gzip:AAAA", "malformed"),
    (f"fides_consent={packed([1])}", "malformed"),
    ("fides_consent=", "malformed"),
]
C15T = [
    ("c15t=c.necessary:1,c.functionality:1,i.t:1764000000000", "ads by act"),
    ("c15t=c.necessary%3A1%2Ci.t%3A1764000000000", "ads by act"),
    ("c15t=i.t:1764000000000", "ads by act"),
    ("c15t=c.necessary:1,c.marketing:0,i.t:1", "ads by act"),
    ("c15t=c.necessary:1,c.marketing:1,i.t:1764000000000", "allowed"),
    (f"privacy-consent-storage={uri({'consents': {'necessary': True}})}", "ads by act"),
    (f"privacy-consent-storage={uri({'consents': {'necessary': True, 'marketing': True}})}", "allowed"),
    ("c15t=necessary", "malformed"),
]
KLARO = [
    (f"klaro={uri({'session': True, 'marketing': False})}", "ads by act"),
    (f"klaro={raw({'session': True, 'marketing': False})}", "ads by act"),
    (f"klaro={uri({'session': True, 'marketing': True})}", "allowed"),
    (f"klaro={uri({'session': True, 'matomo': False})}", "nothing"),
    (f"klaro={uri({'essential': True, 'matomo': False, 'tracker': False})}", "ads"),
    (f"klaro={uri({'essential': True})}", "nothing"),
    ('klaro={"session":true,"marketing":false,"marketing":true}', "ads by act"),
    ('klaro={"session":true,"marketing":true,"marketing":false}', "ads by act"),
    ('klaro={"session":true,"marketing":"false"}', "ads by act"),
    ('klaro={"session":1,"marketing":0}', "ads by act"),
    ('klaro={"session":null,"marketing":null,"other":[]}', "nothing"),
    (r'klaro="{\"adtracker\":false}"', "ads"),
    (r'klaro="{\"session\":true\054\"marketing\":false}"', "ads by act"),
    ("klaro={}", "nothing"),
    ("klaro=[]", "malformed"),
    ("klaro=", "malformed"),
]
VANILLA = [
    (f"cc_cookie={raw({'level': ['necessary', 'analytics'], 'revision': 0})}", "ads"),
    (f"cc_cookie={raw({'level': ['necessary', 'targeting'], 'revision': 0})}", "allowed"),
    (f"cc_cookie={raw({'level': [], 'revision': 0})}", "ads"),
    (f"cc_cookie={uri({'categories': ['necessary'], 'services': {'necessary': [], 'ads': []}})}", "ads by act"),
    (f"cc_cookie={uri({'categories': ['ads'], 'services': {'ads': [], 'marketing': []}})}", "ads by act"),
    (f"cc_cookie={uri({'categories': ['necessary', 'ads'], 'services': {'ads': []}})}", "allowed"),
    (f"cc_cookie={uri({'categories': 'all'})}", "ads"),
    (f"cc_cookie={uri({'revision': 0})}", "malformed"),
]
KETCH = [
    (f"_ketch_consent_v1_={packed({'behavioral_advertising': {'status': 'denied'}})}", "ads"),
    (f"_ketch_consent_v1_={quote(packed({'data_sales': {'status': 'denied'}}))}", "sale"),
    (f"_ketch_consent_v1_={packed({'own': {'status': 'denied', 'canonicalPurposes': ['data_sales']}})}", "sale"),
    (f"_ketch_consent_v1_={packed({'targeted_advertising': 'denied'})}", "ads"),
    (f"_ketch_consent_v1_={packed({'data_sales': {'status': 'granted'}})}", "nothing"),
    (f"_ketch_consent_v1_={packed({'essential_services': {'status': 'granted'}})}", "nothing"),
    ("gpcsignal=true", "sale by act"),
    ("gpcsignal=true; gpcsignal=true; gpcsignal=false", "sale by act + nothing"),
    ("_swb=00000000-0000-4000-8000-000000000000", "opaque"),
    ("_ketch_consent_v1_=token", "malformed"),
]
TRANSCEND = [
    (f"tcm={uri({'purposes': {'SaleOfInfo': False}, 'confirmed': True})}", "sale by act"),
    (f"tcm={uri({'purposes': {'SaleOfInfo': False}, 'confirmed': False})}", "sale by default"),
    (f"tcm={uri({'purposes': {'SaleOfInfo': False}})}", "sale"),
    (f"tcm={raw({'purposes': {'SaleOfInfo': 'Auto', 'Advertising': False}, 'confirmed': True})}", "ads by act"),
    (f"tcm={uri({'purposes': {'SaleOfInfo': 'Auto', 'Advertising': 'Auto'}, 'confirmed': True})}", "nothing"),
    (f"tcmConsent={uri({'purposes': {'SaleOfInfo': True, 'Advertising': True}, 'confirmed': True})}", "allowed"),
    (f"tcm={uri({'confirmed': True})}", "malformed"),
]
IUBENDA = [
    (f"_iub_cs-1234={uri({'purposes': {'1': True, '5': False}})}", "ads"),
    (f"_iub_cs-1234={uri({'purposes': {'1': True, '5': True}})}", "nothing"),
    (f"_iub_cs-1234={uri({'consent': False})}", "ads"),
    (f"_iub_cs-1234={uri({'id': 1234})}", "nothing"),
    (f"_iub_cs-1234-uspr={uri({'s': False, 'sh': True, 'adv': True})}", "sale by act"),
    (f"_iub_cs-1234-uspr={uri({'s': True, 'sh': True, 'adv': False})}", "ads by act"),
    (f"_iub_cs-1234-uspr={uri({'s': True, 'sh': True, 'adv': True})}", "allowed"),
    ("_iub_cs-1234-granular=anything", "opaque"),
    ("_iub_cs-1234=true", "malformed"),
]
TARTEAUCITRON = [
    ("tarteaucitron=!gtag=true!facebookpixel=false", "ads by act"),
    ("tarteaucitron=%21gtag%3Dtrue%21facebookpixel%3Dfalse", "ads by act"),
    ("tarteaucitron=!gtag=true!facebookpixel=true", "nothing"),
    ("tarteaucitron=!gtag=wait!facebookpixel=wait", "nothing"),
    ("tarteaucitron=!gtag=false!youtube=false", "ads"),
    ("tarteaucitron=!gtag=false!youtube=true", "nothing"),
    ("tarteaucitron=", "malformed"),
]
COOKIEFIRST = [
    (f"cookiefirst-consent={uri({'necessary': True, 'advertising': False, 'type': 'category'})}", "ads"),
    (f"cookiefirst-consent={uri({'necessary': True, 'advertising': True, 'timestamp': 1764000000})}", "nothing"),
    (f"cookiefirst-consent={uri({'cookiefirst': True, 'linkedin_ads': False, 'type': 'granular'})}", "ads"),
    (f"cookiefirst-consent={uri({'cookiefirst': True, 'hubspot': False, 'type': 'granular'})}", "ads"),
    ("cookiefirst-consent=null", "malformed"),
]
DIDOMI = [
    (f"didomi_token={packed({'purposes': {'disabled': ['advertising_personalization']}})}", "ads by act"),
    (f"didomi_token={packed({'purposes': {'disabled': ['advertising']}})}", "ads by act"),
    (f"didomi_token={packed({'purposes': {'enabled': ['cookies'], 'disabled': ['data_sharing']}})}", "sale by act"),
    (f"didomi_token={packed({'purposes': {'enabled': ['select_basic_ads']}}).rstrip('=')}", "allowed"),
    (
        f"didomi_token={packed({'purposes': {'enabled': ['data_sharing'], 'disabled': ['data_sharing']}})}",
        "sale by act",
    ),
    (f"didomi_token={packed({'purposes': {'enabled': ['geolocation_data']}})}", "nothing"),
    (f"didomi_token={packed({'user_id': 'x'})}", "nothing"),
    ("didomi_token=not base64!", "malformed"),
]
USERCENTRICS = [
    (f"uc_settings={uri({'services': [{'id': 'marketing', 'status': False}]})}", "ads"),
    (
        f"uc_settings={uri({'services': [{'id': 'marketing', 'status': False}]})}; uc_user_interaction=true",
        "ads by act",
    ),
    (f"uc_settings={uri({'services': [{'id': 'ads', 'status': False}]})}; uc_user_interaction=false", "ads by default"),
    (f"uc_settings={uri({'services': [{'id': 'ads', 'status': True}]})}; uc_user_interaction=true", "allowed"),
    (f"uc_settings={uri({'services': [None, {'id': 7}, []]})}", "nothing"),
    (f"ucData={uri({'gcm': {'adStorage': 'denied', 'analyticsStorage': 'granted'}})}", "ads"),
    (f"ucData={uri({'consent': {'services': {'x1': {'name': 'marketing', 'consent': False}}}})}", "ads"),
    ("uc_user_interaction=true", ""),
    ("uc_settings=1", "malformed"),
]
SHOPIFY = [
    ("_tracking_consent=3s.AMP_USCA_f_t_AAAA", "sale by act"),
    ("_tracking_consent=3sS.AMPS_USCA_f_t_AAAA", "sale by act"),
    ("_tracking_consent=3Ss.AMPS_USCA_f_t_AAAA", "sale by act"),
    ("_tracking_consent=3m.APS_USCA_f_t_AAAA", "ads by act"),
    ("_tracking_consent=3aMPs.MP_USCA_f_t_AAAA", "sale by act"),
    ("_tracking_consent=3M.AMP_USCA_f_t_AAAA", "allowed + sale by default"),
    ("_tracking_consent=3m.AP_USCA_f_t_AAAA", "ads by act + sale by default"),
    ("_tracking_consent=3AMPS.AMPS_USCA_f_t_AAAA", "allowed"),
    ("_tracking_consent=3.AMPS_USCA_f_f_AAAA", "nothing"),
    ("_tracking_consent=3.AMP_USCA_f_t_AAAA", "nothing + sale by default"),
    ("_tracking_consent=3.APS_DE_t_f_AAAA", "nothing + ads by default"),
    (f"_tracking_consent={uri({'con': {'CMP': {'a': '1', 'm': '1', 's': '0'}}, 'v': '2.1'})}", "sale by act"),
    (f"_tracking_consent={uri({'con': {'CMP': {'a': '1', 'm': '0', 's': ''}}, 'v': '2.1'})}", "ads by act"),
    (f"_tracking_consent={uri({'con': {'CMP': {'m': '', 's': ''}}, 'v': '2.1'})}", "nothing"),
    (
        f"_tracking_consent={uri({'con': {'CMP': {'m': '', 's': ''}}, 'purposes': {'m': True, 't': False}})}",
        "nothing + sale by default",
    ),
    (
        f"_tracking_consent={uri({'con': {'CMP': {'m': '0'}}, 'purposes': {'m': False, 't': True}})}",
        "ads by act",
    ),
    (f"_tracking_consent={raw({'con': {'GDPR': '0'}, 'v': '2.0', 'reg': 'GDPR', 'lim': ['GDPR']})}", "ads by act"),
    (f"_tracking_consent={raw({'con': {'CCPA': '0'}, 'v': '2.0', 'reg': 'CCPA'})}", "sale by act"),
    (f"_tracking_consent={raw({'con': {'GDPR': '1'}, 'v': '2.0', 'reg': 'GDPR', 'lim': ['GDPR']})}", "allowed"),
    (
        f"_tracking_consent={raw({'con': {'GDPR': ''}, 'v': '2.0', 'reg': 'GDPR', 'lim': ['GDPR']})}",
        "nothing + ads by default",
    ),
    (f"_cmp_a={uri({'purposes': {'a': True, 'p': True, 'm': True, 't': True}})}", "nothing"),
    (f"_cmp_a={uri({'purposes': {'a': True, 'p': True, 'm': False, 't': True}})}", "nothing + ads by default"),
    ("_tracking_consent=4.AMPS_USCA", "malformed"),
    (f"_tracking_consent={uri({'v': '2.1'})}", "malformed"),
]
OTHERS = [
    ("omCookieConsent=group-1.1,group-3.1,dismiss", "nothing"),
    ("__cmpcpc=__1_2__", "nothing"),
    ("__cmpcvcx1234=__c1_s94_U__", "opaque"),
    ("__cmpcccu1234=aBP1oXvjgABb", "opaque"),
    ("osano_consentmanager=AbCdEf-_", "opaque"),
    ("osano_consentmanager_uuid=00000000-0000-4000-8000-000000000000", "opaque"),
    ("consentUUID=00000000-0000-4000-8000-000000000000_35", "opaque"),
    ("ccpaUUID=x; usnatUUID=y; _sp_su=false", "opaque + opaque + opaque"),
    ("_cmpRepromptHash=CPdLngAPdLng.1.hash", "opaque"),
]
ROWS = [
    *TRUSTARC,
    *COOKIEBOT,
    *COOKIEYES,
    *COMPLIANZ,
    *TEALIUM,
    *FIDES,
    *C15T,
    *KLARO,
    *VANILLA,
    *KETCH,
    *TRANSCEND,
    *IUBENDA,
    *TARTEAUCITRON,
    *COOKIEFIRST,
    *DIDOMI,
    *USERCENTRICS,
    *SHOPIFY,
    *OTHERS,
]


@pytest.mark.parametrize(
    ("header", "says"), ROWS, ids=[f"{number}-{header[:30]}" for number, (header, _) in enumerate(ROWS)]
)
def test_a_refusal_denies_and_only_a_persons_act_is_an_act(told, header, says):
    assert told(header) == says


def test_every_tool_of_the_table_has_a_refusal_that_is_heard_but_the_numbered_ones(states):
    heard = {state.tool for header, _ in ROWS for state in states(header) if getattr(state, "denied", None)}
    assert set(values.CATEGORIES) - heard == {"onetrust", "typo3", "consentmanager"}


OWN = values.merge(
    values.CATEGORIES,
    {
        "klaro": {"adtracker": "ads"},
        "typo3": {"group-2": "ads"},
        "consentmanager": {"3": "sale"},
        "vanilla_cookieconsent": {"promo": "ads", "social": "ads"},
        "tealium": {"c4": "sale"},
        "trustarc": {"1": "ads"},
        "usercentrics": {"r4Nd0m": "ads"},
    },
)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (f"klaro={uri({'session': True, 'adtracker': False})}", "ads by act"),
        ("omCookieConsent=group-1.1,dismiss", "ads by act"),
        ("omCookieConsent=group-1.1,group-2.0,dismiss", "ads by act"),
        ("omCookieConsent=group-1.1", "ads"),
        ("omCookieConsent=group-1.1,group-2.1,dismiss", "allowed"),
        ("__cmpcpcx77=__1_2__", "sale"),
        ("__cmpcpcx77=__1_2_3__", "nothing"),
        (f"cc_cookie={raw({'level': ['necessary', 'promo']})}", "ads by act"),
        (f"cc_cookie={raw({'level': ['necessary', 'promo', 'social']})}", "allowed"),
        ("CONSENTMGR=c3:1|c4:0|consent:true", "sale"),
        ("notice_gdpr_prefs=0,2:", "ads"),
        (f"uc_settings={uri({'services': [{'id': 'r4Nd0m', 'status': False}]})}", "ads"),
    ],
    ids=brief,
)
def test_a_site_that_names_its_own_categories_is_understood(told, header, says):
    assert told(header, OWN) == says


def test_an_operators_names_are_added_and_no_shipped_name_is_lost(told):
    assert told(f"klaro={uri({'marketing': False})}", OWN) == "ads by act"
    assert all(shipped.items() <= OWN[tool].items() for tool, shipped in values.CATEGORIES.items())
    assert values.merge(values.CATEGORIES, {}) == values.CATEGORIES


@pytest.mark.parametrize(
    ("own", "fix"),
    [({"klar": {"ads": "ads"}}, "klaro"), ({"klaro": {"ads": "advert"}}, '"sale" or "ads"')],
    ids=brief,
)
def test_a_misspelt_tool_or_word_is_refused_with_the_fix(own, fix):
    with pytest.raises(ValueError, match=fix):
        values.merge(values.CATEGORIES, own)
