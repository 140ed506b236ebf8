import asyncio
import hashlib
import sqlite3
from datetime import datetime, timedelta

import pytest
from support import inside
from support.people import GAID, ZERO, email, gaid, named, phone

from gateway.app import maintenance
from gateway.keys import api_keys

pytestmark = pytest.mark.anyio
MODES = ("erase_details", "unlink", "child_found")


async def reason(keyed, *identifiers, recipient="teemo"):
    body = {"identifiers": list(identifiers), "recipient": recipient, "place": "US-NY"}
    return (await keyed.post("/v1/check", json=body)).json()["reason"]


async def opt_out(keyed, *identifiers):
    answer = await keyed.post("/v1/choices", json={"identifiers": list(identifiers), "choice": "opt_out"})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def erase(keyed, mode, *identifiers, **more):
    return await keyed.post("/v1/erasures", json={"identifiers": list(identifiers), "mode": mode, **more})


@pytest.mark.parametrize("mode", MODES)
async def test_the_answer_is_the_same_whether_anybody_was_known_or_not(keyed, mode):
    """R6, V25."""
    await opt_out(keyed, named("email", email(1)))
    known, unknown = [await erase(keyed, mode, named("email", email(number))) for number in (1, 2)]
    assert (known.status_code, unknown.status_code) == (200, 200)
    first, second = known.json(), unknown.json()
    assert set(first) == set(second) == {"event", "seq", "receipt", "done_at", "gone_by", "told"}
    assert first["told"] == second["told"]
    ahead = datetime.fromisoformat(first["gone_by"]) - datetime.fromisoformat(first["done_at"])
    assert timedelta(days=8) < ahead <= timedelta(days=15), "an epoch dies then"
    assert "opening" not in known.text


@pytest.mark.parametrize("mode", MODES)
async def test_an_erasure_has_a_receipt_and_older_receipts_go_on(keyed, mode):
    before = await opt_out(keyed, named("email", email(1)))
    older = (await keyed.get(f"/v1/receipts/{before['event']}")).text.partition("\n\n")[0].splitlines()[1]
    answer = (await erase(keyed, mode, named("email", email(1)))).json()
    assert (await keyed.get(answer["receipt"])).text.startswith("c2sp.org/tlog-proof@v1\n")
    again = (await keyed.get(f"/v1/receipts/{before['event']}")).text
    assert older in again, "the entry's bytes are the same"


async def test_an_erased_person_is_still_denied_and_an_unlinked_one_is_nobody(keyed):
    person = named("email", email(1))
    await opt_out(keyed, person)
    await erase(keyed, "erase_details", person)
    assert await reason(keyed, person) == "opted_out"
    await erase(keyed, "unlink", person)
    assert await reason(keyed, person) != "opted_out"


async def test_who_registers_again_is_denied_on_the_first_check_and_sees_nothing_of_before(tmp_path):
    """R19: the same e-mail, then the same device with another e-mail, after two new peppers."""
    folder = tmp_path / "data"
    mail, device, other = named("email", email(1)), named("gaid", GAID), named("email", email(2))
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as keyed:
        await keyed.post("/v1/links", json={"account": "old", "identifiers": [mail, device]})
        said = await opt_out(keyed, named("account", "old"), mail, device)
        assert (await erase(keyed, "erase_details", named("account", "old"), mail, device)).status_code == 200
    for _ in range(2):
        await asyncio.to_thread(maintenance.pepper, folder, inside.settings())
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as keyed:
        await keyed.post("/v1/links", json={"account": "new", "identifiers": [mail]})
        assert await reason(keyed, mail) == "opted_out"
        await keyed.post("/v1/links", json={"account": "newer", "identifiers": [other, device]})
        assert await reason(keyed, device) == "opted_out"
        asked = {"identifiers": [mail], "choice": "opt_out", "purposes": ["marketing_email"]}
        told = (await keyed.post("/v1/choices", json=asked)).json()["may_ask_from"]
        assert told["marketing_email"] >= said["may_ask_from"]["sale"]
        shown = (await keyed.post("/v1/access", json={"identifiers": [mail, device]})).json()
        assert said["event"] not in str(shown)
        assert "'old'" not in str(shown)


async def test_a_child_that_was_found_is_denied_at_every_recipient(keyed):
    device = named("gaid", GAID)
    await keyed.post("/v1/links", json={"account": "child", "identifiers": [device]})
    answer = (await erase(keyed, "child_found", named("account", "child"))).json()
    assert answer["told"]["account_backend"] == "queued"
    for recipient in ("teemo", "advertisers", "matching"):
        body = {"identifiers": [device], "recipient": recipient, "place": "US-NY"}
        verdict = (await keyed.post("/v1/check", json=body)).json()
        assert (verdict["allowed"], verdict["partly"]) == (False, False)
    older = {"account": "grown", "identifiers": [device], "age": "adult"}
    await keyed.post("/v1/links", json=older)
    assert await reason(keyed, device) in {"age", "opted_out"}


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ([], 400, None),
        ({"mode": "unlink"}, 400, "/identifiers"),
        ({"identifiers": [], "mode": "unlink"}, 400, "/identifiers"),
        ({"identifiers": [named("gaid", GAID)]}, 400, "/mode"),
        ({"identifiers": [named("gaid", GAID)], "mode": "everything"}, 400, "/mode"),
        ({"identifiers": [named("gaid", GAID)], "mode": ["unlink"]}, 400, "/mode"),
        ({"identifiers": [named("gaid", GAID)], "mode": "unlink", "reason": "x"}, 400, "/reason"),
        ({"identifiers": [named("gaid", GAID)], "mode": "unlink", "note_sha256": "no"}, 400, "/note_sha256"),
        ({"identifiers": [named("gaid", GAID)], "mode": "unlink", "note_sha256": 5}, 400, "/note_sha256"),
        ({"identifiers": [named("gaid", GAID), named("gaid", ZERO)], "mode": "unlink"}, 422, "/identifiers/1"),
        ({"identifiers": [named("email", "no")], "mode": "unlink"}, 422, "/identifiers/0"),
    ],
)
async def test_what_cannot_be_read_whole_forgets_nobody(keyed, body, status, pointer):
    answer = await keyed.post("/v1/erasures", json=body)
    assert answer.status_code == status
    assert [item["pointer"] for item in answer.json().get("errors", [])] == ([pointer] if pointer else [])


async def test_the_note_is_kept_beside_the_ledger_and_in_no_entry(keyed, folder):
    note = hashlib.sha256(b"letter of the person, filed under 17").hexdigest()
    answer = (await erase(keyed, "erase_details", named("phone", phone(1)), note_sha256=note)).json()
    with sqlite3.connect(f"file:{folder / 'ledger.sqlite3'}?mode=ro", uri=True) as db:
        assert db.execute("SELECT note FROM erasure WHERE seq = ?", (answer["seq"],)).fetchone()[0].hex() == note
        assert not any(note in body.decode() for (body,) in db.execute("SELECT body FROM entry"))


async def test_it_is_not_acknowledged_before_it_is_finished(app, keyed, monkeypatch):
    from gateway.ledger import erasure_steps

    def busy(_):
        raise erasure_steps.NotYet

    with monkeypatch.context() as now:
        now.setattr(erasure_steps, "cut_ledger", busy)
        answer = await erase(keyed, "erase_details", named("gaid", gaid(1)))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await erase(keyed, "erase_details", named("gaid", gaid(1)))).status_code == 200


@pytest.mark.parametrize("scopes", [["check"], ["choose"], ["share"], ["admin"], ["export"]])
async def test_only_the_desk_may_have_a_person_forgotten(tmp_path, scopes):
    async with inside.application(tmp_path / "data", dev=False) as app:
        made = await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", "k", scopes, publishable=False)
        async with inside.client(app, Authorization=f"Bearer {made}") as client:
            body = {"identifiers": [named("gaid", GAID)], "mode": "unlink"}
            assert (await client.post("/v1/erasures", json=body)).status_code == 403
            assert (await client.post("/v1/erasures", json=body, headers={"Authorization": ""})).status_code == 401


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/x-ndjson"])
async def test_a_page_of_another_site_cannot_have_anybody_forgotten(keyed, kind):
    answer = await keyed.post("/v1/erasures", content=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 415
