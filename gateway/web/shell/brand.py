"""Whose page it is: how the operator is called there and looks, by the host that was asked for.

The application puts its brands into each request's scope; a page asks `brand_of`. A text of ours names the operator's
own things by places, `%(our_account)s`, `%(our_phone)s`, `%(our_app)s` and two lists of what there is, which a page
fills in, in the language of the text. Without a word of their own they are called what anybody would call them.
"""

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.terms import Purpose
from gateway.web.shell import words
from gateway.web.shell.words import mark

ACCOUNT, EMAIL, PHONE, APP = THINGS = ("account", "email", "phone", "app")
DEVICES = "devices"
OURS = {ACCOUNT: mark("account"), PHONE: mark("phone number"), APP: mark("our app")}
OWNED = {PHONE: mark("phone numbers"), EMAIL: mark("email addresses"), APP: mark("app"), DEVICES: mark("devices")}
NEEDS: Mapping[str, str] = {
    Purpose.MARKETING_EMAIL: EMAIL, Purpose.MARKETING_TEXT: PHONE, Purpose.MARKETING_CALL: PHONE,
}  # fmt: skip
PLACE: Final = re.compile(r"%\(our_\w+\)s")
SCOPE: Final = "gateway_brands"  # its name in an ASGI scope


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture as it is served."""

    content: bytes
    media_type: str


@dataclass(frozen=True, eq=False)
class Brand:
    """One operator's own. `called`: by thing and language; `footer`: by language; `has`: the things that there are;
    `notices`: pages by place; `elsewhere`: name and origin of the operator's other sites. Nothing of it is HTML.
    """

    name: str = ""
    logo: Logo | None = None
    contact: str = ""
    policy_url: str = ""
    notices: Mapping[str, str] = field(default_factory=dict)
    old_title: str = ""
    footer: Mapping[str, str] = field(default_factory=dict)
    has: frozenset[str] = frozenset(THINGS)
    called: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    accent: str = ""
    accent_dark: str = ""
    elsewhere: tuple[tuple[str, str], ...] = ()

    def words_in(self, language: str) -> dict[str, str]:
        """What stands in a text of ours for each of the places."""

        def called(thing: str) -> str:
            return self.called.get(thing, {}).get(language) or words.say(language, OURS[thing])

        def listed(*things: str) -> str:
            known = {ACCOUNT: called(ACCOUNT), **{thing: words.say(language, text) for thing, text in OWNED.items()}}
            return ", ".join(known[thing] for thing in things if thing in self.has or thing == DEVICES)

        return {
            **{f"%(our_{thing})s": called(thing) for thing in OURS},
            "%(our_belongings)s": listed(ACCOUNT, APP, DEVICES),
            "%(our_identities)s": listed(PHONE, EMAIL, APP, DEVICES),
        }

    @property
    def types_something(self) -> bool:
        """Whether there is something to give in a form."""
        return not self.has.isdisjoint({EMAIL, PHONE})

    @property
    def contact_link(self) -> str:
        """Where a link to whom one writes leads."""
        return self.contact if self.contact.startswith(("/", "http")) else f"mailto:{quote(self.contact, safe='@')}"

    def offers(self, purpose: str) -> bool:
        """Whether there is what a purpose is about: no texts and no calls without phone numbers."""
        return NEEDS.get(purpose) in {None, *self.has}

    @cached_property
    def style(self) -> bytes:
        """What stands behind the style sheet of everybody. It cannot say anything of one button and not of another."""
        day = f":root{{--act:{self.accent}}}\n" if self.accent else ""
        night = f"@media (prefers-color-scheme: dark){{:root{{--act:{self.accent_dark or OUR_NIGHT}}}}}\n"
        return (day + night).encode() if self.accent or self.accent_dark else b""


OUR_NIGHT = "#8ab4f8"  # as static/choices.css has it
NOBODYS = Brand()  # of a page that no application serves


@dataclass(frozen=True, slots=True)
class Brands:
    """All of an installation: the general one, and those of hosts (lower case, no port)."""

    general: Brand = NOBODYS
    by_host: Mapping[str, Brand] = field(default_factory=dict)

    def of_host(self, host: str) -> Brand:
        """`host` as its header has it, which anybody may write: it chooses among the operator's own and no more."""
        if not self.by_host:
            return self.general
        bare = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0].removesuffix(".")
        return self.by_host.get(bare, self.general)


class Branded:
    """What is served as somebody's. It costs a request no coroutine."""

    def __init__(self, app: ASGIApp, brands: Brands) -> None:
        self._app = app
        self._brands = brands

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope[SCOPE] = self._brands
        return self._app(scope, receive, send)


def brand_of(request: Request) -> Brand:
    """Whose page a request is for."""
    brands: Brands | None = request.scope.get(SCOPE)
    return brands.of_host(request.headers.get("host", "").lower()) if brands else NOBODYS
