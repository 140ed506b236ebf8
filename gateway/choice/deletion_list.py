"""Files of a state's deletion mechanism, California's DROP (Delete Request and Opt-out Platform, Cal. Civ. Code
1798.99.86): which list a file is, what its rows say, how its digests are made, and the answer. It stands alone: nothing
here reads a disk, a clock or a ledger, so that it may serve programs that have none. `gateway drop` calls it.

    20260915_4821_Email.csv     Id,Hash                 requests; one file for each kind of identifier
    20260915_4821_Removed.csv   Id,Hash,ListType        what was requested before, and is taken back
    20260915_4821_Email.csv     Id,Status               the answer, under the name of the file that it answers

An id has twelve letters and digits, is one request for ever, and unique over all lists. A digest is the SHA-256 of the
identifier's plain spelling (`standardized`), in base64: 44 characters. Source: privacy.ca.gov, "DROP for data brokers",
technical specifications 1.2.0 of 2026-07-02. How ids of phones and televisions are spelled before they are hashed could
not be read there: those two are unverified.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum
from hashlib import sha256
from typing import NamedTuple

from gateway.signals.lines import Columns, Empty, Line, ListRow, RefusedLine


class DeletionKind(StrEnum):
    """Which list a file is, by the word in its name."""

    EMAIL = "Email"
    PHONE = "Phone"
    MAID = "MAID"
    CTVID = "CTVID"
    NDZ = "NDZ"
    NAME_VIN = "NameVIN"
    REMOVED = "Removed"


class DeletionStatus(IntEnum):
    """What a state is told of a request."""

    EXEMPTED = 2  # somebody was found, and what is held of them need not be deleted
    DELETED = 3
    OPTED_OUT = 4  # several people share the identifier, and all are opted out
    NOT_FOUND = 5


UNVERIFIED = frozenset({DeletionKind.MAID, DeletionKind.CTVID})
OPERATORS = frozenset({DeletionKind.NDZ, DeletionKind.NAME_VIN})  # of names and vehicles, which a gateway never has
FILE_NAME = re.compile(r"([0-9]{8})_([A-Za-z0-9-]+)_([A-Za-z]+)(?:_[^/\\]*)?\.csv", re.IGNORECASE)
ID = re.compile(r"[A-Za-z0-9]{12}")
DIGEST = re.compile(r"[A-Za-z0-9+/]{43}=")
REQUESTS = Columns(("id", "hash"), ("id", "hash"), others=True)
REMOVED = Columns(("id", "hash", "listtype"), ("id", "hash", "listtype"), others=True)
TEN = 10
BY_WORD = {kind.value.casefold(): kind for kind in DeletionKind}
NO_ID = "its id is not twelve letters and digits"
NO_DIGEST = "its hash is no SHA-256 in base64 (44 characters)"
NO_LIST = f"its list type is none of {', '.join(kind for kind in DeletionKind if kind is not DeletionKind.REMOVED)}"


@dataclass(frozen=True, slots=True)
class DeletionFile:
    """A file by its name. `made`: the day of its download; `broker`: whom it was made for."""

    name: str
    made: date
    broker: str
    kind: DeletionKind

    @classmethod
    def named(cls, name: str) -> "DeletionFile":
        """Raises ValueError, in words for whoever has the file."""
        found = FILE_NAME.fullmatch(name)
        kind = BY_WORD.get(found[3].casefold()) if found else None
        try:
            if found and kind:
                return cls(name, date.fromisoformat(found[1]), found[2], kind)
        except ValueError:
            pass
        raise ValueError(
            "a list is called <YYYYMMDD>_<broker>_<type>.csv, as it was downloaded; its type is one of"
            f" {', '.join(DeletionKind)}"
        )


class DeletionRequest(NamedTuple):
    """One row. `kind`: of the identifier; `digest`: 32 bytes."""

    number: int
    id: str
    kind: DeletionKind
    digest: bytes


def read_requests(file: DeletionFile, lines: Iterator[Line]) -> Iterator[DeletionRequest | RefusedLine | Empty]:
    """Each line behind the header once, in order; why one is refused quotes nothing of it. Raises
    `signals.lines.NoHeader` before the first.
    """
    columns = REMOVED if file.kind is DeletionKind.REMOVED else REQUESTS
    return (_request(file.kind, row) if isinstance(row, ListRow) else row for row in columns.rows(lines))


def _request(kind: DeletionKind, row: ListRow) -> DeletionRequest | RefusedLine:
    """A cell that was cut off has not its length, and one that was moved not its form."""
    id_, digest = row.cells["id"].strip(), digest_of(row.cells["hash"].strip())
    of = BY_WORD.get(row.cells.get("listtype", "").strip().casefold()) if kind is DeletionKind.REMOVED else kind
    if not ID.fullmatch(id_):
        return RefusedLine(row.number, NO_ID)
    if digest is None:
        return RefusedLine(row.number, NO_DIGEST)
    if of is None or of is DeletionKind.REMOVED:
        return RefusedLine(row.number, NO_LIST)
    return DeletionRequest(row.number, id_, of, digest)


def digest_of(text: str) -> bytes | None:
    """The 32 bytes of a hash as lists write it; None where it is none."""
    try:
        return base64.b64decode(text, validate=True) if DIGEST.fullmatch(text) else None
    except binascii.Error:
        return None


def standardized(kind: DeletionKind, value: str) -> str:
    """What of an identifier is hashed: an address in lower case without white space, the last ten digits of a number,
    other ids as they are. Raises ValueError for names and vehicles.
    """
    if kind in OPERATORS or kind is DeletionKind.REMOVED:
        raise ValueError(f"{kind}: names and vehicles are hashed by whoever has them")
    bare = "".join(value.split())
    if kind is DeletionKind.PHONE:
        return "".join(each for each in bare if each.isascii() and each.isdigit())[-TEN:]
    return bare.lower() if kind is DeletionKind.EMAIL else bare


def hashed(kind: DeletionKind, value: str) -> str:
    """The 44 characters by which a list means an identifier. Raises ValueError for names and vehicles."""
    return base64.b64encode(sha256(standardized(kind, value).encode()).digest()).decode()


def answer_lines(rows: Iterable[tuple[str, int]]) -> Iterator[str]:
    """The lines of an answer, the header first, of (id, status)."""
    yield "Id,Status\n"
    for id_, status in rows:
        yield f"{id_},{DeletionStatus(status):d}\n"
