"""The confirmation of a form: what holds now for what was in that one submission, as checks are answered; and the
download of its proof.

Shows nothing that was typed, and no state of anybody else: of a number, which anybody may have typed, and whatever else
is not this browser, not what became of it later (R6, R35). Its first showing, in the browser that posted, has the
ticket of the download (R16); later ones have none (R35). A browser that brings our cookie back remembers what it said;
to any other the page says that nothing holds for it, whoever keeps no cookies or was sent the address.

`POST /privacy-choices/proof`: receipts and openings of one submission, in one file, once (R16). The only answer of the
public pages that holds what somebody typed, and only for the browser that it was typed in, while its confirmation is
before them.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import orjson
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.consent.site import NOTHING_SAID, Word
from gateway.consent.verbs import Consent
from gateway.desk import history
from gateway.keys import seals
from gateway.ledger.subjects import Subject
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, Purpose
from gateway.web.pages import positions
from gateway.web.pages.forms import AD_IDS, UNREAD
from gateway.web.shell import cross_site, own_cookies, page, wire
from gateway.web.shell.own_cookies import ProofsKept
from gateway.web.shell.problem import Problem
from gateway.web.shell.visitor import Visitor, Visitors, jar_of
from gateway.web.shell.words import COVERS, ELSEWHERE, OTHER, mark, named, numbered

# Nobody is kept waiting longer for a page to load, but for a send window of one who comes back where that is longer.
MOST_WAITING = timedelta(seconds=1)
RECEIVED = mark("Received")
FETCHED_AHEAD = '"prefetchCache", "prerenderCache"'  # pages that the site made for somebody who had said nothing
TOLD_ALREADY = ("cookie:", AD_IDS[1])  # a site's own ids for this browser; the second reading of an advertising id


class Confirmation:
    """The page that a form leads to. Holds no state of anybody. `enforced`: its script tells the site's other tabs, and
    ends service workers.
    """

    def __init__(self, consent: Consent, visitors: Visitors, folder: Path, *, enforced: bool = False) -> None:
        self._consent = consent
        self._visitors = visitors
        self._folder = folder
        self._enforced = enforced

    async def show(self, request: Request) -> Response:
        """`GET /privacy-choices/done/{event}`. "Honored" from the moment on from which no send on an older answer may
        start; "received" before it (R17).
        """
        said = await self._said(request.path_params["event"])
        effective = await self._until_effective(request.path_params["event"], said[0][2])
        visitor = self._visitors.read(request.scope)
        here = self._here(visitor, said[0][3])
        now, keys = int(self._consent.clock().timestamp()), self._consent.secrets.seals
        shown = own_cookies.first_showing(keys, jar_of(request.scope), now, request.path_params["event"])
        given = (
            [each.value for each in shown.openings] if shown and len(shown.openings) == len(said) else [""] * len(said)
        )
        found = [
            (kind, self._lines(visitor, kind, key, purposes, here, at, numbered(kind, value)))
            for (kind, key, at, purposes), value in zip(said, given, strict=True)
        ]
        lines = [line for _, each in found for line in each]
        forgets = any(line["covers"] == ELSEWHERE for line in lines)
        response = page.show_page(
            request,
            "done.html",
            ticket=shown.ticket if shown else "",
            lines=[line for kind, each in found if not kind.startswith(TOLD_ALREADY) for line in each],
            honored=effective and not forgets and all(line["out"] and line["read"] for line in lines),
            forgets=forgets,
            signal=visitor.heard.denied.issuperset(SIGNAL_PURPOSES),
            at=said[0][2].strftime("%Y-%m-%d %H:%M"),
            event=request.path_params["event"],
            unread=[field for field in UNREAD if field in request.query_params.getlist("unread")],
            script=self._enforced,
        )
        response.headers["Clear-Site-Data"] = FETCHED_AHEAD
        if self._enforced:
            response.headers["Content-Security-Policy"] += "; script-src 'self'; connect-src 'self'"
        own_cookies.keep_proofs(response, keys, shown, now)
        return response

    async def _said(self, name: str) -> list[tuple[str, bytes, datetime, list[Purpose]]]:
        try:
            event = seals.unb64(name)
        except seals.OpeningFailed:
            raise Problem("not_found", "no such submission") from None
        said = await history.of_request(self._folder, event)
        if not said:
            raise Problem("not_found", "no such submission")
        return said

    async def _until_effective(self, name: str, at: datetime) -> bool:
        """Waits for replicas, and a send window from there, which is shorter than a page takes to be read."""
        shared = partial(history.shared_ahead, self._folder, seals.unb64(name))
        return await self._consent.effectiveness.passed(at, shared, MOST_WAITING)

    def _here(self, visitor: Visitor, purposes: Sequence[Purpose]) -> bytes | None:
        """The key of the browser that asks, by the cookie that it brought back. None where it needs none: its signal
        or its own cookie says the same each time, or marketing was stopped, which no cookie carries.
        """
        if set(purposes) <= visitor.heard.denied | visitor.denied or set(purposes).isdisjoint(ALL_PURPOSES):
            return None
        return next((each.key for each in self._visitors.subjects(visitor) if each.kind == "browser"), b"")

    def _lines(
        self,
        visitor: Visitor,
        kind: str,
        key: bytes,
        purposes: Sequence[Purpose],
        here: bytes | None,
        at: datetime,
        number: tuple[str, str],
    ) -> list[dict[str, Any]]:
        """One thing that was in the form, in a line for each word that holds for some of its purposes. `number`: as
        which one it was read, told by country and last digits.
        """
        covers = ELSEWHERE if kind == "browser" and here not in (key, None) else COVERS.get(kind, OTHER)
        this = kind == "browser" and covers != ELSEWHERE and not set(purposes).isdisjoint(ALL_PURPOSES)
        # A form needs no cookie, so nobody else than who sent it is known to have the address of what was just said.
        if not positions.may_read(self._consent.clock() - at, own=this, said_here=True):
            some = _some(purposes)
            return [{"text": RECEIVED, "out": True, "read": True, "covers": covers, "uses": some, "number": number}]
        if this:
            site = self._visitors.site(visitor, self._visitors.subjects(visitor))
        else:
            site = self._consent.checks.site([Subject(kind, "", (key,))], NOTHING_SAID, visitor.place)
        told = positions.lines(self._consent.checks.words(site, purposes), {})
        return [
            {
                "text": line.text,
                "out": line.word in {Word.OPTED_OUT, Word.UNKNOWN},
                "covers": covers,
                "read": line.word is not Word.UNKNOWN,
                "uses": line.uses if len(told) > 1 else _some(purposes),
                "number": number,
            }
            for line in told
        ]


def _some(purposes: Sequence[Purpose]) -> list[str]:
    """What a choice is about where that is not everything."""
    return [] if tuple(purposes) == ALL_PURPOSES else named(purposes)


FILE = "privacy-choice-proof.json"
MAX_BYTES = 4096
GONE = "#no-proof"  # the sentence that says so: a browser unfolds what it stands in
EVENT = 16  # bytes of an event's id


class ProofForm(Struct):
    """The button on a confirmation."""

    event: str = ""
    ticket: str = ""


class OpeningShown(Struct):
    """s = HMAC-SHA256(rs, kind || 0x00 || value) stands in the entry; rs is base64url."""

    kind: str
    value: str
    rs: str


class ProofOfEvent(Struct):
    """The receipt of an entry, and what shows that it is about its owner."""

    receipt: str
    opening: OpeningShown


class ProofsBody(Struct):
    """One for each entry of a submission."""

    proofs: list[ProofOfEvent]


class ProofDownload:
    """`POST /privacy-choices/proof`."""

    def __init__(self, consent: Consent, origins: Collection[str]) -> None:
        self._consent = consent
        self._origins = origins

    async def post(self, request: Request) -> Response:
        """The file; where this browser has nothing to open, back to the confirmation, which says so."""
        form = _read_fields(await wire.read_body(request, MAX_BYTES))
        event, ticket = form.event, form.ticket
        jar, now = jar_of(request.scope), int(self._consent.clock().timestamp())
        kept = own_cookies.read_proof_cookie(self._consent.secrets.seals, jar, now)
        opens = kept is not None and kept.opens_with(event, ticket)
        if not cross_site.is_own(request.headers, self._origins, token_valid=opens):
            raise Problem("cross_site", "press the button on the confirmation itself")
        if kept is None or not opens:
            return RedirectResponse(
                page.placed(request, f"/privacy-choices/done/{event}{GONE}"), 303, {"Cache-Control": "no-store"}
            )
        body = orjson.dumps(ProofsBody(await self._proofs(kept)), msgspec.to_builtins, orjson.OPT_INDENT_2)
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{FILE}"',
            "X-Content-Type-Options": "nosniff",
            "Set-Cookie": own_cookies.PROOF_COOKIE_GONE,
        }
        return Response(body, headers=headers, media_type=wire.JSON)

    async def _proofs(self, kept: ProofsKept) -> list[ProofOfEvent]:
        events = [seals.unb64(event) for event in kept.events]
        receipts = await asyncio.to_thread(self._consent.log_reader.receipts, events)
        pairs = zip(receipts, kept.openings, strict=True)
        return [ProofOfEvent(found.text(), OpeningShown(**opening.to_json())) for found, opening in pairs if found]


def _read_fields(body: bytes) -> ProofForm:
    """Raises `Problem` for an event that is none."""
    try:
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=8))
        event = fields.get("event", "")
        if len(seals.unb64(event)) != EVENT:
            raise Problem("not_found", "no such submission")
    except (ValueError, seals.OpeningFailed):
        raise Problem("not_found", "no such submission") from None
    return ProofForm(event, fields.get("ticket", ""))
