"""Rows for a recipient that takes files: they wait sealed, are checked again, and a file is good for a while."""

import asyncio
import contextlib
import hashlib
import json
import os
import sqlite3
import stat
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import inside
from support.handed import Beside
from support.people import gaid, named

from gateway.app.composition import open_house
from gateway.consent import files
from gateway.consent.files import Filing, Parts
from gateway.consent.share import Sharing
from gateway.desk import outbox
from gateway.desk.disclosures import CHUNK, HASH
from gateway.settings.load import SettingsRefused

pytestmark = pytest.mark.anyio
PATH, SEAL = "/v1/shares/teemo", "/v1/shares/teemo/jobs/night-1/seal"
NDJSON = {"Content-Type": "application/x-ndjson", "Gateway-Job": "night-1"}
HANDLEES: dict[str, str] = {}  # of rows by their ids, as the answers of this test told them


@pytest.fixture(autouse=True)
def nothing_told():
    HANDLEES.clear()


@pytest.fixture
def swept_often(monkeypatch):
    monkeypatch.setattr("gateway.consent.files.SWEEPING", 0.1)


class Clock:
    def __init__(self):
        self.ahead = timedelta(0)

    def __call__(self):
        return datetime.now(UTC) + self.ahead


def row(number: int, **members) -> bytes:
    data = {"ad_id": gaid(number % 5), "lat": 40.7128, "lon": -74.006, "note": "marker-of-a-person"}
    return json.dumps(
        {"id": f"r{number}", "identifiers": [named("gaid", gaid(number % 5))], "data": data, "place": "US-NY"} | members
    ).encode()


@contextlib.asynccontextmanager
async def gateway(tmp_path, clock=None, upload=(), *, mode="files", minutes=15, more=""):
    file = tmp_path / "config.toml"
    said = f'mode = "{mode}"\nupload = {json.dumps(list(upload))}\nvalid_minutes = {minutes}\n'
    file.write_text(f"{more}[recipients.teemo]\n{said}")
    clock = clock or Clock()
    async with (
        inside.application(tmp_path / "data", inside.settings(file), clock=clock) as app,
        inside.client(app, **inside.DEV) as client,
    ):
        for number in range(5):
            body = {"account": f"a{number}", "identifiers": [named("gaid", gaid(number))]}
            assert (await client.post("/v1/links", json=body)).status_code == 201
        yield client


@pytest.fixture
async def filing(tmp_path):
    async with gateway(tmp_path) as client:
        yield client


async def post(client, *rows: bytes, job="night-1") -> dict:
    answer = await client.post(PATH, content=b"\n".join(rows), headers=NDJSON | {"Gateway-Job": job})
    assert answer.status_code == 200, answer.text
    *told, last = map(json.loads, answer.text.splitlines())
    HANDLEES.update((line["id"], line["row"]["row"]) for line in told if "row" in line)
    return last["summary"]


async def sealed(client, path=SEAL) -> dict:
    answer = await client.post(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def opt_out(client, person: int) -> dict:
    answer = await client.post(
        "/v1/choices", json={"identifiers": [named("account", f"a{person}")], "choice": "opt_out"}
    )
    assert answer.status_code == 201
    return answer.json()


def folder(tmp_path, job="night-1"):
    return tmp_path / "data" / "spool" / "teemo" / job


def in_files(tmp_path, manifest: dict) -> list[dict]:
    """The rows in the parts, each with the id that its poster gave it, which is not in them."""
    found, ids = [], {handle: name for name, handle in HANDLEES.items()}
    for part in manifest["parts"]:
        content = (tmp_path / "data" / manifest["folder"] / part["name"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (part["sha256"], part["bytes"])
        lines = [json.loads(line) for line in content.splitlines()]
        assert len(lines) == part["rows"]
        found += lines
    assert len(found) == manifest["rows"]
    assert not any("id" in one for one in found)
    return [{"id": ids[one.pop("row")], **one} for one in found]


def outcomes(tmp_path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        return dict(db.execute("SELECT outcome, count(*) FROM disclosure GROUP BY outcome"))


async def test_a_row_waits_and_whoever_opts_out_meanwhile_is_not_in_the_file(filing, tmp_path):
    told = await post(filing, *map(row, range(10)))
    assert (told["spooled"], told["rows"], told["job"]) == (10, 10, "night-1")
    assert outcomes(tmp_path) == {}
    await opt_out(filing, 2)
    manifest = await sealed(filing)
    assert (manifest["outcome"], manifest["rows"], manifest["refused"]) == ("sealed", 8, {"opted_out": 2})
    got = in_files(tmp_path, manifest)
    assert sorted(one["id"] for one in got) == [f"r{n}" for n in range(10) if n not in {2, 7}]
    assert all(set(one) == {"id", "ad_id", "lat", "lon"} and one["lat"] == 40.7 for one in got)
    assert json.loads((folder(tmp_path) / "sealed" / "manifest.json").read_text())["parts"] == manifest["parts"]
    assert outcomes(tmp_path) == {"sent": 8}


async def test_what_waits_is_sealed_and_nobody_else_on_the_machine_reads_a_file(filing, tmp_path):
    await post(filing, row(1))
    kept = (folder(tmp_path) / "rows.sqlite3").read_bytes()
    assert gaid(1).encode() not in kept
    assert b"marker-of-a-person" not in kept
    await sealed(filing)
    for path in folder(tmp_path).rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.usefixtures("swept_often")
async def test_a_file_is_good_for_a_while_and_then_gone_and_the_job_is_sealed_again(tmp_path):
    clock = Clock()
    async with gateway(tmp_path, clock) as client:
        await post(client, *map(row, range(5)))
        first = await sealed(client)
        until = datetime.fromisoformat(first["valid_until"])
        assert timedelta(minutes=14) < until - clock() <= timedelta(minutes=15)
        assert await sealed(client) == first | {"refused": {}}  # the same one
        await opt_out(client, 3)
        assert await sealed(client) == first | {"refused": {}}  # it holds until then: effective_at says so
        clock.ahead = timedelta(minutes=16)
        await is_taken_away(tmp_path, first)
        again = await sealed(client)
        assert again["sealed_at"] > first["sealed_at"]
        assert {one["id"] for one in in_files(tmp_path, again)} == {"r0", "r1", "r2", "r4"}
        assert outcomes(tmp_path) == {"unknown": 5, "sent": 4}  # of the first file nobody knows


@pytest.mark.parametrize(
    ("set_back", "changed"),
    [(timedelta(hours=1), {}), (timedelta(0), {"minutes": 5}), (timedelta(0), {"mode": "return"})],
    ids=["the clock is set back", "files are good for less", "it takes no files"],
)
async def test_no_file_goes_after_the_moment_that_an_opt_out_of_now_is_effective(tmp_path, set_back, changed):
    """It was sealed as good for a quarter of an hour, which nobody who opts out now is told."""
    clock = Clock()
    async with gateway(tmp_path, clock) as client:
        await post(client, *map(row, range(5)))
        first = await sealed(client)
    clock.ahead -= set_back
    async with gateway(tmp_path, clock, **changed) as client:
        effective = datetime.fromisoformat((await opt_out(client, 3))["effective_at"])
        assert effective < datetime.fromisoformat(first["valid_until"])
        await is_taken_away(tmp_path, first)
    async with gateway(tmp_path, clock) as client:
        again = await sealed(client)
        assert {one["id"] for one in in_files(tmp_path, again)} == {"r0", "r1", "r2", "r4"}


async def is_taken_away(tmp_path, manifest):
    for _ in range(600):
        if not (folder(tmp_path) / "sealed" / manifest["parts"][0]["name"]).exists():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("a file that must not go is there still")


async def test_an_opt_out_is_effective_when_the_last_file_made_before_it_is_over(filing):
    told = await opt_out(filing, 1)
    accepted, effective = (datetime.fromisoformat(told[name]) for name in ("accepted_at", "effective_at"))
    assert timedelta(minutes=15) <= effective - accepted < timedelta(minutes=15, seconds=5)
    check = {"identifiers": [named("gaid", gaid(2))], "recipient": "advertisers", "place": "US-NY"}
    assert (await filing.post("/v1/check", json=check)).json()["valid_for_ms"] == 250


async def test_a_page_of_a_no_that_was_entered_late_waits_for_files_that_were_made_until_then(tmp_path):
    """As by another machine, while this one kept it beside. A replica hands over since what it announced long before."""
    clock, late = Clock(), timedelta(minutes=14)
    async with gateway(tmp_path, clock) as client:
        await post(client, *map(row, range(5)))
        await sealed(client)
        beside = await asyncio.to_thread(Beside, tmp_path / "data", client)
        await beside.look()
        taken = await beside.hand_over(beside.announced(named("gaid", gaid(6)), at=clock() - timedelta(hours=3)))
        assert taken["unread"] == 0
        clock.ahead -= late
        answer = await client.post("/privacy-choices", data={"action": "opt_out"})
        for passed, title in ((15.1, "Your request was received"), (30.1, "Opt-Out Request Honored")):
            clock.ahead = timedelta(minutes=passed) - late
            shown = await client.get(answer.headers["location"], headers=inside.kept(answer))
            assert f"<h1>{title}</h1>" in shown.text


async def test_the_same_row_stands_in_a_file_once_and_one_that_left_in_none(filing, tmp_path):
    await post(filing, row(1), row(2))
    await post(filing, row(1), row(3))  # posted again after a lost answer
    manifest = await sealed(filing)
    assert sorted(one["id"] for one in in_files(tmp_path, manifest)) == ["r1", "r2", "r3"]
    assert manifest["refused"] == {"duplicate": 1}
    await post(filing, row(2), row(4), job="night-2")
    other = await sealed(filing, SEAL.replace("night-1", "night-2"))
    assert [one["id"] for one in in_files(tmp_path, other)] == ["r4"]


async def test_a_dry_run_of_a_seal_counts_who_would_go_and_makes_no_file(filing, tmp_path):
    await post(filing, *map(row, range(10)))
    await post(filing, row(3))
    await opt_out(filing, 2)
    dry = await sealed(filing, f"{SEAL}?dry_run=1")
    assert (dry["outcome"], dry["rows"], dry["refused"]) == ("sealed", 8, {"opted_out": 2, "duplicate": 1})
    assert (dry["dry_run"], dry["folder"], dry["parts"], dry["valid_until"]) == (True, None, [], None)
    assert outcomes(tmp_path) == {}
    assert not (folder(tmp_path) / "sealed").exists()
    real = await sealed(filing, f"{SEAL}?dry_run=0")
    assert "dry_run" not in real
    assert {name: real[name] for name in ("rows", "refused")} == {name: dry[name] for name in ("rows", "refused")}
    text = (await filing.get("/metrics")).text
    assert 'gateway_share_rows_total{mode="dry_run",outcome="sealed",recipient="teemo"} 8.0' in text


@pytest.mark.parametrize("query", ["dry_run=yes", "dryrun=1", "dry_run=1&x=1"])
async def test_a_misspelt_dry_run_seals_nothing(filing, tmp_path, query):
    await post(filing, row(1))
    assert (await filing.post(f"{SEAL}?{query}")).status_code == 400
    assert outcomes(tmp_path) == {}
    assert (await filing.post(f"{SEAL.replace('night-1', 'night-2')}?dry_run=1")).status_code == 404


async def test_what_waited_before_shadow_mode_is_in_no_file_during_it_and_is_counted(tmp_path):
    """Nor are files handed over that were made before."""
    async with gateway(tmp_path) as client:
        await post(client, *map(row, range(5)))
        await post(client, row(7), job="night-2")
        await opt_out(client, 2)
        await sealed(client, SEAL.replace("night-1", "night-2"))
    taken, tomorrow = tmp_path / "taken", datetime.now(UTC).date() + timedelta(days=1)
    shadow = f"site.enforce = true\nshadow.until = {tomorrow}\n"
    async with gateway(tmp_path, upload=("touch", str(taken)), more=shadow) as client:
        held = await sealed(client)
        assert (held["outcome"], held["rows"], held["refused"]) == ("shadow", 4, {"opted_out": 1})
        assert (held["dry_run"], held["folder"], held["parts"]) == (True, None, [])
        other = await sealed(client, SEAL.replace("night-1", "night-2"))
        assert (other["outcome"], other["rows"]) == ("shadow", 0), "whose opt-out came behind its file"
        text = (await client.get("/metrics")).text
        line = 'gateway_shadow_answers_total{door="share",reason="opted_out",recipient="teemo",verdict="denied"}'
        assert f"{line} 2.0" in text
    assert not taken.exists()
    assert not (folder(tmp_path) / "sealed").exists()
    async with gateway(tmp_path) as client:
        assert (await sealed(client))["rows"] == 4


async def test_rows_for_a_job_that_is_sealed_want_another_name(filing):
    await post(filing, row(1))
    await sealed(filing)
    answer = await filing.post(PATH, content=row(2), headers=NDJSON)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:consent-gateway:problem:job_over")


async def test_rows_want_a_job_and_a_seal_wants_rows(filing, keyed):
    answer = await filing.post(PATH, content=row(2), headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 400
    assert (await filing.post(SEAL)).status_code == 404
    assert (await filing.post(SEAL.replace("night-1", "..%2f..%2fx"))).status_code in {400, 404}
    assert (await filing.post(SEAL.replace("teemo", "matching"))).status_code == 404
    assert (await filing.post(SEAL, headers={"Authorization": ""})).status_code == 401


async def test_an_empty_file_is_a_file(filing, tmp_path):
    await post(filing, row(1))
    await opt_out(filing, 1)
    manifest = await sealed(filing)
    assert (manifest["rows"], manifest["parts"], manifest["refused"]) == (0, [], {"opted_out": 1})


async def test_a_row_on_many_lines_is_one_row(filing, tmp_path):
    body = json.dumps(json.loads(row(1)), indent=2).encode()
    answer = await filing.post(
        PATH, content=body, headers={"Content-Type": "application/json", "Gateway-Job": "night-1"}
    )
    line = json.loads(answer.text.splitlines()[0])
    assert line["outcome"] == "spooled"
    assert (await sealed(filing))["rows"] == 1


COPIES = """
import pathlib, shutil, sys
taken = pathlib.Path(sys.argv[1])
if (taken / "refuses").exists() and sys.argv[2].endswith("manifest.json"):
    sys.exit(1)
shutil.copy(sys.argv[2], taken)
with (taken / "order").open("a") as order:
    order.write(pathlib.Path(sys.argv[2]).name + "\\n")
"""


@pytest.fixture
def drop(tmp_path):
    """Where the operator's command brings files: (the folder, the command)."""
    (tmp_path / "drop").mkdir()
    (tmp_path / "copies.py").write_text(COPIES)
    return tmp_path / "drop", [sys.executable, str(tmp_path / "copies.py"), str(tmp_path / "drop")]


async def test_the_operators_command_gets_the_parts_and_the_manifest_last_and_nothing_is_left_here(tmp_path, drop):
    taken, command = drop
    async with gateway(tmp_path, upload=command) as client:
        await post(client, *map(row, range(5)))
        manifest = await sealed(client)
        assert (manifest["outcome"], manifest["folder"]) == ("sent", None)
        assert (taken / "order").read_text().split() == ["part-00001.ndjson", "manifest.json"]
        assert len((taken / "part-00001.ndjson").read_text().splitlines()) == 5
        assert outcomes(tmp_path) == {"sent": 5}
        assert not list(folder(tmp_path).rglob("part-*"))
        assert not (folder(tmp_path) / "rows.sqlite3").exists()
        assert (await sealed(client))["outcome"] == "sent"  # asked again: done once
        assert len((taken / "order").read_text().split()) == 2
        assert (await post(client, row(1), job="night-2"))["spooled"] == 1
        assert (await sealed(client, SEAL.replace("night-1", "night-2")))["refused"] == {"duplicate": 1}


async def test_what_the_command_did_not_take_is_unknown_and_tried_again(tmp_path, drop):
    taken, command = drop
    (taken / "refuses").touch()
    async with gateway(tmp_path, upload=command) as client:
        await post(client, *map(row, range(5)))
        first = await sealed(client)
        assert (first["outcome"], outcomes(tmp_path)) == ("unknown", {"unknown": 5})
        (taken / "refuses").unlink()
        again = await sealed(client)
        assert (again["outcome"], again["sealed_at"]) == ("sent", first["sealed_at"])
        assert outcomes(tmp_path) == {"sent": 5}


@pytest.fixture
def told(monkeypatch):
    """Messages to recipients, as they are queued: what is asked, and the ids."""
    found, honest = [], outbox.queue

    def queue(tx, recipient, content, *rest, **more):
        if recipient == "teemo":
            found.append((content["type"], [each["value"] for each in content["identifiers"]]))
        return honest(tx, recipient, content, *rest, **more)

    monkeypatch.setattr(outbox, "queue", queue)
    return found


async def erase(client, person: int, mode: str) -> None:
    body = {"identifiers": [named("gaid", gaid(person)), named("account", f"a{person}")], "mode": mode}
    answer = await client.post("/v1/erasures", json=body)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("mode", "goes"), [("child_found", 4), ("erase_details", 5)])
async def test_a_file_that_could_not_be_sent_goes_no_more_with_whoever_was_erased_since(
    tmp_path, drop, told, mode, goes
):
    taken, command = drop
    (taken / "refuses").touch()
    async with gateway(tmp_path, upload=command) as client:
        await post(client, *map(row, range(5)))
        first = await sealed(client)
        await erase(client, 2, mode)
        assert told == [("delete", [gaid(2)])]
        (taken / "refuses").unlink()
        again = await sealed(client)
        assert (again["outcome"], again["rows"]) == ("sent", goes)
        assert again["sealed_at"] >= first["sealed_at"]
        arrived = [json.loads(line)["ad_id"] for line in (taken / "part-00001.ndjson").read_text().splitlines()]
        assert (gaid(2) in arrived) == (goes == 5)
        assert outcomes(tmp_path) == {"sent": goes, "unknown": 4}  # of the first file nobody knows what arrived


async def test_whoever_is_erased_while_a_file_is_on_its_way_is_told_of_once_more_behind_it(
    tmp_path, drop, told, monkeypatch
):
    honest = files.upload
    async with gateway(tmp_path, upload=drop[1]) as client:

        async def upload(command, path):
            if path.name == "part-00001.ndjson":
                await erase(client, 2, "child_found")
                assert told == [("delete", [gaid(2)])]
            return await honest(command, path)

        monkeypatch.setattr(files, "upload", upload)
        await post(client, *map(row, range(5)))
        assert (await sealed(client))["outcome"] == "sent"
    assert [word for word, _ in told] == ["delete", "delete"]
    assert {*told[-1][1]} == {gaid(2)}
    assert outcomes(tmp_path) == {"sent": 4}


@pytest.mark.usefixtures("swept_often")
async def test_an_upload_that_takes_longer_than_its_file_is_good_for_has_whoever_was_erased_told_of_behind_it_too(
    tmp_path, drop, told, monkeypatch
):
    honest, clock = files.upload, Clock()
    async with gateway(tmp_path, clock, upload=drop[1]) as client:

        async def upload(command, path):
            arrived = await honest(command, path)
            await erase(client, 2, "child_found")
            clock.ahead = timedelta(hours=1)
            await asyncio.sleep(0.5)
            return arrived

        monkeypatch.setattr(files, "upload", upload)
        await post(client, *map(row, range(5)))
        assert (await sealed(client))["outcome"] == "unknown"
        await swept(folder(tmp_path) / "sealed" / "part-00001.ndjson")
    assert [word for word, _ in told] == ["delete", "delete"]
    assert {*told[-1][1]} == {gaid(2)}


async def swept(path):
    async with asyncio.timeout(30):
        while path.exists():
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("swept_often")
@pytest.mark.parametrize("is_discarded", [True, False], ids=["while it was discarded", "behind its arrival"])
async def test_parts_that_a_process_left_that_was_killed_do_not_stay_in_clear(filing, tmp_path, is_discarded):
    await post(filing, row(1))
    await sealed(filing)
    parts = folder(tmp_path) / "sealed"
    (parts / files.MANIFEST).unlink() if is_discarded else (parts / files.UPLOADED).touch()
    await swept(parts / "part-00001.ndjson")


async def test_whoever_is_erased_while_a_file_is_made_stands_in_none(tmp_path, drop, monkeypatch):
    publish, erased = Filing._publish, []
    async with gateway(tmp_path, upload=drop[1]) as client:
        loop = asyncio.get_running_loop()

        def publishes(*given):
            if not erased:
                erased.append(2)
                asyncio.run_coroutine_threadsafe(erase(client, 2, "child_found"), loop).result(30)
            return publish(*given)

        monkeypatch.setattr(Filing, "_publish", staticmethod(publishes))
        await post(client, *map(row, range(5)))
        manifest = await sealed(client)
        assert (manifest["outcome"], manifest["rows"]) == ("sent", 4)
    assert gaid(2) not in (drop[0] / "part-00001.ndjson").read_text()


async def test_a_file_that_nobody_could_look_at_does_not_stay_in_clear(tmp_path, drop, monkeypatch):
    publish, people = Filing._publish, iter(range(5))
    async with gateway(tmp_path, upload=drop[1]) as client:
        loop = asyncio.get_running_loop()

        def publishes(*given):
            asyncio.run_coroutine_threadsafe(erase(client, next(people), "child_found"), loop).result(30)
            return publish(*given)

        monkeypatch.setattr(Filing, "_publish", staticmethod(publishes))
        await post(client, *map(row, range(5)))
        assert (await client.post(SEAL)).status_code == 503
        assert next(people) == files.MADE, "the control: each time somebody was erased"
        assert not (folder(tmp_path) / "sealed").exists()
        monkeypatch.setattr(Filing, "_publish", staticmethod(publish))
        assert (await sealed(client))["rows"] == 5 - files.MADE


async def test_what_a_sealing_tries_is_on_the_disk_before_an_entry_intends_it(filing, tmp_path, monkeypatch):
    synced, tried, take, fsync = dict[str, int](), folder(tmp_path) / "sealing" / ".tried", Sharing.take, os.fsync
    seen = list[tuple[int, int, bool]]()

    def syncs(descriptor):
        fsync(descriptor)
        synced[str(Path(f"/proc/self/fd/{descriptor}").readlink())] = os.fstat(descriptor).st_size

    async def takes(self, recipient, rows, since):
        found = await asyncio.to_thread(tried.stat)
        seen.append((synced.get(str(tried), 0), found.st_size, str(tried.parent) in synced))
        return await take(self, recipient, rows, since)

    monkeypatch.setattr(os, "fsync", syncs)
    monkeypatch.setattr(Sharing, "take", takes)
    await post(filing, *map(row, range(CHUNK + 5)))
    await sealed(filing)
    first = files.SINCE.size + CHUNK * HASH
    assert seen == [(first, first, True), (first + 5 * HASH, first + 5 * HASH, True)]


async def test_a_command_that_is_not_there_is_no_upload(tmp_path):
    async with gateway(tmp_path, upload=["/nowhere/upload"]) as client:
        await post(client, row(1))
        assert (await sealed(client))["outcome"] == "unknown"


async def test_an_act_of_a_person_is_not_put_off_into_a_file(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(
        '[recipients.mine]\nrole = "consumer_directed"\npurposes = ["service"]\ndata = ["contact"]\nmode = "files"\n'
    )
    with (
        pytest.raises(SettingsRefused, match=r"\[recipients\.mine\] mode: "),
        open_house(tmp_path, inside.settings(file)),
    ):
        pass


@pytest.mark.usefixtures("swept_often")
async def test_a_job_that_nobody_seals_is_forgotten_after_a_week(tmp_path):
    clock = Clock()
    async with gateway(tmp_path, clock) as client:
        await post(client, row(1))
        clock.ahead = timedelta(days=8)
        for _ in range(600):
            if not folder(tmp_path).exists():
                return
            await asyncio.sleep(0.1)
    raise AssertionError("it waits still")


async def test_who_is_cut_off_while_files_are_sealed_takes_none_from_under_the_thread_that_writes_it(
    filing, tmp_path, monkeypatch
):
    """The next file that the process opens would have the number of the one that was closed, and get its rows."""
    await post(filing, row(1))
    stands, says, wrote, writes = threading.Event(), threading.Event(), [], Parts.write

    def slow(parts, rows, marks):
        writes(parts, rows, marks)
        stands.set()
        says.wait(30)
        wrote.append(os.fstat(parts._open).st_ino == (parts.folder / "part-00001.ndjson").stat().st_ino)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "write", slow)
        sealing = asyncio.ensure_future(filing.post(SEAL))
        assert await asyncio.to_thread(stands.wait, 30)
        sealing.cancel()
        await asyncio.sleep(0.1)
        assert not sealing.done()
        says.set()
        assert (await sealing).status_code == 503, "as a stop cuts it off"
    assert wrote == [True]
    assert (await sealed(filing))["rows"] == 1


async def test_a_job_is_sealed_however_many_rows_were_posted_at_once(filing, tmp_path):
    assert (await post(filing, row(1000), *map(row, range(600))))["spooled"] == 601
    manifest = await sealed(filing)
    assert (manifest["rows"], manifest["refused"]) == (601, {})
    assert len(in_files(tmp_path, manifest)) == 601
    assert outcomes(tmp_path) == {"sent": 601}


@pytest.fixture
def breaks_down(filing, monkeypatch):
    """A sealing whose second part of the rows cannot be written."""

    async def breaks_down(how):
        honest, calls = Parts.write, []

        def fails(parts, rows, marks):
            calls.append(rows)
            if len(calls) == 2:
                raise how
            honest(parts, rows, marks)

        with monkeypatch.context() as patch, contextlib.suppress(type(how)):
            patch.setattr(Parts, "write", fails)
            assert (await filing.post(SEAL)).status_code >= 500
        assert len(calls) == 2

    return breaks_down


@pytest.mark.parametrize("how", [OSError(28, "No space left on device"), ValueError("nobody foresaw it")])
async def test_of_a_sealing_that_broke_down_nothing_left_and_nothing_lies_in_clear(filing, tmp_path, breaks_down, how):
    await post(filing, *map(row, range(400)))
    await breaks_down(how)
    assert outcomes(tmp_path) == {"not_sent": 400}
    assert [path.name for path in folder(tmp_path).iterdir()] == ["rows.sqlite3"]
    assert (await sealed(filing))["rows"] == 400
    assert outcomes(tmp_path) == {"not_sent": 400, "sent": 400}


@pytest.mark.usefixtures("swept_often")
async def test_what_a_process_left_that_was_killed_over_a_sealing_is_taken_up_by_the_next(
    filing, tmp_path, breaks_down, monkeypatch
):
    await post(filing, *map(row, range(400)))
    with monkeypatch.context() as patch:
        patch.setattr(Filing, "_give_up", lambda *_: None)
        await breaks_down(OSError(5, "Input/output error"))
        assert (folder(tmp_path) / "sealing" / "part-00001.ndjson").exists()
        assert outcomes(tmp_path) == {"intended": 400}
    for _ in range(300):
        if not (folder(tmp_path) / "sealing").exists():
            break
        await asyncio.sleep(0.1)
    assert outcomes(tmp_path) == {"not_sent": 400}
    assert (await sealed(filing))["rows"] == 400


@pytest.mark.usefixtures("swept_often")
async def test_what_is_being_sealed_is_swept_by_nobody(filing, tmp_path, monkeypatch):
    stands, says, writes = threading.Event(), threading.Event(), Parts.write

    def slow(parts, rows, marks):
        writes(parts, rows, marks)
        stands.set()
        says.wait(30)

    await post(filing, row(1))
    monkeypatch.setattr(Parts, "write", slow)
    sealing = asyncio.ensure_future(sealed(filing))
    assert await asyncio.to_thread(stands.wait, 30)
    await asyncio.sleep(0.5)
    assert (folder(tmp_path) / "sealing" / "part-00001.ndjson").exists()
    says.set()
    assert (await sealing)["rows"] == 1


@pytest.mark.parametrize("ends", ["the loop", "the request"])
def test_what_a_job_does_on_the_disk_comes_to_its_end_before_whoever_waits_goes_on(ends):
    done, left = threading.Event(), []

    def work():
        time.sleep(0.3)
        done.set()

    async def waits():
        try:
            await files._done(work)
        finally:
            left.append(done.is_set())

    async def main():
        request = asyncio.create_task(waits())
        await asyncio.sleep(0.1)
        if ends == "the request":
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request

    asyncio.run(main())
    assert left == [True]
