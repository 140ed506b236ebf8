"""Readers of consent tools whose cookies have a common form: a string of another format (read by its own reader),
states by category, lists of what was accepted, JSON. The table of `cmp_cookies` calls them.

Where a value names who spoke (`method`, `action`) that decides between act and default; Complianz says it in a cookie
beside. Where there is only what was accepted (c15t, vanilla-cookieconsent, TYPO3's om_cookie_manager,
consentmanager.net), a missing name is a refusal, but only of a category that the site has; so a name counts as missing
when the tool fixes it, the cookie names it elsewhere, or the operator does.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from gateway.signals.cmp_cookies.values import (
    ADS,
    MAX_COMPANIONS,
    NOTHING,
    SALE,
    USUAL_ADS_NAMES,
    By,
    Carried,
    Cookie,
    ToolState,
    Word,
    Words,
    base64_object,
    json_object,
    json_value,
    names,
    pairs,
    parsed,
    plain,
    record,
    string,
    truth,
    truths,
)

COMPLIANZ = "cmplz_"
# Cookiebot's bare values: 0 not accepted, -1 outside every consent region, where it allows all by itself. The words are
# those of react-cookie-consent, which uses the same cookie name.
BARE: Mapping[str, tuple[Words, By]] = {
    "0": (ADS, By.UNKNOWN),
    "-1": (NOTHING, By.TOOL),
    "false": (ADS, By.UNKNOWN),
    "true": (NOTHING, By.UNKNOWN),
}
METHODS: Mapping[str, By] = {"explicit": By.PERSON, "implied": By.TOOL}


def read_mark(cookie: Cookie) -> Iterator[ToolState]:
    """A do-not-sell or recorded GPC of one word: true refuses the sale, by the person or the person's own browser."""
    refused = truth(plain(cookie.value))
    if refused is None:
        raise ValueError("neither yes nor no")
    yield cookie.shows(SALE if refused else NOTHING, by=By.PERSON)


def read_cookiebot(cookie: Cookie) -> Iterator[ToolState]:
    """A JavaScript object literal, not JSON; braces and quotes come and go."""
    text = plain(cookie.value)
    if text in BARE:
        refused, by = BARE[text]
        yield cookie.shows(refused, by=by)
        return
    fields = pairs(text, ",", ":")
    states = truths(fields)
    if not states:
        raise ValueError("no categories")
    yield cookie.of(states, METHODS.get(dict(fields).get("method", ""), By.UNKNOWN))


def read_cookieyes(cookie: Cookie) -> Iterator[ToolState]:
    """`action` is empty until a person acts; till then "no" is the default. `consent:no` beside an allowed category is
    written by the opt-out banner alone: its box says do not sell.
    """
    fields = pairs(plain(cookie.value), ",", ":")
    states = truths(fields)
    if not states:
        raise ValueError("no categories")
    action = [value for name, value in fields if name == "action"]
    by = By.UNKNOWN if not action else By.PERSON if "yes" in action else By.TOOL
    granted = cookie.words(states, on=True)
    do_not_sell = by is By.PERSON and bool(granted) and states.get("consent") is False
    yield cookie.shows(cookie.words(states, on=False) | (SALE if do_not_sell else NOTHING), granted, by)


def read_complianz(cookie: Cookie) -> Iterator[ToolState]:
    """One cookie a category, allow or deny. Under the opt-out model everything is on until a person says no, on a page
    that is called "do not sell".
    """
    category = cookie.name.removeprefix(COMPLIANZ)
    if category not in cookie.table:
        return
    state = truth(plain(cookie.value))
    if state is None:
        raise ValueError("neither allow nor deny")
    do_not_sell = not state and "optout" in cookie.beside("cmplz_consent_mode")
    person = do_not_sell or "dismissed" in cookie.beside("cmplz_banner-status")
    refused = cookie.words({category: state}, on=False) | (SALE if do_not_sell else NOTHING)
    yield cookie.shows(refused, cookie.words({category: state}, on=True), By.PERSON if person else By.UNKNOWN)


def read_tealium(cookie: Cookie) -> Iterator[ToolState]:
    """Numbered categories and the whole: `consent:false` refuses everything. Nothing tells who spoke."""
    states = truths(pairs(plain(cookie.value), "|", ":"))
    if not states:
        raise ValueError("no categories")
    refused = cookie.words(states, on=False) | (ADS if states.get("consent") is False else NOTHING)
    yield cookie.shows(refused, cookie.words(states, on=True))


C15T_CATEGORY = "c."
C15T_TIME = "i.t"


def read_c15t(cookie: Cookie) -> Iterator[ToolState]:
    """`c.<name>:1` for each accepted category and `i.t` for the time of the choice; older: JSON with `consents`."""
    text = plain(cookie.value)
    if text.startswith("{"):
        states = truths(record(json_object(cookie.value).get("consents")).items())
    else:
        fields = pairs(text, ",", ":")
        if not any(name == C15T_TIME or name.startswith(C15T_CATEGORY) for name, _ in fields):
            raise ValueError("neither categories nor a time")
        states = truths((name.removeprefix(C15T_CATEGORY), value) for name, value in fields)
    yield _state(cookie, {name for name, on in states.items() if on}, By.PERSON)


def read_vanilla(cookie: Cookie) -> Iterator[ToolState]:
    """`categories` (version 3) or `level` (version 2). Version 3 names every category among `services`, so a missing
    one of those is certainly refused; else that none of the usual names is there may mean that the site has none.
    """
    found = json_object(cookie.value)
    if not found.keys() & {"categories", "level"}:
        raise ValueError("no categories")
    accepted = names(found.get("categories")) | names(found.get("level"))
    known = USUAL_ADS_NAMES & record(found.get("services")).keys()
    if cookie.table or known or USUAL_ADS_NAMES & accepted:
        table: Mapping[str, Word] = {**dict.fromkeys(known or USUAL_ADS_NAMES & accepted, "ads"), **cookie.table}
        yield _state(replace(cookie, table=table), accepted, By.PERSON)
    else:
        yield cookie.shows(ADS)


def read_typo3(cookie: Cookie) -> Iterator[ToolState]:
    """`group-<number>.<state>` for each accepted group, and `dismiss` once the banner was closed."""
    fields = pairs(plain(cookie.value), ",", ".")
    by = By.PERSON if "dismiss" in {name for name, _ in fields} else By.UNKNOWN
    yield _state(cookie, {name for name, on in truths(fields).items() if on}, by)


def read_consentmanager(cookie: Cookie) -> Iterator[ToolState]:
    """`__cmpcpc...`: the numbers of accepted purposes between underscores. Nothing tells who accepted."""
    yield _state(cookie, set(plain(cookie.value).split("_")), By.UNKNOWN)


def _state(cookie: Cookie, accepted: set[str], by: By) -> ToolState:
    return cookie.of({name: name in accepted for name in cookie.table}, by)


IUBENDA_US = "-uspr"
IUBENDA_VENDORS = "-granular"
USERCENTRICS_ACT = "uc_user_interaction"


def read_didomi(cookie: Cookie) -> Iterator[ToolState]:
    """Base64 JSON with lists of purposes enabled and disabled. One that no choice was made for is in neither, so what
    is disabled was refused by a person.
    """
    purposes = record(base64_object(cookie.value).get("purposes"))
    states = dict.fromkeys(names(purposes.get("enabled")), True) | dict.fromkeys(names(purposes.get("disabled")), False)
    yield cookie.of(states, By.PERSON)


def read_usercentrics(cookie: Cookie) -> Iterator[ToolState]:
    """`uc_settings` with `services`, `ucData` with `consent.services` and Google's switches under `gcm`: cookies only
    where a site shares them across domains. A cookie beside says whether a person acted.
    """
    found = json_object(cookie.value)
    listed = found.get("services")
    members = [record(item) for item in listed] if isinstance(listed, list) else []
    told: list[tuple[str, object]] = [(string(member.get("id")), member.get("status")) for member in members]
    for identity, item in record(record(found.get("consent")).get("services")).items():
        service = record(item)
        told += [(name, service.get("consent")) for name in (identity, string(service.get("name")))]
    told += [*record(found.get("gcm")).items()]
    yield cookie.of(truths(told), _usercentrics_by(cookie))


def _usercentrics_by(cookie: Cookie) -> By:
    acted = {truth(value) for value in cookie.beside(USERCENTRICS_ACT)}
    return By.PERSON if True in acted else By.TOOL if False in acted else By.UNKNOWN


def read_transcend(cookie: Cookie) -> Iterator[ToolState]:
    """`purposes` of true, false or "Auto" (allowed until someone acts), and `confirmed` once a person did."""
    found = json_object(cookie.value)
    if "purposes" not in found:
        raise ValueError("no purposes")
    confirmed = truth(found.get("confirmed"))
    by = By.PERSON if confirmed else By.UNKNOWN if confirmed is None else By.TOOL
    yield cookie.of(truths(record(found["purposes"]).items()), by)


def read_iubenda(cookie: Cookie) -> Iterator[ToolState]:
    """`purposes` by number, or one `consent` for all in its older form. The US choices have a cookie of their own, with
    everything true until a person or a browser's GPC says no.
    """
    if cookie.name.endswith(IUBENDA_VENDORS):
        yield cookie.opaque()
        return
    found = json_object(cookie.value)
    if cookie.name.endswith(IUBENDA_US):
        yield cookie.of(truths(found.items()), By.PERSON)
        return
    states = truths(record(found.get("purposes")).items())
    refused = cookie.words(states, on=False) | (ADS if truth(found.get("consent")) is False else NOTHING)
    yield cookie.shows(refused, cookie.words(states, on=True))


MACRO = "${"  # an unreplaced `${GPP_STRING_123}` is as good as absent
MAX_CARRIED = 16  # strings of one cookie; a real one holds two
MAX_SECTIONS = 32  # the specification has 27
# What a string is, by its form: GPP headers begin with DB, TC strings with C for version 2 and then a time after 2014.
STRING_FORMS: Mapping[str, re.Pattern[str]] = {
    "gpp": re.compile(r"DB[\w-]+(~[\w.~-]*)?", re.ASCII),
    "tc": re.compile(r"C[N-Z][\w-]{18,}(\.[\w-]+)*", re.ASCII),
    "ac": re.compile(r"[12]~[\d.]*(~dv\.[\d.]*)?", re.ASCII),
    "us_privacy": re.compile(r"1[YN-]{3}"),
}
CARRIERS: Mapping[str, str] = {
    "euconsent-v2": "tc",
    "euconsent": "tc",
    "dm-euconsent-v2": "tc",
    "eupubconsent-v2": "tc",
    "addtl_consent": "ac",
    "server_addtl_consent": "ac",
    "OTAdditionalConsentString": "ac",
    "usprivacy": "us_privacy",
    "us_privacy": "us_privacy",
    "us-privacy": "us_privacy",
    "__cmpccpausps": "us_privacy",
}
SECTIONS_BESIDE = {"gpp": "gpp_sid", "__gpp": "__gpp_sid", "IABGPP_HDR_GppString": "IABGPP_GppSID"}


def read_plain(cookie: Cookie) -> Iterator[ToolState]:
    """The string alone; iubenda writes JSON around a US Privacy string, which is looked into."""
    text = plain(cookie.value)
    if text.startswith("{"):
        yield from read_wrapped(cookie)
    elif MACRO not in text:
        yield cookie.shows(carried=[Carried(CARRIERS[cookie.name], text)])


def read_gpp_cookie(cookie: Cookie) -> Iterator[ToolState]:
    """A GPP string with its section ids in a cookie beside it."""
    text = plain(cookie.value)
    if MACRO not in text:
        yield cookie.shows(carried=[Carried("gpp", text, section_ids(cookie.beside(SECTIONS_BESIDE[cookie.name])))])


def read_yahoo(cookie: Cookie) -> Iterator[ToolState]:
    """Yahoo's `cmp`: a query string with the US Privacy string under `u`. Others use the name too and are passed by."""
    for name, text in pairs(plain(cookie.value), "&", "="):
        if name == "u":
            yield cookie.shows(carried=[Carried("us_privacy", text)])


def read_consentmanager_string(cookie: Cookie) -> Iterator[ToolState]:
    """`__cmpconsent...`: a TC string; one of version 1 is opaque, for nobody reads that any more."""
    text = plain(cookie.value)
    yield cookie.shows(carried=[Carried("tc", text)]) if STRING_FORMS["tc"].fullmatch(text) else cookie.opaque()


def read_wrapped(cookie: Cookie) -> Iterator[ToolState]:
    """Every string in a JSON value that has the form of one of the formats. Raises `ValueError` for another value."""
    found = (
        Carried(channel, text)
        for text in _strings(json_value(cookie.value))
        for channel, form in STRING_FORMS.items()
        if form.fullmatch(text)
    )
    yield cookie.shows(carried=islice(found, MAX_CARRIED))


def section_ids(texts: Iterable[str]) -> tuple[int, ...] | None:
    """The ids of gpp_sid values together, joined by commas or underscores; -1 means that none applies. `None` where no
    id is readable.
    """
    parts = (part for text in islice(texts, MAX_COMPANIONS) for part in re.split(r"[,_ ]+", plain(text))[:MAX_SECTIONS])
    return tuple(sorted({int(part) for part in parts if re.fullmatch(r"-1|[0-9]{1,3}", part)})) or None


def _strings(value: object) -> Iterator[str]:
    """The strings in JSON, in order; one that is JSON itself is looked into, as Funding Choices writes them."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and item[:1] in {"[", "{"}:
            waiting.append(_inner(item))
        elif isinstance(item, str):
            yield item
        elif isinstance(item, dict | list):
            waiting.extend(reversed([*item.values()] if isinstance(item, dict) else item))


def _inner(text: str) -> object:
    try:
        return parsed(text)
    except ValueError:
        return None
