"""The gateway on a machine whose wall clock, and whose end, a test decides by files beside the data folder: `ahead` is
by how many seconds the clock is, and whoever first comes to a point of POINTS whose file is there takes it away and
dies by SIGKILL.

python -m support.under_nemesis serve --dev --data FOLDER/data …
"""

import mmap
import os
import signal
import struct
import sys
from datetime import timedelta
from pathlib import Path

from gateway.app import composition, service
from gateway.app.state_keeper import StateKeeper
from gateway.cli import main
from gateway.keys.person_keys import Vault
from gateway.ledger.publisher import Publisher
from gateway.state.transactions import StateWrite

AHEAD = struct.Struct("<d")
POINTS = {
    "before it is durable": (Vault, "commit", False),
    "durable and not signed": (Publisher, "publish", True),
    "signed and not folded": (StateKeeper, "keep", True),
    "within the fold": (StateWrite, "finish", True),
    "folded and not answered": (StateKeeper, "keep", False),
}
honest = composition.now


def file_of(folder, point):
    return folder / f"dies {point}"


def set_clock(folder, seconds):
    """In place: processes have it mapped."""
    path = folder / "ahead"
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.write(AHEAD.pack(seconds))


def clock_of(folder):
    if not (folder / "ahead").exists():
        set_clock(folder, 0.0)
    with (folder / "ahead").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), AHEAD.size, access=mmap.ACCESS_READ)
    return lambda: honest() + timedelta(seconds=AHEAD.unpack(mapped[:])[0])


def dies_at(folder, point):
    """Whoever takes the file away first."""
    try:
        file_of(folder, point).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def hook(folder, point, owner, name, *, before):
    acts = getattr(owner, name)

    def acting(*arguments, **more):
        if before:
            dies_at(folder, point)
        result = acts(*arguments, **more)
        if not before:
            dies_at(folder, point)
        return result

    setattr(owner, name, acting)


def install(folder):
    """Into this process; its clock."""
    for point, (owner, name, before) in POINTS.items():
        hook(folder, point, owner, name, before=before)
    return clock_of(folder)


def serve():
    """Of the service that the command starts in this process, with the files beside the data folder that it names."""
    folder = Path(sys.argv[sys.argv.index("--data") + 1]).parent
    service.build.__kwdefaults__["clock"] = install(folder)


if __name__ == "__main__":
    serve()
    main()
