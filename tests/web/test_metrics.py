import threading

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from support.people import GAID, email, named, phone

from gateway.web.shell.metrics import QuickCounter

pytestmark = pytest.mark.anyio


async def numbers(client):
    return (await client.get("/metrics")).text


def value(text, name):
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


async def test_signals_choices_and_verdicts_of_people_are_counted(client, keyed):
    await client.get("/demo", headers={"Sec-GPC": "1"})
    await client.post("/privacy-choices", data={"action": "opt_out"})
    check = {"identifiers": [named("gaid", GAID)], "recipient": "teemo", "signals": {"gpc": "1"}}
    await keyed.post("/v1/check", json=check)
    text = await numbers(client)
    assert value(text, 'gateway_signals_total{channel="web",kind="gpc"}') == 1
    assert value(text, 'gateway_signals_total{channel="check",kind="gpc"}') == 1
    assert value(text, 'gateway_choices_total{kind="opt_out",source="form"}') == 1
    assert value(text, 'gateway_verdicts_total{allowed="false",mode="live",reason="gpc",recipient="teemo"}') == 1


async def test_every_request_is_timed_under_its_route_and_never_under_its_path(client):
    done = await client.post("/privacy-choices", data={"action": "opt_out"})
    await client.get(done.headers["location"])
    await client.get("/nowhere/secret-path")
    text = await numbers(client)
    assert 'route="/privacy-choices/done/{event}",status="200"' in text
    assert 'route="other",status="404"' in text
    assert "secret-path" not in text
    assert done.headers["location"].rpartition("/")[2] not in text


async def test_a_method_that_somebody_made_up_makes_no_new_label(client):
    await client.request("BREW", "/privacy-choices")
    text = await numbers(client)
    assert 'method="other"' in text
    assert "BREW" not in text


async def test_a_recipient_that_somebody_made_up_makes_no_new_label(client, keyed):
    for name in ("evil-1", "evil-2"):
        await keyed.post("/v1/check", json={"identifiers": [], "recipient": name})
    text = await numbers(client)
    assert (
        value(
            text, 'gateway_verdicts_total{allowed="false",mode="live",reason="unknown_recipient",recipient="unknown"}'
        )
        == 2
    )
    assert value(text, "gateway_checks_misconfigured_total") == 2
    assert "evil" not in text


async def test_signals_that_cannot_be_read_are_counted_by_their_kind(client, keyed):
    await client.get("/demo", headers={"Sec-GPC": "yes", "Cookie": "usprivacy=rubbish; __Host-gateway=forged"})
    await keyed.post("/v1/check", json={"identifiers": [], "recipient": "teemo", "signals": {"lmt": "maybe"}})
    await client.post("/privacy-choices", data={"action": "opt_out", "phone": "call me"})
    text = await numbers(client)
    for channel, reason in (
        ("gpc", "value"),
        ("us_privacy", "length"),
        ("browser", "cookie"),
        ("lmt", "value"),
        ("form", "identifier"),
    ):
        assert value(text, f'gateway_malformed_signals_total{{channel="{channel}",reason="{reason}"}}') == 1, channel


async def test_forms_that_were_refused_are_counted(client):
    await client.post("/privacy-choices", data={"action": "opt_out"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert value(await numbers(client), 'gateway_forms_refused_total{why="cross_site"}') == 1


async def test_no_number_names_a_person(client, keyed):
    await client.post("/privacy-choices", data={"action": "opt_out", "phone": phone(7), "email": email(7)})
    await keyed.post("/v1/choices", json={"identifiers": [named("gaid", GAID)], "choice": "opt_out"})
    await keyed.post("/v1/check", json={"identifiers": [named("email", email(7))], "recipient": "teemo"})
    text = await numbers(client)
    for typed in (phone(7), phone(7)[2:], email(7), GAID):
        assert typed not in text


async def test_the_entries_that_prometheus_sees_are_the_ledgers(client):
    await client.post("/privacy-choices", data={"action": "opt_out", "phone": phone(7)})
    entries = (await client.get("/readyz")).json()["ledger"]["entries"]
    assert f"gateway_ledger_entries {float(entries)}" in await numbers(client)


def test_a_quick_counter_counts_what_several_threads_count_however_often_it_is_looked_at():
    registry = CollectorRegistry()
    tally = QuickCounter(registry, "answers", "Answers", ("word",))

    def count():
        for _ in range(5_000):
            tally.of("yes")()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        generate_latest(registry)
    tally.of("no")()
    for _ in range(2):
        text = generate_latest(registry).decode()
        assert value(text, 'gateway_answers_total{word="yes"}') == 20_000
        assert value(text, 'gateway_answers_total{word="no"}') == 1
