"""How each recipient is told, by what the configuration says: a signed POST; deletions by the IAB's framework where it
takes those; the operator's own system of accounts wherever it is. Nothing is sent here.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.delivery import ddrf, ddrf_post
from gateway.delivery.carrier import Post
from gateway.delivery.ddrf_post import Ddrf
from gateway.delivery.guard import EVERYWHERE
from gateway.delivery.post import Courier
from gateway.keys import Secrets
from gateway.ledger.outbox import Kind
from gateway.ledger.writer import Writer
from gateway.settings import ACCOUNT_BACKEND, Settings
from gateway.telling import Telling, Way


def telling(
    writer: Writer, settings: Settings, secrets: Secrets, clock: Callable[[], datetime], *, dev: bool
) -> Telling:
    """Who tells them all."""
    return Telling(writer, ways(settings, secrets, dev=dev), secrets, clock, settings.delivery.calendar())


def ways(settings: Settings, secrets: Secrets, *, dev: bool = False) -> list[Way]:
    """One for each recipient that is told by itself; two where deletions go another way than the rest."""
    allowed = settings.delivery.allowed(dev=dev)
    outside, inside = Post(Courier(allowed)), Post(Courier(EVERYWHERE))
    real = settings.environment.is_production  # elsewhere nothing about anybody reaches a receiver (I24)
    by_framework = {name: item.ddrf for name, item in settings.recipients.items() if item.ddrf and real}
    found = []
    for name, endpoint in settings.deliveries().items():
        carrier = inside if name == ACCOUNT_BACKEND else outside
        found.append(Way(name, endpoint, carrier, Kind.OTHERS if name in by_framework else Kind.ANY))
    if by_framework:
        signer = ddrf.signer(secrets, settings.delivery.ddrf_domain)
        framework = Ddrf(Courier(allowed), signer)
        asked = Kind.DELETES
        found += [Way(name, domain, framework, asked, one_at_a_time=True) for name, domain in by_framework.items()]
    return found


def published(settings: Settings, secrets: Secrets) -> dict[str, Any]:
    """Our own /dsrdelete.json; nothing where the operator has no domain for it. We take no requests by it, so it names
    the page where people ask themselves.
    """
    domain = settings.delivery.ddrf_domain
    endpoint = f"{settings.site.url or f'https://{domain}'}/privacy-choices/erase"
    return ddrf_post.published(ddrf.signer(secrets, domain), endpoint) if domain else {}
