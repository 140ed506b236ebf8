"""Installations of an app, for the doors of apps: which ids are one phone's, told by its device token, and what follows
from that (I8, R12, R26).

Any app key may say that some ids are one phone's, so that carries denials only. It ties them to an account whose
assertion comes beside them, as a claim: the account's no reaches them, and nothing comes back. What an id has from
another one whose standing the caller may not know is the same whatever stands there.
"""

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from gateway.choice.law import AGES
from gateway.consent import tokens
from gateway.consent.check import Checks
from gateway.consent.people import OF_A_PHONE, People
from gateway.consent.tokens import DeviceToken
from gateway.desk import recipients_to_tell
from gateway.fold.record import EVERYBODY
from gateway.keys import seals
from gateway.keys.seals import OpeningFailed
from gateway.keys.secret_files import Secrets
from gateway.ledger.acts import device_states, idempotency, links, records
from gateway.ledger.acts.device_states import PhoneFolded
from gateway.ledger.acts.folded_people import people_of
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import DIGEST, Subject, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.ledger.writer import Writer
from gateway.terms import ALL_PURPOSES, Purpose

SECONDS = 1.0  # how long an answer waits; the write goes on
CLAIMS, CLAIMED_IN = 12, timedelta(days=30)  # ids that an app's word ties to one account in that time
DAY = 86_400  # seconds
CLAIMED = "SELECT count(*) FROM link_event WHERE account = ? AND claimed AND NOT released AND until IS NULL AND at > ?"


@dataclass(frozen=True, slots=True)
class InstallationReading:
    """What a caller may know of the ids of a phone. `unread`: keys of ids whose standing it may not, for they are or
    were somebody's; `linked`: of those that some account has or had. `enough`: it was told of enough ids.
    """

    unread: frozenset[bytes] = frozenset()
    linked: frozenset[bytes] = frozenset()
    enough: bool = False


@dataclass(frozen=True, slots=True)
class AgeOfCall:
    """How old a call of an app says that its person is: the app (`stated`), and the operating system (`bracket`).
    `account` was proved; `attested`: keys of ids that somebody vouched for.
    """

    subjects: Sequence[Subject]
    account: Subject | None
    attested: Collection[bytes]
    stated: str | None
    bracket: str | None


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
            return tokens.open_device_token(self._secrets, stated) if isinstance(stated, str) else None
        except OpeningFailed:
            return None

    def text(self, token: DeviceToken) -> str:
        """The token as the app keeps it."""
        return tokens.seal_device_token(self._secrets, token)

    def subject(self, token: DeviceToken) -> Subject:
        """The phone itself."""
        return self._people.device(token.value)

    def told(
        self, token: DeviceToken, subjects: Sequence[Subject], proved: Collection[bytes], attested: Collection[bytes]
    ) -> tuple[DeviceToken, frozenset[bytes]]:
        """The token with the ids of a call, and those that it does not take in any more: somebody who tries out one id
        after the other learns of four in thirty days.
        """
        keys, day = [each.key for each in ids(subjects)], int(self._clock().timestamp()) // DAY
        taken = token.taken(keys, {*proved, *attested}, day)
        return token.with_reported(taken, attested, day), frozenset(keys) - set(taken)

    async def follow(self, token: DeviceToken, subjects: Sequence[Subject], reading: InstallationReading) -> None:
        """Each id is denied what the others are, those too that the token alone remembers; it ends once they are free,
        which nobody is told to be whom the caller may not know. While the ledger cannot be written everybody is denied,
        and the next call does it.
        """
        of_phone, phone = ids(subjects), self.subject(token)
        named = [key for each in of_phone for key in each.keys]
        everybody = [*phone.keys, *named, *token.others(())]
        every = [*of_phone, *(Subject(DIGEST, "", (key,)) for key in token.others(named))]
        if not every or not self._is_news(every, everybody, reading):
            return
        at = self._clock()

        def job(tx: Transaction) -> None:
            folded, around = PhoneFolded(tx, everybody, token.mark), (phone, of_phone, everybody, reading)
            owed = {each.key: _owed(folded, each, around) for each in every}
            due = {key: each.due for key, each in owed.items()}
            device_states.follow_installation(tx, every, due, token.mark, at, may_end=not reading.unread)
            for each in every:
                recipients_to_tell.tell_of_state(tx, each, owed[each.key].said, at)

        with contextlib.suppress(StoreUnavailable):
            await self._writer.commit(job, SECONDS)

    def _is_news(self, of_phone: Sequence[Subject], everybody: Collection[bytes], reading: InstallationReading) -> bool:
        """Whether the writer is to look: one id is denied what another is not, or has something from another."""
        own = [self._checks.standings_of(each.keys) for each in of_phone]
        rows = self._checks.standings_of(everybody)
        if rows is None:
            return False
        out = {purpose for row in rows for purpose in ALL_PURPOSES if row.denies(purpose)}
        if reading.unread:
            out = set(ALL_PURPOSES)
        return any(
            each is not None
            and (
                any(device_states.SOURCE in row.held for row in each)
                or bool(out - {purpose for row in each for purpose in ALL_PURPOSES if row.denies(purpose)})
            )
            for each in own
        )

    async def tie(
        self, token: DeviceToken | None, subjects: Sequence[Subject], account: Subject, whole: Collection[bytes]
    ) -> int:
        """An account that was proved has the ids of a phone, on the word of the app, but for those in `whole`, which
        somebody vouched for. Returns how many links changed; raises `StoreUnavailable` where no app waits for an answer
        (`token` None).
        """
        mine = [each for each in subjects if each.key in whole or each.kind in OF_A_PHONE]
        fresh = [each for each in mine if not self._has(account, each, whole=each.key in whole)]
        at = self._clock()

        def job(tx: Transaction) -> int:
            now, since = milliseconds(at), milliseconds(at - CLAIMED_IN)
            [lately] = tx.db.execute(CLAIMED, (account.key, since)).fetchone()
            claims = [each for each in fresh if each.key not in whole][: max(CLAIMS - lately, 0)]
            vouched = [each for each in fresh if each.key in whole]
            span = links.Span(now)
            changed = links.link_identifiers(tx, account, vouched, span, now) if vouched else 0
            return changed + (links.link_identifiers(tx, account, claims, span, now, claimed=True) if claims else 0)

        try:
            return await self._writer.commit(job, SECONDS) if fresh else 0
        except StoreUnavailable:
            if token is None:
                raise
            return 0

    def _has(self, account: Subject, subject: Subject, *, whole: bool) -> bool:
        found = self._checks.links_of(subject) or []
        return any(owner == account.key and live and not (whole and claimed) for owner, claimed, live in found)

    async def say_age(self, token: DeviceToken, said: AgeOfCall) -> int:
        """All that a call says of an age, at once: who says it for good takes the installation's word back, and between
        the two a child would have no age. Returns how many entries that took. Raises `StoreUnavailable`.
        """
        at, phone = self._clock(), self.subject(token)
        return await self._writer.commit(lambda tx: _say_age(tx, phone, token.mark, said, at))

    async def spend(self, jti: str, act: bytes) -> bool:
        """Whether what a backend signed was not used before, or for this very act. Raises `StoreUnavailable`."""
        now = milliseconds(self._clock())
        return await self._writer.commit(lambda tx: idempotency.spend(tx, jti, act, now))


class OwedNoes(NamedTuple):
    """What an id has from the others of its phone. `said`: by a person who is known, whose no its recipients hear;
    `due`: with what is the same whatever stands there, of which nobody hears.
    """

    said: frozenset[Purpose]
    due: frozenset[Purpose]


def _owed(
    phone: PhoneFolded,
    subject: Subject,
    around: tuple[Subject, Sequence[Subject], Sequence[bytes], InstallationReading],
) -> OwedNoes:
    """Where the standing of one of the others is not the caller's to know, everything is due, if the id is nobody's yet
    and the call names it, so that it tells nothing; and if an account has it, which says no for it, what the
    installation said itself.
    """
    itself, of_phone, everybody, reading = around
    others = [key for key in everybody if key not in subject.keys]
    strange = {key for each in of_phone if each.key in reading.unread for key in each.keys} | reading.unread
    known = [key for key in others if key not in strange]
    ids_of_phone = [key for key in everybody if key not in itself.keys]
    lifted = frozenset[Purpose]() if strange else phone.came_back(itself.key, ids_of_phone)
    own = phone.owed_by_itself(subject.key, itself.key) if strange else set[Purpose]()
    said = frozenset(phone.owed(subject.key, known, lifted) | own)
    tells = subject in of_phone and not strange.isdisjoint(others) and subject.key not in reading.linked
    return OwedNoes(said, frozenset(ALL_PURPOSES) if tells else said)


def _say_age(tx: Transaction, phone: Subject, mark: str, said: AgeOfCall, at: datetime) -> int:
    """Whose an id is, is looked up here: of another one's nothing is taken back."""
    slate, account, stated = people_of(tx, [each.key for each in said.subjects]).slate(), said.account, said.stated
    request, now = seals.new_event(at), milliseconds(at)
    tx.begun[request] = True
    has = {each.key for each in said.subjects if account and slate.edge(account.key, each.key).carries(now)}
    vouched = [each for each in said.subjects if each.key in said.attested or each.key in has]
    sure = [*([account] if account else []), *(each for each in vouched if each != account)]
    own = [each for each in ids(said.subjects) if each not in sure]
    written, word = [], said.bracket
    if stated and sure:
        written += [
            records.take_back_age(tx, each, mark, at, request) for each in ([phone, *own] if account else [phone])
        ]
        written += [records.take_back_age(tx, each, EVERYBODY, at, request) for each in vouched]
        written += [records.say_age(tx, each, stated, at, request) for each in sure]
    else:
        word = min([each for each in (stated, said.bracket) if each], key=AGES.index, default=None)
    if word:  # it counts for whom no account has
        written += [records.say_age(tx, each, word, at, request, mark=mark) for each in (phone, *own)]
    return sum(each is not None for each in written)


def ids(subjects: Sequence[Subject]) -> list[Subject]:
    """Those of a phone and its apps; what a person has on several is not."""
    return [each for each in subjects if each.kind in OF_A_PHONE]
