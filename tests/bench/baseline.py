"""What the bench compares with: uvicorn with a bare ASGI app, and with one Starlette route."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route


async def bare(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def route(_):
    return Response(b"ok")


starlette = Starlette(routes=[Route("/route", route)])


async def app(scope, receive, send):
    await (bare if scope["type"] == "http" and scope["path"] == "/bare" else starlette)(scope, receive, send)


uvicorn.run(app, port=int(sys.argv[1]), http="httptools", loop="asyncio", log_config=None, access_log=False)
