"""The doors of checks, for ad servers and backends: may this data go to this recipient now? A "no" is a 200.

POST /v1/check asks once. POST /v1/checks asks many in one call, answered in order; one that cannot be read costs the
others nothing (I16). An array, or `{"defaults", "checks"}`, is answered as an array; NDJSON line by line, with an end
line by which a caller knows that none is missing. The whole body is read before the first answer, so that a client
which writes all before it reads never hangs; then each is decided when it is written, and holds from there.

POST /v1/explain gives a verdict with every rule that was tried, for a person to read. `at` asks for another moment:
what stood on record then, rebuilt from the ledger's entries, under the law of that day (L85). That is history, so it
wants scope desk or export. Recipients are those that are configured now.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any

import orjson
from msgspec import UNSET, Meta, Struct, UnsetType, field
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.verdict import Step
from gateway.consent.asked import Explained, Then
from gateway.consent.share import Turn
from gateway.consent.verbs import Consent
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.ledger.errors import StoreUnavailable
from gateway.signals.lines import Line
from gateway.terms import Answer, DataClass, Purpose, Reason
from gateway.web.api import check_answer
from gateway.web.api.check_answer import Answering, refused
from gateway.web.api.check_plans import to_ask
from gateway.web.api.streaming import streamed
from gateway.web.shell import auth, wire
from gateway.web.shell.edge import Said
from gateway.web.shell.problem import Problem


class CheckDoor:
    """`POST /v1/check`."""

    def __init__(self, answering: Answering, credentials: Credentials) -> None:
        self._answering = answering
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        began = time.perf_counter()
        key = auth.caller(request, self._credentials, "check")
        wire.require_json(request)
        wire.no_parameters(request)
        body = wire.convert(wire.parse_body(await wire.read_body(request)), wire.Check)
        answer, warnings = await self._answering.answer(body, key, auth.request_id(request))
        headers = {"Gateway-Warning": ", ".join(warnings)} if warnings else wire.NOTHING_MORE
        return wire.WireAnswer(answer, 200, headers).timed(began)

    def at_once(self, said: Said, body: bytes, request: str) -> bytes | None:
        """The same of what is asked most, of a caller who asked before (`edge.Calls`); None for all else."""
        key = self._credentials.shown(said.get(b"authorization", b""))
        if key is None or key.publishable or not key.may("check") or b"content-encoding" in said:
            return None
        asked = wire.plain_check(body) if said.get(b"content-type") == wire.OF_JSON[1] else None
        if asked is None or asked.will_send:
            return None
        try:
            return self._answering.plainly(asked, key, request)
        except Problem:
            return None


AT_ONCE = 100  # announced sends that share a commit
TOGETHER = 16  # answers that are written together, each decided within this turn: to write one costs as much again
OneOfMany = bytes | dict[str, Any]  # an answer, or a "no" in its place


class CheckInPart(wire.Check, frozen=True, kw_only=True):
    """A check, but for what is said once for all of them."""

    identifiers: Annotated[list[wire.Identifier], Meta(max_length=wire.MAX_ASKED)] = field(default_factory=list)


class ChecksBody(wire.StrictShape, frozen=True):
    """Many checks of what they have in common."""

    checks: Annotated[list[CheckInPart], Meta(max_length=wire.MAX_LINES)]
    defaults: Annotated[
        CheckInPart | UnsetType,
        Meta(
            description="a check that all have in common: what both say of the person is joined and the stricter holds;"
            " what is asked is the check's own"
        ),
    ] = UNSET


class ChecksDoor:
    """The door for callers with many questions."""

    def __init__(self, answering: Answering, credentials: Credentials) -> None:
        self._answering = answering
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "check")
        lines = wire.require_json(request, lines=True)
        wire.no_parameters(request)
        body = await wire.read_body(request)
        if lines:
            said = wire.lines_in(body)
            return await streamed(self._lines(said, key, auth.request_id(request)), wire.NDJSON)
        asked, defaults = _listed(wire.parse_body(body))
        return await streamed(self._array(asked, key, auth.request_id(request), defaults), wire.JSON)

    async def _array(
        self, asked: Sequence[object], key: ApiKey, request: str, defaults: "Defaults"
    ) -> AsyncGenerator[bytes]:
        before = b"["
        async for answers in self._answered(asked, key, request, defaults):
            yield before + b",".join([each if isinstance(each, bytes) else orjson.dumps(each) for each in answers])
            before = b","
        yield b"]" if asked else b"[]"

    async def _lines(self, lines: Sequence[Line], key: ApiKey, request: str) -> AsyncGenerator[bytes]:
        """An answer a line, then the end; or, past the limit, the problem: what follows was not answered."""
        asked = lines[: wire.MAX_LINES]
        numbers = iter(asked)
        async for answers in self._answered([line.text for line in asked], key, request):
            yield b"".join([_line_of(each, next(numbers)) for each in answers])
        if len(lines) > wire.MAX_LINES:
            yield orjson.dumps({"problem": "too_large", "detail": f"at most {wire.MAX_LINES} checks a call"}) + b"\n"
        else:
            yield orjson.dumps({"end": True, "count": len(lines)}) + b"\n"

    async def _answered(
        self, asked: Sequence[object], key: ApiKey, request: str, defaults: "Defaults | None" = None
    ) -> AsyncIterator[list[OneOfMany]]:
        """Some at a time, decided one after the other with nothing in between, right before they are written."""
        shared = defaults or NO_DEFAULTS
        turn = Turn()
        for start in range(0, len(asked), AT_ONCE):
            part = [_line(one) if isinstance(one, bytes) else one for one in asked[start : start + AT_ONCE]]
            await turn.offered()
            if any(map(shared.sends, part)):
                for answer in await asyncio.gather(*(self._announced(one, key, request, shared) for one in part)):
                    yield [answer]
                continue
            left = deque(part)
            while left:
                await turn.offered()  # an opt-out that comes meanwhile is written meanwhile
                answers = [self._at_once(left.popleft(), key, request, shared)]
                while left and len(answers) < TOGETHER and not turn.is_over:
                    answers.append(self._at_once(left.popleft(), key, request, shared))
                yield answers

    def _at_once(self, one: object, key: ApiKey, request: str, shared: "Defaults") -> OneOfMany:
        """One answer, or a "no" in its place where it cannot be read."""
        try:
            return self._answering.at_once(_read(one, shared), key, request).body
        except (Problem, StoreUnavailable) as error:
            return refused(one, error)

    async def _announced(self, one: object, key: ApiKey, request: str, shared: "Defaults") -> OneOfMany:
        """One answer of several, of which one announces a send: a send that cannot be put on record is a "no"."""
        try:
            return (await self._answering.answer(_read(one, shared), key, request)).body
        except (Problem, StoreUnavailable) as error:
            return refused(one, error)


def _read(one: object, shared: "Defaults") -> wire.Check:
    """Raises `Problem`: what cannot be read is a "no" in its place."""
    if isinstance(one, Problem):
        raise one
    return one if isinstance(one, wire.Check) else shared.check(one)


def _line_of(answer: OneOfMany, line: Line) -> bytes:
    return (answer if isinstance(answer, bytes) else orjson.dumps(wire.placed(answer, line))) + b"\n"


def _line(line: bytes) -> object:
    try:
        return wire.plain_check(line) or wire.parse_body(line)
    except Problem as problem:
        return problem


def _listed(stated: object) -> tuple[list[object], "Defaults"]:
    """The checks of an array, or of an object with what they have in common. Raises `Problem`."""
    defaults: Mapping[str, Any] = {}
    if isinstance(stated, Mapping):
        wire.refuse_others(stated, wire.names_in(ChecksBody), "a batch has defaults and checks")
        shared = stated.get("defaults", {})
        if not isinstance(shared, Mapping):
            raise Problem("malformed", "defaults is a check without what differs", "/defaults")
        defaults, stated = shared, stated.get("checks")
    if not isinstance(stated, list):
        raise Problem("malformed", "an array of checks, or {defaults, checks}")
    if len(stated) > wire.MAX_LINES:
        raise Problem("too_large", f"at most {wire.MAX_LINES} checks a call")
    return stated, Defaults(defaults)


# What is said of the person counts from both places. All else says what is asked, and a check's own word about that is
# the last; either of `TO_WHOM` is the whole of it.
OF_THE_PERSON = frozenset({"identifiers", "place", "geo", "ip", "age", "signals", "during_call"})
TO_WHOM = frozenset({"recipient", "recipients"})


class Defaults:
    """What the checks of one call have in common."""

    def __init__(self, stated: Mapping[str, Any]) -> None:
        self._stated = stated
        self._asked = {name: value for name, value in stated.items() if name not in OF_THE_PERSON}
        # Whoever names somebody for all lets no check name anybody further.
        self._named: Mapping[str, Any] = {"identifiers": []} if "identifiers" in stated else {}
        self._shared: wire.Check | Problem | None = None

    def sends(self, one: object) -> bool:
        """Whether a check announces a send."""
        if isinstance(one, wire.Check):
            return one.will_send
        return isinstance(one, Mapping) and bool({**self._asked, **one}.get("will_send"))

    def check(self, one: object) -> wire.Check:
        """One check of the call. Raises `Problem`, for what stands in the defaults as well."""
        if not self._stated or not isinstance(one, Mapping):
            return wire.convert(one, wire.Check)
        passed = TO_WHOM if TO_WHOM & set(one) else ()
        asked = {name: value for name, value in self._asked.items() if name not in passed}
        own = wire.convert({**self._named, **asked, **one}, wire.Check)
        return wire.Joined(**{name: getattr(own, name) for name in own.__struct_fields__}, shared=self._of_all())

    def _of_all(self) -> wire.Check:
        if self._shared is None:
            try:
                self._shared = wire.convert({"identifiers": [], **self._stated}, wire.Check)
            except Problem as problem:
                self._shared = problem
        if isinstance(self._shared, Problem):
            raise self._shared
        return self._shared


NO_DEFAULTS = Defaults({})


class StepBody(Struct, kw_only=True):
    """One rule that was tried; answer null: it had no opinion, and the next was asked."""

    purpose: Purpose
    data_class: DataClass = field(name="class")
    rule: str
    asks: str
    answer: Answer | None
    reason: Reason | UnsetType = UNSET
    cites: str | UnsetType = UNSET


class VerdictTried(check_answer.WhyShown, kw_only=True):
    """A verdict and its chain. `allowed` and `partly` null: what stood on that day is not known any more."""

    allowed: bool | None
    partly: bool | None
    tried: list[StepBody]


class ExplainedBody(VerdictTried, kw_only=True):
    """The verdict of one recipient and its chain. `on`: of another moment; `forgotten`: it may have rested on somebody
    who was forgotten since, so that it is neither a yes nor a no of then.
    """

    position: int | None
    on: date | UnsetType = UNSET
    forgotten: bool | UnsetType = UNSET


class ExplainedByRecipient(Struct, kw_only=True):
    """The same of several."""

    verdicts: dict[str, VerdictTried]
    position: int | None
    on: date | UnsetType = UNSET
    forgotten: bool | UnsetType = UNSET


class ExplainDoor:
    """POST /v1/explain, for whoever has to answer for a verdict."""

    def __init__(self, consent: Consent, credentials: Credentials) -> None:
        self._consent = consent
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "check")
        wire.require_json(request)
        wire.no_parameters(request)
        body = wire.convert(wire.parse_body(await wire.read_body(request)), wire.Explain)
        ask = to_ask(body)
        explained, then = await self._consent.explain(ask, self._moment(body.at, key))
        verdicts = {name: self._told(item, then, key) for name, item in explained.items()}
        about: dict[str, Any] = {"position": then.position if then else self._consent.checks.position()}
        if then:
            about |= {"on": then.on} | ({"forgotten": True} if any(map(then.leaves_open, explained.values())) else {})
        if body.recipients is not None:
            return wire.wire_answer({"verdicts": verdicts, **about})
        return wire.wire_answer({**next(iter(verdicts.values())), **about})

    def _moment(self, at: str | None, key: ApiKey) -> datetime | None:
        """Raises `Problem`."""
        if at is None:
            return None
        if not check_answer.sees_entries(key):
            raise Problem("forbidden", "what stood on record at another moment wants scope desk or export", "/at")
        moment = wire.moment(at)
        if moment is None or moment > self._consent.clock():
            raise Problem("malformed", "at is an RFC 3339 time or date that is past", "/at")
        return moment

    def _told(self, item: Explained, then: Then | None, key: ApiKey) -> dict[str, Any]:
        verdict = check_answer.verdict(item.verdict, self._consent, key)
        verdict |= {"allowed": None, "partly": None} if then and then.leaves_open(item) else {}
        return {**verdict, "tried": [_step(step) for step in item.steps]}


def _step(step: Step) -> StepBody:
    told = StepBody(
        purpose=step.purpose, data_class=step.data_class, rule=step.rule.name, asks=step.rule.asks, answer=None
    )
    if step.ruling:
        told.answer, told.reason, told.cites = step.ruling.answer, step.ruling.reason, step.ruling.rule
    return told
