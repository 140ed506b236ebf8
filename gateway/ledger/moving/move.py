"""The order in which an installation is moved, so that it may be killed anywhere and run again: notes are taken at the
source of whatever is written; all rows are copied; what was noted is copied again, and everything compared; then, with
the writers' lock held, the rest, the proof that the target is the log that was signed last, and the mark on the source
that it is no ledger any more. That commit decides: before it the source is the ledger, behind it the target, which has
all of it by then and only lacks its names. `app.moving` calls it.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway import disk
from gateway.keys import person_keys
from gateway.ledger import schema, tree
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.moving import changed_rows
from gateway.ledger.moving.changed_rows import LOCK
from gateway.ledger.moving.copied_database import CopiedDatabase, CopyDiffers, written
from gateway.ledger.moving.places import BOTH, LEDGER, VAULT, LedgerPlace
from gateway.ledger.moving.tables import MovedTable, ledger_statements, ledger_tables, vault_tables
from gateway.ledger.store import Connection

PATIENCE = 60.0  # seconds for the writers' lock: whoever writes goes first
LAST_SECONDS = 30.0  # of the last step, in which opt-outs are kept beside: a server may stand still, and say nothing
FEW, ROUNDS = 1000, 20  # rows that the last step may still have to copy, and how often that is tried for
HEAD = "SELECT ledger, origin, size, frontier FROM head"
GIVE_UP = "gateway copy --give-up takes away what there is of it"
OTHERS = (
    "{at} has a copy that is not of this ledger, or has more than it: perhaps the only one that another installation"
    " has by now. Nothing was changed. gateway copy finishes it where it was begun; if it is nobody's, take it away:"
    " {names}"
)


def version_of(which: str) -> int:
    return schema.version_wanted() if which == LEDGER else person_keys.FORM_VERSION


def tables_of(which: str) -> tuple[MovedTable, ...]:
    return ledger_tables() if which == LEDGER else vault_tables()


@contextlib.contextmanager
def _no_longer_than(seconds: float, both: Sequence[CopiedDatabase]) -> Iterator[None]:
    """Then servers are given up; what is under way raises."""

    def cut() -> None:
        for each in both:
            each.cut()

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _number_in(source: Connection) -> int:
    """Of the copy that it notes for; 0: none."""
    noted = changed_rows.copy_noted(source)
    return noted.number if noted else 0


@dataclass(slots=True)
class MoveReport:
    """`copied`, `compared`: rows. Seconds: of each part; `paused`: for how long nobody else could write."""

    copied: int = 0
    compared: int = 0
    changed: int = 0
    copying: float = 0.0
    indexing: float = 0.0
    comparing: float = 0.0
    paused: float = 0.0
    rest: int = 0  # rows of the last step


@dataclass(slots=True)
class LedgerMove:
    """`prove`: that a connection shows the log that was signed last. `marks`: of the secrets. `tell`: what is done, and
    how many rows more.
    """

    folder: Path
    source: LedgerPlace
    target: LedgerPlace
    prove: Callable[[Connection], object]
    marks: Sequence[int]
    tell: Callable[[str, int], None]
    report: MoveReport = field(default_factory=MoveReport)

    def move_all(self) -> MoveReport:
        """Begins, goes on, or finishes. Raises `LedgerRefused`; the ledger is then where it was, or the same command
        finishes what is left to do.
        """
        with self._alone():
            if not self._is_moved():
                number = self._begin()
                with self._databases() as both:
                    self._bring_rows(both)
                    self._hand_over(both, number)
            time.sleep(self.source.proved_for)  # also where an earlier run was cut off behind its mark
            self._finish()
        return self.report

    def give_up(self) -> None:
        """Takes away what there is of a copy that is not to be finished. Raises `LedgerRefused` behind the point where
        the source is the ledger no more.
        """
        with self._alone():
            if self._is_moved():
                raise LedgerRefused("the source is no ledger any more: run gateway copy again, which finishes it")
            self._prove_no_others()
            for which in BOTH:
                with self._writing_source(which) as db:
                    changed_rows.end_notes(db)
            self.target.drop_target()

    def _prove_no_others(self) -> None:
        """That nobody else's ledger is in what there is at the target: it has no log yet, or nothing that the source
        has not too. A copy of another installation may be whole, and only lack its names. Raises `LedgerRefused`.
        """
        with contextlib.closing(self.source.open_source(LEDGER, writes=False)) as db:
            [(ledger, _, size, _)] = db.execute(HEAD).fetchall()
        for which in BOTH:
            if (target := self.target.open_target(which)) is None:
                continue
            with contextlib.closing(target):
                version = schema.version(target, Path(self.target.name))
                heads = target.execute(HEAD).fetchall() if which == LEDGER and version < 0 else []
            if version > 0 or any(head[0] != ledger or head[2] > size for head in heads):
                raise LedgerRefused(OTHERS.format(at=self.target.name, names=self.target.arriving))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with disk.locked(self.folder / LOCK, wait=False):
                yield
        except BlockingIOError:
            raise LedgerRefused(f"another gateway copy of {self.folder} is under way") from None

    def _held(self) -> contextlib.AbstractContextManager[None]:
        return schema.held(self.folder, PATIENCE)

    @contextlib.contextmanager
    def _writing_source(self, which: str) -> Iterator[Connection]:
        """Under the lock, until it is closed."""
        with self._held(), contextlib.closing(self.source.open_source(which, writes=True)) as db:
            yield db

    def _is_moved(self) -> bool:
        """Whether the source is a ledger no more. Raises `LedgerRefused` for one of another version."""
        with contextlib.closing(self.source.open_source(LEDGER, writes=False)) as db:
            found, wanted = schema.version(db, Path(self.source.name)), schema.version_wanted()
        if found not in {wanted, schema.MOVED}:
            raise LedgerRefused(f"{self.source.name} has version {found} of {wanted}: run gateway migrate first")
        return found == schema.MOVED

    # ---- beginning ----

    def _begin(self) -> int:
        """The copy's number, which is on both sides: a target of another one has not what was noted for this."""
        with contextlib.closing(self.source.open_source(LEDGER, writes=False)) as db:
            schema.prove_mark(db, Path(self.source.name), self.marks)
        if taken := self.target.taken():
            raise LedgerRefused(
                f"{self.target.name} has a ledger already, or a part of one ({', '.join(taken)}), and nothing is"
                " overwritten. What an earlier move left there is yours to delete (gateway help postgresql)"
            )
        self._prove_no_others()
        noted, found = self._noted(), self._number_of_target()
        if noted and noted == found:
            return noted
        if found:
            raise LedgerRefused(f"{self.target.name} has half of another copy: {GIVE_UP}")
        self.target.drop_target()  # one that was cut off while it was made
        number = 0
        for which in BOTH:
            with self._writing_source(which) as db:
                number = changed_rows.note_from_now(db, tables_of(which), int(time.time() * 1000), number)
        for which in BOTH:
            with contextlib.closing(self.target.make_target(which)) as db, written(db):
                for sql in ledger_statements()[0] if which == LEDGER else (person_keys.FORM,):
                    db.execute(sql)
                db.execute(f"PRAGMA application_id = {number:d}")
                db.execute(f"PRAGMA user_version = {-version_of(which):d}")
        return number

    def _noted(self) -> int:
        """Of the source; 0: none, or of one database alone."""
        found = set[int]()
        for which in BOTH:
            with contextlib.closing(self.source.open_source(which, writes=False)) as db:
                found.add(_number_in(db))
        return found.pop() if len(found) == 1 else 0

    def _number_of_target(self) -> int:
        """0: there is none, or not all of its tables."""
        found = set[int]()
        for which in BOTH:
            if (db := self.target.open_target(which)) is None:
                return 0
            with contextlib.closing(db):
                version = schema.version(db, Path(self.target.name))
                if version not in {0, -version_of(which)}:
                    raise LedgerRefused(f"{self.target.name} has half of a copy of another version: {GIVE_UP}")
                found.add(int(db.execute("PRAGMA application_id").fetchall()[0][0]) if version else 0)
        return found.pop() if len(found) == 1 else 0

    @contextlib.contextmanager
    def _databases(self) -> Iterator[Sequence[CopiedDatabase]]:
        """The vault, then the ledger."""
        both = list[CopiedDatabase]()
        try:
            for which in BOTH:
                target = self.target.open_target(which)
                assert target
                reads, writes = (self.source.open_source(which, writes=writes) for writes in (False, True))
                both.append(CopiedDatabase(which, tables_of(which), reads, writes, target))
            yield both
        finally:
            with contextlib.ExitStack() as stack:  # closing a writing connection is a hidden checkpoint
                with contextlib.suppress(LedgerRefused):
                    stack.enter_context(self._held())
                for each in both:
                    each.close()

    # ---- while everybody writes ----

    def _bring_rows(self, both: Sequence[CopiedDatabase]) -> None:
        began = time.monotonic()
        for each in both:
            each.copy_rest(self._copied)
        self.report.copying, began = time.monotonic() - began, time.monotonic()
        self.tell("making the indexes", 0)
        for sql in ledger_statements()[1].indexes.values():
            both[-1].target.execute(sql)
            disk.tidy(both[-1].target)
        self.report.indexing, began = time.monotonic() - began, time.monotonic()
        self._catch_up(both)
        for each in both:
            each.compare_all(self._compared)
        self.report.comparing = time.monotonic() - began
        for each in both:
            self.target.learn_tables(each.target, each.tables)
        self._catch_up(both)

    def _copied(self, rows: int) -> None:
        self.report.copied += rows
        self.tell("copying rows", rows)

    def _compared(self, rows: int) -> None:
        self.report.compared += rows
        self.tell("comparing rows", rows)

    def _catch_up(self, both: Sequence[CopiedDatabase]) -> None:
        """Until little is left for the last step, or as much as ever."""
        for _ in range(ROUNDS):
            rows = sum(each.catch_up(self._held) for each in both)
            self.report.changed += rows
            self.tell("copying what was written meanwhile", rows)
            if rows < FEW:
                return

    # ---- the last step ----

    def _hand_over(self, both: Sequence[CopiedDatabase], number: int) -> None:
        """With everybody's writing held up."""
        vault, ledger = both
        with self._held(), _no_longer_than(LAST_SECONDS, both):
            began = time.monotonic()
            try:
                for each in (ledger, vault):
                    each.writes.execute("BEGIN IMMEDIATE")
                for each in (ledger, vault):
                    self.report.rest += each.copy_changed(each.writes)[1]
                    self._prove_same(each, number)
                    each.prove_changed(each.writes)
                self._prove_log(ledger.writes, ledger.target)
                for each in both:
                    each.keep_target()  # before the source is none any more
                self._mark_moved(ledger.writes)
                ledger.writes.execute("COMMIT")
                self._mark_moved(vault.writes)
                vault.writes.execute("COMMIT")
            finally:
                for each in both:
                    with contextlib.suppress(sqlite3.Error):
                        if each.writes.in_transaction:
                            each.writes.execute("ROLLBACK")
            self.report.paused = time.monotonic() - began

    def _prove_same(self, each: CopiedDatabase, number: int) -> None:
        """That the source notes for this copy still, and has the tables that were copied."""
        if _number_in(each.writes) != number:
            raise LedgerRefused("the copy was given up, or begun anew, meanwhile")
        if (found := schema.version(each.writes, Path(self.source.name))) != version_of(each.name):
            raise LedgerRefused(
                f"{self.source.name} has version {found} by now, and a newer release may keep more than was copied:"
                f" begin again with that release; {GIVE_UP}"
            )

    def _prove_log(self, source: Connection, target: Connection) -> None:
        [(size, end)] = target.execute(schema.ENDS).fetchall()
        if size != end or source.execute(HEAD).fetchall() != target.execute(HEAD).fetchall():
            raise CopyDiffers("the log at the target does not end as the source's; nothing was switched")
        tree.prove(target)
        self.prove(target)

    @staticmethod
    def _mark_moved(db: Connection) -> None:
        db.execute(f"PRAGMA application_id = {schema.MOVED:d}")
        db.execute(f"PRAGMA user_version = {schema.MOVED:d}")

    # ---- behind it ----

    def _finish(self) -> None:
        """What is left once the source is marked; each step may be done again."""
        with contextlib.closing(self.source.open_source(LEDGER, writes=False)) as db:
            number, head = _number_in(db), db.execute(HEAD).fetchall()
        self._prove_target(number, head)
        with self._writing_source(VAULT) as db:
            if db.execute("PRAGMA user_version").fetchall()[0][0] != person_keys.MOVED:
                db.execute("BEGIN IMMEDIATE")
                self._mark_moved(db)
                db.execute("COMMIT")
        for which in BOTH:
            if (target := self.target.open_target(which)) is not None:
                with contextlib.closing(target):
                    self._complete(which, target)
        self.target.give_names()

    def _prove_target(self, number: int, head: list[tuple[object, ...]]) -> None:
        """That the target is the one of this copy. Raises `LedgerRefused`."""
        found = self.target.open_target(LEDGER) or self.target.open_named()
        if found is None:
            raise LedgerRefused(schema.moved_on(Path(self.source.name)))
        with contextlib.closing(found) as db:
            at, here = db.execute("PRAGMA application_id").fetchall()[0][0], db.execute(HEAD).fetchall()
        if at not in {number, *self.marks} or here != head:
            raise LedgerRefused(f"{self.target.name} is not where the ledger was moved to; name the right one")

    def _complete(self, which: str, db: Connection) -> None:
        """Everything that a ledger has, and its version, in one transaction."""
        if db.execute("PRAGMA user_version").fetchall()[0][0] == version_of(which):
            return
        with written(db):
            self.target.count_on(db, tables_of(which))
            if which == LEDGER:
                for sql in ledger_statements()[1].triggers.values():
                    db.execute(sql)
                mark = schema.mark_of(Path(self.target.name), self.marks, schema.peppers_in(db))
                db.execute(f"PRAGMA application_id = {mark:d}")
            else:
                db.execute("PRAGMA application_id = 0")
            db.execute(f"PRAGMA user_version = {version_of(which):d}")
