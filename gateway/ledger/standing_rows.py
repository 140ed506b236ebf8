"""The standing rows, made from what they come from: own choices, what travelled, states, ages, what was told, grants.

Owns how one row is put together. Never decides who chose what.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.choice.law import AGES
from gateway.choice.standing import IN, out_bits, with_state
from gateway.ledger.reach import SKEW, group
from gateway.ledger.writer import Transaction
from gateway.terms import NoticeKind, Purpose

FOR_EVER = 2**53  # milliseconds; later than any date that is said

WRITE = f"""
INSERT INTO standing
  (key, own, travelled, seq, linked, changed, age_band, grown, informed, parental, granted, held, told, cpni_told)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
  EXISTS (SELECT 1 FROM grant_choice WHERE key = ?1),
  (SELECT coalesce(group_concat(DISTINCT substr(source, 1, instr(source || '@', '@') - 1)), '')
    FROM device_state WHERE key = ?1),
  (SELECT day FROM told WHERE key = ?1 AND notice = '{NoticeKind.PRIVACY}'),
  (SELECT day FROM told WHERE key = ?1 AND notice = '{NoticeKind.CPNI}'))
ON CONFLICT (key) DO UPDATE SET own = excluded.own, travelled = excluded.travelled, seq = excluded.seq,
  linked = excluded.linked, changed = excluded.changed, age_band = excluded.age_band, grown = excluded.grown,
  informed = excluded.informed, parental = excluded.parental, granted = excluded.granted, held = excluded.held,
  told = excluded.told, cpni_told = excluded.cpni_told
"""  # noqa: S608 - the two words are ours


@dataclass(frozen=True, slots=True)
class SharedRows:
    """What keys that go by the same names have in common. `linked`: until when some account is known for them, in
    Unix milliseconds; 0 where none is.
    """

    linked: int
    age: str | None
    grown: bool


@dataclass(slots=True)
class Came:
    """What travelled to a key since its row was made: the bits, and the last entry of it."""

    bits: int = 0
    seq: int = -1


NOTHING: Mapping[bytes, Came] = MappingProxyType({})


def recompute(tx: Transaction, keys: Iterable[bytes], now: int, came: Mapping[bytes, Came] = NOTHING) -> None:
    """Recomputes the standing rows of `keys`. In a replay they are only noted, and computed once in `settle`. `came`:
    the new denials of keys where nothing else happened, so that a row is updated without reading every choice that
    travelled to it (an account with 1,000 browsers has three million).
    """
    if tx.unsettled is not None:
        tx.unsettled.update((key, (tx.size, now)) for key in keys)
        return
    shared: dict[frozenset[bytes], SharedRows] = {}
    for key in keys:
        names = frozenset(group(tx, key))
        if names not in shared:
            shared[names] = _shared(tx, key, names, now)
        _recompute(tx, key, shared[names], came.get(key))


def settle(tx: Transaction) -> None:
    """The standing rows that were left, each as of the size and the time of its own last change."""
    left, tx.unsettled = tx.unsettled or {}, None
    size = tx.size
    for key, (tx.size, now) in left.items():
        recompute(tx, [key], now)
    tx.size = size


def _shared(tx: Transaction, key: bytes, names: frozenset[bytes], now: int) -> SharedRows:
    if tx.db.execute("SELECT 1 FROM link WHERE account = ? LIMIT 1", (key,)).fetchone():
        return SharedRows(FOR_EVER, *_age(tx, [key], []))  # an account is known, and as old as it says itself
    latest, accounts, known = 0, [], False
    for name in names:
        for account, until, claimed, begun, over in tx.db.execute(
            "SELECT account, coalesce(until, ?), claimed, start <= ?, ended IS NOT NULL FROM link WHERE identifier = ?",
            (FOR_EVER, now, name),
        ):
            known = known or (begun and not claimed)  # an app's word does not make it known
            if over:
                continue
            latest = latest if claimed else max(latest, until)
            if until > now - SKEW:
                accounts.append(account)
    return SharedRows(latest if latest > now else 0, *_age(tx, names, accounts, words=not known))


def _age(
    tx: Transaction, names: Iterable[bytes], accounts: Iterable[bytes], *, words: bool = False
) -> tuple[str | None, bool]:
    """The youngest band on record for an identifier and the accounts that have it: a family's tablet is as young as its
    youngest account. And whether any of them was younger once (R14). `words`: what installations say counts too, for no
    account is known to have or have had it.
    """
    keys = [*names, *accounts]
    marks = ",".join("?" * len(keys))
    rows = tx.db.execute(f"SELECT band, youngest FROM age WHERE key IN ({marks})", keys).fetchall()  # noqa: S608
    band = min((band for band, _ in rows), key=AGES.index, default=None)
    found = tx.db.execute(f"SELECT band FROM age_word WHERE key IN ({marks})", keys) if words else ()  # noqa: S608
    said = min((word for (word,) in found), key=AGES.index, default=None)
    grown = any(AGES.index(youngest) < AGES.index(band) for band, youngest in rows)
    return (said if said and (band is None or AGES.index(said) < AGES.index(band)) else band), grown


def _recompute(tx: Transaction, key: bytes, shared: SharedRows, came: Came | None) -> None:
    own = informed = parental = 0
    latest = -1
    for purpose, state, seq, knew, parent in tx.db.execute(
        "SELECT purpose, state, seq, informed, parental FROM own_choice WHERE key = ?", (key,)
    ):
        own = with_state(own, Purpose(purpose), state)
        informed = with_state(informed, Purpose(purpose), IN) if knew and state == IN else informed
        parental = with_state(parental, Purpose(purpose), IN) if parent and state == IN else parental
        latest = max(latest, seq)
    away, last = _away(tx, key, came)
    latest = max(latest, last)
    values = (key, own, away, latest if latest >= 0 else None, shared.linked, tx.size, shared.age, shared.grown)
    tx.db.execute(WRITE, (*values, informed, parental))


def _away(tx: Transaction, key: bytes, came: Came | None) -> tuple[int, int]:
    """What has travelled to a key, a device's states included, and the last entry of it; -1 where there is none."""
    if came:
        before = tx.db.execute("SELECT travelled, coalesce(seq, -1) FROM standing WHERE key = ?", (key,)).fetchone()
        if before:
            return before[0] | came.bits, max(before[1], came.seq)
    rows = tx.db.execute(
        "SELECT purpose, max(seq) FROM (SELECT purpose, seq FROM travelled_choice WHERE key = ?1 UNION ALL"
        " SELECT purpose, seq FROM device_state WHERE key = ?1) GROUP BY purpose",
        (key,),
    ).fetchall()
    return out_bits(Purpose(purpose) for purpose, _ in rows), max((seq for _, seq in rows), default=-1)
