"""The device token of an app's installation: an ad id that is reset, a reinstall, and what a stranger's token is worth
(R26, R12, I8).
"""

import asyncio
import base64
import contextlib
import json
import sqlite3
from dataclasses import replace

import pytest
from support import inside
from support.folding import Log, key
from support.people import ZERO, gaid, named
from support.phones import Phone, idfv, ignored, standing

from gateway.app import composition, maintenance
from gateway.consent import tokens
from gateway.consent.tokens import DeviceToken
from gateway.fold.reading import come_back
from gateway.fold.record import SaidPruned
from gateway.keys import seals, secret_files
from gateway.keys.seals import OpeningFailed
from gateway.ledger.entry import b64
from gateway.terms import Purpose
from gateway.web.shell import page

pytestmark = pytest.mark.anyio
OLD, NEW = named("gaid", gaid(1)), named("gaid", gaid(2))
ALL_BUT_SENSITIVE = ["sale", "sharing", "targeted_ads", "profiling"]
IDFV, ACCOUNT = named("idfv", idfv(1)), named("account", "a1")
SHOWN, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))


def leaves(folder) -> list[dict]:
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return [json.loads(body) for (body,) in db.execute("SELECT body FROM entry ORDER BY seq")]


async def secrets_of(folder):
    return await asyncio.to_thread(secret_files.load_secrets, folder)


async def opts_in(phone, purpose="sale", **members):
    """Two acts; the last answer."""
    proof = members.pop("proof", None) or {"kind": "device", "token": phone.token}
    asked = await phone.chooses("opt_in", purposes=[purpose], proof=proof, notice=SHOWN, **members)
    if asked.status_code != 202:
        return asked
    act = {"choice": "confirm", "confirm": asked.json()["confirm"], "notice": SECOND, "device": phone.token}
    again = members.get("second") or {"kind": "device", "token": phone.token}
    return await phone.calling.post("/v1/choices", json=act | {"proof": again})


# --- an ad id that is reset ----------------------------------------------------------------------------------------


async def test_every_answer_to_an_app_has_a_token_and_no_two_are_alike(place):
    phone, seen = place.phone(), set()
    for call in (phone.observes, phone.chooses, phone.observes, phone.chooses):
        await call()
        seen.add(phone.last["device"])
    assert len(seen) == 4
    secrets = await secrets_of(place.folder)
    assert len({tokens.open_device_token(secrets, text).device for text in seen}) == 1


async def test_a_server_that_does_not_speak_of_a_device_gets_none(place):
    body = {"identifiers": [OLD], "signals": {}}
    assert "device" not in (await place.server.post("/v1/observe", json=body)).json()
    assert "device" in (await place.server.post("/v1/observe", json=body | {"device": None})).json()


async def test_whoever_resets_their_ad_id_is_denied_by_the_first_check_of_the_new_one(place):
    phone = place.phone(OLD)
    await phone.chooses()
    phone.resets(2)
    await phone.observes()
    assert phone.last["standing"] == dict.fromkeys(("sale", "sharing", "targeted_ads"), "opted_out")
    assert phone.last["sdks"] == {"teemo": "stop"}
    assert (phone.last["store"]["IABUSPrivacy_String"], phone.last["store"]["gad_rdp"]) == ("1YYN", 1)
    assert await place.reason(NEW) == "opted_out"


async def test_without_the_token_the_new_id_is_nobodys(place):
    """Control: what the test before proves is the token's doing."""
    phone = place.phone(OLD)
    await phone.chooses()
    stranger = place.phone(NEW)
    await stranger.observes()
    assert await place.reason(NEW) == "no_choice"


@pytest.mark.parametrize("kept", [IDFV, named("appset", idfv(7))], ids=lambda each: each["type"])
async def test_whoever_reinstalls_is_known_by_the_vendors_id_that_stays(place, kept):
    await place.phone(OLD, kept).chooses()
    fresh = place.phone(NEW, kept)  # no token: it went with the app
    await fresh.observes()
    assert fresh.last["sdks"] == {"teemo": "stop"}
    assert await place.reason(NEW) == "opted_out"


async def test_an_account_that_opted_out_on_the_web_is_out_by_the_id_that_its_phone_gets_later(place):
    phone = place.phone(OLD)
    await phone.observes()
    await place.links("a1", OLD)
    await place.desk.post("/v1/choices", json={"identifiers": [ACCOUNT], "choice": "opt_out"})
    phone.resets(2)
    await phone.observes()
    assert await place.reason(NEW) == "opted_out"
    written = leaves(place.folder)[-1]
    assert (written["e"], written["src"]) == ("state_began", "installation")
    assert "/identifiers" not in str(phone.last)


async def test_it_is_a_state_that_ends_when_the_person_comes_back(place):
    phone = place.phone(OLD)
    await phone.observes()
    await place.links("a1", OLD)
    await place.desk.post("/v1/choices", json={"identifiers": [ACCOUNT], "choice": "opt_out"})
    phone.resets(2)
    await phone.observes()
    dev = {"kind": "account", "assertion": "dev"}
    for purpose in ("sale", "sharing", "targeted_ads", "profiling", "sensitive"):
        body = {"identifiers": [ACCOUNT], "choice": "opt_in", "purposes": [purpose], "proof": dev, "notice": SHOWN}
        asked = (await place.desk.post("/v1/choices", json=body)).json()["confirm"]
        done = {"choice": "confirm", "confirm": asked, "proof": dev, "notice": SECOND}
        assert (await place.desk.post("/v1/choices", json=done)).status_code == 201
    await phone.observes()
    assert phone.last["standing"]["sale"] == "opted_out"  # the old id is somebody's, and nobody shows that they are it
    await phone.observes(proof=place.backend.proof())
    assert phone.last["standing"]["sale"] == "opted_in"
    assert await place.reason(NEW) == "no_choice"


async def test_it_reaches_no_account(place):
    await place.links("a2", NEW)
    phone = place.phone(OLD)
    await phone.chooses()
    phone.resets(2)
    await phone.observes()
    assert await place.reason(NEW) == "opted_out"
    assert await place.reason(named("account", "a2")) == "no_choice"


async def test_calls_alike_write_nothing_more(place):
    phone = place.phone(OLD)
    await phone.chooses()
    phone.resets(2)
    await phone.observes()
    before = len(leaves(place.folder))
    for _ in range(3):
        await phone.observes()
    assert len(leaves(place.folder)) == before


async def test_a_phone_that_withholds_every_id_opts_out_by_its_token_alone(place):
    phone = place.phone(named("idfa", ZERO))
    assert (await phone.chooses()).status_code == 201
    phone.ids = [NEW]
    await phone.observes()
    assert await place.reason(NEW) == "opted_out"


async def test_a_no_whose_answer_was_lost_is_that_of_the_token_that_the_phone_gets_with_the_next(place):
    phone = place.phone(named("idfa", ZERO), ACCOUNT)
    said, headers = phone.body(choice="opt_out"), {"Idempotency-Key": "once"}
    lost = await phone.calling.post("/v1/choices", json=said, headers=headers)
    yes = {"choice": "opt_in", "purposes": ["sale"], "identifiers": [ACCOUNT], "place": "US-CA", "notice": SHOWN}
    asked = await place.server.post("/v1/choices", json=yes | {"proof": place.backend.proof()})
    act = {"choice": "confirm", "confirm": asked.json()["confirm"], "notice": SECOND, "proof": place.backend.proof()}
    assert (await place.server.post("/v1/choices", json=act)).status_code == 201
    again = await phone.calling.post("/v1/choices", json=said, headers=headers)
    assert (lost.status_code, again.status_code) == (201, 200)
    assert again.json()["events"] == lost.json()["events"]
    for answer in (lost, again):
        assert await place.reason(named("device", answer.json()["device"])) == "opted_out"
    assert await place.reason(ACCOUNT) != "opted_out", "what the account said since"


async def test_a_call_that_names_nobody_obeys_what_the_token_remembers(place):
    phone = place.phone(OLD)
    await phone.chooses()
    phone.ids = []
    await phone.observes()
    assert phone.last["sdks"] == {"teemo": "stop"}
    assert phone.last["standing"]["sale"] == "opted_out"


def test_the_last_twelve_ids_are_remembered():
    token = DeviceToken(b"x" * 16)
    for number in range(20):
        token = token.with_reported([b"idfv", b"%d" % number], (), number)
    assert len(token.reported) == tokens.MOST_IDS
    assert {b"19", b"idfv"} <= set(token.keys)
    assert b"1" not in token.keys


def test_four_new_ids_are_taken_in_thirty_days_and_any_number_that_is_proved():
    token, ids = DeviceToken(b"x" * 16), [b"%d" % number for number in range(6)]
    assert token.taken(ids, (), 100) == ids[:4]
    assert token.taken(ids, ids[:3], 100) == ids
    token = token.with_reported(ids[:4], (), 100)
    assert token.taken([b"new", ids[0]], (), 129) == [ids[0]]
    assert token.taken([b"new"], (), 130) == [b"new"]


# --- keys that were replaced, tokens that are none -----------------------------------------------------------------


async def test_a_token_of_a_replaced_key_is_good_in_the_overlap_and_renewed(tmp_path):
    async with standing(tmp_path) as place:
        phone = place.phone(OLD)
        await phone.chooses()
    data, settings = tmp_path / "data", inside.settings()
    await asyncio.to_thread(maintenance.replace_key, data, settings, maintenance.RekeyKind.COOKIE, composition.now)
    await asyncio.to_thread(maintenance.pepper, data, settings)
    old, secrets = phone.token, await secrets_of(data)
    async with inside.application(data, settings) as app, inside.client(app, **inside.DEV) as calling:
        moved = Phone(calling, NEW, token=old)
        await moved.observes()
        assert set(moved.last["sdks"].values()) == {"stop"}
        body = {"identifiers": [NEW], "recipient": "teemo", "place": "US-CA"}
        assert (await calling.post("/v1/check", json=body)).json()["reason"] == "opted_out"
    newest = replace(secrets, seals=secrets.seals[-1:])
    assert tokens.open_device_token(newest, moved.token).device == tokens.open_device_token(secrets, old).device
    with pytest.raises(OpeningFailed):
        tokens.open_device_token(newest, old)


def forged(text: str) -> list[object]:
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[-1] ^= 1
    changed = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return [changed, text[:-4], text + "A", "rubbish", "", "é", 7, [], {}, True, "A" * 5000]


async def test_a_forged_or_garbled_token_is_counted_and_costs_an_opt_out_nothing(place):
    phone = place.phone(OLD)
    await phone.observes()
    for stated in forged(phone.token):
        answer = await Phone(place.in_app, NEW, token=stated).chooses(device=stated)
        assert answer.status_code == 201, stated
        assert ignored(answer) == {"/device": "not ours"}
        assert isinstance(answer.json()["device"], str)
        answer = await Phone(place.in_app, NEW).observes(device=stated)
        assert ignored(answer) == {"/device": "not ours"}
    assert await place.reason(NEW) == "opted_out"
    metrics = (await place.in_app.get("/metrics")).text
    assert 'gateway_malformed_signals_total{channel="device_token",reason="seal"} 22.0' in metrics


async def test_a_browsers_token_is_no_device_token(place):
    new = {**named("browser", "new"), "host": "www.example.com"}
    cookie = (await place.server.post("/v1/observe", json={"identifiers": [new]})).json()["cookie"]["value"]
    answer = await place.phone(OLD).observes(device=cookie)
    assert ignored(answer) == {"/device": "not ours"}


async def test_a_token_names_nobody(place):
    phone = place.phone(OLD)
    await phone.observes()
    raw = base64.urlsafe_b64decode(phone.token + "=" * (-len(phone.token) % 4))
    assert (await secrets_of(place.folder)).key(("gaid", gaid(1))) not in raw
    assert gaid(1).encode() not in raw


def test_a_token_is_as_it_was_made_and_knows_its_ids(tmp_path):
    secrets = secret_files.load_secrets(inside.install(tmp_path / "data"))
    made = tokens.new().with_reported([b"a" * 16, b"b" * 16], [b"a" * 16], 20_000)
    read = tokens.open_device_token(secrets, tokens.seal_device_token(secrets, made))
    assert read == made
    assert read.attested == {b"a" * 16}
    assert read.others([b"a" * 16]) == [b"b" * 16]
    assert read.with_reported([b"a" * 16], (), 20_001).attested == {b"a" * 16}, "once vouched for it stays so"
    assert DeviceToken(b"x" * 16).reported == ()


def test_a_token_of_another_version_is_none_of_ours(tmp_path):
    secrets = secret_files.load_secrets(inside.install(tmp_path / "data"))
    other = tokens.HEAD.pack(tokens.VERSION - 1, len(secrets.peppers), b"x" * 16)
    text = b64(seals.seal_box(secrets.seals[-1], tokens.DEVICE_LABEL, other))
    with pytest.raises(OpeningFailed):
        tokens.open_device_token(secrets, text)


# --- what a token proves -------------------------------------------------------------------------------------------


async def test_a_phone_takes_back_what_it_said_itself(place):
    phone = place.phone(OLD)
    await phone.observes()
    await phone.chooses()
    answer = await opts_in(phone)
    assert answer.status_code == 201, answer.text
    assert answer.json()["standing"] == {"sale": "opted_in"}


async def test_a_phone_comes_back_by_its_new_id_although_the_old_one_had_said_no(place):
    phone = place.phone(OLD)
    await phone.chooses(purposes=ALL_BUT_SENSITIVE)
    phone.resets(2)
    await phone.observes()
    assert await place.reason(NEW) == "opted_out"
    for purpose in ALL_BUT_SENSITIVE:
        answer = await opts_in(phone, purpose)
        assert answer.status_code == 201, answer.text
    assert answer.json()["standing"] == {"profiling": "opted_in"}
    await phone.observes()
    assert phone.last["standing"]["sale"] == "opted_in"
    assert await place.reason(NEW) == "no_choice"
    assert await place.reason(OLD) == "opted_out"  # the old id as such is not the token's to open


async def test_a_strangers_token_opens_nobodys_id_whoever_named_it_first(place):
    """Its yes is taken, so that it does not tell whether anybody said no; and it opens nothing."""
    stranger, phone = place.phone(OLD), place.phone(OLD)
    await stranger.observes()
    await phone.observes()
    await phone.chooses()
    late = place.phone(OLD)
    await late.observes()
    for token in (stranger, late):
        answer = await opts_in(token)
        assert (answer.status_code, answer.json()["standing"]) == (201, {"sale": "opted_out"})
        await token.observes()
        assert token.last["sdks"] == {"teemo": "stop"}
        assert await place.reason(OLD, named("device", token.token)) == "opted_out"
    assert await place.reason(OLD) == "opted_out"


async def test_what_a_signal_or_the_desk_said_is_not_the_phones_to_lift(place):
    for number, say in enumerate(
        (
            lambda phone: phone.observes(signals={"gpc": "1"}),
            lambda phone: place.desk.post("/v1/choices", json={"identifiers": phone.ids, "choice": "opt_out"}),
        )
    ):
        phone = place.phone(named("gaid", gaid(30 + number)))
        await phone.observes()
        await say(phone)
        assert (await opts_in(phone)).json()["standing"] == {"sale": "opted_out"}
        assert await place.reason(*phone.ids, named("device", phone.token)) == "opted_out"


async def test_a_token_shows_and_forgets_nobody(place):
    phone = place.phone(OLD)
    await phone.chooses()
    proof = {"kind": "device", "token": phone.token}
    for path, more in (("/v1/access", {}), ("/v1/erasures", {"mode": "erase_details"})):
        answer = await place.in_app.post(path, json={"identifiers": [OLD], "proof": proof, **more})
        assert answer.status_code == 403, path


async def test_ids_that_an_app_names_together_stay_two_peoples_reports(place):
    """R12: what a token says is a road for a no, and shows nobody anything."""
    await place.links("a1", OLD)
    mixed = place.phone(OLD, NEW)
    await mixed.observes()
    with contextlib.closing(sqlite3.connect(place.folder / "ledger.sqlite3")) as db:
        assert db.execute("SELECT count(*) FROM link_event").fetchone() == (1,)


async def test_a_revoked_app_key_keeps_its_phones_token_and_opts_out(place):
    from gateway.keys import api_keys

    phone = place.phone(OLD)
    await phone.observes()
    await asyncio.to_thread(api_keys.revoke, place.folder, "app")
    await asyncio.sleep(api_keys.RELOAD + 0.1)
    assert (await phone.chooses()).status_code == 201
    phone.resets(2)
    await phone.observes()
    assert await place.reason(NEW) == "opted_out"
    refused = await phone.chooses("opt_in", purposes=["sale"], proof={"kind": "device", "token": phone.token})
    assert refused.status_code == 401
    assert (await phone.post("/v1/standing")).status_code == 401


async def test_while_the_ledger_is_away_the_phones_opt_out_is_kept_and_it_is_answered(place):
    phone = place.phone(OLD)
    await phone.observes()
    ledger = place.folder / "ledger.sqlite3"
    ledger.rename(ledger.with_suffix(".away"))
    try:
        answer = await phone.chooses()
        assert answer.status_code == 202
        assert (answer.json()["sdks"], answer.json()["effective_at"]) == ({"teemo": "stop"}, None)
        assert answer.json()["device"]
    finally:
        ledger.with_suffix(".away").rename(ledger)


def test_a_no_whose_entry_was_pruned_may_have_been_somebody_elses():
    """Of the two only the phone's own is there still; what was pruned is superseded, and nobody knows whose it was."""

    def comes_back(*pruned):
        log = Log()
        for said in pruned:
            log.say("id", said)
        log.no("id", mark="mark")
        log.yes("phone")
        return come_back("mark", key("phone"), [key("id")], log.state.get)

    assert comes_back(SaidPruned("")) == frozenset()
    assert comes_back() == {Purpose.SALE}, "the control"
