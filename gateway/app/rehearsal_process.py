"""One rehearsal in a process of its own (`gateway.rehearsal`), for the schedule of the service and for `gateway
rehearse`: what it is ordered, where it plays, and what it found.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gateway.desk import evidence
from gateway.desk.evidence import Rehearsal
from gateway.settings.load import Settings

FOUND = "found.json"
MEMORY, ROOM = "/dev/shm", 2**28  # noqa: S108 - a stage takes some ten MiB (measured), and a fresh folder in there
NICE = 19  # the lowest priority there is
SECONDS = 900.0  # for one rehearsal; it takes 20 of processor time (measured)


class RehearsalOrder(msgspec.Struct, frozen=True):
    """What the process is to rehearse. `only`: the ways whose name has this in it."""

    settings: Settings
    dev: bool = False
    only: str = ""


def rehearse(order: RehearsalOrder, ends: Callable[[], bool] = lambda: False) -> Rehearsal:
    """One rehearsal in a process of its own, waited for; given up after `SECONDS`, or once `ends` says so. One that
    does not come to its end has failed.
    """
    start = datetime.now(UTC)
    try:
        found = _run(order, ends)
    except OSError as error:  # no room, no such interpreter: the schedule goes on, and the alarm rings
        found = f"could not be started: {type(error).__name__}"
    return (
        found
        if isinstance(found, Rehearsal)
        else evidence.failed_rehearsal(secrets.token_bytes(16), start, datetime.now(UTC), found)
    )


def _run(order: RehearsalOrder, ends: Callable[[], bool]) -> Rehearsal | str:
    """What was found, or why nothing was. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="gateway-rehearsal-", dir=_where()) as name:
        folder = Path(name)
        (folder / "order.json").write_bytes(msgspec.json.encode(order))
        with (folder / "order.json").open("rb") as said, (folder / "errors").open("wb") as errors:
            command = [sys.executable, "-m", "gateway.rehearsal", name]
            process = subprocess.Popen(command, stdin=said, stdout=subprocess.DEVNULL, stderr=errors)  # noqa: S603 - our own program
            ended = _waited(process, ends)
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((folder / FOUND).read_bytes(), type=Rehearsal)
        return _last_word(folder / "errors") if ended else f"did not come to its end in {SECONDS:.0f} seconds"


def _where() -> str | None:
    """In memory where there is some: the stage's thousand commits are no load on the disk of the true ledger."""
    room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if room and "TMPDIR" not in os.environ else None


def _waited(process: "subprocess.Popen[bytes]", ends: Callable[[], bool]) -> bool:
    """Whether the process ended before it had to be stopped."""
    until = datetime.now(UTC) + timedelta(seconds=SECONDS)
    while not ends() and datetime.now(UTC) < until:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
            return True
    process.kill()
    process.wait()
    return False


def _last_word(errors: Path) -> str:
    """The kind of the error that it ended with; never its text, which may name what it was about."""
    lines = errors.read_text(errors="replace").strip().splitlines()
    kind = lines[-1].partition(":")[0] if lines else "no error was told"
    return f"ended without a result: {kind[:80]}"
