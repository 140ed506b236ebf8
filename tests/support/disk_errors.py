"""Faults of a disk under a running service: calls that fail by strace, a disk of its own that fills up or that nobody
may write to, a file that may not grow.
"""

import contextlib
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from conftest import missing

PATIENCE = 60.0


@contextlib.contextmanager
def failing(strace: str, pid: int, calls: str, fault: str, log: Path, only: Sequence[Path] = ()) -> Iterator[None]:
    """`fault` as in strace's inject: "error=EIO:when=3", counted by thread. `log` has each call. `only`: of these
    files."""
    command = [
        strace,
        "-f",
        "-qq",
        "-p",
        str(pid),
        *(word for path in only for word in ("-P", str(path))),
        "-e",
        f"trace={calls}",
        "-e",
        f"inject={calls}:{fault}",
        "-o",
        str(log),
    ]
    tracing = subprocess.Popen(command)
    try:
        _until(lambda: all(_traced(task) for task in Path(f"/proc/{pid}/task").iterdir()), "strace does not attach")
        yield
    finally:
        tracing.terminate()
        tracing.wait()


def _traced(task: Path) -> bool:
    try:
        return "\nTracerPid:\t0\n" not in (task / "status").read_text()
    except FileNotFoundError:  # the thread has ended
        return True


def _until(true, otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


@contextlib.contextmanager
def own_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A small disk in memory; skips where none may be mounted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "none", str(folder)], capture_output=True
    )
    if mounted.returncode:
        missing("the right to mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is left."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def may_not_grow(pid: int, size: int) -> Iterator[None]:
    """Whatever the process writes beyond a size is refused, in the middle of a write if need be."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
