"""What the role that serves may do on a server where another one owns the tables: read the log and add to it, and
neither change nor take away anything in it. `gateway migrate` grants that, as the owner, whenever it is run; what a
release has new is granted with it.

An erasure has to reach what stands beside an entry, and a person's keys: there the role may do all that the service
does. A record that the fold is told may be said otherwise (`side.packed`, made from entries, and compared with them by
`gateway verify`) and never goes. Whatever takes entries away is the owner's: a prune.
"""

from typing import TYPE_CHECKING, cast

from gateway.postgres.address import OWNERS, RoleRefused

if TYPE_CHECKING:
    from gateway.ledger.postgres_store import PostgresStore
    from gateway.ledger.store import Store

SCHEMAS = ("gateway_ledger", "gateway_vault")
ADDS = "SELECT, INSERT"
# What the tables of the log allow; all others all that a row may come to.
LOG = {
    "entry": ADDS,
    "tile": f"{ADDS}, UPDATE (hashes)",  # a tile that is not full yet grows
    "head": "SELECT, UPDATE (size, frontier, peppers, signed)",
    "side": f"{ADDS}, UPDATE (packed)",
    "restated": "SELECT",
    "document": ADDS,
    "evidence": ADDS,
    "appeal": ADDS,
    "key_event": ADDS,
    "voided_ui": ADDS,
    "voided_choice": ADDS,
    "void_act": ADDS,
    "unlinked_event": ADDS,
    "disclosure_batch": ADDS,
    "deletion_batch": ADDS,
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
REWRITES = "SELECT has_table_privilege('entry', 'UPDATE, DELETE, TRUNCATE')"
TOLD = "the database lets the role that serves change and take away entries; two roles: gateway help postgresql"


def granted(role: str) -> list[str]:
    """The statements, for one transaction. `role`: as SQL writes it."""
    said = [TILE_GROWS]
    for schema in SCHEMAS:
        tables = f"ALL TABLES IN SCHEMA {schema}"
        said += [f"GRANT USAGE ON SCHEMA {schema} TO {role}", f"GRANT {ALL} ON {tables} TO {role}"]
    for table, rights in LOG.items():
        said += [
            f"REVOKE ALL ON gateway_ledger.{table} FROM {role}",
            f"GRANT {rights} ON gateway_ledger.{table} TO {role}",
        ]
    return said


def grant(owned: "Store", serves: "Store") -> None:
    """To the role that serves, by the one that owns the tables; then the first can use them, or that raises
    `LedgerRefused`.
    """
    with cast("PostgresStore", serves).asked() as db:
        role = db.role()
    with cast("PostgresStore", owned).asked() as db:
        if db.role() == role:
            raise RoleRefused(f"[store] owner and [store] url name one role, {role}: two are wanted ({OWNERS})")
        db.run_all(granted(role))
    serves.open_to_read().close()


def may_rewrite(store: "Store") -> bool:
    """Whether the role that `store` connects as could change entries or take them away. Files have no roles."""
    if not store.is_server:
        return False
    with cast("PostgresStore", store).asked() as db:
        return bool(db.execute(REWRITES).fetchall()[0][0])


def prove_owner(store: "Store", what: str) -> None:
    """Before anything is begun that only the owner can end. Raises `RoleRefused`."""
    if store.is_server and not may_rewrite(store):
        raise RoleRefused(f"{what} takes the role that owns the ledger's tables ({OWNERS}); nothing was changed")


def warning(store: "Store") -> str:
    """For a start and a verification; empty: there is nothing to say."""
    return TOLD if may_rewrite(store) else ""
