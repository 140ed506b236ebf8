"""One browser's request, heard: its signals, its sealed cookie, who is signed in. The site's doors and our pages call
it.

Headers are looked at once. Whoever sends nothing but ordinary names costs no more; the rest is read by name, and what
the same bytes said before is not read again.
"""

import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import structlog
from starlette.types import Scope

from gateway.consent.site import Site, is_part, kept_no
from gateway.consent.verbs import Consent
from gateway.keys import api_keys, seals
from gateway.keys.seals import BrowserCookie
from gateway.ledger.subjects import Subject, one_each
from gateway.signals import cookies, hear
from gateway.signals.cookies import NOTHING, Sieve
from gateway.signals.hear import SILENT
from gateway.signals.heard import OWS, Heard
from gateway.terms import SIGNAL_PURPOSES, Malformed, Purpose
from gateway.web.shell import header_names
from gateway.web.shell.cross_site import brings_no_cookies, is_framed_elsewhere
from gateway.web.shell.own_cookies import BROWSER_COOKIE, BROWSER_COOKIES, SAID_COOKIE

ACCOUNT_COOKIE = "gateway-account"
CREDENTIALS = b"authorization"
SCOPE_ACCOUNT = "gateway_account"  # scope["state"] key that an ASGI site may set (I1)
KEPT = 1024  # what so many requests said is remembered, by its bytes
KEPT_BYTES = 4096  # of one request; longer ones are read each time
PLACES = 256
MOST_NOES = 4096  # requests of a live no by a mark of their bytes, which say the same each time they come
NO_BYTES = 1024  # that are read of one: what is kept of a stranger's request is up to six times that
BROWSERS = 8192  # opened cookies and their keys: what they name never changes, so nothing can be out of date
log = structlog.get_logger("gateway")
FromScope = Callable[[Scope], object]
Headers = Sequence[tuple[bytes, bytes]]
Fields = tuple[tuple[bytes, bytes], ...]
Pairs = tuple[tuple[str, str], ...]
Mark = tuple[int, int]
UNCLEAR = Malformed("account", "site")
# An assertion that is ours and ran out: somebody was signed in, and may be still, who opted out. It proves and ties
# nothing.
OVER = Malformed("account", "over")
UNKNOWN = frozenset({UNCLEAR, OVER})  # with which nobody can tell who is signed in
MOST_COMPLAINTS = 16
LONGEST_ACCOUNT = 256  # characters
NO_STATE: Mapping[str, Any] = {}
NOTHING_DENIED: frozenset[Purpose] = frozenset()


@dataclass(frozen=True, slots=True)
class Visitor:
    """What one request says about whom. `site_ids`: the site's own configured cookie ids. `cookie` is what all cookies
    of ours together say, of the first browser that they name. `others`: further browsers and accounts that this request
    names as surely as the first; each of them counts. `credentials`: the request has some of the site's own, or an
    id of the site's that cannot be read: the page is somebody's, whom the gateway does not know by them.
    """

    heard: Heard
    cookie: BrowserCookie | None
    account: Subject | None
    place: object = None
    site_ids: tuple[Subject, ...] = field(default=(), repr=False)
    malformed: tuple[Malformed, ...] = ()
    unclear: bool = False  # who is signed in could not be found out: somebody who opted out may be
    nobody: bool = False  # says nothing and is known by nothing: the same answer for all of them
    ordinary: bool = False  # and sends no header with a name that is out of the ordinary
    others: tuple[Subject, ...] = field(default=(), repr=False)
    credentials: bool = False
    hidden: bool = False  # the browser brings no cookie of ours though it may have one, and takes one over it

    @property
    def denied(self) -> frozenset[Purpose]:
        """What the sealed cookie alone denies, ledger or not."""
        return self.cookie.denied if self.cookie else NOTHING_DENIED


class Visitors:
    """Reads requests, for the site and for our own pages alike. `account` and `place` are the site's own way to say, by
    the ASGI scope, who is signed in and where the visitor is known to be.
    """

    def __init__(
        self,
        consent: Consent,
        *,
        site_ids: Sequence[str] = (),
        account_header: bool = True,
        account: FromScope | None = None,
        place: Callable[[Scope], object] | None = None,
    ) -> None:
        self._consent = consent
        self._account = account
        self._place = place
        self._site_ids = frozenset(site_ids)
        self._account_header = account_header
        hearing = consent.checks.hearing
        self._sieve = Sieve(hearing.reads, self._is_ours, hearing.abridges)
        self._said = lru_cache(KEPT)(lambda fields, query: hear.from_web(fields, hearing, query))
        self._opened = lru_cache(BROWSERS)(lambda text: seals.read_cookie(consent.secrets.seals, text))
        self._complaints: set[tuple[str, str]] = set()
        self._known: dict[tuple[object, ...], Visitor] = {}
        self._noes: dict[Mark, Visitor] = {}
        self._nobodys = lru_cache(PLACES)(_nobody)
        self._browser = lru_cache(BROWSERS)(consent.people.browser)

    def read(self, scope: Scope) -> Visitor:
        """Whose cookies stay away with this request may have opted out by them: of that one nothing is clear."""
        visitor = self._read(scope)
        if visitor.cookie is None and brings_no_cookies(scope):
            return replace(visitor, unclear=True, nobody=False, hidden=True)
        return visitor

    def on_site(self, scope: Scope) -> Visitor:
        """The same for the site's doors. In another site's frame whoever opted out comes without our cookie, too; who
        says no to everything there is heard as ever. Our own pages ask nothing of it: they tell what they are told.
        """
        visitor = self.read(scope)
        if visitor.cookie is None and is_framed_elsewhere(scope) and not visitor.heard.denied >= FULL:
            return replace(visitor, unclear=True, nobody=False)
        return visitor

    def _read(self, scope: Scope) -> Visitor:
        headers: Headers = scope["headers"]
        query: bytes = scope.get("query_string", b"")
        malformed: list[Malformed] = []
        place = self._said_place(scope, malformed) if self._place else None
        told = self._account or SCOPE_ACCOUNT in (scope.get("state") or NO_STATE)
        said = self._signed_in(scope, malformed) if told else None
        who: tuple[str, ...] = (said,) if said else ()
        if query and not hear.in_address(query):
            query = b""
        unusual = [header for header in headers if header[0] not in ORDINARY]
        more = query or who or malformed
        if not (unusual or more):
            return self._nobody(place, True)
        mark = None if more or not isinstance(place, str | None) else _mark(unusual, place)
        known = self._noes.get(mark) if mark else None
        if known is not None:
            return known
        signals, found = self._fields(unusual)
        size = len(query) + sum([len(value) for _, value in (*signals, *found)])
        heard = self._heard(signals, query, size) if signals or query else SILENT
        names = [name for name, _ in unusual]
        if not who and (found or header_names.ACCOUNT in names):
            who = self._asserted(unusual, found, malformed)
        credentials = CREDENTIALS in names
        if not (found or who or malformed) and heard is SILENT:
            return self._nobody(place, False, credentials)
        read = self._recalled if size <= KEPT_BYTES else self._visitor
        visitor = read(heard, found, who, place, tuple(malformed), credentials)
        if mark and not (who or malformed) and size <= NO_BYTES and heard.denied >= FULL:
            self._keep(mark, visitor)
        return replace(visitor, unclear=True) if not UNKNOWN.isdisjoint(malformed) else visitor

    def _keep(self, mark: Mark, visitor: Visitor) -> None:
        """Nobody but who says no to all that a signal can: whom a mark were ever taken for, nothing would open."""
        if len(self._noes) >= MOST_NOES:
            self._noes.clear()
        self._noes[mark] = visitor

    def site(self, visitor: Visitor, subjects: Sequence[Subject]) -> Site:
        """What holds for one visitor; nothing may be done for whom the site itself could not tell who it is."""
        checks, heard = self._consent.checks, visitor.heard
        if visitor.unclear:
            return checks.unknown_site(visitor.place, gpc=heard.gpc)
        return checks.site(subjects, heard.denied, visitor.place, gpc=heard.gpc, kept=self.kept(visitor))

    def kept(self, visitor: Visitor) -> frozenset[Purpose]:
        """What the sealed cookie denies; of a part of the three all but what this very browser said yes to."""
        denied = visitor.denied
        if not is_part(denied):
            return denied
        assert visitor.cookie
        value = visitor.cookie.value
        mine = self._consent.checks.standings_of(self._browser(value).keys) if value else ()
        return kept_no(denied, mine or ())

    def _complain(self, asked: str, why: str) -> None:
        """Once a kind of mistake; never with its text, which may name a person."""
        if (asked, why) not in self._complaints and len(self._complaints) < MOST_COMPLAINTS:
            self._complaints.add((asked, why))
            log.error("the site could not tell", asked=asked, why=why, then="nothing may be done for these visitors")

    def _said_place(self, scope: Scope, malformed: list[Malformed]) -> object:
        assert self._place
        try:
            return self._place(scope)
        except Exception as error:  # noqa: BLE001 - whatever the site's own code raises; no place: the strictest of all
            self._complain("place", type(error).__name__)
            malformed.append(Malformed("place", "raised"))
            return None

    def _signed_in(self, scope: Scope, malformed: list[Malformed]) -> str | None:
        """Whom the site says to be signed in. Its mistakes are counted, and never an allow."""
        try:
            who = self._account(scope) if self._account else None
            who = (scope.get("state") or NO_STATE).get(SCOPE_ACCOUNT) if who is None else who
        except Exception as error:  # noqa: BLE001 - whatever the site's own code raises
            self._complain("account", type(error).__name__)
            malformed.append(UNCLEAR)
            return None
        if who is None or who == "":
            return None
        name = str(who) if isinstance(who, int) and not isinstance(who, bool) else who
        if isinstance(name, str) and len(name) <= LONGEST_ACCOUNT and name.isprintable():
            return name
        if isinstance(who, Coroutine):
            who.close()  # an async function, which nobody awaits here
        self._complain("account", f"gave {type(who).__name__}")
        malformed.append(UNCLEAR)
        return None

    def _recalled(
        self,
        heard: Heard,
        found: Pairs,
        who: tuple[str, ...],
        place: object,
        malformed: tuple[Malformed, ...],
        credentials: bool,
    ) -> Visitor:
        """The same object for whoever is heard the same, so that what follows from it may be kept beside it."""
        if malformed or not isinstance(place, str | None):
            return self._visitor(heard, found, who, place, malformed, credentials)
        said = (id(heard), found, who, place, credentials)
        known = self._known.get(said)
        if known is None or known.heard is not heard:
            known = self._visitor(heard, found, who, place, (), credentials)
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[said] = known
        return known

    def subjects(self, visitor: Visitor) -> list[Subject]:
        """Everybody that this request is known to be: browser, account, the site's own ids."""
        found = list(visitor.site_ids)
        if visitor.cookie and visitor.cookie.value:
            found.insert(0, self._browser(visitor.cookie.value))
        if visitor.account:
            found.append(visitor.account)
        return [*found, *visitor.others] if visitor.others else found

    def _visitor(
        self,
        heard: Heard,
        found: Pairs,
        who: tuple[str, ...],
        place: object,
        malformed: tuple[Malformed, ...],
        credentials: bool,
    ) -> Visitor:
        wrong = [*malformed]
        sealed = self._cookies(found, wrong) if found else []
        ids = self._ids(found) if self._site_ids else ()
        credentials = credentials or (not ids and any(name in self._site_ids for name, _ in found))
        cookie = _together(sealed) if sealed else None
        accounts = [self._consent.people.account(each) for each in who]
        account, *more = one_each(filter(None, accounts)).values() or (None,)
        if None in accounts:  # somebody is, by a name that nobody can have
            self._complain("account", "gave a name that is nobody's")
            wrong.append(UNCLEAR)
        browsers = dict.fromkeys(each.value for each in sealed if each.value)
        others = (*map(self._browser, [*browsers][1:]), *filter(None, more))
        unclear, all_wrong = None in accounts, tuple(wrong)
        return Visitor(heard, cookie, account, place, ids, all_wrong, unclear, others=others, credentials=credentials)

    def _nobody(self, place: object, is_ordinary: bool, credentials: bool = False) -> Visitor:
        try:
            return self._nobodys(tuple(place) if isinstance(place, list) else place, is_ordinary, credentials)
        except TypeError:  # no place has this form
            return _nobody(place, is_ordinary, credentials)

    def _is_ours(self, name: str) -> bool:
        return name in BROWSER_COOKIES or name.lower() == ACCOUNT_COOKIE or name in self._site_ids

    def _fields(self, headers: Headers) -> tuple[Fields, Pairs]:
        """The headers that hearing reads, cookies sifted; and the cookies that are read here."""
        jar, said = [], []
        for header in headers:
            if header[0] == b"cookie":
                jar.append(header[1])
            elif header[0] in HEARD:
                said.append(header)
        sifted = self._sieve.sift(jar) if jar else NOTHING
        return (*said, *[(b"cookie", value) for value in sifted.signals]), sifted.ours

    def _heard(self, fields: Fields, query: bytes, size: int) -> Heard:
        heard = (self._said if size <= KEPT_BYTES else self._said.__wrapped__)(fields, query)
        return heard if heard.said or heard.malformed or heard.ended or heard.vendors else SILENT

    def _cookies(self, jar: Iterable[tuple[str, str]], malformed: list[Malformed]) -> list[BrowserCookie]:
        """All that have the shape of ours: a browser with several jars sends several, and nobody knows which is its."""
        found: dict[str, list[BrowserCookie]] = {SAID_COOKIE: [], BROWSER_COOKIE: []}
        for name, value in [each for each in jar if each[0] in found]:
            cookie = self._opened(value) or self._opened(cookies.unwrap(value))
            if cookie is None or cookie.lost:
                malformed.append(Malformed("browser", "cookie"))
            if cookie is not None:
                found[name].append(cookie)
        said, kept = found.values()
        if not said:
            return kept
        named, denied = {each.browser for each in kept}, frozenset[Purpose]().union(*(each.denied for each in kept))
        # What a form said of another browser, in whose cookie's place a page put its own: behind that one, for a script
        # may have brought it from elsewhere, and due again until that one denies as much.
        others = (each for each in said if each.value and each.browser not in named)
        return [*kept, *(replace(each, day=kept[0].day) if kept and each.denied <= denied else each for each in others)]

    def _asserted(
        self, headers: Headers, jar: Iterable[tuple[str, str]], malformed: list[Malformed]
    ) -> tuple[str, ...]:
        """Whom signed Gateway-Accounts name, in headers and cookies. Others are counted; one that is over denies."""
        if not self._account_header:
            return ()
        said = [value.strip(OWS).decode("latin-1") for name, value in headers if name == header_names.ACCOUNT]
        said += [value for name, value in jar if name.lower() == ACCOUNT_COOKIE]
        now, found, keys = int(self._consent.clock().timestamp()), dict[str, int](), self._consent.secrets.accounts
        for text in dict.fromkeys(said):
            forms = [*_as_written(text)]
            ours = [each for form in forms if (each := api_keys.read_account(keys, form))]
            if not ours:
                malformed.append(Malformed("account", "unsigned"))
                continue
            if len(keys) > 1 and not any(api_keys.read_account(keys[-1:], form) for form in forms):
                malformed.append(Malformed("account", "older_key"))  # so that somebody sees when it may be retired
            found[ours[0].account] = max(ours[0].until, found.get(ours[0].account, 0))
        signed_in = tuple(account for account, until in found.items() if until >= now)
        if len(signed_in) < len(found):
            malformed.append(OVER)
        return signed_in

    def _ids(self, jar: Iterable[tuple[str, str]]) -> tuple[Subject, ...]:
        """Under each form that the site itself may know a value by, which then are all this visitor's."""
        listed = [
            {"type": "cookie", "source": name, "value": form}
            for name, value in jar
            if name in self._site_ids
            for form in _as_written(value)
        ]
        return self._consent.people.name(listed).subjects if listed else ()


def _together(found: Sequence[BrowserCookie]) -> BrowserCookie:
    """What several cookies of ours say: each no of each of them, of the first browser that any names. Whether that
    browser's no may be on no record only its own cookies tell: another's says nothing of what it was named by before.
    """
    if len(found) == 1:
        return found[0]
    named = next((each.browser for each in found if each.value), seals.NO_ID)
    denied = frozenset[Purpose]().union(*(each.denied for each in found))
    lost = any(each.lost for each in found)
    unwritten = all(each.unwritten for each in found if each.browser == named)
    return BrowserCookie(named, min(each.day for each in found), denied, lost, unwritten)


def _as_written(text: str) -> Iterator[str]:
    """What an assertion or an id may have been before a server wrote it into a cookie: as it stands; without the quotes
    or the percent-encoding that frameworks put around an "@"; with the letters of its UTF-8, which come one a byte.
    """
    for form in dict.fromkeys((text, cookies.unwrap(text))):
        yield form
        if not form.isascii():
            with contextlib.suppress(UnicodeError):
                yield form.encode("latin-1").decode()


def _nobody(place: object, is_ordinary: bool, credentials: bool) -> Visitor:
    place = list(place) if isinstance(place, tuple) else place
    return Visitor(SILENT, None, None, place, nobody=True, ordinary=is_ordinary, credentials=credentials)


def _mark(headers: Headers, place: str | None) -> Mark:
    """Of a request's place and bytes a hash with this process's own key: no cookie of the site's is kept for it."""
    said = [part for header in headers for part in header]
    return hash((place, *said)), sum(map(len, said))


ORDINARY, FULL = header_names.ORDINARY_REQUEST, frozenset(SIGNAL_PURPOSES)
HEARD = header_names.READ - {b"cookie", header_names.ACCOUNT, CREDENTIALS}


def jar_of(scope: Scope) -> list[tuple[str, str]]:
    """Every cookie of a request, as (name, raw value): for our own pages, which have cookies of their own."""
    return cookies.pairs([value for name, value in scope["headers"] if name == b"cookie"])
