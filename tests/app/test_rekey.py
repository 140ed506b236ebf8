import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.led import led
from support.people import GAID, email, named

from gateway.app import maintenance
from gateway.app.composition import open_house
from gateway.app.maintenance import RekeyKind, RekeyRefused
from gateway.consent.asked import Ask
from gateway.consent.verbs import Refused
from gateway.desk.documents import Document
from gateway.keys import seals, secret_files
from gateway.ledger import schema
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.proof import note, receipt
from gateway.ledger.proof.ed25519 import Ed25519Verifier
from gateway.ledger.proof.verifier_keys import log_key
from gateway.ledger.subjects import Choice
from gateway.ledger.watch import PERIOD
from gateway.ledger.writer import Writer
from gateway.terms import ALL_PURPOSES, ChoiceKind, Purpose
from gateway.web.shell.visitor import Visitors

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ADDRESS = named("email", email(1))


def opened(folder):
    return open_house(folder, inside.settings(), dev=True)


def opts_out(folder, who=ADDRESS):
    """(receipt, opening) of one opt-out."""
    with opened(folder) as house:
        subjects = house.consent.people.name([who]).subjects
        choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", AT)
        chosen = asyncio.run(house.consent.choose(subjects, choice))
        [made] = house.consent.log_reader.receipts([seals.unb64(chosen.events[0]["event"])])
        return made, chosen.openings[0]


def denied(folder, who=ADDRESS):
    with opened(folder) as house:
        return not house.consent.checks.check(Ask(("teemo",), [who], place="US-NY")).verdicts["teemo"].allowed


def verifier(folder, *, lasting=False):
    """Of the newest signing key."""
    with opened(folder) as house, contextlib.closing(schema.open_to_read(folder)) as db:
        publisher = house.consent.log_reader.publisher
        (origin,) = db.execute("SELECT origin FROM head").fetchone()
        return log_key((publisher._lasting if lasting else publisher._signing)(origin)[-1].vkey)


def leaves(folder):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM entry ORDER BY seq")]
    return [(leaf["k"], leaf["step"], leaf.get("vk")) for leaf in bodies if leaf["e"] == "key"]


def test_receipt_and_opening_still_show_whose_opt_out_it_is_after_every_key_was_replaced(folder):
    made, opening = opts_out(folder)
    known = verifier(folder)
    for kind in FIELDS:
        maintenance.replace_key(folder, inside.settings(), kind)
        maintenance.retire(folder, inside.settings(), kind, early=True)
    maintenance.pepper(folder, inside.settings())
    maintenance.pepper(folder, inside.settings())
    assert receipt.verify_receipt(made, [known]).size == 1
    assert receipt.is_about(made, opening)
    assert denied(folder)
    fresh, _ = opts_out(folder)
    assert receipt.verify_receipt(fresh, [verifier(folder)]).size > 1
    with pytest.raises(note.NoteRefused):
        receipt.verify_receipt(fresh, [known])


FIELDS = [kind for kind in RekeyKind if kind is not RekeyKind.PEPPER]


@pytest.mark.parametrize("kind", FIELDS)
def test_each_new_key_and_each_retired_one_is_an_entry_of_the_log(folder, kind):
    assert maintenance.replace_key(folder, inside.settings(), kind, lambda: AT) == 2
    maintenance.retire(folder, inside.settings(), kind, lambda: AT, early=True)
    assert [(k, step) for k, step, _ in leaves(folder)] == [(kind, "replaced"), (kind, "retired")]
    assert len(getattr(secret_files.load_secrets(folder), maintenance.ROTATED[kind][0])) == 1


@pytest.mark.parametrize("kind", FIELDS)
def test_the_only_key_is_never_retired(folder, kind):
    with pytest.raises(RekeyRefused, match=f"gateway rekey {kind}"):
        maintenance.retire(folder, inside.settings(), kind, early=True)


@pytest.mark.parametrize(
    ("kind", "days"),
    [(RekeyKind.COOKIE, 400), (RekeyKind.SIGNING, 30), (RekeyKind.TOKENS, 30), (RekeyKind.ACCOUNTS, 30)],
)
def test_an_older_key_is_kept_as_long_as_people_need_it(folder, kind, days):
    maintenance.replace_key(folder, inside.settings(), kind, lambda: AT)
    with pytest.raises(RekeyRefused, match=f"is needed until .*{maintenance.early_option(kind)}"):
        maintenance.retire(folder, inside.settings(), kind, lambda: AT + timedelta(days=days, seconds=-1))
    maintenance.retire(folder, inside.settings(), kind, lambda: AT + timedelta(days=days))


def test_while_two_signing_keys_overlap_both_sign_and_the_older_vouches_for_the_newer(folder):
    before = verifier(folder)
    maintenance.replace_key(folder, inside.settings(), RekeyKind.SIGNING)
    made, _ = opts_out(folder)
    after = verifier(folder)
    assert after != before
    assert len(note.open_note(made.note, [before, after]).verified) == 2
    assert receipt.verify_receipt(made, [before]) == receipt.verify_receipt(made, [after])
    [(_, _, vouched)] = leaves(folder)
    assert Ed25519Verifier.from_vkey(vouched) == after


def test_the_log_vouches_for_the_newer_key_of_ml_dsa_too_and_its_checkpoints_bear_both(folder):
    """So a reader who has but an ML-DSA-44 key of years ago finds that of today, with nothing of Ed25519."""
    before = verifier(folder, lasting=True)
    maintenance.replace_key(folder, inside.settings(), RekeyKind.SIGNING)
    with opened(folder) as house:
        signed = house.consent.log_reader.checkpoint()
    with contextlib.closing(schema.open_to_read(folder)) as db:
        vouched = log_key(json.loads(db.execute("SELECT body FROM entry ORDER BY seq").fetchone()[0])["vq"])
    assert vouched == verifier(folder, lasting=True) != before
    assert [each.name for each in note.open_note(signed, [before, vouched]).verified] == [before.name] * 2
    assert len(note.split_note(signed)[1]) == 4  # two of each kind while they overlap
    maintenance.retire(folder, inside.settings(), RekeyKind.SIGNING, early=True)
    with opened(folder) as house:
        signed = house.consent.log_reader.checkpoint()
    assert note.open_note(signed, [vouched]).verified
    with pytest.raises(note.NoteRefused):
        note.open_note(signed, [before])


def test_a_browser_that_comes_back_with_the_older_cookie_is_known_until_that_key_is_retired(folder):
    old = secret_files.load_secrets(folder)
    cookie = seals.seal_cookie(old.seals, seals.BrowserCookie(b"b" * 16, 1, frozenset({Purpose.SALE})))
    maintenance.replace_key(folder, inside.settings(), RekeyKind.COOKIE)
    assert seals.open_cookie(secret_files.load_secrets(folder).seals, cookie).browser == b"b" * 16
    maintenance.retire(folder, inside.settings(), RekeyKind.COOKIE, early=True)
    with pytest.raises(seals.OpeningFailed):
        seals.open_cookie(secret_files.load_secrets(folder).seals, cookie)


def test_a_browser_whose_cookie_nothing_opens_any_more_is_opted_out_of_everything(folder):
    cookie = seals.seal_cookie(
        secret_files.load_secrets(folder).seals, seals.BrowserCookie(b"b" * 16, 1, frozenset({Purpose.SALE}))
    )
    maintenance.replace_key(folder, inside.settings(), RekeyKind.COOKIE)
    maintenance.retire(folder, inside.settings(), RekeyKind.COOKIE, early=True)
    with opened(folder) as house:
        visitor = Visitors(house.consent).read({"headers": [(b"cookie", f"__Host-gateway={cookie}".encode())]})
    assert (visitor.denied, visitor.cookie.value) == (frozenset(ALL_PURPOSES), "")


def test_every_persons_keys_are_wrapped_anew_before_the_older_wrapping_key_goes(folder):
    opts_out(folder)
    opts_out(folder, named("gaid", GAID))
    with opened(folder) as house, contextlib.closing(house.vault()) as vault:
        before = {row[0]: vault.keys(row[0]) for row in vault._db.execute("SELECT id FROM person")}
        boxes = [box for row in vault._db.execute("SELECT wrapped, openings FROM person") for box in row]
    maintenance.replace_key(folder, inside.settings(), RekeyKind.KEY_ENCRYPTION)
    assert maintenance.retire(folder, inside.settings(), RekeyKind.KEY_ENCRYPTION) == len(before) == 2
    with opened(folder) as house, contextlib.closing(house.vault()) as vault:
        assert {person: vault.keys(person) for person in before} == before
    raw = b"".join(path.read_bytes() for path in folder.glob("vault.sqlite3*"))
    assert not [box for box in boxes if box in raw]


def test_who_opts_out_at_a_service_that_knows_the_older_wrapping_key_alone_keeps_what_opens_their_receipt(folder):
    opts_out(folder)
    with opened(folder) as serving:
        maintenance.replace_key(folder, inside.settings(), RekeyKind.KEY_ENCRYPTION)
        with pytest.raises(LedgerRefused, match="stop the service first"):
            maintenance.retire(folder, inside.settings(), RekeyKind.KEY_ENCRYPTION)
        subjects = serving.consent.people.name([named("gaid", GAID)]).subjects
        choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", AT)
        asyncio.run(serving.consent.choose(subjects, choice))
    assert maintenance.retire(folder, inside.settings(), RekeyKind.KEY_ENCRYPTION) == 2
    with opened(folder) as house, contextlib.closing(house.vault()) as vault:
        known = [vault.keys(row[0]) for row in vault._db.execute("SELECT id FROM person")]
    assert len([each for each in known if each.details and each.openings]) == 2
    assert [step for _, step, _ in leaves(folder)] == ["replaced", "retired"], "a refusal leaves no entry"


def test_no_key_of_the_older_pepper_is_left_in_the_raw_files(folder):
    opts_out(folder)
    opts_out(folder, named("gaid", GAID))
    with contextlib.closing(schema.open_to_read(folder)) as db:
        before = [key for key, *_ in led(db) if key]
    held = b"".join(path.read_bytes() for path in folder.glob("ledger.sqlite3*"))
    assert all(key in held for key in before), "the control: they were there"
    maintenance.pepper(folder, inside.settings())
    raw = b"".join(path.read_bytes() for path in folder.glob("ledger.sqlite3*"))
    assert not [key for key in before if key in raw]
    assert denied(folder)


def test_a_new_pepper_waits_for_the_work_behind_its_commit_however_long_that_takes(folder, monkeypatch, caplog):
    """And is no doubt to the process that made it, which looks at the ledger on the way."""
    opts_out(folder)
    joins = Writer._join_runs

    def slowly(writer):
        time.sleep(PERIOD + 0.3)
        joins(writer)

    monkeypatch.setattr("gateway.ledger.writer.ENDS_WITHIN", 0.1)
    monkeypatch.setattr(Writer, "_join_runs", slowly)
    assert maintenance.pepper(folder, inside.settings())[1] == 2
    assert len(secret_files.load_secrets(folder).peppers) == 2
    assert caplog.messages == []


@pytest.mark.parametrize("said_no_between", [False, True])
def test_who_asked_to_opt_in_before_a_new_pepper_confirms_after_it_unless_they_said_no_between(folder, said_no_between):
    asked, confirmed = (Document(kind, "1", "en", kind.encode()).notice for kind in ("opt-in", "confirm"))
    with opened(folder) as house:
        subjects = house.consent.people.name([ADDRESS]).subjects
        choice = Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", datetime.now(UTC), notice=asked)
        token, _ = house.consent.ask_to_confirm(subjects, choice)
    if said_no_between:
        opts_out(folder)
    maintenance.pepper(folder, inside.settings())
    with opened(folder) as house:
        subjects = house.consent.people.name([ADDRESS]).subjects
        if said_no_between:
            with pytest.raises(Refused, match="opt-out"):
                asyncio.run(house.consent.confirm(token, confirmed))
        else:
            asyncio.run(house.consent.confirm(token, confirmed))
        found = house.consent.checks.read_back(subjects, [Purpose.SALE])
    assert found == {"sale": "opted_out" if said_no_between else "opted_in"}


def test_a_new_pepper_is_an_entry_in_the_transaction_that_rewrites_the_rows(folder):
    maintenance.pepper(folder, inside.settings(), lambda: AT)
    assert leaves(folder) == [("pepper", "replaced", None)]
    with opened(folder) as house:
        assert note.parse_checkpoint(note.text_of(house.consent.log_reader.checkpoint())).size == 1
