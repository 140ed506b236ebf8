"""The US Privacy string (`usprivacy`, version 1): notice, opt-out of sale, service-provider agreement.

Grammar: `1` then three of `Y`, `N`, `-` (IAB USPrivacy @f8d659f). Lower case is read too: a reader that drops it
drops opt-outs. A string that cannot be read is no consent (enforcement.md section 7, point 3).
"""

from enum import Enum

from gateway.terms import Malformed

COOKIES = frozenset({"usprivacy", "us_privacy", "us-privacy"})  # the recommended name and the variants in the field
LENGTH = 4


class Sale(Enum):
    """What a string says of sale. `UNKNOWN` is never an allow."""

    OPTED_OUT = "opted_out"
    ALLOWED = "allowed"
    UNKNOWN = "unknown"


def read(text: str) -> Sale | Malformed:
    """What the third character says. `1---` and `1-Y-` are legal; `-` in the third place says nothing."""
    string = text.strip().upper()
    if len(string) != LENGTH or string[0] != "1" or not set(string[1:]) <= set("YN-"):
        return Malformed("us_privacy", "format")
    return {"Y": Sale.OPTED_OUT, "N": Sale.ALLOWED, "-": Sale.UNKNOWN}[string[2]]
