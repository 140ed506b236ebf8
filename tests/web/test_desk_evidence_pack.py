"""The evidence pack of a person: a stranger verifies it with a script, openssl and what is in it, and by nothing else."""

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import inside
from support.at_the_desk import FORM, OURS, PERSON, asks, carried, comes_in, desk, form_of, lines
from support.people import GAID, email, named, phone

from gateway.desk import history
from gateway.desk.office.officers import DeskRole
from gateway.ledger.store import ledger_snapshot

pytestmark = pytest.mark.anyio
VERIFIER = Path(__file__).parent.parent / "support" / "verify_receipt.py"


@pytest.fixture
async def known(folder):
    """Somebody with a phone number and an ad id who said no by letter and got a share before; and somebody else."""
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as client:
        link = {"identifiers": [named("phone", phone(1)), named("gaid", GAID)], "account": "a1"}
        assert (await client.post("/v1/links", json=link)).status_code == 201
        row = {"id": "r1", "identifiers": [named("gaid", GAID)], "data": {"ad_id": GAID}, "place": "US-CA"}
        assert (await client.post("/v1/shares/teemo", json=row)).status_code == 200
        for who in (named("phone", phone(1)), named("email", email(7))):
            no = {"choice": "opt_out", "identifiers": [who], "place": "US-CA", "source": "letter"}
            assert (await client.post("/v1/choices", json=no)).status_code == 201
    return folder


async def packed(folder, client, cookie, identifiers, as_of="", **fields):
    """What the desk answers to whoever asks for the pack of somebody whom they looked up, as of a day."""
    found = await asks(client, cookie, identifiers=identifiers, action="look", as_of=as_of)
    said = {"form": form_of(found), "action": "pack", "person": carried(found), "sure": "yes", **fields}
    return await client.post(PERSON, headers={**cookie, **OURS, **FORM}, data=said)


def unpacked(answer) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(answer.content)) as pack:
        return {name: pack.read(name) for name in pack.namelist()}


def stranger(files, folder, seq, script):
    """What the stranger's verifier says of one receipt, run where nothing but the pack is."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    key = files["log.vkey"].decode().splitlines()[0]
    command = [sys.executable, "-I", str(script), f"receipts/{seq}.tlog-proof", key, f"openings/{seq}.json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


async def test_a_stranger_verifies_each_opened_receipt_of_the_pack_offline(known, tmp_path):
    cookie = await comes_in(known)
    async with desk(known) as client:
        answer = await packed(known, client, cookie, phone(1))
        noted = await lines(known)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "no-store"
    assert [line["what"] for line in noted if "whom" in line][-1] == "person: pack"
    files = unpacked(answer)
    opened = [name.partition("/")[2].removesuffix(".json") for name in files if name.startswith("openings/")]
    assert len(opened) == 1
    for script in (VERIFIER, tmp_path / "verify_receipt.py"):  # the stranger's own, and the one in the pack
        done = await asyncio.to_thread(stranger, files, tmp_path, opened[0], script)
        assert done.returncode == 0, done.stderr
        assert '"opt_out"' in done.stdout
        assert f"about phone {phone(1)}" in done.stdout
    for name, content in files.items():
        if name != "SHA256SUMS":
            assert f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode() in files["SHA256SUMS"]


@pytest.fixture
async def grown(folder):
    """Somebody who said no to sale three days ago, and to marketing today; and a day between."""
    now = datetime.now(UTC)
    for back, about in ((3, {"purposes": ["sale"]}), (0, {"purposes": ["marketing_email"]})):
        at = now - timedelta(days=back)
        async with (
            inside.application(folder, clock=lambda at=at: at) as app,
            inside.client(app, **inside.DEV) as client,
        ):
            no = {"choice": "opt_out", "identifiers": [named("phone", phone(1))], "place": "US-CA", "source": "letter"}
            assert (await client.post("/v1/choices", json=no | about)).status_code == 201
    return folder, (now - timedelta(days=2)).date().isoformat()


async def test_the_pack_of_a_day_has_what_stood_then_and_a_stranger_verifies_it_offline(grown, tmp_path):
    folder, day = grown
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        answer = await packed(folder, client, cookie, phone(1), as_of=day)
        now = unpacked(await packed(folder, client, cookie, phone(1)))
        noted = [line for line in await lines(folder) if line["what"] == "person: pack"]
    assert [line.get("as_of") for line in noted] == [day, None]
    assert answer.headers["content-disposition"] == f'attachment; filename="evidence-{day}.zip"'
    then, kinds = unpacked(answer), ("receipts/", "openings/")
    counted = [[sum(name.startswith(kind) for name in files) for kind in kinds] for files in (then, now)]
    assert counted == [[1, 1], [2, 2]]
    report, later = json.loads(then["report.json"]), json.loads(now["report.json"])
    assert report["as_of"].startswith(day)
    assert [each["purposes"]["marketing_email"] for each in report["standing"]] == ["none"]
    assert [each["purposes"]["marketing_email"] for each in later["standing"]] == ["opted_out"]
    assert [each["purposes"]["sale"] for each in report["standing"]] == ["opted_out"]
    assert f"as it stood at the end of {day}".encode() in then["README.txt"]
    (seq,) = [name.partition("/")[2].removesuffix(".json") for name in then if name.startswith("openings/")]
    done = await asyncio.to_thread(stranger, then, tmp_path, seq, VERIFIER)
    assert (done.returncode, f"about phone {phone(1)}" in done.stdout) == (0, True), done.stderr
    sums = await asyncio.to_thread(_summed, tmp_path)
    assert (sums.returncode, "FAILED" in sums.stdout) == (0, False), sums.stdout


async def test_the_pack_of_a_day_tells_whoever_has_a_number_now_nothing_that_stood_of_who_had_it_then(folder):
    """Of the day of the release on it is theirs."""
    now, number = datetime.now(UTC), named("phone", phone(1))
    no = {"choice": "opt_out", "identifiers": [number], "place": "US-CA", "source": "letter"}
    sale, marketing = {"purposes": ["sale"]}, {"purposes": ["marketing_email"]}
    gone = {"event": "number_released", "identifiers": [number]}
    for back, path, said in ((5, "choices", no | sale), (3, "links", gone), (1, "choices", no | marketing)):
        at = now - timedelta(days=back)
        async with (
            inside.application(folder, clock=lambda at=at: at) as app,
            inside.client(app, **inside.DEV) as client,
        ):
            assert (await client.post(f"/v1/{path}", json=said)).is_success
    cookie, told = await comes_in(folder), []
    async with desk(folder) as client:
        for back in (4, 2, 1):
            day = (now - timedelta(days=back)).date().isoformat()
            files = unpacked(await packed(folder, client, cookie, phone(1), as_of=day))
            report = json.loads(files["report.json"])
            states = report["standing"][0]["purposes"]
            told.append((states["sale"], states["marketing_email"], len(report["entries"])))
    assert told == [("unknown", "unknown", 0), ("opted_out", "none", 0), ("opted_out", "opted_out", 1)]


def _summed(folder):
    command = ["sha256sum", "-c", "SHA256SUMS"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("hurt", ["receipt", "opening", "key"])
async def test_whoever_changes_the_pack_is_found_out_by_the_stranger(known, tmp_path, hurt):
    cookie = await comes_in(known)
    async with desk(known) as client:
        files = unpacked(await packed(known, client, cookie, phone(1)))
    (seq,) = [name.partition("/")[2].removesuffix(".json") for name in files if name.startswith("openings/")]
    if hurt == "receipt":
        head, _, rest = files[f"receipts/{seq}.tlog-proof"].partition(b"extra ")
        leaf, _, rest = rest.partition(b"\n")
        other = base64.b64encode(base64.b64decode(leaf).replace(b"opt_out", b"opt_in_"))
        files[f"receipts/{seq}.tlog-proof"] = head + b"extra " + other + b"\n" + rest
    elif hurt == "opening":
        files[f"openings/{seq}.json"] = files[f"openings/{seq}.json"].replace(phone(1).encode(), phone(2).encode())
    else:
        name, key_id, key = files["log.vkey"].decode().splitlines()[0].split("+", 2)
        *most, last = base64.b64decode(key)
        other = bytes([*most, last ^ 1])
        files["log.vkey"] = f"{name}+{key_id}+{base64.b64encode(other).decode()}\n".encode()
    done = await asyncio.to_thread(stranger, files, tmp_path, seq, VERIFIER)
    assert done.returncode != 0
    assert "about phone" not in done.stdout


async def test_the_pack_has_the_texts_and_disclosures_of_this_person_and_nothing_of_another(known):
    cookie = await comes_in(known)
    async with desk(known) as client:
        files = unpacked(await packed(known, client, cookie, f"{phone(1)}\naccount = a1\ngaid = {GAID}"))
    report = json.loads(files["report.json"])
    assert [each["recipient"] for each in report["disclosures"]] == ["teemo"]
    assert {entry["notice"] for entry in report["entries"]} - {None} <= {text["sha256"] for text in report["texts"]}
    for name, content in files.items():
        assert email(7).encode() not in content, name
        if name.startswith("texts/"):
            assert hashlib.sha256(content).hexdigest() == name.partition("/")[2]
    assert len(json.loads(files["proofs.json"])["proofs"]) == len(report["entries"])
    assert b"sha256sum -c SHA256SUMS" in files["README.txt"]


async def test_whoever_only_reads_or_has_not_looked_gets_no_pack(known):
    reader, officer = await comes_in(known, "ron", DeskRole.READER), await comes_in(known, "ada")
    async with desk(known) as client:
        for cookie, fields in ((officer, {"sure": ""}), (officer, {"person": "x"})):
            answer = await packed(known, client, cookie, phone(1), **fields)
            assert answer.status_code in {400, 403, 422}
        found = await asks(client, reader, identifiers=phone(1), action="look")
        assert "Evidence pack" not in found.text
        answer = await asks(client, reader, identifiers=phone(1), action="pack", sure="yes")
        assert answer.status_code == 403


async def test_of_whoever_was_forgotten_the_pack_has_nothing_that_opens(known):
    cookie = await comes_in(known)
    async with desk(known) as client:
        found = await asks(client, cookie, identifiers=phone(1), action="look")
        said = {"form": form_of(found), "person": carried(found), "sure": "yes", "action": "unlink"}
        assert (await client.post(PERSON, headers={**cookie, **OURS, **FORM}, data=said)).status_code == 200
        files = unpacked(await packed(known, client, cookie, phone(1)))
    assert not any(name.startswith("openings/") for name in files)
    assert not any(phone(1).encode() in content for content in files.values())


async def test_a_pack_of_many_entries_asks_the_ledger_no_more_often_for_its_openings(known, monkeypatch):
    """Anybody may make entries about somebody: what each reads anew grows with the square of them."""
    statements = []

    @contextlib.contextmanager
    def counted(store):
        with ledger_snapshot(store) as db:
            db.set_trace_callback(statements.append)
            yield db

    monkeypatch.setattr(history, "ledger_snapshot", counted)
    counts, opened = [], []
    for more in (0, 12):
        async with inside.application(known) as app, inside.client(app, **inside.DEV) as client:
            for _ in range(more):
                no = {"choice": "opt_out", "identifiers": [named("phone", phone(1))], "place": "US-CA"}
                assert (await client.post("/v1/choices", json=no | {"source": "letter"})).status_code == 201
        cookie = await comes_in(known, f"officer-{more}")
        async with desk(known) as client:
            statements.clear()
            files = unpacked(await packed(known, client, cookie, phone(1)))
        counts.append(len(statements))
        opened.append(sum(name.startswith("openings/") for name in files))
    assert opened == [1, 13]
    assert counts[0] == counts[1] > 0
