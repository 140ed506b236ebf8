"""An ad server with a replica in its own process, which checks all the time and writes down when and what.

python -m support.replica_process URL FOLDER ENROLMENT SECRET PEOPLE OUT
Reads commands: `suspend SECONDS` moves the clock on as a suspended machine's does; the end of the input ends it.
"""

import random
import struct
import sys
import threading
import time
from pathlib import Path

from gateway.app.replica import Replica
from gateway.consent.asked import Ask
from gateway.keys import seals
from support import inside
from support.people import gaid, named

RECORD = struct.Struct(">ddI??")  # start and end in seconds of CLOCK_BOOTTIME, person, allowed, stale
PAUSE = 0.003


def boot():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def ask(number):
    return Ask(("teemo",), (named("gaid", gaid(number)),), data=("ad_id",), place="US-NY")


def main(url, folder, file, secret, people, out):
    ahead, over = [0.0], threading.Event()
    opened = seals.open_enrolment(Path(file).read_text(), Path(secret).read_text())
    made = Replica(url, Path(folder), opened, inside.settings(), dev=True, boot_clock=lambda: boot() + ahead[0])

    def check():
        with Path(out).open("wb", buffering=0) as written:
            while not over.is_set():
                number, start = random.randrange(int(people)), boot()
                verdict = made.check(ask(number)).verdicts["teemo"]
                written.write(RECORD.pack(start, boot(), number, verdict.allowed, verdict.reason == "stale"))
                time.sleep(PAUSE)

    with made:
        while not made.follower.fresh():
            time.sleep(0.01)
        checking = threading.Thread(target=check)
        checking.start()
        print("ready", flush=True)
        for line in sys.stdin:
            ahead[0] += float(line.removeprefix("suspend "))
        over.set()
        checking.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
