"""How a choice travels, inside the entry's own transaction (design decision 2, R5, R12).

Deny travels, allow does not. From an identifier it goes to the identifier's other names (digests), to the accounts
that have it now, and from each of those to whatever else that account has; never on from there, so never from one
account through a device to another. Each travelled row remembers its origin (whose choice) and its via (the
account, or the origin itself for other names), so that a lifted choice takes back what it sent and nothing else.
"""

from collections.abc import Iterable

from gateway.choice.standing import IN, OUT, out_bits, with_state
from gateway.ledger.writer import Transaction
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, DataClass, Purpose

FOR_EVER = 2**53  # milliseconds; later than any date that is said
Reach = dict[bytes, set[bytes]]  # via: keys
Deny = tuple[bytes, Purpose, int]  # origin, purpose, seq


def canonicals(tx: Transaction, key: bytes) -> set[bytes]:
    """The identifiers that a key is a name of; itself where it is none's."""
    rows = tx.db.execute("SELECT canonical FROM name WHERE alias = ?", (key,)).fetchall()
    return {key} | {row[0] for row in rows}


def group(tx: Transaction, key: bytes) -> set[bytes]:
    """All names of the identifiers that a key is a name of."""
    keys = canonicals(tx, key)
    for canonical in list(keys):
        keys |= {row[0] for row in tx.db.execute("SELECT alias FROM name WHERE canonical = ?", (canonical,))}
    return keys


def accounts_of(tx: Transaction, key: bytes, now: int) -> set[bytes]:
    """The accounts that have an identifier now, by whichever of its names they were told."""
    found: set[bytes] = set()
    for name in group(tx, key):
        rows = tx.db.execute(
            "SELECT account FROM link WHERE identifier = ? AND start <= ? AND (until IS NULL OR until > ?)",
            (name, now, now),
        )
        found |= {row[0] for row in rows}
    return found


def targets_of(tx: Transaction, account: bytes, now: int) -> set[bytes]:
    """An account and every name of every identifier that it has now."""
    rows = tx.db.execute(
        "SELECT identifier FROM link WHERE account = ? AND start <= ? AND (until IS NULL OR until > ?)",
        (account, now, now),
    ).fetchall()
    found = {account}
    for (identifier,) in rows:
        found |= group(tx, identifier)
    return found


def reach(tx: Transaction, key: bytes, now: int, *, account: bool) -> Reach:
    """Whom a deny on `key` reaches now, by what it goes through. The key itself is not in it."""
    own = group(tx, key)
    found: Reach = {key: own - {key}}
    for via in {key} if account else accounts_of(tx, key, now):
        found.setdefault(via, set()).update(targets_of(tx, via, now) - own)
    return found


def widened(purposes: Iterable[Purpose]) -> list[Purpose]:
    """What an opt-out denies: at a third party sale, sharing and targeted ads are one thing, so a no to one of them is
    a no to all three (R3, R25), until the person says yes to one. The entry keeps what was said.
    """
    said = list(dict.fromkeys(purposes))
    return said if set(said).isdisjoint(SIGNAL_PURPOSES) else list(dict.fromkeys((*said, *SIGNAL_PURPOSES)))


def opt_out(
    tx: Transaction, key: bytes, purposes: Iterable[Purpose], seq: int, now: int, *, account: bool,
    looser: Iterable[bytes] = (),
) -> None:  # fmt: skip
    """The identifier's own deny, and its way to everybody it reaches. `looser` forms get the deny and go no further."""
    purposes = widened(purposes)
    tx.db.executemany(
        "INSERT INTO own_choice VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state,"
        " seq = excluded.seq, out_at = excluded.out_at",
        [(key, purpose, OUT, seq, now) for purpose in purposes],
    )
    drop_grants(tx, [key], purposes)
    reached = reach(tx, key, now, account=account)
    reached[key] |= set(looser)
    for via, keys in reached.items():
        carry(tx, keys, [(key, purpose, seq) for purpose in purposes], via)
    recompute(tx, {key}.union(*reached.values()), now)


def opt_in(tx: Transaction, key: bytes, purpose: Purpose, seq: int, now: int, *, account: bool) -> None:
    """The identifier's own allow. It lifts what its own choice sent, along the roads that there are now; an
    account's also lifts what came through it to whatever it has now. What came to an identifier over a link that has
    ended is its own by now, and is lifted with it. Other identifiers' own choices stand.
    """
    tx.db.execute(
        "INSERT INTO own_choice VALUES (?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET state = excluded.state,"
        " seq = excluded.seq",  # out_at stays: it says until when nobody may ask again
        (key, purpose, IN, seq),
    )
    affected = {key} if account else {key, *_lift_from_names(tx, key, purpose)}
    for via, keys in reach(tx, key, now, account=account).items():
        affected |= keys
        tx.db.executemany(
            "DELETE FROM travelled_choice WHERE key = ? AND purpose = ? AND origin = ? AND via = ?",
            [(each, purpose, key, via) for each in keys],
        )
    if account:
        tx.db.executemany(
            "DELETE FROM travelled_choice WHERE key = ? AND purpose = ? AND via = ?",
            [(target, purpose, key) for target in targets_of(tx, key, now)],
        )
    else:
        affected |= _lift_what_ended(tx, key, purpose, now)
    recompute(tx, affected, now)


def _lift_from_names(tx: Transaction, key: bytes, purpose: Purpose) -> set[bytes]:
    """Takes back what an identifier sent to its own names, looser ones too."""
    sent = (key, key, purpose)
    rows = tx.db.execute("SELECT key FROM travelled_choice WHERE origin = ? AND via = ? AND purpose = ?", sent)
    names = {row[0] for row in rows.fetchall()}
    tx.db.execute("DELETE FROM travelled_choice WHERE origin = ? AND via = ? AND purpose = ?", sent)
    return names


def _lift_what_ended(tx: Transaction, key: bytes, purpose: Purpose, now: int) -> set[bytes]:
    """Removes what came to an identifier through accounts that no longer have it."""
    names = group(tx, key)
    roads = names | accounts_of(tx, key, now)
    for name in names:
        rows = tx.db.execute("SELECT via FROM travelled_choice WHERE key = ? AND purpose = ?", (name, purpose))
        ended = {row[0] for row in rows.fetchall()} - roads
        tx.db.executemany(
            "DELETE FROM travelled_choice WHERE key = ? AND purpose = ? AND via = ?",
            [(name, purpose, via) for via in ended],
        )
    return names


def carry(tx: Transaction, keys: Iterable[bytes], denies: Iterable[Deny], via: bytes) -> None:
    """Travelled rows for every key and every deny. A deny never travels to its own origin. It ends the grants of
    its purpose, so that lifting it later does not revive them.
    """
    keys, denies = list(keys), list(denies)
    tx.db.executemany(
        "INSERT INTO travelled_choice VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        [(key, purpose, origin, via, seq) for key in keys for origin, purpose, seq in denies if key != origin],
    )
    drop_grants(tx, keys, {purpose for _, purpose, _ in denies})


def carry_both_ways(tx: Transaction, account: bytes, joining: set[bytes], now: int) -> None:
    """For names that an account has got to know: what they chose goes to the account and all it has, what holds for
    the account goes to them. What had travelled to them from elsewhere stays there: an account never reaches another.
    """
    targets = targets_of(tx, account, now)
    said = {key: own_denies(tx, key, after=_released(tx, key)) for key in joining}
    for key, denies in said.items():  # not to its own names: those have it by themselves, and it is lifted there
        carry(tx, targets - group(tx, key) if denies else (), denies, account)
    rows = tx.db.execute(
        "SELECT origin, purpose, seq FROM travelled_choice WHERE key = ? AND via = ?", (account, account)
    ).fetchall()
    holds = [*own_denies(tx, account), *((o, Purpose(p), seq) for o, p, seq in rows if o not in joining)]
    carry(tx, joining, holds, account)
    recompute(tx, (targets if any(said.values()) else set()) | joining, now)


def join_names(tx: Transaction, joining: set[bytes], key: bytes, now: int) -> None:
    """Names that turned out to be names of one identifier with `key`: each one's denies hold for all of them."""
    names = group(tx, key)
    for origin in names:
        carry(tx, names - {origin} if origin in joining else joining - {origin}, own_denies(tx, origin), origin)
    for name in names:
        rows = tx.db.execute("SELECT origin, purpose, seq, via FROM travelled_choice WHERE key = ?", (name,))
        for origin, purpose, seq, via in rows.fetchall():
            if via not in names:
                carry(tx, names - {name}, [(origin, Purpose(purpose), seq)], via)
        tx.db.executemany(
            "INSERT OR IGNORE INTO device_state SELECT ?, source, purpose, seq FROM device_state WHERE key = ?",
            [(other, name) for other in names - {name}],
        )
    for account in accounts_of(tx, key, now):
        carry_both_ways(tx, account, joining, now)
    recompute(tx, names, now)


def _released(tx: Transaction, key: bytes) -> int:
    """The entry from which on a name's choices are its present holder's (R5)."""
    row = tx.db.execute("SELECT seq FROM release WHERE identifier = ?", (key,)).fetchone()
    return row[0] if row else -1


def drop_grants(tx: Transaction, keys: Iterable[bytes], purposes: Iterable[Purpose]) -> None:
    """An opt-out ends what was granted to recipients for its purpose; a limit ends every precise-point grant."""
    purposes = list(purposes)
    for key in keys:
        if not tx.db.execute("SELECT 1 FROM grant_choice WHERE key = ? LIMIT 1", (key,)).fetchone():
            continue
        tx.db.executemany(
            "DELETE FROM grant_choice WHERE key = ? AND purpose = ?", [(key, purpose) for purpose in purposes]
        )
        if Purpose.SENSITIVE in purposes:
            tx.db.execute("DELETE FROM grant_choice WHERE key = ? AND data_class = ?", (key, DataClass.PRECISE_GEO))


def recompute(tx: Transaction, keys: Iterable[bytes], now: int) -> None:
    """The standing rows from what they come from."""
    linked: dict[frozenset[bytes], int] = {}  # keys that go by the same names share their links
    for key in keys:
        names = frozenset(group(tx, key))
        if names not in linked:
            linked[names] = _linked_until(tx, key, names, now)
        _recompute(tx, key, linked[names])


def _recompute(tx: Transaction, key: bytes, linked_until: int) -> None:
    own, seqs = 0, [-1]
    for purpose, state, seq in tx.db.execute("SELECT purpose, state, seq FROM own_choice WHERE key = ?", (key,)):
        own = with_state(own, Purpose(purpose), state)
        seqs.append(seq)
    rows = tx.db.execute(
        "SELECT purpose, max(seq) FROM (SELECT purpose, seq FROM travelled_choice WHERE key = ?1 UNION ALL"
        " SELECT purpose, seq FROM device_state WHERE key = ?1) GROUP BY purpose",
        (key,),
    ).fetchall()
    away = out_bits(Purpose(purpose) for purpose, _ in rows)
    latest = max(*seqs, *(seq for _, seq in rows), -1)
    tx.db.execute(
        "INSERT INTO standing (key, own, travelled, seq, linked, changed, granted, held)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, EXISTS (SELECT 1 FROM grant_choice WHERE key = ?1),"
        " (SELECT coalesce(group_concat(DISTINCT source), '') FROM device_state WHERE key = ?1))"
        " ON CONFLICT (key) DO UPDATE SET own = excluded.own, travelled = excluded.travelled, seq = excluded.seq,"
        " linked = excluded.linked, changed = excluded.changed, granted = excluded.granted,"
        " held = excluded.held",
        (key, own, away, latest if latest >= 0 else None, linked_until, tx.size),
    )


def _linked_until(tx: Transaction, key: bytes, names: Iterable[bytes], now: int) -> int:
    """Until when some account is known for a key, in Unix milliseconds: 0 where none is. An account is known."""
    if tx.db.execute("SELECT 1 FROM link WHERE account = ? LIMIT 1", (key,)).fetchone():
        return FOR_EVER
    latest = 0
    for name in names:
        row = tx.db.execute(
            "SELECT max(coalesce(until, ?)) FROM link WHERE identifier = ? AND start <= ?", (FOR_EVER, name, now)
        ).fetchone()
        latest = max(latest, row[0] or 0)
    return latest if latest > now else 0


def own_denies(tx: Transaction, key: bytes, after: int = -1) -> list[Deny]:
    """The key's own opt-outs from an entry on."""
    rows = tx.db.execute(
        "SELECT purpose, seq FROM own_choice WHERE key = ? AND state = ? AND seq >= ?", (key, OUT, after)
    )
    return [(key, Purpose(purpose), seq) for purpose, seq in rows]


def already_out(tx: Transaction, key: bytes, purposes: Iterable[Purpose]) -> bool:
    """Whether the identifier's own choices say no to all of these already."""
    rows = tx.db.execute("SELECT purpose FROM own_choice WHERE key = ? AND state = ?", (key, OUT))
    return set(purposes) <= {Purpose(row[0]) for row in rows}


def last_out_at(tx: Transaction, key: bytes) -> dict[Purpose, int]:
    """When each purpose was last opted out by this identifier itself, in Unix milliseconds."""
    rows = tx.db.execute("SELECT purpose, out_at FROM own_choice WHERE key = ? AND out_at IS NOT NULL", (key,))
    return {Purpose(purpose): at for purpose, at in rows if Purpose(purpose) in CHOOSABLE}
