"""The operator's logo: which files are one, and what makes a drawing unsafe. `gateway config check` and the start ask.

A picture is known by its first bytes, whatever its name is. A drawing (SVG) may hold scripts, frames and addresses of
others, and it is served from the site's own origin: one that has any of these is refused and never mended. To mend it
would change an operator's mark without a word, and what a cleaner of ours passes over would run. So only elements that
draw are known, and whatever is refused is named.

Attributes of other spaces are a drawing program's notes: a browser does nothing by them, but by a few that are refused.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from xml.parsers import expat

LARGEST = 2**18  # bytes: it is loaded with every page
PNG, JPEG, WEBP, SVG = "image/png", "image/jpeg", "image/webp", "image/svg+xml"
HEADS = {
    PNG: re.compile(rb"\x89PNG\r\n\x1a\n\0\0\0\rIHDR(?!\0{4}).{4}(?!\0{4}).{4}", re.DOTALL),  # a width and a height
    JPEG: re.compile(rb"\xff\xd8(\xff[\xc4\xdb\xe0-\xef\xfe]).+\xff\xda", re.DOTALL),  # up to where the picture begins
    WEBP: re.compile(rb"RIFF.{4}WEBPVP8[ LX].{4}.{5}", re.DOTALL),
}
XHTML = "http://www.w3.org/1999/xhtml"
DRAWING = "http://www.w3.org/2000/svg"
XML = "http://www.w3.org/XML/1998/namespace"
ELEMENTS = frozenset(
    """svg g path rect circle ellipse line polyline polygon text tspan textpath defs symbol use image title desc
    metadata style lineargradient radialgradient stop clippath mask pattern marker switch view filter feblend
    fecolormatrix fecomponenttransfer fecomposite feconvolvematrix fediffuselighting fedisplacementmap fedistantlight
    fedropshadow feflood fefunca fefuncb fefuncg fefuncr fegaussianblur femerge femergenode femorphology feoffset
    fepointlight fespecularlighting fespotlight fetile feturbulence""".split()  # noqa: SIM905 - a list of words reads better as one
)
NEAR = re.compile(r"#|data:image/(png|jpeg|webp);base64,")  # what a reference within the file begins with
AWAY = re.compile(
    r"""url\((?!\s*['"]?\s*#)|@import|javascript:|expression\(|image-set\(|\bsrc\(|\bimage\(|//|\\""", re.IGNORECASE
)
DRAWN_AT_MOST = 20_000  # elements, with what is drawn again by a reference: ten times ten and so on stop every page
DEEPEST = 100  # elements within elements
NOTES = re.compile(r"id|class|data-.*|aria-.*")  # attributes that say nothing of how it looks
COLOURING = frozenset({"lineargradient", "radialgradient", "stop"})  # no shapes, and every path may refer to one


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
    for media_type, head in HEADS.items():
        if head.match(content):
            return media_type
    if b"<svg" in content[:4096]:
        _Drawing().prove(content)
        return SVG
    raise NoLogo("the file is neither SVG, PNG, JPEG nor WebP")


class _Drawing:
    """One drawing while it is read: its style's text, which comes in parts, and what each named part of it draws."""

    def __init__(self) -> None:
        self._depth = 0
        self._style: list[str] | None = None
        self._open: list[str] = []  # ids of the elements that are open; the whole drawing's is empty
        self._drawn: dict[str, int] = {}  # elements within an id
        self._used: dict[str, list[str]] = {}  # references within an id

    def prove(self, content: bytes) -> None:
        """Raises `NoLogo`."""
        try:
            content.decode("utf-8-sig")
            reader = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
            reader.StartElementHandler = self._start
            reader.EndElementHandler = self._end
            reader.CharacterDataHandler = self._text
            reader.StartDoctypeDeclHandler = _refuse_doctype
            reader.ProcessingInstructionHandler = _refuse_instruction
            reader.XmlDeclHandler = _prove_declaration
            reader.Parse(content, True)
        except UnicodeDecodeError:
            raise NoLogo("the drawing is not in UTF-8") from None
        except expat.ExpatError as error:
            raise NoLogo(f"the drawing is no XML at line {error.lineno}") from None
        self._prove_bounded()

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._prove_element(name)
        space, _, local = name.rpartition(" ")
        if local.lower() == "style":
            self._style = []
        self._open.append(attributes.get("id", "") if self._open else "")
        if local.lower() not in COLOURING:
            for each in {"", *self._open}:
                self._drawn[each] = self._drawn.get(each, 0) + 1
        for attribute, value in attributes.items():
            self._prove_attribute(attribute, value, drawn=space in {"", DRAWING})

    def _prove_element(self, name: str) -> None:
        space, _, local = name.rpartition(" ")
        if not self._open and name != f"{DRAWING} svg":
            raise NoLogo("the drawing does not begin with an svg element of its namespace, so nobody would see it")
        if self._style is not None:
            raise NoLogo("the drawing has an element in its style")
        if len(self._open) == DEEPEST:
            raise NoLogo(f"the drawing has more than {DEEPEST} elements in each other")
        if space == XHTML or (space in {"", DRAWING} and local.lower() not in ELEMENTS):
            raise NoLogo(f"the drawing has the element {local[:32]!a}, which does more than draw")

    def _prove_attribute(self, attribute: str, value: str, *, drawn: bool) -> None:
        """`drawn`: whether its element is a drawing's own."""
        space, _, local = attribute.rpartition(" ")
        short = local.lower()
        leads = short in {"href", "src"}
        if short.startswith("on") or (space == XML and short == "base") or (leads and not NEAR.match(value.strip())):
            raise NoLogo(f"the drawing has {short[:32]!a}, by which it acts or leaves the file")
        if leads:
            self._refer(value.strip().removeprefix("#"))
        elif drawn and space in {"", DRAWING} and not NOTES.fullmatch(short):
            _prove_style(value)
            for named in re.findall(r"url\(\s*['\"]?\s*#([^'\")\s]+)", value):
                self._refer(named)

    def _refer(self, named: str) -> None:
        for each in {"", *self._open}:
            self._used.setdefault(each, []).append(named)

    def _text(self, text: str) -> None:
        if self._style is not None:
            self._style.append(text)

    def _end(self, _: str) -> None:
        self._open.pop()
        if self._style is not None:
            _prove_style("".join(self._style))
            self._style = None

    def _prove_bounded(self) -> None:
        """What is drawn again and again is counted as often. Whatever refers to itself is endless."""
        counted: dict[str, int] = {}

        def count(named: str, within: frozenset[str]) -> int:
            if named in within or len(within) > 32:  # noqa: PLR2004 - deeper than any mark
                raise NoLogo("the drawing refers to itself, or in a long row")
            if named not in counted:
                inner = within | {named}
                counted[named] = self._drawn.get(named, 0) + sum(
                    count(each, inner) for each in self._used.get(named, ())
                )
            return counted[named]

        if count("", frozenset()) > DRAWN_AT_MOST:
            raise NoLogo(f"the drawing draws more than {DRAWN_AT_MOST} elements, with what it repeats")


def _prove_declaration(_version: str, encoding: str | None, _alone: int) -> None:
    """A browser believes what the file says of itself."""
    if encoding and encoding.lower() not in {"utf-8", "utf8"}:
        raise NoLogo("the drawing is not in UTF-8")


def _refuse_doctype(*_: object) -> None:
    raise NoLogo("the drawing has a DOCTYPE, which may define what it likes")


def _refuse_instruction(target: str, _: str) -> None:
    raise NoLogo(f"the drawing has the instruction {target[:32]!a}")


def _prove_style(text: str) -> None:
    """Of a style, or of an attribute that may be one."""
    if AWAY.search(text):
        raise NoLogo("the drawing has a style that leaves the file")
