"""A process that appends to the log in a folder until it is stopped, and prints a line for each record that was
acknowledged: its word and its number. A batch that was not kept is sent again under its id, as whoever enters the
emergency file does. `python -m support.appends_to_log FOLDER NAME RUN`.
"""

import asyncio
import sys
from itertools import count
from pathlib import Path

from gateway.ledger.engine.sqlite_log import SqliteLog
from gateway.ledger.errors import NothingKept
from support.log_engines import batch, request

AT_ONCE = 3  # appenders


class Appender:
    """`kept`: how many batches were refused and are to be sent again."""

    def __init__(self, folder, name, run):
        self.log, self.run, self.numbers = SqliteLog(folder, name), run, count()

    def batch_of(self, number):
        words = [f"{self.run}.{number}.{turn}" for turn in range(number % 5 + 1)]
        return batch(*(request(word, key=word.encode()) for word in words))

    async def append(self):
        kept = []
        for number in self.numbers:
            kept.append(self.batch_of(number))
            kept = [each for each in kept if not await self.send(each)]

    async def send(self, one):
        try:
            outcomes = await self.log.append(one)
        except NothingKept as refused:
            sys.stderr.write(f"{refused}\n")
            return False
        for each, placed in zip(one.requests, outcomes, strict=True):
            sys.stdout.write(f"{each.records[0].leaf.decode()} {placed.first}\n")
        sys.stdout.flush()
        return True


async def appending(folder, name, run):
    appender = Appender(folder, name, run)
    await asyncio.gather(*(appender.append() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(appending(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), sys.argv[3]))
