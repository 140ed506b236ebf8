"""Recipients, as the verdict needs to know them: who may receive personal data, and what people were told of it.

What a person is owed: each recipient, and each purpose or data class that it got later, with the day of the notice that
named it (R15).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from gateway.terms import DataClass, Purpose, Role

OUTSIDE = frozenset({Role.THIRD_PARTY, Role.AFFILIATE, Role.CONSUMER_DIRECTED, Role.SUCCESSOR})


@dataclass(frozen=True, slots=True)
class Holds:
    """What one field of a row is said to hold beside its class: kinds of identifier; or texts, as the operator lists
    them, by their folded case.
    """

    kinds: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)


NOT_SAID = Holds()


Held = Mapping[str, Holds]  # by field
ANYTHING: Held = {}


@dataclass(frozen=True, slots=True, eq=False)  # one object a configured recipient: compared by identity
class Recipient:
    """`company`, `address`: its legal name and where it gets letters, for people who ask (Cal. Civ. Code
    1798.83(b)(1)). `contract` is a reference; empty means none, and then a third party gets nothing (L42, R28).
    `same_brand`: an affiliate under common control and common branding, which is the operator itself (Cal. Civ.
    Code 1798.140(d)(2)).
    `transfer_basis`: on what people's data may leave the EEA and the United Kingdom. `announced`: the day of the notice
    that first named it; `announced_later`: purposes and data classes that a later notice added. `surface`: where its
    data is collected, `web` or `app`; empty for both. `tcf_vendor`: its number in IAB Europe's list, 0 for none.
    `fields`: the class of each field of a row, `held` what more is said of some.
    `programme`: the financial-incentive programme that needs it. `max_age_days`: how old a row may be; 0: any age.
    `contextual`: its SDK has a documented mode without a person, so that who said no still gets ads by it (R8).
    `upload`: the command that takes each sealed file; `valid_minutes`: for how long one may be sent.
    """

    name: str
    role: Role
    purposes: tuple[Purpose, ...]
    data: tuple[DataClass, ...]
    company: str = ""
    address: str = ""
    contract: str = ""
    contract_until: date | None = None
    unlinked: str = "allow"
    fields: dict[str, DataClass] = field(default_factory=dict)
    held: Held = field(default_factory=dict)
    mode: str = "return"
    endpoint: str = ""
    same_brand: bool = False
    transfer_basis: str = ""
    announced: date | None = date.min
    announced_later: Mapping[str, date] = field(default_factory=dict)
    surface: str = ""
    tcf_vendor: int = 0
    programme: str = ""
    max_age_days: int = 0
    upload: tuple[str, ...] = ()
    valid_minutes: int = 15
    contextual: bool = False

    @property
    def third(self) -> bool:
        """An affiliate is a third party unless it is configured as the same brand (R28)."""
        return self.role in OUTSIDE and not (self.role is Role.AFFILIATE and self.same_brand)

    def contracted(self, on: date) -> bool:
        return bool(self.contract) and (self.contract_until is None or on <= self.contract_until)

    def announced_on(self, purpose: Purpose, data_class: DataClass) -> date | None:
        """The day of the notice that named it with this purpose and this class; None where none did."""
        if self.announced is None:
            return None
        later = self.announced_later
        if not later:
            return self.announced
        return max(self.announced, later.get(purpose, date.min), later.get(data_class, date.min))


@dataclass(frozen=True, slots=True)
class Announcement:
    """`what`: a purpose or a data class; empty: the recipient itself. `on`: the day of the notice that named it."""

    recipient: str
    what: str
    on: date


def announcements(recipients: Iterable[Recipient], everyone: date, today: date) -> list[Announcement]:
    """What somebody may not know yet: announced after the day on which everybody was told, and not in the future. Of
    those outside alone, as the rule asks about them; what a person sends somewhere themselves needs no notice.
    """
    found = [
        Announcement(item.name, what, on)
        for item in recipients
        if item.third and item.role is not Role.CONSUMER_DIRECTED and item.announced is not None
        for what, on in [("", item.announced), *item.announced_later.items()]
    ]
    return sorted((each for each in found if everyone < each.on <= today), key=lambda each: (each.on, each.recipient))


def owed(announced: Iterable[Announcement], told: date) -> list[Announcement]:
    """What somebody was not told who was last told on a day."""
    return [each for each in announced if each.on > told]
