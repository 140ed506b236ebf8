"""The desk's page of a mail, `/desk/mail/{number}`: what somebody wrote to the privacy mailbox, what of it nobody can
read, and the original; where an officer says what it asks for.
"""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.choice.place import PLACE
from gateway.desk.office.cases import DeskCase
from gateway.desk.office.mailbox import MAIL, READ, Mailbox
from gateway.desk.office.officers import Officer
from gateway.desk.office.request_law import RequestKind
from gateway.web.desk import desk_page
from gateway.web.desk.desk_door import DeskDoor, Form
from gateway.web.desk.desk_page import show_desk
from gateway.web.desk.requests_in import KINDS, NO_REQUEST, REQUESTS
from gateway.web.shell.problem import Problem


@dataclass(frozen=True)
class MailPage:
    """Its three addresses."""

    door: DeskDoor
    mailbox: Mailbox

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET /desk/mail/{number}`."""
        case = await self._case(request)
        return show_desk(request, "mail.html", officer=officer, case=case, said=case.said, kinds=KINDS)

    async def original(self, request: Request, _: Officer, __: Form) -> Response:
        """`GET /desk/mail/{number}/original`: the mail as it came, to be saved and opened elsewhere."""
        case = await self._case(request, shut=True)
        body = await asyncio.to_thread(self.mailbox.original, case.number)
        attached = {"Content-Disposition": f'attachment; filename="case-{case.number}.eml"'}
        return Response(body, headers={**desk_page.HEADERS, **attached}, media_type="application/octet-stream")

    async def sort(self, request: Request, officer: Officer, form: Form) -> Response:
        """`POST /desk/mail/{number}`: what it asks for, and from where; or that it asks for nothing."""
        case, kind, place = await self._case(request), form.get("kind", ""), form.get("place", "").upper()
        if case.answered or case.event:
            raise Problem("malformed", "This case was entered or answered already.")
        if place and not PLACE.fullmatch(place):
            raise Problem("malformed", "The place is a country or a state: US-CA, DE.")
        if kind not in {*RequestKind, NO_REQUEST}:
            raise Problem("malformed", "Say what is asked for.")
        cases = self.mailbox.cases
        await asyncio.to_thread(cases.reread, case.number, {**case.said, MAIL: READ})
        if kind == NO_REQUEST:
            await asyncio.to_thread(cases.answer_case, case.number, NO_REQUEST)
        else:
            await asyncio.to_thread(self.mailbox.sort, case.number, RequestKind(kind), place)
        await self.door.note(officer, "sorted a mail", case=str(case.number))
        return RedirectResponse(f"{REQUESTS}/{case.number}", 303, desk_page.HEADERS)

    async def _case(self, request: Request, *, shut: bool = False) -> DeskCase:
        """`shut`: also one whose words do not open: the mail has a seal of its own. Raises `Problem`."""
        stated, found = str(request.path_params["number"]), None
        if stated.isascii() and stated.isdigit() and len(stated) < 10:  # noqa: PLR2004 - no desk has so many
            found = await asyncio.to_thread(self.mailbox.cases.read_case, int(stated))
        if found is None or not (MAIL in found.said or (shut and found.shut)):
            raise Problem("not_found", "There is no mail of this number, or it was forgotten.")
        return found
