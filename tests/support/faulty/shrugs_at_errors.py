"""The gateway with one fault: a commit that the disk refused is answered as if it had gone well."""

import sqlite3

from gateway.cli import main
from gateway.ledger.writer import Writer

honest = Writer._commit


def commit(self, batch):
    results = {}

    def noted(job, future):
        def run(transaction):
            results[future] = job(transaction)
            return results[future]

        return run

    try:
        return honest(self, [each._replace(job=noted(each.job, each.future)) for each in batch])
    except sqlite3.Error:
        self._close()
        return [(results.get(each.future), None) for each in batch]


Writer._commit = commit

if __name__ == "__main__":
    main()
