"""When a message that was not taken is tried again: later each time, over days, never all at once.

| try | after | since the first |
|---|---|---|
| 2 | 5 s | 5 s |
| 3 | 5 min | 5 min |
| 4 | 30 min | 35 min |
| 5 | 2 h | 2 h 35 min |
| 6 | 5 h | 7 h 35 min |
| 7 | 10 h | 17 h 35 min |
| 8 | 14 h | 1 d 7 h |
| 9 | 20 h | 2 d 3 h |
| 10 | 24 h | 3 d 3 h |
| 11 to 40 | 24 h each | 33 d |

The first ten are the schedule that the Standard Webhooks specification suggests; a day each after them, since an
opt-out has 15 business days. After the last try it is the officer's (`gateway deliveries`).
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000  # milliseconds
DAY = 24 * HOUR
PAUSES = (5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, DAY)
MOST_TRIES = 40
JITTER = 0.1  # of a pause, either way: receivers that were down together are not all asked at one moment
LONGEST_WISH = DAY  # of a Retry-After: nobody may put off an opt-out for longer


def pause(tries: int, *, between: Callable[[float, float], float] = random.uniform) -> int | None:
    """Milliseconds until the next try, after `tries` of them failed; None: that was the last one."""
    if tries >= MOST_TRIES:
        return None
    plain = PAUSES[min(tries, len(PAUSES)) - 1]
    return round(plain * between(1 - JITTER, 1 + JITTER))


def wished(retry_after: str, now: datetime) -> int:
    """What a Retry-After header asks for, in milliseconds from now; 0 where it cannot be read (RFC 9110 10.2.3)."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * SECOND, LONGEST_WISH)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(round((at - now).total_seconds() * SECOND), 0), LONGEST_WISH)
