import asyncio
import base64
import hashlib
import hmac
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import structlog
from click.testing import CliRunner
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from support import inside
from support.people import email, named, phone
from support.trees import Tree
from support.witnessed import Log

from gateway.app import composition, service
from gateway.cli.root import group
from gateway.ledger.entry import b64
from gateway.ledger.proof import ed25519, merkle, mldsa, note, policy, receipt, verifier_keys
from gateway.ledger.proof.mldsa import MldsaSigner
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
        return self.command("receipt", "verify", self.file("it", content), "--log", key or self.key, *more, *words)

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
        lambda text: re.sub("(\n\n.*\n.*\n.*\n\n.*).{9}=\n", r"\1AAAAAAAA=\n", text),  # the signature
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
    again, before = (receipt.parse_receipt(text) for text in (bare.stdout, person.receipts[0]))
    assert (again.index, again.proof, again.entry) == (before.index, before.proof, before.entry)
    assert note.text_of(again.note) == note.text_of(before.note)
    assert "opening" not in bare.stdout
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


# --- either signature, and a policy ----------------------------------------------------------------------------------


def test_a_receipt_is_proved_by_either_of_the_logs_keys_alone_and_says_by_which(person):
    lasting = person.command("ledger", "key", "--ml-dsa", "--data", person.folder).stdout.strip()
    first = person.verify(person.receipts[0])
    assert (first.exit_code, "by the log's key of Ed25519\n" in first.output) == (0, True)
    second = person.verify(person.receipts[0], key=lasting)
    assert (second.exit_code, "by the log's key of ML-DSA-44\n" in second.output) == (0, True)
    both = person.verify(person.receipts[0], "--log", lasting)
    assert (both.exit_code, "by the log's key of Ed25519 and ML-DSA-44\n" in both.output) == (0, True)


def test_the_receipt_in_the_answer_to_a_choice_stays_small_and_is_proved_by_the_first_key(person):
    """What is handed out on the spot has one line; what is fetched, to be kept, has one more for each checkpoint."""
    with composition.open_house(person.folder, inside.settings()) as house:
        chosen = asyncio.run(
            house.consent.choose(
                house.consent.people.name([named("email", email(2))]).subjects,
                Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, Source.FORM, AT, "US-CA"),
            )
        )
        [event] = chosen.events
        [small] = house.consent.log_reader.receipts_at_hand([(event["event"], event["seq"])])
        [kept] = house.consent.log_reader.receipts([base64.urlsafe_b64decode(event["event"] + "==")])
    assert len(small.text()) < 1500
    assert kept.text().startswith(small.text())
    assert kept.text().removeprefix(small.text()).count("\n") == 1
    assert person.verify(small.text()).exit_code == 0


def test_no_commit_and_no_answer_waits_for_the_second_signature(person, monkeypatch):
    """It takes ten times as long as the first, and is made for what is fetched."""

    def signs(*_):
        raise AssertionError("the second key signed")

    monkeypatch.setattr(MldsaSigner, "sign", signs)
    with composition.open_house(person.folder, inside.settings()) as house:
        subjects = house.consent.people.name([named("email", email(3))]).subjects
        choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, Source.FORM, AT, "US-CA")
        [event] = asyncio.run(house.consent.choose(subjects, choice)).events
        assert house.consent.log_reader.receipts_at_hand([(event["event"], event["seq"])])
        assert house.consent.log_reader.tile(0, 0, 1)
        with pytest.raises(AssertionError, match="the second key signed"):
            house.consent.log_reader.checkpoint()


def test_the_policy_that_the_log_prints_proves_its_receipts(person):
    printed = person.command("ledger", "policy", "--data", person.folder).stdout
    assert [line.split(" ")[0] for line in printed.splitlines()] == ["log", "log", "quorum"]
    told = person.command(
        "receipt", "verify", person.file("it", person.receipts[0]), "--policy", person.file("p", printed)
    )
    assert told.exit_code == 0
    assert "Ed25519 and ML-DSA-44" in told.output
    assert "operator's word" in told.output  # no witness is asked for
    asked = person.command("ledger", "policy", "--quorum", "1", "--data", person.folder)
    assert (asked.exit_code, asked.stdout) == (2, "")  # there is no witness: what is printed would ask for nobody


def test_on_a_machine_without_ml_dsa_the_log_goes_on_with_ed25519_and_says_so(person, monkeypatch):
    """OpenSSL before 3.5 under a `cryptography` of the system's own."""
    lasting = person.command("ledger", "key", "--ml-dsa", "--data", person.folder).stdout.strip()

    def unsupported(*_):
        raise UnsupportedAlgorithm("not supported by this backend")

    monkeypatch.setattr(MLDSA44PrivateKey, "from_seed_bytes", unsupported)
    monkeypatch.setattr(MLDSA44PublicKey, "from_public_bytes", unsupported)
    with composition.open_house(person.folder, inside.settings()) as house:
        subjects = house.consent.people.name([named("email", email(4))]).subjects
        choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, Source.FORM, AT, "US-CA")
        [event] = asyncio.run(house.consent.choose(subjects, choice)).events
        [made] = house.consent.log_reader.receipts([base64.urlsafe_b64decode(event["event"] + "==")])
        assert note.open_note(house.consent.log_reader.checkpoint(), [verifier_keys.log_key(person.key)])
    assert person.verify(made.text()).exit_code == 0
    told = person.verify(made.text(), key=lasting)
    assert (told.exit_code, mldsa.NOT_HERE in told.output) == (2, True)
    assert mldsa.NOT_HERE in person.command("ledger", "key", "--ml-dsa", "--data", person.folder).stderr
    printed = person.command("ledger", "policy", "--data", person.folder)
    assert (printed.exit_code, printed.stdout) == (0, f"log {person.key}\nquorum none\n")
    assert mldsa.NOT_HERE in printed.stderr
    assert person.command("rekey", "signing", "--data", person.folder).exit_code == 0
    with structlog.testing.capture_logs() as logged:
        service.tell_unsaid(inside.settings(), AT.date())
    assert mldsa.NOT_HERE in [line.get("why") for line in logged]


def test_what_a_receipt_or_a_policy_calls_itself_moves_no_terminal(person, tmp_path):
    forged = re.sub("\n\n.*\n", "\n\nlog\x9b2Jproved\x7f\u202e\n", person.receipts[0], count=1)
    told = person.verify(forged)
    assert (told.exit_code, r"log\u009b2Jproved\u007f\u202e" in told.output) == (1, True)
    (tmp_path / "p").write_bytes(b"witness \xff " + PLANTED.auditor.vkey.encode() + b"\nquorum \xff\n")
    told = person.verify(person.receipts[0], "--policy", tmp_path / "p")
    assert (told.exit_code, r"asks for 1 of \udcff" in told.output) == (1, True)


def test_without_any_log_to_believe_nothing_is_checked(person):
    it = person.file("it", person.receipts[0])
    assert person.command("receipt", "verify", it).exit_code == 2
    assert person.command("receipt", "verify", it, "--policy", person.file("p", "quorum none\n")).exit_code == 2
    told = person.command("receipt", "verify", it, "--policy", person.file("p", "log x\nquorum none\n"))
    assert (told.exit_code, "line 1 of the policy" in told.output) == (2, True)
    told = person.command("receipt", "verify", it, "--log", person.key, "--policy", person.file("p", "quorum none\n"))
    assert told.exit_code == 0


class Planted:
    """A log of forty entries of ours, its receipts, and what others made of them."""

    log, fork, other = Log(), Log(fork=3), Log("other.example.com/log")
    auditor = ed25519.Cosigner("witness.example.com/w1", b"w" * 32, lambda: 1_795_000_000)

    def receipt(self, log=None, size=20, index=5, signers=(), more=""):
        log = log or self.log
        proof = tuple(merkle.inclusion(index, size, log.tree.node))
        signed = log.signed(size, log.signer, MldsaSigner(log.signer.name, log.signer.seed), *signers)
        return receipt.Receipt(index, proof, signed + more, b"other" if log is self.fork else b"entry %d" % index)

    @property
    def policy(self):
        lasting = MldsaSigner(self.log.signer.name, self.log.signer.seed)
        witnesses = {"auditor": self.auditor.vkey}
        return policy.write_policy([self.log.vkey, lasting.vkey], witnesses, 1)

    def of_an_older_size(self):
        lines = self.log.signed(7, self.log.signer, self.auditor).splitlines(keepends=True)
        return self.receipt(more=lines[-1])

    def of_another_key(self):
        other = ed25519.Ed25519Signer(self.log.signer.name, b"x" * 32)
        return replace(self.receipt(), note=self.log.signed(20, other))


PLANTED = Planted()
FAULTS = {
    "wrong origin": (PLANTED.receipt(log=PLANTED.other), "the checkpoint is of other.example.com/log, and no key"),
    "old size": (PLANTED.of_an_older_size(), "the signature of witness.example.com/w1 does not hold"),
    "a line of another key": (PLANTED.of_another_key(), "no key that is believed signed for consent.example.com/log"),
    "no witness": (PLANTED.receipt(), "the policy asks for 1 of auditor"),
    "another entry": (replace(PLANTED.receipt(signers=[PLANTED.auditor]), entry=b"{}"), "the leaf is not in the tree"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_receipt_with_a_fault_is_refused_and_told_which(tmp_path, fault):
    planted, why = FAULTS[fault]
    told = verified_by_policy(tmp_path, planted.text())
    assert (told.exit_code, f"NOT PROVED: {why}" in told.output) == (1, True), told.output


def test_the_control_a_receipt_without_a_fault_is_proved_by_the_same_policy(tmp_path):
    body = b'{"e":"opt_out"}'
    alone = Tree(1, [body])
    signed = note.sign(
        note.Checkpoint(PLANTED.log.signer.name, 1, alone.leaves[0]).text(), [PLANTED.log.signer, PLANTED.auditor]
    )
    told = verified_by_policy(tmp_path, receipt.Receipt(0, (), signed, body).text())
    assert told.exit_code == 0, told.output
    assert "the policy's witness auditor has seen the same log" in told.output
    assert "operator's word" not in told.output


def test_two_receipts_of_two_pasts_of_one_log_are_told_as_equivocation(tmp_path):
    """Each alone is proved, and together they are the evidence against who holds the key."""
    pair = []
    for body in (b'{"e":"opt_out"}', b'{"e":"opt_in"}'):
        text = note.Checkpoint(PLANTED.log.signer.name, 1, merkle.leaf_hash(body)).text()
        signed = note.sign(text, [PLANTED.log.signer, PLANTED.auditor])
        pair.append(receipt.Receipt(0, (), signed, body).text())
    assert [verified_by_policy(tmp_path, text).exit_code for text in pair] == [0, 0]
    told = verified_by_policy(tmp_path, json.dumps({"proofs": [{"receipt": text} for text in pair]}))
    assert (told.exit_code, "NOT PROVED: equivocation" in told.output) == (1, True)


def verified_by_policy(tmp_path, text):
    (tmp_path / "it").write_text(text)
    (tmp_path / "policy").write_text(PLANTED.policy)
    return CliRunner().invoke(
        group, ["receipt", "verify", str(tmp_path / "it"), "--policy", str(tmp_path / "policy")], catch_exceptions=False
    )
