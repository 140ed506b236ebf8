"""An account assertion at the doors: what it proves, what it ties, and that it is used once (R12, R26, I8)."""

import asyncio
import contextlib
import json
import sqlite3
import time

import anyio
import pytest
from support import inside
from support.people import email, gaid, named, phone
from support.phones import AUDIENCE, Phone, idfv, ignored, kind

from gateway.consent.installations import Installations
from gateway.ledger.errors import StoreUnavailable
from gateway.settings.load import SettingsRefused
from gateway.web.shell import page

pytestmark = pytest.mark.anyio
OLD, NEW, ACCOUNT = named("gaid", gaid(1)), named("gaid", gaid(2)), named("account", "a1")
SHOWN, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))


def links(folder) -> int:
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return db.execute("SELECT count(DISTINCT account || identifier) FROM link_event").fetchone()[0]


async def web_opt_out(place, account="a1"):
    """As the choices page does for somebody who is signed in."""
    body = {"identifiers": [named("account", account)], "choice": "opt_out"}
    assert (await place.desk.post("/v1/choices", json=body)).status_code == 201


async def test_an_opt_out_on_the_web_stops_the_app_of_whoever_is_signed_in_there(place):
    await web_opt_out(place)
    phone_ = place.phone(OLD)
    await phone_.observes()
    assert phone_.last["sdks"] == {"teemo": "limited"}  # without the precise point, which wants a yes
    await phone_.observes(proof=place.backend.proof())
    assert (phone_.last["sdks"], phone_.last["standing"]["sale"]) == ({"teemo": "stop"}, "opted_out")
    assert ignored(await phone_.observes()) == {}
    assert phone_.last["sdks"] == {"teemo": "stop"}  # signed out again: the phone belongs to the account


async def test_an_opt_out_in_the_app_reaches_the_web_of_whoever_is_signed_in(place):
    phone_ = place.phone(OLD)
    await phone_.chooses(proof=place.backend.proof())
    assert await place.reason(ACCOUNT) == "opted_out"


async def test_after_a_reinstall_the_phone_is_denied_from_sign_in_on_and_unlinked_before(place):
    """R26. The share door refuses what no account has; the check door cannot know it."""
    await web_opt_out(place)
    fresh = place.phone(named("gaid", gaid(5)), named("idfv", idfv(5)))
    await fresh.observes()
    row = {"identifiers": [fresh.ids[0]], "data": {"ad_id": gaid(5)}, "place": "US-CA"}
    async with inside.client(place.app, **inside.DEV) as sharing:

        async def shared(name):
            answer = await sharing.post("/v1/shares/teemo", json=row | {"id": name})
            return json.loads(answer.text.splitlines()[0])["reason"]

        assert await shared("r1") == "unlinked"
        await fresh.observes(proof=place.backend.proof())
        assert await place.reason(fresh.ids[0]) == "opted_out"
        assert await shared("r2") == "opted_out"


@pytest.mark.parametrize("shown", ["proof", "attests"])
async def test_whom_a_proof_shows_is_asked_for_again_while_it_cannot_be_read_and_never_refused_for_good(
    place, no_emergency, shown
):
    """A misspelt kind beside it names nobody, and a 422 would not be repeated."""
    phone_, ledger = place.phone(named("gaids", gaid(1))), place.folder / "ledger.sqlite3"
    proof = place.backend.proof() if shown == "proof" else place.backend.attests(OLD, account="a1")
    ledger.rename(ledger.with_suffix(".away"))
    try:
        answers = [await phone_.chooses(proof=proof), await phone_.observes(signals={"gpc": True}, proof=proof)]
    finally:
        ledger.with_suffix(".away").rename(ledger)
    assert [(each.status_code, kind(each)) for each in answers] == [(503, "store_unavailable")] * 2
    assert (await phone_.chooses(proof=proof)).status_code == 201
    with anyio.fail_after(60):  # the ledger is looked at again by the half second
        while await place.reason(ACCOUNT) != "opted_out":
            await anyio.sleep(0.05)


async def test_a_proof_that_can_be_read_again_a_moment_later_is_not_used_up_by_a_refusal(place, monkeypatch):
    phone_, proof, spend, away = place.phone(named("gaids", gaid(1))), place.backend.proof(), Installations.spend, [1]

    async def spent(*said):
        if away:
            raise StoreUnavailable(str(away.pop()))
        return await spend(*said)

    monkeypatch.setattr(Installations, "spend", spent)
    assert (await phone_.chooses(proof=proof)).status_code == 503
    assert (await phone_.chooses(proof=proof)).status_code == 201
    assert await place.reason(ACCOUNT) == "opted_out"


async def test_only_a_phones_ids_are_tied_and_never_a_number_or_an_address(place):
    mine = place.phone(OLD, NEW, named("phone", phone(1)), named("email", email(1)))
    await mine.observes(proof=place.backend.proof())
    assert links(place.folder) == 2
    await web_opt_out(place)
    assert [await place.reason(each) for each in (OLD, NEW)] == ["opted_out"] * 2
    for other in (named("phone", phone(1)), named("email", email(1))):
        assert await place.reason(other) == "no_choice", other


async def test_an_app_links_what_it_proves_and_nothing_else(place):
    """/v1/links takes a proof where the key is not the desk's."""
    phone_ = place.phone(OLD)
    await phone_.observes()
    mine, token = phone_.ids[0], {"kind": "device", "token": phone_.token}
    body = {
        "account": "a1",
        "identifiers": [mine, named("gaid", gaid(77)), named("phone", phone(1)), named("email", email(1))],
    }
    proof = [place.backend.proof(), token]
    answer = await place.in_app.post("/v1/links", json=body | {"proof": proof})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["linked"], answer.json()["changed"]) == (2, 2)
    assert ignored(answer) == {"/identifiers": "not all of them are proved"}
    assert links(place.folder) == 2
    await place.desk.post("/v1/choices", json={"identifiers": [named("gaid", gaid(77))], "choice": "opt_out"})
    assert await place.reason(ACCOUNT) == "no_choice"  # of an id that only the app ties to it nothing comes back
    await web_opt_out(place)
    assert await place.reason(mine) == "opted_out"
    for stranger in (named("phone", phone(1)), named("email", email(1))):
        assert await place.reason(stranger) != "opted_out"


@pytest.mark.parametrize("shown", ["nothing", "the phone", "another account", "a used assertion", "no proof at all"])
async def test_without_the_accounts_own_proof_an_app_links_nothing(place, shown):
    phone_ = place.phone(OLD)
    await phone_.observes()
    used = place.backend.proof()
    await phone_.observes(proof=used)
    before, token = links(place.folder), {"kind": "device", "token": phone_.token}
    proofs = {
        "nothing": {},
        "the phone": token,
        "another account": [place.backend.proof("a2"), token],
        "a used assertion": [used, token],
        "no proof at all": None,
    }
    body = {"account": "a3" if shown == "the phone" else "a1", "identifiers": phone_.ids, "proof": proofs[shown]}
    answer = await place.in_app.post("/v1/links", json=body)
    assert (answer.status_code, kind(answer)) == (403, "proof_required")
    assert links(place.folder) == before


@pytest.mark.parametrize("member", [{"from": "2020-01-01T00:00:00Z"}, {"until": "2030-01-01T00:00:00Z"}, {"age": "adult"},
                                    {"event": "number_released"}])  # fmt: skip
async def test_since_when_and_how_old_is_the_desks_to_say(place, member):
    body = {"account": "a1", "identifiers": [OLD], "proof": place.backend.proof()}
    answer = await place.in_app.post("/v1/links", json=body | member)
    assert (answer.status_code, kind(answer)) == (400, "unknown_member")
    assert links(place.folder) == 0


async def test_a_key_of_an_app_ties_nothing_without_an_assertion(place):
    await place.phone(OLD, ACCOUNT).observes()
    await place.phone(OLD, ACCOUNT).chooses()
    assert links(place.folder) == 0


@pytest.mark.parametrize("assertion", ["dev", "rubbish", 7, None])
async def test_an_assertion_that_is_none_costs_an_opt_out_nothing(place, assertion):
    """`dev` is of a development gateway, which this one is; elsewhere it is one of the rubbish."""
    phone_ = place.phone(OLD)
    answer = await phone_.chooses(proof={"kind": "account", "assertion": assertion})
    assert answer.status_code == 201
    assert ignored(answer) == ({} if assertion == "dev" else {"/proof": "not verified"})


async def test_an_assertion_is_used_once(place):
    proof = place.backend.proof()
    phone_ = place.phone(OLD)
    assert ignored(await phone_.observes(proof=proof)) == {}
    assert ignored(await phone_.observes(proof=proof)) == {"/proof": "not verified"}
    answer = await phone_.chooses(proof=proof)
    assert (answer.status_code, ignored(answer)) == (201, {"/proof": "not verified"})
    assert (await phone_.post("/v1/standing", proof=proof)).status_code == 200  # by its token
    assert ignored(await phone_.post("/v1/standing", proof=proof)) == {"/proof": "not verified"}


async def test_the_same_call_again_may_bring_the_same_assertion(place):
    body = place.phone(OLD).body(choice="opt_out", proof=place.backend.proof())
    headers = {"Idempotency-Key": "k1"}
    first = await place.in_app.post("/v1/choices", json=body, headers=headers)
    again = await place.in_app.post("/v1/choices", json=body, headers=headers)
    assert (first.status_code, again.status_code, ignored(again)) == (201, 200, {})
    other = await place.in_app.post("/v1/choices", json=body, headers={"Idempotency-Key": "k2"})
    assert ignored(other) == {"/proof": "not verified"}


async def test_twenty_copies_at_once_use_an_assertion_once(place):
    proof = place.backend.proof()
    answers = await asyncio.gather(*(place.phone(OLD).observes(proof=proof) for _ in range(20)))
    assert sum(not ignored(answer) for answer in answers) == 1


async def test_somebody_opts_in_by_two_acts_each_with_an_assertion_of_its_own(place):
    await web_opt_out(place)
    body = {"choice": "opt_in", "purposes": ["sale"], "identifiers": [ACCOUNT], "notice": SHOWN}
    proof = place.backend.proof()
    asked = await place.in_app.post("/v1/choices", json=body | {"proof": proof})
    assert asked.status_code == 202, asked.text
    act = {"choice": "confirm", "confirm": asked.json()["confirm"], "notice": SECOND}
    assert kind(await place.in_app.post("/v1/choices", json=act | {"proof": proof})) == "proof_required"
    done = await place.in_app.post("/v1/choices", json=act | {"proof": place.backend.proof()})
    assert (done.status_code, done.json()["standing"]) == (201, {"sale": "opted_in"})


@pytest.mark.slow
async def test_an_account_proves_no_id_and_both_proofs_prove_both(place):
    phone_ = place.phone(OLD)
    await phone_.observes()
    body = {"choice": "opt_in", "purposes": ["sale"], "identifiers": [ACCOUNT, OLD], "notice": SHOWN}
    alone = await place.in_app.post("/v1/choices", json=body | {"proof": place.backend.proof()})
    assert kind(alone) == "proof_required"
    both = [place.backend.proof(), {"kind": "device", "token": phone_.token}]
    assert (await place.in_app.post("/v1/choices", json=body | {"proof": both})).status_code == 202
    for wrong in ([], [both[0]] * 5, ["account"], [[both[0]]], {"kind": []}):
        answer = await place.in_app.post("/v1/choices", json=body | {"proof": wrong})
        assert kind(answer) == "proof_required", wrong


async def test_another_account_than_the_asserted_one_opts_nobody_in(place):
    body = {"choice": "opt_in", "purposes": ["sale"], "identifiers": [named("account", "a2")], "notice": SHOWN}
    answer = await place.in_app.post("/v1/choices", json=body | {"proof": place.backend.proof("a1")})
    assert kind(answer) == "proof_required"


async def test_an_assertion_that_is_over_by_the_gateways_clock_shows_nobody(place):
    late = place.backend.asserts(iat=int(time.time()) - 1000, exp=int(time.time()) - 500)
    answer = await place.phone(OLD).observes(proof={"kind": "account", "assertion": late})
    assert ignored(answer) == {"/proof": "not verified"}


async def test_an_account_sees_and_forgets_what_is_its_own_by_an_assertion(place):
    await web_opt_out(place)
    body = {"identifiers": [ACCOUNT], "proof": place.backend.proof()}
    report = await place.in_app.post("/v1/access", json=body)
    assert [entry["what"] for entry in report.json()["entries"]] == ["opt_out"]
    assert (await place.in_app.post("/v1/access", json=body)).status_code == 403  # the same one again
    gone = body | {"mode": "erase_details", "proof": place.backend.proof()}
    assert (await place.in_app.post("/v1/erasures", json=gone)).status_code == 200


async def test_a_gateway_without_the_backends_keys_believes_no_assertion(tmp_path, place):
    async with inside.application(tmp_path / "other", dev=False) as app, inside.client(app) as calling:
        from gateway.keys import api_keys

        key = await asyncio.to_thread(api_keys.add_api_key, tmp_path / "other", "app", ["choose"], publishable=True)
        calling.headers["Authorization"] = f"Bearer {key}"
        answer = await Phone(calling, OLD).observes(proof=place.backend.proof())
        assert ignored(answer) == {"/proof": "not verified"}
        dev = await Phone(calling, OLD, ACCOUNT).observes(proof={"kind": "account", "assertion": "dev"})
        assert ignored(dev) == {"/proof": "not verified"}


@pytest.mark.parametrize(
    "wrong",
    [{"apps__sdks": "nobody"}, {"apps__assertion_keys": "/nowhere"}, {"apps__assertion_audience": AUDIENCE}],
    ids=repr,
)
def test_a_half_configured_gateway_refuses_to_start(wrong):
    with pytest.raises(SettingsRefused, match=r"GATEWAY_APPS|\[apps\]"):
        inside.settings(**wrong)


def test_keys_that_cannot_be_read_refuse_to_start(tmp_path):
    with pytest.raises(SettingsRefused, match="GATEWAY_APPS__ASSERTION_KEYS: the file: no JWKS"):
        inside.settings(apps__assertion_keys=str(tmp_path / "gone"), apps__assertion_audience=AUDIENCE)
