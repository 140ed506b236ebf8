"""Shapes of options: what a text, a number or a day of the configuration has to be, each with what to write instead.

An option's type in `gateway.settings.load` and its sections names one of these; `gateway.settings.option_tree` holds
each value against it. A type that says `str` alone takes nothing. Decides nothing that needs a second option.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, NamedTuple
from unicodedata import normalize
from urllib.parse import parse_qsl, urlsplit

from msgspec import Meta, Struct
from phonenumbers import SUPPORTED_REGIONS

from gateway.choice.identity.spelling import ignorable
from gateway.choice.place import PLACE, STATES, US
from gateway.delivery.guard import (
    is_domain,
    is_host,
    is_loopback,
    is_of_one_house,
    is_origin,
    is_port,
    may_send_to,
)

OptionPath = tuple[str | int, ...]  # "site", "origins", 1

# What stands where something is still to be written: it would open what the thing itself opens.
UNWRITTEN = frozenset(
    """todo tbd tba tbc none no null nil na n/a unknown undefined pending missing later xxx fixme changeme change-me
    placeholder example contract yes true false test dev draft nan""".split()  # noqa: SIM905 - a list of words reads better as one
)
AND_SO_ON = UNWRITTEN | {"not", "yet", "signed", "insert", "your", "here"}  # nor do they name anything together
# Beside one of these a number is no contract's. `no` is apart: it may be short for number.
STILL_OPEN = (UNWRITTEN - {"no", "example", "contract", "yes"}) | frozenset(
    """not yet undetermined insert your unsigned awaiting waiting negotiation negotiating wip void expired terminated
    cancelled dummy sample fake foo foobar lorem ipsum temp tmp asdf blank empty kein keine keiner keinen ohne nicht
    offen folgt fehlt ausstehend entwurf aucun aucune brouillon ninguno ninguna pendiente borrador nessuno nessuna
    nenhum geen""".split()  # noqa: SIM905 - likewise
)
# Of several words each of which may stand in a name.
OPEN_PHRASE = re.compile(
    r"\b(to be( (added|agreed|announced|confirmed|decided|defined|determined|done|filled in|named|provided|signed))?"
    r"|to (do|come|follow)|n a|n v t|t b [acd]|t o d o|change me|in progress|see (legal|above|below))\b"
)
AROUND = " .-_<>[]{}()*?!#'\"$%"  # signs that a placeholder comes in: <todo>, {{contract}}, "…"
SHORTEST = 2  # letters and digits of a word that says something
# Headers that tell no place: by whom and how it is asked, what `Vary` has anyway, and ours; nor has a continent a law.
NO_PLACE = re.compile(
    r"(sec|if|accept|gateway|access-control)-.*|accept|cookie2?|dnt|x-adchoices|authorization|proxy-authorization|vary|host"
    r"|user-agent|referer|origin|range|connection|upgrade|te|via|date|from|expect|pragma|cache-control|content-.*|set-cookie"
    r"|forwarded|x-(forwarded|original)-.*|.*continent.*"
)
LINE, NAME_LENGTH, PARAGRAPHS, PATH_LENGTH = 300, 128, 5000, 4096  # characters; a path's are Linux's PATH_MAX


class Wrong(NamedTuple):
    """An option that cannot stand as it is; `write`: what to write instead."""

    path: OptionPath
    why: str
    write: str


def unpaired(options: Struct, path: OptionPath, one: str, other: str) -> Iterator[Wrong]:
    """Of two options of a table that belong together: the one that is empty beside the other."""
    if bool(getattr(options, one)) != bool(getattr(options, other)):
        empty = other if getattr(options, one) else one
        yield Wrong((*path, empty), f"is empty: {one} and {other}, both or neither", "both")


@dataclass(frozen=True, slots=True)
class Shape:
    """A text for which `holds` is true. `why`: what is said of one for which it is not. `empty`: it may be left open.
    `lines`: it may have several. `is_file`: it is the path of one, from the folder of the configuration that names it.
    `cased`: it is somebody else's name, told apart by its capitals.
    """

    holds: Callable[[str], bool]
    why: str
    write: str
    empty: bool = False
    lines: bool = False
    longest: int = LINE
    is_file: bool = False
    cased: bool = False

    def wrong(self, text: str) -> str:
        """Why a text is not of this shape; empty where it is. It never repeats the text, which may be a secret."""
        if not text and self.empty:
            return ""
        if len(text) > self.longest:
            return f"has more than {self.longest} characters"
        if any(map(_unseen, text.replace("\n", "") if self.lines else text)):
            return "there is a line's end or an invisible character in its text"
        if not self.lines and text != text.strip():
            return "there is a blank before or behind it"
        return "" if text.strip() and self.holds(text) else self.why


@dataclass(frozen=True, slots=True)
class Days:
    """Days from the first to the last."""

    first: date
    last: date

    def wrong(self, day: date) -> str:
        return "" if self.first <= day <= self.last else "no day that can be meant"


def _unseen(sign: str) -> bool:
    """What would end a header, a policy or a mail's line, or is not seen by who reads the file."""
    return not sign.isprintable() if sign.isascii() else (not sign.isprintable() or ignorable(sign))


def _folded(text: str) -> str:
    """Without what a keyboard makes of letters: full width, capitals."""
    return normalize("NFKC", text).casefold()


def _is_named(text: str) -> bool:
    """Whether a name, a host or a path says something: no blank, no placeholder, not signs alone."""
    said = _folded(text).strip(AROUND)
    return len(said) >= SHORTEST and any(map(str.isalnum, said)) and said not in UNWRITTEN


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", _folded(text))


def is_written(text: str) -> bool:
    """Whether a text of one word or more says something: not placeholders alone, nor x and 0 alone."""
    words, signs = _words(text), re.sub(r"[\W_]", "", _folded(text))
    alone = bool(words) and AND_SO_ON.issuperset(words) and not re.search(r"\d", signs)
    opens = OPEN_PHRASE.fullmatch(" ".join(words)) or signs in UNWRITTEN or re.fullmatch("x{2,}|0+", signs)
    return _is_named(text) and not alone and not opens


def _is_reference(text: str) -> bool:
    """A number, or a name with a number or a date, by which a contract is found. Words alone are what stands there
    while there is none ("ask legal"), in any language: so it has a digit, and no word that says so beside one.
    """
    known = re.fullmatch(r"[\w .,:;/#()&+'§|~-]+", text) is not None and ".." not in text
    address = re.match("(file|javascript|data|http):", _folded(text))
    return known and is_written(text) and not address and _is_number(text) and not _is_still_open(text)


def _is_number(text: str) -> bool:
    """A digit besides 0; digits alone are no year, no counting up, not one digit again and again."""
    signs = re.sub(r"[\W_]", "", _folded(text))
    counted = signs in "01234567890" or re.fullmatch(r"(19|20)\d\d", signs) is not None
    return any(sign.isdecimal() and int(sign) for sign in signs) and not counted and len({*signs}) > 1


def _is_still_open(text: str) -> bool:
    """Whether a word or a phrase in it says that it is still to be written. `No. 12` is a number, `no … 12` a no; and
    0 may stand for o.
    """
    numbered = re.sub(r"(?<![^\W\d_])no\W*(?=\d)", "", _folded(text))
    words = [*_words(numbered), *_words(numbered.replace("0", "o"))]
    told = any(word in STILL_OPEN | {"no"} or re.fullmatch("x{3,}", word) for word in words)
    nothing = bool(words) and UNWRITTEN.difference({"contract"}).issuperset(words)
    return told or nothing or OPEN_PHRASE.search(" ".join(words)) is not None


def _is_file(text: str) -> bool:
    return _is_named(text) and ".." not in text.split("/")


def _is_folder(text: str) -> bool:
    return text.startswith("/") and _is_file(text)


def is_store(text: str) -> bool:
    url = urlsplit(text)
    open_ = url.password is None and "password" not in dict(parse_qsl(url.query))
    return url.scheme in {"postgresql", "postgres"} and open_


def _is_cookie(text: str) -> bool:
    known = re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text) is not None and any(map(str.isalnum, text))
    return known and text.casefold() not in UNWRITTEN and not text.casefold().startswith("__host-gateway")


def _is_url(text: str) -> bool:
    return may_send_to(text) and _is_named(urlsplit(text).hostname or "")


def _is_public_url(text: str) -> bool:
    """An address that signs nobody in."""
    return _is_url(text) and "@" not in urlsplit(text).netloc


def _is_page(text: str) -> bool:
    """A page that people are led to."""
    return _is_path(text) if text.startswith("/") else _is_public_url(text)


def is_contact(text: str) -> bool:
    """A mailbox, or a page on which people are told how to reach somebody."""
    return _is_mailbox(text) or _is_page(text)


def _is_path(text: str) -> bool:
    steps = text.partition("?")[0].split("/")[1:]
    return re.fullmatch(r"/[!-~]*", text) is not None and not {"..", "."} & {*steps} and not text.startswith("//")


def _is_file_of_site(text: str) -> bool:
    return _is_path_of_site(text) and not text.endswith("/")


def _is_path_of_site(text: str) -> bool:
    """A path beyond the root: at the root everything would begin with it."""
    return re.fullmatch(r"/[A-Za-z0-9/._~-]+", text) is not None and _is_path(text) and "//" not in text


def _is_site_origin(text: str) -> bool:
    host = urlsplit(text).hostname or "" if is_origin(text) else ""
    return bool(host) and (is_host(host) or is_loopback(host) or ":" in host)


def _is_page_host(text: str) -> bool:
    host, colon, port = text.partition(":")
    return is_host(host) and (not colon or is_port(port))


def _is_network(text: str) -> bool:
    try:
        return is_of_one_house(text)
    except ValueError:
        return False


def _is_place(text: str) -> bool:
    """A country that there is, or a part of one; of the United States one that there is."""
    country, _, part = text.partition("-")
    if not PLACE.fullmatch(text) or country not in {*SUPPORTED_REGIONS, "EU"}:
        return False
    return country != US or not part or part in STATES


def _is_listening(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    there = not host or (":" not in host and (host == "localhost" or is_host(host) or is_machine_name(host)))
    return bool(colon) and there and (port == "0" or is_port(port))


def is_machine_name(host: str) -> bool:
    """A name without a dot, as containers have."""
    return re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", host) is not None and not host.isdigit()


def _is_server(text: str) -> bool:
    return _is_named(text) and (is_host(text) or is_loopback(text) or is_machine_name(text))


def _is_mailbox(text: str) -> bool:
    name, _, domain = text.rpartition("@")
    return re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}", name) is not None and is_domain(domain.lower())


def _is_header(text: str) -> bool:
    """The name of a header that may tell a place."""
    return _is_own_header(text) and text.casefold() != "same" and NO_PLACE.fullmatch(text.casefold()) is None


def _is_own_header(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", text) is not None and _is_named(text)


def matches(pattern: str) -> Callable[[str], bool]:
    """Whether the whole of a text is as a regular expression has it."""
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


NOBODYS = "names nothing: a placeholder opens what the thing itself would"
TEXT = Shape(bool, "is blank", '"the site"')
STATED = Shape(is_written, NOBODYS, 'what it is called, or "" while nobody knows', empty=True)
URL = Shape(
    _is_url, "the address is neither https nor http on loopback, or its host is none",
    '"https://vendor.example.com/path"', empty=True, longest=2048,
)  # fmt: skip
ORIGIN = Shape(_is_site_origin, "is no exact origin: https, http on loopback only", '"https://www.example.com"')
PAGE = Shape(
    _is_page, "is neither a path on the site nor an https address", '"/privacy-policy" or "https://www.example.com/x"'
)
HOST = Shape(is_host, "is no host's name: lower case, no wild card, scheme, port or path", '"ads.example.com"')
COOKIE_NAME = Shape(_is_cookie, "is no cookie's name, or is one of ours", '"_ga"', longest=NAME_LENGTH)
WORD = Shape(matches(r"[A-Za-z0-9][A-Za-z0-9_-]*"), "has more than letters, digits, - and _", '"loyalty"', longest=64)
FILE = Shape(
    _is_file, "is no path", '"/etc/gateway/file", or "" for none', empty=True, longest=PATH_LENGTH, is_file=True
)
PLACE_SHAPE = Shape(_is_place, "is no place: ISO 3166-1, or ISO 3166-2 behind it", '"US-CA"', longest=6)

Text = Annotated[str, TEXT]
CasedName = Annotated[str, replace(TEXT, cased=True)]
Paragraphs = Annotated[str, replace(STATED, lines=True, longest=PARAGRAPHS)]
Stated = Annotated[str, STATED]
Name = Annotated[str, replace(STATED, empty=False, write="what it is called")]
Contract = Annotated[
    str,
    replace(
        STATED,
        holds=_is_reference,
        why="names none",
        write='its number, or its name with its day, or "", and nothing goes',
    ),
]
Url = Annotated[str, replace(URL, empty=False)]
OptionalUrl = Annotated[str, URL]
PublicUrl = Annotated[str, replace(URL, holds=_is_public_url)]
Origin = Annotated[str, ORIGIN]
OptionalOrigin = Annotated[str, replace(ORIGIN, empty=True)]
SitePage = Annotated[str, PAGE]
ADDRESS = Shape(_is_listening, "is no host:port, the port up to 65535; IPv4 or a name", '"127.0.0.1:8080"')
Address = Annotated[str, ADDRESS]
OptionalAddress = Annotated[str, replace(ADDRESS, write='"127.0.0.1:8083"', empty=True)]
SignInHeader = Annotated[
    str, Shape(_is_own_header, "is no header's name", '"X-Forwarded-Email" or ""', empty=True, longest=NAME_LENGTH)
]
Host = Annotated[str, HOST]
PageHost = Annotated[
    str, replace(HOST, holds=_is_page_host)
]  # of a Content-Security-Policy that lets something through
OptionalDomain = Annotated[
    str, Shape(is_domain, "is no domain: lower case, with a dot, nothing else", '"example.com"', empty=True)
]
MailServerName = Annotated[str, Shape(_is_server, "is no server's name", '"mail.example.com"', empty=True)]
Mailbox = Annotated[str, Shape(_is_mailbox, "is no e-mail address", '"privacy@example.com"', empty=True)]
HouseNetwork = Annotated[
    str,
    Shape(
        _is_network,
        "is no address and no network of one house (the whole internet would be believed)",
        '"10.1.0.0/16" or "127.0.0.1"',
    ),
]
PLACE_HEADER = Shape(
    _is_header, "is no header's name, or one that tells no place", '"CF-IPCountry" or ""', empty=True,
    longest=NAME_LENGTH,
)  # fmt: skip
PlaceHeaderName = Annotated[str, PLACE_HEADER]
PlaceKey = Annotated[
    str,
    replace(PLACE_HEADER, holds=lambda text: text == "same" or _is_header(text), write='"CF-IPCountry", "same" or ""'),
]
CookieName = Annotated[str, COOKIE_NAME]
FilePath = Annotated[str, Shape(_is_file_of_site, "is no file's path on the site", '"/sw.js"')]
PathBeginning = Annotated[str, Shape(_is_path_of_site, "is no beginning of a path beyond the root", '"/ads/"')]
LocalFile = Annotated[str, FILE]
GivenFile = Annotated[str, replace(FILE, empty=False, write='"/etc/gateway/file"')]
LocalFolder = Annotated[
    str,
    replace(
        FILE, holds=_is_folder, why="is no whole path", write='"/var/lib/gateway.checkpoints", or ""', is_file=False
    ),
]
StoreUrl = Annotated[
    str,
    Shape(
        is_store,
        "is no PostgreSQL, or holds a password, which belongs into a file",
        '"postgresql://gateway@db.example.com/consent?passfile=/etc/gateway/pgpass", or ""',
        longest=2000,
        empty=True,
    ),
]
Label = Annotated[str, WORD]
Country = Annotated[
    str, Shape(SUPPORTED_REGIONS.__contains__, "has no numbers of its own: ISO 3166-1, capitals", '"US"', longest=2)
]
PlaceName = Annotated[str, PLACE_SHAPE]
OptionalPlace = Annotated[str, replace(PLACE_SHAPE, empty=True)]
CalendarDay = Annotated[
    date, Days(date(1990, 1, 1), date(2199, 12, 31))
]  # before the first, and after the last, it is a placeholder
PartOfOne = Annotated[float, Meta(gt=0, le=1)]
