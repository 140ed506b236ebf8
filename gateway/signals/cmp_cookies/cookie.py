"""One cookie of a tool among the others of its jar: what every reader of this package is handed.

Companions tell an act from a default; they never decide what is denied. So one more cookie can never take a denial
away.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.signals import cookies
from gateway.signals.cmp_cookies.state import DENIES, NOTHING, By, Carried, Shown, ToolState, Word, Words

States = Mapping[str, bool]
MAX_COMPANIONS = 8  # a browser sends one of a name for each path and domain, two or three
MAX_BESIDE = 4096  # the longest cookie that browsers keep (RFC 6265bis)


@dataclass(frozen=True, slots=True)
class Cookie:
    """`value` is raw. `jar`: every raw value by name. `table`: what the tool's categories stand for."""

    tool: str
    name: str
    value: str
    jar: Mapping[str, Sequence[str]]
    table: Mapping[str, Word]

    def beside(self, name: str) -> list[str]:
        """The values of another cookie of that name, unwrapped; none when there is no such cookie."""
        return [cookies.unwrap(value) for value in self.jar.get(name, ())[:MAX_COMPANIONS] if len(value) <= MAX_BESIDE]

    def shows(
        self,
        refused: Iterable[Word] = (),
        granted: Iterable[Word] = (),
        by: By = By.UNKNOWN,
        carried: Iterable[Carried] = (),
    ) -> ToolState:
        """The state: any refusal wins; an allow needs a person, and a refusal by the tool itself is its default."""
        off, on = frozenset(refused), frozenset(granted)
        denied = frozenset(purpose for word in off for purpose in DENIES[word])
        act = bool(denied) and by is By.PERSON
        shown = _shown(bool(denied), bool(on), by)
        kept = NOTHING if by is By.TOOL else on - off
        return ToolState(self.tool, self.name, shown, denied, act, tuple(carried), kept, off)

    def opaque(self) -> ToolState:
        return ToolState(self.tool, self.name, Shown.OPAQUE)

    def words(self, states: States, on: bool) -> Words:
        """What the categories that are on, or off, stand for."""
        return frozenset(self.table[name] for name, state in states.items() if state is on and name in self.table)

    def of(self, states: States, by: By) -> ToolState:
        """The state of categories that are each on or off."""
        return self.shows(self.words(states, on=False), self.words(states, on=True), by)


def _shown(denied: bool, granted: bool, by: By) -> Shown:
    if denied:
        return Shown.DEFAULT if by is By.TOOL else Shown.OPTED_OUT
    return Shown.ALLOWED if granted and by is By.PERSON else Shown.DEFAULT
