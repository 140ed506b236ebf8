"""Lines of what comes in: files of rows and bodies of NDJSON, cut, numbered and counted in one way. For imports, for
doors that take a line a row, and for an operator's own lists.

A line ends where its line end is, whatever stands before it, so that nothing of one row reaches into the next: RFC 4180
lets a quoted cell hold line ends, and one stray quote then swallows every row behind it. Here such a row is refused, by
the number of its line. Each line of a table comes out once, as a `Row`, as `Refused` or as `Empty`. No text ever quotes
what stands in a line, for that is about somebody. Opens no file.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

MARK = b"\xef\xbb\xbf"  # byte order mark; editors put it before a file, and `cat` before the second one
LF = re.compile(rb"\n")  # NDJSON: a return before it is white space of JSON
ANY = re.compile(rb"\r\n?|\n")  # of text: also what old spreadsheets write, a return alone
PIECE = 256 * 1024  # bytes of a file that are read at once
LONGEST = 64 * 1024  # bytes of a row of a table: an address has 320, a point three numbers
# What some programs take for a line end and others for a blank, and what no text has: Unicode UAX 14, BK and NL.
STRANGE = re.compile("[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",]*))(,|\Z)')

TOO_LONG = "the line is longer than any row"
NOT_UTF_8 = "not UTF-8: save the file as UTF-8"
CONTROL = "it holds a control character, or a line end of another kind: one row a line"
QUOTE = (
    'a quote that opens or closes nothing on this line: a cell with quotes is "put ""so"" in", and no row spans lines'
)
HEADER_AGAIN = "the header again: what follows is read by the first one"
NO_HEADER = "the first line is no header: "
MORE = "more cells than the header has columns"
FEWER = "fewer cells than the header has columns"
UNENDED = "the file stops within this line, or without a line end: see that all of it is there"


class Line(NamedTuple):
    """One line without its end. `cut`: it is longer than was asked for, and this is its beginning; `ended`: it has a
    line end.
    """

    number: int
    text: bytes
    cut: bool = False
    ended: bool = True


class RefusedLine(NamedTuple):
    """A line of which nothing was read, and why, in words that name nobody."""

    number: int
    why: str


class Empty(NamedTuple):
    """A line with nothing on it."""

    number: int


@dataclass(frozen=True, slots=True)
class ListRow:
    """The cells of one line by column. `unsure`: the columns whose cell may not be what was meant; `why`: what makes
    them so.
    """

    number: int
    cells: Mapping[str, str]
    unsure: frozenset[str] = frozenset()
    why: tuple[str, ...] = ()


class NoHeader(ValueError):
    """Which columns a table lacks, has twice or should not have; nothing of it was read."""


@dataclass(slots=True)
class Cutter:
    """Cuts what comes in pieces of any size. `longest`: bytes of a line that are kept; `ends`: what ends one."""

    longest: int
    ends: re.Pattern[bytes] = LF
    _number: int = 0
    _begun: bytearray = field(default_factory=bytearray)
    _cut: bool = False
    _held: bytes = b""  # a return at the end of a piece: a line feed may follow it

    def lines(self, piece: bytes) -> Iterator[Line]:
        """The lines that end in this piece."""
        piece, self._held = self._held + piece, b""
        if self.ends is ANY and piece.endswith(b"\r"):
            piece, self._held = piece[:-1], b"\r"
        first, *others = self.ends.split(piece)
        self._add(first)
        for text in others:
            yield self._ended()
            self._add(text)

    def rest(self) -> Iterator[Line]:
        """What is left when all was read: nothing behind a line end."""
        if self._held:
            yield self._ended()
        if self._begun or self._cut:
            yield self._ended()._replace(ended=False)

    def _add(self, text: bytes) -> None:
        self._cut = self._cut or len(self._begun) + len(text) > self.longest
        self._begun += text[: self.longest - len(self._begun)]

    def _ended(self) -> Line:
        self._number += 1
        line = Line(self._number, bytes(self._begun).removeprefix(MARK), self._cut)
        self._begun, self._cut = bytearray(), False
        return line


def of_body(body: bytes, ends: re.Pattern[bytes] = LF) -> Iterator[Line]:
    """The lines of what was read whole; of NDJSON unless something else is said."""
    *texts, rest = body.split(b"\n") if ends is LF else ends.split(body)
    for number, text in enumerate(texts, 1):
        yield Line(number, text.removeprefix(MARK))
    if rest:
        yield Line(len(texts) + 1, rest.removeprefix(MARK), ended=False)


def of_text(opened: BinaryIO, longest: int = LONGEST) -> Iterator[Line]:
    """The lines of a file, however long it is, in little memory."""
    cutter = Cutter(longest, ANY)
    while piece := opened.read(PIECE):
        yield from cutter.lines(piece)
    yield from cutter.rest()


def words_of(line: Line) -> str:
    """A line as text. Raises ValueError with the reason to refuse it."""
    if line.cut:
        raise ValueError(TOO_LONG)
    try:
        text = line.text.decode()
    except UnicodeDecodeError:
        raise ValueError(NOT_UTF_8) from None
    if STRANGE.search(text):
        raise ValueError(CONTROL)
    return text


def cells_of(text: str) -> list[str]:
    """The cells of one line of CSV (RFC 4180). Raises ValueError for quotes that do not belong where they are."""
    found, at = list[str](), 0
    while cell := CELL.match(text, at):
        quoted, plain, comma = cell.groups()
        found.append(plain if quoted is None else quoted.replace('""', '"'))
        if not comma:
            return found
        at = cell.end()
    raise ValueError(QUOTE)


@dataclass(frozen=True, slots=True)
class Columns:
    """What a table's header may name, in any order, case and with blanks around: `needed` are among `known`. `others`:
    whether columns that are not known are passed over.
    """

    known: Sequence[str]
    needed: Collection[str]
    others: bool = False

    def rows(self, lines: Iterator[Line]) -> Iterator[ListRow | RefusedLine | Empty]:
        """What each line behind the header is, in order. Raises `NoHeader` before the first."""
        head = self._header(lines)
        return (self._row(line, head) for line in lines)

    def _header(self, lines: Iterator[Line]) -> list[str]:
        first = next((line for line in lines if line.text.strip()), None)
        try:
            names = _names(cells_of(words_of(first))) if first else []
        except ValueError as error:
            raise NoHeader(f"{NO_HEADER}{error}") from None
        if missing := [name for name in self.known if name in self.needed and name not in names]:
            raise NoHeader(f"{NO_HEADER}it lacks {', '.join(missing)}; its columns are {self._wanted()}")
        for number, name in enumerate(names, 1):
            if name in names[: number - 1] and (name in self.known or not self.others):
                raise NoHeader(f"{NO_HEADER}column {number} is there twice")
            if name not in self.known and not self.others:
                raise NoHeader(f"{NO_HEADER}column {number} is none of {self._wanted()}; take it out, or name it so")
        return names

    def _wanted(self) -> str:
        return f"{','.join(self.known)}, with commas between them"

    def _row(self, line: Line, head: Sequence[str]) -> ListRow | RefusedLine | Empty:
        if not line.text.strip():
            return Empty(line.number)
        try:
            cells = cells_of(words_of(line))
        except ValueError as error:
            return RefusedLine(line.number, str(error))
        if _names(cells) == head:
            return RefusedLine(line.number, HEADER_AGAIN)
        return self._row_of(line, head, cells)

    def _row_of(self, line: Line, head: Sequence[str], cells: list[str]) -> ListRow:
        while len(cells) > len(head) and not cells[-1].strip():  # a comma too many, with nothing behind it to be lost
            cells.pop()
        unsure, why = set[str](), list[str]()
        if len(cells) > len(head):  # a comma within a cell moves all that is behind it
            unsure.update(self.known, head)
            why.append(MORE)
        if len(cells) < len(head):
            why.append(FEWER)
        if not line.ended:
            why.append(UNENDED)
        if len(cells) < len(head) or not line.ended:  # where it was cut off, the last cell may be half of one
            unsure.update(head[len(cells) - 1 :])
        padded = [*cells, *[""] * (len(head) - len(cells))]
        return ListRow(line.number, dict(zip(head, padded, strict=False)), frozenset(unsure), tuple(why))


def _names(cells: Sequence[str]) -> list[str]:
    """The columns of a header; what has no name at its end is a comma too many."""
    names = [cell.strip().casefold() for cell in cells]
    while names and not names[-1]:
        names.pop()
    return names
