"""Rehearsals on record, when the next is due, and who is told when one failed or is missing."""

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from structlog.testing import capture_logs
from support import inside, typed
from support.rehearsed import EVERY_WAY_OPEN

from gateway.app import rehearsal_process
from gateway.app import service as services
from gateway.app.in_force import in_force
from gateway.app.rehearsal_process import RehearsalOrder
from gateway.app.service import Doors
from gateway.desk import evidence
from gateway.desk.evidence import Rehearsal
from gateway.evidence import rehearsing
from gateway.evidence.rehearsing import Rehearsing
from gateway.ledger import schema
from gateway.records import day as days

pytestmark = pytest.mark.anyio
THIRD = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
ONE_RECIPIENT = """
[recipients.teemo]
role = "third_party"
purposes = ["sale"]
data = ["ad_id"]
announced = 2024-01-01
"""
PASSED = {"passed": True, "failures": 0, "failed": []}
FAILED = {"passed": False, "failures": 2, "failed": [["form, phone (en)", "teemo", "sale", "check", "allowed"]] * 2}


class Service:
    """The schedule of a service whose clock and whose rehearsals the test decides."""

    def __init__(self, house, folder, settings=None, wanted=True):
        self.now, self.content, self.runs, self.house, self.folder = THIRD, PASSED, 0, house, folder
        settings = settings or inside.settings()
        stated = settings.rehearsal
        self.kept = Rehearsing(
            folder,
            house.writer,
            in_force(settings),
            lambda: self.now,
            self.run,
            every=stated.every_hours if wanted else 0,
            late=stated.alarm_after_hours,
        )

    def run(self, ends):
        self.runs += 1
        self.content = self.content() if callable(self.content) else self.content
        return Rehearsal(secrets.token_bytes(16), self.now, self.now, self.content)

    def looks(self, **later):
        """The schedule's thread looks, some time later. Whether it rehearsed."""
        self.now += timedelta(**later)
        due = self.kept.is_due()
        if due:
            self.kept.rehearse()
        return due


@pytest.fixture
def service(house, folder):
    return Service(house, folder)


def entries(folder):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        rows = db.execute(
            "SELECT e.body, d.body FROM evidence v JOIN entry e USING (seq) LEFT JOIN document d"
            " ON d.seq = v.seq WHERE v.kind = 'rehearsal' ORDER BY v.seq"
        ).fetchall()
    return [{**json.loads(body), **json.loads(more or b"{}")} for body, more in rows]


def spells(folder):
    """What was off at some time, by the service's own entries."""
    with contextlib.closing(schema.open_to_read(folder)) as db:
        bodies = [json.loads(row[0]) for row in db.execute("SELECT body FROM entry")]
    return {what for body in bodies for what, *_ in body.get("spells", [])}


def test_a_service_rehearses_when_it_never_did_and_then_every_day(service, folder):
    assert service.looks()
    assert not service.looks(hours=23)
    assert service.looks(hours=1)
    assert [entry["told"] for entry in entries(folder)] == [PASSED, PASSED]
    assert [entry["until"] for entry in entries(folder)] == ["2026-03-03T09:00:00Z", "2026-03-04T09:00:00Z"]


def test_its_entry_names_what_was_rehearsed_and_has_a_receipt(service, house, folder):
    service.looks()
    (told,) = days.told_that_day(folder, house.consent.log_reader, date(2026, 3, 3))
    assert told.content["k"] == "rehearsal"
    assert {"recipients", "settings", "law"} <= {kind for kind, *_ in told.content["docs"]}
    assert told.receipt.startswith("c2sp.org/tlog-proof")


def test_failures_that_do_not_fit_into_a_leaf_are_kept_whole_beside_it(service, folder):
    many = [[f"way {number}", "teemo", "sale", "check", "allowed" * 20] for number in range(200)]
    service.content = {"passed": False, "failures": 200, "failed": many}
    service.looks()
    (entry,) = entries(folder)
    assert entry["told"]["failed"] == many
    assert service.kept.last().failures == 200


def test_one_that_failed_alarms_at_once_and_is_repeated_after_an_hour(service):
    service.content = FAILED
    assert service.looks()
    assert service.kept.alarms() == ["the last rehearsal found 2 that failed: gateway rehearse --show"]
    assert not service.looks(minutes=59)
    service.content = PASSED
    assert service.looks(minutes=1)
    assert service.kept.alarms() == []


@pytest.mark.parametrize(("hours", "rings"), [(30, False), (30.1, True)])
def test_a_schedule_that_is_stuck_alarms_within_the_set_time(service, hours, rings):
    service.looks()
    service.now += timedelta(hours=hours)  # nobody looks any more
    missing = ["no rehearsal is on record for more than 30 hours: gateway help rehearsal"]
    assert service.kept.alarms() == (missing if rings else [])


def test_one_that_never_was_is_missed_from_the_first_start_on_however_often_it_is_started_anew(service, house, folder):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert evidence.rehearsal_owed_since(db) is None
    start = (1, b"1", "start", int(THIRD.timestamp() * 1000), int(THIRD.timestamp() * 1000))
    house.writer.submit(lambda tx: tx.db.execute("INSERT INTO evidence VALUES (?, ?, ?, ?, ?)", start)).result(60)
    again = Service(house, folder)
    again.now = THIRD + timedelta(hours=31)
    assert any("no rehearsal" in text for text in again.kept.alarms())


def test_a_process_that_dies_on_the_way_is_a_failure_on_record(service, folder):
    service.content = lambda: (
        evidence.failed_rehearsal(b"1" * 16, THIRD, THIRD, "ended without a result: MemoryError").content
    )
    service.looks()
    assert entries(folder)[0]["told"]["failed"][0][4] == "ended without a result: MemoryError"
    assert service.kept.alarms() == ["the last rehearsal found 1 that failed: gateway rehearse --show"]


def test_what_cannot_be_written_is_rehearsed_again_and_missed_meanwhile(service, folder, monkeypatch):
    service.looks()
    with monkeypatch.context() as away:
        away.setattr(service.house.writer, "_commit", lambda batch: (_ for _ in ()).throw(OSError("disk")))
        assert service.looks(hours=31)
    assert len(entries(folder)) == 1
    assert any("no rehearsal" in text for text in service.kept.alarms())
    assert service.looks(hours=1)
    assert service.kept.alarms() == []


def test_a_clock_that_was_wrong_once_silences_nothing_for_years(service):
    service.now += timedelta(days=3650)
    service.looks()
    service.now = THIRD
    assert service.kept.alarms() == ["no rehearsal is on record for more than 30 hours: gateway help rehearsal"]
    assert service.looks()
    assert service.kept.alarms() == []


@pytest.mark.parametrize("broken", ["executable", "folder"])
def test_a_process_that_cannot_be_started_is_a_failure_and_the_schedule_goes_on(monkeypatch, tmp_path, broken):
    if broken == "executable":
        monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    else:
        monkeypatch.setattr(rehearsal_process, "_where", lambda: str(tmp_path / "nowhere"))
    found = rehearsal_process.rehearse(RehearsalOrder(inside.settings()))
    assert found.content["failed"] == [["", "", "", "", "could not be started: FileNotFoundError"]]


def test_of_several_processes_of_one_installation_one_rehearses(service, house, folder):
    other = Service(house, folder)
    service.content = lambda: other.kept.rehearse() or PASSED  # while the first is at it
    service.looks()
    assert (service.runs, other.runs, len(entries(folder))) == (1, 0, 1)
    assert not other.looks(minutes=1)


@pytest.mark.parametrize("more", [{"settings": inside.settings(rehearsal__every_hours="0")}, {"wanted": False}])
def test_an_operator_who_switched_it_off_and_a_development_server_miss_nothing(house, folder, more):
    service = Service(house, folder, **more)
    service.looks()
    service.now += timedelta(days=400)
    assert service.kept.alarms() == []


def test_a_rehearsal_leaves_what_was_in_force_before_and_after_it_unchanged(service, house, folder):
    from gateway.desk import evidence
    from gateway.desk.evidence import Period

    def start(event, settings):
        documents = in_force(settings)
        period = Period(event, "run", "start", service.now, service.now)
        return house.writer.submit(lambda tx: evidence.note_period(tx, period, documents, service.now)).result(60)

    start(b"1", inside.settings())
    tried = Service(house, folder, inside.settings(age__floor="13"))  # another configuration, tried by command
    tried.kept.rehearse()
    start(b"2", inside.settings())
    with contextlib.closing(schema.open_to_read(folder)) as db:
        last = json.loads(db.execute("SELECT body FROM entry ORDER BY seq DESC LIMIT 1").fetchone()[0])
    assert "changed" not in last


async def test_whoever_watches_the_service_sees_it(folder, monkeypatch):
    kept = []
    application = Doors.application
    monkeypatch.setattr(Doors, "application", lambda self, routes: kept.append(self) or application(self, routes))
    async with inside.application(folder) as app, inside.client(app) as client:
        assert not any("rehears" in text for text in (await client.get("/readyz?strict")).json()["alarms"])
        assert "gateway_rehearsal_last_timestamp_seconds 0.0" in (await client.get("/metrics")).text
        found = Rehearsal(b"1" * 16, THIRD, THIRD, FAILED)
        await asyncio.to_thread(rehearsing.enter_rehearsal, kept[0].house.writer, found, [], THIRD)
        monkeypatch.setattr(rehearsing, "STALE", 0)
        ready, numbers = await client.get("/readyz?strict"), (await client.get("/metrics")).text
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert "the last rehearsal found 2 that failed: gateway rehearse --show" in ready.json()["alarms"]
        assert "gateway_rehearsal_alarm 1.0" in numbers
        assert "gateway_rehearsal_passed 0.0" in numbers
        assert f"gateway_rehearsal_last_timestamp_seconds {THIRD.timestamp():.8e}".partition("e")[0] in numbers


@pytest.mark.slow
async def test_from_when_until_when_it_rang_is_in_the_days_evidence(folder):
    clock = [THIRD]
    async with inside.application(folder, clock=lambda: clock[0], dev=False):
        clock[0] += timedelta(hours=31)
        await asyncio.sleep(2.5)  # several looks of the evidence's own
    assert "rehearsal_alarm" in await asyncio.to_thread(spells, folder)


def test_an_alarm_is_logged_once(service):
    service.content = FAILED
    with capture_logs() as lines:
        service.looks()
        for _ in range(3):
            service.kept.alarms()
    told = [line["error"] for line in lines if line["event"] == "rehearsal"]
    assert told == ["the last rehearsal found 2 that failed: gateway rehearse --show"]


def test_the_process_gets_every_setting_as_it_is(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(
        EVERY_WAY_OPEN + "[recipients.teemo]\ncontract_until = 2027-01-31\nannounced_later = { ad_id = 2026-12-01 }\n"
        '[notice]\ngaps = [{ from = 2025-03-01, until = 2025-04-09, surface = "web" }]\n'
        '[witnesses]\na = { url = "https://witness.example.org", key = "w" }\n'
        '[places]\nboundaries = "/nowhere/ü.json"\n'
    )
    order = RehearsalOrder(inside.settings(file), dev=True, only="form")
    assert msgspec.json.decode(msgspec.json.encode(order), type=RehearsalOrder, strict=False) == order


@pytest.mark.slow
async def test_a_service_rehearses_by_itself_beside_its_answers(folder, monkeypatch):
    monkeypatch.setattr(rehearsing, "FIRST", 0.1)
    monkeypatch.setattr(services, "RehearsalOrder", lambda settings: RehearsalOrder(settings, only="text, STOP"))
    async with inside.application(folder, dev=False) as app, inside.client(app) as client:
        for _ in range(600):
            assert (await client.get("/livez")).status_code == 200
            if await asyncio.to_thread(entries, folder):
                break
            await asyncio.sleep(0.1)
        (entry,) = await asyncio.to_thread(entries, folder)
        assert entry["told"]["passed"]
        assert "gateway_rehearsal_passed 1.0" in (await client.get("/metrics")).text


def run(*arguments):
    return subprocess.run([typed.program(), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_officer_rehearses_by_command_and_reads_it_later(tmp_path, monkeypatch):
    folder = inside.install(tmp_path / "data")
    told = ["--data", str(folder)]
    config = tmp_path / "config.toml"
    config.write_text(ONE_RECIPIENT)
    monkeypatch.setenv("GATEWAY_CONFIG", str(config))
    made = run("rehearse", "--only", "app, ad id", *told)
    assert made.returncode == 0, made.stderr
    assert "rehearsal of" in made.stdout
    assert "passed" in made.stdout
    assert entries(folder) == []  # a part is no record
    made = json.loads(run("rehearse", "--json", *told).stdout)
    assert made["passed"]
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert db.execute("SELECT seq FROM evidence").fetchall() == [(made["seq"],)]
    shown = run("rehearse", "--show", *told)
    assert (shown.returncode, shown.stdout.count("rehearsal of")) == (0, 1)
    on = run("evidence", "--on", entries(folder)[0]["from"][:10], *told)
    assert "could not be allowed here: teemo sale (no_contract)" in on.stdout
    assert run("verify", *told).returncode == 0
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert db.execute("SELECT count(*) FROM detail").fetchone()[0] == 0  # nobody made up is in the true ledger


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--only", "carrier pigeon", "--unrecorded"], 2, "no way has 'carrier pigeon' in its name"),
        ([], 3, "Make it with: gateway migrate"),  # at once, not after a minute of work
        (["--show"], 3, "gateway migrate --data"),
        (["--live", "http://127.0.0.1:1"], 2, "--live asks with a key"),
    ],
)
@pytest.mark.slow
def test_a_command_that_cannot_be_followed_says_so(tmp_path, arguments, code, said):
    done = run("rehearse", *arguments, "--data", str(tmp_path / "nowhere"))
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


@pytest.mark.slow
def test_a_service_that_stops_gives_its_rehearsal_up_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    looks = iter([False, False, True, True])
    found = rehearsal_process.rehearse(RehearsalOrder(inside.settings()), lambda: next(looks, True))
    assert found.content["failed"][0][4].startswith("did not come to its end")
    assert list(tmp_path.iterdir()) == []
