"""Who calls: the Bearer key of a request and its scopes, or a form from our own pages. Every door asks here first.

A form is from our own pages by Fetch Metadata first, then Origin (Go 1.25's CrossOriginProtection); `same-site` is not
enough. Neither header: not a browser, pass. `Origin: null` is what old browsers send from a page with `no-referrer`, so
for opt_out and limit a valid form token outweighs it (R32). What opens something is asked more: `is_same_origin`.
Answers that depend on this say `Vary: Sec-Fetch-Site, Origin` (gateway.web.shell.edge).
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request

from gateway.keys.api_keys import ApiKey, Credentials
from gateway.web.shell import ticks
from gateway.web.shell.problem import Problem


def request_id(request: Request) -> str:
    """The answer's Gateway-Request."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def anybody(request: Request, credentials: Credentials, *, revoked: bool = False) -> ApiKey:
    """The key of the request, whatever its scopes."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    key = credentials.find(bearer.strip()) if scheme.lower() == "bearer" else None
    if key is None or key.publishable:
        request.scope.setdefault("state", {})[ticks.MARK] = True
    if key is None or (key.revoked and not (revoked and key.publishable)):
        raise Problem("unauthorized", "Authorization: Bearer <id>.<secret>; make one with `gateway keys add`")
    return key


def caller(request: Request, credentials: Credentials, scope: str, *, revoked: bool = False) -> ApiKey:
    """The key of the request. `revoked`: a revoked publishable key is still heard, for it may opt out."""
    key = anybody(request, credentials, revoked=revoked)
    want(key, scope)
    return key


def want(key: ApiKey, *scopes: str) -> None:
    """Raises `Problem` where a key has none of the scopes."""
    if not set(scopes) & set(key.scopes):
        raise Problem("forbidden", f"this call wants scope {' or '.join(scopes)}")


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


def _is_host(origin: str, headers: Mapping[str, str]) -> bool:
    try:
        return urlsplit(origin).netloc == headers.get("host", "")
    except ValueError:  # "http://[x": no origin that a browser sends
        return False


def _twice(headers: Mapping[str, str]) -> bool:
    return isinstance(headers, Headers) and any(
        len(headers.getlist(name)) > 1 for name in ("origin", "sec-fetch-site", "host")
    )
