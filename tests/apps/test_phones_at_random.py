"""A person with a phone, at random: ids that are reset, an account that is signed in, opts out and comes back, a
stranger who names the phone's ids. What must hold after each observation is told by a few lines beside (R12, R26, L85).
"""

import asyncio
import random

import pytest
from support import inside
from support.examples import TIMES
from support.people import gaid, named
from support.phones import standing

from gateway.app import composition
from gateway.consent import tokens
from gateway.consent.installations import Installations
from gateway.web.shell import page

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ACCOUNT = named("account", "a1")
SHOWN, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))
DEV = {"kind": "account", "assertion": "dev"}
THREE = ("sale", "sharing", "targeted_ads")
STEPS, WALKS = 14, 12 * TIMES
FORGETS = 0.3  # of the starts of an app that could say who is signed in


class Life:
    """What was said, by whom. `said`: ids whose own no stands; `account`: those whose no stands on the account."""

    def __init__(self, place, chance):
        self.chance = chance
        self.place, self.phone, self.stranger = place, place.phone(named("gaid", gaid(1))), place.phone()
        self.number, self.ids, self.said, self.account, self.linked = 1, {1}, set(), set(), set()
        self.doubted = False  # a stranger named ids that are nobody's yet beside one that is somebody's

    @property
    def here(self):
        return named("gaid", gaid(self.number))

    async def observes(self):
        """As soon as it is somebody's the app brings who is signed in, mostly."""
        taken_in = self.number <= tokens.NEW  # more new ids in a month nobody believes without a proof
        if self.linked and taken_in and self.chance.random() < FORGETS:
            await self.observes_as_nobody()
        else:
            await self.observes_with_proof()

    async def observes_with_proof(self):
        proof = {"proof": self.place.backend.proof()} if self.linked else {}
        answer = await self.phone.observes(**proof)
        assert answer.status_code == 200
        out = self.is_out()
        assert await self.reason(self.number) == ("opted_out" if out else "no_choice")
        assert out or self.doubted or self.phone.last["sdks"] == {"teemo": "limited"}
        assert not out or self.phone.last["sdks"] == {"teemo": "stop"}
        assert (self.phone.last["standing"]["sale"] == "opted_out") is (self.phone.last["sdks"]["teemo"] == "stop")

    async def observes_as_nobody(self):
        """It is told nothing, and nobody is freer than before."""
        before = await self.reason(self.number)
        assert (await self.phone.observes()).status_code == 200
        if self.is_out() or before == "opted_out":
            assert await self.reason(self.number) == "opted_out"
        assert self.phone.last["sdks"] == {"teemo": "stop"}

    def is_out(self):
        """By itself, by its account, or by another id of the phone."""
        return bool(self.said & self.ids) or bool(self.account and self.linked & self.ids)

    async def reason(self, number):
        return await self.place.reason(named("gaid", gaid(number)))

    async def resets(self):
        if not self.linked and self.number >= tokens.NEW:
            return  # more new ids in a month nobody believes without a proof
        self.number += 1
        self.ids.add(self.number)
        self.phone.resets(self.number)
        await self.observes()

    async def opts_out(self):
        await self.phone.chooses(purposes=["sale"])
        self.said.add(self.number)
        if self.number in self.linked:
            self.account.add(self.number)
        for number in self.ids:
            assert await self.reason(number) == "opted_out"

    async def is_linked(self):
        await self.place.links("a1", self.here)
        if self.number not in self.linked and self.number in self.said:
            self.account.add(self.number)
        self.linked.add(self.number)

    async def account_opts_out(self):
        await self.place.desk.post(
            "/v1/choices", json={"identifiers": [ACCOUNT], "choice": "opt_out", "purposes": ["sale"]}
        )
        self.account.add("a1")
        for number in self.linked:
            assert await self.reason(number) == "opted_out"

    async def account_comes_back(self):
        for purpose in THREE:
            body = {"identifiers": [ACCOUNT], "choice": "opt_in", "purposes": [purpose], "proof": DEV, "notice": SHOWN}
            token = (await self.place.desk.post("/v1/choices", json=body)).json()["confirm"]
            done = {"choice": "confirm", "confirm": token, "proof": DEV, "notice": SECOND}
            assert (await self.place.desk.post("/v1/choices", json=done)).status_code == 201
        self.account.clear()

    async def stranger_tries(self):
        """Whatever a stranger does with the phone's ids, nobody is freer than before."""
        before = {number: await self.reason(number) for number in self.ids}
        self.stranger.ids = [named("gaid", gaid(number)) for number in self.ids]
        self.doubted = self.doubted or bool(self.linked and self.ids - self.linked)  # whose they are is in doubt: no
        await self.stranger.observes()
        for number in self.said:
            proof = {"kind": "device", "token": self.stranger.token}
            body = {"identifiers": [named("gaid", gaid(number))], "purposes": ["sale"], "proof": proof, "notice": SHOWN}
            asked = await self.stranger.calling.post("/v1/choices", json=body | {"choice": "opt_in"})
            done = {"choice": "confirm", "confirm": asked.json()["confirm"], "proof": proof, "notice": SECOND}
            assert (await self.stranger.calling.post("/v1/choices", json=done)).status_code == 201
            token = named("device", self.stranger.token)
            assert await self.place.reason(named("gaid", gaid(number)), token) == "opted_out"
        for number, reason in before.items():
            assert reason != "opted_out" or await self.reason(number) == "opted_out"


async def walk(folder, seed):
    """What was done."""
    chance = random.Random(seed)
    async with standing(folder) as place:
        life = Life(place, chance)
        await life.observes()
        acts = [
            life.observes,
            life.resets,
            life.opts_out,
            life.is_linked,
            life.account_opts_out,
            life.account_comes_back,
            life.stranger_tries,
        ]
        told = []
        for _ in range(STEPS):
            act = chance.choices(acts, [3, 3, 1, 3, 2, 2, seed % 2])[0]
            told.append(act.__name__)
            await act()
            if act not in (life.stranger_tries, life.observes):
                await life.observes()
    return told


@pytest.mark.parametrize("seed", range(WALKS))
async def test_a_person_is_out_by_every_id_of_the_phone_exactly_while_they_said_so(tmp_path, seed):
    told = await walk(tmp_path, seed)
    report, _ = await asyncio.to_thread(composition.verify_ledger, tmp_path / "data", inside.settings(), boxes=True)
    assert (report.passed, list(report.different)) == (True, []), told


async def nothing(*_):
    """A gateway whose ids of a phone know nothing of each other."""


async def test_a_gateway_that_forgets_the_phone_is_caught(tmp_path, monkeypatch):
    """Control."""
    monkeypatch.setattr(Installations, "follow", nothing)
    with pytest.RaisesGroup(AssertionError):  # of the task group that the application runs in
        for seed in range(4):
            await walk(tmp_path / str(seed), seed)
