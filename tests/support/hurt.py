"""The gateway, whose writer hurts itself where a test says so: behind a commit and before its fold, with the writers'
lock in its hands. `DATA/hurt` has the process and the number of the signal.

python -m support.hurt serve --dev …
"""

import contextlib
import os
from pathlib import Path

from gateway.app.state_keeper import StateKeeper
from gateway.cli import main

honest = StateKeeper.keep
ORDER = "hurt"


def hurt(self, db, fresh=None):
    order = Path(db.execute("PRAGMA database_list").fetchone()[2]).with_name(ORDER)
    with contextlib.suppress(FileNotFoundError):
        process, number = map(int, order.read_text().split())
        if process == os.getpid():  # another one may write something of its own meanwhile
            order.unlink()
            os.kill(process, number)
    honest(self, db, fresh)


StateKeeper.keep = hurt
if __name__ == "__main__":
    main()
