"""Links begin, end and pass a choice on once (R2, R5)."""

import contextlib
import os
from datetime import UTC, datetime, timedelta

import pytest
from support.people import GAID, IDFV, phone

from gateway.ledger.acts import links, records
from gateway.ledger.acts.links import Span
from gateway.ledger.subjects import Choice, Subject, milliseconds, moment
from gateway.terms import DAY_MS, ChoiceKind, Purpose

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOW = milliseconds(AT)
HOUR = 3_600_000
OUT, IN, NONE = "opted_out", "opted_in", "none"


@pytest.fixture
def link(do):
    return lambda account, it, until=None, now=NOW: do(
        lambda tx: links.link_identifiers(tx, account, [it], Span(NOW - 1000, until), now)
    )


@pytest.fixture
def release(do):
    return lambda it, now=NOW: do(lambda tx: links.release(tx, it, now))


@pytest.fixture
def says(do):
    def say(kind, subject, at=AT):
        choice = Choice(ChoiceKind(kind), (Purpose.SALE,), "api", at)
        return do(lambda tx: records.write_choice(tx, subject, choice, os.urandom(16)))

    return say


@pytest.fixture
def writes(says):
    """An entry of somebody else, by a clock that says so much."""
    return lambda subject, at: says("opt_out", subject, moment(at))


@pytest.fixture
def states(house):
    def read(*subjects):
        alone = [Subject(subject.kind, subject.value, (subject.key,)) for subject in subjects]
        return [house.consent.checks.read_back([each], [Purpose.SALE])["sale"] for each in alone]

    return read


@pytest.fixture
def a(who):
    return who("account", "a")


@pytest.fixture
def b(who):
    return who("account", "b")


@pytest.fixture
def number(who):
    return who("phone", phone(1))


@pytest.fixture
def device(who):
    return who("gaid", GAID)


@pytest.mark.parametrize(
    ("start", "until", "live"),
    [(0, None, True), (10, None, True), (11, None, False), (0, 10, False), (0, 11, True), (0, 9, False)],
)
def test_a_link_holds_from_its_start_until_just_before_its_end(start, until, live):
    assert Span(start, until).live(10) is live


class TestWhoIsLinkedLater:
    def test_a_phone_given_to_an_opted_out_account_is_denied(self, a, number, link, says, states):
        says("opt_out", a)
        link(a, number)
        assert states(number) == [OUT]

    def test_an_opted_out_phone_tells_the_account_and_all_it_has(self, a, number, device, link, says, states):
        link(a, device)
        says("opt_out", number)
        assert states(a, device) == [NONE, NONE]
        link(a, number)
        assert states(a, device, number) == [OUT, OUT, OUT]

    def test_a_device_hears_what_the_accounts_phone_said_before(self, a, number, device, link, says, states):
        link(a, number)
        says("opt_out", number)
        link(a, device)
        assert states(device) == [OUT]

    def test_a_link_that_has_ended_already_carries_nothing(self, a, number, link, says, states):
        says("opt_out", a)
        link(a, number, until=NOW - 1)
        assert states(number) == [NONE]

    def test_an_opt_in_is_not_passed_on(self, a, number, link, says, states):
        says("opt_in", a)
        link(a, number)
        assert states(a, number) == [IN, NONE]


class TestTheNightlyImport:
    def test_naming_a_link_again_changes_nothing(self, a, number, link):
        assert link(a, number) == 1
        assert link(a, number) == 0

    def test_a_choice_that_was_lifted_is_not_sent_again(self, a, number, device, link, says, states):
        link(a, number)
        link(a, device)
        says("opt_out", number)
        says("opt_in", a)
        for each in (number, device, number):
            link(a, each)
        assert states(a, number, device) == [IN, OUT, NONE]

    @pytest.mark.parametrize("again", [False, True])
    def test_an_announced_end_holds_for_a_no_once_it_is_told_when_it_has_come(
        self, a, number, link, says, states, again
    ):
        link(a, number, until=NOW + 50)
        if again:
            assert [link(a, number, until=NOW + 50, now=NOW + after) for after in (10, 100, 200)] == [0, 1, 0]
        says("opt_out", a)
        assert states(number) == [NONE if again else OUT]

    def test_a_clock_that_was_ahead_once_ends_no_link(self, a, b, number, link, says, writes, states):
        until = NOW + 200 * DAY_MS
        link(a, number, until=until)
        writes(b, NOW + 300 * DAY_MS)
        says("opt_out", a)
        assert states(number) == [OUT]
        assert [link(a, number, until=until, now=NOW + night * DAY_MS) for night in (1, 2)] == [0, 0]
        assert [link(a, number, until=until, now=NOW + night * DAY_MS) for night in (201, 202)] == [1, 0]

    def test_what_a_clock_ended_that_was_ahead_for_hours_is_tied_again_by_the_next_one(
        self, a, b, number, link, says, writes, states
    ):
        until = NOW + 200 * DAY_MS
        link(a, number, until=until)
        for hours in (0, 2, 4):
            writes(b, NOW + 300 * DAY_MS + hours * HOUR)
        says("opt_out", a)
        assert states(number) == [NONE], "its end is on record"
        assert [link(a, number, until=until, now=NOW + night * DAY_MS) for night in (1, 2)] == [1, 0]
        assert states(number) == [OUT]

    def test_a_date_ends_it_once_the_log_is_a_day_behind_it(self, story, a, b, number, link, says, writes, states):
        link(a, number, until=NOW + HOUR)
        for hours in (24, 25):
            writes(b, NOW + hours * HOUR)
        [[left]] = story.rows("SELECT count(*) FROM dated_link")
        assert left == 1, "nothing confirms yet that it is a day behind"
        for hours in (26, 27):
            writes(b, NOW + hours * HOUR)
        says("opt_out", a)
        assert states(number) == [NONE]

    def test_behind_its_date_a_yes_lifts_nothing_before_its_end_is_on_record(self, a, number, link, says, states):
        link(a, number, until=NOW + HOUR)
        says("opt_out", a)
        says("opt_in", a, at=AT + timedelta(hours=2))
        assert states(a, number) == [IN, OUT]

    def test_an_end_that_is_announced_is_kept_without_passing_anything_on(self, a, number, link, says, states):
        link(a, number)
        says("opt_out", number)
        says("opt_in", a)
        assert link(a, number, until=NOW + 50) == 1
        assert states(a) == [IN]
        says("opt_out", a)
        assert states(number) == [OUT]


class TestAnEndedLink:
    def test_nothing_new_crosses_it_in_either_direction(self, a, number, device, link, says, states):
        link(a, number)
        link(a, device)
        link(a, number, until=NOW)
        says("opt_out", number)
        assert states(a, device) == [NONE, NONE]
        says("opt_in", number)
        says("opt_out", a)
        assert states(number, device) == [IN, OUT]

    def test_what_crossed_before_its_end_stays_on_both_sides(self, a, number, device, link, says, states):
        link(a, number)
        link(a, device)
        says("opt_out", number)
        link(a, number, until=NOW)
        assert states(a, number, device) == [OUT, OUT, OUT]

    def test_it_may_begin_again(self, a, number, link, says, states):
        link(a, number)
        link(a, number, until=NOW)
        says("opt_out", number)
        link(a, number)
        assert states(a) == [OUT]

    def test_a_phone_whose_only_link_ended_is_unlinked(self, house, a, number, link):
        lookup = house.consent.checks._lookup
        link(a, number)
        assert lookup.seen([number.key]).standings[0].linked
        link(a, number, until=NOW)
        assert not lookup.seen([number.key]).standings[0].linked


class TestANumberThatIsGivenToSomebodyElse:
    def test_the_new_holder_inherits_nothing_and_the_old_one_keeps_theirs(
        self, a, b, number, device, who, link, release, says, states
    ):
        new = who("idfv", IDFV)
        link(a, number)
        link(a, device)
        link(b, new)
        says("opt_out", number)
        release(number)
        link(b, number)
        assert states(b, new) == [NONE, NONE]
        assert states(a, device) == [OUT, OUT]
        assert states(number) == [OUT]

    def test_a_number_that_comes_back_together_with_a_new_tablet_leaves_the_tablet_no_gap(
        self, do, a, number, device, link, release, says, states
    ):
        link(a, number)
        says("opt_out", number)
        release(number)
        do(lambda tx: links.link_identifiers(tx, a, [number, device], Span(NOW), NOW))
        assert states(a, number, device) == [OUT, OUT, OUT]

    def test_the_old_holders_account_choice_does_not_reach_the_new_holder(
        self, a, b, number, link, release, says, states
    ):
        link(a, number)
        says("opt_out", a)
        release(number)
        link(b, number)
        assert states(a, b) == [OUT, NONE]

    def test_what_the_old_holder_says_later_does_not_reach_the_number(self, a, number, link, release, says, states):
        link(a, number)
        release(number)
        says("opt_out", a)
        assert states(a, number) == [OUT, NONE]

    def test_what_the_new_holder_says_does_not_reach_the_old_one(
        self, a, b, number, device, link, release, says, states
    ):
        link(a, number)
        link(a, device)
        release(number)
        link(b, number)
        says("opt_out", number)
        says("opt_out", b)
        assert states(a, device) == [NONE, NONE]
        assert states(b, number) == [OUT, OUT]

    def test_the_new_holders_own_choice_on_it_does_reach_their_account(self, a, b, number, link, release, says, states):
        link(a, number)
        says("opt_out", number)
        release(number)
        link(b, number)
        assert states(b) == [NONE]
        says("opt_out", number)
        assert states(b) == [OUT]

    def test_a_choice_right_after_the_release_belongs_to_whoever_gets_it(self, b, number, link, release, says, states):
        release(number)
        says("opt_out", number)
        link(b, number)
        assert states(b) == [OUT]

    def test_every_account_loses_it_at_once(self, house, a, b, number, link, release):
        link(a, number)
        link(b, number)
        release(number)
        assert not house.consent.checks._lookup.seen([number.key]).standings[0].linked

    def test_a_number_nobody_had_may_be_released(self, number, release, states):
        release(number)
        assert states(number) == [NONE]


class TestTheLogOfLinks:
    @pytest.fixture
    def events(self, story):
        sql = "SELECT seq, account, identifier, start, until, released FROM link_event ORDER BY turn"
        return lambda: story.rows(sql)

    def test_has_an_entry_for_each_link_that_really_changed(self, story, a, number, device):
        story.links(a, number, device)
        story.links(a, number, device)
        story.unlinks(a, number)
        story.unlinks(a, number)
        story.releases(device)
        assert [leaf["e"] for leaf in story.leaves()] == ["linked", "linked", "unlinked", "number_released"]

    def test_keeps_every_change_in_keys_and_times(self, story, a, b, number, events):
        start = story.now - 1000
        story.links(a, number)
        story.links(a, number, until=story.now + 50)
        story.releases(number)
        story.links(b, number)
        assert events() == [
            (0, a.key, number.key, start, None, 0),
            (1, a.key, number.key, start, story.now + 50, 0),
            (2, a.key, number.key, start, story.now, 1),
            (3, b.key, number.key, start, None, 0),
        ]

    def test_has_an_entry_for_a_release_of_a_number_that_nobody_had(self, story, number, events):
        written = story.releases(number)
        assert [leaf["e"] for leaf in story.leaves()] == ["number_released"]
        assert (written.key, events()) == (number.key, [])

    def test_names_neither_the_account_nor_the_number(self, story, a, number):
        story.links(a, number)
        [leaf] = story.leaves()
        assert set(leaf) == {"v", "i", "e", "t", "s", "d", "r"}

    def test_is_not_longer_by_a_link_that_ended_long_ago_and_is_imported_every_night(self, story, a, number):
        for _ in range(3):
            story.links(a, number, until=story.now - 5)
        assert [leaf["e"] for leaf in story.leaves()] == ["unlinked"]

    def test_says_that_an_end_was_taken_back(self, story, a, number):
        for until in (None, story.now + 50, None):
            story.links(a, number, until=until)
        assert [leaf["e"] for leaf in story.leaves()] == ["linked", "unlinked", "linked"]


@pytest.mark.parametrize("refuses", ["the first", "the second", "none"])
def test_what_an_account_is_called_is_kept_once_by_all_jobs_of_a_batch(house, who, refuses):
    """Also where one of them says it and is refused, and where somebody reads in between."""
    account, its = who("account", "both-name-me"), (who("gaid", GAID), who("idfv", IDFV))

    def job(tx):
        for place, each in zip(("the first", "the second"), its, strict=True):
            with contextlib.suppress(ZeroDivisionError), tx.savepoint():
                links.link_identifiers(tx, account, [each], Span(NOW), NOW)
                assert place != refuses or 1 // 0
        return tx.db.execute("SELECT count(*) FROM account_name").fetchone()[0], records.account_name(tx, account.key)

    assert house.writer.submit(job).result() == (1, "both-name-me")
