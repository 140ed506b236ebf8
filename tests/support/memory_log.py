"""The log in memory: the smallest engine there is, so that what the suite asks owes nothing to files or a database. It
lives as long as `KeptRecords` does; every `MemoryLog` on it is another process, as it were.
"""

import asyncio
import contextlib
import copy
import os
import threading

from gateway.ledger.engine import log
from gateway.ledger.errors import NothingKept, StoreUnavailable
from gateway.terms import DAY_MS


class KeptRecords:
    """What is durable."""

    def __init__(self, name, epoch):
        self.lock = threading.Lock()
        self.head = log.LogHead(name, 0, 0, epoch)
        self.records, self.repeats, self.batches = {}, {}, {}

    def become(self, other):
        """At once, as a commit is."""
        self.head, self.records = other.head, other.records
        self.repeats, self.batches = other.repeats, other.batches

    def draft(self):
        made = copy.copy(self)
        made.records, made.repeats, made.batches = {**self.records}, {**self.repeats}, {**self.batches}
        return made


class MemoryTransaction(log.LogTransaction):
    def __init__(self, draft, at):
        self._draft, self._at = draft, at
        self.outcomes = ()

    @property
    def head(self):
        return self._draft.head

    def read(self, after, limit):
        log.prove_reading(after, limit)
        return [self._draft.records[seq] for seq in sorted(self._draft.records) if seq >= after][:limit]

    def append(self, requests):
        known = {name: found for name, (found, _) in self._draft.repeats.items()}
        outcomes, records, repeats = log.place_requests(requests, self.head.size, known)
        self._draft.records |= {each.seq: each for each in records}
        self._draft.repeats |= {name: (each, self._at) for name, each in repeats.items()}
        self._draft.head = self.head._replace(size=self.head.size + len(records))
        self.outcomes += outcomes
        return outcomes

    def rewrite(self, seqs, sides):
        log.prove_sides(seqs, sides)
        if not self._draft.records.keys() >= {*seqs}:
            raise ValueError("a number that has no record")
        for seq, side in zip(seqs, sides, strict=True):
            self._draft.records[seq] = self._draft.records[seq]._replace(side=side)

    def prune(self, below):
        if not self.head.kept <= below <= self.head.size:
            raise ValueError(f"not below {below}")
        self._draft.head = self.head._replace(kept=below)
        for seq in [seq for seq in self._draft.records if seq < below]:
            del self._draft.records[seq]

    def rekey(self, epoch):
        self._draft.head = self.head._replace(epoch=epoch)


class MemoryLog(log.Log):
    def __init__(self, kept, name):
        self._kept, self._name = kept, name
        self._begun, self._closed = set(), False

    async def append(self, batch):
        log.prove_batch(batch)

        def job(tx):
            known = self._kept.batches.get(batch.id)
            if known:
                return log.as_repeats(known[0])
            if log.moved_from(batch, tx.head):
                raise log.Moved(tx.head)
            return tx.append(batch.requests)

        return await self._to_its_end(job, batch.at, batch.id)

    async def transaction(self, job, at):
        return await self._to_its_end(job, at, os.urandom(log.ID_BYTES))

    async def read(self, after, limit):
        return MemoryTransaction(self._there(), 0).read(after, limit)

    async def head(self):
        return self._there().head

    async def idempotent(self, repeat):
        known = self._there().repeats.get(repeat.name)
        return known[0].outcome(repeat.content) if known else None

    async def batch_outcome(self, batch):
        known = self._there().batches.get(batch)
        return known[0] if known else None

    async def expire(self, now):
        def job(tx):
            old = now - log.KEPT_DAYS * DAY_MS
            for kept in (tx._draft.repeats, tx._draft.batches):
                for key in [key for key, (_, at) in kept.items() if at < old]:
                    del kept[key]
            return False

        return await self.transaction(job, now)

    async def close(self):
        self._closed = True
        while self._begun:
            await asyncio.wait({*self._begun})

    def _there(self):
        if self._closed or self._kept.head.log != self._name:
            raise StoreUnavailable("closed, or another log")
        return self._kept

    async def _to_its_end(self, job, at, batch):
        if self._closed or self._kept.head.log != self._name:
            raise NothingKept("closed, or another log")
        task = asyncio.create_task(asyncio.to_thread(self._run, job, at, batch))
        self._begun.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task):
        self._begun.discard(task)
        task.exception()

    def _run(self, job, at, batch):
        with self._kept.lock:
            draft = self._kept.draft()
            tx = MemoryTransaction(draft, at)
            result = job(tx)
            draft.batches.setdefault(batch, (tx.outcomes, at))
            with contextlib.suppress(ConnectionError):
                self._make_durable(draft)
                return result
            if batch not in self._kept.batches:
                raise NothingKept("nothing was kept")
            return result

    def _make_durable(self, draft):
        self._kept.become(draft)
