"""Installations of an app: which ids are one phone's, told by its device token; what follows from that, and what it
proves (I8, R12, R26).

Any app key may say that some ids are one phone's, so that carries denials only. What opens, and what ties an id to an
account, is for an id that the installation named before anybody else did; and of an opt-out that stands on it, for what
was said with the same token. Knows no HTTP.
"""

import contextlib
import hashlib
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from gateway import device_token
from gateway.check import Checks
from gateway.choice.identity import kinds
from gateway.device_token import DeviceToken
from gateway.keys import Secrets
from gateway.ledger import idempotency, installation, links
from gateway.ledger.records import Subject, milliseconds
from gateway.ledger.writer import StoreUnavailable, Transaction, Writer
from gateway.people import People
from gateway.seals import Opening
from gateway.terms import ALL_PURPOSES, Purpose

OF_A_PHONE = frozenset({*kinds.UUIDS, *kinds.DEVICES})
SECONDS = 1.0  # how long an answer waits; the write goes on


class Installations:
    """Reads and makes tokens; writes what follows from them."""

    def __init__(
        self, checks: Checks, people: People, writer: Writer, secrets: Secrets, clock: Callable[[], datetime]
    ) -> None:
        self._checks = checks
        self._people = people
        self._writer = writer
        self._secrets = secrets
        self._clock = clock

    def read(self, stated: object) -> DeviceToken | None:
        """None where it is none of ours."""
        try:
            return device_token.unseal(self._secrets, stated) if isinstance(stated, str) else None
        except Opening:
            return None

    def text(self, token: DeviceToken) -> str:
        """The token as the app keeps it."""
        return device_token.seal(self._secrets, token)

    def subject(self, token: DeviceToken) -> Subject:
        """The phone itself."""
        return self._people.device(token.value)

    def told(self, token: DeviceToken, subjects: Sequence[Subject]) -> DeviceToken:
        """The token with the ids of a call. Asked before anything is written about them: an id is the installation's
        own where nobody named it before.
        """
        of_phone = ids(subjects)
        fresh = [(each.key, token.owns(each.key) or self._is_new(token, each)) for each in of_phone]
        return token.with_reported(fresh)

    def _is_new(self, token: DeviceToken, subject: Subject) -> bool:
        known = any(key == subject.key for key, _ in token.reported)
        return not known and self._checks.is_new(subject)

    async def follow(self, token: DeviceToken, subjects: Sequence[Subject], account: Subject | None) -> None:
        """Each id is denied what the others are; it ends for ids that are the installation's own, or those of the
        account that was proved. While the ledger cannot be written everybody is denied, and the next call does it.
        """
        of_phone, phone = ids(subjects), self.subject(token)
        everybody = [*phone.keys, *(key for each in of_phone for key in each.keys), *token.others(())]
        if not of_phone or not self._is_news(of_phone, everybody):
            return
        free = [
            each.key for each in of_phone
            if token.owns(each.key) or (account and self._checks.tied(account, each))
        ]  # fmt: skip
        at = self._clock()
        with contextlib.suppress(StoreUnavailable):
            await self._writer.commit(lambda tx: installation.follow(tx, of_phone, everybody, free, at), SECONDS)

    def _is_news(self, of_phone: Sequence[Subject], everybody: Collection[bytes]) -> bool:
        """Whether the writer is to look: one id is denied what another is not, or has something from another."""
        own = [self._checks.standings_of(each.keys) for each in of_phone]
        rows = self._checks.standings_of(everybody)
        if rows is None:
            return False
        out = {purpose for row in rows for purpose in ALL_PURPOSES if row.denies(purpose)}
        return any(
            each is not None
            and (
                any(installation.SOURCE in row.held for row in each)
                or bool(out - {purpose for row in each for purpose in ALL_PURPOSES if row.denies(purpose)})
            )
            for each in own
        )

    async def tie(self, token: DeviceToken, subjects: Sequence[Subject], account: Subject, *, all_: bool) -> None:
        """A proved account has the installation's own ids. `all_`: whatever is named (development)."""
        mine = [each for each in ids(subjects) if all_ or token.owns(each.key)]
        fresh = [each for each in mine if not self._checks.tied(account, each)]
        if not fresh:
            return
        now, mark = milliseconds(self._clock()), mark_of(token)

        def job(tx: Transaction) -> None:
            links.tie(tx, account, [e for e in fresh if all_ or installation.took_back(tx, e, mark, None)], now)

        with contextlib.suppress(StoreUnavailable):
            await self._writer.commit(job, SECONDS)

    async def proved(
        self, token: DeviceToken, subjects: Sequence[Subject], purpose: Purpose | None
    ) -> tuple[Subject, ...]:
        """Those of the subjects that a token proves for lifting a purpose; None: for any. Raises `StoreUnavailable`."""
        phone = self.subject(token).key
        likely = [each for each in subjects if each.key == phone or token.owns(each.key)]

        def job(tx: Transaction) -> tuple[Subject, ...]:
            mark = mark_of(token)
            return tuple(
                each for each in likely if each.key == phone or installation.took_back(tx, each, mark, purpose)
            )

        return await self._writer.commit(job) if likely else ()

    async def spend(self, jti: str, act: bytes) -> bool:
        """Whether an app's assertion was not used before, or for this very act. Raises `StoreUnavailable`."""
        now = milliseconds(self._clock())
        return await self._writer.commit(lambda tx: idempotency.spend(tx, jti, act, now))


def ids(subjects: Sequence[Subject]) -> list[Subject]:
    """Those of a phone and its apps; what a person has on several is not."""
    return [each for each in subjects if each.kind in OF_A_PHONE]


def mark_of(token: DeviceToken) -> str:
    """By which a choice remembers, in its sealed details, the token that it was made with."""
    return hashlib.sha256(b"device\x00" + token.device).hexdigest()[:32]
