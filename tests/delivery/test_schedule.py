"""When a message is tried again."""

from datetime import UTC, datetime
from importlib import resources

import pytest

from gateway.delivery import webhook
from gateway.delivery.webhook import DAY, HOUR, MINUTE, SECOND

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def middle(low, high):
    return (low + high) / 2


def test_the_tries_are_later_and_later_over_a_month_and_then_end():
    pauses = [webhook.pause(tries, between=middle) for tries in range(1, webhook.MOST_TRIES)]
    assert pauses[:4] == [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR]
    assert pauses == sorted(pauses)
    assert 30 * DAY < sum(pauses) < 35 * DAY
    assert webhook.pause(webhook.MOST_TRIES) is None


def test_the_manual_has_the_table():
    text = (resources.files("gateway") / "manual" / "delivery.md").read_text()
    rows = [line.strip() for line in webhook.__doc__.splitlines() if line.startswith("| ") and "try" not in line]
    assert rows
    assert all(row in text for row in rows)


def test_receivers_that_were_down_together_are_not_asked_together():
    pauses = {webhook.pause(4) for _ in range(50)}
    assert len(pauses) > 40
    assert min(pauses) >= 2 * HOUR * 0.9
    assert max(pauses) <= 2 * HOUR * 1.1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("120", 120_000), ("0", 0), ("Tue, 24 Nov 2026 12:05:00 GMT", 300_000), ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
     ("99999999999999999999", DAY), ("Fri, 31 Dec 9999 23:59:59 GMT", DAY), ("", 0), ("soon", 0), ("-5", 0), ("1e9", 0),
     ("\u0663", 0)],
)  # fmt: skip
def test_a_retry_after_is_obeyed_for_a_day_at_most(text, expected):
    assert webhook.wished(text, AT) == expected
