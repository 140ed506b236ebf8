"""The desk's page of an appeal, `/desk/appeals/{number}`: that somebody appealed against the answer to a case, by when
that has to be answered where that is known, and what came of it. Open ones stand on the first page.

Of a case with an entry the ledger says it too, and the year's report counts it (`gateway appeal`).
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from gateway.delivery.deadlines import Calendar
from gateway.desk.office.cases import Appeals, CaseAppeal, DeskCase
from gateway.desk.office.officers import Officer
from gateway.desk.office.request_law import AppealLaw, appeal_law_of, last_of
from gateway.keys import seals
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from gateway.records import requests
from gateway.records.requests import APPEAL_GRANTED, APPEAL_MADE, APPEAL_REFUSED
from gateway.web.desk import requests_in
from gateway.web.desk.desk_door import DeskDoor, Form
from gateway.web.desk.desk_page import ROOT, go_on, show_desk
from gateway.web.desk.requests_in import KINDS, LANGUAGES, RequestsIn
from gateway.web.desk.today import SOON, DueTask
from gateway.web.shell.problem import Problem

ANSWERS = frozenset({APPEAL_GRANTED, APPEAL_REFUSED})
APPEALS = f"{ROOT}/appeals"
LETTERS = requests_in.LETTERS_OF["appeal"]


@dataclass(frozen=True)
class AppealPage:
    """Its two addresses."""

    door: DeskDoor
    requests: RequestsIn
    appeals: Appeals
    writer: Writer
    calendar: Calendar

    async def tasks(self) -> list[DueTask]:
        """The open appeals as things to do; without a day where none is known."""
        found = await asyncio.to_thread(self.appeals.open_appeals)
        return [await self._task(each) for each in found]

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET /desk/appeals/{number}`."""
        case = await self._case(request)
        await self.door.note(officer, "looked at an appeal", case=str(case.number))
        appeal = await asyncio.to_thread(self.appeals.read_appeal, case.number)
        now = self.door.clock()
        law = appeal_law_of(case.place, (appeal.received if appeal else now).date())
        last = last_of(law.answer, appeal.received, self.calendar) if law and appeal else None
        return show_desk(
            request, "appeal.html", officer=officer, case=case, appeal=appeal, law=law, last=last, kinds=KINDS,
            today=now.date(), letters=_letters(case, appeal, law), languages=LANGUAGES,
        )  # fmt: skip

    async def act(self, request: Request, officer: Officer, form: Form) -> Response:
        """`POST /desk/appeals/{number}`: one came, or was answered."""
        case, action = await self._case(request), form.get("action", "")
        appeal = await asyncio.to_thread(self.appeals.read_appeal, case.number)
        if action == APPEAL_MADE and appeal is None:
            received = self._came(case, form.get("received", ""))
        elif action not in ANSWERS or not appeal or appeal.answered:
            raise Problem("malformed", "This cannot be done with this appeal as it is.")
        await self.door.note(officer, f"appeal: {action}", case=str(case.number))
        if case.event:
            event, at = seals.unb64(case.event), self.door.clock()
            action = await self.writer.commit(lambda tx: _on_record(tx, event, action, at))
        if appeal is None:
            await asyncio.to_thread(self.appeals.take_appeal, case.number, received)
        else:
            await asyncio.to_thread(self.appeals.answer_appeal, case.number, action)
        return go_on(f"{APPEALS}/{case.number}")

    def _came(self, case: DeskCase, stated: str) -> datetime:
        """The day it came. Raises `Problem` for one of before the answer that it is against."""
        received, wrong = self.requests.day_it_came(stated)
        if wrong or (case.answered and received.date() < case.answered.date()):
            raise Problem("malformed", wrong or "An appeal comes after the answer that it is against.")
        return received

    async def _case(self, request: Request) -> DeskCase:
        case = await self.requests.case(request)
        if not case.answered:
            raise Problem("malformed", "This case is not answered: there is nothing to appeal against.")
        return case

    async def _task(self, appeal: CaseAppeal) -> DueTask:
        case = await asyncio.to_thread(self.requests.cases.read_case, appeal.number)
        law = appeal_law_of(case.place, appeal.received.date()) if case else None
        last = last_of(law.answer, appeal.received, self.calendar) if law else None
        what, way = f"Answer the appeal of case {appeal.number}", f"{APPEALS}/{appeal.number}"
        if last is None:
            return DueTask(what, SOON, appeal.received.date(), None, None, way)
        return DueTask.by_law(self.door, what, appeal.received, last, way)


def _on_record(tx: Transaction, event: bytes, word: str, at: datetime) -> str:
    """What the ledger says from now on: of two officers who answer at once, and of one who was cut off, the first."""
    said = requests.last_appeal(tx.db, event)
    if said and (said[1] == word or {said[1], word} <= ANSWERS):
        return said[1]
    requests.note_appeal(tx, event, word, at)
    return word


def _letters(case: DeskCase, appeal: CaseAppeal | None, law: AppealLaw | None) -> dict[str, str]:
    """By language, what tells the person of an appeal that was answered; of a refusal also whom they may turn to, where
    that is known.
    """
    texts = LETTERS[appeal.outcome] if appeal and appeal.answered else {}
    if not appeal or not case.answered:
        return {}
    told = {"received": appeal.received.date(), "answered": case.answered.date(), "number": case.number}
    letters = {language: text.format(**told) for language, text in texts.items()}
    if appeal.outcome != APPEAL_REFUSED or not law or not law.authority:
        return letters
    turn_to = LETTERS["complain"]
    return {each: f"{text} {turn_to[each].format(authority=law.authority)}" for each, text in letters.items()}
