"""The gateway in front of an ASGI site, in the site's own process."""

import asyncio
import contextlib
import threading
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from support import inside

from gateway.app import service
from gateway.app.composition import now
from gateway.app.service import in_front_of
from gateway.consent.decisions import COUNTED_AS, Draft
from gateway.consent.disclosing import UncountedRow
from gateway.web.shell import lifespan
from gateway.web.shell.lifespan import NotStarted
from gateway.web.shell.metrics import Metrics

pytestmark = pytest.mark.anyio


def site(events: list[str]) -> Starlette:
    @contextlib.asynccontextmanager
    async def living(_):
        events.append("started")
        yield
        events.append("stopped")

    async def told(request):
        return JSONResponse({name: value for name, value in request.headers.items() if name.startswith("gateway-")})

    return Starlette(routes=[Route("/{path:path}", told)], lifespan=living)


async def test_a_site_lives_its_own_life_behind_the_gateway(folder):
    events: list[str] = []
    app = in_front_of(site(events), folder, place=lambda _: "US-CA")
    async with inside.lifespan(app), inside.client(app) as client:
        assert events == ["started"]
        told = (await client.get("/v1/anything", headers={"Gateway-Consent": "forged"})).json()
        assert told["gateway-consent"] == "sale=?1, sharing=?1, targeted_ads=?1, status=none"
        told = (await client.get("/", headers={"Sec-GPC": "1"})).json()
        assert told["gateway-consent"] == "sale=?0, sharing=?0, targeted_ads=?0, status=honored"
        assert "Do Not Sell or Share" in (await client.get("/privacy-choices")).text
        assert (await client.get("/.well-known/gpc.json")).json()["gpc"] is True
    assert events == ["started", "stopped"]


async def test_a_site_without_a_lifespan_is_stood_in_for(folder):
    async def plain(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"plain"})

    app = in_front_of(plain, folder)
    async with inside.lifespan(app), inside.client(app) as client:
        assert (await client.get("/")).text == "plain"


async def test_a_visitor_whose_place_nobody_knows_is_in_the_opt_in_regime(folder):
    app = in_front_of(site([]), folder)
    async with inside.lifespan(app), inside.client(app) as client:
        told = (await client.get("/")).json()
        assert told["gateway-consent"] == "sale=?0, sharing=?0, targeted_ads=?0, status=none"


async def test_a_folder_that_was_never_made_refuses_to_start_and_says_how_to_make_it(tmp_path):
    app = in_front_of(site([]), tmp_path / "nothing")
    with pytest.raises(BaseExceptionGroup) as refused:
        async with inside.lifespan(app):
            pass
    assert "gateway migrate" in str(refused.value.exceptions[0])


async def answers_plainly(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})


async def returns(scope, receive, send):
    if scope["type"] != "lifespan":
        await answers_plainly(scope, receive, send)


async def returns_after_its_start(scope, receive, send):
    if scope["type"] != "lifespan":
        await answers_plainly(scope, receive, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})


async def breaks_after_its_start(scope, receive, send):
    await returns_after_its_start(scope, receive, send)
    if scope["type"] == "lifespan":
        raise RuntimeError("a task of the site's own")


@pytest.mark.parametrize("behind", [returns, returns_after_its_start, breaks_after_its_start])
async def test_a_site_that_ends_its_lifespan_early_ends_nobodys_opt_out(folder, behind, monkeypatch):
    lines = []
    monkeypatch.setattr(lifespan, "log", SimpleNamespace(warning=lambda event, why: lines.append(why)))
    app = in_front_of(behind, folder)
    async with inside.lifespan(app), inside.client(app) as client:
        assert (await client.get("/")).text == "plain"
        answer = await client.post("/privacy-choices", data={"action": "opt_out"})
        assert answer.status_code == 303
    assert any("the site's own ended early" in why for why in lines)


async def test_below_an_application_that_hands_no_lifespan_on_the_first_request_begins(folder):
    app = Starlette(routes=[Mount("/", in_front_of(site([]), folder, place=lambda _: "US-CA"))])
    async with inside.client(app) as client:
        answers = await asyncio.gather(*(client.get("/", headers={"Sec-GPC": "1"}) for _ in range(5)))
        assert {answer.json()["gateway-consent"].rpartition("=")[2] for answer in answers} == {"honored"}
        assert (await client.post("/privacy-choices", data={"action": "opt_out"})).status_code == 303
    await end_tasks()


async def test_what_cannot_be_opened_there_is_no_answer_that_allows(tmp_path):
    app = Starlette(routes=[Mount("/", in_front_of(site([]), tmp_path / "nothing"))])
    async with inside.client(app) as client:
        for _ in range(2):
            with pytest.raises(NotStarted, match="gateway migrate"):
                await client.get("/")


async def fails_to_start(scope, receive, send):
    if scope["type"] != "lifespan":
        await answers_plainly(scope, receive, send)
        return
    await receive()
    await asyncio.sleep(0)
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def test_a_site_that_fails_to_start_refuses_the_start(folder):
    with pytest.raises(BaseExceptionGroup) as refused:
        async with inside.lifespan(in_front_of(fails_to_start, folder)):
            pass
    assert "no database" in repr(refused.value.exceptions)


async def test_a_site_that_fails_to_start_below_an_application_that_hands_no_lifespan_on_answers_nothing(folder):
    app = Starlette(routes=[Mount("/", in_front_of(fails_to_start, folder))])
    async with inside.client(app) as client:
        for _ in range(3):
            with pytest.raises(NotStarted, match="no database"):
                await client.get("/")


async def end_tasks():
    """As a loop does at its end."""
    mine = [task for task in asyncio.all_tasks() if "Service._live" in repr(task.get_coro())]
    assert len(mine) == 1
    mine[0].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await mine[0]


async def test_a_stop_comes_to_its_end_although_a_commit_does_not(folder, monkeypatch):
    """What left and cannot be written any more is counted as lost, and the next start tells of the stop."""
    monkeypatch.setattr("gateway.ledger.writer.ENDS_WITHIN", 0.2)
    stands, says, told = threading.Event(), threading.Event(), []
    try:
        async with (
            asyncio.timeout(60),
            service._opened(folder, inside.settings(), Metrics(), dev=True, clock=now) as doors,
        ):
            disclosing, writer = doors.house.disclosing, doors.house.writer
            monkeypatch.setattr(disclosing, "_tell", lambda *each: told.append(each))
            writer.submit(lambda _: stands.set() or says.wait(60))
            assert await asyncio.to_thread(stands.wait, 30)
            draft = Draft("teemo", ("sale",), ("ad_id",), next(iter(COUNTED_AS)), False, b"", 0, 0)
            disclosing._waiting.append(UncountedRow(draft, bytes(16), 0, 0))
    finally:
        says.set()
    await asyncio.to_thread(writer._thread.join, 60)
    assert told == [("teemo", "lost", 1)]
    assert [*(folder / "running").glob("*.json")]
