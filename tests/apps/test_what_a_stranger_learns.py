"""An app key is in everybody's hands: whoever types somebody's address learns nothing of them (R6), starts no SDK for
them (R8), and opts them out all the same.
"""

import hashlib

import pytest
from support.people import email, gaid, named, phone
from support.phones import idfv

pytestmark = pytest.mark.anyio
OLD, ACCOUNT = named("gaid", gaid(1)), named("account", "a1")


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


OPTED_OUT, SILENT = 1, 2
TYPED = {
    "email": lambda number: named("email", email(number)),
    "phone": lambda number: named("phone", phone(number)),
    "account": lambda number: named("account", f"b{number}"),
    "email_sha256": lambda number: named("email_sha256", digest(email(number))),
}


def shown(answer) -> dict:
    """Without what is of the call alone."""
    return {
        name: value for name, value in answer.json().items() if name not in {"device", "accepted_at", "effective_at"}
    }


async def opts_out(place, *identifiers):
    body = {"identifiers": list(identifiers), "choice": "opt_out", "place": "US-CA"}
    assert (await place.desk.post("/v1/choices", json=body)).status_code == 201


@pytest.mark.parametrize("kind", TYPED)
async def test_an_observation_tells_a_stranger_the_same_of_who_opted_out_and_of_who_did_not(place, kind):
    await opts_out(place, TYPED[kind](OPTED_OUT))
    answers = [await place.phone(OLD, TYPED[kind](number)).observes() for number in (OPTED_OUT, SILENT)]
    assert shown(answers[0]) == shown(answers[1])
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].json()["sdks"] == {"teemo": "stop"}
    assert answers[0].json()["standing"]["sale"] == "opted_out"
    alone = await place.phone(OLD).observes()
    assert alone.json()["sdks"] == {"teemo": "limited"}  # control: the phone's own id is nobody's secret


async def test_a_choice_about_marketing_tells_a_stranger_nothing_of_other_purposes(place):
    await opts_out(place, TYPED["email"](OPTED_OUT))
    told = [
        (await place.phone(OLD, TYPED["email"](number)).chooses(purposes=["marketing_email"])).json()
        for number in (OPTED_OUT, SILENT)
    ]
    assert told[0]["sdks"] == told[1]["sdks"] == {"teemo": "stop"}
    assert told[0]["standing"] == told[1]["standing"]


async def test_what_the_app_hears_about_a_typed_address_is_written_all_the_same(place):
    await place.phone(OLD, TYPED["email"](SILENT)).observes(signals={"gpc": "1"})
    assert await place.reason(TYPED["email"](SILENT)) == "opted_out"


async def test_whoever_is_signed_in_reads_what_holds_for_their_own_address(place):
    mine, another = TYPED["email"](OPTED_OUT), TYPED["email"](SILENT)
    await place.links("a1", mine)
    signed_in = place.phone(named("gaid", gaid(5)), named("idfv", idfv(5)), mine, ACCOUNT)
    await signed_in.observes(proof=place.backend.proof())
    assert signed_in.last["sdks"] == {"teemo": "limited"}
    beside = place.phone(named("gaid", gaid(6)), mine, another)
    await beside.observes(proof=place.backend.proof())
    assert beside.last["sdks"] == {"teemo": "stop"}  # one of them is not the account's
    await opts_out(place, mine)
    await signed_in.observes(proof=place.backend.proof())
    assert (signed_in.last["sdks"], signed_in.last["standing"]["sale"]) == ({"teemo": "stop"}, "opted_out")


async def test_a_server_whose_key_is_secret_reads_what_holds(place):
    body = {"identifiers": [TYPED["email"](SILENT)], "place": "US-CA"}
    assert (await place.server.post("/v1/observe", json=body)).json()["standing"]["sale"] == "none"
