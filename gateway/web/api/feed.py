"""GET /v1/changes: what changed of the standings, for replicas and exports; and POST /v1/leases, by which a replica may
answer from what it was given (`gateway help replica`).

Rows by key: neither a value nor the pepper is among them. Everything is read from the table, never from a copy.
"""

import asyncio
import contextlib
import sqlite3
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.choice.standing import state
from gateway.consent.verbs import Consent
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.ledger import changes
from gateway.ledger.changes import Change
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.leases import Renewal, TooManyHolders
from gateway.ledger.subjects import moment
from gateway.ledger.writer import Writer
from gateway.replica.feed import HEADER, Lines, Tags, asker
from gateway.terms import CHOOSABLE
from gateway.web.shell import auth, wire
from gateway.web.shell.problem import Problem

MOST_SEQ = 2**62
LONGEST = 64  # characters of a holder's name
MOST = 10_000  # changes of one call
AT_ONCE = 2_000  # changes of one piece of a stream
LOOKS = 0.01  # seconds between two looks for news, shared by all streams of a process
BEATS = 1.0  # seconds after which a stream says that there is none
STREAM = "text/event-stream"
WORDS = ("none", "opted_out", "opted_in")


class LeaseAsked(wire.StrictShape, frozen=True):
    """The body of POST /v1/leases."""

    holder: Annotated[
        str,
        wire.described_as(Annotated[str, Meta(min_length=1, max_length=LONGEST)]),
        Meta(description="a random name, another one at each start"),
    ]
    applied: Annotated[
        int,
        wire.described_as(Annotated[int, Meta(ge=0, le=MOST_SEQ)]),
        Meta(description="all changes up to this seq are applied"),
    ]
    log: str = ""
    leave: bool = False


class LeaseBody(Struct):
    """Granted or not yet. What follows `granted` is of one that was not given up."""

    granted: bool
    seconds: Annotated[float | UnsetType, Meta(description="counted from before the asking")] = UNSET
    leases: Annotated[
        bool | UnsetType, Meta(description="false: nobody waits, fresh for the term once `seq` is applied")
    ] = UNSET
    term: float | UnsetType = UNSET
    seq: wire.Whole | UnsetType = UNSET
    position: wire.Whole | UnsetType = UNSET
    log: str | UnsetType = UNSET
    peppers: wire.Whole | UnsetType = UNSET
    tag: Annotated[str | UnsetType, Meta(description="shows that the gateway says so (`gateway help replica`)")] = UNSET


class ChangeBody(Struct, kw_only=True):
    """A line. The last one is `end`, with `seq` to go on after. Server-sent events: the same as `data`, and `head`
    events that say up to where all was sent, with a `tag` over the challenge of `Gateway-Feed`.
    """

    seq: Annotated[wire.Whole, Meta(description="of the change, never less than that of the entry it came with")]
    key: Annotated[str, Meta(description="base64 of 16 bytes")]
    purposes: dict[str, Literal["opted_out", "opted_in"]]
    age_band: str | None
    at: wire.Time | None
    standing: Annotated[str, Meta(description="base64 of the row as our replicas keep it")]
    snapshot: Literal[True] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class FeedPart:
    """Changes of one moment. `upto`: whoever has them has all up to this revision."""

    found: list[Change]
    upto: int
    revision: int
    floor: int
    position: int
    log: str
    peppers: int

    def knows(self, after: int) -> bool:
        """Whether what comes after a revision is all that whoever knows it lacks."""
        return after == 0 or self.floor <= after <= self.revision

    def head(self) -> dict[str, Any]:
        more = self.upto < self.revision
        return {
            "more": more,
            "seq": self.upto,
            "position": self.position,
            "log": self.log,
            "peppers": self.peppers,
        }


class FeedAsked(NamedTuple):
    """The replica that asks, and the challenge that the answer's tag is over."""

    tags: Tags
    challenge: str


class Of(NamedTuple):
    """The piece of a number, of the stream to somebody who asked from a revision on."""

    to: FeedAsked
    after: int
    number: int


class ChangesDoor:
    """The doors for replicas and exports, which keep a copy."""

    def __init__(
        self, consent: Consent, credentials: Credentials, writer: Writer, known: Callable[[str], list[Tags]]
    ) -> None:
        """`known`: the tags of a replica, by the id of its API key."""
        self._consent = consent
        self._known = known
        self._credentials = credentials
        self._writer = writer
        self._leases = consent.leases
        self._looked = (0.0, 0)

    async def get(self, request: Request) -> Response:
        key = auth.anybody(request, self._credentials)
        auth.want(key, "export", "replica")
        last, limit = _number(request, "after", 0, MOST_SEQ), _number(request, "limit", MOST, MOST)
        if STREAM in request.headers.get("accept", ""):
            to = self._asked(request, key, lambda of, challenge: of.follows(challenge, last))
            await self._piece(last, 1)
            return StreamingResponse(self._follow(last, to), 200, {"Cache-Control": "no-store"}, STREAM)
        piece = await self._piece(last, limit)
        lines: list[object] = [shown(change, snapshot=last == 0) for change in piece.found]
        return wire.lines_answer([*lines, {"end": True, "count": len(lines), **piece.head()}])

    async def lease(self, request: Request) -> Response:
        """A lease asked for or renewed; `leave` ends it. 403 without the tag that shows that the replica itself asks,
        409 where there are as many replicas as may be, 410 for one that follows another log.
        """
        key = auth.caller(request, self._credentials, "replica")
        wire.require_json(request)
        asked = wire.convert(wire.parse_body(await wire.read_body(request)), LeaseAsked)
        if not 0 < len(asked.holder) <= LONGEST or not 0 <= asked.applied <= MOST_SEQ:
            raise Problem("malformed", "a holder's random name and the last seq that it has applied")
        to = self._asked(request, key, partial(_renews, asked))
        if to is None:
            raise Problem("forbidden", f"{HEADER} shows that the enrolled replica asks: are both of one version?")
        if asked.leave:
            await self._writer.commit(lambda tx: self._leases.leave(tx, asked.holder))
            return wire.wire_answer(LeaseBody(granted=False))
        renewal = Renewal(asked.holder, key.name, asked.applied)
        try:
            granted, log, peppers = await self._writer.commit(
                lambda tx: (self._leases.renew(tx, renewal), tx.log, _peppers(tx.db))
            )
        except TooManyHolders:
            raise Problem("too_many_holders", "as many replicas as may be hold a lease") from None
        if asked.log and asked.log != log:
            raise Problem("changes_gone", "the ledger goes on as another log: begin with after=0")
        told = {
            "granted": granted.seconds > 0,
            "seconds": granted.seconds,
            "leases": self._leases.terms.leases,
            "term": self._leases.terms.seconds,
            "seq": granted.revision,
            "position": granted.position,
            "log": log,
            "peppers": peppers,
        }
        return wire.wire_answer(told | {"tag": to.tags.grant(to.challenge, told)})

    def _asked(self, request: Request, key: ApiKey, tag: Callable[[Tags, str], str]) -> FeedAsked | None:
        """Which replica asks, by the tag of its request; None for whoever keeps an export. Raises `Problem` for a tag
        that nobody of that key has made.
        """
        text = request.headers.get(HEADER)
        if text is None:
            return None
        found = asker(text, self._known(key.id), tag)
        if found is None:
            raise Problem("forbidden", f"{HEADER} is not of a replica that was enrolled with this key: enrol it again")
        return FeedAsked(*found)

    async def _piece(self, last: int, limit: int) -> FeedPart:
        """Raises `Problem` where whoever knows only `last` has to begin anew, `StoreUnavailable` while nobody proves
        the ledger.
        """
        if self._consent.checks.position() is None:
            raise StoreUnavailable("the ledger gives no answer at this moment")
        piece = await asyncio.to_thread(self._read, last, limit)
        if not piece.knows(last):
            raise Problem("changes_gone", "rows went, or the ledger is another one: begin with after=0")
        return piece

    async def _follow(self, last: int, to: FeedAsked | None) -> AsyncIterator[bytes]:
        """Pieces as they come, each ended by what it brings a replica up to. The stream ends where it has to begin
        anew, and while the ledger gives no answer.
        """
        snapshot, after, numbers = last == 0, last, count(1)
        with contextlib.suppress(StoreUnavailable, Problem):
            while True:
                piece = await self._piece(last, AT_ONCE)
                of = Of(to, after, next(numbers)) if to else None
                made = partial(_events, piece, of, snapshot=snapshot)
                yield await asyncio.to_thread(made)  # off the loop: checks go on meanwhile
                last, snapshot = piece.upto, snapshot and piece.upto < piece.revision
                if last >= piece.revision:
                    await self._news(last)

    async def _news(self, last: int) -> None:
        """Until there is a later revision, or a beat is due."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + BEATS
        while loop.time() < ends:
            at, revision = self._looked
            if loop.time() - at > LOOKS:
                revision = self._revision()
                self._looked = loop.time(), revision
            if revision != last:
                return
            await asyncio.sleep(LOOKS)

    def _revision(self) -> int:
        try:
            return self._leases.revision()
        except (sqlite3.Error, LedgerRefused):
            return -1  # news: the next piece tells what is the matter

    def _read(self, last: int, limit: int) -> FeedPart:
        try:
            with contextlib.closing(self._writer.store.open_to_read()) as db:
                db.execute("BEGIN")  # one moment
                row = db.execute(
                    "SELECT f.revision, f.floor, h.size, h.origin, h.peppers FROM feed f, head h"
                ).fetchone()
                revision, floor, size, log, peppers = row
                found = changes.after(db, last, limit)
        except (sqlite3.Error, LedgerRefused) as error:
            raise StoreUnavailable(f"the ledger cannot be read: {type(error).__name__}") from error
        upto = found[-1].revision if len(found) == limit else revision
        return FeedPart(found, upto, revision, floor, size, log, peppers)


def shown(change: Change, *, snapshot: bool) -> dict[str, Any]:
    """A change as others read it. `standing` is the row as our own replicas keep it."""
    row = change.row
    told: dict[str, Any] = {
        "seq": change.revision,
        "key": b64encode(change.key).decode(),
        "purposes": _purposes(row.own, row.travelled),
        "age_band": row.age_band,
        "at": wire.stamp(moment(change.at)) if change.at is not None else None,
        "standing": b64encode(row.pack()).decode(),
    }
    return told | {"snapshot": True} if snapshot else told


@lru_cache(maxsize=4096)
def _purposes(own: int, travelled: int) -> dict[str, str]:
    """Every purpose that something is on record about; most people's rows are alike. Nobody changes what it gives."""
    words = {}
    for purpose in CHOOSABLE:
        mine, away = state(own, purpose), state(travelled, purpose)
        if mine or away:
            words[purpose.value] = WORDS[1] if away == 1 else WORDS[mine]
    return words


def _renews(asked: LeaseAsked, of: Tags, challenge: str) -> str:
    return of.renews(challenge, asked.holder, asked.applied, asked.log, leave=asked.leave)


def _events(piece: FeedPart, of: Of | None, *, snapshot: bool) -> bytes:
    told = [(change.revision, orjson.dumps(shown(change, snapshot=snapshot))) for change in piece.found]
    head = piece.head()
    if of:
        lines = Lines(line for _, line in told).digest()
        head["tag"] = of.to.tags.piece(of.to.challenge, of.after, of.number, lines, head)
    rows = [_event(seq, line) for seq, line in told]
    return b"".join([*rows, b"event: head\n", _event(piece.upto, orjson.dumps(head))])


def _event(seq: int, content: bytes) -> bytes:
    return b"id: %d\ndata: " % seq + content + b"\n\n"


def _number(request: Request, name: str, unsaid: int, most: int) -> int:
    stated = request.query_params.get(name, str(unsaid))
    if not stated.isascii() or not stated.isdecimal() or int(stated[:20]) > most:
        raise Problem("malformed", f"{name} is a whole number up to {most}")
    return int(stated)


def _peppers(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT peppers FROM head").fetchone()[0])
