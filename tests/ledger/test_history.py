import os
from datetime import UTC, datetime

import pytest
from support.people import email, named, phone

from gateway import seals
from gateway.ledger import history, records
from gateway.ledger.records import Choice
from gateway.terms import ChoiceKind, Purpose

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 24, 12, 34, 56, 789_000, UTC)


class Desk:
    def __init__(self, house, folder):
        self.house, self.folder = house, folder
        self.subject = self.who("email", email(1))

    def who(self, kind, value):
        return self.house.consent.people.name([named(kind, value)]).subjects[0]

    async def write(self, subject=None, kind=ChoiceKind.OPT_OUT, request=None, purposes=(Purpose.SALE,)):
        choice = Choice(kind, purposes, "form", AT, details={"made_at": "then"})
        return await self.do(lambda tx: records.write(tx, subject or self.subject, choice, request or os.urandom(16)))

    async def do(self, job):
        return await self.house.writer.commit(job)

    async def events(self, subject=None, said=None):
        """As the desk reads them: with the persons' keys of now."""
        subject = subject or self.subject
        rows = await self.do(lambda tx: tx.db.execute("SELECT person FROM detail").fetchall())
        keys = await self.do(lambda tx: {person: tx.persons.key(person) for (person,) in rows})
        return await history.events(self.folder, subject.key, keys.get, said or (subject.kind, subject.value))


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
        key = tx.persons.key(person)
        content = seals.open_seal([key], written.event, sealed).replace(b"then", b"when")
        tx.db.execute("UPDATE detail SET sealed = ?", (seals.seal(key, written.event, content),))

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


async def test_details_that_were_forgotten_leave_the_bare_entry(desk):
    await desk.write()
    await desk.do(lambda tx: tx.db.execute("UPDATE detail SET sealed = NULL").rowcount)
    [event] = await desk.events()
    assert (event.proved, event.details) == (None, {})


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


async def test_reading_history_never_writes(desk):
    await desk.write()
    async with history._reader(desk.folder) as db:
        with pytest.raises(Exception, match="readonly"):
            await db.execute("DELETE FROM detail")
