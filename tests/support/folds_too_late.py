"""The gateway with one fault: a person is answered first, and the state follows a second after that.

python -m support.folds_too_late serve --dev …
"""

import time

from gateway.app.state_keeper import StateKeeper
from gateway.cli import main

LATE = 1.0  # seconds
honest, wants = StateKeeper.keep, StateKeeper.wants
behind = {}


def late(self, db, _=None):
    """Once it was behind for so long, the writer's own look brings it up."""
    if time.monotonic() - behind.setdefault("since", time.monotonic()) > LATE:
        honest(self, db)
        behind.clear()


def looks(self, db):
    return wants(self, db) or bool(behind)


StateKeeper.keep, StateKeeper.wants = late, looks
StateKeeper.judge = lambda self, examination: examination  # else nobody is answered meanwhile
if __name__ == "__main__":
    main()
