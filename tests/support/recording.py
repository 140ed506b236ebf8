"""Runs the real service under tests/faults/recorder.c, and reads what that wrote down.

The folder is a world of its own: `data` and `data.checkpoints` in it are recorded, the rest is not.
"""

import atexit
import contextlib
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.disk import Disk
from support.service import Service, service

SOURCE = Path(__file__).parent.parent / "faults" / "recorder.c"
HEAD = struct.Struct("<cQQII")
QUIET, OPENED = 12, 1000  # tenths of a second; bytes: it looks after its files twice a second, which opens them


@dataclass(frozen=True, slots=True)
class Event:
    """One call, done. `op` as in recorder.c; `number`: an offset, a size, flags, or the caller's port."""

    op: str
    handle: int
    number: int
    path: str
    data: bytes


@cache
def compiled(gcc: str) -> Path:
    """The recorder as a library, good until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="recorder-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "recorder.so"
    command = [
        gcc,
        "-std=gnu11",
        "-shared",
        "-fPIC",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        str(library),
        str(SOURCE),
        "-ldl",
        "-pthread",
    ]
    subprocess.run(command, check=True)
    return library


def log_of(world: Path) -> Path:
    """Beside the world: whatever is written in the world may be recorded."""
    return world.with_name(f"{world.name}.recorded")


@contextlib.contextmanager
def every_sync_fails(world: Path, name: str) -> Iterator[None]:
    """For a while, of the recorded service's files whose names end so."""
    sign = Path(f"{log_of(world)}.fails")
    sign.write_text(name)
    try:
        yield
    finally:
        sign.unlink()


@contextlib.contextmanager
def recorded(recorder: Path, world: Path, *, module: str = "gateway", fails: int = 0) -> Iterator[Service]:
    """A started service, recorded; started again it goes on in the same log. `fails`: every such fsync fails."""
    world.mkdir(exist_ok=True)
    prefix = ("env", f"LD_PRELOAD={recorder}", f"RECORDER_ROOT={world}", f"RECORDER_LOG={log_of(world)}")
    with service(world, prefix=(*prefix, f"RECORDER_FAILS={fails}"), module=module) as running:
        yield running


def events(world: Path) -> list[Event]:
    """The whole log. A world whose files are not what the log makes of them was not recorded completely."""
    raw, found, at = log_of(world).read_bytes(), [], 0
    while at < len(raw):
        op, handle, number, path, data = HEAD.unpack_from(raw, at)
        middle = at + HEAD.size + path
        at = middle + data
        found.append(Event(op.decode(), handle, number, raw[middle - path : middle].decode(), raw[middle:at]))
    return found


def happened(world: Path, op: str, name: str) -> int:
    """How often so far, also while it goes on, to files whose names end so."""
    names, found = dict[int, str](), 0
    for event in events(world):
        if event.op == "O":
            names[event.handle] = event.path
        elif event.op == op:
            found += names.get(event.handle, "").endswith(name)
    return found


def until_quiet(world: Path, settled: Callable[[], bool], seconds: float = 60.0) -> None:
    """Until it is settled and the service has written nothing for longer than between two checkpoints of its
    database."""
    ends, still, size = time.monotonic() + seconds, 0, 0
    while still < QUIET or not settled():
        assert time.monotonic() < ends, "it goes on and on"
        time.sleep(0.1)
        before, size = size, log_of(world).stat().st_size
        still = still + 1 if size - before < OPENED else 0


def missed(world: Path, log: list[Event]) -> list[str]:
    """The files that are not byte for byte what the log makes of them: what the recorder did not see."""
    disk = Disk()
    for event in log:
        disk.apply(event)
    made = disk.seen_by_the_process()
    real = {
        str(path.relative_to(world)): path.read_bytes()
        for top in (world / "data", world / "data.checkpoints")
        for path in top.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }
    return sorted(name for name in made.keys() | real.keys() if made.get(name) != real.get(name))
