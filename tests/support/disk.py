"""A disk under a recorded process: what is kept for sure at a moment, and what a power cut may leave of the rest.

A file's bytes are kept once it was synced; a name (made, renamed, removed) once its folder was. Of everything else each
write and each name may be there or not, in any order, a write also in part, at a border of 512 bytes. A failed sync
keeps nothing for sure, and what it should have written may be gone for good although later syncs succeed, as Linux has
it. That is harsher than a usual file system, and no harsher than POSIX.
"""

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECTOR = 512
STYLES = ("none", "random", "later only", "torn")


@dataclass(slots=True)
class Change:
    """A write, or a new size where there are no bytes."""

    at: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.at :]
        end = self.at + len(self.data or b"")
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        content[self.at : end] = self.data or b""

    def torn(self, chance: random.Random) -> "Change":
        """What lies before some border of two sectors, or what lies behind it."""
        if not self.data:
            return self
        end = self.at + len(self.data)
        first = self.at // SECTOR * SECTOR + SECTOR
        border = chance.choice([self.at, *range(first, end, SECTOR), end])
        if border == end or (border > self.at and chance.random() < 0.5):
            return Change(self.at, self.data[: border - self.at])
        return Change(border, self.data[border - self.at :])


@dataclass(slots=True)
class Naming:
    """A name that leads to something else now, and the one that goes for it: a rename is whole or not at all."""

    gone: str = ""
    name: str = ""
    node: Any = None

    def apply(self, names: dict[str, Any]) -> None:
        names.pop(self.gone, None)
        if self.name:
            names[self.name] = self.node

    def torn(self, _: random.Random) -> "Naming":
        return self


@dataclass(slots=True)
class File:
    kept: bytearray = field(default_factory=bytearray)
    seen: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)

    def change(self, change: Change) -> None:
        change.apply(self.seen)
        self.pending.append(change)


@dataclass(slots=True)
class Folder:
    kept: dict[str, "File | Folder"] = field(default_factory=dict)
    seen: dict[str, "File | Folder"] = field(default_factory=dict)
    pending: list[Naming] = field(default_factory=list)

    def change(self, change: Naming) -> None:
        change.apply(self.seen)
        self.pending.append(change)


def survivors(pending: Sequence[Any], style: str, chance: random.Random) -> list[Any]:
    """What a power cut leaves of what was not synced."""
    if style == "none":
        return []
    if style == "later only":
        return list(pending[len(pending) // 2 :])
    left = [change for change in pending if chance.random() < 0.5]
    return [change.torn(chance) for change in left] if style == "torn" else left


class Disk:
    """Plays recorded events, each a `support.recording.Event`. `seed` decides what failed syncs lose."""

    def __init__(self, seed: int = 0) -> None:
        self.root = Folder()
        self._open: dict[int, File | Folder] = {}
        self._chance = random.Random(seed)
        self._doing = {
            "O": self._opened,
            "W": self._wrote,
            "T": self._truncated,
            "S": self._synced,
            "F": self._sync_failed,
            "R": self._renamed,
            "L": self._linked,
            "U": self._removed,
            "D": self._removed,
            "M": self._made,
        }

    def apply(self, event: Any) -> None:
        if event.op in self._doing:
            self._doing[event.op](event)

    def seen_by_the_process(self) -> dict[str, bytes]:
        """Every file as it is while the power is on."""
        return {path: bytes(node.seen) for path, node in _walk(self.root, lambda folder: folder.seen) if _is_file(node)}

    def image(self, style: str, names: str, chance: random.Random) -> dict[str, bytes | None]:
        """What the disk may hold after a power cut now, by path; None: a folder. `style`: how unsynced bytes survive,
        `names`: how unsynced names do, both of STYLES.
        """
        made = dict[str, bytes | None]()
        for path, node in _walk(self.root, lambda folder: _left(folder, names, chance, dict(folder.kept))):
            made[path] = bytes(_left(node, style, chance, bytearray(node.kept))) if _is_file(node) else None
        return made

    def _folder(self, path: str) -> tuple[Folder, str]:
        """The folder of a path, and the name in it."""
        *above, name = path.split("/")
        folder = self.root
        for each in above:
            folder = folder.seen[each]
        return folder, name

    def _opened(self, event: Any) -> None:
        if not event.path:
            self._open[event.handle] = self.root
            return
        folder, name = self._folder(event.path)
        if name not in folder.seen:
            folder.change(Naming(name=name, node=File()))
        node = self._open[event.handle] = folder.seen[name]
        if event.number & os.O_TRUNC and node.seen:
            node.change(Change(0, None))

    def _wrote(self, event: Any) -> None:
        self._open[event.handle].change(Change(event.number, event.data))

    def _truncated(self, event: Any) -> None:
        self._open[event.handle].change(Change(event.number, None))

    def _synced(self, event: Any) -> None:
        node = self._open[event.handle]
        _apply(node.kept, node.pending)
        node.pending.clear()

    def _sync_failed(self, event: Any) -> None:
        node = self._open[event.handle]
        _apply(node.kept, [change for change in node.pending if self._chance.random() < 0.5])
        node.pending.clear()

    def _renamed(self, event: Any) -> None:
        (here, old), (there, new) = self._folder(event.path), self._folder(event.data.decode())
        there.change(Naming(old if here is there else "", new, here.seen[old]))
        if here is not there:
            here.change(Naming(old))

    def _linked(self, event: Any) -> None:
        (here, old), (there, new) = self._folder(event.path), self._folder(event.data.decode())
        there.change(Naming(name=new, node=here.seen[old]))

    def _removed(self, event: Any) -> None:
        folder, name = self._folder(event.path)
        folder.change(Naming(name))

    def _made(self, event: Any) -> None:
        folder, name = self._folder(event.path)
        folder.change(Naming(name=name, node=Folder()))


def written(image: Mapping[str, bytes | None], folder: Path) -> Path:
    """The image as files."""
    folder.mkdir(parents=True)
    for path, content in image.items():
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)
    return folder


def _is_file(node: File | Folder) -> bool:
    return isinstance(node, File)


def _apply(content: Any, pending: Sequence[Any]) -> Any:
    for change in pending:
        change.apply(content)
    return content


def _left(node: File | Folder, style: str, chance: random.Random, content: Any) -> Any:
    return _apply(content, survivors(node.pending, style, chance))


def _walk(folder: Folder, names: Callable[[Folder], Mapping[str, Any]], above: str = "") -> Iterator[tuple[str, Any]]:
    """(path, node), a folder before what is in it."""
    for name, node in names(folder).items():
        yield above + name, node
        if isinstance(node, Folder):
            yield from _walk(node, names, f"{above}{name}/")
