"""Codes in calls: sent, read out, and good for one identifier, one use and one ticket."""

import asyncio
from email import message_from_bytes, policy

import pytest
import structlog
from support import inside
from support.mailbox import code_in, mailbox
from support.people import GAID, email, named, phone

from gateway.keys import api_keys
from gateway.web.shell import page

pytestmark = pytest.mark.anyio
FIRST, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("opt-in", "confirm"))
ME = named("email", email(1))


class App:
    """An app with a publishable key; nothing vouches for it but its proofs."""

    def __init__(self, calling, headers, box):
        self.calling, self.headers, self.box = calling, headers, box

    async def post(self, path, **body):
        return await self.calling.post(path, json=body, headers=self.headers)

    async def proof(self, use="access", identifier=None, **more):
        answer = await self.post("/v1/codes", identifier=identifier or ME, use=use, **more)
        assert answer.status_code == 202, answer.text
        return {"kind": "code", "ticket": answer.json()["ticket"], "code": self.box.code()}

    async def asks(self, proof, *identifiers, **more):
        """The first act of opting in."""
        body = {"choice": "opt_in", "purposes": ["sale"], "identifiers": list(identifiers) or [ME], "notice": FIRST}
        return await self.post("/v1/choices", **{**body, "proof": proof, **more})


@pytest.fixture
async def production(tmp_path):
    """Not in development: no proof but a real one."""
    folder = inside.install(tmp_path / "data")
    made = await asyncio.to_thread(api_keys.add_api_key, folder, "app", ["choose"], publishable=True)
    with mailbox() as (box, port):
        configured = inside.settings(
            mail__server="127.0.0.1", mail__port=str(port), mail__security="none", mail__from_address="p@example.com"
        )
        async with inside.application(folder, configured, dev=False) as built, inside.client(built) as calling:
            yield App(calling, {"Authorization": f"Bearer {made}"}, box)


def kind(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


REFUSED = (403, "proof_required")


async def test_a_person_opts_in_by_two_acts_each_with_a_code_of_its_own(production):
    await production.post("/v1/choices", choice="opt_out", identifiers=[ME])
    asked = await production.asks(await production.proof("opt_in", purpose="sale"))
    assert asked.status_code == 202, asked.text
    confirm = {"choice": "confirm", "confirm": asked.json()["confirm"], "notice": SECOND}
    assert kind(await production.post("/v1/choices", **confirm)) == REFUSED
    assert kind(await production.post("/v1/choices", **confirm, proof=await production.proof())) == REFUSED
    proof = await production.proof("opt_in", purpose="sale")
    done = await production.post("/v1/choices", **confirm, proof=proof)
    assert (done.status_code, done.json()["standing"]) == (201, {"sale": "opted_in"})


async def test_a_code_is_good_once_and_for_its_purpose(production):
    proof = await production.proof("opt_in", purpose="sale")
    assert kind(await production.asks(proof, purposes=["sharing"])) == REFUSED
    assert (await production.asks(proof)).status_code == 202
    assert kind(await production.asks(proof)) == REFUSED


async def test_what_is_proved_is_the_mailbox_and_nothing_beside_it(production):
    proof = await production.proof("opt_in", purpose="sale")
    assert kind(await production.asks(proof, ME, named("gaid", GAID))) == REFUSED
    proof = await production.proof()
    body = {"identifiers": [named("email", email(2)), named("account", "a1"), ME], "proof": proof}
    found = (await production.post("/v1/access", **body)).json()
    assert found["proved"] == [{"type": "email"}]
    assert found["ignored"] == [{"pointer": "/identifiers", "reason": "not all of them are proved"}]
    assert kind(await production.post("/v1/access", identifiers=[named("email", email(2))], proof=proof)) == REFUSED


async def test_a_person_has_themselves_forgotten_and_stays_opted_out(production):
    await production.post("/v1/choices", choice="opt_out", identifiers=[ME])
    body = {"identifiers": [ME], "mode": "erase_details"}
    assert kind(await production.post("/v1/erasures", **body)) == REFUSED
    assert kind(await production.post("/v1/erasures", **body, proof=await production.proof("access"))) == REFUSED
    done = await production.post("/v1/erasures", **body, proof=await production.proof("erasure"))
    assert done.status_code == 200, done.text
    proof = await production.proof()
    found = (await production.post("/v1/access", identifiers=[ME], proof=proof)).json()
    assert found["entries"] == []
    assert found["standing"][0]["purposes"]["sale"] == "opted_out"


@pytest.mark.parametrize("mode", ["unlink", "child_found"])
async def test_the_other_ways_of_forgetting_are_the_desks(production, mode):
    body = {"identifiers": [ME], "mode": mode, "proof": {"kind": "code", "code": "1", "ticket": "t"}}
    assert kind(await production.post("/v1/erasures", **body)) == (403, "forbidden")


async def test_known_and_unknown_addresses_are_answered_and_written_to_alike(production):
    """V25."""
    await production.post("/v1/choices", choice="opt_out", identifiers=[ME])
    answers = [await production.post("/v1/codes", identifier=named("email", email(n)), use="access") for n in (1, 2)]
    shapes = [(answer.status_code, sorted(answer.json()), sorted(answer.headers)) for answer in answers]
    assert shapes[0] == shapes[1]
    known, unknown = (letter.get_content() for _, letter in production.box.letters)
    assert known.replace(code_in(known), "") == unknown.replace(code_in(unknown), "")


async def test_a_letter_says_what_the_code_is_for_in_the_language_asked_for(production):
    await production.proof("opt_in", purpose="sale", language="es")
    text = production.box.letters[-1][1].get_content()
    assert "venta de mi información personal" in text
    assert "no haga nada" in text
    await production.proof("opt_in", purpose="sale", recipient="teemo", language="fr")
    text = production.box.letters[-1][1].get_content()
    assert "teemo" in text
    assert "ne faites rien" in text


async def test_a_fourth_code_within_the_hour_is_refused_and_the_opt_out_is_not(production):
    for _ in range(3):
        await production.proof()
    assert kind(await production.post("/v1/codes", identifier=ME, use="access")) == (429, "too_many_codes")
    assert (await production.post("/v1/choices", choice="opt_out", identifiers=[ME])).status_code == 201


async def test_a_mail_server_that_is_away_is_told_and_touches_no_opt_out(production):
    production.box.answer = "451 later"
    assert kind(await production.post("/v1/codes", identifier=ME, use="access")) == (502, "code_not_sent")
    assert (await production.post("/v1/choices", choice="opt_out", identifiers=[ME])).status_code == 201


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"identifier": ME, "use": "everything"}, (400, "malformed")),
        ({"identifier": ME}, (400, "malformed")),
        ({"identifier": ME, "use": "opt_in"}, (422, "one_purpose")),
        ({"identifier": ME, "use": "opt_in", "purpose": "all"}, (422, "one_purpose")),
        ({"identifier": ME, "use": "opt_in", "purpose": "sale", "recipient": "nobody"}, (400, "malformed")),
        ({"identifier": ME, "use": "opt_in", "purpose": ["sale"]}, (422, "one_purpose")),
        ({"identifier": None, "use": "access"}, (422, "nothing_usable")),
        ({"identifier": named("email", "rubbish"), "use": "access"}, (422, "nothing_usable")),
        ({"identifier": named("phone", phone(1)), "use": "access"}, (422, "nothing_usable")),
        ({"identifier": named("gaid", GAID), "use": "access"}, (422, "nothing_usable")),
        ({"identifier": ME, "use": "access", "code": "1"}, (400, "unknown_member")),
        ([], (400, "malformed")),
    ],
    ids=range(12),
)  # fmt: skip
async def test_a_code_that_is_asked_for_wrongly_is_refused_plainly(production, body, answer):
    asked = await production.calling.post("/v1/codes", json=body, headers=production.headers)
    assert kind(asked) == answer
    assert production.box.letters == []


@pytest.mark.parametrize(
    "proof",
    [
        {"kind": "code"}, {"kind": "code", "code": 1, "ticket": "t"}, {"kind": "code", "code": "1", "ticket": ""},
        {"kind": "code", "code": "1" * 300, "ticket": "t"}, {"kind": "code", "code": "12345678", "ticket": "t"},
        {"kind": "browser"}, {"kind": "browser", "cookie": "x"}, {"kind": "desk", "note": "they said so"},
        {"kind": "parent", "method": "a signed form"}, {"kind": ["code"]}, {}, "code", 7, None,
        {"kind": "account", "assertion": "dev"}, {"kind": "parent", "method": "dev"},
    ],
    ids=repr,
)  # fmt: skip
async def test_what_is_no_proof_opens_and_shows_nothing(production, proof):
    assert kind(await production.asks(proof)) == REFUSED
    assert kind(await production.post("/v1/access", identifiers=[ME], proof=proof)) == REFUSED


async def test_a_browsers_own_cookie_proves_that_browser_alone(production):
    posted = await production.calling.post("/privacy-choices", data={"action": "opt_out"})
    cookie = posted.headers["set-cookie"].partition(";")[0].partition("=")[2]
    browser, proof = {"type": "browser", "value": cookie}, {"kind": "browser", "cookie": cookie}
    found = (await production.post("/v1/access", identifiers=[browser, ME], proof=proof)).json()
    assert found["proved"] == [{"type": "browser"}]
    assert (await production.asks(proof, browser)).status_code == 202
    other = await production.calling.post("/privacy-choices", data={"action": "opt_out"})
    strange = {"kind": "browser", "cookie": other.headers["set-cookie"].partition(";")[0].partition("=")[2]}
    assert kind(await production.asks(strange, browser)) == REFUSED


async def test_the_desk_vouches_for_a_person_and_for_a_parent(tmp_path):
    folder = inside.install(tmp_path / "data")
    made = await asyncio.to_thread(api_keys.add_api_key, folder, "desk", ["desk", "choose"], publishable=False)
    async with inside.application(folder, dev=False) as built, inside.client(built) as calling:
        desk = App(calling, {"Authorization": f"Bearer {made}"}, None)
        for proof in ({"kind": "desk", "note": "passport seen"}, {"kind": "parent", "method": "a signed form"}):
            assert (await desk.asks(proof)).status_code == 202
        for proof in ({"kind": "desk"}, {"kind": "desk", "note": " "}, {"kind": "parent", "method": 7}, None):
            assert kind(await desk.asks(proof)) == REFUSED


async def test_neither_a_code_nor_an_address_stands_in_a_log(production):
    with structlog.testing.capture_logs() as lines:
        proof = await production.proof()
        await production.post("/v1/access", identifiers=[ME], proof=proof)
        production.box.answer = "550 no"
        await production.post("/v1/codes", identifier=ME, use="access")
    told = repr(lines)
    assert "/v1/codes" in told, "the control"
    for secret in (email(1), proof["code"], proof["code"].replace(" ", ""), proof["ticket"]):
        assert secret not in told


async def test_in_development_a_letter_lies_in_a_folder_and_no_text_message_is_offered(tmp_path):
    async with inside.application(tmp_path / "data") as built, inside.client(built, **inside.DEV) as keyed:
        answer = await keyed.post("/v1/codes", json={"identifier": ME, "use": "access"})
        assert answer.status_code == 202
        [file] = (tmp_path / "data" / "outbox").iterdir()
        letter = message_from_bytes(file.read_bytes(), policy=policy.default)
        proof = {"kind": "code", "ticket": answer.json()["ticket"], "code": code_in(letter.get_content())}
        assert (await keyed.post("/v1/access", json={"identifiers": [ME], "proof": proof})).status_code == 200
        assert kind(await keyed.post("/v1/codes", json={"identifier": named("phone", phone(1)), "use": "access"})) == (
            422,
            "nothing_usable",
        )
