"""Whoever writes our address with a slash at its end, as WordPress does, is served there and sent nowhere."""

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from support import inside
from support.people import named, phone

from gateway.web.shell.door_router import DoorRouter

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"


@pytest.mark.parametrize("path", [PATH, f"{PATH}/data", f"{PATH}/marketing", f"{PATH}/status", f"{PATH}/choices.css"])
@pytest.mark.parametrize("slashes", ["/", "//"])
async def test_the_page_is_the_same(client, path, slashes):
    answer = await client.get(path + slashes, params={"lang": "es"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == (await client.get(path)).headers["content-type"]
    assert "location" not in answer.headers


async def test_an_opt_out_is_taken_where_it_was_sent(client, keyed):
    answer = await client.post(f"{PATH}/", data={"action": "opt_out", "phone": phone(1)})
    assert answer.headers["location"].startswith(f"{PATH}/done/"), "never an address with a scheme: it would be http"
    check = {"identifiers": [named("phone", phone(1))], "recipient": "teemo", "place": "US-NY"}
    assert (await keyed.post("/v1/check", json=check)).json()["reason"] == "opted_out"


@pytest.mark.parametrize("path", ["/v1/check/", "/v1/choices/", "/livez/", f"{PATH}/nothing/", "/privacy-choices-not/"])
async def test_what_is_no_page_of_ours_is_not_there_and_leads_nowhere(client, path):
    answer = await client.post(path, json={})
    assert answer.status_code == 404
    assert "location" not in answer.headers


async def test_a_router_that_redirects_would_send_a_form_out_again_over_http():
    """The control: what a router does by itself, behind a proxy that speaks https."""
    routes = [Route(PATH, lambda _: Response("page"), methods=["POST"])]
    for app, status in ((Starlette(routes=routes), 307), (DoorRouter(routes), 200)):
        async with inside.client(app) as client:
            answer = await client.post(f"{PATH}/", data={"phone": phone(1)}, headers={"X-Forwarded-Proto": "https"})
            assert answer.status_code == status
            assert answer.headers.get("location", "").startswith("http://") is (status == 307)
