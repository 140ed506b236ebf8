"""`PYTHONPATH=tests:. python tests/bench/links_bench.py`: what `POST /v1/links` of a new account's new ad id costs over
HTTP at 64 connections, in the folder, in bare requests of the processor in the same run. The figure of `gateway help
sizing`.

The gateway has one core, wrk the other. The median of turns, in turn with the bare application.
"""

import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from bench import baselines
from opt_out_bench import LOAD, TURNS, load
from support.service import service

BAR = 2.5  # bare requests of a link
LINK = LOAD.replace(
    """'{"identifiers": [{"type": "gaid", "value": "' .. id .. '"}],'
    .. ' "choice": "opt_out", "place": "US-CO"}'""",
    """'{"account": "a' .. id .. '", "identifiers": [{"type": "gaid", "value": "' .. id .. '"}]}'""",
)


def main() -> None:
    assert LINK != LOAD
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        (script := folder / "links.lua").write_text(LINK)
        port, bare = baselines(stack)
        running = stack.enter_context(service(folder, prefix=("taskset", "-c", "0")))
        turns = []
        for turn in range(TURNS + 1):
            of_bare = load(bare, f"http://127.0.0.1:{port}/bare", script, turn)
            of_link = load(running.process.pid, f"{running.url}/v1/links", script, turn)
            turns.append((of_link[1] / of_bare[1], of_link[0] / of_bare[0], of_link[1], of_link[2]))
        running.stop()
    dear, share, took, middle = (statistics.median(each) for each in zip(*turns[1:], strict=True))
    print(time.strftime("%d %B %Y, %H:%M"), f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(
        f"a link: {took:.0f} us of the processor, {dear:.1f} bare requests; {share:.3f} of bare's rate; p50 {middle:.1f} ms"
    )
    print(f"at most {BAR}")
    sys.exit(dear > BAR)


if __name__ == "__main__":
    main()
