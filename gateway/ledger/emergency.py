"""The emergency file: where what tightens is kept while the ledger cannot be written, one sealed line a request.

It lies in the folder of the last checkpoint and not in the data folder: it is needed exactly when that was lost or an
older copy was put back, and must not be replaced with it. Its name comes from the first pepper, which never changes.
Durable before `keep` returns. A torn last line was never acknowledged: it is skipped and counted. Taken in by
`gateway.ledger.intake`. Never opened by anybody without this installation's seal keys.
"""

import base64
import contextlib
import errno
import fcntl
import hmac
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.disk import make_folder, sync_folder
from gateway.keys import seals
from gateway.keys.secret_files import Secrets
from gateway.ledger import kept_request
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.kept_request import KeptRequest

LABEL = b"emergency/1"
LATER = b"entered-later/1"
NAME_BYTES = 8


@dataclass(frozen=True, slots=True)
class EmergencyWaiting:
    """What the file holds: each request with its line. `size`: bytes that were read; `unread`: whole lines that nobody
    can open; `torn`: bytes after the last whole line.
    """

    requests: tuple[tuple[bytes, KeptRequest], ...]
    size: int
    unread: tuple[bytes, ...] = ()
    torn: int = 0


class Emergency:
    """One installation's file in the folder of its last checkpoint; several processes may share it. `limit`: the size
    in bytes that it never grows beyond. `label`: `LABEL`, or `LATER` for what is entered behind everything else.
    """

    def __init__(self, folder: Path, secrets: Secrets, limit: int, label: bytes = LABEL) -> None:
        name = hmac.digest(secrets.peppers[0], label, "sha256")[:NAME_BYTES].hex()
        self._label = label
        self.path = folder / f"{name}.emergency"
        self._secrets = secrets
        self._limit = limit
        self.torn = 0

    def keep(self, *requests: KeptRequest) -> None:
        """Appends requests, durably. Raises `StoreUnavailable` where that cannot be done: then nothing was kept."""
        texts = [request.text(len(self._secrets.peppers)) for request in requests]
        boxes = [base64.b64encode(seals.seal_box(self._secrets.seals[-1], self._label, text)) for text in texts]
        line = b"".join(box + b"\n" for box in boxes)
        try:
            make_folder(self.path.parent)
            with self._locked() as descriptor:
                self._append(descriptor, line)
        except OSError as error:
            raise StoreUnavailable(f"nothing was kept: {error.strerror}") from error

    def waiting(self) -> bool:
        """Whether there is something to take in. A file that cannot be looked at may hold something."""
        try:
            return self.path.stat().st_size > 0
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def read(self) -> EmergencyWaiting:
        """Everything that was acknowledged and not yet taken in. Raises OSError."""
        with self._locked() as descriptor:
            content = _content(descriptor)
        *lines, rest = content.split(b"\n")
        requests, unread = list[tuple[bytes, KeptRequest]](), list[bytes]()
        for line in lines:
            try:
                requests.append((line, self._open(line)))
            except (seals.OpeningFailed, ValueError):
                unread.append(line)
        return EmergencyWaiting(tuple(requests), len(content), tuple(unread), len(rest))

    def clear(self, read: EmergencyWaiting, refused: Sequence[bytes] = ()) -> bool:
        """Empties the file durably once all of `read` is entered; False where more came meanwhile. Lines that nobody
        can open, and `refused` ones, are laid beside it first: they were acknowledged.
        """
        with self._locked() as descriptor:
            if os.fstat(descriptor).st_size != read.size:
                return False
            self._lay_aside((*read.unread, *refused))
            self.torn += bool(read.torn)
            os.ftruncate(descriptor, 0)
            os.fsync(descriptor)
        return True

    def unread(self) -> bool:
        """Whether lines lie aside that nobody could open."""
        return self._aside.exists()

    @property
    def _aside(self) -> Path:
        return self.path.with_suffix(".unread")

    def _open(self, line: bytes) -> KeptRequest:
        box = base64.b64decode(line, validate=True)
        return kept_request.read(seals.open_seal(self._secrets.seals, self._label, box), self._secrets.peppers)

    def _append(self, descriptor: int, line: bytes) -> None:
        content_ends = self._mended(descriptor)
        if content_ends + len(line) > self._limit:
            raise StoreUnavailable("nothing was kept: the emergency file is full")
        try:
            _write(descriptor, line, content_ends)
        except OSError:
            with contextlib.suppress(OSError):  # it was not acknowledged; left there, it would be torn or entered
                os.ftruncate(descriptor, content_ends)
            raise
        sync_folder(self.path.parent)

    def _mended(self, descriptor: int) -> int:
        """The size without a torn last line, which the next one must not continue."""
        size = os.fstat(descriptor).st_size
        if not size or os.pread(descriptor, 1, size - 1) == b"\n":
            return size
        whole = _content(descriptor).rfind(b"\n") + 1
        os.ftruncate(descriptor, whole)
        self.torn += 1
        return whole

    def _lay_aside(self, lines: tuple[bytes, ...]) -> None:
        if not lines:
            return
        descriptor = os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, b"".join(line + b"\n" for line in lines))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _write(descriptor: int, line: bytes, at: int) -> None:
    if os.pwrite(descriptor, line, at) != len(line):
        raise OSError(errno.ENOSPC, "the line was not written whole")
    os.fsync(descriptor)


def _content(descriptor: int) -> bytes:
    content, part = b"", b"-"
    while part:
        part = os.pread(descriptor, 1 << 20, len(content))
        content += part
    return content
