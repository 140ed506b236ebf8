"""Pages about one's own data: what is held about me, and have it forgotten.

Access: `POST /v1/access` for the desk or whoever proves it in the call, `/privacy-choices/data` for the person, who
proves it by this browser's cookie, the signed-in account, or a code that was sent to a mailbox or number (R5, R12).

`/privacy-choices/erase`: in two steps; the opt-out stays (R19). First what will go and what stays, then "yes" to what
was shown to be theirs: this browser, the account that is signed in, a mailbox or number by a code for this use. Nothing
else is touched (R12), and the answer is the same whether anything was known or not (V25).
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Annotated

import msgspec
import orjson
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.consent.codes import ACCESS, ERASURE
from gateway.desk.answered_requests import HowItCame
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.ledger.entry import b64
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Subject
from gateway.terms import Erasing, Manner
from gateway.web.pages import codes, forms
from gateway.web.pages.codes import Steps
from gateway.web.shell import access_report, auth, desk_call, page, wire, words
from gateway.web.shell.access_report import AccessReportBody
from gateway.web.shell.proof import ProofStated, ProvedDoor
from gateway.web.shell.words import mark

FILE = "my-privacy-data.json"
PAGE = "/privacy-choices/data"
BY_PAGE = HowItCame(manner=Manner.WEB)


class AccessRequest(wire.StrictShape, frozen=True, kw_only=True):
    """Of whom everything that is held is wanted."""

    identifiers: wire.Identifiers
    proof: Annotated[ProofStated, Meta(description="without scope desk: what proves all of them")] = None
    place: wire.OneCountry = None
    received_at: Annotated[wire.Time | None, Meta(description="scope desk: when the request came")] = None
    manner: Annotated[Manner | None, Meta(description="scope desk: how it came")] = None


class Access(ProvedDoor):
    """`POST /v1/access`."""

    async def post(self, request: Request) -> Response:
        """`POST /v1/access`: of the identifiers that the desk looked at, or that the call proves."""
        key = auth.anybody(request, self._credentials)
        body = await desk_call.one_object(request, AccessRequest, "an access request")
        came = desk_call.how_it_came(body, self._consent, desk=key.may("desk"))
        named, ignored = desk_call.named(self._consent, body)
        proved = await self._proofs.or_desk(body.get("proof"), key, named.subjects, ACCESS)
        if len(proved) < len(named.subjects):
            ignored.append(wire.IgnoredMember("/identifiers", "not all of them are proved"))
        themselves = not key.may("desk")  # where the officer looks
        report = await access_report.report_of(self._consent, proved, came, themselves=themselves)
        report.ignored = ignored
        return wire.wire_answer(report)


class DataForm(Struct):
    """A button of the page; any other word shows. `shown`: of a page that has the report on it."""

    action: Annotated[str, wire.one_of(("show", "download", "forget"))] = ""
    shown: str = ""


class AccessPage:
    """`/privacy-choices/data`, for whoever this browser is known to be."""

    def __init__(self, steps: Steps, origins: Collection[str]) -> None:
        self._steps = steps
        self._consent = steps.consent
        self._origins = origins

    async def show(self, request: Request) -> Response:
        """`GET /privacy-choices/data`: what is proved, and two buttons; nothing of anybody."""
        return self._page(request, self._steps.known(request, ACCESS), None)

    async def post(self, request: Request) -> Response:
        """`POST /privacy-choices/data`: the report as a page, with `action=download` as a file; `action=forget` ends
        what a code has shown.
        """
        said = await forms.read_form_fields(request, DataForm, self._origins)
        action, first = said.action, not said.shown  # what is downloaded after a look was asked for once
        if action == "forget":
            return codes.forget_by_code(codes.to(request, PAGE))
        proved = self._steps.known(request, ACCESS)
        found = await access_report.report_of(self._consent, proved, BY_PAGE if first else None, themselves=True)
        for entry in found.entries:
            if entry.type == "browser":  # a receipt is not shown again to whoever sits here next (R35)
                entry.event = None
        if action != "download":
            return self._page(request, proved, found)
        body = orjson.dumps(found, msgspec.to_builtins, orjson.OPT_INDENT_2)
        headers = {**page.HEADERS, "Content-Disposition": f'attachment; filename="{FILE}"'}
        return Response(body, 200, headers, wire.JSON)

    def _page(self, request: Request, proved: Sequence[Subject], found: AccessReportBody | None) -> Response:
        kinds, ways = {subject.kind for subject in proved}, self._steps.ways(request)
        return page.show_page(
            request,
            "data.html",
            kinds=kinds,
            ways=ways,
            report=found,
            words=words.word,
        )


NOTHING = mark("Please tick what is to be forgotten.")


class EraseForm(Struct):
    """`action=erase`, and what is ticked."""

    action: str = ""
    browser: str = ""
    account: str = ""
    email: str = ""
    phone: str = ""


class ErasePage:
    """`/privacy-choices/erase`."""

    def __init__(self, steps: Steps, origins: Collection[str]) -> None:
        self._steps = steps
        self._origins = origins

    async def show(self, request: Request) -> Response:
        """`GET`: what will go, what stays, and of whom."""
        return self._page(request)

    async def post(self, request: Request) -> Response:
        """`POST` with `action=erase` and a field a kind: `browser`, `account`, `email`, `phone`."""
        said = await forms.read_form_fields(request, EraseForm, self._origins, undoes=True)
        chosen = [subject for subject in self._steps.known(request, ERASURE) if getattr(said, subject.kind, "")]
        if said.action != "erase" or not chosen:
            return self._page(request, NOTHING, 422)
        order = ErasureOrder(Erasing.DETAILS, chosen, self._steps.consent.clock(), came=BY_PAGE)
        try:
            written = await self._steps.consent.erase(order)
        except StoreUnavailable:
            return self._page(request, codes.AWAY, 503)
        gone_by = await self._steps.consent.forgotten_by() + timedelta(days=1)  # the day that it is within is over
        event, day = b64(written.event), gone_by.strftime("%Y-%m-%d")
        return codes.forget_by_code(page.show_page(request, "erased.html", event=event, gone_by=day))

    def _page(self, request: Request, problem: str = "", status: int = 200) -> Response:
        coded = self._steps.read(request)
        shown = coded.kind if coded and coded.proved and coded.use == ACCESS else ""
        kinds = [subject.kind for subject in self._steps.known(request, ERASURE)]
        ways = self._steps.ways(request)
        return page.show_page(request, "erase.html", status, problem=problem, kinds=kinds, shown=shown, ways=ways)
