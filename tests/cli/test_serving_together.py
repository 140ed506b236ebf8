"""`gateway serve --workers 2`: any worker takes any request, and none of them that dies, hangs or is renewed costs
anybody their no.
"""

import http.client
import itertools
import os
import signal
import subprocess
import sys
import threading

import pytest
from support.service import service
from support.together import OPEN, Line, is_there, line_to_each, until, workers

from gateway.ledger.audit.examination import NAME
from gateway.settings.load import example
from gateway.state.environment import CURRENT, MARK, STATE, SYNCED

pytestmark = pytest.mark.slow
PEOPLE = (f"person{number}" for number in itertools.count())


@pytest.fixture(autouse=True)
def _closed():
    yield
    while OPEN:
        OPEN.pop().close()


def together(folder, module="gateway"):
    """A service of two workers that both answer."""
    return service(folder, "--workers", "2", prefix=("env",), module=module)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    with together(tmp_path_factory.mktemp("together")) as made:
        yield made


@pytest.fixture
def running(started):
    """One for all, with people of their own: to start three processes is what takes time."""
    if started.process.poll() is not None:  # a test ended it
        started.start()
    return started


@pytest.fixture(scope="module")
def hurts(tmp_path_factory):
    with together(tmp_path_factory.mktemp("hurts"), "support.hurt") as made:
        yield made


def both(running):
    return until(lambda: len(found := workers(running)) == 2 and found, "there were never two")


def allowed_again(running, *, but=()):
    """Once somebody who said nothing is allowed by both, neither of which is one of those."""
    until(lambda: len(workers(running)) == 2 and not workers(running) & set(but), "nobody took its place")
    for line in line_to_each(running):
        until(lambda line=line: line.allowed("somebody who said nothing"), "nobody is allowed any more")


def one_and_another(running):
    both(running)
    allowed_again(running)
    return line_to_each(running)


def opted_out_here_and_allowed_there(running, people=20):
    one, another = one_and_another(running)
    found = []
    for person in itertools.islice(PEOPLE, people):
        assert another.allowed(person)
        assert one.opt_out(person) == 201
        found += [person] if another.allowed(person) else []
        one, another = another, one
    return found


def test_a_no_that_one_worker_took_holds_at_the_other_as_soon_as_it_was_answered(running):
    assert opted_out_here_and_allowed_there(running) == []


def test_the_control_a_worker_that_answers_before_it_folds_lets_the_other_allow(tmp_path):
    with together(tmp_path, "support.folds_too_late") as running:
        assert opted_out_here_and_allowed_there(running, people=3)


def hurt(running, number, person):
    """One writes and is hurt on the way, with the writers' lock in its hands; the other one, and who asked for what."""
    one, another = one_and_another(running)
    hurt_one = one.worker(running)
    order = running.data / "hurt.coming"
    order.write_text(f"{hurt_one} {int(number)}")
    order.rename(running.data / "hurt")
    asked = threading.Thread(target=lost, args=[one, person])
    asked.start()
    until(lambda: not (running.data / "hurt").exists(), "nobody wrote")
    return hurt_one, another, asked


def lost(line, person):
    with pytest.raises((OSError, http.client.HTTPException)):
        line.opt_out(person, key=person)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_killed_or_stopped_while_it_writes_costs_nobody_their_no_and_is_replaced(hurts, number):
    cut_off = f"cut off by {number}"
    gone, another, asked = hurt(hurts, number, cut_off)
    for person in itertools.islice(PEOPLE, 5):
        assert another.opt_out(person) in {201, 202}
        assert not another.allowed(person)
    asked.join()
    assert another.opt_out(cut_off, key=cut_off) in {200, 201, 202}  # kept, where the lock came too late
    allowed_again(hurts, but=[gone])
    assert not is_there(gone)
    assert [line.allowed(cut_off) for line in line_to_each(hurts)] == [False, False]


def test_all_workers_are_renewed_while_people_ask_and_nobody_is_refused(running):
    allowed_again(running)
    before, stop, answers = both(running), threading.Event(), []
    asking = [threading.Thread(target=ask_on, args=[running, stop, answers, keeps]) for keeps in (1, 0, 1, 0)]
    for each in asking:
        each.start()
    running.process.send_signal(signal.SIGHUP)
    until(lambda: len(now := workers(running)) == 2 and not now & before, "they were never renewed")
    stop.set()
    for each in asking:
        each.join()
    assert set(answers) == {200}
    assert len(answers) > 100


def ask_on(running, stop, answers, keeps):
    """Asks one thing after the other; `keeps` its connection for as long as it may."""
    line = None
    while not stop.wait(0.01):  # what starts meanwhile needs the processor, too
        try:
            line = line or Line(running.port)
            answers.append(line.ask("GET", "/readyz" if len(answers) % 2 else "/privacy-choices")[0])
        except (OSError, http.client.HTTPException) as error:
            answers.append(repr(error))
        if line and (not keeps or line.connection.sock is None):  # it was told to close
            line.close()
            line = None


def counted(line):
    status, text = line.ask("GET", "/metrics")
    assert status == 200
    start = 'http_request_duration_seconds_count{method="POST",route="/v1/check",status="200"} '
    return sum(float(row.removeprefix(start)) for row in text.decode().splitlines() if row.startswith(start))


def test_counters_add_up_whichever_worker_tells_them_and_after_it_was_renewed(running):
    lines = one_and_another(running)
    already = counted(Line(running.port + 1))
    for number in range(100):
        (lines[number % 2] if number < 50 else Line(running.port)).allowed("somebody")
    told = [counted(line) for line in line_to_each(running, running.port + 1)]
    before = both(running)
    running.process.send_signal(signal.SIGHUP)
    until(lambda: len(now := workers(running)) == 2 and not now & before, "they were never renewed")
    assert [*told, counted(Line(running.port + 1))] == [already + 100] * 3


def test_who_takes_a_dead_workers_place_answers_by_the_configuration_of_the_others_also_while_it_is_edited(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(example() + "\n# as it was read\n")
    with service(tmp_path, "--workers", "2", "--config", str(file), prefix=("env",)) as running:
        allowed_again(running)
        first, second = both(running)
        file.write_text("[recipients.adver")
        os.kill(first, signal.SIGKILL)
        allowed_again(running, but=[first])
        running.process.send_signal(signal.SIGHUP)
        until(lambda: '"refused"' in running.log.read_text(), "nobody told that it cannot be read")
        file.write_text("")  # nobody read it yet, and it knows no recipient
        os.kill(second, signal.SIGKILL)
        allowed_again(running, but=[first, second])


def test_one_signal_ends_all_and_the_next_start_finds_everything_whole(running):
    one, _ = one_and_another(running)
    assert one.opt_out("somebody") == 201
    ended = both(running)
    running.process.terminate()
    assert running.process.wait(timeout=60) == 0
    assert not any(map(is_there, ended))
    state = running.data / STATE / (running.data / STATE / CURRENT).read_text()
    assert (state / MARK).read_bytes()[SYNCED] == 1
    assert (running.data / NAME).read_bytes() == b""


def test_workers_end_with_their_parent(running):
    left = both(running)
    running.kill()
    until(lambda: not any(map(is_there, left)), "they go on without anybody who would replace or end them")


def test_a_service_that_cannot_start_says_why_and_ends(tmp_path):
    command = [sys.executable, "-m", "gateway", "serve", "--workers", "2", "--data", str(tmp_path / "nothing")]
    environment = {f"GATEWAY_LISTEN__{name}": "127.0.0.1:0" for name in ("PUBLIC", "INTERNAL", "METRICS")}
    done = subprocess.run(
        ["env", *(f"{name}={value}" for name, value in environment.items()), *command],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "gateway migrate" in done.stdout + done.stderr
