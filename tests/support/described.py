"""Answers and bodies held against /openapi.json: each has a shape that is described, and an answer no member that is
not."""

import re
from functools import cached_property

import jsonschema_rs

from gateway.app import openapi
from gateway.web.shell.problem import MEDIA_TYPE

JSON = "application/json"


def closed(part):
    """The same where an object has only the members that are described."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {name: closed(each) for name, each in part.items()}
    return {"additionalProperties": False, **made} if isinstance(made.get("properties"), dict) else made


def validator(schema, document):
    whole = {"components": document["components"], **schema}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


class Description:
    """What the document says of calls. `judged`: (method, path, status) of every answer that had a shape."""

    def __init__(self, document=None):
        self.document = document or openapi.document()
        self.closed = closed(self.document)
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

    def call(self, method, path):
        """(path as described, its call); None where it is not described."""
        for template, calls in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{path\}", ".+", re.sub(r"\{(?!path)\w+\}", "[^/]+", template)), path):
                return template, calls.get(method)
        return path, None

    def faults(self, answer):
        """What of an answer, or of the body that it answers, is not as described."""
        request = answer.request
        method = request.method.lower()
        path, call = self.call(method, request.url.path)
        if call is None:
            return []
        told = self.closed["paths"][path][method]["responses"].get(str(answer.status_code), {}).get("content", {})
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if kind not in told:
            return [f"{path} {answer.status_code}: {kind} is not described"] if kind == JSON else []
        self.judged.add((method, path, str(answer.status_code)))
        found = (
            validator(told[kind]["schema"], self.closed).iter_errors(answer.json())
            if kind in (JSON, MEDIA_TYPE)
            else ()
        )
        return [f"{path} {answer.status_code} {error.instance_path}: {error.message[:200]}" for error in found]

    def is_forbidden(self, method, path, body):
        """Whether a body is none that the description allows."""
        template, _ = self.call(method, path)
        schema = self.document["paths"][template][method]["requestBody"]["content"][JSON]["schema"]
        return not validator(schema, self.document).is_valid(body)
