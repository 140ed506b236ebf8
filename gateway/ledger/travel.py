"""How a choice travels, inside the entry's own transaction (design decision 2, R5, R12).

Deny travels, allow does not. From an identifier it goes to the identifier's other names (digests), to the accounts
that have it now, and from each of those to whatever else that account has; never on from there, so never from one
account through a device to another. Each travelled row remembers its origin (whose choice) and its via (the
account, or the origin itself for other names), so that a lifted choice takes back what it sent and nothing else.
"""

from collections.abc import Iterable, Sequence

from gateway.choice.standing import IN, OUT, out_bits
from gateway.ledger import grants
from gateway.ledger.reach import Reach, group, holders_of, reach, released, targets_of, whole_of, with_looser
from gateway.ledger.standing_rows import Came, recompute
from gateway.ledger.writer import Transaction
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Purpose

Deny = tuple[bytes, Purpose, int]  # origin, purpose, seq


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
        "INSERT INTO own_choice (key, purpose, state, seq, out_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " state = excluded.state, seq = excluded.seq, out_at = excluded.out_at, in_at = NULL, ui = '', informed = 0,"
        " parental = 0",
        [(key, purpose, OUT, seq, now) for purpose in purposes],
    )
    grants.drop(tx, [key], purposes)
    reached = reach(tx, key, now, account=account)
    reached[key] |= set(looser)
    send(tx, key, purposes, seq, reached, now)


def send(tx: Transaction, key: bytes, purposes: Iterable[Purpose], seq: int, reached: Reach, now: int) -> None:
    """An identifier's own deny, to everybody in `reached`."""
    denies = [(key, purpose, seq) for purpose in purposes]
    came: dict[bytes, Came] = {}
    for via, keys in reached.items():
        carry(tx, keys, denies, via, came)
    recompute(tx, {key}.union(*reached.values()), now, came)


def opt_in(tx: Transaction, key: bytes, purpose: Purpose, seq: int, now: int, *, account: bool) -> None:
    """The identifier's own allow. It lifts what its own choice sent, along the roads that there are now; an
    account's also lifts what came through it to whatever it has now. What came to an identifier over a link that has
    ended is its own by now, and is lifted with it. Other identifiers' own choices stand.
    """
    tx.db.execute(
        "INSERT INTO own_choice (key, purpose, state, seq, in_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " state = excluded.state, seq = excluded.seq, in_at = excluded.in_at, ui = '', informed = 0, parental = 0",
        (key, purpose, IN, seq, now),  # out_at stays: it says until when nobody may ask again
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
            [(target, purpose, key) for target in with_looser(tx, targets_of(tx, key, now))],
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
    names = with_looser(tx, group(tx, key))
    roads = names | holders_of(tx, key, now)
    for name in names:
        rows = tx.db.execute("SELECT via FROM travelled_choice WHERE key = ? AND purpose = ?", (name, purpose))
        ended = {row[0] for row in rows.fetchall()} - roads
        tx.db.executemany(
            "DELETE FROM travelled_choice WHERE key = ? AND purpose = ? AND via = ?",
            [(name, purpose, via) for via in ended],
        )
    return names


def carry(
    tx: Transaction, keys: Iterable[bytes], denies: Iterable[Deny], via: bytes, came: dict[bytes, Came] | None = None
) -> None:
    """Travelled rows for every key and every deny. A deny never travels to its own origin. It ends the grants of
    its purpose, so that lifting it later does not revive them. `came` learns of it.
    """
    keys, denies = list(keys), list(denies)
    tx.db.executemany(
        "INSERT INTO travelled_choice VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        [(key, purpose, origin, via, seq) for key in keys for origin, purpose, seq in denies if key != origin],
    )
    grants.drop(tx, keys, {purpose for _, purpose, _ in denies})
    if came is not None:
        for key in keys:
            _note(came, key, [deny for deny in denies if deny[0] != key])


def _note(came: dict[bytes, Came], key: bytes, denies: Sequence[Deny]) -> None:
    if denies:
        mine = came.setdefault(key, Came())
        mine.bits |= out_bits(purpose for _, purpose, _ in denies)
        mine.seq = max(mine.seq, *(seq for _, _, seq in denies))


def carry_both_ways(tx: Transaction, account: bytes, joining: set[bytes], now: int) -> None:
    """For names that an account has got to know: what they chose goes to the account and all it has, what holds for
    the account goes to them. What had travelled to them from elsewhere stays there: an account never reaches another.
    From what only an app's word ties to it nothing goes up.
    """
    targets = targets_of(tx, account, now)
    said = {key: own_denies(tx, key, after=released(tx, key)) for key in joining & whole_of(tx, account, now)}
    came: dict[bytes, Came] = {}
    for key, denies in said.items():  # not to its own names: those have it by themselves, and it is lifted there
        carry(tx, with_looser(tx, targets - group(tx, key)) if denies else (), denies, account, came)
    rows = tx.db.execute(
        "SELECT origin, purpose, seq FROM travelled_choice WHERE key = ? AND via = ?", (account, account)
    ).fetchall()
    holds = [*own_denies(tx, account), *((o, Purpose(p), seq) for o, p, seq in rows if o not in joining)]
    carry(tx, with_looser(tx, joining), holds, account, came)
    recompute(tx, with_looser(tx, (targets if any(said.values()) else set()) | joining), now, came)


def take_back(tx: Transaction, account: bytes, names: Iterable[bytes]) -> None:
    """What came to names through an account that has nothing to do with them, as it turned out."""
    tx.db.executemany(
        "DELETE FROM travelled_choice WHERE key = ? AND via = ?", [(name, account) for name in with_looser(tx, names)]
    )


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
    for account in holders_of(tx, key, now):
        carry_both_ways(tx, account, joining, now)
    recompute(tx, names, now)


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


def last_out_at(tx: Transaction, key: bytes, after: int = -1) -> dict[Purpose, int]:
    """When each purpose was last opted out by this identifier itself, in Unix milliseconds; of choices from an entry
    on.
    """
    rows = tx.db.execute(
        "SELECT purpose, out_at FROM own_choice WHERE key = ? AND out_at IS NOT NULL AND seq >= ?", (key, after)
    )
    return {Purpose(purpose): at for purpose, at in rows if Purpose(purpose) in CHOOSABLE}
