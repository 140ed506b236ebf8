"""A person at the desk: found by an identifier that the officer pastes, never listed; what holds for them, what was
said, and who got what, now or as of an earlier day; and what the desk does for them.

An identifier comes in a form, stands in no address, and is never shown again: the page carries it sealed, for this
session alone. How many people somebody looks up in an hour is limited, and shown. The desk's log has a digest of whom
that was, which only the installation's secrets make again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.law import AGES
from gateway.choice.place import country_of
from gateway.consent.verbs import Consent
from gateway.desk.answered_requests import HowItCame
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.office.cases import Cases, DeskCase
from gateway.desk.office.officers import Officer
from gateway.desk.office.request_law import RequestKind
from gateway.desk.own_systems import Systems
from gateway.keys import seals
from gateway.keys.seals import Sealed
from gateway.ledger.entry import b64
from gateway.ledger.store import Store
from gateway.ledger.subjects import Choice, Subject
from gateway.terms import ChoiceKind, Erasing, Manner, Purpose, Source
from gateway.web.desk.desk_door import DeskDoor, Form
from gateway.web.desk.desk_page import show_desk
from gateway.web.desk.evidence_pack import EvidencePack, person_found
from gateway.web.desk.requests_in import WAYS, as_written, case_of, is_too_much, written_lines
from gateway.web.desk.systems_page import system_rows
from gateway.web.shell import words
from gateway.web.shell.brand import PLACE, Brand, brand_of
from gateway.web.shell.problem import Problem

LOOKUPS_AN_HOUR = 60
ERASURES = {
    "erase": (Erasing.DETAILS, "Forget the details; that they opted out stays, and can be proved"),
    "unlink": (Erasing.UNLINK, "Forget all that leads to them, their noes too where nothing else holds them"),
    "child": (Erasing.CHILD, "A child was found: no to everything, for good, and the details forgotten"),
}
MARKETING, PACK = "marketing", "pack"
MARKETING_PURPOSES = (
    Purpose.MARKETING_EMAIL, Purpose.MARKETING_MAIL, Purpose.MARKETING_TEXT, Purpose.MARKETING_CALL,
    Purpose.THIRD_PARTY_MARKETING,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What a page carries from one form to the next: the lines as they were pasted, for which session, and as of which
    day they were looked up; empty: now.
    """

    lines: str
    form: str
    as_of: str = ""


LOOKED_UP = Sealed(b"desk-person/1", LookedUp)


@dataclass(frozen=True)
class PersonPage:
    """`/desk/person`."""

    door: DeskDoor
    consent: Consent
    packs: EvidencePack
    store: Store
    cases: Cases
    systems: Systems

    async def ask(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET`: where an identifier is pasted."""
        return self._page(request, officer)

    async def post(self, request: Request, officer: Officer, form: Form) -> Response:
        """`POST`: looks somebody up, or does what a button says for who was looked up."""
        carried = form.get("person", "")
        looked = self._opened(carried, officer) if carried else LookedUp("", "")
        lines = looked.lines if carried else form.get("identifiers", "")
        subjects = self._named(lines)
        if not subjects:
            return self._page(request, officer, wrong="Nobody can be meant by this. Nothing was looked up.")
        action = form.get("action", "look")
        if action == "look":
            return await self._look(request, officer, lines, subjects, form.get("as_of", ""))
        if not officer.role.may("officer"):
            raise Problem("forbidden", f"This is for the role officer; yours is {officer.role}.")
        if not carried:
            raise Problem("malformed", "Nothing was done: look the person up first.")
        if action != MARKETING and form.get("sure") != "yes":
            raise Problem("malformed", "Nothing was done: tick that you looked at who asks, and that it is them.")
        if looked.as_of and action not in {PACK, MARKETING}:  # which is a no
            raise Problem("malformed", "Nothing was done: this is how it stood on another day. Look them up as of now.")
        await self._note(officer, f"person: {action}", subjects, as_of=looked.as_of)
        if action == PACK:
            found = await person_found(self.consent, self.store, subjects, self._until(looked.as_of))
            return await self.packs.answer(found, subjects, brand_of(request).name)
        done = await self._act(action, subjects, form)
        return self._page(request, officer, done=done)

    async def _look(
        self, request: Request, officer: Officer, lines: str, subjects: Sequence[Subject], stated: str
    ) -> Response:
        until = self._until(stated)
        await asyncio.to_thread(self._count, officer, len(subjects))
        await self._note(officer, "looked somebody up", subjects, as_of=until.date().isoformat() if until else "")
        found = await person_found(self.consent, self.store, subjects, until)
        rows = system_rows(await self.systems.about(subjects), self.door)
        day = until.date().isoformat() if until else ""
        person = LOOKED_UP.seal(self.consent.secrets.seals, LookedUp(lines, officer.form, day))
        return self._page(
            request, officer, found=found, person=person, until=day, count=len(written_lines(lines)), rows=rows
        )

    async def _act(self, action: str, subjects: Sequence[Subject], form: Form) -> str:
        """What was done, in words. Raises `Problem` for what is no act."""
        now = self.door.clock()
        if action in ERASURES:
            mode, text = ERASURES[action]
            case = await self._case_of(form.get("case", ""))
            came = HowItCame(min(case.received, now), case.manner, case.place) if case else HowItCame()
            written = await self.consent.erase(ErasureOrder(mode, subjects, now, came=came))
            if case:
                await asyncio.to_thread(self.cases.entered, case.number, b64(written.event))
            return f"Done: {text}. Entry {written.seq}, event {b64(written.event)}."
        if action == "age":
            if form.get("age") not in AGES:
                raise Problem("malformed", "Nothing was done: choose how old they are.")
            count = await self.consent.say_age(subjects, form["age"])
            return f"Recorded as {words.word(form['age'])}; that was news of {count}."
        if action == MARKETING and form.get("manner") in WAYS:
            manner = Manner(form["manner"])
            said = Choice(ChoiceKind.OPT_OUT, MARKETING_PURPOSES, Source(manner), now, manner=manner)
            chosen = await self.consent.choose(subjects, said)
            return f"No marketing any more: event {chosen.events[0]['event']}."
        raise Problem("malformed", "There is no such act.")

    async def _case_of(self, stated: str) -> DeskCase | None:
        """The open request to delete for which somebody is forgotten; None: none is named. Raises `Problem`."""
        if not stated:
            return None
        found = await case_of(self.cases, stated)
        if found is None or found.answered or found.kind is not RequestKind.DELETE:
            raise Problem("malformed", "Nothing was done: no open request to delete has this number.")
        return found

    def _named(self, lines: str) -> tuple[Subject, ...]:
        """All that are meant, or nobody: a person is not looked up, or forgotten, by half of what was pasted."""
        if is_too_much(lines):
            return ()
        named = self.consent.people.name(as_written(lines), country_of(""))
        return () if named.ignored else named.subjects

    def _opened(self, carried: str, officer: Officer) -> LookedUp:
        try:
            found = LOOKED_UP.open(self.consent.secrets.seals, carried)
        except seals.OpeningFailed:
            raise Problem("cross_site", "Look the person up again.") from None
        if found.form != officer.form:
            raise Problem("cross_site", "Another session looked this person up. Look them up again.")
        return found

    def _until(self, stated: str) -> datetime | None:
        """The end of the day that is asked about; None: now."""
        if not stated:
            return None
        try:
            day = date.fromisoformat(stated)
        except ValueError:
            raise Problem("malformed", "A day is written as 2026-11-24.") from None
        until = datetime.combine(day, time.max, UTC)
        return until if until < self.door.clock() else None

    def _count(self, officer: Officer, count: int) -> None:
        """So many more identifiers of this hour. Raises `Problem` where that is too many."""
        if not self.door.officers.look_up(officer.name, count, LOOKUPS_AN_HOUR, timedelta(hours=1)):
            raise Problem("forbidden", f"You may look up {LOOKUPS_AN_HOUR} identifiers in an hour: those were enough.")

    async def _note(self, officer: Officer, what: str, subjects: Sequence[Subject], **more: str) -> None:
        whom = ",".join(self.consent.secrets.row_key(each.key)[:32] for each in subjects)
        await self.door.note(officer, what, whom=whom, **{name: text for name, text in more.items() if text})

    def _page(self, request: Request, officer: Officer, **found: object) -> Response:
        shown = {
            "wrong": "",
            "done": "",
            "found": None,
            "person": "",
            "until": "",
            "count": 0,
            "rows": [],
            **found,
        }
        today = self.door.clock().date()
        return show_desk(
            request, "person.html", 422 if shown["wrong"] else 200, officer, today=today, ages=AGES,
            erasures=ERASURES, ways=WAYS, words=partial(word_at_desk, brand_of(request)), **shown,
        )  # fmt: skip


def word_at_desk(brand: Brand, name: str) -> str:
    """A term as an officer reads it: the person's account is not theirs, and is called what the operator calls it."""
    ours = brand.words_in(words.ENGLISH)
    return PLACE.sub(lambda place: ours[place[0]], words.word(name).removeprefix("your "))
