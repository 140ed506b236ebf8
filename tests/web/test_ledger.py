import asyncio

import pytest
from support import inside
from support.log import verifiers
from support.people import email, named
from support.trees import counts, unbundle

from gateway.keys import api_keys
from gateway.ledger.audit.log_reader import LogReader
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.proof import merkle, note, receipt

pytestmark = pytest.mark.anyio
ENTRIES = 300  # more than one tile of 256


@pytest.fixture
async def long_log(keyed):
    """A log that is longer than one tile."""
    rows = [named("email", email(n)) for n in range(100)]
    while await size(keyed) < ENTRIES:
        answer = await keyed.post("/v1/choices", json={"identifiers": rows, "choice": "opt_out"})
        assert answer.status_code == 201
    return keyed


async def signed(client):
    return (await client.get("/ledger/checkpoint")).text


async def size(client):
    return note.parse_checkpoint(note.text_of(await signed(client))).size


async def tile(client, path):
    answer = await client.get(f"/ledger/tile/{path}")
    assert answer.status_code == 200, (path, answer.text)
    return answer.content


async def bodies(client, length):
    """Every entry, out of the bundles."""
    full, rest = divmod(length, merkle.WIDTH)
    paths = [merkle.tile_path(merkle.ENTRIES, n) for n in range(full)]
    paths += [merkle.tile_path(merkle.ENTRIES, full, rest)] if rest else []
    return [body for path in paths for body in unbundle(await tile(client, path))]


def root_of(leaves):
    frontier = merkle.Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


async def test_the_checkpoint_is_signed_by_the_logs_key_and_anybody_may_have_it(client, tmp_path):
    answer = await client.get("/ledger/checkpoint")
    keys = await asyncio.to_thread(verifiers, tmp_path / "data")
    opened = note.open_note(answer.text, keys)
    assert note.parse_checkpoint(opened.text).origin == keys[0].name
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    with pytest.raises(note.NoteRefused):  # the control: another text under the same signature
        note.open_note(answer.text.replace("\n", "\n1", 1), keys)


@pytest.mark.slow
async def test_a_stranger_rebuilds_the_root_from_the_hash_tiles_alone(long_log, client):
    stated = note.parse_checkpoint(note.text_of(await signed(client)))
    read = {}
    for level in (0, 1):
        full, rest = counts(level, stated.size)
        for n in range(full):
            read[level, n] = await tile(client, merkle.tile_path(level, n))
        if rest:
            read[level, full] = await tile(client, merkle.tile_path(level, full, rest))
    leaves = [raw[i : i + 32] for n in (0, 1) for raw in (read[0, n],) for i in range(0, len(raw), 32)]
    assert root_of(leaves) == stated.root
    assert root_of(leaves[:256]) == read[1, 0][:32]


@pytest.mark.slow
async def test_an_auditor_rebuilds_the_root_from_the_entries_themselves(long_log, client):
    stated = note.parse_checkpoint(note.text_of(await signed(client)))
    entries = await bodies(long_log, stated.size)
    assert root_of(map(merkle.leaf_hash, entries)) == stated.root
    assert not [body for body in entries if b"@example.com" in body]


@pytest.mark.slow
async def test_a_receipt_is_proved_under_the_checkpoint_and_named_by_its_event(long_log, client, tmp_path):
    made = (
        await long_log.post("/v1/choices", json={"identifiers": [named("email", email(1))], "choice": "opt_out"})
    ).json()
    keys = await asyncio.to_thread(verifiers, tmp_path / "data")
    bare = await client.get(f"/privacy-choices/receipt/{made['event']}")
    shown = receipt.parse_receipt(bare.text)
    assert shown.index == made["seq"]
    receipt.verify_receipt(shown, keys)
    assert (await long_log.get(f"/v1/receipts/{made['event']}")).text == bare.text
    assert (await client.get(f"/v1/receipts/{made['event']}")).status_code == 401
    receipt.verify_receipt(receipt.parse_receipt(made["receipt"]), keys)
    assert made["receipt"] == made["events"][0]["receipt"]


@pytest.mark.slow
async def test_the_tree_of_an_earlier_size_can_still_be_had_by_its_partial_tiles(long_log, client):
    length = await size(client)
    whole = await tile(client, merkle.tile_path(0, 0))
    for width in (1, 2, 100, 255):
        assert await tile(client, merkle.tile_path(0, 0, width)) == whole[: 32 * width]
        assert await tile(long_log, merkle.tile_path(merkle.ENTRIES, 0, width)) == merkle.bundle(
            (await bodies(long_log, length))[:width]
        )
    assert await tile(client, merkle.tile_path(1, 0, 1)) == root_of([whole[i : i + 32] for i in range(0, 8192, 32)])


@pytest.mark.slow
async def test_a_log_that_has_grown_is_proved_to_have_grown_out_of_the_old_one(long_log, client):
    before = note.parse_checkpoint(note.text_of(await signed(client)))
    await long_log.post("/v1/choices", json={"identifiers": [named("email", email(7))], "choice": "opt_out"})
    after = note.parse_checkpoint(note.text_of(await signed(client)))
    leaves = [merkle.leaf_hash(body) for body in await bodies(long_log, after.size)]
    assert after.size > before.size
    assert root_of(leaves[: before.size]) == before.root
    proof = merkle.consistency(
        before.size, after.size, lambda height, at: root_of(leaves[at << height : (at + 1) << height])
    )
    merkle.check_consistency(before.size, after.size, proof, before.root, after.root)


class TestTheEntries:
    async def test_are_for_keys_of_scope_export_alone(self, tmp_path):
        """R16."""
        folder = inside.install(tmp_path / "data")
        made = {
            scope: await asyncio.to_thread(api_keys.add_api_key, folder, scope, (scope,), publishable=False)
            for scope in ("check", "choose", "desk", "export")
        }
        async with inside.application(folder, dev=False) as app, inside.client(app) as client:
            length = await size(client)
            path = f"/ledger/tile/{merkle.tile_path(merkle.ENTRIES, 0, length)}"
            assert (await client.get(path)).status_code == 401
            for scope, secret in made.items():
                answer = await client.get(path, headers={"Authorization": f"Bearer {secret}"})
                assert answer.status_code == (200 if scope == "export" else 403), scope
            assert answer.headers["cache-control"] == "no-store"
            hashes = await client.get(f"/ledger/tile/{merkle.tile_path(0, 0, length)}")
            assert (hashes.status_code, "immutable" in hashes.headers["cache-control"]) == (200, True)

    async def test_are_everybodys_where_the_operator_publishes_them(self, tmp_path):
        configured = inside.settings(ledger__public_entries="true")
        async with inside.application(tmp_path / "data", configured, dev=False) as app, inside.client(app) as client:
            answer = await client.get(f"/ledger/tile/{merkle.tile_path(merkle.ENTRIES, 0, await size(client))}")
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]


@pytest.mark.slow
async def test_a_tile_that_is_not_there_yet_is_not_found(long_log, client):
    length = await size(client)
    rest = length % merkle.WIDTH
    for path in (
        merkle.tile_path(0, 1),
        merkle.tile_path(0, 1, rest + 1),
        merkle.tile_path(0, 2),
        merkle.tile_path(1, 0),
        merkle.tile_path(1, 0, 2),
        merkle.tile_path(2, 0, 1),
        merkle.tile_path(63, 0, 1),
        merkle.tile_path(0, 10**18),
        merkle.tile_path(merkle.ENTRIES, 1),
    ):
        answer = await long_log.get(f"/ledger/tile/{path}")
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (404, "not_found"), path
    assert (await client.get(f"/ledger/tile/{merkle.tile_path(0, 1, rest)}")).status_code == 200  # the control


@pytest.mark.parametrize(
    "path",
    [
        "", "0", "0/", "0/0", "0/0000", "0/000/", "0/000.p", "0/000.p/", "0/000.p/0", "0/000.p/256", "0/000.p/257",
        "0/000.p/01", "0/x000/000", "00/000", "64/000", "-1/000", "+0/000", "0/%30%30%30x", "0/../checkpoint",
        "..%2f..%2fdata/secrets.json", "0/000%00", "entries", "entries/000.p/1/2", "Entries/000", "0/٠٠٠",
        "0/" + "x999/" * 50 + "000", "0/000?x=1/../..", "0//000", "0/000.p/1 ", "data/000", "0/x/000", "A" * 5000,
    ],
    ids=range(32),
)  # fmt: skip
async def test_a_path_that_is_none_is_not_found_and_never_a_fault(keyed, path):
    answer = await keyed.get(f"/ledger/tile/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("event", ["x", "A" * 22, "é", "%00", "' OR 1=1 --", "A" * 3000, "..%2fcheckpoint"])
async def test_a_receipt_of_nothing_is_not_found_with_a_key_or_without(keyed, event):
    for door in ("/privacy-choices/receipt", "/v1/receipts"):
        assert (await keyed.get(f"{door}/{event}")).status_code == 404


async def test_a_log_that_cannot_be_read_says_so_and_nothing_else(keyed, monkeypatch):
    def away(*_, **__):
        raise StoreUnavailable("away")

    for name in ("checkpoint", "tile", "receipts"):
        monkeypatch.setattr(LogReader, name, away)
    for path in ("/ledger/checkpoint", "/ledger/tile/0/000.p/1", f"/v1/receipts/{'A' * 22}"):
        assert (await keyed.get(path)).status_code == 503
    choice = {"identifiers": [named("email", email(1))], "choice": "opt_out"}
    made = await keyed.post("/v1/choices", json=choice)
    assert (made.status_code, made.json()["receipt"].startswith("c2sp.org/tlog-proof@v1")) == (201, True)  # from memory
    monkeypatch.setattr(LogReader, "receipts_at_hand", lambda *_: None)
    made = await keyed.post("/v1/choices", json=choice)
    assert (made.status_code, made.json().get("receipt")) == (201, None)  # the choice itself is kept and answered for


@pytest.mark.slow
async def test_reading_the_log_writes_nothing(long_log, client):
    before = await signed(client)
    await bodies(long_log, await size(client))
    assert await signed(client) == before
    for method in ("POST", "PUT", "DELETE"):
        assert (await client.request(method, "/ledger/checkpoint")).status_code == 405
