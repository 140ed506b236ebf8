"""Whom a TC string lets advertise: of all its vendors at once, what `vendor_may` answers of one.

Owns that question only; a European string answers it, for only its vendors have numbers in IAB Europe's list.
"""

from typing import cast

from gateway.signals.reading import Reading
from gateway.signals.tcf.meaning import REQUIRE_CONSENT, vendors_consented
from gateway.signals.tcf.vendors import Restriction
from gateway.terms import Stated

SECTION = "tcfeuv2"
# Store or read on the device, make profiles for advertising, choose advertising by them: consent is the only ground for
# each (signals.md 3.1, 3.2), so whatever else a publisher requires bars the vendor.
NEEDED = frozenset({1, 3, 4})


def advertisers(reading: Reading) -> frozenset[int]:
    """The vendors with consent to each of purposes 1, 3 and 4 and without a restriction on them; nobody where the
    string, or one beside it in the same GPP string, does not allow sale, sharing and targeted ads.
    """
    fields = reading.sections.get(SECTION)
    if fields is None or not all(word is Stated.ALLOWED for word in reading.choices.values()):
        return frozenset()
    restrictions = cast("list[Restriction]", fields["PublisherRestrictions"])
    barred = [each["ids"] for each in restrictions if each["key"] in NEEDED and each["type"] != REQUIRE_CONSENT]
    return vendors_consented(fields).difference(*barred)
