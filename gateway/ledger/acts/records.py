"""Writing choices: the entry, its sealed details and what stands beside it, in one transaction; what accounts are
called; how old somebody is (R14); and the use of what a person allowed one recipient. What stands of it is the fold's.

Everything here runs inside the writer's thread as (part of) a job. A subject is an identifier as the ledger knows it:
its keys, and the kind and value that only the commitment is made from; the value itself is never stored. But for an
account's name, sealed with a key of its own in the vault: it is the operator's own word and reaches nobody but the
operator, whose sender needs it to tell people of something new (R15), since a key cannot be turned back.

An age is a band of the law tables, by identifier. What was proved (an account's assertion, the desk, an attestation)
never rises by a caller's word; only the desk may say that somebody is older. What nobody proved is an installation's
*word*, and is taken back where the person's account is proved beside it. The band stands in sealed details and in keyed
rows, never in a leaf.

`directed` is one transfer that the person asked for, within ten minutes (R28): the first row that asks has the act, its
one disclosure uses it up, and all acts that were asked before it. What proves an opt-in to whoever gets data on it
names nobody: the receipt's id, the time, the text (R7, L69).
"""

import json
import os
from collections.abc import Container, Iterable, Sequence
from datetime import datetime

from gateway.choice.law import AGES, YOUNGEST
from gateway.fold.noes import is_no_news
from gateway.fold.reading import is_proved
from gateway.fold.record import EVERYBODY, ActUsed, AgeTold, KeptNo, LinkSaid, NamesLearnt, Record, Said, SaidOut
from gateway.keys import seals
from gateway.keys.seals import new_event
from gateway.ledger.acts.confirmed_time import sure_by
from gateway.ledger.acts.folded_people import (
    Relations,
    is_unknown,
    is_without_row,
    named_by,
    people_at_hand,
    people_of,
    says_first,
)
from gateway.ledger.entry import b64
from gateway.ledger.schema import BODY, JOINED
from gateway.ledger.side import Mention
from gateway.ledger.subjects import (
    DIGEST,
    Choice,
    LeafSecrets,
    Subject,
    Written,
    as_written,
    milliseconds,
    names_of_subject,
    public_leaf,
    said_of_choice,
    seal_boxes,
    sealed_details,
)
from gateway.ledger.transaction import Transaction
from gateway.terms import DAY_MS, ChoiceKind, GrantKind

KeptNoes = Sequence[tuple[bytes, KeptNo]]  # each with whose key it is about
NAME_LABEL = b"account/1"
DETAIL = (
    "INSERT INTO detail (seq, event, request, key, kind, person, at, received, sealed, opening)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
NAMED = "SELECT key FROM account_name WHERE key IN ({marks})"
NAME = "INSERT INTO account_name VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"  # another job of the batch may have
LATE = DAY_MS  # so long may a clock be wrong, and a link goes on past its date
OVER = (
    "SELECT account, identifier, start, l.until, claimed FROM dated_link d JOIN link_event l USING (turn)"
    " WHERE d.until <= ? ORDER BY +turn"  # by the index of dates
)


def keep_account_name(tx: Transaction, key: bytes, name: str) -> None:
    """Once; written with whatever is first known of the account."""
    if not name or key in tx.named or tx.found_among(NAMED, [key]):
        return
    tx.named.add(key)
    person = tx.persons.new_person()
    tx.unwritten.add(NAME, (key, person.person, person.seal(NAME_LABEL, name.encode())))


def account_names_after(tx: Transaction, key: bytes, most: int) -> list[tuple[bytes, bytes, bytes]]:
    """(key, person, sealed) of the accounts behind a key, in the order of keys."""
    sql = "SELECT key, person, sealed FROM account_name WHERE key > ? ORDER BY key LIMIT ?"
    return tx.db.execute(sql, (key, most)).fetchall()


def open_account_name(tx: Transaction, person: bytes, sealed: bytes) -> str | None:
    """None: its key is gone."""
    name = tx.persons.keys(person).open(NAME_LABEL, sealed)
    return name.decode() if name is not None else None


def account_name(tx: Transaction, key: bytes) -> str | None:
    """What the account of a key is called; None: it is none, or that was forgotten."""
    row = tx.db.execute("SELECT person, sealed FROM account_name WHERE key = ?", (key,)).fetchone()
    return open_account_name(tx, *row) if row else None


def drop_account_names(tx: Transaction, keys: Iterable[bytes]) -> set[bytes]:
    """Forgets what these are called. Returns whose keys of the vault are not needed any more."""
    sql, keys = "DELETE FROM account_name WHERE key = ? RETURNING person", [*keys]
    tx.named.difference_update(keys)
    return {row[0] for key in keys for row in tx.db.execute(sql, (key,)).fetchall()}


def know_names(tx: Transaction, subject: Subject, now: int) -> None:
    """The identifier's other names, once. An opt-out that was made by a digest alone now reaches the identifier. Of an
    account also what it is called.
    """
    if names := names_learnt(tx, subject, now):
        tx.say([names], now)


def names_learnt(tx: Transaction, subject: Subject, now: int, *, unknown: bool = False) -> Record | None:
    """What is to be said of an identifier's names, with the entry about it or without one. `unknown`: nothing was ever
    said of it, by none of its names.
    """
    names = names_of_subject(subject)
    stranger, unknown = unknown, unknown or names is None or is_without_row(tx, subject.key)
    stranger = stranger or (unknown and is_unknown(tx, subject))
    tx.met |= named_by(subject)
    if subject.is_account:
        keep_account_name(tx, subject.key, subject.value)
    if names is not None and not unknown:
        same, looser, has_box = _names_known(tx, subject.key)
        names = NamesLearnt(
            tuple(each for each in names.same if each not in same),
            tuple(each for each in names.looser if each not in looser),
            None if has_box else names.mailbox,
        )
    if not names or not any(names):
        return None
    if not stranger:
        tx.join((subject,), None, now)
    return Record(tx.size, now, subject.key, names, subject.is_account)


def _names_known(tx: Transaction, key: bytes) -> tuple[Container[bytes], Container[bytes], bool]:
    """Exact names, looser forms, and whether its mailbox is known. Nobody else is folded for it: of an account with all
    that it has each call would do so once more.
    """
    if people := people_at_hand(tx):
        row = people.slate().row(key)
        return row.names, row.looser, row.box is not None
    told = Relations(tx.db, Mention.NAME)
    told.read([key])
    return told.names[key], told.looser[key], bool(told.boxes[key])


def write_choice(
    tx: Transaction, subject: Subject, choice: Choice, request: bytes, kept: KeptNoes = (), *, unknown: bool = False
) -> Written:
    """One entry about one identifier. `request` groups what was said at once; `kept` as in `append`, `unknown` as in
    `names_learnt`.
    """
    names = names_learnt(tx, subject, milliseconds(choice.at), unknown=unknown)
    choice = as_written(subject, choice)
    return append(tx, subject, choice, request, said_of_choice(choice), names=names, kept=kept)


def hear_signal(
    tx: Transaction, subject: Subject, choice: Choice, request: bytes, kept: KeptNoes = ()
) -> Written | None:
    """A signal: an entry only where it is news (`gateway.fold.noes`), with what stays by it."""
    names = names_learnt(tx, subject, milliseconds(choice.at))
    choice = as_written(subject, choice)
    said = said_of_choice(choice, signal=True)
    assert isinstance(said, SaidOut)
    if not says_first(tx, subject.key) and is_no_news(people_of(tx, [subject.key]).slate(), subject.key, said):
        if names:
            tx.say([names], names.at)
        return None
    return append(tx, subject, choice, request, said._replace(signal=False), names=names, kept=kept)


def append(
    tx: Transaction,
    subject: Subject,
    choice: Choice,
    request: bytes,
    said: Said | None,
    told: tuple[str, str] = ("", ""),
    *,
    names: Record | None = None,
    kept: KeptNoes = (),
) -> Written:
    """The entry and its sealed details alone. `said`: what the fold is told by it; None: nothing. `told` as in
    `public_leaf`. `names`: what is learnt with it. `kept`: with whom what it says stays as a no of nobody who is
    known, until it is voided.
    """
    tx.about.add(subject.key)
    event, rs, rd = request if _first(tx, request) else seals.new_event(choice.at), os.urandom(32), os.urandom(32)
    person, details = tx.persons.new_person(), sealed_details(choice)
    body, at = public_leaf(subject, choice, LeafSecrets(event, rs, rd), details, told), milliseconds(choice.at)
    if (over := _over_by_date(tx, at)) is not None:
        tx.say([*([names] if names else []), *end_dated_links(tx, over)], at)
        names = None  # by these somebody said something before the link was over
    own = None if said is None else Record(tx.size, at, subject.key, said, subject.is_account)
    stays = (Record(tx.size, at, *each) for each in kept)
    seq = tx.append(body, [each for each in (names, own, *stays) if each], at)
    received = milliseconds(choice.received) if choice.received else None
    if subject.kind != DIGEST:  # which says no kind (`LedgerLog.kinds`)
        tx.fresh.kinds[subject.key] = subject.kind
    tx.unwritten.add(
        DETAIL,
        (
            seq,
            event,
            request,
            subject.key,
            subject.kind,
            person.person,
            at,
            received,
            *seal_boxes(person, event, rs, rd, details),
        ),
    )
    return Written(event, seq, subject.kind, subject.key, rs)


def _first(tx: Transaction, request: bytes) -> bool:
    """The first entry of a request bears the request's own id, so that one id finds them all."""
    if request in tx.begun:
        first, tx.begun[request] = tx.begun[request], False
        return first
    return tx.db.execute("SELECT 1 FROM detail WHERE event = ?", (request,)).fetchone() is None


def _over_by_date(tx: Transaction, at: int) -> int | None:
    """Up to which date links are over for an entry of a moment; None: none is. What one clock alone says ends nothing:
    it may have been ahead, and an account's no would reach nobody behind the link for good.
    """
    if tx.due is None or tx.due > at - LATE:
        return None
    sure = sure_by(tx, at)
    return sure - LATE if sure is not None and tx.due <= sure - LATE else None


def end_dated_links(tx: Transaction, until: int) -> list[Record]:
    """What is to be said of the links that are over by a date, before an entry: `append` calls it, once the log is a
    day behind that date.
    """
    over = tx.db.execute(OVER, (until,)).fetchall()
    tx.db.execute("DELETE FROM dated_link WHERE until <= ?", (until,))
    look_at_dates(tx)
    return [
        Record(tx.size, ended, identifier, LinkSaid(account, start, ended, bool(claimed)))
        for account, identifier, start, ended, claimed in over
    ]


def look_at_dates(tx: Transaction) -> None:
    """Where another link has a date, or none any more."""
    [tx.due] = tx.db.execute("SELECT min(until) FROM dated_link").fetchone()


AGE_TAKEN_BACK = ""  # in place of a band: an installation's word, or everybody's, counts no longer


def say_age(
    tx: Transaction,
    subject: Subject,
    band: str,
    at: datetime,
    request: bytes,
    *,
    may_rise: bool = False,
    mark: str = "",
) -> Written | None:
    """An entry where it changes something. `mark`: of the installation whose word it is; empty where it was proved.
    Raises ValueError for a word that is no band.
    """
    if band not in AGES:
        raise ValueError(f"an age is one of {', '.join(AGES)}")
    know_names(tx, subject, milliseconds(at))
    said = AgeTold(band, may_rise, mark)
    return _write_age(tx, subject, said, at, request) if _is_news_of_age(tx, subject, said) else None


def know_children(tx: Transaction, subjects: Sequence[Subject], at: datetime, reach: int) -> bool:
    """Whether all for whom a parent says yes are young enough; `reach`: the oldest band that is, by its place in
    `AGES`. What no record proves is proved from now on, an installation's word or else under 13, for the parent says so
    by it, and a birthday can then end it (R14).
    """
    older, request = False, new_event(at)
    for subject in sorted(subjects, key=lambda each: not each.is_account):  # what an account has is as old as it is
        people = people_of(tx, subject.keys)
        bands = [people.standing(key, milliseconds(at)).age_band for key in subject.keys]
        known = [AGES.index(band) for band in bands if band]
        older = older or any(rank > reach for rank in known)
        if not any(is_proved(people.slate(), key) for key in subject.keys):
            say_age(tx, subject, AGES[min(known, default=YOUNGEST)], at, request)
    return not older


def take_back_age(tx: Transaction, subject: Subject, mark: str, at: datetime, request: bytes) -> Written | None:
    """An installation's word on an identifier goes, or with `EVERYBODY` each installation's; an entry where there was
    one.
    """
    words = people_of(tx, [subject.key]).slate().row(subject.key).words
    if not (words if mark == EVERYBODY else mark in words):
        return None
    return _write_age(tx, subject, AgeTold(AGE_TAKEN_BACK, may_rise=True, mark=mark), at, request)


def _is_news_of_age(tx: Transaction, subject: Subject, said: AgeTold) -> bool:
    people = people_of(tx, [subject.key])
    if said.mark:
        word = people.slate().row(subject.key).words.get(said.mark)
        return word is None or AGES.index(said.band) < AGES.index(word)
    return people.is_news(Record(tx.size, 0, subject.key, said, subject.is_account))


def _write_age(tx: Transaction, subject: Subject, said: AgeTold, at: datetime, request: bytes) -> Written:
    details = {"band": said.band} | ({"device": said.mark} if said.mark else {})
    return append(tx, subject, Choice(ChoiceKind.AGE, (), "", at, details=details), request, said)


CLAIM_ACT = (
    "INSERT INTO act_claim VALUES (?, ?, ?, ?) ON CONFLICT (key, recipient) DO UPDATE SET"
    " seq = max(act_claim.seq, excluded.seq), row = excluded.row"
    " WHERE act_claim.seq < excluded.seq OR act_claim.row = excluded.row"
)


NONE_LEFT = (
    "DELETE FROM act_claim WHERE key = ? AND recipient = ? AND (SELECT max(CASE d.outcome WHEN 'not_sent' THEN 0 ELSE 1"
    " END) FROM disclosure d WHERE d.recipient = act_claim.recipient AND d.row = act_claim.row) = 0"
)


def free_acts(tx: Transaction, keys: Iterable[bytes], recipient: str) -> None:
    """What acts of these keys are had by rows that left at no time that they were posted is to be claimed again. Until
    somebody asks it is the row's, whose caller may say that it left after all. Runs before any row of a call claims.
    """
    tx.db.executemany(NONE_LEFT, [(key, recipient) for key in dict.fromkeys(keys)])


def claim_act(tx: Transaction, keys: Sequence[bytes], recipient: str, row: bytes, now: int) -> bool:
    """Whether an act of these keys is there, in time, and for this row: the first row that asks has it until it left or
    the act is over, and has it still when it is posted again. Runs in the transaction that writes the row as intended.
    """
    acts = _acts(tx, keys, recipient, now)
    return sum(tx.db.execute(CLAIM_ACT, (key, recipient, seq, row)).rowcount for key, seq in acts) > 0


def use_acts(tx: Transaction, keys: Sequence[bytes], recipient: str, now: int) -> bool:
    """Uses up the acts that direct data of these keys to a recipient; whether one was there and in time. Runs in the
    transaction that marks the row as sent. `now` is in Unix milliseconds.
    """
    used = [key for key, _ in _acts(tx, keys, recipient, now)]
    tx.say([Record(tx.size, now, key, ActUsed(recipient)) for key in used], now)
    tx.db.executemany("DELETE FROM act_claim WHERE key = ? AND recipient = ?", [(key, recipient) for key in used])
    return bool(used)


def use_claimed(tx: Transaction, recipient: str, row: bytes, now: int) -> None:
    """Uses up the act that a row has, which was sent as its caller says. One that is over meanwhile is over."""
    found = tx.db.execute("SELECT key FROM act_claim WHERE recipient = ? AND row = ?", (recipient, row)).fetchall()
    if found:
        use_acts(tx, [key for (key,) in found], recipient, now)


def _acts(tx: Transaction, keys: Sequence[bytes], recipient: str, now: int) -> list[tuple[bytes, int]]:
    """(key, entry) of the acts that are there and in time."""
    people = people_of(tx, keys)
    return [
        (key, grant.seq)
        for key in dict.fromkeys(keys)
        for grant in people.grants(key, now)
        if grant.kind is GrantKind.DIRECTED and grant.recipient == recipient
    ]


OPTED_IN = f"SELECT d.event, {BODY} FROM detail d {JOINED} WHERE d.seq = ?"  # noqa: S608 - the pieces are ours


def proof_of_opt_in(tx: Transaction, seq: int, purpose: str) -> dict[str, str] | None:
    """`receipt` (the id that /v1/receipts takes), `purpose`, `at` (to the minute, UTC), `notice` (the text's SHA-256 in
    base64url) and its `version`; None where the ledger no longer has it, and then it proves nothing.
    """
    row = tx.db.execute(OPTED_IN, (seq,)).fetchone()
    if row is None or row[1] is None:
        return None
    leaf = json.loads(row[1])
    return {
        "receipt": b64(row[0]),
        "purpose": purpose,
        "at": leaf["t"],
        "notice": leaf.get("n", ""),
        "version": leaf.get("nv", ""),
    }
