"""No shared cache hands one visitor's answer to another, in either direction (R33): by header, cookie or account opted
out, and not at all. Each protection is taken away once, and then the leak is found."""

import sys
import time

import anyio
import pytest
from support import inside
from support.crossing import crowd, leaks, visit
from support.people import named
from support.proxies import nginx, program
from support.service import HERE, free_port

from gateway import credentials, keys

pytestmark = pytest.mark.slow
TIMES, SEED = 2000, 33
NEW = {**named("browser", "new"), "host": "www.example.com"}
# A cache as sites have it: the site's own life of a page counts, and a cookie in an answer does not stop it (I32).
CACHE = """
proxy_cache_path /var/cache/nginx/pages keys_zone=pages:10m;
server {{
  listen 80;
  location = /up.txt {{ return 200; }}
  location / {{
    proxy_cache pages; proxy_ignore_headers Set-Cookie; add_header X-Cache $upstream_cache_status always;
    proxy_pass http://{site};
  }}
}}"""


async def opted_out(folder, secret: bytes) -> tuple[list[str], list[str]]:
    """The cookies of four browsers and the assertions of four people, all of whom opted out."""
    soon = int(time.time()) + 3600
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as keyed:
        made = [await keyed.post("/v1/observe", json={"identifiers": [NEW]}) for _ in range(4)]
        cookies = [answer.json()["cookie"]["value"] for answer in made]
        accounts = [f"a{n}" for n in range(4)]
        everybody = [*(named("browser", cookie) for cookie in cookies), *(named("account", name) for name in accounts)]
        answer = await keyed.post("/v1/choices", json={"identifiers": everybody, "choice": "opt_out", "place": "US-CA"})
        assert answer.status_code == 201
    return cookies, [credentials.assert_account(secret, name, soon) for name in accounts]


@pytest.fixture
def visitors(folder):
    return crowd(*anyio.run(opted_out, folder, keys.load(folder).accounts[-1]))


@pytest.fixture
def asgi(folder, tool, tmp_path):
    """An ASGI site behind nginx's cache, with one protection broken or none."""

    def run(visitors, *, broken: str = ""):
        port = free_port()
        command = [sys.executable, "-m", "support.crossing_site", "--port", str(port), "--data", str(folder), "--break"]
        with (
            program([*command, broken], tmp_path / "site.log", f"http://127.0.0.1:{port}/", PYTHONPATH=HERE),
            nginx(tool("nginx"), tmp_path / "nginx", CACHE.format(site=f"127.0.0.1:{port}")) as url,
        ):
            return visit(int(url.rpartition(":")[2]), visitors, TIMES, SEED)

    return run


def test_of_two_thousand_pages_of_an_asgi_site_behind_a_cache_none_is_somebody_elses(asgi, visitors, figure):
    answers = asgi(visitors)
    assert [(answer, answer.crossed) for answer in answers if answer.crossed] == []
    assert leaks(answers) == set()
    hits = sum(answer.hit for answer in answers)
    figure("answers from the cache before an ASGI site", f"{hits} of {len(answers)}")
    assert hits > TIMES / 4  # who said nothing, and who says it by the header alone, share what is theirs


@pytest.mark.parametrize(
    ("protection", "found"),
    [("vary-gpc", {"header", "none"}), ("vary-cookie", {"cookie", "account"}), ("private", {"set-cookie"})],
)
def test_without_a_protection_the_leak_is_found(asgi, visitors, protection, found):
    assert found == leaks(asgi(visitors, broken=protection))
