"""States: what a device or a tool says of itself, for as long as it says so (R26); and what one installation of an app
said. `consent.verbs` and `consent.installations` call it.

Limit-ad-tracking, ATT "denied" and a consent string that refuses are no choices of a person: they deny for the device
and its other names, travel to no account, lift and replace no choice, and end when the same source says the opposite.
Its silence ends nothing. What an app says is of its installation alone: each has a state of its own on an id, and ends
no other's; whoever speaks for the id itself ends them all.

A person who opted out is out by their new ad id too: a state of this installation, which ends once the others are free
again. And `alone`: which noes of its ids an installation said all by itself, so that it may come back from them; for
itself, never for the id as such. An entry about a no is an installation's where `acted` has its mark; a state where its
source has.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.choice.standing import IN, OUT
from gateway.ledger import records
from gateway.ledger.reach import canonicals, group, own_names
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import TIGHTENS, Choice, Subject, Written, milliseconds
from gateway.ledger.travel import widened
from gateway.ledger.writer import Transaction
from gateway.terms import ALL_PURPOSES, CHOOSABLE, ChoiceKind, Purpose, Source


def begin_state(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """A source's denial of purposes; an entry only where it is news, to any of its names: a digest of two identifiers
    may have it from the one.
    """
    records.know(tx, subject, milliseconds(choice.at))
    wanted, source = set(widened(choice.purposes)), source_of(choice)
    if all(wanted <= denied_by_source(tx, name, source) for name in group(tx, subject.key)):
        return None
    written = records.append(tx, subject, choice, request)
    apply_began(tx, subject.key, choice, written.seq)
    return written


def apply_began(tx: Transaction, key: bytes, choice: Choice, seq: int) -> None:
    names, purposes, source = group(tx, key), widened(choice.purposes), source_of(choice)
    tx.db.executemany(
        "INSERT INTO device_state VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq",
        [(name, source, purpose, seq) for name in names for purpose in purposes],
    )
    recompute(tx, names, milliseconds(choice.at))


def end_state(tx: Transaction, subject: Subject, choice: Choice, request: bytes) -> Written | None:
    """The same source says that it no longer denies; an entry only where it did."""
    records.know(tx, subject, milliseconds(choice.at))
    if not any(_ended(tx, name, choice) for name in own_names(tx, subject.key)):
        return None
    written = records.append(tx, subject, choice, request)
    apply_ended(tx, subject.key, choice)
    return written


def apply_ended(tx: Transaction, key: bytes, choice: Choice) -> None:
    """What another identifier's device says of itself goes on, also at a digest that both share."""
    names = own_names(tx, key)
    tx.db.executemany(
        "DELETE FROM device_state WHERE key = ? AND source = ?",
        [(name, source) for name in names for source in _ended(tx, name, choice)],
    )
    tx.db.executemany(
        "INSERT INTO device_state SELECT ?, source, purpose, seq FROM device_state WHERE key = ? AND source = ?"
        " ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        [
            (name, other, source)
            for name in names
            for other in canonicals(tx, name) - names
            for source in _ended(tx, other, choice)
        ],
    )
    recompute(tx, names, milliseconds(choice.at))


def source_of(choice: Choice) -> str:
    """Who denies: a source, of one installation where an app says it."""
    mark = choice.details.get("device")
    return f"{choice.source}@{mark}" if mark else choice.source


def _ended(tx: Transaction, key: bytes, choice: Choice) -> list[str]:
    """Whose states on a key a choice ends: its own installation's, or without one all of that source."""
    said = source_of(choice)
    of_all = "" if said != choice.source else " OR substr(source, 1, length(?2) + 1) = ?2 || '@'"
    sql = f"SELECT DISTINCT source FROM device_state WHERE key = ?1 AND (source = ?2{of_all})"  # noqa: S608 - ours
    return [row[0] for row in tx.db.execute(sql, (key, said))]


def denied_by_source(tx: Transaction, key: bytes, source: str) -> set[Purpose]:
    """The purposes that a source denies for a key."""
    rows: Iterable[tuple[str]] = tx.db.execute(
        "SELECT purpose FROM device_state WHERE key = ? AND source = ?", (key, source)
    )
    return {Purpose(row[0]) for row in rows}


SOURCE = Source.INSTALLATION
NOT_BY_TOKEN = frozenset({Purpose.SENSITIVE})  # the precise location is never a token's to open
Read = Callable[[str, Sequence[Any]], Iterable[tuple[Any, ...]]]

SAID = (
    "SELECT purpose, max(seq) FROM ("
    " SELECT purpose, seq FROM own_choice WHERE state = {out} AND key IN ({marks})"
    " UNION ALL SELECT purpose, seq FROM travelled_choice WHERE key IN ({marks})) GROUP BY purpose"
)
ALLOWED = "SELECT purpose, seq FROM own_choice WHERE state = ? AND key = ?"
OWN = "SELECT purpose FROM own_choice WHERE key = ? AND state = ?"
CAME = "SELECT purpose, origin FROM travelled_choice WHERE key = ?"
STATES = "SELECT purpose, source FROM device_state WHERE key = ?"
LINES = f"""
SELECT d.seq, {BODY}, a.mark FROM detail d{JOINED} LEFT JOIN acted a ON a.seq = d.seq WHERE d.key = ?
"""  # noqa: S608 - the pieces are ours
ACTS = f"SELECT d.at, {BODY} FROM acted a JOIN detail d ON d.seq = a.seq{JOINED} WHERE a.mark = ? AND a.seq >= ?"  # noqa: S608


def follow_installation(
    tx: Transaction, subjects: Sequence[Subject], owed: Mapping[bytes, Collection[Purpose]], mark: str, at: datetime
) -> int:
    """Begins and ends what each of an installation's ids has from the others. Returns how many entries that took."""
    request, written, details = os.urandom(16), 0, {"device": mark}
    for subject in subjects:
        held = denied_by_source(tx, subject.key, f"{SOURCE}@{mark}")
        due = set(widened(owed.get(subject.key, ())))
        if held - due:
            ended = Choice(ChoiceKind.STATE_ENDED, tuple(sorted(held)), SOURCE, at, details=details)
            written += end_state(tx, subject, ended, request) is not None
        if due and due != held:
            purposes = tuple(purpose for purpose in ALL_PURPOSES if purpose in due)
            began = Choice(ChoiceKind.STATE_BEGAN, purposes, SOURCE, at, details=details)
            written += begin_state(tx, subject, began, request) is not None
    return written


def lift_state(tx: Transaction, subject: Subject, purpose: Purpose, at: datetime) -> None:
    """Whoever shows that an id is theirs and says yes to a purpose is rid of what other ids brought it, by whichever
    installation; not of the other purposes.
    """
    request = os.urandom(16)
    sources = sorted({source for _, source in tx.db.execute(STATES, (subject.key,)).fetchall()})
    held = {
        source: denied_by_source(tx, subject.key, source) for source in sources if source.partition("@")[0] == SOURCE
    }
    if not held:
        return
    gone = tuple(sorted({each for of in held.values() for each in of}))
    end_state(tx, subject, Choice(ChoiceKind.STATE_ENDED, gone, SOURCE, at), request)  # everybody's
    for source, of in held.items():
        left = tuple(each for each in ALL_PURPOSES if each in of - set(widened([purpose])))
        details = {"device": mark} if (mark := source.partition("@")[2]) else {}
        if left:
            begin_state(tx, subject, Choice(ChoiceKind.STATE_BEGAN, left, SOURCE, at, details=details), request)


def owed_states(read: Read, subject: Subject, others: Sequence[bytes], lifted: Collection[Purpose]) -> set[Purpose]:
    """What an id has from the others: what it does not say by itself, and did not allow by itself since. `lifted`: what
    the installation came back from.
    """
    allowed = {Purpose(purpose): seq for purpose, seq in read(ALLOWED, (IN, subject.key))}
    said, own = _said(read, others), _said(read, [subject.key])
    return {
        purpose
        for purpose, seq in said.items()
        if purpose not in own and allowed.get(purpose, -1) < seq and purpose not in lifted
    }


def _said(read: Read, keys: Sequence[bytes]) -> dict[Purpose, int]:
    """What was chosen for any of these, by themselves or from afar, and the last entry that says so."""
    marks = ",".join("?" * len(keys))
    rows = read(SAID.format(out=OUT, marks=marks), [*keys, *keys]) if keys else ()
    return {Purpose(purpose): seq for purpose, seq in rows if purpose in ALL_PURPOSES}


def alone(read: Read, mark: str, device: bytes, keys: Iterable[bytes]) -> frozenset[Purpose]:
    """The purposes that an installation opted in to since the last no that it said itself, where each no that stands on
    any of these keys is its own act. A state is none: it ends by itself. `device`: its own key.
    """
    since = {
        Purpose(purpose): seq
        for purpose, seq in read(ALLOWED, (IN, device))
        if purpose in CHOOSABLE and purpose not in NOT_BY_TOKEN
    }
    for key in keys if since else ():
        others = _others(read, key, since, mark)
        since = {purpose: seq for purpose, seq in since.items() if purpose not in others}
    return frozenset(since)


def _others(read: Read, key: bytes, since: Mapping[Purpose, int], mark: str) -> set[Purpose]:
    """What a key is denied by somebody else's word, or by this installation's own after it had opted in."""
    had = f"{SOURCE}@{mark}"  # from the others, of which each is looked at itself
    found = {Purpose(purpose) for purpose, source in read(STATES, (key,)) if source != had}
    origins = {(Purpose(purpose), key) for (purpose,) in read(OWN, (key, OUT))}
    origins |= {(Purpose(purpose), origin) for purpose, origin in read(CAME, (key,))}
    lines = {origin: _lines(read, origin) for _, origin in origins}
    for purpose, origin in origins:
        noes = [(seq, by) for seq, purposes, by in lines[origin] if purpose in purposes]
        if not noes or any(by != mark or seq > since.get(purpose, -1) for seq, by in noes):
            found.add(purpose)
    return found


def _lines(read: Read, key: bytes) -> list[tuple[int, frozenset[Purpose], str | None]]:
    """Each no that was ever said of a key: its entry, what it denies, and by which installation. What was pruned may
    have been one, to everything.
    """
    found = list[tuple[int, frozenset[Purpose], str | None]]()
    for seq, body, by in read(LINES, (key,)):
        if not body:
            found.append((seq, frozenset(ALL_PURPOSES), by))
            continue
        leaf = json.loads(body)
        if leaf.get("e") in TIGHTENS or leaf.get("e") == ChoiceKind.CHILD_FOUND:
            said = [Purpose(purpose) for purpose in leaf.get("p", ()) if purpose in set(Purpose)]
            found.append((seq, frozenset(widened(said)), by))
    return found


def last_out(read: Read, mark: str, since: int = 0) -> dict[Purpose, int]:
    """When an installation last said no to each purpose, in Unix milliseconds; of entries from a place on."""
    latest: dict[Purpose, int] = {}
    for at, body in read(ACTS, (mark, since)):
        leaf = json.loads(body) if body else {}
        if leaf.get("e") in TIGHTENS:
            said = widened(Purpose(purpose) for purpose in leaf.get("p", ()) if purpose in set(Purpose))
            latest.update((purpose, max(at, latest.get(purpose, 0))) for purpose in said)
    return latest
