"""The part of /openapi.json about calls that ask whether data may go, that bring rows, and that apps make: what a phone
observes, what holds for whom it proves to be, and the constants of a first start without network (I22). `openapi` puts
the parts together.
"""

from typing import Any

from gateway.choice.downstream import opted_out
from gateway.consent.disclosing import OUTCOMES
from gateway.terms import CHOOSABLE, Answer, DataClass, Purpose, Reason
from gateway.web.api.apps import LIMITED, START, STOP
from gateway.web.api.disclosures import QUESTIONS
from gateway.web.api.openapi_calls import ALL, KEPT, answers, described, json_of, ref, words
from gateway.web.api.openapi_desk import IGNORED, STILL_OUT, TEXT, TIME
from gateway.web.shell import wire

VERDICT: dict[str, Any] = {
    "type": "object",
    "required": ["allowed", "partly", "data", "reason", "rule", "place", "because"],
    "properties": {
        "allowed": {"type": "boolean"},
        "partly": {"type": "boolean"},
        "data": {"type": "object", "additionalProperties": words(Answer)},
        "reason": words(Reason),
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
        "purpose": words(Purpose), "class": words(DataClass), "rule": {"type": "string"}, "asks": {"type": "string"},
        "answer": {"enum": [*Answer, None]}, "reason": words(Reason), "cites": {"type": "string"},
    },
}  # fmt: skip
BIDDERS: list[dict[str, Any]] = [
    {"name": "recipient", "in": "query", "required": True, "schema": {"type": "array", "items": {"type": "string"},
     "minItems": 1, "maxItems": wire.MAX_RECIPIENTS}},
    *({"name": name, "in": "query", "schema": {"type": "string"}} for name in ("place", "age", "purpose")),
    *({"name": name, "in": "query", "schema": {"type": "string", "enum": ["1", "0"]}}
      for name in ("dry_run", "will_send")),
]  # fmt: skip
CHECK_SHAPES = {"Step": STEP, "Verdict": VERDICT}
WARNING = {"Gateway-Warning": {"schema": {"type": "string"}, "description": "what was asked for and is not configured"}}


def _explained() -> dict[str, Any]:
    call = described("The verdict, and every rule that was tried", {}, body=ref("Explain"), errors=(*ALL, "503"))
    tried = {"type": "object", "properties": {"tried": {"type": "array", "items": ref("Step")}}}
    shape = {"allOf": [ref("Verdict"), tried]}
    call["responses"]["200"] = {"description": "the verdict and the chain", "content": json_of(shape)}
    return call


def _many() -> dict[str, Any]:
    checks = {"type": "array", "items": ref("Check"), "maxItems": wire.MAX_LINES}
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
    call = described("Many checks, answered in order", {}, body={"anyOf": [checks, shared]}, lines=True, errors=ALL)
    answers = {"type": "array", "items": {"type": "object"}}
    lines = {wire.NDJSON: {"schema": {"type": "string"}}}
    call["responses"]["200"] = {"description": "a verdict each", "content": {**json_of(answers), **lines}}
    return call


def _bid() -> dict[str, Any]:
    headers = WARNING | {
        name: {"schema": {"type": "string"}}
        for name in (
            "Gateway-Verdict", "Gateway-Reason", "Gateway-Removed", "Gateway-Decision", "Gateway-Valid-For-Ms",
            "Gateway-Dry-Run",
        )
    }  # fmt: skip
    call = described(
        "What may be sent of a bid request", {}, body={"type": "object"}, errors=(*ALL, "503"), parameters=BIDDERS
    )
    content = json_of({"type": "object"})
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
    call = described("What became of answers", {}, body=ref("Disclosure"), lines=True, errors=(*ALL, "503"))
    told = f"a line a report with its `result`, {', '.join(RESULTS)}; then the end"
    call["responses"]["200"] = {"description": told, "content": {wire.NDJSON: {"schema": {"type": "string"}}}}
    call["description"] = (
        f"outcome: {', '.join(sorted(OUTCOMES))}. Of a decision (scope check); or of rows that were handed back (scope"
        " share): of a job all of them, of an id with its job or recipient one. Those answer with `rows`, how many"
    )
    return call


def check_paths() -> dict[str, Any]:
    checked = described("May this data go to this recipient now?", {}, body=ref("Check"), errors=(*ALL, "503"))
    checked["responses"]["200"] = {
        "description": "the verdict, yes or no", "headers": WARNING, "content": json_of(ref("Verdict")),
    }  # fmt: skip
    return {
        "/v1/check": {"post": checked},
        "/v1/checks": {"post": _many()},
        "/v1/openrtb": {"post": _bid()},
        "/v1/explain": {"post": _explained()},
        "/v1/disclosures": {"post": _reported()},
    }


HEARD = {"200": "heard, and kept where that was news, which is not told", "202": KEPT}
PLACE = {"type": ["string", "array", "null"]}
AGE = {"type": ["string", "integer", "null"], "description": "as the platform tells it: years or a band"}
PROOF = {
    "type": ["object", "array", "null"],
    "description": "one, or up to four: kind account (assertion), attestation (token), device (token), code (code,"
    " ticket), browser (cookie); with scope desk desk (note), parent (method)",
}
DEVICE = {"type": ["string", "null"], "description": "the token of the last answer; null: none yet"}
STORE = {
    "type": "object",
    "description": "keys for the phone's shared preferences, each with the type to write; null: remove it",
    "additionalProperties": {"type": ["string", "integer", "null"]},
}
SDKS = {
    "type": "object",
    "description": "by recipient; a word that is not known is stop. stop: do not start it; where it runs, shut it down"
    " and delete its stored id. limited: without what is denied. Until the first answer, and offline: stop",
    "additionalProperties": {"enum": [START, LIMITED, STOP]},
}
TOLD: dict[str, Any] = {
    "store": STORE, "store_opted_out": STORE, "sdks": SDKS,
    "device": {"type": "string", "description": "to keep and to send with the next call; in answers to apps"},
}  # fmt: skip
WORD = {"enum": ["opted_out", "opted_in", "none", "unknown"]}
STATES = {"type": "object", "additionalProperties": WORD}
OBSERVED: dict[str, Any] = {
    "type": "object",
    "description": "Lenient: what cannot be used is listed in `ignored`.",
    "properties": {
        "identifiers": {
            "type": "array",
            "items": ref("Identifier"),
            "description": "A secret key's one account and its browsers are tied. Browser `new` makes one for `host`:"
            " the answer has the `cookie` to set.",
        },
        "signals": ref("Signals"), "place": PLACE, "source": {"type": "string"}, "age": AGE, "device": DEVICE,
        "proof": PROOF,
    },
}  # fmt: skip
OBSERVATION: dict[str, Any] = {
    "type": "object",
    "required": ["standing", "store", "store_opted_out", "sdks", "ignored"],
    "properties": {
        "standing": STATES, **TOLD, "ignored": IGNORED, "cookie": {"type": "object"},
    },
}  # fmt: skip
ASKED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "identifiers": {"type": "array", "items": ref("Identifier")},
        "proof": PROOF, "device": DEVICE, "place": PLACE, "age": AGE,
    },
}  # fmt: skip
HOLDS: dict[str, Any] = {
    "type": "object",
    "required": ["standing", "may_ask_from", "still_out", "store", "store_opted_out", "sdks", "ignored"],
    "description": "`standing`, `may_ask_from` and `still_out` are of what was proved; the rest obeys all that was"
    " named. Of what a publishable key names and does not prove, all of it is that of somebody who said no.",
    "properties": {
        "standing": {"type": "object", "properties": {purpose.value: WORD for purpose in CHOOSABLE}},
        "may_ask_from": {
            "type": "object",
            "description": "null: never opted out. Nobody asks before that moment",
            "additionalProperties": {"type": ["string", "null"], "format": "date-time"},
        },
        "still_out": STILL_OUT, **TOLD, "ignored": IGNORED,
    },
}  # fmt: skip
APP_SHAPES = {"Observation": OBSERVATION, "StandingRequest": ASKED, "Standing": HOLDS}


def constants() -> dict[str, Any]:
    """What an app goes by before any answer: everybody is opted out, and no SDK starts."""
    return {"store": opted_out().for_store(), "sdks": STOP, "device": None}


def app_paths() -> dict[str, Any]:
    """The calls of apps."""
    observe = described("Signals without a person's act", HEARD, body=OBSERVED, errors=(*ALL, "503"))
    for code, text in HEARD.items():
        answers(observe, code, text, "Observation")
    asked = described(
        "What holds for whom the call proves", {}, body=ref("StandingRequest"), errors=(*ALL, "422", "503")
    )
    answers(asked, "200", "the standing of now", "Standing")
    return {"/v1/observe": {"post": observe}, "/v1/standing": {"post": asked}}


JOB = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}
RECIPIENT = {"name": "recipient", "in": "path", "required": True, "schema": TEXT}
SHARED: list[dict[str, Any]] = [
    RECIPIENT,
    {"name": "dry_run", "in": "query", "schema": {"type": "string", "enum": ["1", "0"]},
     "description": "1: the real answer, marked, without the rows; nothing leaves"},
    {"name": "Prefer", "in": "header", "description": "return=minimal: the summary alone, any number of rows",
     "schema": TEXT},
    {"name": "Gateway-Job", "in": "header", "description": "a name for what is posted again where it stopped, and under"
     " which it is said what became of rows that were handed back (POST /v1/disclosures)", "schema": JOB},
]  # fmt: skip
LINES = (
    "A line a row, as it is decided: id, outcome (sent, returned, refused, duplicate, unknown, spooled), reason, data;"
    ' row, what the recipient gets of it: in mode return all of it, else its handle alone ({"row": …}); in mode return'
    " valid_until, and again where it was handed back before and nobody said that it was sent; line, its number in the"
    " body, of one that cannot be read, of which the summary lists the first 100 (malformed_lines). Then"
    ' {"summary", "complete": true}; an answer without that is not whole: post the same rows again'
)
NAMED = {"name": "job", "in": "path", "required": True, "schema": JOB}
COUNT = {"type": "integer"}
MANIFEST: dict[str, Any] = {
    "type": "object",
    "required": ["recipient", "job", "rows", "sealed_at", "valid_until", "parts", "outcome"],
    "properties": {
        "recipient": TEXT, "job": TEXT, "rows": COUNT, "sealed_at": TIME,
        "valid_until": {**TIME, "description": "no file may start to be sent later; seal again"},
        "parts": {"type": "array", "items": {"type": "object", "properties": {
            "name": TEXT, "rows": COUNT, "bytes": COUNT, "sha256": TEXT}}},
        "outcome": {"type": "string", "enum": ["sealed", "sent", "unknown"]},
        "refused": {"type": "object", "additionalProperties": COUNT},
        "folder": {"type": ["string", "null"], "description": "below the data folder"},
    },
}  # fmt: skip
SHARES_ASKED: dict[str, Any] = {
    "type": "object",
    "required": ["question"],
    "additionalProperties": False,
    "properties": {
        "question": {"type": "string", "enum": list(QUESTIONS)},
        "identifiers": {"type": "array", "items": ref("Identifier")}, "proof": {"type": ["object", "array", "null"]},
        "place": {"type": ["string", "null"]}, "data": {"type": "array", "items": words(DataClass)},
        "year": {"type": "integer", "description": "of direct_marketing; without it last year"},
        "from": TIME, "until": TIME,
    },
}  # fmt: skip
SHARING_SHAPES = {"Manifest": MANIFEST}
NOBODY = {"x-404": "no such recipient"}


def sharing_paths() -> dict[str, Any]:
    return {
        "/v1/shares/{recipient}": {
            "post": described(
                "Rows to a recipient",
                {"200": LINES},
                body=ref("Row"),
                lines=True,
                errors=(*ALL, "503"),
                parameters=SHARED,
            )
            | NOBODY
        },
        "/v1/shares/{recipient}/jobs/{job}/seal": {
            "post": answers(
                described(
                    "A job's rows checked again and put into files",
                    {},
                    errors=("400", "401", "403", "503"),
                    parameters=[RECIPIENT, NAMED],
                )
                | {"x-404": "no such recipient, or no rows wait"},
                "200",
                "the manifest, and what became of the files",
                "Manifest",
            )
        },
        "/v1/disclosures/query": {
            "post": described(
                "Who got what: received (of a person, with proof or for the desk), direct_marketing (Cal. Civ."
                " Code 1798.83), network_information (47 CFR 64.2009), sent_after_opt_out (always empty)",
                {"200": "disclosures"},
                body=SHARES_ASKED,
                errors=(*ALL, "503"),
            )
        },
    }
