"""What was announced to people, and what a person is owed: each recipient, and each purpose or data class that it got
later, with the day of the notice that named it (R15). Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from gateway.choice.recipient import Recipient
from gateway.terms import Role


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
