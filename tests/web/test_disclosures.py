"""What became of an answer: announced before, reported after, counted meanwhile (R22)."""

import asyncio
import contextlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.people import GAID, email, gaid, named

from gateway.consent import disclosing
from gateway.desk.disclosures import WITHIN_MS
from gateway.keys import api_keys
from gateway.ledger.errors import NothingKept

pytestmark = pytest.mark.anyio
ME = named("gaid", GAID)
ASK = {"identifiers": [ME], "recipient": "advertisers", "data": ["ad_id"], "place": "US-NY"}
LINES = {"Content-Type": "application/x-ndjson"}


async def check(keyed, **members):
    answer = await keyed.post("/v1/check", json=ASK | members)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def report(keyed, *lines):
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    answer = await keyed.post("/v1/disclosures", content=body, headers=LINES)
    assert answer.status_code == 200, answer.text
    *told, end = [json.loads(line) for line in answer.text.splitlines()]
    assert end == {"end": True, "count": len(told)}
    return [each["result"] for each in told]


def said(decision, outcome="sent", **more):
    return {"decision": decision, "outcome": outcome, **more}


async def received(keyed, *identifiers):
    answer = await keyed.post("/v1/access", json={"identifiers": list(identifiers or [ME])})
    return {(each["recipient"], each["outcome"]): each["count"] for each in answer.json()["disclosures"]}


RUNNING = []


@pytest.fixture(autouse=True)
def _seen(monkeypatch):
    """Who writes down what was answered, as it runs."""
    run = disclosing.Disclosing.running
    monkeypatch.setattr(disclosing.Disclosing, "running", lambda self: RUNNING.append(self) or run(self))
    yield
    RUNNING.clear()


async def batch():
    """Until all of what was answered so far is written down, by itself: within a period, or on a busy machine later."""
    async with asyncio.timeout(60):
        while any(each._waiting or each._writing for each in RUNNING):
            await asyncio.sleep(0.02)


async def opt_out(keyed, *identifiers):
    body = {"identifiers": list(identifiers or [ME]), "choice": "opt_out"}
    assert (await keyed.post("/v1/choices", json=body)).status_code == 201


async def number(keyed, name, **labels):
    lines = [line for line in (await keyed.get("/metrics")).text.splitlines() if line.startswith(name + "{")]
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if all(f'{label}="{value}"' in line for label, value in labels.items())
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(disclosing, "PERIOD", 0.1)


# --- what a check that nobody reports leaves -------------------------------------------------------------------------


async def test_a_yes_that_nobody_reports_may_have_been_sent_and_a_no_leaves_nothing(keyed):
    await check(keyed)
    await check(keyed)
    await check(keyed, signals={"gpc": "1"})
    await batch()
    assert await received(keyed) == {("advertisers", "possible"): 2}


async def test_what_may_go_in_part_is_counted_with_the_classes_that_may(keyed):
    await check(keyed, recipient="teemo", data=["precise_geo", "ad_id"], place="US-CA")
    await batch()
    answer = await keyed.post("/v1/access", json={"identifiers": [ME]})
    assert [each["data"] for each in answer.json()["disclosures"]] == [["ad_id", "precise_geo"]]


@pytest.mark.parametrize("members", [{"dry_run": True}, {"identifiers": []}, {"data": ["content"]},
                                     {"recipient": "nobody"}])  # fmt: skip
async def test_a_dry_run_and_what_names_nobody_leave_nothing(keyed, members):
    await check(keyed, **members)
    await batch()
    assert await received(keyed) == {}


async def test_each_of_several_recipients_has_a_decision_of_its_own(keyed):
    body = {key: value for key, value in ASK.items() if key != "recipient"} | {"recipients": ["advertisers", "teemo"]}
    found = (await keyed.post("/v1/check", json=body)).json()["verdicts"]
    decisions = [each["decision"] for each in found.values()]
    assert len(set(decisions)) == 2
    assert await report(keyed, said(decisions[0])) == ["recorded"]
    await batch()
    assert await received(keyed) == {("advertisers", "sent"): 1, ("teemo", "possible"): 1}


# --- what is reported ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quickly", [True, False])
@pytest.mark.parametrize(
    ("outcomes", "results", "shown"),
    [
        (["sent"], ["recorded"], {"sent": 1}),
        (["not_sent"], ["recorded"], {}),
        (["unknown"], ["recorded"], {"unknown": 1}),
        (["sent", "sent"], ["recorded", "repeated"], {"sent": 1}),
        (["sent", "not_sent"], ["recorded", "repeated"], {"sent": 1}),
        (["not_sent", "not_sent", "sent"], ["recorded", "repeated", "recorded"], {"sent": 1}),
        (["unknown", "not_sent"], ["recorded", "recorded"], {}),
        (["unknown", "sent"], ["recorded", "recorded"], {"sent": 1}),
    ],
)
@pytest.mark.parametrize("will_send", [False, True])
async def test_what_is_said_of_an_answer_takes_the_place_of_what_was_counted(
    keyed, outcomes, results, shown, quickly, will_send
):
    """Whether it is said before the batch or after it, announced or not; what was sent stays so."""
    decision = (await check(keyed, will_send=will_send))["decision"]
    if not quickly:
        await batch()
    assert [(await report(keyed, said(decision, outcome)))[0] for outcome in outcomes] == results
    await batch()
    assert await received(keyed) == {("advertisers", outcome): count for outcome, count in shown.items()}


async def test_several_reports_of_one_call_are_answered_in_their_order_and_one_bad_line_costs_the_others_nothing(keyed):
    one, two = [(await check(keyed))["decision"] for _ in range(2)]
    lines = [
        said(one),
        "not json",
        said("A" * 64),
        said(two, "not_sent"),
        said(one),
        said(two, "perhaps"),
        said(two, at="soon"),
        {**said(two), "person": 1},
        said("x" * 200),
        "[]",
    ]
    assert await report(keyed, *lines) == [
        "recorded",
        "malformed",
        "unknown",
        "recorded",
        "repeated",
        *["malformed"] * 5,
    ]


async def test_one_report_may_come_as_an_object(keyed):
    answer = await keyed.post("/v1/disclosures", json=said((await check(keyed))["decision"], at=1_795_699_091_000))
    assert json.loads(answer.text.splitlines()[0])["result"] == "recorded"


async def test_what_was_sent_despite_a_no_is_on_record_and_an_alarm(keyed):
    await opt_out(keyed)
    found = await check(keyed)
    assert found["allowed"] is False
    assert await report(keyed, said(found["decision"]), said(found["decision"])) == ["denied", "repeated"]
    assert await received(keyed) == {("advertisers", "sent"): 1}
    assert await number(keyed, "gateway_sent_despite_no_total", recipient="advertisers") == 1
    assert await report(keyed, said((await check(keyed))["decision"], "not_sent")) == ["recorded"]
    assert await number(keyed, "gateway_sent_despite_no_total") == 1


@pytest.mark.parametrize(("words", "counts"), [(["unknown", "sent"], 1), (["unknown", "not_sent"], 0)])
async def test_a_send_despite_a_no_counts_once_and_one_that_was_none_not_at_all(keyed, words, counts):
    await opt_out(keyed)
    found = await check(keyed)
    for word in words:
        await report(keyed, said(found["decision"], word))
    assert await received(keyed) == ({("advertisers", "sent"): 1} if counts else {})
    assert await number(keyed, "gateway_sent_despite_no_total", recipient="advertisers") == 1  # an alarm stays one


async def test_what_was_sent_to_a_recipient_that_is_not_configured_is_an_alarm(keyed):
    found = await check(keyed, recipient="nobody")
    assert await report(keyed, said(found["decision"])) == ["denied"]
    assert await number(keyed, "gateway_sent_despite_no_total", recipient="unknown") == 1


async def test_what_was_sent_on_a_dry_run_was_sent(keyed):
    assert await report(keyed, said((await check(keyed, dry_run=True))["decision"])) == ["recorded"]
    assert await received(keyed) == {("advertisers", "sent"): 1}


async def test_a_send_that_began_long_after_the_answer_is_counted_as_late(keyed):
    decision = (await check(keyed))["decision"]
    assert await report(keyed, said(decision, at="2099-01-01T00:00:00Z")) == ["recorded"]
    assert await number(keyed, "gateway_disclosures_total", outcome="late") == 1


async def test_what_is_said_an_hour_later_leaves_it_as_it_was_counted(tmp_path):
    now = [datetime(2026, 11, 24, 12, 0, tzinfo=UTC)]
    served = inside.application(tmp_path / "data", clock=lambda: now[0])
    async with served as app, inside.client(app, **inside.DEV) as keyed:
        plain = (await check(keyed))["decision"]
        announced = (await check(keyed, will_send=True))["decision"]
        await batch()
        now[0] += timedelta(hours=1, seconds=2)
        assert await report(keyed, said(plain), said(announced)) == ["expired", "recorded"]
        assert await received(keyed) == {("advertisers", "possible"): 1, ("advertisers", "sent"): 1}


async def test_a_report_of_somebody_who_was_unlinked_meanwhile_is_on_nobodys_record(keyed):
    """R19. Nothing is left to name them by, so that nobody can be told."""
    decision = (await check(keyed))["decision"]
    await batch()
    body = {"identifiers": [ME], "mode": "unlink"}
    assert (await keyed.post("/v1/erasures", json=body)).status_code == 200
    assert await report(keyed, said(decision, "sent")) == ["recorded"]
    assert await received(keyed) == {}
    assert await number(keyed, "gateway_disclosures_total", recipient="advertisers", outcome="untold") == 1


@pytest.mark.parametrize("outcome", ["sent", "unknown", "not_sent"])
async def test_who_got_data_of_somebody_who_was_erased_before_that_was_reported_is_told_to_delete_it(keyed, outcome):
    """When they were erased it was only known that it might go, of which nobody is told (R18)."""
    decision = (await check(keyed))["decision"]
    await batch()
    body = {"identifiers": [ME], "mode": "erase_details"}
    assert (await keyed.post("/v1/erasures", json=body)).status_code == 200
    assert await number(keyed, "gateway_deliveries", recipient="advertisers") == 0
    assert await report(keyed, said(decision, outcome)) == ["recorded"]
    went = outcome != "not_sent"
    assert await number(keyed, "gateway_deliveries", recipient="advertisers", state="pending") == went
    assert await received(keyed) == {}


async def test_a_stranger_reports_nothing(app):
    async with inside.client(app) as stranger:
        assert (await stranger.post("/v1/disclosures", json=said("x"))).status_code == 401


async def test_a_key_for_choices_reports_nothing(tmp_path):
    folder = inside.install(tmp_path / "data")
    key = await asyncio.to_thread(api_keys.add_api_key, folder, "app", ["choose"], publishable=True)
    async with inside.application(folder) as app, inside.client(app, Authorization=f"Bearer {key}") as calling:
        assert (await calling.post("/v1/disclosures", json=said("x"))).status_code == 403


# --- announced -------------------------------------------------------------------------------------------------------


async def test_an_announced_send_is_on_record_when_the_answer_comes(keyed):
    found = await check(keyed, will_send=True)
    assert found["allowed"]
    assert await received(keyed) == {("advertisers", "unknown"): 1}  # intended, and never marked
    assert await report(keyed, said(found["decision"])) == ["recorded"]
    assert await received(keyed) == {("advertisers", "sent"): 1}


async def test_a_no_announces_nothing(keyed):
    await opt_out(keyed)
    before = await check(keyed)
    found = await check(keyed, will_send=True)
    assert (found["allowed"], found["position"]) == (False, before["position"])
    assert await received(keyed) == {}


async def test_what_cannot_be_put_on_record_may_not_be_sent(keyed, monkeypatch):
    async def nothing(*_, **__):
        raise NothingKept("nothing was kept: the disk is full")

    monkeypatch.setattr(disclosing.Disclosing, "_intend", nothing)
    answer = await keyed.post("/v1/check", json=ASK | {"will_send": True})
    assert answer.status_code == 503
    many = (await keyed.post("/v1/checks", json=[ASK | {"will_send": True, "ref": "a"}, ASK])).json()
    assert [(each["allowed"], each["reason"]) for each in many] == [(False, "store_unavailable"), (True, "no_choice")]
    assert many[0]["ref"] == "a"


@pytest.fixture
def opts_out_meanwhile(keyed, monkeypatch):
    """The person does, between the record of a send and its answer."""
    whole = disclosing.Disclosing._intend

    async def meanwhile(self, ask, checked, going):
        await whole(self, ask, checked, going)
        if going:
            await opt_out(keyed)

    monkeypatch.setattr(disclosing.Disclosing, "_intend", meanwhile)


async def test_who_opts_out_while_a_send_is_announced_is_not_sent(keyed, opts_out_meanwhile):
    found = await check(keyed, will_send=True)
    assert (found["allowed"], found["reason"]) == (False, "opted_out")
    assert await received(keyed) == {}


async def test_of_a_send_that_the_second_look_took_back_no_erasure_is_told(keyed, folder, opts_out_meanwhile):
    """Nobody could send it, or say that they had (R18)."""
    await check(keyed, will_send=True)
    body = {"identifiers": [ME], "mode": "erase_details"}
    assert (await keyed.post("/v1/erasures", json=body)).status_code == 200
    assert await outbox(folder) == [("advertisers", "opt_out")], "the no, which came while it might have gone"
    assert await number(keyed, "gateway_disclosures_total", outcome="not_sent") == 1


async def test_without_the_second_look_who_opts_out_meanwhile_would_be_sent(keyed, opts_out_meanwhile, monkeypatch):
    """The control."""
    monkeypatch.setattr("gateway.consent.check.Checks.moved", lambda *_: False)
    assert (await check(keyed, will_send=True))["allowed"]


async def test_many_announced_sends_are_answered_in_order_and_each_is_on_record(keyed):
    people = [named("gaid", gaid(index)) for index in range(150)]
    asked = [ASK | {"identifiers": [one], "will_send": True, "ref": str(index)} for index, one in enumerate(people)]
    found = (await keyed.post("/v1/checks", json=asked)).json()
    assert [each["ref"] for each in found] == [str(index) for index in range(150)]
    assert await received(keyed, people[0]) == await received(keyed, people[149]) == {("advertisers", "unknown"): 1}


# --- bid requests ----------------------------------------------------------------------------------------------------


def bid(person=GAID):
    return {
        "id": "1",
        "imp": [{"id": "1", "banner": {}}],
        "device": {"os": "Android", "ifa": person, "geo": {"country": "USA", "region": "NY"}},
    }


async def test_a_bid_request_that_was_handed_out_was_sent_and_one_without_the_person_was_not(keyed):
    await keyed.post("/v1/openrtb?recipient=advertisers", json=bid())
    answer = await keyed.post("/v1/openrtb?recipient=advertisers", json=bid() | {"regs": {"gpc": 1}})
    assert answer.headers["gateway-verdict"] == "contextual"
    await batch()
    assert await received(keyed) == {("advertisers", "sent"): 1}


async def test_a_bid_request_that_was_handed_out_and_not_sent_is_taken_back(keyed):
    answer = await keyed.post("/v1/openrtb?recipient=advertisers", json=bid())
    assert await report(keyed, said(answer.headers["gateway-decision"], "not_sent")) == ["recorded"]
    await batch()
    assert await received(keyed) == {}


async def test_patches_have_a_decision_each(keyed):
    answer = (await keyed.post("/v1/openrtb?recipient=advertisers&recipient=teemo", json=bid())).json()
    assert len({each["decision"] for each in answer.values()}) == 2


async def test_a_dry_run_of_a_bid_request_is_the_real_answer_marked_and_nothing_was_sent(keyed):
    real = await keyed.post("/v1/openrtb?recipient=advertisers", json=bid(gaid(9)))
    answer = await keyed.post("/v1/openrtb?recipient=advertisers&dry_run=1", json=bid(gaid(9)))
    assert answer.json() == real.json()
    assert answer.headers["gateway-dry-run"] == "1"
    assert "gateway-dry-run" not in real.headers
    await batch()
    assert await received(keyed, named("gaid", gaid(9))) == {("advertisers", "sent"): 1}
    assert await number(keyed, "gateway_verdicts_total", mode="dry_run") == 1
    assert (await keyed.post("/v1/openrtb?recipient=advertisers&dry_run=yes", json=bid())).status_code == 400


async def test_a_bid_request_may_be_announced(keyed):
    answer = await keyed.post("/v1/openrtb?recipient=advertisers&will_send=1", json=bid())
    assert answer.headers["gateway-verdict"] == "allow"
    assert await received(keyed) == {("advertisers", "unknown"): 1}


# --- what is lost ----------------------------------------------------------------------------------------------------


async def test_counts_wait_while_the_ledger_cannot_be_written_and_past_the_bound_a_loss_is_counted(keyed, monkeypatch):
    away = [True]
    whole = disclosing.Disclosing.write
    monkeypatch.setattr(disclosing.Disclosing, "write", lambda self: not away[0] and whole(self))
    monkeypatch.setattr(disclosing, "MOST", 3)
    for _ in range(5):
        await check(keyed)
    assert await number(keyed, "gateway_disclosures_total", outcome="lost") == 2
    away[0] = False
    await batch()
    assert await received(keyed) == {("advertisers", "possible"): 3}


async def test_no_url_and_no_answer_names_a_person(keyed):
    someone = named("email", email(1))
    found = await check(keyed, identifiers=[someone])
    assert email(1) not in json.dumps(found)


# --- who is erased ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["erase_details", "unlink", "child_found"])
async def test_who_is_erased_right_after_an_answer_is_counted_before_and_no_longer_after(
    keyed, folder, monkeypatch, mode
):
    """So who was sent their id is told to delete it, and no count of before is found by whoever comes next (R18,
    R19)."""
    monkeypatch.setattr(disclosing, "PERIOD", 1.0)
    await asyncio.sleep(0.2)  # the period that was under way
    await check(keyed, recipient="teemo", data=["ad_id"])
    await keyed.post("/v1/openrtb?recipient=advertisers", json=bid())
    assert (await keyed.post("/v1/erasures", json={"identifiers": [ME], "mode": mode})).status_code == 200
    await asyncio.sleep(1.3)
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'ledger.sqlite3'}?mode=ro", uri=True)) as db:
        assert db.execute("SELECT count(*) FROM disclosed").fetchone() == (0,)
        told = db.execute("SELECT recipient, word FROM outbox WHERE recipient <> 'account_backend'").fetchall()
    assert told == [("advertisers", "delete")]
    assert await received(keyed) == {}


async def outbox(folder):
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'ledger.sqlite3'}?mode=ro", uri=True)) as db:
        return db.execute("SELECT recipient, word FROM outbox ORDER BY recipient").fetchall()


@pytest.mark.parametrize("outcome", ["sent", "unknown", "not_sent"])
async def test_what_went_before_a_no_that_came_before_its_report_is_told_or_counted_as_untold(keyed, folder, outcome):
    """R18, 11 CCR 7026(f)(2). Of what a check names nothing is kept, so nobody can be named to its recipient then."""
    decision = (await check(keyed))["decision"]
    await opt_out(keyed)
    assert await report(keyed, said(decision, outcome)) == ["recorded"]
    assert await outbox(folder) == []
    untold = await number(keyed, "gateway_disclosures_total", recipient="advertisers", outcome="untold")
    assert untold == (outcome != "not_sent")


@pytest.mark.parametrize("no", ["by the account", "by the ad id", "before the first word"])
async def test_of_an_announced_send_that_was_said_not_to_have_gone_and_went_its_recipient_is_told(keyed, folder, no):
    """R18, 11 CCR 7026(f)(2). As far as anybody knows it has nothing until the second word."""
    account = named("account", "jane")
    assert (await keyed.post("/v1/links", json={"account": "jane", "identifiers": [ME]})).status_code == 201
    decision, who = (await check(keyed, will_send=True))["decision"], ME if no == "by the ad id" else account
    if no == "before the first word":
        await opt_out(keyed, who)
        assert await outbox(folder) == [("advertisers", "opt_out")]
    assert await report(keyed, said(decision, "not_sent")) == ["recorded"]
    if no == "by the ad id":
        await opt_out(keyed, who)
        assert await outbox(folder) == []
    assert await report(keyed, said(decision)) == ["recorded"]
    if no == "by the account":
        await opt_out(keyed, who)
    assert await outbox(folder) == [("advertisers", "opt_out")]
    assert await number(keyed, "gateway_disclosures_total", outcome="untold") == 0


@pytest.mark.parametrize("words", [["not_sent"], []], ids=["said not to have gone", "open"])
async def test_of_an_announced_send_its_recipient_is_told_of_the_no_of_whomever_it_named(keyed, folder, words):
    """Whoever stands second in the row, whom nothing ties to the first: the last word counts as if it were the only one."""
    beside = named("email", email(7))
    decision = (await check(keyed, will_send=True, identifiers=[ME, beside]))["decision"]
    for word in words:
        assert await report(keyed, said(decision, word)) == ["recorded"]
    await opt_out(keyed, beside)
    assert await report(keyed, said(decision)) == ["recorded"]
    assert await outbox(folder) == [("advertisers", "opt_out")]
    assert await number(keyed, "gateway_disclosures_total", outcome="untold") == 0


async def test_of_an_announced_send_that_was_said_not_to_have_gone_an_erasure_is_told_as_if_it_had(keyed, folder):
    """For a later word that it had finds nobody any more."""
    decision = (await check(keyed, will_send=True))["decision"]
    assert await report(keyed, said(decision, "not_sent")) == ["recorded"]
    body = {"identifiers": [ME], "mode": "erase_details"}
    assert (await keyed.post("/v1/erasures", json=body)).status_code == 200
    assert await report(keyed, said(decision)) == ["recorded"]
    assert await outbox(folder) == [("advertisers", "delete")]
    assert await received(keyed) == {}


async def test_of_what_nobody_says_to_have_gone_for_two_hours_an_erasure_is_told_nothing_though_no_call_came(
    keyed, folder
):
    """What is over is cleared away by the next word about an answer, which may come a week later (R18)."""
    assert await report(keyed, said((await check(keyed, will_send=True))["decision"], "not_sent")) == ["recorded"]
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db, db:
        db.execute("UPDATE reported SET at = at - ?", (2 * WITHIN_MS + 1,))
    body = {"identifiers": [ME], "mode": "erase_details"}
    assert (await keyed.post("/v1/erasures", json=body)).status_code == 200
    assert await outbox(folder) == []


@pytest.mark.parametrize("words", [["not_sent"], ["unknown", "not_sent"], []])
async def test_an_announced_send_of_which_nobody_can_name_anybody_outlives_an_erasure_until_its_last_word(
    keyed, folder, words
):
    """Nothing else tells who has it (R19)."""
    account = named("account", "jane")
    decision = (await check(keyed, will_send=True, identifiers=[account]))["decision"]
    for word in words:
        assert await report(keyed, said(decision, word)) == ["recorded"]
        with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db, db:
            db.execute("UPDATE reported SET at = at - ?", (WITHIN_MS,))
    body = {"identifiers": [account], "mode": "erase_details"}
    assert (await keyed.post("/v1/erasures", json=body)).status_code == 200
    assert await report(keyed, said(decision)) == ["recorded"]
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        assert db.execute("SELECT outcome FROM disclosure").fetchall() == [("sent",)]


async def test_what_went_despite_a_no_is_told_where_the_recipient_had_the_id_before(keyed, folder):
    await check(keyed, will_send=True)
    await opt_out(keyed)
    assert await outbox(folder) == [("advertisers", "opt_out")]
    despite = (await check(keyed))["decision"]
    assert await report(keyed, said(despite)) == ["denied"]
    assert await outbox(folder) == [("advertisers", "opt_out")] * 2
    assert await number(keyed, "gateway_disclosures_total", outcome="untold") == 0


async def test_what_went_despite_a_no_to_whoever_never_had_the_id_is_counted_as_untold(keyed, folder):
    await opt_out(keyed)
    assert await report(keyed, said((await check(keyed))["decision"])) == ["denied"]
    assert await outbox(folder) == []
    assert await number(keyed, "gateway_disclosures_total", recipient="advertisers", outcome="untold") == 1


async def test_of_what_is_reported_of_somebody_who_said_nothing_nobody_is_told(keyed, folder):
    assert await report(keyed, said((await check(keyed))["decision"])) == ["recorded"]
    assert await outbox(folder) == []
    assert await number(keyed, "gateway_disclosures_total", outcome="untold") == 0


@pytest.mark.parametrize("call", ["choices", "observe"])
async def test_whoever_was_sent_an_id_a_moment_before_the_no_is_told_of_it(keyed, folder, monkeypatch, call):
    """R18: counts of answers wait for a second, and a no does not pass them by."""
    monkeypatch.setattr(disclosing, "PERIOD", 1.0)
    await asyncio.sleep(0.2)  # the period that was under way
    await keyed.post("/v1/openrtb?recipient=advertisers", json=bid())
    body = {"choice": "opt_out"} if call == "choices" else {"signals": {"gpc": "1"}}
    assert (await keyed.post(f"/v1/{call}", json={"identifiers": [ME], **body})).is_success
    assert await outbox(folder) == [("advertisers", "opt_out")]


async def test_a_no_is_taken_although_counts_of_before_cannot_be_written(keyed, monkeypatch):
    monkeypatch.setattr(disclosing.Disclosing, "write", lambda _: False)
    await check(keyed)
    await opt_out(keyed)
    assert (await check(keyed))["reason"] == "opted_out"
