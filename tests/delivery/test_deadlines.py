"""By when a recipient has to be told."""

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest

from gateway.delivery.deadlines import Calendar, holidays

FEDERAL, PLAIN = Calendar(), Calendar(federal=False)


def test_the_holidays_of_2026_are_those_that_the_office_of_personnel_management_lists():
    assert [day.isoformat() for day in holidays(2026)] == [
        "2026-01-01",
        "2026-01-19",
        "2026-02-16",
        "2026-05-25",
        "2026-06-19",
        "2026-07-04",
        "2026-09-07",
        "2026-10-12",
        "2026-11-11",
        "2026-11-26",
        "2026-12-25",
    ]


@pytest.mark.parametrize(
    ("day", "counts"),
    [
        ("2026-07-03", False),  # the fourth is a Saturday
        ("2027-07-05", False),  # the fourth is a Sunday
        ("2021-12-31", False),  # New Year's Day of 2022 is a Saturday
        ("2026-11-26", False),
        ("2026-11-27", True),
        ("2026-11-28", False),
        ("2026-11-30", True),
    ],
)
def test_a_holiday_on_a_weekend_is_kept_beside_it(day, counts):
    assert FEDERAL.counts(date.fromisoformat(day)) is counts


def test_fifteen_business_days_from_thanksgiving_week():
    """Received on Tuesday, 24 November 2026: the 26th is Thanksgiving."""
    received = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert FEDERAL.deadline("opt_out", received).date() == date(2026, 12, 16)
    assert PLAIN.deadline("opt_out", received).date() == date(2026, 12, 15)
    more = Calendar(more=frozenset({date(2026, 12, 1)}))
    assert more.deadline("opt_out", received).date() == date(2026, 12, 17)
    assert FEDERAL.deadline("delete", received).date() == date(2027, 1, 8)


@pytest.mark.parametrize("hours", [0, -4, -8, -10], ids=["UTC", "New York", "California", "Hawaii"])
@pytest.mark.parametrize("word", ["opt_out", "delete"])
def test_whatever_hour_it_came_at_it_is_not_a_day_late_where_the_business_is(hours, word):
    """A form of Tuesday evening in California came on Wednesday in UTC. Each hour through a year with a leap day."""
    there = timezone(timedelta(hours=hours))
    for hour in range(0, 24 * 366, 5):
        received = datetime(2027, 11, 1, tzinfo=UTC) + timedelta(hours=hour)
        day = received.astimezone(there).date()
        last = day + timedelta(days=45) if word == "delete" else FEDERAL.after(day, 15)
        midnight = datetime.combine(last + timedelta(days=1), time(), there)
        assert midnight - timedelta(days=6) < FEDERAL.deadline(word, received) < midnight


def test_no_fifteen_business_days_are_shorter_than_three_weeks_or_longer_than_four():
    for number in range(3 * 365):
        day = date(2026, 1, 1) + timedelta(days=number)
        assert 19 <= (FEDERAL.after(day, 15) - day).days <= 28
        assert FEDERAL.after(day, 15) >= PLAIN.after(day, 15)
