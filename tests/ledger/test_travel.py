"""How far a choice goes, told as the stories of people with accounts, phones and tablets (R2, R5, R12)."""

import hashlib
import os
from datetime import UTC, datetime

import pytest
from support.people import GAID, IDFV, email, gaid, named, phone

from gateway.fold import reading
from gateway.fold.noes import is_no_news
from gateway.fold.record import SaidOut
from gateway.ledger.acts import links, records
from gateway.ledger.acts.folded_people import people_of
from gateway.ledger.subjects import Choice, Subject, milliseconds
from gateway.terms import ALL_PURPOSES, CHOOSABLE, SIGNAL_PURPOSES, ChoiceKind, DataClass, Purpose

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOW = milliseconds(AT)


def digest(algorithm, text):
    return hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


class Desk:
    """Says what people do, and reads what holds for one key alone."""

    def __init__(self, house):
        self.house = house

    def who(self, kind, value):
        return self.house.consent.people.name([named(kind, value)]).subjects[0]

    def do(self, job):
        return self.house.writer.submit(job).result(60)

    def says(self, kind, subject, purposes=(Purpose.SALE,), **more):
        choice = Choice(kind, tuple(purposes), "api", AT, **more)
        return self.do(lambda tx: records.write_choice(tx, subject, choice, os.urandom(16)))

    def out(self, subject, *purposes):
        return self.says(ChoiceKind.OPT_OUT, subject, purposes or (Purpose.SALE,))

    def back(self, subject, purpose=Purpose.SALE):
        return self.says(ChoiceKind.OPT_IN, subject, (purpose,))

    def link(self, account, *subjects):
        span = links.Span(NOW - 1000)
        return [
            self.do(lambda tx, each=each: links.link_identifiers(tx, account, [each], span, NOW)) for each in subjects
        ]

    def release(self, subject):
        self.do(lambda tx: links.release(tx, subject, NOW))

    def state(self, subject, purpose=Purpose.SALE):
        alone = Subject(subject.kind, subject.value, (subject.key,))
        return self.house.consent.checks.read_back([alone], [purpose])[purpose]

    def states(self, *subjects, purpose=Purpose.SALE):
        return [self.state(subject, purpose) for subject in subjects]


OUT, IN, NONE = "opted_out", "opted_in", "none"


@pytest.fixture
def desk(house):
    return Desk(house)


@pytest.fixture
def a(desk):
    return desk.who("account", "a")


@pytest.fixture
def b(desk):
    return desk.who("account", "b")


class TestOnePersonWithTwoPhones:
    @pytest.fixture
    def all_of_it(self, desk, a):
        had = [
            desk.who("phone", phone(1)),
            desk.who("phone", phone(2)),
            desk.who("email", email(1)),
            desk.who("gaid", GAID),
            desk.who("idfv", IDFV),
        ]
        desk.link(a, *had)
        return [a, *had]

    @pytest.mark.parametrize("index", range(6))
    def test_who_opts_out_by_any_one_of_them_is_opted_out_by_all(self, desk, all_of_it, index):
        desk.out(all_of_it[index])
        assert desk.states(*all_of_it) == [OUT] * 6

    @pytest.mark.parametrize("said", SIGNAL_PURPOSES)
    def test_only_what_was_chosen_travels_and_one_of_the_three_is_all_of_them(self, desk, all_of_it, said):
        """R3, R25: at a third party sale, sharing and targeted ads are one thing."""
        desk.out(all_of_it[1], said, Purpose.SENSITIVE)
        for purpose in CHOOSABLE:
            out = {*SIGNAL_PURPOSES, Purpose.SENSITIVE, Purpose.THIRD_PARTY_MARKETING}  # a sale underneath (R21)
            expected = OUT if purpose in out else NONE
            assert desk.states(*all_of_it, purpose=purpose) == [expected] * 6, purpose

    def test_a_choice_about_mail_says_nothing_of_the_three(self, desk, all_of_it):
        desk.out(all_of_it[1], Purpose.MARKETING_MAIL, Purpose.SENSITIVE)
        for purpose in SIGNAL_PURPOSES:
            assert desk.states(*all_of_it, purpose=purpose) == [NONE] * 6, purpose

    def test_opting_in_on_the_account_lifts_what_travelled_and_not_the_phones_own(self, desk, all_of_it):
        a, first, second, *others = all_of_it
        desk.out(first)
        desk.back(a)
        assert desk.states(a, first, second, *others) == [IN, OUT, NONE, NONE, NONE, NONE]

    def test_opting_in_on_the_account_lifts_the_accounts_own_choice_everywhere(self, desk, all_of_it):
        desk.out(all_of_it[0])
        desk.back(all_of_it[0])
        assert desk.states(*all_of_it) == [IN, NONE, NONE, NONE, NONE, NONE]

    def test_opting_in_on_the_phone_lifts_its_own_and_what_it_sent_and_nothing_else(self, desk, all_of_it):
        a, first, second, *others = all_of_it
        desk.out(first)
        desk.out(others[1])
        desk.back(first)
        assert desk.states(a, second) == [OUT, OUT]
        desk.back(others[1])
        assert desk.states(a, second, *others) == [NONE, NONE, NONE, IN, NONE]

    def test_opting_in_never_travels(self, desk, all_of_it):
        desk.back(all_of_it[1])
        desk.back(all_of_it[0])
        assert desk.states(*all_of_it) == [IN, IN, NONE, NONE, NONE, NONE]

    def test_opting_in_for_one_purpose_leaves_the_others_out(self, desk, all_of_it):
        desk.out(all_of_it[0], *ALL_PURPOSES)
        desk.back(all_of_it[0], Purpose.SALE)
        assert desk.states(*all_of_it, purpose=Purpose.SHARING) == [OUT] * 6
        assert desk.states(*all_of_it)[1:] == [NONE] * 5

    def test_an_opt_out_of_one_is_lifted_purpose_by_purpose(self, desk, all_of_it):
        desk.out(all_of_it[0], Purpose.TARGETED_ADS)
        for number, back in enumerate(SIGNAL_PURPOSES, 1):
            desk.back(all_of_it[0], back)
            assert desk.states(*all_of_it, purpose=back) == [IN, *[NONE] * 5]
            for other in SIGNAL_PURPOSES[number:]:
                assert desk.states(*all_of_it, purpose=other) == [OUT] * 6

    def test_a_later_no_to_another_purpose_takes_an_opt_in_back(self, desk, all_of_it):
        desk.back(all_of_it[0])
        desk.out(all_of_it[0], Purpose.TARGETED_ADS)
        assert desk.states(*all_of_it) == [OUT] * 6

    def test_a_no_of_the_account_takes_back_what_a_phone_came_back_for(self, desk, all_of_it):
        a, first, *_ = all_of_it
        desk.out(first)
        desk.back(first)
        desk.out(a, Purpose.SHARING)
        assert desk.states(a, first) == [OUT, OUT]
        desk.back(a, Purpose.SHARING)
        assert desk.states(a, first) == [OUT, OUT]
        desk.back(a)
        assert desk.states(a, first) == [IN, IN]

    def test_opting_out_again_after_opting_in_goes_everywhere_again(self, desk, all_of_it):
        for act in (desk.out, desk.back, desk.out):
            act(all_of_it[2])
        assert desk.states(*all_of_it) == [OUT] * 6

    def test_a_limit_travels_like_an_opt_out(self, desk, all_of_it):
        desk.says(ChoiceKind.LIMIT, all_of_it[3], [Purpose.SENSITIVE])
        assert desk.states(*all_of_it, purpose=Purpose.SENSITIVE) == [OUT] * 6

    def test_the_standing_names_the_entry_that_did_it(self, desk, all_of_it):
        written = desk.out(all_of_it[1])
        lookup = desk.house.consent.checks._lookup
        assert {standing.seq for standing in lookup.seen([one.key for one in all_of_it], numbered=True).standings} == {
            written.seq
        }


def test_a_strangers_phone_opts_out_itself_and_nobody_else(desk, a):
    mine, strange = desk.who("phone", phone(1)), desk.who("phone", phone(9))
    desk.link(a, mine)
    desk.out(strange)
    assert desk.states(strange, a, mine) == [OUT, NONE, NONE]
    desk.out(a)
    desk.back(strange)
    assert desk.states(strange, a, mine) == [IN, OUT, OUT]


class TestATabletOfTwoAccounts:
    @pytest.fixture
    def family(self, desk, a, b):
        tablet, phone_a, phone_b = desk.who("gaid", GAID), desk.who("phone", phone(1)), desk.who("phone", phone(2))
        desk.link(a, tablet, phone_a)
        desk.link(b, tablet, phone_b)
        return tablet, phone_a, phone_b

    def test_a_choice_on_one_account_reaches_the_tablet_and_never_the_other_account(self, desk, a, b, family):
        desk.out(a)
        assert desk.states(a, *family, b) == [OUT, OUT, OUT, NONE, NONE]

    def test_a_choice_on_one_persons_phone_stops_at_the_tablet_too(self, desk, a, b, family):
        desk.out(family[1])
        assert desk.states(a, *family, b) == [OUT, OUT, OUT, NONE, NONE]

    def test_a_choice_on_the_tablet_reaches_both(self, desk, a, b, family):
        desk.out(family[0])
        assert desk.states(a, b, *family) == [OUT] * 5

    def test_one_account_coming_back_does_not_speak_for_the_other(self, desk, a, b, family):
        tablet, phone_a, phone_b = family
        desk.out(a)
        desk.out(b)
        desk.back(a)
        assert desk.states(a, phone_a, tablet, b, phone_b) == [IN, NONE, OUT, OUT, OUT]

    def test_one_account_coming_back_from_the_tablets_choice_leaves_tablet_and_the_other_denied(
        self, desk, a, b, family
    ):
        tablet, phone_a, phone_b = family
        desk.out(tablet)
        desk.back(a)
        assert desk.states(a, phone_a, tablet, b, phone_b) == [IN, NONE, OUT, OUT, OUT]

    def test_a_third_account_on_the_tablet_later_hears_only_the_tablets_own_choice(self, desk, a, family):
        third = desk.who("account", "c")
        desk.out(a)
        desk.link(third, family[0])
        assert desk.states(third, family[0]) == [NONE, OUT]


SPELLINGS = [
    ("email", email(1), "email_sha256", digest("sha256", email(1))),
    ("email", email(1), "email_sha1", digest("sha1", email(1))),
    ("email", email(1), "email_md5", digest("md5", email(1))),
    ("phone", phone(1), "phone_sha256", digest("sha256", phone(1))),
    ("phone", phone(1), "phone_sha256", digest("sha256", phone(1)[1:])),
    ("gaid", GAID, "ad_id_sha256", digest("sha256", GAID)),
    ("idfa", GAID, "ad_id_sha256", digest("sha256", GAID.upper())),
]


@pytest.mark.parametrize(("kind", "value", "form", "hashed"), SPELLINGS)
class TestAnIdentifierAndItsDigests:
    def test_the_raw_value_was_opted_out_and_the_digest_finds_it(self, desk, kind, value, form, hashed):
        desk.out(desk.who(kind, value))
        assert desk.state(desk.who(form, hashed)) == OUT

    def test_the_digest_was_opted_out_first_and_the_raw_value_came_later(self, desk, a, kind, value, form, hashed):
        desk.out(desk.who(form, hashed))
        raw, other = desk.who(kind, value), desk.who("idfv", IDFV)
        desk.link(a, other, raw)
        assert desk.states(raw, a, other) == [OUT, OUT, OUT]

    def test_a_digest_of_a_linked_value_reaches_the_account(self, desk, a, kind, value, form, hashed):
        raw, other = desk.who(kind, value), desk.who("idfv", IDFV)
        desk.link(a, raw, other)
        desk.out(desk.who(form, hashed))
        assert desk.states(raw, a, other) == [OUT, OUT, OUT]

    def test_the_accounts_choice_reaches_the_digest(self, desk, a, kind, value, form, hashed):
        desk.link(a, desk.who(kind, value))
        desk.out(a)
        assert desk.state(desk.who(form, hashed)) == OUT
        desk.back(a)
        assert desk.state(desk.who(form, hashed)) == NONE

    def test_another_persons_digest_is_another_persons(self, desk, kind, value, form, hashed):
        desk.out(desk.who(kind, value))
        assert desk.state(desk.who(form, hashed[::-1])) == NONE


def test_an_opt_out_on_the_account_ends_the_grants_of_its_devices_and_opting_in_does_not_revive_them(desk, a):
    ad_id = desk.who("gaid", GAID)
    desk.link(a, ad_id)
    desk.says(ChoiceKind.OPT_IN, ad_id, recipient="teemo", data_class=DataClass.PRECISE_GEO)
    lookup = desk.house.consent.checks._lookup
    assert len(lookup.grants([ad_id.key])) == 1
    desk.out(a)
    desk.back(a)
    assert lookup.grants([ad_id.key]) == []
    assert not lookup.seen([ad_id.key]).standings[0].granted


class TestAGrantOfAPrecisePoint:
    @pytest.fixture
    def ad_id(self, desk):
        ad_id = desk.who("gaid", GAID)
        desk.says(ChoiceKind.OPT_IN, ad_id, recipient="teemo", data_class=DataClass.PRECISE_GEO)
        return ad_id

    @pytest.mark.parametrize("said", SIGNAL_PURPOSES)
    def test_ends_with_an_opt_out_of_any_of_the_three(self, desk, ad_id, said):
        desk.out(ad_id, said)
        assert desk.house.consent.checks._lookup.grants([ad_id.key]) == []

    @pytest.mark.parametrize("said", SIGNAL_PURPOSES)
    def test_ends_with_such_an_opt_out_of_the_account_that_has_it(self, desk, a, ad_id, said):
        desk.link(a, ad_id)
        desk.out(a, said)
        assert desk.house.consent.checks._lookup.grants([ad_id.key]) == []

    def test_ends_with_limiting_sensitive_data_and_not_with_a_choice_about_mail(self, desk, ad_id):
        lookup = desk.house.consent.checks._lookup
        desk.out(ad_id, Purpose.MARKETING_MAIL)
        assert len(lookup.grants([ad_id.key])) == 1
        desk.says(ChoiceKind.LIMIT, ad_id, [Purpose.SENSITIVE])
        assert lookup.grants([ad_id.key]) == []


def test_when_a_purpose_was_last_refused_is_remembered_after_opting_in(desk):
    number = desk.who("phone", phone(1))

    def last_outs():
        return desk.do(lambda tx: reading.last_outs(number.key, people_of(tx, [number.key]).get))

    assert last_outs() == {}
    desk.out(number)
    desk.back(number)
    assert last_outs() == dict.fromkeys(SIGNAL_PURPOSES, 0)


def test_a_signal_counts_as_heard_only_by_the_identifier_itself_and_for_all_its_purposes(desk, a):
    number = desk.who("phone", phone(1))
    desk.link(a, number)
    desk.out(a)

    def already(*purposes):
        said = SaidOut(purposes, "gpc", signal=True)
        return desk.do(lambda tx: is_no_news(people_of(tx, [number.key]).slate(), number.key, said))

    assert not already(Purpose.SALE)
    desk.out(number)
    assert already(*SIGNAL_PURPOSES)
    assert not already(Purpose.SALE, Purpose.SENSITIVE)


def test_many_accounts_of_many_people_stay_apart(desk):
    accounts = [desk.who("account", f"a{number}") for number in range(6)]
    devices = [desk.who("gaid", gaid(number)) for number in range(6)]
    for account, device in zip(accounts, devices, strict=True):
        desk.link(account, device)
    desk.out(devices[3])
    assert desk.states(*accounts) == [OUT if number == 3 else NONE for number in range(6)]
    assert desk.states(*devices) == [OUT if number == 3 else NONE for number in range(6)]
