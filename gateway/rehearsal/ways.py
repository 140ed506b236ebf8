"""The ways to say no: a list that every source of a choice and every door that takes one is in.

A way that is open in the operator's configuration is rehearsed; one that is not is told with the option that closes it.
Whoever adds a source, a door, a signal, a consent tool or a language adds its way here: a test compares them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.rehearsal import acts, samples
from gateway.rehearsal.acts import Act
from gateway.settings import Settings
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, Manner, Purpose, Source
from gateway.web import language
from gateway.web.marketing import CHANNELS, CPNI
from gateway.web.unsubscribe_link import CHANNELS as LINKED

Closed = Callable[[Settings], str]
ENDS_TEXTS = (Purpose.MARKETING_TEXT, Purpose.MARKETING_CALL)
VISITED, PHONE = ("browser",), ("gaid",)


def _open(_: Settings) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Way:
    """`act`: what is done, None for what is said beside each question alone: `beside`, the signals of a call, or
    `page`, the headers and the address of a page. `of`: which of the person's identifiers it is of. `carries`: to the
    account and the other phone that it has (R12, R26). `closed`: by which option it is not open here; empty if it is.
    """

    name: str
    source: Source
    door: str
    act: Act | None = None
    purposes: tuple[Purpose, ...] = SIGNAL_PURPOSES
    of: tuple[str, ...] = VISITED
    carries: bool = True
    beside: Mapping[str, object] = field(default_factory=dict)
    page: tuple[Mapping[str, str], str] | None = None
    closed: Closed = _open


def every(settings: Settings) -> list[Way]:
    """All ways, whether or not they are open."""
    return [
        *_pages(), *_cookies(), *_forms(), *_apps(settings), *_beside(), *_desk(), *_marketing(settings),
        *_participant(settings),
    ]  # fmt: skip


def _pages() -> Iterator[Way]:
    for proxy, (door, _) in acts.PROXIES.items():
        path = door if proxy != "envoy" else f"{door}/{{path:path}}"
        yield Way(f"Sec-GPC on a page ({proxy})", Source.GPC, path, acts.visits({"Sec-GPC": "1"}, proxy))
    for name, (headers, source) in samples.HEADERS.items():
        if name != "Sec-GPC":
            yield Way(f"{name} on a page", source, "/authz/nginx", acts.visits(headers))
    yield Way(
        "Sec-GPC once, then the cookie alone", Source.BROWSER_COOKIE, "/authz/nginx", acts.comes_back, carries=False
    )
    yield Way("Sec-GPC to the page's status", Source.GPC, "/privacy-choices/status", acts.asks_status)
    script = "/privacy-choices/observe"
    yield Way("gpc by the page's script", Source.GPC, script, acts.tells_by_script({"gpc": True}))
    gpp = {"gpp": samples.GPP, "gpp_sid": [8]}
    yield Way("gpp by the page's script", Source.GPP, script, acts.tells_by_script(gpp))
    for name, text in samples.ADDRESSES.items():
        page = f"/page?{name}={text}"
        yield Way(f"{name} in an address", samples.ADDRESSED[name], "/authz/nginx", page=({}, page), carries=False)
    yield Way("DNT on a page", Source.DEVICE, "/authz/nginx", page=({"DNT": "1"}, "/page"), carries=False)


def _cookies() -> Iterator[Way]:
    for tool, sample in samples.TOOLS.items():
        yield Way(
            f"cookie of {tool}", sample.source, "/authz/nginx", acts.visits({"Cookie": sample.cookie}),
            carries=sample.act, closed=_named_by_the_site(tool),
        )  # fmt: skip


def _named_by_the_site(tool: str) -> Closed:
    if tool not in samples.NAMED_BY_THE_SITE:
        return _open
    return lambda settings: "" if tool in settings.consent_tools else f"consent_tools.{tool} names no group"


def _forms() -> Iterator[Way]:
    page = "/privacy-choices"
    for spoken in language.LANGUAGES:
        for field_ in ("phone", "email"):
            act = acts.fills_in(page, "opt_out", field_, language=spoken)
            of = (field_, *VISITED)
            yield Way(f"form, {field_} ({spoken})", Source.FORM, page, act, purposes=ALL_PURPOSES, of=of)
    browser = acts.fills_in(page, "opt_out")
    yield Way("form, browser alone", Source.FORM, page, browser, purposes=ALL_PURPOSES, carries=False)
    ticked = acts.fills_in(page, "ticked", "email", purpose=Purpose.SALE)
    yield Way("form, sale ticked", Source.FORM, page, ticked, of=("email",))
    limit = acts.fills_in(page, "limit", "email")
    yield Way("form, limit", Source.FORM, page, limit, purposes=(Purpose.SENSITIVE,), of=("email",))


def _apps(settings: Settings) -> Iterator[Way]:
    calls, app = "/v1/choices", {"of": "app", "source": "sdk"}
    yield Way("app, ad id", Source.SDK, calls, acts.chooses("gaid", **app), ALL_PURPOSES, PHONE)
    yield Way("app, limit", Source.SDK, calls, acts.chooses("gaid", choice="limit", **app),
              purposes=(Purpose.SENSITIVE,), of=PHONE)  # fmt: skip
    yield Way("app, withdraw", Source.SDK, calls, acts.chooses("gaid", choice="withdraw", **app), ALL_PURPOSES, PHONE)
    yield Way("app, an ad id that changed", Source.INSTALLATION, calls, acts.changes_its_id,
              purposes=ALL_PURPOSES, of=PHONE, carries=False)  # fmt: skip
    backend = acts.chooses("account")
    yield Way("backend, account", Source.API, calls, backend, purposes=ALL_PURPOSES, of=("account",))
    for name, (signals, source) in samples.CALLS.items():
        if name not in {*samples.MOMENTARY, "cookies"}:
            alone = name in samples.STATES or (name in samples.DEVICES and not settings.signals.device_limit_travels)
            act = acts.observes(signals)
            yield Way(f"{name} of a phone", source, "/v1/observe", act, of=PHONE, carries=not alone)


def _beside() -> Iterator[Way]:
    for name, (signals, source) in samples.CALLS.items():
        yield Way(f"{name} beside a question", source, "/v1/check", of=PHONE, beside=signals)


def _desk() -> Iterator[Way]:
    sources = {
        Manner.EMAIL: Source.EMAIL, Manner.PHONE: Source.PHONE, Manner.LETTER: Source.LETTER,
        Manner.AGENT: Source.AGENT, Manner.SMS: Source.SMS,
    }  # fmt: skip
    for manner, source in sources.items():
        act = acts.chooses("phone", manner=manner, source=source)
        yield Way(f"desk, {manner}", source, "/v1/choices", act, purposes=ALL_PURPOSES, of=("phone",))
    yield Way("desk, import", Source.IMPORT, "/v1/choices", acts.imports, purposes=ALL_PURPOSES, of=("email",))


def _marketing(settings: Settings) -> Iterator[Way]:
    page, offered = "/privacy-choices/marketing", (*CHANNELS, *(CPNI if settings.cpni.module else ()))
    act = acts.fills_in(page, "opt_out", "email", "phone")
    yield Way("form of marketing", Source.FORM, page, act, purposes=offered, of=("email", "phone"))
    yield Way("text, STOP", Source.SMS, "/v1/texts", acts.sends_stop, purposes=ENDS_TEXTS, of=("phone",))
    for channel in LINKED:
        yield Way(f"one click, {channel}", Source.EMAIL, "/privacy-choices/unsubscribe/{token}", acts.clicks(channel),
                  purposes=(channel,), of=("email",), closed=_without_site)  # fmt: skip


def _without_site(settings: Settings) -> str:
    return "" if settings.site.url else "site.url is empty: no link can be made"


def _participant(settings: Settings) -> Iterator[Way]:
    purposes = settings.ad_choices.purposes
    doors = {
        "web": ("/adchoices", VISITED),
        "token": ("/adchoices/pr.png", ("email",)),
        "app": ("/adchoices/app", PHONE),
    }
    for how, (door, of) in doors.items():
        yield Way(f"AdChoices, {how}", Source.AD_CHOICES, door, acts.asks_participant(how), purposes=purposes, of=of,
                  closed=_no_participant)  # fmt: skip


def _no_participant(settings: Settings) -> str:
    hosts = settings.ad_choices.redirect_hosts and settings.ad_choices.referers
    return "" if settings.ad_choices.participant and hosts else "ad_choices.participant is 0"
