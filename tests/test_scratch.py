"""A run of the tests leaves nothing in memory: neither one that ends nor, once another began, one that was killed."""

import subprocess
import sys
from pathlib import Path

from support import scratch

BEGIN = """
import sys, tempfile
from pathlib import Path
from support import scratch
scratch.MEMORY, scratch.DISK = Path(sys.argv[1], "memory"), Path(sys.argv[1], "disk")
scratch.begin()
print(tempfile.mkdtemp(), tempfile.mkdtemp(dir=scratch.on_disk()), flush=True)
sys.stdin.read()
"""


def begun(tmp_path):
    for name in ("memory", "disk"):
        (tmp_path / name).mkdir(exist_ok=True)
    command = [sys.executable, "-c", BEGIN, tmp_path]
    environment = {"PYTHONPATH": str(Path(__file__).parent), "PATH": ""}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def left(tmp_path):
    return sorted(each.name for each in tmp_path.glob("*/*"))


def test_what_a_run_made_goes_with_it_and_what_a_killed_one_left_with_the_next(tmp_path):
    killed, other = begun(tmp_path), begun(tmp_path)
    folders = [Path(folder) for run in (killed, other) for folder in run.stdout.readline().split()]
    assert all(folder.is_dir() and folder.is_relative_to(tmp_path) for folder in folders)
    killed.kill()
    killed.communicate()
    assert all(folder.is_dir() for folder in folders)
    last = begun(tmp_path)
    last.stdout.readline()
    kept = {scratch.NAME.format(run.pid) for run in (other, last)}
    assert set(left(tmp_path)) == kept
    for run in (other, last):
        run.communicate()
    assert left(tmp_path) == []


def test_a_machine_with_little_memory_left_keeps_them_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(scratch, "DISK", tmp_path)
    monkeypatch.setattr(scratch, "available", lambda: scratch.ENOUGH - 1)
    monkeypatch.setattr(scratch.tempfile, "tempdir", None)
    monkeypatch.setattr(scratch, "Finalize", lambda *_, **more: None)
    scratch.begin()
    assert Path(scratch.tempfile.gettempdir()).parent == tmp_path
