"""`python tests/bench/log_bench.py`: what a no costs on its way through the log alone, over HTTP at 64 connections and at
one, each as a share of a bare application in the same run. The door is one function here: JSON, normal form and names,
record, batch, commit, tree, checkpoint, fold, receipt, answer; no key of a caller's, no law, no recipients to tell.

One core has the server, the other wrk; the median of three turns, taken in turn.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvicorn

sys.path.insert(0, str(Path(__file__).parent.parent))
from processor import spent
from support.ports import free_port

from gateway.app.log_follower import LogFollower, sign_empty
from gateway.consent.people import People
from gateway.keys.person_keys import Vault
from gateway.keys.secret_files import Secrets
from gateway.ledger.checkpoint_store import CheckpointStore
from gateway.ledger.engine.batches import Batches
from gateway.ledger.engine.choice_record import as_written, choice_record, fresh_secrets
from gateway.ledger.engine.log import LogRequest
from gateway.ledger.engine.sqlite_log import SqliteLog, make_log
from gateway.ledger.proof.ed25519 import Ed25519Signer
from gateway.ledger.proof.entry import b64
from gateway.ledger.subjects import Choice, every_reading
from gateway.state.upkeep import HostState
from gateway.terms import ALL_PURPOSES, ChoiceKind

LOG, ORIGIN, EPOCH = b"the bench's log.", "example.com/bench", 1
SECONDS, TURNS = 4, 3
WAYS = (("64 callers", 64), ("one caller", 1))
HERE = Path(__file__).parent
LOAD = """
wrk.method = "POST"
local n, seed = 0, 0
function init(args) seed = tonumber(args[1]) end
request = function()
  n = n + 1
  local id = string.format("%08x-8cf0-41bd-b23e-%04x%08x", n, seed, n)
  return wrk.format(nil, "/v1/choices", nil, '{"identifiers": [{"type": "gaid", "value": "' .. id .. '"}],'
    .. ' "choice": "opt_out", "place": "US-CO"}')
end
done = function(summary, latency, requests)
  io.write(string.format("of %d, %d failed, p50 %f\\n", summary.requests, summary.errors.status, latency:percentile(50)))
end
"""


class Asked(msgspec.Struct):
    identifiers: list[dict[str, str]]
    choice: str
    place: str = ""


read = msgspec.json.Decoder(Asked).decode
encode = msgspec.json.Encoder().encode


class Door:
    """An ASGI application over the log in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.refilling = folder, False
        self.people = People(Secrets(*((letter * 32,) for letter in (b"p", b"s", b"t", b"w", b"a", b"g"))), _now)

    async def open(self) -> None:
        data = self.folder / "data"
        data.mkdir()
        store = CheckpointStore(self.folder / "store", LOG)
        make_log(data, LOG, EPOCH)
        sign_empty(store, ORIGIN)
        self.vault, self.log = Vault(self.folder, (b"w" * 32,)), SqliteLog(data, LOG)
        self.vault.refill()
        signers = [Ed25519Signer(ORIGIN, b"g" * 32)]
        self.follower = await LogFollower.open(data, self.log, store, ORIGIN, signers, HostState(data, EPOCH))
        self.batches = Batches(self.follower, EPOCH, lambda: time.time_ns() // 1_000_000)
        self.indexing = asyncio.create_task(self.index())

    async def index(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            while not await self.follower.index_on():
                pass

    async def close(self) -> None:
        self.indexing.cancel()
        await self.batches.close()
        await self.log.close()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await self.open()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        message = await receive()
        answer = b"ok" if scope["path"] == "/bare" else await self.choose(message.get("body", b""))
        length = str(len(answer)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": answer})

    async def choose(self, body: bytes) -> bytes:
        asked = read(body)
        subjects = every_reading(self.people.name(asked.identifiers).subjects)
        choice = Choice(ChoiceKind(asked.choice), ALL_PURPOSES, "api", _now(), asked.place)
        secrets = [fresh_secrets() for _ in subjects]

        def prepare(epoch: int) -> LogRequest:
            return LogRequest(
                [
                    choice_record(subject, as_written(subject, choice), drawn, self.vault.new_person(), epoch)
                    for subject, drawn in zip(subjects, secrets, strict=True)
                ]
            )

        if self.vault.is_low() and not self.refilling:
            self.refilling = True
            await asyncio.to_thread(self.vault.refill)
            self.refilling = False
        placed = await self.batches.write(prepare)
        events = [(b64(drawn.event), seq) for seq, drawn in enumerate(secrets, placed.first)]
        receipts = [self.follower.receipt(seq, event) for event, seq in events]
        told = [
            {"event": event, "seq": seq, "receipt": made and made.text()}
            for (event, seq), made in zip(events, receipts, strict=True)
        ]
        return encode({"events": told, "accepted_at": choice.at, "standing": dict.fromkeys(ALL_PURPOSES, "opted_out")})


def _now() -> datetime:
    return datetime.now(UTC)


def load(pid: int, url: str, connections: int, script: Path) -> tuple[float, float, float]:
    """(requests a second, microseconds of the processor each, p50 in milliseconds)."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", str(script), url, "--"]
    before = spent(pid)
    out = subprocess.run(
        [*command, str(os.getpid() + time.time_ns() % 9999)], capture_output=True, text=True, check=True
    ).stdout
    took = spent(pid) - before
    told = out.split("of ")[-1].split()
    assert told[1] == "0", out
    requests = int(told[0].strip(","))
    return float(out.split("Requests/sec:")[1].split()[0]), took / requests * 1e6, float(told[-1]) / 1000


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scripts = {"/bare": folder / "bare.lua", "/v1/choices": folder / "choices.lua"}
        scripts["/v1/choices"].write_text(LOAD)
        scripts["/bare"].write_text(LOAD.replace('"/v1/choices"', '"/bare"'))
        port = free_port()
        served = subprocess.Popen(["taskset", "-c", "0", sys.executable, __file__, str(port), str(folder)])
        stack.callback(served.wait)
        stack.callback(served.terminate)
        time.sleep(3)
        for name, connections in WAYS:
            found = {path: [] for path in scripts}
            for _ in range(TURNS):
                for path, script in scripts.items():
                    found[path].append(load(served.pid, f"http://127.0.0.1:{port}", connections, script))
            bare, no = ([statistics.median(each) for each in zip(*found[path], strict=True)] for path in scripts)
            print(
                f"{name}: {no[0]:.0f} noes a second, {no[0] / bare[0]:.2f} of {bare[0]:.0f}; {no[1]:.0f} us of processor,"
                f" {no[1] / bare[1]:.1f} times {bare[1]:.0f}; p50 {no[2]:.1f} ms"
            )
        written = sum(path.stat().st_size for path in (folder / "data").glob("log.sqlite3"))
        print(json.dumps({path.name: path.stat().st_size for path in sorted(folder.rglob("*sqlite3*"))}), written)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvicorn.run(
            Door(Path(sys.argv[2])),
            port=int(sys.argv[1]),
            http="httptools",
            loop="asyncio",
            log_config=None,
            access_log=False,
        )
    else:
        main()
