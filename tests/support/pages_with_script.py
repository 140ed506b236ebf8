"""Pages that an operator's cache or server hands out, with what `gateway recipe page` prints: none of them has seen the
gateway. `journal` is what an ad script on the page heard.
"""

import re
from importlib import resources

RECIPE = (resources.files("gateway") / "recipes" / "page.html").read_text()
STUB, GOOGLE = re.findall(r"<script>.*?</script>", RECIPE)
[SCRIPT] = re.findall(r"<script src=.*?</script>", RECIPE)
BODY = """<span data-gateway-status></span>
<p id="below">What stands below the status must not move.</p>
<a href="/privacy-choices" data-gateway-choices>Your Privacy Choices</a>"""
STYLE = "[data-gateway-status] { display: block; min-height: 3rem }"
HTML = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/site.css">
{head}</head><body><h1>A page</h1>{body}</body></html>"""
JOURNAL = """<script>journal = []; started = performance.now();
__gpp("addEventListener", (event, success) => journal.push([event.eventName, event.data, event.pingData.signalStatus,
  event.pingData.gppString, success, performance.now() - started]));</script>"""
NOTHING_CHANGES = "() => new Promise((done) => setTimeout(done, 700))"  # past the script's own deadline


def html(*, head: str = STUB + SCRIPT, body: str = BODY) -> str:
    return HTML.format(head=head, body=body)


def serve(context, url: str, text: str, *, headers: dict[str, str] | None = None) -> None:
    """Answers one address as a cache would, and the site's style sheet."""
    context.route(url, lambda route: route.fulfill(body=text, content_type="text/html", headers=headers or {}))
    sheet = url.split("/")[:3]
    context.route("/".join([*sheet, "site.css"]), lambda route: route.fulfill(body=STYLE, content_type="text/css"))
