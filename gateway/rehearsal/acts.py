"""How a made-up person says no, by each kind of door. An act raises `NotTaken` where a door does not take it."""

import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping

import httpx2
import orjson

from gateway.rehearsal.people import Cast, NotTaken, Person, patiently, taken
from gateway.rehearsal.stage import PLACE, Stage
from gateway.web.browser_cookie import COOKIE

Act = Callable[[Stage, Cast, Person], Awaitable[None]]
TOKEN = re.compile(r'name="token" value="([^"]+)"')
FORM = {"Sec-Fetch-Site": "same-origin"}
NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
# How each proxy that the recipes are for asks: the door, and the header that the page's address stands in.
PROXIES = {
    "nginx": ("/authz/nginx", "X-Original-URI"), "forward": ("/authz/forward", "X-Forwarded-Uri"),
    "envoy": ("/authz/envoy", ""),
}  # fmt: skip


async def ask_page(
    stage: Stage, person: Person | None, headers: Mapping[str, str], uri: str = "/page", proxy: str = "nginx"
) -> httpx2.Response:
    """What a proxy asks before a page; the browser keeps the cookie that the answer sets."""
    door, named = PROXIES[proxy]
    jar = [headers.get("Cookie", ""), f"{COOKIE}={person.cookie}" if person and person.cookie else ""]
    cookies = "; ".join(filter(None, jar))
    sent = {**NAVIGATES, **headers} | ({"Cookie": cookies} if cookies else {}) | ({named: uri} if named else {})
    path = door if named else f"{door}{uri}"
    return taken(await patiently(lambda: stage.internal.get(path, headers=sent)), 200, 204)


def visits(headers: Mapping[str, str], proxy: str = "nginx") -> Act:
    """A page load with a signal, of a browser that is known here."""

    async def act(stage: Stage, cast: Cast, person: Person) -> None:
        for _ in range(2):  # a browser without a cookie is given one by the first, and is written by the second
            answer = await ask_page(stage, person, {**headers, **cast.signed_in(person)}, proxy=proxy)
            _keep(person, answer)

    return act


async def comes_back(stage: Stage, _: Cast, person: Person) -> None:
    """A new browser says it once, gets its cookie, and comes back without the signal and without who is signed in."""
    person.cookie = ""
    for headers in ({"Sec-GPC": "1"}, {}):
        _keep(person, await ask_page(stage, person, headers))
    if not person.cookie and stage.settings.browser.remember_gpc == "id" and not stage.settings.site.cached:
        raise NotTaken("GET /authz/nginx gave a new browser no cookie to remember its opt-out by")


def _keep(person: Person, answer: httpx2.Response) -> None:
    for line in answer.headers.get_list("set-cookie"):
        name, _, rest = line.partition("=")
        if name == COOKIE:
            person.cookie = rest.partition(";")[0]


async def asks_status(stage: Stage, cast: Cast, person: Person) -> None:
    """The page's own script, on a page that a cache may have kept."""
    for _ in range(2):
        sent = {**_browsing(person), **cast.signed_in(person), "Sec-GPC": "1"}
        _keep(person, taken(await stage.public.get("/privacy-choices/status", headers=sent)))


def tells_by_script(said: Mapping[str, object]) -> Act:
    """What only script sees."""

    async def act(stage: Stage, cast: Cast, person: Person) -> None:
        for _ in range(2):
            sent = {**_browsing(person), **cast.signed_in(person), **FORM}
            _keep(person, taken(await stage.public.post("/privacy-choices/observe", json=said, headers=sent)))

    return act


def _browsing(person: Person) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={person.cookie}"} if person.cookie else {}


def fills_in(path: str, action: str, *fields: str, language: str = "en", **more: str) -> Act:
    """A form of ours, from a browser that was never here: the page, its button, and the confirmation after it."""

    async def act(stage: Stage, _: Cast, person: Person) -> None:
        page = taken(await stage.public.get(f"{path}?lang={language}"))
        found = TOKEN.search(page.text)
        if found is None or f'value="{action}"' not in page.text:
            raise NotTaken(f"GET {path} shows no button that says {action}")
        typed = {name: getattr(person, name) for name in fields}
        posted = {"action": action, "token": found[1], **typed, **more}
        answer = taken(await patiently(lambda: stage.public.post(path, data=posted, headers=FORM)), 303)
        _keep(person, answer)
        taken(await stage.public.get(answer.headers["location"], headers=_browsing(person)))

    return act


def chooses(*kinds: str, of: str = "desk", choice: str = "opt_out", **more: object) -> Act:
    """A choice in a call, `of` the desk or an app."""

    async def act(stage: Stage, cast: Cast, person: Person) -> None:
        body = {"identifiers": person.named(*kinds), "choice": choice, "place": PLACE, **more}
        taken(await cast.call("/v1/choices", body, stage.desk if of == "desk" else stage.app))

    return act


async def imports(_: Stage, cast: Cast, person: Person) -> None:
    """One line of an import."""
    line = {"identifiers": person.named("email"), "choice": "opt_out", "source": "import", "place": PLACE}
    answer = taken(await cast.lines("/v1/choices", [orjson.dumps(line)], {}))
    if b'"event"' not in answer.content:
        raise NotTaken("POST /v1/choices took no line of an import")


def observes(signals: Mapping[str, object]) -> Act:
    """What an app's phone says by itself."""

    async def act(stage: Stage, cast: Cast, person: Person) -> None:
        body = {"identifiers": person.named("gaid"), "signals": signals, "place": PLACE}
        taken(await cast.call("/v1/observe", body, stage.app))

    return act


async def changes_its_id(stage: Stage, cast: Cast, person: Person) -> None:
    """An app whose phone has a new ad id after the choice: its device token tells whose it is."""
    body = {"identifiers": [{"type": "gaid", "value": str(uuid.uuid4())}], "choice": "opt_out", "source": "sdk"}
    token = taken(await cast.call("/v1/choices", {**body, "place": PLACE}, stage.app)).json()["device"]
    again = {"identifiers": person.named("gaid"), "device": token}
    taken(await cast.call("/v1/observe", again, stage.app))


async def sends_stop(_: Stage, cast: Cast, person: Person) -> None:
    """A text message that says STOP."""
    answer = taken(await cast.call("/v1/texts", {"from": person.phone, "body": "STOP"}))
    if answer.json()["action"] != "opted_out":
        raise NotTaken("POST /v1/texts did not take STOP")


def clicks(channel: str) -> Act:
    """One click in a mail program (RFC 8058)."""

    async def act(stage: Stage, cast: Cast, person: Person) -> None:
        body = {"identifiers": person.named("email", "phone"), "purpose": channel}
        url = taken(await cast.call("/v1/unsubscribe-links", body)).json()["url"]
        path = url.removeprefix(stage.settings.site.url)
        taken(await stage.public.post(path, data={"List-Unsubscribe": "One-Click"}))

    return act


def asks_participant(how: str) -> Act:
    """The DAA's tools at a participant's endpoints: `web` (WebChoices), `token` (TokenChoices), `app` (AppChoices)."""

    async def act(stage: Stage, _: Cast, person: Person) -> None:
        if how == "app":
            taken(await stage.public.get("/adchoices/app", params={"os": "android", "adid": person.gaid}))
        elif how == "token":
            digest = hashlib.sha256(person.email.encode()).hexdigest()
            taken(await stage.public.get("/adchoices/pr.png", params={"idt": "email", "sha256": digest}))
        else:
            await _by_web_choices(stage, person)

    return act


async def _by_web_choices(stage: Stage, person: Person) -> None:
    """Status with a token, then the opt-out with it."""
    options = stage.settings.ad_choices
    asked = {"participant_id": str(options.participant), "rd": f"https://{options.redirect_hosts[0]}"}
    sent = {"Referer": f"https://{options.referers[0]}/"}
    first = taken(
        await stage.public.get("/adchoices", params={**asked, "action_id": "3"}, headers={**sent, **_browsing(person)}),
        302,
    )
    bound = first.headers["set-cookie"].partition(";")[0]
    cookies = "; ".join(filter(None, [bound, *_browsing(person).values()]))
    token = first.headers["location"].rpartition("/")[2]
    second = await stage.public.get(
        "/adchoices", params={**asked, "action_id": "4", "token": token}, headers={**sent, "Cookie": cookies}
    )
    if "/adchoices/verify" not in taken(second, 302).headers["location"]:
        raise NotTaken("GET /adchoices did not take an opt-out")
