"""What may be off while the service runs, by the names that the day's evidence tells it by (R31)."""

from collections.abc import Callable

from gateway.app import House
from gateway.ledger.evidence import CHECKS_FAILED, DISCLOSURES_LOST, ENFORCEMENT_OFF, FORMS_FAILED, REHEARSAL_ALARM
from gateway.rehearsing import Rehearsing


def off(house: House, rehearsing: Rehearsing, *, enforced: bool) -> dict[str, Callable[[], bool]]:
    """Each by a question that is asked twice a second."""
    return {
        CHECKS_FAILED: lambda: not house.fresh(),
        FORMS_FAILED: lambda: not house.writer.keeps(),
        ENFORCEMENT_OFF: lambda: not enforced,
        DISCLOSURES_LOST: house.disclosing.losing,
        REHEARSAL_ALARM: lambda: bool(rehearsing.alarms()),
    }
