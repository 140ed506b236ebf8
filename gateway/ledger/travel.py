"""How a choice travels, inside the entry's own transaction (R5, R12).

Deny travels, allow does not. From an identifier it goes to the identifier's other names (digests), to the accounts that
have it now, and from each of those to whatever else that account has; never on from there, so never from one account
through a device to another. Each travelled row remembers its origin (whose choice) and its via (the account, or the
origin itself for other names), so that a lifted choice takes back what it sent and nothing else.

A yes touches the exact names of its identifier alone. A looser form may be somebody else's: what came to it is lifted
only as far as it came through the one who lifts. At gmail.com and googlemail.com several spellings are one mailbox: a
no in one is a no in all, and a yes in one, which is shown by a code to that mailbox, takes back what was said in any.
"""

from collections.abc import Iterable, Sequence

from gateway.choice.standing import IN, NONE, OUT, out_bits
from gateway.ledger import grants
from gateway.ledger.reach import (
    Reach,
    accounts_of,
    canonicals,
    carriers,
    group,
    had,
    holders_of,
    left,
    mailbox,
    own_names,
    reach,
    released,
    spellings,
    targets_of,
    told_of,
    whole_of,
    with_looser,
    with_mailbox,
)
from gateway.ledger.standing_rows import Came, recompute
from gateway.ledger.writer import Transaction
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Purpose

NO_DAY = 0  # `out_at` of a no that nobody is known to have said of themselves (`Source.READING`)
BESIDE = (  # but claims that ended; what a release ended keeps what had come
    "SELECT identifier FROM link l WHERE account = ? AND identifier <> ? AND NOT (claimed AND ended IS NOT NULL AND"
    " NOT EXISTS (SELECT 1 FROM release r WHERE r.identifier = l.identifier AND r.seq >= l.ended))"
)
Deny = tuple[bytes, Purpose, int]  # origin, purpose, seq
LIFT = "DELETE FROM travelled_choice WHERE key = ? AND purpose = ? AND via = ?"
SENT_BY_NAME = "SELECT key FROM travelled_choice WHERE origin = ? AND via = ? AND purpose = ?"


def widened(purposes: Iterable[Purpose]) -> list[Purpose]:
    """What an opt-out denies: at a third party sale, sharing and targeted ads are one thing, so a no to one of them is
    a no to all three (R3, R25), until the person says yes to one. The entry keeps what was said.
    """
    said = list(dict.fromkeys(purposes))
    return said if set(said).isdisjoint(SIGNAL_PURPOSES) else list(dict.fromkeys((*said, *SIGNAL_PURPOSES)))


def opt_out(
    tx: Transaction,
    key: bytes,
    purposes: Iterable[Purpose],
    seq: int,
    now: int,
    *,
    account: bool,
    looser: Iterable[bytes] = (),
    dated: bool = True,
) -> None:
    """The identifier's own deny, and its way to everybody it reaches. `looser` forms get the deny and go no further.
    `dated`: the person said it themselves, and is not asked again for a year.
    """
    purposes = widened(purposes)
    tx.db.executemany(
        "INSERT INTO own_choice (key, purpose, state, seq, out_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " state = excluded.state, seq = excluded.seq, out_at = CASE excluded.out_at WHEN 0 THEN coalesce(out_at, 0)"
        " ELSE excluded.out_at END, in_at = NULL, ui = '', informed = 0, parental = 0",
        [(key, purpose, OUT, seq, now if dated else NO_DAY) for purpose in purposes],
    )
    grants.drop(tx, [key], purposes)
    if not account:
        _end_yes(tx, spellings(tx, key), purposes, seq)
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


def opt_in(tx: Transaction, key: bytes, purpose: Purpose, seq: int, now: int, *, account: bool, ui: str = "") -> None:
    """The identifier's own allow. It lifts what its own choice sent, along the roads that there are now; an
    account's also lifts what came through it to whatever it has now. What came to an identifier over a link that has
    ended is its own by now, and is lifted with it. Other identifiers' own choices stand, but for other spellings of the
    same mailbox: their no is taken back, and their yes is over (`ui`: should this one's screen be voided).
    """
    tx.db.execute(
        "INSERT INTO own_choice (key, purpose, state, seq, in_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " state = excluded.state, seq = excluded.seq, in_at = excluded.in_at, ui = '', informed = 0, parental = 0",
        (key, purpose, IN, seq, now),  # out_at stays: it says until when nobody may ask again
    )
    affected = {key} | _take_back(tx, key, purpose, now, account=account)
    if account:
        affected |= _lift_through(tx, key, purpose, now)
    else:
        for other in sorted(spellings(tx, key)):
            _unsay(tx, other, purpose, seq, now, ui)
            affected |= {other} | _take_back(tx, other, purpose, now, account=False)
        affected |= _lift_what_ended(tx, key, purpose, now)
    recompute(tx, affected, now)


def _take_back(tx: Transaction, key: bytes, purpose: Purpose, now: int, *, account: bool) -> set[bytes]:
    """What an identifier's own no sent: to its names and the spellings of its mailbox, and through each account that
    has one of them now.
    """
    rows = [] if account else tx.db.execute(SENT_BY_NAME, (key, key, purpose)).fetchall()
    lost = {(row[0], key) for row in rows}
    roads = {key} if account else accounts_of(tx, key, now, lifts=True)
    for other in () if account else spellings(tx, key):
        roads |= accounts_of(tx, other, now, lifts=True)
    for via in roads:
        reached = with_looser(tx, targets_of(tx, via, now, lifts=True))
        lost |= {(each, via) for each in reached - _kept_from(tx, via, purpose, now)}
    tx.db.executemany(f"{LIFT} AND origin = ?", [(each, purpose, via, key) for each, via in lost])
    return {each for each, _ in lost}


def _lift_through(tx: Transaction, account: bytes, purpose: Purpose, now: int) -> set[bytes]:
    """What came through an account, from whomever, to all that it has now."""
    lifted = with_looser(tx, targets_of(tx, account, now, lifts=True)) - _kept_from(tx, account, purpose, now)
    tx.db.executemany(LIFT, [(key, purpose, account) for key in lifted])
    return lifted


def _kept_from(tx: Transaction, account: bytes, purpose: Purpose, now: int) -> set[bytes]:
    """What an account had and the looser forms of it, but for what it has: they keep what came to them, until the one
    that it had says yes itself.
    """
    gone = left(tx, account, purpose, now)
    gone -= targets_of(tx, account, now, lifts=True) if gone else set()
    return with_looser(tx, {name for key in gone for name in group(tx, key)})


def _lift_what_ended(tx: Transaction, key: bytes, purpose: Purpose, now: int) -> set[bytes]:
    """Removes what came to an identifier through accounts that no longer have it, and to its looser forms as far as it
    came through it: not what came there through another one that the account has or had.
    """
    names = own_names(tx, key)
    forms = with_looser(tx, names)
    for account in had(tx, key, now) - holders_of(tx, key, now, lifts=True):
        through, gone, has = carriers(tx, account), left(tx, account, purpose, now), targets_of(tx, account, now)
        for form in forms & through.keys():
            others = through[form] - names
            if others.isdisjoint(gone):
                tx.db.execute(LIFT, (form, purpose, account))
                if not others.isdisjoint(has):  # it has another one now that the form may stand for
                    carry(tx, [form], [deny for deny in passed_on(tx, account) if deny[1] is purpose], account)
    for form in forms:  # of an erased account the row names what it came through (ledger/erasure_by_unlink.py)
        rows = tx.db.execute("SELECT origin, via FROM travelled_choice WHERE key = ? AND purpose = ?", (form, purpose))
        erased = [row for row in rows.fetchall() if row[1] in names and row[0] not in names]
        tx.db.executemany(f"{LIFT} AND origin = ?", [(form, purpose, via, origin) for origin, via in erased])
    return forms


def _unsay(tx: Transaction, key: bytes, purpose: Purpose, seq: int, now: int, ui: str) -> None:
    """Another spelling of a mailbox says nothing any more."""
    _end_yes(tx, [key], [purpose], seq)  # it keeps its screen: were that voided, what it lifted would come back
    tx.db.execute(
        "UPDATE own_choice SET state = ?, seq = ?, in_at = ?, ui = ? WHERE key = ? AND purpose = ? AND state = ?",
        (NONE, seq, now, ui, key, purpose, OUT),
    )


def _end_yes(tx: Transaction, keys: Iterable[bytes], purposes: Iterable[Purpose], seq: int) -> None:
    """A no of a mailbox ends the yes that was said by another spelling of it."""
    tx.db.executemany(
        "UPDATE own_choice SET state = ?1, seq = ?2 WHERE key = ?3 AND purpose = ?4 AND state = ?5 AND seq < ?2",
        [(NONE, seq, key, purpose, IN) for key in keys for purpose in purposes],
    )


def carry(
    tx: Transaction, keys: Iterable[bytes], denies: Iterable[Deny], via: bytes, came: dict[bytes, Came] | None = None
) -> None:
    """Travelled rows for every key and every deny. A deny never travels to its own origin. It ends the grants of
    its purpose, so that lifting it later does not revive them. `came` learns of it.
    """
    keys, denies = list(keys), list(denies)
    if not denies:
        return
    tx.db.executemany(
        "INSERT INTO travelled_choice VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        [(key, purpose, origin, via, seq) for key in keys for origin, purpose, seq in denies if key != origin],
    )
    for key in keys:
        grants.drop(tx, [key], {purpose for origin, purpose, _ in denies if origin != key})
    if came is not None:
        for key in keys:
            _note(came, key, [deny for deny in denies if deny[0] != key])


def _note(came: dict[bytes, Came], key: bytes, denies: Sequence[Deny]) -> None:
    if denies:
        mine = came.setdefault(key, Came())
        mine.bits |= out_bits(purpose for _, purpose, _ in denies)
        mine.seq = max(mine.seq, *(seq for _, _, seq in denies))


def carry_both_ways(tx: Transaction, account: bytes, joining: set[bytes], now: int) -> None:
    """For names that an account has got to know: what they chose goes to the account and all it has, and so does what
    other spellings of the same mailbox chose; what holds for the account goes to the names. What had travelled to them
    from elsewhere stays there: an account never reaches another. From what only an app's word ties to it nothing goes
    up.
    """
    targets = targets_of(tx, account, now)
    up = joining & whole_of(tx, account, now)
    up |= {name for key in up for name in mailbox(tx, key)}
    said = {key: own_denies(tx, key, after=released(tx, key)) for key in up}
    came: dict[bytes, Came] = {}
    for key, denies in said.items():  # not to its own names: those have it by themselves, and it is lifted there
        own = with_mailbox(tx, key)
        carry(tx, with_looser(tx, targets - own) if denies else (), denies, account, came)
    holds = passed_on(tx, account)
    for key in joining:  # of what joins together each gets what the account has from the others, by an earlier link too
        own = with_mailbox(tx, key)
        carry(tx, with_looser(tx, {key}), [deny for deny in holds if deny[0] not in own], account, came)
    recompute(tx, with_looser(tx, (targets if any(said.values()) else set()) | joining), now, came)


def passed_on(tx: Transaction, account: bytes) -> list[Deny]:
    """What an account passes on to what it has: its own no, and what came to it from what it has or had."""
    rows = tx.db.execute(
        "SELECT origin, purpose, seq FROM travelled_choice WHERE key = ? AND via = ?", (account, account)
    ).fetchall()
    return [*own_denies(tx, account), *((origin, Purpose(purpose), seq) for origin, purpose, seq in rows)]


def take_back(tx: Transaction, account: bytes, key: bytes) -> None:
    """What came to an identifier through an account that has nothing to do with it, as it turned out."""
    rows = [(form, account) for form in _only_through(tx, account, key)]
    tx.db.executemany("DELETE FROM travelled_choice WHERE key = ? AND via = ?", rows)


def make_own(tx: Transaction, account: bytes, key: bytes) -> None:
    """What an identifier keeps from an account that had it is its own, as if that account were no more: where an app
    ties the two again, neither the account's yes nor the end of that tie takes it away.
    """
    forms = with_looser(tx, own_names(tx, key))
    tx.db.executemany(
        "INSERT INTO travelled_choice SELECT key, purpose, origin, ?1, seq FROM travelled_choice"
        " WHERE key = ?2 AND via = ?3 AND origin <> ?1 ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        [(key, form, account) for form in sorted(forms)],
    )
    take_back(tx, account, key)


def _only_through(tx: Transaction, account: bytes, key: bytes) -> list[bytes]:
    """An identifier's forms that nothing else goes by which the account has or had; a claim that ended is as if it had
    not been.
    """
    others = {
        form
        for (identifier,) in tx.db.execute(BESIDE, (account, key)).fetchall()
        for form in with_looser(tx, group(tx, identifier))
    }
    return sorted(with_looser(tx, own_names(tx, key)) - others)


def join_names(tx: Transaction, joining: set[bytes], key: bytes, now: int) -> None:
    """Names that turned out to be names of one identifier with `key`: each one's denies hold for all of them. What a
    digest has from another identifier that it is a name of too (one uuid is an ad id of two kinds) is not passed on.
    """
    names = group(tx, key)
    for origin in names:
        carry(tx, names - {origin} if origin in joining else joining - {origin}, own_denies(tx, origin), origin)
    for name in names:  # of most names nobody has said anything
        came = tx.db.execute("SELECT origin, purpose, seq, via FROM travelled_choice WHERE key = ?", (name,)).fetchall()
        elsewhere = _from_others(tx, name, names) if came else set()
        for origin, purpose, seq, via in came:
            if via not in names and via not in elsewhere:
                carry(tx, with_looser(tx, names) - {name}, [(origin, Purpose(purpose), seq)], via)
        states = tx.db.execute("SELECT source, purpose, seq FROM device_state WHERE key = ?", (name,)).fetchall()
        tx.db.executemany(
            "INSERT OR IGNORE INTO device_state VALUES (?, ?, ?, ?)",
            [(other, *state) for state in states for other in names - {name}],
        )
    for account in holders_of(tx, key, now):
        carry_both_ways(tx, account, _met_by(tx, account, key, joining, now), now)
    recompute(tx, with_looser(tx, names), now)


def _met_by(tx: Transaction, account: bytes, key: bytes, joining: set[bytes], now: int) -> set[bytes]:
    """The names of an identifier that an account did not have until now."""
    names, told = group(tx, key), told_of(tx, account, now)
    if told & (names - joining):
        return joining
    had = told & joining
    others = {other for name in had for other in canonicals(tx, name) - {key, name}}
    return names - had - {name for other in others for name in group(tx, other)}


def _from_others(tx: Transaction, name: bytes, names: set[bytes]) -> set[bytes]:
    """Other identifiers that a name is of, and the accounts that have or had one of those and not the name itself."""
    others = {each for other in canonicals(tx, name) - names for each in group(tx, other)} - names
    through = {account for other in others for account in _any_time(tx, other)}
    return others | (through - _any_time(tx, name))


def _any_time(tx: Transaction, key: bytes) -> set[bytes]:
    return {row[0] for row in tx.db.execute("SELECT account FROM link WHERE identifier = ?", (key,))}


def join_mailbox(tx: Transaction, key: bytes, now: int) -> None:
    """A spelling that was met for the first time: what others said of the mailbox holds for it and for whoever has it;
    what was said by one of its digests holds for the others.
    """
    fresh, others = group(tx, key), mailbox(tx, key)
    mine, theirs = accounts_of(tx, key, now), set[bytes]()
    for other in spellings(tx, key):
        theirs |= accounts_of(tx, other, now)
    affected = set[bytes]()
    for names, beside, roads in ((fresh, others, theirs - mine), (others, fresh, mine - theirs)):
        for name in sorted(names):
            denies, since = own_denies(tx, name), released(tx, name)
            for _, purpose, seq in denies:
                _end_yes(tx, beside, [purpose], seq)
            ways = {name: with_looser(tx, beside)}
            ways |= {via: with_looser(tx, targets_of(tx, via, now) - fresh - others) for via in roads}
            for via, keys in ways.items() if denies else ():
                carry(tx, keys, [deny for deny in denies if via == name or deny[2] >= since], via)
                affected |= keys
    recompute(tx, affected | fresh, now)


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
        "SELECT purpose, out_at FROM own_choice WHERE key = ? AND out_at > ? AND seq >= ?", (key, NO_DAY, after)
    )
    return {Purpose(purpose): at for purpose, at in rows if Purpose(purpose) in CHOOSABLE}
