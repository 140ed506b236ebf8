"""The gateway before Starlette, FastAPI and Django, at the root and below a prefix: the code of `gateway help mount` is
what runs here.
"""

import re
import textwrap
from importlib import resources

import pytest
from support import inside
from support.people import named

from gateway.app.composition import open_house
from gateway.app.service import in_front_of
from gateway.consent.asked import Ask
from gateway.web.shell.page import static

pytestmark = pytest.mark.anyio
SITES = ("Starlette", "FastAPI", "Django")
SCRIPT = static("consent.js")
NAVIGATE = {"Sec-Fetch-Mode": "navigate"}
GPC = {"Sec-GPC": "1"}
HERE = {"X-Place": "US-CA"}  # as a proxy says
FORGED = {"Gateway-Consent": "sale=?1", "Gateway_Consent": "sale=?1", "Gateway-Browser": "FORGED"}


def blocks(site: str) -> list[str]:
    """The indented code below one heading of the manual."""
    text = (resources.files("gateway") / "manual" / "mount.md").read_text()
    section = text.split(f"### {site}\n")[1].split("\n#")[0]
    found = re.findall(r"(?:^    .*\n|^\n(?=\n*    ))+", section, re.MULTILINE)
    return [textwrap.dedent(block) for block in found if block.strip()]


def mounted(site: str, folder):
    code = [block.replace("/var/lib/gateway", str(folder)) for block in blocks(site)]
    names: dict = {"__name__": "mounted"}
    if site == "Django":
        return django(code, names)
    exec("\n".join(code), names)
    return names["app"]


def django(code: list[str], names: dict):
    """A Django of one view and a sign-in, configured once a process."""
    from django import urls
    from django.conf import settings as configured
    from django.http import HttpResponse

    if not configured.configured:
        configured.configure(
            ROOT_URLCONF="django_site",
            SECRET_KEY="made up",
            ALLOWED_HOSTS=["*"],
            DEBUG=False,
            SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
            MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        )
    exec(code[1], names)

    async def sign_in(request):
        request.session["_auth_user_id"] = request.body.decode()
        return HttpResponse()

    import sys
    import types

    sys.modules["django_site"] = types.ModuleType("django_site")
    sys.modules["django_site"].urlpatterns = [urls.path("", names["page"]), urls.path("sign-in", sign_in)]
    urls.clear_url_caches()
    exec(code[0], names)
    return names["app"]


@pytest.fixture(params=SITES)
def site(request, folder, monkeypatch):
    monkeypatch.setenv("GATEWAY_PLACES__HEADER", "X-Place")
    return mounted(request.param, folder)


def standing(folder, account):
    with open_house(folder, inside.settings(), dev=True) as house:
        asked = Ask(("teemo",), [named("account", account)], place="US-CA")
        return house.consent.checks.check(asked).verdicts["teemo"].reason


async def test_the_site_reads_what_it_may_do(site):
    async with inside.lifespan(site), inside.client(site, **HERE) as client:
        assert (await client.get("/")).json() == {"ads": True, "status": "none"}
        assert (await client.get("/", headers=GPC)).json() == {"ads": False, "status": "honored"}
        assert (await client.get("/", headers=GPC | FORGED)).json() == {"ads": False, "status": "honored"}
        assert (await client.get("/", headers={"Cookie": "usprivacy=1YYN"})).json()["status"] == "honored"
        assert (await client.get("/.well-known/gpc.json")).json()["gpc"] is True
        assert (await client.get("/privacy-choices/status", headers=GPC)).json()["status"] == "opted_out"


async def test_the_choice_of_a_first_page_holds_on_the_next_one_without_the_signal(site):
    async with inside.lifespan(site), inside.client(site, **HERE) as client:
        first = await client.get("/", headers=GPC | NAVIGATE)
        assert first.headers["set-cookie"].startswith("__Host-gateway=")
        cookie = {"Cookie": first.headers["set-cookie"].partition(";")[0]}
        assert (await client.get("/", headers=cookie)).json() == {"ads": False, "status": "honored"}


async def test_a_signed_in_person_with_gpc_opts_the_account_out(site, folder):
    async with inside.lifespan(site), inside.client(site, **HERE) as client:
        session = (await client.post("/sign-in", content=b"7")).headers["set-cookie"].partition(";")[0]
        assert (await client.get("/", headers={"Cookie": session})).json() == {"ads": True, "status": "none"}
        assert (await client.get("/", headers={"Cookie": session} | GPC)).json()["status"] == "honored"
        assert (await client.get("/", headers={"Cookie": session})).json() == {"ads": False, "status": "honored"}
        async with inside.client(site, **HERE) as another:
            assert (await another.get("/")).json() == {"ads": True, "status": "none"}
    assert standing(folder, "7") == "opted_out"
    assert standing(folder, "8") != "opted_out"


def test_the_manual_has_code_for_each_of_them():
    assert [len(blocks(name)) for name in SITES] == [1, 1, 2]


async def mine(scope, receive, send):
    from starlette.responses import JSONResponse

    await JSONResponse({"path": scope["path"], "root": scope["root_path"]})(scope, receive, send)


def below(app, prefix):
    """Starlette's `Mount`, a server's root_path (uvicorn hands the whole path on), and FastAPI's sub-application."""
    import fastapi
    import httpx2
    from starlette.applications import Starlette
    from starlette.routing import Mount

    outer = fastapi.FastAPI()
    outer.mount(prefix, app)
    served = {"mount": Starlette(routes=[Mount(prefix, app)]), "fastapi": outer, "root_path": app, "at the root": app}

    def calls(how):
        transport = httpx2.ASGITransport(app=served[how], root_path=prefix if how == "root_path" else "")
        return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", headers=HERE)

    return calls


@pytest.mark.slow
@pytest.mark.parametrize("how", ["mount", "fastapi", "root_path"])
async def test_below_a_prefix_the_choices_page_is_ours_and_every_link_of_it_leads_there(folder, how):
    app = in_front_of(mine, folder, place=lambda _: "US-CA")
    async with inside.lifespan(app), below(app, "/shop")(how) as client:
        assert (await client.get("/shop/privacy")).json() == {"path": "/shop/privacy", "root": "/shop"}
        shown = await client.get("/shop/privacy-choices")
        assert "Do Not Sell or Share" in shown.text
        links = set(re.findall(r"""(?:href|src|action)="(/[^"]*)""", shown.text))
        ours = {link for link in links if "privacy-choices" in link}
        assert len(ours) > 5
        assert {link for link in ours if not link.startswith("/shop/privacy-choices")} == set()
        for link in sorted(ours):
            assert (await client.get(link.replace("&amp;", "&"))).status_code in {200, 405}, link
        posted = await client.post("/shop/privacy-choices", data={"action": "opt_out"})
        assert (posted.status_code, posted.headers["location"].startswith("/shop/privacy-choices/done/")) == (303, True)
        kept = inside.kept(posted)
        done = await client.get(posted.headers["location"], headers=kept)
        assert "Opt-Out Request Honored" in done.text
        assert (await client.get("/shop/privacy-choices/status", headers=kept)).json()["status"] == "opted_out"
        assert (await client.get("/shop/.well-known/gpc.json")).json()["gpc"] is True


# --- the story of a page, at the root and below a prefix, in front of three frameworks -----------------------------


@pytest.fixture(params=["at the root", "mount", "fastapi", "root_path"])
def placed(request, site):
    """The site, and where in it the way to everything begins; below `Mount` nobody hands the lifespan on but we do."""
    prefix = "" if request.param == "at the root" else "/shop"
    return prefix, site, lambda: below(site, "/shop")(request.param)


async def test_a_person_with_gpc_is_heard_told_shown_and_remembered(placed):
    prefix, site, opened = placed
    async with inside.lifespan(site), opened() as client:
        assert (await client.get(f"{prefix}/")).json() == {"ads": True, "status": "none"}
        first = await client.get(f"{prefix}/", headers=GPC | NAVIGATE | FORGED)
        assert first.json() == {"ads": False, "status": "honored"}
        kept = inside.kept(first)
        assert kept["Cookie"].startswith("__Host-gateway=")
        assert (await client.get(f"{prefix}/", headers=kept)).json() == {"ads": False, "status": "honored"}
        status = (await client.get(f"{prefix}/privacy-choices/status", headers=kept)).json()
        assert (status["status"], status["display"]) == ("opted_out", "Opt-Out Request Honored")
        page = await client.get(f"{prefix}/privacy-choices", headers=kept)
        assert "Opt-Out Request Honored" in page.text
        assert (await client.get(f"{prefix}/.well-known/gpc.json")).json()["gpc"] is True
        script = await client.get(f"{prefix}/privacy-choices/consent.js")
        assert (script.status_code, script.content) == (200, SCRIPT)


async def test_a_person_without_a_signal_says_no_in_the_form_and_the_site_is_told(placed):
    prefix, site, opened = placed
    async with inside.lifespan(site), opened() as client:
        page = await client.get(f"{prefix}/privacy-choices")
        assert f'href="{prefix}/"' in page.text, "Close leads back to the site"
        [action] = set(re.findall(r'<form[^>]* action="([^"]*)"', page.text)) or {f"{prefix}/privacy-choices"}
        posted = await client.post(action, data={"action": "opt_out"})
        done = await client.get(posted.headers["location"], headers=inside.kept(posted))
        assert "Opt-Out Request Honored" in done.text
        told = (await client.get(f"{prefix}/", headers=inside.kept(posted))).json()
        assert told == {"ads": False, "status": "honored"}


@pytest.mark.parametrize("prefix", ["", "/shop"])
async def test_a_signed_in_person_says_no_below_a_prefix_for_the_account(site, folder, prefix):
    where = "root_path" if prefix else "at the root"
    async with inside.lifespan(site), below(site, "/shop")(where) as client:
        session = (await client.post(f"{prefix}/sign-in", content=b"7")).headers["set-cookie"].partition(";")[0]
        signed_in = {"Cookie": session}
        await client.post(f"{prefix}/privacy-choices", data={"action": "opt_out"}, headers=signed_in)
        assert (await client.get(f"{prefix}/", headers=signed_in)).json() == {"ads": False, "status": "honored"}
    assert standing(folder, "7") == "opted_out"


async def test_a_server_that_takes_the_prefix_out_of_the_path_is_given_links_with_it(folder):
    """As ASGI's path was understood before 2023, and as some servers still do behind a proxy that strips it."""
    app = in_front_of(mine, folder, place=lambda _: "US-CA")
    async with inside.lifespan(app), below(app, "/shop")("root_path") as client:
        shown = await client.get("/privacy-choices")
        links = re.findall(r"""(?:href|src|action)="(/[^"]*privacy-choices[^"]*)""", shown.text)
        assert len(links) > 5
        assert [link for link in links if not link.startswith("/shop/")] == []
        posted = await client.post("/privacy-choices", data={"action": "opt_out"})
        assert posted.headers["location"].startswith("/shop/privacy-choices/done/")
        assert (await client.get("/privacy")).json() == {"path": "/privacy", "root": "/shop"}


def test_no_page_of_ours_has_an_address_that_begins_at_the_hosts_root():
    """The confirmation's script among them: it asked there, and denied all the time."""
    templates = resources.files("gateway.web") / "templates"
    for template in templates.iterdir():
        found = re.findall(r"""(?:href|src|action|content)=["']/[^"']*""", template.read_text())
        assert found == [], template.name


async def test_a_path_that_only_looks_like_ours_below_a_prefix_is_the_sites(folder):
    app = in_front_of(mine, folder)
    async with inside.lifespan(app), below(app, "/shop")("mount") as client:
        for path in ("/shop/privacy-choices-of-mine", "/shop/x/privacy-choices"):
            assert (await client.get(path)).json()["path"] == path
