"""Which category, group, purpose or service name of each tool stands for the sale of data, and which for advertising.

Sites choose these names, so the table is data: here are the names that the tools ship with (signals.md section 6), and
`merge` adds an operator's own. Nothing here reads a cookie.
"""

from collections.abc import Mapping
from typing import cast, get_args

from gateway.signals.cmp_cookies.state import Word

Categories = Mapping[str, Mapping[str, Word]]

# Sites that use vanilla-cookieconsent name their categories themselves, and a refused one is left out of the cookie:
# these are the usual names, of which a site has one or none.
USUAL_ADS_NAMES = frozenset({"ad", "ads", "advertisement", "advertising", "marketing", "targeting"})

_ADS: Mapping[str, Word] = dict.fromkeys(sorted(USUAL_ADS_NAMES), "ads")

# tarteaucitron's own keys of type "ads", and Google's consent mode switches in it.
_TARTEAUCITRON: Mapping[str, Word] = dict.fromkeys(
    (
        "adsense",
        "adsensesearch",
        "bingads",
        "criteo",
        "doubleclick",
        "facebookpixel",
        "gcmadstorage",
        "gcmadsuserdata",
        "gcmpersonalization",
        "googleads",
        "googleadwordsconversion",
        "googleadwordsremarketing",
        "linkedininsighttag",
        "regex_ads",
        "twitteruwt",
    ),
    "ads",
)

# Fides: the notice keys that its own integrations know, as `clients/fides-js` lists them.
_FIDES: Mapping[str, Word] = {
    **_ADS,
    "data_sales": "sale",
    "data_sales_and_sharing": "sale",
    "data_sales_gpp_us_state": "sale",
    "data_sales_sharing_gpp_us_state": "sale",
    "data_sharing": "sale",
    "data_sharing_gpp_us_state": "sale",
    "sales_sharing_targeted_advertising_gpp_us_national": "sale",
    "targeted_advertising": "ads",
    "targeted_advertising_gpp_us_state": "ads",
}

CATEGORIES: Categories = {
    # SPD_BG sale of personal data, SSPD_BG sale or sharing of it, OSSTA_BG sale, sharing and targeted ads; C0004, older
    # 4: targeting
    "onetrust": {"SPD_BG": "sale", "SSPD_BG": "sale", "OSSTA_BG": "sale", "C0004": "ads", "4": "ads"},
    # levels as notice_preferences counts them: 0 required, 1 functional, 2 advertising
    "trustarc": {"2": "ads"},
    "cookiebot": {"marketing": "ads"},
    "cookieyes": {"advertisement": "ads"},
    "complianz": {"marketing": "ads"},
    # data_sharing is the purpose of its "do not sell" notices; the rest are its names of TCF purposes 2 to 4
    "didomi": {
        **_ADS,
        "data_sharing": "sale",
        "data_sharing_web": "sale",
        "advertising_personalization": "ads",
        "select_basic_ads": "ads",
        "create_ads_profile": "ads",
        "select_personalized_ads": "ads",
    },
    # services have random ids, so a site names its own; these are its Google consent mode switches
    "usercentrics": {**_ADS, "adStorage": "ads", "adUserData": "ads", "adPersonalization": "ads"},
    "fides": _FIDES,
    "c15t": {"marketing": "ads"},
    "klaro": _ADS,
    "vanilla_cookieconsent": {},  # nothing of its own: see USUAL_ADS_NAMES
    "ketch": {
        **_ADS,
        "behavioral_advertising": "ads",
        "targeted_advertising": "ads",
        "data_sales": "sale",
        "data_sales_and_sharing": "sale",
        "data_broking": "sale",
    },
    "transcend": {"SaleOfInfo": "sale", "Advertising": "ads"},
    # purpose 5 is marketing; the US choices stand apart: s sale, sh sharing, adv targeted ads
    "iubenda": {"5": "ads", "s": "sale", "sh": "sale", "adv": "ads"},
    # the stock order of its categories: 3 display ads, 10 cookie match
    "tealium": {"c3": "ads", "c10": "ads"},
    "tarteaucitron": _TARTEAUCITRON,
    "cookiefirst": {**_ADS, "bing_ads": "ads", "facebook_pixel": "ads", "google_ads": "ads", "linkedin_ads": "ads"},
    "consentmanager": {},  # purposes are numbered by the site
    # m marketing, s sale of data; t is the sale among `purposes`; GDPR and CCPA are the regimes of version 2.0
    "shopify": {"m": "ads", "s": "sale", "t": "sale", "GDPR": "ads", "CCPA": "sale"},
    "typo3": {},  # groups are numbered by the site
}


def merge(defaults: Categories, own: Mapping[str, Mapping[str, str]]) -> Categories:
    """The defaults with an operator's own names added, or given another word. A default name is never lost.

    `own` is {tool: {name: "sale" | "ads"}}. Raises `ValueError` with the fix for an unknown tool or word.
    """
    for tool, names in own.items():
        if tool not in defaults:
            raise ValueError(f"no consent tool {tool!r}: use one of {', '.join(sorted(defaults))}")
        for name, word in names.items():
            if word not in get_args(Word):
                raise ValueError(f'{tool}: {name} = {word!r}: use "sale" or "ads"')
    added = cast("Categories", own)
    return {tool: {**names, **added.get(tool, {})} for tool, names in defaults.items()}
