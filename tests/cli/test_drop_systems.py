"""A state is answered `deleted` only after each of the operator's own systems said so, too; never for our own erasure."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from cli.test_drop import ANA, DAY, NOW, act, answers, hold, link, listed, verified
from click.testing import CliRunner
from support import inside
from support import own_system as systems_of
from support.own_system import own_system
from support.people import GAID

from gateway.app import from_settings
from gateway.app.composition import open_house
from gateway.choice.deletion_list import DeletionKind
from gateway.cli.root import group
from gateway.delivery.webhook import Courier
from gateway.desk import own_systems
from gateway.desk.recipient_holdings import Left, note_held
from gateway.ledger import schema

A, B = "A" * 12, "B" * 12


class Broker:
    """An installation with own systems, as an officer with a terminal runs it."""

    def __init__(self, folder, tmp_path, **systems):
        self.folder, self.place, self.turn = folder, tmp_path, 0
        self.file = systems_of.listed(tmp_path / "systems.toml", **systems)

    def run(self, *words):
        command = [*map(str, words), "--config", str(self.file), "--data", str(self.folder)]
        return CliRunner().invoke(group, command, catch_exceptions=False)

    def take(self, *rows, kind=DeletionKind.EMAIL, day=DAY):
        assert self.run("drop", "take", listed(self.place, kind, rows, day)).exit_code == 0

    def decide(self, id_, status):
        (self.place / "decided.csv").write_text(f"Id,Status\n{id_},{status}\n")
        return self.run("drop", "decide", self.place / "decided.csv")

    def answers(self, *more):
        self.turn += 1
        assert self.run("drop", "answer", *more, self.place / f"{self.turn}").exit_code == 0
        return answers(self.place / f"{self.turn}")

    def delivers(self, later=timedelta(0)):
        with open_house(
            self.folder, inside.settings(self.file), dev=True, clock=lambda: datetime.now(UTC) + later
        ) as house:
            asyncio.run(house.telling.deliver())


def test_deleted_is_answered_once_each_own_system_said_so_and_the_recipient_took_it(folder, tmp_path):
    with own_system(ANA) as warehouse, own_system(ANA) as mail:
        broker = Broker(folder, tmp_path, warehouse=warehouse.url, mail=mail.url)
        mail.says = {"status": "tonight"}
        hold(folder, ANA)
        broker.take((A, ANA), (B, "bo@example.com"))
        assert broker.answers() == ({B: "5"}, {A: ""})
        broker.delivers(timedelta(minutes=1))
        assert (warehouse.people, mail.people) == (set(), {ANA})
        assert ANA in broker.run("deliveries", "--take", "teemo").output
        assert broker.answers() == ({}, {A: ""}), "one system did not say that it deleted"
        mail.says = {"status": "deleted"}
        broker.delivers(timedelta(hours=1))
        assert broker.answers() == ({A: "3"}, {})
        assert mail.people == set()
        assert len(warehouse.told("delete")) == len(mail.told("delete")) == 1
    verified(folder)


def test_an_own_system_is_told_of_a_listed_no_by_what_left_too(folder, tmp_path):
    broker = Broker(folder, tmp_path, warehouse="")
    link(folder, ("ana", "email", ANA), ("bo", "email", "bo@example.com"))
    hold(folder, ANA)
    broker.take((A, ANA), (B, "bo@example.com"))
    told = broker.run("deliveries", "--take", "system:warehouse").output
    assert ('"opt_out"' in told, ANA in told, "bo@" in told) == (True, True, False)
    broker.answers()
    assert ANA not in broker.run("deliveries", "--take", "system:warehouse").output, "nor twice"


def test_deleted_is_not_answered_while_the_recipient_alone_has_not_taken_it(folder, tmp_path):
    with own_system() as warehouse:
        broker = Broker(folder, tmp_path, warehouse=warehouse.url)
        hold(folder, ANA)
        broker.take((A, ANA))
        broker.delivers(timedelta(minutes=1))
        assert broker.answers() == ({}, {A: ""})


def test_what_an_officer_takes_with_recipients_messages_is_nobody_s_word_that_it_is_deleted(folder, tmp_path):
    broker = Broker(folder, tmp_path, warehouse="")
    hold(folder, ANA)
    broker.take((A, ANA))
    for name in ("teemo", "system:warehouse"):
        broker.run("deliveries", "--take", name)
    assert broker.answers() == ({}, {A: ""})
    [line] = broker.run("systems", "show", "warehouse").stdout.splitlines()
    assert ANA in line
    assert broker.run("systems", "deleted", line.split()[0], "--by", "Ada").exit_code == 0
    assert broker.answers() == ({A: "3"}, {})


def test_the_control_a_system_whose_every_answer_counts_as_its_word_is_answered_as_deleted(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(from_settings, "DeletionPost", Courier)
    with own_system(ANA) as warehouse:
        warehouse.says = {"status": "tonight"}
        broker = Broker(folder, tmp_path, warehouse=warehouse.url)
        hold(folder, ANA)
        broker.take((A, ANA))
        broker.run("deliveries", "--take", "teemo")
        broker.delivers(timedelta(minutes=1))
        assert warehouse.people == {ANA}
        assert broker.answers() == ({A: "3"}, {})


def test_an_officer_who_orders_an_account_s_deletion_has_the_systems_delete_it_by_its_name(folder, tmp_path):
    with own_system("ana") as warehouse:
        broker = Broker(folder, tmp_path, warehouse=(warehouse.url, '["account"]'))
        link(folder, ("ana", "email", ANA))
        broker.take((A, ANA))
        assert broker.answers() == ({}, {A: "2"})
        assert broker.decide(A, 3).exit_code == 0
        assert broker.answers() == ({}, {A: ""})
        broker.delivers(timedelta(minutes=1))
        assert warehouse.people == set()
        assert broker.answers() == ({A: "3"}, {})
    verified(folder)


def test_a_system_to_which_nobody_can_be_named_is_the_officers_and_no_answer_of_it_counts(folder, tmp_path):
    with own_system() as payments:
        broker = Broker(folder, tmp_path, payments=(payments.url, '["account"]'))
        hold(folder, ANA)
        broker.take((A, ANA))
        broker.run("deliveries", "--take", "teemo")
        broker.delivers(timedelta(minutes=1))
        assert payments.told("delete") == []
        assert broker.answers() == ({}, {A: ""})
        [line] = broker.run("systems", "show", "payments").stdout.splitlines()
        assert f'"request":"{A}"' in line
        assert broker.run("deliveries", "--retry", "system:payments").exit_code == 0
        broker.delivers(timedelta(minutes=2))
        assert broker.answers() == ({}, {A: ""})
        broker.run("systems", "deleted", line.split()[0], "--by", "Ada")
        assert broker.answers() == ({A: "3"}, {})


def test_one_person_s_second_request_asks_no_system_twice_and_waits_for_the_same_word(folder, tmp_path):
    with own_system() as warehouse:
        broker = Broker(folder, tmp_path, warehouse=warehouse.url)
        hold(folder, ANA)
        broker.take((A, ANA))
        broker.run("deliveries", "--take", "teemo")
        broker.take((B, ANA))
        broker.run("drop", "answer", tmp_path / "x")
        assert answers(tmp_path / "x") == ({}, {A: "", B: ""})
        broker.delivers(timedelta(minutes=1))
        assert len(warehouse.told("delete")) == 1
        assert broker.answers() == ({A: "3", B: "3"}, {})


def test_a_device_that_merely_left_in_a_row_with_who_is_listed_is_nobodys_to_delete_in_a_system(folder, tmp_path):
    broker = Broker(folder, tmp_path, warehouse=("", '["email", "gaid"]'))

    def left_together(tx, who):
        mail, device = who("email", ANA).key, who("gaid", GAID).key
        left = [Left("email", ANA, mail, (mail,)), Left("gaid", GAID, device, (mail, device))]
        note_held(tx, "teemo", left, ["sale"], ["ad_id"], 0, 0)

    act(folder, left_together)
    broker.take((A, ANA))
    assert GAID in broker.run("deliveries", "--take", "teemo").output, "who got it is told"
    shown = broker.run("systems", "show", "warehouse").output
    assert (ANA in shown, GAID in shown) == (True, False)


@pytest.mark.parametrize("age", [0, 40])
def test_a_system_has_until_the_state_is_to_be_answered(folder, tmp_path, age):
    broker = Broker(folder, tmp_path, warehouse="")
    hold(folder, ANA)
    came = NOW - timedelta(days=age)
    broker.take((A, ANA), day=f"{came:%Y%m%d}")
    with schema.open_to_read(folder) as db:
        [asked] = own_systems.open_deletions(db)
    assert asked.last // 86_400_000 - came.timestamp() // 86_400 == 45
    told = broker.run("systems", "list")
    assert (told.exit_code, "a state's list" in told.stdout) == (0, True)
