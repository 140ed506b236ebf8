"""A no that was kept beside the ledger, of what passes to somebody else before it is entered, is whoever's said it (R5)."""

import os
from dataclasses import replace
from datetime import timedelta

import pytest
from support.people import GAID, email, phone

from gateway.desk import disclosures, history, late_noes
from gateway.desk.disclosures import Intended
from gateway.desk.documents import Document
from gateway.desk.forgetting import erasure, prune
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.kept_request import KeptRequest
from gateway.desk.recipient_holdings import Left
from gateway.fold.record import KeptNo, NamesLearnt
from gateway.ledger import entry, schema
from gateway.ledger.acts import office_acts
from gateway.ledger.acts.office_acts import Belief
from gateway.ledger.audit import verify
from gateway.ledger.log_records import SAY, SideRow, all_sides, rewrite_sides, sides_of_entries
from gateway.ledger.proof.merkle import WIDTH
from gateway.ledger.side import all_mentions, led_by, pack_side
from gateway.ledger.subjects import RESIDES, Choice, milliseconds
from gateway.terms import ChoiceKind, Erasing, Purpose

HOUR = timedelta(hours=1)
H = 3_600_000  # the same in milliseconds
BELIEF = Belief(b"h" * 32, ("Ada Park", "Ben Cole"))
OUT, NONE = "opted_out", "none"


class PassesOn:
    """A number or a mailbox that Alice's account has and Bob's has later. `mobile`: an id of hers."""

    def __init__(self, story, who, place):
        self.story, self.place = story, place
        self.alice, self.bob, self.mobile = who("account", "alice"), who("account", "bob"), who("gaid", GAID)
        story.links(self.alice, place, self.mobile)

    def later(self):
        self.story.at += HOUR

    def keeps(self, *also, **more):
        """A no to sale that is accepted now."""
        self.later()
        choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "form", self.story.at, "US-CA", details={RESIDES: True})
        return KeptRequest(os.urandom(16), (*also, self.place), choice, **more)

    def ends(self, how):
        self.later()
        if how == "released":
            self.story.releases(self.place)
        else:
            self.story.unlinks(self.alice, self.place)

    def passes(self, account):
        self.later()
        self.story.links(account, self.place)

    def enters(self, kept):
        self.later()
        assert self.story.do(kept.enter_once)
        assert not self.story.do(kept.enter_once)

    def opted_out(self, *who):
        return [each == OUT for each in self.story.sales(*who)]

    def forgets(self, *who):
        """They have themselves unlinked."""
        self.later()
        order = ErasureOrder(Erasing.UNLINK, who, self.story.at)
        self.story.do(lambda tx: erasure.erase(tx, order, os.urandom(16)))

    def prunes(self, stranger):
        """All that was said so far, once others filled its tile."""
        story, fills = self.story, {"kind": "filler", "step": "none", "vkey": ""}
        story.do(
            lambda tx: [
                tx.append(entry.key_event(event=os.urandom(16), at=story.at, **fills)) for _ in range(-tx.size % WIDTH)
            ]
        )
        story.says(stranger)
        planned = story.do(lambda tx: prune.plan(tx.db, story.at + HOUR, story.at))
        assert planned.below == WIDTH
        policy = Document(prune.POLICY, "1", "en", b"everything goes")
        for job in prune.jobs(planned, policy, story.at):
            story.do(job)

    def voids(self, kept, *kinds):
        """Of what a line said its entries about these kinds of identifier."""
        self.later()
        marks = ", ".join("?" * len(kinds))
        sql = f"SELECT seq FROM detail WHERE request = ? AND kind IN ({marks})"
        seqs = [seq for (seq,) in self.story.rows(sql, kept.request, *kinds)]
        assert len(seqs) == len(kinds)
        return self.story.do(lambda tx: office_acts.void_choices(tx, seqs, BELIEF, self.story.at))


@pytest.fixture(params=["phone", "email"])
def place(request, who):
    return who(request.param, {"phone": phone(1), "email": email(1)}[request.param])


@pytest.fixture
def passing(story, who, place):
    yield PassesOn(story, who, place)
    found = story.do(lambda tx: verify.examine(tx.db, lambda _: None, tx.persons)).different
    assert not [each for each in found if "told" in each]


@pytest.mark.parametrize("signal", [False, True], ids=["said", "heard"])
@pytest.mark.parametrize("bobs", ["before", "behind"])
def test_of_a_number_that_was_given_back_is_its_old_holders_and_denies_on_it(passing, bobs, signal):
    kept = passing.keeps(signal=signal)
    passing.ends("released")
    if bobs == "before":
        passing.passes(passing.bob)
    passing.enters(kept)
    if bobs == "behind":
        passing.passes(passing.bob)
    assert passing.opted_out(passing.alice, passing.mobile, passing.place) == [True, True, True]
    assert passing.opted_out(passing.bob) == [False]


@pytest.mark.parametrize("signal", [False, True], ids=["said", "heard"])
@pytest.mark.parametrize("how", ["released", "ended"])
def test_of_an_account_denies_on_what_it_had_then_and_has_no_more(passing, how, signal):
    """In its turn it would have stayed there (R5)."""
    kept = replace(passing.keeps(signal=signal), subjects=(passing.alice,))
    passing.ends(how)
    passing.story.unlinks(passing.alice, passing.mobile)
    passing.passes(passing.bob)
    passing.enters(kept)
    assert passing.opted_out(passing.alice, passing.mobile, passing.place) == [True, True, True]
    assert passing.opted_out(passing.bob) == [False]


def test_of_an_account_says_nothing_on_what_it_has_only_since(passing, who):
    newer, kept = (
        who("idfv", "6d92078a-8246-4ba4-ae5b-76104861e7dc"),
        replace(passing.keeps(), subjects=(passing.alice,)),
    )
    passing.later()
    passing.story.links(passing.alice, newer)
    passing.later()
    passing.story.unlinks(passing.alice, newer)
    passing.enters(kept)
    assert passing.opted_out(newer) == [False]


def test_of_one_whose_link_ended_is_its_old_holders_too(passing):
    kept = passing.keeps()
    passing.ends("ended")
    passing.enters(kept)
    assert passing.opted_out(passing.alice, passing.mobile, passing.place) == [True, True, True]


@pytest.mark.parametrize("how", ["released", "ended"])
def test_ties_nobody_to_what_they_have_no_more(passing, how):
    kept = passing.keeps(passing.alice, passing.mobile, tie=True)
    passing.ends(how)
    passing.enters(kept)
    passing.later()
    passing.story.says(passing.alice, "opt_out", Purpose.PROFILING)
    states = [passing.story.standing(each).states()["profiling"] for each in (passing.mobile, passing.place)]
    assert states == [OUT, NONE]


def test_is_not_said_by_who_had_it_before_or_came_behind_it(passing):
    passing.ends("ended")
    passing.passes(passing.bob)
    kept = passing.keeps()
    passing.later()
    passing.story.unlinks(passing.bob, passing.place)
    passing.ends("released")
    passing.enters(kept)
    assert passing.opted_out(passing.bob, passing.alice) == [True, False]


def test_of_a_number_given_back_before_it_was_said_is_its_next_holders(passing):
    """Nothing passed since."""
    passing.ends("released")
    kept = passing.keeps()
    passing.enters(kept)
    passing.passes(passing.bob)
    assert passing.opted_out(passing.place, passing.bob, passing.alice) == [True, True, False]


GIVEN_BACK = {"seconds before": 20, "seconds after": -20, "an hour after": -3600}  # seconds until the no, by its clock


def passes_about(passing, how, behind):
    """A no whose own machine's clock says that it came so many seconds behind the moment at which another had it."""
    passing.ends(how)
    passing.story.links(passing.bob, passing.place)
    kept = passing.keeps()
    at = passing.story.at - HOUR + timedelta(seconds=behind)
    passing.enters(replace(kept, choice=replace(kept.choice, at=at)))


@pytest.mark.parametrize("how", ["released", "ended"])
@pytest.mark.parametrize("given_back", [*GIVEN_BACK])
def test_of_about_when_it_passed_on_is_both_holders(passing, how, given_back):
    """Nobody knows which clock is right, so one is opted out too many; an hour is nobody's doubt."""
    passes_about(passing, how, GIVEN_BACK[given_back])
    assert passing.opted_out(passing.place, passing.alice, passing.mobile) == [True, True, True]
    assert passing.opted_out(passing.bob) == [how == "ended" or given_back != "an hour after"]


@pytest.mark.parametrize("given_back", ["seconds before", "seconds after"])
def test_the_control_where_clocks_are_believed_to_the_second_one_holders_no_is_lost(passing, given_back, monkeypatch):
    monkeypatch.setattr(late_noes, "APART", 0)
    passes_about(passing, "released", GIVEN_BACK[given_back])
    assert passing.opted_out(passing.alice, passing.bob) == [
        given_back != "seconds before",
        given_back == "seconds before",
    ]


@pytest.mark.parametrize("given_back", [*GIVEN_BACK])
def test_ties_nobody_to_what_was_given_back_at_about_that_time(story, who, given_back):
    """Which no account had: it may be the next holder's by now."""
    passing = PassesOn(story, who, who("email", email(1)))
    passing.place = who("phone", phone(2))
    kept = passing.keeps(passing.alice, tie=True)
    passing.ends("released")
    at = story.at + timedelta(seconds=GIVEN_BACK[given_back])
    passing.enters(replace(kept, choice=replace(kept.choice, at=at)))
    passing.later()
    story.says(passing.alice, "opt_out", Purpose.PROFILING)
    assert [story.standing(each).states()["profiling"] for each in (passing.mobile, passing.place)] == [OUT, NONE]


def test_is_lifted_on_the_number_by_its_next_holder_alone(passing):
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    passing.later()
    passing.story.says(passing.place, "opt_in")
    assert passing.opted_out(passing.place, passing.alice) == [False, True]


def test_brings_its_old_holder_no_place_and_keeps_its_own_event(passing):
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    assert [each["s"] for each in passing.story.leaves() if each["e"] == "opt_out"]
    assert passing.story.rows("SELECT kind FROM detail WHERE request = ?", kept.request) == [
        (passing.place.kind,), ("account",),
    ]  # fmt: skip
    assert passing.story.rows("SELECT kind FROM detail WHERE event = ?", kept.request) == [(passing.place.kind,)]
    assert not passing.story.standing(passing.alice).places


def test_is_told_to_whoever_got_the_number(passing):
    place = passing.place
    row = Intended("row", place.key, (place.kind,), (Left(place.kind, place.value, place.key, (place.key,)),))

    def left(tx):
        batch = disclosures.intend(tx, "teemo", [Purpose.SALE], [row], passing.story.at)
        disclosures.mark(tx, "teemo", batch, [row], "sent")

    passing.story.do(left)
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    assert passing.story.rows("SELECT recipient FROM outbox") == [("teemo",)]


def test_of_a_mailbox_that_was_given_back_it_denies_in_every_spelling_of_it(story, who):
    passing = PassesOn(story, who, who("email", "janedoe@gmail.com"))
    kept = passing.keeps()
    passing.place = who("email", "jane.doe@gmail.com")
    story.says(passing.place, "opt_out", Purpose.PROFILING)
    passing.ends("released")
    passing.enters(kept)
    passing.passes(passing.bob)
    assert passing.opted_out(passing.alice, passing.place, passing.bob) == [True, True, False]


def test_of_what_a_number_may_be_too_brings_its_old_holder_no_word_of_theirs(story, who):
    passing = PassesOn(story, who, replace(who("phone", phone(1)), reading=True))
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    assert passing.opted_out(passing.alice, passing.place) == [True, True]
    assert {each["src"] for each in story.leaves() if each["e"] == "opt_out"} == {"reading"}


@pytest.mark.parametrize("signal", [False, True], ids=["said", "heard"])
@pytest.mark.parametrize("how", ["released", "ended"])
def test_outlives_the_next_holder_who_has_themselves_forgotten(passing, how, signal):
    """In its turn it would have been there before them."""
    kept = passing.keeps(signal=signal)
    passing.ends(how)
    passing.passes(passing.bob)
    passing.enters(kept)
    passing.forgets(passing.bob, passing.place)
    assert passing.opted_out(passing.place, passing.alice, passing.bob) == [True, True, False]


def test_of_what_no_account_ever_had_outlives_the_next_holder_who_has_themselves_forgotten(passing, who):
    passing.place = who("phone", phone(2))
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    passing.forgets(passing.place)
    assert passing.opted_out(passing.place) == [True]


def test_of_an_account_outlives_its_next_holder_also_where_it_was_heard_and_no_news(passing):
    kept = replace(passing.keeps(signal=True), subjects=(passing.alice,))
    passing.ends("released")
    passing.passes(passing.bob)
    passing.later()
    passing.story.hears(passing.alice)
    passing.enters(kept)
    assert not passing.story.rows("SELECT 1 FROM detail WHERE request = ? AND kind = 'account'", kept.request)
    passing.forgets(passing.bob, passing.place)
    assert passing.opted_out(passing.place, passing.alice) == [True, True]


def test_of_what_an_account_had_goes_with_the_device_as_in_its_turn(passing):
    kept = replace(passing.keeps(), subjects=(passing.alice,))
    passing.later()
    passing.story.unlinks(passing.alice, passing.mobile)
    passing.enters(kept)
    assert passing.opted_out(passing.mobile) == [True]
    passing.forgets(passing.mobile)
    assert passing.opted_out(passing.mobile, passing.alice) == [False, True]


def test_that_was_forged_is_taken_back_where_it_stays(passing):
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    done = passing.voids(kept, passing.place.kind)
    assert (done.entries, passing.place.key in done.changed) == (1, True)
    assert passing.opted_out(passing.place, passing.alice) == [False, True]
    done = passing.voids(kept, "account")
    assert passing.opted_out(passing.place, passing.alice, passing.mobile) == [False, False, False]


def test_of_which_another_one_stays_than_its_entry_says_is_found(story, who):
    passing = PassesOn(story, who, who("phone", phone(1)))
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    found = []

    def tampered(tx):
        seqs = range(tx.size)
        changed = rewrite_sides(tx.db, sides_of_entries(tx.db, seqs), lambda _, record: with_another(record))
        assert [*changed]
        found.append(verify.examine(tx.db, lambda _: None, tx.persons).different)
        raise Undone

    with pytest.raises(Undone):
        story.do(tampered)
    assert any("is not what it says" in each for each in found[0])


def with_another(record):
    """A no that stays, to something else."""
    said = record.said
    return record._replace(said=said._replace(purpose=Purpose.PROFILING)) if isinstance(said, KeptNo) else record


class Undone(Exception):
    pass


def test_of_an_account_that_was_forged_is_taken_back_where_it_stays(passing):
    kept = replace(passing.keeps(), subjects=(passing.alice,))
    passing.ends("released")
    passing.enters(kept)
    assert {passing.place.key, passing.alice.key} <= passing.voids(kept, "account").changed
    assert passing.opted_out(passing.place, passing.alice, passing.mobile) == [False, False, False]


def test_stays_where_whoever_said_it_has_themselves_forgotten_or_its_entry_is_pruned(passing, who):
    kept = replace(passing.keeps(), subjects=(passing.alice,))
    passing.ends("released")
    passing.enters(kept)
    passing.forgets(passing.alice)
    assert passing.opted_out(passing.place) == [True]
    passing.prunes(who("account", "carol"))
    assert passing.opted_out(passing.place) == [True]


@pytest.mark.parametrize("late", [False, True], ids=["at once", "of a line"])
def test_that_ties_what_the_desk_listed_ties_no_number_that_may_be_anothers(story, who, late):
    account, mobile, clear = who("account", "alice"), who("gaid", GAID), who("phone", phone(3))
    reading = replace(who("phone", phone(2)), reading=True)
    number = replace(who("phone", phone(1)), further=() if late else (reading,))  # a line has no room for it
    choice = Choice(ChoiceKind.OPT_OUT, (Purpose.PROFILING,), "api", story.at)
    kept = KeptRequest(os.urandom(16), (account, number, mobile, clear, reading), choice, tie=True)
    story.do(kept.enter_once if late else kept.enter)
    story.says(account)
    tied = [True, not late]  # which of several numbers it may be a reading of is not known of a line
    assert [each == OUT for each in story.sales(mobile, clear, number, reading)] == [*tied, False, False]


@pytest.mark.parametrize("voided", [False, True])
def test_on_the_way_back_to_an_older_release_stays_in_a_row_of_its_own(passing, monkeypatch, voided):
    """Which takes whatever lies with an entry for what it says."""
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    if voided:
        passing.voids(kept, passing.place.kind)

    def goes_back(tx):
        schema.EMPTIED[schema.BOUNCES](tx.db)
        rows = [(row.entered, record) for row in all_sides(tx.db) for record in row.records(words={KeptNo})]
        assert {*all_mentions(tx.db)} == set().union(*(led_by(row.place, row.records()) for row in all_sides(tx.db)))
        monkeypatch.setattr(SideRow, "is_own", lambda row, told: row.entered and not isinstance(told.said, NamesLearnt))
        return rows, verify.examine(tx.db, lambda _: None, tx.persons).different

    rows, different = passing.story.do(goes_back)
    assert [each for each in different if "told" in each] == []
    assert not any(entered for entered, _ in rows)
    assert {record.at for _, record in rows} <= {milliseconds(kept.choice.at)}
    denied = {record.said.purpose for _, record in rows if record.key == passing.place.key}
    assert (Purpose.SALE in denied) is not voided


def unchanged(_):
    """What became of a no before its ledger was taken back: nothing."""


def forgotten(passing):
    """An unlink says again, apart, what stays of whoever had said it, and gives it its own entry's number."""
    passing.forgets(passing.alice)


def pruned(passing):
    passing.prunes(passing.bob)


def stays_apart(tx):
    """The rows of their own in which a no of nobody who is known lies."""
    return [row for row in all_sides(tx.db) if not row.entered and row.records(words={KeptNo})]


def goes_back(tx):
    before = len(stays_apart(tx))
    schema.EMPTIED[schema.BOUNCES](tx.db)
    assert len(stays_apart(tx)) > before


@pytest.mark.parametrize("meanwhile", [unchanged, forgotten, pruned])
def test_is_beside_its_entry_again_once_its_ledger_was_taken_back_and_brought_up_to_date(passing, meanwhile):
    """Its number's holder said yes since: of no day anything else is told than before."""
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    passing.later()
    passing.story.says(passing.place, "opt_in")
    meanwhile(passing)

    def told(tx):
        days = [history.rebuild(tx.db, [passing.place.key], passing.story.now - half * H // 2) for half in range(12)]
        return [*all_sides(tx.db)], {*all_mentions(tx.db)}, days

    def goes_back_and_forth(tx):
        before = told(tx)
        goes_back(tx)
        schema.FILLED[schema.BOUNCES](tx.db)
        return before, told(tx)

    before, after = passing.story.do(goes_back_and_forth)
    assert after == before
    assert passing.opted_out(passing.place) == [False]


def test_is_still_taken_back_as_forged_once_its_ledger_was_taken_back_and_brought_up_to_date(passing):
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    passing.story.do(lambda tx: (goes_back(tx), schema.FILLED[schema.BOUNCES](tx.db)))
    assert passing.place.key in passing.voids(kept, passing.place.kind).changed
    assert passing.opted_out(passing.place, passing.alice) == [False, True]


def test_that_an_earlier_way_back_put_behind_under_the_number_of_the_next_entry_stays_there(passing):
    """Which an older release may have entered since."""
    kept = passing.keeps()
    passing.ends("released")
    passing.enters(kept)
    found = []

    def goes_back_as_before(tx):
        goes_back(tx)
        [apart] = stays_apart(tx)
        tx.db.execute("UPDATE side SET seq = ? WHERE place = ?", (tx.size, apart.place))
        tx.db.execute(SAY, (apart.place + 1, tx.size, True, pack_side((), 0, 1)))
        before = [*all_sides(tx.db)]
        schema.FILLED[schema.BOUNCES](tx.db)
        found.extend([before, [*all_sides(tx.db)]])
        raise Undone

    with pytest.raises(Undone):
        passing.story.do(goes_back_as_before)
    assert found[0] == found[1]
