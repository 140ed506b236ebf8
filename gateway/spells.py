"""Spells: times in which something was off, from looking twice a second. Kept in memory until they are written."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.ledger.evidence import Spell

APART = timedelta(seconds=2)  # two spells closer than that are one: a disk that fails now and then
MOST = 500  # spells of one entry; the last one then goes on until the end


class Spells:
    """`off`: by name, whether something is off now."""

    def __init__(self, off: Mapping[str, Callable[[], bool]]) -> None:
        self._off = off
        self._known: dict[str, list[Spell]] = {what: [] for what in off}

    def look(self, now: datetime) -> bool:
        """Looks once. True where a spell began or ended."""
        turned = [self._turn(what, now, off=off()) for what, off in self._off.items()]
        return any(turned)

    def _turn(self, what: str, now: datetime, *, off: bool) -> bool:
        known = self._known[what]
        last = known[-1] if known else None
        if (last is not None and last.end is None) == off:
            return False
        if not off:
            assert last is not None
            known[-1] = replace(last, end=now)
        elif last is not None and last.end is not None and (now - last.end < APART or len(known) >= MOST):
            known[-1] = replace(last, end=None)
        else:
            known.append(Spell(what, now))
        return True

    def so_far(self) -> tuple[Spell, ...]:
        return tuple(sorted((spell for known in self._known.values() for spell in known), key=lambda item: item.start))

    def close(self) -> tuple[Spell, ...]:
        """Those of the period that ends; a spell that goes on goes on in the next one, from when it began."""
        told = self.so_far()
        self._known = {what: [spell for spell in known if spell.end is None] for what, known in self._known.items()}
        return told
