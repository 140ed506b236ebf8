"""A request comes in at the desk, by letter, phone, mail or an agent: its form, the list of what is open, a case's
page, where it is acknowledged, extended, answered or denied, and its letters are written; and the page of a mail.

A no is entered at once for whatever can be read of it, whoever brings it: no call-back, no proof (11 CCR 7026(c), (d),
(j)), also where the request is denied later for want of a permission. What cannot be read is named and kept, and the
case stays open for it.
"""

import asyncio
import re
import tomllib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from hashlib import sha256
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.place import PLACE, country_of
from gateway.consent.people import Named
from gateway.consent.verbs import Consent
from gateway.delivery.deadlines import Calendar
from gateway.desk.answered_requests import ACCESS, CORRECTION, DELETION, AnsweredRequest
from gateway.desk.office.cases import COMPLIED, DENIED, Cases, DeskCase
from gateway.desk.office.mailbox import MAIL, READ, UNREAD, Mailbox
from gateway.desk.office.officers import Officer
from gateway.desk.office.request_law import DenialReason, RequestKind, clock_of, last_of, reasons_of
from gateway.desk.own_systems import Systems
from gateway.keys import seals
from gateway.ledger.subjects import Choice, residing
from gateway.terms import ALL_PURPOSES, ChoiceKind, Manner, Purpose, Source
from gateway.web.desk.desk_door import DeskDoor, Form
from gateway.web.desk.desk_page import ROOT, as_file, go_on, show_desk
from gateway.web.desk.systems_page import system_rows
from gateway.web.desk.today import DueTask
from gateway.web.shell.problem import Problem

REQUESTS = f"{ROOT}/requests"
WAYS: Mapping[Manner, str] = {  # each a source of its own name
    Manner.LETTER: "by letter", Manner.PHONE: "by phone", Manner.EMAIL: "by mail", Manner.AGENT: "from an agent",
}  # fmt: skip
COUNTED: Mapping[RequestKind, str] = {  # under which heading of the year's report
    RequestKind.OPT_OUT: ChoiceKind.OPT_OUT,
    RequestKind.LIMIT: ChoiceKind.LIMIT,
    RequestKind.KNOW: ACCESS,
    RequestKind.DELETE: DELETION,
    RequestKind.CORRECT: CORRECTION,
}
NOES: Mapping[RequestKind, tuple[ChoiceKind, tuple[Purpose, ...]]] = {
    RequestKind.OPT_OUT: (ChoiceKind.OPT_OUT, ALL_PURPOSES),
    RequestKind.LIMIT: (ChoiceKind.LIMIT, (Purpose.SENSITIVE,)),
}
KINDS: Mapping[RequestKind, str] = {
    RequestKind.OPT_OUT: "opt out of sale, sharing and targeted ads",
    RequestKind.LIMIT: "limit the use of sensitive data",
    RequestKind.KNOW: "know what is held",
    RequestKind.DELETE: "delete",
    RequestKind.CORRECT: "correct",
}
NO_REQUEST = "no request"  # the outcome of a mail that asks for nothing
LETTERS_OF: Mapping[str, Mapping[str, Mapping[str, str]]] = tomllib.loads(
    (resources.files("gateway.web.desk") / "letters.toml").read_text(encoding="utf-8")
)
LETTERS = LETTERS_OF["request"]
IN_PART = LETTERS_OF["in_part"]["confirmation"]
TOLD = "told_unread"  # the tick that nobody can ever read the lines that are left, and the person is told which
UNTOLD = "Lines of it were never entered: enter them, or tick that they name nobody."
SHUT = "Its words do not open: enter what the letter or mail itself names, and tick that you did."
LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French"}
MOST_LINES, MOST_SIGNS = 100, 8_000
TYPED = re.compile(r"([a-z_]+(?::[A-Za-z0-9_-]+)?)\s*[=:]\s*(.+)")
A_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
OLDEST = timedelta(days=3660)


def written_lines(text: str) -> list[str]:
    """What was written, without empty lines."""
    return [each.strip() for each in text.splitlines() if each.strip()]


def is_too_much(text: str) -> bool:
    """Whether somebody wrote more than is read at once. Nothing of it is read then, so that nothing gets lost."""
    return len(text) > MOST_SIGNS or len(written_lines(text)) > MOST_LINES


def as_written(text: str) -> list[dict[str, str]]:
    """A line each: of the kind that it names (`gaid = …`), else a mailbox, an ad id of either platform, or a number."""
    found = []
    for line in written_lines(text):
        typed = TYPED.fullmatch(line)
        if typed:
            found.append({"type": typed[1], "value": typed[2].strip()})
        elif "@" in line:
            found.append({"type": "email", "value": line})
        elif A_UUID.fullmatch(line):
            found += [{"type": kind, "value": line} for kind in ("gaid", "idfa")]
        else:
            found.append({"type": "phone", "value": line})
    return found


async def case_of(cases: Cases, number: object) -> DeskCase | None:
    """The case of a number, as an address or a form has it; None: there is none. Raises `StoreUnavailable`."""
    stated = str(number)
    if not (stated.isascii() and stated.isdigit() and len(stated) < 10):  # noqa: PLR2004 - no desk has so many
        return None
    return await asyncio.to_thread(cases.read_case, int(stated))


def is_half_entered(case: DeskCase) -> bool:
    """Whether lines of a no are left of which nobody knows whom they name, or may be: its words do not open."""
    return case.kind in NOES and (bool(case.unread) or case.shut)


def waits_for_reader(case: DeskCase) -> bool:
    """Whether a no is entered nowhere and the desk has no lines of it: those stand in a mail, or do not open."""
    return case.kind in NOES and not case.event and (case.shut or MAIL in case.said)


def was_cut_off(case: DeskCase) -> bool:
    """Whether lines of a no could be read that are entered nowhere: the ledger was away when it came."""
    written = written_lines(str(case.said.get("lines", "")))
    return case.kind in NOES and not case.event and len(written) > len(case.unread)


@dataclass(frozen=True)
class RequestsIn:
    """The pages below `/desk/requests`."""

    door: DeskDoor
    cases: Cases
    consent: Consent
    calendar: Calendar
    systems: Systems

    async def tasks(self) -> list[DueTask]:
        """The open cases as things to do."""
        opened = await asyncio.to_thread(self.cases.open_cases)
        return [self._task(each) for each in opened]

    def _task(self, case: DeskCase) -> DueTask:
        """What the next step of an open case is, and by when."""
        if case.said.get(MAIL) == UNREAD:
            return self._mail_task(case)
        clock = clock_of(case.kind, case.place, case.received.date())
        last, what = clock.answered_by(case.received, self.calendar, extended=case.extended), "Answer"
        first = last_of(clock.acknowledge, case.received, self.calendar)
        if first and not case.acknowledged:
            last, what = min(first, last), "Acknowledge"
        if case.kind in NOES and not case.event:
            what = "Enter"
        elif case.event and (case.unread or is_half_entered(case)):
            what = "Read what was not readable of"
        elif case.event and case.kind in NOES:
            what = "Confirm"
        what, way = f"{what} case {case.number}: {KINDS[case.kind]}", f"{REQUESTS}/{case.number}"
        return DueTask.by_law(self.door, what, case.received, last, way)

    def _mail_task(self, case: DeskCase) -> DueTask:
        """A mail that nobody read: by when the strictest of all kinds has to be acknowledged or answered."""
        clocks = [clock_of(kind, case.place, case.received.date()) for kind in RequestKind]
        spans = [span for clock in clocks for span in (clock.acknowledge, clock.answer)]
        last = min(filter(None, (last_of(span, case.received, self.calendar) for span in spans)))
        what, way = f"Read the mail of case {case.number}", f"{ROOT}/mail/{case.number}"
        return DueTask.by_law(self.door, what, case.received, last, way)

    async def index(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET /desk/requests`: what is open, and what was answered last."""
        tasks = sorted(await self.tasks(), key=lambda each: each.last or date.max)
        answered = await asyncio.to_thread(self.cases.last_answered)
        return show_desk(request, "requests.html", officer=officer, tasks=tasks, answered=answered, kinds=KINDS)

    async def new(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET /desk/requests/new`: the form."""
        return self._form(request, officer, Form(), "")

    async def take(self, request: Request, officer: Officer, form: Form) -> Response:
        """`POST /desk/requests/new`: a case, and where it is a no, its entry at once."""
        received, wrong = self.day_it_came(form.get("received", ""))
        kind, manner, place = form.get("kind", ""), form.get("manner", ""), form.get("place", "").upper()
        lines = form.get("identifiers", "")
        if place and not PLACE.fullmatch(place):
            wrong = "The place is a country or a state: US-CA, DE."
        if kind not in tuple(RequestKind) or manner not in WAYS:
            wrong = "Say what is asked for, and how it came."
        if not lines or is_too_much(lines):
            wrong = f"Write at least one identifier, a line each, {MOST_LINES} lines and {MOST_SIGNS} signs at most."
        if wrong:
            return self._form(request, officer, form, wrong)
        asked = RequestKind(kind)
        named, unread = self._named(lines, place)
        said = {
            "lines": lines, "unread": unread, "agent": form.get("agent", ""), "note": form.get("note", ""),
            "language": form.get("language", "en"), "permission": sha256(form.file).hexdigest() if form.file else "",
        }  # fmt: skip
        number = await asyncio.to_thread(self.cases.open_case, received, asked, place, manner, said, form.file)
        opened = await asyncio.to_thread(self.cases.read_case, number)
        await self.door.note(officer, "took a request in", case=str(number))
        if opened and asked in NOES and named.subjects:
            await self._enter(opened, named)
        return go_on(f"{REQUESTS}/{number}")

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET /desk/requests/{number}`."""
        case = await self.case(request)
        await self.door.note(officer, "looked at a case", case=str(case.number))
        return await self._page(request, officer, case)

    async def act(self, request: Request, officer: Officer, form: Form) -> Response:
        """`POST /desk/requests/{number}`: acknowledged, extended, complied with, denied; or a letter about it."""
        case, action = await self.case(request), form.get("action", "")
        reasons = {each.name: each for each in reasons_of(case.kind, case.received.date())}
        if action == "letter":
            letter = self._letter(case, form, reasons)
            await self.door.note(officer, "case: letter", case=str(case.number), **_ticked(form))
            return await self._page(request, officer, case, letter)
        if case.answered:
            raise Problem("malformed", "This case was answered already.")
        act = await self._step(case, action, form, reasons)
        await self.door.note(officer, f"case: {action}", case=str(case.number), **_ticked(form))
        await act()
        return go_on(f"{REQUESTS}/{case.number}")

    async def _step(
        self, case: DeskCase, action: str, form: Form, reasons: Collection[str]
    ) -> Callable[[], Awaitable[None]]:
        """What is to be done. Raises `Problem` for what cannot be done with a case as it is."""
        act: Callable[[], Awaitable[None]]
        if action == "acknowledge":
            act = partial(asyncio.to_thread, self.cases.acknowledge, case.number)
        elif action == "extend" and clock_of(case.kind, case.place, case.received.date()).extend:
            act = partial(asyncio.to_thread, self.cases.extend, case.number)
        elif action == "comply" and (case.event or case.kind not in NOES):
            _prove_entered(case, form)
            await self._prove_deleted(case)
            act = partial(self._comply, case)
        elif action == "deny" and form.get("reason") in reasons:
            act = partial(self._deny, case, form["reason"])
        elif action == "again" and case.kind in NOES:
            act = partial(self._again, case, form.get("identifiers", ""), _lines_read(case, form))
        elif action == "forgotten" and case.kind is RequestKind.DELETE:
            act = partial(asyncio.to_thread, self.cases.entered, case.number, await self._act_of(form.get("event", "")))
        else:
            raise Problem("malformed", "This cannot be done with this case as it is. A denial says why.")
        return act

    async def _prove_deleted(self, case: DeskCase) -> None:
        """A request to delete is complied with once each own system that its acts ask said so. Raises `Problem`."""
        if case.kind is not RequestKind.DELETE:
            return
        for event in map(seals.unb64, case.events or [""]):
            if why := await self.systems.lacks(event):
                raise Problem("malformed", f"Nothing was done: {why}.")

    async def _act_of(self, event: str) -> str:
        """The event by which somebody was forgotten, as it was written down. Raises `Problem`."""
        try:
            if await self.systems.is_act(seals.unb64(event)):
                return event
        except seals.OpeningFailed:
            pass
        raise Problem("malformed", "Nothing was done: no act of this event is on record.")

    async def _comply(self, case: DeskCase) -> None:
        if case.kind is not RequestKind.DELETE and not case.event:  # who is forgotten is counted by the entry of that
            await self._count(case)
        await self._close(case, COMPLIED, event=case.event)

    async def _close(self, case: DeskCase, outcome: str, reason: str = "", *, event: str | None = None) -> None:
        """Raises `Problem` where a colleague was quicker: what was counted or entered with it stands."""
        if not await asyncio.to_thread(self.cases.answer_case, case.number, outcome, reason, event=event):
            raise Problem("malformed", "This did not close it: the case is another one since. Open it again.")

    async def _count(self, case: DeskCase, denied: str = "") -> None:
        """For the year's report, where no entry tells of it. Before the case is closed: in doubt it counts twice."""
        days, manner = (case.received.date(), self.door.clock().date()), Manner(case.manner)
        asked = AnsweredRequest(COUNTED[case.kind], *days, Source(manner), manner, case.place, denied)
        await self.consent.note_answered(asked)

    async def _deny(self, case: DeskCase, reason: str) -> None:
        """A denial takes no no away: one that was cut off between its case and its entry is entered first. Raises
        `Problem` where an officer alone can say whose it is.
        """
        if waits_for_reader(case):
            raise Problem("malformed", "This no was not entered: enter it from the letter or mail itself first.")
        named, _ = self._named(str(case.said.get("lines", "")), case.place)
        if case.kind in NOES and not case.event and named.subjects:
            await self._enter(case, named)
        elif not case.event:
            await self._count(case, reason)
        await self._close(case, DENIED, reason)

    async def _again(self, case: DeskCase, lines: str, read: Collection[int]) -> None:
        """What was not readable, as it is read now: entered with the day on which the request came. `read`: which of
        the unread lines that is, since one line may name several, and several one. Words that do not open stay as they
        are: who sealed over them would say that nothing is left of them, and that there was no mail.
        """
        if is_too_much(lines):
            raise Problem("malformed", f"At most {MOST_LINES} lines and {MOST_SIGNS} signs are read at once.")
        named, unread = self._named(lines, case.place)
        if unread or not named.subjects:
            raise Problem("nothing_usable", "These cannot be read either: " + ", ".join(unread))
        if case.unread and not read and not was_cut_off(case):
            raise Problem("malformed", "Nothing was entered: say which of the lines these are.")
        if was_cut_off(case):  # with what could be read when it came: by this it has an entry, and nobody looks again
            named, _ = self._named(f"{case.said['lines']}\n{lines}", case.place)
        await self._enter(case, named)
        if case.shut:
            return
        left = [each for index, each in enumerate(case.unread) if index not in read]
        said = {**case.said, "lines": f"{case.said.get('lines', '')}\n{lines}", "unread": left}
        await asyncio.to_thread(self.cases.reread, case.number, said)

    async def _enter(self, case: DeskCase, named: Named) -> None:
        """The no, as an entry that names the case, the agent, and the hash of what the person signed."""
        about = {"agent": case.said.get("agent"), "permission_sha256": case.said.get("permission")}
        details = {"case": case.number, **{name: text for name, text in about.items() if text}}
        choice, purposes = NOES[case.kind]
        now, manner = self.door.clock(), Manner(case.manner)
        said = Choice(
            choice, purposes, Source(manner), now, case.place, manner=manner, received=min(case.received, now),
            details={**details, **residing(case.place)},
        )  # fmt: skip
        chosen = await self.consent.choose(named.subjects, said)
        event = str(chosen.events[0]["event"]) if chosen.events else ""
        await asyncio.to_thread(self.cases.entered, case.number, event)

    def _named(self, lines: str, place: str) -> tuple[Named, list[str]]:
        """Who is meant, and the lines that nobody can read."""
        items = as_written(lines)
        named = self.consent.people.name(items, country_of(place)).for_a_no()
        return named, list(dict.fromkeys(items[index]["value"] for index, _ in named.ignored))

    def day_it_came(self, text: str) -> tuple[datetime, str]:
        """The day it came, at noon; and what is wrong with it."""
        now = self.door.clock()
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return now, "Write the day it came, as 2026-11-24."
        came = datetime.combine(day, time(12), UTC)
        if came > now + timedelta(hours=24):
            return now, "The day it came lies in the future."
        if came < now - OLDEST:
            return now, "The day it came lies more than ten years back."
        return min(came, now), ""

    async def case(self, request: Request) -> DeskCase:
        """That of an address. Raises `Problem`, `StoreUnavailable`."""
        found = await case_of(self.cases, request.path_params["number"])
        if found is None:
            raise Problem("not_found", "There is no case of this number.")
        return found

    def _form(self, request: Request, officer: Officer, form: Form, wrong: str) -> Response:
        said = defaultdict(str, form)
        return show_desk(
            request, "request_new.html", 422 if wrong else 200, officer, said=said, wrong=wrong, kinds=KINDS,
            manners=list(WAYS), languages=LANGUAGES, today=self.door.clock().date(),
        )  # fmt: skip

    async def _page(self, request: Request, officer: Officer, case: DeskCase, letter: str = "") -> Response:
        on = case.received.date()
        clock = clock_of(case.kind, case.place, on)
        task = self._task(case)
        asked = await self.systems.of(map(seals.unb64, case.events)) if case.events else []
        return show_desk(
            request, "request.html", officer=officer, case=case, said=defaultdict(str, case.said), clock=clock,
            task=task, ways=WAYS, letter=letter,
            reasons=reasons_of(case.kind, on), kinds=KINDS, languages=LANGUAGES, letters=list(LETTERS),
            is_no=case.kind in NOES, waits=waits_for_reader(case), half=is_half_entered(case),
            sole=len(case.unread) == 1 and not was_cut_off(case), rows=system_rows(asked, self.door),
        )  # fmt: skip

    def _letter(self, case: DeskCase, form: Form, reasons: Mapping[str, DenialReason]) -> str:
        """A letter about a case. Raises `Problem` for one that would not be true of it."""
        name, language = form.get("letter", ""), form.get("language", "")
        texts = LETTERS.get(name, {})
        true_of = {"acknowledgement": True, "confirmation": bool(case.event), "denial": case.outcome == DENIED}
        if case.kind not in NOES:
            true_of["confirmation"] = case.outcome == COMPLIED
        if language not in texts or not true_of.get(name):
            raise Problem("malformed", "This letter would not be true of the case as it is.")
        if name == "confirmation" and is_half_entered(case):
            _prove_named(case, form)
            texts = IN_PART
        last = clock_of(case.kind, case.place, case.received.date()).answered_by(
            case.received, self.calendar, extended=case.extended
        )
        reason = reasons[case.reason].words if case.reason in reasons else ""
        event = f"Receipt: {', '.join(case.events)}" if case.events else ""
        return texts[language].format(
            received=case.received.date(), number=case.number, last=last.date(), reason=reason, event=event,
            unread=", ".join(case.unread),
        )  # fmt: skip


def _prove_entered(case: DeskCase, form: Form) -> None:
    """Of a no all that was written, or the officer says that the rest names nobody. Raises `Problem`."""
    if is_half_entered(case) and form.get(TOLD) != "yes":
        raise Problem("malformed", SHUT if case.shut else UNTOLD)


def _prove_named(case: DeskCase, form: Form) -> None:
    """That a confirmation can name each line that is left, and does. Raises `Problem`."""
    if case.shut:
        raise Problem("malformed", "Nobody can say which lines of it were entered: its words do not open.")
    _prove_entered(case, form)


def _lines_read(case: DeskCase, form: Form) -> Collection[int]:
    """Which of the unread lines an officer ticked as entered. Raises `Problem` where a colleague entered some of them
    since the page was shown: they have other places then.
    """
    count = len(case.unread)
    if form.get("seen", str(count)) != str(count):
        raise Problem("malformed", "A colleague entered lines of it meanwhile. Open it again.")
    return {index for index in range(count) if form.get(f"read_{index}") == "yes"}


def _ticked(form: Form) -> dict[str, str]:
    """What the desk's log has of the tick."""
    return {TOLD: "yes"} if form.get(TOLD) == "yes" else {}


@dataclass(frozen=True)
class MailPage:
    """`/desk/mail/{number}`: what somebody wrote to the privacy mailbox, what of it nobody can read, and the original;
    where an officer says what it asks for.
    """

    door: DeskDoor
    mailbox: Mailbox

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET /desk/mail/{number}`."""
        case = await self._case(request)
        await self.door.note(officer, "read a mail", case=str(case.number))
        seen = _as_sorted(case)
        return show_desk(request, "mail.html", officer=officer, case=case, said=case.said, kinds=KINDS, seen=seen)

    async def original(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET /desk/mail/{number}/original`: the mail as it came, to be saved and opened elsewhere."""
        case = await self._case(request, shut=True)
        await self.door.note(officer, "saved a mail", case=str(case.number))
        body = await asyncio.to_thread(self.mailbox.original, case.number)
        return as_file(body, f"case-{case.number}.eml", "application/octet-stream")

    async def sort(self, request: Request, officer: Officer, form: Form) -> Response:
        """`POST /desk/mail/{number}`: what it asks for, and from where; or that it asks for nothing."""
        kind, place = form.get("kind", ""), form.get("place", "").upper()
        case = await self._case(request, shut=True)
        if case.answered or case.event:
            raise Problem("malformed", "This case was entered or answered already.")
        if place and not PLACE.fullmatch(place):
            raise Problem("malformed", "The place is a country or a state: US-CA, DE.")
        if kind not in {*RequestKind, NO_REQUEST}:
            raise Problem("malformed", "Say what is asked for.")
        if case.shut:
            return await self._end_shut(officer, case, form)
        if kind == NO_REQUEST and form.get("seen", UNREAD) != _as_sorted(case):
            raise Problem("malformed", "A colleague sorted this mail meanwhile. Open it again.")
        cases = self.mailbox.cases
        await self.door.note(officer, "sorted a mail", case=str(case.number))
        if kind != NO_REQUEST:
            await asyncio.to_thread(cases.reread, case.number, {**case.said, MAIL: READ})
            await asyncio.to_thread(self.mailbox.sort, case.number, RequestKind(kind), place)
        elif not await asyncio.to_thread(cases.answer_as_read, case, {**case.said, MAIL: READ}, NO_REQUEST):
            raise Problem("malformed", "This did not close it: the case is another one since. Open it again.")
        return go_on(f"{REQUESTS}/{case.number}")

    async def _end_shut(self, officer: Officer, case: DeskCase, form: Form) -> Response:
        """One whose words do not open asks for nothing, or names nobody, as the mail itself says: its words are left as
        they are. Raises `Problem` for what else it may be taken for.
        """
        if form.get("kind") != NO_REQUEST or form.get("looked") != "yes":
            raise Problem(
                "malformed", "Its words do not open: enter what the mail names, or tick that it asks for nothing."
            )
        await self.door.note(officer, "sorted a mail", case=str(case.number))
        if not await asyncio.to_thread(self.mailbox.cases.answer_case, case.number, NO_REQUEST, event=case.event):
            raise Problem("malformed", "This did not close it: the case is another one since. Open it again.")
        return go_on(f"{REQUESTS}/{case.number}")

    async def _case(self, request: Request, *, shut: bool = False) -> DeskCase:
        """`shut`: also one whose words do not open: the mail has a seal of its own. Raises `Problem`."""
        found = await case_of(self.mailbox.cases, request.path_params["number"])
        shut = shut and found is not None and found.shut and found.manner == Manner.EMAIL
        if found is None or not (MAIL in found.said or shut):
            raise Problem("not_found", "There is no mail of this number, or it was forgotten.")
        return found


def _as_sorted(case: DeskCase) -> str:
    """What a mail was taken to ask for when its page was shown: whoever ends it as no request has to know that."""
    return UNREAD if case.said[MAIL] == UNREAD else case.kind
