"""Of whom anything was said from some entry on, by themselves or by whoever is connected with them: what stands of
nobody else can be another thing than it was then. For suppression files, and for answers that are counted late.
"""

from gateway.ledger.acts.reach import connected_people
from gateway.ledger.log_records import sides_since
from gateway.ledger.transaction import Transaction

VOIDED = (
    "SELECT v.by, d.key FROM voided_choice v JOIN detail d ON d.seq = v.seq WHERE v.by >= ?1"
    " UNION ALL SELECT gone, key FROM deletion_key WHERE gone >= ?1"
)


class SaidSince:
    """`first`: the first entry that anybody will ask about."""

    def __init__(self, tx: Transaction, first: int) -> None:
        self._db = tx.db
        [void] = tx.db.execute("SELECT coalesce(max(seq), -1) FROM voided_ui").fetchone()
        self._void: int = void
        said, entries = list[tuple[int, bytes]](), first
        for row in sides_since(tx.db, first):
            seq = row.seq if row.entered else max(row.seq, entries)  # what is learnt may be of an older entry
            entries = max(entries, seq + row.entered)
            said += [(seq, record.key) for record in row.records()]
        said += tx.db.execute(VOIDED, (first,)).fetchall()
        self._last = dict[bytes, int]()
        for seq, key in said:
            self._last[key] = max(seq, self._last.get(key, seq))

    def was_said(self, key: bytes, position: int) -> bool:
        """Whether anything was, from a position on. A void of a screen may have brought back a no of anybody."""
        if self._void >= position or not self._last:
            return self._void >= position
        return any(self._last.get(each, -1) >= position for each in connected_people(self._db, [key]))
