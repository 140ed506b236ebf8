import asyncio
import json

import pytest
from support import inside
from support.people import GAID, IDFV, ZERO, email, gaid, named, phone

from gateway.choice import identity
from gateway.keys import api_keys

pytestmark = pytest.mark.anyio


async def reason(keyed, *identifiers):
    body = {"identifiers": list(identifiers), "recipient": "teemo", "place": "US-CA"}
    return (await keyed.post("/v1/check", json=body)).json()["reason"]


async def opt_out(keyed, *identifiers):
    answer = await keyed.post("/v1/choices", json={"identifiers": list(identifiers), "choice": "opt_out"})
    assert answer.status_code == 201, answer.text


async def lines(keyed, *rows):
    content = b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    answer = await keyed.post("/v1/links", content=content, headers={"Content-Type": "application/x-ndjson"})
    return answer, [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize(
    "said", [named("phone", phone(1)), named("email", email(1)), named("account", "a1"), named("idfv", IDFV)]
)
async def test_an_opt_out_on_anything_a_person_has_reaches_all_that_the_backend_linked(keyed, said):
    everything = [named("phone", phone(1)), named("email", email(1)), named("gaid", GAID), named("idfv", IDFV)]
    answer = await keyed.post("/v1/links", json={"account": "a1", "identifiers": everything})
    assert (answer.status_code, answer.json()) == (201, {"linked": 4, "changed": 4, "ignored": []})
    await opt_out(keyed, said)
    for person in [*everything, named("account", "a1")]:
        assert await reason(keyed, person) == "opted_out", person
    assert await reason(keyed, named("account", "a2")) != "opted_out"


async def test_a_link_that_is_told_later_carries_what_was_chosen_before(keyed):
    await opt_out(keyed, named("email", email(1)))
    await keyed.post(
        "/v1/links", json={"account": "a1", "identifiers": [named("email", email(1)), named("gaid", GAID)]}
    )
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"


async def test_an_accounts_no_reaches_the_forms_that_others_make_of_its_address(keyed):
    """UID2's form of an address may be somebody else's too: it is denied, and goes no further."""
    address = "per.son1@gmail.com"
    form = named(*identity.read_identifier("email", address).looser[0])
    await keyed.post("/v1/links", json={"account": "a1", "identifiers": [named("email", address)]})
    assert await reason(keyed, form) != "opted_out"
    await opt_out(keyed, named("account", "a1"))
    assert await reason(keyed, form) == "opted_out"
    await keyed.post("/v1/links", json={"account": "a2", "identifiers": [named("email", email(2))]})
    assert await reason(keyed, named("account", "a2")) != "opted_out"


async def test_an_address_that_joins_an_opted_out_account_is_denied_in_the_forms_that_others_make(keyed):
    address = "per.son3@gmail.com"
    await opt_out(keyed, named("account", "a1"))
    await keyed.post("/v1/links", json={"account": "a1", "identifiers": [named("email", address)]})
    assert await reason(keyed, named(*identity.read_identifier("email", address).looser[0])) == "opted_out"


async def test_the_same_link_again_changes_nothing(keyed):
    link = {"account": "a1", "identifiers": [named("gaid", GAID)]}
    assert (await keyed.post("/v1/links", json=link)).json()["changed"] == 1
    assert (await keyed.post("/v1/links", json=link)).json()["changed"] == 0


async def test_a_number_that_was_released_carries_nothing_to_its_next_holder(keyed):
    number = named("phone", phone(1))
    await keyed.post("/v1/links", json={"account": "old", "identifiers": [number, named("gaid", gaid(1))]})
    await opt_out(keyed, named("account", "old"))
    gone = await keyed.post("/v1/links", json={"event": "number_released", "identifiers": [number]})
    assert (gone.status_code, gone.json()["linked"]) == (201, 0)
    await keyed.post("/v1/links", json={"account": "new", "identifiers": [number, named("gaid", gaid(2))]})
    assert await reason(keyed, named("gaid", gaid(2))) != "opted_out"
    assert await reason(keyed, named("account", "new")) != "opted_out"
    assert await reason(keyed, named("gaid", gaid(1))) == "opted_out"
    assert await reason(keyed, number) == "opted_out"
    await opt_out(keyed, named("account", "new"))
    assert await reason(keyed, named("gaid", gaid(2))) == "opted_out"


async def test_a_number_that_was_released_takes_no_yes_and_no_silence_to_its_next_holder(keyed):
    """R5: neither the choice nor the history."""
    number, told = named("phone", phone(1)), (await keyed.get("/v1/self")).json()["notices"]
    first, second = (
        {"sha256": item["sha256"]}
        for item in told
        if item["kind"] in {"opt-in", "confirm"} and item["language"] == "en"
    )
    proof = {"kind": "account", "assertion": "dev"}
    await opt_out(keyed, number)
    body = {"choice": "opt_in", "purposes": ["sale"], "identifiers": [number], "proof": proof, "notice": first}
    token = (await keyed.post("/v1/choices", json=body)).json()["confirm"]
    act = {"choice": "confirm", "confirm": token, "proof": proof, "notice": second}
    assert (await keyed.post("/v1/choices", json=act)).json()["standing"] == {"sale": "opted_in"}
    await keyed.post("/v1/links", json={"event": "number_released", "identifiers": [number]})
    only_mail = {"identifiers": [number], "choice": "opt_out", "purposes": ["marketing_email", "sale"]}
    german = {"identifiers": [number], "recipient": "teemo", "place": "DE", "data": ["ad_id"]}
    assert (await keyed.post("/v1/check", json=german)).json()["reason"] == "opt_in_required"
    asked = (await keyed.post("/v1/choices", json=only_mail)).json()["may_ask_from"]
    assert asked["marketing_email"] == asked["sale"], "twelve months from now, and not from what another person said"


async def test_a_link_whose_end_has_passed_carries_nothing(keyed):
    past = {"from": "2020-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z"}
    await keyed.post("/v1/links", json={"account": "a1", "identifiers": [named("gaid", GAID)], **past})
    await opt_out(keyed, named("account", "a1"))
    assert await reason(keyed, named("gaid", GAID)) != "opted_out"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], None),
        ("text", None),
        ({"account": "a1"}, "/identifiers"),
        ({"account": "a1", "identifiers": []}, "/identifiers"),
        ({"account": "a1", "identifiers": "gaid"}, "/identifiers"),
        ({"identifiers": [named("gaid", GAID)]}, "/account"),
        ({"account": "", "identifiers": [named("gaid", GAID)]}, "/account"),
        ({"account": ["a1"], "identifiers": [named("gaid", GAID)]}, "/account"),
        ({"account": "a1", "identifiers": [named("account", "a2")]}, "/identifiers"),
        ({"account": "a1", "identifiers": [named("gaid", GAID)], "form": "x"}, "/form"),
        ({"account": "a1", "identifiers": [named("gaid", GAID)], "event": "died"}, "/event"),
        ({"account": "a1", "identifiers": [named("gaid", GAID)], "from": "yesterday"}, "/from"),
        ({"account": "a1", "identifiers": [named("gaid", GAID)], "from": 5}, "/from"),
        ({"account": "a1", "identifiers": [named("gaid", GAID)], "until": "2026-13-01"}, "/until"),
        ({"account": "a1", "identifiers": [named("gaid", GAID)], "from": "2999-01-01T00:00:00Z"}, "/from"),
    ],
)
async def test_a_link_that_cannot_be_read_is_refused_where_it_is_wrong(keyed, body, pointer):
    answer = await keyed.post("/v1/links", json=body)
    assert answer.status_code == 400
    assert [item["pointer"] for item in answer.json().get("errors", [])] == ([pointer] if pointer else [])


async def test_what_cannot_be_linked_is_named_and_the_rest_is_linked(keyed):
    listed = [named("gaid", ZERO), named("gaid", GAID), named("nonsense", "x"), named("email", "no"), 7]
    answer = (await keyed.post("/v1/links", json={"account": "a1", "identifiers": listed})).json()
    assert answer["linked"] == 1
    assert [(item["pointer"], item["reason"]) for item in answer["ignored"]] == [
        ("/identifiers/0", "limited"),
        ("/identifiers/2", "undeclared"),
        ("/identifiers/3", "malformed"),
        ("/identifiers/4", "malformed"),
    ]
    await opt_out(keyed, named("account", "a1"))
    assert await reason(keyed, named("gaid", GAID)) == "opted_out"


async def test_a_bad_line_of_an_import_costs_only_itself(keyed):
    good = [{"account": f"a{number}", "identifiers": [named("gaid", gaid(number))]} for number in range(3)]
    answer, told = await lines(keyed, good[0], b"not json", {"account": "a", "oops": 1}, b"", good[1], b"[]", good[2])
    assert answer.status_code == 200
    assert [line.get("linked") for line in told[:-1]] == [1, 0, 0, 1, 0, 1]
    assert told[1]["problem"] == "malformed"
    assert told[2]["problem"] == "unknown_member"
    assert told[-1] == {"end": True, "count": 6, "refused": 3}


async def test_an_import_of_too_many_lines_is_refused_whole(keyed):
    answer, _ = await lines(keyed, *[b"{}"] * 10_001)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (413, "too_large")


@pytest.mark.parametrize("scopes", [["check"], ["choose"], ["share"], ["admin"]])
async def test_only_the_desk_may_say_what_a_person_has(tmp_path, scopes):
    async with inside.application(tmp_path / "data", dev=False) as app:
        made = await asyncio.to_thread(api_keys.add_api_key, tmp_path / "data", "k", scopes, publishable=False)
        async with inside.client(app, Authorization=f"Bearer {made}") as client:
            link = {"account": "a1", "identifiers": [named("gaid", GAID)]}
            assert (await client.post("/v1/links", json=link)).status_code == 403
            assert (await client.post("/v1/links", json=link, headers={"Authorization": ""})).status_code == 401


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_page_of_another_site_cannot_post_a_link(keyed, kind):
    answer = await keyed.post("/v1/links", content=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 415


# --- what may be somebody else's ties and releases nobody (R5, R12) ------------------------------------------------

UNCLEAR = "may be several people's: a number with its country code, or a digest of it as it is written then"
LIKE_BELGIAN = "+13235550123"  # without its country code and with a plus it is one of Belgium


async def test_a_number_with_a_blank_before_it_that_may_have_been_a_plus_is_tied_to_nobody(keyed):
    number = named("phone", f" {LIKE_BELGIAN.removeprefix('+1')}")
    answer = (await keyed.post("/v1/links", json={"account": "a1", "identifiers": [number]})).json()
    assert answer == {"linked": 0, "changed": 0, "ignored": [{"pointer": "/identifiers/0", "reason": UNCLEAR}]}
    for either in (f"+{LIKE_BELGIAN.removeprefix('+1')}", LIKE_BELGIAN):
        await opt_out(keyed, named("phone", either))
        assert await reason(keyed, named("account", "a1")) != "opted_out"


async def test_a_number_that_may_be_of_several_countries_is_tied_and_released_by_nobody(keyed):
    one, national = named("gaid", GAID), named("phone", "(415) 555-0123")
    body = {"account": "a1", "identifiers": [one, national], "place": "MX"}
    answer = (await keyed.post("/v1/links", json=body)).json()
    assert answer == {"linked": 1, "changed": 1, "ignored": [{"pointer": "/identifiers/1", "reason": UNCLEAR}]}
    gone = {"event": "number_released", "identifiers": [national], "place": "MX"}
    assert (await keyed.post("/v1/links", json=gone)).json()["changed"] == 0
    await opt_out(keyed, named("account", "a1"))
    for number in ("+524155550123", phone(23)):
        assert await reason(keyed, named("phone", number)) != "opted_out"


async def test_a_digest_that_others_may_share_releases_nothing_and_says_so(keyed):
    number = named("phone", phone(1))
    shared = named(*identity.read_identifier("phone", phone(1)).looser[0])
    await keyed.post("/v1/links", json={"account": "a1", "identifiers": [number]})
    for body in ({"event": "number_released"}, {"account": "a2"}):
        answer = (await keyed.post("/v1/links", json={**body, "identifiers": [shared]})).json()
        assert answer["changed"] == 0
        assert answer["ignored"] == [{"pointer": "/identifiers/0", "reason": UNCLEAR}]
    own = named("phone_sha256", identity.read_identifier("phone", phone(1)).names[0][1])
    answer = await keyed.post("/v1/links", json={"event": "number_released", "identifiers": [own]})
    assert answer.json() == {"linked": 0, "changed": 1, "ignored": []}


async def test_an_opt_out_of_the_desk_with_an_account_ties_it_no_more_than_the_link_does(keyed):
    number, shared = named("phone", "(415) 555-0123"), named(*identity.read_identifier("phone", phone(1)).looser[0])
    both = [named("account", "a1"), number, shared, named("gaid", GAID)]
    await keyed.post("/v1/links", json={"account": "a2", "identifiers": [named("phone", phone(1))]})
    said = {"identifiers": both, "choice": "opt_out", "purposes": ["profiling"], "place": "MX"}
    answer = await keyed.post("/v1/choices", json=said)
    untied = "a number that may be of several countries is not tied to the account"
    assert answer.json()["ignored"] == [{"pointer": "/identifiers", "reason": untied}]
    await keyed.post("/v1/choices", json={"identifiers": both[:1], "choice": "opt_out", "purposes": ["sale"]})
    assert await reason(keyed, named("gaid", GAID)) == "opted_out", "the control"
    for each in (named("phone", "+524155550123"), named("phone", phone(23)), shared):
        assert await reason(keyed, each) != "opted_out"
