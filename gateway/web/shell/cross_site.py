"""Whether a form or a script of another site posts this (CSRF), and whether the browser therefore brings no cookie of
ours: the doors of pages and of browsers ask it.

A post is from our own pages by Fetch Metadata first, then Origin (Go 1.25's CrossOriginProtection); `same-site` is not
enough. Neither header: not a browser, pass. `Origin: null` is what old browsers send from a page with `no-referrer`, so
for opt_out and limit a valid form token outweighs it (R32). What opens something is asked more: `is_same_origin`.
Answers that depend on this say `Vary: Sec-Fetch-Site, Origin` (gateway.web.shell.edge).
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

# With these a page that another site leads to comes with our cookies, which are lax (SameSite; RFC 6265bis 5.6.7.1).
BRINGING = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
NAVIGATION = "navigate"
FRAMES = frozenset({b"iframe", b"frame", b"embed", b"object", b"fencedframe"})


def is_own(headers: Mapping[str, str], origins: Collection[str] = (), *, token_valid: bool = False) -> bool:
    """`origins` are further exact origins of the operator, scheme and host. A header that came twice speaks for
    nobody.
    """
    if _twice(headers):
        return False
    origin = headers.get("origin", "")
    if origin in origins and origin:
        return True
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    if not origin:
        return True
    if origin == "null":
        return token_valid
    return _is_host(origin, headers)


def is_same_origin(headers: Mapping[str, str], origins: Collection[str] = ()) -> bool:
    """For opt_in and confirm: a browser says that its own page of ours sends this. No word about it is a no, and so is
    `none` (an address typed in, a bookmark), which no form has.
    """
    if _twice(headers):
        return False
    origin, site = headers.get("origin", ""), headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return bool(origin) and (origin in origins or _is_host(origin, headers))


def brings_no_cookies(scope: Scope) -> bool:
    """Whether a browser that may well have cookies of ours keeps them out of this request, and yet takes those of its
    answer: another site's form leads to this page, as a bank's does after a payment. Nothing is known of whoever that
    is, and a cookie would be set over theirs. A script's call replaces none.
    """
    if scope.get("method", "GET") in BRINGING:
        return False
    headers = Headers(scope=scope)
    if _twice(headers):
        return True
    site, origin = headers.get("sec-fetch-site"), headers.get("origin", "")
    if site is not None:
        return site == "cross-site" and headers.get("sec-fetch-mode", NAVIGATION) == NAVIGATION
    return origin not in {"", "null"} and not _is_host(origin, headers)  # of our own pages old browsers say `null`, too


def is_framed_elsewhere(scope: Scope) -> bool:
    """Whether this is a page of the site in another site's frame, or what such a page asks for: a browser keeps our lax
    cookie out of both. Of the latter browsers tell by `Sec-Fetch-Storage-Access` alone, whatever it says, and not all
    do; it comes with a picture on another site's page, too, which is nobody's page here. Never a page at the top.
    """
    site = dest = access = b""
    for name, value in scope["headers"]:
        if name == b"sec-fetch-site":
            site = value
        elif name == b"sec-fetch-dest":
            dest = value
        elif name == b"sec-fetch-storage-access":
            access = value
    return dest in FRAMES if site == b"cross-site" else bool(access)


def leave(headers: Mapping[str, str], origins: Collection[str]) -> dict[str, str]:
    """What lets a page of the operator's other origins read an answer, with credentials; for a stranger's none."""
    origin = headers.get("origin", "")
    if not origin or origin not in origins:
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}


def _is_host(origin: str, headers: Mapping[str, str]) -> bool:
    try:
        return urlsplit(origin).netloc == headers.get("host", "")
    except ValueError:  # "http://[x": no origin that a browser sends
        return False


def _twice(headers: Mapping[str, str]) -> bool:
    return isinstance(headers, Headers) and any(
        len(headers.getlist(name)) > 1 for name in ("origin", "sec-fetch-site", "host")
    )
