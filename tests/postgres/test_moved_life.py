"""What people, a state, an agent and an officer began through the doors before a move is gone on with behind it: a list
of a state's, own systems that are to delete, an agent's request, an erased person. There and back.
"""

import asyncio
import re

import pytest
from cli.test_drop import answers, listed
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support import agent, inside, moving, postgres_server
from support.agent import DataRightsAgent, judged
from support.opting_in import standing
from support.people import email, gaid, named

from gateway.app.composition import verify_ledger
from gateway.choice.deletion_list import DeletionKind
from gateway.cli.root import group

pytestmark = pytest.mark.slow
KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
SYSTEMS = '[systems.warehouse]\nidentifiers = ["email"]\n'
ANNA, BO, CEM, DEE, EVE = (email(number) for number in range(1, 6))
ON_LIST, LATER = "A" * 12, "B" * 12


class Life:
    """One installation, as each of them meets it."""

    def __init__(self, folder, tmp_path):
        self.folder, self.place, self.turn = folder, tmp_path, 0
        self.file = agent.listed(tmp_path, KEY)
        self.file.write_text(f"{self.file.read_text()}{SYSTEMS}")

    def run(self, *words):
        command = [*map(str, words), "--config", str(self.file), "--data", str(self.folder)]
        return CliRunner().invoke(group, command, catch_exceptions=False)

    def lives(self, part):
        """What happens through the doors of a service that is there for so long."""

        async def within():
            async with standing(self.folder, self.file) as site:
                return await part(site)

        return asyncio.run(within())

    def answers(self):
        self.turn += 1
        assert self.run("drop", "answer", self.place / f"{self.turn}").exit_code == 0
        return answers(self.place / f"{self.turn}")

    def waiting(self):
        """What the warehouse is still to delete: message, and of whom."""
        shown = self.run("systems", "show", "warehouse").stdout.splitlines()
        return {found[0]: line.split()[0] for line in shown if (found := re.findall(r"[\w.]+@example\.com", line))}


async def begins(site):
    """A no, somebody forgotten, somebody unlinked, and an agent that asks for a deletion; its number and its token."""
    for who in (ANNA, BO, CEM, DEE):
        await site.call("/v1/choices", identifiers=[named("email", who)], choice="opt_out")
    for who, mode in ((BO, "erase_details"), (CEM, "unlink")):
        told = await site.call("/v1/erasures", identifiers=[named("email", who)], mode=mode)
        assert told["gone_by"]
    asks = DataRightsAgent(site.calling, KEY, site.clock)
    assert (await asks.set_up()).status_code == 200
    asked = judged(await asks.send(asks.asks("deletion", email=DEE, email_verified=True)))["request_id"]
    person = site.browser()
    await person.asks_code("erasure", email=DEE)
    await person.enters()
    assert (await person.post("/privacy-choices/erase", action="erase", email="1")).status_code == 200
    return asked, asks.headers


async def seen(site, asked, headers):
    """How everybody stands, in the words of who asks."""
    asks = DataRightsAgent(site.calling, KEY, site.clock)
    asks.headers = headers
    reasons = [await site.sale(named("email", who)) for who in (ANNA, BO, CEM, DEE, EVE)]
    reports = [await site.call("/v1/access", identifiers=[named("email", who)]) for who in (ANNA, BO, CEM)]
    return reasons, [each["entries"] for each in reports], judged(await asks.status(asked))


def test_what_was_begun_before_a_move_is_gone_on_with_behind_it_there_and_back(postgres, tmp_path, monkeypatch):
    moving.wait_for_nobody(monkeypatch)  # no service is there while it is moved
    where, life = postgres_server.fresh_url(postgres), Life(inside.install(tmp_path / "data"), tmp_path)
    asked, headers = life.lives(begins)
    assert (
        life.run("drop", "take", listed(tmp_path, DeletionKind.EMAIL, [(ON_LIST, ANNA), (LATER, EVE)])).exit_code == 0
    )

    def all_that_is_seen():
        found = life.lives(lambda site: seen(site, asked, headers))
        return found, life.answers(), life.waiting()

    before = all_that_is_seen()
    (reasons, entries, request), (given, still), waiting = before
    assert reasons == ["opted_out", "opted_out", "no_choice", "opted_out", "opted_out"]
    assert [bool(each) for each in entries] == [True, False, False]
    assert request["status"] == "in_progress"
    assert {*given, *still} == {ON_LIST, LATER}
    assert {BO, CEM, DEE} <= {*waiting}
    moving.move(life.folder, where)
    moving.delete_what_was_moved(life.folder)
    life.file.write_text(f'[store]\nurl = "{where}"\n{life.file.read_text()}')
    assert all_that_is_seen()[0] == before[0]
    assert life.waiting() == waiting
    done = life.run("systems", "deleted", waiting[DEE], "--by", "Ada")
    assert done.exit_code == 0, done.output
    assert life.lives(lambda site: seen(site, asked, headers))[2]["status"] == "fulfilled"
    life.lives(lambda site: site.call("/v1/choices", identifiers=[named("gaid", gaid(9))], choice="opt_out"))
    moving.move(where, life.folder)
    life.file.write_text(life.file.read_text().partition("\n[")[2].join(("[", "")))
    found = life.lives(lambda site: seen(site, asked, headers))
    assert (found[0], found[1], found[2]["status"]) == (reasons, entries, "fulfilled")
    assert life.lives(lambda site: site.sale(named("gaid", gaid(9)))) == "opted_out"
    assert {**life.waiting(), DEE: waiting[DEE]} == waiting
    kept = b"".join((life.folder / name).read_bytes() for name in moving.FILES)
    assert CEM.encode() not in kept
    report, _ = verify_ledger(life.folder, inside.settings(life.file), boxes=True)
    assert report.passed, report.different
