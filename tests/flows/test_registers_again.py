"""R19, whole: somebody is erased, everything that could forget their opt-out happens, and they come back.

What happens between: two new peppers, and a prune that takes the bodies of all their entries. They come back with the
same address, and then on the same device with another address.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.everybody import fill
from support.people import GAID, email, named, phone

from gateway.app import composition, maintenance
from gateway.desk.forgetting import prune
from gateway.ledger import schema

pytestmark = pytest.mark.anyio
MAIL, DEVICE, OTHER_MAIL = named("email", email(1)), named("gaid", GAID), named("email", email(2))
OLD, NEW, NEWER, NUMBER = "account-of-before", "account-of-today", "account-of-later", named("phone", phone(1))
EVERYBODY = [named("account", OLD), MAIL, DEVICE, NUMBER]
LATER = timedelta(days=1500)  # past every retention of a body


async def ask(keyed, path, **body):
    answer = await keyed.post(path, json=body)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def reason(keyed, identifier):
    return (await ask(keyed, "/v1/check", identifiers=[identifier], recipient="teemo", place="US-NY"))["reason"]


async def opts_out_and_is_erased(folder):
    """Their opt-out as it was answered, and from when on they may be asked again."""
    async with inside.application(folder) as site, inside.client(site, **inside.DEV) as keyed:
        await ask(keyed, "/v1/links", account=OLD, identifiers=[MAIL, DEVICE, NUMBER])
        said = await ask(keyed, "/v1/choices", identifiers=EVERYBODY[:3], choice="opt_out")
        silence = (await ask(keyed, "/v1/standing", identifiers=[MAIL]))["may_ask_from"]
        assert said["event"] in str(await ask(keyed, "/v1/access", identifiers=EVERYBODY)), "control: it shows before"
        await ask(keyed, "/v1/erasures", identifiers=EVERYBODY, mode="erase_details")
    return said, silence


def rotates_and_prunes(folder):
    """A new pepper before the prune and one after it. Returns the first entry that still has its body."""
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        fill(house, 300)  # a prune takes whole tiles
    maintenance.pepper(folder, inside.settings())
    composition.prune_ledger(folder, inside.settings(), dry_run=False, clock=lambda: datetime.now(UTC) + LATER)
    maintenance.pepper(folder, inside.settings())
    with contextlib.closing(schema.open_to_read(folder)) as db:
        return db.execute("SELECT min(seq) FROM entry").fetchone()[0]


@pytest.mark.slow
async def test_who_was_erased_and_registers_again_after_two_peppers_and_a_prune_is_still_out(tmp_path):
    folder = tmp_path / "data"
    said, silence = await opts_out_and_is_erased(folder)
    assert await asyncio.to_thread(rotates_and_prunes, folder) == 256, "the bodies of all that they said are gone"
    async with inside.application(folder) as site, inside.client(site, **inside.DEV) as keyed:
        shown = [await comes_back(keyed, NEW, [MAIL], MAIL, silence)]
        shown.append(await comes_back(keyed, NEWER, [OTHER_MAIL, DEVICE], DEVICE, silence))
        assert await reason(keyed, OTHER_MAIL) == "opted_out", "what holds for the device holds for its account"
        assert await reason(keyed, named("email", email(9))) != "opted_out", "control: a stranger is not out"
    for text in (OLD, said["event"], phone(1), *(event["event"] for event in said.get("events", []))):
        assert text not in str(shown), "nothing of before shows"
    report, _ = await asyncio.to_thread(composition.verify_ledger, folder, inside.settings(), boxes=True)
    assert report.different == []


async def comes_back(keyed, account, identifiers, known, silence):
    """The first thing that anybody asks about them, when they may be asked again, and all that is shown to them."""
    await ask(keyed, "/v1/links", account=account, identifiers=identifiers)
    assert await reason(keyed, known) == "opted_out"
    told = (await ask(keyed, "/v1/standing", identifiers=[known]))["may_ask_from"]
    said = {purpose: day for purpose, day in silence.items() if day}
    assert said
    assert {purpose: told[purpose] for purpose in said} == said
    everything = [named("account", account), *identifiers]
    return [
        await ask(keyed, "/v1/access", identifiers=everything),
        await ask(keyed, "/v1/standing", identifiers=everything),
    ]


@pytest.mark.slow
async def test_a_prune_that_says_nothing_again_would_lose_them(tmp_path, monkeypatch):
    """Control: what the opt-out rests on is said again."""
    folder = tmp_path / "data"
    await opts_out_and_is_erased(folder)
    monkeypatch.setattr(prune, "entries_to_restate", lambda *_: set())
    await asyncio.to_thread(rotates_and_prunes, folder)
    async with inside.application(folder) as site, inside.client(site, **inside.DEV) as keyed:
        assert await reason(keyed, MAIL) != "opted_out"


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["erase_details", "unlink"])
async def test_only_what_an_erasure_keeps_is_found_again(tmp_path, kept):
    """Control: after an unlinking erasure the same questions have the other answer."""
    folder = tmp_path / "data"
    async with inside.application(folder) as site, inside.client(site, **inside.DEV) as keyed:
        await ask(keyed, "/v1/choices", identifiers=[MAIL], choice="opt_out")
        await ask(keyed, "/v1/erasures", identifiers=[MAIL], mode=kept)
    await asyncio.to_thread(rotates_and_prunes, folder)
    async with inside.application(folder) as site, inside.client(site, **inside.DEV) as keyed:
        assert (await reason(keyed, MAIL) == "opted_out") == (kept == "erase_details")
