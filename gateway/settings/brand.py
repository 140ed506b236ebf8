"""What an operator's pages are called and how they look: [site], and [sites.NAME] for further hosts.

Nothing of it is a default: what is not said stands on no page. `gateway.settings.load` reads them,
`gateway.app.brands` makes of them what pages show.

A colour is held against the page's own background, by day and by night (WCAG 2.2, 1.4.3). There is one colour for
everything that can be pressed, so no setting gives a yes more weight than a no.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv6Address
from math import floor
from typing import Annotated, Any, Literal

import msgspec

from gateway.delivery.guard import is_host
from gateway.settings.shapes import (
    FILE,
    HOST,
    PAGE,
    STATED,
    TEXT,
    OptionPath,
    PlaceName,
    Shape,
    SitePage,
    Text,
    Wrong,
    is_contact,
    matches,
)

LEAST = 4.5  # to 1: what WCAG 2.2 AA asks of text
PAPERS = {"accent": "#ffffff", "accent_dark": "#16181c"}  # --paper of static/choices.css, by day and by night
STEPS = 64  # from a colour to black or white, on the way to one that can be read

Colour = Annotated[
    str, Shape(matches("#[0-9A-Fa-f]{6}"), "is no colour of six digits", '"#0b57a4"', empty=True, longest=7)
]
OptionalText = Annotated[str, replace(TEXT, empty=True)]
Lines = Annotated[str, replace(STATED, lines=True, longest=2000)]
OptionalPage = Annotated[str, replace(PAGE, empty=True)]
LogoFile = Annotated[str, replace(FILE, write='"/etc/gateway/logo.svg", or "" for none')]
ContactPoint = Annotated[
    str, Shape(is_contact, "is neither an e-mail address nor a page", '"privacy@example.com"', empty=True, longest=2048)
]


def _is_asked_for(text: str) -> bool:
    """A host as a request's header has it."""
    try:
        return text in {"localhost", f"[{IPv6Address(text[1:-1])}]"}
    except ValueError:
        return text == "localhost" or is_host(text)


SiteHost = Annotated[str, replace(HOST, holds=_is_asked_for, write='"www.example.com", "[2001:db8::1]"')]
Thing = Literal["account", "email", "phone", "app"]
NAMED = ("account", "phone", "app")  # of them, what an operator may have a word of their own for


class InEachLanguage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text in every language that pages are in."""

    en: Text
    es: Text
    fr: Text


class FooterInEachLanguage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same of some lines."""

    en: Lines
    es: Lines
    fr: Lines


class BrandSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is the operator's own on the pages of one host or more."""

    name: OptionalText = ""
    logo: LogoFile = ""
    contact: ContactPoint = ""
    policy_url: OptionalPage = ""
    notices: dict[PlaceName, SitePage] = {}
    old_title: OptionalText = ""
    footer: Lines | FooterInEachLanguage = ""
    has: tuple[Thing, ...] | None = None
    account: InEachLanguage | None = None
    phone: InEachLanguage | None = None
    app: InEachLanguage | None = None
    accent: Colour = ""
    accent_dark: Colour = ""

    def wrong_brand(self, path: OptionPath) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it, where `path` is its table."""
        for option, paper in PAPERS.items():
            colour = getattr(self, option)
            if colour and contrast(colour, paper) < LEAST:
                near = floor(contrast(colour, paper) * 100) / 100  # never as much as is asked of it
                why = f"{near:.2f} to 1 against the page's {paper}, which nobody can read well"
                yield Wrong((*path, option), why, f'"{_readable(colour, paper)}", or another of {LEAST} to 1 and more')
        for thing in NAMED:
            if getattr(self, thing) and self.has is not None and thing not in self.has:
                yield Wrong(
                    (*path, thing), f'is called something, and "{thing}" is not in has', "it in both or neither"
                )


class SiteOfHosts(BrandSettings, frozen=True, kw_only=True):
    """One of several sites in an installation, known by the host that is asked for."""

    hosts: tuple[SiteHost, ...]


OPTIONS = tuple(each.encode_name for each in msgspec.structs.fields(BrandSettings))


def inherited(merged: dict[str, Any]) -> None:
    """A site by host has from [site] what it does not say itself: but its name, the logo of another name, and what is
    called something there and is not here.
    """
    general, sites = merged.get("site"), merged.get("sites")
    if not isinstance(general, dict) or not isinstance(sites, dict):
        return  # refused by its shape
    shared = {option: general[option] for option in OPTIONS if option in general and option != "name"}
    merged["sites"] = {
        name: {**_fitting(shared, general, stated), **stated} if isinstance(stated, dict) else stated
        for name, stated in sites.items()
    }


def _fitting(shared: Mapping[str, Any], general: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    has = stated.get("has", NAMED)  # a list, or as the environment has it: names with commas
    unfit = {thing for thing in NAMED if thing not in has}
    unfit |= {"logo"} if stated.get("name") != general.get("name") else set()
    return {option: value for option, value in shared.items() if option not in unfit}


def wrong_sites(sites: Mapping[str, SiteOfHosts]) -> Iterator[Wrong]:
    """What the shapes cannot say is wrong with them: each host is one site's, and each site has a name."""
    first: dict[str, str] = {}
    for name, site in sites.items():
        if not site.hosts:
            yield Wrong(("sites", name, "hosts"), "is empty, so nobody sees it", '["www.example.com"]')
        if not site.name:
            yield Wrong(("sites", name, "name"), "is empty", "how its pages call the operator")
        for number, host in enumerate(site.hosts):
            other = first.setdefault(host, name)
            if other != name:
                yield Wrong(("sites", name, "hosts", number), f"is of sites.{other} already", "it in one of them")
        yield from site.wrong_brand(("sites", name))


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2.2 reckons it: from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # noqa: PLR2004 - sRGB's own
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _readable(colour: str, paper: str) -> str:
    """The nearest to a colour, towards black by day and white by night, that can be read."""
    end = 0 if _luminance(paper) > 0.5 else 255  # noqa: PLR2004 - a light page or a dark one
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    for step in range(STEPS + 1):
        mixed = "".join(f"{round(part + (end - part) * step / STEPS):02x}" for part in parts)
        if contrast(f"#{mixed}", paper) >= LEAST:
            return f"#{mixed}"
    return paper
