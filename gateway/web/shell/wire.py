"""Shapes on the wire and how bodies become them, for every door. Strict where a slip could allow (check, shares),
lenient where it could lose an opt-out (choices, links).

In one JSON object a name may stand twice: of two, one reader takes the first and another the last, and the one that was
not taken may be the opt-out (RFC 8259 section 4 leaves it open, RFC 7493 forbids it). Where a slip could allow, such a
body is refused. Where it could lose an opt-out, both are kept: lists and objects are joined, and what differs otherwise
has no one value and reads as one of a wrong type.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeVar, cast
from zlib import MAX_WBITS, decompressobj
from zlib import error as ZlibError  # noqa: N812 - zlib's own name is lower case

import msgspec
import orjson
from msgspec import Meta
from starlette.datastructures import Headers, QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from gateway.choice import coarsening
from gateway.choice.law import AGES, band_of
from gateway.signals.hear import KNOWN
from gateway.signals.lines import MARK, Cutter, Line, of_body
from gateway.web.shell.problem import Problem

DIGITS = 20  # of a number in a URL: more than any that we give
ANYBODYS = "anybodys_key"  # scope["state"] key: the caller's key is none, or one that anybody may hold
Members = tuple[tuple[str, object], ...]  # of one object, as they came: nothing else in JSON is read as a tuple
ESCAPED_QUOTE = rb"\u0022"  # is written back as \", so quotes cannot be counted
LONGEST_NAME = 64  # of a name in an error's text


def _quotes(found: object) -> int:
    try:
        return orjson.dumps(found).count(b'"')
    except orjson.JSONEncodeError:  # deeper than it writes, 254: what is nested so would end a reader's own stack
        raise _too_deep() from None


def _too_deep() -> Problem:
    return Problem("malformed", "not JSON: nested too deeply")


def _said_once(body: bytes) -> Any:
    return json.loads(body, object_pairs_hook=_refuse, parse_int=orjson.loads)


def _refuse(members: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in members:
        if name in found:
            raise Problem("malformed", f"`{name[:LONGEST_NAME]}` stands twice in one object: say it once")
        found[name] = value
    return found


def _kept(body: bytes) -> Any:
    """From the outside in, so that each value is put where it stays: from the inside out, what lies at the bottom of
    two chains of one name would be copied once a level.
    """
    return _all([json.loads(body, object_pairs_hook=tuple, parse_int=orjson.loads)])


def _join(objects: Iterable[Members]) -> dict[str, object]:
    said: dict[str, list[object]] = {}
    for members in objects:
        for name, value in members:
            said.setdefault(name, []).append(value)
    return {name: _all(values) for name, values in said.items()}


def _all(values: list[object]) -> object:
    """What was said under one name, where null says nothing."""
    values = [value for value in values if value is not None] or [None]
    if all(isinstance(value, tuple) for value in values):
        return _join(cast("list[Members]", values))
    if any(isinstance(value, list) for value in values):
        return _each(each for value in values for each in (value if isinstance(value, list) else [value]))
    first = values[0]
    return first if all(type(value) is type(first) and value == first for value in values) else _each(values)


def _each(values: Iterable[object]) -> list[object]:
    return [_all([value]) if isinstance(value, list | tuple) else value for value in values]


T = TypeVar("T")
JSON = "application/json"
NDJSON = "application/x-ndjson"
MAX_BODY = 8 * 2**20
# Unpacked, of a call with a publishable key, which anybody may hold: a phone's has some 2 kB, and `MAX_IDENTIFIERS`
# addresses as SHA-256 have some 100 kB.
MAX_APP_BODY = 128 * 1024
IDENTITY, GZIP = "identity", "gzip"  # the Content-Encodings that are read
MAX_LINES = 10_000
PIECE = 64 * 1024  # of a body that is unpacked as it comes
MAX_IDENTIFIERS = 1000  # of one choice or link: one transaction
MAX_ASKED = 256  # identifiers of one check
MAX_RECIPIENTS = 64
AT_ONCE = 16  # identifiers of a call with a publishable key, which anybody may hold: a phone names fewer
# Of an OpenRTB geo object, and what else a point may be called (`gateway.choice.coarsening`).
GEO = frozenset({
    "lat", "lon", "type", "accuracy", "lastfix", "ipservice", "country", "region", "regionfips104", "metro", "city",
    "zip", "utcoffset", "ext", *coarsening.KINDS,
})  # fmt: skip
NOTHING_MORE: Mapping[str, str] = {}
TIMING = b"verdict;dur=%.2f"  # a Server-Timing, in milliseconds
NO_STORE, OF_JSON = (b"cache-control", b"no-store"), (b"content-type", JSON.encode())


def described_as(shape: object) -> Meta:
    """What the description says of a member whose door refuses in words of its own, or writes it ready: this shape."""
    return Meta(extra_json_schema=msgspec.json.schema(shape))


def one_of(words: Iterable[str]) -> Meta:
    """The same of a member that is one of some words."""
    return described_as(Literal.__getitem__(tuple(map(str, words))))


Time = Annotated[str, described_as(Annotated[datetime, Meta(tz=True)])]
Day = Annotated[str, described_as(date)]
TimeOrDay = Annotated[str, Meta(description="an RFC 3339 time or date")]
Whole = Annotated[int, described_as(Annotated[int, Meta(ge=0)])]


class StrictShape(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    pass


class Identifier(StrictShape, frozen=True):
    """One typed value; `source` for cookie and eid."""

    type: str
    value: str | int
    source: str | None = None


class LenientIdentifier(msgspec.Struct):
    """One typed value; `source` for cookie and eid. One that cannot be used is listed, and costs the others nothing."""

    type: str
    value: str | int
    source: str | None = None


Identifiers = Annotated[
    list[LenientIdentifier], described_as(Annotated[list[Any], Meta(min_length=1, max_length=MAX_IDENTIFIERS)])
]  # of a call of the desk
Place = Annotated[str | list[str] | None, Meta(description="a country or a state (ISO 3166), or several; null: unsaid")]
AgeBand = Annotated[str, one_of(AGES)]
Age = Annotated[int | AgeBand | None, Meta(description="years or a band; what is on record only gets younger")]
OneCountry = Annotated[str | list[str] | None, Meta(description="national phone numbers are read in its country")]


class CookiesEncoded(msgspec.Struct):
    """Cookies as base64 of their bytes."""

    b64: str


Flag = Literal[0, 1]


class ScriptSignals(msgspec.Struct):
    """What a page's script may say. Cookies and device flags it is not asked for: the request and the app say those."""

    gpc: Literal[1] | bool | str | None = None
    gpp: str | None = None
    gpp_sid: list[int | str] | str | int | None = None
    us_privacy: str | None = None
    tc: str | None = None
    gdpr: Flag | str | None = None
    ac: str | None = None
    adchoices: str | None = None


class SignalsBody(ScriptSignals):
    """What was said beside the call; it can only tighten. `stored`: the IAB keys that an app found. What is of another
    type is malformed, and denies.
    """

    cookies: Annotated[str | CookiesEncoded | None, Meta(description='one code point a byte, or {"b64": "..."}')] = None
    stored: dict[str, Any] | None = None
    att: Literal[0, 1, 2, 3] | str | None = None
    lmt: Flag | str | None = None
    dnt: Flag | str | None = None
    age_bracket: str | int | None = None


class IgnoredMember(msgspec.Struct):
    """A member that could not be used: a JSON pointer to it, and why."""

    pointer: str
    reason: str


def plain(identifiers: Sequence[Identifier]) -> list[dict[str, object]]:
    """Identifiers as the inner rooms take them."""
    return [{"type": item.type, "value": item.value, "source": item.source} for item in identifiers]


class Check(StrictShape, frozen=True):
    """The body of POST /v1/check."""

    identifiers: Annotated[list[Identifier], msgspec.Meta(max_length=MAX_ASKED)]
    recipient: str | None = None
    recipients: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_RECIPIENTS)] | None = None
    purpose: str | None = None
    data: Annotated[list[str], msgspec.Meta(min_length=1, max_length=64)] | None = None
    place: str | list[str] | None = None
    geo: dict[Annotated[str, one_of(GEO)], Any] | None = None
    ip: str | None = None
    age: Annotated[int, msgspec.Meta(ge=0, le=150)] | AgeBand | None = None
    count: Annotated[int, msgspec.Meta(ge=0)] | None = None
    collected: str | None = None
    during_call: bool = False
    signals: dict[Annotated[str, one_of(KNOWN)], Any] | None = None
    ref: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    dry_run: bool = False
    will_send: bool = False


CHECK_OF = msgspec.json.Decoder(Check).decode


def plain_check(body: bytes) -> Check | None:
    """A check that is written as most are: no escapes, no name twice, nothing said that goes without saying. None for
    any other body, which may be one all the same: `parse_body` and `convert` read it. It is written back as by them:
    so quotes are counted, and what is nested too deeply or a number of more than 64 bits is none here either.
    """
    try:
        found = None if b"\\" in body else CHECK_OF(body)
        return found if found is not None and body.count(b'"') == json_of(found).count(b'"') else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, orjson.JSONEncodeError):
        return None


class Joined(Check, frozen=True, kw_only=True):
    """A check with what its call says of every person in it, `shared`; no body has this shape."""

    shared: Check


Word = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Disclosure(StrictShape, frozen=True, kw_only=True):
    """One line of POST /v1/disclosures: of a `decision`; or of rows that were handed back, by `job` all of them, by
    `id` (with `job` or `recipient`) one of them, with its line's `mark` as it was handed back there. `outcome` is read
    in the door, `at` is the caller's time.
    """

    decision: Word | None = None
    job: Word | None = None
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None
    recipient: Word | None = None
    mark: Word | None = None
    outcome: str
    at: str | int | None = None


class Explain(Check, frozen=True):
    """The body of POST /v1/explain: a check, and perhaps the moment at which it is to be answered."""

    at: str | None = None


class Row(StrictShape, frozen=True):
    """One row of POST /v1/shares/{recipient}."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    identifiers: Annotated[list[Identifier], msgspec.Meta(max_length=64)]
    data: dict[str, Any]
    at: str | int | None = None
    count: Annotated[int, msgspec.Meta(ge=0)] | None = None
    during_call: bool = False
    place: str | list[str] | None = None
    age: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=150)] | AgeBand | None,
        msgspec.Meta(description="beside what `data` says of it; the youngest counts"),
    ] = None


def parse_body(body: bytes, *, lenient: bool = False) -> Any:
    """JSON of any shape. A name that stands twice in one object is refused, or `lenient`, where a choice or a signal
    may be lost with it, everything that was said under it is kept. Names that were dropped took their quotes along:
    writing what was read and counting costs a thousandth of reading it in Python. Raises `Problem`.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem("malformed", f"not JSON: {error.msg} at {error.pos}") from None
    quotes = _quotes(found)
    if ESCAPED_QUOTE not in body and body.count(b'"') == quotes:
        return found
    try:
        found = _kept(body) if lenient else _said_once(body)
    except RecursionError:  # in what was dropped
        raise _too_deep() from None
    _quotes(found)
    return found


def as_object(value: object, what: str) -> dict[str, Any]:
    """A JSON object. Raises `Problem`. `what`: what it is in its call."""
    if not isinstance(value, dict):
        raise Problem("malformed", f"{what} is a JSON object")
    return value


def word_of(stated: object, name: str, words: Iterable[str]) -> str:
    """A member that is one of some words. Raises `Problem`."""
    if not isinstance(stated, str) or stated not in tuple(words):
        raise Problem("malformed", f"{name} is one of {', '.join(words)}", f"/{name}")
    return stated


def refuse_others(said: Iterable[str], known: Iterable[str], why: str, under: str = "") -> None:
    """Raises `Problem` for a name that is none of the known ones: what is misspelt must not allow."""
    if unknown := set(said).difference(known):
        raise Problem("unknown_member", why, f"{under}/{min(unknown)[:64]}")


def names_in(shape: type[msgspec.Struct]) -> frozenset[str]:
    """The members that a body has, for a door that reads them one by one."""
    return frozenset(shape.__struct_encode_fields__)


def convert(value: object, shape: type[T]) -> T:
    """A strict shape. The problem names the member and never quotes a value."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        text = str(error)
        kind = "unknown_member" if "unknown field" in text else "malformed"
        where = text.rpartition(" - at `")[2].rstrip("`") if " - at `" in text else "$"
        if kind == "unknown_member":
            where += "." + text.partition("`")[2].partition("`")[0][:64]
        pointer = where.replace("$", "", 1).replace(".", "/").replace("[", "/").replace("]", "")
        raise Problem(kind, text, pointer) from None


def youngest(*bands: str | None) -> str | None:
    """Of what several say of one person."""
    return min([each for each in bands if each is not None], key=AGES.index, default=None)


def band(age: object) -> str | None:
    """An age in years, or a band, as a band. Raises `Problem`."""
    if age is None:
        return None
    if isinstance(age, int) and not isinstance(age, bool):
        return band_of(age)
    if not isinstance(age, str) or age not in AGES:
        raise Problem("malformed", f"age is a number of years or one of {', '.join(AGES)}", "/age")
    return age


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    moment = at if at.tzinfo is UTC else at.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(stated: object) -> datetime | None:
    """An RFC 3339 time, in UTC, also where it names no zone; None where it cannot be read."""
    try:
        found = datetime.fromisoformat(stated) if isinstance(stated, str) else None
        return found and (found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):  # the first and last hours of what a calendar holds, in another zone
        return None


def since_1970(stated: int) -> datetime | None:
    """Epoch milliseconds as a time; None where no calendar has it."""
    try:
        return datetime.fromtimestamp(stated / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def day(stated: str | None, pointer: str) -> date | None:
    """The UTC day of an RFC 3339 time or date. Raises `Problem`."""
    if stated is None:
        return None
    found = moment(stated)
    if found is None:
        raise Problem("malformed", "an RFC 3339 time or date", pointer)
    return found.date()


def known_signals(signals: Mapping[str, object] | None) -> Mapping[str, object]:
    """A misspelt signal must not allow: an unknown one is the caller's fault."""
    refuse_others(signals or (), KNOWN, "unknown signal", "/signals")
    return signals or {}


def known_geo(geo: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """A misspelt `country` must not allow, either."""
    refuse_others(geo or (), GEO, "geo has no such member in OpenRTB", "/geo")
    return geo


async def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """The whole body, gunzipped where it says so. 413 past the limit, before or after unpacking; of a key that anybody
    may hold past `MAX_APP_BODY`, whichever door it is.
    """
    if request.scope.get("state", {}).get(ANYBODYS):
        limit = min(limit, MAX_APP_BODY)
    declared, zipped, body = request.headers.get("content-length", "0"), _is_zipped(request), bytearray()
    if declared.isascii() and declared.isdigit() and int(declared[:19]) > limit:
        raise Problem("too_large", f"a body has at most {limit} bytes")
    if zipped:
        async for chunk in _gunzip(request.stream()):
            _append(body, chunk, limit)
    more = not zipped
    while more:  # what comes by `stream` costs three times as much
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        _append(body, message.get("body", b""), limit)
        more = message.get("more_body", False)
    return bytes(body).removeprefix(MARK)  # RFC 8259 8.1: JSON has none, and its readers may pass over one


def _append(body: bytearray, chunk: bytes, limit: int) -> None:
    body += chunk
    if len(body) > limit:
        raise Problem("too_large", f"a body has at most {limit} bytes, unpacked")


def _is_zipped(request: Request) -> bool:
    encoding = content_encoding(request.scope)
    if encoding not in {IDENTITY, GZIP}:
        raise Problem("unsupported_media_type", "Content-Encoding is identity or gzip")
    return encoding == GZIP


def content_encoding(scope: Scope) -> str:
    """What a request says of its body, for whoever unpacks it and for the queue that counts what is in it."""
    return Headers(scope=scope).get("content-encoding", IDENTITY).strip().lower()


async def beginning(request: Request, most: int) -> bytes:
    """The body as it came, to its end, or as far as it takes to see that it is longer than `most`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            break
    return bytes(body)


def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes, gunzipped where it says so, in pieces of at most `PIECE` bytes unpacked."""
    return _gunzip(request.stream()) if _is_zipped(request) else request.stream()


async def _gunzip(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """One member after the other: a file made by `cat a.gz b.gz` has two (RFC 1952)."""
    unpack = decompressobj(MAX_WBITS | 16)
    try:
        async for chunk in chunks:
            rest = chunk
            while rest:
                if unpack.eof:
                    unpack = decompressobj(MAX_WBITS | 16)
                yield unpack.decompress(rest, PIECE)
                await asyncio.sleep(0)  # a megabyte may unpack to a thousand
                rest = unpack.unconsumed_tail or unpack.unused_data
    except ZlibError:
        raise Problem("malformed", "not gzip") from None
    if not unpack.eof:
        raise Problem("malformed", "the gzip stream ends early")


async def lines_as_they_come(chunks: AsyncIterator[bytes], longest: int) -> AsyncIterator[Line]:
    """The lines of NDJSON without end, empty ones passed over. One that is longer is cut off, and then reads as what it
    is: malformed.
    """
    cutter = Cutter(longest)
    async for chunk in chunks:
        for line in filter(_says, cutter.lines(chunk)):
            yield line
    for line in filter(_says, cutter.rest()):
        yield line


def lines_in(body: bytes) -> list[Line]:
    """The lines of NDJSON, empty ones passed over and counted: each has the number by which its sender finds it."""
    return list(filter(_says, of_body(body)))


def _says(line: Line) -> bool:
    """Whether anything stands in it; of one that was cut off, nobody knows."""
    return line.cut or bool(line.text.strip())


def media_type(request: Request) -> str:
    return request.headers.get("content-type", JSON).partition(";")[0].strip().lower()


def require_json(request: Request, *, lines: bool = False) -> bool:
    """True for NDJSON. A form type that a browser can send without asking first is refused (V5)."""
    kind = media_type(request)
    if kind == JSON or (lines and kind in {NDJSON, "application/jsonl", "application/ndjson"}):
        return kind != JSON
    raise Problem("unsupported_media_type", f"send {JSON}" + (f" or {NDJSON}" if lines else ""))


def lines_of(body: bytes, most: int = MAX_LINES) -> list[Line]:
    """The same, 413 for too many, before any is taken."""
    lines = lines_in(body)
    if len(lines) > most:
        raise Problem("too_large", f"at most {most} lines a call")
    return lines


def placed(told: dict[str, Any], line: Line) -> dict[str, Any]:
    """What is told of a line, with its number where it was refused."""
    return {**told, "line": line.number} if "problem" in told else told


def flags_of(query: QueryParams, *names: str, others: frozenset[str] = frozenset()) -> dict[str, bool]:
    """Parameters that are 1 or 0; 0 where they are not said. Raises `Problem` for anything else, and for a parameter
    that is not known: a misspelt `dry_run` must not send.
    """
    unknown = sorted(set(query) - {*names, *others})
    if unknown:
        raise Problem("unknown_member", f"unknown parameter {unknown[0][:64]}")
    for name in names:
        said = set(query.getlist(name))
        if len(said) > 1 or not said <= {"0", "1"}:
            raise Problem("malformed", f"{name} is 1 or 0")
    return {name: query.get(name) == "1" for name in names}


def no_parameters(request: Request) -> None:
    """Of a call that says all in its body: `?age=12` that nobody reads must not allow. Raises `Problem`."""
    if request.scope["query_string"]:
        raise Problem("unknown_member", "this call has no parameters: say it in the body")


def wire_answer(body: object, status: int = 200, headers: Mapping[str, str] = NOTHING_MORE) -> Response:
    return WireAnswer(json_of(body), status, headers)


class WireAnswer(Response):
    """What is JSON already, its headers as they go out: Starlette takes as long for making them as for the body."""

    media_type = JSON

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str] = NOTHING_MORE) -> None:
        self.status_code, self.body, self.background = status, body, None
        said = {"Cache-Control": "no-store", **headers}.items() if headers else ()
        own = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said] or [NO_STORE]
        self.raw_headers = [*own, (b"content-length", b"%d" % len(body)), OF_JSON]

    def timed(self, began: float) -> Response:
        """The same, which says how long it took. `began`: by `time.perf_counter`."""
        took = (time.perf_counter() - began) * 1000
        self.raw_headers.append((b"server-timing", TIMING % took))
        return self


def json_of(body: object) -> bytes:
    """A struct, or what JSON has, as JSON."""
    return orjson.dumps(body, msgspec.to_builtins)


def lines_answer(lines: list[object]) -> Response:
    return Response(b"".join(json_of(line) + b"\n" for line in lines), 200, {"Cache-Control": "no-store"}, NDJSON)
