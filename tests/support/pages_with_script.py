"""Pages that an operator's cache or server hands out, with what `gateway recipe page` prints: none of them has seen the
gateway. And how a test reads what an ad script on such a page hears.
"""

import re
from importlib import resources

RECIPE = (resources.files("gateway") / "recipes" / "page.html").read_text()
STUB, GOOGLE = re.findall(r"<script>.*?</script>", RECIPE)
[SCRIPT] = re.findall(r"<script src=.*?</script>", RECIPE)
HASHES = re.findall(r"'sha256-[^']*'", RECIPE)
BODY = """<span data-gateway-status></span>
<p id="below">What stands below the status must not move.</p>
<a href="/privacy-choices" data-gateway-choices>Your Privacy Choices</a>"""
STYLE = "[data-gateway-status] { display: block; min-height: 3rem }"
HTML = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/site.css">
{head}</head><body><h1>A page</h1>{body}</body></html>"""
# A machine under load must not turn a test of the answer into one of the deadline of 400 ms: it comes when `lapse()` says.
PATIENT = """{ const real = setTimeout, held = [];
  self.setTimeout = (act, wait, ...more) => wait === 400 ? held.push(() => act(...more)) : real(act, wait, ...more);
  self.lapse = () => held.splice(0).forEach((act) => act()) }
"""
# Keeps what an ad script hears, from before the first answer on.
JOURNAL = """<script>journal = []; __gpp("addEventListener", (event, success) =>
  journal.push([event.eventName, event.data, event.pingData.signalStatus, event.pingData.gppString, success]))</script>"""
PING = "() => new Promise((done) => __gpp('ping', done))"
USP = "() => new Promise((done) => __uspapi('getUSPData', 1, (said, success) => done([said, success])))"
# Asked of a page that is on its way, too: then nothing is said yet.
NOW = "() => {{ let said; self.__gpp?.('ping', (data) => {{ said = data }}); return said && {0} }}"
LOADED = NOW.format("said.cmpStatus + said.signalStatus === 'loadedready'")
READY = NOW.format("said.signalStatus === 'ready'")


def html(head: str = STUB + SCRIPT, body: str = BODY) -> str:
    return HTML.format(head=head, body=body)


def serve(context, url: str, text: str, *, headers: dict[str, str] | None = None) -> None:
    """Answers one address as a cache would, and the site's style sheet."""
    context.route(url, lambda route: route.fulfill(body=text, content_type="text/html", headers=headers))
    site = "/".join(url.split("/")[:3])
    context.route(f"{site}/site.css", lambda route: route.fulfill(body=STYLE, content_type="text/css"))


def told(page) -> list[list]:
    """(event, data) of what the journal heard."""
    return [event[:2] for event in page.evaluate("journal")]


def ask(page, command: str, parameter: object = None) -> object:
    """[data, success] of a command of `__gpp`."""
    script = "([command, parameter]) => new Promise((done) => __gpp(command, (...said) => done(said), parameter))"
    return page.evaluate(script, [command, parameter])
