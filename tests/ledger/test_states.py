"""What a device or a tool says of itself: it denies while it is said, for that device alone, and is nobody's choice."""

import hashlib
import json
import os
from datetime import UTC, datetime

import pytest
from support.people import GAID, gaid

from gateway.consent import still_out
from gateway.ledger.acts import device_states, links, office_acts, records
from gateway.ledger.subjects import Choice, Subject, milliseconds
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, ChoiceKind, DataClass, Purpose, Source

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOW = milliseconds(AT)
DIGEST = hashlib.sha256(GAID.encode()).hexdigest()
ADS = (Purpose.SHARING, Purpose.TARGETED_ADS)
OUT, IN, NONE = "opted_out", "opted_in", "none"
SALE = (Purpose.SALE,)
TOOL = "cmp_cookie:onetrust:ads"


@pytest.fixture
def device(who):
    return who("gaid", GAID)


@pytest.fixture
def digest(who):
    return who("ad_id_sha256", DIGEST)


@pytest.fixture
def begin(do):
    def began(subject, source=Source.DEVICE, purposes=SIGNAL_PURPOSES):
        choice = Choice(ChoiceKind.STATE_BEGAN, purposes, source, AT)
        return do(lambda tx: device_states.begin_state(tx, subject, choice, os.urandom(16)))

    return began


@pytest.fixture
def end(do):
    def ended(subject, source=Source.DEVICE):
        choice = Choice(ChoiceKind.STATE_ENDED, SIGNAL_PURPOSES, source, AT)
        return do(lambda tx: device_states.end_state(tx, subject, choice, os.urandom(16)))

    return ended


@pytest.fixture
def says(do):
    def said(subject, kind=ChoiceKind.OPT_OUT, purposes=SALE, **more):
        choice = Choice(kind, purposes, Source.FORM, AT, **more)
        return do(lambda tx: records.write_choice(tx, subject, choice, os.urandom(16)))

    return said


@pytest.fixture
def link(do):
    return lambda account, subject: do(lambda tx: links.link_identifiers(tx, account, [subject], links.Span(0), NOW))


@pytest.fixture
def state(house):
    """What holds for one key alone."""

    def read(subject, purpose=Purpose.SALE):
        alone = Subject(subject.kind, subject.value, (subject.key,))
        return house.consent.checks.read_back([alone], [purpose])[purpose]

    return read


@pytest.fixture
def entries(do):
    """Kinds and sources in the order in which they were written."""

    def read():
        rows = do(lambda tx: tx.db.execute("SELECT body FROM entry ORDER BY seq").fetchall())
        return [(body["e"], body["src"]) for body in (json.loads(row[0]) for row in rows)]

    return read


def held(house, subject):
    [standing] = house.consent.checks._lookup.seen([subject.key]).standings
    return standing.held


def test_a_limited_phone_is_denied_until_its_own_switch_is_turned_back(house, device, begin, end, state):
    assert begin(device).kind == "gaid"
    assert (state(device), held(house, device)) == (OUT, {"device"})
    assert end(device) is not None
    assert (state(device), held(house, device)) == (NONE, set())


@pytest.mark.parametrize("said", [ADS, SALE, SIGNAL_PURPOSES, (Purpose.TARGETED_ADS,)], ids=",".join)
def test_a_state_of_one_of_the_three_denies_them_all_and_nothing_else(do, device, begin, state, said):
    """R3, R25. The entry keeps what the tool said."""
    begin(device, TOOL, said)
    assert [state(device, purpose) for purpose in ALL_PURPOSES] == [OUT, OUT, OUT, NONE, NONE]
    [(body,)] = do(lambda tx: tx.db.execute("SELECT body FROM entry").fetchall())
    assert json.loads(body)["p"] == [*said]


class TestAnEntry:
    def test_is_written_where_it_is_news_and_never_on_a_thousand_visits(self, device, begin, end, entries):
        """L15."""
        assert [begin(device) is None for _ in range(5)] == [False] + [True] * 4
        assert [end(device) is None for _ in range(5)] == [False] + [True] * 4
        begin(device)
        assert entries() == [("state_began", "device"), ("state_ended", "device"), ("state_began", "device")]

    def test_is_written_again_when_the_source_denies_more_and_not_when_less(self, device, begin, entries, state):
        begin(device, Source.TCF, ADS)
        assert begin(device, Source.TCF, (*ADS, Purpose.SENSITIVE)) is not None
        for less in (ADS, SALE, SIGNAL_PURPOSES):
            assert begin(device, Source.TCF, less) is None
        assert len(entries()) == 2
        assert state(device, Purpose.SENSITIVE) == OUT

    def test_is_the_one_that_the_standing_names(self, house, device, begin):
        written = begin(device)
        [standing] = house.consent.checks._lookup.seen([device.key], numbered=True).standings
        assert standing.seq == written.seq

    def test_about_what_never_began_is_none(self, device, end, entries):
        assert end(device) is None
        assert entries() == []


class TestTheOtherNamesOfADevice:
    def test_deny_with_it_and_end_with_it(self, device, digest, begin, end, state):
        begin(device)
        assert [state(device), state(digest)] == [OUT, OUT]
        end(device)
        assert [state(device), state(digest)] == [NONE, NONE]

    def test_may_be_the_one_that_it_is_said_of(self, do, device, digest, begin, end, state):
        do(lambda tx: records.know_names(tx, device, NOW))
        begin(digest)
        assert [state(device), state(digest)] == [OUT, OUT]
        assert begin(device) is None
        end(digest)
        assert [state(device), state(digest)] == [NONE, NONE]

    def test_deny_too_when_they_are_learnt_later(self, do, device, digest, begin, end, state):
        begin(digest)
        do(lambda tx: records.know_names(tx, device, NOW))
        assert [state(device), state(digest)] == [OUT, OUT]
        end(device)
        assert [state(device), state(digest)] == [NONE, NONE]

    def test_are_freed_by_a_device_that_names_itself_for_the_first_time(self, device, digest, begin, end, state):
        begin(digest)
        assert end(device) is not None
        assert [state(device), state(digest)] == [NONE, NONE]

    def test_are_not_those_of_another_device(self, who, device, begin, end, state):
        other = who("gaid", gaid(2))
        begin(device)
        assert state(other) == NONE
        begin(other)
        end(device)
        assert state(other) == OUT


class TestTwoSources:
    def test_each_end_their_own_state_alone(self, house, device, begin, end, state):
        begin(device, Source.DEVICE)
        begin(device, Source.TCF)
        end(device, Source.TCF)
        assert (state(device), held(house, device)) == (OUT, {"device"})
        assert end(device, Source.TCF) is None
        end(device, Source.DEVICE)
        assert (state(device), held(house, device)) == (NONE, set())

    def test_each_begin_with_an_entry_of_their_own_and_are_both_known(self, house, device, begin, entries):
        sources = [TOOL, "cmp_cookie:onetrust:sale", "cmp_cookie:klaro:ads"]
        for source in sources:
            begin(device, source)
        assert entries() == [("state_began", source) for source in sources]
        assert held(house, device) == {*sources}


class TestAnAccount:
    """R26: a limit on one phone is no opt-out of its owner."""

    @pytest.fixture
    def account(self, who):
        return who("account", "a")

    def test_hears_nothing_of_its_devices_state(self, who, account, device, begin, link, state):
        tablet = who("idfa", gaid(3))
        link(account, device)
        link(account, tablet)
        begin(device)
        assert [state(account), state(tablet), state(device)] == [NONE, NONE, OUT]

    def test_hears_nothing_when_it_is_linked_later(self, account, device, begin, link, state):
        begin(device)
        link(account, device)
        assert [state(account), state(device)] == [NONE, OUT]

    def test_that_opts_in_lifts_no_state_and_one_that_opted_out_is_not_lifted_by_its_end(
        self, account, device, begin, end, link, says, state
    ):
        link(account, device)
        begin(device)
        says(account)
        end(device)
        assert [state(account), state(device)] == [OUT, OUT]
        begin(device)
        says(account, ChoiceKind.OPT_IN)
        assert [state(account), state(device)] == [IN, OUT]


class TestAPersonsOwnChoice:
    def test_to_opt_in_does_not_lift_a_state_and_holds_once_it_ends(self, device, begin, end, says, state):
        begin(device)
        says(device, ChoiceKind.OPT_IN)
        assert state(device) == OUT
        end(device)
        assert state(device) == IN

    def test_to_opt_out_outlives_the_state(self, device, digest, begin, end, says, state):
        begin(device)
        says(device)
        end(device)
        assert [state(device), state(digest)] == [OUT, OUT]
        assert state(device, Purpose.SENSITIVE) == NONE

    def test_is_not_made_by_a_state(self, house, do, device, begin):
        """It counts as no refusal to be asked again, and none that a signal finds already said."""
        begin(device)
        assert do(lambda tx: still_out.last_out(tx, [device])) == {}
        [standing] = house.consent.checks._lookup.seen([device.key]).standings
        assert not standing.own_denies(Purpose.SALE)
        heard = Choice(ChoiceKind.OPT_OUT, SALE, Source.GPC, AT)
        assert do(lambda tx: records.hear_signal(tx, device, heard, os.urandom(16))) is not None

    def test_that_granted_a_precise_point_stands_again_when_the_state_ends(self, house, device, begin, end, says):
        says(device, ChoiceKind.OPT_IN, recipient="teemo", data_class=DataClass.PRECISE_GEO)
        begin(device)
        end(device)
        assert len(house.consent.checks._lookup.grants([device.key])) == 1


def test_only_what_is_no_persons_own_name_has_states(who):
    own = [("account", "a"), ("email", "person1@example.com"), ("email_sha256", DIGEST), ("phone", "+14155550101")]
    assert not any(who(*name).is_device for name in own)
    assert all(who(*name).is_device for name in (("gaid", GAID), ("ad_id_sha256", DIGEST), ("idfv", gaid(1))))


MARK = "an installation"


def owed_by_itself(tx, mentioned, *fresh):
    """What each of these ids has of what the installation said by all of them."""
    phone = device_states.PhoneFolded(tx, [each.key for each in (*mentioned, *fresh)], MARK)
    return [phone.owed_by_itself(each.key, mentioned[0].key) for each in fresh]


def test_a_no_of_an_installation_that_officers_voided_is_no_more_its_own(do, who, device, says):
    written, new = says(device, details={"device": MARK}), who("gaid", gaid(2))
    assert do(lambda tx: owed_by_itself(tx, [device], new)) == [{*SIGNAL_PURPOSES}], "the control"
    assert do(lambda tx: device_states.last_said_no(tx.db, MARK)), "the control"
    belief = office_acts.Belief(hashlib.sha256(b"forged").digest(), ("Ada Park", "Ben Cole"))
    do(lambda tx: office_acts.void_choices(tx, [written.seq], belief, AT))
    assert do(lambda tx: owed_by_itself(tx, [device], new)) == [set()]
    assert do(lambda tx: device_states.last_said_no(tx.db, MARK)) == {}


def test_what_an_installation_said_is_read_once_for_all_of_its_ids_and_the_newest_of_it(
    do, who, device, says, monkeypatch
):
    says(device, purposes=(Purpose.PROFILING,), details={"device": MARK})
    for _ in range(3):
        says(device, details={"device": MARK})
    ids, read, honest = [who("gaid", gaid(each)) for each in range(2, 30)], [], device_states.sides_at
    monkeypatch.setattr(device_states, "sides_at", lambda db, places: read.append([*places]) or honest(db, places))
    few = {*SIGNAL_PURPOSES, Purpose.PROFILING}
    assert do(lambda tx: owed_by_itself(tx, [device], *ids)) == [few] * len(ids)
    assert [len(places) for places in read] == [4]
    monkeypatch.setattr(device_states, "MOST_ROWS", 3)
    assert do(lambda tx: owed_by_itself(tx, [device], *ids)) == [{*ALL_PURPOSES}] * len(ids), (
        "what is not read may be a no"
    )
    assert [len(places) for places in read] == [4, 3]
