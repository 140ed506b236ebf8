"""What an agent asked for a mailbox or number is fulfilled by the person it was asked for, and by no next holder (R5)."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.agent import goes_by, judged, listed, with_token
from support.opting_in import standing
from support.people import email, named

pytestmark = pytest.mark.anyio
KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
ME, MINE = named("email", email(1)), {"email": email(1), "email_verified": True}
DATA, ERASE = "/privacy-choices/data", "/privacy-choices/erase"
HOUR = timedelta(hours=1)


@pytest.fixture(params=["", "[systems.warehouse]\nidentifiers = ['email']\n"], ids=["alone", "with own systems"])
async def site(tmp_path, request):
    file = listed(tmp_path, KEY)
    file.write_text(file.read_text() + request.param)
    async with standing(tmp_path / "data", file) as built:
        yield built


@pytest.fixture
async def agent(site):
    return await with_token(site, KEY)


async def links(site, account):
    site.clock.later += HOUR
    assert "changed" in await site.call("/v1/links", account=account, identifiers=[ME])
    site.clock.later += HOUR


async def unlinks(site, account):
    until = site.clock().isoformat()
    assert "changed" in await site.call("/v1/links", account=account, identifiers=[ME], until=until)
    site.clock.later += HOUR


async def releases(site):
    site.clock.later += HOUR
    assert "changed" in await site.call("/v1/links", event="number_released", identifiers=[ME])
    site.clock.later += HOUR


async def released(site):
    await links(site, "old")
    return lambda: releases(site)


async def released_and_linked(site):
    await links(site, "old")

    async def passes():
        await releases(site)
        await links(site, "new")

    return passes


async def released_of_no_account(site):
    return lambda: releases(site)


async def ended(site):
    await links(site, "old")
    return lambda: unlinks(site, "old")


async def linked_to_another(site):
    await links(site, "old")
    return lambda: links(site, "new")


async def first_link(site):
    return lambda: links(site, "old")


async def nothing(site):
    await releases(site)
    await links(site, "old")

    async def passes():
        site.clock.later += HOUR

    return passes


PASSES = (released, released_and_linked, released_of_no_account, ended, linked_to_another)
STAYS = (first_link, nothing)


async def looks(site):
    person = site.browser()
    await person.asks_code(email=email(1))
    await person.enters()
    assert "proved" in (await person.post(DATA, action="download")).json()


async def erases(site):
    person = site.browser()
    await person.asks_code("erasure", email=email(1))
    await person.enters()
    assert (await person.post(ERASE, action="erase", email="1")).status_code == 200


async def is_unlinked(site):
    assert "event" in await site.call("/v1/erasures", identifiers=[ME], mode="unlink")


DOES = (("access", looks), ("deletion", erases), ("deletion", is_unlinked))


async def waits(agent, asked):
    found = judged(await agent.status(asked))
    return found["status"] == "in_progress" and "user_verification_url" in found


@pytest.mark.parametrize(("right", "does"), DOES)
@pytest.mark.parametrize("happens", PASSES)
async def test_what_was_asked_for_a_former_holder_waits_and_ends_whatever_the_next_one_does(
    site, agent, right, does, happens
):
    passes = await happens(site)
    asked = judged(await agent.send(agent.asks(right, **MINE)))["request_id"]
    await passes()
    site.clock.later += HOUR
    own = judged(await agent.send(agent.asks(right, **MINE)))["request_id"]
    site.clock.later += HOUR
    for _ in range(2):  # what tells of the former holder may be forgotten by the first
        await does(site)
        assert await waits(agent, asked)
    assert not await waits(agent, own)
    await goes_by(site, site.clock.later + timedelta(days=46))
    assert judged(await agent.status(asked))["status"] == "denied"


@pytest.mark.parametrize(("right", "does"), DOES)
@pytest.mark.parametrize("happens", STAYS)
async def test_a_persons_own_first_link_keeps_out_nothing_that_was_asked_for_them(site, agent, right, does, happens):
    passes = await happens(site)
    asked = judged(await agent.send(agent.asks(right, **MINE)))["request_id"]
    await passes()
    await does(site)
    assert not await waits(agent, asked)
