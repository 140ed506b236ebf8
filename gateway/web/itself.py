"""What whoever answers checks says of itself: what a caller should compare with its own configuration before it starts
(I21). The same of a gateway, a replica and a fake.
"""

from typing import Any

from gateway import __version__
from gateway.credentials import ApiKey
from gateway.signals.cmp_cookies import NAMES
from gateway.terms import Reason
from gateway.web import asking, wire

API = "1.0"


def itself(consent: asking.Answers, key: ApiKey, environment: str) -> dict[str, Any]:
    """`environment`: what the installation calls itself."""
    return {
        "api": API, "version": __version__, "environment": environment,
        "key": {"name": key.name, "scopes": list(key.scopes), "publishable": key.publishable},
        "recipients": {
            name: {"role": item.role, "purposes": list(item.purposes), "data": list(item.data), "mode": item.mode}
            for name, item in consent.recipients.items()
        },
        "reasons": [reason.value for reason in Reason],
        "cookie_names": sorted([*NAMES, *consent.checks.hearing.industry.patterns()]),
        "time": wire.stamp(consent.clock()),
    }  # fmt: skip
