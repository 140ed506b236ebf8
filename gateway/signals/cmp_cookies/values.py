"""What the readers of consent tools' cookies share: the forms of values, the state that they answer, and the words for
selling and advertising.

The forms in which tools write: JSON, base64 JSON, lists of pairs, and the words for yes and no. Each function raises
`ValueError` for a value of another form; `read_tool` catches it.

Which category, group, purpose or service name of each tool stands for the sale of data, and which for advertising.
Sites choose these names, so the table is data: here are the names that the tools ship with, and `merge` adds an
operator's own.

`Cookie` is one cookie of a tool among the others of its jar. Companions tell an act from a default and never decide
what is denied, so one more cookie can never take a denial away.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, cast, get_args

from gateway.signals import cookies
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Purpose

MAX_FIELDS = 256  # the longest list seen has about fifteen
MAX_WRAPPINGS = 2  # percent-encoding was seen once and twice
MAX_UNZIPPED = 64 * 1024
MAX_RATIO = 32  # JSON of a consent tool packs to a tenth at best; more is made to be unpacked
YES = frozenset({"1", "accept", "accepted", "allow", "allowed", "granted", "opt_in", "true", "yes"})
NO = frozenset({"0", "denied", "deny", "false", "no", "opt_out", "reject", "rejected"})


def truth(value: object) -> bool | None:
    """Yes or no in any of the spellings in use; `None` for all else, such as Transcend's "Auto"."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, int | str) else ""
    return True if word in YES else False if word in NO else None


def truths(values: Iterable[tuple[str, object]]) -> dict[str, bool]:
    """The names that say yes or no. A name that says both says no."""
    states: dict[str, bool] = {}
    for name, value in values:
        state = truth(value)
        if state is not None:
            states[name] = state and states.get(name, True)
    return states


def record(value: object) -> Mapping[str, object]:
    """A JSON object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def string(value: object) -> str:
    """A JSON string; an empty one for anything else."""
    return value if isinstance(value, str) else ""


def names(value: object) -> set[str]:
    """The strings of a JSON array."""
    return {item for item in value if isinstance(item, str)} if isinstance(value, list) else set()


def plain(value: str) -> str:
    """Without quotes around it and percent-encoding in it, however often a site encoded it."""
    text = cookies.unquoted(value)
    for _ in range(MAX_WRAPPINGS):
        text = cookies.percent_decoded(text)
    return cookies.unquoted(text)


def parsed(text: str) -> object:
    """JSON; of equal names in one object a no wins. Raises `ValueError`, for too deep a nesting as well."""
    try:
        return json.loads(text, object_pairs_hook=_strictest)
    except RecursionError:
        raise ValueError("nesting") from None


def _strictest(members: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in members:
        if truth(found.get(name)) is not False:
            found[name] = value
    return found


def json_object(value: str) -> Mapping[str, object]:
    """A JSON object, raw or percent-encoded. Raises `ValueError`."""
    return _object(json_value(value))


def json_value(value: str) -> object:
    """JSON, raw or percent-encoded once or twice: raw first, for a string in it may hold percent signs."""
    text = cookies.unquoted(value)
    for _ in range(MAX_WRAPPINGS):
        try:
            return parsed(text)
        except ValueError:
            text = cookies.percent_decoded(text)
    return parsed(text)


def unbase64(text: str) -> bytes:
    """Base64 of either alphabet, with or without padding. Raises `ValueError`."""
    bare = plain(text).rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def base64_object(text: str) -> Mapping[str, object]:
    """A JSON object in base64. Raises `ValueError`."""
    return _object(parsed(unbase64(text).decode("utf-8", "replace")))


def _object(found: object) -> Mapping[str, object]:
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 -- a value of another form, not a caller's slip
    return found


def unzipped(packed: bytes) -> str:
    """The text of a gzip stream. Raises `ValueError`, also for one that unpacks to more than a cookie ever holds."""
    limit = min(MAX_UNZIPPED, MAX_RATIO * len(packed))
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)  # 16: with gzip's header (zlib.h, inflateInit2)
    try:
        text = stream.decompress(packed, limit + 1)
    except zlib.error:
        raise ValueError("gzip") from None
    if len(text) > limit or not stream.eof:
        raise ValueError("size")
    return text.decode("utf-8", "replace")


def pairs(text: str, separator: str, between: str) -> list[tuple[str, str]]:
    """`name between value` joined by `separator`, trimmed of blanks, braces and quotes. A piece without `between` has
    an empty value.
    """
    pieces = text.split(separator, MAX_FIELDS)[:MAX_FIELDS]
    split = (piece.partition(between) for piece in pieces)
    return [(name.strip(" {}'\""), value.strip(" {}'\"")) for name, _, value in split]


# What a site's category stands for: do not sell, or advertising (R25).
Word = Literal["sale", "ads"]
DENIES: Mapping[Word, frozenset[Purpose]] = {
    "sale": frozenset(SIGNAL_PURPOSES),
    "ads": frozenset(AD_CHOICE_PURPOSES),
}
Words = frozenset[Word]
SALE: Words = frozenset({"sale"})
ADS: Words = frozenset({"ads"})
NOTHING: Words = frozenset()


class ToolShown(StrEnum):
    """`OPTED_OUT`: refused. `ALLOWED`: on by a person's act, and nothing refused. `DEFAULT`: nothing that anybody can
    be shown to have chosen; what the tool holds off by itself is denied all the same. `OPAQUE`: not readable here.
    """

    OPTED_OUT = "opted_out"
    ALLOWED = "allowed"
    DEFAULT = "default"
    OPAQUE = "opaque"


class By(StrEnum):
    """Who put a tool's switches where they are."""

    PERSON = "person"
    TOOL = "tool"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Carried:
    """A string of another format inside a cookie, for its own reader. `channel` is gpp, tc, ac or us_privacy.
    `section_ids`: the GPP sections that the tool says apply (gpp_sid), `None` where it says nothing.
    """

    channel: str
    text: str
    section_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ToolState:
    """One cookie's answer. `denied`: purposes off in this request. `act`: certainly a person's doing, to be remembered;
    `OPTED_OUT` without it is off, and nobody can tell who did it. `granted`: what it says is on and the tool did not
    put on by itself; `refused`: what is off, in words.
    """

    tool: str
    cookie: str
    shown: ToolShown
    denied: frozenset[Purpose] = frozenset()
    act: bool = False
    carried: tuple[Carried, ...] = ()
    granted: Words = NOTHING
    refused: Words = NOTHING


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


States = Mapping[str, bool]
MAX_COMPANIONS = 8  # a browser sends one of a name for each path and domain, two or three
MAX_BESIDE = 4096  # the longest cookie that browsers keep (RFC 6265bis)


@dataclass(frozen=True, slots=True)
class Cookie:
    """`value` is raw. `jar`: every raw value by name. `table`: what the tool's categories stand for."""

    tool: str
    name: str
    value: str
    jar: Mapping[str, Sequence[str]]
    table: Mapping[str, Word]

    def beside(self, name: str) -> list[str]:
        """The values of another cookie of that name, unwrapped; none when there is no such cookie."""
        return [cookies.unwrap(value) for value in self.jar.get(name, ())[:MAX_COMPANIONS] if len(value) <= MAX_BESIDE]

    def shows(
        self,
        refused: Iterable[Word] = (),
        granted: Iterable[Word] = (),
        by: By = By.UNKNOWN,
        carried: Iterable[Carried] = (),
    ) -> ToolState:
        """The state: any refusal wins; an allow needs a person, and a refusal by the tool itself is its default."""
        off, on = frozenset(refused), frozenset(granted)
        denied = frozenset(purpose for word in off for purpose in DENIES[word])
        act = bool(denied) and by is By.PERSON
        shown = _shown(bool(denied), bool(on), by)
        kept = NOTHING if by is By.TOOL else on - off
        return ToolState(self.tool, self.name, shown, denied, act, tuple(carried), kept, off)

    def opaque(self) -> ToolState:
        return ToolState(self.tool, self.name, ToolShown.OPAQUE)

    def words(self, states: States, on: bool) -> Words:
        """What the categories that are on, or off, stand for."""
        return frozenset(self.table[name] for name, state in states.items() if state is on and name in self.table)

    def of(self, states: States, by: By) -> ToolState:
        """The state of categories that are each on or off."""
        return self.shows(self.words(states, on=False), self.words(states, on=True), by)


def _shown(denied: bool, granted: bool, by: By) -> ToolShown:
    if denied:
        return ToolShown.DEFAULT if by is By.TOOL else ToolShown.OPTED_OUT
    return ToolShown.ALLOWED if granted and by is By.PERSON else ToolShown.DEFAULT
