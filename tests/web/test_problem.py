import ast
from pathlib import Path

import orjson
import pytest
from starlette.exceptions import HTTPException

import gateway
from gateway.consent.choice_result import Refused
from gateway.ledger.acts.idempotency import Mismatch, Used
from gateway.ledger.errors import StoreUnavailable
from gateway.web.shell import problem
from gateway.web.shell.problem import Problem

CODE = Path(gateway.__file__).parent


def raised_kinds() -> set[str]:
    """The first argument of every Problem(...), Refused(...) that the code can raise."""
    found = set()
    for path in CODE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Problem", "Refused"} and node.args:
                found |= {c.value for c in ast.walk(node.args[0]) if isinstance(c, ast.Constant)}
    return {kind for kind in found if isinstance(kind, str) and kind not in {"size", ""}}


@pytest.mark.slow
def test_a_caller_meets_no_kind_of_problem_that_is_not_in_the_closed_list():
    raised = raised_kinds()
    assert len(raised) > 12
    assert raised <= set(problem.KINDS)
    assert set(problem.BY_STATUS.values()) <= set(problem.KINDS)


@pytest.mark.parametrize("kind", problem.KINDS)
def test_every_kind_is_a_problem_document_with_a_status_that_says_whose_fault_it_is(kind):
    answer = problem.response(Problem(kind, "what to do", "/member"), "abc")
    body = orjson.loads(answer.body)
    assert answer.media_type == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert body["type"] == f"urn:consent-gateway:problem:{kind}"
    assert body["status"] == answer.status_code == problem.KINDS[kind][0]
    assert (body["title"], body["detail"], body["instance"]) == (problem.KINDS[kind][1], "what to do", "abc")
    assert body["errors"] == [{"pointer": "/member", "detail": "what to do"}]


def test_a_caller_without_a_key_is_told_how_to_present_one():
    assert problem.response(Problem("unauthorized", "")).headers["www-authenticate"] == "Bearer"


def test_a_caller_is_asked_to_come_again_only_when_nothing_was_kept():
    waits = {kind for kind in problem.KINDS if "retry-after" in problem.response(Problem(kind, "")).headers}
    assert waits == {"store_unavailable"}


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (Problem("forbidden", ""), "forbidden", 403),
        (Refused("superseded", ""), "superseded", 422),
        (Mismatch(), "idempotency_mismatch", 422),
        (Used(), "confirm_used", 422),
        (StoreUnavailable("nothing was kept"), "store_unavailable", 503),
        (HTTPException(404), "not_found", 404),
        (HTTPException(405), "method_not_allowed", 405),
        (HTTPException(413), "too_large", 413),
        (HTTPException(400), "malformed", 400),
        (ZeroDivisionError("secret text"), "internal", 500),
    ],
)
def test_what_goes_wrong_inside_has_one_meaning_outside(error, kind, status):
    found = problem.problem_of(error)
    assert (found.kind, problem.response(found).status_code) == (kind, status)


def test_a_fault_of_ours_tells_a_stranger_nothing_about_the_inside():
    body = problem.response(problem.problem_of(RuntimeError("/var/lib/gateway/ledger.sqlite3 SELECT"))).body
    assert b"sqlite" not in body
    assert b"SELECT" not in body
