"""What a phone or a browser setting says: ATT, limit-ad-tracking, Do Not Track.

Each denies sale, sharing and targeted ads in the answer at hand. Only what somebody has set is kept as the device's
state (R26): ATT "denied" and limit-ad-tracking; "not asked yet", "restricted" and DNT hold while they are said. None
is consent, and `DNT` is never read as GPC (L12).
"""

from enum import Enum

from gateway.terms import Malformed


class Limit(Enum):
    """What one flag says."""

    NOTHING = "nothing"
    NOW = "now"  # limits while it is said
    SET = "set"  # limits, and somebody set it so
    LIFTED = "lifted"  # says that it no longer limits


# ATTrackingManager.AuthorizationStatus: 0 not asked, 1 restricted, 2 denied, 3 authorised
ATT = {0: Limit.NOW, 1: Limit.NOW, 2: Limit.SET, 3: Limit.LIFTED}
LMT = {0: Limit.LIFTED, 1: Limit.SET}
DNT = {0: Limit.NOTHING, 1: Limit.NOW}
FLAGS = {"att": ATT, "lmt": LMT, "dnt": DNT}


def limits(name: str, value: object) -> Limit | Malformed:
    """What the flag `att`, `lmt` or `dnt` says; numbers may come as text."""
    if value is None:
        return Limit.NOTHING
    number = _number(value)
    found = FLAGS[name].get(number) if number is not None else None
    return found or Malformed(name, "value")


def _number(value: object) -> int | None:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and value.strip() in {"0", "1", "2", "3"}:
        return int(value)
    return None
