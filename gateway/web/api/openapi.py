"""GET /openapi.json, for callers and their tools: made from the shapes that the doors read, so that the two cannot
drift.
"""

from typing import Any

import msgspec

from gateway import __version__
from gateway.signals import hear
from gateway.terms import CALLERS_CHOICES, SOURCES, DataClass, Erasing, Manner, NoticeKind, Purpose, Told
from gateway.web.api import openapi_asking, openapi_desk
from gateway.web.api.health import API
from gateway.web.api.openapi_calls import ALL, FORM_KIND, KEPT, REF, answers, described, ref, words
from gateway.web.shell import problem, wire

CHOSEN = {"200": "replayed, or withheld ids only", "202": f"confirm it; of a no: {KEPT}"}
CHOICE: dict[str, Any] = {
    "type": "object",
    "required": ["choice"],
    "description": "Lenient: what cannot be used is listed in `ignored`.",
    "properties": {
        "identifiers": {"type": "array", "items": ref("Identifier")},
        "choice": words(CALLERS_CHOICES),
        "purposes": {"type": "array", "items": {"type": "string", "enum": ["all", *Purpose]}},
        "place": {"type": ["string", "array", "null"]},
        "source": words(SOURCES),
        "notice": {"type": ["object", "null"], "properties": {"sha256": {"type": "string"}}},
        "made_at": {"type": ["string", "null"], "format": "date-time"},
        "received_at": {"type": ["string", "null"], "format": "date-time"},
        "manner": words(Manner),
        "proof": openapi_asking.PROOF,
        "device": openapi_asking.DEVICE,
        "recipient": {"type": "string", "description": "of opt_in for a precise point, and of direct"},
        "programme": {"type": "string", "description": "of keep_programme"},
        "age": {
            "type": ["string", "integer", "null"],
            "description": "years or a band; what is on record only gets younger",
        },
        "data": {"type": "array", "items": words(DataClass)},
        "confirm": {"type": "string"},
        "signals": ref("Signals"),
    },
}
LINK: dict[str, Any] = {
    "type": "object",
    "required": ["identifiers"],
    "additionalProperties": False,
    "properties": {
        "account": {"type": "string"},
        "identifiers": {"type": "array", "minItems": 1, "items": ref("Identifier")},
        "from": {"type": ["string", "null"], "format": "date-time"},
        "until": {"type": ["string", "null"], "format": "date-time"},
        "event": {"type": "string", "enum": ["number_released"]},
        "place": {"type": ["string", "null"], "description": "national phone numbers are read in its country"},
        "age": {"type": ["string", "integer", "null"], "description": "of the account's person: years or a band"},
        "proof": ref("Proofs"),
    },
}
ERASURE: dict[str, Any] = {
    "type": "object",
    "required": ["identifiers", "mode"],
    "additionalProperties": False,
    "properties": {
        "identifiers": {"type": "array", "minItems": 1, "items": ref("Identifier")},
        "mode": words(Erasing),
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
        "identifiers": {"type": "array", "minItems": 1, "items": ref("Identifier")},
        "notice": words(NoticeKind),
        "outcome": words(Told),
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
        "x-until-first-answer": openapi_asking.constants(),
        "paths": _paths(),
        "components": {
            "schemas": {
                **shapes,
                "Choice": CHOICE,
                "Link": LINK,
                "Erasure": ERASURE,
                "Report": REPORT,
                "Signals": SIGNALS,
                "Chosen": {
                    **openapi_desk.CHOSEN,
                    "properties": {**openapi_desk.CHOSEN["properties"], **openapi_asking.TOLD},
                },
                "Proofs": openapi_desk.PROOFS,
                "AccessRequest": openapi_desk.ACCESS,
                "AccessReport": openapi_desk.ACCESS_REPORT,
                "Due": openapi_desk.DUE,
                **openapi_asking.CHECK_SHAPES,
                **openapi_desk.COPY_SHAPES,
                **openapi_desk.MARKETING_SHAPES,
                **openapi_desk.OPTING_IN_SHAPES,
                **openapi_asking.APP_SHAPES,
                **openapi_asking.SHARING_SHAPES,
                "Problem": _problem_schema(),
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "<id>.<secret>"}},
        },
    }


def _paths() -> dict[str, Any]:
    ours = {**_public(), **_log(), **_inside(), **_keyed(), **_person()}
    return {
        **ours,
        **openapi_desk.copy_paths(),
        **openapi_desk.marketing_paths(),
        **openapi_desk.opting_in_paths(),
        **openapi_asking.sharing_paths(),
        **openapi_asking.app_paths(),
    }


def _public() -> dict[str, Any]:
    """What a site's visitors call."""
    done = {"200": "of opt_in: the text to confirm", "303": "to the confirmation", "202": KEPT,
            "422": "of opt_in and confirm: not possible"}  # fmt: skip
    return {
        "/dsrdelete.json": {"get": described("The key of our deletion requests",
            {"200": "JSON", "404": "there are none"}, secured=False)},
        "/.well-known/gpc.json": {"get": described("Statement of GPC support", {"200": "JSON"}, secured=False)},
        "/privacy-choices": {
            "get": described("The choices page", {"200": "HTML"}, secured=False),
            "post": described("Opt out or limit, one step; opt in, two steps", done, body=FORM, secured=False,
                          errors=("400", "403", "413", "415", "503"), kind=FORM_KIND),
        },
        "/privacy-choices/done/{event}": {
            "get": described("Confirmation", {"200": "HTML", "404": "unknown"}, secured=False, parameters=EVENT)
        },
        "/privacy-choices/marketing": {
            "get": described("Marketing preferences", {"200": "HTML"}, secured=False),
            "post": described("Stop marketing, all or by channel, one step", done | {"422": "HTML: nobody is named"},
                          body=MARKETING, secured=False, errors=("400", "403", "413", "415", "503"), kind=FORM_KIND),
        },
        "/privacy-choices/status": {"get": described("What holds for this browser", {"200": "JSON"}, secured=False)},
        "/privacy-choices/observe": {
            "post": described("What only the page's script sees", {"200": "JSON"}, body=SCRIPT, secured=False,
                          errors=("400", "403", "413", "415"))
        },
        "/privacy-choices/proof": {
            "post": answers(
                described("Receipt and opening, once, to the browser that posted", {"303": "not here"}, body=PROOF,
                      secured=False, errors=("403", "413", "503"), kind=FORM_KIND) | {"x-404": "no such submission"},
                "200", "a file", "Proofs")
        },
        "/privacy-choices/data": {
            "get": described("What this browser proves, and the way to its report", {"200": "HTML"}, secured=False),
            "post": answers(
                described("What is held and who received it", {"303": "of forget: back to the page"}, body=ACTION,
                      secured=False, errors=("400", "403", "413", "503"), kind=FORM_KIND),
                "200", "HTML, or a file with action=download", "AccessReport", page=True),
        },
        "/privacy-choices/receipt/{event}": {"get": _receipt()},
    }  # fmt: skip


def _keyed() -> dict[str, Any]:
    """What callers with a key call, and what tells how things stand."""
    return {
        **openapi_asking.check_paths(),
        "/v1/choices": {
            "post": answers(
                described("A choice", CHOSEN, body=ref("Choice"),
                      lines=True, errors=(*ALL, "422", "503"), parameters=REPEAT),
                "201", "kept", "Chosen")
        },
        "/v1/links": {
            "post": described("What an account has", {"200": "answers by line", "201": "linked"}, body=ref("Link"),
                          lines=True, errors=(*ALL, "503"))
        },
        "/v1/notices/due": {
            "get": answers(described("Who must be told of something new", {"200": "a page"},
                                  parameters=openapi_desk.PAGED, errors=("400", "401", "403", "503")),
                           "200", "some accounts, in a fixed order", "Due")
        },
        "/v1/notices": {
            "post": described("Who was shown or sent a notice", {"200": "answers by line", "201": "recorded"},
                          body=ref("Report"), lines=True, errors=(*ALL, "503"))
        },
        "/v1/receipts/{event}": {"get": _receipt(secured=True)},
        "/v1/reports/{year}": {
            "get": described("A calendar year's requests in numbers (11 CCR 7102)", REPORTED,
                         errors=("401", "403", "503"), parameters=YEAR)
        },
        "/v1/self": {"get": described("What this installation is", {"200": "JSON"}, errors=("401",))},
    }  # fmt: skip


def _inside() -> dict[str, Any]:
    """What the operator's own machines ask without a key."""
    return {
        **{f"/authz/{proxy}": _authz(status, path) for proxy, status, path in ASKING},
        "/livez": {"get": described("Up", {"200": "up"}, secured=False)},
        "/readyz": {"get": described("Keeping and answering", {"200": "ready", "503": "not"}, secured=False)},
    }


TO_SITE_AND_BROWSER = (
    "Gateway-Consent", "Gateway-Browser", "Gateway-Place", "Gateway-Request", "Cookie", "Set-Cookie",
    "Content-Security-Policy", "Cache-Control", "Vary",
)  # fmt: skip


def _authz(status: str, path: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Any method; GET stands for all."""
    told = f"the headers tell what holds for the visitor; {status} always, but for [site] ad_paths"
    answers = {status: told, "403": "one of [site] ad_paths, of somebody who must not be tracked"}
    asked = described("A proxy asks about a page (inside only)", answers, secured=False, parameters=path)
    asked["responses"][status]["headers"] = {name: {"schema": {"type": "string"}} for name in TO_SITE_AND_BROWSER}
    return {"get": asked}


def _person() -> dict[str, Any]:
    """What is held about somebody, and forgotten."""
    return {
        "/v1/access": {
            "post": answers(
                described("What is held about somebody, for the desk or with proof", {}, body=ref("AccessRequest"),
                      errors=(*ALL, "503")),
                "200", "the same shape whether anything is known or not", "AccessReport")
        },
        "/v1/erasures": {
            "post": described("Forget a person", {"200": "done: keys destroyed, files cut"}, body=ref("Erasure"),
                          errors=(*ALL, "422", "503"))
        },
    }  # fmt: skip


def _receipt(*, secured: bool = False) -> dict[str, Any]:
    found = {"200": "text/plain: a C2SP tlog-proof", "404": "no such receipt", "503": "not now"}
    found |= {"401": "any key may ask"} if secured else {}
    return described("The receipt of an event; it names nobody", found, secured=secured, parameters=EVENT)


REST = [{"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}]
ASKING = (("nginx", "204", None), ("forward", "204", None), ("envoy/{path}", "200", REST))


def _log() -> dict[str, Any]:
    """The transparency log, C2SP tlog-tiles."""
    there = {"200": "text/plain: a signed note", "404": "nothing was signed yet", "503": "not now"}
    tile = {"200": "bytes", "401": "entry bundles want a key", "403": "of scope export", "404": "no such tile",
            "503": "not now"}  # fmt: skip
    return {
        "/ledger/checkpoint": {"get": described("The last signed checkpoint", there, secured=False)},
        "/ledger/tile/{path}": {"get": described("A tile, or an entry bundle", tile, secured=False, parameters=REST)},
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
