"""Takes off what is no part of an identifier before it is read: how people and programs write one and the same. The
readers of identifiers call it.

Characters that nobody sees come with a paste, wide ones from an East Asian keyboard, a label or quotation marks from
the label of a box or from another program.
"""

import base64
import binascii
import re
import string
import unicodedata

# Default_Ignorable_Code_Point, by the rule that Unicode derives it by (DerivedCoreProperties.txt of Unicode 16.0,
# UAX #44): Other_Default_Ignorable_Code_Point + Cf + Variation_Selector - White_Space - FFF9..FFFB - 13430..13440 -
# Prepended_Concatenation_Mark. Cf is Python's table; the other three are here, and are as they were since Unicode 4.1
# but for single characters, for what is not given out yet within them is reserved to be ignored.
OTHER_IGNORABLE = (
    range(0x034F, 0x0350), range(0x115F, 0x1161), range(0x17B4, 0x17B6), range(0x2065, 0x2066), range(0x3164, 0x3165),
    range(0xFFA0, 0xFFA1), range(0xFFF0, 0xFFF9), range(0xE0000, 0xE1000),
)  # fmt: skip
VARIATION_SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10))  # the third range of them is within E0000..E0FFF
VISIBLE_FORMATS = (  # Cf all the same: marks that are printed (Prepended_Concatenation_Mark), and the exceptions
    range(0x0600, 0x0606), range(0x06DD, 0x06DE), range(0x070F, 0x0710), range(0x0890, 0x0892), range(0x08E2, 0x08E3),
    range(0x110BD, 0x110BE), range(0x110CD, 0x110CE), range(0xFFF9, 0xFFFC), range(0x13430, 0x13441),
)  # fmt: skip
EMPTY_CELL = "\u2800"  # of Braille: drawn as nothing, and no blank by its properties
# RFC 8265 3.3.1, the width mapping rule; small forms are the third kind of the same letters (Unicode, Small Form
# Variants), and hold an at sign and a full stop.
WIDTHS = ("<wide>", "<narrow>", "<small>")
MINUS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"))
QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u201e": "\u201c", "\u2018": "\u2019", "\u00ab": "\u00bb"}
CLOSING = str.maketrans("{<([", "}>)]")
BETWEEN = re.compile(r"[\s_-]+")  # what parts the words of a kind's name: `ad_id_sha256`, "Ad-ID SHA256"
# Words that stand for the signs of an address, in the languages of the pages and in German: against harvesters.
AT, DOT = "at|\u00e4t|arroba|arobase|@", r"dot|punkt|punto|point|\."
BRACKETED = tuple(
    (re.compile(rf"\s{{0,8}}[(\[{{<]\s{{0,8}}(?:{words})\s{{0,8}}[)\]}}>]\s{{0,8}}", re.IGNORECASE), sign)
    for words, sign in ((AT, "@"), (DOT, "."))
)
WORDED = re.compile(  # "jane at example dot com", "jane_at_example.com"
    rf"([^\s@]{{1,64}})[\s_-]{{1,8}}(?:{AT})[\s_-]{{1,8}}([^@]{{1,255}})", re.IGNORECASE
)
DOTTED = re.compile(rf"[\s_-]{{1,8}}(?:{DOT})[\s_-]{{1,8}}", re.IGNORECASE)
DOMAIN = re.compile(r"[^\s@.]+(?:\.[^\s@.]+)+")
CODED = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")  # base64 in either alphabet, of six bytes or more

FIRST_HALF = frozenset(string.ascii_uppercase + "abcdef=")


def ignorable(character: str) -> bool:
    """Whether nobody sees it: Default_Ignorable_Code_Point, and Braille's empty cell."""
    code = ord(character)
    if unicodedata.category(character) == "Cf":
        return not any(code in some for some in VISIBLE_FORMATS)
    return character == EMPTY_CELL or any(code in some for some in (*OTHER_IGNORABLE, *VARIATION_SELECTORS))


def seen(text: str) -> str:
    """A text without what nobody sees in it, and without blanks around it."""
    return text.strip() if text.isascii() else "".join(each for each in text if not ignorable(each)).strip()


def plain(text: str) -> str:
    """What is seen of a text, its letters and signs in their usual width, composed (NFC)."""
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", "".join(map(_usual_width, seen(text)))).strip()


def _usual_width(character: str) -> str:
    width, _, usual = unicodedata.decomposition(character).partition(" ")
    return "".join(chr(int(code, 16)) for code in usual.split()) if width in WIDTHS else character


def folded(kind: str) -> str:
    """The name of a kind as it is compared where it is none: without case, and without what parts its words."""
    return BETWEEN.sub("", plain(kind).casefold())


def ascii_digits(text: str) -> str:
    """Of a number or a code: its digits and hyphens in ASCII, in whichever script they were written."""
    if text.isascii():
        return text
    kept = (each if (digit := unicodedata.decimal(each, None)) is None else str(digit) for each in text)
    return "".join(kept).translate(MINUS)


def unquoted(text: str) -> str:
    """Without quotation marks around it, one pair of them."""
    return text[1:-1].strip() if len(text) > 1 and QUOTES.get(text[0]) == text[-1] else text


def unlabelled(text: str, label: re.Pattern[str]) -> str:
    """Without what says which kind it is, and without quotation marks and brackets around either."""
    bare = label.sub("", unbracketed(text), count=1)
    return unbracketed(bare) if bare != text else text


def unbracketed(text: str) -> str:
    bare = unquoted(text)
    return (
        bare[1:-1].strip() if len(bare) > 1 and bare[0] in "{<([" and bare[0].translate(CLOSING) == bare[-1] else bare
    )


def with_signs(text: str, *, loosely: bool = False) -> str:
    """An address with its signs, where words in brackets stand for them: `jane (at) example [dot] com`; as it stands
    where none do. `loosely`: words without brackets too, which may be words like any other.
    """
    bare = text
    for words, sign in BRACKETED:
        bare = words.sub(sign, bare)
    worded = WORDED.fullmatch(bare) if loosely else None
    if worded and DOMAIN.fullmatch(domain := DOTTED.sub(".", worded[2])):
        bare = f"{worded[1]}@{domain}"
    return bare if bare.count("@") == 1 and all(bare.split("@")) else text


def decoded(text: str) -> bytes:
    """What is written in base64, of either alphabet, with its filling or without; nothing where it is none."""
    if not CODED.fullmatch(text):
        return b""
    standard = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if base64.b64encode(raw).decode().rstrip("=") == standard else b""  # else bits are left over


def _may_hide_text(text: str) -> bool:
    """Whether what base64 hides in a text may be ASCII: of each four letters the first is in the alphabet's first half.
    Hardly ever one that hides none has that, and to ask takes a tenth of trying.
    """
    return FIRST_HALF.issuperset(text[::4])


def decoded_text(text: str) -> str:
    """The same, where it is printed ASCII itself."""
    if not _may_hide_text(text):
        return ""
    raw = decoded(text)
    return raw.decode("ascii") if raw.isascii() and raw.decode("ascii").isprintable() else ""
