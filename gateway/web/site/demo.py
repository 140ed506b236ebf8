"""A demo site for `--dev`: two pages that carry an ad script, a pixel and a beacon from a second local origin.

It stands behind the middleware like any ASGI site, knows nothing of consent beyond the headers it is given, and has
static tags in its HTML, as a real site has. The second origin counts what it gets.
"""

from collections import Counter
from html import escape

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:1.05rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:40rem;padding:0 1rem}}
.status{{border:2px solid #0b57a4;padding:.5rem .8rem}} code{{overflow-wrap:anywhere}}</style>
<script src="/privacy-choices/consent.js" defer></script>
<script src="{tracker}/ad.js" async></script></head><body>
<h1>{title}</h1>
<p>A page of an ad-funded site. It carries an ad script, a pixel and a beacon from another origin.</p>
{status}
<p>The site was told: <code>{consent}</code></p>
<p><a href="{other}">Another page</a> · <a href="/privacy-choices">Your Privacy Choices</a></p>
<img src="{tracker}/pixel.gif" width="1" height="1" alt="">
<script>addEventListener("load", () => navigator.sendBeacon("{tracker}/beacon", "seen"))</script>
</body></html>"""
HONORED = '<p class="status"><strong>Opt-Out Request Honored</strong></p>'
PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


def site(tracker: str) -> Starlette:
    """The site; `tracker` is the second origin."""

    async def page(request: Request) -> Response:
        first = request.url.path == "/demo"
        consent = request.headers.get("gateway-consent", "")
        html = PAGE.format(
            title="Demo" if first else "Second page",
            tracker=escape(tracker),
            consent=escape(consent),
            status=HONORED if "status=honored" in consent else "",
            other="/demo/second" if first else "/demo",
        )
        return HTMLResponse(html)

    return Starlette(routes=[Route("/demo", page), Route("/demo/second", page)])


def tracker() -> Starlette:
    """The second origin: answers as an ad company's host would, and tells at /seen what it got."""
    seen: Counter[str] = Counter()

    async def serve(request: Request) -> Response:
        name = request.path_params["name"]
        seen[name] += 1
        if name == "ad.js":
            return Response("window.adLoaded = true", media_type="text/javascript")
        return Response(PIXEL, media_type="image/gif") if name == "pixel.gif" else Response(status_code=204)

    async def told(_: Request) -> Response:
        return Response(orjson.dumps(dict(seen)), media_type="application/json")

    return Starlette(routes=[Route("/seen", told), Route("/{name}", serve, methods=["GET", "POST"])])
