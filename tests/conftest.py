"""Fixtures of every test: an installation, its application, its client; a blocked event loop fails a test."""

import errno
import os
import shutil
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
import time_machine
from support import example, examples, inside, moved_rows, postgres_server, scratch
from support.days import today

from gateway.app.composition import open_house
from gateway.desk import emergency
from gateway.keys import person_keys

examples.load_profile()
person_keys.POOL = 64  # what a test writes between two batches; services that tests start, and benches, make all 512
os.environ.setdefault("GATEWAY_CONFIG", str(example.FILE))  # of every command and service that names no file
pytest_plugins = ["support.blocking", "support.runs", "support.workers"]

scratch.begin()

VECTORS = Path(__file__).parent.parent.parent / "shared" / "vectors"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def folder(tmp_path):
    """A fresh installation's data folder."""
    return inside.install(tmp_path / "data")


@pytest.fixture
def house(folder):
    """An opened installation as the development server sees it: contracts are filled in."""
    with open_house(folder, inside.settings(), dev=True) as opened:
        yield opened


@pytest.fixture
async def app(tmp_path):
    async with inside.application(tmp_path / "data") as built:
        yield built


@pytest.fixture
async def client(app):
    """Calls without a key, as a browser or a stranger does."""
    async with inside.client(app) as calling:
        yield calling


@pytest.fixture
async def keyed(app):
    """Calls with the development key."""
    async with inside.client(app, **inside.DEV) as calling:
        yield calling


@pytest.fixture
def noon():
    """For a test that asks on one day what it did on it: no midnight comes between. The clock goes on from today's noon
    (UTC); a process that the test starts has its own.
    """
    with time_machine.travel(datetime.combine(today(), time(12), UTC), tick=True):
        yield


@pytest.fixture
def no_emergency(monkeypatch):
    """The disk that holds the emergency file is full, too."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(emergency, "_write", full)


@pytest.fixture(scope="session")
def copies(tmp_path_factory):
    """(bytes of a file, what was deleted in it and is still there), see support/moved_rows.py."""
    return moved_rows.with_copies(tmp_path_factory.mktemp("lives"))


@pytest.fixture(scope="session")
def vectors():
    """The outside test data, read where it lies; absent, the test says so."""
    if not VECTORS.is_dir():
        missing("the vectors in ../shared/vectors")
    return VECTORS


def missing(what: str) -> None:
    """A skip with its reason; under CI a failure, for there it must be present."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing under CI: {what}")
    pytest.skip(f"not here: {what}")


@pytest.fixture
def tool():
    """The path of a program that the test drives."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing(name)
        return path

    return find


@pytest.fixture(scope="session")
def postgres():
    """Where a PostgreSQL of the tests' own is; one for all tests of a worker, started for the first that asks."""
    programs = postgres_server.programs()
    if programs is None:
        missing(f"PostgreSQL {postgres_server.OLDEST} or newer")
    with postgres_server.running(programs) as at:
        yield at
