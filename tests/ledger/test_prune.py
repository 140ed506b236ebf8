"""What is pruned takes no opt-out and no proof with it (R19, L82)."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from click.testing import CliRunner
from support import inside
from support.everybody import AT, fill, says_no, story
from support.people import GAID, email, named, phone
from support.tampering import tamper

from gateway.app import composition, state_check
from gateway.app.composition import open_house
from gateway.cli import root
from gateway.consent.asked import Ask
from gateway.desk import disclosures, history
from gateway.desk.forgetting import prune
from gateway.desk.forgetting.resting import pruned_record
from gateway.ledger import schema
from gateway.ledger.acts import office_acts
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.log_records import readable_sides, rewrite_sides, sides_of_entries
from gateway.ledger.proof import merkle, receipt
from gateway.ledger.proof.ed25519 import Ed25519Signer, Ed25519Verifier
from gateway.ledger.subjects import milliseconds
from gateway.settings.load import SettingsRefused
from gateway.terms import Purpose

PEOPLE = [("phone", phone(1)), ("email", email(1)), ("gaid", GAID), ("account", "ann")]
JOBS = prune.jobs
BELIEF = office_acts.Belief(b"b" * 32, ("Ada Park", "Ben Cole"))
AGAIN = "SELECT count(*) FROM restated WHERE seq < (SELECT pruned FROM head)"
LATER = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def old(folder):
    """Everybody of the crowd, some of them twice, and browsers enough for two tiles."""
    with opened(folder) as house:
        story(house)
        fill(house, 600)
        story(house)
    return folder


@contextlib.contextmanager
def opened(folder):
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        yield house


def pruned(folder, at=LATER, **more):
    return composition.prune_ledger(folder, inside.settings(), dry_run=False, clock=lambda: at, **more)


def rows(folder, sql):
    with contextlib.closing(sqlite3.connect(folder / schema.FILE)) as db:
        return db.execute(sql).fetchall()


def answers(folder):
    with opened(folder) as house:
        people = [named(*who) for who in PEOPLE]
        found = [house.consent.checks.check(Ask(("teemo",), [who], place="US-NY")).verdicts["teemo"] for who in people]
        browser = house.consent.people.browser(f"{3:032x}").key
        [standing] = house.consent.checks._lookup.seen([browser]).standings
        return [(verdict.reason, verdict.data, verdict.seq) for verdict in found], standing


def receipts(folder):
    events = [event for (event,) in rows(folder, "SELECT event FROM detail WHERE seq < 20 ORDER BY seq")]
    with opened(folder) as house:
        return house.consent.log_reader.receipts(events)


def after(first, more):
    """What ends a prune before its next step: so many steps behind the first one, or behind its mark."""

    def cut_off(*values):
        seen = None
        for number, job in enumerate(JOBS(*values)):
            if seen is None and (first == 0 or getattr(job, "func", None) is prune._mark):
                seen = number
            if seen is not None and number - seen == more:
                raise InterruptedError
            yield job

    return cut_off


@pytest.mark.slow
def test_every_check_answers_as_before_and_the_ledger_still_verifies(old):
    before = answers(old)
    done = pruned(old)
    assert done.below == 512
    assert rows(old, "SELECT min(seq), (SELECT pruned FROM head) FROM entry") == [(512, 512)]
    assert answers(old) == before
    assert composition.verify_ledger(old, inside.settings(), boxes=True)[0].different == []


@pytest.mark.slow
def test_a_void_of_a_screen_outlives_the_prune_and_one_that_nobody_said_or_that_is_gone_is_found(folder):
    with opened(folder) as house:
        house.writer.submit(lambda tx: office_acts.void_consents(tx, "dark", b"h" * 32, AT)).result(30)
        fill(house, 600)
    pruned(folder)
    assert rows(folder, "SELECT ui FROM voided_ui WHERE seq < (SELECT pruned FROM head)") == [("dark",)]
    for forgery, undone in (
        ("UPDATE voided_ui SET ui = 'fair'", "UPDATE voided_ui SET ui = 'dark'"),
        ("INSERT INTO voided_ui VALUES ('fair', 9, 0)", "DELETE FROM voided_ui WHERE ui = 'fair'"),
        ("DELETE FROM voided_ui", ""),
    ):
        assert composition.verify_ledger(folder, inside.settings(), boxes=False)[0].different == []
        tamper(folder, forgery)
        different = composition.verify_ledger(folder, inside.settings(), boxes=False)[0].different
        assert any("the void of the screen" in text for text in different), forgery
        if undone:
            tamper(folder, undone)


@pytest.mark.slow
def test_a_second_prune_years_later_restates_what_still_holds_once_more(old, monkeypatch):
    """What it does not say again, though the first one had, goes bit by bit behind its mark, and may be cut off."""
    before = answers(old)
    pruned(old)
    assert pruned(old, LATER + timedelta(days=1)).below == 512, "the restated entries are about nobody"
    with opened(old) as house:
        fill(house, 1600)
    monkeypatch.setattr(prune, "jobs", after("mark", 2))
    monkeypatch.setattr(prune, "STEP", 40)
    with contextlib.suppress(InterruptedError):
        pruned(old, LATER + timedelta(days=2000))
    assert rows(old, AGAIN) > [(0,)], "some of them wait"
    assert composition.verify_ledger(old, inside.settings(), boxes=True)[0].different == []
    monkeypatch.setattr(prune, "jobs", JOBS)
    done = pruned(old, LATER + timedelta(days=2000))
    assert done.below > 1024
    assert rows(old, AGAIN) == [(0,)]
    assert answers(old) == before
    assert composition.verify_ledger(old, inside.settings(), boxes=True)[0].different == []


@pytest.mark.slow
def test_a_prune_is_an_entry_that_names_the_policy_and_the_policy_is_logged(old):
    pruned(old)
    leaves = [json.loads(body) for (body,) in rows(old, "SELECT body FROM entry ORDER BY seq")]
    last = leaves[-1]
    assert (last["e"], last["below"]) == ("pruned", 512)
    [(kind, body)] = rows(old, "SELECT kind, body FROM document WHERE kind = 'retention'")
    assert b"36 months" in body
    assert {"e": "doc", "k": kind, "n": last["n"]}.items() <= leaves[-2].items()


@pytest.mark.slow
def test_old_receipts_still_verify_and_new_ones_prove_without_the_entry(old):
    before = receipts(old)
    pruned(old)
    with opened(old) as house:
        origin = rows(old, "SELECT origin FROM head")[0][0]
        keys = [Ed25519Verifier.from_vkey(Ed25519Signer(origin, seed).vkey) for seed in house.secrets.signing]
    for early, late in zip(before, receipts(old), strict=True):
        assert receipt.verify_receipt(early, keys).size == 618
        assert (late.index, late.entry) == (early.index, None)
        assert "extra" not in late.text()
        again = receipt.Receipt(late.index, late.proof, late.note, early.entry)
        assert receipt.verify_receipt(again, keys).size > 634, "whoever kept the entry proves it under any checkpoint"


@pytest.mark.slow
def test_bundles_of_what_was_pruned_are_not_there_and_their_hashes_are(old):
    pruned(old)
    with opened(old) as house:
        log = house.consent.log_reader
        assert log.tile(merkle.ENTRIES, 0, 256) is None
        assert len(log.tile(0, 0, 256)) == 256 * 32
        assert log.tile(merkle.ENTRIES, 2, 100) is not None


@pytest.mark.slow
def test_the_person_still_reads_what_holds_with_its_proof(old):
    """Details went, the opening stays."""
    pruned(old)
    with opened(old) as house, contextlib.closing(house.vault()) as vault:
        subject = house.consent.people.name([named("phone", phone(1))]).subjects[0]
        known = {person: vault.keys(person) for (person,) in rows(old, "SELECT DISTINCT person FROM detail")}
        events = asyncio.run(history.events(old, subject.key, known.__getitem__, ("phone", phone(1))))
    assert [event.body["e"] for event in events] == ["linked", "opt_out", "opt_out"]
    assert all(event.proved for event in events)
    assert {event.details.get("at") for event in events} == {None}


@pytest.mark.slow
def test_details_go_before_bodies_and_nothing_younger_than_two_years_goes(old):
    at = datetime(2028, 11, 24, 12, 0, tzinfo=UTC)
    assert pruned(old, at).details == 0
    done = pruned(old, at + timedelta(days=1))
    assert (done.below, done.bodies, done.details) == (0, 0, 618)
    assert rows(old, "SELECT count(*), count(sealed), count(opening) FROM detail") == [(618, 0, 618)]
    assert composition.verify_ledger(old, inside.settings(), boxes=True)[0].different == []


@pytest.mark.slow
def test_who_was_in_a_share_goes_after_two_years_and_that_there_was_one_stays(old):
    with open_house(old, inside.settings(), dev=True) as house:
        for row, year in (("old", 2026), ("young", 2028)):
            one = disclosures.Intended(row, b"k" * 16, ("ad_id",))
            at = datetime(year, 11, 24, tzinfo=UTC)
            house.writer.submit(
                lambda tx, one=one, at=at: disclosures.intend(tx, "teemo", [Purpose.SALE], [one], at)
            ).result(60)
    pruned(old, datetime(2029, 1, 1, tzinfo=UTC))
    assert rows(old, "SELECT at FROM disclosure") == [(milliseconds(datetime(2028, 11, 24, tzinfo=UTC)),)]
    assert rows(old, 'SELECT count(*) FROM entry WHERE CAST(body AS TEXT) LIKE \'%"e":"disclosure"%\'') == [(2,)]
    assert composition.verify_ledger(old, inside.settings(), boxes=True)[0].different == []


@pytest.mark.parametrize("count", [0, 7, 8])
def test_who_was_in_shares_goes_part_by_part_wherever_the_young_ones_lie(house, count, monkeypatch):
    monkeypatch.setattr(prune, "ROWS", 16)
    old_ones = [number % 3 != 1 for number in range(count)]
    for number, is_old in enumerate(old_ones):
        one = disclosures.Intended(f"row {number}", b"k" * 16, ("ad_id",))
        at = datetime(2026 if is_old else 2028, 11, 24, tzinfo=UTC)
        house.writer.submit(
            lambda tx, one=one, at=at, to=f"recipient {number % 2}": disclosures.intend(
                tx, to, [Purpose.SALE], [one], at
            )
        ).result(60)
    before = milliseconds(datetime(2027, 1, 1, tzinfo=UTC))
    for job in prune._paced(partial(prune._forget_shares, before=before), prune.ROWS):
        house.writer.submit(job).result(60)
    left = house.writer.submit(lambda tx: tx.db.execute("SELECT count(*) FROM disclosure").fetchone()).result(60)
    assert left == (old_ones.count(False),)


@pytest.mark.parametrize("months", ["bodies_months", "details_months"])
def test_a_shorter_time_than_the_law_keeps_is_refused(months, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(f"[retention]\n{months} = 23\n")
    with pytest.raises(SettingsRefused, match=months):
        inside.settings(file)


NAMED = office_acts.ListedRequest("A" * 12, b"k" * 16)
PART = office_acts.ListPart("US-CA", "a.csv", "MAID", AT.date(), AT)


@pytest.mark.parametrize(
    "undo",
    [
        lambda tx: office_acts.void_choices(tx, [200], BELIEF, AT),
        lambda tx: office_acts.end_part(tx, PART, [NAMED]),
    ],
    ids=["a void", "a list that takes back"],
)
def test_what_was_said_otherwise_while_a_prune_was_prepared_is_measured_again(old, monkeypatch, undo):
    with opened(old) as house:
        house.writer.submit(lambda tx: office_acts.take_part(tx, PART, [NAMED], {})).result(60)
    monkeypatch.setattr(prune, "jobs", lambda *given: (undo, *JOBS(*given)))
    with pytest.raises(prune.Changed, match="run gateway prune again"):
        pruned(old)
    assert rows(old, "SELECT min(seq) FROM entry") == [(0,)]


@pytest.mark.slow
@pytest.mark.parametrize("cut", [(0, 1), ("mark", 0), ("mark", 1), ("mark", 2), ("mark", 3), ("mark", 4)])
def test_a_prune_that_was_cut_off_is_finished_by_the_next_one(old, monkeypatch, cut):
    """Some words go with their bodies: a step behind the mark they are still told, as their bodies say."""
    with opened(old) as house:
        house.writer.submit(lambda tx: office_acts.void_choices(tx, range(200, 240), BELIEF, AT)).result(60)
    before = answers(old)
    monkeypatch.setattr(prune, "jobs", after(*cut))
    monkeypatch.setattr(prune, "STEP", 80)
    with contextlib.suppress(InterruptedError):
        pruned(old)
    assert answers(old) == before
    assert composition.verify_ledger(old, inside.settings(), boxes=True)[0].different == []
    monkeypatch.setattr(prune, "jobs", JOBS)
    pruned(old)
    assert rows(old, "SELECT min(seq) FROM entry") == [(512,)]
    assert answers(old) == before
    assert composition.verify_ledger(old, inside.settings(), boxes=True)[0].different == []


@pytest.mark.slow
def test_what_is_still_told_of_a_body_that_goes_is_what_that_body_says(old, monkeypatch):
    """And its row and its boxes are those of an entry, as before the prune."""
    with opened(old) as house:
        house.writer.submit(lambda tx: office_acts.void_choices(tx, range(200, 240), BELIEF, AT)).result(60)
    monkeypatch.setattr(prune, "jobs", after("mark", 1))
    with contextlib.suppress(InterruptedError):
        pruned(old)
    boxes = "the boxes of entry 215 do not open to what it commits to"
    belong = "entry 216 and its side row do not belong together"
    assert composition.verify_ledger(old, inside.settings(), boxes=True)[0].different == []
    tamper(old, "UPDATE detail SET sealed = (SELECT sealed FROM detail WHERE seq = 20) WHERE seq = 215")
    assert composition.verify_ledger(old, inside.settings(), boxes=True)[0].different == [boxes]
    tamper(old, "UPDATE detail SET event = zeroblob(16) WHERE seq = 216")
    assert composition.verify_ledger(old, inside.settings(), boxes=False)[0].different == [belong]
    for forgery in (
        "UPDATE side SET packed = (SELECT packed FROM side WHERE seq = 20 AND entered) WHERE seq = 210 AND entered",
        "UPDATE entry SET body = (SELECT body FROM entry WHERE seq = 20) WHERE seq = 210",
    ):
        tamper(old, forgery)
        different = composition.verify_ledger(old, inside.settings(), boxes=False)[0].different
        assert "what is told beside entry 210 is not what it says" in different, forgery


@pytest.mark.slow
def test_what_is_said_again_cannot_be_made_a_body_that_only_goes(old):
    """With its own body brought back it would look like one that a prune has left, and the next one took its no away."""
    pruned(old)
    assert rows(old, "SELECT count(*) FROM restated WHERE of = 3") == [(1,)]
    tamper(old, BROUGHT_BACK)
    tamper(old, "DELETE FROM restated WHERE of = 3")
    different = composition.verify_ledger(old, inside.settings(), boxes=True)[0].different
    assert [text.partition(" is not")[0] for text in different] == ["that entry 3 is restated"]
    with pytest.raises(LedgerRefused):
        pruned(old)


BROUGHT_BACK = """
INSERT INTO entry (seq, body) SELECT 3, CAST(json_extract(CAST(body AS TEXT), '$.was') AS BLOB) FROM entry
WHERE seq = (SELECT seq FROM restated WHERE of = 3)
"""


@pytest.mark.slow
def test_a_ledger_that_does_not_verify_is_not_pruned(old):
    tamper(old, "UPDATE detail SET at = at + 600000")
    with pytest.raises(LedgerRefused, match="gateway verify"):
        pruned(old)
    assert rows(old, "SELECT min(seq) FROM entry") == [(0,)]


@pytest.mark.slow
def test_bodies_go_by_pruning_only(old):
    with contextlib.closing(sqlite3.connect(old / schema.FILE)) as db:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute("DELETE FROM entry WHERE seq = 0")
        with pytest.raises(sqlite3.IntegrityError, match="whole tiles"):
            db.execute("UPDATE head SET pruned = 100")
    pruned(old)
    with contextlib.closing(sqlite3.connect(old / schema.FILE)) as db:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute("DELETE FROM entry WHERE seq = 512")
        with pytest.raises(sqlite3.IntegrityError, match="stays pruned"):
            db.execute("UPDATE head SET pruned = 0")


def pruned_behind_the_back_of_the_log(db):
    """As whoever can write the file would: nobody's word is said again, and no entry tells of it."""
    for row in [*sides_of_entries(db, range(256))]:
        assert [*rewrite_sides(db, [row], pruned_record)] or not row.own()
    for sql in ("DELETE FROM entry WHERE seq < 256", "DELETE FROM restated", "UPDATE head SET pruned = 256"):
        changed = db.execute(sql).rowcount
    return changed


UNTOLD = "256 entries count as pruned, and those that are kept tell of 0"


@pytest.fixture
def lone(old):
    """What is said of a browser that said one thing, whose entry is pruned so, and whose row in the state is as before;
    in the end that is made anew.
    """
    with opened(old) as house:
        key = house.consent.people.browser(f"{40:032x}").key
    tamper(old, pruned_behind_the_back_of_the_log)
    yield f"the state of this host has not of key {key.hex()[:8]}… what the log folds to"
    shutil.rmtree(old / "state")


@pytest.mark.slow
def test_a_prune_that_no_entry_tells_of_is_found(old, lone):
    assert {UNTOLD, lone} <= {*composition.verify_ledger(old, inside.settings(), boxes=True)[0].different}


@pytest.mark.slow
def test_the_control_who_has_only_what_was_pruned_passes_where_nobody_looks_for_them(old, lone, monkeypatch):
    monkeypatch.setattr(state_check, "_with_apart", lambda db, _: readable_sides(db))
    different = composition.verify_ledger(old, inside.settings(), boxes=True)[0].different
    assert UNTOLD in different
    assert lone not in different


@pytest.mark.slow
def test_a_restated_entry_with_other_bytes_is_found(old):
    pruned(old)
    swap = "UPDATE restated SET seq = (SELECT max(seq) FROM restated WHERE of < 10) WHERE of = 3"
    tamper(old, swap)
    report, _ = composition.verify_ledger(old, inside.settings(), boxes=False)
    assert any("entry 3 " in text and "restated" in text for text in report.different)


@pytest.mark.slow
def test_the_office_is_told_what_would_go_and_then_what_went(old, capsys, monkeypatch):
    monkeypatch.setattr(composition.prune_ledger, "__kwdefaults__", {"clock": lambda: LATER})
    for more, verb in (["--dry-run"], "would go"), ([], "went"):
        with pytest.raises(SystemExit) as ended:
            root.main(["prune", "--data", str(old), *more])
        out = capsys.readouterr().out
        assert ended.value.code == 0
        assert out.startswith(f"512 bodies below entry 512 {verb}, ")
        assert out.endswith(f"details of 618 entries {verb}\n")


def test_a_step_has_as_much_as_the_last_one_lets_expect_and_of_words_that_go_less():
    assert prune.paced(80, prune.HELD, 200) == 80
    assert prune.paced(80, prune.HELD / 9, 200) == 160, "twice as much, not nine times"
    assert prune.paced(160, prune.HELD / 9, 200) == 200
    assert prune.paced(80, prune.HELD * 1.25, 200) == 63
    assert prune.paced(80, prune.HELD * 9, 200) == 40, "once may have been chance"
    assert prune.paced(30, prune.HELD * 9, 200) == 25


def said_at(folder, *moments):
    with opened(folder) as house:
        for number, at in enumerate(moments):
            says_no(house, "phone", phone(number), at)


def test_a_clock_that_is_ahead_of_all_that_is_on_record_prunes_nothing(folder):
    """Whatever it wrote within minutes proves nothing; what was entered two hours before does."""
    now, prune = datetime.now(UTC), ("prune", "--data", str(folder))
    said_at(folder, now - timedelta(days=901), now - timedelta(days=900), now - timedelta(minutes=2), now)
    refused = CliRunner().invoke(root.group, prune)
    assert isinstance(refused.exception, LedgerRefused)
    assert "nothing is on record since" in str(refused.exception)
    said_at(folder, now - timedelta(hours=2))
    assert CliRunner().invoke(root.group, prune).exit_code == 0


def test_a_clock_that_is_ahead_at_each_of_two_starts_prunes_nothing(folder):
    now, day = datetime.now(UTC), timedelta(days=1)
    said_at(folder, now - 903 * day, now - 3 * day, now - 900 * day, now - 899 * day, now)
    refused = CliRunner().invoke(root.group, ("prune", "--data", str(folder)))
    assert isinstance(refused.exception, LedgerRefused)
    assert f"nothing is on record since {now - 899 * day:%Y-%m-%d}" in str(refused.exception)
