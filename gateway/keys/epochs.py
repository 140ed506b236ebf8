"""Epochs of the records' keys: what these are wrapped by for a week, so that whatever a database, its log or a backup
leaves of a destroyed key dies with it. The vault calls it; `ledger.erasure_steps` says when.

One file in the data folder, `epochs.json`, mode 0600, its keys wrapped by those of `secrets.json`. An epoch bears the
date on which it dies; nothing but the clock of its beginning and the days that backups of the keys are kept decides
that, so what somebody who had their details erased was told stays true whatever is configured later. Lost, no key of a
record can be opened: back it up with the secrets, where the newest copy takes the place of the one before.

That it cannot be read now says nothing of what it holds: whoever needs it is refused, and nothing is begun beside it.
What was read and is no such file is laid aside, tried again, and destroyed when the last key that it may hold dies.

Whoever changes it holds the writers' lock. An older file is overwritten before it goes; what a disk keeps of blocks
that were overwritten is not reached.
"""

import contextlib
import json
import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from gateway.disk import write_durably
from gateway.keys import seals
from gateway.keys.secret_files import Stamp, stamp_of

FILE = "epochs.json"
ASIDE = f"{FILE}.unread-"
LABEL = b"epoch/1"
SECOND = 1000  # milliseconds
DAY = 86_400 * SECOND
WEEK = 7 * DAY  # an erased person waits for one at most; every living key is wrapped anew at its end, 10 us each
PASS = DAY  # for wrapping them anew; a million takes an hour beside a service that is idle
FIRST = 1  # made with the vault, without a clock: it is over at the first look at one


def horizon(kept: timedelta) -> timedelta:
    """How long after its beginning an epoch dies. `kept`: how long a backup of the keys may be put back."""
    return timedelta(milliseconds=WEEK + PASS) + kept


@dataclass(frozen=True, slots=True)
class Epoch:
    """`begun`, `dies`: Unix milliseconds. `box`: its key, wrapped. `empty`: no record's key is wrapped by it any more.
    `copied`: it was backed up.
    """

    number: int
    begun: int
    dies: int
    box: bytes = field(repr=False)
    empty: bool = False
    copied: bool = False

    @property
    def label(self) -> bytes:
        return LABEL + self.number.to_bytes(8)


class Epochs:
    """The file as it was read last; `refresh` before it is relied on. What this process's wrapping keys do not open
    stays in it, for those that do. `at_once`: raises OSError where it cannot be read now.
    """

    def __init__(self, folder: Path, wraps: tuple[bytes, ...], *, at_once: bool = True) -> None:
        self._path = folder / FILE
        self._wraps = wraps
        self._seen: Stamp | None = None
        self._keys = dict[int, bytes | None]()
        self.all: tuple[Epoch, ...] = ()  # oldest first
        if at_once:
            self.refresh()

    def refresh(self) -> None:
        """What another process changed. Raises OSError where it cannot be read now, and then the next one looks too."""
        while (seen := stamp_of(self._path)) != self._seen:  # until what was read is what is there
            self.all, self._keys = read_epochs(self._path), {}
            self._seen = seen

    @property
    def newest(self) -> Epoch | None:
        """What new keys are wrapped by."""
        return self.all[-1] if self.all else None

    @property
    def older(self) -> tuple[Epoch, ...]:
        return self.all[:-1]

    def key(self, number: int) -> bytes | None:
        """None: it is not there, or this process's wrapping keys do not open it."""
        if number not in self._keys:
            self._keys[number] = next((self._open(each) for each in self.all if each.number == number), None)
        return self._keys[number]

    def _open(self, epoch: Epoch) -> bytes | None:
        try:
            return seals.open_seal(self._wraps, epoch.label, epoch.box)
        except seals.OpeningFailed:
            return None

    def is_others(self) -> bool:
        """Whether there are some, and this process's wrapping keys open none."""
        return bool(self.all) and not any(self.key(each.number) for each in self.all)

    def begin(self, number: int, at: int, dies: int, key: bytes = b"") -> None:
        """A new epoch, durable when this returns. Those before it die no later, if it has a date. `key`: its, where
        other machines have it too.
        """
        if not self.all and self._path.exists():  # somebody may still mend it
            aside = self._path.with_name(f"{ASIDE}{secrets.token_hex(4)}")
            self._path.rename(aside)
            logging.getLogger("gateway.ledger").error("%s", _said_of(aside))
        made = self._sealed(Epoch(number, at, dies, b""), key or secrets.token_bytes(32))
        older = [replace(each, dies=min(each.dies, dies)) if at else each for each in self.all]
        self._store([*older, made])

    def mark(self, numbers: Iterable[int], **became: Any) -> None:
        """Notes what has become of some of them: `empty`, `copied`."""
        marked = {*numbers}
        self._store([replace(each, **became) if each.number in marked else each for each in self.all])

    def drop(self, number: int) -> None:
        """Destroys a key."""
        self._store([each for each in self.all if each.number != number])

    def try_again(self, now: int, lasts: int) -> None:
        """What lies aside: what can be read by now is taken back but for the dead, and what cannot goes once the last
        epoch that it may hold is dead. `lasts`: how long one lives.
        """
        for path, found in self.ripe(now, lasts):
            if found:
                self._take_back(each for each in self.capped(found) if not each.begun or each.dies > now)
            _destroy(path)

    def ripe(self, now: int, lasts: int) -> Iterator[tuple[Path, tuple[Epoch, ...]]]:
        """Of what lies aside that with which something can be done by now, with what was read in it."""
        for path in laid_aside(self._path.parent):
            found = tuple[Epoch, ...]()
            with contextlib.suppress(OSError):  # another time
                found = read_epochs(path)
            if found or now >= held_until(path, lasts):
                yield path, found

    def _take_back(self, epochs: Iterable[Epoch]) -> None:
        """Keys that nobody could open may be wrapped by them still, so that none counts as empty."""
        known = {each.number for each in self.all}
        again = [replace(each, empty=False) for each in epochs if each.number not in known]
        self._store(sorted([*self.all, *again], key=lambda each: each.number))

    def capped(self, found: Iterable[Epoch]) -> list[Epoch]:
        """Those of an older file with the dates that they have by what began here since: the days that backups of the
        keys are kept may have been fewer then. Whoever takes one back, or asks whether one is lost, does it by these.
        """
        dated = [each for each in self.all if each.begun]
        return [replace(each, dies=_dies_by(each, dated)) for each in found]

    def rewrap(self) -> None:
        """Wraps every key with the newest wrapping key."""
        opened = [(each, self.key(each.number)) for each in self.all]
        self._store([self._sealed(each, key) if key else each for each, key in opened])

    def _sealed(self, epoch: Epoch, key: bytes) -> Epoch:
        return replace(epoch, box=seals.seal_box(self._wraps[-1], epoch.label, key))

    def _store(self, epochs: Iterable[Epoch]) -> None:
        replace_file(self._path, _text(epochs))
        self.refresh()


def _dies_by(epoch: Epoch, dated: Iterable[Epoch]) -> int:
    """`dated`: oldest first. The first later one may have died too; each that began meanwhile took a week."""
    later = next((each for each in dated if each.number > epoch.number), None)
    if later is None:
        return epoch.dies
    over = max(epoch.begun, later.begun - WEEK * (later.number - epoch.number - 1))
    return min(epoch.dies, over + later.dies - later.begun)


def replace_file(path: Path, content: bytes) -> None:
    """A file in place of the one that is there, whose bytes are overwritten, as are those that a process that was
    killed in here left beside it. Durable when this returns.
    """
    for left in path.parent.glob(f".{path.name}.*"):
        _destroy(left)
    before = path.open("r+b", buffering=0) if path.exists() else None
    try:
        write_durably(path, content)
        if before:
            _zero(before)
    finally:
        if before:
            before.close()


def _zero(file: IO[bytes]) -> None:
    file.write(bytes(os.fstat(file.fileno()).st_size))
    os.fsync(file.fileno())


def _destroy(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("r+b", buffering=0) as file:  # of another user's the name goes
        _zero(file)
    path.unlink(missing_ok=True)


def laid_aside(folder: Path) -> list[Path]:
    """What was read and was no file of epochs, or what an operator put beside to be taken back."""
    names = os.listdir(folder)  # noqa: PTH208 - asked beside every batch, a third of a path's own time
    return sorted(folder / name for name in names if name.startswith(ASIDE))


def held_until(aside: Path, lasts: int) -> int:
    """When the last epoch that such a file may hold dies: it began before the file was written."""
    return aside.stat().st_mtime_ns // 1_000_000 + lasts


def read_epochs(path: Path) -> tuple[Epoch, ...]:
    """Those of a file, the oldest first; none where there is no file, or what was read is none of epochs. Raises
    OSError where it cannot be read now.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["epochs"]
        found = [Epoch(**{**each, "box": bytes.fromhex(each["box"])}) for each in stored]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ()
    return tuple(sorted(found, key=lambda each: each.number))


def _text(epochs: Iterable[Epoch]) -> bytes:
    names = Epoch.__dataclass_fields__
    rows = [{name: getattr(each, name) for name in names} | {"box": each.box.hex()} for each in epochs]
    return json.dumps({"epochs": rows}, indent=1).encode()


@dataclass(frozen=True, slots=True)
class EpochsAlarm:
    """That the file of a folder cannot be read, or one lies aside, for /readyz?strict; the door of health asks it."""

    folder: Path

    def alarms(self) -> list[str]:
        """What somebody has to look at; empty where all is well."""
        found = list[str]()
        try:
            found += [_said_of(path) for path in laid_aside(self.folder)]
            read_epochs(self.folder / FILE)
        except OSError as error:
            found.append(
                f"{self.folder / FILE} cannot be read ({error.strerror}), and until the service's user can read it"
                " opt-outs are kept beside the ledger and nothing else is entered: gateway help restore"
            )
        return found


def _said_of(aside: Path) -> str:
    return f"{aside} cannot be read, and what the epochs in it wrapped cannot be opened: gateway help restore"
