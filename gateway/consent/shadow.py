"""Shadow mode: for a while an operator sees what enforcement would deny, before it denies anything for want of a yes
(`[shadow] until`). The site's doors and the share door ask `Shadow`; `gateway report shadow` sorts its counts by
`is_held`.

It changes what the gateway itself would do, and no answer. A page is left as it is only where nobody said no: whoever
said no, by whatever signal or choice, whoever is too young and whoever cannot be asked about is enforced for as ever.
Checks are answered with the true verdict. No row leaves: a call of rows is a dry run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from gateway.terms import Reason

# Denies for want of something. Nobody's no is among them, so a page that is denied for one of them alone may be left as
# it is for a while.
WANTING = frozenset(
    {
        Reason.UNKNOWN_RECIPIENT, Reason.UNKNOWN_PURPOSE, Reason.PURPOSE_NOT_REGISTERED, Reason.CLASS_NOT_REGISTERED,
        Reason.NO_CONTRACT, Reason.CONTENT, Reason.NOT_DEIDENTIFIED, Reason.SMALL_COUNT, Reason.KEYWORDS_BESIDE,
        Reason.NOT_A_SERVICE, Reason.NOT_NOTIFIED, Reason.NO_TRANSFER_BASIS, Reason.NO_ACT, Reason.SENSITIVE_PLACE,
        Reason.CPNI_OFF, Reason.OPT_IN_REQUIRED, Reason.NO_NOTICE_AT_COLLECTION, Reason.NOTICE_NOT_RIPE,
        Reason.PLACE_UNKNOWN, Reason.UNLINKED, Reason.NO_IDENTIFIER, Reason.UNDECLARED_IDENTIFIER, Reason.MALFORMED,
    }
)  # fmt: skip


def is_held(reason: str) -> bool:
    """Whether a deny holds in shadow mode too: somebody's no, an age, a ban, or nobody knows. A reason that is not
    listed is one.
    """
    return reason not in WANTING


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Shadow:
    """`until`: its last day (UTC); None, and any day that is over: everything is enforced."""

    until: date | None = None
    clock: Callable[[], datetime] = _now

    def on(self) -> bool:
        return self.until is not None and self.clock().date() <= self.until

    def told(self) -> str:
        """What it leaves undone today, for a start and an alarm; empty where it is off."""
        if not self.on():
            return ""
        return (
            f"shadow mode until {self.until}: pages of whoever said nothing are left as they are, and no row that is"
            " posted to a share leaves"
        )

    def alarms(self) -> list[str]:
        """For whoever watches: it is not to be forgotten."""
        told = self.told()
        return [f"{told}; see gateway report shadow, then take [shadow] out"] if told else []
