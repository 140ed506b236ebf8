"""`python tests/bench/opt_out_bench.py [PYTHON ...]`: what a durable opt-out of somebody new costs over HTTP at 64
connections, as a share of a bare application in the same run: requests a second and processor time. Each PYTHON is the
interpreter of another installation that is measured in turn with this one.

One core has the server, the other wrk; the medians of some turns. `IDENTIFIERS` people are on record before. At the end
of each it says by how many bytes the ledger and the keys grew for one.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import bench
import many
from processor import spent
from support.service import Service, service

CONNECTIONS, SECONDS, TURNS = 64, 4, 5
LOAD = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer dev.dev"
local n, seed = 0, 0
function init(args) seed = tonumber(args[1]) end
request = function()
  n = n + 1
  local id = string.format("%08x-8cf0-41bd-b23e-%04x%08x", n, seed % 65536, n)
  return wrk.format(nil, wrk.path, nil, '{"identifiers": [{"type": "gaid", "value": "' .. id .. '"}],'
    .. ' "choice": "opt_out", "place": "US-CO"}')
end
done = function(summary, latency, requests)
  io.write(string.format("of %d, %d failed, p50 %f\\n", summary.requests, summary.errors.status, latency:percentile(50)))
end
"""


def load(pid: int, url: str, script: Path, seed: int) -> tuple[float, float, float, int]:
    """(requests a second, microseconds of the processor each, p50 in milliseconds, how many)."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url, "--"]
    before = spent(pid)
    out = subprocess.run([*command, str(seed)], capture_output=True, text=True, check=True).stdout
    took = spent(pid) - before
    many_, failed, p50 = re.search(r"of (\d+), (\d+) failed, p50 ([\d.]+)", out).groups()
    assert failed == "0", out
    return float(out.split("Requests/sec:")[1].split()[0]), took / int(many_) * 1e6, float(p50) / 1000, int(many_)


def size_of(data: Path) -> int:
    return sum(path.stat().st_size for path in data.glob("*.sqlite3"))


def main(pythons: list[str]) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        script = folder / "choices.lua"
        script.write_text(LOAD)
        port, bare = bench.baselines(stack)
        ways: dict[str, Service] = {}
        for number, python in enumerate([sys.executable, *pythons]):
            (folder / str(number)).mkdir()
            sys.executable = python  # by which the service is started
            running = stack.enter_context(service(folder / str(number), prefix=("taskset", "-c", "0")))
            if people := int(os.environ.get("IDENTIFIERS", "0")):
                running.stop()
                many.fill(running.data, people)
                running.start()
            ways[python] = running
        found: dict[str, list[tuple[float, float, float, int]]] = {name: [] for name in ["bare", *ways]}
        before = {name: size_of(running.data) for name, running in ways.items()}
        for turn in range(TURNS):
            found["bare"].append(load(bare, f"http://127.0.0.1:{port}/bare", script, turn))
            for name, running in ways.items():
                found[name].append(load(running.process.pid, f"{running.url}/v1/choices", script, turn))
        print(time.strftime("%d %B %Y, %H:%M"), f"load {os.getloadavg()[0]:.1f}")
        base = [statistics.median(each) for each in zip(*found["bare"], strict=True)]
        print(f"bare application: {base[0]:.0f} a second, {base[1]:.0f} us of processor, p50 {base[2]:.1f} ms")
        for name, running in ways.items():
            each = [statistics.median(column) for column in zip(*found[name], strict=True)]
            running.stop()
            grew = (size_of(running.data) - before[name]) / sum(one[3] for one in found[name])
            print(
                f"{name}: {each[0]:.0f} opt-outs a second, {each[0] / base[0]:.3f} of bare; {each[1]:.0f} us of processor,"
                f" {each[1] / base[1]:.1f} times bare's; p50 {each[2]:.1f} ms; {grew:.0f} bytes each"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
