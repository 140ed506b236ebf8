"""Requests of authorized agents by the Data Rights Protocol, from an agent that was written after it."""

import base64
import hashlib
import json
import sqlite3
import time
import uuid
from datetime import UTC, datetime, timedelta
from importlib import resources
from types import SimpleNamespace

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from delivery.test_post import listener
from support import inside
from support.agent import NAME, REQUESTS, SITE, DataRightsAgent, goes_by, judged, listed, refused, signed, with_token
from support.opting_in import standing
from support.people import email, named, phone

from gateway.consent.leases import Leases
from gateway.delivery import webhook
from gateway.desk import agent_requests
from gateway.desk.agent_requests import AgentRequest, AgentRequests, RequestStatus, StatusReason
from gateway.desk.forgetting import erasure
from gateway.ledger.errors import NothingKept, StoreUnavailable
from gateway.ledger.writer import Writer
from gateway.web.shell.edge import INTERNAL, PUBLIC, listeners_of
from gateway.web.shell.fair_queue import QUEUED
from gateway.web.shell.ticks import Levelled, Ticks

pytestmark = pytest.mark.anyio
KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
ME, MINE = named("email", email(1)), {"email": email(1), "email_verified": True}
DATA, ERASE = "/privacy-choices/data", "/privacy-choices/erase"


@pytest.fixture
async def site(tmp_path):
    async with standing(tmp_path / "data", listed(tmp_path, KEY, OTHER_KEY)) as built:
        yield built


@pytest.fixture
async def agent(site):
    return await with_token(site, KEY)


@pytest.fixture
async def rival(site):
    """Another agent on the list."""
    return await with_token(site, OTHER_KEY, "AGENT_1")


# --- a token ---------------------------------------------------------------------------------------------------------


async def test_an_agent_gets_a_token_for_its_signature_and_is_told_that_it_is_good(site):
    made = DataRightsAgent(site.calling, KEY, site.clock)
    answer = await made.set_up()
    assert set(answer.json()) == {"agent-id", "token"}
    assert answer.json()["agent-id"] == NAME
    known = await site.calling.get(f"/v1/agent/{NAME}", headers=made.headers)
    assert (known.status_code, known.json()) == (200, {})
    assert refused(await site.calling.get("/v1/agent/AGENT_1", headers=made.headers))[0] == 403


@pytest.mark.parametrize(
    ("key", "name", "more"),
    [
        (OTHER_KEY, NAME, {}),
        (KEY, "NOBODY", {}),
        (KEY, NAME, {"agent-id": "AGENT_1"}),
        (KEY, NAME, {"business-id": "SOMEBODY_ELSE"}),
        (KEY, NAME, {"expires-at": "2026-01-01T00:00:00+00:00"}),
        (KEY, NAME, {"issued-at": "2199-01-01T00:00:00+00:00"}),
        (KEY, NAME, {"expires-at": "2199-01-01T00:00:00+00:00"}),
        (KEY, NAME, {"expires-at": None}),
    ],
)
async def test_nobody_else_gets_a_token_and_the_refusal_has_no_body(site, key, name, more):
    answer = await DataRightsAgent(site.calling, key, site.clock, name).set_up(**more)
    assert (answer.status_code, answer.content) == (403, b"")


async def test_whoever_saw_the_message_that_asked_for_a_token_gets_none_with_it(site):
    made = DataRightsAgent(site.calling, KEY, site.clock)
    body = signed(KEY, made.envelope())
    answers = [await site.calling.post(f"/v1/agent/{NAME}", content=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 403]


async def test_a_token_ends_with_its_year_and_with_the_agents_key(tmp_path, site, agent):
    site.clock.later = timedelta(days=366)
    assert refused(await agent.send(agent.asks("access", **MINE)))[0] == 401
    file = listed(tmp_path, OTHER_KEY)
    async with inside.application(tmp_path / "data", inside.settings(file)) as app, inside.client(app) as calling:
        known = await calling.get(f"/v1/agent/{NAME}", headers=agent.headers)
        assert refused(known)[0] == 401


async def test_without_agents_every_door_is_closed(client):
    for method, path in (("POST", REQUESTS), ("GET", f"{REQUESTS}/x"), ("POST", f"/v1/agent/{NAME}")):
        assert (await client.request(method, path)).status_code == 404


def test_agents_call_from_the_internet():
    for path in (REQUESTS, f"{REQUESTS}/x", f"/v1/agent/{NAME}"):
        assert listeners_of(path) == {PUBLIC, INTERNAL}
    assert PUBLIC not in listeners_of("/v1/agents-of-ours")


def test_a_stranger_who_sends_slowly_for_a_token_is_not_waited_for_without_end():
    assert f"/v1/agent/{NAME}".startswith(QUEUED)


async def test_how_long_an_answer_took_does_not_tell_an_agent_who_is_known():
    held = list[str]()

    class Held(Ticks):
        async def leave(self, began):
            held.append(began)

    async def door(scope, receive, send):
        held.append(scope["path"])

    for path in (REQUESTS, f"{REQUESTS}/x", f"/v1/agent/{NAME}"):
        held.clear()
        await Levelled(door, Held())({"type": "http", "method": "GET", "path": path}, None, None)
        assert [held[0], len(held)] == [path, 2]


# --- opting out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["sale:opt_out", "sale:opt-out"])
async def test_a_person_whose_agent_opts_out_is_denied_at_once_and_nobody_calls_them_back(site, agent, word):
    assert await site.sale(ME) == "no_choice"
    found = judged(await agent.send(agent.asks(word, **MINE, phone_number=phone(1))))
    assert (found["status"], uuid.UUID(found["request_id"]).version) == ("fulfilled", 4)
    assert await site.sale(ME) == await site.sale(named("phone", phone(1))) == "opted_out"
    assert site.box.letters == []
    assert judged(await agent.status(found["request_id"])) == found


async def test_a_no_is_fulfilled_a_send_window_after_whoever_answers_from_a_copy_has_it(site, agent, monkeypatch):
    waited = list[float]()

    async def settled(*_):
        waited.append(time.monotonic())
        return 0.0

    monkeypatch.setattr(Leases, "settled", settled)
    assert judged(await agent.send(agent.asks("sale:opt_out", **MINE)))["status"] == "fulfilled"
    assert len(waited) == 1
    assert time.monotonic() - waited[0] >= 0.25


async def test_where_a_file_may_be_sent_still_a_no_is_in_progress_and_the_agent_told_once_it_is_over(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("gateway.consent.telling.PERIOD", 0.05)
    with listener() as (url, arrived):
        file = listed(tmp_path, KEY, callback=url)
        file.write_text(file.read_text() + '[recipients.teemo]\nmode = "files"\nvalid_minutes = 15\n')
        async with standing(tmp_path / "data", file) as site:
            made = DataRightsAgent(site.calling, KEY, site.clock)
            await made.set_up()
            found = judged(await made.send(made.asks("sale:opt_out", **MINE)))
            assert (found["status"], await site.sale(ME)) == ("in_progress", "opted_out")
            assert datetime.fromisoformat(found["expected_by"]) - site.clock() > timedelta(minutes=14)
            assert judged(await made.status(found["request_id"])) == found
            assert not arrived
            site.clock.later = timedelta(minutes=16)
            told = judged(await made.status(found["request_id"]))
            await arrives(arrived)
            assert (told["status"], [json.loads(body) for _, body in arrived]) == ("fulfilled", [told])


async def test_nobody_finds_by_guessing_whom_a_message_was_about(tmp_path, site, agent):
    content = agent.asks("sale:opt_out", **MINE)
    text = json.dumps(content).encode()
    judged(await agent.send(text))
    bare = [hashlib.sha256(each).digest() for each in (text, NAME.encode() + b"\x00" + text)]
    kept = b"".join([file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file()])
    assert [each in kept or each.hex().encode() in kept for each in bare] == [False, False]


async def test_the_entry_of_an_agents_no_says_that_it_was_an_agent(site, agent):
    await agent.send(agent.asks("sale:opt_out", **MINE))
    report = await site.call("/v1/access", identifiers=[ME])
    [entry] = report["entries"]
    assert (entry["source"], entry["manner"]) == ("agent", "agent")


async def test_what_of_a_no_cannot_be_used_is_told_and_costs_the_rest_nothing(site, agent):
    claims = {"name": "Jane Roe", "address": {"country": "US"}, "phone_number": "call me", **MINE}
    found = judged(await agent.send(agent.asks("sale:opt_out", **claims, **{"agent-request-id": "their-7"})))
    assert found["status"] == "fulfilled"
    assert found["agent_request_id"] == "their-7"
    assert "Nothing could be done with: name, address, phone_number." in found["processing_details"]
    assert email(1) not in str(found)
    assert "Jane" not in str(found)
    assert await site.sale(ME) == "opted_out"


async def test_of_a_no_that_is_half_readable_the_readable_half_counts(site, agent):
    """Neither times nor for whom, a right among others, a number as people write it, a name twice."""
    half = agent.asks(["access", "SALE:OPT-OUT"], phone_number="(415) 555-0101")
    for name in ("issued-at", "expires-at", "agent-id", "business-id", "drp.version"):
        del half[name]
    found = judged(await agent.send(half))
    assert (found["status"], "beyond the opt-out" in found["processing_details"]) == ("fulfilled", True)
    assert await site.sale(named("phone", phone(1))) == "opted_out"
    twice = agent.asks("sale:opt_out", email=email(2))
    text = str(twice).replace("'", '"')[:-1] + f', "email": "{email(3)}"}}'
    assert judged(await agent.send(text.replace("True", "true").encode()))["status"] == "fulfilled"
    assert await site.sale(named("email", email(2))) == await site.sale(named("email", email(3))) == "opted_out"


@pytest.mark.parametrize("name", ["regime", "exercise", "agent-request-id"])
async def test_a_no_is_not_refused_for_how_often_a_word_stands_beside_it(site, agent, name):
    asked = agent.asks("sale:opt_out", **MINE)
    judged(await agent.send({**asked, name: [asked.get(name, "their-7")] * 20}))
    assert await site.sale(ME) == "opted_out"


async def test_an_agent_of_the_protocols_first_versions_ends_the_path_with_a_slash(site, agent):
    body = signed(KEY, agent.asks("sale:opt_out", **MINE))
    judged(await site.calling.post(f"{REQUESTS}/", content=body, headers=agent.headers))
    assert await site.sale(ME) == "opted_out"


async def test_a_no_that_names_nobody_is_not_acknowledged(site, agent):
    before = await site.entries()
    assert refused(await agent.send(agent.asks("sale:opt_out", name="Jane Roe")))[0] == 422
    assert await site.entries() == before


async def test_a_no_is_no_more_than_one_persons(site, agent):
    many = [email(number) for number in range(17)]
    assert refused(await agent.send(agent.asks("sale:opt_out", email=many)))[0] == 422
    assert await site.sale(named("email", email(3))) == "no_choice"


async def test_a_no_while_the_ledger_is_away_is_kept_and_sent_again_is_one(site, agent, monkeypatch):
    body, before = signed(KEY, agent.asks("sale:opt_out", **MINE)), await site.entries()

    async def away(*_, **__):
        raise NothingKept("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "commit", away)
        answer = await agent.post(body)
    assert refused(answer)[0] == 503
    assert "kept" in answer.json()["message"]
    assert judged(await agent.post(body))["status"] == "fulfilled"
    while (found := await site.sale(ME)) == "stale":  # until what was kept is taken out
        await anyio.sleep(0.05)
    assert found == "opted_out"
    assert await site.entries() == before + 1


async def test_a_no_whose_row_was_not_written_is_entered_once_however_often_it_is_sent(site, agent, monkeypatch):
    body, before = signed(KEY, agent.asks("sale:opt_out", **MINE)), await site.entries()

    async def cut(*_):
        raise StoreUnavailable("cut off")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.consent.agents.Agents.add", cut)
        assert refused(await agent.post(body))[0] == 503
    assert await site.sale(ME) == "opted_out"
    assert judged(await agent.post(body))["status"] == "fulfilled"
    assert await site.entries() == before + 1


# --- what is refused -------------------------------------------------------------------------------------------------


async def test_what_another_key_signed_or_was_changed_is_refused_and_nothing_is_written(site, agent):
    before, content = await site.entries(), agent.asks("sale:opt_out", **MINE)
    changed = bytearray(base64.b64decode(signed(KEY, content)))
    changed[-3] ^= 1
    for body in (signed(OTHER_KEY, content), base64.b64encode(changed), b"", b"!", base64.b64encode(b"short")):
        assert refused(await agent.post(body))[0] == 403
    assert await site.entries() == before


async def test_without_a_token_nothing_is_taken(site):
    stranger = DataRightsAgent(site.calling, KEY, site.clock)
    for headers in ({}, {"Authorization": "Bearer x"}, inside.DEV):
        stranger.headers = headers
        assert refused(await stranger.send(stranger.asks("sale:opt_out", **MINE)))[0] == 401
    assert await site.sale(ME) == "no_choice"


@pytest.mark.parametrize("more", [{}, {"expires-at": "2199-01-01T00:00:00Z"}])
@pytest.mark.parametrize("right", ["sale:opt_out", "deletion"])
async def test_a_message_counts_once_for_ever(site, agent, right, more):
    body = signed(KEY, agent.asks(right, **MINE) | more)
    first = judged(await agent.post(body))
    site.clock.later = timedelta(days=200)
    entries = await site.entries()
    answer = await agent.post(body)
    status, message = refused(answer)
    assert (status, answer.json()["fatal"]) == (409, True)
    assert first["request_id"] in message
    assert await site.entries() == entries


@pytest.mark.parametrize(
    ("change", "status", "fatal"),
    [
        ({"expires-at": "2026-01-01T00:00:00Z"}, 400, True),
        ({"issued-at": "2199-01-01T00:00:00Z"}, 400, False),
        ({"business-id": "SOMEBODY_ELSE"}, 403, True),
        ({"agent-id": "AGENT_1"}, 403, True),
        ({"exercise": "portability"}, 400, False),
    ],
)
async def test_a_message_for_others_or_of_another_time_is_refused(site, agent, change, status, fatal):
    answer = await agent.send({**agent.asks("sale:opt_out", **MINE), **change})
    assert (refused(answer)[0], answer.json().get("fatal", False)) == (status, fatal)
    assert await site.sale(ME) == "no_choice"


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{", b"null", b'"x"', b"[" * 5000, b"\xff", b'{"exercise": {}}', b'{"agent-request-id": "\\ud800"}'],
)
async def test_whatever_an_agent_signs_is_answered_in_the_protocols_form(agent, text):
    assert refused(await agent.send(text))[0] in {400, 403}
    assert refused(await agent.post(b"A" * 40_000))[0] == 413


async def test_an_agent_opts_nobody_in_and_is_told_the_way(site, agent):
    await agent.send(agent.asks("sale:opt_out", **MINE))
    found = judged(await agent.send(agent.asks("sale:opt_in", **MINE)))
    assert (found["status"], found["reason"]) == ("denied", "other")
    assert f"{SITE}/privacy-choices/opt-in" in found["processing_details"]
    assert await site.sale(ME) == "opted_out"


# --- access and deletion ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "page"), [("access", DATA), ("access:specific", DATA), ("deletion", ERASE)])
async def test_access_and_deletion_wait_for_the_person_and_tell_nothing_of_them(site, agent, right, page):
    await agent.send(agent.asks("sale:opt_out", **MINE))
    answers = [judged(await agent.send(agent.asks(right, email=email(number)))) for number in (1, 2)]
    for found in answers:
        assert (found["status"], found["reason"]) == ("in_progress", "need_user_verification")
        assert found["user_verification_url"] == SITE + page
        del found["request_id"], found["received_at"], found["expected_by"], found["expires_at"]
    assert answers[0] == answers[1], "the same for a person who is known and one who is not"


async def test_a_deletion_is_done_by_whoever_has_the_mailbox_and_the_no_stays(site, agent):
    await agent.send(agent.asks("sale:opt_out", **MINE))
    asked = judged(await agent.send(agent.asks("deletion", **MINE)))["request_id"]
    stranger, person = site.browser(), site.browser()
    await stranger.asks_code("erasure", email=email(2))
    await stranger.enters()
    assert (await stranger.post(ERASE, action="erase", email="1")).status_code == 200
    assert judged(await agent.status(asked))["status"] == "in_progress", "another's mailbox is not the one"
    await person.asks_code("erasure", email=email(1))
    await person.enters()
    assert judged(await agent.status(asked))["status"] == "in_progress", "nothing was pressed yet"
    assert (await person.post(ERASE, action="erase", email="1")).status_code == 200
    assert judged(await agent.status(asked))["status"] == "fulfilled"
    assert await site.sale(ME) == "opted_out"


async def test_a_deletion_that_is_finished_by_itself_later_is_no_more_denied(site, agent, monkeypatch):
    asked = judged(await agent.send(agent.asks("deletion", **MINE)))["request_id"]
    person = site.browser()
    await person.asks_code("erasure", email=email(1))
    await person.enters()
    with monkeypatch.context() as patched:
        patched.setattr(erasure, "done", lambda *_: False)
        assert (await person.post(ERASE, action="erase", email="1")).status_code == 503
    await goes_by(site, timedelta(days=46))
    found = judged(await agent.status(asked))
    assert found["status"] == "fulfilled"
    assert "opted out" not in found["processing_details"], "which nobody said"


async def test_a_deletion_is_fulfilled_once_each_own_system_deleted_and_not_denied_meanwhile(tmp_path):
    file, agents_ = listed(tmp_path, KEY), "[systems.warehouse]\nidentifiers = ['email']\n"
    file.write_text(file.read_text() + agents_)
    async with standing(tmp_path / "data", file) as site:
        agent = DataRightsAgent(site.calling, KEY, site.clock)
        await agent.set_up()
        asked = judged(await agent.send(agent.asks("deletion", **MINE)))["request_id"]
        other = judged(await agent.send(agent.asks("deletion", email=email(2))))["request_id"]
        person = site.browser()
        await person.asks_code("erasure", email=email(1))
        await person.enters()
        assert (await person.post(ERASE, action="erase", email="1")).status_code == 200
        for later in (timedelta(0), timedelta(days=46)):
            await goes_by(site, later)
            found = judged(await agent.status(asked))
            assert found["status"] == "in_progress"
            assert "user_verification_url" not in found
            assert "reason" not in found
            assert refused(await agent.revoke(asked))[0] == 409, "the person is forgotten: nothing waits for them"
        assert judged(await agent.status(other))["status"] == "denied", "nobody came for it"
        with sqlite3.connect(tmp_path / "data" / "ledger.sqlite3") as db:
            db.execute("UPDATE outbox SET state = 'delivered' WHERE recipient = 'system:warehouse'")
        db.close()
        assert judged(await agent.status(asked))["status"] == "fulfilled"


async def test_what_is_held_is_shown_to_the_person_and_never_to_the_agent(site, agent):
    asked = judged(await agent.send(agent.asks("access", **MINE)))["request_id"]
    person = site.browser()
    await person.asks_code(email=email(1))
    await person.enters()
    report = (await person.post(DATA, action="download")).json()
    assert "email" in {each["type"] for each in report["proved"]}
    found = judged(await agent.status(asked))
    assert (found["status"], found["results_url"]) == ("fulfilled", SITE + DATA)
    assert "user_verification_url" not in found


async def test_an_officer_who_looks_at_a_person_has_answered_nobody(site, agent):
    asked = judged(await agent.send(agent.asks("access", **MINE)))["request_id"]
    assert (await site.call("/v1/access", identifiers=[ME]))["proved"] == [{"type": "email"}]
    assert judged(await agent.status(asked))["status"] == "in_progress"


async def test_what_nobody_came_for_in_45_days_is_denied(site, agent):
    asked = judged(await agent.send(agent.asks("access", **MINE)))["request_id"]
    await goes_by(site, timedelta(days=45, minutes=-1))
    assert judged(await agent.status(asked))["status"] == "in_progress"
    await goes_by(site, timedelta(days=45, hours=1, minutes=1))
    found = judged(await agent.status(asked))
    assert (found["status"], found["reason"]) == ("denied", "insuf_verification")


@pytest.mark.parametrize("days", [46, 800])
async def test_what_waits_outlives_one_entry_of_a_clock_that_was_ahead_and_so_does_what_is_settled(site, agent, days):
    asked = judged(await agent.send(agent.asks("access", **MINE)))["request_id"]
    settled = judged(await agent.send(agent.asks("sale:opt_out", **MINE)))["request_id"]
    site.clock.later = timedelta(days=days)
    await site.call("/v1/choices", choice="opt_out", identifiers=[named("email", email(2))])
    for site.clock.later in (timedelta(days=days), timedelta(hours=2)):
        await agent.set_up()
        assert judged(await agent.status(asked))["status"] == "in_progress"
        assert judged(await agent.status(settled))["status"] == "fulfilled"
    assert await _denied(site, site.clock().year) == {}


async def test_what_nobody_came_for_is_denied_in_the_report_once_and_what_somebody_came_for_is_not(site, agent):
    asked = judged(await agent.send(agent.asks("access", **MINE)))["request_id"]
    judged(await agent.send(agent.asks("deletion", **MINE)))
    taken_back = judged(await agent.send(agent.asks("deletion", email=email(2))))["request_id"]
    await agent.revoke(taken_back)
    year, before = site.clock().year, await _denied(site, site.clock().year)
    await goes_by(site, timedelta(days=46))
    for _ in range(2):
        assert judged(await agent.status(asked))["status"] == "denied"
    assert before == {}
    assert await _denied(site, year) == dict.fromkeys(("access", "deletion"), (1, {"not_verified": 1}, 46.0))


async def _denied(site, year):
    """Of each heading with a denial: how many, for what, and after how many days."""
    answer = await site.calling.get(f"/v1/reports/{year}", headers=inside.DEV)
    told = {name: each for name, each in answer.json().items() if isinstance(each, dict) and each.get("denied")}
    return {name: (each["denied"], each["denied_for"], each["median_days"]) for name, each in told.items()}


async def test_an_agent_with_enough_that_waits_is_told_so_and_its_opt_outs_are_taken(site, agent, rival, monkeypatch):
    monkeypatch.setattr(agent_requests, "MOST_WAITING", 2)
    first = judged(await agent.send(agent.asks("access", **MINE)))["request_id"]
    judged(await agent.send(agent.asks("deletion", email=email(2))))
    status, message = refused(await agent.send(agent.asks("deletion", email=email(3))))
    assert (status, "wait for their people" in message) == (429, True)
    assert judged(await agent.send(agent.asks("sale:opt_out", email=email(3))))["status"] == "fulfilled"
    assert judged(await rival.send(rival.asks("access", **MINE)))["status"] == "in_progress"
    await agent.revoke(first)
    assert judged(await agent.send(agent.asks("deletion", email=email(3))))["status"] == "in_progress"


@pytest.mark.parametrize("act", ["look", "add"])
def test_what_the_writer_does_for_one_request_does_not_look_at_all_that_wait(tmp_path, act):
    """Counted in steps of SQLite, which has one for each row at least."""
    db, steps = sqlite3.connect(tmp_path / "rows.db"), list[int]()
    [made] = (resources.files("gateway") / "ledger" / "sql").glob("*_agent_requests.sql")
    db.executescript(made.read_text())
    row = (NAME, "access", 2, 0, "in_progress", "", "[]")
    db.executemany(
        "INSERT INTO agent_request (id, message, mailbox, agent, exercise, at, until, status, reason, unread)"
        " VALUES (?1, ?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        [(b"%d" % number, *row) for number in range(2000)],
    )
    db.set_progress_handler(lambda: steps.append(1), 10)
    asked = AgentRequest(
        "one", b"message", "access", 2, 0, RequestStatus.IN_PROGRESS, StatusReason.VERIFY, mailbox=b"somebody"
    )
    requests, tx = AgentRequests(inside.secrets()), SimpleNamespace(db=db, asked_once=lambda _: [(1,)])
    assert requests.expire(tx, 1) is False if act == "look" else requests.add(tx, asked, 2)
    db.set_progress_handler(None, 0)
    assert len(steps) < 20


async def test_of_many_that_are_over_at_once_the_writer_denies_some_at_a_time_and_whichever_is_asked_for(
    site, agent, monkeypatch
):
    asked = [judged(await agent.send(agent.asks("access", email=email(n))))["request_id"] for n in range(1, 6)]
    year = site.clock().year
    monkeypatch.setattr(agent_requests, "OVER_AT_ONCE", 2)
    await goes_by(site, timedelta(days=46))
    assert judged(await agent.status(asked[-1]))["status"] == "denied"
    assert (await _denied(site, year))["access"][0] in {2, 3}  # nobody says which of one millisecond is the older
    assert {judged(await agent.status(each))["status"] for each in asked} == {"denied"}
    assert (await _denied(site, year))["access"][0] == len(asked)


async def test_what_waits_ends_on_its_day_also_where_no_agent_is_listed_any_more(tmp_path, site, agent):
    asked = judged(await agent.send(agent.asks("access", **MINE)))["request_id"]
    await goes_by(site, timedelta(days=46))
    site.clock.later = timedelta(0)
    async with inside.application(
        tmp_path / "data", inside.settings(), clock=lambda: site.clock() + timedelta(days=46)
    ):
        for _ in range(600):
            found = judged(await agent.status(asked))
            if found["status"] == "denied":
                break
            await anyio.sleep(0.1)
    assert found["status"] == "denied"


async def test_an_address_that_no_code_goes_to_is_refused(agent):
    for claims in ({}, {"name": "Jane Roe"}, {"phone_number": phone(1)}, {"email": "nobody"}):
        assert refused(await agent.send(agent.asks("deletion", **claims)))[0] == 422


# --- status and revoke -----------------------------------------------------------------------------------------------


async def test_an_agent_sees_and_takes_back_its_own_requests_alone(agent, rival):
    asked = judged(await agent.send(agent.asks("deletion", **MINE)))["request_id"]
    for name in (asked, str(uuid.uuid4()), "x"):
        assert (
            refused(await rival.status(name)) == refused(await rival.revoke(name)) == (403, "no request of this agent")
        )
    assert judged(await agent.status(asked))["status"] == "in_progress"


async def test_a_request_that_was_taken_back_waits_for_nobody(site, agent):
    asked = judged(await agent.send(agent.asks("deletion", **MINE)))["request_id"]
    assert refused(await agent.revoke(asked, OTHER_KEY))[0] == 403
    assert judged(await agent.revoke(asked))["status"] == "revoked"
    assert refused(await agent.revoke(asked))[0] == 409
    person = site.browser()
    await person.asks_code("erasure", email=email(1))
    await person.enters()
    await person.post(ERASE, action="erase", email="1")
    assert judged(await agent.status(asked))["status"] == "revoked"


async def test_a_no_is_taken_back_by_nobody_but_the_person(site, agent):
    asked = judged(await agent.send(agent.asks("sale:opt_out", **MINE)))["request_id"]
    assert refused(await agent.revoke(asked))[0] == 409
    assert judged(await agent.status(asked))["status"] == "fulfilled"
    assert await site.sale(ME) == "opted_out"


async def shows_it_to_the_person(site):
    person = site.browser()
    await person.asks_code(email=email(1))
    await person.enters()
    await person.post(DATA, action="download")


async def arrives(arrived):
    with anyio.fail_after(60):
        while not arrived:
            await anyio.sleep(0.1)


async def lets_45_days_pass(site):
    await goes_by(site, timedelta(days=46))


@pytest.mark.parametrize(("passes", "status"), [(shows_it_to_the_person, "fulfilled"), (lets_45_days_pass, "denied")])
async def test_an_agent_with_a_callback_is_told_by_a_signed_message(tmp_path, monkeypatch, passes, status):
    for room in ("telling", "agents"):
        monkeypatch.setattr(f"gateway.consent.{room}.PERIOD", 0.05)
    secrets = await anyio.to_thread.run_sync(inside.secrets)
    with listener() as (url, arrived):
        async with standing(tmp_path / "data", listed(tmp_path, KEY, callback=url)) as site:
            made = DataRightsAgent(site.calling, KEY, site.clock)
            await made.set_up()
            asked = judged(await made.send(made.asks("access", **MINE)))["request_id"]
            await passes(site)
            await arrives(arrived)
            [(headers, body)] = arrived
            key = webhook.secret_of(secrets, f"agent:{NAME}")
            at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
            [signature] = headers["webhook-signature"].split(" ")
            assert webhook.signed([key], headers["webhook-id"], at, body)["webhook-signature"] == signature
            told = json.loads(body)
            assert told == judged(await made.status(asked))
            assert told["status"] == status
