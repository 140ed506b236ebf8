import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from support.people import email, named, phone

from gateway.desk import documents, history
from gateway.desk.documents import Document
from gateway.keys import seals
from gateway.ledger import log_records
from gateway.ledger.acts import links, records
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Purpose

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 24, 12, 34, 56, 789_000, UTC)


class Desk:
    def __init__(self, house, folder):
        self.house, self.folder = house, folder
        self.subject = self.who("email", email(1))

    def who(self, kind, value):
        return self.house.consent.people.name([named(kind, value)]).subjects[0]

    async def write(self, subject=None, kind=ChoiceKind.OPT_OUT, request=None, purposes=(Purpose.SALE,), at=AT, **more):
        choice = Choice(kind, purposes, "form", at, details={"made_at": "then"}, **more)
        return await self.do(
            lambda tx: records.write_choice(tx, subject or self.subject, choice, request or os.urandom(16))
        )

    async def do(self, job):
        return await self.house.writer.commit(job)

    async def events(self, subject=None, said=None, read=history.events, **more):
        """As the desk reads them: with the persons' keys of now."""
        subject = subject or self.subject
        rows = await self.do(lambda tx: tx.db.execute("SELECT person FROM detail").fetchall())
        keys = await self.do(lambda tx: {person: tx.persons.keys(person) for (person,) in rows})
        return await read(self.folder, subject.key, keys.__getitem__, said or (subject.kind, subject.value), **more)

    async def shown(self, subject):
        """As whoever proved it is shown them."""
        return await self.events(subject, read=partial(history.events, now=AT))


@pytest.fixture
def desk(house, folder):
    return Desk(house, folder)


async def test_a_person_reads_their_own_entries_oldest_first_and_each_is_proved(desk):
    await desk.write()
    await desk.write(desk.who("email", email(2)))
    await desk.write(kind=ChoiceKind.OPT_IN)
    first, second = await desk.events()
    assert [(event.seq, event.body["e"], event.proved) for event in (first, second)] == [
        (0, "opt_out", True),
        (2, "opt_in", True),
    ]
    assert first.at == AT
    assert first.details == {"made_at": "then", "at": "2026-11-24T12:34:56.789+00:00"}


async def test_a_stranger_has_no_history(desk):
    await desk.write()
    assert await desk.events(desk.who("email", email(2))) == []


async def test_an_entry_shown_as_about_somebody_else_is_not_proved(desk):
    await desk.write()
    for said in (("email", email(2)), ("account", email(1))):
        [event] = await desk.events(said=said)
        assert event.proved is False


async def test_details_that_were_changed_and_sealed_again_are_not_proved(desk):
    written = await desk.write()

    def tamper(tx):
        person, sealed = tx.db.execute("SELECT person, sealed FROM detail").fetchone()
        key = tx.persons.keys(person).details
        content = seals.open_seal([key], written.event, sealed).replace(b"then", b"when")
        tx.db.execute("UPDATE detail SET sealed = ?", (seals.seal_box(key, written.event, content),))

    await desk.do(tamper)
    [event] = await desk.events()
    assert (event.details["made_at"], event.proved) == ("when", False)


async def test_an_entry_whose_body_was_changed_behind_the_triggers_is_not_proved(desk):
    await desk.write()

    def tamper(tx):
        tx.db.execute("DROP TRIGGER entry_stays")
        [(body,)] = tx.db.execute("SELECT body FROM entry").fetchall()
        at = body.index(b'"d":"') + 5
        changed = body[:at] + (b"A" if body[at : at + 1] != b"A" else b"B") + body[at + 1 :]
        tx.db.execute("UPDATE entry SET body = ?", (changed,))

    await desk.do(tamper)
    [event] = await desk.events()
    assert event.proved is False


async def test_a_person_whose_key_was_destroyed_is_neither_proved_nor_shown(desk):
    await desk.write()
    await desk.do(lambda tx: tx.persons._db.execute("DELETE FROM person").rowcount)
    [event] = await desk.events()
    assert (event.proved, event.details, event.body["e"]) == (None, {}, "opt_out")


async def test_details_that_were_forgotten_leave_the_entry_and_the_proof_whose_it_is(desk):
    await desk.write()
    await desk.do(lambda tx: tx.db.execute("UPDATE detail SET sealed = NULL").rowcount)
    [event] = await desk.events()
    assert (event.proved, event.details) == (True, {})
    assert [event.proved for event in await desk.events(said=("email", email(9)))] == [False]


async def test_what_opens_an_entry_and_its_details_forgotten_leave_the_bare_entry(desk):
    await desk.write()
    await desk.do(lambda tx: tx.db.execute("UPDATE detail SET sealed = NULL, opening = NULL").rowcount)
    [event] = await desk.events()
    assert (event.proved, event.details, event.body["e"]) == (None, {}, "opt_out")


async def test_reading_up_to_a_moment_leaves_out_what_came_later(desk):
    for minute in range(3):
        await desk.write(at=AT + timedelta(minutes=minute))
    assert [event.seq for event in await desk.events(until=AT + timedelta(minutes=1))] == [0, 1]
    assert await desk.events(until=AT - timedelta(milliseconds=1)) == []


async def test_what_was_shown_is_read_with_the_choice_word_for_word(desk):
    """L85."""
    text = Document("choices", "7", "es", b"Va a excluirse.\n")
    await desk.do(lambda tx: documents.log(tx, text, AT))
    await desk.write(notice=text.notice)
    await desk.write()
    assert [event.shown for event in await desk.events()] == [text, None]


class TestWhoHoldsANumberNow:
    @pytest.fixture
    def number(self, desk):
        return desk.who("phone", phone(1))

    async def release(self, desk, number):
        await desk.do(lambda tx: links.release(tx, number, milliseconds(AT)))

    async def test_sees_nothing_from_before_its_release_and_the_desk_sees_all(self, desk, number):
        """R5."""
        await desk.write(number)
        await self.release(desk, number)
        await desk.write(number, kind=ChoiceKind.OPT_IN)
        words = [event.body["e"] for event in await desk.shown(number)]
        assert words == ["opt_in"]
        assert [event.body["e"] for event in await desk.events(number)] == ["opt_out", "number_released", "opt_in"]

    async def test_sees_nothing_of_an_earlier_holder_though_it_was_given_back_twice(self, desk, number):
        for _ in range(2):
            await desk.write(number)
            await self.release(desk, number)
        assert await desk.shown(number) == []

    async def test_sees_everything_said_on_a_number_that_was_never_given_back(self, desk, number):
        await desk.write(number)
        assert len(await desk.shown(number)) == 1

    async def test_does_not_learn_that_some_account_has_it(self, desk, number):
        """R12: that is more than was proved."""
        account = desk.who("account", "a")
        await desk.do(lambda tx: links.link_identifiers(tx, account, [number], links.Span(0), milliseconds(AT)))
        assert await desk.shown(number) == []
        assert [event.body["e"] for event in await desk.events(number)] == ["linked"]

    async def test_sees_the_same_entries_by_their_numbers(self, desk, number):
        await desk.write(number)
        await self.release(desk, number)
        written = await desk.write(number)
        assert await desk.do(lambda tx: history.shown_to_holder(tx.db, number.key, AT)) == [written.seq]


async def test_one_request_reads_back_all_that_was_said_in_it_in_the_order_of_the_purposes(desk):
    request = os.urandom(16)
    number = desk.who("phone", phone(1))
    await desk.write(request=request, purposes=(Purpose.SHARING, Purpose.SALE))
    await desk.write(number, request=request)
    await desk.write()
    assert await history.of_request(desk.folder, request) == [
        ("email", desk.subject.key, AT, [Purpose.SALE, Purpose.SHARING]),
        ("phone", number.key, AT, [Purpose.SALE]),
    ]
    assert await history.of_request(desk.folder, os.urandom(16)) == []


async def test_a_yes_is_not_read_back_as_a_request_to_opt_out(desk):
    request = os.urandom(16)
    await desk.write(kind=ChoiceKind.OPT_IN, request=request)
    assert await history.of_request(desk.folder, request) == []
    await desk.write(kind=ChoiceKind.LIMIT, request=request, purposes=(Purpose.SENSITIVE,))
    assert [purposes for *_, purposes in await history.of_request(desk.folder, request)] == [[Purpose.SENSITIVE]]


async def test_only_a_yes_that_was_said_on_the_page_is_one_of_its_pages(desk):
    yes = Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "form", AT)
    for choice, is_one in (
        (yes, True),
        (replace(yes, source="api"), False),
        (replace(yes, kind=ChoiceKind.OPT_OUT), False),
    ):
        written = await desk.do(
            partial(records.write_choice, subject=desk.subject, choice=choice, request=os.urandom(16))
        )
        found = await history.opted_in(desk.folder, written.event)
        assert (found is not None) is is_one


async def test_reading_history_never_writes(desk):
    await desk.write()
    async with history._reader(desk.folder) as db:
        with pytest.raises(Exception, match="readonly"):
            await db.execute("DELETE FROM detail")


async def test_when_somebody_last_said_no_is_read_from_what_they_said_however_much_their_account_has(desk, monkeypatch):
    account, read = desk.who("account", "ann"), []
    for number in range(20):
        other = desk.who("phone", phone(number))
        await desk.write(other)
        await desk.do(lambda tx, other=other: links.tie(tx, account, [other], milliseconds(AT)))
    await desk.write(account)
    honest = log_records.SideRow.records
    monkeypatch.setattr(
        log_records.SideRow, "records", lambda row, *of, **words: read.append(row.seq) or honest(row, *of, **words)
    )
    assert await history.last_out_at(desk.folder, [account.key]) == dict.fromkeys(SIGNAL_PURPOSES, milliseconds(AT))
    assert len({*read}) == 1
