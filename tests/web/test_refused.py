"""A ledger that must not be used: the service runs, everybody counts as opted out, and what a person asks for is
kept."""

import asyncio
import contextlib
import json
import shutil

import pytest
from support import inside
from support.people import email, gaid, named, phone

from gateway.app.composition import kept_beside, open_house
from gateway.desk.emergency import Intake
from gateway.keys import secret_files
from gateway.ledger import schema
from gateway.web.shell.edge import INTERNAL, METRICS, PUBLIC

pytestmark = pytest.mark.anyio
WAITED = 60.0


def entries(folder, kind="opt_out"):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM entry ORDER BY seq")]
    return [body for body in bodies if body["e"] == kind]


def older_copy(folder):
    """The folder of an hour ago is put back, the store of checkpoints is not."""
    shutil.copytree(folder, folder.with_name("an hour ago"))
    with open_house(folder, inside.settings()) as house:
        house.writer.submit(lambda tx: tx.append(b'{"e":"x"}')).result(60)
    folder.rename(folder.with_name("newer"))
    shutil.copytree(folder.with_name("an hour ago"), folder)


def lost_store(folder):
    folder.with_name("data.checkpoints").rename(folder.with_name("lost"))


def damaged_store(folder):
    [store] = folder.with_name("data.checkpoints").glob("*.checkpoint")
    store.write_bytes(bytes(store.stat().st_size))


def damaged(folder):
    shutil.copytree(folder, folder.with_name("newer"))
    with (folder / schema.FILE).open("r+b") as file:
        file.write(bytes(4096))


def newer_version(folder):
    with contextlib.closing(schema.connect_file(folder / schema.FILE, "rw")) as db:
        db.execute("PRAGMA user_version = 9999")


def gone(folder):
    (folder / schema.FILE).rename(folder / "away")


WAYS = {
    "an older copy was put back": (older_copy, "gateway restore --new-log --data"),
    "the store of checkpoints is lost": (lost_store, "gateway restore --new-log --data"),
    "the last checkpoint is damaged": (damaged_store, "gateway restore --new-log"),
    "the file is damaged": (damaged, "gateway restore BACKUP --data"),
    "the file is of a newer version": (newer_version, "pip install --upgrade gateway"),
    "the file is gone": (gone, ""),
}


@pytest.fixture
def lived_in(folder):
    with open_house(folder, inside.settings()) as house:
        house.writer.submit(lambda tx: tx.append(b'{"e":"x"}')).result(60)
    return folder


@contextlib.asynccontextmanager
async def serving(folder):
    async with inside.lifespan(app := built(folder)), inside.client(app, **inside.DEV) as calling:
        yield calling


def built(folder):
    by_port = inside.Addresses({8080: inside.EVERYWHERE})
    return inside.build(folder, inside.settings(), by_port, dev=True, tracker="http://127.0.0.1:1")


async def soon(asked, seconds=WAITED):
    for _ in range(int(seconds / 0.05)):
        if await asked():
            return True
        await asyncio.sleep(0.05)
    return False


async def is_ready(calling):
    return (await calling.get("/readyz")).status_code == 200


def out(person, **more):
    return {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out", **more}


def asked(person):
    return {"identifiers": [named("gaid", gaid(person))], "recipient": "advertisers", "place": "US-NY"}


async def test_the_control_a_sound_installation_is_ready_and_lets_an_ad_call_through(lived_in):
    async with serving(lived_in) as calling:
        assert await is_ready(calling)
        assert (await calling.post("/v1/check", json=asked(1))).json()["allowed"]


@pytest.mark.parametrize("way", WAYS)
async def test_it_starts_denies_everybody_says_why_and_keeps_what_a_person_asks_for(lived_in, way):
    breaks, cure = WAYS[way]
    breaks(lived_in)
    async with serving(lived_in) as calling:
        ready = await calling.get("/readyz?strict")
        assert (ready.status_code, ready.json()["status"]) == (503, "refused")
        assert cure in ready.json()["why"]
        assert not ready.json()["ledger"]["fresh"]
        checked = (await calling.post("/v1/check", json=asked(1))).json()
        assert (checked["allowed"], checked["partly"]) == (False, False)
        assert checked["reason"] in {"stale", "store_unavailable"}
        page = await calling.get("/demo")
        assert "sale=?0, sharing=?0, targeted_ads=?0, status=unknown" in page.text
        kept = await calling.post("/v1/choices", json=out(1, age=15, notice={"sha256": "00" * 32}))
        assert kept.status_code == 202, kept.text
        body = kept.json()
        assert body["accepted_at"]
        assert body["effective_at"] is None
        assert body["standing"]["sale"] == "opted_out"
        assert {item["pointer"] for item in body["ignored"]} == {"/age", "/notice"}
        assert (await calling.get("/ledger/checkpoint")).status_code == 503
        assert (await calling.get("/livez")).status_code == 200
        alarms = (await calling.get("/readyz?strict")).json()["alarms"]
        assert any(text.startswith("opt-outs wait to be entered") for text in alarms)
        assert all("gateway " in text for text in alarms), "no alarm is without what helps"
        assert "gateway_emergency_waiting 1.0" in (await calling.get("/metrics")).text


@pytest.mark.parametrize("tail", ["emergency", "unread", "refused"])
async def test_what_waits_behind_others_or_lies_aside_of_that_has_an_alarm_too(lived_in, monkeypatch, tail):
    monkeypatch.setattr(Intake, "enter_later", lambda _: True)
    secrets = await asyncio.to_thread(secret_files.load_secrets, lived_in)
    _, later = await asyncio.to_thread(kept_beside, lived_in, inside.settings(), secrets)
    async with serving(lived_in) as calling:
        later.path.with_suffix(f".{tail}").write_bytes(b"a line of somebody\n")
        alarms = (await calling.get("/readyz?strict")).json()["alarms"]
        said = "opt-outs wait to be entered" if tail == "emergency" else "kept lines lie aside"
        assert [text for text in alarms if text.startswith(said)]
        gauges = (await calling.get("/metrics")).text
        assert f"gateway_emergency_waiting {float(tail == 'emergency')}" in gauges
        assert f"gateway_emergency_unread {float(tail != 'emergency')}" in gauges


async def test_a_form_is_confirmed_as_received_and_never_as_honored(lived_in):
    lost_store(lived_in)
    async with serving(lived_in) as calling:
        answer = await calling.post("/privacy-choices", data={"action": "opt_out", "phone": phone(1)})
        assert answer.status_code == 202
        assert "It is kept; you need not send it again" in answer.text
        assert "Until it is entered, nothing about anybody is sold or shared" in answer.text
        assert "Honored" not in answer.text
        assert phone(1)[2:] not in answer.text
        assert "__Host-gateway=" in answer.headers["set-cookie"]
        merge(lived_in)
        assert await soon(lambda: is_ready(calling))
        assert [body["src"] for body in await asyncio.to_thread(entries, lived_in)] == ["form", "form"]
        event = answer.text.partition("Reference: <code>")[2].partition("<")[0]
        later = await calling.get(f"/privacy-choices/done/{event}", headers=inside.kept(answer))
        assert "Opt-Out Request Honored" in later.text


def merge(folder):
    """The lost store is found again, or mounted: whatever was written in its place meanwhile is seen no more."""
    store = folder.with_name("data.checkpoints")
    if store.exists():
        store.rename(folder.with_name("beneath the mount point"))
    folder.with_name("lost").rename(store)


@pytest.mark.parametrize("beneath", [True, False], ids=["an empty mount point", "nothing"])
async def test_a_no_that_was_kept_while_the_store_was_not_mounted_is_entered_when_it_is(lived_in, beneath):
    lost_store(lived_in)
    if beneath:
        lived_in.with_name("data.checkpoints").mkdir()
    async with serving(lived_in) as calling:
        kept = await calling.post("/v1/choices", json=out(1))
        assert kept.status_code == 202
        merge(lived_in)
        assert await soon(lambda: is_ready(calling))
        assert (await calling.post("/v1/check", json=asked(1))).json()["reason"] == "opted_out"
        assert (await calling.post("/v1/check", json=asked(2))).json()["allowed"]
        assert (await calling.get(f"/v1/receipts/{kept.json()['events'][0]['event']}")).status_code == 200
    assert [body["src"] for body in await asyncio.to_thread(entries, lived_in)] == ["api"]


async def test_while_the_store_is_not_mounted_and_the_data_folder_keeps_nothing_a_no_is_refused(lived_in):
    lost_store(lived_in)
    store = lived_in.with_name("data.checkpoints")
    store.mkdir()
    async with serving(lived_in) as calling:
        for path in await asyncio.to_thread(list, lived_in.glob("*.emergency")):
            path.unlink()
        assert (await calling.post("/v1/choices", json=out(1))).status_code == 503
        assert await asyncio.to_thread(list, store.iterdir()) == []


async def test_a_signal_that_says_no_is_kept_and_a_state_is_told_again(lived_in):
    lost_store(lived_in)
    async with serving(lived_in) as calling:
        body = {"identifiers": [named("gaid", gaid(1))], "signals": {"gpc": "1"}}
        kept = await calling.post("/v1/observe", json=body)
        assert (kept.status_code, kept.json()["effective_at"]) == (202, None)
        state = {"identifiers": [named("gaid", gaid(2))], "signals": {"lmt": 1}}
        assert (await calling.post("/v1/observe", json=state)).status_code == 503
        merge(lived_in)
        assert await soon(lambda: is_ready(calling))
        assert not (await calling.post("/v1/check", json=asked(1))).json()["allowed"]
    assert [body["src"] for body in await asyncio.to_thread(entries, lived_in)] == ["gpc"]


async def test_a_yes_is_never_kept_for_later(lived_in):
    lost_store(lived_in)
    async with serving(lived_in) as calling:
        proof = {"kind": "account", "assertion": "dev"}
        yes = {"identifiers": [named("gaid", gaid(1))], "choice": "opt_in", "purposes": ["sale"], "proof": proof}
        assert (await calling.post("/v1/choices", json=yes)).status_code in {422, 503}
    assert [path for path in lived_in.parent.rglob("*.emergency") if path.stat().st_size] == []


async def test_it_heals_by_itself_when_the_newer_folder_is_back_and_enters_each_request_once(lived_in):
    older_copy(lived_in)
    async with serving(lived_in) as calling:
        events = []
        for person in (1, 2, 1):
            answer = await calling.post("/v1/choices", json=out(person), headers={"Idempotency-Key": f"k{person}"})
            assert answer.status_code == 202
            events += [each["event"] for each in answer.json()["events"]]
        put_back_newer(lived_in)
        assert await soon(lambda: is_ready(calling)), (await calling.get("/readyz")).text
        for person in (1, 2):
            assert (await calling.post("/v1/check", json=asked(person))).json()["reason"] == "opted_out"
        assert (await calling.post("/v1/check", json=asked(3))).json()["allowed"]
        assert [(await calling.get(f"/v1/receipts/{each}")).status_code for each in events] == [200] * 3
        again = await calling.post("/v1/choices", json=out(1), headers={"Idempotency-Key": "k1"})
        assert again.status_code == 200
        assert (await calling.post("/v1/choices", json=out(4))).status_code == 201
    assert len(await asyncio.to_thread(entries, lived_in)) == 4  # each sending has the event that it was told


def put_back_newer(folder):
    for name in (schema.FILE, f"{schema.FILE}-wal", f"{schema.FILE}-shm"):
        (folder / name).unlink(missing_ok=True)
    for path in folder.with_name("newer").glob(f"{schema.FILE}*"):
        if not path.name.endswith((".open", ".writer")):
            path.rename(folder / path.name)


async def test_a_damaged_file_that_is_replaced_by_what_was_signed_is_used_again(lived_in):
    damaged(lived_in)
    async with serving(lived_in) as calling:
        assert not await is_ready(calling)
        put_back_newer(lived_in)
        assert await soon(lambda: is_ready(calling)), (await calling.get("/readyz")).text
        assert (await calling.post("/v1/choices", json=out(1))).status_code == 201


async def test_an_older_copy_in_its_place_is_not(lived_in):
    async with serving(lived_in) as calling:
        shutil.copytree(lived_in, lived_in.with_name("newer"), ignore=shutil.ignore_patterns(".*"))  # it is in use
        assert (await calling.post("/v1/choices", json=out(1))).status_code == 201
        put_back_newer(lived_in)

        async def denies():
            return not (await calling.post("/v1/check", json=asked(2))).json()["allowed"]

        assert await soon(denies)
        await asyncio.sleep(1)
        assert await denies()
        assert (await calling.post("/v1/choices", json=out(3))).status_code == 202
        assert "gateway restore --new-log" in (await calling.get("/readyz")).json()["why"]


async def test_the_public_learns_that_it_is_not_ready_and_neither_a_path_nor_the_logs_name(lived_in):
    lost_store(lived_in)
    for listener, tells in ((PUBLIC, False), (INTERNAL, True), (METRICS, True)):
        async with inside.application(lived_in, served=frozenset({listener})) as app, inside.client(app) as calling:
            for path in ("/readyz", "/readyz?strict"):
                ready = await calling.get(path)
                assert (ready.status_code, ready.json()["status"]) == (503, "refused")
                assert ("why" in ready.json()) is tells
                assert (str(lived_in.parent) in ready.text or "gateway restore" in ready.text) is tells
                assert ("alarms" in ready.json()) is (tells and "strict" in path)


async def test_where_the_emergency_file_cannot_be_written_either_nothing_is_confirmed(lived_in, no_emergency):
    lost_store(lived_in)
    async with serving(lived_in) as calling:
        assert (await calling.post("/v1/choices", json=out(1))).status_code == 503
        form = await calling.post("/privacy-choices", data={"action": "opt_out", "email": email(1)})
        assert form.status_code == 503
        assert "Nothing was saved" in form.text
