"""Of whom anything was said from some entry on, by themselves or by whoever is connected with them: what stands of
nobody else can be another thing than it was then. For suppression files, and for answers that are counted late.
"""

from collections.abc import Iterator
from itertools import takewhile

from gateway.ledger.reach import connected_people
from gateway.ledger.writer import Transaction

SAID = (
    "SELECT seq, key FROM detail WHERE seq >= ?1"
    " UNION ALL SELECT seq, canonical FROM looser_name WHERE seq >= ?1"
    " UNION ALL SELECT seq, key FROM kept_deny WHERE seq >= ?1 UNION ALL SELECT seq, key FROM kept_end WHERE seq >= ?1"
    " UNION ALL SELECT v.by, d.key FROM voided_choice v JOIN detail d ON d.seq = v.seq WHERE v.by >= ?1"
)
LEARNT = (  # from the last one back: the tables are as large as the ledger, and no index has their entries
    "SELECT seq, canonical FROM name ORDER BY turn DESC",
    "SELECT seq, spelling FROM mailbox_name ORDER BY turn DESC",
)


class SaidSince:
    """`first`: the first entry that anybody will ask about."""

    def __init__(self, tx: Transaction, first: int) -> None:
        self._db = tx.db
        [void] = tx.db.execute("SELECT coalesce(max(seq), -1) FROM voided_ui").fetchone()
        self._void: int = void
        self._last = dict[bytes, int]()
        for seq, key in _said(tx, first):
            self._last[key] = max(seq, self._last.get(key, seq))

    def was_said(self, key: bytes, position: int) -> bool:
        """Whether anything was, from a position on. A void of a screen may have brought back a no of anybody."""
        if self._void >= position or not self._last:
            return self._void >= position
        return any(self._last.get(each, -1) >= position for each in connected_people(self._db, [key]))


def _said(tx: Transaction, first: int) -> Iterator[tuple[int, bytes]]:
    yield from tx.db.execute(SAID, (first,)).fetchall()
    for sql in LEARNT:
        yield from takewhile(lambda row: row[0] >= first, tx.db.execute(sql))
