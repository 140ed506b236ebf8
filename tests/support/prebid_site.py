"""A site with ads and the gateway before it, not in development, as a process of its own. Where a visitor is, is in a
cookie of the test; the ad stack's script is a file that the test made. Beside it lies what loads it on pages of a name of
their own; `/news` has the plain tag.
"""

import argparse
import json
from pathlib import Path

import uvicorn

from gateway.app.service import in_front_of
from support.pages_with_script import SCRIPT, STUB

HTML = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>News</title>{head}
<script type="application/json" id="person">{person}</script>{ads}</head>
<body><h1>News</h1><a href="/privacy-choices" data-gateway-choices>Your Privacy Choices</a></body></html>"""
TAG = '<script src="/ads.js"></script>'


def place(scope) -> str:
    cookies = dict(scope["headers"]).get(b"cookie", b"").decode()
    return next((each.partition("=")[2] for each in cookies.split("; ") if each.startswith("place=")), "US-CA")


def site(script: Path, person: str):
    async def answer(scope, receive, send):
        if scope["path"].endswith(".js"):
            body, kind = script.with_name(scope["path"][1:]).read_bytes(), b"text/javascript"
        else:
            beside = script.with_name(f"{scope['path'][1:]}.html")
            ads = beside.read_text() if beside.exists() else TAG
            body, kind = HTML.format(head=STUB + SCRIPT, person=person, ads=ads).encode(), b"text/html"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body})

    return answer


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--port", "--data", "--script", "--person"):
        parser.add_argument(name)
    said = parser.parse_args()
    json.loads(said.person)
    guarded = in_front_of(site(Path(said.script), said.person), said.data, place=place)
    uvicorn.run(guarded, port=int(said.port), log_level="warning", lifespan="on")
