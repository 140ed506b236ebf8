"""The privacy mailbox: each mail becomes one case of the desk, with the day it came, what was written sealed, and what
nobody can read of it named. `gateway desk mail` hands mails in; the desk's page of a mail reads them.

Nothing is answered, and nobody is taken to be meant, before an officer read it: the sender's address alone is offered.
The same mail is known again by what its writer wrote, whatever was put above it on the way; never by an id alone, which
anybody can write.
"""

import contextlib
import email
import hmac
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr, parsedate_to_datetime
from html.parser import HTMLParser
from pathlib import Path

from gateway.desk.office.case_seals import ORIGINAL, open_case_seal, seal_case
from gateway.desk.office.cases import Cases
from gateway.desk.office.request_law import RequestKind
from gateway.keys import seals

LABEL = b"mail/1"
MOST_BYTES = 50_000_000  # of a mail
SHOWN = 100_000  # signs of what was written; the original has the rest
OLDEST = timedelta(days=366)  # of a day on which a server says that it came
WRITTEN = ("from", "date", "message-id", "subject")
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
        digests = [hmac.digest(key, LABEL + _as_written(raw, now), "sha256") for key in keys]
        with self.cases.file() as db:
            if (known := _known(db, digests)) is not None:
                return known, False
        found, came = read_mail(raw), came_on(raw, now)
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
    forget = "UPDATE mail SET original = NULL WHERE number IN (SELECT number FROM request WHERE sealed IS NULL)"
    db.execute(forget)
    rows = (db.execute("SELECT number FROM mail WHERE digest = ?", (digest,)).fetchone() for digest in digests)
    return next((int(row[0]) for row in rows if row), None)


def read_mail(raw: bytes) -> PrivacyMail:
    """Whatever can be read of it, which of no mail is more than nothing; never raises."""
    message = _parsed(raw)
    sender, text, parts = _header(message, "from"), list[str](), list[str]()
    for part in message.walk():
        if part.is_multipart():
            continue
        try:
            read = _part_text(part) if not _is_file(part) else None
        except Exception:  # noqa: BLE001 - the parser raises what it likes of what strangers send
            read = None
        if read is None:
            parts.append(_part_name(part))
        elif part.get_content_type() == "text/html" and any(each.strip() for each in text):
            parts.append("the same or more as HTML: in the original")
        else:
            text.append(read)
    whole = _writable("\n\n".join(text)).strip()
    if len(whole) > SHOWN:
        parts.append(f"what comes after {SHOWN} signs: in the original")
    address = parseaddr(sender)[1]
    return PrivacyMail(
        sender[:1000], address if "@" in address and len(address) <= 254 else "", _header(message, "subject")[:1000],  # noqa: PLR2004 - RFC 5321
        whole[:SHOWN], tuple(parts[:100]),
    )  # fmt: skip


def came_on(raw: bytes, now: datetime) -> datetime:
    """When the last server says that it got it; now where none says, or it says what cannot be. What the writer says
    is not asked.
    """
    with contextlib.suppress(Exception):  # what is no date has many ways to be none
        stated = str(_parsed(raw).get_all("received", [""])[0]).rpartition(";")[2].strip()
        at = parsedate_to_datetime(stated)
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        if now - OLDEST <= at <= now:
            return at
    return now


def mails_in(folder: Path) -> Iterator[Path]:
    """The mails of a Maildir, those that nobody has seen first. Raises OSError."""
    for name in ("new", "cur"):
        yield from sorted(path for path in (folder / name).iterdir() if path.is_file() and path.name[0] != ".")


def _as_written(raw: bytes, now: datetime) -> bytes:
    """What the writer wrote: some fields of the head, and the whole body. One that says neither when nor which it is,
    is known again on that day alone.
    """
    text = raw.replace(b"\r\n", b"\n")
    message, (_, _, body) = _parsed(raw), text.partition(b"\n\n")
    fields = [_header(message, name) for name in WRITTEN]
    dated = fields[1] or fields[2] or now.date().isoformat()
    return "\x00".join([*fields, dated, ""]).encode("utf-8", "replace") + body.strip()


def _parsed(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, _class=EmailMessage, policy=default)


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(_writable(str(message.get(name, ""))).split())
    except Exception:  # noqa: BLE001 - a field that the parser stumbles over is one that cannot be read
        return ""


def _writable(text: str) -> str:
    """Without what no page can hold: some charsets make halves of characters, which no encoding writes."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def _is_file(part: EmailMessage) -> bool:
    return part.get_content_disposition() == "attachment" or part.get_content_maintype() != "text"


def _part_text(part: EmailMessage) -> str:
    content = str(part.get_content())
    if part.get_content_type() == "text/html":
        words = _HtmlWords()
        words.feed(content[: 10 * SHOWN])
        return words.text()
    return content


def _part_name(part: EmailMessage) -> str:
    try:
        size = len(part.get_payload(decode=True) or b"")
        name = part.get_filename() or "a part without a name"
        return _writable(f"{name[:200]} ({part.get_content_type()[:80]}, {size} bytes)")
    except Exception:  # noqa: BLE001 - as above
        return "a part that nobody can read"


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
