"""The file that matters: what the gateway does with a choice, as verbs. Every door calls them.

    observe       a signal was heard: written where it changes something
    choose        a person (or the desk for one) decided: always written, durable before the answer
    link          the backend or the desk says what an account has
    tell          the operator says that people were shown or sent a notice
    say_age       somebody says how old a person is
    erase         the desk has a person forgotten; the opt-out stays
    void          the desk takes back what a screen that was no fair question had got
    standings_at  what stood on record at another moment, made again from the entries
    access        what is held about somebody and who received it, for whoever proved that it is them
    checks.check  may this data go? (consent/check.py, a plain function: rows by key, no queue, no thread hop)
    share         check, write as intended, check again, send (consent/share.py)

Knows no HTTP. Time, keys, law and recipients come in as arguments.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import orjson

from gateway.choice.recipient import Recipient
from gateway.choice.standing import LookupRefused
from gateway.consent import still_out as still_out_of
from gateway.consent import tokens as asked_of
from gateway.consent.asked import Ask, Explained, Then
from gateway.consent.check import Checks, said_by
from gateway.consent.choice_result import Chosen, Refused, may_ask_from, raise_unless_open
from gateway.consent.leases import Effectiveness, Leases
from gateway.consent.people import People
from gateway.consent.site import EVERY_SIGNAL, TOLD_BY_TOKEN
from gateway.consent.still_out import Still, YesRests
from gateway.desk import (
    access,
    agent_requests,
    answered_requests,
    documents,
    evidence,
    history,
    notices,
    recipients_to_tell,
)
from gateway.desk.agent_requests import AgentRequests
from gateway.desk.answered_requests import ACCESS, AnsweredRequest, HowItCame
from gateway.desk.emergency import Emergency, a_no_waits, enter_waiting
from gateway.desk.forgetting import erasure
from gateway.desk.history import Rebuilt
from gateway.desk.kept_request import KeptRequest, request_answer
from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys, Secrets
from gateway.ledger.acts import device_states, idempotency, links, office_acts, records
from gateway.ledger.acts.folded_people import people_of
from gateway.ledger.audit.log_reader import LogReader
from gateway.ledger.entry import Notice, b64
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.proof.receipt import Opening
from gateway.ledger.subjects import TIGHTENS, Choice, Subject, Written, choice_heard, every_reading, milliseconds
from gateway.ledger.transaction import Job, Transaction
from gateway.ledger.writer import Asks, Writer
from gateway.signals.heard import Heard, Said
from gateway.terms import CLOCKS_APART_MS, ChoiceKind, Erasing, NoticeKind, Purpose, Told

COUNT_SECONDS, ERASE_SECONDS = 0.5, 5.0  # how long a no, and an erasure, wait for counts of answers before
AT_ONCE = 16  # people of one request among those that are entered behind others
HEAR_SECONDS = 1.0  # how long a page waits for a signal to be written; the write goes on, and the page obeys anyway
CONFIRM_SECONDS = idempotency.CONFIRM_MINUTES * 60
AHEAD_MS = CLOCKS_APART_MS  # of a clock further ahead a first act would be good until its time


class ChoiceEntered(NamedTuple):
    """What became of a choice in its transaction: the answer to its Idempotency-Key, when each purpose was last opted
    out, and the position of the log behind it.
    """

    answer: bytes
    replayed: bool
    out_at: Mapping[Purpose, int]
    position: int


class Consent:
    """The verbs of one installation. Everything it needs is handed to it by the composition root."""

    def __init__(
        self,
        *,
        checks: Checks,
        people: People,
        writer: Writer,
        log_reader: LogReader,
        secrets: Secrets,
        clock: Callable[[], datetime],
        emergency: Emergency,
        later: Emergency,
        why: Callable[[], str],
        leases: Leases,
        counted: Callable[[float], Awaitable[None]],
        forgotten_by: Callable[[], datetime],
        asked: AgentRequests | None = None,
        send_window: timedelta = timedelta(milliseconds=250),
        effective_within: timedelta | None = None,
    ) -> None:
        self.checks = checks
        self.people = people
        self.secrets = secrets
        self.clock = clock
        self.send_window = send_window
        self.leases = leases
        self.effectiveness = Effectiveness(leases, clock, send_window, effective_within)
        self._writer = writer
        self.emergency, self.later = emergency, later
        self.kept = (emergency, later)
        self._why = why
        self.log_reader = log_reader
        # Waits, so long at most, until answers of before are counted: whoever got the id just now is told too.
        self._counted = counted
        self._forgotten_by = forgotten_by
        self._asked = asked or AgentRequests(secrets)

    @property
    def recipients(self) -> Mapping[str, Recipient]:
        return self.checks.recipients

    def keeps(self) -> bool:
        """Whether an opt-out that came now would be kept."""
        return self._writer.keeps()

    @property
    def refused(self) -> str:
        """Why no answer of the ledger may be trusted, with the command that helps; empty while all is well."""
        return self._why()

    async def observe(
        self,
        subjects: Sequence[Subject],
        heard: Heard,
        *,
        place: str = "",
        account: Subject | None = None,
        proved: Subject | None = None,
        mark: str = "",
        vouched: Collection[bytes] = (),
    ) -> int:
        """Writes what was heard for each subject that it changes, in one transaction, and ties a browser to the
        signed-in account: choices for everybody, states for devices and browsers alone. `proved`: the one whose
        states may end, where the others are only what a visitor's cookies say; without it all may. `mark`: of the
        installation of an app whose states these are; those of ids that somebody vouched for end whoever's they are.
        Returns how many entries that took. Raises `StoreUnavailable`.
        """
        at = self.clock()
        said = heard.to_remember()
        chosen = choice_heard(ChoiceKind.OPT_OUT, said, at, place) if said else None
        by = {"device": mark} if mark else {}
        began = [replace(choice_heard(ChoiceKind.STATE_BEGAN, each, at, place), details=by) for each in heard.states()]
        over = [Said(each, EVERY_SIGNAL) for each in sorted(heard.ended)]
        ended = [choice_heard(ChoiceKind.STATE_ENDED, each, at, place) for each in over]

        def job(tx: Transaction) -> tuple[int, int]:
            request = seals.new_event(at)
            tx.begun[request] = True
            everybody = every_reading(subjects)
            written = [
                recipients_to_tell.hear_and_tell(tx, subject, chosen, request) for subject in everybody if chosen
            ]
            for device in (subject for subject in subjects if subject.is_device):
                written += [device_states.begin_state(tx, device, state, request) for state in began]
                if proved is None or device.key == proved.key:
                    own = {} if device.key in vouched else by
                    written += [
                        device_states.end_state(tx, device, replace(state, details=own), request) for state in ended
                    ]
            links.tie(tx, account, subjects, milliseconds(at))
            return sum(entry is not None for entry in written), tx.position

        if chosen:
            await self._counted(COUNT_SECONDS)
        found, position = await self._writer.commit(job, HEAR_SECONDS)
        if ended:
            await self.leases.everywhere(position)
        return found

    async def bring(self, subjects: Sequence[Subject], *, alone: bool = False) -> None:
        """Writes what a browser's token alone denies; `alone`: see `Checks.joins`. Raises `StoreUnavailable`."""
        if self.checks.joins(subjects, alone=alone):
            await self.observe(subjects, TOLD_BY_TOKEN)

    async def tie(self, account: Subject, subjects: Sequence[Subject]) -> None:
        """The signed-in account has these browsers. Raises `StoreUnavailable`."""
        now, asks = milliseconds(self.clock()), {records.NAMED: [account.key]}
        await self._writer.commit(lambda tx: links.tie(tx, account, subjects, now), HEAR_SECONDS, asks)

    async def choose(
        self,
        subjects: Sequence[Subject],
        choice: Choice,
        *,
        key: str = "",
        body: bytes = b"",
        tie: bool = False,
        allow: Callable[[Transaction], None] | None = None,
        settle: bool = False,
    ) -> Chosen:
        """One entry for each subject, in one transaction, durable before this returns. `key` and `body`: the
        caller's Idempotency-Key and what it covers. `tie`: link what was listed to the account among it. `allow` may
        still refuse, in the transaction. What tightens is kept beside the ledger while that cannot be written, or does
        not answer: `Chosen.waits`. `settle`: wait for whoever answers from a copy, as for all that loosens where other
        machines answer; without it `effective_at` is the latest that it can be. Raises `StoreUnavailable`.
        """
        openings, given_up = list[Opening](), list[bool]()
        at, says_no = milliseconds(choice.at), choice.kind in TIGHTENS  # of which nobody has to look when it was said
        everybody = every_reading(subjects) if says_no else tuple(subjects)
        kept = KeptRequest(seals.new_event(choice.at), everybody, choice, idempotency.named(key, body), tie=tie)

        def act(tx: Transaction) -> bytes:
            if allow:
                allow(tx)
            tx.begun[kept.request] = True
            written = kept.enter(tx)
            openings[:] = [Opening(s.kind, s.value, item.opening) for s, item in zip(everybody, written, strict=True)]
            return request_answer(written)

        def job(tx: Transaction) -> ChoiceEntered:
            if given_up:  # it is kept beside the ledger, and entered from there
                raise StoreUnavailable("nobody waits for it any more")
            answer, replayed = idempotency.once(tx, kept.repeat, at, lambda: act(tx), no=says_no)
            out_at = (
                still_out_of.last_out(tx, subjects) if replayed or not says_no else dict.fromkeys(choice.purposes, at)
            )
            return ChoiceEntered(answer, replayed, out_at, tx.position)

        await self._before(subjects, says_no=says_no)
        entered = await self._entered(job, kept.asks if says_no else {}, keepable=says_no and not allow)
        if entered is None:
            given_up.append(True)
            return await self._keep(kept)
        settle = settle or (self.leases.shared and not says_no)
        times = await self.effectiveness.of_committed(entered.position, settle=settle)
        return self._chosen(entered, subjects, choice, times, openings)

    async def _before(self, subjects: Sequence[Subject], *, says_no: bool) -> None:
        """What comes on record before a choice of these people. Raises `StoreUnavailable`."""
        try:
            await self.bring(subjects, alone=not says_no)
        except StoreUnavailable:
            if not says_no:
                raise
            await self.keep_heard(subjects, TOLD_BY_TOKEN)  # as the choice is: nobody may name them together again
        if says_no:
            await self._counted(COUNT_SECONDS)

    async def _entered(self, job: Job[ChoiceEntered], asks: Asks, *, keepable: bool) -> ChoiceEntered | None:
        """None: nothing was written, or nobody knows: kept beside the ledger it is entered once, whichever it was."""
        try:
            if not (keepable and self._writer.hangs()):
                return await self._writer.commit(job, asks=asks, hasty=keepable)
        except StoreUnavailable:
            if not keepable:
                raise
        return None

    def _chosen(
        self, entered: ChoiceEntered, subjects: Sequence[Subject], choice: Choice,
        times: tuple[datetime, datetime], openings: Sequence[Opening],
    ) -> Chosen:  # fmt: skip
        seen = self.checks.seen(subjects)
        return Chosen(
            tuple([{"event": event, "seq": seq} for event, seq in orjson.loads(entered.answer)]),
            *times,
            said_by(seen and seen.alike, choice.purposes),
            {str(purpose): may_ask_from(entered.out_at.get(purpose)) for purpose in choice.purposes},
            entered.replayed,
            tuple(subjects),
            choice.place,
            tuple(openings),  # none of a replay: the act was not done again
            seen,
        )

    async def keep_heard(self, subjects: Sequence[Subject], heard: Heard, *, place: str = "") -> Chosen:
        """A signal's no, kept beside the ledger. Raises `StoreUnavailable`: states of a device are told again."""
        said = heard.to_remember()
        if said is None:
            raise StoreUnavailable("nothing was kept")
        choice = choice_heard(ChoiceKind.OPT_OUT, said, self.clock(), place)
        return await self._keep(KeptRequest(seals.new_event(choice.at), every_reading(subjects), choice, signal=True))

    async def choose_later(
        self, subjects: Sequence[Subject], choice: Choice, *, key: str = "", body: bytes = b""
    ) -> tuple[dict[str, object], ...]:
        """A no of more people than a caller who proves nothing may have entered at once: durable when this returns, and
        entered behind whatever else there is to write, each time that it is sent. An event for each part. Raises
        `StoreUnavailable`.
        """
        parts = enumerate(_parts(subjects))
        named = [(part, idempotency.named(f"{key}:part {number}" if key else "", body)) for number, part in parts]
        kept = [KeptRequest(seals.new_event(choice.at), part, choice, repeat) for part, repeat in named]
        await self.later.keep_beside(*kept)
        return tuple({"event": b64(each.request), "seq": None} for each in kept)

    async def hear_later(self, subjects: Sequence[Subject], heard: Heard, *, place: str = "") -> bool:
        """The same of a choice among signals; whether there is one. Raises `StoreUnavailable`."""
        said = heard.to_remember()
        if said is None:
            return False
        choice = choice_heard(ChoiceKind.OPT_OUT, said, self.clock(), place)
        kept = [KeptRequest(seals.new_event(choice.at), part, choice, signal=True) for part in _parts(subjects)]
        await self.later.keep_beside(*kept)
        return True

    async def _keep(self, kept: KeptRequest) -> Chosen:
        """Durable in the emergency file: everybody is denied on this host until it is entered (`Emergency.lies`)."""
        await self.emergency.keep_beside(kept)
        purposes = [purpose.value for purpose in kept.choice.purposes]
        events: tuple[dict[str, object], ...] = () if kept.signal else ({"event": b64(kept.request), "seq": None},)
        standing, may_ask = dict.fromkeys(purposes, "opted_out"), dict[str, str | None].fromkeys(purposes)
        return Chosen(events, kept.choice.at, None, standing, may_ask, subjects=kept.subjects, place=kept.choice.place)

    async def silence(
        self, subjects: Sequence[Subject], purposes: Sequence[Purpose], standing: Mapping[str, str] | None = None
    ) -> dict[str, str | None]:
        """From when each purpose may be asked about again; see `choice_result.silence`. `standing`: what holds for
        them, if that is more than the subjects say themselves. Raises `StoreUnavailable`.
        """
        out_at, read = await self._writer.commit(
            lambda tx: (still_out_of.last_out(tx, subjects), still_out_of.by_reading_alone(tx, subjects, purposes))
        )
        standing = standing or self.checks.read_back(subjects, purposes)
        standing = {name: word for name, word in standing.items() if name not in read}
        return still_out_of.silence(standing, out_at, purposes, milliseconds(self.clock()))

    async def last_out(self, subjects: Sequence[Subject]) -> dict[Purpose, int]:
        """When each purpose was last opted out, in Unix milliseconds. Raises `StoreUnavailable`."""
        return await self._writer.commit(lambda tx: still_out_of.last_out(tx, subjects))

    async def still_out(self, subjects: Sequence[Subject], purposes: Sequence[Purpose]) -> list[Still]:
        """Each no that still holds for what was proved, and what would end it. Raises `StoreUnavailable`."""
        states = self.checks.read_back(subjects, purposes)
        denied = [purpose for purpose in purposes if states[purpose.value] == "opted_out"]
        if not denied:
            return []
        return await self._writer.commit(lambda tx: still_out_of.still_out(tx, subjects, denied), HEAR_SECONDS)

    async def out_after(self, subjects: Sequence[Subject], purpose: Purpose, at: datetime) -> bool:
        """Whether an opt-out of a purpose came since a moment. Raises `StoreUnavailable`."""
        since = milliseconds(at)
        return await self._writer.commit(lambda tx: still_out_of.out_after(tx, subjects, purpose, since))

    async def notice(self, sha256: bytes) -> Notice | None:
        """A document that was logged before, or None."""
        return await self._writer.commit(lambda tx: documents.find_notice(tx, sha256))

    async def is_screen(self, ui: str) -> bool:
        """Whether the copy of a screen was logged before."""
        return await self._writer.commit(lambda tx: documents.is_screen(tx, ui))

    async def speaks_of_signal(self, sha256: bytes) -> bool:
        """Whether a logged notice tells of a signal that is on, so that a yes on it is informed (11 CCR 7025(c)(3))."""
        return await self._writer.commit(lambda tx: documents.is_kind(tx, sha256, documents.DESPITE_SIGNAL))

    async def log(self, shown: Sequence[documents.Document]) -> None:
        """Logs documents, each once."""
        at = self.clock()

        def job(tx: Transaction) -> None:
            for document in shown:
                documents.log(tx, document, at)

        await self._writer.commit(job)

    def may_open(self, subjects: Sequence[Subject], ui: str) -> None:
        """Raises `Refused` where no yes is asked for: on a screen that was no fair question, below the age floor; and
        `StoreUnavailable` where that cannot be told, for then the person may ask again.
        """
        try:
            voided, too_young = bool(ui) and self.checks.voided(ui), self.checks.too_young(subjects)
        except LookupRefused:
            raise StoreUnavailable("the ledger gives no answer at this moment") from None
        raise_unless_open(voided=voided, too_young=too_young)

    def _judge(self, tx: Transaction, subjects: Sequence[Subject], choice: Choice) -> None:
        """The same of a yes, in the transaction that writes it: whatever this process knew before."""
        people = people_of(tx, keys := [key for subject in subjects for key in subject.keys])
        standings = [people.standing(key, milliseconds(choice.at)) for key in keys]
        too_young = self.checks.are_too_young(standings, choice)
        raise_unless_open(voided=office_acts.is_void(tx, choice.ui), too_young=too_young)

    def ask_to_confirm(self, subjects: Sequence[Subject], choice: Choice) -> tuple[str, datetime]:
        """The first act of opting in: a token that the second act brings back. Sealed, since it holds the
        identifiers; nothing is written, so one act alone changes nothing (R4, L48).
        """
        if len(choice.purposes) != 1 or not subjects:
            raise Refused("one_purpose", "opting in names exactly one purpose and at least one identifier")
        position, log = self.checks.position(), self.checks.log()
        if position is None or log is None:
            raise StoreUnavailable("the ledger gives no answer at this moment")
        self.may_open(subjects, choice.ui)
        token = asked_of.seal_first_act(self.secrets, subjects, choice, position, log)
        return token, choice.at + timedelta(seconds=CONFIRM_SECONDS)

    def asked(self, token: str) -> asked_of.OptInAsked:
        """What a first act asked for. Raises `Refused`."""
        return asked_of.open_first_act(self.secrets, token)

    async def confirm(
        self,
        token: str,
        notice: Notice,
        *,
        key: str = "",
        body: bytes = b"",
        method: str = "",
        vouched: Collection[bytes] = (),
        rests: YesRests | None = None,
    ) -> Chosen:
        """The second act: writes the opt-in. `notice`: of its own text; `method`: by which a parent was known.
        `vouched`: keys of whom an attestation or the desk showed, so that ids of a phone are tied by other people's
        apps no more, and rid of what others' other ids brought them. `rests`: what is looked up again as it writes.
        """
        asked = self.asked(token)
        if asked.notice == notice.sha256.hex():
            raise Refused("notice_required", "confirming shows a text of its own, not the first one again")
        subjects, now, rests = asked.subjects, self.clock(), rests or YesRests()
        choice = asked_of.confirm_asked(asked, notice, now, method)
        waits = await asyncio.to_thread(a_no_waits, self.kept, (*subjects, *rests.beneath), choice.purposes)

        def allow(tx: Transaction) -> None:
            """Behind a replay: a yes that may be taken, a token in time, of this log, used once and not superseded."""
            accounts = {*rests.accounts, *(subject.key for subject in subjects if subject.is_account)}
            mine = [each for each in subjects if each.key in vouched]
            for subject in mine:  # before it is judged: whose account an app had tied to it may be a child's
                links.disclaim(tx, subject, accounts, milliseconds(now))
            reach = 0 if choice.recipient else self.checks.parents_reach(choice)  # no grant shows whose it is
            if choice.parental and not records.know_children(tx, subjects, now, reach):
                raise Refused("proof_required", "whoever is old enough by the law says yes themselves (L71)")
            self._judge(tx, subjects, choice)
            age = milliseconds(now) - milliseconds(asked.choice.at)
            if not -AHEAD_MS <= age <= CONFIRM_SECONDS * 1000 or asked.log != tx.log:
                raise Refused("confirm_expired", f"a confirm token is good for {CONFIRM_SECONDS // 60} minutes")
            idempotency.use_token(tx, token, milliseconds(now))
            still_out_of.raise_where_overtaken(tx, asked, rests, milliseconds(now), waits=waits)
            for subject in mine:
                device_states.lift_state(tx, subject, asked.purpose, now)

        return await self.choose(subjects, choice, key=key, body=body, allow=allow)

    async def keep_programme(
        self, account: Subject, choice: Choice, made: datetime | None, *, key: str = "", body: bytes = b""
    ) -> Chosen:
        """A programme that somebody did not leave when they were asked, `made` then; refused where they said no since,
        as for `confirm`.
        """
        waits = await asyncio.to_thread(a_no_waits, self.kept, [account], choice.purposes)

        def allow(tx: Transaction) -> None:
            self._judge(tx, [account], choice)
            later = made and any(still_out_of.out_after(tx, [account], p, milliseconds(made)) for p in choice.purposes)
            if waits or later:
                raise Refused("superseded", "an opt-out of this purpose came after the act")

        return await self.choose([account], choice, key=key, body=body, allow=allow)

    async def link(
        self, account: Subject | None, identifiers: Sequence[Subject], span: links.Span, *, released: bool = False
    ) -> links.LinksTold:
        """Ties identifiers to an account, or lets them go; of what waits about them see `desk.late_noes`."""
        now = milliseconds(self.clock())
        if account and not released:
            await self.bring((account, *identifiers))

        def job(tx: Transaction) -> tuple[links.LinksTold, int]:
            return links.tell_links(tx, None if released else account, identifiers, span, now), tx.position

        told, position = await self._writer.commit(job, asks={records.NAMED: [account.key] if account else []})
        await self.leases.everywhere(position)
        return told

    async def tell(self, subjects: Sequence[Subject], notice: NoticeKind, day: date, outcome: Told) -> int:
        """These people were shown or sent a notice on a day, or it bounced. Returns how many entries that took; raises
        ValueError for a day to come.
        """
        request = seals.new_event(at := self.clock())

        def job(tx: Transaction) -> int:
            return len([notices.note_told(tx, subject, notice, day, outcome, at, request) for subject in subjects])

        return await self._writer.commit(job)

    async def say_age(self, subjects: Sequence[Subject], band: str, *, may_rise: bool = False) -> int:
        """How old these people are. Returns for how many that was news. Raises ValueError for a word that is none."""
        request = seals.new_event(at := self.clock())

        def job(tx: Transaction) -> int:
            written = [records.say_age(tx, subject, band, at, request, may_rise=may_rise) for subject in subjects]
            return sum(entry is not None for entry in written)

        return await self._writer.commit(job)

    async def erase(self, order: erasure.ErasureOrder) -> Written:
        """Forgets, and returns once that is done; see `erasure.carry_out`. An agent's request for it is fulfilled."""
        await self._counted(ERASE_SECONDS)
        now = milliseconds(self.clock())
        await enter_waiting(self._writer, self.kept, order.subjects)

        def ahead(tx: Transaction) -> erasure.Follows:
            waiting = self._asked.waiting(tx, order.subjects, now)
            return lambda done: self._asked.forgotten(tx, waiting, done.event, now)

        written = await erasure.carry_out(self._writer, order, ahead)
        if order.mode is Erasing.UNLINK:
            await self.leases.all_of_now()
        return written

    async def forgotten_by(self) -> datetime:
        """Until when at the latest anything that a file or a backup may still hold of what was erased by now opens."""
        return await asyncio.to_thread(self._forgotten_by)

    async def void_consents(self, ui: str, reason_sha256: bytes) -> int:
        """Takes back what was consented to on a screen. Returns how many consents there were; 0 where it was void."""
        at = self.clock()
        voided = await self._writer.commit(lambda tx: office_acts.void_consents(tx, ui, reason_sha256, at))
        count, whose = await asyncio.to_thread(office_acts.consented_on, self._writer.store, ui)
        for job in recipients_to_tell.void_passed_on(whose, at):
            await self._writer.commit(job)
        return count if voided else 0

    async def explain(self, ask: Ask, moment: datetime | None = None) -> tuple[dict[str, Explained], Then | None]:
        """An explanation a recipient; what stood on record at a moment that is named. Raises `StoreUnavailable`."""
        then = None
        if moment is not None:
            found = await self.standings_at(self.checks.name(ask), moment)
            held = await asyncio.to_thread(evidence.read_held_then, self._writer.store, moment)
            then = Then(moment.date(), found.position, found.standings, found.grants, held, found.forgotten)
        try:
            return self.checks.explain(ask, then), then
        except LookupRefused:
            raise StoreUnavailable("the ledger gives no answer at this moment; a check would deny") from None

    async def standings_at(self, subjects: Sequence[Subject], moment: datetime, *, holders: bool = False) -> Rebuilt:
        """What stood on record of these people at a moment; forms that may be somebody else's only deny. `holders`: as
        far as whoever proved control of these now may know it. Raises `StoreUnavailable`.
        """
        keys = [key for subject in subjects for key in subject.keys]
        looser = [key for subject in subjects for key in subject.looser]
        store = self._writer.store
        found = await asyncio.to_thread(history.standings_at, store, keys, moment, self.clock() if holders else None)
        if found.forgotten == history.ANOTHERS:
            return found
        beside = await asyncio.to_thread(history.standings_at, store, looser, moment) if looser else None
        tightening = [standing.denies_only() for standing in beside.standings] if beside else []
        forgotten = found.forgotten.joined(beside.forgotten) if beside else found.forgotten
        return replace(found, standings=(*found.standings, *tightening), forgotten=forgotten)

    async def access(
        self, proved: Sequence[Subject], came: HowItCame | None = None, *, themselves: bool = False
    ) -> access.AccessReport:
        """What is held about whoever proved these identifiers. `came`: they asked for it, which is counted; None:
        somebody else looks. `themselves`: who proved them sees it, and agents' requests for it are fulfilled. Raises
        `StoreUnavailable`.
        """
        now = self.clock()
        found = await asyncio.to_thread(access.read_access, self._writer.store, proved, now)
        persons = found.persons

        def open_counted(tx: Transaction) -> dict[bytes, PersonKeys]:
            if came is not None and proved:
                days = (came.received or now).astimezone(UTC).date(), now.astimezone(UTC).date()
                answered_requests.count_answered(
                    tx.db, AnsweredRequest(ACCESS, *days, manner=came.manner, place=came.place)
                )
            if themselves:
                self._asked.fulfil(tx, proved, agent_requests.ACCESS, milliseconds(now))
            return {person: tx.persons.keys(person) for person in persons}

        return access.unseal_access(found, await self._writer.commit(open_counted))

    async def note_answered(self, asked: AnsweredRequest) -> None:
        """That a request was answered of which nothing else is written. Raises `StoreUnavailable`."""
        await self._writer.commit(lambda tx: answered_requests.count_answered(tx.db, asked))


def _parts(subjects: Sequence[Subject]) -> list[tuple[Subject, ...]]:
    """In requests small enough that none holds the writer long, each with all that its numbers are read as."""
    return [every_reading(subjects[start : start + AT_ONCE]) for start in range(0, len(subjects), AT_ONCE)]
