"""Tools that write only what was accepted: c15t, vanilla-cookieconsent, TYPO3's om_cookie_manager, consentmanager.net.

A missing name is a refusal, but only of a category that the site has; so a name counts as missing when the tool fixes
it, the cookie names it elsewhere, or the operator does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gateway.signals.cmp_cookies.categories import USUAL_ADS_NAMES
from gateway.signals.cmp_cookies.cookie import Cookie
from gateway.signals.cmp_cookies.state import ADS, By, ToolState, Word
from gateway.signals.cmp_cookies.values import json_object, names, pairs, plain, record, truths

C15T_CATEGORY = "c."
C15T_TIME = "i.t"


def read_c15t(cookie: Cookie) -> Iterator[ToolState]:
    """`c.<name>:1` for each accepted category and `i.t` for the time of the choice; older: JSON with `consents`."""
    text = plain(cookie.value)
    if text.startswith("{"):
        states = truths(record(json_object(cookie.value).get("consents")).items())
    else:
        fields = pairs(text, ",", ":")
        if not any(name == C15T_TIME or name.startswith(C15T_CATEGORY) for name, _ in fields):
            raise ValueError("neither categories nor a time")
        states = truths((name.removeprefix(C15T_CATEGORY), value) for name, value in fields)
    yield _state(cookie, {name for name, on in states.items() if on}, By.PERSON)


def read_vanilla(cookie: Cookie) -> Iterator[ToolState]:
    """`categories` (version 3) or `level` (version 2). Version 3 names every category among `services`, so a missing
    one of those is certainly refused; else that none of the usual names is there may mean that the site has none.
    """
    found = json_object(cookie.value)
    if not found.keys() & {"categories", "level"}:
        raise ValueError("no categories")
    accepted = names(found.get("categories")) | names(found.get("level"))
    known = USUAL_ADS_NAMES & record(found.get("services")).keys()
    if cookie.table or known or USUAL_ADS_NAMES & accepted:
        table: Mapping[str, Word] = {**dict.fromkeys(known or USUAL_ADS_NAMES & accepted, "ads"), **cookie.table}
        yield _state(replace(cookie, table=table), accepted, By.PERSON)
    else:
        yield cookie.shows(ADS)


def read_typo3(cookie: Cookie) -> Iterator[ToolState]:
    """`group-<number>.<state>` for each accepted group, and `dismiss` once the banner was closed."""
    fields = pairs(plain(cookie.value), ",", ".")
    by = By.PERSON if "dismiss" in {name for name, _ in fields} else By.UNKNOWN
    yield _state(cookie, {name for name, on in truths(fields).items() if on}, by)


def read_consentmanager(cookie: Cookie) -> Iterator[ToolState]:
    """`__cmpcpc...`: the numbers of accepted purposes between underscores. Nothing tells who accepted."""
    yield _state(cookie, set(plain(cookie.value).split("_")), By.UNKNOWN)


def _state(cookie: Cookie, accepted: set[str], by: By) -> ToolState:
    return cookie.of({name: name in accepted for name in cookie.table}, by)
