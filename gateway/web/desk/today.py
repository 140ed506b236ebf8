"""The desk's first page: what has to be done today, deliveries that fail, recipients that get nothing for want of a
contract or an address, and how the proof stands; each with the way to it. And the deliveries, where they are tried
again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.consent.telling import Telling
from gateway.consent.witnesses import Witnessing
from gateway.delivery.deadlines import DELETES
from gateway.desk.evidence import RehearsalTold
from gateway.desk.office.officers import Officer
from gateway.desk.outbox import State, Waiting
from gateway.desk.own_systems import PREFIX, is_system
from gateway.evidence.rehearsing import Rehearsing
from gateway.ledger.audit.verify import LastVerify, read_last_verify
from gateway.ledger.subjects import moment
from gateway.web.desk.desk_door import DeskDoor, Form
from gateway.web.desk.desk_page import ROOT, go_on, show_desk
from gateway.web.shell.problem import Problem

PAST, SOON, IN_TIME = "past due", "due soon", "on time"
ORDER = (PAST, SOON, IN_TIME)
OLD = timedelta(days=7)  # a proof that nobody made for so long is worth a look
DELIVERIES, SYSTEMS = f"{ROOT}/deliveries", f"{ROOT}/systems"


class DueTask(NamedTuple):
    """One thing to do: how it stands, the day it came, our own date and the law's; None where that is not known."""

    what: str
    state: str
    came: date
    own: date | None
    last: date | None
    way: str

    @classmethod
    def by_law(cls, door: DeskDoor, what: str, received: datetime, last: datetime, way: str) -> Self:
        """One that has to be done by a moment."""
        own = last.date() - timedelta(days=door.own_days)
        now = door.clock()
        state = PAST if now > last else SOON if now.date() >= own else IN_TIME
        return cls(what, state, received.date(), own, last.date(), way)


class ProofStatus(NamedTuple):
    """One proof: when it was made last, in words; whether somebody should look; the way to make it."""

    what: str
    when: str
    good: bool
    way: str


@dataclass(frozen=True)
class Today:
    """`GET /desk` and the deliveries. `lacking`: recipients that something is missing of on a day, by name: each option
    of its section, and what is shut by its being empty.
    """

    door: DeskDoor
    folder: Path
    telling: Telling
    rehearsals: Rehearsing
    witnesses: Witnessing
    lacking: Callable[[date], Mapping[str, list[tuple[str, str]]]]
    cases: Callable[[], Awaitable[list[DueTask]]]

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        now = self.door.clock()
        waiting, found = await self.telling.waiting(), await self.telling.open()
        verified = await asyncio.to_thread(_last_verify, self.folder)
        last = await asyncio.to_thread(self.rehearsals.last)
        found_tasks = [*self._tasks(waiting), *await self.cases()]
        tasks = sorted(found_tasks, key=lambda each: (ORDER.index(each.state), each.last or date.max))
        return show_desk(
            request,
            "today.html",
            officer=officer,
            today=now.date(),
            tasks=tasks,
            counts={state: sum(each.state == state for each in tasks) for state in ORDER},
            failing=[each for each in found if each.failed or each.gone],
            lacking=self.lacking(now.date()),
            proofs=list(_proofs(now, verified, self.witnesses.seen(), last)),
        )

    async def deliveries(self, request: Request, officer: Officer, _: Form) -> Response:
        """`GET /desk/deliveries`: what recipients are still to be told, by recipient."""
        found = await self.telling.open()
        again = request.query_params.get("again", "")
        told = again if again.isascii() and again.isdigit() else ""
        return show_desk(request, "deliveries.html", officer=officer, found=found, told=told)

    async def again(self, _: Request, officer: Officer, form: Form) -> Response:
        """`POST /desk/deliveries`: whatever is open of one recipient is tried at once."""
        recipient = form.get("recipient", "")
        if recipient not in {each.recipient for each in await self.telling.open()}:
            raise Problem("not_found", "Nothing is open for a recipient of this name.")
        await self.door.note(officer, "tried deliveries again", recipient=recipient)
        count = await self.telling.again(recipient=recipient)
        return go_on(f"{DELIVERIES}?again={count}")

    def _tasks(self, waiting: Iterable[tuple[Waiting, datetime]]) -> Iterator[DueTask]:
        for each, last in waiting:
            word = "deletion" if each.word in DELETES else "no"
            many = word if each.count == 1 else "noes" if word == "no" else "deletions"
            given_up = ", which were given up" if each.state is State.FAILED else ""
            to, way = each.recipient.removeprefix(PREFIX), DELIVERIES
            what = f"Tell {to} of {each.count} {many}{given_up}"
            if is_system(each.recipient) and word == "deletion":
                what, way = f"Have {to} do {each.count} {many} and say so{given_up}", SYSTEMS
            yield DueTask.by_law(self.door, what, moment(each.received), last, way)


def _last_verify(folder: Path) -> LastVerify | None:
    """What cannot be read is none; the service's own alarm tells why."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return read_last_verify(folder)
    return None


def _proofs(
    now: datetime, verified: LastVerify | None, seen: dict[str, datetime | None], last: RehearsalTold | None
) -> Iterator[ProofStatus]:
    """How the log, its witnesses and the rehearsal stand."""
    if verified is None:
        yield ProofStatus("The whole log", "no verify is on record", good=False, way="gateway verify --keep")
    else:
        words = "verified" if verified.passed else "did NOT verify"
        good = verified.passed and now - verified.at < OLD
        yield ProofStatus("The whole log", f"{words} {_when(verified.at)}", good=good, way="gateway verify --keep")
    for name, at in sorted(seen.items()):
        when = f"signed {_when(at)}" if at else "has not signed since the service started"
        good = at is not None and now - at < OLD
        yield ProofStatus(f"Witness {name}", when, good=good, way="gateway help proofs")
    if not seen:
        yield ProofStatus("Witnesses", "are none", good=False, way="gateway help proofs")
    if last is None:
        yield ProofStatus("The rehearsal", "is not on record", good=False, way="gateway rehearse")
    else:
        words = "passed" if last.passed else f"found {last.failures} that failed"
        good = last.passed and now - last.until < OLD
        yield ProofStatus("The rehearsal", f"{words} {_when(last.until)}", good=good, way="gateway rehearse --show")


def _when(at: datetime) -> str:
    return f"on {at:%Y-%m-%d at %H:%M} UTC"
