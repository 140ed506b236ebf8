"""Suppression: who of the people that a recipient got from us must not be sold, shared or targeted, which its
suppression file holds (R18, L40), and what erased identifiers were called there. `gateway suppression` calls it.

Of people who were erased only digests are kept, sealed with a key of their own, so that recipients can still be told of
a later opt-out (R18, L89); read for nothing else and by no door.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.choice import identity
from gateway.choice.identity import AD_IDS, DIGESTS, NormalIdentifier
from gateway.choice.identity.kinds import ALGORITHMS, digest
from gateway.desk import recipient_holdings
from gateway.ledger.acts.folded_people import SaidSince, group, people_of, with_looser
from gateway.ledger.subjects import Subject
from gateway.ledger.transaction import Transaction
from gateway.terms import CHOOSABLE, Purpose

LABEL = b"suppression/1"


def digests(subject: Subject) -> dict[str, str]:
    """The digests that recipients key an identifier by; none for kinds of which there are none. Of several forms of one
    kind the first: what a row leaves as, of a number that with its plus.
    """
    if subject.kind in DIGESTS:
        return {subject.kind: subject.value}
    if subject.kind in AD_IDS:
        return {"ad_id_sha256": digest("sha256", subject.value)}
    read = identity.read_identifier(subject.kind, subject.value)
    names = read.names[: read.exact] if isinstance(read, NormalIdentifier) else ()
    return {kind: value for kind, value in reversed(names) if kind in DIGESTS}


def keep_suppression(tx: Transaction, subject: Subject) -> None:
    """Written with the erasure, or with a prune of what recipients hold: whatever the file of any recipient could have
    of it, while the value itself is still there. An older record gets what it has not yet.
    """
    before, known = _kept(tx, subject.key), _every_digest(subject)
    if known.keys() <= before.keys():
        return
    drop_suppression(tx, subject.key)
    person = tx.persons.new_person()
    sealed = person.seal(LABEL, json.dumps(before | known).encode())
    tx.db.execute("INSERT INTO suppression VALUES (?, ?, ?)", (subject.key, person.person, sealed))


def read_suppression(tx: Transaction, key: bytes) -> dict[str, str]:
    """For the outbox alone: what of it is a kind of identifier."""
    return {kind: value for kind, value in _kept(tx, key).items() if kind in DIGESTS}


def _kept(tx: Transaction, key: bytes) -> dict[str, str]:
    """By kind and algorithm (`idfv_sha1`)."""
    row = tx.db.execute("SELECT person, sealed FROM suppression WHERE key = ?", (key,)).fetchone()
    opened = tx.persons.keys(row[0]).open(LABEL, row[1]) if row else None
    content: dict[str, str] = json.loads(opened) if opened else {}
    return content


def suppressed_persons(tx: Transaction, key: bytes) -> set[bytes]:
    """Whose key seals the record of a key."""
    return {row[0] for row in tx.db.execute("SELECT person FROM suppression WHERE key = ?", (key,))}


def drop_suppression(tx: Transaction, key: bytes) -> None:
    tx.db.execute("DELETE FROM suppression WHERE key = ?", (key,))


AT_ONCE = 250  # people that are folded together
# Who was told, when first; and who is kept, of whom it was not.
TOLD = (
    f"SELECT named, max(size), min(CASE WHEN word <> '{recipient_holdings.KEPT}' THEN at END) FROM informed"  # noqa: S608 - ours
    " WHERE recipient = ? GROUP BY named ORDER BY named"
)


@dataclass(frozen=True, slots=True)
class Suppressed:
    """One digest. `kind` of what was hashed; `at`: when the recipient was told, Unix milliseconds, None where not."""

    kind: str
    digest: str = field(repr=False)
    at: int | None


class NoPosition(Exception):
    """An earlier file's position is none of this log. The text says what is."""


@dataclass(slots=True)
class Suppression:
    """`position`: the log's name and how many entries it had; the next file begins there. `unnamed`: how many are to
    be suppressed of which we do not know the recipient's digest.
    """

    position: str
    listed: list[Suppressed] = field(default_factory=list)
    unnamed: int = 0


def suppression_of(
    tx: Transaction, recipient: str, algorithm: str, purposes: Iterable[Purpose], earlier: str = ""
) -> Suppression:
    """`algorithm`: sha256, sha1 or md5. `purposes`: a no to one of these is a no. `earlier`: an earlier file's
    position; then only what may have changed from there on. Raises `NoPosition`.
    """
    found = Suppression(_position(tx))
    since = _entries(earlier, found.position) if earlier else 0
    told = {named: (size, at) for named, size, at in tx.db.execute(TOLD, (recipient,))}
    held = {each[0]: each[1:] for each in recipient_holdings.held_by(tx, recipient)}
    said = SaidSince(tx, since) if since else None
    new = [
        named
        for named in (*held, *(each for each in told if each not in held))
        if said is None
        or (named in told and told[named][0] >= since)
        or (named in held and held[named][2] >= since)  # who said no long ago may have left since
        or any(said.was_said(name, since) for name in _asked_about(tx, named))
    ]
    for named in _denied(tx, new, purposes):
        known = _of(algorithm, _kept(tx, named))  # of who was erased nothing is left but that and that they were told
        if named in held:
            known = dict(_digests(recipient_holdings.open_held(tx, recipient, *held[named][:2]), algorithm)) | known
        found.unnamed += not known
        at = told[named][1] if named in told else None
        found.listed += [Suppressed(kind, value, at) for kind, value in known.items()]
    found.listed.sort(key=lambda each: (each.kind, each.digest))
    return found


def got_anything(tx: Transaction, recipient: str) -> bool:
    """Whether somebody could be on a recipient's file, by any name that was ever configured."""
    return bool(recipient_holdings.held_by(tx, recipient) or tx.db.execute(TOLD, (recipient,)).fetchone())


def _position(tx: Transaction) -> str:
    [origin] = tx.db.execute("SELECT origin FROM head").fetchone()
    return f"{origin}:{tx.size}"


def _entries(earlier: str, now: str) -> int:
    """How many an earlier file began behind. Of another log, as before a restore, "none since" would be taken for
    nobody, and entries that no file had for known.
    """
    (log, _, size), (origin, _, last) = earlier.rpartition(":"), now.rpartition(":")
    if log != origin or not (size.isascii() and size.isdigit()) or int(size) > int(last):
        raise NoPosition(f"this log is at {now}, which does not go on from there; take a whole file, without --since")
    return int(size)


def keep_digests(tx: Transaction, before: int, first: int, end: int) -> int:
    """Of what `held.prune` is about to take away, the digests of whoever said no to anything: no opt-out leaves the
    suppression files by getting old (R19). Returns of how many.
    """
    kept, going = 0, recipient_holdings.going(tx, before, first, end)
    out = {*_denied(tx, [named for _, named, _, _ in going], CHOOSABLE)}
    for recipient, named, person, sealed in going:
        if named in out:
            recipient_holdings.keep_named(tx, recipient, named, before)
            for kind, value in recipient_holdings.open_held(tx, recipient, person, sealed).items():
                keep_suppression(tx, Subject(kind, value, (named,)))
                kept += 1
    return kept


def _asked_about(tx: Transaction, key: bytes) -> set[bytes]:
    """All names of an identifier and its looser forms: what a check that names it is denied by."""
    return with_looser(tx.db, group(tx.db, key))


def _denied(tx: Transaction, keys: Sequence[bytes], purposes: Iterable[Purpose]) -> Iterator[bytes]:
    """Those of some keys of which one of their names is denied one of the purposes."""
    purposes = tuple(purposes)
    for start in range(0, len(keys), AT_ONCE):
        names = {key: _asked_about(tx, key) for key in keys[start : start + AT_ONCE]}
        people = people_of(tx, {name for each in names.values() for name in each})
        for key, its in names.items():
            standings = [people.standing(name, 0) for name in its]
            if any(standing.denies(purpose) for standing in standings for purpose in purposes):
                yield key


def _every_digest(subject: Subject) -> dict[str, str]:
    """As `_kept`. A browser's own id never leaves, so no file could have it."""
    forms = {subject.kind: subject.value} if subject.value and subject.kind != "browser" else {}
    return {f"{kind}_{each}": value for each in ALGORITHMS for kind, value in _digests(forms, each)}


def _of(algorithm: str, kept: Mapping[str, str]) -> dict[str, str]:
    return {kind.removesuffix(f"_{algorithm}"): each for kind, each in kept.items() if kind.endswith(f"_{algorithm}")}


def _digests(forms: Mapping[str, str], algorithm: str) -> Iterator[tuple[str, str]]:
    """(kind of what was hashed, digest): what is a digest already only in its own form."""
    for kind, value in forms.items():
        if kind in DIGESTS:
            base, _, form = kind.rpartition("_")
            if form == algorithm:
                yield base, value
            continue
        read = identity.read_kept(kind, value)
        if not isinstance(read, NormalIdentifier):
            continue
        hashed = dict(reversed(read.names[: read.exact]))  # of each kind the first: of the number with its plus
        base = "ad_id" if kind in identity.AD_IDS else kind
        yield base, hashed.get(f"{kind}_{algorithm}") or digest(algorithm, read.value)
