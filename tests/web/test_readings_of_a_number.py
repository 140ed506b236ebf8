"""A number that is given without its country: whoever may be meant is denied, and nobody is answered for (R12, R35)."""

import contextlib
import json
import sqlite3

import pytest
from anyio import to_thread
from support import inside
from support.people import gaid, named, phone
from support.service import service

from gateway.app import composition as gateway_app
from gateway.web.shell import page

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"
US = phone(23)
NATIONAL = "(415) 555-0123"
OF_MEXICO = "+524155550123"
COUNTRIES = ["MX", "GB", "DE", "IN", "BR", "AU", "JP"]
FIRST, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))
PROVED = {"kind": "account", "assertion": "dev"}


async def allowed(keyed, kind, value, **more):
    check = {"identifiers": [named(kind, value)], "recipient": "advertisers", "place": "US-NJ"} | more
    return (await keyed.post("/v1/check", json=check)).json()["allowed"]


async def posted(client, **fields):
    answer = await client.post(PATH, data={"action": "opt_out"} | fields)
    assert answer.status_code == 303, answer.text
    return await client.get(answer.headers["location"], headers=inside.kept(answer))


async def opts_in(keyed, *identifiers):
    asked = {
        "choice": "opt_in",
        "purposes": ["sale"],
        "identifiers": list(identifiers),
        "proof": PROVED,
        "notice": FIRST,
    }
    token = (await keyed.post("/v1/choices", json=asked)).json()["confirm"]
    yes = {"choice": "confirm", "confirm": token, "proof": PROVED, "notice": SECOND}
    assert (await keyed.post("/v1/choices", json=yes)).status_code == 201


async def linked(keyed, account="a1", number=US):
    link = {"account": account, "identifiers": [named("phone", number), named("gaid", gaid(1))]}
    assert (await keyed.post("/v1/links", json=link)).status_code == 201


@pytest.mark.parametrize("country", COUNTRIES)
async def test_a_number_opted_out_with_another_country_chosen_still_denies(client, keyed, country):
    await linked(keyed)
    assert await allowed(keyed, "phone", US), "the control"
    await posted(client, phone=NATIONAL, country=country)
    for kind, value in (("phone", US), ("account", "a1"), ("gaid", gaid(1)), ("phone", NATIONAL)):
        assert not await allowed(keyed, kind, value), kind
    assert await allowed(keyed, "phone", phone(24)), "a control: nobody else"


async def test_a_row_with_the_number_stays_here_after_an_opt_out_with_another_country(client, keyed):
    await linked(keyed)
    await posted(client, phone=NATIONAL, country="MX")
    row = {"id": "1", "identifiers": [named("gaid", gaid(1))], "data": {"gaid": gaid(1)}, "place": "US-NJ"}
    answer = await keyed.post("/v1/shares/teemo", json=row)
    assert json.loads(answer.text.splitlines()[0])["outcome"] == "refused"


@pytest.mark.parametrize("spelling", ["+1 415 555 0123", "001 415 555 0123", "0014155550123", "+001 415 555 0123"])
async def test_a_number_that_says_where_it_belongs_is_nobody_elses(client, keyed, spelling):
    shown = await posted(client, phone=spelling, country="MX")
    assert shown.text.count("it ends in 23") == 1
    assert not await allowed(keyed, "phone", US)
    assert await allowed(keyed, "phone", OF_MEXICO)


async def test_a_plus_that_arrived_as_a_blank_is_a_plus(client, keyed):
    body = "action=opt_out&country=MX&phone=+14155550123"  # as a client writes it that does not escape
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await client.post(PATH, content=body, headers=headers)).status_code == 303
    assert not await allowed(keyed, "phone", US)


async def test_a_number_whose_plus_was_lost_is_opted_out_by_the_api_too(keyed):
    """A backend sends on what a form gave it."""
    british = "+447911123456"
    assert await allowed(keyed, "phone", british), "the control"
    no = {"identifiers": [named("phone", british.replace("+", " "))], "choice": "opt_out"}
    assert (await keyed.post("/v1/choices", json=no)).status_code == 201
    assert not await allowed(keyed, "phone", british)


async def test_the_confirmation_names_each_reading_by_its_country_and_two_digits(client, tmp_path):
    shown = await posted(client, phone=NATIONAL, country="MX")
    assert "read as a number of this country: MX; it ends in 23" in shown.text
    assert "read as a number of this country: United States; it ends in 23" in shown.text
    covered = shown.text.partition('<ul class="covered">')[2].partition("</ul>")[0]  # beside it stands the hour
    assert "it ends in" in covered
    assert "0123" not in covered.replace(" ", "")
    again = await client.get(shown.url.path)  # a shared computer, later
    assert "it ends in" not in again.text


async def test_one_form_is_one_request_with_one_receipt(client, tmp_path):
    await posted(client, phone=NATIONAL, country="MX")
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3")) as db:
        rows = db.execute(
            "SELECT d.request, d.kind, e.body FROM detail d JOIN entry e USING (seq) ORDER BY seq"
        ).fetchall()
    sources = [json.loads(body).get("src") for _, _, body in rows]
    assert (len({row[0] for row in rows}), sorted(kind for _, kind, _ in rows)) == (1, ["browser", "phone", "phone"])
    assert sources == ["form", "form", "reading"]


async def test_an_opt_out_by_the_api_is_read_like_one_of_the_form_and_the_answer_says_so(keyed):
    await linked(keyed)
    no = {"identifiers": [named("phone", NATIONAL)], "choice": "opt_out", "place": "MX"}
    answer = (await keyed.post("/v1/choices", json=no)).json()
    assert len(answer["events"]) == 1
    assert answer["readings"] == [[{"country": "MX", "ends": "23"}, {"country": "US", "ends": "23"}]]
    for kind, value in (("phone", US), ("phone", OF_MEXICO), ("gaid", gaid(1))):
        assert not await allowed(keyed, kind, value)
    plain = (await keyed.post("/v1/choices", json=no | {"place": "US-CA"})).json()
    assert "readings" not in plain


async def test_nobody_can_say_that_their_choice_was_only_a_reading(keyed, tmp_path):
    no = {"identifiers": [named("phone", US)], "choice": "opt_out", "source": "reading"}
    answer = (await keyed.post("/v1/choices", json=no)).json()
    assert {"pointer": "/source", "reason": "unknown"} in answer["ignored"]
    assert answer["may_ask_from"]["sale"]


async def test_who_is_only_perhaps_meant_may_be_asked_and_finds_nothing_in_their_report(client, keyed):
    await linked(keyed)
    await posted(client, phone=NATIONAL, country="MX")
    mine = {"identifiers": [named("account", "a1")], "proof": PROVED}
    standing = (await keyed.post("/v1/standing", json=mine)).json()
    assert standing["standing"]["sale"] == "opted_out"
    assert standing["may_ask_from"]["sale"] is None
    report = (await keyed.post("/v1/access", json=mine)).json()
    assert not [each for each in report["entries"] if each["what"] == "opt_out"]
    await posted(client, phone=US)  # the control: said with its country
    standing = (await keyed.post("/v1/standing", json=mine)).json()
    assert standing["may_ask_from"]["sale"]
    report = (await keyed.post("/v1/access", json=mine)).json()
    assert [each for each in report["entries"] if each["what"] == "opt_out"]


async def test_a_reading_takes_no_day_from_who_had_said_no_before(client, keyed):
    await posted(client, phone=US)
    await linked(keyed)
    mine = {"identifiers": [named("account", "a1")], "proof": PROVED}
    await posted(client, phone=NATIONAL, country="MX")
    assert (await keyed.post("/v1/standing", json=mine)).json()["may_ask_from"]["sale"]


async def test_proof_of_the_number_ends_a_reading_in_one_step(client, keyed):
    await linked(keyed)
    await posted(client, phone=NATIONAL, country="MX")
    await opts_in(keyed, named("phone", US))
    for kind, value in (("phone", US), ("gaid", gaid(1)), ("account", "a1")):
        assert await allowed(keyed, kind, value, recipient="teemo", purpose="sale", data=["ad_id"]), kind
    assert not await allowed(keyed, "phone", OF_MEXICO), "the first reading is ended by its own holder alone"


async def test_what_a_reading_changed_is_made_again_from_the_entries(tmp_path):
    async with inside.application(tmp_path / "data") as app, inside.client(app, **inside.DEV) as keyed:
        await linked(keyed)
        await posted(keyed, phone=NATIONAL, country="MX")
        await posted(keyed, phone=US)
        await posted(keyed, phone=NATIONAL, country="DE")
        await opts_in(keyed, named("phone", US))
        await posted(keyed, phone=NATIONAL, country="BR")
    report, _ = await to_thread.run_sync(
        lambda: gateway_app.verify_ledger(tmp_path / "data", inside.settings(), boxes=True)
    )
    assert report.passed, report.different


async def test_the_operators_further_countries_are_read_too(tmp_path):
    of_germany = "+493023125123"
    settings = inside.settings(None, phone__countries="DE,GB")
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as keyed:
        no = {"identifiers": [named("phone", "030 23125 123")], "choice": "opt_out", "place": "US-CA"}
        answer = (await keyed.post("/v1/choices", json=no)).json()
        assert not await allowed(keyed, "phone", of_germany), answer


@pytest.mark.slow
async def test_a_running_service_denies_a_number_that_was_sent_with_another_country(tmp_path):
    import httpx2

    with service(tmp_path) as running:
        async with httpx2.AsyncClient(base_url=running.url, headers=inside.DEV) as keyed:
            await linked(keyed)
            await posted(keyed, phone=NATIONAL, country="MX")
            for kind, value in (("phone", US), ("account", "a1"), ("gaid", gaid(1))):
                assert not await allowed(keyed, kind, value)


TWO = [
    *(("phone", f"{{}}{between}{{}}", "4155550150", "4155550151") for between in (";", " ext ", ";ext=", "/", ",")),
    *(("imei", f"{{}}{between}{{}}", "490154203237518", "356938035643809") for between in ",/;"),
    ("serial", "{};{}", "AB12CD34", "EF56GH78"),
]


@pytest.mark.parametrize(("kind", "written", "one", "other"), TWO)
async def test_of_two_in_one_value_neither_no_is_lost(keyed, kind, written, one, other):
    assert await allowed(keyed, kind, one), "the control"
    assert await allowed(keyed, kind, other), "the control"
    assert not await allowed(keyed, kind, written.format(one, other))
    said = {"choice": "opt_out", "identifiers": [named(kind, written.format(one, other))]}
    assert (await keyed.post("/v1/choices", json=said)).status_code == 201
    assert not await allowed(keyed, kind, one)
    assert not await allowed(keyed, kind, other)


@pytest.mark.parametrize("written", ["4155550150;4155550151", "4155550150 ext 4155550151", "4155550150#4155550151"])
async def test_of_two_numbers_in_the_field_of_a_form_neither_no_is_lost(client, keyed, written):
    await posted(client, phone=written)
    assert not await allowed(keyed, "phone", "4155550150")
    assert not await allowed(keyed, "phone", "4155550151")


async def test_a_number_with_half_a_one_behind_it_is_refused_and_named(keyed):
    said = {"choice": "opt_out", "identifiers": [named("phone", "4155550150;555-0151")]}
    refused = await keyed.post("/v1/choices", json=said)
    assert refused.status_code == 422, refused.text
