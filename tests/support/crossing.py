"""Whether a shared cache hands one visitor's answer to another: visitors of each row of the table, at once (R33).

A page tells the `Gateway-Consent` that the site saw and whose visit it was made for, `consent|visitor`. Everybody knows
what they should have been told. Never knows which cache or site it is that answers.
"""

import contextlib
import http.client
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gateway.web.site.shared_caches import MARKS
from support.proxies import NEW_YORK
from support.signals import ADCHOICES_OUT

NO, YES = "sale=?0, sharing=?0, targeted_ads=?0, status=honored", "sale=?1, sharing=?1, targeted_ads=?1, status=none"
DOUBT = "sale=?0, sharing=?0, targeted_ads=?0, status=unknown"  # not answered in time: nobody's answer, allows nothing
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
PAGES, WORKERS = 12, 16
LIVES = 5  # of a control, at most: of one key the harmless page may chance to be kept first, on every page there is


# Rows of `shared_caches.MARKS` that no visitor brings: what the site or the answer adds.
OF_NO_VISITOR = {"unclear", "remembered", "place"}
OWN_PAGE = {mark.name for mark in MARKS if mark.own_page}
SAY_NOTHING = {"none", "site_ids", "credentials"}  # the page is theirs, and everything may be done
OUT = "usprivacy=1YYN"


@dataclass(frozen=True)
class Visitor:
    """`kind`: a row of the table, or none. `headers`: what the browser sends with everything."""

    kind: str
    name: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def consent(self) -> str:
        return YES if self.kind in SAY_NOTHING else NO


@dataclass(frozen=True)
class Answer:
    visitor: Visitor
    page: str
    hit: bool
    cookies: tuple[str, ...]

    @property
    def wrong(self) -> bool:
        """Whether this is a page for whom something else holds."""
        return not self.doubt and self.page.partition("|")[0] != self.visitor.consent

    @property
    def doubt(self) -> bool:
        return self.page.partition("|")[0] == DOUBT

    @property
    def foreign(self) -> bool:
        """Whether one person's page is another's: of those who are known by more than GPC each has pages of their
        own."""
        return self.visitor.kind not in {"gpc", "none"} and self.page.partition("|")[2] != self.visitor.name


def ways(cookies, accounts) -> dict[str, list[dict[str, str]]]:
    """How visitors of each row of the table come. `cookies`: sealed ones of browsers that opted out. `accounts`:
    assertions of people who did.
    """
    return {
        "gpc": [{"Sec-GPC": "1"}] * 4
        + [{"Sec-GPC": "1", "Sec-Fetch-Mode": "no-cors"}] * 4,  # pages get a cookie: private
        "signals": [{"Cookie": OUT}, {"DNT": "1"}, {"X-AdChoices": ADCHOICES_OUT}, {"Cookie2": ADCHOICES_OUT}],
        "browser": [{"Cookie": f"__Host-gateway={cookie}"} for cookie in cookies],
        "account": [
            *({"Cookie": f"Gateway-Account={each}"} for each in accounts[::2]),
            *({"Gateway-Account": each} for each in accounts[1::2]),
        ],
        "site_ids": [{"Cookie": f"uid=visitor-{n}"} for n in range(2)],
        "credentials": [{"Authorization": f"Basic {n}"} for n in range(2)],
    }


def crowd(cookies, accounts) -> list[Visitor]:
    """Some of each kind, and of those who say nothing."""
    told = ways(cookies, accounts)
    return [Visitor(kind, f"{kind}-{n}", way) for kind, found in told.items() for n, way in enumerate(found)] + [
        Visitor("none", f"none-{n}") for n in range(8)
    ]


def reached(header: str) -> set[str]:
    """Whom a cache that does not heed a header hands pages of people who did not send it, or theirs to others."""
    kinds = {mark.name for mark in MARKS if header in mark.headers}
    return kinds | {"none"} if "gpc" in kinds else kinds


def visit(url: str, visitors: list[Visitor], times: int, seed: int) -> list[Answer]:
    """That many requests by visitors and pages drawn at random, over 16 connections at once."""
    draw, (host, _, port) = random.Random(seed), url.removeprefix("http://").partition(":")
    plan = [(draw.choice(visitors), draw.randrange(PAGES)) for _ in range(times)]

    def ask(share) -> list[Answer]:
        with contextlib.closing(http.client.HTTPConnection(host, int(port), 30, (NEW_YORK, 0))) as connection:
            return [_asked(connection, *planned) for planned in share]

    with ThreadPoolExecutor(WORKERS) as pool:
        shares = pool.map(ask, [plan[first::WORKERS] for first in range(WORKERS)])
        return [answer for share in shares for answer in share]


def _asked(connection, visitor: Visitor, page: int) -> Answer:
    headers = {**NAVIGATION, **visitor.headers, "X-Visitor": visitor.name}
    connection.request("GET", f"/page/{page}/", headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    assert answer.status == 200, body
    cookies = tuple(answer.headers.get_all("Set-Cookie") or ())
    return Answer(visitor, body, answer.headers["X-Cache"] == "HIT", cookies)


def leaks(answers: list[Answer]) -> set[str]:
    """The kinds of visitors that got somebody else's answer; `set-cookie`: one sealed cookie was given to two."""
    given = Counter(cookie for answer in answers for cookie in answer.cookies if cookie.startswith("__Host-gateway="))
    twice = {"set-cookie"} if given and max(given.values()) > 1 else set()
    others = {answer.visitor.kind for answer in answers if answer.foreign} & OWN_PAGE
    return {answer.visitor.kind for answer in answers if answer.wrong} | others | twice


def leaked(run: Callable[[], list[Answer]], wanted: set[str]) -> set[str]:
    """What leaks in a control: it is given lives until all that is wanted has shown."""
    found: set[str] = set()
    for _ in range(LIVES):
        found |= leaks(run())
        if found >= wanted:
            break
    return found
