"""The gateway that is killed at one step on the way from a posted row to a file that arrived: DIES_AT names it.

python -m support.dies_while_sealing serve --dev …
"""

import os
import signal
import sqlite3
from functools import partial
from types import SimpleNamespace

from gateway.cli import main
from gateway.consent import files
from gateway.consent.files import Job, Parts
from gateway.consent.share import Sharing

STEPS = (
    "a record half written", "before a part", "after a part", "before the files are there", "after the files are there",
    "before the disclosures count", "before an upload", "after an upload", "before it is known to have arrived",
)  # fmt: skip
AT = os.environ.get("DIES_AT", "")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def around(owner, name, before, after=""):
    honest = getattr(owner, name)

    def dying(*arguments):
        if before == AT:
            die()
        result = honest(*arguments)
        if after and after == AT:
            die()
        return result

    setattr(owner, name, dying)


async def upload(command, path, honest=files.upload):
    if AT == "before an upload":
        die()
    took = await honest(command, path)
    if AT == "after an upload":
        die()
    return took


class Torn(sqlite3.Connection):
    def execute(self, sql, *values):
        if AT == "a record half written" and sql.startswith("INSERT"):
            super().execute("PRAGMA cache_size = 1")  # so that pages of it are in the file already
            super().execute("BEGIN IMMEDIATE")
            super().execute(sql, *values)
            die()
        return super().execute(sql, *values)


connect = partial(sqlite3.connect, factory=Torn)
files.sqlite3 = SimpleNamespace(**{**vars(sqlite3), "connect": connect})  # its own: others write so too
around(Parts, "write", "before a part", "after a part")
around(Job, "publish", "before the files are there", "after the files are there")
around(Sharing, "settle", "before the disclosures count")
around(Job, "arrived", "before it is known to have arrived")
files.upload = upload

if __name__ == "__main__":
    main()
