"""Whoever watches the service learns that a witness does not sign any more, and by nothing else would."""

import asyncio
import contextlib

import pytest
from support import inside
from support.log import verifiers
from support.people import email, named

from gateway.app.composition import publisher_of
from gateway.consent import witnesses
from gateway.consent.verbs import Choice
from gateway.consent.witnesses import MISSED, KnownWitness, Witnessing
from gateway.ledger.audit.log_reader import LogReader
from gateway.ledger.audit.witness import Witness as Signing
from gateway.ledger.audit.witness import WitnessSeen
from gateway.ledger.proof.ed25519 import CosignatureVerifier, Cosigner
from gateway.ledger.publisher import RolledBack
from gateway.terms import ChoiceKind, Purpose

OWN = Cosigner("witness.example.com/w1", b"w" * 32, lambda: 1_700_000_000)
ADDRESS = KnownWitness("https://witness.example.com/w1", CosignatureVerifier(OWN.name, OWN.public))


@pytest.fixture
def signing(house, folder, tmp_path):
    """A log in which something happened, and a witness that can be taken away."""
    subjects = house.consent.people.name([named("email", email(1))]).subjects
    choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", house.consent.clock())
    asyncio.run(house.consent.choose(subjects, choice))
    own = Signing(tmp_path, [OWN], verifiers(folder))

    def post(_, body):
        if post.away:
            raise OSError("ConnectError")
        try:
            if post.seen:
                raise WitnessSeen(post.seen)
            return 200, "text/plain", own.add_checkpoint(body).encode()
        except WitnessSeen as seen:
            return 409, witnesses.SIZE_TYPE, b"%d\n" % seen.size

    post.away, post.seen = False, 0
    return Witnessing(folder, house.consent.log_reader, {"auditor": ADDRESS}, post, 1), post


def test_a_witness_that_stays_away_is_an_alarm_until_it_signs_again(signing):
    looks, post = signing
    looks.ask()
    post.away = True
    for _ in range(MISSED - 1):
        looks.ask()
    assert looks.alarms() == [], "it may be starting again"
    looks.ask()
    [alarm] = looks.alarms()
    assert "the witness 'auditor' does not sign (https://witness.example.com/w1 was not reached: ConnectError)" in alarm
    post.away = False
    looks.ask()
    assert looks.alarms() == []


def test_a_log_that_a_witness_stopped_is_stopped_in_whatever_begins_anew_until_that_witness_signs(
    signing, folder, house
):
    looks, post = signing

    def begun():
        publisher = publisher_of(folder, inside.settings(), house.secrets)
        return publisher, Witnessing(folder, LogReader(house.writer.store, publisher), {"auditor": ADDRESS}, post, 1)

    def answers():
        publisher, again = begun()
        with contextlib.suppress(RolledBack), contextlib.closing(house.writer.store.open_to_read()) as db:
            return publisher.prove(db), again
        return False, again

    looks.ask()
    post.seen = 1_000
    looks.ask()
    post.away = True
    for _ in range(2):
        found, again = answers()
        assert not found, "it answers from the ledger that was put back"
        again.ask()
    post.away, post.seen = False, 0
    again.ask()
    assert answers()[0]


@pytest.mark.anyio
async def test_an_operator_is_told_where_other_alarms_are(tmp_path, monkeypatch):
    monkeypatch.setattr(witnesses, "MISSED", 1)
    config = tmp_path / "gateway.toml"
    config.write_text(f'[witnesses]\nauditor = {{ url = "http://127.0.0.1:1", key = "{OWN.vkey}" }}\n')
    async with (
        inside.application(tmp_path / "data", inside.settings(config)) as app,
        inside.client(app) as calling,
    ):
        body = {"identifiers": [named("email", email(1))], "choice": "opt_out"}
        for _ in range(100):  # the first look is at the start, and may find an empty log
            await calling.post("/v1/choices", json=body, headers=inside.DEV)
            ready = await calling.get("/readyz?strict")
            if any("auditor" in alarm for alarm in ready.json()["alarms"]):
                break
            await asyncio.sleep(0.1)
        assert ready.status_code == 200, "checks go on"
        assert any("the witness 'auditor' does not sign" in alarm for alarm in ready.json()["alarms"])
        assert "gateway_witnesses_away 1.0" in (await calling.get("/metrics")).text
