import ast
import re
from pathlib import Path

import pytest
from support import inside

import gateway
from gateway import web
from gateway.app import openapi
from gateway.replica.feed import HEADER, Tags, asker, fresh
from gateway.signals import hear
from gateway.terms import CALLERS_CHOICES, CHOOSABLE, Reason
from gateway.web.shell import problem
from gateway.web.shell.edge import FROM_AGENTS

pytestmark = pytest.mark.anyio
# Not for callers: a stylesheet and an icon, the document itself, the numbers for Prometheus, and the demo of --dev.
UNDESCRIBED = {
    "/privacy-choices/choices.css",
    "/privacy-choices/consent.js",
    "/privacy-choices/hosts.js",
    "/privacy-choices/silence.js",
    "/privacy-choices/tools.js",
    "/privacy-choices/opt-out-icon.svg",
    "/privacy-choices/logo",
    "/openapi.json",
    "/metrics",
    "/",
    "/demo",
    "/demo/second",
}

NO_CALLS = {"gateway-account"}  # what a site says of its own visitor (gateway help accounts)


def routes(app):
    return {path_of(route): route.methods for route in inside.routes(app)}


def path_of(route):
    """As the document writes it: without the converter."""
    return route.path.replace(":path}", "}")


async def test_every_call_that_exists_is_described_and_no_other(app):
    described = openapi.document()["paths"]
    there = routes(app)
    assert set(there) - UNDESCRIBED == set(described)
    for path, calls in described.items():
        for method in calls:
            listed = [route.methods for route in inside.routes(app) if path_of(route) == path]
            assert any(methods is None or method.upper() in methods for methods in listed), (method, path)


async def test_the_document_is_served_as_it_is_made(client):
    answer = await client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == openapi.document()
    assert answer.json()["openapi"].startswith("3.1")


def test_the_reasons_that_a_caller_reads_are_the_reasons_that_there_are():
    verdict = openapi.document()["components"]["schemas"]["Verdict"]
    assert verdict["properties"]["reason"] == {"$ref": "#/components/schemas/Reason"}
    assert openapi.document()["components"]["schemas"]["Reason"]["enum"] == sorted(Reason)


def test_the_types_of_problem_documents_are_the_closed_list():
    shape = openapi.document()["components"]["schemas"]["Problem"]
    assert shape["properties"]["type"]["enum"] == sorted(problem.PREFIX + kind for kind in problem.KINDS)


def test_a_caller_reads_the_kinds_of_choices_and_purposes_that_the_door_takes():
    choice = openapi.document()["components"]["schemas"]["Choice"]["properties"]
    assert choice["choice"]["enum"] == sorted(CALLERS_CHOICES)
    assert choice["purposes"]["anyOf"][0]["items"]["enum"] == sorted(["all", *CHOOSABLE])


def test_a_caller_reads_every_signal_that_the_doors_take():
    schemas = openapi.document()["components"]["schemas"]
    assert set(schemas["Signals"]["properties"]) == hear.KNOWN
    assert {"$ref": "#/components/schemas/Signals"} in schemas["Choice"]["properties"]["signals"]["anyOf"]


def test_the_doors_of_apps_and_of_the_pages_script_are_described():
    paths = openapi.document()["paths"]
    assert set(paths["/v1/observe"]["post"]["responses"]) >= {"200", "202", "401", "415", "503"}
    assert set(paths["/privacy-choices/observe"]["post"]["responses"]) >= {"200", "403", "415"}
    assert "downstream" in openapi.document()["components"]["schemas"]["Verdict"]["properties"]


def test_every_reference_in_the_document_leads_somewhere():
    document = openapi.document()
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named
    assert named <= set(document["components"]["schemas"])


@pytest.mark.parametrize("name", ["Check", "Row", "Identifier", "Link"])
def test_where_a_slip_could_allow_the_document_says_that_nothing_else_is_taken(name):
    assert openapi.document()["components"]["schemas"][name]["additionalProperties"] is False


def test_the_calls_with_a_key_say_so_and_the_calls_of_a_person_do_not():
    for path, calls in openapi.document()["paths"].items():
        for call in calls.values():
            assert ("security" in call) is (path.startswith("/v1/") and not path.startswith(FROM_AGENTS)), path


def test_whatever_header_of_ours_a_call_reads_or_answers_with_is_described():
    """The feed's tag among them. What goes to the site behind us is no call's (gateway help mount)."""
    written = "".join(path.read_text() for path in Path(web.__file__).parent.rglob("*.py"))
    headers = {name.lower() for name in re.findall('"(gateway-[a-z-]*[a-z])"', written, re.IGNORECASE)}
    headers.add(HEADER.lower())
    assert {"gateway-job", "gateway-dry-run", "gateway-warning", "gateway-consent"} <= headers, "the harness sees them"
    described = repr(openapi.document()).lower()
    assert {name for name in headers if name not in described} == NO_CALLS


def test_the_feeds_tag_is_asked_for_as_it_is_read():
    described = openapi.document()["paths"]
    (lease,) = described["/v1/leases"]["post"]["parameters"]
    (follows,) = [each for each in described["/v1/changes"]["get"]["parameters"] if each["in"] == "header"]
    assert (lease["name"], lease["required"]) == (follows["name"], not follows["required"]) == (HEADER, True)
    tags = Tags(b"k" * 32, ())
    challenge = fresh()
    for tag in (tags.follows(challenge, 7), tags.renews(challenge, "h", 7, "log", leave=False)):
        assert re.search(lease["schema"]["pattern"], f"{challenge}.{tag}")
        assert asker(f"{challenge}.{tag}", [tags], lambda *_, tag=tag: tag) == (tags, challenge)


WORDS = {
    "$ref", "additionalProperties", "allOf", "const", "enum", "format", "items", "maxItems", "maxLength", "maximum",
    "minItems", "minLength", "minimum", "oneOf", "pattern", "patternProperties", "properties", "propertyNames",
}  # fmt: skip
TYPES = {"array", "boolean", "integer", "null", "number", "object", "string"}


def by_hand(source):
    """The lines on which a dictionary begins that is a schema. Most files have none of the words, and are not
    parsed."""
    if not any(f'"{word}"' in source or f"{word}=" in source for word in (*WORDS, "type")):
        return []
    return [node.lineno for node in ast.walk(ast.parse(source)) if is_schema(members_of(node))]


def members_of(node):
    if isinstance(node, ast.Dict):
        named = zip(node.keys, node.values, strict=True)
        return {name.value: value for name, value in named if isinstance(name, ast.Constant)}
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "dict":
        return {each.arg: each.value for each in node.keywords}
    return {}


def is_schema(members):
    kinds = {each.value for each in ast.walk(members.get("type", ast.List())) if isinstance(each, ast.Constant)}
    return not WORDS.isdisjoint(members) or (bool(kinds) and kinds <= TYPES)


@pytest.mark.slow
def test_no_schema_is_written_by_hand():
    """Each is made of a shape that a door reads or writes."""
    lines = {path.name: by_hand(path.read_text()) for path in Path(gateway.__file__).parent.rglob("*.py")}
    assert {name: found for name, found in lines.items() if found} == {}


@pytest.mark.parametrize(
    "source",
    [
        'A = {"type": "string"}', 'A = {"type": ["string", "null"], "description": "x"}', 'A = {"enum": [*Purpose]}',
        'A = {"description": "x", **{"properties": {}}}', 'def f():\n    return {"schema": {"$ref": "#/x"}}',
        'A = dict(type="object")', 'A = {"anyOf": [{"type": "null"}]}',
    ],
)  # fmt: skip
def test_a_schema_that_is_written_by_hand_is_seen(source):
    """The control."""
    assert by_hand(source)


@pytest.mark.parametrize("source", ['A = {"type": "http"}', 'A = {"type": kind, "value": 1}', 'A = {"schema": str}'])
def test_what_is_no_schema_is_none(source):
    assert by_hand(source) == []
