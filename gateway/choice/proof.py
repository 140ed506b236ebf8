"""Which opt-ins a precise point leaves on. Never decides whether it may: the verdict did (gateway/choice/rules)."""

from collections.abc import Iterable

from gateway.choice.question import Grant
from gateway.choice.recipient import Recipient
from gateway.choice.rules.case import CONSUMER_DIRECTED, LEGAL, NOT_CHOOSABLE, OPTED_IN, PRECISE_GEO
from gateway.terms import Purpose


def relied_on(recipient: Recipient, grants: Iterable[Grant]) -> tuple[Grant, ...] | None:
    """One opt-in a purpose that wants one, the newest (`grants` are in that order); None where one is missing: then
    nothing precise leaves, whoever allowed it (R7). Empty: the service itself or the law, which want none.
    """
    wanted = [purpose for purpose in recipient.purposes if _wants_one(recipient, purpose)]
    found: dict[str, Grant] = {}
    for grant in grants:
        named = (grant.recipient, grant.kind, grant.data_class) == (recipient.name, OPTED_IN, PRECISE_GEO)
        if named and grant.purpose in wanted:
            found.setdefault(grant.purpose, grant)
    return tuple(found[purpose] for purpose in wanted) if len(found) == len(wanted) else None


def _wants_one(recipient: Recipient, purpose: Purpose) -> bool:
    served = purpose in NOT_CHOOSABLE and recipient.role is not CONSUMER_DIRECTED
    return not served and recipient.role is not LEGAL
