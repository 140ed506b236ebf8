"""An ad server that opens its replica and then makes a worker, which asks and ends in order.

python -m support.replica_forks URL FOLDER ENROLMENT SECRET [control]
Prints what the worker was told, whether it gave the parent's lease up, and what the parent still has.
"""

import json
import os
import sys
import time
from pathlib import Path

from gateway.app.replica import Replica
from gateway.keys import seals
from gateway.replica.feed import Feed
from support import inside
from support.replica_process import ask


def worker(made, tell):
    Feed.leave = lambda *_: os.write(tell, b"left ")
    os.write(tell, f"{made.check(ask(1)).verdicts['teemo'].reason} ".encode())


def main(url, folder, file, secret, *control):
    if control:
        Replica.forked = lambda self: None
    opened = seals.open_enrolment(Path(file).read_text(), Path(secret).read_text())
    heard, tell = os.pipe()
    with Replica(url, Path(folder), opened, inside.settings(), dev=True) as made:
        while not made.follower.fresh():
            time.sleep(0.01)
        child = os.fork()
        if not child:
            worker(made, tell)
        else:
            os.waitpid(child, 0)
            made.check(ask(2))
            until = time.monotonic() + 5.0  # what could not be applied once is applied a moment later
            while made.follower.why and time.monotonic() < until:
                time.sleep(0.01)
            spools = len(list((Path(folder) / "disclosures").iterdir()))
            said = os.read(heard, 1000).decode().split()
            print(json.dumps({"worker": said, "spools": spools, "lost": made.spool.lost, "why": made.follower.why}))


if __name__ == "__main__":
    main(*sys.argv[1:])
