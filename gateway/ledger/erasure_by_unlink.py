"""Unlink: nothing leads from a person to an entry any more, nor from an entry to anything but its own receipt.

Deletes every row of the person's keys. What others had got from them stays with those: a deny as one that came from
nobody who is known, an age as their own (ending a link turns what had travelled into the identifier's own). Rows of
before a number was given back are another person's and stay.
"""

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from gateway.choice.standing import NONE
from gateway.ledger import (
    ages,
    happenings,
    idempotency,
    links,
    live_rows,
    reach,
    replay,
    suppression,
    unlinked_remains,
)
from gateway.ledger.reach import (
    Belongings,
    carriers,
    group,
    looser,
    mailbox,
    spellings,
    targets_of,
    with_looser,
    with_mailbox,
)
from gateway.ledger.rows_check import FOR_EVER
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import Subject
from gateway.ledger.unlinked_remains import End
from gateway.ledger.writer import Transaction
from gateway.terms import ChoiceKind, GrantKind

DATED = (  # table, column with a key; each has a `seq` of its own
    ("own_choice", "key"),
    ("travelled_choice", "key"),
    ("grant_choice", "key"),
    ("act_used", "key"),
    ("told", "key"),
    ("age", "key"),
    ("age_word", "key"),
    ("device_state", "key"),
    ("link", "account"),
    ("link", "identifier"),
    ("link_event", "account"),
    ("link_event", "identifier"),
    ("kept_deny", "key"),
    ("kept_end", "key"),
    ("kept_revoked", "key"),
    ("kept_age", "key"),
    ("kept_told", "key"),
)
NAMES = (("name", "alias"), ("name", "canonical"), ("looser_name", "canonical"), ("mailbox_name", "spelling"))
KEEP = {
    "age": "INSERT OR REPLACE INTO kept_age SELECT ?, ?, key, band, youngest, fixed FROM age WHERE key = ?",
    "told": "INSERT OR REPLACE INTO kept_told SELECT ?, ?, key, notice, day FROM told WHERE key = ?",
}
SENT = (
    "SELECT key, purpose, origin, via FROM travelled_choice WHERE (origin = ?1 OR via = ?1) AND key <> ?1 AND seq >= ?2"
)
CROSSED = (  # what those beside one sent or got over its links, a road of all of them
    "SELECT t.key, t.purpose, t.origin, t.via FROM link l JOIN travelled_choice t ON t.via = l.account"
    " WHERE l.identifier = ?1 AND (t.origin = ?2 OR t.key = ?2) AND t.seq >= ?3"
)
SENT_OF = "SELECT key, purpose, origin, via FROM travelled_choice WHERE origin = ? AND purpose = ?"
ENDED = f"""
SELECT c.purpose, c.ui, d.key, d.seq, json_extract(CAST({BODY} AS TEXT), '$.e')
FROM own_choice c JOIN detail d ON d.seq = c.seq {JOINED} WHERE c.key = ? AND c.state = ? AND d.key <> c.key
"""  # noqa: S608 - ours
ALLOWED = f"""
SELECT d.key FROM detail d {JOINED}
WHERE d.key IN ({{marks}}) AND json_extract(CAST({BODY} AS TEXT), '$.to') IS NOT NULL
"""  # noqa: S608 - ours
GRANTS = f"""
SELECT key, recipient, purpose, data_class, kind FROM grant_choice
WHERE key IN ({{marks}}) AND kind <> '{GrantKind.DIRECTED}'
"""  # noqa: S608 - the word is ours; an act is ended by no no
THROUGH = "SELECT key, purpose, origin, via FROM travelled_choice WHERE via = ?"
GOT = "SELECT key, purpose, origin, via FROM travelled_choice WHERE key = ?"
OTHERS = (
    "SELECT 1 FROM detail WHERE key = ?",
    "SELECT 1 FROM link WHERE identifier = ?",
    "SELECT 1 FROM name WHERE ?1 IN (alias, canonical)",
)
LINKED = (
    "SELECT account, start, until, seq, released, at, claimed FROM link_event"
    " WHERE identifier = ? AND seq < ? AND account IS NOT NULL ORDER BY turn"
)
LOOKED_LIKE = "SELECT 1 FROM looser_name WHERE alias = ?"  # what is left of it is others'
OVER = "UPDATE link SET until = ?, ended = ? WHERE account = ? AND identifier = ?"
LIFTED = """
SELECT key, purpose, origin, via FROM kept_deny k WHERE key IN ({marks}) AND NOT EXISTS (
  SELECT 1 FROM travelled_choice t
  WHERE t.key = k.key AND t.purpose = k.purpose AND t.origin = k.origin AND t.via = k.via)
"""
TRAVELLED = "SELECT key, purpose, origin, via FROM travelled_choice WHERE key IN ({marks})"
LOSE = tuple(
    f"DELETE FROM {table} WHERE key = ? AND purpose = ? AND origin = ? AND via = ?"  # noqa: S608 - names are ours
    for table in ("travelled_choice", "kept_deny")
)
_, LOSE_KEPT = LOSE
OF_ENTRIES = ("given", "told_event", "age_event", "acted")  # keyed by an entry's number

Row = tuple[bytes, str, bytes, bytes]  # of a deny that travelled: key, purpose, origin, via


def unlink(tx: Transaction, subjects: Sequence[Subject], own: Belongings, seq: int, now: int) -> None:
    """Everything but what opens at recipients' doors: that was told before. `seq`: the erasure's first entry."""
    near = with_looser(tx, reach.connected_people(tx.db, own)) - own.keys()
    others = _keep_ages(tx, own, seq, now)
    others |= _keep_ends_and_denies(tx, own, seq, now)
    others |= {key for subject in subjects for key in subject.looser}
    others |= {name for key in own for name in group(tx, key)}  # a digest that is another's too
    _forget_entries(tx, own)
    for table, column in DATED:
        tx.db.executemany(f"DELETE FROM {table} WHERE {column} = ? AND seq >= ?", list(own.items()))  # noqa: S608 - ours
    _have_again(tx, own)
    never_released = [(key,) for key, since in own.items() if not since]
    for table, column in NAMES:
        tx.db.executemany(f"DELETE FROM {table} WHERE {column} = ?", never_released)  # noqa: S608 - names are ours
    for key in own:
        suppression.drop_suppression(tx, key)
        tx.db.execute("DELETE FROM erased WHERE identifier = ?", (key,))
    _stand(tx, own, others - own.keys(), now)
    _forget_lifted(tx, near, seq, now)
    _keep_revoked(tx, others - own.keys(), seq, now)


def _keep_ages(tx: Transaction, own: Belongings, seq: int, now: int) -> set[bytes]:
    """How old others are, and what they were told, through a link that goes or went: their own from this entry on."""
    others: set[bytes] = set()
    for account in own:
        ages.keep(tx, account, sorted(targets_of(tx, account, now) - own.keys()), seq)
        others |= _had(tx, account) - own.keys()
    for key in others:
        for table, keep in KEEP.items():
            if tx.db.execute(keep, (seq, now, key)).rowcount:
                tx.db.execute(f"UPDATE {table} SET seq = ? WHERE key = ?", (seq, key))  # noqa: S608 - names are ours
    return others | _accounts(tx, own)


def _had(tx: Transaction, account: bytes) -> set[bytes]:
    """Every name of whatever an account has or had."""
    rows = tx.db.execute("SELECT identifier FROM link WHERE account = ?", (account,)).fetchall()
    return {name for (identifier,) in rows for name in group(tx, identifier)}


def _accounts(tx: Transaction, own: Belongings) -> set[bytes]:
    """The accounts that had one of these: they no longer have it."""
    rows = [tx.db.execute("SELECT account FROM link WHERE identifier = ?", (key,)).fetchall() for key in own]
    return {account for found in rows for (account,) in found} - own.keys()


def _keep_ends_and_denies(tx: Transaction, own: Belongings, seq: int, now: int) -> set[bytes]:
    """What these ended stays ended, and what others got from them stays there. Returns whose rows change."""
    ended = _ended(tx, own)
    forms = {form for key in own for form in looser(tx, key, tx.size)} - own.keys()
    rows = {row for key, since in own.items() for row in tx.db.execute(SENT, (key, since)).fetchall()}
    rows |= {row for form in forms for row in tx.db.execute(GOT, (form,)).fetchall()}
    rows |= {
        row
        for key, since in own.items()
        for other in _beside(tx, own, key)
        for row in tx.db.execute(CROSSED, (key, other, since)).fetchall()
    }
    rows |= {row for key in own for way in _had(tx, key) - own.keys() for row in _made_own(tx, way)}
    rows |= {row for key, purpose, *_ in ended for row in tx.db.execute(SENT_OF, (key, purpose)).fetchall()}
    for sql in LOSE:
        tx.db.executemany(sql, sorted(rows))  # in the order in which they lie
    changed = {row[0] for row in rows} | _ever_reached(tx, {key for key, *_ in ended})
    for each in ended:
        changed |= unlinked_remains.end(tx, each, seq, now)
    tx.db.executemany("INSERT INTO kept_end VALUES (?, ?, ?, ?, ?, ?)", [(seq, now, *each) for each in ended])
    _keep_denies(tx, own, rows, {form for form in forms if not _is_others(tx, form, own)}, seq, now)
    return changed


def _made_own(tx: Transaction, way: bytes) -> set[Row]:
    """What an identifier had kept from an account when an app tied the two again (`travel.make_own`): no entry that
    stays says so any more.
    """
    names = with_mailbox(tx, way)
    return {row for row in tx.db.execute(THROUGH, (way,)).fetchall() if row[2] not in names}


def _ever_reached(tx: Transaction, keys: set[bytes]) -> set[bytes]:
    """Whoever may have got something of these at any time, and has a row: from the log alone they had it until now."""
    near = with_looser(tx, reach.connected_people(tx.db, keys)) if keys else ()
    return {row[0] for row in happenings.rows_of(tx.db, "SELECT key FROM standing WHERE key IN ({marks})", near)}


def _beside(tx: Transaction, own: Belongings, key: bytes) -> set[bytes]:
    """Every name of the spellings of a mailbox that stay, and a digest that is another identifier's too."""
    return (mailbox(tx, key) | group(tx, key)) - own.keys()


def _ended(tx: Transaction, own: Belongings) -> list[tuple[bytes, str, str, str]]:
    """What other spellings of a mailbox had said, until one of these said something else."""
    found = set[tuple[bytes, str, str, str]]()
    for key in sorted({other for name in own for other in _beside(tx, own, name)}):
        for purpose, ui, by, at, said in tx.db.execute(ENDED, (key, NONE)).fetchall():
            if by in own and at >= own[by]:
                found.add((key, purpose, End.BOTH if said == ChoiceKind.OPT_IN else End.YES, ui))
    return sorted(found)


def _keep_denies(tx: Transaction, own: Belongings, rows: Iterable[Row], free: set[bytes], seq: int, now: int) -> None:
    """Denies that others got from these or through them go on, from somebody random and from this entry on. What came
    through an account that is no more came through what that had: the row names it, and that one's own yes lifts it.
    What a mailbox said in a spelling that is no more is as if it had been said in another that is there. `free`: forms
    that are nobody's any more.
    """
    through = {account: carriers(tx, account) for account in own}
    still = {key: min(others) for key in own if (others := spellings(tx, key) - own.keys())}
    stranger: dict[bytes, bytes] = defaultdict(lambda: os.urandom(16))
    kept: set[Row] = set()
    for key, purpose, origin, via in rows:
        if key in own or key in free:
            continue
        if via not in own:
            kept.add((key, purpose, still.get(origin) or stranger[origin] if origin in own else origin, via))
        elif via in still:
            kept.add((key, purpose, still[via], still[via]))
        else:  # through one that is no more all are one
            ways = through[via].get(key, set()) - own.keys()
            kept |= {(key, purpose, stranger[via], way) for way in ways or {stranger[via]}}
    _stay(tx, kept, seq, now)


def _stay(tx: Transaction, rows: set[Row], seq: int, now: int) -> None:
    """Denies that are others' own from this entry on, also where standings are made again from the log."""
    for row in sorted(rows):
        unlinked_remains.stay(tx, row, seq)
    tx.db.executemany("INSERT OR REPLACE INTO kept_deny VALUES (?, ?, ?, ?, ?, ?)", [(seq, now, *row) for row in rows])


def _forget_lifted(tx: Transaction, near: set[bytes], seq: int, now: int) -> None:
    """A deny that stayed of somebody who was unlinked before, and that a yes of these lifted, is forgotten with that
    yes: standings made again from the log without it would have the deny. What others lifted is on record and stays.
    What had travelled on from such a deny and is there stays as one from this entry on. `near`: whoever these are
    connected with, forms too.
    """
    lifted = {*happenings.rows_of(tx.db, LIFTED, near)}
    if not lifted:
        return
    tx.db.executemany(LOSE_KEPT, sorted(lifted & _travelled_again(tx, near)))
    left = {*happenings.rows_of(tx.db, TRAVELLED, near)} - _travelled_again(tx, near)
    _stay(tx, left, seq, now)
    recompute(tx, sorted({row[0] for row in left}), now)


def _travelled_again(tx: Transaction, near: set[bytes]) -> set[Row]:
    """The denies that these would have from others, were their standings made again from the log."""
    with contextlib.closing(replay.relived(tx.db, sorted(near), FOR_EVER)) as life:
        return {*happenings.rows_of(life, TRAVELLED, near)}


def _keep_revoked(tx: Transaction, others: Iterable[bytes], seq: int, now: int) -> None:
    """What others had allowed a recipient, and what a no of these ended, stays ended: without it standings made again
    from the log would have it. Whoever never allowed one anything is not looked at.
    """
    near = reach.connected_people(tx.db, others)
    allowed = sorted({row[0] for row in happenings.rows_of(tx.db, ALLOWED, near)})
    if not allowed:
        return
    everybody = reach.connected_people(tx.db, allowed)
    happened = happenings.of(tx.db, everybody, FOR_EVER)
    with contextlib.closing(replay.live_again(tx.db, everybody, happened, settle_last=True)) as life:
        made, live = ({*happenings.rows_of(db, GRANTS, allowed)} for db in (life, tx.db))
    revoked = sorted(made - live)
    tx.db.executemany("INSERT INTO kept_revoked VALUES (?, ?, ?, ?, ?, ?, ?)", [(seq, now, *row) for row in revoked])
    recompute(tx, {row[0] for row in revoked}, now)


def _is_others(tx: Transaction, form: bytes, own: Belongings) -> bool:
    """Whether a form that only others hash is somebody else's too; if not, it has its denies from these alone."""
    owners = {row[0] for row in tx.db.execute("SELECT canonical FROM looser_name WHERE alias = ?", (form,))}
    return bool(owners - own.keys()) or any(tx.db.execute(sql, (form,)).fetchone() for sql in OTHERS)


def _forget_entries(tx: Transaction, own: Mapping[bytes, int]) -> None:
    """The rows that open entries go, and what was answered with them; an entry's receipt is found by its event."""
    for key, since in own.items():
        rows = tx.db.execute("SELECT seq, event, at FROM detail WHERE key = ? AND seq >= ?", (key, since)).fetchall()
        idempotency.forget(tx, [(event, at) for _, event, at in rows])
        tx.db.executemany("INSERT INTO unlinked_event VALUES (?, ?)", [(event, seq) for seq, event, _ in rows])
        for table in ("detail", *OF_ENTRIES):
            tx.db.executemany(f"DELETE FROM {table} WHERE seq = ?", [(seq,) for seq, *_ in rows])  # noqa: S608 - ours


def _have_again(tx: Transaction, own: Belongings) -> None:
    """Of a number that was given back: the links of its earlier holder as they were, where a later one had taken the
    place of its row.
    """
    for key, since in own.items():
        rows = tx.db.execute(LINKED, (key, since)).fetchall() if since else []
        for account, start, until, seq, released, at, claimed in rows:
            if released:
                tx.db.execute(OVER, (until, seq + 1, account, key))
            else:
                tx.size, size = seq, tx.size  # as of its own entry
                links.put(tx, account, key, links.Span(start, until), at or start, claimed=bool(claimed))
                tx.size = size


def _stand(tx: Transaction, own: Belongings, others: Iterable[bytes], now: int) -> None:
    """No row is left of these, unless an earlier holder's choices still stand on it, or those of somebody who only
    looks like them and is found by the same digest: those are made again from the entries. Others' rows are made anew.
    """
    tx.db.executemany("DELETE FROM standing WHERE key = ?", [(key,) for key in own])
    recompute(tx, sorted(others), now)
    earlier = {name for key, since in own.items() if since for name in (*group(tx, key), *looser(tx, key, tx.size))}
    earlier |= {key for key in own if tx.db.execute(LOOKED_LIKE, (key,)).fetchone()}
    if earlier:
        recompute(tx, sorted(earlier), now)
        with contextlib.closing(replay.relived(tx.db, sorted(earlier), FOR_EVER)) as life:  # no clock leaves one out
            live_rows.replace(tx.db, life, sorted(earlier), tx.size)
