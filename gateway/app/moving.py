"""An installation's ledger and vault moved between its folder's files and a PostgreSQL, for the command line. The
folder stays: its secrets, its epochs, the desk's file, what is kept beside, its last checkpoint and the state of this
machine are as good behind the move as before.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.app.composition import prove_not_lost, publisher_of, store_of
from gateway.keys import secret_files
from gateway.keys.person_keys import Vault
from gateway.ledger import schema
from gateway.ledger.audit import examination
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.ledger.moving.move import LedgerMove, MoveReport
from gateway.ledger.moving.places import FolderPlace, LedgerPlace, ServerPlace
from gateway.postgres import address
from gateway.settings import shapes
from gateway.settings.load import Settings

SERVERS = ("postgresql://", "postgres://")
Tell = Callable[[str, int], None]


class InstallationMove:
    """`source` and `target` as an operator names them: one is the installation's folder, the other a PostgreSQL's url.
    Raises `LedgerRefused` for anything else.
    """

    def __init__(self, source: str, target: str, settings: Settings) -> None:
        self._into_server = target.startswith(SERVERS)
        if self._into_server == source.startswith(SERVERS):
            raise LedgerRefused(
                "one of --from and --to is the installation's folder, the other the url of a PostgreSQL:"
                " gateway copy --from /var/lib/gateway --to postgresql://gateway@db.example.com/consent"
            )
        if not shapes.is_store(url := target if self._into_server else source):
            raise LedgerRefused(
                "that is no PostgreSQL's url, or holds a password, which everybody reads in a list of processes: it"
                " belongs into a file, postgresql://gateway@db.example.com/consent?passfile=/etc/gateway/pgpass"
            )
        self.folder, self._url = Path(source if self._into_server else target), url
        self._settings = settings

    def move_all(self, tell: Tell) -> MoveReport | None:
        """None: it was there already. Raises `LedgerRefused`, after which the same again goes on."""
        with self._used():
            report = None if self._is_there() else self._move(tell).move_all()
            if self._into_server:  # it is this machine's, also where one that was killed did not come to say so
                secrets = secret_files.load_secrets(self.folder)
                store = store_in(self.folder)
                prove_not_lost(self.folder, store, store_of(self.folder, self._settings))
                store.migrate(len(secrets.peppers), "", secrets.marks)
                Vault(self.folder, secrets.wraps).close()
            return report

    def give_up(self) -> None:
        with self._used():
            if self._is_there():
                raise LedgerRefused("nothing is under way: the ledger is there already")
            self._move(lambda *_: None).give_up()

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        """Marked as in use, so that nobody puts a backup in place meanwhile."""
        if not (self.folder / secret_files.SECRETS).exists():
            raise LedgerRefused(f"{self.folder} has no {secret_files.SECRETS}: it is no installation's folder")
        try:
            with examination.marked_while_open(self.folder):
                yield
        except address.RoleRefused:
            raise
        except (sqlite3.Error, OSError) as error:
            raise LedgerRefused(
                f"the copy was cut off ({error}). Nothing is lost: run the same again, which goes on from there"
            ) from error

    def _is_there(self) -> bool:
        """Raises `LedgerRefused` where the folder's ledger is in neither of the two."""
        here = address.url_in(self.folder)
        if here not in {"", self._url}:
            raise LedgerRefused(f"the ledger of {self.folder} is in another PostgreSQL ({address.URL_FILE} names it)")
        if not here and not (self.folder / schema.FILE).exists():
            raise LedgerRefused(f"{self.folder} has no ledger, and names none")
        return bool(here) == self._into_server

    def _move(self, tell: Tell) -> LedgerMove:
        secrets = secret_files.load_secrets(self.folder)
        places: list[LedgerPlace] = [FolderPlace(self.folder), ServerPlace(self.folder, self._url)]
        source, target = places if self._into_server else reversed(places)
        prove = publisher_of(self.folder, self._settings, secrets).prove
        return LedgerMove(self.folder, source, target, prove, secrets.marks, tell)
