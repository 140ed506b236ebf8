import asyncio
import contextlib
import hashlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.adchoices import write_adchoices
from support.people import GAID, IDFV, ZERO, email, gaid, named, phone

from gateway.choice.downstream import Outcome, strings
from gateway.consent.check import Checks
from gateway.keys import api_keys
from gateway.signals import gpp
from gateway.signals.gpp import layouts as gpp_layouts
from gateway.terms import SIGNAL_PURPOSES

pytestmark = pytest.mark.anyio
PATH = "/v1/check"
ME = named("gaid", GAID)
ASK = {"identifiers": [ME], "recipient": "teemo", "place": "US-CA"}
DENY = {"precise_geo": "deny", "ad_id": "deny"}
HERE = frozenset({"US-CA"})
CALIFORNIA, CALIFORNIA_YES = (strings(Outcome(out, HERE)).gpp for out in (frozenset(SIGNAL_PURPOSES), frozenset()))
REFUSES = "CPzvOIAPzvOIAAAAAAENBdCAAAAAAAAAAAAAAAAAAAAA.IAAA"  # a TC string without any consent


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def quiet(tmp_path_factory):
    """One installation for the tables of checks, which write nothing."""
    folder = tmp_path_factory.mktemp("shared") / "data"
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as calling:
        calling.folder = folder
        yield calling


def entries_beside_batches(quiet) -> int:
    """Batches of earlier answers are written beside these tests, and are about nobody."""
    with contextlib.closing(sqlite3.connect(quiet.folder / "ledger.sqlite3")) as db:
        leaves = [json.loads(body) for (body,) in db.execute("SELECT body FROM entry")]
    return sum(leaf.get("e") != "disclosed" for leaf in leaves)


async def ask(keyed, **members):
    answer = await keyed.post(PATH, json=ASK | members)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def opt_out(keyed, *identifiers, **members):
    body = {"identifiers": list(identifiers), "choice": "opt_out", **members}
    assert (await keyed.post("/v1/choices", json=body)).status_code == 201


async def grant(keyed, identifier, purpose="sale", recipient="teemo"):
    proof, told = {"kind": "account", "assertion": "dev"}, (await keyed.get("/v1/self")).json()["notices"]
    first, second = (
        {"sha256": item["sha256"]}
        for item in told
        if item["kind"] in {"opt-in", "confirm"} and item["language"] == "en"
    )
    body = {"identifiers": [identifier], "choice": "opt_in", "purposes": [purpose], "proof": proof, "notice": first}
    if recipient:
        body |= {"recipient": recipient, "data": ["precise_geo"]}
    token = (await keyed.post("/v1/choices", json=body)).json()["confirm"]
    act = {"choice": "confirm", "confirm": token, "proof": proof, "notice": second}
    assert (await keyed.post("/v1/choices", json=act)).status_code == 201


def kind(answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()["type"].rpartition(":")[2]


# --- yes and no ----------------------------------------------------------------------------------------------------


async def test_an_ad_about_somebody_who_said_nothing_may_use_the_ad_id_and_a_coarse_point(keyed):
    found = await ask(keyed)
    assert found["data"] == {"precise_geo": "coarsen", "ad_id": "allow"}
    assert (found["allowed"], found["partly"], found["place"]) == (False, True, "US-CA")
    assert found["because"] == {"source": None, "event": None, "seq": None}
    whole = await ask(keyed, data=["ad_id"])
    assert (whole["allowed"], whole["partly"], whole["reason"]) == (True, False, "no_choice")


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        (named("gaid", GAID), named("gaid", GAID.upper())),
        (named("gaid", GAID.upper()), named("gaid", GAID)),
        (named("gaid", GAID), named("gaid", GAID.replace("-", ""))),
        (named("gaid", GAID), named("ad_id_sha256", "")),
        (named("email", email(1)), named("email", f" {email(1).upper()} ")),
        (named("phone", phone(1)), named("phone", "(415) 555-0101")),
        (named("phone", phone(1)), named("phone", 14155550101)),
    ],
)
async def test_an_opt_out_is_found_however_the_identifier_is_spelt(keyed, said, asked):
    if asked["type"] == "ad_id_sha256":
        asked = named("ad_id_sha256", hashlib.sha256(GAID.encode()).hexdigest().upper())
    await opt_out(keyed, said)
    found = await ask(keyed, identifiers=[asked])
    assert (found["allowed"], found["partly"], found["reason"], found["data"]) == (False, False, "opted_out", DENY)


async def test_one_opted_out_identifier_among_many_denies(keyed):
    await opt_out(keyed, named("email", email(1)))
    found = await ask(keyed, identifiers=[ME, named("idfv", IDFV), named("email", email(1))])
    assert found["data"] == DENY


@pytest.mark.parametrize("place", ["US-CA", "US-NY", "US-OR", "US-MD", "DE", "US", None])
async def test_an_opt_out_denies_everywhere_law_or_none(keyed, place):
    await opt_out(keyed, ME)
    found = await ask(keyed, place=place)
    assert (found["allowed"], found["partly"], found["data"]) == (False, False, DENY)


@pytest.mark.parametrize("purpose", ["sale", "sharing", "targeted_ads"])
async def test_a_no_to_selling_sharing_or_ads_is_a_no_to_every_third_party(keyed, purpose):
    await opt_out(keyed, ME, purposes=[purpose])
    asked = [("teemo", "sale"), ("advertisers", "sharing"), ("advertisers", "targeted_ads"), ("matching", None)]
    for recipient, each in asked:
        found = await ask(keyed, recipient=recipient, purpose=each)
        assert (found["allowed"], found["partly"], found["reason"]) == (False, False, "opted_out"), (recipient, each)


async def test_a_no_to_one_and_a_later_yes_to_another_are_both_heard(keyed):
    await opt_out(keyed, ME, purposes=["sharing"])
    await grant(keyed, ME, recipient="")
    assert (await ask(keyed, data=["ad_id"]))["reason"] == "opted_in"
    assert (await ask(keyed, recipient="advertisers"))["reason"] == "opted_out"


async def test_a_no_to_mail_leaves_ads_alone(keyed):
    await opt_out(keyed, ME, purposes=["marketing_mail"])
    assert (await ask(keyed))["data"]["ad_id"] == "allow"


async def test_a_service_goes_on_after_an_opt_out(keyed):
    await opt_out(keyed, ME)
    found = await ask(keyed, recipient="payments", purpose="service")
    assert (found["allowed"], found["reason"]) == (True, "contracted_purpose")


async def test_a_child_s_data_goes_to_no_third_party(quiet):
    for age in (5, 12, 15, "under_13", "13_15"):
        found = await ask(quiet, age=age)
        assert (found["data"], found["reason"]) == (DENY, "age"), age
    for age in (16, 34, "adult", "16_17", None):
        assert (await ask(quiet, age=age))["reason"] != "age", age


# --- strict where a slip could allow -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem", "names"),
    [
        ({"purpouse": "sale"}, "unknown_member", "purpouse"),
        ({"Signals": {"gpc": "1"}}, "unknown_member", "Signals"),
        ({"gpc": "1"}, "unknown_member", "gpc"),
        ({"identifiers": [{**ME, "typ": "gaid"}]}, "unknown_member", "typ"),
        ({"signals": {"gcp": "1"}}, "unknown_member", "/signals/gcp"),
        ({"signals": {"gpc": "1", "usprivacy": "1YYN"}}, "unknown_member", "/signals/usprivacy"),
        ({"signals": {"": 1}}, "unknown_member", "/signals/"),
        ({"signals": []}, "malformed", "/signals"),
        ({"identifiers": None}, "malformed", "/identifiers"),
        ({"identifiers": ME}, "malformed", "/identifiers"),
        ({"identifiers": [GAID]}, "malformed", "/identifiers"),
        ({"identifiers": [{"type": "gaid"}]}, "malformed", "value"),
        ({"identifiers": [named("gaid", None)]}, "malformed", "/identifiers/"),
        ({"identifiers": [ME] * 257}, "malformed", "/identifiers"),
        ({"recipient": None}, "malformed", "/recipient"),
        ({"recipients": ["teemo"]}, "malformed", "/recipient"),
        ({"recipient": None, "recipients": []}, "malformed", "/recipients"),
        ({"recipient": None, "recipients": ["teemo"] * 65}, "malformed", "/recipients"),
        ({"recipient": ["teemo"]}, "malformed", "/recipient"),
        ({"purpose": ["sale"]}, "malformed", "/purpose"),
        ({"data": []}, "malformed", "/data"),
        ({"data": "ad_id"}, "malformed", "/data"),
        ({"place": 5}, "malformed", "/place"),
        ({"place": {"country": "US"}}, "malformed", "/place"),
        ({"geo": "US-CA"}, "malformed", "/geo"),
        ({"geo": {"contry": "DE"}}, "unknown_member", "/geo/contry"),
        ({"geo": {"COUNTRY": "DE"}}, "unknown_member", "/geo/COUNTRY"),
        ({"age": -1}, "malformed", "/age"),
        ({"age": 151}, "malformed", "/age"),
        ({"age": "grown up"}, "malformed", "/age"),
        ({"age": True}, "malformed", "/age"),
        ({"dry_run": "yes"}, "malformed", "/dry_run"),
        ({"ref": "x" * 257}, "malformed", "/ref"),
    ],
)
async def test_a_slip_in_a_check_is_refused_and_named(quiet, change, problem, names):
    answer = await quiet.post(PATH, json=ASK | change)
    assert (answer.status_code, kind(answer)) == (400, problem)
    assert names in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b'{"identifiers":NaN}', b"[" * 5000])
async def test_a_body_that_is_no_check_is_refused(quiet, body):
    answer = await quiet.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, kind(answer)) == (400, "malformed")


async def test_a_problem_repeats_no_value_of_the_person(keyed):
    answer = await keyed.post(PATH, json=ASK | {"identifiers": [{"type": "email", "value": [email(1)]}], "ip": 7})
    assert answer.status_code == 400
    assert email(1) not in answer.text


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "application/x-ndjson"])
async def test_a_check_is_json(quiet, media):
    answer = await quiet.post(PATH, content=b"{}", headers={"Content-Type": media})
    assert (answer.status_code, kind(answer)) == (415, "unsupported_media_type")


async def test_a_check_that_is_too_large_is_refused(quiet):
    answer = await quiet.post(PATH, content=b" " * (8 * 2**20 + 1), headers={"Content-Type": "application/json"})
    assert (answer.status_code, kind(answer)) == (413, "too_large")


# --- what is not configured ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"recipient": "nobody"}, "unknown_recipient"), ({"recipient": "Teemo"}, "unknown_recipient"),
     ({"recipient": ""}, "unknown_recipient"), ({"purpose": "sales"}, "unknown_purpose"),
     ({"purpose": ""}, "unknown_purpose")],
)  # fmt: skip
async def test_what_nobody_configured_is_a_no_with_a_warning(quiet, change, reason):
    answer = await quiet.post(PATH, json=ASK | change)
    assert answer.status_code == 200
    assert (answer.json()["allowed"], answer.json()["partly"], answer.json()["reason"]) == (False, False, reason)
    assert answer.headers["gateway-warning"] == reason


async def test_a_question_that_is_configured_has_no_warning(keyed):
    assert "gateway-warning" not in (await keyed.post(PATH, json=ASK)).headers


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"purpose": "sharing"}, "purpose_not_registered"), ({"data": ["email_hash"]}, "class_not_registered"),
     ({"data": ["made_up"]}, "class_not_registered"), ({"data": ["content"]}, "content_never_shared")],
)  # fmt: skip
async def test_what_a_recipient_is_not_registered_for_is_a_no(quiet, change, reason):
    found = await ask(quiet, **change)
    assert (found["allowed"], found["partly"], found["reason"]) == (False, False, reason)


async def test_one_class_that_nobody_knows_does_not_hide_the_others(keyed):
    found = await ask(keyed, data=["ad_id", "made_up"])
    assert found["data"] == {"ad_id": "allow", "made_up": "deny"}
    assert not found["allowed"]


async def test_several_recipients_are_answered_by_name(keyed):
    await opt_out(keyed, ME, purposes=["sale"])
    found = await ask(keyed, recipient=None, recipients=["teemo", "legal", "nobody"])
    assert {name: verdict["reason"] for name, verdict in found["verdicts"].items()} == {
        "teemo": "opted_out",
        "legal": "contracted_purpose",
        "nobody": "unknown_recipient",
    }
    assert set(found) == {"verdicts", "position", "valid_until", "valid_for_ms"}


async def test_without_a_contract_nothing_goes(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app:
        made = await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", "ads", ["check"], publishable=False)
        async with inside.client(app, Authorization=f"Bearer {made}") as client:
            found = (await client.post(PATH, json=ASK)).json()
    assert (found["allowed"], found["partly"], found["reason"]) == (False, False, "no_contract")


# --- signals of the call -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        ({"gpc": "1"}, "gpc"),
        ({"gpc": 1}, "gpc"),
        ({"gpc": True}, "gpc"),
        ({"us_privacy": "1YYN"}, "us_privacy"),
        ({"us_privacy": "1nyn"}, "us_privacy"),
        ({"cookies": "a=b; usprivacy=1YYN"}, "us_privacy"),
        ({"cookies": {"b64": "dXNwcml2YWN5PTFZWU4="}}, "us_privacy"),
        ({"cookies": "OptanonConsent=isGpcEnabled=1&groups="}, "cmp_cookie"),
        ({"lmt": 1}, "device"),
        ({"lmt": "1"}, "device"),
        ({"att": 0}, "device"),
        ({"att": 2}, "device"),
        ({"dnt": "1"}, "device"),
        ({"gpc": ["1"]}, "malformed_signal"),
        ({"gpc": "yes"}, "malformed_signal"),
        ({"us_privacy": 1}, "malformed_signal"),
        ({"lmt": "maybe"}, "malformed_signal"),
        ({"att": 7}, "malformed_signal"),
        ({"dnt": {}}, "malformed_signal"),
        ({"cookies": 5}, "malformed_signal"),
        ({"cookies": {"b64": "***"}}, "malformed_signal"),
        ({"cookies": "x=" + "y" * 17_000}, "malformed_signal"),
        ({"us_privacy": "2YNN"}, "malformed_signal"),
        ({"us_privacy": "1YYN "}, "us_privacy"),
        ({"us_privacy": "%31YYN"}, "us_privacy"),
        ({"us_privacy": "2YYN"}, "us_privacy"),  # not valid, and the opt-out in it counts
        ({"gpp": CALIFORNIA}, "gpp"),
        ({"gpp": CALIFORNIA, "gpp_sid": [8]}, "gpp"),
        ({"gpp": CALIFORNIA, "gpp_sid": "8"}, "gpp"),
        ({"gpp": CALIFORNIA, "gpp_sid": -1}, "gpp"),  # a state's section shows what the person wants, wherever they are
        ({"gpp": CALIFORNIA.replace("~", "%7E")}, "gpp"),
        ({"gpp": "DBABTA~1YYN"}, "gpp"),
        ({"gpp": 7}, "malformed_signal"),
        ({"gpp": "rubbish"}, "malformed_signal"),
        ({"gpp_sid": ["x"]}, "malformed_signal"),
        ({"tc": REFUSES}, "tcf"),
        ({"tc": REFUSES, "gdpr": 1}, "tcf"),
        ({"gpp": f"DBABMA~{REFUSES}"}, "gpp"),
        ({"tc": "C"}, "malformed_signal"),
        ({"ac": "1~"}, "additional_consent"),
        ({"ac": "2~~dv.1.5"}, "additional_consent"),
        ({"ac": "3~1"}, "malformed_signal"),
        ({"adchoices": write_adchoices(1_764_000_000, preference=0)}, "ad_choices"),
        ({"adchoices": "*"}, "malformed_signal"),
        ({"cookies": "optout=1"}, "ad_choices"),
        ({"cookies": f"euconsent-v2={REFUSES}"}, "tcf"),
        ({"cookies": f"gpp={CALIFORNIA}; gpp_sid=8"}, "gpp"),
        ({"stored": {"IABUSPrivacy_String": "1YYN"}}, "us_privacy"),
        ({"stored": {"IABGPP_HDR_GppString": CALIFORNIA, "IABGPP_GppSID": "7_8"}}, "gpp"),
        ({"stored": {"IABTCF_TCString": REFUSES, "IABTCF_gdprApplies": 1}}, "tcf"),
        ({"stored": {"gad_rdp": 1}}, "device"),
        ({"stored": {"IABUSPrivacy_String": 7}}, "malformed_signal"),
        ({"stored": "IABUSPrivacy_String"}, "malformed_signal"),
        ({"gpc": "1", "us_privacy": "1YYN", "lmt": 1}, "gpc"),
    ],
)
async def test_a_signal_in_the_ad_call_denies_and_so_does_one_that_cannot_be_read(quiet, signals, reason):
    before = entries_beside_batches(quiet)
    found = await ask(quiet, signals=signals)
    assert (found["data"], found["reason"]) == (DENY, reason)
    assert found["because"]["source"] == "signal"
    assert (await ask(quiet, signals=None))["data"]["ad_id"] == "allow"  # nothing of it was put on record
    assert entries_beside_batches(quiet) == before


@pytest.mark.parametrize("signals", [None, {}, {"gpc": "0"}, {"gpc": ""}, {"gpc": False}, {"gpc": None}, {"us_privacy": "1YNN"},
                                     {"us_privacy": "1---"}, {"us_privacy": ""},
                                     {"us_privacy": "${US_PRIVACY}"}, {"gpp": ""}, {"gpp": "${GPP_STRING_123}"},
                                     {"gpp": "DBAA", "gpp_sid": [-1]}, {"gpp": CALIFORNIA_YES}, {"ac": "1~7"},
                                     {"tc": REFUSES, "gdpr": 0}, {"stored": {}}, {"stored": {"gad_rdp": 0}},
                                     {"adchoices": write_adchoices(0, preference=1)}, {"cookies": "optout=0"},
                                     {"lmt": 0}, {"att": 3}, {"dnt": "0"}, {"cookies": "a=b"},
                                     {"gdpr": 0, "gpp_sid": [8]}])  # fmt: skip
async def test_a_call_that_says_nothing_is_not_taken_for_a_no(quiet, signals):
    assert (await ask(quiet, signals=signals))["data"]["ad_id"] == "allow"


async def test_a_signal_never_lifts_a_choice(keyed):
    await opt_out(keyed, ME)
    yes = {"att": 3, "lmt": 0, "us_privacy": "1YNN", "gpc": "0", "gpp": CALIFORNIA_YES}
    assert (await ask(keyed, signals=yes))["data"] == DENY


async def test_an_allow_in_one_signal_takes_nothing_from_a_no_in_another(quiet):
    yes = {"us_privacy": "1YNN", "gpp": CALIFORNIA_YES, "adchoices": write_adchoices(0, preference=1)}
    assert (await ask(quiet, signals=yes | {"ac": "1~"}))["data"] == DENY
    assert (await ask(quiet, signals=yes))["data"]["ad_id"] == "allow"  # control


# --- what the recipient is told ------------------------------------------------------------------------------------


async def test_a_recipient_is_told_the_persons_no_in_every_form_that_it_may_read(quiet):
    told = (await ask(quiet, signals={"gpc": "1"}))["downstream"]
    said = gpp.read_gpp_string(told["gpp"])
    assert said.ok
    fields = said.sections["usca"]
    assert (fields["SaleOptOut"], fields["SharingOptOut"], fields["Gpc"]) == (1, 1, True)
    assert fields["MspaCoveredTransaction"] == 2
    assert told | {"gpp": ""} == {
        "gpp": "",
        "gpp_sid": [8],
        "us_privacy": "1YYN",
        "gpc": "1",
        "npa": 1,
        "rdp": 1,
        "ldu": {"options": ["LDU"], "country": 1, "state": 1000},
    }


async def test_a_recipient_is_told_that_nobody_said_no(quiet):
    told = (await ask(quiet))["downstream"]
    fields = gpp.read_gpp_string(told["gpp"]).sections["usca"]
    assert (fields["SaleOptOut"], fields["SharingOptOut"], fields["Gpc"]) == (2, 2, False)
    assert (told["us_privacy"], told["gpc"], told["npa"], told["rdp"]) == ("1YNN", None, 0, 0)
    assert told["ldu"]["options"] == []


@pytest.mark.parametrize(
    ("place", "sections"),
    [("US-CO", [10]), ("US-TX", [7, 16]), ("US-WY", [7]), ("US-MD", [7]), (["US-CA", "US-CO"], [7]), (None, [7]),
     ("DE", [-1])],
)  # fmt: skip
async def test_the_string_is_of_the_sections_of_the_persons_place(quiet, place, sections):
    told = (await ask(quiet, place=place, signals={"gpc": "1"}))["downstream"]
    assert told["gpp_sid"] == sections
    assert told["us_privacy"] == ("1---" if sections == [-1] else "1YYN")
    assert gpp.read_gpp_string(told["gpp"]).ok


@pytest.mark.parametrize(
    "change",
    [{"signals": {"gpc": "1"}}, {"signals": {"us_privacy": 7}}, {"recipient": "nobody"}, {"age": 12}, {"place": None},
     {"purpose": "sharing"}, {"identifiers": [named("gaid", ZERO)]}, {"identifiers": [named("gaid", "rubbish")]},
     {"data": ["content"]}],
    ids=repr,
)  # fmt: skip
async def test_a_recipient_is_never_told_less_than_the_verdict(quiet, change):
    found = await ask(quiet, **change)
    assert set(found["data"].values()) <= {"deny"}
    told = found["downstream"]
    assert (told["us_privacy"], told["npa"], told["rdp"]) == ("1YYN", 1, 1)
    passed_on = await ask(quiet, signals={"gpp": told["gpp"], "gpp_sid": told["gpp_sid"]})
    assert (passed_on["data"], passed_on["reason"]) == (DENY, "gpp")


async def test_every_recipient_of_one_check_is_told_its_own(keyed):
    await opt_out(keyed, ME, purposes=["sale"])
    verdicts = (await ask(keyed, recipient=None, recipients=["teemo", "nobody", "payments"]))["verdicts"]
    assert {name: verdict["downstream"]["us_privacy"] for name, verdict in verdicts.items()} == {
        "teemo": "1YYN",
        "nobody": "1YYN",
        "payments": "1YYN",
    }


async def test_a_precise_point_that_may_go_is_told_as_consented_and_no_other(keyed):
    item = gpp_layouts.BY_NAME["usca"].precise
    for granted, value in ((False, 1), (True, 2)):
        if granted:
            await grant(keyed, ME)
        told = (await ask(keyed))["downstream"]["gpp"]
        assert gpp.read_gpp_string(told).sections["usca"]["SensitiveDataProcessing"][item] == value


# --- identifiers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifiers", "reason"),
    [
        ([named("gaid", ZERO)], "limited"),
        ([ME, named("gaid", ZERO)], "limited"),
        ([named("idfa", "")], "limited"),
        ([named("email_sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")], "limited"),
        ([named("loyalty_card", "7")], "undeclared_identifier"),
        ([ME, named("id:loyalty", "7")], "undeclared_identifier"),
        ([named("GAID", GAID)], "undeclared_identifier"),
        ([named("gaid", "rubbish")], "malformed"),
        ([ME, named("email", "rubbish")], "malformed"),
        ([named("browser", "forged")], "malformed"),
        ([named("cookie", "7")], "malformed"),
    ],
)
async def test_an_identifier_that_cannot_be_used_is_never_an_allow(quiet, identifiers, reason):
    found = await ask(quiet, identifiers=identifiers)
    assert (found["allowed"], found["partly"], found["data"], found["reason"]) == (False, False, DENY, reason)


@pytest.mark.parametrize("kind", ["GAID", " Gaid "])
async def test_a_kind_that_is_spelled_otherwise_hides_no_opt_out_and_allows_nothing(keyed, kind):
    assert (await ask(keyed, identifiers=[named(kind, GAID)]))["reason"] == "undeclared_identifier"
    await opt_out(keyed, named("gaid", GAID))
    assert (await ask(keyed, identifiers=[named(kind, GAID)]))["reason"] == "opted_out"
    assert (await ask(keyed, identifiers=[ME, named(kind, GAID)]))["reason"] == "opted_out"


async def test_so_does_one_that_the_operator_declared(tmp_path):
    settings = inside.settings(identifiers__declared="Loyalty-Card")
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:
        await opt_out(client, named("ID: loyalty card", "7"))
        assert (await ask(client, identifiers=[named("id:Loyalty-Card", "7")]))["reason"] == "opted_out"


async def test_a_check_of_nobody_in_particular_is_a_question_too(keyed):
    assert (await ask(keyed, identifiers=[]))["data"]["ad_id"] == "allow"
    assert (await ask(keyed, identifiers=[], signals={"gpc": "1"}))["reason"] == "gpc"


async def test_a_cookie_id_is_somebody_only_with_its_source(keyed):
    mine = {"type": "cookie", "value": "42", "source": "ads.example"}
    await opt_out(keyed, mine)
    assert (await ask(keyed, identifiers=[mine]))["reason"] == "opted_out"
    assert (await ask(keyed, identifiers=[mine | {"source": "other.example"}]))["reason"] != "opted_out"


async def test_a_kind_that_the_operator_declared_is_used(tmp_path):
    settings = inside.settings(identifiers__declared="loyalty")
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:
        card = named("id:loyalty", "7")
        assert (await ask(client, identifiers=[card]))["reason"] != "undeclared_identifier"
        await opt_out(client, card)
        assert (await ask(client, identifiers=[card]))["reason"] == "opted_out"


# --- place ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "place", "reason"),
    [
        ({"place": "US-CA"}, "US-CA", "no_choice"),
        ({"place": "us-ca"}, "US-CA", "no_choice"),
        ({"place": ["US-CA"]}, "US-CA", "no_choice"),
        ({"place": ["US-CA", "US-NY"]}, "US-CA,US-NY", "no_choice"),
        ({"place": ["US-CA", "DE"]}, "DE,US-CA", "opt_in_required"),
        ({"place": "DE"}, "DE", "opt_in_required"),
        ({"place": "US"}, "US", "place_unknown"),
        ({"place": None}, "unknown", "place_unknown"),
        ({"place": ""}, "unknown", "place_unknown"),
        ({"place": []}, "unknown", "place_unknown"),
        ({"place": "California"}, "ZZ", "place_unknown"),
        ({"place": "US-XX"}, "US-XX", "opt_in_required"),
        ({"place": ["US-CA", "somewhere"]}, "US-CA,ZZ", "place_unknown"),
        ({"place": None, "geo": {"country": "USA", "region": "CA"}}, "US-CA", "no_choice"),
        ({"place": None, "geo": {"country": "US", "region": "ca"}}, "US-CA", "no_choice"),
        ({"place": None, "geo": {"country": "USA"}}, "US", "place_unknown"),
        ({"place": None, "geo": {"country": "FRA"}}, "FR", "opt_in_required"),
        ({"place": None, "geo": {"country": "ZAF"}}, "ZZ", "place_unknown"),
        ({"place": None, "geo": {"region": "CA"}}, "ZZ", "place_unknown"),
        ({"place": "US-NH", "geo": {"region": "CA"}}, "US-NH,ZZ", "place_unknown"),
        ({"place": None, "geo": {"country": 7, "region": []}}, "ZZ", "place_unknown"),
        ({"place": "US-NY", "geo": {"country": 7}}, "US-NY,ZZ", "place_unknown"),
        ({"place": None, "geo": {"lat": 45.5, "lon": -122.6}}, "unknown", "place_unknown"),
        ({"place": None, "ip": "192.0.2.1"}, "unknown", "place_unknown"),
        ({"place": None, "ip": "rubbish"}, "unknown", "place_unknown"),
        ({"place": "DE", "geo": {"country": "USA", "region": "CA"}}, "DE,US-CA", "opt_in_required"),
        ({"place": "US-CA", "signals": {"gdpr": 1}}, "US-CA,ZZ", "place_unknown"),
        ({"place": "US-CA", "signals": {"gdpr": " 1"}}, "US-CA,ZZ", "place_unknown"),
        ({"place": "US-CA", "signals": {"stored": {"IABTCF_gdprApplies": 1}}}, "US-CA,ZZ", "place_unknown"),
        ({"place": "DE", "signals": {"gdpr": 1}}, "DE", "opt_in_required"),
        ({"place": "US-CA", "signals": {"gdpr": 0}}, "US-CA", "no_choice"),
        ({"place": "US-CA", "signals": {"gdpr": ""}}, "US-CA", "no_choice"),
    ],
)
async def test_the_strictest_of_the_known_places_holds_and_an_unknown_one_is_strict(quiet, where, place, reason):
    found = await ask(quiet, data=["ad_id"], **where)
    assert (found["place"], found["reason"], found["allowed"]) == (place, reason, reason == "no_choice")


@pytest.mark.parametrize("place", ["US-MD", "US-OR", ["US-CA", "US-OR"], ["US-MD", "US-NY"], "DE", "US", None])
@pytest.mark.parametrize("granted", [False, True])
async def test_a_precise_point_of_maryland_or_oregon_never_goes(keyed, place, granted):
    if granted:
        await grant(keyed, ME)
    found = await ask(keyed, place=place)
    if not granted or place not in ("DE", "US", None):
        assert found["data"]["precise_geo"] != "allow"
        assert not found["allowed"]


async def test_a_precise_point_goes_only_with_this_persons_opt_in_for_this_recipient(keyed):
    await grant(keyed, ME)
    assert (await ask(keyed))["data"] == {"precise_geo": "allow", "ad_id": "allow"}
    assert (await ask(keyed, identifiers=[named("gaid", gaid(2))]))["data"]["precise_geo"] == "coarsen"
    await opt_out(keyed, ME)
    assert (await ask(keyed))["data"] == DENY
    await grant(keyed, ME, recipient="")  # a general opt-in, later, revives nothing
    assert (await ask(keyed))["data"]["precise_geo"] != "allow"


async def test_a_general_opt_in_opens_no_precise_point(keyed):
    await grant(keyed, ME, recipient="")
    assert (await ask(keyed))["data"] == {"precise_geo": "coarsen", "ad_id": "allow"}


# --- what a caller may know ----------------------------------------------------------------------------------------


async def test_ad_code_does_not_learn_which_entry_its_person_is_and_the_desk_does(tmp_path):
    settings = inside.settings(recipients__teemo__contract="C-1")
    async with inside.application(tmp_path / "data", settings, dev=False) as app:
        made = {}
        for name, scopes in (("ads", ["check"]), ("desk", ["check", "choose", "desk"]), ("audit", ["check", "export"])):
            made[name] = await asyncio.to_thread(
                api_keys.add_api_key, tmp_path / "data", name, scopes, publishable=False
            )
        async with inside.client(app) as client:

            async def found(name):
                headers = {"Authorization": f"Bearer {made[name]}"}
                return (await client.post(PATH, json=ASK, headers=headers)).json()

            choice = {"identifiers": [ME], "choice": "opt_out"}
            kept = await client.post("/v1/choices", json=choice, headers={"Authorization": f"Bearer {made['desk']}"})
            event = {"source": "choice", "event": kept.json()["event"], "seq": kept.json()["seq"]}
            assert (await found("ads"))["because"] == {"source": "choice", "event": None, "seq": None}
            assert (await found("desk"))["because"] == event
            assert (await found("audit"))["because"] == event
            assert (await found("ads"))["reason"] == (await found("desk"))["reason"] == "opted_out"


@pytest.mark.parametrize(
    "headers", [{"Authorization": ""}, {"Authorization": "Bearer x.y"}, {"Authorization": "Basic dev.dev"}]
)
async def test_nobody_asks_without_a_key(client, headers):
    answer = await client.post(PATH, json=ASK, headers=headers)
    assert (answer.status_code, kind(answer)) == (401, "unauthorized")


async def test_an_answer_is_good_for_one_send_window(tmp_path):
    at = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
    settings = inside.settings(share__send_window_ms="100")
    built = inside.application(tmp_path / "data", settings, clock=lambda: at)
    async with built as app, inside.client(app, **inside.DEV) as client:
        found = await ask(client)
    assert found["valid_for_ms"] == 100
    assert datetime.fromisoformat(found["valid_until"]) == at + timedelta(milliseconds=100)


@pytest.mark.parametrize("announced", [False, True])
async def test_the_window_counts_from_before_the_check_however_long_it_takes(tmp_path, monkeypatch, announced):
    """A process that is stopped while it answers: another one may acknowledge an opt-out meanwhile."""
    now = [datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)]
    began = now[0]

    def slow(self, keys, position):
        now[0] += timedelta(seconds=9)
        return moved(self, keys, position)

    def slowly(self, ask, identifiers, **how):
        now[0] += timedelta(seconds=0 if announced else 9)
        return meet(self, ask, identifiers, **how)

    moved, meet = Checks.moved, Checks.meet
    monkeypatch.setattr(Checks, "moved", slow)
    monkeypatch.setattr(Checks, "meet", slowly)
    built = inside.application(tmp_path / "data", clock=lambda: now[0])
    async with built as app, inside.client(app, **inside.DEV) as client:
        found = await ask(client, will_send=announced, recipient="advertisers", data=["ad_id"], place="US-NY")
    assert found["allowed"]
    assert now[0] >= began + timedelta(seconds=9)
    assert datetime.fromisoformat(found["valid_until"]) == began + timedelta(milliseconds=found["valid_for_ms"])


async def test_a_caller_gets_its_own_reference_back_and_its_dry_run_marked(keyed):
    found = await ask(keyed, ref="slot-7", dry_run=True)
    assert (found["ref"], found["dry_run"]) == ("slot-7", True)
    assert not {"ref", "dry_run"} & set(await ask(keyed))


async def test_an_answer_says_how_long_its_verdict_took(keyed):
    answer = await keyed.post(PATH, json=ASK)
    name, _, took = answer.headers["server-timing"].partition(";dur=")
    assert name == "verdict"
    assert 0 < float(took) < 10_000


async def test_the_position_tells_how_much_of_the_ledger_an_answer_knew(keyed):
    before = (await ask(keyed))["position"]
    await opt_out(keyed, ME)
    assert (await ask(keyed))["position"] > before  # a batch of answers may go on record meanwhile, too


async def test_a_check_writes_nothing_and_repeats(keyed):
    first = await ask(keyed)
    again = (await keyed.post(PATH, json=ASK, headers={"Idempotency-Key": "k"})).json()
    moving = {"valid_until", "decision", "position"}  # batches of answers go on record by themselves
    assert {k: v for k, v in first.items() if k not in moving} == {k: v for k, v in again.items() if k not in moving}
