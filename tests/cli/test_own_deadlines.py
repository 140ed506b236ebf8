"""By when a recipient has to be told is what the law of the request says: of a no to marketing, of where somebody lives,
of the day on which a state's list was downloaded.
"""

import json
import os
from datetime import datetime, timedelta

import pytest
from cli.test_drop import ANA, NOW, act, hold, verified
from cli.test_drop_systems import A, Broker

from gateway.delivery.deadlines import Calendar
from gateway.desk import recipient_holdings, recipients_to_tell
from gateway.desk.recipient_holdings import Left
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ChoiceKind, Purpose


@pytest.fixture
def broker(folder, tmp_path):
    return Broker(folder, tmp_path)


def deadlines(broker):
    """The days by which each recipient has to be told what is open."""
    listed = broker.run("deliveries", "--state", "pending", "--json").stdout.splitlines()
    found = [json.loads(line) for line in listed]
    return {each["recipient"]: datetime.fromisoformat(each["deadline"]).date() for each in found}


@pytest.mark.parametrize(
    ("purpose", "days"), [(Purpose.MARKETING_EMAIL, 10), (Purpose.MARKETING_MAIL, 15), (Purpose.SALE, 15)]
)
def test_a_no_to_marketing_by_mail_or_text_has_ten_business_days(folder, tmp_path, purpose, days):
    broker = Broker(folder, tmp_path, mail="")
    broker.run("deliveries", "--take", "texts")  # by now the system is known

    def job(tx, who):
        mail = who("email", ANA)
        left = [Left("email", ANA, mail.key, mail.keys)]
        recipient_holdings.note_held(tx, "texts", left, [purpose], ["contact"], tx.size, milliseconds(NOW))
        no = Choice(ChoiceKind.OPT_OUT, (purpose,), "form", NOW)
        recipients_to_tell.write_and_tell(tx, mail, no, os.urandom(16))

    act(folder, job)
    last = Calendar().within(NOW, days).date()
    assert deadlines(broker) == {"texts": last, "system:mail": last}
    verified(folder)


@pytest.mark.parametrize(("place", "days"), [("DE", range(27, 32)), ("US-CA", [44, 45]), ("", [44, 45])])
def test_a_deletion_is_passed_on_by_when_the_law_of_a_place_wants_it_done(folder, broker, place, days):
    hold(folder, ANA)
    came = NOW - timedelta(days=2)
    where = ("--place", place) if place else ()
    broker.run("erase", "erase_details", "--email", ANA, "--received", f"{came:%Y-%m-%d}", *where)
    [last] = deadlines(broker).values()
    assert (last - came.date()).days in days
    assert broker.run("systems", "list").output.count("teemo") == 0, "it is no system of ours"


def test_a_lists_days_count_from_its_download(folder, broker):
    hold(folder, ANA)
    came = NOW - timedelta(days=20)
    broker.take((A, ANA), day=f"{came:%Y%m%d}")
    [last] = deadlines(broker).values()
    assert (last - came.date()).days == 45
    verified(folder)
