"""A list has one name of an identifier, and what left is on record under others: all of it is found, told and forgotten
before the state is answered.
"""

import asyncio
import contextlib
import json
import os
from collections import Counter
from datetime import timedelta
from hashlib import sha256

import pytest
from cli.test_drop import ANA, ANAS, NOW, act, hold, link, rows_of, say_yes, verified
from cli.test_drop_systems import A, B, Broker
from support import inside
from support.people import GAID, named

from gateway.app.composition import open_house
from gateway.choice.deletion_list import DeletionKind
from gateway.cli import drop
from gateway.desk import recipient_holdings
from gateway.desk.recipient_holdings import Left
from gateway.fold.kin import family
from gateway.ledger.acts import links, records
from gateway.ledger.acts.folded_people import named_by, people_of
from gateway.ledger.acts.links import Span
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ChoiceKind, Purpose

GOES = {
    DeletionKind.PHONE: ("phone", ANAS, "payments", "contact", "service"),
    DeletionKind.MAID: ("gaid", GAID, "teemo", "ad_id", "sale"),
    DeletionKind.EMAIL: ("email", ANA, "payments", "contact", "service"),
}
HASHED = {  # of a number that left as its hash alone nobody can tell which it is
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


async def says_sent(client, decisions):
    lines = "\n".join(json.dumps({"decision": each, "outcome": "sent"}) for each in decisions)
    answer = await client.post("/v1/disclosures", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert [json.loads(line).get("result") for line in answer.text.splitlines()] == ["recorded"] * len(decisions) + [
        None
    ]


def test_a_recipient_that_was_told_of_one_thing_counts_as_told_of_nothing_else(broker, folder):
    """Matching got a device beside the address, and once the address's hash, which nobody can name."""
    [counted] = checks(broker, ("email", ANA, "hashes", "email_hash", "sharing"))
    called(broker, lambda client: says_sent(client, [counted]))

    def left_together(tx, who):
        mail, device = who("email", ANA).key, who("gaid", GAID).key
        left = [Left("gaid", GAID, device, (mail, device))]
        recipient_holdings.note_held(tx, "hashes", left, ["sharing"], ["ad_id"], 0, milliseconds(NOW))

    act(folder, left_together)
    broker.take((A, ANA))
    told = takes(broker, "hashes")
    assert (GAID in told, ANA in told) == (True, False), "the control"
    assert broker.answers() == ({}, {A: ""})
    assert ("hashes",) in kept(broker)[1], "the one trace of who has it"
    verified(folder)


def test_an_officers_order_to_delete_an_account_reaches_whoever_got_anything_of_it(broker, folder):
    link(folder, ("ana", "email", ANA), ("ana", "phone", ANAS), ("bo", "gaid", GAID))
    hold(folder, ANAS, kind="phone")
    hold(folder, GAID, kind="gaid")
    broker.take((A, ANA))
    assert broker.answers() == ({}, {A: "2"})
    assert '"opt_out"' in takes(broker, "teemo"), "the control: whoever has an account is the officer's"
    assert broker.decide(A, 3).exit_code == 0
    assert broker.answers() == ({}, {A: ""})
    told = takes(broker, "teemo")
    assert ('"delete"' in told, ANAS in told, GAID in told) == (True, True, False)
    assert broker.answers() == ({A: "3"}, {})
    assert kept(broker)[0] == [GAID]
    verified(folder)


DAYS = timedelta(days=1)


@pytest.mark.parametrize("whose", ["also", "before", "alone"])
def test_an_officers_order_to_delete_an_account_takes_nothing_that_others_have_too_or_had_before(broker, folder, whose):
    """A family's tablet, or one that was another's first."""
    if whose != "alone":
        over = None if whose == "also" else milliseconds(NOW - 4 * DAYS)
        tie(folder, "bo", NOW - 9 * DAYS, over)
    say_yes(folder, ("gaid", GAID), NOW - 5 * DAYS, details={"page": "of-before"})
    hold(folder, GAID, kind="gaid")
    link(folder, ("ana", "email", ANA), ("ana", "phone", ANAS))
    tie(folder, "ana", NOW - 3 * DAYS)
    say_yes(folder, ("gaid", GAID), NOW - 2 * DAYS, details={"page": "of-now"})
    hold(folder, ANAS, kind="phone")
    broker.take((A, ANA))
    broker.answers()
    takes(broker, "teemo")
    assert broker.decide(A, 3).exit_code == 0
    told = takes(broker, "teemo")
    assert ('"delete"' in told, ANAS in told, GAID in told) == (True, True, whose != "also")
    assert broker.answers() == ({A: "3"}, {})
    assert kept(broker)[0] == ([] if whose == "alone" else [GAID])
    said = f"({milliseconds(NOW - 5 * DAYS)}, {milliseconds(NOW - 2 * DAYS)})"
    left = rows_of(folder, f"SELECT sealed IS NOT NULL FROM detail WHERE at IN {said} ORDER BY seq")
    assert left == {"also": [(1,), (1,)], "before": [(1,), (0,)], "alone": [(0,), (0,)]}[whose]
    verified(folder)


def tie(folder, account, at, until=None):
    def job(tx, who):
        links.link_identifiers(tx, who("account", account), [who("gaid", GAID)], Span(0, until), milliseconds(at))

    act(folder, job)


LATER_BY = timedelta(minutes=1)
LATER = NOW + LATER_BY
NO = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "form", LATER)


def test_what_leaves_again_behind_an_order_is_ordered_again(broker, folder):
    service = GOES[DeletionKind.EMAIL]
    checks(broker, service, will_send=True)
    broker.take((A, ANA))
    assert ANA in takes(broker, "payments")
    assert broker.answers() == ({A: "3"}, {})
    assert '"delete"' not in takes(broker, "payments"), "the control"
    checks(broker, service, will_send=True)
    broker.answers()
    assert ANA in takes(broker, "payments")
    assert kept(broker) == ([], [])
    verified(folder)


def test_what_leaves_by_the_yes_of_whoever_came_back_is_not(broker, folder):
    checks(broker, HASHED[DeletionKind.EMAIL], will_send=True)
    broker.take((A, ANA))
    takes(broker, "hashes")
    assert broker.answers() == ({A: "3"}, {})
    say_yes(folder, ("email", ANA), LATER, purpose=Purpose.SHARING)
    checks(broker, HASHED[DeletionKind.EMAIL], will_send=True)
    broker.answers()
    assert takes(broker, "hashes") == ""
    assert kept(broker)[0]


HASHED_NUMBER = ("phone", ANAS, "hashes", "phone_hash", "sharing")


@pytest.mark.parametrize("goes", [GOES[DeletionKind.PHONE], HASHED_NUMBER])
@pytest.mark.parametrize("released", [True, False])
def test_a_number_s_next_holder_loses_nothing_by_what_the_one_before_asked_for(broker, folder, goes, released):
    checks(broker, ("email", ANA, "payments", "contact", "service"), will_send=True)  # the log is no empty one
    broker.take((A, ANAS), kind=DeletionKind.PHONE)
    assert broker.answers() == ({A: "5"}, {})
    if released:
        act(folder, lambda tx, who: links.release(tx, who("phone", ANAS), milliseconds(LATER)))
    if goes is HASHED_NUMBER:
        say_yes(folder, ("phone", ANAS), NOW + 2 * LATER_BY, purpose=Purpose.SHARING)
    checks(broker, goes, will_send=True)
    before, deletes = kept(broker), not released and goes is not HASHED_NUMBER
    assert broker.answers("--amend") == ({} if deletes else {A: "4"}, {A: ""} if deletes else {})
    assert ('"delete"' in takes(broker, goes[2])) == deletes, "without a release and a yes it does: the control"
    assert (kept(broker) == before) != deletes
    assert "4" in broker.decide(A, 3).stderr or deletes
    assert '"delete"' not in takes(broker, goes[2])
    verified(folder)


def test_an_account_that_has_a_number_since_it_was_given_back_is_not_the_officer_s_to_delete(broker, folder):
    link(folder, ("ana", "phone", ANAS))
    broker.take((A, ANAS), kind=DeletionKind.PHONE)
    assert broker.answers() == ({}, {A: "2"}), "the control"
    act(folder, lambda tx, who: links.release(tx, who("phone", ANAS), milliseconds(NOW)))
    act(folder, lambda tx, who: links.tie(tx, who("account", "bo"), [who("phone", ANAS)], milliseconds(LATER)))
    hold(folder, ANAS, kind="phone")
    told = broker.decide(A, 3)
    assert (told.exit_code, "whose it is did not ask" in told.stderr) == (1, True)
    assert broker.answers() == ({A: "4"}, {})
    assert kept(broker)[0] == [ANAS]
    broker.take((B, ANAS), kind=DeletionKind.PHONE)
    assert broker.answers() == ({}, {A: "2", B: "2"}), "whoever has it now asks"
    verified(folder)


def test_what_left_before_a_request_is_deleted_though_its_person_came_back_before_anybody_looked(
    broker, folder, monkeypatch
):
    checks(broker, HASHED[DeletionKind.EMAIL], will_send=True)
    with monkeypatch.context() as killed:
        killed.setattr(drop, "_look", lambda *_: Counter())
        broker.take((A, ANA))
    say_yes(folder, ("email", ANA), LATER, purpose=Purpose.SHARING)
    broker.answers()
    assert '"delete"' in takes(broker, "hashes")
    assert broker.answers() == ({A: "3"}, {})


def test_nobody_who_came_back_is_told_as_opted_out_while_the_officer_decides(broker, folder):
    link(folder, ("ana", "email", ANA))
    hold(folder, ANA)
    broker.take((A, ANA))
    assert '"opt_out"' in takes(broker, "teemo")
    say_yes(folder, ("email", ANA), LATER)

    def again(tx, who):
        left = [Left("email", ANA, who("email", ANA).key, (who("email", ANA).key,))]
        recipient_holdings.note_held(tx, "teemo", left, ["sale"], ["email_hash"], tx.size, milliseconds(LATER))

    act(folder, again)
    broker.answers()
    assert '"opt_out"' not in takes(broker, "teemo")
    act(folder, lambda tx, who: records.write_choice(tx, who("email", ANA), NO, os.urandom(16)))
    broker.answers()
    assert '"opt_out"' in takes(broker, "teemo"), "the control"


def test_who_got_it_by_an_answer_that_was_only_counted_is_told_by_what_another_got(broker, folder):
    """The device went to Teemo, announced, and to the ad network, which reported it afterwards."""
    checks(broker, GOES[DeletionKind.MAID], will_send=True)
    counted = checks(broker, ("gaid", GAID, "advertisers", "ad_id", "sharing"))
    called(broker, lambda client: says_sent(client, counted))
    broker.take((A, GAID), kind=DeletionKind.MAID)
    assert GAID in takes(broker, "teemo")
    assert broker.answers() == ({}, {A: ""})
    assert '"delete"' in takes(broker, "advertisers")
    assert broker.answers() == ({A: "3"}, {})
    assert kept(broker) == ([], [])
    verified(folder)


def test_whom_a_row_named_beside_whoever_is_listed_stays_somebody_else(broker, folder):
    """Their number left as a hash, of which nobody can tell whose it is: a yes of theirs would be hers (R12)."""
    theirs, families = sha256(b"+14155550199").hexdigest(), []

    def left_beside(tx, who):
        callee = who("phone_sha256", theirs).key
        left = [Left("phone_sha256", theirs, callee, (*sorted(named_by(who("phone", ANAS))), callee))]
        recipient_holdings.note_held(tx, "hashes", left, ["sharing"], ["phone_hash"], 0, milliseconds(NOW))

    def read(tx, who):
        callee = who("phone_sha256", theirs).key
        families.append((callee, family(people_of(tx, [callee]).slate(), callee)))

    act(folder, left_beside)
    broker.take((A, ANAS), kind=DeletionKind.PHONE)
    broker.answers()
    act(folder, read)
    [(callee, names)] = families
    assert names == {callee}
    verified(folder)
