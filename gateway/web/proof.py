"""Proof of control in a call: who may see and open what is a person's own (R4, R5, R12).

A proof is of certain identifiers, and proves those of the call and no other: `code` the mailbox or number that it was
sent to, `browser` the one browser whose sealed cookie it brings, `account` the account that the operator's backend
asserts, `device` an installation's own ids, for opting in alone. With scope desk somebody vouches: `desk` (who looked
at what), `parent` (by which method). A list of proofs proves what each does. Nothing here tells whether an identifier
is known (V25).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway import seals
from gateway.assertions import Assertions
from gateway.codes import Bound, CodeOver, Codes
from gateway.consent import Consent
from gateway.credentials import ApiKey
from gateway.installations import Installations
from gateway.ledger.records import Subject
from gateway.ledger.writer import StoreUnavailable
from gateway.terms import Purpose
from gateway.web.problem import Problem

KINDS = frozenset({"account", "device", "code", "browser", "desk", "parent"})
DEV = ({"kind": "account", "assertion": "dev"}, {"kind": "parent", "method": "dev"})
ACCESS, ERASURE = "access", "erasure"  # what a code is good for, beside opting in
MAX_CODED = 8  # identifiers of a call that a code is tried with
MAX_WORD = 256  # characters of what the desk notes
MAX_PROOFS = 4  # of one call: an account, its phone, a mailbox and a number
Stated = Mapping[str, Any]


def opting_in(purpose: Purpose, recipient: str = "") -> str:
    """The use of a code for opting in: to one purpose, and where one is named for one recipient."""
    return f"opt_in:{purpose}:{recipient}" if recipient else f"opt_in:{purpose}"


def is_opting_in(use: str) -> bool:
    return use.startswith("opt_in:")


def opted_into(use: str) -> tuple[str, str]:
    """(purpose, recipient or nothing) of such a use."""
    purpose, _, recipient = use.removeprefix("opt_in:").partition(":")
    return purpose, recipient


class Proofs:
    """Verifies. `dev` accepts the development proofs, which are of everybody."""

    def __init__(
        self, consent: Consent, codes: Codes, assertions: Assertions, installations: Installations, *,
        dev: bool = False,
    ) -> None:  # fmt: skip
        self._consent = consent
        self._codes = codes
        self._assertions = assertions
        self._installations = installations
        self._dev = dev

    async def of(
        self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str, act: bytes = b""
    ) -> tuple[Subject, ...]:  # fmt: skip
        """Those of the subjects that are proved, at least one. `use`: what for; a code is good for one alone. `act`:
        what makes a repeated call the same one, where something does. Raises `Problem`, `Refused` for a code that is
        wrong or over, `StoreUnavailable`.
        """
        if self.is_dev(stated):
            return tuple(subjects)
        proved = dict[bytes, Subject]()
        for each in listed(stated):
            proved |= {subject.key: subject for subject in await self._read(each, key, subjects, use, act)}
        if not proved:
            raise Problem("proof_required", "no proof of control that can be verified", "/proof")
        return tuple(subject for subject in subjects if subject.key in proved)

    def is_dev(self, stated: object) -> bool:
        """Whether it is a development proof, and they are taken."""
        return self._dev and stated in DEV

    async def signed_in(self, stated: object, act: bytes = b"") -> Subject | None:
        """The account that an assertion among the proofs shows; None without one, and while that cannot be told."""
        for each in listed(stated):
            if each.get("kind") == "account":
                try:
                    return await self._asserted(each.get("assertion"), act)
                except StoreUnavailable:
                    return None
        return None

    async def all(self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str, act: bytes = b"") -> None:
        """Raises `Problem` too where one of the subjects is not proved."""
        proved = await self.of(stated, key, subjects, use, act)
        if len(proved) != len(subjects):
            raise Problem("proof_required", "the proof is not of every identifier that is named", "/proof")

    async def or_desk(
        self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str
    ) -> tuple[Subject, ...]:  # fmt: skip
        """The desk has looked at who asks; everybody else proves it in the call."""
        return tuple(subjects) if key.may("desk") else await self.of(stated, key, subjects, use)

    async def _read(
        self, stated: Stated, key: ApiKey, subjects: Sequence[Subject], use: str, act: bytes
    ) -> tuple[Subject, ...]:
        match stated.get("kind"):
            case "account":
                account = await self._asserted(stated.get("assertion"), act)
                return tuple(each for each in subjects if account and each.key == account.key)
            case "device":
                return await self._installed(stated.get("token"), subjects, use)
            case "code":
                return await self._coded(stated, subjects, use)
            case "browser":
                return self._browsers(stated.get("cookie"), subjects)
            case "desk":
                return tuple(subjects) if key.may("desk") and _is_word(stated.get("note")) else ()
            case "parent":
                return tuple(subjects) if key.may("desk") and _is_word(stated.get("method")) else ()
            case _:
                return ()

    async def _asserted(self, stated: object, act: bytes) -> Subject | None:
        """The account, where the assertion was not used for another call. Raises `StoreUnavailable`."""
        found = self._assertions.read(stated, int(self._consent.clock().timestamp()))
        if found is None or not await self._installations.spend(found.jti, act):
            return None
        named = self._consent.people.name([{"type": "account", "value": found.account}])
        return named.subjects[0] if named.subjects else None

    async def _installed(self, stated: object, subjects: Sequence[Subject], use: str) -> tuple[Subject, ...]:
        """Not for what shows or forgets a person: whose an ad id was before is not the phone's to know."""
        token = self._installations.read(stated)
        if token is None or use in {ACCESS, ERASURE}:
            return ()
        purpose = Purpose(opted_into(use)[0]) if is_opting_in(use) else None
        return await self._installations.proved(token, subjects, purpose)

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
            value = seals.open_cookie(self._consent.secrets.seals, str(cookie)).value
        except seals.Opening:
            return ()
        own = self._consent.people.browser(value).key if value else b""
        return tuple(subject for subject in subjects if subject.key == own)


def listed(stated: object) -> list[Stated]:
    """The proofs of a call: one, or a list of them."""
    several = stated[:MAX_PROOFS] if isinstance(stated, list) else [stated]
    return [each for each in several if isinstance(each, Mapping)]


def _is_word(stated: object) -> bool:
    return isinstance(stated, str) and 0 < len(stated.strip()) <= MAX_WORD
