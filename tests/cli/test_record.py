"""What the operator's office records by command: who was told, ages, texts, voided screens; and why an answer is what
it is."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from support import inside
from support.people import GAID, named, phone

from gateway.app.composition import open_house
from gateway.cli.ask import FORGOTTEN, NOT_KNOWN
from gateway.cli.root import group
from gateway.desk.documents import NOTICE, Document
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.ledger.acts.links import Span
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ChoiceKind, Erasing, Purpose

ME = ("--gaid", GAID)


@pytest.fixture
def run(folder, tmp_path):
    """Runs a command on a fresh installation; answers its exit code and what it printed."""
    file = tmp_path / "config.toml"
    file.write_text(
        '[recipients.newcomer]\nrole = "third_party"\npurposes = ["sale"]\ndata = ["ad_id"]\nannounced = 2026-11-01\n'
        "[age]\nfloor = 0\n[notice]\nwait_days = 0\n"
    )

    def command(*words, config=True):
        more = ("--config", str(file)) if config else ()
        result = CliRunner().invoke(group, [*words, "--data", str(folder), *more])
        return result.exit_code, result.output

    return command


def explained(run, *words):
    return run("explain", "newcomer", "--dev", "--place", "US-CA", *words, *ME)


def test_a_person_who_was_told_may_be_sold_to_a_newcomer(run):
    assert explained(run)[1].startswith("denied: not_notified")
    assert run("told", "privacy", "--on", "2026-11-02", *ME) == (0, "sent on 2026-11-02: recorded for 1\n")
    assert explained(run)[1].startswith("allowed: no_choice")


def test_a_notice_that_came_back_is_recorded_and_tells_nobody(run):
    assert run("told", "privacy", "--outcome", "bounced", *ME)[0] == 0
    assert explained(run)[1].startswith("denied: not_notified")


def test_a_notice_to_nobody_or_of_tomorrow_is_refused(run):
    assert run("told", "privacy")[0] == 2
    assert run("told", "privacy", "--on", "2999-01-01", *ME)[0] == 2


def test_somebody_who_grew_up_stays_out_until_they_opt_in(run):
    run("told", "privacy", *ME)
    assert run("age", "13_15", *ME) == (0, "1 of 1 changed\n")
    assert "opt_in_required" in explained(run)[1]
    assert run("age", "adult", *ME) == (0, "1 of 1 changed\n")
    assert "a birthday opens nothing" in explained(run)[1]


def test_a_text_is_logged_once_and_named_by_its_hash(run, tmp_path):
    text = tmp_path / "notice.txt"
    text.write_bytes(b"What selling means.")
    digest = hashlib.sha256(text.read_bytes()).hexdigest()
    for _ in range(2):
        assert run("notice", str(text), "--name", "2") == (0, f"{digest}\n")


def test_a_screen_that_nobody_was_asked_on_voids_nothing(run, tmp_path):
    reason = tmp_path / "reason.txt"
    reason.write_text("The no was grey on grey.")
    code, text = run("void-consents", str(reason), "--name", "settings-3")
    assert code == 1, "a misspelt name is not taken for done"
    assert text.startswith("0 opt-ins voided\n")


def test_an_explanation_goes_rule_by_rule_to_the_one_that_decides(run):
    code, text = explained(run)
    assert code == 1
    asked = [line for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert [line.split(".")[0].strip() for line in asked] == [str(number) for number in range(1, len(asked) + 1)]
    assert all(line.endswith("go on") for line in asked[:-1])
    assert text.rstrip().endswith("-> deny (not_notified): policy 3: you will be notified (R15)")


@pytest.mark.parametrize("words", [("--signal", "zzz=1"), ("--at", "2999-01-01"), ("--age", "old")])
def test_a_question_that_cannot_be_meant_is_refused(run, words):
    assert explained(run, *words)[0] == 2


def test_a_recipient_that_nobody_configured_is_explained_too(run):
    code, text = run("explain", "nobody", *ME)
    assert (code, text.splitlines()[0]) == (1, "denied: unknown_recipient")


def test_an_auditor_sees_what_stood_and_what_was_shown_at_a_moment(run, folder):
    """L85: state, events and the text that was shown, in one command."""
    assert run("choose", "opt_out", "--purpose", "sale", *ME)[0] == 0
    with open_house(folder, inside.settings()) as house:
        document = Document(NOTICE, "7", "en", b"You may say no.")
        asyncio.run(house.consent.log([document]))
        subject = house.consent.people.name([named("gaid", GAID)]).subjects
        said = Choice(ChoiceKind.OPT_OUT, (Purpose.PROFILING,), "api", house.consent.clock(), notice=document.notice)
        asyncio.run(house.consent.choose(subject, said))
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d")
    code, text = run("history", "--at", tomorrow, *ME)
    assert code == 0
    assert "shown: notice 7 (en)\n          | You may say no." in text
    assert text.rstrip().endswith("opted_out: sale, sharing, targeted_ads, profiling, third_party_marketing")
    code, before = run("history", "--at", "2020-01-01", *ME)
    assert (code, before) == (1, "after 0 entries: nothing was chosen\n")
    rows = [json.loads(line) for line in run("history", "--json", "--at", tomorrow, *ME)[1].splitlines()]
    assert rows[1]["shown"]["text"] == "You may say no."
    assert rows[-1]["standing"]["profiling"] == "opted_out"


def lived_with(folder, noon, says):
    """What somebody's account says at a moment, and that two days later it is forgotten; a gaid of theirs is linked."""

    def house_at(at, act):
        with open_house(folder, inside.settings(), clock=lambda: at) as house:
            account, mine = house.consent.people.name([named("account", "jane"), named("gaid", GAID)]).subjects
            asyncio.run(act(house.consent, account, mine))

    async def begins(consent, account, mine):
        await consent.link(account, [mine], Span(milliseconds(noon)))
        await says(consent, account)

    async def forgets(consent, account, _):
        await consent.erase(ErasureOrder(Erasing.UNLINK, [account], consent.clock()))

    house_at(noon, begins)
    yield (noon + timedelta(days=1)).strftime("%Y-%m-%d")
    house_at(noon + timedelta(days=2), forgets)
    yield ""


def test_an_auditor_is_told_where_what_stood_rested_on_somebody_forgotten_since(run, folder):
    async def no(consent, account):
        await consent.choose([account], Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", consent.clock()))

    life = lived_with(folder, datetime.now(UTC) - timedelta(days=3), no)
    between = next(life)
    assert "opted_out: sale" in run("history", "--at", between, *ME)[1]
    assert explained(run, "--at", between)[1].startswith("denied")
    next(life)
    assert f"sale, sharing, targeted_ads, third_party_marketing: {FORGOTTEN}" in run("history", "--at", between, *ME)[1]
    told = json.loads(run("history", "--json", "--at", between, *ME)[1].splitlines()[-1])
    assert (told["forgotten"], told["standing"]["sale"], told["standing"]["profiling"]) == (True, "unknown", "none")
    assert told["age_bands"] == []
    code, text = explained(run, "--at", between)
    assert (code, text.splitlines()[:2]) == (1, [FORGOTTEN, "of what is left:"])
    code, text = explained(run, "--json", "--at", between)
    assert (code, json.loads(text)["allowed"], json.loads(text)["forgotten"]) == (1, None, True)
    assert "opted_out: sale" in run("history", "--at", datetime.now(UTC).strftime("%Y-%m-%d"), *ME)[1]


def test_an_auditor_is_told_where_how_old_somebody_was_rested_on_somebody_forgotten_since(run, folder):
    async def young(consent, account):
        await consent.say_age([account], "under_13")

    def stood(at):
        told = json.loads(run("history", "--json", "--at", at, *ME)[1].splitlines()[-1])
        return told["age_bands"] and {*told["age_bands"]}, told.get("forgotten")

    life = lived_with(folder, datetime.now(UTC) - timedelta(days=3), young)
    between = next(life)
    assert stood(between) == ({"under_13"}, None)
    next(life)
    assert stood(between) == (None, True)
    assert run("history", "--at", between, *ME)[1].endswith(f"nothing was chosen; how old they were: {NOT_KNOWN}\n")
    code, text = explained(run, "--json", "--at", between)
    assert (code, json.loads(text)["allowed"], json.loads(text)["forgotten"]) == (1, None, True)
    assert stood(datetime.now(UTC).strftime("%Y-%m-%d")) == ({"under_13"}, None)


def test_an_auditor_sees_that_a_parents_yes_was_over_at_thirteen(run, folder):
    code, age = run("age", "under_13", *ME)
    assert code == 0, age
    with open_house(folder, inside.settings()) as house:
        subject = house.consent.people.name([named("gaid", GAID)]).subjects
        said = Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", house.consent.clock(), parental=True)
        asyncio.run(house.consent.choose(subject, said))
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d")
    assert run("history", "--at", tomorrow, *ME)[1].rstrip().endswith("opted_in: sale")
    assert run("age", "13_15", *ME)[0] == 0
    assert run("history", "--at", tomorrow, *ME)[1].rstrip().endswith("nothing was chosen")


def test_a_person_is_shown_nothing_from_before_a_number_was_given_back(run):
    number = ("--phone", phone(1))
    run("choose", "opt_out", *number)
    run("link", "--released", *number)
    assert run("history", *number)[1].count("\n") == 2
    assert run("history", "--for-person", *number) == (1, "")


def test_whoever_has_a_number_now_is_not_told_what_stood_before_it_was_given_back(run, folder):
    """The office is."""
    number, before = ("--phone", phone(1)), datetime.now(UTC) - timedelta(days=3)
    with open_house(folder, inside.settings(), clock=lambda: before) as house:
        subjects = house.consent.people.name([named("phone", phone(1))]).subjects
        asyncio.run(house.consent.choose(subjects, Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", before)))
    run("link", "--released", *number)
    day = ("--at", (before + timedelta(days=1)).strftime("%Y-%m-%d"))
    assert "entries: opted_out: sale" in run("history", *day, *number)[1]
    code, told = run("history", "--for-person", *day, *number)
    assert (code, "opted_out" in told, NOT_KNOWN in told) == (1, False, True)
