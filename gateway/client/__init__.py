"""The ad server's side: asks the gateway before anything is sent, in a given time, and takes every doubt as a no.

`Client` asks over HTTP or a socket, or, with `over`, in the service's own process. Nothing here knows the ledger.
"""

from gateway.client.asking import BidAnswer, Client, NotReady, Verdicts
from gateway.client.verdict import EXPIRED, NO_ANSWER, Answered, Expired, HandedBack, NothingMayGo
from gateway.client.verdict import ClientDisclosure as Disclosure
from gateway.client.verdict import ClientVerdict as Verdict

__all__ = [
    "EXPIRED",
    "NO_ANSWER",
    "Answered",
    "BidAnswer",
    "Client",
    "Disclosure",
    "Expired",
    "HandedBack",
    "NotReady",
    "NothingMayGo",
    "Verdict",
    "Verdicts",
]
