"""The kinds of identifier, and the shapes of what reading one gives. Every reader of an identifier uses them.

Which further kinds an installation has (`id:<name>`) is configuration (R23).
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

from gateway.terms import Malformed

Name = tuple[str, str]

AD_IDS = ("gaid", "idfa", "oaid")  # what a digest of an ad id may be one of
UUIDS = (*AD_IDS, "idfv", "appset")
PLAIN = ("account", "browser")  # the operator's own
DEVICES = ("imei", "serial", "udid")
SOURCED = ("cookie", "eid")
DIGESTS = {  # kind: bytes of the digest
    "email_sha256": 32,
    "email_sha1": 20,
    "email_md5": 16,
    "phone_sha256": 32,
    "phone_sha1": 20,
    "phone_md5": 16,
    "ad_id_sha256": 32,
    "ad_id_sha1": 20,
    "ad_id_md5": 16,
}
AD_ID_DIGESTS = tuple(kind for kind in DIGESTS if kind.startswith("ad_id_"))
KINDS = ("browser", "account", "email", "phone", *UUIDS, *DEVICES, *DIGESTS, *SOURCED)
# Names by which a state's deletion list (`choice.deletion_list`) means an identifier; no caller may say them.
LAST_TEN, TELEVISION = "phone_last_ten_sha256", "television_sha256"
TEN_ABROAD = "phone_ten_abroad_sha256"  # of the same digest, for a number that ends in somebody else's whole one
TELEVISIONS = frozenset(
    {"id:rida", "id:tifa", "id:afai", "id:vida", "id:lgudid"}
)  # where declared; OpenRTB's `ifa_type`
ALGORITHMS: Mapping[str, Callable[[bytes], "hashlib._Hash"]] = {  # as the ad trade uses them: as names, not as proof
    "sha256": hashlib.sha256,
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "md5": partial(hashlib.md5, usedforsecurity=False),
}


@dataclass(frozen=True, slots=True)
class NormalIdentifier:
    """One typed value in normal form. `names[0]` is what its own standing is kept under.

    `names[:exact]` are this identifier's alone: itself, or digests of its normal form. The rest, `looser`, are digests
    of forms that other consumers make and that several people may share: they carry denials only. `mailbox`: the one of
    all names that is the plainest spelling's, where the host takes several for one mailbox. `further`: what a number
    may be too, in another of the operator's countries. `possible`: a number that it was taken for before, and that
    nobody can have; asked about, never written.
    """

    kind: str
    value: str
    names: tuple[Name, ...]
    exact: int = 1
    mailbox: Name | None = None
    further: tuple["NormalIdentifier", ...] = ()
    possible: tuple["NormalIdentifier", ...] = ()

    @property
    def looser(self) -> tuple[Name, ...]:
        return self.names[self.exact :]

    def __repr__(self) -> str:
        """Without the value: an identifier in a traceback is personal data in a log."""
        return f"Identifier({self.kind})"


@dataclass(frozen=True, slots=True)
class Limited:
    """The platform withholds the identifier: not a key, and never an allow."""

    kind: str


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A kind that the configuration does not know."""

    kind: str


Read = NormalIdentifier | Limited | Undeclared | Malformed


def plain_kind(kind: str) -> str:
    """A kind as a call says it: that of what has a source is kept with it (`eid:ids.example`)."""
    form = kind.partition(":")[0]
    return form if form in SOURCED else kind


def as_called(kind: str, value: str) -> dict[str, str]:
    """An identifier as a call names it, of its kind as it is kept."""
    form, _, source = kind.partition(":")
    if form in SOURCED:
        return {"type": form, "source": source, "value": value}
    return {"type": kind, "value": value}


def as_kept(called: Mapping[str, str]) -> Name:
    """Its kind and value of what `as_called` made."""
    kind = called["type"]
    return f"{kind}:{called['source']}" if kind in SOURCED else kind, called["value"]


def alone(kind: str, value: str) -> NormalIdentifier:
    """An identifier that nobody sends as a digest: its one name is itself."""
    return NormalIdentifier(kind, value, ((kind, value),))


def named(
    kind: str, value: str, exact: Iterable[Name], looser: Iterable[Name] = (), mailbox: Name | None = None
) -> NormalIdentifier:
    """An identifier with further names. `exact` may repeat one; `looser` may not, nor hold one of them."""
    own = tuple(dict.fromkeys(exact))
    return NormalIdentifier(kind, value, (*own, *looser), len(own), mailbox)


def digests(base: str, forms: Iterable[str], among: Collection[str] | None = None) -> list[Name]:
    """The names of texts by their digests: `email_sha256`, `email_sha1`, `email_md5` of each. `among`: none but
    these.
    """
    kinds = _digest_kinds(base)
    if among is not None:
        kinds = tuple([each for each in kinds if each[0] in among])
    found = []
    for raw in map(str.encode, forms):
        for kind, empty in kinds:
            own = empty.copy()
            own.update(raw)
            found.append((kind, own.hexdigest()))
    return found


@lru_cache(maxsize=8)
def _digest_kinds(base: str) -> tuple[tuple[str, "hashlib._Hash"], ...]:
    """Each kind with the hash of nothing, to be copied: that takes half of what it takes to make one."""
    return tuple((f"{base}_{algorithm}", hashed(b"")) for algorithm, hashed in ALGORITHMS.items())


def digest(algorithm: str, text: str) -> str:
    """Lower-case hex of the digest of a text's UTF-8 bytes."""
    return ALGORITHMS[algorithm](text.encode()).hexdigest()


def unwritable(text: str) -> bool:
    """Half a surrogate pair, which no encoding has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
