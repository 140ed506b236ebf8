"""The doors of authorized agents, by the Data Rights Protocol (Consumer Reports; written after its text of 0.9.4): a
token of one's own, a request, its status, and taking it back. Public; closed without `[agents]`.

An opt-out of sale is on record and in force before its answer, with no call back to the person (11 CCR 7026(j)); of
what a known agent signed all that can be read is taken. Access and deletion are the person's own act behind a code to
the address that was named; opting in is theirs alone (R4). Nothing here looks up whether anybody is known, so no answer
can tell it. The protocol's own form of errors, `{"code", "message"}`.
"""

import asyncio
import contextlib
import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import wraps
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.place import country_of
from gateway.consent.agents import Agents, KnownAgent, NotSignedByAgent
from gateway.consent.verbs import Consent
from gateway.desk.agent_requests import (
    ACCESS,
    DELETION,
    OPT_IN,
    OPT_OUT,
    AgentRequest,
    RequestStatus,
    StatusReason,
    TooManyWaiting,
    digest_of,
)
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice, Subject, milliseconds, residing
from gateway.terms import ALL_PURPOSES, ChoiceKind, Manner, Source
from gateway.web.shell import problem, wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.problem import Problem

MAX_BODY = 32 * 1024  # a message of the protocol has some 1 kB
SKEW = timedelta(minutes=1)  # by which an agent's clock may be before ours
LONGEST_SETUP = timedelta(days=1)  # of a message that asks for a token: for so long at least it is known again
SEND_WINDOW = timedelta(seconds=2)  # the longest that may be set; what takes longer, as a file may, is told later
LONGEST_NAME = 128  # characters of what an agent calls its request
KINDS: Mapping[str, str] = {"email": "email", "phone_number": "phone"}  # claims that name somebody here
UNUSED = ("name", "address")  # claims that name nobody here
RIGHTS: Mapping[str, str] = {
    "saleoptout": OPT_OUT, "saleoptin": OPT_IN, "deletion": DELETION,
    "access": ACCESS, "accesscategories": ACCESS, "accessspecific": ACCESS,
}  # fmt: skip
HEADERS: Mapping[int, Mapping[str, str]] = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}
CALIFORNIA = "US-CA"  # where the regime `ccpa` is


class AgentAnswered(Exception):
    """An error of the protocol. `fatal`: the same message will never be taken."""

    def __init__(self, status: int, message: str, *, fatal: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.fatal = fatal


class AgentErrorBody(Struct, omit_defaults=True):
    """The protocol's form of an error."""

    code: str
    message: str
    fatal: bool = False


class AgentTokenBody(Struct, rename={"agent_id": "agent-id"}):
    """The token goes with every further call, as a Bearer."""

    agent_id: str
    token: str


class AgentKnownBody(Struct):
    """The token is good."""


class AgentStatusBody(Struct, kw_only=True):
    """The protocol's status of a request."""

    request_id: str
    status: RequestStatus
    received_at: wire.Time
    reason: StatusReason | UnsetType = UNSET
    agent_request_id: str | UnsetType = UNSET
    processing_details: str
    expected_by: wire.Time | UnsetType = UNSET
    expires_at: wire.Time | UnsetType = UNSET
    user_verification_url: Annotated[
        str | UnsetType, Meta(description="where the person has a code sent and does what was asked for")
    ] = UNSET
    results_url: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class SignedClaims:
    """What an agent signed: the text, and its members as far as they can be read."""

    agent: KnownAgent
    text: bytes
    members: Mapping[str, Any]

    def texts(self, name: str) -> list[str]:
        """All that is said under a name; of one that stands twice both."""
        stated = self.members.get(name)
        return [each for each in (stated if isinstance(stated, list) else [stated]) if isinstance(each, str) and each]

    def addresses(self, claim: str) -> list[str]:
        """Those of a claim that names somebody here. Raises `AgentAnswered` for too many."""
        found = self.texts(claim)
        if len(found) > wire.AT_ONCE:
            raise AgentAnswered(422, f"{claim}: a message is of one person")
        return found

    def prove(self, now: datetime, *, lenient: bool = False) -> datetime | None:
        """Until when it is good. Raises `AgentAnswered` for a message of or for somebody else, from the future, or
        expired. `lenient`: what is missing, and times that cannot be read, are no reason to refuse it.
        """
        for name, own in (("agent-id", self.agent.id), ("business-id", self.agent.business)):
            stated = self.members.get(name)
            if stated != own and not (lenient and stated is None):
                raise AgentAnswered(403, f"{name} is not the one of this message", fatal=True)
        issued, expires = wire.moment(self.members.get("issued-at")), wire.moment(self.members.get("expires-at"))
        if not lenient and not (issued and expires):
            raise AgentAnswered(400, "issued-at and expires-at are ISO 8601 times")
        if issued and issued > now + SKEW:
            raise AgentAnswered(400, "issued-at lies in the future")
        if expires and expires <= now:
            raise AgentAnswered(400, "the message has expired", fatal=True)
        return expires

    def right(self) -> str:
        """What is asked for; of several an opt-out. Raises `AgentAnswered`."""
        said = [RIGHTS.get(re.sub("[^a-z]", "", each.lower())) for each in self.texts("exercise")]
        found = OPT_OUT if OPT_OUT in said else said[0] if len(said) == 1 else None
        if found is None:
            raise AgentAnswered(400, "exercise is one right: sale:opt_out, sale:opt_in, access or deletion")
        return found

    def place(self) -> str:
        """Whose law it is asked for under."""
        return CALIFORNIA if "ccpa" in map(str.lower, self.texts("regime")) else ""

    def called(self) -> str:
        return "".join(self.texts("agent-request-id")[:1])[:LONGEST_NAME]


AgentAct = Callable[["AgentDoors", Request], Awaitable[Response]]


def _answered(act: AgentAct) -> AgentAct:
    """A door of agents: closed where none is configured, with the protocol's form of an error."""

    @wraps(act)
    async def answered(doors: "AgentDoors", request: Request) -> Response:
        if not doors.agents.known:
            raise Problem("not_found", "no agents are configured")
        try:
            return await act(doors, request)
        except AgentAnswered as error:
            return _told(error.status, str(error), fatal=error.fatal)
        except problem.HANDLED as error:
            found = problem.problem_of(error)
            return _told(problem.KINDS[found.kind][0], found.detail)

    return answered


@dataclass(frozen=True)
class AgentDoors:
    """`/v1/agent/{agent}` and `/v1/data-rights-request`."""

    agents: Agents
    consent: Consent
    codes: tuple[str, ...]
    metrics: Metrics

    @_answered
    async def set_up(self, request: Request) -> Response:
        """`POST /v1/agent/{agent}`: a token for who signed for it; 403 without a body for everybody else."""
        agent, body = self.agents.known.get(request.path_params["agent"]), await wire.read_body(request, MAX_BODY)
        if agent is None or not await self._may_have_token(agent, body):
            return Response(status_code=403)
        return wire.wire_answer(AgentTokenBody(agent.id, self.agents.token_of(agent)))

    async def _may_have_token(self, agent: KnownAgent, body: bytes) -> bool:
        now = self.consent.clock()
        try:
            said = _claims(agent, body)
            until = said.prove(now)
        except AgentAnswered:
            return False
        return until is not None and until <= now + LONGEST_SETUP and await self.agents.is_first(agent, said.text)

    @_answered
    async def known(self, request: Request) -> Response:
        """`GET /v1/agent/{agent}`: `{}` where the token is good and its own."""
        if self._bearer(request).id != request.path_params["agent"]:
            raise AgentAnswered(403, "the token is another agent's")
        return wire.wire_answer(AgentKnownBody())

    @_answered
    async def exercise(self, request: Request) -> Response:
        """`POST /v1/data-rights-request`: the status of what was asked for."""
        agent = self._bearer(request)
        said, now = _claims(agent, await wire.read_body(request, MAX_BODY)), self.consent.clock()
        right = said.right()
        with contextlib.suppress(StoreUnavailable):  # a no is kept beside the ledger then, all else refused for its row
            await self._refuse_again(said)
        until = said.prove(now, lenient=right == OPT_OUT)
        asked = AgentRequest(
            agent.id, self.agents.digest_of(agent, said.text), right, milliseconds(now), milliseconds(until or now),
            RequestStatus.IN_PROGRESS, called=said.called(),
        )  # fmt: skip
        if right == OPT_OUT:
            asked = await self._opt_out(said, asked, now)
        elif right == OPT_IN:
            asked = replace(asked, status=RequestStatus.DENIED, reason=StatusReason.OTHER)
        else:
            asked = self._waits(said, asked)
        try:
            kept = await self.agents.add(asked)
        except TooManyWaiting:
            raise AgentAnswered(429, "too many of your requests wait for their people: send it again later") from None
        if kept is None:
            await self._refuse_again(said)
            raise AgentAnswered(409, "this message was taken before", fatal=True)
        return wire.wire_answer(kept.told(self.agents.site))

    async def _refuse_again(self, said: SignedClaims) -> None:
        """Raises `AgentAnswered` for a message that was taken before; its agent is told as what."""
        before = await self.agents.taken(said.agent, said.text)
        if before:
            name = uuid.UUID(bytes=before.id)
            raise AgentAnswered(409, f"this message was taken before, as request {name}", fatal=True)

    async def _opt_out(self, said: SignedClaims, asked: AgentRequest, now: datetime) -> AgentRequest:
        """On record and in force. Under a name of the message's own, so that one that was cut off between this and its
        row is entered once however often it is sent.
        """
        found, unread = list[Subject](), [name for name in UNUSED if said.members.get(name)]
        for claim, kind in KINDS.items():
            read = [self.consent.people.typed(kind, text, country_of(said.place())) for text in said.addresses(claim)]
            found += [subject for subjects, _ in read for subject in subjects]
            if (said.members.get(claim) and not read) or not all(whole for _, whole in read):
                unread.append(claim)
        if len(said.texts("exercise")) > 1:
            unread.append("exercise, beyond the opt-out")
        if not found:
            raise AgentAnswered(
                422, "no email or phone_number can be read: nothing was recorded; send it again with one"
            )
        choice = Choice(
            ChoiceKind.OPT_OUT, ALL_PURPOSES, Source.AGENT, now, said.place(), manner=Manner.AGENT,
            details={**residing(said.place()), "agent": said.agent.id, "signed": hashlib.sha256(said.text).hexdigest()},
        )  # fmt: skip
        key = f"agents/{asked.message.hex()}"
        chosen = await self.consent.choose(found, choice, key=key, body=said.text, settle=True)  # then "fulfilled"
        if chosen.waits:
            raise AgentAnswered(503, "the opt-out is kept and entered soon; send the same message again for its status")
        if not chosen.replayed:
            self.metrics.chosen(choice.kind, choice.source, choice.manner, len(found))
        settled = await self._until_effective(chosen.effective_at)
        return replace(asked, status=RequestStatus.FULFILLED, unread=tuple(unread), settled=settled)

    async def _until_effective(self, effective: datetime | None) -> int:
        """From when no send on an older answer may start; waits for what that takes behind all who answer."""
        assert effective
        left = effective - self.consent.clock()
        if left <= SEND_WINDOW:
            await asyncio.sleep(left.total_seconds())
        return milliseconds(effective)

    def _waits(self, said: SignedClaims, asked: AgentRequest) -> AgentRequest:
        """For whoever has the first address that a code can be sent to."""
        country = country_of(said.place())
        for claim, kind in KINDS.items():
            named = self.consent.people.name([{"type": kind, "value": text} for text in said.addresses(claim)], country)
            if kind in self.codes and named.subjects:
                unread = tuple(name for name in (*KINDS, *UNUSED) if name != claim and said.members.get(name))
                mailbox = digest_of(self.consent.secrets, named.subjects[0])
                return replace(asked, reason=StatusReason.VERIFY, mailbox=mailbox, unread=unread)
        raise AgentAnswered(422, f"no address that a code can be sent to ({', '.join(self.codes) or 'none here'})")

    @_answered
    async def status(self, request: Request) -> Response:
        """`GET /v1/data-rights-request/{request}`, of its own agent."""
        return wire.wire_answer((await self._own(request, self._bearer(request))).told(self.agents.site))

    @_answered
    async def revoke(self, request: Request) -> Response:
        """`DELETE` on the same: what waits is taken back. No opt-out is (R4)."""
        agent = self._bearer(request)
        _claims(agent, await wire.read_body(request, MAX_BODY))
        revoked = await self.agents.revoke(await self._own(request, agent))
        if revoked is None:
            raise AgentAnswered(409, "it is done, or settled: an opt-out is ended by nobody but the person", fatal=True)
        return wire.wire_answer(revoked.told(self.agents.site))

    async def _own(self, request: Request, agent: KnownAgent) -> AgentRequest:
        """A request of the agent itself; others' and none are told apart by nobody. Raises `AgentAnswered`."""
        try:
            name = uuid.UUID(request.path_params["request"]).bytes
        except ValueError:
            name = b"none"
        found = await self.agents.find(agent, name)
        if found is None:
            raise AgentAnswered(403, "no request of this agent")
        return found

    def _bearer(self, request: Request) -> KnownAgent:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        agent = self.agents.bearer_of(token.strip()) if scheme.lower() == "bearer" else None
        if agent is None:
            raise AgentAnswered(401, "Authorization: Bearer TOKEN, of POST /v1/agent/{agent-id}")
        return agent


def _claims(agent: KnownAgent, body: bytes) -> SignedClaims:
    """Raises `AgentAnswered`."""
    try:
        text = agent.open_signed(body)
    except NotSignedByAgent:
        raise AgentAnswered(403, "not signed by this agent, or not in base64") from None
    try:
        members = wire.parse_body(text, lenient=True)
    except Problem:
        raise AgentAnswered(400, "what was signed is no JSON") from None
    if not isinstance(members, dict):
        raise AgentAnswered(400, "what was signed is no JSON object")
    return SignedClaims(agent, text, members)


def _told(status: int, message: str, *, fatal: bool = False) -> Response:
    return wire.wire_answer(AgentErrorBody(str(status), message, fatal), status, HEADERS.get(status, {}))
