"""The operator's own systems at the desk: what each was asked to delete, by when, and what it said. An officer takes
what is to be done there by hand as a file, and says so once it is; both are lines of the desk's log first.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gateway.consent.telling import name_of
from gateway.desk.office.officers import Officer
from gateway.desk.outbox import Message
from gateway.desk.own_systems import LISTED, NoSuchDeletion, SystemDeletion, Systems
from gateway.keys import seals
from gateway.ledger.entry import b64
from gateway.ledger.subjects import moment
from gateway.web.desk.desk_door import DeskDoor, Form
from gateway.web.desk.desk_page import as_file, go_on, show_desk
from gateway.web.desk.today import SYSTEMS, DueTask
from gateway.web.shell.problem import Problem

DELETED, MESSAGE = "deleted", "msg_"


class SystemRow(NamedTuple):
    """One deletion as a page shows it."""

    system: str
    message: str
    event: str
    due: DueTask
    answer: str
    done: date | None


def system_rows(found: Iterable[SystemDeletion], door: DeskDoor) -> list[SystemRow]:
    """These, each with how it stands."""
    rows = []
    for each in found:
        due = DueTask.by_law(door, each.system, moment(each.received), moment(each.last), SYSTEMS)
        done = moment(each.taken).date() if each.taken else None
        event = b64(each.event) if each.event else ""
        rows.append(SystemRow(each.system, name_of(each.message), event, due, each.answer, done))
    return rows


def line_of(message: Message) -> str:
    """A deletion as a line of a file, for whoever does it by hand."""
    return f"{name_of(message.id)} {(message.body or b'(its key is gone)').decode()}\n"


def message_in(line: str) -> bytes | None:
    """Which message a line of such a file is about; None: it is none."""
    name = line.partition(" ")[0]
    with contextlib.suppress(seals.OpeningFailed):
        return seals.unb64(name.removeprefix(MESSAGE)) if name.startswith(MESSAGE) else None
    return None


@dataclass(frozen=True)
class SystemsPage:
    """`/desk/systems`."""

    door: DeskDoor
    systems: Systems

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET`: who is told, what is open, what was done last."""
        found = await self.systems.look()
        told = request.query_params.get("said", "")
        return show_desk(
            request, "systems.html", officer=officer, known=found.known, rows=system_rows(found.open, self.door),
            more=sum(found.counts.values()) - len(found.open), done=system_rows(found.done, self.door),
            holders=found.counts, listed=LISTED,
            said=told if told.isascii() and told.isdigit() else "",
        )  # fmt: skip

    async def act(self, _: Request, officer: Officer, form: Form) -> Response:
        """`POST`: it is deleted there, one or all of a file; or what is to be deleted in one system, as a file."""
        if form.get("action") == "list":
            return await self._listed(officer, form.get("system", ""))
        if form.get("action") == "all":
            return await self._all_deleted(officer, form)
        try:
            message = seals.unb64(form.get("message", "").removeprefix(MESSAGE))
        except seals.OpeningFailed:
            raise Problem("malformed", "There is no such deletion.") from None
        if form.get("action") != DELETED or form.get("sure") != "yes":
            raise Problem("malformed", "Nothing was done: tick that you looked, and that it is deleted there.")
        await self.door.note(officer, "said that a system deleted", message=name_of(message))
        try:
            await self.systems.deleted(message, officer.name)
        except NoSuchDeletion:
            raise Problem("not_found", "No system is asked for this any more.") from None
        return go_on(SYSTEMS)

    async def _all_deleted(self, officer: Officer, form: Form) -> Response:
        """The file that was taken comes back: what stands in it, and nothing that came since, is deleted there."""
        found = [name for line in form.file.decode("utf-8", "replace").splitlines() if (name := message_in(line))]
        if not found or form.get("sure") != "yes":
            raise Problem("malformed", "Nothing was done: give the file back, and tick that all of it is deleted.")
        await self.door.note(officer, "said that systems deleted what a file lists", lines=str(len(found)))
        done = await self.systems.all_deleted(found, officer.name)
        return go_on(f"{SYSTEMS}?said={done}")

    async def _listed(self, officer: Officer, system: str) -> Response:
        if system not in (await self.systems.look()).counts:
            raise Problem("not_found", "Nothing is to be deleted in a system of this name.")
        await self.door.note(officer, "took what a system has to delete", system=system)
        found = await self.systems.to_delete(system)
        return as_file("".join(map(line_of, found)), f"delete-in-{system}.txt", "text/plain")
