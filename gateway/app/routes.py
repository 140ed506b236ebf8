"""Which door stands at which path: for apps and backends, ad servers, and the operator's desk. `gateway.app.service`
mounts them.

Paths are tried in order, so those of ad servers begin with the hot ones.
"""

from collections.abc import Sequence
from pathlib import Path

from starlette.routing import Route

from gateway.app.composition import House
from gateway.app.from_settings import published, vocabulary
from gateway.consent.installations import Installations
from gateway.consent.share import Sharing
from gateway.desk.notices import Notifying
from gateway.keys.api_keys import Credentials
from gateway.settings.load import Settings
from gateway.web.api import health
from gateway.web.api.agents import AgentDoors
from gateway.web.api.apps import Apps
from gateway.web.api.check import CheckDoor, ChecksDoor
from gateway.web.api.check_answer import Answering
from gateway.web.api.choices import Choices
from gateway.web.api.desk_doors import Erasures, Links, Reports, ToldDoor
from gateway.web.api.disclosures import DisclosuresDoor, Taking
from gateway.web.api.health import DsrDelete
from gateway.web.api.observe import Observe, StandingDoor
from gateway.web.api.openrtb import Bids, OpenRtb, OpenRtbOptions
from gateway.web.pages.data import Access
from gateway.web.shell.edge import Calls
from gateway.web.shell.metrics import Metrics
from gateway.web.shell.proof import Proofs

ASKED_ALL_THE_TIME = frozenset({"/v1/check", "/v1/openrtb"})  # each answers whole, and to a POST alone


def bids(answering: Answering, settings: Settings) -> Bids:
    """What is answered to bid requests, as configured."""
    return Bids(answering, OpenRtbOptions(vocabulary(settings), settings.bid_extensions()))


def ad_routes(
    answering: Answering, reports: Taking, settings: Settings, credentials: Credentials, rows: Sharing | None = None
) -> list[Route]:
    """The doors of ad servers, by path. `rows`: who hands rows back."""
    return [
        Route("/v1/check", CheckDoor(answering, credentials).post, methods=["POST"]),
        Route("/v1/checks", ChecksDoor(answering, credentials).post, methods=["POST"]),
        Route("/v1/openrtb", OpenRtb(bids(answering, settings), credentials).post, methods=["POST"]),
        Route("/v1/disclosures", DisclosuresDoor(reports, credentials, rows).post, methods=["POST"]),
    ]


def calls_among(served: Sequence[Route]) -> Calls:
    """The doors that are asked all the time, for the edge: it asks them itself, with no router between."""
    calls = Calls({("POST", route.path): route.endpoint for route in served if route.path in ASKED_ALL_THE_TIME})
    for (_, path), endpoint in calls.doors.items():
        door = getattr(endpoint, "__self__", None)
        if isinstance(door, CheckDoor):
            calls.at_once[path] = door.at_once
    return calls


def proofs(house: House, settings: Settings, *, dev: bool) -> Proofs:
    """What a call may bring to show who it speaks for."""
    signed = settings.apps.assertions(), settings.apps.attestations()
    return Proofs(house.consent, house.codes, signed, _installations(house), dev=dev)


def app_routes(
    house: House, settings: Settings, credentials: Credentials, metrics: Metrics, proved: Proofs
) -> list[Route]:
    """The doors of apps and backends, by path."""
    consent, known = house.consent, _installations(house)
    apps = Apps(consent, known, proved, metrics, settings.apps.sdks, alarm=settings.apps.strict_alarm)
    observing = Observe(consent, credentials, metrics, apps, remember_gpc=settings.browser.remember_gpc,
                        gpc_of_known=settings.signals.leaves_gpc)  # fmt: skip
    standing = StandingDoor(consent, credentials, metrics, proved, apps, known)
    return [
        Route("/v1/choices", Choices(consent, credentials, metrics, proved, apps).post, methods=["POST"]),
        Route("/v1/observe", observing.post, methods=["POST"]),
        Route("/v1/standing", standing.post, methods=["POST"]),
    ]


def _installations(house: House) -> Installations:
    consent = house.consent
    return Installations(consent.checks, consent.people, house.writer, house.secrets, consent.clock)


def agent_routes(house: House, metrics: Metrics) -> list[Route]:
    """The doors of authorized agents: public, each closed while none is configured."""
    doors = AgentDoors(house.agents, house.consent, house.codes.kinds, metrics)
    one, agent = "/v1/data-rights-request/{request}", "/v1/agent/{agent}"
    return [
        Route("/v1/data-rights-request", doors.exercise, methods=["POST"]),
        Route(one, doors.status, methods=["GET"]),
        Route(one, doors.revoke, methods=["DELETE"]),
        Route(agent, doors.set_up, methods=["POST"]),
        Route(agent, doors.known, methods=["GET"]),
    ]


DELETIONS = health.PATH


def desk_routes(
    house: House, settings: Settings, folder: Path, credentials: Credentials, proofs: Proofs
) -> list[Route]:
    """The doors of the operator's desk, by path."""
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
