"""Of /openapi.json what ends marketing: texts that people send, and links in e-mail."""

from typing import Any

from gateway.web.openapi_calls import ALL, KEPT, answers, call, ref, words
from gateway.web.openapi_records import MAYBE, TEXT, TIME
from gateway.web.unsubscribe_link import CHANNELS

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
SHAPES = {"TextDone": DONE, "UnsubscribeLink": LINK}
TOKEN = [{"name": "token", "in": "path", "required": True, "schema": TEXT}]
CLICKED = {"200": "HTML: unsubscribed", "202": KEPT, "404": "HTML: no link of ours", "503": "HTML: nothing was saved"}


def paths() -> dict[str, Any]:
    return {
        "/privacy-choices/unsubscribe/{token}": {
            "get": call("One button; changes nothing", {"200": "HTML", "404": "HTML: no link of ours"}, secured=False,
                        parameters=TOKEN),
            "post": call("One-click unsubscribe (RFC 8058)", CLICKED, errors=("408", "413", "415"), secured=False,
                         parameters=TOKEN),
        },
        "/v1/texts": {
            "post": answers(
                call("A text that somebody sent", {"202": KEPT}, body=SENT, errors=(*ALL, "422", "503")),
                "200", "what was done, and what to answer", "TextDone")
        },
        "/v1/unsubscribe-links": {
            "post": answers(
                call("A link that ends marketing", {"200": "a line a line", "404": "[site] url is not configured"},
                     body=WANTED, lines=True, errors=ALL),
                "201", "the link and its header fields", "UnsubscribeLink")
        },
    }  # fmt: skip
