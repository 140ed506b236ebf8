"""What each recipient got of somebody, and the messages that follow from it (R18).

A recipient learns an identifier only where the disclosure log shows that it got that identifier from us, in the form in
which it got it. A message holds identifiers, what to do, a day and the duty to pass it on; never a source, a place or a
reason.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from gateway.choice import identity
from gateway.choice.identity import AD_IDS, DIGESTS
from gateway.choice.identity.kinds import DEVICES
from gateway.ledger import outbox, suppression
from gateway.ledger.belongings import Own
from gateway.ledger.records import Subject, milliseconds
from gateway.ledger.writer import Transaction
from gateway.terms import DataClass

ACCOUNT_BACKEND = "account_backend"  # the operator's own system of accounts, told of a child (R14)


class Word(StrEnum):
    """What a message asks for."""

    DELETE = "delete"
    OPT_OUT = "opt_out"
    CHILD = "child_found"


DUTY = {
    Word.DELETE: "Delete what you have from us under these identifiers, and have everyone delete it whom you passed it"
    " on to.",  # Cal. Civ. Code 1798.105(c)
    Word.OPT_OUT: "Stop selling and sharing what you have from us under these identifiers, and tell everyone whom you"
    " passed it on to.",  # 11 CCR 7026(f)
    Word.CHILD: "Close the account.",
}
GOT = (
    "SELECT recipient, classes FROM disclosure WHERE key = :key AND batch >= :since AND outcome <> 'not_sent'"
    " UNION SELECT recipient, classes FROM disclosed"
    " WHERE key = :key AND batch >= :since AND outcome <> 'possible' AND count > 0"
)
NAMED_BY: Mapping[DataClass, frozenset[str]] = {  # which kinds of identifier a class of data is or holds
    DataClass.AD_ID: frozenset({*AD_IDS, "ad_id_sha256"}),
    DataClass.DEVICE_ID: frozenset({"idfv", "appset", *DEVICES}),
    DataClass.EMAIL_HASH: frozenset(kind for kind in DIGESTS if kind.startswith("email_")),
    DataClass.PHONE_HASH: frozenset({"phone_sha256"}),
    DataClass.CONTACT: frozenset({"email", "phone"}),
    DataClass.ACCOUNT: frozenset({"account"}),
}


def forms(subject: Subject) -> dict[str, str]:
    """What an identifier is called, by kind: itself and the digests that are sent for it; an ad id goes as it is."""
    itself = {subject.kind: subject.value}
    return itself if subject.kind in AD_IDS else itself | suppression.digests(subject)


def names_of(tx: Transaction, subjects: Iterable[Subject], own: Own) -> dict[bytes, dict[str, str]]:
    """What can be said of which key: of those that a caller named, and of those that were erased before."""
    found = {key: known for key in own if (known := suppression.read(tx, key))}
    for subject in subjects:
        for key in own.keys() & set(subject.keys):
            found[key] = found.get(key, {}) | forms(subject)
    return found


def tell(tx: Transaction, names: Mapping[bytes, Mapping[str, str]], own: Own, word: Word, at: datetime) -> None:
    """One message to each recipient that may have got something under these keys."""
    told: dict[str, dict[str, str]] = {}
    for key, known in names.items():
        for recipient, classes in _got(tx, key, own[key]).items():
            kinds = {kind for name in classes for kind in NAMED_BY.get(name, ())}
            told.setdefault(recipient, {}).update({kind: known[kind] for kind in known if kind in kinds})
    for recipient, identifiers in sorted(told.items()):
        if identifiers:
            outbox.queue(tx, recipient, message(word, identifiers, at), milliseconds(at))


def message(word: Word, identifiers: Mapping[str, str], at: datetime) -> dict[str, object]:
    """What is sent: all of it."""
    listed = [{"type": kind, "value": value} for kind, value in sorted(identifiers.items())]
    return {"type": word, "identifiers": listed, "date": at.date().isoformat(), "duty": DUTY[word]}


def tell_backend(tx: Transaction, subjects: Iterable[Subject], at: datetime) -> None:
    """The system of accounts learns of a child: which account only where the call named one, as its SHA-256."""
    accounts = [subject.value for subject in subjects if subject.is_account]
    for digest in [identity.kinds.digest("sha256", account) for account in accounts] or [""]:
        known = {"account_sha256": digest} if digest else {}
        outbox.queue(tx, ACCOUNT_BACKEND, message(Word.CHILD, known, at), milliseconds(at))


def forget(tx: Transaction, keys: Iterable[bytes], own: Own) -> None:
    """The disclosure rows of keys whose recipients were told; each chunk's entry stays."""
    since = [(key, own[key]) for key in keys]
    tx.db.executemany("DELETE FROM disclosure WHERE key = ? AND batch >= ?", since)
    tx.db.executemany("DELETE FROM disclosed WHERE key = ? AND batch >= ?", since)


def _got(tx: Transaction, key: bytes, since: int) -> dict[str, set[DataClass]]:
    """The classes that left, or may have left, by recipient. What a caller only asked about shows of nobody that they
    got it, so it tells them nothing (R18).
    """
    found: dict[str, set[DataClass]] = {}
    rows = tx.db.execute(GOT, {"key": key, "since": since})
    for recipient, classes in rows:
        found.setdefault(recipient, set()).update(DataClass(name) for name in classes.split(",") if name)
    return found
