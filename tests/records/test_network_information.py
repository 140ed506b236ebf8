"""What a carrier's yearly certificate rests on (47 CFR 64.2007-2009, L80), from the ledger, and still there a year
on."""

import contextlib
import json
import os
import sqlite3
from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner
from support import inside
from support.people import email, named, phone

from gateway.app import composition
from gateway.cli.root import group
from gateway.desk import notices
from gateway.desk.evidence import CHECKS_FAILED, FORMS_FAILED, Period, Spell, note_period
from gateway.records import who_got_what
from gateway.terms import NoticeKind, Purpose, Told

AT = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
YEAR = (date(2026, 1, 1), date(2027, 1, 1))
NETWORK_PURPOSES = (Purpose.CPNI_MARKETING, Purpose.CPNI_DISCLOSURE)


@pytest.fixture
def who(house):
    return lambda *given: house.consent.people.name([named(kind, value) for kind, value in given]).subjects


@pytest.fixture
def a_year(house, folder, says, who, notice):
    """Two noticed, of whom one mail bounced; one refused and one asked for something else; a campaign; an outage."""

    def tell(subject, outcome, kind=NoticeKind.CPNI):
        house.writer.submit(
            lambda tx: notices.note_told(tx, subject, kind, AT.date(), outcome, AT, os.urandom(16))
        ).result(60)

    for number, outcome in ((1, Told.SENT), (2, Told.BOUNCED)):
        (subject,) = who(("email", email(number)))
        tell(subject, outcome)
    tell(subject, Told.SENT, NoticeKind.PRIVACY)
    says(who(("phone", phone(1)), ("email", email(1))), "opt_out", *NETWORK_PURPOSES, Purpose.SALE, at=AT + HOUR)
    says(who(("phone", phone(3))), "opt_out", Purpose.SALE, at=AT + HOUR)
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db, db:
        db.execute(
            "INSERT INTO disclosed VALUES (?, 'agency', 'cpni_marketing', 'cpni', ?, 'sent', 0, ?, ?, 3, 1)",
            (b"k" * 16, int(AT.timestamp()) // 86_400, int(AT.timestamp() * 1000), int(AT.timestamp() * 1000)),
        )
    spells = (
        Spell(FORMS_FAILED, AT, AT + HOUR),
        Spell(CHECKS_FAILED, AT, AT + HOUR),
        Spell(FORMS_FAILED, AT + 2 * HOUR),
    )
    goes_on = (Spell(FORMS_FAILED, AT + 2 * HOUR, AT + 30 * HOUR),)
    for start, found in ((AT, spells), (AT + 24 * HOUR, goes_on)):
        period = Period(os.urandom(16), "run", "daily", start, start + 24 * HOUR, spells=found)
        house.writer.submit(lambda tx, each=period: note_period(tx, each, [], each.until)).result(60)


def test_a_year_tells_notices_approvals_campaigns_texts_and_outages(folder, a_year):
    found = who_got_what.network_information_told(folder, *YEAR)
    assert found["notices"] == [
        {"day": "2026-03-03", "outcome": "bounced", "count": 1},
        {"day": "2026-03-03", "outcome": "sent", "count": 1},
    ]
    assert found["approvals"] == [
        {
            "day": "2026-03-03",
            "nature": "opt_out",
            "manner": "api",
            "count": 1,
            "purposes": ("cpni_disclosure", "cpni_marketing"),
        }
    ]
    assert [(each["recipient"], each["data"], each["count"]) for each in found["campaigns_and_disclosures"]] == [
        ("agency", ("cpni",), 3)
    ]
    assert ("notice", "7", "en") in {(each["kind"], each["version"], each["language"]) for each in found["texts"]}
    assert found["opt_out_failed"] == [
        {"from": "2026-03-03T09:30:00Z", "until": "2026-03-03T10:30:00Z"},
        {"from": "2026-03-03T11:30:00Z", "until": "2026-03-04T15:30:00Z"},
    ]


def test_another_year_has_none_of_it(folder, a_year):
    found = who_got_what.network_information_told(folder, date(2024, 1, 1), date(2025, 1, 1))
    told_then = {name: each for name, each in found.items() if isinstance(each, list)}
    assert len(told_then) == 5
    assert not any(told_then.values())


def test_nobody_is_named_in_it(folder, a_year, who):
    text = json.dumps(who_got_what.network_information_told(folder, *YEAR))
    keys = [key.hex() for number in range(4) for subject in who(("phone", phone(number))) for key in subject.keys]
    assert not any(value in text for value in (phone(1), email(1), email(2), *keys))


@pytest.mark.parametrize("months", [13, 25, 48])
def test_a_year_on_all_of_it_is_still_there_and_pruning_takes_nothing_before_its_time(house, folder, a_year, months):
    """Control: after the months that [retention] gives, the sends and what was said are gone."""
    before = who_got_what.network_information_told(folder, *YEAR)
    composition.prune_ledger(folder, inside.settings(), dry_run=False, clock=lambda: AT + timedelta(days=31 * months))
    after = who_got_what.network_information_told(folder, *YEAR)
    assert (after == before) is (months < 24)


def test_an_officer_takes_it_out_by_a_command(folder, house, a_year):
    words = ["export", "network-information", "--from", "2026-01-01", "--to", "2026-12-31", "--data", str(folder)]
    done = CliRunner().invoke(group, words, catch_exceptions=False)
    found = json.loads(done.output)
    assert done.exit_code == 0
    assert (found["from"], found["until"]) == ("2026-01-01", "2027-01-01")
    assert found["approvals"][0]["purposes"] == ["cpni_disclosure", "cpni_marketing"]
