"""The gateway with one fault: a machine writes down by its own clock when its lease ends, and the others compare that
with theirs. Here its clock is an hour behind.

python -m support.trusts_their_clocks serve --dev …
"""

from gateway.cli import main
from gateway.consent.leases import Leases
from gateway.disk import boot_seconds
from gateway.ledger.watch import TERM
from gateway.postgres.connection import COUNTS, PostgresConnection

BEHIND = 3600
honest = Leases._read_served


def renew(self, applied, head):
    until = self._boot * COUNTS + max(0, int((boot_seconds() - BEHIND + TERM) * 1000)) % COUNTS
    self.execute("BEGIN IMMEDIATE")
    self._run("UPDATE host SET renewals = $2, applied = $3 WHERE number = $1", (self.host, until, applied))
    found = self._run(head).fetchone()
    self.execute("COMMIT")
    return found


def read_by_their_clocks(self, db):
    held = honest(self, db)
    ends = {holder: until % COUNTS / 1000 for holder, ((_, until), _) in self._first.items()}
    return held._replace(leases=[each._replace(ends=ends[each.holder]) for each in held.leases])


PostgresConnection.renew = renew
Leases._read_served = read_by_their_clocks
if __name__ == "__main__":
    main()
