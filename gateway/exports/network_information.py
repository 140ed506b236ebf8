"""What a carrier must be able to show of a stretch of time about customers' network information, for the officer's
yearly certificate (47 CFR 64.2007-2009, L80): who was noticed, what was approved or refused, every campaign and
disclosure, the texts, and when nobody could opt out. Counts and days; nobody is named. Reads only.
"""

import contextlib
import json
import sqlite3
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from gateway.exports import requests
from gateway.exports.disclosures import NETWORK, network_information
from gateway.ledger import documents, schema
from gateway.ledger.evidence import FORMS_FAILED
from gateway.ledger.subjects import milliseconds, moment
from gateway.terms import NoticeKind

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


def told(folder: Path, since: date, until: date) -> dict[str, Any]:
    """Of the days (UTC) from `since`, `until` not included. Raises sqlite3.Error or `LedgerRefused`.

    A notice to somebody who was forgotten since is not counted any more. `texts`: whatever was logged before `until`,
    because a notice of last year may be the one that approval rests on.
    """
    start, end = (milliseconds(datetime(each.year, each.month, each.day, tzinfo=UTC)) for each in (since, until))
    with contextlib.closing(schema.open_to_read(folder)) as db:
        notices = db.execute(NOTICES, (NoticeKind.CPNI, since.toordinal(), until.toordinal())).fetchall()
        texts = db.execute(TEXTS, (documents.NOTICE, documents.DESPITE_SIGNAL, documents.SCREEN)).fetchall()
        outages = _outages(db, start, end)
    return {
        "from": since.isoformat(), "until": until.isoformat(),
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
    }  # fmt: skip


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
