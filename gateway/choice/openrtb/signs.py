"""The signs by which a text of a bid request may hold an id, and a text without the codes that hide one: `reading` and
`traces` go by the same ones, so that what is looked for where anything is denied is asked about where nothing is.
"""

import html
import re
import string
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from gateway.choice.identity import spelling
from gateway.choice.identity.likeness import BASE64, LABEL, UDID, UDIDS
from gateway.choice.identity.likeness import MOST as LONGEST

NO_WORD = 32  # characters, the hex digits of a UUID and of the shortest digest
UNAMBIGUOUS = 10  # digits, or hex digits, without what is written between them: fewer stand in any long number
# What stands within an id that is written in groups: all but letters and digits, and but what parts two texts.
BETWEEN = bytes(set(range(1, 256)).difference((string.ascii_letters + string.digits).encode()))
LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
HEX, RUN = bytes.maketrans(b"0123456789abcdef", b"0" * 16), b"0" * NO_WORD
APART = "\x00"  # between two texts: it is in no id
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
MOST_FOLDS = 5  # of one encoding in another
HEXES = re.compile(
    r"(?<![0-9a-f])(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})(?![0-9a-f])",
    re.IGNORECASE,
)
ADDRESSES = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
WITH_PLUS = re.compile(r"\+[0-9]{8,15}\b")
PHONE = re.compile(rf"(?<![^\W_]){WITH_PLUS.pattern}")
OF_FILES = frozenset({"png", "jpg", "jpeg", "svg", "webp", "gif", "js", "css", "min"})  # ends of names, and no domain's
IN_BASE64: Mapping[int, str] = {22: "md5", 27: "sha1", 43: "sha256"}  # by characters, without padding
DIALLED = re.compile(r"\+?[0-9 ().-]{7,24}")
WORDED_AT = re.compile(rf"[\s_(\[{{<-](?:{spelling.AT})[\s_)\]}}>-]", re.IGNORECASE)
FIRST_HALF = string.ascii_uppercase + "abcdef"
DIGITS = string.digits.encode()
# A decimal number of degrees in two parts: what stands behind its point is rare in a text, and looked for first. With
# fewer decimals it is a version or a price far more often.
DECIMALS, DEGREES = re.compile(r"\.[0-9]{3,}+(?!\.[0-9])"), re.compile(r"-?(?<![0-9.])[0-9]{1,3}$")
SECONDS = re.compile(
    r"(?<![0-9.])[0-9]{2}(?::|%3A)[0-9]{2}(?::|%3A)$", re.IGNORECASE
)  # stands before them: 23:59:59.999
BEFORE_SECONDS = 10  # characters
EXACT = 4  # decimals of two numbers that need no sign and no name to be a point
OF_A_POINT = re.compile(
    r"[@LGClgc](?:(?<=@)|(?:(?<![A-Za-z].)|(?<=[a-z][LGC]))(?i:(?<=l)(?:at|on|ng)|(?<=g)eo|(?<=c)oord)"
    r"(?i:itude|gitude|g|inates?|s|lng|long?|lat|loc|point)?(?![a-z]))"
)  # as a word, or one in camel case; the first letter is looked for first, which takes half of the time
LONGEST_DEGREES = 4  # characters before the point
BETWEEN_DEGREES = 32  # characters: `&zoom=15&longitude=`
POLE, HALF_TURN = 90, 180
MARKS = ":=#"  # behind a label: to look for one takes longer than to see that there is none


def unfolded(text: str) -> str:
    """With the characters that an address, a page or a JSON text writes by their codes; letters as `spelling` reads
    them.
    """
    if is_plain(text):
        return text
    for _ in range(MOST_FOLDS):
        before = text
        text = unquote(text) if "%" in text else text
        text = html.unescape(text) if "&" in text else text
        text = ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "\\" in text else text
        if text == before:
            break
    return spelling.ascii_digits(spelling.plain(text))


def is_plain(text: str) -> bool:
    return text.isascii() and "%" not in text and "&" not in text and "\\" not in text


def bare(text: str) -> bytes:
    """In lower case, without what stands between the digits of an id."""
    return text.encode("utf-8", "surrogatepass").translate(LOWER, BETWEEN)


def has_run(text: str) -> bool:
    """Whether so many hex digits follow each other, with nothing but that between them, as the shortest digest has. It
    takes a microsecond: hardly ever one is there, and the search for one takes ten.
    """
    return len(text) >= NO_WORD and RUN in bare(text).translate(HEX)


def hidden_in(text: str) -> str:
    """What base64 hides in a text; of ASCII its first letter is in the alphabet's first half."""
    return spelling.decoded_text(text) if text[0] in FIRST_HALF else ""


def may_hold_one(text: str) -> bool:
    """Whether a text of ten characters and more has a sign of an id: asked before it is read as one."""
    if "@" in text or "+" in text or not is_plain(text):
        return True
    if len(text) > LONGEST:
        return False
    raw = text.encode()
    if len(raw) - len(raw.translate(None, DIGITS)) >= UNAMBIGUOUS:
        return True
    if any(mark in text for mark in MARKS) and LABEL.match(text):
        return True
    if WORDED_AT.search(text) or (len(text) in UDIDS and UDID.fullmatch(text)):
        return True
    return (len(text.rstrip("=")) in IN_BASE64 and BASE64.fullmatch(text) is not None) or bool(hidden_in(text))


class DegreePair(NamedTuple):
    """Two decimal numbers of degrees in a text: where they begin, and the latitude and longitude in either order."""

    at: int
    points: tuple[tuple[float, float], ...]


def degree_pairs(text: str) -> Iterator[DegreePair]:
    """The points that a text tells, also one of several texts joined by `APART`."""
    before: tuple[int, int, float, bool] | None = None
    for found in DECIMALS.finditer(text):
        whole = DEGREES.search(text, max(0, found.start() - LONGEST_DEGREES), found.start())
        if whole is None or _is_of_a_time(text, whole.start(), found.end()):
            continue
        at, end, degrees = whole.start(), found.end(), float(text[whole.start() : found.end()])
        exact = end - found.start() > EXACT
        if before and at - before[1] <= BETWEEN_DEGREES and APART not in text[before[1] : at]:
            points = points_of(before[2], degrees)
            is_told = (exact and before[3]) or "-" in (text[at], text[before[0]]) or _is_named(text, before[0], at)
            if points and is_told:
                yield DegreePair(before[0], points)
        before = at, end, degrees, exact


def _is_of_a_time(text: str, at: int, end: int) -> bool:
    """Of seconds with decimals, and of hours that say so."""
    return text.startswith("Z", end) or SECONDS.search(text, max(0, at - BEFORE_SECONDS), at) is not None


def _is_named(text: str, one: int, other: int) -> bool:
    """Whether a word before two numbers, or between them, says that they are a point's."""
    return OF_A_POINT.search(text[max(0, one - BETWEEN_DEGREES) : other].rpartition(APART)[2]) is not None


def points_of(one: float, other: float) -> tuple[tuple[float, float], ...]:
    """Latitude and longitude of two numbers, in either order where both can be. Below one degree of both is open sea,
    and two prices.
    """
    if abs(one) < 1 and abs(other) < 1:
        return ()
    return tuple(each for each in ((one, other), (other, one)) if abs(each[0]) <= POLE and abs(each[1]) <= HALF_TURN)


def says_contact(text: str) -> bool:
    """Whether an address or a phone number with its plus stands in it. A version behind a product's name (`a@8.1.0`,
    `2.3.1+20231201`) and a picture of twice the size (`icon@2x.png`) have the form alone.
    """
    if "+" in text and PHONE.search(text):
        return True
    return "@" in text and any(_is_mailbox(found[0]) for found in ADDRESSES.finditer(text))


def _is_mailbox(address: str) -> bool:
    labels = address.rpartition("@")[2].lower().split(".")[1:]
    return any(each[0].isalpha() and each not in OF_FILES for each in labels)
