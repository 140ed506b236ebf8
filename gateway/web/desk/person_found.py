"""What the desk finds of a person: what holds, what was said, who received what, and which recipients were told, now or
as it stood at the end of an earlier day. The page of a person shows it, and the evidence pack holds it.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from gateway.consent.verbs import Consent
from gateway.desk import access
from gateway.desk.access import RecipientTold
from gateway.ledger.store import Store
from gateway.ledger.subjects import Subject
from gateway.web.shell import access_report
from gateway.web.shell.access_report import AccessReportBody


class PersonFound(NamedTuple):
    """`until`: the end of the day that was asked about; None: now."""

    report: AccessReportBody
    told: Sequence[RecipientTold]
    until: datetime | None


async def person_found(
    consent: Consent, store: Store, subjects: Sequence[Subject], until: datetime | None
) -> PersonFound:
    """Raises `StoreUnavailable`."""
    report = await access_report.report_of(consent, subjects, until=until)
    now = consent.clock()
    told = await asyncio.to_thread(access.read_told, store, subjects, now, until or now)
    return PersonFound(report, told, until)
