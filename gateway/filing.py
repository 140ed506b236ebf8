"""Files for recipients that take files (I19): rows wait sealed, are checked again when the job is sealed, and may be
sent until `valid_until` of the manifest and no later.

Each row of a file was checked after the sealing began, and the file is good for `valid_minutes` from that beginning: so
an opt-out's `effective_at` is its `accepted_at` plus those minutes where somebody takes files (design decision 13). A
file that is over is taken away, and the job must be sealed again.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from gateway import seals
from gateway.choice.recipient import Recipient
from gateway.delivery.spool import Job, Parts, Sealed, Spool
from gateway.delivery.upload import upload
from gateway.keys import Secrets
from gateway.ledger.entry import b64
from gateway.sharing import HANDLE, Row, Shared, Sharing

SWEEPING = 5.0  # seconds: a file that is over is there for so long at most
Reader = Callable[[Recipient, bytes], Row]  # a posted line as a row
BETWEEN = b" "  # a handle and the line that it is of; before what was put by without one stands a brace


class NoSuchJob(Exception):
    """Nothing was posted under this name, or it is a week ago."""


class JobOver(Exception):
    """Rows came for a job that was sealed: its files may be on their way."""


@dataclass(frozen=True, slots=True)
class Filed:
    """`outcome`: `sealed` (the operator sends it), `sent` (our upload did), `unknown` (it did not end well).
    `refused`: rows that waited and do not stand in the files, by why. `made`: the files are new ones.
    """

    sealed: Sealed
    outcome: str
    refused: dict[str, int] = field(default_factory=dict)
    made: bool = False


class Filing:
    """One instance. Of a recipient one job at a time is sealed; of a job one chunk at a time is kept."""

    def __init__(self, sharing: Sharing, folder: Path, secrets: Secrets, clock: Callable[[], datetime]) -> None:
        self._sharing = sharing
        self._spool = Spool(folder, secrets)
        self._clock = clock
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Takes away what is over until it is left."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeping

    async def _sweep(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # a disk that fails now may not the next time
                await asyncio.to_thread(self._spool.sweep, self._clock())
            await asyncio.sleep(SWEEPING)

    async def keep(self, recipient: Recipient, name: str, lines: Sequence[bytes], rows: Sequence[Row]) -> list[Shared]:
        """Puts by what may go as things are. Durable when this returns. Raises `JobOver`."""
        shared = await self._sharing.try_out(recipient, rows)
        handles = await self._sharing.handles(recipient, [item.id for item in shared if item.outcome == "spooled"])
        told = [replace(item, row={HANDLE: b64(handles[item.id])}) if item.id in handles else item for item in shared]
        going = [
            b64(handles[item.id]).encode() + BETWEEN + line
            for line, item in zip(lines, shared, strict=True) if item.outcome == "spooled"
        ]  # fmt: skip
        async with self._busy[f"{recipient.name}/{name}"]:
            job = self._spool.job(recipient.name, name)
            sealed = await asyncio.to_thread(job.sealed)
            if sealed and (sealed.uploaded or self._clock() < sealed.valid_until):
                raise JobOver("the job was sealed; take another name for further rows")
            if going:
                await asyncio.to_thread(job.append, going)
        return told

    async def seal(self, recipient: Recipient, name: str, read: Reader) -> Filed:
        """Checks every row of a job again and makes its files, or answers with those that are good still. Raises
        `NoSuchJob`, and `StoreUnavailable`: then nothing was sealed.
        """
        async with self._busy[recipient.name], self._busy[f"{recipient.name}/{name}"]:
            job = self._spool.job(recipient.name, name)
            sealed, refused, made = await asyncio.to_thread(job.sealed), dict[str, int](), False
            if sealed is None or not (sealed.uploaded or self._clock() < sealed.valid_until):
                if not await asyncio.to_thread(lambda: job.is_there):
                    raise NoSuchJob("no rows wait under this name")
                if sealed:
                    await self._settle(recipient, sealed, "unknown")
                    await asyncio.to_thread(job.discard)
                (sealed, refused), made = await self._make(recipient, name, job, read), True
            return Filed(sealed, await self._hand_over(recipient, job, sealed), refused, made)

    async def _make(self, recipient: Recipient, name: str, job: Job, read: Reader) -> tuple[Sealed, dict[str, int]]:
        began, since = self._clock(), await self._sharing.size()
        parts, counted = await asyncio.to_thread(job.begin), Counter[str]()
        try:
            chunks = await asyncio.to_thread(lambda: iter(job.chunks()))
            while (lines := await asyncio.to_thread(next, chunks, None)) is not None:
                rows = [_put_by(recipient, line, read) for line in lines]
                taken = await self._sharing.take(recipient, rows, since)
                counted.update(str(item.reason) for item in taken.shared if item.outcome != "sealed")
                await asyncio.to_thread(parts.write, taken.lines, taken.marks)
        except BaseException:
            parts.abandon()
            raise
        return await asyncio.to_thread(self._publish, recipient, name, job, parts, began), dict(counted)

    @staticmethod
    def _publish(recipient: Recipient, name: str, job: Job, parts: Parts, began: datetime) -> Sealed:
        until = began + timedelta(minutes=recipient.valid_minutes)
        manifest = {
            "recipient": recipient.name, "job": name, "rows": sum(part["rows"] for part in parts.listed),
            "sealed_at": began.isoformat(timespec="seconds"), "valid_until": until.isoformat(timespec="milliseconds"),
        }  # fmt: skip
        return job.publish(parts, manifest)

    async def _hand_over(self, recipient: Recipient, job: Job, sealed: Sealed) -> str:
        """Files that the operator sends count as sent from now on; what our command did not take, nobody knows of."""
        if sealed.uploaded:
            return "sent"
        if not recipient.upload:
            await self._settle(recipient, sealed, "sent")
            return "sealed"
        for path in sealed.files:
            if self._clock() >= sealed.valid_until or not await upload(recipient.upload, path):
                await self._settle(recipient, sealed, "unknown")
                return "unknown"
        await self._settle(recipient, sealed, "sent")
        await asyncio.to_thread(job.arrived)
        return "sent"

    async def _settle(self, recipient: Recipient, sealed: Sealed, outcome: str) -> None:
        marks = await asyncio.to_thread(sealed.marks)
        while (some := await asyncio.to_thread(next, marks, None)) is not None:
            await self._sharing.settle(recipient, some, outcome)


def _put_by(recipient: Recipient, line: bytes, read: Reader) -> Row:
    """A row that waited, under the handle that its caller was told."""
    handle, _, posted = line.partition(BETWEEN)
    try:
        told = seals.unb64(handle.decode("ascii"))
    except (seals.Opening, UnicodeDecodeError):
        return read(recipient, line)
    return replace(read(recipient, posted), handle=told)
