"""Cookies that some twenty-five consent tools leave on a first-party site: a whole jar in, out what each tool shows,
and whether a person did it. `signals.hear` calls it for a web request.

A tool's default is kept apart from an act: a default denies in this answer and is never remembered (R25). Groups are
named by the site, so what they stand for is an argument. The whole jar is seen, since companions tell acts from
defaults. A jar without tools costs a look-up a cookie.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from gateway.signals import cookies
from gateway.signals.cmp_cookies import forms, tools_by_name
from gateway.signals.cmp_cookies.values import CATEGORIES, Categories, Cookie, ToolState
from gateway.terms import Malformed

CHANNEL = "cmp_cookie"
MAX_OF_A_NAME = 16  # a browser sends two or three of a name
MAX_OF_A_BEGINNING = 64  # a tool sets some ten names that begin alike
Reader = Callable[[Cookie], Iterator[ToolState]]
Entry = tuple[str, Reader]


def _opaque(cookie: Cookie) -> Iterator[ToolState]:
    """An id or a ciphertext: its presence is no opt-out, and what it stands for is never guessed."""
    yield cookie.opaque()


EXACT: Mapping[str, Entry] = {
    **dict.fromkeys(forms.CARRIERS, ("iab", forms.read_plain)),
    tools_by_name.CONSENT: ("onetrust", tools_by_name.read_onetrust),
    tools_by_name.GPP: ("onetrust", tools_by_name.read_gpp),
    "OneTrustWPCCPAGoogleOptOut": ("onetrust", forms.read_mark),
    "notice_preferences": ("trustarc", tools_by_name.read_preferences),
    "notice_gdpr_prefs": ("trustarc", tools_by_name.read_gdpr_prefs),
    "cmapi_cookie_privacy": ("trustarc", tools_by_name.read_permit),
    "gpcishonored": ("trustarc", forms.read_mark),
    "CookieConsent": ("cookiebot", forms.read_cookiebot),
    "cookieyes-consent": ("cookieyes", forms.read_cookieyes),
    "didomi_token": ("didomi", forms.read_didomi),
    "uc_settings": ("usercentrics", forms.read_usercentrics),
    "ucData": ("usercentrics", forms.read_usercentrics),
    "uc_ccpa": ("usercentrics", forms.read_wrapped),
    "uc_usprivacy": ("usercentrics", forms.read_wrapped),
    "uc_tcf": ("usercentrics", forms.read_wrapped),
    "c15t": ("c15t", forms.read_c15t),
    "privacy-consent-storage": ("c15t", forms.read_c15t),
    "klaro": ("klaro", tools_by_name.read_klaro),
    "cc_cookie": ("vanilla_cookieconsent", forms.read_vanilla),
    "_ketch_consent_v1_": ("ketch", tools_by_name.read_ketch),
    "gpcsignal": ("ketch", forms.read_mark),
    "tcm": ("transcend", forms.read_transcend),
    "tcmConsent": ("transcend", forms.read_transcend),
    "CONSENTMGR": ("tealium", forms.read_tealium),
    "FCCDCF": ("funding_choices", forms.read_wrapped),
    "tarteaucitron": ("tarteaucitron", tools_by_name.read_tarteaucitron),
    "cookiefirst-consent": ("cookiefirst", tools_by_name.read_cookiefirst),
    "_tracking_consent": ("shopify", tools_by_name.read_shopify),
    "_cmp_a": ("shopify", tools_by_name.read_shopify),
    "gpp": ("yahoo", forms.read_gpp_cookie),
    "IABGPP_HDR_GppString": ("iab", forms.read_gpp_cookie),
    "cmp": ("yahoo", forms.read_yahoo),
    "__gpp": ("trusted_server", forms.read_gpp_cookie),
    "omCookieConsent": ("typo3", forms.read_typo3),
    **dict.fromkeys(("osano_consentmanager", "osano_consentmanager_uuid"), ("osano", _opaque)),
    **dict.fromkeys(("consentUUID", "ccpaUUID", "usnatUUID", "_sp_su"), ("sourcepoint", _opaque)),
    **dict.fromkeys(("_swb", "_swb_consent_"), ("ketch", _opaque)),
    "_cmpRepromptHash": ("inmobi", _opaque),
}
# The first that fits; the tools put a site's id or a suffix behind these.
PREFIXES: Mapping[str, Entry] = {
    forms.COMPLIANZ: ("complianz", forms.read_complianz),
    "_iub_cs-": ("iubenda", forms.read_iubenda),
    "fides_consent": ("fides", tools_by_name.read_fides),
    "__cmpcpc": ("consentmanager", forms.read_consentmanager),
    "__cmpconsent": ("consentmanager", forms.read_consentmanager_string),
    "__cmpcvc": ("consentmanager", _opaque),
    "__cmpccc": ("consentmanager", _opaque),
}
STARTS = tuple(PREFIXES)
COMPANIONS = (
    tools_by_name.CLOSED,
    f"{tools_by_name.GPP}*",
    tools_by_name.BEHAVIOR,
    forms.USERCENTRICS_ACT,
    *forms.SECTIONS_BESIDE.values(),
)
NAMES: tuple[str, ...] = (*EXACT, *(f"{start}*" for start in PREFIXES), *COMPANIONS)
_WHOLE = frozenset(name for name in NAMES if not name.endswith("*"))
_BEGINNINGS = tuple(name[:-1] for name in NAMES if name.endswith("*"))


def is_read(name: str) -> bool:
    """Whether a cookie of this name is a tool's, or is looked at beside one."""
    return name in _WHOLE or name.startswith(_BEGINNINGS)


def read_tool(jar: Sequence[tuple[str, str]], categories: Categories = CATEGORIES) -> list[ToolState | Malformed]:
    """What every consent-tool cookie of a jar shows, in order.

    `jar` holds (name, raw value) pairs as `cookies.parse` gives them, duplicates kept: each is heard. Never raises: a
    cookie that cannot be read is a `Malformed`, and the others still count.
    """
    ours = [pair for pair in jar if pair[0] in EXACT or pair[0].startswith(STARTS)]
    if not ours:
        return []
    beside: dict[str, list[str]] = {}
    for name, value in jar:
        beside.setdefault(name, []).append(value)
    found: list[ToolState | Malformed] = []
    named: Counter[str] = Counter()
    alike: Counter[str] = Counter()
    left = False
    for name, value in dict.fromkeys(ours):
        begins = "" if name in EXACT else _beginning(name)
        named[name] += 1
        alike[begins] += bool(begins)
        if named[name] > MAX_OF_A_NAME or alike[begins] > MAX_OF_A_BEGINNING:
            left = True  # each looks at its companions: without end it holds the next visitor up
            continue
        tool, reader = PREFIXES[begins] if begins else EXACT[name]
        found += _heard(reader, Cookie(tool, name, value, beside, categories.get(tool, {})))
    if left:
        found.append(Malformed(CHANNEL, "count"))
    return found


def _beginning(name: str) -> str:
    return next(start for start in STARTS if name.startswith(start))


def _heard(reader: Reader, cookie: Cookie) -> list[ToolState | Malformed]:
    """Every reader says with a `ValueError` that a value has another form than its tool's."""
    if len(cookie.value) > cookies.MAX_BYTES:
        return [Malformed(CHANNEL, "size")]
    try:
        return [*reader(cookie)]
    except ValueError:
        return [Malformed(CHANNEL, "format")]
