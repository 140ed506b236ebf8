"""A state's deletion list: everybody on it is denied at once and whatever is learnt of them later, each is answered by
what is true of them, and what was not finished is done by the same command again.
"""

import contextlib
import csv
import io
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import zipfile
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from itertools import islice

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs
from support import inside
from support.days import today
from support.examples import SOAK
from support.folding import folded_ledger
from support.people import named

from gateway.app import composition
from gateway.app.composition import open_house
from gateway.choice.deletion_list import DeletionKind, hashed
from gateway.choice.identity import kinds, phone_number
from gateway.cli.root import group, read_manual
from gateway.consent.deletion_dues import DeletionDues
from gateway.desk import deletion_orders, recipient_holdings
from gateway.desk.recipient_holdings import Left
from gateway.ledger import schema
from gateway.ledger.acts import links, office_acts, records
from gateway.ledger.acts.links import Span
from gateway.ledger.schema import FILE
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ChoiceKind, DataClass, Purpose

REQUESTS, LISTED = (40_000, 12_000) if SOAK else (4_000, 6_000)
NOW = datetime.now(UTC)
DAY = f"{NOW:%Y%m%d}"
EMAILS = f"{DAY}_4821_Email.csv"
GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"
ANA, ANAS = "ana@example.com", "+14155550150"
ENDS = 60.0  # seconds for what another process does


@pytest.fixture
def run(folder):
    def command(*words):
        return CliRunner().invoke(group, [*map(str, words), "--data", str(folder)], catch_exceptions=False)

    return command


def id_of(number: int) -> str:
    return f"{number:012d}"


def address(number: int) -> str:
    return f"p{number}@example.com"


def listed(folder, kind, rows, day=DAY, of=DeletionKind.EMAIL):
    """A list of (id, identifier) as a file; `of`: what a list takes back."""
    removed = kind is DeletionKind.REMOVED
    made = folder / f"{day}_4821_{kind}.csv"
    with made.open("w") as opened:
        opened.write("Id,Hash,ListType\n" if removed else "Id,Hash\n")
        for id_, value in rows:
            opened.write(f"{id_},{hashed(of if removed else kind, value)}{f',{of}' * removed}\n")
    return made


@pytest.fixture
def take(run, tmp_path):
    def command(kind, *rows):
        return run("drop", "take", listed(tmp_path, kind, rows))

    return command


def act(folder, job):
    with open_house(folder, inside.settings(), dev=True) as house:
        return house.writer.submit(
            lambda tx: job(tx, lambda *of: house.consent.people.name([named(*of)]).subjects[0])
        ).result()


def link(folder, *pairs):
    """(account, kind, value) each."""

    def job(tx, who):
        for account, kind, value in part:
            links.link_identifiers(tx, who("account", account), [who(kind, value)], Span(0), milliseconds(NOW))

    waiting = iter(pairs)
    while part := [*islice(waiting, 1000)]:
        act(folder, job)


def denies(folder, kind, value, purpose=Purpose.SALE):
    with open_house(folder, inside.settings(), dev=True) as house:
        keys = house.consent.people.name([named(kind, value)])
        every = [key for subject in keys.subjects for key in (*subject.keys, *subject.looser)]
    ledger = folded_ledger(folder)
    return any(ledger.standing(key, milliseconds(NOW)).denies(purpose) for key in every)


def answers(folder):
    """What stands in a folder of answers, and what is open with what is proposed."""
    found, still = {}, {}
    for path in folder.iterdir():
        with path.open() as opened:
            rows = {row["Id"]: row["Status"] for row in csv.DictReader(opened)}
            still.update(rows) if path.name == "open.csv" else found.update(rows)
    return found, still


def verified(folder):
    report, _ = composition.verify_ledger(folder, inside.settings(), boxes=True)
    assert report.different == []
    assert report.compared is not None
    return report


def test_everybody_on_a_list_is_denied_by_every_check_and_so_is_who_turns_out_to_be_them_later(take, run, folder):
    link(folder, ("ana", "email", ANA), ("ana", "gaid", GAID))
    asked = ("check", "teemo", "--dev", "--purpose", "sale", "--class", "ad_id", "--place", "US-CA")
    assert "opted_out" not in run(*asked, "--gaid", GAID).output, "the control"
    assert take(DeletionKind.EMAIL, ("A" * 12, ANA), ("B" * 12, "bo@example.com")).exit_code == 0
    assert run(*asked, "--gaid", GAID).exit_code == 1
    assert "opted_out" in run(*asked, "--gaid", GAID).output
    link(folder, ("bo", "email", "bo@example.com"), ("bo", "idfa", GAID.replace("3840", "4840")))
    for who in (("email", ANA), ("gaid", GAID), ("account", "bo"), ("idfa", GAID.replace("3840", "4840"))):
        assert denies(folder, *who)
    assert not denies(folder, "email", "cy@example.com"), "the control"
    verified(folder)


@pytest.mark.parametrize(
    ("kind", "written", "whom"),
    [(DeletionKind.PHONE, "1 (415) 555-0150", ("phone", ANAS)),
     (DeletionKind.MAID, GAID.upper(), ("gaid", GAID))],
)  # fmt: skip
def test_a_number_and_an_ad_id_are_their_accounts_however_they_are_written(
    take, run, folder, tmp_path, kind, written, whom
):
    link(folder, ("ana", *whom), ("ana", "email", ANA))
    take(kind, ("A" * 12, written))
    assert denies(folder, *whom)
    assert denies(folder, "email", ANA)
    run("drop", "answer", tmp_path / "out")
    assert answers(tmp_path / "out") == ({}, {"A" * 12: "2"})
    verified(folder)


def test_what_is_taken_back_ends_that_no_alone_and_brings_no_yes_back(take, folder, tmp_path):
    ids = {name: f"{name.upper():A<12}" for name in ("ana", "bo", "cy", "di")}

    def before(tx, who):
        for name, kind in (("bo", ChoiceKind.OPT_IN), ("cy", ChoiceKind.OPT_OUT)):
            said = Choice(kind, (Purpose.SALE,), "form", NOW - timedelta(days=1))
            records.write_choice(tx, who("email", f"{name}@example.com"), said, os.urandom(16))

    def stand():
        ledger = folded_ledger(folder)
        with open_house(folder, inside.settings(), dev=True) as house:
            keys = {name: house.consent.people.name([named("email", f"{name}@example.com")]).keys[0] for name in ids}
        return {name: ledger.standing(key, milliseconds(NOW)) for name, key in keys.items()}

    act(folder, before)
    assert stand()["bo"].own != stand()["ana"].own, "the control: Bo had said yes"
    everybody = [(id_, f"{name}@example.com") for name, id_ in ids.items()]
    take(DeletionKind.EMAIL, *everybody)
    assert all(each.denies(Purpose.SALE) for each in stand().values())
    told = take(DeletionKind.REMOVED, *everybody[:3], ("Z" * 12, "zoe@example.com"))
    assert (told.exit_code, "3 taken back" in told.stdout) == (1, True)
    assert {name: each.denies(Purpose.SALE) for name, each in stand().items()} == {
        "ana": False, "bo": False, "cy": True, "di": True,
    }  # fmt: skip
    assert stand()["bo"].own == stand()["ana"].own, "nobody said yes"
    verified(folder)


EVERY_KIND = pytest.mark.parametrize(
    ("kind", "whom"),
    [(DeletionKind.EMAIL, ("email", ANA)), (DeletionKind.PHONE, ("phone", ANAS)), (DeletionKind.MAID, ("gaid", GAID))],
)  # fmt: skip


def say_yes(folder, whom, at, purpose=Purpose.SALE, **more):
    said = Choice(ChoiceKind.OPT_IN, (purpose,), "form", at, **more)
    act(folder, lambda tx, who: records.write_choice(tx, who(*whom), said, os.urandom(16)))


@EVERY_KIND
def test_who_opts_in_by_two_steps_after_the_list_came_is_allowed_and_the_list_taken_again_says_nothing_new(
    take, folder, kind, whom
):
    link(folder, ("ana", *whom))
    take(kind, ("A" * 12, whom[1]))
    assert denies(folder, "account", "ana")
    say_yes(folder, whom, NOW + timedelta(minutes=1))
    take(kind, ("A" * 12, whom[1]))
    assert not denies(folder, *whom)
    assert not denies(folder, "account", "ana")
    assert denies(folder, *whom, Purpose.PROFILING)
    verified(folder)


def test_a_yes_takes_back_the_list_s_word_alone_and_not_what_another_said_by_the_same_digest(take, folder):
    digest = sha256(GAID.encode()).hexdigest()
    no = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "import", NOW)
    act(folder, lambda tx, who: records.write_choice(tx, who("ad_id_sha256", digest), no, os.urandom(16)))
    take(DeletionKind.MAID, ("A" * 12, GAID))
    say_yes(folder, ("gaid", GAID), NOW + timedelta(minutes=1))
    assert denies(folder, "gaid", GAID)
    verified(folder)


@EVERY_KIND
def test_no_yes_comes_back_to_anybody_nor_to_one_recipient_with_what_a_list_takes_back(
    run, take, folder, tmp_path, kind, whom
):
    link(folder, ("ana", *whom), ("ana", "idfa", GAID.replace("3840", "4840")))
    places = (whom, ("account", "ana"), ("idfa", GAID.replace("3840", "4840")))
    for each in places:
        say_yes(folder, each, NOW - timedelta(days=1))
        say_yes(folder, each, NOW - timedelta(days=1), recipient="teemo", data_class=DataClass.PRECISE_GEO)

    def yeses():
        ledger = folded_ledger(folder)
        with open_house(folder, inside.settings(), dev=True) as house:
            keys = [house.consent.people.name([named(*each)]).keys[0] for each in places]
        return [(ledger.get(key).ins != {}, ledger.grants(key, milliseconds(NOW)) != []) for key in keys]

    assert yeses() == [(True, True)] * 3
    take(kind, ("A" * 12, whom[1]))
    assert run("drop", "take", listed(tmp_path, DeletionKind.REMOVED, [("A" * 12, whom[1])], of=kind)).exit_code == 0
    assert not any(denies(folder, *each) for each in places)
    assert yeses() == [(False, False)] * 3
    verified(folder)


def test_a_signal_that_is_heard_while_a_list_says_no_goes_on_once_the_list_takes_it_back(take, folder):
    take(DeletionKind.EMAIL, ("A" * 12, ANA))
    gpc, digest = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "gpc", NOW), sha256(ANA.encode()).hexdigest()
    act(folder, lambda tx, who: records.hear_signal(tx, who("email_sha256", digest), gpc, os.urandom(16)))
    take(DeletionKind.REMOVED, ("A" * 12, ANA))
    assert denies(folder, "email", ANA)
    verified(folder)


def test_a_number_known_before_lists_is_reached_with_its_account(take, run, folder, tmp_path, monkeypatch):
    def before(e164, national):
        exact, looser = ((e164, e164.removeprefix("+")), national)
        return kinds.named("phone", e164, kinds.digests("phone", exact), kinds.digests("phone", looser))

    with monkeypatch.context() as patch:
        patch.setattr(phone_number, "_named", before)
        link(folder, ("ana", "phone", ANAS), ("ana", "gaid", GAID))
    take(DeletionKind.PHONE, ("A" * 12, ANAS))
    assert denies(folder, "account", "ana")
    assert denies(folder, "gaid", GAID)
    run("drop", "answer", tmp_path / "out")
    assert answers(tmp_path / "out") == ({}, {"A" * 12: "2"})
    verified(folder)


LONDON, AMERICAN, HANOI = "+442079460123", "+12079460123", "+842079460123"  # one and the same last ten digits
BERLIN = "+493012345678"


def no_to_sale(folder, number):
    said = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "form", NOW)
    act(folder, lambda tx, who: records.write_choice(tx, who("phone", number), said, os.urandom(16)))


def checked(run, number):
    """What every check of a number says."""
    asked = ("check", "teemo", "--dev", "--purpose", "sale", "--class", "ad_id", "--place", "US-CA")
    return "opted_out" in run(*asked, "--phone", number).output


def test_a_number_from_abroad_is_denied_by_its_last_ten_digits_until_the_list_takes_them_back(
    take, run, folder, tmp_path
):
    link(folder, ("ana", "phone", LONDON))
    assert not checked(run, LONDON), "the control"
    for _ in range(2):
        take(DeletionKind.PHONE, ("A" * 12, AMERICAN), ("B" * 12, ANAS))
    assert [checked(run, each) for each in (LONDON, AMERICAN, HANOI, "+442079460124")] == [True, True, True, False]
    assert not denies(folder, "account", "ana"), "whose number it is nobody knows"
    verified(folder)
    assert run("rekey", "pepper").exit_code == 0
    assert checked(run, LONDON)
    verified(folder)
    removed = listed(tmp_path, DeletionKind.REMOVED, [("A" * 12, AMERICAN)], of=DeletionKind.PHONE)
    assert run("drop", "take", removed).exit_code == 0
    assert [checked(run, each) for each in (LONDON, AMERICAN, HANOI, ANAS)] == [False, False, False, True]
    verified(folder)


def test_a_list_of_before_numbers_from_abroad_were_known_denies_them_once_it_is_taken_again(
    take, run, folder, tmp_path, monkeypatch
):
    def before(tx, part, requests, _):
        return take_part(tx, part, requests, {})

    take_part = office_acts.take_part
    with monkeypatch.context() as patch:
        patch.setattr(office_acts, "take_part", before)
        take(DeletionKind.PHONE, ("A" * 12, AMERICAN), ("B" * 12, BERLIN))
    assert not checked(run, LONDON), "nothing was said by the second key"
    other = listed(tmp_path, DeletionKind.PHONE, [("C" * 12, AMERICAN)], day=f"{NOW - timedelta(days=1):%Y%m%d}")
    assert run("drop", "take", other).exit_code == 0
    verified(folder)
    assert [checked(run, each) for each in (LONDON, BERLIN)] == [True, False]
    for _ in range(2):
        assert "0 new, 2 before" in take(DeletionKind.PHONE, ("A" * 12, AMERICAN), ("B" * 12, BERLIN)).stdout
        assert checked(run, BERLIN)
        verified(folder)
    take_back = partial(listed, tmp_path, DeletionKind.REMOVED, of=DeletionKind.PHONE)
    for number, still in (("C", True), ("A", False)):
        assert run("drop", "take", take_back([(number * 12, AMERICAN)])).exit_code == 0
        assert [checked(run, each) for each in (LONDON, AMERICAN, BERLIN)] == [still, still, True]
        verified(folder)


@pytest.mark.parametrize(("one", "other"), [(LONDON, AMERICAN), (AMERICAN, LONDON)])
def test_what_the_holder_of_a_number_says_is_no_word_of_whoever_has_its_last_ten_digits(take, run, folder, one, other):
    no_to_sale(folder, one)
    assert [checked(run, each) for each in (one, other)] == [True, False]
    take(DeletionKind.PHONE, ("A" * 12, AMERICAN))
    say_yes(folder, ("phone", one), NOW + timedelta(minutes=1))
    assert checked(run, other)
    assert checked(run, one) == (one == LONDON), "a list's word is an American's alone to lift"
    verified(folder)


def test_a_number_from_abroad_is_answered_as_opted_out_and_nothing_of_it_is_deleted(take, run, folder, tmp_path):
    link(folder, ("ana", "phone", LONDON), ("ana", "email", ANA))
    no_to_sale(folder, BERLIN)
    hold(folder, BERLIN, kind="phone")
    hold(folder, ANA)
    take(DeletionKind.PHONE, ("A" * 12, AMERICAN), ("B" * 12, BERLIN), ("C" * 12, ANAS))
    told = run("deliveries", "--take", "teemo").output
    assert ("opt_out" in told, BERLIN in told, ANA in told, "delete" in told.lower()) == (True, True, False, False)
    run("drop", "answer", tmp_path / "out")
    assert answers(tmp_path / "out") == ({"A" * 12: "4", "B" * 12: "4", "C" * 12: "5"}, {})
    link(folder, ("bo", "phone", AMERICAN))
    run("drop", "answer", "--amend", tmp_path / "amended")
    assert answers(tmp_path / "amended") == ({}, {"A" * 12: "2"}), "the American number is what a list means"
    link(folder, ("cy", "phone", LONDON))
    hold(folder, LONDON, kind="phone")
    run("suppression", "teemo", "--out", tmp_path / "all.csv")
    assert sha256(LONDON.encode()).hexdigest() in (tmp_path / "all.csv").read_text(), "every check of it is denied"
    (tmp_path / "decided.csv").write_text(f"Id,Status\n{'B' * 12},3\n")
    told = run("drop", "decide", tmp_path / "decided.csv")
    assert (told.exit_code, "nothing of that is deleted" in told.stderr) == (1, True)
    verified(folder)


def test_a_file_taken_again_orders_nobody_s_deletion_who_took_it_back_and_a_later_one_does(take, run, folder, tmp_path):
    take(DeletionKind.EMAIL, ("A" * 12, ANA))
    take(DeletionKind.REMOVED, ("A" * 12, ANA))
    hold(folder, ANA)
    take(DeletionKind.EMAIL, ("A" * 12, ANA))
    assert not denies(folder, "email", ANA)
    assert ANA not in run("deliveries", "--take", "teemo").output
    day = f"{NOW - timedelta(days=1):%Y%m%d}"
    run("drop", "take", listed(tmp_path, DeletionKind.EMAIL, [("A" * 12, ANA)], day))
    assert denies(folder, "email", ANA)
    assert ANA in run("deliveries", "--take", "teemo").output


def test_one_number_with_two_digests_denies_both_and_what_was_never_taken_is_named_by_its_line(take, folder):
    told = take(DeletionKind.EMAIL, ("A" * 12, ANA), ("A" * 12, "bo@example.com"), ("A" * 12, ANA))
    assert "2 new, 1 before, 0 refused" in told.stdout
    assert denies(folder, "email", ANA)
    assert denies(folder, "email", "bo@example.com")
    verified(folder)
    told = take(DeletionKind.REMOVED, ("A" * 12, ANA), ("A" * 12, "bo@example.com"), ("Z" * 12, ANA))
    assert "2 taken back, 0 before, 1 refused" in told.stdout
    assert "Removed.csv line 4: was never taken" in told.stderr
    assert "Z" * 12 not in told.output
    assert not denies(folder, "email", ANA)
    verified(folder)


def test_nothing_is_deleted_of_several_accounts_nor_of_somebody_elses_device(take, run, folder, tmp_path):
    link(folder, ("ana", "email", ANA), ("bo", "gaid", GAID))
    hold(folder, ANA)

    def together(tx, who):
        email, device = who("email", "cy@example.com").key, who("gaid", GAID).key
        left = [Left("gaid", GAID, device, (email, device))]
        recipient_holdings.note_held(tx, "teemo", left, ["sale"], ["ad_id"], 0, milliseconds(NOW))

    act(folder, together)
    take(DeletionKind.EMAIL, ("A" * 12, ANA), ("C" * 12, "cy@example.com"))
    link(folder, ("di", "email", ANA))
    (tmp_path / "decided.csv").write_text(f"Id,Status\n{'A' * 12},3\n")
    told = run("drop", "decide", tmp_path / "decided.csv")
    assert (told.exit_code, "several accounts have it" in told.stderr) == (1, True)
    run("drop", "answer", tmp_path / "out")
    assert answers(tmp_path / "out") == ({"A" * 12: "4"}, {"C" * 12: "2"})
    assert '"delete"' not in run("deliveries", "--take", "teemo").output
    verified(folder)


def test_an_order_outlives_the_erasure_of_whom_it_means_and_a_new_pepper(take, run, folder):
    link(folder, ("ana", "email", ANA))
    take(DeletionKind.EMAIL, ("A" * 12, ANA))
    assert run("erase", "unlink", "--email", ANA).exit_code == 0
    assert denies(folder, "email", ANA)
    verified(folder)
    assert run("rekey", "pepper").exit_code == 0
    assert denies(folder, "email", ANA)
    verified(folder)
    take(DeletionKind.REMOVED, ("A" * 12, ANA))
    assert not denies(folder, "email", ANA)
    verified(folder)


def hold(folder, *addresses, kind="email"):
    """What teemo has of people without an account."""

    def job(tx, who):
        for each in part:
            key = who(kind, each).key
            left = [Left(kind, each, key, (key,))]
            recipient_holdings.note_held(tx, "teemo", left, ["sale"], [f"{kind}_hash"], 0, milliseconds(NOW))

    waiting = iter(addresses)
    while part := [*islice(waiting, 1000)]:
        act(folder, job)


def test_deleted_is_answered_once_everybody_who_was_told_to_delete_has_and_never_for_our_own_erasure(
    take, run, folder, tmp_path
):
    hold(folder, ANA)
    link(folder, ("bo", "email", "bo@example.com"))
    take(DeletionKind.EMAIL, ("A" * 12, ANA), ("B" * 12, "bo@example.com"), ("C" * 12, ANA))
    run("drop", "answer", tmp_path / "1")
    assert answers(tmp_path / "1") == ({}, {"A" * 12: "", "B" * 12: "2", "C" * 12: ""})
    refused = tmp_path / "decided.csv"
    refused.write_text(f"Id,Status\n{'B' * 12},3\n")
    told = run("drop", "decide", refused)
    assert (told.exit_code, "no recipient has anything" in told.stderr) == (1, True)
    refused.write_text(f"Id,Status\n{'B' * 12},2\n{'Z' * 12},2\n{'A' * 12},9\n")
    told = run("drop", "decide", refused)
    assert (told.exit_code, "1 decided" in told.stdout) == (1, True)
    assert ANA in run("deliveries", "--take", "teemo").output
    run("drop", "answer", tmp_path / "2")
    assert answers(tmp_path / "2") == ({"A" * 12: "3", "B" * 12: "2", "C" * 12: "3"}, {})
    run("drop", "answer", "--again", tmp_path / "3")
    assert answers(tmp_path / "3") == answers(tmp_path / "2")
    verified(folder)


def test_deleted_is_not_answered_where_somebody_has_what_nobody_can_name_to_them(take, run, folder, tmp_path):
    hold(folder, ANA)
    sql = "INSERT INTO disclosed VALUES (?, 'flurry', 'sale', 'coarse_geo', 1, 'sent', 0, 0, 0, 1, 0)"
    act(folder, lambda tx, who: tx.db.execute(sql, (who("email", ANA).key,)).rowcount)
    take(DeletionKind.EMAIL, ("A" * 12, ANA))
    assert ANA in run("deliveries", "--take", "teemo").output
    run("drop", "answer", tmp_path / "out")
    assert answers(tmp_path / "out") == ({}, {"A" * 12: ""})


def test_a_request_that_its_list_takes_back_amid_a_look_asks_nobody_for_anything(
    take, run, folder, tmp_path, monkeypatch
):
    take(DeletionKind.EMAIL, ("A" * 12, ANA))
    hold(folder, ANA)
    read = deletion_orders.candidates

    def taken_back(db, after):
        found = read(db, after)
        if found:
            take(DeletionKind.REMOVED, ("A" * 12, ANA))
        return found

    monkeypatch.setattr(deletion_orders, "candidates", taken_back)
    run("drop", "answer", tmp_path / "out")
    assert ANA not in run("deliveries", "--take", "teemo").output


def test_the_year_counts_the_requests_of_lists_apart_and_each_once(take, run, folder, tmp_path):
    came = today() - timedelta(days=3)

    def told(*more):
        return json.loads(run("export", "report", f"{came:%Y}", *more).stdout)

    assert "drop" not in told(), "nobody took a list"
    hold(folder, ANA)
    link(
        folder, ("bo", "email", "bo@example.com"), ("cy", "email", "cy@example.com"), ("di", "email", "cy@example.com")
    )
    rows = [(f"{name.upper():A<12}", f"{name}@example.com") for name in ("ana", "bo", "cy", "eve", "flo", "gus")]
    run("drop", "take", listed(tmp_path, DeletionKind.EMAIL, rows, f"{came:%Y%m%d}"))
    take(DeletionKind.REMOVED, rows[-1])
    run("deliveries", "--take", "teemo")
    run("drop", "answer", tmp_path / "out")
    numbers = {"received": 6, "exempted": 0, "deleted": 1, "opted_out": 1, "not_found": 2, "open": 1, "taken_back": 1}
    found = told()
    assert found["drop"] == numbers | {"median_days": 3}
    assert not any(found[each]["received"] for each in ("opt_out", "deletion") if each in found)
    assert "drop" not in told("--place", "US-CO")
    assert told("--place", "US")["drop"]["received"] == 6
    table = csv.DictReader(io.StringIO(run("export", "report", str(found["year"]), "--format", "csv").stdout))
    rows = {row["request"]: row for row in table}
    assert {
        name: int(rows["drop" if name == "received" else f"drop_{name}"]["received"]) for name in numbers
    } == numbers
    assert rows["drop"]["median_days"] == "3"
    page = run("export", "report", str(found["year"]), "--format", "html").stdout
    assert "received 6; exempted 0; deleted 1; opted out 1; not found 2; open 1; taken back 1; median days 3" in page


@pytest.mark.parametrize("name", ["NDZ", "NameVIN"])
def test_lists_of_names_and_vehicles_are_the_operators(run, tmp_path, name):
    made = tmp_path / f"{DAY}_4821_{name}.csv"
    made.write_text("Id,Hash\n")
    told = run("drop", "take", made)
    assert told.exit_code == 1
    assert "this list is the operator's own" in told.stderr


def test_rows_that_cannot_be_read_are_named_by_line_and_cost_nobody_else_their_no(run, folder, tmp_path):
    made = listed(tmp_path, DeletionKind.EMAIL, [("A" * 12, ANA), ("B" * 12, ""), ("C" * 12, "cy@example.com")])
    made.write_text(made.read_text().replace("C" * 12, "C"))
    told = run("drop", "take", made)
    assert told.exit_code == 1
    assert [line.split(":")[0].strip() for line in told.stderr.splitlines()] == [
        f"{made.name} line {n}" for n in (3, 4)
    ]
    assert denies(folder, "email", ANA)


def test_an_answer_overwrites_nothing_and_a_list_of_no_state_is_not_begun(take, run, tmp_path):
    take(DeletionKind.EMAIL, ("A" * 12, ANA))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert run("drop", "answer", tmp_path / "out").exit_code == 2
    assert run("drop", "take", tmp_path / EMAILS, "--place", "US-NY").exit_code == 2
    assert run("drop", "answer", "--amend", "--again", tmp_path / "other").exit_code == 2


def test_what_is_due_is_said_by_status_before_its_day_and_after(run, tmp_path):
    for age, word, code in ((3, "answered by", 0), (31, "soon", 1), (60, "LATE", 1)):
        day = f"{today() - timedelta(days=age):%Y%m%d}"
        run("drop", "take", listed(tmp_path, DeletionKind.EMAIL, [(id_of(age), address(age))], day))
        told = run("drop", "status")
        assert (told.exit_code, word in told.stdout) == (code, True)


class Year:
    """Who is who among the requests, by number: what the state is to be told of each, written down apart from the
    gateway. A hundredth is known here: of 400 each one has an account, one is shared by two, one has what teemo got and
    that is deleted, and one has what nobody took yet.
    """

    def __init__(self, requests):
        self.requests = range(requests)
        known = [number for number in self.requests if number % 100 == 0]
        self.account, self.shared, self.deleted, self.waiting = (known[part::4] for part in range(4))
        self.removed = [number for number in self.requests if number % 1000 == 7] + self.account[:1] + self.shared[:1]
        self.later = [number for number in self.requests if number % 2000 == 13]  # learnt after the first cycle

    def first(self):
        """Answered, and open with what is proposed."""
        still = dict.fromkeys(self.account, "2") | dict.fromkeys(self.waiting, "")
        told = dict.fromkeys(self.requests, "5") | dict.fromkeys(self.shared, "4") | dict.fromkeys(self.deleted, "3")
        return {id_of(n): told[n] for n in told.keys() - still.keys()}, {id_of(n): still[n] for n in still}

    def second(self):
        """Once everybody has deleted: answered, open, and answered otherwise."""
        still = [*self.account[1:], *self.later[1::2]]
        ones = (dict.fromkeys(self.waiting, "3"), dict.fromkeys(still, "2"), dict.fromkeys(self.later[::2], "4"))
        return tuple({id_of(n): word for n, word in each.items()} for each in ones)


@pytest.mark.slow
def test_a_year_of_requests_is_taken_matched_and_answered_row_by_row(run, folder, tmp_path, figure):
    year, clock = Year(REQUESTS), time.process_time()
    link(folder, *((f"a{n}", "email", address(n)) for n in [*year.account, *year.shared]))
    link(folder, *((f"b{n}", "email", address(n)) for n in year.shared))
    link(folder, *((f"o{n}", "email", f"o{n}@example.com") for n in range(REQUESTS // 10)))
    hold(folder, *map(address, year.deleted))
    before, began = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()), time.process_time()
    made = listed(tmp_path, DeletionKind.EMAIL, ((id_of(n), address(n)) for n in year.requests))
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
        archive.write(made, made.name)
    written = time.process_time()
    told = run("drop", "take", tmp_path / "download.zip")
    took = time.process_time() - written
    assert (told.exit_code, f"{REQUESTS} new, 0 before, 0 refused" in told.stdout) == (0, True)
    run("deliveries", "--take", "teemo")
    hold(folder, *map(address, year.waiting))
    asked = time.process_time()
    run("drop", "answer", tmp_path / "first")
    answered = time.process_time() - asked
    assert answers(tmp_path / "first") == year.first()
    after = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    run("deliveries", "--take", "teemo")
    link(folder, *((f"c{n}", "email", address(n)) for n in year.later))
    link(folder, *((f"d{n}", "email", address(n)) for n in year.later[::2]))
    run("drop", "take", listed(tmp_path, DeletionKind.REMOVED, [(id_of(n), address(n)) for n in year.removed]))
    run("drop", "answer", tmp_path / "second")
    assert answers(tmp_path / "second") == year.second()[:2]
    run("drop", "answer", "--amend", tmp_path / "third")
    assert answers(tmp_path / "third")[0] == year.second()[2]
    verified(folder)
    most, whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, time.process_time() - clock
    figure(
        f"{REQUESTS} requests of a deletion list",
        f"{took:.0f} s to take and match, {answered:.0f} s to answer, {whole:.0f} s in all with the people's {began - clock:.0f} s"
        f" (of the processor); {(after - before) / REQUESTS:.0f} bytes each on disk; at most {most} MB of memory, the test's too",
    )


def rows_of(folder, sql):
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
        return db.execute(sql).fetchall()


@pytest.mark.slow
def test_a_list_whose_taking_was_killed_is_taken_again_to_the_same_end(run, folder, tmp_path):
    made = listed(tmp_path, DeletionKind.EMAIL, ((id_of(n), address(n)) for n in range(LISTED)))
    command = [sys.executable, "-m", "gateway", "drop", "take", str(made), "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + ENDS
        while not rows_of(folder, "SELECT 1 FROM deletion_batch") and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert run("drop", "take", made).exit_code == 0
    assert rows_of(folder, "SELECT count(*), count(DISTINCT id), count(DISTINCT key) FROM deletion_row") == [
        (LISTED,) * 3
    ]
    [(whole, longest)] = rows_of(folder, "SELECT sum(count), max(count) FROM deletion_batch")
    assert (whole, longest <= 250) == (LISTED, True), "nobody is answered while a part is folded"
    verified(folder)


def test_no_leaf_and_no_word_of_a_command_holds_a_digest_or_an_address(take, run, folder):
    told = take(DeletionKind.EMAIL, ("A" * 12, ANA))
    leaves = b"".join(body for (body,) in rows_of(folder, "SELECT body FROM entry"))
    for said in (hashed(DeletionKind.EMAIL, ANA), ANA, "A" * 12):
        assert said.encode() not in leaves
        assert said not in told.output + run("drop", "status").output
    digest = hashed(DeletionKind.EMAIL, ANA)
    assert all(digest.encode() not in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_each_command_of_the_page_does_what_it_says_and_so_does_its_program(run, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = read_manual()["drop"]
    commands = re.findall(r"^    gateway (.+?) --data DIR$", page, re.MULTILINE)
    assert len(commands) == len(re.findall(r"^    gateway ", page, re.MULTILINE)) == 6
    link(folder, ("ana", "email", ANA))
    day = f"{NOW:%Y%m%d}"
    made = listed(tmp_path, DeletionKind.EMAIL, [("A" * 12, ANA), ("B" * 12, "bo@example.com")])
    with zipfile.ZipFile(f"{day}_4821.zip", "w") as archive:
        archive.write(made, made.name)
    for command in commands:
        done = run(*command.replace("20260915", day).split())
        assert done.exit_code == 0, done.output
    assert answers(tmp_path / "answers") == ({"B" * 12: "5"}, {"A" * 12: "2"})
    assert answers(tmp_path / "decided") == ({"A" * 12: "2"}, {})
    program = {}
    exec(textwrap.dedent("    " + page.partition("The reader alone")[2].partition("\n\n    ")[2]), program)
    assert program["find"](made, [ANA, "cy@example.com"]) == {ANA: "A" * 12, "cy@example.com": None}


@pytest.mark.anyio
async def test_a_gateway_that_runs_tells_what_is_due_before_its_day_passes_in_three_places(run, tmp_path, folder):
    for age, soon in ((3, False), (31, True)):
        day = f"{today() - timedelta(days=age):%Y%m%d}"
        run("drop", "take", listed(tmp_path, DeletionKind.EMAIL, [(id_of(age), address(age))], day))
        async with inside.application(folder) as app, inside.client(app) as client:
            alarms = [each for each in (await client.get("/readyz?strict")).json()["alarms"] if "deletion list" in each]
            assert (len(alarms) == 1) == soon
            assert all("gateway drop answer" in each and "example" not in each for each in alarms)
            numbers = (await client.get("/metrics")).text
            assert f'gateway_deletion_list_days_left{{place="US-CA",what="answer"}} {45 - age}.0' in numbers
    with open_house(folder, inside.settings(), dev=True) as house, capture_logs() as logged:
        dues = DeletionDues(house.writer.store, lambda: NOW + timedelta(days=40))
        dues._tell()
    assert [each["event"] for each in logged] == ["a deletion list is due"] * 3


def test_an_archive_that_is_broken_is_refused_and_taken_whole_once_it_is_fetched_again(run, folder, tmp_path):
    made = listed(tmp_path, DeletionKind.EMAIL, ((id_of(n), address(n)) for n in range(9000)))
    with zipfile.ZipFile(tmp_path / "download.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(made, made.name)
    whole = (tmp_path / "download.zip").read_bytes()
    (tmp_path / "download.zip").write_bytes(whole[:200_000] + bytes(200) + whole[200_200:])
    told = run("drop", "take", tmp_path / "download.zip")
    assert (told.exit_code, "fetch it again" in told.stderr) == (1, True)
    (tmp_path / "download.zip").write_bytes(whole)
    assert run("drop", "take", tmp_path / "download.zip").exit_code == 0
    assert rows_of(folder, "SELECT count(*) FROM deletion_row") == [(9000,)]


def test_an_order_outlives_what_the_retention_takes_away(take, folder):
    take(DeletionKind.EMAIL, ("A" * 12, ANA))
    link(folder, *(("ana", "email", address(n)) for n in range(600)))
    later = NOW + timedelta(days=9000)
    composition.prune_ledger(folder, inside.settings(), dry_run=False, clock=lambda: later)
    assert rows_of(folder, "SELECT min(seq) > 0 FROM entry") == [(1,)]
    assert denies(folder, "email", ANA)
    verified(folder)


@pytest.mark.parametrize(
    ("fault", "found"),
    [("UPDATE deletion_row SET gone = 0, gone_at = 0", "took back"),
     ("DELETE FROM deletion_row", "requests of deletion lists"),
     ("UPDATE deletion_row SET key = x'00'", "requests of deletion lists"),
     ("DELETE FROM deletion_abroad", "requests of deletion lists"),
     ("UPDATE deletion_abroad SET abroad = x'00'", "requests of deletion lists")],
)  # fmt: skip
def test_the_control_a_request_that_is_ended_or_gone_behind_the_back_of_the_log_is_found(take, folder, fault, found):
    take(DeletionKind.PHONE, ("A" * 12, ANAS))
    verified(folder)
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db, db:
        db.execute(fault)
    report, _ = composition.verify_ledger(folder, inside.settings(), boxes=False)
    assert any(found in each for each in report.different)


def test_an_order_stands_with_the_release_before_and_is_answered_with_the_next_one(take, run, folder, tmp_path):
    take(DeletionKind.EMAIL, ("A" * 12, ANA))
    assert schema.take_back(folder, schema.FIRST) == schema.FIRST
    composition.migrate(folder)
    assert denies(folder, "email", ANA)
    run("drop", "answer", tmp_path / "out")
    assert answers(tmp_path / "out") == ({"A" * 12: "5"}, {})
    verified(folder)
