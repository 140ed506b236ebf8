"""GET /v1/changes: what changed in the state of this host, for replicas and exports; and POST /v1/leases, by which a
replica may answer from what it was given (`gateway help replica`).

Replicas get rows and edges as they lie in the state, exports what stands of a key. Neither a value nor the pepper is
among them.
"""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.choice.rules.case import yes_bits, youngest
from gateway.choice.standing import OUT_BITS, state
from gateway.consent.leases import Granted, Renewal, TooManyHolders
from gateway.consent.verbs import Consent
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.log_records import LedgerLog
from gateway.ledger.store import ledger_snapshot
from gateway.ledger.subjects import milliseconds, moment
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from gateway.replica.feed import HEADER, TIME, Lines, Tags, asker, place_line
from gateway.state.environment import StateRefused
from gateway.state.lookup import StateMoment
from gateway.state.packed_rows import KEY_BYTES, ChangedPart, StateHead, own_change_at
from gateway.terms import CHOOSABLE
from gateway.web.shell import auth, wire
from gateway.web.shell.problem import Problem

MOST_SEQ = 2**62
LONGEST = 64  # characters of a holder's name
MOST = 10_000  # places of one call
AT_ONCE = 2_000  # places of one piece of a stream
LOOKS = 0.01  # seconds between two looks for news, shared by all streams of a process
BEATS = 1.0  # seconds after which a stream says that there is none
STREAM = "text/event-stream"
WORDS = ("none", "opted_out", "opted_in")
FeedLine = tuple[int, dict[str, Any]]
FeedLines = tuple[list[FeedLine], int]  # and up to where whoever knows no more begins anew


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
    root: Annotated[str, Meta(description="of that log at `applied`, hex: that of a restored one is another")] = ""
    leave: bool = False


class LeaseBody(Struct):
    """Granted or not yet. What follows `granted` is of one that was not given up."""

    granted: bool
    seconds: Annotated[float | UnsetType, Meta(description="counted from before the asking")] = UNSET
    leases: Annotated[
        bool | UnsetType,
        Meta(description="true: choices wait for whoever holds one; releases of before could say false"),
    ] = UNSET
    term: float | UnsetType = UNSET
    seq: wire.Whole | UnsetType = UNSET
    position: wire.Whole | UnsetType = UNSET
    log: str | UnsetType = UNSET
    peppers: wire.Whole | UnsetType = UNSET
    time: Annotated[
        wire.Time | UnsetType,
        Meta(description="the gateway's: whose clock is more than a day from it answers nothing"),
    ] = UNSET
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
    gone: Annotated[Literal[True] | UnsetType, Meta(description="forget what you know of it")] = UNSET
    snapshot: Literal[True] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class FeedPart:
    """What changed, as of one moment: lines with their seq. `upto`: whoever has them has all up to there; `floor`:
    whoever knows only what was before begins anew.
    """

    lines: list[FeedLine]
    floor: int
    upto: int
    state: StateHead

    def knows(self, after: int) -> bool:
        """Whether what comes after a seq is all that whoever knows it lacks."""
        return after == 0 or self.floor <= after <= self.state.position

    @property
    def more(self) -> bool:
        return self.upto < self.state.position

    def head(self) -> dict[str, Any]:
        state = self.state
        counted = {"more": self.more, "seq": self.upto, "position": state.entries}
        return {**counted, "log": state.log, "peppers": state.epoch}


class FeedAsked(NamedTuple):
    """The replica that asks, and the challenge that the answer's tag is over."""

    tags: Tags
    challenge: str


@dataclass
class ChangesDoor:
    """The doors for replicas and exports, which keep a copy. `state`: of this host, at the moment of asking; `known`:
    the tags of a replica, by the id of its API key.
    """

    consent: Consent
    credentials: Credentials
    writer: Writer
    state: Callable[[], StateMoment]
    known: Callable[[str], list[Tags]]
    _looked: tuple[float, int] = field(default=(0.0, 0), init=False)

    async def get(self, request: Request) -> Response:
        key = auth.caller(request, self.credentials, "export", "replica")
        last, limit = _number(request, "after", 0, MOST_SEQ), _number(request, "limit", MOST, MOST)
        if STREAM in request.headers.get("accept", ""):
            to = self._asked(request, key, lambda of, challenge: of.follows(challenge, last))
            await self._piece(last, 1, to)
            await asyncio.to_thread(self._prove_same, last, request.query_params.get("root", ""))
            return StreamingResponse(self._follow(last, to), 200, {"Cache-Control": "no-store"}, STREAM)
        piece = await self._piece(last, limit if last else 1, None)
        if last == 0:  # whole, however long: between two pages more may go than is known of
            return StreamingResponse(self._snapshot(), 200, {"Cache-Control": "no-store"}, wire.NDJSON)
        lines: list[object] = [line for _, line in piece.lines]
        return wire.lines_answer([*lines, {"end": True, "count": len(lines), **piece.head()}])

    async def lease(self, request: Request) -> Response:
        """A lease asked for or renewed; `leave` ends it. 403 without the tag that shows that the replica itself asks,
        409 where there are as many replicas as may be, 410 for one that follows another log, 503 while checks are
        answered for nobody.
        """
        key = auth.caller(request, self.credentials, "replica")
        wire.require_json(request)
        asked = wire.convert(wire.parse_body(await wire.read_body(request)), LeaseAsked)
        if not 0 < len(asked.holder) <= LONGEST or not 0 <= asked.applied <= MOST_SEQ:
            raise Problem("malformed", "a holder's random name and the last seq that it has applied")
        to = self._asked(request, key, partial(_renews, asked))
        if to is None:
            raise Problem("forbidden", f"{HEADER} shows that the enrolled replica asks: are both of one version?")
        if asked.leave:
            await self.writer.commit(lambda tx: self.consent.leases.leave(tx, asked.holder))
            return wire.wire_answer(LeaseBody(granted=False))
        self._prove_answered()
        renewal = Renewal(asked.holder, key.name, asked.applied)
        try:
            granted, log = await self.writer.commit(lambda tx: self._renewed(tx, renewal, asked))
        except TooManyHolders:
            raise Problem("too_many_holders", "as many replicas as may be hold a lease") from None
        if granted is None:
            raise Problem("changes_gone", "the ledger goes on as another log: begin with after=0")
        granted = self.consent.leases.in_time(granted)
        told = {
            "granted": granted.seconds > 0,
            "seconds": granted.seconds,
            "leases": True,
            "term": self.consent.leases.term,
            "seq": granted.position,
            "position": granted.entries,
            "log": log.name,
            "peppers": log.peppers,
            TIME: wire.stamp(self.consent.clock()),
        }
        return wire.wire_answer(told | {"tag": to.tags.grant(to.challenge, told)})

    def _renewed(self, tx: Transaction, renewal: Renewal, asked: LeaseAsked) -> tuple[Granted | None, LedgerLog]:
        """None for one that follows another log."""
        log = LedgerLog(tx.db)
        same = asked.log in {"", log.name} and _is_root(log, asked.applied, asked.root)
        return self.consent.leases.renew(tx, renewal) if same else None, log

    def _asked(self, request: Request, key: ApiKey, tag: Callable[[Tags, str], str]) -> FeedAsked | None:
        """Which replica asks, by the tag of its request; None for whoever keeps an export. Raises `Problem` for a tag
        that nobody of that key has made.
        """
        text = request.headers.get(HEADER)
        if text is None:
            return None
        found = asker(text, self.known(key.id), tag)
        if found is None:
            raise Problem("forbidden", f"{HEADER} is not of a replica that was enrolled with this key: enrol it again")
        return FeedAsked(*found)

    def _prove_answered(self) -> None:
        """Nobody may answer from a copy of what we answer nobody from, as while a no waits beside the ledger."""
        if self.consent.checks.position() is None:
            raise StoreUnavailable("the ledger gives no answer at this moment")

    async def _piece(self, last: int, limit: int, to: FeedAsked | None, begun: int | None = None) -> FeedPart:
        """`begun`: of a snapshot, how far the state was at its beginning. Raises `Problem` where whoever knows only
        `last` has to begin anew, `StoreUnavailable` while nobody proves the ledger.
        """
        self._prove_answered()
        piece = await asyncio.to_thread(self._read, last, limit, _places if to else self._standings, begun)
        if not piece.knows(last if begun is None else begun):
            raise Problem("changes_gone", "rows went, or the ledger is another one: begin with after=0")
        return piece

    async def _pieces(self, last: int, to: FeedAsked | None) -> AsyncIterator[FeedPart]:
        """As they come; where there is no more, the next one once there is, or after a beat. Raises as `_piece`."""
        begun = None
        while True:
            piece = await self._piece(last, AT_ONCE, to, begun)
            yield piece
            if last == 0:
                begun = piece.state.position
            last = piece.upto
            if not piece.more:
                begun = None
                await self._news(last)

    async def _snapshot(self) -> AsyncIterator[bytes]:
        """What stands of everybody, as lines. Without its last one where it was cut off."""
        many = 0
        with contextlib.suppress(StoreUnavailable, Problem):
            async for piece in self._pieces(0, None):
                many += len(piece.lines)
                yield await asyncio.to_thread(_snapshot_lines, piece, many)
                if not piece.more:
                    return

    async def _follow(self, last: int, to: FeedAsked | None) -> AsyncIterator[bytes]:
        """Pieces as events, each ended by what it brings a replica up to. The stream ends where it has to begin anew,
        and while the ledger gives no answer.
        """
        snapshot = last == 0
        with contextlib.suppress(StoreUnavailable, Problem):
            number = 0
            async for piece in self._pieces(last, to):
                number += 1
                made = partial(_events, piece, to, last, number, snapshot=snapshot)
                yield await asyncio.to_thread(made)  # off the loop: checks go on meanwhile
                snapshot = snapshot and piece.more

    async def _news(self, last: int) -> None:
        """Until there is more, or a beat is due."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + BEATS
        while loop.time() < ends:
            at, position = self._looked
            if loop.time() - at > LOOKS:
                position = self._position()
                self._looked = loop.time(), position
            if position != last:
                return
            await asyncio.sleep(LOOKS)

    def _prove_same(self, last: int, root: str) -> None:
        """Raises `Problem` for a copy of a log that goes another way since, as that of a restored ledger does."""
        with ledger_snapshot(self.writer.store) as db:
            same = _is_root(LedgerLog(db), last, root)
        if not same:
            raise Problem("changes_gone", "the ledger goes on as another log: begin with after=0")

    def _position(self) -> int:
        try:
            with self.state() as moment:
                return moment.head.position
        except StateRefused:
            return -1  # news: the next piece tells what is the matter

    def _read(
        self, last: int, limit: int, lines: Callable[[StateMoment, ChangedPart, int], FeedLines], begun: int | None
    ) -> FeedPart:
        try:
            with self.state() as moment:
                part, whole = moment.changes(last, limit), moment.head.position if last == 0 else last
                return FeedPart(*lines(moment, part, whole if begun is None else begun), part.upto, moment.head)
        except StateRefused as refused:
            raise StoreUnavailable(f"the state cannot be read: {refused}") from refused

    def _standings(self, moment: StateMoment, part: ChangedPart, since: int) -> FeedLines:
        """What stands of keys, and of those around what changed behind `since`: a snapshot tells of all anyway. A
        screen that is voided changes what stands of all who said yes there, of whom nobody keeps a list: whoever knows
        only what was before begins anew.
        """
        now, lines, told = milliseconds(self.consent.clock()), list[FeedLine](), set[bytes]()
        for at, places in part.changed:
            around = moment.beyond(places) if at > since else ()
            keys = [place for place in places if len(place) == KEY_BYTES]
            keys = [key for key in {**dict.fromkeys(keys), **dict.fromkeys(around)} if key not in told]
            told.update(keys)
            # Each before the last: whoever was cut off behind it goes on with all of this position
            lines += [(at - 1, _standing(moment, key, now, at - 1)) for key in keys]
            if keys:
                lines[-1] = at, lines[-1][1] | {"seq": at}
        self._date(lines)
        return lines, max(part.floor, moment.head.voided)

    def _date(self, lines: list[FeedLine]) -> None:
        """`at` of each: when the entry was made that changed it last, where it was one."""
        wanted = {line["at"] for _, line in lines} - {None}
        with ledger_snapshot(self.writer.store) as db:
            made = LedgerLog(db).times(wanted) if wanted else {}
        for _, line in lines:
            at = made.get(line["at"])
            line["at"] = wire.stamp(moment(at)) if at is not None else None


def _standing(state: StateMoment, key: bytes, now: int, seq: int) -> dict[str, Any]:
    """What stands of a key, but for the time: the position of its last change stands for that."""
    found, packed = state.standing(key, now), state.packed(key)
    line = {"seq": seq, "key": b64encode(key).decode(), "purposes": {}, "age_band": None, "at": None}
    if found is None or packed is None:
        return line | {"gone": True}
    own = found.own & OUT_BITS | yes_bits(found, youngest(None, [found]))
    said = {"purposes": _purposes(own, found.travelled), "age_band": found.age_band}
    return line | said | {"at": own_change_at(packed)}


def _places(moment: StateMoment, part: ChangedPart, _: int) -> FeedLines:
    """Rows and edges, and what lies beside the rows of accounts of many."""
    lines, accounts = list[FeedLine](), set[bytes]()
    for at, places in part.changed:
        crowds = [moment.crowd(each) for each in {place[:KEY_BYTES] for place in places} - accounts]
        accounts.update(place[:KEY_BYTES] for place in places)
        lines += [(at, place_line(place, moment.packed(place))) for place in places]
        lines += [(at, place_line(place, packed)) for place, packed in crowds if packed is not None]
    return lines, part.floor


def _shown(line: dict[str, Any], *, snapshot: bool) -> dict[str, Any]:
    return line | {"snapshot": True} if snapshot else line


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
    return of.renews(challenge, asked.holder, asked.applied, asked.log, asked.root, leave=asked.leave)


def _is_root(log: LedgerLog, position: int, stated: str) -> bool:
    """Whether that is the log's at a position; whoever states none is believed."""
    found = log.root(position)
    return not stated or (found is not None and found.hex() == stated)


def _snapshot_lines(piece: FeedPart, many: int) -> bytes:
    """With the end where it is the last piece; `many`: lines of all."""
    lines = [_shown(line, snapshot=True) for _, line in piece.lines]
    ended = [] if piece.more else [{"end": True, "count": many, **piece.head()}]
    return b"".join(orjson.dumps(line) + b"\n" for line in [*lines, *ended])


def _events(piece: FeedPart, to: FeedAsked | None, after: int, number: int, *, snapshot: bool) -> bytes:
    """The piece of a number, of the stream to somebody who asked from a seq on."""
    told = [(seq, orjson.dumps(_shown(line, snapshot=snapshot and not to))) for seq, line in piece.lines]
    head = piece.head()
    if to:
        head["state"] = b64encode(piece.state.pack()).decode()
        lines = Lines(line for _, line in told).digest()
        head["tag"] = to.tags.piece(to.challenge, after, number, lines, head)
    rows = [_event(seq, line) for seq, line in told]
    return b"".join([*rows, b"event: head\n", _event(piece.upto, orjson.dumps(head))])


def _event(seq: int, content: bytes) -> bytes:
    return b"id: %d\ndata: " % seq + content + b"\n\n"


def _number(request: Request, name: str, unsaid: int, most: int) -> int:
    stated = request.query_params.get(name, str(unsaid))
    if not stated.isascii() or not stated.isdecimal() or len(stated) > wire.DIGITS or int(stated) > most:
        raise Problem("malformed", f"{name} is a whole number up to {most}")
    return int(stated)
