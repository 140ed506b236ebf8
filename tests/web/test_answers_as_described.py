"""Every call of /openapi.json, made up from the description itself, valid and invalid, with a key of each scope: no
fault of ours, and what comes back has the shape that was promised (schemathesis).
"""

import contextlib

import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from support import inside

from gateway.app import openapi
from gateway.keys import api_keys

pytestmark = pytest.mark.slow
BOUNDED = settings(
    deadline=None, derandomize=True, database=None, max_examples=4, suppress_health_check=list(HealthCheck)
)
SCOPES = ("check", "choose", "share", "desk", "export", "replica", "admin", "")
CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]
schema = schemathesis.openapi.from_dict(openapi.document())
FORM = "application/x-www-form-urlencoded"
OPERATIONS = [found.ok() for found in schema.get_all_operations()]


def takes_any_text(operation):
    """Whether it is sent a form of which every member may be left out and be any text: nothing is forbidden there, and
    to look for it takes seconds.
    """
    for form in (body.definition["schema"] for body in operation.body if body.media_type == FORM):
        texts = (each.get("items", each) for each in form["properties"].values())
        return not form["required"] and all(each.keys() <= {"type", "default"} for each in texts)
    return False


FORBIDDING = [found for found in OPERATIONS if not takes_any_text(found)]


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """(folder, a key of each scope)"""
    folder = inside.install(tmp_path_factory.mktemp("described") / "data")
    return folder, {
        scope: api_keys.add_api_key(folder, f"key-{scope}", [scope], publishable=False) for scope in SCOPES if scope
    }


@pytest.fixture(scope="module")
def ask(keys):
    """Sends a case with a key of one scope, or none."""
    folder, made = keys
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(inside.application(folder)) as app:
        client = inside.client(app)

        async def send(method, path, what):
            return await client.request(method, path, **what)

        def call(case, scope):
            what = case.as_transport_kwargs()
            body = {name: what[name] for name in ("json", "data", "params") if what.get(name) is not None}
            if isinstance(body.get("data"), bytes | str):
                body["content"] = body.pop("data")
            given = {name: value for name, value in what.get("headers", {}).items() if value.isascii()}
            given.pop("Authorization", None)
            if scope:
                given["Authorization"] = f"Bearer {made[scope]}"
            return portal.call(send, case.method, case.formatted_path, body | {"headers": given})

        yield call
        portal.call(client.aclose)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda found: found.label)
def test_a_call_of_any_scope_is_answered_in_the_shape_that_is_described(ask, operation):

    @BOUNDED
    @given(case=operation.as_strategy())
    def everything(case):
        for scope in SCOPES:
            answer = ask(case, scope)
            case.validate_response(schemathesis.Response.from_httpx(answer, verify=False), checks=CHECKS)

    everything()


@pytest.mark.parametrize("operation", FORBIDDING, ids=lambda found: found.label)
def test_a_call_that_the_description_forbids_is_answered_in_that_shape_too(ask, operation):
    asked = []

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def everything(case):
        for scope in ("desk", "check", ""):
            answer = ask(case, scope)
            asked.append(answer.status_code)
            case.validate_response(schemathesis.Response.from_httpx(answer, verify=False), checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # a page, of which nothing is asked but its path
        everything()
    assert asked or not any(body.media_type == "application/json" for body in operation.body)


def test_an_answer_of_another_shape_is_seen(ask):
    """The control."""
    operation = next(found for found in OPERATIONS if found.label == "POST /v1/check")
    case = operation.Case(body={"identifiers": [], "recipient": "advertisers"}, media_type="application/json")
    answer = ask(case, "check")
    case.validate_response(schemathesis.Response.from_httpx(answer, verify=False), checks=CHECKS)
    answer._content = answer.content.replace(b'"allowed":false', b'"allowed":"perhaps"')
    with pytest.raises(FailureGroup, match="perhaps"):
        case.validate_response(schemathesis.Response.from_httpx(answer, verify=False), checks=CHECKS)
