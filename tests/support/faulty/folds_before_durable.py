"""The gateway with one fault: the state has a record before it is durable."""

import time

from gateway.app.state_keeper import StateKeeper
from gateway.cli import main
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from support import under_nemesis

writers = []
began, commits, keep = Writer.__init__, Transaction.write_head, StateKeeper.keep


def begin(self, *arguments, **more):
    writers.append(self)
    began(self, *arguments, **more)


def commit(self):
    """The last thing before the commit."""
    commits(self)
    for writer in writers:  # none while the installation is made
        state = writer._state.state
        before = state.position()
        keep(writer._state, writer._db)
        if state.position() > before:
            time.sleep(0.05)  # the commit is still to come
            under_nemesis.dies_at(state._data.parent, "folded and not durable")


Writer.__init__, Transaction.write_head = begin, commit

if __name__ == "__main__":
    under_nemesis.serve()
    main()
