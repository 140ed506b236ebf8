"""The ad server's side: asks the gateway before anything is sent, in a given time, and takes every doubt as a no.

`Client` asks over HTTP or a socket, or, with `over`, in the service's own process. Nothing here knows the ledger.
"""

from gateway.client.asking import BidAnswer, Client, NotReady
from gateway.client.disclosure import Disclosure, Expired, NothingMayGo
from gateway.client.verdict import NO_ANSWER, Verdict

__all__ = ["NO_ANSWER", "BidAnswer", "Client", "Disclosure", "Expired", "NotReady", "NothingMayGo", "Verdict"]
