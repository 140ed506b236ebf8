import ast
import asyncio
import fcntl
import re
from pathlib import Path

import pytest
import structlog
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from support import house, inside
from support.people import GAID, email, named, phone

import gateway
from gateway.cli.serve import KEPT, redact_log
from gateway.web.shell.door_router import DoorRouter
from gateway.web.shell.edge import INTERNAL, METRICS, PUBLIC, listeners_of, loopback_only

pytestmark = pytest.mark.anyio
PATHS = {
    "/privacy-choices": {PUBLIC},
    "/privacy-choices/status": {PUBLIC},
    "/privacy-choices/observe": {PUBLIC},
    "/.well-known/gpc.json": {PUBLIC},
    "/demo": {PUBLIC},
    "/v1/check": {INTERNAL},
    "/v1/self": {INTERNAL},
    "/v1/choices": {INTERNAL, PUBLIC},  # apps on the internet (I31)
    "/v1/observe": {INTERNAL, PUBLIC},
    "/v1/standing": {INTERNAL, PUBLIC},
    "/v1/links": {INTERNAL, PUBLIC},
    "/v1/codes": {INTERNAL, PUBLIC},
    "/v1/access": {INTERNAL, PUBLIC},
    "/v1/erasures": {INTERNAL, PUBLIC},
    "/v1/explain": {INTERNAL},
    "/v1/disclosures": {INTERNAL},
    "/v1/notices": {INTERNAL},
    "/v1/texts": {INTERNAL, PUBLIC},  # providers of text messages
    "/v1/choices/": {INTERNAL},
    "/v1/observe/": {INTERNAL},
    "/v1": {INTERNAL},
    "/authz/nginx": {INTERNAL},
    "/authz/forward": {INTERNAL},
    "/authz/envoy/page": {INTERNAL},
    "/openapi.json": {INTERNAL},
    "/metrics": {METRICS},
    "/livez": {PUBLIC, INTERNAL, METRICS},
    "/readyz": {PUBLIC, INTERNAL, METRICS},
}


@pytest.mark.parametrize(("path", "served"), PATHS.items())
def test_a_path_is_served_where_its_callers_are(path, served):
    assert listeners_of(path) == served


@pytest.mark.parametrize("listener", [PUBLIC, INTERNAL, METRICS])
async def test_a_path_asked_on_the_wrong_address_is_not_there(tmp_path, listener):
    async with inside.application(tmp_path / "data", served=frozenset({listener})) as app, inside.client(app) as client:
        for path, served in PATHS.items():
            if path in {"/v1", "/v1/choices/", "/v1/observe/"}:
                continue
            answer = await client.get(path, headers=inside.DEV)
            assert (answer.status_code != 404) is (listener in served), path
            if listener not in served:
                assert answer.json()["type"].endswith(":not_found")


async def test_an_address_that_nobody_configured_serves_no_public_page(app):
    # A UNIX socket or an unknown port counts as internal.
    async with inside.client(app) as client:
        client.base_url = "http://127.0.0.1:9"
        assert (await client.get("/privacy-choices")).status_code == 404
        assert (await client.get("/v1/self", headers=inside.DEV)).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        ("Forwarded", "for=192.0.2.1"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Proto", "https"),
        ("x-forwarded-host", "127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("Host", "evil.example"),
        ("Host", "evil.example:8080"),
        ("Host", "127.0.0.1.evil.example"),
        ("Host", "127.evil.0.1"),
        ("Host", "localhost.evil.example"),
        ("Host", "192.0.2.1:8080"),
        ("Host", "[2001:db8::1]:8080"),
        ("Host", ""),
    ],
)
async def test_a_development_server_answers_nobody_but_this_machine(app, header):
    async with inside.client(app, **inside.DEV) as client:
        answer = await client.get("/v1/self", headers=dict([header]))
    assert answer.status_code == 403
    assert answer.json()["type"].endswith(":not_loopback")
    assert "gateway-request" in answer.headers


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8080", "localhost", "localhost:1", "[::1]", "[::1]:8080", "127.8.8.8"]
)
async def test_this_machine_is_known_by_all_its_names(app, host):
    async with inside.client(app, **inside.DEV) as client:
        assert (await client.get("/v1/self", headers={"Host": host})).status_code == 200


def test_the_guard_reads_every_header_and_not_the_first_alone():
    headers = [(b"host", b"127.0.0.1"), (b"accept", b"*/*"), (b"x-forwarded-for", b"192.0.2.1")]
    assert loopback_only({"headers": headers})
    assert not loopback_only({"headers": headers[:2]})


async def test_in_production_a_proxy_may_stand_before_the_gateway(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app, inside.client(app) as client:
        page = await client.get("/privacy-choices", headers={"X-Forwarded-For": "192.0.2.1", "Host": "www.example.com"})
        assert page.status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/privacy-choices"), ("GET", "/nowhere"), ("POST", "/v1/check"), ("PUT", "/v1/check"), ("GET", "/livez"),
     ("OPTIONS", "/privacy-choices"), ("HEAD", "/privacy-choices")],
)  # fmt: skip
async def test_every_answer_has_a_request_id_of_its_own(client, method, path):
    first, second = await client.request(method, path), await client.request(method, path)
    assert len(first.headers.get_list("gateway-request")) == 1
    assert first.headers["gateway-request"] != second.headers["gateway-request"]


async def test_a_problem_names_the_request_that_the_log_names(client):
    with structlog.testing.capture_logs() as lines:
        answer = await client.post("/v1/check", json={})
    assert answer.json()["instance"] == answer.headers["gateway-request"] == lines[0]["id"]


async def test_a_caller_cannot_choose_the_request_id(client):
    answer = await client.get("/livez", headers={"Gateway-Request": "mine\x1b[31m"})
    assert answer.headers.get_list("gateway-request") != ["mine"]
    assert "mine" not in answer.headers["gateway-request"]


async def test_a_request_leaves_one_log_line_and_nothing_of_the_person_in_it(client, keyed):
    secret = [phone(3), email(3), GAID, "QUERYMARK", "AGENTMARK", "192.0.2.77"]
    with structlog.testing.capture_logs() as lines:
        done = await client.post(
            "/privacy-choices?q=QUERYMARK",
            data={"action": "opt_out", "phone": phone(3), "email": email(3)},
            headers={"User-Agent": "AGENTMARK", "Cookie": "id=AGENTMARK"},
        )
        await client.get(done.headers["location"])
        check = {"identifiers": [named("gaid", GAID)], "recipient": "teemo", "ip": "192.0.2.77"}
        await keyed.post("/v1/check", json=check | {GAID: 1})
        await client.get(f"/{GAID}?phone={phone(3)}")
    assert [line["route"] for line in lines] == [
        "/privacy-choices",
        "/privacy-choices/done/{event}",
        "/v1/check",
        "other",
    ]
    text = repr(lines)
    event = done.headers["location"].rpartition("/")[2]
    assert not [mark for mark in [*secret, event] if mark in text]


async def test_the_log_says_which_key_asked_and_which_was_turned_away(client, keyed):
    """V39: the actor, by the name that the operator gave it; of nobody's key nothing is repeated."""
    with structlog.testing.capture_logs() as lines:
        await keyed.post("/v1/choices", json={"identifiers": [named("gaid", GAID)], "choice": "opt_out"})
        await client.post("/v1/choices", json={}, headers={"Authorization": "Bearer nobody.SECRETMARK"})
        await client.get("/privacy-choices")
    assert [(line["route"], line["status"], line.get("key")) for line in lines] == [
        ("/v1/choices", 201, "dev"),
        ("/v1/choices", 401, None),
        ("/privacy-choices", 200, None),
    ]
    assert "SECRETMARK" not in repr(lines)


async def test_a_check_that_was_answered_is_counted_and_not_logged(client, keyed):
    with structlog.testing.capture_logs() as lines:
        await keyed.post("/v1/check", json={"identifiers": [], "recipient": "teemo"})
        await client.get("/livez")
    assert lines == []
    assert 'route="/v1/check",status="200"' in (await client.get("/metrics")).text


def test_a_log_field_that_nobody_named_is_dropped():
    line = redact_log(None, "info", {"event": "request", "status": 200, "phone": phone(1), "headers": {}})
    assert line == {"event": "request", "status": 200}
    assert not KEPT & {"path", "query", "client", "ip", "headers", "cookie", "body"}


def logged_fields():
    """(file, field) of each field that is written to the log in the source."""
    for path in Path(gateway.__file__).parent.rglob("*.py"):
        if not re.search(r"\blog\.(info|warning|error)\(", path.read_text()):
            continue
        for call in ast.walk(house.tree(path)):
            match call:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log") | ast.Attribute(attr="log"), attr=level)):
                    if level in {"info", "warning", "error"}:
                        yield from ((path.name, each.arg) for each in call.keywords)


def test_every_field_that_is_written_to_the_log_arrives_there():
    """A sidecar's log said `stale`, and not why."""
    fields = set(logged_fields())
    assert ("serve.py", "why") in fields
    assert {field for field in fields if field[1] not in KEPT} == set()


async def test_a_fault_of_ours_is_a_problem_document_with_the_request_id(app, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("ledger.sqlite3 SELECT secret")

    monkeypatch.setattr(Request, "receive", property(broken))
    async with inside.client(app, **inside.DEV) as client:
        client._transport.raise_app_exceptions = False
        answer = await client.post("/v1/check", json={})
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:consent-gateway:problem:internal")
    assert answer.json()["instance"] == answer.headers["gateway-request"]
    assert "SELECT" not in answer.text


async def test_a_page_that_looks_never_writes(client):
    paths = [
        "/privacy-choices",
        "/privacy-choices/status",
        "/.well-known/gpc.json",
        "/demo",
        "/livez",
        "/openapi.json",
        "/privacy-choices/done/AAAA",
        "/v1/check",
        "/v1/choices",
        "/v1/links",
        "/v1/observe",
        "/privacy-choices/observe",
    ]
    before = (await client.get("/readyz")).json()["ledger"]["entries"]
    for method in ("GET", "HEAD", "OPTIONS"):
        for path in paths:
            await client.request(method, path, headers={**inside.DEV, "Sec-GPC": "1"})
    assert (await client.get("/readyz")).json()["ledger"]["entries"] == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin"),
        ("origin", "http://127.0.0.1:8080"), ("accept-language", "en"),
    ],
)  # fmt: skip
async def test_a_form_with_blanks_around_a_header_is_taken(app, name, value):
    said = {"host": "127.0.0.1:8080", "content-type": "application/x-www-form-urlencoded", name: f"\t {value} \t"}
    assert await asked_raw(app, "/privacy-choices", said, b"action=opt_out") == 303


async def test_a_caller_with_blanks_around_its_headers_is_answered(app):
    said = {"host": "127.0.0.1:8080", "authorization": " Bearer dev.dev ", "content-type": "application/json\t"}
    assert await asked_raw(app, "/v1/choices", said | {"content-encoding": "identity "}, OPT_OUT) == 201


OPT_OUT = b'{"identifiers": [{"type": "email", "value": "ana@example.com"}], "choice": "opt_out"}'


async def asked_raw(app, path, headers, body, part=None):
    """The status of a POST whose headers come as no client library sends them. `part` gives the next bytes of a body,
    None where the client has hung up.
    """
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": pairs,
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }
    statuses = []

    async def receive():
        found = part() if part else body
        if found is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": found, "more_body": bool(part)}

    async def send(message):
        statuses.append(message.get("status"))

    await app(scope, receive, send)
    return statuses[0]


CUT_OFF = [
    "/privacy-choices",
    "/privacy-choices/observe",
    "/privacy-choices/marketing",
    "/privacy-choices/code",
    "/privacy-choices/data",
    "/v1/choices",
    "/v1/observe",
    "/v1/links",
    "/v1/texts",
    "/v1/codes",
    "/v1/check",
    "/v1/checks",
    "/v1/openrtb",
    "/v1/standing",
    "/v1/disclosures",
    "/v1/access",
    "/v1/erasures",
    "/privacy-choices/opt-in",
]


@pytest.mark.parametrize("path", CUT_OFF)
async def test_a_body_that_is_cut_off_is_one_line_of_the_log_and_no_fault_of_ours(app, path):
    """Whoever hangs up amid a body has asked for nothing."""
    form = path.startswith("/privacy") and not path.endswith("observe")
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    said = {"host": "127.0.0.1:8080", "content-type": kind, "authorization": "Bearer dev.dev", "content-length": "90"}
    parts = iter([b'action=opt_out&identifiers={"identifiers": ['])
    with structlog.testing.capture_logs() as lines:
        status = await asked_raw(app, path, said, None, lambda: next(parts, None))
    assert status == 400
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["status"], line["log_level"]) == (400, "info")
    assert len(lines) == 1


FORM = (b"content-type", b"application/x-www-form-urlencoded")
HANGS = {
    "a backend's call, while it is written": ("/v1/links", b'{"account":"a1","identifiers":[{"type":"gaid","value":"%s"}]}' % GAID.encode(), []),
    "a person's form, while it is written": ("/privacy-choices", b"action=opt_out", [FORM, (b"accept", b"text/html")]),
    "an app's opt-out that has no end": ("/v1/choices", None, []),
    "a check that has no end": ("/v1/check", None, []),
}  # fmt: skip


@pytest.mark.parametrize("which", HANGS)
async def test_a_stop_that_waits_no_longer_says_so_and_is_no_fault_of_ours(app, tmp_path, which):
    """As uvicorn cuts off what is open after `DRAIN`; it answers 500 to whatever says nothing then."""
    path, body, headers = HANGS[which]
    told, hangs = [], asyncio.Event()

    async def receive():
        if body is None or hangs.is_set():
            await asyncio.Event().wait()
        hangs.set()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        told.append(message)

    own = {"authorization": inside.DEV["Authorization"], "host": "127.0.0.1:8080", "content-type": "application/json"}
    listed = {name.encode(): value.encode() for name, value in own.items()} | dict(headers)
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "scheme": "http",
        "headers": [*listed.items()], "server": ("127.0.0.1", 8080), "client": ("127.0.0.1", 1), "root_path": "",
        "http_version": "1.1",
    }  # fmt: skip
    with structlog.testing.capture_logs() as lines, (tmp_path / "data" / "ledger.sqlite3.writer").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        task = asyncio.ensure_future(app(scope, receive, send))
        await asyncio.sleep(0.3)
        assert not task.done(), "the control: it is open"
        task.cancel("Task cancelled, timeout graceful shutdown exceeded")
        await task
    assert [each["status"] for each in lines if each["event"] == "request"] == [503]
    headers = dict(told[0]["headers"])
    assert (told[0]["status"], headers[b"retry-after"]) == (503, b"1")
    if "person" in which:
        assert b"text/html" in headers[b"content-type"]
        assert b"Please try again in a minute" in told[1]["body"]
    else:
        assert b"urn:consent-gateway:problem:store_unavailable" in told[1]["body"]


async def test_what_a_stop_cuts_off_that_was_begun_is_not_begun_again():
    """A stream's end is then seen to be missing."""
    told, begun = [], asyncio.Event()

    async def lines():
        yield b"{}\n"
        begun.set()
        await asyncio.Event().wait()

    async def streaming(_):
        return StreamingResponse(lines())

    async def send(message):
        told.append(message["type"])

    router = DoorRouter([Route("/lines", streaming)])
    scope = {"type": "http", "method": "GET", "path": "/lines", "headers": [], "query_string": b"", "root_path": ""}
    task = asyncio.ensure_future(router(scope, asyncio.Event().wait, send))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["http.response.start", "http.response.body"]
