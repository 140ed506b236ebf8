"""GET /openapi.json, for callers and their tools: made from the shapes that the doors read, so that the two cannot
drift.
"""

from typing import Any

import msgspec

from gateway import __version__
from gateway.signals import hear
from gateway.terms import CALLERS_CHOICES, SOURCES, DataClass, Erasing, Manner, NoticeKind, Purpose, Told
from gateway.web.api import openapi_asking as apps
from gateway.web.api import openapi_asking as checks
from gateway.web.api import openapi_asking as sharing
from gateway.web.api import openapi_desk as copies
from gateway.web.api import openapi_desk as marketing
from gateway.web.api import openapi_desk as opting_in
from gateway.web.api import openapi_desk as records
from gateway.web.api.health import API
from gateway.web.api.openapi_calls import ALL, FORM_KIND, KEPT, REF
from gateway.web.api.openapi_calls import answers as _answers
from gateway.web.api.openapi_calls import described_call as _call
from gateway.web.api.openapi_calls import ref as _ref
from gateway.web.api.openapi_calls import words as _words
from gateway.web.shell import problem, wire

CHOSEN = {"200": "replayed, or withheld ids only", "202": f"confirm it; of a no: {KEPT}"}
CHOICE: dict[str, Any] = {
    "type": "object",
    "required": ["choice"],
    "description": "Lenient: what cannot be used is listed in `ignored`.",
    "properties": {
        "identifiers": {"type": "array", "items": _ref("Identifier")},
        "choice": _words(CALLERS_CHOICES),
        "purposes": {"type": "array", "items": {"type": "string", "enum": ["all", *Purpose]}},
        "place": {"type": ["string", "array", "null"]},
        "source": _words(SOURCES),
        "notice": {"type": ["object", "null"], "properties": {"sha256": {"type": "string"}}},
        "made_at": {"type": ["string", "null"], "format": "date-time"},
        "received_at": {"type": ["string", "null"], "format": "date-time"},
        "manner": _words(Manner),
        "proof": apps.PROOF,
        "device": apps.DEVICE,
        "recipient": {"type": "string", "description": "of opt_in for a precise point, and of direct"},
        "programme": {"type": "string", "description": "of keep_programme"},
        "age": {
            "type": ["string", "integer", "null"],
            "description": "years or a band; what is on record only gets younger",
        },
        "data": {"type": "array", "items": _words(DataClass)},
        "confirm": {"type": "string"},
        "signals": _ref("Signals"),
    },
}
LINK: dict[str, Any] = {
    "type": "object",
    "required": ["identifiers"],
    "additionalProperties": False,
    "properties": {
        "account": {"type": "string"},
        "identifiers": {"type": "array", "minItems": 1, "items": _ref("Identifier")},
        "from": {"type": ["string", "null"], "format": "date-time"},
        "until": {"type": ["string", "null"], "format": "date-time"},
        "event": {"type": "string", "enum": ["number_released"]},
        "place": {"type": ["string", "null"], "description": "national phone numbers are read in its country"},
        "age": {"type": ["string", "integer", "null"], "description": "of the account's person: years or a band"},
        "proof": _ref("Proofs"),
    },
}
ERASURE: dict[str, Any] = {
    "type": "object",
    "required": ["identifiers", "mode"],
    "additionalProperties": False,
    "properties": {
        "identifiers": {"type": "array", "minItems": 1, "items": _ref("Identifier")},
        "mode": _words(Erasing),
        "note_sha256": {"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"},
        "proof": {"type": ["object", "null"], "description": "without scope desk: what proves all of them"},
        "place": {"type": ["string", "null"], "description": "national phone numbers are read in its country"},
    },
}
REPORT: dict[str, Any] = {
    "type": "object",
    "required": ["identifiers", "notice", "outcome"],
    "additionalProperties": False,
    "properties": {
        "identifiers": {"type": "array", "minItems": 1, "items": _ref("Identifier")},
        "notice": _words(NoticeKind),
        "outcome": _words(Told),
        "on": {"type": ["string", "null"], "format": "date", "description": "the day; without it today"},
        "place": {"type": ["string", "null"], "description": "national phone numbers are read in its country"},
    },
}
SIGNALS: dict[str, Any] = {
    "type": ["object", "null"],
    "description": "What was said beside the call; it can only tighten. `stored`: the IAB keys that an app found.",
    "properties": {
        **{name: {} for name in sorted(hear.KNOWN)},
        "gpp": {"type": "string"}, "us_privacy": {"type": "string"}, "tc": {"type": "string"},
        "ac": {"type": "string"}, "adchoices": {"type": "string"}, "stored": {"type": "object"},
        "gpp_sid": {"type": ["array", "string", "integer"]}, "att": {"enum": [0, 1, 2, 3]}, "lmt": {"enum": [0, 1]},
        "cookies": {"type": ["string", "object"], "description": 'one code point a byte, or {"b64": "..."}'},
    },
}  # fmt: skip
SCRIPT: dict[str, Any] = {
    "type": "object",
    "properties": {"gpc": {"type": "boolean"}, "gpp": {"type": "string"}, "us_privacy": {"type": "string"}},
}
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("action", "phone", "email", "country", "state", "token", "confirm")},
        "purpose": {"type": "array", "items": {"type": "string"}},  # repeated; with action=ticked
    },
}
MARKETING: dict[str, Any] = {
    "type": "object",
    "properties": {name: FORM["properties"][name] for name in ("action", "purpose", "phone", "email", "token")},
}

PROOF = {"type": "object", "properties": {name: {"type": "string"} for name in ("event", "ticket")}}
ACTION: dict[str, Any] = {
    "type": "object",
    "properties": {"action": {"type": "string", "enum": ["show", "download", "forget"]}},
}


REPEAT = [{"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 256}}]
EVENT = [{"name": "event", "in": "path", "required": True, "schema": {"type": "string"}}]
YEAR = [{"name": "year", "in": "path", "required": True, "schema": {"type": "string"}}]
REPORTED = {"200": "JSON: received, complied, denied and median days by heading", "404": "no calendar year"}


def document() -> dict[str, Any]:
    """The whole description, OpenAPI 3.1."""
    _, shapes = msgspec.json.schema_components([wire.Check, wire.Disclosure, wire.Explain, wire.Row], ref_template=REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Consent gateway", "version": __version__, "x-api": API},
        "x-until-first-answer": apps.constants(),
        "paths": _paths(),
        "components": {
            "schemas": {
                **shapes,
                "Choice": CHOICE,
                "Link": LINK,
                "Erasure": ERASURE,
                "Report": REPORT,
                "Signals": SIGNALS,
                "Chosen": {**records.CHOSEN, "properties": {**records.CHOSEN["properties"], **apps.TOLD}},
                "Proofs": records.PROOFS,
                "AccessRequest": records.ACCESS,
                "AccessReport": records.ACCESS_REPORT,
                "Due": records.DUE,
                **checks.CHECK_SHAPES,
                **copies.COPY_SHAPES,
                **marketing.MARKETING_SHAPES,
                **opting_in.OPTING_IN_SHAPES,
                **apps.APP_SHAPES,
                **sharing.SHARING_SHAPES,
                "Problem": _problem_schema(),
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "<id>.<secret>"}},
        },
    }


def _paths() -> dict[str, Any]:
    ours = {**_public(), **_log(), **_inside(), **_keyed(), **_person()}
    return {
        **ours,
        **copies.copy_paths(),
        **marketing.marketing_paths(),
        **opting_in.opting_in_paths(),
        **sharing.sharing_paths(),
        **apps.app_paths(),
    }


def _public() -> dict[str, Any]:
    """What a site's visitors call."""
    done = {"200": "of opt_in: the text to confirm", "303": "to the confirmation", "202": KEPT,
            "422": "of opt_in and confirm: not possible"}  # fmt: skip
    return {
        "/dsrdelete.json": {"get": _call("The key of our deletion requests", {"200": "JSON", "404": "there are none"},
                                         secured=False)},
        "/.well-known/gpc.json": {"get": _call("Statement of GPC support", {"200": "JSON"}, secured=False)},
        "/privacy-choices": {
            "get": _call("The choices page", {"200": "HTML"}, secured=False),
            "post": _call("Opt out or limit, one step; opt in, two steps", done, body=FORM, secured=False,
                          errors=("400", "403", "413", "415", "503"), kind=FORM_KIND),
        },
        "/privacy-choices/done/{event}": {
            "get": _call("Confirmation", {"200": "HTML", "404": "unknown"}, secured=False, parameters=EVENT)
        },
        "/privacy-choices/marketing": {
            "get": _call("Marketing preferences", {"200": "HTML"}, secured=False),
            "post": _call("Stop marketing, all or by channel, one step", done | {"422": "HTML: nobody is named"},
                          body=MARKETING, secured=False, errors=("400", "403", "413", "415", "503"), kind=FORM_KIND),
        },
        "/privacy-choices/status": {"get": _call("What holds for this browser", {"200": "JSON"}, secured=False)},
        "/privacy-choices/observe": {
            "post": _call("What only the page's script sees", {"200": "JSON"}, body=SCRIPT, secured=False,
                          errors=("400", "403", "413", "415"))
        },
        "/privacy-choices/proof": {
            "post": _answers(
                _call("Receipt and opening, once, to the browser that posted", {"303": "not here"}, body=PROOF,
                      secured=False, errors=("403", "413", "503"), kind=FORM_KIND) | {"x-404": "no such submission"},
                "200", "a file", "Proofs")
        },
        "/privacy-choices/data": {
            "get": _call("What this browser proves, and the way to its report", {"200": "HTML"}, secured=False),
            "post": _answers(
                _call("What is held and who received it", {"303": "of forget: back to the page"}, body=ACTION,
                      secured=False, errors=("400", "403", "413", "503"), kind=FORM_KIND),
                "200", "HTML, or a file with action=download", "AccessReport", page=True),
        },
        "/privacy-choices/receipt/{event}": {"get": _receipt()},
    }  # fmt: skip


def _keyed() -> dict[str, Any]:
    """What callers with a key call, and what tells how things stand."""
    return {
        **checks.check_paths(),
        "/v1/choices": {
            "post": _answers(
                _call("A choice", CHOSEN, body=_ref("Choice"),
                      lines=True, errors=(*ALL, "422", "503"), parameters=REPEAT),
                "201", "kept", "Chosen")
        },
        "/v1/links": {
            "post": _call("What an account has", {"200": "answers by line", "201": "linked"}, body=_ref("Link"),
                          lines=True, errors=(*ALL, "503"))
        },
        "/v1/notices/due": {
            "get": _answers(_call("Who must be told of something new", {"200": "a page"}, parameters=records.PAGED,
                                  errors=("400", "401", "403", "503")), "200", "some accounts, in a fixed order", "Due")
        },
        "/v1/notices": {
            "post": _call("Who was shown or sent a notice", {"200": "answers by line", "201": "recorded"},
                          body=_ref("Report"), lines=True, errors=(*ALL, "503"))
        },
        "/v1/receipts/{event}": {"get": _receipt(secured=True)},
        "/v1/reports/{year}": {
            "get": _call("A calendar year's requests in numbers (11 CCR 7102)", REPORTED, errors=("401", "403", "503"),
                         parameters=YEAR)
        },
        "/v1/self": {"get": _call("What this installation is", {"200": "JSON"}, errors=("401",))},
    }  # fmt: skip


def _inside() -> dict[str, Any]:
    """What the operator's own machines ask without a key."""
    return {
        **{f"/authz/{proxy}": _authz(status, path) for proxy, status, path in ASKING},
        "/livez": {"get": _call("Up", {"200": "up"}, secured=False)},
        "/readyz": {"get": _call("Keeping and answering", {"200": "ready", "503": "not"}, secured=False)},
    }


TO_SITE_AND_BROWSER = (
    "Gateway-Consent", "Gateway-Browser", "Gateway-Place", "Gateway-Request", "Cookie", "Set-Cookie",
    "Content-Security-Policy", "Cache-Control", "Vary",
)  # fmt: skip


def _authz(status: str, path: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Any method; GET stands for all."""
    told = f"the headers tell what holds for the visitor; {status} always, but for [site] ad_paths"
    answers = {status: told, "403": "one of [site] ad_paths, of somebody who must not be tracked"}
    asked = _call("A proxy asks about a page (inside only)", answers, secured=False, parameters=path)
    asked["responses"][status]["headers"] = {name: {"schema": {"type": "string"}} for name in TO_SITE_AND_BROWSER}
    return {"get": asked}


def _person() -> dict[str, Any]:
    """What is held about somebody, and forgotten."""
    return {
        "/v1/access": {
            "post": _answers(
                _call("What is held about somebody, for the desk or with proof", {}, body=_ref("AccessRequest"),
                      errors=(*ALL, "503")),
                "200", "the same shape whether anything is known or not", "AccessReport")
        },
        "/v1/erasures": {
            "post": _call("Forget a person", {"200": "done: keys destroyed, files cut"}, body=_ref("Erasure"),
                          errors=(*ALL, "422", "503"))
        },
    }  # fmt: skip


def _receipt(*, secured: bool = False) -> dict[str, Any]:
    found = {"200": "text/plain: a C2SP tlog-proof", "404": "no such receipt", "503": "not now"}
    found |= {"401": "any key may ask"} if secured else {}
    return _call("The receipt of an event; it names nobody", found, secured=secured, parameters=EVENT)


REST = [{"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}]
ASKING = (("nginx", "204", None), ("forward", "204", None), ("envoy/{path}", "200", REST))


def _log() -> dict[str, Any]:
    """The transparency log, C2SP tlog-tiles."""
    there = {"200": "text/plain: a signed note", "404": "nothing was signed yet", "503": "not now"}
    tile = {"200": "bytes", "401": "entry bundles want a key", "403": "of scope export", "404": "no such tile",
            "503": "not now"}  # fmt: skip
    return {
        "/ledger/checkpoint": {"get": _call("The last signed checkpoint", there, secured=False)},
        "/ledger/tile/{path}": {"get": _call("A tile, or an entry bundle", tile, secured=False, parameters=REST)},
    }


def _problem_schema() -> dict[str, Any]:
    types = [problem.PREFIX + kind for kind in problem.KINDS]
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "enum": types},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    }
