"""One Gmail mailbox in several spellings, and an address that only looks like another, at every door of a gateway that
is not in development: what says no in one spelling is denied in each, and nobody opens what is spelled like theirs.
"""

import asyncio
import hashlib
import json

import pytest
from support import inside
from support.mailbox import mailbox
from support.opting_in import Browser
from support.people import gaid, named, phone

from gateway.keys import api_keys
from gateway.web.shell import page

pytestmark = pytest.mark.anyio
FIRST, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("opt-in", "confirm"))
WITHOUT, DOTS, TWIN = "janedoe@gmail.com", "Jane.Doe@gmail.com", "jane.doe+shop@googlemail.com"
SPELLINGS = (WITHOUT, DOTS, TWIN, "j.a.n.e.doe@googlemail.com")
ADDRESS, LOOKS_ALIKE = "janedoe@example.com", ("jane.doe@example.com", "janedoe+y@example.com")
AD_ID, NUMBER = gaid(1), phone(1)
NDJSON = {"Content-Type": "application/x-ndjson"}


class Doors:
    """`app` has a publishable key; `desk` the operator's own."""

    def __init__(self, calling, box, app, desk):
        self.calling, self.box = calling, box
        self.app, self.desk = ({"Authorization": f"Bearer {key}"} for key in (app, desk))

    async def links(self, account, *identifiers):
        answer = await self.calling.post(
            "/v1/links", json={"account": account, "identifiers": list(identifiers)}, headers=self.desk
        )
        assert answer.status_code == 201, answer.text

    async def says_no(self, door, identifier):
        if door == "form":
            fields = {"phone" if identifier["type"] == "phone" else "email": identifier["value"]}
            answer = await Browser(self.calling).opts_out(**fields)
            assert answer.status_code == 200, answer.text
            return
        body = {"choice": "opt_out", "identifiers": [identifier]}
        key = {"app": self.app, "desk": self.desk}[door]
        answer = await self.calling.post("/v1/choices", json=body, headers=key)
        assert answer.status_code == 201, answer.text

    async def opts_in(self, address):
        """Two acts, each with a code that came to the address."""

        async def proof():
            asked = {"identifier": named("email", address), "use": "opt_in", "purpose": "sale"}
            answer = await self.calling.post("/v1/codes", json=asked, headers=self.app)
            assert answer.status_code == 202, answer.text
            return {"kind": "code", "ticket": answer.json()["ticket"], "code": self.box.code()}

        body = {"choice": "opt_in", "purposes": ["sale"], "identifiers": [named("email", address)], "notice": FIRST}
        asked = await self.calling.post("/v1/choices", json={**body, "proof": await proof()}, headers=self.app)
        assert asked.status_code == 202, asked.text
        body = {"choice": "confirm", "confirm": asked.json()["confirm"], "notice": SECOND, "proof": await proof()}
        answer = await self.calling.post("/v1/choices", json=body, headers=self.app)
        assert answer.status_code == 201, answer.text

    async def denied(self, *identifiers):
        """Which of these are opted out, each asked about alone."""
        found = []
        for identifier in identifiers:
            body = {
                "identifiers": [identifier],
                "recipient": "teemo",
                "purpose": "sale",
                "data": ["ad_id"],
                "place": "US-TX",
            }
            answer = (await self.calling.post("/v1/check", json=body, headers=self.desk)).json()
            if answer["reason"] == "opted_out":
                found.append(identifier["value"])
        return found

    async def shared(self, identifier):
        row = {"id": "r1", "identifiers": [identifier], "data": {"ad_id": gaid(9)}, "place": "US-TX"}
        answer = await self.calling.post("/v1/shares/teemo", content=json.dumps(row), headers=self.desk | NDJSON)
        return json.loads(answer.text.splitlines()[0])

    async def bid(self):
        body = {"id": "1", "imp": [{"id": "1"}], "device": {"ifa": AD_ID, "os": "Android"}, "app": {"bundle": "x"}}
        answer = await self.calling.post("/v1/openrtb?recipient=advertisers", json=body, headers=self.desk)
        return answer.text


@pytest.fixture
async def doors(tmp_path):
    folder = inside.install(tmp_path / "data")
    app = await asyncio.to_thread(api_keys.add_api_key, folder, "app", ["choose"], publishable=True)
    desk = await asyncio.to_thread(
        api_keys.add_api_key, folder, "desk", ["desk", "check", "share", "choose"], publishable=False
    )
    with mailbox() as (box, port):
        configured = inside.settings(
            mail__server="127.0.0.1",
            mail__port=str(port),
            mail__security="none",
            mail__from_address="p@example.com",
            age__floor="0",
            recipients__advertisers__contract="C-1",
            recipients__teemo__contract="C-2",
        )
        async with inside.application(folder, configured, dev=False) as built, inside.client(built) as calling:
            yield Doors(calling, box, app, desk)


JANES = [named("account", "jane"), named("phone", NUMBER), named("gaid", AD_ID)]


@pytest.mark.parametrize("door", ["form", "app", "desk"])
@pytest.mark.parametrize(("said", "has"), [(WITHOUT, DOTS), (DOTS, TWIN), (TWIN, WITHOUT)])
async def test_who_opts_out_by_another_spelling_of_their_mailbox_is_opted_out_with_all_they_have(
    doors, door, said, has
):
    await doors.links("jane", named("email", has), *JANES[1:])
    assert await doors.denied(*JANES) == []
    await doors.says_no(door, named("email", said))
    asked = [*JANES, *(named("email", each) for each in SPELLINGS)]
    asked += [named(f"email_{kind}", hashlib.new(kind, has.lower().encode()).hexdigest()) for kind in ("sha256", "md5")]
    assert await doors.denied(*asked) == [each["value"] for each in asked]
    assert AD_ID not in await doors.bid()
    assert "data" not in await doors.shared(named("email", has)) or gaid(9) not in str(
        await doors.shared(named("email", has))
    )


async def test_a_backend_that_tells_another_spelling_later_finds_the_mailboxs_no(doors):
    await doors.says_no("form", named("email", TWIN))
    await doors.links("jane", named("email", DOTS), *JANES[1:])
    assert await doors.denied(*JANES) == [each["value"] for each in JANES]


async def test_a_code_to_the_mailbox_takes_back_what_it_said_in_any_spelling_and_opens_one(doors):
    await doors.links("jane", named("email", DOTS), *JANES[1:])
    await doors.says_no("form", named("email", WITHOUT))
    await doors.opts_in(TWIN)
    assert await doors.denied(*JANES, *(named("email", each) for each in SPELLINGS)) == []


async def test_a_code_to_the_mailbox_lifts_nothing_that_the_account_said(doors):
    await doors.links("jane", named("email", DOTS), *JANES[1:])
    await doors.says_no("desk", JANES[0])
    await doors.says_no("form", named("email", WITHOUT))
    await doors.opts_in(WITHOUT)
    asked = [*JANES, named("email", DOTS)]
    assert await doors.denied(*asked) == [each["value"] for each in asked]


@pytest.mark.parametrize("alike", LOOKS_ALIKE)
async def test_who_owns_an_address_that_looks_like_hers_opens_his_own_and_nothing_of_hers(doors, alike):
    hers = [named("email", ADDRESS), named("account", "jane"), named("gaid", AD_ID)]
    hers += [
        named(f"email_{kind}", hashlib.new(kind, ADDRESS.encode()).hexdigest()) for kind in ("sha256", "sha1", "md5")
    ]
    await doors.links("jane", *(hers[0], hers[2]))
    await doors.links("john", named("email", alike))
    await doors.says_no("desk", named("account", "jane"))
    await doors.opts_in(alike)
    assert await doors.denied(*hers) == [each["value"] for each in hers]
    await doors.links("jane", hers[0])
    assert await doors.denied(*hers) == [each["value"] for each in hers]
    assert AD_ID not in await doors.bid()
