"""Names of places, for whoever reads or asks one: ISO 3166-1 countries, ISO 3166-2 parts of them, and the words for
"nobody knows where". What holds there is the law's to say.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

PLACE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
LONGEST = len("US-CAL")
US = "US"
UNKNOWN_PLACE = "unknown"
UNREADABLE_PLACE = "ZZ"  # ISO 3166 user-assigned: a place that was said and cannot be read
# What ISO 3166-1 leaves to its users is nobody's country; address books write XX for "no idea".
USER_ASSIGNED = re.compile("AA|Q[M-Z]|X[A-Z]|ZZ")
COUNTRY_CODES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA
CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA
GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS
MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS
RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW
TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""  # ISO 3166-1 alpha-2, the 249 that are assigned (iso3166.tab of the IANA time zone database, public domain)
COUNTRIES = frozenset(COUNTRY_CODES.split())


def _by_code(names: str) -> dict[str, str]:
    return {
        code: name for code, _, name in (each.strip().partition(" ") for each in names.replace("\n", " ").split(","))
    }


STATE_NAMES: Mapping[str, str] = _by_code("""
AL Alabama, AK Alaska, AS American Samoa, AZ Arizona, AR Arkansas, CA California, CO Colorado, CT Connecticut,
DE Delaware, DC District of Columbia, FL Florida, GA Georgia, GU Guam, HI Hawaii, ID Idaho, IL Illinois, IN Indiana,
IA Iowa, KS Kansas, KY Kentucky, LA Louisiana, ME Maine, MD Maryland, MA Massachusetts, MI Michigan, MN Minnesota,
MS Mississippi, MO Missouri, MT Montana, NE Nebraska, NV Nevada, NH New Hampshire, NJ New Jersey, NM New Mexico,
NY New York, NC North Carolina, ND North Dakota, MP Northern Mariana Islands, OH Ohio, OK Oklahoma, OR Oregon,
PA Pennsylvania, PR Puerto Rico, RI Rhode Island, SC South Carolina, SD South Dakota, TN Tennessee, TX Texas, UT Utah,
VT Vermont, VI U.S. Virgin Islands, VA Virginia, WA Washington, WV West Virginia, WI Wisconsin, WY Wyoming
""")  # ISO 3166-2:US, the territories included, in the order of their names
PROVINCE_NAMES: Mapping[str, str] = _by_code("""
AB Alberta, BC British Columbia, MB Manitoba, NB New Brunswick, NL Newfoundland and Labrador, NS Nova Scotia,
NT Northwest Territories, NU Nunavut, ON Ontario, PE Prince Edward Island, QC Quebec, SK Saskatchewan, YT Yukon
""")  # ISO 3166-2:CA, the territories included; none of them is a state's code
STATES, PROVINCES = frozenset(STATE_NAMES), frozenset(PROVINCE_NAMES)
STATES_BY_NAME = {name.casefold().removeprefix("u.s. "): code for code, name in STATE_NAMES.items()}
# OpenRTB writes countries in alpha-3. Only where subdivisions matter to a rule is a translation needed; every other
# country is foreign whatever its name, and keeps the opt-in regime.
ALPHA_3: Mapping[str, str] = {
    "USA": US, "CAN": "CA", "GBR": "GB", "DEU": "DE", "FRA": "FR", "ESP": "ES", "MEX": "MX"
}  # fmt: skip
EUROPEAN_CODES = """
AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK
AX GF GP MF MQ RE YT EL EU
GB CH GG GI IM JE UK
"""  # the European Economic Area with its outermost regions (TFEU 355) and other spellings, the United Kingdom with its
# islands, Switzerland: personal data leaves them on a stated basis only
EUROPEAN = frozenset(EUROPEAN_CODES.split())
UNION = "EU"  # somewhere in it
SPELLINGS: Mapping[str, str] = {"UK": "GB", "EL": "GR"}
STATES_OF: Mapping[str, str] = {
    "AX": "FI",
    "GF": "FR",
    "GP": "FR",
    "MF": "FR",
    "MQ": "FR",
    "RE": "FR",
    "YT": "FR",
    "SJ": "NO",
    "GG": "GB",
    "GI": "GB",
    "IM": "GB",
    "JE": "GB",
}  # fmt: skip - whose law is read beside that of their own, of which we have none


def country_of(place: object) -> str:
    """The ISO 3166-1 country of a place, or of the first of several; empty where none can be read."""
    return place_code(place).partition("-")[0]


def place_code(place: object) -> str:
    """A place as the standard writes it, or the first of several; empty where it cannot be read."""
    if isinstance(place, list):
        place = place[0] if place else None
    code = place.strip() if isinstance(place, str) else ""
    return _code(code) if len(code) <= LONGEST else ""


@lru_cache(maxsize=1024)
def _code(stated: str) -> str:
    code = stated.upper()
    return code if PLACE.fullmatch(code) else ""


def is_assigned(place: str) -> bool:
    """Whether its country is one: not the United Kingdom as `UK`, a continent, or what nobody has. A proxy's word and a
    law table of one's own name no other, for a country without a law of ours would be opened by them.
    """
    return place.partition("-")[0] in COUNTRIES


def is_state(place: str) -> bool:
    """Whether it is one of the United States, the District or a territory."""
    return place.startswith(f"{US}-") and place[3:] in STATES


def spelled(place: str) -> str:
    """The same place under the country's own code, for whoever looks for its law."""
    country, dash, part = place.partition("-")
    return f"{SPELLINGS.get(country, country)}{dash}{part}"


def is_listed(place: str) -> bool:
    """Whether it is a part of a country whose parts we know: another one of the same country is then another place."""
    return is_state(place) or (place.startswith("CA-") and place[3:] in PROVINCES)


def is_named(place: str) -> bool:
    """Whether it tells which law holds: a state, a country abroad or a part of one. Bare `US` is any of its states."""
    country = place.partition("-")[0]
    if not PLACE.fullmatch(place) or USER_ASSIGNED.fullmatch(country):
        return False
    return country != US or is_state(place)


@lru_cache(maxsize=4096)
def may_be_european(places: frozenset[str]) -> bool:
    """Whether somebody of these places may be in one of `EUROPEAN`: in one by name, or nobody knows where."""
    named = [place for place in places if place != US]
    return (not named and US not in places) or any(_may_be_european(place) for place in named)


def _may_be_european(place: str) -> bool:
    return place.partition("-")[0] in EUROPEAN or not (is_named(place) or place.startswith(US))
