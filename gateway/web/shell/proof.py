"""Proof of control in a call: who may see and open what is a person's own (R4, R5, R12). The doors of apps and of the
desk call it.

A proof is of certain identifiers, and proves those of the call and no other: `code` the mailbox or number that it was
sent to, `browser` the one browser whose sealed cookie it brings, `account` the account that the operator's backend
asserts, for opting in also the ids that it has, `attestation` the ids of a phone that the backend vouches for. `device`
proves no id: it opts its own installation in, and that alone. With scope desk somebody vouches: `desk` (who looked at
what), `parent` (by which method). A list of proofs proves what each does. Nothing here tells whether an identifier is
known (V25).
"""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.consent.codes import ACCESS, ERASURE, Bound, CodeOver, Codes, is_opting_in, opted_into
from gateway.consent.installations import Installations
from gateway.consent.people import OF_A_PHONE
from gateway.consent.verbs import Consent
from gateway.keys import seals
from gateway.keys.account_assertions import Assertions
from gateway.keys.api_keys import ApiKey, Credentials
from gateway.ledger.acts.device_states import NOT_BY_TOKEN
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Subject
from gateway.web.shell import wire
from gateway.web.shell.problem import Problem

KINDS = frozenset({"account", "device", "code", "browser", "desk", "parent", "attestation"})


class ProofOfControl(Struct):
    """kind account (assertion), attestation (token), device (token), code (code, ticket), browser (cookie); with scope
    desk desk (note), parent (method). One that cannot be verified proves nothing.
    """

    kind: Annotated[str, wire.one_of(KINDS)]
    assertion: str | UnsetType = UNSET
    token: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    ticket: str | UnsetType = UNSET
    cookie: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    method: str | UnsetType = UNSET


DEV = ({"kind": "account", "assertion": "dev"}, {"kind": "parent", "method": "dev"})
HISTORY = frozenset({ACCESS, ERASURE})  # whose an ad id was before is not its phone's to know
VOUCHES = frozenset({"attestation", "desk"})  # by more than the word of an app
MAX_CODED = 8  # identifiers of a call that a code is tried with
MAX_WORD = 256  # characters of what the desk notes
MAX_PROOFS = 4  # of one call: an account, its phone, a mailbox and a number
Stated = Mapping[str, Any]
ProofStated = Annotated[ProofOfControl | list[ProofOfControl] | None, Meta(description=f"one, or up to {MAX_PROOFS}")]


class AttestedPhone(NamedTuple):
    """What an attestation shows. `keys`: of the phone's ids; `account`: whose phone it is, where that is said."""

    keys: frozenset[bytes]
    account: Subject | None


class ProofShown(NamedTuple):
    """Whom the proofs of a call show. `unread`: it cannot be told of each just now, for one is good for one call."""

    account: Subject | None = None
    phone: AttestedPhone | None = None
    unread: bool = False


class ProofOpened(NamedTuple):
    """Whose yes it is, by what could be verified of what was stated, which nobody reads a second time. `vouched`: keys
    of those whom an attestation or the desk showed; `had`: those that an account's proof alone shows, which has them,
    with the account's key; `parents`: those for whom a parent speaks, with the method by which it is known as one;
    `accounts`: keys of those that an assertion, or an attestation beside its ids, names.
    """

    whose: tuple[Subject, ...]
    vouched: frozenset[bytes] = frozenset()
    had: Mapping[bytes, bytes] = {}
    parents: Mapping[bytes, str] = {}
    accounts: frozenset[bytes] = frozenset()

    @property
    def method(self) -> str:
        """By which method a parent is known who speaks for everybody whose yes it is (16 CFR 312.5(b)); empty: it is
        no parent's yes.
        """
        methods = [self.parents.get(each.key, "") for each in self.whose]
        return methods[0] if methods and all(methods) else ""


class ProofRead(NamedTuple):
    """Whom one proof shows; `account`: by what an account has; `owner`: whose phone it is by an attestation; `method`:
    by a parent, known by it.
    """

    whose: tuple[Subject, ...] = ()
    account: Subject | None = None
    method: str = ""
    owner: Subject | None = None


class Proofs:
    """Verifies the proofs of a call. `dev` accepts the development proofs, which are of everybody."""

    def __init__(
        self,
        consent: Consent,
        codes: Codes,
        signed: tuple[Assertions, Assertions],
        installations: Installations,
        *,
        dev: bool = False,
    ) -> None:
        self._consent = consent
        self._codes = codes
        self._assertions, self._attestations = signed
        self._installations = installations
        self._dev = dev

    async def of(
        self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str, act: bytes = b""
    ) -> tuple[Subject, ...]:
        """Those of the subjects that are proved, at least one. `use`: what for; a code is good for one alone. `act`:
        what makes a repeated call the same one, where something does. Raises `Problem`, `Refused` for a code that is
        wrong or over, `StoreUnavailable`.
        """
        proved = (await self._of(stated, key, subjects, use, act)).whose
        if not proved:
            raise Problem("proof_required", "no proof of control that can be verified", "/proof")
        return proved

    async def _of(self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str, act: bytes) -> ProofOpened:
        if self.is_dev(stated):
            method = str(_first(stated, "parent").get("method", ""))
            return ProofOpened(tuple(subjects), parents={each.key: method for each in subjects})
        proved, vouched, had, parents = set[bytes](), set[bytes](), dict[bytes, bytes](), dict[bytes, str]()
        accounts = set[bytes]()
        for each in listed(stated):
            read = await self._read(each, key, subjects, use, act)
            shown = {subject.key for subject in read.whose}
            has = {one: read.account.key for one in shown if one != read.account.key} if read.account else {}
            had |= has
            proved |= shown - has.keys()
            vouched |= shown if str(each.get("kind")) in VOUCHES else set()
            parents |= dict.fromkeys(shown, read.method) if read.method else {}
            accounts |= {each.key for each in (read.account, read.owner) if each}
        whose = tuple(subject for subject in subjects if subject.key in proved or subject.key in had)
        had = {one: by for one, by in had.items() if one not in proved}
        return ProofOpened(whose, frozenset(vouched), had, parents, frozenset(accounts))

    async def opening(
        self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str, act: bytes = b""
    ) -> ProofOpened:
        """Whose yes it is: each of the subjects, proved; but of ids of a phone that only its device token shows the
        installation's, which opens for itself alone and never the precise location. Whether it opens anything is not
        told by taking it. Raises `Problem`, `Refused`, `StoreUnavailable`.
        """
        opened = await self._of(stated, key, subjects, use, act)
        left = [each for each in subjects if each not in opened.whose]
        if not left:
            return opened
        phone, (purpose, recipient) = self._installation(stated), opted_into(use)
        its_own = phone and all(each.kind in OF_A_PHONE or each.key == phone.key for each in left)
        if not phone or not its_own or recipient or purpose in NOT_BY_TOKEN:
            raise Problem("proof_required", "the proof is not of every identifier that is named", "/proof")
        return opened._replace(whose=(*opened.whose, phone))

    def _installation(self, stated: object) -> Subject | None:
        token = self._installations.read(_first(stated, "device").get("token"))
        return self._installations.subject(token) if token else None

    def is_dev(self, stated: object) -> bool:
        """Whether it is a development proof, and they are taken."""
        return self._dev and stated in DEV

    async def shown(self, stated: object, act: bytes = b"") -> ProofShown:
        """Whom an assertion and an attestation among the proofs show."""
        found = ProofShown()
        with contextlib.suppress(StoreUnavailable):
            found = found._replace(account=await self._asserted(_first(stated, "account").get("assertion"), act))
            return found._replace(phone=await self._attested(_first(stated, "attestation").get("token"), act))
        return found._replace(unread=True)

    async def all(self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str, act: bytes = b"") -> None:
        """Raises `Problem` too where one of the subjects is not proved."""
        proved = await self.of(stated, key, subjects, use, act)
        if len(proved) != len(subjects):
            raise Problem("proof_required", "the proof is not of every identifier that is named", "/proof")

    async def tie(self, subjects: Sequence[Subject], account: Subject, shown: Collection[bytes]) -> int:
        """A proved account has these: for good what was shown, the rest by an app's word. Raises `StoreUnavailable`."""
        return await self._installations.tie(None, subjects, account, shown)

    async def or_desk(self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str) -> tuple[Subject, ...]:
        """The desk has looked at who asks; everybody else proves it in the call."""
        return tuple(subjects) if key.may("desk") else await self.of(stated, key, subjects, use)

    async def _read(self, stated: Stated, key: ApiKey, subjects: Sequence[Subject], use: str, act: bytes) -> ProofRead:
        match stated.get("kind"):
            case "account":
                account = await self._asserted(stated.get("assertion"), act)
                mine = (each for each in subjects if account and self._is_of(account, each, use))
                return ProofRead(tuple(mine), account)
            case "attestation":
                phone = await self._attested(stated.get("token"), act)
                ids = (each for each in subjects if phone and use not in HISTORY and each.key in phone.keys)
                return ProofRead(tuple(ids), owner=phone.account if phone else None)
            case "code":
                return ProofRead(await self._coded(stated, subjects, use))
            case "browser":
                return ProofRead(self._browsers(stated.get("cookie"), subjects))
            case "desk" if key.may("desk") and _is_word(stated.get("note")):
                return ProofRead(tuple(subjects))
            case "parent" if key.may("desk") and _is_word(stated.get("method")):
                return ProofRead(tuple(subjects), method=str(stated.get("method")))
            case _:
                return ProofRead()

    async def _asserted(self, stated: object, act: bytes) -> Subject | None:
        """The account, where the assertion was not used for another call. Raises `StoreUnavailable`."""
        found = self._assertions.read(stated, int(self._consent.clock().timestamp()))
        if found is None or not await self._installations.spend(found.jti, act):
            return None
        named = self._consent.people.name([{"type": "account", "value": found.account}])
        return named.subjects[0] if named.subjects else None

    def _is_of(self, account: Subject, subject: Subject, use: str) -> bool:
        """The account itself; for opting in also an id of a phone that it has by more than an app's word."""
        has = is_opting_in(use) and subject.kind in OF_A_PHONE and self._consent.checks.tied(account, subject)
        return has or subject.key == account.key

    async def _attested(self, stated: object, act: bytes) -> AttestedPhone | None:
        """The phone, where the attestation was not used for another call. Raises `StoreUnavailable`."""
        found = self._attestations.attestation(stated, int(self._consent.clock().timestamp()))
        if found is None or not await self._installations.spend(f"attestation\x00{found.jti}", act):
            return None
        people = self._consent.people
        ids = [each for each in people.name(found.ids).subjects if each.kind in OF_A_PHONE]
        account = people.name([{"type": "account", "value": found.account}]).subjects if found.account else ()
        return AttestedPhone(frozenset(each.key for each in ids), account[0] if account else None)

    async def _coded(self, stated: Stated, subjects: Sequence[Subject], use: str) -> tuple[Subject, ...]:
        """The one that the code was sent to: with any other a ticket means nothing and costs no try."""
        ticket, code = stated.get("ticket"), stated.get("code")
        if not (_is_word(ticket) and _is_word(code)):
            return ()
        over: CodeOver | None = None
        for subject in [each for each in subjects if each.kind in self._codes.kinds][:MAX_CODED]:
            try:
                await self._codes.enter(str(ticket), Bound(subject, use), str(code))
            except CodeOver as refused:
                over = refused
            else:
                return (subject,)
        if over:
            raise over
        return ()

    def _browsers(self, cookie: object, subjects: Sequence[Subject]) -> tuple[Subject, ...]:
        """The browser of a sealed cookie as it stands; the token that goes to the site proves nothing."""
        try:
            shown = seals.open_cookie(self._consent.secrets.seals, str(cookie))
        except seals.OpeningFailed:
            return ()
        own = self._consent.people.browser(shown.value).key if shown.value else b""
        found = [subject for subject in subjects if subject.key == own]
        return tuple(replace(each, unwritten=each.unwritten or shown.unwritten) for each in found)


def listed(stated: object) -> list[Stated]:
    """The proofs of a call: one, or a list of them."""
    several = stated[:MAX_PROOFS] if isinstance(stated, list) else [stated]
    return [each for each in several if isinstance(each, Mapping)]


def _first(stated: object, kind: str) -> Stated:
    """The first proof of a kind; empty where there is none."""
    return next((each for each in listed(stated) if each.get("kind") == kind), {})


def _is_word(stated: object) -> bool:
    return isinstance(stated, str) and 0 < len(stated.strip()) <= MAX_WORD


class ProvedDoor:
    """A door for the desk, and for whoever proves in the call whom it is about."""

    def __init__(self, consent: Consent, credentials: Credentials, proofs: Proofs) -> None:
        self._consent = consent
        self._credentials = credentials
        self._proofs = proofs
