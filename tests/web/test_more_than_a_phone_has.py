"""A publishable key is in everybody's hands: what a call with it names beyond a phone's own ids is kept, and entered
behind everybody else's.
"""

import asyncio
import contextlib
import gzip
import hashlib
import json
import time

import pytest
from support import inside
from support.people import email, gaid, named, phone

from gateway.keys import api_keys
from gateway.ledger import schema
from gateway.web.shell import wire

pytestmark = pytest.mark.anyio
FEW, MANY = wire.AT_ONCE, 40
ACT = {"choice": "opt_out"}


def people(count: int, first: int = 1) -> list[dict[str, str]]:
    return [named("email", email(first + number)) for number in range(count)]


@pytest.fixture
async def calling(tmp_path):
    """(folder, calls with an app's key, calls of the desk)"""
    folder = tmp_path / "data"
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as desk:
        key = await asyncio.to_thread(api_keys.add_api_key, folder, "app", ["choose"], publishable=True)
        async with inside.client(app, Authorization=f"Bearer {key}") as public:
            yield folder, public, desk


async def denied(desk, who) -> bool:
    asked = {"identifiers": [who], "recipient": "advertisers", "place": "US-NY"}
    answer = (await desk.post("/v1/check", json=asked)).json()
    return answer["reason"] == "opted_out"


async def soon_denied(desk, *whom) -> bool:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        if all([await denied(desk, who) for who in whom]):
            return True
        await asyncio.sleep(0.1)
    return False


def entries(folder) -> int:
    with contextlib.closing(schema.open_to_read(folder)) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM entry")]
    return sum(body["e"] == "opt_out" for body in bodies)


async def test_a_phones_own_ids_are_entered_at_once(calling):
    _, public, desk = calling
    answer = await public.post("/v1/choices", json={**ACT, "identifiers": people(FEW)})
    assert (answer.status_code, len(answer.json()["events"])) == (201, FEW)
    assert all([await denied(desk, who) for who in people(FEW)])


@pytest.mark.parametrize("repeat", [{}, {"Idempotency-Key": "once"}])
async def test_what_is_beyond_is_kept_acknowledged_as_not_yet_in_effect_and_entered(calling, repeat):
    folder, public, desk = calling
    body = {**ACT, "identifiers": people(MANY)}
    answer = await public.post("/v1/choices", json=body, headers=repeat)
    said = answer.json()
    assert (answer.status_code, said["effective_at"], bool(said["accepted_at"])) == (202, None, True)
    assert all([await denied(desk, who) for who in people(FEW)])  # these at once
    assert await soon_denied(desk, *people(MANY))
    if repeat:
        again = await public.post("/v1/choices", json=body, headers=repeat)
        assert again.status_code == 202
        await asyncio.sleep(1.2)  # two looks of who enters it
        assert await asyncio.to_thread(entries, folder) == MANY + (MANY - FEW)  # those beyond under the id of then, too


async def test_a_call_of_which_the_first_ids_cannot_be_read_loses_none_of_the_others(calling):
    _, public, desk = calling
    answer = await public.post(
        "/v1/choices", json={**ACT, "identifiers": [{"type": "email", "value": "x"}] * FEW + people(2)}
    )
    assert (answer.status_code, answer.json()["standing"]["sale"]) == (202, "opted_out")
    assert await soon_denied(desk, *people(2))


@pytest.mark.parametrize("said", [ACT, {"signals": {"gpc": "1"}}])
async def test_a_number_beyond_the_first_ids_is_read_in_the_operators_countries_too(calling, said):
    """It comes without its country code, with another country stated."""
    _, public, desk = calling
    ids = [*people(FEW), named("phone", "(415) 555-0123"), *people(FEW, 100)]
    door = "/v1/choices" if said is ACT else "/v1/observe"
    answer = await public.post(door, json={**said, "identifiers": ids, "place": "MX"})
    assert answer.status_code == 202
    assert await soon_denied(desk, named("phone", "+524155550123"), named("phone", phone(23)))


@pytest.mark.slow
async def test_a_signal_of_many_is_kept_likewise(calling):
    _, public, desk = calling
    ids = [named("gaid", gaid(number)) for number in range(1, MANY)]
    answer = await public.post("/v1/observe", json={"identifiers": ids, "signals": {"gpc": "1"}})
    assert (answer.status_code, answer.json()["effective_at"]) == (202, None)
    assert await soon_denied(desk, *ids)


async def test_a_server_with_a_secret_key_enters_its_list_in_one_step(calling):
    _, _, desk = calling
    answer = await desk.post("/v1/choices", json={**ACT, "identifiers": people(MANY)})
    assert (answer.status_code, len(answer.json()["events"])) == (201, MANY)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("door", ["/v1/choices", "/v1/observe", "/v1/standing", "/v1/links", "/v1/access", "/v1/codes"])
async def test_a_body_with_an_apps_key_is_small_also_unpacked_at_every_door(calling, door, packed):
    _, public, desk = calling
    body = json.dumps({**ACT, "identifiers": people(1), "z": [0] * wire.MAX_APP_BODY}).encode()
    headers = {"Content-Type": "application/json"}
    content, headers = (gzip.compress(body), headers | {"Content-Encoding": "gzip"}) if packed else (body, headers)
    answer = await public.post(door, content=content, headers=headers)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (413, "too_large")
    assert str(wire.MAX_APP_BODY) in answer.json()["detail"]
    if door == "/v1/choices":  # a server's key says as much as before
        assert (await desk.post(door, content=content, headers=headers)).status_code == 201


@pytest.mark.slow
async def test_a_no_for_a_thousand_addresses_as_sha256_is_kept_with_an_apps_key_too(calling):
    _, public, desk = calling
    hashed = [hashlib.sha256(email(number).encode()).hexdigest() for number in range(1, wire.MAX_IDENTIFIERS + 1)]
    body = {**ACT, "identifiers": [named("email_sha256", each) for each in hashed]}
    content, kind = json.dumps(body), {"Content-Type": "application/json"}
    assert len(content) > 96 * 1024
    assert (await public.post("/v1/choices", content=content, headers=kind)).status_code == 202
    assert await soon_denied(desk, *people(FEW))


async def test_identifiers_beyond_a_thousand_are_told_of_once_and_not_each(calling):
    _, _, desk = calling
    body = {**ACT, "identifiers": people(wire.MAX_IDENTIFIERS) + [0] * 1000}
    told = (await desk.post("/v1/choices", json=body)).json()["ignored"]
    assert told == [{"pointer": f"/identifiers/{wire.MAX_IDENTIFIERS}", "reason": "too many"}]


async def test_what_was_kept_is_entered_after_a_restart(tmp_path):
    folder = tmp_path / "data"
    async with inside.application(folder) as app, inside.client(app) as public:
        key = await asyncio.to_thread(api_keys.add_api_key, folder, "app", ["choose"], publishable=True)
        public.headers["Authorization"] = f"Bearer {key}"
        assert (await public.post("/v1/choices", json={**ACT, "identifiers": people(MANY)})).status_code == 202
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as desk:
        assert await soon_denied(desk, *people(MANY))


@pytest.mark.slow
async def test_four_lists_of_a_thousand_keep_no_form_waiting_and_the_service_ready(calling):
    """What held the writer for forty seconds: others' forms were refused, and the service said that it kept nothing."""
    _, public, desk = calling
    lists = [{**ACT, "identifiers": people(1000, 1 + 1000 * number)} for number in range(4)]
    flood = [asyncio.create_task(public.post("/v1/choices", json=each, timeout=120)) for each in lists]
    await asyncio.sleep(0)
    longest = 0.0
    for number in range(20):
        began = time.monotonic()
        form = await public.post("/privacy-choices", data={"action": "opt_out", "email": email(9000 + number)})
        longest = max(longest, time.monotonic() - began)
        assert form.status_code == 303
        assert (await desk.get("/readyz")).status_code == 200
    assert {answer.status_code for answer in await asyncio.gather(*flood)} == {202}
    assert longest < 5  # seconds; 8 to 10 for each list before
    assert await soon_denied(desk, *people(FEW))
