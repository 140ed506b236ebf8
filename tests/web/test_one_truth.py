"""One truth: after any mixture of opt-outs and opt-ins the page, the badge, the headers and a check say the same.

Histories of acts on a browser, an account and its e-mail address, each by the door that people and callers use; after
each act this browser looks at every page, and all of them are compared with what the site and a check are told.
"""

import asyncio
import html
import itertools
import random
import re
import time

import pytest
from support.examples import SOAK
from support.opting_in import standing
from support.people import named
from support.wire import NO_ANSWER

from gateway.app import service
from gateway.choice.law import LawTable
from gateway.choice.question import Office
from gateway.choice.standing import IN, NONE, OUT, SHIFT, Standing
from gateway.consent import check
from gateway.consent.site import Site, Word, kept_no, what_may, word_of
from gateway.ledger import watch
from gateway.ledger.entry import b64
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, Purpose
from gateway.web.pages import positions
from gateway.web.shell import page, visitor
from gateway.web.shell.words import SOLD, USES

pytestmark = pytest.mark.anyio
PAGE, STATUS = "/privacy-choices", "/privacy-choices/status"
SALE, ADS, PROFILING = Purpose.SALE, Purpose.TARGETED_ADS, Purpose.PROFILING
RECIPIENTS = {Purpose.SALE: "teemo", Purpose.SHARING: "advertisers", Purpose.TARGETED_ADS: "advertisers"}
PLACES = ["US-CA", "BR", None]  # where silence is a yes; where it is a no; and nobody knows where
NAMES = {text: purpose for purpose, text in USES.items()}
WORDS = {text: word for texts in (positions.WORDS, positions.LIMITS) for word, text in texts.items()}
REASONS = {
    Word.OPTED_OUT: {"opted_out", "gpc"}, Word.OPTED_IN: {"opted_in"}, Word.NONE: {"no_choice"},
    Word.NEEDS_YES: {"opt_in_required", "place_unknown"},
}  # fmt: skip
SHOWN = {kind: {"sha256": b64(page.load_notice(kind).sha256), "language": "en"} for kind in ("opt-in", "confirm")}
LINE = re.compile(r"<li><strong>([^<]*)</strong> – ([^<]*)((?:<br><span[^>]*>[^<]*</span>)*)</li>")


def read_page(text: str) -> tuple[bool, dict[Purpose, Word], dict[Purpose, str]]:
    """The badge, the word of each purpose, and where a no was said, off the page. A purpose that is told twice is
    found.
    """
    words, why = {}, {}
    for word, uses, reasons in LINE.findall(html.unescape(text)):
        for use in uses.split("; "):
            for purpose in SIGNAL_PURPOSES if use == SOLD else [NAMES[use]]:
                assert purpose not in words, f"{purpose} is told twice"
                words[purpose], why[purpose] = WORDS[word], reasons
    assert set(words) == set(ALL_PURPOSES)
    return "<strong>Opt-Out Request Honored</strong>" in text, words, why


class Life:
    """One browser, one account and its e-mail address."""

    def __init__(self, site, number):
        self.site, self.name = site, f"a{number}"
        self.email = named("email", f"p{number}@example.com")
        self.account = named("account", self.name)
        self.browser, self.signed = site.browser(), site.browser(self.name)
        self.signed.jar = self.browser.jar
        self.said = []

    async def does(self, act):
        self.said.append(act)
        what, *on = act
        await getattr(self, what)(*on)

    async def visits(self, places=PLACES, *, signed=False, gpc=False):
        browser = self.signed if signed else self.browser
        browser.headers.pop("Sec-GPC", None)
        if gpc:
            browser.headers["Sec-GPC"] = "1"
        for place in places:
            service.DEMO_PLACE = place
            await agrees(self, browser, place, signed=signed, gpc=gpc)
        service.DEMO_PLACE = "US-CA"
        browser.headers.pop("Sec-GPC", None)

    async def signs_in(self):
        await self.visits(signed=True)

    async def sends_gpc(self, signed):
        await self.visits(signed=signed, gpc=True)

    async def presses(self, action, purpose=None):
        more = {"purpose": purpose} if purpose else {}
        await self.browser.post(PAGE, action=action, **more)

    async def opts_out(self, who, purpose):
        await self.site.call("/v1/choices", choice="opt_out", identifiers=[getattr(self, who)], purposes=[purpose])

    async def links(self):
        await self.site.call("/v1/links", account=self.name, identifiers=[self.email])

    async def opts_in_here(self, purpose):
        first = await self.browser.reads_notice(what=purpose)
        if "Yes, go on" in first.text:
            done = await self.browser.presses(await self.browser.presses(first, "opt_in"), "confirm")
            assert ("It is allowed" in done.text) is (await self.words())[purpose].may, self.said

    async def words(self):
        return read_page((await self.browser.get(PAGE)).text)[1]

    async def opts_in(self, who, purpose):
        proof = {"kind": "account", "assertion": "dev"}
        said = {"identifiers": [getattr(self, who)], "purposes": [purpose], "proof": proof}
        first = await self.site.call("/v1/choices", choice="opt_in", notice=SHOWN["opt-in"], **said)
        told = await self.site.call(
            "/v1/choices", choice="confirm", confirm=first["confirm"], proof=proof, notice=SHOWN["confirm"]
        )
        holds = told["standing"][purpose] == "opted_out"
        assert holds is bool(told["still_out"]), (self.said, told)


async def looks(life, browser, place, *, signed, gpc):
    """What the site, the page, the status and a check say. On a machine that stands still for a while the record is
    too old to be read, and each says so: then all are looked at again.
    """
    asked = {**browser._headers(), "X-Original-Method": "GET", "X-Original-URI": "/", "Sec-Fetch-Mode": "navigate"}
    deadline = time.monotonic() + 60
    while True:
        told = await life.site.calling.get("/authz/nginx", headers=asked)
        consent = dict(part.split("=", 1) for part in told.headers["gateway-consent"].split(", "))
        shown = read_page((await browser.get(PAGE)).text)
        status = (await browser.get(STATUS)).json()
        people = [{"type": "browser", "value": token}] if (token := told.headers["gateway-browser"]) else []
        people += [life.account] if signed else []
        asks = {"identifiers": people, "data": ["ad_id"], "place": place, "signals": {"gpc": "1"} if gpc else {}}
        verdicts = {
            purpose: await life.site.call("/v1/check", **asks, recipient=recipient, purpose=purpose)
            for purpose, recipient in RECIPIENTS.items()
        }
        said = {consent["status"], *shown[1].values(), *status["purposes"].values()}
        said |= {verdict["reason"] for verdict in verdicts.values()}
        if said.isdisjoint({"unknown", *NO_ANSWER}) or time.monotonic() > deadline:
            return consent, shown, status, verdicts
        await asyncio.sleep(0.05)


async def agrees(life, browser, place, *, signed, gpc):
    """Everything that this browser is shown, against what the site and a check are told."""
    consent, (honored, words, why), status, verdicts = await looks(life, browser, place, signed=signed, gpc=gpc)
    where = (life.said, place, signed, gpc, consent, words)
    may = {purpose: consent[purpose] == "?1" for purpose in SIGNAL_PURPOSES}
    assert {purpose: words[purpose].may for purpose in SIGNAL_PURPOSES} == may, where
    assert honored is (consent["status"] == "honored") is (status["display"] == "Opt-Out Request Honored"), where
    assert honored is any(words[purpose] is Word.OPTED_OUT for purpose in SIGNAL_PURPOSES), where
    assert status["partly"] is (honored and any(may.values())), where
    said = {p: word.value if word in {Word.OPTED_OUT, Word.OPTED_IN} else "none" for p, word in words.items()}
    assert status["purposes"] == said, (where, status)
    assert {p for p, reasons in why.items() if reasons} == {p for p, w in words.items() if w is Word.OPTED_OUT}, where
    for purpose, verdict in verdicts.items():
        assert verdict["allowed"] is may[purpose], (where, purpose, verdict["reason"])
        assert verdict["reason"] in REASONS[words[purpose]], (where, purpose, verdict["reason"])


ACTS = [
    ("presses", "opt_out"), ("presses", "limit"), ("presses", "ticked", "sale"), ("presses", "ticked", "profiling"),
    ("signs_in",), ("sends_gpc", False), ("sends_gpc", True), ("links",),
    *[("opts_in_here", purpose) for purpose in ALL_PURPOSES],
    *[(verb, who, purpose) for verb in ("opts_out", "opts_in") for who in ("email", "account")
      for purpose in (SALE, ADS, PROFILING)],
]  # fmt: skip


@pytest.fixture
async def site(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "DEMO_PLACE", "US-CA")
    monkeypatch.setattr(
        watch.FileWatch, "term", 60
    )  # a busy machine is no outage: what is unknown then is another's to test
    async with standing(tmp_path / "data") as built:
        yield built


async def lives(site, histories, *, looks_each_time=True):
    for number, acts in enumerate(histories):
        life = Life(site, number)
        for left, act in enumerate(acts, 1 - len(acts)):
            await life.does(act)
            if looks_each_time:
                await life.visits()
            elif not left:
                await life.visits(PLACES if SOAK else [PLACES[number % len(PLACES)]])


def some(count, length, seed):
    chance = random.Random(seed)
    return [[chance.choice(ACTS) for _ in range(length)] for _ in range(count)]


PARTLY = [("presses", "opt_out"), ("opts_in_here", ADS), ("signs_in",)]
NAMED = [
    PARTLY,
    [("presses", "opt_out"), *[("opts_in_here", purpose) for purpose in SIGNAL_PURPOSES]],
    [("sends_gpc", False), ("opts_in_here", SALE), ("signs_in",)],
    [("opts_in", "account", SALE), ("sends_gpc", False), ("signs_in",)],
]


@pytest.mark.parametrize("history", NAMED, ids=["one again", "all again", "after a signal", "account's yes"])
async def test_a_person_reads_one_sentence_a_purpose_and_it_is_what_the_site_is_told(site, history):
    await lives(site, [history])


# Of the acts that differ in their purpose alone the three that those by a call have; in `make soak` all of them.
ENOUGH = ACTS if SOAK else [act for act in ACTS if act[0] != "opts_in_here" or act[1] in {SALE, ADS, PROFILING}]


def any_two():
    """Every pair in `make soak`, seen from every place; else every third one, and of those that name a purpose each
    the ones that name the same, from one place each: others meet in the mixtures below, which are seen from all.
    """
    for (one, first), (two, second) in itertools.product(enumerate(ENOUGH), repeat=2):
        of_one = len({word for act in (first, second) for word in act if word in ALL_PURPOSES}) < 2
        if SOAK or (of_one and (one + two) % 3 == 0):
            yield first, second


@pytest.mark.slow
async def test_any_two_acts_leave_every_page_saying_what_enforcement_does(site):
    await lives(site, any_two(), looks_each_time=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_any_mixture_of_acts_leaves_every_page_saying_what_enforcement_does(site, seed):
    await lives(site, some(20 if SOAK else 7, 7, seed))


# --- the controls
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planted", "history"),
    [
        ("the site takes one no of the cookie for all three", PARTLY),
        ("the page reads the record alone", [("sends_gpc", False)]),
        ("the page shows all as one", PARTLY),
    ],
)
async def test_a_page_that_says_it_in_a_second_way_is_found(site, monkeypatch, planted, history):
    right = check.Checks.words
    if "cookie" in planted:
        monkeypatch.setattr(visitor, "kept_no", lambda denied, _: denied | set(SIGNAL_PURPOSES))
    elif "record" in planted:
        record = lambda checks, site, purposes: right(checks, checks.site((), frozenset(), "US-TX"), purposes)  # noqa: E731
        monkeypatch.setattr(check.Checks, "words", record)
    else:
        one = lambda checks, site, purposes: dict.fromkeys(purposes, right(checks, site, [SALE])[SALE])  # noqa: E731
        monkeypatch.setattr(check.Checks, "words", one)
    with pytest.raises(AssertionError):
        await lives(site, [history])


# --- every record that there can be
# -------------------------------------------------------------------------------------


def records():
    """Each purpose of a signal in each state, of its own and from afar."""
    for own in itertools.product((NONE, OUT, IN), repeat=3):
        for away in itertools.product((NONE, OUT), repeat=3):
            bits = [
                sum(state << SHIFT[p] for p, state in zip(SIGNAL_PURPOSES, each, strict=True)) for each in (own, away)
            ]
            yield Standing(bits[0], bits[1])


def test_the_word_of_a_purpose_is_what_the_verdict_does_for_every_record_cookie_and_place(office):
    """Opted out: a no holds, and nothing is done. Allowed: it is done."""
    everything = [frozenset(each) for size in range(4) for each in itertools.combinations(SIGNAL_PURPOSES, size)]
    seen = set()
    for standing_, denied, place in itertools.product(records(), everything, ("US-CA", "BR")):
        places, said = frozenset({place}), kept_no(denied, (standing_,))
        allowed, chosen = what_may(places, said, (standing_,), None, office)
        told = Site(allowed, "honored" if chosen else "none", places, False, (standing_,), said)
        for purpose in SIGNAL_PURPOSES:
            word = word_of(told, purpose, office)
            seen.add(word)
            assert word.may is allowed[purpose]
            assert (word is Word.OPTED_OUT) is (purpose in said or standing_.denies(purpose))
    assert seen == {Word.OPTED_OUT, Word.OPTED_IN, Word.NONE, Word.NEEDS_YES}


@pytest.fixture
def office(house):
    found = house.consent.checks._office()
    assert isinstance(found, Office)
    assert isinstance(found.law, LawTable)
    return found
