"""Requests that no entry tells of, counted without a person: access that was given, what the office did elsewhere or
denied, and what an unlink takes from the ledger. Access, unlinking and `gateway answered` count here; the year's report
and the list of requests read it (gateway/records).

Of a request: what was asked for, the days it came and was answered, how it came, the place, and why it was denied.
Equal ones are one row, so that a flood of requests grows by a row for each day and not for each of them.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

from gateway.ledger.schema import BODY, JOINED, OF_REQUEST
from gateway.ledger.subjects import moment
from gateway.terms import ChoiceKind

ACCESS, CORRECTION, DELETION = "access", "correction", "deletion"
OPT_OUTS = frozenset({ChoiceKind.OPT_OUT.value, ChoiceKind.WITHDRAW.value})
LIMITS = frozenset({ChoiceKind.LIMIT.value})
ERASURES = frozenset({ChoiceKind.ERASED.value, ChoiceKind.UNLINKED_PERSON.value, ChoiceKind.CHILD_FOUND.value})
# Why each may be denied. To stop takes no proof of who asks, so there are fewer reasons (11 CCR 7026, 7027).
STOPS = frozenset({ChoiceKind.OPT_OUT.value, ChoiceKind.LIMIT.value})
REASONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((ACCESS, CORRECTION, DELETION), ("not_verified", "exempt", "not_ours", "excessive")),
    **dict.fromkeys(sorted(STOPS), ("fraud", "no_permission")),
}

EARLIEST = datetime(
    2018, 1, 1, tzinfo=UTC
)  # no report is of a year before: a day of then is a slip, and counts nowhere
SAID_AT_ONCE = f"""
SELECT d.at, coalesce(d.received, d.at), {BODY} FROM detail d{JOINED} WHERE {OF_REQUEST} ORDER BY d.seq
"""  # noqa: S608 - the pieces are ours


class HowItCame(NamedTuple):
    """What the desk says of a request. `received`: when it came; None: when it was answered. `place`: US-CA, DE."""

    received: datetime | None = None
    manner: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """One, by its days (UTC). `nature`: an entry's own word, or access, correction, deletion. `denied`: why."""

    nature: str
    received: date
    answered: date
    source: str = ""
    manner: str = ""
    place: str = ""
    denied: str = ""


def count_answered(db: sqlite3.Connection, asked: AnsweredRequest) -> None:
    """One more of its kind."""
    row = (
        asked.nature, asked.received.toordinal(), asked.answered.toordinal(), asked.source, asked.manner, asked.place,
        asked.denied,
    )  # fmt: skip
    db.execute(
        "INSERT INTO answered_request VALUES (?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT"
        " (nature, received, answered, source, manner, place, denied) DO UPDATE SET count = answered_request.count + 1",
        row,
    )


def answered_between(db: sqlite3.Connection, start: date, end: date) -> Iterator[tuple[AnsweredRequest, int]]:
    """Those received from a day to before another, each with how many there were, oldest answer first."""
    sql = (
        "SELECT nature, received, answered, source, manner, place, denied, count FROM answered_request"
        " WHERE received >= ? AND received < ? ORDER BY answered, received"
    )
    for nature, received, answered, *how, count in db.execute(sql, (start.toordinal(), end.toordinal())):
        days = date.fromordinal(received), date.fromordinal(answered)
        yield AnsweredRequest(nature, *days, *how), count


def counted_since(db: sqlite3.Connection) -> date:
    """The day on which counting began, or began again."""
    return date.fromordinal(db.execute("SELECT max(day) FROM counted_since").fetchone()[0])


class BeforeUnlink:
    """What the entries of some people tell of requests, before they lead to nobody; `count` what is not told afterwards
    by anybody's entry, each request once. `since`: from which entry on a key is theirs.
    """

    def __init__(self, db: sqlite3.Connection, since: Mapping[bytes, int]) -> None:
        self._db = db
        self._found: dict[tuple[bytes, str], AnsweredRequest] = {}
        for key, seq in since.items():
            for (request,) in db.execute("SELECT DISTINCT request FROM detail WHERE key = ? AND seq >= ?", (key, seq)):
                self._found |= self._told(request)

    def count(self) -> None:
        for (request, nature), asked in self._found.items():
            if (request, nature) not in self._told(request):
                count_answered(self._db, asked)

    def _told(self, request: bytes) -> dict[tuple[bytes, str], AnsweredRequest]:
        found: dict[tuple[bytes, str], AnsweredRequest] = {}
        for at, received, body in self._db.execute(SAID_AT_ONCE, (request,)):
            leaf = json.loads(body or b"{}")
            if (nature := leaf.get("e")) in OPT_OUTS | LIMITS | ERASURES:
                days = moment(received).date(), moment(at).date()
                how = (leaf.get(member, "") for member in ("src", "m", "j"))
                found.setdefault((request, nature), AnsweredRequest(nature, *days, *how))
        return found
