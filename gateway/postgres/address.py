"""Where the databases of a data folder are, if they are no files in it, and which machine this is among those that
could write there. Whoever opens one asks.
"""

import contextlib
import hashlib
import importlib.util
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gateway.disk import boot_id, write_durably
from gateway.terms import Unusable

URL_FILE, HOST_FILE = "store.url", "store.host"
NOBODY = 0  # the number of a machine that has none
BOOTS = 2**42  # as many numbers has a boot; the first one is this


OWNERS = "[store] owner, gateway help postgresql"


class PostgresRefused(Unusable):
    """The text says what is missing and what helps."""


class RoleRefused(sqlite3.OperationalError, Unusable):
    """The role that we connect as may not do that. The text says whose it is to do."""

    sqlite_errorcode = sqlite3.SQLITE_PERM


def url_in(folder: Path) -> str:
    """As libpq takes it, without a password. Empty: the folder's own files. Raises `PostgresRefused` where the server
    cannot be spoken to from here.
    """
    try:
        url = (folder / URL_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    prove_installed(str(folder / URL_FILE))
    return url


def prove_installed(who: str) -> None:
    """That a server can be spoken to, which `who` wants. Raises `PostgresRefused`."""
    if importlib.util.find_spec("psycopg") is None:
        raise PostgresRefused(f"{who} names a PostgreSQL, which takes: pip install 'gateway[postgres]'")


def host_in(folder: Path) -> int:
    """The number of this machine. A folder that was copied with its number has none: of two machines with one each
    would take itself for the only one.
    """
    with contextlib.suppress(OSError, ValueError):
        number, its_file = map(int, (folder / HOST_FILE).read_text(encoding="utf-8").split())
        if its_file == (folder / URL_FILE).stat().st_ino:
            return number
    return NOBODY


def boot_in(folder: Path) -> int:
    """The number of this boot of the machine, with this disk in it: a machine that was cloned by the block has the same
    number and the same files, and another one of these. A container has its machine's boot.
    """
    seen = boot_id() + (folder / URL_FILE).stat().st_dev.to_bytes(8)
    return BOOTS + int.from_bytes(hashlib.sha256(seen).digest()[:8]) % BOOTS


@contextlib.contextmanager
def another_number(folder: Path, url: str) -> Iterator[None]:
    """Within it, and from then on, this machine has a number that no clone of it has; it keeps the one that it had
    where that could not be told to the server.
    """
    before = (folder / HOST_FILE).read_bytes()
    (folder / HOST_FILE).unlink()
    try:
        name_url(folder, url)
        yield
    except BaseException:
        write_durably(folder / HOST_FILE, before)
        raise


def name_url(folder: Path, url: str) -> None:
    """From now on the folder's databases are there, and this machine has a number."""
    if url_in(folder) != url:
        write_durably(folder / URL_FILE, url.encode())
    if host_in(folder) == NOBODY:
        number = secrets.randbelow(2**62) + 1
        write_durably(folder / HOST_FILE, f"{number} {(folder / URL_FILE).stat().st_ino}".encode())
