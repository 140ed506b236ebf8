"""What a state's deletion list says of somebody lies beside what they said themselves: whatever is said while it stands
is there once the list takes it back.
"""

import pytest
from support.any_acts import acts
from support.folding import SALE, Log, key

from gateway.fold import fold, reading
from gateway.fold.noes import is_no_news
from gateway.fold.record import NamesLearnt, OrderOver, Record, SaidIn, SaidOut
from gateway.fold.state import Slate
from gateway.ledger.acts.office_acts import ORDER
from gateway.ledger.log_records import order_over
from gateway.terms import SIGNAL_PURPOSES, Purpose, Source

GPC = SaidOut(tuple(SIGNAL_PURPOSES), Source.GPC, signal=True)
BEFORE = {
    "nothing": (),
    "a no that was lifted": (SaidOut((SALE,), "form"), SaidIn((SALE,))),
    "another app's no that was lifted": (SaidOut((SALE,), "form", "a"), SaidIn((SALE,))),
}


def told(*said):
    """Of one digest."""
    log = Log()
    log.named("phone", "digest")
    for each in said:
        log.say("digest", each)
    return log


@pytest.mark.parametrize("before", BEFORE)
def test_a_signal_while_a_list_says_no_is_news_and_outlives_the_list(before):
    log = told(*BEFORE[before], ORDER)
    assert not is_no_news(Slate(log.state.get), key("digest"), GPC)
    assert log.say("digest", GPC)
    assert log.say("digest", GPC) == {}, "the second time it is none"
    kept = told(*BEFORE[before], OrderOver(ORDER.purposes), GPC)
    assert kept.denies("digest")
    assert kept.denies("phone")


def test_what_a_list_says_is_no_word_of_the_digest_itself():
    """So whoever hears a signal of it looks further than its row."""
    log = told(ORDER)
    standing = log.standing("digest")
    assert standing.denies(SALE)
    assert not standing.own_denies(SALE)
    assert log.places("digest") == {"own"}, "which says what would lift it"


def test_a_number_s_holder_takes_back_what_a_list_says_of_it_and_not_what_somebody_said_by_its_digest():
    log = told(SaidOut((SALE,), "form"), ORDER)
    log.yes("phone")
    assert log.denies("phone")
    log.yes("phone", Purpose.PROFILING)
    assert not log.denies("phone", Purpose.PROFILING)
    log.say("digest", SaidOut((Purpose.PROFILING,), "form"))
    assert log.denies("phone", Purpose.PROFILING)


def test_from_a_list_s_no_on_nobody_asks_for_a_year():
    log = told(SaidOut((SALE,), "form"), ORDER)
    assert reading.last_outs(key("digest"), log.state.get)[SALE] == 2


def with_orders(seed):
    """Any acts, and now and then a list names one of their keys."""
    for record in acts(seed, 120):
        of_a_list = isinstance(record.said, SaidOut) and record.seq % 3 == 0 and not record.account
        yield record._replace(said=ORDER) if of_a_list else record


def noes_of_theirs(records, keys):
    """By key all that is read there but what lists say, lifted or not."""
    state = {}
    for each in records:
        state.update(fold(each, state.get))
    slate = Slate(state.get)
    return {
        each: {
            (no.purpose, no.bit, no.place, no.via, no.root)
            for no in reading.read_noes(slate, each)
            if not no.bit.is_order()
        }
        for each in keys
    }


@pytest.mark.parametrize("seed", range(60))
def test_in_any_acts_everybody_s_own_noes_are_the_same_whether_lists_stand_or_are_taken_back(seed):
    stand = [*with_orders(seed)]
    over = [order_over(each) for each in stand]
    assert over != stand
    keys = {each.key for each in stand}
    assert noes_of_theirs(stand, keys) == noes_of_theirs(over, keys)


def test_the_control_a_list_s_no_that_is_a_word_of_somebody_s_is_found():
    said = [Record(0, 1, key("phone"), NamesLearnt((key("digest"),))), Record(1, 2, key("digest"), ORDER)]
    mixed = [each._replace(said=ORDER._replace(source="form")) if each.said == ORDER else each for each in said]
    assert noes_of_theirs(said, [key("digest")]) != noes_of_theirs(mixed, [key("digest")])
