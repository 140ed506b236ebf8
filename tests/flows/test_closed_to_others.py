"""No file that the gateway makes may be read by anybody else on the machine, whatever umask and folder say."""

import os
import stat
import subprocess
from pathlib import Path

import httpx2
import pytest
from support import inside, typed
from support.service import service

from gateway.app.composition import migrate, open_house
from gateway.keys import secret_files


def open_to_others(folder: Path) -> list[str]:
    """Files and folders below one that anybody but their owner may touch. The folder itself is the operator's."""
    found = []
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and mode & 0o077:
            found.append(f"{stat.filemode(mode)} {path.relative_to(folder)}")
    return found


@pytest.fixture
def bare():
    """Nothing is taken away from what a program asks for, as a service manager may have it."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def shared(tmp_path, bare):
    """A folder that everybody may look into."""
    folder = tmp_path / "made"
    folder.mkdir(mode=0o755)
    return folder


def test_an_installation_in_a_folder_that_others_may_read_is_closed_to_them(shared):
    data = shared / "data"
    data.mkdir(mode=0o755)
    migrate(data)
    assert {path.name for path in data.iterdir()} >= {"ledger.sqlite3", "vault.sqlite3", "secrets.json"}
    assert open_to_others(data) == []
    with open_house(data, inside.settings(), dev=True):
        assert {path.name for path in data.iterdir()} >= {"ledger.sqlite3-wal", "ledger.sqlite3-shm"}
        assert open_to_others(data) == []
    (data / "left by an older version").touch(0o644)
    assert open_to_others(data) == ["-rw-r--r-- left by an older version"]  # control


def test_what_an_older_version_left_open_is_closed_at_the_next_start(shared):
    data = shared / "data"
    migrate(data)
    (data / "ledger.sqlite3").chmod(0o644)
    (data / secret_files.SECRETS).chmod(0o664)
    with open_house(data, inside.settings(), dev=True):
        assert open_to_others(data) == []


# In their order; KEYS is the copy of the persons' keys that a backup has made.
COMMANDS = (
    "migrate --data DATA",
    "keys add --name app --scope choose --data DATA",
    "choose opt_out --email ana@example.com --received 2026-11-20 --manner email --data DATA",
    "rekey pepper --data DATA",
    "rekey cookie --data DATA",
    "rekey signing --data DATA",
    "rekey accounts --data DATA",
    "rekey tokens --data DATA",
    "rekey key_encryption --data DATA",
    "rekey key_encryption --retire --data DATA",
    "backup OUT/ledger --keys OUT/keys --secrets OUT/secrets --data DATA",
    "verify --vault --data DATA",
    "prune --data DATA",
    "evidence --on 2026-11-24 --documents OUT/documents --receipts OUT/receipts --data DATA",
    "suppression teemo --out OUT/suppressed.csv --data DATA",
    "restore OUT/ledger --data OUT/new/data --secrets OUT/secrets --keys KEYS",
)


@pytest.mark.slow
def test_no_command_makes_a_file_that_others_may_read(shared):
    data, out = shared / "data", shared / "out"
    data.mkdir(mode=0o755)
    out.mkdir(mode=0o700)
    for command in COMMANDS:
        words = {"DATA": str(data), "KEYS": str(next((out / "keys").glob("*"), "") if (out / "keys").exists() else "")}
        said = [words.get(word, word.replace("OUT", str(out))) for word in command.split()]
        done = subprocess.run([typed.program(), *said], capture_output=True, text=True, check=False)
        assert done.returncode in {0, 1}, f"{command}: {done.stderr}"
        assert [f"{command}: {each}" for each in open_to_others(shared) if each != "drwxr-xr-x data"] == []


@pytest.mark.slow
def test_a_running_service_makes_no_file_that_others_may_read(shared):
    data = shared / "data"
    data.mkdir(mode=0o755)
    with service(shared) as running:
        form = {"action": "opt_out", "email": "ana@example.com"}
        assert httpx2.post(f"{running.url}/privacy-choices", data=form).status_code == 303
        asked = {
            "identifiers": [{"type": "email", "value": "ana@example.com"}],
            "recipient": "teemo",
            "will_send": True,
        }
        httpx2.post(f"{running.url}/v1/check", json=asked, headers=inside.DEV)
        code = {"use": "access", "action": "send", "email": "ana@example.com"}
        httpx2.post(f"{running.url}/privacy-choices/code", data=code)
        assert open_to_others(data) == []
    assert open_to_others(data) == []
