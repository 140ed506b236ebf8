"""Tools that write each service or purpose by a name that the site gave it: Klaro, tarteaucitron, CookieFirst, Ketch.

Where no name is known but everything that can be refused is refused, the person wants no advertising either: that
denies in this answer, and is not remembered.
"""

from collections.abc import Iterator

from gateway.signals.cmp_cookies.cookie import Cookie, States
from gateway.signals.cmp_cookies.state import ADS, By, ToolState
from gateway.signals.cmp_cookies.values import base64_object, json_object, names, pairs, plain, record, truths

# What nobody can refuse, as sites name it; the tools' own names stand among their services.
NECESSARY = frozenset(
    {"cookiefirst", "essential", "essential_services", "functional", "klaro", "necessary", "required", "tarteaucitron"}
)


def read_klaro(cookie: Cookie) -> Iterator[ToolState]:
    """{service: true or false}, written when a person saves."""
    yield _state(cookie, truths(json_object(cookie.value).items()), By.PERSON)


def read_tarteaucitron(cookie: Cookie) -> Iterator[ToolState]:
    """`!service=false`; "wait" is no choice yet. A false is a person's, a true may be the site's."""
    states = truths(pairs(plain(cookie.value), "!", "="))
    if not states and "!" not in cookie.value:
        raise ValueError("no services")
    yield _state(cookie, states, By.UNKNOWN if all(states.values()) else By.PERSON)


def read_cookiefirst(cookie: Cookie) -> Iterator[ToolState]:
    """{category or service: true or false}, among other members. Nothing tells who spoke."""
    yield _state(cookie, truths(json_object(cookie.value).items()), By.UNKNOWN)


def read_ketch(cookie: Cookie) -> Iterator[ToolState]:
    """{purpose: {status, canonicalPurposes}}, older {purpose: status}; purposes start at the region's default."""
    told: list[tuple[str, object]] = []
    for name, purpose in base64_object(cookie.value).items():
        member = record(purpose)
        status = member.get("status", purpose)
        told += [(each, status) for each in sorted({name} | names(member.get("canonicalPurposes")))]
    yield _state(cookie, truths(told), By.UNKNOWN)


def _state(cookie: Cookie, states: States, by: By) -> ToolState:
    optional = [on for name, on in states.items() if name not in NECESSARY]
    if optional and not any(optional) and not cookie.words(states, on=False):
        return cookie.shows(ADS, by=By.UNKNOWN)
    return cookie.of(states, by)
