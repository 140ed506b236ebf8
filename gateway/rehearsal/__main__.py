"""The process that rehearses: `python -m gateway.rehearsal FOLDER`, started by `gateway.rehearsing`.

Reads an `Order` from its input and leaves what it found in FOLDER. In a process of its own, at the lowest priority, so
that no answer of the service waits for it.
"""

import os
import sys
from pathlib import Path

import msgspec
import structlog

from gateway.rehearsal.running import rehearse
from gateway.rehearsing import FOUND, NICE, Order


def main() -> None:
    os.nice(NICE)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # what the stage logs is of nobody's interest
    folder = Path(sys.argv[1])
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order, strict=False)
    found = rehearse(order.settings, folder / "data", only=order.only, dev=order.dev)
    (folder / FOUND).write_bytes(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
