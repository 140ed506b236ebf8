"""One phone's no on all of its ids: what it reaches, who is told, and that no call that shows less ends it (R26, R12,
R18, R4).
"""

import pytest
from support.people import gaid, named

pytestmark = pytest.mark.anyio
FIRST, SECOND = named("gaid", gaid(1)), named("gaid", gaid(2))


async def claims(place, phone, account="a1"):
    assert (await phone.observes(proof=place.backend.proof(account))).status_code == 200


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
    body = {"identifiers": [named("account", "a1")], "choice": "opt_out"}
    assert (await place.desk.post("/v1/choices", json=body)).status_code == 201
    phone.resets(2)
    await phone.observes()
    assert await place.reason(SECOND) == "opted_out"
    await claims(place, phone, "a2")
    assert await place.reason(SECOND) == "opted_out"
