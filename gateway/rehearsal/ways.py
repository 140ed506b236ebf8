"""The ways to say no, as a list that the rehearsal goes through: every source of a choice and every door that takes one
is in it.

A way that is open in the operator's configuration is rehearsed; one that is not is told with the option that closes it.
Whoever adds a source, a door, a signal, a consent tool or a language adds its way here: a test compares them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from gateway.consent.tokens import CHANNELS as LINKED
from gateway.rehearsal import acts
from gateway.rehearsal.acts import Act
from gateway.settings.load import Settings
from gateway.terms import AD_CHOICE_PURPOSES, ALL_PURPOSES, SIGNAL_PURPOSES, Manner, Purpose, Source
from gateway.web.pages.marketing import CHANNELS, CPNI
from gateway.web.shell import words

ENDS_TEXTS = (Purpose.MARKETING_TEXT, Purpose.MARKETING_CALL)
VISITED, PHONE = ("browser",), ("gaid",)


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
    closed: str = ""


def every(settings: Settings) -> list[Way]:
    """All ways, whether or not they are open."""
    return [
        *_pages(settings),
        *_cookies(settings),
        *_forms(),
        *_apps(settings),
        *_beside(settings),
        *_desk(),
        *_marketing(settings),
        *_participant(settings),
    ]


def _pages(settings: Settings) -> Iterator[Way]:
    for proxy, (door, _) in acts.PROXIES.items():
        path, signal = door if proxy != "envoy" else f"{door}/{{path:path}}", {"Sec-GPC": "1"}
        yield _visited(
            settings, Way(f"Sec-GPC on a page ({proxy})", Source.GPC, path, acts.visits(signal, proxy)), signal
        )
    for name, (headers, source) in acts.HEADERS.items():
        if name != "Sec-GPC":
            way = Way(f"{name} on a page", source, "/authz/nginx", acts.visits(headers), settings.ad_choices.purposes)
            yield _visited(settings, way, headers)
    yield Way(
        "Sec-GPC once, then the cookie alone",
        Source.BROWSER_COOKIE,
        "/authz/nginx",
        acts.comes_back,
        carries=False,
        closed=_without_id(settings),
    )
    yield Way(
        "Sec-GPC once, then the site's token alone",
        Source.BROWSER_COOKIE,
        "/authz/nginx",
        acts.is_handed_on,
        carries=False,
        closed=_without_id(settings),
    )
    status = "/privacy-choices/status"
    yield _visited(settings, Way("Sec-GPC to the page's status", Source.GPC, status, acts.asks_status))
    gpp = {"gpp": acts.GPP, "gpp_sid": [8]}
    for name, source, said in (("gpc", Source.GPC, {"gpc": True}), ("gpp", Source.GPP, gpp)):
        act = acts.tells_by_script(said)
        yield _visited(settings, Way(f"{name} by the page's script", source, "/privacy-choices/observe", act))
    for name, (text, source) in acts.ADDRESSES.items():
        yield Way(
            f"{name} in an address",
            source,
            "/authz/nginx",
            None,
            said_by(name, settings),
            carries=False,
            page=({}, f"/page?{name}={text}"),
        )
    yield Way("DNT on a page", Source.DEVICE, "/authz/nginx", page=({"DNT": "1"}, "/page"), carries=False)


def _cookies(settings: Settings) -> Iterator[Way]:
    for tool, sample in acts.TOOLS.items():
        headers = {"Cookie": sample.cookie}
        way = Way(
            f"cookie of {tool}",
            sample.source,
            "/authz/nginx",
            acts.visits(headers),
            carries=sample.act,
            closed=_without_group(tool, settings),
        )
        yield _visited(settings, way, headers)


def _visited(settings: Settings, way: Way, headers: Mapping[str, str] | None = None) -> Way:
    """A way of a browser, as far as this site knows one again: by an id of ours, else by who is signed in. Where it
    knows neither, what a page's headers say holds for that page, and a script's word for its answer.
    """
    if settings.browser.remember_gpc == "id":
        return way
    if way.carries and settings.account.header:
        return replace(way, of=("account",))
    if headers is None:
        return replace(way, closed=_without_id(settings))
    return replace(way, act=None, page=(headers, "/page"), carries=False)


def _without_id(settings: Settings) -> str:
    how = settings.browser.remember_gpc
    return "" if how == "id" else f'browser.remember_gpc is "{how}": no browser is known again by an id'


def said_by(name: str, settings: Settings) -> tuple[Purpose, ...]:
    """What a signal of this kind says no to."""
    if name in acts.OF_GOOGLE:
        return AD_CHOICE_PURPOSES
    return settings.ad_choices.purposes if name in acts.OF_ADS else SIGNAL_PURPOSES


def _without_group(tool: str, settings: Settings) -> str:
    wants = tool in acts.NAMED_BY_THE_SITE and tool not in settings.consent_tools
    return f"consent_tools.{tool} names no group" if wants else ""


def _forms() -> Iterator[Way]:
    page = "/privacy-choices"
    for spoken in words.LANGUAGES:
        for field_ in ("phone", "email"):
            act = acts.fills_in(page, "ticked", field_, language=spoken, further=True)  # with nothing ticked: all
            of = (field_, *VISITED)
            yield Way(f"form, {field_} ({spoken})", Source.FORM, page, act, purposes=ALL_PURPOSES, of=of)
    browser = acts.fills_in(page, "opt_out")
    yield Way("form, browser alone", Source.FORM, page, browser, purposes=ALL_PURPOSES, carries=False)
    ticked = acts.fills_in(page, "ticked", "email", further=True, purpose=Purpose.SALE)
    yield Way("form, sale ticked", Source.FORM, page, ticked, of=("email",))
    limit = acts.fills_in(page, "limit")
    yield Way("form, limit", Source.FORM, page, limit, purposes=(Purpose.SENSITIVE,), carries=False)


def _apps(settings: Settings) -> Iterator[Way]:
    calls, app = "/v1/choices", {"of": "app", "source": "sdk"}
    yield Way("app, ad id", Source.SDK, calls, acts.chooses("gaid", **app), ALL_PURPOSES, PHONE)
    yield Way(
        "app, limit",
        Source.SDK,
        calls,
        acts.chooses("gaid", choice="limit", **app),
        purposes=(Purpose.SENSITIVE,),
        of=PHONE,
    )
    yield Way("app, withdraw", Source.SDK, calls, acts.chooses("gaid", choice="withdraw", **app), ALL_PURPOSES, PHONE)
    yield Way(
        "app, an ad id that changed",
        Source.INSTALLATION,
        calls,
        acts.changes_its_id,
        purposes=ALL_PURPOSES,
        of=PHONE,
        carries=False,
    )
    backend = acts.chooses("account")
    yield Way("backend, account", Source.API, calls, backend, purposes=ALL_PURPOSES, of=("account",))
    for name, (signals, source) in acts.CALLS.items():
        if name not in {*acts.MOMENTARY, "cookies"}:
            alone = name in acts.STATES or (name in acts.DEVICES and not settings.signals.device_limit_travels)
            act = acts.observes(signals)
            yield Way(
                f"{name} of a phone", source, "/v1/observe", act, said_by(name, settings), PHONE, carries=not alone
            )


def _beside(settings: Settings) -> Iterator[Way]:
    for name, (signals, source) in acts.CALLS.items():
        purposes = said_by(name, settings)
        yield Way(f"{name} beside a question", source, "/v1/check", None, purposes, PHONE, beside=signals)


def _desk() -> Iterator[Way]:
    for manner in (Manner.EMAIL, Manner.PHONE, Manner.LETTER, Manner.AGENT, Manner.SMS):
        source = Source(manner.value)
        act = acts.chooses("phone", manner=manner, source=source)
        yield Way(f"desk, {manner}", source, "/v1/choices", act, purposes=ALL_PURPOSES, of=("phone",))
    yield Way("desk, import", Source.IMPORT, "/v1/choices", acts.imports, purposes=ALL_PURPOSES, of=("email",))


def _marketing(settings: Settings) -> Iterator[Way]:
    page, offered = "/privacy-choices/marketing", (*CHANNELS, *(CPNI if settings.cpni.module else ()))
    act = acts.fills_in(page, "opt_out", "email", "phone")
    yield Way("form of marketing", Source.FORM, page, act, purposes=offered, of=("email", "phone"))
    yield Way("text, STOP", Source.SMS, "/v1/texts", acts.sends_stop, purposes=ENDS_TEXTS, of=("phone",))
    for channel in LINKED:
        yield Way(
            f"one click, {channel}",
            Source.EMAIL,
            "/privacy-choices/unsubscribe/{token}",
            acts.clicks(channel),
            purposes=(channel,),
            of=("email",),
            closed="" if settings.site.url else "site.url is empty: no link can be made",
        )


def _participant(settings: Settings) -> Iterator[Way]:
    options = settings.ad_choices
    is_open = options.participant and options.redirect_hosts and options.referers
    doors = {
        "web": ("/adchoices", VISITED, acts.asks_web_choices),
        "token": ("/adchoices/pr.png", ("email",), acts.asks_token_choices),
        "app": ("/adchoices/app", PHONE, acts.asks_app_choices),
    }
    for how, (door, of, act) in doors.items():
        yield Way(
            f"AdChoices, {how}",
            Source.AD_CHOICES,
            door,
            act,
            purposes=options.purposes,
            of=of,
            closed="" if is_open else "ad_choices.participant is 0",
        )
