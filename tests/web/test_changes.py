"""A replica reads all that it has to know, and nothing that says who anybody is."""

import asyncio
import contextlib
import json
import sqlite3
from base64 import b64decode
from datetime import datetime

import pytest
from msgspec.structs import replace
from support import inside
from support.people import gaid, named

from gateway.consent.check import Checks
from gateway.consent.decisions import keys_of_replica
from gateway.consent.leases import Leases
from gateway.keys import api_keys, secret_files
from gateway.ledger.log_records import LedgerLog
from gateway.replica import feed
from gateway.replica.feed import Tags
from gateway.state.lookup import StateMoment
from gateway.web.api import feed as door

pytestmark = pytest.mark.anyio


async def opts_out(client, number, choice="opt_out"):
    answer = await client.post("/v1/choices", json={"identifiers": [named("gaid", gaid(number))], "choice": choice})
    assert answer.status_code == 201
    return answer.json()


async def lines(client, path="/v1/changes?after=0", **headers):
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


WINDOW = 0.25  # seconds, of the shipped configuration: a send may start so long after its last check
TERM_AT_MOST = 2.0  # seconds, of the shipped configuration; to look takes less, however busy the machine is
TERM = 60  # seconds: a lease that outlasts whatever else the machine does; no configuration may have one


@pytest.fixture
async def long(tmp_path):
    """Calls to a gateway whose leases last so long that none ends by itself."""
    configured = inside.settings()
    configured = replace(configured, replicas=replace(configured.replicas, term_ms=TERM * 1000))
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app, **inside.DEV) as client:
        yield client


def took(done):
    return (datetime.fromisoformat(done["effective_at"]) - datetime.fromisoformat(done["accepted_at"])).total_seconds()


async def bearer(folder, *scopes):
    made = await asyncio.to_thread(api_keys.add_api_key, folder, "-".join(scopes), scopes, publishable=False)
    return {"Authorization": f"Bearer {made}"}


async def test_a_snapshot_and_what_came_after_it(keyed, tmp_path):
    first = await opts_out(keyed, 1)
    *told, end = await lines(keyed)
    assert all(change["snapshot"] for change in told)
    assert (end["end"], end["count"], end["more"]) == (True, len(told), False)
    key = (await asyncio.to_thread(secret_files.load_secrets, tmp_path / "data")).key(("gaid", gaid(1)))
    [mine] = [change for change in told if b64decode(change["key"]) == key]
    assert mine["purposes"]["sale"] == "opted_out"
    assert "marketing_email" not in mine["purposes"]
    assert (mine["age_band"], mine["seq"] >= first["seq"]) == (None, True)
    assert datetime.fromisoformat(mine["at"])
    await opts_out(keyed, 2)
    *news, last = await lines(keyed, f"/v1/changes?after={end['seq']}")
    assert {change["seq"] > end["seq"] for change in news} == {True}
    assert not any("snapshot" in change or change["key"] == mine["key"] for change in news)
    assert await lines(keyed, f"/v1/changes?after={last['seq']}") == [
        {
            "end": True,
            "count": 0,
            "more": False,
            "seq": last["seq"],
            "position": last["position"],
            "log": last["log"],
            "peppers": 1,
        }
    ]


async def test_who_asks_after_the_seq_before_their_choice_sees_it(keyed):
    for number in range(5):
        seq = (await opts_out(keyed, number))["seq"]
        *told, _ = await lines(keyed, f"/v1/changes?after={seq - 1}")
        assert told


async def test_a_snapshot_comes_whole_and_what_came_after_it_in_pieces_each_key_once(keyed, monkeypatch):
    monkeypatch.setattr(door, "AT_ONCE", 3)
    await opts_out(keyed, 0)
    *_, begun = await lines(keyed)
    for number in range(1, 7):
        await opts_out(keyed, number)
    *whole, end = await lines(keyed, "/v1/changes?after=0&limit=3")
    assert (end["count"], end["more"]) == (len(whole), False)
    assert len(whole) == len({change["key"] for change in whole}) == 7 * 13
    seen, after, more = [], begun["seq"], True
    while more:
        *told, end = await lines(keyed, f"/v1/changes?after={after}&limit=3")
        assert len(told) <= 13, "all that one entry changed"
        seen += [change["key"] for change in told]
        after, more = end["seq"], end["more"]
    assert len(seen) == len(set(seen)) == 6 * 13


async def test_whoever_is_cut_off_goes_on_after_the_last_seq_that_they_got(keyed):
    await opts_out(keyed, 0)
    *_, begun = await lines(keyed)
    for number in range(1, 4):
        await opts_out(keyed, number)
    *all_of_it, _ = await lines(keyed, f"/v1/changes?after={begun['seq']}")
    for cut in range(1, len(all_of_it)):
        got = all_of_it[:cut]
        *rest, _ = await lines(keyed, f"/v1/changes?after={got[-1]['seq']}")
        assert {change["key"] for change in got + rest} == {change["key"] for change in all_of_it}


async def test_a_snapshot_which_tells_of_all_looks_for_nobody_around_and_what_came_after_it_does(keyed, monkeypatch):
    asked = []
    monkeypatch.setattr(StateMoment, "beyond", lambda _, places: asked.append(places) or set())
    await opts_out(keyed, 1)
    *_, end = await lines(keyed)
    assert asked == []
    await opts_out(keyed, 2)
    await lines(keyed, f"/v1/changes?after={end['seq']}")
    assert asked


async def test_neither_a_value_nor_the_pepper_is_in_the_feed(keyed, tmp_path):
    await opts_out(keyed, 1)
    text = (await keyed.get("/v1/changes")).text
    secrets = await asyncio.to_thread(secret_files.load_secrets, tmp_path / "data")
    assert gaid(1) not in text
    assert secrets.peppers[0].hex() not in text


@pytest.mark.parametrize(("scope", "status"), [("export", 200), ("replica", 200), ("check", 403), ("desk", 403)])
async def test_the_feed_is_for_replicas_and_exports(client, tmp_path, scope, status):
    answer = await client.get("/v1/changes", headers=await bearer(tmp_path / "data", scope))
    assert answer.status_code == status


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=1e3", "limit=0.5", f"after={2**63}", "limit=10001", f"limit={19999:025}"]
)
async def test_a_number_that_is_none_is_told(keyed, query):
    assert (await keyed.get(f"/v1/changes?{query}")).status_code == 400


async def test_whoever_knows_what_never_was_begins_anew(keyed):
    await opts_out(keyed, 1)
    answer = await keyed.get(f"/v1/changes?after={2**61}")
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (410, "changes_gone")


async def test_who_is_unlinked_is_told_as_gone_and_soon_whoever_has_not_heard_it_begins_anew(keyed):
    await opts_out(keyed, 1)
    *before, end = await lines(keyed)
    body = {"identifiers": [named("gaid", gaid(1))], "mode": "unlink"}
    assert (await keyed.post("/v1/erasures", json=body)).status_code in {200, 201}
    answer = await keyed.get(f"/v1/changes?after={end['seq']}")
    if answer.status_code == 200:  # else its pages were made anew already
        *gone, last = [json.loads(line) for line in answer.text.splitlines()]
        assert {line["key"] for line in gone} == {line["key"] for line in before}
        assert all(line["gone"] and not line["purposes"] and line["seq"] > end["seq"] for line in gone)
        assert (await lines(keyed, f"/v1/changes?after={last['seq']}"))[-1]["count"] == 0
    for _ in range(1000):
        answer = await keyed.get(f"/v1/changes?after={end['seq']}")
        if answer.status_code == 410:
            break
        await asyncio.sleep(0.02)
    assert answer.status_code == 410
    *told, _ = await lines(keyed)
    assert told == []


async def until(said):
    """A busy machine takes its time."""
    for _ in range(1000):
        if said():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not said in 20 s")


async def shows(client, page, text, headers=None):
    """A busy machine takes its time."""
    for _ in range(1000):
        if text in (await client.get(page, headers=headers)).text:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not shown in 20 s")


async def test_a_stream_follows(tmp_path):
    async with inside.application(tmp_path / "data") as app, inside.client(app, **inside.DEV) as client:
        await opts_out(client, 1)
        found = []

        async def send(message):
            found.append(message.get("body", b""))

        async def receive():
            await asyncio.sleep(60)

        headers = [(b"accept", b"text/event-stream"), (b"authorization", b"Bearer dev.dev"), (b"host", b"127.0.0.1")]
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/v1/changes",
            "raw_path": b"/v1/changes",
            "headers": headers,
            "query_string": b"after=0",
            "http_version": "1.1",
            "scheme": "http",
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 8080),
            "root_path": "",
        }
        reading = asyncio.create_task(app(scope, receive, send))
        await until(lambda: b'"snapshot":true' in b"".join(found))
        before = len(found)
        await opts_out(client, 2)
        await until(lambda: b'"sale":"opted_out"' in b"".join(found[before:]) and found[-1].startswith(b"event: head"))
        news = b"".join(found[before:]).decode()
        events = [part for part in news.split("\n\n") if part]
        assert [event.partition("\n")[0] for event in events][-1] == "event: head"
        assert '"snapshot"' not in news
        assert any('"sale":"opted_out"' in event for event in events)
        reading.cancel()


@pytest.fixture(autouse=True)
def _enrolled():
    inside.secrets()


def tags_of(maker="dev"):
    """Those of a replica that was enrolled with a key of this process's installations."""
    return Tags(keys_of_replica(inside.secrets(), maker)[-1], inside.secrets().peppers)


def signed(body, maker="dev", tags=None):
    challenge = feed.fresh()
    tag = (tags or tags_of(maker)).renews(
        challenge, *(body[name] for name in ("holder", "applied")), *(body.get(name, "") for name in ("log", "root")),
        leave=body.get("leave", False),
    )  # fmt: skip
    return {feed.HEADER: f"{challenge}.{tag}"}, challenge


async def renewed(client, holder="a1", applied=0, **more):
    body = {"holder": holder, "applied": applied, **more}
    headers, challenge = signed(body)
    answer = await client.post("/v1/leases", json=body, headers=headers)
    told = answer.json()
    if "tag" in told:
        assert told.pop("tag") == tags_of().grant(challenge, told)
    return answer.status_code, told


async def test_a_replica_that_has_everything_gets_a_lease_and_one_that_is_behind_none(keyed):
    seq = (await opts_out(keyed, 1))["seq"]
    status, told = await renewed(keyed)
    assert (status, told["granted"], told["seq"] >= seq, told["leases"]) == (200, False, True, True)
    _, told = await renewed(keyed, applied=told["seq"])
    assert told["granted"]
    assert 0 < told["seconds"] <= 2.0 == told["term"]


async def test_a_lease_that_could_be_read_too_late_is_not_told(keyed, monkeypatch):
    _, told = await renewed(keyed)
    renew = Leases.renew
    monkeypatch.setattr(Leases, "renew", lambda *asked: renew(*asked)._replace(by=0.0))
    _, late = await renewed(keyed, applied=told["seq"])
    assert (late["granted"], late["seconds"]) == (False, 0)
    monkeypatch.undo()
    _, later = await renewed(keyed, applied=late["seq"])
    assert later["granted"]


async def test_whoever_joins_while_others_write_gets_a_lease_and_is_waited_for_from_its_first_asking(long):
    _, told = await renewed(long)
    assert not told["granted"]
    asking = asyncio.create_task(opts_out(long, 1))
    for _ in range(1000):
        _, later = await renewed(long, "another", applied=0)
        if later["seq"] > told["seq"]:
            break
    _, granted = await renewed(long, applied=told["seq"])
    assert granted["granted"]
    assert not asking.done()
    await renewed(long, applied=granted["seq"])
    assert took(await asyncio.wait_for(asking, TERM / 2)) > WINDOW


async def test_a_choice_is_effective_once_the_replica_has_it(long):
    _, told = await renewed(long)
    _, told = await renewed(long, applied=told["seq"])
    asking = asyncio.create_task(opts_out(long, 1))
    await asyncio.sleep(0.3)
    assert not asking.done()
    assert (await long.post("/v1/check", json={"identifiers": [named("gaid", gaid(1))], "recipient": "teemo"})).json()[
        "reason"
    ] == "opted_out"
    _, told = await renewed(long, applied=told["seq"])
    await renewed(long, applied=told["seq"])
    assert WINDOW < took(await asyncio.wait_for(asking, TERM / 2)) < TERM / 2


async def test_a_choice_is_effective_within_a_term_when_the_replica_is_never_heard_again(keyed, figure):
    _, told = await renewed(keyed)
    await renewed(keyed, applied=told["seq"])
    done = await opts_out(keyed, 1)
    figure("leases", f"effective {took(done):.2f} s after it was accepted, a replica lost")
    assert WINDOW < took(done) <= 3.0
    assert WINDOW <= took(await opts_out(keyed, 2)) < TERM_AT_MOST  # nobody holds one any more


async def test_a_replica_that_leaves_is_not_waited_for(long):
    _, told = await renewed(long)
    await renewed(long, applied=told["seq"])
    assert (await renewed(long, leave=True))[1] == {"granted": False}
    assert WINDOW <= took(await opts_out(long, 1)) < TERM_AT_MOST


async def test_the_form_does_not_wait_and_the_page_says_received_until_it_is_effective(long):
    _, told = await renewed(long)
    await renewed(long, applied=told["seq"])
    answer = await asyncio.wait_for(long.post("/privacy-choices", data={"action": "opt_out"}), TERM / 2)
    later, browser = answer.headers["location"], inside.kept(answer)
    assert "<h1>Your request was received</h1>" in (await long.get(later, headers=browser)).text
    await renewed(long, leave=True)
    await shows(long, later, "<h1>Opt-Out Request Honored</h1>", headers=browser)


async def test_at_most_64_replicas_hold_a_lease(keyed):
    _, told = await renewed(keyed)
    for number in range(64):
        assert (await renewed(keyed, f"h{number}", told["seq"]))[0] == 200 or number == 63
    status, told = await renewed(keyed, "one-more", told["seq"])
    assert (status, told["type"].rpartition(":")[2]) == (409, "too_many_holders")


async def test_a_replica_of_another_log_is_told_to_begin_anew(keyed):
    assert (await renewed(keyed, log="example.com/other"))[0] == 410


def root_at(folder, position):
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return LedgerLog(db).root(position).hex()


@pytest.mark.parametrize(("root", "status"), [("", 200), ("of the log", 200), ("0" * 64, 410)])
async def test_a_copy_of_a_ledger_that_was_restored_and_went_on_another_way_is_told_to_begin_anew(
    keyed, tmp_path, root, status
):
    _, told = await renewed(keyed)
    ours = await asyncio.to_thread(root_at, tmp_path / "data", told["seq"])
    said = ours if root == "of the log" else root
    assert (await renewed(keyed, applied=told["seq"], log=told["log"], root=said))[0] == status
    challenge = feed.fresh()
    headers = {"accept": "text/event-stream", feed.HEADER: f"{challenge}.{tags_of().follows(challenge, told['seq'])}"}
    async with asyncio.timeout(60):
        if status == 410:
            answer = await keyed.get(f"/v1/changes?after={told['seq']}&root={said}", headers=headers)
            assert answer.status_code == status


@pytest.mark.parametrize("body", [{}, {"holder": "", "applied": 0}, {"holder": "x" * 65, "applied": 0}, {"holder": "x", "applied": -1}, {"holder": "x", "applied": 2**63}, {"holder": "x", "applied": 0, "more": 1}, []])  # fmt: skip
async def test_a_renewal_that_cannot_be_read_is_a_problem(keyed, body):
    assert (await keyed.post("/v1/leases", json=body)).status_code == 400


async def test_a_caller_reads_at_its_start_how_long_a_choice_may_take_to_be_effective(keyed):
    assert (await keyed.get("/v1/self")).json()["leases"] == {"enabled": True, "term_ms": 2000}


async def test_nobody_gets_a_lease_while_checks_are_answered_for_nobody_but_may_leave(keyed, monkeypatch):
    """As while an opt-out waits beside the ledger: whoever it says no for would be allowed at every replica."""
    _, told = await renewed(keyed)
    _, held = await renewed(keyed, applied=told["seq"])
    assert held["granted"]
    monkeypatch.setattr(Checks, "position", lambda _: None)
    assert (await renewed(keyed, applied=told["seq"]))[0] == 503
    assert (await renewed(keyed, applied=told["seq"], leave=True))[1] == {"granted": False}


@pytest.mark.parametrize("changed", [{"applied": 7}, {"holder": "b"}, {"leave": True}, {"log": "example.com/other"}])
async def test_whoever_holds_the_key_alone_renews_and_ends_nobodys_lease(keyed, changed):
    """Who stands on a plain feed sees the key: a lease that somebody ends for a replica would be waited for no more."""
    body = {"holder": "a", "applied": 0, "log": "", "leave": False}
    headers, _ = signed(body)
    assert (await keyed.post("/v1/leases", json=body | changed, headers=headers)).status_code == 403
    assert (await keyed.post("/v1/leases", json=body)).status_code == 403
    assert (await keyed.post("/v1/leases", json=body, headers={feed.HEADER: "x.y"})).status_code == 403
    assert (await keyed.post("/v1/leases", json=body, headers=signed(body, "other")[0])).status_code == 403
    assert (await keyed.post("/v1/leases", json=body, headers=headers)).status_code == 200


async def test_a_replica_whose_peppers_are_others_gets_no_lease_and_believes_no_piece(keyed):
    """Their number may be the same. In what it is sent it would find nobody, and nobody found is a yes."""
    key, ours = keys_of_replica(inside.secrets(), "dev")[-1], inside.secrets().peppers
    told = {"holder": "a", "applied": 0, "log": "", "leave": False}
    headers, _ = signed(told, tags=Tags(key, (*ours, bytes(32))))
    assert (await keyed.post("/v1/leases", json=told, headers=headers)).status_code == 403
    one, other = (Tags(key, (*ours, bytes([each]) * 32)) for each in (1, 2))
    assert one.piece("c", 0, 1, b"", {}) != other.piece("c", 0, 1, b"", {})
    assert (await keyed.post("/v1/leases", json=told, headers=signed(told)[0])).status_code == 200


@pytest.mark.slow
async def test_leases_are_for_replicas(client, tmp_path):
    answer = await client.post(
        "/v1/leases", json={"holder": "x", "applied": 0}, headers=await bearer(tmp_path / "data", "export")
    )
    assert answer.status_code == 403


async def test_a_replica_that_misses_three_terms_is_dropped_and_alarmed_until_one_of_its_name_is_back(tmp_path):
    configured = inside.settings(replicas__term_ms="500")
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app, **inside.DEV) as client:
        _, told = await renewed(client)
        await renewed(client, applied=told["seq"])
        assert not any("replica" in alarm for alarm in (await client.get("/readyz?strict")).json()["alarms"])
        await shows(client, "/readyz?strict", "replica dev has missed three terms of its lease")
        assert b"gateway_replicas_dropped 1.0" in (await client.get("/metrics")).content
        await renewed(client, "its-next-run", told["seq"])
        assert not any("replica" in alarm for alarm in (await client.get("/readyz?strict")).json()["alarms"])
