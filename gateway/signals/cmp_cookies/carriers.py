"""Cookies that carry a string of another format (GPP, TCF, Additional Consent, US Privacy): finds the string, for
`tools`.

Plain carriers hold the string alone; Yahoo, Usercentrics, iubenda, Google Funding Choices and consentmanager.net wrap
it. The string itself is read by its own format's reader.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from gateway.signals.cmp_cookies.values import (
    MAX_COMPANIONS,
    Carried,
    Cookie,
    ToolState,
    json_value,
    pairs,
    parsed,
    plain,
)

MACRO = "${"  # an unreplaced `${GPP_STRING_123}` is as good as absent
MAX_CARRIED = 16  # strings of one cookie; a real one holds two
MAX_SECTIONS = 32  # the specification has 27
# What a string is, by its form: GPP headers begin with DB, TC strings with C for version 2 and then a time after 2014.
FORMS: Mapping[str, re.Pattern[str]] = {
    "gpp": re.compile(r"DB[\w-]+(~[\w.~-]*)?", re.ASCII),
    "tc": re.compile(r"C[N-Z][\w-]{18,}(\.[\w-]+)*", re.ASCII),
    "ac": re.compile(r"[12]~[\d.]*(~dv\.[\d.]*)?", re.ASCII),
    "us_privacy": re.compile(r"1[YN-]{3}"),
}
PLAIN: Mapping[str, str] = {
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
        yield cookie.shows(carried=[Carried(PLAIN[cookie.name], text)])


def read_gpp(cookie: Cookie) -> Iterator[ToolState]:
    """A GPP string with its section ids in a cookie beside it."""
    text = plain(cookie.value)
    if MACRO not in text:
        yield cookie.shows(carried=[Carried("gpp", text, section_ids(cookie.beside(SECTIONS_BESIDE[cookie.name])))])


def read_yahoo(cookie: Cookie) -> Iterator[ToolState]:
    """Yahoo's `cmp`: a query string with the US Privacy string under `u`. Others use the name too and are passed by."""
    for name, text in pairs(plain(cookie.value), "&", "="):
        if name == "u":
            yield cookie.shows(carried=[Carried("us_privacy", text)])


def read_consentmanager(cookie: Cookie) -> Iterator[ToolState]:
    """`__cmpconsent...`: a TC string; one of version 1 is opaque, for nobody reads that any more."""
    text = plain(cookie.value)
    yield cookie.shows(carried=[Carried("tc", text)]) if FORMS["tc"].fullmatch(text) else cookie.opaque()


def read_wrapped(cookie: Cookie) -> Iterator[ToolState]:
    """Every string in a JSON value that has the form of one of the formats. Raises `ValueError` for another value."""
    found = (
        Carried(channel, text)
        for text in _strings(json_value(cookie.value))
        for channel, form in FORMS.items()
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
