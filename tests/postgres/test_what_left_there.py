"""What left is asked for a chunk at a time on either engine, with the same answers."""

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest
from support import inside, postgres_server
from support.people import gaid, named

from gateway.app.composition import open_house
from gateway.desk import disclosures, history, recipient_holdings
from gateway.desk.disclosures import Acknowledged, Counted, Intended, hash_of
from gateway.desk.kept_request import KeptRequest
from gateway.desk.recipient_holdings import Left
from gateway.desk.recipients_to_tell import got_under
from gateway.ledger.acts import records
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ChoiceKind, Purpose

pytestmark = pytest.mark.slow
AT = datetime.now(UTC)
NOW = milliseconds(AT)


def recorded(folder):
    with open_house(folder, inside.settings(), dev=True) as house:
        mine, other = house.consent.people.name([named("gaid", gaid(1)), named("gaid", gaid(2))]).subjects
        rows = [
            Intended(name, who.key, ("ad_id",), (Left(who.kind, who.value, who.key, who.keys),))
            for name, who in (("r1", mine), ("r2", other))
        ]

        def act(tx):
            disclosed = [
                disclosures.intend(tx, "teemo", [Purpose.SALE], some, AT, job=hash_of("night"))
                for some in (rows, rows[:1])
            ]
            before = disclosures.posted_before(tx, "teemo", ["r1", "r2", "r3"], NOW)
            disclosures.let_be(tx, "teemo", ["r1"])
            one = Counted(mine.key, "teemo", ("sale",), ("ad_id",), "sent", NOW)
            for _ in range(2):
                disclosures.count_disclosures(tx, [one], AT)
            jobs = tx.db.execute(
                "SELECT length(job), count(*) FROM disclosure GROUP BY length(job) ORDER BY 1"
            ).fetchall()
            held = tx.db.execute("SELECT count(DISTINCT held), count(*) FROM held_key").fetchone()
            kept = []
            for batch in disclosed:
                disclosures.mark(tx, "teemo", batch, rows[:1], "not_sent")
                kept.append(tx.db.execute("SELECT count(DISTINCT held), count(*) FROM held_key").fetchone())
            said = Acknowledged("not_sent", "", "r2", "teemo")
            moved = [step.moved for step in disclosures.acknowledge(tx, [said], AT)]
            kept.append((len(recipient_holdings.held_by(tx, "teemo")), *moved))
            [sent] = disclosures.acknowledge(tx, [said._replace(outcome="sent")], AT)
            kept.append((len(recipient_holdings.held_by(tx, "teemo")), len(sent.late)))
            late = [len(disclosures.mark_outcome(tx, "teemo", hash_of("r1"), word, AT)) for word in ("unknown", "sent")]
            for row in ("r1", "r2"):  # one that left, and one that will not have
                tx.db.execute("INSERT INTO act_claim VALUES (?, 'teemo', 1, ?)", (row.encode(), hash_of(row)))
            tx.db.execute("UPDATE disclosure SET outcome = 'not_sent' WHERE row = ?", (hash_of("r2"),))
            records.free_acts(tx, [b"r1", b"r2"], "teemo")
            late += [bytes(key) for (key,) in tx.db.execute("SELECT key FROM act_claim").fetchall()]
            tx.db.execute("UPDATE disclosure SET outcome = 'not_sent'")
            disclosures.say_outcome(tx, hash_of("r2"), "not_sent", AT)
            late += [len(got_under(tx, other.key, 0, since)) for since in (NOW, NOW + 1)]
            disclosures.forget_outcomes(tx, AT + timedelta(hours=2, seconds=1))
            kept.append(tx.db.execute("SELECT count(DISTINCT held), count(*) FROM held_key").fetchone())
            return (
                before,
                jobs,
                held,
                kept,
                late,
                [each[:-1] for each in tx.db.execute(disclosures.SHOWN, (mine.key, 0))],
            )

        return house.writer.submit(act).result()


def test_what_left_is_on_record_there_as_in_a_file(postgres, tmp_path):
    there = recorded(postgres_server.installed(postgres, tmp_path / "there"))
    assert there == recorded(inside.install(tmp_path / "here"))
    before, jobs, held, kept, late, counted = there
    assert (before.left, before.handed_back) == (set(), {"r1", "r2"})
    assert [tuple(each) for each in jobs] == [(16, 1), (17, 2)]
    assert tuple(held) == (2, 26)
    assert [tuple(each) for each in kept] == [(2, 26), (1, 13), (0, 1), (1, 13), (0, 0)], "once for each of its names"
    assert late == [2, 0, b"r1", 1, 0]
    assert [tuple(each) for each in counted] == [("teemo", "sale", "ad_id", "sent", NOW, NOW, 2)]


def shared_last(folder):
    """Ahead of a no, by entries of which the last one is dated back and the first as of now."""
    with open_house(folder, inside.settings(), dev=True) as house:
        [mine] = house.consent.people.name([named("gaid", gaid(1))]).subjects
        kept = KeptRequest(os.urandom(16), (mine,), Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "form", AT))

        def act(tx):
            for name, at in (("r1", AT), ("r2", AT - timedelta(hours=3))):
                disclosures.intend(tx, "teemo", [Purpose.SALE], [Intended(name, mine.key, ("ad_id",))], at)
            kept.enter(tx)
            disclosures.intend(
                tx, "teemo", [Purpose.SALE], [Intended("r3", mine.key, ("ad_id",))], AT + timedelta(hours=1)
            )

        house.writer.submit(act).result()
        of_nobody = asyncio.run(history.shared_ahead(folder, os.urandom(16)))
        return asyncio.run(history.shared_ahead(folder, kept.request)), of_nobody


def test_the_minute_of_what_was_shared_last_is_told_there_as_in_a_file(postgres, tmp_path):
    there = shared_last(postgres_server.installed(postgres, tmp_path / "there"))
    assert there == shared_last(inside.install(tmp_path / "here")) == (AT.replace(second=0, microsecond=0), None)
