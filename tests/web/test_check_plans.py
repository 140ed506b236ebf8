"""Whoever is asked about after somebody alike is answered from what was answered then: as the rules would answer."""

import random
import threading
from random import Random

import pytest
from support.asked_again import AD_CODE, World, first_wrong
from support.examples import QUICK, SOAK

from gateway.choice.standing import Standing, out_bits
from gateway.consent.asked import Ask, Likeness, Met
from gateway.consent.decisions import Deciding, Decisions
from gateway.terms import SIGNAL_PURPOSES
from gateway.web.api import check_answer, check_plans
from gateway.web.api.check_answer import Answering
from gateway.web.api.check_plans import CheckPlan, CheckPlans
from gateway.web.shell import wire

QUESTIONS = 20_000 if SOAK else 800 if QUICK else 4_000
UNTIL_FOUND = 4_000  # questions in which each fault has to be seen


def test_an_answer_that_is_kept_is_the_rules_own_to_the_byte():
    found = first_wrong(Random(1), QUESTIONS)
    assert isinstance(found, World), found
    assert found.served > QUESTIONS / 8, "few were answered from what was kept"


def kept_in_spite_of(member):
    """Plans that do not see when this changes."""

    def plant(patch):
        real, first = CheckPlans.of, []

        class Blind:
            def __init__(self, checks):
                self.around = checks.around
                first.append(checks.in_force())
                self.found = first[-1]._replace(**{member: getattr(first[0], member)})

            def in_force(self):
                return self.found

        patch.setattr(CheckPlans, "of", lambda self, body, checks, **more: real(self, body, Blind(checks), **more))

    return plant


def shared_by_all_keys(patch):
    real = check_plans._asked
    patch.setattr(check_plans, "_asked", lambda body, **_: real(body, numbered=False))


def alike_without(member, value):
    """People who differ in this are taken for alike."""

    def plant(patch):
        real = CheckPlan.__init__

        class Blind(dict):
            def get(self, like, default=None):
                return super().get((like[0]._replace(**{member: value}), like[1]), default)

            def __setitem__(self, like, answer):
                super().__setitem__((like[0]._replace(**{member: value}), like[1]), answer)

        def made(self, *of, **more):
            real(self, *of, **more)
            self.answers = Blind()

        patch.setattr(CheckPlan, "__init__", made)

    return plant


def signals_not_heard(patch):
    patch.setattr(check_plans, "_says_more", lambda body: False)


def without_the(member):
    """Questions that differ in this are taken for one."""

    def plant(patch):
        real = check_plans._asked

        def asked(body, **more):
            return real(wire.msgspec.structs.replace(body, **{member: None}), **more)

        patch.setattr(check_plans, "_asked", asked)

    return plant


def like_others(in_spite_of):
    """People who differ from all others in this are taken for like them."""

    def plant(patch):
        other = {"grants": "refused", "refused": "grants"}[in_spite_of]
        patch.setattr(Met, "is_like_others", property(lambda met: not getattr(met, other)))

    return plant


def the_first_persons_entry(patch):
    patch.setattr(check_answer, "numbered", lambda verdict, *_: verdict)


def ids_in_another_order(patch):
    real = Deciding.issue
    patch.setattr(Deciding, "issue", lambda *of: real(*of)[::-1])


def sealed_for_whoever_came_first(patch):
    real, first = Decisions.seal_all, []

    def seal_all(self, drafts, key, at):
        first.append(key)
        return real(self, drafts, first[0], at)

    patch.setattr(Decisions, "seal_all", seal_all)


def a_hole(**wrong):
    """Filled with what it was filled with last time."""

    def plant(patch):
        real = Answering._filled
        names = ("finished", "named", "body", "key", "decisions", "position", "at")

        def filled(self, *of):
            told = dict(zip(names, of, strict=True))
            return real(self, *{**told, **{name: change(told[name]) for name, change in wrong.items()}}.values())

        patch.setattr(Answering, "_filled", filled)

    return plant


def plus_one(position):
    return None if position is None else position + 1


FAULTS = {
    "a plan kept over midnight": kept_in_spite_of("office"),
    "over new recipients": kept_in_spite_of("recipients"),
    "shared by keys of different rights": shared_by_all_keys,
    "what stands on record passed over": alike_without("alike", ()),
    "how they are named passed over": alike_without("naming", None),
    "what is withheld passed over": alike_without("limited", False),
    "what a request says passed over": signals_not_heard,
    "what somebody allowed one recipient passed over": like_others("grants"),
    "an answer while nothing can be read kept": like_others("refused"),
    "a place passed over": without_the("place"),
    "an age passed over": without_the("age"),
    "a purpose passed over": without_the("purpose"),
    "a rehearsal taken for the send": without_the("dry_run"),
    "the first person's entry told to all": the_first_persons_entry,
    "ids of the wrong recipients": ids_in_another_order,
    "ids of the wrong person": sealed_for_whoever_came_first,
    "a position that is wrong": a_hole(position=plus_one),
}  # fmt: skip


@pytest.mark.parametrize("plant", FAULTS.values(), ids=FAULTS)
def test_the_control_a_plan_with_a_fault_is_found(monkeypatch, plant):
    plant(monkeypatch)
    assert not isinstance(first_wrong(Random(1), UNTIL_FOUND, each=120), World)


def body_of(number=0, **more):
    return wire.convert({"identifiers": [], "recipient": f"r{number}", **more}, wire.Check)


@pytest.fixture
def world():
    return World(Random(3))


def kept_bytes(plans):
    return sum(len(asked) + plan.size for each in plans._kept.generations for asked, plan in each.items())


def test_a_caller_who_never_asks_the_same_twice_takes_no_more_room_than_there_is(world):
    most = 200_000
    plans = world.answering._plans = CheckPlans(most)
    for number in range(2_000):
        world.answering.at_once(body_of(count=number), AD_CODE, "r")
    assert kept_bytes(plans) < 2 * most


def test_who_asks_the_same_is_answered_from_what_was_kept_beside_a_caller_who_never_does(world):
    world.answering._plans = CheckPlans(200_000)
    for number in range(2_000):
        world.answering.at_once(body_of(count=number), AD_CODE, "r")
        before = world.checks.asked_rules
        world.answering.at_once(body_of(place="US-CA"), AD_CODE, "r")
        assert world.checks.asked_rules == before or number == 0


def test_a_question_that_is_too_long_is_answered_and_not_kept(world):
    for _ in range(2):
        world.answering.at_once(body_of(data=["x" * check_plans.LONGEST]), AD_CODE, "r")
    assert kept_bytes(world.answering._plans) == 0


def test_answers_to_one_question_have_an_end(world):
    plan = world.answering._plans.of(body_of(), world.checks, numbered=False)
    beside = world.answering._plans.of(body_of(1), world.checks, numbered=False)
    for number in range(300):
        world.answering._plans.keep(plan, (Likeness((), fixed=str(number)), plan.around), b"", 2**17)
        assert plan.size <= check_plans.MOST_OF_ONE
    assert 0 < len(plan.answers) < 16
    assert world.answering._plans.of(body_of(1), world.checks, numbered=False) is beside, "others lose nothing by it"


def test_ids_are_not_alike_where_the_host_begins_its_random_numbers_anew(world):
    told = []
    for _ in range(2):
        random.seed(42)
        told.append(world.answering.at_once(body_of(), AD_CODE, "r").body)
    assert told[0] != told[1]


def test_who_was_held_up_over_midnight_puts_no_answer_of_yesterday_among_todays(world):
    yesterday = world.answering._plans.of(body_of(), world.checks, numbered=False)
    world.another_day()
    today = world.answering._plans.of(body_of(), world.checks, numbered=False)
    world.answering._plans.keep(yesterday, (Likeness(()), yesterday.around), b"yesterday's", 1)
    assert today is not yesterday
    assert not today.answers
    assert today.office is not yesterday.office


def test_nothing_that_was_said_of_a_person_alone_is_kept(world):
    secret = "203.0.113.77"
    said = {"signals": {"cookies": f"OptanonConsent=groups=C0004:0&id={secret}"}, "ip": secret, "ref": secret}
    person = {"identifiers": [{"type": "email", "value": "person1@example.com"}], **said}
    world.answering.at_once(body_of(**person), AD_CODE, "r")
    kept = repr([
        (asked, plan.ask, plan.around, [(like, vars(like[1].heard), answer) for like, answer in plan.answers.items()])
        for each in world.answering._plans._kept.generations
        for asked, plan in each.items()
    ])  # fmt: skip
    assert "OptanonConsent" not in kept
    assert secret not in kept
    assert "person1" not in kept


def test_sixty_four_threads_are_answered_as_one_is():
    world, wrong = World(Random(5)), []
    no = Standing(out_bits(SIGNAL_PURPOSES))

    def ask(number):
        for each in range(40):
            body = body_of(place="US-CA", identifiers=world.identifiers((number + each) % 2, 1))
            told = world.answering.at_once(body, AD_CODE, "r").body
            if (b'"reason":"opted_out"' in told) != ((number + each) % 2 == 1):
                wrong.append(told)

    world.configure_buyer()
    for key in world.checks.name(Ask((), world.identifiers(1, 1)))[0].keys:
        world.record.rows[key] = no
    world.record.rows = {key: row for key, row in world.record.rows.items() if row is no}
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(64)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
