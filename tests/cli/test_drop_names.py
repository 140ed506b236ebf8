"""A list has one name of an identifier, and what left is on record under others: all of it is found, told and forgotten
before the state is answered.
"""

import asyncio
import contextlib

import pytest
from cli.test_drop import ANA, ANAS, rows_of, verified
from cli.test_drop_systems import Broker
from support import inside
from support.people import GAID, named

from gateway.app.composition import open_house
from gateway.choice.deletion_list import DeletionKind
from gateway.desk import recipient_holdings

GOES = {
    DeletionKind.PHONE: ("phone", ANAS, "payments", "contact", "service"),
    DeletionKind.MAID: ("gaid", GAID, "teemo", "ad_id", "sale"),
    DeletionKind.EMAIL: ("email", ANA, "payments", "contact", "service"),
}
HASHED = {
    DeletionKind.PHONE: ("phone", ANAS, "hashes", "phone_hash", "sharing"),
    DeletionKind.EMAIL: ("email", ANA, "hashes", "email_hash", "sharing"),
}
TAKES_HASHES = """
[recipients.hashes]
role = "third_party"
purposes = ["sharing"]
data = ["email_hash", "phone_hash"]
contract = "2026-17"
announced = 2024-06-25
"""


@pytest.fixture
def broker(folder, tmp_path):
    made = Broker(folder, tmp_path)
    with made.file.open("a") as opened:
        opened.write(TAKES_HASHES)
    return made


def called(broker, job):
    """What comes of calls of the service while it runs."""

    async def calls():
        async with (
            inside.application(broker.folder, inside.settings(broker.file)) as app,
            inside.client(app, **inside.DEV) as client,
        ):
            return await job(client)

    return asyncio.run(calls())


def checks(broker, *whom, **more):
    """Each answer to a check that lets something of these go: (kind, value, recipient, class, purpose)."""

    async def job(client):
        found = []
        for kind, value, recipient, what, purpose in whom:
            body = {"identifiers": [named(kind, value)], "recipient": recipient, "data": [what], "purpose": purpose}
            answer = (await client.post("/v1/check", json=body | {"place": "US-NY"} | more)).json()
            assert answer["allowed"], answer
            found.append(answer["decision"])
        return found

    return called(broker, job)


def kept(broker):
    """What is kept of what left, by recipient, as far as anybody can open it; and how many rows tell of it."""
    with open_house(broker.folder, inside.settings(broker.file), dev=True) as house:

        def job(tx):
            rows = tx.db.execute("SELECT recipient, person, sealed FROM held").fetchall()
            return [value for each in rows for value in recipient_holdings.open_held(tx, *each).values()]

        opened = house.writer.submit(job).result()
    with contextlib.suppress(KeyError):
        return opened, rows_of(
            broker.folder, "SELECT recipient FROM disclosure UNION ALL SELECT recipient FROM disclosed"
        )


def takes(broker, *recipients):
    return "".join(broker.run("deliveries", "--take", name).output for name in recipients)


@pytest.mark.parametrize("goes", [GOES, HASHED])
def test_once_a_state_is_told_that_it_is_deleted_nothing_is_kept_by_any_name(broker, folder, goes):
    checks(broker, *goes.values(), will_send=True)
    opened, rows = kept(broker)
    assert opened, "the control"
    assert len(rows) == len(goes)
    for turn, (kind, (_, value, *_)) in enumerate(goes.items()):
        broker.take((f"{turn:012d}", value), kind=kind)
    assert kept(broker) == ([], [])
    told = takes(broker, *{each[2] for each in goes.values()})
    assert all(value in told for value in opened)
    assert broker.answers() == ({f"{turn:012d}": "3" for turn in range(len(goes))}, {})
    verified(folder)
