"""A site with the gateway before it, mounted below `--below`, as a process of its own: every path of it is one page."""

import argparse

import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount

from gateway.app.service import in_front_of
from support.pages_with_script import JOURNAL, SCRIPT, STUB, html


def below(prefix: str):
    text = html(STUB + JOURNAL + SCRIPT).replace('"/privacy-choices', f'"{prefix}/privacy-choices')
    assert text.count(f'"{prefix}/privacy-choices') == 2

    async def site(scope, receive, send):
        if scope["type"] == "http":
            await HTMLResponse(text)(scope, receive, send)

    return site


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--port", "--data", "--below"):
        parser.add_argument(name, default="")
    said = vars(parser.parse_args())
    app = in_front_of(below(said["below"]), said["data"], place=lambda _: "US-CA")
    mounted = Starlette(routes=[Mount(said["below"], app)]) if said["below"] else app
    uvicorn.run(mounted, port=int(said["port"]), log_level="warning", lifespan="on")
