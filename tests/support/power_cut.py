"""Power cuts, in every way that a disk may bear them: cut points spread over a recording, an image of each, and what
of its promises is broken.
"""

import contextlib
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.state import environment
from support import recording
from support.answers import answers
from support.disk import STYLES, Disk, written
from support.promises import LATER, Image, promises
from support.states import Readings
from support.told import Told, understand
from support.workload import Promises


@dataclass(frozen=True, slots=True)
class Recording:
    """One life of a service, read back."""

    world: Path
    log: Sequence[recording.Event]
    told: Sequence[Told]

    @property
    def acknowledged(self) -> int:
        """Entries that somebody was told are kept."""
        return sum(len(told.events) for told in self.told)


@dataclass(slots=True)
class Found:
    """What some power cuts came to. `broken`: by cut, with how it was cut."""

    images: int = 0
    broken: dict[str, list[str]] = field(default_factory=dict)

    def most(self, words: str) -> int:
        """How often a sentence with these words was said of one image, at most."""
        return max((sum(words in each for each in said) for said in self.broken.values()), default=0)

    def kinds(self) -> Counter[str]:
        """In how many images which promise was broken, by its first words."""
        return Counter(kind for said in self.broken.values() for kind in {each.partition(":")[0] for each in said})


def read(world: Path, promised: Promises) -> Recording:
    """A recording that is whole: the files made again from it are those on the disk."""
    log = recording.events(world)
    missed = [each for each in recording.missed(world, log) if not each.endswith("/lock.mdb")]  # which is mapped
    assert missed == [], f"the recorder did not see every write: {missed}"
    return Recording(world, log, understand(answers(log), promised, world / "data"))


def cuts(recorded: Recording, count: int, chance: random.Random) -> list[int]:
    """Moments to cut at: a tenth while the installation is made and started; of the rest half right behind an answer,
    where most is at stake, and half anywhere.
    """
    first, last = recorded.told[0].at, len(recorded.log)
    early, behind = count // 10, [told.at for told in recorded.told]
    anywhere = (count - early) // 2
    return sorted(
        [
            *(chance.randrange(first) for _ in range(early)),
            *(chance.randint(first, last) for _ in range(anywhere)),
            *(chance.choice(behind) for _ in range(count - early - anywhere)),
        ]
    )


@contextlib.contextmanager
def image_of(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder with what the disk has kept; in memory where there is some, for whether it lasts is no question here."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        image = written(files, Path(folder) / "image")
        _as_one_disk(image / "data" / environment.STATE)
        yield image


def _as_one_disk(states: Path) -> None:
    """An image is a copy, and a disk none: its files are the ones that their marks name."""
    for mark in states.glob(f"*/{environment.MARK}"):
        file = mark.with_name(environment.FILE)
        if file.exists() and len(content := mark.read_bytes()) == environment.MARK_BYTES:
            mark.write_bytes(content[: environment.DEVICE] + environment._identity(file))


def cut(recorded: Recording, count: int, seed: int, until: str = "") -> Found:
    """`count` images, each opened and asked for its promises; for a control no more than it takes `until` this one is
    broken. The same seed gives the same images.
    """
    chance, found, readings = random.Random(seed), Found(), Readings(LATER)
    for at, disk in _played(recorded, cuts(recorded, count, chance), seed):
        style, names = chance.choice(STYLES), chance.choice(STYLES)
        told = [each for each in recorded.told if each.at <= at]
        with image_of(disk.image(style, names, chance)) as world:
            said = promises(Image(world, told, readings))
        found.images += 1
        if said:
            found.broken[f"cut {at}, bytes {style}, names {names}"] = said
        if found.kinds()[until]:
            break
    return found


def _played(recorded: Recording, moments: Sequence[int], seed: int) -> Iterator[tuple[int, Disk]]:
    disk, done = Disk(seed), 0
    for moment in moments:
        for event in recorded.log[done:moment]:
            disk.apply(event)
        done = moment
        yield moment, disk
