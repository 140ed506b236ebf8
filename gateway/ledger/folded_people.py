"""What stands of some keys, folded from the log: what was said of them and of whoever is connected with them, as of one
moment of a connection. For rare work, such as a look back, an erasure, a page about one person, and for whoever writes
where no state is at hand. Checks read the state of their host (`gateway.state`).
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from gateway.choice.question import Grant
from gateway.choice.standing import Standing
from gateway.fold import fold, reading
from gateway.fold.state import FOR_EVER, Place, Slate
from gateway.ledger.log_records import records_of
from gateway.ledger.reach import connected_people


class FoldedPeople:
    """Exact for `keys`; of whoever is but connected with them only what these rest on. `now`: until which moment, in
    Unix milliseconds. What a transaction did itself is in it.
    """

    def __init__(self, db: sqlite3.Connection, keys: Iterable[bytes], now: int = FOR_EVER) -> None:
        self._rows = dict[Place, Any]()
        for each in records_of(db, now, connected_people(db, keys)):
            self._rows.update(fold(each, self._rows.get))

    def get(self, place: Place) -> Any:
        """A row, an edge or the voided screens, as the fold has them; None where nothing lies."""
        return self._rows.get(place)

    def slate(self) -> Slate:
        """For whoever follows names and accounts (`gateway.fold.kin`)."""
        return Slate(self.get)

    def standing(self, key: bytes, now: int) -> Standing:
        """As a check reads it; `now` in Unix milliseconds, for what ends by its date."""
        return reading.standing_of(key, self.get, now)

    def grants(self, key: bytes, now: int) -> list[Grant]:
        """What a key allowed one recipient and is not over, the newest first."""
        return reading.grants_of(key, self.get, now)
