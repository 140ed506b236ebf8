"""The body of POST /v1/choices: its members read leniently, what cannot be used listed in `ignored`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.keys.api_keys import ApiKey
from gateway.ledger.subjects import residing
from gateway.terms import (
    ALL_PURPOSES,
    CALLERS_CHOICES,
    CHOOSABLE,
    SOURCES,
    ChoiceKind,
    DataClass,
    Manner,
    Purpose,
    Source,
)
from gateway.web.api.apps import Body, DeviceTokenSaid
from gateway.web.shell import wire
from gateway.web.shell.proof import ProofStated

Purposes = tuple[Purpose, ...]
# What a choice is of that names no purpose, and one that names a purpose which cannot be read: it may have meant any of
# them, so a no is of everything.
UNSAID: Mapping[ChoiceKind, tuple[Purposes, Purposes]] = {
    ChoiceKind.LIMIT: ((Purpose.SENSITIVE,), (Purpose.SENSITIVE,)),
    ChoiceKind.OPT_IN: ((), ()),
}


class NoticeNamed(Struct):
    """A notice that was logged before, by its hash, and the screen that it stood on."""

    sha256: str
    ui: str | None = None


class ChoiceBody(Struct, kw_only=True):
    """Lenient: what cannot be used is listed in `ignored`."""

    choice: Annotated[str, wire.one_of(CALLERS_CHOICES)]
    identifiers: list[wire.LenientIdentifier] | UnsetType = UNSET
    purposes: list[Annotated[str, wire.one_of(("all", *CHOOSABLE))]] | str | None = None
    place: wire.Place = None
    source: Annotated[str, wire.one_of(SOURCES)] | None = None
    notice: NoticeNamed | None = None
    made_at: wire.Time | None = None
    received_at: Annotated[wire.Time | None, Meta(description="scope desk")] = None
    manner: Annotated[Manner | None, Meta(description="scope desk: how it came")] = None
    proof: ProofStated = None
    device: DeviceTokenSaid = UNSET
    recipient: Annotated[str | None, Meta(description="of opt_in for a precise point, and of direct")] = None
    programme: Annotated[str | None, Meta(description="of keep_programme")] = None
    age: wire.Age = None
    data: list[DataClass] | None = None
    confirm: Annotated[str | None, Meta(description="of confirm: the token of the first act")] = None
    signals: wire.SignalsBody | None = None


class ChoiceSaid(Body, frozen=True, kw_only=True):
    """`kind` is the one member that has to be readable; a choice without it is refused before this. `act`: the body
    under its Idempotency-Key, empty without one; `details`: what its entry keeps sealed beside.
    """

    kind: ChoiceKind
    key: ApiKey
    act: bytes = b""
    details: Mapping[str, str] = {}

    def purposes(self) -> tuple[Purpose, ...]:
        """The purposes named."""
        unnamed, unread = UNSAID.get(self.kind, (ALL_PURPOSES, CHOOSABLE))
        named = self.members.get("purposes")
        if named is None:
            return unnamed
        items = [named] if isinstance(named, str) else named if isinstance(named, list) else None
        found: list[Purpose] = []
        if items is None:
            self.ignore("/purposes", "not a list")
            found += unread
            items = []
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
        stated = self.members.get("source")
        if stated is None:
            return Source.API
        if isinstance(stated, str) and stated in SOURCES:
            return Source(stated)
        self.ignore("/source", "unknown")
        return Source.API

    def resides(self, place: str) -> Mapping[str, object]:
        """Details of a choice: that this is where its person lives. Whoever has a key that everybody has knows of
        nobody's home.
        """
        return {} if self.key.publishable else residing(place)

    def manner(self) -> str:
        stated = self.members.get("manner")
        if isinstance(stated, str) and stated in set(Manner):
            return Manner(stated)
        if stated is not None:
            self.ignore("/manner", "unknown")
        return ""

    def moment(self, name: str) -> datetime | None:
        stated = self.members.get(name)
        if stated is None:
            return None
        found = wire.moment(stated)
        if found is None:
            self.ignore(f"/{name}", "not an RFC 3339 time")
        return found
