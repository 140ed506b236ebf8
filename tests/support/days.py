"""Days as the service counts them. Asked for in each test: a run may begin on one day and end on the next."""

from datetime import UTC, date, datetime


def today() -> date:
    return datetime.now(UTC).date()
