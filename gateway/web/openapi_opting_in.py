"""Shapes and calls of /openapi.json about proof of control, opting in on the page, and being forgotten there.
`gateway.web.openapi` puts them together.
"""

from typing import Any

from gateway.terms import CHOOSABLE
from gateway.web.openapi_calls import ALL, FORM_KIND, answers, call, ref

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
SHAPES = {"CodeRequest": CODE_REQUEST, "CodeSent": CODE_SENT}


def paths() -> dict[str, Any]:
    """The calls and the pages."""
    sent = call(
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
        return call(text, {"200": "HTML"}, secured=False)

    def post(text: str, ok: dict[str, str], *fields: str) -> dict[str, Any]:
        told = {**ok, "403": "HTML or a problem: another site's form, or no proof", "422": "HTML: not possible"}
        return call(text, told, body=_form(*fields), secured=False, errors=("400", "413"), kind=FORM_KIND)

    codes = {"200": "HTML", "303": "on", "429": "HTML: enough for now", "502": "HTML: not sent", "503": "HTML: not now"}
    acts = {"200": "HTML: the next text", "303": "on", "503": "HTML: not now"}
    event = {"name": "event", "in": "path", "required": True, "schema": {"type": "string"}}
    done = call("What holds after opting in", {"200": "HTML", "404": "unknown"}, secured=False, parameters=[event])
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
