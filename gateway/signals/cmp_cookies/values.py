"""The forms in which tools write their values: JSON, base64 JSON, lists of pairs, and the words for yes and no.

Every function raises `ValueError` for a value of another form; `read` catches it at the door. Nothing here knows a
tool.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping

from gateway.signals import cookies

MAX_FIELDS = 256  # the longest list seen has about fifteen
MAX_WRAPPINGS = 2  # percent-encoding was seen once and twice
MAX_UNZIPPED = 64 * 1024
MAX_RATIO = 32  # JSON of a consent tool packs to a tenth at best; more is made to be unpacked
YES = frozenset({"1", "accept", "accepted", "allow", "allowed", "granted", "opt_in", "true", "yes"})
NO = frozenset({"0", "denied", "deny", "false", "no", "opt_out", "reject", "rejected"})


def truth(value: object) -> bool | None:
    """Yes or no in any of the spellings in use; `None` for all else, such as Transcend's "Auto"."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, int | str) else ""
    return True if word in YES else False if word in NO else None


def truths(values: Iterable[tuple[str, object]]) -> dict[str, bool]:
    """The names that say yes or no. A name that says both says no."""
    states: dict[str, bool] = {}
    for name, value in values:
        state = truth(value)
        if state is not None:
            states[name] = state and states.get(name, True)
    return states


def record(value: object) -> Mapping[str, object]:
    """A JSON object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def string(value: object) -> str:
    """A JSON string; an empty one for anything else."""
    return value if isinstance(value, str) else ""


def names(value: object) -> set[str]:
    """The strings of a JSON array."""
    return {item for item in value if isinstance(item, str)} if isinstance(value, list) else set()


def plain(value: str) -> str:
    """Without quotes around it and percent-encoding in it, however often a site encoded it."""
    text = cookies.unquoted(value)
    for _ in range(MAX_WRAPPINGS):
        text = cookies.percent_decoded(text)
    return cookies.unquoted(text)


def parsed(text: str) -> object:
    """JSON; of equal names in one object a no wins. Raises `ValueError`, for too deep a nesting as well."""
    try:
        return json.loads(text, object_pairs_hook=_strictest)
    except RecursionError:
        raise ValueError("nesting") from None


def _strictest(members: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in members:
        if truth(found.get(name)) is not False:
            found[name] = value
    return found


def json_object(value: str) -> Mapping[str, object]:
    """A JSON object, raw or percent-encoded. Raises `ValueError`."""
    return _object(json_value(value))


def json_value(value: str) -> object:
    """JSON, raw or percent-encoded once or twice: raw first, for a string in it may hold percent signs."""
    text = cookies.unquoted(value)
    for _ in range(MAX_WRAPPINGS):
        try:
            return parsed(text)
        except ValueError:
            text = cookies.percent_decoded(text)
    return parsed(text)


def unbase64(text: str) -> bytes:
    """Base64 of either alphabet, with or without padding. Raises `ValueError`."""
    bare = plain(text).rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def base64_object(text: str) -> Mapping[str, object]:
    """A JSON object in base64. Raises `ValueError`."""
    return _object(parsed(unbase64(text).decode("utf-8", "replace")))


def _object(found: object) -> Mapping[str, object]:
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 -- a value of another form, not a caller's slip
    return found


def unzipped(packed: bytes) -> str:
    """The text of a gzip stream. Raises `ValueError`, also for one that unpacks to more than a cookie ever holds."""
    limit = min(MAX_UNZIPPED, MAX_RATIO * len(packed))
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)  # 16: with gzip's header (zlib.h, inflateInit2)
    try:
        text = stream.decompress(packed, limit + 1)
    except zlib.error:
        raise ValueError("gzip") from None
    if len(text) > limit or not stream.eof:
        raise ValueError("size")
    return text.decode("utf-8", "replace")


def pairs(text: str, separator: str, between: str) -> list[tuple[str, str]]:
    """`name between value` joined by `separator`, trimmed of blanks, braces and quotes. A piece without `between` has
    an empty value.
    """
    pieces = text.split(separator, MAX_FIELDS)[:MAX_FIELDS]
    split = (piece.partition(between) for piece in pieces)
    return [(name.strip(" {}'\""), value.strip(" {}'\"")) for name, _, value in split]
