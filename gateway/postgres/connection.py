"""A connection to PostgreSQL that looks as sqlite3's does: question marks, explicit BEGIN, SAVEPOINT and COMMIT, rows
as tuples, errors that are `sqlite3.Error`. The store hands it to the writer and to everybody who reads.

What a commit may not be taken for is decided here. PostgreSQL reports a commit as done that no longer waits for its
standby (a notice of class 01: the wait was cancelled); after a failover it is gone. Such a connection is ended, and
whoever committed on it is told that nothing is known. A transaction that writes holds one row from its first statement
on: so numbers have no gaps whichever host writes, and a batch that only finds what is there still waits for a commit of
its own.
"""

import contextlib
import itertools
import os
import re
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg import errors, pq
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import BytesBinaryDumper

from gateway.postgres.address import BOOTS, NOBODY, OWNERS, RoleRefused
from gateway.postgres.dialect import FUNCTIONS, in_postgres
from gateway.postgres.silence import HeardConnection
from gateway.terms import TextUnkeepable

SETTING = re.compile(r"PRAGMA (user_version|application_id)(?: = (-?\d+))?$")
MADE = """
CREATE SCHEMA {schema};
{functions}
CREATE TABLE setting (name text PRIMARY KEY, value bigint NOT NULL);
INSERT INTO setting VALUES ('user_version', 0), ('application_id', 0), ('writer', 0);
CREATE TABLE host (
  number bigint PRIMARY KEY, applied bigint NOT NULL DEFAULT 0, renewals bigint NOT NULL DEFAULT 0,
  signed bigint NOT NULL DEFAULT 0
);
CREATE TABLE shared_epoch (number bigint PRIMARY KEY, begun bigint NOT NULL, dies bigint NOT NULL, box bytea NOT NULL);
CREATE TABLE forgotten_elsewhere (place bigint NOT NULL, box bytea NOT NULL)
"""
# The row that whoever writes holds until its commit is over.
TURN = "SELECT value FROM setting WHERE name = 'writer' FOR UPDATE"
# A server that is another one's standby by now tells what it knew, and nobody knows how old that is.
HOSTS = (
    "SELECT max(renewals) FILTER (WHERE number = $1), count(*), (SELECT value FROM setting WHERE name = 'user_version')"
    " FROM host WHERE NOT pg_is_in_recovery()"
)
CHANNEL = "gateway_ledger"  # on which it is said that something was committed, by the number of the host
# In `renewals` stands so many times the number of the boot that renews the row, and how often it did, which begins anew
# after six days. In a row of an older release it is a count alone, which is no boot's.
COUNTS = 2**20
RENEWS = "UPDATE host SET renewals = $3 + (renewals + 1) % $4, applied = $2 WHERE number = $1"
ACKNOWLEDGES = (
    "UPDATE host SET applied = $2 WHERE number = $1 AND renewals / $4 = $3"
    " RETURNING (SELECT size FROM head), (SELECT frontier FROM head)"
)
TAKES = "UPDATE host SET renewals = $2 WHERE number = $1 AND renewals = $3"
LOOKS = 0.1  # seconds between two looks at a row that another boot renewed
BEGINS_TO_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
CONNECT_SECONDS = 2  # a host
# A machine that is gone says nothing, and without these it would be waited for a quarter of an hour.
GIVES_UP: dict[str, Any] = {
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
# Milliseconds. None for a statement: a commit that is cut off is one of which nobody knows. A machine that stands still
# in the middle of a transaction does not hold up another one for longer, and an opt-out is kept beside meanwhile.
FORGETTING = ("DROP", "ALTER", "ROLLBACK TO")
TIMES = "-c statement_timeout=0 -c lock_timeout=10000 -c idle_in_transaction_session_timeout="
WRITES_WITHIN, READS_WITHIN = 10_000, 60_000  # between two statements; all other machines wait for one that writes
# Of whoever serves: what it computes between two is some milliseconds, for what takes long is folded outside, where it
# holds up nobody: of some hundred thousand people that another machine pruned it takes minutes.
SERVES_WITHIN, FOLDS_WITHIN = 3_000, 3_600_000
# Whatever a role, a database or the server is set to: with less a commit is reported that no disk has yet, or none of
# the standby's. `remote_apply` is more.
KEEPS = """
SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
  WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)
"""
# Behind the row that it waited for a transaction has to see what others committed meanwhile.
SEES = r"-c default_transaction_isolation=read\ committed"
ANOTHERS = "the ledger is another machine's: this one was never joined to it, or was put out by a --take-over"
CLONED = (
    "a clone of this machine runs and has its number: stop one of the two; or, for two machines, remove store.host from"
    " the data folder of one and run gateway migrate --join there (gateway help postgresql)"
)
MIGRATED = "another machine's gateway gave the ledger another version: install the same one here"
PART, NUMBERS = 2000, itertools.count()  # rows that are fetched at once
COPIED = {"INTEGER": "int8", "TEXT": "text", "BLOB": "bytea"}


class PostgresError(sqlite3.OperationalError):
    """The server refused a statement, or is away; by itself that is no damage."""

    sqlite_errorcode = sqlite3.SQLITE_IOERR


class AnotherBoot(PostgresError):
    """Of this machine's row, which the boot before renews, or a machine that has the same disk: its clone."""


class PostgresConflict(PostgresError, sqlite3.IntegrityError):
    """A row that is there already, or one without what it must have."""


class _Whole(Int8BinaryDumper):
    """Every whole number is a bigint, and so is yes or no: a statement has one plan, whatever its values."""

    def dump(self, obj: Any) -> Any:
        return super().dump(int(obj))


class _Truth(Loader):
    """Comparisons are 1 or 0, as SQLite has them."""

    def load(self, data: Any) -> int:
        return int(bytes(data) == b"t")


class _Sum(Loader):
    """Sums of whole numbers are whole."""

    def load(self, data: Any) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text else int(text)


class Rows:
    """What a statement gave, as sqlite3's cursor shows it. Statements of a writing transaction are sent without waiting
    for each other; whoever looks at what one gave waits for all that were sent (`arrive`).
    """

    def __init__(self, cursor: Any, arrive: Callable[[], None]) -> None:
        self._cursor, self._arrive = cursor, arrive
        self._going: Iterator[tuple[Any, ...]] | None = None

    @property
    def rowcount(self) -> int:
        """Of how many rows the statement did something."""
        return int(self._arrived().rowcount)

    @property
    def said(self) -> str:
        """The server's word for what it did: a COMMIT of a transaction in which something failed is a ROLLBACK."""
        return str(self._arrived().statusmessage)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    def fetchone(self) -> tuple[Any, ...] | None:
        made = self._arrived()
        return made.fetchone() if made.description else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        made = self._arrived()
        return made.fetchall() if made.description else []

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """The next ones, none at the end."""
        self._going = self._going or iter(self)
        return list(itertools.islice(self._going, size))

    def _arrived(self) -> Any:
        if self._cursor.pgresult is None:
            self._arrive()
        if self._cursor.pgresult is None and self._cursor.rowcount < 0:  # one before it was refused
            raise PostgresError("the statement was not run")
        return self._cursor


class MomentRows(Rows):
    """What is read within one moment: run when somebody looks, and by parts for whoever goes through it, for a ledger
    has more rows than a process has room for.
    """

    def __init__(self, connection: psycopg.Connection[Any], text: str, given: Any) -> None:
        super().__init__(None, lambda: None)
        self._connection, self._text, self._given = connection, text, given

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        with _errors(), psycopg.RawServerCursor(self._connection, f"rows_{next(NUMBERS)}") as cursor:
            cursor.itersize = PART
            yield from cursor.execute(self._text, self._given or None)

    def _arrived(self) -> Any:
        if self._cursor is None:
            with _errors():
                self._cursor = self._connection.cursor().execute(self._text, self._given or None)
        return self._cursor


class PostgresConnection:
    """`writes`: whether its transactions hold the row of whoever writes. `host`: the number of this machine, which must
    be among those that may write and read; None: nobody asks. `boot`: the number of its boot, which must be the
    one that renews its row; None: nobody asks. `home`: who may keep it when it is closed, to be used again, and says
    whether it is kept. Raises `sqlite3.Error` where the server cannot be reached.
    """

    is_server = True
    text_factory: Any = str  # a server has no text that is none

    def __init__(
        self, url: str, schema: str, host: int | None = None, *, writes: bool, boot: int | None = None,
        home: "Callable[[PostgresConnection], bool] | None" = None,
    ) -> None:  # fmt: skip
        self._schema, self.host, self._writes, self._home, self._doubt = schema, host, writes, home, ""
        self._boot, self._renewed = boot, 0  # its row's `renewals`, as of the last proof
        self._sending: psycopg.Pipeline | None = None
        self.hosts = 1  # that may write, as of the last proof
        self._version, self._pinned = 0, 0  # of the ledger: as of the last proof, and the one that is known here
        self._stack = contextlib.ExitStack()
        self._db: HeardConnection | Any = None
        times = f"{TIMES}{WRITES_WITHIN if writes else READS_WITHIN}"
        with _errors():
            self._db = HeardConnection.connect(
                url, autocommit=True, connect_timeout=CONNECT_SECONDS, cursor_factory=psycopg.RawCursor,
                options=f"-c search_path={schema} {times} {SEES} -c client_min_messages=warning",
                **{name: value for name, value in GIVES_UP.items() if name not in conninfo_to_dict(url)},
            )  # fmt: skip
            self._db.execute(KEEPS, prepare=False)
        self._db.adapters.register_dumper(int, _Whole)
        self._db.adapters.register_dumper(bool, _Whole)
        for kind in (bytes, bytearray, memoryview):
            self._db.adapters.register_dumper(kind, BytesBinaryDumper)
        self._db.adapters.register_loader("bool", _Truth)
        self._db.adapters.register_loader("numeric", _Sum)
        self._db.add_notice_handler(self._noticed)

    def _noticed(self, notice: Any) -> None:
        """A warning while something is committed: the wait for the standby is over before the standby has it."""
        if (notice.sqlstate or "").startswith("01"):
            self._doubt = notice.message_primary or "a warning"

    @property
    def in_transaction(self) -> bool:
        return not self._db.closed and self._db.info.transaction_status != pq.TransactionStatus.IDLE

    @property
    def usable(self) -> bool:
        """Whether another statement may be tried on it."""
        return not self._db.closed and not self._doubt

    def hasten(self) -> None:
        """From now on nobody waits long for what is begun on it: it computes little between two statements."""
        self._run(f"SET idle_in_transaction_session_timeout = {SERVES_WITHIN}")

    def answers(self) -> bool:
        """Whether it may be used once more: the server may have been started anew, or be another machine's now."""
        try:
            self.prove_host()
        except sqlite3.Error:
            self.end()
        return self.usable

    def execute(self, sql: str, given: Any = ()) -> Rows:
        if found := SETTING.match(sql):
            return self._setting(found[1], found[2])
        if sql.startswith("PRAGMA"):  # about a file, and there is none
            return self._run("SELECT 0")
        if sql.startswith("BEGIN"):
            return self._begin(sql)
        if sql == "ROLLBACK":
            return self._roll_back()
        statement = in_postgres(sql)
        if statement.text.startswith("SELECT") and not self._writes and self.in_transaction:
            return MomentRows(self._db, statement.text, statement.values(given))
        rows = self._run(statement.text, statement.values(given))
        if sql == "COMMIT":
            self._end_pipeline()
            if rows.said != sql:
                raise PostgresError("nothing was kept: a statement was refused before")
        return rows

    def _forget_prepared(self) -> None:
        """Behind such a statement psycopg has the server forget what was prepared: once it has heard that it was done,
        and when it next runs one. What `executemany` prepares in between it would take for prepared still.
        """
        self._arrive()
        with _errors():
            self._db.execute("SELECT 0", prepare=False)

    def _roll_back(self) -> Rows:
        """Once the pipeline has ended: behind a statement that was refused nothing of it is run, this neither."""
        with contextlib.suppress(sqlite3.Error):
            self._end_pipeline()
        return self._run("ROLLBACK")

    def _prove_kept(self) -> None:
        """Of what was committed, by a COMMIT or as a statement of its own."""
        if self._doubt and not self._sending and not self.in_transaction:
            self._db.close()
            raise PostgresError(f"nobody knows whether it was kept: {self._doubt}")

    def make(self) -> None:
        """The schema, with what is SQLite's own; one migrator at a time."""
        with _errors(), self._db.transaction():
            self._db.execute("SELECT pg_advisory_xact_lock(hashtext($1))", (self._schema,))
            if not self.is_made():
                self._db.execute(MADE.format(schema=self._schema, functions=FUNCTIONS), prepare=False)

    def role(self) -> str:
        """Whom the server takes us for, as SQL writes it."""
        (row,) = self._run("SELECT quote_ident(current_user)").fetchall()
        return str(row[0])

    def run_all(self, statements: Iterable[str]) -> None:
        """In one transaction, as PostgreSQL has them."""
        with _errors(), self._db.transaction():
            for each in statements:
                self._db.execute(each, prepare=False)

    def is_made(self) -> bool:
        with _errors():
            found = self._db.execute("SELECT 1 FROM pg_namespace WHERE nspname = $1", (self._schema,))
            return found.fetchone() is not None

    def _begin(self, sql: str) -> Rows:
        if not (self._writes and "IMMEDIATE" in sql):
            return self._run("BEGIN" if self._writes else BEGINS_TO_READ)
        with _errors():
            self._sending = self._stack.enter_context(self._db.pipeline())
        self._run("BEGIN")
        self._run(TURN)
        rows = self._run(HOSTS, (self.host,)) if self.host is not None else None  # a statement of its own: it sees
        try:  # what was committed while that row was waited for
            if rows is not None:
                self._prove_host(rows)
        except sqlite3.Error:
            self._roll_back()  # else it would be kept from whoever may write
            raise
        return rows or self._run("SELECT 0")

    def prove_host(self) -> None:
        """That the ledger may be answered from on this machine. Raises `sqlite3.Error`."""
        self._prove_host(self._run(HOSTS, (self.host,)))

    def _prove_host(self, rows: Rows) -> None:
        if not self._is_host(rows):
            raise PostgresError(ANOTHERS)
        if self._boot is not None and self._renewed // COUNTS != self._boot:
            raise AnotherBoot(CLONED)
        if self._pinned not in {0, self._version}:
            raise PostgresError(MIGRATED)

    def prove_leads(self) -> None:
        """That what the server shows is on its standby, too: one that was started anew, or on which the wait for one
        was cancelled, shows commits that it alone has, and one in whose place another leads shows none that came since.
        What is signed, answered or called another ledger's on that could be wrong. A commit of one's own comes back
        once the standby has it and all that came before.
        """
        self.execute("BEGIN IMMEDIATE")
        self.execute("COMMIT")

    def pin(self) -> None:
        """From now on only a ledger of this version is taken for one: another machine may bring it to a newer one, of
        which this process cannot fold what is said. Behind a proof.
        """
        self._pinned = self._version

    def _is_host(self, rows: Rows) -> bool:
        renewed, self.hosts, self._version = rows.fetchone() or (None, 0, 0)
        self._renewed = renewed or 0
        return self.host != NOBODY and renewed is not None

    def take_row(self, within: float) -> None:
        """From now on this boot renews this machine's row: at once where none does yet, else once the row stood still
        for so many seconds, in which whoever renewed it came to answer nobody: the boot before, or a clone that stands
        still. Raises `sqlite3.Error`, `AnotherBoot` where a clone runs.
        """
        with contextlib.suppress(AnotherBoot):
            self.prove_host()
            return
        seen = self._renewed
        over = time.monotonic() + (within if seen >= BOOTS * COUNTS else 0)
        while self._is_host(self._run(HOSTS, (self.host,))) and self._renewed == seen:
            if time.monotonic() >= over:
                with self._turn():  # behind all that it commits
                    self._run(TAKES, (self.host, self._unrenewed, seen))
                break
            time.sleep(LOOKS)
        self.prove_host()

    @property
    def _unrenewed(self) -> int:
        """What stands in `renewals` before this boot renews the row for the first time."""
        return (self._boot or 0) * COUNTS

    def is_ours(self) -> bool:
        """Whether this machine is one of the ledger's; of one that has none yet it is the first."""
        with self._turn():
            self._run("INSERT INTO host (number) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM host)", (self.host,))
        return self._is_host(self._run(HOSTS, (self.host,)))

    def join(self) -> None:
        """From now on this machine writes and answers too."""
        with self._turn():
            self._run("INSERT INTO host (number) VALUES ($1) ON CONFLICT (number) DO NOTHING", (self.host,))

    def take_over(self) -> None:
        """From now on this machine alone writes and answers."""
        with self._turn():
            self._run("DELETE FROM host WHERE number <> $1", (self.host,))
            self._run("INSERT INTO host (number) VALUES ($1) ON CONFLICT (number) DO NOTHING", (self.host,))

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """A transaction that holds the row of whoever writes, whoever this is."""
        self._run("BEGIN")
        try:
            self._run(f"SET LOCAL idle_in_transaction_session_timeout = {WRITES_WITHIN}")  # whichever it is for
            self._run(TURN).fetchone()
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """What is read within is all of one moment, on a connection that writes at other times; only temporary tables
        are written. It holds no row, so that much may be computed between two statements.
        """
        self._run(BEGINS_TO_READ)
        try:
            self._run(f"SET LOCAL idle_in_transaction_session_timeout = {FOLDS_WITHIN}")
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):  # whoever read within knows what went wrong
                self.execute("COMMIT")

    def renew(self, applied: int, head: str) -> tuple[Any, ...] | None:
        """Counts up this machine's row, in a transaction that every other one of a writer comes before or behind: who
        commits behind it finds the row changed, and of who came before it everything is seen on this connection
        afterwards. Once it is committed, so that a server which is no primary any more grants nothing. `applied`: up to
        which position this machine's state has the ledger. Returns what the question `head` gave within, which is
        durable then. Raises `sqlite3.Error`.
        """
        self.execute("BEGIN IMMEDIATE")
        self._run(RENEWS, (self.host, applied, self._unrenewed, COUNTS))
        found = self._run(head).fetchone()
        self.execute("COMMIT")
        return found

    def acknowledge(self, applied: int) -> tuple[Any, ...] | None:
        """The same without a renewal, by one statement: what it saw is durable when this returns, for it was committed
        before. Returns the tree of the head; None: another boot renews the row, and nothing was said.
        """
        return self._run(ACKNOWLEDGES, (self.host, applied, self._boot, COUNTS)).fetchone()

    def wake_others(self) -> None:
        """Once the transaction is committed; a hint, which nobody relies on."""
        if self.hosts > 1:
            self._run("SELECT pg_notify($1, $2)", (CHANNEL, str(self.host)))

    def heard(self, seconds: float) -> bool:
        """Whether within so many seconds another machine said that it committed something."""
        with _errors():
            return any(payload != str(self.host) for payload in self._db.heard(seconds))

    def listen(self) -> None:
        """For `heard`."""
        self._run(f"LISTEN {CHANNEL}")

    def alone(self, name: str) -> bool:
        """Whether nobody else has a name, who asked so on a connection that lives still; then it is this one's."""
        rows = self._run("SELECT pg_try_advisory_lock(hashtext($1), hashtext($2))::int", (self._schema, name))
        return rows.fetchone() == (1,)

    def _arrive(self) -> None:
        if self._sending:
            with _errors():
                self._sending.sync()

    def _end_pipeline(self) -> None:
        self._sending = None
        with _errors():
            self._stack.close()
        self._prove_kept()

    def executemany(self, sql: str, given: Iterable[Any]) -> Rows:
        statement = in_postgres(sql)
        with _errors():
            cursor = self._db.cursor()
            cursor.executemany(statement.text, [statement.values(each) for each in given])  # type: ignore[misc]
        self._prove_kept()
        return Rows(cursor, self._arrive)

    def copy_in(self, table: str, columns: Sequence[str], kinds: Sequence[str], rows: Iterable[Any]) -> None:
        """Many new rows at once, within a transaction that is no writer's; `kinds` as SQLite calls them."""
        into = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
        with _errors(), self._db.cursor() as cursor, cursor.copy(into) as copied:
            copied.set_types([COPIED[kind] for kind in kinds])
            for row in rows:
                copied.write_row(row)

    def _run(self, text: str, given: Any = ()) -> Rows:
        with _errors():
            rows = Rows(self._db.cursor().execute(text, given or None), self._arrive)
        if self._sending and text.startswith(FORGETTING):
            self._forget_prepared()
        self._prove_kept()
        return rows

    def _setting(self, name: str, value: str | None) -> Rows:
        """What SQLite keeps in the header of its file."""
        if value is None:
            return self._run("SELECT value FROM setting WHERE name = $1", (name,))
        return self._run(
            "INSERT INTO setting VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, int(value)),
        )

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._home is not None and self.usable:
                if self.in_transaction:
                    self._run("ROLLBACK")
                if self._home(self):
                    return
        self.end()

    def __del__(self) -> None:
        self.end()

    def cut(self) -> None:
        """In another thread: whoever waits for the server now waits no longer, and is told that it is gone."""
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._db.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """For good."""
        with contextlib.suppress(psycopg.Error):
            self._stack.close()
        if self._db is not None:
            self._db.close()


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except errors.IntegrityError as error:
        raise PostgresConflict(_said(error)) from error
    except errors.DataError as error:
        if error.sqlstate is None:  # found before it was sent: of its batch it alone is refused
            raise TextUnkeepable(str(error)) from error
        raise PostgresError(_said(error)) from error
    except errors.UndefinedTable as error:  # a schema in which a role has no rights is not there for it
        raise PostgresError(f"{_said(error)}: the owner granted this role nothing yet, or it is not there") from error
    except errors.InsufficientPrivilege as error:
        raise RoleRefused(f"{_said(error)}: that takes the role that owns the tables ({OWNERS})") from error
    except psycopg.Error as error:
        raise PostgresError(_said(error)) from error


def _said(error: psycopg.Error) -> str:
    """Never the values: the server's text may quote a row."""
    return f"PostgreSQL says {error.sqlstate or 'nothing'}: {error.diag.message_primary or type(error).__name__}"
