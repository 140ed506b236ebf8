"""Papers about what was disclosed, for `gateway disclosures`, `gateway export` and `gateway suppression`: sums by
recipient, network information, and the suppression file.

Sums: third parties' direct marketing (Cal. Civ. Code 1798.83), network information (47 CFR 64.2009(c)), and what was
sent after an opt-out. What one person's data went to is for that person (`gateway.desk.access`).

What a carrier must be able to show of a stretch of time about customers' network information, for the officer's yearly
certificate (47 CFR 64.2007-2009, L80): who was noticed, what was approved or refused, every campaign and disclosure,
the texts, and when nobody could opt out. Counts and days; nobody is named in either.

A suppression file is `csv` (a header, then type, digest, date) or `uid2`, the layout of UID2's opt-out delta
(IABTechLab/uid2-optout on GitHub): 72-byte records of 32 bytes identity hash, 32 bytes advertising id, 7 bytes
little-endian seconds and 1 byte of metadata (low 6 bits: identity type), the first all zeros with the start, the last
all ones with the end. We know no advertising ids of UID2, so these are zeros; and only SHA-256 of addresses and
numbers, which are what UID2 hashes.
"""

import contextlib
import csv
import io
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from gateway.choice.recipient import Recipient
from gateway.desk import documents
from gateway.desk.access import Received, split_words
from gateway.desk.evidence import FORMS_FAILED
from gateway.desk.suppression import Suppressed
from gateway.ledger.audit import verify
from gateway.ledger.folder_store import store_in
from gateway.ledger.subjects import day_begins, moment
from gateway.records import requests
from gateway.terms import DataClass, NoticeKind, Purpose

QUESTIONS = ("received", "direct_marketing", "network_information", "sent_after_opt_out")  # the first of one person
# Purposes whose receivers may market to people by themselves; who sells cannot say that nobody does.
MARKETING = frozenset({Purpose.THIRD_PARTY_MARKETING, Purpose.SALE, Purpose.SHARING, Purpose.TARGETED_ADS})
NETWORK = frozenset({Purpose.CPNI_MARKETING, Purpose.CPNI_DISCLOSURE, Purpose.CALL_LOCATION})
# A row of a share or an announced send each, and days of checks and bid requests. What was only asked about, or
# handed back, may have been sent; what was intended and never marked likewise is not known.
SUMS = """
SELECT recipient, purpose, classes, outcome, day, sum(count), min(first), max(last) FROM (
  SELECT recipient, purpose, classes,
         CASE WHEN outcome IN ('sent', 'possible') THEN outcome ELSE 'unknown' END AS outcome,
         at / 86400000 AS day, 1 AS count, at AS first, at AS last FROM disclosure
  WHERE outcome <> 'not_sent' AND at >= :since AND at < :until
  UNION ALL
  SELECT recipient, purpose, classes, outcome, day, count, first, last FROM disclosed
  WHERE count > 0 AND last >= :since AND first < :until
) AS days GROUP BY recipient, purpose, classes, outcome, day ORDER BY day, recipient, purpose, classes, outcome
"""


def sums(folder: Path, since: date, until: date) -> list[Received]:
    """What each recipient got of all people together, a day (UTC) at a time, from `since`, `until` not included;
    `despite_no` stays apart. Raises sqlite3.Error or `LedgerRefused`.
    """
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        rows = db.execute(SUMS, {"since": day_begins(since), "until": day_begins(until)}).fetchall()
    return [
        Received(to, split_words(purposes), split_words(classes), outcome, moment(first), moment(last), count)
        for to, purposes, classes, outcome, _, count, first, last in rows
    ]


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
            line["data"].update(each.classes)
            line["purposes"].update(each.purposes)
            line["count"] += each.count
    return [
        {**line, "data": sorted(line["data"]), "purposes": sorted(line["purposes"])}
        for _, line in sorted(found.items())
    ]


def network_information(folder: Path, since: date, until: date) -> list[dict[str, Any]]:
    """Every day on which CPNI went to somebody, or was used for marketing: what, for what, how much."""
    return [
        {
            "recipient": each.recipient,
            "day": each.first.date().isoformat(),
            "purposes": each.purposes,
            "data": each.classes,
            "outcome": each.outcome,
            "count": each.count,
        }
        for each in sums(folder, since, until)
        if DataClass.CPNI in each.classes or not NETWORK.isdisjoint(each.purposes)
    ]


def after_an_opt_out(folder: Path) -> list[dict[str, Any]]:
    """What must be empty: rows that left after their person had opted out; and sends that callers reported although the
    answer was no (`despite_no`).
    """
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        db.execute("BEGIN")
        broken = [
            {
                "recipient": each.recipient,
                "entry": each.batch,
                "purposes": each.purposes,
                "day": moment(each.at).date().isoformat(),
                "outcome": "sent",
                "count": 1,
            }
            for each in verify.find_sent_after(db)
        ]
    despite = [each for each in sums(folder, date(2018, 1, 1), date(9998, 1, 1)) if each.outcome == "despite_no"]
    return broken + [
        {
            "recipient": each.recipient,
            "entry": None,
            "purposes": each.purposes,
            "day": each.first.date().isoformat(),
            "outcome": each.outcome,
            "count": each.count,
        }
        for each in despite
    ]


NOTICES = """
SELECT t.day, t.outcome, count(*) FROM told_event t
WHERE t.notice = ? AND t.day >= ? AND t.day < ? GROUP BY t.day, t.outcome ORDER BY t.day, t.outcome
"""
TEXTS = """
SELECT json_extract(CAST(e.body AS TEXT), '$.t'), d.kind, d.version, d.language, lower(hex(d.sha256))
FROM document d JOIN entry e USING (seq) WHERE d.kind IN (?, ?, ?) ORDER BY d.seq
"""
EVIDENCE = """
SELECT coalesce(d.body, e.body) FROM evidence v JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq
WHERE v.until >= ? AND v.start < ? ORDER BY v.seq
"""


def network_information_told(folder: Path, since: date, until: date) -> dict[str, Any]:
    """Of the days (UTC) from `since`, `until` not included. Raises sqlite3.Error or `LedgerRefused`.

    A notice to somebody who was forgotten since is not counted any more. `texts`: whatever was logged before `until`,
    because a notice of last year may be the one that approval rests on.
    """
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        notices = db.execute(NOTICES, (NoticeKind.CPNI, since.toordinal(), until.toordinal())).fetchall()
        texts = db.execute(TEXTS, (documents.NOTICE, documents.DESPITE_SIGNAL, documents.SCREEN)).fetchall()
        outages = _outages(db, day_begins(since), day_begins(until))
    return {
        "from": since.isoformat(),
        "until": until.isoformat(),
        "notices": [
            {"day": date.fromordinal(day).isoformat(), "outcome": outcome, "count": count}
            for day, outcome, count in notices
        ],
        "approvals": _approvals(folder, since, until),
        "campaigns_and_disclosures": network_information(folder, since, until),
        "texts": [
            {"logged": logged, "kind": kind, "version": version, "language": language, "sha256": sha256}
            for logged, kind, version, language, sha256 in texts
            if logged[:10] < until.isoformat()
        ],
        "opt_out_failed": outages,
    }


def _approvals(folder: Path, since: date, until: date) -> list[dict[str, Any]]:
    """Requests that say something of network information, a line a day, nature, manner and set of purposes."""
    said: Counter[tuple[str, str, str, tuple[str, ...]]] = Counter()
    for request in requests.between(folder, since, until):
        about = tuple(sorted(NETWORK.intersection(request.purposes)))
        if about:
            said[(moment(request.received).date().isoformat(), request.nature, request.manner, about)] += 1
    return [
        {"day": day, "nature": nature, "manner": manner, "purposes": about, "count": count}
        for (day, nature, manner, about), count in sorted(said.items())
    ]


def _outages(db: sqlite3.Connection, start: int, end: int) -> list[dict[str, str | None]]:
    """Each once, though every day that it went on tells of it. `end` None: the last word on it is that it goes on."""
    found: dict[str, str | None] = {}
    for (body,) in db.execute(EVIDENCE, (start, end)):
        spells = json.loads(body).get("spells", [])
        found.update((began, ended or None) for what, began, ended in spells if what == FORMS_FAILED)
    return [{"from": began, "until": ended} for began, ended in sorted(found.items())]


HASH, SECONDS = 32, 7
TYPES = {"email": 0, "phone": 1}  # UID2's identity types
FIRST, LAST = bytes(2 * HASH), b"\xff" * 2 * HASH


def as_csv(listed: Sequence[Suppressed]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["type", "digest", "date"])
    writer.writerows(
        [each.kind, each.digest, moment(each.at).date().isoformat() if each.at is not None else ""] for each in listed
    )
    return text.getvalue().encode()


def as_uid2(listed: Sequence[Suppressed], start: int, end: int) -> bytes:
    """`start` and `end`: of the time that it is about, Unix seconds. Others than addresses and numbers are left out."""
    records = [_record(FIRST, start, 0)]
    for each in listed:
        if _has_place(each):
            at = each.at // 1000 if each.at is not None else end
            records.append(_record(bytes.fromhex(each.digest) + bytes(HASH), at, TYPES[each.kind]))
    return b"".join([*records, _record(LAST, end, 0)])


def of_uid2(listed: Sequence[Suppressed]) -> int:
    """How many of them stand in a `uid2` file."""
    return sum(map(_has_place, listed))


def _has_place(each: Suppressed) -> bool:
    return each.kind in TYPES and len(each.digest) == 2 * HASH


def _record(hashes: bytes, at: int, metadata: int) -> bytes:
    return hashes + at.to_bytes(SECONDS, "little") + bytes([metadata])
