"""The gateway before Starlette, FastAPI and Django: the code of `gateway help mount` is what runs here."""

import re
import textwrap
from importlib import resources

import pytest
from support import inside
from support.people import named

from gateway import settings
from gateway.app import open_house
from gateway.check import Ask
from gateway.service import in_front_of

pytestmark = pytest.mark.anyio
SITES = ("Starlette", "FastAPI", "Django")
NAVIGATE = {"Sec-Fetch-Mode": "navigate"}
GPC = {"Sec-GPC": "1"}
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
            ROOT_URLCONF="django_site", SECRET_KEY="made up", ALLOWED_HOSTS=["*"], DEBUG=False,
            SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
            MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        )  # fmt: skip
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
def site(request, folder):
    return mounted(request.param, folder)


def standing(folder, account):
    with open_house(folder, settings.load(None, {}), dev=True) as house:
        asked = Ask(("teemo",), [named("account", account)], place="US-CA")
        return house.consent.check(asked).verdicts["teemo"].reason


async def test_the_site_reads_what_it_may_do(site):
    async with inside.lifespan(site), inside.client(site) as client:
        assert (await client.get("/")).json() == {"ads": True, "status": "none"}
        assert (await client.get("/", headers=GPC)).json() == {"ads": False, "status": "honored"}
        assert (await client.get("/", headers=GPC | FORGED)).json() == {"ads": False, "status": "honored"}
        assert (await client.get("/", headers={"Cookie": "usprivacy=1YYN"})).json()["status"] == "honored"
        assert (await client.get("/.well-known/gpc.json")).json()["gpc"] is True
        assert (await client.get("/privacy-choices/status", headers=GPC)).json()["status"] == "opted_out"


async def test_the_choice_of_a_first_page_holds_on_the_next_one_without_the_signal(site):
    async with inside.lifespan(site), inside.client(site) as client:
        first = await client.get("/", headers=GPC | NAVIGATE)
        assert first.headers["set-cookie"].startswith("__Host-gateway=")
        cookie = {"Cookie": first.headers["set-cookie"].partition(";")[0]}
        assert (await client.get("/", headers=cookie)).json() == {"ads": False, "status": "honored"}


async def test_a_signed_in_person_with_gpc_opts_the_account_out(site, folder):
    async with inside.lifespan(site), inside.client(site) as client:
        session = (await client.post("/sign-in", content=b"7")).headers["set-cookie"].partition(";")[0]
        assert (await client.get("/", headers={"Cookie": session})).json() == {"ads": True, "status": "none"}
        assert (await client.get("/", headers={"Cookie": session} | GPC)).json()["status"] == "honored"
        assert (await client.get("/", headers={"Cookie": session})).json() == {"ads": False, "status": "honored"}
        async with inside.client(site) as another:
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
    served = {"mount": Starlette(routes=[Mount(prefix, app)]), "fastapi": outer, "root_path": app}

    def calls(how):
        transport = httpx2.ASGITransport(app=served[how], root_path=prefix if how == "root_path" else "")
        return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")

    return calls


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


async def test_a_path_that_only_looks_like_ours_below_a_prefix_is_the_sites(folder):
    app = in_front_of(mine, folder)
    async with inside.lifespan(app), below(app, "/shop")("mount") as client:
        for path in ("/shop/privacy-choices-of-mine", "/shop/x/privacy-choices"):
            assert (await client.get(path)).json()["path"] == path
