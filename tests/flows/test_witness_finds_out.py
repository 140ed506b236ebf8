"""A real installation and a real witness: what nothing on the operator's own disks can tell, the witness can."""

import asyncio
import contextlib
import shutil
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from support import example, inside
from support.log import verifiers
from support.people import email, named
from support.service import service
from support.wire import call
from support.witnessed import witness

from gateway.app.composition import open_house
from gateway.consent import witnesses
from gateway.consent.witnesses import WitnessDisagrees, submit
from gateway.keys import seals
from gateway.ledger import publisher
from gateway.ledger.proof import note, receipt
from gateway.ledger.proof.ed25519 import CosignatureVerifier, Ed25519Signer
from gateway.ledger.subjects import Choice
from gateway.terms import ChoiceKind, Purpose

pytestmark = pytest.mark.slow
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def opt_out(house, number):
    """The event of a made-up person's opt-out."""
    subjects = house.consent.people.name([named("email", email(number))]).subjects
    chosen = asyncio.run(house.consent.choose(subjects, Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", AT)))
    return seals.unb64(chosen.events[0]["event"])


def cosigned(house, address):
    log = house.consent.log_reader
    signed = log.checkpoint()
    return witnesses.cosigned(signed, address, lambda old: log.consistency(old, size(signed)), submit)


def size(text):
    return note.parse_checkpoint(note.text_of(text)).size


def published(folder):
    """The log's verifier key, as its operator publishes it."""
    with open_house(folder, inside.settings(), dev=True) as house:
        return Ed25519Signer(house.consent.log_reader.origin(), house.secrets.signing[0]).vkey


@contextlib.contextmanager
def watched(folder, state):
    with witness(state, published(folder)) as (url, vkey, _):
        yield witnesses.KnownWitness(url, CosignatureVerifier.from_vkey(vkey))


def test_a_persons_receipt_bears_the_witness_and_a_folder_that_was_put_back_with_its_store_is_found_out(
    folder, tmp_path
):
    store, away = publisher.checkpoints_beside(folder), tmp_path / "away"
    with watched(folder, tmp_path / "state") as address:
        with open_house(folder, inside.settings(), dev=True) as house:
            opt_out(house, 1)
            first = cosigned(house, address)
        for part in (folder, store):
            shutil.copytree(part, away / part.name)

        with open_house(folder, inside.settings(), dev=True) as house:
            event = opt_out(house, 2)
            text = cosigned(house, address)
            [made] = house.consent.log_reader.receipts([event])
        assert size(text) == size(first) + 1
        read = receipt.parse_receipt(receipt.Receipt(made.index, made.proof, text, made.entry).text())
        assert receipt.verify_receipt(read, verifiers(folder)).size == size(text)
        assert len(note.open_note(read.note, [address.key]).verified) == 1

        for part in (folder, store):  # the second person's opt-out is forgotten, and nothing here knows
            shutil.rmtree(part)
            shutil.copytree(away / part.name, part)
        with open_house(folder, inside.settings(), dev=True) as house:
            assert size(house.consent.log_reader.checkpoint()) == size(first)
            with pytest.raises(WitnessDisagrees, match=f"a witness signed {size(text)} entries"):
                cosigned(house, address)
            for number in (3, 4):  # and growing again hides nothing
                opt_out(house, number)
                with pytest.raises(WitnessDisagrees, match=f"another tree at {size(text)} entries"):
                    cosigned(house, address)


def test_a_log_that_only_grew_is_signed_through_restarts_of_both(folder, tmp_path):
    """Control: without a rollback the witness never disagrees."""
    sizes = []
    for number in range(3):
        with watched(folder, tmp_path / "state") as address, open_house(folder, inside.settings(), dev=True) as house:
            opt_out(house, number)
            sizes.append(size(cosigned(house, address)))
    assert sizes == sorted(set(sizes))
    assert len(sizes) == 3


def until(true, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.1)
    return true()


def ready(url):
    try:
        urllib.request.urlopen(f"{url}/readyz", timeout=60).close()
    except urllib.error.HTTPError as answered:
        answered.close()
        return False
    return True


def receipt_of(url, event):
    with urllib.request.urlopen(f"{url}/privacy-choices/receipt/{event}", timeout=60) as answer:
        return receipt.parse_receipt(answer.read().decode())


def signatures(made):
    return [each.name for each in note.split_note(made.note)[1]]


def test_the_service_shows_each_checkpoint_to_its_witness_and_stops_when_that_saw_more(tmp_path):
    """Both put back: nothing local can tell; with a witness it is caught, nobody is allowed, and opt-outs are kept."""
    data, config = inside.install(tmp_path / "data"), tmp_path / "gateway.toml"
    store = publisher.checkpoints_beside(data)
    body = {"identifiers": [named("email", email(1))], "choice": "opt_out"}
    asked = {"identifiers": [named("email", email(9))], "recipient": "teemo", "place": "US-NY"}
    with witness(tmp_path / "state", published(data)) as (address, vkey, _):
        config.write_text(
            example.over(
                f'[ledger]\nwitness_seconds = 1\n[witnesses]\nauditor = {{ url = "{address}", key = "{vkey}" }}\n'
            )
        )
        with service(tmp_path, "--config", str(config)) as running:
            event = call(f"{running.url}/v1/choices", body)[1]["event"]
            name = CosignatureVerifier.from_vkey(vkey).name
            assert until(lambda: name in signatures(receipt_of(running.url, event)))
            made = receipt_of(running.url, event)
            assert receipt.verify_receipt(made, verifiers(data)).size >= made.index
        for part in (data, store):
            shutil.copytree(part, tmp_path / "away" / part.name)
        with service(tmp_path, "--config", str(config)) as running:
            call(f"{running.url}/v1/choices", body)
            grown = call(f"{running.url}/v1/choices", body)[1]["event"]
            assert until(lambda: name in signatures(receipt_of(running.url, grown)))
        for part in (data, store):
            shutil.rmtree(part)
            shutil.copytree(tmp_path / "away" / part.name, part)
        with service(tmp_path, "--config", str(config), sign="livez") as running:  # it may be told before it is ready
            assert until(lambda: "gateway restore --new-log" in running.log.read_text()), "the witness saw more"
            assert until(lambda: not ready(running.url))
            status, verdicts = call(f"{running.url}/v1/check", asked)
            assert (status, verdicts["allowed"], verdicts["reason"]) == (200, False, "stale")
            status, kept = call(f"{running.url}/v1/choices", body)
            assert (status, kept["effective_at"]) == (202, None)
