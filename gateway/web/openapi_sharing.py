"""Of /openapi.json what brings rows to recipients."""

from typing import Any

from gateway.terms import DataClass
from gateway.web.disclosure_queries import QUESTIONS
from gateway.web.openapi_calls import ALL, answers, call, ref, words
from gateway.web.openapi_records import TEXT, TIME

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
ASKED: dict[str, Any] = {
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
SHAPES = {"Manifest": MANIFEST}
NOBODY = {"x-404": "no such recipient"}


def paths() -> dict[str, Any]:
    return {
        "/v1/shares/{recipient}": {
            "post": call("Rows to a recipient", {"200": LINES}, body=ref("Row"), lines=True,
                         errors=(*ALL, "503"), parameters=SHARED) | NOBODY
        },
        "/v1/shares/{recipient}/jobs/{job}/seal": {
            "post": answers(
                call("A job's rows checked again and put into files", {}, errors=("400", "401", "403", "503"),
                     parameters=[RECIPIENT, NAMED]) | {"x-404": "no such recipient, or no rows wait"},
                "200", "the manifest, and what became of the files", "Manifest")
        },
        "/v1/disclosures/query": {
            "post": call("Who got what: received (of a person, with proof or for the desk), direct_marketing (Cal. Civ."
                         " Code 1798.83), network_information (47 CFR 64.2009), sent_after_opt_out (always empty)",
                         {"200": "disclosures"}, body=ASKED, errors=(*ALL, "503"))
        },
    }  # fmt: skip
