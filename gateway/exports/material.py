"""Everything that is known of one choice: its entry, its details, the notice that was shown with it, the recipients
that were in force, and what the operator says of itself. Read from the ledger; nothing is made up.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import seals
from gateway.keys import PersonKeys
from gateway.ledger import documents, evidence, openings, schema
from gateway.ledger.documents import RECIPIENTS, Document
from gateway.ledger.leaves import BODY, JOINED
from gateway.terms import ChoiceKind

PersonOf = Callable[[bytes], PersonKeys]
GIVEN = frozenset({ChoiceKind.OPT_IN, ChoiceKind.DIRECT, ChoiceKind.KEEP_PROGRAMME})
REFUSED = frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.STATE_BEGAN})
CHOICES = GIVEN | REFUSED | {ChoiceKind.WITHDRAW}
SENSITIVE = frozenset({"precise_geo", "cpni", "content"})  # Cal. Civ. Code 1798.140(ae); 47 USC 222

ENTRY = f"SELECT d.seq, {BODY}, d.person, d.sealed FROM detail d{JOINED} WHERE d.event = ?"  # noqa: S608 - ours
IN_FORCE = """
SELECT e.body, d.body FROM evidence v JOIN entry e USING (seq) LEFT JOIN document d ON d.seq = v.seq
WHERE v.seq < ? AND v.kind != 'rehearsal' ORDER BY v.seq DESC LIMIT 1
"""


class NoBody(Exception):
    """Nothing but the hash of an entry is kept. The text says so."""


@dataclass(frozen=True, slots=True)
class Material:
    """`details` is empty where they were erased; `recipients` where no evidence of before tells them."""

    leaf: Mapping[str, Any]
    details: Mapping[str, Any]
    notice: Document | None
    recipients: Mapping[str, Mapping[str, Any]]
    controller: Mapping[str, Any]
    policy_url: str = ""

    @property
    def kind(self) -> str:
        return str(self.leaf["e"])

    @property
    def purposes(self) -> list[str]:
        return list(self.leaf.get("p", []))

    @property
    def at(self) -> str:
        """ISO 8601: to the millisecond from the details, else the entry's minute."""
        return str(self.details.get("at") or self.leaf["t"])

    @property
    def jurisdiction(self) -> str:
        return str(self.leaf.get("j") or self.controller.get("jurisdiction", ""))

    @property
    def method(self) -> str:
        """How it was said: the manner, the source, the screen."""
        words = (self.leaf.get("m"), self.leaf.get("src"), self.leaf.get("ui"))
        return ", ".join(dict.fromkeys(str(word) for word in words if word))

    def meant(self) -> dict[str, Mapping[str, Any]]:
        """The recipients that the choice is about: the one that it names, else those registered for its purposes."""
        if self.leaf.get("to"):
            name = str(self.leaf["to"])
            return {name: self.recipients.get(name, {"role": "third_party", "data": self.leaf.get("c", [])})}
        return {name: item for name, item in self.recipients.items() if set(item["purposes"]) & set(self.purposes)}

    def classes(self) -> list[str]:
        """The data classes that it is about."""
        if self.leaf.get("c"):
            return list(self.leaf["c"])
        return sorted({name for item in self.meant().values() for name in item.get("data", [])})


def read(
    folder: Path, event: bytes, keys_of: PersonOf, controller: Mapping[str, Any], policy_url: str = ""
) -> Material | None:
    """None where no entry about a person has this event id. Raises `NoBody`, `LedgerRefused`, `sqlite3.Error`."""
    with contextlib.closing(schema.open_to_read(folder)) as db:
        row = db.execute(ENTRY, (event,)).fetchone()
        if row is None:
            return None
        seq, body, person, sealed = row
        if body is None:
            raise NoBody("the body of this entry went by retention; its receipt is good all the same")
        leaf = json.loads(body)
        opened = openings.open_(keys_of(person), event, sealed, None)
        details = json.loads(opened.details) if opened.details else {}
        notice = _document(db, leaf.get("n"))
        return Material(leaf, details, notice, _recipients(db, seq), controller, policy_url)


def _document(db: sqlite3.Connection, named: str | None) -> Document | None:
    return documents.read(db, seals.unb64(named)) if named else None


def _recipients(db: sqlite3.Connection, seq: int) -> dict[str, Any]:
    """The registry that the last evidence before an entry names."""
    row = db.execute(IN_FORCE, (seq,)).fetchone()
    named = evidence.named_in(*row) if row else []
    hashes = [sha256 for kind, _, _, sha256 in named if kind == RECIPIENTS]
    found = _document(db, hashes[0]) if hashes else None
    registry: dict[str, Any] = json.loads(found.body) if found else {}
    return registry
