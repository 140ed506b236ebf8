"""The last checkpoint that was signed, kept outside the data folder and never rolled back with it.

A log must never sign two trees of which one does not grow out of the other; whoever puts back an old copy of the folder
is found out here (as in Sunlight, another log). One small file a ledger, written beside, synced and renamed. What
witnesses signed lies beside it. Never holds a key.
"""

from pathlib import Path

from gateway.disk import make_folder, write_durably
from gateway.ledger import checkpoint
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.errors import LedgerRefused

SUFFIX = ".checkpoints"  # of the folder beside the data folder


class StoreBroken(LedgerRefused):
    """The store cannot be read, or holds what is no checkpoint. The text says which file."""


class Overtaken(Exception):
    """The stored checkpoint is not the one that was to be replaced."""


def beside(folder: Path) -> Path:
    """Where the store is unless `[ledger] checkpoint_store` says otherwise."""
    whole = folder.absolute()
    return whole.with_name(whole.name + SUFFIX)


class CheckpointStore:
    """The checkpoint of one ledger, by the random id in its head."""

    def __init__(self, folder: Path, ledger: bytes) -> None:
        self.path = folder / f"{ledger.hex()}.checkpoint"

    def last(self) -> Checkpoint | None:
        """None where none was ever signed. Raises `StoreBroken`."""
        try:
            return checkpoint.parse(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreBroken(
                f"{self.path} cannot be read ({error}). Put back its folder; gateway help restore"
            ) from error

    def cosigned(self) -> str | None:
        """The last checkpoint that witnesses signed too, as a note; None where there is none that can be read."""
        try:
            return self._cosigned.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def keep_cosigned(self, signed: str) -> None:
        """Raises `StoreBroken` where it cannot be written."""
        try:
            write_durably(self._cosigned, signed.encode())
        except OSError as error:
            raise StoreBroken(f"{self._cosigned} cannot be written: {error}") from error

    @property
    def _cosigned(self) -> Path:
        return self.path.with_suffix(".cosigned")

    def swap(self, old: Checkpoint | None, new: Checkpoint) -> None:
        """Replaces `old`, durably before this returns; whoever calls holds the writers' lock. Raises `Overtaken`, and
        `StoreBroken` where it cannot be written.
        """
        if self.last() != old:
            raise Overtaken(str(self.path))
        if new == old:
            return
        try:
            if old is None:
                make_folder(self.path.parent)
            write_durably(self.path, new.text().encode())
        except OSError as error:
            raise StoreBroken(f"{self.path} cannot be written ({error}). Make room, or mend its folder") from error
