"""The store: what an engine has to offer so that the ledger can stand on it. The writer, readers, proofs and rules
above know no other file, lock or engine than this.

A connection is one of DB-API 2.0 as sqlite3 has it, without transactions of its own: `execute` with question marks,
explicit BEGIN, SAVEPOINT and COMMIT. The head row is read in every transaction and grown by whoever holds `held`, so
numbers have no gaps; nothing above asks for sequences, advisory locks or notifications. Trees, proofs, commitments and
seals live above; the store keeps bytes.
"""

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

Connection = sqlite3.Connection


@dataclass(frozen=True, slots=True)
class Caps:
    """What a store promises. `durability`: what a commit outlives, the process, a power cut or the machine. Tests ask
    for these, never for an engine's name.
    """

    engine: str
    version: str
    durability: Literal["process", "power", "node"]
    processes: bool  # whether several processes may open it at once


class Store(Protocol):
    """Every call raises `LedgerRefused` where the ledger must not be used, with the command that helps."""

    @property
    def caps(self) -> Caps: ...

    def held(self) -> AbstractContextManager[None]:
        """The writers' lock: whoever has it is the only one, in whichever process, that commits or checkpoints."""

    def open_to_write(self) -> Connection:
        """After every start-up check. A commit on it is as durable as `caps` says before it returns."""

    def open_to_read(self) -> Connection:
        """Sees at each statement whatever was committed before it; within BEGIN one moment."""

    def tidy(self, db: Connection, *, idle: bool) -> None:
        """Between two batches, under the lock: what the engine wants done. `idle`: nobody waits."""

    def zero(self, db: Connection, at: int) -> int | None:
        """Between two batches, under the lock: takes away a part of what deleted rows left in the files. `at` 0: from
        the beginning. Returns where to go on; None where nothing is left.
        """
