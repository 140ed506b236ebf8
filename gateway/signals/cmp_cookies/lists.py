"""Tools that write each category with its state: Cookiebot, CookieYes, Complianz, Tealium, and one-word marks.

Where a value names who spoke (`method`, `action`) that decides between act and default; Complianz says it in a cookie
beside.
"""

from collections.abc import Iterator, Mapping

from gateway.signals.cmp_cookies.cookie import Cookie
from gateway.signals.cmp_cookies.state import ADS, NOTHING, SALE, By, ToolState, Words
from gateway.signals.cmp_cookies.values import pairs, plain, truth, truths

COMPLIANZ = "cmplz_"
# Cookiebot's bare values: 0 not accepted, -1 outside every consent region, where it allows all by itself. The words are
# those of react-cookie-consent, which uses the same cookie name.
BARE: Mapping[str, tuple[Words, By]] = {
    "0": (ADS, By.UNKNOWN),
    "-1": (NOTHING, By.TOOL),
    "false": (ADS, By.UNKNOWN),
    "true": (NOTHING, By.UNKNOWN),
}
METHODS: Mapping[str, By] = {"explicit": By.PERSON, "implied": By.TOOL}


def read_mark(cookie: Cookie) -> Iterator[ToolState]:
    """A do-not-sell or recorded GPC of one word: true refuses the sale, by the person or the person's own browser."""
    refused = truth(plain(cookie.value))
    if refused is None:
        raise ValueError("neither yes nor no")
    yield cookie.shows(SALE if refused else NOTHING, by=By.PERSON)


def read_cookiebot(cookie: Cookie) -> Iterator[ToolState]:
    """A JavaScript object literal, not JSON; braces and quotes come and go."""
    text = plain(cookie.value)
    if text in BARE:
        refused, by = BARE[text]
        yield cookie.shows(refused, by=by)
        return
    fields = pairs(text, ",", ":")
    states = truths(fields)
    if not states:
        raise ValueError("no categories")
    yield cookie.of(states, METHODS.get(dict(fields).get("method", ""), By.UNKNOWN))


def read_cookieyes(cookie: Cookie) -> Iterator[ToolState]:
    """`action` is empty until a person acts; till then "no" is the default. `consent:no` beside an allowed category is
    written by the opt-out banner alone: its box says do not sell.
    """
    fields = pairs(plain(cookie.value), ",", ":")
    states = truths(fields)
    if not states:
        raise ValueError("no categories")
    action = [value for name, value in fields if name == "action"]
    by = By.UNKNOWN if not action else By.PERSON if "yes" in action else By.TOOL
    granted = cookie.words(states, on=True)
    do_not_sell = by is By.PERSON and bool(granted) and states.get("consent") is False
    yield cookie.shows(cookie.words(states, on=False) | (SALE if do_not_sell else NOTHING), granted, by)


def read_complianz(cookie: Cookie) -> Iterator[ToolState]:
    """One cookie a category, allow or deny. Under the opt-out model everything is on until a person says no, on a page
    that is called "do not sell".
    """
    category = cookie.name.removeprefix(COMPLIANZ)
    if category not in cookie.table:
        return
    state = truth(plain(cookie.value))
    if state is None:
        raise ValueError("neither allow nor deny")
    do_not_sell = not state and "optout" in cookie.beside("cmplz_consent_mode")
    person = do_not_sell or "dismissed" in cookie.beside("cmplz_banner-status")
    refused = cookie.words({category: state}, on=False) | (SALE if do_not_sell else NOTHING)
    yield cookie.shows(refused, cookie.words({category: state}, on=True), By.PERSON if person else By.UNKNOWN)


def read_tealium(cookie: Cookie) -> Iterator[ToolState]:
    """Numbered categories and the whole: `consent:false` refuses everything. Nothing tells who spoke."""
    states = truths(pairs(plain(cookie.value), "|", ":"))
    if not states:
        raise ValueError("no categories")
    refused = cookie.words(states, on=False) | (ADS if states.get("consent") is False else NOTHING)
    yield cookie.shows(refused, cookie.words(states, on=True))
