"""The US Privacy string (`usprivacy`, GPP section `uspv1`): notice, opt-out of sale, service-provider agreement. Read
for `signals.hear`, written for recipients.

Grammar: `1` then three of `Y`, `N`, `-` in capitals (IAB USPrivacy @f8d659f). Small letters and unknown versions are
not valid, yet the opt-out in them counts: a reader that drops them drops opt-outs. The string knows neither sharing nor
targeted advertising; an opt-out in it is of all three (R25), and an allow is of sale alone.
"""

from gateway.signals.heard import Reading, stated
from gateway.terms import SIGNAL_PURPOSES, Purpose

SECTION = "uspv1"
VALUES = frozenset("YN-")
LENGTH = 4
SAYS = 3  # the character of the opt-out, which stands there as well where what is behind it was cut off


def read_usprivacy(text: str) -> Reading:
    """What the third character says. `1---` and `1-Y-` are legal; `-` in the third place says nothing."""
    version, values = text[:1], text[1:LENGTH].upper()
    if len(text) < SAYS or (len(text) != LENGTH and not (version.isdigit() and VALUES.issuperset(values))):
        return Reading(error="empty" if not text else "length")
    choices = stated(
        opted_out=SIGNAL_PURPOSES if values[1] == "Y" else (), allowed=(Purpose.SALE,) if values[1] == "N" else ()
    )
    if len(text) < LENGTH or not VALUES.issuperset(values):
        return Reading(choices, error="length" if len(text) < LENGTH else "reserved")
    number = int(version) if version.isascii() and version.isdigit() else None
    fields = {"Version": number, "Notice": values[0], "OptOutSale": values[1], "LspaCovered": values[2]}
    error = "length" if len(text) > LENGTH else "version" if number != 1 else "case" if text[1:] != values else ""
    return Reading(choices, {SECTION: fields}, error=error)


def write_usprivacy(notice: str, opted_out: str, covered: str) -> str:
    """Version 1 of the three characters. Raises `ValueError`."""
    if not VALUES.issuperset((notice, opted_out, covered)):
        raise ValueError("each of the three characters is Y, N or -")
    return f"1{notice}{opted_out}{covered}"
