"""Of /openapi.json what replicas ask and tell: the changes of the standings, leases, and what they answered."""

from typing import Any

from gateway.following.tags import CHALLENGE, HEADER
from gateway.web.openapi_calls import answers, call, ref
from gateway.web.openapi_records import MAYBE, TEXT, TIME_OR_NONE

WHOLE: dict[str, Any] = {"type": "integer", "minimum": 0}
CHANGE: dict[str, Any] = {
    "type": "object",
    "description": "A line. The last one is `end`, with `seq` to go on after. Server-sent events: the same as `data`,"
    " and `head` events that say up to where all was sent, with a `tag` over the challenge of `Gateway-Feed`.",
    "required": ["seq", "key", "purposes", "age_band", "at"],
    "properties": {
        "seq": {**WHOLE, "description": "of the change, never less than that of the entry it came with"},
        "key": {"type": "string", "description": "base64 of 16 bytes"},
        "purposes": {"type": "object", "additionalProperties": {"enum": ["opted_out", "opted_in"]}},
        "age_band": MAYBE, "at": TIME_OR_NONE, "snapshot": {"const": True},
        "standing": {"type": "string", "description": "base64 of the row as our replicas keep it"},
    },
}  # fmt: skip
ASKED: dict[str, Any] = {
    "type": "object",
    "required": ["holder", "applied"],
    "additionalProperties": False,
    "properties": {
        "holder": {"type": "string", "maxLength": 64, "description": "a random name, another one at each start"},
        "applied": {**WHOLE, "description": "all changes up to this seq are applied"},
        "log": TEXT, "leave": {"type": "boolean"},
    },
}  # fmt: skip
GRANTED: dict[str, Any] = {
    "type": "object",
    "required": ["granted"],
    "properties": {
        "granted": {"type": "boolean"}, "seconds": {"type": "number", "description": "counted from before the asking"},
        "leases": {"type": "boolean", "description": "false: nobody waits, fresh for the term once `seq` is applied"},
        "term": {"type": "number"}, "seq": WHOLE, "position": WHOLE, "log": TEXT, "peppers": WHOLE,
        "tag": {"type": "string", "description": "shows that the gateway says so (`gateway help replica`)"},
    },
}  # fmt: skip
HEAD: dict[str, Any] = {
    "type": "object",
    "description": "The first line. Then a line an answer: its id as a string; `{decision, names}` of an announced"
    " send; `{decision, outcome, at, said}` of what a caller said, in milliseconds since 1970.",
    "required": ["spool", "number", "position", "log"],
    "additionalProperties": False,
    "properties": {
        "spool": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "another one at each start"},
        "number": {"type": "integer", "minimum": 1, "description": "of the batch: from 1 on, without a gap"},
        "position": {**WHOLE, "description": "how many entries the replica knew of"}, "log": TEXT,
        "lost": {**WHOLE, "description": "answers that found no room"},
        "doubtful": {"type": "boolean", "description": "its machine stopped: there may have been more"},
    },
}  # fmt: skip
TAKEN: dict[str, Any] = {
    "type": "object",
    "required": ["again", "missing", "unread"],
    "properties": {
        "again": {"type": "boolean", "description": "it came before, and counts no second time"},
        "missing": {**WHOLE, "description": "batches before it that never came"},
        "unread": {**WHOLE, "description": "answers that nobody here can read"},
    },
}
SHAPES = {"Batch": HEAD, "BatchTaken": TAKEN, "Change": CHANGE, "LeaseAsked": ASKED, "Lease": GRANTED}
PAGE: list[dict[str, Any]] = [
    {"name": name, "in": "query", "schema": WHOLE} for name in ("after", "limit")
]  # fmt: skip


def _tagged(said: str, when: str = "", *, required: bool) -> dict[str, Any]:
    return {
        "name": HEADER, "in": "header", "required": required,
        "schema": {"type": "string", "pattern": f"^[0-9a-f]{{{CHALLENGE}}}\\.[0-9a-f]{{64}}$"},
        "description": f"CHALLENGE.TAG, both in hex: a challenge that was never used, and the HMAC-SHA256 of {said}"
        f" with what the replica was enrolled with{when}. The answer's `tag` is over the same challenge. A tag that no"
        " replica enrolled with this key has made is 403 (`gateway help replica`)",
    }  # fmt: skip


def paths() -> dict[str, Any]:
    follows = _tagged(
        "it and `after`; of a stream of events alone, and none from whoever keeps an export", required=False
    )
    changes = call(
        "What changed of the standings; after=0 begins with all of them", {}, parameters=[*PAGE, follows],
        errors=("400", "401", "403", "410", "503"),
    )  # fmt: skip
    lines = {kind: {"schema": {"type": "string"}} for kind in ("application/x-ndjson", "text/event-stream")}
    changes["responses"]["200"] = {"description": "a change a line (`Change`)", "content": lines}
    lease = call(
        "Until when a replica may answer", {}, body=ref("LeaseAsked"),
        parameters=[_tagged('["renews",CHALLENGE,holder,applied,log,leave]', required=True)],
        errors=("400", "401", "403", "409", "410", "413", "415", "503"),
    )  # fmt: skip
    answers(lease, "200", "granted or not yet", "Lease")
    batch = call(
        "What a replica answered", {}, body=ref("Batch"), lines=True,
        errors=("400", "401", "403", "413", "415", "503"),
    )  # fmt: skip
    answers(batch, "200", "on record", "BatchTaken")
    return {
        "/v1/changes": {"get": changes}, "/v1/leases": {"post": lease}, "/v1/disclosures/batches": {"post": batch},
    }  # fmt: skip
