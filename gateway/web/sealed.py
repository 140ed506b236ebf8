"""The sealed cookies that are the gateway's own: what a site behind it, or a proxy's, never gets to see (R9)."""

from gateway.signals import cookies
from gateway.web import browser_cookie, code_cookie, proof_cookie

COOKIES = tuple(name.encode() for name in (browser_cookie.COOKIE, proof_cookie.COOKIE, code_cookie.COOKIE))
BEGIN = browser_cookie.COOKIE.encode()  # of all their names


def without_ours(header: bytes) -> bytes:
    """A Cookie field without them; empty where there is nothing else in it."""
    if header.startswith(BEGIN) and b";" not in header:  # the one cookie of somebody who has no other
        return b"" if header.partition(b"=")[0] in COOKIES else header
    if BEGIN in header:
        for ours in COOKIES:
            header = cookies.without(header, ours) if ours in header else header
    return header
