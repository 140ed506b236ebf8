"""The doors of the operator's desk: what an account has, who was told, what is held and forgotten, numbers."""

from pathlib import Path

from starlette.routing import Route

from gateway.app import House
from gateway.credentials import Credentials
from gateway.notifying import Notifying
from gateway.settings import Settings
from gateway.ways import published
from gateway.web import dsrdelete
from gateway.web.access import Access
from gateway.web.dsrdelete import DsrDelete
from gateway.web.erasures import Erasures
from gateway.web.links import Links
from gateway.web.proof import Proofs
from gateway.web.reports import Reports
from gateway.web.told import ToldDoor

DELETIONS = dsrdelete.PATH


def routes(house: House, settings: Settings, folder: Path, credentials: Credentials, proofs: Proofs) -> list[Route]:
    """By path."""
    consent, everyone = house.consent, settings.notice.told_everyone
    notifying = Notifying(house.writer, consent.recipients, consent.secrets, consent.clock, everyone)
    told = ToldDoor(consent, credentials, notifying)
    return [
        Route("/v1/links", Links(consent, credentials, proofs).post, methods=["POST"]),
        Route("/v1/notices", told.post, methods=["POST"]),
        Route("/v1/notices/due", told.due, methods=["GET"]),
        Route("/v1/access", Access(consent, credentials, proofs).post, methods=["POST"]),
        Route("/v1/erasures", Erasures(consent, credentials, proofs).post, methods=["POST"]),
        Route("/v1/reports/{year}", Reports(folder, credentials).get),
    ]


def deletions(house: House, settings: Settings) -> Route:
    """Where recipients find the key of our deletion requests: public, unlike the rest."""
    return Route(DELETIONS, DsrDelete(published(settings, house.secrets)).get)
