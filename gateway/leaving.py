"""The identifiers in what leaves: which they are, as the recipient gets them. Never decides what leaves."""

from collections.abc import Mapping, Sequence

from gateway.choice.rows import ANYTHING, KINDS_OF, Held, kinds_of
from gateway.ledger.held import Left
from gateway.people import People, Said
from gateway.terms import DataClass

# What these leave as, whatever kind their field says that it holds.
HASHES: Mapping[DataClass, tuple[str, ...]] = {
    DataClass.EMAIL_HASH: ("email_sha256",),
    DataClass.PHONE_HASH: ("phone_sha256",),
    DataClass.CONTACT: ("email_sha256", "phone_sha256"),
}


def leaves(identifiers: Sequence[Mapping[str, object]], classes: Sequence[str]) -> list[Mapping[str, object]]:
    """Of the identifiers that a caller names, those that a recipient gets with these classes."""
    kinds = {kind for name in classes for kind in KINDS_OF.get(DataClass(name), ())}
    return [item for item in identifiers if item.get("type") in kinds]


def named(
    people: People, identifiers: Sequence[Mapping[str, object]], classes: Sequence[str], own: Sequence[bytes]
) -> tuple[Left, ...]:
    """Of the identifiers that a caller names, those that a recipient gets with these classes, as they were named."""
    sent = [(item, people.name([item]).subjects) for item in leaves(identifiers, classes)]
    return tuple(
        Left(subjects[0].kind, str(item["value"]), subjects[0].key, tuple(own)) for item, subjects in sent if subjects
    )


def left(
    people: People, out: Mapping[str, object], fields: Mapping[str, DataClass], kinds: Sequence[object],
    own: Sequence[bytes], said: Said | None = None, held: Held = ANYTHING,
) -> tuple[Left, ...]:  # fmt: skip
    """One for each field of `out` that names somebody. `kinds`: of the row's own identifiers, which tell one
    platform's ad id from another's; `own`: their keys, under which it is found too; `said`: what the check named.
    """
    found = []
    for name, value in out.items():
        possible = (*kinds_of(name, fields, held), *HASHES.get(fields[name], ()))
        listed = [{"type": kind, "value": value} for kind in possible if kind in kinds]
        subjects = people.name(listed, said=said).subjects
        if not subjects or subjects[0].key not in own:  # it may be of any kind, and is found under each
            others = [{"type": kind, "value": value} for kind in possible if kind not in kinds]
            subjects += people.name(others, said=said).subjects
        if subjects:
            keys = tuple(dict.fromkeys((*(subject.key for subject in subjects), *own)))
            found.append(Left(subjects[0].kind, str(value), subjects[0].key, keys))
    return tuple(found)
