"""Who got what, for those who must answer for it: third parties' direct marketing (Cal. Civ. Code 1798.83), network
information (47 CFR 64.2009(c)), and what was sent after an opt-out. Sums by recipient; nobody is named. Reads only.

What one person's data went to is for that person (`gateway.ledger.access`).
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from gateway.choice.recipient import Recipient
from gateway.ledger import schema, sent_after
from gateway.ledger.subjects import milliseconds, moment
from gateway.terms import DataClass, Purpose

DAY = 86_400_000  # milliseconds
# Purposes whose receivers may market to people by themselves; who sells cannot say that nobody does.
MARKETING = frozenset({Purpose.THIRD_PARTY_MARKETING, Purpose.SALE, Purpose.SHARING, Purpose.TARGETED_ADS})
NETWORK = frozenset({Purpose.CPNI_MARKETING, Purpose.CPNI_DISCLOSURE, Purpose.CALL_LOCATION})
# A row of a share or an announced send each, and days of checks and bid requests. What was only asked about, or
# handed back, may have been sent; what was intended and never marked likewise is not known.
SUMS = """
SELECT recipient, purpose, classes, outcome, day, sum(count), min(first), max(last) FROM (
  SELECT recipient, purpose, classes, iif(outcome IN ('sent', 'possible'), outcome, 'unknown') AS outcome,
         at / 86400000 AS day, 1 AS count, at AS first, at AS last FROM disclosure
  WHERE outcome <> 'not_sent' AND at >= :since AND at < :until
  UNION ALL
  SELECT recipient, purpose, classes, outcome, day, count, first, last FROM disclosed
  WHERE count > 0 AND last >= :since AND first < :until
) GROUP BY recipient, purpose, classes, outcome, day ORDER BY day, recipient, purpose, classes, outcome
"""


@dataclass(frozen=True, slots=True)
class Sum:
    """What one recipient got on one day (UTC). `outcome`: sent, unknown, possible, despite_no."""

    recipient: str
    purposes: tuple[str, ...]
    data: tuple[str, ...]
    outcome: str
    day: date
    count: int
    first: datetime
    last: datetime


@contextlib.contextmanager
def _snapshot(folder: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(schema.open_to_read(folder)) as db:
        db.execute("BEGIN")
        yield db


def sums(folder: Path, since: date, until: date) -> list[Sum]:
    """Days from `since`, `until` not included. Raises sqlite3.Error or `LedgerRefused`."""
    start, end = (milliseconds(datetime(each.year, each.month, each.day, tzinfo=UTC)) for each in (since, until))
    with _snapshot(folder) as db:
        rows = db.execute(SUMS, {"since": start, "until": end}).fetchall()
    return [
        Sum(
            recipient, _list(purposes), _list(classes), outcome, moment(day * DAY).date(), count, moment(first),
            moment(last),
        )
        for recipient, purposes, classes, outcome, day, count, first, last in rows
    ]  # fmt: skip


def direct_marketing(folder: Path, year: int, recipients: Mapping[str, Recipient]) -> list[dict[str, Any]]:
    """Categories of data by recipient in a calendar year, of those outside, with name and address where the
    configuration has them. One that is no longer configured counts.
    """
    found: dict[str, dict[str, Any]] = {}
    for each in sums(folder, date(year, 1, 1), date(year + 1, 1, 1)):
        known = recipients.get(each.recipient)
        if (known is None or known.third) and not MARKETING.isdisjoint(each.purposes):
            line = found.setdefault(
                each.recipient,
                {
                    "recipient": each.recipient,
                    "company": (known and known.company) or None,
                    "address": (known and known.address) or None,
                    "data": set(),
                    "purposes": set(),
                    "count": 0,
                },
            )
            line["data"].update(each.data)
            line["purposes"].update(each.purposes)
            line["count"] += each.count
    return [
        {**line, "data": sorted(line["data"]), "purposes": sorted(line["purposes"])}
        for _, line in sorted(found.items())
    ]  # fmt: skip


def network_information(folder: Path, since: date, until: date) -> list[dict[str, Any]]:
    """Every day on which CPNI went to somebody, or was used for marketing: what, for what, how much."""
    return [
        {
            "recipient": each.recipient, "day": each.day.isoformat(), "purposes": each.purposes, "data": each.data,
            "outcome": each.outcome, "count": each.count,
        }
        for each in sums(folder, since, until)
        if DataClass.CPNI in each.data or not NETWORK.isdisjoint(each.purposes)
    ]  # fmt: skip


def after_an_opt_out(folder: Path) -> list[dict[str, Any]]:
    """What must be empty: rows that left after their person had opted out; and sends that callers reported although the
    answer was no (`despite_no`).
    """
    with _snapshot(folder) as db:
        broken = [
            {"recipient": each.recipient, "entry": each.batch, "purposes": each.purposes,
             "day": moment(each.at).date().isoformat(), "outcome": "sent", "count": 1}
            for each in sent_after.find(db)
        ]  # fmt: skip
    despite = [each for each in sums(folder, date(2018, 1, 1), date(9998, 1, 1)) if each.outcome == "despite_no"]
    return broken + [
        {"recipient": each.recipient, "entry": None, "purposes": each.purposes, "day": each.day.isoformat(),
         "outcome": each.outcome, "count": each.count}
        for each in despite
    ]  # fmt: skip


def _list(joined: str) -> tuple[str, ...]:
    return tuple(filter(None, joined.split(",")))
