"""A state that follows a made-up life while it is lived, so that `gateway verify` has something to compare."""

import shutil
import tempfile
import weakref
from pathlib import Path

from gateway.app.state_check import following
from gateway.ledger.audit import verify
from gateway.ledger.log_records import LedgerLog, forget_deletes, watch_deletes
from gateway.state.upkeep import HostState


class VerifiedLife:
    """`ledger`: a `support.lives.Ledger`."""

    def __init__(self, ledger):
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder)
        self.ledger, self.state = ledger, HostState(Path(folder), 1)
        watch_deletes(ledger.db)
        self.follow()

    def follow(self):
        """As a writer does behind each commit."""
        self.ledger.tx.write_head()
        self.state.catch_up(LedgerLog(self.ledger.db))
        forget_deletes(self.ledger.db)

    def report(self):
        """With the boxes."""
        self.follow()
        with following(self.ledger.db, self.state) as kept:
            assert kept.moment
            return verify.examine(self.ledger.db, lambda _: None, self.ledger.tx.persons, kept.look(self.ledger.db))

    def close(self):
        self.state.close()
        self.ledger.db.close()
