"""What opens, and what takes away, is judged in the transaction that writes it: what this process knew before may be
another batch's, another process's or another machine's to change.
"""

import asyncio

import pytest
from support import inside
from support.people import GAID, email, named, phone

from gateway.app.composition import open_house
from gateway.choice.law import AGES
from gateway.consent import tokens, verbs
from gateway.consent.asked import Ask
from gateway.consent.choice_result import Refused
from gateway.consent.installations import AgeOfCall, Installations
from gateway.consent.still_out import YesRests
from gateway.desk import emergency
from gateway.desk.documents import Document
from gateway.desk.emergency import Intake, waiting_of
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.kept_request import KeptRequest
from gateway.disk import locked
from gateway.keys.seals import new_event, unb64
from gateway.ledger.acts import idempotency, records
from gateway.ledger.acts.links import Span
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import milliseconds
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, DataClass, Erasing, Purpose, Reason

pytestmark = pytest.mark.anyio
SHOWN = Document("opt-in", "1", "en", b"You are about to opt in.\n").notice
CHILD, TEEN, GROWN = AGES[0], AGES[1], AGES[-1]


@pytest.fixture(params=["16"])
def house(folder, clock, request):
    with open_house(folder, inside.settings(age__floor=request.param), dev=True, clock=clock) as opened:
        yield opened


@pytest.fixture
def account(who):
    return who("account", "a")


@pytest.fixture
def unwaited(monkeypatch):
    """A link hands the writer its end at once, and does not look in another thread before for what waits."""

    async def nothing_waits(*_):
        pass

    monkeypatch.setattr(verbs, "enter_waiting", nothing_waits)


async def behind(first, second):
    """What becomes of the second of two, which the writer is handed at once and in this order."""
    begun = asyncio.create_task(first)
    await asyncio.sleep(0)
    try:
        return await second
    finally:
        await begun


async def refused(first, second):
    with pytest.raises(Refused) as found:
        await behind(first, second)
    return found.value.kind


def state(consent, subject, purpose=Purpose.SALE):
    return consent.checks.read_back([subject], [purpose])[purpose]


class TestAYes:
    async def test_to_a_programme_is_none_of_a_child_whose_age_is_on_its_way(self, consent, account, said):
        keep = consent.keep_programme(account, said("keep_programme", recipient="miles"), None)
        assert await refused(consent.say_age([account], CHILD), keep) == "too_young"
        assert consent.checks._lookup.grants([account.key]) == []

    async def test_to_a_programme_is_none_on_a_screen_whose_void_is_on_its_way(self, consent, account, said):
        keep = consent.keep_programme(account, said("keep_programme", recipient="miles", ui="dark"), None)
        assert await refused(consent.void_consents("dark", bytes(32)), keep) == "notice_required"

    async def test_to_a_programme_that_was_meant_before_the_last_no_is_none(self, consent, clock, account, said):
        made = clock.now
        clock.later(seconds=1)
        keep = said("keep_programme", SIGNAL_PURPOSES, recipient="miles")
        assert (
            await refused(consent.choose([account], said()), consent.keep_programme(account, keep, made))
            == "superseded"
        )
        clock.later(seconds=1)
        await consent.keep_programme(account, keep, clock.now)

    async def test_of_a_browser_is_none_while_its_account_says_no_though_nothing_ties_them(
        self, consent, who, account, said
    ):
        browser = consent.people.browser("0" * 31 + "1")
        token, _ = consent.ask_to_confirm([browser], said("opt_in"))
        yes = consent.confirm(token, SHOWN, rests=YesRests(beneath=[account]))
        assert await refused(consent.choose([account], said()), yes) == "superseded"
        assert state(consent, browser) == "none"

    @pytest.mark.usefixtures("unwaited")
    async def test_by_an_accounts_proof_is_none_for_an_id_that_it_has_no_more(self, consent, clock, who, account, said):
        phones_id, now = who("gaid", GAID), milliseconds(clock.now)
        await consent.choose([phones_id], said())
        await consent.link(account, [phones_id], Span(now - 1))
        for end in (False, True):
            token, _ = consent.ask_to_confirm([phones_id], said("opt_in"))
            yes = consent.confirm(token, SHOWN, rests=YesRests({phones_id.key: account.key}))
            if end:
                assert await refused(consent.link(account, [phones_id], Span(now - 1, now)), yes) == "proof_required"
            else:
                await yes
                await consent.choose([phones_id], said())
        assert state(consent, phones_id) == "opted_out"

    @pytest.mark.usefixtures("unwaited")
    async def test_of_a_number_is_none_once_it_went_back_after_it_was_asked_for(
        self, consent, clock, who, account, said
    ):
        number = who("phone", phone(1))
        token, _ = consent.ask_to_confirm([number], said("opt_in"))
        back = consent.link(account, [number], Span(0), released=True)
        assert await refused(back, consent.confirm(token, SHOWN)) == "proof_required"
        assert state(consent, number) == "none"
        token, _ = consent.ask_to_confirm([number], said("opt_in"))  # its next holder's
        await consent.confirm(token, SHOWN)
        assert state(consent, number) == "opted_in"

    @pytest.mark.parametrize("house", ["0"], indirect=True)
    async def test_of_a_child_is_a_parents_alone_where_no_floor_is(self, consent, account, said):
        token, _ = consent.ask_to_confirm([account], said("opt_in"))
        assert await refused(consent.say_age([account], CHILD), consent.confirm(token, SHOWN)) == "too_young"
        assert state(consent, account) == "none"
        keep = consent.keep_programme(account, said("keep_programme", recipient="miles"), None)
        with pytest.raises(Refused, match="parent"):
            await keep
        token, _ = consent.ask_to_confirm([account], said("opt_in", parental=True))
        with pytest.raises(Refused, match="a parent confirms"):
            await consent.confirm(token, SHOWN)
        await consent.confirm(token, SHOWN, method="a signed form")
        assert state(consent, account) == "opted_in"

    @pytest.mark.parametrize("house", ["0"], indirect=True)
    async def test_of_a_parent_puts_on_record_that_it_is_a_child_and_is_over_at_thirteen(
        self, consent, who, account, said
    ):
        phones_id = who("gaid", GAID)
        await consent.link(account, [phones_id], Span(0))
        token, _ = consent.ask_to_confirm([phones_id, account], said("opt_in", parental=True))
        await consent.confirm(token, SHOWN, method="a signed form")
        assert [consent.checks.band([each]) for each in (phones_id, account)] == [CHILD, CHILD]
        assert [state(consent, each) for each in (phones_id, account)] == ["opted_in", "opted_in"]
        for band in (TEEN, GROWN):
            await consent.say_age([account], band, may_rise=True)
            assert [consent.checks.band([each]) for each in (phones_id, account)] == [band, band]
            assert [state(consent, each) for each in (phones_id, account)] == ["none", "none"]
            token, _ = consent.ask_to_confirm([account], said("opt_in", parental=True))
            with pytest.raises(Refused, match="themselves"):
                await consent.confirm(token, SHOWN, method="a signed form")
        token, _ = consent.ask_to_confirm([account], said("opt_in"))
        await consent.confirm(token, SHOWN)
        assert state(consent, account) == "opted_in"

    @pytest.mark.parametrize("house", ["0"], indirect=True)
    async def test_to_one_recipient_is_shown_as_none_once_it_is_known_to_be_a_childs(self, consent, account, said):
        teemo = said("opt_in", recipient="teemo", data_class=DataClass.PRECISE_GEO)
        token, _ = consent.ask_to_confirm([account], teemo)
        await consent.confirm(token, SHOWN)
        assert consent.checks.granted([account], "teemo", Purpose.SALE, "US-NY")
        await consent.say_age([account], TEEN)
        for place, theirs in (("US-NY", True), ("DE", False)):
            assert consent.checks.granted([account], "teemo", Purpose.SALE, place) is theirs
        await consent.say_age([account], CHILD)
        assert not consent.checks.granted([account], "teemo", Purpose.SALE, "US-NY")

    @pytest.mark.parametrize("house", ["0"], indirect=True)
    async def test_of_a_parent_to_one_recipient_is_taken_for_a_child_alone(self, consent, account, said):
        """Whose such a yes was nobody sees later, so it would become the teen's own."""
        for band in (TEEN, CHILD):
            await consent.say_age([account], band)
            teemo = said("opt_in", recipient="teemo", data_class=DataClass.PRECISE_GEO, parental=True, place="DE")
            token, _ = consent.ask_to_confirm([account], teemo)
            if band == CHILD:
                await consent.confirm(token, SHOWN, method="a signed form")
            else:
                with pytest.raises(Refused, match="themselves"):
                    await consent.confirm(token, SHOWN, method="a signed form")

    async def test_of_a_parent_is_none_below_the_floor_and_says_no_age(self, consent, account, said):
        token, _ = consent.ask_to_confirm([account], said("opt_in", parental=True))
        with pytest.raises(Refused, match="floor"):
            await consent.confirm(token, SHOWN, method="a signed form")
        assert (state(consent, account), consent.checks.band([account])) == ("none", GROWN)

    @pytest.mark.parametrize("house", ["0"], indirect=True)
    @pytest.mark.parametrize(
        ("place", "band", "taken"),
        [
            ("DE", TEEN, False), ("CA-QC", TEEN, False), ("DE", AGES[2], True), ("US-NY", TEEN, True),
            ("CA-ON", TEEN, True), ("DE,US-OR", TEEN, False), ("unknown", TEEN, True), ("", TEEN, True),
        ],
    )  # fmt: skip
    async def test_where_the_law_wants_a_parents_ones_own_is_not_taken(
        self, consent, account, said, place, band, taken
    ):
        await consent.say_age([account], band)
        token, _ = consent.ask_to_confirm([account], said("opt_in", place=place))
        if taken:
            await consent.confirm(token, SHOWN)
        else:
            with pytest.raises(Refused, match="parent"):
                await consent.confirm(token, SHOWN)
        assert state(consent, account) == ("opted_in" if taken else "none")

    @pytest.mark.parametrize("house", ["0"], indirect=True)
    @pytest.mark.parametrize("purpose", [Purpose.PROFILING, Purpose.THIRD_PARTY_MARKETING])
    async def test_where_no_place_is_named_is_left_to_the_verdict(self, consent, account, said, purpose):
        """The strictest law of anywhere is nobody's own."""
        await consent.say_age([account], TEEN)
        token, _ = consent.ask_to_confirm([account], said("opt_in", (purpose,)))
        await consent.confirm(token, SHOWN)
        assert state(consent, account, purpose) == "opted_in"

    @pytest.mark.parametrize("house", ["0"], indirect=True)
    @pytest.mark.parametrize(
        ("place", "band", "taken"),
        [
            ("DE", TEEN, True), ("GB", TEEN, True), ("CH", TEEN, True), ("CA-QC", TEEN, True), ("DE,US-OR", TEEN, True),
            ("DE", AGES[2], False), ("DE", GROWN, False), ("US-NY", TEEN, False), ("", TEEN, False),
        ],
    )  # fmt: skip
    async def test_of_a_parent_is_taken_for_whom_the_law_wants_one(self, consent, account, said, place, band, taken):
        await consent.say_age([account], band)
        token, _ = consent.ask_to_confirm([account], said("opt_in", parental=True, place=place))
        if taken:
            await consent.confirm(token, SHOWN, method="a signed form")
        else:
            with pytest.raises(Refused, match="themselves"):
                await consent.confirm(token, SHOWN, method="a signed form")
        asked = Ask(("teemo",), [named("account", "a")], "sale", ("ad_id",), place.partition(",")[0])
        assert (consent.checks.check(asked).verdicts["teemo"].reason is Reason.OPTED_IN) is taken


class TestAnAgeOfAnApp:
    """An age that comes with the account's proof takes an installation's word back."""

    @pytest.fixture
    def known(self, house, consent, clock):
        return Installations(consent.checks, consent.people, house.writer, consent.secrets, clock)

    @pytest.fixture
    def token(self):
        return tokens.new()

    @staticmethod
    def band(consent, subject):
        return consent.checks.band([subject])

    @pytest.mark.parametrize("house", ["0"], indirect=True)
    @pytest.mark.parametrize("place", ["US-CA", "DE"])
    @pytest.mark.parametrize("word", [CHILD, TEEN])
    @pytest.mark.parametrize("before", [False, True], ids=["after the yes", "before it"])
    async def test_that_nobody_proved_reopens_no_yes_of_a_parent(
        self, consent, known, token, who, said, place, word, before
    ):
        """R14: of an ad id that no account has; a correction of the desk's does."""
        phones_id = who("gaid", GAID)
        if before:
            await known.say_age(token, AgeOfCall([phones_id], None, (), CHILD, None))
        begun, _ = consent.ask_to_confirm([phones_id], said("opt_in", parental=True))
        await consent.confirm(begun, SHOWN, method="a signed form")
        await consent.say_age([phones_id], GROWN, may_rise=True)
        await known.say_age(token, AgeOfCall([phones_id], None, (), word, None))
        asked = Ask(("teemo",), [named("gaid", GAID)], "sale", ("ad_id",), place)
        assert state(consent, phones_id) == "none"
        assert consent.checks.check(asked).verdicts["teemo"].reason is Reason.OPT_IN_REQUIRED
        await consent.say_age([phones_id], CHILD, may_rise=True)
        assert state(consent, phones_id) == "opted_in"

    async def test_is_never_missing_between_the_word_and_the_proved_one(
        self, house, consent, known, token, who, account, monkeypatch
    ):
        """Whoever is cut off at any place leaves the one or the other."""
        phones_id = who("gaid", GAID)
        await known.say_age(token, AgeOfCall([phones_id], None, (), CHILD, None))
        await known.tie(token, [phones_id], account, ())
        commit, left = house.writer.commit, [1]

        async def once(job, *more, **named):
            if not left:
                raise StoreUnavailable("cut off")
            left.pop()
            return await commit(job, *more, **named)

        monkeypatch.setattr(house.writer, "commit", once)
        assert await known.say_age(token, AgeOfCall([phones_id, account], account, (), TEEN, None)) > 1
        monkeypatch.undo()
        assert self.band(consent, phones_id) == TEEN

    @pytest.mark.parametrize("house", ["0"], indirect=True)
    async def test_is_proved_by_the_parents_yes(self, consent, known, token, who, said):
        """As the word has it, and taken back with no word any more."""
        phones_id = who("gaid", GAID)
        await known.say_age(token, AgeOfCall([phones_id], None, (), TEEN, None))
        begun, _ = consent.ask_to_confirm([phones_id], said("opt_in", parental=True, place="DE"))
        await consent.confirm(begun, SHOWN, method="a signed form")
        await consent.say_age([phones_id], AGES[2], may_rise=True)
        proved = await consent._writer.commit(
            lambda tx: records.people_of(tx, [phones_id.key]).slate().row(phones_id.key).age
        )
        assert (proved.band, proved.youngest) == (AGES[2], TEEN)

    @pytest.mark.usefixtures("unwaited")
    async def test_takes_no_word_from_an_id_that_the_account_has_no_more(
        self, consent, known, token, clock, who, account
    ):
        phones_id, other, now = who("gaid", GAID), tokens.new(), milliseconds(clock.now)
        await known.say_age(other, AgeOfCall([phones_id], None, (), CHILD, None))
        await consent.link(account, [phones_id], Span(now - 1))
        grown = known.say_age(token, AgeOfCall([phones_id, account], account, (), GROWN, None))
        await behind(consent.link(account, [phones_id], Span(now - 1, now)), grown)

        words = await consent._writer.commit(
            lambda tx: records.people_of(tx, [phones_id.key]).slate().row(phones_id.key).words
        )
        assert words == {other.mark: CHILD}


class TestWhatIsKeptBesideTheLedger:
    """Entered later, and at most once: nothing of it comes back behind an erasure."""

    @pytest.fixture(autouse=True)
    def in_the_tests_own_time(self, monkeypatch):
        monkeypatch.setattr(Intake, "enter_later", lambda _: True)

    @staticmethod
    async def rows(house, subject):
        def count(tx):
            [details] = tx.db.execute("SELECT count(*) FROM detail WHERE key = ?", (subject.key,)).fetchone()
            return details

        return await house.writer.commit(count)

    @staticmethod
    def unlink(consent, *subjects):
        return consent.erase(ErasureOrder(Erasing.UNLINK, subjects, consent.clock()))

    async def test_is_not_entered_once_more_behind_an_unlink(self, house, consent, who, said):
        """Its file is emptied once no more comes, and until then all its lines are looked at again."""
        mail = who("email", email(1))
        await consent.choose_later([mail], said(purposes=ALL_PURPOSES))
        [kept] = await asyncio.to_thread(waiting_of, [consent.later], mail.keys)
        assert await house.writer.commit(kept.enter_once)
        assert await self.rows(house, mail) == 1
        await self.unlink(consent, mail)
        assert await self.rows(house, mail) == 0
        assert not await house.writer.commit(kept.enter_once)
        assert await self.rows(house, mail) == 0
        assert state(consent, mail) == "none"

    async def test_goes_in_before_whoever_it_is_about_is_forgotten(self, house, consent, who, said):
        mail, number = who("email", email(1)), who("phone", phone(1))
        await consent.choose_later([mail, number], said())
        [kept] = await asyncio.to_thread(waiting_of, [consent.emergency, consent.later], mail.keys)
        await self.unlink(consent, mail)
        assert not await house.writer.commit(kept.enter_once)
        assert [await self.rows(house, each) for each in (mail, number)] == [0, 1]
        assert [state(consent, each) for each in (mail, number)] == ["none", "opted_out"]

    async def test_of_a_number_goes_in_before_its_account_is_forgotten_and_stays_with_what_that_had(
        self, consent, clock, who, account, said
    ):
        number, phones_id = who("phone", phone(1)), who("gaid", GAID)
        await consent.link(account, [number, phones_id], Span(milliseconds(clock())))
        clock.later(hours=1)
        await consent.choose_later([number], said())
        await self.unlink(consent, account)
        assert [state(consent, each) for each in (number, phones_id)] == ["opted_out", "opted_out"]

    async def test_of_what_another_one_ties_to_the_forgotten_goes_in_behind_that_one(
        self, consent, clock, who, account, said
    ):
        number, phones_id = who("phone", phone(1)), who("gaid", GAID)
        await consent.link(account, [phones_id], Span(milliseconds(clock())))
        clock.later(hours=1)
        tying = KeptRequest(new_event(clock()), (account, number), said(), tie=True)
        its_own = KeptRequest(new_event(clock()), (number,), said(purposes=[Purpose.PROFILING]))
        for each in (tying, its_own):
            await asyncio.to_thread(consent.later.keep, each)
        await self.unlink(consent, account)
        assert state(consent, phones_id, Purpose.PROFILING) == "opted_out"

    @pytest.mark.parametrize("how", ["released", "ended"])
    async def test_is_its_old_holders_where_what_it_names_passed_to_somebody_else(
        self, house, consent, clock, who, account, said, how
    ):
        """And not the next one's (R5), once two clocks that differ cannot say otherwise."""
        number, phones_id, other = who("phone", phone(1)), who("gaid", GAID), who("account", "b")
        await consent.link(account, [number, phones_id], Span(milliseconds(clock())))
        clock.later(hours=1)
        for file, purpose in ((consent.emergency, Purpose.SALE), (consent.later, Purpose.PROFILING)):
            kept = KeptRequest(new_event(clock()), (number,), said(purposes=[purpose]))
            await file.keep_beside(kept)
        clock.later(minutes=6)
        now = milliseconds(clock())
        if how == "released":
            await consent.link(None, [number], Span(now), released=True)
            await consent.link(other, [number], Span(now))
        else:
            await consent.link(account, [number], Span(now, now))
        await self.take_in(house, consent)
        while state(consent, number) == "unknown":  # until the next proof
            await asyncio.sleep(0.05)
        for purpose in (Purpose.SALE, Purpose.PROFILING):
            states = [state(consent, each, purpose) for each in (account, phones_id, number, other)]
            assert states == ["opted_out", "opted_out", "opted_out", "none"]

    async def test_that_was_no_news_is_not_entered_behind_an_unlink(self, house, consent, who, said):
        mail = who("email", email(1))
        await consent.choose([mail], said())
        heard = KeptRequest(new_event(consent.clock()), (mail,), said(), signal=True)
        await consent.later.keep_beside(heard)
        await self.unlink(consent, mail)
        assert not await house.writer.commit(heard.enter_once)
        assert state(consent, mail) == "none"

    async def test_that_another_sending_wrote_is_not_entered_behind_an_unlink(self, house, consent, who, said):
        mail, key = who("email", email(1)), idempotency.named("key", b"body")
        first, second = (KeptRequest(new_event(consent.clock()), (mail,), said(), key) for _ in range(2))
        assert await house.writer.commit(first.enter_once)
        await consent.later.keep_beside(second)
        await self.unlink(consent, mail)
        assert not await house.writer.commit(second.enter_once)
        assert state(consent, mail) == "none"
        assert await asyncio.to_thread(consent.log_reader.receipts, [second.request]) == [None]

    @pytest.mark.parametrize("when", ["entered", "behind"])
    async def test_that_is_sent_again_after_a_yes_is_a_no_of_now(
        self, house, consent, clock, who, said, monkeypatch, when
    ):
        """Its first sending was answered, and the person opted in since: told as opted out, it must not be a replay."""
        mail, key = who("email", email(1)), {"key": "key", "body": b"body"}
        if when == "entered":
            await consent.choose([mail], said(), **key)
        else:
            await consent.choose_later([mail], said(), **key)
            await self.take_in(house, consent)
        clock.later(seconds=1)
        token, _ = consent.ask_to_confirm([mail], said("opt_in"))
        await consent.confirm(token, SHOWN)
        assert state(consent, mail) == "opted_in"
        clock.later(seconds=1)
        if when == "entered":
            with monkeypatch.context() as hanging:
                hanging.setattr(consent._writer, "hangs", lambda: True)
                [event] = (await consent.choose([mail], said(), **key)).events
        else:
            [event] = await consent.choose_later([mail], said(), **key)
        await self.take_in(house, consent)
        while (found := state(consent, mail)) == "unknown":  # until the next proof
            await asyncio.sleep(0.05)
        assert found == "opted_out"
        [receipt] = await asyncio.to_thread(consent.log_reader.receipts, [unb64(event["event"])])
        assert receipt is not None

    async def test_that_two_processes_kept_of_one_act_comes_to_be_under_both_ids(
        self, house, consent, clock, who, said
    ):
        """Each of them told its caller of one."""
        mail, kept = who("email", email(1)), []
        for _ in range(2):
            clock.later(seconds=1)
            repeat = idempotency.named("key", b"body")
            kept.append(KeptRequest(new_event(clock.now), (mail,), said(), repeat))
        for each in (*kept, *kept):
            await house.writer.commit(each.enter_once)
        assert None not in await asyncio.to_thread(consent.log_reader.receipts, [each.request for each in kept])
        assert await self.rows(house, mail) == 2

    @staticmethod
    async def take_in(house, consent):
        """What waits is entered."""
        for file in consent.kept:
            read = await asyncio.to_thread(file.read)
            for _, kept in read.requests:
                await house.writer.commit(kept.enter_once)
            await asyncio.to_thread(file.clear, read)

    async def test_is_entered_ahead_of_an_erasure_in_parts(self, house, consent, who, said, monkeypatch):
        mail, parts = who("email", email(1)), []
        entered = emergency.enter_for_good
        monkeypatch.setattr(emergency, "AT_ONCE", 2)
        monkeypatch.setattr(
            emergency, "enter_for_good", lambda tx, requests: parts.append(len(requests)) or entered(tx, requests)
        )
        await consent.later.keep_beside(
            *(KeptRequest(new_event(consent.clock()), (mail,), said()) for _ in range(3)),
        )
        await self.unlink(consent, mail)
        assert parts == [2, 1]
        assert state(consent, mail) == "none"

    @pytest.mark.parametrize("ahead", [False, True], ids=["behind", "ahead"])
    async def test_is_a_later_word_than_a_yes_that_was_asked_for_before(self, house, consent, who, said, ahead):
        mail = who("email", email(1))
        token, _ = consent.ask_to_confirm([mail], said("opt_in"))
        file = consent.emergency if ahead else consent.later
        await file.keep_beside(kept := KeptRequest(new_event(consent.clock()), (mail,), said()))
        with pytest.raises(Refused) as refused:
            await consent.confirm(token, SHOWN)
        assert refused.value.kind == "superseded"
        if not ahead:  # else it may be entered by now
            assert await house.writer.commit(kept.enter_once)
            assert state(consent, mail) == "opted_out"

    async def test_is_a_later_word_than_a_programme_that_was_kept(self, consent, account, said):
        await consent.choose_later([account], said(purposes=SIGNAL_PURPOSES))
        with pytest.raises(Refused) as refused:
            await consent.keep_programme(account, said("keep_programme", SIGNAL_PURPOSES, recipient="miles"), None)
        assert refused.value.kind == "superseded"

    async def test_is_no_word_against_a_yes_of_somebody_else_or_to_another_purpose(self, consent, who, said):
        mail, other = who("email", email(1)), who("email", email(2))
        await consent.choose_later([other], said())
        await consent.choose_later([mail], said(purposes=[Purpose.PROFILING]))
        token, _ = consent.ask_to_confirm([mail], said("opt_in"))
        await consent.confirm(token, SHOWN)
        assert state(consent, mail) == "opted_in"

    async def test_that_cannot_be_read_keeps_an_erasure_waiting(self, consent, who, said, monkeypatch):
        mail = who("email", email(1))
        await consent.choose_later([mail], said())

        def fails(path, **more):
            if path.name == consent.later.path.name:
                raise OSError(5, "no disk")
            return locked(path, **more)

        monkeypatch.setattr(emergency, "locked", fails)
        with pytest.raises(StoreUnavailable):
            await self.unlink(consent, mail)
