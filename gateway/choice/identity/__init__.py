"""Identifiers: kinds, normal forms, and the names that one identifier goes by. Calls, rows and bid requests are read
through it; it makes no key and looks nobody up.

A *name* is a (kind, value) pair that a key is made from. A raw e-mail or phone is the same identifier as the SHA-256 of
its normal form, so that both find one standing; its other digests are further names of it, and so are the digests of
the looser forms that other consumers hash. Sentinels (a zero id, a hash of one, a hash of nothing) are never a key:
they mean "limited".
"""

from gateway.choice.identity.device import is_normal_uuid
from gateway.choice.identity.kinds import (
    AD_ID_DIGESTS,
    AD_IDS,
    DIGESTS,
    KINDS,
    PLAIN,
    SOURCED,
    UUIDS,
    Limited,
    Name,
    NormalIdentifier,
    Read,
    Undeclared,
    as_called,
    as_kept,
    plain_kind,
)
from gateway.choice.identity.likeness import PlainForm, account_of, alike, as_account, could_be, plain_form, says_who
from gateway.choice.identity.reading import may_be, read_identifier, read_kept, several, typed

__all__ = [
    "AD_IDS",
    "AD_ID_DIGESTS",
    "DIGESTS",
    "KINDS",
    "PLAIN",
    "SOURCED",
    "UUIDS",
    "Limited",
    "Name",
    "NormalIdentifier",
    "PlainForm",
    "Read",
    "Undeclared",
    "account_of",
    "alike",
    "as_account",
    "as_called",
    "as_kept",
    "could_be",
    "is_normal_uuid",
    "may_be",
    "plain_form",
    "plain_kind",
    "read_identifier",
    "read_kept",
    "says_who",
    "several",
    "typed",
]
