"""Proof of control in a call: who may see and open what is a person's own (R4, R5, R12).

A proof is of certain identifiers, and proves those of the call and no other: `code` the mailbox or number that it was
sent to, `browser` the one browser whose sealed cookie it brings. With scope desk somebody vouches: `desk` (who looked
at what), `parent` (by which method). Nothing here tells whether an identifier is known (V25).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway import seals
from gateway.codes import Bound, CodeOver, Codes
from gateway.consent import Consent
from gateway.credentials import ApiKey
from gateway.ledger.records import Subject
from gateway.terms import Purpose
from gateway.web.problem import Problem

DEV = ({"kind": "account", "assertion": "dev"}, {"kind": "parent", "method": "dev"})
ACCESS, ERASURE = "access", "erasure"  # what a code is good for, beside opting in
MAX_CODED = 8  # identifiers of a call that a code is tried with
MAX_WORD = 256  # characters of what the desk notes
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

    def __init__(self, consent: Consent, codes: Codes, *, dev: bool = False) -> None:
        self._consent = consent
        self._codes = codes
        self._dev = dev

    async def of(self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str) -> tuple[Subject, ...]:
        """Those of the subjects that are proved, at least one. `use`: what for; a code is good for one alone. Raises
        `Problem`, `Refused` for a code that is wrong or over, `StoreUnavailable`.
        """
        if self._dev and stated in DEV:
            return tuple(subjects)
        proved = await self._read(stated, key, subjects, use) if isinstance(stated, Mapping) else ()
        if not proved:
            raise Problem("proof_required", "no proof of control that can be verified", "/proof")
        return proved

    async def all(self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str) -> None:
        """Raises `Problem` too where one of the subjects is not proved."""
        proved = await self.of(stated, key, subjects, use)
        if len(proved) != len(subjects):
            raise Problem("proof_required", "the proof is not of every identifier that is named", "/proof")

    async def or_desk(
        self, stated: object, key: ApiKey, subjects: Sequence[Subject], use: str
    ) -> tuple[Subject, ...]:  # fmt: skip
        """The desk has looked at who asks; everybody else proves it in the call."""
        return tuple(subjects) if key.may("desk") else await self.of(stated, key, subjects, use)

    async def _read(self, stated: Stated, key: ApiKey, subjects: Sequence[Subject], use: str) -> tuple[Subject, ...]:
        match stated.get("kind"):
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


def _is_word(stated: object) -> bool:
    return isinstance(stated, str) and 0 < len(stated.strip()) <= MAX_WORD
