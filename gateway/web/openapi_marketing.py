"""Shapes of /openapi.json about marketing: texts that people send, and links that end e-mail. Constants only."""

from typing import Any

from gateway.web.openapi_records import MAYBE, TEXT, TIME

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
