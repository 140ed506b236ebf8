"""The counts of a share's summary, for `web.api.share`. Holds no row, so a call of any length takes the same memory."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from gateway.consent.share import Shared

MOST_NAMED = 100  # lines of a summary; each row's own answer names its line
OUTCOMES = ("sent", "returned", "duplicate", "unknown")


class Tally:
    """Rows of one call by outcome; of the refused ones by reason, of the values that were held back by why. `dry_run`:
    what would become of them (I23). `unread`: the lines of rows that cannot be read, the first of them.
    """

    def __init__(self, *, dry_run: bool = False) -> None:
        self.dry_run = dry_run
        self._rows = 0
        self._unread: list[int] = []
        self._outcomes: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def add(self, shared: Iterable[Shared]) -> None:
        for item in shared:
            self._rows += 1
            self._outcomes[item.outcome] += 1
            self._dropped.update(
                {str(why): number for why, number in item.dropped.items()}
            )  # JSON names are plain texts
            if item.outcome == "refused":
                self._refused[str(item.reason)] += 1
            if item.line and len(self._unread) < MOST_NAMED:
                self._unread.append(item.line)

    def counts(self) -> dict[str, Any]:
        sums = {"refused": dict(sorted(self._refused.items())), "dropped": dict(sorted(self._dropped.items()))}
        spooled = {"spooled": self._outcomes["spooled"]} if self._outcomes["spooled"] else {}
        mark = {"dry_run": True} if self.dry_run else {}
        unread = {"malformed_lines": self._unread} if self._unread else {}
        outcomes = {word: self._outcomes[word] for word in OUTCOMES}
        return {"rows": self._rows, **spooled, **outcomes, **sums, **unread, **mark}
