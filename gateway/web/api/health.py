"""Who is alive and on what configuration, for load balancers, monitoring and callers: /livez, /readyz, /metrics,
/v1/self and /dsrdelete.json.

GET /v1/self: what a caller should compare with its own configuration before it starts (I21); a gateway, a replica and a
fake answer alike.

GET /dsrdelete.json: the key of our deletion requests, for recipients that take the IAB's framework. 404 where the
operator has no recipient that does.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, UnsetType, field
from starlette.requests import Request
from starlette.responses import Response

from gateway import __version__
from gateway.consent.deletion_dues import DeletionDues
from gateway.consent.telling import Open, Telling
from gateway.consent.verbs import Consent
from gateway.desk.documents import Document
from gateway.evidence.rehearsing import Rehearsing
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.schema import has_reset_bug
from gateway.signals.cmp_cookies import NAMES
from gateway.terms import DataClass, Purpose, Reason, Role
from gateway.web.api import answering_clock, check_answer
from gateway.web.shell import auth, wire
from gateway.web.shell.edge import PUBLIC
from gateway.web.shell.metrics import Counted, Metrics
from gateway.web.shell.problem import Problem

PATH = "/dsrdelete.json"


class KeyShown(Struct):
    """The caller's own."""

    name: str
    scopes: tuple[str, ...]
    publishable: bool


class RecipientShown(Struct):
    """What a recipient may be given, and how."""

    role: Role
    purposes: tuple[Purpose, ...]
    data: tuple[DataClass, ...]
    mode: str


class LeaseTerms(Struct):
    """`enabled`: always true, choices wait for whoever holds a lease; `term_ms`: how long one lasts."""

    enabled: bool
    term_ms: int


class NoticeShown(Struct):
    """A text that our own pages show."""

    kind: str
    sha256: str
    version: str
    language: str


class SelfBody(Struct, kw_only=True):
    """What this installation is. `leases` and `notices`: of a gateway, not of a replica."""

    api: str
    version: str
    environment: str
    key: KeyShown
    recipients: dict[str, RecipientShown]
    reasons: list[Reason]
    cookie_names: list[str]
    time: wire.Time
    leases: LeaseTerms | UnsetType = UNSET
    notices: list[NoticeShown] | UnsetType = UNSET


class LedgerState(Struct):
    """Whether checks are answered from it, and whether opt-outs are entered."""

    fresh: bool
    keeps: bool
    entries: int | None


class StateShown(Struct):
    """What checks read. `used`: which part of its room; `enabled`: always."""

    enabled: bool
    used: float


class UpBody(Struct):
    """The process is up."""

    status: Literal["up"]


class ReadyBody(Struct):
    """How it stands. `why`: what is wrong and which command helps; `alarms`: of `?strict`. Neither to the public."""

    status: Literal["ready", "refused", "store_unavailable"]
    ledger: LedgerState
    state: StateShown = field(name="mirror")  # as those who watch it have known it
    why: str | UnsetType = UNSET
    alarms: list[str] | UnsetType = UNSET


class DeletionKeys(Struct):
    """The keys of our deletion requests, as the IAB's framework names its members. We take no requests by it."""

    endpoint: str
    identifiers: list[Any]
    public_keys: list[dict[str, Any]] = field(name="publicKey")
    script: bool = field(name="vendorScriptRequirement")


class DsrDelete:
    """`GET /dsrdelete.json`. `published`: what it answers, empty where there is nothing."""

    def __init__(self, published: Mapping[str, Any]) -> None:
        self._published = published

    async def get(self, _: Request) -> Response:
        if not self._published:
            raise Problem("not_found", "this operator asks nobody by the framework")
        return wire.wire_answer(self._published, headers={"Cache-Control": "public, max-age=3600"})


API = "1.0"


def itself(consent: check_answer.Answers, key: ApiKey, environment: str) -> SelfBody:
    """`environment`: what the installation calls itself."""
    return SelfBody(
        api=API,
        version=__version__,
        environment=environment,
        key=KeyShown(key.name, key.scopes, key.publishable),
        recipients={
            name: RecipientShown(item.role, item.purposes, item.data, item.mode)
            for name, item in consent.recipients.items()
        },
        reasons=[*Reason],
        cookie_names=sorted([*NAMES, *consent.checks.hearing.industry.patterns()]),
        time=wire.stamp(consent.clock()),
    )


async def live(_: Request) -> Response:
    """`GET /livez`: the process is up; depends on nothing."""
    return wire.wire_answer(UpBody("up"))


ONLY_PUBLIC = frozenset({PUBLIC})  # one port that is public and internal at once is a developer's


class Alarming(Protocol):
    """Whoever has alarms that somebody has to look at: witnesses, codes that go out, shadow mode, the nightly
    verify.
    """

    def alarms(self) -> list[str]: ...


class StateOfHost(Alarming, Protocol):
    """Who keeps what checks read. `used`: how much of its room that takes, 0 to 1."""

    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Small doors that tell how things stand. `environment` is what this installation calls itself."""

    consent: Consent
    telling: Telling
    credentials: Credentials
    counters: Metrics
    others: Callable[[], Awaitable[Sequence[Counted]]] | None  # what other processes of this service counted
    shown: list[Document]
    environment: str
    state: StateOfHost
    rehearsed: Rehearsing
    witnessed: Alarming
    codes: Alarming
    shadow: Alarming
    verified: Alarming
    epochs: Alarming
    listed: DeletionDues

    async def ready(self, request: Request) -> Response:
        """200 while checks are answered (if only with no) and opt-outs are entered durably; load balancers should watch
        /livez and alarms this one. 503 says in `why` what is wrong and which command helps. With `?strict` also what
        somebody has to look at although everything is answered. Neither to the public: reasons name files, the log,
        recipients.
        """
        position = self.consent.checks.position()
        fresh, keeps, why = position is not None, self.consent.keeps(), self.consent.refused
        good = fresh and keeps
        body = ReadyBody(
            "ready" if good else "refused" if why else "store_unavailable",
            LedgerState(fresh, keeps, position),
            StateShown(enabled=True, used=round(self.state.used, 3)),
        )
        if request.scope["state"].get("listeners") == ONLY_PUBLIC:
            return wire.wire_answer(body, 200 if good else 503)
        if why and not good:
            body.why = why
        if "strict" in request.query_params:
            body.alarms = [*await asyncio.to_thread(self._alarms), *_late(await self._open())]
        return wire.wire_answer(body, 200 if good else 503)

    def _alarms(self) -> list[str]:
        waiting, unread = self._lines()
        alarms = {
            f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug, which the writers' lock keeps from biting while"
            " nothing but the gateway writes to the ledger; to be rid of it give this Python SQLite 3.51.3 or newer:"
            " gateway help install": has_reset_bug(),
            "opt-outs wait to be entered; where that does not pass and checks deny, `why` says what keeps them:"
            " gateway help restore": (waiting),
            "kept lines lie aside that nobody can enter: gateway help restore": unread,
        }
        dropped = [
            f"replica {name} has missed three terms of its lease: start it again, or gateway keys revoke {name}"
            for name in self._dropped()
        ]
        others: tuple[Alarming, ...] = (
            self.state, self.rehearsed, self.witnessed, self.codes, self.shadow, self.verified, self.epochs,
            self.listed,
        )  # fmt: skip
        told = [text for each in others for text in each.alarms()]
        return [*(text for text, holds in alarms.items() if holds), *dropped, *told]

    def _dropped(self) -> list[str]:
        try:
            return self.consent.leases.dropped()
        except (sqlite3.Error, LedgerRefused):
            return []

    async def _open(self) -> list[Open]:
        """What recipients are still to be told; nothing where that cannot be read, which has an alarm of its own."""
        with contextlib.suppress(StoreUnavailable):
            return await self.telling.open()
        return []

    async def metrics(self, _: Request) -> Response:
        self.counters.open(await self._open())
        position = self.consent.checks.position()
        self.counters.state_used.set(self.state.used)
        self.counters.dropped.set(len(await asyncio.to_thread(self._dropped)))
        waiting, unread = await asyncio.to_thread(self._lines)
        self.counters.waiting.set(waiting)
        self.counters.unread.set(unread)
        self.counters.witnesses_away.set(len(self.witnessed.alarms()))
        self.counters.rehearsal(*await asyncio.to_thread(self._last_rehearsal))
        self.counters.verify_alarm.set(bool(await asyncio.to_thread(self.verified.alarms)))
        self.counters.lists_due(await asyncio.to_thread(self.listed.days_left))
        if position is not None:
            self.counters.entries.set(position)
        others = await self.others() if self.others else ()
        return Response(self.counters.text(others), media_type="text/plain; version=0.0.4")

    def _lines(self) -> tuple[bool, bool]:
        kept = self.consent.kept
        return any(each.waiting() for each in kept), any(each.unread() for each in kept)

    def _last_rehearsal(self) -> tuple[bool, bool, float]:
        last = self.rehearsed.last()
        ended = last.until.timestamp() if last else 0.0
        return bool(self.rehearsed.alarms()), bool(last and last.passed), ended

    async def self(self, request: Request) -> Response:
        """What a caller should compare with its own configuration before it starts (I21)."""
        key = auth.anybody(request, self.credentials)
        body = itself(self.consent, key, self.environment)
        body.leases = LeaseTerms(enabled=True, term_ms=int(self.consent.leases.term * 1000))
        body.notices = [NoticeShown(item.kind, item.sha256.hex(), item.version, item.language) for item in self.shown]
        return wire.wire_answer(body, headers=answering_clock.said_now())


def _late(found: Iterable[Open]) -> list[str]:
    """What of telling recipients somebody has to look at (11 CCR 7026(f)); each with the command that shows more."""
    alarms = []
    for each in found:
        if each.overdue:
            alarms.append(
                f"{each.recipient} was not told in time of {each.overdue}: gateway deliveries --state overdue"
            )
        if each.gone:
            alarms.append(f"{each.recipient} gave its endpoint up: gateway help delivery")
        elif each.failed:
            alarms.append(f"{each.recipient} did not take {each.failed}: gateway deliveries --state failed")
    return alarms
