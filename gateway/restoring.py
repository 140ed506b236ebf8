"""Backups of an installation and putting them back: the ledger, the persons' keys and the secrets, each to a place of
its own, so that keys and data never lie in one backup (ledger.md 2.4, pitfall 1). Never overwrites, never deletes a
ledger.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway import keys
from gateway.app import Clock, now, publisher_of, store_of
from gateway.credentials import FILE as API_KEYS
from gateway.keys import Secrets
from gateway.ledger import backup, clean_stop, new_log, schema
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.new_log import Begun
from gateway.settings import Settings
from gateway.vault.persons import FILE as VAULT
from gateway.wal import make_folder, write_durably

STAMP = "%Y%m%dT%H%M%SZ"
KEYS_FILE = re.compile(r"vault-([0-9]{8}T[0-9]{6}Z)\.sqlite3", re.ASCII)


def back_up(folder: Path, into: Path) -> Checkpoint:
    """The ledger, and the callers' keys (hashed), into a new folder; the service may run. Returns what the copy is the
    log of. Raises `LedgerRefused`.
    """
    _make(into)
    backup.copy(folder / schema.FILE, into / schema.FILE)
    if (folder / API_KEYS).exists():
        _write_new(into / API_KEYS, (folder / API_KEYS).read_bytes())
    return backup.examined(into)


def back_up_keys(folder: Path, into: Path, clock: Clock = now) -> Path:
    """The persons' keys, wrapped, into a dated file: kept for days only, for an erasure does not reach it."""
    make_folder(into)
    made = into / f"vault-{clock().astimezone(UTC):{STAMP}}.sqlite3"
    backup.copy(folder / VAULT, made)
    return made


def back_up_secrets(folder: Path, into: Path) -> Path:
    """The secrets, without which nobody is found: to a place that holds neither ledger nor keys."""
    try:
        content = (folder / keys.SECRETS).read_bytes()
    except FileNotFoundError as error:
        raise LedgerRefused(f"{folder / keys.SECRETS} is not there") from error
    make_folder(into)
    made = into / keys.SECRETS
    _write_new(made, content)
    return made


def prune(into: Path, days: int, clock: Clock = now) -> list[Path]:
    """Deletes backups of the persons' keys that are older than so many days. Returns them."""
    limit, gone = clock() - timedelta(days=days), []
    for path in sorted(into.iterdir()):
        found = KEYS_FILE.fullmatch(path.name)
        if found and datetime.strptime(found[1], STAMP).replace(tzinfo=UTC) < limit:
            path.unlink()
            gone.append(path)
    backup.sync(into)
    return gone


@dataclass(frozen=True, slots=True)
class PutBack:
    """`aside`: where the ledger is that was there. `why`: what keeps it from being answered from, or nothing. `keys`:
    whether those of the persons are there.
    """

    checkpoint: Checkpoint
    aside: Path | None
    why: str
    keys: bool


def put_back(folder: Path, settings: Settings, ledger: Path, vault: Path | None, secrets: Path | None) -> PutBack:
    """The ledger of a backup in place of the folder's; keys and secrets only where the folder has none: they are not to
    be put back to before an erasure or a rotation. Raises `LedgerRefused`, `SecretsMissing`.
    """
    _prove(ledger)
    make_folder(folder)
    with _alone(folder):
        loaded = _secrets_of(folder, ledger, secrets)
        if vault and not (folder / VAULT).exists():
            backup.copy(vault, folder / VAULT)
        if (ledger / API_KEYS).exists() and not (folder / API_KEYS).exists():
            _write_new(folder / API_KEYS, (ledger / API_KEYS).read_bytes())
        aside = backup.put_back(ledger, folder)
        found = backup.examined(folder)
        with contextlib.closing(schema.open_to_read(folder)) as db:
            try:
                publisher_of(folder, settings, loaded).prove(db)
            except LedgerRefused as refused:
                return PutBack(found, aside, str(refused), (folder / VAULT).exists())
    return PutBack(found, aside, "", (folder / VAULT).exists())


def _prove(ledger: Path) -> None:
    """That a backup can be put back. What helps a ledger in use (another backup, `gateway migrate`) would be wrong
    advice for a backup. Raises `LedgerRefused`.
    """
    try:
        with contextlib.closing(schema.open_to_read(ledger)):
            pass
        schema.quick_check(ledger)
    except LedgerRefused as refused:
        what, _, _ = str(refused).partition(". ")
        raise LedgerRefused(
            f"{what}: this backup is not put back, and nothing was changed. Take another one; one that another version"
            " wrote is put back by that version, and then brought up to date: gateway migrate"
        ) from refused


def _secrets_of(folder: Path, ledger: Path, kept: Path | None) -> Secrets:
    """Those of the folder, or the kept ones put there, once it is shown that a backup's ledger was written with them.
    Raises `LedgerRefused`, `SecretsMissing`.
    """
    own = (folder / keys.SECRETS).exists()
    if not own and kept is None:
        raise keys.SecretsMissing(
            f"{folder} has no {keys.SECRETS}, and none but this ledger's own finds anybody in it. Name the folder with"
            f" its copy: gateway restore {ledger} --data {folder} --secrets FOLDER --keys FILE"
        )
    source = folder if own or kept is None else kept
    secrets = keys.load(source)
    with contextlib.closing(schema.open_to_read(ledger)) as db:
        schema.prove_mark(db, ledger / schema.FILE, secrets.mark)
    if source is not folder:
        _write_new(folder / keys.SECRETS, (source / keys.SECRETS).read_bytes())
    return secrets


def go_on(folder: Path, settings: Settings, clock: Clock = now) -> Begun:
    """The folder's ledger goes on as a new log. Raises `LedgerRefused` where it is damaged, in use, or needs no new
    log.
    """
    loaded = keys.load(folder)
    with _alone(folder), contextlib.closing(schema.open_to_write(folder)) as db:
        schema.prove_mark(db, folder / schema.FILE, loaded.mark)
        try:
            publisher_of(folder, settings, loaded).prove(db)
        except LedgerRefused:
            return new_log.begin(db, store_of(folder, settings), clock())
        raise LedgerRefused(f"{folder} is the log that was signed last: it needs no new one")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """With the service stopped, and nobody else writing."""
    with clean_stop.nobody_else(folder), schema.held(folder):
        yield


def _make(into: Path) -> None:
    if into.exists() and any(into.iterdir()):
        raise LedgerRefused(f"{into} is there already, and nothing is overwritten; name another place")
    make_folder(into)


def _write_new(path: Path, content: bytes) -> None:
    try:
        write_durably(path, content, exclusive=True)
    except FileExistsError as error:
        raise LedgerRefused(f"{path} is there already, and nothing is overwritten; name another place") from error
