"""`__Host-gateway`, the cookie that remembers a browser's opt-out: its name, its life and how it is set (R9)."""

from collections.abc import Sequence
from datetime import date, datetime

from gateway import seals
from gateway.seals import BrowserCookie

COOKIE = "__Host-gateway"
DAYS = 400  # the longest that browsers keep a cookie (RFC 6265bis); an opt-out itself has no end
EPOCH = date(1970, 1, 1).toordinal()


def day(now: datetime) -> int:
    """Days since 1970."""
    return now.date().toordinal() - EPOCH


def set_cookie(keys: Sequence[bytes], cookie: BrowserCookie) -> str:
    """The value of Set-Cookie. `__Host-` asks for Secure, Path=/ and no Domain."""
    sealed = seals.seal_cookie(keys, cookie)
    return f"{COOKIE}={sealed}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={DAYS * 86_400}"
