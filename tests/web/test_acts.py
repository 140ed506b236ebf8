"""Choices towards one recipient, and how an opt-in is given: one act, a screen, a parent, in sight of a signal, an
age."""

import asyncio
import contextlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from anyio import to_thread
from support import inside
from support.people import GAID, email, named, phone

from gateway.app.composition import migrate, open_house
from gateway.consent.share import Shared, Sharing
from gateway.desk.documents import DESPITE_SIGNAL, NOTICE, SCREEN, Document
from gateway.ledger import schema

pytestmark = pytest.mark.anyio
ME, NUMBER, ACCOUNT = named("gaid", GAID), named("phone", phone(1)), named("account", "jane")
PROOF, PARENT = {"kind": "account", "assertion": "dev"}, {"kind": "parent", "method": "dev"}
CONFIG = """
[recipients.import]
role = "consumer_directed"
purposes = ["service"]
data = ["contact", "ad_id", "precise_geo"]
fields = { ad_id = { class = "ad_id", kind = "gaid" }, lat = "precise_geo", lon = "precise_geo" }
mode = "return"
unlinked = "allow"

[recipients.rewards]
role = "third_party"
purposes = ["sale", "sharing"]
data = ["ad_id"]
programme = "miles"
"""
AGELESS = CONFIG + "\n[age]\nfloor = 0\n"
SHOWN = Document(NOTICE, "2", "en", b"What selling means.")
SECOND = Document(NOTICE, "3", "en", b"Do you really want that?")
DESPITE = Document(
    DESPITE_SIGNAL, "4", "en", b"Your browser says no. If you say yes here, your account is sold all the same."
)
COPY = Document(SCREEN, "settings-3", "en", b"[Yes] [No]")


@contextlib.asynccontextmanager
async def installed(tmp_path, config):
    file = tmp_path / "config.toml"
    file.write_text(config)
    async with (
        inside.application(tmp_path / "data", inside.settings(file)) as app,
        inside.client(app, **inside.DEV) as calling,
    ):
        yield calling


@pytest.fixture
async def keyed(tmp_path):
    async with installed(tmp_path, CONFIG) as calling:
        yield calling


@pytest.fixture
def logged(tmp_path):
    """The operator's own texts, logged by the command line's verb."""
    migrate(tmp_path / "data")
    with open_house(tmp_path / "data", inside.settings()) as house:
        asyncio.run(house.consent.log([SHOWN, SECOND, DESPITE, COPY]))


@pytest.fixture
def app_consent(tmp_path):
    """Voids a screen, as the command does beside the running service."""

    def void(ui):
        with open_house(tmp_path / "data", inside.settings()) as house:
            asyncio.run(house.consent.void_consents(ui, bytes(32)))

    return lambda ui: to_thread.run_sync(void, ui)


def shown(document, **more):
    return {"sha256": document.sha256.hex(), **more}


async def check(keyed, recipient, *identifiers, **members):
    body = {"identifiers": list(identifiers), "recipient": recipient, "place": "US-CA", **members}
    return (await keyed.post("/v1/check", json=body)).json()


async def shared(keyed, *rows):
    """(outcome, reason) of one row, or of each of several."""
    content = "\n".join(map(json.dumps, rows))
    answer = await keyed.post("/v1/shares/import", content=content, headers={"Content-Type": "application/x-ndjson"})
    found = [(line["outcome"], line["reason"]) for line in map(json.loads, answer.text.splitlines()[:-1])]
    return found[0] if len(rows) == 1 else found


async def choose(keyed, status=201, **body):
    answer = await keyed.post("/v1/choices", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def opt_in(keyed, *identifiers, purpose="sale", first=SHOWN, proof=PROOF, ui=None):
    notice = shown(first, ui=ui) if ui else shown(first)
    asked = await choose(
        keyed, 202, choice="opt_in", purposes=[purpose], identifiers=list(identifiers), proof=proof, notice=notice
    )
    return await choose(keyed, choice="confirm", confirm=asked["confirm"], proof=proof, notice=shown(SECOND))


async def test_what_a_person_wants_sent_goes_once(keyed):
    row = {"id": "r1", "identifiers": [ME], "data": {"ad_id": GAID}, "place": "US-CA"}
    assert await shared(keyed, row | {"id": "r0"}) == ("refused", "no_act")
    await choose(keyed, choice="direct", identifiers=[ME], recipient="import", proof=PROOF)
    assert (await check(keyed, "import", ME, data=["ad_id"]))["reason"] == "no_act", "a check uses nothing up"
    assert await shared(keyed, row) == ("returned", "directed")
    assert await shared(keyed, row | {"id": "r2"}) == ("refused", "no_act")


@pytest.mark.parametrize(("said", "then"), [("sent", ("refused", "no_act")), ("not_sent", ("returned", "directed"))])
async def test_a_wish_is_of_the_row_that_was_handed_back_until_it_is_said_what_became_of_it(keyed, said, then):
    row = {"id": "r1", "identifiers": [ME], "data": {"ad_id": GAID}, "place": "US-CA"}
    await choose(keyed, choice="direct", identifiers=[ME], recipient="import", proof=PROOF)
    marks = [await handed_back(keyed, row) for _ in range(2)]  # the answer was lost
    for mark in marks:
        assert await shared(keyed, row | {"id": "r2"}) == ("refused", "no_act"), "the other one may have left"
        await acknowledged(keyed, mark, said)
    assert await shared(keyed, row | {"id": "r2"}) == then


@pytest.mark.parametrize("first", [ME, NUMBER], ids=["its own", "another's"])
async def test_a_wish_that_a_row_was_sent_on_after_all_is_used_up(keyed, first):
    """Whichever of those whom the row names gave it."""
    row = {"id": "r1", "identifiers": [first, ME, NUMBER], "data": {"ad_id": GAID}, "place": "US-CA"}
    await choose(keyed, choice="direct", identifiers=[ME], recipient="import", proof=PROOF)
    mark = await handed_back(keyed, row)
    for word in ("not_sent", "sent"):
        await acknowledged(keyed, mark, word)
    for who in ([ME], [NUMBER, ME]):
        assert await shared(keyed, row | {"id": "r2", "identifiers": who}) == ("refused", "no_act")


async def test_a_row_that_did_not_go_and_comes_again_beside_another_has_the_wish_alone(keyed):
    row = {"id": "r1", "identifiers": [ME], "data": {"ad_id": GAID}, "place": "US-CA"}
    await choose(keyed, choice="direct", identifiers=[ME], recipient="import", proof=PROOF)
    await acknowledged(keyed, await handed_back(keyed, row), "not_sent")
    assert await shared(keyed, row, row | {"id": "r2"}) == [("returned", "directed"), ("refused", "no_act")]


async def test_a_wish_that_a_row_may_have_gone_on_is_its_own_when_it_does_not_come_back_again(keyed, monkeypatch):
    """The check right before it would have come back a second time takes it out."""

    def takes_all_out(_, recipient, ready, done):
        stopped = dict(ready)
        done |= {index: Shared(item.row.id, "refused", "opted_out") for index, item in stopped.items()}
        ready.clear()
        return stopped

    row = {"id": "r1", "identifiers": [ME], "data": {"ad_id": GAID}, "place": "US-CA"}
    await choose(keyed, choice="direct", identifiers=[ME], recipient="import", proof=PROOF)
    await handed_back(keyed, row)
    with monkeypatch.context() as patched:
        patched.setattr(Sharing, "_check_again", takes_all_out)
        assert await shared(keyed, row) == ("refused", "opted_out")
    assert await shared(keyed, row | {"id": "r2"}) == ("refused", "no_act")


async def test_a_wish_that_another_row_had_meanwhile_is_used_up_by_the_row_that_was_sent_after_all(keyed):
    first = {"id": "r1", "identifiers": [NUMBER, ME], "data": {"ad_id": GAID}, "place": "US-CA"}
    other = first | {"identifiers": [ME]}
    await choose(keyed, choice="direct", identifiers=[ME], recipient="import", proof=PROOF)
    mark = await handed_back(keyed, first)
    await acknowledged(keyed, mark, "not_sent")
    await acknowledged(keyed, await handed_back(keyed, other | {"id": "r2"}), "not_sent", "r2")
    await acknowledged(keyed, mark, "sent")
    assert await shared(keyed, other | {"id": "r3"}) == ("refused", "no_act")


async def handed_back(keyed, row) -> str:
    """The mark of a row that was handed back at a person's wish."""
    answer = await keyed.post("/v1/shares/import", json=row)
    told = json.loads(answer.text.splitlines()[0])
    assert (told["outcome"], told["reason"]) == ("returned", "directed")
    return told["mark"]


async def acknowledged(keyed, mark, outcome, row_id="r1"):
    said = {"recipient": "import", "id": row_id, "mark": mark, "outcome": outcome}
    told = await keyed.post("/v1/disclosures", json=said)
    assert json.loads(told.text.splitlines()[0])["result"] == "recorded"


async def test_two_rows_of_one_call_are_not_sent_on_one_act(keyed):
    await choose(keyed, choice="direct", identifiers=[ME], recipient="import", proof=PROOF)
    rows = [{"id": name, "identifiers": [ME], "data": {"ad_id": GAID}, "place": "US-CA"} for name in ("r1", "r2")]
    outcomes = await shared(keyed, *rows)
    assert outcomes == [("returned", "directed"), ("refused", "no_act")]


async def test_an_act_of_an_account_and_its_address_is_one_act(keyed):
    both = [ACCOUNT, named("email", email(1))]
    taken = await choose(keyed, choice="direct", identifiers=both, recipient="import", proof=PROOF)
    assert taken["ignored"][0]["pointer"] == "/identifiers"
    rows = [{"id": one["type"], "identifiers": [one], "data": {"ad_id": GAID}, "place": "US-CA"} for one in both]
    assert await shared(keyed, *rows) == [("returned", "directed"), ("refused", "no_act")]


async def test_somebody_elses_act_is_not_used_up_by_an_id_in_the_data(keyed):
    for who in (ACCOUNT, ME):
        await choose(keyed, choice="direct", identifiers=[who], recipient="import", proof=PROOF)
    data = {"data": {"ad_id": GAID}, "place": "US-CA"}
    rows = [{"id": f"r{n}", "identifiers": [ACCOUNT], **data} for n in (1, 2)]
    assert await shared(keyed, *rows) == [("returned", "directed"), ("refused", "no_act")]
    assert await shared(keyed, {"id": "r3", "identifiers": [ME], **data}) == ("returned", "directed")


async def test_a_wish_of_long_ago_is_none(keyed):
    act = {"choice": "direct", "identifiers": [ME], "recipient": "import", "proof": PROOF}
    assert (await choose(keyed, 422, **act, made_at="2026-01-01T00:00:00Z"))["type"].endswith("superseded")


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("minutes", [4, 6, 60 * 24])
async def test_an_act_by_a_clock_that_is_ahead_opens_nothing(keyed, minutes):
    """Nobody knows when it was made, nor whether before a no that came since."""
    made = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    acts = (
        {"choice": "direct", "recipient": "import"},
        {"choice": "opt_in", "purposes": ["sale"], "notice": shown(SHOWN)},
    )
    for act in acts:
        expected = 422 if minutes > 5 else 201 if act["choice"] == "direct" else 202
        told = await choose(keyed, expected, **act, identifiers=[ME], proof=PROOF, made_at=made)
        assert told.get("type", "superseded").endswith("superseded")


async def test_a_wish_opens_no_precise_point_and_no_call(keyed):
    await choose(keyed, choice="direct", identifiers=[ME], recipient="import", proof=PROOF)
    row = {"id": "r1", "identifiers": [ME], "data": {"lat": 45.5231, "lon": -122.6765}, "place": "US-OR"}
    assert await shared(keyed, row | {"during_call": True}) == ("refused", "opt_in_required")


async def test_an_act_towards_one_recipient_needs_proof_and_such_a_recipient(keyed):
    act = {"choice": "direct", "identifiers": [ME], "recipient": "import"}
    assert (await choose(keyed, 403, **act))["type"].endswith("proof_required")
    assert (await choose(keyed, 400, **act | {"recipient": "teemo", "proof": PROOF}))["errors"][0][
        "pointer"
    ] == "/recipient"
    keep = {"choice": "keep_programme", "identifiers": [ACCOUNT], "programme": "nothing", "proof": PROOF}
    assert (await choose(keyed, 400, **keep))["errors"][0]["pointer"] == "/programme"


@pytest.mark.usefixtures("logged")
async def test_a_person_who_keeps_a_programme_keeps_it_in_the_face_of_a_signal_and_nothing_else(keyed):
    keep = {"choice": "keep_programme", "programme": "miles", "proof": PROOF}
    await choose(keyed, 422, **keep, identifiers=[ME], notice=shown(SHOWN))
    await choose(keyed, 422, **keep, identifiers=[ACCOUNT])
    await choose(keyed, **keep, identifiers=[ACCOUNT], notice=shown(SHOWN))
    gpc = {"signals": {"gpc": "1"}, "data": ["ad_id"]}
    assert (await check(keyed, "rewards", ACCOUNT, **gpc))["allowed"]
    assert (await check(keyed, "teemo", ACCOUNT, **gpc))["reason"] == "gpc"
    await choose(keyed, choice="opt_out", identifiers=[ACCOUNT])
    assert (await check(keyed, "rewards", ACCOUNT, **gpc))["reason"] == "opted_out"


@pytest.mark.usefixtures("logged")
async def test_an_act_towards_one_recipient_says_where_its_person_lives_too(keyed, tmp_path):
    """Whose word a server hands over (R13)."""
    await choose(keyed, choice="direct", identifiers=[ME], recipient="import", proof=PROOF, place="US-OR")
    keep = {"choice": "keep_programme", "programme": "miles", "proof": PROOF, "notice": shown(SHOWN)}
    await choose(keyed, **keep, identifiers=[ACCOUNT], place="US-OR")
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / schema.FILE)) as db:
        told = db.execute("SELECT d.kind, s.packed FROM side s JOIN detail d ON d.seq = s.seq").fetchall()
    assert {kind for kind, packed in told if b"US-OR" in packed} == {"gaid", "account"}


@pytest.mark.usefixtures("logged")
async def test_a_yes_in_sight_of_the_signal_is_the_accounts_and_any_other_is_none(keyed):
    gpc = {"signals": {"gpc": "1"}, "data": ["ad_id"]}
    await choose(keyed, choice="opt_out", identifiers=[ACCOUNT])
    await opt_in(keyed, ACCOUNT)
    assert (await check(keyed, "teemo", ACCOUNT, **gpc))["reason"] == "gpc"
    await opt_in(keyed, ACCOUNT, first=DESPITE)
    assert (await check(keyed, "teemo", ACCOUNT, **gpc))["allowed"]
    await opt_in(keyed, ME, first=DESPITE)
    assert (await check(keyed, "teemo", ME, **gpc))["reason"] == "gpc", "a device is no account"


@pytest.mark.usefixtures("logged")
async def test_a_yes_names_a_screen_that_was_logged_or_none(keyed):
    body = {"choice": "opt_in", "purposes": ["sale"], "identifiers": [ME], "proof": PROOF}
    refused = await choose(keyed, 422, **body, notice=shown(SHOWN, ui="settings-9"))
    assert refused["errors"][0]["pointer"] == "/notice/ui"
    await opt_in(keyed, ME, ui="settings-3")


@pytest.mark.usefixtures("logged")
async def test_a_child_comes_in_by_a_parent_alone(tmp_path):
    async with installed(tmp_path, AGELESS) as keyed:
        ask = {"data": ["ad_id"], "age": "under_13"}
        await opt_in(keyed, ME)
        assert (await check(keyed, "teemo", ME, **ask))["reason"] == "opt_in_required"
        await opt_in(keyed, ME, proof=PARENT)
        assert (await check(keyed, "teemo", ME, **ask))["allowed"]


@pytest.mark.usefixtures("logged")
async def test_a_parents_yes_is_told_to_copies_as_long_as_the_child_is_one(tmp_path):
    async with installed(tmp_path, AGELESS) as keyed:

        async def told():
            lines = [json.loads(line) for line in (await keyed.get("/v1/changes?after=0")).text.splitlines()]
            return {(each["age_band"], *each["purposes"].items()) for each in lines if each.get("age_band")}

        await opt_in(keyed, ACCOUNT, proof=PARENT)
        assert await told() == {("under_13", ("sale", "opted_in"))}
        linked = {"account": "jane", "identifiers": [ME], "age": 13}
        assert (await keyed.post("/v1/links", json=linked)).status_code == 201
        assert await told() == {("13_15",)}


@pytest.mark.usefixtures("logged")
async def test_a_young_person_who_says_yes_is_told_that_they_may_take_it_back(tmp_path):
    async with installed(tmp_path, AGELESS) as keyed:
        assert "continuing_right" not in await opt_in(keyed, ME)
        await keyed.post("/v1/observe", json={"identifiers": [ME], "age": 14})
        assert "take this back" in (await opt_in(keyed, ME))["continuing_right"]


async def test_an_age_only_gets_younger_by_an_apps_word_and_a_birthday_opens_nothing(tmp_path):
    async with installed(tmp_path, AGELESS) as keyed:
        ask = {"data": ["ad_id"], "place": "US-MD"}
        await keyed.post("/v1/links", json={"account": "jane", "identifiers": [ME], "age": 17})
        assert (await check(keyed, "teemo", ME, **ask))["reason"] == "banned"
        assert (await check(keyed, "teemo", ME, **ask, age=30))["reason"] == "banned"
        await keyed.post("/v1/links", json={"account": "jane", "identifiers": [ME], "age": 18})
        grown = await check(keyed, "teemo", ME, **ask)
        assert (grown["reason"], grown["allowed"]) == ("opt_in_required", False)


@pytest.mark.usefixtures("logged")
async def test_a_childs_own_yes_is_none_and_none_counts_at_thirteen(tmp_path):
    """Nor that of before anybody knew: whoever was a child on record says it again at the age."""
    async with installed(tmp_path, AGELESS) as keyed:
        ask, jane = {"data": ["ad_id"]}, {"account": "jane", "identifiers": [ME]}
        await opt_in(keyed, ME)
        assert (await check(keyed, "teemo", ME, **ask))["allowed"]
        await keyed.post("/v1/links", json=jane | {"age": 12})
        assert not (await check(keyed, "teemo", ME, **ask))["allowed"]
        body = {"choice": "opt_in", "purposes": ["sale"], "identifiers": [ME], "proof": PROOF, "notice": shown(SHOWN)}
        first = await choose(keyed, 202, **body)
        confirm = {"choice": "confirm", "confirm": first["confirm"], "proof": PROOF, "notice": shown(SECOND)}
        assert (await choose(keyed, 422, **confirm))["type"].endswith("too_young")
        await keyed.post("/v1/links", json=jane | {"age": 13})
        assert (await check(keyed, "teemo", ME, **ask))["reason"] == "opt_in_required"
        await opt_in(keyed, ME)
        assert (await check(keyed, "teemo", ME, **ask))["allowed"]


async def test_an_age_that_cannot_be_read_costs_an_opt_out_nothing(keyed):
    taken = await choose(keyed, choice="opt_out", identifiers=[ME], age="ancient")
    assert taken["ignored"] == [{"pointer": "/age", "reason": "neither years nor a band"}]


@pytest.mark.usefixtures("logged")
async def test_below_the_floor_there_is_no_opt_in(keyed):
    await keyed.post("/v1/links", json={"account": "jane", "identifiers": [ME], "age": 14})
    body = {"choice": "opt_in", "purposes": ["sale"], "identifiers": [ME], "proof": PROOF, "notice": shown(SHOWN)}
    assert (await choose(keyed, 422, **body))["type"].endswith("too_young")


async def test_an_app_keeps_for_a_young_person_what_a_check_would_answer(keyed):
    """The strings of the app and of the site follow the whole verdict: floor, parents, and who grew up."""
    await keyed.post("/v1/links", json={"account": "jane", "identifiers": [ME], "age": 14})
    said = {"identifiers": [ME], "place": "US-CA"}
    told = (await keyed.post("/v1/observe", json=said)).json()
    assert (told["store"]["IABUSPrivacy_String"], told["store"]["gad_rdp"]) == ("1YYN", 1)
    await keyed.post("/v1/links", json={"account": "jane", "identifiers": [ME], "age": 30})
    assert (await keyed.post("/v1/observe", json=said)).json()["store"]["IABUSPrivacy_String"] == "1YYN"


@pytest.mark.usefixtures("logged")
async def test_a_programme_that_was_kept_on_a_voided_screen_is_not_kept(keyed, app_consent):
    keep = {"choice": "keep_programme", "programme": "miles", "proof": PROOF, "identifiers": [ACCOUNT]}
    await choose(keyed, **keep, notice=shown(SHOWN, ui="settings-3"))
    gpc = {"signals": {"gpc": "1"}, "data": ["ad_id"]}
    assert (await check(keyed, "rewards", ACCOUNT, **gpc))["allowed"]
    await app_consent("settings-3")
    assert (await check(keyed, "rewards", ACCOUNT, **gpc))["reason"] == "gpc"
    await choose(keyed, 422, **keep, notice=shown(SHOWN, ui="settings-3"))
