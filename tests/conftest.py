"""Fixtures of every test: an installation, its application, its client; a blocked event loop fails a test."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings
from support import inside

from gateway.app import open_house
from gateway.ledger import emergency

# The same examples in every run of `make test`; `make soak` looks for new ones.
settings.register_profile("test", derandomize=True, deadline=None)
settings.register_profile("soak", deadline=None)
settings.load_profile("soak" if os.environ.get("SOAK") else "test")

VECTORS = Path(__file__).parent.parent.parent / "shared" / "vectors"
# Where the loop may touch a disk on purpose: a check reads rows by key in process (design decision 3), and start-up.
READS_BY_KEY = ("_read",)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def never_blocked():
    """Blocking calls in a running event loop fail the test, but for the look-up's own reads and opening files."""
    with blockbuster_ctx("gateway") as buster:
        for function in buster.functions.values():
            function.can_block_in("gateway/ledger/table.py", READS_BY_KEY)
            function.can_block_in("gateway/mirror/answers.py", READS_BY_KEY)
            function.can_block_in("gateway/ledger/leases.py", {*READS_BY_KEY, "_reader", "revision"})
            function.can_block_in("gateway/app.py", {"open_house", "migrate"})
            function.can_block_in("support/inside.py", {"install"})
            function.can_block_in("gateway/service.py", {"build", "keyed", "public", "_opened"})
            function.can_block_in("gateway/credentials.py", {"_reload"})
            function.can_block_in("gateway/assertions.py", {"_reload"})
            function.can_block_in("gateway/settings.py", {"load"})
            function.can_block_in("gateway/delivery/forward.py", {"__init__"})  # reads the certificates once
        yield


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
def no_emergency(monkeypatch):
    """The disk that holds the emergency file is full, too."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(emergency, "_write", full)


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


FIGURES: list[tuple[str, str]] = []


@pytest.fixture
def figure():
    """Keeps what a test measured for the table at the end of the run."""
    return lambda name, text: FIGURES.append((name, text))


def pytest_terminal_summary(terminalreporter):
    """One table of what the long tests measured."""
    if FIGURES:
        terminalreporter.section("figures")
        width = max(len(name) for name, _ in FIGURES)
        for name, text in FIGURES:
            terminalreporter.write_line(f"{name:{width}}  {text}")


@pytest.fixture
def tool():
    """The path of a program that the test drives."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing(name)
        return path

    return find
