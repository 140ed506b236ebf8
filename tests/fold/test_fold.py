"""The fold by itself: what each record changes, what is read, and that nothing else is touched. Whom an act denies over
whole lives is told by tests/vectors/histories.json and by the oracle.
"""

from types import MappingProxyType

import pytest
from support.folding import ADS, HOUR, SALE, SENSITIVE, Log, key

from gateway.choice.law import AGES
from gateway.choice.standing import IN, OUT, state
from gateway.fold import ACTS, fold, reading, record
from gateway.fold.state import HEAD, NO_RECORD, SEVERAL, Slate
from gateway.terms import DataClass, GrantKind, NoticeKind, Purpose, Source


def bit(log, name, purpose=SALE):
    return Slate(log.state.get).row(key(name)).own[purpose]


def grant(kind=GrantKind.OPTED_IN, purpose=SALE, data_class=DataClass.PRECISE_GEO, until=None, screen=""):
    return record.GrantSaid("teemo", (purpose,), data_class, kind, screen, until)


# --- a no ---


def test_a_no_to_one_of_sale_sharing_and_ads_is_a_no_to_all_three():
    log = Log()
    log.no("browser", ADS)
    assert [each for each in Purpose if log.denies("browser", each)] == [SALE, Purpose.SHARING, ADS]


def test_a_state_is_widened_alike_but_what_an_id_has_from_the_others_of_its_phone():
    log = Log()
    for name, source in (("id", "device"), ("other id", Source.INSTALLATION)):
        log.say(name, record.StateSaid(began=True, purposes=(ADS,), source=source, mark="a"))
    assert [each for each in Purpose if log.denies("id", each)] == [SALE, Purpose.SHARING, ADS]
    assert [each for each in Purpose if log.denies("other id", each)] == [ADS]


def test_a_signal_that_is_no_news_changes_nothing():
    log = Log()
    assert log.no("browser", source="gpc", signal=True)
    assert log.no("browser", source="gpc", signal=True) == {}
    log.yes("browser")
    assert log.no("browser", source="gpc", signal=True), "after a yes it is one"


def test_gpc_is_no_news_to_an_account_that_allowed_with_it_in_sight():
    log = Log()
    for purpose in (SALE, Purpose.SHARING, ADS):
        log.yes("ann", purpose, informed=True)
    assert log.no("ann", source="gpc", signal=True) == {}
    assert log.no("ann", source="usp", signal=True)


def test_a_no_that_two_installations_said_is_no_ones_alone():
    log = Log()
    log.no("ad id", mark="a")
    assert bit(log, "ad id").mark == "a"
    log.no("ad id", SENSITIVE, mark="b")
    log.no("ad id", mark="b")
    assert bit(log, "ad id").mark == SEVERAL
    assert bit(log, "ad id", SENSITIVE).mark == "b"


def test_a_further_reading_of_a_number_has_no_date():
    log = Log()
    log.no("elsewhere", source="reading", dated=False)
    assert bit(log, "elsewhere").dated == NO_RECORD
    assert log.denies("elsewhere")


def test_each_no_tells_where_it_lies():
    log = Log()
    log.named("number", "digest")
    log.link("ann", "number")
    log.no("digest")
    log.no("ann")
    assert log.places("number") == {"name", "account"}
    assert log.places("ann") == {"own", "up"}
    log.end("ann", "number")
    assert log.places("number") == {"name", "down"}


# --- a yes ---


def test_a_yes_covers_and_a_void_of_its_screen_uncovers():
    log = Log()
    log.link("ann", "phone")
    log.link("ann", "tablet")
    log.no("phone")
    log.yes("phone", screen="dark")
    assert not any(map(log.denies, ("phone", "ann", "tablet")))
    log.void("dark")
    assert all(map(log.denies, ("phone", "ann", "tablet")))


def test_a_void_changes_the_head_alone():
    log = Log()
    log.no("phone")
    log.yes("phone", screen="dark")
    assert set(log.void("dark")) == {HEAD}
    assert log.void("dark") == {}, "twice is once"


def test_a_yes_on_a_screen_that_is_voided_counts_for_nothing():
    log = Log()
    log.no("phone")
    log.void("dark")
    assert log.yes("phone", screen="dark") == {}
    assert log.denies("phone")


def test_the_last_yes_of_somebody_is_the_one_that_counts():
    log = Log()
    log.no("phone")
    log.yes("phone", screen="fair")
    log.yes("phone", screen="dark")
    log.void("dark")
    assert log.denies("phone")


def test_a_yes_of_the_account_and_one_of_its_phone_stand_beside_each_other():
    log = Log()
    log.link("ann", "phone")
    log.no("phone")
    log.yes("phone", screen="fair")
    log.yes("ann", screen="dark")
    log.void("dark")
    assert not log.denies("ann"), "the phone took its no back by itself"


def test_a_yes_is_the_very_keys_own():
    log = Log()
    log.named("number", "digest")
    log.link("ann", "number")
    log.yes("ann")
    log.yes("number")
    assert state(log.standing("ann").own, SALE) == state(log.standing("number").own, SALE) == IN
    assert state(log.standing("digest").own, SALE) == 0
    log.no("number")
    assert state(log.standing("number").own, SALE) == OUT


# --- links ---


def test_what_had_come_stays_with_a_tablet_that_is_let_go_until_it_says_yes_itself():
    log = Log()
    log.link("ann", "tablet")
    log.no("ann")
    log.end("ann", "tablet")
    log.yes("ann")
    assert log.denies("tablet")
    log.yes("tablet")
    assert not log.denies("tablet")


def test_a_tablet_that_comes_back_is_free_once_its_account_is():
    log = Log()
    log.link("ann", "tablet")
    log.no("ann")
    log.end("ann", "tablet")
    log.link("ann", "tablet")
    log.yes("ann")
    assert not log.denies("tablet")


def test_a_link_told_again_changes_nothing():
    log = Log()
    log.say("phone", record.LinkSaid(key("ann"), HOUR))
    assert log.say("phone", record.LinkSaid(key("ann"), HOUR)) == {}
    assert log.say("phone", record.LinkSaid(key("ann"), HOUR, claimed=True)) == {}, "a whole one never becomes claimed"


def test_a_date_ends_nothing_for_a_no_and_everything_for_a_yes():
    log = Log()
    log.link("ann", "phone", until=log.at + HOUR)
    log.no("ann")
    log.at += 2 * HOUR
    log.no("ann", SENSITIVE)
    assert log.denies("phone", SENSITIVE), "no end is on record"
    log.yes("ann")
    assert not log.denies("ann")
    assert log.denies("phone"), "by its date it is the account's no more"


def test_from_a_claimed_tablet_nothing_comes_and_a_no_stays_on_it_until_its_own_yes():
    log = Log()
    log.link("ann", "tablet", claimed=True)
    log.no("tablet")
    assert not log.denies("ann")
    log.no("ann", SENSITIVE)
    log.no("ann", Purpose.MARKETING_EMAIL)
    assert log.denies("tablet", SENSITIVE)
    log.say("tablet", record.LinkSaid(key("ann"), log.at, log.at, claimed=True))
    assert log.denies("tablet", SENSITIVE)
    log.yes("tablet", SENSITIVE)
    assert not log.denies("tablet", SENSITIVE)
    assert log.denies("tablet", Purpose.MARKETING_EMAIL), "a yes is one to its own purpose"
    log.no("ann", Purpose.MARKETING_TEXT)
    assert not log.denies("tablet", Purpose.MARKETING_TEXT), "the claim is over"


def test_the_age_of_an_account_that_an_app_tied_to_a_tablet_goes_with_the_claim():
    log = Log()
    log.say("ann", record.AgeTold(AGES[0]))
    log.link("ann", "tablet", claimed=True)
    assert reading.is_child(Slate(log.state.get), key("tablet"))
    log.say("tablet", record.LinkSaid(key("ann"), log.at, log.at, claimed=True))
    assert not reading.is_child(Slate(log.state.get), key("tablet"))


def test_what_a_tablet_kept_is_its_own_once_an_app_claims_it():
    log = Log()
    log.link("ann", "tablet")
    log.no("ann")
    log.end("ann", "tablet")
    log.link("ann", "tablet", claimed=True)
    log.yes("ann")
    assert log.places("tablet") == {"down"}
    log.yes("tablet")
    assert not log.denies("tablet")


# --- names ---


def test_one_identifier_of_a_digest_has_nothing_from_the_other_and_the_digest_has_both():
    log = Log()
    log.named("gaid", "digest")
    log.named("idfa", "digest")
    log.no("gaid")
    assert [log.denies(each) for each in ("gaid", "digest", "idfa")] == [True, True, False]


def test_a_looser_form_denies_and_sends_nothing_on():
    log = Log()
    log.named("janedoe+x", looser=["janedoe"])
    log.link("ann", "janedoe")
    log.no("janedoe+x")
    assert log.came("janedoe")
    assert not log.denies("ann")


def test_a_code_to_one_spelling_lifts_what_the_mailbox_said_and_opens_that_spelling_alone():
    log = Log()
    log.named("jane.doe", mailbox="janedoe")
    log.link("ann", "janedoe")
    log.no("janedoe")
    assert log.denies("jane.doe")
    log.yes("jane.doe")
    assert not any(map(log.denies, ("janedoe", "jane.doe", "ann")))
    assert [state(log.standing(each).own, SALE) for each in ("janedoe", "jane.doe")] == [0, IN]


# --- beside a no and a yes ---


def test_a_state_ends_by_its_own_source_for_the_names_that_it_speaks_for():
    log = Log()
    began, ended = (record.StateSaid(each, (SALE,), "device") for each in (True, False))
    log.named("gaid", "digest")
    log.named("idfa", "digest")
    log.say("digest", began)
    log.say("gaid", record.StateSaid(began=False, purposes=(SALE,), source="tcf"))
    assert log.denies("gaid")
    log.say("digest", ended)
    assert log.denies("gaid"), "a digest of two ends nothing"
    log.say("gaid", ended)
    assert [log.denies(each) for each in ("gaid", "idfa", "digest")] == [False, True, True]


def test_an_installations_state_is_ended_by_it_or_by_the_id_itself():
    log = Log()
    for mark in ("a", "b"):
        log.say("id", record.StateSaid(began=True, purposes=(SALE,), source="device", mark=mark))
    log.say("id", record.StateSaid(began=False, purposes=(SALE,), source="device", mark="a"))
    assert log.standing("id").held == {"device"}
    log.say("id", record.StateSaid(began=False, purposes=(SALE,), source="device"))
    assert log.standing("id").held == frozenset()


def test_whoever_is_linked_later_was_not_told():
    log = Log()
    log.link("ann", "phone")
    log.say("ann", record.NoticeGiven(NoticeKind.PRIVACY, 738_000))
    log.link("ann", "tablet")
    assert log.standing("phone").told
    assert log.standing("tablet").told is None


def test_nobody_gets_older_when_a_link_ends_and_a_child_stays_one():
    log = Log()
    log.link("ann", "tablet")
    log.say("ann", record.AgeTold("under_13"))
    log.end("ann", "tablet")
    assert log.standing("tablet").age_band == "under_13"
    log.say("tablet", record.ChildFound())
    log.say("tablet", record.AgeTold("adult", may_rise=True))
    assert log.standing("tablet").age_band == "under_13"
    assert log.denies("tablet", Purpose.MARKETING_CALL)


@pytest.mark.parametrize("said", [SALE, SENSITIVE])
def test_a_grant_is_over_after_a_later_no_though_that_is_lifted(said):
    log = Log()
    log.link("ann", "phone")
    log.say("phone", grant())
    assert log.grants("phone") == ["teemo"]
    log.no("ann", said)
    log.yes("ann", said)
    assert log.grants("phone") == []


def test_a_grant_behind_a_no_that_was_lifted_before_is_none_of_its_business():
    log = Log()
    log.no("ann")
    log.yes("ann")
    log.say("phone", grant())
    log.link("ann", "phone")
    assert log.grants("phone") == ["teemo"]


def test_a_grant_is_over_where_the_mailbox_is_met_with_the_yes_that_lifts_its_no():
    log = Log()
    log.named("jane.doe", "digest")
    log.say("janedoe", grant())
    log.no("jane.doe")
    log.named("jane.doe", mailbox="janedoe")
    log.seq -= 1  # names are learnt with the entry that comes behind them
    log.yes("jane.doe")
    assert log.grants("janedoe") == []


def test_a_grant_stays_over_when_the_account_that_ended_it_is_gone():
    log = Log()
    log.link("ann", "phone")
    log.say("phone", grant())
    log.no("ann")
    log.yes("ann")
    log.end("ann", "phone")
    assert log.grants("phone") == []


def test_an_act_is_ended_by_its_use_and_by_no_no():
    log = Log()
    log.say("phone", grant(GrantKind.DIRECTED, until=log.at + HOUR))
    log.no("phone")
    assert log.grants("phone") == ["teemo"]
    log.say("phone", record.ActUsed("teemo"))
    assert log.grants("phone") == []


def test_a_void_takes_back_what_was_granted_on_its_screen():
    log = Log()
    log.say("phone", grant(screen="dark"))
    log.void("dark")
    assert log.grants("phone") == []


# --- who comes back ---


def comes_back(log, *ids, mark="a"):
    return sorted(reading.come_back(mark, key("app"), [key(each) for each in ids], log.state.get))


def test_an_installation_comes_back_from_what_it_said_itself():
    log = Log()
    log.no("ad id", mark="a")
    log.yes("app")
    assert comes_back(log, "ad id") == [SALE]
    log.no("ad id", mark="a")
    assert comes_back(log, "ad id") == [], "it said no again"


@pytest.mark.parametrize("other", ["", "b"])
def test_from_what_somebody_else_said_too_it_does_not(other):
    log = Log()
    log.no("ad id", mark=other)
    log.no("ad id", mark="a")
    log.yes("app")
    assert comes_back(log, "ad id") == []


def test_nor_from_what_the_account_or_a_device_says():
    log = Log()
    log.link("ann", "ad id")
    log.no("ann")
    log.yes("app")
    assert comes_back(log, "ad id") == []
    log.say("other id", record.StateSaid(began=True, purposes=(SALE,), source="device", mark="a"))
    assert comes_back(log, "other id") == []


def test_what_it_has_from_its_other_ids_is_looked_at_there_and_the_precise_location_is_never_its_to_open():
    log = Log()
    said = record.StateSaid(began=True, purposes=(SALE,), source=Source.INSTALLATION, mark="a")
    log.say("new ad id", said)
    log.yes("app")
    log.yes("app", SENSITIVE)
    assert comes_back(log, "new ad id") == [SALE]
    assert comes_back(log, "new ad id", mark="b") == []


def test_what_was_pruned_may_have_been_anybodys_no():
    log = Log()
    log.say("ad id", record.SaidPruned())
    assert not log.denies("ad id")
    log.no("ad id", mark="a")
    log.yes("app")
    assert comes_back(log, "ad id") == []


def test_what_was_pruned_denies_nothing_though_a_later_screen_is_voided():
    log = Log()
    log.say("ad id", record.SaidPruned())
    log.yes("ad id", screen="dark")
    log.void("dark")
    assert not log.denies("ad id")


def test_a_year_runs_from_the_last_no_that_somebody_said_of_themselves():
    log = Log()
    log.no("phone")
    log.yes("phone")
    log.no("phone", SENSITIVE, dated=False)
    assert reading.last_outs(key("phone"), log.state.get) == dict.fromkeys((SALE, Purpose.SHARING, ADS), 0)
    log.release("phone")
    assert reading.last_outs(key("phone"), log.state.get) == {}


def test_a_further_reading_does_not_take_the_year_from_who_said_no_themselves():
    log = Log()
    log.no("phone")
    log.no("phone", dated=False)
    assert reading.last_outs(key("phone"), log.state.get) == dict.fromkeys((SALE, Purpose.SHARING, ADS), 0)
    log.release("phone")
    log.no("phone", dated=False)
    assert reading.last_outs(key("phone"), log.state.get) == {}, "that was said by who had the number before"


# --- pure ---


def test_nothing_is_changed_in_place():
    log = Log()
    log.link("ann", "phone")
    log.no("phone")
    before = dict(log.state)
    frozen = repr(sorted(map(repr, before.items())))
    for said in (record.SaidIn((SALE,)), record.Released(), record.NamesLearnt((key("digest"),))):
        fold(record.Record(9, 9 * HOUR, key("phone"), said), MappingProxyType(before).get)
    assert repr(sorted(map(repr, before.items()))) == frozen


def test_every_kind_of_record_has_its_act():
    assert set(ACTS) == set(record.Said.__args__)


# --- what only a reader of the code could see ---


def test_a_signal_of_who_got_a_number_is_news_though_the_no_of_who_had_it_denies_still():
    log = Log()
    log.no("phone")
    log.release("phone")
    log.no("phone", source="gpc", signal=True)
    log.link("ann", "phone")
    assert log.denies("ann")


def test_a_signal_by_another_app_is_news_so_that_neither_takes_both_back():
    log = Log()
    log.no("gaid", mark="a")
    assert log.no("gaid", mark="b", signal=True)
    assert not log.no("gaid", mark="b", signal=True)
    assert log.state[key("gaid")].own[SALE].mark == SEVERAL


def test_a_no_goes_up_to_who_has_the_digest_also_where_it_was_said_before_that_was_known():
    log = Log()
    log.link("ann", "digest")
    log.no("gaid")
    assert not log.denies("ann")
    log.named("gaid", "digest")
    assert log.denies("ann")


def test_a_no_in_one_spelling_ends_the_yes_of_a_digest_of_another():
    log = Log()
    log.named("jane.doe", "digest", mailbox="janedoe")
    log.named("j.anedoe", mailbox="janedoe")
    log.yes("digest")
    log.no("j.anedoe")
    log.yes("j.anedoe")
    assert [state(log.standing(each).own, SALE) for each in ("digest", "j.anedoe")] == [0, IN]


def test_a_yes_of_one_owner_of_a_digest_does_not_hide_that_a_void_brought_the_no_of_another_back():
    log = Log()
    for each in ("gaid", "idfa"):
        log.named(each, "digest")
    log.link("ann", "digest")
    log.no("ann")
    log.end("ann", "digest")
    log.yes("gaid", screen="dark")
    log.yes("idfa", screen="fair")
    log.say("gaid", record.GrantSaid("shop", (SALE,), None, GrantKind.OPTED_IN))
    assert log.grants("gaid") == ["shop"]
    log.void("dark")
    assert log.grants("gaid") == []
    log.yes("gaid", screen="new")
    assert log.grants("gaid") == [], "it is over for good"


def test_who_was_found_to_be_a_child_stays_one_whatever_is_kept_of_who_is_forgotten():
    log = Log()
    log.say("gaid", record.ChildFound())
    log.say("gaid", record.KeptAge(record.KeyAge("adult", "adult")))
    assert log.standing("gaid").age_band == "under_13"


def test_what_others_said_in_other_spellings_goes_up_to_who_has_a_name_that_is_learnt_later():
    log = Log()
    log.link("ann", "digest")
    log.named("dotted", mailbox="jane")
    log.named("jane", mailbox="jane")
    log.no("dotted")
    assert not log.denies("ann")
    log.named("jane", "digest")
    assert log.denies("ann")
