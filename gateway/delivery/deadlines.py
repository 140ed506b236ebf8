"""By when a recipient has to be told, for `consent.telling`: business days of a holiday calendar, or calendar days.

An opt-out is complied with "no later than 15 business days from the date the business receives the request", and that
is when recipients are told (11 CCR 7026(f)(1), (2); 7027(g)). A deletion is passed on within 45 days (7021(b), 7022). A
no to marketing by e-mail, text or call has 10 business days (15 USC 7704(a)(4), 47 CFR 64.1200(a)(10); R21).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

OPT_OUT_BUSINESS_DAYS, MARKETING_BUSINESS_DAYS = 15, 10
DELETION_DAYS = 45
WEEKEND = 5  # Monday is 0
LAST_ZONE = timedelta(hours=12)  # behind UTC: where a day ends last
DELETES = frozenset({"delete", "child_found"})


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days do not count, beside weekends. `federal`: the legal public holidays of 5 USC 6103(a), kept on a Friday
    or a Monday where they fall on a weekend (6103(b)(1), Executive Order 11582). Fewer holidays: an earlier deadline.
    """

    federal: bool = True
    more: frozenset[date] = field(default_factory=frozenset)

    def counts(self, day: date) -> bool:
        return day.weekday() < WEEKEND and day not in self.more and not (self.federal and day in _kept_around(day.year))

    def after(self, day: date, days: int) -> date:
        """The day that is so many business days after another, which does not count itself."""
        while days:
            day += timedelta(days=1)
            days -= self.counts(day)
        return day

    def deadline(self, word: str, received: datetime) -> datetime:
        """The last moment (UTC) at which telling a recipient is still in time. `word`: of the message. What comes on an
        evening in California comes on the next day in UTC, and is not to be a day late there: it counts from the day
        that it was in the last zone.
        """
        if word not in DELETES:
            return self.within(received, OPT_OUT_BUSINESS_DAYS)
        return datetime.combine(_day(received) + timedelta(days=DELETION_DAYS), time.max, UTC)

    def within(self, received: datetime, days: int) -> datetime:
        """The last moment of so many business days, counted in the same way."""
        return datetime.combine(self.after(_day(received), days), time.max, UTC)


def _day(received: datetime) -> date:
    return (received.astimezone(UTC) - LAST_ZONE).date()


@cache
def _kept_around(year: int) -> Collection[date]:
    """Holidays that are kept in a year; New Year's Day of the next may be kept on 31 December."""
    return frozenset(_kept(day) for each in (year, year + 1) for day in holidays(each))


def holidays(year: int) -> list[date]:
    """The legal public holidays of a year, as 5 USC 6103(a) dates them."""
    return [
        date(year, 1, 1),  # New Year's Day
        _nth(year, 1, 0, 3),  # Birthday of Martin Luther King, Jr.: third Monday of January
        _nth(year, 2, 0, 3),  # Washington's Birthday: third Monday of February
        _last_monday_of_may(year),  # Memorial Day
        date(year, 6, 19),  # Juneteenth
        date(year, 7, 4),  # Independence Day
        _nth(year, 9, 0, 1),  # Labor Day: first Monday of September
        _nth(year, 10, 0, 2),  # Columbus Day: second Monday of October
        date(year, 11, 11),  # Veterans Day
        _nth(year, 11, 3, 4),  # Thanksgiving Day: fourth Thursday of November
        date(year, 12, 25),  # Christmas Day
    ]


def _kept(day: date) -> date:
    shift = {5: -1, 6: 1}.get(day.weekday(), 0)  # Saturday's on the Friday before, Sunday's on the Monday after
    return day + timedelta(days=shift)


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _last_monday_of_may(year: int) -> date:
    last = date(year, 5, 31)
    return last - timedelta(days=last.weekday())
