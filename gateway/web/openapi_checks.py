"""The descriptions of the calls that answer whether data may go, and that are told what became of it. Part of
`gateway.web.openapi`.
"""

from typing import Any

from gateway.reporting import OUTCOMES
from gateway.terms import Answer, DataClass, Purpose, Reason
from gateway.web import wire
from gateway.web.openapi_calls import ALL
from gateway.web.openapi_calls import call as _call
from gateway.web.openapi_calls import json_of as _json
from gateway.web.openapi_calls import ref as _ref
from gateway.web.openapi_calls import words as _words

VERDICT: dict[str, Any] = {
    "type": "object",
    "required": ["allowed", "partly", "data", "reason", "rule", "place", "because"],
    "properties": {
        "allowed": {"type": "boolean"},
        "partly": {"type": "boolean"},
        "data": {"type": "object", "additionalProperties": _words(Answer)},
        "reason": _words(Reason),
        "rule": {"type": "string"},
        "place": {"type": "string"},
        "because": {"type": "object"},
        "decision": {"type": "string", "description": "the id of this answer, for /v1/disclosures"},
        "downstream": {"type": "object", "description": "what the recipient is to be told, in every form it reads"},
    },
}
STEP: dict[str, Any] = {
    "type": "object",
    "description": "one rule that was tried; answer null: it had no opinion, and the next was asked",
    "properties": {
        "purpose": _words(Purpose), "class": _words(DataClass), "rule": {"type": "string"}, "asks": {"type": "string"},
        "answer": {"enum": [*Answer, None]}, "reason": _words(Reason), "cites": {"type": "string"},
    },
}  # fmt: skip
BIDDERS: list[dict[str, Any]] = [
    {"name": "recipient", "in": "query", "required": True, "schema": {"type": "array", "items": {"type": "string"},
     "minItems": 1, "maxItems": wire.MAX_RECIPIENTS}},
    *({"name": name, "in": "query", "schema": {"type": "string"}} for name in ("place", "age", "purpose")),
    *({"name": name, "in": "query", "schema": {"type": "string", "enum": ["1", "0"]}}
      for name in ("dry_run", "will_send")),
]  # fmt: skip
SHAPES = {"Step": STEP, "Verdict": VERDICT}
WARNING = {"Gateway-Warning": {"schema": {"type": "string"}, "description": "what was asked for and is not configured"}}


def _explained() -> dict[str, Any]:
    call = _call("The verdict, and every rule that was tried", {}, body=_ref("Explain"), errors=(*ALL, "503"))
    tried = {"type": "object", "properties": {"tried": {"type": "array", "items": _ref("Step")}}}
    shape = {"allOf": [_ref("Verdict"), tried]}
    call["responses"]["200"] = {"description": "the verdict and the chain", "content": _json(shape)}
    return call


def _many() -> dict[str, Any]:
    checks = {"type": "array", "items": _ref("Check"), "maxItems": wire.MAX_LINES}
    shared = {
        "type": "object",
        "required": ["checks"],
        "properties": {
            "defaults": {
                "type": "object",
                "description": "a check that all have in common: what both say of the person is joined and the stricter"
                " holds; what is asked is the check's own",
            },
            "checks": checks,
        },
    }
    call = _call("Many checks, answered in order", {}, body={"anyOf": [checks, shared]}, lines=True, errors=ALL)
    answers = {"type": "array", "items": {"type": "object"}}
    lines = {wire.NDJSON: {"schema": {"type": "string"}}}
    call["responses"]["200"] = {"description": "a verdict each", "content": {**_json(answers), **lines}}
    return call


def _bid() -> dict[str, Any]:
    headers = WARNING | {
        name: {"schema": {"type": "string"}}
        for name in (
            "Gateway-Verdict", "Gateway-Reason", "Gateway-Removed", "Gateway-Decision", "Gateway-Valid-For-Ms",
            "Gateway-Dry-Run",
        )
    }  # fmt: skip
    call = _call(
        "What may be sent of a bid request", {}, body={"type": "object"}, errors=(*ALL, "503"), parameters=BIDDERS
    )
    content = _json({"type": "object"})
    call["responses"]["200"] = {
        "description": (
            "the request, or patches by recipient. Gateway-Verdict: allow; reduced, it still tells of a person;"
            " contextual, nobody is in it; block, nothing may be sent. Any other word reads block."
        ),
        "headers": headers,
        "content": content,
    }
    return call


RESULTS = ("recorded", "repeated", "denied", "expired", "unknown", "malformed")


def _reported() -> dict[str, Any]:
    call = _call("What became of answers", {}, body=_ref("Disclosure"), lines=True, errors=(*ALL, "503"))
    told = f"a line a report with its `result`, {', '.join(RESULTS)}; then the end"
    call["responses"]["200"] = {"description": told, "content": {wire.NDJSON: {"schema": {"type": "string"}}}}
    call["description"] = (
        f"outcome: {', '.join(sorted(OUTCOMES))}. Of a decision (scope check); or of rows that were handed back (scope"
        " share): of a job all of them, of an id with its job or recipient one. Those answer with `rows`, how many"
    )
    return call


def paths() -> dict[str, Any]:
    checked = _call("May this data go to this recipient now?", {}, body=_ref("Check"), errors=(*ALL, "503"))
    checked["responses"]["200"] = {
        "description": "the verdict, yes or no", "headers": WARNING, "content": _json(_ref("Verdict")),
    }  # fmt: skip
    return {
        "/v1/check": {"post": checked},
        "/v1/checks": {"post": _many()},
        "/v1/openrtb": {"post": _bid()},
        "/v1/explain": {"post": _explained()},
        "/v1/disclosures": {"post": _reported()},
    }
