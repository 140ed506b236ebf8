"""The desk behind its sign-in: who comes in, from which address, for how long, and what is written down of it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace
from urllib.parse import urlsplit

import cbor2
import pytest
import webauthn
from support import inside
from support.at_the_desk import FORM, OURS, URL, Sitting, comes_in, desk, form_of, lines, officers, read
from support.company import CLIENT, SECRET, standing_in
from webauthn.helpers import bytes_to_base64url

from gateway.desk.evidence import desk_heads
from gateway.desk.office.desk_file import desk_file
from gateway.desk.office.desk_log import DeskLog, DeskLogBroken
from gateway.desk.office.officers import DeskRole, NobodyAtDesk
from gateway.ledger.store import SqliteStore
from gateway.web.shell.edge import INTERNAL, METRICS, PUBLIC

pytestmark = pytest.mark.anyio


async def test_the_desk_is_on_its_own_address_and_on_no_other_one(folder):
    for listener in (PUBLIC, INTERNAL, METRICS):
        async with desk(folder, served=frozenset({listener})) as client:
            for path in ("/desk", "/desk/sign-in", "/desk/desk.js"):
                assert (await client.get(path)).status_code == 404
    async with desk(folder) as client:
        assert (await client.get("/desk/sign-in")).status_code == 200
        for path in ("/privacy-choices", "/v1/self", "/metrics", "/livez", "/ledger/checkpoint"):
            assert (await client.get(path)).status_code == 404


async def test_whoever_is_not_signed_in_is_shown_the_sign_in_and_nothing_else(folder):
    async with desk(folder) as client:
        for path in ("/desk", "/desk/deliveries", "/desk/people"):
            found = await client.get(path, headers={"Cookie": "__Host-desk=made-up"})
            assert (found.status_code, found.headers["location"]) == (303, "/desk/sign-in")
        assert (await client.post("/desk/people", headers=OURS, content="action=invite")).status_code == 401
    assert await lines(folder) == []


@pytest.mark.parametrize("role", list(DeskRole))
async def test_each_page_is_for_its_role_and_those_above_it(folder, role):
    pages = {("GET", "/desk"): DeskRole.READER, ("GET", "/desk/deliveries"): DeskRole.READER,
             ("POST", "/desk/deliveries"): DeskRole.OFFICER, ("GET", "/desk/people"): DeskRole.ADMIN,
             ("POST", "/desk/people"): DeskRole.ADMIN}  # fmt: skip
    cookie = await comes_in(folder, "ada", role)
    async with desk(folder) as client:
        form = form_of(await client.get("/desk", headers=cookie))
        for (method, path), least in pages.items():
            sent = (
                {"content": f"form={form}", "headers": {**cookie, **OURS, **FORM}}
                if method == "POST"
                else {"headers": cookie}
            )
            found = await client.request(method, path, **sent)
            assert (found.status_code == 403) is not role.may(least), (method, path)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site", "Origin": "https://www.example.com"},
     {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.com"}, {"Sec-Fetch-Site": "none"}],
)  # fmt: skip
async def test_a_form_that_no_page_of_the_desk_sends_does_nothing(folder, headers):
    cookie = await comes_in(folder, "ada", DeskRole.ADMIN)
    async with desk(folder) as client:
        form = form_of(await client.get("/desk", headers=cookie))
        body = f"form={form}&action=invite&name=eve&role=admin"
        assert (
            await client.post("/desk/people", headers={**cookie, **FORM, **headers}, content=body)
        ).status_code == 403
        assert (await client.post("/desk/people", headers={**cookie, **FORM, **OURS}, content=body)).status_code == 200
    assert {each.name for each in await Sitting(folder).people()} == {"ada", "eve"}


async def test_who_made_whom_what_is_on_record_and_nobody_changes_their_own_role(folder):
    cookie = await comes_in(folder, "ada", DeskRole.ADMIN)
    async with desk(folder) as client:
        form = form_of(await client.get("/desk", headers=cookie))

        async def invites(name, role):
            body = f"form={form}&action=invite&name={name}&role={role}"
            return (await client.post("/desk/people", headers={**cookie, **FORM, **OURS}, content=body)).status_code

        assert [await invites("eve", "reader"), await invites("eve", "admin"), await invites("ada", "admin")] == [
            200
        ] * 3
        assert await invites("ada", "reader") == 403
        noted = [line for line in await lines(folder) if line["what"] == "invited"]
    assert [(line["whom"], line["was"], line["made"]) for line in noted] == [
        ("eve", "", "reader"), ("eve", "reader", "admin"), ("ada", "admin", "admin")
    ]  # fmt: skip
    assert {each.name: each.role for each in await Sitting(folder).people()} == dict.fromkeys(("ada", "eve"), "admin")


async def test_the_form_of_another_session_does_nothing(folder):
    mine, other = await comes_in(folder, "ada", DeskRole.ADMIN), await comes_in(folder, "ben", DeskRole.ADMIN)
    async with desk(folder) as client:
        theirs = form_of(await client.get("/desk", headers=other))
        for form in (theirs, "", "0" * 64):
            body = f"form={form}&action=end&name=ben"
            found = await client.post("/desk/people", headers={**mine, **FORM, **OURS}, content=body)
            assert found.status_code == 403
    assert len(await Sitting(folder).people()) == 2


async def test_a_session_ends_when_nobody_uses_it_and_at_its_time_in_any_case(folder):
    began, moved = datetime.now(UTC), timedelta()
    cookie = await comes_in(folder)

    def clock():
        return began + moved

    async def is_in(client):
        return (await client.get("/desk", headers=cookie)).status_code == 200

    async with desk(folder, clock=clock, desk__idle_minutes="30", desk__session_hours="2") as client:
        for _ in range(4):
            moved += timedelta(minutes=29)
            assert await is_in(client)
        moved += timedelta(minutes=5)  # 121 minutes after it began, 5 after it was used
        assert not await is_in(client)
    cookie, moved = await comes_in(folder), timedelta()
    began = datetime.now(UTC)
    async with desk(folder, clock=clock, desk__idle_minutes="30") as client:
        moved = timedelta(minutes=31)
        assert not await is_in(client)


async def test_whoever_signs_out_or_is_taken_off_is_out(folder):
    leaves, taken = await comes_in(folder, "ada"), await comes_in(folder, "ben")
    async with desk(folder) as client:
        form = form_of(await client.get("/desk", headers=leaves))
        assert (
            await client.post("/desk/sign-out", headers={**leaves, **OURS, **FORM}, content=f"form={form}")
        ).status_code == 303
        assert await Sitting(folder).end_person("ben")
        for cookie in (leaves, taken):
            assert (await client.get("/desk", headers=cookie)).status_code == 303
    with pytest.raises(NobodyAtDesk):
        await Sitting(folder).begin_session("ben", "passkey")


async def test_a_proxy_is_believed_from_its_own_address_alone(folder):
    await Sitting(folder).invite("ada@example.com", DeskRole.READER)
    said = {"desk__proxy_header": "X-Forwarded-Email"}
    named = {"X-Forwarded-Email": "Ada@example.com", **OURS}
    async with desk(folder, desk__proxies="10.1.0.0/16", **said) as client:  # the caller is 127.0.0.1
        assert (await client.post("/desk/sign-in/proxy", headers=named)).status_code == 403
        spoofed = {**named, "X-Forwarded-For": "10.1.2.3"}
        assert (await client.post("/desk/sign-in/proxy", headers=spoofed)).status_code == 403
    async with desk(folder, desk__proxies="127.0.0.1", **said) as client:
        assert (await client.post("/desk/sign-in/proxy", headers=OURS)).status_code == 403
        assert "Go on as ada@example.com" in (await client.get("/desk/sign-in", headers=named)).text
        cookie = inside.kept(await client.post("/desk/sign-in/proxy", headers=named))
        cookie = {"Cookie": next(each for each in cookie["Cookie"].split("; ") if each.startswith("__Host-desk="))}
        assert (await client.get("/desk", headers={**cookie, **named})).status_code == 200
        other = {**named, "X-Forwarded-Email": "eve@example.com"}
        assert (await client.get("/desk", headers={**cookie, **other})).status_code == 303
        assert (await client.get("/desk", headers=cookie)).status_code == 303


async def by_company(client, company, **cookies):
    """What comes of a whole sign-in there."""
    jar = "; ".join(f"{name}={value}" for name, value in cookies.items())
    begun = await client.get("/desk/sign-in/company", headers={"Cookie": jar} if jar else {})
    step = inside.kept(begun)["Cookie"]
    back = urlsplit(company.comes_back(begun.headers["location"]))
    return await client.get(f"{back.path}?{back.query}", headers={"Cookie": f"{step}; {jar}"})


@pytest.fixture
def company(tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    with standing_in() as provider:
        provider.said = {"desk__oidc_issuer": provider.issuer, "desk__oidc_client": CLIENT,
                         "desk__oidc_secret_file": str(tmp_path / "secret")}  # fmt: skip
        yield provider


async def test_a_company_account_is_registered_by_an_invitation_and_lets_its_person_in(folder, company):
    code = await Sitting(folder).invite("ada", DeskRole.OFFICER)
    async with desk(folder, **company.said) as client:
        assert (await by_company(client, company)).status_code == 403  # nobody's yet
        first = await by_company(client, company, **{"__Host-desk-invitation": code})
        assert "You are signed in as ada" in first.text
        company.subject = "s-2"
        used = await by_company(client, company, **{"__Host-desk-invitation": code})
        assert used.status_code == 403
        assert "was used" in used.text
        company.subject = "s-1"
        again = await by_company(client, company)
        session = next(each for each in again.headers.get_list("set-cookie") if each.startswith("__Host-desk="))
        assert session.endswith("; Path=/; Secure; HttpOnly; SameSite=Strict")
        assert (await client.get("/desk", headers={"Cookie": session.partition(";")[0]})).status_code == 200
    begun, asked = company.asked[-2:]
    assert begun["code_challenge_method"] == "S256"
    assert len(asked["code_verifier"]) >= 43
    assert begun["redirect_uri"] == asked["redirect_uri"] == f"{URL}/desk/sign-in/back"


async def test_an_account_of_one_person_is_not_taken_over_by_anothers_invitation(folder, company):
    sitting = Sitting(folder)
    await sitting.register_company(await sitting.invite("ada", DeskRole.ADMIN), company.issuer, "s-1")
    code = await sitting.invite("eve", DeskRole.READER)
    async with desk(folder, **company.said) as client:
        found = await by_company(client, company, **{"__Host-desk-invitation": code})
        assert (found.status_code, await sitting.of_company(company.issuer, "s-1")) == (403, "ada")
        assert await sitting.invited(code) == "eve"  # it is not used up
        gone = (await client.get("/desk/sign-in")).headers.get_list("set-cookie")
        assert any(each.startswith("__Host-desk-invitation=;") and "Max-Age=0" in each for each in gone)


def test_a_passkey_of_one_person_is_not_taken_over_by_anothers_invitation(folder):
    sitting = officers(folder)
    sitting.register_passkey(sitting.invite("ada", DeskRole.ADMIN), b"id", b"key", 0)
    with pytest.raises(NobodyAtDesk):
        sitting.register_passkey(sitting.invite("eve", DeskRole.READER), b"id", b"other", 0)
    assert sitting.passkey(b"id").key == b"key"
    assert sitting.register_passkey(sitting.invite("ada", DeskRole.ADMIN), b"id", b"newer", 0) == "ada"


WRONG = {"another issuer": {"iss": "https://evil.example.com"}, "another audience": {"aud": "others"}, "another nonce": {"nonce": "x"},
         "no nonce": {"nonce": None}, "over": {"exp": 1}, "another party": {"azp": "others"}, "another token": {"at_hash": "AAAA"}}  # fmt: skip


@pytest.mark.parametrize("wrong", [*WRONG, "another key", "another state", "no step"])
async def test_what_a_company_says_wrongly_lets_nobody_in(folder, company, wrong):
    code = await Sitting(folder).invite("ada", DeskRole.OFFICER)
    await Sitting(folder).register_company(code, company.issuer, "s-1")
    async with desk(folder, **company.said) as client:
        assert (await by_company(client, company)).status_code == 200
        company.says = WRONG.get(wrong, {})
        if wrong == "another key":
            company.key = type(company.key).generate_key(2048, {"kid": "k1"})
        begun = await client.get("/desk/sign-in/company")
        step = {} if wrong == "no step" else inside.kept(begun)
        back = urlsplit(company.comes_back(begun.headers["location"]))
        query = back.query.replace("state=", "state=x") if wrong == "another state" else back.query
        found = await client.get(f"{back.path}?{query}", headers=step)
        assert found.status_code == 403
        assert not any(each.startswith("__Host-desk=") for each in found.headers.get_list("set-cookie"))


def test_an_invitation_is_good_once_and_for_three_days(folder):
    sitting = officers(folder)
    code = sitting.invite("ada", DeskRole.OFFICER)
    assert sitting.register_passkey(code, b"id", b"key", 0) == "ada"
    with pytest.raises(NobodyAtDesk):
        sitting.register_passkey(code, b"other", b"key", 0)
    older, late = sitting.invite("ben", DeskRole.OFFICER), officers(folder)
    object.__setattr__(late, "clock", lambda: datetime.now(UTC) + timedelta(days=3, minutes=1))
    assert sitting.invited(older) == "ben"
    assert late.invited(older) is None
    sitting.invite("ben", DeskRole.OFFICER)
    assert sitting.invited(older) is None  # a newer one ends it


@pytest.mark.parametrize("path", ["/desk/sign-in/passkey", "/desk/invitation/passkey"])
@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"id": "AAAA"}', b'{"id": 1, "rawId": [], "response": {}}', b"\xff", b'{"id": "\xc3\xa9"}'],
)
async def test_what_is_no_passkeys_answer_lets_nobody_in_and_is_no_fault(folder, path, body):
    async with desk(folder) as client:
        asked = await client.post("/desk/sign-in/options", headers=OURS, content=b"{}")
        sent = {**OURS, **inside.kept(asked), "Content-Type": "application/json"}
        found = await client.post(path, headers=sent, content=body)
        assert found.status_code in {400, 403}
        assert "set-cookie" not in found.headers


def registration(challenge: str, *, fmt: str, origin: str) -> dict:
    """What a browser says that made a passkey, with an attestation of a stranger's."""
    said = {"type": "webauthn.create", "challenge": challenge, "origin": origin}
    domain, key = sha256(urlsplit(origin).hostname.encode()).digest(), cbor2.dumps([])
    seen = domain + b"\x45" + bytes(4) + bytes(16) + b"\x00\x01" + b"i" + key
    made = {"fmt": fmt, "attStmt": {"x5c": [b"a"], "ver": "1", "response": b"a"}, "authData": seen}
    encoded = {
        "clientDataJSON": bytes_to_base64url(json.dumps(said).encode()),
        "attestationObject": bytes_to_base64url(cbor2.dumps(made)),
    }
    return {"id": "aQ", "rawId": "aQ", "type": "public-key", "response": encoded}


@pytest.mark.parametrize("fmt", ["apple", "android-safetynet", "packed", "none", "tpm"])
async def test_whatever_the_library_stumbles_over_in_a_new_passkey_is_refused(folder, fmt):
    async with desk(folder) as client:
        code = {"Cookie": f"__Host-desk-invitation={await Sitting(folder).invite('ada', DeskRole.ADMIN)}"}
        asked = await client.post("/desk/invitation/options", headers={**OURS, **code}, content=b"{}")
        sent = {**OURS, "Cookie": f"{code['Cookie']}; {inside.kept(asked)['Cookie']}"}
        said = registration(asked.json()["challenge"], fmt=fmt, origin=OURS["Origin"])
        assert (await client.post("/desk/invitation/passkey", headers=sent, json=said)).status_code == 403
        assert await Sitting(folder).people() == [("ada", DeskRole.ADMIN, 0, False, None)]


def steps_kept(folder):
    with desk_file(folder) as db:
        return db.execute("SELECT hash, content FROM step").fetchall()


@pytest.fixture
def believed(monkeypatch):
    """A passkey whose answers hold: ada's, by what she signs with it."""
    signed = SimpleNamespace(new_sign_count=0)
    monkeypatch.setattr(webauthn, "verify_authentication_response", lambda **_: signed)
    return {"id": bytes_to_base64url(b"id")}


async def asks_to_sign_in(client):
    asked = await client.post("/desk/sign-in/options", headers=OURS, content=b"{}")
    return {**OURS, **inside.kept(asked)}


async def test_what_strangers_begin_is_kept_nowhere_and_ends_no_officers_step(folder, company, believed):
    await Sitting(folder).register_passkey(await Sitting(folder).invite("ada", DeskRole.OFFICER), b"id", b"key", 0)
    async with desk(folder, **company.said) as client:
        mine, other = await asks_to_sign_in(client), await asks_to_sign_in(client)
        await client.get("/desk/sign-in/company")
        assert await asyncio.to_thread(steps_kept, folder) == []
        assert mine != other
        assert (await client.post("/desk/sign-in/passkey", headers=mine, json=believed)).status_code == 200


async def test_a_ceremony_is_answered_rightly_once_and_wrongly_as_often_as_somebody_likes(folder, believed):
    await Sitting(folder).register_passkey(await Sitting(folder).invite("ada", DeskRole.OFFICER), b"id", b"key", 0)
    async with desk(folder) as client:
        mine = await asks_to_sign_in(client)
        for said, status in (({"id": "AAAA"}, 403), (believed, 200), (believed, 403)):
            assert (await client.post("/desk/sign-in/passkey", headers=mine, json=said)).status_code == status
        [(hashed, content)] = await asyncio.to_thread(steps_kept, folder)
        assert (len(hashed), content) == (32, "")


async def test_a_company_sign_in_that_was_answered_is_over(folder, company):
    code = await Sitting(folder).invite("ada", DeskRole.OFFICER)
    await Sitting(folder).register_company(code, company.issuer, "s-1")
    async with desk(folder, **company.said) as client:
        begun = await client.get("/desk/sign-in/company")
        back = urlsplit(company.comes_back(begun.headers["location"]))
        found = [await client.get(f"{back.path}?{back.query}", headers=inside.kept(begun)) for _ in range(2)]
    assert [each.status_code for each in found] == [200, 403]


async def test_a_ceremony_is_over_after_ten_minutes_and_is_of_our_making(folder, believed):
    await Sitting(folder).register_passkey(await Sitting(folder).invite("ada", DeskRole.OFFICER), b"id", b"key", 0)
    began, moved = datetime.now(UTC), timedelta()
    async with desk(folder, clock=lambda: began + moved) as client:
        mine = await asks_to_sign_in(client)
        moved = timedelta(minutes=11)
        for headers in (mine, OURS, {**OURS, "Cookie": "__Host-desk-step=made-up"}):
            found = await client.post("/desk/sign-in/passkey", headers=headers, json=believed)
            assert (found.status_code, "This took too long" in found.text) == (403, True)


async def test_no_answer_ends_another_ceremony_than_that_in_which_it_was_asked(folder, monkeypatch):
    looked = []
    for name in ("verify_registration_response", "verify_authentication_response"):
        monkeypatch.setattr(webauthn, name, lambda **said: looked.append(said))
    async with desk(folder) as client:
        ada, ben = [
            f"__Host-desk-invitation={await Sitting(folder).invite(each, DeskRole.ADMIN)}" for each in ("ada", "ben")
        ]
        for begins, ends in ((None, None), (None, ada), (ada, None), (ada, ben)):
            at = "/desk/invitation/options" if begins else "/desk/sign-in/options"
            asked = await client.post(at, headers={**OURS, "Cookie": begins or "a=b"}, content=b"{}")
            sent = {**OURS, "Cookie": f"{ends or 'a=b'}; {inside.kept(asked)['Cookie']}"}
            said = registration(asked.json()["challenge"], fmt="apple", origin=OURS["Origin"])
            assert (await client.post("/desk/invitation/passkey", headers=sent, json=said)).status_code == 403
    assert looked == []


async def test_what_is_looked_at_is_written_down_before_it_is_shown(folder, monkeypatch):
    cookie = await comes_in(folder, "ada", DeskRole.ADMIN)
    async with desk(folder) as client:
        await client.get("/desk", headers=cookie)
        form = form_of(await client.get("/desk/people", headers=cookie))
        body = f"form={form}&action=end&name=ben"
        await client.post("/desk/people", headers={**cookie, **OURS, **FORM}, content=body)
        assert (
            await client.post("/desk/people", headers={**cookie, **OURS, **FORM}, content=f"form={form}")
        ).status_code == 400
        told = [(line["who"], line["role"], line["what"]) for line in await lines(folder)]
        whats = ["looked at today", "looked at who sits at the desk", "took off the desk"]
        assert told == [("ada", "admin", what) for what in whats]

        def full(*_):
            from gateway.ledger.errors import StoreUnavailable

            raise StoreUnavailable("no room")

        monkeypatch.setattr(DeskLog, "note", full)
        found = await client.get("/desk", headers=cookie)
        assert found.status_code == 503
        assert "To be done" not in found.text


async def test_the_days_entry_holds_the_head_of_the_desks_log_and_a_changed_line_is_found(folder):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        for _ in range(3):
            assert (await client.get("/desk", headers=cookie)).status_code == 200
    await asyncio.to_thread(_is_compared, folder)


def _is_compared(folder):
    told = desk_heads(SqliteStore(folder))
    log = DeskLog(folder, inside.secrets().desk)
    assert [each.lines for each in told] == [3]
    assert all(log.head_of_line(each.lines) == each.head for each in told)
    with desk_file(folder) as db:
        assert not any(
            name in row[0] for row in db.execute("SELECT sealed FROM looked") for name in (b'"ada"', b"/desk")
        )
        db.execute("UPDATE looked SET sealed = (SELECT sealed FROM looked WHERE number = 1) WHERE number = 2")
    with pytest.raises(DeskLogBroken):
        read(folder)


def test_a_line_of_the_desks_log_is_forgotten_after_24_months_and_the_chain_holds(folder):
    log, long_ago = DeskLog(folder, inside.secrets().desk), datetime.now(UTC) - timedelta(days=734)
    log.note(long_ago, {"who": "ada"})
    log.note(long_ago + timedelta(days=3), {"who": "ben"})
    log.note(datetime.now(UTC) - timedelta(hours=30), {"who": "cleo"})
    log.note(datetime.now(UTC), {"who": "dan"})
    assert [line.get("who") for line in read(folder)] == [None, "ben", "cleo", "dan"]


@pytest.mark.parametrize("lines", [1, 3])
def test_a_clock_that_was_ahead_once_takes_no_line_of_the_desks_log(folder, lines):
    log, now = DeskLog(folder, inside.secrets().desk), datetime.now(UTC)
    log.note(now - timedelta(days=3), {"who": "ada"})
    log.note(now, {"who": "ben"})
    for minute in range(lines):
        log.note(now + timedelta(days=1500, minutes=minute), {"who": "cleo"})
    assert read(folder)[0]["who"] == "ada"
    log.note(now + timedelta(days=2), {"who": "dan"})
    assert [line.get("who") for line in read(folder)] == ["ada", "ben", *["cleo"] * lines, "dan"]


def test_a_clock_that_is_ahead_at_each_of_two_starts_takes_no_line_of_the_desks_log(folder):
    log, now = DeskLog(folder, inside.secrets().desk), datetime.now(UTC)
    ahead = [timedelta(0), timedelta(days=1500), timedelta(days=1), timedelta(days=1502), timedelta(days=2)]
    for at in ahead:
        log.note(now + at, {"who": "ada"})
    assert [line.get("who") for line in read(folder)] == ["ada"] * 5


@pytest.mark.parametrize(
    "act",
    ["sealed = NULL", "sealed = NULL, at = at - 86400000 * 800", "at = at - 86400000 * 3", "at = at - 86400000 * 800"],
)
def test_a_line_that_was_emptied_or_dated_otherwise_before_its_time_is_found(folder, act):
    log, now = DeskLog(folder, inside.secrets().desk), datetime.now(UTC)
    for number in range(3):
        log.note(now, {"who": f"officer {number}"})
    with desk_file(folder) as db:
        db.execute(f"UPDATE looked SET {act} WHERE number = 2")
    log.note(now, {"who": "cleo"})  # which forgets what is old
    with pytest.raises(DeskLogBroken):
        read(folder)
