"""Reads the urlencoded body of a form of our pages. Takes what is usable; a form is never refused for what it lacks."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from gateway.terms import Malformed

MAX_BYTES = 16 * 1024  # the form's own fields are under 1 kB
MARK = "\ufeff"  # a byte order mark, which a script's text may begin with: else the first field would have no name
MAX_FIELDS = 64
TEXT = 320  # the longest e-mail address (RFC 5321: 64 + 1 + 255)


@dataclass(frozen=True, slots=True)
class ChoicesForm:
    """A form that opts out, as `signals.form` reads it. `action`: opt_out, or ticked with each `purpose`; of the page
    of choices also limit, and with its `token` opt_in and confirm. `cut`: the fields of which something was left out.
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


def _escaped(text: str) -> str:
    """As it would have come with its plus escaped."""
    return f"+{text[1:]}" if text.startswith(" ") else text


NAMES = frozenset(ChoicesForm.__dataclass_fields__) - {"cut"}


def read_form(body: bytes) -> ChoicesForm | Malformed:
    """The first non-empty value of each known field, trimmed, and each `purpose`; unknown fields are passed over. Where
    a value is longer than any, or another one follows it, the field is named as cut: whoever typed it is told so.
    """
    if len(body) > MAX_BYTES:
        return Malformed("form", "size")
    try:
        text = body.decode("utf-8", "replace").removeprefix(MARK)
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return Malformed("form", "fields")
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
    return ChoicesForm(purpose=tuple(purposes), cut=tuple(cut), **fields)
