"""A CDN that keeps pages by their address alone (I32): with `[site] cached` no page of it is anybody's."""

import http.client
import itertools
import json
import sys
import time

import anyio
import pytest
from support import inside
from support.crossing import SAY_NOTHING, crowd, leaked, visit
from support.people import named
from support.ports import free_port
from support.proxies import NEW_YORK, nginx, program
from support.service import HERE

from gateway.keys import api_keys, secret_files

pytestmark = pytest.mark.slow
TIMES, SEED = 1000, 32
SAME = "sale=?0, sharing=?0, targeted_ads=?0, status=unknown"
NEW = {**named("browser", "new"), "host": "www.example.com"}
CDN = f"""
proxy_cache_path /var/cache/nginx-pages keys_zone=pages:10m;
server {{{{
  listen 80;
  location = /up.txt {{{{ return 200; }}}}
  location / {{{{
    proxy_cache pages; proxy_ignore_headers Set-Cookie Vary; add_header X-Cache $upstream_cache_status always;
    proxy_bind {NEW_YORK}; proxy_pass http://{{site}}; proxy_set_header Host $http_host;
  }}}}
}}}}"""


async def opted_out(folder, secret):
    soon = int(time.time()) + 3600
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as keyed:
        cookies = [
            (await keyed.post("/v1/observe", json={"identifiers": [NEW]})).json()["cookie"]["value"] for _ in "abcd"
        ]
        accounts = [f"a{n}" for n in range(4)]
        everybody = [*(named("browser", cookie) for cookie in cookies), *(named("account", name) for name in accounts)]
        await keyed.post("/v1/choices", json={"identifiers": everybody, "choice": "opt_out", "place": "US-CA"})
    return cookies, [api_keys.assert_account(secret, name, soon) for name in accounts]


@pytest.fixture
def visitors(folder):
    return crowd(*anyio.run(opted_out, folder, secret_files.load_secrets(folder).accounts[-1]))


@pytest.fixture
def behind(folder, tool, tmp_path, visitors):
    """The answers of a crowd through a new CDN, and what the status then says to each of them."""
    lives = itertools.count(1)

    def run(**environment):
        life = next(lives)
        port = free_port()
        command = [sys.executable, "-m", "support.crossing_site", "--port", str(port), "--data", str(folder)]
        sign = f"http://127.0.0.1:{port}/"
        with (
            program(command, tmp_path / "site.log", sign, PYTHONPATH=HERE, **environment),
            nginx(tool("nginx"), tmp_path / f"cache{life}", CDN.format(site=f"127.0.0.1:{port}")) as url,
        ):
            answers = visit(url, visitors, TIMES, SEED + life)
            return answers, [(visitor, status(url, visitor)) for visitor in visitors]

    return run


def status(url, visitor):
    host, _, port = url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), 30, (NEW_YORK, 0))
    connection.request("GET", "/privacy-choices/status", headers=visitor.headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return body["status"]


def test_no_page_of_it_is_anybodys_and_the_status_tells_each_visitor_apart(behind, figure):
    answers, told = behind(GATEWAY_SITE__CACHED="true")
    assert {answer.page.partition("|")[0] for answer in answers} == {SAME}
    assert [answer.cookies for answer in answers if answer.cookies] == []
    hits = sum(answer.hit for answer in answers)
    figure("answers out of a CDN that passes over Vary", f"{hits} of {len(answers)}")
    assert hits > len(answers) * 0.9
    assert {visitor.name: word for visitor, word in told} == {
        visitor.name: "not_opted_out" if visitor.kind in SAY_NOTHING else "opted_out" for visitor, _ in told
    }


def test_without_that_option_such_a_cdn_hands_one_persons_page_to_others(behind):
    """Control."""
    wanted = {"gpc", "none"}
    assert leaked(lambda: behind()[0], wanted) >= wanted
