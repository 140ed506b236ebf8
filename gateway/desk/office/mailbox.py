"""The privacy mailbox: each mail becomes one case of the desk, with the day it came, what was written sealed, and what
nobody can read of it named. `gateway desk mail` hands mails in; the desk's page of a mail reads them.

Nothing is answered, and nobody is taken to be meant, before an officer read it: the sender's address alone is offered.
Whatever comes is a case: what the library's parser stumbles over is cut, read without it, or named as unread.
The same mail is known again by what its writer wrote, whatever was put above it on the way; never by an id alone, which
anybody can write.
"""

import contextlib
import hmac
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32, default
from email.utils import parseaddr, parsedate_to_datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from gateway.desk.office.cases import ORIGINAL, Cases, open_case_seal, seal_case
from gateway.desk.office.request_law import RequestKind
from gateway.keys import seals

LABEL = b"mail/1"
MOST_BYTES = 50_000_000  # of a mail
SHOWN = 100_000  # signs of what was written; the original has the rest
OLDEST = timedelta(days=366)  # of a day on which a server says that it came
WRITTEN = ("from", "date", "message-id", "subject")
MOST_OF_FIELD = 4_000  # signs of a field of the head: of a megabyte the parser needs many seconds
READ_OF_FIELD = 1_000  # of one that is shown: reading addresses takes the square of it, 20 ms, and 28 s of 100 kB
MOST_WITHIN = 50  # parts that have parts: a thousand end the parser's stack
MOST_LOOKS = 5_000_000  # each of them looks at each line of those in it; some two seconds
UNREAD_PART = "a part that nobody can read: in the original"
MAIL, UNREAD, READ = "mail", "unread", "read"


@dataclass(frozen=True, slots=True)
class PrivacyMail:
    """What can be read of a mail. `parts`: those that cannot, each by name, type and size."""

    sender: str = field(repr=False)
    address: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    parts: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """That of one installation. Every call may raise `StoreUnavailable`."""

    cases: Cases

    def take(self, raw: bytes) -> tuple[int, bool]:
        """The number of its case, and whether that is a new one."""
        now, keys = self.cases.clock(), self.cases.keys
        message = parsed(raw)
        written = LABEL + as_written(message, raw, now)
        digests = [hmac.digest(key, written, "sha256") for key in keys]
        with self.cases.file() as db:
            if (known := _known(db, digests)) is not None:
                return known, False
        found, came = read_mail(message), came_on(message, now)
        said = {
            "lines": "", "offered": found.address, "unread": [], "agent": "", "note": "", "language": "en",
            "permission": "",
            MAIL: UNREAD, "sender": found.sender, "subject": found.subject, "text": found.text,
            "parts": list(found.parts),
        }  # fmt: skip
        with self.cases.file() as db:  # at once, so that whoever was cut off before, or came meanwhile, makes no second
            if (known := _known(db, digests)) is not None:
                return known, False
            number = self.cases.open_case(came, RequestKind.OPT_OUT, "", "email", said, within=db)
            original = seal_case(keys[-1], ORIGINAL, number, raw)
            db.execute("INSERT INTO mail VALUES (?, ?, ?)", (digests[-1], number, original))
        return number, True

    def original(self, number: int) -> bytes:
        """The mail of a case as it came; empty where there is none, or it was forgotten."""
        with self.cases.file() as db:
            row = db.execute("SELECT original FROM mail WHERE number = ?", (number,)).fetchone()
        with contextlib.suppress(seals.OpeningFailed):
            return open_case_seal(self.cases.keys, ORIGINAL, number, row[0]) if row and row[0] else b""
        return b""

    def sort(self, number: int, kind: RequestKind, place: str) -> None:
        """What an open case asks for, and from where, once somebody read its mail."""
        with self.cases.file() as db:
            sql = "UPDATE request SET kind = ?, place = ? WHERE number = ? AND answered IS NULL AND event = ''"
            db.execute(sql, (kind, place, number))


def _known(db: sqlite3.Connection, digests: Sequence[bytes]) -> int | None:
    """The case of a mail that came before."""
    rows = (db.execute("SELECT number FROM mail WHERE digest = ?", (digest,)).fetchone() for digest in digests)
    return next((int(row[0]) for row in rows if row), None)


def read_mail(message: Message) -> PrivacyMail:
    """Whatever can be read of it, which of no mail is more than nothing; never raises."""
    sender, text, parts = _field(message, "from"), list[str](), list[str]()
    try:
        for part in message.walk():
            _read_part(part, text, parts)
    except Exception:  # noqa: BLE001 - parts within parts, too deep to be walked through
        parts.append(UNREAD_PART)
    whole = _writable("\n\n".join(text)).strip()
    if len(whole) > SHOWN:
        parts.append(f"what comes after {SHOWN} signs: in the original")
    return PrivacyMail(
        sender[:READ_OF_FIELD], _address(sender), _field(message, "subject")[:READ_OF_FIELD],
        whole[:SHOWN], tuple(parts[:100]),
    )  # fmt: skip


def _read_part(part: Message, text: list[str], parts: list[str]) -> None:
    """Adds what it says to the text, and what nobody can read of it to the parts."""
    if part.is_multipart():
        return
    try:
        read = _part_text(part)
    except Exception:  # noqa: BLE001 - the parser raises what it likes of what strangers send
        read = None
    if read is None:
        parts.append(_part_name(part))
    elif read.html and text:
        parts.append("the same or more as HTML: in the original")
    else:
        parts += [] if read.sure else [_part_name(part)]
        text += [read.text] if read.text.strip() else []


def came_on(message: Message, now: datetime) -> datetime:
    """When the last server says that it got it; now where none says, or it says what cannot be. What the writer says
    is not asked.
    """
    with contextlib.suppress(Exception):  # what is no date has many ways to be none
        stated = str(message.get("received", "")).rpartition(";")[2].strip()
        at = parsedate_to_datetime(stated)
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        if now - OLDEST <= at <= now:
            return at
    return now


def mails_in(folder: Path) -> Iterator[Path]:
    """The mails of a Maildir, those that nobody has seen first. Raises OSError."""
    for name in ("new", "cur"):
        yield from sorted(path for path in (folder / name).iterdir() if path.is_file() and path.name[0] != ".")


def as_written(message: Message, raw: bytes, now: datetime) -> bytes:
    """What the writer wrote: some fields of the head, and the whole body. One that says neither when nor which it is,
    is known again on that day alone; one in which no head and body can be told apart, as all that came.
    """
    text = raw.replace(b"\r\n", b"\n")
    _, gap, body = text.partition(b"\n\n")
    fields = [_field(message, name) for name in WRITTEN]
    dated = fields[1] or fields[2] or now.date().isoformat()
    written = body if gap and any(fields) else text
    return "\x00".join([*fields, dated, ""]).encode("utf-8", "replace") + written.strip()


class _ShortFields(Compat32):
    """Fields of a head, cut, as text: this policy's parser reads nothing in them but the few that tell parts apart."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:MOST_OF_FIELD]

    def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002 - the library's
        return value.encode("ascii", "surrogateescape").decode("utf-8", "replace")


def parsed(raw: bytes) -> Message:
    """A mail, whatever came; the one place where one is parsed. Of what is nested too deeply or stumbled over the head
    alone, or nothing.
    """
    parser, within = BytesParser(policy=_ShortFields()), raw.lower().count(b"multipart/")
    looks = within * (raw.count(b"\n") + raw.count(b"\r"))  # either ends a line
    for head_alone in (within > MOST_WITHIN or looks > MOST_LOOKS, True):
        with contextlib.suppress(Exception):  # RecursionError, IndexError: it raises what it likes
            return parser.parsebytes(raw, headersonly=head_alone)
    return Message()


def _field(message: Message, name: str) -> str:
    """A field as the library reads it; one that it stumbles over as it stands."""
    raw = next((str(value) for each, value in message.raw_items() if each.lower() == name), "")[:READ_OF_FIELD]
    try:
        found = str(default.header_fetch_parse(name, raw))
    except Exception:  # noqa: BLE001 - as above
        found = raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join(_writable(found).split())


def _address(sender: str) -> str:
    try:
        address = parseaddr(sender)[1]
    except Exception:  # noqa: BLE001 - of a thousand brackets a RecursionError
        return ""
    return address if "@" in address and len(address) <= 254 else ""  # noqa: PLR2004 - RFC 5321


def _writable(text: str) -> str:
    """Without what no page can hold: some charsets make halves of characters, which no encoding writes."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


class _PartRead(NamedTuple):
    """`sure`: its charset is one that there is."""

    text: str
    html: bool
    sure: bool


def _part_text(part: Message) -> _PartRead | None:
    """What it says; None of a file. In a charset that nobody knows: what UTF-8 makes of it."""
    if part.get_content_disposition() == "attachment" or part.get_content_maintype() != "text":
        return None
    payload, sure = part.get_payload(decode=True), True
    assert isinstance(payload, bytes)
    try:
        content = payload.decode(part.get_content_charset("utf-8"), "replace")
    except Exception:  # noqa: BLE001 - as above
        content, sure = payload.decode("utf-8", "replace"), False
    if part.get_content_type() != "text/html":
        return _PartRead(content, html=False, sure=sure)
    words = _HtmlWords()
    words.feed(content[: 10 * SHOWN])
    return _PartRead(words.text(), html=True, sure=sure)


def _part_name(part: Message) -> str:
    try:
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            return UNREAD_PART
        name = part.get_filename() or "a part without a name"
        with contextlib.suppress(Exception):  # a name in an encoding that nobody knows, as it stands
            name = str(make_header(decode_header(name)))
        return _writable(f"{name[:200]} ({part.get_content_type()[:80]}, {len(payload)} bytes)")
    except Exception:  # noqa: BLE001 - as above
        return UNREAD_PART


class _HtmlWords(HTMLParser):
    """The words of a page, a line a block."""

    BLOCKS = frozenset({"p", "div", "br", "tr", "li", "h1", "h2", "h3"})
    SILENT = frozenset({"script", "style", "title"})

    def __init__(self) -> None:
        super().__init__()
        self._found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, _: object) -> None:
        self._silent += tag in self.SILENT
        self._found += ["\n"] if tag in self.BLOCKS else []

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in self.SILENT and self._silent > 0

    def handle_data(self, data: str) -> None:
        self._found += [] if self._silent else [data]

    def text(self) -> str:
        lines = (" ".join(line.split()) for line in "".join(self._found).split("\n"))
        return "\n".join(line for line in lines if line)
