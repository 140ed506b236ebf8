"""One phone's no on all of its ids: what it reaches, who is told, and that no call that shows less ends it (R26, R12,
R18, R4).
"""

import asyncio
import contextlib
import sqlite3

import pytest
from support.people import ZERO, gaid, named

from gateway.consent import disclosing
from gateway.web.shell import page

pytestmark = pytest.mark.anyio
FIRST, SECOND = named("gaid", gaid(1)), named("gaid", gaid(2))


async def claims(place, phone, account="a1"):
    assert (await phone.observes(proof=place.backend.proof(account))).status_code == 200


async def account_says_no(place, account="a1"):
    body = {"identifiers": [named("account", account)], "choice": "opt_out"}
    assert (await place.desk.post("/v1/choices", json=body)).status_code == 201


# --- what may not be read ends nothing -----------------------------------------------------------------------------


async def used_twice(place, phone):
    proof = place.backend.proof()
    await phone.observes(proof=proof)
    return {"proof": proof}


async def no_proof(place, phone):
    return {}


@pytest.mark.parametrize("shows", [no_proof, used_twice])
async def test_a_phones_no_stays_on_its_new_ad_id_when_a_call_shows_nobody(place, shows):
    phone = place.phone(FIRST)
    await claims(place, phone)
    assert (await phone.chooses()).status_code == 201  # the phone itself, and not the account
    phone.resets(2)
    await claims(place, phone)
    assert await place.reason(SECOND) == "opted_out"
    for _ in range(2):
        await phone.observes(**await shows(place, phone))
        assert await place.reason(SECOND) == "opted_out"
    await claims(place, phone)
    assert await place.reason(SECOND) == "opted_out"


async def test_a_phones_no_is_on_an_ad_id_that_was_claimed_before_its_token_met_it(place):
    """Nothing may end what never began: the installation's own no is its own to know, whoever has the ids."""
    phone, other = place.phone(FIRST), place.phone(SECOND)
    await claims(place, phone)
    await claims(place, other, "a2")
    await phone.chooses()
    phone.resets(2)
    await phone.observes()
    assert await place.reason(SECOND) == "opted_out"


async def test_the_next_person_who_signs_in_on_a_phone_is_not_freed_by_it(place):
    phone = place.phone(FIRST)
    await claims(place, phone)
    await account_says_no(place)
    phone.resets(2)
    await phone.observes()
    assert await place.reason(SECOND) == "opted_out"
    await claims(place, phone, "a2")
    assert await place.reason(SECOND) == "opted_out"


# --- a no reaches the ids that the token remembers -----------------------------------------------------------------


async def test_a_phone_that_withholds_its_ad_id_opts_out_the_one_it_had(place):
    phone = place.phone(FIRST)
    await phone.observes()
    phone.ids = [named("idfa", ZERO)]
    assert (await phone.chooses()).status_code == 201
    assert {*phone.last["standing"].values()} == {"opted_out"}
    assert await purposes_allowed(place, FIRST) == []


async def test_a_phones_no_reaches_the_ad_ids_that_it_had_before(place):
    phone = place.phone(FIRST)
    await phone.observes()
    phone.resets(2)
    await phone.observes()
    assert (await phone.chooses()).status_code == 201
    assert await purposes_allowed(place, FIRST) == []
    assert await place.reason(FIRST) == "opted_out"


async def test_a_phones_no_reaches_them_where_an_account_that_is_not_shown_has_both(place):
    phone = place.phone(FIRST)
    await claims(place, phone)
    phone.resets(2)
    await claims(place, phone)
    assert (await phone.chooses()).status_code == 201
    assert await place.reason(FIRST) == "opted_out"
    assert await place.reason(named("account", "a1")) != "opted_out", "a state travels to nobody"


async def test_it_ends_at_them_too_once_the_phone_is_free(place):
    phone = place.phone(FIRST)
    await phone.observes()
    phone.resets(2)
    await phone.observes()
    await phone.chooses(purposes=["sale"])
    for purpose in THREE:
        await opts_in(place, SECOND, purpose, lambda: place.backend.attests(SECOND))
    await phone.observes()
    assert await purposes_allowed(place, FIRST) == [*THREE]


async def test_what_a_phone_that_said_nothing_remembers_stays_as_it_is(place):
    """Control."""
    phone = place.phone(FIRST)
    await phone.observes()
    phone.resets(2)
    await claims(place, phone)
    await phone.observes()
    assert await purposes_allowed(place, FIRST) == [*THREE]


# --- whoever has an id is told of the no that reaches it -----------------------------------------------------------


async def is_sent(place, identifier):
    """An ad call names it alone, and teemo has it from then on."""
    body = {"identifiers": [identifier], "recipient": "teemo", "place": "US-CA", "data": ["ad_id"], "will_send": True}
    assert (await place.ads.post("/v1/check", json=body)).json()["allowed"]
    await asyncio.sleep(3 * COUNTED)


def told(place):
    """Recipients, and what they were told."""
    with contextlib.closing(sqlite3.connect(f"file:{place.folder / 'ledger.sqlite3'}?mode=ro", uri=True)) as db:
        return db.execute("SELECT recipient, word FROM outbox").fetchall()


COUNTED = 0.1  # seconds


@pytest.fixture
def counts_at_once(monkeypatch):
    monkeypatch.setattr(disclosing, "PERIOD", COUNTED)


TEEMO = [("teemo", "opt_out")]


@pytest.mark.usefixtures("counts_at_once")
async def test_whoever_has_the_new_ad_id_is_told_of_the_no_that_reaches_it(place):
    phone = place.phone(FIRST)
    await phone.observes()
    await phone.chooses()
    phone.resets(2)
    await is_sent(place, SECOND)
    assert told(place) == []
    for _ in range(3):
        await phone.observes()
        assert told(place) == TEEMO, "once"


@pytest.mark.usefixtures("counts_at_once")
async def test_whoever_has_an_older_ad_id_is_told_of_the_no_that_reaches_it(place):
    phone = place.phone(FIRST)
    await phone.observes()
    await is_sent(place, FIRST)
    phone.resets(2)
    await phone.observes()
    await phone.chooses()
    assert told(place) == TEEMO


@pytest.mark.usefixtures("counts_at_once")
async def test_of_what_is_denied_only_since_nobody_may_know_nobody_is_told(place):
    """Told, it would be told apart whether the other id's person said no."""
    await place.links("a1", FIRST)
    await account_says_no(place)
    phone = place.phone(FIRST)
    await phone.observes()
    await is_sent(place, SECOND)
    phone.resets(2)
    await phone.observes()
    assert await place.reason(SECOND) == "opted_out"
    assert told(place) == []
    await claims(place, phone)
    assert told(place) == TEEMO, "now it is known whose no it is"


# --- a yes to one purpose opens that one (R4) ----------------------------------------------------------------------

SHOWN, AGAIN = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))


THREE = {"sale": "teemo", "sharing": "advertisers", "targeted_ads": "advertisers"}  # each with who is registered for it


async def opts_in(place, identifier, purpose, proof):
    """Both acts by the operator's server; the last answer. `proof` makes one for each."""
    body = {"choice": "opt_in", "purposes": [purpose], "identifiers": [identifier], "notice": SHOWN, "proof": proof()}
    asked = await place.server.post("/v1/choices", json=body)
    assert asked.status_code == 202
    done = {"choice": "confirm", "confirm": asked.json()["confirm"], "notice": AGAIN, "proof": proof()}
    answer = await place.server.post("/v1/choices", json=done)
    assert answer.status_code == 201
    return answer.json()


def proofs_of(backend):
    """By name the proofs of one call: whose account it is is said by an assertion, by the attestation, or by nobody."""
    return {
        "assertion beside attestation": lambda: [backend.proof(), backend.attests(FIRST)],
        "attestation that says whose": lambda: backend.attests(FIRST, account="a1"),
        "attestation alone": lambda: backend.attests(FIRST),
    }


@pytest.mark.parametrize("name", proofs_of(None))
@pytest.mark.parametrize("purpose", ["marketing_email", "marketing_text"])
async def test_an_attested_yes_to_another_purpose_leaves_an_accounts_no_on_the_ad_id(place, name, purpose):
    await claims(place, place.phone(FIRST))
    await account_says_no(place)
    await opts_in(place, FIRST, purpose, proofs_of(place.backend)[name])
    assert await place.reason(FIRST) == "opted_out"


async def test_an_account_that_a_yes_proves_goes_on_saying_no_for_its_ad_id(place):
    await claims(place, place.phone(FIRST))
    await opts_in(place, FIRST, "marketing_email", proofs_of(place.backend)["attestation that says whose"])
    await account_says_no(place)
    assert await place.reason(FIRST) == "opted_out"


async def test_an_attested_yes_rids_the_ad_id_of_a_strangers_no_to_its_own_purpose_alone(place):
    await claims(place, place.phone(FIRST), "a2")
    await account_says_no(place, "a2")
    await opts_in(place, FIRST, "sale", lambda: place.backend.attests(FIRST))
    assert await purposes_allowed(place, FIRST) == ["sale"]


async def purposes_allowed(place, identifier):
    body = {"identifiers": [identifier], "place": "US-CA", "data": ["ad_id"]}
    asked = {each: {**body, "purpose": each, "recipient": registered} for each, registered in THREE.items()}
    answers = {each: (await place.ads.post("/v1/check", json=one)).json() for each, one in asked.items()}
    assert {answer["reason"] for answer in answers.values()} <= {"opted_out", "opted_in", "no_choice"}
    return [each for each, answer in answers.items() if answer["allowed"]]


@pytest.mark.parametrize("first", THREE)
async def test_a_yes_to_one_of_three_purposes_opens_that_one_on_a_phones_new_ad_id(place, first):
    phone = place.phone(FIRST)
    await phone.chooses()
    phone.resets(2)
    await phone.observes()
    assert await purposes_allowed(place, SECOND) == []
    await opts_in(place, SECOND, first, lambda: place.backend.attests(SECOND))
    for _ in range(2):
        assert await purposes_allowed(place, SECOND) == [first]
        await phone.observes()
    for purpose in THREE.keys() - {first}:
        await opts_in(place, SECOND, purpose, lambda: place.backend.attests(SECOND))
    await phone.observes()
    assert await purposes_allowed(place, SECOND) == [*THREE]
    await phone.chooses()
    assert await purposes_allowed(place, SECOND) == []


async def test_an_account_with_its_own_no_is_opened_by_a_yes_to_one_purpose_for_that_one(place):
    """Control: what a new ad id has from the others is no less than a no of its own."""
    await place.phone(FIRST).chooses()
    await opts_in(place, FIRST, "sale", lambda: place.backend.attests(FIRST))
    assert await purposes_allowed(place, FIRST) == ["sale"]
