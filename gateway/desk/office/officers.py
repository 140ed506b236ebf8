"""Who sits at the desk: people with a role, the one-time invitations by which they register, their passkeys and company
accounts, and their sessions, which end. The desk's doors and `gateway desk` call it.

What lets somebody in (a session, an invitation) is 256 random bits of which the SHA-256 is kept.
A session ends when nobody used it for a while, and at a time in any case. Whoever is taken off the desk is out at once.
"""

import re
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from gateway.desk.office.desk_file import desk_file
from gateway.ledger.subjects import milliseconds

NAMED = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
INVITED_FOR, STEP_FOR = timedelta(days=3), timedelta(minutes=10)


class DeskRole(StrEnum):
    """What somebody may do at the desk, each more than the one before: read, act, and say who sits there."""

    READER = "reader"
    OFFICER = "officer"
    ADMIN = "admin"

    def may(self, least: str) -> bool:
        order = tuple(DeskRole)
        return order.index(self) >= order.index(DeskRole(least))


class NobodyAtDesk(Exception):
    """No such person, or the invitation is over or was used. The text says so."""


@dataclass(frozen=True, slots=True)
class Officer:
    """Who is signed in, and how (`passkey`, `company`, `proxy`)."""

    name: str
    role: DeskRole
    way: str
    token: str = field(repr=False)

    @property
    def form(self) -> str:
        """What stands in each form of this session, and is in no other one's."""
        return sha256(b"form\x00" + self.token.encode()).hexdigest()


class DeskPasskey(NamedTuple):
    """A registered passkey: whose, its public key (COSE), and how often its device said that it signed."""

    name: str
    key: bytes
    signed: int


class DeskPerson(NamedTuple):
    """Somebody of the desk, as they are listed."""

    name: str
    role: DeskRole
    passkeys: int
    company: bool
    used: int | None  # Unix milliseconds of the last page


@dataclass(frozen=True, slots=True)
class Officers:
    """`idle`: how long a session lasts that nobody uses; `longest`: how long any does."""

    folder: Path
    clock: Callable[[], datetime]
    idle: timedelta = timedelta(minutes=30)
    longest: timedelta = timedelta(hours=10)

    def invite(self, name: str, role: DeskRole) -> str:
        """The code of an invitation, good once and for three days; a new person, or one more passkey of theirs. Raises
        ValueError for a name that is none, `StoreUnavailable`.
        """
        if not NAMED.fullmatch(name):
            raise ValueError("a name has lower-case letters, digits and . _ @ + -, 64 at most")
        code, now = secrets.token_urlsafe(32), self.clock()
        with desk_file(self.folder) as db:
            db.execute(
                "INSERT INTO person (name, role, made) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (name) DO UPDATE SET role = ?2, ended = NULL",
                (name, role, milliseconds(now)),
            )
            db.execute("DELETE FROM invitation WHERE name = ? OR until < ?", (name, milliseconds(now)))
            row = (_hash(code), name, milliseconds(now + INVITED_FOR))
            db.execute("INSERT INTO invitation VALUES (?, ?, ?)", row)
        return code

    def invited(self, code: str) -> str | None:
        """Who an invitation is for; None: it is over, was used, or never was."""
        with desk_file(self.folder) as db:
            return self._invited(db, code)

    def _invited(self, db: sqlite3.Connection, code: str) -> str | None:
        now = milliseconds(self.clock())
        row = db.execute("SELECT name FROM invitation WHERE hash = ? AND until >= ?", (_hash(code), now)).fetchone()
        return row[0] if row else None

    def register_passkey(self, code: str, credential: bytes, key: bytes, count: int) -> str:
        """Ties a passkey to whom the invitation is for, which it ends; their name. Raises `NobodyAtDesk`."""
        with desk_file(self.folder) as db:
            name = self._taken(db, code)
            _refuse_anothers(db.execute("SELECT name FROM passkey WHERE id = ?", (credential,)).fetchone(), name)
            db.execute(
                "INSERT INTO passkey VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
                " key = excluded.key, count = excluded.count",
                (credential, name, key, count),
            )
        return name

    def register_company(self, code: str, issuer: str, subject: str) -> str:
        """The same with an account of the company's own sign-in."""
        with desk_file(self.folder) as db:
            name, whose = self._taken(db, code), "SELECT name FROM company WHERE issuer = ? AND subject = ?"
            _refuse_anothers(db.execute(whose, (issuer, subject)).fetchone(), name)
            db.execute(
                "INSERT INTO company VALUES (?, ?, ?) ON CONFLICT (issuer, subject) DO UPDATE SET name = excluded.name",
                (issuer, subject, name),
            )
        return name

    def _taken(self, db: sqlite3.Connection, code: str) -> str:
        name = self._invited(db, code)
        if name is None:
            raise NobodyAtDesk("this invitation is over, or was used: ask for another one")
        db.execute("DELETE FROM invitation WHERE hash = ?", (_hash(code),))
        return name

    def passkey(self, credential: bytes) -> DeskPasskey | None:
        """A registered one."""
        with desk_file(self.folder) as db:
            row = db.execute("SELECT name, key, count FROM passkey WHERE id = ?", (credential,)).fetchone()
        return DeskPasskey(*row) if row else None

    def passkey_used(self, credential: bytes, count: int) -> None:
        """What its device counts now, by which a copy of it is noticed."""
        with desk_file(self.folder) as db:
            db.execute("UPDATE passkey SET count = ? WHERE id = ?", (count, credential))

    def of_company(self, issuer: str, subject: str) -> str | None:
        """Whose account it is."""
        with desk_file(self.folder) as db:
            row = db.execute("SELECT name FROM company WHERE issuer = ? AND subject = ?", (issuer, subject)).fetchone()
        return row[0] if row else None

    def begin_session(self, name: str, way: str) -> str:
        """A session's token, the only time it is seen. Raises `NobodyAtDesk` for whoever is not of the desk."""
        token, now = secrets.token_urlsafe(32), milliseconds(self.clock())
        with desk_file(self.folder) as db:
            if not db.execute("SELECT 1 FROM person WHERE name = ? AND ended IS NULL", (name,)).fetchone():
                raise NobodyAtDesk("nobody of this name sits at the desk: ask whoever runs it for an invitation")
            self._end_old(db)
            db.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?)", (_hash(token), name, way, now, now))
        return token

    def read_session(self, token: str) -> Officer | None:
        """Who it is; None where the session is over or never was. It is used by that."""
        with desk_file(self.folder) as db:
            self._end_old(db)
            row = db.execute(
                "SELECT s.name, p.role, s.way FROM session s JOIN person p USING (name)"
                " WHERE s.hash = ? AND p.ended IS NULL",
                (_hash(token),),
            ).fetchone()
            if row is None:
                return None
            db.execute("UPDATE session SET used = ? WHERE hash = ?", (milliseconds(self.clock()), _hash(token)))
        return Officer(row[0], DeskRole(row[1]), row[2], token)

    def _end_old(self, db: sqlite3.Connection) -> None:
        now = self.clock()
        idle, longest = milliseconds(now - self.idle), milliseconds(now - self.longest)
        db.execute("DELETE FROM session WHERE used < ? OR begun < ?", (idle, longest))

    def end_session(self, token: str) -> None:
        with desk_file(self.folder) as db:
            db.execute("DELETE FROM session WHERE hash = ?", (_hash(token),))

    def end_person(self, name: str) -> bool:
        """Off the desk, at once and with all that let them in. False where nobody of this name sits there."""
        with desk_file(self.folder) as db:
            now = milliseconds(self.clock())
            found = db.execute("UPDATE person SET ended = ? WHERE name = ? AND ended IS NULL", (now, name)).rowcount
            db.execute("DELETE FROM session WHERE name = ?", (name,))
            db.execute("DELETE FROM passkey WHERE name = ?", (name,))
            db.execute("DELETE FROM company WHERE name = ?", (name,))
            db.execute("DELETE FROM invitation WHERE name = ?", (name,))
        return bool(found)

    def people(self) -> list[DeskPerson]:
        """Who sits at the desk, by name."""
        with desk_file(self.folder) as db:
            rows = db.execute(
                "SELECT name, role, (SELECT count(*) FROM passkey k WHERE k.name = p.name),"
                " EXISTS (SELECT 1 FROM company c WHERE c.name = p.name),"
                " (SELECT max(used) FROM session s WHERE s.name = p.name)"
                " FROM person p WHERE ended IS NULL ORDER BY name"
            ).fetchall()
        return [DeskPerson(name, DeskRole(role), keys, bool(company), used) for name, role, keys, company, used in rows]

    def role_of(self, name: str) -> str:
        """What role somebody has who may be invited anew, for the note of it; "" of nobody."""
        return next((str(each.role) for each in self.people() if each.name == name), "")

    def look_up(self, name: str, count: int, most: int, since: timedelta) -> bool:
        """Whether somebody may look up so many more, of the most since then; if so they have."""
        now = self.clock()
        with desk_file(self.folder) as db:
            db.execute("DELETE FROM lookup WHERE at < ?", (milliseconds(now - since),))
            before = int(db.execute("SELECT count(*) FROM lookup WHERE name = ?", (name,)).fetchone()[0])
            if before + count > most:
                return False
            db.executemany("INSERT INTO lookup VALUES (?, ?)", [(name, milliseconds(now))] * count)
        return True

    def use_step(self, asked: str) -> None:
        """What a ceremony asked was answered rightly, which it is once: it is kept for as long as it could be answered
        again. Nothing of a ceremony is stored before, since strangers begin as many as they like. Raises `NobodyAtDesk`
        where it was answered before.
        """
        now = self.clock()
        with desk_file(self.folder) as db:
            db.execute("DELETE FROM step WHERE until < ?", (milliseconds(now),))
            row = (_hash(asked), "", milliseconds(now + STEP_FOR))
            if not db.execute("INSERT OR IGNORE INTO step VALUES (?, ?, ?)", row).rowcount:
                raise NobodyAtDesk("This was answered already. Begin again.")


def _refuse_anothers(row: tuple[str] | None, name: str) -> None:
    """Nobody takes over what another person signs in with. Raises `NobodyAtDesk`."""
    if row and row[0] != name:
        raise NobodyAtDesk("somebody else at this desk signs in with this already: they are taken off it first")


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
