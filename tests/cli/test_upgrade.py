"""Two releases of the package, and one folder: the next one opens it, the one before refuses what the next one made of
it and leaves it alone, and the way back from the next one keeps every opt-out that was made since.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from support import typed
from support.led import led
from support.next_release import ROOT, VERSION, next_release
from support.people import gaid, named
from support.service import service
from support.wire import call

from gateway.ledger import schema

pytestmark = pytest.mark.slow
SAYS_NOTHING = 9


class Release:
    """The package in a folder, as its users would have installed it."""

    def __init__(self, here: Path, prefix: tuple[str, ...] = ()) -> None:
        self.here, self.prefix = here, prefix

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        gateway = [typed.program()] if self.here == ROOT else [*self.prefix, sys.executable, "-m", "gateway"]
        command = [*gateway, *map(str, words)]
        return subprocess.run(command, cwd=self.here, env=environment, capture_output=True, text=True, timeout=120)

    @contextlib.contextmanager
    def serves(self, folder: Path, sign: str = "readyz"):
        with service(folder, prefix=self.prefix, sign=sign) as running:
            yield running.url


@pytest.fixture(scope="module")
def before():
    return Release(ROOT)


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    here = next_release(tmp_path_factory.mktemp("next"))
    return Release(here, ("env", "-C", str(here), "-u", "PYTHONDONTWRITEBYTECODE"))


class Upgraded(NamedTuple):
    """A folder of the release before with one opt-out, its log's key and a backup of then; and the same folder after
    the next release had it, with one more.
    """

    first: Path
    key: str
    copy: Path
    second: Path
    under_way: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def upgraded(before, later, tmp_path_factory):
    first, copy, second = (tmp_path_factory.mktemp(name) for name in ("first", "copy", "second"))
    with before.serves(first) as url:
        opts_out(url, 1)
        assert checked(url, SAYS_NOTHING)["allowed"]
    assert before.run("backup", copy / "ledger", "--data", first / "data").returncode == 0
    key = before.run("ledger", "key", "--data", first / "data").stdout
    shutil.copytree(first, second, dirs_exist_ok=True)
    with later.serves(second) as url:  # which brings the folder up to date, as with `gateway migrate`
        assert stand(url, 1) == [1], "the next release opens the folder of the one before"
        opts_out(url, 2)
        under_way = later.run("migrate", "--back-to", schema.version_wanted(), "--data", second / "data")
    return Upgraded(first, key, copy / "ledger", second, under_way)


@pytest.fixture
def folder(upgraded, tmp_path):
    """As the next release left it."""
    shutil.copytree(upgraded.second, tmp_path, dirs_exist_ok=True)
    return tmp_path


def opts_out(url, number):
    said = {"identifiers": [named("gaid", gaid(number))], "choice": "opt_out"}
    assert call(f"{url}/v1/choices", said)[0] == 201


def checked(url, number):
    asked = {"recipient": "teemo", "identifiers": [named("gaid", gaid(number))], "data": ["ad_id"], "place": "US-NY"}
    return call(f"{url}/v1/check", asked)[1]


def reason(url, number):
    return checked(url, number)["reason"]


def stand(url, *numbers):
    """Those of them who are opted out; whoever said nothing is not, or all of this would prove nothing."""
    assert reason(url, SAYS_NOTHING) != "opted_out"
    return [number for number in numbers if reason(url, number) == "opted_out"]


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_operator_leaves_a_bad_release_and_every_opt_out_made_since_still_holds(before, later, upgraded, folder):
    data = folder / "data"
    held = digest(data / schema.FILE)
    refused = before.run("verify", "--data", data)
    back = f"gateway migrate --back-to {schema.version_wanted()} --data {data}"
    assert (refused.returncode, len(refused.stderr.splitlines())) == (3, 1)
    assert refused.stderr.startswith(f"gateway: {data / schema.FILE} has version {VERSION}; ")
    assert refused.stderr.endswith(f"{back}\n")
    assert before.run("migrate", "--data", data).returncode == 3
    assert digest(data / schema.FILE) == held, "what is refused is left alone"

    for time in ("once", "and again, as whoever was cut off does"):
        taken = later.run(*back.split()[1:])
        assert (taken.returncode, taken.stdout) == (0, f"{data}: ledger version {schema.version_wanted()}\n"), time
    with before.serves(folder) as url:
        assert stand(url, 1, 2) == [1, 2], "made before, and made under the release that was left"
        opts_out(url, 3)
    assert before.run("verify", "--data", data).returncode == 0
    assert before.run("ledger", "key", "--data", data).stdout == upgraded.key, "the same log: every receipt still holds"

    with later.serves(folder) as url:  # mended, it is installed again
        assert stand(url, 1, 2, 3) == [1, 2, 3]
    assert later.run("verify", "--data", data).returncode == 0


def test_nobody_is_taken_back_under_a_running_service(upgraded):
    assert upgraded.under_way.returncode == 3
    assert "stop" in upgraded.under_way.stderr


def test_the_control_without_the_way_back_the_one_before_has_nobodys_opt_out_of_since(before, upgraded, folder):
    """What a backup of before the upgrade gives, put back in the place of the way back."""
    data = folder / "data"
    assert before.run("restore", upgraded.copy, "--data", data).returncode == 0
    assert before.run("restore", "--new-log", "--data", data).returncode == 0
    with before.serves(folder) as url:
        assert stand(url, 1, 2) == [1]


def test_a_release_that_meets_an_entry_of_a_kind_that_it_does_not_know_allows_nobody(before, upgraded, tmp_path):
    """As after a way back from one that wrote something new."""
    shutil.copytree(upgraded.first, tmp_path, dirs_exist_ok=True)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / schema.FILE)) as db, db:
        unknown = "CAST(x'947F' || substr(packed, 3) AS BLOB)"
        said = {(place,) for *_, place in led(db)}
        db.executemany(f"UPDATE side SET packed = {unknown} WHERE place = ?", said)
    shutil.rmtree(tmp_path / "data" / "state")
    with before.serves(tmp_path, sign="livez") as url:
        assert not checked(url, SAYS_NOTHING)["allowed"]
        assert not checked(url, 1)["allowed"]
