"""Which store a data folder's ledger is in: its own file, or the PostgreSQL that the folder names. The service and
every command open the ledger by it.
"""

from functools import lru_cache
from pathlib import Path

from gateway.ledger import schema
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.store import SqliteStore, Store
from gateway.postgres import address


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
    return _on_server(folder, owner or url) if url else SqliteStore(folder)


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


def _on_server(folder: Path, url: str) -> Store:
    return _postgres(folder, url, address.host_in(folder), address.boot_in(folder))


@lru_cache(64)  # its idle connections are used again
def _postgres(folder: Path, url: str, host: int, boot: int) -> Store:
    from gateway.ledger.postgres_store import PostgresStore  # noqa: PLC0415 - most installations have no psycopg

    return PostgresStore(folder, url, host, boot)
