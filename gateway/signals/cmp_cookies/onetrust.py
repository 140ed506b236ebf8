"""OneTrust: `OptanonConsent` and the GPP string that it may have cut into pieces.

Groups are put off by a person, by the tool for a region, or by the tool for a browser with GPC; the cookie's own
counter and `OptanonAlertBoxClosed` tell which (signals.md section 6).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gateway.signals import cookies
from gateway.signals.cmp_cookies.carriers import section_ids
from gateway.signals.cmp_cookies.cookie import Cookie
from gateway.signals.cmp_cookies.state import NOTHING, SALE, By, Carried, ToolState, Words
from gateway.signals.cmp_cookies.values import MAX_FIELDS, plain, truth

CONSENT = "OptanonConsent"
CLOSED = "OptanonAlertBoxClosed"
GPP = "OTGPPConsent"
MAX_PIECES = 8  # pieces of 4,000 characters: four fill a whole Cookie header

Fields = Mapping[str, Sequence[str]]


def read(cookie: Cookie) -> Iterator[ToolState]:
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
    piece that is there is taken, not the number that `GPPCookiesCount` tells: an opt-out may stand in the last.
    """
    names = (f"{cookie.name}{number}" for number in range(MAX_PIECES))
    pieces = [plain(cookie.value), *(piece for name in names for piece in cookie.beside(name)[:1])]
    beside = [_fields(value) for value in cookie.jar.get(CONSENT, ())[:MAX_PIECES]]
    applying = section_ids(text for fields in beside for text in fields.get("gppSid", ()))
    yield cookie.shows(carried=[Carried("gpp", "".join(pieces), applying)])


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
