"""A process that appends to the log while it is recorded: python -m support.log_under_recorder DATA NAME RUN FAILS WAY.

What it acknowledges it writes into a file of its own, `told`, a line each: so the recording has the moment. FAILS: the
file that makes syncs fail, those of the file whose name it holds. WAY: how it goes on to its end.
"""

import asyncio
import os
import sys
from pathlib import Path

from gateway import disk
from gateway.ledger import schema
from gateway.ledger.engine import sqlite_log
from gateway.ledger.engine.sqlite_log import FILE, SqliteLog
from gateway.ledger.errors import NothingKept
from support.log_engines import EPOCH, NOW, batch, record, request

BATCHES = 40


class RecordedAppender:
    def __init__(self, folder, name, run, fails):
        self.folder, self.name, self.run, self.fails = folder, name, run, fails
        self.told = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.log = SqliteLog(folder, name)

    async def append(self, number, size=300):
        words = [record(f"{self.run}.{number}.{turn}", side=os.urandom(size)) for turn in range(number % 4 + 1)]
        outcomes = await self.log.append(batch(*map(request, words)))
        lines = (f"{word.leaf.decode()} {placed.first}\n" for word, placed in zip(words, outcomes, strict=True))
        os.write(self.told, "".join(lines).encode())

    async def many(self, first, count=BATCHES, size=300):
        await asyncio.gather(*(self.append(number, size) for number in range(first, first + count)))

    async def refused(self, first, count=5):
        """Each sync of the write-ahead log fails for a while."""
        self.fails.write_text(f"{FILE}-wal")
        done = await asyncio.gather(
            *(self.append(number) for number in range(first, first + count)), return_exceptions=True
        )
        assert {*map(type, done)} == {NothingKept}, done


async def quiet(one):
    """Appends, is tidied, rewritten, pruned, closed, opened."""
    for turn in range(4):
        await one.many(turn * BATCHES)
        await one.log.rewrite([turn], [b"other side"], NOW)
        await one.log.prune(turn, NOW)
    await one.log.close()
    one.log = SqliteLog(one.folder, one.name)
    await one.many(1000)


async def failing(one):
    """A commit's sync fails, and it goes on."""
    await one.many(0)
    for turn in range(1, 4):
        await one.refused(turn * 1000)
        one.fails.unlink()
        await one.many(turn * 1000 + 100, 10)


async def bringing(one):
    """The file's own syncs fail while the log beside it is brought over."""
    await one.many(0)
    one.fails.write_text(FILE)
    for turn in range(1, 4):
        await one.many(turn * BATCHES)
        await asyncio.sleep(0.03)
    one.fails.unlink()
    for turn in range(4, 8):
        await one.many(turn * BATCHES)
        await asyncio.sleep(0.03)
    await one.log.close()


async def dying(one):
    """A commit's sync fails, and the process is killed before anything else is done."""
    sqlite_log.TIDIED_EVERY = (
        1e9  # the log beside the file is not begun anew, which would fail before anything is in it
    )
    await one.many(0, 10)
    sqlite_log.LogFile._stands = lambda *_: os._exit(1)
    await one.refused(1000)


async def after(one):
    """The next one, which only reads at first."""
    head = await one.log.head()
    for each in await one.log.read(head.kept, 4096):
        os.write(one.told, f"{each.leaf.decode()} {each.seq}\n".encode())
    await one.many(2000, 10)


if __name__ == "__main__":
    sqlite_log.TIDIED_EVERY = 0.02
    folder, name = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
    if "trusting" in sys.argv[5:]:
        disk.write_log_back = lambda _: None
    if not (folder / FILE).exists():
        with schema.held(folder):
            sqlite_log.make_log(folder, name, EPOCH)
    ways = {"quiet": quiet, "failing": failing, "bringing": bringing, "dying": dying, "after": after}
    asyncio.run(ways[sys.argv[5]](RecordedAppender(folder, name, sys.argv[3], Path(sys.argv[4]))))
