"""What an id says of a verdict is remembered as it would be made, and who wants no ids has the same on record."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from support import example, inside
from support.people import GAID, named

from gateway.app.composition import open_house
from gateway.choice.question import Verdict
from gateway.consent import check, decisions
from gateway.consent.asked import Ask, Checked
from gateway.consent.decisions import Deciding, Decisions, DecisionTold, Stands
from gateway.signals.heard import Heard
from gateway.terms import Answer, DataClass, Purpose, Reason

PURPOSES = ((), ("sale",), ("sharing", "sale"), ("made up",), tuple(Purpose))
CLASSES = ("ad_id", "precise_geo", "aggregate", "made up")
KEY = b"k" * 16
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def verdicts():
    """Every answer for every class, in two orders."""
    for answers in product(Answer, repeat=len(CLASSES)):
        data = tuple(zip(CLASSES, answers, strict=True))
        yield from (data, data[::-1], data[:1], ())


def remembered_is_fresh(told=decisions._told):
    for stated, data, sends in product(PURPOSES, verdicts(), (False, True)):
        assert told(stated, data, sends=sends) == decisions._told.__wrapped__(stated, data, sends=sends), (stated, data)


def test_what_an_id_says_is_remembered_as_it_would_be_made():
    for _ in range(2):
        remembered_is_fresh()


@pytest.mark.parametrize(
    "forgetful",
    [
        lambda stated, data, *, sends: decisions._told(stated, data, sends=True),
        lambda stated, data, *, sends: decisions._told(("sale",), data, sends=sends),
        lambda stated, data, *, sends: decisions._told(stated, data[:1], sends=sends),
    ],
    ids=["sends", "purposes", "classes"],
)
def test_if_it_were_remembered_by_less_the_property_would_fail(forgetful):
    with pytest.raises(AssertionError):
        remembered_is_fresh(forgetful)


def test_an_id_names_purposes_and_classes_in_one_order_and_says_whether_anything_goes():
    data = (("precise_geo", Answer.DENY), ("ad_id", Answer.ALLOW), ("aggregate", Answer.ALLOW))
    assert decisions._told(("sharing", "sale"), data, sends=True) == DecisionTold(
        ("sale", "sharing"), ("ad_id",), True, False
    )
    assert decisions._told(("sale",), data, sends=False).denied
    assert not decisions._told(("sale",), data[2:], sends=True).personal


class Kept(Deciding):
    """Keeps what it is told to count."""

    def __init__(self, checks, decisions, clock):
        super().__init__(checks, decisions, clock)
        self.noted = []

    def _note(self, issued, key, at, position):
        self.noted += [(draft.of(key, int(at.timestamp())), position) for _, draft in issued]

    async def _intend(self, ask, checked, going):
        raise AssertionError("nothing is announced")

    async def _withdraw(self, going):
        raise AssertionError("nothing was announced")


def checked(answer):
    found = Verdict({DataClass.AD_ID.value: answer}, Reason.NO_CHOICE, "a rule", "US-CA")
    return Checked({"advertisers": found}, 7, Heard(), (KEY,), own=(KEY,))


@pytest.mark.parametrize("answer", Answer)
@pytest.mark.parametrize("stands", Stands)
def test_who_wants_no_ids_has_the_same_on_record(house, answer, stands):
    """Of what cannot go none is made, and that was never counted."""
    made = Decisions(house.secrets, house.consent.recipients)
    one, other = (Kept(house.consent.checks, made, lambda: NOON) for _ in range(2))
    ask = Ask(("advertisers",))
    one.decide(ask, checked(answer), stands)
    other.record(ask, checked(answer), stands)
    assert one.noted == other.noted
    assert bool(one.noted) is (answer is not Answer.DENY and stands in decisions.COUNTED_AS)


@pytest.mark.anyio
@pytest.mark.parametrize(("recorded", "reason"), [(0.05, Reason.NO_CHOICE), (2.0, Reason.NO_CONTRACT)])
async def test_an_announced_send_is_decided_again_where_the_day_ended_before_it_was_on_record(
    tmp_path, monkeypatch, recorded, reason
):
    """One that was on record before midnight is as it was."""
    now = [datetime(2026, 12, 1, 23, 59, 59, 900_000, tzinfo=UTC)]
    (tmp_path / "config.toml").write_text(
        example.over('[recipients.advertisers]\ncontract = "MSA-7"\ncontract_until = 2026-12-01\n')
    )
    folder, settings = inside.install(tmp_path / "data"), inside.settings(tmp_path / "config.toml")
    with open_house(folder, settings, clock=lambda: now[0]) as house:
        intend = house.disclosing._intend

        async def slowly(*asked):
            await intend(*asked)
            now[0] += timedelta(seconds=recorded)

        monkeypatch.setattr(house.disclosing, "_intend", slowly)
        ask = Ask(("advertisers",), [named("gaid", GAID)], place="US-NY", data=("ad_id",))
        checked, _, _ = await house.disclosing.announce(ask)
    assert checked.verdicts["advertisers"].reason == reason


@pytest.mark.anyio
async def test_an_announced_send_that_was_long_on_its_way_to_the_record_is_decided_again(house, monkeypatch):
    """An opt-in may have ended meanwhile, of which nobody writes."""
    asked, whole = [], house.consent.checks.check
    monkeypatch.setattr(house.consent.checks, "check", lambda ask: asked.append(ask) or whole(ask))
    ask = Ask(("advertisers",), [named("gaid", GAID)], place="US-NY", data=("ad_id",))
    await house.disclosing.announce(ask)
    assert len(asked) == 1
    monkeypatch.setattr(check, "FRESH", -1.0)
    await house.disclosing.announce(ask)
    assert len(asked) == 3
