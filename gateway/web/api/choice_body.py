"""The body of POST /v1/choices: its members read leniently, what cannot be used listed in `ignored`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.keys.api_keys import ApiKey
from gateway.terms import ALL_PURPOSES, CHOOSABLE, SOURCES, ChoiceKind, Manner, Purpose, Source
from gateway.web.api.apps import Body, Ignored
from gateway.web.shell import wire

Purposes = tuple[Purpose, ...]
# What a choice is of that names no purpose, and one that names a purpose which cannot be read: it may have meant any of
# them, so a no is of everything.
UNSAID: Mapping[ChoiceKind, tuple[Purposes, Purposes]] = {
    ChoiceKind.LIMIT: ((Purpose.SENSITIVE,), (Purpose.SENSITIVE,)),
    ChoiceKind.OPT_IN: ((), ()),
}


@dataclass(frozen=True, slots=True)
class ChoiceSaid:
    """`kind` is the one member that has to be readable; a choice without it is refused before this. `act`: the body
    under its Idempotency-Key, empty without one; `details`: what its entry keeps sealed beside.
    """

    call: Body
    kind: ChoiceKind
    key: ApiKey
    act: bytes = b""
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> Mapping[str, Any]:
        return self.call.members

    @property
    def ignored(self) -> Ignored:
        return self.call.ignored

    def ignore(self, pointer: str, reason: str) -> None:
        self.call.ignore(pointer, reason)

    def purposes(self) -> tuple[Purpose, ...]:
        """The purposes named."""
        unnamed, unread = UNSAID.get(self.kind, (ALL_PURPOSES, CHOOSABLE))
        named = self.body.get("purposes")
        items = [named] if isinstance(named, str) else named if isinstance(named, list) else []
        found: list[Purpose] = []
        if not isinstance(named, str | list | None):
            self.ignore("/purposes", "not a list")
            found += unread
        for index, item in enumerate(items):
            if item == "all" and unnamed:
                found += unnamed
            elif isinstance(item, str) and item in CHOOSABLE:
                found.append(Purpose(item))
            else:
                self.ignore(f"/purposes/{index}", "unknown")
                found += unread
        return tuple(dict.fromkeys(found)) or unnamed

    def source(self) -> str:
        stated = self.body.get("source")
        if stated is None:
            return Source.API
        if isinstance(stated, str) and stated in SOURCES:
            return Source(stated)
        self.ignore("/source", "unknown")
        return Source.API

    def manner(self) -> str:
        stated = self.body.get("manner")
        if isinstance(stated, str) and stated in set(Manner):
            return Manner(stated)
        if stated is not None:
            self.ignore("/manner", "unknown")
        return ""

    def moment(self, name: str) -> datetime | None:
        stated = self.body.get(name)
        if stated is None:
            return None
        found = wire.moment(stated)
        if found is None:
            self.ignore(f"/{name}", "not an RFC 3339 time")
        return found
