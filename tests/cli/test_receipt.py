import asyncio
import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support import inside
from support.people import email, named, phone

from gateway.app import composition
from gateway.cli.root import group
from gateway.ledger.proof import ed25519, note, receipt
from gateway.ledger.proof.entry import b64
from gateway.ledger.proof.receipt import Opening
from gateway.ledger.subjects import Choice
from gateway.terms import ALL_PURPOSES, ChoiceKind, Source

AT = datetime(2026, 11, 24, 12, 34, tzinfo=UTC)


class Person:
    """Somebody who opted an e-mail address and a number out, and kept what they were given."""

    def __init__(self, folder, tmp_path):
        self.folder, self.tmp = folder, tmp_path
        with composition.open_house(folder, inside.settings()) as house:
            subjects = house.consent.people.name([named("email", email(1)), named("phone", phone(1))]).subjects
            choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, Source.FORM, AT, "US-CA")
            self.chosen = asyncio.run(house.consent.choose(subjects, choice))
            self.events = [str(each["event"]) for each in self.chosen.events]
            found = house.consent.log_reader.receipts([base64.urlsafe_b64decode(event + "==") for event in self.events])
        self.receipts = [each.text() for each in found]
        self.key = self.command("ledger", "key", "--data", folder).stdout.strip()

    def command(self, *words):
        return CliRunner().invoke(group, [str(word) for word in words], catch_exceptions=False)

    def file(self, name, content):
        path = self.tmp / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def verify(self, content, *words, opening=None, key=None):
        more = ["--opening", self.file("opening.json", opening)] if opening is not None else []
        return self.command("receipt", "verify", self.file("it", content), "--key", key or self.key, *more, *words)

    @property
    def download(self):
        pairs = zip(self.receipts, self.chosen.openings, strict=True)
        return {"proofs": [{"receipt": text, "opening": opening.to_json()} for text, opening in pairs]}


@pytest.fixture
def person(folder, tmp_path):
    return Person(folder, tmp_path)


def test_a_stranger_checks_a_receipt_with_the_public_key_alone(person):
    told = person.verify(person.receipts[0])
    assert told.exit_code == 0
    assert (
        "proved: opt_out profiling, sale, sensitive, sharing, targeted_ads by form at 2026-11-24T12:34Z" in told.output
    )
    assert "a receipt names nobody" in told.output
    assert "rests on its\n  operator's word" in told.output


def test_receipt_and_opening_show_a_stranger_that_the_entry_is_about_this_address(person):
    told = person.verify(person.receipts[0], opening=person.chosen.openings[0].to_json())
    assert told.exit_code == 0
    assert f"it is about the email {email(1)!r}" in told.output


def test_the_download_is_checked_whole(person):
    told = person.verify(person.download)
    assert told.exit_code == 0
    assert told.output.count("proved: ") == 2
    assert f"{phone(1)!r}" in told.output


@pytest.mark.parametrize("guess", [email(1), email(2)])
def test_the_receipt_alone_cannot_be_tested_against_an_address(person, guess):
    """R16. No hash of the address, bare or keyed with anything that the receipt holds, stands in it."""
    text = person.receipts[0]
    leaf = json.loads(receipt.parse_receipt(text).entry)
    known = [value.encode() for value in leaf.values() if isinstance(value, str)]
    known += [base64.urlsafe_b64decode(word + b"==") for word in known if len(word) in (22, 43)]
    known += [receipt.parse_receipt(text).entry, b"", b"consent/details/1\x00"]
    messages = [guess.encode(), b"email\x00" + guess.encode(), hashlib.sha256(guess.encode()).digest()]
    tried = [hmac.digest(key, message, "sha256") for key in known for message in messages]
    tried += [hashlib.sha256(message).digest() for message in messages]
    held = base64.urlsafe_b64decode(leaf["s"] + "="), base64.urlsafe_b64decode(leaf["d"] + "=")
    assert not set(tried) & set(held)
    assert guess not in text
    assert person.events[1] not in text  # nor what else was said with it


def test_the_guess_that_fails_without_the_secret_is_right_with_it(person):
    """The control of the test above."""
    leaf = json.loads(receipt.parse_receipt(person.receipts[0]).entry)
    opening = person.chosen.openings[0]
    made = hmac.digest(opening.secret, b"email\x00" + email(1).encode(), "sha256")
    assert b64(made) == leaf["s"]


def test_receipt_and_opening_hold_after_the_pepper_was_rotated_and_the_log_has_grown(person):
    assert person.command("rekey", "pepper", "--data", person.folder).exit_code == 0
    person.command("choose", "opt_out", "--email", email(3), "--data", person.folder)
    assert person.verify(person.download).exit_code == 0
    again = person.command("receipt", "show", person.events[0], "--email", email(1), "--data", person.folder)
    assert again.exit_code == 0
    shown = json.loads(again.stdout)["proofs"][0]
    assert shown["opening"] == person.chosen.openings[0].to_json()
    assert person.verify({"proofs": [shown]}).exit_code == 0


@pytest.mark.parametrize(
    "change",
    [
        {"value": email(2)},
        {"kind": "account"},
        {"rs": b64(bytes(32))},
        {"rs": "short"},
        {"rs": 7},
    ],
)
def test_an_opening_that_is_not_the_entrys_proves_nothing(person, change):
    told = person.verify(person.receipts[0], opening=person.chosen.openings[0].to_json() | change)
    assert (told.exit_code, told.output.startswith("NOT PROVED")) == (1, True)


def test_the_opening_of_another_entry_of_the_same_person_proves_nothing(person):
    told = person.verify(person.receipts[0], opening=person.chosen.openings[1].to_json())
    assert told.exit_code == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("index 1\n", "index 0\n"),
        lambda text: text.replace("index ", "index 1"),
        lambda text: text[:60] + ("A" if text[60] != "A" else "B") + text[61:],
        lambda text: text[:-10] + "A" * 9 + "\n",
        lambda text: re.sub("extra .*\n", "", text),
        lambda text: text.partition("\n\n")[0],
        lambda text: "",
        lambda text: "[]",
        lambda text: '{"proofs": []}',
        lambda text: '{"proofs": [{"opening": {}}]}',
        lambda text: '{"proofs": [3]}',
        lambda text: "\xff",
        lambda text: "[" * 100_000,
    ],
    ids=range(13),
)
def test_a_receipt_that_was_changed_is_not_proved_and_says_so(person, spoil):
    told = person.verify(spoil(person.receipts[1]))
    assert (told.exit_code, told.output.startswith("NOT PROVED")) == (1, True)


def test_a_receipt_of_another_log_is_not_proved(person):
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    name = person.key.partition("+")[0]
    assert person.verify(person.receipts[0], key=note.vkey(name, 1, other)).exit_code == 1
    assert person.verify(person.receipts[0], key="nonsense").exit_code == 2


class TestAWitness:
    @pytest.fixture
    def witness(self):
        key = Ed25519PrivateKey.generate()
        return key, note.vkey("witness.example.com", ed25519.COSIGNATURE_KIND, key.public_key().public_bytes_raw())

    def cosigned(self, text, witness, time=1_795_000_000):
        key, vkey = witness
        shown = receipt.parse_receipt(text)
        message = b"cosignature/v1\ntime %d\n" % time + note.text_of(shown.note).encode()
        signature = note.Signature(
            "witness.example.com", note.read_vkey(vkey).key_id, time.to_bytes(8, "big") + key.sign(message)
        )
        return text + note.line(signature)

    def test_that_signed_too_is_told_and_the_operators_word_is_no_longer_needed(self, person, witness):
        told = person.verify(self.cosigned(person.receipts[0], witness), "--witness", witness[1])
        assert told.exit_code == 0
        assert "the witness witness.example.com has seen the same log" in told.output
        assert "operator's word" not in told.output

    def test_that_did_not_sign_is_missed(self, person, witness):
        assert person.verify(person.receipts[0], "--witness", witness[1]).exit_code == 1

    def test_whose_time_was_changed_is_refused(self, person, witness):
        text = self.cosigned(person.receipts[0], witness)
        head, _, coded = text.rstrip("\n").rpartition(" ")
        raw = bytearray(base64.b64decode(coded))
        raw[11] ^= 1
        told = person.verify(f"{head} {base64.b64encode(raw).decode()}\n", "--witness", witness[1])
        assert told.exit_code == 1

    def test_is_no_log_and_a_log_is_no_witness(self, person, witness):
        assert person.verify(person.receipts[0], key=witness[1]).exit_code == 2
        assert person.verify(person.receipts[0], "--witness", person.key).exit_code == 2


def test_the_desk_shows_a_bare_receipt_to_anybody_and_the_opening_only_of_who_it_is_about(person):
    bare = person.command("receipt", "show", person.events[0], "--data", person.folder)
    assert bare.stdout == person.receipts[0]
    other = person.command("receipt", "show", person.events[0], "--email", email(2), "--data", person.folder)
    assert (other.exit_code, other.stdout) == (1, "")
    assert person.command("receipt", "show", b64(bytes(16)), "--data", person.folder).exit_code == 1
    assert person.command("receipt", "show", "ö", "--data", person.folder).exit_code == 2


def test_who_has_a_number_now_gets_no_opening_of_what_was_said_on_it_before(person):
    """R5. The control: its holder of then got it."""
    show = ("receipt", "show", person.events[1], "--phone", phone(1), "--data", person.folder)
    assert person.command(*show).exit_code == 0
    with composition.open_house(person.folder, inside.settings()) as house:
        number = house.consent.people.name([named("phone", phone(1))]).subjects
        account = house.consent.people.account("")
        from gateway.ledger.acts.links import Span

        asyncio.run(house.consent.link(account, number, Span(0), released=True))
    assert person.command(*show).exit_code == 1


def test_an_opening_is_never_printed_by_accident(person):
    """repr() of what holds it shows neither the value nor the secret."""
    opening = person.chosen.openings[0]
    assert isinstance(opening, Opening)
    for text in (repr(opening), repr(person.chosen)):
        assert email(1) not in text
        assert opening.secret.hex() not in text
