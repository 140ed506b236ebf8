"""The operator's own systems delete too: each is asked, in the transaction in which somebody is forgotten, until it says
`deleted`; only then is a deletion complete. Real receivers on loopback.
"""

import asyncio
import contextlib
import hashlib
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from click.testing import CliRunner
from support import inside
from support.own_system import listed, own_system
from support.people import GAID, email, named, phone
from support.service import service

from gateway.app import composition
from gateway.app.composition import open_house
from gateway.cli.root import group
from gateway.delivery import webhook
from gateway.desk import own_systems
from gateway.desk.answered_requests import HowItCame
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.desk.own_systems import Systems
from gateway.desk.recipient_holdings import Left, note_held
from gateway.keys import seals
from gateway.keys.secret_files import load_secrets
from gateway.ledger import schema
from gateway.ledger.acts.links import Span
from gateway.ledger.entry import b64
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ALL_PURPOSES, ChoiceKind, Erasing, Purpose, Source

MINE = named("email", email(1))


class Company:
    """An installation whose own systems are `file`'s; `later`: how far its clock is ahead."""

    def __init__(self, folder, file):
        self.folder, self.file, self.later = folder, file, timedelta(0)

    def clock(self):
        return datetime.now(UTC) + self.later

    @contextlib.contextmanager
    def open(self, *, configured=True):
        settings = inside.settings(self.file) if configured else inside.settings()
        with open_house(self.folder, settings, dev=True, clock=self.clock) as house:
            yield house

    def forgets(self, *who, mode=Erasing.DETAILS, place="", received=None, configured=True):
        """The act's event."""
        with self.open(configured=configured) as house:
            subjects = house.consent.people.name([named(*each) for each in who]).subjects
            order = ErasureOrder(mode, subjects, self.clock(), came=HowItCame(received, "", place))
            written = asyncio.run(house.consent.erase(order))
        return written.event

    def delivers(self):
        """One look at the outbox; how many were taken."""
        with self.open() as house:
            return asyncio.run(house.telling.deliver())

    def chooses(self, kind, *who, purposes=ALL_PURPOSES, configured=True):
        with self.open(configured=configured) as house:
            subjects = house.consent.people.name([named(*each) for each in who]).subjects
            asyncio.run(house.consent.choose(subjects, Choice(kind, purposes, Source.FORM, self.clock())))

    def asked(self, event):
        with self.open() as house:
            return asyncio.run(Systems(house.writer, self.clock).of([event]))

    def complete(self, event):
        return all(each.is_done for each in self.asked(event))

    def run(self, *words, config=True):
        more = ("--config", str(self.file)) if config else ()
        return CliRunner().invoke(group, [*words, *more, "--data", str(self.folder)], catch_exceptions=False)


@pytest.fixture
def company(folder, tmp_path):
    def made(**systems):
        return Company(folder, listed(tmp_path / "config.toml", **systems))

    return made


def test_an_erasure_is_complete_once_each_system_said_that_it_deleted(company):
    with own_system(email(1), email(2)) as mail, own_system(email(1)) as warehouse:
        warehouse.says = {"status": "queued for tonight"}
        mine = company(mail=mail.url, warehouse=warehouse.url)
        mail.secret = webhook.printed(webhook.secret_of(load_secrets(mine.folder), "system:mail"))
        event = mine.forgets(("email", email(1)))
        assert not mine.complete(event)
        assert mine.delivers() == 1
        assert mail.people == {email(2)}
        assert not mine.complete(event), "one has it, and did not say that it is deleted"
        warehouse.says = {"status": "deleted"}
        assert mine.delivers() == 0, "it is not asked without a pause"
        mine.later = timedelta(seconds=10)
        assert mine.delivers() == 1
        assert mine.complete(event)
        assert warehouse.people == set()
        assert len({name for name, _ in warehouse.arrived}) == 1, "the same id at each try"
    [message] = mail.told("delete")
    assert set(message) == {"type", "identifiers", "date", "duty"}
    assert message["identifiers"] == [MINE]


def test_a_system_is_told_by_the_kinds_that_it_knows_and_of_nobody_else(company):
    forms = '["email_sha256", "account"]'
    with own_system() as hashed, own_system() as accounts:
        mine = company(hashed=(hashed.url, forms), accounts=(accounts.url, '["account"]'))
        event = mine.forgets(("email", email(1)))
        assert {each.system for each in mine.asked(event)} == {"hashed"}
        mine.delivers()
        [message] = hashed.told("delete")
        assert [each["type"] for each in message["identifiers"]] == ["email_sha256"]
        assert accounts.arrived == []


def test_a_device_that_merely_left_in_a_row_with_the_person_is_nobodys_to_delete_in_a_system(company):
    mine = company(warehouse=("", '["email", "gaid"]'))
    with mine.open() as house:
        [mail], [device] = (house.consent.people.name([each]).subjects for each in (MINE, named("gaid", GAID)))
        left = [Left("gaid", GAID, device.key, (mail.key, device.key))]
        house.writer.submit(lambda tx: note_held(tx, "teemo", left, ["sale"], ["ad_id"], 0, 0)).result()
    mine.forgets(("email", email(1)))
    assert GAID in mine.run("deliveries", "--take", "teemo").stdout, "who got it is told"
    shown = mine.run("systems", "show", "warehouse").stdout
    assert (email(1) in shown, GAID in shown) == (True, False)


def test_a_message_that_nobody_can_read_any_more_is_the_officers_and_not_done(company):
    with own_system() as warehouse:
        mine = company(warehouse=warehouse.url)
        event = mine.forgets(("email", email(1)))
        with mine.open() as house:
            sql = "UPDATE outbox SET person = zeroblob(length(person))"
            house.writer.submit(lambda tx: tx.db.execute(sql).rowcount).result()
        mine.delivers()
        [asked] = mine.asked(event)
        assert (asked.state, asked.answer, warehouse.arrived) == ("failed", "its key is gone", [])
        assert "its key is gone" in mine.run("systems", "show", "warehouse").stdout


def test_who_asks_once_more_is_not_told_that_it_is_complete_by_what_was_forgotten_meanwhile(company):
    mine = company(mail=("", '["email"]'))
    with mine.open() as house:
        [mail] = house.consent.people.name([MINE]).subjects
        left = [Left("email", email(1), mail.key, tuple(mail.keys))]
        house.writer.submit(lambda tx: note_held(tx, "teemo", left, ["sale"], ["contact"], 0, 0)).result()
    digest = ("email_sha256", hashlib.sha256(email(1).encode()).hexdigest())
    first, second = mine.forgets(digest), mine.forgets(digest)
    assert (mine.complete(first), mine.complete(second)) == (False, False)
    lines = mine.run("systems", "show", "mail").stdout.splitlines()
    assert [email(1) in line for line in lines] == [True, True]
    mine.run("systems", "deleted", *(line.split()[0] for line in lines), "--by", "Ada")
    assert mine.complete(second)
    assert mine.asked(mine.forgets(digest)) == [], "nothing is open, and nobody can be named any more"


@pytest.mark.parametrize("mode", list(Erasing))
def test_what_is_to_be_deleted_is_said_after_the_person_is_forgotten_and_then_by_nobody_any_more(company, mode):
    with own_system(email(1)) as warehouse:
        warehouse.says = None
        mine = company(warehouse=warehouse.url)
        event = mine.forgets(("email", email(1)), mode=mode)
        mine.delivers()
        warehouse.says, mine.later = {"status": "deleted"}, timedelta(days=1)
        mine.delivers()
        assert warehouse.people == set()
        assert mine.complete(event)
        with mine.open() as house:
            rows = house.writer.submit(
                lambda tx: tx.db.execute(
                    "SELECT body, person FROM outbox WHERE recipient = 'system:warehouse'"
                ).fetchall()
            ).result()
        assert rows == [(None, None)]


@pytest.mark.parametrize(
    "said", [b"", b"deleted", b'"deleted"', b'{"status": "DELETED!"}', b'{"status": 1}', b"\xff{", b"[" * 9999]
)
def test_whatever_is_not_the_word_is_no_word(company, said):
    with own_system() as warehouse:
        warehouse.says = said
        mine = company(warehouse=warehouse.url)
        event = mine.forgets(("email", email(1)))
        assert mine.delivers() == 0
        [asked] = mine.asked(event)
        assert (asked.state, asked.answer, asked.tries) == ("pending", "not yet deleted", 1)


def test_a_system_that_takes_its_time_holds_up_no_other_deletion(company):
    with own_system(email(2)) as warehouse:
        warehouse.says = {"status": "later"}
        mine = company(warehouse=warehouse.url)
        mine.forgets(("email", email(1)))
        mine.forgets(("email", email(2)))
        mine.delivers()
        assert len(warehouse.told("delete")) == 2


def test_a_system_that_says_no_is_the_officers_at_once_and_she_says_by_name_that_it_is_done(company):
    with own_system() as warehouse:
        warehouse.says = {"status": "refused"}
        mine = company(warehouse=warehouse.url)
        event = mine.forgets(("email", email(1)))
        mine.delivers()
        [asked] = mine.asked(event)
        assert (asked.state, asked.answer) == ("failed", "refused")
        told = mine.run("systems", "list", f"--event={b64(event)}", config=False)
        assert (told.exit_code, "refused" in told.stdout) == (1, True)
        [line] = mine.run("systems", "show", "warehouse").stdout.splitlines()
        assert email(1) in line
        done = mine.run("systems", "deleted", line.split()[0], "--by", "Ada")
        assert (done.exit_code, done.stdout) == (0, "deleted in warehouse, by Ada\n")
        [asked] = mine.asked(event)
        assert (asked.is_done, asked.answer) == (True, "by hand: Ada")
        assert mine.run("systems", "list", f"--event={b64(event)}").exit_code == 0
        assert mine.run("systems", "show", "warehouse").stdout == ""
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        noted = mine.run("desk", "log", "--from", day, "--to", day, config=False).stdout
        assert "Ada" in noted
        assert mine.run("systems", "deleted", line.split()[0], "--by", "Bo").exit_code == 2, "it is done"


def test_a_system_that_never_answers_is_late_by_the_requests_own_clock(company):
    with own_system() as warehouse:
        warehouse.says = None
        mine = company(warehouse=warehouse.url)
        came = mine.clock() - timedelta(days=20)
        american = mine.forgets(("email", email(1)), place="US-CA", received=came)
        german = mine.forgets(("email", email(2)), place="DE", received=came)
        [[one], [other]] = [mine.asked(each) for each in (american, german)]
        days = [(each.last - milliseconds(came)) / 86_400_000 for each in (one, other)]
        assert 44 < days[0] < 46
        assert 27 < days[1] < 32
        for ahead, late in ((0, 0), (12, 1), (26, 2)):
            mine.later = timedelta(days=ahead)
            mine.delivers()
            with mine.open() as house:
                [found] = asyncio.run(house.telling.open())
            assert (found.recipient, found.overdue) == ("system:warehouse", late)
        assert not mine.complete(american)


def test_whoever_forgets_without_the_configuration_asks_the_systems_all_the_same(company):
    mine = company(warehouse="")
    assert mine.asked(mine.forgets(("email", email(1)), configured=False)) == [], "nobody knows of it yet"
    mine.forgets(("email", email(1)))
    [asked] = mine.asked(mine.forgets(("email", email(2)), configured=False))
    assert asked.system == "warehouse"


def test_what_the_configuration_says_of_a_system_later_holds_for_whoever_has_no_configuration_too(company):
    company(warehouse=("", '["phone"]')).forgets(("phone", phone(1)))
    mine = company(warehouse=("", '["email"]', "suppressions = false"))
    mine.forgets(("email", email(1)))
    assert [each.system for each in mine.asked(mine.forgets(("email", email(2)), configured=False))] == ["warehouse"]
    mine.chooses(ChoiceKind.OPT_OUT, ("email", email(2)), configured=False)
    assert mine.run("deliveries", "--take", "system:warehouse").stdout == ""


def test_a_system_that_is_ended_is_asked_no_more_and_what_it_was_asked_stays(company):
    mine = company(warehouse="")
    event = mine.forgets(("email", email(1)))
    assert mine.run("systems", "end", "warehouse").exit_code == 2, "the configuration has it"
    assert mine.run("systems", "end", "warehouse", config=False).exit_code == 0
    assert mine.run("systems", "end", "warehouse", config=False).exit_code == 2
    assert mine.asked(mine.forgets(("email", email(2)), configured=False)) == []
    assert not mine.complete(event)


def test_the_desk_that_takes_messages_by_hand_takes_no_deletion_for_done(company):
    mine = company(warehouse="")
    event = mine.forgets(("email", email(1)))
    mine.chooses(ChoiceKind.OPT_OUT, ("email", email(2)))
    taken = mine.run("deliveries", "--take", "system:warehouse").stdout
    assert email(2) in taken
    assert email(1) not in taken
    assert not mine.complete(event)


# --- noes -------------------------------------------------------------------------------------------------------------


def test_what_a_release_before_handed_out_is_nobodys_word_that_it_is_deleted(company):
    mine = company(warehouse="")
    event = mine.forgets(("email", email(1)))
    schema.take_back(mine.folder, 32)
    with contextlib.closing(sqlite3.connect(mine.folder / "ledger.sqlite3")) as db, db:
        db.execute(
            "UPDATE outbox SET state = 'delivered', answer = 'by the desk', person = NULL, body = NULL, taken = 1"
        )
    composition.migrate(mine.folder)
    [asked] = mine.asked(event)
    assert (asked.state, asked.is_done) == ("failed", False)
    [line] = mine.run("systems", "show", "warehouse").stdout.splitlines()
    assert mine.run("systems", "deleted", line.split()[0], "--by", "Ada").exit_code == 0
    assert mine.complete(event)
    assert mine.run("verify", config=False).exit_code == 0


def test_a_no_is_told_once_and_again_after_a_yes(company):
    with own_system() as mail:
        mine = company(mail=mail.url)
        for kind, count in (
            (ChoiceKind.OPT_OUT, 1), (ChoiceKind.OPT_OUT, 1), (ChoiceKind.OPT_IN, 1), (ChoiceKind.OPT_OUT, 2),
        ):  # fmt: skip
            mine.chooses(kind, ("email", email(1)), purposes=(Purpose.SALE,))
            mine.delivers()
            assert len(mail.told("opt_out")) == count
        mine.chooses(ChoiceKind.OPT_OUT, ("email", email(1)), purposes=(Purpose.MARKETING_EMAIL,))
        mine.delivers()
        message = mail.told("opt_out")[-1]
        assert message["identifiers"] == [MINE]
        assert message["purposes"] == ["marketing_email"]
        assert set(message) == {"type", "identifiers", "date", "duty", "purposes"}


def test_a_no_by_phone_is_told_of_the_account_that_has_it(company):
    with own_system() as warehouse, own_system() as payments:
        mine = company(
            warehouse=(warehouse.url, '["account"]'),
            payments=(payments.url, '["account"]', "suppressions = false"),
        )
        with mine.open() as house:
            account, *others = house.consent.people.name([named("account", "a1"), named("phone", phone(1))]).subjects
            asyncio.run(house.consent.link(account, others, Span(0)))
        mine.chooses(ChoiceKind.OPT_OUT, ("phone", phone(1)))
        mine.delivers()
        [message] = warehouse.told("opt_out")
        assert message["identifiers"] == [named("account", "a1")]
        assert payments.arrived == []


def test_whoever_has_a_number_next_is_told_of_as_somebody_new(company):
    with own_system() as mail:
        mine = company(mail=mail.url)
        mine.chooses(ChoiceKind.OPT_OUT, ("phone", phone(1)))
        with mine.open() as house:
            [number] = house.consent.people.name([named("phone", phone(1))]).subjects
            asyncio.run(house.consent.link(house.consent.people.account(""), [number], Span(0), released=True))
        mine.chooses(ChoiceKind.OPT_OUT, ("phone", phone(1)))
        mine.delivers()
        assert len(mail.told("opt_out")) == 2


def test_whoever_has_a_number_next_has_nothing_to_do_with_what_was_deleted_of_who_had_it(company):
    mine = company(warehouse="")
    mine.forgets(("phone", phone(1)))
    with mine.open() as house:
        [number] = house.consent.people.name([named("phone", phone(1))]).subjects
        assert len(asyncio.run(Systems(house.writer, mine.clock).about([number]))) == 1
        asyncio.run(house.consent.link(house.consent.people.account(""), [number], Span(0), released=True))
        assert asyncio.run(Systems(house.writer, mine.clock).about([number])) == []


@pytest.mark.parametrize("again", [False, True], ids=["the old link ended", "and a new one began"])
def test_neither_has_whoever_has_it_next_where_nobody_said_that_it_was_given_back(company, again):
    """R5."""
    mine = company(warehouse="")
    old, new = named("account", "a1"), named("account", "a2")
    with mine.open() as house:
        subjects = house.consent.people.name([old, new, named("phone", phone(1))]).subjects
        asyncio.run(house.consent.link(subjects[0], subjects[2:], Span(milliseconds(mine.clock()))))
    mine.later += timedelta(hours=1)
    mine.forgets(("phone", phone(1)))
    with mine.open() as house:
        systems = Systems(house.writer, mine.clock)
        assert len(asyncio.run(systems.about(subjects[2:]))) == 1
        mine.later += timedelta(hours=1)
        asyncio.run(house.consent.link(subjects[0], subjects[2:], Span(0, milliseconds(mine.clock()))))
        mine.later += timedelta(hours=1)
        if again:
            asyncio.run(house.consent.link(subjects[1], subjects[2:], Span(milliseconds(mine.clock()))))
        assert asyncio.run(systems.about(subjects[2:])) == []


# --- a kill -----------------------------------------------------------------------------------------------------------


def test_a_gateway_that_is_killed_while_a_system_deletes_asks_it_again_by_the_same_id(tmp_path):
    with own_system(email(1)) as warehouse:
        warehouse.hangs.clear()
        listed(tmp_path / "config.toml", warehouse=warehouse.url)
        with service(tmp_path, "--config", str(tmp_path / "config.toml")) as running:
            inside_ = {"identifiers": [MINE], "mode": "erase_details"}
            with httpx2.Client(base_url=running.url, headers=inside.DEV, timeout=60) as client:
                answer = client.post("/v1/erasures", json=inside_)
            assert answer.status_code == 200, answer.text
            event = seals.unb64(answer.json()["event"])
            until(lambda: len(warehouse.arrived) == 1)
            running.kill()
            warehouse.hangs.set()
            running.start()
            until(lambda: is_complete(running.data, event))
        assert len({name for name, _ in warehouse.arrived}) == 1
        assert len(warehouse.arrived) > 1
        assert warehouse.people == set()


def is_complete(folder, event):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        return own_systems.is_complete(db, event)


def until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
