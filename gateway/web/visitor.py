"""One browser's request, heard: its signals, its sealed cookie, who is signed in."""

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway import credentials, seals
from gateway.consent import Consent
from gateway.ledger.records import Subject
from gateway.seals import BrowserCookie
from gateway.signals import hear
from gateway.signals.heard import Heard
from gateway.terms import Malformed, Purpose
from gateway.web.browser_cookie import COOKIE

ACCOUNT_HEADER = b"gateway-account"
ACCOUNT_COOKIE = "gateway-account"
SCOPE_ACCOUNT = "gateway_account"  # scope["state"] key that an ASGI site may set (I1)
Scope = MutableMapping[str, Any]
FromScope = Callable[[Scope], str | None]
Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Visitor:
    """What one request says about whom. `site_ids`: the site's own configured cookie ids."""

    heard: Heard
    cookie: BrowserCookie | None
    account: str | None
    place: object = None
    site_ids: tuple[Subject, ...] = field(default=(), repr=False)
    malformed: tuple[Malformed, ...] = ()

    def with_heard(self, heard: Heard) -> "Visitor":
        return replace(self, heard=heard)

    @property
    def denied(self) -> frozenset[Purpose]:
        """What the sealed cookie alone denies, ledger or not."""
        return self.cookie.denied if self.cookie else frozenset()


class Visitors:
    """Reads requests, for the site and for our own pages alike. `account` and `place` are the site's own way to say, by
    the ASGI scope, who is signed in and where the visitor is known to be.
    """

    def __init__(
        self, consent: Consent, *, site_ids: Sequence[str] = (), account_header: bool = True,
        account: FromScope | None = None, place: Callable[[Scope], object] | None = None,
    ) -> None:  # fmt: skip
        self._consent = consent
        self._account = account
        self._place = place
        self._site_ids = frozenset(site_ids)
        self._account_header = account_header

    def read(self, scope: Scope) -> Visitor:
        headers: Headers = scope["headers"]
        heard = hear.from_web(headers, self._consent.checks.hearing, scope.get("query_string", b""))
        malformed: list[Malformed] = []
        cookie = self._cookie(heard.cookies, malformed)
        who = self._account(scope) if self._account else None
        who = who or scope.get("state", {}).get(SCOPE_ACCOUNT) or self._asserted(headers, heard, malformed)
        place = self._place(scope) if self._place else None
        return Visitor(heard, cookie, who, place, self._ids(heard), tuple(malformed))

    def subjects(self, visitor: Visitor) -> list[Subject]:
        """Everybody that this request is known to be: browser, account, the site's own ids."""
        found = list(visitor.site_ids)
        if visitor.cookie and visitor.cookie.value:
            found.insert(0, self._consent.people.browser(visitor.cookie.value))
        if visitor.account:
            found.append(self._consent.people.account(visitor.account))
        return found

    def _cookie(self, jar: Iterable[tuple[str, str]], malformed: list[Malformed]) -> BrowserCookie | None:
        for name, value in jar:
            if name == COOKIE:
                try:
                    return seals.open_cookie(self._consent.secrets.seals, value)
                except seals.Opening:
                    malformed.append(Malformed("browser", "cookie"))
        return None

    def _asserted(self, headers: Headers, heard: Heard, malformed: list[Malformed]) -> str | None:
        """A signed Gateway-Account in a header or a cookie. Unsigned ones are ignored and counted."""
        if not self._account_header:
            return None
        said = [value.decode("latin-1") for name, value in headers if name == ACCOUNT_HEADER]
        said += [value for name, value in heard.cookies if name.lower() == ACCOUNT_COOKIE]
        now = int(self._consent.clock().timestamp())
        for text in said:
            account = credentials.read_account(self._consent.secrets.accounts, text, now)
            if account:
                return account
            malformed.append(Malformed("account", "unsigned"))
        return None

    def _ids(self, heard: Heard) -> tuple[Subject, ...]:
        listed = [
            {"type": "cookie", "source": name, "value": value}
            for name, value in heard.cookies if name in self._site_ids
        ]  # fmt: skip
        return self._consent.people.name(listed).subjects if listed else ()
