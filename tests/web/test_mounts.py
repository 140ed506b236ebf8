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
