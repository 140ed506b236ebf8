"""What a replica hands over: counted once, as of when it was answered, and never silently less (R22)."""

import asyncio
import contextlib
import hashlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.days import today
from support.handed import LINES, Beside, enrolment_of
from support.people import GAID, email, gaid, named, phone
from support.planted_sides import told_earlier
from support.tampering import tamper

from gateway.app import maintenance
from gateway.consent.decisions import Decisions, Stands
from gateway.desk import recipient_holdings
from gateway.keys import api_keys
from gateway.keys.seals import Enrolment

pytestmark = pytest.mark.anyio
ME = named("gaid", GAID)


@pytest.fixture
async def beside(keyed, tmp_path):
    made = await asyncio.to_thread(Beside, tmp_path / "data", keyed)
    await made.look()
    return made


async def received(keyed, *identifiers):
    answer = await keyed.post("/v1/access", json={"identifiers": list(identifiers or [ME])})
    return {(each["recipient"], each["outcome"]): each["count"] for each in answer.json()["disclosures"]}


def entries(folder, kind):
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM entry ORDER BY seq")]
    return [body for body in bodies if body["e"] == kind]


def rows_of(folder, *people):
    """How many rows of disclosures lead to somebody."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        tables = ("disclosed", "disclosure", "held_key")
        return sum(
            db.execute(f"SELECT count(*) FROM {table} WHERE key = ?", (key,)).fetchone()[0]
            for table in tables
            for key in people
        )


async def choose(keyed, *identifiers, choice="opt_out"):
    body = {"identifiers": list(identifiers or [ME]), "choice": choice}
    assert (await keyed.post("/v1/choices", json=body)).status_code == 201


async def erase(keyed, *identifiers, mode="erase_details"):
    answer = await keyed.post("/v1/erasures", json={"identifiers": list(identifiers or [ME]), "mode": mode})
    assert answer.status_code in {200, 201}


async def sent_after(keyed):
    answer = await keyed.post("/v1/disclosures/query", json={"question": "sent_after_opt_out"})
    return answer.json()["disclosures"]


# --- counted, and counted once ---------------------------------------------------------------------------------------


async def test_answers_announced_sends_and_what_was_said_are_on_the_persons_record(keyed, beside):
    sent, announced = beside.answer(ME), beside.announced(ME, "teemo")
    lines = [beside.answer(ME), sent, beside.answer(ME, stands=Stands.SENT), announced]
    assert await beside.hand_over(*lines) == {"again": False, "missing": 0, "unread": 0}
    assert await received(keyed) == {
        ("advertisers", "possible"): 2,
        ("advertisers", "sent"): 1,
        ("teemo", "unknown"): 1,
    }
    await beside.hand_over(beside.said(sent), beside.said(announced["decision"]))
    assert await received(keyed) == {("advertisers", "possible"): 1, ("advertisers", "sent"): 2, ("teemo", "sent"): 1}


@pytest.mark.parametrize("seen", [False, True])
async def test_a_networks_id_is_kept_as_gone_where_the_replica_saw_it_leave_in_a_bid_request(beside, seen):
    """R18: a check may name more than is sent."""
    eid = {"type": "eid", "source": "ids.example", "value": "Xyz-1234567890"}
    await beside.hand_over(beside.announced(ME, beside=[eid], seen=seen))
    with contextlib.closing(sqlite3.connect(beside.folder / "ledger.sqlite3")) as db:
        assert db.execute("SELECT count(*) FROM held").fetchall() == [(1 + seen,)]


async def test_a_batch_that_comes_twice_counts_once_and_the_control_is_another_number(keyed, beside):
    line = beside.answer(ME)
    await beside.hand_over(line)
    assert (await beside.hand_over(line, number=1))["again"]
    assert await received(keyed) == {("advertisers", "possible"): 1}
    await beside.hand_over(line, number=2)
    assert await received(keyed) == {("advertisers", "possible"): 2}


async def test_a_batch_that_is_missing_is_an_entry(keyed, beside, tmp_path):
    await beside.hand_over(beside.answer(ME))
    assert entries(tmp_path / "data", "disclosures_lost") == []
    assert (await beside.hand_over(beside.answer(ME), number=4))["missing"] == 2
    [lost] = entries(tmp_path / "data", "disclosures_lost")
    assert (lost["by"], lost["batches"], "count" in lost) == ("dev", 2, False)
    assert (await beside.hand_over(beside.answer(ME)))["missing"] == 0


@pytest.mark.parametrize(("head", "count"), [({"lost": 7}, 7), ({"doubtful": True}, None)])
async def test_what_found_no_room_and_what_nobody_can_tell_is_an_entry_an_alarm_and_a_spell(
    keyed, app, beside, tmp_path, head, count
):
    await beside.hand_over(**head)
    [lost] = entries(tmp_path / "data", "disclosures_lost")
    assert (lost["batches"], lost.get("count")) == (0, count)
    assert await outcomes(keyed, "lost") == (count or 1)


async def test_a_line_that_cannot_be_read_costs_the_others_nothing_and_is_not_lost_silently(keyed, beside, tmp_path):
    theirs = Enrolment("beside", "dev.secret", beside.secrets.peppers, b"x" * 32)  # another installation's
    ours, beside.decisions = beside.decisions, Decisions.of_replica(theirs, ("advertisers",))
    strange, beside.decisions = beside.answer(ME), ours
    announced = beside.announced(ME)
    lines = [
        "A" * 64,
        strange,
        5,
        {},
        {"decision": "x", "outcome": "perhaps", "said": 1},
        beside.answer(ME, "gone"),
        {**announced, "names": beside.announced(ME)["names"]},
        beside.answer(ME),
    ]
    assert (await beside.hand_over(*lines))["unread"] == 7
    assert await received(keyed) == {("advertisers", "possible"): 1}
    [lost] = entries(tmp_path / "data", "disclosures_lost")
    assert lost["count"] == 7


async def test_a_replica_that_has_other_recipients_says_their_names_and_what_went_to_one_is_on_record(keyed, beside):
    """Its configuration is older than the gateway's, or newer; nobody loses what the person ought to see (R18, R22)."""
    beside.decisions = Decisions.of_replica(
        await asyncio.to_thread(enrolment_of, beside.folder), ("adco", "advertisers")
    )
    told_of, counted, announced = beside.answer(ME, "adco"), beside.answer(ME, "adco"), beside.announced(ME, "adco")
    lines = [beside.answer(ME), told_of, counted, announced, beside.said(told_of)]
    assert (await beside.hand_over({"recipients": ["adco", "advertisers"]}, *lines))["unread"] == 0
    assert await received(keyed) == {
        ("advertisers", "possible"): 1,
        ("adco", "possible"): 1,
        ("adco", "sent"): 1,
        ("adco", "unknown"): 1,
    }
    await beside.hand_over({"recipients": ["adco"]}, beside.said(announced["decision"]))
    await choose(keyed)
    assert ("adco", "opt_out") in told(beside.folder)


async def test_the_ids_of_a_kind_that_a_recipient_of_the_replica_alone_takes_are_kept_as_gone(beside):
    """The replica chose them by that recipient's map, which the gateway does not have (R18)."""
    beside.decisions = Decisions.of_replica(await asyncio.to_thread(enrolment_of, beside.folder), ("adco",))
    eid = {"type": "eid", "source": "ids.example", "value": "Xyz-1234567890"}
    await beside.hand_over({"recipients": ["adco"]}, beside.announced(ME, "adco", beside=[eid]))
    with contextlib.closing(sqlite3.connect(beside.folder / "ledger.sqlite3")) as db:
        assert db.execute("SELECT recipient, count(*) FROM held GROUP BY 1").fetchall() == [("adco", 2)]


@pytest.mark.parametrize("name", ["account_backend", "texts"])
async def test_no_replica_has_a_recipient_by_the_name_of_one_of_our_own_systems(keyed, beside, name):
    """Nor has a configuration: it would be told of people's noes."""
    beside.decisions = Decisions.of_replica(await asyncio.to_thread(enrolment_of, beside.folder), (name, "adco"))
    lines = [beside.announced(ME, name), beside.answer(ME, name), beside.answer(ME, "adco")]
    assert (await beside.hand_over({"recipients": [name, "adco"]}, *lines))["unread"] == 2
    await choose(keyed)
    assert await received(keyed) == {("adco", "possible"): 1}
    with contextlib.closing(sqlite3.connect(beside.folder / "ledger.sqlite3")) as db:
        assert db.execute("SELECT recipient, word FROM outbox").fetchall() == []


async def test_recipients_that_a_replica_alone_names_are_counted_as_one(keyed, beside):
    names = [f"adco-{number}" for number in range(3)]
    beside.decisions = Decisions.of_replica(await asyncio.to_thread(enrolment_of, beside.folder), names)
    lines = [beside.answer(ME, name) for name in names] + [beside.announced(ME, names[0])]
    await beside.hand_over({"recipients": names}, *lines)
    found = [line for line in (await keyed.get("/metrics")).text.splitlines() if "adco" in line]
    assert found == []
    assert (await outcomes(keyed, "possible"), await outcomes(keyed, "intended")) == (3, 1)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "ada@example.com", 5])
async def test_what_is_no_recipients_name_is_none(keyed, beside, name):
    assert (await beside.hand_over({"recipients": [name]}, beside.answer(ME)))["unread"] == 1
    assert await received(keyed) == {("advertisers", "possible"): 1}


@pytest.mark.parametrize("body", ["", "[]", "{}", "5", '{"spool": "x", "number": 1, "position": 0, "log": ""}',
    '{"spool": "' + "a" * 32 + '", "number": 0, "position": 0, "log": ""}',
    '{"spool": "' + "a" * 32 + '", "number": 1, "position": -1, "log": ""}',
    '{"spool": "' + "a" * 32 + '", "number": 1, "position": 0, "log": "", "more": 1}'])  # fmt: skip
async def test_a_head_that_cannot_be_read_is_a_400(keyed, body):
    answer = await keyed.post("/v1/disclosures/batches", content=body, headers=LINES)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


async def test_only_a_replica_hands_anything_over(tmp_path):
    folder = inside.install(tmp_path / "data")
    key = await asyncio.to_thread(api_keys.add_api_key, folder, "ads", ["check", "export"], publishable=False)
    async with inside.application(folder) as app, inside.client(app, Authorization=f"Bearer {key}") as calling:
        assert (await calling.post("/v1/disclosures/batches", content="{}", headers=LINES)).status_code == 403


async def test_a_caller_may_say_to_the_gateway_what_became_of_a_replicas_answer_before_that_is_handed_over(
    keyed, beside
):
    decision = beside.answer(ME)
    line = json.dumps({"decision": decision, "outcome": "sent"})
    answer = await keyed.post("/v1/disclosures", content=line, headers=LINES)
    assert json.loads(answer.text.splitlines()[0])["result"] == "recorded"
    await beside.hand_over(decision, beside.said(decision))
    assert await received(keyed) == {("advertisers", "sent"): 1}


async def test_no_entry_and_no_file_of_the_gateway_shows_who_was_announced(keyed, beside, tmp_path):
    await beside.hand_over(beside.announced(ME))
    [entry] = entries(tmp_path / "data", "disclosure")
    assert beside.secrets.key(("gaid", GAID)).hex() not in json.dumps(entry)
    assert all(GAID.encode() not in path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())


# --- late ------------------------------------------------------------------------------------------------------------


async def test_what_was_said_in_time_counts_however_late_it_is_handed_over(keyed, beside):
    then = datetime.now(UTC) - timedelta(hours=5)
    decision = beside.answer(ME, at=then)
    await beside.hand_over(decision, beside.said(decision, at=then + timedelta(minutes=1)))
    answer = await keyed.post("/v1/access", json={"identifiers": [ME]})
    [found] = answer.json()["disclosures"]
    assert (found["outcome"], found["count"]) == ("sent", 1)
    assert found["first"][:16] == found["last"][:16] == then.isoformat()[:16]


@pytest.mark.usefixtures("noon")
async def test_an_answer_from_a_time_to_come_is_of_now(keyed, beside):
    await beside.hand_over(beside.answer(ME, at=datetime(2099, 1, 1, tzinfo=UTC)))
    [found] = (await keyed.post("/v1/access", json={"identifiers": [ME]})).json()["disclosures"]
    assert found["day"] == str(today())


async def test_who_opted_out_meanwhile_has_what_was_sent_before_on_record_and_no_promise_was_broken(keyed, beside):
    line = beside.announced(ME)
    await choose(keyed)
    await beside.hand_over(line, beside.said(line["decision"]))
    assert await received(keyed) == {("advertisers", "sent"): 1}
    assert await sent_after(keyed) == []


async def test_a_replica_that_sent_long_after_the_opt_out_is_found_whatever_it_says_it_knew(keyed, beside):
    """The control of the test before: a stale replica, that answers from before the choice."""
    await choose(keyed)
    line = beside.announced(ME, at=datetime.now(UTC) + timedelta(seconds=1))
    await asyncio.to_thread(tamper, beside.folder, told_earlier(20_000))
    await beside.hand_over(line, beside.said(line["decision"]))
    [broken] = await sent_after(keyed)
    assert (broken["recipient"], broken["outcome"]) == ("advertisers", "sent")


def told(folder):
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return db.execute("SELECT recipient, word FROM outbox WHERE recipient <> 'account_backend'").fetchall()


async def outcomes(keyed, word):
    lines = (await keyed.get("/metrics")).text.splitlines()
    found = [line for line in lines if line.startswith("gateway_disclosures_total") and f'outcome="{word}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_recipient_that_was_sent_something_before_a_no_and_is_known_of_after_it_is_told(
    keyed, beside, announced
):
    """R18: at once by a name that is kept; else, counted until then, once the person names it again."""
    line = beside.announced(ME) if announced else beside.answer(ME, stands=Stands.SENT)
    await choose(keyed)
    await beside.hand_over(line)
    assert told(beside.folder) == ([("advertisers", "opt_out")] if announced else [])
    assert await outcomes(keyed, "untold") == (0 if announced else 1)
    await choose(keyed)
    assert told(beside.folder) == [("advertisers", "opt_out")]


@pytest.mark.parametrize("together", [True, False])
async def test_of_an_announced_send_that_the_replica_withdrew_itself_nobody_is_told(keyed, beside, together):
    """No caller had its id, so that no other word of it comes. Where a batch ends between the two lines nobody knows
    yet that it did not go: then its recipient is told of the no, which `gateway help replica` says.
    """
    line = beside.announced(ME)
    word = beside.said(line["decision"], "withdrawn")
    await choose(keyed)  # for which it was
    if together:
        await beside.hand_over(line, word)
    else:
        await beside.hand_over(line)
        await beside.hand_over(word)
    assert (await outcomes(keyed, "untold"), await outcomes(keyed, "not_sent")) == (0, 1)
    before = told(beside.folder)
    assert before == ([] if together else [("advertisers", "opt_out")])
    await erase(keyed)
    assert told(beside.folder) == before
    assert await received(keyed) == {}


async def test_what_a_replica_of_before_withdrew_is_taken_as_a_callers_word_that_it_was_not_sent(keyed, beside):
    line = beside.announced(ME)
    await beside.hand_over(line, beside.said(line["decision"], "not_sent"))
    assert await received(keyed) == {}
    await beside.hand_over(beside.said(line["decision"]))
    assert await received(keyed) == {("advertisers", "sent"): 1}


async def test_no_caller_withdraws_what_was_announced(keyed, beside):
    line = beside.announced(ME)
    await beside.hand_over(line)
    answer = await keyed.post("/v1/disclosures", json={"decision": line["decision"], "outcome": "withdrawn"})
    assert json.loads(answer.text.splitlines()[0])["result"] == "malformed"


async def test_what_may_have_been_sent_before_a_no_tells_nobody_anything(keyed, beside):
    line = beside.answer(ME)
    await choose(keyed)
    await beside.hand_over(line)
    assert (told(beside.folder), await outcomes(keyed, "untold")) == ([], 0)


async def test_whoever_got_it_before_an_erasure_is_told_to_delete_it_by_the_digest_that_is_kept(keyed, beside):
    await choose(keyed)
    await choose(keyed, choice="withdraw")
    await beside.look()
    line = beside.answer(ME, stands=Stands.SENT)
    await erase(keyed)
    await beside.hand_over(line)
    assert told(beside.folder) == [("advertisers", "delete")]


@pytest.mark.parametrize("mode", ["erase_details", "unlink"])
async def test_of_who_was_erased_meanwhile_nothing_is_written(keyed, beside, tmp_path, mode):
    await choose(keyed)
    await choose(keyed, choice="withdraw")
    await beside.look()
    before = beside.answer(ME)
    await beside.hand_over(before)
    lines = [
        beside.answer(ME),
        beside.announced(ME, "teemo"),
        beside.answer(ME, stands=Stands.SENT),
        beside.said(before),
    ]
    await erase(keyed, mode=mode)
    await beside.hand_over(*lines)
    assert rows_of(tmp_path / "data", beside.secrets.key(("gaid", GAID))) == 0
    assert await received(keyed) == {}
    assert entries(tmp_path / "data", "disclosed")[-1]["count"] == 4  # what was sent is told of nobody


async def test_who_comes_back_after_an_erasure_is_counted_again(keyed, beside):
    await choose(keyed)
    await erase(keyed)
    await beside.look()
    with contextlib.closing(sqlite3.connect(beside.folder / "ledger.sqlite3")) as db, db:
        db.execute("UPDATE erasure SET at = at - 60000")  # a minute went by
    await beside.hand_over(beside.answer(ME))
    assert await received(keyed) == {("advertisers", "possible"): 1}


async def test_an_unlinked_stranger_makes_nobody_else_lose_what_is_on_record(keyed, beside):
    """Whoever was known before is known not to be the one."""
    other = named("gaid", gaid(2))
    await choose(keyed)
    await choose(keyed, other)
    await beside.look()
    line = beside.answer(ME, at=datetime.now(UTC))
    await erase(keyed, other, mode="unlink")
    await beside.hand_over(line, beside.answer(other))
    assert await received(keyed) == {("advertisers", "possible"): 1}
    assert await received(keyed, other) == {}


async def test_another_log_is_no_place_and_everybody_who_was_ever_erased_counts_as_erased_since(keyed, beside):
    await choose(keyed)
    await erase(keyed)
    await beside.look()
    beside.log = "log.example.com/before"
    await beside.hand_over(beside.answer(ME))
    assert await received(keyed) == {}


async def test_the_next_holder_of_a_number_sees_nothing_of_what_was_sent_before_and_handed_over_after(keyed, beside):
    """R5."""
    number = named("phone", phone(1))
    link = {"account": "a1", "identifiers": [number]}
    assert (await keyed.post("/v1/links", json=link)).status_code == 201
    await beside.look()
    line = beside.announced(number)
    counted = beside.answer(number)
    release = {"identifiers": [number], "event": "number_released"}
    assert (await keyed.post("/v1/links", json=release)).status_code == 201
    assert (await keyed.post("/v1/links", json={**link, "account": "a2"})).status_code == 201
    await beside.hand_over(line, counted)
    assert await received(keyed, named("account", "a2")) == {}
    assert await received(keyed, number) == {}


async def test_a_key_under_an_older_pepper_is_found_under_the_newer_one(tmp_path):
    folder = inside.install(tmp_path / "data")
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as keyed:
        beside = await asyncio.to_thread(Beside, folder, keyed)
        await beside.look()
        lines = [beside.answer(ME), beside.announced(ME, "teemo")]
    await asyncio.to_thread(maintenance.pepper, folder, inside.settings())
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as keyed:
        beside.client = keyed
        assert (await beside.hand_over(*lines))["unread"] == 0
        assert await received(keyed) == {("advertisers", "possible"): 1, ("teemo", "unknown"): 1}


# --- of several ------------------------------------------------------------------------------------------------------

OTHER = named("gaid", gaid(7))


def taken(folder, *people):
    """How many identifiers of theirs are kept as gone, and how many ways lead from their keys to any."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        counts = (("held", "named"), ("held_key", "key"), ("disclosure", "key"))
        return tuple(
            sum(db.execute(f"SELECT count(*) FROM {table} WHERE {column} = ?", (key,)).fetchone()[0] for key in people)
            for table, column in counts
        )


async def known(keyed, beside, *people):
    """By a no that is about nothing of what is sent here."""
    for each in people:
        body = {"identifiers": [each], "choice": "opt_out", "purposes": ["profiling"]}
        assert (await keyed.post("/v1/choices", json=body)).status_code == 201
    await beside.look()


def recorded(folder):
    """How many sends the entries tell of."""
    return sum(body.get("count", 0) for kind in ("disclosure", "disclosed") for body in entries(folder, kind))


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize(("gone", "stays"), [(ME, OTHER), (OTHER, ME)])
async def test_of_two_whom_an_announced_send_named_the_one_erased_meanwhile_is_left_out_and_the_other_is_on_record(
    keyed, beside, gone, stays, leaves
):
    """R19, R22: with all names; and whoever may have it is told to delete what it got of them. Of whom only the call
    named, and nothing left, nothing is on record but by another one.
    """
    await known(keyed, beside, ME, OTHER)
    line = beside.announced(ME, beside=[OTHER]) if leaves else beside.announced(ME, others=[OTHER])
    await erase(keyed, gone)
    await beside.hand_over(line, beside.said(line["decision"]))
    assert taken(beside.folder, *beside.keys(gone)) == (0, 0, 0)
    held = leaves or stays == ME
    assert taken(beside.folder, *beside.keys(stays)) == ((1, len(beside.keys(stays)), 1) if held else (0, 0, 0))
    assert await received(keyed, gone) == {}
    assert await received(keyed, stays) == ({("advertisers", "sent"): 1} if held else {})
    assert recorded(beside.folder) == 1
    assert told(beside.folder) == [("advertisers", "delete")], "of what went beside them too, as one behind it is told"
    await choose(keyed, stays)
    assert (("advertisers", "opt_out") in told(beside.folder)) is held


async def test_an_announced_send_all_of_whose_people_were_erased_meanwhile_is_of_nobody(keyed, beside):
    await known(keyed, beside, ME, OTHER)
    line = beside.announced(ME, beside=[OTHER])
    await erase(keyed, ME, OTHER)
    await beside.hand_over(line)
    assert taken(beside.folder, *beside.keys(ME), *beside.keys(OTHER)) == (0, 0, 0)
    assert (recorded(beside.folder), told(beside.folder)) == (1, [("advertisers", "delete")])


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("own", ["announced", "counted"])
async def test_whoever_was_erased_is_told_of_as_gone_whichever_send_of_a_batch_names_them(keyed, beside, order, own):
    """Their own beside one of somebody who named them too: once, and no opt-out hides it."""
    await known(keyed, beside, ME, OTHER)
    theirs = beside.announced(OTHER) if own == "announced" else beside.answer(OTHER, stands=Stands.SENT)
    lines = [theirs, beside.announced(ME, beside=[OTHER])]
    await choose(keyed, OTHER)
    await erase(keyed, OTHER)
    await beside.hand_over(*lines[::order])
    assert taken(beside.folder, *beside.keys(OTHER)) == (0, 0, 0)
    assert told(beside.folder) == [("advertisers", "delete")]
    assert (recorded(beside.folder), await received(keyed)) == (2, {("advertisers", "unknown"): 1})


@pytest.mark.parametrize("leaves", [True, False])
async def test_of_an_announced_send_the_no_of_whomever_else_it_named_is_told_too(keyed, beside, leaves):
    number = named("phone", phone(5))
    line = beside.announced(ME, beside=[OTHER]) if leaves else beside.announced(ME, others=[number])
    await choose(keyed, OTHER if leaves else number)
    await beside.hand_over(line)
    assert (told(beside.folder), await outcomes(keyed, "untold")) == ([("advertisers", "opt_out")], 0)
    assert recorded(beside.folder) == 1


async def test_a_second_ones_no_that_is_not_about_it_and_one_to_a_send_that_was_withdrawn_tell_nobody(keyed, beside):
    await known(keyed, beside, OTHER)
    await beside.hand_over(beside.announced(ME, beside=[OTHER]))
    line = beside.announced(ME, others=[named("phone", phone(5))])
    await choose(keyed, named("phone", phone(5)))
    await beside.hand_over(line, beside.said(line["decision"], "withdrawn"))
    assert (told(beside.folder), await outcomes(keyed, "untold")) == ([], 0)


@pytest.mark.parametrize("order", [1, -1])
async def test_a_lawful_send_of_whoever_may_be_gone_hides_no_send_despite_a_no(keyed, beside, order):
    stranger = named("gaid", gaid(9))
    await known(keyed, beside, ME, OTHER)
    await beside.hand_over(beside.announced(ME, beside=[stranger]))  # the recipient has it
    lawful = beside.answer(stranger, at=datetime.now(UTC) - timedelta(seconds=30))
    await erase(keyed, OTHER, mode="unlink")
    await asyncio.sleep(1.2)  # an answer's time is in whole seconds
    await choose(keyed, stranger)
    said = [beside.said(each) for each in (lawful, beside.answer(stranger, denied=True))][::order]
    reports = "".join(json.dumps({"decision": each["decision"], "outcome": "sent"}) + "\n" for each in said)
    await keyed.post("/v1/disclosures", content=reports, headers=LINES)
    assert told(beside.folder) == [("advertisers", "opt_out")] * 2, "with the choice, and behind it"


async def test_behind_an_unlink_of_somebody_else_whoever_is_known_is_on_record_and_nobody_is_asked_to_delete(
    keyed, beside
):
    """Their other names were never spoken of, and still go with them."""
    stranger = named("gaid", gaid(9))
    await known(keyed, beside, ME, OTHER, stranger)
    lines = [beside.announced(ME, beside=[OTHER]), beside.announced(OTHER), beside.announced(OTHER, beside=[ME])]
    await erase(keyed, stranger, mode="unlink")
    await choose(keyed, OTHER)
    await beside.hand_over(*lines)
    for each in (ME, OTHER):
        assert taken(beside.folder, *beside.keys(each))[:2] == (1, 2 * len(beside.keys(each)))
    assert {*told(beside.folder)} == {("advertisers", "opt_out")}
    assert (recorded(beside.folder), await outcomes(keyed, "untold")) == (3, 0)


@pytest.mark.parametrize("more", [False, True])
async def test_where_an_unlink_may_have_been_about_its_first_person_a_send_is_of_who_was_known_before(
    keyed, beside, more
):
    """And of nobody of whom the same may be so."""
    stranger, unknown = named("gaid", gaid(9)), named("idfv", gaid(8))
    await known(keyed, beside, ME, stranger)
    line = beside.announced(stranger, beside=[*([unknown] if more else []), ME])
    await erase(keyed, stranger, mode="unlink")
    await beside.hand_over(line)
    assert taken(beside.folder, *beside.keys(stranger), *beside.keys(unknown)) == (0, 0, 0)
    assert taken(beside.folder, *beside.keys(ME)) == (1, len(beside.keys(ME)), 1)
    assert recorded(beside.folder) == 1


async def test_where_an_unlink_may_have_been_about_all_its_people_a_send_is_of_nobody(keyed, beside):
    stranger, unknown = named("gaid", gaid(9)), named("idfv", gaid(8))
    await known(keyed, beside, stranger)
    line = beside.announced(stranger, beside=[unknown])
    await erase(keyed, stranger, mode="unlink")
    await beside.hand_over(line)
    assert taken(beside.folder, *beside.keys(stranger), *beside.keys(unknown)) == (0, 0, 0)
    assert recorded(beside.folder) == 1


async def test_who_may_have_been_unlinked_hides_no_deletion_of_another(keyed, beside):
    stranger = named("gaid", gaid(9))
    await known(keyed, beside, OTHER, stranger)
    line = beside.announced(stranger, beside=[OTHER])
    await erase(keyed, stranger, mode="unlink")
    await erase(keyed, OTHER)
    await beside.hand_over(line)
    assert told(beside.folder) == [("advertisers", "delete")]
    assert taken(beside.folder, *beside.keys(stranger), *beside.keys(OTHER)) == (0, 0, 0)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("place", range(4))
async def test_whoever_was_erased_by_a_digest_alone_is_left_out_by_the_address_too(keyed, beside, place, before):
    """The address itself is named by no erasure, where nobody knew it `before`; another digest of it is the same."""
    address, other = named("email", email(1)), named("email_sha256", hashlib.sha256(email(1).encode()).hexdigest())
    digest = named("email_md5", hashlib.md5(email(1).encode()).hexdigest())
    await known(keyed, beside, *([ME, address] if before else [ME]))
    people = [ME, address, other] if place % 2 else [address, other, ME]
    people = people if place < 2 else people[::-1]
    line = beside.announced(people[0], beside=people[1:], classes=("contact", "email_hash", "ad_id"))
    await erase(keyed, digest)
    await beside.hand_over(line)
    assert taken(beside.folder, *beside.keys(address), beside.key(digest)) == (0, 0, 0)
    assert taken(beside.folder, *beside.keys(ME))[::2] == (1, 1)
    assert told(beside.folder) == [("advertisers", "delete")]
    with contextlib.closing(sqlite3.connect(beside.folder / "ledger.sqlite3")) as db:
        kept = {key for (key,) in db.execute("SELECT key FROM suppression")}
    assert beside.key(digest) in kept, "for the recipient's suppression file"


async def test_behind_an_unlink_of_somebody_else_an_id_that_nobody_spoke_of_goes_on_record_with_the_person(
    keyed, beside
):
    stranger, other = named("gaid", gaid(9)), named("idfv", gaid(8))
    await known(keyed, beside, ME, stranger)
    line = beside.announced(ME, beside=[other])
    await erase(keyed, stranger, mode="unlink")
    await beside.hand_over(line)
    await choose(keyed, ME)
    assert (told(beside.folder), await outcomes(keyed, "untold")) == ([("advertisers", "opt_out")], 0)


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("order", [1, -1])
async def test_a_digest_beside_the_address_whose_name_it_is_is_the_same_person_in_either_order(
    keyed, beside, order, gone
):
    address = named("email", email(1))
    digest = named("email_md5", hashlib.md5(email(1).encode()).hexdigest())
    await known(keyed, beside, address)
    first, second = [digest, address][::order]
    line = beside.announced(first, beside=[second], classes=("contact",))
    if gone:
        await erase(keyed, address)
    await beside.hand_over(line)
    assert (taken(beside.folder, *beside.keys(address)) == (0, 0, 0)) is gone
    await choose(keyed, address)
    assert (recorded(beside.folder), told(beside.folder)) == (1, [("advertisers", "delete" if gone else "opt_out")])


@pytest.mark.parametrize("known_first", [True, False])
async def test_whoever_was_only_named_and_is_erased_is_told_of_behind_one_who_may_be_gone(keyed, beside, known_first):
    stranger, third = named("gaid", gaid(9)), named("gaid", gaid(11))
    await known(keyed, beside, OTHER, third)
    line = beside.announced(stranger, beside=[ME] if known_first else [], others=[OTHER])
    await erase(keyed, third, mode="unlink")
    await erase(keyed, OTHER)
    await beside.hand_over(line)
    assert told(beside.folder) == [("advertisers", "delete")]


async def test_another_digest_of_whoever_is_gone_is_gone_with_them(keyed, beside):
    address = named("email", email(1))
    md5, sha1 = (named(f"email_{each}", hashlib.new(each, email(1).encode()).hexdigest()) for each in ("md5", "sha1"))
    await known(keyed, beside, ME)
    line = beside.announced(ME, beside=[address, md5], classes=("contact", "email_hash", "ad_id"))
    await erase(keyed, sha1)
    await beside.hand_over(line)
    assert taken(beside.folder, *beside.keys(address)) == (0, 0, 0)
    assert taken(beside.folder, *beside.keys(ME))[::2] == (1, 1)


async def test_many_sends_of_the_same_few_who_are_gone_are_one_message_and_keep_the_writer_no_longer(keyed, beside):
    """Of everybody once, however many sends name them: their number is not in the second figure."""
    people = [named("gaid", gaid(number)) for number in range(20, 26)]
    await known(keyed, beside, *people)
    lines = [
        beside.announced(people[n % 6], beside=[each for each in people if each != people[n % 6]]) for n in range(60)
    ]
    await erase(keyed, *people)
    looked = []
    with pytest.MonkeyPatch.context() as patch:
        news = recipient_holdings.is_news
        patch.setattr(recipient_holdings, "is_news", lambda *asked: looked.append(asked) or news(*asked))
        await beside.hand_over(*lines)
    assert told(beside.folder) == [("advertisers", "delete")]
    assert len(looked) <= 6 * 6 * 2
    assert taken(beside.folder, *(key for each in people for key in beside.keys(each))) == (0, 0, 0)


async def test_what_stands_in_the_place_of_an_identifier_is_a_line_that_cannot_be_read(keyed, beside):
    line = beside.announced(ME)
    line["names"] = beside.decisions.box(line["decision"], json.dumps({"own": [], "identifiers": ["x"]}).encode())
    assert (await beside.hand_over(line))["unread"] == 1
