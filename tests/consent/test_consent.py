import asyncio
import json
from datetime import datetime, timedelta
from hashlib import sha256

import anyio
import pytest
from support import inside
from support.people import GAID, IDFV, email, named, phone

from gateway.app.composition import open_house
from gateway.choice.law import AGES
from gateway.consent.asked import Ask
from gateway.consent.choice_result import Refused
from gateway.consent.verbs import CONFIRM_SECONDS
from gateway.desk.documents import Document
from gateway.keys.seals import new_browser
from gateway.ledger.acts.idempotency import Used
from gateway.ledger.acts.links import Span
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice, milliseconds
from gateway.signals.hear import from_call
from gateway.signals.heard import Heard, KeptFor, Said
from gateway.terms import (
    ALL_PURPOSES,
    SIGNAL_PURPOSES,
    ChoiceKind,
    DataClass,
    NoticeKind,
    Purpose,
    Source,
    Told,
)

pytestmark = pytest.mark.anyio
SHOWN = Document("opt-in", "1", "en", b"You are about to opt in.\n")
FULL = frozenset(SIGNAL_PURPOSES)
GPC = Heard((Said(Source.GPC, FULL),))
LIMITED, LIFTED = from_call({"lmt": 1}), from_call({"lmt": 0})


@pytest.fixture
def house(folder, clock):
    with open_house(folder, inside.settings(), dev=True, clock=clock) as opened:
        yield opened


@pytest.fixture
def mail(who):
    return who("email", email(1))


def state(consent, subject, purpose=Purpose.SALE):
    return consent.checks.read_back([subject], [purpose])[purpose]


async def bodies(house):
    rows = await house.writer.commit(lambda tx: tx.db.execute("SELECT body FROM entry ORDER BY seq").fetchall())
    return [json.loads(body) for (body,) in rows]


class TestARequest:
    async def test_is_written_every_time_with_an_event_of_its_own(self, house, consent, mail, said):
        chosen = [await consent.choose([mail], said()) for _ in range(3)]
        assert len({each.events[0]["event"] for each in chosen}) == 3
        assert [each.events[0]["seq"] for each in chosen] == [0, 1, 2]
        assert [body["e"] for body in await bodies(house)] == ["opt_out"] * 3
        assert not any(each.replayed for each in chosen)

    async def test_of_two_identifiers_is_two_entries_of_one_moment(self, house, consent, mail, who, said):
        chosen = await consent.choose([mail, who("phone", phone(1))], said())
        assert [event["seq"] for event in chosen.events] == [0, 1]
        assert [event["event"] for event in chosen.events] == [body["i"] for body in await bodies(house)]

    async def test_denies_the_moment_it_is_answered(self, consent, mail, said):
        chosen = await consent.choose([mail], said(purposes=ALL_PURPOSES))
        assert chosen.standing == {purpose.value: "opted_out" for purpose in ALL_PURPOSES}
        verdict = consent.checks.check(Ask(("teemo",), [named("email", email(1))], place="US-NY")).verdicts["teemo"]
        assert (verdict.reason, verdict.allowed, verdict.partly) == ("opted_out", False, False)

    async def test_is_in_effect_one_send_window_after_it_was_accepted(self, consent, clock, mail, said):
        chosen = await consent.choose([mail], said())
        assert chosen.accepted_at == clock.now
        lasts = chosen.effective_at - chosen.accepted_at  # with the time of looking whether anybody answers from before
        assert timedelta(milliseconds=250) <= lasts < timedelta(seconds=5)

    async def test_is_not_followed_by_a_question_for_twelve_months(self, consent, mail, said):
        chosen = await consent.choose([mail], said())
        assert chosen.may_ask_from == {"sale": "2027-11-24T12:00:00Z"}

    @pytest.mark.parametrize(
        ("said_on", "asked_from"),
        [
            ("2027-02-28", "2028-02-28"),
            ("2027-03-01", "2028-03-01"),
            ("2028-02-29", "2029-03-01"),
            ("2028-12-31", "2029-12-31"),
        ],
    )
    async def test_is_not_followed_by_one_a_day_early_where_a_leap_day_lies_between(
        self, consent, clock, mail, said, said_on, asked_from
    ):
        clock.now = datetime.fromisoformat(f"{said_on}T12:00:00Z")
        chosen = await consent.choose([mail], said())
        assert chosen.may_ask_from == {"sale": f"{asked_from}T12:00:00Z"}

    async def test_links_nothing_that_was_only_named_together(self, consent, who, mail, said):
        number = who("phone", phone(1))
        await consent.choose([mail, number], said())
        await consent.choose([number], said(purposes=[Purpose.PROFILING]))
        assert state(consent, mail, Purpose.PROFILING) == "none"

    async def test_of_the_desk_ties_what_was_listed_to_the_account(self, consent, who, mail, said):
        account = who("account", "a")
        await consent.choose([mail, account], said(), tie=True)
        await consent.choose([mail], said(purposes=[Purpose.PROFILING]))
        assert state(consent, account, Purpose.PROFILING) == "opted_out"

    async def test_sent_again_with_its_key_is_one_and_answers_the_same(self, house, consent, mail, said):
        first = await consent.choose([mail], said(), key="k", body=b"{}")
        again = await consent.choose([mail], said(), key="k", body=b"{}")
        assert (first.replayed, again.replayed) == (False, True)
        assert again.events == first.events
        assert len(await bodies(house)) == 1

    async def test_sent_twenty_times_at_once_with_one_key_is_one(self, house, consent, mail, said):
        answers = []

        async def send():
            answers.append(await consent.choose([mail], said(), key="k", body=b"{}"))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(send)
        assert len(await bodies(house)) == 1
        assert sorted(answer.replayed for answer in answers) == [False] + [True] * 19

    async def test_with_a_used_key_and_another_body_is_another_one(self, house, consent, mail, said):
        await consent.choose([mail], said(), key="k", body=b"{}")
        assert not (await consent.choose([mail], said(), key="k", body=b"{ }")).replayed
        assert len(await bodies(house)) == 2

    async def test_replayed_after_the_person_came_back_shows_what_holds_now_and_changes_nothing(
        self, consent, clock, mail, said
    ):
        await consent.choose([mail], said(), key="k", body=b"{}")
        clock.later(seconds=1)
        token, _ = consent.ask_to_confirm([mail], said("opt_in"))
        await consent.confirm(token, SHOWN.notice)
        again = await consent.choose([mail], said(), key="k", body=b"{}")
        assert again.standing == {"sale": "opted_in"}

    async def test_is_kept_and_never_called_effective_while_the_ledger_is_away(self, folder, consent, mail, said):
        (folder / "ledger.sqlite3").rename(folder / "away")
        chosen = await consent.choose([mail], said())
        assert (chosen.waits, chosen.effective_at, chosen.openings) == (True, None, ())
        assert state(consent, mail) == "unknown"
        (folder / "away").rename(folder / "ledger.sqlite3")


class TestASignal:
    async def test_is_written_once_in_a_thousand_visits(self, house, consent, who):
        browser = consent.people.browser(new_browser().hex())
        assert await consent.observe([browser], GPC) == 1
        assert sum([await consent.observe([browser], GPC) for _ in range(50)]) == 0
        [body] = await bodies(house)
        assert (body["src"], body["p"]) == ("gpc", ["sale", "sharing", "targeted_ads"])

    async def test_never_says_more_than_a_signal_may(self, house, consent, mail):
        await consent.observe([mail], Heard((Said(Source.GPC, frozenset(Purpose)),)))
        assert (await bodies(house))[0]["p"] == ["sale", "sharing", "targeted_ads"]
        assert state(consent, mail, Purpose.PROFILING) == "none"

    async def test_of_a_signed_in_person_reaches_everything_their_account_has(self, consent, who):
        account, number = who("account", "a"), who("phone", phone(1))
        browser = consent.people.browser(new_browser().hex())
        await consent.link(account, [number], Span(0))
        assert await consent.observe([browser, account], GPC, account=account) == 2
        assert state(consent, number) == "opted_out"
        other = consent.people.browser(new_browser().hex())
        await consent.tie(account, [other])
        assert state(consent, other) == "opted_out"

    @pytest.mark.parametrize(
        ("place", "kept"), [("US-CA", "US-CA"), ("US-CA,US-NY", None), ("unknown", None), ("", None)]
    )
    async def test_keeps_a_place_only_where_it_is_one(self, house, consent, mail, place, kept):
        await consent.observe([mail], GPC, place=place)
        assert (await bodies(house))[0].get("j") == kept

    async def test_that_holds_for_the_moment_is_not_written(self, house, consent, mail):
        assert await consent.observe([mail], from_call({"dnt": "1", "us_privacy": "?"})) == 0
        assert await bodies(house) == []

    async def test_of_several_kinds_is_one_entry_of_the_one_that_says_most_the_first_of_equals(
        self, house, consent, who
    ):
        ads = frozenset({Purpose.SHARING, Purpose.TARGETED_ADS})
        heard = Heard((Said(Source.AD_CHOICES, ads), Said(Source.GPP, FULL), Said(Source.US_PRIVACY, FULL)))
        assert await consent.observe([who("gaid", GAID)], heard) == 1
        assert await consent.observe([who("idfv", IDFV)], Heard(heard.said[:1])) == 1
        assert [(body["src"], body["p"]) for body in await bodies(house)] == [
            ("gpp", ["sale", "sharing", "targeted_ads"]),
            ("ad_choices", ["sharing", "targeted_ads"]),
        ]
        for purpose in FULL:
            assert state(consent, who("idfv", IDFV), purpose) == "opted_out"

    async def test_heard_in_many_ways_is_one_entry(self, house, consent, who):
        heard = from_call({"us_privacy": "1YYN", "ac": "1~7", "gpc": "1", "cookies": "usprivacy=1YYN"})
        assert await consent.observe([who("gaid", GAID)], heard) == 1
        [body] = await bodies(house)
        assert (body["e"], body["src"], body["p"]) == ("opt_out", "gpc", ["sale", "sharing", "targeted_ads"])


class TestADevicesState:
    """R26: settings of a phone."""

    @pytest.fixture
    def device(self, who):
        return who("gaid", GAID)

    async def test_is_written_for_the_device_and_not_for_its_owner(self, house, consent, who, device, mail):
        account = who("account", "a")
        assert await consent.observe([device, account, mail], LIMITED, account=account) == 1
        assert [state(consent, one) for one in (device, account, mail)] == ["opted_out", "none", "none"]
        began, *linked = await bodies(house)
        assert (began["e"], began["src"], began["p"]) == ("state_began", "device", ["sale", "sharing", "targeted_ads"])
        assert [body["e"] for body in linked] == ["linked", "linked"]

    async def test_is_written_once_in_a_thousand_calls_and_ended_once(self, consent, device):
        assert [await consent.observe([device], LIMITED) for _ in range(3)] == [1, 0, 0]
        assert [await consent.observe([device], LIFTED) for _ in range(3)] == [1, 0, 0]
        assert state(consent, device) == "none"

    async def test_does_not_end_by_silence_or_by_another_source(self, consent, device):
        await consent.observe([device], LIMITED)
        for signals in ({"gpc": "0", "dnt": 0}, {"att": 0}, {"cookies": "cmplz_marketing=allow"}):
            await consent.observe([device], from_call(signals))
        assert state(consent, device) == "opted_out"

    async def test_begins_beside_a_choice_and_ends_without_it(self, house, consent, device):
        assert await consent.observe([device], from_call({"lmt": 1, "us_privacy": "1YYN"})) == 2
        await consent.observe([device], LIFTED)
        assert state(consent, device) == "opted_out"
        assert [body["e"] for body in await bodies(house)] == ["opt_out", "state_began", "state_ended"]

    async def test_of_two_sources_is_two_states(self, house, consent, device):
        both = Heard((*LIMITED.said, Said("cmp_cookie:klaro:ads", frozenset({Purpose.SHARING}), KeptFor.STATE)))
        assert await consent.observe([device], both) == 2
        assert [(body["src"], len(body["p"])) for body in await bodies(house)] == [
            ("device", 3),
            ("cmp_cookie:klaro:ads", 1),
        ]
        await consent.observe([device], LIFTED)
        assert state(consent, device) == "opted_out"  # the tool's sharing is the sale, too (R3, R25)

    async def test_begins_for_every_device_of_a_visit_and_ends_for_the_proved_one_alone(self, consent, who, device):
        """What a visitor's cookies merely claim tightens and never loosens."""
        browser = consent.people.browser(new_browser().hex())
        assert await consent.observe([browser, device], LIMITED, proved=browser) == 2
        assert await consent.observe([browser, device], LIFTED, proved=browser) == 1
        assert [state(consent, one) for one in (browser, device)] == ["none", "opted_out"]
        assert await consent.observe([browser, device], LIFTED) == 1
        assert state(consent, device) == "none"

    async def test_is_neither_lifted_by_coming_back_nor_asked_about(self, consent, clock, device, said):
        await consent.observe([device], LIMITED)
        clock.later(seconds=1)
        token, _ = consent.ask_to_confirm([device], said("opt_in"))
        chosen = await consent.confirm(token, SHOWN.notice)
        assert (chosen.standing, chosen.may_ask_from) == ({"sale": "opted_out"}, {"sale": None})
        await consent.observe([device], LIFTED)
        assert state(consent, device) == "opted_in"

    async def test_denies_the_next_check_by_any_of_its_names(self, consent, device):
        await consent.observe([device], LIMITED)
        hashed = named("ad_id_sha256", sha256(GAID.encode()).hexdigest())
        for identifier in (named("gaid", GAID), hashed):
            checked = consent.checks.check(Ask(("teemo",), [identifier], place="US-NY"))
            assert checked.verdicts["teemo"].reason == "opted_out"
            assert checked.outcome.denied == FULL


class TestComingBack:
    @pytest.fixture
    def ask(self, consent, mail, said):
        return lambda subjects=None, **more: consent.ask_to_confirm(subjects or [mail], said("opt_in", **more))[0]

    async def test_takes_two_acts_and_the_first_alone_changes_nothing(self, house, consent, mail, said, ask):
        await consent.choose([mail], said())
        token = ask()
        assert state(consent, mail) == "opted_out"
        assert len(await bodies(house)) == 1
        assert email(1) not in token

    async def test_the_second_act_opens_that_one_purpose(self, house, consent, clock, mail, said, ask):
        await consent.choose([mail], said(purposes=[Purpose.SALE, Purpose.SHARING]))
        clock.later(seconds=1)
        chosen = await consent.confirm(ask(), SHOWN.notice)
        assert chosen.standing == {"sale": "opted_in"}
        assert chosen.may_ask_from == {"sale": "2027-11-24T12:00:00Z"}  # nor does coming back shorten the silence
        assert state(consent, mail, Purpose.SHARING) == "opted_out"
        body = (await bodies(house))[-1]
        assert (body["e"], body["p"], body["nv"]) == ("opt_in", ["sale"], "1")

    async def test_an_opt_out_of_one_of_the_three_is_come_back_from_purpose_by_purpose(
        self, consent, clock, mail, said, ask
    ):
        await consent.choose([mail], said(purposes=[Purpose.TARGETED_ADS]))
        clock.later(seconds=1)
        await consent.confirm(ask(), SHOWN.notice)
        assert consent.checks.read_back([mail], SIGNAL_PURPOSES) == {
            "sale": "opted_in",
            "sharing": "opted_out",
            "targeted_ads": "opted_out",
        }
        for heard, sale in ((Heard(), True), (from_call({"ac": "1~"}), False)):  # a live no to one is a no to all
            site = consent.checks.site([mail], heard.denied, "US-CA")
            assert site.allowed == {Purpose.SALE: sale, Purpose.SHARING: False, Purpose.TARGETED_ADS: False}
        await consent.choose([mail], said(purposes=[Purpose.SHARING]))
        assert state(consent, mail) == "opted_out"

    async def test_an_opt_out_of_another_of_the_three_between_the_two_acts_wins_too(self, consent, mail, said, ask):
        token = ask()
        await consent.choose([mail], said(purposes=[Purpose.TARGETED_ADS]))
        with pytest.raises(Refused, match="came later"):
            await consent.confirm(token, SHOWN.notice)

    async def test_a_confirm_token_works_once(self, house, consent, ask):
        token = ask()
        await consent.confirm(token, SHOWN.notice)
        with pytest.raises(Used):
            await consent.confirm(token, SHOWN.notice)
        assert len(await bodies(house)) == 1

    async def test_the_same_confirmation_sent_again_with_its_key_is_a_replay(self, consent, ask):
        token = ask()
        first = await consent.confirm(token, SHOWN.notice, key="k", body=b"{}")
        again = await consent.confirm(token, SHOWN.notice, key="k", body=b"{}")
        assert (again.replayed, again.events) == (True, first.events)

    async def test_a_confirm_token_ends_after_its_time(self, consent, clock, mail, said, ask):
        token, until = consent.ask_to_confirm([mail], said("opt_in"))
        assert until == clock.now + timedelta(seconds=CONFIRM_SECONDS)
        late = ask()
        clock.later(seconds=CONFIRM_SECONDS)
        await consent.confirm(token, SHOWN.notice)
        clock.later(milliseconds=1)
        with pytest.raises(Refused, match="15 minutes") as refused:
            await consent.confirm(late, SHOWN.notice)
        assert refused.value.kind == "confirm_expired"

    async def test_a_confirm_token_of_a_clock_that_was_ahead_is_not_good_until_its_time(self, consent, clock, ask):
        near, far = ask(), ask()
        clock.later(minutes=-5)
        await consent.confirm(near, SHOWN.notice)
        clock.later(milliseconds=-1)
        with pytest.raises(Refused) as refused:
            await consent.confirm(far, SHOWN.notice)
        assert refused.value.kind == "confirm_expired"

    @pytest.mark.parametrize("spoil", ["", "x", "é", "A" * 200])
    async def test_what_is_no_token_of_ours_confirms_nothing(self, consent, spoil):
        with pytest.raises(Refused) as refused:
            await consent.confirm(spoil, SHOWN.notice)
        assert refused.value.kind == "confirm_unknown"

    async def test_a_changed_token_confirms_nothing(self, house, consent, ask):
        token = ask()
        for at in (0, 15, 30, len(token) // 2):
            changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
            with pytest.raises(Refused):
                await consent.confirm(changed, SHOWN.notice)
        assert await bodies(house) == []

    async def test_a_token_opens_only_whom_and_what_it_was_made_for(self, consent, who, mail, ask):
        other = who("phone", phone(1))
        await consent.confirm(ask(), SHOWN.notice)
        assert [state(consent, mail), state(consent, other)] == ["opted_in", "none"]
        assert state(consent, mail, Purpose.SHARING) == "none"

    async def test_a_grant_for_one_recipient_stays_with_it(self, consent, who, ask):
        device = who("gaid", GAID)
        await consent.confirm(ask([device], recipient="teemo", data_class=DataClass.PRECISE_GEO), SHOWN.notice)
        assert state(consent, device) == "none"
        asked = Ask(("teemo",), [named("gaid", GAID)], data=("precise_geo",), place="US-NY")
        assert consent.checks.check(asked).verdicts["teemo"].data == {"precise_geo": "allow"}

    async def test_an_opt_out_between_the_two_acts_wins(self, house, consent, clock, mail, said, ask):
        token = ask()
        clock.later(seconds=5)
        await consent.choose([mail], said())
        clock.later(seconds=5)
        with pytest.raises(Refused) as refused:
            await consent.confirm(token, SHOWN.notice)
        assert refused.value.kind == "superseded"
        assert state(consent, mail) == "opted_out"
        assert len(await bodies(house)) == 1

    async def test_an_opt_out_in_the_very_same_moment_wins_too(self, consent, mail, said, ask):
        token = ask()
        await consent.choose([mail], said())
        with pytest.raises(Refused, match="came later"):
            await consent.confirm(token, SHOWN.notice)

    async def test_an_opt_out_of_another_purpose_between_does_not_stand_in_the_way(
        self, consent, clock, mail, said, ask
    ):
        token = ask()
        clock.later(seconds=5)
        await consent.choose([mail], said(purposes=[Purpose.PROFILING]))
        chosen = await consent.confirm(token, SHOWN.notice)
        assert (chosen.standing, chosen.may_ask_from) == ({"sale": "opted_in"}, {"sale": None})

    async def test_a_superseded_token_may_not_be_tried_again_later(self, consent, clock, mail, said, ask):
        token = ask()
        await consent.choose([mail], said())
        for _ in range(2):
            clock.later(minutes=1)
            with pytest.raises(Refused):
                await consent.confirm(token, SHOWN.notice)

    @pytest.mark.parametrize("purposes", [(), (Purpose.SALE, Purpose.SHARING), ALL_PURPOSES])
    async def test_more_or_less_than_one_purpose_is_refused(self, ask, purposes):
        with pytest.raises(Refused) as refused:
            ask(purposes=purposes)
        assert refused.value.kind == "one_purpose"

    async def test_nobody_named_is_refused(self, consent, said):
        with pytest.raises(Refused):
            consent.ask_to_confirm([], said("opt_in"))

    async def test_on_one_identifier_never_opens_another_that_still_says_no(self, consent, clock, who, mail, said, ask):
        account = who("account", "a")
        await consent.link(account, [mail], Span(0))
        await consent.choose([account], said())
        clock.later(seconds=1)
        chosen = await consent.confirm(ask(), SHOWN.notice)
        assert chosen.standing == {"sale": "opted_out"}


class TestLinks:
    async def test_say_how_many_changed_and_repeating_them_changes_none(self, consent, who, mail):
        account, number = who("account", "a"), who("phone", phone(1))
        assert (await consent.link(account, [mail, number], Span(0))).changed == 2
        assert (await consent.link(account, [mail, number], Span(0))).changed == 0

    async def test_a_released_number_is_let_go(self, consent, clock, who, said):
        account, number = who("account", "a"), who("phone", phone(1))
        await consent.link(account, [number], Span(milliseconds(clock())))
        clock.later(seconds=1)
        assert (await consent.link(account, [number], Span(0), released=True)).changed == 1
        await consent.choose([account], said())
        assert state(consent, number) == "none"


class TestNotices:
    async def test_what_was_shown_is_logged_once_and_found_by_its_hash(self, house, consent):
        assert await consent.notice(SHOWN.sha256) is None
        for _ in range(3):
            await consent.log([SHOWN])
        assert await consent.notice(SHOWN.sha256) == SHOWN.notice
        assert len(await bodies(house)) == 1


class TestFormsThatRecipientsHash:
    """Looser forms of an address may be somebody else's: they carry denials, and nothing else."""

    DOTTED, PLAIN = named("email", "jane.doe@example.com"), named("email", "janedoe@example.com")

    @staticmethod
    def sold(consent, *identifiers):
        ask = Ask(("advertisers",), identifiers, purpose="sharing", data=("ad_id",), place="US-WY")
        return consent.checks.check(ask).verdicts["advertisers"].allowed

    @staticmethod
    async def out(consent, *identifiers, kind=ChoiceKind.OPT_OUT):
        choice = Choice(
            kind, tuple(SIGNAL_PURPOSES) if kind is ChoiceKind.OPT_OUT else (Purpose.SHARING,), "api", consent.clock()
        )
        await consent.choose(consent.people.name(identifiers).subjects, choice)

    async def test_an_opt_out_is_found_by_the_digest_that_a_recipient_has(self, consent):
        digest = named("email_sha256", sha256(b"janedoe@example.com").hexdigest())  # without the dots
        assert self.sold(consent, digest)
        await self.out(consent, self.DOTTED)
        assert not self.sold(consent, digest)
        assert not self.sold(consent, self.DOTTED)

    async def test_an_opt_out_by_such_a_digest_reaches_the_address(self, consent):
        await self.out(consent, named("email_sha256", sha256(b"janedoe@example.com").hexdigest()))
        assert not self.sold(consent, self.DOTTED)

    async def test_an_opt_in_by_one_address_opens_no_other(self, consent):
        await self.out(consent, self.DOTTED)
        await self.out(consent, self.PLAIN, kind=ChoiceKind.OPT_IN)
        assert not self.sold(consent, self.DOTTED)

    async def test_who_comes_back_takes_the_digests_along(self, consent):
        digest = named("email_sha256", sha256(b"janedoe@example.com").hexdigest())
        await self.out(consent, self.DOTTED)
        await self.out(consent, self.DOTTED, kind=ChoiceKind.OPT_IN)
        assert self.sold(consent, digest)
        assert self.sold(consent, self.DOTTED)

    async def test_a_persons_link_is_not_another_persons(self, consent):
        account = consent.people.account("a1")
        await consent.link(account, consent.people.name([self.PLAIN]).subjects, Span(0))
        await self.out(consent, self.DOTTED)
        assert self.sold(consent, named("account", "a1"))

    async def test_a_tool_that_hashes_ten_digits_is_heard(self, consent):
        """The DAA's TokenChoices."""
        digest = named("phone_sha256", sha256(phone(1).removeprefix("+1").encode()).hexdigest())
        await self.out(consent, digest)
        assert not self.sold(consent, named("phone", phone(1)))


class TestHowAnOptInWasGiven:
    @pytest.fixture
    def account(self, who):
        return who("account", "a")

    async def confirmed(self, consent, subject, said, **more):
        token, _ = consent.ask_to_confirm([subject], said("opt_in", **more))
        return await consent.confirm(token, SHOWN.notice)

    async def test_is_kept_from_the_first_act_to_the_second(self, house, consent, account, said):
        await self.confirmed(consent, account, said, ui="settings-3", informed=True)
        [standing] = consent.checks._lookup.seen([account.key]).standings
        assert (standing.informed, standing.parental) == (standing.own, 0)
        assert (await bodies(house))[-1]["ui"] == "settings-3"

    async def test_keeps_a_live_signal_from_undoing_it_and_only_then(self, consent, clock, account, said):
        for informed, after in ((True, "opted_in"), (False, "opted_out")):
            await consent.observe([account], GPC)
            clock.later(seconds=1)
            await self.confirmed(consent, account, said, informed=informed)
            await consent.observe([account], GPC)
            assert state(consent, account) == after

    async def test_on_a_screen_that_is_void_is_refused_at_both_acts(self, house, consent, clock, account, said):
        token, _ = consent.ask_to_confirm([account], said("opt_in", ui="dark"))
        assert await consent.void_consents("dark", b"h" * 32) == 0
        with pytest.raises(Refused) as refused:
            await consent.confirm(token, SHOWN.notice)
        assert refused.value.kind == "notice_required"
        with pytest.raises(Refused) as refused:
            consent.ask_to_confirm([account], said("opt_in", ui="dark"))
        assert refused.value.kind == "notice_required"
        consent.ask_to_confirm([account], said("opt_in", ui="fair"))
        assert [body["e"] for body in await bodies(house)] == ["consent_voided"]

    async def test_below_the_age_floor_is_refused_though_the_age_came_in_the_same_batch(self, consent, account, said):
        """A yes is judged as it is written: the log is asked, and never what this process knew of it before."""
        token, _ = consent.ask_to_confirm([account], said("opt_in"))
        young = asyncio.create_task(consent.say_age([account], AGES[0]))
        await asyncio.sleep(0)  # it is on its way first
        with pytest.raises(Refused) as refused:
            await consent.confirm(token, SHOWN.notice)
        assert refused.value.kind == "too_young"
        await young
        assert state(consent, account) != "opted_in"

    async def test_on_a_screen_that_is_void_later_never_was(self, consent, clock, account, said):
        await consent.choose([account], said())
        clock.later(seconds=1)
        await self.confirmed(consent, account, said, ui="dark")
        assert state(consent, account) == "opted_in"
        assert await consent.void_consents("dark", b"h" * 32) == 1
        assert state(consent, account) == "opted_out"

    async def test_is_not_asked_about_while_nobody_knows_which_screens_are_void(self, consent, account, said):
        consent.checks._lookup._vouches.fresh_until = 0.0
        with pytest.raises(StoreUnavailable):
            consent.ask_to_confirm([account], said("opt_in", ui="fair"))

    @pytest.mark.parametrize("ui", ["", "fair"])
    async def test_is_not_asked_about_while_the_store_gives_no_answer_and_written_by_what_its_transaction_knows(
        self, consent, account, said, ui, monkeypatch
    ):
        token, _ = consent.ask_to_confirm([account], said("opt_in", ui=ui))
        with monkeypatch.context() as away:
            away.setattr(consent.checks._lookup._vouches, "proof", lambda: None)
            with pytest.raises(StoreUnavailable):
                consent.ask_to_confirm([account], said("opt_in", ui=ui))
            assert (await consent.confirm(token, SHOWN.notice)).standing == {"sale": "unknown"}
        assert state(consent, account) == "opted_in"


class TestWhatTheOperatorSaysOfAPerson:
    async def test_that_they_were_told_is_an_entry_each_time(self, house, consent, mail, clock):
        for outcome in (Told.SENT, Told.BOUNCED):
            assert await consent.tell([mail], NoticeKind.PRIVACY, clock.now.date(), outcome) == 1
        [standing] = consent.checks._lookup.seen([mail.key]).standings
        assert standing.told is None, "what came back told nobody"
        assert [body["e"] for body in await bodies(house)] == ["told", "told"]

    async def test_how_old_they_are_is_an_entry_where_it_is_news(self, consent, who, mail):
        number = who("phone", phone(1))
        assert await consent.say_age([mail, number], "13_15") == 2
        assert await consent.say_age([mail, number], "adult") == 0
        assert await consent.say_age([mail], "adult", may_rise=True) == 1
        read = consent.checks._lookup.seen([mail.key, number.key]).standings
        assert sorted((standing.age_band, standing.grown) for standing in read) == [("13_15", False), ("adult", True)]

    async def test_may_be_asked_of_any_moment(self, consent, clock, mail, said):
        before = clock.now
        clock.later(seconds=1)
        await consent.choose([mail], said())
        clock.later(seconds=1)
        await consent.choose([mail], said("direct", recipient="bank"))
        then = await consent.standings_at([mail], before + timedelta(seconds=1))
        assert [standing.states()["sale"] for standing in then.standings if standing.own] == ["opted_out"]
        assert (then.position, then.grants) == (1, ())
        now = await consent.standings_at([mail], clock.now)
        assert (now.position, [grant.kind for grant in now.grants]) == (2, ["directed"])
        assert (await consent.standings_at([mail], before)).standings == ()

    async def test_is_not_made_up_while_the_ledger_is_away(self, folder, consent, clock, mail):
        (folder / "ledger.sqlite3").rename(folder / "away")
        with pytest.raises(StoreUnavailable):
            await consent.standings_at([mail], clock.now)
        (folder / "away").rename(folder / "ledger.sqlite3")


class TestAnActTowardsOne:
    async def test_is_an_entry_and_a_grant_and_no_choice(self, house, consent, mail, said):
        await consent.choose([mail], said("keep_programme", recipient="bonus"))
        chosen = await consent.choose([mail], said("direct", [Purpose.SERVICE], recipient="bank"))
        assert [body["e"] for body in await bodies(house)] == ["keep_programme", "direct"]
        assert {grant.kind for grant in consent.checks._lookup.grants([mail.key])} == {"programme", "directed"}
        assert state(consent, mail) == "none"
        assert chosen.may_ask_from == {"service": None}
