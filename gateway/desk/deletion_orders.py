"""What becomes of each request of a state's deletion list that stands: whom it means here, who is told to delete, what
the state is answered. `gateway drop` calls it; the no was said when the list was taken (`ledger.acts.office_acts`).

Everybody whom the digest means is looked for in each cycle, by what is known by then. Whoever has an account is the
officer's to decide on, and recipients that have something of them are told of the no. Of whoever has none everything is
deleted that is kept of what left, and each recipient of it and each own system of the operator is told to delete; only
once all recipients have taken that and all systems said that they deleted is the answer `deleted`, never for our own
erasure alone. An identifier that several accounts have is nobody's alone: all are
opted out. So it is of a number that was given back since the request, which never reaches its next holder's data (R5),
and of what left by a later yes alone. Whoever merely said no before is nobody: what is kept of that is what a no needs.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from gateway.choice.deletion_list import DeletionStatus
from gateway.choice.deletion_periods import Fetched, mechanism_of
from gateway.delivery.deadlines import DELETION_DAYS
from gateway.desk import own_systems, recipient_holdings, suppression
from gateway.desk.answered_requests import HowItCame
from gateway.desk.forgetting.erasure import ErasureOrder, erase
from gateway.desk.recipient_holdings import Held
from gateway.desk.recipients_to_tell import LEFT, Got, got_under, pass_on, pass_standing_on
from gateway.fold.kin import edges_of, family, roads
from gateway.fold.state import Slate
from gateway.ledger.acts.folded_people import Belongings, people_of
from gateway.ledger.acts.holders import linked_since, released_since
from gateway.ledger.acts.records import account_name, know_names
from gateway.ledger.schema import rows_of
from gateway.ledger.side import Mention, mentions_of
from gateway.ledger.subjects import DIGEST, Choice, Subject, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import ALL_PURPOSES, ChoiceKind, Erasing, Source


class Matched(StrEnum):
    """Whom a request means here."""

    NOBODY = ""
    ACCOUNT = "account"
    SEVERAL = "several"  # accounts
    ABROAD = "abroad"  # only numbers from abroad that end in the same ten digits: denied, never deleted
    LATER = "later"  # whoever has a number since it was given back, or who came back: neither asked for a deletion
    ORDERED = "ordered"  # no account: everything is to be deleted, and whoever got any of it was told


NOBODYS_ALONE = {
    Matched.SEVERAL: "several accounts have it, and it is not for one of them to delete: 4",
    Matched.ABROAD: "only a number from abroad ends in its digits, and nothing of that is deleted: 4",
    Matched.LATER: "all of it came later, of another holder or by a yes, and whose it is did not ask: 4",
}
PAGE = 500  # digests that are looked at in one transaction's turn
AT_ONCE = 5_000  # that are looked through for these
Reads = Callable[[str, str], Subject | None]  # whom an identifier names, by kind and value as a recipient has it
# Whether anything left of a request's key, behind an entry.
LEFT_BEHIND = " OR ".join(
    f"EXISTS (SELECT 1 FROM {table} l WHERE l.key = r.key AND l.batch >= {{0}})"  # noqa: S608 - ours
    for table in ("held_key", "disclosure", "disclosed")
)
# The open requests, and whether they mean somebody or anything left; and of those that are ordered where something left
# again behind that (`erased`), by a yes or because nobody knew.
OPEN_KEYS = f"""
SELECT r.key, max(CASE WHEN r.matched <> '' OR {LEFT_BEHIND.format("0")} THEN 1 ELSE 0 END)
FROM deletion_row r LEFT JOIN erased e ON e.identifier = r.key AND r.matched = 'ordered'
WHERE r.key > ? AND r.gone IS NULL AND r.decided IS NULL
  AND (r.matched <> 'ordered' OR (e.seq IS NOT NULL AND ({LEFT_BEHIND.format("e.seq")})))
GROUP BY r.key ORDER BY r.key LIMIT ?
"""  # noqa: S608 - ours
ABROAD_OF = "SELECT key, abroad FROM deletion_abroad WHERE key IN ({marks})"
ABROAD = "SELECT DISTINCT abroad FROM deletion_abroad WHERE key = ?"
OF_KEY = "SELECT id, matched, seq FROM deletion_row WHERE key = ? AND gone IS NULL"
# Whether anything left before a request came, since its key is its present holder's.
LEFT_BEFORE = """
SELECT 1 FROM held_key WHERE key = :key AND batch >= :since AND first < :asked
UNION ALL SELECT 1 FROM disclosure
WHERE key = :key AND batch >= :since AND batch < :asked AND outcome <> 'not_sent'
UNION ALL SELECT 1 FROM disclosed WHERE key = :key AND batch >= :since AND outcome <> 'possible' AND count > 0
  AND first < (SELECT at FROM deletion_batch WHERE seq = :asked)
LIMIT 1
"""
# What is ordered for one stays so, whoever is found later.
MATCH = (
    "UPDATE deletion_row SET matched = ? WHERE key = ? AND gone IS NULL AND decided IS NULL AND matched <> 'ordered'"
)
ASKS = "INSERT OR IGNORE INTO deletion_message VALUES (?, ?)"
ASKED = "SELECT message FROM deletion_message WHERE id IN ({marks})"
TOLD = "SELECT recipient FROM outbox WHERE id IN ({marks})"
RECEIVED = "SELECT b.place, b.received FROM deletion_row r JOIN deletion_batch b ON b.seq = r.seq WHERE r.id = ?"
# None: it is open.
STATUS = """
CASE WHEN r.decided IS NOT NULL THEN r.decided WHEN r.matched = '' THEN 5
WHEN r.matched IN ('several', 'abroad', 'later') THEN 4
WHEN r.matched = 'ordered' AND EXISTS (SELECT 1 FROM deletion_message m WHERE m.id = r.id) AND NOT EXISTS (
  SELECT 1 FROM deletion_message m LEFT JOIN outbox o ON o.id = m.message
  WHERE m.id = r.id AND coalesce(o.state, '') <> 'delivered') THEN 3 END
"""
# Which requests: what was never answered, what is answered otherwise now, the last answer once more, what is open.
FRESH, AMENDED = "r.answered IS NULL", f"r.answered <> {STATUS}"
AGAIN, STILL_OPEN = "r.answered_at = (SELECT max(answered_at) FROM deletion_row)", f"{STATUS} IS NULL"
ROWS = f"""
SELECT b.file, r.id, {STATUS}, r.answered, r.matched, b.received, b.place
FROM deletion_row r JOIN deletion_batch b ON b.seq = r.seq WHERE r.gone IS NULL AND {{which}}
ORDER BY b.file, r.id
"""  # noqa: S608 - ours
FETCHED = """
SELECT b.place, b.received, coalesce(sum(o.open), 0) FROM deletion_batch b LEFT JOIN (
  SELECT seq, count(*) AS open FROM deletion_row WHERE gone IS NULL AND answered IS NULL GROUP BY seq
) o ON o.seq = b.seq GROUP BY b.place, b.received
"""
COUNTS = f"""
SELECT b.place, b.kind, count(*), count(r.answered), count(CASE WHEN {STATUS} IS NULL THEN 1 END)
FROM deletion_row r JOIN deletion_batch b ON b.seq = r.seq WHERE r.gone IS NULL GROUP BY b.place, b.kind
"""  # noqa: S608 - ours


YEAR = """
SELECT b.place, r.answered, r.gone IS NOT NULL, r.answered_at / 86400000 + 719163 - b.received, count(*)
FROM deletion_row r JOIN deletion_batch b ON b.seq = r.seq WHERE b.received >= ? AND b.received < ?
GROUP BY 1, 2, 3, 4
"""


class AnswerRow(NamedTuple):
    """One request. `status` None: it is open, and `matched` says for whom."""

    file: str
    id: str
    status: int | None
    matched: Matched
    received: date
    place: str


class ListCount(NamedTuple):
    """Of one kind of one state's lists how many requests stand, are answered, are open."""

    place: str
    kind: str
    standing: int
    answered: int
    open: int


class YearCount(NamedTuple):
    """So many requests of one state that have one answer, after as many days; None: no answer. `over`: taken back."""

    place: str
    answer: DeletionStatus | None
    over: bool
    days: int | None
    requests: int


class NotDecided(Exception):
    """An officer's word that cannot be taken. The text says why."""


def candidates(db: sqlite3.Connection, after: bytes = b"") -> list[bytes]:
    """The next digests behind one of which more is known than that a list has them."""
    found = list[bytes]()
    while len(found) < PAGE and (rows := db.execute(OPEN_KEYS, (after, AT_ONCE)).fetchall()):
        known = _known(db, [key for key, _ in rows])
        found += [key for key, meant in rows if meant or key in known]
        after = rows[-1][0]
    return found[:PAGE]


def _known(db: sqlite3.Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Of most digests nothing is known but the request itself, which one place of the log mentions; of a number from
    abroad, by which it is named too.
    """
    places = Counter(each.key for each in mentions_of(db, keys))
    abroad = [*rows_of(db, ABROAD_OF, keys)]
    named = {each.key for each in mentions_of(db, {to for _, to in abroad}, Mention.NAME) if each.way == Mention.NAME}
    return {key for key, count in places.items() if count > 1} | {key for key, to in abroad if to in named}


def look_all(tx: Transaction, keys: Sequence[bytes], at: datetime, reads: Reads) -> list[Matched]:
    """As `look`, of several."""
    return [look(tx, key, at, reads) for key in keys]


def look(tx: Transaction, key: bytes, at: datetime, reads: Reads) -> Matched:
    """Whom a digest means now, for all requests of it; and whoever has to be told is told, once."""
    if not (found := tx.db.execute(OF_KEY, (key,)).fetchall()):
        return Matched.NOBODY  # the list took it back meanwhile
    _know_names(tx, key, at, reads)
    slate = people_of(tx, [key]).slate()
    is_ordered = any(before == Matched.ORDERED for _, before, _ in found)
    matched = _whom(tx, slate, key, max(asked for *_, asked in found), at, is_ordered=is_ordered)
    if matched is Matched.ORDERED:
        _order(tx, key, [id_ for id_, *_ in found], at)
    elif matched is not Matched.NOBODY:
        pass_standing_on(tx, key, at)
    for names in _known_abroad(tx, key):
        matched = Matched.ABROAD if matched is Matched.NOBODY else matched
        no = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, Source.DROP, at)
        pass_on(tx, Subject(DIGEST, "", tuple(names)), no, unknown=True)  # not on to the accounts that have it
    tx.db.execute(MATCH, (matched, key))
    return matched


def _know_names(tx: Transaction, key: bytes, at: datetime, reads: Reads) -> None:
    """What left was filed under every name of its identifier, of which a list has one. Whatever is kept of it tells the
    others, and by those the rest is found, told and forgotten.
    """
    now, names = milliseconds(at), family(people_of(tx, [key]).slate(), key)
    for held in _held(tx, _present(tx, names), at):
        forms = recipient_holdings.open_held(tx, held.recipient, held.person, held.sealed)
        for each in forms.items():  # what else the row named is somebody else's: of a hash nobody can tell whose
            if (subject := reads(*each)) and key in subject.keys:
                know_names(tx, subject, now)


def _whom(tx: Transaction, slate: Slate, key: bytes, asked: int, at: datetime, *, is_ordered: bool) -> Matched:
    """`asked`: the entry with which the last request of the digest came."""
    names = family(slate, key)
    own, is_linked = _present(tx, names), _is_linked(slate, names) or _left_with_accounts(tx, names, at)
    if asked < own[key] and (is_linked or any(each.batch >= own[key] for each in _left(tx, own, at))):
        return Matched.LATER
    if is_linked:
        return Matched.SEVERAL if len(roads(slate, names)) > 1 else Matched.ACCOUNT
    if not (is_ordered or [*rows_of(tx.db, LEFT, names)]):
        return Matched.NOBODY
    is_behind = is_ordered or not _left_before(tx, own, asked)
    return Matched.LATER if is_behind and _left_by_a_yes(tx, key, own, at) else Matched.ORDERED


def _left(tx: Transaction, own: Belongings, at: datetime) -> list[Held | Got]:
    return [*_held(tx, own, at), *_got(tx, own)]


def _left_before(tx: Transaction, own: Belongings, asked: int) -> bool:
    given = ({"key": name, "since": since, "asked": asked} for name, since in own.items())
    return any(tx.db.execute(LEFT_BEFORE, each).fetchone() for each in given)


def _left_by_a_yes(tx: Transaction, key: bytes, own: Belongings, at: datetime) -> bool:
    """Whether all that is kept left for what its person came back to: by their own word, behind the list's."""
    standing = people_of(tx, [key]).standing(key, milliseconds(at))
    purposes = set[str]().union(*(each.purposes for each in _left(tx, own, at)))
    return bool(purposes) and purposes <= {each for each in ALL_PURPOSES if not standing.denies(each)}


def _known_abroad(tx: Transaction, key: bytes) -> list[set[bytes]]:
    """Of each number from abroad that ends in the digits, and that an account has or of which something left, all
    names.
    """
    found = list[set[bytes]]()
    for (abroad,) in tx.db.execute(ABROAD, (key,)).fetchall():
        slate = people_of(tx, [abroad]).slate()
        families = [family(slate, owner) for owner in slate.row(abroad).owners]
        found += [names for names in families if _is_linked(slate, names) or [*rows_of(tx.db, LEFT, names)]]
    return found


def _is_linked(slate: Slate, names: Iterable[bytes]) -> bool:
    return any(edge.lives() for *_, edge in edges_of(slate, names))


def _left_with_accounts(tx: Transaction, names: Iterable[bytes], at: datetime) -> bool:
    """Whether an account has what left under these names: whoever is told to delete would delete theirs."""
    others = {each.named for each in _held(tx, _present(tx, names), at)}.difference(names)
    slate = people_of(tx, others).slate() if others else None
    return slate is not None and _is_linked(slate, set[bytes]().union(*(family(slate, each) for each in others)))


def _held(tx: Transaction, own: Belongings, at: datetime) -> list[Held]:
    """As an erasure of these tells of it at a moment."""
    put_off = recipient_holdings.put_off_since(at)
    held = (recipient_holdings.under(tx, name, since, put_off) for name, since in own.items())
    return [each for some in held for each in some]


def _present(tx: Transaction, names: Iterable[bytes]) -> Belongings:
    """These from where they are their present holder's."""
    return {name: released_since(tx.db, name) for name in names}


def _order(tx: Transaction, key: bytes, ids: Sequence[str], at: datetime, *, whole: bool = False) -> None:
    """Everything that is kept of what left is forgotten, and whoever got it told to delete it; what is asked for one
    request of a digest is asked for all. `whole`: of the account, too, and of all that it has. While something is left
    of which nobody could be told the request is open.
    """
    known, got, named = len(tx.queued), set[str](), set[tuple[str, str]]()
    before = {message for (message,) in rows_of(tx.db, ASKED, ids)}
    slate = people_of(tx, [key]).slate()
    names = family(slate, key)
    beside = _of_account(tx, slate, names, at) if whole else dict[bytes, int]()
    mine = {**beside, **_present(tx, names)}
    if left := {each: mine[each] for (each,) in rows_of(tx.db, LEFT, mine)}:
        got = {each.recipient for each in _got(tx, left)}
        for held in _held(tx, left, at):
            for kind, value in recipient_holdings.open_held(tx, held.recipient, held.person, held.sealed).items():
                if held.named in mine:  # whoever a row merely named beside them is nobody's to delete in a system (R12)
                    named.add((kind, value))
                suppression.keep_suppression(tx, Subject(kind, value, (held.named,)))
    named |= _called(tx, slate, names)  # while it is known
    if left or not before:
        whom, came = [Subject(DIGEST, "", (key,))], HowItCame(_downloaded(tx, ids[0], at), manner=Source.DROP)
        order = ErasureOrder(Erasing.DETAILS, whom, at, came=came, is_listed=True, beside=beside)
        erase(tx, order, os.urandom(16))
    _ask_systems(tx, ids, named, {recipient for (recipient,) in rows_of(tx.db, TOLD, before)}, at)
    messages = {*tx.queued[known:], *before}
    if got.difference(recipient for (recipient,) in rows_of(tx.db, TOLD, messages)) or _got(tx, mine):
        messages.add(os.urandom(16))  # of a message that nobody can send: it stays open
    tx.db.executemany(ASKS, [(message, id_) for message in sorted(messages) for id_ in ids])


def _downloaded(tx: Transaction, id_: str, at: datetime) -> datetime:
    """The noon of the day from which its days count; it may not have come yet."""
    day = date.fromordinal(tx.db.execute(RECEIVED, (id_,)).fetchone()[1])
    return min(at, datetime.combine(day, time(12), UTC))


def _got(tx: Transaction, own: Belongings) -> list[Got]:
    return [each for name, since in own.items() for each in got_under(tx, name, since)]


def _of_account(tx: Transaction, slate: Slate, names: Collection[bytes], at: datetime) -> dict[bytes, int]:
    """The account that has one of these by more than an app's word, and what it alone has so, under every name: from
    where it has that. Nobody proved anything, and what others have too, or had before, or may have since a link's date
    is past, is theirs (R5, R12).
    """
    accounts, now = roads(slate, names), milliseconds(at)
    has = {member for each in accounts for member in slate.row(each).members if slate.edge(each, member).carries(now)}
    groups = [family(slate, each) for each in accounts | has]
    alone = set[bytes]().union(*(group for group in groups if roads(slate, group) <= accounts))
    since = partial(linked_since, tx.db, now=now, accounts=accounts)
    own, beside = alone.union(names), sorted(alone.difference(names))
    return {name: since(name) for name in beside if slate.row(name).targets.keys() <= own}


def _called(tx: Transaction, slate: Slate, names: Collection[bytes]) -> set[tuple[str, str]]:
    """What an own system may know somebody by: what an erasure kept, the account."""
    known = {item for name in names for item in suppression.read_suppression(tx, name).items()}
    accounts = (account_name(tx, each) for each in roads(slate, names))
    return known | {("account", account) for account in accounts if account}


def _ask_systems(
    tx: Transaction, ids: Sequence[str], named: Collection[tuple[str, str]], asked: Collection[str], at: datetime
) -> None:
    """Each of the operator's own, once, by whatever it can be named. One to which nobody can be named is the officer's,
    who knows the number of the request.
    """
    asks = [system for system in own_systems.registered(tx) if system.recipient not in asked]
    if not asks:
        return
    place, received = tx.db.execute(RECEIVED, (ids[0],)).fetchone()
    day = date.fromordinal(received)
    law = mechanism_of(place, max(day, at.date()))
    last = day + timedelta(days=law.answer_days if law else DELETION_DAYS)
    for system in asks:
        own_systems.ask_deletion(tx, system, named, at, datetime.combine(last, time.max, UTC), listed=ids[0])


def decide(tx: Transaction, id_: str, status: DeletionStatus, at: datetime, reads: Reads) -> None:
    """The officer's word on a request that means somebody. `deleted` is an order, and becomes the answer by those who
    carry it out. Raises `NotDecided`.
    """
    row = tx.db.execute("SELECT key, matched FROM deletion_row WHERE id = ? AND gone IS NULL", (id_,)).fetchone()
    if row is None:
        raise NotDecided("no such request stands")
    key, matched = row
    if matched == Matched.NOBODY:
        raise NotDecided("nobody is meant by it here, and there is nothing to decide")
    if status is not DeletionStatus.DELETED:
        tx.db.execute("UPDATE deletion_row SET decided = ? WHERE id = ? AND gone IS NULL", (status, id_))
        return
    if why := NOBODYS_ALONE.get(look(tx, key, at, reads)):
        raise NotDecided(why)
    _order(tx, key, [id_], at, whole=True)
    if not tx.db.execute("SELECT 1 FROM deletion_message WHERE id = ?", (id_,)).fetchone():
        raise NotDecided(
            "3 wants somebody who was told to delete and did; no recipient has anything of it, no [systems]"
        )
    sql = "UPDATE deletion_row SET matched = ?, decided = NULL WHERE id = ? AND gone IS NULL"
    tx.db.execute(sql, (Matched.ORDERED, id_))


def answer_rows(db: sqlite3.Connection, which: str = FRESH) -> Iterator[AnswerRow]:
    """In the order of their files. What is told once more is what was told."""
    for file, id_, status, answered, matched, received, place in db.execute(ROWS.format(which=which)):
        told = answered if which == AGAIN else status
        yield AnswerRow(file, id_, told, Matched(matched), date.fromordinal(received), place)


def mark_answered(tx: Transaction, rows: Iterable[tuple[str, int]], at: datetime) -> None:
    """What the state is told of these from now on: (id, status)."""
    sql = "UPDATE deletion_row SET answered = ?, answered_at = ? WHERE id = ? AND gone IS NULL"
    tx.db.executemany(sql, [(status, milliseconds(at), id_) for id_, status in rows])


def downloads(db: sqlite3.Connection) -> list[Fetched]:
    """Each day's, with what of it is not answered."""
    return [Fetched(place, date.fromordinal(received), count) for place, received, count in db.execute(FETCHED)]


def counts(db: sqlite3.Connection) -> list[ListCount]:
    """What stands, by state and kind of list."""
    return [ListCount(*row) for row in db.execute(COUNTS)]


def counted_between(db: sqlite3.Connection, start: date, end: date) -> list[YearCount]:
    """Of the lists that were downloaded from a day to before another; the answer is the one that stands."""
    rows = db.execute(YEAR, (start.toordinal(), end.toordinal()))
    return [
        YearCount(place, DeletionStatus(told) if told else None, bool(over), *more) for place, told, over, *more in rows
    ]
