"""Tools whose JSON has a shape of its own: Didomi, Usercentrics, Transcend, iubenda."""

from collections.abc import Iterator

from gateway.signals.cmp_cookies.cookie import Cookie
from gateway.signals.cmp_cookies.state import ADS, NOTHING, By, ToolState
from gateway.signals.cmp_cookies.values import base64_object, json_object, names, record, string, truth, truths

IUBENDA_US = "-uspr"
IUBENDA_VENDORS = "-granular"
USERCENTRICS_ACT = "uc_user_interaction"


def read_didomi(cookie: Cookie) -> Iterator[ToolState]:
    """Base64 JSON with lists of purposes enabled and disabled. One that no choice was made for is in neither, so what
    is disabled was refused by a person.
    """
    purposes = record(base64_object(cookie.value).get("purposes"))
    states = dict.fromkeys(names(purposes.get("enabled")), True) | dict.fromkeys(names(purposes.get("disabled")), False)
    yield cookie.of(states, By.PERSON)


def read_usercentrics(cookie: Cookie) -> Iterator[ToolState]:
    """`uc_settings` with `services`, `ucData` with `consent.services` and Google's switches under `gcm`: cookies only
    where a site shares them across domains. A cookie beside says whether a person acted.
    """
    found = json_object(cookie.value)
    listed = found.get("services")
    members = [record(item) for item in listed] if isinstance(listed, list) else []
    told: list[tuple[str, object]] = [(string(member.get("id")), member.get("status")) for member in members]
    for identity, item in record(record(found.get("consent")).get("services")).items():
        service = record(item)
        told += [(name, service.get("consent")) for name in (identity, string(service.get("name")))]
    told += [*record(found.get("gcm")).items()]
    yield cookie.of(truths(told), _usercentrics_by(cookie))


def _usercentrics_by(cookie: Cookie) -> By:
    acted = {truth(value) for value in cookie.beside(USERCENTRICS_ACT)}
    return By.PERSON if True in acted else By.TOOL if False in acted else By.UNKNOWN


def read_transcend(cookie: Cookie) -> Iterator[ToolState]:
    """`purposes` of true, false or "Auto" (allowed until someone acts), and `confirmed` once a person did."""
    found = json_object(cookie.value)
    if "purposes" not in found:
        raise ValueError("no purposes")
    confirmed = truth(found.get("confirmed"))
    by = By.PERSON if confirmed else By.UNKNOWN if confirmed is None else By.TOOL
    yield cookie.of(truths(record(found["purposes"]).items()), by)


def read_iubenda(cookie: Cookie) -> Iterator[ToolState]:
    """`purposes` by number, or one `consent` for all in its older form. The US choices have a cookie of their own, with
    everything true until a person or a browser's GPC says no.
    """
    if cookie.name.endswith(IUBENDA_VENDORS):
        yield cookie.opaque()
        return
    found = json_object(cookie.value)
    if cookie.name.endswith(IUBENDA_US):
        yield cookie.of(truths(found.items()), By.PERSON)
        return
    states = truths(record(found.get("purposes")).items())
    refused = cookie.words(states, on=False) | (ADS if truth(found.get("consent")) is False else NOTHING)
    yield cookie.shows(refused, cookie.words(states, on=True))
