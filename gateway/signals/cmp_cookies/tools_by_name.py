"""Readers of consent tools whose cookies no other tool resembles. The table of `cmp_cookies` calls them.

OneTrust: groups are put off by a person, by the tool for a region, or by the tool for a browser with GPC; the cookie's
own counter and `OptanonAlertBoxClosed` tell which.

Klaro, tarteaucitron, CookieFirst, Ketch: each service or purpose by a name that the site gave it. Where no name is
known but everything that can be refused is refused, the person wants no advertising either: that denies in this answer,
and is not remembered.

Shopify: what the visitor chose, and what the shop applies after its regional defaults. Only the first is an act. The
second denies where it is off, and never shows an allow: the tool's own reader fails open.

TrustArc: levels of consent, and the behaviour that explains them. Under "implied" everything is on until a person acts;
under "expressed" everything is off until then, so there a missing level does not tell who left it out.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, product

from gateway.signals import cookies
from gateway.signals.cmp_cookies.forms import section_ids
from gateway.signals.cmp_cookies.values import (
    ADS,
    MAX_FIELDS,
    NOTHING,
    SALE,
    By,
    Carried,
    Cookie,
    States,
    ToolState,
    Words,
    base64_object,
    json_object,
    names,
    pairs,
    plain,
    record,
    string,
    truth,
    truths,
    unbase64,
    unzipped,
)

CONSENT = "OptanonConsent"
CLOSED = "OptanonAlertBoxClosed"
GPP = "OTGPPConsent"
MAX_PIECES = 8  # pieces of 4,000 characters: four fill a whole Cookie header
MAX_WAYS = 16  # to put pieces together: four of two each

Fields = Mapping[str, Sequence[str]]


def read_onetrust(cookie: Cookie) -> Iterator[ToolState]:
    """A query string whose inner values may or may not be percent-encoded again. Of equal keys any opt-out wins.
    A recorded GPC is a refused sale, whatever the groups say beside it. Raises `ValueError` for another form.
    """
    fields = _fields(cookie.value)
    if not fields.keys() & {"groups", "isGpcEnabled", "browserGpcFlag"}:
        raise ValueError("neither groups nor GPC")
    groups = [group for content in fields.get("groups", ()) for group in _groups(content)]
    gpc = SALE if _says_yes(fields, "isGpcEnabled") or _says_yes(fields, "browserGpcFlag") else NOTHING
    refused = _words(cookie, groups, "0") | gpc
    yield cookie.shows(refused, _words(cookie, groups, "1"), _by(cookie, fields, "sale" in refused))


def read_gpp(cookie: Cookie) -> Iterator[ToolState]:
    """The GPP string, joined where it was cut: the first piece in `OTGPPConsent`, the others in numbered ones. Every
    piece that is there is taken, not the number that `GPPCookiesCount` tells: an opt-out may stand in the last. Where a
    browser sends several of a name, nobody knows which belong together, so that each is tried.
    """
    numbered = (cookie.beside(f"{cookie.name}{number}") for number in range(MAX_PIECES))
    first, ways = plain(cookie.value), _ways([values for values in numbered if values])
    beside = [_fields(value) for value in cookie.jar.get(CONSENT, ())[:MAX_PIECES]]
    applying = section_ids(text for fields in beside for text in fields.get("gppSid", ()))
    yield cookie.shows(carried=[Carried("gpp", "".join((first, *pieces)), applying) for pieces in ways])


def _ways(values: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """One value a name, of each: first those in equal places, for browsers send them in the order of their making."""
    places = range(max(map(len, values), default=1))
    alike = (tuple(each[min(place, len(each) - 1)] for each in values) for place in places)
    return [*dict.fromkeys((*alike, *islice(product(*values), MAX_WAYS)))][:MAX_WAYS]


READ_FIELDS = ("groups", "isGpcEnabled", "browserGpcFlag", "interactionCount", "gppSid")
READ_PAIR = re.compile(rf"(?:^|(?<=&))\s*(?:{'|'.join(READ_FIELDS)})\s*(?:=[^&]*)?(?=&|\Z)")


def abridge_onetrust(value: str) -> str:
    """The same cookie without what is not read here: its own id, times and pages, which no two browsers have alike.
    One of another form stays as it is.
    """
    if value.startswith('"') or "=" not in value or value.count("&") >= MAX_FIELDS:
        return value
    return "&".join(READ_PAIR.findall(value)) or value


STAMP = re.compile(r"[0-9A-Za-z:.-]{1,64}")


def abridge_closed(value: str) -> str:
    """That it is there is what counts, not when it was written."""
    return "1" if STAMP.fullmatch(value) else value


ABRIDGED: Mapping[str, Callable[[str], str]] = {CONSENT: abridge_onetrust, CLOSED: abridge_closed}


def _fields(value: str) -> Fields:
    text = cookies.unquoted(value)
    text = text if "=" in text else cookies.percent_decoded(text)
    fields: dict[str, list[str]] = {}
    for pair in text.split("&", MAX_FIELDS):
        name, _, content = pair.partition("=")
        fields.setdefault(name.strip(), []).append(content.strip())
    return fields


def _groups(text: str) -> Iterable[tuple[str, str]]:
    for pair in plain(text).split(","):
        name, _, state = pair.partition(":")
        yield name.strip(), state.strip()


def _words(cookie: Cookie, groups: Iterable[tuple[str, str]], wanted: str) -> Words:
    return frozenset(cookie.table[name] for name, state in groups if state == wanted and name in cookie.table)


def _says_yes(fields: Fields, name: str) -> bool:
    return any(truth(text) for text in fields.get(name, ()))


def _by(cookie: Cookie, fields: Fields, sale_refused: bool) -> By:
    """A sale group is on until somebody puts it off, so an off one is an act unless the tool counts no interaction.
    The GPC flags are the person's own browser speaking.
    """
    counted = fields.get("interactionCount", ())
    acted = any(text.isdecimal() and text.strip("0") for text in counted) or any(cookie.beside(CLOSED))
    if acted or _says_yes(fields, "isGpcEnabled") or _says_yes(fields, "browserGpcFlag"):
        return By.PERSON
    if "0" in counted:
        return By.TOOL
    return By.PERSON if sale_refused else By.UNKNOWN


ZIPPED = "gzip:"
CHANNELS = ("tc", "ac", "gpp")
# The methods of `clients/fides-js`; a closed banner and a script are nobody's choice.
METHODS: Mapping[str, By] = {
    **dict.fromkeys(("accept", "acknowledge", "button", "gpc", "individual_notice", "reject", "save"), By.PERSON),
    **dict.fromkeys(("dismiss", "script"), By.TOOL),
}


def read_fides(cookie: Cookie) -> Iterator[ToolState]:
    """JSON, gzip behind "gzip:", or base64; older cookies are the notices themselves. `fides_string` is "TC,AC,GPP,NC",
    where NC is base64 JSON of notices once more. Raises `ValueError` for another form.
    """
    found = _unpacked(cookie.value)
    method = string(record(found.get("fides_meta")).get("consentMethod"))
    strings = string(found.get("fides_string")).split(",")
    states = truths([*record(found.get("consent", found)).items(), *_notices(strings[3:4])])
    refused = cookie.words(states, on=False) | (SALE if method == "gpc" else NOTHING)
    carried = [Carried(channel, text) for channel, text in zip(CHANNELS, strings, strict=False) if text]
    yield cookie.shows(refused, cookie.words(states, on=True), METHODS.get(method, By.UNKNOWN), carried)


def _unpacked(value: str) -> Mapping[str, object]:
    text = plain(value)
    if text.startswith(ZIPPED):
        return json_object(unzipped(unbase64(text.removeprefix(ZIPPED))))
    try:
        return json_object(value)
    except ValueError:
        return base64_object(value)


def _notices(strings: list[str]) -> list[tuple[str, object]]:
    """The notices of the NC part. A broken one hides nothing else of the cookie."""
    try:
        return [pair for text in strings if text for pair in base64_object(text).items()]
    except ValueError:
        return []


# What nobody can refuse, as sites name it; the tools' own names stand among their services.
NECESSARY = frozenset(
    {"cookiefirst", "essential", "essential_services", "functional", "klaro", "necessary", "required", "tarteaucitron"}
)


def read_klaro(cookie: Cookie) -> Iterator[ToolState]:
    """{service: true or false}, written when a person saves."""
    yield _state(cookie, truths(json_object(cookie.value).items()), By.PERSON)


def read_tarteaucitron(cookie: Cookie) -> Iterator[ToolState]:
    """`!service=false`; "wait" is no choice yet. A false is a person's, a true may be the site's."""
    states = truths(pairs(plain(cookie.value), "!", "="))
    if not states and "!" not in cookie.value:
        raise ValueError("no services")
    yield _state(cookie, states, By.UNKNOWN if all(states.values()) else By.PERSON)


def read_cookiefirst(cookie: Cookie) -> Iterator[ToolState]:
    """{category or service: true or false}, among other members. Nothing tells who spoke."""
    yield _state(cookie, truths(json_object(cookie.value).items()), By.UNKNOWN)


def read_ketch(cookie: Cookie) -> Iterator[ToolState]:
    """{purpose: {status, canonicalPurposes}}, older {purpose: status}; purposes start at the region's default."""
    told: list[tuple[str, object]] = []
    for name, purpose in base64_object(cookie.value).items():
        member = record(purpose)
        status = member.get("status", purpose)
        told += [(each, status) for each in sorted({name} | names(member.get("canonicalPurposes")))]
    yield _state(cookie, truths(told), By.UNKNOWN)


def _state(cookie: Cookie, states: States, by: By) -> ToolState:
    optional = [on for name, on in states.items() if name not in NECESSARY]
    if optional and not any(optional) and not cookie.words(states, on=False):
        return cookie.shows(ADS, by=By.UNKNOWN)
    return cookie.of(states, by)


# Version 3: `3<choice>.<effective>_<region>_...`; a capital accepts, a small letter declines.
COMPACT = re.compile(r"3([AMPSamps]*)\.([AMPSamps]*)(?:_|$)")


def read_shopify(cookie: Cookie) -> Iterator[ToolState]:
    """The choice, and apart from it what is off without one. Raises `ValueError` for another form."""
    compact = COMPACT.match(plain(cookie.value))
    chosen, effective = _letters(*compact.groups()) if compact else _members(json_object(cookie.value))
    yield cookie.of(chosen, By.PERSON)
    unchosen = cookie.words(effective, on=False) - cookie.words(chosen, on=False)
    if unchosen:
        yield cookie.shows(unchosen, by=By.TOOL)


def _letters(choice: str, effective: str) -> tuple[States, States]:
    """Sorted, a small letter comes after its capital: of both the refusal holds."""
    chosen = {letter.lower(): letter.isupper() for letter in sorted(choice)}
    return chosen, {letter: letter.upper() in effective for letter in "ms"}


def _members(found: Mapping[str, object]) -> tuple[States, States]:
    """Version 2.1 has `con.CMP` and `purposes`; version 2.0 one value in `con` for each regime, and in `lim` the
    regimes that forbid without a yes.
    """
    if not found.keys() & {"con", "purposes"}:
        raise ValueError("neither choice nor purposes")
    choice = record(found.get("con"))
    chosen = truths([*choice.items(), *record(choice.get("CMP")).items()])
    regime, limits = found.get("reg"), found.get("lim")
    limited = isinstance(regime, str) and isinstance(limits, list) and regime in limits and regime not in chosen
    forbidden = {str(regime): False} if limited else {}
    return chosen, truths(record(found.get("purposes")).items()) | forbidden


BEHAVIOR = "notice_behavior"
LEVELS = "0123456789"
HIGHEST = re.compile(r"([0-9])(?::|$)")  # notice_preferences: every level up to this one is on
LISTED = re.compile(r"([0-9](?:[,|][0-9])*)(?::|$)")  # notice_gdpr_prefs; behind the colon a hash or the behaviour
PERMIT = re.compile(r"permit[ _+]([1-9](?:[,|][1-9])*)")  # cmapi_cookie_privacy counts from 1


def read_preferences(cookie: Cookie) -> Iterator[ToolState]:
    yield _trustarc_state(cookie, set(LEVELS[: int(_match(HIGHEST, cookie)) + 1]))


def read_gdpr_prefs(cookie: Cookie) -> Iterator[ToolState]:
    yield _trustarc_state(cookie, set(_match(LISTED, cookie)))


def read_permit(cookie: Cookie) -> Iterator[ToolState]:
    yield _trustarc_state(cookie, {LEVELS[int(level) - 1] for level in _match(PERMIT, cookie) if level in LEVELS})


def _match(form: re.Pattern[str], cookie: Cookie) -> str:
    found = form.match(plain(cookie.value))
    if found is None:
        raise ValueError("levels")
    return found[1]


def _trustarc_state(cookie: Cookie, on: set[str]) -> ToolState:
    states = {level: level in on for level in cookie.table}
    return cookie.of(states, _trustarc_by(cookie, refused=not all(states.values())))


def _trustarc_by(cookie: Cookie, refused: bool) -> By:
    """The behaviour stands in a cookie of its own, or behind the last colon of the levels."""
    told = [plain(cookie.value).rpartition(":")[2], *cookie.beside(BEHAVIOR)]
    models = {text.partition(",")[0] for text in told} & {"implied", "expressed"}
    if models == {"implied"}:
        return By.PERSON if refused else By.TOOL
    return By.PERSON if models == {"expressed"} and not refused else By.UNKNOWN
