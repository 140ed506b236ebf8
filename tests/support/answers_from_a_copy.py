"""The gateway with one fault: its look-up answers from a copy that may be some milliseconds old. The control of the
test of linearizability.

python -m support.answers_from_a_copy serve --dev …
"""

import time

from gateway.cli import main
from gateway.ledger.table import StandingTable

AGE = 0.1  # seconds; of 30 ms a slow machine, whose operations are further apart, showed one or two subjects in twelve

honest = StandingTable.seen
copies = {}


def lagging(self, keys):
    at, seen = copies.get(tuple(keys), (0.0, None))
    if seen is None or time.monotonic() - at > AGE:
        at, seen = copies[tuple(keys)] = time.monotonic(), honest(self, keys)
    return seen


StandingTable.seen = lagging

if __name__ == "__main__":
    main()
