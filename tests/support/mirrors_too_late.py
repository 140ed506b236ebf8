"""The gateway with one fault: the order turned round, a person is answered first and the mirror learns of it after
that, with the first batch a second later.

python -m support.mirrors_too_late serve --dev …
"""

import time

from gateway.cli import main
from gateway.ledger.mirrored import Mirrored

LATE = 1.0  # seconds
honest = Mirrored._catch_up
behind = {}


def nothing(self, _):
    """Neither before the commit nor after it."""


def late(self, found, db):
    if found.head().revision == self._head(db).revision:
        behind.clear()
    elif time.monotonic() - behind.setdefault("since", time.monotonic()) > LATE:
        honest(self, found, db)
        behind.clear()


Mirrored.tighten = Mirrored.loosen = nothing
Mirrored._catch_up = late
if __name__ == "__main__":
    main()
