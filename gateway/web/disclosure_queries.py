"""POST /v1/disclosures/query: who got what. `received` is of a person, for the desk or with proof, as access is; the
rest tells of nobody and wants scope export. Reads only.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.codes import ACCESS
from gateway.consent import Consent
from gateway.credentials import ApiKey, Credentials
from gateway.exports import disclosures
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.terms import DataClass
from gateway.web import access_report, auth, desk_call, wire
from gateway.web.problem import Problem
from gateway.web.proof import Proofs

QUESTIONS = ("received", "direct_marketing", "network_information", "sent_after_opt_out")
KNOWN = frozenset({"question", "identifiers", "proof", "place", "data", "year", "from", "until"})
YEAR = timedelta(days=366)  # the longest: of network information records are kept one year at least (47 CFR 64.2009(c))
FIRST, LAST = 2018, 9997


class DisclosureQueries:
    """The door."""

    def __init__(self, consent: Consent, folder: Path, credentials: Credentials, proofs: Proofs) -> None:
        self._consent = consent
        self._folder = folder
        self._credentials = credentials
        self._proofs = proofs

    async def post(self, request: Request) -> Response:
        key = auth.anybody(request, self._credentials)
        wire.require_json(request)
        body = desk_call.members(wire.parse(await wire.read_body(request)), KNOWN, "a question about disclosures")
        question = body.get("question")
        if question not in QUESTIONS:
            raise Problem("malformed", f"question is one of {', '.join(QUESTIONS)}", "/question")
        if question == "received":
            return wire.answer(await self._received(body, key))
        auth.want(key, "export")
        try:
            found = await asyncio.to_thread(self._sums, str(question), body)
        except (sqlite3.Error, LedgerRefused) as error:
            raise StoreUnavailable(f"the ledger cannot be read: {type(error).__name__}") from error
        return wire.answer({"question": question, "as_of": wire.stamp(self._consent.clock()), "disclosures": found})

    async def _received(self, body: Mapping[str, Any], key: ApiKey) -> dict[str, Any]:
        """Who got data of a person; with `data`, who got any of these classes: "who received my location"."""
        classes = body.get("data")
        if classes is not None and not (isinstance(classes, list) and all(isinstance(each, str) for each in classes)):
            raise Problem("malformed", "data is a list of data classes", "/data")
        if classes is not None and not set(classes) <= set(DataClass):
            raise Problem("malformed", f"data classes are {', '.join(DataClass)}", "/data")
        named, ignored = desk_call.named(self._consent, body)
        proved = await self._proofs.or_desk(body.get("proof"), key, named.subjects, ACCESS)
        report = await access_report.of(self._consent, proved)
        wanted = set(classes or DataClass)
        found = [each for each in report["disclosures"] if not wanted.isdisjoint(each["data"])]
        return {"question": "received", "as_of": report["as_of"], "disclosures": found, "ignored": ignored}

    def _sums(self, question: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        today = self._consent.clock().date()
        if question == "direct_marketing":
            return disclosures.direct_marketing(
                self._folder, _year(body.get("year"), today.year - 1), self._consent.recipients
            )
        if question == "network_information":
            until = wire.day(body.get("until"), "/until") or today
            since = wire.day(body.get("from"), "/from") or max(until, date.min + YEAR) - YEAR
            return disclosures.network_information(self._folder, since, min(until, date.max - YEAR) + timedelta(days=1))
        return disclosures.after_an_opt_out(self._folder)


def _year(stated: object, last: int) -> int:
    if stated is None:
        return last
    if not isinstance(stated, int) or isinstance(stated, bool) or not FIRST <= stated <= LAST:
        raise Problem("malformed", "year is a calendar year", "/year")
    return stated
