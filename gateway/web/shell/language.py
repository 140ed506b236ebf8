"""In which language a page is shown, and its words in that language. The pages call it.

A link's `?lang=` stands above `Accept-Language` (RFC 9110 §12.5.4); neither is kept anywhere. Source texts are English;
`gateway/locale/{language}.po` translates them, and a text without a translation is shown in English.
"""

import gettext
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from starlette.requests import Request

ENGLISH: Final = "en"
LANGUAGES: Final = {ENGLISH: "English", "es": "Español", "fr": "Français"}  # each by its own name
PARAMETER: Final = "lang"


def asked(request: Request) -> str:
    """The language that a link asked for, or nothing: links on the page then carry it on."""
    wanted = request.query_params.get(PARAMETER, "")
    return wanted if wanted in LANGUAGES else ""


def language_of(request: Request) -> str:
    """The language of the answer to a request."""
    return asked(request) or _accepted(request.headers.get("accept-language", ""))


def _accepted(header: str) -> str:
    """The best of ours in an Accept-Language field; English where there is none, or the field cannot be read."""
    best, weight = ENGLISH, 0.0
    for part in header.split(",")[:20]:  # nobody reads more languages; what a stranger sends is bounded
        tag, _, quality = part.partition(";")
        name = tag.strip().lower().partition("-")[0]
        try:
            found = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if name in LANGUAGES and found > weight:
            best, weight = name, found
    return best


@cache
def words(language: str) -> gettext.NullTranslations:
    """The catalogue of a language."""
    if language == ENGLISH:
        return gettext.NullTranslations()
    path = resources.files("gateway") / "locale" / f"{language}.po"
    compiled = BytesIO()
    write_mo(compiled, read_po(BytesIO(path.read_bytes()), locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def say(language: str, text: str) -> str:
    """An English text of ours in a language. Texts that are said later stand in a `mark`."""
    return words(language).gettext(text)


def mark(text: str) -> str:
    """Marks an English text for the catalogues where it stands, and leaves it as it is."""
    return text
