"""What the ids of one installation of an app pass on to each other: its other ids' choices, as a state (R26).

A person who opted out is out by their new ad id too. It is a state and no choice: it denies for the id alone, reaches
no account, and ends once the others are free again. Other states are not passed on, for the phone tells those itself.
"""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from gateway.choice.standing import IN, OUT
from gateway.ledger import openings, states
from gateway.ledger.records import Choice, Subject
from gateway.ledger.writer import Transaction
from gateway.terms import ALL_PURPOSES, ChoiceKind, Purpose, Source

SOURCE = Source.INSTALLATION
SAID = (
    "SELECT purpose, max(seq) FROM ("
    " SELECT purpose, seq FROM own_choice WHERE state = {out} AND key IN ({marks})"
    " UNION ALL SELECT purpose, seq FROM travelled_choice WHERE key IN ({marks})) GROUP BY purpose"
)
ALLOWED = "SELECT purpose, seq FROM own_choice WHERE state = ? AND key = ?"
STANDS = (
    "SELECT o.purpose, d.event, d.person, d.sealed FROM own_choice o LEFT JOIN detail d ON d.seq = o.seq"
    " WHERE o.key = ? AND o.state = ?"
)


def follow(
    tx: Transaction, subjects: Sequence[Subject], everybody: Collection[bytes], free: Collection[bytes], at: datetime
) -> int:
    """Begins and ends what each of an installation's ids has from the others. `everybody`: keys of all of them; `free`:
    those whose state may end by this call. Returns how many entries that took.
    """
    request, written = os.urandom(16), 0
    for subject in subjects:
        others = [key for key in everybody if key not in subject.keys]
        owed = _owed(tx, subject, others)
        held = states.held(tx, subject.key, SOURCE)
        if owed - held:
            purposes = tuple(purpose for purpose in ALL_PURPOSES if purpose in owed)
            began = Choice(ChoiceKind.STATE_BEGAN, purposes, SOURCE, at)
            written += states.begin(tx, subject, began, request) is not None
        elif held and not owed and subject.key in free:
            ended = Choice(ChoiceKind.STATE_ENDED, tuple(sorted(held)), SOURCE, at)
            written += states.end(tx, subject, ended, request) is not None
    return written


def _owed(tx: Transaction, subject: Subject, others: Sequence[bytes]) -> set[Purpose]:
    """What an id has from the others: what it does not say by itself, and did not allow by itself since."""
    allowed = {Purpose(purpose): seq for purpose, seq in tx.db.execute(ALLOWED, (IN, subject.key))}
    said, own = _said(tx, others), _said(tx, [subject.key])
    return {purpose for purpose, seq in said.items() if purpose not in own and allowed.get(purpose, -1) < seq}


def _said(tx: Transaction, keys: Sequence[bytes]) -> dict[Purpose, int]:
    """What was chosen for any of these, by themselves or from afar, and the last entry that says so."""
    marks = ",".join("?" * len(keys))
    rows: Iterable[tuple[str, int]] = tx.db.execute(SAID.format(out=OUT, marks=marks), [*keys, *keys])
    return {Purpose(purpose): seq for purpose, seq in rows if purpose in ALL_PURPOSES}


def took_back(tx: Transaction, subject: Subject, mark: str, purpose: Purpose | None) -> bool:
    """Whether every opt-out that stands on an id was made with the device token of a mark: of one purpose, or of all.
    What somebody else said of the id is not this installation's to lift.
    """
    rows = tx.db.execute(STANDS, (subject.key, OUT)).fetchall()
    return all(
        _made_with(tx, event, person, sealed, mark)
        for said, event, person, sealed in rows
        if purpose is None or said == purpose
    )


def _made_with(tx: Transaction, event: bytes | None, person: bytes, sealed: bytes, mark: str) -> bool:
    """False as well where the details were forgotten: then nobody can tell."""
    opened = openings.open_(tx.persons.keys(person), event, sealed, None) if event else openings.Opened()
    return bool(json.loads(opened.details or b"{}").get("device") == mark)
