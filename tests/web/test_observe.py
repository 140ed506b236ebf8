"""`POST /v1/observe`, and what a phone's own settings do there and beside a choice (R26)."""

import asyncio
import contextlib
import hashlib
import json
import sqlite3
from datetime import UTC, date, datetime

import pytest
from support import inside
from support.adchoices import write_adchoices
from support.people import GAID, IDFV, ZERO, email, gaid, named, phone
from support.signals import TC_CONSENT, TC_WITHOUT_ANY

from gateway.app.composition import open_house
from gateway.choice.downstream import Outcome, strings
from gateway.keys import api_keys
from gateway.ledger.acts import office_acts
from gateway.ledger.acts.office_acts import ListedRequest, ListPart
from gateway.signals import gpp
from gateway.terms import SIGNAL_PURPOSES

pytestmark = pytest.mark.anyio
PATH = "/v1/observe"
ME, MY_PHONE, MY_ACCOUNT = named("gaid", GAID), named("idfv", IDFV), named("account", "a1")
DIGEST = named("ad_id_sha256", hashlib.sha256(GAID.encode()).hexdigest())
NO = dict.fromkeys(map(str, SIGNAL_PURPOSES), "opted_out")
NOTHING = dict.fromkeys(map(str, SIGNAL_PURPOSES), "none")
OUT, YES = (strings(Outcome(denied, frozenset({"US-CA"}))).gpp for denied in (frozenset(SIGNAL_PURPOSES), frozenset()))


async def observe(keyed, signals, *identifiers, **members):
    body = {"identifiers": list(identifiers) or [ME], "signals": signals, "place": "US-CA"} | members
    return await keyed.post(PATH, json=body)


async def choose(keyed, signals, *identifiers, **members):
    """A choice that is about mail alone, with signals beside it."""
    body = {"identifiers": list(identifiers) or [ME], "choice": "opt_out", "purposes": ["marketing_mail"]}
    return await keyed.post("/v1/choices", json=body | {"signals": signals, "place": "US-CA"} | members)


async def reason(keyed, *identifiers, **members):
    body = {"identifiers": list(identifiers) or [ME], "recipient": "teemo", "data": ["ad_id"], "place": "US-CA"}
    return (await keyed.post("/v1/check", json=body | members)).json()["reason"]


async def link(keyed, *identifiers):
    body = {"account": "a1", "identifiers": list(identifiers)}
    assert (await keyed.post("/v1/links", json=body)).status_code == 201


async def entries(client) -> int:
    return (await client.get("/readyz")).json()["ledger"]["entries"]


def ignored(answer) -> dict:
    return {item["pointer"]: item["reason"] for item in answer.json()["ignored"]}


def leaves(folder, since=0) -> list[dict]:
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return [
            json.loads(body) for (body,) in db.execute("SELECT body FROM entry WHERE seq >= ? ORDER BY seq", [since])
        ]


# --- a phone's own settings, at both doors -------------------------------------------------------------------------

both_doors = pytest.mark.parametrize("say", [observe, choose])


@both_doors
@pytest.mark.parametrize(
    "signals", [{"lmt": 1}, {"lmt": "1"}, {"att": 2}, {"att": "2"}, {"att": 2, "lmt": 0}], ids=repr
)
async def test_a_phone_that_limits_is_denied_by_all_its_ids_and_its_account_is_not(keyed, tmp_path, say, signals):
    await link(keyed, ME, MY_PHONE, named("phone", phone(1)))
    before = await entries(keyed)
    await say(keyed, signals, ME, MY_PHONE, MY_ACCOUNT, named("email", email(1)))
    told = [(leaf["e"], leaf["src"]) for leaf in leaves(tmp_path / "data", before) if leaf.get("src") == "device"]
    assert told == [("state_began", "device")] * 2
    for name in (ME, named("gaid", GAID.upper()), MY_PHONE, DIGEST):
        assert await reason(keyed, name) == "opted_out", name
    for name in (MY_ACCOUNT, named("phone", phone(1)), named("email", email(1)), named("gaid", gaid(2))):
        assert await reason(keyed, name) == "no_choice", name


@both_doors
@pytest.mark.parametrize("signals", [{"att": 0}, {"att": 1}, {"att": "0"}, {"dnt": 1}], ids=repr)
async def test_a_phone_that_was_not_asked_yet_is_denied_in_this_answer_and_nothing_is_written(
    keyed, tmp_path, say, signals
):
    before = await entries(keyed)
    answer = await say(keyed, signals)
    assert [leaf["p"] for leaf in leaves(tmp_path / "data", before)] in ([], [["marketing_mail"]])
    assert (answer.json()["store"]["IABUSPrivacy_String"], answer.json()["store"]["gad_rdp"]) == ("1YYN", 1)
    assert await reason(keyed, signals=signals) == "device"
    assert await reason(keyed) == "no_choice"


@both_doors
@pytest.mark.parametrize("value", [ZERO, ZERO.replace("-", ""), ""], ids=repr)
async def test_a_withheld_ad_id_is_a_no_in_this_answer_and_no_key_in_the_ledger(keyed, say, value):
    before = await entries(keyed)
    answer = await say(keyed, {}, named("gaid", value))
    assert answer.status_code == 200
    assert set(answer.json()["standing"].values()) == {"opted_out"}
    assert answer.json()["store"]["IABUSPrivacy_String"] == "1YYN"
    assert await entries(keyed) == before
    assert await reason(keyed, named("gaid", value)) == "limited"


@both_doors
@pytest.mark.parametrize("began", [{"lmt": 1}, {"att": 2}], ids=repr)
@pytest.mark.parametrize("ends", [{"lmt": 0}, {"att": 3}, {"att": "3"}, {"lmt": 0, "att": 3}], ids=repr)
async def test_the_same_phone_ends_what_it_began_once(keyed, tmp_path, say, began, ends):
    await observe(keyed, began)
    before = await entries(keyed)
    for _ in range(2):
        await say(keyed, ends)
    told = [leaf["e"] for leaf in leaves(tmp_path / "data", before) if leaf.get("src") == "device"]
    assert told == ["state_ended"]
    assert (await reason(keyed), await reason(keyed, DIGEST)) == ("no_choice", "no_choice")


@both_doors
async def test_what_a_consent_tool_holds_off_does_not_end_with_the_phones_setting(keyed, say):
    for signals in ({"lmt": 1}, {"cookies": "cmplz_marketing=deny"}, {"lmt": 0}):
        await say(keyed, signals)
    assert await reason(keyed) == "opted_out"
    await say(keyed, {"cookies": "cmplz_marketing=allow; cmplz_banner-status=dismissed"})
    assert await reason(keyed) == "no_choice"


@both_doors
@pytest.mark.parametrize(
    "signals",
    [{"lmt": 0, "att": 0}, {"lmt": 0, "att": 1}, {"lmt": 0, "att": 2}, {"att": 3, "lmt": 1}, {"lmt": 0, "dnt": 1},
     {"att": "3", "dnt": "1"}, {"lmt": "0", "att": "0"}],
    ids=repr,
)  # fmt: skip
async def test_a_phone_that_denies_by_any_of_its_flags_has_ended_nothing(keyed, tmp_path, say, signals):
    await observe(keyed, {"lmt": 1})
    before = await entries(keyed)
    await say(keyed, signals)
    assert "state_ended" not in [leaf["e"] for leaf in leaves(tmp_path / "data", before)]
    assert await reason(keyed) == "opted_out"


CONSENT_STATES = {
    "tc": (TC_WITHOUT_ANY, TC_CONSENT),
    "ac": ("1~", "1~7"),
    "gpp": (gpp.write_gpp_string({"tcfeuv2": TC_WITHOUT_ANY}), gpp.write_gpp_string({"tcfeuv2": TC_CONSENT})),
}


@both_doors
@pytest.mark.parametrize("channel", CONSENT_STATES)
async def test_a_tools_string_without_consent_holds_until_the_same_kind_of_string_consents(keyed, say, channel):
    refuses, consents = CONSENT_STATES[channel]
    await say(keyed, {channel: refuses})
    for other, (_, another) in CONSENT_STATES.items():
        if other != channel:
            await say(keyed, {other: another})
    assert await reason(keyed) == "opted_out"
    await say(keyed, {channel: consents})
    assert await reason(keyed) == "no_choice"


NO_CONSENT_HERE = {
    "no law": {"tc": TC_CONSENT, "gdpr": 0},
    "no law in text": {"tc": TC_CONSENT, "gdpr": "0"},
    "no law on the phone": {"stored": {"IABTCF_TCString": TC_CONSENT, "IABTCF_gdprApplies": 0}},
    "cut": {"tc": TC_CONSENT[:-9]},
    "rubbish": {"tc": "rubbish"},
    "number": {"tc": 7},
    "empty": {"tc": ""},
    "still none": {"tc": TC_WITHOUT_ANY},
    "rubbish on the phone": {"tc": TC_CONSENT, "stored": {"IABTCF_TCString": "rubbish"}},
    "consent on the phone beside rubbish": {"tc": "rubbish", "stored": {"IABTCF_TCString": TC_CONSENT}},
    "none in a cookie": {"tc": TC_CONSENT, "cookies": f"euconsent-v2={TC_WITHOUT_ANY}"},
}


@both_doors
@pytest.mark.parametrize("name", NO_CONSENT_HERE)
async def test_a_consent_string_that_does_not_apply_or_cannot_be_read_has_ended_nothing(keyed, tmp_path, say, name):
    await observe(keyed, {"tc": TC_WITHOUT_ANY})
    before = await entries(keyed)
    await say(keyed, NO_CONSENT_HERE[name])
    assert "state_ended" not in [leaf["e"] for leaf in leaves(tmp_path / "data", before)]
    assert await reason(keyed) == "opted_out"


@both_doors
async def test_another_phone_ends_nothing_of_it(keyed, say):
    await link(keyed, ME, named("gaid", gaid(2)))
    await observe(keyed, {"lmt": 1})
    await say(keyed, {"lmt": 0, "att": 3}, named("gaid", gaid(2)), MY_ACCOUNT)
    assert await reason(keyed) == "opted_out"


@both_doors
@pytest.mark.parametrize("silent", [{}, {"att": 0}, {"att": None, "lmt": None}, {"lmt": "maybe"}, {"gpp": YES},
                                    {"us_privacy": "1YNN"}, {"att": 3, "lmt": 1}, {"att": 2, "lmt": 0}], ids=repr)  # fmt: skip
async def test_a_phone_that_no_longer_says_so_has_ended_nothing(keyed, say, silent):
    await observe(keyed, {"lmt": 1})
    await say(keyed, silent)
    assert await reason(keyed) == "opted_out"


@both_doors
@pytest.mark.parametrize(
    "flags", [[{"att": 3, "lmt": 0}], [{"lmt": 1}, {"lmt": 0}], [{"att": 2}, {"att": 3}]], ids=repr
)
async def test_a_phones_setting_never_lifts_a_choice(keyed, say, flags):
    body = {"identifiers": [ME], "choice": "opt_out", "purposes": ["sale"]}
    await keyed.post("/v1/choices", json=body)
    for signals in flags:
        await say(keyed, signals)
    assert await reason(keyed) == "opted_out"


@both_doors
async def test_a_phones_setting_never_replaces_a_choice(keyed, say):
    await say(keyed, {"lmt": 1})
    await keyed.post("/v1/choices", json={"identifiers": [ME], "choice": "opt_out"})
    await say(keyed, {"lmt": 0})
    assert await reason(keyed) == "opted_out"


async def test_a_digest_that_an_ad_server_has_is_denied_before_and_after_the_id_was_named(keyed):
    await observe(keyed, {"lmt": 1}, DIGEST)
    assert await reason(keyed, DIGEST) == "opted_out"
    await observe(keyed, {}, ME)
    await link(keyed, ME)
    assert await reason(keyed) == "opted_out"


async def test_a_signal_that_is_heard_while_a_list_says_no_is_kept_once_and_outlives_the_list(keyed, tmp_path):
    part = ListPart("US-CA", "a.csv", "MAID", date(2026, 11, 29), datetime.now(UTC))
    with open_house(tmp_path / "data", inside.settings(), dev=True) as house:
        requests = [ListedRequest("A" * 12, house.consent.people.name([DIGEST]).subjects[0].key)]
        house.writer.submit(lambda tx: office_acts.take_part(tx, part, requests, {})).result(60)
        before = await entries(keyed)
        for _ in range(2):
            await observe(keyed, {"gpc": True}, DIGEST)
            assert await entries(keyed) == before + 1
        house.writer.submit(lambda tx: office_acts.end_part(tx, part, requests)).result(60)
    assert await reason(keyed, DIGEST) == "opted_out"


@both_doors
async def test_an_operator_may_take_a_phones_setting_as_the_persons_own(tmp_path, say):
    settings = inside.settings(signals__device_limit_travels="true")
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:
        await link(client, ME, named("phone", phone(1)))
        await say(client, {"att": 2})
        assert [await reason(client, name) for name in (ME, MY_ACCOUNT, named("phone", phone(1)))] == ["opted_out"] * 3
        await say(client, {"att": 3, "lmt": 0})
        assert await reason(client) == "opted_out"  # a choice now, which no setting lifts
        await say(client, {"att": 0}, named("gaid", gaid(3)))
        assert await reason(client, named("gaid", gaid(3))) == "no_choice"


# --- what an app observes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signals", "source"),
    [({"gpc": "1"}, "gpc"), ({"us_privacy": "1YYN"}, "us_privacy"), ({"gpp": OUT}, "gpp"), ({"gpp": OUT, "gpp_sid": [8]}, "gpp"),
     ({"stored": {"IABGPP_HDR_GppString": OUT, "IABGPP_GppSID": "8"}}, "gpp"), ({"cookies": "usprivacy=1YYN"}, "us_privacy")],
    ids=repr,
)  # fmt: skip
async def test_a_persons_no_is_kept_once_for_every_name_and_reaches_all_that_the_account_has(
    keyed, tmp_path, signals, source
):
    await link(keyed, named("phone", phone(1)))
    before = await entries(keyed)
    first = await observe(keyed, signals, ME, MY_ACCOUNT)
    again = await observe(keyed, signals, ME, MY_ACCOUNT)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["standing"] == again.json()["standing"] == NO
    written = [(leaf["e"], leaf["src"], leaf["p"], leaf["j"]) for leaf in leaves(tmp_path / "data", before)]
    assert written == [("opt_out", source, [*NO], "US-CA")] * 2
    for name in (ME, MY_ACCOUNT, named("phone", phone(1))):
        assert await reason(keyed, name) == "opted_out", name


async def test_an_industry_opt_out_of_ads_is_on_record_with_all_three_and_its_entry_keeps_what_was_said(
    keyed, tmp_path
):
    """R3, R25."""
    answer = await observe(keyed, {"adchoices": write_adchoices(1_764_000_000, preference=0)})
    assert answer.json()["standing"] == NO
    assert answer.json()["store"]["gad_rdp"] == 1
    assert leaves(tmp_path / "data")[-1]["p"] == ["sharing", "targeted_ads"]


async def test_of_several_signals_the_one_that_says_most_is_the_one_in_the_ledger(keyed, tmp_path):
    """The others would add nothing, and an entry never says that a source said more than it did."""
    await observe(keyed, {"adchoices": write_adchoices(1_764_000_000, preference=0), "us_privacy": "1YYN", "gpp": OUT})
    told = [(leaf["src"], leaf["p"]) for leaf in leaves(tmp_path / "data") if leaf["e"] == "opt_out"]
    assert told == [("us_privacy", [*NO])]


@pytest.mark.parametrize("signals", [{}, None, [], {"gpc": False}, {"gpc": "0"}, {"gpp": YES}, {"us_privacy": "1YNN"},
                                     {"lmt": 0}, {"att": 3}, {"dnt": 0}, {"gpp": "${GPP_STRING_7}"}], ids=repr)  # fmt: skip
async def test_an_app_that_sees_no_signal_writes_nothing(keyed, signals):
    before = await entries(keyed)
    answer = await observe(keyed, signals)
    assert (answer.status_code, answer.json()["standing"], ignored(answer)) == (200, NOTHING, {})
    assert await entries(keyed) == before


@pytest.mark.parametrize(
    "signals", [{"gpc": False}, {"gpp": YES}, {"us_privacy": "1YNN"}, {"gpc": "0", "att": 3}], ids=repr
)
async def test_an_observation_can_only_tighten(keyed, signals):
    await keyed.post("/v1/choices", json={"identifiers": [ME], "choice": "opt_out"})
    before = await entries(keyed)
    answer = await observe(keyed, signals)
    assert (answer.status_code, answer.json()["standing"]) == (200, NO)
    assert await entries(keyed) == before


async def test_an_app_is_told_what_to_keep_now_and_when_its_person_opts_out_offline(keyed):
    body = (await observe(keyed, {}, place="US-CO")).json()
    assert body["store"]["IABUSPrivacy_String"] == "1YNN"
    assert body["store_opted_out"]["IABUSPrivacy_String"] == "1YYN"
    after = (await observe(keyed, {"gpc": True}, place="US-CO")).json()
    assert after["store"]["IABUSPrivacy_String"] == "1YYN"
    assert (after["store"]["gad_rdp"], body["store"]["gad_rdp"]) == (1, None)


async def test_a_signal_is_heard_whose_ids_kind_is_spelled_otherwise(keyed):
    answer = await observe(keyed, {"gpc": True}, named("GAID", GAID))
    assert (answer.status_code, ignored(answer)) == (200, {})
    assert await reason(keyed) == "opted_out"


async def test_a_setting_ends_for_an_id_by_its_kind_as_it_is_alone(keyed):
    mine = named("idfa", GAID)
    before = await reason(keyed, mine)
    await observe(keyed, {"att": 2}, named("IDFA", GAID))
    assert await reason(keyed, mine) == "opted_out"
    await observe(keyed, {"att": 3}, named("IDFA", GAID))
    assert await reason(keyed, mine) == "opted_out"
    await observe(keyed, {"att": 3}, mine)
    assert await reason(keyed, mine) == before


async def test_an_answer_about_a_kind_that_is_spelled_otherwise_opens_nothing(keyed):
    answer = await observe(keyed, {"att": 3}, named("IDFA", GAID))
    assert set(answer.json()["standing"].values()) == {"opted_out"}


@pytest.mark.parametrize("signals", [{"gpc": True}, {"us_privacy": "1YYN"}, {"att": 2}], ids=str)
@pytest.mark.parametrize("publishable", [True, False])
async def test_a_no_of_signals_that_name_a_misspelt_kind_alone_is_refused_and_taken_once_that_is_put_right(
    keyed, folder, signals, publishable
):
    """Called done it would not be told again, and the ids would go on being shared."""
    made = await asyncio.to_thread(api_keys.add_api_key, folder, "mine", ["choose"], publishable=publishable)
    keyed.headers["Authorization"], before = f"Bearer {made}", await entries(keyed)
    answer = await observe(keyed, signals, named("gaids", GAID))
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, "nothing_usable")
    assert answer.json()["errors"][1:] == [{"pointer": "/identifiers/0", "detail": "undeclared"}]
    for nothing in ({}, {"att": 3}, {"lmt": 0}):
        taken = await observe(keyed, nothing, named("gaids", GAID))
        assert (taken.status_code, ignored(taken)) == (200, {"/identifiers/0": "undeclared"}), "nobody says no"
    assert await entries(keyed) == before
    answer = await observe(keyed, signals, named("gaids", GAID), ME)
    assert (answer.status_code, ignored(answer)) == (200, {"/identifiers/0": "undeclared"})
    assert await entries(keyed) > before


async def test_what_cannot_be_used_is_listed_and_costs_the_rest_nothing(keyed):
    signals = {"gpc": True, "gpp": 7, "us_privacy": "rubbish", "idfa": 1, "att": 9}
    answer = await observe(
        keyed, signals, named("email", "rubbish"), named("loyalty", "7"), ME, named("gaid", ZERO), extra=1
    )
    assert answer.status_code == 200
    assert ignored(answer) == {
        "/extra": "unknown",
        "/identifiers/0": "malformed",
        "/identifiers/1": "undeclared",
        "/identifiers/3": "limited",
        "/signals/idfa": "unknown",
        "/signals/gpp": "type",
        "/signals/us_privacy": "length",
        "/signals/att": "value",
    }
    assert await reason(keyed) == "opted_out"


@pytest.mark.parametrize(
    "signals", [{"us_privacy": "?"}, {"gpp": 7}, {"stored": []}, {"att": 9}, {"tc": "x"}], ids=repr
)
async def test_a_signal_that_cannot_be_read_is_a_no_in_this_answer_and_nothing_is_written(keyed, signals):
    before = await entries(keyed)
    body = (await observe(keyed, signals)).json()
    assert (body["standing"], body["store"]["IABUSPrivacy_String"]) == (NO, "1YYN")
    assert await entries(keyed) == before
    assert await reason(keyed) == "no_choice"


@pytest.mark.parametrize("where", ["members", "signals", "identifiers"])
async def test_of_very_many_things_that_cannot_be_used_a_hundred_are_listed(keyed, where):
    many = {f"x{number}": 1 for number in range(3000)}
    signals = {"gpc": True} | (many if where == "signals" else {})
    beside = {"members": many, "identifiers": {"identifiers": [ME, *[named("email", "x")] * 900]}}.get(where, {})
    answer = await observe(keyed, signals, **beside)
    listed = answer.json()["ignored"]
    assert (answer.status_code, len(listed)) == (200, 101)
    assert listed[-1] == {"pointer": "", "reason": "and more"}
    assert all(item["pointer"] for item in listed[:-1])
    assert await reason(keyed) == "opted_out"


async def test_one_withheld_id_among_others_is_a_no_in_this_answer(keyed):
    before = await entries(keyed)
    body = (await observe(keyed, {}, named("gaid", ZERO), MY_PHONE)).json()
    assert (body["standing"], body["store"]["IABUSPrivacy_String"]) == (NO, "1YYN")
    assert await entries(keyed) == before
    assert await reason(keyed, MY_PHONE) == "no_choice"


@pytest.mark.parametrize("identifiers", [None, [], "gaid", {}, [7], [named("gaid", "rubbish")]], ids=repr)
async def test_an_observation_of_nobody_is_answered_and_writes_nothing(keyed, identifiers):
    before = await entries(keyed)
    answer = await observe(keyed, {"gpc": True}, identifiers=identifiers)
    assert (answer.status_code, answer.json()["standing"]) == (200, NO)
    assert await entries(keyed) == before


@pytest.mark.parametrize("signals", ["1YYN", 5, True, ["gpc"]], ids=repr)
async def test_signals_that_are_no_object_are_listed(keyed, signals):
    answer = await observe(keyed, signals)
    assert (answer.status_code, ignored(answer)) == (200, {"/signals": "not an object"})


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"7", b"{", b"\xff", b'"gpc"'], ids=repr)
async def test_a_body_that_is_no_observation_is_refused(keyed, body):
    answer = await keyed.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (400, "malformed")


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "application/x-ndjson"])
async def test_an_observation_is_json(keyed, media):
    answer = await keyed.post(PATH, content=b"{}", headers={"Content-Type": media})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("place", ["US-CO", "US", "DE"])
async def test_a_place_stands_in_the_entry(keyed, tmp_path, place):
    await observe(keyed, {"gpc": True}, place=place)
    assert leaves(tmp_path / "data")[-1]["j"] == place


@pytest.mark.parametrize("place", [None, 7, [], {}, "US-CO,DE"], ids=repr)
async def test_a_place_that_cannot_be_read_costs_a_signal_nothing(keyed, tmp_path, place):
    assert (await observe(keyed, {"gpc": True}, place=place)).status_code == 200
    assert "j" not in leaves(tmp_path / "data")[-1]


@pytest.mark.parametrize(
    "place", ["1 Main Street Springfield", "us-co", "x" * 100_000], ids=["address", "case", "long"]
)
async def test_nothing_but_a_place_stands_in_the_entry(keyed, tmp_path, place):
    await observe(keyed, {"gpc": True}, place=place)
    assert leaves(tmp_path / "data")[-1].get("j") in {None, "US-CO"}


async def test_identifiers_that_are_observed_together_are_not_tied(keyed, tmp_path):
    await observe(keyed, {"lmt": 1}, ME, MY_ACCOUNT)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        assert db.execute("SELECT count(*) FROM link_event").fetchone() == (0,)


@pytest.mark.slow
async def test_a_thousand_observations_of_one_signal_leave_one_entry(keyed):
    before = await entries(keyed)
    for signals in ({"gpc": True}, {"lmt": 1}):
        for _ in range(250):
            answers = await asyncio.gather(*(observe(keyed, signals) for _ in range(2)))
            assert {answer.json()["standing"] == NO for answer in answers} == {True}
    assert await entries(keyed) == before + 2


async def test_what_an_app_observes_is_counted_by_kind(keyed):
    await observe(keyed, {"gpc": True, "lmt": 1, "gpp": "rubbish"})
    text = (await keyed.get("/metrics")).text
    for kind in ("gpc", "device"):
        assert f'gateway_signals_total{{channel="observe",kind="{kind}"}} 1.0' in text
    assert 'gateway_malformed_signals_total{channel="gpp"' in text


# --- who may say it ------------------------------------------------------------------------------------------------


async def test_an_app_in_the_field_is_still_heard_after_its_key_was_revoked_and_a_secret_key_is_not(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app, inside.client(app) as client:

        async def key(name, *scopes, publishable):
            made = await asyncio.to_thread(
                api_keys.add_api_key, tmp_path / "data", name, scopes, publishable=publishable
            )
            return {"Authorization": f"Bearer {made}"}

        made = {
            "app": await key("app", "choose", publishable=True),
            "ads": await key("ads", "check", publishable=False),
            "backend": await key("backend", "choose", publishable=False),
        }
        body = {"identifiers": [ME], "signals": {"gpc": True}}
        codes = {name: (await client.post(PATH, json=body, headers=sent)).status_code for name, sent in made.items()}
        assert codes == {"app": 200, "ads": 403, "backend": 200}
        for name in ("app", "backend"):
            await asyncio.to_thread(api_keys.revoke, tmp_path / "data", name)
    async with inside.application(tmp_path / "data", dev=False) as app, inside.client(app) as client:
        codes = {name: (await client.post(PATH, json=body, headers=sent)).status_code for name, sent in made.items()}
        assert (codes["app"], codes["backend"]) == (200, 401)
        assert (await client.post(PATH, json=body)).status_code == 401


async def test_an_observation_that_cannot_be_kept_anywhere_is_refused_and_asked_for_again(
    keyed, tmp_path, no_emergency
):
    with inside.ledger_away(tmp_path / "data"):
        kept, silent = await observe(keyed, {"gpc": True}), await observe(keyed, {})
    assert (kept.status_code, kept.headers["retry-after"]) == (503, "1")
    assert set(silent.json()["standing"].values()) <= {"unknown"}
    assert silent.json()["store"]["IABUSPrivacy_String"] == "1YYN"
    assert (await observe(keyed, {"gpc": True})).status_code == 200
