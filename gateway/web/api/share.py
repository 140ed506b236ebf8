"""POST /v1/shares/{recipient}: rows in, one answer a row out, and a summary that counts them.

The whole body is read first (I3); then answers come as they are decided, each row that is handed back right before its
line is written. An answer that ends without its summary is not whole: the same rows are posted again.

In shadow mode each call is a dry run, and is counted: nothing leaves. A row that would have left, or a job that would
have been sealed, is answered `shadow`, which nobody takes for having left, unless its caller asked for a dry run.

With `Prefer: return=minimal` (RFC 7240) rows are shared as they come in, any number of them, and the answer is the
summary alone. It comes after the last row, so that a client that writes all before it reads never waits for us.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

import orjson
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.choice.recipient import Recipient
from gateway.consent.decision_log import (
    ALLOWED,
    DENIED,
    DRY_RUN,
    LIVE,
    PARTLY,
    SHADOW,
    Cell,
    DecisionLog,
    cell_in_shadow,
)
from gateway.consent.files import Filing, JobOver, NoSuchJob
from gateway.consent.share import Shared, ShareRow, Sharing, Turn
from gateway.consent.verbs import Consent
from gateway.desk.disclosures import CHUNK
from gateway.keys.api_keys import Credentials
from gateway.ledger.errors import StoreUnavailable
from gateway.signals.lines import Line
from gateway.terms import CLOCKS_APART, Answer
from gateway.web.api.streaming import streamed
from gateway.web.shell import auth, wire
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.problem import Problem, problem_of

MOST_NAMED = 100  # lines of a summary; each row's own answer names its line
TALLIED = ("sent", "returned", "duplicate", "unknown")
LEAVING = frozenset({"sent", "returned", "spooled"})


class Tally:
    """Rows of one call by outcome; of the refused ones by reason, of the values that were held back by why. `dry_run`:
    what would become of them (I23); `is_shadow`: because of shadow mode, for its caller did not ask for that. `unread`:
    the lines of rows that cannot be read, the first of them.
    """

    def __init__(self, *, dry_run: bool = False, shadow: bool = False) -> None:
        self.dry_run = dry_run or shadow
        self.is_shadow = shadow and not dry_run
        self._rows = 0
        self._unread: list[int] = []
        self._outcomes: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def add(self, shared: Iterable[Shared]) -> None:
        for item in shared:
            self._rows += 1
            self._outcomes[item.outcome] += 1
            self._dropped.update(
                {str(why): number for why, number in item.dropped.items()}
            )  # JSON names are plain texts
            if item.outcome == "refused":
                self._refused[str(item.reason)] += 1
            if item.line and len(self._unread) < MOST_NAMED:
                self._unread.append(item.line)

    def counts(self) -> dict[str, Any]:
        sums = {"refused": dict(sorted(self._refused.items())), "dropped": dict(sorted(self._dropped.items()))}
        waiting = {word: self._outcomes[word] for word in ("spooled", SHADOW) if self._outcomes[word]}
        mark = {"dry_run": True} if self.dry_run else {}
        unread = {"malformed_lines": self._unread} if self._unread else {}
        outcomes = {word: self._outcomes[word] for word in TALLIED}
        return {"rows": self._rows, **waiting, **outcomes, **sums, **unread, **mark}


AHEAD = CLOCKS_APART  # a row's time may be this far ahead (I29)
LONGEST = 256 * 1024  # bytes of one row of a call without end: a row has 64 identifiers and a point
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before a chunk is tried again while the ledger gives no answer
JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # a job's name: no path, no person
MINIMAL = re.compile(r"(^|[,;\s])return\s*=\s*\"?minimal\"?\s*($|[,;])")


class ManifestPart(Struct):
    """One file of a job."""

    name: str
    rows: int
    bytes: int
    sha256: str


class ManifestBody(Struct, kw_only=True):
    """The manifest, and what became of the files."""

    recipient: str
    job: str
    rows: int
    sealed_at: Annotated[wire.Time | None, Meta(description="null of a dry run: there are no files")]
    valid_until: Annotated[wire.Time | None, Meta(description="no file may start to be sent later; seal again")]
    parts: list[ManifestPart]
    outcome: Annotated[
        Literal["sealed", "sent", "unknown", "shadow"],
        Meta(description="shadow: it is shadow mode, and no file was made: seal it again later"),
    ]
    refused: Annotated[dict[str, int], Meta(description="rows that waited and stand in no file, by why")]
    folder: Annotated[str | None, Meta(description="below the data folder")]
    dry_run: Literal[True] | UnsetType = UNSET


@dataclass(frozen=True)
class ShareDoor:
    """`POST /v1/shares/{recipient}`."""

    consent: Consent
    sharing: Sharing
    filing: Filing
    credentials: Credentials
    metrics: Metrics
    log: DecisionLog
    max_rows: int
    max_bytes: int

    async def post(self, request: Request) -> Response:
        auth.caller(request, self.credentials, "share")
        recipient = self._recipient(request)
        lines = wire.require_json(request, lines=True)
        job, minimal = _job(request), recipient.mode != "return" and _minimal(request)
        tally = Tally(dry_run=wire.flags_of(request.query_params, DRY_RUN)[DRY_RUN], shadow=self.log.shadow.on())
        if recipient.mode == "forward" and not recipient.endpoint:
            raise Problem("not_found", f"recipients.{recipient.name} has no endpoint to forward to")
        if recipient.mode == "files" and not job:
            raise Problem("malformed", f"recipients.{recipient.name} takes files: name the job (Gateway-Job)")
        if minimal and lines:
            await self._without_end(recipient, request, tally, job)
            return _minimally(_summary(tally, job))
        body = await wire.read_body(request, self.max_bytes)
        rows = wire.lines_of(body, self.max_rows) if lines else [Line(1, body.replace(b"\n", b" "))]
        answers = self._answers(recipient, rows, tally, job)
        if not minimal:
            return await streamed(_lines(answers, tally, job), wire.NDJSON)
        async for _ in answers:
            pass
        return _minimally(_summary(tally, job))

    async def seal(self, request: Request) -> Response:
        """Every row of a job is checked again, and what may go stands in files; in none where it is a dry run or shadow
        mode, and none that was made before is handed over then.
        """
        auth.caller(request, self.credentials, "share")
        recipient = self._recipient(request)
        if recipient.mode != "files":
            raise Problem("not_found", f"recipients.{recipient.name} takes no files")
        job, asked = _named(request.path_params["job"]), wire.flags_of(request.query_params, DRY_RUN)[DRY_RUN]
        try:
            if asked or self.log.shadow.on():
                return await self._would_seal(recipient, job, asked=asked)
            filed = await self.filing.seal(recipient, job, self._row)
        except NoSuchJob as missing:
            raise Problem("not_found", str(missing)) from None
        if filed.made:
            self.metrics.shares.labels(recipient.name, "sealed", LIVE).inc(filed.sealed.manifest["rows"])
        folder = None if filed.outcome == "sent" else f"spool/{recipient.name}/{job}/sealed"
        return wire.wire_answer(
            {**filed.sealed.manifest, "outcome": filed.outcome, "refused": filed.refused, "folder": folder}
        )

    async def _would_seal(self, recipient: Recipient, job: str, *, asked: bool) -> Response:
        rows, refused = 0, Counter[str]()
        async with contextlib.aclosing(self.filing.would_seal(recipient, job, self._row)) as parts:
            async for some in parts:
                kept_out = [item for item in some if item.outcome != "spooled"]
                rows += len(some) - len(kept_out)
                refused.update(str(item.reason) for item in kept_out)
                for cell in () if asked else filter(None, (_cell(recipient, item) for item in some)):
                    self.log.count(cell)
        self.metrics.shares.labels(recipient.name, "sealed", DRY_RUN).inc(rows)
        return wire.wire_answer(
            ManifestBody(
                recipient=recipient.name,
                job=job,
                rows=rows,
                sealed_at=None,
                valid_until=None,
                parts=[],
                outcome="sealed" if asked else "shadow",
                refused=dict(refused),
                folder=None,
                dry_run=True,
            )
        )

    def _recipient(self, request: Request) -> Recipient:
        recipient = self.consent.recipients.get(request.path_params["recipient"])
        if recipient is None:
            raise Problem("not_found", "no such recipient is configured")
        return recipient

    async def _without_end(self, recipient: Recipient, request: Request, tally: Tally, job: str) -> None:
        """Shares chunk by chunk as the body comes; while one is on its way no more is read. What went wrong is told
        when all was read: a client that is still writing would not hear it.
        """
        body = wire.pieces(request)
        lines, waiting = wire.lines_as_they_come(body, LONGEST), list[Line]()
        try:
            async for line in lines:
                waiting.append(line)
                if len(waiting) == CHUNK:
                    await self._patiently(recipient, waiting, tally, job)
                    waiting = []
            await self._patiently(recipient, waiting, tally, job)
        except (StoreUnavailable, Problem):
            await _drain(body)
            raise

    async def _patiently(self, recipient: Recipient, lines: Sequence[Line], tally: Tally, job: str) -> None:
        """A job of an hour is not given up for a busy second. What left before it is known by its row id."""
        for pause in (*PAUSES, None):
            try:
                async for _ in self._answers(recipient, lines, tally, job):
                    pass
            except StoreUnavailable:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                return

    async def _answers(
        self, recipient: Recipient, lines: Sequence[Line], tally: Tally, job: str
    ) -> AsyncGenerator[list[Shared]]:
        """What became of rows, in order, some at a time, and counted."""
        rows, turn = list[ShareRow](), Turn()
        for line in lines:
            await turn.offered()
            row = self._row(recipient, line.text)
            rows.append(replace(row, line=line.number) if row.problem else row)
        async with contextlib.aclosing(self._shared(recipient, lines, rows, tally, job)) as parts:
            async for some in parts:
                for item in some:
                    mode = DRY_RUN if tally.dry_run else LIVE
                    self.metrics.shares.labels(recipient.name, item.outcome, mode).inc()
                    cell = _cell(recipient, item) if tally.is_shadow else None
                    if cell:
                        self.log.count(cell)
                told = [_kept_back(item) for item in some] if tally.is_shadow else some
                tally.add(told)
                yield told

    async def _shared(
        self, recipient: Recipient, lines: Sequence[Line], rows: Sequence[ShareRow], tally: Tally, job: str
    ) -> AsyncGenerator[list[Shared]]:
        if tally.dry_run:
            yield await self.sharing.would_share(recipient, rows)
        elif recipient.mode == "files":
            try:
                yield await self.filing.keep(recipient, job, [line.text for line in lines], rows)
            except JobOver as over:
                raise Problem("job_over", str(over)) from None
        else:
            async with contextlib.aclosing(self.sharing.answers(recipient, rows, job)) as parts:
                async for some in parts:
                    yield some

    def _row(self, recipient: Recipient, line: bytes) -> ShareRow:
        """One bad row is refused as malformed, never a 400 for the call; its id is kept where there is one."""
        value: Any = None
        try:
            value = wire.parse_body(line)
            row = wire.convert(value, wire.Row)
            collected, age = self._at(row.at, recipient.max_age_days), wire.band(row.age)
        except Problem as problem:
            stated = value.get("id") if isinstance(value, dict) else None
            return ShareRow(stated[:256] if isinstance(stated, str) else "", problem=problem.detail)
        named, during_call = wire.plain(row.identifiers), row.during_call
        return ShareRow(row.id, named, row.data, row.place, row.count, collected, age=age, during_call=during_call)

    def _at(self, stated: str | int | None, max_age_days: int) -> date | None:
        """The day of a row: RFC 3339 or epoch milliseconds, not ahead of our clock, and where the recipient has an age
        that rows may have, said and no older (I29).
        """
        if stated is None and not max_age_days:
            return None
        at = wire.since_1970(stated) if isinstance(stated, int) else wire.moment(stated)
        if at is None:
            raise Problem("malformed", "at is RFC 3339 or epoch milliseconds")
        if at > self.consent.clock() + AHEAD:
            raise Problem("malformed", "at lies in the future")
        if max_age_days and at < self.consent.clock() - timedelta(days=max_age_days):
            raise Problem("malformed", f"at is more than {max_age_days} days ago")
        return at.date()


def _cell(recipient: Recipient, item: Shared) -> Cell | None:
    """What a row is counted as in shadow mode. None: it is one that went before, which no rule is asked about."""
    if item.outcome == "duplicate":
        return None
    whole = set(item.data.values()) <= {Answer.ALLOW}
    word = DENIED if item.outcome == "refused" else ALLOWED if whole else PARTLY
    return cell_in_shadow(recipient.name, word, item.reason, item.place, "share")


def _kept_back(item: Shared) -> Shared:
    """A row's answer to a caller who does not know of shadow mode: it is to be posted again once that is over."""
    return replace(item, outcome=SHADOW) if item.outcome in LEAVING else item


async def _lines(answers: AsyncGenerator[list[Shared]], tally: Tally, job: str) -> AsyncGenerator[bytes]:
    """The answer's lines, then the summary. What fails before the first of them is raised; behind it nothing can be
    but a line, and no summary.
    """
    mark = {DRY_RUN: True} if tally.dry_run else {}
    first, begun = None, False
    async with contextlib.aclosing(answers):
        try:
            async for some in answers:
                until = (item.until for item in some if item.until)
                first, begun = min(filter(None, (first, *until)), default=None), True
                yield b"".join(orjson.dumps(_line(item) | mark) + b"\n" for item in some)
        except (StoreUnavailable, Problem) as error:
            if not begun:
                raise
            found = problem_of(error)
            yield orjson.dumps({"problem": found.kind, "detail": found.detail}) + b"\n"
            return
    yield orjson.dumps(_last(_summary(tally, job, first))) + b"\n"


def _summary(tally: Tally, job: str, until: datetime | None = None) -> dict[str, Any]:
    """Counts; and until when all rows that were handed back may start to be sent: each line says its own."""
    counts = tally.counts() | ({"job": job} if job else {})
    return counts | ({"valid_until": wire.stamp(until)} if until else {})


def _line(item: Shared) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": item.id,
        "outcome": item.outcome,
        "reason": item.reason,
        "data": dict(item.data),
    }
    if item.row is not None:
        line["row"] = dict(item.row)
    if item.until:
        line["valid_until"] = wire.stamp(item.until)
    if item.again:
        line["again"] = True
    if item.mark:
        line["mark"] = item.mark
    if item.line:
        line["line"] = item.line
    return line


def _last(summary: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "complete": True}


def _minimally(summary: dict[str, Any]) -> Response:
    answer = wire.lines_answer([_last(summary)])
    answer.headers["Preference-Applied"] = "return=minimal"
    return answer


def _minimal(request: Request) -> bool:
    """RFC 7240: a preference that cannot be read is none."""
    return any(MINIMAL.search(value.lower()) for value in request.headers.getlist("prefer"))


def _job(request: Request) -> str:
    """The job's name, empty for none. What a job sent is known by its row ids, so that it is simply posted again."""
    job = request.headers.get("gateway-job", "")
    return _named(job) if job else ""


def _named(job: str) -> str:
    if not JOB.fullmatch(job):
        raise Problem("malformed", "a job's name has at most 64 letters, digits, dots, dashes and underscores")
    return job


async def _drain(body: AsyncIterator[bytes]) -> None:
    """Reads what still comes and forgets it."""
    with contextlib.suppress(Problem, ClientDisconnect):
        async for _ in body:
            pass
