"""A site with every way of `tests/proxies/ways.toml` on its pages: by itself behind a proxy, or with the gateway before
it.

`/page?ways=a,b` has these ways on it; `&wait=1`: nothing is done until the page's `fire()` is called. `--trackers` is
the first of as many ports as there are ways.
"""

import argparse
import json
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, unquote

import uvicorn

from gateway.app.service import in_front_of

TABLE = Path(__file__).parent.parent / "proxies" / "ways.toml"
WAYS = tomllib.loads(TABLE.read_text())
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
{head}<script src="/privacy-choices/consent.js" async></script></head><body><h1 id="here">A page</h1>
<span data-gateway-status></span> <a href="/privacy-choices" data-gateway-choices>Your Privacy Choices</a>
{html}<script>
const MARKUP = {markup};
const acts = [{js}];
const fire = () => {{
  document.body.append(document.createRange().createContextualFragment(MARKUP));
  for (const act of acts) try {{ act() }} catch (error) {{ console.log(String(error)) }}
}};
{now}</script></body></html>"""


def filled(name: str, text: str, first: int) -> str:
    port = first + list(WAYS).index(name)
    return text.replace("{t}", f"http://localhost:{port}").replace("{s}", f"/own/{name}")


def page(names: list[str], first: int, *, wait: bool) -> tuple[str, list[tuple[str, str]]]:
    ways = {name: {k: filled(name, v, first) for k, v in WAYS[name].items() if isinstance(v, str)} for name in names}
    markup = "\n".join(way.get("html", "") for way in ways.values())
    js = ",\n".join(f"() => {{ {way['js']} }}" for way in ways.values() if "js" in way)
    html = PAGE.format(
        head="".join(way.get("head", "") for way in ways.values()),
        html="" if wait else markup,
        js=js,
        markup=json.dumps(markup if wait else "").replace("</", "<\\/"),
        now="" if wait else "fire();",
    )
    headers = [(k, filled(name, v, first)) for name in names for k, v in WAYS[name].get("headers", {}).items()]
    return html, headers


class Ways:
    """The site, as an ASGI application."""

    def __init__(self, first: int) -> None:
        self._first = first

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        status, headers, body = self.answer(scope["path"], scope["query_string"].decode())
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body.encode()})

    def answer(self, path: str, query: str) -> tuple[int, list[tuple[str, str]], str]:
        if path == "/go":
            return 302, [("Location", unquote(query))], ""
        if path.startswith("/page"):
            said = parse_qs(query)
            text, more = page(
                said.get("ways", [""])[0].split(",") if "ways" in said else [], self._first, wait="wait" in said
            )
            return 200, [("Content-Type", "text/html"), *more], text
        if path.startswith("/own/"):
            _, _, name, file = path.split("/", 3)
            kind, _, text = WAYS[name]["files"][file].replace("\\n", "\n").partition("\n")
            allowed = ("Service-Worker-Allowed", "/")
            return 200, [("Content-Type", kind), allowed], filled(name, text, self._first)
        return 200, [("Content-Type", "text/plain")], "up"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--port", "--data", "--trackers"):
        parser.add_argument(name, default="")
    said = vars(parser.parse_args())
    site = Ways(int(said["trackers"]))
    app = in_front_of(site, said["data"], place=lambda _: "US-CA") if said["data"] else site
    uvicorn.run(app, port=int(said["port"]), log_level="warning", lifespan="on" if said["data"] else "off")
