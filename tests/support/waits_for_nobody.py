"""The gateway with one fault: a choice is called effective although whoever answers from a copy has not got it.

python -m support.waits_for_nobody serve --dev …
"""

from gateway.cli import main
from gateway.consent.leases import Leases


async def at_once(self, revision):
    return 0.0


Leases.settled = at_once
if __name__ == "__main__":
    main()
