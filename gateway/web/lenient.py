"""What choices and observations have in common: they take what is usable and list the rest (api.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.choice.law import PLACE, country_of
from gateway.consent import Consent
from gateway.credentials import ApiKey
from gateway.people import Named
from gateway.signals import hear
from gateway.signals.heard import Heard, Kept, Said
from gateway.terms import SIGNAL_PURPOSES, Malformed
from gateway.web import wire
from gateway.web.metrics import Metrics
from gateway.web.problem import Problem

EVERY_SIGNAL = frozenset(SIGNAL_PURPOSES)
MAX_IGNORED = 100  # what a person may read; a body can have tens of thousands of unknown members
Ignored = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Body:
    """The members of one call. What could not be used goes to `ignored`, as (JSON pointer, reason). `channel` is the
    door's name in the counters.
    """

    members: Mapping[str, Any]
    channel: str
    consent: Consent
    metrics: Metrics
    ignored: Ignored = field(default_factory=list)
    at_once: int = wire.MAX_IDENTIFIERS  # of the identifiers; what goes beyond is `beyond`

    def ignore(self, pointer: str, reason: str) -> None:
        if len(self.ignored) < MAX_IGNORED:
            self.ignored.append({"pointer": pointer, "reason": reason})
        elif len(self.ignored) == MAX_IGNORED:
            self.ignored.append({"pointer": "", "reason": "and more"})

    def ignore_unknown(self, known: frozenset[str], members: Mapping[str, object], under: str = "") -> None:
        for name in sorted(set(members) - known):
            self.ignore(f"{under}/{name[:64]}", "unknown")

    def named(self, place: object, *, no: bool = False) -> Named:
        """The identifiers; national phone numbers are read in the country of the place. `no`: of somebody who says no,
        which is theirs too whose kind is spelled otherwise.
        """
        items = self.members.get("identifiers")
        if not isinstance(items, list):
            self.ignore("/identifiers", "not a list")
            items = []
        for index in range(wire.MAX_IDENTIFIERS, len(items)):
            self.ignore(f"/identifiers/{index}", "too many")
        return self._named(items[: self.at_once], place, 0, no=no)

    def beyond(self, place: object) -> Named:
        """Those of the identifiers of a no that are not taken at once."""
        items = self.members.get("identifiers")
        more = items[self.at_once : wire.MAX_IDENTIFIERS] if isinstance(items, list) else []
        return self._named(more, place, self.at_once, no=True) if more else Named()

    def _named(self, items: list[object], place: object, first: int, *, no: bool) -> Named:
        named = self.consent.people.name(items, country_of(place))
        named = named.for_a_no() if no else named
        for index, reason in named.ignored:
            self.ignore(f"/identifiers/{first + index}", reason)
        self.metrics.malformed(Malformed(self.channel, reason) for _, reason in named.ignored)
        return named

    def place(self) -> str:
        """The first place named, as it may stand in an entry: a country or a state, or nothing."""
        stated = self.members.get("place")
        first = stated[0] if isinstance(stated, list) and stated else stated
        code = first.strip().upper() if isinstance(first, str) else ""
        return code if PLACE.fullmatch(code) else ""

    def tell_of_place(self) -> None:
        """Lists a place that cannot be read."""
        if self.members.get("place") and not self.place():
            self.ignore("/place", "neither ISO 3166-1 nor 3166-2")

    def band(self) -> str | None:
        """The age that a call tells of, as a band; without what the operating system tells."""
        found = _quiet(self.members.get("age"))
        if found is None and self.members.get("age") is not None:
            self.ignore("/age", "neither years nor a band")
        return found

    def bracket(self) -> str | None:
        """The age bracket that an operating system tells, as a band: it only makes younger."""
        stated = self._bracket()
        found = _quiet(stated)
        if found is None and stated is not None:
            self.ignore(f"/signals/{hear.AGE}", "neither years nor a band")
        return found

    def quiet_band(self) -> str | None:
        """The youngest of both, where they were listed before."""
        return wire.youngest(_quiet(self.members.get("age")), _quiet(self._bracket()))

    def _bracket(self) -> object:
        signals = self.members.get("signals")
        return signals.get(hear.AGE) if isinstance(signals, Mapping) else None

    def heard(self, key: ApiKey) -> Heard:
        """The signals. They can only tighten, but that a device's own state ends: of a key that is in everybody's app
        that of its installation alone, which the writer sees to.
        """
        stated = self.members.get("signals")
        if not stated:
            return Heard()
        if not isinstance(stated, Mapping):
            self.ignore("/signals", "not an object")
            return Heard()
        self.ignore_unknown(hear.KNOWN, stated, "/signals")
        heard = hear.from_script(stated, self.consent.checks.hearing)
        for item in heard.malformed:
            self.ignore(f"/signals/{item.channel}", item.reason)
        self.metrics.heard(self.channel, heard)
        if heard.malformed:  # the answer says no, as a check's would; nothing of it is written
            heard = heard.beside(Heard((Said("malformed", EVERY_SIGNAL, Kept.MOMENT),)))
        return replace(heard, vendors=frozenset()) if key.publishable else heard


def _quiet(stated: object) -> str | None:
    try:
        return wire.band(stated)
    except Problem:
        return None
