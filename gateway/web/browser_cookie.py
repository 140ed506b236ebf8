"""`__Host-gateway`, the cookie that remembers a browser's opt-out: its name, its life and how it is set (R9)."""

from collections.abc import Sequence
from datetime import date, datetime

from gateway import seals
from gateway.seals import BrowserCookie
from gateway.signals.heard import Heard

COOKIE = "__Host-gateway"
DAYS = 400  # the longest that browsers keep a cookie (RFC 6265bis); an opt-out itself has no end
RENEW_DAYS = 30  # not at each navigation: that would end caching (R9)
EPOCH = date(1970, 1, 1).toordinal()
ATTRIBUTES = f"Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={DAYS * 86_400}"  # `__Host-`: Secure, Path=/, no Domain


def day(now: datetime) -> int:
    """Days since 1970."""
    return now.date().toordinal() - EPOCH


def is_due(old: BrowserCookie | None, heard: Heard, how: str, today: int) -> bool:
    """Whether there is anything to remember that the browser's cookie does not say."""
    if old is not None and old.lost:
        return True
    if how == "off":
        return False
    if old is None:
        return bool(heard.remembered) or (how == "id" and heard.has_states)
    return today - old.day >= RENEW_DAYS or not heard.remembered <= old.denied


def remembering(keys: Sequence[bytes], old: BrowserCookie | None, heard: Heard, how: str, today: int) -> str | None:
    """The Set-Cookie that remembers what was heard; None where there is nothing new. `how` is `[browser] remember_gpc`.
    A cookie that is `RENEW_DAYS` old is made anew, with a new nonce; one that cannot be opened is replaced by one that
    says no to everything, of a browser that nobody knew before. A state needs an id to be kept under; it is not
    written into the cookie, which can only tighten, because a state can end.
    """
    if not is_due(old, heard, how, today):
        return None
    purposes = heard.remembered
    fresh = seals.NO_ID if how == "flag" else seals.new_browser()
    denied = (old.denied if old else frozenset()) | purposes
    known = old and not (old.lost and old.browser == seals.NO_ID)
    return set_cookie(keys, BrowserCookie(old.browser if old and known else fresh, today, denied))


def set_cookie(keys: Sequence[bytes], cookie: BrowserCookie) -> str:
    """The value of Set-Cookie."""
    return f"{COOKIE}={seals.seal_cookie(keys, cookie)}; {ATTRIBUTES}"
