"""Whoever opted out by one spelling of an identifier is denied by every other, at whichever doors (R2, R23). SOAK=1:
every pair at every door that answers many at once (`support.examples`); else each at every second of them.
"""

import re
import unicodedata
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from support import spellings
from support.spellings import DOORS_IN, DOORS_OUT, Service, Tried

from gateway.choice.identity import KINDS, device, email_address, kinds, phone_number, reading, spelling
from gateway.consent import people as gateway_people
from gateway.consent.people import People
from gateway.keys.secret_files import Secrets

pytestmark = pytest.mark.anyio


@pytest.mark.slow
def test_whoever_opted_out_by_one_spelling_is_denied_by_every_other_at_every_door(tmp_path, vectors, figure):
    groups, foreign = spellings.ours(), spellings.outside(vectors)
    listed = sorted({each.kind for each in groups})
    every, found = [*groups, *foreign], Tried()
    with Service(tmp_path / "before") as service:
        goes = spellings.learn(service, every)
    for turn, door in enumerate(DOORS_IN):
        with Service(tmp_path / f"{turn}") as service:
            found.add(spellings.tried(service, door, every, turn))
    print("\n".join(spellings.matrix(found, listed)))
    total = sum(found.pairs.values())
    figure(
        "spellings",
        f"{len(every)} groups, {len(foreign)} not ours; {total} pairs; {len(found.wrong)} wrong allows, "
        f"{len(found.merged)} wrong merges",
    )
    assert (found.wrong, found.merged) == ([], [])
    assert spellings.empty(found, listed) == []
    assert total >= 20_000
    assert len(foreign) >= len(every) / 4
    silent = {
        (kind, out) for kind in listed for out in DOORS_OUT if not spellings.why_not(out, kind) and not goes[kind, out]
    }
    assert silent == set(), "the control: while nobody has said no, something of each kind goes at each door"


@pytest.mark.slow
def test_an_app_key_and_a_form_say_no_by_spellings_that_are_asked_about_in_batches(tmp_path):
    """The quick part of the table: two doors in, one door out."""
    groups, found = spellings.ours(), Tried()
    with Service(tmp_path) as service:
        found.add(spellings.tried(service, "app key", groups, 3, ("checks",)))
    assert (found.wrong, found.merged) == ([], [])


@pytest.mark.slow
def test_nobodys_yes_opens_what_somebody_elses_no_closed(tmp_path):
    with Service(tmp_path) as service:
        assert spellings.opened_by_another(service, spellings.ours()) == []


def people():
    secrets = Secrets(*((bytes([number]) * 32,) for number in range(6)))
    return People(secrets, lambda: datetime.now(UTC), declared=("loyalty",), country="US")


def test_every_spelling_of_the_table_is_read_as_what_it_is(figure, vectors):
    pairs, opens, merged = spellings.apart(people(), [*spellings.ours(), *spellings.outside(vectors)])
    figure("spellings by reading alone", f"{pairs} pairs")
    assert (opens, merged) == ([], [])


def only_first(text, regions, abroad, **_):
    """The number of the stated country, valid or not."""
    return [number for region in regions[:1] if (number := phone_number._parse(text, region))]


def folded(kind, text, _=()):
    return kinds.alone(kind, spelling.plain(text))


def hex_alone(text, _):
    return bytes.fromhex(text) if device.HEX.fullmatch(text) else None


FAULTS = {
    "what nobody sees stays": (spelling, "seen", str.strip),
    "a list of what nobody sees, with holes": (spelling, "ignorable", lambda each: each in "\u200b\u200e\u200f\ufeff"),
    "wide letters stay": (spelling, "_usual_width", str),
    "digits of other scripts stay": (spelling, "ascii_digits", str),
    "labels stay": (spelling, "unlabelled", lambda text, _: text),
    "quotes stay": (spelling, "unquoted", str),
    "capitals stay in an address": (email_address, "_lower", str),
    "accents stay in pieces": (unicodedata, "normalize", lambda _, text: text),
    "a domain has two forms": (email_address, "_unicode", str),
    "an ideographic full stop is no dot": (email_address, "DOTS", {}),
    "quotes of a local part stay": (email_address, "QUOTED", re.compile("(?!)")),
    "no consumer's form of an address is known": (email_address, "FORMS", ()),
    "a number is of the stated country alone": (phone_number, "_in_countries", only_first),
    "00 and 011 are digits": (phone_number, "INTERNATIONAL", re.compile("(?!)")),
    "a number is hashed with its plus alone": (
        phone_number, "_named", lambda e164, _: kinds.named("phone", e164, kinds.digests("phone", (e164,)))
    ),
    "an ad id has hyphens": (device, "UUID", re.compile(device.UUID.pattern.replace("-?", "-"))),
    "an ad id is hashed in one spelling": (device, "digests", lambda base, forms: kinds.digests(base, [*forms][:1])),
    "an IMEI has 15 digits": (device, "IMEI", re.compile("([0-9]{14})[0-9]")),
    "a serial number has a case": (reading.READERS, "serial", kinds.alone),
    "a UDID has hyphens": (reading.READERS, "udid", lambda kind, text: kinds.alone(kind, text.lower())),
    "an IMEI has separators": (device, "SPACED", re.compile("(?!)")),
    "a digest is hex": (device, "_bytes", hex_alone),
    "a source has its dot and its scheme": (reading, "_host", str.lower),
    "an account is folded": (reading, "_opaque", folded),
    "a question asks for one reading": (gateway_people, "_others", lambda _: iter(())),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_normaliser_is_found_by_the_table(monkeypatch, fault):
    room, name, variant = FAULTS[fault]
    (monkeypatch.setitem if isinstance(room, dict) else monkeypatch.setattr)(room, name, variant)
    _, opens, merged = spellings.apart(people(), spellings.ours())
    assert opens or merged


async def test_an_address_that_is_listed_beside_its_own_digest_loses_none_of_its_forms(keyed):
    """The later of two with one key had replaced the one of which more is known."""
    raw = {"type": "email", "value": "jane.doe+news@example.com"}
    own = {"type": "email_sha256", "value": sha256(b"jane.doe+news@example.com").hexdigest()}
    other = {"type": "email_sha256", "value": sha256(b"jane.doe@example.com").hexdigest()}
    await keyed.post("/v1/choices", json={"choice": "opt_out", "identifiers": [raw, own]})
    check = {"identifiers": [other], "recipient": "advertisers", "place": "US-NY", "data": ["ad_id"]}
    assert (await keyed.post("/v1/check", json=check)).json()["reason"] == "opted_out"


def test_every_kind_of_the_contract_stands_in_the_table_or_its_reason_does():
    listed = {each.kind for each in spellings.ours()}
    assert {kind for kind in KINDS if kind not in listed} == {"browser"}
    assert spellings.why_not("check", "browser")


def test_what_nobody_can_know_is_listed_and_counted_in_the_manual():
    text = (Path(spellings.__file__).parents[2] / "gateway" / "manual" / "identifiers.md").read_text()
    section = text.partition("## What nobody can know\n")[2].partition("\n## ")[0]
    rows = [row for row in spellings.table()["groups"] if row["relation"] == "unknown"]
    assert f"{len(rows)} " in section.partition("\n\n")[0]
    listed = [line for line in section.splitlines() if line.startswith("- ")]
    assert listed == [f"- {row['person']}: {row['why']}." for row in rows]
