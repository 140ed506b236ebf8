"""Answers and bodies held against /openapi.json: each has a shape that is described, and an answer no member that is
not.
"""

import re
from functools import cache, cached_property, reduce

import jsonschema_rs

from gateway.app import openapi
from gateway.web.shell.problem import MEDIA_TYPE

JSON = "application/json"


@cache
def closed():
    """The document where an object has only the members that are described."""
    return without_others(openapi.document())


def without_others(part):
    if isinstance(part, list):
        return [without_others(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {name: without_others(each) for name, each in part.items()}
    return {"additionalProperties": False, **made} if isinstance(made.get("properties"), dict) else made


@cache
def validator(*where, only=False):
    """Of the schema that stands there below the paths; `only`: that takes no member which is not described."""
    document = closed() if only else openapi.document()
    schema = reduce(lambda part, name: part[name], where, document["paths"])
    whole = {"components": document["components"], **schema}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


@cache
def template_of(path):
    """The path as it is described, where it is."""
    for template in openapi.document()["paths"]:
        if re.fullmatch(re.sub(r"\{path\}", ".+", re.sub(r"\{(?!path)\w+\}", "[^/]+", template)), path):
            return template
    return path


class Description:
    """What the document says of calls. `judged`: (method, path, status) of every answer that had a shape."""

    def __init__(self):
        self.document = openapi.document()
        self.judged = set()

    @cached_property
    def promised(self):
        """(method, path, status) of every answer whose JSON is described, problems apart."""
        return {
            (method, path, status)
            for path, calls in self.document["paths"].items()
            for method, call in calls.items()
            for status, answer in call["responses"].items()
            if JSON in answer.get("content", {})
        }

    def faults(self, answer):
        """What of an answer is not as described."""
        method, path = answer.request.method.lower(), template_of(answer.request.url.path)
        call, status = self.document["paths"].get(path, {}).get(method), str(answer.status_code)
        if call is None:
            return []
        told = call["responses"].get(status, {}).get("content", {})
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if kind not in told:
            return [f"{path} {status}: {kind} is not described"] if kind == JSON else []
        self.judged.add((method, path, status))
        if kind not in {JSON, MEDIA_TYPE}:
            return []
        shape = validator(path, method, "responses", status, "content", kind, "schema", only=True)
        found = shape.iter_errors(answer.json())
        return [f"{path} {status} {error.instance_path}: {error.message[:200]}" for error in found]

    def is_forbidden(self, method, path, body):
        """Whether a body is none that the description allows."""
        shape = validator(template_of(path), method, "requestBody", "content", JSON, "schema")
        return not shape.is_valid(body)
