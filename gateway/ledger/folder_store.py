"""Which store a data folder's ledger is in, its own file or the PostgreSQL that the folder names: the service and every
command open the ledger by it. And what the role that serves may do on a server where another one owns the tables: read
the log and add to it, and neither change nor take away anything in it. `gateway migrate` grants that, as the owner,
whenever it is run; what a release has new is granted with it.

An erasure has to reach what stands beside an entry, and a person's keys: there the role may do all that the service
does. A record that the fold is told may be said otherwise (`side.packed`, made from entries, and compared with them by
`gateway verify`) and never goes. Whatever takes entries away is the owner's: a prune.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from gateway.ledger import schema
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.store import SqliteStore, Store
from gateway.postgres import address
from gateway.postgres.address import OWNERS, RoleRefused
from gateway.terms import Unusable

if TYPE_CHECKING:
    from gateway.ledger.postgres_store import PostgresStore
    from gateway.postgres.connection import PostgresConnection


def store_in(folder: Path, said: str = "", *, owner: str = "") -> Store:
    """`said`: where the settings have it; empty: wherever it is. `owner`: the url by which a server is used as the
    owner of its tables, if another role serves. Raises `PostgresRefused` where what it takes is not installed,
    `LedgerRefused` where it is elsewhere.
    """
    url = address.url_in(folder)
    if said not in {"", url}:
        raise LedgerRefused(
            f"[store] url is not where the ledger of {folder} is ({address.URL_FILE} in it says where): for a new"
            " installation run gateway migrate with this configuration; else set the url right"
        )
    if not url:
        return SqliteStore(folder)
    return _postgres(folder, owner or url, address.host_in(folder), address.boot_in(folder))


def name_store(folder: Path, url: str) -> None:
    """From now on the ledger of a folder is in that PostgreSQL. Raises `LedgerRefused` where it is elsewhere."""
    if (folder / schema.FILE).exists() and not address.url_in(folder):
        raise LedgerRefused(
            f"{folder} has a ledger of its own: bring it into that PostgreSQL with gateway copy --from {folder} --to"
            " URL, or leave [store] url empty; nothing was moved, changed or deleted"
        )
    if address.url_in(folder) not in {"", url} and store_in(folder).exists():
        raise LedgerRefused(
            f"{folder} has its ledger in another PostgreSQL than [store] url names. For the same one under a new"
            f" address, write that into {folder / address.URL_FILE} with the service stopped"
        )
    address.name_url(folder, url)


@lru_cache(64)  # its idle connections are used again
def _postgres(folder: Path, url: str, host: int, boot: int) -> Store:
    from gateway.ledger.postgres_store import PostgresStore  # noqa: PLC0415 - most installations have no psycopg

    return PostgresStore(folder, url, host, boot)


SCHEMAS = ("gateway_ledger", "gateway_vault")
ADDS = "SELECT, INSERT"
# What the tables of the log allow; all others all that a row may come to.
LOG = {
    "entry": ADDS,
    "tile": f"{ADDS}, UPDATE (hashes)",  # a tile that is not full yet grows
    "head": "SELECT, UPDATE (size, frontier, peppers, signed)",
    "side": f"{ADDS}, UPDATE (packed)",
    "restated": "SELECT",
    **dict.fromkeys(("document", "evidence", "appeal", "key_event", "voided_ui", "voided_choice", "void_act"), ADDS),
    **dict.fromkeys(("unlinked_event", "disclosure_batch", "deletion_batch"), ADDS),
}
# No grant can say that a tile may only become longer.
TILE_GROWS = """
CREATE OR REPLACE FUNCTION gateway_ledger.tile_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes THEN RAISE EXCEPTION 'the tree only grows'; END IF;
RETURN NEW; END $$;
CREATE OR REPLACE TRIGGER tile_grows BEFORE UPDATE ON gateway_ledger.tile
FOR EACH ROW EXECUTE FUNCTION gateway_ledger.tile_grows()
"""
ALL = "SELECT, INSERT, UPDATE, DELETE"
# Which database of which server; the server's start tells it from any other's of that name.
WHERE = (
    "SELECT d.datname || ' ' || d.oid || ' ' || extract(epoch FROM pg_postmaster_start_time()) FROM pg_database d"
    " WHERE d.datname = current_database()"
)
REWRITES = "SELECT has_table_privilege('entry', 'UPDATE, DELETE, TRUNCATE')"
MAY_REWRITE = "the database lets the role that serves change and take away entries; two roles: gateway help postgresql"


def role_grants(role: str) -> list[str]:
    """The statements, for one transaction. `role`: as SQL writes it."""
    said = [TILE_GROWS]
    for each in SCHEMAS:
        tables = f"ALL TABLES IN SCHEMA {each}"
        said += [f"GRANT USAGE ON SCHEMA {each} TO {role}", f"GRANT {ALL} ON {tables} TO {role}"]
    for table, rights in LOG.items():
        said += [
            f"REVOKE ALL ON gateway_ledger.{table} FROM {role}",
            f"GRANT {rights} ON gateway_ledger.{table} TO {role}",
        ]
    return said


def prove_two_roles(owned: Store, serves: Store) -> None:
    """Before the tables are made: two roles in one database. Raises `RoleRefused`, `LedgerRefused`."""
    (owner, one), (role, other) = map(_seen_as, (owned, serves))
    _prove_one(one, other)
    if owner == role:
        raise RoleRefused(f"[store] owner and [store] url name one role, {role}: two are wanted ({OWNERS})")


def grant_role(owned: Store, serves: Store) -> None:
    """To the role that serves, by the one that owns the tables; then the first can use them, or that raises
    `LedgerRefused`.
    """
    role, _ = _seen_as(serves)
    with cast("PostgresStore", owned).asked() as db:
        db.run_all(role_grants(role))
    serves.open_to_read().close()


def may_rewrite(store: Store) -> bool:
    """Whether the role that `store` connects as could change entries or take them away. Files have no roles. Raises
    `LedgerRefused` where the server does not say.
    """
    if not store.is_server:
        return False
    with _asked(store) as db:
        return bool(db.execute(REWRITES).fetchall()[0][0])


def prove_owner(owned: Store, serves: Store, what: str) -> None:
    """Before anything is begun that only the owner can end. Raises `RoleRefused`, `LedgerRefused`."""
    if not owned.is_server:
        return
    _prove_one(*(_seen_as(each)[1] for each in (owned, serves)))
    if not may_rewrite(owned):
        raise RoleRefused(f"{what} takes the role that owns the ledger's tables ({OWNERS}); nothing was changed")


def _seen_as(store: Store) -> tuple[str, str]:
    """The role that it connects as, and in which database."""
    with _asked(store) as db:
        return db.role(), str(db.execute(WHERE).fetchall()[0][0])


def _prove_one(one: str, other: str) -> None:
    """A misspelt owner would be given a ledger of its own, or have one pruned."""
    if one != other:
        raise LedgerRefused(f"[store] owner and [store] url name two databases: one is wanted ({OWNERS})")


@contextlib.contextmanager
def _asked(store: Store) -> Iterator["PostgresConnection"]:
    try:
        with cast("PostgresStore", store).asked() as db:
            yield db
    except RoleRefused:
        raise
    except sqlite3.Error as error:
        raise LedgerRefused(f"{store.name} cannot be used ({error})") from error


def role_warning(store: Store) -> str:
    """For a start and a verification; empty: there is nothing to say, or the server does not."""
    with contextlib.suppress(Unusable):
        return MAY_REWRITE if may_rewrite(store) else ""
    return ""
