"""The real service on a folder that an older copy was put back into, and killed at any moment of keeping and
entering."""

import contextlib
import json
import shutil
import sqlite3
import time

import pytest
from support.people import gaid, named
from support.ports import free_port
from support.service import Service, service
from support.wire import call, check, denied

pytestmark = pytest.mark.slow


def opt_out(url: str, person: int) -> int:
    return call(f"{url}/v1/choices", {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out"})[0]


@contextlib.contextmanager
def refused_service(tmp_path):
    """Started, whether or not it is ready."""
    running = Service(free_port(), tmp_path / "data", tmp_path / "log", sign="livez")
    try:
        yield running.start()
    finally:
        running.stop()


def put(folder, source) -> None:
    shutil.rmtree(folder)
    shutil.copytree(source, folder)


def until_ready(url: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while call(f"{url}/readyz", key="")[0] != 200:
        assert time.monotonic() < deadline, call(f"{url}/readyz", key="")
        time.sleep(0.05)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An older and a newer copy of one installation whose store of checkpoints is at the newer."""
    folder = tmp_path_factory.mktemp("made")
    with service(folder) as running:
        assert opt_out(running.url, 1) == 201
    shutil.copytree(folder / "data", folder / "older")
    with service(folder) as running:
        assert opt_out(running.url, 2) == 201
    shutil.copytree(folder / "data", folder / "newer")
    return folder


@pytest.fixture
def lived_in(made, tmp_path):
    """The same on the disk, of this test alone."""
    for name in ("data", "data.checkpoints", "older", "newer"):
        shutil.copytree(made / name, tmp_path / name)


@pytest.mark.usefixtures("lived_in")
def test_the_folder_of_an_hour_ago_starts_says_what_helps_and_loses_no_opt_out(tmp_path):
    put(tmp_path / "data", tmp_path / "older")
    with refused_service(tmp_path) as running:
        status, ready = call(f"{running.url}/readyz", key="")
        assert (status, ready["status"]) == (503, "refused")
        lines = [json.loads(line) for line in running.log.read_text().splitlines()]
        [refused] = [line["error"] for line in lines if line["event"] == "refused"]
        assert f"gateway restore --new-log --data {running.data}" in refused
        assert check(running.url, named("gaid", gaid(9)), "advertisers", place="US-NY")["reason"] == "stale"
        assert opt_out(running.url, 3) == 202
        running.kill()
        put(tmp_path / "data", tmp_path / "newer")
        running.start()
        until_ready(running.url)
        assert all(denied(running.url, "gaid", gaid(person)) for person in (1, 2, 3))
        assert check(running.url, named("gaid", gaid(9)), "advertisers", place="US-NY")["allowed"]


@pytest.mark.usefixtures("lived_in")
@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.5])
def test_a_kill_while_what_waited_is_entered_enters_each_person_once(tmp_path, after):
    put(tmp_path / "data", tmp_path / "older")
    people = range(100, 140)
    with refused_service(tmp_path) as running:
        assert {opt_out(running.url, person) for person in people} == {202}
        running.stop()
        put(tmp_path / "data", tmp_path / "newer")
        before = entries(running)
        running.start()
        time.sleep(after)
        running.kill()
        running.start()
        until_ready(running.url)
        assert all(denied(running.url, "gaid", gaid(person)) for person in people)
    assert entries(running) - before == len(people)


def entries(running) -> int:
    with contextlib.closing(sqlite3.connect(running.data / "ledger.sqlite3")) as db:
        return db.execute("SELECT count(*) FROM detail").fetchone()[0]
