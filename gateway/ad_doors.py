"""The doors of ad servers: may this go, and what became of it. The hot ones first: paths are tried in order."""

from starlette.routing import Route

from gateway.app import vocabulary
from gateway.credentials import Credentials
from gateway.settings import Settings
from gateway.web.answering import Answering
from gateway.web.check import CheckDoor
from gateway.web.checks import ChecksDoor
from gateway.web.disclosures import DisclosuresDoor
from gateway.web.openrtb import Bids, OpenRtb, OpenRtbOptions
from gateway.web.reports_of import Handing, Taking


def bids(answering: Answering, settings: Settings) -> Bids:
    """What is answered to bid requests, as configured."""
    return Bids(answering, OpenRtbOptions(vocabulary(settings), settings.bid_extensions()))


def routes(
    answering: Answering, reports: Taking, settings: Settings, credentials: Credentials, rows: Handing | None = None
) -> list[Route]:  # fmt: skip
    """By path. `rows`: who hands rows back."""
    return [
        Route("/v1/check", CheckDoor(answering, credentials).post, methods=["POST"]),
        Route("/v1/checks", ChecksDoor(answering, credentials).post, methods=["POST"]),
        Route("/v1/openrtb", OpenRtb(bids(answering, settings), credentials).post, methods=["POST"]),
        Route("/v1/disclosures", DisclosuresDoor(reports, credentials, rows).post, methods=["POST"]),
    ]
