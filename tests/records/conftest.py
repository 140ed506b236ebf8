"""Fixtures of the exports' tests: people who chose, and what is known of one choice."""

import os
from datetime import UTC, datetime

import pytest

from gateway.desk import documents
from gateway.desk.documents import NOTICE, Document
from gateway.desk.evidence import Period, note_period
from gateway.ledger.acts import records
from gateway.ledger.subjects import Choice
from gateway.records import consent_records
from gateway.terms import ChoiceKind, Purpose

TOLD = {
    "name": "Example Phones Inc.",
    "address": "1 Example Way, Springfield",
    "contact": "Privacy Office",
    "email": "privacy@example.com",
    "phone": "+1 415 555 0100",
    "url": "https://www.example.com",
    "jurisdiction": "US-CA",
    "storage_locations": ["US"],
    "retention": "36 months",
    "withdrawal": "Your Privacy Choices",
}
NOBODY = {name: [] if name == "storage_locations" else "" for name in TOLD}
REGISTRY = (
    b'{"teemo":{"role":"third_party","purposes":["sale"],"data":["ad_id","precise_geo"]},'
    b'"payments":{"role":"service_provider","purposes":["service"],"data":["contact"]}}'
)
LOGGED = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def in_force(house):
    """The recipients are on record, as a start of the service puts them there."""

    def put(at):
        period = Period(os.urandom(16), "run", "start", at, at)
        house.writer.submit(lambda tx: note_period(tx, period, [Document("recipients", "1", "", REGISTRY)], at)).result(
            60
        )

    return put


@pytest.fixture
def says(house):
    """Somebody chooses; answers the entry that was written."""

    def say(subjects, kind="opt_out", *purposes, at, **more):
        choice = Choice(ChoiceKind(kind), purposes or (Purpose.SALE,), more.pop("source", "api"), at, **more)
        request = os.urandom(16)
        return house.writer.submit(
            lambda tx: [records.write_choice(tx, each, choice, request) for each in subjects]
        ).result(60)

    return say


@pytest.fixture
def notice(house):
    """A notice that was logged before what these tests tell of, whatever day it is today."""
    document = Document(NOTICE, "7", "en", b"You may say no.")
    house.writer.submit(lambda tx: documents.log(tx, document, LOGGED)).result(60)
    return document.notice


@pytest.fixture
def known(house, folder):
    """What is known of an event, with what the operator says of itself."""

    def read(event, controller=TOLD, url="https://www.example.com/privacy"):
        vault = house.vault()
        try:
            return consent_records.read_material(folder, event, vault.keys, controller, url)
        finally:
            vault.close()

    return read
