"""Whoever is opted out by a digest of their ad id alone is opted out by the id, from the acknowledgement on."""

import hashlib

import pytest
from support import inside
from support.people import gaid, named

from gateway.keys.api_keys import add_api_key
from gateway.state.lookup import StateLookup

pytestmark = pytest.mark.anyio
FORMS = (str, str.upper, lambda text: text.replace("-", ""), lambda text: text.replace("-", "").upper())
DIGESTS = [
    (f"ad_id_{algorithm}", form, getattr(hashlib, algorithm))
    for algorithm in ("md5", "sha1", "sha256")
    for form in FORMS
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def reason(door, ad_server, kind, value):
    said = {"identifiers": [named(kind, value)], "recipient": "teemo", "data": ["ad_id"], "place": "US-NY"}
    answer = await door.post("/v1/check", json=said, headers=ad_server)
    assert answer.status_code == 200
    return answer.json()["reason"]


@pytest.fixture
def installed(tmp_path):
    """An installation, and the key of an ad server: one that may know which entry decided asks by all names."""
    folder = inside.install(tmp_path / "data")
    return folder, {"Authorization": f"Bearer {add_api_key(folder, 'ads', ['check'], publishable=False)}"}


async def told(installed, digests):
    """What checks said of somebody before and after each no by a digest, and then of somebody else."""
    (folder, ad_server), found = installed, []
    async with inside.application(folder) as app, inside.client(app, **inside.DEV) as door:
        for number, (kind, form, digest) in enumerate(digests):
            ids = [("gaid", gaid(number)), ("idfa", gaid(number)), ("gaid", gaid(number + 100))]
            before = [await reason(door, ad_server, *each) for each in ids]
            no = {"identifiers": [named(kind, digest(form(gaid(number)).encode()).hexdigest())], "choice": "opt_out"}
            assert (await door.post("/v1/choices", json=no)).status_code == 201
            found.append((before, [await reason(door, ad_server, *each) for each in ids]))
    return found


@pytest.mark.parametrize("first", range(0, len(DIGESTS), len(FORMS)))
async def test_a_no_by_any_digest_of_an_ad_id_denies_the_id_at_the_next_check(installed, first):
    for before, after in await told(installed, [*DIGESTS[first:], *DIGESTS[:first]]):
        assert (before, after) == (["no_choice"] * 3, ["opted_out", "opted_out", "no_choice"])


@pytest.fixture
def knew_before(monkeypatch):
    """Each check begins by what the process knew before any digest was named, as one of several processes does."""
    honest = StateLookup.seen

    def seen(self, keys, **how):
        found = honest(self, keys, **how)
        self.named_alone = frozenset()
        return found

    monkeypatch.setattr(StateLookup, "seen", seen)
    return seen


@pytest.mark.usefixtures("knew_before")
async def test_also_where_another_process_was_told(installed):
    for _, after in await told(installed, DIGESTS):
        assert after == ["opted_out", "opted_out", "no_choice"]


async def test_the_control_a_check_that_goes_on_by_what_it_knew_before_is_found(installed, monkeypatch, knew_before):
    monkeypatch.setattr(
        StateLookup, "seen", lambda self, keys, **how: knew_before(self, keys, **how)._replace(alone=frozenset())
    )
    found = [after[0] for _, after in await told(installed, DIGESTS)]
    assert "no_choice" in found  # and not opted_out each time
