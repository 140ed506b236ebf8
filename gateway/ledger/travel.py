"""How a choice travels, inside the entry's own transaction (design decision 2, R5, R12).

Deny travels, allow does not. From an identifier it goes to the identifier's other names (digests), to the accounts
that have it now, and from each of those to whatever else that account has; never on from there, so never from one
account through a device to another. Each travelled row remembers its origin (whose choice) and its via (the
account, or the origin itself for other names), so that a lifted choice takes back what it sent and nothing else.
"""

from collections.abc import Iterable

from gateway.choice.standing import IN, OUT, out_bits, with_state
from gateway.ledger.writer import Transaction
from gateway.terms import CHOOSABLE, DataClass, Purpose

Reach = dict[bytes, set[bytes]]  # via: keys


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
    """The accounts that have an identifier now, or had it linked as an account itself."""
    found: set[bytes] = set()
    for canonical in canonicals(tx, key):
        rows = tx.db.execute(
            "SELECT account FROM link WHERE identifier = ? AND start <= ? AND (until IS NULL OR until > ?)",
            (canonical, now, now),
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
    """Whom a deny on `key` reaches, by what it goes through. The key itself is not in it."""
    own = group(tx, key)
    found: Reach = {key: own - {key}}
    for via in {key} if account else accounts_of(tx, key, now):
        found.setdefault(via, set()).update(targets_of(tx, via, now) - own)
    return found


def opt_out(tx: Transaction, key: bytes, purposes: Iterable[Purpose], seq: int, now: int, *, account: bool) -> None:
    """The identifier's own deny, and its way to everybody it reaches."""
    purposes = list(purposes)
    tx.db.executemany(
        "INSERT INTO own_choice VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state,"
        " seq = excluded.seq, out_at = excluded.out_at",
        [(key, purpose, OUT, seq, now) for purpose in purposes],
    )
    reached = reach(tx, key, now, account=account)
    for via, keys in reached.items():
        carry(tx, keys, [(key, purpose, seq) for purpose in purposes], via)
    for each in {key}.union(*reached.values()):
        _drop_grants(tx, each, purposes)
        recompute(tx, each)


def opt_in(tx: Transaction, key: bytes, purpose: Purpose, seq: int, now: int, *, account: bool) -> None:
    """The identifier's own allow. It lifts what travelled from its own choice; an account's also lifts what came
    through it to whatever it still has. Other identifiers' own choices stand.
    """
    tx.db.execute(
        "INSERT INTO own_choice VALUES (?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET state = excluded.state,"
        " seq = excluded.seq",  # out_at stays: it says until when nobody may ask again
        (key, purpose, IN, seq),
    )
    lifted = tx.db.execute(
        "DELETE FROM travelled_choice WHERE origin = ? AND purpose = ? RETURNING key", (key, purpose)
    ).fetchall()
    affected = {row[0] for row in lifted} | {key}
    if account:
        for target in targets_of(tx, key, now):
            tx.db.execute(
                "DELETE FROM travelled_choice WHERE key = ? AND via = ? AND purpose = ?",
                (target, key, purpose),
            )
            affected.add(target)
    for each in affected:
        recompute(tx, each)


def carry(
    tx: Transaction, keys: Iterable[bytes], denies: Iterable[tuple[bytes, Purpose | str, int]], via: bytes
) -> None:
    """Travelled rows for every key and every (origin, purpose, seq). A deny never travels to its own origin."""
    rows = [(key, purpose, origin, via, seq) for key in keys for origin, purpose, seq in denies if key != origin]
    tx.db.executemany(
        "INSERT INTO travelled_choice VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        rows,
    )


def _drop_grants(tx: Transaction, key: bytes, purposes: Iterable[Purpose]) -> None:
    """An opt-out ends what was granted to recipients for its purpose: a later opt-in must not revive it."""
    for purpose in purposes:
        tx.db.execute("DELETE FROM grant_choice WHERE key = ? AND purpose = ?", (key, purpose))
        if purpose is Purpose.SENSITIVE:
            tx.db.execute("DELETE FROM grant_choice WHERE key = ? AND data_class = ?", (key, DataClass.PRECISE_GEO))


def recompute(tx: Transaction, key: bytes) -> None:
    """The standing row from what it comes from."""
    own = away = 0
    latest = None
    for purpose, state, seq in tx.db.execute("SELECT purpose, state, seq FROM own_choice WHERE key = ?", (key,)):
        own = with_state(own, Purpose(purpose), state)
        latest = max(seq, latest or 0)
    rows = tx.db.execute(
        "SELECT purpose, max(seq) FROM travelled_choice WHERE key = ? GROUP BY purpose", (key,)
    ).fetchall()
    if rows:
        away = out_bits(Purpose(purpose) for purpose, _ in rows)
        latest = max(latest or 0, *(seq for _, seq in rows))
    tx.db.execute(
        "INSERT INTO standing (key, own, travelled, seq, linked, granted) VALUES (?1, ?2, ?3, ?4,"
        " EXISTS (SELECT 1 FROM link WHERE identifier = ?1 AND until IS NULL)"
        " OR EXISTS (SELECT 1 FROM link WHERE account = ?1)"
        " OR EXISTS (SELECT 1 FROM name JOIN link ON link.identifier = name.canonical"
        "            WHERE name.alias = ?1 AND link.until IS NULL),"
        " EXISTS (SELECT 1 FROM grant_choice WHERE key = ?1))"
        " ON CONFLICT (key) DO UPDATE SET own = excluded.own, travelled = excluded.travelled, seq = excluded.seq,"
        " linked = excluded.linked, granted = excluded.granted",
        (key, own, away, latest),
    )


def own_denies(tx: Transaction, key: bytes, after: int = -1) -> list[tuple[bytes, Purpose, int]]:
    """(origin, purpose, seq) of the key's own opt-outs that are later than an entry."""
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
