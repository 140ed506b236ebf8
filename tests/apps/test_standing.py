"""`POST /v1/standing`, what an app keeps on its phone, and what it may do with the SDKs inside it (R8, I22, R4)."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.people import GAID, ZERO, email, gaid, named, phone
from support.phones import Phone, idfv, ignored, kind, standing

from gateway.choice.downstream import opted_out
from gateway.terms import ALL_PURPOSES, CHOOSABLE
from gateway.web.shell import page

pytestmark = pytest.mark.anyio
PATH = "/v1/standing"
OLD, NEW, ACCOUNT, IDFV = named("gaid", gaid(1)), named("gaid", gaid(2)), named("account", "a1"), named("idfv", idfv(1))
NOTHING = {purpose.value: "none" for purpose in CHOOSABLE}
SHOWN, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))


async def web_opt_out(place):
    await place.desk.post("/v1/choices", json={"identifiers": [ACCOUNT], "choice": "opt_out"})


# --- what the caller proves ----------------------------------------------------------------------------------------


async def test_a_phone_that_never_chose_may_be_asked(place):
    mine = place.phone(OLD)
    await mine.observes()
    answer = await mine.post(PATH)
    assert answer.status_code == 200
    assert (mine.last["standing"], mine.last["may_ask_from"]) == (NOTHING, dict.fromkeys(NOTHING))
    assert mine.last["device"]


async def test_a_phone_that_opted_out_is_not_asked_for_twelve_months(place):
    mine = place.phone(OLD)
    await mine.observes()
    await mine.chooses(purposes=["sale"])
    await mine.post(PATH)
    assert (mine.last["standing"]["sale"], mine.last["standing"]["profiling"]) == ("opted_out", "none")
    assert datetime.fromisoformat(mine.last["may_ask_from"]["sale"]) > datetime.now(UTC) + timedelta(days=364)
    assert mine.last["may_ask_from"]["profiling"] is None


async def test_the_year_goes_on_after_opting_in_again(place):
    mine = place.phone(OLD)
    await mine.observes()
    await mine.chooses(purposes=["profiling"])
    proof = {"kind": "device", "token": mine.token}
    asked = await mine.chooses("opt_in", purposes=["profiling"], proof=proof, notice=SHOWN)
    done = {"choice": "confirm", "confirm": asked.json()["confirm"], "proof": proof, "notice": SECOND}
    assert (await place.in_app.post("/v1/choices", json=done)).status_code == 201
    await mine.post(PATH)
    assert mine.last["standing"]["profiling"] == "opted_in"
    assert datetime.fromisoformat(mine.last["may_ask_from"]["profiling"]) > datetime.now(UTC) + timedelta(days=364)


async def test_an_assertion_shows_the_accounts_standing(place):
    await web_opt_out(place)
    mine = place.phone(OLD)
    await mine.post(PATH, proof=place.backend.proof())
    assert mine.last["standing"]["sale"] == "opted_out"
    await mine.post(PATH, proof=place.backend.proof("a2"))
    assert mine.last["standing"] == NOTHING


async def test_a_no_that_came_from_afar_keeps_its_day_and_is_not_asked_about(place):
    """R12: the phone's holder need not be the account's. The day in the answer is today's, whenever the no was said."""
    clock = [datetime(2026, 11, 24, 12, tzinfo=UTC)]
    async with standing(place.folder.parent / "other", clock=lambda: clock[0]) as later:
        mine = later.phone(OLD)
        await mine.observes()
        await later.links("a1", OLD)
        await web_opt_out(later)
        clock[0] += timedelta(days=100)
        await mine.post(PATH)
        asked = datetime.fromisoformat(mine.last["may_ask_from"]["sale"])
        assert asked == clock[0].replace(year=clock[0].year + 1)  # 366 days


BY_NOTHING = {
    "a digest": named("ad_id_sha256", hashlib.sha256(gaid(1).encode()).hexdigest()),
    "an eid": named("eid", "e-1-of-a-partner") | {"source": "partner.example"},
    "a cookie": named("cookie", "c-1-of-a-site") | {"source": "uid"},
    "an ad id": OLD,
}


@pytest.mark.parametrize("theirs", BY_NOTHING.values(), ids=BY_NOTHING)
async def test_of_an_id_that_nothing_shows_a_stranger_learns_neither_the_day_nor_what_else_was_said(place, theirs):
    """R6. What an app without accounts has to know of it, whether its SDKs may start, it is told."""
    clock = [datetime(2026, 11, 24, 12, tzinfo=UTC)]
    async with standing(place.folder.parent / "other", clock=lambda: clock[0]) as later:
        for purpose in ("sale", "marketing_email", "cpni_marketing"):
            body = {"identifiers": [theirs], "choice": "opt_out", "purposes": [purpose]}
            assert (await later.desk.post("/v1/choices", json=body)).status_code == 201
        clock[0] += timedelta(days=100)
        strangers = later.phone(theirs)
        await strangers.observes()
        await strangers.post(PATH)
        assert strangers.last["standing"] == NOTHING | dict.fromkeys(("sale", "sharing", "targeted_ads"), "opted_out")
        assert {strangers.last["may_ask_from"][each] for each in ("marketing_email", "cpni_marketing")} == {None}
        assert datetime.fromisoformat(strangers.last["may_ask_from"]["sale"]) == clock[0].replace(
            year=clock[0].year + 1
        )
        assert {each["where"] for each in strangers.last["still_out"]} == {"linked"}


@pytest.mark.parametrize("proof", [None, {}, [], "dev", {"kind": ["account"]}, {"kind": {}}, [{"kind": ["device"]}], {"kind": "device", "token": "rubbish"}, {"kind": "account"},
                                   {"kind": "desk", "note": "seen"}, {"kind": "code", "code": "1", "ticket": "t"}], ids=repr)  # fmt: skip
async def test_whoever_proves_nothing_is_shown_nothing(place, proof):
    await place.desk.post("/v1/choices", json={"identifiers": [OLD], "choice": "opt_out"})
    answer = await place.in_app.post(PATH, json={"identifiers": [OLD], "proof": proof})
    assert (answer.status_code, kind(answer)) == (403, "proof_required")
    assert "opted_out" not in answer.text


async def test_what_is_named_and_not_proved_shows_what_holds_for_who_said_no(place):
    others = [named("gaid", gaid(9)), named("phone", phone(1)), named("email", email(1)), named("account", "a9")]
    await place.desk.post("/v1/choices", json={"identifiers": [others[0]], "choice": "opt_out"})
    mine = place.phone(*others)
    await mine.observes()
    answer = await mine.post(PATH)
    assert mine.last["standing"] == NOTHING | dict.fromkeys(ALL_PURPOSES, "opted_out")
    assert {name for name, day in mine.last["may_ask_from"].items() if day} == set(ALL_PURPOSES)
    assert ignored(answer) == {"/identifiers": "not all of them are proved"}
    assert mine.last["sdks"] == {"teemo": "stop"}


async def test_the_desk_sees_whom_it_looks_at(place):
    await web_opt_out(place)
    answer = (await place.desk.post(PATH, json={"identifiers": [ACCOUNT]})).json()
    assert answer["standing"]["sale"] == "opted_out"
    assert "device" not in answer


@pytest.mark.parametrize(("body", "status"), [(b"", 400), (b"[]", 400), (b"7", 400), (b"{}", 403), (b"\xff", 400)])
async def test_a_body_that_asks_nothing_is_refused(place, body, status):
    answer = await place.in_app.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status


async def test_it_wants_a_key_and_its_scope(place):
    assert (await place.ads.post(PATH, json={})).status_code == 403
    async with inside.client(place.app) as stranger:
        assert (await stranger.post(PATH, json={})).status_code == 401


async def test_members_that_nobody_knows_are_listed(place):
    answer = await place.desk.post(PATH, json={"identifiers": [OLD], "age": "old", "signals": {}, "who": 1})
    assert ignored(answer) == {"/age": "neither years nor a band", "/signals": "unknown", "/who": "unknown"}


async def test_while_the_ledger_is_away_nobody_is_told_that_they_may_be_asked(place):
    mine = place.phone(OLD)
    await mine.observes()
    ledger = place.folder / "ledger.sqlite3"
    ledger.rename(ledger.with_suffix(".away"))
    try:
        answer = await mine.post(PATH)
    finally:
        ledger.with_suffix(".away").rename(ledger)
    assert (answer.status_code, kind(answer)) == (503, "store_unavailable")


# --- what each SDK may do ------------------------------------------------------------------------------------------


@pytest.fixture
async def many(tmp_path):
    async with standing(tmp_path, apps__sdks="teemo,advertisers,payments") as made:
        yield made


async def test_each_sdk_is_told_what_its_recipient_may(many):
    mine = many.phone(OLD)
    await mine.observes()
    assert mine.last["sdks"] == {"teemo": "limited", "advertisers": "start", "payments": "start"}
    await mine.chooses()
    assert mine.last["sdks"] == {"teemo": "stop", "advertisers": "stop", "payments": "start"}


@pytest.mark.parametrize("signals", [{"att": 0}, {"att": 1}, {"att": 2}, {"lmt": 1}, {"gpc": "1"}, {"us_privacy": "1YYN"},
                                     {"gpp": "rubbish"}, {"lmt": "maybe"}], ids=repr)  # fmt: skip
async def test_a_phone_that_says_no_or_nothing_that_can_be_read_starts_nothing(many, signals):
    mine = many.phone(OLD)
    await mine.observes(signals=signals)
    assert (mine.last["sdks"]["teemo"], mine.last["sdks"]["advertisers"]) == ("stop", "stop")


@pytest.mark.parametrize(
    "members",
    [{"place": "DE"}, {"place": None}, {"place": "US"}, {"place": 7}, {"age": "under_13"}, {"age": 14},
     {"identifiers": [named("gaid", ZERO)]}, {"identifiers": [named("gaid", "rubbish")]},
     {"identifiers": [named("id:unheard", "7")]}],
    ids=repr,
)  # fmt: skip
async def test_where_silence_is_no_yes_nothing_starts(many, members):
    mine = many.phone(OLD)
    await mine.observes(**members)
    assert (mine.last["sdks"]["teemo"], mine.last["sdks"]["advertisers"]) == ("stop", "stop")


@pytest.mark.parametrize(
    "beside",
    [{"type": "GAID", "value": gaid(1)}, {"type": "IDFA", "value": gaid(1)}, named("gaid", f"{gaid(1)};{gaid(2)}")],
    ids=repr,
)
async def test_beside_an_id_that_is_spelled_otherwise_and_read_all_the_same_nothing_starts(many, beside):
    mine = many.phone(OLD)
    await mine.observes(identifiers=[IDFV, beside])
    assert set(mine.last["sdks"].values()) == {"stop"}


async def test_without_a_contract_nothing_starts(tmp_path):
    async with standing(tmp_path, dev=False) as real:
        mine = real.phone(OLD)
        await mine.observes()
        assert mine.last["sdks"] == {"teemo": "stop"}


async def test_a_server_is_told_too(many):
    body = {"identifiers": [OLD], "choice": "opt_out", "place": "US-CA"}
    answer = (await many.server.post("/v1/choices", json=body)).json()
    assert answer["sdks"] == {"teemo": "stop", "advertisers": "stop", "payments": "start"}
    limited = (await many.server.post("/v1/choices", json=body | {"identifiers": [named("gaid", ZERO)]})).json()
    assert limited["sdks"]["teemo"] == "stop"


async def test_while_the_ledger_is_away_nothing_starts(many):
    ledger = many.folder / "ledger.sqlite3"
    ledger.rename(ledger.with_suffix(".away"))
    try:
        answer = await many.phone(OLD).observes(signals={"gpc": "1"})
    finally:
        ledger.with_suffix(".away").rename(ledger)
    assert (answer.status_code, set(answer.json()["sdks"].values())) == (202, {"stop"})


# --- what an app keeps ---------------------------------------------------------------------------------------------


async def test_before_the_first_answer_an_app_goes_by_the_constants_of_the_description(client):
    described = (await client.get("/openapi.json")).json()["x-until-first-answer"]
    assert described == {"store": opted_out().for_store(), "sdks": "stop", "device": None}
    assert (described["store"]["IABUSPrivacy_String"], described["store"]["gad_rdp"]) == ("1YYN", 1)


def types(store):
    return {name: type(value) for name, value in store.items() if value is not None}


async def test_every_key_is_a_text_a_number_or_to_be_removed(place):
    mine = place.phone(OLD)
    await mine.observes()
    open_, shut = mine.last["store"], mine.last["store_opted_out"]
    assert set(open_) == set(shut)
    for store in (open_, shut):
        assert {type(value) for value in store.values()} <= {str, int, type(None)}
    assert types(shut)["gad_rdp"] is int
    assert types(shut)["IABGPP_GppSID"] is str
    assert open_["gad_rdp"] is None
    changed = {name for name in open_ if open_[name] != shut[name]}
    assert {"IABUSPrivacy_String", "gad_rdp", "IABGPP_HDR_GppString"} <= changed


# --- made_at -------------------------------------------------------------------------------------------------------


def ago(**span):
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


@pytest.mark.parametrize(
    "made",
    [ago(days=29), ago(days=4000), ago(days=-400), "1970-01-01T00:00:00Z"],
    ids=["a month", "eleven years", "of next year", "of 1970"],
)
async def test_an_opt_out_of_any_age_is_taken(place, made):
    answer = await place.phone(OLD).chooses(made_at=made)
    assert (answer.status_code, ignored(answer)) == (201, {})
    assert await place.reason(OLD) == "opted_out"


async def test_an_opt_in_that_waited_in_a_phone_never_opens(place):
    """I22: a yes of Monday, replayed on Wednesday after Tuesday's no on the web."""
    mine = place.phone(OLD)
    await mine.observes()
    await mine.chooses()
    proof = {"kind": "device", "token": mine.token}
    for made in (ago(days=2), ago(minutes=11)):
        refused = await mine.chooses("opt_in", purposes=["sale"], proof=proof, notice=SHOWN, made_at=made)
        assert (refused.status_code, kind(refused)) == (422, "superseded")
    token = (await mine.chooses("opt_in", purposes=["sale"], proof=proof, notice=SHOWN)).json()["confirm"]
    await mine.chooses(made_at=ago(days=3))
    done = {"choice": "confirm", "confirm": token, "proof": proof, "notice": SECOND}
    assert kind(await place.in_app.post("/v1/choices", json=done)) == "superseded"
    assert await place.reason(OLD) == "opted_out"


async def test_a_yes_that_was_meant_before_the_last_no_is_none(place):
    mine = place.phone(OLD)
    await mine.observes()
    await mine.chooses(purposes=["profiling"])
    proof = {"kind": "device", "token": mine.token}
    asks = {"purposes": ["profiling"], "proof": proof, "notice": SHOWN}
    before = await mine.chooses("opt_in", made_at=ago(minutes=5), **asks)
    assert (before.status_code, kind(before)) == (422, "superseded")
    other = await mine.chooses("opt_in", made_at=ago(minutes=5), **asks | {"purposes": ["marketing_email"]})
    assert other.status_code == 202
    token = (await mine.chooses("opt_in", made_at=ago(seconds=0), **asks)).json()["confirm"]
    done = {"choice": "confirm", "confirm": token, "proof": proof, "notice": SECOND}
    for queued in (11, 5):  # minutes: the second of them is no older than an act may be, but than the no
        late = await place.in_app.post("/v1/choices", json=done | {"made_at": ago(minutes=queued)})
        assert (late.status_code, kind(late)) == (422, "superseded")
    assert (await place.in_app.post("/v1/choices", json=done | {"made_at": ago(seconds=0)})).status_code == 201


async def test_a_phones_yes_opens_nothing_where_its_account_says_no_and_does_not_tell_it(place):
    mine = place.phone(OLD)
    await mine.observes()
    await place.links("a1", OLD)
    answers = []
    for say in (None, web_opt_out):
        if say:
            await say(place)
        proof = {"kind": "device", "token": mine.token}
        asked = await mine.chooses("opt_in", purposes=["sale"], proof=proof, notice=SHOWN, made_at=ago(minutes=5))
        done = {"choice": "confirm", "confirm": asked.json()["confirm"], "proof": proof, "notice": SECOND}
        answers.append(await place.in_app.post("/v1/choices", json=done))
    assert [(each.status_code, each.json()["standing"]) for each in answers] == [(201, {"sale": "opted_out"})] * 2
    assert await place.reason(OLD, named("device", mine.token)) == "opted_out"


# --- a parent ------------------------------------------------------------------------------------------------------


async def test_a_parents_yes_is_the_parents_in_both_acts_and_keeps_its_method(place):
    body = {"identifiers": [ACCOUNT], "choice": "opt_in", "purposes": ["sale"], "notice": SHOWN, "age": 12}
    parent = {"kind": "parent", "method": "signed form, seen"}
    asked = (await place.desk.post("/v1/choices", json=body | {"proof": parent})).json()["confirm"]
    act = {"choice": "confirm", "confirm": asked, "notice": SECOND}
    child = await place.desk.post("/v1/choices", json=act | {"proof": {"kind": "desk", "note": "the child called"}})
    assert (child.status_code, kind(child)) == (403, "proof_required")
    done = await place.desk.post("/v1/choices", json=act | {"proof": parent})
    assert (done.status_code, done.json()["standing"]) == (201, {"sale": "opted_in"})
    report = await place.desk.post("/v1/access", json={"identifiers": [ACCOUNT]})
    details = report.json()["entries"][-1]["details"]
    assert (details["parental"], details["method"]) == (True, "signed form, seen")


async def is_of_age(place, age):
    body = {"account": "a1", "identifiers": [OLD], "age": age}
    assert (await place.desk.post("/v1/links", json=body)).status_code == 201


BESIDE = {  # what a child has by itself, and puts the word "parent" beside
    "an account's assertion": (ACCOUNT, lambda place: [place.backend.proof()]),
    "a phone's attestation": (OLD, lambda place: [place.backend.attests(OLD)]),
    "an account's assertion for its phone": (OLD, lambda place: [place.backend.proof()]),
}


@pytest.mark.parametrize("first", [True, False], ids=["parent first", "parent last"])
@pytest.mark.parametrize("whose", BESIDE)
async def test_the_word_parent_beside_what_a_child_proves_makes_no_parent(place, whose, first):
    """Of what is stated counts what could be verified (16 CFR 312.5): an app's key vouches for nobody."""
    me, proves = BESIDE[whose]
    word = {"kind": "parent", "method": "tapped"}

    def proof():
        return [word, *proves(place)] if first else [*proves(place), word]

    await is_of_age(place, 12)
    body = {"identifiers": [me], "choice": "opt_in", "purposes": ["sale"], "notice": SHOWN}
    act = {"choice": "confirm", "notice": SECOND}
    asked = (await place.in_app.post("/v1/choices", json=body | {"proof": proof()})).json()["confirm"]
    done = await place.in_app.post("/v1/choices", json=act | {"confirm": asked, "proof": proof()})
    assert (done.status_code, kind(done)) == (422, "too_young")
    begun = body | {"proof": {"kind": "parent", "method": "signed form, seen"}}
    asked = (await place.desk.post("/v1/choices", json=begun)).json()["confirm"]
    done = await place.in_app.post("/v1/choices", json=act | {"confirm": asked, "proof": proof()})
    assert (done.status_code, kind(done)) == (403, "proof_required")
    assert await place.reason(me) == "opt_in_required"


async def test_the_word_parent_beside_a_persons_own_proof_stands_in_no_entry(place):
    proof = [{"kind": "parent", "method": "tapped"}, place.backend.proof()]
    body = {"identifiers": [ACCOUNT], "choice": "opt_in", "purposes": ["sale"], "notice": SHOWN, "proof": proof}
    asked = (await place.in_app.post("/v1/choices", json=body)).json()["confirm"]
    act = {"choice": "confirm", "notice": SECOND, "confirm": asked, "proof": [proof[0], place.backend.proof()]}
    assert (await place.in_app.post("/v1/choices", json=act)).status_code == 201
    report = await place.desk.post("/v1/access", json={"identifiers": [ACCOUNT]})
    assert {"parental", "method"}.isdisjoint(report.json()["entries"][-1]["details"])


async def test_a_parents_yes_is_over_at_thirteen_and_every_door_says_so(place):
    """R14, L71: until the person says yes themselves."""
    await is_of_age(place, 12)
    act = {"proof": {"kind": "parent", "method": "signed form, seen"}}
    body = {"identifiers": [ACCOUNT], "choice": "opt_in", "purposes": ["sale"], "notice": SHOWN}
    asked = (await place.desk.post("/v1/choices", json=body | act)).json()["confirm"]
    done = {"choice": "confirm", "confirm": asked, "notice": SECOND}
    assert (await place.desk.post("/v1/choices", json=done | act)).json()["standing"] == {"sale": "opted_in"}

    async def told():
        standing = (await place.desk.post(PATH, json={"identifiers": [ACCOUNT]})).json()["standing"]["sale"]
        report = (await place.desk.post("/v1/access", json={"identifiers": [ACCOUNT]})).json()["standing"]
        return await place.reason(ACCOUNT), standing, report[0]["purposes"]["sale"]

    assert await told() == ("opted_in", "opted_in", "opted_in")
    for age in (13, 30):
        await is_of_age(place, age)
        assert await told() == ("opt_in_required", "none", "none")
    asked = (await place.in_app.post("/v1/choices", json=body | {"proof": place.backend.proof()})).json()["confirm"]
    done = {"choice": "confirm", "confirm": asked, "notice": SECOND, "proof": place.backend.proof()}
    assert (await place.in_app.post("/v1/choices", json=done)).status_code == 201
    assert await told() == ("opted_in", "opted_in", "opted_in")


async def test_an_app_does_not_speak_for_a_parent(place):
    mine = place.phone(OLD)
    await mine.observes()
    parent = {"kind": "parent", "method": "tapped"}
    refused = await mine.chooses("opt_in", purposes=["sale"], proof=parent, notice=SHOWN)
    assert kind(refused) == "proof_required"


# --- the site inside the app ---------------------------------------------------------------------------------------


async def test_whoever_opted_out_in_the_app_is_out_in_its_web_view_from_the_first_page(place):
    """I28: the backend asks for a cookie, the app puts it into the web view before the first load."""
    mine = place.phone(OLD)
    await mine.chooses(proof=place.backend.proof())
    new = {**named("browser", "new"), "host": "www.example.com"}
    body = {"identifiers": [ACCOUNT, new], "signals": {}, "place": "US-CA"}
    made = (await place.server.post("/v1/observe", json=body)).json()["cookie"]
    async with inside.client(place.app) as view:
        cookie = {"Cookie": f"{made['name']}={made['value']}"}
        assert (await view.get("/privacy-choices/status", headers=cookie)).json()["status"] == "opted_out"
        assert (await view.get("/privacy-choices/status")).json()["status"] == "not_opted_out"  # control


async def test_an_app_key_makes_no_browser(place):
    new = {**named("browser", "new"), "host": "www.example.com"}
    answer = await place.phone(new).observes()
    assert "cookie" not in answer.json()


# --- the same record, however it is said ---------------------------------------------------------------------------


async def test_a_choice_in_the_app_is_one_request_with_its_own_receipt_each_time(place):
    mine, seen = place.phone(OLD), set()
    for number in range(3):
        answer = await mine.chooses(headers={"Idempotency-Key": f"act-{number}"})
        assert answer.status_code == 201
        seen.add(answer.json()["event"])
        assert answer.json()["receipt"].startswith("c2sp.org/tlog-proof")
    assert len(seen) == 3
    again = await mine.calling.post("/v1/choices", json=mine.body(choice="opt_out"))
    assert again.json()["event"] not in seen


async def test_many_phones_at_once_keep_apart(place):
    phones = [Phone(place.in_app, named("gaid", gaid(number))) for number in range(40, 60)]
    await asyncio.gather(*(each.observes() for each in phones))
    await asyncio.gather(*(each.chooses() for each in phones[::2]))
    await asyncio.gather(*(each.post(PATH) for each in phones))
    assert [each.last["standing"]["sale"] for each in phones] == ["opted_out", "none"] * 10
    assert GAID not in json.dumps([each.last for each in phones])
