"""How a made-up person says no, by each kind of door, for `ways`. An act raises `NotTaken` where a door does not take
it.

`Sample` is what a no looks like: one of each kind of signal, with made-up values in the forms of tools, browsers and
phones. Which of them count is for `gateway.signals` to say, and a kind that it knows and that has no sample here fails
a test.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote

import httpx2
import orjson

from gateway.choice.downstream import Outcome, strings
from gateway.rehearsal.stage import PLACE, Cast, NotTaken, Person, Stage, patiently, taken
from gateway.terms import SIGNAL_PURPOSES, Source
from gateway.web.shell.own_cookies import BROWSER_COOKIE

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
    jar = [headers.get("Cookie", ""), f"{BROWSER_COOKIE}={person.cookie}" if person and person.cookie else ""]
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


async def is_handed_on(stage: Stage, cast: Cast, person: Person) -> None:
    """The same browser, known from then on by the token alone that its site was handed at its second page."""
    await comes_back(stage, cast, person)
    person.token = (await ask_page(stage, person, {})).headers.get("gateway-browser", "")


def _keep(person: Person, answer: httpx2.Response) -> None:
    for line in answer.headers.get_list("set-cookie"):
        name, _, rest = line.partition("=")
        if name == BROWSER_COOKIE:
            person.cookie = rest.partition(";")[0]


async def asks_status(stage: Stage, cast: Cast, person: Person) -> None:
    """The page's own script, on a page that a cache may have kept."""
    for _ in range(2):
        sent = {**_browsing(person), **cast.signed_in(person), "Sec-GPC": "1"}
        _keep(person, taken(await stage.public.get("/privacy-choices/status", headers=sent)))


def tells_by_script(said: Mapping[str, object]) -> Act:
    """Tells by the page's script what only a script sees."""

    async def act(stage: Stage, cast: Cast, person: Person) -> None:
        for _ in range(2):
            sent = {**_browsing(person), **cast.signed_in(person), **FORM}
            _keep(person, taken(await stage.public.post("/privacy-choices/observe", json=said, headers=sent)))

    return act


def _browsing(person: Person) -> dict[str, str]:
    return {"Cookie": f"{BROWSER_COOKIE}={person.cookie}"} if person.cookie else {}


def fills_in(path: str, action: str, *fields: str, language: str = "en", further: bool = False, **more: str) -> Act:
    """A form of ours, from a browser that was never here: the page, its button, and the confirmation after it.
    `further`: the form of what reaches further than this browser.
    """

    async def act(stage: Stage, _: Cast, person: Person) -> None:
        page = taken(await stage.public.get(f"{path}?lang={language}{'&reach=1' * further}"))
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
    """Sends a text message that says STOP."""
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


async def asks_app_choices(stage: Stage, _: Cast, person: Person) -> None:
    """The DAA's tools at a participant's endpoints: that of phones."""
    taken(await stage.public.get("/adchoices/app", params={"os": "android", "adid": person.gaid}))


async def asks_token_choices(stage: Stage, _: Cast, person: Person) -> None:
    """That of addresses."""
    digest = hashlib.sha256(person.email.encode()).hexdigest()
    taken(await stage.public.get("/adchoices/pr.png", params={"idt": "email", "sha256": digest}))


async def asks_web_choices(stage: Stage, _: Cast, person: Person) -> None:
    """That of browsers: status with a token, then the opt-out with it."""
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


TC = "CPzvOIAPzvOIAAAAAAENBdCAAAAAAAAAAAAAAAAAAAAA.IAAA"  # consents to nothing
AC = "1~"  # to nobody
US_PRIVACY = "1YYN"
GPP = strings(Outcome(frozenset(SIGNAL_PURPOSES), frozenset({"US-CA"}))).gpp
ADCHOICES = "BaSSBAAAAAAA"  # no to all participants


def _json(value: object) -> str:
    return quote(json.dumps(value, separators=(",", ":")))


class Sample(NamedTuple):
    """What a tool leaves as a Cookie field. `act`: a person did it, so that it is the person's no and not the browser's
    state alone (R26).
    """

    cookie: str
    source: Source = Source.CMP_COOKIE
    act: bool = True


TOOLS: Mapping[str, Sample] = {
    "iab": Sample(f"usprivacy={US_PRIVACY}", Source.US_PRIVACY),
    "onetrust": Sample("OptanonConsent=isGpcEnabled=0&groups=C0001%3A1%2CSPD_BG%3A0"),
    "trustarc": Sample("notice_preferences=0:; notice_behavior=implied,us"),
    "cookiebot": Sample("CookieConsent={necessary:true%2Cmarketing:false%2Cmethod:%27explicit%27}"),
    "cookieyes": Sample("cookieyes-consent=consent:no,action:yes,necessary:yes,advertisement:no"),
    "complianz": Sample("cmplz_marketing=deny; cmplz_banner-status=dismissed"),
    "didomi": Sample("didomi_token=eyJwdXJwb3NlcyI6IHsiZGlzYWJsZWQiOiBbImFkdmVydGlzaW5nIl19fQ=="),
    "usercentrics": Sample(
        f"uc_settings={_json({'services': [{'id': 'marketing', 'status': False}]})}; uc_user_interaction=true",
    ),
    "fides": Sample(
        f"fides_consent="
        f"{_json({'consent': {'data_sales_and_sharing': False}, 'fides_meta': {'consentMethod': 'reject'}})}",
    ),
    "c15t": Sample("c15t=c.necessary:1,c.functionality:1,i.t:1764000000000"),
    "klaro": Sample(f"klaro={_json({'session': True, 'marketing': False})}"),
    "vanilla_cookieconsent": Sample(
        f"cc_cookie={_json({'categories': ['necessary'], 'services': {'necessary': [], 'ads': []}})}"
    ),
    "ketch": Sample("gpcsignal=true"),
    "transcend": Sample(f"tcm={_json({'purposes': {'SaleOfInfo': False}, 'confirmed': True})}"),
    "iubenda": Sample(f"_iub_cs-1234-uspr={_json({'s': False, 'sh': True, 'adv': True})}"),
    "tarteaucitron": Sample("tarteaucitron=!gtag=true!facebookpixel=false"),
    "shopify": Sample("_tracking_consent=3s.AMP_USCA_f_t_AAAA"),
    "typo3": Sample("omCookieConsent=rehearsal.1,dismiss"),
    "tealium": Sample("CONSENTMGR=c1:0|c3:0|ts:1721686992938|consent:true", act=False),
    "cookiefirst": Sample(f"cookiefirst-consent={_json({'necessary': True, 'advertising': False})}", act=False),
    "yahoo": Sample(f"gpp={GPP}; gpp_sid=8", Source.GPP),
    "trusted_server": Sample(f"__gpp={quote(GPP, safe='')}", Source.GPP),
    "consentmanager": Sample(f"__cmpconsentx36865={TC}", Source.TCF, act=False),
    "funding_choices": Sample(
        f"FCCDCF={_json([None, None, None, [TC, AC, 'an-id'], None])}", Source.TCF, act=False
    ),
}  # fmt: skip
NAMED_BY_THE_SITE = frozenset({"typo3"})  # its groups are numbers until [consent_tools] says what they are

# The `signals` member of a call: a no of each of its members. With each, the source that the no is heard as.
CALLS: Mapping[str, tuple[Mapping[str, object], Source]] = {
    "gpc": ({"gpc": "1"}, Source.GPC),
    "gpp": ({"gpp": GPP, "gpp_sid": [8]}, Source.GPP),
    "us_privacy": ({"us_privacy": US_PRIVACY}, Source.US_PRIVACY),
    "tc": ({"tc": TC}, Source.TCF),  # without `gdpr`, which names a place that is denied, too
    "ac": ({"ac": AC}, Source.ADDITIONAL_CONSENT),
    "adchoices": ({"adchoices": ADCHOICES}, Source.AD_CHOICES),
    "cookies": ({"cookies": "optout=1"}, Source.AD_CHOICES),
    "stored": ({"stored": {"IABUSPrivacy_String": US_PRIVACY}}, Source.US_PRIVACY),
    "lmt": ({"lmt": 1}, Source.DEVICE),
    "att": ({"att": 2}, Source.DEVICE),
    "dnt": ({"dnt": "1"}, Source.DEVICE),
}
# No to ads and not to a sale (R25): Google's string; and an industry opt-out, which [ad_choices] purposes may widen.
OF_GOOGLE = frozenset({"ac", "addtl_consent"})
OF_ADS = frozenset({"adchoices", "adchoices_signal", "cookies"})
MOMENTARY = frozenset({"dnt"})  # holds in the answer and is on no record
STATES = frozenset({"tc", "ac"})  # a tool may have written them by itself: of this device alone
DEVICES = frozenset({"lmt", "att"})  # the device's own, unless [signals] device_limit_travels

# What a browser's header says.
HEADERS: Mapping[str, tuple[Mapping[str, str], Source]] = {
    "Sec-GPC": ({"Sec-GPC": "1"}, Source.GPC),
    "X-AdChoices": ({"X-AdChoices": ADCHOICES}, Source.AD_CHOICES),
    "Cookie2": ({"Cookie2": ADCHOICES}, Source.AD_CHOICES),
    "opt-out cookie": ({"Cookie": "optout=1"}, Source.AD_CHOICES),
}
# What an ad call's address says: it was said elsewhere, so it holds for that request.
ADDRESSES: Mapping[str, tuple[str, Source]] = {
    "us_privacy": (US_PRIVACY, Source.US_PRIVACY),
    "gpp": (quote(GPP), Source.GPP),
    "gdpr_consent": (TC, Source.TCF),
    "addtl_consent": (quote(AC), Source.ADDITIONAL_CONSENT),
    "adchoices_signal": (ADCHOICES, Source.AD_CHOICES),
}
