"""Shapes and calls of /openapi.json for apps: what a phone observes, what holds for whom it proves to be, and the
constants of a first start without network (I22). `gateway.web.openapi` puts them together.
"""

from typing import Any

from gateway.choice.downstream import opted_out
from gateway.terms import CHOOSABLE
from gateway.web.apps import LIMITED, START, STOP
from gateway.web.openapi_calls import ALL, KEPT, answers, call, ref
from gateway.web.openapi_records import IGNORED, STILL_OUT

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
SHAPES = {"Observation": OBSERVATION, "StandingRequest": ASKED, "Standing": HOLDS}


def constants() -> dict[str, Any]:
    """What an app goes by before any answer: everybody is opted out, and no SDK starts."""
    return {"store": opted_out().for_store(), "sdks": STOP, "device": None}


def paths() -> dict[str, Any]:
    """The calls."""
    observe = call("Signals without a person's act", HEARD, body=OBSERVED, errors=(*ALL, "503"))
    for code, text in HEARD.items():
        answers(observe, code, text, "Observation")
    asked = call("What holds for whom the call proves", {}, body=ref("StandingRequest"), errors=(*ALL, "422", "503"))
    answers(asked, "200", "the standing of now", "Standing")
    return {"/v1/observe": {"post": observe}, "/v1/standing": {"post": asked}}
