"""Rows that are handed back: until their caller says what became of them they may have been sent, and are handed back
again; each is decided when its line is written.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections import Counter
from datetime import UTC, datetime

import pytest
from starlette.responses import StreamingResponse
from support import inside
from support.people import gaid, named
from web.test_share import NDJSON, PATH, acknowledge, linked, opt_out, row, share  # noqa: F401 - a fixture

from gateway.consent.share import GROUP, Shared, Sharing
from gateway.desk.disclosures import POSSIBLE, WITHIN_MS
from gateway.keys import api_keys
from gateway.web.api import streaming
from gateway.web.api.check import TOGETHER

pytestmark = pytest.mark.anyio
JOB = {"Gateway-Job": "night-1"}
ROWS, PEOPLE = 100, 10


def outcomes(folder) -> Counter:
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return Counter(outcome for (outcome,) in db.execute("SELECT outcome FROM disclosure"))


def queued(folder) -> list[tuple[str, str]]:
    """Who is told what."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return db.execute("SELECT recipient, word FROM outbox ORDER BY at").fetchall()


def of(told) -> list[tuple[str, bool]]:
    return [(line["outcome"], line.get("again", False)) for line in told]


async def test_what_nobody_says_was_sent_is_decided_anew_and_handed_back_again(linked, tmp_path):  # noqa: F811
    _, first, _ = await share(linked, row(1), row(2))
    await opt_out(linked, named("account", "a2"))
    _, told, last = await share(linked, row(1), row(2), row(3))
    assert of(told) == [("returned", True), ("refused", False), ("returned", False)]
    assert told[0]["row"] == first[0]["row"]
    assert told[0]["valid_until"] > first[0]["valid_until"]
    assert last["summary"]["duplicate"] == 0
    assert outcomes(tmp_path / "data") == {"possible": 4}


@pytest.mark.parametrize(
    "said",
    [{"job": "night-1"}, {"job": "night-1", "recipient": "teemo"}, {"job": "night-1", "id": "r1"},
     {"recipient": "teemo", "id": "r1"}, {"job": "night-1", "recipient": "teemo", "id": "r1", "at": 1_700_000_000_000}],
)  # fmt: skip
async def test_what_its_caller_says_was_sent_is_not_handed_back_again(linked, tmp_path, said):  # noqa: F811
    _, [first], _ = await share(linked, row(1), **JOB)
    named_so = {name: said[name] for name in ("job", "id", "recipient") if name in said}
    assert await acknowledge(linked, said, said) == [
        named_so | {"result": "recorded", "rows": 1},
        named_so | {"result": "repeated", "rows": 0},
    ]
    _, [again], _ = await share(linked, row(1))
    assert (again["outcome"], again["row"]) == ("duplicate", {"row": first["row"]["row"]})
    assert outcomes(tmp_path / "data") == {"sent": 1}


async def test_what_did_not_leave_is_handed_back_as_if_for_the_first_time(linked, tmp_path):  # noqa: F811
    await share(linked, row(1), row(2), **JOB)
    said = [{"job": "night-1", "id": "r1", "outcome": "not_sent"}, {"job": "night-1", "id": "r2", "outcome": "unknown"}]
    assert [each["result"] for each in await acknowledge(linked, *said)] == ["recorded"] * 2
    assert outcomes(tmp_path / "data") == {"not_sent": 1, "possible": 1}
    assert of((await share(linked, row(1), row(2)))[1]) == [("returned", False), ("returned", True)]


async def test_what_was_sent_went_once_and_what_nobody_said_of_the_time_before_may_have_been(linked, tmp_path):  # noqa: F811
    for _ in range(2):
        await share(linked, row(1), **JOB)
    assert (await acknowledge(linked, {"job": "night-1"}))[0]["rows"] == 1
    assert outcomes(tmp_path / "data") == {"sent": 1, "possible": 1}
    about = {
        "identifiers": [named("gaid", gaid(1))],
        "question": "received",
        "proof": {"kind": "account", "assertion": "dev"},
    }
    told = (await linked.post("/v1/disclosures/query", json=about)).json()["disclosures"]
    assert {each["outcome"]: each["count"] for each in told} == {"sent": 1, "possible": 1}


@pytest.mark.parametrize(
    ("said", "result"),
    [({"job": "night-2"}, "unknown"), ({"job": "night-1", "id": "r9"}, "unknown"),
     ({"recipient": "matching", "id": "r1"}, "unknown"), ({"id": "r1"}, "malformed"), ({"recipient": "teemo"}, "malformed"),
     ({"job": "night-1", "decision": "x"}, "malformed"), ({"job": "night-1", "outcome": "gone"}, "malformed"),
     ({"job": ""}, "malformed"), ({"job": "night-1", "id": ""}, "malformed"), ({"job": "night-1", "extra": 1}, "malformed")],
)  # fmt: skip
async def test_what_names_no_row_that_was_handed_back_changes_nothing(linked, tmp_path, said, result):  # noqa: F811
    await share(linked, row(1), **JOB)
    [answer] = await acknowledge(linked, said)
    assert answer["result"] == result
    assert outcomes(tmp_path / "data") == {"possible": 1}


async def received(client, number=1) -> dict[str, int]:
    """How often rows of somebody left, by outcome."""
    about = {
        "identifiers": [named("gaid", gaid(number))],
        "question": "received",
        "proof": {"kind": "account", "assertion": "dev"},
    }
    told = (await client.post("/v1/disclosures/query", json=about)).json()["disclosures"]
    return {each["outcome"]: each["count"] for each in told}


async def handed(client, number=1, **more) -> dict[str, str]:
    """A row, posted and handed back; a word about this hand-back."""
    _, [told], _ = await share(client, row(number), **JOB)
    assert told["outcome"] == "returned"
    return {"recipient": "teemo", "id": f"r{number}", "mark": told["mark"]} | more


async def test_a_word_with_its_mark_is_about_that_hand_back_alone_however_late_it_comes(linked, tmp_path):  # noqa: F811
    first, second = await handed(linked), await handed(linked)
    assert first["mark"] != second["mark"]
    late = [first | {"outcome": "not_sent"}, second | {"outcome": "sent"}, first | {"outcome": "not_sent"}]
    told = await acknowledge(linked, *late)
    assert [(each["result"], each["rows"]) for each in told] == [("recorded", 1), ("recorded", 1), ("repeated", 0)]
    assert outcomes(tmp_path / "data") == {"not_sent": 1, "sent": 1}
    assert (await received(linked))["sent"] == 1
    await opt_out(linked, named("account", "a1"))
    assert queued(tmp_path / "data") == [("teemo", "opt_out")]


async def test_what_one_process_says_of_its_own_hand_back_is_not_said_of_the_one_before(linked, tmp_path):  # noqa: F811
    await handed(linked)  # sent by a process that was killed before it said so
    await acknowledge(linked, await handed(linked, outcome="not_sent"))
    assert outcomes(tmp_path / "data") == {"possible": 1, "not_sent": 1}
    await opt_out(linked, named("account", "a1"))
    assert queued(tmp_path / "data") == [("teemo", "opt_out")]


@pytest.mark.parametrize(
    "said", [{"recipient": "teemo", "id": "r1"}, {"job": "night-1", "id": "r1"}, {"job": "night-1"}]
)
@pytest.mark.parametrize("came_before", [False, True])
async def test_without_a_mark_nobody_knows_which_of_two_hand_backs_did_not_leave(linked, tmp_path, said, came_before):  # noqa: F811
    """The word is on its way, or its answer was lost and it is said once more, when the row comes back again."""
    not_sent = said | {"outcome": "not_sent"}
    await handed(linked)
    if came_before:
        await acknowledge(linked, not_sent)
    await handed(linked)
    [late, sent] = await acknowledge(linked, not_sent, said | {"outcome": "sent"})
    assert (late["result"], sent["result"], sent["rows"]) == ("repeated", "recorded", 1)
    assert outcomes(tmp_path / "data") == {"sent": 1, "not_sent" if came_before else "possible": 1}
    await opt_out(linked, named("account", "a1"))
    assert queued(tmp_path / "data") == [("teemo", "opt_out")]


async def test_of_hand_backs_of_two_nights_a_word_without_a_mark_is_about_the_last(linked, tmp_path):  # noqa: F811
    await handed(linked)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db, db:
        db.execute("UPDATE disclosure SET at = at - ?", (WITHIN_MS + 60_000,))
    await handed(linked)
    [told] = await acknowledge(linked, {"job": "night-1", "id": "r1", "outcome": "not_sent"})
    assert (told["result"], told["rows"]) == ("recorded", 1)
    assert outcomes(tmp_path / "data") == {"possible": 1, "not_sent": 1}


@pytest.mark.parametrize("marked", [True, False])
async def test_that_it_was_sent_counts_over_a_word_before_that_it_was_not(linked, tmp_path, marked):  # noqa: F811
    said = await handed(linked)
    said = said if marked else {"recipient": "teemo", "id": "r1"}
    words = [said | {"outcome": word} for word in ("not_sent", "sent", "not_sent")]
    assert [each["result"] for each in await acknowledge(linked, *words)] == ["recorded", "recorded", "repeated"]
    assert await received(linked) == {"sent": 1}
    assert [each["outcome"] for each in (await share(linked, row(1)))[1]] == ["duplicate"]


@pytest.mark.parametrize("then", ["before", "between", "behind"])
async def test_of_what_was_sent_after_all_its_recipient_is_told_whenever_the_no_is_said(linked, tmp_path, then):  # noqa: F811
    """By the account alone: what is kept of the row leads from there to the ad id."""
    folder, said = tmp_path / "data", await handed(linked)
    if then == "before":
        await opt_out(linked, named("account", "a1"))
        assert queued(folder) == [("teemo", "opt_out")]
    await acknowledge(linked, said | {"outcome": "not_sent"})
    assert await received(linked) == {}
    if then == "between":
        await opt_out(linked, named("account", "a1"))
        assert queued(folder) == [], "as far as anybody knows it has nothing (R18)"
    await acknowledge(linked, said | {"outcome": "sent"})
    if then == "behind":
        await opt_out(linked, named("account", "a1"))
    assert queued(folder) == [("teemo", "opt_out")]


async def test_of_what_was_sent_after_all_its_recipient_is_told_of_the_no_of_whomever_the_row_named(linked, tmp_path):  # noqa: F811
    beside, folder = named("account", "nobody-of-theirs"), tmp_path / "data"
    posted = row(1, identifiers=[named("gaid", gaid(1)), beside])
    said = {"recipient": "teemo", "id": "r1", "mark": (await share(linked, posted))[1][0]["mark"]}
    await acknowledge(linked, said | {"outcome": "not_sent"})
    await opt_out(linked, beside)
    assert queued(folder) == []
    await acknowledge(linked, said | {"outcome": "sent"})
    assert queued(folder) == [("teemo", "opt_out")]


@pytest.mark.parametrize("mode", ["erase_details", "unlink", "child_found"])
async def test_whoever_is_erased_while_a_row_may_yet_be_said_to_have_left_is_deleted_by_its_recipient(
    linked,  # noqa: F811
    tmp_path,
    mode,
):
    """Behind it nobody could name them any more."""
    folder, said = tmp_path / "data", await handed(linked)
    await acknowledge(linked, said | {"outcome": "not_sent"})
    body = {"identifiers": [named("account", "a1"), named("gaid", gaid(1))], "mode": mode}
    assert (await linked.post("/v1/erasures", json=body)).status_code == 200
    assert ("teemo", "delete") in queued(folder)
    await acknowledge(linked, said | {"outcome": "sent"})
    assert queued(folder).count(("teemo", "delete")) == 1


async def test_what_did_not_leave_is_kept_for_two_hours_and_then_no_more(linked, tmp_path):  # noqa: F811
    said, folder = await handed(linked, outcome="not_sent"), tmp_path / "data"
    await handed(linked, 2)
    await acknowledge(linked, said)
    assert kept(folder) == 2
    await acknowledge(linked, {"job": "night-9"})
    assert kept(folder) == 2
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db, db:
        db.execute("UPDATE reported SET at = at - ?", (2 * WITHIN_MS + 1,))
    await acknowledge(linked, {"job": "night-9"})
    assert kept(folder) == 1, "the other one may have left"


async def test_what_the_last_check_took_out_takes_nothing_from_what_may_yet_be_said_to_have_left(linked, tmp_path):  # noqa: F811
    said = await handed(linked)
    await acknowledge(linked, said | {"outcome": "not_sent"})
    first = Sharing._check_again

    def stops(sharing, recipient, ready, done):
        first(sharing, recipient, ready, done)
        stopped = dict(ready)
        done |= {index: Shared(item.row.id, "refused", "opted_out") for index, item in stopped.items()}
        ready.clear()
        return stopped

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Sharing, "_check_again", stops)
        await share(linked, row(1), **JOB)
    await acknowledge(linked, said | {"outcome": "sent"})
    await opt_out(linked, named("account", "a1"))
    assert queued(tmp_path / "data") == [("teemo", "opt_out")]


def kept(folder) -> int:
    """Of how many identifiers it is kept that a recipient may have them."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return db.execute("SELECT count(*) FROM held").fetchone()[0]


async def test_of_a_whole_job_that_was_sent_what_was_said_not_to_be_is_no_part(linked, tmp_path):  # noqa: F811
    not_sent = await handed(linked, 1, outcome="not_sent")
    await handed(linked, 2)
    assert [each["rows"] for each in await acknowledge(linked, not_sent, {"job": "night-1"})] == [1, 1]
    assert outcomes(tmp_path / "data") == {"sent": 1, "not_sent": 1}


async def test_what_was_never_handed_back_is_not_sent_whatever_is_said_of_it(linked, tmp_path, monkeypatch):  # noqa: F811
    """The check right before it would have come back takes it out."""

    def takes_all_out(_, recipient, ready, done):
        done |= {index: Shared(item.row.id, "refused", "opted_out") for index, item in ready.items()}
        stopped = dict(ready)
        ready.clear()
        return stopped

    monkeypatch.setattr(Sharing, "_check_again", takes_all_out)
    await share(linked, row(1), **JOB)
    [told] = await acknowledge(linked, {"recipient": "teemo", "id": "r1"})
    assert told["result"] == "unknown"
    assert outcomes(tmp_path / "data") == {"not_sent": 1}


@pytest.mark.parametrize(
    ("said", "result"),
    [({"mark": "none of ours"}, "unknown"), ({"mark": ""}, "malformed"), ({"id": None, "job": "night-1"}, "malformed")],
)
async def test_a_mark_that_is_not_ours_or_of_no_row_changes_nothing(linked, tmp_path, said, result):  # noqa: F811
    [told] = await acknowledge(linked, await handed(linked) | said)
    assert told["result"] == result
    assert outcomes(tmp_path / "data") == {"possible": 1}


async def test_rows_without_a_job_are_not_of_one(linked, tmp_path):  # noqa: F811
    await share(linked, row(1))
    await share(linked, row(2), **JOB)
    assert (await acknowledge(linked, {"job": "night-1"}))[0]["rows"] == 1
    assert outcomes(tmp_path / "data") == {"possible": 1, "sent": 1}


async def test_of_rows_a_key_speaks_that_may_share(tmp_path):
    folder = tmp_path / "data"
    settings = inside.settings(
        recipients__teemo__contract="C-1",
        recipients__teemo__mode="return",
        recipients__teemo__unlinked="allow",
        recipients__teemo__announced="2020-01-01",
    )
    async with inside.application(folder, settings, dev=False) as app, inside.client(app) as client:
        made = {}
        for scope in ("check", "share", "desk"):
            made[scope] = await asyncio.to_thread(api_keys.add_api_key, folder, scope, [scope], publishable=False)
        keys = {scope: {"Authorization": f"Bearer {key}"} for scope, key in made.items()}
        _, [told], _ = await share(client, row(1), **JOB, **keys["share"])
        assert told["outcome"] == "returned"
        said = {"job": "night-1", "outcome": "sent"}
        answers = {scope: await client.post("/v1/disclosures", json=said, headers=key) for scope, key in keys.items()}
    assert answers.pop("desk").status_code == 403
    assert {scope: json.loads(answer.text.splitlines()[0])["result"] for scope, answer in answers.items()} == {
        "check": "unknown",
        "share": "recorded",
    }


# --- a connection that is cut ----------------------------------------------------------------------------------------


class Caller:
    """Posts to the application itself, takes so many lines of the answer, and hangs up. `stalled`: awaited once, when
    the first of it has come and there is no room for more.
    """

    def __init__(self, app, path=PATH, kind="application/x-ndjson", stalled=None) -> None:
        self._app = app
        self._path = path
        self._kind = kind
        self._stalled = stalled

    async def lines(self, body: bytes, most: int = 1_000_000) -> list[dict]:
        return [json.loads(line) for line in (await self.answer(body, most)).splitlines()[:most]]

    async def answer(self, body: bytes, most: int = 1_000_000) -> bytes:
        got, over, asked = bytearray(), asyncio.Event(), iter([body])

        async def receive():
            for content in asked:
                return {"type": "http.request", "body": content, "more_body": False}
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if self._stalled and got:  # as uvicorn does, before it writes
                stalled, self._stalled = self._stalled, None
                await stalled()
            if message["type"] == "http.response.body" and not over.is_set():
                got.extend(message["body"])
                if got.count(b"\n") >= most or not message.get("more_body"):
                    over.set()
            await asyncio.sleep(0)

        headers = {
            "host": "127.0.0.1:8080",
            "authorization": "Bearer dev.dev",
            "gateway-job": "night-1",
            "content-type": self._kind,
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "scheme": "http",
            "root_path": "",
            "state": {},
            "server": ("127.0.0.1", 8080),
            "client": ("127.0.0.1", 40000),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await self._app(scope, receive, send)
        return bytes(got)


async def until_whole(tmp_path) -> dict[str, object]:
    """A caller whose connection is cut at each tenth line, while somebody opts out each time; then it gets all, says
    so, and posts the same once more.
    """
    settings = inside.settings(recipients__teemo__unlinked="allow")
    body = b"\n".join(
        json.dumps(row(n % PEOPLE, id=f"r{n}", data={"ad_id": gaid(n % PEOPLE)}, place="US-NY")).encode()
        for n in range(ROWS)
    )
    got, wrong, out = set[str](), list[str](), set[int]()
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:
        for cut in [*range(10, ROWS, 10), ROWS + 1]:
            told = await Caller(app).lines(body, cut)
            received = {line["id"] for line in told if line.get("outcome") == "returned"}
            wrong += [name for name in received if int(name[1:]) % PEOPLE in out]
            got |= received
            if cut < ROWS and cut % 20 == 0:
                person = cut // 20
                await opt_out(client, named("gaid", gaid(person)))
                out.add(person)
        whole = told[-1].get("complete", False)
        [said] = await acknowledge(client, {"job": "night-1"})
        again = Counter(line.get("outcome") for line in await Caller(app).lines(body, ROWS + 1))
    kept = {f"r{n}" for n in range(ROWS) if n % PEOPLE not in out}
    return {
        "whole": whole,
        "lost": kept - got,
        "wrong": wrong,
        "said": said["rows"] - len(kept),
        "again": again,
        "on record": outcomes(tmp_path / "data"),
        "kept": len(kept),
    }


@pytest.mark.slow
async def test_a_connection_cut_at_each_tenth_line_loses_no_row_and_hands_nobodys_out_after_their_no(tmp_path):
    found = await until_whole(tmp_path)
    kept = found["kept"]
    assert found["whole"]
    assert (found["lost"], found["wrong"], found["said"]) == (set(), [], 0)
    assert found["again"] == {"duplicate": kept, "refused": ROWS - kept, None: 1}
    assert found["on record"]["sent"] == kept
    assert set(found["on record"]) == {"sent", "possible", "not_sent"}


@pytest.mark.slow
async def test_control_marked_as_sent_before_it_is_handed_back_rows_are_lost(tmp_path, monkeypatch):
    mark = Sharing._mark

    async def marked(self, recipient, batch, items, outcome):
        await mark(self, recipient, batch, items, "sent" if outcome == POSSIBLE else outcome)

    monkeypatch.setattr(Sharing, "_mark", marked)
    found = await until_whole(tmp_path)
    assert found["lost"]


async def test_the_lines_of_a_long_answer_each_hold_from_when_they_were_written(tmp_path, monkeypatch):
    """For a reader that takes its time between two parts of it: what comes then is good from then on."""
    untils, read_at = [], []
    async for some in _slowly_read(tmp_path):
        read_at.append(datetime.now(UTC))
        untils.append({item.until for item in some})
    assert len(untils) == 3
    assert all(min(until) > at for until, at in zip(untils, read_at, strict=True))
    assert all(len(until) == 1 for until in untils)


async def test_control_with_one_time_for_all_the_last_lines_are_over_when_they_come(tmp_path, monkeypatch):
    clock, first = Sharing._hand_back, []

    async def at_once(self, recipient, claimed, order, ready, done):
        parts = [part async for part in clock(self, recipient, claimed, order, ready, done)]
        first.append(len(parts))
        for part in parts:
            yield part

    monkeypatch.setattr(Sharing, "_hand_back", at_once)
    over = 0
    async for some in _slowly_read(tmp_path):
        over += sum(item.until <= datetime.now(UTC) for item in some)
    assert first == [3]
    assert over == GROUP * 2


async def _slowly_read(tmp_path):
    from gateway.app.composition import migrate, open_house
    from gateway.consent.share import ShareRow

    migrate(tmp_path / "data")
    settings = inside.settings(recipients__teemo__unlinked="allow", share__send_window_ms="100")
    with open_house(tmp_path / "data", settings, dev=True) as house:
        recipient = house.consent.recipients["teemo"]
        rows = [
            ShareRow(f"r{n}", [named("gaid", gaid(n % PEOPLE))], {"ad_id": gaid(n % PEOPLE)}, place="US-NY")
            for n in range(GROUP * 3)
        ]
        async for some in house.sharing.answers(recipient, rows):
            yield some
            await asyncio.sleep(0.15)


# --- a reader that stalls --------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def stalls_while_somebody_opts_out(tmp_path, path=PATH, kind="application/x-ndjson"):
    """A caller that takes the first lines of an answer, and goes on when somebody has opted out."""
    settings = inside.settings(recipients__teemo__unlinked="allow")
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:

        async def stalled():
            await opt_out(client, named("gaid", gaid(1)))

        yield Caller(app, path, kind, stalled)


def of_one_person(count: int) -> bytes:
    return b"\n".join(
        json.dumps(row(1, id=f"r{n}", data={"ad_id": gaid(1)}, place="US-NY")).encode() for n in range(count)
    )


async def test_a_reader_that_stalls_gets_no_row_that_was_decided_before_somebodys_no(tmp_path):
    async with stalls_while_somebody_opts_out(tmp_path) as caller:
        told = await caller.lines(of_one_person(GROUP * 3))
    assert [line["outcome"] for line in told[:-1]] == ["returned"] * GROUP + ["refused"] * GROUP * 2


async def test_control_decided_before_there_is_room_some_come_after_the_no(tmp_path, monkeypatch):
    async def call(self, scope, receive, send):
        answer = StreamingResponse(self._all(), media_type="application/x-ndjson")
        await answer(scope, receive, send)

    async def everything(self):
        yield self._first
        async for part in self._parts:
            yield part

    monkeypatch.setattr(streaming.Streamed, "_all", everything, raising=False)
    monkeypatch.setattr(streaming.Streamed, "__call__", call)
    async with stalls_while_somebody_opts_out(tmp_path) as caller:
        told = await caller.lines(of_one_person(GROUP * 3))
    assert [line["outcome"] for line in told[:-1]] == ["returned"] * GROUP * 2 + ["refused"] * GROUP


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json"])
async def test_of_many_checks_sixteen_at_most_are_decided_before_there_is_room_for_them(tmp_path, kind):
    asked = [
        {"identifiers": [named("gaid", gaid(1))], "recipient": "advertisers", "place": "US-NY", "data": ["ad_id"]}
    ] * (3 * TOGETHER)
    lines = kind == "application/x-ndjson"
    body = "\n".join(map(json.dumps, asked)).encode() if lines else json.dumps(asked).encode()
    async with stalls_while_somebody_opts_out(tmp_path, "/v1/checks", kind) as caller:
        answer = await caller.answer(body)
    told = [json.loads(line) for line in answer.splitlines()][:-1] if lines else json.loads(answer)
    allowed = [each["allowed"] for each in told]
    first = allowed.index(False)
    assert 1 <= first <= TOGETHER
    assert allowed == [True] * first + [False] * (len(asked) - first)
    untils = [each["valid_until"] for each in told]
    assert untils == sorted(untils)
    assert untils[first - 1] < untils[first]


async def test_a_reader_that_takes_nothing_for_long_is_gone_and_the_rest_was_not_sent(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "STALLS", 0.01)
    settings = inside.settings(recipients__teemo__unlinked="allow")
    async with inside.application(tmp_path / "data", settings) as app:
        told = await Caller(app, stalled=lambda: asyncio.sleep(60)).lines(of_one_person(GROUP * 3))
        assert len(told) == GROUP
    assert await asyncio.to_thread(outcomes, tmp_path / "data") == {"possible": GROUP, "not_sent": GROUP * 2}
