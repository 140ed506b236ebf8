"""A check whose request came whole is answered at once, without a task: as by its door, or by its door."""

import asyncio
import gzip
import json
import re

import httpx2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import inside, raw
from support.examples import examples
from support.people import email, gaid, named
from support.ports import free_port
from support.service import service
from support.wire import call

from gateway.app.fake import Misbehaving
from gateway.cli.serve import ByPort
from gateway.keys import api_keys
from gateway.web.shell import wire
from gateway.web.shell.problem import Problem
from gateway.web.shell.protocol import Protocol

HERE = ("127.0.0.1", 8080)
OF_THE_CALL = {"decision", "valid_until", "position"}
OF_THE_ANSWER = {"server-timing", "gateway-request", "content-length"}
HEAD = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer dev.dev"), (b"content-type", b"application/json")]
ONE = {"identifiers": [named("gaid", gaid(1))], "recipient": "advertisers", "place": "US-CA"}
TWO = {**ONE, "identifiers": [named("gaid", gaid(1)), named("email", email(2))]}
ASKED = {
    "of one": ONE,
    "of who said no": {**ONE, "identifiers": [named("gaid", gaid(7))]},
    "of two identifiers": TWO,
    "of several recipients": {**TWO, "recipients": ["advertisers", "flurry"], "recipient": None},
    "with signals": {**ONE, "signals": {"gpc": "1"}, "age": 12, "ref": "a"},
    "of nobody": {**ONE, "identifiers": []},
    "of a malformed identifier": {**ONE, "identifiers": [named("gaid", "x")]},
    "for a try": {**ONE, "dry_run": True},
}
BY_THE_DOOR = {
    "no key": ([HEAD[0], HEAD[2]], ONE, 401),
    "another's key": ([HEAD[0], (b"authorization", b"Bearer dev.other"), HEAD[2]], ONE, 401),
    "two keys": ([*HEAD, HEAD[1]], ONE, 200),
    "no type": (HEAD[:2], ONE, 200),
    "a form's type": ([*HEAD[:2], (b"content-type", b"text/plain")], ONE, 415),
    "packed": ([*HEAD, (b"content-encoding", b"gzip")], gzip.compress(json.dumps(ONE).encode()), 200),
    "behind a proxy": ([*HEAD, (b"x-forwarded-proto", b"https")], ONE, 403),
    "another name of this machine": ([(b"host", b"evil.example"), *HEAD[1:]], ONE, 403),
    "a member that is none": (HEAD, {**ONE, "recipent": "flurry"}, 400),
    "a name twice": (HEAD, b'{"identifiers":[],"recipient":"flurry","age":12,"age":30}', 400),
    "a signal twice": (HEAD, b'{"identifiers":[],"recipient":"flurry","signals":{"gpc":"1","gpc":"0"}}', 400),
    "a name that is escaped": (HEAD, b'{"identifiers":[],"recip\\u0069ent":"flurry"}', 200),
    "a signal that is none": (HEAD, {**ONE, "signals": {"gpcc": "1"}}, 400),
    "nobody to send to": (HEAD, {"identifiers": []}, 400),
    "a recipient that is none": (HEAD, {**ONE, "recipient": "nobody"}, 200),
    "a send that is announced": (HEAD, {**ONE, "will_send": True}, 200),
    "what goes without saying": (HEAD, b'{"identifiers":[],"recipient":"flurry","purpose":null}', 200),
    "no JSON": (HEAD, b"{", 400),
    "a mark before it": (HEAD, b"\xef\xbb\xbf" + json.dumps(ONE).encode(), 200),
    "half a character": (HEAD, b'{"identifiers":[],"recipient":"\xff"}', 400),
    "an age without end": (HEAD, b'{"identifiers":[],"recipient":"flurry","age":1' + b"0" * 400 + b"}", 400),
    "a count of more than 64 bits": (
        HEAD,
        b'{"identifiers":[],"recipient":"flurry","count":18446744073709551616}',
        400,
    ),
    "a value of more than 64 bits": (
        HEAD,
        b'{"identifiers":[{"type":"phone","value":18446744073709551616}],"recipient":"flurry"}',
        400,
    ),
    "a signal without end": (
        HEAD,
        b'{"identifiers":[],"recipient":"flurry","signals":{"lmt":1' + b"0" * 400 + b"}}",
        400,
    ),
    "nested deeper than is written": (
        HEAD,
        b'{"identifiers":[],"recipient":"flurry","geo":{"ext":' + b"[" * 300 + b"]" * 300 + b"}}",
        400,
    ),
    "nested without end": (HEAD, b'{"geo":{"ext":' + b"[" * 5000 + b"]" * 5000 + b"}}", 400),
}


def written(body):
    return body if isinstance(body, bytes) else orjson.dumps({k: v for k, v in body.items() if v is not None})


def plain(text):
    def without(found):
        inner = {name: without(each) for name, each in found.get("verdicts", {}).items()}
        return {name: each for name, each in found.items() if name not in OF_THE_CALL} | (
            {"verdicts": inner} if inner else {}
        )

    return without(json.loads(text))


@pytest.fixture
async def app(tmp_path):
    async with inside.application(tmp_path / "data") as built, inside.client(built, **inside.DEV) as calling:
        no = {"identifiers": [named("gaid", gaid(7))], "choice": "opt_out"}
        assert (await calling.post("/v1/choices", json=no)).status_code == 201
        await asked(calling, HEAD, orjson.dumps(ONE))  # from then on its key is known
        yield built, calling


async def asked(calling, head, body):
    request = httpx2.Request("POST", "http://127.0.0.1:8080/v1/check", content=body, headers=head)
    return await calling.send(request)


@pytest.mark.anyio
@pytest.mark.parametrize("what", ASKED)
async def test_it_is_answered_as_its_door_answers(app, what):
    built, calling = app
    body = written(ASKED[what])
    for _ in range(2):  # as the rules answer, and from what is kept
        fields, _, text = built.at_once("/v1/check", HEAD, body, HERE).partition(b"\r\n\r\n")
        heard = dict(line.split(": ", 1) for line in fields.decode().split("\r\n"))
        by_door = await asked(calling, HEAD, body)
        assert plain(text) == plain(by_door.content)
        assert int(heard["content-length"]) == len(text)
        assert set(heard) == set(by_door.headers)
        assert all(heard[name] == by_door.headers[name] for name in set(heard) - OF_THE_ANSWER)


@pytest.mark.anyio
@pytest.mark.parametrize("what", BY_THE_DOOR)
async def test_what_is_anything_else_comes_in_by_the_door_which_words_what_is_wrong(app, what):
    built, calling = app
    head, body, status = BY_THE_DOOR[what]
    before = await counted(calling)
    assert built.at_once("/v1/check", head, written(body), HERE) is None
    assert await counted(calling) == before, "it left a trace"
    assert (await asked(calling, head, written(body))).status_code == status


async def counted(calling):
    kinds = ("gateway_verdicts_total", "gateway_signals_total", "gateway_malformed_signals_total")
    lines = [line for line in (await calling.get("/metrics")).text.splitlines() if line.startswith(kinds)]
    return {line for line in lines if not line.endswith(" 0.0")}


@pytest.mark.anyio
async def test_it_counts_once_and_is_traced_by_the_callers_id(app):
    built, calling = app
    trace = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    async def times():
        said = (await calling.get("/metrics")).text
        return [
            int(float(found))
            for found in re.findall(
                r'^http_request_duration_seconds_count\{.*"/v1/check".*\} (.*)$', said, re.MULTILINE
            )
        ]

    (before,) = await times()
    fields = built.at_once("/v1/check", [*HEAD, trace], written(ONE), HERE)
    assert b"gateway-request: 0af7651916cd43dd8448eb211c80319c\r\n" in fields
    assert await times() == [before + 1]


@pytest.mark.anyio
async def test_a_key_that_is_revoked_or_may_not_ask_is_refused_by_the_door(tmp_path):
    async with inside.application(tmp_path / "data") as built, inside.client(built) as calling:
        may, may_not = [
            await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", name, [scope], publishable=False)
            for name, scope in (("ads", "check"), ("share", "share"))
        ]
        await asyncio.sleep(api_keys.RELOAD + 0.1)
        of = {key: [HEAD[0], (b"authorization", f"Bearer {key}".encode()), HEAD[2]] for key in (may, may_not)}
        assert (await asked(calling, of[may], written(ONE))).status_code == 200
        assert (await asked(calling, of[may_not], written(ONE))).status_code == 403
        assert built.at_once("/v1/check", of[may], written(ONE), HERE)
        assert built.at_once("/v1/check", of[may_not], written(ONE), HERE) is None
        await asyncio.to_thread(api_keys.revoke, tmp_path / "data", "ads")
        await asyncio.sleep(api_keys.RELOAD + 0.1)
        assert built.at_once("/v1/check", of[may], written(ONE), HERE) is None
        assert (await asked(calling, of[may], written(ONE))).status_code == 401


@pytest.mark.anyio
async def test_another_address_serves_none(tmp_path):
    async with inside.application(tmp_path / "data", served=frozenset({"public"})) as built:
        assert built.at_once("/v1/check", HEAD, written(ONE), HERE) is None


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS, lambda each: st.lists(each, max_size=2) | st.dictionaries(st.text(max_size=2), each, max_size=2)
)
MEMBERS = st.fixed_dictionaries(
    {"identifiers": st.lists(st.sampled_from([named("gaid", gaid(1)), {"type": "gaid", "value": 1}, {}]), max_size=2) | VALUES},
    optional={
        name: values | VALUES
        for name, values in {
            "recipient": st.just("flurry"), "recipients": st.just(["flurry"]), "place": st.just("US-CA"),
            "age": st.sampled_from([12, "adult", 12.0, 10**30]), "count": st.sampled_from([1, 1.0, -1, 10**30]),
            "signals": st.dictionaries(st.sampled_from(["gpc", "gpp"]), VALUES), "geo": st.just({"country": "USA"}),
            "during_call": st.booleans(), "ref": st.text(max_size=3), "data": st.just(["ad_id"]),
        }.items()
    },
)  # fmt: skip


@examples(400)
@given(MEMBERS, st.booleans(), st.booleans())
def test_a_body_that_is_read_at_once_is_read_as_by_the_door(members, ascii_only, doubled):
    body = json.dumps(members, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    if doubled and len(members) > 1:
        body = body[:-1] + b',"age":30}'
    found = wire.plain_check(body)
    try:
        read = wire.convert(wire.parse_body(body), wire.Check)
    except Problem:
        read = None
    assert found is None or repr(found) == repr(read)  # 1, 1.0 and true are equal


def test_most_bodies_are_read_at_once():
    """Control: what reads none would read all as the door does."""
    assert all(wire.plain_check(written(ASKED[what])) for what in ASKED)


# ---- on a connection ----


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("at once")) as started:
        assert call(f"{started.url}/v1/check", ONE)[0] == 200
        yield started


def post(body=ONE, fields=b"", path=b"/v1/check", version=b"1.1"):
    text = written(body)
    kept = b"" if b"Transfer-Encoding" in fields else b"Content-Length: %d\r\n" % len(text)
    head = b"Host: 127.0.0.1\r\nAuthorization: Bearer dev.dev\r\nContent-Type: application/json\r\n"
    return b"POST %b HTTP/%b\r\n%b%b%b\r\n%b" % (
        path,
        version,
        head,
        kept,
        fields,
        b"" if b"Transfer" in fields else text,
    )


WHOLE = post()
CHUNKED = post(fields=b"Transfer-Encoding: chunked\r\n")
TEXT = written(ONE)
ON_A_CONNECTION = {
    "whole": ([WHOLE], [200], False),
    "three at once": ([WHOLE * 3], [200] * 3, False),
    "byte by byte": ([WHOLE[at : at + 1] for at in range(len(WHOLE))], [200], False),
    "its body apart": ([WHOLE[:-20], WHOLE[-20:]], [200], False),
    "behind another door's": ([post(path=b"/v1/explain") + WHOLE], [200, 200], False),
    "before another door's": ([WHOLE + post(path=b"/v1/explain") + WHOLE], [200] * 3, False),
    "a bad one amid": ([WHOLE + post({**ONE, "recipent": "x"}) + WHOLE], [200, 400, 200], False),
    "in chunks": ([CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(TEXT), TEXT)], [200], False),
    "a trailer is no header": ([CHUNKED + b"%x\r\n%b\r\n0\r\nContent-Encoding: gzip\r\n\r\n" % (len(TEXT), TEXT)], [200], False),
    "a trailer asks for nothing": ([CHUNKED + b"1\r\n{\r\n0\r\nExpect: 100-continue\r\n\r\n"], [400], False),
    "asks first": ([post(fields=b"Expect: 100-continue\r\n")], [100, 200], False),
    "the last one": ([post(fields=b"Connection: close\r\n")], [200], True),
    "an older client": ([post(version=b"1.0")], [200], True),
    "offers HTTP/2": ([post(fields=b"Connection: Upgrade\r\nUpgrade: h2c\r\n")], [200], True),
    "with a query": ([post(path=b"/v1/check?age=12")], [400], False),
    "no body": ([post(b"")], [400], False),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("what", ON_A_CONNECTION)
def test_however_it_comes_it_has_one_answer_in_its_turn(running, what):
    parts, statuses, closed = ON_A_CONNECTION[what]
    heard = raw.ask(running.port, *parts, silence=1.0, answers=len(statuses))
    assert (heard.statuses, heard.closed) == (statuses, closed), heard.text


class Slow:
    """Takes longer for an answer than a connection is kept on which nothing is asked, but for what it is asked at once."""

    def __init__(self):
        self.asked = []

    async def __call__(self, scope, receive, send):
        self.asked.append("by its door")
        await asyncio.sleep(4 * KEPT)
        await raw.echo(scope, receive, send)

    def at_once(self, path, fields, body, server):
        self.asked.append("at once")
        return b"content-length: 0\r\n\r\n"


KEPT = 0.1  # seconds


def test_of_those_that_come_together_one_is_answered_at_once_and_none_is_cut_off():
    app = Slow()
    with raw.served(app, Protocol, timeout_keep_alive=KEPT, proxy_headers=False) as port:
        heard = raw.ask(port, WHOLE * 3, silence=30)
    assert app.asked == ["at once", "by its door", "by its door"]
    assert (heard.statuses, heard.closed) == ([200] * 3, True)
    assert heard.text.count(b"/v1/check") == 2


def test_no_layer_before_the_edge_is_passed_by(tmp_path):
    app, another = Slow(), free_port()
    with raw.served(Misbehaving(app, tmp_path), Protocol, proxy_headers=False) as port:
        assert raw.ask(port, post(fields=b"Gateway-Fake: status=503\r\n"), silence=1.0, answers=1).statuses == [503]
    with raw.served(ByPort(app, {another: raw.echo}), Protocol, proxy_headers=False) as port:
        assert raw.ask(port, WHOLE, silence=1.0, answers=1).statuses == [200]
    assert app.asked == ["at once"]
    assert ByPort(app, {another: raw.echo}).at_once("/v1/check", [], b"", ("127.0.0.1", another)) is None


@pytest.mark.slow
def test_the_demos_second_origin_answers_no_checks(running):
    assert raw.ask(running.port, WHOLE, silence=0.2).statuses == [200]
    port = int(running.tracker.rpartition(":")[2])
    assert raw.ask(port, WHOLE, silence=1.0, answers=1).statuses == [404]


BEHIND_ALL = re.compile(rb"\r\nserver-timing: [^\r]*\r\n\r\n{")  # an answer's last field, where it is given at once


@pytest.mark.slow
@pytest.mark.parametrize(("what", "at_once"), [("whole", 1), ("in chunks", 1), ("three at once", 1), ("asks first", 0)])
def test_on_a_connection_what_comes_whole_is_answered_at_once(running, what, at_once):
    parts, statuses, _ = ON_A_CONNECTION[what]
    heard = raw.ask(running.port, *parts, silence=1.0, answers=len(statuses))
    assert len(BEHIND_ALL.findall(heard.text)) == at_once
