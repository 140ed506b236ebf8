import asyncio
import contextlib
import gzip
import hashlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.people import GAID, ZERO, gaid, named

from gateway.app.composition import open_house
from gateway.consent.verbs import Consent
from gateway.keys import api_keys
from gateway.settings.load import SettingsRefused

pytestmark = pytest.mark.anyio
PATH = "/v1/shares/teemo"
NDJSON = {"Content-Type": "application/x-ndjson"}
LINKED = 6  # people whose ad ids belong to an account


def row(number=1, **members):
    data = {"lat": 37.77493, "lon": -122.41942, "ad_id": gaid(number)}
    return {"id": f"r{number}", "identifiers": [named("gaid", gaid(number))], "data": data, "place": "US-CA"} | members


async def share(client, *rows, path=PATH, encode=lambda body: body, **headers):
    """(answer, lines by id, last line)"""
    content = b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in rows)
    answer = await client.post(path, content=encode(content), headers=NDJSON | headers)
    told = [json.loads(line) for line in answer.text.splitlines()]
    return answer, told[:-1], told[-1]


@pytest.fixture
async def linked(keyed):
    """The development key, and people 0 to 5, each with an account."""
    content = b"\n".join(
        json.dumps({"account": f"a{number}", "identifiers": [named("gaid", gaid(number))]}).encode()
        for number in range(LINKED)
    )
    assert (await keyed.post("/v1/links", content=content, headers=NDJSON)).status_code == 200
    return keyed


def fields(line) -> dict:
    """Of a row that came back, what was shared of it."""
    assert len(line["row"]["row"]) == 22
    return {name: value for name, value in line["row"].items() if name != "row"}


async def acknowledge(client, *said, **more) -> list[dict]:
    """Each answer, without the end."""
    lines = "\n".join(json.dumps({"outcome": "sent"} | one | more) for one in said)
    answer = await client.post("/v1/disclosures", content=lines, headers=NDJSON)
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()][:-1]


def kind(answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["type"].rpartition(":")[2]


def disclosed(folder) -> list[tuple[str, str]]:
    """(classes, outcome) of every disclosure."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return db.execute("SELECT classes, outcome FROM disclosure ORDER BY batch, row").fetchall()


async def opt_out(keyed, *identifiers):
    body = {"identifiers": list(identifiers), "choice": "opt_out"}
    assert (await keyed.post("/v1/choices", json=body)).status_code == 201


async def test_a_row_of_somebody_who_said_nothing_comes_back_with_a_coarse_point(linked, tmp_path):
    answer, (told,), last = await share(linked, row())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.headers["cache-control"] == "no-store"
    handle, until, mark = told["row"]["row"], told.pop("valid_until"), told.pop("mark")
    assert mark
    assert told == {
        "id": "r1",
        "outcome": "returned",
        "reason": "coarsened",
        "data": {"ad_id": "allow", "precise_geo": "coarsen"},
        "row": {"lat": 37.8, "lon": -122.4, "ad_id": gaid(1), "row": handle},
    }
    assert last["summary"].pop("valid_until") == until > "2026"
    assert last == {
        "summary": {"rows": 1, "sent": 0, "returned": 1, "duplicate": 0, "unknown": 0, "refused": {}, "dropped": {}},
        "complete": True,
    }
    assert disclosed(tmp_path / "data") == [("ad_id,coarse_geo", "possible")]


async def test_a_row_of_an_opted_out_person_does_not_go_and_its_neighbours_do(linked, tmp_path):
    await opt_out(linked, named("account", "a2"))
    _, told, last = await share(linked, row(1), row(2), row(3))
    assert [line["outcome"] for line in told] == ["returned", "refused", "returned"]
    assert told[1]["reason"] == "opted_out"
    assert set(told[1]["data"].values()) == {"deny"}
    assert "row" not in told[1]
    assert last["summary"]["refused"] == {"opted_out": 1}
    assert len(disclosed(tmp_path / "data")) == 2


async def test_a_precise_point_goes_only_with_this_persons_opt_in_for_this_recipient(linked):
    proof = {"kind": "account", "assertion": "dev"}
    told = (await linked.get("/v1/self")).json()["notices"]
    first, second = (
        {"sha256": notice["sha256"]}
        for notice in told
        if notice["kind"] in {"opt-in", "confirm"} and notice["language"] == "en"
    )
    ask = {
        "choice": "opt_in",
        "purposes": ["sale"],
        "recipient": "teemo",
        "data": ["precise_geo"],
        "proof": proof,
        "identifiers": [named("gaid", gaid(1))],
        "notice": first,
    }
    token = (await linked.post("/v1/choices", json=ask)).json()["confirm"]
    act = {"choice": "confirm", "confirm": token, "proof": proof, "notice": second}
    assert (await linked.post("/v1/choices", json=act)).status_code == 201
    _, told, _ = await share(
        linked, row(1), row(2), row(1, id="md", place="US-MD"), row(1, id="or", place=["US-OR", "US-CA"])
    )
    assert told[0]["row"]["lat"] == 37.77493
    assert [line["row"]["lat"] for line in told[1:]] == [37.8] * 3


async def test_a_field_that_nobody_mapped_never_goes(linked):
    given = {"note": "x", "LAT": 1.23456, "email": "p@example.com", "": 1, "accuracy": 5, "ad_id": gaid(1)}
    _, (told,), _ = await share(linked, row(data=given))
    assert fields(told) == {"ad_id": gaid(1)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": {}}, "malformed"),
        ({"data": {"note": "x"}}, "malformed"),
        ({"data": {"ad_id": None}}, "malformed"),
        ({"identifiers": []}, "no_identifier"),
        ({"identifiers": [named("gaid", ZERO)]}, "limited"),
        ({"identifiers": [named("gaid", gaid(1)), named("gaid", ZERO)]}, "limited"),
        ({"identifiers": [named("nonsense", "x")]}, "undeclared_identifier"),
        ({"identifiers": [named("gaid", gaid(1)), named("email", "rubbish")]}, "malformed"),
        ({"identifiers": [named("gaid", gaid(99))]}, "unlinked"),
        ({"place": None}, "place_unknown"),
        ({"place": "US"}, "place_unknown"),
        ({"place": "DE"}, "opt_in_required"),
        ({"place": "somewhere"}, "place_unknown"),
        ({"place": ["US-CA", "DE"]}, "opt_in_required"),
    ],
)
async def test_a_row_about_which_anything_is_in_doubt_does_not_go(linked, change, reason):
    _, (told,), last = await share(linked, row(1) | change)
    assert (told["outcome"], told["reason"]) == ("refused", reason)
    assert last["complete"]


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        (b"not json", ""),
        (b"[]", ""),
        (b"7", ""),
        (b"{}", ""),
        ({"id": "x"}, "x"),
        ({"id": 7, "identifiers": [], "data": {}}, ""),
        (row(1, id=""), ""),
        (row(1, id="y" * 300), "y" * 256),
        (row(1, extra=1), "r1"),
        (row(1, data=[]), "r1"),
        (row(1, identifiers=[{"type": "gaid", "value": GAID, "typ": 1}]), "r1"),
        (row(1, at="yesterday"), "r1"),
        (row(1, at="2999-01-01T00:00:00Z"), "r1"),
        (row(1, at=10**18), "r1"),
        (row(1, at="0001-01-01T00:00:00+23:59"), "r1"),
        (row(1, at=1.5), "r1"),
        (row(1, at={}), "r1"),
        (row(1, place=5), "r1"),
    ],
)
async def test_a_row_that_cannot_be_read_is_refused_alone(linked, bad, name):
    answer, told, last = await share(linked, row(2), bad, row(3))
    assert answer.status_code == 200
    assert [line["outcome"] for line in told] == ["returned", "refused", "returned"]
    assert (told[1]["id"], told[1]["reason"]) == (name, "malformed")
    assert last["summary"]["refused"] == {"malformed": 1}


@pytest.mark.parametrize(
    "at", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+02:00", "2026-01-01", 1_700_000_000_000, None]
)
async def test_a_row_with_its_time_goes(linked, at):
    _, (told,), _ = await share(linked, row(1, at=at))
    assert told["outcome"] == "returned"


async def test_clocks_may_differ_a_little(linked):
    soon = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    late = (datetime.now(UTC) + timedelta(minutes=6)).isoformat()
    _, told, _ = await share(linked, row(1, at=soon), row(2, at=late))
    assert [line["outcome"] for line in told] == ["returned", "refused"]


async def test_a_row_that_left_is_a_duplicate_in_this_call_and_the_next(linked, tmp_path):
    _, told, last = await share(linked, row(1), row(1), row(2))
    assert [line["outcome"] for line in told] == ["returned", "duplicate", "returned"]
    assert last["summary"]["duplicate"] == 1
    await acknowledge(linked, {"id": "r1"}, {"id": "r2"}, recipient="teemo")
    _, told, _ = await share(linked, row(2), row(3), row(1))
    assert [line["outcome"] for line in told] == ["duplicate", "returned", "duplicate"]
    assert len(disclosed(tmp_path / "data")) == 3


async def test_a_row_that_was_refused_is_no_duplicate_when_it_is_posted_again(linked):
    _, (told,), _ = await share(linked, row(1, place="DE"))
    assert told["outcome"] == "refused"
    _, (told,), _ = await share(linked, row(1))
    assert told["outcome"] == "returned"


async def test_another_recipient_has_row_ids_of_its_own(linked):
    await share(linked, row(1))
    _, (told,), _ = await share(linked, row(1, data={"ad_id": gaid(1)}), path="/v1/shares/matching")
    assert told["outcome"] == "returned"


async def test_one_row_as_json_is_a_call_too(linked):
    answer = await linked.post(PATH, json=row(1))
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert (told[0]["outcome"], told[-1]["complete"]) == ("returned", True)


async def test_a_call_without_rows_is_complete(linked):
    _, told, last = await share(linked)
    assert (told, last["summary"]["rows"], last["complete"]) == ([], 0, True)


async def test_an_email_leaves_only_as_its_hash(linked):
    link = {"account": "a1", "identifiers": [named("email", "p@example.com")]}
    await linked.post("/v1/links", json=link)
    asked = row(1, identifiers=[named("email", "p@example.com")], data={"email": "P@Example.com"})
    _, (told,), _ = await share(linked, asked, path="/v1/shares/matching")
    assert fields(told) == {"email": hashlib.sha256(b"p@example.com").hexdigest()}


# --- the size and shape of a call ----------------------------------------------------------------------------------


async def test_too_many_rows_are_refused_before_any_is_taken(linked, tmp_path):
    answer, *_ = await share(linked, *[row(1)] * 10_001)
    assert (answer.status_code, kind(answer)) == (413, "too_large")
    assert disclosed(tmp_path / "data") == []


async def test_the_operator_sets_how_many_rows_a_call_has(tmp_path):
    settings = inside.settings(share__max_rows="2", share__max_mib="1")
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:
        assert (await share(client, row(1), row(2)))[0].status_code == 200
        assert (await share(client, row(1), row(2), row(3)))[0].status_code == 413
        large = await client.post(PATH, content=b" " * (2**20 + 1), headers=NDJSON)
        assert (large.status_code, kind(large)) == (413, "too_large")


async def test_a_large_share_may_come_packed(linked):
    answer, told, _ = await share(linked, row(1), row(2), encode=gzip.compress, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 200
    assert [line["outcome"] for line in told] == ["returned", "returned"]


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(b"\n" * (17 * 2**20)), "gzip", 413),
        (gzip.compress(gzip.compress(b" " * (17 * 2**20))), "gzip", 200),  # a bomb in a bomb is one row of rubbish
        (b"not gzip", "gzip", 400),
        (gzip.compress(b"{}", mtime=0)[:-4], "gzip", 400),
        (b"", "gzip", 400),
        (b"{}", "br", 415),
        (b"{}", "gzip, gzip", 415),
        (b"\n" * (17 * 2**20), "identity", 413),
    ],
)
async def test_a_body_that_cannot_be_unpacked_safely_is_refused(linked, tmp_path, body, encoding, status):
    answer = await linked.post(PATH, content=body, headers=NDJSON | {"Content-Encoding": encoding})
    assert answer.status_code == status
    assert disclosed(tmp_path / "data") == []


async def test_a_body_that_says_no_length_is_measured_as_it_comes(linked):
    async def endless():
        for _ in range(20):
            yield b"\n" * 2**20

    answer = await linked.post(PATH, content=endless(), headers=NDJSON)
    assert (answer.status_code, kind(answer)) == (413, "too_large")


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "text/csv"])
async def test_a_share_is_json(linked, media):
    answer = await linked.post(PATH, content=b"{}", headers={"Content-Type": media})
    assert (answer.status_code, kind(answer)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("name", ["nobody", "TEEMO", "%00", "teemo%20"])
async def test_a_recipient_that_nobody_configured_gets_nothing(linked, name):
    answer = await linked.post(f"/v1/shares/{name}", content=b"{}", headers=NDJSON)
    assert (answer.status_code, kind(answer)) == (404, "not_found")


async def test_a_caller_needs_the_scope_and_a_recipient_an_endpoint(tmp_path):
    settings = inside.settings(recipients__teemo__contract="C-1")
    async with inside.application(tmp_path / "data", settings, dev=False) as app, inside.client(app) as client:
        folder, names = tmp_path / "data", ("check", "desk", "share")
        made = [
            await asyncio.to_thread(api_keys.add_api_key, folder, name, [name], publishable=False) for name in names
        ]
        answers = [await client.post(PATH, json=row(1), headers={"Authorization": f"Bearer {key}"}) for key in made]
        assert [answer.status_code for answer in answers] == [403, 403, 404]
        assert (await client.post(PATH, json=row(1))).status_code == 401


async def test_rows_that_could_not_be_recorded_do_not_go(linked, tmp_path):
    with inside.ledger_away(tmp_path / "data"):
        answer = await linked.post(PATH, json=row(1))
        again = await linked.post(PATH, json=row(2))
    assert (answer.status_code, kind(answer)) == (503, "store_unavailable")
    assert kind(again) == "store_unavailable"
    assert disclosed(tmp_path / "data") == []


async def test_a_share_never_asks_the_person_facing_rooms(linked, monkeypatch):
    def never(*_, **__):
        raise AssertionError("a share writes no choice")

    monkeypatch.setattr(Consent, "choose", never)
    monkeypatch.setattr(Consent, "observe", never)
    assert (await share(linked, row(1)))[1][0]["outcome"] == "returned"


async def opted_in(keyed, person: int) -> str:
    """A person's opt-in to precise points for teemo; its event."""
    shown = {item["kind"]: item["sha256"] for item in (await keyed.get("/v1/self")).json()["notices"]}
    proof = {"kind": "account", "assertion": "dev"}
    body = {
        "identifiers": [named("gaid", gaid(person))],
        "choice": "opt_in",
        "purposes": ["sale"],
        "proof": proof,
        "recipient": "teemo",
        "data": ["precise_geo"],
        "notice": {"sha256": shown["opt-in"]},
    }
    asked = (await keyed.post("/v1/choices", json=body)).json()
    body = {"choice": "confirm", "confirm": asked["confirm"], "proof": proof, "notice": {"sha256": shown["confirm"]}}
    done = await keyed.post("/v1/choices", json=body)
    assert done.status_code == 201
    return done.json()["event"]


class TestTheProofOfAnOptIn:
    async def test_travels_on_each_precise_row_and_on_no_other(self, linked):
        event = await opted_in(linked, 1)
        _, (precise, coarse), _ = await share(linked, row(1, place="US-NY"), row(2, place="US-NY"))
        (proof,) = precise["row"]["consent"]
        assert proof["receipt"] == event
        assert proof["purpose"] == "sale"
        assert datetime.fromisoformat(proof["at"]) <= datetime.now(UTC)
        assert proof["version"]
        assert len(proof["notice"]) == 43  # 32 bytes in base64url
        assert precise["row"]["lat"] == 37.77493
        assert (await linked.get(f"/v1/receipts/{proof['receipt']}")).status_code == 200
        assert fields(coarse) == {"lat": 37.8, "lon": -122.4, "ad_id": gaid(2)}

    async def test_is_of_the_newest_opt_in(self, linked):
        await opted_in(linked, 1)
        again = await opted_in(linked, 1)
        _, (precise,), _ = await share(linked, row(1, place="US-NY"))
        assert precise["row"]["consent"][0]["receipt"] == again

    async def test_is_not_to_be_had_and_the_row_does_not_leave(self, linked, tmp_path, monkeypatch):
        """Whatever the verdict says: a proof that the ledger no longer has proves nothing."""
        await opted_in(linked, 1)
        monkeypatch.setattr("gateway.ledger.acts.records.proof_of_opt_in", lambda *_: None)
        _, (refused,), _ = await share(linked, row(1, place="US-NY"))
        assert (refused["outcome"], refused["reason"], refused.get("row")) == ("refused", "opt_in_required", None)
        assert disclosed(tmp_path / "data") == []

    async def test_is_asked_for_whatever_allowed_the_point(self, linked, monkeypatch):
        """The control: a verdict that forgets the opt-in sends no exact point all the same."""
        from gateway.choice import verdict
        from gateway.choice.question import Ruling
        from gateway.choice.rules.case import ALLOW

        rules = tuple(
            rule._replace(apply=lambda case: Ruling(ALLOW, "no_choice", "")) if rule.name == "precise" else rule
            for rule in verdict.ORDER
        )
        monkeypatch.setattr(verdict, "ORDER", rules)
        verdict.decide.cache_clear()
        _, (refused,), _ = await share(linked, row(3, place="US-NY"))
        verdict.decide.cache_clear()
        assert (refused["outcome"], refused["reason"]) == ("refused", "opt_in_required")


async def test_a_row_that_is_too_old_or_of_no_known_age_is_refused_where_the_recipient_wants_fresh_ones(tmp_path):
    settings = inside.settings(recipients__teemo__max_age_days="30")
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:
        body = {"account": "a1", "identifiers": [named("gaid", gaid(1))]}
        assert (await client.post("/v1/links", json=body)).status_code == 201
        now = datetime.now(UTC)
        days = {"fresh": 29, "old": 31, "ahead": -1}
        rows = [row(1, id=name, at=(now - timedelta(days=back)).isoformat()) for name, back in days.items()]
        _, told, _ = await share(client, *rows, row(1, id="unknown"))
    assert [line["outcome"] for line in told] == ["returned", "refused", "refused", "refused"]
    assert {line["reason"] for line in told[1:]} == {"malformed"}


async def test_what_was_measured_with_a_point_leaves_with_it_or_not_at_all(linked):
    measured = {"accuracy": 4, "altitude": 12.5, "speed": 1.2, "heading": 270}
    data = {"lat": 37.70, "lon": -122.41942, "wifi_ssid": "home", **measured}
    await opted_in(linked, 1)
    _, (exact, coarse), last = await share(linked, row(1, data=data, place="US-NY"), row(2, data=data, place="US-NY"))
    assert {name: exact["row"][name] for name in measured} == measured
    assert set(fields(coarse)) == {"lat", "lon"}
    assert last["summary"]["dropped"]["unmapped"] == 2  # nobody named the network


class TestSensitivePlaces:
    """A clinic in San Francisco, where every row of these tests was taken."""

    @pytest.fixture
    async def with_clinic(self, tmp_path):
        listed = tmp_path / "sensitive.csv"
        listed.write_text("name,lat,lon,radius_m\nclinic,37.7750,-122.4195,100\n")
        settings = inside.settings(places__sensitive=str(listed))
        async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:
            for number in (1, 2):
                body = {"account": f"a{number}", "identifiers": [named("gaid", gaid(number))]}
                assert (await client.post("/v1/links", json=body)).status_code == 201
            yield client

    async def test_a_point_in_one_goes_neither_exactly_nor_coarsely_and_a_point_elsewhere_does(self, with_clinic):
        await opted_in(with_clinic, 1)
        elsewhere = {"lat": 37.70, "lon": -122.41942, "ad_id": gaid(1)}
        rows = [row(1, place="US-NY"), row(2, place="US-NY"), row(1, id="away", data=elsewhere, place="US-NY")]
        _, told, _ = await share(with_clinic, *rows)
        for line in told[:2]:  # with an opt-in, and without
            assert line["reason"] == "sensitive_place"
            assert line["data"] == {"ad_id": "allow", "precise_geo": "deny"}
            assert set(fields(line)) == {"ad_id"}
        assert told[2]["row"]["lat"] == 37.70

    async def test_what_cannot_be_looked_up_does_not_go(self, with_clinic):
        for number, spot in enumerate(
            [{"lat": 37.70}, {"lat": "x", "lon": "y"}, {"lat": 38.5, "lon": -122, "accuracy": 20_000}]
        ):
            _, (line,), _ = await share(with_clinic, row(1, id=str(number), data=spot, place="US-NY"))
            assert (line["outcome"], line["reason"]) == ("refused", "sensitive_place")

    async def test_a_check_that_says_where_is_told_so(self, with_clinic):
        body = {
            "identifiers": [named("gaid", gaid(1))],
            "recipient": "advertisers",
            "place": "US-NY",
            "data": ["ad_id", "coarse_geo"],
            "geo": {"lat": 37.775, "lon": -122.4195},
        }
        answer = (await with_clinic.post("/v1/check", json=body)).json()
        assert (answer["data"], answer["reason"]) == ({"ad_id": "allow", "coarse_geo": "deny"}, "sensitive_place")
        body["recipient"], body["data"] = "legal", ["precise_geo"]
        assert (await with_clinic.post("/v1/check", json=body)).json()["allowed"] is True

    async def test_without_a_list_the_same_rows_leave(self, linked):
        """The control."""
        _, (line,), _ = await share(linked, row(2, place="US-NY"))
        assert fields(line) == {"lat": 37.8, "lon": -122.4, "ad_id": gaid(2)}

    async def test_a_list_that_cannot_be_read_refuses_to_start(self, tmp_path):
        listed = tmp_path / "sensitive.csv"
        listed.write_text("lat,lon\n1,2\n")
        with (
            pytest.raises(SettingsRefused, match="radius_m"),
            open_house(tmp_path, inside.settings(places__sensitive=str(listed))),
        ):
            pass
