"""What opens an entry: the secrets of its two commitments and its details, sealed so that each can be forgotten alone.

`rs` opens the subject's commitment and is sealed with the person's key of openings; `rd` and the details with the key
of details: whoever erases the details keeps the proof that somebody opted out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys

SALT = 32  # bytes of rs and of rd
OPENING = b"opening/1"


@dataclass(frozen=True, slots=True)
class Opened:
    """None: forgotten. `broken`: a box that its own key does not open."""

    rs: bytes | None = field(default=None, repr=False)
    rd: bytes | None = field(default=None, repr=False)
    details: bytes | None = field(default=None, repr=False)
    broken: bool = False


def seal_boxes(person: PersonKeys, event: bytes, rs: bytes, rd: bytes, details: bytes) -> tuple[bytes, bytes]:
    """The two boxes of an entry's row: details, opening. Both are bound to the event."""
    assert person.details
    assert person.openings
    return seals.seal_box(person.details, event, rd + details), seals.seal_box(person.openings, OPENING + event, rs)


def both(boxes: Sequence[tuple[tuple[bytes, bytes], bytes, bytes, bytes]]) -> tuple[list[bytes], list[bytes]]:
    """Each rs, and each rd with the details behind it, of a person's two keys (details, openings), event and both boxes
    (details, opening). Raises `seals.Opening` where one does not open.
    """
    return (
        seals.open_each((openings, OPENING + event, opening) for (_, openings), event, _, opening in boxes),
        seals.open_each((details, event, sealed) for (details, _), event, sealed, _ in boxes),
    )


def open_boxes(person: PersonKeys, event: bytes, sealed: bytes | None, opening: bytes | None) -> Opened:
    """What can still be opened."""
    rs = rd = details = None
    try:
        if person.openings and opening:
            rs = seals.open_seal([person.openings], OPENING + event, opening)
        if person.details and sealed:
            content = seals.open_seal([person.details], event, sealed)
            rd, details = content[:SALT], content[SALT:]
    except seals.OpeningFailed:
        return Opened(broken=True)
    return Opened(rs, rd, details)
