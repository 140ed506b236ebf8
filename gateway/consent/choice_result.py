"""What a choice came to, and how it is refused: what `verbs` hands to the doors of web. Knows no HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from gateway.ledger.proof.receipt import Opening
from gateway.ledger.subjects import Subject
from gateway.state.lookup import Seen


class Refused(Exception):
    """A choice that cannot be taken as it is. `kind` is from the closed list of problem types."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a choice came to. `standing`: of the purposes that were chosen, read back from enforcement."""

    events: tuple[dict[str, object], ...]
    accepted_at: datetime
    effective_at: datetime | None
    standing: Mapping[str, str]
    may_ask_from: Mapping[str, str | None]
    replayed: bool = False
    subjects: tuple[Subject, ...] = ()
    place: str = ""
    openings: tuple[Opening, ...] = field(default=(), repr=False)  # handed out once: not on a replay
    seen: Seen | None = field(default=None, repr=False)  # what `standing` was read from

    @property
    def waits(self) -> bool:
        """Kept durably, and not entered yet: the ledger cannot be written. Until it is, nothing goes to anybody."""
        return self.effective_at is None


def raise_unless_open(*, voided: bool, too_young: bool) -> None:
    """Raises `Refused` for a yes from a screen that was no fair question or of somebody too young, before its question
    is asked and as it is written.
    """
    if voided:
        raise Refused("notice_required", "consents of this screen count for nothing: it was no fair question")
    if too_young:
        raise Refused("too_young", "below the age floor there is no opt-in, and a child's is a parent's to give (R14)")


@lru_cache(maxsize=256)  # what one choice says no to has one such moment
def may_ask_from(out_at: int | None) -> str | None:
    """From when the person may be asked again: "at least 12 months from the date" (11 CCR 7026(k), L47), which are 366
    days where a 29 February lies between. None: they never opted out.
    """
    if out_at is None:
        return None
    at = datetime.fromtimestamp(out_at / 1000, UTC)
    try:
        again = at.replace(year=at.year + 1)
    except ValueError:  # said on 29 February: no day early
        again = at.replace(year=at.year + 1, month=3, day=1)
    return again.isoformat(timespec="seconds").replace("+00:00", "Z")
