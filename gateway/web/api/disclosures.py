"""The doors about disclosures: what became of answers, batches from replicas, and who got what. In-process callers use
the reading of lines, too.

POST /v1/disclosures: a caller says what became of its checks (R22), and of rows that were handed back to it. Each line
is answered, durably, in order; a bad one costs the others nothing. `recorded`; `repeated`: said before, or already
known to have been sent; `denied`: it was sent although the answer was no, which is on record and an alarm; `expired`:
said an hour late, it stays "may have been sent"; `unknown`: no decision of ours, or of a recipient that none of our
registries ever named; `malformed`.

POST /v1/disclosures/batches: what a replica answered since it last said so (R22). Scope replica; between a gateway and
replicas of its version. NDJSON: a head, then the names of the replica's recipients, for an id has a hash of one, and
its configuration may be older or newer than ours; then a line an answer: its id alone, an announced send, or what a
caller said. A line that cannot be read counts as lost: no second try would make it readable.

POST /v1/disclosures/query: who got what. `received` is of a person, for the desk or with proof, as access is; the rest
tells of nobody and wants scope export.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType, field
from starlette.requests import Request
from starlette.responses import Response

from gateway.consent.codes import ACCESS
from gateway.consent.disclosing import OUTCOMES, WITHDRAWN, Announced, Batch, HandedOver, OutcomeReport
from gateway.consent.share import Sharing
from gateway.consent.verbs import Consent
from gateway.desk.disclosures import POSSIBLE, UNKNOWN, Acknowledged
from gateway.desk.late_sends import Numbered
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.ledger.store import ledger_needed
from gateway.records import who_got_what
from gateway.records.who_got_what import QUESTIONS
from gateway.signals.lines import Line
from gateway.terms import ACCOUNT_BACKEND, TEXTS, DataClass
from gateway.web.shell import access_report, auth, desk_call, wire
from gateway.web.shell.problem import Problem, problem_of
from gateway.web.shell.proof import Proofs, ProofStated, ProvedDoor

MOST = 2**53 - 1  # what an entry may hold (RFC 8785)
Number = Annotated[int, Meta(ge=0, le=MOST)]
OURS = frozenset({ACCOUNT_BACKEND, TEXTS})  # what is told messages and is no recipient, as in a configuration


class BatchBody(wire.StrictShape, frozen=True):
    """The first line. Then `{recipients}`, the names of those that the replica has. Then a line an answer: its id as a
    string; `{decision, names}` of an announced send; `{decision, outcome, at, said}` of what a caller said, in
    milliseconds since 1970.
    """

    spool: Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="another one at each start of a replica")]
    number: Annotated[int, Meta(ge=1, le=MOST, description="of the batch: from 1 on, without a gap")]
    position: Annotated[Number, Meta(description="how many entries the replica knew of")]
    log: Annotated[str, Meta(max_length=1024)]
    lost: Annotated[Number, Meta(description="answers that found no room")] = 0
    doubtful: Annotated[bool, Meta(description="its machine stopped: there may have been more")] = False


class BatchTakenBody(Struct):
    """It is on record."""

    again: Annotated[bool, Meta(description="it came before, and counts no second time")]
    missing: Annotated[wire.Whole, Meta(description="batches before it that never came")]
    unread: Annotated[wire.Whole, Meta(description="answers that nobody here can read")]


class BatchRecipients(wire.StrictShape, frozen=True):
    """Whom answers of the batch may be about."""

    recipients: list[Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]]


class Going(wire.StrictShape, frozen=True):
    """A send that was announced to the replica."""

    decision: Annotated[str, Meta(max_length=128)]
    names: str


class BatchSaid(wire.StrictShape, frozen=True):
    """What a caller said became of an answer, or the replica of what it announced and withdrew. `at`: when by the
    caller, `said`: when it told the replica; milliseconds since 1970.
    """

    decision: Annotated[str, Meta(max_length=128)]
    outcome: str
    said: Number
    at: int | None = None


class BatchesDoor:
    """`POST /v1/disclosures/batches`, for replicas."""

    def __init__(self, handed_over: HandedOver, credentials: Credentials) -> None:
        self._handed_over = handed_over
        self._credentials = credentials

    async def post(self, request: Request) -> Response:
        key = auth.caller(request, self._credentials, "replica")
        wire.require_json(request, lines=True)
        lines = [line.text for line in wire.lines_of(await wire.read_body(request))]
        head = wire.convert(wire.parse_body(lines[0] if lines else b""), BatchBody)
        numbered = Numbered(bytes.fromhex(head.spool), key.name, head.number)
        taken = await self._handed_over.take(_batch(numbered, head, lines[1:]))
        return wire.wire_answer(BatchTakenBody(taken.again, taken.missing, taken.unread))


def _batch(numbered: Numbered, head: BatchBody, lines: Sequence[bytes]) -> Batch:
    read = [_line(line) for line in lines]
    return Batch(
        numbered,
        head.position,
        head.log,
        head.lost,
        head.doubtful,
        unread=sum(each is None for each in read),
        recipients=[
            name for each in read if isinstance(each, BatchRecipients) for name in each.recipients if name not in OURS
        ],
        answers=[each for each in read if isinstance(each, str)],
        announced=[Announced(each.decision, each.names) for each in read if isinstance(each, Going)],
        reports=[_report(each) for each in read if isinstance(each, BatchSaid)],
    )


def _line(line: bytes) -> str | BatchRecipients | Going | BatchSaid | None:
    try:
        stated = wire.parse_body(line)
        if isinstance(stated, str):
            return stated
        if isinstance(stated, dict) and "recipients" in stated:
            return wire.convert(stated, BatchRecipients)
        if isinstance(stated, dict) and "names" in stated:
            return wire.convert(stated, Going)
        said = wire.convert(stated, BatchSaid)
    except Problem:
        return None
    return said if said.outcome in OUTCOMES | {WITHDRAWN} and wire.since_1970(said.said) else None


def _report(said: BatchSaid) -> OutcomeReport:
    at = wire.since_1970(said.at) if said.at is not None else None
    return OutcomeReport(said.decision, said.outcome, at, wire.since_1970(said.said))


YEAR = timedelta(days=366)  # the longest: of network information records are kept one year at least (47 CFR 64.2009(c))
FIRST, LAST = 2018, 9997


class DisclosureQuestion(wire.StrictShape, frozen=True, kw_only=True):
    """Who got what. Of received: `identifiers`, `proof`, `place`, `data`; of network_information: `from`, `until`."""

    question: Annotated[str, wire.one_of(QUESTIONS)]
    identifiers: wire.Identifiers | UnsetType = UNSET
    proof: ProofStated = None
    place: wire.OneCountry = None
    data: list[DataClass] | None = None
    year: Annotated[int | None, Meta(description="of direct_marketing; without it last year")] = None
    start: wire.TimeOrDay | None = field(name="from", default=None)
    until: wire.TimeOrDay | None = None


class DisclosureSum(Struct, kw_only=True):
    """Data that went to one recipient. Which members there are is the question's."""

    recipient: str
    purposes: list[str]
    count: int
    data: list[str] | UnsetType = UNSET
    company: str | UnsetType | None = UNSET
    address: str | UnsetType | None = UNSET
    day: wire.Day | UnsetType = UNSET
    outcome: str | UnsetType = UNSET
    entry: int | UnsetType | None = UNSET


class DisclosuresFound(Struct):
    """The answer to a question that tells of nobody."""

    question: Annotated[str, wire.one_of(QUESTIONS[1:])]
    as_of: wire.Time
    disclosures: list[DisclosureSum]


class DisclosuresReceived(Struct):
    """Who got data of a person."""

    question: Literal["received"]
    as_of: wire.Time
    disclosures: list[access_report.ReceivedBody]
    ignored: list[wire.IgnoredMember]


class DisclosureQueries(ProvedDoor):
    """`POST /v1/disclosures/query`."""

    def __init__(self, consent: Consent, credentials: Credentials, proofs: Proofs, folder: Path) -> None:
        super().__init__(consent, credentials, proofs)
        self._folder = folder

    async def post(self, request: Request) -> Response:
        key = auth.anybody(request, self._credentials)
        body = await desk_call.one_object(request, DisclosureQuestion, "a question about disclosures")
        question = wire.word_of(body.get("question"), "question", QUESTIONS)
        if question == "received":
            return wire.wire_answer(await self._received(body, key))
        auth.want(key, "export")
        with ledger_needed():
            found = await asyncio.to_thread(self._sums, question, body)
        return wire.wire_answer(
            {"question": question, "as_of": wire.stamp(self._consent.clock()), "disclosures": found}
        )

    async def _received(self, body: Mapping[str, Any], key: ApiKey) -> DisclosuresReceived:
        """Who got data of a person; with `data`, who got any of these classes: "who received my location"."""
        classes = body.get("data")
        if classes is not None and not (isinstance(classes, list) and all(isinstance(each, str) for each in classes)):
            raise Problem("malformed", "data is a list of data classes", "/data")
        if classes is not None and not set(classes) <= set(DataClass):
            raise Problem("malformed", f"data classes are {', '.join(DataClass)}", "/data")
        named, ignored = desk_call.named(self._consent, body)
        proved = await self._proofs.or_desk(body.get("proof"), key, named.subjects, ACCESS)
        report = await access_report.report_of(self._consent, proved)
        wanted = set(classes or DataClass)
        found = [each for each in report.disclosures if not wanted.isdisjoint(each.data)]
        return DisclosuresReceived("received", report.as_of, found, ignored)

    def _sums(self, question: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        today = self._consent.clock().date()
        if question == "direct_marketing":
            return who_got_what.direct_marketing(
                self._folder, _year(body.get("year"), today.year - 1), self._consent.recipients
            )
        if question == "network_information":
            until = wire.day(body.get("until"), "/until") or today
            since = wire.day(body.get("from"), "/from") or max(until, date.min + YEAR) - YEAR
            return who_got_what.network_information(
                self._folder, since, min(until, date.max - YEAR) + timedelta(days=1)
            )
        return who_got_what.after_an_opt_out(self._folder)


def _year(stated: object, last: int) -> int:
    if stated is None:
        return last
    if not isinstance(stated, int) or isinstance(stated, bool) or not FIRST <= stated <= LAST:
        raise Problem("malformed", "year is a calendar year", "/year")
    return stated


class Taking(Protocol):
    """Who takes reports: `gateway.consent.disclosing.Disclosing`, or a fake of it."""

    async def report(self, reports: Sequence[OutcomeReport]) -> list[str]: ...


async def taken(disclosing: Taking, lines: Sequence[bytes], rows: Sharing | None = None) -> list[dict[str, Any]]:
    """An answer a line. `rows`: None where nobody handed any back, or the caller may not speak of them. Raises
    `StoreUnavailable`: what was taken before that answers `repeated` when the same is said again.
    """
    read = [_read(line) for line in lines]
    took = iter(await disclosing.report([each for each in read if isinstance(each, OutcomeReport)]))
    said = [each for each in read if isinstance(each, Acknowledged)]
    became = iter(await rows.acknowledge(said) if rows else [("unknown", 0)] * len(said))
    answers = list[dict[str, Any]]()
    for each in read:
        if isinstance(each, OutcomeReport):
            answers.append({"decision": each.decision, "result": next(took)})
        elif isinstance(each, Acknowledged):
            result, count = next(became)
            named = {"job": each.job, "id": each.row_id, "recipient": each.recipient}
            answers.append({name: word for name, word in named.items() if word} | {"result": result, "rows": count})
        else:
            answers.append({"decision": None, "result": "malformed", "problem": _told(each)})
    return answers


def _read(line: bytes) -> OutcomeReport | Acknowledged | Problem:
    try:
        return _outcome_report(wire.convert(wire.parse_body(line), wire.Disclosure))
    except Problem as problem:
        return problem


def _outcome_report(body: wire.Disclosure) -> OutcomeReport | Acknowledged:
    """Raises `Problem`."""
    at = wire.since_1970(body.at) if isinstance(body.at, int) else wire.moment(body.at)
    if body.at is not None and at is None:
        raise Problem("malformed", "at is RFC 3339 or epoch milliseconds", "/at")
    wire.word_of(body.outcome, "outcome", sorted(OUTCOMES))
    of_rows = body.job or (body.recipient and body.id)
    if body.mark and not body.id:
        raise Problem("malformed", "a mark is of one row: name its id", "/mark")
    if body.decision and not (body.job or body.id or body.recipient):
        return OutcomeReport(body.decision, body.outcome, at)
    if body.decision or not of_rows:
        raise Problem("malformed", "of a decision, of a job, or of an id with its job or recipient", "/decision")
    outcome = POSSIBLE if body.outcome == UNKNOWN else body.outcome
    return Acknowledged(outcome, body.job or "", body.id or "", body.recipient or "", body.mark or "")


def _told(problem: Problem) -> dict[str, Any]:
    found = problem_of(problem)
    return {"type": found.kind, "detail": found.detail, "pointer": found.pointer}


class DisclosuresDoor:
    """POST /v1/disclosures, for callers who send after asking. `rows`: who handed rows back; a replica hands
    back none.
    """

    def __init__(self, disclosing: Taking, credentials: Credentials, rows: Sharing | None = None) -> None:
        self._disclosing = disclosing
        self._credentials = credentials
        self._rows = rows

    async def post(self, request: Request) -> Response:
        """One object, or NDJSON; in both cases a line a report comes back, then the end. Of rows a key speaks that may
        share: what it says was sent is not handed back again.
        """
        key = auth.caller(request, self._credentials, "check", "share")
        lines = wire.require_json(request, lines=True)
        body = await wire.read_body(request)
        rows = self._rows if key.may("share") else None
        said = wire.lines_of(body) if lines else [Line(1, body)]
        told = await taken(self._disclosing, [line.text for line in said], rows)
        answers = [wire.placed(each, line) for each, line in zip(told, said, strict=True)]
        return wire.lines_answer([*answers, {"end": True, "count": len(answers)}])
