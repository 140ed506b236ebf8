"""Keywords: only words of the operator's own vocabulary leave (R20). Rows and bid requests are sifted here.

No caller's spelling, order or repetition goes through: what is kept comes out as the vocabulary has it, sorted, once
each, so that a row of keywords cannot be a sentence. That keywords never stand beside what names a person is the
verdict's to say.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

MOST_WORDS = 3  # of one keyword (R20)
BETWEEN_WORDS = re.compile(r"[\W_]+")
# Words that never leave, where the operator has no list of its own.
SENSITIVE_WORDS = (
    # health
    "health", "medical", "medicine", "doctor", "hospital", "clinic", "therapy", "therapist", "diagnosis", "disease",
    "illness", "cancer", "diabetes", "hiv", "aids", "depression", "anxiety", "addiction", "rehab", "disability",
    "pregnancy", "pregnant", "fertility", "abortion", "contraception", "mental", "suicide",
    # faith
    "faith", "religion", "religious", "church", "mosque", "synagogue", "temple", "christian", "catholic", "muslim",
    "islam", "jewish", "hindu", "buddhist", "atheist", "bible", "quran", "torah", "prayer",
    # sex
    "sex", "sexual", "sexuality", "porn", "escort", "gay", "lesbian", "bisexual", "transgender", "queer", "gender",
    # immigration
    "immigration", "immigrant", "migrant", "refugee", "asylum", "visa", "deportation", "undocumented", "citizenship",
    "green card",
)  # fmt: skip


class Why(StrEnum):
    """Why a keyword was dropped: a closed list, for counting."""

    UNREADABLE = "keyword_unreadable"
    DIGITS = "keyword_digits"
    ADDRESS = "keyword_address"
    LONG = "keyword_long"
    SENSITIVE = "keyword_sensitive"
    UNLISTED = "keyword_unlisted"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Both in normal form, see `vocabulary`. Empty: no keyword leaves."""

    listed: frozenset[str] = frozenset()
    sensitive: frozenset[str] = frozenset()


class SiftedKeywords(NamedTuple):
    """What leaves, in the shape it came in (a text with commas or a list), and how many did not, by why."""

    kept: object | None
    dropped: Mapping[str, int]


def vocabulary(listed: Iterable[str], sensitive: Iterable[str]) -> Vocabulary:
    """Raises `ValueError` for an entry that could never leave: a setting that does nothing is a slip."""
    terms = frozenset(_keywords(sensitive))
    entries = frozenset(_keywords(listed))
    for entry in sorted(entries):
        if (why := _never(entry, terms)) is not None:
            raise ValueError(f"{entry!r} never leaves ({why}): take it out of the vocabulary")
    return Vocabulary(entries, terms)


def sift(value: object, words: Vocabulary) -> SiftedKeywords:
    """Keeps the listed keywords of a text with commas or of a list of texts. Never raises."""
    kept: set[str] = set()
    dropped: Counter[str] = Counter()
    for text in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(text, str):
            dropped[Why.UNREADABLE] += 1
            continue
        for keyword in _keywords([text]):
            why = _never(keyword, words.sensitive) or (None if keyword in words.listed else Why.UNLISTED)
            if why is None:
                kept.add(keyword)
            else:
                dropped[why] += 1
    out = sorted(kept)
    return SiftedKeywords((",".join(out) if isinstance(value, str) else out) if out else None, dropped)


def _keywords(texts: Iterable[str]) -> Iterator[str]:
    """Keywords in normal form: NFKC, case folded, one blank between words."""
    for text in texts:
        for part in unicodedata.normalize("NFKC", text).casefold().split(","):
            if words := part.split():
                yield " ".join(words)


def _never(keyword: str, sensitive: frozenset[str]) -> Why | None:
    """What no list can allow. One digit is a run: a flat, an age, a dose."""
    if any(character.isnumeric() for character in keyword):
        return Why.DIGITS
    if "@" in keyword:
        return Why.ADDRESS
    if len(keyword.split()) > MOST_WORDS:
        return Why.LONG
    return Why.SENSITIVE if _mentions(keyword, sensitive) else None


def _mentions(keyword: str, terms: frozenset[str]) -> bool:
    """Whether a term stands in it, as whole words: "Bible-study" mentions "bible"."""
    words = BETWEEN_WORDS.sub(" ", keyword).split()
    ends = range(1, len(words) + 1)
    return any(" ".join(words[start:end]) in terms for end in ends for start in range(end))
