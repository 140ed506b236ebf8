"""SIGKILL in the middle of opt-outs: every acknowledged one denies after the restart."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.people import gaid, named
from support.service import service
from support.wire import call, denied

pytestmark = pytest.mark.slow
OPT_OUTS = 5000
ROUNDS = 10 if os.environ.get("SOAK") else 1


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_no_acknowledged_opt_out_is_lost_when_the_process_is_killed(tmp_path, round_):
    acknowledged: list[int] = []
    with service(tmp_path) as running:

        def opt_out(person: int) -> None:
            body = {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out"}
            try:
                status, _ = call(f"{running.url}/v1/choices", body)
            except (OSError, ValueError):
                return
            if status == 201:
                acknowledged.append(person)

        killed = threading.Event()

        def kill_midway() -> None:
            while len(acknowledged) < OPT_OUTS // 10 * (1 + round_ % 5):
                if killed.wait(0.005):
                    return
            running.kill()

        killer = threading.Thread(target=kill_midway)
        killer.start()
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(opt_out, range(OPT_OUTS)))
        killed.set()
        killer.join()
        assert 0 < len(acknowledged) < OPT_OUTS, "the kill must fall between"
        running.start()
        with ThreadPoolExecutor(4) as pool:
            lost = [person for person, no in zip(
                acknowledged, pool.map(lambda n: denied(running.url, "gaid", gaid(n)), acknowledged), strict=True) if not no]  # fmt: skip
        assert lost == []
        assert not denied(running.url, "gaid", gaid(OPT_OUTS + 1)), "the control: a check can still say yes"
        print(f"killed after {len(acknowledged)} acknowledged opt-outs, lost {len(lost)}")
