"""The doors that apps and backends say choices at, put together: choices, observations, standings, and what proves in
them. Part of gateway.service.Doors, which opens them.
"""

from starlette.routing import Route

from gateway.app import House
from gateway.credentials import Credentials
from gateway.installations import Installations
from gateway.settings import Settings
from gateway.web.apps import Apps
from gateway.web.choices import Choices
from gateway.web.metrics import Metrics
from gateway.web.observe import Observe
from gateway.web.proof import Proofs
from gateway.web.standing import StandingDoor


def proofs(house: House, settings: Settings, *, dev: bool) -> Proofs:
    """What a call may bring to show who it speaks for."""
    signed = settings.apps.assertions(), settings.apps.attestations()
    return Proofs(house.consent, house.codes, signed, _installations(house), dev=dev)


def routes(
    house: House, settings: Settings, credentials: Credentials, metrics: Metrics, proved: Proofs
) -> list[Route]:  # fmt: skip
    """The three of them."""
    consent, known = house.consent, _installations(house)
    apps = Apps(consent, known, proved, metrics, settings.apps.sdks, alarm=settings.apps.strict_alarm)
    observing = Observe(consent, credentials, metrics, apps, remember_gpc=settings.browser.remember_gpc)
    standing = StandingDoor(consent, credentials, metrics, proved, apps, known)
    return [
        Route("/v1/choices", Choices(consent, credentials, metrics, proved, apps).post, methods=["POST"]),
        Route("/v1/observe", observing.post, methods=["POST"]),
        Route("/v1/standing", standing.post, methods=["POST"]),
    ]


def _installations(house: House) -> Installations:
    consent = house.consent
    return Installations(consent.checks, consent.people, house.writer, house.secrets, consent.clock)
