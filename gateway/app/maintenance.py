"""Maintenance of an installation, for the command line: backups made and put back, keys replaced and retired.

Each new or retired key is an entry of the log (V40). A pepper wraps every stored key once more, in one pass and at
once. The others overlap: the new key makes, the older ones still open, until they are retired. A service that is
running knows the keys that it started with: restart it between the two steps. Never prints a key.

A backup puts the ledger, the persons' keys and the secrets each in a place of its own, so that keys and data never lie
in one backup. Never overwrites, never deletes a ledger.
"""

import contextlib
import re
import secrets as random
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from gateway import disk
from gateway.app.composition import Clock, kept_beside, lasting_of, now, open_house, publisher_of, store_of
from gateway.desk.office.desk_file import DESK_FILE, desk_file, end_ways_in
from gateway.disk import make_folder, sync_folder, write_durably
from gateway.keys import person_keys, secret_files
from gateway.keys.api_keys import FILE as API_KEYS
from gateway.keys.epochs import ASIDE, Epochs, read_epochs, replace_file
from gateway.keys.epochs import FILE as EPOCHS
from gateway.keys.person_keys import FILE as VAULT
from gateway.keys.person_keys import Vault
from gateway.keys.secret_files import Secrets
from gateway.ledger import folder_store, schema
from gateway.ledger import watch as watching
from gateway.ledger.acts import office_acts
from gateway.ledger.audit import backup, examination
from gateway.ledger.audit.backup import NewLogBegun
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.folder_store import name_store, store_in
from gateway.ledger.proof.ed25519 import Ed25519Signer
from gateway.ledger.proof.note import Checkpoint
from gateway.ledger.subjects import moment
from gateway.ledger.transaction import Transaction
from gateway.ledger.watch import FileMoved
from gateway.ledger.writer import Writer
from gateway.postgres import address
from gateway.settings.load import Settings
from gateway.state.environment import remove_states


class RekeyKind(StrEnum):
    """Which key (`gateway help rotation`). The pepper makes pseudonyms, `cookie` seals what comes back to us, `signing`
    signs the log, `key_encryption` wraps the persons' keys, `tokens` makes what recipients and forms are known by,
    `accounts` is the site's servers' own.
    """

    PEPPER = "pepper"
    COOKIE = "cookie"
    SIGNING = "signing"
    KEY_ENCRYPTION = "key_encryption"
    TOKENS = "tokens"
    ACCOUNTS = "accounts"


# The field of the secrets, and how long its older key is still needed: of peppers none ends; a browser's cookie lives
# 400 days (R9); a verifier key has to reach those who check receipts; persons' keys are wrapped anew when the older one
# is retired; recipients have to be given what messages are signed with, and the site's servers what they sign with.
ROTATED = {
    RekeyKind.PEPPER: ("peppers", timedelta.max),
    RekeyKind.COOKIE: ("seals", timedelta(days=400)),
    RekeyKind.SIGNING: ("signing", timedelta(days=30)),
    RekeyKind.KEY_ENCRYPTION: ("wraps", timedelta(0)),
    RekeyKind.TOKENS: ("tokens", timedelta(days=30)),
    RekeyKind.ACCOUNTS: ("accounts", timedelta(days=30)),
}


def early_option(kind: RekeyKind) -> str:
    """The option that ends a key before its time. That of the cookies names the loss: each browser whose cookie cannot
    be opened is one that nobody knows, opted out of everything, and links to unsubscribe and app tokens end with them.
    """
    return "--lose-browsers" if kind is RekeyKind.COOKIE else "--early"


class RekeyRefused(Exception):
    """The text says why, and what helps."""


def pepper(folder: Path, settings: Settings, clock: Clock = now) -> tuple[int, int]:
    """A new pepper, or the rest of a change that was cut off. Returns (standings, peppers). No key of the older
    wrapping is left in the file afterwards.
    """
    owned = store_in(folder, owner=settings.store.owner)
    folder_store.prove_owner(owned, store_in(folder), "gateway rekey pepper")
    at, rewrapped = clock(), threading.Event()

    def tell(doubt: str) -> None:
        """What a proof finds from there on is the newer pepper of our own, and no doubt."""
        if not rewrapped.is_set():
            watching.log(doubt)

    def job(tx: Transaction) -> tuple[int, int]:
        """Under the lock that all machines share: who comes second finds the first one's pepper, and adds none."""
        secrets, applied = _peppers_here(folder, tx.db)
        if len(secrets.peppers) == applied:
            secrets = secret_files.add_pepper(folder)
        fresh, total = secrets.peppers[applied:], len(secrets.peppers)
        office_acts.note_key(tx, RekeyKind.PEPPER, office_acts.REPLACED, at)
        standings = office_acts.rewrap(tx, lambda key: secret_files.wrap(key, fresh), total, secrets.marks[-1])
        rewrapped.set()  # before its commit, behind which a proof may come at any moment
        return standings, total

    try:
        with _writing(folder, settings, tell) as writer:
            done = writer.submit(job).result()
    except (StoreUnavailable, FileMoved):
        with contextlib.closing(store_in(folder).open_to_read()) as db:
            _peppers_here(folder, db)  # another machine's may be there since, which it says in its own words
        raise
    with schema.held(folder), contextlib.closing(owned.open_to_write()) as db:
        disk.vacuum(db, office_acts.KEYED)  # pages that only held keys of the older wrapping
        remove_states(folder)
    return done


def _peppers_here(folder: Path, db: sqlite3.Connection) -> tuple[Secrets, int]:
    """The secrets as they are now, and how many of their peppers wrap the keys. Raises `LedgerRefused` where others do,
    or more.
    """
    secrets = secret_files.load_secrets(folder)
    return secrets, schema.prove_mark(db, store_in(folder).name, secrets.marks)


@contextlib.contextmanager
def _writing(folder: Path, settings: Settings, tell: Callable[[str], None]) -> Iterator[Writer]:
    """A writer whose keys are those of the rows, before they are rewritten. `tell`: of `LedgerWatch`."""
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        secrets, applied = _peppers_here(folder, db)
    watch = watching.watch_of(store_in(folder), applied, marks=secrets.marks[:applied], tell=tell)
    watch.start()
    writer = Writer(
        store_in(folder),
        lambda: Vault(folder, secrets.wraps),
        watch,
        publisher_of(folder, settings, secrets),
    )
    try:
        yield writer
    finally:
        writer.close(patiently=True)  # nobody waits for this process, and what comes next is for files that it let go
        watch.stop()


def replace_key(folder: Path, settings: Settings, kind: RekeyKind, clock: Clock = now) -> int:
    """A newer key beside the ones there are. Returns how many there are then. The entry comes first: a crash leaves an
    entry about a key that never was, never a key without an entry.
    """
    fresh = random.token_bytes(32)
    _log(folder, settings, kind, office_acts.REPLACED, clock, lambda origin: _vkeys(kind, origin, fresh))
    return _change(folder, kind, lambda held: (*held, fresh))


def retire(folder: Path, settings: Settings, kind: RekeyKind, clock: Clock = now, *, early: bool = False) -> int:
    """Ends the older keys. Returns how many persons' keys were wrapped anew. Raises `RekeyRefused` where there is only
    one, or the overlap is not over, `LedgerRefused` for the persons' keys while another process has the folder open;
    `early`: also before its time is over, for a key that got out; what it sealed is lost.
    """
    secrets = secret_files.load_secrets(folder)
    field, overlap = ROTATED[kind]
    older = getattr(secrets, field)[:-1]
    if not older:
        raise RekeyRefused(f"there is one {kind} key only; make a newer one first: gateway rekey {kind}")
    ends = _since(folder, kind) + overlap
    if not early and clock() < ends:
        raise RekeyRefused(
            f"the older {kind} key is needed until {ends:%Y-%m-%d}; for one that got out: {early_option(kind)}"
        )
    if kind is RekeyKind.COOKIE and any(kept.waiting() for kept in kept_beside(folder, settings, secrets)):
        raise RekeyRefused(  # an older release sealed them with it
            "opt-outs that the older key may seal are not entered yet; start the service, and try again"
        )
    wrapped = 0
    if kind is RekeyKind.KEY_ENCRYPTION:
        # Who started before the newer key takes what it cannot open for destroyed, and wraps new people's by the older.
        with (
            examination.nobody_else(folder),
            schema.held(folder),
            contextlib.closing(Vault(folder, secrets.wraps)) as vault,
        ):
            if address.url_in(folder):
                with contextlib.closing(store_in(folder).open_to_write()) as db:
                    wrapped = vault.rewrap(db)
            else:
                wrapped = vault.rewrap()
    _log(folder, settings, kind, office_acts.RETIRED, clock, lambda _: [])
    _change(folder, kind, lambda held: tuple(key for key in held if key not in older))
    return wrapped


def _change(folder: Path, kind: RekeyKind, change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> int:
    """Returns how many there are then. Under the lock: of two rotations at once neither undoes the other's, and no
    pepper is lost, without which nobody would be found.
    """
    with schema.held(folder):
        secrets = secret_files.load_secrets(folder)
        field, _ = ROTATED[kind]
        keys = change(getattr(secrets, field))
        secret_files.store(folder, replace(secrets, **{field: keys}))
    return len(keys)


def _vkeys(kind: RekeyKind, origin: str, seed: bytes) -> list[str]:
    """Of a signing key its public halves, so that the log vouches for the next ones."""
    if kind is not RekeyKind.SIGNING:
        return []
    return [Ed25519Signer(origin, seed).vkey, *(each.vkey for each in lasting_of([seed], origin))]


def _log(
    folder: Path, settings: Settings, kind: RekeyKind, step: str, clock: Clock, vkeys: Callable[[str], list[str]]
) -> None:
    def job(tx: Transaction) -> None:
        (origin,) = tx.db.execute("SELECT origin FROM head").fetchone()
        office_acts.note_key(tx, kind, step, clock(), *vkeys(origin))

    with open_house(folder, settings) as house:
        house.writer.submit(job).result()


def _since(folder: Path, kind: RekeyKind) -> datetime:
    """When the newest key of a kind was made."""
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        sql = "SELECT max(at) FROM key_event WHERE kind = ? AND step = ?"
        (at,) = db.execute(sql, (kind, office_acts.REPLACED)).fetchone()
    return datetime.min.replace(tzinfo=UTC) if at is None else moment(at)


FORGOTTEN = "SELECT person FROM detail GROUP BY person HAVING count(sealed) = 0"
STAMP = "%Y%m%dT%H%M%SZ"
KEYS_FILE = re.compile(r"vault-([0-9]{8}T[0-9]{6}Z)\.sqlite3", re.ASCII)


def back_up(folder: Path, into: Path) -> Checkpoint:
    """The ledger, the callers' keys (hashed) and the desk's own file, into a new folder; the service may run. Returns
    what the copy is the log of. Raises `LedgerRefused`.
    """
    _prove_file(folder, "is backed up by its own means", "pg_basebackup, or an archive of its log")
    _make(into)
    backup.copy(folder / schema.FILE, into / schema.FILE)
    if (folder / DESK_FILE).exists():
        with contextlib.suppress(StoreUnavailable), desk_file(folder):
            pass  # what a killed process left half done is taken back, which the copy, that only reads, cannot do
        backup.copy(folder / DESK_FILE, into / DESK_FILE)
    if (folder / API_KEYS).exists():
        _write_new(into / API_KEYS, (folder / API_KEYS).read_bytes())
    return backup.examined(into)


def back_up_keys(folder: Path, into: Path, clock: Clock = now) -> Path:
    """The persons' keys, wrapped, into a dated file: kept for days only, for an erasure does not reach it."""
    _prove_file(folder, "has the persons' keys too", "they are backed up with it")
    make_folder(into)
    made = into / f"vault-{clock().astimezone(UTC):{STAMP}}.sqlite3"
    backup.copy(folder / VAULT, made)
    return made


def back_up_secrets(folder: Path, into: Path, clock: Clock = now) -> Path:
    """The secrets, without which nobody is found, and what wraps the persons' keys these weeks: to a place that holds
    neither ledger nor keys. Of the latter the newest alone is kept there: an older copy would outlive an erasure.
    Raises `LedgerRefused`, too where that copy is the last to hold what still lives.
    """
    try:
        content = (folder / secret_files.SECRETS).read_bytes()
    except FileNotFoundError as error:
        raise LedgerRefused(f"{folder / secret_files.SECRETS} is not there") from error
    make_folder(into)
    made = into / secret_files.SECRETS
    if not made.exists() or made.read_bytes() != content:
        _write_new(made, content)
    with schema.held(folder):
        kept = Epochs(folder, secret_files.load_secrets(folder).wraps)
        if kept.all:
            _prove_none_lost(folder, into / EPOCHS, kept, clock())
            replace_file(into / EPOCHS, (folder / EPOCHS).read_bytes())
            kept.mark([each.number for each in kept.all], copied=True)
    return made


def _prove_none_lost(folder: Path, copy: Path, kept: Epochs, at: datetime) -> None:
    """That the folder has each epoch of a copy that is not dead."""
    own = {each.number for each in kept.all}
    if any(moment(each.dies) > at and each.number not in own for each in kept.capped(read_epochs(copy))):
        raise LedgerRefused(
            f"{copy} holds epochs that {folder / EPOCHS} has lost, and stays as it is: put it back with"
            f" cp {copy} {folder / ASIDE}copy, as the user that the service runs as (gateway help restore)"
        )


def epochs_are_copied(folder: Path) -> bool:
    """Whether what wraps the persons' keys now was backed up since it began."""
    newest = Epochs(folder, ()).newest
    return newest is None or newest.copied


def prune_ledger_of(into: Path, days: int, clock: Clock = now) -> list[Path]:
    """Deletes backups of the persons' keys that are older than so many days. Returns them."""
    limit, gone = clock() - timedelta(days=days), []
    for path in sorted(into.iterdir()):
        found = KEYS_FILE.fullmatch(path.name)
        if found and datetime.strptime(found[1], STAMP).replace(tzinfo=UTC) < limit:
            path.unlink()
            gone.append(path)
    sync_folder(into)
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


def put_back(
    folder: Path, settings: Settings, ledger: Path, vault: Path | None, secrets: Path | None, clock: Clock = now
) -> PutBack:
    """The ledger of a backup in place of the folder's; keys and secrets only where the folder has none, else to name
    them is refused: they are not to be put back to before an erasure or a rotation. Raises `LedgerRefused`,
    `SecretsMissing`.
    """
    _prove(ledger)
    make_folder(folder)
    _prove_file(folder, "is put back by its own means", "as its backup was made")
    with _alone(folder):
        _prove_room(folder, vault, secrets, clock())
        loaded = _secrets_of(folder, ledger, secrets)
        if vault:
            for ending in ("", *backup.TAIL):  # one that keeps nobody's
                (folder / f"{VAULT}{ending}").unlink(missing_ok=True)
            backup.copy(vault, folder / VAULT)
        _put_back_epochs(folder, secrets, loaded, clock())
        if (ledger / API_KEYS).exists() and not (folder / API_KEYS).exists():
            _write_new(folder / API_KEYS, (ledger / API_KEYS).read_bytes())
        if (ledger / DESK_FILE).exists() and not (folder / DESK_FILE).exists():
            _put_back_desk(ledger, folder)
        _forget_again(folder, ledger, loaded)
        aside = backup.put_back(ledger, folder)  # last: cut off before, the folder is none to start from
        found, why = backup.examined(folder), ""
        with contextlib.closing(store_in(folder).open_to_read()) as db:
            try:
                publisher_of(folder, settings, loaded).prove(db)
            except LedgerRefused as refused:
                why = str(refused)
    return PutBack(found, aside, why, (folder / VAULT).exists())


def _prove_room(folder: Path, vault: Path | None, kept: Path | None, at: datetime) -> None:
    """That what is named would be put back, or is there already. Raises `LedgerRefused`."""
    there = [folder / VAULT] if vault and person_keys.anybody(folder) else []
    own = folder / secret_files.SECRETS
    if kept and own.exists():
        copy = kept / secret_files.SECRETS
        there += [own] if copy.exists() and own.read_bytes() != copy.read_bytes() else []
        there += [folder / EPOCHS] if _has_others(folder, kept, at) else []
    if there:
        raise LedgerRefused(
            f"{' and '.join(map(str, there))}: there already, and nothing is put back over keys; nothing was changed."
            " Without --keys and --secrets they stay, and the ledger alone is put back (gateway help restore)"
        )


def _has_others(folder: Path, kept: Path, at: datetime) -> bool:
    """Whether the folder has epochs, and not each of the kept ones that live."""
    own, copy = (Epochs(each, secret_files.load_secrets(folder).wraps) for each in (folder, kept))
    lives = [each.number for each in copy.all if not each.begun or moment(each.dies) > at]
    return bool(own.all) and any(own.key(number) != copy.key(number) for number in lives)


def _put_back_epochs(folder: Path, kept: Path | None, secrets: Secrets, at: datetime) -> None:
    """The kept ones where the folder has none, but for what is dead by now."""
    if kept and (kept / EPOCHS).exists() and not (folder / EPOCHS).exists():
        _write_new(folder / EPOCHS, (kept / EPOCHS).read_bytes())
    epochs = Epochs(folder, secrets.wraps)
    for each in epochs.all:
        if each.begun and moment(each.dies) <= at:
            epochs.drop(each.number)
    _count_none_as_empty(epochs)


def _count_none_as_empty(epochs: Epochs) -> None:
    """Behind a restore, of a backup or of a server, keys of before may be there again, wrapped by any that lives."""
    if epochs.all:
        epochs.mark([each.number for each in epochs.all], empty=False)


def _put_back_desk(ledger: Path, folder: Path) -> None:
    """Its people come back and no way in does, also where this is cut off in between."""
    arriving = folder / ".desk.arriving"
    shutil.rmtree(arriving, ignore_errors=True)
    make_folder(arriving)
    backup.copy(ledger / DESK_FILE, arriving / DESK_FILE)
    end_ways_in(arriving)
    (arriving / DESK_FILE).replace(folder / DESK_FILE)
    shutil.rmtree(arriving)
    sync_folder(folder)


def _forget_again(folder: Path, ledger: Path, secrets: Secrets) -> None:
    """Keys that were put back may be of before an erasure, or a prune, that the ledger of the backup tells of."""
    if not (folder / VAULT).exists():
        return
    with (
        contextlib.closing(store_in(ledger).open_to_read()) as db,
        contextlib.closing(Vault(folder, secrets.wraps)) as vault,
    ):
        vault.destroy([row[0] for row in db.execute(FORGOTTEN)], ())


def _prove(ledger: Path) -> None:
    """That a backup can be put back. What helps a ledger in use (another backup, `gateway migrate`) would be wrong
    advice for a backup. Raises `LedgerRefused`.
    """
    try:
        with contextlib.closing(store_in(ledger).open_to_read()):
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
    own = (folder / secret_files.SECRETS).exists()
    if not own and kept is None:
        raise secret_files.SecretsMissing(
            f"{folder} has no {secret_files.SECRETS}, and none but this ledger's own finds anybody in it."
            f" Name the folder with its copy: gateway restore {ledger} --data {folder} --secrets FOLDER --keys FILE"
        )
    source = folder if own or kept is None else kept
    secrets = secret_files.load_secrets(source)
    with contextlib.closing(store_in(ledger).open_to_read()) as db:
        schema.prove_mark(db, ledger / schema.FILE, secrets.marks)
    if source is not folder:
        _write_new(folder / secret_files.SECRETS, (source / secret_files.SECRETS).read_bytes())
    return secrets


def go_on(folder: Path, settings: Settings, clock: Clock = now) -> NewLogBegun:
    """The folder's ledger goes on as a new log. Raises `LedgerRefused` where it is damaged, in use, or needs no new
    log, or another machine began that.
    """
    loaded = secret_files.load_secrets(folder)
    owned = store_in(folder, owner=settings.store.owner)
    folder_store.prove_owner(owned, store_in(folder), "gateway restore --new-log")
    with _alone(folder), contextlib.closing(owned.open_to_write()) as db:
        schema.prove_mark(db, folder / schema.FILE, loaded.marks)
        try:
            publisher_of(folder, settings, loaded).prove(db)
        except LedgerRefused:
            _count_none_as_empty(Epochs(folder, loaded.wraps))
            return backup.begin_new_log(db, store_of(folder, settings), clock())
        raise LedgerRefused(f"{folder} is the log that was signed last: it needs no new one")


def take_over(folder: Path, settings: Settings) -> None:
    """Goes on here with a ledger in a PostgreSQL that another machine wrote, which then answers nobody any more. The
    folder has that one's secrets. Where it has no checkpoint, the server's word is taken for what was signed last:
    only a witness could know better. Raises `LedgerRefused`, `SecretsMissing`.
    """
    make_folder(folder)
    if url := settings.store.url or address.url_in(folder):
        name_store(folder, url)
    loaded = secret_files.load_secrets(folder)
    with _alone(folder):
        with address.another_number(folder, url) if url else contextlib.nullcontext():
            store_in(folder).take_over()
        person_keys.take_over(folder)
        _adopt(folder, settings, loaded)
        _count_none_as_empty(Epochs(folder, loaded.wraps))
        _prove_epochs(folder, loaded)


def _prove_epochs(folder: Path, loaded: Secrets) -> None:
    """Where no machine's are left, new ones are begun, beside keys that nobody can open."""
    with contextlib.closing(Vault(folder, loaded.wraps)) as vault:
        if vault.epochs.newest is None:
            with contextlib.closing(store_in(folder).open_to_write()) as db:
                db.execute("DELETE FROM shared_epoch")
            vault.begin_alone()


def _adopt(folder: Path, settings: Settings, loaded: Secrets) -> None:
    store = store_in(folder)
    with contextlib.closing(store.open_to_write()) as db:
        schema.prove_mark(db, store.name, loaded.marks)
        backup.follow_new_log(db, store_of(folder, settings))
        publisher_of(folder, settings, loaded).adopt(db)


def join(folder: Path, settings: Settings) -> None:
    """Writes and answers here too, on a ledger in a PostgreSQL on which others do. The folder has secrets and
    epochs of one of them. As `take_over` with what was signed last. Raises `LedgerRefused`, `SecretsMissing`.
    """
    make_folder(folder)
    if url := settings.store.url or address.url_in(folder):
        name_store(folder, url)
    loaded, store, epochs = secret_files.load_secrets(folder), store_in(folder), folder / EPOCHS
    kept = Epochs(folder, loaded.wraps)
    if address.url_in(folder) and (kept.newest is None or kept.key(kept.newest.number) is None):
        raise LedgerRefused(f"{epochs} is not there, or not of these secrets: copy both from a machine that serves")
    with _alone(folder):
        store.join()
        person_keys.join(folder)
        _adopt(folder, settings, loaded)
        _count_none_as_empty(kept)


def _prove_file(folder: Path, what: str, instead: str) -> None:
    """That the folder's ledger is a file. Raises `LedgerRefused`."""
    if address.url_in(folder):
        raise LedgerRefused(
            f"the ledger of {folder} is in a PostgreSQL, which {what}: {instead} (gateway help postgresql)"
        )


def take_back(folder: Path, to: int) -> int:
    """The folder's ledger becomes one that an older release opens, with all that was said since; see
    `schema.take_back`. A server keeps its version, for an older release that has the same. Raises `LedgerRefused` too
    where it is in use.
    """
    if to != schema.version_wanted():
        _prove_file(folder, "no release of an older version opens", "stay with this one")
    store, marks = store_in(folder), secret_files.load_secrets(folder).marks
    with _alone(folder):
        if not store.is_server:
            return schema.take_back(folder, to, marks)
        with contextlib.closing(store.open_to_write()) as db:
            return schema.bear_first_mark(db, store.name, marks)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """With the service stopped, and nobody else writing."""
    with examination.nobody_else(folder), schema.held(folder):
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
