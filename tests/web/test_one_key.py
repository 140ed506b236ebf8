"""One person has one key at all doors: whoever a site says to be signed in, and whoever its own cookie names, is the one
of whom a backend, a link and an ad call speak, however each of them writes the name.
"""

import contextlib
import time
import unicodedata

import pytest
from anyio import to_thread
from support import inside, proxies
from support.people import gaid, named

from gateway.consent.verbs import Consent
from gateway.keys import api_keys
from gateway.ledger import schema
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.subjects import Choice, Subject, milliseconds
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Purpose, Source

pytestmark = pytest.mark.anyio
GPC = {"Sec-GPC": "1"}
HERE = {"Sec-Fetch-Mode": "navigate", "X-Forwarded-For": proxies.NEW_YORK}
NFD = unicodedata.normalize("NFD", "Zoë")
WRITTEN = {
    "letter and accent": (NFD + "8", "Zoë8"),
    "the sign for an ångström": ("\u212b8", "Å8"),
    "the sign for an ohm": ("\u21268", "Ω8"),
    "letters of a syllable": ("\u1112\u1161\u11ab8", "한8"),
    "a blank behind": ("zoe8 ", "zoe8"),
    "a blank before": (" zoe8", "zoe8"),
    "a hard blank": ("\u00a0zoë8\u00a0", "zoë8"),
}
EACH = pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)


@pytest.fixture
def begin(folder, tmp_path):
    """Starts a gateway; its callers are the site's proxy, and a backend with a key."""
    inside.secrets()
    key = api_keys.add_api_key(folder, "backend", ["check", "choose", "desk"], publishable=False)
    configured = inside.settings(
        browser__site_ids="uid",
        places__database=proxies.addresses(tmp_path),
        recipients__advertisers__contract="C-1",
        notice__told_everyone="2026-01-01",
    )

    @contextlib.asynccontextmanager
    async def started():
        headers = {"Authorization": f"Bearer {key}"}
        async with inside.application(folder, configured, dev=False) as app, inside.client(app, **headers) as calling:
            yield calling

    return started


@pytest.fixture
async def keyed(begin):
    async with begin() as calling:
        yield calling


def signed(account):
    word = api_keys.assert_account(inside.secrets().accounts[-1], account, int(time.time()) + 600)
    return {"Gateway-Account": word.encode()}


async def visits(keyed, **headers):
    answer = await keyed.get("/authz/nginx", headers={**HERE, **headers})
    assert answer.status_code == 204, answer.text
    return answer.headers["gateway-consent"].rpartition("status=")[2]


async def reason(keyed, *who):
    asked = {"identifiers": [*who], "recipient": "advertisers", "data": ["ad_id"], "place": "US-TX"}
    return (await keyed.post("/v1/check", json=asked)).json()["reason"]


@EACH
async def test_who_is_signed_in_with_gpc_is_denied_at_every_door_by_each_form_of_the_name(keyed, written):
    raw, normal = written
    linked = await keyed.post("/v1/links", json={"account": normal, "identifiers": [named("gaid", gaid(1))]})
    assert linked.status_code == 201
    assert await reason(keyed, named("account", raw)) == "no_choice"  # control
    await visits(keyed, **signed(raw), **GPC)
    assert await visits(keyed, **signed(raw)) == "honored"
    assert await visits(keyed, **signed(normal)) == "honored"
    for who in (named("account", raw), named("account", normal), named("gaid", gaid(1))):
        assert await reason(keyed, who) == "opted_out"


@EACH
async def test_who_opted_out_by_a_backend_is_known_where_the_site_says_who_is_signed_in(keyed, written):
    raw, normal = written
    assert await visits(keyed, **signed(raw)) == "none"  # control
    for form, other in ((raw, normal), (normal, raw)):
        body = {"identifiers": [named("account", form)], "choice": "opt_out"}
        assert (await keyed.post("/v1/choices", json=body)).status_code == 201
        assert await visits(keyed, **signed(other)) == "honored"
        assert await visits(keyed, **signed(form)) == "honored"


@EACH
@pytest.mark.parametrize("source", [Source.GPC, Source.FORM])
async def test_what_a_sites_door_wrote_under_the_name_as_it_came_goes_on_denying(begin, house, written, source):
    """As earlier versions wrote it: of the other form it is known from the account's next visit on."""
    raw, normal = written
    before = Subject("account", raw, house.secrets.keys([("account", raw)]))
    await house.consent.choose(
        [before], Choice(ChoiceKind.OPT_OUT, tuple(SIGNAL_PURPOSES), source, house.consent.clock())
    )
    async with begin() as keyed:
        assert await reason(keyed, named("account", raw)) == "opted_out"
        if raw == unicodedata.normalize("NFD", normal):
            assert await reason(keyed, named("account", normal)) == "opted_out"
        assert await visits(keyed, **signed(raw)) == "honored"
        assert await reason(keyed, named("account", normal)) == "opted_out"


async def opted_out_before(house, raw, *browsers):
    """A no under the name as it came, by the account or by a browser that it had."""
    of = [("account", raw), *browsers]
    account, *others = (Subject(*each, house.secrets.keys([each])) for each in of)
    if others:
        await house.consent.tie(account, others)
    now = house.consent.clock()
    await house.consent.choose(
        others or [account], Choice(ChoiceKind.OPT_OUT, tuple(SIGNAL_PURPOSES), Source.FORM, now)
    )


def denies_read_alone(house):
    """As whoever reads one person of the log, and those connected, for a file of noes or a report."""
    [number] = house.consent.people.name([named("gaid", gaid(1))]).subjects
    with contextlib.closing(schema.open_to_read(house.writer.store.name.parent)) as db:
        found = FoldedPeople(db, [number.key]).standing(number.key, milliseconds(house.consent.clock()))
    return found is not None and found.denies(Purpose.SALE)


def of_the_accounts_name(raw):
    """Calls by which the account becomes known by the form as it came."""
    who, no = [named("account", raw)], {"choice": "opt_out", "purposes": ["profiling"]}
    return {
        "a visit": None,
        "a link": ("/v1/links", {"account": raw, "identifiers": [named("gaid", gaid(2))]}),
        "an opt-out of something else": ("/v1/choices", {"identifiers": who, **no}),
        "a signal": ("/v1/observe", {"identifiers": who, "signals": {"gpc": "1"}}),
    }


async def link(keyed, account):
    body = {"account": account, "identifiers": [named("gaid", gaid(1))]}
    assert (await keyed.post("/v1/links", json=body)).status_code in {200, 201}


@EACH
@pytest.mark.parametrize("call", of_the_accounts_name(""))
@pytest.mark.parametrize("said_by", ["account", "browser"])
async def test_what_was_written_under_the_name_as_it_came_reaches_all_that_the_account_has(
    begin, house, written, call, said_by
):
    raw, normal = written
    await opted_out_before(house, raw, *([("browser", "b" * 22)] if said_by == "browser" else []))
    async with begin() as keyed:
        await link(keyed, normal)
        asked = of_the_accounts_name(raw)[call]
        if asked is None:
            assert await visits(keyed, **signed(raw)) == "honored"
        else:
            assert (await keyed.post(asked[0], json=asked[1])).status_code in {200, 201}
        for who in (named("gaid", gaid(1)), named("account", raw), named("account", normal)):
            assert await reason(keyed, who) == "opted_out"
    assert await to_thread.run_sync(denies_read_alone, house)


async def test_it_reaches_what_the_account_gets_later_too(begin, house):
    await opted_out_before(house, "zoe8 ")
    async with begin() as keyed:
        await visits(keyed, **signed("zoe8 "))
        await link(keyed, "zoe8")
        assert await reason(keyed, named("gaid", gaid(1))) == "opted_out"


@pytest.mark.parametrize("word", [ChoiceKind.OPT_IN, ChoiceKind.OPT_OUT])
async def test_a_name_is_learnt_once_whatever_stands_by_it(begin, house, monkeypatch, word):
    """A visit that says nothing new writes nothing."""
    before = Subject("account", "zoe8 ", house.secrets.keys([("account", "zoe8 ")]))
    await house.consent.choose([before], Choice(word, tuple(SIGNAL_PURPOSES), Source.FORM, house.consent.clock()))
    tied, tie = [], Consent.tie

    async def counted(self, account, subjects):
        tied.append(account.key)
        await tie(self, account, subjects)

    monkeypatch.setattr(Consent, "tie", counted)
    async with begin() as keyed:
        for _ in range(3):
            await visits(keyed, **signed("zoe8 "))
    assert len(tied) == 1


async def test_of_an_account_with_an_accent_the_same_signal_is_written_once(keyed, monkeypatch):
    heard, observe = [], Consent.observe

    async def counted(self, *said, **more):
        heard.append(said)
        return await observe(self, *said, **more)

    monkeypatch.setattr(Consent, "observe", counted)
    body = {"identifiers": [named("account", "zoë8")], "signals": {"gpc": "1"}}
    for _ in range(3):
        assert (await keyed.post("/v1/observe", json=body)).status_code in {200, 201}
    assert len(heard) == 1


@pytest.mark.parametrize("account", [" ", "\u00a0", "null", "0", "a\x00b", "\u00e9" + "x" * 1100], ids=repr)
async def test_who_is_signed_in_by_what_is_nobodys_name_may_be_anybody_and_is_denied(keyed, account):
    assert await visits(keyed) == "none"  # control
    assert await visits(keyed, **signed(account)) == "unknown"
    assert await visits(keyed, **signed(account)) == "unknown"
    assert b'malformed_signals_total{channel="account",reason="site"}' in (await keyed.get("/metrics")).content


@pytest.mark.parametrize(
    ("cookie", "value"),
    [("zoë-2".encode(), "zoë-2"), (b"zo%C3%AB-2", "zoë-2"), (b"zo%C3%AB-2", "zo%C3%AB-2"), (b'"jane@2"', "jane@2")],
)
async def test_a_sites_own_cookie_names_whom_its_backend_names_by_the_same_letters(keyed, cookie, value):
    who = {"type": "cookie", "source": "uid", "value": value}
    assert await reason(keyed, who) == "no_choice"  # control
    jar = {"Cookie": b"uid=" + cookie}
    await visits(keyed, **signed("a1"), **GPC, **jar)
    assert await reason(keyed, who) == "opted_out"
    assert await visits(keyed, **jar) == "honored"


async def test_whom_a_backend_opted_out_by_a_cookies_letters_is_known_by_the_cookie(keyed):
    body = {"identifiers": [{"type": "cookie", "source": "uid", "value": "zoë-2"}], "choice": "opt_out"}
    for cookie in ("zoë-2".encode(), b"zo%C3%AB-2"):
        assert await visits(keyed, Cookie=b"uid=" + cookie) == "none"  # control
    await keyed.post("/v1/choices", json=body)
    for cookie in ("zoë-2".encode(), b"zo%C3%AB-2"):
        assert await visits(keyed, Cookie=b"uid=" + cookie) == "honored"
