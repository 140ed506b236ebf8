"""New keys for an installation, old ones retired, each as an entry of the log (ledger.md 6.2 V40).

A pepper wraps every stored key once more, in one pass and at once. The others overlap: the new key makes, the older
ones still open, until they are retired. A service that is running knows the keys that it started with: restart it
between the two steps. Never prints a key.
"""

import contextlib
import secrets as random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from gateway import keys, wal
from gateway.app import Clock, kept_beside, now, open_house, publisher_of
from gateway.keys import Secrets
from gateway.ledger import clean_stop, rotate, schema
from gateway.ledger.ed25519 import Ed25519Signer
from gateway.ledger.mirrored import Mirrored
from gateway.ledger.sqlite_store import SqliteStore
from gateway.ledger.subjects import moment
from gateway.ledger.watch import FileWatch
from gateway.ledger.writer import Transaction, Writer
from gateway.settings import Settings
from gateway.vault.persons import Vault


class Kind(StrEnum):
    """Which key. The pepper makes pseudonyms, `key_encryption` wraps the persons' keys."""

    PEPPER = "pepper"
    COOKIE = "cookie"
    SIGNING = "signing"
    KEY_ENCRYPTION = "key_encryption"


FIELD = {Kind.COOKIE: "seals", Kind.SIGNING: "signing", Kind.KEY_ENCRYPTION: "wraps"}
# How long the older key is still needed: a browser's cookie lives 400 days (R9); a verifier key has to reach those who
# check receipts; persons' keys are wrapped anew when the older one is retired.
OVERLAP = {Kind.COOKIE: timedelta(days=400), Kind.SIGNING: timedelta(days=30), Kind.KEY_ENCRYPTION: timedelta(0)}


# The option that ends a key before its time. That of the cookies names the loss: each browser whose cookie cannot be
# opened is one that nobody knows, opted out of everything, and links to unsubscribe and app tokens end with them.
EARLY = {Kind.COOKIE: "--lose-browsers", Kind.SIGNING: "--early", Kind.KEY_ENCRYPTION: "--early"}


class RekeyRefused(Exception):
    """The text says why, and what helps."""


def pepper(folder: Path, settings: Settings, clock: Clock = now) -> tuple[int, int]:
    """A new pepper, or the rest of a change that was cut off. Returns (standings, peppers). No key of the older
    wrapping is left in the file afterwards.
    """
    with contextlib.closing(schema.open_to_read(folder)) as db:
        applied = int(db.execute("SELECT peppers FROM head").fetchone()[0])
    secrets = keys.load(folder)
    if len(secrets.peppers) == applied:
        secrets = keys.add_pepper(folder)
    fresh, total, at = secrets.peppers[applied:], len(secrets.peppers), clock()

    def job(tx: Transaction) -> int:
        rotate.note(tx, Kind.PEPPER, rotate.REPLACED, at)
        return rotate.rewrap(tx, lambda key: keys.wrap(key, fresh), total)

    with _writing(folder, settings, secrets, applied) as writer:
        done = writer.submit(job).result()
    with schema.held(folder), contextlib.closing(schema.open_to_write(folder)) as db:
        wal.vacuum(db)  # pages that only held keys of the older wrapping
    return done, total


@contextlib.contextmanager
def _writing(folder: Path, settings: Settings, secrets: Secrets, applied: int) -> Iterator[Writer]:
    """A writer whose keys are those of the rows, before they are rewritten."""
    watch = FileWatch(folder, applied, mark=secrets.mark)
    watch.start()
    writer = Writer(
        SqliteStore(folder), lambda: Vault(folder, secrets.wraps), watch, publisher_of(folder, settings, secrets),
        mirrored=Mirrored(folder),  # one under the older keys is taken away
    )  # fmt: skip
    try:
        yield writer
    finally:
        writer.close()
        watch.stop()


def replace_key(folder: Path, settings: Settings, kind: Kind, clock: Clock = now) -> int:
    """A newer key beside the ones there are. Returns how many there are then. The entry comes first: a crash leaves an
    entry about a key that never was, never a key without an entry.
    """
    secrets, fresh = keys.load(folder), random.token_bytes(32)
    _log(folder, settings, kind, rotate.REPLACED, clock, lambda origin: _vkey(kind, origin, fresh))
    held = (*getattr(secrets, FIELD[kind]), fresh)
    keys.store(folder, replace(secrets, **{FIELD[kind]: held}))
    return len(held)


def retire(folder: Path, settings: Settings, kind: Kind, clock: Clock = now, *, early: bool = False) -> int:
    """Ends the older keys. Returns how many persons' keys were wrapped anew. Raises `RekeyRefused` where there is only
    one, or the overlap is not over, `LedgerRefused` for the persons' keys while another process has the folder open;
    `early`: over or not, for a key that got out, by whoever knows what is lost with it.
    """
    secrets = keys.load(folder)
    *older, newest = getattr(secrets, FIELD[kind])
    if not older:
        raise RekeyRefused(f"there is one {kind} key only; make a newer one first: gateway rekey {kind}")
    ends = _since(folder, kind) + OVERLAP[kind]
    if not early and clock() < ends:
        raise RekeyRefused(f"the older {kind} key is needed until {ends:%Y-%m-%d}; for one that got out: {EARLY[kind]}")
    if kind is Kind.COOKIE and any(kept.waiting() for kept in kept_beside(folder, settings, secrets)):
        raise RekeyRefused("opt-outs that the older key seals are not entered yet; start the service, and try again")
    wrapped = 0
    if kind is Kind.KEY_ENCRYPTION:
        # Who started before the newer key takes what it cannot open for destroyed, and wraps new people's by the older.
        with (
            clean_stop.nobody_else(folder), schema.held(folder),
            contextlib.closing(Vault(folder, secrets.wraps)) as vault,
        ):  # fmt: skip
            wrapped = vault.rewrap()
    _log(folder, settings, kind, rotate.RETIRED, clock, lambda _: "")
    keys.store(folder, replace(secrets, **{FIELD[kind]: (newest,)}))
    return wrapped


def _vkey(kind: Kind, origin: str, seed: bytes) -> str:
    """Of a signing key its public half, so that the log vouches for the next one."""
    return Ed25519Signer(origin, seed).vkey if kind is Kind.SIGNING else ""


def _log(folder: Path, settings: Settings, kind: Kind, step: str, clock: Clock, vkey: Callable[[str], str]) -> None:
    def job(tx: Transaction) -> None:
        (origin,) = tx.db.execute("SELECT origin FROM head").fetchone()
        rotate.note(tx, kind, step, clock(), vkey(origin))

    with open_house(folder, settings) as house:
        house.writer.submit(job).result()


def _since(folder: Path, kind: Kind) -> datetime:
    """When the newest key of a kind was made."""
    with contextlib.closing(schema.open_to_read(folder)) as db:
        sql = "SELECT max(at) FROM key_event WHERE kind = ? AND step = ?"
        (at,) = db.execute(sql, (kind, rotate.REPLACED)).fetchone()
    return datetime.min.replace(tzinfo=UTC) if at is None else moment(at)
