"""Ways in which an opt-out was lost, or an allow came back, before somebody looked. Each is a person's story."""

import contextlib
import gzip
import hashlib
import json
import shutil
import sqlite3
import time
from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from support import inside
from support.people import GAID, email, gaid, named, phone

from gateway.app import maintenance
from gateway.app.composition import migrate
from gateway.app.service import in_front_of
from gateway.choice.standing import Stale
from gateway.ledger import schema
from gateway.ledger.acts import links, records
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ALL_PURPOSES, ChoiceKind, DataClass, Purpose

pytestmark = pytest.mark.anyio
SHA1 = ("email_sha1", hashlib.sha1(email(1).encode()).hexdigest())
MD5 = ("email_md5", hashlib.md5(email(1).encode()).hexdigest())


class Desk:
    """Acts on a house without HTTP."""

    def __init__(self, house):
        self.house, self.request = house, 0

    def who(self, kind, value):
        return self.house.consent.people.name([named(kind, value)]).subjects[0]

    def do(self, job):
        return self.house.writer.submit(job).result(60)

    def choose(self, kind, subject, purposes=ALL_PURPOSES, **more):
        self.request += 1
        choice = Choice(kind, tuple(purposes), "api", self.house.consent.clock(), **more)
        return self.do(lambda tx: records.write_choice(tx, subject, choice, self.request.to_bytes(16, "big")))

    def link(self, account, subject, until=None):
        now = milliseconds(self.house.consent.clock())
        return self.do(lambda tx: links.link_identifiers(tx, account, [subject], links.Span(now - 1, until), now))

    def release(self, subject):
        now = milliseconds(self.house.consent.clock())
        self.do(lambda tx: links.release(tx, subject, now))

    def denies(self, subject, purpose=Purpose.SALE):
        return self.house.consent.checks.read_back([subject], [purpose])[purpose] == "opted_out"


@pytest.fixture
def desk(house):
    return Desk(house)


def test_a_new_holder_who_opts_in_opens_nothing_of_the_old_holder(desk):
    old, new, number, ad_id = (
        desk.who(*x) for x in (("account", "old"), ("account", "new"), ("phone", phone(1)), ("gaid", GAID))
    )
    desk.link(old, number)
    desk.link(old, ad_id)
    desk.choose(ChoiceKind.OPT_OUT, number)
    desk.release(number)
    desk.link(new, number)
    desk.choose(ChoiceKind.OPT_IN, number, [Purpose.SALE])
    assert desk.denies(old)
    assert desk.denies(ad_id)
    assert not desk.denies(number)


def test_an_old_holder_who_opts_in_does_not_open_the_number_that_went_on(desk):
    old, number = desk.who("account", "old"), desk.who("phone", phone(1))
    desk.link(old, number)
    desk.choose(ChoiceKind.OPT_OUT, old)
    desk.release(number)
    desk.choose(ChoiceKind.OPT_IN, old, [Purpose.SALE])
    assert desk.denies(number)


def test_a_new_holder_can_come_back_on_their_number(desk):
    old, number = desk.who("account", "old"), desk.who("phone", phone(1))
    desk.link(old, number)
    desk.choose(ChoiceKind.OPT_OUT, old)
    desk.release(number)
    desk.choose(ChoiceKind.OPT_IN, number, [Purpose.SALE])
    assert not desk.denies(number)
    assert desk.denies(old)


def test_one_digest_that_opted_out_denies_every_other_name_once_they_are_known(desk):
    desk.choose(ChoiceKind.OPT_OUT, desk.who(*MD5))
    desk.choose(ChoiceKind.LIMIT, desk.who("email", email(1)), [Purpose.SENSITIVE])
    assert desk.denies(desk.who(*SHA1))
    assert desk.denies(desk.who("email", email(1)))


def test_an_account_that_was_linked_by_a_digest_is_reached_by_the_raw_address(desk):
    account = desk.who("account", "a1")
    desk.link(account, desk.who(*MD5))
    desk.choose(ChoiceKind.OPT_OUT, desk.who("email", email(1)))
    assert desk.denies(account)


def test_an_address_learnt_after_the_account_opted_out_is_denied_by_all_its_names(desk):
    account = desk.who("account", "a1")
    desk.link(account, desk.who(*MD5))
    desk.choose(ChoiceKind.OPT_OUT, account)
    desk.choose(ChoiceKind.LIMIT, desk.who("email", email(1)), [Purpose.PROFILING])
    assert desk.denies(desk.who(*SHA1))
    assert desk.denies(desk.who("email", email(1)))


def test_a_number_is_released_by_any_of_its_names(desk):
    account, number = desk.who("account", "a1"), desk.who("phone", phone(1))
    desk.link(account, number)
    bare = hashlib.sha256(phone(1).removeprefix("+").encode()).hexdigest()
    desk.release(desk.who("phone_sha256", bare))
    desk.choose(ChoiceKind.OPT_OUT, account)
    assert not desk.denies(number)


def test_a_precise_point_that_was_allowed_once_does_not_come_back_with_the_account(desk, house):
    account, ad_id = desk.who("account", "a1"), desk.who("gaid", GAID)
    desk.choose(ChoiceKind.OPT_IN, ad_id, [Purpose.SALE], recipient="teemo", data_class=DataClass.PRECISE_GEO)
    lookup = house.consent.checks._lookup
    assert lookup.grants([ad_id.key])
    desk.choose(ChoiceKind.OPT_OUT, account)
    desk.link(account, ad_id)
    desk.choose(ChoiceKind.OPT_IN, account, [Purpose.SALE])
    assert not desk.denies(ad_id)
    assert not lookup.grants([ad_id.key])


def test_a_link_with_a_planned_end_counts_until_then(desk, house):
    number = desk.who("phone", phone(1))
    desk.link(desk.who("account", "a1"), number, until=milliseconds(house.consent.clock()) + 10**9)
    assert house.consent.checks._lookup.seen([number.key]).standings[0].linked


def test_a_process_with_old_peppers_denies_from_the_very_moment_of_the_rotation(house, folder):
    house.consent.checks._lookup.seen([])
    maintenance.pepper(folder, inside.settings())
    house.writer._watch.fresh_until = house.writer._watch._clock() + 60  # the next proof is still to come
    with pytest.raises(Stale):
        house.consent.checks._lookup.seen([])


def test_a_ledger_that_is_gone_is_never_replaced_by_an_empty_one(folder):
    from gateway.keys.person_keys import Vault

    with contextlib.closing(Vault(folder, (b"k" * 32,))) as vault:
        vault.new_person()
    (folder / "ledger.sqlite3").write_bytes(b"")
    with pytest.raises(LedgerRefused, match="last backup"):
        migrate(folder)
    (folder / "ledger.sqlite3").unlink()
    with pytest.raises(LedgerRefused, match="last backup"):
        migrate(folder)


async def act(keyed, **body):
    return await keyed.post("/v1/choices", json=body)


async def test_an_opt_out_from_afar_between_the_two_acts_wins(keyed):
    shown = {item["kind"]: {"sha256": item["sha256"]} for item in (await keyed.get("/v1/self")).json()["notices"]}
    proof = {"kind": "account", "assertion": "dev"}
    await keyed.post("/v1/links", json={"account": "a1", "identifiers": [named("phone", phone(1))]})
    asked = await act(
        keyed,
        identifiers=[named("account", "a1")],
        choice="opt_in",
        purposes=["sale"],
        proof=proof,
        notice=shown["opt-in"],
    )
    same = await act(keyed, choice="confirm", confirm=asked.json()["confirm"], proof=proof, notice=shown["opt-in"])
    assert same.json()["type"].endswith("notice_required"), "the second act shows a text of its own"
    await act(keyed, identifiers=[named("phone", phone(1))], choice="opt_out")
    done = await act(keyed, choice="confirm", confirm=asked.json()["confirm"], proof=proof, notice=shown["confirm"])
    assert (done.status_code, done.json()["type"].rpartition(":")[2]) == (422, "superseded")


async def test_an_opt_out_that_names_nobody_is_not_confirmed(keyed):
    answer = await act(keyed, identifiers=[named("email", "typo")], choice="opt_out")
    assert answer.json()["type"].endswith("nothing_usable")


@pytest.mark.slow
async def test_identifiers_past_the_limit_are_told_and_not_dropped(keyed):
    many = [named("gaid", gaid(n)) for n in range(1001)]
    answer = (await act(keyed, identifiers=many, choice="opt_out")).json()
    assert len(answer["events"]) == 1000
    assert answer["ignored"] == [{"pointer": "/identifiers/1000", "reason": "too many"}]


async def test_an_import_of_two_gzip_members_keeps_both(keyed):
    lines = [
        json.dumps({"identifiers": [named("gaid", gaid(n))], "choice": "opt_out"}).encode() + b"\n" for n in (1, 2)
    ]
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    answer = await keyed.post("/v1/choices", content=b"".join(map(gzip.compress, lines)), headers=headers)
    assert json.loads(answer.text.splitlines()[-1]) == {"end": True, "count": 2, "refused": 0}


async def test_a_number_is_read_in_the_country_of_the_call(keyed):
    await act(keyed, identifiers=[named("phone", "+442079460958")], choice="opt_out")
    check = {
        "identifiers": [named("phone", "020 7946 0958")],
        "recipient": "payments",
        "place": "GB",
        "purpose": "sale",
    }
    body = {**check, "recipient": "teemo", "data": ["ad_id"]}
    assert (await keyed.post("/v1/check", json=body)).json()["reason"] == "opted_out"


async def test_somebody_elses_ad_id_does_not_leave_beside_my_account(keyed):
    await keyed.post("/v1/links", json={"account": "mine", "identifiers": [named("gaid", gaid(1))]})
    await act(keyed, identifiers=[named("gaid", gaid(2))], choice="opt_out")
    row = {
        "id": "r",
        "identifiers": [named("account", "mine")],
        "place": "US-NY",
        "data": {"ad_id": gaid(2), "lat": 1.0, "lon": 1.0},
    }
    answer = await keyed.post("/v1/shares/teemo", json=row)
    assert json.loads(answer.text.splitlines()[0])["reason"] == "opted_out"


async def test_a_limit_does_not_open_a_row_that_nobody_knows(keyed):
    """The limit refuses the point, the missing link refuses the rest."""
    await act(keyed, identifiers=[named("gaid", gaid(3))], choice="limit")
    row = {
        "id": "r",
        "identifiers": [named("gaid", gaid(3))],
        "place": "US-NY",
        "data": {"ad_id": gaid(3), "lat": 1.0, "lon": 1.0},
    }
    answer = json.loads((await keyed.post("/v1/shares/teemo", json=row)).text.splitlines()[0])
    assert (answer["outcome"], answer["reason"]) == ("refused", "unlinked")


@pytest.mark.parametrize("value", ["v1.a.9999999999.é".encode("latin-1"), b"v1.a." + b"9" * 5000 + b".00"])
async def test_a_hostile_assertion_costs_the_visitor_nothing(client, value):
    page = await client.get("/demo", headers=[(b"Gateway-Account", value), (b"Sec-GPC", b"1")])
    assert "Opt-Out Request Honored" in page.text


async def test_a_usprivacy_cookie_in_encoded_quotes_is_heard(client):
    page = await client.get("/demo", headers={"Cookie": "us_privacy=%221YYN%22"})
    assert "Opt-Out Request Honored" in page.text


async def test_an_ad_id_behind_its_kind_is_read_and_its_persons_no_stops_the_row(keyed):
    await keyed.post("/v1/links", json={"account": "mine", "identifiers": [named("gaid", gaid(1))]})
    await act(keyed, identifiers=[named("gaid", gaid(2))], choice="opt_out")
    data = {"ad_id": f"gaid:{gaid(2)}", "lat": 1.0, "lon": 1.0}
    row = {"id": "r", "identifiers": [named("gaid", gaid(1))], "place": "US-NY", "data": data}
    answer = json.loads((await keyed.post("/v1/shares/teemo", json=row)).text.splitlines()[0])
    assert (answer["outcome"], answer["reason"]) == ("refused", "opted_out")


@pytest.mark.parametrize("hidden", [[gaid(2)], {"v": gaid(2)}])
async def test_an_ad_id_inside_something_unreadable_does_not_leave(keyed, hidden):
    await keyed.post("/v1/links", json={"account": "mine", "identifiers": [named("gaid", gaid(1))]})
    await act(keyed, identifiers=[named("gaid", gaid(2))], choice="opt_out")
    row = {
        "id": "r",
        "identifiers": [named("gaid", gaid(1))],
        "place": "US-NY",
        "data": {"ad_id": hidden, "lat": 1.0, "lon": 1.0},
    }
    answer = json.loads((await keyed.post("/v1/shares/teemo", json=row)).text.splitlines()[0])
    assert {name: answer["row"][name] for name in answer["row"] if name != "row"} == {"lat": 1.0, "lon": 1.0}


async def test_one_deeply_nested_row_costs_its_neighbours_nothing(keyed):
    await keyed.post("/v1/links", json={"account": "mine", "identifiers": [named("gaid", gaid(1))]})
    deep = "[" * 400 + "]" * 400
    row = f'{{"id": "deep", "identifiers": [{{"type": "gaid", "value": "{gaid(1)}"}}], "place": "US-NY", "data": {{"lat": 1, "lon": 1, "ad_id": {deep}}}}}'
    answer = await keyed.post(
        "/v1/shares/teemo", content=row.encode(), headers={"Content-Type": "application/x-ndjson"}
    )
    assert json.loads(answer.text.splitlines()[-1])["complete"] is True


async def test_a_row_whose_link_had_a_planned_end_stops_with_it(desk, house, monkeypatch):
    number, lookup = desk.who("gaid", gaid(1)), house.consent.checks._lookup
    ends = house.consent.clock() + timedelta(minutes=10)
    desk.link(desk.who("account", "a1"), number, until=milliseconds(ends))
    assert lookup.seen([number.key]).standings[0].linked
    monkeypatch.setattr(lookup, "_clock", lambda: ends + timedelta(milliseconds=1))
    assert not lookup.seen([number.key]).standings[0].linked


@pytest.mark.parametrize("origin", ["http://[x", "http://", "null", "https://evil.example"])
async def test_a_broken_origin_gets_the_form_again_and_no_fault(client, origin):
    page = await client.post(
        "/privacy-choices", data={"action": "opt_out", "phone": phone(1)}, headers={"Origin": origin}
    )
    assert page.status_code == 403
    assert "Nothing was saved" in page.text
    assert phone(1) in page.text


@pytest.mark.parametrize(
    "header", [("Cookie", "usprivacy=1YYN"), ("Cookie", "OptanonConsent=groups=C0004:0"), ("DNT", "1")]
)
async def test_an_answer_that_a_cookie_had_a_part_in_is_kept_by_no_shared_cache(client, header):
    page = await client.get("/demo", headers=dict([header]))
    assert page.headers["cache-control"].startswith("private")


async def told(request):
    return JSONResponse({"consent": request.headers["gateway-consent"], "path": request.url.path})


def shop(folder):
    """A site behind the gateway; the header `who` stands for its session."""
    site = Starlette(routes=[Route("/{path:path}", told)])
    who = lambda scope: dict(scope["headers"]).get(b"who", b"").decode() or None  # noqa: E731
    return in_front_of(site, folder, account=who, place=lambda _: "US-CA")


@contextlib.asynccontextmanager
async def browsing(folder):
    app = shop(folder)
    async with inside.lifespan(app), inside.client(app) as client:

        async def get(who="", cookie="", path="/"):
            headers = {name: value for name, value in (("who", who), ("Cookie", cookie)) if value}
            return (await client.get(path, headers=headers)).json()

        async def opts_out(who="", cookie=""):
            headers = {name: value for name, value in (("who", who), ("Cookie", cookie)) if value}
            done = await client.post("/privacy-choices", data={"action": "opt_out"}, headers=headers)
            assert done.status_code == 303
            client.cookies.clear()
            return done.headers["set-cookie"].partition(";")[0]

        yield get, opts_out


async def test_a_signed_in_person_who_posts_the_form_is_opted_out_on_their_next_browser(folder):
    async with browsing(folder) as (get, opts_out):
        await opts_out("ann")
        assert "sale=?0" in (await get("ann"))["consent"]
        assert (await get("ann", path="/privacy-choices/status"))["status"] == "opted_out"
        assert "sale=?1" in (await get("ben"))["consent"]


async def test_on_a_shared_browser_a_choice_reaches_who_made_it(folder):
    async with browsing(folder) as (get, opts_out):
        browser = await opts_out()  # somebody, long ago
        other = await opts_out("dora", "")  # dora has another browser already
        assert "sale=?0" in (await get("dora", other))["consent"]
        await get("carl", browser)
        await get("dora", browser)
        assert "sale=?0" in (await get("carl"))["consent"], "the browser's own choice is carl's too"
        assert "sale=?0" in (await get("dora"))["consent"]
        assert "sale=?1" in (await get("emma"))["consent"]


async def test_the_gateway_takes_its_own_paths_and_no_others(folder):
    async with browsing(folder) as (get, _):
        for path in ("/privacy-choices-for-kids", "/privacy-choicesX", "/.well-known/gpc.jsonx"):
            assert (await get(path=path))["path"] == path


def fresh(desk):
    """Whether checks are answered again: the watch looks twice a second."""
    with contextlib.suppress(Stale):
        return desk.denies(desk.who("gaid", gaid(1)))
    return False


@pytest.mark.slow
def test_a_folder_that_was_away_for_a_while_is_written_again(desk, house, folder):
    desk.choose(ChoiceKind.OPT_OUT, desk.who("gaid", gaid(1)))
    folder.rename(folder.with_name("away"))
    deadline = time.monotonic() + 30
    while house.writer.keeps() and time.monotonic() < deadline:
        time.sleep(0.05)
        with contextlib.suppress(StoreUnavailable):
            desk.choose(ChoiceKind.OPT_OUT, desk.who("gaid", gaid(2)))
    assert not house.writer.keeps(), "an alarm can ring"
    shutil.rmtree(folder, ignore_errors=True)  # a state may have been begun there
    folder.with_name("away").rename(folder)
    while not house.writer.keeps() and time.monotonic() < deadline + 30:
        time.sleep(0.05)
    desk.choose(ChoiceKind.OPT_OUT, desk.who("gaid", gaid(3)))
    while not fresh(desk) and time.monotonic() < deadline + 30:
        time.sleep(0.05)
    assert desk.denies(desk.who("gaid", gaid(3)))


def test_readiness_tells_when_the_vault_cannot_be_written(desk, house, folder, monkeypatch):
    desk.choose(ChoiceKind.OPT_OUT, desk.who("gaid", gaid(1)))
    while house.writer._turns.is_due():  # the installation's first epoch, which has no date
        time.sleep(0.02)
    desk.choose(ChoiceKind.OPT_OUT, desk.who("gaid", gaid(4)))
    house.writer.submit(lambda _: house.writer._vault._db.execute("PRAGMA busy_timeout = 50")).result()
    other = sqlite3.connect(folder / "vault.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    desk.choose(ChoiceKind.OPT_OUT, desk.who("gaid", gaid(3)))
    assert house.writer.keeps(), "there are keys that were made before"
    house.writer._vault._pool.clear()
    with pytest.raises(StoreUnavailable):
        desk.choose(ChoiceKind.OPT_OUT, desk.who("gaid", gaid(2)))
    assert not house.writer.keeps()
    other.execute("ROLLBACK")
    other.close()
    desk.choose(ChoiceKind.OPT_OUT, desk.who("gaid", gaid(2)))
    assert house.writer.keeps()


def test_a_lock_that_another_process_holds_does_not_hold_us_for_ever(folder, monkeypatch):
    monkeypatch.setattr(schema, "LOCK_SECONDS", 0.2)
    with schema.held(folder), pytest.raises(LedgerRefused, match="another process"), schema.held(folder):
        pass


@pytest.mark.slow
def test_linking_a_household_of_hundreds_takes_no_square_of_its_size(desk):
    """Counted in statements: a household twice as large takes about twice as many."""

    def statements(account: str, first: int, size: int) -> int:
        things = [desk.who("gaid", gaid(first + n)) for n in range(size)]
        desk.choose(ChoiceKind.OPT_OUT, things[7])
        seen: list[str] = []

        def job(tx):
            tx.db.set_trace_callback(seen.append)
            try:
                return links.link_identifiers(tx, desk.who("account", account), things, links.Span(0), 1)
            finally:
                tx.db.set_trace_callback(None)

        assert desk.do(job) == size
        assert desk.denies(things[-1])
        assert desk.denies(desk.who("account", account))
        return len(seen)

    assert statements("a2", 1000, 100) < 2.5 * statements("a1", 0, 50)
