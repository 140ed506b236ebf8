"""Codes that are sent and read out again."""

import asyncio
import contextlib
import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest
from support.mailbox import code_in
from support.people import email, named, phone

from gateway.consent import codes
from gateway.consent.codes import AN_ADDRESS, TRIES, Bound, CodeOver, Codes, NotSent, TooManyCodes, WrongCode
from gateway.delivery.letters import Letter

pytestmark = pytest.mark.anyio


class Carrier:
    """Keeps what it was given; `takes` says whether it takes it."""

    def __init__(self):
        self.takes, self.brought, self.closed = True, [], False

    async def send(self, to, letter):
        self.brought.append((to, letter.text))
        return self.takes

    async def close(self):
        self.closed = True

    def alarms(self):
        return []


class Desk:
    def __init__(self, house):
        self.at, self.mail, self.house = house.consent.clock(), Carrier(), house
        self.codes = self.another()

    def another(self):
        """Another process's."""
        return Codes(self.house.writer, self.house.secrets, lambda: self.at, {"email": self.mail}, 100)

    def bound(self, kind="email", value="person1@example.com", use="data"):
        return Bound(self.house.consent.people.name([named(kind, value)]).subjects[0], use)

    async def sent(self, asker=b"", **more):
        """(ticket, the code that was brought last)."""
        ticket = await self.codes.send(self.bound(**more), lambda code: Letter("s", f"It is {code}."), asker)
        return ticket, code_in(self.mail.brought[-1][1])


@pytest.fixture
def desk(house):
    return Desk(house)


def wrong(code: str) -> str:
    return str((int(code.replace(" ", "")) + 1) % 10**8).zfill(8)


async def test_who_reads_the_code_out_shows_that_the_mailbox_is_theirs(desk):
    ticket, code = await desk.sent()
    assert desk.mail.brought[0][0] == email(1)
    await desk.codes.enter(ticket, desk.bound(), code)
    with pytest.raises(CodeOver):
        await desk.codes.enter(ticket, desk.bound(), code)


async def test_a_code_that_was_sent_before_the_key_tokens_changed_is_good_until_that_key_is_retired(desk):
    old, held = desk.house.secrets.tokens, desk.house.secrets
    sent, again = await desk.sent(), await desk.sent()
    desk.house = replace(desk.house, secrets=replace(held, tokens=(*old, b"n" * 32)))
    await desk.another().enter(sent[0], desk.bound(), sent[1])
    with pytest.raises(CodeOver):
        await desk.another().enter(sent[0], desk.bound(), sent[1])
    desk.codes = desk.another()
    later = await desk.sent()
    desk.house = replace(desk.house, secrets=replace(held, tokens=(b"n" * 32,)))
    with pytest.raises(CodeOver):
        await desk.another().enter(again[0], desk.bound(), again[1])
    await desk.another().enter(later[0], desk.bound(), later[1])


@pytest.mark.parametrize("form", ["{}", "{}\n", "  {}", "{:.4}-{:.4}", "١"])
async def test_a_code_may_be_pasted_in_any_form(desk, form):
    ticket, code = await desk.sent()
    first, second = code.split(" ")
    arabic = "".join(chr(0x660 + int(each)) for each in first + second)
    typed = arabic if form == "١" else f"{first}-{second}" if "-" in form else form.format(code)
    await desk.codes.enter(ticket, desk.bound(), typed)
    assert codes.digits("²½x") == ""


async def test_a_wrong_code_says_how_many_tries_are_left_and_then_it_is_over(desk):
    ticket, code = await desk.sent()
    left = []
    for _ in range(4):
        with pytest.raises(WrongCode) as refused:
            await desk.codes.enter(ticket, desk.bound(), wrong(code))
        left.append(refused.value.left)
    assert left == [4, 3, 2, 1]
    for typed in (wrong(code), code):
        with pytest.raises(CodeOver):
            await desk.codes.enter(ticket, desk.bound(), typed)


@pytest.mark.parametrize("other", [{"use": "erasure"}, {"value": email(2)}, {"kind": "phone", "value": phone(1)}])
async def test_a_code_is_good_for_one_address_and_one_use(desk, other):
    ticket, code = await desk.sent()
    with pytest.raises((CodeOver, WrongCode)):
        await desk.codes.enter(ticket, desk.bound(**other), code)


async def test_a_code_is_good_with_a_ticket_that_was_asked_for_and_only_once(desk):
    first, code = await desk.sent()
    for ticket in ("", "x", (await desk.sent(value=email(2)))[0]):
        with pytest.raises((CodeOver, WrongCode)):
            await desk.codes.enter(ticket, desk.bound(), code)
    second, newer = await desk.sent()
    await desk.codes.enter(second, desk.bound(), code)  # the older one, which came first or lay there: it was not used
    for ticket, again in ((first, code), (second, newer), (second, code)):
        with pytest.raises((CodeOver, WrongCode)):
            await desk.codes.enter(ticket, desk.bound(), again)


async def test_a_code_is_good_for_ten_minutes(desk):
    ticket, code = await desk.sent()
    desk.at += timedelta(minutes=10, seconds=1)
    with pytest.raises(CodeOver):
        await desk.codes.enter(ticket, desk.bound(), code)


@pytest.mark.parametrize(("ahead", "good"), [(timedelta(minutes=5), True), (timedelta(minutes=5, seconds=1), False)])
async def test_a_code_of_a_clock_that_was_ahead_is_not_good_until_that_clocks_time(desk, ahead, good):
    ticket, code = await desk.sent()
    desk.at -= ahead
    with contextlib.nullcontext() if good else pytest.raises(CodeOver):
        await desk.codes.enter(ticket, desk.bound(), code)


async def test_codes_of_a_clock_that_was_ahead_are_right_with_no_ticket_and_keep_nobody_from_a_new_one(desk):
    desk.at += timedelta(days=1)
    early = [(await desk.sent(asker=each))[1] for each in STRANGERS[:3]]
    desk.at -= timedelta(days=1)
    ticket, code = await desk.sent()
    assert len(desk.mail.brought) == 4
    with pytest.raises(WrongCode):
        await desk.codes.enter(ticket, desk.bound(), early[0])
    await desk.codes.enter(ticket, desk.bound(), code)


STRANGERS = [bytes([number]) * 8 for number in range(5)]


async def test_strangers_who_ask_for_somebodys_codes_fill_no_mailbox_and_keep_nobody_out(desk):
    for asker in STRANGERS:
        for _ in range(3):
            await desk.sent(asker=asker)
    assert len(desk.mail.brought) == AN_ADDRESS
    ticket, lies_there = await desk.sent(asker=b"herself")
    assert len(desk.mail.brought) == AN_ADDRESS
    await desk.codes.enter(ticket, desk.bound(), lies_there)
    desk.at += timedelta(minutes=9)
    ticket, code = await desk.sent(asker=b"herself")
    assert len(desk.mail.brought) == AN_ADDRESS + 1  # of those that lie there none is good for long
    await desk.codes.enter(ticket, desk.bound(), code)


async def test_a_strangers_requests_for_one_use_leave_the_other_uses_alone(desk):
    for asker in STRANGERS:
        await desk.sent(asker=asker)
    ticket, code = await desk.sent(asker=b"herself", use="opt_in:sale")
    await desk.codes.enter(ticket, desk.bound(use="opt_in:sale"), code)


async def test_a_strangers_wrong_tries_are_those_of_their_own_ticket(desk):
    for asker in STRANGERS:
        ticket, code = await desk.sent(asker=asker)
        for _ in range(TRIES):
            with contextlib.suppress(WrongCode, CodeOver):
                await desk.codes.enter(ticket, desk.bound(), wrong(code))
    ticket, code = await desk.sent(asker=b"herself")
    await desk.codes.enter(ticket, desk.bound(), code)


async def test_who_asks_often_is_refused_by_what_they_asked_themselves(desk):
    for _ in range(codes.AN_HOUR):
        await desk.sent(asker=b"a")
    with pytest.raises(TooManyCodes):
        await desk.sent(asker=b"a")
    await desk.sent(asker=b"b")
    for number in range(2, 2 + codes.ASKED_IN_ALL - codes.AN_HOUR):
        await desk.sent(asker=b"a", value=email(number))
    with pytest.raises(TooManyCodes):
        await desk.sent(asker=b"a", value=email(99))
    desk.at += timedelta(hours=1, seconds=1)
    assert await desk.sent(asker=b"a")


async def test_who_asked_for_an_address_shows_in_no_answer(desk, monkeypatch):
    """The wait and the outcome of a send that was not needed are those of one that was."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(codes.asyncio, "sleep", sleep)
    for asker in STRANGERS[:AN_ADDRESS]:
        await desk.sent(asker=asker)
    assert slept == []
    await desk.sent(asker=b"last")
    assert len(slept) == 1
    assert slept[0] in [took for took, _ in desk.codes._lasted["email"]]
    desk.mail.takes = False
    with pytest.raises(NotSent):
        await desk.sent(value=email(2), asker=b"last")
    with pytest.raises(NotSent):
        await desk.sent(asker=b"another")


async def test_who_asks_one_process_after_the_other_is_refused_as_by_one(desk, monkeypatch):
    others = [desk.another() for _ in range(codes.AN_HOUR)]
    for each in others:
        monkeypatch.setattr(desk, "codes", each)
        await desk.sent(asker=b"a")
    for each in others:
        monkeypatch.setattr(desk, "codes", each)
        with pytest.raises(TooManyCodes):
            await desk.sent(asker=b"a")
    await desk.sent(asker=b"b")


async def test_what_texts_may_cost_on_a_day_is_counted_by_all_processes_together(desk):
    today, one, another = desk.at.date(), *(codes.TextSpending(desk.house.writer, 50) for _ in range(2))
    assert [await each.spend(today, 20) for each in (one, another, one)] == [True, True, False]
    assert [await asyncio.to_thread(each.spent, today) for each in (one, another)] == [(40, 1)] * 2
    assert await one.spend(today, 10)
    assert await another.spend(today + timedelta(days=1), 50)
    assert await asyncio.to_thread(one.spent, today + timedelta(days=1)) == (50, 0)


async def test_what_could_not_be_sent_may_be_asked_for_again_at_once(desk):
    desk.mail.takes = False
    for _ in range(codes.AN_HOUR + 1):
        with pytest.raises(NotSent):
            await desk.sent()
    desk.mail.takes = True
    assert await desk.sent()


async def test_where_nothing_brings_a_code_none_is_offered(desk):
    assert desk.codes.kinds == ("email",)
    with pytest.raises(NotSent):
        await desk.sent(kind="phone", value=phone(1))


async def test_neither_the_code_nor_the_address_lies_in_the_data_folder(desk, folder):
    ticket, code = await desk.sent()
    await desk.codes.enter(ticket, desk.bound(), code)
    await desk.sent(value=email(2))
    kept = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    for secret in (email(1), email(2), ticket, code, code.replace(" ", "")):
        assert secret.encode() not in kept
    with sqlite3.connect(folder / "ledger.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM code").fetchone() == (2,), "the control: both are kept"
        assert db.execute("SELECT count(*) FROM entry").fetchone() == (0,), "a code is no entry"


async def test_codes_are_not_alike_and_have_every_digit(desk):
    desk.codes._an_hour = 10_000
    got = [(await desk.sent(value=email(n)))[1] for n in range(60)]
    assert len(set(got)) == 60
    assert {each for code in got for each in code} == {*"0123456789 "}


async def test_carriers_are_closed_with_the_house(desk):
    await desk.codes.close()
    assert desk.mail.closed
