"""The daily evidence: a day with its counts, its spells and what was in force; runs that were cut off; nobody in it."""

import asyncio
import contextlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.people import GAID, email, named, phone

from gateway.desk.documents import NOTICE, Document
from gateway.desk.evidence import CHECKS_FAILED, FORMS_FAILED
from gateway.evidence.keeper import Evidence
from gateway.ledger import schema
from gateway.ledger.errors import StoreUnavailable

pytestmark = pytest.mark.anyio
THIRD = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
RULES = [Document("settings", "1", "", b"{}")]


class Day:
    """A run whose clock, counts and failures the test decides; its thread looks only when the test says so."""

    def __init__(self, house, folder, in_force=RULES):
        self.now, self.counts, self.off = THIRD, {}, {CHECKS_FAILED: False, FORMS_FAILED: False}
        self.folder, self.house = folder, house
        off = {what: lambda what=what: self.off[what] for what in self.off}
        self.evidence = Evidence(folder, house.writer, in_force, lambda: self.now, counted=self.told, off=off)
        self.evidence._thread.start = lambda: None

    def told(self):
        return json.loads(json.dumps(self.counts))

    def later(self, **step):
        self.now += timedelta(**step)
        return self.evidence.look()


@pytest.fixture
def day(house, folder):
    return Day(house, folder)


def leaves(folder, kind=None):
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        rows = db.execute(
            "SELECT e.body, d.body FROM entry e LEFT JOIN document d ON d.seq = e.seq AND d.kind = 'evidence'"
        )
        found = [{**json.loads(body), **json.loads(more or b"{}")} for body, more in rows]
    return [leaf for leaf in found if leaf["e"] == "evidence" and kind in (None, leaf["k"])]


def test_a_day_tells_what_was_counted_and_fewer_than_ten_are_merged(day, folder):
    day.evidence.start()
    day.counts = {
        "signals": {"web gpc": 1200, "web usprivacy": 4, "check gpc": 3},
        "requests": {"opt_out web": 9, "limit web": 8},
    }
    assert day.later(days=1)
    day.evidence._write()
    (daily,) = leaves(folder, "daily")
    assert daily["counts"] == {"signals": {"web gpc": 1200, "merged": "fewer than 10"}, "requests": {"merged": 17}}
    assert (daily["from"], daily["until"]) == ("2026-03-03T09:00:00Z", "2026-03-04T09:00:00Z")


def test_each_day_counts_its_own(day, folder):
    day.counts = {"signals": {"web gpc": 100}}
    day.evidence.start()
    for total in (150, 175):
        day.counts = {"signals": {"web gpc": total}}
        day.later(days=1)
    day.evidence._write()
    assert [leaf["counts"]["signals"]["web gpc"] for leaf in leaves(folder, "daily")] == [50, 25]


def test_after_a_clock_was_ahead_each_day_has_its_evidence_again(day, folder):
    day.evidence.start()
    day.later(days=400)
    day.later(days=-400)
    day.later(days=1)
    day.later(days=1)
    day.evidence._write()
    assert [(leaf["from"][:10], leaf["until"][:10]) for leaf in leaves(folder, "daily")] == [
        ("2026-03-03", "2027-04-07"), ("2027-04-07", "2026-03-03"), ("2026-03-03", "2026-03-04"),
        ("2026-03-04", "2026-03-05"),
    ]  # fmt: skip


def test_a_clock_that_goes_back_and_forth_writes_two_entries_of_each_day_at_most(day, folder):
    day.evidence.start()
    for _ in range(50):
        day.later(days=400)
        day.later(days=-400)
    day.evidence._write()
    assert len(leaves(folder, "daily")) == 2


def test_an_outage_has_its_start_and_its_end_on_record_and_one_that_goes_on_is_told_on_both_days(day, folder):
    day.evidence.start()
    day.off[FORMS_FAILED] = True
    assert day.later(hours=1)
    assert not day.later(minutes=10)
    day.off[FORMS_FAILED], day.off[CHECKS_FAILED] = False, True
    assert day.later(minutes=10)
    day.later(days=1)
    day.off[CHECKS_FAILED] = False
    day.later(hours=1)
    day.evidence.stop()
    (daily,), (stop,) = leaves(folder, "daily"), leaves(folder, "stop")
    assert daily["spells"] == [
        [FORMS_FAILED, "2026-03-03T10:00:00Z", "2026-03-03T10:20:00Z"],
        [CHECKS_FAILED, "2026-03-03T10:20:00Z", ""],
    ]
    assert stop["spells"] == [[CHECKS_FAILED, "2026-03-03T10:20:00Z", "2026-03-04T11:20:00Z"]]


def test_a_disk_that_fails_now_and_then_is_one_spell(day, folder):
    day.evidence.start()
    for failing in (True, False, True, False):
        day.off[CHECKS_FAILED] = failing
        day.later(seconds=1)
    day.evidence.stop()
    assert leaves(folder, "stop")[0]["spells"] == [[CHECKS_FAILED, "2026-03-03T09:00:01Z", "2026-03-03T09:00:04Z"]]


def test_a_spell_in_which_nothing_could_be_written_is_told_afterwards(day, folder, monkeypatch):
    day.evidence.start()
    day.off[FORMS_FAILED] = True
    day.later(days=1)
    with monkeypatch.context() as away:
        away.setattr(day.house.writer, "_commit", lambda batch: (_ for _ in ()).throw(OSError("disk")))
        with pytest.raises(StoreUnavailable):
            day.evidence._write()
    assert leaves(folder, "daily") == []
    day.off[FORMS_FAILED] = False
    day.later(minutes=5)
    day.evidence._write()
    assert leaves(folder, "daily")[0]["spells"] == [[FORMS_FAILED, "2026-03-04T09:00:00Z", ""]]


def test_a_run_that_was_cut_off_is_told_by_the_next_one_until_the_last_minute_that_is_known(day, house, folder):
    day.evidence.start()
    day.counts = {"signals": {"web gpc": 77}}
    day.off[CHECKS_FAILED] = True
    day.later(hours=2)
    day.evidence._keep()
    day.evidence._running.let_go()  # as the death of its process does
    Day(house, folder).evidence.start()
    (cut,) = leaves(folder, "cut_off")
    assert cut["run"] == leaves(folder, "start")[0]["run"]
    assert (cut["until"], cut["counts"]) == ("2026-03-03T11:00:00Z", {"signals": {"web gpc": 77}})
    assert cut["spells"] == [[CHECKS_FAILED, "2026-03-03T11:00:00Z", ""]]
    Day(house, folder).evidence.start()
    assert len(leaves(folder, "cut_off")) == 1


def test_a_run_that_was_cut_off_had_its_own_configuration_and_not_that_of_the_run_that_tells_of_it(day, house, folder):
    day.evidence.start()
    day.evidence._keep()
    day.evidence._running.let_go()
    Day(house, folder, [Document("settings", "1", "", b'{"age":{"floor":13}}')]).evidence.start()
    before, after = leaves(folder, "start")
    (cut,) = leaves(folder, "cut_off")
    assert cut["docs"] == before["docs"] != after["docs"]
    assert (cut.get("changed", []), after["changed"]) == ([], ["settings"])


def test_a_run_of_which_nothing_was_ever_written_names_no_document(day, house, folder):
    day.evidence._open(day.now)
    day.evidence._keep()
    day.evidence._running.let_go()
    Day(house, folder).evidence.start()
    (cut,) = leaves(folder, "cut_off")
    assert cut.get("docs", []) == []


def test_a_run_that_is_alive_is_not_told_as_cut_off(day, house, folder):
    day.evidence.start()
    Day(house, folder).evidence.start()
    assert leaves(folder, "cut_off") == []


def test_an_entry_whose_answer_never_came_is_not_written_twice(day, folder):
    day.evidence.start()
    day.later(days=1)
    (waiting,) = day.evidence._waiting
    day.evidence._write()
    day.evidence._waiting = [waiting]
    day.evidence._write()
    assert len(leaves(folder, "daily")) == 1


def test_another_configuration_at_the_next_start_is_named_as_a_change(day, house, folder):
    day.evidence.start()
    day.evidence.stop()
    Day(house, folder).evidence.start()
    Day(house, folder, [Document("settings", "1", "", b'{"age":{"floor":13}}')]).evidence.start()
    assert [leaf.get("changed", []) for leaf in leaves(folder, "start")] == [[], [], ["settings"]]


async def test_a_notice_that_the_operator_logs_beside_the_service_is_a_change_too(day, house, folder):
    await asyncio.to_thread(day.evidence.start)
    [before] = leaves(folder, "start")
    day.later(hours=6)
    await house.consent.log([Document(NOTICE, "8", "en", b"You may say no.")])
    await asyncio.to_thread(day.evidence._retry)
    await asyncio.to_thread(day.evidence._retry)
    closed, change = leaves(folder, "change")
    assert (closed.get("changed"), closed["docs"]) == (None, before["docs"]), "in the hours before it was not in force"
    assert (closed["from"], closed["until"]) == (before["until"], change["from"])
    assert change["from"] == change["until"] != closed["from"]
    assert change["changed"] == ["notice"]
    assert [item[:3] for item in change["docs"] if item[0] == NOTICE] == [[NOTICE, "8", "en"]]


async def test_a_notice_that_is_logged_as_a_stretch_ends_was_not_in_force_in_it(day, house, folder):
    await asyncio.to_thread(day.evidence.start)
    [before] = leaves(folder, "start")
    await house.consent.log([Document(NOTICE, "8", "en", b"You may say no.")])
    await asyncio.to_thread(day.later, days=1)
    await asyncio.to_thread(day.evidence._write)
    assert [leaf["docs"] for leaf in leaves(folder, "daily")] == [before["docs"]]
    await asyncio.to_thread(day.evidence._retry)
    assert leaves(folder, "change")[-1]["changed"] == ["notice"]


def test_more_counts_than_a_leaf_holds_are_named_by_their_hash(day, folder):
    day.evidence.start()
    day.counts = {"decisions": {f"recipient-{number} false opted_out": 1000 for number in range(2000)}}
    day.later(days=1)
    day.evidence._write()
    (daily,) = leaves(folder, "daily")
    assert "n" in daily
    assert len(daily["counts"]["decisions"]) == 2000
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        assert db.execute("SELECT max(length(body)) FROM entry").fetchone()[0] < 65_536


def test_a_service_that_cannot_write_begins_all_the_same_and_tells_once_it_can(day, house, folder, monkeypatch):
    with monkeypatch.context() as away:
        away.setattr(house.writer, "_commit", lambda batch: (_ for _ in ()).throw(OSError("disk")))
        day.evidence.start()
    assert leaves(folder, "start") == []
    day.evidence._retry()
    assert [len(leaves(folder, kind)) for kind in ("start", "change")] == [1, 0]
    day.evidence.stop()
    assert leaves(folder, "start")[0]["run"] == leaves(folder, "stop")[0]["run"]


async def test_what_people_said_that_day_is_counted_and_none_of_them_is_named(folder):
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as client:
        for number in range(12):
            await client.get("/demo", headers={"Sec-GPC": "1"})
            await client.post("/v1/choices", json={"identifiers": [named("email", email(number))], "choice": "opt_out"})
        await client.post("/privacy-choices", data={"action": "opt_out", "phone": phone(7)})
        await client.post("/v1/check", json={"identifiers": [named("gaid", GAID)], "recipient": "teemo"})
    (start,), (stop,) = leaves(folder, "start"), leaves(folder, "stop")
    assert stop["counts"]["signals"]["web gpc"] == 12
    assert stop["counts"]["honored_unwritten"] == {"gpc": 12}
    assert stop["counts"]["requests"] == {"opt_out api": 12, "merged": "fewer than 10"}
    assert {item[0] for item in start["docs"]} >= {"recipients", "settings", "law", "retention_policy", "choices"}
    assert start["run"] == stop["run"]
    assert not any(value in json.dumps(stop) for value in (phone(7), phone(7)[2:], email(3), GAID))


async def test_a_service_that_enforces_nothing_says_so_for_all_its_time(folder):
    async with inside.application(folder, dev=False):
        pass
    (stop,) = leaves(folder, "stop")
    assert [spell[0] for spell in stop["spells"]] == ["enforcement_off"]
    async with inside.application(folder, inside.settings(site__enforce="true"), dev=False):
        pass
    assert "spells" not in leaves(folder, "stop")[1]
