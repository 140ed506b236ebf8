"""A door is found by its path, by whichever method it has there."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from support import inside

from gateway.web.shell.door_router import DoorRouter

pytestmark = pytest.mark.anyio


def door(word, path, **named):
    async def answer(request):
        return PlainTextResponse(f"{word} {request.method} {dict(request.path_params)} {request.scope['route'].path}")

    return Route(path, answer, **named)


@pytest.fixture
async def doors():
    routes = [
        door("page", "/page"), door("form", "/page", methods=["POST"]), door("first", "/{any}/one"),
        door("second", "/the/one"),
    ]  # fmt: skip
    async with inside.client(DoorRouter(routes)) as client:
        yield client


async def test_each_method_of_a_path_has_its_own(doors):
    assert (await doors.get("/page")).text == "page GET {} /page"
    assert (await doors.head("/page")).status_code == 200
    assert (await doors.post("/page")).text == "form POST {} /page"


async def test_what_no_door_takes_is_told_as_such(doors):
    assert (await doors.delete("/page")).status_code == 405
    assert (await doors.get("/page/")).status_code == 404, "nobody is sent on"
    assert (await doors.get("/nothing")).status_code == 404


async def test_a_path_of_its_own_stands_before_a_pattern(doors):
    assert (await doors.get("/a/one")).text == "first GET {'any': 'a'} /{any}/one"
    assert (await doors.get("/the/one")).text == "second GET {} /the/one"
