"""Where a run of the tests keeps its folders: one of its own in memory, where there is enough, and one on the disk, for
what is durable. Both go with the run; what a killed one left, the next one removes, for memory that is full of it makes
every program of the machine slow.
"""

import os
import re
import shutil
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path

MEMORY, DISK = Path("/dev/shm"), Path("/var/tmp")
ENOUGH = 6 * 2**30  # bytes; a run takes up to 2.5 GiB of them (measured), and the programs of the tests some more
NAME = "gateway-run-{}"
LAST = -1000  # behind what multiprocessing itself has in there
RUN = os.getpid()  # of the first process, from which the others are forked


def available() -> int:
    """Bytes of memory that programs may still take; a folder in memory says only how large it may become."""
    told = Path("/proc/meminfo")
    found = re.search(r"^MemAvailable:\s+(\d+) kB", told.read_text(), re.MULTILINE) if told.exists() else None
    return int(found[1]) * 1024 if found else 0


def left_behind(place: Path) -> list[Path]:
    """The folders of runs that are over."""
    folders = {int(each.name.rpartition("-")[2]): each for each in place.glob(NAME.format("[0-9]*"))}
    return [folder for run, folder in folders.items() if not Path("/proc", str(run)).exists()]


def of_this_run(place: Path) -> Path:
    """A folder there, which others may enter: PostgreSQL is somebody else."""
    for folder in left_behind(place):
        shutil.rmtree(folder, ignore_errors=True)
    made = place / NAME.format(RUN)
    made.mkdir(exist_ok=True)
    made.chmod(0o755)
    Finalize(None, shutil.rmtree, (made,), {"ignore_errors": True}, exitpriority=LAST)
    return made


def begin() -> None:
    """Once a run, before anything asks for a temporary folder. Whoever sets TMPDIR keeps what tests leave there."""
    if "TMPDIR" in os.environ:
        return
    of_disk, memory = of_this_run(DISK), os.access(MEMORY, os.W_OK) and available() >= ENOUGH
    os.environ["TMPDIR"] = str(of_this_run(MEMORY) if memory else of_disk)
    tempfile.tempdir = None


def on_disk() -> Path:
    """Where a folder on the disk may be made."""
    mine = DISK / NAME.format(RUN)
    return mine if mine.is_dir() else DISK
