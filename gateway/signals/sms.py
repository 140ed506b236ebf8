"""Reads what a person answers to a text message (STOP, HELP or START, in the words of three languages), for
`web.api.texts`.

47 CFR 64.1200(a)(10): stop, quit, end, revoke, opt out, cancel and unsubscribe, sent in reply to a text, revoke consent
by themselves; any other words do where a reasonable person would take them so. When in doubt it is STOP. START opens
nothing: it is told how to opt in. The text is read and let go.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

LONGEST = 2000  # characters that are read; ten joined parts of a text have 1,530 (3GPP TS 23.040, 9.2.3.24.1)
# The words of 64.1200(a)(10), STOPALL as carriers know it, and what people write for it in Spanish and French.
ENGLISH = ("stop", "quit", "end", "revoke", "opt out", "cancel", "unsubscribe", "stopall")
SPANISH = ("alto", "baja")
FRENCH = ("arret",)
# Said anywhere in a text these mean nothing else: "please stop texting me", "I want to opt out".
ANYWHERE = ("stop", "stopall", "unsubscribe", "opt out", "revoke")
POLITE = ("please", "pls", "por favor", "s il vous plait", "svp")
STARTS = {"start": "en", "unstop": "en", "subscribe": "en", "yes": "en", "si": "es", "alta": "es", "oui": "fr"}
HELPS = {"help": "en", "info": "en", "ayuda": "es", "aide": "fr"}
SPELLINGS = (("optout", "opt out"), ("stop all", "stopall"))
NOT_A_WORD = re.compile(r"[\W_]+")


class Act(StrEnum):
    STOP = "stop"
    HELP = "help"
    START = "start"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Read:
    """`language` (en, es, fr) is that of the word, for the reply."""

    act: Act
    language: str = "en"


def read_stop_word(text: str) -> Read:
    """What a whole message asks for, whatever its case, accents and punctuation."""
    said = _plain(text)
    for polite in POLITE:
        said = said.removeprefix(polite + " ")
    for language, words in (("en", ENGLISH), ("es", SPANISH), ("fr", FRENCH)):
        if any(said == word or said.startswith(word + " ") for word in words):
            return Read(Act.STOP, language)
    if any(f" {word} " in f" {said} " for word in ANYWHERE):
        return Read(Act.STOP)
    if said in HELPS:
        return Read(Act.HELP, HELPS[said])
    return Read(Act.START, STARTS[said]) if said in STARTS else Read(Act.NONE)


def _plain(text: str) -> str:
    """Lower-case words with single spaces between them; no accents, no invisible characters."""
    parts = unicodedata.normalize("NFKD", text[:LONGEST]).casefold()
    seen = "".join(each for each in parts if unicodedata.category(each) not in {"Mn", "Cf"})
    words = NOT_A_WORD.sub(" ", seen).strip()
    for spelling, word in SPELLINGS:
        words = re.sub(rf"\b{spelling}\b", word, words)
    return words
