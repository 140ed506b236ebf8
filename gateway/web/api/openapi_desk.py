"""The part of /openapi.json about a person's own records (receipt, proof download, access report), proof of control and
opting in, being forgotten, marketing, and what replicas ask and tell. `openapi` puts the parts together.
"""

from typing import Any

from gateway.consent.still_out import Where
from gateway.consent.tokens import CHANNELS
from gateway.replica.feed import CHALLENGE, HEADER
from gateway.terms import CHOOSABLE
from gateway.web.api.openapi_calls import ALL, FORM_KIND, KEPT, answers, described, ref, words

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
COPY_SHAPES = {"Batch": HEAD, "BatchTaken": TAKEN, "Change": CHANGE, "LeaseAsked": ASKED, "Lease": GRANTED}
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


def copy_paths() -> dict[str, Any]:
    follows = _tagged(
        "it and `after`; of a stream of events alone, and none from whoever keeps an export", required=False
    )
    changes = described(
        "What changed of the standings; after=0 begins with all of them", {}, parameters=[*PAGE, follows],
        errors=("400", "401", "403", "410", "503"),
    )  # fmt: skip
    lines = {kind: {"schema": {"type": "string"}} for kind in ("application/x-ndjson", "text/event-stream")}
    changes["responses"]["200"] = {"description": "a change a line (`Change`)", "content": lines}
    lease = described(
        "Until when a replica may answer", {}, body=ref("LeaseAsked"),
        parameters=[_tagged('["renews",CHALLENGE,holder,applied,log,leave]', required=True)],
        errors=("400", "401", "403", "409", "410", "413", "415", "503"),
    )  # fmt: skip
    answers(lease, "200", "granted or not yet", "Lease")
    batch = described(
        "What a replica answered", {}, body=ref("Batch"), lines=True,
        errors=("400", "401", "403", "413", "415", "503"),
    )  # fmt: skip
    answers(batch, "200", "on record", "BatchTaken")
    return {
        "/v1/changes": {"get": changes}, "/v1/leases": {"post": lease}, "/v1/disclosures/batches": {"post": batch},
    }  # fmt: skip


SENT: dict[str, Any] = {
    "type": "object",
    "description": "Or a form, in a provider's own names: From and Body, msisdn and text.",
    "properties": {
        "from": TEXT, "to": TEXT, "body": {"type": "string", "description": "read for its word; kept nowhere"},
        "received_at": TIME, "id": {"type": "string", "description": "the provider's: the same one is done once"},
    },
}  # fmt: skip
DONE: dict[str, Any] = {
    "type": "object",
    "required": ["action", "reply"],
    "properties": {
        "action": {"type": "string", "enum": ["opted_out", "none"]},
        "reply": {**MAYBE, "description": "one text to send back; null: nothing, a person should read it"},
        "event": TEXT, "seq": {"type": ["integer", "null"]}, "accepted_at": TIME, "standing": {"type": "object"},
    },
}  # fmt: skip
WANTED: dict[str, Any] = {
    "type": "object",
    "required": ["identifiers"],
    "additionalProperties": False,
    "properties": {
        "identifiers": {"type": "array", "minItems": 1, "items": ref("Identifier")},
        "purpose": {**words(CHANNELS), "description": "the channel that ends; without it marketing_email"},
        "place": {**MAYBE, "description": "national phone numbers are read in its country"},
    },
}
LINK: dict[str, Any] = {
    "type": "object",
    "required": ["url", "headers"],
    "properties": {"url": TEXT, "headers": {"type": "object", "additionalProperties": TEXT}},
}
MARKETING_SHAPES = {"TextDone": DONE, "UnsubscribeLink": LINK}
TOKEN = [{"name": "token", "in": "path", "required": True, "schema": TEXT}]
CLICKED = {"200": "HTML: unsubscribed", "202": KEPT, "404": "HTML: no link of ours", "503": "HTML: nothing was saved"}


def marketing_paths() -> dict[str, Any]:
    return {
        "/privacy-choices/unsubscribe/{token}": {
            "get": described(
                "One button; changes nothing",
                {"200": "HTML", "404": "HTML: no link of ours"},
                secured=False,
                parameters=TOKEN,
            ),
            "post": described(
                "One-click unsubscribe (RFC 8058)",
                CLICKED,
                errors=("408", "413", "415"),
                secured=False,
                parameters=TOKEN,
            ),
        },
        "/v1/texts": {
            "post": answers(
                described("A text that somebody sent", {"202": KEPT}, body=SENT, errors=(*ALL, "422", "503")),
                "200",
                "what was done, and what to answer",
                "TextDone",
            )
        },
        "/v1/unsubscribe-links": {
            "post": answers(
                described(
                    "A link that ends marketing",
                    {"200": "a line a line", "404": "[site] url is not configured"},
                    body=WANTED,
                    lines=True,
                    errors=ALL,
                ),
                "201",
                "the link and its header fields",
                "UnsubscribeLink",
            )
        },
    }


CODE_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["identifier", "use"],
    "additionalProperties": False,
    "properties": {
        "identifier": ref("Identifier"),
        "use": {"type": "string", "enum": ["opt_in", "access", "erasure"], "description": "it is good for this alone"},
        "purpose": {"type": "string", "enum": [*CHOOSABLE], "description": "of opt_in: exactly one"},
        "recipient": {"type": ["string", "null"], "description": "of opt_in for a precise point"},
        "language": {"type": ["string", "null"], "description": "of the letter; without it Accept-Language"},
        "place": {"type": ["string", "null"], "description": "national phone numbers are read in its country"},
    },
}
CODE_SENT: dict[str, Any] = {
    "type": "object",
    "required": ["ticket", "expires_at"],
    "properties": {
        "ticket": {"type": "string", "description": 'goes back as {"kind": "code", "code": C, "ticket": T}'},
        "expires_at": {"type": "string", "format": "date-time"},
    },
}
OPTING_IN_SHAPES = {"CodeRequest": CODE_REQUEST, "CodeSent": CODE_SENT}


def opting_in_paths() -> dict[str, Any]:
    """The calls and the pages."""
    sent = described(
        "Send a code, by which a mailbox or number is shown to be somebody's", {},
        body=ref("CodeRequest"), errors=(*ALL, "422", "429", "502", "503"),
    )  # fmt: skip
    answers(sent, "202", "on its way", "CodeSent")
    return {"/v1/codes": {"post": sent}, **_pages()}


def _form(*fields: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string"} for name in fields}}


def _pages() -> dict[str, Any]:
    """Pages for people: each answer is HTML, and a refusal says that nothing was changed."""

    def show(text: str) -> dict[str, Any]:
        return described(text, {"200": "HTML"}, secured=False)

    def post(text: str, ok: dict[str, str], *fields: str) -> dict[str, Any]:
        told = {**ok, "403": "HTML or a problem: another site's form, or no proof", "422": "HTML: not possible"}
        return described(text, told, body=_form(*fields), secured=False, errors=("400", "413"), kind=FORM_KIND)

    codes = {"200": "HTML", "303": "on", "429": "HTML: enough for now", "502": "HTML: not sent", "503": "HTML: not now"}
    acts = {"200": "HTML: the next text", "303": "on", "503": "HTML: not now"}
    event = {"name": "event", "in": "path", "required": True, "schema": {"type": "string"}}
    done = described("What holds after opting in", {"200": "HTML", "404": "unknown"}, secured=False, parameters=[event])
    return {
        "/privacy-choices/code": {
            "get": show("The field for a code that is waited for"),
            "post": post("Send a code, or enter it", codes, "action", "use", "email", "phone", "code"),
        },
        "/privacy-choices/opt-in": {
            "get": show("Allow one use: which, and for whom"),
            "post": post("To the notice, or with action=opt_in the first act", {**codes, **acts}, "what", "by", "email",
                         "phone", "action", "token"),
        },
        "/privacy-choices/opt-in/read": {"get": show("The notice, after a code")},
        "/privacy-choices/opt-in/confirm": {
            "post": post("The second act", {**codes, **acts}, "action", "token", "confirm")
        },
        "/privacy-choices/opt-in/done/{event}": {"get": done},
        "/privacy-choices/erase": {
            "get": show("What would be forgotten, and of whom"),
            "post": post("Be forgotten", {"200": "HTML", "503": "HTML: not now"}, "action", "browser", "account",
                         "email", "phone"),
        },
    }  # fmt: skip
