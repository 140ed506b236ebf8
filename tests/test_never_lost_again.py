"""Ways in which an opt-out was lost, or an allow came back, before somebody looked. Each is a person's story."""

import gzip
import hashlib
import json

import pytest
from support.people import GAID, email, gaid, named, phone

from gateway.app import migrate, rotate_pepper
from gateway.ledger import links, records
from gateway.ledger.records import Choice, milliseconds
from gateway.ledger.schema import LedgerRefused
from gateway.mirror.lookup import Stale
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
        return self.house.writer.submit(job).result(5)

    def choose(self, kind, subject, purposes=ALL_PURPOSES, **more):
        self.request += 1
        choice = Choice(kind, tuple(purposes), "api", self.house.consent.clock(), **more)
        return self.do(lambda tx: records.write(tx, subject, choice, self.request.to_bytes(16, "big")))

    def link(self, account, subject, until=None):
        now = milliseconds(self.house.consent.clock())
        return self.do(lambda tx: links.link(tx, account, subject, links.Span(now - 1, until), now))

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
    rotate_pepper(folder)
    house.writer._watch.fresh_until = house.writer._watch._clock() + 60  # the next proof is still to come
    with pytest.raises(Stale):
        house.consent.checks._lookup.seen([])


def test_a_ledger_that_is_gone_is_never_replaced_by_an_empty_one(folder):
    from gateway.vault.persons import Vault

    Vault(folder, (b"k" * 32,)).close()
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
    assert json.loads(answer.text.splitlines()[-1]) == {"end": True, "count": 2}


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
