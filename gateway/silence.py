"""Until when somebody who opted out is not asked again, purpose by purpose (11 CCR 7026(k), L47). Reads only."""

from collections.abc import Iterable, Mapping, Sequence

from gateway.ledger import reach, travel
from gateway.ledger.records import Subject
from gateway.ledger.writer import Transaction
from gateway.outcome import silent_until
from gateway.terms import Purpose

DENIES = {"opted_out", "unknown"}


def last_out(tx: Transaction, subjects: Iterable[Subject]) -> dict[Purpose, int]:
    """When each purpose was last opted out by any of the subjects, in Unix milliseconds."""
    latest: dict[Purpose, int] = {}
    for subject in subjects:
        since = reach.released(tx, subject.key)  # who had the number before is somebody else's history (R5)
        for purpose, at in travel.last_out_at(tx, subject.key, since).items():
            latest[purpose] = max(at, latest.get(purpose, 0))
    return latest


def silence(
    standing: Mapping[str, str], out_at: Mapping[Purpose, int], purposes: Sequence[Purpose], now: int
) -> dict[str, str | None]:
    """From when each purpose may be asked about again; None: never opted out. A no that came from afar keeps its day to
    itself: while it holds, it is as if it were of `now`.
    """
    held = {purpose: now for purpose in purposes if standing[purpose.value] in DENIES}
    return {purpose.value: silent_until((held | {**out_at}).get(purpose)) for purpose in purposes}
