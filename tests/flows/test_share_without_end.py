"""A sharing job of any length: no row leaves after its person's opt-out is effective, the memory is bounded, a job that
stopped goes on. SOAK=1: 60,000 rows, and three hundred people opt out meanwhile.
"""

import socket
import time
from collections import Counter

import pytest
from support import endless, example
from support.examples import SOAK
from support.ports import free_port
from support.promises import UNPROVED
from support.receiver import Receiver
from support.service import service

pytestmark = pytest.mark.slow
ROWS, PEOPLE, OUT, PAUSE = (60_000, 1500, 300, 0.05) if SOAK else (3000, 300, 60, 0.01)
MEMORY = 200  # MiB
TURNS = 3  # of a control, at most
POSTS = 5  # of one job, until it is whole


@pytest.fixture
def teemo(tmp_path):
    receiver = Receiver(free_port(), tmp_path / "teemo.ndjson", timed=True).start()
    yield receiver
    receiver.kill()


def config(tmp_path, receiver):
    path = tmp_path / "config.toml"
    path.write_text(
        example.over(
            f'[delivery]\nnetworks = ["127.0.0.1"]\n[recipients.teemo]\nendpoint = "http://127.0.0.1:{receiver.port}/rows"\n'
        )
    )
    return str(path)


def test_no_row_leaves_after_its_persons_opt_out_is_effective_and_the_memory_is_bounded(tmp_path, teemo, figure):
    with service(tmp_path, "--config", config(tmp_path, teemo)) as running:
        endless.link_all(running.url, PEOPLE)
        leaving = endless.OptingOut(running.url, range(OUT), PAUSE).start()
        summary, seconds = endless.post(running.port, range(ROWS), PEOPLE, beside=leaving)
        leaving.stop()
        memory = endless.most_memory(running.process.pid)
    got = teemo.rows()
    assert summary["rows"] == ROWS
    assert 0 < len(got) == len({row["row"] for row in got})
    # on a busy machine nothing is proved for some moments, and of some rows the answer comes past the send window
    unproved, unknown = sum(summary["refused"].get(each, 0) for each in UNPROVED), summary["unknown"]
    assert summary["sent"] <= len(got) <= summary["sent"] + unknown
    assert summary["sent"] + unknown + summary["refused"]["opted_out"] + unproved == ROWS
    assert len(leaving.effective) > OUT // 4, "some did opt out meanwhile"
    assert endless.too_late(got, leaving.effective) == []
    assert memory < MEMORY
    figure(
        "rows a second to a receiver", f"{ROWS / seconds:,.0f}, {memory:.0f} MiB at most, {len(leaving.effective)} left"
    )


@pytest.mark.parametrize("second_check", ["kept", "removed"])
def test_on_a_slow_disk_the_second_check_is_what_stops_them(tmp_path, teemo, monkeypatch, second_check):
    """The control: sent on the first check alone, rows arrive too late, and that is seen."""
    monkeypatch.setenv("SECOND_CHECK", second_check)
    with service(tmp_path, "--config", config(tmp_path, teemo), module="support.shares_slowly") as running:
        endless.link_all(running.url, 300)
        for turn in range(TURNS if second_check == "removed" else 1):  # of each a third of the people opts out
            leaving = endless.OptingOut(running.url, range(turn * 100, turn * 100 + 100), 0.01).start()
            endless.post(running.port, range(turn * 750, turn * 750 + 750), 300)  # three chunks, each of them slow
            leaving.stop()
            if late := endless.too_late(teemo.rows(), leaving.effective):
                break
    assert bool(late) == (second_check == "removed"), late


def test_a_job_whose_caller_and_whose_gateway_were_cut_off_goes_on_and_each_row_arrives_once(tmp_path, teemo):
    teemo.kill()
    teemo.slow = 0.05
    teemo.start()
    with service(tmp_path, "--config", config(tmp_path, teemo)) as running:
        endless.link_all(running.url, 300)
        half_of_it(running.port, teemo)
        assert 0 < len(teemo.rows()) < 3000
        running.kill()
        running.start()
        summary, arrived = {}, 0
        for _ in range(POSTS):  # a machine that is busy past the send window holds rows back: they are posted again
            summary, _ = endless.post(running.port, range(3000), 300, **{"Gateway-Job": "night-1"})
            assert summary["duplicate"] > 0
            arrived = summary["sent"] + summary["duplicate"]
            if arrived == 3000:
                break
    assert summary["job"] == "night-1"
    assert arrived == 3000, summary
    got = teemo.rows()
    assert len(got) == len({row["row"] for row in got}) == 3000
    assert Counter(map(endless.person_of, got)) == dict.fromkeys(range(300), 10)


def half_of_it(port: int, receiver: Receiver) -> None:
    """A caller that dies after some of its rows arrived."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as caller:
        names = {**endless.HEADERS, "Host": "127.0.0.1", "Gateway-Job": "night-1", "Transfer-Encoding": "chunked"}
        head = "".join(f"{name}: {value}\r\n" for name, value in names.items())
        caller.sendall(f"POST /v1/shares/teemo HTTP/1.1\r\n{head}\r\n".encode())
        for block in endless.blocks(range(1500), 300):
            caller.sendall(f"{len(block):x}\r\n".encode() + block + b"\r\n")
        deadline = time.monotonic() + 120
        while len(receiver.rows()) < 500:
            assert time.monotonic() < deadline
            time.sleep(0.1)
