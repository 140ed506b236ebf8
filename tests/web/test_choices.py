import asyncio
import base64
import contextlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from support import inside
from support.people import GAID, IDFV, ZERO, email, gaid, named, phone

from gateway.keys import api_keys
from gateway.signals import gpp
from gateway.terms import ALL_PURPOSES, CHOOSABLE
from gateway.web.shell import page, wire

pytestmark = pytest.mark.anyio
PATH = "/v1/choices"
PROOF = {"kind": "account", "assertion": "dev"}
SHOWN, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))
OPT_IN = {
    "choice": "opt_in",
    "purposes": ["sale"],
    "identifiers": [named("gaid", GAID)],
    "proof": PROOF,
    "notice": SHOWN,
    "place": "US-CA",
}
GRANT = OPT_IN | {"recipient": "teemo", "data": ["precise_geo"]}


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def quiet(tmp_path_factory):
    """One installation for the tables whose requests write nothing that another row would see."""
    folder = tmp_path_factory.mktemp("shared") / "data"
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as calling:
        yield calling


def opt_out(*identifiers, **members):
    return {"choice": "opt_out", "identifiers": list(identifiers) or [named("gaid", GAID)], **members}


def kind(answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["type"].rpartition(":")[2]


def ignored(answer) -> dict:
    return {item["pointer"]: item["reason"] for item in answer.json()["ignored"]}


async def check(keyed, *identifiers, place="US-CA", recipient="teemo", **members):
    body = {"identifiers": list(identifiers), "recipient": recipient, "place": place, **members}
    return (await keyed.post("/v1/check", json=body)).json()


async def reason(keyed, *identifiers, **members):
    return (await check(keyed, *identifiers, **members))["reason"]


async def entries(client) -> int:
    return (await client.get("/readyz")).json()["ledger"]["entries"]


async def two_acts(keyed, first, **second):
    asked = await keyed.post(PATH, json=first)
    assert asked.status_code == 202, asked.text
    act = {"choice": "confirm", "confirm": asked.json()["confirm"], "proof": PROOF, "notice": SECOND} | second
    return await keyed.post(PATH, json=act)


async def lines(client, *rows, **headers):
    content = b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    headers = {"Content-Type": "application/x-ndjson"} | headers
    answer = await client.post(PATH, content=content, headers=headers)
    return answer, [json.loads(line) for line in answer.text.splitlines()]


def leaves(folder) -> list[dict]:
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return [json.loads(body) for (body,) in db.execute("SELECT body FROM entry ORDER BY seq")]


async def key(folder, name, *scopes, publishable=False):
    made = await asyncio.to_thread(api_keys.add_api_key, folder, name, scopes, publishable=publishable)
    return {"Authorization": f"Bearer {made}"}


# --- opting out ----------------------------------------------------------------------------------------------------


async def test_a_person_who_opts_out_in_the_app_is_denied_before_the_answer(keyed):
    answer = await keyed.post(PATH, json=opt_out(named("gaid", GAID), named("idfv", IDFV), place="US-CO"))
    body = answer.json()
    assert answer.status_code == 201
    assert body["events"][0]["event"] == body["event"]
    assert len(body["events"]) == 2
    assert body["standing"] == dict.fromkeys(map(str, ALL_PURPOSES), "opted_out")
    assert body["ignored"] == []
    for person in (named("gaid", GAID), named("gaid", GAID.upper()), named("idfv", IDFV)):
        found = await check(keyed, person)
        assert (found["allowed"], found["partly"], found["reason"]) == (False, False, "opted_out")


async def test_an_opt_out_holds_from_one_send_window_after_it_was_accepted_and_is_silent_for_a_year(keyed):
    body = (await keyed.post(PATH, json=opt_out())).json()
    accepted, effective = datetime.fromisoformat(body["accepted_at"]), datetime.fromisoformat(body["effective_at"])
    assert timedelta(milliseconds=250) <= effective - accepted < timedelta(seconds=5)
    for purpose in ALL_PURPOSES:
        assert datetime.fromisoformat(body["may_ask_from"][purpose]) - accepted > timedelta(days=364)


@pytest.mark.parametrize(
    ("purposes", "standing", "unread"),
    [
        (["all"], {*ALL_PURPOSES}, []),
        ("all", {*ALL_PURPOSES}, []),
        (None, {*ALL_PURPOSES}, []),
        ([], {*ALL_PURPOSES}, []),
        (7, {*CHOOSABLE}, ["/purposes"]),
        (["sale"], {"sale"}, []),
        ("sale", {"sale"}, []),
        (["sale", "sale", "sharing"], {"sale", "sharing"}, []),
        (["marketing_email"], {"marketing_email"}, []),
        (["nonsense"], {*CHOOSABLE}, ["/purposes/0"]),
        (["Sale"], {*CHOOSABLE}, ["/purposes/0"]),
        (["service"], {*CHOOSABLE}, ["/purposes/0"]),
        ([7, None, {}], {*CHOOSABLE}, ["/purposes/0", "/purposes/1", "/purposes/2"]),
        (["sale", "nonsense"], {*CHOOSABLE}, ["/purposes/1"]),
    ],
)
async def test_an_opt_out_whose_purposes_cannot_all_be_read_is_of_everything(quiet, purposes, standing, unread):
    answer = await quiet.post(PATH, json=opt_out(purposes=purposes))
    assert answer.status_code == 201
    assert set(answer.json()["standing"]) == standing
    assert list(ignored(answer)) == unread


async def test_limit_is_of_sensitive_information_alone(keyed):
    answer = await keyed.post(PATH, json=opt_out() | {"choice": "limit"})
    assert (answer.status_code, answer.json()["standing"]) == (201, {"sensitive": "opted_out"})
    found = await check(keyed, named("gaid", GAID), place="US-NY")
    assert found["data"] == {"precise_geo": "deny", "ad_id": "allow"}


async def test_one_bad_identifier_of_three_costs_an_opt_out_nothing(keyed):
    answer = await keyed.post(PATH, json=opt_out(named("gaid", GAID), named("email", "rubbish"), named("idfv", IDFV)))
    assert answer.status_code == 201
    assert len(answer.json()["events"]) == 2
    assert ignored(answer) == {"/identifiers/1": "malformed"}


OTHERWISE = ["GAID", "Gaid", " gaid", "gaid\t", "\u200bgaid", "\uff27\uff21\uff29\uff24"]


@pytest.mark.parametrize("kind_of_it", OTHERWISE)
async def test_an_opt_out_is_heard_whose_kind_is_spelled_otherwise(keyed, kind_of_it):
    answer = await keyed.post(PATH, json=opt_out(named(kind_of_it, GAID)))
    assert (answer.status_code, ignored(answer)) == (201, {})
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        (named("Email", email(1)), named("email", email(1))),
        (named("E-Mail", email(1)), named("email", email(1))),
        (named("Phone ", phone(1)), named("phone", phone(1))),
        (named("EMAIL-SHA256", "5a" * 32), named("email_sha256", "5a" * 32)),
        (named("ACCOUNT", "a1"), named("account", "a1")),
        ({"type": "Cookie", "value": "42", "source": "ads.example"}, named("cookie", "42") | {"source": "ads.example"}),
    ],
)
async def test_so_is_one_of_any_kind(keyed, said, asked):
    answer = await keyed.post(PATH, json=opt_out(said))
    assert (answer.status_code, ignored(answer)) == (201, {})
    assert await reason(keyed, asked) == "opted_out"


async def test_an_app_key_says_no_by_a_kind_that_is_spelled_otherwise(keyed, folder):
    app = await key(folder, "app", "choose", publishable=True)
    answer = await keyed.post(PATH, json=opt_out(named("Idfa", GAID)), headers=app)
    assert (answer.status_code, ignored(answer)) == (201, {})
    assert await reason(keyed, named("idfa", GAID)) == "opted_out"


async def test_a_limit_is_heard_too_and_what_opens_wants_the_kind_as_it_is(keyed):
    answer = await keyed.post(PATH, json=opt_out(named("GAID", GAID)) | {"choice": "limit"})
    assert (answer.status_code, answer.json()["standing"]) == (201, {"sensitive": "opted_out"})
    refused = await keyed.post(PATH, json=OPT_IN | {"identifiers": [named("GAID", GAID)]})
    assert (refused.status_code, kind(refused)) == (422, "one_purpose")


async def test_a_word_that_is_no_kind_is_listed_as_before(keyed):
    answer = await keyed.post(PATH, json=opt_out(named("gaids", GAID), named("x" * 5000, GAID), named("gaid", GAID)))
    assert (answer.status_code, len(answer.json()["events"])) == (201, 1)
    assert ignored(answer) == {"/identifiers/0": "undeclared", "/identifiers/1": "undeclared"}


@pytest.mark.parametrize(
    ("scopes", "publishable"), [(["choose"], True), (["choose"], False), (["choose", "desk"], False)]
)
async def test_a_no_under_kinds_that_are_none_of_ours_alone_is_refused_to_every_key_and_names_each(
    keyed, folder, scopes, publishable
):
    """Called done it would not be tried again, and the ids would go on being shared."""
    headers, before = await key(folder, "mine", *scopes, publishable=publishable), await entries(keyed)
    answer = await keyed.post(PATH, json=opt_out(named("gaids", GAID), named("e_mial", email(1))), headers=headers)
    assert (answer.status_code, kind(answer)) == (422, "nothing_usable")
    assert [(each["pointer"], each["detail"]) for each in answer.json()["errors"][1:]] == [
        ("/identifiers/0", "undeclared"),
        ("/identifiers/1", "undeclared"),
    ]
    assert await entries(keyed) == before


@pytest.mark.parametrize("beside", [named("idfa", ZERO), named("email", "nobody")], ids=["withheld", "unreadable"])
async def test_an_id_that_says_of_nobody_who_it_is_does_not_make_a_misspelt_kind_pass_for_done(keyed, folder, beside):
    headers, before = await key(folder, "app", "choose", publishable=True), await entries(keyed)
    answer = await keyed.post(PATH, json=opt_out(named("gaids", GAID), beside), headers=headers)
    assert (answer.status_code, kind(answer)) == (422, "nothing_usable")
    assert await entries(keyed) == before
    assert (await keyed.post(PATH, json=opt_out(beside), headers=headers)).status_code == 201


async def test_after_a_misspelt_kind_was_put_right_the_same_idempotency_key_is_taken_also_of_a_revoked_key(
    keyed, folder
):
    headers = await key(folder, "app", "choose", publishable=True) | {"Idempotency-Key": "one-act"}
    assert (await keyed.post(PATH, json=opt_out(named("gaids", GAID)), headers=headers)).status_code == 422
    await asyncio.to_thread(api_keys.revoke, folder, "app")
    assert (await keyed.post(PATH, json=opt_out(named("gaid", GAID)), headers=headers)).status_code == 201
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"


async def test_beside_anything_that_can_be_used_a_kind_that_is_none_of_ours_costs_nobody_their_no(keyed, folder):
    headers = await key(folder, "app", "choose", publishable=True)
    answer = await keyed.post(PATH, json=opt_out(named("gaids", GAID), named("idfv", IDFV)), headers=headers)
    assert (answer.status_code, ignored(answer)) == (201, {"/identifiers/0": "undeclared"})
    assert await reason(keyed, named("idfv", IDFV)) == "opted_out"
    installed = answer.json()["device"]
    again = await keyed.post(PATH, json=opt_out(named("gaids", GAID)) | {"device": installed}, headers=headers)
    assert (again.status_code, ignored(again)) == (201, {"/identifiers/0": "undeclared"})


async def test_a_kind_that_is_none_of_ours_keeps_back_no_id_that_stands_far_behind_it(keyed, folder):
    """An app's key has a few entered at once and the others kept: the good one is among the latter."""
    headers = await key(folder, "app", "choose", publishable=True)
    many = [named("gaids", f"x{number}") for number in range(wire.AT_ONCE)]
    answer = await keyed.post(PATH, json=opt_out(*many, named("gaid", GAID)), headers=headers)
    assert answer.status_code == 202
    assert answer.json()["ignored"][0] == {"pointer": "/identifiers/0", "reason": "undeclared"}
    with anyio.fail_after(60):
        while await reason(keyed, named("gaid", GAID)) != "opted_out":
            await anyio.sleep(0.05)


async def test_a_withheld_id_is_already_a_no_and_leaves_nothing_to_write(keyed):
    before = await entries(keyed)
    answer = await keyed.post(PATH, json=opt_out(named("gaid", ZERO), named("idfa", ZERO.replace("-", ""))))
    assert answer.status_code == 200
    assert answer.json()["events"] == []
    assert set(answer.json()["standing"].values()) == {"opted_out"}
    assert ignored(answer) == {"/identifiers/0": "limited", "/identifiers/1": "limited"}
    assert await entries(keyed) == before
    assert await reason(keyed, named("gaid", ZERO)) == "limited"


@pytest.mark.parametrize("identifiers", [[], None, "gaid", {}, 7, ""])
async def test_an_opt_out_of_nobody_is_refused_so_that_the_app_keeps_it_in_its_queue(quiet, identifiers):
    answer = await quiet.post(PATH, json={"choice": "opt_out", "identifiers": identifiers})
    assert (answer.status_code, kind(answer)) == (422, "nothing_usable")


async def test_a_member_that_nobody_knows_is_named_and_costs_nothing(keyed):
    answer = await keyed.post(PATH, json=opt_out(purposse=["sale"], reason="angry", signals={"lmt": 1, "ifa": 7}))
    assert answer.status_code == 201
    assert ignored(answer) == {"/purposse": "unknown", "/reason": "unknown", "/signals/ifa": "unknown"}


@pytest.mark.parametrize(
    ("member", "value", "pointer"),
    [
        ("source", "carrier-pigeon", "/source"),
        ("source", ["sdk"], "/source"),
        ("notice", {"sha256": "00" * 32}, "/notice"),
        ("notice", {"sha256": "not hex"}, "/notice"),
        ("notice", {"sha256": "é" * 64}, "/notice"),
        ("made_at", "yesterday", "/made_at"),
        ("made_at", 5, "/made_at"),
        ("signals", "1YYN", "/signals"),
        ("signals", {"us_privacy": 7}, "/signals/us_privacy"),
        ("signals", {"gpp": "rubbish"}, "/signals/gpp"),
        ("signals", {"stored": []}, "/signals/stored"),
    ],
)
async def test_what_an_app_says_wrongly_beside_an_opt_out_is_listed_and_costs_nothing(quiet, member, value, pointer):
    answer = await quiet.post(PATH, json=opt_out(**{member: value}))
    assert answer.status_code == 201
    assert list(ignored(answer)) == [pointer]
    assert await reason(quiet, named("gaid", GAID)) == "opted_out"


@pytest.mark.parametrize(("unread", "listed"), [(100, 100), (101, 101), (5000, 101)])
async def test_of_very_many_unknown_members_a_hundred_are_listed_and_the_opt_out_is_taken(keyed, unread, listed):
    answer = await keyed.post(PATH, json=opt_out() | {f"x{number}": 1 for number in range(unread)})
    assert (answer.status_code, len(answer.json()["ignored"])) == (201, listed)
    assert ({"pointer": "", "reason": "and more"} in answer.json()["ignored"]) == (unread > 100)
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"


@pytest.mark.parametrize("place", [None, "US-CO", ["US-CO", "DE"], "nowhere", 7, [], {}, "us-co"])
async def test_a_place_that_cannot_be_read_costs_an_opt_out_nothing(keyed, tmp_path, place):
    assert (await keyed.post(PATH, json=opt_out(place=place))).status_code == 201
    read = {"['US-CO', 'DE']": "US-CO,DE", "US-CO": "US-CO", "us-co": "US-CO"}.get(str(place))
    assert leaves(tmp_path / "data")[-1].get("j") == read


async def test_a_national_number_is_read_in_the_country_of_the_place(keyed):
    await keyed.post(PATH, json=opt_out(named("phone", "020 7946 0958"), place="GB"))
    assert await reason(keyed, named("phone", "+442079460958")) == "opted_out"


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 400), (b"7", 400), (b'"opt_out"', 400), (b"{}", 400), (b'{"choice":"leave"}', 400),
     (b'{"choice":["opt_in"]}', 400), (b"\xff", 400), (b'{"choice":"opt_out"}' + b" " * 9 * 2**20, 413)],
)  # fmt: skip
async def test_a_body_that_is_no_choice_is_refused(quiet, body, status):
    answer = await quiet.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert kind(answer) in {"malformed", "too_large"}


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_a_page_of_another_site_cannot_post_a_choice(quiet, media):
    answer = await quiet.post(PATH, content=json.dumps(opt_out()), headers={"Content-Type": media})
    assert (answer.status_code, kind(answer)) == (415, "unsupported_media_type")


async def test_identifiers_that_an_app_lists_together_are_not_tied(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app:
        headers = await key(tmp_path / "data", "app", "choose", publishable=True)
        ads = await key(tmp_path / "data", "ads", "check")
        async with inside.client(app, **headers) as client:
            await client.post(PATH, json=opt_out(named("account", "a1"), named("gaid", gaid(1)), purposes=["sharing"]))
            await client.post(PATH, json=opt_out(named("account", "a1"), purposes=["sale"]))
        async with inside.client(app, **ads) as client:
            assert (
                await reason(client, named("gaid", gaid(1))) == "no_contract"
            )  # a contract would not be asked for first
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        assert db.execute("SELECT count(*) FROM link_event").fetchone() == (0,)


async def test_what_the_desk_lists_with_an_account_is_tied_to_it(keyed):
    await keyed.post(PATH, json=opt_out(named("account", "a1"), named("gaid", gaid(1)), purposes=["profiling"]))
    assert await reason(keyed, named("gaid", gaid(1))) != "opted_out"
    await keyed.post(PATH, json=opt_out(named("account", "a1"), purposes=["sale"]))
    assert await reason(keyed, named("gaid", gaid(1))) == "opted_out"


async def test_of_several_accounts_that_the_desk_lists_none_gets_another_ones_things(keyed, tmp_path):
    """R12: nobody said whose they are. The desk is told."""
    both = named("account", "a1"), named("account", "a2")
    answer = await keyed.post(PATH, json=opt_out(*both, named("gaid", gaid(1)), purposes=["profiling"]))
    assert answer.status_code == 201
    untied = {"pointer": "/identifiers", "reason": "of several accounts: none is tied to anything"}
    assert answer.json()["ignored"] == [untied]
    await keyed.post(PATH, json=opt_out(both[1], purposes=["sale"]))
    assert await reason(keyed, both[1]) == "opted_out"
    assert await reason(keyed, both[0]) != "opted_out"
    assert await reason(keyed, named("gaid", gaid(1))) != "opted_out"
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        assert db.execute("SELECT count(*) FROM link_event").fetchone() == (0,)


# --- signals beside a choice, and what the app keeps ---------------------------------------------------------------


async def test_a_signal_beside_a_choice_is_written_too_once_for_each_identifier(keyed, tmp_path):
    people, mail = (named("gaid", GAID), named("phone", phone(1))), {"purposes": ["marketing_mail"]}
    answer = await keyed.post(PATH, json=opt_out(*people, **mail, signals={"gpc": "1"}, place="US-CO"))
    assert (answer.status_code, answer.json()["standing"]) == (201, {"marketing_mail": "opted_out"})
    written = [(leaf["src"], leaf["p"], leaf.get("j")) for leaf in leaves(tmp_path / "data")[-4:]]
    assert (
        written
        == [("api", ["marketing_mail"], "US-CO")] * 2 + [("gpc", ["sale", "sharing", "targeted_ads"], "US-CO")] * 2
    )
    for person in people:
        assert await reason(keyed, person) == "opted_out"


async def test_a_signal_beside_a_choice_that_says_nothing_new_writes_nothing(keyed):
    await keyed.post(PATH, json=opt_out())
    before = await entries(keyed)
    await keyed.post(PATH, json=opt_out(signals={"us_privacy": "1YYN", "gpc": True, "att": 0}))
    assert await entries(keyed) == before + 1  # the choice itself


async def test_a_replayed_choice_writes_its_signals_once(keyed):
    headers, body = {"Idempotency-Key": "k1"}, opt_out(purposes=["marketing_mail"], signals={"lmt": 1})
    await keyed.post(PATH, json=body, headers=headers)
    before = await entries(keyed)
    assert (await keyed.post(PATH, json=body, headers=headers)).status_code == 200
    assert await entries(keyed) == before


@pytest.mark.parametrize("signals", [None, {}, [], "", 0])
async def test_a_choice_without_signals_is_a_choice(quiet, signals):
    answer = await quiet.post(PATH, json=opt_out(signals=signals))
    assert (answer.status_code, ignored(answer)) == (201, {})


async def test_nobody_opts_in_beside_a_signal(keyed):
    before = await entries(keyed)
    answer = await keyed.post(PATH, json=OPT_IN | {"signals": {"gpc": "1"}})
    assert (answer.status_code, kind(answer)) == (422, "one_purpose")
    assert await entries(keyed) == before


def told(store) -> tuple:
    """US Privacy, and the opt-outs of the section that applies."""
    said = gpp.read_gpp_string(store["IABGPP_HDR_GppString"])
    assert said.ok
    return store["IABUSPrivacy_String"], {purpose.value: word.value for purpose, word in said.choices.items()}


OUT, IN = (dict.fromkeys(("sale", "sharing", "targeted_ads"), word) for word in ("opted_out", "allowed"))


async def test_an_app_is_told_what_to_keep_for_now_and_for_when_its_person_opts_out_offline(keyed):
    body = (await keyed.post(PATH, json=opt_out(purposes=["marketing_mail"], place="US-CO"))).json()
    store, offline = body["store"], body["store_opted_out"]
    assert (told(store), told(offline)) == (("1YNN", IN), ("1YYN", OUT))
    assert (store["gad_rdp"], offline["gad_rdp"]) == (None, 1)
    assert (store["IABGPP_GppSID"], store["IABGPP_HDR_Sections"]) == ("10", "10")
    assert store["IABGPP_HDR_GppString"].endswith(store["IABGPP_10_String"])
    assert store["IABGPP_8_String"] is None  # left from another place, to be removed
    assert set(store) == set(offline)


async def test_an_app_is_told_that_its_person_is_out(keyed):
    body = (await keyed.post(PATH, json=opt_out(place="US-TX"))).json()
    assert body["store"] == body["store_opted_out"]
    assert (told(body["store"]), body["store"]["gad_rdp"]) == (("1YYN", OUT), 1)


@pytest.mark.parametrize(
    "signals", [{"gpc": "1"}, {"att": 0}, {"att": 1}, {"att": 2}, {"lmt": 1}, {"dnt": 1}, {"stored": {"gad_rdp": 1}}],
    ids=repr,
)  # fmt: skip
async def test_an_app_is_told_to_keep_what_its_signals_deny(keyed, signals):
    said = {"purposes": ["marketing_mail"], "place": "US-CA", "signals": signals}
    body = (await keyed.post(PATH, json=opt_out(**said))).json()
    assert (told(body["store"]), body["store"]["gad_rdp"]) == (("1YYN", OUT), 1)


async def test_an_app_that_keeps_what_it_was_told_says_it_again_and_is_heard(keyed):
    store = (await keyed.post(PATH, json=opt_out(place="US-CO"))).json()["store"]
    said = await check(keyed, named("gaid", gaid(9)), signals={"stored": store})
    assert (said["allowed"], said["partly"], said["reason"]) == (False, False, "device")
    without = {key: value for key, value in store.items() if key != "gad_rdp"}
    assert (await check(keyed, named("gaid", gaid(9)), signals={"stored": without}))["reason"] == "gpp"
    older = {"IABUSPrivacy_String": store["IABUSPrivacy_String"]}
    assert (await check(keyed, named("gaid", gaid(9)), signals={"stored": older}))["reason"] == "us_privacy"


async def test_outside_the_united_states_an_app_keeps_no_section(keyed):
    store = (await keyed.post(PATH, json=opt_out(purposes=["marketing_mail"], place="DE"))).json()["store"]
    assert (store["IABGPP_GppSID"], store["IABUSPrivacy_String"]) == ("-1", "1---")
    assert [key for key, value in store.items() if value is None and key.endswith("_String")]


async def test_an_app_whose_ids_are_withheld_keeps_that_everything_is_out(keyed):
    for place, section in (("US-CO", "10"), ("US-CA", "8"), (None, "7")):
        body = (await keyed.post(PATH, json=opt_out(named("gaid", ZERO), place=place))).json()
        assert body["store"] == body["store_opted_out"]
        assert (told(body["store"]), body["store"]["IABGPP_GppSID"]) == (("1YYN", OUT), section)
    abroad = (await keyed.post(PATH, json=opt_out(named("gaid", ZERO), place="DE"))).json()["store"]
    assert (abroad["IABGPP_GppSID"], abroad["IABUSPrivacy_String"], abroad["gad_rdp"]) == ("-1", "1---", 1)


async def test_an_app_is_told_what_to_keep_after_two_acts_of_opting_in(keyed):
    await keyed.post(PATH, json=opt_out(place="US-CA"))
    lifted = (await two_acts(keyed, OPT_IN)).json()
    assert told(lifted["store"])[1]["sharing"] == "opted_out"
    assert told(lifted["store"])[1]["sale"] == "allowed"
    assert told(lifted["store_opted_out"]) == ("1YYN", OUT)


async def test_what_is_listed_as_not_read_is_not_read(keyed):
    answer = await keyed.post(PATH, json=opt_out(signals={"gpc": "1"}) | {"choice": "withdraw"})
    assert (ignored(answer) == {}) is (await reason(keyed, named("gaid", GAID)) == "opted_out")


async def test_an_app_with_one_withheld_id_keeps_that_everything_is_out(keyed):
    people = (named("gaid", ZERO), named("idfv", IDFV))
    answer = await keyed.post(PATH, json=opt_out(*people, purposes=["marketing_mail"], place="US-CA"))
    assert told(answer.json()["store"]) == ("1YYN", OUT)


# --- the same again ------------------------------------------------------------------------------------------------


async def test_a_request_that_is_sent_again_with_its_key_has_the_same_events(keyed):
    headers = {"Idempotency-Key": "k1"}
    first = await keyed.post(PATH, json=opt_out(), headers=headers)
    before = await entries(keyed)
    again = await keyed.post(PATH, json=opt_out(), headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["events"] == first.json()["events"]
    assert set(again.json()["standing"].values()) == {"opted_out"}
    assert await entries(keyed) == before


@pytest.mark.parametrize("choice", ["opt_out", "limit", "withdraw"])
async def test_a_no_with_a_used_key_and_another_body_is_another_no_and_the_key_stays_the_firsts(keyed, choice):
    headers, body = {"Idempotency-Key": "k1"}, opt_out() | {"choice": choice}
    first = await keyed.post(PATH, json=body, headers=headers)
    other = await keyed.post(PATH, json=opt_out(named("idfv", IDFV)) | {"choice": choice}, headers=headers)
    again = await keyed.post(PATH, json=body, headers=headers)
    assert [each.status_code for each in (first, other, again)] == [201, 201, 200]
    assert first.json()["event"] == again.json()["event"] != other.json()["event"]


async def test_a_yes_with_a_used_key_and_another_body_is_refused_and_writes_nothing(keyed):
    await keyed.post(PATH, json=opt_out(), headers={"Idempotency-Key": "k1"})
    token = (await keyed.post(PATH, json=OPT_IN)).json()["confirm"]
    before = await entries(keyed)
    act = {"choice": "confirm", "confirm": token, "proof": PROOF, "notice": SECOND}
    answer = await keyed.post(PATH, json=act, headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, kind(answer)) == (422, "idempotency_mismatch")
    assert await entries(keyed) == before


async def test_with_an_apps_key_nobody_takes_another_phones_idempotency_key_nor_hears_of_it(keyed, folder):
    headers = await key(folder, "app", "choose", publishable=True) | {"Idempotency-Key": "k1"}
    theirs = await keyed.post(PATH, json=opt_out(named("gaid", gaid(7))), headers=headers)
    token = (await keyed.post("/v1/observe", json={"device": None, "identifiers": []}, headers=headers)).json()
    mine = opt_out(named("gaid", GAID), device=token["device"])
    first, again = [await keyed.post(PATH, json=mine, headers=headers) for _ in range(2)]
    assert [each.status_code for each in (theirs, first, again)] == [201, 201, 200]
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"
    stranger = await keyed.post(PATH, json=opt_out(named("gaid", GAID)), headers=headers)
    assert (stranger.status_code, stranger.json()["event"] == first.json()["event"]) == (201, False)


async def test_an_app_that_writes_its_body_anew_at_each_try_is_heard_each_time(keyed, folder):
    headers = await key(folder, "app", "choose", publishable=True) | {"Idempotency-Key": "k1"}
    headers |= {"Content-Type": "application/json"}
    tries = [json.dumps(opt_out(), indent=indent) for indent in (None, 1, 2)]
    answers = [await keyed.post(PATH, content=body, headers=headers) for body in [*tries, tries[0]]]
    assert [each.status_code for each in answers] == [201, 201, 201, 200]


async def test_twenty_copies_at_once_are_one_choice(keyed):
    before = await entries(keyed)
    answers = await asyncio.gather(
        *(keyed.post(PATH, json=opt_out(), headers={"Idempotency-Key": "k1"}) for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["event"] for answer in answers}) == 1
    assert await entries(keyed) == before + 1


async def test_every_request_without_a_key_is_a_request_of_its_own(keyed):
    before = await entries(keyed)
    answers = [await keyed.post(PATH, json=opt_out()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["event"] for answer in answers}) == 3
    assert await entries(keyed) == before + 3


async def test_two_callers_with_one_key_do_not_meet(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app, inside.client(app) as client:
        made = [await key(tmp_path / "data", name, "choose", publishable=True) for name in ("ios", "android")]
        answers = [
            await client.post(
                PATH, json=opt_out(named("gaid", gaid(number))), headers=headers | {"Idempotency-Key": "k1"}
            )
            for number, headers in enumerate(made)
        ]
    assert [answer.status_code for answer in answers] == [201, 201]


def without_receipts(answer):
    """A proof is as long as the log is large, whoever asks."""
    body = answer.json()
    return json.dumps(body | {"receipt": "", "events": [each | {"receipt": ""} for each in body["events"]]})


async def test_a_stranger_learns_nothing_of_a_person_s_past_from_an_answer(keyed):
    first = await keyed.post(PATH, json=opt_out(named("phone", phone(1))))
    again = await keyed.post(PATH, json=opt_out(named("phone", phone(1))))
    fresh = await keyed.post(PATH, json=opt_out(named("phone", phone(2))))
    shapes = [
        (answer.status_code, sorted(answer.json()), answer.json()["standing"], len(without_receipts(answer)))
        for answer in (first, again, fresh)
    ]
    assert shapes[0] == shapes[1] == shapes[2]
    assert first.json()["event"] not in again.text


# --- opting in -----------------------------------------------------------------------------------------------------


async def test_one_act_of_opting_in_changes_nothing(keyed):
    await keyed.post(PATH, json=opt_out())
    before = await entries(keyed)
    answer = await keyed.post(PATH, json=OPT_IN)
    assert answer.status_code == 202
    assert set(answer.json()) >= {"confirm", "expires_at"}
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"
    assert await entries(keyed) == before


async def test_two_acts_lift_one_purpose_and_leave_the_others(keyed, tmp_path):
    await keyed.post(PATH, json=opt_out())
    answer = await two_acts(keyed, OPT_IN)
    assert answer.status_code == 201
    assert answer.json()["standing"] == {"sale": "opted_in"}
    assert datetime.fromisoformat(answer.json()["may_ask_from"]["sale"]) > datetime.now(UTC) + timedelta(days=364)
    assert (await check(keyed, named("gaid", GAID)))["data"] == {"precise_geo": "deny", "ad_id": "allow"}
    assert await reason(keyed, named("gaid", GAID), recipient="advertisers") == "opted_out"
    entry = leaves(tmp_path / "data")[-1]
    assert (entry["e"], entry["p"]) == ("opt_in", ["sale"])


async def test_the_token_of_the_first_act_names_nobody(keyed):
    token = (await keyed.post(PATH, json=OPT_IN | {"identifiers": [named("email", email(1))]})).json()["confirm"]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert email(1).encode() not in raw
    assert b"sale" not in raw


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({"purposes": ["sale", "sharing"]}, 422, "one_purpose"),
        ({"purposes": ["all"]}, 422, "one_purpose"),
        ({"purposes": "all"}, 422, "one_purpose"),
        ({"purposes": []}, 422, "one_purpose"),
        ({"purposes": ["sale", "nonsense"]}, 422, "one_purpose"),
        ({"identifiers": []}, 422, "one_purpose"),
        ({"identifiers": [named("gaid", GAID), named("gaid", ZERO)]}, 422, "one_purpose"),
        ({"misspelt": 1}, 422, "one_purpose"),
        ({"notice": None}, 422, "notice_required"),
        ({"notice": {}}, 422, "notice_required"),
        ({"notice": {"sha256": "00" * 32}}, 422, "notice_required"),
        ({"proof": None}, 403, "proof_required"),
        ({"proof": {}}, 403, "proof_required"),
        ({"proof": {"kind": "account", "assertion": "DEV"}}, 403, "proof_required"),
        ({"proof": {"kind": "desk", "note": ""}}, 403, "proof_required"),
        ({"proof": "dev"}, 403, "proof_required"),
        ({"made_at": "2020-01-01T00:00:00Z"}, 422, "superseded"),
        ({"recipient": "nobody", "data": ["precise_geo"]}, 400, "malformed"),
        ({"recipient": "advertisers", "data": ["precise_geo"]}, 400, "malformed"),
        ({"recipient": "teemo"}, 400, "malformed"),
        ({"recipient": "teemo", "data": ["ad_id"]}, 400, "malformed"),
        ({"recipient": "teemo", "data": ["precise_geo", "ad_id"]}, 400, "malformed"),
        ({"data": ["precise_geo"]}, 400, "malformed"),
    ],
)
async def test_an_opt_in_that_a_person_may_not_have_meant_is_refused(quiet, change, status, problem):
    answer = await quiet.post(PATH, json=OPT_IN | change)
    assert (answer.status_code, kind(answer)) == (status, problem)


async def test_an_opt_in_that_waited_in_a_queue_is_refused(keyed):
    late = (datetime.now(UTC) - timedelta(minutes=11)).isoformat()
    assert kind(await keyed.post(PATH, json=OPT_IN | {"made_at": late})) == "superseded"
    fresh = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    assert (await keyed.post(PATH, json=OPT_IN | {"made_at": fresh})).status_code == 202


@pytest.mark.parametrize(
    ("second", "status", "problem"),
    [
        ({"proof": None}, 403, "proof_required"),
        ({"notice": None}, 422, "notice_required"),
        ({"notice": {"sha256": "00" * 32}}, 422, "notice_required"),
        ({"confirm": None}, 400, "malformed"),
        ({"confirm": "forged"}, 422, "confirm_unknown"),
        ({"confirm": "é"}, 422, "confirm_unknown"),
        ({"confirm": ""}, 422, "confirm_unknown"),
    ],
)
async def test_a_second_act_without_its_own_proof_and_notice_lifts_nothing(keyed, second, status, problem):
    await keyed.post(PATH, json=opt_out())
    answer = await two_acts(keyed, OPT_IN, **second)
    assert (answer.status_code, kind(answer)) == (status, problem)
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"


async def test_a_second_act_is_good_for_one_opt_in(keyed):
    await keyed.post(PATH, json=opt_out())
    token = (await keyed.post(PATH, json=OPT_IN)).json()["confirm"]
    act = {"choice": "confirm", "confirm": token, "proof": PROOF, "notice": SECOND}
    assert (await keyed.post(PATH, json=act)).status_code == 201
    again = await keyed.post(PATH, json=act)
    assert (again.status_code, kind(again)) == (422, "confirm_used")
    await keyed.post(PATH, json=opt_out())
    assert kind(await keyed.post(PATH, json=act)) == "confirm_used"
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"


async def test_a_second_act_that_is_sent_again_with_its_key_is_the_same_act(keyed):
    token = (await keyed.post(PATH, json=OPT_IN)).json()["confirm"]
    act = {"choice": "confirm", "confirm": token, "proof": PROOF, "notice": SECOND}
    first, again = [await keyed.post(PATH, json=act, headers={"Idempotency-Key": "c1"}) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["events"] == again.json()["events"]


async def test_an_opt_out_between_the_two_acts_wins(keyed):
    token = (await keyed.post(PATH, json=OPT_IN)).json()["confirm"]
    await keyed.post(PATH, json=opt_out())
    act = {"choice": "confirm", "confirm": token, "proof": PROOF, "notice": SECOND}
    answer = await keyed.post(PATH, json=act)
    assert (answer.status_code, kind(answer)) == (422, "superseded")
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"


async def test_a_second_act_comes_within_fifteen_minutes(tmp_path):
    at = [datetime.now(UTC)]
    built = inside.application(tmp_path / "data", clock=lambda: at[0])
    async with built as app, inside.client(app, **inside.DEV) as client:
        early, late = [(await client.post(PATH, json=OPT_IN)).json()["confirm"] for _ in range(2)]
        at[0] += timedelta(minutes=14)
        act = {"choice": "confirm", "proof": PROOF, "notice": SECOND}
        assert (await client.post(PATH, json=act | {"confirm": early})).status_code == 201
        at[0] += timedelta(minutes=2)
        assert kind(await client.post(PATH, json=act | {"confirm": late})) == "confirm_expired"


async def test_a_confirmed_opt_in_for_one_recipient_opens_a_precise_point_for_it_alone(keyed):
    assert (await two_acts(keyed, GRANT)).status_code == 201
    assert (await check(keyed, named("gaid", GAID)))["data"] == {"precise_geo": "allow", "ad_id": "allow"}
    assert (await check(keyed, named("gaid", gaid(7))))["data"]["precise_geo"] == "coarsen"


async def test_a_production_gateway_believes_no_development_proof(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app:
        headers = await key(tmp_path / "data", "backend", "choose", "desk")
        async with inside.client(app, **headers) as client:
            assert kind(await client.post(PATH, json=OPT_IN)) == "proof_required"
            assert (await client.post(PATH, json=opt_out())).status_code == 201


# --- who may say it ------------------------------------------------------------------------------------------------


async def test_an_app_in_the_field_still_opts_its_person_out_after_its_key_was_revoked(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app:
        headers = await key(tmp_path / "data", "app", "choose", publishable=True)
        await asyncio.to_thread(api_keys.revoke, tmp_path / "data", "app")
        async with inside.client(app, **headers) as client:
            for choice in ("opt_out", "limit", "withdraw"):
                assert (await client.post(PATH, json=opt_out() | {"choice": choice})).status_code == 201
            for body in (OPT_IN, {"choice": "confirm"}):
                assert (await client.post(PATH, json=body)).status_code == 401, body["choice"]
            assert (await client.post("/v1/check", json={})).status_code == 401


async def test_a_revoked_secret_key_says_nothing_more(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app:
        headers = await key(tmp_path / "data", "backend", "choose", "desk")
        await asyncio.to_thread(api_keys.revoke, tmp_path / "data", "backend")
        async with inside.client(app, **headers) as client:
            assert (await client.post(PATH, json=opt_out())).status_code == 401


async def test_a_caller_needs_a_key_and_the_scope(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app:
        headers = await key(tmp_path / "data", "ads", "check")
        async with inside.client(app) as client:
            assert kind(await client.post(PATH, json=opt_out())) == "unauthorized"
            assert kind(await client.post(PATH, json=opt_out(), headers=headers)) == "forbidden"
            assert (
                kind(await client.post(PATH, json=opt_out(), headers={"Authorization": "Bearer dev.dev"}))
                == "unauthorized"
            )


async def test_an_app_cannot_say_how_and_when_a_letter_came(tmp_path):
    async with inside.application(tmp_path / "data", dev=False) as app:
        headers = await key(tmp_path / "data", "app", "choose", publishable=True)
        async with inside.client(app, **headers) as client:
            answer = await client.post(PATH, json=opt_out(manner="letter", received_at="2026-01-01T00:00:00Z"))
            assert answer.status_code == 201
            assert ignored(answer) == {"/manner": "wants scope desk", "/received_at": "wants scope desk"}
            refused, _ = await lines(client, opt_out())
            assert refused.status_code == 403
    assert "m" not in leaves(tmp_path / "data")[-1]


async def test_the_desk_enters_a_letter_with_the_day_it_came(keyed, tmp_path):
    answer = await keyed.post(PATH, json=opt_out(manner="letter", source="letter", received_at="2026-11-02T00:00:00Z"))
    assert (answer.status_code, ignored(answer)) == (201, {})
    entry = leaves(tmp_path / "data")[-1]
    assert (entry["m"], entry["src"]) == ("letter", "letter")
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        (received,) = db.execute("SELECT received FROM detail ORDER BY seq DESC").fetchone()
    assert datetime.fromtimestamp(received / 1000, UTC) == datetime(2026, 11, 2, tzinfo=UTC)


async def test_a_letter_from_the_future_is_taken_without_its_day(keyed):
    answer = await keyed.post(PATH, json=opt_out(manner="letter", received_at="2999-01-01T00:00:00Z"))
    assert answer.status_code == 201
    assert ignored(answer) == {"/received_at": "in the future"}


# --- imports -------------------------------------------------------------------------------------------------------


async def test_an_import_opts_every_line_out_and_a_bad_line_costs_only_itself(keyed):
    rows = [opt_out(named("gaid", gaid(number)), source="import") for number in range(3)]
    answer, told = await lines(
        keyed, rows[0], b"not json", rows[1], OPT_IN, opt_out() | {"identifiers": []}, b"7", rows[2]
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [line.get("problem") for line in told[:-1]] == [
        None,
        "malformed",
        None,
        "malformed",
        "nothing_usable",
        "malformed",
        None,
    ]
    assert told[-1] == {"end": True, "count": 7, "refused": 4}
    for number in range(3):
        assert await reason(keyed, named("gaid", gaid(number))) == "opted_out"


async def test_an_import_that_is_sent_again_with_its_key_is_one_import(keyed):
    rows = [opt_out(named("gaid", gaid(number)), source="import") for number in range(3)]
    _, first = await lines(keyed, *rows, **{"Idempotency-Key": "night-1"})
    before = await entries(keyed)
    _, again = await lines(keyed, *rows, **{"Idempotency-Key": "night-1"})
    assert [line["event"] for line in first[:-1]] == [line["event"] for line in again[:-1]]
    assert await entries(keyed) == before


async def test_an_import_of_too_many_lines_is_refused_whole(keyed):
    before = await entries(keyed)
    answer, _ = await lines(keyed, *[b"{}"] * 10_001)
    assert (answer.status_code, kind(answer)) == (413, "too_large")
    assert await entries(keyed) == before


async def test_a_choice_that_cannot_be_kept_anywhere_is_refused_and_asked_for_again(keyed, tmp_path, no_emergency):
    ledger = tmp_path / "data" / "ledger.sqlite3"
    ledger.rename(ledger.with_suffix(".away"))
    headers = {"Idempotency-Key": "k1"}
    try:
        answer = await keyed.post(PATH, json=opt_out(), headers=headers)
    finally:
        ledger.with_suffix(".away").rename(ledger)
    assert (answer.status_code, kind(answer), answer.headers["retry-after"]) == (503, "store_unavailable", "1")
    again = await keyed.post(PATH, json=opt_out(), headers=headers)
    assert again.status_code == 201


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"place": "Narnia"}, "/place"),
        ({"place": {"country": "US"}}, "/place"),
        ({"notice": "settings-3"}, "/notice"),
        ({"notice": {"language": "en"}}, "/notice"),
        ({"purposes": 5}, "/purposes"),
        ({"proof": "eyJ"}, "/proof"),
        ({"proof": {"kind": "acount", "assertion": "eyJ"}}, "/proof"),
    ],
)
async def test_an_opt_out_is_taken_and_tells_of_each_member_that_could_not_be_read(keyed, more, pointer):
    body = {"identifiers": [named("gaid", GAID)], "choice": "opt_out"} | more
    answer = await keyed.post("/v1/choices", json=body)
    assert answer.status_code == 201
    assert [each["pointer"] for each in answer.json()["ignored"]] == [pointer]
    assert set(answer.json()["standing"].values()) == {"opted_out"}


async def test_a_choice_of_nobody_tells_what_is_wrong_with_each_identifier(keyed):
    listed = [{"type": "loyalty", "value": GAID}, {"type": "email", "value": "nobody"}, 5]
    answer = await keyed.post("/v1/choices", json={"identifiers": listed, "choice": "opt_out"})
    assert answer.status_code == 422
    first, *others = answer.json()["errors"]
    assert first["pointer"] == "/identifiers"
    assert [(each["pointer"], each["detail"]) for each in others] == [
        ("/identifiers/0", "undeclared"),
        ("/identifiers/1", "malformed"),
        ("/identifiers/2", "malformed"),
    ]
    assert "nobody" not in answer.text
