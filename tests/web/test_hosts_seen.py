"""The door that a page's script tells hosts at: from anybody, so bounded, and nothing of anybody (R1)."""

import asyncio

import pytest
from support import inside

from gateway.web.site import hosts

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices/hosts"


@pytest.fixture
async def seen(tmp_path):
    """A client of a site with the inventory on; and what lies in its table."""
    configured = inside.settings(site__inventory="true")
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        client.folder = tmp_path / "data"
        yield client


async def table(client):
    return [each.host for each in await asyncio.to_thread(hosts.read_hosts, client.folder)]


async def counted(client, outcome):
    text = (await client.get("/metrics")).text
    line = next(
        (each for each in text.splitlines() if each.startswith(f'gateway_hosts_seen_total{{outcome="{outcome}"}}')),
        "x 0",
    )
    return float(line.split()[1])


async def test_hosts_of_a_page_are_in_the_table_by_name_alone(seen):
    answer = await seen.post(
        PATH, json={"hosts": ["cdn.example.net", "pixel.example.org"], "page": "/account?mail=a@example.com"}
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert await table(seen) == ["cdn.example.net", "pixel.example.org"]


async def test_the_site_itself_is_no_host_of_the_table(seen):
    here = seen.base_url.host
    await seen.post(PATH, json={"hosts": [here, "cdn.example.net"]}, headers={"Host": f"www.example.com:{8080}"})
    await seen.post(PATH, json={"hosts": ["www.example.com"]}, headers={"Host": "WWW.example.com:8080"})
    assert "www.example.com" not in await table(seen)


async def test_garbage_is_counted_and_the_rest_of_a_list_is_taken(seen):
    said = ["cdn.example.net", "anna@example.com", "10.0.0.1", 7, None, {"host": "x"}, "a/b", "x" * 10_000]
    assert (await seen.post(PATH, json={"hosts": said})).status_code == 204
    assert await table(seen) == ["cdn.example.net"]
    assert await counted(seen, "unreadable") == 7
    assert await counted(seen, "new") == 1


async def test_a_page_of_a_thousand_hosts_is_cut(seen):
    assert (await seen.post(PATH, json={"hosts": [f"h{n}.example.net" for n in range(500)]})).status_code == 204
    assert len(await table(seen)) <= 64
    assert await counted(seen, "too_many") >= 500 - 64


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400), (b"[]", {}, 400), (b"7", {}, 400), (b"{}", {}, 400), (b'{"hosts": "a.example"}', {}, 400),
        (b'{"hosts": ["' + b"a" * 20_000 + b'"]}', {}, 413), (b'{"hosts": []}', {"Content-Type": "text/plain"}, 415),
        (b'{"hosts": ["a.example"]}', {"Sec-Fetch-Site": "cross-site"}, 403),
        (b'{"hosts": ["a.example"]}', {"Sec-Fetch-Site": "same-site"}, 403),
        (b'{"hosts": ["a.example"]}', {"Origin": "https://evil.example"}, 403),
    ],
)  # fmt: skip
async def test_what_is_no_list_of_this_sites_own_page_is_refused_and_writes_nothing(seen, body, headers, status):
    answer = await seen.post(PATH, content=body, headers={"Content-Type": "application/json"} | headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert await table(seen) == []


async def test_a_disk_that_takes_nothing_breaks_no_page_and_is_tried_again(seen, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(hosts, "write_durably", full)
        assert (await seen.post(PATH, json={"hosts": ["a.example.net"]})).status_code == 204
    assert await table(seen) == []
    assert await counted(seen, "not_saved") == 1
    await seen.post(PATH, json={"hosts": ["a.example.net"]})
    assert await table(seen) == ["a.example.net"]


async def test_the_status_asks_for_it_only_where_the_operator_wants_it(seen, client):
    assert (await seen.get("/privacy-choices/status")).json()["inventory"] is True
    assert "inventory" not in (await client.get("/privacy-choices/status")).json()
    assert (await client.post(PATH, json={"hosts": []})).status_code == 404


ELSEWHERE = "https://www.example.com"


async def test_the_operators_other_site_tells_its_hosts_too_and_a_strangers_does_not(tmp_path):
    configured = inside.settings(site__inventory="true", site__origins=ELSEWHERE)
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as client:
        client.folder = tmp_path / "data"
        for origin, hers in ((ELSEWHERE, ELSEWHERE), ("https://evil.example", None)):
            asked = {"Origin": origin, "Sec-Fetch-Site": "same-site"}
            leave = await client.options(PATH, headers={**asked, "Access-Control-Request-Method": "POST"})
            told = await client.post(PATH, json={"hosts": [f"cdn.{origin[8:]}"]}, headers=asked)
            assert (leave.status_code, told.status_code) == (204, 204 if hers else 403)
            for each in (leave, told):
                assert each.headers.get("access-control-allow-origin") == hers
                assert "Origin" in each.headers["vary"]
            assert leave.headers.get("access-control-allow-headers") == (hers and "Content-Type")
        assert await table(client) == ["cdn.www.example.com"]
