"""What a phone or a browser setting says: ATT, limit-ad-tracking, Do Not Track.

Each denies sale, sharing and targeted ads in the answer at hand (api.md, OS flags). None is consent: `att` 3, `lmt`
0 and `dnt` 0 say nothing. `DNT` is never read as GPC (L12).
"""

from gateway.terms import Malformed

ATT_AUTHORIZED = 3  # ATTrackingManager.AuthorizationStatus: 0 not asked, 1 restricted, 2 denied, 3 authorised
ATT_STATES = range(4)


def limits(name: str, value: object) -> bool | Malformed:
    """True when the flag limits. `name` is `att`, `lmt` or `dnt`; numbers may come as text."""
    if value is None:
        return False
    number = _number(value)
    if name == "att":
        return number != ATT_AUTHORIZED if number in ATT_STATES else Malformed("att", "value")
    return number == 1 if number in (0, 1) else Malformed(name, "value")


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.strip() in {"0", "1", "2", "3"}:
        return int(value)
    return None
