"""The numbers of a calendar year as 11 CCR 7102 wants them published, and the same of one place (Colorado's, a
province's): requests received, complied with, denied and why, the median of days until the answer, and appeals.
`gateway export report` and GET /v1/reports/{year} tell them, as JSON, as CSV and as a page.

What nobody counted is not there, and is never told as 0: a kind of request of which no number is kept yet, a year
before the first entry, a year to come. `counted_from` names the day where counting began within the year.
"""

import contextlib
import csv
import html
import io
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.choice.deletion_list import DeletionStatus
from gateway.desk import answered_requests, deletion_orders
from gateway.desk.answered_requests import ACCESS, CORRECTION, DELETION, ERASURES, LIMITS, OPT_OUTS
from gateway.ledger.folder_store import store_in
from gateway.ledger.subjects import moment
from gateway.records import requests
from gateway.records.requests import Request
from gateway.terms import Source

OPT_OUT, LIMIT, SIGNALS, IMPORTED, DROP = "opt_out", "limit", "opt_out_signals", "imported", "drop"
# What each heading counts, by the entries' own words and by those of what no entry tells.
NATURES: Mapping[str, frozenset[str]] = {
    OPT_OUT: OPT_OUTS,
    LIMIT: LIMITS,
    DELETION: ERASURES | {DELETION},
    ACCESS: frozenset({ACCESS}),
    CORRECTION: frozenset({CORRECTION}),
}
HEADINGS = (*NATURES, SIGNALS)
LISTED = (*(status.name.lower() for status in DeletionStatus), "open", "taken_back")  # before it was answered


class _Heading:
    def __init__(self) -> None:
        self.received = 0
        self.denied: Counter[str] = Counter()
        self.appeals: Counter[str] = Counter()
        self.days: list[float] = []

    def add(self, request: Request) -> None:
        self.received += request.count
        self.days += [request.days] * request.count
        if request.denied:
            self.denied[request.denied] += request.count
        if request.appeal:
            self.appeals.update({requests.APPEAL_MADE, request.appeal[1]})

    def told(self) -> dict[str, Any]:
        denied = self.denied.total()
        numbers = {
            "received": self.received,
            "complied": self.received - denied,
            "denied": denied,
            "median_days": round(statistics.median(self.days), 2) if self.days else None,
        }
        return (
            numbers
            | ({"denied_for": dict(sorted(self.denied.items()))} if denied else {})
            | ({"appeals": dict(sorted(self.appeals.items()))} if self.appeals else {})
        )


def yearly_report(folder: Path, year: int, place: str = "", today: date | None = None) -> dict[str, Any]:
    """A heading each. A signal is written where it changes something, so `opt_out_signals` counts browsers and devices
    that newly said no, not page loads; `imported` are noes from a list of an earlier system, which are no requests of
    the year; `drop` are the requests of a state's deletion list, which no other heading counts. `place`: only what was
    said to come from there, US-CO or all of CA. `bodies_gone`: entries of the year without a body, told where there are
    any, for then the numbers are too small. Raises `LedgerRefused`, `sqlite3.Error`.
    """
    first, last, now = date(year, 1, 1), date(year, 12, 31), today or datetime.now(UTC).date()
    days = first, last + timedelta(days=1)
    headings, imported = _counted(requests.between(folder, *days), place)
    begun = _begun(folder)
    told = {
        name: heading.told()
        for name, heading in headings.items()
        if heading.received or (first <= now and name in begun and begun[name] <= last)
    }
    within = {name: begun[name].isoformat() for name in told if name in begun and first < begun[name] <= last}
    gone = requests.gone(folder, *days)
    of = {"place": place} if place else {}
    more: dict[str, Any] = {"bodies_gone": gone} if gone else {}
    if imported or OPT_OUT in told:
        more[IMPORTED] = imported
    if listed := _listed(folder, *days, place):
        more[DROP] = listed
    return {"year": year, **of, **more, **({"counted_from": within} if within else {}), **told}


def _counted(found: Iterable[Request], place: str) -> tuple[dict[str, _Heading], int]:
    headings, imported = {name: _Heading() for name in HEADINGS}, 0
    for request in found:
        if not _is_of(request.place, place) or request.manner == Source.DROP:
            continue
        for name, natures in NATURES.items():
            if request.nature not in natures:
                continue
            if request.source == Source.IMPORT:
                imported += request.count
            else:
                headings[SIGNALS if name == OPT_OUT and request.is_signal else name].add(request)
    return headings, imported


def _is_of(said: str, place: str) -> bool:
    return not place or any(place in {each, each.partition("-")[0]} for each in said.split(","))


def _listed(folder: Path, start: date, end: date, place: str) -> dict[str, Any]:
    """By the day of the download, each under its answer that stands. Empty: no list of that year was taken."""
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        counted = deletion_orders.counted_between(db, start, end)
    found, days = Counter[str](), list[int]()
    for each in counted:
        if _is_of(each.place, place):
            found[each.answer.name.lower() if each.answer else "taken_back" if each.over else "open"] += each.requests
            days += [each.days] * each.requests if each.days is not None else []
    numbers = {name: found[name] for name in LISTED}
    median = {"median_days": statistics.median(days) if days else None}
    return {"received": found.total(), **numbers, **median} if found else {}


def _begun(folder: Path) -> dict[str, date]:
    """Since when each is counted; what the office alone tells of has no such day."""
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        since = answered_requests.counted_since(db)
        entries = [moment(at).date() for (at,) in db.execute("SELECT min(at) FROM detail") if at is not None]
    return {**dict.fromkeys((OPT_OUT, LIMIT, DELETION, SIGNALS), min([since, *entries])), ACCESS: since}


TITLES = {
    OPT_OUT: "Requests to opt out of sale and sharing",
    LIMIT: "Requests to limit the use of sensitive personal information",
    DELETION: "Requests to delete",
    ACCESS: "Requests to know",
    CORRECTION: "Requests to correct",
    SIGNALS: "Opt-out signals, by browsers and devices that newly sent one",
}
COLUMNS = ("request", "received", "complied", "denied", "median_days", "denied_for", "appeals", "counted_from")
WORDS = ("", "Received", "Complied with", "Denied", "Median days", "Denied for", "Appeals", "Counted from")


def _rows(told: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    """By the names of `COLUMNS`. Empty: there is none."""
    for name in HEADINGS:
        if name in told:
            heading = told[name]
            listed = (
                "; ".join(f"{word} {count}" for word, count in heading.get(each, {}).items()) for each in COLUMNS[5:7]
            )
            numbers = ("" if heading[each] is None else f"{heading[each]:g}" for each in COLUMNS[1:5])
            yield (name, *numbers, *listed, told.get("counted_from", {}).get(name, ""))


def report_as_csv(told: Mapping[str, Any]) -> str:
    """A row a heading that is counted, of the year and place of each."""
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(("year", "place", *COLUMNS))
    rows.writerows((told["year"], told.get("place", ""), *row) for row in _rows(told))
    if IMPORTED in told:
        rows.writerow((told["year"], told.get("place", ""), IMPORTED, told[IMPORTED], *[""] * 6))
    for name, count in told.get(DROP, {}).items():
        if name != "median_days":
            days = told[DROP]["median_days"] if name == "received" else None
            row = (DROP if name == "received" else f"{DROP}_{name}", count, "", "", "" if days is None else f"{days:g}")
            rows.writerow((told["year"], told.get("place", ""), *row, *[""] * 3))
    return written.getvalue()


def report_lines(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A line a heading that is counted, in words, its cells those of `WORDS`; for whoever shows it as a table."""
    return [(TITLES[name], *cells) for name, *cells in _rows(told)]


def report_notes(told: Mapping[str, Any]) -> list[str]:
    """What has to be said beside the table."""
    notes = []
    if IMPORTED in told:
        notes.append(f"Opt-outs taken over from an earlier list, none of them counted above: {told[IMPORTED]}.")
    if DROP in told:
        numbers = "; ".join(
            f"{name.replace('_', ' ')} {count}" for name, count in told[DROP].items() if count is not None
        )
        notes.append(f"Requests of a state's deletion list, none of them counted above: {numbers}.")
    if "bodies_gone" in told:
        notes.append(f"The numbers are too small by at most {told['bodies_gone']} entries that are no longer kept.")
    return notes


def report_as_page(told: Mapping[str, Any]) -> str:
    """A file of HTML that stands alone, to be published as it is."""
    place = f", {html.escape(told['place'])}" if "place" in told else ""
    title = f"Privacy requests received in {told['year']}{place}"
    head = "".join(f'<th scope="col">{word}</th>' for word in WORDS)
    body = "".join(
        f'<tr><th scope="row">{title}</th>' + "".join(f"<td>{html.escape(each)}</td>" for each in cells) + "</tr>\n"
        for title, *cells in report_lines(told)
    )
    said = "".join(f"<p>{each}</p>\n" for each in report_notes(told))
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        "<style>body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
        "th,td{border:1px solid;padding:.3em .6em;text-align:left}</style>\n"
        f"<h1>{title}</h1>\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n{said}</html>\n"
    )


FORMS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {"csv": report_as_csv, "html": report_as_page}
