"""The desk reads what is held about somebody, and who got what: sent, or may have been."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from support import inside
from support.people import gaid, named

from gateway.app.composition import open_house
from gateway.cli.root import group
from gateway.desk import disclosures
from gateway.desk.disclosures import Counted
from gateway.ledger.subjects import milliseconds

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def shown(folder):
    """A folder in which something about person 1 was sent twice, and may have been sent once."""
    with open_house(folder, inside.settings()) as house:
        key = house.consent.people.name([named("gaid", gaid(1))]).subjects[0].key
        rows = [
            Counted(key, "advertisers", ("sharing",), ("ad_id",), outcome, milliseconds(AT))
            for outcome in ("sent", "sent", "possible")
        ]
        house.writer.submit(lambda tx: disclosures.count_disclosures(tx, rows, AT)).result(60)
    return folder


def run(folder, *arguments):
    return CliRunner().invoke(group, ["access", "--data", str(folder), *arguments])


def test_the_desk_reads_in_words_what_was_sent_and_what_may_have_been(shown):
    told = run(shown, "--gaid", gaid(1))
    assert told.exit_code == 0, told.output
    assert "2026-11-24  advertisers: ad_id (sharing), sent, 2 times, 12:00:00 to 12:00:00 UTC" in told.output
    assert "advertisers: ad_id (sharing), may have been sent, once" in told.output
    assert gaid(1) not in told.output


def test_of_somebody_else_it_shows_nothing(shown):
    assert "advertisers" not in run(shown, "--gaid", gaid(2)).output
    assert json.loads(run(shown, "--gaid", gaid(2), "--json").output)["disclosures"] == []


@pytest.mark.parametrize("arguments", [[], ["--gaid", "nonsense"], ["--gaid", gaid(1), "--email", "nobody"]])
def test_what_cannot_be_used_is_refused_whole(shown, arguments):
    assert run(shown, *arguments).exit_code == 2
