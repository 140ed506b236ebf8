"""Reads calls of the desk, for the desk's doors: one object, or NDJSON with an answer a line, and strict members in
either.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.choice.place import PLACE, country_of
from gateway.consent.people import Named
from gateway.consent.verbs import Consent
from gateway.desk.answered_requests import EARLIEST, HowItCame
from gateway.keys.api_keys import Credentials
from gateway.signals.lines import Line
from gateway.terms import Manner
from gateway.web.shell import auth, problem, wire
from gateway.web.shell.problem import Problem

Take = Callable[[object], Awaitable[dict[str, Any] | msgspec.Struct]]
TOGETHER = 100  # lines that the writer may put into one transaction: alone, each takes 11 to 27 ms of a disk (measured)


async def desk_answer(request: Request, credentials: Credentials, take: Take, nothing: str) -> Response:
    """201 with what `take` makes of the object; of NDJSON a line each. A bad line costs only itself: it did `nothing`,
    the member that counts what was done.
    """
    auth.caller(request, credentials, "desk")
    lines = wire.require_json(request, lines=True)
    body = await wire.read_body(request)
    if not lines:
        return wire.wire_answer(await take(wire.parse_body(body)), 201)

    async def one(_: int, row: bytes) -> object:
        return await take(wire.parse_body(row))

    return await each(wire.lines_of(body), one, {nothing: 0})


async def each(
    rows: Sequence[Line], one: Callable[[int, bytes], Awaitable[object]], nothing: Mapping[str, Any]
) -> Response:
    """A line with what `one` makes of each row and its place among them, in order; of one that is refused its `line`,
    and `nothing`; then the end, which counts both. Rows are begun in order too, and the writer takes what it is handed
    in order, so a number that is released and given on in one call goes the right way. Ages are said in a second step
    of their line: such a body goes line by line.
    """
    together = 1 if any(b'"age"' in row.text or b"\\u" in row.text for row in rows) else TOGETHER

    async def answered(place: int, row: Line) -> tuple[bool, object]:
        try:
            return True, await one(place, row.text)
        except problem.HANDLED as error:
            return False, wire.placed({**nothing, **problem.line(error)}, row)

    answers: list[tuple[bool, object]] = []
    for start in range(0, len(rows), together):
        part = enumerate(rows[start : start + together], start)
        answers += await asyncio.gather(*(answered(place, row) for place, row in part))
    refused = sum(not taken for taken, _ in answers)
    end = {"end": True, "count": len(answers), "refused": refused}
    return wire.lines_answer([*(told for _, told in answers), end])


async def one_object(request: Request, shape: type[wire.StrictShape], what: str) -> Mapping[str, Any]:
    """The members of a call's body, a strict object of JSON. Raises `Problem`."""
    wire.require_json(request)
    return members(wire.parse_body(await wire.read_body(request)), shape, what)


def members(body: object, shape: type[wire.StrictShape], what: str) -> Mapping[str, Any]:
    """The members of a strict object, each for its door to read: it says in words of its own what is wrong with one.
    Raises `Problem`.
    """
    said = wire.as_object(body, what)
    wire.refuse_others(said, wire.names_in(shape), f"{what} has no such member")
    return said


def how_it_came(body: Mapping[str, Any], consent: Consent, *, desk: bool) -> HowItCame:
    """How a request came that somebody makes for a person, by `received_at`, `manner` and `place`: the desk alone says
    the first two. Raises `Problem`.
    """
    stated = {name: body[name] for name in ("received_at", "manner") if body.get(name) is not None}
    if stated and not desk:
        raise Problem("forbidden", f"{min(stated)} wants scope desk", f"/{min(stated)}")
    received, manner = wire.moment(stated.get("received_at")), stated.get("manner", "")
    if "received_at" in stated and (received is None or not EARLIEST <= received <= consent.clock()):
        raise Problem("malformed", "received_at is an RFC 3339 time that was, in 2018 at the earliest", "/received_at")
    if "manner" in stated:
        wire.word_of(manner, "manner", Manner)
    place = body.get("place")
    return HowItCame(received, manner, place if isinstance(place, str) and PLACE.fullmatch(place) else "")


def named(consent: Consent, body: Mapping[str, Any]) -> tuple[Named, list[wire.IgnoredMember]]:
    """Whom `identifiers` names, and which of them cannot be used. Raises `Problem`."""
    items = body.get("identifiers")
    if not isinstance(items, list) or not items:
        raise Problem("malformed", "identifiers is a list with something in it", "/identifiers")
    if len(items) > wire.MAX_IDENTIFIERS:
        raise Problem("too_large", f"at most {wire.MAX_IDENTIFIERS} identifiers a line", "/identifiers")
    found = consent.people.name(items, country_of(body.get("place")))
    return found, [wire.IgnoredMember(f"/identifiers/{index}", word) for index, word in found.ignored]
