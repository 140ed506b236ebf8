"""Shapes of /openapi.json about a person's own records: the answer to a choice with its receipt, the proof download,
and the access report. Constants only; `gateway.web.openapi` puts them together.
"""

from typing import Any

from gateway.still_out import Where
from gateway.terms import CHOOSABLE

TEXT: dict[str, Any] = {"type": "string"}
WORDS: dict[str, Any] = {"type": "array", "items": TEXT}
TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
TIME_OR_NONE: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}
MAYBE: dict[str, Any] = {"type": ["string", "null"]}
IGNORED: dict[str, Any] = {
    "type": "array",
    "items": {"type": "object", "properties": {"pointer": TEXT, "reason": TEXT}},
}
RECEIPT: dict[str, Any] = {
    "type": ["string", "null"],
    "description": "a C2SP tlog-proof, which names nobody; null: the log cannot be read just now, ask /v1/receipts",
}


def _shape(**members: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these."""
    return {"type": "object", "required": list(members), "properties": members}


STILL_OUT: dict[str, Any] = {
    "type": "array",
    "description": "each no that stands above a yes of what was proved; empty: none does",
    "items": {
        **_shape(
            purpose={"type": "string", "enum": [*CHOOSABLE]},
            where={"type": "string", "enum": [*Where]},
            ends_by={"type": ["string", "null"]},
        ),
        "description": "`where` it was said, seen from what was proved. `ends_by`: the kind of proof whose opt-in ends"
        " it; null: only who says it can stop saying it. Never whose it is, nor since when",
    },
}
CHOSEN: dict[str, Any] = {
    "type": "object",
    "description": "One entry for each identifier; `event`, `seq` and `receipt` are the first one's.",
    "properties": {
        "events": {"type": "array", "items": _shape(event=TEXT, seq={"type": "integer"}, receipt=RECEIPT)},
        "event": MAYBE, "seq": {"type": ["integer", "null"]}, "receipt": RECEIPT, "accepted_at": TIME,
        "effective_at": TIME_OR_NONE, "standing": {"type": "object"}, "may_ask_from": {"type": "object"},
        "still_out": STILL_OUT,
        "ignored": IGNORED,
        "readings": {
            "type": "array",
            "description": "Each number that came without a country code and may be of several countries, with all that"
            " it was read as. The first is the number; the others deny and nothing else.",
            "items": {"type": "array", "items": _shape(country=TEXT, ends=TEXT)},
        },
    },
}  # fmt: skip
OPENING: dict[str, Any] = {
    **_shape(kind=TEXT, value=TEXT, rs=TEXT),
    "description": "s = HMAC-SHA256(rs, kind || 0x00 || value) stands in the entry; rs is base64url",
}
PROOFS: dict[str, Any] = _shape(proofs={"type": "array", "items": _shape(receipt=TEXT, opening=OPENING)})
ACCESS: dict[str, Any] = {
    "type": "object",
    "required": ["identifiers"],
    "additionalProperties": False,
    "properties": {
        "identifiers": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Identifier"}},
        "proof": {"type": ["object", "null"], "description": "without scope desk: what proves all of them"},
        "place": {"type": ["string", "null"], "description": "national phone numbers are read in its country"},
    },
}
ENTRY: dict[str, Any] = _shape(
    type=TEXT, event=MAYBE, seq={"type": "integer"}, at=TIME, what=MAYBE, purposes=WORDS, source=MAYBE, manner=MAYBE,
    place=MAYBE, recipient=MAYBE, data=WORDS, screen=MAYBE, notice=MAYBE, told={"type": ["object", "null"]},
    details={"type": "object"},
)  # fmt: skip
RECEIVED: dict[str, Any] = _shape(
    recipient=TEXT, purposes=WORDS, data=WORDS, day={"type": "string", "format": "date"}, first=TIME, last=TIME,
    count={"type": "integer"}, outcome={"type": "string", "enum": ["sent", "unknown", "possible"]},
)  # fmt: skip
ACCESS_REPORT: dict[str, Any] = _shape(
    as_of=TIME,
    proved={"type": "array", "items": _shape(type=TEXT)},
    standing={"type": "array", "items": _shape(type=TEXT, purposes={"type": "object"})},
    age_band=MAYBE,
    linked={"type": "array", "items": _shape(type=TEXT, **{"from": TIME}, until=TIME_OR_NONE)},
    entries={"type": "array", "items": ENTRY},
    sources=WORDS,
    texts={"type": "array", "items": _shape(sha256=TEXT, kind=TEXT, version=TEXT, language=TEXT, text=TEXT)},
    disclosures={"type": "array", "items": RECEIVED},
)
DAY: dict[str, Any] = {"type": "string", "format": "date"}
DAY_OR_NONE: dict[str, Any] = {"type": ["string", "null"], "format": "date"}
DUE: dict[str, Any] = _shape(
    due={"type": "array", "items": _shape(
        account=TEXT, told=DAY_OR_NONE, bounced=DAY_OR_NONE,
        owed={"type": "array", "items": _shape(
            recipient=TEXT, what={**MAYBE, "description": "a purpose or a data class; null: the recipient"}, on=DAY
        )},
    )},
    next={**MAYBE, "description": "the next page's `after`; null: this was the last"},
)  # fmt: skip
PAGED: list[dict[str, Any]] = [
    {"name": "after", "in": "query", "schema": TEXT},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
]
