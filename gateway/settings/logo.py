"""The operator's logo: which files are one, and what makes a drawing unsafe. `gateway.settings.brand` asks.

A picture is known by its first bytes, whatever its name is. A drawing (SVG) may hold scripts, frames and addresses of
others, and it is served from the site's own origin: one that has any of these is refused and never mended. To mend it
would change an operator's mark without a word, and what a cleaner of ours passes over would run. So only elements that
draw are known, and whatever is refused is named.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from xml.parsers import expat

LARGEST = 2**18  # bytes: it is loaded with every page
PNG, JPEG, WEBP, SVG = "image/png", "image/jpeg", "image/webp", "image/svg+xml"
XHTML = "http://www.w3.org/1999/xhtml"
DRAWING = "http://www.w3.org/2000/svg"
ELEMENTS = frozenset(
    """svg g path rect circle ellipse line polyline polygon text tspan textpath defs symbol use image title desc
    metadata style lineargradient radialgradient stop clippath mask pattern marker switch view filter feblend
    fecolormatrix fecomponenttransfer fecomposite fedropshadow feflood fefunca fefuncb fefuncg fefuncr fegaussianblur
    femerge femergenode femorphology feoffset fetile feturbulence""".split()  # noqa: SIM905 - a list of words reads better as one
)
NEAR = re.compile(r"#|data:image/(png|jpeg|webp);base64,")  # what a reference within the file begins with
AWAY = re.compile(r"""url\((?!\s*['"]?\s*#)|@import|javascript:|expression\(|\\""", re.IGNORECASE)


class NoLogo(Exception):
    """Why a file cannot be the logo, in words that stand behind its option."""


def read_logo(path: Path) -> tuple[bytes, str]:
    """What is in the file, and its media type. Raises `NoLogo`."""
    try:
        if not path.is_file():
            raise NoLogo("there is no such file")
        if path.stat().st_size > LARGEST:
            raise NoLogo(f"the file is larger than {LARGEST // 1024} KiB")
        content = path.read_bytes()
    except OSError as error:
        raise NoLogo(f"the file: {error.strerror}") from None
    return content, _media_type(content)


def _media_type(content: bytes) -> str:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if content.startswith(b"\xff\xd8\xff"):
        return JPEG
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return WEBP
    if b"<svg" in content[:4096]:
        _prove_drawing(content)
        return SVG
    raise NoLogo("the file is neither SVG, PNG, JPEG nor WebP")


def _prove_drawing(content: bytes) -> None:
    try:
        content.decode("utf-8-sig")
        reader = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
        reader.StartElementHandler = _prove_element
        reader.CharacterDataHandler = _prove_text
        reader.StartDoctypeDeclHandler = _refuse_doctype
        reader.ProcessingInstructionHandler = _refuse_instruction
        reader.XmlDeclHandler = _prove_declaration
        reader.buffer_text = True
        reader.Parse(content, True)
    except UnicodeDecodeError:
        raise NoLogo("the drawing is not in UTF-8") from None
    except expat.ExpatError as error:
        raise NoLogo(f"the drawing is no XML at line {error.lineno}") from None


def _prove_declaration(_version: str, encoding: str | None, _alone: int) -> None:
    """A browser believes what the file says of itself."""
    if encoding and encoding.lower() not in {"utf-8", "utf8"}:
        raise NoLogo("the drawing is not in UTF-8")


def _refuse_doctype(*_: object) -> None:
    raise NoLogo("the drawing has a DOCTYPE, which may define what it likes")


def _refuse_instruction(target: str, _: str) -> None:
    raise NoLogo(f"the drawing has the instruction {target[:32]!a}")


def _prove_element(name: str, attributes: Mapping[str, str]) -> None:
    space, _, local = name.rpartition(" ")
    if space == XHTML or (space in {"", DRAWING} and local.lower() not in ELEMENTS):
        raise NoLogo(f"the drawing has the element {local[:32]!a}, which does more than draw")
    for attribute, value in attributes.items():
        short = attribute.rpartition(" ")[2].lower()
        if short.startswith("on") or (short in {"href", "src"} and not NEAR.match(value.strip())):
            raise NoLogo(f"the drawing has {short[:32]!a}, by which it acts or leaves the file")
        _prove_text(value)


def _prove_text(text: str) -> None:
    """Of a style or an attribute that may be one. What is drawn as text has none of these either."""
    if AWAY.search(text):
        raise NoLogo("the drawing has a style that leaves the file")
