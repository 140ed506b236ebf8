"""The doors of ad servers by path, which a service and a replica have alike: `gateway.app.service`, where all others
stand, and `gateway.app.replica` mount them.

Paths are tried in order, so those of ad servers begin with the hot ones.
"""

from collections.abc import Sequence

from starlette.routing import Route

from gateway.app.from_settings import vocabulary
from gateway.consent.share import Sharing
from gateway.keys.api_keys import Credentials
from gateway.settings.load import Settings
from gateway.web.api.check import CheckDoor, ChecksDoor
from gateway.web.api.check_answer import Answering
from gateway.web.api.disclosures import DisclosuresDoor, Taking
from gateway.web.api.openrtb import Bids, OpenRtb
from gateway.web.shell.edge import Calls

ASKED_ALL_THE_TIME = frozenset({"/v1/check", "/v1/openrtb"})  # each answers whole, and to a POST alone


def bids(answering: Answering, settings: Settings) -> Bids:
    """What is answered to bid requests, as configured."""
    return Bids(answering, vocabulary(settings), settings.bid_extensions())


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
