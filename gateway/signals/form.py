"""Reads the body of a form of our pages, as browsers and their scripts send one. Takes what is usable; a form is never
refused for what it lacks, nor for what it has too much of.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

MAX_BYTES = 16 * 1024  # the form's own fields are under 1 kB
MARK = "\ufeff"  # a byte order mark, which a script's text may begin with: else the first field would have no name
MAX_FIELDS = 64
TEXT = 320  # the longest e-mail address (RFC 5321: 64 + 1 + 255)
URLENCODED, MULTIPART, PLAIN = "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"
BOUNDARY = re.compile(r'boundary="?([^";,]{1,70})', re.IGNORECASE)  # RFC 2046: 70 characters
FIELD_NAME = re.compile(r'^content-disposition:[^\r\n]*?[; ]name="([^"\r\n]*)"', re.IGNORECASE | re.MULTILINE)
TYPED = ("phone", "email", "ad_id")
Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ChoicesForm:
    """A form that opts out, as `signals.form` reads it. `action`: opt_out, or ticked with each `purpose`; of the page
    of choices also limit, and with its `token` opt_in and confirm. `cut`: the fields of which something was left out.
    `fault`: size or fields, it was read in part; type, it is not what our pages send. Nothing that opens is taken then.
    """

    action: str = ""
    purpose: tuple[str, ...] = ()
    phone: str = ""
    email: str = ""
    ad_id: str = ""
    country: str = ""
    state: str = ""
    confirm: str = ""
    token: str = ""
    cut: tuple[str, ...] = ()
    fault: str = ""


def _escaped(text: str) -> str:
    """As it would have come with its plus escaped."""
    return f"+{text[1:]}" if text.startswith(" ") else text


NAMES = frozenset(ChoicesForm.__dataclass_fields__) - {"cut", "fault"}


def read_form(body: bytes, content_type: str = URLENCODED) -> ChoicesForm:
    """The first non-empty value of each known field, trimmed, and each `purpose`; unknown fields are passed over. Where
    a value is longer than any, or another one follows it, the field is named as cut: whoever typed it is told so.
    What was read in part may have had more in any field, and more ticks: then it is about everything.
    """
    kind = content_type.partition(";")[0].strip().lower()
    text = body[:MAX_BYTES].decode("utf-8", "replace").removeprefix(MARK)
    pairs, whole = _pairs(text, kind, content_type, whole=len(body) <= MAX_BYTES)
    part = "size" if len(body) > MAX_BYTES else "" if whole else "fields"
    fields, purposes, cut = _known(pairs)
    if part and fields.get("action") == "ticked":
        fields["action"] = "opt_out"
    strange = kind != URLENCODED
    if part or (strange and body and not fields):
        cut |= dict.fromkeys(TYPED)
    return ChoicesForm(purpose=tuple(purposes), cut=tuple(cut), fault=part or ("type" if strange else ""), **fields)


def _known(pairs: Pairs) -> tuple[dict[str, str], list[str], dict[str, None]]:
    """(the fields, the ticks, what was cut)."""
    fields: dict[str, str] = {}
    purposes: list[str] = []
    cut: dict[str, None] = {}
    for name, value in pairs:
        limit = MAX_BYTES if name in {"token", "confirm"} else TEXT
        whole = value.replace("\x00", "").strip()
        text = whole[:limit].strip()
        if name == "phone" and value[:1] == " " and text[:1].isdecimal():
            text = f" {text}"  # a plus that was not escaped arrived as a blank; the number's reader decides
        if name == "purpose":
            purposes += [text] if text else []
        elif name in NAMES and text:
            first = fields.setdefault(name, text)
            cut |= {name: None} if _escaped(first) != _escaped(text) or len(whole) > limit else {}
    return fields, purposes, cut


def _pairs(text: str, kind: str, content_type: str, *, whole: bool) -> tuple[Pairs, bool]:
    """Names with values, without one that did not come to its end, and whether these are all."""
    if kind == MULTIPART:
        return _parts(text, content_type)
    lines = kind == PLAIN and "\r\n" in text  # a form's, unescaped; what a script sends as text is urlencoded
    pieces = text.split("\r\n" if lines else "&")
    whole = whole and len(pieces) <= MAX_FIELDS + lines  # behind the last line stands an empty one
    kept = pieces[: min(MAX_FIELDS, len(pieces) if whole else len(pieces) - 1)]
    if not lines:
        return parse_qsl("&".join(kept), keep_blank_values=True), whole
    split = (piece.partition("=") for piece in kept)
    return [(name, value.strip()) for name, _, value in split], whole


def _parts(text: str, content_type: str) -> tuple[Pairs, bool]:
    """Those of multipart/form-data (RFC 7578), each up to the boundary that ends it."""
    told = BOUNDARY.search(content_type)
    pieces = f"\r\n{text}".split(f"\r\n--{told[1].strip()}") if told else [text]
    pairs = []
    for piece in pieces[1:-1][:MAX_FIELDS]:
        head, _, value = piece.partition("\r\n\r\n")
        name = FIELD_NAME.search(head[:TEXT])
        pairs += [(name[1], value.strip())] if name else []
    return pairs, pieces[-1].startswith("--") and len(pieces) <= MAX_FIELDS + 2
