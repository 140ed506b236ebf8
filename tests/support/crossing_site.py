"""An ASGI site that lets every cache keep its pages, with the gateway before it, as a process of its own.

Its page tells what the site was told of the visitor and whose page it is. `--break` takes one protection away from the
answers: whoever looks for leaks has to find each.
"""

import argparse
import os

import uvicorn

from gateway.app.service import in_front_of
from gateway.web.site.shared_caches import HEARD

CACHEABLE = (b"cache-control", b"public, max-age=600")


async def site(scope, receive, send):
    headers = dict(scope["headers"])
    page = b"%s|%s" % (headers[b"gateway-consent"], headers.get(b"x-visitor", b""))
    kind = (b"content-type", b"text/html")
    await send({"type": "http.response.start", "status": 200, "headers": [kind, CACHEABLE]})
    await send({"type": "http.response.body", "body": page})


def _without_vary(name):
    def change(headers):
        for header, value in headers:
            if header == b"vary":
                kept = [said.strip() for said in value.decode().split(",") if said.strip().lower() != name]
                yield header, ", ".join(kept).encode()
            else:
                yield header, value

    return change


def _public(headers):
    """No answer is private, whatever made it."""
    return [CACHEABLE if name == b"cache-control" else (name, value) for name, value in headers]


BREAKS = {"": list, "private": _public, **{f"vary-{name}": _without_vary(name.lower()) for name in HEARD}}


def broken(app, change):
    async def served(scope, receive, send):
        async def outward(message):
            if message["type"] == "http.response.start":
                message["headers"] = list(change(message["headers"]))
            await send(message)

        await app(scope, receive, outward)

    return served


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--port", "--data", "--break"):
        parser.add_argument(name, default="")
    said = vars(parser.parse_args())
    os.environ["GATEWAY_SITE__PLACE_IN_KEY"] = "same"  # everybody here is in one place
    os.environ["GATEWAY_BROWSER__SITE_IDS"] = "uid"
    guarded = in_front_of(site, said["data"], place=lambda _: "US-CA")
    uvicorn.run(broken(guarded, BREAKS[said["break"]]), port=int(said["port"]), log_level="warning", lifespan="on")
