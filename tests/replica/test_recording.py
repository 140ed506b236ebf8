"""A replica's own record: what it says to its callers of their reports, and what it keeps of whom."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from support.handed import enrolment_of
from support.people import GAID, gaid, named

from gateway.consent.asked import Ask
from gateway.consent.decisions import Decisions, Stands
from gateway.consent.disclosing import OutcomeReport
from gateway.ledger.errors import StoreUnavailable
from gateway.replica.recording import HEAD, Recording, ReplicaSpool
from gateway.web.api.inside import finished

ASK = Ask(("advertisers",), [named("gaid", GAID)], place="US-NY", data=("ad_id",))


class Here:
    """A replica's record beside the gateway's own checks, and the clock that it goes by."""

    def __init__(self, house, folder, tmp_path, size=2**20):
        self.now, self.told, self.folder = datetime(2026, 11, 24, 12, tzinfo=UTC), [], folder
        self.spool = ReplicaSpool(tmp_path / "beside", size, b"b" * 16, house.consent.recipients)
        (tmp_path / "beside").mkdir()
        self.spool.start()
        decisions = Decisions.of_replica(enrolment_of(folder), house.consent.recipients)
        self.checks = house.consent.checks
        self.recording = Recording(self, decisions, self.spool, tell=lambda *told: self.told.append(told))

    def clock(self):
        return self.now

    def place(self):
        return 41, "log.example.com/1"

    def decide(self, stands=Stands.POSSIBLE, **more):
        ask = Ask(ASK.recipients, ASK.identifiers, place=ASK.place, data=ASK.data, **more)
        return self.recording.decide(ask, self.checks.check(ask), stands)["advertisers"]

    def announce(self):
        return finished(self.recording.announce(ASK))[1]["advertisers"]

    def say(self, *reports):
        return finished(self.recording.report([OutcomeReport(*each) for each in reports]))

    def lines(self):
        batch = self.spool.oldest()
        return [json.loads(line) for line in batch[1].splitlines()[2:]] if batch else []


@pytest.fixture
def here(house, folder, tmp_path):
    made = Here(house, folder, tmp_path)
    yield made
    made.spool.end()


def test_a_yes_leaves_its_id_and_a_no_leaves_nothing(here):
    decision = here.decide()
    denied = here.decide(signals={"gpc": "1"})
    assert here.lines() == [decision]
    assert denied != decision


def test_nothing_in_the_spool_shows_who_it_was(here):
    here.decide()
    here.say((here.announce(), "sent"))
    _, content = here.spool.oldest()
    key = here.checks.check(ASK).own[0]
    assert GAID.encode() not in content
    assert key.hex().encode() not in content
    assert key not in content


@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize(
    ("outcomes", "results"),
    [
        (["sent", "sent"], ["recorded", "repeated"]),
        (["sent", "not_sent"], ["recorded", "repeated"]),
        (["not_sent", "not_sent", "sent"], ["recorded", "repeated", "recorded"]),
        (["unknown", "not_sent"], ["recorded", "recorded"]),
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_reports_are_answered_as_the_gateway_answers_them(here, announced, outcomes, results, together):
    decision = here.announce() if announced else here.decide()
    said = [(decision, outcome) for outcome in outcomes]
    assert (here.say(*said) if together else [here.say(one)[0] for one in said]) == results
    assert len(here.lines()) == 1 + results.count("recorded")


def test_a_send_that_the_second_look_took_back_is_withdrawn_and_no_callers_word(here, monkeypatch):
    no = here.checks.check(ASK._replace(signals={"gpc": "1"}))
    answers = iter([here.checks.check(ASK), no, no])
    monkeypatch.setattr(here.checks, "check", lambda _: next(answers))
    monkeypatch.setattr(here.checks, "may_rest", lambda *_: False)
    here.announce()
    [announced, word] = here.lines()
    assert (word["decision"], word["outcome"]) == (announced["decision"], "withdrawn")
    assert [each[1] for each in here.told] == ["intended", "not_sent"]


def test_what_was_sent_despite_a_no_is_denied_and_counted(here):
    decision = here.decide(signals={"gpc": "1"})
    assert here.say((decision, "not_sent"), (decision, "sent"), (decision, "sent")) == [
        "recorded",
        "denied",
        "repeated",
    ]
    assert ("advertisers", "despite_no", 1) in here.told


def test_an_hour_later_it_stays_as_it_was_counted(here):
    decision, announced = here.decide(), here.announce()
    here.now += timedelta(hours=1, seconds=2)
    assert here.say((decision, "sent"), (announced, "sent")) == ["expired", "recorded"]


def test_what_only_the_gateway_can_read_is_passed_on_and_what_is_none_is_not(here):
    assert here.say(("A" * 64, "sent"), ("other." + "A" * 64, "sent"), ("A" * 63, "sent"), ("é" * 64, "sent")) == [
        "passed_on",
        "passed_on",
        "unknown",
        "unknown",
    ]


def test_a_spool_that_is_full_announces_nothing_and_takes_no_report_and_counts_what_it_could_not_keep(
    house, folder, tmp_path
):
    names = len(json.dumps({"recipients": sorted(house.consent.recipients)})) + 1
    here = Here(house, folder, tmp_path, size=HEAD + names + 150)
    decision, other = here.decide(), here.decide()
    with pytest.raises(StoreUnavailable):
        here.announce()
    with pytest.raises(StoreUnavailable):
        here.say((decision, "sent"))
    assert here.decide() != decision
    assert here.told == [("advertisers", "lost", 1)]
    assert here.spool.lost == 1, "whoever is told that it was not taken has lost nothing"
    assert here.lines() == [decision, other]
    here.spool.done(here.spool.oldest()[0])
    assert here.say((decision, "sent")) == ["recorded"], "what was not taken may be said again"
    here.spool.end()


def test_a_disk_that_does_not_sync_announces_nothing(here, monkeypatch):
    def fails():
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(here.spool, "sync", fails)
    with pytest.raises(StoreUnavailable):
        here.announce()


def test_a_batch_names_the_recipients_of_whom_its_ids_hold_a_hash(house, here):
    here.decide()
    told = here.spool.oldest()[1].splitlines()[1]
    assert json.loads(told) == {"recipients": sorted(house.consent.recipients)}


def test_what_is_said_of_a_recipient_that_this_replica_has_no_more_is_kept_for_the_gateway(here):
    decision = here.decide()
    here.recording._decisions = Decisions.of_replica(enrolment_of(here.folder), ("another",))
    assert here.say((decision, "sent")) == ["passed_on"]
    assert here.lines()[1]["decision"] == decision


def test_of_several_recipients_each_has_its_line(here):
    ask = Ask(("advertisers", "teemo"), [named("gaid", gaid(3))], place="US-NY", data=("ad_id",))
    made = here.recording.decide(ask, here.checks.check(ask), Stands.POSSIBLE)
    assert sorted(here.lines()) == sorted(made.values())


@pytest.mark.parametrize(("seen", "position"), [(7, 7), (50, 41)])
def test_a_batch_belongs_behind_what_was_known_when_its_first_answer_was_given(here, seen, position):
    """What came between the answer and its line is not among it."""
    checked = here.checks.check(ASK)._replace(position=seen)
    here.recording.decide(ASK, checked, Stands.POSSIBLE)
    head = json.loads(here.spool.oldest()[1].splitlines()[0])
    assert (head["position"], head["log"]) == (position, "log.example.com/1")
