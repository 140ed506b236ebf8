"""Building blocks of /openapi.json, for its parts: references, problems, one call with its answers."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from gateway.web.api.health import API
from gateway.web.shell import problem, wire

REF = "#/components/schemas/{name}"
KEY: list[dict[str, list[str]]] = [{"key": []}]


def words(words: Iterable[StrEnum]) -> dict[str, Any]:
    return {"type": "string", "enum": [item.value for item in words]}


def ref(name: str) -> dict[str, str]:
    return {"$ref": REF.format(name=name)}


def json_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def problem_of(text: str) -> dict[str, Any]:
    return {"description": text, "content": {problem.MEDIA_TYPE: {"schema": ref("Problem")}}}


ERRORS = {
    "400": "malformed, or a member that is not known", "401": "no key", "403": "the key lacks the scope, or no proof",
    "408": "the body came too slowly", "409": "as many as may be",
    "410": "begin anew", "413": "too large", "415": "another media type",
    "422": "understood and not possible", "429": "enough codes for now", "502": "it could not be sent",
    "503": "nothing was kept",
}  # fmt: skip
KEPT = "kept durably, entered once the ledger can be written; do not resend"


A_LINE = (
    "one a line; where lines are answered one by one, what is refused says its `line`, counted from 1 with empty ones"
)
FORM_KIND = "application/x-www-form-urlencoded"
ALL = ("400", "401", "403", "413", "415")


def described(
    summary: str, ok: dict[str, str], *, body: dict[str, Any] | None = None, lines: bool = False,
    errors: tuple[str, ...] = (), secured: bool = True, parameters: list[dict[str, Any]] | None = None,
    kind: str = "application/json",
) -> dict[str, Any]:  # fmt: skip
    responses: dict[str, Any] = {code: {"description": text} for code, text in ok.items()}
    responses |= {code: problem_of(ERRORS[code]) for code in errors}
    made: dict[str, Any] = {"summary": summary, "responses": responses, "x-since": API}
    if secured:
        made["security"] = KEY
    if parameters:
        made["parameters"] = parameters
    if body:
        content = {kind: {"schema": body}}
        if lines:
            content[wire.NDJSON] = {"schema": {"type": "string", "description": A_LINE}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def answers(call: dict[str, Any], code: str, text: str, name: str, *, page: bool = False) -> dict[str, Any]:
    """A call whose answer of that status has a shape; or is a `page`."""
    content = json_of(ref(name)) | ({"text/html": {"schema": {"type": "string"}}} if page else {})
    call["responses"][code] = {"description": text, "content": content}
    return call
