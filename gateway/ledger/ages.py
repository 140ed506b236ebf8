"""How old somebody is, as a band of the law tables, by identifier (R14).

What was proved (an account's assertion, the desk, an attestation) never rises by a caller's word, nor when a link ends;
only the desk may say that somebody is older. What nobody proved is an installation's *word*: it makes its phone and the
ids that no account has younger, and is taken back where the person's account is proved beside it. The band stands
in sealed details and in keyed rows, never in a leaf.

A child that was found is the youngest, and no to everything, for good; what is forgotten of it is erasure.py's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.choice.law import AGES
from gateway.ledger import records, travel
from gateway.ledger.reach import group, own_names, targets_of, whole_of
from gateway.ledger.standing_rows import recompute
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import CHOOSABLE, ChoiceKind

Age = tuple[str, str]  # the present band and the youngest that ever was
TAKEN_BACK = ""  # in place of a band: an installation's word, or everybody's, counts no longer
EVERYBODY = "*"  # in place of a mark


@dataclass(frozen=True, slots=True)
class AgeSaid:
    """One saying. `mark`: of the installation whose word it is; empty where it was proved."""

    band: str
    may_rise: bool = False
    mark: str = ""


def say(
    tx: Transaction,
    subject: Subject,
    band: str,
    at: datetime,
    request: bytes,
    *,
    may_rise: bool = False,
    mark: str = "",
) -> Written | None:
    """An entry where it changes something. Raises ValueError for a word that is no band."""
    if band not in AGES:
        raise ValueError(f"an age is one of {', '.join(AGES)}")
    records.know(tx, subject, milliseconds(at))
    news = _is_new_word(tx, subject.key, band, mark) if mark else _news(tx, subject.key, band, may_rise=may_rise)
    return _write(tx, subject, AgeSaid(band, may_rise, mark), at, request) if news else None


def take_back(tx: Transaction, subject: Subject, mark: str, at: datetime, request: bytes) -> Written | None:
    """An installation's word on an identifier goes, or with `EVERYBODY` each installation's; an entry where there was
    one.
    """
    words = {row[0] for row in tx.db.execute("SELECT mark FROM age_word WHERE key = ?", (subject.key,))}
    if not (words if mark == EVERYBODY else words & {mark}):
        return None
    return _write(tx, subject, AgeSaid(TAKEN_BACK, may_rise=True, mark=mark), at, request)


def _write(tx: Transaction, subject: Subject, said: AgeSaid, at: datetime, request: bytes) -> Written:
    details = {"band": said.band} | ({"device": said.mark} if said.mark else {})
    written = records.append(tx, subject, Choice(ChoiceKind.AGE, (), "", at, details=details), request)
    tx.db.execute("INSERT INTO age_event VALUES (?, ?, ?)", (written.seq, said.band, said.may_rise))
    apply(tx, subject, said, written.seq, milliseconds(at))
    return written


def _is_new_word(tx: Transaction, key: bytes, band: str, mark: str) -> bool:
    row = tx.db.execute("SELECT band FROM age_word WHERE key = ? AND mark = ?", (key, mark)).fetchone()
    return row is None or _younger(band, row[0])


def _news(tx: Transaction, key: bytes, band: str, *, may_rise: bool) -> bool:
    own = _of(tx, key)
    if own is None or _younger(band, own[0]):
        return True
    if not may_rise:
        return False
    return any(
        (age := _of(tx, name)) is not None and _younger(age[0], band) and not _fixed(tx, name)
        for name in group(tx, key)
    )


def apply(tx: Transaction, subject: Subject, said: AgeSaid, seq: int, now: int) -> None:
    """A rise is of all names of the identifier: the youngest of them holds."""
    key, names, band = subject.key, (own_names if said.may_rise else group)(tx, subject.key), said.band
    if said.mark:
        _word(tx, key, said, seq)
        recompute(tx, group(tx, key), now)
        return
    ages = {name: age for name in names if (age := _of(tx, name))}
    changed = {key} | {name for name, (own, _) in ages.items() if said.may_rise and _younger(own, band)}
    for name in sorted(name for name in changed if not _fixed(tx, name)):
        _set(tx, name, band, min(ages.get(name, (band, band))[1], band, key=AGES.index), seq)
    if subject.is_account:
        _keep_where_an_end_is_set(tx, key, seq)
    recompute(tx, targets_of(tx, key, now) if subject.is_account else names, now)


def _word(tx: Transaction, key: bytes, said: AgeSaid, seq: int) -> None:
    if said.band == TAKEN_BACK:
        tx.db.execute("DELETE FROM age_word WHERE key = ?1 AND ?2 IN (mark, ?3)", (key, said.mark, EVERYBODY))
    else:
        tx.db.execute(
            "INSERT INTO age_word VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET band = excluded.band,"
            " seq = excluded.seq",
            (key, said.mark, said.band, seq),
        )


def keep(tx: Transaction, account: bytes, identifiers: Iterable[bytes], seq: int) -> None:
    """What identifiers had got from an account whose link ends is their own from now on: nobody gets older by it."""
    had = _of(tx, account)
    for identifier in identifiers if had else ():
        assert had is not None
        band, youngest = _of(tx, identifier) or had
        _set(tx, identifier, min(band, had[0], key=AGES.index), min(youngest, had[1], key=AGES.index), seq)


def fix(tx: Transaction, keys: Iterable[bytes], seq: int) -> None:
    """A child was found: the youngest band, which no word of anybody raises again (R14)."""
    for key in keys:
        _set(tx, key, AGES[0], AGES[0], seq)
        tx.db.execute("UPDATE age SET fixed = 1 WHERE key = ?", (key,))


def _fixed(tx: Transaction, key: bytes) -> bool:
    return tx.db.execute("SELECT 1 FROM age WHERE key = ? AND fixed", (key,)).fetchone() is not None


def _keep_where_an_end_is_set(tx: Transaction, account: bytes, seq: int) -> None:
    """A link that ends by its date writes no entry then, so what it brings is kept beforehand."""
    rows = tx.db.execute(
        "SELECT identifier FROM link WHERE account = ? AND ended IS NULL AND until IS NOT NULL", (account,)
    ).fetchall()
    keep(tx, account, [row[0] for row in rows], seq)


def _of(tx: Transaction, key: bytes) -> Age | None:
    found: Age | None = tx.db.execute("SELECT band, youngest FROM age WHERE key = ?", (key,)).fetchone()
    return found


def _set(tx: Transaction, key: bytes, band: str, youngest: str, seq: int) -> None:
    tx.db.execute(
        "INSERT INTO age (key, band, youngest, seq) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET band = excluded.band,"
        " youngest = excluded.youngest, seq = excluded.seq",
        (key, band, youngest, seq),
    )


def _younger(one: str, other: str) -> bool:
    return AGES.index(one) < AGES.index(other)


def deny_child(tx: Transaction, subject: Subject, seq: int, now: int) -> None:
    """On an identifier, its other names and all that an account has now; for good, but for what only an app's word ties
    to it, which is as young as the account while it does.
    """
    travel.opt_out(tx, subject.key, CHOOSABLE, seq, now, account=subject.is_account, looser=subject.looser)
    keys = whole_of(tx, subject.key, now) if subject.is_account else group(tx, subject.key)
    fix(tx, sorted(keys), seq)
    recompute(tx, keys | (targets_of(tx, subject.key, now) if subject.is_account else set()), now)
