"""The result of a choice, how it is refused, and when somebody may be asked again. `verbs` makes it, the doors read it.

Nobody is asked again for twelve months after they last opted out (11 CCR 7026(k), L47); a yes that is older than that
no does not count (R4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.ledger.receipt import Opening
from gateway.ledger.subjects import Subject


class Refused(Exception):
    """A choice that cannot be taken as it is. `kind` is from the closed list of problem types."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Chosen:
    """The result of a choice that was taken. `standing`: of the purposes that were chosen, read back from
    enforcement.
    """

    events: tuple[dict[str, object], ...]
    accepted_at: datetime
    effective_at: datetime | None
    standing: Mapping[str, str]
    may_ask_from: Mapping[str, str | None]
    replayed: bool = False
    subjects: tuple[Subject, ...] = ()
    place: str = ""
    openings: tuple[Opening, ...] = field(default=(), repr=False)  # handed out once: not on a replay

    @property
    def waits(self) -> bool:
        """Kept durably, and not entered yet: the ledger cannot be written. Until it is, nothing goes to anybody."""
        return self.effective_at is None


def silent_until(out_at: int | None) -> str | None:
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


DENIES = {"opted_out", "unknown"}
LATER = (
    "SELECT EXISTS (SELECT 1 FROM own_choice o LEFT JOIN detail d ON d.seq = o.seq AND o.state = 1"
    " WHERE o.key = ?1 AND o.purpose = ?2 AND (o.out_at >= ?3 OR d.at >= ?3))"
    " OR EXISTS (SELECT 1 FROM travelled_choice t JOIN detail d ON d.seq = t.seq"
    " WHERE t.key = ?1 AND t.purpose = ?2 AND d.at >= ?3)"
)
# Of what holds for a key: whether some of it is of a person who is known to have said it, and whether some is not.
HOLDS = (
    "SELECT max(out_at > 0), max(out_at = 0) FROM (SELECT out_at FROM own_choice WHERE key = ?1 AND purpose = ?2"
    " AND state = 1 UNION ALL SELECT coalesce(o.out_at, 1) FROM travelled_choice t LEFT JOIN own_choice o"
    " ON o.key = t.origin AND o.purpose = t.purpose WHERE t.key = ?1 AND t.purpose = ?2"
    " UNION ALL SELECT 1 FROM device_state WHERE key = ?1 AND purpose = ?2)"
)


def last_out(tx: Transaction, subjects: Iterable[Subject]) -> dict[Purpose, int]:
    """When each purpose was last opted out by any of the subjects, in Unix milliseconds; of a mailbox by any of its
    spellings.
    """
    latest: dict[Purpose, int] = {}
    subjects = list(subjects)
    for key in [key for subject in subjects for key in (subject.key, *sorted(reach.spellings(tx, subject.key)))]:
        since = reach.released(tx, key)  # who had the number before is somebody else's history (R5)
        for purpose, at in travel.last_out_at(tx, key, since).items():
            latest[purpose] = max(at, latest.get(purpose, 0))
    for subject in subjects:
        for purpose, at in _said_by(tx, subject).items():
            latest[purpose] = max(at, latest.get(purpose, 0))
    return latest


def _said_by(tx: Transaction, subject: Subject, since: int = 0) -> dict[Purpose, int]:
    """When an installation of an app last said no, whatever it named."""
    if subject.kind != "device" or not subject.value:
        return {}
    return installation.last_out(tx.db.execute, tokens.mark_of(subject.value), since)


def superseded(tx: Transaction, subjects: Iterable[Subject], purpose: Purpose, position: int) -> bool:
    """Whether any of the subjects was opted out of a purpose, or said no itself, in an entry from a position on."""
    return any(
        records.out_since(tx, subject, purpose, position) or purpose in _said_by(tx, subject, position)
        for subject in subjects
    )


def out_after(tx: Transaction, subjects: Iterable[Subject], purpose: Purpose, at: int) -> bool:
    """Whether any of the subjects was opted out of a purpose since a moment, on itself or on something connected with
    it.
    """
    return any(
        tx.db.execute(LATER, (subject.key, purpose, at)).fetchone()[0] or _said_by(tx, subject).get(purpose, -1) >= at
        for subject in subjects
    )


def by_reading_alone(tx: Transaction, subjects: Iterable[Subject], purposes: Iterable[Purpose]) -> set[Purpose]:
    """Of what holds, that which only was said of a number that may be this one too: it keeps nobody from asking."""
    keys = [subject.key for subject in subjects]
    found = set()
    for purpose in purposes:
        rows = [tx.db.execute(HOLDS, (key, purpose)).fetchone() for key in keys]
        if any(row[1] for row in rows) and not any(row[0] for row in rows):
            found.add(purpose)
    return found


def silence(
    standing: Mapping[str, str], out_at: Mapping[Purpose, int], purposes: Sequence[Purpose], now: int
) -> dict[str, str | None]:
    """From when each purpose may be asked about again; None: never opted out. A no that came from afar keeps its day to
    itself: while it holds, it is as if it were of `now`.
    """
    held = {purpose: now for purpose in purposes if standing.get(purpose.value) in DENIES}
    sold = [out_at[purpose] for purpose in SIGNAL_PURPOSES if purpose in out_at]
    if Purpose.THIRD_PARTY_MARKETING in held and sold:  # a no to a sale is one to it, of that day (R21)
        held[Purpose.THIRD_PARTY_MARKETING] = max(sold)
    return {purpose.value: silent_until((held | {**out_at}).get(purpose)) for purpose in purposes}
