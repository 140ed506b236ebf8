"""Fides: `fides_consent`, as JSON, as gzip behind "gzip:", or as base64, and the strings it carries.

`consentMethod` says who set the notices. `fides_string` is "TC,AC,GPP,NC", where NC is base64 JSON of notices once
more.
"""

from collections.abc import Iterator, Mapping

from gateway.signals.cmp_cookies.cookie import Cookie
from gateway.signals.cmp_cookies.state import NOTHING, SALE, By, Carried, ToolState
from gateway.signals.cmp_cookies.values import (
    base64_object,
    json_object,
    plain,
    record,
    string,
    truths,
    unbase64,
    unzipped,
)

ZIPPED = "gzip:"
CHANNELS = ("tc", "ac", "gpp")
# The methods of `clients/fides-js`; a closed banner and a script are nobody's choice.
METHODS: Mapping[str, By] = {
    **dict.fromkeys(("accept", "acknowledge", "button", "gpc", "individual_notice", "reject", "save"), By.PERSON),
    **dict.fromkeys(("dismiss", "script"), By.TOOL),
}


def read(cookie: Cookie) -> Iterator[ToolState]:
    """Older cookies are the notices themselves. Raises `ValueError` for another form."""
    found = _unpacked(cookie.value)
    method = string(record(found.get("fides_meta")).get("consentMethod"))
    strings = string(found.get("fides_string")).split(",")
    states = truths([*record(found.get("consent", found)).items(), *_notices(strings[3:4])])
    refused = cookie.words(states, on=False) | (SALE if method == "gpc" else NOTHING)
    carried = [Carried(channel, text) for channel, text in zip(CHANNELS, strings, strict=False) if text]
    yield cookie.shows(refused, cookie.words(states, on=True), METHODS.get(method, By.UNKNOWN), carried)


def _unpacked(value: str) -> Mapping[str, object]:
    text = plain(value)
    if text.startswith(ZIPPED):
        return json_object(unzipped(unbase64(text.removeprefix(ZIPPED))))
    try:
        return json_object(value)
    except ValueError:
        return base64_object(value)


def _notices(strings: list[str]) -> list[tuple[str, object]]:
    """The notices of the NC part. A broken one hides nothing else of the cookie."""
    try:
        return [pair for text in strings if text for pair in base64_object(text).items()]
    except ValueError:
        return []
