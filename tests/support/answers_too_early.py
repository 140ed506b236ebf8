"""The gateway with one fault: its writer answers before it commits, and what waits until everybody has it (`Leases`),
which would wait for the commit too, does not look how far the file goes. The control of the kill test.

python -m support.answers_too_early serve --dev …
"""

import sys
import time

from gateway.cli import main
from gateway.consent import leases
from gateway.ledger.writer import QueuedJob, Writer

honest = Writer._commit


def hasty(self, batch):
    """Answers from a look into the future: the jobs run, everybody is told, and only then they are kept."""
    told = [
        QueuedJob(lambda transaction, each=each: _tell(each.future, each.job(transaction)), _Deaf(), each.asks)
        for each in batch
    ]
    outcomes = honest(self, told)
    time.sleep(0)
    return outcomes


class _Deaf:
    """A future that was answered already."""

    def set_result(self, _):
        pass

    def set_exception(self, _):
        pass


def _tell(future, result):
    future.set_result(result)
    time.sleep(0.005)  # the commit is still to come
    return result


Writer._commit = hasty
leases._known = lambda _: sys.maxsize

if __name__ == "__main__":
    main()
