"""POST /v1/openrtb: what an ad server gets back of a bid request."""

import base64
import hashlib
import json

import pytest
from support import inside
from support.adchoices import write_adchoices
from support.people import gaid
from support.service import service

from gateway.web.api import openrtb

pytestmark = pytest.mark.anyio
MARK = "marker-of-a-person"
AD_CHOICES_NO, AD_CHOICES_YES = (write_adchoices(1_764_000_000, preference=each) for each in (0, 1))
BAG_OF_CONSENT, OTHER_BAG = "ConsentedProvidersSettings", "consented_providers_settings"


def bid(**more) -> dict:
    return {
        "id": "1",
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}],
        "site": {"page": "https://example.com/news"},
        "device": {
            "ua": "UA",
            "os": "Android",
            "ifa": gaid(1),
            "ip": "203.0.113.77",
            "geo": {"country": "USA", "region": "NY"},
        },
    } | more


async def ask(keyed, body: dict, query: str = "recipient=advertisers", **headers):
    return await keyed.post(
        f"/v1/openrtb?{query}", content=json.dumps(body), headers={"Content-Type": "application/json", **headers}
    )


async def test_a_person_without_a_choice_is_sent_with_their_ad_id_and_the_strings_that_hold(keyed):
    answer = await ask(keyed, bid())
    assert answer.status_code == 200
    assert answer.headers["gateway-verdict"] == "allow"
    out = answer.json()
    assert out["device"]["ifa"] == gaid(1)
    assert out["regs"]["us_privacy"] == "1YNN"
    assert answer.headers["cache-control"] == "no-store"


async def test_an_opted_out_person_leaves_a_contextual_request_that_says_so(keyed):
    body = {"identifiers": [{"type": "gaid", "value": gaid(1)}], "choice": "opt_out"}
    assert (await keyed.post("/v1/choices", json=body)).status_code == 201
    answer = await ask(keyed, bid())
    assert answer.headers["gateway-verdict"] == "contextual"
    assert answer.headers["gateway-reason"] == "opted_out"
    assert answer.headers["gateway-removed"] == "/device/ifa"
    out = answer.json()
    assert gaid(1) not in answer.text
    assert out["regs"]["us_privacy"] == "1YYN"
    assert out["imp"] == bid()["imp"]
    assert out["device"]["ip"] == "203.0.113.0"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"regs": {"ext": {"gpc": "1"}}}, "gpc"),
        ({"regs": {"ext": {"gpc": 1}}}, "gpc"),
        ({"regs": {"gpc": 1}}, "gpc"),
        ({"regs": {"us_privacy": "1YNN", "ext": {"us_privacy": "1YYN"}}}, "us_privacy"),
        ({"regs": {"us_privacy": "1YYN", "ext": {"us_privacy": "1YNN"}}}, "us_privacy"),
        ({"regs": {"us_privacy": 17}}, "malformed_signal"),
        ({"regs": {"ext": {"adchoices": AD_CHOICES_NO}}}, "ad_choices"),
        ({"regs": {"ext": {"adchoices": {}}}}, "malformed_signal"),
        ({"user": {"ext": {BAG_OF_CONSENT: {"consented_providers": "1~"}}}}, "additional_consent"),
        ({"user": {"ext": {BAG_OF_CONSENT: {"consented_providers": []}}}}, "malformed_signal"),
        ({"user": {"ext": {OTHER_BAG: {"consented_providers": "1~"}}}}, "additional_consent"),
        ({"user": {"ext": {OTHER_BAG: {"consented_providers": []}}}}, "additional_consent"),
        ({"user": {"ext": {OTHER_BAG: ["1~"]}}}, "malformed_signal"),
    ],
)
async def test_what_the_request_itself_says_counts_and_of_two_places_the_stricter(keyed, more, reason):
    answer = await ask(keyed, bid(**more))
    assert (answer.headers["gateway-verdict"], answer.headers["gateway-reason"]) == ("contextual", reason)
    assert "ifa" not in answer.json()["device"]


async def test_what_a_persons_adchoices_says_to_other_participants_goes_on_where_nothing_is_denied(keyed):
    request = bid(regs={"ext": {"adchoices": AD_CHOICES_YES}})
    answer = await ask(keyed, request)
    assert answer.headers["gateway-verdict"] == "allow"
    assert answer.json()["regs"]["ext"]["adchoices"] == AD_CHOICES_YES
    no = {"identifiers": [{"type": "gaid", "value": gaid(1)}], "choice": "opt_out"}
    assert (await keyed.post("/v1/choices", json=no)).status_code == 201
    assert AD_CHOICES_YES not in (await ask(keyed, request)).text


@pytest.mark.parametrize("name", ["lmt", "dnt"])
async def test_a_devices_own_limit_counts(keyed, name):
    request = bid()
    request["device"][name] = 1
    answer = await ask(keyed, request)
    assert answer.headers["gateway-verdict"] == "contextual"
    assert "ifa" not in answer.json()["device"]


async def test_a_withheld_ad_id_never_leaves(keyed):
    request = bid()
    request["device"]["ifa"] = "00000000-0000-0000-0000-000000000000"
    answer = await ask(keyed, request)
    assert (answer.headers["gateway-verdict"], answer.headers["gateway-reason"]) == ("contextual", "limited")
    assert "ifa" not in answer.json()["device"]


async def test_an_id_whose_kind_nobody_declared_denies_and_is_told(keyed):
    answer = await ask(keyed, bid(user={"id": MARK}))
    assert answer.headers["gateway-verdict"] == "contextual"
    assert answer.headers["gateway-warning"] == "undeclared_identifier"
    assert MARK not in answer.text


async def test_an_opt_out_by_a_partners_id_is_found_in_either_place_of_eids(keyed):
    eid = {"type": "eid", "source": "partner.example", "value": MARK}
    await keyed.post("/v1/choices", json={"identifiers": [eid], "choice": "opt_out"})
    eids = [{"source": "Partner.example", "uids": [{"id": MARK}]}]
    for user in ({"eids": eids}, {"ext": {"eids": eids}}):
        answer = await ask(keyed, bid(user=user))
        assert answer.headers["gateway-reason"] == "opted_out"
        assert MARK not in answer.text


@pytest.mark.parametrize("country", ["DEU", "BRA", "no country"])
async def test_of_two_places_in_a_request_the_stricter_holds(keyed, country):
    """New York alone allows, see above."""
    answer = await ask(keyed, bid(user={"geo": {"country": country}}))
    assert answer.headers["gateway-verdict"] == "contextual"
    assert "ifa" not in answer.json()["device"]


@pytest.mark.parametrize("more", [{"regs": {"coppa": 1}}, {"user": {"yob": 2020}}])
async def test_of_a_child_nothing_is_sent(keyed, more):
    answer = await ask(keyed, bid(**more))
    assert answer.headers["gateway-verdict"] == "block"
    assert answer.json() == {}


async def test_an_unknown_bidder_is_blocked_and_the_caller_told_why(keyed):
    answer = await ask(keyed, bid(), "recipient=nobody")
    assert answer.status_code == 200
    assert answer.headers["gateway-verdict"] == "block"
    assert answer.headers["gateway-warning"] == "unknown_recipient"
    assert answer.json() == {}


async def test_many_bidders_get_what_to_remove_each(keyed):
    body = {"identifiers": [{"type": "gaid", "value": gaid(1)}], "choice": "opt_out"}
    await keyed.post("/v1/choices", json=body)
    answer = (await ask(keyed, bid(), "recipient=advertisers&recipient=payments&recipient=nobody")).json()
    assert answer["nobody"].pop("decision")
    assert answer["nobody"] == {"verdict": "block", "reason": "unknown_recipient"}
    assert answer["advertisers"]["verdict"] == "contextual"
    assert answer["advertisers"]["remove"] == ["/device/ifa"]
    assert answer["advertisers"]["replace"]["/device/ip"] == "203.0.113.0"
    assert answer["advertisers"]["replace"]["/regs"]["us_privacy"] == "1YYN"


async def test_one_bidder_gets_the_same_form_on_request(keyed):
    answer = (await ask(keyed, bid(), Accept="application/json-patch+json")).json()
    assert answer["advertisers"]["verdict"] == "allow"


async def test_a_long_list_of_what_was_removed_is_cut_and_says_so(keyed):
    names = {f"unknown{index:04}": 1 for index in range(500)}
    answer = await ask(keyed, bid(device={"os": "Android", **names}))
    assert len(answer.headers["gateway-removed"]) <= 2048
    assert answer.headers["gateway-removed"].endswith(", truncated")


async def test_no_name_of_a_stranger_breaks_a_header(keyed):
    answer = await ask(keyed, bid(device={"a\r\nSet-Cookie: x=1": 1, "Ü": 1, "\x00": 2}))
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("body", ["[]", "1", "null", "{", '"x"', "", "[" * 2000, '{"a":' * 200 + "1" + "}" * 200])
async def test_what_is_no_bid_request_is_refused_and_nothing_may_be_sent(keyed, body):
    answer = await keyed.post(
        "/v1/openrtb?recipient=advertisers", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query", ["", "recipient=advertisers&recipent=x", "&".join(f"recipient=r{n}" for n in range(65))]
)
async def test_a_misspelt_parameter_does_not_allow(keyed, query):
    assert (await ask(keyed, bid(), query)).status_code == 400


async def test_only_a_key_that_may_check_is_answered(client):
    assert (await ask(client, bid())).status_code == 401


async def test_while_the_ledger_is_away_nobody_is_sent(keyed, app, monkeypatch):
    from gateway.choice.standing import Stale

    def away(*_, **__):
        raise Stale("away")

    monkeypatch.setattr("gateway.state.lookup.StateLookup.seen", away)
    answer = await ask(keyed, bid())
    assert (answer.headers["gateway-verdict"], answer.headers["gateway-reason"]) == ("contextual", "stale")
    assert gaid(1) not in answer.text


UID = {"id": MARK}
MANY = [{"id": f"u{number}"} for number in range(100)]


@pytest.mark.parametrize(
    "eids",
    [
        {"source": "pubcid.org", "uids": [UID]},
        MARK,
        [MARK],
        [{"source": "pubcid.org", "uids": UID}],
        [{"source": "pubcid.org", "uids": MARK}],
        [{"source": "pubcid.org", "uids": [*MANY, UID]}],
        [*({"source": "pubcid.org", "uids": [uid]} for uid in MANY), {"source": "pubcid.org", "uids": [UID]}],
    ],
)
@pytest.mark.parametrize("place", ["user", "user.ext"])
async def test_an_id_that_nobody_could_look_up_denies_and_does_not_leave(keyed, eids, place):
    """It may be an opted-out person's: in another form, or past the last one that is read."""
    body = {"identifiers": [{"type": "eid", "source": "pubcid.org", "value": MARK}], "choice": "opt_out"}
    await keyed.post("/v1/choices", json=body)
    user = {"eids": eids} if place == "user" else {"ext": {"eids": eids}}
    answer = await ask(keyed, bid(user=user))
    assert answer.headers["gateway-verdict"] == "contextual"
    assert MARK not in answer.text
    control = await ask(keyed, bid(user={"eids": [{"source": "pubcid.org", "uids": [{"id": "another"}]}]}))
    assert control.headers["gateway-verdict"] == "allow"


@pytest.mark.parametrize(
    "year", [2019, "2019", " 2019 ", 2019.0, "19", "unknown", True, [2019], {"y": 1}, 10**18, -1], ids=repr
)
async def test_a_childs_year_of_birth_counts_however_it_is_written_and_one_that_cannot_be_read_does_too(keyed, year):
    answer = await ask(keyed, bid(user={"yob": year}))
    assert answer.headers["gateway-verdict"] == "block"
    assert answer.json() == {}


@pytest.mark.parametrize("year", [1980, "1980", 1980.0, 0, "", None], ids=repr)
async def test_a_grown_persons_year_of_birth_or_none_at_all_blocks_nobody(keyed, year):
    assert (await ask(keyed, bid(user={"yob": year}))).headers["gateway-verdict"] == "allow"


@pytest.mark.parametrize("age", ["9" * 5000, "1000", "-1", "1e2", "٣٤", "34 "], ids=range(6))
async def test_an_age_that_is_none_is_the_callers_fault_and_no_fault_of_ours(keyed, age):
    answer = await ask(keyed, bid(), f"recipient=advertisers&age={age}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


BIDDERS = ("advertisers", "flurry", "teemo", "matching", "payments", "legal", "nobody")


async def patched_as_if_alone(keyed):
    """Of a bid request with a point, an address and keywords, by people who said something and who did not."""
    body = bid(user={"keywords": "news", "geo": {"lat": 40.7128, "lon": -74.006}})
    for more in ({}, {"regs": {"us_privacy": "1YYN"}}, {"user": {"yob": 2024}}):
        for data in ("", "&age=13_15", "&purpose=sale"):
            together = (await ask(keyed, body | more, "&".join(f"recipient={name}" for name in BIDDERS) + data)).json()
            for name in BIDDERS:
                patch = {"Accept": "application/json-patch+json"}
                alone = (await ask(keyed, body | more, f"recipient={name}{data}", **patch)).json()
                strip = [
                    {word: told for word, told in each[name].items() if word != "decision"}
                    for each in (together, alone)
                ]
                assert strip[0] == strip[1], (name, more, data)


async def test_each_of_many_bidders_gets_what_it_would_get_alone(keyed):
    await patched_as_if_alone(keyed)


@pytest.mark.parametrize("blind", [lambda *_: (), lambda *said: said[-1]], ids=["all alike", "by extensions"])
async def test_if_bidders_who_may_have_different_things_counted_as_alike_it_would_be_seen(keyed, monkeypatch, blind):
    monkeypatch.setattr(openrtb, "_alike", blind)
    with pytest.raises(AssertionError):
        await patched_as_if_alone(keyed)


async def test_what_is_the_same_for_many_bidders_is_cut_out_once(keyed, monkeypatch):
    cut = []
    real = openrtb.filtering.lawful
    monkeypatch.setattr(openrtb.filtering, "lawful", lambda *said: cut.append(said) or real(*said))
    names = [f"recipient={name}" for name in BIDDERS]
    found = (await ask(keyed, bid(regs={"us_privacy": "1YYN"}), "&".join(names))).json()
    assert len(found) == len(BIDDERS)
    assert 0 < len(cut) < sum(told["verdict"] != "block" for told in found.values())


async def test_a_request_with_more_ids_in_odd_places_than_are_looked_up_tells_nobody(keyed):
    """The last of them may be an opted-out person's. Long texts that have the form of none are no ids."""
    many = bid(site={"page": "https://example.com/?" + "&".join(f"u={gaid(number)}" for number in range(120))})
    answer = await ask(keyed, many)
    assert (answer.headers["gateway-verdict"], answer.headers["gateway-reason"]) == ("contextual", "malformed")
    texts = bid(site={"content": {"kwarray": [f"a word that is longer than an id, {number}" for number in range(500)]}})
    assert (await ask(keyed, texts)).headers["gateway-verdict"] == "allow"
    slots = bid(imp=[{"id": gaid(number), "banner": {"w": 1}, "ext": {"tid": gaid(number)}} for number in range(120)])
    assert (await ask(keyed, slots)).headers["gateway-verdict"] == "allow"


# --- an id that stands somewhere else than where a person's id does ---

ZONE, SLOT = "97987bca-ae59-4c7d-94ba-ee4f19ab8c99", "0b2a6f5e-4d4b-4d3a-9c55-1f7d6f2f3a10"
JANE, JANES_PHONE = "jane.roe@example.com", "+14155550107"
JANES = {
    "the digest of their address": hashlib.sha256(JANE.encode()).hexdigest(),
    "its SHA-1 in base64": base64.b64encode(hashlib.sha1(JANE.encode()).digest()).decode(),
    "the digest of their number": hashlib.sha256(JANES_PHONE.encode()).hexdigest(),
    "their number": "4155550107",
    "their number as a number": 14155550107,
    "their other phone's ad id": gaid(2),
    "that without hyphens": gaid(2).replace("-", "").upper(),
    "its digest": hashlib.sha256(gaid(2).encode()).hexdigest(),
    "a page with it": f"https://example.com/u/{gaid(2)}/x",
}
OUT_OF_IT = {"regs": {"ext": {"gpc": "1"}}}  # whoever asks said no themselves


async def jane_opts_out(keyed):
    """By her account, of which the ids are known: none of them is named by the requests below."""
    link = {
        "account": "jane",
        "identifiers": [
            {"type": "email", "value": JANE},
            {"type": "phone", "value": JANES_PHONE},
            {"type": "gaid", "value": gaid(2)},
        ],
    }
    assert (await keyed.post("/v1/links", json=link)).status_code in {200, 201}
    no = {"identifiers": [{"type": "account", "value": "jane"}], "choice": "opt_out"}
    assert (await keyed.post("/v1/choices", json=no)).status_code == 201


def with_bidders(**bags) -> dict:
    return {"imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "ext": {"prebid": {"bidder": bags}}}]}


@pytest.mark.parametrize("what", JANES)
async def test_a_bidders_parameter_that_is_an_opted_out_persons_id_does_not_stay(keyed, what):
    """Its schema names it and it is one word; it is another person's, too, or the caller would have named it."""
    await jane_opts_out(keyed)
    bags = with_bidders(admixer={"zone": "z", "customFloor": JANES[what]}, ix={"siteId": JANES[what]}, adf={"mid": 7})
    answer = await ask(keyed, bid(**bags, **OUT_OF_IT))
    assert answer.headers["gateway-verdict"] == "contextual"
    assert answer.json()["imp"][0]["ext"]["prebid"]["bidder"] == {"admixer": {"zone": "z"}, "adf": {"mid": 7}}
    assert str(JANES[what]) not in answer.text
    alone = await ask(keyed, bid(**with_bidders(ix={"siteId": JANES[what]}), **OUT_OF_IT))
    assert (alone.headers["gateway-verdict"], alone.json()) == ("block", {})


async def test_a_placement_that_looks_like_an_id_and_is_nobodys_stays(keyed):
    await jane_opts_out(keyed)
    bags = with_bidders(ix={"siteId": ZONE}, admixer={"zone": "4155550123"}, adf={"mid": 14155550123})
    answer = (await ask(keyed, bid(**bags, **OUT_OF_IT))).json()
    assert answer["imp"] == bid(**bags)["imp"]


@pytest.mark.parametrize(
    ("place", "verdict"),
    [("id", "block"), ("slot", "block"), ("one slot of two", "contextual"), ("a deal", "contextual"), ("badv", "contextual"), ("gpid", "contextual")],
)  # fmt: skip
async def test_an_opted_out_persons_id_in_an_id_of_the_auction_takes_what_is_called_so_with_it(keyed, place, verdict):
    await jane_opts_out(keyed)
    digest, slot = (
        JANES["its SHA-1 in base64"].rstrip("=").replace("+", "-").replace("/", "_"),
        {"id": "9", "banner": {"w": 1}},
    )
    request = {
        "id": bid(id=gaid(2)),
        "slot": bid(imp=[{"id": gaid(2)}]),
        "one slot of two": bid(imp=[{"id": gaid(2)}, slot]),
        "a deal": bid(imp=[slot | {"pmp": {"deals": [{"id": digest}, {"id": "d"}]}}]),
        "badv": bid(badv=[digest, "ads.example.com"]),
        "gpid": bid(imp=[slot | {"ext": {"gpid": digest}}]),
    }[place]
    answer = await ask(keyed, request | OUT_OF_IT)
    assert answer.headers["gateway-verdict"] == verdict
    assert gaid(2) not in answer.text
    assert digest not in answer.text
    control = await ask(keyed, bid(id=SLOT, imp=[{"id": ZONE}]) | OUT_OF_IT)
    assert (control.json()["id"], control.json()["imp"]) == (SLOT, [{"id": ZONE}])


@pytest.mark.parametrize("place", ["id", "imp.id", "tid", "ua", "badv", "bcat", "bapp"])
@pytest.mark.parametrize("value", [JANE, JANES_PHONE, f"{gaid(2)}"])
async def test_one_that_stands_in_a_browsers_text_or_a_long_list_is_asked_about(keyed, place, value):
    """Beside somebody who said nothing. An id of the auction that is a UUID is taken for the auction's there."""
    await jane_opts_out(keyed)
    more = {
        "id": {"id": value},
        "imp.id": {"imp": [{"id": value}]},
        "tid": {"source": {"tid": value}},
        "ua": {"device": {"ua": f"Mozilla/5.0 ({value})"}},
    }.get(place, {place: ["IAB25-3", value]})
    plain = {"id": "1", "imp": [{"id": "1"}], "device": bid()["device"]}
    answer = await ask(keyed, plain | {**more, "device": plain["device"] | more.get("device", {})})
    asked = value != gaid(2) or place not in {"id", "imp.id", "tid"}
    assert (answer.headers["gateway-verdict"] == "allow") == (not asked)
    assert (value in answer.text) == (not asked)
    assert (await ask(keyed, plain)).headers["gateway-verdict"] == "allow"


async def test_while_the_ledger_is_away_what_looks_like_an_id_goes_and_the_auctions_own_stays(keyed, monkeypatch):
    from gateway.choice.standing import Stale

    def away(*_, **__):
        raise Stale("away")

    monkeypatch.setattr("gateway.state.lookup.StateLookup.seen", away)
    answer = await ask(keyed, bid(id=SLOT, **with_bidders(ix={"siteId": ZONE}, adf={"mid": 7})))
    assert answer.headers["gateway-verdict"] == "contextual"
    assert (answer.json()["id"], ZONE in answer.text) == (SLOT, False)
    assert answer.json()["imp"][0]["ext"]["prebid"]["bidder"] == {"adf": {"mid": 7}}


async def test_more_that_look_like_ids_than_are_looked_up_are_taken_for_somebodys(keyed):
    (slot,) = with_bidders(ix={"siteId": "9"})["imp"]
    many = [slot | {"id": str(n), "ext": {"prebid": {"bidder": {"ix": {"siteId": gaid(100 + n)}}}}} for n in range(120)]
    answer = await ask(keyed, bid(imp=many, **OUT_OF_IT))
    assert len(answer.json()["imp"]) == openrtb.MOST_SUSPECTS


async def test_an_ad_id_that_may_go_is_no_trace_beside_what_may_not(keyed):
    """Somebody who said no to one thing is on record; what the others may have stays where they may have it."""
    no = {"identifiers": [{"type": "gaid", "value": gaid(1)}], "choice": "limit", "purposes": ["sensitive"]}
    assert (await keyed.post("/v1/choices", json=no)).status_code == 201
    request = bid(user={"keywords": "news", "geo": {"lat": 40.7128, "lon": -74.006, "country": "USA", "region": "NY"}})
    answer = await ask(keyed, request | with_bidders(ix={"siteId": gaid(1)}))
    assert answer.headers["gateway-verdict"] == "reduced", answer.headers
    assert answer.json()["device"]["ifa"] == gaid(1)
    assert answer.json()["imp"][0]["ext"]["prebid"]["bidder"] == {"ix": {"siteId": gaid(1)}}


JANES_DIGEST = JANES["the digest of their address"]


@pytest.mark.parametrize(
    ("value", "more"),
    [
        *((value, with_bidders(appnexus={name: value})) for value in (gaid(2), JANE, JANES_DIGEST) for name in ("ifa", "eids", "tid", "buyeruid", "consent")),
        (gaid(2), {"imp": [{"id": "1", "ext": {"prebid": {"tid": gaid(2)}}}]}),
        (JANE, {"user": {"eids": [{"source": JANE, "uids": []}]}}),
        (JANE, {"user": {"ext": {BAG_OF_CONSENT: {"more": JANE}}}}),
        (JANE, {"regs": {"ext": {"dsa": {"transparency": [{"domain": JANE}]}}}}),
        (JANE, with_bidders(appnexus={JANE: 1})),
        (JANE, {"imp": [{"id": "1", "ext": {"data": {JANE: 1}}}]}),
        (JANE, with_bidders(**{JANE: {"a": 1}})),
        (JANES_PHONE[1:], with_bidders(appnexus={"p": int(JANES_PHONE)})),
        *((each, {"imp": [{"id": "1", "tagid": each}]}) for each in ("jane.roe%40example.com", "%2B14155550107", "jane.roe&#64;example.com", "jane.roe＠example.com", "＋14155550107")),
        ("jane.roe%40example.com", {"id": "jane.roe%40example.com"}),
    ],
    ids=repr,
)  # fmt: skip
async def test_an_opted_out_persons_id_under_any_name_and_in_any_writing_leaves_beside_nobody(keyed, value, more):
    """Whose ad id the request has said nothing: where nobody opted out, the very same request is let go, but for an
    address or a number with its plus, which the recipient may not have.
    """
    answer = await ask(keyed, bid(**more))
    if value in {gaid(2), JANES_DIGEST, JANES_PHONE[1:]}:
        assert answer.headers["gateway-verdict"] == "allow"
        assert value in json.dumps(answer.json(), ensure_ascii=False)
    else:
        assert answer.headers["gateway-verdict"] in {"reduced", "block"}
        assert value not in json.dumps(answer.json(), ensure_ascii=False)
    await jane_opts_out(keyed)
    answer = await ask(keyed, bid(**more))
    assert answer.headers["gateway-verdict"] in {"contextual", "block"}
    assert value not in json.dumps(answer.json(), ensure_ascii=False)


async def test_long_numbers_that_are_nobodys_deny_nothing(keyed):
    """A time in milliseconds, a placement of ten digits: not each can be a phone number."""
    await jane_opts_out(keyed)
    bags = with_bidders(appnexus={"at": 1701234567890, "placement": "1234567890", "of": 9999999999, "x%41": "50% off"})
    answer = await ask(keyed, bid(**bags))
    assert (answer.headers["gateway-verdict"], answer.json()["imp"]) == ("allow", bags["imp"])


@pytest.mark.slow
def test_a_running_service_hands_out_no_opted_out_persons_id_in_a_parameter(tmp_path):
    import httpx2

    with service(tmp_path) as running, httpx2.Client(base_url=running.url, headers=inside.DEV) as calling:
        link = {
            "account": "jane",
            "identifiers": [{"type": "email", "value": JANE}, {"type": "gaid", "value": gaid(2)}],
        }
        assert calling.post("/v1/links", json=link).status_code in {200, 201}
        calling.post("/v1/choices", json={"identifiers": [{"type": "account", "value": "jane"}], "choice": "opt_out"})
        digest = hashlib.sha256(JANE.encode()).hexdigest()
        request = bid(**with_bidders(ix={"siteId": digest}, adf={"mid": 7}), device={"ifa": gaid(2), "os": "android"})
        answer = calling.post("/v1/openrtb?recipient=advertisers", json=request)
        assert answer.headers["gateway-verdict"] == "contextual"
        assert digest not in answer.text
        assert answer.json()["imp"][0]["ext"]["prebid"]["bidder"] == {"adf": {"mid": 7}}
