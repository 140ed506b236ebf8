"""No shared cache hands one visitor's answer to another, in either direction (R33): visitors of each row of the table
by which an answer is somebody's, and of none. Each protection is taken away once, and then the leak is found. SOAK=1:
two thousand pages instead of a thousand.
"""

import contextlib
import itertools
import sys
import time

import anyio
import pytest
from support import inside
from support.crossing import OWN_PAGE, crowd, leaked, leaks, reached, visit
from support.examples import SOAK
from support.people import named
from support.ports import free_port
from support.proxies import NEW_YORK, Site, gateway, nginx, nginx_text, patient, program, site
from support.service import HERE
from support.wordpress import wordpress

from gateway.keys import api_keys, secret_files
from gateway.web.site.shared_caches import HEARD

pytestmark = pytest.mark.slow
TIMES, FEW, SEED = 2000 if SOAK else 1000, 500, 33  # `FEW`: of a control, which has lives
NEW = {**named("browser", "new"), "host": "www.example.com"}
# A cache as sites have it: the site's own life of a page counts, and a cookie in an answer does not stop it (I32).
CACHE = f"""
proxy_cache_path /var/cache/nginx-pages keys_zone=pages:10m;
server {{{{
  listen 80;
  location = /up.txt {{{{ return 200; }}}}
  location / {{{{
    proxy_cache pages; proxy_ignore_headers Set-Cookie; add_header X-Cache $upstream_cache_status always;
    proxy_bind {NEW_YORK}; proxy_pass http://{{site}};
  }}}}
}}}}"""
TELLS = "add_header X-Cache $upstream_cache_status always;\n"  # whether it came out of the cache


class Cacheable(Site):
    """A site that lets every cache keep its pages."""

    def page(self, told):
        said = dict(told["headers"])
        return "text/html", f"{said['gateway-consent']}|{said.get('x-visitor', '')}".encode()

    def more(self):
        return [("Cache-Control", "public, max-age=600")]


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
    return cookies, [api_keys.assert_account(secret, name, soon) for name in accounts]


@pytest.fixture
def visitors(folder):
    return crowd(*anyio.run(opted_out, folder, secret_files.load_secrets(folder).accounts[-1]))


@pytest.fixture
def through(tool, visitors, tmp_path):
    """What everybody got from a cache, whose address a context yields. Each time it is a new one."""
    lives = itertools.count(1)

    def run(chain, times: int) -> list:
        life = next(lives)
        home = tmp_path / f"life{life}"
        home.mkdir()

        @contextlib.contextmanager
        def cache(site: str, text: str = CACHE):
            with nginx(tool("nginx"), home / "cache", text.format(site=site)) as url:
                yield url

        with contextlib.ExitStack() as stack:
            return visit(chain(stack, cache, home), visitors, times, SEED + life)

    return run


def cut(text: str, *lines: str) -> str:
    """A configuration without the lines that begin so."""
    kept = [line for line in text.splitlines() if not line.strip().startswith(lines)]
    assert len(kept) <= len(text.splitlines()) - len(lines), lines
    return "\n".join(kept)


def kept_enough(answers, figure, where: str) -> bool:
    """Whether the cache did its work, and the gateway was asked: without that nothing could cross, and the harness
    would show nothing.
    """
    hits = sum(answer.hit for answer in answers)
    figure(f"answers out of the cache, {where}", f"{hits} of {len(answers)}")
    return hits > TIMES / 4 and sum(answer.doubt for answer in answers) < TIMES / 10


# --- an ASGI site behind a cache -----------------------------------------------------------------------------------


@pytest.fixture
def asgi(folder, tmp_path, through):
    """With one protection broken or none."""

    def run(broken: str = "", times: int = TIMES):
        port = free_port()
        command = [sys.executable, "-m", "support.crossing_site", "--port", str(port), "--data", str(folder), "--break"]

        def chain(stack, cache, _):
            sign = f"http://127.0.0.1:{port}/"
            stack.enter_context(program([*command, broken], tmp_path / "site.log", sign, PYTHONPATH=HERE))
            return stack.enter_context(cache(f"127.0.0.1:{port}"))

        return through(chain, times)

    return run


def test_of_a_thousand_pages_of_an_asgi_site_behind_a_cache_none_is_somebody_elses(asgi, figure):
    answers = asgi()
    assert [answer for answer in answers if answer.wrong or answer.foreign] == []
    assert leaks(answers) == set()
    assert kept_enough(answers, figure, "before an ASGI site")


@pytest.mark.parametrize("header", HEARD)
def test_without_a_header_of_the_table_in_vary_the_leak_is_found(asgi, header):
    wanted = reached(header)
    assert leaked(lambda: asgi(f"vary-{header}", FEW), wanted) == wanted


def test_without_private_one_persons_cookie_is_found_with_another(asgi):
    wanted = {"set-cookie"}
    assert leaked(lambda: asgi("private", FEW), wanted) == wanted


# --- the nginx recipe: its own cache, and a cache before it --------------------------------------------------------


@pytest.fixture
def recipe(folder, tool, tmp_path, visitors, through):
    """The nginx recipe, without some lines or with all; `before`: another cache in front of it, and none of its own."""

    def run(*lines: str, before: bool = False, times: int = TIMES):
        def chain(stack, cache, home):
            one_place = {"site__place_in_key": "same", "browser__site_ids": "uid"}  # everybody here is in one place
            running = stack.enter_context(gateway(tmp_path, **one_place))
            behind = stack.enter_context(site(Cacheable))
            text = patient(cut(nginx_text(running, behind), *lines))
            text = (
                cut(text, "proxy_cache") if before else text.replace("proxy_cache pages;", TELLS + "proxy_cache pages;")
            )
            url = stack.enter_context(nginx(tool("nginx"), home / "nginx", text))
            return stack.enter_context(cache(url.removeprefix("http://"))) if before else url

        return through(chain, times)

    return run


def test_of_a_thousand_pages_out_of_the_recipes_own_cache_none_is_somebody_elses(recipe, figure):
    answers = recipe()
    assert leaks(answers) == set()
    assert kept_enough(answers, figure, "nginx recipe")


def test_of_a_thousand_pages_out_of_a_cache_before_the_recipe_none_is_somebody_elses(recipe, figure):
    answers = recipe(before=True)
    assert [answer for answer in answers if answer.wrong or answer.foreign] == []
    assert leaks(answers) == set()
    assert kept_enough(answers, figure, "before the nginx recipe")


def test_without_what_is_told_in_its_key_the_recipes_cache_leaks_in_every_direction(recipe):
    wanted = {"gpc", "signals", "browser", "none"}
    assert leaked(lambda: recipe("proxy_cache_key", times=FEW), wanted) == wanted


def test_without_the_lines_on_own_pages_the_recipes_cache_hands_them_to_others(recipe):
    wanted = {*OWN_PAGE}
    assert leaked(lambda: recipe("proxy_cache_bypass", "proxy_no_cache", times=FEW), wanted) == wanted


def test_a_cache_before_the_recipe_leaks_without_its_vary_line(recipe):
    wanted = {"gpc", "signals", "browser", "none", *OWN_PAGE}
    assert leaked(lambda: recipe("add_header Vary", before=True, times=FEW), wanted) == wanted


def test_a_cache_before_the_recipe_hands_one_persons_cookie_to_others_where_the_sites_own_cache_control_stays(recipe):
    own = ("add_header Cache-Control", "proxy_hide_header Cache-Control")
    wanted = {"set-cookie"}
    assert leaked(lambda: recipe(*own, before=True, times=FEW), wanted) == wanted


# --- WordPress's recipe: php-fpm behind nginx's cache --------------------------------------------------------------


@pytest.fixture
def word_press(folder, tool, tmp_path, visitors, through):
    def run(*lines: str, times: int = TIMES):
        def change(text):
            return cut(text, *lines).replace("fastcgi_cache wordpress;", TELLS + "fastcgi_cache wordpress;")

        def chain(stack, _, home):
            running = stack.enter_context(gateway(tmp_path, browser__site_ids="uid"))
            wp = stack.enter_context(wordpress(tool, running, home / "wp", change=change))
            (wp.root / "index.php").write_text(PAGE)
            return wp.url

        return through(chain, times)

    return run


PAGE = "<?php require __DIR__ . '/stand-in.php'; echo $_SERVER['HTTP_GATEWAY_CONSENT'], '|', $_SERVER['HTTP_X_VISITOR'] ?? '';"


def test_of_a_thousand_pages_of_wordpress_none_is_somebody_elses(word_press, figure):
    answers = word_press()
    assert leaks(answers) == set()
    assert kept_enough(answers, figure, "WordPress recipe")


def test_without_what_is_told_in_its_key_wordpress_cache_leaks(word_press):
    wanted = {"gpc", "signals", "browser", "none"}
    assert leaked(lambda: word_press("fastcgi_cache_key", times=FEW), wanted) >= wanted
