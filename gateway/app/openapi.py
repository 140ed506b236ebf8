"""GET /openapi.json, for callers and their tools: made from the shapes that the doors read and write, so that they and
the description cannot drift. The service serves it; `gateway.app.calls` lists the calls.
"""

from collections.abc import Callable, Iterator
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
    paths, shapes = calls.paths(), list[Any]()
    _walked(paths, lambda shape: shapes.extend(shape if isinstance(shape, tuple) else [shape]))
    made, components = msgspec.json.schema_components([*shapes, *calls.OF_LINES], ref_template=REF)
    schemas = iter(made)
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "Consent gateway", "version": __version__, "x-api": API},
        # What an app goes by before any answer: everybody is opted out, and no SDK starts (I22).
        "x-until-first-answer": {"store": opted_out().for_store(), "sdks": STOP, "device": None},
        "paths": _walked(paths, lambda shape: _schema(shape, schemas)),
        "components": {
            "schemas": {name.removesuffix(OURS): shape for name, shape in components.items()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "<id>.<secret>"}},
        },
    }
    return {name: _worded(part) for name, part in whole.items()}


def _walked(part: Any, made: Callable[[Any], object]) -> Any:
    """The calls with what is made of each shape in its place, in order: what stands under `schema` is one, or a tuple
    of which it is any.
    """
    if isinstance(part, list):
        return [_walked(each, made) for each in part]
    if not isinstance(part, dict):
        return part
    return {name: made(each) if name == "schema" else _walked(each, made) for name, each in part.items()}


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
