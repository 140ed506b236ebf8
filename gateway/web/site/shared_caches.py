"""By what an answer is somebody's: one table for shared caches, ours and everybody else's (R33).

The middleware and the forward-auth doors say `Vary` and `private` by it; the recipes' lines on caches, and on what a
proxy hands on to be heard, are printed from it; the tests take their visitors from it. Whatever an answer is made from
besides gets a row here. Never decides what may be done.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.terms import Source
from gateway.web.shell.own_cookies import BROWSER_COOKIES
from gateway.web.shell.visitor import ACCOUNT_COOKIE, Visitor

Headers = list[tuple[bytes, bytes]]
SAME = "same"  # `[site] place_in_key` of a site whose visitors are all told one place


class Facts(NamedTuple):
    """What is known of one answer. `remembers`: it sets the browser's cookie. `placed`: the site is told a known place,
    and no shared cache has the place in its key.
    """

    visitor: Visitor
    remembers: bool
    placed: bool


def _signed_in(visitor: Visitor) -> bool:
    """An assertion that has run out is somebody's, too: the site may still know whose."""
    return visitor.account is not None or any(each.channel == "account" for each in visitor.malformed)


@dataclass(frozen=True, slots=True)
class Mark:
    """One row. `headers` of a request bring it: they stand in `Vary`, and a proxy hands them on. `private`: the answer
    is one person's, and no shared cache may keep it, whatever it makes of `Vary`. `cookies` are named in full; the
    site's own are configured. `own_page`: the site itself may print who this is; so a cache that has what the site is
    told in its key keeps no such page either.
    """

    name: str
    headers: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    private: Callable[[Facts], bool] = lambda _: False
    own_page: bool = False


MARKS = (
    # Whoever says it by this header alone shares a page with all who do: caches heed Vary, or they must not keep pages.
    Mark("gpc", ("Sec-GPC",)),
    Mark(
        "signals", ("Cookie", "DNT", "X-AdChoices", "Cookie2"),
        private=lambda facts: any(said.source != Source.GPC for said in facts.visitor.heard.said),
    ),
    Mark("browser", ("Cookie",), BROWSER_COOKIES, lambda facts: facts.visitor.cookie is not None),
    Mark(
        "account", ("Cookie", "Gateway-Account"), (ACCOUNT_COOKIE,), lambda facts: _signed_in(facts.visitor),
        own_page=True,
    ),
    Mark("unclear", private=lambda facts: facts.visitor.unclear),  # somebody who opted out may be signed in
    Mark("site_ids", ("Cookie",), private=lambda facts: bool(facts.visitor.site_ids), own_page=True),
    Mark("credentials", ("Authorization",), private=lambda facts: facts.visitor.credentials, own_page=True),
    Mark("remembered", private=lambda facts: facts.remembers),  # one sealed cookie is for one browser (I32)
    Mark("place", private=lambda facts: facts.placed),  # law differs by place, and no header tells it
)  # fmt: skip
# Cookies by whose names an application makes one person's pages, beginnings of names. Its recipe keeps none of those.
OF_APPLICATIONS = {
    "wordpress": ("wordpress_logged_in_", "wp-postpass_", "comment_author_", "wp_woocommerce_session_", "woocommerce_"),
}

HEARD = tuple(dict.fromkeys(header for mark in MARKS for header in mark.headers))
VARY = (b"vary", ", ".join(HEARD).encode())
PRIVATE = (b"cache-control", b"private, no-cache")
# Of nginx, Varnish and Fastly, Akamai, LiteSpeed; Expires is what a cache goes by that knows no Cache-Control.
OUTRANKING = frozenset(
    {b"x-accel-expires", b"surrogate-control", b"edge-control", b"x-litespeed-cache-control", b"expires"}
)
OF_A_HOUSE = b"cdn-cache-control"  # `Cloudflare-CDN-Cache-Control` and its like are RFC 9213's, one for each house
DIRECTIVE = re.compile(rb'(?:[^,"]|"(?:\\.|[^"\\])*"?)+')  # a quote without an end reaches to the end


def vary(place_in_key: str) -> tuple[bytes, bytes]:
    """`VARY`, with the header by which a cache knows a visitor's place, if it does."""
    if place_in_key in {"", SAME}:
        return VARY
    return VARY[0], VARY[1] + b", " + place_in_key.encode()


def is_one_persons(facts: Facts) -> bool:
    """Who says nothing, and who says it by Sec-GPC alone, share a page; whatever else had a part makes it one
    person's, for caches that pass over `Vary` as well.
    """
    return any(mark.private(facts) for mark in MARKS)


def privately(headers: Headers) -> Headers:
    """An answer's headers, and no shared cache may keep it; what the site says of its own accord stands where that is
    said. What one cache or another obeys before `Cache-Control` goes.
    """
    kept, said = [], []
    for header in headers:
        name = header[0].lower()
        if name in OUTRANKING or name.endswith(OF_A_HOUSE):
            continue
        kept.append(header)
        if name == PRIVATE[0]:
            said.append(header)
    if said and _is_kept_apart(b", ".join([value for _, value in said]).lower()):
        return kept
    return [*(header for header in kept if header not in said), PRIVATE] if said else [*kept, PRIVATE]


def _is_kept_apart(said: bytes) -> bool:
    """Whether a Cache-Control keeps shared caches off the whole answer (RFC 9111 5.2.2): `private="set-cookie"` is of
    one header alone, and what stands in quotes is no directive.
    """
    directives = [each.strip() for each in DIRECTIVE.findall(said)]
    if b"no-store" in directives:
        return True
    shared = any(each == b"public" or each.startswith((b"private=", b"s-maxage")) for each in directives)
    return b"private" in directives and not shared


def own_page_headers() -> tuple[str, ...]:
    """Of a request to which the site answers with one person's own page; cookies apart."""
    return tuple(name for mark in MARKS if mark.own_page for name in mark.headers if name != "Cookie")


def own_page_cookies(site_ids: Iterable[str], application: str = "") -> str:
    """The like, of cookies: a regular expression for the end of a look at the beginning of one in a Cookie header."""
    names = [*(name for mark in MARKS if mark.own_page for name in mark.cookies), *site_ids]
    ours = [f"{re.escape(name)}=" for name in names]
    return "|".join([*ours, *map(re.escape, OF_APPLICATIONS.get(application, ()))]).replace('"', r"\x22")
