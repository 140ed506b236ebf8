"""GET /openapi.json, for callers and their tools: made from the shapes that the doors read and write, so that they and
the description cannot drift. The service serves it; `gateway.app.calls` lists the calls.
"""

from collections.abc import Iterator
from functools import cache
from inspect import cleandoc
from typing import Any

import msgspec

from gateway import __version__
from gateway.app import calls
from gateway.choice.downstream import opted_out
from gateway.web.api.apps import STOP
from gateway.web.api.health import API

REF = "#/components/schemas/{name}"
OURS = "Body"  # ends the class of a shape whose own name another class has; callers read the name without it


@cache
def document() -> dict[str, Any]:
    """The whole description, OpenAPI 3.1. Made once, when it is first asked for; nobody changes it."""
    paths = calls.paths()
    shapes = [*_shapes(paths), *calls.OF_LINES]
    schemas, components = msgspec.json.schema_components(shapes, ref_template=REF)
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "Consent gateway", "version": __version__, "x-api": API},
        "x-until-first-answer": constants(),
        "paths": _filled(paths, iter(schemas)),
        "components": {
            "schemas": {name.removesuffix(OURS): shape for name, shape in components.items()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "<id>.<secret>"}},
        },
    }
    return {name: _worded(part) for name, part in whole.items()}


def constants() -> dict[str, Any]:
    """What an app goes by before any answer: everybody is opted out, and no SDK starts (I22)."""
    return {"store": opted_out().for_store(), "sdks": STOP, "device": None}


def _shapes(part: object) -> Iterator[Any]:
    """Every shape that the calls name, in order: what stands under `schema` is one, or a tuple of which it is any."""
    if isinstance(part, list):
        for each in part:
            yield from _shapes(each)
    elif isinstance(part, dict):
        for name, each in part.items():
            if name == "schema":
                yield from each if isinstance(each, tuple) else (each,)
            else:
                yield from _shapes(each)


def _filled(part: Any, schemas: Iterator[dict[str, Any]]) -> Any:
    """The calls with the schema of each shape in its place."""
    if isinstance(part, list):
        return [_filled(each, schemas) for each in part]
    if not isinstance(part, dict):
        return part
    return {name: _schema(each, schemas) if name == "schema" else _filled(each, schemas) for name, each in part.items()}


def _schema(shape: object, schemas: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return {"anyOf": [next(schemas) for _ in shape]} if isinstance(shape, tuple) else next(schemas)


def _worded(part: Any, name: str = "") -> Any:
    """The same with names of shapes as callers read them, and docstrings without their indentation."""
    if isinstance(part, list | tuple):  # the latter: what a member is without a word
        return [_worded(each) for each in part]
    if isinstance(part, dict):
        return {key: _worded(each, key) for key, each in part.items()}
    if name in {"$ref", "title"}:
        return part.removesuffix(OURS)
    return cleandoc(part) if name == "description" else part
