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


def kill_midway(tmp_path, after: int, module: str = "gateway") -> tuple[int, int]:
    """(acknowledged, lost): opt-outs by twenty writers, the process killed once `after` were acknowledged."""
    acknowledged: list[int] = []
    with service(tmp_path, module=module) as running:

        def opt_out(person: int) -> None:
            body = {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out"}
            try:
                status, _ = call(f"{running.url}/v1/choices", body)
            except (OSError, ValueError):
                return
            if status == 201:
                acknowledged.append(person)

        over = threading.Event()

        def kill() -> None:
            while len(acknowledged) < after:
                if over.wait(0.005):
                    return
            running.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(opt_out, range(OPT_OUTS)))
        over.set()
        killer.join()
        assert 0 < len(acknowledged) < OPT_OUTS, "the kill must fall between"
        running.module = "gateway"
        running.start()
        with ThreadPoolExecutor(4) as pool:
            held = list(pool.map(lambda person: denied(running.url, "gaid", gaid(person)), acknowledged))
        assert not denied(running.url, "gaid", gaid(OPT_OUTS + 1)), "a check can still say yes"
        return len(acknowledged), held.count(False)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_no_acknowledged_opt_out_is_lost_when_the_process_is_killed(tmp_path, round_, figure):
    acknowledged, lost = kill_midway(tmp_path, OPT_OUTS // 10 * (1 + round_ % 5))
    figure(f"SIGKILL, round {round_ + 1}", f"{acknowledged} acknowledged opt-outs, {lost} lost")
    assert lost == 0


def test_the_control_a_writer_that_answers_before_its_commit_loses_opt_outs(tmp_path, figure):
    acknowledged, lost = kill_midway(tmp_path, 200, module="support.answers_too_early")
    figure("SIGKILL, control", f"{acknowledged} acknowledged opt-outs, {lost} lost by a writer that answers too early")
    assert lost > 0
