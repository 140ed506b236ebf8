"""Errors become RFC 9457 problem documents here, and only here do they get status codes. Every door raises `Problem`. A
"no" is not an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
import orjson
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.consent.choice_result import Refused
from gateway.ledger.acts.idempotency import Mismatch, Used
from gateway.ledger.errors import StoreUnavailable
from gateway.terms import TextUnkeepable

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:consent-gateway:problem:"

# The closed list: kind -> (status, title). Callers switch on `type`.
KINDS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The body cannot be read"),
    "not_http": (400, "Not a request that can be answered"),
    "cut_off": (400, "The request ended before its body did"),
    "unknown_member": (400, "The body has a member that this call does not know"),
    "unauthorized": (401, "No key, or not one of ours"),
    "forbidden": (403, "The key lacks the scope"),
    "proof_required": (403, "Opting in needs proof of control"),
    "cross_site": (403, "The form was sent from another site"),
    "not_loopback": (403, "A development server answers this machine only"),
    "not_found": (404, "There is no such thing here"),
    "method_not_allowed": (405, "Not with this method"),
    "too_slow": (408, "The request came too slowly"),
    "too_many_holders": (409, "As many replicas as may be hold a lease"),
    "changes_gone": (410, "The changes in between are gone: begin with after=0"),
    "too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "Not in this media type"),
    "nothing_usable": (422, "Nothing usable is left of the choice"),
    "too_young": (422, "No opt-in exists below this age"),
    "one_purpose": (422, "Opting in names exactly one purpose"),
    "notice_required": (422, "Opting in needs the notice that was shown"),
    "confirm_unknown": (422, "The confirm token is not known"),
    "confirm_expired": (422, "The confirm token is over"),
    "confirm_used": (422, "The confirm token was used"),
    "job_over": (422, "The job was sealed"),
    "superseded": (422, "An opt-out came later"),
    "too_many_codes": (429, "Enough codes were sent for now"),
    "idempotency_mismatch": (422, "The same Idempotency-Key came with another body"),
    "head_too_large": (431, "The head of the request is too large"),
    "code_not_sent": (502, "The code could not be sent"),
    "store_unavailable": (503, "Nothing is acknowledged; repeat with the same Idempotency-Key"),
    "internal": (500, "A fault of ours"),
}
BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


@dataclass
class Problem(Exception):
    """Raised by a door; `pointer` is a JSON pointer to what is wrong in the body, `because` what else is, as members
    `pointer` and `reason`.
    """

    kind: str
    detail: str
    pointer: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    because: Sequence[Mapping[str, str]] = ()


class ProblemError(Struct):
    """What is wrong with one member: a JSON pointer to it, and why."""

    pointer: str
    detail: str


class ProblemBody(Struct):
    """An RFC 9457 problem document. `instance`: the answer's Gateway-Request."""

    type: Annotated[
        str, Meta(extra_json_schema=msgspec.json.schema(Literal.__getitem__(tuple(map(PREFIX.__add__, KINDS)))))
    ]
    title: str
    status: int
    detail: str
    errors: list[ProblemError] | UnsetType = UNSET
    instance: str | UnsetType = UNSET


def line(error: Exception) -> dict[str, str]:
    """An error as the answer to one line of NDJSON."""
    problem = problem_of(error)
    return {"problem": problem.kind, "detail": problem.detail}


def response(problem: Problem, request_id: str = "") -> Response:
    status, title = KINDS[problem.kind]
    body = ProblemBody(PREFIX + problem.kind, title, status, problem.detail)
    if problem.pointer:
        more = [ProblemError(each["pointer"], each["reason"]) for each in problem.because]
        body.errors = [ProblemError(problem.pointer, problem.detail), *more]
    if request_id:
        body.instance = request_id
    headers = {"Cache-Control": "no-store", **problem.headers}
    if status == 503:  # noqa: PLR2004 - the one status that asks to come again
        headers["Retry-After"] = "1"
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(body, msgspec.to_builtins), status, headers, MEDIA_TYPE)


OF_THE_LEDGER: dict[type[Exception], tuple[str, str]] = {
    Mismatch: ("idempotency_mismatch", "use a new key for another body"),
    Used: ("confirm_used", "a confirm token is good for one opt-in; ask for a new one"),
    TextUnkeepable: ("malformed", "a text has the character U+0000, which cannot be kept"),
}


def problem_of(error: Exception) -> Problem:
    """What an error of the inner rooms means to a caller."""
    match error:
        case Problem():
            return error
        case Refused():
            return Problem(error.kind, str(error))
        case Mismatch() | Used() | TextUnkeepable():
            return Problem(*OF_THE_LEDGER[type(error)])
        case StoreUnavailable():
            return Problem("store_unavailable", str(error))
        case ClientDisconnect():
            return Problem("cut_off", "nothing of it was taken")
        case HTTPException():
            kind = BY_STATUS.get(error.status_code, "malformed")
            return Problem(kind, str(error.detail), headers=dict(error.headers or {}))
        case _:
            return Problem("internal", "the request could not be answered; see the log under this request id")


def stopped() -> Problem:
    """What a request is told that a stop of the service cut off, which waits for nobody for ever."""
    return Problem("store_unavailable", "this was cut off before its answer, and may have been kept all the same")


async def handle_problem(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for all of them."""
    return response(problem_of(error), request.scope.get("state", {}).get("request_id", ""))


HANDLED: tuple[type[Exception], ...] = (
    Problem, Refused, Mismatch, Used, StoreUnavailable, TextUnkeepable, ClientDisconnect, HTTPException,
)  # fmt: skip
