"""TrustArc: three cookies that hold levels of consent, each in its own spelling, and the behaviour that explains them.

Level 2 is advertising. Under "implied" everything is on until a person acts; under "expressed" everything is off until
then, so there a missing level does not tell who left it out.
"""

import re
from collections.abc import Iterator

from gateway.signals.cmp_cookies.cookie import Cookie
from gateway.signals.cmp_cookies.state import By, ToolState
from gateway.signals.cmp_cookies.values import plain

BEHAVIOR = "notice_behavior"
LEVELS = "0123456789"
HIGHEST = re.compile(r"([0-9])(?::|$)")  # notice_preferences: every level up to this one is on
LISTED = re.compile(r"([0-9](?:[,|][0-9])*)(?::|$)")  # notice_gdpr_prefs; behind the colon a hash or the behaviour
PERMIT = re.compile(r"permit[ _+]([1-9](?:[,|][1-9])*)")  # cmapi_cookie_privacy counts from 1


def read_preferences(cookie: Cookie) -> Iterator[ToolState]:
    yield _state(cookie, set(LEVELS[: int(_match(HIGHEST, cookie)) + 1]))


def read_gdpr_prefs(cookie: Cookie) -> Iterator[ToolState]:
    yield _state(cookie, set(_match(LISTED, cookie)))


def read_permit(cookie: Cookie) -> Iterator[ToolState]:
    yield _state(cookie, {LEVELS[int(level) - 1] for level in _match(PERMIT, cookie) if level in LEVELS})


def _match(form: re.Pattern[str], cookie: Cookie) -> str:
    found = form.match(plain(cookie.value))
    if found is None:
        raise ValueError("levels")
    return found[1]


def _state(cookie: Cookie, on: set[str]) -> ToolState:
    states = {level: level in on for level in cookie.table}
    return cookie.of(states, _by(cookie, refused=not all(states.values())))


def _by(cookie: Cookie, refused: bool) -> By:
    """The behaviour stands in a cookie of its own, or behind the last colon of the levels."""
    told = [plain(cookie.value).rpartition(":")[2], *cookie.beside(BEHAVIOR)]
    models = {text.partition(",")[0] for text in told} & {"implied", "expressed"}
    if models == {"implied"}:
        return By.PERSON if refused else By.TOOL
    return By.PERSON if models == {"expressed"} and not refused else By.UNKNOWN
