"""`gateway serve --fake`: the gateway's own doors without a ledger, for the tests of whoever calls it (I24).

Of three accounts the answer is fixed: `test-allow`, `test-deny`, `test-minor`; of everybody else nothing is on record,
and the real rules and signals answer. `Gateway-Fake: status=503`, `delay_ms=300` or `reset` makes it misbehave.
It keeps nothing, reaches nobody, and refuses a production configuration.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import __version__, ad_doors
from gateway.app import hearing, law_table, now, office_of, places_of
from gateway.check import Ask, Checked, Checks
from gateway.choice.question import Grant, Verdict
from gateway.credentials import Credentials
from gateway.deciding import Blocked
from gateway.decisions import NOBODY, Decision, Decisions, NotOurs, Stands
from gateway.keys import SECRETS, Secrets
from gateway.ledger.disclosed import SENT
from gateway.mirror.lookup import Seen
from gateway.people import People
from gateway.reporting import NOT_SENT, Report
from gateway.settings import Settings, SettingsRefused
from gateway.terms import Answer, Reason
from gateway.web import auth, openapi, problem, problem_page, wire
from gateway.web.answering import Answering
from gateway.web.edge import INTERNAL, METRICS, PUBLIC, Edge
from gateway.web.health import API
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem

FIXED = {"test-deny": (Answer.DENY, Reason.OPTED_OUT, None), "test-minor": (Answer.DENY, Reason.AGE, "13_15"),
         "test-allow": (Answer.ALLOW, Reason.NO_CHOICE, None)}  # fmt: skip
EVERYWHERE = frozenset({PUBLIC, INTERNAL, METRICS})
LONGEST_MS = 60_000
REPORTED = 10_000  # decisions whose report is remembered
BY_STATUS = {status: kind for kind, (status, _) in problem.KINDS.items()}


class Nobody:
    """A look-up that finds nobody."""

    def seen(self, keys: Sequence[bytes]) -> Seen:  # noqa: ARG002
        return Seen(0, ())

    def proof(self) -> float | None:
        return 0.0

    def version(self) -> object:
        return 0

    def changed_since(self, keys: Sequence[bytes], position: int) -> bool:  # noqa: ARG002
        return False

    def tied(self, account: bytes, identifier: bytes) -> bool:  # noqa: ARG002
        return False

    def grants(self, keys: Sequence[bytes]) -> list[Grant]:  # noqa: ARG002
        return []

    def log(self) -> str:
        return "gateway.invalid/fake"

    def voided(self, ui: str) -> bool:  # noqa: ARG002
        return False

    def event(self, seq: int) -> str | None:  # noqa: ARG002
        return None


class FakeChecks(Checks):
    """The real rules, but for the three accounts; of several the strictest."""

    def check(self, ask: Ask) -> Checked:
        checked = super().check(ask)
        named = {one.get("value") for one in ask.identifiers if one.get("type") == "account"}
        fixed = next((FIXED[account] for account in FIXED if account in named), None)
        if fixed is None:
            return checked
        answer, reason, age = fixed
        verdicts = {
            name: verdict if name not in self.recipients or verdict.reason is Reason.UNKNOWN_PURPOSE
            else Verdict(dict.fromkeys(verdict.data, answer), reason, "fake", verdict.place)
            for name, verdict in checked.verdicts.items()
        }  # fmt: skip
        return checked._replace(verdicts=verdicts, age=age)


class FakeRecords:
    """Ids of answers, and what was said of them, in memory."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._said: OrderedDict[str, str] = OrderedDict()

    def decide(self, ask: Ask, checked: Checked, stands: Stands, blocked: Blocked | None = None) -> dict[str, str]:  # noqa: ARG002
        at = int(now().timestamp())
        return {
            name: self._decisions.make(Decision(NOBODY, name, (), (), at, stands, denied=not _goes(verdict)))
            for name, verdict in checked.verdicts.items()
        }

    async def announce(
        self, ask: Ask, checked: Checked, blocked: Blocked | None = None
    ) -> tuple[Checked, dict[str, str]]:  # fmt: skip
        return checked, self.decide(ask, checked, Stands.INTENDED, blocked)

    async def report(self, reports: Sequence[Report]) -> list[str]:
        return [self._take(each) for each in reports]

    def _take(self, report: Report) -> str:
        try:
            decision = self._decisions.read(report.decision)
        except NotOurs:
            return "unknown"
        if self._said.get(report.decision) in {report.outcome, SENT}:
            return "repeated"
        self._said[report.decision] = report.outcome
        if len(self._said) > REPORTED:
            self._said.popitem(last=False)
        return "denied" if decision.denied and report.outcome != NOT_SENT else "recorded"


class Fake:
    """Answers checks as `consent.Consent` does."""

    def __init__(self, settings: Settings) -> None:
        self.clock = now
        self.recipients = settings.registry(dev=True)
        self.send_window = timedelta(milliseconds=settings.share.send_window_ms)
        self.secrets = Secrets(*((secrets.token_bytes(32),) for _ in Secrets.__dataclass_fields__))
        people = People(self.secrets, now, settings.identifiers.declared, settings.phone.country)
        office = office_of(settings, law_table(), now)
        self.checks: Checks = FakeChecks(
            Nobody(), people, office, self.recipients, places_of(settings), hearing(settings)
        )

    def check(self, ask: Ask) -> Checked:
        return self.checks.check(ask)


class Misbehaving:
    """Does what `Gateway-Fake` asks for: several things with commas between them."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:  # fmt: skip
        asked = b",".join(value for name, value in scope.get("headers", ()) if name == b"gateway-fake").decode(
            "latin-1"
        )
        wanted = dict(part.strip().partition("=")[::2] for part in asked.split(",") if part.strip())
        if (pause := wanted.get("delay_ms", "")).isdecimal():
            await asyncio.sleep(min(int(pause), LONGEST_MS) / 1000)
        if "reset" in wanted:  # an answer that is cut off: the connection ends under it
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            return
        kind = BY_STATUS.get(int(wanted["status"])) if wanted.get("status", "").isdecimal() else None
        if kind:
            await problem.response(Problem(kind, "as Gateway-Fake asked"))(scope, receive, send)
            return
        await self._app(scope, receive, send)


def application(settings: Settings, folder: Path, *, production: bool) -> Any:
    """The fake. The key `dev.dev` has every scope. Raises `SettingsRefused` where this looks like a real one."""
    if production:
        raise SettingsRefused("a fake takes no production configuration: [environment] name says what this one is")
    if (folder / SECRETS).exists():
        raise SettingsRefused(f"{folder} is an installation; a fake has none: name another folder, or leave --data out")
    fake, metrics, credentials = Fake(settings), Metrics(), Credentials(folder, dev=True)
    records = FakeRecords(Decisions(fake.secrets, fake.recipients))
    answering = Answering(fake, records, metrics, None)

    async def described(_: Request) -> Response:
        return Response(orjson.dumps(openapi.document()), media_type="application/json")

    async def live(_: Request) -> Response:
        return wire.answer({"status": "up"})

    async def itself(request: Request) -> Response:
        key = auth.anybody(request, credentials)
        return wire.answer({
            "api": API, "version": __version__, "environment": "fake",
            "key": {"name": key.name, "scopes": list(key.scopes), "publishable": key.publishable},
            "recipients": {
                name: {"role": item.role, "purposes": list(item.purposes), "data": list(item.data), "mode": item.mode}
                for name, item in fake.recipients.items()
            },
            "reasons": [reason.value for reason in Reason], "time": wire.stamp(now()),
        })  # fmt: skip

    routes = [
        *ad_doors.routes(answering, records, settings, credentials),
        Route("/v1/self", itself), Route("/openapi.json", described), Route("/livez", live), Route("/readyz", live),
    ]  # fmt: skip
    handlers: dict[Any, Any] = dict.fromkeys(problem.HANDLED, problem_page.handle)
    doors = Starlette(routes=routes, exception_handlers={**handlers, Exception: problem_page.handle})
    return Edge(Misbehaving(doors), metrics, lambda _: EVERYWHERE, shield=lambda _: None)


def _goes(verdict: Verdict) -> bool:
    return any(answer is not Answer.DENY for answer in verdict.data.values())
